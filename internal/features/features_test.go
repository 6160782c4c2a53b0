package features_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/internal/features"
	"github.com/staydown/staydown/internal/sharedtest"
)

// scene draws a picture that no other seed draws: shapes of all sizes over a
// gradient, with some grain. It uses integers only, so that it is the same on
// every architecture.
func scene(seed uint64, w, h int) *image.Gray {
	r := rand.New(rand.NewPCG(seed, 7))
	m := image.NewGray(image.Rect(0, 0, w, h))
	gx, gy := r.IntN(200)-100, r.IntN(200)-100
	for y := range h {
		for x := range w {
			m.Pix[y*m.Stride+x] = uint8(128 + gx*(2*x-w)/(2*w) + gy*(2*y-h)/(2*h))
		}
	}
	for range 220 {
		cx, cy := r.IntN(w), r.IntN(h)
		a, b := 2+r.IntN(1+w/(4+r.IntN(30))), 2+r.IntN(1+h/(4+r.IntN(30)))
		v, round := uint8(r.IntN(256)), r.IntN(2) == 0
		for y := max(cy-b, 0); y < min(cy+b, h); y++ {
			for x := max(cx-a, 0); x < min(cx+a, w); x++ {
				dx, dy, a, b := int64(x-cx), int64(y-cy), int64(a), int64(b)
				if round && dx*dx*b*b+dy*dy*a*a > a*a*b*b {
					continue
				}
				m.Pix[y*m.Stride+x] = v
			}
		}
	}
	for i := range m.Pix {
		m.Pix[i] = uint8(min(max(int(m.Pix[i])+r.IntN(9)-4, 0), 255))
	}
	return m
}

