package desk_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/desk/storetest"
)

// Several calls at once expire each case once, and none fails because another
// was first.
func TestExpire_BesideItself(t *testing.T) {
	t.Parallel()
	const cases, calls = 8, 4
	o := newOffice(t)
	var ids []takedown.CaseID
	for i := range cases {
		ids = append(ids, accept(t, o.Desk, notice(fmt.Sprintf("https://example.org/%d.jpg", i)), desk.Grant{End: day0.Add(time.Hour)}))
	}
	o.later(time.Hour)
	var wg sync.WaitGroup
	expired := make([]int, calls)
	for i := range calls {
		wg.Go(func() {
			var err error
			if expired[i], err = o.Expire(ctx); err != nil {
				t.Errorf("Expire: %v", err)
			}
		})
	}
	wg.Wait()
	sum := 0
	for _, n := range expired {
		sum += n
	}
	if sum != cases {
		t.Errorf("%d expired, want %d", sum, cases)
	}
	for _, id := range ids {
		o.wantState(t, id, desk.StateExpired)
	}
}

// afterRead is a store in which something happens after the next read.
type afterRead struct {
	desk.Store
	then func()
}

func (s *afterRead) View(f func(desk.StoreTx) error) error {
	err := s.Store.View(f)
	if then := s.then; then != nil {
		s.then = nil
		then()
	}
	return err
}

// What happens to a case between the look at all of them and its turn counts,
// and a case that cannot be written keeps no other from its end.
func TestExpire_Meanwhile(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name      string
		meanwhile func(*desk.Desk, *faulty, takedown.CaseID) error
		first     desk.State // of the case
		fails     bool
	}{
		{"a court gets it", func(d *desk.Desk, _ *faulty, id takedown.CaseID) error { return d.CourtHold(ctx, id, alice) }, desk.StateCourtHold, false},
		{"it is withdrawn", func(d *desk.Desk, _ *faulty, id takedown.CaseID) error {
			return d.Withdraw(ctx, id, desk.Actor{})
		}, desk.StateWithdrawn, false},
		{"the store fails", func(_ *desk.Desk, f *faulty, _ takedown.CaseID) error { f.fail(1, false); return nil }, desk.StateInForce, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			now, broken := &clock{t: day0}, &faulty{Store: storetest.Memory()}
			s := &afterRead{Store: broken}
			d := open(t, t.TempDir(), &desk.Options{Now: now.Now, Store: s})
			var ids []takedown.CaseID
			for i := range 3 {
				ids = append(ids, accept(t, d, notice(fmt.Sprintf("https://example.org/%d.jpg", i)), desk.Grant{End: day0.Add(time.Hour)}))
			}
			slices.SortFunc(ids, func(a, b takedown.CaseID) int { return bytes.Compare(a[:], b[:]) }) // as they are read
			now.set(day0.Add(time.Hour))
			s.then = func() { ok(t, tc.meanwhile(d, broken, ids[0])) }
			n, err := d.Expire(ctx)
			if n != 2 || errors.Is(err, errInjected) != tc.fails || err != nil && !tc.fails {
				t.Errorf("%d expired, %v", n, err)
			}
			for i, want := range []desk.State{tc.first, desk.StateExpired, desk.StateExpired} {
				if c, err := d.Case(ctx, ids[i]); err != nil || c.State != want {
					t.Errorf("case %d is %s, %v, want %s", i, c.State, err, want)
				}
			}
		})
	}
}

// A court holds a case longer than its rule was granted for. The list erases what
// the rule was made of 30 days after its end, and the case goes on.
func TestExpire_HeldByACourt(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), &clock{t: day0}
	reopen := func() *desk.Desk { return open(t, dir, &desk.Options{Now: now.Now}) }
	d := reopen()
	held := accept(t, d, notice("https://example.org/held.jpg"), desk.Grant{End: day0.Add(time.Hour)})
	other := accept(t, d, notice("https://example.org/other.jpg"), desk.Grant{})
	ok(t, d.CourtHold(ctx, held, alice))
	for range 45 { // a clock that jumps is not believed
		now.set(now.Now().Add(24 * time.Hour))
		_, err := d.Expire(ctx)
		ok(t, err)
	}
	ok(t, d.Withdraw(ctx, other, alice))
	ok(t, d.Erase(ctx, other, alice)) // the list rewrites its journal
	ok(t, d.Close())
	erased := 0
	if err := eachRule(dir, nil, func(e blocklist.Event) {
		if e.IsErased() {
			erased++
		}
	}); err != nil || erased != 1 {
		t.Fatalf("%d rules in the journal are erased and not revoked, %v; want that of the held case", erased, err)
	}
	d = reopen()
	ok(t, d.Verify(ctx))
	ok(t, d.Release(ctx, held, alice))
	_, err := d.Expire(ctx)
	ok(t, err)
	if c, err := d.Case(ctx, held); err != nil || c.State != desk.StateExpired || len(c.Rules) != 0 {
		t.Errorf("the case is %s with the rules %v, %v", c.State, c.Rules, err)
	}
}
