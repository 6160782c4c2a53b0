package takedown

import (
	"testing"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/features"
	"github.com/staydown/staydown/internal/radius"
	"github.com/staydown/staydown/phash"
)

// What a hit leads to, by itself. The table needs no list: weigh asks nothing.
func TestWeigh(t *testing.T) {
	t.Parallel()
	type row struct {
		h blocklist.Hit
		t terms
	}
	shields := radius.PDQ(0, 0)
	german, _ := blocklist.ParseTerritory("DE")
	french, _ := blocklist.ParseTerritory("FR")
	of := func(why Tier, scope Scope, changes ...func(*row)) row {
		r := row{
			h: blocklist.Hit{Rule: 7, Scope: scope, Effect: blocklist.EffectBlock, Worldwide: true, Here: true},
			t: terms{
				why: why, list: &source{name: "main"}, alg: phash.AlgPDQ, shields: &shields,
				radii: phash.Radii{Near: 10, Identical: 18, Flat: 31, Block: 46, Review: 62},
			},
		}
		for _, change := range changes {
			change(&r)
		}
		return r
	}
	far := func(bits int) func(*row) { return func(r *row) { r.h.Distance = bits } }
	ofKind := func(kind uint8) func(*row) { return func(r *row) { r.h.Kind = kind } }
	held := func(r *row) { r.h.Effect = blocklist.EffectReview }
	heldByList := func(r *row) { r.t.list.holds = true }
	abroad := func(r *row) { r.h.Worldwide, r.h.Here = false, false }                                         // a rule of some countries
	in := func(here bool) func(*row) { return func(r *row) { abroad(r); r.h.Here, r.t.in.set = here, true } } // asked in a country
	limited := func(asked blocklist.Territory) func(*row) {
		return func(r *row) {
			r.t.list.within = []blocklist.Territory{german}
			r.t.in = where{set: true, territory: asked}
		}
	}
	proof := func(b features.Band) func(*row) { return func(r *row) { r.t.proof.band = b } }
	atBlock := func(r *row) { r.h.AtBlock = true }
	unproved := func(r *row) { r.h.Distance, r.h.HasFeatures, r.t.sighted = 30, true, true }
	confirmed := func(r *row) { unproved(r); r.t.borne[0], r.t.nBorne = 7, 1 }
	allowed := func(r *row) { r.h.Allowed = true }
	for name, tt := range map[string]struct {
		row
		want Verdict
		weak bool
	}{
		"an address":                        {of(TierURL, ScopeURL), Block, false},
		"a file":                            {of(TierBytes, ScopeBytes), Block, false},
		"a file, held by its rule":          {of(TierBytes, ScopeBytes, held), Review, false},
		"a file, held by its list":          {of(TierBytes, ScopeBytes, heldByList), Review, false},
		"an address somewhere":              {of(TierURL, ScopeURL, abroad), Restricted, false},
		"held somewhere":                    {of(TierURL, ScopeURL, abroad, heldByList), Restricted, false},
		"an address elsewhere":              {of(TierURL, ScopeURL, in(false)), 0, false},
		"an address in its country":         {of(TierURL, ScopeURL, in(true)), Block, false},
		"an unknown country":                {of(TierURL, ScopeURL, abroad, func(r *row) { r.t.in.all = true }), Block, false},
		"a list of the country":             {of(TierURL, ScopeURL, limited(german)), Block, false},
		"a list of another country":         {of(TierURL, ScopeURL, limited(french)), 0, false},
		"a list of a country, none named":   {of(TierURL, ScopeURL, limited(german), func(r *row) { r.t.in = where{} }), Restricted, false},
		"seen by an earlier sweep":          {of(TierURL, ScopeURL, func(r *row) { r.h.Old = true }), 0, false},
		"excepted":                          {of(TierBytes, ScopeBytes, func(r *row) { r.h.Excepted = true }), 0, false},
		"the same hash":                     {of(TierHash, ScopeDuplicate), Block, false},
		"the last near hash":                {of(TierHash, ScopeDuplicate, far(10)), Block, false},
		"the first weak hash":               {of(TierHash, ScopeDuplicate, far(11)), Block, true},
		"the last blocked hash":             {of(TierHash, ScopeDuplicate, far(46)), Block, true},
		"the first held hash":               {of(TierHash, ScopeDuplicate, far(47)), Review, true},
		"the last held hash":                {of(TierHash, ScopeDuplicate, far(62)), Review, true},
		"beyond":                            {of(TierHash, ScopeDuplicate, far(63)), 0, false},
		"identical, at its end":             {of(TierHash, ScopeIdentical, far(18)), Block, true},
		"identical, beyond":                 {of(TierHash, ScopeIdentical, far(19)), 0, false},
		"of a face, derived":                {of(TierHash, ScopeFace, far(46)), Block, true},
		"of a file's rule":                  {of(TierHash, ScopeBytes), 0, false},
		"flat, at its end":                  {of(TierHash, ScopeDuplicate, far(31), ofKind(radius.KindImageOptOut)), Block, true},
		"flat, beyond":                      {of(TierHash, ScopeDuplicate, far(32), ofKind(radius.KindImageOptOut)), Review, true},
		"derived, not known to be flat":     {of(TierHash, ScopeDuplicate, far(32), ofKind(radius.KindImageOptOut), func(r *row) { r.h.Derived = true }), Block, true},
		"not flat":                          {of(TierHash, ScopeDuplicate, far(32), ofKind(radius.KindImageOptOut), func(r *row) { r.h.HasFeatures = true }), Block, true},
		"not confirmed by its features":     {of(TierHash, ScopeDuplicate, unproved), Review, true},
		"confirmed by its features":         {of(TierHash, ScopeDuplicate, confirmed), Block, true},
		"identical, needs no confirmation":  {of(TierHash, ScopeDuplicate, unproved, far(18)), Block, true},
		"identical, of a template":          {of(TierHash, ScopeDuplicate, unproved, far(18), func(r *row) { r.h.Reach = 20 }), Review, true},
		"not confirmed, somewhere":          {of(TierHash, ScopeDuplicate, unproved, abroad), Restricted, true},
		"on the allow list":                 {of(TierHash, ScopeDuplicate, allowed), 0, false},
		"on the allow list, ordered":        {of(TierHash, ScopeDuplicate, allowed, ofKind(radius.KindAuthorityOrder)), Block, false},
		"on the allow list, intimate":       {of(TierHash, ScopeDuplicate, allowed, ofKind(radius.KindIntimateImage)), Block, false},
		"on the allow list, intimate, far":  {of(TierHash, ScopeDuplicate, allowed, far(40), ofKind(radius.KindIntimateImage)), 0, false},
		"on the allow list, not used":       {of(TierHash, ScopeDuplicate, allowed, func(r *row) { r.t.bare = true }), Block, false},
		"features that prove":               {of(TierFeatures, ScopeDuplicate, proof(features.Block)), Block, false},
		"features that do not":              {of(TierFeatures, ScopeDuplicate, proof(features.Review)), Review, true},
		"features of an identical rule":     {of(TierFeatures, ScopeIdentical, proof(features.Block)), 0, false},
		"features elsewhere":                {of(TierFeatures, ScopeDuplicate, proof(features.Block), in(false)), 0, false},
		"a face":                            {of(TierFace, ScopeFace, atBlock), Block, false},
		"a face below the block threshold":  {of(TierFace, ScopeFace), Review, true},
		"a face of a rule that only holds":  {of(TierFace, ScopeFace, atBlock, held), Review, false},
		"a face somewhere, below the limit": {of(TierFace, ScopeFace, abroad), Restricted, true},
	} {
		before := tt.row
		d := weigh(&tt.h, &tt.t)
		if d.Verdict != tt.want || d.Weak != tt.weak {
			t.Errorf("%s: %v, weak %v; want %v, %v", name, d.Verdict, d.Weak, tt.want, tt.weak)
		}
		if named := d.Why == tt.t.why && d.Rule == 7 && d.List == "main"; named != (tt.want > Allow) {
			t.Errorf("%s: %+v", name, d)
		}
		if tt.h != before.h {
			t.Errorf("%s: the hit was changed", name)
		}
	}
}
