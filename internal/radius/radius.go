// Package radius has the distances in bits up to which hashes mean something,
// and what depends on nothing else. Who answers and who decides share them.
package radius

import (
	"cmp"

	"github.com/staydown/staydown/phash"
)

const (
	// Near is the distance up to which a PDQ hash is of the same picture beyond
	// doubt: such matches never count for the match budget.
	Near = 10
	// IdenticalPerception is the distance up to which a perception hash is of the
	// identical picture, re-encoded or resized.
	IdenticalPerception = 4
	// Flat is the distance up to which the PDQ hash of a flat picture blocks: one
	// frame, disc or bar is near any other one. Most false matches among unrelated
	// pictures within the block radius are with such, and most of these lie beyond.
	Flat = 31
	// Common is the distance up to which a PDQ hash is of a picture on the
	// never-block list.
	Common = 10
	// Max is half of what unlike pictures differ by.
	Max = 64
)

// Radii are those of PDQ hashes, or of another algorithm.
type Radii struct{ Identical, Block, Review int }

// PDQ returns the radii of PDQ hashes; 0 is the default.
func PDQ(block, review int) Radii {
	return Radii{phash.IdenticalRadius, cmp.Or(block, phash.BlockRadius), cmp.Or(review, phash.ReviewRadius)}
}

// IsIdentical reports whether a hash at a distance is of the identical picture.
func (r Radii) IsIdentical(alg phash.Algorithm, distance int) bool {
	if alg == phash.AlgPDQ {
		return distance <= r.Identical
	}
	return distance <= IdenticalPerception
}

// OfCommon is the distance up to which a hash is of a picture on the never-block
// list.
func OfCommon(h phash.Hash) int {
	if h.Algorithm() == phash.AlgPDQ {
		return Common
	}
	return IdenticalPerception
}

// AsSent reports whether a variant is the picture as it was sent, without its
// other orientations and crops.
func AsSent(variant uint8) bool {
	kind := phash.Kind(variant)
	return kind.Orientation() == phash.Upright && (kind.View() == phash.Whole || kind.View() == phash.OverWhite)
}

// The numbers of the kinds of requests that are weighed in ways of their own;
// package request names them.
const (
	KindImageOptOut    = 1
	KindIntimateImage  = 7
	KindAuthorityOrder = 8
	KindOpenOptOut     = 12
)

// Shields reports whether the never-block list keeps a common picture from a hit
// by likeness with a rule of some kind. It does, but for orders, and for the
// identical picture of a request for intimate ones, which only a hash shows.
func (r Radii) Shields(kind uint8, byHash bool, alg phash.Algorithm, variant uint8, distance int) bool {
	switch kind {
	case KindAuthorityOrder:
		return false
	case KindIntimateImage:
		return !byHash || !AsSent(variant) || !r.IsIdentical(alg, distance)
	}
	return true
}

// Budgeted reports whether rules of a kind have a match budget. Orders, and
// requests for intimate pictures, are enforced whatever else they hit.
func Budgeted(kind uint8) bool { return kind != KindIntimateImage && kind != KindAuthorityOrder }
