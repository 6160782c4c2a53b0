package takedown

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/features"
	"github.com/staydown/staydown/phash"
)

// Candidate is an image that somebody wants to index or show, with everything
// that is known of it. Every field may be empty; what is there is compared.
type Candidate struct {
	// ImageURLs are all addresses of the image: the one on the page, each of
	// the redirect chain, known aliases of a delivery network. One that is
	// blocked blocks the candidate.
	ImageURLs []string
	// PageURLs are the addresses of pages that show it.
	PageURLs []string
	// SHA256 is the digest of the file as it was fetched; zero for none.
	SHA256 [32]byte
	// Hashes are those of the picture, as phash.HashesToAsk gives them, or the first of
	// them alone, which is what an index stores; of an animation, those of its first
	// frame. All must be of one picture: what a person says of a match counts for all
	// of them.
	Hashes []phash.Hash
	// Frames are the hashes of the further frames of an animation.
	Frames [][]phash.Hash
	// Features are the local features of the picture, or of the first frame.
	Features Features
	// Faces are all faces of the picture, or of the first frame, and FrameFaces
	// those of the further frames, as Frames. Of one picture or frame the first
	// MaxFaces are compared. They are biometric data: JSON leaves them out.
	Faces      []Face   `json:"-"`
	FrameFaces [][]Face `json:"-"`
	// Truncated says that the file ended before the picture did: what is missing
	// was looked at as noise. What matches nevertheless counts, but where nothing
	// does, no tier that compares pixels is in Decision.Checked. Fetch the file
	// again.
	Truncated bool `json:",omitempty"`
}

// faces returns the faces of frame i: 0 is the first.
func (c *Candidate) faces(i int) []Face {
	faces := c.Faces
	if i > 0 {
		faces = nil
		if i <= len(c.FrameFaces) {
			faces = c.FrameFaces[i-1]
		}
	}
	return faces[:min(len(faces), MaxFaces)]
}

// frame returns the hashes of frame i: 0 is the first.
func (c *Candidate) frame(i int) []phash.Hash {
	switch {
	case i == 0:
		return c.Hashes
	case i > 0 && i <= len(c.Frames):
		return c.Frames[i-1]
	}
	return nil
}

// Features are the local features of a picture: what is kept of its pixels to
// find a registered picture inside it, cropped, captioned or in a screenshot.
// It is an opaque value that can be stored and sent; the zero Features is none.
//
// Features are not anonymous: they hold a small picture. Treat them as you
// treat the pictures.
type Features struct{ f blocklist.Features }

// IsZero reports whether f is the zero Features.
func (f Features) IsZero() bool { return f.f.IsZero() }

// MarshalBinary returns at most 40 KB that UnmarshalBinary reads, in this
// version of the library and in later ones; nothing for the zero Features.
func (f Features) MarshalBinary() ([]byte, error) { return f.f.MarshalBinary() }

// UnmarshalBinary reads what MarshalBinary wrote. Other bytes are an error.
func (f *Features) UnmarshalBinary(b []byte) error {
	if len(b) == 0 {
		*f = Features{}
		return nil
	}
	got, err := features.Open(bytes.Clone(b))
	if err != nil {
		return fmt.Errorf("takedown: %w", err)
	}
	f.f = got
	return nil
}

// featuresOf extracts the features of a picture; none if it is too small or
// too narrow to have any.
func featuresOf(pic *phash.Picture) (Features, error) {
	f, err := features.Extract(pic.Image())
	var size *features.SizeError
	if errors.As(err, &size) {
		return Features{}, nil
	}
	if err != nil {
		return Features{}, fmt.Errorf("takedown: %w", err)
	}
	return Features{f}, nil
}

// Source is where an image comes from.
type Source struct {
	// ImageURL is the address of the image as the page has it.
	ImageURL string
	// Aliases are its other addresses: those it redirected to, and known
	// aliases.
	Aliases []string
	// PageURL is the address of the page that shows it.
	PageURL string
}

