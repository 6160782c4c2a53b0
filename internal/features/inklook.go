package features

import (
	"math"
	"slices"
)

// inkLooker compares the fine pictures of two pictures that consist of ink on plain
// ground. Two documents of one template agree in most places; what tells them apart is that
// somewhere all the strokes are others.
type inkLooker struct {
	asked mipmaps // the asked picture's fine picture and its halves
	buf   []uint8
	bufA  []uint8
	state []uint8
	group []int
}

// Ink is what the comparison of two fine pictures came to.
type Ink struct {
	// Fineness is how many pixels of the asked fine picture lie along one of the
	// registered one: below one, strokes are lost.
	Fineness float64
	// Strokes is the number of visible places where the registered picture has
	// strokes, Same the number of those where the asked one has the same, Other
	// where it has others or none, Covered where its ground is another, too. All is the number of places
	// with strokes, visible or not.
	Strokes, Same, Other, Covered, All int
	// Worst is the greatest number of places with other strokes in a window of
	// 7 × 5 places, WorstOf the number of all places with strokes in it.
	Worst, WorstOf int
	// Rich is the number of places with the same strokes that run in more than one
	// direction.
	Rich int
	// Tones is the largest group of plain places that are brighter or darker than
	// they should be.
	Tones int
}

const (
	// inkStep is the distance between the places that are compared.
	inkStep = 4
	// windowX and windowY are how many places a window reaches to each side.
	windowX, windowY = 3, 2
	// centredUnit is a variance of one grey level in the sums of centre.
	centredUnit = 64 * 64 * 64
)

// States of places besides those of cells.
const (
	covered = faintlyUnlike + 1 + iota
	otherTone
)

// centre fills out with the block at x0, y0 less the means of its rows and of its
// columns, times 64, and returns the sum of the squares. Straight lines along
// rows and columns vanish: rules, and what all lines of text have in common.
func centre(out *[inkBlock * inkBlock]int32, pix []uint8, stride, x0, y0 int) int64 {
	const n = inkBlock
	var rows, cols [n]int32
	var sum int32
	for y := range n {
		for x, p := range pix[(y0+y)*stride+x0:][:n] {
			v := int32(p)
			rows[y] += v
			cols[x] += v
			sum += v
		}
	}
	var v int64
	for y := range n {
		r := sum - n*rows[y]
		for x, p := range pix[(y0+y)*stride+x0:][:n] {
			d := n*n*int32(p) - n*cols[x] + r
			out[y*n+x] = d
			v += int64(d) * int64(d)
		}
	}
	return v
}

// compareInk compares the fine pictures under t.
func (l *looker) compareInk(f Features, t projective, mirrored bool) (k Ink) {
	i := &l.ink
	if len(i.asked.mips) == 0 {
		var g gray
		g, i.bufA = l.asked.ink(i.bufA)
		i.asked.load(g)
	}
	var r gray
	r, i.buf = f.ink(i.buf)
	rw, rh := f.size()
	k.Fineness = l.lay(r, rw, rh, i.asked.mips, t, mirrored)
	gw, gh := (r.w-inkBlock-2)/inkStep+1, (r.h-inkBlock-2)/inkStep+1
	if gw < 1 || gh < 1 {
		return k
	}
	i.state = zeroed(i.state, gw*gh)
	var sums toneSums
	for n := range i.state {
		x, y := 1+n%gw*inkStep, 1+n/gw*inkStep
		v, has := l.inkPlace(r, x, y)
		if has {
			k.All++
		}
		if i.state[n] = v; v == agrees {
			if manifold(r, x, y) {
				k.Rich++
			}
			sums.add(blockMean(r.pix, r.w, x, y), blockMean(l.warp, r.w, x, y))
		}
	}
	tone := sums.line()
	for n, v := range i.state {
		x, y := 1+n%gw*inkStep, 1+n/gw*inkStep
		switch v {
		case agrees:
			k.Same++
		case disagrees:
			a, b := blockMedian(r.pix, r.w, x, y), blockMedian(l.warp, r.w, x, y)
			if math.Abs(float64(b)-tone.at(float64(a))) > flatTone {
				i.state[n] = covered
				k.Covered++
			} else {
				k.Other++
			}
		case faintlyAlike:
			if math.Abs(blockMean(l.warp, r.w, x, y)-tone.at(blockMean(r.pix, r.w, x, y))) > flatTone {
				i.state[n] = otherTone
			}
		}
	}
	k.Strokes = k.Same + k.Other + k.Covered
	k.Worst, k.WorstOf = i.worst(gw, gh)
	k.Tones = i.largest(gw, otherTone)
	return k
}

