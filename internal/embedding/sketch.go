package embedding

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// A sketch is what a search looks at first. It is made of a vector in a frame:
// scaled to length 1 and seen from the middle of the segment's vectors, which
// spreads those of models that put all faces close together. It holds the
// length that is left, and the signs after random rotations, one bit each
// (random hyperplane hashing, after Charikar, "Similarity Estimation Techniques
// from Rounding Algorithms", 2002). Whatever the data, the bits of two vectors
// differ with a probability that depends on nothing but their angle, so a bound
// on the number of differing bits that misses few vectors at a threshold is
// known beforehand.
//
// Signs of one vector against the other vector's components estimate the
// angle with half the error (after Gao and Long, "RaBitQ: Quantizing
// High-Dimensional Vectors with a Theoretical Error Bound for Approximate
// Nearest Neighbor Search", 2024). What the count of bits lets pass is tested
// that way before any whole vector is read.
//
// Sketches are stored: all of this belongs to layoutSketch and never changes.
const (
	sketchBits  = 512
	sketchWords = sketchBits / 64
	sketchBytes = sketchBits / 8
)

// frame is where vectors of one model and segment are looked at.
type frame struct {
	dimensions int
	size       int    // dimensions of the rotated space: the next power of two
	rotations  int    // as many as fill a sketch
	used       int    // components of each that are used
	unit       int32  // the length 1
	middle     []byte // an int32 for every dimension, little-endian: mean of the vectors
}

// newFrame returns the frame for vectors of that many dimensions; middle may
// be nil for zero. A vector in the frame is at most twice as long as 1, so after
// rotate it is below 2^31 in length, and so is every component.
func newFrame(dimensions int, middle []byte) frame {
	log := bits.Len(uint(dimensions - 1))
	f := frame{dimensions: dimensions, size: 1 << log, unit: 1 << (29 - (3*log+1)/2), middle: middle}
	f.rotations = max(1, sketchBits/f.size)
	f.used = sketchBits / f.rotations
	return f
}

// growth is the factor by which rotate makes vectors longer.
func (f *frame) growth() float64 { return float64(f.size) * math.Sqrt(float64(f.size)) }

// biggestSpread returns the sum of magnitudes of the rotated components that
// give the bits of a sketch, for a vector of length 1, if all are alike.
func (f *frame) biggestSpread() float64 { return math.Sqrt(float64(sketchBits * f.rotations)) }

// scratch is the memory for a vector in a frame; it lies on the stack.
type scratch [MaxDimensions]int32

// place sets x to a vector in the frame, and returns its length in units.
func (f *frame) place(components []int8, norm uint32, x []int32) (length float64) {
	scale := float64(f.unit) / math.Sqrt(float64(norm))
	squares := int64(0)
	for i, c := range components {
		k := int32(math.Round(float64(c) * scale))
		if f.middle != nil {
			k -= int32(binary.LittleEndian.Uint32(f.middle[4*i:]))
		}
		x[i] = k
		squares += int64(k) * int64(k)
	}
	clear(x[len(components):])
	return math.Sqrt(float64(squares)) / float64(f.unit)
}

// rotate sets x to the components of a placed vector after rotation number k.
// The rotation is three rounds of random signs and a Hadamard transform, on
// whole numbers throughout.
func rotate(placed []int32, k int, x []int32) {
	copy(x, placed)
	for round := range 3 {
		state := uint64(3*k+round+1) << 32
		for i := 0; i+64 <= len(x); i += 64 {
			signs := splitmix64(&state)
			for j := range 64 {
				s := -int32(signs >> j & 1)
				x[i+j] = (x[i+j] ^ s) - s
			}
		}
		hadamard(x)
	}
}

