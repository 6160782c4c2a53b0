package gifdec_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"image"
	"image/color"
	"image/gif"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/staydown/staydown/internal/gifdec"
	"github.com/staydown/staydown/internal/raster"
)

const plenty = 1 << 40

func play(data []byte, frames int, work int64) (list []raster.Shown, left raster.LeftOut, err error) {
	f, err := gifdec.Open(data)
	if err != nil {
		return nil, 0, err
	}
	w := raster.NewWork(context.Background(), work)
	left, err = f.Play(raster.Options{MaxFrames: frames}, w, func(s raster.Shown) bool {
		list = append(list, s)
		return true
	})
	return list, left, err
}

// paletted returns random pixels: runs, so that long codes occur.
func paletted(rng *rand.Rand, r image.Rectangle, colours int, transparent bool) *image.Paletted {
	p := make(color.Palette, colours)
	for i := range p {
		p[i] = color.RGBA{byte(rng.Uint32()), byte(rng.Uint32()), byte(rng.Uint32()), 0xff}
	}
	if transparent {
		p[0] = color.RGBA{}
	}
	m := image.NewPaletted(r, p)
	v := byte(0)
	for i := range m.Pix {
		if rng.IntN(5) == 0 {
			v = byte(rng.IntN(colours))
		}
		m.Pix[i] = v
	}
	return m
}

func encode(tb testing.TB, g *gif.GIF) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, g); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func same(tb testing.TB, want, got image.Image) {
	tb.Helper()
	if want.Bounds() != got.Bounds() {
		tb.Fatalf("bounds %v, want %v", got.Bounds(), want.Bounds())
	}
	b := want.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			wr, wg, wb, wa := want.At(x, y).RGBA()
			gr, gg, gb, ga := got.At(x, y).RGBA()
			if wr != gr || wg != gg || wb != gb || wa != ga {
				tb.Fatalf("pixel %d,%d is %v, want %v", x, y, got.At(x, y), want.At(x, y))
			}
		}
	}
}

