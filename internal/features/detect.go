package features

import (
	"cmp"
	"math/bits"
	"slices"
)

const (
	// detectMargin keeps points so many level pixels away from the rim, where
	// half of the patch would be made up.
	detectMargin = 5
	// minResponse is the least determinant of the Hessian of a point, about a
	// spot of half a grey level: below it is only the grain of the encoder.
	minResponse = 1_500
	// rankCell is the side of the cells over which points are spread at the
	// first level, in working pixels; it grows by cellGrowth/16 a level.
	rankCell, cellGrowth = 48, 18
	// rankStep is what each stronger point of the same cell takes off the rank,
	// in 1/16 of the logarithm (base 2) of the response.
	rankStep = 24
)

// point is a place that stands out at one level of the pyramid.
type point struct {
	x, y   int // level pixel
	level  int
	fx, fy int   // sub-pixel offset in 1/16 of a level pixel, -8..8
	fs     int   // sub-level offset in 1/16 of a level, -8..8
	resp   int32 // determinant of the Hessian
	score  int   // place in the ranking, higher first
}

// detector finds the points of a pyramid; it holds the memory that this needs.
type detector struct {
	resp  [maxLevels][]int32 // level size, no rim
	cells map[int][]int32
	pts   []point
}

// hessian fills d.resp[i] with the determinant of the Hessian of level l, zero
// where it is negative and on the margin.
func (d *detector) hessian(i int, l *level) {
	n := l.w * l.h
	if cap(d.resp[i]) < n {
		d.resp[i] = make([]int32, n)
	}
	r := d.resp[i][:n]
	d.resp[i] = r
	clear(r)
	for y := detectMargin - 1; y < l.h-detectMargin+1; y++ {
		o := (y+planePad)*l.stride + planePad - 1
		c := l.pix[o:][:l.w+2]
		u := l.pix[o-l.stride:][:l.w+2]
		b := l.pix[o+l.stride:][:l.w+2]
		out := r[y*l.w:][:l.w]
		out = out[detectMargin-1 : l.w-detectMargin+1]
		// Three columns move along: each sample is read once.
		c, u, b = c[detectMargin-1:], u[detectMargin-1:], b[detectMargin-1:]
		u0, u1, c0, c1, b0, b1 := int32(u[0]), int32(u[1]), int32(c[0]), int32(c[1]), int32(b[0]), int32(b[1])
		c, u, b = c[2:][:len(out)], u[2:][:len(out)], b[2:][:len(out)]
		for x := range out {
			u2, c2, b2 := int32(u[x]), int32(c[x]), int32(b[x])
			xx := c0 + c2 - 2*c1
			yy := u1 + b1 - 2*c1
			xy := (u0 + b2 - u2 - b0) >> 2
			out[x] = max(xx*yy-xy*xy, 0)
			u0, u1, c0, c1, b0, b1 = u1, u2, c1, c2, b1, b2
		}
	}
}

// around returns the greatest response within one pixel of the place of level
// from that lies at x, y of the level with response r and size w × h.
func (d *detector) around(p *pyramid, from, to, x, y int) int32 {
	a, b := &p.levels[from], &p.levels[to]
	bx := ((2*x + 1) * b.w) / (2 * a.w)
	by := ((2*y + 1) * b.h) / (2 * a.h)
	x0, x1 := max(bx-1, 0), min(bx+1, b.w-1)
	y0, y1 := max(by-1, 0), min(by+1, b.h-1)
	r := d.resp[to]
	var m int32
	for yy := y0; yy <= y1; yy++ {
		for xx := x0; xx <= x1; xx++ {
			m = max(m, r[yy*b.w+xx])
		}
	}
	return m
}

