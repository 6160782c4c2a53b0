package desk_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
)

// A clock that is decades ahead, at one opening or while the desk is open, destroys
// nothing: with the right clock all is as before. One that stays ahead for a day is
// believed.
func TestClock_Ahead(t *testing.T) {
	t.Parallel()
	for name, reopen := range map[string]bool{"when it is opened": true, "while it is open": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now, dir := &clock{t: day0}, t.TempDir()
			with := func(o *desk.Options) { o.Now = now.Now }
			d := faceDesk(t, dir, with)
			id := accept(t, d, faceOptOut(portrait(t, 1, 0)), desk.Grant{End: day0.AddDate(1, 0, 0)})
			address := accept(t, d, notice("https://example.org/a.jpg"), desk.Grant{End: day0.AddDate(1, 0, 0)})
			keys := d.Keys()
			again := func() {
				if reopen {
					ok(t, d.Close())
					d = faceDesk(t, dir, with)
				}
			}
			now.set(day0.AddDate(70, 0, 0))
			again()
			// The rule has ended by this clock; nothing else has happened.
			wantVerdict(t, "by the wrong clock", d.Enforcer().FilterURL("https://example.org/a.jpg"), takedown.Allow)
			if n, err := d.Expire(ctx); n != 0 || err != nil {
				t.Errorf("Expire: %d, %v", n, err)
			}
			ok(t, d.Compact(ctx))
			ok(t, d.Publish(ctx, filepath.Join(dir, "p.snap")))
			s, err := d.Status(ctx)
			ok(t, err)
			if s.Clock.Jumped.IsZero() || !s.Clock.Trusted.Equal(day0) {
				t.Errorf("not noticed: %+v", s.Clock)
			}
			now.set(day0.Add(time.Hour))
			again()
			if d.Keys() != keys {
				t.Errorf("%d keys, there were %d", d.Keys(), keys)
			}
			for _, id := range []takedown.CaseID{id, address} {
				if c, err := d.Case(ctx, id); err != nil || c.State != desk.StateInForce {
					t.Errorf("%s, %v", c.State, err)
				}
			}
			wantVerdict(t, "the face", d.Enforcer().Check(withFaces(portrait(t, 1, 2))), takedown.Block)
			wantVerdict(t, "the address", d.Enforcer().FilterURL("https://example.org/a.jpg"), takedown.Block)

			// The clock stays there: it was right, and the desk had rested.
			now.set(day0.AddDate(2, 0, 0))
			again()
			if n, err := d.Expire(ctx); n != 0 || err != nil {
				t.Errorf("Expire at once: %d, %v", n, err)
			}
			now.set(day0.AddDate(2, 0, 1))
			again()
			if _, err := d.Expire(ctx); err != nil {
				t.Error(err)
			}
			for _, id := range []takedown.CaseID{id, address} {
				if c, err := d.Case(ctx, id); err != nil || c.State != desk.StateExpired {
					t.Errorf("a day later: %s, %v", c.State, err)
				}
			}
			if d.Keys() != keys-1 {
				t.Errorf("a day later: %d keys, want %d", d.Keys(), keys-1)
			}
			ok(t, d.Close())
		})
	}
}

// An operator who knows that the clock is right need not wait for a day.
func TestRecover_TrustClock(t *testing.T) {
	t.Parallel()
	now, dir := &clock{t: day0}, t.TempDir()
	opts := &desk.Options{Now: now.Now}
	d := open(t, dir, opts)
	id := accept(t, d, notice("https://example.org/a.jpg"), desk.Grant{End: day0.AddDate(1, 0, 0)})
	ok(t, d.Close())
	now.set(day0.AddDate(2, 0, 0))
	_, err := desk.Recover(ctx, dir, opts, desk.TrustClock)
	ok(t, err)
	d = open(t, dir, opts)
	if p := d.Health(ctx); len(p) > 0 {
		t.Errorf("%+v", p)
	}
	if n, err := d.Expire(ctx); n != 1 || err != nil {
		t.Errorf("Expire: %d, %v", n, err)
	}
	if c, err := d.Case(ctx, id); err != nil || c.State != desk.StateExpired {
		t.Errorf("%s, %v", c.State, err)
	}
}

// A clock that is set back, by hours or years, is noticed if it is more than a day, and
// never puts a decision before its request.
func TestClock_Behind(t *testing.T) {
	t.Parallel()
	for _, back := range []time.Duration{2 * time.Hour, 10 * 365 * 24 * time.Hour} {
		now, dir := &clock{t: day0}, t.TempDir()
		d := open(t, dir, &desk.Options{Now: now.Now})
		c, err := d.Submit(ctx, notice("https://example.org/a.jpg"))
		ok(t, err)
		now.set(day0.Add(-back))
		ok(t, d.Accept(ctx, c.ID, desk.Grant{}))
		if c, err = d.Case(ctx, c.ID); err != nil {
			t.Fatal(err)
		}
		var last time.Time
		for _, m := range c.Moves {
			if m.Time.Before(last) || m.Time.Before(c.Received) {
				t.Errorf("%v back: %s at %v, after %v", back, m.To, m.Time, last)
			}
			last = m.Time
		}
		for m, at := range c.Times {
			if at.Before(c.Received) {
				t.Errorf("%v back: %s at %v, before %v", back, m, at, c.Received)
			}
		}
		noticed := slices.ContainsFunc(d.Health(ctx), func(p desk.HealthProblem) bool { return p.Code == desk.HealthClockBehind })
		if noticed != (back > 24*time.Hour) {
			t.Errorf("%v back: noticed: %v", back, noticed)
		}
		ok(t, d.Close())
		d = open(t, dir, &desk.Options{Now: now.Now})
		wantVerdict(t, "opened again", d.Enforcer().FilterURL("https://example.org/a.jpg"), takedown.Block)
	}
}
