package takedown

import "github.com/staydown/staydown/phash"

// CopyShare is the share of copies among the pictures asked about for which
// [Decision.Score] is calibrated: one in 1,000.
const CopyShare = 0.001

// The likelihood ratios of decisions, counted on the half choose of
// internal/tools/accuracy: 3,432 questions about copies, 2,663 about unrelated
// pictures. docs/score.md has the counts. A ratio that no unrelated picture reached
// is counted as if half of one did, so it is a lower bound.
const (
	ratioExact = 1e6 // an address or a file: not counted, they are equal or not
	ratioNone  = 0.012
)

// step is a ratio up to a bound.
type step struct {
	most  int
	ratio float64
}

// Of hashes by the distance, of features by the number of points.
var (
	ratiosHashBlock     = []step{{10, 2_270}, {20, 72}, {256, 50}}
	ratiosHashReview    = []step{{31, 8.5}, {256, 3}}
	ratiosPartBlock     = []step{{10, 165}, {20, 95}, {256, 85}}
	ratiosFeatureReview = []step{{39, 1.35}, {79, 6.8}, {1 << 30, 59}}
)

const (
	// littleCovered is the coverage below which points prove little, halfCovered that
	// below which a block rests on a part.
	littleCovered, halfCovered = 0.3, 0.5

	ratioLittle            = 0.16 // Review
	ratioBlockLittle       = 13
	ratioBlockPart         = 200
	ratioBlockMost         = 1_965
	ratioUncalibratedFaces = 1
)

func ratioAt(steps []step, v int) float64 {
	for _, s := range steps {
		if v <= s.most {
			return s.ratio
		}
	}
	return steps[len(steps)-1].ratio
}

// LikelihoodRatio returns how many times more often a copy of a registered picture gets
// a decision like d than an unrelated picture does. It is of a list of some 1,000
// pictures; in a list of n it falls about as 1,000/n for matches by hash and by
// features. Verdicts that a rule weakened (an effect or a territory) count as Review.
// Matches by face are not calibrated, and have the ratio 1: see desk.FaceModel. See
// docs/score.md for the counts and for templates.
//
// The odds of a copy are the odds among all pictures asked about times this ratio.
func (d Decision) LikelihoodRatio() float64 {
	block := d.Verdict == Block
	switch d.Why {
	case 0:
		return ratioNone
	case TierFace:
		return ratioUncalibratedFaces
	case TierHash:
		switch {
		case d.Transform.Edit() == phash.PartOf:
			return ratioAt(ratiosPartBlock, d.Distance)
		case block:
			return ratioAt(ratiosHashBlock, d.Distance)
		}
		return ratioAt(ratiosHashReview, d.Distance)
	case TierFeatures:
		switch {
		case !block && d.Coverage < littleCovered:
			return ratioLittle
		case !block:
			return ratioAt(ratiosFeatureReview, d.Inliers)
		case d.Coverage < littleCovered:
			return ratioBlockLittle
		case d.Coverage < halfCovered:
			return ratioBlockPart
		}
		return ratioBlockMost
	}
	return ratioExact
}

// Score returns the probability, from 0 to 1, that the picture is a copy of a
// registered one, if CopyShare of all pictures asked about are copies. It sorts a queue
// of Review. For another share compute it from LikelihoodRatio. The same caveats
// apply.
func (d Decision) Score() float64 {
	odds := d.LikelihoodRatio() * CopyShare / (1 - CopyShare)
	return odds / (1 + odds)
}
