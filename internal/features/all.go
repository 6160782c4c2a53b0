package features

import "iter"

// All returns the pictures of s in their order. Their features lie in the
// memory of the segment.
func (s *Segment) All() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for i := range s.n {
			if !yield(Entry{s.picture(i), s.ID(i)}) {
				return
			}
		}
	}
}
