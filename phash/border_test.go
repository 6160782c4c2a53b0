package phash_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"testing"

	xdraw "golang.org/x/image/draw"

	"github.com/staydown/staydown/phash"
)

// framed returns m with borders of the given widths.
func framed(m image.Image, left, top, right, bottom int, c color.Color) *image.RGBA {
	b := m.Bounds()
	n := image.NewRGBA(image.Rect(0, 0, left+b.Dx()+right, top+b.Dy()+bottom))
	draw.Draw(n, n.Rect, image.NewUniform(c), image.Point{}, draw.Src)
	draw.Draw(n, image.Rect(left, top, left+b.Dx(), top+b.Dy()), m, b.Min, draw.Src)
	return n
}

// scaled returns m scaled smoothly, which makes the edges of borders soft.
func scaled(m image.Image, w, h int) *image.RGBA {
	n := image.NewRGBA(image.Rect(0, 0, w, h))
	xdraw.CatmullRom.Scale(n, n.Rect, m, m.Bounds(), draw.Src, nil)
	return n
}

// captioned writes two lines of blocks, as letters are, into bars above and
// below m.
func captioned(m image.Image, bar int) *image.RGBA {
	n := framed(m, 0, bar, 0, bar, color.White)
	b := n.Bounds()
	for _, y0 := range []int{bar / 3, b.Dy() - bar + bar/3} {
		for x := 30; x < b.Dx()-30; x++ {
			for y := y0; y < y0+bar/3; y++ {
				if x*7/3%5 < 3 && (x/9+y/5)%3 != 0 {
					n.Set(x, y, color.Black)
				}
			}
		}
	}
	return n
}

// Borders of any colour, with soft edges, within one another, with a caption:
// one of the query hashes is that of the picture without them.
func TestQueryBorders(t *testing.T) {
	t.Parallel()
	src := scene(600, 440)
	want, _, err := phash.PDQ(src)
	if err != nil {
		t.Fatal(err)
	}
	orange, grey := color.RGBA{230, 130, 40, 255}, color.Gray{90}
	tests := []struct {
		name    string
		img     image.Image
		quality int
		most    int // query hashes
	}{
		{"none", src, 90, 1},
		{"letterbox", framed(src, 0, 60, 0, 60, color.Black), 80, 2},
		{"pillarbox", framed(src, 90, 0, 90, 0, color.White), 80, 2},
		{"one side", framed(src, 0, 0, 0, 50, grey), 80, 2},
		{"thin frame", framed(src, 9, 9, 9, 9, orange), 80, 3},
		{"strongly compressed", framed(src, 40, 40, 40, 40, orange), 30, 4},
		{"padded to a square", framed(src, 0, 80, 0, 80, color.White), 85, 2},
		{"soft edges", scaled(framed(src, 70, 50, 70, 50, grey), 391, 277), 80, 4},
		{"enlarged", scaled(framed(src, 30, 30, 30, 30, color.Black), 1500, 1100), 80, 4},
		{"frame in bars", framed(framed(src, 12, 12, 12, 12, orange), 0, 70, 0, 70, color.Black), 80, 3},
		{"caption", captioned(src, 70), 85, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			hs := phash.HashesToAsk(mustDecode(t, encodeJPEG(t, tt.img, tt.quality)))
			best := 256
			for _, h := range hs {
				best = min(best, distance(t, h, want))
			}
			if best > 26 || len(hs) > tt.most {
				t.Errorf("nearest of %d hashes is %d bits away; want at most %d and 26", len(hs), best, tt.most)
			}
		})
	}
}

// What is plain all over has no borders, and no other hash than its own.
func TestQueryPlain(t *testing.T) {
	t.Parallel()
	for _, size := range []image.Point{{1, 1}, {4, 300}, {300, 4}, {5, 5}, {640, 480}} {
		for _, level := range []byte{0, 128, 255} {
			g := image.NewGray(image.Rectangle{Max: size})
			for i := range g.Pix {
				g.Pix[i] = level
			}
			p, err := phash.NewPicture(g)
			if err != nil {
				t.Fatal(err)
			}
			if hs := phash.HashesToAsk(p); len(hs) != 1 || !hs[0].IsZero() {
				t.Errorf("%v of level %d: %d hashes, the first %v; want the zero Hash alone", size, level, len(hs), hs[0])
			}
		}
	}
}

// A page with nothing on it but a thin rim is not looked up: its hash has as many
// ones as any, and is near to those of other things with a rim.
func TestQueryRim(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		level uint8 // of the page, in a rim of black
		rim   int
		zero  bool
	}{
		{"white in a rim of a pixel", 255, 1, true},
		{"hardly anything in a rim", 8, 8, true},
		{"white in a wide frame", 255, 40, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := image.NewGray(image.Rect(0, 0, 400, 300))
			for y := tt.rim; y < 300-tt.rim; y++ {
				for x := tt.rim; x < 400-tt.rim; x++ {
					g.SetGray(x, y, color.Gray{Y: tt.level})
				}
			}
			p, err := phash.NewPicture(g)
			if err != nil {
				t.Fatal(err)
			}
			own, quality := p.PDQ()
			first := phash.HashesToAsk(p)[0]
			if first.IsZero() != tt.zero || !tt.zero && first != own {
				t.Errorf("quality %d: query with %v, own hash %v", quality, first, own)
			}
		})
	}
}

// The frames of a GIF are drawn where they belong, and taken away as they say.
func TestGIFDisposal(t *testing.T) {
	t.Parallel()
	red, green, blue := color.RGBA{255, 0, 0, 255}, color.RGBA{0, 255, 0, 255}, color.RGBA{0, 0, 255, 255}
	pal := color.Palette{color.Transparent, red, green, blue}
	frame := func(r image.Rectangle, index uint8) *image.Paletted {
		m := image.NewPaletted(r, pal)
		for i := range m.Pix {
			m.Pix[i] = index
		}
		return m
	}
	all := image.Rect(0, 0, 40, 30)
	g := &gif.GIF{
		Image: []*image.Paletted{
			frame(all, 1),
			frame(image.Rect(5, 5, 15, 15), 2),   // then cleared
			frame(image.Rect(20, 5, 30, 15), 3),  // then what was there comes back
			frame(image.Rect(30, 20, 40, 30), 2), // stays
			frame(all, 0),                        // nothing but transparent
		},
		Delay:    make([]int, 5),
		Disposal: []byte{gif.DisposalNone, gif.DisposalBackground, gif.DisposalPrevious, gif.DisposalNone, gif.DisposalNone},
		Config:   image.Config{ColorModel: pal, Width: 40, Height: 30},
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, g); err != nil {
		t.Fatal(err)
	}
	// The colours at (2, 2), (10, 10), (25, 10) and (35, 25).
	want := []string{"rrrr", "rgrr", "r br", "r rg"} // the last frame changes nothing
	letters := map[color.NRGBA]string{{255, 0, 0, 255}: "r", {0, 255, 0, 255}: "g", {0, 0, 255, 255}: "b"}
	var got []string
	for p, err := range phash.DecodeFrames(&b, nil) {
		if err != nil {
			t.Fatal(err)
		}
		s := ""
		for _, at := range []image.Point{{2, 2}, {10, 10}, {25, 10}, {35, 25}} {
			c := color.NRGBAModel.Convert(p.Image().At(at.X, at.Y)).(color.NRGBA)
			if c.A == 0 {
				s += " "
			} else {
				s += letters[c]
			}
		}
		got = append(got, s)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("frames show %q, want %q", got, want)
	}
}
