package phash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"iter"
	"time"

	"github.com/staydown/staydown/internal/bmpdec"
	"github.com/staydown/staydown/internal/gifdec"
	"github.com/staydown/staydown/internal/pngdec"
	"github.com/staydown/staydown/internal/raster"
	"github.com/staydown/staydown/internal/svgpics"
	"github.com/staydown/staydown/internal/webpdec"
)

// This file joins the tolerant decoders of package internal/… to Decode: still
// pictures, and frames as viewers show them.

// Frame is the number of a picture in its file, and the time when it is shown. For
// a still picture it is zero, except Count, which is 1.
type Frame struct {
	Index    int           // in the file, from 0
	Count    int           // how many frames the file has
	Start    time.Duration // when it is shown first
	Duration time.Duration // for how long, as the file states it, with equal frames behind it
}

// LeftOutError ends the sequence of [DecodeFrames] when frames were left out that
// differ from those that were given, or were not decoded. It wraps [ErrTooLarge].
type LeftOutError struct {
	Format  Format
	LeftOut int // how many frames
}

func (e *LeftOutError) Error() string {
	return fmt.Sprintf("phash: %v: %d frames were left out, which exceed the limits", e.Format, e.LeftOut)
}

// Unwrap returns ErrTooLarge.
func (e *LeftOutError) Unwrap() error { return ErrTooLarge }

// Animation is an image of several frames. A [Decoder] may return one; [Decode]
// then uses it as an image, which is its first frame.
type Animation interface {
	image.Image
	// Frames returns at most so many frames in their order, with the duration of
	// each. leftOut reports, after them, the number of frames that were not
	// returned.
	Frames(ctx context.Context, most int) (frames iter.Seq2[image.Image, time.Duration], leftOut func() int)
}

// rasterDecoder returns the tolerant decoder of a format, or nil. It is no table, so
// that a program that decodes nothing links none of them.
func rasterDecoder(f Format) func([]byte) (*raster.File, error) {
	switch f {
	case FormatPNG:
		return pngdec.Open
	case FormatGIF:
		return gifdec.Open
	case FormatWebP:
		return webpdec.Open
	case FormatBMP:
		return bmpdec.Open
	case FormatICO:
		return bmpdec.OpenICO
	}
	return nil
}

// The work for a file, in units of raster.Work: about nanoseconds. A file of a few
// bytes gets the first; every byte adds what inflating real data takes.
const (
	baseWork = 500_000_000
	byteWork = 40
)

// player decodes one file and what is in it.
type player struct {
	ctx     context.Context
	o       *DecodeOptions
	first   bool // only the first frame of the file is asked for
	cut     bool // the file is longer than what is there
	yield   func(*Picture, error) bool
	work    *raster.Work
	stopped bool // yield wants no more
	given   int
	leftOut int
	// embedded counts the pictures of an SVG file, up to the one that is decoded.
	embedded int
}

func newPlayer(ctx context.Context, o *DecodeOptions, size int, yield func(*Picture, error) bool) *player {
	return &player{ctx: ctx, o: o, yield: yield, work: raster.NewWork(ctx, baseWork+byteWork*int64(size))}
}

// end says, behind the frames, what was left out.
func (p *player) end(format Format, err error) {
	switch {
	case p.stopped:
	case err != nil:
		p.yield(nil, err)
	case p.leftOut > 0:
		p.yield(nil, &LeftOutError{format, p.leftOut})
	}
}

// play gives the frames of a file, which lies so deep in others.
func (p *player) play(format Format, data []byte, depth int) error {
	if d := p.o.Decoders[format]; d != nil {
		return p.foreign(format, data, d)
	}
	switch {
	case rasterDecoder(format) != nil:
		return p.raster(format, data)
	case format == FormatJPEG:
		return p.jpeg(data)
	case format == FormatSVG && depth <= 1:
		return p.svg(data, depth)
	case format == FormatUnknown:
		d := "no bytes"
		if len(data) > 0 {
			d = fmt.Sprintf("the file begins with %q; %s are accepted", data[:min(len(data), 12)], acceptedFormats)
		}
		return &DecodeError{Reason: ErrFormat, Detail: d}
	}
	return &DecodeError{Format: format, Reason: ErrUnsupported,
		Detail: acceptedFormats + " are accepted; DecodeOptions.Decoders can add a decoder for " + format.String()}
}

const acceptedFormats = "JPEG, PNG, GIF, WebP, BMP, ICO and pictures embedded in SVG"

