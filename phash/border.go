package phash

import (
	"image"
	"slices"
)

// This file finds the borders that people and services put around a picture, to
// make it square, to caption it, or to hide it: bars and frames of one colour,
// whose edges scaling made soft and compression noisy.

// borderRule is one reading of what a border is. None is right for all: a
// narrow tolerance stops at the picture even where its own sky or its own white
// ground is next, a wide one sees the noisy border, and takes plain ground with
// it.
type borderRule struct {
	tolerance int // a pixel of a border differs by at most so many levels from it
	rounds    int // how many borders may lie one within the other
	caption   int // the share of the height, in 1/256, that one line of text may take
}

var (
	// tightBorder removes one border of exactly one colour.
	tightBorder = borderRule{tolerance: 4, rounds: 1}
	// plainBorder removes everything plain around a picture, its own too. It is
	// the reading that registered pictures are trimmed by.
	plainBorder = borderRule{tolerance: 14, rounds: 3}
	// captionBorder removes bars with lines of text in them, too.
	captionBorder = borderRule{tolerance: 14, rounds: 2, caption: 24}
)

const (
	// borderShare of 256 pixels of a plain line must be within the tolerance.
	borderShare = 248
	// borderLeast is the thinnest border: this share of the side, in 1/256, and
	// at least two lines.
	borderLeast = 2
	// borderLeaves is the least that may be left of a side, in 1/256.
	borderLeaves = 64
)

// borders returns what the rules leave of g, each different part once. It is
// empty for a picture without borders, and for one that is plain altogether.
func borders(g *image.Gray, rules ...borderRule) []image.Rectangle {
	var parts []image.Rectangle
	for _, rule := range rules {
		if r := rule.trim(g); r != g.Rect && !slices.Contains(parts, r) {
			parts = append(parts, r)
		}
	}
	return parts
}

// trim returns g's bounds without borders.
func (b borderRule) trim(g *image.Gray) image.Rectangle {
	full := g.Rect
	r := full
	for range b.rounds {
		before := r
		r.Min.Y += b.plainRows(g, r, 0, +1)
		r.Max.Y -= b.plainRows(g, r, r.Dy()-1, -1)
		r.Min.X += b.plainColumns(g, r, 0, +1)
		r.Max.X -= b.plainColumns(g, r, r.Dx()-1, -1)
		if r.Dx()*256 < full.Dx()*borderLeaves || r.Dy()*256 < full.Dy()*borderLeaves {
			return full
		}
		if r == before {
			break
		}
	}
	return r
}

// plainRows counts the rows of r that are border, from row start in direction
// step.
func (b borderRule) plainRows(g *image.Gray, r image.Rectangle, start, step int) int {
	return b.plain(r.Dy(), r.Dx(), r.Dy()*b.caption/256, func(n int, hist *[256]int32) {
		y := r.Min.Y + start + n*step
		for _, v := range g.Pix[y*g.Stride+r.Min.X:][:r.Dx()] {
			hist[v]++
		}
	})
}

func (b borderRule) plainColumns(g *image.Gray, r image.Rectangle, start, step int) int {
	return b.plain(r.Dx(), r.Dy(), 0, func(n int, hist *[256]int32) {
		o := r.Min.Y*g.Stride + r.Min.X + start + n*step
		for range r.Dy() {
			hist[g.Pix[o]]++
			o += g.Stride
		}
	})
}

// plain counts the lines, of length pixels each, that are plain and of the
// level of the first. Up to gap lines that are not may lie between plain ones:
// a line of text. count adds the pixels of a line to a histogram.
func (b borderRule) plain(lines, length, gap int, count func(line int, hist *[256]int32)) int {
	level, border, run := -1, 0, 0
	for n := range lines {
		var hist [256]int32
		count(n, &hist)
		if level < 0 {
			level = median(&hist, length)
		}
		near := int32(0)
		for v := max(0, level-b.tolerance); v <= min(255, level+b.tolerance); v++ {
			near += hist[v]
		}
		switch {
		case int(near)*256 >= length*borderShare:
			// Behind a gap, one plain line may be chance.
			if run++; run >= 2 || border == n {
				border = n + 1
			}
			continue
		case n-border >= gap, border < 2:
			return leastBorder(border, lines)
		}
		run = 0
	}
	return leastBorder(border, lines)
}

func leastBorder(border, lines int) int {
	if border < 2 || border*256 < lines*borderLeast {
		return 0
	}
	return border
}

// median returns the level that half of the n counted pixels do not exceed.
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
