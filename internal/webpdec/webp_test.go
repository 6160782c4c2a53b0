package webpdec_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"image"
	"image/color"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/image/vp8l"
	"golang.org/x/image/webp"

	"github.com/staydown/staydown/internal/raster"
	"github.com/staydown/staydown/internal/sharedtest"
	"github.com/staydown/staydown/internal/webpdec"
)

const plenty = 1 << 40

func play(data []byte, work int64) (list []raster.Shown, err error) {
	f, err := webpdec.Open(data)
	if err != nil {
		return nil, err
	}
	w := raster.NewWork(context.Background(), work)
	_, err = f.Play(raster.Options{MaxFrames: 100}, w, func(s raster.Shown) bool {
		list = append(list, s)
		return true
	})
	return list, err
}

func files(tb testing.TB, pattern string) map[string][]byte {
	tb.Helper()
	sharedtest.NeedTestdata(tb)
	names, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(names) == 0 {
		tb.Fatalf("no %s, %v", pattern, err)
	}
	list := map[string][]byte{}
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			tb.Fatal(err)
		}
		list[filepath.Base(n)] = b
	}
	return list
}

func only(tb testing.TB, data []byte) raster.Shown {
	tb.Helper()
	list, err := play(data, plenty)
	if err != nil || len(list) != 1 {
		tb.Fatalf("%d pictures, %v", len(list), err)
	}
	return list[0]
}

// difference returns the largest difference of a channel, of alpha first.
func difference(tb testing.TB, want, got image.Image, convert func(color.Color) color.NRGBA) int {
	tb.Helper()
	if want.Bounds() != got.Bounds() {
		tb.Fatalf("bounds %v, want %v", got.Bounds(), want.Bounds())
	}
	worst := 0
	for y := range want.Bounds().Dy() {
		for x := range want.Bounds().Dx() {
			w, g := convert(want.At(x, y)), color.NRGBAModel.Convert(got.At(x, y)).(color.NRGBA)
			for _, d := range []int{int(w.R) - int(g.R), int(w.G) - int(g.G), int(w.B) - int(g.B), 9 * (int(w.A) - int(g.A))} {
				worst = max(worst, d, -d)
			}
		}
	}
	return worst
}

func nrgba(c color.Color) color.NRGBA { return color.NRGBAModel.Convert(c).(color.NRGBA) }

// limited converts from YCbCr of BT.601 with the range of video, which WebP has;
// the package webp does not.
func limited(c color.Color) color.NRGBA {
	var y color.YCbCr
	a := uint8(255)
	switch c := c.(type) {
	case color.YCbCr:
		y = c
	case color.NYCbCrA:
		y, a = c.YCbCr, c.A
	}
	l, cb, cr := (float64(y.Y)-16)*255/219, (float64(y.Cb)-128)*255/224, (float64(y.Cr)-128)*255/224
	f := func(v float64) byte { return byte(min(max(v+0.5, 0), 255)) }
	return color.NRGBA{f(l + 1.402*cr), f(l - 0.344136*cb - 0.714136*cr), f(l + 1.772*cb), a}
}

// Valid files give the pixels of golang.org/x/image/webp: the lossless ones all,
// the lossy ones in the range that browsers show.
func TestAsOtherDecoder(t *testing.T) {
	t.Parallel()
	for name, data := range files(t, "*.webp") {
		want, err := webp.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		s := only(t, data)
		if s.Fault != raster.Sound || s.Missing != 0 {
			t.Errorf("%s: fault %v, missing %v", name, s.Fault, s.Missing)
		}
		convert, limit := nrgba, 0
		if _, ok := want.(*image.NRGBA); !ok {
			convert, limit = limited, 3
		}
		if d := difference(t, want, s.Image, convert); d > limit {
			t.Errorf("%s: off by %d", name, d)
		}
	}
}

// losslessData returns what is in the VP8L chunk.
func losslessData(tb testing.TB, data []byte) []byte {
	i := bytes.Index(data, []byte("VP8L"))
	if i < 0 {
		tb.Fatal("no VP8L chunk")
	}
	return data[i+8:]
}

// compare decodes a body as a file, and compares the decoder with
// golang.org/x/image/vp8l. It reports whether that package decodes the body.
//
// The two differ in one rule. Of a code of two symbols libwebp and this decoder give
// the code 0 to the smaller one, and golang.org/x/image to the first one in the file.
// Encoders write the smaller one first. In other files the rules give other pixels, or
// data that end too early. These files are compared with the rule of
// golang.org/x/image. All that it decodes must be equal in every pixel.
func compare(t *testing.T, body []byte) bool {
	file := binary.LittleEndian.AppendUint32([]byte("RIFF\x00\x00\x00\x00WEBPVP8L"), uint32(len(body)))
	list, playErr := play(append(file, body...), 1<<30)
	want, err := vp8l.Decode(bytes.NewReader(body))
	if err != nil {
		return false // this decoder may be more tolerant
	}
	got, pairs, err := webpdec.LosslessAsFound(body)
	if err != nil {
		t.Fatalf("%v; golang.org/x/image decodes it", err)
	}
	if d := difference(t, want, got, nrgba); d != 0 {
		t.Fatalf("off by %d", d)
	}
	if pairs > 0 {
		return true
	}
	if playErr != nil || len(list) != 1 {
		t.Fatalf("%v as a file", playErr)
	}
	if d := difference(t, want, list[0].Image, nrgba); d != 0 {
		t.Fatalf("off by %d as a file", d)
	}
	return true
}

