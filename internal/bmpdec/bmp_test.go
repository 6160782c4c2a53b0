package bmpdec_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"testing"

	"golang.org/x/image/bmp"

	"github.com/staydown/staydown/internal/bmpdec"
	"github.com/staydown/staydown/internal/raster"
)

func open(data []byte) (*raster.File, error) {
	if bmpdec.IsICO(data) {
		return bmpdec.OpenICO(data)
	}
	return bmpdec.Open(data)
}

func play(data []byte, work int64) (list []raster.Shown, err error) {
	f, err := open(data)
	if err != nil {
		return nil, err
	}
	w := raster.NewWork(context.Background(), work)
	_, err = f.Play(raster.Options{MaxFrames: 1}, w, func(s raster.Shown) bool {
		list = append(list, s)
		return true
	})
	return list, err
}

func only(tb testing.TB, data []byte) raster.Shown {
	tb.Helper()
	list, err := play(data, 1<<40)
	if err != nil || len(list) != 1 {
		tb.Fatalf("%d pictures, %v", len(list), err)
	}
	return list[0]
}

func nrgba(c color.Color) color.NRGBA { return color.NRGBAModel.Convert(c).(color.NRGBA) }

// info is a header of size bytes for w × h pixels.
func info(size, w, h, depth, compression, colours int) []byte {
	b := make([]byte, size)
	le := binary.LittleEndian
	le.PutUint32(b, uint32(size))
	if size == 12 {
		le.PutUint16(b[4:], uint16(w))
		le.PutUint16(b[6:], uint16(h))
		le.PutUint16(b[8:], 1)
		le.PutUint16(b[10:], uint16(depth))
		return b
	}
	le.PutUint32(b[4:], uint32(w))
	le.PutUint32(b[8:], uint32(h))
	le.PutUint16(b[12:], 1)
	le.PutUint16(b[14:], uint16(depth))
	le.PutUint32(b[16:], uint32(compression))
	le.PutUint32(b[32:], uint32(colours))
	return b
}

