package phash

import (
	"fmt"
	"image"
)

// View is the part of a picture that a registered hash is of. The values are
// stored and never change their meaning.
type View uint8

const (
	Whole     View = 0 // all of it
	Trimmed   View = 1 // without its plain borders
	OverWhite View = 2 // all of it, over white where it is transparent

	// What is left when so many percent of the width and as many of the height
	// are cut off, half of them at each side.
	Crop7  View = 3
	Crop13 View = 4
	Crop20 View = 5
	Crop30 View = 6
	Square View = 7 // the largest square in the middle, as for thumbnails

	// What is left when so many percent of width and height are cut off so that
	// one corner stays.
	TopLeft4     View = 8
	TopRight4    View = 9
	BottomLeft4  View = 10
	BottomRight4 View = 11
	TopLeft9     View = 12
	TopRight9    View = 13
	BottomLeft9  View = 14
	BottomRight9 View = 15

	// The whole picture turned by 1.5°, clockwise and back, on a canvas that
	// holds it; its edges are drawn out into the corners. And by 3°.
	TiltRight View = 16
	TiltLeft  View = 17
	LeanRight View = 18
	LeanLeft  View = 19
	// The largest part without corners of the picture turned by 2°.
	CutRight View = 20
	CutLeft  View = 21

	nViews = 22
)

// viewSpecs says how each view is cut from the luma of a picture. Those without
// an entry are not cut but found: Whole, Trimmed and OverWhite.
var viewSpecs = [nViews]struct {
	name                     string
	left, top, right, bottom int  // cut off, in 1/1000 of the side
	square                   bool // and then to a square
	tilt                     tilt // and then turned
}{
	Whole:     {name: "whole"},
	Trimmed:   {name: "trimmed"},
	OverWhite: {name: "overwhite"},

	Crop7:  {name: "crop7", left: 35, top: 35, right: 35, bottom: 35},
	Crop13: {name: "crop13", left: 65, top: 65, right: 65, bottom: 65},
	Crop20: {name: "crop20", left: 100, top: 100, right: 100, bottom: 100},
	Crop30: {name: "crop30", left: 150, top: 150, right: 150, bottom: 150},
	Square: {name: "square", square: true},

	TopLeft4:     {name: "topleft4", right: 40, bottom: 40},
	TopRight4:    {name: "topright4", left: 40, bottom: 40},
	BottomLeft4:  {name: "bottomleft4", right: 40, top: 40},
	BottomRight4: {name: "bottomright4", left: 40, top: 40},
	TopLeft9:     {name: "topleft9", right: 90, bottom: 90},
	TopRight9:    {name: "topright9", left: 90, bottom: 90},
	BottomLeft9:  {name: "bottomleft9", right: 90, top: 90},
	BottomRight9: {name: "bottomright9", left: 90, top: 90},

	TiltRight: {name: "tiltright", tilt: tilt{sin: sin15, cos: cos15}},
	TiltLeft:  {name: "tiltleft", tilt: tilt{sin: -sin15, cos: cos15}},
	LeanRight: {name: "leanright", tilt: tilt{sin: sin30, cos: cos30}},
	LeanLeft:  {name: "leanleft", tilt: tilt{sin: -sin30, cos: cos30}},
	CutRight:  {name: "cutright", tilt: tilt{sin: sin20, cos: cos20, cut: true}},
	CutLeft:   {name: "cutleft", tilt: tilt{sin: -sin20, cos: cos20, cut: true}},
}

// String returns the name in lower case, such as "crop7".
func (v View) String() string {
	if v < nViews {
		return viewSpecs[v].name
	}
	return fmt.Sprintf("View(%d)", uint8(v))
}

// cut returns the view of g. Views that are not turned share g's pixels; turned
// ones are drawn into buf.
func (v View) cut(g, buf *image.Gray) *image.Gray {
	s := &viewSpecs[v]
	w, h := g.Rect.Dx(), g.Rect.Dy()
	r := image.Rect(mils(w, s.left), mils(h, s.top), w-mils(w, s.right), h-mils(h, s.bottom))
	if s.square {
		side := min(w, h)
		r.Min = image.Pt((w-side)/2, (h-side)/2)
		r.Max = r.Min.Add(image.Pt(side, side))
	}
	g = cutGray(g, r)
	if s.tilt != (tilt{}) {
		g = s.tilt.draw(g, buf)
	}
	return g
}

// mils is so many thousandths of n, rounded.
func mils(n, thousandths int) int { return (n*thousandths + 500) / 1000 }