// Valid files give the pixels of image/gif, of all sizes of tables.
func TestAsStandardDecoder(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for _, colours := range []int{2, 3, 4, 7, 16, 33, 128, 200, 256} {
		for _, size := range []image.Point{{1, 1}, {7, 5}, {100, 60}, {300, 200}} {
			m := paletted(rng, image.Rectangle{Max: size}, colours, colours%2 == 1)
			data := encode(t, &gif.GIF{Image: []*image.Paletted{m}, Delay: []int{7}})
			want, err := gif.Decode(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			list, _, err := play(data, 10, plenty)
			if err != nil || len(list) != 1 || list[0].Fault != raster.Sound || list[0].Missing != 0 {
				t.Fatalf("%v, %v", list, err)
			}
			same(t, want, list[0].Image)
		}
	}
}

// interlaced returns data with its rows in the order of an interlaced frame, and
// the flag set.
func interlaced(tb testing.TB, m *image.Paletted) []byte {
	n := image.NewPaletted(m.Rect, m.Palette)
	row := 0
	for _, p := range [][2]int{{0, 8}, {4, 8}, {2, 4}, {1, 2}} {
		for y := p[0]; y < m.Rect.Dy(); y += p[1] {
			copy(n.Pix[row*n.Stride:][:n.Stride], m.Pix[y*m.Stride:])
			row++
		}
	}
	data := encode(tb, &gif.GIF{Image: []*image.Paletted{n}, Delay: []int{0}})
	i := frameAt(data)
	data[i+9] |= 0x40
	return data
}

// frameAt returns where the first frame begins, in a file without extensions but
// control blocks.
func frameAt(data []byte) int {
	i := 13
	if data[10]&0x80 != 0 {
		i += 3 << (data[10]&7 + 1)
	}
	for data[i] == 0x21 {
		i += 2
		for data[i] != 0 {
			i += 1 + int(data[i])
		}
		i++
	}
	return i
}

func TestInterlaced(t *testing.T) {
	t.Parallel()
	m := paletted(rand.New(rand.NewPCG(3, 4)), image.Rect(0, 0, 50, 37), 64, false)
	list, _, err := play(interlaced(t, m), 10, plenty)
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	same(t, m, list[0].Image)
}

func TestTolerance(t *testing.T) {
	t.Parallel()
	m := paletted(rand.New(rand.NewPCG(5, 6)), image.Rect(0, 0, 60, 40), 200, false)
	sound := encode(t, &gif.GIF{Image: []*image.Paletted{m}, Delay: []int{0}})
	at := frameAt(sound)
	put := func(pos int, v uint16) []byte {
		b := bytes.Clone(sound)
		binary.LittleEndian.PutUint16(b[pos:], v)
		return b
	}
	table := 0
	if sound[at+9]&0x80 != 0 {
		table = 3 << (sound[at+9]&7 + 1)
	}
	first := at + 10 + table + 1 // the first block of data
	short := append(bytes.Clone(sound[:first+1+int(sound[first])]), 0, 0x3b)
	tests := []struct {
		name string
		data []byte
		size image.Point
		rows int // that are right
	}{
		{"sound", sound, image.Pt(60, 40), 40},
		{"screen of 0 × 0", put(8, 0)[:len(sound)], image.Pt(60, 40), 40},
		{"screen of 1 × 1", put(6, 1), image.Pt(60, 40), 40},
		{"frame at 10,10", put(at+1, 10), image.Pt(70, 40), 0},
		{"a row less than data", put(at+7, 39), image.Pt(60, 40), 39},
		{"rows more than data", put(at+7, 50), image.Pt(60, 50), 40},
		{"no trailer", sound[:len(sound)-1], image.Pt(60, 40), 40},
		{"no terminator", sound[:len(sound)-2], image.Pt(60, 40), 40},
		{"cut", sound[:len(sound)*2/3], image.Pt(60, 40), 5},
		{"data end early", short, image.Pt(60, 40), 2},
		{"junk behind the frame", append(bytes.Clone(sound[:len(sound)-1]), 0x77, 0x88), image.Pt(60, 40), 40},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			list, _, err := play(tt.data, 10, plenty)
			if err != nil || len(list) != 1 {
				t.Fatalf("%d frames, %v", len(list), err)
			}
			got := list[0].Image
			if got.Bounds().Size() != tt.size {
				t.Errorf("%v, want %v", got.Bounds(), tt.size)
			}
			for y := range tt.rows {
				for x := range 60 {
					w := color.NRGBAModel.Convert(m.At(x, y))
					if got.At(x, y) != w {
						t.Fatalf("%d,%d is %v, want %v", x, y, got.At(x, y), w)
					}
				}
			}
		})
	}
	size := bytes.Clone(sound)
	size[first-1] = 9
	none := bytes.Clone(sound)
	none[at+9] &^= 0x80
	none[10] &^= 0x80
	for name, data := range map[string][]byte{
		"empty": nil, "version": append([]byte("GIF88a"), sound[6:]...), "code size": size, "no frame": sound[:at],
		"width 0": put(at+5, 0),
	} {
		if list, _, err := play(data, 10, plenty); err == nil {
			t.Errorf("%s: %d frames, want an error", name, len(list))
		}
	}
}

// Frames are drawn as viewers do, and of many some from everywhere are given.
func TestFrames(t *testing.T) {
	t.Parallel()
	g := &gif.GIF{}
	p := color.Palette{color.RGBA{}, color.RGBA{250, 0, 0, 255}, color.RGBA{0, 250, 0, 255}, color.RGBA{0, 0, 250, 255}}
	add := func(r image.Rectangle, c uint8, delay int, dispose byte) {
		m := image.NewPaletted(r, p)
		for i := range m.Pix {
			m.Pix[i] = c
		}
		g.Image, g.Delay, g.Disposal = append(g.Image, m), append(g.Delay, delay), append(g.Disposal, dispose)
	}
	all := image.Rect(0, 0, 8, 8)
	add(all, 1, 1, gif.DisposalNone)
	add(image.Rect(2, 2, 4, 4), 2, 2, gif.DisposalPrevious)
	add(image.Rect(6, 6, 8, 8), 0, 3, gif.DisposalNone) // nothing: as the first frame
	add(image.Rect(4, 4, 6, 6), 3, 4, gif.DisposalBackground)
	add(image.Rect(0, 0, 1, 1), 2, 5, gif.DisposalNone)
	list, left, err := play(encode(t, g), 10, plenty)
	if err != nil || left != 0 || len(list) != 4 {
		t.Fatalf("%d frames, %d left out, %v; want 4", len(list), left, err)
	}
	want := []struct {
		index int
		start time.Duration
		at    [3]color.NRGBA // at 0,0, 3,3 and 5,5
	}{
		{0, 0, [3]color.NRGBA{{250, 0, 0, 255}, {250, 0, 0, 255}, {250, 0, 0, 255}}},
		{1, 10, [3]color.NRGBA{{250, 0, 0, 255}, {0, 250, 0, 255}, {250, 0, 0, 255}}},
		{3, 60, [3]color.NRGBA{{250, 0, 0, 255}, {250, 0, 0, 255}, {0, 0, 250, 255}}},
		{4, 100, [3]color.NRGBA{{0, 250, 0, 255}, {250, 0, 0, 255}, {}}},
	}
	for i, w := range want {
		s := list[i]
		if s.Index != w.index || s.Start != w.start*time.Millisecond {
			t.Errorf("frame %d: index %d at %v, want %d at %v", i, s.Index, s.Start, w.index, w.start)
		}
		for k, p := range []image.Point{{0, 0}, {3, 3}, {5, 5}} {
			if got := s.Image.At(p.X, p.Y); got != w.at[k] {
				t.Errorf("frame %d at %v: %v, want %v", i, p, got, w.at[k])
			}
		}
	}
}

