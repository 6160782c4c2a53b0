package takedown

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/aesgcm"
	"github.com/staydown/staydown/phash"
)

// ErrWire is returned for bytes that are not a candidate, decision or match, or
// are one of a later version of the library.
var ErrWire = errors.New("takedown: not the stored form of this value")

func base64Text(b []byte) []byte {
	text := make([]byte, base64.StdEncoding.EncodedLen(len(b)))
	base64.StdEncoding.Encode(text, b)
	return text
}

func fromBase64(text []byte, max int) ([]byte, error) {
	if len(text) > base64.StdEncoding.EncodedLen(max) {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrWire, max)
	}
	b := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(b, text)
	if err != nil {
		return nil, fmt.Errorf("%w: no base64", ErrWire)
	}
	return b[:n], nil
}

// wireDigest is a SHA-256 in hexadecimal digits.
type wireDigest [32]byte

func (d wireDigest) MarshalText() ([]byte, error) {
	return []byte(hex.EncodeToString(d[:])), nil
}

func (d *wireDigest) UnmarshalText(text []byte) error { return digestText(d[:], "SHA-256", text) }

// digestText reads a digest in hexadecimal digits.
func digestText(d []byte, name string, text []byte) error {
	if len(text) != 2*len(d) {
		return fmt.Errorf("%w: a %s of %d digits, not %d", ErrWire, name, len(text), 2*len(d))
	}
	if _, err := hex.Decode(d, text); err != nil {
		return fmt.Errorf("%w: a %s that is not hexadecimal", ErrWire, name)
	}
	return nil
}

func (d wireDigest) IsZero() bool { return d == wireDigest{} }

// wireSHA1 and wireMD5 are other digests in hexadecimal digits.
type (
	wireSHA1 [20]byte
	wireMD5  [16]byte
)

func (d wireSHA1) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(d[:])), nil }
func (d wireMD5) MarshalText() ([]byte, error)  { return []byte(hex.EncodeToString(d[:])), nil }

func (d *wireSHA1) UnmarshalText(text []byte) error { return digestText(d[:], "SHA-1", text) }
func (d *wireMD5) UnmarshalText(text []byte) error  { return digestText(d[:], "MD5", text) }

// wireCandidate is the JSON form of a Candidate.
type wireCandidate struct {
	Version     int          `json:"version"`
	ImageURLs   []string     `json:"image_urls,omitempty"`
	PageURLs    []string     `json:"page_urls,omitempty"`
	SHA256      wireDigest   `json:"sha256,omitzero"`
	SHA1        wireSHA1     `json:"sha1,omitzero"`
	MD5         wireMD5      `json:"md5,omitzero"`
	Hashes      []phash.Hash `json:"hashes,omitempty"`
	Parts       []phash.Hash `json:"parts,omitempty"`
	Features    Features     `json:"features,omitzero"`
	Frames      []wireFrame  `json:"frames,omitempty"`
	Damage      wireDamage   `json:"damage,omitzero"`
	LeftOut     int          `json:"left_out,omitempty"`
	FacesUnseen bool         `json:"faces_unseen,omitempty"`
	Undecodable bool         `json:"undecodable,omitempty"`
}

type wireFrame struct {
	Index    int          `json:"index"`
	Hashes   []phash.Hash `json:"hashes,omitempty"`
	Features Features     `json:"features,omitzero"`
}

type wireDamage struct {
	Reason  uint8   `json:"reason"`
	Missing float64 `json:"missing"`
}

// MarshalJSON returns everything but the faces.
func (c Candidate) MarshalJSON() ([]byte, error) {
	w := wireCandidate{
		Version: wireVersion, ImageURLs: c.ImageURLs, PageURLs: c.PageURLs, SHA256: c.SHA256, SHA1: wireSHA1(c.SHA1), MD5: wireMD5(c.MD5), Hashes: c.Hashes, Parts: c.Parts, Features: c.Features,
		Damage: wireDamage{uint8(c.Damage.Reason), c.Damage.Missing}, LeftOut: c.LeftOut, FacesUnseen: c.facesUnseen(), Undecodable: c.Undecodable,
	}
	for _, f := range c.Frames {
		w.Frames = append(w.Frames, wireFrame{f.Index, f.Hashes, f.Features})
	}
	return json.Marshal(w)
}