func mustExtract(tb testing.TB, m image.Image) features.Features {
	tb.Helper()
	f, err := features.Extract(m)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

func mustSegment(tb testing.TB, entries ...features.Entry) *features.Segment {
	tb.Helper()
	s, err := features.NewSegment(entries)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func search(s *features.Segment, f features.Features) (ms []features.Match) {
	var x features.Searcher
	s.Search(&x, f, func(m features.Match) bool { ms = append(ms, m); return true })
	return ms
}

// mapped returns a picture of w × h whose pixel x, y is that of m at the place
// that at gives, in 1/16 pixels, interpolated linearly.
func mapped(m *image.Gray, w, h int, at func(x, y int) (sx, sy int)) *image.Gray {
	out := image.NewGray(image.Rect(0, 0, w, h))
	b := m.Bounds()
	px := func(x, y int) int {
		return int(m.Pix[min(max(y, 0), b.Dy()-1)*m.Stride+min(max(x, 0), b.Dx()-1)])
	}
	for y := range h {
		for x := range w {
			sx, sy := at(x, y)
			ix, iy, fx, fy := sx>>4, sy>>4, sx&15, sy&15
			v := (px(ix, iy)*(16-fx)+px(ix+1, iy)*fx)*(16-fy) + (px(ix, iy+1)*(16-fx)+px(ix+1, iy+1)*fx)*fy
			out.Pix[y*out.Stride+x] = uint8((v + 128) >> 8)
		}
	}
	return out
}

func TestSearch_Copies(t *testing.T) {
	t.Parallel()
	const w, h = 640, 480
	orig := scene(1, w, h)
	entries := []features.Entry{{Features: mustExtract(t, orig), ID: 77}}
	for i := range uint64(20) {
		entries = append(entries, features.Entry{Features: mustExtract(t, scene(100+i, w, h)), ID: uint32(i)})
	}
	seg := mustSegment(t, entries...)

	onCanvas := func(cw, ch, x, y, nw, nh int) *image.Gray {
		c := scene(55, cw, ch)
		small := mapped(orig, nw, nh, func(px, py int) (int, int) { return px * 16 * w / nw, py * 16 * h / nh })
		draw.Draw(c, image.Rect(x, y, x+nw, y+nh), small, image.Point{}, draw.Src)
		return c
	}
	tests := []struct {
		name     string
		img      image.Image
		mirrored bool
	}{
		{"itself", orig, false},
		{"right half and a bit", orig.SubImage(image.Rect(220, 0, w, h)), false},
		{"middle", orig.SubImage(image.Rect(100, 80, 548, 416)), false},
		{"half the size", mapped(orig, w/2, h/2, func(x, y int) (int, int) { return 32*x + 8, 32*y + 8 }), false},
		{"a fifth of the size", mapped(mapped(orig, w, h, func(x, y int) (int, int) { return 16*x + 8, 16*y + 8 }), 128, 96, func(x, y int) (int, int) { return 80*x + 32, 80*y + 32 }), false},
		{"stretched by a quarter", mapped(orig, 800, h, func(x, y int) (int, int) { return x * 16 * w / 800, 16 * y }), false},
		{"mirrored", mapped(orig, w, h, func(x, y int) (int, int) { return 16 * (w - 1 - x), 16 * y }), true},
		{"upside down and mirrored", mapped(orig, w, h, func(x, y int) (int, int) { return 16 * x, 16 * (h - 1 - y) }), true},
		{"turned by a quarter", mapped(orig, h, w, func(x, y int) (int, int) { return 16 * y, 16 * (h - 1 - x) }), false},
		{"turned by a half", mapped(orig, w, h, func(x, y int) (int, int) { return 16 * (w - 1 - x), 16 * (h - 1 - y) }), false},
		{"turned by 30 degrees", mapped(orig, w, h, func(x, y int) (int, int) {
			dx, dy := x-w/2, y-h/2 // 16·cos 30° = 13.86, 16·sin 30° = 8
			return (dx*1386-dy*800)/100 + 8*w, (dx*800+dy*1386)/100 + 8*h
		}), false},
		{"inside another picture", onCanvas(1000, 800, 150, 90, 480, 360), false},
		{"small inside another picture", onCanvas(900, 700, 400, 230, 380, 285), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ms := search(seg, mustExtract(t, tt.img))
			if len(ms) == 0 {
				t.Fatal("nothing found")
			}
			if ms[0].ID != 77 || ms[0].Band != features.Block || ms[0].Mirrored != tt.mirrored {
				t.Errorf("best match %+v, want ID 77 at Block with mirrored %v", ms[0], tt.mirrored)
			}
			for _, m := range ms {
				if m.ID != 77 && m.Band == features.Block {
					t.Errorf("another picture at Block: %+v", m)
				}
			}
		})
	}
}

func TestMatch_Map(t *testing.T) {
	t.Parallel()
	orig := scene(3, 640, 480)
	seg := mustSegment(t, features.Entry{Features: mustExtract(t, orig), ID: 1})
	tests := []struct {
		name string
		img  image.Image
		want [8]float64
	}{
		{"itself", orig, [8]float64{1, 0, 0, 0, 1, 0}},
		{"left half", orig.SubImage(image.Rect(0, 0, 320, 480)), [8]float64{2, 0, 0, 0, 1, 0}},
		{"lower two thirds", orig.SubImage(image.Rect(0, 160, 640, 480)), [8]float64{1, 0, 0, 0, 1.5, -0.5}},
		{"mirrored", mapped(orig, 640, 480, func(x, y int) (int, int) { return 16 * (639 - x), 16 * y }), [8]float64{-1, 0, 1, 0, 1, 0}},
		{"turned by a quarter", mapped(orig, 480, 640, func(x, y int) (int, int) { return 16 * y, 16 * (479 - x) }), [8]float64{0, -1, 1, 1, 0, 0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ms := search(seg, mustExtract(t, tt.img))
			if len(ms) == 0 {
				t.Fatal("nothing found")
			}
			for i, v := range ms[0].Map {
				if d := v - tt.want[i]; d > 0.01 || d < -0.01 {
					t.Fatalf("map %.3f, want %v", ms[0].Map, tt.want)
				}
			}
		})
	}
}

func TestExtract_Refuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		w, h int
	}{
		{"empty", 0, 0},
		{"one pixel", 1, 1},
		{"one line", 5000, 1},
		{"one column", 1, 5000},
		{"tiny", 9, 9},
		{"ribbon", 4000, 60},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := features.Extract(image.NewGray(image.Rect(0, 0, tt.w, tt.h)))
			var se *features.SizeError
			if !errors.As(err, &se) {
				t.Fatalf("error %v, want a *SizeError", err)
			}
			if se.Width != tt.w || se.Height != tt.h {
				t.Errorf("error speaks of %d × %d, want %d × %d", se.Width, se.Height, tt.w, tt.h)
			}
		})
	}
}

