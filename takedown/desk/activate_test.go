package desk_test

import (
	"errors"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
)

// Nobody is told that something is removed before it is: of a rule that begins
// later, the case is enforced, and its messages are sent, when its day comes,
// once, whichever call comes first.
func TestLife_BeginsLater(t *testing.T) {
	t.Parallel()
	start := day0.AddDate(1, 0, 0)
	inForce := []desk.MessageType{desk.MessageInForce, desk.MessageStatement}
	for name, call := range map[string]func(t *testing.T, o *office){
		"Expire": func(t *testing.T, o *office) {
			if n, err := o.Expire(ctx); n != 0 || err != nil {
				t.Errorf("expired %d, %v", n, err)
			}
		},
		"Notify":       func(t *testing.T, o *office) { ok(t, o.Retry()) },
		"another case": func(t *testing.T, o *office) { o.submit(t, notice("https://example.org/other.jpg")) },
		"Open": func(t *testing.T, o *office) {
			ok(t, o.Close())
			o.Desk = open(t, o.Dir(), &desk.Options{Now: o.Now, Notifier: o})
			ok(t, o.Retry())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			u := "https://example.org/a.jpg"
			c := o.submit(t, notice(u))
			ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice, Start: start}))
			o.wantLetters(t, c.ID, desk.MessageReceipt, desk.MessageAccepted)
			ok(t, o.Retry())
			o.set(start.Add(-time.Second))
			call(t, o)
			o.wantLetters(t, c.ID)
			wantVerdict(t, "the day before", o.Enforcer().FilterURL(u), takedown.Allow)
			if c = o.wantState(t, c.ID, desk.StateInForce); !c.Times[desk.MilestoneEnforced].IsZero() {
				t.Errorf("enforced at %v, a year before it begins", c.Times[desk.MilestoneEnforced])
			}
			o.set(start.Add(time.Hour))
			wantVerdict(t, "then", o.Enforcer().FilterURL(u), takedown.Block)
			call(t, o)
			o.wantLetters(t, c.ID, inForce...)
			if c = o.wantState(t, c.ID, desk.StateInForce); c.Times[desk.MilestoneEnforced] != start {
				t.Errorf("enforced at %v, want %v", c.Times[desk.MilestoneEnforced], start)
			}
			call(t, o)
			o.wantLetters(t, c.ID)
			if _, _, err := o.VerifyLog(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

// What changes before the day counts: the last terms say when, and what has
// ended does not begin.
func TestLife_ChangedBeforeItBegins(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(o *office, id takedown.CaseID) error
		now    []desk.MessageType // what is sent at once
		then   []desk.MessageType // and on the first day that was granted
	}{
		{"withdrawn", func(o *office, id takedown.CaseID) error { return o.Withdraw(ctx, id, desk.Actor{}) }, []desk.MessageType{desk.MessageWithdrawn}, nil},
		{"begins at once after all", func(o *office, id takedown.CaseID) error {
			return o.Amend(ctx, id, desk.Grant{Actor: alice})
		}, []desk.MessageType{desk.MessageAccepted, desk.MessageStatement}, nil},
		{"begins later still", func(o *office, id takedown.CaseID) error {
			return o.Amend(ctx, id, desk.Grant{Actor: alice, Start: day0.AddDate(2, 0, 0)})
		}, []desk.MessageType{desk.MessageAccepted}, nil},
		{"has another end", func(o *office, id takedown.CaseID) error {
			return o.Amend(ctx, id, desk.Grant{Actor: alice, Start: day0.AddDate(1, 0, 0), End: day0.AddDate(3, 0, 0)})
		}, []desk.MessageType{desk.MessageAccepted}, []desk.MessageType{desk.MessageInForce, desk.MessageStatement}},
		{"erased", func(o *office, id takedown.CaseID) error { return o.Erase(ctx, id, alice) }, nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			c := o.submit(t, notice("https://example.org/a.jpg"))
			ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice, Start: day0.AddDate(1, 0, 0)}))
			o.letters(c.ID)
			ok(t, tc.change(o, c.ID))
			o.wantLetters(t, c.ID, tc.now...)
			o.set(day0.AddDate(1, 0, 0))
			ok(t, o.Retry())
			o.wantLetters(t, c.ID, tc.then...)
		})
	}
}

// unreadable is a store that cannot read the request of one case.
type unreadable struct {
	desk.Store
	id atomic.Pointer[takedown.CaseID]
}

var errUnreadable = errors.New("damaged")

type unreadableTx struct {
	desk.StoreTx
	s *unreadable
}

func (t unreadableTx) Get(b desk.Bucket, key []byte) ([]byte, error) {
	if id := t.s.id.Load(); id != nil && b == desk.BucketRequests && string(key) == string(id[:]) {
		return nil, errUnreadable
	}
	return t.StoreTx.Get(b, key)
}

func (s *unreadable) View(f func(desk.StoreTx) error) error {
	return s.Store.View(func(tx desk.StoreTx) error { return f(unreadableTx{tx, s}) })
}

func (s *unreadable) Update(f func(desk.StoreTx) error) error {
	return s.Store.Update(func(tx desk.StoreTx) error { return f(unreadableTx{tx, s}) })
}

