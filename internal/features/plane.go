package features

import (
	"image"
	"image/color"
	"math/bits"
)

// workArea is the number of pixels to which every picture is brought before
// anything is looked for in it; a picture of 4:3 becomes 600 × 450. The area is
// fixed, not the long side, so that a panorama keeps enough of its height.
const (
	workArea = 270_000
	// maxWorkSide bounds both sides of the working picture: positions are kept
	// in 1/32 pixel in 16 bits.
	maxWorkSide = 1_600
	// minWorkSide is the least height or width in which a patch has a meaning.
	minWorkSide = 64
	// maxEnlarge bounds by how much a small picture is enlarged. Beyond it
	// there is nothing to find that a smaller enlargement does not show.
	maxEnlarge = 6
	// maxSourceSide bounds the sides of a picture that Extract looks at.
	maxSourceSide = 1 << 16
)

// planeShift is the number of fractional bits of a plane's samples: samples
// run from 0 to 255<<planeShift. The fraction keeps weak texture alive through
// the blurs.
const planeShift = 6

// planePad is the number of pixels by which a plane's rim is repeated outwards,
// so that a patch may hang over the rim of the picture.
const planePad = 28

// plane is a picture of one channel with a repeated rim. The sample at x, y is
// pix[(y+planePad)*stride + x+planePad].
type plane struct {
	w, h, stride int
	pix          []uint16
}

// reset gives p the size w × h, reusing its memory where that is large enough.
func (p *plane) reset(w, h int) {
	p.w, p.h, p.stride = w, h, w+2*planePad
	n := p.stride * (h + 2*planePad)
	if cap(p.pix) < n {
		p.pix = make([]uint16, n)
	}
	p.pix = p.pix[:n]
}

// row returns the samples of row y, without the rim.
func (p *plane) row(y int) []uint16 {
	o := (y+planePad)*p.stride + planePad
	return p.pix[o : o+p.w : o+p.w]
}

// pad repeats the outermost samples into the rim.
func (p *plane) pad() {
	for y := range p.h {
		r := p.pix[(y+planePad)*p.stride:][:p.stride]
		l, e := r[planePad], r[planePad+p.w-1]
		for i := range planePad {
			r[i] = l
			r[planePad+p.w+i] = e
		}
	}
	top := p.pix[planePad*p.stride:][:p.stride]
	end := p.pix[(planePad+p.h-1)*p.stride:][:p.stride]
	for i := range planePad {
		copy(p.pix[i*p.stride:], top)
		copy(p.pix[(planePad+p.h+i)*p.stride:], end)
	}
}

// workSize returns the size to which a picture of w × h is brought, and false
// when it is too small or too narrow to be worth looking at.
func workSize(w, h int) (ww, wh int, ok bool) {
	if w < 1 || h < 1 || w > maxSourceSide || h > maxSourceSide {
		return 0, 0, false
	}
	// The scale is sqrt(workArea/(w*h)), in units of 1/65536. w*h < 2^33, so
	// the quotient stays above zero and the product below 2^52.
	s := isqrt((uint64(workArea) << 32) / (uint64(w) * uint64(h)))
	s = min(s, maxEnlarge<<16)
	if long := uint64(max(w, h)); s*long > maxWorkSide<<16 {
		s = (maxWorkSide << 16) / long
	}
	ww = int((uint64(w)*s + 1<<15) >> 16)
	wh = int((uint64(h)*s + 1<<15) >> 16)
	return ww, wh, ww >= minWorkSide && wh >= minWorkSide
}

// isqrt returns the integer part of the square root of v.
func isqrt(v uint64) uint64 {
	if v == 0 {
		return 0
	}
	x := uint64(1) << ((bits.Len64(v) + 1) / 2)
	for {
		y := (x + v/x) / 2
		if y >= x {
			return x
		}
		x = y
	}
}

// gray is an 8-bit luma picture: the sample at x, y is pix[y*stride+x].
type gray struct {
	w, h, stride int
	pix          []uint8
}