func TestFeatures_Registrable(t *testing.T) {
	t.Parallel()
	tiles, corner := image.NewGray(image.Rect(0, 0, 640, 480)), image.NewGray(image.Rect(0, 0, 640, 480))
	for i := range tiles.Pix {
		x, y := i%640, i/640
		tiles.Pix[i] = 40
		if (x/40+y/40)%2 == 0 {
			tiles.Pix[i] = 200
		}
	}
	draw.Draw(corner, image.Rect(20, 20, 90, 70), scene(5, 70, 50), image.Point{}, draw.Src)
	// Noise keeps its points from being exactly alike.
	board := scene(11, 640, 480)
	for y := range 480 {
		for x := range 640 {
			v := board.Pix[y*board.Stride+x] / 16
			if (x/40+y/40)%2 == 0 {
				v += 150
			}
			board.Pix[y*board.Stride+x] = v + 40
		}
	}
	tests := []struct {
		name string
		img  image.Image
		ok   bool
	}{
		{"a scene", scene(5, 640, 480), true},
		{"a small scene", scene(6, 120, 100), true},
		{"flat", image.NewGray(image.Rect(0, 0, 640, 480)), false},
		{"a chess board", tiles, false},
		{"a stamp in a corner", corner, false},
		{"a chess board with grain", board, false},
		{"one outline", outline(640, 480, func(x, y int) bool { return x*x+2*y*y < 60_000 }), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := mustExtract(t, tt.img).Registrable()
			if pe := (*features.PoorError)(nil); (err == nil) != tt.ok || err != nil && !errors.As(err, &pe) {
				t.Errorf("error %v, want one that is a *PoorError: %v", err, !tt.ok)
			}
		})
	}
	if err := (features.Features{}).Registrable(); err == nil {
		t.Error("the zero Features are registrable")
	}
}

// hidden hides the concrete type of an image, so that only At is left.
type hidden struct{ image.Image }

// TestExtract_Types checks that the way in which pixels are stored does not
// matter.
func TestExtract_Types(t *testing.T) {
	t.Parallel()
	g := scene(9, 300, 260)
	b := g.Bounds()
	want, _ := mustExtract(t, g).AppendBinary(nil)
	rgba, nrgba, rgba64 := image.NewRGBA(b), image.NewNRGBA(b), image.NewRGBA64(b)
	ycc := image.NewYCbCr(b, image.YCbCrSubsampleRatio420)
	var pal color.Palette
	for i := range 256 {
		pal = append(pal, color.Gray{Y: uint8(i)})
	}
	p := image.NewPaletted(b, pal)
	for y := range b.Dy() {
		for x := range b.Dx() {
			v := g.GrayAt(x, y)
			rgba.Set(x, y, v)
			nrgba.Set(x, y, v)
			rgba64.Set(x, y, v)
			p.SetColorIndex(x, y, v.Y)
			ycc.Y[ycc.YOffset(x, y)] = v.Y
		}
	}
	shifted := image.NewGray(image.Rect(-20, 15, 400, 400))
	draw.Draw(shifted, b.Add(image.Pt(30, 40)), g, image.Point{}, draw.Src)
	for _, tt := range []struct {
		name string
		img  image.Image
	}{
		{"RGBA", rgba}, {"NRGBA", nrgba}, {"RGBA64", rgba64}, {"Paletted", p}, {"YCbCr", ycc}, {"At only", hidden{g}},
		{"part of a larger one", shifted.SubImage(b.Add(image.Pt(30, 40)))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, _ := mustExtract(t, tt.img).AppendBinary(nil)
			if !bytes.Equal(want, got) {
				t.Error("features differ from those of the Gray image")
			}
		})
	}
}

