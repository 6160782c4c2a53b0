package phash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/gif"
	"image/png"
	"io"
	"iter"

	"golang.org/x/image/webp"
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
	FormatBMP    // the same
)

var formatNames = [...]string{"unknown", "JPEG", "PNG", "GIF", "WebP", "AVIF", "HEIC", "JPEG XL", "TIFF", "BMP"}

// String returns the format's usual name, such as "JPEG XL".
func (f Format) String() string {
	if int(f) < len(formatNames) {
		return formatNames[f]
	}
	return fmt.Sprintf("Format(%d)", uint8(f))
}

// Sniff names the format of a file by its first bytes; 32 are enough. It never
// looks at a name or a media type, because those lie.
func Sniff(data []byte) Format {
	has := func(at int, s string) bool {
		return len(data) >= at+len(s) && string(data[at:at+len(s)]) == s
	}
	switch {
	case has(0, "\xff\xd8\xff"):
		return FormatJPEG
	case has(0, "\x89PNG\r\n\x1a\n"):
		return FormatPNG
	case has(0, "GIF87a"), has(0, "GIF89a"):
		return FormatGIF
	case has(0, "RIFF") && has(8, "WEBP"):
		return FormatWebP
	case has(0, "\xff\x0a"), has(0, "\x00\x00\x00\x0cJXL \r\n\x87\n"):
		return FormatJPEGXL
	case has(4, "ftypavif"), has(4, "ftypavis"):
		return FormatAVIF
	case has(4, "ftyphe"): // heic, heix, heim, heis, hevc and others
		return FormatHEIC
	case has(4, "ftypmif1"), has(4, "ftypmsf1"):
		return miafBrand(data)
	case has(0, "II*\x00"), has(0, "MM\x00*"):
		return FormatTIFF
	case has(0, "BM"):
		return FormatBMP
	}
	return FormatUnknown
}

// miafBrand tells AVIF from HEIC in a file whose major brand fits both, by the
// compatible brands that follow.
func miafBrand(data []byte) Format {
	n := min(len(data), int(data[3])) // the box is never longer than 255 in practice
	for i := 16; i+4 <= n; i += 4 {
		switch string(data[i : i+4]) {
		case "avif", "avis":
			return FormatAVIF
		}
	}
	return FormatHEIC
}

// The reasons for which a file gives no picture. Every error of [Decode] is a
// [*DecodeError] that wraps one of them, or the error of the reader.
var (
	// ErrTooLarge: a limit of [DecodeOptions] is exceeded.
	ErrTooLarge = errors.New("picture exceeds a limit")
	// ErrFormat: the bytes are of no picture format that is known here.
	ErrFormat = errors.New("not a known picture format")
	// ErrUnsupported: the format is known, but decoding it (or this variety of
	// it) is not supported. Such a picture was not looked at: it is not clean.
	ErrUnsupported = errors.New("picture format not supported")
	// ErrCorrupt: the file is damaged.
	ErrCorrupt = errors.New("picture is damaged")
)

// DecodeError says why a file gave no picture.
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

// Unwrap gives the reason and the decoder's error to [errors.Is] and
// [errors.As].
func (e *DecodeError) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Reason}
	}
	return []error{e.Reason, e.Err}
}

// The limits of a nil or zero [DecodeOptions].
const (
	DefaultMaxBytes  = 10 << 20   // 10 MiB
	DefaultMaxPixels = 50_000_000 // a picture of a 48-megapixel camera
	DefaultMaxFrames = 100
)

// A Decoder decodes formats that this package does not. It gets the whole file,
// already within MaxBytes, and must itself refuse, before it allocates, a
// picture of more than maxPixels pixels, with an error that wraps [ErrTooLarge].
// It turns the picture as its file says.
type Decoder func(data []byte, maxPixels int64) (image.Image, error)

// DecodeOptions are the limits of [Decode], and what it can be taught. A nil
// pointer and a zero field mean the defaults. The options may be shared; they
// are only read.
type DecodeOptions struct {
	// MaxBytes is the longest file that is read, DefaultMaxBytes if 0. Of a JPEG it
	// bounds the picture: what lies behind the end marker does not count.
	MaxBytes int64
	// MaxPixels is the largest picture, width × height, DefaultMaxPixels if 0.
	// For an animation it also bounds the sum over the frames that are decoded.
	// Decoding takes 1 to 16 bytes a pixel: 1 for the luma of a usual JPEG, 3 for
	// that of a progressive one, 16 for a progressive one in CMYK.
	MaxPixels int64
	// MaxFrames is the number of frames of an animation that DecodeFrames
	// decodes, DefaultMaxFrames if 0, and never more than 10,000. Decode always
	// decodes one.
	MaxFrames int
	// AcceptTruncated decodes damaged files as far as viewers show them, such as
	// one that is cut off or has wrong bytes. What is missing is grey or
	// transparent; see Picture.Damage. It is for looking copies up: damage that
	// nobody sees must not hide a picture. Without it, only faults are accepted that
	// change nothing of the picture, such as a missing end marker.
	AcceptTruncated bool
	// Decoders decode formats that the package does not, such as FormatAVIF (the
	// module phash/avif has one), or replace its own. FormatUnknown stands for
	// everything that is not recognised.
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
	d.MaxFrames = min(d.MaxFrames, mostFrames)
	return d
}

