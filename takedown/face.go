package takedown

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"log/slog"
	"slices"

	"github.com/staydown/staydown/internal/embedding"
)

// ErrFace is wrapped by the errors of [NewFace] and of the methods that read a
// [Face]. The texts of the errors contain nothing of the vector, so they can be
// shown.
var ErrFace = errors.New("no face that can be used")

// Face is a face as a model of the caller sees it: the model's name and a vector.
// Only the direction of the vector counts. A Face is an opaque value that can be
// stored and sent; the zero Face is empty. Faces of different models, or of
// different dimensions, are never compared.
//
// A Face is biometric data. fmt and log/slog print only its model or an address,
// never the vector, also inside other values. MarshalBinary and MarshalJSON return
// the vector.
type Face struct{ v embedding.Vector }

// NewFace returns the face of a vector with 64 to 2,048 components, all finite and
// not all zero. The length of the vector has no effect and is not kept. The
// components are kept in 8 bits each, the biggest as 127.
//
// The model's name should contain its version, for example "arcface-r100@2": 1 to
// 64 printable ASCII characters without spaces. Errors wrap [ErrFace].
func NewFace(model string, vector []float32) (Face, error) {
	v, err := embedding.New(embedding.Model{Name: model, Dimensions: len(vector)}, vector)
	if err != nil {
		return Face{}, fmt.Errorf("takedown: %w: %w", ErrFace, err)
	}
	return Face{v}, nil
}

// IsZero reports whether f is the zero Face.
func (f Face) IsZero() bool { return f.v.IsZero() }

// Model returns the name of the model, and Dimensions the number of components
// of its vectors; "" and 0 for the zero Face.
func (f Face) Model() string { return f.v.Model().Name }

// Dimensions is described with [Face.Model].
func (f Face) Dimensions() int { return f.v.Model().Dimensions }

// Similarity returns the cosine of the angle between two faces, −1 to 1. ok is
// false when the faces are of different models, or one is the zero Face.
func (f Face) Similarity(g Face) (similarity float64, ok bool) { return f.v.Similarity(g.v) }

// Equal reports whether f and g are the same face, or both the zero Face.
func (f Face) Equal(g Face) bool {
	similarity, ok := f.Similarity(g)
	return ok && similarity == 1 || f.IsZero() && g.IsZero()
}

// String returns the model and nothing of the vector.
func (f Face) String() string {
	if f.IsZero() {
		return "Face(none)"
	}
	return fmt.Sprintf("Face(%s, %d dimensions)", f.Model(), f.Dimensions())
}

// Format implements fmt.Formatter: every verb prints String.
func (f Face) Format(s fmt.State, _ rune) { io.WriteString(s, f.String()) }

// LogValue implements slog.LogValuer: it logs String.
func (f Face) LogValue() slog.Value { return slog.StringValue(f.String()) }

// MarshalBinary returns at most 2,116 bytes for UnmarshalBinary, in this version
// of the library and in later ones. It returns no bytes for the zero Face.
func (f Face) MarshalBinary() ([]byte, error) {
	if f.IsZero() {
		return nil, nil
	}
	return f.v.MarshalBinary()
}

// UnmarshalBinary reads the bytes of MarshalBinary. For other bytes the error
// wraps [ErrFace].
func (f *Face) UnmarshalBinary(b []byte) error {
	if len(b) == 0 {
		*f = Face{}
		return nil
	}
	v, err := embedding.DecodeVector(b)
	if err != nil {
		return fmt.Errorf("takedown: %w: %w", ErrFace, err)
	}
	f.v = v
	return nil
}

// faceJSON is the JSON form of a face. What MarshalJSON writes are the whole
// numbers that are kept, −127 to 127; UnmarshalJSON takes any numbers.
type faceJSON struct {
	Model  string    `json:"model"`
	Vector []float32 `json:"vector"`
}

// MarshalJSON returns {"model": …, "vector": […]}, or null for the zero Face.
func (f Face) MarshalJSON() ([]byte, error) {
	if f.IsZero() {
		return []byte("null"), nil
	}
	b, err := f.v.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("takedown: %w: %w", ErrFace, err)
	}
	j := faceJSON{Model: f.Model(), Vector: make([]float32, f.Dimensions())}
	for i, c := range b[len(b)-len(j.Vector):] { // the components are the end of it
		j.Vector[i] = float32(int8(c))
	}
	return json.Marshal(j)
}