// TestExtract_Golden fixes the features bit for bit: they are stored, and a
// change of the algorithm has to get a new version.
func TestExtract_Golden(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		w, h  int
		full  string
		small string
	}{
		{"4:3", 640, 480, golden[0][0], golden[0][1]},
		{"enlarged", 130, 100, golden[1][0], golden[1][1]},
		{"reduced a lot", 2600, 1300, golden[2][0], golden[2][1]},
		{"panorama", 1500, 200, golden[3][0], golden[3][1]},
		{"text", 744, 1052, golden[4][0], golden[4][1]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := scene(42, tt.w, tt.h)
			if tt.name == "text" {
				m = sheet(1, 1, 8)
			}
			f := mustExtract(t, m)
			sum := func(f features.Features) string {
				b, _ := f.AppendBinary(nil)
				s := sha256.Sum256(b)
				return hex.EncodeToString(s[:8])
			}
			if diff := cmp.Diff([2]string{tt.full, tt.small}, [2]string{sum(f), sum(f.Compact())}); diff != "" {
				t.Errorf("features changed (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSearch_Golden fixes matches bit for bit: no fused multiplication, and no
// narrow integer, may change what is blocked on another architecture.
func TestSearch_Golden(t *testing.T) {
	t.Parallel()
	orig := scene(42, 640, 480)
	paper := sheet(1, 1, 8)
	seg := mustSegment(t, features.Entry{Features: mustExtract(t, orig), ID: 3}, features.Entry{Features: mustExtract(t, paper), ID: 4})
	h := sha256.New()
	for _, m := range []image.Image{
		orig,
		orig.SubImage(image.Rect(70, 30, 600, 400)),
		mapped(orig, 600, 600, func(x, y int) (int, int) { return (x*13+y*4)*16/15 - 300, (y*13-x*4)*16/15 + 900 }),
		mapped(orig, 700, 420, func(x, y int) (int, int) { return 16 * 640 * (700 - x) / 700, 16 * 480 * y / 420 }),
		tilted(orig, 200),
		paper,
		paper.SubImage(image.Rect(20, 15, 730, 1030)),
		tilted(paper, 150),
	} {
		ms := search(seg, mustExtract(t, m))
		if len(ms) == 0 {
			t.Error("nothing found: the test shows nothing")
		}
		fmt.Fprintf(h, "%+v\n", ms)
	}
	if got := hex.EncodeToString(h.Sum(nil)[:8]); got != goldenMatches {
		t.Errorf("matches changed: %s, want %s", got, goldenMatches)
	}
}

func TestFeatures_Binary(t *testing.T) {
	t.Parallel()
	f := mustExtract(t, scene(4, 640, 480))
	for _, f := range []features.Features{f, f.Compact()} {
		b, err := f.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		g, err := features.Open(b)
		if err != nil {
			t.Fatal(err)
		}
		c, _ := g.AppendBinary(nil)
		if !bytes.Equal(b, c) || g.Len() != f.Len() {
			t.Error("what was opened is not what was written")
		}
	}
	if n := len(must(f.AppendBinary(nil))); n > features.MaxSize {
		t.Errorf("a set of %d bytes, at most %d are promised", n, features.MaxSize)
	}
	if n := len(must(f.Compact().AppendBinary(nil))); n > features.MaxCompactSize || features.MaxCompactSize > 30<<10 {
		t.Errorf("a compact set of %d bytes, at most %d are promised and 30 KiB allowed", n, features.MaxCompactSize)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestOpen_Errors(t *testing.T) {
	t.Parallel()
	good := must(mustExtract(t, scene(4, 320, 240)).AppendBinary(nil))
	change := func(at int, v ...byte) []byte {
		b := slices.Clone(good)
		copy(b[at:], v)
		return b
	}
	tests := []struct {
		name string
		b    []byte
		want error
	}{
		{"empty", nil, features.ErrFormat},
		{"half a header", good[:9], features.ErrFormat},
		{"cut short", good[:len(good)-1], features.ErrFormat},
		{"too long", append(slices.Clone(good), 0), features.ErrFormat},
		{"other magic", change(0, 'P'), features.ErrFormat},
		{"newer version", change(2, 2), features.ErrVersion},
		{"unknown flag", change(3, 32), features.ErrVersion},
		{"no width", change(4, 0, 0), features.ErrFormat},
		{"too wide", change(4, 0xff, 0xff), features.ErrFormat},
		{"too many points", change(8, 0xff, 0xff), features.ErrFormat},
		{"no thumbnail", change(10, 0, 0), features.ErrFormat},
		{"huge thumbnail", change(10, 0xff, 0xff, 0xff, 0xff), features.ErrFormat},
		{"reserved bytes", change(14, 1), features.ErrFormat},
		{"point outside", change(16+32*int(binary.LittleEndian.Uint16(good[8:])), 0xff, 0xff), features.ErrFormat},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := features.Open(tt.b); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want one that wraps %v", err, tt.want)
			}
		})
	}
}

// TestSegment_LinearScan checks the lists against a comparison of
// every asked point with every registered one.
func TestSegment_LinearScan(t *testing.T) {
	t.Parallel()
	var entries []features.Entry
	for i := range uint64(12) {
		entries = append(entries, features.Entry{Features: mustExtract(t, scene(i/2, 500+int(i), 400)), ID: uint32(i)})
	}
	entries = append(entries, features.Entry{ID: 99}) // without points
	seg := mustSegment(t, entries...)
	found := 0
	for i := range uint64(6) {
		f := mustExtract(t, scene(i, 420, 330))
		want, got := seg.LinearVotes(f), seg.Votes(f)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("query %d: votes differ (-scan +index):\n%s", i, diff)
		}
		found += len(got)
	}
	if found < 500 {
		t.Errorf("only %d votes in all: the test shows nothing", found)
	}
}

func TestSegment_Binary(t *testing.T) {
	t.Parallel()
	a, b := mustExtract(t, scene(1, 400, 300)), mustExtract(t, scene(2, 400, 300))
	seg := mustSegment(t, features.Entry{Features: a, ID: 5}, features.Entry{}, features.Entry{Features: b, ID: 5})
	raw := bytes.Clone(seg.Bytes())
	again, err := features.OpenSegment(raw)
	if err != nil {
		t.Fatal(err)
	}
	if again.Len() != 3 || again.Points() != seg.Points() {
		t.Errorf("%d pictures with %d points, want 3 with %d", again.Len(), again.Points(), seg.Points())
	}
	for _, f := range []features.Features{a, b} {
		if diff := cmp.Diff(search(seg, f), search(again, f)); diff != "" {
			t.Errorf("matches differ (-built +opened):\n%s", diff)
		}
	}
	change := func(at int, v byte) []byte {
		c := slices.Clone(raw)
		c[at] = v
		return c
	}
	tests := []struct {
		name string
		b    []byte
		want error
	}{
		{"empty", nil, features.ErrFormat},
		{"cut short", raw[:len(raw)-1], features.ErrFormat},
		{"too long", append(slices.Clone(raw), 0), features.ErrFormat},
		{"other magic", change(0, 'X'), features.ErrFormat},
		{"newer version", change(6, 9), features.ErrVersion},
		{"more pictures", change(8, 4), features.ErrFormat},
		{"other key bits", change(12, 25), features.ErrFormat},
		{"more points", change(16, raw[16]+1), features.ErrFormat},
		{"huge number of points", change(23, 0xff), features.ErrFormat},
		{"longer records", change(24, raw[24]+1), features.ErrFormat},
		{"older version", change(6, 1), features.ErrVersion},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := features.OpenSegment(tt.b); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want one that wraps %v", err, tt.want)
			}
		})
	}
}

