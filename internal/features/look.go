package features

import (
	"math"
	"slices"
)

// looker compares the thumbnails of two pictures under a map: square by square
// of the registered one, four by four pixels each, judged by the cells of eight
// by eight that cover them.
type looker struct {
	asked Features
	mips  mipmaps // of the asked picture's thumbnail
	ink   inkLooker
	w, h  int     // working size of the asked picture
	warp  []uint8 // the asked picture as the registered one would show it
	// registered is the thumbnail that is compared, and thumb its memory.
	registered gray
	thumb      []uint8
	in         []bool // where it shows anything

	gw, gh int        // squares across and down
	cells  []uint8    // what comparing the cell whose first square this is came to
	ballot [][4]uint8 // for each square, what its cells came to
	faint  [][2]uint8 // for each square, cells with faint texture: alike, and not
	near   [][2]uint8 // for each square, points that could be found, and were
	whole  []bool     // squares that are wholly visible
	rich   []bool     // squares whose texture runs in more than one direction
	state  []uint8    // what it comes to
	mark   []bool     // squares that largest looks at

	column []int
	stack  []int
	inside []pair
	diffs  [cellSide * cellSide]int32
}

// What the comparison of a cell comes to: nothing, where it is not wholly
// visible or flat on both sides, or yes or no.
const (
	undecided = iota
	agrees
	disagrees
	matches // agrees, and closely
	// Flat for that, but not without any texture: faintly alike, or not.
	faintlyAlike
	faintlyUnlike
)

const (
	// cellSide is the side of the compared cells in thumbnail pixels, cellStep
	// the distance from one to the next.
	cellSide, cellStep = 8, 4
	// minVariance is the variance of grey levels from which a cell has texture;
	// faintVariance is ten times the variance from which a cell has faint texture.
	minVariance, faintVariance = 12, 6
	// agreeSquared is the square of the normalised correlation from which on
	// two cells agree, in hundredths; matchSquared that from which on they
	// match, faintSquared that from which on cells of faint texture are alike.
	agreeSquared, matchSquared, faintSquared = 36, 72, 50
	// maxTone is by how many grey levels a flat square may be brighter or darker
	// than the agreeing squares suggest, flatTone the same where something
	// lies over it.
	maxTone, flatTone = 48, 24
	// clearPixels is the number of a cell's pixels that have to be free of what lies
	// over it.
	clearPixels = 42
)

// load takes over the thumbnail of f.
func (l *looker) load(f Features) {
	l.w, l.h = f.size()
	l.asked = f
	g, _ := f.luma(nil)
	l.mips.load(g)
	l.ink.asked.mips = l.ink.asked.mips[:0]
}

// mipmaps are a picture and its halves.
type mipmaps struct {
	mips []gray
	bufs [][]uint8
}

