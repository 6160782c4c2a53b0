package features

import "math"

// looker compares the thumbnails of two pictures under a map.
type looker struct {
	// mips are the asked picture's thumbnail and its halves.
	mips   []gray
	bufs   [][]uint8
	w, h   int // working size of the asked picture
	warp   []uint8
	in     []bool
	state  []uint8
	column []int
	ballot [][2]uint8
	inside []pair
}

// What the comparison of a cell comes to: nothing, where it is not wholly
// visible or flat on both sides, or yes or no.
const (
	undecided = iota
	agrees
	disagrees
)

const (
	// cellSide is the side of the compared cells in thumbnail pixels, cellStep
	// the distance from one to the next.
	cellSide, cellStep = 8, 4
	// minVariance is the variance of grey levels from which on a cell has
	// texture.
	minVariance = 12
	// agreeSquared is the square of the normalised correlation from which on
	// two cells agree, in hundredths.
	agreeSquared = 36
)

// load takes over the thumbnail of f.
func (l *looker) load(f Features) {
	l.w, l.h = f.size()
	l.mips = append(l.mips[:0], f.luma())
	for i := 0; ; i++ {
		g := l.mips[i]
		if g.w < 16 || g.h < 16 || i > 6 {
			break
		}
		if len(l.bufs) <= i {
			l.bufs = append(l.bufs, nil)
		}
		var half gray
		half, l.bufs[i] = halve(g, l.bufs[i])
		l.mips = append(l.mips, half)
	}
}

// halve averages blocks of two by two pixels; an odd last row or column is
// left out.
func halve(g gray, buf []uint8) (gray, []uint8) {
	w, h := g.w/2, g.h/2
	if cap(buf) < w*h {
		buf = make([]uint8, w*h)
	}
	buf = buf[:w*h]
	for y := range h {
		a, b := g.pix[2*y*g.stride:][:2*w], g.pix[(2*y+1)*g.stride:][:2*w]
		for x := range w {
			buf[y*w+x] = uint8((uint(a[2*x]) + uint(a[2*x+1]) + uint(b[2*x]) + uint(b[2*x+1]) + 2) >> 2)
		}
	}
	return gray{w, h, w, buf}, buf
}

// compare fills the fields of m that speak of areas and pixels.
func (l *looker) compare(f Features, t affine, mirrored bool, in []pair, m *Match) {
	rw, rh := f.size()
	r := f.luma()
	// From thumbnail pixels of the registered picture to working pixels of
	// the asked one.
	kx, ky := float64(rw)/float64(r.w), float64(rh)/float64(r.h)
	u := affine{float64(t.a * kx), float64(t.b * ky), t.c, float64(t.d * kx), float64(t.e * ky), t.f}
	if mirrored {
		u.a, u.b, u.c = -u.a, -u.b, float64(l.w)-u.c
	}
	// The thumbnail of the asked picture whose pixels are about as large.
	mag := affineScale(u)
	full := l.mips[0]
	level := 0
	for level+1 < len(l.mips) && mag*float64(full.w)/float64(l.w) > 1.5 {
		mag /= 2
		level++
	}
	g := l.mips[level]
	// A halved thumbnail leaves out an odd column: its pixels stay 2^level of
	// the first one's.
	gx := float64(full.w) / float64(l.w) / float64(int(1)<<level)
	gy := float64(full.h) / float64(l.h) / float64(int(1)<<level)
	u = affine{float64(u.a * gx), float64(u.b * gx), float64(u.c * gx), float64(u.d * gy), float64(u.e * gy), float64(u.f * gy)}

	n := r.w * r.h
	if cap(l.warp) < n {
		l.warp, l.in = make([]uint8, n), make([]bool, n)
	}
	l.warp, l.in = l.warp[:n], l.in[:n]
	for y := range r.h {
		for x := range r.w {
			px, py := u.apply(float64(x)+0.5, float64(y)+0.5)
			i := y*r.w + x
			l.in[i] = px >= 0 && py >= 0 && px < float64(full.w)/float64(int(1)<<level) && py < float64(full.h)/float64(int(1)<<level)
			if l.in[i] {
				l.warp[i] = g.at(int(math.Floor(px*256))-128, int(math.Floor(py*256))-128)
			}
		}
	}
	if r.w < cellSide || r.h < cellSide {
		return
	}

	gw, gh := (r.w-2)/cellStep, (r.h-2)/cellStep
	if gw < 2 || gh < 2 {
		return
	}
	l.state = append(l.state[:0], make([]uint8, gw*gh)...)
	l.ballot = append(l.ballot[:0], make([][2]uint8, gw*gh)...)
	for cy := range gh - 1 {
		for cx := range gw - 1 {
			v := l.cell(r, cx*cellStep+1, cy*cellStep+1)
			if v == undecided {
				continue
			}
			for _, k := range [...]int{cy*gw + cx, cy*gw + cx + 1, (cy+1)*gw + cx, (cy+1)*gw + cx + 1} {
				l.ballot[k][v-1]++
			}
		}
	}
	// A square agrees if half of the cells that cover it do: what lies over a
	// part of the picture spoils the cells that lie mostly on it.
	for i, b := range l.ballot {
		switch {
		case b[0] == 0 && b[1] == 0:
		case b[0] >= b[1]:
			l.state[i] = agrees
		default:
			l.state[i] = disagrees
		}
	}
	x0, y0, x1, y1 := l.rectangle(gw, gh)
	good, decided := 0, 0
	for i, v := range l.state {
		if v == undecided {
			continue
		}
		decided++
		if x, y := i%gw, i/gw; v == agrees && x >= x0 && x < x1 && y >= y0 && y < y1 {
			good++
		}
	}
	m.Cells = decided
	if good == 0 {
		return
	}
	m.Agreement = float64(good) / float64(decided)
	m.Coverage = float64((x1-x0)*(y1-y0)*cellStep*cellStep) / float64((r.w-2)*(r.h-2))
	m.Share = math.Min(m.Coverage*float64(rw*rh)*math.Abs(t.det())/float64(l.w*l.h), 1)
	// Only the points inside the rectangle speak for it.
	within := func(px, py float64) bool {
		x, y := (px/kx-1)/cellStep, (py/ky-1)/cellStep
		return x >= float64(x0)-0.5 && x <= float64(x1)+0.5 && y >= float64(y0)-0.5 && y <= float64(y1)+0.5
	}
	l.inside = l.inside[:0]
	for _, p := range in {
		if within(p.rx, p.ry) {
			l.inside = append(l.inside, p)
		}
	}
	m.Inliers = len(l.inside)
	m.Visible = 0
	for i := range f.Len() {
		p := f.point(i)
		x, y := float64(p.x)/32, float64(p.y)/32
		if !within(x, y) {
			continue
		}
		if px, py := t.apply(x, y); px >= 0 && py >= 0 && px < float64(l.w) && py < float64(l.h) {
			m.Visible++
		}
	}
}

