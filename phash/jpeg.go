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
	d, err := guarded(FormatJPEG, func() (decoded, error) { return decodeJPEG(p.ctx, data) })
	if err != nil {
		return err
	}
	pic := newPicture(d.img, jpegOrientation(data), FormatJPEG)
	pic.full = image.Pt(h.Width, h.Height)
	pic.colours = d.colours
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
}

// jpegPicture returns the picture in the first bytes of a JPEG without what lies
// behind its end, or data if it does not end there.
func jpegPicture(first, data []byte) []byte {
	if n, ok := jpegdec.End(first); ok {
		return first[:n]
	}
	return data
}

// decodeJPEG decodes the luma of a JPEG. Its colours are decoded when they are
// asked for, in the same way.
func decodeJPEG(ctx context.Context, data []byte) (d decoded, err error) {
	p, err := jpegdec.Decode(ctx, data, nil)
	if err != nil {
		return d, err
	}
	d.img = p.Image
	d.damage = jpegDamage(&p.Damage)
	if p.Model == jpegdec.YCbCr {
		d.colours = sync.OnceValue(func() image.Image {
			// The caller's context belongs to the call that gave the picture. The
			// work is bounded without it.
			c, err := jpegdec.Decode(context.Background(), data, &jpegdec.Options{Colour: true})
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
