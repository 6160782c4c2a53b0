package desk_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
)

// previewed are the keys of the items that a preview finds, by what it says of
// them.
func previewed(tb testing.TB, d *desk.Desk, id takedown.CaseID, x index, at *desk.Grant) (found map[string]string, p desk.Preview) {
	tb.Helper()
	found = map[string]string{}
	// One by one: a preview lists only what is new.
	for _, it := range x {
		one, err := d.Preview(ctx, id, index{it}.items, at)
		ok(tb, err)
		switch {
		case one.Allowed > 0:
			found[it.Key] = "common"
		case one.Review > 0:
			found[it.Key] = "review"
		case one.Block > 0:
			found[it.Key] = "block"
		}
	}
	p, err := d.Preview(ctx, id, x.items, at)
	ok(tb, err)
	return found, p
}

// enforced is the same of the enforcer.
func enforced(d *desk.Desk, x index) map[string]string {
	found := map[string]string{}
	for _, it := range x {
		if v := d.Enforcer().Check(it.Candidate).Verdict; v > takedown.Allow {
			found[it.Key] = v.String()
		}
	}
	return found
}

// A preview of faces leaves alone what the enforcer will leave alone.
func TestPreview_FacesOnCommonPictures(t *testing.T) {
	t.Parallel()
	d := faceDesk(t, t.TempDir())
	c, err := d.Submit(ctx, faceOptOut(portrait(t, 1, 0)))
	ok(t, err)
	listed, other := common(t, 7), common(t, 8)
	_, err = d.AddToAllowList(ctx, listed, logo, "")
	ok(t, err)
	shows := func(c takedown.Candidate, faces ...takedown.Face) takedown.Candidate {
		c.Faces = faces
		return c
	}
	x := index{
		{Key: "common", Candidate: shows(listed, portrait(t, 1, 1))},
		{Key: "common by its file", Candidate: shows(takedown.Candidate{SHA256: listed.SHA256}, portrait(t, 1, 1))},
		{Key: "common by its hash", Candidate: shows(takedown.Candidate{Hashes: listed.Hashes}, portrait(t, 1, 1))},
		{Key: "common, a look-alike", Candidate: shows(listed, between(t, 1, 0.7))},
		{Key: "common, a stranger", Candidate: shows(listed, portrait(t, 2, 1))},
		{Key: "the person", Candidate: shows(other, portrait(t, 1, 1))},
		{Key: "a look-alike", Candidate: shows(other, between(t, 1, 0.7))},
		{Key: "a stranger", Candidate: shows(other, portrait(t, 2, 1))},
		{Key: "in a frame that is common", Candidate: takedown.Candidate{
			SHA256: listed.SHA256, Hashes: other.Hashes, Frames: []takedown.Frame{{Hashes: listed.Hashes, Faces: []takedown.Face{portrait(t, 1, 1)}}}}},
		{Key: "in a frame beside it", Candidate: takedown.Candidate{
			SHA256: listed.SHA256, Hashes: listed.Hashes, Frames: []takedown.Frame{{Hashes: other.Hashes, Faces: []takedown.Face{portrait(t, 1, 1)}}}}},
	}
	want := map[string]string{
		"common": "common", "common by its file": "common", "common by its hash": "common", "common, a look-alike": "common",
		"the person": "block", "a look-alike": "review", "in a frame that is common": "common", "in a frame beside it": "block",
	}
	got, p := previewed(t, d, c.ID, x, nil)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("previewed (-want +got):\n%s", diff)
	}
	if p.Allowed != 5 || p.Block != 2 || p.Review != 1 || len(p.AllowedFound) != 5 || p.AllowedFound[0].Decision.Why != takedown.TierFace || p.Weak != 1 {
		t.Errorf("%d common (%d shown), %d blocked, %d to review, %d weak", p.Allowed, len(p.AllowedFound), p.Block, p.Review, p.Weak)
	}
	for _, n := range p.NearFaces {
		if n.Item.Key != "a stranger" && n.Item.Key != "common, a stranger" {
			t.Errorf("near: %s", n.Item.Key)
		}
	}
	ok(t, d.Accept(ctx, c.ID, desk.Grant{}))
	for key, verdict := range want {
		if verdict == "common" {
			delete(want, key)
		}
	}
	if diff := cmp.Diff(want, enforced(d, x)); diff != "" {
		t.Errorf("enforced (-want +got):\n%s", diff)
	}
}

