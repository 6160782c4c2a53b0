package phash

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"strings"
)

// Hash is a perceptual hash together with the algorithm that made it. It is a
// small value: compare it with ==, use it as a map key, copy it freely. Its
// methods are safe for concurrent use.
//
// The zero Hash means that there is no hash. It is distinct from a PDQ hash whose
// bits are all zero.
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

// FromPDQSlice is [FromPDQ] for a slice. For another length than 32 bytes it
// returns an error that wraps [ErrHashForm].
func FromPDQSlice(b []byte) (Hash, error) { return FromBytes(AlgPDQ, b) }

// FromPerception returns the perception hash with the given bits, as
// goimagehash's GetHash returns them.
func FromPerception(bits uint64) Hash {
	return Hash{w: [4]uint64{bits}, alg: AlgPerception}
}

// FromBytes returns the hash of an algorithm with the given bytes, most
// significant first, as [Hash.Bytes] returns them. For a wrong length the error
// wraps [ErrHashForm]. For an invalid algorithm it wraps [ErrHashKind].
func FromBytes(alg Algorithm, b []byte) (Hash, error) {
	if !alg.IsValid() {
		return Hash{}, fmt.Errorf("phash: %v: %w", alg, ErrHashKind)
	}
	if want := alg.Bits() / 8; len(b) != want {
		return Hash{}, fmt.Errorf("phash: %d bytes where %v has %d: %w", len(b), alg, want, ErrHashForm)
	}
	h := Hash{alg: alg}
	for i := 0; len(b) > 0; i++ {
		h.w[i] = binary.BigEndian.Uint64(b[len(b)-8:])
		b = b[:len(b)-8]
	}
	return h, nil
}

// FromWords returns the hash of an algorithm with the given bits, as [Hash.Words]
// returns them. For a bit beyond the length of the algorithm's hashes the error
// wraps [ErrHashForm]. For an invalid algorithm it wraps [ErrHashKind].
func FromWords(alg Algorithm, w [4]uint64) (Hash, error) {
	if !alg.IsValid() {
		return Hash{}, fmt.Errorf("phash: %v: %w", alg, ErrHashKind)
	}
	for _, beyond := range w[alg.Bits()/64:] {
		if beyond != 0 {
			return Hash{}, fmt.Errorf("phash: %v has %d bits, and bits beyond them are set: %w", alg, alg.Bits(), ErrHashForm)
		}
	}
	return Hash{w: w, alg: alg}, nil
}

// Algorithm returns the algorithm of h, AlgNone for the zero Hash.
func (h Hash) Algorithm() Algorithm { return h.alg }

// IsZero reports whether h is the zero Hash, which is not a hash of a picture.
func (h Hash) IsZero() bool { return h.alg == AlgNone }

// Words returns the bits of h: bit k is bit k%64 of word k/64. A hash of 64
// bits uses only the first word; the others are zero.
func (h Hash) Words() [4]uint64 { return h.w }

// Bytes returns the bits of h, most significant first, in the order of the digits
// of the text form. There are 32 bytes for PDQ, 8 for a hash of 64 bits, and nil
// for the zero Hash. [FromBytes] reads them.
func (h Hash) Bytes() []byte {
	if h.alg == AlgNone {
		return nil
	}
	return h.appendBits(make([]byte, 0, 32))
}

func (h Hash) appendBits(b []byte) []byte {
	for i := h.alg.Bits()/64 - 1; i >= 0; i-- {
		b = binary.BigEndian.AppendUint64(b, h.w[i])
	}
	return b
}

// OnesCount returns how many bits of h are set. A PDQ hash of a picture with
// any detail has exactly 128, a perception hash exactly 32; see [Hash.Plausible].
func (h Hash) OnesCount() int {
	return bits.OnesCount64(h.w[0]) + bits.OnesCount64(h.w[1]) +
		bits.OnesCount64(h.w[2]) + bits.OnesCount64(h.w[3])
}

// Plausible reports whether as many bits of h are set as in the hash of a picture
// with any detail. Otherwise h is of a flat picture, or not the hash of a picture.
// The zero Hash is not plausible.
func (h Hash) Plausible() bool {
	if h.alg == AlgNone {
		return false
	}
	a, n := &algorithms[h.alg], h.OnesCount()
	return a.least <= n && n <= a.most
}