func (p *mipmaps) load(g gray) {
	p.mips = append(p.mips[:0], g)
	for i := 0; ; i++ {
		g := p.mips[i]
		if g.w < 16 || g.h < 16 || i > 6 {
			break
		}
		if len(p.bufs) <= i {
			p.bufs = append(p.bufs, nil)
		}
		var half gray
		half, p.bufs[i] = halve(g, p.bufs[i])
		p.mips = append(p.mips, half)
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

// compare fills the fields of m that speak of areas and pixels. The pairs in
// are the points that were found.
func (l *looker) compare(f Features, t projective, mirrored bool, in []pair, m *Match) {
	l.inside = l.inside[:0]
	var r gray
	r, l.thumb = f.luma(l.thumb)
	l.registered = r
	rw, rh := f.size()
	l.lay(r, rw, rh, l.mips.mips, t, mirrored)
	l.gw, l.gh = (r.w-2)/cellStep, (r.h-2)/cellStep
	if r.w < cellSide || r.h < cellSide || l.gw < 2 || l.gh < 2 {
		return
	}
	l.judgeCells(r, true)
	tone := l.tone(r)
	l.lookUnder(r, tone)
	rate := l.countPoints(f, t, in)
	l.judgeSquares(r, tone, rate)

	// What agrees best, and what is pure.
	x0, y0, x1, y1, _ := l.rectangle(1)
	u0, v0, u1, v1, _ := l.rectangle(3)
	var good, close, decided, visible, against int
	var pure, pureClose, pureDecided, agreeing, beside int
	for i, v := range l.state {
		x, y := i%l.gw, i/l.gw
		inPure := x >= u0 && x < u1 && y >= v0 && y < v1
		if l.whole[i] {
			visible++
			if inPure {
				pure++
			}
		}
		if v == undecided {
			if a, b := l.faint[i][0], l.faint[i][1]; a > 0 && a >= b {
				m.FaintAll++
				if inPure {
					m.Faint++
					if l.rich[i] {
						m.Rich++
					}
				}
			} else if b > 0 {
				m.UnlikeAll++
				if inPure {
					m.Unlike++
				}
			}
			continue
		}
		decided++
		if inPure {
			pureDecided++
			if v == matches {
				pureClose++
			}
		}
		if v == disagrees {
			against++
			continue
		}
		agreeing++
		if !inPure {
			beside++
		}
		if x >= x0 && x < x1 && y >= y0 && y < y1 {
			good++
			if l.rich[i] {
				m.Rich++
			}
			if v == matches {
				close++
			}
		}
	}
	m.Cells = decided
	if good == 0 {
		return
	}
	m.Agreeing, m.Agreement = good, share(good, decided)
	m.Close = share(close, decided)
	m.Pure = share(pure, visible)
	m.PureClose = share(pureClose, pureDecided)
	m.Beside = share(beside, agreeing)
	m.Against = share(against, visible)
	n, _ := l.largest(func(i int) bool { return l.state[i] == disagrees })
	m.Hole = share(n, decided)
	_, n = l.largest(func(i int) bool { return !l.proven(i) })
	m.Unproven = share(n, visible)
	n, _ = l.largest(func(i int) bool {
		x, y := i%l.gw, i/l.gw
		return x >= u0 && x < u1 && y >= v0 && y < v1 && !l.proven(i)
	})
	m.Loose = share(n, decided)

	m.Coverage = float64((x1-x0)*(y1-y0)*cellStep*cellStep) / float64((r.w-2)*(r.h-2))
	m.Share = math.Min(m.Coverage*float64(rw*rh)*math.Abs(t.middle(f).det())/float64(l.w*l.h), 1)
	l.countInside(f, t, in, x0, y0, x1, y1, m)
}

// lay fills l.warp and l.in: the asked picture, of which mips are, laid over the
// registered one, of which r is a reduced form of the working size rw × rh.
func (l *looker) lay(r gray, rw, rh int, mips []gray, t projective, mirrored bool) (fineness float64) {
	// From thumbnail pixels of the registered picture to working pixels of
	// the asked one.
	kx, ky := float64(rw)/float64(r.w), float64(rh)/float64(r.h)
	u := projective{affine{float64(t.a * kx), float64(t.b * ky), t.c, float64(t.d * kx), float64(t.e * ky), t.f},
		float64(t.g * kx), float64(t.h * ky)}
	if mirrored {
		u.a, u.b, u.c = float64(float64(l.w)*u.g)-u.a, float64(float64(l.w)*u.h)-u.b, float64(l.w)-u.c
	}
	midX, midY := float64(r.w)/2, float64(r.h)/2
	// The thumbnail of the asked picture whose pixels are about as large.
	mag := affineScale(u.at(midX, midY))
	full := mips[0]
	level := 0
	for level+1 < len(mips) && mag*float64(full.w)/float64(l.w) >= 2 {
		mag /= 2
		level++
	}
	g := mips[level]
	// A halved thumbnail leaves out an odd column: its pixels stay 2^level of
	// the first one's.
	gx := float64(full.w) / float64(l.w) / float64(int(1)<<level)
	gy := float64(full.h) / float64(l.h) / float64(int(1)<<level)
	u.affine = affine{float64(u.a * gx), float64(u.b * gx), float64(u.c * gx), float64(u.d * gy), float64(u.e * gy), float64(u.f * gy)}
	mag = affineScale(u.at(midX, midY))

	// The registered thumbnail was made with triangles twice as wide as its
	// pixels: weaves and hatchings look like it only if the same is done here.
	reach := min(max(int(mag*256), 256), 640)
	w, h := float64(full.w)/float64(int(1)<<level), float64(full.h)/float64(int(1)<<level)
	n := r.w * r.h
	l.warp, l.in = zeroed(l.warp, n), zeroed(l.in, n)
	for y := range r.h {
		for x := range r.w {
			px, py := u.apply(float64(x)+0.5, float64(y)+0.5)
			i := y*r.w + x
			l.in[i] = px >= 0 && py >= 0 && px < w && py < h
			if l.in[i] {
				l.warp[i] = g.mean(int(math.Floor(px*256)), int(math.Floor(py*256)), reach)
			}
		}
	}
	return mag
}

// judgeCells fills l.cells, l.ballot and l.faint, and with directions l.rich.
func (l *looker) judgeCells(r gray, directions bool) {
	n := l.gw * l.gh
	l.cells, l.ballot, l.faint, l.rich = zeroed(l.cells, n), zeroed(l.ballot, n), zeroed(l.faint, n), zeroed(l.rich, n)
	for y := range l.gh - 1 {
		for x := range l.gw - 1 {
			i := y*l.gw + x
			v := l.cell(r, x*cellStep+1, y*cellStep+1)
			l.cells[i] = v
			rich := directions && v != undecided && manifold(r, x*cellStep+1, y*cellStep+1)
			for _, k := range l.covered(i) {
				l.rich[k] = l.rich[k] || rich
				switch v {
				case faintlyAlike, faintlyUnlike:
					l.faint[k][v-faintlyAlike]++
				case agrees, disagrees, matches:
					l.ballot[k][v]++
				}
			}
		}
	}
}

// manifold reports whether the texture of a cell runs in more than one
// direction: the lesser eigenvalue of its structure tensor is more than a
// seventh of the greater. Along a lone edge everything looks the same, and every
// edge of that shape alike.
func manifold(r gray, x0, y0 int) bool {
	var xx, yy, xy int64
	for y := y0; y < y0+cellSide; y++ {
		for x := x0; x < x0+cellSide; x++ {
			i := y*r.w + x
			gx := int64(r.pix[i+1]) - int64(r.pix[i-1])
			gy := int64(r.pix[i+r.w]) - int64(r.pix[i-r.w])
			xx += gx * gx
			yy += gy * gy
			xy += gx * gy
		}
	}
	// For a ratio q of the eigenvalues, det/tr² is q/(1+q)². The sums are below
	// 2^23, so that the products fit.
	return 9*(xx*yy-xy*xy) > (xx+yy)*(xx+yy)
}

// covered returns the squares that cell i covers.
func (l *looker) covered(i int) [4]int { return [...]int{i, i + 1, i + l.gw, i + l.gw + 1} }

// lookUnder looks at the cells that disagree once more, pixel by pixel.
func (l *looker) lookUnder(r gray, tone toneLine) {
	for y := range l.gh - 1 {
		for x := range l.gw - 1 {
			i := y*l.gw + x
			if l.cells[i] != disagrees {
				continue
			}
			v := l.underneath(r, x*cellStep+1, y*cellStep+1, tone)
			if v == disagrees {
				continue
			}
			for _, k := range l.covered(i) {
				l.ballot[k][disagrees]--
				if v == agrees {
					l.ballot[k][agrees]++
				}
			}
		}
	}
}

// could reports whether a point can be found at all: it is in the asked
// picture, and its like would not be smaller than the finest level.
func (l *looker) could(k keypoint, t projective, steps int) bool {
	x, y := t.apply(float64(k.x)/32, float64(k.y)/32)
	return int(k.scale)+steps >= -8 && x >= 0 && y >= 0 && x < float64(l.w) && y < float64(l.h)
}

// countPoints fills l.near. A blurred or enlarged copy has lost its fine points
// altogether: counted are those from the scale on from which on the largest
// share was found. It returns the share.
func (l *looker) countPoints(f Features, t projective, in []pair) float64 {
	steps := stepsOf(affineScale(t.middle(f)))
	var n, found [3]int
	var least uint8
	var rate float64
	count := func(n *[3]int, k keypoint) {
		for i := range n {
			if int(k.scale) >= i*32 && l.could(k, t, steps) {
				n[i]++
			}
		}
	}
	for i := range f.Len() {
		count(&n, f.point(i))
	}
	for i := range in {
		count(&found, f.point(int(in[i].r)))
	}
	for i := range n {
		if v := float64(found[i]) / float64(max(n[i], 1)); (i == 0 || n[i] >= 24) && v > rate {
			least, rate = uint8(i*32), v
		}
	}
	r := l.registered
	w, h := f.size()
	l.near = zeroed(l.near, l.gw*l.gh)
	add := func(k keypoint, which int) {
		if k.scale >= least && l.could(k, t, steps) {
			x := (float64(k.x)/32*float64(r.w)/float64(w) - 1) / cellStep
			y := (float64(k.y)/32*float64(r.h)/float64(h) - 1) / cellStep
			l.near[min(max(int(y), 0), l.gh-1)*l.gw+min(max(int(x), 0), l.gw-1)][which]++
		}
	}
	for i := range f.Len() {
		add(f.point(i), 0)
	}
	for i := range in {
		add(f.point(int(in[i].r)), 1)
	}
	return rate
}

// around returns how many points could be found in a square and the eight
// around it, and how many were.
func (l *looker) around(i int) (n, found int) {
	x, y := i%l.gw, i/l.gw
	for v := max(y-1, 0); v <= min(y+1, l.gh-1); v++ {
		for u := max(x-1, 0); u <= min(x+1, l.gw-1); u++ {
			n += int(l.near[v*l.gw+u][0])
			found += int(l.near[v*l.gw+u][1])
		}
	}
	return n, found
}

// judgeSquares fills l.state and l.whole; rate is the share of points found.
func (l *looker) judgeSquares(r gray, tone toneLine, rate float64) {
	l.state, l.whole = zeroed(l.state, l.gw*l.gh), zeroed(l.whole, l.gw*l.gh)
	for i, b := range l.ballot {
		a, q, ok := l.means(r, i)
		l.whole[i] = ok
		off := ok && math.Abs(q-tone.at(a)) > maxTone
		// A square agrees if half of the cells that cover it do, or one of them
		// closely: what lies over a part of the picture spoils only the cells
		// that lie wholly on it.
		switch yes := b[agrees] + b[matches]; {
		case yes == 0 && b[disagrees] == 0:
			// Flat on both sides: as bright as it should be, at least.
			if off {
				l.state[i] = disagrees
			}
		case 2*b[matches] >= yes+b[disagrees]:
			l.state[i] = matches
		case b[matches] > 0:
			l.state[i] = agrees
		case yes >= b[disagrees]:
			l.state[i] = agrees
			if off {
				l.state[i] = disagrees
			}
		default:
			// Where the points are found, the thumbnail may err: fine weaves
			// look different in every size.
			if n, found := l.around(i); found < 3 || 5*found < 2*n {
				l.state[i] = disagrees
			}
		}
		// And where several could be found and none was, flat or half alike is
		// not enough.
		if ok && l.state[i] != matches {
			if n, found := l.around(i); found == 0 && float64(n)*rate >= 4 {
				l.state[i] = disagrees
			}
		}
	}
}

// proven reports whether a square shows the registered picture beyond doubt:
// it matches closely, a point was found in it or beside it, or even its faint
// texture is the same. What is not visible needs no proof.
func (l *looker) proven(i int) bool {
	if !l.whole[i] || l.state[i] == matches {
		return true
	}
	if a, b := l.faint[i][0], l.faint[i][1]; l.state[i] == undecided && a > 0 && a >= b {
		return true
	}
	_, found := l.around(i)
	return found > 0
}

// largest returns the size of the largest groups of squares for which in
// reports true and that touch along their sides: the most decided squares that
// one has, and the most squares.
func (l *looker) largest(in func(i int) bool) (decided, all int) {
	l.mark = zeroed(l.mark, l.gw*l.gh)
	for i := range l.mark {
		l.mark[i] = in(i)
	}
	for i := range l.mark {
		d, n := 0, 0
		l.stack = append(l.stack[:0], i)
		for len(l.stack) > 0 {
			k := l.stack[len(l.stack)-1]
			l.stack = l.stack[:len(l.stack)-1]
			if !l.mark[k] {
				continue
			}
			l.mark[k] = false
			n++
			if l.state[k] != undecided {
				d++
			}
			x := k % l.gw
			if x > 0 {
				l.stack = append(l.stack, k-1)
			}
			if x < l.gw-1 {
				l.stack = append(l.stack, k+1)
			}
			if k >= l.gw {
				l.stack = append(l.stack, k-l.gw)
			}
			if k < l.gw*(l.gh-1) {
				l.stack = append(l.stack, k+l.gw)
			}
		}
		decided, all = max(decided, d), max(all, n)
	}
	return decided, all
}

// countInside fills the fields of m that speak of points: only those inside the
// rectangle of squares x0, y0 to x1, y1 speak for it.
func (l *looker) countInside(f Features, t projective, in []pair, x0, y0, x1, y1 int, m *Match) {
	r := l.registered
	w, h := f.size()
	steps := stepsOf(affineScale(t.middle(f)))
	within := func(k keypoint) bool {
		x := (float64(k.x)/32*float64(r.w)/float64(w) - 1) / cellStep
		y := (float64(k.y)/32*float64(r.h)/float64(h) - 1) / cellStep
		return x >= float64(x0)-0.5 && x <= float64(x1)+0.5 && y >= float64(y0)-0.5 && y <= float64(y1)+0.5
	}
	l.inside = l.inside[:0]
	var n, found [3]int
	count := func(n *[3]int, k keypoint) {
		for i := range n {
			if int(k.scale) >= i*32 {
				n[i]++
			}
		}
	}
	for i := range f.Len() {
		if k := f.point(i); within(k) && l.could(k, t, steps) {
			count(&n, k)
		}
	}
	for _, p := range in {
		if k := f.point(int(p.r)); within(k) {
			l.inside = append(l.inside, p)
			if int(k.scale)+steps >= -8 {
				count(&found, k)
			}
		}
	}
	m.Inliers = len(l.inside)
	m.Visible = n[0]
	for i := range n {
		if n[i] >= 24 || i == 0 && n[i] > 0 {
			m.Found = max(m.Found, float64(found[i])/float64(n[i]))
		}
	}
}

// toneLine is how the brightness of one picture follows from that of the other.
type toneLine struct{ base, slope float64 }

func (t toneLine) at(v float64) float64 { return t.base + float64(t.slope*v) }

// means returns the mean brightness of square i on both sides; false where it is
// not wholly visible.
func (l *looker) means(r gray, i int) (a, b float64, ok bool) {
	x, y := i%l.gw, i/l.gw
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
func (l *looker) tone(r gray) toneLine {
	var s toneSums
	for i, v := range l.ballot {
		if yes := v[agrees] + v[matches]; yes == 0 || yes < v[disagrees] {
			continue
		}
		if a, b, ok := l.means(r, i); ok {
			s.add(a, b)
		}
	}
	return s.line()
}

// toneSums are what a toneLine is fitted to.
type toneSums struct{ n, sx, sy, sxx, sxy float64 }

func (s *toneSums) add(a, b float64) {
	s.n++
	s.sx += a
	s.sy += b
	s.sxx += float64(a * a)
	s.sxy += float64(a * b)
}

func (s *toneSums) line() toneLine {
	if s.n == 0 {
		return toneLine{0, 1}
	}
	den := s.sxx - float64(s.sx*s.sx)/s.n
	if den < 100*s.n { // a spread of less than ten grey levels
		return toneLine{(s.sy - s.sx) / s.n, 1}
	}
	slope := min(max((s.sxy-float64(s.sx*s.sy)/s.n)/den, 0.3), 3)
	return toneLine{(s.sy - float64(slope*s.sx)) / s.n, slope}
}

// rectangle returns the rectangle of squares that holds the most agreeing
// ones, less the disagreeing ones times cost, and that number.
func (l *looker) rectangle(cost int) (x0, y0, x1, y1, best int) {
	w, h := l.gw, l.gh
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

// mean returns the mean around x, y weighted by a triangle that reaches so far
// to all sides; all in 1/256 pixels, from the picture's corner. The rim is
// repeated. reach is 256 to 640: at most six pixels.
func (g gray) mean(x, y, reach int) uint8 {
	var wx, wy [6]int
	x0, nx, sx := triangleAt(&wx, x, reach)
	y0, ny, sy := triangleAt(&wy, y, reach)
	sum := 0
	if x0 >= 0 && y0 >= 0 && x0+nx <= g.w && y0+ny <= g.h {
		for j := range ny {
			row := 0
			for i, v := range g.pix[(y0+j)*g.stride+x0:][:nx] {
				row += wx[i] * int(v)
			}
			sum += wy[j] * row
		}
	} else {
		for j := range ny {
			o := min(max(y0+j, 0), g.h-1) * g.stride
			for i := range nx {
				sum += wy[j] * wx[i] * int(g.pix[o+min(max(x0+i, 0), g.w-1)])
			}
		}
	}
	return uint8((sum + sx*sy/2) / (sx * sy))
}

// triangleAt fills w with the weights of n pixels from first on, and returns
// their sum.
func triangleAt(w *[6]int, x, reach int) (first, n, sum int) {
	first = (x-reach-128)>>8 + 1
	for n < len(w) {
		d := (first+n)<<8 + 128 - x
		v := reach - max(d, -d)
		if v <= 0 && n > 0 {
			break
		}
		w[n] = max(v, 0)
		sum += w[n]
		n++
	}
	return first, n, sum
}

// cell compares one cell after taking the plane that fits best off both sides:
// skies and shadows that only grow brighter somewhere look alike everywhere.
func (l *looker) cell(r gray, x0, y0 int) uint8 {
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
	// c²/(va·vb), in integers: all are below 2^29.
	if va < minVariance*n*n && vb < minVariance*n*n {
		switch {
		case 10*va < faintVariance*n*n:
			return undecided
		case c > 0 && uint64(c)*uint64(c) > uint64(va)*uint64(vb)/100*faintSquared:
			return faintlyAlike
		case sb <= 6*n || sb >= 249*n:
			return undecided // a brighter or darker copy has lost it
		}
		return faintlyUnlike
	}
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

// underneath looks at a cell that disagrees as if something lay over a part of
// it, such as the strokes of a watermark: it agrees if two thirds of the pixels
// follow the registered picture, and is undecided if that is flat there and they
// are too.
func (l *looker) underneath(r gray, x0, y0 int, tone toneLine) uint8 {
	const n, m = cellSide * cellSide, int64(clearPixels)
	const moment = 2 * 8 * (1 + 9 + 25 + 49) // as in cell
	slope := int32(tone.slope * 256)
	d := &l.diffs
	var xa, ya int64
	for y := range cellSide {
		o := (y0+y)*r.w + x0
		a, b := r.pix[o:][:cellSide], l.warp[o:][:cellSide]
		for x := range a {
			// By how much the pixel is brighter than its like, in 1/64 grey
			// levels, and which it is.
			i := y*cellSide + x
			d[i] = (int32(b[x])*256-int32(a[x])*slope)>>2<<6 | int32(i)
			xa += int64(2*x-7) * int64(a[x])
			ya += int64(2*y-7) * int64(a[x])
		}
	}
	// The pixels that are free are those that differ by about the same: the
	// shortest stretch that holds so many.
	slices.Sort(d[:])
	at := 0
	for i := range n - clearPixels {
		if d[i+clearPixels]-d[i+1] < d[at+clearPixels-1]-d[at] {
			at = i + 1
		}
	}
	// The variance of the differences against that of the registered picture
	// at the same pixels, with its plane taken off as in cell; in 1/256 levels.
	var sd, sdd, sr, srr int64
	for _, v := range d[at : at+clearPixels] {
		i := int(v & 63)
		x, y := i%cellSide, i/cellSide
		p := int64(r.pix[(y0+y)*r.w+x0+x])*256 - ((int64(2*x-7)*xa+int64(2*y-7)*ya)*256+moment/2)/moment
		p = p * int64(slope) / 256
		q := int64(v >> 6 << 2)
		sd += q
		sdd += q * q
		sr += p
		srr += p * p
	}
	vd, vr := m*sdd-sd*sd, m*srr-sr*sr // clearPixels² times the variances
	const half = minVariance / 2 * 65536 * clearPixels * clearPixels
	switch {
	case vr >= half && vd*5 < vr:
		return agrees
	case vr < half && vd < half && math.Abs(float64(sd)/(256*clearPixels)-tone.base) < flatTone:
		return undecided
	}
	return disagrees
}

// affineScale returns the mean magnification of t.
func affineScale(t affine) float64 { return math.Sqrt(math.Abs(t.det())) }
