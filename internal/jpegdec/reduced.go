package jpegdec

// At reduced size a block has 4 × 4, 2 × 2 or 1 × 1 samples. Each is the mean of
// the samples of the full size that it stands for, before those are rounded and
// limited to 0 to 255. The mean of neighbours is a linear function of the
// coefficients: for each frequency k, the mean of two is cos(kπ/16) times the
// cosine half-way between them, so that the higher four frequencies fold onto the
// lower ones, and the fourth vanishes. For the mean of four, all odd frequencies
// fold onto the first, and the even ones vanish.

// The constants are in units of 1/8192, as those of the full size.
const (
	m2 = 7568 // cos(2π/16)
	m6 = 3135 // cos(6π/16)

	// √2·cos(kπ/16)·cos(π/8) and √2·cos(kπ/16)·cos(3π/8)
	m1a, m1b = 10498, 4348
	m3a, m3b = 8900, 3686
	m5a, m5b = 5946, 2463
	m7a, m7b = 2088, 865

	// cos(kπ/16)·cos(π/8) or cos(3π/8)
	n1, n3, n5, n7 = 7423, 2607, 1742, 1477
)

// transform makes samples of a block, of the size of the decoder.
func (d *decoder) transform(b *block, mask uint64, dst []byte, stride int) {
	switch {
	case d.size == 8:
		b.samples(mask, dst, stride)
	case mask&wideBit != 0:
		b.reduceWide(d.size, dst, stride)
	case d.size == 4:
		b.samples4(mask, dst, stride)
	default:
		b.samples2(dst, stride)
	}
}

func (b *block) samples4(mask uint64, dst []byte, stride int) {
	const (
		shift = constBits - passBits
		half  = 1 << (shift - 1)
	)
	for i := range 8 {
		if mask>>i&0x0101010101010100 == 0 { // it has a first coefficient at most
			v := b[i] << passBits
			b[i], b[8+i], b[16+i], b[24+i] = v, v, v, v
			continue
		}
		c := (*[57]int32)(b[i : i+57])
		s0, s1, s2, s3 := mean2(c[0], c[8], c[16], c[24], c[40], c[48], c[56], half)
		c[0], c[8], c[16], c[24] = s0>>shift, s1>>shift, s2>>shift, s3>>shift
	}
	for y := range 4 {
		r := (*[8]int32)(b[8*y : 8*y+8])
		s0, s1, s2, s3 := mean2(r[0], r[1], r[2], r[3], r[5], r[6], r[7], rowHalf)
		p := dst[:4]
		p[0], p[1], p[2], p[3] = byte(sample(s0)), byte(sample(s1)), byte(sample(s2)), byte(sample(s3))
		dst = dst[min(stride, len(dst)):]
	}
	*b = block{}
}

// mean2 returns the means of pairs of the eight samples of a row or column.
func mean2(c0, c1, c2, c3, c5, c6, c7, half int32) (s0, s1, s2, s3 int32) {
	c0 = c0<<constBits + half
	e := c2*m2 - c6*m6
	p := c1*m1a - c7*m7a + c3*m3b - c5*m5b
	q := c1*m1b - c7*m7b - c3*m3a + c5*m5a
	return c0 + e + p, c0 - e + q, c0 - e - q, c0 + e - p
}

func (b *block) samples2(dst []byte, stride int) {
	const (
		shift = constBits - passBits
		half  = 1 << (shift - 1)
	)
	for i := range 8 {
		s0, s1 := mean4(b[i], b[8+i], b[24+i], b[40+i], b[56+i], half)
		b[i], b[8+i] = s0>>shift, s1>>shift
	}
	for y := range 2 {
		r := (*[8]int32)(b[8*y : 8*y+8])
		s0, s1 := mean4(r[0], r[1], r[3], r[5], r[7], rowHalf)
		dst[0], dst[1] = byte(sample(s0)), byte(sample(s1))
		dst = dst[min(stride, len(dst)):]
	}
	*b = block{}
}

// mean4 returns the means of the first and the last four samples.
func mean4(c0, c1, c3, c5, c7, half int32) (s0, s1 int32) {
	c0 = c0<<constBits + half
	o := c1*n1 - c3*n3 + c5*n5 - c7*n7
	return c0 + o, c0 - o
}

// reduceWide takes the means of the samples of a block with coefficients that
// are too large.
func (b *block) reduceWide(size int, dst []byte, stride int) {
	var full [64]byte
	b.wideSamples(full[:], 8)
	n := 8 / size
	for y := range size {
		for x := range size {
			sum := 0
			for j := range n {
				for i := range n {
					sum += int(full[8*(y*n+j)+x*n+i])
				}
			}
			dst[x] = byte((sum + n*n/2) / (n * n))
		}
		dst = dst[min(stride, len(dst)):]
	}
}
