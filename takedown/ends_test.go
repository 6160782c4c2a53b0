package takedown_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/staydown/staydown/takedown"
)

// A face that was granted for a time is gone from the desk when the time is
// over, also if nobody calls Expire; until then it cannot come back.
func TestFaceOptOut_TimeIsOver(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		f    func(t *testing.T, d *takedown.Desk, open func() *takedown.Desk) *takedown.Desk
		gone bool
	}{
		{"nothing happens", func(t *testing.T, d *takedown.Desk, _ func() *takedown.Desk) *takedown.Desk { return d }, false},
		{"published", func(t *testing.T, d *takedown.Desk, _ func() *takedown.Desk) *takedown.Desk {
			ok(t, d.Publish(filepath.Join(t.TempDir(), "blocklist.snap")))
			return d
		}, true},
		{"opened again", func(t *testing.T, d *takedown.Desk, open func() *takedown.Desk) *takedown.Desk {
			ok(t, d.Close())
			return open()
		}, true},
		{"opened again before, and published", func() func(t *testing.T, d *takedown.Desk, open func() *takedown.Desk) *takedown.Desk {
			opened := false
			return func(t *testing.T, d *takedown.Desk, open func() *takedown.Desk) *takedown.Desk {
				if !opened {
					opened = true
					ok(t, d.Close())
					return open()
				}
				ok(t, d.Publish(filepath.Join(t.TempDir(), "blocklist.snap")))
				return d
			}
		}(), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir, now, f := t.TempDir(), &clock{t: day0}, portrait(t, 41, 0)
			open := func() *takedown.Desk {
				return faceDesk(t, dir, func(o *takedown.DeskOptions) { o.Now = now.Now })
			}
			d := open()
			id := accept(t, d, faceOptOut(f), takedown.Grant{End: day0.Add(time.Hour)})
			longer := accept(t, d, faceOptOut(portrait(t, 42, 0)), takedown.Grant{End: day0.Add(2 * time.Hour)})
			now.set(day0.Add(time.Hour - time.Second))
			if tc.gone {
				d = tc.f(t, d, open) // too early for anything
			}
			wantVerdict(t, "in its time", d.Enforcer().Check(withFaces(f)), takedown.Block)
			now.set(day0.Add(time.Hour))
			d = tc.f(t, d, open)
			c, err := d.Case(ctx, id)
			ok(t, err)
			if gone := c.State == takedown.StateExpired; gone != tc.gone {
				t.Errorf("it is %s", c.State)
			}
			if tc.gone {
				wantUnreadable(t, tc.name, dir, c, traces(t, f, components(41, 0), nil))
			}
			var move *takedown.MoveError
			if err := d.Change(ctx, id, takedown.Grant{Act: alice}); !errors.As(err, &move) || move.From != takedown.StateExpired {
				t.Errorf("Change: %v", err)
			}
			wantVerdict(t, "after its time", d.Enforcer().Check(withFaces(f)), takedown.Allow)
			if c, err = d.Case(ctx, longer); err != nil || c.State != takedown.StateInForce || len(c.Request.(takedown.FaceOptOut).Faces) != 1 {
				t.Errorf("the case that has another hour is %s, %v", c.State, err)
			}
			wantVerdict(t, "within another's time", d.Enforcer().Check(withFaces(portrait(t, 42, 1))), takedown.Block)
			if n, err := d.Expire(ctx); err != nil || n == 0 != tc.gone {
				t.Errorf("%d expired, %v", n, err)
			}
			if _, _, err := d.VerifyLog(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

// Who takes one of two faces back after their time is over ends the case; the
// other face is not put into force again.
func TestWithdrawal_TimeIsOver(t *testing.T) {
	t.Parallel()
	now := &clock{t: day0}
	d := faceDesk(t, t.TempDir(), func(o *takedown.DeskOptions) { o.Now = now.Now })
	id := accept(t, d, faceOptOut(portrait(t, 1, 0), portrait(t, 1, 1)), takedown.Grant{End: day0.Add(time.Hour)})
	now.set(day0.Add(time.Hour))
	accept(t, d, takedown.WithdrawalRequest{Requester: person, Case: id, Items: []int{0}}, takedown.Grant{})
	c, err := d.Case(ctx, id)
	ok(t, err)
	if c.State != takedown.StateWithdrawn || len(c.Rules) != 0 || len(c.Request.(takedown.FaceOptOut).Faces) != 0 {
		t.Errorf("it is %s, with rules %v", c.State, c.Rules)
	}
}
