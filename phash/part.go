package phash

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
)

// Part returns what is seen of a picture in one reading: a picture without
// transparency, cut to a rectangle. rect is in pixels of the upright picture, as in
// Size; the empty rectangle is all of it. For an opaque picture that is not cut it
// returns p itself. The error wraps [ErrNoPixels] if rect is not in the picture.
func (p *Picture) Part(r Reading, rect image.Rectangle) (*Picture, error) {
	w, h := p.Size()
	whole := image.Rect(0, 0, w, h)
	switch {
	case rect == image.Rectangle{}:
		if !p.HasAlpha() {
			return p, nil
		}
		rect = whole
	case rect.Empty() || !rect.In(whole):
		return nil, fmt.Errorf("phash: the rectangle %v is not in the picture of %d × %d pixels: %w", rect, w, h, ErrNoPixels)
	}
	img := p.Image()
	b := img.Bounds()
	// A large picture has fewer pixels than its size.
	scale := func(v, n, of int) int { return int(int64(v) * int64(n) / int64(of)) }
	cut := image.Rect(scale(rect.Min.X, b.Dx(), w), scale(rect.Min.Y, b.Dy(), h),
		scale(rect.Max.X, b.Dx(), w), scale(rect.Max.Y, b.Dy(), h)).Add(b.Min)
	if cut.Empty() {
		return nil, fmt.Errorf("phash: the rectangle %v has less than a pixel of the reduced picture: %w", rect, ErrNoPixels)
	}
	part := newPicture(opaque(img, r, cut, p.HasAlpha()), 1, p.format)
	part.frame, part.damage, part.suspect = p.frame, p.damage, p.suspect
	return part, nil
}

// opaque returns a part of an image in a reading.
func opaque(img image.Image, r Reading, cut image.Rectangle, alpha bool) image.Image {
	if s, ok := img.(interface {
		SubImage(image.Rectangle) image.Image
	}); ok && !alpha {
		return s.SubImage(cut)
	}
	out := image.NewNRGBA(image.Rect(0, 0, cut.Dx(), cut.Dy()))
	if !alpha {
		draw.Draw(out, out.Rect, img, cut.Min, draw.Src)
		return out
	}
	at := straightAt(img)
	for y := range cut.Dy() {
		row := out.Pix[y*out.Stride:]
		for x := range cut.Dx() {
			c := r.over(at(cut.Min.X+x, cut.Min.Y+y))
			*(*[4]byte)(row[4*x:]) = [4]byte{c.R, c.G, c.B, 0xff}
		}
	}
	return out
}

// over returns a colour as it is seen in the reading.
func (r Reading) over(c color.NRGBA) color.NRGBA {
	switch r {
	case ReadingWhite:
		return flatten(c)
	case ReadingBlack:
		a := uint32(c.A)
		under := func(v byte) byte { return byte((uint32(v)*a + 127) / 255) }
		return color.NRGBA{under(c.R), under(c.G), under(c.B), 0xff}
	}
	return c
}