func TestSearch_Empty(t *testing.T) {
	t.Parallel()
	f := mustExtract(t, scene(1, 400, 300))
	for _, tt := range []struct {
		name string
		s    *features.Segment
		f    features.Features
	}{
		{"empty segment", mustSegment(t), f},
		{"zero features", mustSegment(t, features.Entry{Features: f}), features.Features{}},
		{"flat picture", mustSegment(t, features.Entry{Features: f}), mustExtract(t, image.NewGray(image.Rect(0, 0, 300, 300)))},
		{"flat picture registered", mustSegment(t, features.Entry{Features: mustExtract(t, image.NewGray(image.Rect(0, 0, 300, 300)))}), f},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if ms := search(tt.s, tt.f); len(ms) != 0 {
				t.Errorf("found %+v", ms)
			}
		})
	}
}

// A picture that was registered a thousand times fills every cell of its points,
// and is found all the same, beside others.
func TestSearch_RegisteredManyTimes(t *testing.T) {
	t.Parallel()
	orig := scene(9, 640, 480)
	many := mustExtract(t, orig).Compact()
	var entries []features.Entry
	for i := range 1000 {
		entries = append(entries, features.Entry{Features: many, ID: 1})
		if i%100 == 0 {
			entries = append(entries, features.Entry{Features: mustExtract(t, scene(uint64(i+10), 640, 480)), ID: uint32(i + 10)})
		}
	}
	seg := mustSegment(t, entries...)
	for name, tt := range map[string]struct {
		asked image.Image
		want  uint32
	}{
		"the one":  {orig.SubImage(image.Rect(70, 30, 600, 400)), 1},
		"an other": {scene(310, 640, 480).SubImage(image.Rect(70, 30, 600, 400)), 310},
	} {
		ms := search(seg, mustExtract(t, tt.asked))
		if len(ms) == 0 || ms[0].ID != tt.want || ms[0].Band != features.Block {
			t.Errorf("%s: %d matches, the first %+v", name, len(ms), ms[:min(len(ms), 1)])
		}
	}
}

