package features

import (
	"cmp"
	"image"
	"slices"
)

// The squares that Parts returns were chosen on every seventh of the 300 development
// photographs, by crops at random places: docs/decisions/parts-for-rankers.md.
const (
	// partSide is the side of a square in pixels of the level of its point.
	partSide = 60
	// leastPart is the least share of the picture that a square has: smaller ones
	// can be marks and faces that other pictures have as well.
	leastPart = 0.05
	// leastInside is the least number of points in a square. Flat drawings have fewer:
	// one curve, dial or flag is like any other.
	leastInside = 16
	// firstPart is added to the rank of a point: the first few are about as good.
	firstPart = 8
)

// square is a square of the working picture.
type square struct {
	x, y, half float64
	rank       float64 // lower is better
}

// alike reports whether two squares show nearly the same.
func (s *square) alike(o *square) bool {
	return max(distance(s.x, o.x), distance(s.y, o.y)) < s.half/8 &&
		s.half < float64(1.15*o.half) && o.half < float64(1.15*s.half)
}

func distance(a, b float64) float64 { return max(a-b, b-a) }

// Parts yields squares of a picture of w × h pixels around the points of f, as
// rectangles of these pixels: the squares most likely to be found again in a copy
// of a part of the picture come first. Size and place follow the content, so a
// crop has the squares that lie inside it. It stops when yield returns false. No
// two rectangles show nearly the same, of those for which yield returns true.
func (f Features) Parts(w, h int, yield func(r image.Rectangle) (more, taken bool)) {
	if f.IsZero() || w < 1 || h < 1 {
		return
	}
	fw, fh := f.size()
	ww, wh := float64(fw), float64(fh)
	squares := make([]square, 0, f.Len())
	for i := range f.Len() {
		k := f.point(i)
		s := square{x: float64(k.x) / 32, y: float64(k.y) / 32, half: partSide / 2 * stepPow[int(k.scale)+stepMax]}
		area := float64(4*s.half*s.half) / (ww * wh)
		// A square may reach over the rim a little.
		if over := 0.01 * min(ww, wh); s.x-s.half < -over || s.y-s.half < -over ||
			s.x+s.half > ww+over || s.y+s.half > wh+over || area < leastPart {
			continue
		}
		s.rank = float64(i+firstPart) / area
		squares = append(squares, s)
	}
	slices.SortStableFunc(squares, func(a, b square) int { return cmp.Compare(a.rank, b.rank) })
	kx, ky := float64(w)/ww, float64(h)/wh
	taken := squares[:0]
	for _, s := range squares {
		if slices.ContainsFunc(taken, func(o square) bool { return s.alike(&o) }) || f.inside(&s) < leastInside {
			continue
		}
		r := image.Rect(round((s.x-s.half)*kx), round((s.y-s.half)*ky), round((s.x+s.half)*kx), round((s.y+s.half)*ky))
		more, ok := yield(r.Intersect(image.Rect(0, 0, w, h)))
		if ok {
			taken = append(taken, s)
		}
		if !more {
			return
		}
	}
}

// inside returns the number of points in a square.
func (f Features) inside(s *square) (n int) {
	for i := range f.Len() {
		k := f.point(i)
		if max(distance(s.x, float64(k.x)/32), distance(s.y, float64(k.y)/32)) < s.half {
			n++
		}
	}
	return n
}

// round returns the nearest integer of a number that may be a little below 0.
func round(v float64) int { return int(v+1000.5) - 1000 }
