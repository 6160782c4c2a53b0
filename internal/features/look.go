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
	stack  [][2]int
	near   [][2]uint8
	whole  []bool
	ballot [][4]uint8
	inside []pair
}

// What the comparison of a cell comes to: nothing, where it is not wholly
// visible or flat on both sides, or yes or no.
const (
	undecided = iota
	agrees
	disagrees
	matches // agrees, and closely
)

const (
	// cellSide is the side of the compared cells in thumbnail pixels, cellStep
	// the distance from one to the next.
	cellSide, cellStep = 8, 4
	// minVariance is the variance of grey levels from which on a cell has
	// texture.
	minVariance = 12
	// agreeSquared is the square of the normalised correlation from which on
	// two cells agree, in hundredths; matchSquared that from which on they
	// match.
	agreeSquared, matchSquared = 36, 72
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
	l.warp, l.in = zeroed(l.warp, n), zeroed(l.in, n)
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
	l.state = zeroed(l.state, gw*gh)
	l.ballot = zeroed(l.ballot, gw*gh)
	for cy := range gh - 1 {
		for cx := range gw - 1 {
			v := l.cell(r, cx*cellStep+1, cy*cellStep+1)
			if v == undecided {
				continue
			}
			for _, k := range [...]int{cy*gw + cx, cy*gw + cx + 1, (cy+1)*gw + cx, (cy+1)*gw + cx + 1} {
				l.ballot[k][v]++
			}
		}
	}
	// Where the points are found, the thumbnail may err: fine weaves look
	// different in every size.
	l.near = zeroed(l.near, gw*gh)
	square := func(x, y float64) int {
		return min(max(int((y/ky-1)/cellStep), 0), gh-1)*gw + min(max(int((x/kx-1)/cellStep), 0), gw-1)
	}
	for i := range f.Len() {
		p := f.point(i)
		l.near[square(float64(p.x)/32, float64(p.y)/32)][0]++
	}
	for i := range in {
		l.near[square(in[i].rx, in[i].ry)][1]++
	}
	// A square agrees if half of the cells that cover it do, or one of them
	// closely: what lies over a part of the picture spoils only the cells that
	// lie wholly on it.
	tone := l.tone(r, gw)
	l.whole = l.whole[:0]
	for i := range l.state {
		_, _, ok := l.means(r, i%gw, i/gw)
		l.whole = append(l.whole, ok)
	}
	for i, b := range l.ballot {
		x, y := i%gw, i/gw
		switch yes := b[agrees] + b[matches]; {
		case yes == 0 && b[disagrees] == 0:
			// Flat on both sides: at least as bright as it should be.
			if a, q, ok := l.means(r, x, y); ok && math.Abs(q-tone.at(a)) > maxTone {
				l.state[i] = disagrees
			}
		case 2*b[matches] >= yes+b[disagrees]:
			l.state[i] = matches
		case b[matches] > 0:
			l.state[i] = agrees
		case yes >= b[disagrees]:
			l.state[i] = agrees
			if a, q, ok := l.means(r, x, y); ok && math.Abs(q-tone.at(a)) > maxTone {
				l.state[i] = disagrees
			}
		default:
			var here, found int
			for ny := max(y-1, 0); ny <= min(y+1, gh-1); ny++ {
				for nx := max(x-1, 0); nx <= min(x+1, gw-1); nx++ {
					here += int(l.near[ny*gw+nx][0])
					found += int(l.near[ny*gw+nx][1])
				}
			}
			if found < 3 || 5*found < 3*here {
				l.state[i] = disagrees
			}
		}
	}
	x0, y0, x1, y1, _ := l.rectangle(gw, gh, 1)
	m.Pure = l.pure(gw, gh)
	good, close, decided := 0, 0, 0
	for i, v := range l.state {
		if v == undecided {
			continue
		}
		decided++
		if x, y := i%gw, i/gw; v != disagrees && x >= x0 && x < x1 && y >= y0 && y < y1 {
			good++
			if v == matches {
				close++
			}
		}
	}
	m.Cells = decided
	if good == 0 {
		return
	}
	m.Agreement = float64(good) / float64(decided)
	m.Close = float64(close) / float64(decided)
	m.Hole = float64(l.hole(gw, gh)) / float64(decided)
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
	// Which of the points could have been found: those whose like would not be
	// smaller than the finest level. A blurred or enlarged copy has lost its
	// fine points altogether, so that the share is taken from several levels
	// on upwards, and the best counts.
	steps := stepsOf(affineScale(t))
	var could, found [3]int
	count := func(n *[3]int, k keypoint) {
		if int(k.scale)+steps < -8 {
			return
		}
		for i := range n {
			if int(k.scale) >= i*32 {
				n[i]++
			}
		}
	}
	for i := range f.Len() {
		p := f.point(i)
		x, y := float64(p.x)/32, float64(p.y)/32
		if !within(x, y) {
			continue
		}
		if px, py := t.apply(x, y); px >= 0 && py >= 0 && px < float64(l.w) && py < float64(l.h) {
			count(&could, p)
		}
	}
	for i := range l.inside {
		count(&found, f.point(int(l.inside[i].r)))
	}
	m.Visible = could[0]
	for i, n := range could {
		if n >= 24 || i == 0 && n > 0 {
			m.Found = max(m.Found, float64(found[i])/float64(n))
		}
	}
}

