// Package outline draws what two pictures have in common, for people who compare
// them.
package outline

import (
	"image"
	"image/color"
	"math"

	"golang.org/x/image/draw"
)

// Point is a place in a picture, in shares of its sides.
type Point struct{ X, Y float64 }

// Shared returns the part of each of two pictures that the other one shows. m maps the
// unit square of the first picture to that of the second, as features.Match.Map does.
// inA is empty if the map has no inverse.
func Shared(m *[8]float64) (inA, inB []Point) {
	inB = clipToUnit(project(m, []Point{{0, 0}, {1, 0}, {1, 1}, {0, 1}}))
	if back, ok := invert(m); ok {
		inA = project(&back, inB)
	}
	return inA, inB
}

// SideBySide draws two pictures beside each other, at the same height. A map between
// them, unless nil, outlines what they share.
func SideBySide(a, b image.Image, m *[8]float64, height int) *image.NRGBA {
	left, right := Resize(a, height), Resize(b, height)
	if m != nil {
		inA, inB := Shared(m)
		Draw(left, inA)
		Draw(right, inB)
	}
	const gap = 8
	w := left.Bounds().Dx()
	out := image.NewNRGBA(image.Rect(0, 0, w+gap+right.Bounds().Dx(), height))
	draw.Draw(out, out.Bounds(), image.White, image.Point{}, draw.Src)
	draw.Draw(out, left.Bounds(), left, image.Point{}, draw.Over)
	draw.Draw(out, right.Bounds().Add(image.Pt(w+gap, 0)), right, image.Point{}, draw.Over)
	return out
}

// Resize returns a picture of a height, over white. The width is at most four times
// the height.
func Resize(img image.Image, height int) *image.NRGBA {
	b := img.Bounds()
	width := min(4*height, max(1, int(float64(b.Dx())*float64(height)/float64(max(1, b.Dy()))+0.5)))
	to := image.NewNRGBA(image.Rect(0, 0, width, height))
	draw.Draw(to, to.Bounds(), image.White, image.Point{}, draw.Src)
	draw.CatmullRom.Scale(to, to.Bounds(), img, b, draw.Over, nil)
	return to
}

// project maps points.
func project(m *[8]float64, points []Point) []Point {
	out := make([]Point, len(points))
	for i, p := range points {
		w := m[6]*p.X + m[7]*p.Y + 1
		out[i] = Point{(m[0]*p.X + m[1]*p.Y + m[2]) / w, (m[3]*p.X + m[4]*p.Y + m[5]) / w}
	}
	return out
}

// invert returns the map back; ok is false if there is none.
func invert(m *[8]float64) (back [8]float64, ok bool) {
	a, b, c, d, e, f, g, h := m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7]
	last := a*e - b*d
	if last == 0 || math.IsNaN(last) {
		return back, false
	}
	for i, v := range [8]float64{e - f*h, c*h - b, b*f - c*e, f*g - d, a - c*g, c*d - a*f, d*h - e*g, b*g - a*h} {
		back[i] = v / last
	}
	return back, true
}

// clipToUnit cuts off what of a convex polygon lies outside of the picture
// (Sutherland and Hodgman).
func clipToUnit(poly []Point) []Point {
	for _, inside := range []func(p Point) float64{
		func(p Point) float64 { return p.X }, func(p Point) float64 { return 1 - p.X },
		func(p Point) float64 { return p.Y }, func(p Point) float64 { return 1 - p.Y },
	} {
		var out []Point
		for i, p := range poly {
			q := poly[(i+1)%len(poly)]
			u, v := inside(p), inside(q)
			if u >= 0 {
				out = append(out, p)
			}
			if (u >= 0) != (v >= 0) {
				t := u / (u - v)
				out = append(out, Point{p.X + t*(q.X-p.X), p.Y + t*(q.Y-p.Y)})
			}
		}
		poly = out
	}
	return poly
}

// Draw draws the outline of a polygon, three pixels wide with a light rim.
func Draw(img *image.NRGBA, poly []Point) {
	for _, pen := range []struct {
		wide int
		ink  color.NRGBA
	}{{2, color.NRGBA{0xff, 0xff, 0xff, 0xff}}, {1, color.NRGBA{0xe0, 0x10, 0x50, 0xff}}} {
		for i, p := range poly {
			drawLine(img, pixelOf(img, p), pixelOf(img, poly[(i+1)%len(poly)]), pen.wide, pen.ink)
		}
	}
}

func pixelOf(img image.Image, p Point) image.Point {
	return image.Pt(toPixel(p.X, img.Bounds().Dx()), toPixel(p.Y, img.Bounds().Dy()))
}

// toPixel turns a share of a side into pixels.
func toPixel(x float64, side int) int {
	if math.IsNaN(x) {
		return 0
	}
	return int(max(0, min(1, x)) * float64(side))
}

// drawLine draws a line, 2 wide + 1 pixels wide, clipped to the picture.
func drawLine(img *image.NRGBA, p, q image.Point, wide int, ink color.NRGBA) {
	n := max(abs(q.X-p.X), abs(q.Y-p.Y), 1)
	for i := range n + 1 {
		x, y := p.X+(q.X-p.X)*i/n, p.Y+(q.Y-p.Y)*i/n
		for dy := -wide; dy <= wide; dy++ {
			for dx := -wide; dx <= wide; dx++ {
				// On the rim, so that the outline of a whole picture is seen.
				at := image.Pt(x+dx, y+dy)
				if at.In(img.Bounds().Inset(-3)) {
					at.X, at.Y = max(0, min(at.X, img.Bounds().Dx()-1)), max(0, min(at.Y, img.Bounds().Dy()-1))
					img.SetNRGBA(at.X, at.Y, ink)
				}
			}
		}
	}
}

func abs(x int) int { return max(x, -x) }