func TestSearch_StopsWhenTold(t *testing.T) {
	t.Parallel()
	f := mustExtract(t, scene(1, 400, 300))
	seg := mustSegment(t, features.Entry{Features: f, ID: 1}, features.Entry{Features: f, ID: 2})
	n := 0
	var x features.Searcher
	seg.Search(&x, f, func(features.Match) bool { n++; return false })
	if n != 1 {
		t.Errorf("%d matches yielded, want 1", n)
	}
}

func TestSearch_DoesNotAllocate(t *testing.T) {
	f := mustExtract(t, scene(1, 640, 480))
	var entries []features.Entry
	for i := range uint64(10) {
		entries = append(entries, features.Entry{Features: mustExtract(t, scene(i, 640, 480)), ID: uint32(i)})
	}
	seg := mustSegment(t, entries...)
	var x features.Searcher
	n := 0
	yield := func(features.Match) bool { n++; return true }
	seg.Search(&x, f, yield)
	if a := sharedtest.AllocsPerRun(10, func() { seg.Search(&x, f, yield) }); a != 0 {
		t.Errorf("%v allocations for a search, want none", a)
	}
	if n == 0 {
		t.Error("nothing found: the test shows nothing")
	}
}

func TestSearch_Concurrent(t *testing.T) {
	t.Parallel()
	var entries []features.Entry
	var want [][]features.Match
	for i := range uint64(6) {
		entries = append(entries, features.Entry{Features: mustExtract(t, scene(i, 400, 300)), ID: uint32(i)})
	}
	seg := mustSegment(t, entries...)
	for _, e := range entries {
		want = append(want, search(seg, e.Features))
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			var x features.Searcher
			for k := range 12 {
				i := (g + k) % len(entries)
				var got []features.Match
				seg.Search(&x, must(features.Extract(scene(uint64(i), 400, 300))), func(m features.Match) bool { got = append(got, m); return true })
				if diff := cmp.Diff(want[i], got); diff != "" {
					t.Errorf("picture %d (-alone +together):\n%s", i, diff)
				}
			}
		})
	}
	wg.Wait()
}

func FuzzExtract(f *testing.F) {
	f.Add(uint16(1), uint16(1), []byte{7})
	f.Add(uint16(1), uint16(5000), []byte{1, 2, 3})
	f.Add(uint16(200), uint16(100), []byte{0, 255})
	f.Add(uint16(90), uint16(90), []byte("the quick brown fox jumps over the lazy dog"))
	f.Add(uint16(64), uint16(1600), []byte{128, 128, 128, 129})
	f.Fuzz(func(t *testing.T, w, h uint16, data []byte) {
		if int(w)*int(h) > 1<<20 || len(data) == 0 {
			return
		}
		m := image.NewGray(image.Rect(0, 0, int(w), int(h)))
		for i := range m.Pix {
			m.Pix[i] = data[i%len(data)] + byte(i/(len(data)*int(1+data[0]%7)))
		}
		fs, err := features.Extract(m)
		if err != nil {
			var se *features.SizeError
			if !errors.As(err, &se) {
				t.Fatalf("error %v is no *SizeError", err)
			}
			return
		}
		b, _ := fs.AppendBinary(nil)
		if _, err := features.Open(b); err != nil {
			t.Fatalf("cannot open what was extracted: %v", err)
		}
		if c, _ := fs.Compact().AppendBinary(nil); len(c) > features.MaxCompactSize {
			t.Fatalf("compact set of %d bytes", len(c))
		}
		seg, err := features.NewSegment([]features.Entry{{Features: fs}})
		if err != nil {
			t.Fatal(err)
		}
		search(seg, fs)
	})
}

