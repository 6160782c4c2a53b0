package phash

import (
	"image"
	"math"
)

// A picture that was reduced while it was decoded is hashed as if it had its full
// size and every pixel of a cell, the square that one reduced pixel stands for,
// had the cell's mean. PDQ's filters are weights of pixels, and those of the
// pixels of a cell are added. So the hash differs from the one at full size only
// by what the pixels of a cell have to do with each other: hashing the reduced
// picture itself would move its windows, and the hash by up to 16 bits.

// cells says which pixels of a side of n are in each of the reduced pixels.
type cells struct {
	n    int // pixels
	side int // of a cell
	lead int // by how many pixels the first cell is smaller; the last one is cut off
}

// count is the number of cells.
func (c cells) count() int { return (c.n + c.lead + c.side - 1) / c.side }

// bound is the first pixel of cell i.
func (c cells) bound(i int) int { return min(max(0, i*c.side-c.lead), c.n) }

// part is the cells from a to b.
func (c cells) part(a, b int) cells {
	p := cells{n: c.bound(b) - c.bound(a), side: c.side}
	if a == 0 {
		p.lead = c.lead
	}
	return p
}

// reduced is a picture made smaller, for hashing.
type reduced struct {
	pix    []byte
	stride int
	x, y   cells
}

// tap is the weight of a run of cells for one sample.
type tap struct {
	first  int
	weight []int32 // in 1/2^tapBits
}

const tapBits = 20

// tentFilter reduces to the grid by weights. It keeps them for the next picture of
// the same size.
type tentFilter struct {
	xs, ys      cells
	x, y        [gridSide]tap
	sums        [gridSide * gridSide]int64
	sum, moment []float64
}

// taps computes the weights of the cells for the samples of the grid.
func (f *tentFilter) taps(t *[gridSide]tap, c cells) {
	box := window(c.n)
	half := (box + 2) / 2
	// The pixels from lo to hi are in the window of pixel o.
	lo := func(o int) int { return max(0, o+half-box) }
	hi := func(o int) int { return min(c.n-1, o+half-1) }
	for i := range t {
		o := sampleAt(i, c.n)
		from, to := lo(lo(o)), hi(hi(o))
		// One cell more at both ends, for the slopes.
		first := max(0, (from+c.lead)/c.side-1)
		n := min(c.count()-1, (to+c.lead)/c.side+1) - first + 1
		f.sum, f.moment = grow(f.sum, n), grow(f.moment, n)
		clear(f.sum)
		clear(f.moment)
		outer := 1 / float64(hi(o)-lo(o)+1)
		for p := lo(o); p <= hi(o); p++ {
			w := outer / float64(hi(p)-lo(p)+1)
			for q := lo(p); q <= hi(p); {
				k := (q + c.lead) / c.side
				end := min(hi(p)+1, c.bound(k+1))
				f.sum[k-first] += float64(w * float64(end-q))
				// How far these pixels are from the middle of the cell, in sum.
				f.moment[k-first] += float64(w * float64((end-q)*(q+end-c.bound(k)-c.bound(k+1))) / 2)
				q = end
			}
		}
		// Within a cell the picture is taken to have the slope between its
		// neighbours.
		for k, m := range f.moment {
			a, b := max(0, k-1), min(n-1, k+1)
			if a < b {
				m /= float64((b - a) * c.side)
				f.sum[b] += m
				f.sum[a] -= m
			}
		}
		t[i] = tap{first, grow(t[i].weight, n)}
		for k, v := range f.sum {
			t[i].weight[k] = int32(math.Floor(float64(v*(1<<tapBits)) + 0.5))
		}
	}
}