// grayOf returns the luma of img, in place where img already holds it. buf is
// used for the pixels that have to be computed and returned, grown if needed.
// Transparent pixels are laid over white.
func grayOf(img image.Image, buf []uint8) (gray, []uint8) {
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	switch m := img.(type) {
	case *image.Gray:
		return gray{w, h, m.Stride, m.Pix[m.PixOffset(b.Min.X, b.Min.Y):]}, buf
	case *image.YCbCr:
		return gray{w, h, m.YStride, m.Y[m.YOffset(b.Min.X, b.Min.Y):]}, buf
	}
	if cap(buf) < w*h {
		buf = make([]uint8, w*h)
	}
	buf = buf[:w*h]
	switch m := img.(type) {
	case *image.RGBA:
		for y := range h {
			src := m.Pix[m.PixOffset(b.Min.X, b.Min.Y+y):][:4*w]
			dst := buf[y*w:][:w]
			for x := range dst {
				s := src[4*x : 4*x+4 : 4*x+4]
				dst[x] = lumaOver(uint32(s[0]), uint32(s[1]), uint32(s[2]), uint32(s[3]))
			}
		}
	case *image.NRGBA:
		for y := range h {
			src := m.Pix[m.PixOffset(b.Min.X, b.Min.Y+y):][:4*w]
			dst := buf[y*w:][:w]
			for x := range dst {
				s := src[4*x : 4*x+4 : 4*x+4]
				a := uint32(s[3])
				dst[x] = lumaOver(uint32(s[0])*a/255, uint32(s[1])*a/255, uint32(s[2])*a/255, a)
			}
		}
	case *image.Paletted:
		var luma [256]uint8
		for i, c := range m.Palette {
			if i < len(luma) {
				luma[i] = lumaOfColor(c)
			}
		}
		for y := range h {
			src := m.Pix[m.PixOffset(b.Min.X, b.Min.Y+y):][:w]
			dst := buf[y*w:][:w]
			for x, v := range src {
				dst[x] = luma[v]
			}
		}
	case image.RGBA64Image:
		for y := range h {
			dst := buf[y*w:][:w]
			for x := range dst {
				c := m.RGBA64At(b.Min.X+x, b.Min.Y+y)
				dst[x] = lumaOver(uint32(c.R>>8), uint32(c.G>>8), uint32(c.B>>8), uint32(c.A>>8))
			}
		}
	default:
		for y := range h {
			dst := buf[y*w:][:w]
			for x := range dst {
				dst[x] = lumaOfColor(img.At(b.Min.X+x, b.Min.Y+y))
			}
		}
	}
	return gray{w, h, w, buf}, buf
}

// lumaOver returns the luma (ITU-R BT.601, full range) of a colour whose
// channels are already multiplied by its opacity a, laid over white.
func lumaOver(r, g, b, a uint32) uint8 {
	y := (19595*r+38470*g+7471*b+1<<15)>>16 + 255 - a
	return uint8(min(y, 255))
}

func lumaOfColor(c color.Color) uint8 {
	r, g, b, a := c.RGBA()
	return lumaOver(r>>8, g>>8, b>>8, a>>8)
}

// shrink averages whole blocks of n × n pixels; what is left over at the right
// and at the bottom joins the last block.
func shrink(g gray, n int, buf []uint8) (gray, []uint8) {
	w, h := g.w/n, g.h/n
	if cap(buf) < w*h {
		buf = make([]uint8, w*h)
	}
	buf = buf[:w*h]
	sums := make([]uint32, w)
	for y := range h {
		y1 := (y + 1) * n
		if y == h-1 {
			y1 = g.h
		}
		clear(sums)
		for sy := y * n; sy < y1; sy++ {
			row := g.pix[sy*g.stride:][:g.w]
			for x := range w - 1 {
				var s uint32
				for _, v := range row[x*n : x*n+n] {
					s += uint32(v)
				}
				sums[x] += s
			}
			for _, v := range row[(w-1)*n:] {
				sums[w-1] += uint32(v)
			}
		}
		area := uint32((y1 - y*n) * n)
		last := uint32((y1 - y*n) * (g.w - (w-1)*n))
		for x, s := range sums {
			if x == w-1 {
				area = last
			}
			buf[y*w+x] = uint8((s + area/2) / area)
		}
	}
	return gray{w, h, w, buf}, buf
}

// taps are the weights of one output sample: n input samples from first on,
// with weights that sum to 1<<14.
type taps struct {
	first, n, at int
}

