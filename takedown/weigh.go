package takedown

import (
	"math"
	"slices"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/features"
	"github.com/staydown/staydown/internal/radius"
	"github.com/staydown/staydown/phash"
)

// terms are what the weight of a hit depends on beside the hit itself: the same for
// all hits of one look-up.
type terms struct {
	why  Tier
	list *source
	in   where
	// The allow list does not count if bare is set; else shields are radii of it.
	bare    bool
	shields *radius.Radii
	alg     phash.Algorithm // of the hash that is looked up
	radii   phash.Radii     // of it
	// sighted reports that the features of the whole picture are known. A hash beyond
	// the identical radius then blocks only if they confirm it, as they do for the
	// rules in borne.
	sighted bool
	borne   [maxBorne]uint64
	nBorne  int
	proof   proof // of a hit by features
	coarse  bool  // similarities are shown in hundredths
	frame   int   // of an animation
	face    int   // of the frame
}

// proof is what counts of a match by features.
type proof struct {
	band     features.Band
	inliers  int
	coverage float64
	mirrored bool
}

// maxBorne is the number of rules whose matches by hash the features of one
// picture can confirm.
const maxBorne = 4

// weigh returns what a hit leads to. It depends on nothing but its arguments.
func weigh(h *blocklist.Hit, t *terms) Decision {
	if h.Old || h.Excepted {
		return Decision{}
	}
	v := weight(h, t)
	if v <= Allow || h.Allowed && t.isShielded(h) {
		return Decision{}
	}
	d := Decision{
		Verdict: v, Why: t.why, List: t.list.name, Rule: h.Rule, Case: h.Case, Kind: Kind(h.Kind), Scope: h.Scope,
		Derived: h.Derived, Weak: isWeak(h, t),
	}
	switch t.why {
	case TierHash:
		d.Distance, d.Transform, d.Frame = h.Distance, phash.Transform(h.Variant), t.frame
	case TierFeatures:
		d.Inliers, d.Coverage, d.Mirrored, d.Frame = t.proof.inliers, t.proof.coverage, t.proof.mirrored, t.frame
	case TierFace:
		d.Similarity, d.Face, d.Frame = t.shown(h.Similarity), t.face, t.frame
	}
	return d
}

// shown returns the similarity that a decision has. Exact similarities give back the
// registered vector, with about one question for each dimension, so a list that
// cannot be written, as at a node, answers in hundredths. Whether a face is at the
// threshold is decided by the exact one.
func (t *terms) shown(similarity float64) float64 {
	if !t.coarse {
		return similarity
	}
	return math.Round(similarity*100) / 100
}

// weight returns the verdict of a hit whose rule has no exception for the picture.
func weight(h *blocklist.Hit, t *terms) Verdict {
	v := Block
	if t.list.holds || h.Effect == blocklist.EffectReview {
		v = Review
	}
	switch t.why {
	case TierHash:
		v = min(v, nearness(h, t))
	case TierFeatures:
		v = min(v, evidence(h, t))
	case TierFace:
		if !h.AtBlock {
			v = min(v, Review)
		}
	}
	switch at := presenceOf(h, t); {
	case v <= Allow:
		return v
	case at == elsewhere:
		return Allow
	case at == somewhere:
		return Restricted
	case v == Block && t.why == TierHash && isUnproved(h, t):
		return Review
	}
	return v
}

// presence says whether a rule applies where the answer is needed.
type presence uint8

const (
	everywhere presence = iota // it applies
	somewhere                  // it applies in some countries, and no country was named
	elsewhere                  // it does not apply in the country that was named
)

// presenceOf returns whether the rule of a hit, and its list, apply.
func presenceOf(h *blocklist.Hit, t *terms) presence {
	switch {
	case t.in.all, h.Worldwide && t.list.within == nil:
		return everywhere
	case !t.in.set:
		return somewhere
	case t.list.within != nil && !slices.Contains(t.list.within, t.in.territory), !h.Here:
		return elsewhere
	}
	return everywhere
}

// nearness returns what the distance of a hash means under the scope of the rule.
func nearness(h *blocklist.Hit, t *terms) Verdict {
	block := t.radii.Block
	// The registered picture was seen by a reviewer, and has too little detail for
	// local features.
	if !h.HasFeatures && !h.Derived && (h.Kind == radius.KindImageOptOut || h.Kind == radius.KindOpenOptOut) {
		block = t.radii.Flat
	}
	switch {
	case h.Scope == ScopeIdentical && h.Distance <= t.radii.Identical:
		return Block
	// The hashes of a face are derived from pictures in which a person recognised
	// it. Their copies show it too.
	case h.Scope >= ScopeDuplicate && h.Distance <= block:
		return Block
	case h.Scope >= ScopeDuplicate && h.Distance <= t.radii.Review:
		return Review
	}
	return Allow
}

// isUnproved reports whether the features of the candidate and of the registered
// picture are known, and do not confirm the hash.
func isUnproved(h *blocklist.Hit, t *terms) bool {
	// A hash of bounded reach is that of a template. Other pictures of the template
	// can be as near as a copy.
	return t.sighted && h.HasFeatures && (h.Distance > t.radii.Identical || h.Reach != 0) &&
		!slices.Contains(t.borne[:t.nBorne], h.Rule)
}

// evidence returns what a match by features means under the scope of the rule.
func evidence(h *blocklist.Hit, t *terms) Verdict {
	switch {
	case h.Scope != ScopeDuplicate:
		return Allow
	case t.proof.band == features.Block:
		return Block
	}
	return Review
}

// isWeak reports whether the match leaves a doubt: see Decision.Weak.
func isWeak(h *blocklist.Hit, t *terms) bool {
	switch t.why {
	case TierHash:
		return h.Distance > t.radii.Near
	case TierFace:
		return !h.AtBlock
	case TierFeatures:
		return t.proof.band != features.Block
	}
	return false
}

// isShielded reports whether the allow list protects a picture from a hit.
func (t *terms) isShielded(h *blocklist.Hit) bool {
	return !t.bare && t.shields.Shields(h.Kind, t.why == TierHash, t.alg, h.Variant, h.Distance)
}
