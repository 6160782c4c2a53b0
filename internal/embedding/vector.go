package embedding

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// Bounds on the dimensions of a vector and the length of a model's name. They
// also cap what a decoder allocates.
const (
	MinDimensions = 64
	MaxDimensions = 2048
	MaxModelName  = 64 // bytes
)

var (
	// ErrModel is wrapped by errors about a model that cannot be, or that
	// differs from the one expected.
	ErrModel = errors.New("model does not fit")
	// ErrDimensions is wrapped by errors about a vector that is shorter or
	// longer than its model says.
	ErrDimensions = errors.New("number of dimensions does not fit")
	// ErrNotFinite is wrapped by errors about vectors with infinities or NaN.
	ErrNotFinite = errors.New("not a finite number")
	// ErrZero is wrapped by errors about vectors without direction.
	ErrZero = errors.New("vector of zeros")
	// ErrVectorVersion is wrapped by errors about a vector that a newer
	// version of this package encoded.
	ErrVectorVersion = errors.New("version of the vector not supported")
	// ErrVectorCorrupt is wrapped by errors about bytes that are no vector.
	ErrVectorCorrupt = errors.New("not a whole vector")
)

// Model names what made a vector: a model, of a version. Vectors of Models
// that differ in anything are not comparable.
type Model struct {
	// Name is chosen by the caller and should carry the version, for example
	// "arcface-r100@2": 1 to 64 printable ASCII characters without spaces.
	Name string
	// Dimensions of a vector, 64 to 2,048.
	Dimensions int
}

// Check returns an error that wraps ErrModel or ErrDimensions if no vector can
// be of m.
func (m Model) Check() error {
	if len(m.Name) == 0 || len(m.Name) > MaxModelName {
		return fmt.Errorf("embedding: name of the model has %d bytes, accepted are 1 to %d: %w", len(m.Name), MaxModelName, ErrModel)
	}
	for i := range len(m.Name) {
		if c := m.Name[i]; c <= ' ' || c > '~' {
			return fmt.Errorf("embedding: byte %d of the model's name is %#02x, accepted is printable ASCII without spaces: %w", i, c, ErrModel)
		}
	}
	if m.Dimensions < MinDimensions || m.Dimensions > MaxDimensions {
		return fmt.Errorf("embedding: model of %d dimensions, accepted are %d to %d: %w", m.Dimensions, MinDimensions, MaxDimensions, ErrDimensions)
	}
	return nil
}

// Vector is a face as a model saw it: a direction in the model's space. The
// zero Vector is no vector: it is similar to nothing.
//
// Only directions count, so a Vector is stored with its biggest component, in
// magnitude, scaled to 127 and all others rounded to whole numbers. Copies
// share the components, which never change but by Set; apart from that a Vector
// may be used from several goroutines.
//
// However it is formatted, a Vector prints its model and no component; in an
// unexported field of something else, of which fmt calls no method, it prints an
// address.
type Vector struct {
	_ [0]func() // no ==, which would compare addresses
	// A pointer to a pointer: fmt does not go on behind one, not even to explain
	// that a verb does not fit, as it does behind a pointer to a struct.
	at **vector // nil for the zero Vector
}

// vector is what a Vector points to.
type vector struct {
	model      Model
	components []int8
	norm       uint32 // squared length of components
}

var none vector // never changes

// get returns what is at v.
func (v Vector) get() *vector {
	if v.at == nil {
		return &none
	}
	return *v.at
}

// vectorOf returns the Vector that points to x.
func vectorOf(x vector) Vector {
	held := &struct {
		at *vector
		x  vector
	}{x: x}
	held.at = &held.x
	return Vector{at: &held.at}
}

// New returns the vector of those components, which it does not keep. Errors
// wrap ErrModel, ErrDimensions, ErrNotFinite or ErrZero.
func New(m Model, x []float32) (Vector, error) {
	var v Vector
	if err := v.Set(m, x); err != nil {
		return Vector{}, err
	}
	return v, nil
}

// Set makes v the vector that New returns, reusing the memory of v; copies of v
// must not be used any more. With enough memory, it does not allocate. After an
// error v is the zero Vector.
func (v *Vector) Set(m Model, x []float32) error {
	into := *v
	*v = Vector{}
	if err := m.Check(); err != nil {
		return err
	}
	if len(x) != m.Dimensions {
		return fmt.Errorf("embedding: vector of %d components, the model has %d dimensions: %w", len(x), m.Dimensions, ErrDimensions)
	}
	biggest := 0.0
	for i, f := range x {
		f := math.Abs(float64(f))
		if !(f <= math.MaxFloat32) {
			return fmt.Errorf("embedding: component %d is infinite or NaN: %w", i, ErrNotFinite)
		}
		biggest = max(biggest, f)
	}
	if biggest == 0 {
		return fmt.Errorf("embedding: all %d components are zero: %w", len(x), ErrZero)
	}
	components := into.get().components
	if cap(components) < len(x) {
		components = make([]int8, len(x))
	}
	components = components[:len(x)]
	norm := uint32(0)
	for i, f := range x {
		// The product of 24 and 7 bits is exact, and division and rounding are
		// the same on every architecture.
		c := int32(math.Round(float64(float64(f)*127) / biggest))
		components[i] = int8(c)
		norm += uint32(c * c)
	}
	if into.at == nil {
		into = vectorOf(vector{m, components, norm})
	} else {
		**into.at = vector{m, components, norm}
	}
	*v = into
	return nil
}

