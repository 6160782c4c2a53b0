package phash

import "fmt"

// Linear is an index that compares with every hash that it holds: it answers
// any radius, needs no memory beyond its entries, and nothing in it can be
// wrong. It is the oracle against which the other indexes are checked and the
// yardstick for their speed.
//
// The zero Linear has no algorithm and accepts no hash; use NewLinear. Insert
// and Remove must not run beside other calls; searches may run beside each
// other.
type Linear struct {
	alg     Algorithm
	entries []Entry
}

// NewLinear returns an empty index for hashes of alg.
func NewLinear(alg Algorithm) *Linear { return &Linear{alg: alg} }

// Insert implements Index.
func (l *Linear) Insert(h Hash, id uint32) error {
	if err := checkAlgorithm(l.alg, h); err != nil {
		return err
	}
	l.entries = append(l.entries, Entry{h, id})
	return nil
}

// Remove removes every copy of the entry and reports whether there was one.
func (l *Linear) Remove(h Hash, id uint32) bool {
	kept := l.entries[:0]
	for _, e := range l.entries {
		if e.Hash != h || e.ID != id {
			kept = append(kept, e)
		}
	}
	removed := len(kept) < len(l.entries)
	l.entries = kept
	return removed
}

// Search implements Index. It does not allocate.
func (l *Linear) Search(h Hash, radius int, yield func(id uint32, distance int) bool) bool {
	for i := range l.entries {
		e := &l.entries[i]
		if d, ok := h.Distance(e.Hash); ok && d <= radius && !yield(e.ID, d) {
			return false
		}
	}
	return true
}

// Len implements Index.
func (l *Linear) Len() int { return len(l.entries) }

// checkAlgorithm returns an error unless h is a hash of alg.
func checkAlgorithm(alg Algorithm, h Hash) error {
	if alg.Bits() == 0 {
		return fmt.Errorf("phash: no index for algorithm %v, only for pdq and perception: %w", alg, ErrHashKind)
	}
	if h.alg != alg {
		return fmt.Errorf("phash: hash of algorithm %v in an index of %v: %w", h.alg, alg, ErrHashKind)
	}
	return nil
}
