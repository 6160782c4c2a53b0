package takedown

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"math"
)

// FaceMatch is what a service that keeps faces by itself, and gives away no vectors,
// finds in a picture.
type FaceMatch struct {
	// ID is the registered face in the service, and Similarity how similar the face in
	// the picture is to it, 0 to 1.
	ID         string
	Similarity float64
	// Box is where the face is.
	Box image.Rectangle
}

// FaceMatcher makes a service that answers with ids a [FaceEmbedder]. Each id stands
// for a made-up vector of 512 dimensions, and a match for one that is similar to it as
// much as the service answered, within 0.01. So rules, thresholds, previews and
// deletion work as with vectors, and the list holds no biometric data. Vectors of
// different ids are similar by less than 0.35.
//
// The desk's FaceEmbedder registers a face in the service and returns [FaceMatcher.Face]
// of the new id. When the case ends, delete the id in the service as well: the library
// cannot. FaceModel.Review must be above 0.4.
type FaceMatcher struct {
	// Model is the name of the service and the version of its model: see [NewFace].
	Model string
	// Match returns the registered faces that the service finds in a picture, each
	// with its similarity. It may be called from several goroutines at once.
	Match func(ctx context.Context, picture image.Image) ([]FaceMatch, error)
}

const matcherDimensions = 512

// Face returns the face that stands for an id of the service.
func (m *FaceMatcher) Face(id string) (Face, error) { return m.face(id, 1) }

// EmbedFaces implements [FaceEmbedder] for candidates: one face for each match.
func (m *FaceMatcher) EmbedFaces(ctx context.Context, picture image.Image) ([]FoundFace, error) {
	if m.Match == nil {
		return nil, errors.New("takedown: FaceMatcher has no Match")
	}
	matches, err := m.Match(ctx, picture)
	if err != nil {
		return nil, err
	}
	found := make([]FoundFace, 0, len(matches))
	for _, x := range matches {
		f, err := m.face(x.ID, x.Similarity)
		if err != nil {
			return nil, err
		}
		found = append(found, FoundFace{Face: f, Box: x.Box})
	}
	return found, nil
}

// face returns a face that is similar to that of an id.
func (m *FaceMatcher) face(id string, similarity float64) (Face, error) {
	if id == "" || !(similarity >= 0 && similarity <= 1) {
		return Face{}, fmt.Errorf("takedown: a match without an id, or with a similarity that is not 0 to 1: %w", ErrFace)
	}
	own, other := direction("face:"+id), direction("other:"+id)
	along := 0.0
	for i := range own {
		along += float64(own[i] * other[i])
	}
	size := math.Sqrt(1 - along*along)
	aside := math.Sqrt(1 - similarity*similarity)
	v := make([]float32, matcherDimensions)
	for i := range v {
		across := (other[i] - float64(along*own[i])) / size
		v[i] = float32(float64(similarity*own[i]) + float64(aside*across))
	}
	return NewFace(m.Model, v)
}

// direction returns a unit vector that a name determines. Its components are 1 or -1,
// over the square root of their number.
func direction(name string) []float64 {
	v := make([]float64, 0, matcherDimensions)
	for block := uint64(0); len(v) < matcherDimensions; block++ {
		for _, b := range sha256.Sum256(binary.BigEndian.AppendUint64([]byte(name), block)) {
			for bit := range 8 {
				x := 1 / math.Sqrt(matcherDimensions)
				if b>>bit&1 == 1 {
					x = -x
				}
				v = append(v, x)
			}
		}
	}
	return v
}