// UnmarshalJSON reads what MarshalJSON writes, with any numbers, as [NewFace]
// takes them.
func (f *Face) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*f = Face{}
		return nil
	}
	// A number in JSON has a digit and a comma at least: what is longer than this
	// has more components than a face can have, or digits that no float has.
	if len(b) > 64*embedding.MaxDimensions {
		return fmt.Errorf("takedown: %w: it has more than %d bytes of JSON", ErrFace, 64*embedding.MaxDimensions)
	}
	var j faceJSON
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	err := d.Decode(&j)
	if _, behind := d.Token(); err != nil || behind != io.EOF {
		return fmt.Errorf(`takedown: %w: it is not {"model": a name, "vector": numbers}`, ErrFace)
	}
	got, err := NewFace(j.Model, j.Vector)
	if err != nil {
		return err
	}
	*f = got
	return nil
}

// MaxFaces is the number of faces of one picture, or of one frame, that are
// compared. If there are more, [Inspect] keeps the biggest, and Candidate.FacesUnseen
// is set.
const MaxFaces = 256

// FoundFace is a face that was found in a picture.
type FoundFace struct {
	Face Face
	// Box is where it is, in the coordinates of the picture that the embedder was
	// given.
	Box image.Rectangle
	// Quality is how well the face can be recognised, above 0 and up to 1, as the
	// embedder estimates it; 0 if it does not. [FaceFloor] refuses registrations below
	// a quality.
	Quality float64
}

// FaceFloor is the least that a face must have to be registered. Faces that are small
// or blurred resemble each other, whoever they show. The zero FaceFloor takes all.
type FaceFloor struct {
	// Size is the length of the shorter side of the box, in pixels.
	Size int
	// Quality is the least FoundFace.Quality. Faces of an embedder that estimates none
	// are taken.
	Quality float64
	// Sharpness is the least value of [FaceSharpness].
	Sharpness float64
}

// FaceEmbedder finds the faces in a picture and turns each into a vector, with a
// model of the caller. The library has no model. The model decides which faces
// count and how they are aligned. Faces of requests and of candidates must be made
// in the same way.
type FaceEmbedder interface {
	// EmbedFaces returns all faces of a picture, in any order. A picture without
	// faces is not an error. The picture is decoded, within the limits, and
	// oriented as it is shown. Its bounds need not begin at zero, and it must not
	// be changed. EmbedFaces may be called from several goroutines at once.
	EmbedFaces(ctx context.Context, picture image.Image) ([]FoundFace, error)
}

// FaceEmbedderFunc is a function that is a [FaceEmbedder].
type FaceEmbedderFunc func(ctx context.Context, picture image.Image) ([]FoundFace, error)

// EmbedFaces calls f.
func (f FaceEmbedderFunc) EmbedFaces(ctx context.Context, picture image.Image) ([]FoundFace, error) {
	return f(ctx, picture)
}

// EmbedderError reports that a [FaceEmbedder] failed. The faces of the picture are
// then unknown.
type EmbedderError struct{ Err error }

func (e *EmbedderError) Error() string { return fmt.Sprintf("takedown: face embedder: %v", e.Err) }

// Unwrap returns the embedder's own error.
func (e *EmbedderError) Unwrap() error { return e.Err }

// EmbedFaces returns the faces that an embedder finds in a picture, the biggest
// first, and at most MaxFaces. A panic of the embedder is returned as an error and
// does not end the host.
func EmbedFaces(ctx context.Context, e FaceEmbedder, picture image.Image) ([]FoundFace, error) {
	found, err := allFaces(ctx, e, picture)
	return found[:min(len(found), MaxFaces)], err
}

// allFaces is EmbedFaces without a limit.
func allFaces(ctx context.Context, e FaceEmbedder, picture image.Image) (found []FoundFace, err error) {
	defer func() {
		if r := recover(); r != nil {
			found, err = nil, &EmbedderError{fmt.Errorf("it panicked: %v", r)}
		}
	}()
	all, err := e.EmbedFaces(ctx, picture)
	if err != nil {
		return nil, &EmbedderError{err}
	}
	for _, f := range all {
		if f.Face.IsZero() {
			return nil, &EmbedderError{errors.New("it returned the zero Face")}
		}
	}
	found = slices.Clone(all)
	area := func(f FoundFace) int64 { return int64(f.Box.Dx()) * int64(f.Box.Dy()) }
	slices.SortStableFunc(found, func(a, b FoundFace) int { return cmp.Compare(area(b), area(a)) })
	return found, nil
}

// facesOf returns the faces of a picture for a candidate. all is false if there are
// more than MaxFaces.
func facesOf(ctx context.Context, e FaceEmbedder, picture image.Image) (faces []Face, all bool, err error) {
	found, err := allFaces(ctx, e, picture)
	for _, f := range found[:min(len(found), MaxFaces)] {
		faces = append(faces, f.Face)
	}
	return faces, len(found) <= MaxFaces, err
}
