package desk_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// A case on hold can be completed, in one step: nothing that is still asked for
// is shown meanwhile, and what was said of its pictures goes on to hold. What is
// new waits for a reviewer.
func TestComplete_OnHold(t *testing.T) {
	t.Parallel()
	for _, emailToo := range []bool{false, true} {
		o := newOffice(t, func(opts *desk.Options) { opts.ConfirmEmail = emailToo })
		r := optOut(t, 1)
		c := o.submit(t, r)
		if emailToo {
			ok(t, o.Confirm(ctx, c.ID, o.last(desk.MessageConfirmEmail).Token))
		}
		look := func(seed uint32) takedown.Decision { return o.Enforcer().Filter("", hashes(t, testJPEG(t, seed))...) }
		ok(t, o.Hold(ctx, c.ID, alice))
		learned := takedown.Candidate{ImageURLs: []string{"https://example.org/copy.jpg"}}
		_, err := o.Resolve(ctx, desk.Match{Candidate: learned, Decision: look(1)}, desk.SameImage)
		ok(t, err)
		ok(t, o.AskInfo(ctx, c.ID, alice, []string{"images"}))
		o.later(time.Hour)
		want := desk.StateInReview
		if emailToo {
			r.Requester.Email, want = "another@example.org", desk.StateUnconfirmed
		}
		r.Images = append(images(testJPEG(t, 2)), r.Images...)
		c, err = o.Complete(ctx, c.ID, r)
		ok(t, err)
		if got := o.wantState(t, c.ID, want); c.State != want || len(c.Rules) != 1 || !cmp.Equal(c.Rules, got.Rules) || !c.Pauses[len(c.Pauses)-1].To.Equal(o.Now()) {
			t.Errorf("completed: %s, rules %v, pauses %v", c.State, c.Rules, c.Pauses)
		}
		wantVerdict(t, "still asked for", look(1), takedown.Block)
		wantVerdict(t, "new, and seen by nobody", look(2), takedown.Allow)
		wantVerdict(t, "learned before", o.Enforcer().FilterURL(learned.ImageURLs[0]), takedown.Block)
		if emailToo {
			ok(t, o.Withdraw(ctx, c.ID, desk.Actor{}))
			wantVerdict(t, "withdrawn", look(1), takedown.Allow)
			continue
		}
		ok(t, o.Hold(ctx, c.ID, alice))
		wantVerdict(t, "on hold again, with what is new", look(2), takedown.Block)
		wantVerdict(t, "learned before", o.Enforcer().FilterURL(learned.ImageURLs[0]), takedown.Block)
		ok(t, o.AskInfo(ctx, c.ID, alice, []string{"images"}))
		r.Images = r.Images[:1]
		_, err = o.Complete(ctx, c.ID, r)
		ok(t, err)
		wantVerdict(t, "asked for no more", look(1), takedown.Allow)
		wantVerdict(t, "still asked for", look(2), takedown.Block)
		ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
		wantVerdict(t, "accepted", look(2), takedown.Block)
	}
}

// With a hold, nobody gets blocked by completing a request what no reviewer has
// seen: not instead of what was on hold, and not when an item is taken back.
func TestComplete_HoldsNothingUnseen(t *testing.T) {
	t.Parallel()
	a, b, c := published[0], published[1], published[2]
	for _, tc := range []struct {
		name           string
		completed      []string
		blocked, again []string // and after another hold
	}{
		{"others", []string{b, c}, nil, []string{b, c}},
		{"one more, in front", []string{b, a}, []string{a}, []string{a, b}},
		{"the same", []string{a}, []string{a}, []string{a}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			id := o.submit(t, notice(a)).ID
			ok(t, o.Hold(ctx, id, alice))
			ok(t, o.AskInfo(ctx, id, alice, []string{"explanation"}))
			_, err := o.Complete(ctx, id, notice(tc.completed...))
			ok(t, err)
			o.wantBlocked(t, tc.blocked...)
			ok(t, o.Hold(ctx, id, alice))
			o.wantBlocked(t, tc.again...)
		})
	}
	o := newOffice(t)
	n := notice(a, b)
	id := o.submit(t, n).ID
	ok(t, o.Hold(ctx, id, alice))
	ok(t, o.AskInfo(ctx, id, alice, []string{"explanation"}))
	_, err := o.Complete(ctx, id, notice(a, b, c))
	ok(t, err)
	accept(t, o.Desk, request.Withdrawal{Requester: n.Requester, Case: id, Items: []int{0}}, desk.Grant{Actor: bob})
	o.wantBlocked(t, b)
}

