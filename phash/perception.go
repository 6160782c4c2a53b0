package phash

import (
	"fmt"
	"image"
	"image/color"
	"sync"

	"github.com/corona10/goimagehash/etcs"
	"github.com/corona10/goimagehash/transforms"
	"github.com/nfnt/resize"
)

// maxPerceptionSide bounds what goimagehash allocates: its resizing makes an
// intermediate picture of 64 pixels for every pixel of a side.
const maxPerceptionSide = 1 << 17

// Perception returns the perception hash of goimagehash v1.1.0 for img.
// goimagehash computes it after img is normalised: transparent parts are drawn
// over white, bounds begin at zero, and types other than [image.YCbCr] and
// [image.Gray] become 8-bit RGB. It is for services that already store such
// hashes. 64 bits distinguish pictures much worse than [PDQ]'s 256.
//
// An image without pixels gives an error that wraps [ErrNoPixels]; one with a side
// of more than 131,072 pixels, an error that wraps [ErrTooLarge]. Safe for
// concurrent use.
func Perception(img image.Image) (Hash, error) {
	p, err := NewPicture(img)
	if err != nil {
		return Hash{}, err
	}
	return p.Perception()
}

// Perception is the function [Perception] for the picture as it is shown.
func (p *Picture) Perception() (Hash, error) {
	img, err := p.normalised()
	if err != nil {
		return Hash{}, err
	}
	return perceptionOf(resize.Resize(64, 64, img, resize.Bilinear)), nil
}

// greys holds a picture of 64 × 64.
var greys = sync.Pool{New: func() any { return ptr(make([]float64, 64*64)) }}

func ptr[T any](v T) *T { return &v }

// perceptionOf is goimagehash.PerceptionHash for a picture of 64 × 64. It puts
// goimagehash's steps together, because that package itself links encoding/gob into
// every program. Bit 63-i tells whether the i-th of the 64 lowest frequencies is
// above their median.
func perceptionOf(small image.Image) Hash {
	grey := greys.Get().(*[]float64)
	defer greys.Put(grey)
	transforms.Rgb2GrayFast(small, grey)
	transforms.DCT2DFast64(grey)
	lowest := transforms.FlattenPixelsFast64(*grey, 8, 8)
	median, h := etcs.MedianOfPixelsFast64(lowest), uint64(0)
	for _, f := range lowest {
		h <<= 1
		if f > median {
			h |= 1
		}
	}
	return FromPerception(h)
}

// perceptionDihedral returns the perception hashes of the eight orientations.
// goimagehash shrinks a picture to 64 × 64 and leaves one of that size alone, so
// shrinking once and turning the small picture gives them all.
func (p *Picture) perceptionDihedral() (hs [nOrientations]Hash, err error) {
	img, err := p.normalised()
	if err != nil {
		return hs, err
	}
	small := resize.Resize(64, 64, img, resize.Bilinear)
	for o := range hs {
		hs[o] = perceptionOf(turn(small, Orientation(o).exif()))
	}
	return hs, nil
}

// normalised returns the picture in a form in which goimagehash's known defects
// do not show: it mixes up pictures without pixels with earlier ones, takes the
// wrong pixels of sub-images of 64 × 64, and works in goroutines of its own,
// where a panic in an odd image type would end the process.
func (p *Picture) normalised() (image.Image, error) {
	img := p.shown()
	if size := img.Bounds().Size(); max(size.X, size.Y) > maxPerceptionSide {
		return nil, fmt.Errorf("phash: %d × %d pixels; a perception hash takes sides of at most %d: %w",
			size.X, size.Y, maxPerceptionSide, ErrTooLarge)
	}
	switch m := img.(type) {
	case *image.Gray:
		if m.Rect.Min == (image.Point{}) {
			return m, nil
		}
	case *image.YCbCr:
		if m.Rect.Min == (image.Point{}) {
			return m, nil
		}
	}
	b := img.Bounds()
	dst := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	at := straightAt(img)
	for y := range b.Dy() {
		row := dst.Pix[y*dst.Stride:]
		for x := range b.Dx() {
			c := flatten(at(b.Min.X+x, b.Min.Y+y))
			*(*[4]byte)(row[4*x:]) = [4]byte{c.R, c.G, c.B, 0xff}
		}
	}
	return dst, nil
}

// flatten returns the colour of c where it lies over white.
func flatten(c color.NRGBA) color.NRGBA {
	a := uint32(c.A)
	over := func(v byte) byte { return byte((uint32(v)*a + 255*(255-a) + 127) / 255) }
	return color.NRGBA{over(c.R), over(c.G), over(c.B), 0xff}
}