func newUnreadable(tb testing.TB) *unreadable {
	tb.Helper()
	s, err := desk.OpenStore(filepath.Join(tb.TempDir(), "cases.db"))
	ok(tb, err)
	return &unreadable{Store: s}
}

// A case that cannot be read when its day comes keeps no message of another case
// from its recipient, and Notify says so.
func TestLife_UnreadableBegins(t *testing.T) {
	t.Parallel()
	s := newUnreadable(t)
	o := newOffice(t, func(opts *desk.Options) { opts.Store = s })
	start := day0.AddDate(0, 0, 10)
	bad, other := o.submit(t, notice(published[0])), o.submit(t, notice(published[1]))
	for _, id := range []takedown.CaseID{bad.ID, other.ID} {
		ok(t, o.Accept(ctx, id, desk.Grant{Actor: alice, Start: start}))
		o.letters(id)
	}
	s.id.Store(&bad.ID)
	o.set(start.Add(time.Hour))
	if err := o.Retry(); !errors.Is(err, errUnreadable) {
		t.Errorf("Notify: %v", err)
	}
	o.wantLetters(t, other.ID, desk.MessageInForce, desk.MessageStatement)
	third := o.submit(t, notice(published[2]))
	o.wantLetters(t, third.ID, desk.MessageReceipt)
	s.id.Store(nil)
	ok(t, o.Retry())
	o.wantLetters(t, bad.ID, desk.MessageInForce, desk.MessageStatement)
}

// One case that cannot be read keeps no face of another beyond its time.
func TestFaceOptOut_UnreadableExpires(t *testing.T) {
	t.Parallel()
	s, now := newUnreadable(t), &clock{}
	now.set(day0)
	d := faceDesk(t, t.TempDir(), func(opts *desk.Options) { opts.Store, opts.Now = s, now.Now })
	defer func() { ok(t, d.Close()) }()
	end := day0.AddDate(0, 0, 10)
	var ids []takedown.CaseID
	for person := range uint64(8) { // maps give their keys in any order
		ids = append(ids, accept(t, d, faceOptOut(portrait(t, person+1, 0)), desk.Grant{End: end}))
	}
	s.id.Store(&ids[0])
	now.set(end)
	if err := d.Publish(ctx, filepath.Join(t.TempDir(), "x.snap")); !errors.Is(err, errUnreadable) {
		t.Errorf("Publish: %v", err)
	}
	for _, id := range ids[1:] {
		c, err := d.Case(ctx, id)
		ok(t, err)
		if c.State != desk.StateExpired {
			t.Errorf("a case is %s", c.State)
		}
	}
}

// A change of which nobody is told, as the first call after the day on which a
// case begins, keeps nobody from being told that it is in force.
func TestLife_SilentChangeBegins(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	start := day0.AddDate(0, 0, 10)
	c := o.submit(t, dmca(t, published...))
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice, Start: start}))
	x := o.submit(t, objection(t, c.ID, published[0]))
	o.letters(c.ID)
	o.set(start.Add(time.Hour))
	ok(t, o.Accept(ctx, x.ID, desk.Grant{Actor: bob}))
	ok(t, o.Retry())
	got := o.letters(c.ID)
	for _, m := range []desk.MessageType{desk.MessageInForce, desk.MessageStatement} {
		if n := len(slices.DeleteFunc(slices.Clone(got), func(x desk.MessageType) bool { return x != m })); n != 1 {
			t.Errorf("%d messages %s, want 1: %v", n, m, got)
		}
	}
	if c = o.wantState(t, c.ID, desk.StateInForce); c.Times[desk.MilestoneEnforced] != start {
		t.Errorf("enforced at %v, want %v", c.Times[desk.MilestoneEnforced], start)
	}
	o.wantBlocked(t, published[1:]...)
	if _, _, err := o.VerifyLog(ctx); err != nil {
		t.Error(err)
	}
}

// A hold is not the decision: what is granted from some day on after it is
// enforced from that day, and holds are not counted as restrictions.
func TestHold_BeforeLaterBegin(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	start := day0.AddDate(0, 0, 3)
	c := o.submit(t, notice(published[0]))
	number := func(want int) {
		t.Helper()
		got, err := o.Case(ctx, c.ID)
		ok(t, err)
		if n := desk.NewStatementOfReasons(&got).Number; n != want {
			t.Errorf("number %d, want %d", n, want)
		}
	}
	ok(t, o.Hold(ctx, c.ID, alice))
	number(0)
	ok(t, o.ReleaseHold(ctx, c.ID, alice))
	number(0)
	ok(t, o.Hold(ctx, c.ID, alice))
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice, Start: start}))
	number(1)
	if c = o.wantState(t, c.ID, desk.StateInForce); !c.Times[desk.MilestoneEnforced].IsZero() {
		t.Errorf("enforced at %v, before it begins", c.Times[desk.MilestoneEnforced])
	}
	o.set(start)
	ok(t, o.Retry())
	ok(t, o.Amend(ctx, c.ID, desk.Grant{Actor: alice, Start: start.AddDate(0, 0, 3)}))
	number(2)
	if c = o.wantState(t, c.ID, desk.StateInForce); c.Times[desk.MilestoneEnforced] != start {
		t.Errorf("enforced at %v, want %v", c.Times[desk.MilestoneEnforced], start)
	}
}
