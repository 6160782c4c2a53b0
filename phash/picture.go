package phash

import (
	"image"
	"image/color"
	"sync"
)

// Picture is a decoded picture as a viewer shows it, with its orientation tag
// applied. Derived values are computed once, on first use. A Picture is safe for
// concurrent use and never changes.
//
// # Alpha
//
// A picture with transparency is two pictures. One has the colours of its pixels,
// which every PDQ implementation hashes. The other is the visible picture, which
// depends on the background; here that is white. [Picture.PDQ] uses the first, so
// that exchanged hashes agree. [Picture.Luma] and [Picture.Perception] use the
// second. [HashesToStore] and [HashesToAsk] use both, because either alone is
// easily evaded: all colours can be black, with the picture in the alpha channel.
type Picture struct {
	format      Format
	stored      image.Image // as the decoder gave it
	orientation uint8       // of EXIF: what turns stored into the picture
	full        image.Point // the size in the file, if stored is reduced; or zero
	frame       Frame
	damage      Damage
	// colours, unless nil, decodes the colours of a picture of which stored is the
	// luma alone, or the full size of one of which stored is reduced.
	colours func() image.Image
	suspect bool // colours may be wrong, see shownByColours

	shown func() image.Image
	luma  func() *image.Gray
	clear func() bool // whether any pixel is not opaque
}

// NewPicture returns the picture for pixels that were decoded elsewhere, with the
// orientation applied already. The image must not be changed afterwards. For an
// image without pixels the error wraps [ErrNoPixels], for one of more than 2^30
// pixels [ErrTooLarge].
func NewPicture(img image.Image) (*Picture, error) {
	if err := checkBounds(img); err != nil {
		return nil, err
	}
	return newPicture(img, 1, FormatUnknown), nil
}

func newPicture(stored image.Image, orientation uint8, format Format) *Picture {
	p := &Picture{format: format, stored: stored, orientation: orientation}
	p.shown = sync.OnceValue(func() image.Image {
		if p.colours != nil {
			return turn(p.colours(), orientation)
		}
		return turn(stored, orientation)
	})
	p.luma = sync.OnceValue(p.makeLuma)
	p.clear = sync.OnceValue(func() bool {
		o, ok := stored.(interface{ Opaque() bool })
		return ok && !o.Opaque()
	})
	return p
}

// Format returns the file format, FormatUnknown for [NewPicture].
func (p *Picture) Format() Format { return p.format }

// Truncated reports whether the picture is visibly damaged: see [Damage.Visible]
// and [DecodeOptions].AcceptTruncated. [HashesToStore] refuses a damaged picture.
func (p *Picture) Truncated() bool { return p.damage.Visible() }

// Damage describes the damage of the file, and how much of the picture is missing.
func (p *Picture) Damage() Damage { return p.damage }

// Frame returns which frame of its file the picture is.
func (p *Picture) Frame() Frame {
	f := p.frame
	f.Count = max(1, f.Count)
	return f
}

// Size returns width and height in pixels, as the picture is shown. Image and Luma
// of a large picture are smaller, because it was reduced while it was decoded.
func (p *Picture) Size() (width, height int) {
	size := p.full
	if size == (image.Point{}) {
		size = p.stored.Bounds().Size()
	}
	if p.orientation >= 5 {
		return size.Y, size.X
	}
	return size.X, size.Y
}

// Image returns the pixels, as the picture is shown. Its bounds need not begin
// at zero. It must not be changed.
func (p *Picture) Image() image.Image { return p.shown() }

// Luma returns the luma of the picture as it is shown, over white where it is
// transparent: 8 bits, bounds from zero. For a JPEG this is the luma plane of
// the file. It must not be changed.
func (p *Picture) Luma() *image.Gray { return p.luma() }

// HasAlpha reports whether any pixel is not opaque.
func (p *Picture) HasAlpha() bool { return p.clear() }

func (p *Picture) makeLuma() *image.Gray {
	switch m := p.stored.(type) {
	case *image.Gray:
		return turnGray(&image.Gray{Pix: m.Pix[m.PixOffset(m.Rect.Min.X, m.Rect.Min.Y):], Stride: m.Stride,
			Rect: m.Rect.Sub(m.Rect.Min)}, p.orientation, new(image.Gray))
	case *image.YCbCr:
		return turnGray(&image.Gray{Pix: m.Y[m.YOffset(m.Rect.Min.X, m.Rect.Min.Y):], Stride: m.YStride,
			Rect: m.Rect.Sub(m.Rect.Min)}, p.orientation, new(image.Gray))
	}
	img := p.shown()
	var s rgbRows
	s.open(img)
	s.white = p.clear()
	w, h := s.size()
	g := image.NewGray(image.Rect(0, 0, w, h))
	row := make([]float32, w)
	for y := range h {
		s.row(row, y)
		for x, v := range row {
			g.Pix[y*g.Stride+x] = byte(v + 0.5)
		}
	}
	return g
}

