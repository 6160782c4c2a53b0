package phash

import (
	"errors"
	"fmt"
	"image"
	"math"
	"sync"
)

// The PDQ algorithm is Meta's (github.com/facebook/ThreatExchange, pdq/). This
// is an implementation of its own, written from a description of the
// arithmetic and held to the reference by test vectors: float32 throughout,
// every sum in the reference's order, and an explicit float32 around each
// product so that no compiler may fuse it into the following addition.

const (
	gridSide = 64 // the picture is reduced to gridSide × gridSide samples
	freqs    = 16 // frequencies 1 to 16 of each direction are kept, not 0

	// MinSide is the smallest width and height, in pixels, that PDQ looks at. A
	// picture with a shorter side has the hash of zero bits and the quality 0.
	MinSide = 5
)

// ErrNoPixels is wrapped by errors about pictures that have no pixels.
var ErrNoPixels = errors.New("picture has no pixels")

// PDQ returns the PDQ hash of img and its quality.
//
// The picture is hashed at its full size, as python-threatexchange, HMA and the
// Java and Rust implementations do. For equal RGB or grey pixels the hash equals
// theirs in every bit, on every architecture. Alpha is ignored, as in these
// implementations: the colour that a pixel has below its transparency counts.
// Channels of 16 bits are narrowed to their upper 8.
//
// For an [image.YCbCr] the luma plane is hashed directly, unless the outcome is
// close: then it is hashed by way of RGB. The luma plane is much faster. On the
// development photos the result is within 2 bits of the way by RGB, and equal for
// four of five (docs/accuracy.md).
//
// Quality runs from 0 to 100 and measures gradients. Below [QualityFloor] a
// picture has too little structure to be distinguished from others. PDQ never
// reads orientation tags; [Decode] does.
//
// An image without pixels gives an error that wraps [ErrNoPixels], one of more
// than 2^30 an error that wraps [ErrTooLarge]. PDQ is safe for concurrent use and
// reuses its buffers. To hash a stream of pictures in one goroutine, a separate
// [Hasher] is a little faster.
func PDQ(img image.Image) (h Hash, quality int, err error) {
	k := hashers.Get().(*Hasher)
	defer hashers.Put(k)
	return k.PDQ(img)
}

// PDQDihedral returns the PDQ hashes of the eight orientations of img, indexed by
// [Orientation], and the common quality. They equal the reference's dihedral
// hashes in every bit. They are derived from the spectrum of the one picture, so
// they differ a little (0 to 8 bits on photographs) from the hashes of turned
// files. See [PDQ] for everything else.
func PDQDihedral(img image.Image) (h [8]Hash, quality int, err error) {
	k := hashers.Get().(*Hasher)
	defer hashers.Put(k)
	return k.PDQDihedral(img)
}

// pdqDihedral is [PDQDihedral] for the picture as it is shown.
func (p *Picture) pdqDihedral() ([nOrientations]Hash, error) {
	hs, _, err := PDQDihedral(p.shown())
	return hs, err
}

var hashers = sync.Pool{New: func() any { return new(Hasher) }}

// Hasher computes hashes and keeps its buffers from one picture to the next, so
// that a stream of pictures is hashed without allocating. The zero Hasher is
// ready. It is not safe for concurrent use; give every goroutine its own. The
// buffers grow to about 1/30 of the largest picture seen, at 4 bytes a pixel.
type Hasher struct {
	boxes boxFilter
	tent  tentFilter
	gray  grayRows
	rgb   rgbRows
	grid  grid
	tmp   [freqs * gridSide]float32
	dct   spectrum

	// For registrations: the picture made smaller, a view of it turned by a small
	// angle, and by a large one; and how it looks after strong compression.
	small, tilted, turned, coarse image.Gray

	sums  []uint64
	parts []image.Rectangle // for queries: what is left without borders
}

// PDQ is the function [PDQ] with the buffers of k.
func (k *Hasher) PDQ(img image.Image) (Hash, int, error) {
	if err := checkBounds(img); err != nil {
		return Hash{}, 0, err
	}
	h, q := k.hash(k.lumaOf(img))
	if m, ok := img.(*image.YCbCr); ok && k.dct.close() {
		h, q = k.hash(k.colours(m))
	}
	return h, q, nil
}

// PDQDihedral is the function [PDQDihedral] with the buffers of k.
func (k *Hasher) PDQDihedral(img image.Image) ([8]Hash, int, error) {
	if err := checkBounds(img); err != nil {
		return [8]Hash{}, 0, err
	}
	h, q := k.dihedral(k.lumaOf(img))
	if m, ok := img.(*image.YCbCr); ok && k.dct.close() {
		h, q = k.dihedral(k.colours(m))
	}
	return h, q, nil
}

// maxArea is the largest image.Image, in pixels, that is looked at: more is no
// picture but, say, an image.Uniform.
const maxArea = 1 << 30