// cutGray returns the part r of g, with bounds from zero.
func cutGray(g *image.Gray, r image.Rectangle) *image.Gray {
	return &image.Gray{Pix: g.Pix[g.PixOffset(r.Min.X, r.Min.Y):], Stride: g.Stride, Rect: r.Sub(r.Min)}
}

// tilt turns a picture by a small angle, clockwise if the sine is positive. All
// arithmetic is on integers, so that the result is the same everywhere.
type tilt struct {
	sin, cos int64 // in 1/65536
	cut      bool  // keep only what is picture; otherwise the edges are drawn out
}

const (
	sin15, cos15 = 1715, 65514 // 1.5°
	sin20, cos20 = 2287, 65496 // 2°
	sin30, cos30 = 3430, 65446 // 3°
)

// draw returns g turned, in the memory of buf.
func (t tilt) draw(g, buf *image.Gray) *image.Gray {
	const one = 1 << 16
	w, h := int64(g.Rect.Dx()), int64(g.Rect.Dy())
	sin := max(t.sin, -t.sin)
	tw, th := (w*t.cos+h*sin)>>16, (w*sin+h*t.cos)>>16
	if t.cut {
		// The largest part of the same proportions fits in by this factor.
		long := max(w*one/h, h*one/w)
		f := one * one / (t.cos + sin*long>>16)
		tw, th = w*f>>16, h*f>>16
	}
	tw, th = max(tw, 1), max(th, 1)
	buf.Pix, buf.Stride, buf.Rect = grow(buf.Pix, int(tw*th)), int(tw), image.Rect(0, 0, int(tw), int(th))

	for y := range th {
		// In 1/65536 of a pixel, from the middle: where the first pixel of this
		// row comes from. Each further one is cos to the right and sin up.
		u, v := (1-tw)*one/2, (2*y+1-th)*one/2
		sx := (u*t.cos+v*t.sin)>>16 + (w-1)*one/2
		sy := (v*t.cos-u*t.sin)>>16 + (h-1)*one/2
		row := buf.Pix[y*tw:][:tw]
		for x := range row {
			row[x] = bilinear(g, sx, sy)
			sx += t.cos
			sy -= t.sin
		}
	}
	return buf
}

// bilinear returns the luma at (x, y), in 1/65536 of a pixel; outside of g that
// of its nearest edge.
func bilinear(g *image.Gray, x, y int64) byte {
	x = min(max(x, 0), int64(g.Rect.Max.X-1)<<16)
	y = min(max(y, 0), int64(g.Rect.Max.Y-1)<<16)
	i, j := int(x>>16), int(y>>16)
	fx, fy := int32(x&0xffff)>>8, int32(y&0xffff)>>8
	p := g.Pix[j*g.Stride+i:]
	right, down := 1, g.Stride
	if fx == 0 {
		right = 0
	}
	if fy == 0 {
		down = 0
	}
	top := int32(p[0])*(256-fx) + int32(p[right])*fx
	bottom := int32(p[down])*(256-fx) + int32(p[down+right])*fx
	return byte((top*(256-fy) + bottom*fy + 1<<15) >> 16)
}

// shrink returns g with each side divided by n, in the memory of buf: every
// pixel is the mean of n × n. What does not fill a square is left out.
func shrink(g, buf *image.Gray, n int, sums []uint32) *image.Gray {
	w, h := g.Rect.Dx()/n, g.Rect.Dy()/n
	buf.Pix, buf.Stride, buf.Rect = grow(buf.Pix, w*h), w, image.Rect(0, 0, w, h)
	sums = sums[:w]
	area := uint32(n * n)
	for y := range h {
		clear(sums)
		for dy := range n {
			row := g.Pix[(y*n+dy)*g.Stride:][:w*n]
			for x := range sums {
				s := uint32(0)
				for _, v := range row[x*n:][:n] {
					s += uint32(v)
				}
				sums[x] += s
			}
		}
		out := buf.Pix[y*w:][:w]
		for x, s := range sums {
			out[x] = byte((s + area/2) / area)
		}
	}
	return buf
}

// Kind says of which view of a registered picture, in which orientation, a hash
// is: View·8 + Orientation. The values are stored and never change their
// meaning.
type Kind uint8

// MakeKind returns the kind for a view in an orientation.
func MakeKind(v View, o Orientation) Kind { return Kind(v)<<3 | Kind(o)&7 }

// View returns the view of the kind.
func (k Kind) View() View { return View(k >> 3) }

// Orientation returns the orientation of the kind.
func (k Kind) Orientation() Orientation { return Orientation(k & 7) }

// String returns view and orientation, such as "whole" or "crop7+mirrored".
func (k Kind) String() string {
	if k.Orientation() == Upright {
		return k.View().String()
	}
	return k.View().String() + "+" + k.Orientation().String()
}
