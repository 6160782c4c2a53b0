package avif

import (
	"encoding/binary"
	"image"

	"github.com/staydown/staydown/phash/avif/internal/dav1d"
)

// planes is a picture as luma, chroma and alpha, with 8 bits and the full range, the
// kept pixels of which are means of squares of scale × scale. A plane that is nil is
// missing: of gray, or opaque.
type planes struct {
	full   image.Point // the size of the picture before it is reduced or turned
	w, h   int         // of what is kept
	scale  int
	layout int
	matrix int
	of     [4]*image.Gray
}

const alphaPlane = 3

// sub returns how many pixels share a sample of a plane, each way.
func (p *planes) sub(plane int) (x, y int) {
	x, y = 1, 1
	if plane == 1 || plane == 2 {
		if p.layout == dav1d.Half420 || p.layout == dav1d.Half422 {
			x = 2
		}
		if p.layout == dav1d.Half420 {
			y = 2
		}
	}
	return x, y
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// newPlanes returns planes for a picture of w × h pixels.
func newPlanes(w, h, scale, layout, matrix int) *planes {
	p := &planes{full: image.Pt(w, h), w: ceilDiv(w, scale), h: ceilDiv(h, scale), scale: scale, layout: layout, matrix: matrix}
	for i := range 3 {
		if i > 0 && layout == dav1d.Gray {
			break
		}
		x, y := p.sub(i)
		p.of[i] = image.NewGray(image.Rect(0, 0, ceilDiv(p.w, x), ceilDiv(p.h, y)))
	}
	if layout != dav1d.Gray { // what does not arrive is white
		for i := range p.of[1].Pix {
			p.of[1].Pix[i], p.of[2].Pix[i] = 128, 128
		}
	}
	for i := range p.of[0].Pix {
		p.of[0].Pix[i] = 255
	}
	return p
}

// levels returns what each sample is with 8 bits and the full range.
func levels(bits int, full, chroma bool) []byte {
	t := make([]byte, 1<<bits)
	most, up := len(t)-1, bits-8
	for v := range t {
		switch {
		case full && chroma: // the middle stays where it is
			half := 1 << (bits - 1)
			t[v] = clamp(128 + ((v-half)*127+sign(v-half)*(half-1)/2)/(half-1))
		case full:
			t[v] = byte((v*255 + most/2) / most)
		case chroma:
			d := v - 128<<up
			t[v] = clamp(128 + (d*255+sign(d)*112<<up)/(224<<up))
		default:
			t[v] = clamp(((v-16<<up)*255 + 219<<up/2) / (219 << up))
		}
	}
	return t
}

func sign(v int) int {
	if v < 0 {
		return -1
	}
	return 1
}

func clamp(v int) byte { return byte(min(max(v, 0), 255)) }

// paste keeps a plane of a picture, or of a tile whose left upper corner is at x, y of
// the whole picture.
func (p *planes) paste(plane int, src dav1d.Plane, level []byte, x, y int) {
	dst := p.of[plane]
	sx, sy := p.sub(plane)
	x0, y0 := x/sx/p.scale, y/sy/p.scale
	width := min(src.Width, (dst.Rect.Dx()-x0)*p.scale)
	height := min(src.Height, (dst.Rect.Dy()-y0)*p.scale)
	if width <= 0 || height <= 0 {
		return
	}
	sums := make([]uint32, ceilDiv(width, p.scale))
	for top := 0; top < height; top += p.scale {
		rows := min(p.scale, height-top)
		out := dst.Pix[dst.PixOffset(x0, y0+top/p.scale):][:len(sums)]
		if p.scale == 1 {
			row(src, top, level, out)
			continue
		}
		clear(sums)
		line := make([]byte, width)
		for k := range rows {
			row(src, top+k, level, line)
			for i, v := range line {
				sums[i/p.scale] += uint32(v)
			}
		}
		for i, s := range sums {
			n := uint32(rows * min(p.scale, width-i*p.scale))
			out[i] = byte((s + n/2) / n)
		}
	}
}

// row converts the samples of a row.
func row(src dav1d.Plane, y int, level, out []byte) {
	pix := src.Pix[y*src.Stride:]
	if len(level) == 256 {
		for i := range out {
			out[i] = level[pix[i]]
		}
		return
	}
	for i := range out {
		out[i] = level[int(binary.LittleEndian.Uint16(pix[2*i:]))&(len(level)-1)]
	}
}

// crop keeps a rectangle of the picture, which is given in pixels of its full size.
func (p *planes) crop(r image.Rectangle) {
	w, h := ceilDiv(r.Dx(), p.scale), ceilDiv(r.Dy(), p.scale)
	for i, m := range p.of {
		if m == nil {
			continue
		}
		x, y := p.sub(i)
		at := image.Pt(r.Min.X/p.scale/x, r.Min.Y/p.scale/y)
		c := image.Rectangle{at, at.Add(image.Pt(ceilDiv(w, x), ceilDiv(h, y)))}.Intersect(m.Rect)
		n := image.NewGray(image.Rectangle{Max: c.Size()})
		for y := range n.Rect.Dy() {
			copy(n.Pix[y*n.Stride:][:n.Stride], m.Pix[m.PixOffset(c.Min.X, c.Min.Y+y):])
		}
		p.of[i] = n
	}
	p.w, p.h = p.of[0].Rect.Dx(), p.of[0].Rect.Dy()
}

// turn turns the picture counter-clockwise by quarters, then mirrors it: axis 0
// exchanges top and bottom, 1 left and right, and -1 nothing.
func (p *planes) turn(quarters, axis int) {
	if quarters == 0 && axis < 0 {
		return
	}
	if quarters%2 == 1 {
		p.w, p.h = p.h, p.w
		if p.layout == dav1d.Half422 { // its chroma would be halved in height
			p.widen()
		}
	}
	for i, m := range p.of {
		if m != nil {
			p.of[i] = turned(m, quarters, axis)
		}
	}
}

// widen doubles the width of chroma.
func (p *planes) widen() {
	for i := 1; i <= 2; i++ {
		n := image.NewGray(p.of[0].Rect)
		for y := range n.Rect.Dy() {
			for x := range n.Rect.Dx() {
				n.Pix[y*n.Stride+x] = p.of[i].Pix[y*p.of[i].Stride+x/2]
			}
		}
		p.of[i] = n
	}
	p.layout = dav1d.Full444
}

func turned(m *image.Gray, quarters, axis int) *image.Gray {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	size := image.Pt(w, h)
	if quarters%2 == 1 {
		size = image.Pt(h, w)
	}
	n := image.NewGray(image.Rectangle{Max: size})
	for y := range h {
		for x := range w {
			u, v := x, y
			switch quarters {
			case 1:
				u, v = y, w-1-x
			case 2:
				u, v = w-1-x, h-1-y
			case 3:
				u, v = h-1-y, x
			}
			switch axis {
			case 0:
				v = size.Y - 1 - v
			case 1:
				u = size.X - 1 - u
			}
			n.Pix[v*n.Stride+u] = m.Pix[y*m.Stride+x]
		}
	}
	return n
}

// image returns the picture. Where luma has the weights of JPEG, it stays luma and
// chroma.
func (p *planes) image(premultiplied bool) image.Image {
	luma, alpha := p.of[0], p.of[alphaPlane]
	if alpha == nil && p.layout == dav1d.Gray {
		return luma
	}
	weights, plain := weightsOf(p.matrix)
	if alpha == nil && plain && weights == weightsOf601 {
		ratio := [...]image.YCbCrSubsampleRatio{dav1d.Half420: image.YCbCrSubsampleRatio420, dav1d.Half422: image.YCbCrSubsampleRatio422, dav1d.Full444: image.YCbCrSubsampleRatio444}[p.layout]
		return &image.YCbCr{Y: luma.Pix, Cb: p.of[1].Pix, Cr: p.of[2].Pix, YStride: luma.Stride, CStride: p.of[1].Stride, SubsampleRatio: ratio, Rect: luma.Rect}
	}
	m := image.NewNRGBA(luma.Rect)
	sx, sy := p.sub(1)
	for y := range p.h {
		out := m.Pix[y*m.Stride:][:4*p.w]
		for x := range p.w {
			v := int(luma.Pix[y*luma.Stride+x])
			r, g, b := byte(v), byte(v), byte(v)
			if p.layout != dav1d.Gray {
				k := y/sy*p.of[1].Stride + x/sx
				r, g, b = colour(p.matrix, weights, v, int(p.of[1].Pix[k]), int(p.of[2].Pix[k]))
			}
			a := byte(255)
			if alpha != nil {
				a = alpha.Pix[y*alpha.Stride+x]
			}
			if premultiplied && a != 255 {
				r, g, b = straight(r, a), straight(g, a), straight(b, a)
			}
			*(*[4]byte)(out[4*x:]) = [4]byte{r, g, b, a}
		}
	}
	return m
}

// straight returns a colour that is not multiplied by alpha. Colours can exceed alpha,
// because they are compressed apart; what exceeds it is cut off, as browsers do.
func straight(c, a byte) byte {
	if a == 0 {
		return c
	}
	return byte(min(255, (int(c)*255+int(a)/2)/int(a)))
}

// weights are those of red and blue in luma, in 1/65536.
type weights struct{ red, blue int }

var weightsOf601 = weights{19595, 7471}

// weightsOf returns the weights of a matrix of ITU-T H.273. ok is false for matrices
// of another kind, which colour knows.
func weightsOf(matrix int) (w weights, ok bool) {
	switch matrix {
	case 0, 8:
		return w, false
	case 1:
		return weights{13933, 4732}, true // BT.709
	case 4:
		return weights{19661, 7209}, true // FCC
	case 7:
		return weights{13894, 5714}, true // SMPTE 240
	case 9, 10:
		return weights{17216, 3886}, true // BT.2020
	}
	return weightsOf601, true
}

// colour converts a pixel.
func colour(matrix int, w weights, y, u, v int) (r, g, b byte) {
	cb, cr := u-128, v-128
	switch matrix {
	case 0: // identity
		return byte(v), byte(y), byte(u)
	case 8: // YCgCo
		t := y - cb
		return clamp(t + cr), clamp(y + cb), clamp(t - cr)
	}
	const one = 1 << 16
	red, blue := 2*(one-w.red)*cr, 2*(one-w.blue)*cb
	green := one - w.red - w.blue
	return clamp(y + (red+one/2)>>16), clamp(y - (w.red*(red>>8)/green+w.blue*(blue>>8)/green+1<<7)>>8), clamp(y + (blue+one/2)>>16)
}
