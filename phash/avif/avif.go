// Package avif decodes AVIF pictures for phash, without cgo: libavif and libaom
// run as WebAssembly (the module of github.com/gen2brain/avif), where a bug of
// theirs cannot reach the memory of the process.
//
//	opts := &phash.DecodeOptions{Decoders: map[phash.Format]phash.Decoder{
//		phash.FormatAVIF: avif.Decode,
//	}}
//	pic, err := phash.Decode(r, opts)
//
// # Limits
//
// Decode takes at most DefaultMemory for a picture, which is enough for some 6
// megapixels; [Limited] makes a decoder that takes more. A larger picture is an error
// that wraps [phash.ErrTooLarge]; a crawler then holds it for review. libaom gives up
// at the first wrong bit, also where browsers show the picture. That picture is held
// for review as well. Decoding takes about an eighth of a second a megapixel, cannot
// be interrupted, and delays the garbage collector of the process meanwhile.
//
// The first picture compiles the module, which takes about a second. Importing this
// package registers an AVIF decoder with [image.Decode] for the whole process, because
// gen2brain/avif does. That one prefers a shared libavif where the system has one;
// this package never uses it, and -tags nodynamic leaves it out.
package avif

import (
	"context"
	"fmt"
	"image"
	"iter"
	"time"

	"github.com/staydown/staydown/phash"
)

// Decode is a [phash.Decoder] for AVIF. It gives the primary picture of the file,
// turned and mirrored as its properties irot and imir say, and for a sequence a
// [phash.Animation]. The errors wrap [phash.ErrTooLarge] or [phash.ErrUnsupported]
// where that is the reason. Safe for concurrent use.
func Decode(data []byte, maxPixels int64) (image.Image, error) {
	return limits{DefaultMemory}.decode(data, maxPixels)
}

// DefaultMemory is the memory in bytes that [Decode] takes for a picture at most. The
// pixels that it returns take another 4 bytes each.
const DefaultMemory = 232 << 20

// Limited returns [Decode] with another limit of memory, at most 4 GiB. A pixel takes
// some 34 bytes.
func Limited(memory int64) phash.Decoder {
	return limits{max(0, min(memory, 1<<32))}.decode
}

type limits struct{ memory int64 }

// pixels is how many pixels fit.
func (l limits) pixels() int64 { return max(0, l.memory-startMemory) / perPixel }

func (l limits) decode(data []byte, maxPixels int64) (image.Image, error) {
	props, err := readProperties(data)
	if err != nil {
		return nil, err
	}
	pixels := int64(props.width) * int64(props.height)
	if most := min(maxPixels, l.pixels()); int64(props.width) > most/int64(props.height) {
		return nil, fmt.Errorf("avif: %d × %d pixels where %d are allowed: %w", props.width, props.height, most, phash.ErrTooLarge)
	}
	data = data[:props.end]
	d, err := l.call(data, pixels, maxPixels, false)
	if err != nil {
		return nil, err
	}
	defer d.close()
	first, err := d.picture(0, &props)
	if err != nil || d.count == 1 {
		return first, err
	}
	return &sequence{first, l, data, props, d.count, d.durations[0]}, nil
}

// sequence is a file of several frames. It is decoded again when they are asked for.
type sequence struct {
	image.Image // the first
	limits      limits
	data        []byte
	props       properties
	count       int
	duration    time.Duration // of the first
}

// Frames returns at most so many frames, from all over the sequence. If all frames
// together take too much memory, or one of them cannot be decoded, it is the first
// alone.
func (s *sequence) Frames(ctx context.Context, most int) (frames iter.Seq2[image.Image, time.Duration], leftOut func() int) {
	given := 0
	frames = func(yield func(image.Image, time.Duration) bool) {
		if ctx.Err() != nil {
			return
		}
		b := s.Bounds()
		pixels := int64(b.Dx()) * int64(b.Dy())
		d, err := s.limits.call(s.data, pixels+pixels*int64(s.count)/4, pixels, true)
		if err != nil {
			given = 1
			yield(s.Image, s.duration)
			return
		}
		defer d.close()
		for k := range min(most, len(d.pixels)) {
			i := k * len(d.pixels) / min(most, len(d.pixels))
			m, err := d.picture(i, &s.props)
			if err != nil || ctx.Err() != nil {
				return
			}
			given++
			if !yield(m, d.durations[i]) {
				return
			}
		}
	}
	return frames, func() int { return s.count - given }
}
