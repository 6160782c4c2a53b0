package embedding

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"github.com/staydown/staydown/internal/aesgcm"
)

var (
	// ErrSealVersion is wrapped by errors about a sealed vector that a newer
	// version of this package made.
	ErrSealVersion = errors.New("version of the sealed vector not supported")
	// ErrSealed is wrapped by errors about bytes that do not open: the key or
	// the context is another one, or they are damaged.
	ErrSealed = errors.New("sealed vector does not open")
)

// Key seals vectors. Whoever destroys a key destroys what was sealed with it. A Key
// may be stored as its 32 bytes; formatted, it prints none of them, but in an
// unexported field of something else fmt sees an array of bytes as any other:
// nothing that is formatted may hold one.
type Key [32]byte

// NewKey returns a random key.
func NewKey() Key {
	var k Key
	rand.Read(k[:]) // never fails
	return k
}

// Format implements fmt.Formatter.
func (k Key) Format(f fmt.State, _ rune) { io.WriteString(f, "Key(secret)") }

// The form of a sealed vector: version, 12 random bytes, the encoding of the
// vector in AES-256-GCM, 16 bytes of its tag. The version and the context are
// authenticated with it.
const (
	sealVersion  = 1
	sealOverhead = 1 + 12 + 16
	maxEncoded   = 4 + MaxModelName + MaxDimensions
)

// SealedSize returns the length of a sealed vector of the model.
func SealedSize(m Model) int { return sealOverhead + 4 + len(m.Name) + m.Dimensions }

// Seal returns v encrypted with the key, in 29 bytes more than its encoding.
// The context says what the vector belongs to, for example a list and a rule;
// Open fails with another. One key may seal up to a billion vectors. The zero
// Vector gives an error that wraps ErrZero.
func Seal(k Key, context []byte, v Vector) ([]byte, error) {
	plain, err := v.AppendBinary(nil)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	return seal(k, sealVersion, context, plain), nil
}

func seal(k Key, version byte, context, plain []byte) []byte {
	sealed := make([]byte, 1, sealOverhead+len(plain))
	sealed[0] = version
	return aesgcm.New(k).Seal(sealed, nil, plain, associated(version, context))
}

// Open returns the vector that Seal sealed as the whole of sealed. Errors wrap
// ErrSealVersion for bytes of a newer version, ErrSealed if key, context or
// bytes do not fit together, and those of DecodeVector if what was sealed is no
// vector.
func Open(k Key, context []byte, sealed []byte) (Vector, error) {
	if len(sealed) > 0 && sealed[0] > sealVersion {
		return Vector{}, fmt.Errorf("embedding: sealed vector of version %d, this package knows up to %d: %w", sealed[0], sealVersion, ErrSealVersion)
	}
	if len(sealed) < sealOverhead || len(sealed) > sealOverhead+maxEncoded || sealed[0] == 0 {
		return Vector{}, fmt.Errorf("embedding: %d bytes are no sealed vector, which has %d to %d and begins with %d: %w",
			len(sealed), sealOverhead, sealOverhead+maxEncoded, sealVersion, ErrSealed)
	}
	plain, err := aesgcm.New(k).Open(nil, nil, sealed[1:], associated(sealed[0], context))
	if err != nil {
		return Vector{}, fmt.Errorf("embedding: wrong key or context, or damaged: %w", ErrSealed)
	}
	defer clear(plain)
	return DecodeVector(plain)
}

// associated returns what is authenticated beside the vector.
func associated(version byte, context []byte) []byte {
	return append([]byte{version}, context...)
}
