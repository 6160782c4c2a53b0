// Command names counts what a user of a package has to read: its exported names
// and fields.
//
//	go run ./internal/tools/names [-l] FOLDER...
//
// Constants, variables, functions, types, methods and the methods of interfaces
// count as names. Methods that only an encoding package calls count apart too. -l
// lists them all.
package main

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
)

// surface is what a package exports.
type surface struct {
	constants, variables, functions, types, methods, fields []string
	encoding                                                []string // of the methods
}

func main() {
	log.SetFlags(0)
	list := flag.Bool("l", false, "list the names")
	flag.Parse()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "package\tnames\tconstants\tvariables\tfunctions\ttypes\tmethods\tof an encoding\tfields\t")
	for _, dir := range flag.Args() {
		s, err := read(dir)
		if err != nil {
			log.Fatal(err)
		}
		all := slices.Concat(s.constants, s.variables, s.functions, s.types, s.methods)
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", dir, len(all), len(s.constants), len(s.variables),
			len(s.functions), len(s.types), len(s.methods), len(s.encoding), len(s.fields))
		if *list {
			defer fmt.Println(dir + ":\n\t" + strings.Join(all, "\n\t") + "\nfields:\n\t" + strings.Join(s.fields, "\n\t"))
		}
	}
	if err := w.Flush(); err != nil {
		log.Fatal(err)
	}
}

func read(dir string) (*surface, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	s := new(surface)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			return nil, err
		}
		for _, d := range f.Decls {
			s.add(d)
		}
	}
	return s, nil
}

func (s *surface) add(d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		switch of := receiver(d); {
		case !d.Name.IsExported():
		case d.Recv == nil:
			s.functions = append(s.functions, d.Name.Name)
		case ast.IsExported(of):
			s.method(of, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.ValueSpec:
				for _, n := range spec.Names {
					switch {
					case !n.IsExported():
					case d.Tok == token.CONST:
						s.constants = append(s.constants, n.Name)
					default:
						s.variables = append(s.variables, n.Name)
					}
				}
			case *ast.TypeSpec:
				s.typ(spec)
			}
		}
	}
}

func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	t := d.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	if generic, ok := t.(*ast.IndexExpr); ok {
		t = generic.X
	}
	name, _ := t.(*ast.Ident)
	if name == nil {
		return ""
	}
	return name.Name
}

func (s *surface) method(of, name string) {
	s.methods = append(s.methods, of+"."+name)
	for _, prefix := range []string{"Marshal", "Unmarshal", "Append", "Gob"} {
		for _, form := range []string{"Text", "JSON", "Binary", "Encode", "Decode"} {
			if name == prefix+form {
				s.encoding = append(s.encoding, of+"."+name)
			}
		}
	}
	if name == "LogValue" || name == "Scan" || name == "Value" {
		s.encoding = append(s.encoding, of+"."+name)
	}
}

func (s *surface) typ(spec *ast.TypeSpec) {
	if !spec.Name.IsExported() {
		return
	}
	of := spec.Name.Name
	s.types = append(s.types, of)
	switch t := spec.Type.(type) {
	case *ast.StructType:
		for _, f := range t.Fields.List {
			for _, n := range f.Names {
				if n.IsExported() {
					s.fields = append(s.fields, of+"."+n.Name)
				}
			}
		}
	case *ast.InterfaceType:
		for _, m := range t.Methods.List {
			for _, n := range m.Names {
				if n.IsExported() {
					s.method(of, n.Name)
				}
			}
		}
	}
}