// rectangle returns the rectangle of squares that holds the most agreeing
// ones, one and a half taken off for each disagreeing one.
func (l *looker) rectangle(w, h int) (x0, y0, x1, y1 int) {
	best := 0
	for top := range h {
		l.column = append(l.column[:0], make([]int, w)...)
		for bottom := top; bottom < h; bottom++ {
			sum, from := 0, 0
			for x := range w {
				switch l.state[bottom*w+x] {
				case agrees:
					l.column[x] += 2
				case disagrees:
					l.column[x] -= 3
				}
				if sum <= 0 {
					sum, from = 0, x
				}
				if sum += l.column[x]; sum > best {
					best = sum
					x0, y0, x1, y1 = from, top, x+1, bottom+1
				}
			}
		}
	}
	return x0, y0, x1, y1
}

// at returns the pixel at x, y in 1/256 pixels from the first pixel's centre,
// interpolated linearly, the rim repeated.
func (g gray) at(x, y int) uint8 {
	x, y = min(max(x, 0), (g.w-1)<<8), min(max(y, 0), (g.h-1)<<8)
	ix, iy, fx, fy := x>>8, y>>8, x&255, y&255
	jx, jy := min(ix+1, g.w-1), min(iy+1, g.h-1)
	a := int(g.pix[iy*g.stride+ix])*(256-fx) + int(g.pix[iy*g.stride+jx])*fx
	b := int(g.pix[jy*g.stride+ix])*(256-fx) + int(g.pix[jy*g.stride+jx])*fx
	return uint8((a*(256-fy) + b*fy + 1<<15) >> 16)
}

// cell compares one cell after taking the plane that fits best off both sides:
// skies and shadows that only grow brighter somewhere look alike everywhere.
func (l *looker) cell(r gray, x0, y0 int) int {
	const n = cellSide * cellSide
	var sa, sb, saa, sbb, sab int            // sums of a, b and their products
	var xa, xb, ya, yb int                   // moments, x and y from -7 to 7 in steps of 2
	const moment = 2 * 8 * (1 + 9 + 25 + 49) // the sum of x² over the cell
	for y := range cellSide {
		o := (y0+y)*r.w + x0
		a, b, in := r.pix[o:][:cellSide], l.warp[o:][:cellSide], l.in[o:][:cellSide]
		var ra, rb int
		for x := range a {
			if !in[x] {
				return undecided
			}
			p, q := int(a[x]), int(b[x])
			ra += p
			rb += q
			xa += (2*x - 7) * p
			xb += (2*x - 7) * q
			saa += p * p
			sbb += q * q
			sab += p * q
		}
		sa += ra
		sb += rb
		ya += (2*y - 7) * ra
		yb += (2*y - 7) * rb
	}
	va := n*saa - sa*sa - (xa*xa+ya*ya)*n/moment
	vb := n*sbb - sb*sb - (xb*xb+yb*yb)*n/moment
	c := n*sab - sa*sb - (xa*xb+ya*yb)*n/moment
	if va < minVariance*n*n && vb < minVariance*n*n {
		return undecided
	}
	// c/sqrt(va·vb) > agree, in integers: all are below 2^29.
	if c > 0 && uint64(c)*uint64(c) > uint64(va)*uint64(vb)/100*agreeSquared {
		return agrees
	}
	return disagrees
}

// affineScale returns the mean magnification of t.
func affineScale(t affine) float64 { return math.Sqrt(math.Abs(t.det())) }

// band decides what a match is good for.
func band(m *Match) Band {
	switch {
	case m.Places >= 8 && m.Agreement >= 0.6 && 5*m.Inliers >= m.Visible:
		return Block
	case m.Places >= 5 && m.Agreement >= 0.3:
		return Review
	}
	return None
}
