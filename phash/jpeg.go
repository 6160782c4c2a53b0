package phash

import (
	"bytes"
	"context"
	"errors"
	"image"
	"sync"

	"github.com/staydown/staydown/internal/jpegdec"
)

// jpeg gives the picture in a JPEG.
func (p *player) jpeg(data []byte) error {
	h, err := guarded(FormatJPEG, func() (jpegdec.Header, error) { return jpegdec.ReadHeader(data) })
	if err != nil {
		return err
	}
	if err := checkPixels(FormatJPEG, h.Width, h.Height, p.o.MaxPixels); err != nil {
		return err
	}
	// The decoder has a budget of its own. What it may take counts for the file, so
	// that many pictures in one do not take many times as long.
	if err := p.work.Spend(int64(h.Width) * int64(h.Height) * 5); err != nil && p.given > 0 {
		return &DecodeError{Format: FormatJPEG, Reason: ErrTooLarge, Err: err}
	}
	d, err := guarded(FormatJPEG, func() (decoded, error) { return decodeJPEG(p.ctx, data, h) })
	if err != nil {
		return err
	}
	pic := newPicture(d.img, jpegOrientation(data), FormatJPEG)
	pic.full = image.Pt(h.Width, h.Height)
	pic.colours, pic.suspect = d.colours, d.suspect
	pic.damage = p.damage(d.damage.Reason, d.damage.Missing)
	return p.give(pic)
}

// decoded is what the decoder gives.
type decoded struct {
	img image.Image
	// colours, unless nil, returns the colours of a picture of which img is the
	// luma alone. It is called at most once.
	colours func() image.Image
	damage  Damage
	suspect bool // data of scans are wrong, or too many
}

// jpegPicture returns the picture in the first bytes of a JPEG without what lies
// behind its end, or data if it does not end there.
func jpegPicture(first, data []byte) []byte {
	if n, ok := jpegdec.End(first); ok {
		return first[:n]
	}
	return data
}

// jpegMemory bounds the memory of decoding luma and colours, in bytes.
const jpegMemory = 256 << 20

// jpegBeyond is from how many grey levels on colours that are limited count; see
// jpegdec.Picture.Beyond.
const jpegBeyond = 0.2

// jpegShortSide is the least short side, in pixels, of a JPEG that is reduced while
// it is decoded, to save time. Then PDQ's window is four reduced pixels wide or
// more, and the hash is within 2 bits of that of the full size
// (TestReducedPDQ).
const jpegShortSide = 512

// jpegScale is by how much the luma of a JPEG is reduced.
func jpegScale(w, h int) int {
	scale := 1
	for scale < 8 && min(w, h) >= 2*scale*jpegShortSide {
		scale *= 2
	}
	return scale
}

// jpegColours bounds the pixels of a JPEG in colours: with alpha, turned, a
// picture takes four bytes a pixel.
const jpegColours = 24_000_000

// jpegColourScale is by how much the colours of a JPEG are reduced.
func jpegColourScale(w, h int) int {
	scale := 1
	for scale < 8 && int64(w)*int64(h) > int64(jpegColours*scale*scale) {
		scale *= 2
	}
	return scale
}

// decodeJPEG decodes the luma of a JPEG. Its colours are decoded when they are
// asked for, at the full size unless they are too many.
func decodeJPEG(ctx context.Context, data []byte, h jpegdec.Header) (d decoded, err error) {
	colour := jpegdec.Options{Colour: true, Scale: jpegColourScale(h.Width, h.Height), MaxMemory: jpegMemory}
	luma := jpegdec.Options{Scale: jpegScale(h.Width, h.Height), MaxMemory: jpegMemory}
	if !h.Model.HasLuma() {
		luma = colour
	}
	p, err := jpegdec.Decode(ctx, data, &luma)
	if err != nil {
		return d, err
	}
	d.img = p.Image
	d.damage = jpegDamage(&p.Damage)
	d.suspect = p.Damage.Faults&^(jpegdec.NoEnd|jpegdec.BadSegment) != 0 || p.Beyond > jpegBeyond
	if p.Model == jpegdec.YCbCr || p.Model == jpegdec.Gray && p.Scale > 1 {
		d.colours = sync.OnceValue(func() image.Image {
			// The caller's context belongs to the call that gave the picture. The
			// work is bounded without it.
			c, err := jpegdec.Decode(context.Background(), data, &colour)
			if err != nil {
				return p.Image // it was decoded before, so this does not happen
			}
			return c.Image
		})
	}
	return d, nil
}

// jpegDamage names the gravest fault.
func jpegDamage(g *jpegdec.Damage) Damage {
	d := Damage{Missing: g.Share}
	switch f := g.Faults; {
	case f&jpegdec.OverBudget != 0:
		d.Reason = DamageBudget
	case f&(jpegdec.BadCode|jpegdec.BadRestart|jpegdec.BadScan) != 0:
		d.Reason = DamageData
	case f&^jpegdec.Harmless != 0:
		d.Reason = DamageCut
	case f != 0:
		d.Reason = DamageStructure
	}
	return d
}

// jpegReason returns the reason for an error of the JPEG decoder, or nil for
// another error.
func jpegReason(err error) error {
	var (
		format      jpegdec.FormatError
		unsupported jpegdec.UnsupportedError
		size        *jpegdec.SizeError
	)
	switch {
	case errors.As(err, &format):
		return ErrCorrupt
	case errors.As(err, &unsupported):
		return ErrUnsupported
	case errors.As(err, &size):
		return ErrTooLarge
	}
	return nil
}

// jpegOrientation returns the orientation in the EXIF data of a JPEG, 1 without.
func jpegOrientation(data []byte) uint8 {
	orientation := uint8(0)
	jpegSegments(data, func(marker byte, body []byte) {
		// EXIF need not be the first APP1 segment; XMP uses the marker, too.
		if marker == 0xe1 && orientation == 0 {
			if tiff, ok := bytes.CutPrefix(body, []byte("Exif\x00\x00")); ok {
				orientation = exifOrientation(tiff)
			}
		}
	})
	return max(1, orientation)
}
