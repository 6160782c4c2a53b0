package feed

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/staydown/staydown/blocklist"
)

// The pointer: a line with the format, a line of JSON, and a line for each
// signature. docs/format/feed.md describes it.
const (
	pointerName    = "latest"
	pointerContext = "staydown feed 1\n"
	maxPointer     = 16 << 10
	maxSignatures  = 4
	maxDeltas      = 128

	// maxSkew is how far two clocks may differ. A file that is further ahead was
	// written when the clock was wrong: its age is not known.
	maxSkew = time.Hour
)

var (
	// ErrPointer: the pointer of a feed is not one, or contradicts itself.
	ErrPointer = errors.New("not a pointer of a feed")
	// ErrOwnCopy: a reader cannot tell what it has seen. See Options.Dir.
	ErrOwnCopy = errors.New("state of the own copy cannot be read")
	// ErrMismatch: a file is not the one that the pointer names.
	ErrMismatch = errors.New("file is not the one that was named")
)

// pointer names the files of a list at one position.
type pointer struct {
	List   hexBytes `json:"list"`
	Epoch  uint32   `json:"epoch,omitempty"`
	Seq    uint64   `json:"seq"`
	Digest hexBytes `json:"digest"`
	// Written is when the publisher signed it, in seconds since 1970.
	Written int64 `json:"written"`
	// Wait is the least time between two requests of a reader, in seconds.
	Wait int64 `json:"wait,omitempty"`
	// Retain is how long files may be kept, in seconds.
	Retain int64 `json:"retain"`
	// Least is the time of the oldest base that a reader may still use.
	Least int64 `json:"least,omitempty"`
	Base  file  `json:"base"`
	// From is the event after which the deltas begin; each begins where the one
	// before it ends.
	From   uint64 `json:"from"`
	Deltas []file `json:"deltas,omitempty"`
}

// file is a file that a pointer names.
type file struct {
	Seq    uint64   `json:"seq"` // of the last event
	Size   int64    `json:"size"`
	At     int64    `json:"at"` // when it was written
	SHA256 hashText `json:"sha256"`
	// Faces is until when the faces of a base may be used; 0 without any.
	Faces int64 `json:"faces,omitempty"`
}

// hexBytes are written as hexadecimal digits.
type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h), nil }

func (h *hexBytes) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

// hashText is a SHA-256, written in base64.
type hashText [sha256.Size]byte

func (h hashText) MarshalText() ([]byte, error) {
	return base64.RawURLEncoding.AppendEncode(nil, h[:]), nil
}

func (h *hashText) UnmarshalText(b []byte) error {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(string(b))
	if err == nil && len(raw) != len(h) {
		err = errors.New("a digest of another length")
	}
	if err == nil {
		*h = hashText(raw)
	}
	return err
}

const (
	basePrefix  = "base-"
	baseSuffix  = ".snap"
	deltaPrefix = "delta-"
	deltaSuffix = ".sdd"
)

func baseName(f *file) string {
	return fmt.Sprintf("%s%d-%x%s", basePrefix, f.Seq, f.SHA256[:8], baseSuffix)
}

func deltaName(from uint64, f *file) string {
	return fmt.Sprintf("%s%d-%d-%x%s", deltaPrefix, from, f.Seq, f.SHA256[:8], deltaSuffix)
}

// isFile reports whether a name is one that a publisher gives to files.
func isFile(name string) bool {
	return strings.HasPrefix(name, basePrefix) && strings.HasSuffix(name, baseSuffix) ||
		strings.HasPrefix(name, deltaPrefix) && strings.HasSuffix(name, deltaSuffix)
}

func (p *pointer) position() blocklist.Position {
	return blocklist.Position{Epoch: p.Epoch, Seq: p.Seq, Digest: [32]byte(p.Digest)}
}

func (p *pointer) id() [16]byte { return [16]byte(p.List) }

func (p *pointer) writtenAt() time.Time { return time.Unix(p.Written, 0) }

// names returns the names of all files of a pointer.
func (p *pointer) names() []string {
	names := []string{baseName(&p.Base)}
	from := p.From
	for i := range p.Deltas {
		names = append(names, deltaName(from, &p.Deltas[i]))
		from = p.Deltas[i].Seq
	}
	return names
}

// clone returns a copy whose deltas can be changed.
func (p *pointer) clone() *pointer {
	q := *p
	q.Deltas = slices.Clone(p.Deltas)
	return &q
}

// sign returns the text of a pointer, signed with each of the keys.
func (p *pointer) sign(keys []ed25519.PrivateKey) ([]byte, error) {
	content, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	text := append([]byte(pointerContext), content...)
	text = append(text, '\n')
	signed := slices.Clone(text)
	for _, k := range keys {
		text = appendSignature(text, k, signed)
	}
	if len(text) > maxPointer {
		return nil, fmt.Errorf("feed: pointer of %d bytes, at most %d are possible: %w", len(text), maxPointer, blocklist.ErrLimit)
	}
	return text, nil
}

func appendSignature(text []byte, k ed25519.PrivateKey, signed []byte) []byte {
	text = hex.AppendEncode(text, k.Public().(ed25519.PublicKey))
	text = append(text, ' ')
	text = base64.RawURLEncoding.AppendEncode(text, ed25519.Sign(k, signed))
	return append(text, '\n')
}

