package jpegdec

import (
	"image"
	"image/color"
)

// image returns the decoded components as a picture.
func (d *decoder) image() image.Image {
	w, h := ceil(d.head.Width, d.scale()), ceil(d.head.Height, d.scale())
	rect := image.Rect(0, 0, w, h)
	c := d.comps
	if d.head.Model == Gray || d.head.Model == YCbCr && !d.opts.Colour {
		p := d.enlarged(&c[0], w, h)
		return &image.Gray{Pix: p.pix, Stride: p.stride, Rect: rect}
	}
	switch d.head.Model {
	case YCbCr:
		return d.ycbcr(rect)
	case RGB:
		m := image.NewRGBA(rect)
		for i := range m.Pix {
			m.Pix[i] = 0xff
		}
		for i := range c {
			d.interleave(m.Pix[i:], d.enlarged(&c[i], w, h), w, h, 0)
		}
		return m
	}
	m := image.NewCMYK(rect)
	for i := range c {
		invert := byte(0xff) // the samples of inks are inverted
		if d.head.Model == YCCK && i < 3 {
			invert = 0
		}
		d.interleave(m.Pix[i:], d.enlarged(&c[i], w, h), w, h, invert)
	}
	if d.head.Model == YCCK {
		for i := 0; i < len(m.Pix); i += 4 {
			p := m.Pix[i : i+4]
			// The colours are those of inverted inks: 255 - ink is inverted twice.
			p[0], p[1], p[2] = color.YCbCrToRGB(p[0], p[1], p[2])
		}
	}
	return m
}

func (d *decoder) scale() int { return 8 / d.size }

// samplePlane is a plane of samples.
type samplePlane struct {
	pix    []byte
	stride int
}

// enlarged returns the samples of a component at the size w × h of the picture.
func (d *decoder) enlarged(c *component, w, h int) samplePlane {
	p := samplePlane{c.plane, c.stride(d.size)}
	if c.h == d.hmax && c.v == d.vmax {
		return p
	}
	q := samplePlane{make([]byte, w*h), w}
	for y := range h {
		from := p.pix[y*c.v/d.vmax*p.stride:]
		to := q.pix[y*w:][:w]
		switch {
		case c.h == d.hmax:
			copy(to, from)
		case 2*c.h == d.hmax:
			for x := range to {
				to[x] = from[x/2]
			}
		default:
			for x := range to {
				to[x] = from[x*c.h/d.hmax]
			}
		}
	}
	return q
}

func (d *decoder) interleave(dst []byte, p samplePlane, w, h int, invert byte) {
	for y := range h {
		row := p.pix[y*p.stride:][:w]
		for x, v := range row {
			dst[4*(y*w+x)] = v ^ invert
		}
	}
}

// ratios are the kinds of subsampling that image.YCbCr has, by how many samples
// of luma there are for one of chroma, in a row and in a column.
var ratios = map[[2]int]image.YCbCrSubsampleRatio{
	{1, 1}: image.YCbCrSubsampleRatio444,
	{2, 1}: image.YCbCrSubsampleRatio422,
	{2, 2}: image.YCbCrSubsampleRatio420,
	{1, 2}: image.YCbCrSubsampleRatio440,
	{4, 1}: image.YCbCrSubsampleRatio411,
	{4, 2}: image.YCbCrSubsampleRatio410,
}

func (d *decoder) ycbcr(rect image.Rectangle) image.Image {
	c := d.comps
	m := &image.YCbCr{Rect: rect, SubsampleRatio: image.YCbCrSubsampleRatio444}
	ratio, ok := ratios[[2]int{c[0].h / c[1].h, c[0].v / c[1].v}]
	ok = ok && c[0].h == d.hmax && c[0].v == d.vmax && c[1].h == c[2].h && c[1].v == c[2].v &&
		c[0].h%c[1].h == 0 && c[0].v%c[1].v == 0
	if ok {
		m.SubsampleRatio = ratio
		m.Y, m.YStride = c[0].plane, c[0].stride(d.size)
		m.Cb, m.Cr, m.CStride = c[1].plane, c[2].plane, c[1].stride(d.size)
		return m
	}
	w, h := rect.Dx(), rect.Dy()
	var pix [3][]byte
	for i := range pix {
		p := d.enlarged(&c[i], w, h)
		pix[i] = p.pix
		if p.stride != w { // all have the same stride
			pix[i] = make([]byte, w*h)
			for y := range h {
				copy(pix[i][y*w:][:w], p.pix[y*p.stride:])
			}
		}
	}
	m.Y, m.Cb, m.Cr, m.YStride, m.CStride = pix[0], pix[1], pix[2], w, w
	return m
}