func checkBounds(img image.Image) error {
	if img == nil {
		return fmt.Errorf("phash: nil image: %w", ErrNoPixels)
	}
	b := img.Bounds()
	if b.Empty() {
		return fmt.Errorf("phash: bounds %v: %w", b, ErrNoPixels)
	}
	if w, h := int64(b.Dx()), int64(b.Dy()); w > maxArea/h {
		return fmt.Errorf("phash: bounds %v: more than %d pixels: %w", b, int64(maxArea), ErrTooLarge)
	}
	return nil
}

// hash is the single-hash path of the reference.
func (k *Hasher) hash(src lumaSource) (Hash, int) {
	w, h := src.size()
	switch {
	case w < MinSide || h < MinSide:
		clear(k.dct[:])
		return Hash{alg: AlgPDQ}, 0
	case w == gridSide && h == gridSide:
		// The reference takes a picture that already has the size of the grid
		// unfiltered here, but not for the dihedral hashes.
		for y := range gridSide {
			src.row(k.grid[y*gridSide:][:gridSide], y)
		}
	default:
		if g, ok := src.(*grayRows); ok {
			if h, q, ok := k.hashGray(g); ok {
				return h, q
			}
		}
		k.boxes.reduce(src, &k.grid)
	}
	q := k.grid.quality()
	k.transform(&k.grid)
	return k.dct.hash(), q
}

// dihedral is the reference's path for the eight hashes of one picture.
func (k *Hasher) dihedral(src lumaSource) ([8]Hash, int) {
	var hs [8]Hash
	w, h := src.size()
	if w < MinSide || h < MinSide {
		clear(k.dct[:])
		for i := range hs {
			hs[i].alg = AlgPDQ
		}
		return hs, 0
	}
	k.boxes.reduce(src, &k.grid)
	q := k.grid.quality()
	k.transform(&k.grid)
	for o := range hs {
		t := k.dct.turned(Orientation(o))
		hs[o] = t.hash()
	}
	return hs, q
}

// grid is the picture reduced to 64 × 64 samples of luma, row by row.
type grid [gridSide * gridSide]float32

// quality is from 0 to 100.
func (g *grid) quality() int { return min(100, g.gradients()/90) }

// fullQuality is a sum of gradients whose quality is 100 also if it is a little
// off.
const fullQuality = 100*90 + 100

// gradients sums the quantized differences of neighbours. Differences below 2.55
// levels count as zero, on purpose: they are noise.
func (g *grid) gradients() (sum int) {
	add := func(u, v float32) {
		d := float32(u-v) * 100
		n := int(d / 255)
		if n < 0 {
			n = -n
		}
		sum += n
	}
	for i := range gridSide - 1 {
		for j := range gridSide {
			add(g[i*gridSide+j], g[(i+1)*gridSide+j])
		}
	}
	for i := range gridSide {
		for j := range gridSide - 1 {
			add(g[i*gridSide+j], g[i*gridSide+j+1])
		}
	}
	return sum
}

// spectrum holds the 16 × 16 cosine coefficients of a grid, vertical
// frequencies down, horizontal ones across; index 0 is frequency 1.
type spectrum [freqs * freqs]float32

// transform computes k.dct from g: D·g·Dᵀ with the matrix D of dctMatrix.
func (k *Hasher) transform(g *grid) {
	// Each coefficient is one sum over ascending indices, as in the reference;
	// eight of them are kept in registers at a time so that their chains of
	// additions overlap.
	for i := range freqs {
		d := (*[gridSide]float32)(dctMatrix[i*gridSide:])
		for j := 0; j < gridSide; j += 8 {
			var s0, s1, s2, s3, s4, s5, s6, s7 float32
			for n, c := range d {
				a := (*[8]float32)(g[n*gridSide+j:])
				s0 += float32(c * a[0])
				s1 += float32(c * a[1])
				s2 += float32(c * a[2])
				s3 += float32(c * a[3])
				s4 += float32(c * a[4])
				s5 += float32(c * a[5])
				s6 += float32(c * a[6])
				s7 += float32(c * a[7])
			}
			*(*[8]float32)(k.tmp[i*gridSide+j:]) = [8]float32{s0, s1, s2, s3, s4, s5, s6, s7}
		}
	}
	for i := range freqs {
		t := (*[gridSide]float32)(k.tmp[i*gridSide:])
		for j := 0; j < freqs; j += 4 {
			d0 := (*[gridSide]float32)(dctMatrix[j*gridSide:])
			d1 := (*[gridSide]float32)(dctMatrix[(j+1)*gridSide:])
			d2 := (*[gridSide]float32)(dctMatrix[(j+2)*gridSide:])
			d3 := (*[gridSide]float32)(dctMatrix[(j+3)*gridSide:])
			var s0, s1, s2, s3 float32
			for n, a := range t {
				s0 += float32(a * d0[n])
				s1 += float32(a * d1[n])
				s2 += float32(a * d2[n])
				s3 += float32(a * d3[n])
			}
			*(*[4]float32)(k.dct[i*freqs+j:]) = [4]float32{s0, s1, s2, s3}
		}
	}
}