// parsePointer reads a pointer, if one of the trusted keys signed it. Nothing of
// it is read before.
func parsePointer(text []byte, trusted []ed25519.PublicKey) (*pointer, error) {
	return readPointer(text, func(signed, lines []byte) error { return verifyPointer(signed, lines, trusted) })
}

// readPointer reads a pointer that verify accepts.
func readPointer(text []byte, verify func(signed, lines []byte) error) (*pointer, error) {
	bad := func(why string) (*pointer, error) {
		return nil, fmt.Errorf("feed: pointer: %s: %w", why, ErrPointer)
	}
	if len(text) > maxPointer {
		return bad("it is too long")
	}
	content, ok := bytes.CutPrefix(text, []byte(pointerContext))
	if !ok {
		if bytes.HasPrefix(text, []byte("staydown feed ")) {
			return nil, fmt.Errorf("feed: pointer: %w", blocklist.ErrVersion)
		}
		return bad("it does not begin as one")
	}
	content, signatures, ok := bytes.Cut(content, []byte("\n"))
	if !ok {
		return bad("it is cut")
	}
	if err := verify(text[:len(pointerContext)+len(content)+1], signatures); err != nil {
		return nil, err
	}
	p := new(pointer)
	if err := json.Unmarshal(content, p); err != nil {
		return bad("its content is not valid JSON of a pointer")
	}
	if why := p.check(); why != "" {
		return bad(why)
	}
	return p, nil
}

// verifyPointer looks for a line with a signature by a trusted key that fits.
func verifyPointer(signed, lines []byte, trusted []ed25519.PublicKey) error {
	if !bytes.HasSuffix(lines, []byte("\n")) {
		return fmt.Errorf("feed: pointer: it is cut: %w", ErrPointer)
	}
	all := strings.Split(strings.TrimSuffix(string(lines), "\n"), "\n")
	if len(all) > maxSignatures {
		return fmt.Errorf("feed: pointer: %d signatures, at most %d are accepted: %w", len(all), maxSignatures, ErrPointer)
	}
	for _, line := range all {
		key, signature, _ := strings.Cut(line, " ")
		k, err1 := hex.DecodeString(key)
		s, err2 := base64.RawURLEncoding.Strict().DecodeString(signature)
		if err1 != nil || err2 != nil || len(k) != ed25519.PublicKeySize || hex.EncodeToString(k) != key {
			return fmt.Errorf("feed: pointer: a signature is not one: %w", ErrPointer)
		}
		if !slices.ContainsFunc(trusted, func(t ed25519.PublicKey) bool { return t.Equal(ed25519.PublicKey(k)) }) {
			continue
		}
		if !ed25519.Verify(k, signed, s) {
			return fmt.Errorf("feed: pointer: %w", blocklist.ErrSignature)
		}
		return nil
	}
	return fmt.Errorf("feed: pointer is not signed with a trusted key: %w", blocklist.ErrKey)
}

// maxRetain is 100 years in seconds; a time.Duration ends not much later.
const maxRetain = 100 * 365 * 24 * 3600

// check returns what is wrong with a pointer.
func (p *pointer) check() string {
	switch {
	case len(p.List) != 16 || len(p.Digest) != 32:
		return "an id or a digest has another length"
	case p.Base.Seq > p.Seq || p.Least > p.Base.At:
		return "its base is newer than the list, or older than allowed"
	case !p.Base.isWhole() || p.Written <= 0:
		return "a size or a time is missing"
	case p.Wait < 0 || p.Retain <= 0 || p.Retain > maxRetain:
		return "a duration is negative, or above 100 years"
	}
	return p.checkDeltas()
}

func (f *file) isWhole() bool { return f.Size > 0 && f.At > 0 }

func (p *pointer) checkDeltas() string {
	if len(p.Deltas) == 0 {
		if p.Base.Seq != p.Seq {
			return "its base ends before the list"
		}
		return ""
	}
	at := p.From
	for i := range p.Deltas {
		d := &p.Deltas[i]
		if d.Seq <= at || !d.isWhole() || d.Size > blocklist.MaxDelta {
			return "its deltas do not follow each other"
		}
		at = d.Seq
	}
	switch {
	case len(p.Deltas) > maxDeltas:
		return "it names too many deltas"
	case at != p.Seq:
		return "its deltas end before the list"
	case p.Base.Seq < p.From:
		return "its deltas begin after the base"
	}
	return ""
}

// chain returns the deltas that bring a list from an event on to the end, with the
// event that each begins after, and their size. ok is false if they do not reach
// back that far.
func (p *pointer) chain(from uint64) (files []link, size int64, ok bool) {
	if from == p.Seq {
		return nil, 0, true
	}
	at := p.From
	ok = from >= at
	for i := range p.Deltas {
		d := &p.Deltas[i]
		if d.Seq > from {
			files = append(files, link{at, d})
			size += d.Size
		}
		at = d.Seq
	}
	return files, size, ok && len(files) > 0
}

// link is a delta of a chain.
type link struct {
	from uint64
	*file
}

func (l link) name() string { return deltaName(l.from, l.file) }
