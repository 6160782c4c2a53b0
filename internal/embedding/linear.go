package embedding

import (
	"fmt"
	"slices"
)

// Entry is a registered vector and the number that its owner gave it. Several
// entries may share a vector, or a number.
type Entry struct {
	Vector Vector
	ID     uint32
}

// Linear is an index that compares with every vector that it holds, in full.
// Nothing in it can be wrong: it is the oracle against which Segment is checked
// and the yardstick for its speed.
//
// The zero Linear has no model and accepts no vector; use NewLinear. Insert and
// Remove must not run beside other calls; searches may run beside each other.
type Linear struct {
	model   Model
	entries []Entry
}

// NewLinear returns an empty index for vectors of m.
func NewLinear(m Model) *Linear { return &Linear{model: m} }

// Insert adds an entry. Adding the same entry again adds another copy. It
// fails, wrapping ErrModel, for a vector of another model than the index's.
func (l *Linear) Insert(v Vector, id uint32) error {
	if err := checkModel(l.model, v); err != nil {
		return err
	}
	l.entries = append(l.entries, Entry{v, id})
	return nil
}

// Remove removes every copy of the entry and reports whether there was one.
func (l *Linear) Remove(v Vector, id uint32) bool {
	before := len(l.entries)
	l.entries = slices.DeleteFunc(l.entries, func(e Entry) bool {
		return e.ID == id && e.Vector.Model() == v.Model() && slices.Equal(e.Vector.get().components, v.get().components)
	})
	return len(l.entries) < before
}

// Search does what Segment.Search does, but misses nothing.
func (l *Linear) Search(v Vector, threshold float64, yield func(id uint32, similarity float64) bool) bool {
	for i := range l.entries {
		e := &l.entries[i]
		if c, ok := v.Similarity(e.Vector); ok && c >= threshold && !yield(e.ID, c) {
			return false
		}
	}
	return true
}

// Len returns the number of entries.
func (l *Linear) Len() int { return len(l.entries) }

// checkModel returns an error unless v is a vector of m.
func checkModel(m Model, v Vector) error {
	if err := m.Check(); err != nil {
		return err
	}
	if v.Model() != m {
		return fmt.Errorf("embedding: vector of model %q with %d dimensions in an index of %q with %d: %w",
			v.Model().Name, v.Model().Dimensions, m.Name, m.Dimensions, ErrModel)
	}
	return nil
}
