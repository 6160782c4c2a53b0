package desk

import (
	"fmt"

	"github.com/staydown/staydown/internal/embedding"
)

// FaceModel is a model whose faces a desk registers, with its similarity
// thresholds. There are no default thresholds: they depend on the model, on the
// people in the pictures, and on the number of registered faces. See docs/faces.md
// and the tool that it describes.
type FaceModel struct {
	// Name and Dimensions are those of the faces: see [takedown.NewFace].
	Name       string
	Dimensions int
	// Block is the similarity from which a face is taken for the registered one,
	// above 0 and at most 1. Review, above 0 and at most Block, is the similarity
	// from which [takedown.Enforcer.Check] answers [takedown.Review]. If Review
	// equals Block, no face is held for review.
	Block, Review float64
}

// String returns the name and dimensions of the model, and its thresholds.
func (m FaceModel) String() string {
	return fmt.Sprintf("%s (%d dimensions, block %v, review %v)", m.Name, m.Dimensions, m.Block, m.Review)
}

// check returns what is wrong with the model.
func (m FaceModel) check() error {
	if err := (embedding.Model{Name: m.Name, Dimensions: m.Dimensions}).Check(); err != nil {
		return badOption("desk.Options.FaceModels", "%v", err)
	}
	if !(m.Block > 0 && m.Block <= 1) || !(m.Review > 0 && m.Review <= m.Block) {
		return badOption("desk.Options.FaceModels", "%s needs a threshold Block, above 0 and at most 1, and Review, above 0 and at most Block; calibrate says which: see docs/faces.md", m.Name)
	}
	return nil
}

// FaceTerms are the terms on which faces are in force: their model and the granted
// similarities, as in [FaceModel].
type FaceTerms struct {
	Model      string  `json:"model"`
	Dimensions int     `json:"dimensions"`
	Block      float64 `json:"block"`
	Review     float64 `json:"review"`
}
