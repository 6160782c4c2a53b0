package desk_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
)

// A vector that came without a picture may be made so that it resembles very many
// people, and nobody can look at it: it holds for review, and two reviewers who say
// so can grant more.
func TestFaceOptOut_Unseen(t *testing.T) {
	t.Parallel()
	d := faceDesk(t, t.TempDir(), func(o *desk.Options) { o.OneReviewer, o.TrustFaceVectors = false, false })
	c, err := d.Submit(ctx, faceOptOut(portrait(t, 1, 0)))
	ok(t, err)
	var second *desk.SecondReviewError
	if err := d.Accept(ctx, c.ID, desk.Grant{Actor: alice}); !errors.As(err, &second) || slices.Contains(second.Risks, desk.FlagUnseen) {
		t.Fatalf("a grant that only holds: %v", err)
	}
	ok(t, d.Accept(ctx, c.ID, desk.Grant{Actor: bob}))
	copy := withFaces(portrait(t, 1, 7))
	if got := d.Enforcer().Check(copy); got.Verdict != takedown.Review || got.Why != takedown.TierFace {
		t.Errorf("another photograph: %v", got)
	}
	block := desk.Grant{Actor: alice, Effect: blocklist.EffectBlock}
	if err := d.Amend(ctx, c.ID, block); !errors.As(err, &second) || !slices.Contains(second.Risks, desk.FlagUnseen) {
		t.Fatalf("a grant that blocks: %v", err)
	}
	block.Actor = bob
	ok(t, d.Amend(ctx, c.ID, block))
	if got := d.Enforcer().Check(copy); got.Verdict != takedown.Block {
		t.Errorf("after two have looked: %v", got)
	}
	if got := d.Enforcer().Check(withFaces(portrait(t, 2, 0))); got.Verdict != takedown.Allow {
		t.Errorf("somebody else: %v", got)
	}
}

// A face that resembles many strangers is pointed out with the threshold that it
// needs; an ordinary one is not. More faces than the thresholds were made for are
// a problem of the desk.
func TestFaceOptOut_Strangers(t *testing.T) {
	t.Parallel()
	model := faceModels[0]
	for i := range uint64(1500) {
		model.Reference = append(model.Reference, portrait(t, 1000+i, 0))
	}
	// Four of them look like the face that is registered.
	for i := range uint64(4) {
		model.Reference[i] = between(t, 1, 0.84+float64(i)/100)
	}
	model.Calibrated = 1
	d := faceDesk(t, t.TempDir(), func(o *desk.Options) { o.FaceModels, o.OneReviewer = []desk.FaceModel{model}, false })
	c, err := d.Submit(ctx, faceOptOut(portrait(t, 1, 0), portrait(t, 2, 0)))
	ok(t, err)
	p, err := d.Preview(ctx, c.ID, index{}.items, nil)
	ok(t, err)
	if len(p.Strangers) != 2 {
		t.Fatalf("%+v", p.Strangers)
	}
	if s := p.Strangers[0]; s.Item != 0 || s.Of != 1500 || s.Blocked != 4 || s.Needs < 0.87 || s.Needs > 0.88 {
		t.Errorf("a face like four strangers: %+v", s)
	}
	if s := p.Strangers[1]; s.Blocked != 0 || s.Held != 0 || s.Needs != model.Block {
		t.Errorf("an ordinary face: %+v", s)
	}
	var second *desk.SecondReviewError
	if err := d.Accept(ctx, c.ID, desk.Grant{Actor: alice}); !errors.As(err, &second) || !slices.Contains(second.Risks, desk.FlagUniversalFace) {
		t.Fatalf("risks: %v", err)
	}
	ok(t, d.Accept(ctx, c.ID, desk.Grant{Actor: bob}))
	if !slices.ContainsFunc(d.Health(ctx), func(p desk.HealthProblem) bool { return p.Code == desk.HealthOutgrown }) {
		t.Errorf("two faces, calibrated for one: %v", d.Health(ctx))
	}
	model.Reference = append(model.Reference, takedown.Face{})
	if _, err := desk.Open(t.TempDir(), &desk.Options{FaceModels: []desk.FaceModel{model}}); err == nil {
		t.Error("a stranger of another model is taken")
	}
}
