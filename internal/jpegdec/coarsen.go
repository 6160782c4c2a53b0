package jpegdec

import "image"

// halfCosine holds cos(kπ/16)/2 for k from 0 to 8, in units of 1/8192.
var halfCosine = [9]int32{4096, 4017, 3784, 3406, 2896, 2276, 1567, 799, 0}

// forward is the matrix of the cosine transform of eight samples, in units of
// 1/8192.
var forward = func() (m [8][8]int32) {
	for k := range m {
		for x := range m[k] {
			a := (2*x + 1) * k % 32 // of 32 parts of a circle
			if a > 16 {
				a = 32 - a
			}
			if a > 8 {
				m[k][x] = -halfCosine[16-a]
			} else {
				m[k][x] = halfCosine[a]
			}
			if k == 0 {
				m[k][x] = halfCosine[4] // 1/√8
			}
		}
	}
	return m
}()

// lumaQuantizers are those of Annex K of ITU-T T.81, row by row.
var lumaQuantizers = [64]int32{
	16, 11, 10, 16, 24, 40, 51, 61,
	12, 12, 14, 19, 26, 58, 60, 55,
	14, 13, 16, 24, 40, 57, 69, 56,
	14, 17, 22, 29, 51, 87, 80, 62,
	18, 22, 37, 56, 68, 109, 103, 77,
	24, 35, 55, 64, 81, 104, 113, 92,
	49, 64, 78, 87, 103, 121, 120, 101,
	72, 92, 95, 98, 112, 100, 103, 99,
}

// Coarsen draws src, whose bounds begin at zero, into dst as it is after it was
// compressed with a quality of 1 to 50 and decoded. It uses the memory of dst. It
// gives what image/jpeg gives, except for the rounding of few coefficients, and the
// same with every version of Go.
func Coarsen(dst, src *image.Gray, quality int) {
	var q [64]int32
	for i, v := range lumaQuantizers {
		q[i] = min(max((v*int32(5000/quality)+50)/100, 1), 255)
	}
	w, h := src.Rect.Dx(), src.Rect.Dy()
	stride, rows := ceil(w, 8)*8, ceil(h, 8)*8
	if n := stride * rows; cap(dst.Pix) < n {
		dst.Pix = make([]byte, n)
	} else {
		dst.Pix = dst.Pix[:n]
	}
	dst.Stride, dst.Rect = stride, src.Rect
	var b block
	for y := 0; y < h; y += 8 {
		for x := 0; x < w; x += 8 {
			for i := range b {
				b[i] = int32(src.Pix[min(y+i/8, h-1)*src.Stride+min(x+i%8, w-1)]) - 128
			}
			mask := b.quantize(&q)
			b.samples(mask, dst.Pix[y*stride+x:], stride)
		}
	}
}

// quantize makes coefficients of samples, rounds them to multiples of their
// quantizers, and returns which of them are not zero.
func (b *block) quantize(q *[64]int32) (mask uint64) {
	var t block
	for y := range 8 {
		r := (*[8]int32)(b[8*y : 8*y+8])
		for k := range 8 {
			m := &forward[k]
			t[8*y+k] = r[0]*m[0] + r[1]*m[1] + r[2]*m[2] + r[3]*m[3] + r[4]*m[4] + r[5]*m[5] + r[6]*m[6] + r[7]*m[7]
		}
	}
	for k := range 8 {
		m := &forward[k]
		for x := range 8 {
			s := int64(0)
			for y := range 8 {
				s += int64(t[8*y+x]) * int64(m[y])
			}
			i := 8*k + x
			unit := int64(q[i]) << (2 * constBits)
			// Half-way is away from zero, also where the constants fall a little
			// short of it.
			n := (max(s, -s) + unit/2 + unit>>10) / unit
			if s < 0 {
				n = -n
			}
			if b[i] = int32(n) * q[i]; n != 0 {
				mask |= 1 << i
			}
		}
	}
	return mask &^ 1
}
