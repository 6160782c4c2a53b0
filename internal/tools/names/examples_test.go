package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// withExamples are the packages whose every exported function is called by an example
// of the package, and types whose every method is, by "package.Type".
var withExamples = map[string][]string{
	"phash": nil, "blocklist": nil, "blocklist/boltjournal": nil, "blocklist/feed": nil,
	"takedown": {"Enforcer"}, "takedown/request": nil, "takedown/desk": {"Desk"},
	"takedown/form": nil, "takedown/texts": {"Texts"},
}

// exempt have no example, each for a reason.
var exempt = map[string]string{
	"blocklist.Rekey":         "boltjournal.Rekey calls it for a folder, and has one",
	"takedown/desk.OpenStore": "desk.Open opens the store; only another store's tests call this",
	"takedown/desk.Reasons":   "a list of codes", "takedown/desk.MessageTypes": "a list of codes",
	"takedown/desk.Desk.Faces":        "there is no face without a model of the caller",
	"takedown/desk.Desk.Picture":      "takedown/web shows it",
	"takedown/desk.Desk.Blocking":     "takedown/web shows it",
	"takedown/desk.Desk.SettleAlarms": "ExampleDesk_AddMatchCounts",
	"takedown/desk.Desk.QueuedMatch":  "takedown/web shows it",
	"takedown/desk.Desk.ViewPaper":    "takedown/web shows it",
	"takedown/desk.Desk.Offers":       "takedown/web shows it",
	"blocklist.ChangeFaceKey":         "desk.ChangeOperatorKey calls it, and has one",
	"takedown/request.PaperName":      "a name of a file",
	"takedown/request.PaperKinds":     "a list of codes",
	"takedown/request.PictureKey":     "takedown/web uses it",
}

// Every exported function of the packages that a program begins with, and every method
// of their main types, is called in an example.
func TestEntryPointsHaveExamples(t *testing.T) {
	t.Parallel()
	for dir, types := range withExamples {
		files, err := filepath.Glob(filepath.Join("../../..", dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no files: %v", dir, err)
		}
		called, exported := map[string]bool{}, map[string]string{}
		for _, path := range files {
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, src, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range f.Decls {
				fn, is := d.(*ast.FuncDecl)
				switch {
				case !is:
				case !strings.HasSuffix(path, "_test.go"):
					if name := entryPoint(fn, types); name != "" {
						exported[dir+"."+name] = fn.Name.Name
					}
				case strings.HasPrefix(fn.Name.Name, "Example"):
					ast.Inspect(fn, func(n ast.Node) bool {
						if s, is := n.(*ast.SelectorExpr); is {
							called[s.Sel.Name] = true
						}
						return true
					})
				}
			}
		}
		for name, short := range exported {
			if !called[short] && exempt[name] == "" {
				t.Errorf("%s is in no example", name)
			}
		}
	}
}

// entryPoint returns the name of an exported function, or of a method of one of the
// types.
func entryPoint(fn *ast.FuncDecl, types []string) string {
	if !fn.Name.IsExported() {
		return ""
	}
	if fn.Recv == nil {
		return fn.Name.Name
	}
	star, is := fn.Recv.List[0].Type.(*ast.StarExpr)
	if !is {
		return ""
	}
	for _, t := range types {
		if id, is := star.X.(*ast.Ident); is && id.Name == t {
			return t + "." + fn.Name.Name
		}
	}
	return ""
}
