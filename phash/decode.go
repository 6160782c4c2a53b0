package phash

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"
	"iter"
	"strings"

	"github.com/staydown/staydown/internal/bmpdec"
	"github.com/staydown/staydown/internal/pngdec"
	"github.com/staydown/staydown/internal/raster"
	"github.com/staydown/staydown/internal/svgpics"
)

// Format is a file format of pictures, found by looking at the bytes.
type Format uint8

const (
	FormatUnknown Format = iota
	FormatJPEG
	FormatPNG
	FormatGIF
	FormatWebP
	FormatAVIF   // recognised; decoded only by a decoder of the caller
	FormatHEIC   // the same
	FormatJPEGXL // the same
	FormatTIFF   // the same
	FormatBMP
	FormatICO // icons and cursors
	FormatSVG // only the pictures that are embedded in it
)

var formatNames = [...]string{"unknown", "JPEG", "PNG", "GIF", "WebP", "AVIF", "HEIC", "JPEG XL", "TIFF", "BMP", "ICO", "SVG"}

// String returns the format's usual name, such as "JPEG XL".
func (f Format) String() string {
	if int(f) < len(formatNames) {
		return formatNames[f]
	}
	return fmt.Sprintf("Format(%d)", uint8(f))
}

// Sniff returns the format of a file by its first bytes; 4,096 are enough for all,
// 32 for most. It never uses a name or a media type, because those can be wrong.
func Sniff(data []byte) Format {
	has := func(at int, s string) bool {
		return len(data) >= at+len(s) && string(data[at:at+len(s)]) == s
	}
	switch {
	case has(0, "\xff\xd8\xff"):
		return FormatJPEG
	case has(0, pngdec.Signature):
		return FormatPNG
	case has(0, "GIF87a"), has(0, "GIF89a"):
		return FormatGIF
	case has(0, "RIFF") && has(8, "WEBP"):
		return FormatWebP
	case has(0, "\xff\x0a"), has(0, "\x00\x00\x00\x0cJXL \r\n\x87\n"):
		return FormatJPEGXL
	case has(4, "ftyp"):
		return brand(data)
	case has(0, "II*\x00"), has(0, "MM\x00*"):
		return FormatTIFF
	case has(0, "BM") && bmpdec.IsBMP(data):
		return FormatBMP
	case bmpdec.IsICO(data):
		return FormatICO
	case svgpics.IsSVG(data):
		return FormatSVG
	}
	return FormatUnknown
}

// brand tells AVIF and HEIC from each other, and from other files of their family,
// by the major and the compatible brands. Browsers show a file as AVIF if any of
// them is of AVIF.
func brand(data []byte) Format {
	n := int(min(uint64(binary.BigEndian.Uint32(data)), uint64(len(data))))
	found := FormatUnknown
	for i := 8; i+4 <= n; i += 4 {
		if i == 12 { // the minor version
			continue
		}
		switch b := string(data[i : i+4]); {
		case b == "avif", b == "avis":
			return FormatAVIF
		case b == "mif1", b == "msf1", strings.HasPrefix(b, "he"): // heic, heix, heim, heis, hevc and others
			found = FormatHEIC
		}
	}
	return found
}

// The reasons for which a file gives no picture. Every error of [Decode] is a
// [*DecodeError] that wraps one of them, or the error of the reader.
var (
	// ErrTooLarge: a limit of [DecodeOptions] is exceeded.
	ErrTooLarge = errors.New("picture exceeds a limit")
	// ErrFormat: the bytes are of no picture format that is known here.
	ErrFormat = errors.New("not a known picture format")
	// ErrUnsupported: the format is known, but decoding it (or this variety of it)
	// is not supported. The picture was not examined: do not treat it as a picture
	// without a match.
	ErrUnsupported = errors.New("picture format not supported")
	// ErrCorrupt: the file is damaged.
	ErrCorrupt = errors.New("picture is damaged")
)

// DecodeError reports why a file could not be decoded.
type DecodeError struct {
	Format Format // as far as it is known
	Reason error  // ErrTooLarge, ErrFormat, ErrUnsupported or ErrCorrupt
	Detail string // what was found, and what would be accepted
	Err    error  // the decoder's error, or nil
}

func (e *DecodeError) Error() string {
	s := "phash: " + e.Reason.Error()
	if e.Format != FormatUnknown {
		s = "phash: " + e.Format.String() + ": " + e.Reason.Error()
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the reason and the decoder's error, for [errors.Is] and
// [errors.As].
func (e *DecodeError) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Reason}
	}
	return []error{e.Reason, e.Err}
}