const (
	// inkVariance is the variance from which on a place has strokes, inkSquared
	// the square of the correlation, in hundredths, from which on they are the same.
	inkVariance = 80
	inkSquared  = 0.36
)

// inkPlace compares the place at x0, y0: it agrees or disagrees where the registered
// picture has strokes, is faintlyAlike where it is plain and undecided elsewhere.
func (l *looker) inkPlace(r gray, x0, y0 int) (state uint8, strokes bool) {
	const n = inkBlock
	var a, b [n * n]int32
	va := centre(&a, r.pix, r.w, x0, y0)
	strokes = va >= inkVariance*centredUnit
	for _, y := range [...]int{y0 - 1, y0 + n} {
		if !l.in[y*r.w+x0-1] || !l.in[y*r.w+x0+n] {
			return undecided, strokes
		}
	}
	if !strokes {
		if va < centredUnit {
			return faintlyAlike, false
		}
		return undecided, false
	}
	for _, d := range [...][2]int{{0, 0}, {1, 0}, {-1, 0}, {0, 1}, {0, -1}, {1, 1}, {-1, -1}, {1, -1}, {-1, 1}} {
		vb := centre(&b, l.warp, r.w, x0+d[0], y0+d[1])
		var c int64
		for i := range a {
			c += int64(a[i]) * int64(b[i])
		}
		if c > 0 && float64(c)*float64(c) > inkSquared*float64(va)*float64(vb) {
			return agrees, true
		}
	}
	return disagrees, true
}

func blockMean(pix []uint8, stride, x0, y0 int) float64 {
	sum := 0
	for y := range inkBlock {
		for _, p := range pix[(y0+y)*stride+x0:][:inkBlock] {
			sum += int(p)
		}
	}
	return float64(sum) / (inkBlock * inkBlock)
}

func blockMedian(pix []uint8, stride, x0, y0 int) uint8 {
	var p [inkBlock * inkBlock]uint8
	for y := range inkBlock {
		copy(p[y*inkBlock:], pix[(y0+y)*stride+x0:][:inkBlock])
	}
	slices.Sort(p[:])
	return p[len(p)/2]
}

// worst returns the most places with other strokes in a window, and how many of it have
// strokes.
func (i *inkLooker) worst(gw, gh int) (worst, of int) {
	for y := range gh {
		for x := range gw {
			n, bad := 0, 0
			for v := max(y-windowY, 0); v <= min(y+windowY, gh-1); v++ {
				for u := max(x-windowX, 0); u <= min(x+windowX, gw-1); u++ {
					switch i.state[v*gw+u] {
					case disagrees:
						bad++
						n++
					case agrees:
						n++
					}
				}
			}
			if bad > worst || bad == worst && n < of {
				worst, of = bad, n
			}
		}
	}
	return worst, of
}

// largest returns the size of the largest group of places of a state.
func (i *inkLooker) largest(gw int, state uint8) (most int) {
	for from := range i.state {
		n := 0
		i.group = append(i.group[:0], from)
		for len(i.group) > 0 {
			k := i.group[len(i.group)-1]
			i.group = i.group[:len(i.group)-1]
			if k < 0 || k >= len(i.state) || i.state[k] != state {
				continue
			}
			i.state[k] = undecided
			n++
			if k%gw > 0 {
				i.group = append(i.group, k-1)
			}
			if k%gw < gw-1 {
				i.group = append(i.group, k+1)
			}
			i.group = append(i.group, k-gw, k+gw)
		}
		most = max(most, n)
	}
	return most
}