// A preview of a face names the case of somebody else that has registered it.
func TestPreview_EarlierFace(t *testing.T) {
	t.Parallel()
	d := faceDesk(t, t.TempDir())
	first := accept(t, d, faceOptOut(portrait(t, 1, 0)), desk.Grant{})
	again := faceOptOut(portrait(t, 1, 2))
	again.Requester.Email = "somebody@example.net"
	c, err := d.Submit(ctx, again)
	ok(t, err)
	if !slices.Contains(c.Flags, desk.FlagEarlierClaim) {
		t.Errorf("flags %v", c.Flags)
	}
	p, err := d.Preview(ctx, c.ID, index{}.items, nil)
	ok(t, err)
	if diff := cmp.Diff([]takedown.CaseID{first}, p.Earlier); diff != "" {
		t.Errorf("earlier (-want +got):\n%s", diff)
	}
	// What the same requester has in force hides nobody else's, nor does the case
	// itself.
	ok(t, d.Accept(ctx, c.ID, desk.Grant{Territories: []string{"DE"}}))
	third := faceOptOut(portrait(t, 1, 2))
	third.Requester.Email = again.Requester.Email
	x, err := d.Submit(ctx, third)
	ok(t, err)
	if !slices.Contains(x.Flags, desk.FlagEarlierClaim) {
		t.Errorf("the third: flags %v", x.Flags)
	}
	for id, want := range map[takedown.CaseID][]takedown.CaseID{x.ID: {first, c.ID}, c.ID: {first}, first: {c.ID}} {
		p, err := d.Preview(ctx, id, index{}.items, nil)
		ok(t, err)
		if diff := cmp.Diff(want, p.Earlier); diff != "" {
			t.Errorf("earlier than the next (-want +got):\n%s", diff)
		}
	}
	// A rule for some countries is a claim too.
	ok(t, d.Withdraw(ctx, first, desk.Actor{}))
	if x, err = d.Submit(ctx, faceOptOut(portrait(t, 1, 4))); err != nil || !slices.Contains(x.Flags, desk.FlagEarlierClaim) {
		t.Errorf("after a rule for Germany: flags %v, %v", x.Flags, err)
	}
	// Nor is anybody named to whom there is no likeness.
	c, err = d.Submit(ctx, faceOptOut(portrait(t, 3, 0)))
	ok(t, err)
	if p, err = d.Preview(ctx, c.ID, index{}.items, nil); err != nil || len(p.Earlier) != 0 {
		t.Errorf("earlier than a stranger: %v, %v", p.Earlier, err)
	}
}

// A preview of other terms knows what was said of matches under those in force.
func TestPreview_OfAChange(t *testing.T) {
	t.Parallel()
	d := faceDesk(t, t.TempDir())
	e := d.Enforcer()
	lookalike, twin := testCandidate(t, 5), testCandidate(t, 6)
	lookalike.Faces, twin.Faces = []takedown.Face{between(t, 1, 0.9)}, []takedown.Face{between(t, 1, 0.9)}
	own := hashes(t, testJPEG(t, 1))[0]
	near, copied := takedown.Candidate{Hashes: []phash.Hash{nearCopy(own, 24)}}, testCandidate(t, 9)
	x := index{
		{Key: "a look-alike", Candidate: lookalike},
		{Key: "its face on another picture", Candidate: twin},
		{Key: "a picture that is near", Candidate: near},
		{Key: "the picture", Candidate: takedown.Candidate{Hashes: []phash.Hash{own}}},
		{Key: "a learned copy", Candidate: takedown.Candidate{Hashes: copied.Hashes}},
		{Key: "its file", Candidate: takedown.Candidate{SHA256: copied.SHA256}},
	}
	face := accept(t, d, faceOptOut(portrait(t, 1, 0)), desk.Grant{})
	picture := accept(t, d, optOut(t, 1), desk.Grant{})
	for _, m := range []struct {
		match desk.Match
		said  desk.Resolution
	}{
		{desk.Match{Candidate: lookalike, Decision: e.Check(lookalike)}, desk.NotTheSame},
		{desk.Match{Candidate: near, Decision: e.Check(near)}, desk.NotTheSame},
		{desk.Match{Candidate: copied, Decision: takedown.Decision{Rule: e.Filter("", own).Rule}, File: testJPEG(t, 9)}, desk.SameImage},
	} {
		_, err := d.Resolve(ctx, m.match, m.said)
		ok(t, err)
	}
	all := map[string]string{}
	for _, tc := range []struct {
		name  string
		id    takedown.CaseID
		grant desk.Grant
		want  map[string]string
	}{
		{"the face, with another threshold", face, desk.Grant{Face: desk.FaceThreshold{Block: 0.95}}, map[string]string{"its face on another picture": "review"}},
		{"the picture, to be looked at", picture, desk.Grant{Effect: blocklist.EffectReview}, map[string]string{"the picture": "review", "a learned copy": "review", "its file": "review"}},
	} {
		got, _ := previewed(t, d, tc.id, x, &tc.grant)
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
		ok(t, d.Amend(ctx, tc.id, tc.grant))
		for key, verdict := range tc.want {
			all[key] = verdict
		}
	}
	if diff := cmp.Diff(all, enforced(d, x)); diff != "" {
		t.Errorf("enforced (-want +got):\n%s", diff)
	}
}
