package phash

import "image"

// The borders that people and services put around a picture, to make it square
// or to hide it: bars and frames of one colour, with edges made soft by scaling
// and noisy by compression.
const (
	// borderTolerance is by how many levels of luma a pixel of a border may
	// differ from the border's own.
	borderTolerance = 14
	// borderShare of 1/256 is the share of a line that must be so.
	borderShare = 248
	// borderLeast is the smallest border: this share of the side, in 1/256,
	// and at least two lines.
	borderLeast = 2
	// borderLeaves is the least that must be left of a side, in 1/256.
	borderLeaves = 64
)

// trimBorders returns the part of g without plain borders. ok is false when g
// has none, or is plain altogether.
func trimBorders(g *image.Gray) (r image.Rectangle, ok bool) {
	full := g.Bounds()
	r = full
	for range 3 { // a frame may lie within bars
		before := r
		r.Min.Y += plainLines(g, r, 0, +1)
		r.Max.Y -= plainLines(g, r, r.Dy()-1, -1)
		r.Min.X += plainColumns(g, r, 0, +1)
		r.Max.X -= plainColumns(g, r, r.Dx()-1, -1)
		if r.Dx()*256 < full.Dx()*borderLeaves || r.Dy()*256 < full.Dy()*borderLeaves {
			return full, false
		}
		if r == before {
			break
		}
	}
	return r, r != full
}

// plainLines counts the plain rows of r from row start in direction step.
func plainLines(g *image.Gray, r image.Rectangle, start, step int) int {
	line := func(i int, hist *[256]int32) {
		for _, v := range g.Pix[(r.Min.Y+i)*g.Stride+r.Min.X:][:r.Dx()] {
			hist[v]++
		}
	}
	return plain(line, start, step, r.Dy(), r.Dx())
}

func plainColumns(g *image.Gray, r image.Rectangle, start, step int) int {
	line := func(i int, hist *[256]int32) {
		o := r.Min.Y*g.Stride + r.Min.X + i
		for range r.Dy() {
			hist[g.Pix[o]]++
			o += g.Stride
		}
	}
	return plain(line, start, step, r.Dx(), r.Dy())
}

// plain counts lines of one luma: that of the outermost line, where it is plain.
func plain(line func(i int, hist *[256]int32), start, step, lines, length int) int {
	level, n := -1, 0
	for i := start; n < lines; i += step {
		var hist [256]int32
		line(i, &hist)
		if level < 0 {
			level = median(&hist, length)
		}
		in := int32(0)
		for v := max(0, level-borderTolerance); v <= min(255, level+borderTolerance); v++ {
			in += hist[v]
		}
		if int(in)*256 < length*borderShare {
			break
		}
		n++
	}
	if n < 2 || n*256 < lines*borderLeast {
		return 0
	}
	return n
}

func median(hist *[256]int32, n int) int {
	sum := 0
	for v, c := range hist {
		sum += int(c)
		if 2*sum >= n {
			return v
		}
	}
	return 255
}
