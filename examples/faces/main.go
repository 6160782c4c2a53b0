// Faces shows a face opt-out from end to end with a real model: a person sends a
// photograph of themselves, and every other photograph of them is blocked;
// photographs of other people are not, or are held for somebody to look at
// where they resemble; and when the person withdraws, all is as before, and
// nothing of their face is left.
//
// The model is a public one, run by node as a child process. Its package has six
// photographs of groups of people. Neither is part of the repository; setup
// installs both.
//
//	./scripts/setup faces     # once: node, and the model's packages
//	go run ./examples/faces
//
// Photographs of your own show more. Several people, each in several photographs,
// need a folder with a table SOURCES.tsv that has the columns file and person:
//
//	go run ./examples/faces -photos FOLDER -person NAME
//
// With -proof it measures the model on such a folder, or on one with a folder for each
// person: wrong blocks and holds, recall, relatives, universal faces, changed copies.
package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// The thresholds are those of the calibration in docs/faces.md, for this model
// and such photographs. Block: the lowest rate of false matches that 48 people
// support, 0.0162 a pair. Review: 0.05 a pair. Both are far too high for a real
// list; that is the finding there, and why this is an example.
const (
	block  = 0.934
	review = 0.903
)

func main() {
	person := flag.String("person", guest, "whose opt-out is shown step by step; somebody with several photographs")
	photos := flag.String("photos", "", "folder with photographs and SOURCES.tsv; the default is the photographs of the model's package")
	proofOf := flag.String("proof", "", "measure the model on a folder of photographs instead: see docs/faces.md")
	blockAt := flag.Float64("block", 0, "threshold of -proof; 0 chooses it from half of the people")
	reviewAt := flag.Float64("review", 0, "threshold of -proof, with -block")
	model := flag.String("model", "", "folder of the model's server; the default is examples/calibrate/descriptors of the repository")
	flag.Parse()
	run := func() error { return main1(*person, *photos, *model) }
	if *proofOf != "" {
		run = func() error { return mainProof(*proofOf, *model, *blockAt, *reviewAt) }
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "faces:", err)
		os.Exit(1)
	}
}

func main1(person, photos, model string) error {
	root, err := repository()
	if err != nil {
		return err
	}
	model = cmp.Or(model, filepath.Join(root, "examples", "calibrate", "descriptors"))
	ctx := context.Background()
	embedder, err := startModel(ctx, model)
	if err != nil {
		return err
	}
	var album []photo
	if photos != "" {
		album, err = readAlbum(photos)
	} else {
		album, err = sampleAlbum(model)
	}
	if err != nil {
		return errors.Join(err, embedder.Close())
	}
	dir, err := os.MkdirTemp("", "staydown-faces-")
	if err == nil {
		_, err = run(ctx, os.Stdout, dir, album, person, embedder)
		os.RemoveAll(dir)
	}
	return errors.Join(err, embedder.Close())
}

// mainProof measures the model on the photographs of a folder.
func mainProof(folder, model string, block, review float64) error {
	root, err := repository()
	if err != nil {
		return err
	}
	pool := newPool(1, func(ctx context.Context) (*Embedder, error) {
		return startModel(ctx, cmp.Or(model, filepath.Join(root, "examples", "calibrate", "descriptors")))
	})
	album, err := readAlbum(folder)
	if err == nil {
		_, err = prove(context.Background(), os.Stdout, album, pool, block, review)
	}
	return errors.Join(err, pool.Close())
}

// repository returns the root of the repository, from any folder in it.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "examples", "calibrate", "descriptors", "serve.js")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("this is not in the repository of staydown: run it from there, it needs examples/calibrate/descriptors")
		}
		dir = parent
	}
}

// photo is one photograph of the album.
type photo struct {
	Person, Name string
	file         []byte
	candidate    takedown.Candidate
}