// Model returns the model of v; of the zero Vector the zero Model.
func (v Vector) Model() Model { return v.get().model }

// IsZero reports whether v is the zero Vector, which is none.
func (v Vector) IsZero() bool { return v.at == nil }

// Similarity returns the cosine of the angle between v and w, from -1 to 1; of
// a vector and itself exactly 1. ok is false, and the similarity 0, if they are
// of different models or one is the zero Vector.
func (v Vector) Similarity(w Vector) (similarity float64, ok bool) {
	a, b := v.get(), w.get()
	if a.norm == 0 || a.model != b.model {
		return 0, false
	}
	dot := int32(0)
	for i, c := range a.components {
		dot += int32(c) * int32(b.components[i])
	}
	return cosine(dot, a.norm, b.norm), true
}

// cosine returns the cosine for a dot product and two squared lengths, which
// are not zero. The squared lengths are below 2^26, so their product is exact.
func cosine(dot int32, norm1, norm2 uint32) float64 {
	return float64(dot) / math.Sqrt(float64(norm1)*float64(norm2))
}

// Format implements fmt.Formatter: whatever the verb, it prints the model and
// no component, so that no log ever holds a face.
func (v Vector) Format(f fmt.State, _ rune) {
	if v.IsZero() {
		io.WriteString(f, "Vector(none)")
		return
	}
	fmt.Fprintf(f, "Vector(%s, %d dimensions)", v.Model().Name, v.Model().Dimensions)
}

// The encoding of a vector: version, length of the model's name, name,
// dimensions (16 bit, little-endian), components (two's complement).
const vectorVersion = 1

// AppendBinary appends the bytes that DecodeVector reads. The zero Vector has
// none; it returns an error that wraps ErrZero.
func (v Vector) AppendBinary(b []byte) ([]byte, error) {
	if v.IsZero() {
		return b, fmt.Errorf("embedding: the zero Vector cannot be encoded: %w", ErrZero)
	}
	x := v.get()
	b = append(b, vectorVersion, byte(len(x.model.Name)))
	b = append(b, x.model.Name...)
	b = binary.LittleEndian.AppendUint16(b, uint16(x.model.Dimensions))
	for _, c := range x.components {
		b = append(b, byte(c))
	}
	return b, nil
}

// MarshalBinary implements encoding.BinaryMarshaler.
func (v Vector) MarshalBinary() ([]byte, error) { return v.AppendBinary(nil) }

// DecodeVector returns the vector that AppendBinary encoded as the whole of b.
// No two encodings give the same vector. Errors wrap ErrVectorVersion for bytes
// of a newer version, otherwise ErrVectorCorrupt, ErrModel or ErrDimensions.
func DecodeVector(b []byte) (Vector, error) {
	if len(b) < 2 {
		return Vector{}, fmt.Errorf("embedding: %d bytes are too few for a vector: %w", len(b), ErrVectorCorrupt)
	}
	if b[0] > vectorVersion {
		return Vector{}, fmt.Errorf("embedding: vector of version %d, this package knows up to %d: %w", b[0], vectorVersion, ErrVectorVersion)
	}
	name := int(b[1])
	if b[0] == 0 || len(b) < 2+name+2 {
		return Vector{}, fmt.Errorf("embedding: vector of version %d in %d bytes: %w", b[0], len(b), ErrVectorCorrupt)
	}
	m := Model{string(b[2 : 2+name]), int(binary.LittleEndian.Uint16(b[2+name:]))}
	if err := m.Check(); err != nil {
		return Vector{}, err
	}
	b = b[2+name+2:]
	if len(b) != m.Dimensions {
		return Vector{}, fmt.Errorf("embedding: %d bytes of components for %d dimensions: %w", len(b), m.Dimensions, ErrVectorCorrupt)
	}
	x := vector{m, make([]int8, len(b)), 0}
	biggest := int32(0)
	for i := range b {
		c := int32(int8(b[i]))
		x.components[i] = int8(c)
		x.norm += uint32(c * c)
		biggest = max(biggest, c, -c)
	}
	if biggest != 127 {
		return Vector{}, fmt.Errorf("embedding: the biggest component is %d, not 127: %w", biggest, ErrVectorCorrupt)
	}
	return vectorOf(x), nil
}