// The limits of a nil or zero [DecodeOptions].
const (
	DefaultMaxBytes  = 10 << 20 // 10 MiB
	DefaultMaxPixels = 1 << 28  // the largest WebP; large pictures are decoded reduced
	DefaultMaxFrames = 100
)

// A Decoder decodes formats that this package does not decode. It gets the whole
// file, already within MaxBytes. Before it allocates, it must refuse a picture of
// more than maxPixels pixels, with an error that wraps [ErrTooLarge]. It applies
// the orientation that is given in the file.
type Decoder func(data []byte, maxPixels int64) (image.Image, error)

// Decoded is an image with facts about its file. A [Decoder] may return a pointer to
// one for an image that it reduced, or that is damaged.
type Decoded struct {
	image.Image
	FullSize image.Point // in pixels of the file; the zero value: the size of the image
	Damage   Damage
}

// DecodeOptions are the limits of [Decode], and additional decoders. A nil pointer
// and a zero field mean the defaults. The options may be shared; they are only
// read.
type DecodeOptions struct {
	// MaxBytes is the length of the longest file that is read; 0 means
	// DefaultMaxBytes. For a JPEG it bounds the picture: data behind the end
	// marker does not count.
	MaxBytes int64
	// MaxPixels is the largest accepted picture, width × height; 0 means
	// DefaultMaxPixels. It does not bound memory or work, which have their own
	// limits. A picture of more than about 24 million pixels (in gray: 96) is
	// reduced while it is decoded. Parts that exceed the work for one file are
	// left out: see Damage.
	MaxPixels int64
	// MaxFrames is the number of frames of an animation that DecodeFrames returns;
	// 0 means DefaultMaxFrames, and the maximum is 10,000. If a file has more
	// distinct frames, they are selected from all over the animation. Decode
	// always returns one.
	MaxFrames int
	// AcceptTruncated decodes damaged files as far as viewers show them, for
	// example a file that is cut off or has wrong bytes. Missing parts are grey or
	// transparent; see Picture.Damage. It is for looking copies up: invisible
	// damage must not hide a picture. Of a file longer than MaxBytes, the first
	// MaxBytes are read.
	//
	// Without it, only faults that do not change the picture are accepted, for
	// example a missing end marker.
	AcceptTruncated bool
	// Decoders decode formats that the package does not decode, or replace its own
	// decoders. For example, the module phash/avif has one for FormatAVIF.
	// FormatUnknown stands for all formats that are not recognised.
	Decoders map[Format]Decoder
}

func (o *DecodeOptions) withDefaults() DecodeOptions {
	var d DecodeOptions
	if o != nil {
		d = *o
	}
	if d.MaxBytes <= 0 {
		d.MaxBytes = DefaultMaxBytes
	}
	if d.MaxPixels <= 0 {
		d.MaxPixels = DefaultMaxPixels
	}
	if d.MaxFrames <= 0 {
		d.MaxFrames = DefaultMaxFrames
	}
	d.MaxFrames = min(d.MaxFrames, raster.MaxFrames)
	return d
}

// Decode reads one picture from r: JPEG, PNG, GIF, WebP, BMP or ICO, the first
// picture embedded in an SVG, and the formats of opts.Decoders. The format is
// detected from the bytes. The orientation in the EXIF data of a JPEG, PNG or WebP
// is applied. For an animation it returns the first frame; [DecodeFrames] returns
// all frames.
//
// It reads files as tolerantly as browsers do: see [Picture.Damage] for faults of
// the file. Memory and work are bounded, whatever the contents of the file.
//
// No input makes it panic. Errors are of type [*DecodeError], except those of r,
// which are wrapped. A file that cannot be decoded was not examined: do not treat
// it as a picture without a match.
func Decode(r io.Reader, opts *DecodeOptions) (*Picture, error) {
	return DecodeContext(context.Background(), r, opts)
}

// DecodeContext is [Decode] with a context. When it ends, decoding stops soon,
// and its error is returned, wrapped.
func DecodeContext(ctx context.Context, r io.Reader, opts *DecodeOptions) (*Picture, error) {
	var (
		pic *Picture
		err error
	)
	play(ctx, r, opts, true, func(p *Picture, e error) bool {
		pic, err = p, e
		return false
	})
	return pic, err
}

// DecodeFrames is [Decode] for every distinct frame of an animated GIF, PNG, WebP
// or [Animation]. Each frame is returned as a viewer shows it: drawn over the
// remains of earlier frames. A still picture has one frame; an SVG has those of
// all pictures in it.
//
// If there are more frames than MaxFrames, or than the work for one file allows,
// it selects frames from all over the animation: in each stretch the frame that is
// shown longest. The sequence then ends with a [*LeftOutError]. With any other
// error it ends where a frame is refused, or the file cannot be decoded.
func DecodeFrames(r io.Reader, opts *DecodeOptions) iter.Seq2[*Picture, error] {
	return DecodeFramesContext(context.Background(), r, opts)
}

