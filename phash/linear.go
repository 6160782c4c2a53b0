package phash

import (
	"fmt"
	"math/bits"
	"slices"
)

// Linear is an index that compares with every hash that it holds. It accepts any
// radius and needs no memory beyond its entries. The other indexes are checked
// against it, for their results and their speed.
//
// The zero Linear has no algorithm and accepts no hash; use NewLinear. Insert and
// Remove must not run beside other calls; searches may run beside each other.
type Linear struct {
	alg   Algorithm
	words int      // of a hash
	bits  []uint64 // the hash of entry i is bits[i*words:][:words]
	ids   []uint32
}

// NewLinear returns an empty index for hashes of alg.
func NewLinear(alg Algorithm) *Linear { return &Linear{alg: alg, words: alg.Bits() / 64} }

// Insert implements Index.
func (l *Linear) Insert(h Hash, id uint32) error {
	if err := checkAlgorithm(l.alg, h); err != nil {
		return err
	}
	l.bits = append(l.bits, h.w[:l.words]...)
	l.ids = append(l.ids, id)
	return nil
}

// Remove removes every copy of the entry and reports whether there was one.
func (l *Linear) Remove(h Hash, id uint32) bool {
	if h.alg != l.alg {
		return false
	}
	kept := 0
	for i := range l.ids {
		w := l.bits[i*l.words:][:l.words]
		if l.ids[i] == id && slices.Equal(w, h.w[:l.words]) {
			continue
		}
		copy(l.bits[kept*l.words:], w)
		l.ids[kept] = l.ids[i]
		kept++
	}
	removed := kept < len(l.ids)
	l.bits, l.ids = l.bits[:kept*l.words], l.ids[:kept]
	return removed
}

// Search implements Index. It does not allocate.
func (l *Linear) Search(h Hash, radius int, yield func(id uint32, distance int) bool) bool {
	if h.alg != l.alg {
		return true
	}
	if l.words == 1 {
		for i, w := range l.bits {
			if d := bits.OnesCount64(h.w[0] ^ w); d <= radius && !yield(l.ids[i], d) {
				return false
			}
		}
		return true
	}
	for i, b := 0, l.bits; len(b) >= 4; i, b = i+1, b[4:] {
		d := bits.OnesCount64(h.w[0]^b[0]) + bits.OnesCount64(h.w[1]^b[1]) +
			bits.OnesCount64(h.w[2]^b[2]) + bits.OnesCount64(h.w[3]^b[3])
		if d <= radius && !yield(l.ids[i], d) {
			return false
		}
	}
	return true
}

// Len implements Index.
func (l *Linear) Len() int { return len(l.ids) }

// checkAlgorithm returns an error unless h is a hash of alg.
func checkAlgorithm(alg Algorithm, h Hash) error {
	if !alg.IsValid() {
		return fmt.Errorf("phash: no index for algorithm %v: %w", alg, ErrHashKind)
	}
	if h.alg != alg {
		return fmt.Errorf("phash: hash of algorithm %v in an index of %v: %w", h.alg, alg, ErrHashKind)
	}
	return nil
}
