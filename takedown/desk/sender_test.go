package desk_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/desk/storetest"
	"github.com/staydown/staydown/takedown/request"
)

// eventually waits until the sender, a goroutine of its own, has got somewhere.
func eventually(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for range 3000 {
		if reached() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("%s: not within 15 seconds", what)
}

// mailbox is a Notifier that notes what it takes, by the ID of the message.
type mailbox struct {
	mu    sync.Mutex
	taken map[uint64]int
	order []desk.Message
	calls int
	fail  func(desk.Message) error
}

func (b *mailbox) Notify(_ context.Context, m desk.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	if b.fail != nil {
		if err := b.fail(m); err != nil {
			return err
		}
	}
	if b.taken == nil {
		b.taken = map[uint64]int{}
	}
	b.taken[m.ID]++
	b.order = append(b.order, m)
	return nil
}

func (b *mailbox) failing(f func(desk.Message) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = f
}

func (b *mailbox) count() (taken, calls int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.taken), b.calls
}

// Messages are sent without a call of Notify.
func TestSender_ByItself(t *testing.T) {
	t.Parallel()
	box := new(mailbox)
	d := open(t, t.TempDir(), &desk.Options{Notifier: box})
	c, err := d.Submit(ctx, notice("https://example.org/a.jpg"))
	ok(t, err)
	ok(t, d.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
	eventually(t, "receipt, decision and statement", func() bool { n, _ := box.count(); return n == 3 })
	eventually(t, "the requester is informed", func() bool {
		c, err := d.Case(ctx, c.ID)
		ok(t, err)
		return !c.Times[desk.MilestoneInformed].IsZero()
	})
}

// A Notifier that hangs makes no call slow, and Close ends it.
func TestSender_Hangs(t *testing.T) {
	t.Parallel()
	var ended atomic.Bool
	began := make(chan struct{}, 100)
	d, err := desk.Open(t.TempDir(), &desk.Options{Notifier: desk.NotifierFunc(func(ctx context.Context, _ desk.Message) error {
		began <- struct{}{}
		<-ctx.Done()
		ended.Store(true)
		return ctx.Err()
	})})
	ok(t, err)
	c, err := d.Submit(ctx, notice("https://example.org/a.jpg"))
	ok(t, err)
	<-began
	// The Notifier returns only when the desk is closed: whatever waits for it, hangs.
	ok(t, d.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
	ok(t, d.Withdraw(ctx, c.ID, desk.Actor{}))
	if _, err := d.Expire(ctx); err != nil {
		t.Error(err)
	}
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if err := d.Notify(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Notify while the sender is at it: %v", err)
	}
	ok(t, d.Close())
	if !ended.Load() {
		t.Error("Close has not ended the Notifier")
	}
}

// While the mail server is down, it is called few times, and when it is there again
// every message comes once.
func TestSender_Outage(t *testing.T) {
	t.Parallel()
	box := &mailbox{fail: func(desk.Message) error { return errors.New("no connection") }}
	now := &clock{t: day0}
	d := open(t, t.TempDir(), &desk.Options{Now: now.Now, Store: storetest.Memory(), Notifier: box, MessagesPerDay: -1})
	const cases = 40
	for i := range cases {
		_, err := d.Submit(ctx, notice(fmt.Sprintf("https://example.org/%d.jpg", i)))
		ok(t, err)
	}
	// The first round ends after three failures; after that one attempt tells that
	// the server is down, each time after twice the pause.
	if _, calls := box.count(); calls > 12 {
		t.Errorf("the Notifier was called %d times for %d messages", calls, cases)
	}
	box.failing(nil)
	if err := d.Notify(ctx); err != nil {
		t.Error(err)
	}
	if n, _ := box.count(); n != cases {
		t.Errorf("%d messages came of %d", n, cases)
	}
	for id, n := range box.taken {
		if n != 1 {
			t.Errorf("message %d came %d times", id, n)
		}
	}
}

// A message that is refused again and again is offered after longer and longer
// times, over restarts too, and the others are not kept waiting.
func TestSender_Backoff(t *testing.T) {
	t.Parallel()
	dir, store := t.TempDir(), storetest.Memory()
	now := &clock{t: day0}
	var bad takedown.CaseID
	var offered []time.Duration
	var mu sync.Mutex
	opts := &desk.Options{Now: now.Now, Store: store, OperatorKey: make([]byte, 32), Notifier: desk.NotifierFunc(func(_ context.Context, m desk.Message) error {
		mu.Lock()
		defer mu.Unlock()
		if m.Case != bad {
			return nil
		}
		offered = append(offered, now.Now().Sub(day0))
		if m.Attempt != len(offered) {
			t.Errorf("attempt %d is said to be number %d", len(offered), m.Attempt)
		}
		return errors.New("mailbox full")
	})}
	bad = func() takedown.CaseID {
		quiet := *opts
		quiet.Notifier = desk.NotifierFunc(func(context.Context, desk.Message) error { return errors.New("later") })
		d, err := desk.Open(dir, &quiet)
		ok(t, err)
		d.HoldSender()
		defer func() { ok(t, d.Close()) }()
		c, err := d.Submit(ctx, notice("https://example.org/bad.jpg"))
		ok(t, err)
		return c.ID
	}()
	for range 10 * 60 {
		d, err := desk.Open(dir, opts)
		ok(t, err)
		d.SendDue(ctx)
		ok(t, d.Close())
		now.set(now.Now().Add(time.Minute))
	}
	mu.Lock()
	defer mu.Unlock()
	want := []time.Duration{0, 1, 3, 7, 15, 31, 63, 127, 255, 511}
	for i := range want {
		want[i] *= time.Minute
	}
	if diff := cmp.Diff(want, offered); diff != "" {
		t.Errorf("offered (-want +got):\n%s", diff)
	}
}

// An address that waits for its confirmation gets one message, without what its
// sender wrote; the others come when it is confirmed.
func TestSender_Unconfirmed(t *testing.T) {
	t.Parallel()
	o := newOffice(t, func(opts *desk.Options) { opts.ConfirmEmail = true })
	r := notice("https://pills.example/a.jpg")
	r.Requester = request.Requester{Name: "Buy pills at pills dot example", Email: "victim@example.org"}
	c := o.submit(t, r)
	m := o.last(desk.MessageConfirmEmail)
	if s := fmt.Sprintf("%+v", m); strings.Contains(s, "pills") {
		t.Errorf("the first message has the sender's text: %s", s)
	}
	o.wantLetters(t, c.ID, desk.MessageConfirmEmail)
	o.later(24 * time.Hour)
	o.wantLetters(t, c.ID)
	ok(t, o.Confirm(ctx, c.ID, m.Token))
	if m := o.last(desk.MessageReceipt); m.To.Name != r.Requester.Name {
		t.Errorf("the receipt is for %q", m.To.Name)
	}
	o.wantLetters(t, c.ID, desk.MessageReceipt)

	// What a reviewer decides is told all the same, without the name.
	c = o.submit(t, r)
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
	if m := o.last(desk.MessageAccepted); m.To.Name != "" || m.To.Email != "victim@example.org" {
		t.Errorf("the decision is for %+v", m.To)
	}
	o.wantLetters(t, c.ID, desk.MessageConfirmEmail, desk.MessageAccepted, desk.MessageStatement)
}

// Whoever posts a stranger's address a thousand times sends the stranger three
// messages a day, and none once their tokens have ended. Restarts change nothing.
func TestSender_Flood(t *testing.T) {
	t.Parallel()
	dir, store := t.TempDir(), storetest.Memory()
	now, box := &clock{t: day0}, new(mailbox)
	opts := &desk.Options{Now: now.Now, Store: store, OperatorKey: make([]byte, 32), Notifier: box, ConfirmEmail: true}
	d, err := desk.Open(dir, opts)
	ok(t, err)
	const posts = 60
	for i := range posts {
		r := notice(fmt.Sprintf("https://example.org/%d.jpg", i))
		r.Requester.Email = []string{"victim@example.org", "Victim@Example.ORG"}[i%2]
		_, err := d.Submit(ctx, r)
		ok(t, err)
	}
	days := map[int]int{}
	for day := range 6 {
		ok(t, d.Notify(ctx))
		before, _ := box.count()
		ok(t, d.Close())
		if d, err = desk.Open(dir, opts); err != nil {
			t.Fatal(err)
		}
		ok(t, d.Notify(ctx))
		if after, _ := box.count(); after != before {
			t.Errorf("after a restart on day %d: %d messages more", day, after-before)
		}
		days[day] = before
		now.set(now.Now().Add(24 * time.Hour))
	}
	ok(t, d.Close())
	// On the third day the tokens, of 48 hours, are at their end.
	if diff := cmp.Diff(map[int]int{0: 3, 1: 6, 2: 9, 3: 9, 4: 9, 5: 9}, days); diff != "" {
		t.Errorf("messages by day (-want +got):\n%s", diff)
	}
	for _, m := range box.order {
		if m.Type != desk.MessageConfirmEmail || m.To.Name != "" {
			t.Errorf("%s to %+v", m.Type, m.To)
		}
	}
}

// A confirmed address has another cap, and what is over it comes on the next days,
// each message once.
func TestSender_Cap(t *testing.T) {
	t.Parallel()
	o := newOffice(t, func(opts *desk.Options) { opts.MessagesPerDay = 5 })
	var ids []takedown.CaseID
	for i := range 12 {
		ids = append(ids, o.submit(t, notice(fmt.Sprintf("https://example.org/%d.jpg", i))).ID)
	}
	other := notice("https://example.org/other.jpg")
	other.Requester.Email = "other@example.org"
	if id := o.submit(t, other).ID; !slices.Equal(o.letters(id), []desk.MessageType{desk.MessageReceipt}) {
		t.Error("another address waits too")
	}
	for day, want := range []int{5, 5, 2, 0} {
		o.settle()
		mail := o.mail()
		if len(mail) != want {
			t.Errorf("day %d: %d messages, want %d", day, len(mail), want)
		}
		for _, m := range mail {
			i := slices.Index(ids, m.Case)
			if i < 0 {
				t.Errorf("case %v twice", m.Case)
				continue
			}
			ids = slices.Delete(ids, i, i+1)
		}
		o.forget()
		o.later(24 * time.Hour)
	}
}

// The store fails from any transaction of the sender on, as if the process ended
// there: every message comes, and comes again only if its delivery was not noted.
func TestSender_Restarts(t *testing.T) {
	t.Parallel()
	again := 0
	for stop := int64(1); ; stop++ {
		dir, box := t.TempDir(), new(mailbox)
		now := &clock{t: day0}
		store := &dying{Store: storetest.Memory()}
		opts := &desk.Options{Now: now.Now, Store: store, OperatorKey: make([]byte, 32), Notifier: box}
		d, err := desk.Open(dir, opts)
		ok(t, err)
		d.HoldSender()
		for i := range 3 {
			_, err := d.Submit(ctx, notice(fmt.Sprintf("https://example.org/%d.jpg", i)))
			ok(t, err)
		}
		store.left.Store(stop)
		d.SendDue(ctx)
		died := store.left.Load() == 1
		store.left.Store(0)
		_ = d.Close()
		if d, err = desk.Open(dir, opts); err != nil {
			t.Fatal(err)
		}
		ok(t, d.Notify(ctx))
		ok(t, d.Close())
		ids := slices.Sorted(maps.Keys(box.taken))
		if len(ids) != 3 {
			t.Fatalf("stopped at transaction %d: %d of 3 messages came", stop, len(ids))
		}
		twice := 0
		for _, n := range box.taken {
			twice += n - 1
		}
		// A process that lives on in spite of its store repeats failuresInRow messages.
		if again += twice; twice > 3 {
			t.Errorf("stopped at transaction %d: %d messages came again", stop, twice)
		}
		if !died {
			if stop < 4 || again == 0 {
				t.Errorf("%d transactions were tried, and %d messages came again", stop, again)
			}
			return
		}
	}
}

// dying is a store that fails from some update on.
type dying struct {
	desk.Store
	left atomic.Int64 // how many updates succeed, plus 1; 0 is all
}

func (s *dying) Update(f func(desk.StoreTx) error) error {
	if s.left.Load() == 1 {
		return errors.New("the process has ended")
	}
	if s.left.Load() > 1 {
		s.left.Add(-1)
	}
	return s.Store.Update(f)
}

func (s *dying) Close() error { return nil }

// No file of a desk has an address that messages were sent to.
func TestSender_CountsAreKeyed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, err := desk.Open(dir, &desk.Options{Notifier: new(mailbox)})
	ok(t, err)
	r := notice("https://example.org/a.jpg")
	r.Requester = request.Requester{Name: "Conspicuous Name", Email: "conspicuous@example.net", Phone: "+1 202 555 0199"}
	_, err = d.Submit(ctx, r)
	ok(t, err)
	ok(t, d.Notify(ctx))
	ok(t, d.Close())
	ok(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, s := range []string{"onspicuous", "example.net", "2025550199"} {
			if strings.Contains(string(b), s) {
				t.Errorf("%s has %q", path, s)
			}
		}
		return err
	}))
}