// DecodeFramesContext is [DecodeFrames] with a context. When it ends, decoding
// stops soon, and the sequence ends with its error, wrapped.
func DecodeFramesContext(ctx context.Context, r io.Reader, opts *DecodeOptions) iter.Seq2[*Picture, error] {
	return func(yield func(*Picture, error) bool) { play(ctx, r, opts, false, yield) }
}

// play reads a file and gives its frames, or the first one.
func play(ctx context.Context, r io.Reader, opts *DecodeOptions, first bool, yield func(*Picture, error) bool) {
	o := opts.withDefaults()
	data, err := io.ReadAll(io.LimitReader(r, o.MaxBytes+1))
	if err != nil {
		yield(nil, fmt.Errorf("phash: reading the picture: %w", err))
		return
	}
	format := Sniff(data)
	if int64(len(data)) > o.MaxBytes && format == FormatJPEG {
		data = jpegPicture(data[:o.MaxBytes], data)
	}
	var tooLong error
	if int64(len(data)) > o.MaxBytes {
		tooLong = &DecodeError{Format: format, Reason: ErrTooLarge, Detail: fmt.Sprintf("longer than %d bytes", o.MaxBytes)}
		if data = data[:o.MaxBytes]; !o.AcceptTruncated {
			yield(nil, tooLong)
			return
		}
	}
	if err := ctx.Err(); err != nil {
		yield(nil, fmt.Errorf("phash: decoding: %w", err))
		return
	}
	p := newPlayer(ctx, &o, len(data), yield)
	p.first, p.cut = first, tooLong != nil
	err = p.play(format, data, 0)
	if err == nil && p.given == 0 {
		err = damaged(format, nil, "nothing of it is seen")
	}
	if err != nil && tooLong != nil && ctx.Err() == nil {
		err = tooLong // perhaps what is missing is all that is wrong
	}
	p.end(format, err)
}

func decodeByCaller(format Format, data []byte, d Decoder, maxPixels int64) (*Picture, error) {
	img, err := guarded(format, func() (image.Image, error) { return d(data, maxPixels) })
	if err != nil {
		return nil, err
	}
	known := Decoded{Image: img}
	if d, ok := img.(*Decoded); ok && d != nil {
		known = *d
	}
	if err := checkBounds(known.Image); err != nil {
		return nil, &DecodeError{Format: format, Reason: ErrCorrupt, Err: err}
	}
	full := known.FullSize
	if full == (image.Point{}) {
		full = known.Bounds().Size()
	}
	if err := checkPixels(format, full.X, full.Y, maxPixels); err != nil {
		return nil, err
	}
	pic := newPicture(known.Image, 1, format)
	pic.full, pic.damage = full, known.Damage
	return pic, nil
}

func checkPixels(format Format, w, h int, maxPixels int64) error {
	if w <= 0 || h <= 0 {
		return &DecodeError{Format: format, Reason: ErrCorrupt, Detail: fmt.Sprintf("size %d × %d", w, h), Err: ErrNoPixels}
	}
	if int64(w) > maxPixels/int64(h) {
		return &DecodeError{Format: format, Reason: ErrTooLarge,
			Detail: fmt.Sprintf("%d × %d pixels where %d are allowed", w, h, maxPixels)}
	}
	return nil
}

// guarded calls a decoder and turns its panic, should it have such a bug, and
// its errors into a DecodeError.
func guarded[T any](format Format, decode func() (T, error)) (out T, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &DecodeError{Format: format, Reason: ErrCorrupt,
				Detail: fmt.Sprintf("the decoder panicked: %v", r)}
		}
	}()
	if out, err = decode(); err != nil {
		err = decodeError(format, err)
	}
	return out, err
}

// decodeError makes the error of a decoder a DecodeError.
func decodeError(format Format, err error) error {
	if e := (*DecodeError)(nil); errors.As(err, &e) {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("phash: %v: decoding: %w", format, err)
	}
	reason := ErrCorrupt
	switch {
	case jpegReason(err) != nil:
		reason = jpegReason(err)
	case rasterReason(err) != nil:
		reason = rasterReason(err)
	case errors.Is(err, ErrTooLarge):
		reason = ErrTooLarge
	case errors.Is(err, ErrUnsupported):
		reason = ErrUnsupported
	}
	return &DecodeError{Format: format, Reason: reason, Err: err}
}

func damaged(f Format, err error, format string, a ...any) error {
	return &DecodeError{Format: f, Reason: ErrCorrupt, Detail: fmt.Sprintf(format, a...), Err: err}
}
