package phash

import (
	"fmt"
	"image"
)

// Edit is the change of a picture before a registered hash was computed, for
// example a crop. The values are stored and never change their meaning.
type Edit uint8

const (
	Whole     Edit = 0 // all of it
	Trimmed   Edit = 1 // without its plain borders
	OverWhite Edit = 2 // all of it, over white where it is transparent

	// The middle of the picture: the given percentage of the width and of the
	// height is cut off, half of it at each side.
	Crop7  Edit = 3
	Crop13 Edit = 4
	Crop20 Edit = 5
	Crop30 Edit = 6
	Square Edit = 7 // the largest square in the middle, as for thumbnails

	// A corner of the picture: the given percentage of width and height is cut
	// off, and one corner stays.
	TopLeft4     Edit = 8
	TopRight4    Edit = 9
	BottomLeft4  Edit = 10
	BottomRight4 Edit = 11
	TopLeft9     Edit = 12
	TopRight9    Edit = 13
	BottomLeft9  Edit = 14
	BottomRight9 Edit = 15

	// The whole picture turned by 1.5°, clockwise and back, on a canvas that
	// holds it; its edges are drawn out into the corners. And by 3°.
	TiltRight Edit = 16
	TiltLeft  Edit = 17
	LeanRight Edit = 18
	LeanLeft  Edit = 19
	// The largest part without corners of the picture turned by 2°.
	CutRight Edit = 20
	CutLeft  Edit = 21

	// The whole picture, padded to a square: the one border whose size is known
	// beforehand. Its colour does not matter, because it is the same all along a
	// row or a column, and PDQ leaves the frequency 0 out.
	Padded Edit = 22

	// All of it, over black where it is transparent, and its colours whatever their
	// alpha.
	OverBlack    Edit = 23
	WithoutAlpha Edit = 24

	// A square around a point of the picture, see AlgPart.
	PartOf Edit = 25

	nEdits = 26
)

// editSpecs says how each view is cut from the luma of a picture. Those without
// a cut are found: Whole, Trimmed, OverWhite, OverBlack, WithoutAlpha and PartOf.
var editSpecs = [nEdits]struct {
	name                     string
	left, top, right, bottom int  // cut off, in 1/1000 of the side
	square                   bool // and then to a square
	pad                      bool // or padded to one
	tilt                     tilt // and then turned
}{
	Whole:     {name: "whole"},
	Trimmed:   {name: "trimmed"},
	OverWhite: {name: "overwhite"},

	OverBlack:    {name: "overblack"},
	WithoutAlpha: {name: "withoutalpha"},

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

	Padded: {name: "padded", pad: true},

	PartOf: {name: "part"},
}

// String returns the name in lower case, such as "crop7".
func (v Edit) String() string {
	if v < nEdits {
		return editSpecs[v].name
	}
	return fmt.Sprintf("Edit(%d)", uint8(v))
}

// maxProportion is the longest side, in short ones, of a picture that is turned
// or padded. What is drawn for those views grows with it, and nobody turns a
// strip.
const maxProportion = 8

// suits reports whether a picture of that size has the view.
func (v Edit) suits(full image.Point) bool {
	s := &editSpecs[v]
	return !s.pad && s.tilt == (tilt{}) || max(full.X, full.Y) <= maxProportion*min(full.X, full.Y)
}

// cut returns the view of g, a picture that had the proportions of full before
// it was shrunk. Views that are only cut share g's pixels; others are drawn into buf.
func (v Edit) cut(g, buf *image.Gray, full image.Point) *image.Gray {
	s := &editSpecs[v]
	w, h := g.Rect.Dx(), g.Rect.Dy()
	r := image.Rect(mils(w, s.left), mils(h, s.top), w-mils(w, s.right), h-mils(h, s.bottom))
	if s.square {
		side := min(full.X, full.Y)
		sw, sh := int(int64(w)*int64(side)/int64(full.X)), int(int64(h)*int64(side)/int64(full.Y))
		r.Min = image.Pt((w-sw)/2, (h-sh)/2)
		r.Max = r.Min.Add(image.Pt(sw, sh))
	}
	g = cutGray(g, r)
	switch {
	case s.tilt != (tilt{}):
		g = s.tilt.draw(g, buf, full)
	case s.pad:
		g = padded(g, buf, full)
	}
	return g
}