// pure returns the share of the visible squares that lie in one rectangle in
// which hardly any disagrees, with agreeing ones at all its sides.
func (l *looker) pure(w, h int) float64 {
	visible := 0
	for i := range l.state {
		if l.whole[i] {
			visible++
		}
	}
	x0, y0, x1, y1, _ := l.rectangle(w, h, 3)
	inside := 0
	for y := y0; y < y1; y++ {
		for x := x0; x < x1; x++ {
			if l.whole[y*w+x] {
				inside++
			}
		}
	}
	return float64(inside) / float64(max(visible, 1))
}

// maxTone is by how many grey levels a flat square may be brighter or darker
// than the squares that agree let expect.
const maxTone = 48

// toneLine is how the brightness of one picture follows from that of the other.
type toneLine struct{ base, slope float64 }

func (t toneLine) at(v float64) float64 { return t.base + float64(t.slope*v) }

// means returns the mean brightness of square x, y on both sides; false where
// it is not wholly visible.
func (l *looker) means(r gray, x, y int) (a, b float64, ok bool) {
	var sa, sb int
	for py := range cellStep {
		o := (y*cellStep+1+py)*r.w + x*cellStep + 1
		for px := range cellStep {
			if !l.in[o+px] {
				return 0, 0, false
			}
			sa += int(r.pix[o+px])
			sb += int(l.warp[o+px])
		}
	}
	return float64(sa) / (cellStep * cellStep), float64(sb) / (cellStep * cellStep), true
}

// tone fits a line to the brightness of the squares of which most cells agree.
func (l *looker) tone(r gray, w int) toneLine {
	var n, sx, sy, sxx, sxy float64
	for i, v := range l.ballot {
		if yes := v[agrees] + v[matches]; yes == 0 || yes < v[disagrees] {
			continue
		}
		if a, b, ok := l.means(r, i%w, i/w); ok {
			n++
			sx += a
			sy += b
			sxx += float64(a * a)
			sxy += float64(a * b)
		}
	}
	if n == 0 {
		return toneLine{0, 1}
	}
	den := sxx - float64(sx*sx)/n
	if den < 100*n { // a spread of less than ten grey levels
		return toneLine{(sy - sx) / n, 1}
	}
	slope := min(max((sxy-float64(sx*sy)/n)/den, 0.3), 3)
	return toneLine{(sy - float64(slope*sx)) / n, slope}
}

