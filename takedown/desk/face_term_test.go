package desk_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
)

// A face opt-out ends after the term of its country, is renewed by an amendment, and
// its face is destroyed at the end.
func TestFaceOptOut_Term(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, tc := range []struct {
		name    string
		terms   map[string]time.Duration
		country string
		grant   desk.Grant
		want    time.Duration // from the receipt; 0 for no end
	}{
		{"default", nil, "DE", desk.Grant{}, desk.DefaultFaceTerm},
		{"of the country", map[string]time.Duration{"US": 365 * day, "": 700 * day}, "us", desk.Grant{}, 365 * day},
		{"of all others", map[string]time.Duration{"US": 365 * day, "": 700 * day}, "DE", desk.Grant{}, 700 * day},
		{"no end", map[string]time.Duration{"": -1}, "DE", desk.Grant{}, 0},
		{"the reviewer's", nil, "DE", desk.Grant{End: day0.Add(30 * day)}, 30 * day},
	} {
		now := &clock{t: day0}
		d := faceDesk(t, t.TempDir(), func(o *desk.Options) { o.Now, o.FaceTerm = now.Now, tc.terms })
		r := faceOptOut(portrait(t, 1, 0))
		r.Requester.Country = tc.country
		id := accept(t, d, r, tc.grant)
		c, err := d.Case(ctx, id)
		ok(t, err)
		if want := c.Received.Add(tc.want).Truncate(time.Second); tc.want == 0 && !c.End.IsZero() || tc.want != 0 && !c.End.Equal(want) {
			t.Errorf("%s: ends on %v, received %v", tc.name, c.End, c.Received)
		}
	}
	now := &clock{t: day0}
	d := faceDesk(t, t.TempDir(), func(o *desk.Options) { o.Now = now.Now })
	id := accept(t, d, faceOptOut(portrait(t, 1, 0)), desk.Grant{})
	asked := func() takedown.Verdict { return d.Enforcer().Check(withFaces(portrait(t, 1, 5))).Verdict }
	// Renewed a month before the end: another three years.
	now.set(now.Now().Add(desk.DefaultFaceTerm - 30*day))
	ok(t, d.Amend(ctx, id, desk.Grant{Actor: alice, End: now.Now().Add(desk.DefaultFaceTerm)}))
	now.set(now.Now().Add(60 * day))
	if got := asked(); got != takedown.Block {
		t.Errorf("renewed: %v", got)
	}
	now.set(now.Now().Add(desk.DefaultFaceTerm))
	if got := asked(); got != takedown.Allow {
		t.Errorf("after the end: %v", got)
	}
	for range 3 { // a clock that jumped destroys nothing for a day
		_, err := d.Expire(ctx)
		ok(t, err)
		now.set(now.Now().Add(2 * day))
	}
	c, err := d.Case(ctx, id)
	ok(t, err)
	if c.State != desk.StateExpired || c.Items[0].Template != nil {
		t.Errorf("after the end: %s, template %x", c.State, c.Items[0].Template)
	}
}

// The letter about a withdrawal has the day until which nodes may still block.
func TestFaceOptOut_FacesUntil(t *testing.T) {
	t.Parallel()
	for lifetime, want := range map[time.Duration]time.Duration{0: blocklist.DefaultFaceLifetime, 48 * time.Hour: 48 * time.Hour} {
		var mu sync.Mutex
		var until, at time.Time
		d := faceDesk(t, t.TempDir(), func(o *desk.Options) {
			o.FaceLifetime = lifetime
			o.Notifier = desk.NotifierFunc(func(_ context.Context, m desk.Message) error {
				mu.Lock()
				defer mu.Unlock()
				if m.Type == desk.MessageWithdrawn {
					until, at = m.FacesUntil, m.Time
				}
				return nil
			})
		})
		id := accept(t, d, faceOptOut(portrait(t, 1, 0)), desk.Grant{})
		ok(t, d.Withdraw(ctx, id, desk.Actor{}))
		ok(t, d.Notify(ctx))
		mu.Lock()
		if at.IsZero() || !until.Equal(at.Add(want)) {
			t.Errorf("lifetime %v: written at %v, faces until %v", lifetime, at, until)
		}
		mu.Unlock()
	}
}
