// Package radius has the distances in bits up to which hashes mean something, and
// the rules that depend on nothing else. Enforcers and desks share them.
package radius

import (
	"cmp"

	"github.com/staydown/staydown/phash"
)

// Max is the largest radius that a host may set for PDQ: half of what unlike
// pictures differ by.
const Max = 64

// Radii are those of all algorithms, by the table of package phash, with the
// host's own for PDQ.
type Radii struct{ pdq phash.Radii }

// PDQ returns the radii with those of PDQ hashes that a host has set; 0 is the
// default.
func PDQ(block, review int) Radii {
	of := phash.AlgPDQ.Radii(0)
	of.Block, of.Review = cmp.Or(block, of.Block), cmp.Or(review, of.Review)
	of.Flat = min(of.Flat, of.Block)
	return Radii{of}
}

// Of returns the radii of an algorithm in a list of n of its hashes.
func (r *Radii) Of(alg phash.Algorithm, n int) phash.Radii {
	if alg == phash.AlgPDQ { // those of PDQ do not depend on n
		return r.pdq
	}
	return alg.Radii(n)
}

// IsIdentical reports whether a hash at a distance is of the identical picture.
func (r *Radii) IsIdentical(alg phash.Algorithm, distance int) bool {
	return alg.IsValid() && distance <= r.Of(alg, 0).Identical
}

// OfCommon is the distance up to which a hash is of a picture on the allow list.
func OfCommon(h phash.Hash) int { return h.Algorithm().Radii(0).Near }

// AsSent reports whether a variant is the picture as it was sent, without its
// other orientations and crops.
func AsSent(variant uint8) bool {
	kind := phash.Transform(variant)
	return kind.Orientation() == phash.Upright && (kind.Edit() == phash.Whole || kind.Edit() == phash.OverWhite)
}

// The numbers of the kinds of requests that are weighed in ways of their own;
// package request names them.
const (
	KindImageOptOut    = 1
	KindIntimateImage  = 7
	KindAuthorityOrder = 8
	KindOpenOptOut     = 12
)

// Shields reports whether the allow list keeps a picture on it from a hit by likeness
// with a rule of some kind. It does not keep it from orders, nor from a request about
// an intimate image whose hash shows the identical picture.
func (r *Radii) Shields(kind uint8, byHash bool, alg phash.Algorithm, variant uint8, distance int) bool {
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
