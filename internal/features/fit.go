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
