package pngdec_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"testing"

	"github.com/staydown/staydown/internal/pngdec"
	"github.com/staydown/staydown/internal/raster"
)

// variety is a kind of PNG.
type variety struct {
	kind, depth byte
	interlaced  bool
	trns        bool
	w, h        int
}

func (v variety) String() string {
	return fmt.Sprintf("type %d, %d bit, interlaced %v, tRNS %v, %d × %d", v.kind, v.depth, v.interlaced, v.trns, v.w, v.h)
}

func varieties() (list []variety) {
	depths := map[byte][]byte{0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}
	for _, kind := range []byte{0, 2, 3, 4, 6} {
		for _, depth := range depths[kind] {
			for _, size := range []image.Point{{1, 1}, {3, 2}, {5, 9}, {8, 8}, {33, 17}, {64, 40}} {
				for i := range 4 {
					v := variety{kind, depth, i&1 != 0, i&2 != 0, size.X, size.Y}
					if !v.trns || kind < 4 {
						list = append(list, v)
					}
				}
			}
		}
	}
	return list
}

func appendChunk(b []byte, name string, body []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
	n := len(b)
	b = append(append(b, name...), body...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[n:]))
}

func ihdr(v variety) []byte {
	b := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(v.w)), uint32(v.h))
	i := byte(0)
	if v.interlaced {
		i = 1
	}
	return append(b, v.depth, v.kind, 0, 0, i)
}

var channels = map[byte]int{0: 1, 2: 3, 3: 1, 4: 2, 6: 4}

// raw returns random filtered rows: any bytes are valid, but of the palette.
func raw(v variety, rng *rand.Rand) []byte {
	var out []byte
	passes := [][4]int{{0, 0, 1, 1}}
	if v.interlaced {
		passes = [][4]int{{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}}
	}
	for _, p := range passes {
		w, h := (v.w-p[0]+p[2]-1)/p[2], (v.h-p[1]+p[3]-1)/p[3]
		if w <= 0 || h <= 0 {
			continue
		}
		for range h {
			row := make([]byte, 1+(w*channels[v.kind]*int(v.depth)+7)/8)
			for i := range row {
				row[i] = byte(rng.Uint32())
			}
			row[0] = byte(rng.IntN(5))
			out = append(out, row...)
		}
	}
	return out
}

// build returns a PNG with random pixels.
func build(v variety, rng *rand.Rand) []byte {
	b := appendChunk([]byte(pngdec.Signature), "IHDR", ihdr(v))
	if v.kind == 3 {
		table := make([]byte, 3<<v.depth)
		for i := range table {
			table[i] = byte(rng.Uint32())
		}
		b = appendChunk(b, "PLTE", table)
	}
	if v.trns {
		n := map[byte]int{0: 2, 2: 6, 3: 1 << v.depth}[v.kind]
		t := make([]byte, n)
		for i := range t {
			t[i] = byte(rng.IntN(2)) // small, so that some pixels have it
		}
		if v.kind != 3 && v.depth == 8 {
			for i := 0; i < n; i += 2 {
				t[i] = 0
			}
		}
		b = appendChunk(b, "tRNS", t)
	}
	return appendChunk(appendChunk(b, "IDAT", deflate(raw(v, rng))), "IEND", nil)
}

func deflate(b []byte) []byte {
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	w.Write(b)
	w.Close()
	return z.Bytes()
}

const plenty = 1 << 40

func play(tb testing.TB, data []byte, work int64) (list []raster.Shown, left raster.LeftOut, err error) {
	f, err := pngdec.Open(data)
	if err != nil {
		return nil, 0, err
	}
	w := raster.NewWork(context.Background(), work)
	left, err = f.Play(raster.Options{MaxFrames: 100}, w, func(s raster.Shown) bool {
		list = append(list, s)
		return true
	})
	return list, left, err
}

func one(tb testing.TB, data []byte) raster.Shown {
	tb.Helper()
	list, _, err := play(tb, data, plenty)
	if err != nil || len(list) != 1 {
		tb.Fatalf("%d pictures, %v", len(list), err)
	}
	return list[0]
}

// eight returns the upper 8 bits of a colour that is not multiplied by alpha.
func eight(c color.Color) color.NRGBA {
	if n, ok := c.(color.NRGBA); ok {
		return n
	}
	n := color.NRGBA64Model.Convert(c).(color.NRGBA64)
	return color.NRGBA{byte(n.R >> 8), byte(n.G >> 8), byte(n.B >> 8), byte(n.A >> 8)}
}

