// Command tiers measures the whole of it: every original is registered by an
// image opt-out at a desk, every copy goes through takedown.Inspect and
// Enforcer.Check, as in a crawler, and the table says which tier blocked it.
//
//	tiers -originals DIR -copies DIR[,DIR…] [-every N] [-out FILE]
//	tiers -negatives DIR [-out FILE]
//
// The folders are those of command hashes. A copy counts as found when the
// decision names the case of its original, and as wrong when it names another
// one. A collage shows four pictures, all of them registered here: it counts as
// found when it is blocked for any of them.
//
// With -negatives, DIR is a folder of folders of pictures that are different and
// carry the same thing, a page, a frame, a watermark: see
// internal/tools/measure/negatives.py. Every picture is registered by itself,
// and every other one of its folder is asked, by its hashes and by all tiers.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/staydown/staydown/internal/tools/accuracy/internal/labelled"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("tiers: ")
	originals := flag.String("originals", "", "folder of different pictures")
	copies := flag.String("copies", "", "folders of copies with manifest.tsv, separated by commas")
	every := flag.Int("every", 1, "look at every n-th copy of each kind only")
	negatives := flag.String("negatives", "", "folder of folders of different pictures that carry the same thing")
	out := flag.String("out", "", "file to write the table to (default: standard output)")
	flag.Parse()
	var table string
	var err error
	switch {
	case flag.NArg() > 0 || *every < 1, *negatives == "" && (*originals == "" || *copies == ""):
		flag.Usage()
		os.Exit(2)
	case *negatives != "":
		table, err = runNegatives(context.Background(), *negatives)
	default:
		table, err = run(context.Background(), *originals, strings.Split(*copies, ","), *every)
	}
	if err != nil {
		log.Fatal(err)
	}
	if *out == "" {
		fmt.Print(table)
		return
	}
	if err := os.WriteFile(*out, []byte(table), 0o644); err != nil {
		log.Fatal(err)
	}
}

// registered is an original at the desk.
type registered struct {
	name    string
	refused string // why its hash is not matched; empty if it is
	points  int
}

// tally counts the decisions about the copies of one kind.
type tally struct {
	copies, hash, features, review, missed, wrong int
}

func run(ctx context.Context, dir string, copyDirs []string, every int) (string, error) {
	tmp, err := os.MkdirTemp("", "tiers-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	desk, err := desk.Open(tmp, &desk.Options{OneReviewer: true})
	if err != nil {
		return "", err
	}
	defer desk.Close()
	cases, err := register(ctx, desk, dir)
	if err != nil {
		return "", err
	}
	copies, err := readManifests(copyDirs, every)
	if err != nil {
		return "", err
	}

	names := map[string]takedown.CaseID{}
	for id, r := range cases {
		if r.refused == "" {
			names[r.name] = id
		}
	}
	tallies := map[string]*tally{}
	var wrong []string
	var mu sync.Mutex
	ask := func(i int) error {
		c := copies[i]
		id, ok := names[c.Original]
		if !ok {
			return nil // refused: it is found by its file and addresses only
		}
		d, err := check(desk.Enforcer(), c.Path)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Path, err)
		}
		mu.Lock()
		defer mu.Unlock()
		t := tallies[c.Transform]
		if t == nil {
			t = new(tally)
			tallies[c.Transform] = t
		}
		t.copies++
		right := d.Case == id || strings.HasPrefix(c.Transform, "collage")
		switch {
		case d.Verdict == takedown.Allow:
			t.missed++
		case !right:
			t.wrong++
			wrong = append(wrong, fmt.Sprintf("%s → %s (%v by %v, distance %d, %d points, coverage %.2f)",
				filepath.Base(c.Path), cases[d.Case].name, d.Verdict, d.Why, d.Distance, d.Inliers, d.Coverage))
		case d.Verdict == takedown.Review:
			t.review++
		case d.Why == takedown.TierFeatures:
			t.features++
		default: // the same file counts as the same hash
			t.hash++
		}
		return nil
	}
	if err := labelled.Parallel(len(copies), "copies", ask); err != nil {
		return "", err
	}
	return markdown(cases, tallies, wrong), nil
}