// rectangle returns the rectangle of squares that holds the most agreeing
// ones, less the disagreeing ones times cost, and that number.
func (l *looker) rectangle(w, h, cost int) (x0, y0, x1, y1, best int) {
	for top := range h {
		l.column = zeroed(l.column, w)
		for bottom := top; bottom < h; bottom++ {
			sum, from := 0, 0
			for x := range w {
				switch l.state[bottom*w+x] {
				case agrees, matches:
					l.column[x]++
				case disagrees:
					l.column[x] -= cost
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
	return x0, y0, x1, y1, best
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
	var sa, sb, saa, sbb, sab int64          // sums of a, b and their products
	var xa, xb, ya, yb int64                 // moments, x and y from -7 to 7 in steps of 2
	const moment = 2 * 8 * (1 + 9 + 25 + 49) // the sum of x² over the cell
	for y := range cellSide {
		o := (y0+y)*r.w + x0
		a, b, in := r.pix[o:][:cellSide], l.warp[o:][:cellSide], l.in[o:][:cellSide]
		var ra, rb int64
		for x := range a {
			if !in[x] {
				return undecided
			}
			p, q := int64(a[x]), int64(b[x])
			ra += p
			rb += q
			xa += int64(2*x-7) * p
			xb += int64(2*x-7) * q
			saa += p * p
			sbb += q * q
			sab += p * q
		}
		sa += ra
		sb += rb
		ya += int64(2*y-7) * ra
		yb += int64(2*y-7) * rb
	}
	va := n*saa - sa*sa - (xa*xa+ya*ya)*n/moment
	vb := n*sbb - sb*sb - (xb*xb+yb*yb)*n/moment
	c := n*sab - sa*sb - (xa*xb+ya*yb)*n/moment
	if va < minVariance*n*n && vb < minVariance*n*n {
		return undecided
	}
	// c²/(va·vb), in integers: all are below 2^29.
	if c <= 0 {
		return disagrees
	}
	switch cc, vv := uint64(c)*uint64(c), uint64(va)*uint64(vb)/100; {
	case cc > vv*matchSquared:
		return matches
	case cc > vv*agreeSquared:
		return agrees
	}
	return disagrees
}

// hole returns the size of the largest group of disagreeing squares that touch
// along their sides. It takes them off the state.
func (l *looker) hole(w, h int) int {
	best := 0
	for i := range l.state {
		n := 0
		l.stack = append(l.stack[:0], [2]int{i % w, i / w})
		for len(l.stack) > 0 {
			p := l.stack[len(l.stack)-1]
			l.stack = l.stack[:len(l.stack)-1]
			x, y := p[0], p[1]
			if x < 0 || x >= w || y < 0 || y >= h || l.state[y*w+x] != disagrees {
				continue
			}
			l.state[y*w+x] = undecided
			n++
			l.stack = append(l.stack, [2]int{x - 1, y}, [2]int{x + 1, y}, [2]int{x, y - 1}, [2]int{x, y + 1})
		}
		best = max(best, n)
	}
	return best
}

// affineScale returns the mean magnification of t.
func affineScale(t affine) float64 { return math.Sqrt(math.Abs(t.det())) }

// minSquares is the number of textured squares that have to agree: of fewer, a
// line of text that two pictures share has enough.
const minSquares = 44

// texture returns the number of squares of the thumbnail r that have texture.
func (l *looker) texture(r gray) int {
	gw, gh := (r.w-2)/cellStep, (r.h-2)/cellStep
	if gw < 2 || gh < 2 {
		return 0
	}
	l.warp, l.in = zeroed(l.warp, r.w*r.h), zeroed(l.in, r.w*r.h)
	copy(l.warp, r.pix)
	for i := range l.in {
		l.in[i] = true
	}
	l.state = zeroed(l.state, gw*gh)
	n := 0
	for cy := range gh - 1 {
		for cx := range gw - 1 {
			if l.cell(r, cx*cellStep+1, cy*cellStep+1) == undecided {
				continue
			}
			for _, k := range [...]int{cy*gw + cx, cy*gw + cx + 1, (cy+1)*gw + cx, (cy+1)*gw + cx + 1} {
				if l.state[k] == undecided {
					l.state[k] = agrees
					n++
				}
			}
		}
	}
	return n
}

// band decides what a match is good for. The numbers are the ones that no pair
// of different pictures reached, nor, but for the cases that
// docs/accuracy-features.md names, different pictures in the same frame.
func band(m *Match) Band {
	review := Review
	if !(m.Places >= 20 && m.Agreement >= 0.25 || m.Places >= 8 && m.Found >= 0.35 && m.Agreement >= 0.5) {
		review = None
	}
	if m.Places < 10 || m.Coverage < 0.15 || float64(m.Cells)*m.Agreement < minSquares {
		return review
	}
	switch {
	case m.Pure >= 0.6 && m.Close >= 0.5 && m.Found >= 0.42:
		// Most of what is visible is one rectangle without contradiction: a
		// copy, cut or set beside others.
	case m.Pure >= 0.4 && m.Close >= 0.9 && m.Found >= 0.27,
		m.Pure >= 0.75 && m.Close >= 0.8 && m.Found >= 0.27,
		m.Pure >= 0.75 && m.Close >= 0.95 && m.Found >= 0.15 && m.Places >= 16:
		// All that has texture matches closely: a copy that is blurred or small.
	case m.Agreement >= 0.55 && m.Close >= 0.5 && m.Hole <= 0.12 && m.Found >= 0.5,
		m.Agreement >= 0.7 && m.Close >= 0.7 && m.Hole <= 0.17 && m.Found >= 0.65:
		// What disagrees is small: something was laid over a copy.
	default:
		return review
	}
	return Block
}
