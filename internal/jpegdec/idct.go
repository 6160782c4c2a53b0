package jpegdec

import (
	"encoding/binary"
	"math/bits"
)

// The inverse cosine transform is the one of Loeffler, Ligtenberg and Moschytz
// (1989) in integers, with constants of 13 bits and 2 more bits between columns
// and rows: what other decoders call the slow and accurate one. All of them give
// the same samples for the same coefficients, and so does this package, on every
// architecture.

const (
	constBits = 13 // constants are in units of 1/8192
	passBits  = 2  // additional bits between the two passes
)

// The constants, with c(k) = cos(kπ/16)·√2.
const (
	c0298 = 2446  // -c(1) + c(3) + c(5) - c(7)
	c0390 = 3196  // c(3) - c(5)
	c0541 = 4433  // c(6)
	c0765 = 6270  // c(2) - c(6)
	c0899 = 7373  // c(3) - c(7)
	c1175 = 9633  // c(3)
	c1501 = 12299 // c(1) + c(3) - c(5) - c(7)
	c1847 = 15137 // c(2) + c(6)
	c1961 = 16069 // c(3) + c(5)
	c2053 = 16819 // c(1) + c(3) - c(5) + c(7)
	c2562 = 20995 // c(1) + c(3)
	c3072 = 25172 // c(1) + c(3) + c(5) - c(7)
)

// block is 8 × 8 coefficients, times their quantizers, row by row.
type block [64]int32

// wideBit in a mask of coefficients tells that there is one larger than wide, as
// damaged files have them. Other decoders compute with 16 bits in places; to get
// their samples, a block with such coefficients is transformed as they do it.
const (
	wideBit = 1
	wide    = 4095
)

// wideOf returns wideBit if a coefficient is larger than wide. Each of them is in
// sizes as v ^ v>>31, which is v, or -v-1.
func wideOf(sizes int32) uint64 {
	if sizes > wide {
		return wideBit
	}
	return 0
}

// rightHalf are the bits of the columns 4 to 7 in a mask of coefficients.
const rightHalf = 0xf0f0f0f0f0f0f0f0

// sample makes a sample of the sum of a row.
func sample(v int32) uint64 {
	v = v>>(constBits+passBits+3) + 128
	if uint32(v) > 255 {
		v = ^(v >> 31) & 255
	}
	return uint64(uint32(v))
}

// samples writes 8 × 8 samples to dst. The bits of mask tell which coefficients
// other than the first can be other than zero; its lowest bit is wideBit. b is
// zero afterwards.
func (b *block) samples(mask uint64, dst []byte, stride int) {
	switch {
	case mask&^1 == 0:
		fill8(dst, stride, flat(b[0]))
		b[0] = 0
		return
	case mask&1 != 0:
		b.wideSamples(dst, stride)
		return
	}
	b.columns(mask)
	if mask&rightHalf == 0 {
		b.rowsOf4(dst, stride)
	} else {
		b.rowsOf8(dst, stride)
	}
	*b = block{}
}

// flat is the sample of a block that has only a first coefficient.
func flat(dc int32) byte {
	const half = 1 << (passBits + 2)
	return byte(sample((int32(int16(dc<<passBits)) + half) << constBits))
}

func fill8(dst []byte, stride int, v byte) {
	w := uint64(v) * 0x0101010101010101
	for range 8 {
		binary.LittleEndian.PutUint64(dst, w)
		dst = dst[min(stride, len(dst)):]
	}
}

// columns transforms those columns that have coefficients; the others stay zero.
func (b *block) columns(mask uint64) {
	lower := mask>>32 != 0
	below := mask &^ 0xff // a column without these has at most a first coefficient
	have := mask | 1
	have |= have >> 32
	have |= have >> 16
	have |= have >> 8
	below |= below >> 32
	below |= below >> 16
	below |= below >> 8
	for cols := uint32(have & 0xff); cols != 0; cols &= cols - 1 {
		i := bits.TrailingZeros32(cols) & 7
		c := (*[57]int32)(b[i : i+57])
		switch {
		case below>>i&1 == 0:
			v := c[0] << passBits
			c[0], c[8], c[16], c[24], c[32], c[40], c[48], c[56] = v, v, v, v, v, v, v, v
		case lower:
			column8(c)
		default:
			column4(c)
		}
	}
}

