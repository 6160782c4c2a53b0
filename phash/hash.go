package phash

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"strings"

	"github.com/corona10/goimagehash"
)

// Algorithm names how a hash was computed: the algorithm and the version of
// its pipeline. Hashes of different algorithms have no distance.
//
// The values are written to journals and snapshots and never change their
// meaning; a changed pipeline gets a new value.
type Algorithm uint8

const (
	// AlgNone is the algorithm of the zero Hash: there is no hash.
	AlgNone Algorithm = 0
	// AlgPDQ is PDQ, 256 bits, computed from the picture at its full size, the
	// pipeline on which python-threatexchange, HMA and the Java and Rust
	// implementations agree.
	AlgPDQ Algorithm = 1
	// AlgPerception is the 64-bit perception hash of goimagehash v1.1.0.
	AlgPerception Algorithm = 2
)

// Bits returns the length of the algorithm's hashes in bits: 256 for AlgPDQ,
// 64 for AlgPerception, 0 for anything else.
func (a Algorithm) Bits() int {
	switch a {
	case AlgPDQ:
		return 256
	case AlgPerception:
		return 64
	}
	return 0
}

// String returns "pdq", "perception", "none" or "Algorithm(n)".
func (a Algorithm) String() string {
	switch a {
	case AlgNone:
		return "none"
	case AlgPDQ:
		return "pdq"
	case AlgPerception:
		return "perception"
	}
	return fmt.Sprintf("Algorithm(%d)", uint8(a))
}

// Hash is a perceptual hash together with the algorithm that made it. It is a
// small value: compare it with ==, use it as a map key, copy it freely. Its
// methods are safe for concurrent use.
//
// The zero Hash means "no hash"; it is distinct from a PDQ hash whose bits are
// all zero.
type Hash struct {
	// Bit k of the hash is bit k%64 of word k/64; bit 0 is the least
	// significant bit of the hash read as one big-endian number.
	w   [4]uint64
	alg Algorithm
}

// FromPDQ returns the PDQ hash with the given bytes, most significant first:
// b[0] holds the first two digits of the text form.
func FromPDQ(b [32]byte) Hash {
	h := Hash{alg: AlgPDQ}
	for i := range h.w {
		h.w[3-i] = binary.BigEndian.Uint64(b[8*i:])
	}
	return h
}

// FromPerception returns the perception hash with the given bits, as
// goimagehash's GetHash gives them.
func FromPerception(bits uint64) Hash {
	return Hash{w: [4]uint64{bits}, alg: AlgPerception}
}

// FromGoImageHash converts a hash made by goimagehash. It accepts only its
// perception hash: average, difference and wavelet hashes, and a nil pointer,
// give an error that wraps ErrHashKind.
func FromGoImageHash(h *goimagehash.ImageHash) (Hash, error) {
	if h == nil {
		return Hash{}, fmt.Errorf("phash: nil goimagehash hash: %w", ErrHashKind)
	}
	if h.GetKind() != goimagehash.PHash {
		return Hash{}, fmt.Errorf("phash: goimagehash kind %d is not a perception hash (%d): %w",
			h.GetKind(), goimagehash.PHash, ErrHashKind)
	}
	return FromPerception(h.GetHash()), nil
}

// Algorithm returns the algorithm of h, AlgNone for the zero Hash.
func (h Hash) Algorithm() Algorithm { return h.alg }

// IsZero reports whether h is the zero Hash: no hash at all.
func (h Hash) IsZero() bool { return h.alg == AlgNone }

// Words returns the bits of h: bit k is bit k%64 of word k/64. A hash of 64
// bits uses only the first word; the others are zero.
func (h Hash) Words() [4]uint64 { return h.w }

// OnesCount returns how many bits of h are set. A PDQ hash of a picture with
// any detail has exactly 128, a perception hash exactly 32; another count is
// the mark of a flat picture or of a hash that no picture gave.
func (h Hash) OnesCount() int {
	return bits.OnesCount64(h.w[0]) + bits.OnesCount64(h.w[1]) +
		bits.OnesCount64(h.w[2]) + bits.OnesCount64(h.w[3])
}