// check does what a crawler does with a file that it fetched, and asks with the
// features, which take most of the time, only where Check would use them: when
// the other tiers do not block without a doubt.
func check(enf *takedown.Enforcer, path string) (takedown.Decision, error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return takedown.Decision{}, err
	}
	c, err := takedown.Inspect(bytes.NewReader(file), takedown.Source{}, &takedown.InspectOptions{NoFeatures: true})
	if err != nil {
		return takedown.Decision{}, err
	}
	if d := enf.Check(c); d.Verdict == takedown.Block && !d.Weak {
		return d, nil
	}
	if c, err = takedown.Inspect(bytes.NewReader(file), takedown.Source{}, nil); err != nil {
		return takedown.Decision{}, err
	}
	return enf.Check(c), nil
}

// register files an opt-out for every picture of a folder, and accepts it as
// far as it can be.
func register(ctx context.Context, desk *desk.Desk, dir string) (map[takedown.CaseID]registered, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.jpg"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no pictures (*.jpg) in %s: %w", dir, errors.Join(err))
	}
	cases := map[takedown.CaseID]registered{}
	for _, name := range files {
		file, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		id, p, err := optOut(ctx, desk, file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		cases[id] = registered{filepath.Base(name), p.Refused, p.Points}
	}
	return cases, nil
}

// optOut files an opt-out for a picture, and accepts it as far as it can be.
func optOut(ctx context.Context, dk *desk.Desk, file []byte) (takedown.CaseID, request.Picture, error) {
	c, err := dk.Submit(ctx, request.ImageOptOut{
		Requester: request.Requester{Name: "Measure", Email: "measure@example.org"},
		Images:    []request.File{request.FromBytes(file)},
		Claim:     request.ClaimOwner,
	})
	if err != nil {
		return takedown.CaseID{}, request.Picture{}, err
	}
	p := c.Pictures[0]
	return c.ID, p, dk.Accept(ctx, c.ID, desk.Grant{Actor: desk.Actor{By: "measure"}, Scope: p.MaxScope})
}

// readManifests returns every n-th copy of each kind.
func readManifests(dirs []string, every int) (copies []labelled.Copy, err error) {
	n := map[string]int{}
	for _, dir := range dirs {
		all, err := labelled.Read(dir)
		if err != nil {
			return nil, err
		}
		for _, c := range all {
			if n[c.Transform]%every == 0 {
				copies = append(copies, c)
			}
			n[c.Transform]++
		}
	}
	return copies, nil
}

func markdown(cases map[takedown.CaseID]registered, tallies map[string]*tally, wrong []string) string {
	var b strings.Builder
	var refused, pointless []string
	for _, r := range cases {
		if r.refused != "" {
			refused = append(refused, r.name)
		} else if r.points == 0 {
			pointless = append(pointless, r.name)
		}
	}
	slices.Sort(refused)
	slices.Sort(pointless)
	fmt.Fprintf(&b, "%d originals, %d refused for fuzzy matching, %d more with too few points for the features tier.\n\n",
		len(cases), len(refused), len(pointless))
	b.WriteString("| copies | number | block: hash | block: features | block, % | review, % | missed, % | wrong |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n")
	kinds := make([]string, 0, len(tallies))
	var sum tally
	for k, t := range tallies {
		kinds = append(kinds, k)
		sum.copies += t.copies
		sum.hash += t.hash
		sum.features += t.features
		sum.review += t.review
		sum.missed += t.missed
		sum.wrong += t.wrong
	}
	slices.Sort(kinds)
	row := func(name string, t *tally) {
		percent := func(n int) float64 { return 100 * float64(n) / float64(max(t.copies, 1)) }
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %.1f | %.1f | %.1f | %d |\n",
			name, t.copies, t.hash, t.features, percent(t.hash+t.features), percent(t.review), percent(t.missed), t.wrong)
	}
	for _, k := range kinds {
		row(k, tallies[k])
	}
	row("**all**", &sum)
	list := func(title string, names []string) {
		if len(names) == 0 {
			return
		}
		slices.Sort(names)
		fmt.Fprintf(&b, "\n%s:\n\n", title)
		for _, n := range names {
			fmt.Fprintf(&b, "- %s\n", n)
		}
	}
	list("Refused", refused)
	list("Too few points", pointless)
	list("Wrong", wrong)
	return b.String()
}