// UnmarshalJSON reads what MarshalJSON wrote. An object without a version is read
// as the first version. A later version is an error that names it.
func (c *Candidate) UnmarshalJSON(b []byte) error {
	var w wireCandidate
	if err := unmarshalVersion(b, "a candidate", &w); err != nil {
		return err
	}
	if len(w.Frames) > maxWireFrames {
		return fmt.Errorf("%w: %d frames, at most %d", ErrWire, len(w.Frames), maxWireFrames)
	}
	*c = Candidate{
		ImageURLs: w.ImageURLs, PageURLs: w.PageURLs, SHA256: w.SHA256, SHA1: w.SHA1, MD5: w.MD5, Hashes: w.Hashes, Parts: w.Parts, Features: w.Features,
		Damage: phash.Damage{Reason: phash.DamageReason(w.Damage.Reason), Missing: w.Damage.Missing}, LeftOut: w.LeftOut, FacesUnseen: w.FacesUnseen, Undecodable: w.Undecodable,
	}
	for _, f := range w.Frames {
		c.Frames = append(c.Frames, Frame{Index: f.Index, Hashes: f.Hashes, Features: f.Features})
	}
	return nil
}

// unmarshalVersion reads a JSON object into v. Its version is looked at first: the
// fields of a later version may have other types.
func unmarshalVersion(b []byte, what string, v any) error {
	var head struct {
		Version int `json:"version"`
	}
	if err := unmarshal(b, &head); err != nil {
		return err
	}
	if head.Version < 0 || head.Version > wireVersion {
		return fmt.Errorf("%w: version %d of %s; this library reads versions up to %d", ErrWire, head.Version, what, wireVersion)
	}
	return unmarshal(b, v)
}

// unmarshal is json.Unmarshal with errors that wrap ErrWire.
func unmarshal(b []byte, v any) error {
	err := json.Unmarshal(b, v)
	if err != nil && !errors.Is(err, ErrWire) {
		return fmt.Errorf("%w: %w", ErrWire, err)
	}
	return err
}

// Match is a candidate with the decision of an enforcer about it. A node sends it
// to a desk. It can be stored and sent like its parts.
type Match struct {
	Candidate Candidate `json:"candidate"`
	Decision  Decision  `json:"decision"`
}

// MarshalBinary returns a form that UnmarshalBinary reads.
func (m Match) MarshalBinary() ([]byte, error) {
	c, err := m.Candidate.MarshalBinary()
	if err != nil {
		return nil, err
	}
	d, err := m.Decision.MarshalBinary()
	return appendPart(appendPart(nil, c), d), err
}

// UnmarshalBinary reads what MarshalBinary wrote.
func (m *Match) UnmarshalBinary(b []byte) error {
	c, b, err := cutPart(b)
	if err != nil {
		return err
	}
	d, b, err := cutPart(b)
	if err != nil {
		return err
	}
	if len(b) > 0 {
		return fmt.Errorf("%w: %d bytes too many", ErrWire, len(b))
	}
	var got Match
	if err := got.Candidate.UnmarshalBinary(c); err != nil {
		return err
	}
	if err := got.Decision.UnmarshalBinary(d); err != nil {
		return err
	}
	*m = got
	return nil
}

// Limits of what is read.
const (
	maxWireFrames = 10_000
	maxWireList   = 10_000 // addresses, hashes and faces of a list
)

// wireVersion is the version of the JSON forms and of the binary forms. A binary form
// is a byte for the version, then the JSON form of the small fields and the binary form
// of the large ones.
const wireVersion = 1