// readAlbum reads the photographs that the columns file and person of SOURCES.tsv
// name, or those in a folder for each person.
func readAlbum(folder string) ([]photo, error) {
	b, err := os.ReadFile(filepath.Join(folder, "SOURCES.tsv"))
	if files, _ := filepath.Glob(filepath.Join(folder, "*", "*.jp*g")); errors.Is(err, os.ErrNotExist) && len(files) > 0 {
		return albumOf(files)
	}
	if err != nil {
		return nil, fmt.Errorf("no labelled photographs: %w", err)
	}
	r := csv.NewReader(bytes.NewReader(b))
	r.Comma, r.LazyQuotes = '\t', true
	rows, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("SOURCES.tsv: %w", err)
	}
	file, person := slices.Index(rows[0], "file"), slices.Index(rows[0], "person")
	if file < 0 || person < 0 {
		return nil, errors.New("SOURCES.tsv has no columns file and person")
	}
	var album []photo
	for _, row := range rows[1:] {
		p := photo{Person: row[person], Name: row[file]}
		if p.file, err = os.ReadFile(filepath.Join(folder, p.Name)); err != nil {
			return nil, err
		}
		album = append(album, p)
	}
	return album, nil
}

func albumOf(files []string) (album []photo, err error) {
	for _, f := range files {
		p := photo{Person: filepath.Base(filepath.Dir(f)), Name: filepath.Base(f)}
		if p.file, err = os.ReadFile(f); err != nil {
			return nil, err
		}
		album = append(album, p)
	}
	return album, nil
}

// result is what the run found, for the test.
type result struct {
	Case      desk.Case
	Preview   desk.Preview
	Accepted  map[string]takedown.Decision // by the name of the photograph
	Loaded    map[string]takedown.Decision // by another node, from the snapshot
	Withdrawn map[string]takedown.Decision
	After     desk.Case // withdrawn
	People    []score   // everybody with several photographs
}

// score is how the opt-out of one person went, filed with their first photograph.
type score struct {
	Person                                  string
	Blocked, Held, Missed                   int // of their other photographs
	Least                                   float64
	OthersBlocked, OthersHeld, OthersPassed int
	Most                                    float64 // how similar a stranger is
}

// run does everything, with the desk in dir.
func run(ctx context.Context, out io.Writer, dir string, album []photo, person string, embedder *Embedder) (*result, error) {
	res := &result{}
	if !slices.ContainsFunc(album, func(p photo) bool { return p.Person == person }) {
		return nil, fmt.Errorf("nobody of the photographs is called %q", person)
	}
	fmt.Fprintf(out, "The model is %s, %d dimensions. Looking for faces in %d photographs …\n", embedder.Model, embedder.Dimensions, len(album))
	began := time.Now()
	faces := 0
	for i := range album {
		var err error
		src := takedown.Source{ImageURL: "https://photos.example/" + album[i].Name}
		// The faces alone: what other tiers find is shown by examples/quickstart.
		opts := &takedown.InspectOptions{FaceEmbedder: embedder, NoFeatures: true}
		if album[i].candidate, err = takedown.InspectContext(ctx, bytes.NewReader(album[i].file), src, opts); err != nil {
			return nil, fmt.Errorf("%s: %w", album[i].Name, err)
		}
		faces += len(album[i].candidate.Faces)
	}
	fmt.Fprintf(out, "%d faces, %.0f ms a photograph\n", faces, float64(time.Since(began).Milliseconds())/float64(len(album)))

	key := new(blocklist.EncryptionKey)
	rand.Read(key[:])
	desk, err := desk.Open(filepath.Join(dir, "takedowns"), &desk.Options{
		FaceEmbedder: embedder,
		FaceModels:   []desk.FaceModel{{Name: embedder.Model, Dimensions: embedder.Dimensions, Block: block, Review: review}},
		ListKey:      key,
	})
	if err != nil {
		return nil, err
	}
	defer desk.Close()

	if err := res.story(ctx, out, dir, desk, key, album, person); err != nil {
		return nil, err
	}
	return res, res.everybody(ctx, out, desk, album)
}

