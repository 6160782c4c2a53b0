// Command longfuncs lists the functions of the core that are longer or have more
// branches than we want, and holds their numbers below a ceiling.
//
//	longfuncs -ceiling internal/tools/longfuncs/ceiling.txt takedown phash blocklist
//
// It reads the Go files in the folders and below, without tests, testdata and
// nested modules. A
// function counts when it has more than 60 lines or a cyclomatic complexity above
// 15. That is a list to read, not a rule for one function. The ceiling is a rule:
// there must not be more of them than it says, and it only gets lower.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fzipp/gocyclo"
)

const (
	maxLines      = 60
	maxComplexity = 15
)

// function is a function and how big it is.
type function struct {
	place, name       string
	lines, complexity int
}

func main() {
	log.SetFlags(0)
	ceiling := flag.String("ceiling", "", "`file` with the numbers that must not be exceeded")
	quiet := flag.Bool("q", false, "print the numbers only")
	flag.Parse()
	all, err := read(flag.Args())
	if err != nil {
		log.Fatal("longfuncs: ", err)
	}
	if !*quiet {
		list(os.Stdout, all)
	}
	long, branched := count(all)
	fmt.Printf("%d of %d functions have more than %d lines, %d a cyclomatic complexity above %d\n", long, len(all), maxLines, branched, maxComplexity)
	if *ceiling != "" {
		text, err := os.ReadFile(*ceiling)
		if err != nil {
			log.Fatal("longfuncs: ", err)
		}
		note, err := hold(string(text), long, branched)
		if err != nil {
			log.Fatalf("longfuncs: %s: %v", *ceiling, err)
		}
		fmt.Print(note)
	}
}

// read parses the files below the folders.
func read(dirs []string) (all []function, err error) {
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && (d.Name() == "testdata" || path != dir && isModule(path)):
				return fs.SkipDir
			case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
				return nil
			}
			funcs, err := functions(path)
			all = append(all, funcs...)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no function in %q", dirs)
	}
	return all, nil
}

func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

func functions(path string) (all []function, err error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Body == nil {
			continue
		}
		from, to := set.Position(f.Pos()), set.Position(f.End())
		all = append(all, function{
			place:      fmt.Sprintf("%s:%d", filepath.ToSlash(path), from.Line),
			name:       f.Name.Name,
			lines:      to.Line - from.Line + 1,
			complexity: gocyclo.Complexity(f),
		})
	}
	return all, nil
}

func count(all []function) (long, branched int) {
	for _, f := range all {
		if f.lines > maxLines {
			long++
		}
		if f.complexity > maxComplexity {
			branched++
		}
	}
	return long, branched
}

// list prints the functions that are over a limit, the longest first.
func list(w io.Writer, all []function) {
	over := slices.DeleteFunc(slices.Clone(all), func(f function) bool {
		return f.lines <= maxLines && f.complexity <= maxComplexity
	})
	slices.SortStableFunc(over, func(a, b function) int { return cmp.Compare(b.lines, a.lines) })
	for _, f := range over {
		fmt.Fprintf(w, "%4d lines, complexity %2d  %s %s\n", f.lines, f.complexity, f.place, f.name)
	}
}

// hold compares the numbers with the text of a ceiling: "lines N" and
// "complexity N", one a line. The note asks to lower a ceiling that is too high.
func hold(text string, long, branched int) (note string, err error) {
	most := map[string]int{}
	for line := range strings.Lines(text) {
		var name string
		var n int
		if _, err := fmt.Sscanf(line, "%s %d", &name, &n); err != nil {
			return "", fmt.Errorf("%q is not a name and a number", strings.TrimSpace(line))
		}
		most[name] = n
	}
	for i, name := range []string{"lines", "complexity"} {
		n := []int{long, branched}[i]
		limit, ok := most[name]
		switch {
		case !ok:
			return "", fmt.Errorf("there is no line %q", name)
		case n > limit:
			return "", fmt.Errorf("%d functions are over the limit of %s, at most %d may be", n, name, limit)
		case n < limit:
			note += fmt.Sprintf("the ceiling of %s can be lowered from %d to %d\n", name, limit, n)
		}
	}
	return note, nil
}