// Of many frames those given are spread over the animation, with the longest of
// each stretch.
func TestSampling(t *testing.T) {
	t.Parallel()
	g := &gif.GIF{}
	for i := range 200 {
		m := image.NewPaletted(image.Rect(0, 0, 4, 4), color.Palette{color.RGBA{byte(i), 1, 2, 255}, color.RGBA{0, 0, 0, 255}})
		g.Image, g.Delay = append(g.Image, m), append(g.Delay, 1)
	}
	g.Delay[57] = 500
	list, left, err := play(encode(t, g), 20, plenty)
	if err != nil || len(list) != 20 || left != 180 {
		t.Fatalf("%d frames, %d left out, %v; want 20 and 180", len(list), left, err)
	}
	last, long := -1, false
	for i, s := range list {
		if s.Index/10 != i || s.Index <= last {
			t.Errorf("frame %d is %d, want one of %d to %d", i, s.Index, 10*i, 10*i+9)
		}
		last, long = s.Index, long || s.Index == 57
	}
	if !long {
		t.Error("the frame that is shown longest was left out")
	}

	// Work for a few frames only: they are still from everywhere.
	m := g.Image[0]
	for i := range g.Image {
		n := image.NewPaletted(image.Rect(0, 0, 500, 400), m.Palette)
		for k := range n.Pix[:i+1] {
			n.Pix[k] = 1
		}
		g.Image[i] = n
	}
	data := encode(t, g)
	list, left, err = play(data, 100, 40<<20)
	if err != nil || len(list) < 4 || len(list) > 30 || left != raster.LeftOut(200-len(list)) {
		t.Fatalf("%d frames, %d left out, %v", len(list), left, err)
	}
	if i := list[len(list)-1].Index; i < 140 {
		t.Errorf("the last frame given is %d of 200", i)
	}
}

func FuzzGIF(f *testing.F) {
	rng := rand.New(rand.NewPCG(7, 8))
	f.Add(encode(f, &gif.GIF{Image: []*image.Paletted{paletted(rng, image.Rect(0, 0, 20, 10), 40, true)}, Delay: []int{1}}))
	f.Add(encode(f, &gif.GIF{Image: []*image.Paletted{
		paletted(rng, image.Rect(0, 0, 20, 10), 4, true), paletted(rng, image.Rect(5, 5, 9, 9), 4, true)}, Delay: []int{1, 0}}))
	f.Add(interlaced(f, paletted(rng, image.Rect(0, 0, 20, 20), 4, true)))
	f.Fuzz(func(t *testing.T, data []byte) {
		if f, err := gifdec.Open(data); err != nil || int64(f.Width)*int64(f.Height) > 1<<20 {
			return // a large canvas takes the time of many small ones
		}
		list, _, _ := play(data, 20, 20<<20)
		for _, s := range list {
			if s.Image.Bounds().Empty() || s.Missing < 0 || s.Missing > 1 {
				t.Fatalf("%v, missing %v", s.Image.Bounds(), s.Missing)
			}
		}
	})
}