// reduce fills g from src.
func (f *tentFilter) reduce(src *reduced, g *grid) {
	if f.xs != src.x {
		f.taps(&f.x, src.x)
		f.xs = src.x
	}
	if f.ys != src.y {
		f.taps(&f.y, src.y)
		f.ys = src.y
	}
	clear(f.sums[:])
	var row [gridSide]int64
	top := 0 // the first row of the grid that may need more
	for y := range src.y.count() {
		line := src.pix[y*src.stride:]
		for j := range f.x {
			t := &f.x[j]
			row[j] = int64(dot(t.weight, line[t.first:]))
		}
		for i := top; i < gridSide; i++ {
			t := &f.y[i]
			k := y - t.first
			if k < 0 {
				break
			}
			if k >= len(t.weight) {
				if i == top {
					top++
				}
				continue
			}
			w := int64(t.weight[k])
			sums := f.sums[i*gridSide:][:gridSide]
			for j, v := range row {
				sums[j] += w * v
			}
		}
	}
	for i, s := range f.sums {
		g[i] = float32(float64(s) / (1 << (2 * tapBits)))
	}
}

// dot is the sum of the weights times the pixels. It stays below 2^30: the weights
// together are 2^tapBits, and those that slopes make negative are small.
func dot(weight []int32, p []byte) int32 {
	p = p[:len(weight)]
	var a, b int32
	k := 0
	for ; k+4 <= len(weight); k += 4 {
		w, q := weight[k:k+4:k+4], p[k:k+4:k+4]
		a += w[0]*int32(q[0]) + w[1]*int32(q[1])
		b += w[2]*int32(q[2]) + w[3]*int32(q[3])
	}
	for ; k < len(weight); k++ {
		a += weight[k] * int32(p[k])
	}
	return a + b
}

// reducedOf returns the luma of a picture that was reduced, or nil of one that was
// not. The turned picture's first cells are the smaller ones if it was mirrored.
func (p *Picture) reducedOf() *reduced {
	if p.full == (image.Point{}) || p.stored.Bounds().Size() == p.full {
		return nil
	}
	g := p.luma()
	size := p.stored.Bounds().Size()
	side := max((p.full.X+size.X-1)/size.X, (p.full.Y+size.Y-1)/size.Y)
	x, y := cells{n: p.full.X, side: side}, cells{n: p.full.Y, side: side}
	mirrorX, mirrorY := false, false
	if p.orientation >= 5 {
		x, y = y, x
	}
	switch p.orientation {
	case 2, 6:
		mirrorX = true
	case 3, 7:
		mirrorX, mirrorY = true, true
	case 4, 8:
		mirrorY = true
	}
	if mirrorX {
		x.lead = x.count()*side - x.n
	}
	if mirrorY {
		y.lead = y.count()*side - y.n
	}
	if g.Rect.Dx() != x.count() || g.Rect.Dy() != y.count() {
		return nil // reduced otherwise
	}
	return &reduced{pix: g.Pix, stride: g.Stride, x: x, y: y}
}

// part returns a rectangle of the reduced picture.
func (r *reduced) part(q image.Rectangle) *reduced {
	return &reduced{pix: r.pix[q.Min.Y*r.stride+q.Min.X:], stride: r.stride,
		x: r.x.part(q.Min.X, q.Max.X), y: r.y.part(q.Min.Y, q.Max.Y)}
}

const (
	// fastArea is the number of pixels from which on hashGray is faster.
	fastArea = 1 << 14
	// fastNear is more than ten times what coefficients by weights were off by in
	// any of 300 photographs and larger pictures, 0.004.
	fastNear = 0.05
)

// hashGray computes the hash of a picture of full size by weights, in half the
// time. It reports false where its rounding, which is not the reference's, could
// matter.
func (k *Hasher) hashGray(g *grayRows) (h Hash, quality int, ok bool) {
	if g.w*g.h < fastArea {
		return h, 0, false
	}
	r := reduced{pix: g.pix, stride: g.stride, x: cells{n: g.w, side: 1}, y: cells{n: g.h, side: 1}}
	k.tent.reduce(&r, &k.grid)
	if k.grid.gradients() <= fullQuality {
		return h, 0, false
	}
	k.transform(&k.grid)
	return k.dct.hash(), 100, k.dct.near(fastNear) == 0
}

// hashReduced is hash for a reduced picture.
func (k *Hasher) hashReduced(r *reduced) (Hash, int) {
	if r.x.n < MinSide || r.y.n < MinSide {
		clear(k.dct[:])
		return Hash{alg: AlgPDQ}, 0
	}
	k.tent.reduce(r, &k.grid)
	q := k.grid.quality()
	k.transform(&k.grid)
	return k.dct.hash(), q
}
