package desk

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/staydown/staydown/internal/embedding"
	"github.com/staydown/staydown/takedown"
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
	// Reference are faces of strangers, one for each of some thousand people who have
	// nothing to do with any request. The desk reports how many of them a face would
	// hit, and at which threshold it would hit none: see [Preview].Strangers. They
	// are in memory only. Without them nobody notices a face that resembles very many
	// people.
	Reference []takedown.Face
	// Calibrated is the number of registered faces for which the thresholds were
	// calibrated. When the list has nine tenths of them, [Desk.Health] reports it. 0
	// means that it is not known.
	Calibrated int
}

// Strangers is how a face of a case compares with the strangers of its model.
type Strangers struct {
	Item int
	// Of is how many strangers there are, Blocked how many of them the face would
	// block, and Held how many it would hold for review.
	Of, Blocked, Held int
	// Needs is the lowest Block threshold, in hundredths, at which at most one
	// stranger in a thousand would be blocked.
	Needs float64
}

// universal reports whether a face resembles more strangers than one in a thousand
// at the Block threshold, or one in fifty at the Review threshold.
func (s Strangers) universal() bool { return s.Blocked*1000 > s.Of || s.Held*50 > s.Of }

// faceModel returns the desk's model of a face, or nil.
func (d *Desk) faceModel(f takedown.Face) *FaceModel {
	i := slices.IndexFunc(d.opts.FaceModels, func(m FaceModel) bool { return m.Name == f.Model() && m.Dimensions == f.Dimensions() })
	if i < 0 {
		return nil
	}
	return &d.opts.FaceModels[i]
}

// outgrown reports whether nearly as many faces are registered as a model was
// calibrated for, or more.
func (d *Desk) outgrown(faces int) bool {
	return slices.ContainsFunc(d.opts.FaceModels, func(m FaceModel) bool { return m.Calibrated > 0 && 10*faces >= 9*m.Calibrated })
}

// strangers compares faces, by the numbers of their items, with the strangers of
// their models. Faces of models without strangers are left out.
func (d *Desk) strangers(faces map[int]takedown.Face) (list []Strangers) {
	for _, i := range slices.Sorted(maps.Keys(faces)) {
		m := d.faceModel(faces[i])
		if m == nil || len(m.Reference) == 0 {
			continue
		}
		s := Strangers{Item: i, Of: len(m.Reference)}
		similar := make([]float64, 0, len(m.Reference))
		for _, stranger := range m.Reference {
			x, ok := faces[i].Similarity(stranger)
			switch {
			case !ok:
				continue
			case x >= m.Block:
				s.Blocked++
			case x >= m.Review:
				s.Held++
			}
			similar = append(similar, x)
		}
		slices.Sort(similar)
		s.Needs = m.Block
		if n := len(similar); n > 0 {
			s.Needs = min(1, max(m.Block, math.Floor(similar[n-1-len(m.Reference)/1000]*100+1)/100))
		}
		list = append(list, s)
	}
	return list
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
	for i, f := range m.Reference {
		if f.Model() != m.Name || f.Dimensions() != m.Dimensions {
			return badOption("desk.Options.FaceModels", "%s: Reference[%d] is not a face of the model, with %d dimensions", m.Name, i, m.Dimensions)
		}
	}
	if m.Calibrated < 0 {
		return badOption("desk.Options.FaceModels", "%s: Calibrated is negative; 0 means that it is not known", m.Name)
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

// embedder returns the embedder for pictures of requests, or nil. People send
// close-ups that fill the frame, and pictures that lie on their side.
func (d *Desk) embedder() takedown.FaceEmbedder {
	switch e := d.opts.FaceEmbedder.(type) {
	case nil, *takedown.FaceSearch:
		return e
	default:
		return &takedown.FaceSearch{Embedder: e}
	}
}

// DefaultFaceTerm is how long a face opt-out is in force by default: three years, the
// longest time that a law on biometric data with a fixed term allows after the last
// contact.
const DefaultFaceTerm = 3 * 365 * 24 * time.Hour

// faceEnd returns when a face opt-out ends whose grant names no end; zero for never.
func (d *Desk) faceEnd(c *caseRecord) time.Time {
	term, ok := d.opts.FaceTerm[c.Country]
	if !ok {
		term, ok = d.opts.FaceTerm[""]
	}
	if !ok {
		term = DefaultFaceTerm
	}
	if term < 0 {
		return time.Time{}
	}
	return c.Received.Add(term)
}