// Changed data give the pixels of golang.org/x/image/vp8l; see compare.
func TestChangedLossless(t *testing.T) {
	t.Parallel()
	compared := 0
	for name, data := range files(t, "lossless*.webp") {
		body := losslessData(t, data)
		for seed := range uint64(300) {
			rng := rand.New(rand.NewPCG(seed, uint64(len(body))))
			b := bytes.Clone(body)
			for range 1 + rng.IntN(3) {
				b[5+rng.IntN(len(b)-5)] ^= 1 << rng.IntN(8)
			}
			if compare(t, b) {
				compared++
			}
			if t.Failed() {
				t.Fatalf("%s, seed %d", name, seed)
			}
		}
	}
	t.Logf("%d changed files that golang.org/x/image decodes are equal in every pixel", compared)
	if compared < 100 {
		t.Errorf("%d compared", compared)
	}
}

// A code of two symbols that are equal, or of which one is not in the alphabet, is a
// code of one symbol, as in libwebp.
func TestPairs(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]uint32{{5, 5}, {5, 200}, {200, 5}} {
		if n, ok := webpdec.Pair(pair[0], pair[1]); !ok || n != 5 {
			t.Errorf("%v: symbol %d, %v", pair, n, ok)
		}
	}
	if _, ok := webpdec.Pair(100, 200); ok {
		t.Error("a code without symbols is accepted")
	}
}

func FuzzLossless(f *testing.F) {
	for _, data := range files(f, "lossless*.webp") {
		f.Add(losslessData(f, data))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) < 5 {
			return
		}
		v := binary.LittleEndian.Uint32(body[1:])
		if (v&0x3fff)*(v>>14&0x3fff) > 1<<16 {
			return
		}
		compare(t, body)
	})
}

func FuzzWebP(f *testing.F) {
	for _, data := range files(f, "*.webp") {
		f.Add(data)
	}
	f.Add(animation(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		if f, err := webpdec.Open(data); err != nil || int64(f.Width)*int64(f.Height) > 1<<20 {
			return // a large canvas takes the time of many small ones
		}
		list, _ := play(data, 20<<20)
		for _, s := range list {
			if s.Image.Bounds().Empty() || s.Missing < 0 || s.Missing > 1 {
				t.Fatalf("%v, missing %v", s.Image.Bounds(), s.Missing)
			}
		}
	})
}

func chunk(b []byte, name string, body []byte) []byte {
	b = binary.LittleEndian.AppendUint32(append(b, name...), uint32(len(body)))
	b = append(b, body...)
	return append(b, make([]byte, len(body)%2)...)
}

func vp8x(flags byte, w, h int) []byte {
	return []byte{flags, 0, 0, 0, byte(w - 1), byte((w - 1) >> 8), 0, byte(h - 1), byte((h - 1) >> 8), 0}
}

func riff(chunks []byte) []byte {
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(chunks)+4)), append([]byte("WEBP"), chunks...)...)
}

// anmf returns a frame of 90 × 66 at 2x, 2y.
func anmf(x, y, delay int, flags byte, chunks []byte) []byte {
	h := []byte{byte(x), 0, 0, byte(y), 0, 0, 89, 0, 0, 65, 0, 0, byte(delay), 0, 0, flags}
	return append(h, chunks...)
}

// animation returns two frames: one lossy, then one with transparency over it.
func animation(tb testing.TB) []byte {
	f := files(tb, "*.webp")
	lossy, over := f["lossy.webp"][12:], f["lossless-a.webp"]
	b := chunk(nil, "VP8X", vp8x(0x12, 100, 80))
	b = chunk(b, "ANIM", make([]byte, 6))
	b = chunk(b, "ANMF", anmf(0, 0, 40, 0, lossy))
	b = chunk(b, "ANMF", anmf(5, 7, 50, 0, chunk(nil, "VP8L", losslessData(tb, over))))
	return riff(b)
}

