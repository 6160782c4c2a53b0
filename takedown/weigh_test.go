package takedown

import (
	"testing"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/features"
	"github.com/staydown/staydown/phash"
)

// What a hit leads to, by itself.
func TestHit_Weigh(t *testing.T) {
	t.Parallel()
	r := phash.Radii{Near: 10, Identical: 18, Flat: 31, Block: 46, Review: 62}
	of := func(why Tier, scope Scope, change func(*hit)) hit {
		h := hit{why: why, radii: r, Hit: blocklist.Hit{Scope: scope, Effect: blocklist.EffectBlock, Worldwide: true}}
		if change != nil {
			change(&h)
		}
		return h
	}
	far := func(bits int) func(*hit) { return func(h *hit) { h.Distance = bits } }
	for name, tt := range map[string]struct {
		hit  hit
		want Verdict
		weak bool
	}{
		"an address":                        {of(TierURL, ScopeURL, nil), Block, false},
		"a file":                            {of(TierBytes, ScopeBytes, nil), Block, false},
		"a file, held by its rule":          {of(TierBytes, ScopeBytes, func(h *hit) { h.Effect = blocklist.EffectReview }), Review, false},
		"a file, held by its list":          {of(TierBytes, ScopeBytes, func(h *hit) { h.holds = true }), Review, false},
		"an address somewhere":              {of(TierURL, ScopeURL, func(h *hit) { h.at = somewhere }), Restricted, false},
		"held somewhere":                    {of(TierURL, ScopeURL, func(h *hit) { h.at, h.holds = somewhere, true }), Restricted, false},
		"an address elsewhere":              {of(TierURL, ScopeURL, func(h *hit) { h.at = elsewhere }), Allow, false},
		"the same hash":                     {of(TierHash, ScopeDuplicate, nil), Block, false},
		"the last near hash":                {of(TierHash, ScopeDuplicate, far(10)), Block, false},
		"the first weak hash":               {of(TierHash, ScopeDuplicate, far(11)), Block, true},
		"the last blocked hash":             {of(TierHash, ScopeDuplicate, far(46)), Block, true},
		"the first held hash":               {of(TierHash, ScopeDuplicate, far(47)), Review, true},
		"the last held hash":                {of(TierHash, ScopeDuplicate, far(62)), Review, true},
		"beyond":                            {of(TierHash, ScopeDuplicate, far(63)), Allow, true},
		"identical, at its end":             {of(TierHash, ScopeIdentical, far(18)), Block, true},
		"identical, beyond":                 {of(TierHash, ScopeIdentical, far(19)), Allow, true},
		"of a face, derived":                {of(TierHash, ScopeFace, far(46)), Block, true},
		"of a file's rule":                  {of(TierHash, ScopeBytes, nil), Allow, false},
		"flat, at its end":                  {of(TierHash, ScopeDuplicate, func(h *hit) { h.Distance, h.flat = 31, true }), Block, true},
		"flat, beyond":                      {of(TierHash, ScopeDuplicate, func(h *hit) { h.Distance, h.flat = 32, true }), Review, true},
		"not confirmed by its features":     {of(TierHash, ScopeDuplicate, func(h *hit) { h.Distance, h.unproved = 30, true }), Review, true},
		"not confirmed, somewhere":          {of(TierHash, ScopeDuplicate, func(h *hit) { h.Distance, h.unproved, h.at = 30, true, somewhere }), Restricted, true},
		"features that prove":               {of(TierFeatures, ScopeDuplicate, func(h *hit) { h.band = features.Block }), Block, false},
		"features that do not":              {of(TierFeatures, ScopeDuplicate, func(h *hit) { h.band = features.Review }), Review, true},
		"features of an identical rule":     {of(TierFeatures, ScopeIdentical, func(h *hit) { h.band = features.Block }), Allow, false},
		"features elsewhere":                {of(TierFeatures, ScopeDuplicate, func(h *hit) { h.band, h.at = features.Block, elsewhere }), Allow, false},
		"a face":                            {of(TierFace, ScopeFace, func(h *hit) { h.AtBlock = true }), Block, false},
		"a face below the block threshold":  {of(TierFace, ScopeFace, nil), Review, true},
		"a face of a rule that only holds":  {of(TierFace, ScopeFace, func(h *hit) { h.AtBlock, h.Effect = true, blocklist.EffectReview }), Review, false},
		"a face somewhere, below the limit": {of(TierFace, ScopeFace, func(h *hit) { h.at = somewhere }), Restricted, true},
	} {
		if got, weak := tt.hit.weigh(), tt.hit.weak(); got != tt.want || weak != tt.weak {
			t.Errorf("%s: %v, weak %v; want %v, %v", name, got, weak, tt.want, tt.weak)
		}
	}
}
