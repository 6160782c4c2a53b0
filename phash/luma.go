package phash

import (
	"image"
	"image/color"
)

// lumaSource gives a picture as rows of luma, 0 to 255.
type lumaSource interface {
	size() (w, h int)
	row(dst []float32, y int) // fills dst, of the length of the width
}

// lumaOf returns the rows of img, which has pixels. The result belongs to k.
func (k *Hasher) lumaOf(img image.Image) lumaSource {
	switch m := img.(type) {
	case *image.Gray:
		return k.rows(m.Pix[m.PixOffset(m.Rect.Min.X, m.Rect.Min.Y):], m.Stride, m.Rect)
	case *image.YCbCr:
		// The luma plane of a JPEG, without going through RGB.
		return k.rows(m.Y[m.YOffset(m.Rect.Min.X, m.Rect.Min.Y):], m.YStride, m.Rect)
	}
	return k.colours(img)
}

// colours returns the rows of the luma of img's colours.
func (k *Hasher) colours(img image.Image) lumaSource {
	k.rgb.open(img)
	return &k.rgb
}

// grayRows is a plane of 8-bit luma.
type grayRows struct {
	pix          []byte
	stride, w, h int
}

// rows returns a plane of luma, until the next call.
func (k *Hasher) rows(pix []byte, stride int, r image.Rectangle) *grayRows {
	k.gray = grayRows{pix, stride, r.Dx(), r.Dy()}
	return &k.gray
}

// grayOf is rows for g, whose bounds begin at zero.
func (k *Hasher) grayOf(g *image.Gray) *grayRows { return k.rows(g.Pix, g.Stride, g.Rect) }

func (g *grayRows) size() (w, h int) { return g.w, g.h }

func (g *grayRows) bytes(y int) []byte { return g.pix[y*g.stride:][:g.w] }

func (g *grayRows) row(dst []float32, y int) {
	for x, v := range g.bytes(y) {
		dst[x] = float32(v)
	}
}

// rgbRows computes luma from colours as the reference does: the three
// constants as float32, the products added from left to right.
type rgbRows struct {
	img     image.Image
	rect    image.Rectangle
	white   bool // lay transparent pixels over white; otherwise alpha is ignored
	palette [256]float32
}

func (s *rgbRows) open(img image.Image) {
	s.img, s.rect, s.white = img, img.Bounds(), false
}

func (s *rgbRows) size() (w, h int) { return s.rect.Dx(), s.rect.Dy() }

// The luma of each value of a channel; adding them is adding the products.
var redLuma, greenLuma, blueLuma = func() (r, g, b [256]float32) {
	const cr, cg, cb float32 = 0.299, 0.587, 0.114
	for i := range r {
		v := float32(i)
		r[i], g[i], b[i] = float32(cr*v), float32(cg*v), float32(cb*v)
	}
	return r, g, b
}()

func rgbLuma(r, g, b byte) float32 { return redLuma[r] + greenLuma[g] + blueLuma[b] }

// straight returns the upper 8 bits of the channels of c, not multiplied by
// its alpha.
func straight(c color.Color) (r, g, b byte) {
	n := toNRGBA(c)
	return n.R, n.G, n.B
}

func (s *rgbRows) row(dst []float32, y int) {
	x0, y := s.rect.Min.X, y+s.rect.Min.Y
	if s.white {
		at := straightAt(s.img)
		for x := range dst {
			c := flatten(at(x0+x, y))
			dst[x] = rgbLuma(c.R, c.G, c.B)
		}
		return
	}
	switch m := s.img.(type) {
	case *image.NRGBA:
		p := m.Pix[m.PixOffset(x0, y):][:4*len(dst)]
		for x := range dst {
			q := p[4*x:][:4]
			dst[x] = rgbLuma(q[0], q[1], q[2])
		}
	case *image.RGBA:
		p := m.Pix[m.PixOffset(x0, y):][:4*len(dst)]
		for x := range dst {
			q := p[4*x:][:4]
			if q[3] == 0xff {
				dst[x] = rgbLuma(q[0], q[1], q[2])
				continue
			}
			dst[x] = rgbLuma(straight(color.RGBA{q[0], q[1], q[2], q[3]}))
		}
	case *image.NRGBA64:
		p := m.Pix[m.PixOffset(x0, y):][:8*len(dst)]
		for x := range dst {
			q := p[8*x:][:8]
			dst[x] = rgbLuma(q[0], q[2], q[4])
		}
	case *image.Gray16:
		p := m.Pix[m.PixOffset(x0, y):][:2*len(dst)]
		for x := range dst {
			dst[x] = float32(p[2*x])
		}
	case *image.Paletted:
		if y == s.rect.Min.Y {
			clear(s.palette[:]) // an index without a colour counts as black
			for i, c := range m.Palette[:min(len(m.Palette), len(s.palette))] {
				s.palette[i] = rgbLuma(straight(c))
			}
		}
		for x, i := range m.Pix[m.PixOffset(x0, y):][:len(dst)] {
			dst[x] = s.palette[i]
		}
	case *image.CMYK:
		p := m.Pix[m.PixOffset(x0, y):][:4*len(dst)]
		for x := range dst {
			q := p[4*x:][:4]
			dst[x] = rgbLuma(color.CMYKToRGB(q[0], q[1], q[2], q[3]))
		}
	case *image.YCbCr:
		// Chroma is shared by two pixels of a row, by one, or by an odd number.
		luma := m.Y[m.YOffset(x0, y):][:len(dst)]
		c := m.COffset(x0, y)
		cb, cr := m.Cb[c:], m.Cr[c:]
		switch m.SubsampleRatio {
		case image.YCbCrSubsampleRatio420, image.YCbCrSubsampleRatio422:
			for x, v := range luma {
				i := (x0&1 + x) / 2
				dst[x] = rgbLuma(color.YCbCrToRGB(v, cb[i], cr[i]))
			}
		case image.YCbCrSubsampleRatio444, image.YCbCrSubsampleRatio440:
			for x, v := range luma {
				dst[x] = rgbLuma(color.YCbCrToRGB(v, cb[x], cr[x]))
			}
		default:
			for x, v := range luma {
				i := m.COffset(x0+x, y)
				dst[x] = rgbLuma(color.YCbCrToRGB(v, m.Cb[i], m.Cr[i]))
			}
		}
	case *image.NYCbCrA:
		for x := range dst {
			yi, ci := m.YOffset(x0+x, y), m.COffset(x0+x, y)
			dst[x] = rgbLuma(color.YCbCrToRGB(m.Y[yi], m.Cb[ci], m.Cr[ci]))
		}
	default:
		for x := range dst {
			dst[x] = rgbLuma(straight(s.img.At(x0+x, y)))
		}
	}
}
