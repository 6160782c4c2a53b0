package browser_test

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"hash/fnv"
	"image"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/staydown/staydown/internal/tools/browser"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/phash/avif"
	"github.com/staydown/staydown/takedown"
)

var (
	each = flag.Int("each", 250, "how many bytes of each file are changed, spread evenly; 0 for every byte")
	only = flag.String("only", "", "the formats, as a part of their names")
	keep = flag.String("keep", "", "a folder for the files that are not looked at, or far from what is shown")
)

// What is asked of all files with one changed byte that the browser still shows:
// docs/decoding.md.
const (
	wantLooked = 0.995 // are looked at
	wantNear   = 0.99  // of these: within nearBits of the browser's own pixels
	nearBits   = 10
	sameScene  = 0.9 // correlation above which the browser shows the picture
)

// tally counts the changed files of one format.
type tally struct {
	changed, shown, looked, near int
	// held are shown and not looked at, but known to be pictures: by default they
	// are held for review.
	held int
}

func (a *tally) add(b tally) {
	a.changed += b.changed
	a.shown += b.shown
	a.looked += b.looked
	a.near += b.near
	a.held += b.held
}

// TestChangedBytes changes single bytes of small files of all formats. What the
// browser still shows has to be looked at, with a hash near that of the browser's
// own pixels.
func TestChangedBytes(t *testing.T) {
	if testing.Short() {
		t.Skip("asks a browser about thousands of files")
	}
	program := browser.Program()
	if program == "" {
		t.Skip("no Chromium is installed: see scripts/setup")
	}
	b, err := browser.Start(program)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	tallies, all := map[string]tally{}, tally{}
	files := seeds(t)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.Contains(name, *only) {
			tallies[name] = flip(t, b, name, files[name])
			all.add(tallies[name])
		}
	}
	t.Log("\n" + table(tallies, all))
	if looked := part(all.looked, all.shown); looked < wantLooked && all.shown > 0 {
		t.Errorf("%.2f %% of what is shown are looked at, want %.1f %%", 100*looked, 100*wantLooked)
	}
	if all.looked+all.held < all.shown {
		t.Errorf("%d files are shown, not looked at, and not held for review", all.shown-all.looked-all.held)
	}
	if near := part(all.near, all.looked); near < wantNear {
		t.Errorf("%.2f %% of what is looked at are within %d bits, want %.0f %%", 100*near, nearBits, 100*wantNear)
	}
}

func part(n, of int) float64 { return float64(n) / float64(max(1, of)) }

func table(tallies map[string]tally, all tally) string {
	var s strings.Builder
	w := tabwriter.NewWriter(&s, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "format\tchanged\tshown\tlooked at\twithin 10 bits")
	row := func(name string, c tally) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d (%.1f %%)\t%d (%.1f %%)\n", name, c.changed, c.shown,
			c.looked, 100*part(c.looked, c.shown), c.near, 100*part(c.near, c.looked))
	}
	for _, name := range slices.Sorted(maps.Keys(tallies)) {
		row(name, tallies[name])
	}
	row("all", all)
	w.Flush()
	return s.String()
}

// batch is how many files the browser is asked about at a time.
const batch = 128

