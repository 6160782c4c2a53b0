package takedown

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"log/slog"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/features"
	"github.com/staydown/staydown/phash"
)

// Candidate is an image to be indexed or shown, with all data that is known about
// it. Every field may be empty; the fields that are set are compared.
//
// A candidate can be stored and sent, as JSON and in binary form, and then has the
// same verdict. Faces are biometric data: both forms leave them out, and a
// candidate without faces is not compared by TierFace. [Candidate.MarshalSealed]
// keeps the faces. String prints no address, hash or pixel.
type Candidate struct {
	// ImageURLs are all addresses of the image: the one on the page, each of
	// the redirect chain, known aliases of a delivery network. One that is
	// blocked blocks the candidate.
	ImageURLs []string
	// PageURLs are the addresses of pages that show the image. A rule for a page
	// blocks the page. It blocks an image only if all known pages of the image are
	// blocked.
	PageURLs []string
	// SHA256 is the digest of the file as it was fetched, or zero.
	SHA256 [32]byte
	// SHA1 and MD5 are its other digests, or zero. Some lists of other organisations
	// name files by them. CheckFile computes them only if a list needs them.
	SHA1 [20]byte
	MD5  [16]byte
	// Hashes are the hashes of the picture, as phash.HashesToAsk returns them. An
	// index stores only the first of them, which can be used alone. For an
	// animation they are the hashes of its first frame. All must be of one
	// picture, because a reviewer's answer to a match applies to all of them.
	Hashes []phash.Hash
	// Parts are hashes of at most eight parts of the picture, or of the first frame.
	// An index keeps them with the first hash, and passes all to [Enforcer.Filter].
	// Inspect computes them if [InspectOptions].Parts is set. Check does not use
	// them, because features find more.
	Parts []phash.Hash
	// Features are the local features of the picture, or of the first frame.
	Features Features
	// Faces are all faces of the picture, or of the first frame. The first
	// MaxFaces are compared; see FacesUnseen.
	Faces []Face
	// Frames are the further pictures of the file: distinct frames of an
	// animation, or pictures added by [Candidate.Add].
	Frames []Frame
	// Damage describes damage of the file. Matches with a damaged picture count.
	// If part of the picture is missing and nothing matches, tiers that compare
	// pixels are left out of Decision.Checked: fetch the file again.
	Damage phash.Damage
	// LeftOut is the number of frames of an animation that were not examined. If
	// it is not 0 and nothing matches, tiers that compare pixels are left out of
	// Decision.Checked.
	LeftOut int
	// FacesUnseen reports that nobody knows all faces of the file: the embedder
	// failed, or found more than MaxFaces in a picture. If a list has faces and
	// nothing matches, TierFace is left out of Decision.Checked, and the verdict is
	// [EnforcerOptions].Undecodable. More than MaxFaces in Faces have the same effect.
	FacesUnseen bool
	// Undecodable reports that the file is an image, by its bytes or its media
	// type, but could not be decoded. If nothing else blocks the file, the verdict
	// is [EnforcerOptions].Undecodable.
	Undecodable bool
}

// Frame is a further picture of a candidate.
type Frame struct {
	// Index is its number in the file, from 0; −1 if the host added it.
	Index    int
	Hashes   []phash.Hash
	Features Features
	Faces    []Face
}

// Picture returns the data of picture i of the candidate, numbered as in
// Decision.Frame: 0 is the candidate itself, the others are Frames. Faces are
// limited to those that are compared.
func (c *Candidate) Picture(i int) Frame {
	switch {
	case i == 0:
		return Frame{Hashes: c.Hashes, Features: c.Features, Faces: c.Faces[:min(len(c.Faces), MaxFaces)]}
	case i > 0 && i <= len(c.Frames):
		f := c.Frames[i-1]
		f.Faces = f.Faces[:min(len(f.Faces), MaxFaces)]
		return f
	}
	return Frame{}
}

// featuresAt returns where the features of picture i are.
func (c *Candidate) featuresAt(i int) *Features {
	if i == 0 {
		return &c.Features
	}
	return &c.Frames[i-1].Features
}

// facesAt returns where all faces of picture i are.
func (c *Candidate) facesAt(i int) *[]Face {
	if i == 0 {
		return &c.Faces
	}
	return &c.Frames[i-1].Faces
}