// give gives a picture, unless its damage is refused.
func (p *player) give(pic *Picture) error {
	switch d := pic.damage; {
	case p.o.AcceptTruncated || !d.Visible():
	case d.Reason == DamageBudget:
		return &DecodeError{Format: pic.format, Reason: ErrTooLarge, Detail: "decoding it is too much work"}
	default:
		return damaged(pic.format, nil, "%v", d)
	}
	// What hashing a further picture costs belongs to the work for the file; for
	// frames it is counted where they are drawn.
	if p.embedded > 0 {
		pic.frame = Frame{Index: p.given, Count: p.embedded}
	}
	if p.given > 0 && p.embedded > 0 {
		b := pic.stored.Bounds()
		if err := p.work.Spend(int64(b.Dx()) * int64(b.Dy()) * raster.ShownCost); err != nil {
			return &DecodeError{Format: pic.format, Reason: ErrTooLarge, Err: err}
		}
	}
	p.given++
	p.stopped = !p.yield(pic, nil)
	return nil
}

// raster gives the frames of a file with a rasterDecoder.
func (p *player) raster(format Format, data []byte) error {
	f, err := guarded(format, func() (*raster.File, error) { return rasterDecoder(format)(data) })
	if err != nil {
		return err
	}
	if err := checkPixels(format, f.Width, f.Height, p.o.MaxPixels); err != nil {
		return err
	}
	orientation := uint8(1)
	if f.EXIF != nil {
		orientation = exifOrientation(bytes.TrimPrefix(f.EXIF, []byte("Exif\x00\x00")))
	}
	var refused error
	left, err := guarded(format, func() (raster.LeftOut, error) {
		o := raster.Options{MaxFrames: max(1, p.o.MaxFrames-p.given), First: p.first}
		return f.Play(o, p.work, func(s raster.Shown) bool {
			pic := newPicture(s.Image, orientation, format)
			pic.full = image.Pt(f.Width, f.Height)
			pic.damage = p.damage(DamageReason(s.Fault), s.Missing)
			pic.frame = Frame{Index: s.Index, Count: len(f.Frames), Start: s.Start, Duration: s.Delay}
			refused = p.give(pic)
			return refused == nil && !p.stopped
		})
	})
	p.leftOut += int(left)
	if refused != nil {
		return refused
	}
	return err
}

// damage is what is wrong with a picture.
func (p *player) damage(reason DamageReason, missing float64) Damage {
	if missing > 0 {
		reason = max(reason, DamageCut)
	}
	if p.cut && reason == DamageCut {
		reason = DamageBudget // the file goes on, but is not read further
	}
	return Damage{reason, missing}
}

// svg gives the pictures in an SVG file. Those in an SVG file in it are given as
// well, and no deeper ones, because that is what browsers do at the most.
func (p *player) svg(data []byte, depth int) error {
	var first error
	any, failed := false, 0
	pictures, more := svgpics.Pictures(p.ctx, data)
	for _, b := range pictures {
		p.embedded++
		err := p.play(Sniff(b), b, depth+1)
		any = any || err == nil
		if err != nil {
			failed++
		}
		if first == nil {
			first = err
		}
		if p.stopped || p.ctx.Err() != nil {
			break
		}
		if p.given >= p.o.MaxFrames {
			p.leftOut++
			break
		}
	}
	if more() && !p.stopped {
		p.leftOut++
	}
	switch err := p.ctx.Err(); {
	case err != nil:
		return fmt.Errorf("phash: SVG: decoding: %w", err)
	case any || p.given > 0 || depth > 0:
		p.leftOut += failed // nobody looked at these
		return nil
	case first != nil:
		return first
	}
	return &DecodeError{Format: FormatSVG, Reason: ErrUnsupported, Detail: "no pictures are embedded in it, and drawings are not drawn"}
}

// foreign gives what a decoder of the caller makes of a file.
func (p *player) foreign(format Format, data []byte, d Decoder) error {
	pic, err := decodeByCaller(format, data, d, p.o.MaxPixels)
	if err != nil {
		return err
	}
	a, ok := pic.stored.(Animation)
	if !ok || p.first {
		return p.give(pic)
	}
	frames, leftOut := a.Frames(p.ctx, max(1, p.o.MaxFrames-p.given))
	frame := Frame{}
	for img, d := range frames {
		if err := checkBounds(img); err != nil {
			return &DecodeError{Format: format, Reason: ErrCorrupt, Err: err}
		}
		pic := newPicture(img, 1, format)
		frame.Duration = d
		pic.frame = frame
		frame.Index++
		frame.Start += d
		if err := p.give(pic); err != nil || p.stopped {
			return err
		}
	}
	p.leftOut += leftOut()
	return p.ctx.Err()
}

// rasterReason returns the reason for an error of the tolerant decoders, or nil
// for another error.
func rasterReason(err error) error {
	switch {
	case errors.Is(err, raster.ErrTooLarge), errors.Is(err, raster.ErrBudget):
		return ErrTooLarge
	case errors.Is(err, bmpdec.ErrUnsupported):
		return ErrUnsupported
	}
	return nil
}
