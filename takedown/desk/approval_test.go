package desk_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// wantSecond fails unless an approval was noted, and is the first.
func wantSecond(tb testing.TB, what string, err error) {
	tb.Helper()
	var second *desk.SecondReviewError
	if !errors.As(err, &second) {
		tb.Errorf("%s: %v, want a *SecondReviewError", what, err)
	}
}

// Who may complete a request can put another face in the place of the one that
// was looked at: only who was asked may.
func TestComplete_OnlyWhereAsked(t *testing.T) {
	t.Parallel()
	quiet := desk.NotifierFunc(func(context.Context, desk.Message) error { return nil })
	for _, tc := range []struct {
		name string
		to   func(d *desk.Desk, id takedown.CaseID) error
		in   desk.State
	}{
		{"nobody has decided", func(*desk.Desk, takedown.CaseID) error { return nil }, desk.StateInReview},
		{"its address is not confirmed", nil, desk.StateUnconfirmed},
		{"one has approved it", func(d *desk.Desk, id takedown.CaseID) error {
			wantSecond(t, "by one", d.Accept(ctx, id, desk.Grant{Actor: alice}))
			return nil
		}, desk.StateSecondReview},
		{"rejected", func(d *desk.Desk, id takedown.CaseID) error { return d.Reject(ctx, id, refuse(alice)) }, desk.StateRejected},
		{"withdrawn", func(d *desk.Desk, id takedown.CaseID) error { return d.Withdraw(ctx, id, desk.Actor{}) }, desk.StateWithdrawn},
		{"in force", func(d *desk.Desk, id takedown.CaseID) error {
			acceptByTwo(t, d, id, desk.Grant{})
			return nil
		}, desk.StateInForce},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			d := faceDesk(t, t.TempDir(), func(o *desk.Options) {
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
			var move *desk.MoveError
			if _, err := d.Complete(ctx, c.ID, faceOptOut(portrait(t, 2, 0))); !errors.As(err, &move) || move.From != tc.in || move.To != "completed" {
				t.Errorf("Complete: %v, want a *MoveError", err)
			}
			after, err := d.Case(ctx, c.ID)
			ok(t, err)
			if after.State != tc.in || len(after.Moves) != len(before.Moves) || !after.Times[desk.MilestoneCompleted].IsZero() {
				t.Errorf("it is %s, after %d moves, want %s after %d", after.State, len(after.Moves), tc.in, len(before.Moves))
			}
			if faces := after.Request.(request.FaceOptOut).Faces; len(faces) > 0 && !faces[0].Equal(portrait(t, 1, 0)) {
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
		between func(t *testing.T, d *desk.Desk, id takedown.CaseID) *desk.Desk
		blocked takedown.Face
	}{
		{"the face is another", func(t *testing.T, d *desk.Desk, id takedown.CaseID) *desk.Desk {
			_, err := d.Complete(ctx, id, faceOptOut(other))
			ok(t, err)
			return d
		}, other},
		{"the same request again", func(t *testing.T, d *desk.Desk, id takedown.CaseID) *desk.Desk {
			_, err := d.Complete(ctx, id, faceOptOut(seen))
			ok(t, err)
			return d
		}, seen},
		{"the desk has lower thresholds", func(t *testing.T, d *desk.Desk, id takedown.CaseID) *desk.Desk {
			ok(t, d.Close())
			low := slices.Clone(faceModels)
			low[0].Block, low[0].Review = 0.7, 0.5
			return faceDesk(t, d.Dir(), func(o *desk.Options) { o.OneReviewer, o.FaceModels = false, low })
		}, seen},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			d := faceDesk(t, t.TempDir(), func(o *desk.Options) { o.OneReviewer = false })
			c, err := d.Submit(ctx, faceOptOut(seen))
			ok(t, err)
			ok(t, d.AskInfo(ctx, c.ID, alice, []string{"faces"}))
			wantSecond(t, "alice", d.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
			d = tc.between(t, d, c.ID)
			wantSecond(t, "bob", d.Accept(ctx, c.ID, desk.Grant{Actor: bob}))
			for _, f := range []takedown.Face{seen, other} {
				wantVerdict(t, "approved by nobody but bob", d.Enforcer().Check(withFaces(f)), takedown.Allow)
			}
			ok(t, d.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
			wantVerdict(t, "approved by both", d.Enforcer().Check(withFaces(tc.blocked)), takedown.Block)
		})
	}
}

// The second reviewer can ask, too; whatever the answer is, both look again.
func TestAskInfo_VoidsApproval(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	c := o.submit(t, samples(t, takedown.CaseID{})[request.KindHashEntry])
	vet := desk.Grant{Actor: alice, Effect: blocklist.EffectBlock}
	wantSecond(t, "alice", o.Accept(ctx, c.ID, vet))
	o.wantState(t, c.ID, desk.StateSecondReview)
	ok(t, o.AskInfo(ctx, c.ID, bob, []string{"reason"}))
	o.wantState(t, c.ID, desk.StateNeedsInfo)
	vet.Actor = bob
	wantSecond(t, "bob, who has asked", o.Accept(ctx, c.ID, vet))
	vet.Actor = alice
	ok(t, o.Accept(ctx, c.ID, vet))
	o.wantState(t, c.ID, desk.StateInForce)
}

// What one reviewer has approved, and what only holds, is not granted: no case
// has the terms of it, also not when it is rejected then.
func TestCase_TermsOfNoGrant(t *testing.T) {
	t.Parallel()
	type terms struct {
		Granted     takedown.Scope
		Outcome     desk.Outcome
		Effect      blocklist.Effect
		Territories []string
		Start, End  time.Time
		Face        desk.FaceTerms
		Items       []desk.CaseItem
	}
	of := func(d *desk.Desk, id takedown.CaseID) terms {
		c, err := d.Case(ctx, id)
		ok(t, err)
		for i := range c.Items {
			c.Items[i].Rule, c.Items[i].Template = 0, nil
		}
		return terms{c.Granted, c.Outcome, c.Effect, c.Territories, c.Start, c.End, c.Face, c.Items}
	}
	same := func(what string, want, got terms) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: the case says (-want +got):\n%s", what, diff)
		}
	}
	limited := desk.Grant{Actor: alice, Start: day0, End: day0.AddDate(100, 0, 0), Territories: []string{"DE"}, Face: desk.FaceThreshold{Block: 0.9}}
	d := faceDesk(t, t.TempDir(), func(o *desk.Options) { o.OneReviewer = false })
	c, err := d.Submit(ctx, faceOptOut(portrait(t, 1, 0)))
	ok(t, err)
	before := of(d, c.ID)
	wantSecond(t, "by one", d.Accept(ctx, c.ID, limited))
	same("approved by one", before, of(d, c.ID))
	ok(t, d.Reject(ctx, c.ID, refuse(alice)))
	rejected := before
	rejected.Outcome = desk.OutcomeRejected
	rejected.Items = slices.Clone(before.Items)
	rejected.Items[0].Outcome, rejected.Items[0].Reason = desk.OutcomeRejected, "not_illegal"
	same("rejected after it", rejected, of(d, c.ID))

	if c, err = d.Submit(ctx, faceOptOut(portrait(t, 2, 0))); err != nil {
		t.Fatal(err)
	}
	acceptByTwo(t, d, c.ID, desk.Grant{})
	before = of(d, c.ID)
	wantSecond(t, "changed by one", d.Amend(ctx, c.ID, limited))
	same("a change approved by one", before, of(d, c.ID))
	limited.Actor = bob
	ok(t, d.Amend(ctx, c.ID, limited))
	changed := before
	changed.Territories, changed.Start, changed.End, changed.Face.Block = limited.Territories, limited.Start, limited.End, 0.9
	same("a change approved by two", changed, of(d, c.ID))

	r := samples(t, takedown.CaseID{})[request.KindIntimateImage].(request.IntimateImage)
	if c, err = d.Submit(ctx, r); err != nil {
		t.Fatal(err)
	}
	before = of(d, c.ID)
	ok(t, d.Hold(ctx, c.ID, alice))
	if c, err = d.Case(ctx, c.ID); err != nil || len(c.Rules) == 0 {
		t.Errorf("nothing is held: %v", err)
	}
	same("on hold", before, of(d, c.ID))
}

// A completed request that comes from another email address waits until that one
// is confirmed; the token for the first does not do it.
func TestComplete_AnotherAddress(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, email string
		want        desk.State
	}{
		{"the same address", person.Email, desk.StateInReview},
		{"another address", "other@example.org", desk.StateUnconfirmed},
	} {
		o := newOffice(t, func(opts *desk.Options) { opts.ConfirmEmail = true })
		r := optOut(t, 1)
		r.Requester = person
		c := o.submit(t, r)
		first := o.last(desk.MessageConfirmEmail).Token
		ok(t, o.Confirm(ctx, c.ID, first))
		ok(t, o.AskInfo(ctx, c.ID, alice, []string{"reason"}))
		o.letters(c.ID)
		r.Requester.Email = tc.email
		_, err := o.Complete(ctx, c.ID, r)
		ok(t, err)
		o.wantState(t, c.ID, tc.want)
		if tc.want == desk.StateInReview {
			o.wantLetters(t, c.ID)
			continue
		}
		m := o.last(desk.MessageConfirmEmail)
		o.wantLetters(t, c.ID, desk.MessageConfirmEmail)
		if m.To.Email != tc.email {
			t.Errorf("%s: the token goes elsewhere", tc.name)
		}
		var te *desk.TokenError
		if err := o.Confirm(ctx, c.ID, first); !errors.As(err, &te) {
			t.Errorf("%s: confirmed with the token of the first: %v", tc.name, err)
		}
		ok(t, o.Confirm(ctx, c.ID, m.Token))
		o.wantState(t, c.ID, desk.StateInReview)
	}
}

