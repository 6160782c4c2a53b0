package takedown

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5"  // to compare with lists that have no better digest
	"crypto/sha1" // the same
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/staydown/staydown/internal/apart"
	"github.com/staydown/staydown/internal/parts"
	"github.com/staydown/staydown/phash"
)

// Source is where an image comes from.
type Source struct {
	// ImageURL is the address of the image as the page has it.
	ImageURL string
	// Aliases are its other addresses: those it redirected to, and known
	// aliases. Their order does not matter.
	Aliases []string
	// PageURL is the address of the page that shows it.
	PageURL string
	// MediaType is the Content-Type of the response, if known. A file that is
	// served as an image and cannot be decoded is undecodable, independent of its
	// bytes.
	MediaType string
}

// candidate returns what is known before the file is read.
func (s *Source) candidate() (c Candidate) {
	for _, u := range append([]string{s.ImageURL}, s.Aliases...) {
		if u != "" {
			c.ImageURLs = append(c.ImageURLs, u)
		}
	}
	if s.PageURL != "" {
		c.PageURLs = []string{s.PageURL}
	}
	return c
}

// Limits of looking up. They are apart from those of uploads.
const (
	// DefaultInspectBytes is how much of an image file is decoded.
	DefaultInspectBytes = 64 << 20
	// DefaultInspectFrames is how many distinct frames of an animation are
	// looked at.
	DefaultInspectFrames = 24
)

// InspectOptions are the options of [Inspect]. The zero value, and nil, are the
// defaults.
type InspectOptions struct {
	// Decode holds the limits of decoding, and further decoders. If they are 0,
	// MaxBytes is DefaultInspectBytes and MaxFrames is DefaultInspectFrames. A
	// damaged file is always decoded as far as viewers show it: see
	// Candidate.Damage.
	Decode *phash.DecodeOptions
	// FirstFrame examines the first frame of an animation only. A picture hidden
	// in a later frame is then not found, and Candidate.LeftOut counts the other
	// frames.
	FirstFrame bool
	// NoFeatures leaves out the local features, which take most of the time.
	// Crops, captions and screenshots are then not recognised.
	NoFeatures bool
	// Parts also computes Candidate.Parts. It needs the features of the first picture
	// even if NoFeatures is set.
	Parts bool
	// FaceEmbedder, unless nil, finds the faces in every frame. If it fails,
	// Inspect returns the other data together with an [*EmbedderError], and
	// Candidate.FacesUnseen is set. [FaceSearch] finds more faces.
	FaceEmbedder FaceEmbedder
	// Slots, unless nil, limits the number of files that are decoded at a time to
	// its capacity. Calls that share it wait for each other, or for the end of
	// their contexts.
	Slots chan struct{}
}

// Inspect reads an image file and computes a candidate from it. It reads the whole
// file, for its digest, in little memory. It decodes an image from the first part
// of the file, within the limits of the options. Data behind a picture cannot hide
// the picture. The caller bounds the length of r.
//
// If the file cannot be decoded, Inspect returns its addresses and its digest
// together with the error of package phash. This candidate can still be passed to
// [Enforcer.Check]. Candidate.Undecodable is set if the file is an image. Damaged
// files and frames that were left out do not cause errors: see Candidate.Damage
// and Candidate.LeftOut.
//
// If r fails, Inspect wraps its error and returns no digest. Candidate.Undecodable
// is set also here if the file is an image: fetch it again. Use errors.As to
// distinguish a *phash.DecodeError from other errors.
func Inspect(r io.Reader, src Source, opts *InspectOptions) (Candidate, error) {
	return InspectContext(context.Background(), r, src, opts)
}

// InspectContext is [Inspect] with a context. The context is checked while the
// file is read and decoded, and is passed to the FaceEmbedder.
func InspectContext(ctx context.Context, r io.Reader, src Source, opts *InspectOptions) (Candidate, error) {
	if r == nil {
		return Candidate{}, &ArgumentError{"Inspect", "the reader is nil"}
	}
	if opts == nil {
		opts = new(InspectOptions)
	}
	c := src.candidate()
	file, err := readImage(ctx, r, &c, &src, opts.decoding(), true)
	if err != nil {
		return c, err
	}
	in := inspection{ctx: ctx, opts: opts, c: &c}
	err = in.decode(file, isImage(&src, file), func(pic *phash.Picture) error { return in.add(pic) })
	return c, errors.Join(err, in.noFaces)
}

// decoding returns the options of decoding.
func (o *InspectOptions) decoding() *phash.DecodeOptions {
	var d phash.DecodeOptions
	if o.Decode != nil {
		d = *o.Decode
	}
	d.AcceptTruncated = true
	d.MaxBytes, d.MaxFrames = cmp.Or(d.MaxBytes, DefaultInspectBytes), cmp.Or(d.MaxFrames, DefaultInspectFrames)
	return &d
}

// sniffed is how many bytes tell what a file is.
const sniffed = 512

// isImage reports whether a file is an image, by its first bytes or its media
// type.
func isImage(src *Source, head []byte) bool {
	return phash.Sniff(head) != phash.FormatUnknown || strings.HasPrefix(strings.ToLower(strings.TrimSpace(src.MediaType)), "image/")
}