func same(tb testing.TB, want, got image.Image) {
	tb.Helper()
	if want.Bounds() != got.Bounds() {
		tb.Fatalf("bounds %v, want %v", got.Bounds(), want.Bounds())
	}
	b := want.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			w, g := eight(want.At(x, y)), eight(got.At(x, y))
			if w != g && (w.A != 0 || g.A != 0) {
				tb.Fatalf("pixel %d,%d is %v, want %v", x, y, g, w)
			}
		}
	}
}

// Valid files of every variety give the pixels of image/png.
func TestAsStandardDecoder(t *testing.T) {
	t.Parallel()
	for _, v := range varieties() {
		for seed := range uint64(3) {
			data := build(v, rand.New(rand.NewPCG(seed, uint64(v.kind)<<8|uint64(v.depth))))
			want, err := png.Decode(bytes.NewReader(data))
			if err != nil {
				t.Fatalf("%v: %v", v, err)
			}
			s := one(t, data)
			if s.Fault != raster.Sound || s.Missing != 0 || s.Scale != 1 {
				t.Errorf("%v: fault %v, missing %v, scale %d", v, s.Fault, s.Missing, s.Scale)
			}
			same(t, want, s.Image)
			if t.Failed() {
				t.Fatal(v)
			}
		}
	}
}

var all = variety{kind: 6, depth: 8, w: 32, h: 32}

// withData returns a PNG whose IDAT chunks are those.
func withData(v variety, idat ...[]byte) []byte {
	b := appendChunk([]byte(pngdec.Signature), "IHDR", ihdr(v))
	for _, d := range idat {
		b = appendChunk(b, "IDAT", d)
	}
	return appendChunk(b, "IEND", nil)
}

// Damaged files give the rows before the fault, and say what is missing.
func TestDamage(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	rows := raw(all, rng)
	z := deflate(rows)
	row := len(rows) / all.h
	sound := withData(all, z)
	flip := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 0x55
		return b
	}
	badFilter := bytes.Clone(rows)
	badFilter[8*row] = 9
	crc := func(name string) []byte {
		return flip(sound, bytes.LastIndex(sound, []byte(name))-4+8+chunkLen(sound, name)+2)
	}
	tests := []struct {
		name    string
		data    []byte
		fault   raster.Fault
		missing float64
	}{
		{"sound", sound, raster.Sound, 0},
		{"in many chunks", withData(all, z[:1], nil, z[1:2], z[2:100], z[100:]), raster.Sound, 0},
		{"CRC of IDAT", crc("IDAT"), raster.Structure, 0},
		{"CRC of IEND", crc("IEND"), raster.Structure, 0},
		{"no IEND", sound[:len(sound)-12], raster.Structure, 0},
		{"junk behind", append(bytes.Clone(sound), "junk"...), raster.Sound, 0},
		{"Adler sum wrong", withData(all, flip(z, len(z)-1)), raster.Sound, 0},
		{"Adler sum missing", withData(all, z[:len(z)-4]), raster.Sound, 0},
		{"rows too many", withData(all, deflate(append(bytes.Clone(rows), rows...))), raster.Sound, 0},
		{"a byte too few", withData(all, deflate(rows[:len(rows)-1])), raster.Cut, 1.0 / 32},
		{"half of the rows", withData(all, deflate(rows[:16*row])), raster.Cut, 0.5},
		{"filter type", withData(all, deflate(badFilter)), raster.Data, 0.75},
		{"palette of a picture without", insert(sound, "PLTE", make([]byte, 5)), raster.Sound, 0},
		{"transparency of a wrong length", insert(sound, "tRNS", make([]byte, 5)), raster.Sound, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := one(t, tt.data)
			if s.Fault != tt.fault || s.Missing != tt.missing {
				t.Errorf("fault %v, missing %v; want %v, %v", s.Fault, s.Missing, tt.fault, tt.missing)
			}
			want, _ := png.Decode(bytes.NewReader(sound))
			for y := range int(32 * (1 - tt.missing)) {
				if w, g := eight(want.At(3, y)), eight(s.Image.At(3, y)); w != g {
					t.Fatalf("row %d is %v, want %v", y, g, w)
				}
			}
		})
	}
	for name, data := range map[string][]byte{
		"empty": nil, "signature": []byte(pngdec.Signature), "CRC of IHDR": flip(sound, 31),
		"no data": withData(all), "zlib header": withData(all, flip(z, 1)),
		"no palette": withData(variety{kind: 3, depth: 8, w: 3, h: 3}, z),
	} {
		if list, _, err := play(t, data, plenty); err == nil {
			t.Errorf("%s: %d pictures, want an error", name, len(list))
		}
	}
}