func FuzzOpen(f *testing.F) {
	fs := mustExtract(f, scene(4, 200, 150))
	f.Add(must(fs.AppendBinary(nil)))
	f.Add(must(fs.Compact().AppendBinary(nil)))
	f.Add(must(mustExtract(f, sheet(1, 1, 4)).Compact().AppendBinary(nil)))
	f.Add([]byte("SF\x01\x00"))
	seg := mustSegment(f, features.Entry{Features: fs})
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := features.Open(b)
		if err != nil {
			return
		}
		if c, _ := g.AppendBinary(nil); !bytes.Equal(b, c) {
			t.Fatal("what was opened is not what is written")
		}
		search(seg, g)
		// What is kept of it can be read again.
		compact, _ := g.Compact().AppendBinary(nil)
		if _, err := features.Open(compact); err != nil || len(compact) > features.MaxCompactSize {
			t.Fatalf("its compact form has %d bytes: %v", len(compact), err)
		}
		s, err := features.OpenSegment(mustSegment(t, features.Entry{Features: g}).Bytes())
		if err != nil {
			t.Fatal(err)
		}
		search(s, fs)
	})
}

// A thumbnail that no picture has, as thin as can be, is refused or kept in bounds.
func TestOpen_ThinThumbnail(t *testing.T) {
	t.Parallel()
	whole := must(mustExtract(t, scene(4, 200, 150)).AppendBinary(nil))
	w, h := binary.LittleEndian.Uint16(whole[4:]), binary.LittleEndian.Uint16(whole[6:])
	for _, thumb := range [][2]uint16{{1, 12000}, {12000, 1}, {1, h}, {w, 1}, {2, h}} {
		b := bytes.Clone(whole[:16])
		binary.LittleEndian.PutUint16(b[8:], 0)
		binary.LittleEndian.PutUint16(b[10:], thumb[0])
		binary.LittleEndian.PutUint16(b[12:], thumb[1])
		b = append(b, make([]byte, int(thumb[0])*int(thumb[1]))...)
		f, err := features.Open(b)
		if thumb[0] > w || thumb[1] > h {
			if !errors.Is(err, features.ErrFormat) {
				t.Errorf("%v: %v", thumb, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := features.OpenSegment(mustSegment(t, features.Entry{Features: f}).Bytes()); err != nil {
			t.Errorf("%v: %v", thumb, err)
		}
	}
}

func FuzzOpenSegment(f *testing.F) {
	fs := mustExtract(f, scene(4, 100, 80))
	f.Add(mustSegment(f).Bytes())
	f.Add(mustSegment(f, features.Entry{Features: fs, ID: 3}, features.Entry{}).Bytes())
	lean, err := features.NewSegmentOf([]features.Entry{{Features: fs, ID: 3}, {}}, true)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(lean.Bytes())
	f.Add([]byte("SDFSEG\x02\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := features.OpenSegment(b)
		if err != nil {
			return
		}
		if !bytes.Equal(b, s.Bytes()) {
			t.Fatal("what was opened is not what is written")
		}
		search(s, fs)
		for e := range s.All() {
			e.Features.Len()
		}
		if s.Check() == nil {
			mustSegment(t, slices.Collect(s.All())...)
		}
	})
}

func BenchmarkExtract(b *testing.B) {
	m := scene(1, 640, 480)
	b.ReportAllocs()
	for b.Loop() {
		mustExtract(b, m)
	}
}

// manySets returns n compact sets, made from one by turning over a tenth of the
// bits.
func manySets(tb testing.TB, n int) []features.Features {
	one, err := mustExtract(tb, scene(1, 640, 480)).Compact().MarshalBinary()
	if err != nil {
		tb.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	sets := make([]features.Features, n)
	points := binary.LittleEndian.Uint16(one[8:])
	for i := range sets {
		b := bytes.Clone(one)
		d := b[16:][:32*int(points)]
		for at := 0; at < len(d); at += 8 {
			binary.LittleEndian.PutUint64(d[at:], binary.LittleEndian.Uint64(d[at:])^r.Uint64()&r.Uint64()&r.Uint64())
		}
		if sets[i], err = features.Open(b); err != nil {
			tb.Fatal(err)
		}
	}
	return sets
}

func BenchmarkNewSegment(b *testing.B) {
	for _, n := range []int{16, 256, 20_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			var entries []features.Entry
			for i, f := range manySets(b, n) {
				entries = append(entries, features.Entry{Features: f, ID: uint32(i)})
			}
			b.ReportAllocs()
			for b.Loop() {
				mustSegment(b, entries...)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/picture")
		})
	}
}

func BenchmarkSearch(b *testing.B) {
	var entries []features.Entry
	for i := range uint64(100) {
		entries = append(entries, features.Entry{Features: mustExtract(b, scene(i, 320, 240)), ID: uint32(i)})
	}
	seg := mustSegment(b, entries...)
	var x features.Searcher
	for _, bb := range []struct {
		name string
		f    features.Features
	}{{"registered", entries[7].Features}, {"innocent", mustExtract(b, scene(1000, 320, 240))}} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				seg.Search(&x, bb.f, func(features.Match) bool { return true })
			}
		})
	}
}

