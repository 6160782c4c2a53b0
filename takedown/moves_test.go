package takedown_test

import (
	"errors"
	"testing"

	"github.com/staydown/staydown/takedown"
)

// Whatever cannot be done in a state is refused with an error of a type, and
// leaves the case where it is.
func TestMoves_Typed(t *testing.T) {
	t.Parallel()
	request := notice("https://example.org/a.jpg")
	states := map[takedown.State]func(*office, takedown.CaseID) error{
		takedown.StateInReview:  func(*office, takedown.CaseID) error { return nil },
		takedown.StateNeedsInfo: func(o *office, id takedown.CaseID) error { return o.AskInfo(ctx, id, alice, "explanation") },
		takedown.StateInForce:   func(o *office, id takedown.CaseID) error { return o.Accept(ctx, id, takedown.Grant{Act: alice}) },
		takedown.StateRejected:  func(o *office, id takedown.CaseID) error { return o.Reject(ctx, id, alice) },
		takedown.StateWithdrawn: func(o *office, id takedown.CaseID) error { return o.Withdraw(ctx, id, alice) },
		takedown.StateCourtHold: func(o *office, id takedown.CaseID) error {
			return errors.Join(o.Accept(ctx, id, takedown.Grant{Act: alice}), o.CourtHold(ctx, id, alice))
		},
		takedown.StateReversed: func(o *office, id takedown.CaseID) error {
			return errors.Join(o.Accept(ctx, id, takedown.Grant{Act: alice}), o.Reverse(ctx, id, alice))
		},
	}
	methods := map[string]func(*office, takedown.CaseID) error{
		"Accept":       func(o *office, id takedown.CaseID) error { return o.Accept(ctx, id, takedown.Grant{Act: alice}) },
		"Change":       func(o *office, id takedown.CaseID) error { return o.Change(ctx, id, takedown.Grant{Act: alice}) },
		"Reject":       func(o *office, id takedown.CaseID) error { return o.Reject(ctx, id, alice) },
		"AskInfo":      func(o *office, id takedown.CaseID) error { return o.AskInfo(ctx, id, alice, "explanation") },
		"Hold":         func(o *office, id takedown.CaseID) error { return o.Hold(ctx, id, alice) },
		"Restore":      func(o *office, id takedown.CaseID) error { return o.Restore(ctx, id, alice) },
		"CourtHold":    func(o *office, id takedown.CaseID) error { return o.CourtHold(ctx, id, alice) },
		"Release":      func(o *office, id takedown.CaseID) error { return o.Release(ctx, id, alice) },
		"Told":         func(o *office, id takedown.CaseID) error { return o.Told(ctx, id, alice) },
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
	refused := 0
	for state, reach := range states {
		o := newOffice(t)
		for name, do := range methods {
			c := o.submit(t, request)
			ok(t, reach(o, c.ID))
			o.wantState(t, c.ID, state)
			err := do(o, c.ID)
			if err == nil {
				continue
			}
			refused++
			var (
				move  *takedown.MoveError
				early *takedown.TooEarlyError
				token *takedown.TokenError
			)
			if !errors.As(err, &move) && !errors.As(err, &early) && !errors.As(err, &token) {
				t.Errorf("%s of a case %s: %v", name, state, err)
			}
			o.wantState(t, c.ID, state)
		}
	}
	if refused < 60 {
		t.Errorf("only %d of %d were refused: the test proves little", refused, len(states)*len(methods))
	}
}