// MarshalBinary returns everything but the faces.
func (c Candidate) MarshalBinary() ([]byte, error) {
	small := c
	small.Features, small.Frames = Features{}, make([]Frame, len(c.Frames))
	sets := []Features{c.Features}
	for i, f := range c.Frames {
		small.Frames[i] = Frame{Index: f.Index, Hashes: f.Hashes}
		sets = append(sets, f.Features)
	}
	head, err := json.Marshal(small)
	if err != nil {
		return nil, err
	}
	b := appendPart([]byte{wireVersion}, head)
	for _, f := range sets {
		set, err := f.MarshalBinary()
		if err != nil {
			return nil, err
		}
		b = appendPart(b, set)
	}
	return b, nil
}

// UnmarshalBinary reads what MarshalBinary wrote.
func (c *Candidate) UnmarshalBinary(b []byte) error {
	if err := checkVersion(b, "a candidate"); err != nil {
		return err
	}
	head, b, err := cutPart(b[1:])
	if err != nil {
		return err
	}
	var got Candidate
	if err := unmarshal(head, &got); err != nil {
		return err
	}
	for i := range 1 + len(got.Frames) {
		var set []byte
		if set, b, err = cutPart(b); err != nil {
			return err
		}
		if err := got.featuresAt(i).UnmarshalBinary(set); err != nil {
			return err
		}
	}
	if len(b) > 0 {
		return fmt.Errorf("%w: %d bytes too many", ErrWire, len(b))
	}
	*c = got
	return nil
}

// checkVersion checks the first byte of a binary form.
func checkVersion(b []byte, what string) error {
	switch {
	case len(b) == 0:
		return fmt.Errorf("%w: it is empty", ErrWire)
	case b[0] != wireVersion:
		return fmt.Errorf("%w: version %d of %s; this library reads version %d", ErrWire, b[0], what, wireVersion)
	}
	return nil
}

func appendPart(b, part []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(part))), part...)
}

func cutPart(b []byte) (part, rest []byte, err error) {
	n, k := binary.Uvarint(b)
	if k <= 0 || n > uint64(len(b)-k) {
		return nil, nil, fmt.Errorf("%w: it is cut off", ErrWire)
	}
	return b[k : k+int(n)], b[k+int(n):], nil
}

// MarshalSealed returns the binary form with the faces, encrypted with a key that
// the receiver also has.
func (c Candidate) MarshalSealed(key *blocklist.EncryptionKey) ([]byte, error) {
	plain, err := c.MarshalBinary()
	if err != nil {
		return nil, err
	}
	b := appendPart(nil, plain)
	for i := range 1 + len(c.Frames) {
		faces := *c.facesAt(i)
		b = binary.AppendUvarint(b, uint64(len(faces)))
		for _, f := range faces {
			face, err := f.MarshalBinary()
			if err != nil {
				return nil, err
			}
			b = appendPart(b, face)
		}
	}
	return aesgcm.New(*key).Seal([]byte{wireVersion}, nil, b, []byte("candidate")), nil
}

// UnmarshalSealed reads what MarshalSealed wrote.
func (c *Candidate) UnmarshalSealed(key *blocklist.EncryptionKey, sealed []byte) error {
	if err := checkVersion(sealed, "a sealed candidate"); err != nil {
		return err
	}
	b, err := aesgcm.New(*key).Open(nil, nil, sealed[1:], []byte("candidate"))
	if err != nil {
		return fmt.Errorf("%w: it does not open with the key", ErrWire)
	}
	plain, b, err := cutPart(b)
	if err != nil {
		return err
	}
	var got Candidate
	if err := got.UnmarshalBinary(plain); err != nil {
		return err
	}
	for i := range 1 + len(got.Frames) {
		n, k := binary.Uvarint(b)
		if k <= 0 || n > maxWireList {
			return fmt.Errorf("%w: the number of faces", ErrWire)
		}
		b = b[k:]
		faces := make([]Face, n)
		for j := range faces {
			var part []byte
			if part, b, err = cutPart(b); err != nil {
				return err
			}
			if err := faces[j].UnmarshalBinary(part); err != nil {
				return err
			}
		}
		if n > 0 {
			*got.facesAt(i) = faces
		}
	}
	*c = got
	return nil
}