// inFrame returns m inside a frame that is the same for all pictures and has more to
// see than they have.
func inFrame(m *image.Gray) *image.Gray {
	out := scene(777, 640, 640)
	inside := mapped(m, 440, 300, func(x, y int) (int, int) { return x * 16 * m.Rect.Dx() / 440, y * 16 * m.Rect.Dy() / 300 })
	draw.Draw(out, image.Rect(100, 170, 540, 470), inside, image.Point{}, draw.Src)
	return out
}

// However many pictures are registered in a frame, the clean picture that is shown
// in that frame is found: what all of them share weighs little.
func TestSearch_ManyInOneFrame(t *testing.T) {
	t.Parallel()
	clean := scene(5000, 640, 480)
	asked := mustExtract(t, inFrame(clean))
	entries := []features.Entry{{Features: mustExtract(t, clean), ID: 1}}
	for _, n := range []int{20, 60, 150} {
		for len(entries) <= n {
			id := uint32(len(entries) + 1)
			entries = append(entries, features.Entry{Features: mustExtract(t, inFrame(scene(uint64(6000+id), 640, 480))), ID: id})
		}
		found := features.None
		for _, m := range search(mustSegment(t, entries...), asked) {
			switch {
			case m.ID == 1:
				found = m.Band
			case m.Band == features.Block:
				t.Errorf("%d in the frame: picture %d is taken for another one", n, m.ID)
			}
		}
		if found != features.Block {
			t.Errorf("%d in the frame: the clean picture is found at band %d", n, found)
		}
	}
}

// The dearest search: as many pictures as are looked at closely share the frame.
func BenchmarkSearch_OneFrame(b *testing.B) {
	var entries []features.Entry
	for i := range 60 {
		entries = append(entries, features.Entry{Features: mustExtract(b, inFrame(scene(uint64(6000+i), 640, 480))), ID: uint32(i)})
	}
	seg, asked := mustSegment(b, entries...), mustExtract(b, inFrame(scene(5000, 640, 480)))
	var x features.Searcher
	b.ReportAllocs()
	for b.Loop() {
		seg.Search(&x, asked, func(features.Match) bool { return true })
	}
}

// What keep refuses takes no place of others, and pictures with the very same
// features cost one look.
func TestSearcher_Keep(t *testing.T) {
	t.Parallel()
	same := mustExtract(t, scene(9, 640, 480)).Compact()
	var entries []features.Entry
	for i := range 120 {
		entries = append(entries, features.Entry{Features: same, ID: uint32(i)})
	}
	segs := []*features.Segment{mustSegment(t, entries[:100]...), mustSegment(t, entries[100:]...)}
	ask := func(keep func(uint32) bool) (ids []uint32) {
		var x features.Searcher
		x.Ask(same)
		for _, s := range segs {
			x.Collect(s, keep)
		}
		x.Matches(func(s *features.Segment, m features.Match) bool {
			if s != segs[m.ID/100] {
				t.Errorf("match %d comes from another segment", m.ID)
			}
			ids = append(ids, m.ID)
			return true
		})
		slices.Sort(ids)
		return ids
	}
	if got := ask(nil); len(got) != 120 {
		t.Errorf("%d of 120 equal pictures found", len(got))
	}
	for _, id := range []uint32{0, 57, 99, 119} {
		if diff := cmp.Diff([]uint32{id}, ask(func(i uint32) bool { return i == id })); diff != "" {
			t.Errorf("only %d (-want +got):\n%s", id, diff)
		}
	}
}