// A message whose attempt is stored already is not sent after its case was rejected as
// spam.
func TestSender_SpamMeanwhile(t *testing.T) {
	t.Parallel()
	began, release := make(chan takedown.CaseID, 10), make(chan struct{})
	d := open(t, t.TempDir(), &desk.Options{Notifier: desk.NotifierFunc(func(ctx context.Context, m desk.Message) error {
		began <- m.Case
		select {
		case <-release:
		case <-ctx.Done():
		}
		return ctx.Err()
	})})
	submit := func() takedown.CaseID {
		c, err := d.Submit(ctx, notice("https://example.org/a.jpg"))
		ok(t, err)
		return c.ID
	}
	first := submit()
	if id := <-began; id != first {
		t.Fatalf("the first message is about %v", id)
	}
	// These two are claimed together.
	second, spam, last := submit(), submit(), submit()
	release <- struct{}{}
	if id := <-began; id != second {
		t.Fatalf("the second message is about %v", id)
	}
	ok(t, d.Reject(ctx, spam, desk.Refusal{Actor: desk.Actor{By: "alice", Reason: "spam"}}))
	release <- struct{}{}
	if id := <-began; id != last {
		t.Errorf("the next message is about %v, not %v; the spam is %v", id, last, spam)
	}
	release <- struct{}{}
}
