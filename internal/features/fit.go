package features

import (
	"math"
	"slices"
)

// affine is the map x' = ax + by + c, y' = dx + ey + f, in working pixels.
//
// All products are rounded before they are added (the conversions say so to
// the compiler): fused, they would come out differently from one processor to
// the next, and a picture at the edge of a threshold with them.
type affine struct{ a, b, c, d, e, f float64 }

func (t affine) apply(x, y float64) (float64, float64) {
	return float64(t.a*x) + float64(t.b*y) + t.c, float64(t.d*x) + float64(t.e*y) + t.f
}

// det returns by how much t magnifies areas; negative if it mirrors.
func (t affine) det() float64 { return float64(t.a*t.e) - float64(t.b*t.d) }

// stretch returns the ratio of the greatest to the least magnification of t
// over all directions, squared; +Inf where t is flat.
func (t affine) stretch() float64 {
	s := float64(t.a*t.a) + float64(t.b*t.b) + float64(t.d*t.d) + float64(t.e*t.e)
	d := t.det()
	r := float64(s*s) - float64(4*float64(d*d))
	if r < 0 {
		r = 0
	}
	r = math.Sqrt(r)
	if s-r <= 0 {
		return math.Inf(1)
	}
	return (s + r) / (s - r)
}

// angle returns the turn of the similarity nearest to t, in 1/256 turns.
func (t affine) angle() uint8 {
	c, s := t.a+t.e, t.d-t.b
	m := max(math.Abs(c), math.Abs(s))
	if m == 0 {
		return 0
	}
	return direction(int64(c/m*65536), int64(s/m*65536))
}

// similarity returns the map that turns by angle and magnifies by scale and
// takes rx, ry to qx, qy.
func similarity(rx, ry, qx, qy, scale float64, angle uint8) affine {
	c := float64(scale*float64(cos14(angle))) / 16384
	s := float64(scale*float64(sin14(angle))) / 16384
	return affine{c, -s, qx - float64(c*rx) + float64(s*ry), s, c, qy - float64(s*rx) - float64(c*ry)}
}

// stepPow[i+stepMax] is the magnification of i sixteenths of a level.
const stepMax = 16 * maxLevels

var stepPow = func() (t [2*stepMax + 1]float64) {
	// The sixteenth root of scaleNum/scaleDen.
	r := float64(scaleNum) / scaleDen
	for range 4 {
		r = math.Sqrt(r)
	}
	t[stepMax] = 1
	for i := stepMax + 1; i < len(t); i++ {
		t[i] = t[i-1] * r
		t[2*stepMax-i] = 1 / t[i]
	}
	return t
}()

// stepsOf returns the magnification s in sixteenths of a level.
func stepsOf(s float64) int {
	i, _ := slices.BinarySearch(stepPow[:], s)
	return min(i, 2*stepMax) - stepMax
}

// pair is a point of the registered picture that was found in the other one.
type pair struct {
	rx, ry, qx, qy float64 // working pixels
	r, q           int32   // indices of the points
	dist           int32   // bits in which the descriptors differ
}

// fitSimilarity returns the similarity that fits the pairs best by least
// squares; false if they lie in one place.
func fitSimilarity(ps []pair) (affine, bool) {
	mx, my, nx, ny := centres(ps)
	var den, c, s float64
	for i := range ps {
		p := &ps[i]
		x, y, u, v := p.rx-mx, p.ry-my, p.qx-nx, p.qy-ny
		den += float64(x*x) + float64(y*y)
		c += float64(x*u) + float64(y*v)
		s += float64(x*v) - float64(y*u)
	}
	if den < 1 {
		return affine{}, false
	}
	c, s = c/den, s/den
	return affine{c, -s, nx - float64(c*mx) + float64(s*my), s, c, ny - float64(s*mx) - float64(c*my)}, true
}