// story follows the opt-out of one person.
func (res *result) story(ctx context.Context, out io.Writer, dir string, dk *desk.Desk, key *blocklist.EncryptionKey, album []photo, person string) error {
	first := slices.IndexFunc(album, func(p photo) bool { return p.Person == person })
	fmt.Fprintf(out, "\n1. %s sends %s and asks that no picture of that face is shown.\n", person, album[first].Name)
	c, err := dk.Submit(ctx, optOut(album[first]))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "   case %v: %s, %d face(s) in the picture\n", c.ID, c.State, c.Pictures[0].Faces)

	fmt.Fprintln(out, "\n2. A reviewer looks at what an acceptance would hit in the index.")
	if res.Preview, err = dk.Preview(ctx, c.ID, index(album), nil); err != nil {
		return err
	}
	fmt.Fprintf(out, "   of %d pictures %d would be blocked and %d held; the nearest that would stay:\n", res.Preview.Looked, res.Preview.Block, res.Preview.Review)
	for _, n := range res.Preview.NearFaces[:min(3, len(res.Preview.NearFaces))] {
		fmt.Fprintf(out, "     %.3f  %s\n", n.Similarity, n.Item.Key)
	}

	fmt.Fprintln(out, "\n3. Two reviewers accept: a face takes two.")
	if err := acceptByTwo(ctx, dk, c.ID); err != nil {
		return err
	}
	if res.Case, err = dk.Case(ctx, c.ID); err != nil {
		return err
	}
	fmt.Fprintf(out, "   %s as rule %d: block from %.3f, review from %.3f\n", res.Case.State, res.Case.Rules[0], res.Case.Face.Block, res.Case.Face.Review)

	fmt.Fprintln(out, "\n4. A crawler meets the photographs.")
	res.Accepted = map[string]takedown.Decision{}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	passed := 0
	for _, p := range album {
		d := dk.Enforcer().Check(p.candidate)
		res.Accepted[p.Name] = d
		if d.Verdict == takedown.Allow && p.Person != person {
			passed++
			continue
		}
		who := "somebody else: " + p.Person
		if p.Person == person {
			who = "another photograph"
			if p.Name == album[first].Name {
				who = "the photograph that was sent"
			}
		}
		fmt.Fprintf(w, "   %v\t%s\t%s\t%.3f\n", d.Verdict, p.Name, who, d.Similarity)
	}
	w.Flush()
	fmt.Fprintf(out, "   allow: the other %d, all of other people\n", passed)

	fmt.Fprintln(out, "\n5. Another machine enforces the same, from the published snapshot.")
	snapshot := filepath.Join(dir, "blocklist.snap")
	if err := dk.Publish(ctx, snapshot); err != nil {
		return err
	}
	node, err := takedown.Load(snapshot, &takedown.EnforcerOptions{EncryptionKey: key})
	if err != nil {
		return err
	}
	defer node.Close()
	res.Loaded = map[string]takedown.Decision{}
	same := 0
	for _, p := range album {
		d := node.Check(p.candidate)
		res.Loaded[p.Name] = d
		if d == res.Accepted[p.Name] {
			same++
		}
	}
	fmt.Fprintf(out, "   %d of %d answers are the same\n", same, len(album))

	fmt.Fprintf(out, "\n6. %s withdraws.\n", person)
	if err := dk.Withdraw(ctx, c.ID, desk.Actor{Reason: "withdrawn"}); err != nil {
		return err
	}
	res.Withdrawn = map[string]takedown.Decision{}
	allowed := 0
	for _, p := range album {
		d := dk.Enforcer().Check(p.candidate)
		res.Withdrawn[p.Name] = d
		if d.Verdict == takedown.Allow {
			allowed++
		}
	}
	if res.After, err = dk.Case(ctx, c.ID); err != nil {
		return err
	}
	r := res.After.Request.(request.FaceOptOut)
	fmt.Fprintf(out, "   allow: %d of %d. The case is %s; it has %d pictures and %d templates left.\n", allowed, len(album), res.After.State, len(r.Images), templates(res.After))
	return nil
}