// A withdrawal that is completed is looked at as a new one: by whom it is, and
// what it takes back.
func TestComplete_Withdrawal(t *testing.T) {
	t.Parallel()
	d := faceDesk(t, t.TempDir(), func(o *desk.Options) { o.OneReviewer = false })
	c, err := d.Submit(ctx, faceOptOut(portrait(t, 1, 0)))
	ok(t, err)
	acceptByTwo(t, d, c.ID, desk.Grant{})
	w := request.Withdrawal{Requester: person, Case: c.ID}
	reply, err := d.Submit(ctx, w)
	ok(t, err)
	ok(t, d.AskInfo(ctx, reply.ID, alice, []string{"reason"}))
	w.Items = []int{1}
	if _, err := d.Complete(ctx, reply.ID, w); !hasProblem(err, "items[0]") {
		t.Errorf("an item that is not there: %v", err)
	}
	w.Items, w.Requester.Email = nil, "stranger@example.org"
	reply, err = d.Complete(ctx, reply.ID, w)
	ok(t, err)
	if !slices.Contains(reply.Flags, desk.FlagOtherParty) {
		t.Errorf("a stranger has completed it; flags %v", reply.Flags)
	}
	wantSecond(t, "by one", d.Accept(ctx, reply.ID, desk.Grant{Actor: alice}))
	wantVerdict(t, "a stranger's withdrawal, by one", d.Enforcer().Check(withFaces(portrait(t, 1, 1))), takedown.Block)
	ok(t, d.Accept(ctx, reply.ID, desk.Grant{Actor: bob}))
	wantVerdict(t, "by two", d.Enforcer().Check(withFaces(portrait(t, 1, 1))), takedown.Allow)
}