func file(header, palette, pixels []byte) []byte {
	b := []byte("BM\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	binary.LittleEndian.PutUint32(b[10:], uint32(14+len(header)+len(palette)))
	binary.LittleEndian.PutUint32(b[2:], uint32(14+len(header)+len(palette)+len(pixels)))
	return bytes.Join([][]byte{b, header, palette, pixels}, nil)
}

func random(n int, seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// What golang.org/x/image/bmp decodes is decoded to the same pixels.
func TestAsOtherDecoder(t *testing.T) {
	t.Parallel()
	for _, depth := range []int{1, 2, 4, 8, 24, 32} {
		for _, size := range []int{40, 108, 124} {
			if depth == 32 && size > 40 {
				continue // it has alpha only if its header has a mask for it: see TestVarieties
			}
			for _, h := range []int{17, -17} {
				const w = 21
				var palette []byte
				if depth <= 8 {
					palette = random(4<<depth, 2)
				}
				pixels := random((w*depth+31)/32*4*17, uint64(depth))
				data := file(info(size, w, h, depth, 0, 0), palette, pixels)
				want, err := bmp.Decode(bytes.NewReader(data))
				if err != nil {
					t.Fatalf("depth %d: %v", depth, err)
				}
				s := only(t, data)
				if s.Fault != raster.Sound || s.Missing != 0 {
					t.Errorf("fault %v, missing %v", s.Fault, s.Missing)
				}
				for y := range 17 {
					for x := range w {
						w, g := nrgba(want.At(x, y)), nrgba(s.Image.At(x, y))
						if w != g {
							t.Fatalf("depth %d, header %d, height %d: %d,%d is %v, want %v", depth, size, h, x, y, g, w)
						}
					}
				}
			}
		}
	}
}

func at(tb testing.TB, s raster.Shown, x, y int, want color.NRGBA) {
	tb.Helper()
	if got := nrgba(s.Image.At(x, y)); got != want {
		tb.Errorf("%d,%d is %v, want %v", x, y, got, want)
	}
}

func TestVarieties(t *testing.T) {
	t.Parallel()
	red, green, blue := color.NRGBA{255, 0, 0, 255}, color.NRGBA{0, 255, 0, 255}, color.NRGBA{0, 0, 255, 255}
	palette := []byte{0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0, 0}

	// 5 pixels red, one row up a green one at 2, then the end.
	s := only(t, file(info(40, 5, 3, 8, 1, 3), palette, []byte{5, 0, 0, 0, 0, 2, 2, 0, 1, 1, 0, 0, 0, 3, 2, 1, 0, 0, 0, 1}))
	at(t, s, 4, 2, red)
	at(t, s, 2, 1, green)
	at(t, s, 1, 1, color.NRGBA{}) // no run reaches it
	at(t, s, 0, 0, blue)
	at(t, s, 1, 0, green)

	s = only(t, file(info(40, 5, 1, 4, 2, 3), palette, []byte{5, 0x01, 0, 1}))
	at(t, s, 0, 0, red)
	at(t, s, 1, 0, green)
	at(t, s, 4, 0, red)

	s = only(t, file(info(12, 2, 1, 4, 0, 0), bytes.Repeat([]byte{255, 0, 0}, 16), []byte{0, 0, 0, 0}))
	at(t, s, 1, 0, blue)

	// 5-6-5 bits, the masks behind the header.
	masks := []byte{0, 0xf8, 0, 0, 0xe0, 7, 0, 0, 0x1f, 0, 0, 0}
	s = only(t, file(info(40, 2, 1, 16, 3, 0), masks, []byte{0, 0xf8, 0x1f, 0}))
	at(t, s, 0, 0, red)
	at(t, s, 1, 0, blue)

	// Alpha, of a header that has it; and all zero, which is opaque.
	withAlpha := info(108, 2, 1, 32, 0, 0)
	withAlpha[55] = 0xff
	s = only(t, file(withAlpha, nil, []byte{255, 0, 0, 100, 0, 0, 255, 0}))
	at(t, s, 0, 0, color.NRGBA{0, 0, 255, 100})
	s = only(t, file(info(108, 2, 1, 32, 0, 0), nil, []byte{255, 0, 0, 100, 0, 0, 255, 0}))
	at(t, s, 0, 0, blue) // no mask for alpha
	s = only(t, file(withAlpha, nil, []byte{255, 0, 0, 0, 0, 0, 255, 0}))
	at(t, s, 0, 0, blue)
	at(t, s, 1, 0, red)

	// Cut: the lower row is there.
	s = only(t, file(info(40, 2, 2, 24, 0, 0), nil, []byte{0, 0, 255, 0, 255, 0, 0, 0}))
	at(t, s, 1, 1, green)
	if s.Fault != raster.Cut || s.Missing != 0.5 {
		t.Errorf("fault %v, missing %v", s.Fault, s.Missing)
	}

	for name, data := range map[string][]byte{
		"empty": nil, "no header": []byte("BM"), "header cut": file(info(40, 2, 2, 24, 0, 0)[:20], nil, nil),
		"no pixels": file(info(40, 2, 2, 24, 0, 0), nil, nil), "depth": file(info(40, 2, 2, 5, 0, 0), nil, random(40, 1)),
		"JPEG inside": file(info(40, 2, 2, 24, 4, 0), nil, random(40, 1)), "width": file(info(40, -2, 2, 24, 0, 0), nil, random(40, 1)),
	} {
		if list, err := play(data, 1<<30); err == nil {
			t.Errorf("%s: %v, want an error", name, list)
		}
	}
}

// ico returns an icon of those pictures, each w × w.
func ico(pictures map[int][]byte) []byte {
	var head, body []byte
	at := 6 + 16*len(pictures)
	head = append(head, 0, 0, 1, 0, byte(len(pictures)), 0)
	for w, p := range pictures {
		e := make([]byte, 16)
		e[0], e[1] = byte(w), byte(w)
		binary.LittleEndian.PutUint32(e[8:], uint32(len(p)))
		binary.LittleEndian.PutUint32(e[12:], uint32(at+len(body)))
		head = append(head, e...)
		body = append(body, p...)
	}
	return append(head, body...)
}

func TestICO(t *testing.T) {
	t.Parallel()
	m := image.NewNRGBA(image.Rect(0, 0, 48, 48))
	for i := range m.Pix {
		m.Pix[i] = 200
	}
	var p bytes.Buffer
	if err := png.Encode(&p, m); err != nil {
		t.Fatal(err)
	}
	// 2 × 2, 24 bits: the rows are padded to 8 bytes; the AND mask names one pixel.
	small := append(info(40, 2, 4, 24, 0, 0), 0, 0, 255, 0, 255, 0, 0, 0, 255, 0, 0, 0, 0, 255, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0)
	s := only(t, ico(map[int][]byte{2: small, 48: p.Bytes()}))
	if s.Image.Bounds() != image.Rect(0, 0, 48, 48) {
		t.Errorf("%v, want the largest", s.Image.Bounds())
	}
	at(t, s, 5, 5, color.NRGBA{200, 200, 200, 200})
	s = only(t, ico(map[int][]byte{2: small, 48: []byte("damaged")}))
	at(t, s, 0, 1, color.NRGBA{255, 0, 0, 255})
	at(t, s, 1, 1, color.NRGBA{0, 255, 0, 0})
	at(t, s, 0, 0, color.NRGBA{0, 0, 255, 255})
	for name, data := range map[string][]byte{"empty": nil, "no entry": {0, 0, 1, 0, 0, 0}, "behind the end": ico(map[int][]byte{2: nil})} {
		if list, err := play(data, 1<<30); err == nil {
			t.Errorf("%s: %v, want an error", name, list)
		}
	}
}

func FuzzBMP(f *testing.F) {
	f.Add(file(info(40, 5, 3, 8, 1, 3), make([]byte, 12), []byte{5, 0, 0, 0, 0, 2, 2, 0, 1, 1, 0, 0, 0, 3, 2, 1, 0, 0, 0, 1}))
	f.Add(file(info(124, 9, -3, 32, 0, 0), nil, random(108, 1)))
	f.Add(file(info(40, 9, 3, 16, 3, 0), random(12, 1), random(60, 1)))
	f.Add(ico(map[int][]byte{2: append(info(40, 2, 4, 32, 0, 0), random(24, 1)...)}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if f, err := open(data); err != nil || int64(f.Width)*int64(f.Height) > 1<<20 {
			return
		}
		list, _ := play(data, 20<<20)
		for _, s := range list {
			if s.Image.Bounds().Empty() || s.Missing < 0 || s.Missing > 1 {
				t.Fatalf("%v, missing %v", s.Image.Bounds(), s.Missing)
			}
		}
	})
}
