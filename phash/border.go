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

// borders appends what the rules leave of g to parts, each different part once:
// nothing for a picture without borders, or one that is plain altogether.
func borders(parts []image.Rectangle, g *image.Gray, rules ...borderRule) []image.Rectangle {
	for _, rule := range rules {
		if r := rule.trim(g); r != g.Rect && !slices.Contains(parts, r) {
			parts = append(parts, r)
		}
	}
	return parts
}

// trim returns g's bounds without borders. They begin at zero.
func (b borderRule) trim(g *image.Gray) image.Rectangle {
	full := g.Rect
	r := full
	tooLittle := func() bool {
		return r.Dx()*256 < full.Dx()*borderLeaves || r.Dy()*256 < full.Dy()*borderLeaves
	}
	for range b.rounds {
		before := r
		for side := range 4 {
			l := lines{pix: g.Pix[r.Min.Y*g.Stride+r.Min.X:]}
			gap := 0
			if side < 2 {
				l.next, l.step, l.n, l.length = g.Stride, 1, r.Dy(), r.Dx()
				gap = r.Dy() * b.caption / 256
			} else {
				l.next, l.step, l.n, l.length = 1, g.Stride, r.Dx(), r.Dy()
			}
			l.reverse = side%2 == 1
			n := b.plain(l, gap)
			switch side {
			case 0:
				r.Min.Y += n
			case 1:
				r.Max.Y -= n
			case 2:
				r.Min.X += n
			case 3:
				r.Max.X -= n
			}
			if tooLittle() {
				return full
			}
		}
		if r == before {
			break
		}
	}
	return r
}

// lines are the rows or the columns of a part of a picture, from one side.
type lines struct {
	pix     []byte // from the first pixel of the part
	next    int    // from a line to the one below it, or right of it
	step    int    // from a pixel to the next in the line
	n       int    // lines
	length  int    // pixels in each
	reverse bool   // from the last line back
}

// count counts the pixels of a line by their level.
func (l *lines) count(line int) (hist [256]int32) {
	if l.reverse {
		line = l.n - 1 - line
	}
	pix := l.pix[line*l.next:]
	if l.step == 1 {
		for _, v := range pix[:l.length] {
			hist[v]++
		}
		return hist
	}
	for o := 0; o < l.length*l.step; o += l.step {
		hist[pix[o]]++
	}
	return hist
}

// plain counts the lines that are plain and of the level of the first. Up to gap
// lines that are not may lie between plain ones: a line of text.
func (b borderRule) plain(l lines, gap int) int {
	level, border, run := -1, 0, 0
scan:
	for n := range l.n {
		hist := l.count(n)
		if level < 0 {
			level = median(&hist, l.length)
		}
		near := int32(0)
		for v := max(0, level-b.tolerance); v <= min(255, level+b.tolerance); v++ {
			near += hist[v]
		}
		switch {
		case int(near)*256 >= l.length*borderShare:
			// Behind a gap, one plain line may be chance.
			if run++; run >= 2 || border == n {
				border = n + 1
			}
		case n-border >= gap, border < 2:
			break scan
		default:
			run = 0
		}
	}
	if border < 2 || border*256 < l.n*borderLeast {
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