// fitAffine returns the affine map that fits the pairs best by least squares;
// false if they lie on a line or nearly so.
func fitAffine(ps []pair) (affine, bool) {
	mx, my, nx, ny := centres(ps)
	var xx, xy, yy, xu, yu, xv, yv float64
	for i := range ps {
		p := &ps[i]
		x, y, u, v := p.rx-mx, p.ry-my, p.qx-nx, p.qy-ny
		xx += float64(x * x)
		xy += float64(x * y)
		yy += float64(y * y)
		xu += float64(x * u)
		yu += float64(y * u)
		xv += float64(x * v)
		yv += float64(y * v)
	}
	det := float64(xx*yy) - float64(xy*xy)
	// The spread across the main direction must be a part of that along it.
	if tr := xx + yy; tr < 1 || det < 0.01*float64(tr*tr) {
		return affine{}, false
	}
	t := affine{
		a: (float64(xu*yy) - float64(yu*xy)) / det,
		b: (float64(yu*xx) - float64(xu*xy)) / det,
		d: (float64(xv*yy) - float64(yv*xy)) / det,
		e: (float64(yv*xx) - float64(xv*xy)) / det,
	}
	t.c = nx - float64(t.a*mx) - float64(t.b*my)
	t.f = ny - float64(t.d*mx) - float64(t.e*my)
	return t, true
}

func centres(ps []pair) (mx, my, nx, ny float64) {
	for i := range ps {
		p := &ps[i]
		mx += p.rx
		my += p.ry
		nx += p.qx
		ny += p.qy
	}
	n := float64(max(len(ps), 1))
	return mx / n, my / n, nx / n, ny / n
}

// projective is the map of a plane that is seen at an angle: that of affine, divided by
// 1 + gx + hy. With g and h zero it is affine, to the bit.
type projective struct {
	affine
	g, h float64
}

func (t projective) apply(x, y float64) (float64, float64) {
	u, v := t.affine.apply(x, y)
	if t.g == 0 && t.h == 0 {
		return u, v
	}
	w := 1 + float64(t.g*x) + float64(t.h*y)
	return u / w, v / w
}

// at returns the affine map that t is nearly around x, y.
func (t projective) at(x, y float64) affine {
	if t.g == 0 && t.h == 0 {
		return t.affine
	}
	w := 1 + float64(t.g*x) + float64(t.h*y)
	u, v := t.apply(x, y)
	s := affine{
		a: (t.a - float64(u*t.g)) / w, b: (t.b - float64(u*t.h)) / w,
		d: (t.d - float64(v*t.g)) / w, e: (t.e - float64(v*t.h)) / w,
	}
	s.c = u - float64(s.a*x) - float64(s.b*y)
	s.f = v - float64(s.d*x) - float64(s.e*y)
	return s
}

// maxTilt is the greatest ratio of the magnifications, squared, at two corners of a
// picture: that of a picture seen at some 45 degrees from close by.
const maxTilt = 2.5 * 2.5

// sane reports whether t is a map that a copy of a picture of w × h could have: at all
// corners and in the middle.
func (t projective) sane(w, h float64) bool {
	least, most := math.Inf(1), 0.0
	for _, p := range [...][2]float64{{0, 0}, {w, 0}, {0, h}, {w, h}, {w / 2, h / 2}} {
		if 1+float64(t.g*p[0])+float64(t.h*p[1]) < 0.2 {
			return false
		}
		s := t.at(p[0], p[1])
		if !s.sane() {
			return false
		}
		least, most = min(least, s.det()), max(most, s.det())
	}
	return most <= maxTilt*least
}

// fitProjective returns the projective map that fits the pairs best; false if they
// do not say which. The error that it makes least is that of the map times its
// denominator, which is near one around the middle of the pairs.
func fitProjective(ps []pair) (t projective, ok bool) {
	mx, my, nx, ny := centres(ps)
	var size float64
	for i := range ps {
		size += math.Abs(ps[i].rx-mx) + math.Abs(ps[i].ry-my)
	}
	if size < 1 {
		return t, false
	}
	k := float64(len(ps)) / size // the mean distance from the middle becomes one
	var m normal
	for i := range ps {
		p := &ps[i]
		x, y := float64((p.rx-mx)*k), float64((p.ry-my)*k)
		u, v := float64((p.qx-nx)*k), float64((p.qy-ny)*k)
		m.addRow([9]float64{x, y, 1, 0, 0, 0, -float64(u * x), -float64(u * y), u})
		m.addRow([9]float64{0, 0, 0, x, y, 1, -float64(v * x), -float64(v * y), v})
	}
	s, ok := m.solve()
	if !ok {
		return t, false
	}
	// From the pairs' own units back: x → (x − mx)·k before, u/k + nx after.
	a := affine{s[0] * k, s[1] * k, s[2], s[3] * k, s[4] * k, s[5]}
	g, h := s[6]*k, s[7]*k
	a.c -= float64(a.a*mx) + float64(a.b*my)
	a.f -= float64(a.d*mx) + float64(a.e*my)
	w := 1 - float64(g*mx) - float64(h*my)
	if w < 0.05 {
		return t, false
	}
	t.affine = affine{
		(a.a/k + float64(nx*g)) / w, (a.b/k + float64(nx*h)) / w, a.c/k/w + nx,
		(a.d/k + float64(ny*g)) / w, (a.e/k + float64(ny*h)) / w, a.f/k/w + ny,
	}
	t.g, t.h = g/w, h/w
	return t, true
}