// A hold can be lifted before the decision, wherever the case waits for it; what
// has to be done by a law is to be done again.
func TestUnhold(t *testing.T) {
	t.Parallel()
	r := samples(t, takedown.CaseID{})[request.KindIntimateImage].(request.IntimateImage)
	u := r.ImageURLs[0]
	for state, to := range map[desk.State]func(*office, takedown.CaseID) error{
		desk.StateInReview:  func(*office, takedown.CaseID) error { return nil },
		desk.StateNeedsInfo: func(o *office, id takedown.CaseID) error { return o.AskInfo(ctx, id, alice, []string{"signature"}) },
		desk.StateSecondReview: func(o *office, id takedown.CaseID) error {
			wantSecond(t, "approved by one", o.Accept(ctx, id, desk.Grant{Actor: alice, Scope: takedown.ScopeDuplicate, Wider: "spreading_fast", Items: map[int]desk.ItemDecision{0: {Scope: takedown.ScopeURL}}}))
			return nil
		},
	} {
		o := newOffice(t)
		c := o.submit(t, r)
		ok(t, to(o, c.ID))
		var move *desk.MoveError
		if err := o.ReleaseHold(ctx, c.ID, alice); !errors.As(err, &move) {
			t.Errorf("%s: no hold to lift: %v", state, err)
		}
		ok(t, o.Hold(ctx, c.ID, alice))
		o.wantState(t, c.ID, state)
		wantVerdict(t, "held", o.Enforcer().FilterURL(u), takedown.Block)
		o.letters(c.ID)
		ok(t, o.ReleaseHold(ctx, c.ID, bob))
		if c = o.wantState(t, c.ID, state); len(c.Rules) != 0 || c.Outcome != "" {
			t.Errorf("%s: rules %v, %q", state, c.Rules, c.Outcome)
		}
		o.wantLetters(t, c.ID, desk.MessageHoldOver)
		wantVerdict(t, "lifted", o.Enforcer().FilterURL(u), takedown.Allow)
		if list, err := o.Due(ctx, time.Time{}); err != nil || len(list) != 1 || list[0].Deadline.Name != "remove" {
			t.Errorf("%s: due %+v, %v", state, list, err)
		}
		if state == desk.StateSecondReview { // what was approved is the same as before
			ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: bob, Scope: takedown.ScopeDuplicate, Wider: "spreading_fast", Items: map[int]desk.ItemDecision{0: {Scope: takedown.ScopeURL}}}))
		} else {
			ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
		}
		if err := o.ReleaseHold(ctx, c.ID, bob); !errors.As(err, &move) {
			t.Errorf("what is granted is no hold: %v", err)
		}
	}
}

// A hold that begins between two approvals changes nothing of what is approved.
func TestAccept_HeldMeanwhile(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	c := o.submit(t, samples(t, takedown.CaseID{})[request.KindIntimateImage])
	wider := desk.Grant{Actor: alice, Scope: takedown.ScopeDuplicate, Wider: "spreading_fast", Items: map[int]desk.ItemDecision{0: {Scope: takedown.ScopeURL}}}
	wantSecond(t, "alice", o.Accept(ctx, c.ID, wider))
	ok(t, o.Hold(ctx, c.ID, alice))
	o.wantState(t, c.ID, desk.StateSecondReview)
	wider.Actor = bob
	ok(t, o.Accept(ctx, c.ID, wider))
	o.wantState(t, c.ID, desk.StateInForce)
}