// triangle returns the taps that bring src samples to dst samples: linear
// interpolation when enlarging, a triangle as wide as two output pixels when
// reducing. Sample centres lie at i+0.5 on both sides.
func triangle(src, dst int, ts []taps, ws []int32) ([]taps, []int32) {
	ts, ws = ts[:0], ws[:0]
	// All lengths in units of 1/(2·dst) of an input sample, exact in int64.
	unit := int64(2 * dst)
	step := int64(2 * src) // one output sample
	reach := max(unit, step)
	for i := range dst {
		centre := int64(2*i+1) * int64(src)
		first := max(int((centre-reach)/unit)-1, 0)
		last := min(int((centre+reach)/unit)+1, src-1)
		at := len(ws)
		var sum int64
		from := -1
		for k := first; k <= last; k++ {
			d := int64(k)*unit + unit/2 - centre
			v := reach - max(d, -d)
			if v <= 0 {
				if from < 0 {
					continue
				}
				break
			}
			if from < 0 {
				from = k
			}
			// v <= reach <= 2^18, small enough to be kept and scaled below.
			ws = append(ws, int32(v))
			sum += v
		}
		w := ws[at:]
		rest, top := int32(1<<14), 0
		for k := range w {
			w[k] = int32((int64(w[k])<<14 + sum/2) / sum)
			rest -= w[k]
			if w[k] > w[top] {
				top = k
			}
		}
		w[top] += rest // the rounding goes where it hurts least
		ts = append(ts, taps{from, len(w), at})
	}
	return ts, ws
}

// fourTap are taps with four weights, some of them zero.
type fourTap struct {
	first int
	w     [4]uint32
}

// fourTaps returns the taps of rows of n samples as fourTap, in the memory of buf; nil if
// one has more weights.
func fourTaps(ts []taps, ws []int32, n int, buf *[]fourTap) []fourTap {
	if n < 4 {
		return nil
	}
	*buf = (*buf)[:0]
	for _, t := range ts {
		if t.n > 4 {
			return nil
		}
		f := fourTap{first: min(t.first, n-4)}
		for i := range t.n {
			f.w[t.first-f.first+i] = uint32(ws[t.at+i])
		}
		*buf = append(*buf, f)
	}
	return *buf
}

// work holds what bringing a picture to its working size needs in memory.
type work struct {
	thumb  plane
	small  []uint8
	mid    []uint16
	tx, ty []taps
	wx, wy []int32
	acc    []uint32
	four   []fourTap
	pixels []uint8
	coder  thumbCoder
}

// resize brings g to the size of dst, which must have been reset to it, and
// fills the rim.
func (k *work) resize(g gray, dst *plane) {
	if n := min(g.w/(2*dst.w), g.h/(2*dst.h)); n >= 2 {
		g, k.small = shrink(g, n, k.small)
	}
	k.tx, k.wx = triangle(g.w, dst.w, k.tx, k.wx)
	k.ty, k.wy = triangle(g.h, dst.h, k.ty, k.wy)
	if n := g.h * dst.w; cap(k.mid) < n {
		k.mid = make([]uint16, n)
	}
	k.mid = k.mid[:g.h*dst.w]
	four := fourTaps(k.tx, k.wx, g.w, &k.four)
	for y := range g.h {
		src := g.pix[y*g.stride:][:g.w]
		out := k.mid[y*dst.w:][:dst.w]
		for x, t := range four {
			s := src[t.first:][:4]
			v := uint32(s[0])*t.w[0] + uint32(s[1])*t.w[1] + uint32(s[2])*t.w[2] + uint32(s[3])*t.w[3]
			out[x] = uint16((v + 1<<(13-planeShift)) >> (14 - planeShift))
		}
		if four != nil {
			continue
		}
		for x := range out {
			t := k.tx[x]
			w := k.wx[t.at : t.at+t.n]
			s := src[t.first : t.first+t.n]
			var v uint32
			for i, c := range s {
				v += uint32(c) * uint32(w[i])
			}
			out[x] = uint16((v + 1<<(13-planeShift)) >> (14 - planeShift))
		}
	}
	if cap(k.acc) < dst.w {
		k.acc = make([]uint32, dst.w)
	}
	acc := k.acc[:dst.w]
	for y := range dst.h {
		t := k.ty[y]
		for x := range acc {
			acc[x] = 1 << 13
		}
		for i := range t.n {
			w := uint32(k.wy[t.at+i])
			src := k.mid[(t.first+i)*dst.w:][:len(acc)]
			for x, v := range src {
				acc[x] += uint32(v) * w
			}
		}
		out := dst.row(y)
		for x, v := range acc {
			out[x] = uint16(v >> 14)
		}
	}
	dst.pad()
}
