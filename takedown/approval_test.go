package takedown_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
)

// wantSecond fails unless an approval was noted, and is the first.
func wantSecond(tb testing.TB, what string, err error) {
	tb.Helper()
	var second *takedown.SecondReviewError
	if !errors.As(err, &second) {
		tb.Errorf("%s: %v, want a *SecondReviewError", what, err)
	}
}

// Who may complete a request can put another face in the place of the one that
// was looked at: only who was asked may.
func TestComplete_OnlyWhereAsked(t *testing.T) {
	t.Parallel()
	quiet := takedown.NotifierFunc(func(context.Context, takedown.Message) error { return nil })
	for _, tc := range []struct {
		name string
		to   func(d *takedown.Desk, id takedown.CaseID) error
		in   takedown.State
	}{
		{"nobody has decided", func(*takedown.Desk, takedown.CaseID) error { return nil }, takedown.StateInReview},
		{"its address is not confirmed", nil, takedown.StateUnconfirmed},
		{"one has approved it", func(d *takedown.Desk, id takedown.CaseID) error {
			wantSecond(t, "by one", d.Accept(ctx, id, takedown.Grant{Act: alice}))
			return nil
		}, takedown.StateSecondReview},
		{"rejected", func(d *takedown.Desk, id takedown.CaseID) error { return d.Reject(ctx, id, alice) }, takedown.StateRejected},
		{"withdrawn", func(d *takedown.Desk, id takedown.CaseID) error { return d.Withdraw(ctx, id, takedown.Act{}) }, takedown.StateWithdrawn},
		{"in force", func(d *takedown.Desk, id takedown.CaseID) error {
			acceptByTwo(t, d, id, takedown.Grant{})
			return nil
		}, takedown.StateInForce},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			d := faceDesk(t, t.TempDir(), func(o *takedown.DeskOptions) {
				o.OneReviewer, o.ConfirmEmail, o.Notifier = false, tc.to == nil, quiet
			})
			c, err := d.Submit(ctx, faceOptOut(portrait(t, 1, 0)))
			ok(t, err)
			if tc.to != nil {
				ok(t, tc.to(d, c.ID))
			}
			before, err := d.Case(ctx, c.ID)
			ok(t, err)
			if before.State != tc.in {
				t.Fatalf("it is %s, want %s", before.State, tc.in)
			}
			var move *takedown.MoveError
			if _, err := d.Complete(ctx, c.ID, faceOptOut(portrait(t, 2, 0))); !errors.As(err, &move) {
				t.Errorf("Complete: %v, want a *MoveError", err)
			}
			after, err := d.Case(ctx, c.ID)
			ok(t, err)
			if after.State != tc.in || len(after.Moves) != len(before.Moves) || !after.Times[takedown.MilestoneCompleted].IsZero() {
				t.Errorf("it is %s, after %d moves, want %s after %d", after.State, len(after.Moves), tc.in, len(before.Moves))
			}
			if faces := after.Request.(takedown.FaceOptOut).Faces; len(faces) > 0 && !faces[0].Equal(portrait(t, 1, 0)) {
				t.Error("its face is another")
			}
		})
	}
}

// Two reviewers approve the same face on the same terms, or the second begins
// anew.
func TestAccept_TwoApproveTheSame(t *testing.T) {
	t.Parallel()
	seen, other := portrait(t, 1, 0), portrait(t, 2, 0)
	for _, tc := range []struct {
		name string
		// between is what happens between the two approvals.
		between func(t *testing.T, d *takedown.Desk, id takedown.CaseID) *takedown.Desk
		blocked takedown.Face
	}{
		{"the face is another", func(t *testing.T, d *takedown.Desk, id takedown.CaseID) *takedown.Desk {
			_, err := d.Complete(ctx, id, faceOptOut(other))
			ok(t, err)
			return d
		}, other},
		{"the same request again", func(t *testing.T, d *takedown.Desk, id takedown.CaseID) *takedown.Desk {
			_, err := d.Complete(ctx, id, faceOptOut(seen))
			ok(t, err)
			return d
		}, seen},
		{"the desk has lower thresholds", func(t *testing.T, d *takedown.Desk, id takedown.CaseID) *takedown.Desk {
			ok(t, d.Close())
			low := slices.Clone(faceModels)
			low[0].Block, low[0].Review = 0.7, 0.5
			return faceDesk(t, d.Dir(), func(o *takedown.DeskOptions) { o.OneReviewer, o.FaceModels = false, low })
		}, seen},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			d := faceDesk(t, t.TempDir(), func(o *takedown.DeskOptions) { o.OneReviewer = false })
			c, err := d.Submit(ctx, faceOptOut(seen))
			ok(t, err)
			ok(t, d.AskInfo(ctx, c.ID, alice, "faces"))
			wantSecond(t, "alice", d.Accept(ctx, c.ID, takedown.Grant{Act: alice}))
			d = tc.between(t, d, c.ID)
			wantSecond(t, "bob", d.Accept(ctx, c.ID, takedown.Grant{Act: bob}))
			for _, f := range []takedown.Face{seen, other} {
				wantVerdict(t, "approved by nobody but bob", d.Enforcer().Check(withFaces(f)), takedown.Allow)
			}
			ok(t, d.Accept(ctx, c.ID, takedown.Grant{Act: alice}))
			wantVerdict(t, "approved by both", d.Enforcer().Check(withFaces(tc.blocked)), takedown.Block)
		})
	}
}

// The second reviewer can ask, too; whatever the answer is, both look again.
func TestAskInfo_VoidsApproval(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	c := o.submit(t, samples(t, takedown.CaseID{})[takedown.KindHashEntry])
	vet := takedown.Grant{Act: alice, Effect: blocklist.EffectBlock}
	wantSecond(t, "alice", o.Accept(ctx, c.ID, vet))
	o.wantState(t, c.ID, takedown.StateSecondReview)
	ok(t, o.AskInfo(ctx, c.ID, bob, "reason"))
	o.wantState(t, c.ID, takedown.StateNeedsInfo)
	vet.Act = bob
	wantSecond(t, "bob, who has asked", o.Accept(ctx, c.ID, vet))
	vet.Act = alice
	ok(t, o.Accept(ctx, c.ID, vet))
	o.wantState(t, c.ID, takedown.StateInForce)
}