// flip changes bytes of one file.
func flip(t *testing.T, b *browser.Browser, name string, sound browser.File) (c tally) {
	shown, err := b.Show(t.Context(), []browser.File{sound})
	if err != nil {
		t.Fatal(err)
	}
	if shown[0] == nil {
		t.Fatalf("%s: the browser does not show the sound file", name)
	}
	reference := shown[0]
	if d, ok := look(sound.Data).distance(reference); !ok || d > nearBits {
		t.Errorf("%s: the sound file is %d bits from what is shown, looked at %t", name, d, ok)
	}
	seed := fnv.New64a()
	seed.Write([]byte(name))
	random := rand.New(rand.NewPCG(seed.Sum64(), 1))
	places := places(len(sound.Data))
	for part := range slices.Chunk(places, batch) {
		var files []browser.File
		for _, at := range part {
			data := bytes.Clone(sound.Data)
			data[at] ^= byte(1 + random.IntN(255))
			files = append(files, browser.File{Type: sound.Type, Data: data})
		}
		shown, err := b.Show(t.Context(), files)
		if err != nil {
			t.Fatal(name, err)
		}
		for i, m := range shown {
			c.changed++
			if m == nil || correlation(m, reference) <= sameScene {
				continue
			}
			c.shown++
			d, ok := look(files[i].Data).distance(m)
			switch {
			case !ok:
				l := look(files[i].Data)
				if l.undecodable {
					c.held++
				}
				why, _, _ := strings.Cut(fmt.Sprint(l.err), "\n")
				t.Logf("%s, byte %d: %d is shown and not looked at: %s", name, part[i], files[i].Data[part[i]], why)
			case d > nearBits:
				c.looked++
				t.Logf("%s, byte %d: %d is %d bits from what is shown", name, part[i], files[i].Data[part[i]], d)
			default:
				c.looked++
				c.near++
				continue
			}
			keepFile(t, fmt.Sprintf("%s-%d", strings.ReplaceAll(name, " ", "-"), part[i]), files[i])
		}
	}
	return c
}

func keepFile(t *testing.T, name string, f browser.File) {
	if *keep == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(*keep, name+"."+strings.TrimPrefix(f.Type, "image/")), f.Data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// places are the bytes that are changed.
func places(n int) (list []int) {
	count := n
	if *each > 0 {
		count = min(n, *each)
	}
	for i := range count {
		list = append(list, i*n/count)
	}
	return list
}

// looked is what the library sees of a file.
type looked struct {
	hashes      []phash.Hash
	err         error
	undecodable bool
}

var inspecting = &takedown.InspectOptions{
	NoFeatures: true,
	Decode:     &phash.DecodeOptions{Decoders: map[phash.Format]phash.Decoder{phash.FormatAVIF: avif.Decode}},
}

func look(file []byte) (l looked) {
	c, err := takedown.Inspect(bytes.NewReader(file), takedown.Source{}, inspecting)
	l.err, l.hashes, l.undecodable = err, c.Hashes, c.Undecodable
	for _, f := range c.Frames {
		l.hashes = append(l.hashes, f.Hashes...)
	}
	l.hashes = slices.DeleteFunc(l.hashes, phash.Hash.IsZero)
	return l
}

// distance returns how far the nearest hash is from that of what the browser shows.
func (l looked) distance(shown image.Image) (bits int, ok bool) {
	pic, err := phash.NewPicture(shown)
	if err != nil || len(l.hashes) == 0 {
		return 0, false
	}
	own, _ := pic.PDQ()
	bits = math.MaxInt
	for _, h := range l.hashes {
		if n, ok := h.Distance(own); ok {
			bits = min(bits, n)
		}
	}
	return bits, true
}

// correlation is that of the brightness of two pictures, on 64 × 64 points.
func correlation(a, b *image.NRGBA) float64 {
	x, y := points(a), points(b)
	mean := func(v []float64) (m float64) {
		for _, f := range v {
			m += f
		}
		return m / float64(len(v))
	}
	mx, my := mean(x), mean(y)
	var xy, xx, yy float64
	for i := range x {
		xy += (x[i] - mx) * (y[i] - my)
		xx += (x[i] - mx) * (x[i] - mx)
		yy += (y[i] - my) * (y[i] - my)
	}
	return xy / cmp.Or(math.Sqrt(xx*yy), 1)
}

// points is the brightness of a picture, by areas.
func points(m *image.NRGBA) []float64 {
	const side = 64
	var sums, counts [side * side]float64
	w, h := m.Rect.Dx(), m.Rect.Dy()
	for y := range h {
		for x := range w {
			p := m.Pix[y*m.Stride+4*x:]
			k := y*side/h*side + x*side/w
			sums[k] += 0.299*float64(p[0]) + 0.587*float64(p[1]) + 0.114*float64(p[2])
			counts[k]++
		}
	}
	for k := range sums {
		sums[k] /= math.Max(1, counts[k])
	}
	return sums[:]
}
