package main

import (
	"cmp"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"log"
	"os"
	"slices"
	"strings"

	"golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"

	"github.com/staydown/staydown/internal/features"
)

// The sheet's measures in pixels.
const (
	sheetColumns         = 3
	sheetPicture         = 184 // width of a picture, and its greatest height
	sheetWidth           = 2*sheetPicture + 3*sheetMargin
	sheetMargin, lineGap = 6, 14
)

// writeSheet draws a page of examples for a person to look at: each line of the
// file at list is a caption, a registered picture and an asked one, separated
// by tabs. The fitted outline of the registered picture is drawn into the
// asked one, at its rim where it goes beyond: green at Block, orange at Review.
func writeSheet(c *cache, list, out string) {
	examples := lines(list)
	page := image.NewRGBA(image.Rect(0, 0, sheetColumns*sheetWidth, len(examples)*sheetPicture))
	draw.Draw(page, page.Rect, image.White, image.Point{}, draw.Src)
	x := features.Searcher{KeepNone: true}
	top := sheetMargin
	for row := range slices.Chunk(examples, sheetColumns) {
		bottom := top
		var texts [sheetColumns][2]string
		for i, l := range row {
			p := strings.Split(l, "\t")
			if len(p) != 3 {
				log.Fatalf("%s: %q is not three fields", list, l)
			}
			seg, err := features.NewSegment([]features.Entry{{Features: c.features(p[1])}})
			if err != nil {
				log.Fatal(err)
			}
			var best features.Match
			seg.Search(&x, c.features(p[2]), func(m features.Match) bool {
				if cmp.Or(cmp.Compare(m.Band, best.Band), cmp.Compare(m.Inliers, best.Inliers)) > 0 {
					best = m
				}
				return true
			})
			at := image.Pt(i*sheetWidth+sheetMargin, top)
			registered := place(page, at, p[1])
			asked := place(page, at.Add(image.Pt(sheetPicture+sheetMargin, 0)), p[2])
			bottom = max(bottom, registered.Max.Y, asked.Max.Y)
			verdict := "not found"
			switch best.Band {
			case features.Block:
				outline(page, asked, best.Map, color.RGBA{0, 200, 60, 255})
				verdict = "Block"
			case features.Review:
				outline(page, asked, best.Map, color.RGBA{240, 140, 0, 255})
				verdict = "Review"
			}
			if best.Band != features.None {
				verdict = fmt.Sprintf("%s: %d points, %.0f %% covered", verdict, best.Inliers, 100*best.Coverage)
			}
			texts[i] = [2]string{p[0], verdict}
		}
		for i := range row {
			at := image.Pt(i*sheetWidth+sheetMargin, bottom+lineGap)
			write(page, at, texts[i][0])
			write(page, at.Add(image.Pt(0, lineGap)), texts[i][1])
		}
		top = bottom + 3*lineGap
	}
	f, err := os.Create(out)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	used := page.SubImage(image.Rect(0, 0, page.Rect.Max.X, top))
	if err := jpeg.Encode(f, used, &jpeg.Options{Quality: 82}); err != nil {
		log.Fatal(err)
	}
}

// place draws the picture at path, made small enough, and returns where it is.
func place(page draw.Image, at image.Point, path string) image.Rectangle {
	m, err := decode(path)
	if err != nil {
		log.Fatal(err)
	}
	b := m.Bounds()
	w, h := sheetPicture, sheetPicture*b.Dy()/b.Dx()
	if h > sheetPicture {
		w, h = sheetPicture*b.Dx()/b.Dy(), sheetPicture
	}
	r := image.Rectangle{at, at.Add(image.Pt(w, h))}
	draw.CatmullRom.Scale(page, r, m, b, draw.Src, nil)
	return r
}

// outline draws where m puts the unit square in r.
func outline(page draw.Image, r image.Rectangle, m [8]float64, ink color.Color) {
	corner := func(x, y float64) (float64, float64) {
		w := m[6]*x + m[7]*y + 1
		return float64(r.Min.X) + (m[0]*x+m[1]*y+m[2])/w*float64(r.Dx()), float64(r.Min.Y) + (m[3]*x+m[4]*y+m[5])/w*float64(r.Dy())
	}
	square := [][2]float64{{0, 0}, {1, 0}, {1, 1}, {0, 1}, {0, 0}}
	const steps = 2000
	for i := range 4 {
		for s := range steps {
			t := float64(s) / steps
			x, y := corner(square[i][0]*(1-t)+square[i+1][0]*t, square[i][1]*(1-t)+square[i+1][1]*t)
			px := min(max(int(x), r.Min.X+1), r.Max.X-1)
			py := min(max(int(y), r.Min.Y+1), r.Max.Y-1)
			draw.Draw(page, image.Rect(px-1, py-1, px+1, py+1), image.NewUniform(ink), image.Point{}, draw.Src)
		}
	}
}

func write(page draw.Image, at image.Point, s string) {
	d := font.Drawer{Dst: page, Src: image.Black, Face: basicfont.Face7x13, Dot: fixed.P(at.X, at.Y)}
	d.DrawString(s)
}

// decode returns the picture at path.
func decode(path string) (image.Image, error) {
	r, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	m, _, err := image.Decode(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}