// Decode reads one picture from r: JPEG, PNG, GIF or WebP, and what
// opts.Decoders adds. The format is found by looking at the bytes. Limits are
// checked before anything of the picture's size is allocated. The orientation
// in the EXIF data of a JPEG, PNG or WebP is applied. Of an animation it gives
// the first frame; [DecodeFrames] gives all.
//
// No input makes it panic. Errors are of type [*DecodeError], except those of
// r, which are wrapped. A file that cannot be decoded was not looked at: do not
// treat it as a picture without a match.
func Decode(r io.Reader, opts *DecodeOptions) (*Picture, error) {
	return DecodeContext(context.Background(), r, opts)
}

// DecodeContext is [Decode] with a context. When it ends, decoding stops soon,
// and its error is returned, wrapped.
func DecodeContext(ctx context.Context, r io.Reader, opts *DecodeOptions) (*Picture, error) {
	for p, err := range DecodeFramesContext(ctx, r, opts) {
		return p, err
	}
	panic("phash: DecodeFrames gave nothing") // it always gives a picture or an error
}

// DecodeFrames is [Decode] for every frame of an animated GIF, PNG or WebP, as
// a viewer would show it: drawn over what earlier frames left. A still picture
// gives one frame. The sequence ends with an error where a frame is damaged or
// a limit is reached; frames given before it are good.
func DecodeFrames(r io.Reader, opts *DecodeOptions) iter.Seq2[*Picture, error] {
	return DecodeFramesContext(context.Background(), r, opts)
}

// DecodeFramesContext is [DecodeFrames] with a context. When it ends, decoding
// stops soon, and the sequence ends with its error, wrapped.
func DecodeFramesContext(ctx context.Context, r io.Reader, opts *DecodeOptions) iter.Seq2[*Picture, error] {
	return func(yield func(*Picture, error) bool) {
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
		if int64(len(data)) > o.MaxBytes {
			yield(nil, &DecodeError{Format: format, Reason: ErrTooLarge,
				Detail: fmt.Sprintf("longer than %d bytes", o.MaxBytes)})
			return
		}
		if d := o.Decoders[format]; d != nil {
			yield(decodeByCaller(format, data, d, o.MaxPixels))
			return
		}
		f, err := openFile(format, data)
		if err != nil {
			yield(nil, err)
			return
		}
		f.frames(ctx, &o, yield)
	}
}

func openFile(format Format, data []byte) (*file, error) {
	switch format {
	case FormatJPEG:
		return openJPEG(data)
	case FormatPNG:
		return openPNG(data)
	case FormatGIF:
		return openGIF(data)
	case FormatWebP:
		return openWebP(data)
	case FormatUnknown:
		d := "no bytes"
		if len(data) > 0 {
			d = fmt.Sprintf("the file begins with %q; JPEG, PNG, GIF and WebP are accepted", data[:min(len(data), 12)])
		}
		return nil, &DecodeError{Reason: ErrFormat, Detail: d}
	}
	return nil, &DecodeError{Format: format, Reason: ErrUnsupported,
		Detail: "JPEG, PNG, GIF and WebP are accepted; DecodeOptions.Decoders can add a decoder for " + format.String()}
}