// splitmix64 is the generator of Steele, Lea and Flood, "Fast Splittable
// Pseudorandom Number Generators", 2014.
func splitmix64(state *uint64) uint64 {
	*state += 0x9e3779b97f4a7c15
	z := *state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// hadamard multiplies x, whose length is a power of two and at least 4, by the
// Hadamard matrix, two of its steps at a time.
func hadamard(x []int32) {
	step := 1
	if bits.TrailingZeros(uint(len(x)))%2 == 1 {
		for i := 0; i+2 <= len(x); i += 2 {
			x[i], x[i+1] = x[i]+x[i+1], x[i]-x[i+1]
		}
		step = 2
	}
	for ; step < len(x); step *= 4 {
		for i := 0; i < len(x); i += 4 * step {
			a, b := x[i:][:step], x[i+step:][:step]
			c, d := x[i+2*step:][:step], x[i+3*step:][:step]
			for j := range step {
				s, t := a[j]+b[j], a[j]-b[j]
				u, v := c[j]+d[j], c[j]-d[j]
				a[j], b[j], c[j], d[j] = s+u, t+v, s-u, t-v
			}
		}
	}
}

// Lengths of placed vectors, from 0 to 2, and spreads, from 0 to
// biggestSpread, are stored in a byte each, rounded down.
const (
	lengthSteps = 255.0 / 2
	spreadSteps = 255.0
)

// sketch writes the bits of a vector's sketch to row, and returns the rest of
// it: the length of the placed vector, and the spread, which is the sum of the
// magnitudes of the rotated components that give the bits, for length 1. The
// spread is what the rest of the vector contributes to an estimate from the
// bits.
func (f *frame) sketch(components []int8, norm uint32, row []byte) (length, spread byte) {
	var s, t scratch
	placed, x := s[:f.size], t[:f.size]
	l := f.place(components, norm, placed)
	sum := int64(0)
	for k := range f.rotations {
		rotate(placed, k, x)
		for i := 0; i < f.used; i += 64 {
			word := uint64(0)
			for j, c := range x[i : i+64] {
				sign := c >> 31
				word |= uint64(1+sign) << j
				sum += int64((c ^ sign) - sign)
			}
			binary.LittleEndian.PutUint64(row[(k*f.used+i)/8:], word)
		}
	}
	if l == 0 {
		return 0, 0
	}
	biggest := f.biggestSpread() * l * f.growth() * float64(f.unit)
	return byte(min(255, l*lengthSteps)), byte(min(255, float64(sum)*spreadSteps/biggest))
}

// query is a vector prepared for looking at sketches.
type query struct {
	bits   [sketchWords]uint64
	planes [4][sketchWords]uint64 // of the rotated components, from -8 to 7: 1, 2, 4 and -8

	most [256]int16 // bits that may differ, for each length

	// The sum over planes from which on a sketch passes is, with the two of
	// its length and the two of its spread,
	//
	//	across*spread - sqrt(beside*rest + rounding) + offset
	across, beside, spread, rest [256]float64
	rounding, offset             float64
}

// step is the unit of query.planes, in standard deviations of a component. It
// is where four bits lose least of a normal distribution.
const step = 0.335

// doubt is how many standard deviations below what is expected of a vector at
// the threshold a test still lets it pass. It is exceeded by chance in one of
// 30,000 cases; there are two tests.
const doubt = 4.0

// shortest is the length of a placed query below which it has no direction to
// speak of.
const shortest = 1.0 / 64

// set prepares q for vectors of at least that similarity, which is above 0 and
// up to 1. It reports whether there is anything to be seen in sketches.
func (q *query) set(f *frame, components []int8, norm uint32, similarity float64) bool {
	var s, t scratch
	placed, x := s[:f.size], t[:f.size]
	length := f.place(components, norm, placed)
	if length < shortest {
		return false
	}
	factor := f.growth() * float64(f.unit) // of lengths, by rotate
	unit := int64(length*factor/math.Sqrt(float64(f.size))*step) + 1
	// Sums of squared components, of components times rounded, of rounded
	// squared, and of rounded.
	var xx, xr, rr float64
	sum := int64(0)
	for k := range f.rotations {
		rotate(placed, k, x)
		var sumXX, sumXR, sumRR int64
		for i := 0; i < f.used; i += 64 {
			var b, p0, p1, p2, p3 uint64
			for j, c := range x[i : i+64] {
				r := min(max(floorDiv(2*int64(c)+unit, 2*unit), -8), 7)
				b |= uint64(1+c>>31) << j
				p0 |= uint64(r) & 1 << j
				p1 |= uint64(r) >> 1 & 1 << j
				p2 |= uint64(r) >> 2 & 1 << j
				p3 |= uint64(r) >> 3 & 1 << j
				sumXX += int64(c) * int64(c)
				sumXR += int64(c) * r
				sumRR += r * r
				sum += r
			}
			w := (k*f.used + i) / 64
			q.bits[w] = b
			q.planes[0][w], q.planes[1][w], q.planes[2][w], q.planes[3][w] = p0, p1, p2, p3
		}
		xx += float64(sumXX)
		xr += float64(sumXR)
		rr += float64(sumRR)
	}

	// Vectors of length 1 with that similarity are this far apart, also in the
	// frame, but for the rounding of both by place.
	apart := math.Sqrt(max(0, 2-float64(2*similarity))) + math.Sqrt(float64(f.dimensions))/float64(f.unit)

	// Let v be another vector in the frame, of length 1 from here on, s the
	// signs of its rotated components and spread their sum of magnitudes, and
	// y this vector, not scaled. Then y is across*v plus a part that is
	// orthogonal to v, of which a random rotation leaves nothing but its
	// length. So the sum of y's components with the signs of v's is
	// across*spread on average, with the variance of the product of the parts
	// of s and y that are orthogonal to v. The rounding of y to planes is
	// scaled to be orthogonal to y; what is left of it is weighed with signs
	// that are as good as random.
	//
	// The planes are summed where the sign is positive: the sum with the signs
	// is twice that minus the sum of all. Hence the halves.
	scale := xx / xr
	half := 0.5 / scale
	q.offset = 0.5 * float64(sum)
	deviation := doubt * half
	q.rounding = float64(deviation*deviation) * max(0, float64(float64(scale*scale)*rr)-xx)
	for i := range 256 {
		across := f.across(length, apart, i)
		q.most[i] = mostBits(across / length)
		q.across[i] = across
		q.beside[i] = max(0, float64(length*length)-float64(across*across))

		spread := f.biggestSpread() * max(float64(i), 1e-3) / spreadSteps
		rest := max(0, sketchBits-float64(spread*spread)/float64(f.rotations)) / float64(f.size-1)
		q.spread[i] = spread * factor * half
		q.rest[i] = rest * float64(factor*factor) * float64(deviation*deviation)
	}
	return true
}

// across returns how long a vector of that length is in the direction of a
// placed vector with that stored length that is at most so far apart from it:
// at least so much. It is above length if there is none so close, and far below
// zero if nothing is known.
func (f *frame) across(length, apart float64, stored int) float64 {
	// By the law of cosines: (length^2 - apart^2 + l^2) / 2l for the other
	// length l, falling until l is the root of the first two, then rising.
	squares := float64(length*length) - float64(apart*apart)
	low, high := float64(stored)/lengthSteps, float64(stored+1)/lengthSteps
	least := low
	if squares > 0 {
		least = min(max(math.Sqrt(squares), low), high)
	}
	if least == 0 {
		return -1e9
	}
	return float64(squares+float64(least*least)) / float64(2*least)
}

// mostBits returns how many bits of two sketches may differ if the cosine
// between the vectors is at least c.
func mostBits(c float64) int16 {
	switch {
	case c <= 0:
		return sketchBits
	case c > 1:
		return -1
	}
	// Each bit differs with probability angle/pi, and independently if the
	// rotations were matrices of independent normal numbers; being orthogonal
	// makes the count vary less. The last term is for the skewness of the
	// binomial distribution (Cornish and Fisher).
	p := arccos(c) / math.Pi
	mean := float64(sketchBits * p)
	return int16(mean + float64(doubt*math.Sqrt(float64(mean*(1-p)))) +
		float64((doubt*doubt-1)/6*(1-float64(2*p))) + 1)
}

// weigh returns the sum of the query's planes where the bits of a sketch are
// set.
func (q *query) weigh(row []byte) int {
	var n0, n1, n2, n3 int
	for i := range sketchWords {
		w := binary.LittleEndian.Uint64(row[8*i:])
		n0 += bits.OnesCount64(w & q.planes[0][i])
		n1 += bits.OnesCount64(w & q.planes[1][i])
		n2 += bits.OnesCount64(w & q.planes[2][i])
		n3 += bits.OnesCount64(w & q.planes[3][i])
	}
	return n0 + 2*n1 + 4*n2 - 8*n3
}

// least returns the sum over planes from which on a sketch with that length
// and spread passes.
func (q *query) least(length, spread byte) float64 {
	return float64(q.across[length]*q.spread[spread]) -
		math.Sqrt(float64(q.beside[length]*q.rest[spread])+q.rounding) + q.offset
}

// floorDiv returns a/b rounded down; b is positive.
func floorDiv(a, b int64) int64 {
	d := a / b
	if a%b < 0 {
		d--
	}
	return d
}

// arccos returns the angle for a cosine from 0 to 1, with an error below
// 1e-7 (Abramowitz and Stegun, "Handbook of Mathematical Functions", 4.4.46).
// The function of package math may differ in its last bits between
// architectures, and with it what a search misses.
func arccos(c float64) float64 {
	sum := 0.0
	for _, a := range [...]float64{
		-0.0012624911, 0.0066700901, -0.0170881256, 0.0308918810,
		-0.0501743046, 0.0889789874, -0.2145988016, 1.5707963050,
	} {
		sum = float64(sum*c) + a
	}
	return math.Sqrt(1-c) * sum
}
