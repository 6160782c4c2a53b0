// Command budget measures what the match budget of package takedown is weighed
// by: how many different pictures a rule matches weakly in a day on which it is
// right, and on which it is wrong.
//
//	budget -originals DIR -copies DIR[,DIR…] [-every N] [-features]
//
// The folders are those of command hashes. Every original is registered by an
// image opt-out at a desk, and every copy of everything is looked at in one day:
//
//	innocent  every other original is registered, and only the copies of those
//	          that are not are looked at: whatever is counted is counted wrongly
//	viral     all are registered, and each is met in all its copies
//	layout    one of 300 pages of one layout is registered, whose texts differ, and
//	          the others are looked at: a rule that is wrong
//
// The desks have a budget of one picture, so a count of one is shown as 0.
//
// With -features the copies are looked at by local features too, which takes
// four times as long.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/staydown/staydown/internal/tools/accuracy/internal/labelled"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("budget: ")
	originals := flag.String("originals", "", "folder of different pictures")
	copies := flag.String("copies", "", "folders of copies with manifest.tsv, separated by commas")
	every := flag.Int("every", 1, "look at every n-th copy only")
	features := flag.Bool("features", false, "look at the copies by local features too")
	flag.Parse()
	if *originals == "" || *copies == "" || *every < 1 || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	table, err := run(context.Background(), *originals, strings.Split(*copies, ","), *every, 300, *features)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(table)
}

// counting is a desk whose budget is one picture, so that it tells all counts above.
type counting struct {
	*desk.Desk
	rules, looked int
}

func open(dir string) (*counting, error) {
	day := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	d, err := desk.Open(dir, &desk.Options{MatchBudget: 1, OneReviewer: true, Now: func() time.Time { return day }})
	return &counting{Desk: d}, err
}

// register has a picture accepted; ok is false if its hash is not matched.
func (d *counting) register(ctx context.Context, file []byte) (ok bool, err error) {
	c, err := d.Submit(ctx, request.ImageOptOut{
		Requester: request.Requester{Name: "Measure", Email: "measure@example.org"}, Images: []request.File{request.FromBytes(file)}, Claim: request.ClaimDepicted,
	})
	if err != nil || c.Pictures[0].MaxScope < takedown.ScopeDuplicate {
		return false, err
	}
	d.rules++
	return true, d.Accept(ctx, c.ID, desk.Grant{Actor: desk.Actor{By: "measure"}})
}

func (d *counting) look(c takedown.Candidate) {
	d.looked++
	d.Enforcer().Check(c)
}

// line says how the counts of the rules are spread.
func (d *counting) line(ctx context.Context, name string) (string, error) {
	alarms, err := d.AddMatchCounts(ctx, nil)
	if err != nil {
		return "", err
	}
	counts := make([]int, d.rules)
	for i, a := range alarms {
		counts[i] = a.Pictures
	}
	slices.Sort(counts)
	at := func(percent int) int { return counts[(len(counts)-1)*percent/100] }
	return fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %d |\n", name, d.rules, d.looked, at(50), at(90), at(99), at(100)), nil
}

func run(ctx context.Context, dir string, copyDirs []string, every, pages int, features bool) (string, error) {
	tmp, err := os.MkdirTemp("", "budget-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	desks := map[string]*counting{}
	for _, name := range []string{"even", "odd", "all", "layout"} {
		d, err := open(filepath.Join(tmp, name))
		if err != nil {
			return "", err
		}
		defer d.Close()
		desks[name] = d
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.jpg"))
	if err != nil || len(files) == 0 {
		return "", fmt.Errorf("no pictures (*.jpg) in %s: %w", dir, errors.Join(err))
	}
	halves := [2]string{"even", "odd"}
	other := map[string]string{} // original → the desk that does not have it
	for i, path := range files {
		file, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		other[filepath.Base(path)] = halves[1-i%2]
		for _, d := range []string{halves[i%2], "all"} {
			if _, err := desks[d].register(ctx, file); err != nil {
				return "", fmt.Errorf("%s: %w", path, err)
			}
		}
	}
	opts := &takedown.InspectOptions{NoFeatures: !features}
	n := 0
	for _, dir := range copyDirs {
		copies, err := labelled.Read(dir)
		if err != nil {
			return "", err
		}
		for _, copied := range copies {
			if n++; n%every != 0 {
				continue
			}
			f, err := os.Open(copied.Path)
			if err != nil {
				return "", err
			}
			c, err := takedown.Inspect(f, takedown.Source{}, opts)
			if err = errors.Join(err, f.Close()); err != nil {
				return "", fmt.Errorf("%s: %w", copied.Path, err)
			}
			c.SHA256 = [32]byte{}
			desks["all"].look(c)
			// A collage shows pictures of both halves.
			if !strings.HasPrefix(copied.Transform, "collage") {
				desks[other[copied.Original]].look(c)
			}
			if n%1000 == 0 {
				fmt.Fprintf(os.Stderr, "%d copies\n", n)
			}
		}
	}
	if err := layouts(ctx, desks["layout"], pages, opts); err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("| | rules | pictures looked at | median | 90 % | 99 % | most |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, x := range [][2]string{{"even", "innocent, first half"}, {"odd", "innocent, second half"}, {"all", "viral"}, {"layout", "layout"}} {
		line, err := desks[x[0]].line(ctx, x[1])
		if err != nil {
			return "", err
		}
		b.WriteString(line)
	}
	return b.String(), nil
}

// layouts registers the first of some pages and looks at all.
func layouts(ctx context.Context, d *counting, pages int, opts *takedown.InspectOptions) error {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range pages {
		file, err := page(r)
		if err != nil {
			return err
		}
		if i == 0 {
			if ok, err := d.register(ctx, file); err != nil || !ok {
				return fmt.Errorf("the page is not registered: %w", err)
			}
		}
		c, err := takedown.Inspect(bytes.NewReader(file), takedown.Source{}, opts)
		if err != nil {
			return err
		}
		c.SHA256 = [32]byte{}
		d.look(c)
	}
	return nil
}

// page draws a page such as sites have by the thousand: a bar, a menu and an
// illustration that are the same on all, and lines of text of which none is on
// two.
func page(r *rand.Rand) ([]byte, error) {
	m := image.NewGray(image.Rect(0, 0, 480, 640))
	draw.Draw(m, m.Rect, image.White, image.Point{}, draw.Src)
	fill := func(x0, y0, x1, y1 int, v uint8) {
		draw.Draw(m, image.Rect(x0, y0, x1, y1), image.NewUniform(color.Gray{Y: v}), image.Point{}, draw.Src)
	}
	fill(0, 0, 480, 70, 40)
	fill(0, 70, 110, 640, 200)
	same := rand.New(rand.NewPCG(3, 4))
	for y := 90; y < 380; y += 29 {
		for x := 130; x < 470; x += 34 {
			fill(x, y, x+34, y+29, uint8(same.IntN(256)))
		}
	}
	for y := 400; y < 620; y += 14 {
		for x, end := 140, 300+r.IntN(160); x < end; {
			w := 8 + r.IntN(30)
			fill(x, y, x+w, y+7, uint8(60+r.IntN(60)))
			x += w + 5
		}
	}
	var b bytes.Buffer
	err := png.Encode(&b, m)
	return b.Bytes(), err
}