func decodeByCaller(format Format, data []byte, d Decoder, maxPixels int64) (*Picture, error) {
	img, err := guarded(format, func() (image.Image, error) { return d(data, maxPixels) })
	if err != nil {
		return nil, err
	}
	if err := checkBounds(img); err != nil {
		return nil, &DecodeError{Format: format, Reason: ErrCorrupt, Err: err}
	}
	b := img.Bounds()
	if err := checkPixels(format, b.Dx(), b.Dy(), maxPixels); err != nil {
		return nil, err
	}
	return newPicture(img, 1, format), nil
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

// file is a picture file taken apart as far as needed to know, before anything
// of its size is allocated, how large it is, and to decode it frame by frame.
type file struct {
	format      Format
	width       int // of the canvas, as stored
	height      int
	orientation uint8 // of EXIF: 1 to 8
	parts       []part
}

// mostFrames bounds what is kept of the frames of a file: a frame can be as short
// as 13 bytes. One more is looked for, so that the limit is seen to be exceeded.
const mostFrames = 10_000

// part is one frame: a file of its own for the decoder of a still picture, and
// how the result is drawn.
type part struct {
	rect image.Rectangle // on the canvas; the decoder must give this size
	// tolerant decodes the frame as far as viewers show it. If it is nil, decode
	// decodes data.
	tolerant func(context.Context) (decoded, error)
	data     func() []byte // built only when it is decoded
	decode   func(io.Reader) (image.Image, error)
	replace  bool // replaces what was there instead of being drawn over it
	dispose  disposal
}

// decoded is what a decoder gives.
type decoded struct {
	img image.Image
	// colours, unless nil, returns the colours of a picture of which img is the
	// luma alone. It is called at most once.
	colours func() image.Image
	damage  Damage
}

// open decodes the frame.
func (p *part) open(ctx context.Context, f Format) (decoded, error) {
	if p.tolerant != nil {
		return guarded(f, func() (decoded, error) { return p.tolerant(ctx) })
	}
	img, err := guarded(f, func() (image.Image, error) { return p.decode(bytes.NewReader(p.data())) })
	return decoded{img: img}, err
}

// disposal is what happens to the area of a frame after it was shown.
type disposal uint8

const (
	disposeKeep disposal = iota
	disposeClear
	disposeRestore
)

// frames decodes and draws the parts of f and yields them.
func (f *file) frames(ctx context.Context, o *DecodeOptions, yield func(*Picture, error) bool) {
	if err := checkPixels(f.format, f.width, f.height, o.MaxPixels); err != nil {
		yield(nil, err)
		return
	}
	canvas := canvas{bounds: image.Rect(0, 0, f.width, f.height)}
	pixels := int64(0)
	for i := range f.parts {
		if err := ctx.Err(); err != nil {
			yield(nil, fmt.Errorf("phash: decoding: %w", err))
			return
		}
		p := &f.parts[i]
		pixels += int64(f.width) * int64(f.height)
		switch {
		case i >= o.MaxFrames:
			yield(nil, &DecodeError{Format: f.format, Reason: ErrTooLarge,
				Detail: fmt.Sprintf("%d frames where %d are allowed", len(f.parts), o.MaxFrames)})
			return
		case pixels > o.MaxPixels:
			yield(nil, &DecodeError{Format: f.format, Reason: ErrTooLarge,
				Detail: fmt.Sprintf("frames of more than %d pixels together", o.MaxPixels)})
			return
		case !p.rect.In(canvas.bounds) || p.rect.Empty():
			yield(nil, &DecodeError{Format: f.format, Reason: ErrCorrupt,
				Detail: fmt.Sprintf("frame %d at %v lies outside the picture of %d × %d", i, p.rect, f.width, f.height)})
			return
		}
		d, err := p.open(ctx, f.format)
		switch {
		case err != nil:
		case d.damage.Reason == DamageBudget && !o.AcceptTruncated:
			err = &DecodeError{Format: f.format, Reason: ErrTooLarge, Detail: "decoding it is too much work"}
		case d.damage.Visible() && !o.AcceptTruncated:
			err = damaged(f.format, nil, "%v", d.damage)
		case d.img.Bounds().Size() != p.rect.Size():
			b := d.img.Bounds()
			err = damaged(f.format, nil, "frame %d is %d × %d, its container says %d × %d", i, b.Dx(), b.Dy(), p.rect.Dx(), p.rect.Dy())
		}
		if err != nil {
			yield(nil, err)
			return
		}
		pic := newPicture(canvas.draw(d.img, p, i == len(f.parts)-1), f.orientation, f.format)
		pic.damage, pic.colours = d.damage, d.colours
		if !yield(pic, nil) {
			return
		}
	}
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
	var pngU png.UnsupportedError
	switch {
	case jpegReason(err) != nil:
		reason = jpegReason(err)
	case errors.Is(err, ErrTooLarge):
		reason = ErrTooLarge
	case errors.Is(err, ErrUnsupported), errors.As(err, &pngU):
		reason = ErrUnsupported
	}
	return &DecodeError{Format: format, Reason: reason, Err: err}
}

// whole is the only part of a still picture.
func whole(w, h int, data []byte, decode func(io.Reader) (image.Image, error)) []part {
	return []part{{rect: image.Rect(0, 0, w, h), data: func() []byte { return data }, decode: decode}}
}

func damaged(f Format, err error, format string, a ...any) error {
	return &DecodeError{Format: f, Reason: ErrCorrupt, Detail: fmt.Sprintf(format, a...), Err: err}
}

func decodeGIF(r io.Reader) (image.Image, error)  { return gif.Decode(r) }
func decodeWebP(r io.Reader) (image.Image, error) { return webp.Decode(r) }