// InspectOptions are the options of [Inspect]. The zero value, and nil, are the
// defaults.
type InspectOptions struct {
	// Decode holds the limits of decoding; nil means phash's defaults, and that a
	// JPEG whose end is missing is looked at as far as it goes: Candidate.Truncated
	// then says so.
	Decode *phash.DecodeOptions
	// AllFrames takes the hashes of every frame of an animation, up to the
	// limit of Decode, instead of the first frame's only. A picture hidden in a
	// later frame is found only so.
	AllFrames bool
	// NoFeatures leaves out the local features, which take most of the time:
	// then no crop, caption or screenshot is recognised. Of an animation, they
	// are those of the first frame.
	NoFeatures bool
	// FaceEmbedder, unless nil, finds the faces: those of every frame with
	// AllFrames, of the first one otherwise. When it fails, Inspect returns what
	// else it found together with an [*EmbedderError].
	FaceEmbedder FaceEmbedder
}

// Inspect reads an image file and computes all that can be asked about it. It
// reads no more than the limits allow.
//
// When the file cannot be decoded, or is too large, Inspect returns what could
// be computed (its addresses, and its digest if all of it was read) together
// with the error of phash.Decode: [Enforcer.Check] can still be asked, and its
// Decision.Checked tells that nobody looked at the picture. A JPEG that is cut
// off is no error: see Candidate.Truncated.
func Inspect(r io.Reader, src Source, opts *InspectOptions) (Candidate, error) {
	return InspectContext(context.Background(), r, src, opts)
}

// InspectContext is [Inspect] with a context for the FaceEmbedder.
func InspectContext(ctx context.Context, r io.Reader, src Source, opts *InspectOptions) (Candidate, error) {
	if r == nil {
		return Candidate{}, &ArgumentError{"Inspect", "the reader is nil"}
	}
	if opts == nil {
		opts = new(InspectOptions)
	}
	var noFaces error // why nobody knows the faces
	faces := func(pic *phash.Picture) (found []Face) {
		if opts.FaceEmbedder != nil && noFaces == nil {
			found, noFaces = facesOf(ctx, opts.FaceEmbedder, pic.Image())
		}
		return found
	}
	var c Candidate
	for _, u := range append([]string{src.ImageURL}, src.Aliases...) {
		if u != "" {
			c.ImageURLs = append(c.ImageURLs, u)
		}
	}
	if src.PageURL != "" {
		c.PageURLs = []string{src.PageURL}
	}
	decode := opts.Decode
	if decode == nil {
		// Viewers show what is there of a file that was cut; cutting a little off
		// must not hide a picture.
		decode = &phash.DecodeOptions{AcceptTruncated: true}
	}
	limit := cmp.Or(decode.MaxBytes, phash.DefaultMaxBytes)
	// One byte more than the limit: the decoder then says what is wrong.
	file, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return c, fmt.Errorf("takedown: reading an image: %w", err)
	}
	if int64(len(file)) <= limit {
		c.SHA256 = sha256.Sum256(file)
	}
	if !opts.AllFrames {
		pic, err := phash.Decode(bytes.NewReader(file), decode)
		if err != nil {
			return c, err
		}
		c.Hashes, c.Truncated = phash.HashesToAsk(pic), pic.Truncated()
		if !opts.NoFeatures {
			c.Features, err = featuresOf(pic)
		}
		c.Faces = faces(pic)
		return c, errors.Join(err, noFaces)
	}
	seen := map[phash.Hash]bool{}
	for pic, err := range phash.DecodeFrames(bytes.NewReader(file), decode) {
		if err != nil {
			return c, errors.Join(err, noFaces)
		}
		hashes := phash.HashesToAsk(pic)
		c.Truncated = c.Truncated || pic.Truncated()
		switch {
		case c.Hashes == nil:
			c.Hashes, c.Faces = hashes, faces(pic)
			if !opts.NoFeatures {
				if c.Features, err = featuresOf(pic); err != nil {
					return c, errors.Join(err, noFaces)
				}
			}
		case seen[hashes[0]]: // as an earlier frame
			continue
		default:
			c.Frames = append(c.Frames, hashes)
			if opts.FaceEmbedder != nil {
				c.FrameFaces = append(c.FrameFaces, faces(pic))
			}
		}
		seen[hashes[0]] = true
	}
	return c, noFaces
}