func chunkLen(data []byte, name string) int {
	i := bytes.LastIndex(data, []byte(name))
	return int(binary.BigEndian.Uint32(data[i-4:]))
}

// insert puts a chunk behind IHDR.
func insert(data []byte, name string, body []byte) []byte {
	const at = 8 + 25
	return append(appendChunk(bytes.Clone(data[:at]), name, body), data[at:]...)
}

// A cut interlaced picture shows what came, enlarged, and no pixel of it is empty.
func TestCutInterlaced(t *testing.T) {
	t.Parallel()
	v := variety{kind: 0, depth: 8, interlaced: true, w: 64, h: 64}
	rows := raw(v, rand.New(rand.NewPCG(1, 1)))
	for i := range rows {
		rows[i] = 0
	}
	n := 0
	for range 8 { // the first pass: eight rows of eight pixels
		for k := range 8 {
			rows[n+1+k] = 200
		}
		n += 9
	}
	s := one(t, withData(v, deflate(rows[:n])))
	if s.Missing < 0.98 || s.Fault != raster.Cut {
		t.Errorf("missing %v, fault %v", s.Missing, s.Fault)
	}
	for _, p := range s.Image.(*image.Gray).Pix {
		if p != 200 {
			t.Fatalf("a pixel is %d, want 200", p)
		}
	}
}

// What is too large to keep is reduced to means, interlaced or not.
func TestReduced(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("decodes 60 megapixels")
	}
	for _, interlaced := range []bool{false, true} {
		v := variety{kind: 2, depth: 8, interlaced: interlaced, w: 6000, h: 5000}
		data := withData(v, deflate(gradient(v)))
		s := one(t, data)
		b := s.Image.Bounds()
		if s.Scale < 2 || b.Dx() != (v.w+s.Scale-1)/s.Scale {
			t.Fatalf("scale %d, %v", s.Scale, b)
		}
		for y := 0; y < b.Dy(); y += 97 {
			for x := 0; x < b.Dx(); x += 89 {
				c := eight(s.Image.At(x, y))
				if w := x * s.Scale * 255 / v.w; c.A != 255 || int(c.R) < w-2 || int(c.R) > w+2 {
					t.Fatalf("%d,%d is %v, want about %d", x, y, c, w)
				}
			}
		}
	}
}

// gradient returns filtered rows of a colour picture that is brighter to the right.
func gradient(v variety) []byte {
	var out []byte
	passes := [][4]int{{0, 0, 1, 1}}
	if v.interlaced {
		passes = [][4]int{{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}}
	}
	for _, p := range passes {
		for y := p[1]; y < v.h; y += p[3] {
			out = append(out, 0)
			for x := p[0]; x < v.w; x += p[2] {
				c := byte(x * 255 / v.w)
				out = append(out, c, c, c)
			}
		}
	}
	return out
}

// The budget ends decoding, and what is there is given.
func TestBudget(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	data := withData(all, deflate(raw(all, rng)))
	list, _, err := play(t, data, 5000)
	if err != nil || len(list) != 1 || list[0].Fault != raster.Budget || list[0].Missing <= 0 || list[0].Missing >= 1 {
		t.Errorf("%v, %v", list, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	f, err := pngdec.Open(withData(variety{kind: 0, depth: 8, w: 4096, h: 4096}, deflate(make([]byte, 4097*4096))))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Play(raster.Options{MaxFrames: 1}, raster.NewWork(ctx, plenty), nil); err != context.Canceled {
		t.Errorf("error %v, want that of the context", err)
	}
}

func FuzzPNG(f *testing.F) {
	rng := rand.New(rand.NewPCG(3, 4))
	for i, v := range varieties() {
		if i%7 == 0 && v.w < 20 {
			f.Add(build(v, rng))
		}
	}
	f.Add(animated(true))
	f.Add(animated(false))
	f.Fuzz(func(t *testing.T, data []byte) {
		if f, err := pngdec.Open(data); err != nil || int64(f.Width)*int64(f.Height) > 1<<20 {
			return // a large canvas takes the time of many small ones
		}
		list, _, _ := play(t, data, 20<<20)
		for _, s := range list {
			if s.Image.Bounds().Empty() || s.Missing < 0 || s.Missing > 1 {
				t.Fatalf("%v, missing %v", s.Image.Bounds(), s.Missing)
			}
		}
	})
}