// turn applies an EXIF orientation. What it makes is an *image.NRGBA, or an
// *image.Gray for one.
func turn(img image.Image, orientation uint8) image.Image {
	if orientation == 1 {
		return img
	}
	if g, ok := img.(*image.Gray); ok {
		return turnGray(cutGray(g, g.Rect), orientation, new(image.Gray))
	}
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	dst := image.NewNRGBA(turnedBounds(w, h, orientation))
	at := straightAt(img)
	for y := range h {
		for x := range w {
			u, v := turnedPoint(x, y, w, h, orientation)
			c := at(b.Min.X+x, b.Min.Y+y)
			*(*[4]byte)(dst.Pix[v*dst.Stride+4*u:]) = [4]byte{c.R, c.G, c.B, c.A}
		}
	}
	return dst
}

// straightAt returns the pixels of img as colours that are not multiplied by
// alpha. It avoids the allocation of At for what decoders give.
func straightAt(img image.Image) func(x, y int) color.NRGBA {
	switch m := img.(type) {
	case *image.NRGBA:
		return m.NRGBAAt
	case *image.YCbCr:
		return func(x, y int) color.NRGBA {
			c := m.YCbCrAt(x, y)
			r, g, b := color.YCbCrToRGB(c.Y, c.Cb, c.Cr)
			return color.NRGBA{r, g, b, 0xff}
		}
	case *image.Paletted:
		var colors [256]color.NRGBA // an index without a colour is transparent
		for i, c := range m.Palette[:min(len(m.Palette), len(colors))] {
			colors[i] = toNRGBA(c)
		}
		return func(x, y int) color.NRGBA { return colors[m.ColorIndexAt(x, y)] }
	}
	return func(x, y int) color.NRGBA { return toNRGBA(img.At(x, y)) }
}

func toNRGBA(c color.Color) color.NRGBA {
	n := color.NRGBA64Model.Convert(c).(color.NRGBA64)
	return color.NRGBA{byte(n.R >> 8), byte(n.G >> 8), byte(n.B >> 8), byte(n.A >> 8)}
}

// turnGray applies an EXIF orientation to src, whose bounds begin at zero, in the
// memory of dst.
func turnGray(src *image.Gray, orientation uint8, dst *image.Gray) *image.Gray {
	if orientation == 1 {
		return src
	}
	w, h := src.Rect.Dx(), src.Rect.Dy()
	dst.Rect = turnedBounds(w, h, orientation)
	dst.Stride = dst.Rect.Dx()
	dst.Pix = grow(dst.Pix, w*h)
	// A step to the right, or down, in src is a step of this many bytes in dst.
	x0, y0 := turnedPoint(0, 0, w, h, orientation)
	x1, y1 := turnedPoint(1, 0, w, h, orientation)
	x2, y2 := turnedPoint(0, 1, w, h, orientation)
	start := y0*dst.Stride + x0
	right, down := y1*dst.Stride+x1-start, y2*dst.Stride+x2-start
	for y := range h {
		o := start + y*down
		for _, v := range src.Pix[y*src.Stride:][:w] {
			dst.Pix[o] = v
			o += right
		}
	}
	return dst
}

func turnedBounds(w, h int, orientation uint8) image.Rectangle {
	if orientation >= 5 {
		return image.Rect(0, 0, h, w)
	}
	return image.Rect(0, 0, w, h)
}

// turnedPoint says where pixel (x, y) of a stored picture of w × h is shown.
func turnedPoint(x, y, w, h int, orientation uint8) (u, v int) {
	switch orientation {
	case 2:
		return w - 1 - x, y
	case 3:
		return w - 1 - x, h - 1 - y
	case 4:
		return x, h - 1 - y
	case 5:
		return y, x
	case 6:
		return h - 1 - y, x
	case 7:
		return h - 1 - y, w - 1 - x
	case 8:
		return y, w - 1 - x
	}
	return x, y
}

// PDQ returns the PDQ hash of the picture, upright, and its quality from 0 to 100; see
// the function [PDQ]. Transparency is ignored: see [HashesToAsk].
func (p *Picture) PDQ() (h Hash, quality int) {
	k := hashers.Get().(*Hasher)
	defer hashers.Put(k)
	return k.PDQOf(p)
}

func isYCbCr(img image.Image) bool {
	_, ok := img.(*image.YCbCr)
	return ok
}

// PDQOf is [Picture.PDQ] with the buffers of k.
func (k *Hasher) PDQOf(p *Picture) (h Hash, quality int) {
	_, gray := p.stored.(*image.Gray)
	r := p.reducedOf()
	switch {
	case r != nil && !p.clear():
		h, quality = k.hashReduced(r)
		if p.colours == nil || !p.shownByColours(k) {
			return h, quality
		}
		img := p.shown()
		if w, _ := p.Size(); img.Bounds().Dx() < w { // reduced, too
			return h, quality
		}
		return k.hash(k.colours(img))
	case gray && p.colours == nil:
		return k.hash(k.lumaOf(p.luma()))
	case gray || isYCbCr(p.stored):
		h, quality = k.hash(k.lumaOf(p.luma()))
		if !p.shownByColours(k) {
			return h, quality
		}
	}
	return k.hash(k.colours(p.shown()))
}

// shownByColours reports whether the luma plane, whose spectrum k has, does not
// stand for the colours: the outcome is close, or wrong data may have shifted
// chroma, so that viewers limit the colours, which changes their luma.
func (p *Picture) shownByColours(k *Hasher) bool { return p.suspect || k.dct.close() }
