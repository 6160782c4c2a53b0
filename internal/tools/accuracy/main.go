// Command accuracy is the one measurement that every change of recognition is
// judged by. It asks both sides at once: are copies found, and are other
// pictures left alone?
//
//	accuracy -corpus DIR [-half judge] [-originals N] [-kinds a,b] [-seed S] [-out DIR] [-base FILE]
//
// Everything goes through the public packages, as in a program of their users:
// an image opt-out is submitted to a desk and accepted, the list is published
// and loaded. A crawler is Inspect and Check of a file. A ranker is Filter with
// the first hash of that file. A registration that is refused or narrowed is
// asked like any other, so copies that are not found because of it are missed.
//
//	copies     copies of held-out photographs, by kind; the groups are known,
//	           realistic and evading
//	families   different pictures of one template: one is registered alone, the
//	           others of its family are asked; and true copies of documents
//	unrelated  pictures that have no copy in the list, against the whole list
//
// # Material
//
// scripts/setup corpus fetches photographs into DIR/originals, and other
// pictures into DIR/list and DIR/innocent. Copies and families are drawn when
// they are first asked for, by the programs in draw and, with -tools, by those
// of the shared test material. They are kept in DIR/drawn.
//
// Originals and families are split into halves by a hash of their names:
// -half choose is what thresholds may be chosen on, -half judge is what they
// are judged on. Photographs of one series have one name. Collages take their
// other pictures from the other half, so the list does not know them.
//
// # Output
//
// DIR of -out gets results.tsv, a line for each question; report.md, the
// tables; worst.html, the worst answers as pictures. A run that was ended goes
// on where results.tsv stops, if the program and its arguments are the same.
// -base FILE compares with the results.tsv of another run.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/staydown/staydown/internal/sharedtest"
)

// options are the flags.
type options struct {
	corpus, tools, python, out, base string
	classes, more                    string
	half                             half
	originals, members, registered   int
	documents, innocent, each        int
	kinds, families, sides           []string
	seed                             string
	jobs                             int
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("accuracy: ")
	o, err := parse(os.Args[1:])
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		log.Fatal(err)
	}
}

func parse(args []string) (*options, error) {
	o := new(options)
	f := flag.NewFlagSet("accuracy", flag.ExitOnError)
	tools := ""
	if dir, ok := sharedtest.Dir(); ok {
		tools = filepath.Join(dir, "tools")
	}
	f.StringVar(&o.corpus, "corpus", "", "folder that scripts/setup corpus filled")
	f.StringVar(&o.tools, "tools", tools, "folder of transform.py, copies2.py and families.py; empty: only what is drawn here")
	f.StringVar(&o.python, "python", "/usr/bin/python3", "interpreter that has PIL and OpenCV")
	f.StringVar(&o.out, "out", "", "folder to write to")
	f.StringVar(&o.base, "base", "", "results.tsv of an earlier run to compare with")
	halves := f.String("half", "judge", "choose, judge or both")
	f.IntVar(&o.originals, "originals", 0, "ask copies of so many originals; 0: all of the half")
	f.IntVar(&o.members, "members", 24, "draw so many pictures of each family")
	f.IntVar(&o.registered, "registered", 0, "register so many of each family, each alone; 0: all")
	f.IntVar(&o.documents, "documents", 4, "ask true copies of so many registered pictures of each family")
	f.IntVar(&o.innocent, "innocent", 0, "ask so many unrelated pictures; 0: all")
	kinds := f.String("kinds", "", "kinds of copies, or groups of them; empty: all")
	families := f.String("families", "", "families; empty: all of the half")
	f.StringVar(&o.classes, "classes", "", "folder of folders of pictures, each a family, in addition")
	f.StringVar(&o.more, "more", "", "folder of folders of unrelated pictures: of each, all are registered or all are asked")
	f.IntVar(&o.each, "each", 40, "take so many of each folder of -more")
	sides := f.String("sides", "copies,families,unrelated", "what to measure")
	f.StringVar(&o.seed, "seed", "1", "which originals and pictures a sample has")
	f.IntVar(&o.jobs, "j", runtime.GOMAXPROCS(0), "pictures at a time")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	o.kinds, o.families, o.sides = split(*kinds), split(*families), split(*sides)
	var err error
	if o.half, err = parseHalf(*halves); err != nil {
		return nil, err
	}
	for _, s := range o.sides {
		if !slices.Contains([]string{"copies", "families", "unrelated"}, s) {
			return nil, fmt.Errorf("-sides %q: want copies, families, unrelated", s)
		}
	}
	switch {
	case f.NArg() > 0:
		return nil, fmt.Errorf("unknown argument %q", f.Arg(0))
	case o.corpus == "":
		return nil, fmt.Errorf("-corpus is needed: scripts/setup corpus fills one")
	case o.members < 2 || o.jobs < 1:
		return nil, fmt.Errorf("-members %d or -j %d is too small", o.members, o.jobs)
	}
	return o, nil
}

func split(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' })
}

func run(ctx context.Context, o *options) error {
	m, err := newMaterial(ctx, o)
	if err != nil {
		return err
	}
	defer m.close()
	if o.out == "" {
		if o.out, err = os.MkdirTemp("", "accuracy-"); err != nil {
			return err
		}
		defer os.RemoveAll(o.out)
	} else if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	r, err := openResults(filepath.Join(o.out, "results.tsv"), m.identity)
	if err != nil {
		return err
	}
	defer r.close()
	if err := measure(ctx, o, m, r); err != nil {
		return err
	}
	c, err := costs(ctx, m)
	if err != nil {
		return err
	}
	report := report(r.rows, c, o)
	fmt.Print(report)
	if err := os.WriteFile(filepath.Join(o.out, "report.md"), []byte(report), 0o644); err != nil {
		return err
	}
	if err := writeWorst(filepath.Join(o.out, "worst.html"), r.rows, m); err != nil {
		return err
	}
	if o.base != "" {
		old, err := readResults(o.base)
		if err != nil {
			return err
		}
		fmt.Print(compare(old, r.rows))
	}
	return r.close()
}