// padded returns g, which had the proportions of full, in the middle of a square,
// in the memory of buf.
func padded(g, buf *image.Gray, full image.Point) *image.Gray {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	side := max(full.X, full.Y)
	sw, sh := int(int64(w)*int64(side)/int64(full.X)), int(int64(h)*int64(side)/int64(full.Y))
	buf.Pix, buf.Stride, buf.Rect = grow(buf.Pix, sw*sh), sw, image.Rect(0, 0, sw, sh)
	clear(buf.Pix)
	for y := range h {
		copy(buf.Pix[(y+(sh-h)/2)*sw+(sw-w)/2:], g.Pix[y*g.Stride:][:w])
	}
	return buf
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

// draw returns g turned, in the memory of buf. g had the proportions of full
// before it was shrunk, by another factor in width than in height perhaps.
func (t tilt) draw(g, buf *image.Gray, full image.Point) *image.Gray {
	const one = 1 << 16
	w, h := int64(g.Rect.Dx()), int64(g.Rect.Dy())
	fw, fh := int64(full.X), int64(full.Y)
	// What a step down is to the right, and a step to the right is down.
	right, down := t.sin*(w*fh)/(fw*h), t.sin*(fw*h)/(w*fh)
	tw, th := (w*t.cos+h*max(right, -right))>>16, (w*max(down, -down)+h*t.cos)>>16
	if t.cut {
		// The largest part of the same proportions fits in by this factor.
		long := max(fw*one/fh, fh*one/fw)
		f := one * one / (t.cos + max(t.sin, -t.sin)*long>>16)
		tw, th = w*f>>16, h*f>>16
	}
	tw, th = max(tw, 1), max(th, 1)
	buf.Pix, buf.Stride, buf.Rect = grow(buf.Pix, int(tw*th)), int(tw), image.Rect(0, 0, int(tw), int(th))

	for y := range th {
		// In 1/65536 of a pixel, from the middle: where the first pixel of this
		// row comes from. Each further one is cos to the right, and a little up.
		u, v := (1-tw)*one/2, (2*y+1-th)*one/2
		sx := (u*t.cos+v*right)>>16 + (w-1)*one/2
		sy := (v*t.cos-u*down)>>16 + (h-1)*one/2
		row := buf.Pix[y*tw:][:tw]
		for x := range row {
			row[x] = bilinear(g, sx, sy)
			sx += t.cos
			sy -= down
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

// shrunk is to how many pixels a side of n is shrunk before views are cut from a
// picture: 257 to 384, so that the box filter's window is three pixels wide and
// covers the same share of the side as it did at the full size. With a window of
// another share a hash moves by up to 16 bits.
func shrunk(n int) int {
	const box = 3
	if w := window(n); w > box {
		return n * box / w
	}
	return n
}

// shrink returns g at sw × sh pixels, which is not larger, in the memory of buf.
// Every pixel is the mean of its share of g, down to 1/256 of a pixel. Whole
// pixels would not do: half a percent of an edge left out is a dozen bits.
func shrink(g, buf *image.Gray, sw, sh int, sums []uint64) *image.Gray {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	buf.Pix, buf.Stride, buf.Rect = grow(buf.Pix, sw*sh), sw, image.Rect(0, 0, sw, sh)
	sums = sums[:sw]
	for y := range sh {
		top, bottom := share(y, h, sh), share(y+1, h, sh)
		clear(sums)
		for r := top >> 8; r<<8 < bottom; r++ {
			weight := uint64(min(bottom, (r+1)<<8) - max(top, r<<8))
			row := g.Pix[r*g.Stride:][:w]
			left := 0
			for x := range sums {
				right := share(x+1, w, sw)
				// The first and the last pixel of the share are in it in part.
				first, last := left>>8, right>>8
				s := int(row[first]) * (256 - left&255)
				for _, v := range row[min(first+1, last):last] {
					s += int(v) << 8
				}
				if part := right & 255; part != 0 {
					s += int(row[last]) * part
				}
				sums[x] += uint64(s) * weight
				left = right
			}
		}
		out := buf.Pix[y*sw:][:sw]
		left := 0
		for x, s := range sums {
			right := share(x+1, w, sw)
			area := uint64(bottom-top) * uint64(right-left)
			out[x] = byte((s + area/2) / area)
			left = right
		}
	}
	return buf
}

// share is where share i of m begins in a side of n pixels, in 1/256 of a pixel.
func share(i, n, m int) int { return int(int64(i) * int64(n) << 8 / int64(m)) }

// Transform is the edit and the orientation in which a hash was made of a
// registered picture: Edit·8 + Orientation. The values are stored and never change
// their meaning.
type Transform uint8

// MakeTransform returns the transform for an edit in an orientation.
func MakeTransform(e Edit, o Orientation) Transform { return Transform(e)<<3 | Transform(o)&7 }

// Edit returns the edit.
func (t Transform) Edit() Edit { return Edit(t >> 3) }

// Orientation returns the orientation.
func (t Transform) Orientation() Orientation { return Orientation(t & 7) }

// String returns edit and orientation, such as "whole" or "crop7+mirrored".
func (t Transform) String() string {
	if t.Orientation() == Upright {
		return t.Edit().String()
	}
	return t.Edit().String() + "+" + t.Orientation().String()
}