// hash sets the bits of the coefficients above their median.
func (s *spectrum) hash() Hash {
	m := s.median()
	h := Hash{alg: AlgPDQ}
	for i, c := range s {
		if c > m {
			h.w[i/64] |= 1 << (i % 64)
		}
	}
	return h
}

// median finds the lower median by Torben's method, the reference's. On
// distinct values any method gives the same; on the ties of flat pictures the
// steps decide the hash.
func (s *spectrum) median() float32 {
	const half = (len(s) + 1) / 2
	lo, hi := s[0], s[0]
	for _, v := range s {
		lo, hi = min(lo, v), max(hi, v)
	}
	for {
		guess := float32(lo+hi) / 2
		less, greater, equal := 0, 0, 0
		below, above := lo, hi
		for _, v := range s {
			switch {
			case v < guess:
				less++
				below = max(below, v)
			case v > guess:
				greater++
				above = min(above, v)
			default:
				equal++
			}
		}
		switch {
		case less <= half && greater <= half:
			switch {
			case less >= half:
				return below
			case less+equal >= half:
				return guess
			}
			return above
		case less > greater:
			hi = below
		default:
			lo = above
		}
	}
}

// close reports whether so many coefficients lie so near to their median that
// the rounding of a JPEG's colours could turn more than two bits of the hash. The
// two numbers are from the development photos: a luma plane and the luma of its
// RGB differ by up to half a level, which turned four bits for 2 photos of 300;
// this holds for those two and for 38 others.
func (s *spectrum) close() bool {
	const (
		many = 5
		near = 0.5
	)
	return s.near(near) >= many-1
}

// near counts the coefficients within d of the median, without itself.
func (s *spectrum) near(d float32) int {
	m := s.median()
	n := -1
	for _, c := range s {
		if c-m < d && m-c < d {
			n++
		}
	}
	return n
}

// turned returns the spectrum of the picture in another orientation, by the
// rules of the reference: a mirrored cosine of odd frequency changes its sign,
// and a transposed picture has a transposed spectrum.
func (s *spectrum) turned(o Orientation) (t spectrum) {
	oddRows, oddCols, transpose := o.rules()
	for i := range freqs {
		for j := range freqs {
			// Index 0 is frequency 1: odd frequencies have even indices.
			c := s[i*freqs+j]
			if (oddRows && i%2 == 0) != (oddCols && j%2 == 0) {
				c = -c
			}
			if transpose {
				t[j*freqs+i] = c
			} else {
				t[i*freqs+j] = c
			}
		}
	}
	return t
}

// dctMatrix holds 16 rows of 64: row i is frequency i+1.
var dctMatrix = func() (d [freqs * gridSide]float32) {
	for i := range freqs {
		for j := range gridSide {
			// All angles are multiples of π/128; fold them into [0, π/2].
			k, neg := (i+1)*(2*j+1)%256, false
			if k > 128 {
				k = 256 - k
			}
			if k > 64 {
				k, neg = 128-k, true
			}
			v := math.Float32frombits(quarterCosine[k])
			if neg {
				v = -v
			}
			d[i*gridSide+j] = v
		}
	}
	return d
}()

// quarterCosine holds √(2/64)·cos(kπ/128) for k from 0 to 64, as the bits of the
// nearest float32. It is a table because the last bit of a library cosine
// differs between architectures, and a bit here is a bit in stored hashes.
var quarterCosine = [65]uint32{
	0x3e3504f3, 0x3e34f6fe, 0x3e34cd21, 0x3e348763, 0x3e3425ce, 0x3e33a872, 0x3e330f61, 0x3e325ab4,
	0x3e318a85, 0x3e309ef6, 0x3e2f982b, 0x3e2e764c, 0x3e2d3986, 0x3e2be20a, 0x3e2a700c, 0x3e28e3c6,
	0x3e273d74, 0x3e257d59, 0x3e23a3b9, 0x3e21b0dd, 0x3e1fa512, 0x3e1d80a8, 0x3e1b43f5, 0x3e18ef51,
	0x3e168317, 0x3e13ffa8, 0x3e116566, 0x3e0eb4b9, 0x3e0bee0a, 0x3e0911c7, 0x3e062061, 0x3e031a4c,
	0x3e000000, 0x3df9a3ed, 0x3df3215c, 0x3dec794d, 0x3de5acc6, 0x3ddebcd5, 0x3dd7aa8b, 0x3dd076ff,
	0x3dc9234e, 0x3dc1b098, 0x3dba2005, 0x3db272bd, 0x3daaa9f2, 0x3da2c6d5, 0x3d9aca9e, 0x3d92b689,
	0x3d8a8bd4, 0x3d824bc1, 0x3d73ef2f, 0x3d63213d, 0x3d523045, 0x3d411ee4, 0x3d2fefbb, 0x3d1ea570,
	0x3d0d42af, 0x3cf7944a, 0x3cd47d09, 0x3cb14504, 0x3c8df1a9, 0x3c5510d4, 0x3c0e1d7b, 0x3b8e2871,
	0x00000000,
}