// everybody shows how the opt-out of each person with several photographs goes.
func (res *result) everybody(ctx context.Context, out io.Writer, dk *desk.Desk, album []photo) error {
	count := map[string]int{}
	for _, p := range album {
		count[p.Person]++
	}
	fmt.Fprintln(out, "\nThe same for everybody of whom there are several photographs, each filed with the first one:")
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "   person\ttheir others: blocked\theld\tmissed\tleast similar\tother people: blocked\theld\tpassed\tmost similar")
	for i, p := range album {
		if count[p.Person] < 2 || slices.ContainsFunc(res.People, func(s score) bool { return s.Person == p.Person }) {
			continue
		}
		c, err := dk.Submit(ctx, optOut(p))
		if err == nil {
			err = acceptByTwo(ctx, dk, c.ID)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p.Person, err)
		}
		s := score{Person: p.Person, Least: 1, Most: -1}
		for k, q := range album {
			verdict := dk.Enforcer().Check(q.candidate).Verdict
			nearest := similarity(p, q)
			switch {
			case k == i:
			case q.Person == p.Person:
				s.Least = min(s.Least, nearest)
				tally(verdict, &s.Blocked, &s.Held, &s.Missed)
			default:
				s.Most = max(s.Most, nearest)
				tally(verdict, &s.OthersBlocked, &s.OthersHeld, &s.OthersPassed)
			}
		}
		if err := dk.Withdraw(ctx, c.ID, desk.Actor{Reason: "withdrawn"}); err != nil {
			return err
		}
		res.People = append(res.People, s)
		fmt.Fprintf(w, "   %s\t%d\t%d\t%d\t%.3f\t%d\t%d\t%d\t%.3f\n", s.Person, s.Blocked, s.Held, s.Missed, s.Least, s.OthersBlocked, s.OthersHeld, s.OthersPassed, s.Most)
	}
	return w.Flush()
}

func tally(v takedown.Verdict, blocked, held, passed *int) {
	switch v {
	case takedown.Block:
		*blocked++
	case takedown.Review:
		*held++
	default:
		*passed++
	}
}

// similarity is that of the most similar faces of two photographs.
func similarity(p, q photo) (most float64) {
	most = -1
	for _, f := range p.candidate.Faces {
		for _, g := range q.candidate.Faces {
			s, _ := f.Similarity(g)
			most = max(most, s)
		}
	}
	return most
}

// optOut is what the form of a service sends.
func optOut(p photo) request.FaceOptOut {
	return request.FaceOptOut{
		Requester: request.Requester{Name: p.Person, Email: p.Person + "@people.example", Country: "DE"},
		Images:    []request.File{request.FromBytes(p.file)},
		Biometric: request.Statement{
			ID: "face-consent", Version: "1", Language: "en", Accepted: time.Now().UTC().Truncate(time.Second),
			Text: "You may make a template of my face and keep it, only to enforce this opt-out. If I withdraw it, you destroy the template.",
		},
		Reason: "I do not want to be found by my face.",
	}
}

// acceptByTwo accepts a case as two reviewers do, one after the other.
func acceptByTwo(ctx context.Context, dk *desk.Desk, id takedown.CaseID) error {
	err := dk.Accept(ctx, id, desk.Grant{Actor: desk.Actor{By: "first-reviewer", Reason: "well_founded"}})
	var second *desk.SecondReviewError
	if !errors.As(err, &second) {
		return cmp.Or(err, errors.New("a face was granted by one reviewer"))
	}
	return dk.Accept(ctx, id, desk.Grant{Actor: desk.Actor{By: "second-reviewer", Reason: "well_founded"}})
}

// templates returns how many templates a case still has.
func templates(c desk.Case) (n int) {
	for _, it := range c.Items {
		if it.Template != nil {
			n++
		}
	}
	return n
}

// index gives the photographs as an index would that has stored what it knows.
func index(album []photo) takedown.Items {
	sorted := slices.SortedFunc(slices.Values(album), func(a, b photo) int { return cmp.Compare(a.Name, b.Name) })
	return func(_ context.Context, after string) iter.Seq2[takedown.Item, error] {
		return func(yield func(takedown.Item, error) bool) {
			for _, p := range sorted {
				if p.Name > after && !yield(takedown.Item{Key: p.Name, Candidate: p.candidate}, nil) {
					return
				}
			}
		}
	}
}