// facesUnseen reports whether a face of the candidate may not have been compared.
func (c *Candidate) facesUnseen() bool {
	if c.FacesUnseen {
		return true
	}
	for i := range 1 + len(c.Frames) {
		if len(*c.facesAt(i)) > MaxFaces {
			return true
		}
	}
	return false
}

// partly reports whether pixels of the file were not looked at.
func (c *Candidate) partly() bool { return c.Damage.Visible() || c.LeftOut > 0 }

// Add adds a picture that the host has: a thumbnail of a video, a page of a
// document, or a picture that the host's own decoder has read. It computes
// hashes and features. The first picture of a candidate without one becomes the
// candidate's own.
func (c *Candidate) Add(img image.Image) error {
	pic, err := phash.NewPicture(img)
	if err != nil {
		return err
	}
	f := Frame{Index: -1, Hashes: phash.HashesToAsk(pic)}
	if f.Features, err = featuresOf(pic); err != nil {
		return err
	}
	if c.Hashes == nil && c.Features.IsZero() {
		c.Hashes, c.Features, c.Undecodable = f.Hashes, f.Features, false
		return nil
	}
	c.Frames = append(c.Frames, f)
	return nil
}

// String describes the candidate in numbers.
func (c Candidate) String() string {
	s := fmt.Sprintf("candidate: %d image and %d page addresses", len(c.ImageURLs), len(c.PageURLs))
	if c.SHA256 != [32]byte{} {
		s += ", digest"
	}
	s += fmt.Sprintf(", %d hashes, features %v", len(c.Hashes), c.Features)
	if n := len(c.Faces); n > 0 {
		s += fmt.Sprintf(", %d faces", n)
	}
	if n := len(c.Frames); n > 0 {
		s += fmt.Sprintf(", %d further pictures", n)
	}
	if c.Damage != (phash.Damage{}) {
		s += ", " + c.Damage.String()
	}
	if c.LeftOut > 0 {
		s += fmt.Sprintf(", %d frames left out", c.LeftOut)
	}
	if c.FacesUnseen {
		s += ", faces not seen"
	}
	if c.Undecodable {
		s += ", undecodable"
	}
	return s
}

// GoString is as String.
func (c Candidate) GoString() string { return "takedown.Candidate(" + c.String() + ")" }

// LogValue is as String.
func (c Candidate) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Features are the local features of a picture, which find a registered picture
// inside it: cropped, captioned or in a screenshot. Features are an opaque value
// that can be stored and sent, as text (base64) and in binary form. The zero
// Features are empty.
//
// Features are not anonymous, because they hold a small picture. Treat them as you
// treat the pictures. They print only their size.
type Features struct{ f blocklist.Features }

// MaxFeatures is the longest binary form of Features in bytes. The features of a
// photograph for a look-up have some 65,000 bytes.
const MaxFeatures = features.MaxSize

// IsZero reports whether f is the zero Features.
func (f Features) IsZero() bool { return f.f.IsZero() }

// MarshalBinary returns at most MaxFeatures bytes for UnmarshalBinary, in this
// version of the library and in later ones. It returns no bytes for the zero
// Features.
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

// MarshalText returns the binary form in base64.
func (f Features) MarshalText() ([]byte, error) {
	b, err := f.MarshalBinary()
	return base64Text(b), err
}

// UnmarshalText reads what MarshalText wrote.
func (f *Features) UnmarshalText(text []byte) error {
	b, err := fromBase64(text, MaxFeatures)
	if err != nil {
		return fmt.Errorf("takedown: features: %w", err)
	}
	return f.UnmarshalBinary(b)
}

// String returns the number of points.
func (f Features) String() string {
	if f.IsZero() {
		return "none"
	}
	return fmt.Sprintf("of %d points", f.f.Len())
}

// GoString is as String.
func (f Features) GoString() string { return "takedown.Features(" + f.String() + ")" }

// LogValue is as String.
func (f Features) LogValue() slog.Value { return slog.StringValue(f.String()) }

// featuresOf extracts the features of a picture; none if it is too small or
// too narrow to have any.
func featuresOf(pic *phash.Picture) (Features, error) {
	f, err := features.Extract(pic.Luma())
	var size *features.SizeError
	if errors.As(err, &size) {
		return Features{}, nil
	}
	if err != nil {
		return Features{}, fmt.Errorf("takedown: %w", err)
	}
	return Features{f}, nil
}