// Negative returns the hash of the negative of the picture, to a few bits: PDQ compares
// frequencies with their median, and inverting the picture inverts all of them. The zero
// Hash stays zero.
func (h Hash) Negative() Hash {
	if h.alg == AlgNone {
		return h
	}
	for i := range algorithms[h.alg].bits / 64 {
		h.w[i] = ^h.w[i]
	}
	return h
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
	if h.alg == AlgNone {
		return b, nil
	}
	var raw [32]byte
	b = append(b, algorithms[h.alg].prefix...)
	b = append(b, ':')
	return hex.AppendEncode(b, h.appendBits(raw[:0])), nil
}

// String returns the text form of h, which Parse reads; "" for the zero Hash.
func (h Hash) String() string {
	b, _ := h.AppendText(nil)
	return string(b)
}

// MarshalText implements encoding.TextMarshaler with the form of AppendText.
func (h Hash) MarshalText() ([]byte, error) { return h.AppendText(nil) }

// UnmarshalText implements encoding.TextUnmarshaler. It accepts what Parse does.
func (h *Hash) UnmarshalText(text []byte) error {
	p, err := Parse(string(text))
	if err != nil {
		return err
	}
	*h = p
	return nil
}

// AppendBinary appends the binary form of h: one byte for the algorithm, and the
// bytes of [Hash.Bytes]; nothing for the zero Hash. It never fails.
func (h Hash) AppendBinary(b []byte) ([]byte, error) {
	if h.alg == AlgNone {
		return b, nil
	}
	return h.appendBits(append(b, byte(h.alg))), nil
}

// MarshalBinary implements encoding.BinaryMarshaler with the form of
// AppendBinary. Package gob uses it.
func (h Hash) MarshalBinary() ([]byte, error) { return h.AppendBinary(make([]byte, 0, 33)) }

// UnmarshalBinary implements encoding.BinaryUnmarshaler for the form of
// AppendBinary. Its errors wrap ErrHashKind or ErrHashForm.
func (h *Hash) UnmarshalBinary(b []byte) error {
	if len(b) == 0 {
		*h = Hash{}
		return nil
	}
	p, err := FromBytes(Algorithm(b[0]), b[1:])
	if err != nil {
		return err
	}
	*h = p
	return nil
}

// Parse reads the text form of a hash. It accepts "pdq:" and 64 hex digits, and "p:"
// or "d:" and 16 hex digits, as goimagehash writes its perception hash and its
// difference hash. It also accepts 64 bare hex digits, which are a PDQ hash. Upper and lower case digits
// are accepted. The empty text is the zero Hash. Missing or extra characters, also
// spaces around it, are errors of type *ParseError.
func Parse(s string) (Hash, error) {
	if s == "" {
		return Hash{}, nil
	}
	alg, digits := AlgPDQ, s
	if name, rest, found := strings.Cut(s, ":"); found {
		if alg = byPrefix(name); alg == AlgNone {
			return Hash{}, &ParseError{s, "no algorithm is called so before the colon; accepted are " + accepted()}
		}
		digits = rest
	} else if len(s) == 16 {
		return Hash{}, &ParseError{s, "16 hex digits do not tell their algorithm; put goimagehash's letter in front, " +
			"p: for its perception hash"}
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

// byPrefix returns the algorithm whose text form has the prefix, or AlgNone.
func byPrefix(name string) Algorithm {
	for a := range Algorithms() {
		if algorithms[a].prefix == name {
			return a
		}
	}
	return AlgNone
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

// ErrHashForm is wrapped by errors about bytes, words or values of a database
// that are not a hash.
var ErrHashForm = errors.New("not the form of a hash")

// ErrHashKind is wrapped by errors about hashes of an algorithm that is not
// supported.
var ErrHashKind = errors.New("kind of hash not supported")

// ParseError reports why a text is not a hash.
type ParseError struct {
	Text string // the text, as it was given
	Why  string // what is wrong, and what is accepted
}

func (e *ParseError) Error() string {
	t := e.Text
	if len(t) > 80 {
		t = t[:80] + "…"
	}
	return fmt.Sprintf("phash: cannot parse %q: %s", t, e.Why)
}
