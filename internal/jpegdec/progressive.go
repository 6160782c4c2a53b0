package jpegdec

import (
	"fmt"
	"math/bits"
)

// Coefficients of a progressive file lie in zigzag order, 64 for a block, or one
// where no others are needed. masks has a bit for each that is not zero; that of
// the first coefficient is not used.

// perBlock returns the number of coefficients kept of a block.
func (d *decoder) perBlock() int {
	if d.size == 1 {
		return 1
	}
	return 64
}

// each calls f for the blocks of a unit, with the index of the block, or with a
// negative one for a block of a component that is not wanted.
func (d *decoder) each(s *scan, x, y int, f func(c *component, i int)) {
	if len(s.comps) == 1 {
		f(s.comps[0], y*s.comps[0].pw+x)
		return
	}
	for _, c := range s.comps {
		for j := range c.v {
			for i := range c.h {
				at := -1
				if c.wanted {
					at = (y*c.v+j)*c.pw + x*c.h + i
				}
				f(c, at)
			}
		}
	}
}

func (d *decoder) firstDC(s *scan, x, y int) {
	r, n := &d.r, d.perBlock()
	d.each(s, x, y, func(c *component, i int) {
		if r.pos > r.low {
			r.more()
		}
		r.first(c)
		if i >= 0 {
			c.coeffs[i*n] = int16(c.dc << s.al)
		}
	})
}

func (d *decoder) refineDC(s *scan, x, y int) {
	r, n := &d.r, d.perBlock()
	d.each(s, x, y, func(c *component, i int) {
		if r.pos > r.low {
			r.more()
		}
		if bit := r.bits(1); i >= 0 {
			c.coeffs[i*n] |= int16(bit << s.al)
		}
	})
}

func (d *decoder) firstAC(s *scan, x, y int) {
	r, c := &d.r, s.comps[0]
	i := y*c.pw + x
	co := (*[64]int16)(c.coeffs[64*i:])
	mask := c.masks[i]
	if r.pos > r.low {
		r.more()
	}
	ac := c.tables[1]
	for k := s.ss; k <= s.se; k++ {
		if r.n < 32 {
			r.refill()
		}
		var v int32
		if e := ac.fast[r.acc>>(64-fastBits)]; e != entrySlow && e&entryEnd == 0 {
			r.acc <<= e & 63
			r.n -= int(e & 63)
			k += int(e >> 8 & 15)
			if v = int32(e) >> 16; v == 0 {
				continue // sixteen zeros
			}
		} else {
			sym := r.symbol(ac)
			run, size := int(sym>>4), int(sym&15)
			if size == 0 && run != 15 {
				s.eobRun = 1<<run - 1 + int(r.bits(run))
				break
			}
			k += run
			if size == 0 {
				continue
			}
			v = r.value(size)
		}
		r.bad = r.bad || k > s.se
		at := min(k, 63)
		co[at&63] = int16(v << s.al)
		mask |= 1 << (at & 63)
	}
	c.masks[i] = mask
}

// refineAC reads a further bit of the coefficients of a block.
func (d *decoder) refineAC(s *scan, x, y int) {
	r, c := &d.r, s.comps[0]
	i := y*c.pw + x
	band := uint64(1)<<s.se<<1 - 1<<s.ss
	if s.eobRun > 0 && c.masks[i]&band == 0 {
		s.eobRun--
		return
	}
	co := (*[64]int16)(c.coeffs[64*i:])
	if r.pos > r.low {
		r.more()
	}
	ac, one := c.tables[1], int16(1)<<s.al
	k := s.ss
	for s.eobRun == 0 && k <= s.se {
		sym := r.symbol(ac)
		run, size := int(sym>>4), int(sym&15)
		v := int16(0)
		switch {
		case size != 0:
			r.bad = r.bad || size != 1
			v = -one
			if r.bits(1) != 0 {
				v = one
			}
		case run != 15:
			s.eobRun = 1<<run + int(r.bits(run))
			continue
		}
		// Go over run coefficients that are zero, and to the next one. Those
		// between them that are not get their bit.
		for ; k <= s.se; k++ {
			if c.masks[i]>>k&1 != 0 {
				r.refine(&co[k&63], one)
			} else if run--; run < 0 {
				break
			}
		}
		if v != 0 {
			at := min(k, 63)
			co[at&63] = v
			c.masks[i] |= 1 << (at & 63)
		}
		k++
	}
	if s.eobRun > 0 {
		for m := c.masks[i] & band >> k << k; m != 0; m &= m - 1 {
			r.refine(&co[bits.TrailingZeros64(m)&63], one)
		}
		s.eobRun--
	}
}

// refine reads a further bit of a coefficient that is not zero.
func (r *bitReader) refine(v *int16, one int16) {
	if r.bits(1) == 0 || *v&one != 0 {
		return
	}
	if *v >= 0 {
		*v += one
	} else {
		*v -= one
	}
}

// reconstruct makes the samples of a component of a progressive file.
func (d *decoder) reconstruct(c *component) error {
	n, stride := d.perBlock(), c.stride(d.size)
	var b block
	for y := range c.ph {
		if err := d.ctx.Err(); err != nil {
			return fmt.Errorf("jpegdec: %w", err)
		}
		for x := range c.pw {
			i := y*c.pw + x
			dst := c.plane[y*d.size*stride+x*d.size:]
			b[0] = int32(int16(int32(c.coeffs[i*n]) * c.quant[0]))
			if n == 1 {
				dst[0] = flat(b[0])
				continue
			}
			co := (*[64]int16)(c.coeffs[64*i:])
			mask, sizes := uint64(0), b[0]^b[0]>>31
			for m := c.masks[i] &^ 1; m != 0; m &= m - 1 {
				k := bits.TrailingZeros64(m) & 63
				z := zigzag[k] & 63
				b[z] = int32(int16(int32(co[k]) * c.quant[z]))
				mask |= 1 << z
				sizes |= b[z] ^ b[z]>>31
			}
			d.transform(&b, mask|wideOf(sizes), dst, stride)
		}
	}
	return nil
}