func column8(c *[57]int32) {
	const (
		shift = constBits - passBits
		half  = 1 << (shift - 1)
	)
	c2, c6 := c[16], c[48]
	z := (c2 + c6) * c0541
	e2 := z - c6*c1847
	e3 := z + c2*c0765
	e0 := (c[0]+c[32])<<constBits + half
	e1 := (c[0]-c[32])<<constBits + half
	a0, a3, a1, a2 := e0+e3, e0-e3, e1+e2, e1-e2

	o7, o5, o3, o1 := c[56], c[40], c[24], c[8]
	z5 := (o7 + o3 + o5 + o1) * c1175
	z1 := -(o7 + o1) * c0899
	z2 := -(o5 + o3) * c2562
	z3 := z5 - (o7+o3)*c1961
	z4 := z5 - (o5+o1)*c0390
	o7 = o7*c0298 + z1 + z3
	o5 = o5*c2053 + z2 + z4
	o3 = o3*c3072 + z2 + z3
	o1 = o1*c1501 + z1 + z4

	c[0], c[56] = (a0+o1)>>shift, (a0-o1)>>shift
	c[8], c[48] = (a1+o3)>>shift, (a1-o3)>>shift
	c[16], c[40] = (a2+o5)>>shift, (a2-o5)>>shift
	c[24], c[32] = (a3+o7)>>shift, (a3-o7)>>shift
}

// column4 is column8 for a column whose lower four coefficients are zero.
func column4(c *[57]int32) {
	const (
		shift = constBits - passBits
		half  = 1 << (shift - 1)
	)
	c2, o3, o1 := c[16], c[24], c[8]
	e2 := c2 * c0541
	e3 := c2 * (c0541 + c0765)
	e0 := c[0]<<constBits + half
	a0, a3, a1, a2 := e0+e3, e0-e3, e0+e2, e0-e2

	z5 := (o3 + o1) * c1175
	z3 := z5 - o3*c1961
	z4 := z5 - o1*c0390
	o7 := z3 - o1*c0899
	o5 := z4 - o3*c2562
	o3, o1 = o3*(c3072-c2562)+z3, o1*(c1501-c0899)+z4

	c[0], c[56] = (a0+o1)>>shift, (a0-o1)>>shift
	c[8], c[48] = (a1+o3)>>shift, (a1-o3)>>shift
	c[16], c[40] = (a2+o5)>>shift, (a2-o5)>>shift
	c[24], c[32] = (a3+o7)>>shift, (a3-o7)>>shift
}

// rowHalf rounds the sum of a row.
const rowHalf = 1 << (constBits + passBits + 2)

func (b *block) rowsOf8(dst []byte, stride int) {
	for y := range 8 {
		r := (*[8]int32)(b[8*y : 8*y+8])
		z := (r[2] + r[6]) * c0541
		e2 := z - r[6]*c1847
		e3 := z + r[2]*c0765
		e0 := (r[0]+r[4])<<constBits + rowHalf
		e1 := (r[0]-r[4])<<constBits + rowHalf
		a0, a3, a1, a2 := e0+e3, e0-e3, e1+e2, e1-e2

		o7, o5, o3, o1 := r[7], r[5], r[3], r[1]
		z5 := (o7 + o3 + o5 + o1) * c1175
		z1 := -(o7 + o1) * c0899
		z2 := -(o5 + o3) * c2562
		z3 := z5 - (o7+o3)*c1961
		z4 := z5 - (o5+o1)*c0390
		o7 = o7*c0298 + z1 + z3
		o5 = o5*c2053 + z2 + z4
		o3 = o3*c3072 + z2 + z3
		o1 = o1*c1501 + z1 + z4

		binary.LittleEndian.PutUint64(dst, sample(a0+o1)|sample(a1+o3)<<8|sample(a2+o5)<<16|sample(a3+o7)<<24|
			sample(a3-o7)<<32|sample(a2-o5)<<40|sample(a1-o3)<<48|sample(a0-o1)<<56)
		dst = dst[min(stride, len(dst)):]
	}
}