// find fills d.pts with at most limit points of p, in the order of their rank:
// any number of them from the front on is spread over the picture and over the
// levels.
func (d *detector) find(p *pyramid, limit int) {
	d.pts = d.pts[:0]
	for i := range p.n {
		d.hessian(i, &p.levels[i])
	}
	for i := range p.n {
		l := &p.levels[i]
		r := d.resp[i]
		for y := detectMargin; y < l.h-detectMargin; y++ {
			row := r[y*l.w:][:l.w]
			for x := detectMargin; x < l.w-detectMargin; x++ {
				v := row[x]
				if v < minResponse || v <= row[x-1] || v < row[x+1] {
					continue
				}
				k := y*l.w + x
				u, b := r[k-l.w-1:][:3], r[k+l.w-1:][:3]
				if v <= u[0] || v <= u[1] || v <= u[2] || v < b[0] || v < b[1] || v < b[2] {
					continue
				}
				var below, above int32
				if i > 0 {
					below = d.around(p, i, i-1, x, y)
				}
				if i < p.n-1 {
					above = d.around(p, i, i+1, x, y)
				}
				if v <= below || v < above {
					continue
				}
				pt := point{x: x, y: y, level: i, resp: v}
				pt.fx = vertex(row[x-1], v, row[x+1])
				pt.fy = vertex(u[1], v, b[1])
				if below > 0 && above > 0 && v > below && v >= above {
					pt.fs = vertex(below, v, above)
				}
				d.pts = append(d.pts, pt)
			}
		}
	}
	d.rank(p)
	if len(d.pts) > limit {
		d.pts = d.pts[:limit]
	}
}

// vertex returns where the parabola through a, b, c at -1, 0, 1 has its
// greatest value, in 1/16, within -8..8; b must be the greatest of them.
func vertex(a, b, c int32) int {
	den := 2*int64(b) - int64(a) - int64(c)
	if den <= 0 {
		return 0
	}
	n := 8 * (int64(c) - int64(a))
	v := (2*n + den) / (2 * den) // rounds down for positive, up for negative
	if n < 0 {
		v = -((-2*n + den) / (2 * den))
	}
	return int(min(max(v, -8), 8))
}

// rank orders the points: strong ones first, but each further point in the
// same cell of the same level counts for less.
func (d *detector) rank(p *pyramid) {
	if d.cells == nil {
		d.cells = map[int][]int32{}
	}
	for k, v := range d.cells {
		d.cells[k] = v[:0]
	}
	w0 := p.levels[0].w
	for i := range d.pts {
		q := &d.pts[i]
		l := &p.levels[q.level]
		// The side of a cell in 1/16 level pixels grows from level to level in
		// picture pixels, but slower than the patches do.
		side := rankCell * 16 * l.w / w0
		for range q.level {
			side = side * cellGrowth / 16
		}
		side = max(side, 16)
		cx, cy := q.x*16/side, q.y*16/side
		key := q.level<<24 | cy<<12 | cx
		d.cells[key] = append(d.cells[key], int32(i))
	}
	for _, c := range d.cells {
		slices.SortFunc(c, func(a, b int32) int { return d.byResponse(a, b) })
		for k, i := range c {
			q := &d.pts[i]
			q.score = log2x16(uint32(q.resp)) - rankStep*k
		}
	}
	slices.SortFunc(d.pts, func(a, b point) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(b.resp, a.resp),
			cmp.Compare(a.level, b.level), cmp.Compare(a.y, b.y), cmp.Compare(a.x, b.x))
	})
}

func (d *detector) byResponse(a, b int32) int {
	p, q := &d.pts[a], &d.pts[b]
	return cmp.Or(cmp.Compare(q.resp, p.resp), cmp.Compare(p.y, q.y), cmp.Compare(p.x, q.x))
}

// log2x16 returns 16·log2(v), rounded down to the straight line between powers
// of two; 0 for 0.
func log2x16(v uint32) int {
	if v == 0 {
		return 0
	}
	n := bits.Len32(v) - 1
	var frac uint32
	if n >= 4 {
		frac = v >> (n - 4) & 15
	} else {
		frac = v << (4 - n) & 15
	}
	return 16*n + int(frac)
}