func TestAnimation(t *testing.T) {
	t.Parallel()
	list, err := play(animation(t), plenty)
	if err != nil || len(list) != 2 {
		t.Fatalf("%d frames, %v", len(list), err)
	}
	first := only(t, files(t, "lossy.webp")["lossy.webp"])
	if got := list[0].Image; got.Bounds() != image.Rect(0, 0, 100, 80) || nrgba(got.At(3, 3)) != nrgba(first.Image.At(3, 3)) || nrgba(got.At(95, 3)).A != 0 {
		t.Errorf("first frame: %v, %v, %v", got.Bounds(), got.At(3, 3), got.At(95, 3))
	}
	// At 10+45, 14+33 the second frame is opaque, and at 3,3 there is none.
	over := only(t, files(t, "lossless-a.webp")["lossless-a.webp"])
	if got := list[1].Image; nrgba(got.At(55, 47)) != nrgba(over.Image.At(45, 33)) || nrgba(got.At(3, 3)) != nrgba(first.Image.At(3, 3)) {
		t.Errorf("second frame: %v, %v", got.At(55, 47), got.At(3, 3))
	}
}

// Flags and sizes that do not fit the chunks.
func TestContainer(t *testing.T) {
	t.Parallel()
	f := files(t, "*.webp")
	lossy, alpha := f["lossy.webp"][12:], f["alpha-best.webp"][12:]
	without := only(t, f["lossy.webp"]).Image
	with := only(t, f["alpha-best.webp"]).Image
	picture := alpha[18:] // behind VP8X
	small := chunk(nil, "VP8X", vp8x(0, 20, 20))
	tests := []struct {
		name   string
		data   []byte
		want   image.Image
		opaque bool
	}{
		{"alpha announced, none there", riff(append(chunk(nil, "VP8X", vp8x(0x10, 90, 66)), lossy...)), without, true},
		{"alpha there, not announced", riff(append(chunk(nil, "VP8X", vp8x(0, 90, 66)), picture...)), with, true},
		{"as it should be", riff(alpha), with, false},
		{"canvas of another size", riff(append(small, lossy...)), without, true},
		{"unknown chunk first", riff(append(chunk(nil, "ABCD", make([]byte, 7)), lossy...)), without, true},
		{"RIFF size wrong", append([]byte("RIFF\x01\x00\x00\x00WEBP"), lossy...), without, true},
		{"frame of another size", riff(chunk(chunk(nil, "VP8X", vp8x(2, 90, 66)), "ANMF", append([]byte{0, 0, 0, 0, 0, 0, 9, 0, 0, 9, 0, 0, 1, 0, 0, 0}, lossy...))), without, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := only(t, tt.data)
			for _, p := range []image.Point{{1, 1}, {40, 30}, {89, 65}} {
				w, g := nrgba(tt.want.At(p.X, p.Y)), nrgba(s.Image.At(p.X, p.Y))
				if tt.opaque {
					w.A = 255
				}
				if w != g {
					t.Errorf("%v is %v, want %v", p, g, w)
				}
			}
		})
	}
	for name, data := range map[string][]byte{
		"empty": nil, "no chunk": riff(nil), "cut in the header": f["lossy.webp"][:28],
	} {
		if list, err := play(data, plenty); err == nil {
			t.Errorf("%s: %d frames, want an error", name, len(list))
		}
	}
}

// Lossy data that end early are decoded as far as they go, and said to be damaged.
func TestLossyDamaged(t *testing.T) {
	t.Parallel()
	sound := files(t, "*.webp")["lossy.webp"]
	want := only(t, sound).Image
	s := only(t, sound[:len(sound)*9/10])
	if s.Fault != raster.Data {
		t.Errorf("fault %v", s.Fault)
	}
	for _, p := range []image.Point{{3, 3}, {50, 5}, {80, 20}} {
		if w, g := nrgba(want.At(p.X, p.Y)), nrgba(s.Image.At(p.X, p.Y)); w != g {
			t.Errorf("%v is %v, want %v", p, g, w)
		}
	}
}

// Reduced pictures and budgets.
func TestLarge(t *testing.T) {
	t.Parallel()
	// One colour, 16384 × 16384, in 30 bytes.
	body := []byte{0x2f, 0xff, 0xff, 0xff, 0x0f, 0x88, 0x88, 0x08, 0, 0, 0, 0, 0, 0}
	file := binary.LittleEndian.AppendUint32([]byte("RIFF\x00\x00\x00\x00WEBPVP8L"), uint32(len(body)))
	list, err := play(append(file, body...), 300<<20)
	if err != nil || len(list) != 1 || list[0].Fault != raster.Budget || list[0].Missing < 0.5 || list[0].Missing > 0.95 {
		t.Fatalf("%v, %v", list, err)
	}
	if list[0].Scale < 2 {
		t.Errorf("scale %d", list[0].Scale)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	f, err := webpdec.Open(append(file, body...))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Play(raster.Options{MaxFrames: 1}, raster.NewWork(ctx, plenty), nil); err != context.Canceled {
		t.Errorf("error %v, want that of the context", err)
	}
}