// Distance returns the number of bits in which h and o differ. ok is false,
// and the distance meaningless, when their algorithms differ or when either is
// the zero Hash. It does not allocate.
func (h Hash) Distance(o Hash) (d int, ok bool) {
	if h.alg != o.alg || h.alg == AlgNone {
		return 0, false
	}
	return bits.OnesCount64(h.w[0]^o.w[0]) + bits.OnesCount64(h.w[1]^o.w[1]) +
		bits.OnesCount64(h.w[2]^o.w[2]) + bits.OnesCount64(h.w[3]^o.w[3]), true
}

// AppendText appends the text form of h: "pdq:" and 64 lower-case hex digits,
// "p:" and 16, or nothing for the zero Hash. It never fails.
func (h Hash) AppendText(b []byte) ([]byte, error) {
	var raw [32]byte
	switch h.alg {
	case AlgPDQ:
		for i, w := range h.w {
			binary.BigEndian.PutUint64(raw[24-8*i:], w)
		}
		b = append(b, "pdq:"...)
		return hex.AppendEncode(b, raw[:]), nil
	case AlgPerception:
		binary.BigEndian.PutUint64(raw[:8], h.w[0])
		b = append(b, "p:"...)
		return hex.AppendEncode(b, raw[:8]), nil
	}
	return b, nil
}

// String returns the text form of h, which Parse reads; "" for the zero Hash.
func (h Hash) String() string {
	b, _ := h.AppendText(nil)
	return string(b)
}

// MarshalText implements encoding.TextMarshaler with the form of AppendText.
func (h Hash) MarshalText() ([]byte, error) { return h.AppendText(nil) }

// UnmarshalText implements encoding.TextUnmarshaler. Empty text gives the zero
// Hash; anything else must satisfy Parse.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*h = Hash{}
		return nil
	}
	p, err := Parse(string(text))
	if err != nil {
		return err
	}
	*h = p
	return nil
}

// Parse reads the text form of a hash: "pdq:" and 64 hex digits, goimagehash's
// "p:" and 16 hex digits, or 64 bare hex digits, which are a PDQ hash. Upper
// and lower case digits are accepted. Missing or extra characters, also spaces
// around it, are errors of type *ParseError.
func Parse(s string) (Hash, error) {
	name, digits, found := strings.Cut(s, ":")
	if !found {
		name, digits = "pdq", s
	}
	var alg Algorithm
	switch name {
	case "pdq":
		alg = AlgPDQ
	case "p":
		alg = AlgPerception
	case "a", "d", "w":
		return Hash{}, &ParseError{s, "goimagehash kind " + name + ": is not supported, only its perception hash p: is"}
	default:
		return Hash{}, &ParseError{s, "unknown algorithm before the colon; accepted are pdq: and p:"}
	}
	want := alg.Bits() / 4
	if len(digits) != want {
		return Hash{}, &ParseError{s, fmt.Sprintf("%d characters where %s has %d hex digits", len(digits), alg, want)}
	}
	h := Hash{alg: alg}
	for i := range len(digits) {
		v, ok := hexValue(digits[i])
		if !ok {
			return Hash{}, &ParseError{s, fmt.Sprintf("%q at digit %d is not a hex digit", digits[i], i)}
		}
		k := 4 * (want - 1 - i)
		h.w[k/64] |= uint64(v) << (k % 64)
	}
	return h, nil
}

// MustParse is Parse for constants: it panics on an error.
func MustParse(s string) Hash {
	h, err := Parse(s)
	if err != nil {
		panic(err)
	}
	return h
}

func hexValue(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// ErrHashKind is wrapped by errors about hashes of an algorithm that is not
// supported.
var ErrHashKind = errors.New("kind of hash not supported")

// ParseError says why a text is no hash.
type ParseError struct {
	Text string // the text, as it was given
	Why  string // what is wrong, and what would be accepted
}

func (e *ParseError) Error() string {
	t := e.Text
	if len(t) > 80 {
		t = t[:80] + "…"
	}
	return fmt.Sprintf("phash: cannot parse %q: %s", t, e.Why)
}
