package desk_test

import (
	"errors"
	"testing"
	"time"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// What can be done to a case in each state, and where it leads. Whatever else is
// asked is refused with an error of a type, and leaves the case where it is.
func TestMoves_Typed(t *testing.T) {
	t.Parallel()
	request := samples(t, takedown.CaseID{})[request.KindIntimateImage]
	claim, answer := dmca(t, published...), counter(t, takedown.CaseID{}, published[0])
	risky := desk.Grant{Actor: alice, Scope: takedown.ScopeDuplicate, Wider: "spreading_fast", Items: map[int]desk.ItemDecision{0: {Scope: takedown.ScopeURL}}}
	accept := func(o *office, id takedown.CaseID) error { return o.Accept(ctx, id, desk.Grant{Actor: alice}) }
	type f = func(*office, takedown.CaseID) error
	methods := map[string]f{
		"Accept":      accept,
		"Change":      func(o *office, id takedown.CaseID) error { return o.Amend(ctx, id, desk.Grant{Actor: alice}) },
		"Reject":      func(o *office, id takedown.CaseID) error { return o.Reject(ctx, id, refuse(alice)) },
		"AskInfo":     func(o *office, id takedown.CaseID) error { return o.AskInfo(ctx, id, alice, []string{"explanation"}) },
		"Hold":        func(o *office, id takedown.CaseID) error { return o.Hold(ctx, id, alice) },
		"ReleaseHold": func(o *office, id takedown.CaseID) error { return o.ReleaseHold(ctx, id, alice) },
		"Restore":     func(o *office, id takedown.CaseID) error { return o.Restore(ctx, id, alice) },
		"CourtHold":   func(o *office, id takedown.CaseID) error { return o.CourtHold(ctx, id, alice) },
		"Release":     func(o *office, id takedown.CaseID) error { return o.Release(ctx, id, alice) },
		"Extend": func(o *office, id takedown.CaseID) error {
			return o.ExtendDeadline(ctx, id, alice, "We wait for the publisher.")
		},
		"Told":         func(o *office, id takedown.CaseID) error { return o.MarkNotified(ctx, id, alice) },
		"LegalHold":    func(o *office, id takedown.CaseID) error { return o.LegalHold(ctx, id, true, alice) },
		"CloseCase":    func(o *office, id takedown.CaseID) error { return o.CloseCase(ctx, id, alice) },
		"Erase":        func(o *office, id takedown.CaseID) error { return o.Erase(ctx, id, alice) },
		"Reverse":      func(o *office, id takedown.CaseID) error { return o.Reverse(ctx, id, alice) },
		"Withdraw":     func(o *office, id takedown.CaseID) error { return o.Withdraw(ctx, id, alice) },
		"SettleAlarms": func(o *office, id takedown.CaseID) error { return o.SettleAlarms(ctx, id, alice) },
		"Confirm":      func(o *office, id takedown.CaseID) error { return o.Confirm(ctx, id, "no token") },
		"Resend":       func(o *office, id takedown.CaseID) error { return o.Resend(ctx, id) },
		"Complete": func(o *office, id takedown.CaseID) error {
			_, err := o.Complete(ctx, id, request)
			return err
		},
	}
	do := func(names ...any) f { // methods by their names, and others
		return func(o *office, id takedown.CaseID) (err error) {
			for _, x := range names {
				if name, named := x.(string); named {
					err = errors.Join(err, methods[name](o, id))
				} else {
					err = errors.Join(err, x.(f)(o, id))
				}
			}
			return err
		}
	}
	first := func(o *office, id takedown.CaseID) error {
		wantSecond(t, "by one", o.Accept(ctx, id, risky))
		return nil
	}
	expire := func(o *office, id takedown.CaseID) error {
		ok(t, o.Accept(ctx, id, desk.Grant{Actor: alice, End: o.Now().Add(time.Hour)}))
		o.later(time.Hour)
		_, err := o.Expire(ctx)
		return err
	}
	const (
		needsInfo, inReview, second = desk.StateNeedsInfo, desk.StateInReview, desk.StateSecondReview
		inForce, court              = desk.StateInForce, desk.StateCourtHold
		waits                       = desk.StateCounter
		rejected, withdrawn         = desk.StateRejected, desk.StateWithdrawn
		reversed, restored, expired = desk.StateReversed, desk.StateRestored, desk.StateExpired
		closed                      = desk.StateClosed
	)
	type to = map[string]desk.State
	for _, tc := range []struct {
		name  string
		reach f
		state desk.State
		reply bool // the case is a counter-notice
		can   to
	}{
		{"in review", do(), inReview, false, to{"Accept": inForce, "Reject": rejected, "AskInfo": needsInfo, "Hold": inReview, "Withdraw": withdrawn}},
		{"on hold", do("Hold"), inReview, false, to{"Accept": inForce, "Reject": rejected, "AskInfo": needsInfo, "Hold": inReview, "ReleaseHold": inReview, "Withdraw": withdrawn}},
		{"asked", do("AskInfo"), needsInfo, false, to{"Accept": inForce, "Reject": rejected, "AskInfo": needsInfo, "Hold": needsInfo, "Withdraw": withdrawn, "Complete": inReview}},
		{"asked, on hold", do("Hold", "AskInfo"), needsInfo, false, to{"Accept": inForce, "Reject": rejected, "AskInfo": needsInfo, "Hold": needsInfo, "ReleaseHold": needsInfo, "Withdraw": withdrawn, "Complete": inReview}},
		{"approved by one", do(first), second, false, to{"Accept": inForce, "Reject": rejected, "AskInfo": needsInfo, "Hold": second, "Withdraw": withdrawn}},
		{"approved by one, on hold", do("Hold", first), second, false, to{"Accept": inForce, "Reject": rejected, "AskInfo": needsInfo, "Hold": second, "ReleaseHold": second, "Withdraw": withdrawn}},
		{"in force", do("Accept"), inForce, false, to{"Change": inForce, "CourtHold": court, "Told": inForce, "Reverse": reversed, "Withdraw": withdrawn, "Erase": inForce}},
		{"at a court", do("Accept", "CourtHold"), court, false, to{"Release": inForce, "Told": court, "Reverse": reversed, "Withdraw": withdrawn}},
		{"rejected", do("Reject"), rejected, false, to{"Told": rejected, "CloseCase": closed, "Erase": rejected}},
		{"withdrawn", do("Withdraw"), withdrawn, false, to{"CloseCase": closed, "Erase": withdrawn}},
		{"reversed", do("Accept", "Reverse"), reversed, false, to{"Told": reversed, "CloseCase": closed, "Erase": reversed}},
		{"expired", expire, expired, false, to{"Told": expired, "CloseCase": closed, "Erase": expired}},
		{"closed", do("Reject", "CloseCase"), closed, false, to{"Told": closed, "Erase": closed}},
		{"a counter-notice", do(), inReview, true, to{"Accept": waits, "Reject": rejected, "AskInfo": needsInfo, "Withdraw": withdrawn}},
		{"a counter-notice, asked", do("AskInfo"), needsInfo, true, to{"Accept": waits, "Reject": rejected, "AskInfo": needsInfo, "Withdraw": withdrawn}},
		{"a counter-notice that waits", do("Accept"), waits, true, to{"CourtHold": court, "Told": waits, "Withdraw": withdrawn}},
		{"a counter-notice that has waited", do("Accept", func(o *office, _ takedown.CaseID) error { o.later(30 * 24 * time.Hour); return nil }), waits, true, to{"Restore": restored, "CourtHold": court, "Told": waits, "Withdraw": withdrawn}},
		{"a counter-notice at a court", do("Accept", "CourtHold"), court, true, to{"Release": closed, "Told": court, "Reverse": restored, "Withdraw": withdrawn}},
		{"a counter-notice, rejected", do("Reject"), rejected, true, to{"Told": rejected, "CloseCase": closed, "Erase": rejected}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			for name, method := range methods {
				var id takedown.CaseID
				if tc.reply {
					r := answer
					r.Case = o.submit(t, claim).ID
					ok(t, accept(o, r.Case))
					id = o.submit(t, r).ID
				} else {
					id = o.submit(t, request).ID
				}
				ok(t, tc.reach(o, id))
				o.wantState(t, id, tc.state)
				want, can := tc.can[name]
				if name == "Extend" || name == "LegalHold" { // of any case
					want, can = tc.state, true
				}
				err := method(o, id)
				if can && err != nil || !can && err == nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				if can {
					o.wantState(t, id, want)
					continue
				}
				var (
					move  *desk.MoveError
					grant *desk.GrantError
					early *desk.TooEarlyError
					token *desk.TokenError
				)
				if !errors.As(err, &move) && !errors.As(err, &grant) && !errors.As(err, &early) && !errors.As(err, &token) && !(tc.reply && name == "Complete") {
					t.Errorf("%s: %v", name, err)
				}
				o.wantState(t, id, tc.state)
			}
		})
	}
}
