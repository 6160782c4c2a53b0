package embedding

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// A sketch is what a search looks at first: the signs of a vector after random
// rotations, one bit each (random hyperplane hashing, after Charikar,
// "Similarity Estimation Techniques from Rounding Algorithms", 2002). Whatever
// the data, the bits of two vectors differ with a probability that depends on
// nothing but their angle, so a bound on the number of differing bits that
// misses few vectors at a threshold is known beforehand.
//
// Signs of one vector against the other vector's components estimate the
// similarity with half the error (after Gao and Long, "RaBitQ: Quantizing
// High-Dimensional Vectors with a Theoretical Error Bound for Approximate
// Nearest Neighbor Search", 2024). What the count of bits lets pass is tested
// that way before any whole vector is read.
//
// Sketches are stored: the rotations belong to layoutSketch and never change.
const (
	sketchBits  = 512
	sketchWords = sketchBits / 64
	sketchBytes = sketchBits / 8
)

// rotatedDimensions returns the dimensions of the space in which vectors are
// rotated: the next power of two.
func rotatedDimensions(dimensions int) int {
	return 1 << bits.Len(uint(dimensions-1))
}

// rotations returns how many rotations fill a sketch.
func rotations(dimensions int) int {
	return max(1, sketchBits/rotatedDimensions(dimensions))
}

// scratch is the memory that rotate needs; it lies on the stack of its caller.
type scratch [MaxDimensions]int32

// rotate sets x to the components after rotation number k, all scaled by the
// same factor: with P = rotatedDimensions, the squared length grows by P^3. The
// rotation is three rounds of random signs and a Hadamard transform, on whole
// numbers throughout. Their magnitude never exceeds the length of the rotated
// vector, which is below 127 * sqrt(2048) * 2048^1.5 < 2^30.
func rotate(components []int8, k int, x []int32) {
	for i, c := range components {
		x[i] = int32(c)
	}
	clear(x[len(components):])
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

// sketch writes the sketch of a vector to row, and returns its spread: the sum
// of the magnitudes of the rotated components that give the bits, from 0 to 255
// where 255 would be all of them alike. The sum is what the rest of the vector
// contributes to an estimate from the bits.
func sketch(components []int8, norm uint32, row []byte) (spread byte) {
	var s scratch
	x := s[:rotatedDimensions(len(components))]
	sum := int64(0)
	for k := range rotations(len(components)) {
		rotate(components, k, x)
		used := min(len(x), sketchBits)
		for i := 0; i < used; i += 64 {
			word := uint64(0)
			for j, c := range x[i : i+64] {
				sign := c >> 31
				word |= uint64(1+sign) << j
				sum += int64((c ^ sign) - sign)
			}
			binary.LittleEndian.PutUint64(row[(k*used+i)/8:], word)
		}
	}
	biggest := biggestSpread(len(components)) * rotatedLength(len(components), norm)
	return byte(min(255, float64(sum)*255/biggest))
}

// biggestSpread returns the sum of magnitudes of the rotated components that
// give the bits of a sketch, for a vector of length 1, if all are alike.
func biggestSpread(dimensions int) float64 {
	return math.Sqrt(float64(sketchBits * rotations(dimensions)))
}

// rotatedLength returns the length of a vector after rotate.
func rotatedLength(dimensions int, norm uint32) float64 {
	p := float64(rotatedDimensions(dimensions))
	return math.Sqrt(float64(norm)) * p * math.Sqrt(p)
}

// query is a vector prepared for looking at sketches.
type query struct {
	bits   [sketchWords]uint64
	planes [4][sketchWords]uint64 // of the rotated components in units of step, from -8 to 7: 1, 2, 4 and -8
	most   int                    // bits that may differ
	// least is the sum over planes, for a sketch of each spread, from which on
	// the vector is looked at.
	least [256]int32
}

// step is the unit of query.planes, in standard deviations of a component. It
// is where four bits lose least of a normal distribution.
const step = 0.335

// doubt is how many standard deviations below what is expected of a vector at
// the threshold a test still lets it pass. It is exceeded by chance in one of
// 30,000 cases; there are two tests.
const doubt = 4.0

// set prepares q for vectors of at least that similarity, which is above 0 and
// up to 1.
func (q *query) set(components []int8, norm uint32, similarity float64) {
	n := len(components)
	var s scratch
	x := s[:rotatedDimensions(n)]
	unit := int32(math.Sqrt(float64(norm))*float64(len(x))*step) + 1
	// In units of rotate: sums of squared components, of components times
	// rounded, of rounded squared, of rounded.
	var xx, xr, rr float64
	sum := int64(0)
	for k := range rotations(n) {
		rotate(components, k, x)
		used := min(len(x), sketchBits)
		var sumXX, sumXR, sumRR int64
		for i := 0; i < used; i += 64 {
			var b, p0, p1, p2, p3 uint64
			for j, c := range x[i : i+64] {
				r := min(max(floorDiv(2*int64(c)+int64(unit), 2*int64(unit)), -8), 7)
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
			w := (k*used + i) / 64
			q.bits[w] = b
			q.planes[0][w], q.planes[1][w], q.planes[2][w], q.planes[3][w] = p0, p1, p2, p3
		}
		xx += float64(sumXX)
		xr += float64(sumXR)
		rr += float64(sumRR)
	}

	// Each bit differs with probability angle/pi, and independently if the
	// rotations were matrices of independent normal numbers; being orthogonal
	// makes the count vary less. The last term is for the skewness of the
	// binomial distribution (Cornish and Fisher).
	p := arccos(similarity) / math.Pi
	q.most = int(float64(sketchBits*p) + float64(doubt*math.Sqrt(float64(sketchBits*p)*(1-p))) +
		float64((doubt*doubt-1)/6*(1-float64(2*p))) + 1)

	// Let v be the other vector, of length 1, s the signs of its rotated
	// components and spread their sum of magnitudes, and y this vector. Then y
	// is similarity*v plus a part that is orthogonal to v, of which a random
	// rotation leaves nothing but its length. So the sum of y's components
	// with the signs of v's is similarity*spread on average, with the variance
	// of the product of the parts of s and y that are orthogonal to v. The
	// rounding of y is scaled to be orthogonal to y; what is left of it is
	// weighed with signs that are as good as random.
	length := rotatedLength(n, norm)
	scale := xx / xr
	rounding := max(0, float64(float64(scale*scale)*rr)-xx)
	orthogonal := max(0, 1-float64(similarity*similarity)) * float64(length*length) / float64(len(x)-1)
	turns := float64(rotations(n))
	biggest := biggestSpread(n)
	for i := range q.least {
		// The spread was rounded down, which errs on the safe side.
		spread := biggest * float64(i) / 255
		rest := max(0, sketchBits-float64(spread*spread)/turns)
		expected := float64(similarity*spread) * length
		sigma := math.Sqrt(float64(orthogonal*rest) + rounding)
		least := (expected - float64(doubt*sigma)) / scale
		// Components are counted where the sign is positive: the sum with the
		// signs is twice that minus the sum of all.
		q.least[i] = int32(math.Floor((least + float64(sum)) / 2))
	}
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
