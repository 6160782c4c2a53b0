// Package avif decodes AVIF pictures for phash, without cgo: libavif and libaom
// run as WebAssembly (github.com/gen2brain/avif), where a bug of theirs cannot
// reach the memory of the process.
//
//	opts := &phash.DecodeOptions{Decoders: map[phash.Format]phash.Decoder{
//		phash.FormatAVIF: avif.Decode,
//	}}
//	pic, err := phash.Decode(r, opts)
//
// # Caveats
//
// Importing this package registers an AVIF decoder with [image.Decode] for the
// whole process, because gen2brain/avif does. The first picture compiles the
// WebAssembly module, which takes about a second. The size that is held to the
// limit is the one that the container states (the property ispe); a hostile file
// whose AV1 data are of another size can make the decoder allocate up to the 4
// GiB of its sandbox before it fails, and decoding cannot be interrupted: where
// strangers' files are decoded, do it in a process with a memory and time limit.
//
// gen2brain/avif prefers a shared libavif where the system has one. That would
// be outside of the sandbox, so Decode refuses to work then: build with
// -tags nodynamic, which leaves that code out.
package avif

import (
	"bytes"
	"errors"
	"fmt"
	"image"

	"github.com/gen2brain/avif"

	"github.com/staydown/staydown/phash"
)

// Decode is a [phash.Decoder] for AVIF. It gives the primary picture of the
// file, of a sequence the first, turned and mirrored as its properties irot and
// imir say. The errors wrap [phash.ErrTooLarge] or [phash.ErrUnsupported] where
// that is the reason. Safe for concurrent use.
func Decode(data []byte, maxPixels int64) (image.Image, error) {
	if avif.Dynamic() == nil {
		return nil, fmt.Errorf("avif: a shared libavif would be used, outside of the sandbox; build with -tags nodynamic: %w", phash.ErrUnsupported)
	}
	props, err := readProperties(data)
	if err != nil {
		return nil, err
	}
	if int64(props.width) > maxPixels/int64(props.height) {
		return nil, fmt.Errorf("avif: %d × %d pixels where %d are allowed: %w", props.width, props.height, maxPixels, phash.ErrTooLarge)
	}
	data = data[:props.end]
	c, err := avif.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if c.Width <= 0 || c.Height <= 0 || int64(c.Width) > maxPixels/int64(c.Height) {
		return nil, fmt.Errorf("avif: %d × %d pixels where %d are allowed: %w", c.Width, c.Height, maxPixels, phash.ErrTooLarge)
	}
	img, err := avif.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if !written(img, &props) {
		return nil, errors.New("avif: the picture's data are damaged")
	}
	if props.alpha {
		img = straight(img)
	}
	return props.turn(img), nil
}

// straight returns the picture with colours that are not multiplied by alpha. In
// files with premultiplied colours these can exceed alpha, because they are
// compressed apart; what exceeds it is cut off, as browsers do.
func straight(img image.Image) image.Image {
	pix, step := []byte(nil), 1
	switch m := img.(type) {
	case *image.RGBA:
		pix = m.Pix
	case *image.RGBA64:
		pix, step = m.Pix, 2 // the upper 8 bits are enough
	default:
		return img
	}
	out := image.NewNRGBA(img.Bounds())
	for i := 0; i < len(out.Pix); i += 4 {
		a := int(pix[(i+3)*step])
		if a == 0 {
			continue
		}
		for c := range 3 {
			out.Pix[i+c] = byte(min(255, (int(pix[(i+c)*step])*255+a/2)/a))
		}
		out.Pix[i+3] = byte(a)
	}
	return out
}

// written reports whether img can be what the decoder wrote. Where the AV1 data
// are damaged, gen2brain/avif gives, without an error, memory that nobody wrote
// to. What is written is opaque, or, if the file has an alpha plane, multiplied
// by alpha and not all zero.
func written(img image.Image, props *properties) bool {
	pix, size := []byte(nil), 1
	switch m := img.(type) {
	case *image.RGBA:
		pix = m.Pix
	case *image.RGBA64:
		pix, size = m.Pix, 2
	}
	any := false
	for ; len(pix) >= 4*size; pix = pix[4*size:] {
		at := func(i int) int {
			if size == 1 {
				return int(pix[i]) * 0x101
			}
			return int(pix[2*i])<<8 | int(pix[2*i+1])
		}
		a := at(3)
		if !props.alpha && a != 0xffff || !props.premultiplied && max(at(0), at(1), at(2)) > a {
			return false
		}
		any = any || a != 0
	}
	return any
}