// readImage reads r to its end and notes its digest; with others set, also its
// SHA-1 and MD5. It returns the part of an image that may be decoded, and the first
// bytes of any other file.
func readImage(ctx context.Context, r io.Reader, c *Candidate, src *Source, decode *phash.DecodeOptions, others bool) ([]byte, error) {
	digest, digest1, digest5 := sha256.New(), sha1.New(), md5.New()
	var sums io.Writer = digest
	if others {
		sums = io.MultiWriter(digest, digest1, digest5)
	}
	body := io.TeeReader(contextReader{ctx, r}, sums)
	file, err := io.ReadAll(io.LimitReader(body, sniffed))
	if err == nil && (isImage(src, file) || decode.Decoders[phash.FormatUnknown] != nil) {
		// One byte more than the limit: the decoder then knows that there is more.
		limit := decode.MaxBytes + 1 - int64(len(file))
		var rest []byte
		rest, err = io.ReadAll(io.LimitReader(body, limit))
		file = append(file, rest...)
	}
	if err == nil {
		_, err = io.Copy(io.Discard, body)
	}
	if err != nil {
		// Nobody looked at it, and there is no digest.
		c.Undecodable = isImage(src, file) && ctx.Err() == nil
		return nil, fmt.Errorf("takedown: reading an image: %w", err)
	}
	digest.Sum(c.SHA256[:0])
	if others {
		digest1.Sum(c.SHA1[:0])
		digest5.Sum(c.MD5[:0])
	}
	return file, nil
}

// contextReader ends with the error of its context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// inspection is an Inspect that runs.
type inspection struct {
	ctx     context.Context
	opts    *InspectOptions
	c       *Candidate
	noFaces error // why nobody knows the faces
	seen    map[phash.Hash]bool
	n       int // pictures so far
}

// decode gives each distinct picture of the file to add, and notes damage and
// what was left out.
func (in *inspection) decode(file []byte, isImage bool, add func(*phash.Picture) error) error {
	var free func()
	if slots := in.opts.Slots; slots != nil {
		select {
		case slots <- struct{}{}:
			free = func() { <-slots }
		case <-in.ctx.Done():
			return in.ctx.Err()
		}
	}
	in.seen = map[phash.Hash]bool{}
	frames := phash.DecodeFramesContext(in.ctx, bytes.NewReader(file), in.opts.decoding())
	err := apart.Each(in.ctx, free, func(yield func(*phash.Picture) bool) (failed error) {
		frames(func(pic *phash.Picture, err error) bool {
			failed = err
			return err == nil && yield(pic)
		})
		return failed
	}, func(pic *phash.Picture) error {
		if d := pic.Damage(); d.Missing > in.c.Damage.Missing || in.c.Damage == (phash.Damage{}) {
			in.c.Damage = d
		}
		if err := add(pic); err != nil {
			return &stopError{err}
		}
		if in.opts.FirstFrame {
			in.c.LeftOut = pic.Frame().Count - 1
			return &stopError{}
		}
		return nil
	})
	var left *phash.LeftOutError
	var stop *stopError
	switch {
	case errors.As(err, &stop):
		return stop.err
	case errors.As(err, &left):
		in.c.LeftOut = left.LeftOut
		return nil
	case err != nil:
		// What was found before the fault counts.
		in.c.Undecodable = isImage && in.n == 0 && in.ctx.Err() == nil
	}
	return err
}

// stopError ends decoding before the end of the file, with an error or without.
type stopError struct{ err error }

func (e *stopError) Error() string { return "stopped" }

// add adds a picture to the candidate, unless it looks like an earlier one.
func (in *inspection) add(pic *phash.Picture) error {
	f, fresh, err := in.hashed(pic)
	if !fresh || err != nil {
		return err
	}
	if !in.opts.NoFeatures {
		f.Features, err = in.features(pic)
	}
	f.Faces = in.faces(pic)
	in.put(f)
	if err != nil {
		return err
	}
	return in.parts(pic)
}

// parts notes the parts of the first picture of the file, if they are asked for.
func (in *inspection) parts(pic *phash.Picture) (err error) {
	if !in.opts.Parts || in.n != 1 {
		return nil
	}
	f := in.c.Features
	if f.IsZero() {
		if f, err = in.features(pic); err != nil {
			return err
		}
	}
	in.c.Parts, err = until(in.ctx, func() ([]phash.Hash, error) { return parts.Hashes(pic.Luma(), f.f, parts.Asked), nil })
	return err
}

// hashed returns the frame of a picture with its hashes, and whether it looks like no
// earlier one.
func (in *inspection) hashed(pic *phash.Picture) (f Frame, fresh bool, err error) {
	f.Index = pic.Frame().Index
	if f.Hashes, err = until(in.ctx, func() ([]phash.Hash, error) { return phash.HashesToAsk(pic), nil }); err != nil {
		return f, false, err
	}
	own := f.Hashes[0]
	if in.n > 0 && !own.IsZero() && in.seen[own] {
		return f, false, nil
	}
	in.seen[own] = true
	return f, true, nil
}

func (in *inspection) features(pic *phash.Picture) (Features, error) {
	return until(in.ctx, func() (Features, error) { return featuresOf(pic) })
}

// until returns what f returns, or the error of the context if that ends before.
// Hashing a large picture takes a while, and cannot be interrupted.
func until[T any](ctx context.Context, f func() (T, error)) (T, error) {
	done := make(chan T, 1)
	err := apart.Run(ctx, nil, func() error {
		v, err := f()
		done <- v
		return err
	})
	select {
	case v := <-done:
		return v, err
	default:
		var none T
		return none, err
	}
}

func (in *inspection) put(f Frame) {
	if in.n++; in.n == 1 {
		in.c.Hashes, in.c.Features, in.c.Faces = f.Hashes, f.Features, f.Faces
		return
	}
	in.c.Frames = append(in.c.Frames, f)
}

// faces returns the faces of a picture, and notes if they are not all known.
func (in *inspection) faces(pic *phash.Picture) []Face {
	if in.opts.FaceEmbedder == nil || in.noFaces != nil {
		return nil
	}
	found, all, err := facesOf(in.ctx, in.opts.FaceEmbedder, pic.Image())
	in.noFaces = err
	in.c.FacesUnseen = in.c.FacesUnseen || err != nil || !all
	return found
}