// rowsOf4 is rowsOf8 for a block whose right four columns are zero.
func (b *block) rowsOf4(dst []byte, stride int) {
	for y := range 8 {
		r := (*[4]int32)(b[8*y : 8*y+4])
		c2, o3, o1 := r[2], r[3], r[1]
		e2 := c2 * c0541
		e3 := c2 * (c0541 + c0765)
		e0 := r[0]<<constBits + rowHalf
		a0, a3, a1, a2 := e0+e3, e0-e3, e0+e2, e0-e2

		z5 := (o3 + o1) * c1175
		z3 := z5 - o3*c1961
		z4 := z5 - o1*c0390
		o7 := z3 - o1*c0899
		o5 := z4 - o3*c2562
		o3, o1 = o3*(c3072-c2562)+z3, o1*(c1501-c0899)+z4

		binary.LittleEndian.PutUint64(dst, sample(a0+o1)|sample(a1+o3)<<8|sample(a2+o5)<<16|sample(a3+o7)<<24|
			sample(a3-o7)<<32|sample(a2-o5)<<40|sample(a1-o3)<<48|sample(a0-o1)<<56)
		dst = dst[min(stride, len(dst)):]
	}
}

// wideSamples is samples with the limits of 16-bit arithmetic.
func (b *block) wideSamples(dst []byte, stride int) {
	upper := true // only the first row has coefficients
	for _, v := range b[8:] {
		upper = upper && v == 0
	}
	for i := range 8 {
		c := b[i:]
		if upper {
			v := int32(int16(c[0] << passBits))
			for y := range 8 {
				c[8*y] = v
			}
			continue
		}
		var v [8]int32
		for y := range v {
			v[y] = c[8*y]
		}
		for y, s := range wide8(v) {
			const shift = constBits - passBits
			c[8*y] = min(max((s+1<<(shift-1))>>shift, -1<<15), 1<<15-1)
		}
	}
	for y := range 8 {
		for x, s := range wide8([8]int32(b[8*y:])) {
			dst[x] = byte(sample(s + rowHalf))
		}
		dst = dst[min(stride, len(dst)):]
	}
	*b = block{}
}

// wide8 transforms one column or row. Sums of two values have 16 bits.
func wide8(v [8]int32) (s [8]int32) {
	w := func(a int32) int32 { return int32(int16(a)) }
	e2 := v[2]*c0541 + v[6]*(c0541-c1847)
	e3 := v[2]*(c0541+c0765) + v[6]*c0541
	e0, e1 := w(v[0]+v[4])<<constBits, w(v[0]-v[4])<<constBits
	even := [4]int32{e0 + e3, e1 + e2, e1 - e2, e0 - e3}
	z3, z4 := w(v[7]+v[3]), w(v[5]+v[1])
	z3, z4 = z3*(c1175-c1961)+z4*c1175, z3*c1175+z4*(c1175-c0390)
	odd := [4]int32{
		v[1]*(c1501-c0899) - v[7]*c0899 + z4,
		v[3]*(c3072-c2562) - v[5]*c2562 + z3,
		v[5]*(c2053-c2562) - v[3]*c2562 + z4,
		v[7]*(c0298-c0899) - v[1]*c0899 + z3,
	}
	for i := range 4 {
		s[i], s[7-i] = even[i]+odd[i], even[i]-odd[i]
	}
	return s
}
