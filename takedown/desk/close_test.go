package desk_test

import (
	"errors"
	"testing"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// An open case cannot be closed: what is held while it is reviewed would stay
// blocked for ever, and nobody could end it.
func TestCloseCase_OnlyAfterItsEnd(t *testing.T) {
	t.Parallel()
	r := samples(t, takedown.CaseID{})[request.KindIntimateImage].(request.IntimateImage)
	wider := desk.Grant{Actor: alice, Scope: takedown.ScopeDuplicate, Wider: "spreading_fast", Items: map[int]desk.ItemDecision{0: {Scope: takedown.ScopeURL}}}
	approved := func(o *office, id takedown.CaseID) error {
		wantSecond(t, "approved by one", o.Accept(ctx, id, wider))
		return nil
	}
	hold := func(o *office, id takedown.CaseID) error { return o.Hold(ctx, id, alice) }
	for _, tc := range []struct {
		name  string
		to    []func(*office, takedown.CaseID) error
		state desk.State
		rules int
	}{
		{"in review", nil, desk.StateInReview, 0},
		{"held", []func(*office, takedown.CaseID) error{hold}, desk.StateInReview, 2},
		{"approved by one", []func(*office, takedown.CaseID) error{approved}, desk.StateSecondReview, 0},
		{"held, and approved by one", []func(*office, takedown.CaseID) error{hold, approved}, desk.StateSecondReview, 2},
		{"asked for more", []func(*office, takedown.CaseID) error{hold, func(o *office, id takedown.CaseID) error {
			return o.AskInfo(ctx, id, alice, []string{"signature"})
		}}, desk.StateNeedsInfo, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			c := o.submit(t, r)
			for _, f := range tc.to {
				ok(t, f(o, c.ID))
			}
			var move *desk.MoveError
			if err := o.CloseCase(ctx, c.ID, alice); !errors.As(err, &move) {
				t.Errorf("CloseCase: %v, want a *MoveError", err)
			}
			if c = o.wantState(t, c.ID, tc.state); len(c.Rules) != tc.rules {
				t.Errorf("rules %v, want %d", c.Rules, tc.rules)
			}
			ok(t, o.Reject(ctx, c.ID, refuse(bob)))
			wantVerdict(t, "rejected", o.Enforcer().FilterURL(r.ImageURLs[0]), takedown.Allow)
			ok(t, o.CloseCase(ctx, c.ID, bob))
		})
	}
	// A reply is closed by its decision.
	o := newOffice(t)
	c := o.submit(t, notice("https://example.org/a.jpg"))
	w := o.submit(t, request.Withdrawal{Requester: person, Case: c.ID})
	var move *desk.MoveError
	if err := o.CloseCase(ctx, w.ID, alice); !errors.As(err, &move) {
		t.Errorf("CloseCase of an open reply: %v, want a *MoveError", err)
	}
}