// addRow adds the equation r[0]·s0 + … + r[7]·s7 = r[8] to the normal equations m.
func (m *normal) addRow(r [9]float64) {
	for i := range m {
		for j := i; j < 9; j++ {
			m[i][j] += float64(r[i] * r[j])
		}
	}
}

// normal are the upper half of eight normal equations, and their right sides.
type normal [8][9]float64

// solve returns their solution; false if there is no single one.
func (m *normal) solve() (s [8]float64, ok bool) {
	for i := range m {
		for j := range i {
			m[i][j] = m[j][i]
		}
	}
	for i := range m {
		p := i
		for k := i + 1; k < len(m); k++ {
			if math.Abs(m[k][i]) > math.Abs(m[p][i]) {
				p = k
			}
		}
		if math.Abs(m[p][i]) < 1e-6 {
			return s, false
		}
		m[i], m[p] = m[p], m[i]
		for k := i + 1; k < len(m); k++ {
			q := m[k][i] / m[i][i]
			for j := i; j < 9; j++ {
				m[k][j] -= float64(q * m[i][j])
			}
		}
	}
	for i := len(m) - 1; i >= 0; i-- {
		v := m[i][8]
		for j := i + 1; j < len(m); j++ {
			v -= float64(m[i][j] * s[j])
		}
		s[i] = v / m[i][i]
	}
	return s, true
}

// within moves the pairs that t misses by at most tol (working pixels at
// magnification one) to the front, and counts them.
func within(ps []pair, t projective, mag, tol float64) (n int) {
	lim := tol * max(mag, 1)
	for i := range ps {
		x, y := t.apply(ps[i].rx, ps[i].ry)
		x, y = x-ps[i].qx, y-ps[i].qy
		if float64(x*x)+float64(y*y) <= lim*lim {
			ps[n], ps[i] = ps[i], ps[n]
			n++
		}
	}
	return n
}

// minAffine is the number of pairs from which on an affine map is fitted: six
// numbers from fewer pairs follow the noise.
const minAffine = 8

// fit fits a map to the pairs, drops those that it misses by more than tol
// (working pixels at magnification one) and fits again. Pairs that stay are
// moved to the front and counted.
func fit(ps []pair, tol float64) (t affine, n int, ok bool) {
	n = len(ps)
	for round := range 3 {
		if n < 2 {
			return t, n, false
		}
		ok = false
		if n >= minAffine {
			t, ok = fitAffine(ps[:n])
			ok = ok && t.sane()
		}
		if !ok {
			t, ok = fitSimilarity(ps[:n])
			if !ok || !t.sane() {
				return t, n, false
			}
		}
		lim := tol * (3 - float64(round))
		lim *= max(math.Sqrt(math.Abs(t.det())), 1)
		k := 0
		for i := range ps {
			x, y := t.apply(ps[i].rx, ps[i].ry)
			x, y = x-ps[i].qx, y-ps[i].qy
			if float64(x*x)+float64(y*y) <= lim*lim {
				ps[k], ps[i] = ps[i], ps[k]
				k++
			}
		}
		n = k
	}
	return t, n, n >= 2
}

const (
	// minScale and maxScale bound the magnification from the registered to the
	// asked working picture; maxStretch that of the aspect, squared.
	minScale, maxScale = 0.12, 8.0
	maxStretch         = 2.0 * 2.0
)

// sane reports whether t is a map that a copy could have.
func (t affine) sane() bool {
	d := t.det()
	return d >= minScale*minScale && d <= maxScale*maxScale && t.stretch() <= maxStretch
}
