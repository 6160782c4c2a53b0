package phash

import (
	"fmt"
	"iter"
	"strings"
)

// Algorithm is the algorithm of a hash, with the version of its pipeline. Hashes
// of different algorithms have no distance.
//
// The values are written to journals and snapshots and never change their meaning.
// A changed pipeline gets a new value.
type Algorithm uint8

const (
	// AlgNone is the algorithm of the zero Hash, which is not a hash of a picture.
	AlgNone Algorithm = 0
	// AlgPDQ is PDQ, 256 bits, computed from the picture at its full size, the
	// pipeline on which python-threatexchange, HMA and the Java and Rust
	// implementations agree.
	AlgPDQ Algorithm = 1
	// AlgPerception is the 64-bit perception hash of goimagehash v1.1.0.
	AlgPerception Algorithm = 2
	// AlgDifference is the 64-bit difference hash of goimagehash v1.1.0. It is for
	// services that store it already. Different pictures of one composition have
	// nearly the same hash, so it counts in short lists only.
	AlgDifference Algorithm = 3
	// AlgPart is the PDQ hash of a part of a picture, a square around one of its
	// points. Hashes of parts are compared with hashes of parts only, so that a part
	// is never taken for a whole picture. Package takedown computes them.
	AlgPart Algorithm = 4

	// NumAlgorithms is one more than the largest Algorithm. An array of this
	// length can be indexed by every Algorithm that a Hash can have.
	NumAlgorithms = 5
)

// algorithms is the only place that says what an algorithm is. A new algorithm
// is a constant above, a row here and in hashFuncs, and the functions that these
// name. The rows are data that every program needs; hashFuncs is apart so that a
// program that only compares hashes does not link what computes them.
var algorithms = [NumAlgorithms]struct {
	name   string // of String
	prefix string // of the text form, before the colon
	bits   int    // 256 or 64, for which there are indexes
	// A picture with detail has a hash with at least and at most so many ones.
	least, most int
	radii       func(n int) Radii // in a list of n hashes
	turned      func(h Hash, o Orientation) Hash
}{
	AlgPDQ:        {"pdq", "pdq", 256, 128, 128, pdqRadii, turnedPDQ},
	AlgPerception: {"perception", "p", 64, 32, 32, perceptionRadii, turnedPerception},
	AlgDifference: {"difference", "d", 64, 8, 56, differenceRadii, turnedDifference},
	AlgPart:       {"part", "part", 256, 128, 128, partRadii, turnedPDQ},
}

// hashFuncs compute the hashes of a picture in its eight orientations. AlgPart has no
// hash of a whole picture.
var hashFuncs = [NumAlgorithms]func(*Picture) ([nOrientations]Hash, error){
	AlgPDQ:        (*Picture).pdqDihedral,
	AlgPerception: (*Picture).perceptionDihedral,
	AlgDifference: (*Picture).differenceDihedral,
}

// Algorithms returns all algorithms, AlgNone not among them, in ascending order.
func Algorithms() iter.Seq[Algorithm] {
	return func(yield func(Algorithm) bool) {
		for a := AlgNone + 1; a < NumAlgorithms; a++ {
			if !yield(a) {
				return
			}
		}
	}
}

// IsValid reports whether a is one of [Algorithms].
func (a Algorithm) IsValid() bool { return a != AlgNone && a < NumAlgorithms }

// Bits returns the length of the algorithm's hashes in bits: 256 for AlgPDQ,
// 64 for goimagehash's, 0 for an invalid algorithm.
func (a Algorithm) Bits() int {
	if a >= NumAlgorithms {
		return 0
	}
	return algorithms[a].bits
}

// String returns the name, such as "pdq"; "none" for AlgNone and "Algorithm(n)"
// for a value without a row.
func (a Algorithm) String() string {
	switch {
	case a == AlgNone:
		return "none"
	case a < NumAlgorithms:
		return algorithms[a].name
	}
	return fmt.Sprintf("Algorithm(%d)", uint8(a))
}

// Radii returns the distances that count for hashes of the algorithm in a list
// of n of them, orientations included. An invalid algorithm has the zero Radii.
func (a Algorithm) Radii(n int) Radii {
	if !a.IsValid() {
		return Radii{}
	}
	return algorithms[a].radii(n)
}

// accepted lists the prefixes of the text forms, for errors.
func accepted() string {
	var b strings.Builder
	for a := range Algorithms() {
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(algorithms[a].prefix + ":")
	}
	return b.String()
}
