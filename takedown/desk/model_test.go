package desk_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/desk/storetest"
	"github.com/staydown/staydown/takedown/request"
)

var errInjected = errors.New("injected")

// faulty is a store whose next updates can fail: without having done anything,
// or after everything was done, as when a connection breaks before the answer.
type faulty struct {
	desk.Store

	mu    sync.Mutex // a desk's sender writes, too
	in    int        // updates until the failure; 0 is none
	after bool
}

// fail makes the update fail that comes as number in; 0 is none.
func (f *faulty) fail(in int, after bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.in, f.after = in, after
}

// left returns after how many updates one fails.
func (f *faulty) left() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.in
}

// next reports whether the next update fails, and whether it does so afterwards.
func (f *faulty) next() (fails, after bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.in == 0 {
		return false, false
	}
	f.in--
	return f.in == 0, f.after
}

func (f *faulty) Update(g func(desk.StoreTx) error) error {
	fails, after := f.next()
	if !fails {
		return f.Store.Update(g)
	}
	if after {
		if err := f.Store.Update(g); err != nil {
			return err
		}
	}
	return errInjected
}

// jointOf is a journal that shares the transactions of a store which passes them on,
// and that can be used again after Close.
type jointOf struct {
	desk.JointJournal
	store desk.Store
}

func (j jointOf) With(s desk.Store) bool { return s == j.store }

func (jointOf) Close() error { return nil }

// Whatever is asked of a desk in whatever order, with its store failing at any
// write and its process restarted at any moment: no case is lost, what a case
// says is in force is enforced and nothing else is, each enforced address names
// its case and its rule, and the log verifies. What a call answered with
// success has happened; after an error, the case is as before or as asked.
func TestDesk_Life(t *testing.T) {
	t.Parallel()
	all := samples(t, takedown.CaseID{})
	intimate := all[request.KindIntimateImage].(request.IntimateImage)
	risky := intimate // can be held, and granted wider than asked
	intimate.Hashes = nil
	reached := map[desk.State]bool{}
	missing := func() (states []desk.State) {
		for _, s := range []desk.State{
			desk.StateNeedsInfo, desk.StateInReview, desk.StateSecondReview, desk.StateEnforcing, desk.StateInForce,
			desk.StateCounter, desk.StateCourtHold, desk.StateRevoking, desk.StateRejected, desk.StateWithdrawn,
			desk.StateReversed, desk.StateRestored, desk.StateExpired, desk.StateClosed, "erased", "items_ended", "items_reopened",
		} {
			if !reached[s] {
				states = append(states, s)
			}
		}
		return states
	}
	life := func(t *rapid.T) {
		dir, err := memoryDir()
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		now := &clock{t: day0}
		s, j := storetest.MemoryWithJournal()
		store := &faulty{Store: s}
		var journal blocklist.Journal
		if rapid.Bool().Draw(t, "one transaction for a case and its events") {
			journal = jointOf{j, store}
		}
		reopen := func() *desk.Desk {
			d, err := desk.Open(dir, &desk.Options{Now: now.Now, Store: store, Journal: journal, Notifier: &office{clock: now}, FaceModels: faceModels, TrustFaceVectors: true})
			if err != nil {
				t.Fatalf("Open: %v", err)
			}
			return d
		}
		d := reopen()
		defer func() { d.Close() }()

		type known struct {
			id    takedown.CaseID
			urls  []string        // of the items, or
			faces []takedown.Face // of different people
			hash  bool            // has one besides its addresses
			kind  takedown.Kind
		}
		var cases []*known
		var n int
		pick := func(t *rapid.T) *known {
			if len(cases) == 0 {
				t.Skip("no case yet")
			}
			return rapid.SampledFrom(cases).Draw(t, "case")
		}
		// pickOf picks one of a kind, for what only such a case can do.
		pickOf := func(t *rapid.T, kind takedown.Kind) *known {
			var some []*known
			for _, k := range cases {
				if k.kind == kind {
					some = append(some, k)
				}
			}
			if len(some) == 0 {
				t.Skip("no such case yet")
			}
			return rapid.SampledFrom(some).Draw(t, "case")
		}
		// refused reports whether a call refused in one of the ways it may.
		refused := func(err error) bool {
			var (
				move   *desk.MoveError
				grant  *desk.GrantError
				second *desk.SecondReviewError
				early  *desk.TooEarlyError
				valid  *request.ValidationError
			)
			return errors.As(err, &move) || errors.As(err, &grant) || errors.As(err, &second) || errors.As(err, &early) || errors.As(err, &valid) ||
				errors.Is(err, desk.ErrTemplateDestroyed) || errors.Is(err, desk.ErrSameReviewer)
		}
		// do calls f about a case; when it succeeds the case must be in one of
		// the states.
		do := func(t *rapid.T, k *known, f func() error, states ...desk.State) {
			before, err := d.Case(ctx, k.id)
			if err != nil {
				t.Fatalf("case %v: %v", k.id, err)
			}
			err = f()
			store.fail(0, false)
			after, err2 := d.Case(ctx, k.id)
			if err2 != nil {
				t.Fatalf("case %v: %v", k.id, err2)
			}
			switch {
			case err == nil:
				if !slices.Contains(states, after.State) {
					t.Fatalf("from %s: done, but the case is %s, not %v", before.State, after.State, states)
				}
			case errors.Is(err, errInjected):
			case refused(err):
				var second *desk.SecondReviewError
				if after.State != before.State && !errors.As(err, &second) && before.State != desk.StateEnforcing && before.State != desk.StateRevoking {
					t.Fatalf("refused with %v, but went from %s to %s", err, before.State, after.State)
				}
			default:
				t.Fatalf("from %s: %v", before.State, err)
			}
		}
		grant := func(t *rapid.T, k *known) desk.Grant {
			g := desk.Grant{Actor: desk.Actor{By: rapid.SampledFrom([]string{"alice", "bob"}).Draw(t, "by")}}
			if rapid.Bool().Draw(t, "mixed") {
				g.Items = map[int]desk.ItemDecision{rapid.IntRange(0, 1).Draw(t, "item"): {Outcome: desk.OutcomeRejected, Reason: "not_illegal"}}
			}
			if rapid.IntRange(0, 4).Draw(t, "limited") == 0 {
				g.End = now.Now().Add(48 * time.Hour)
			}
			if k.hash && rapid.Bool().Draw(t, "wider") {
				d := g.Items[2]
				d.Scope, g.Wider = takedown.ScopeDuplicate, "spreading_fast"
				if g.Items == nil {
					g.Items = map[int]desk.ItemDecision{}
				}
				g.Items[2] = d
			}
			return g
		}
		reply := func(t *rapid.T, k *known, r request.Request) {
			c, err := d.Submit(ctx, r)
			if err != nil {
				if !refused(err) && !errors.Is(err, errInjected) {
					t.Fatalf("reply: %v", err)
				}
				store.fail(0, false)
				return
			}
			do(t, k, func() error { return d.Accept(ctx, c.ID, desk.Grant{Actor: alice}) },
				desk.StateInReview, desk.StateNeedsInfo, desk.StateWithdrawn, desk.StateReversed, desk.StateInForce)
			if c.Kind == request.KindCounterNotice { // goes on
				cases = append(cases, &known{id: c.ID, kind: c.Kind})
			}
		}
		actions := map[string]func(*rapid.T){
			"submit": func(t *rapid.T) {
				k := &known{}
				for i := range 2 {
					k.urls = append(k.urls, fmt.Sprintf("https://example.org/%d-%d.jpg", n, i))
				}
				n++
				var r request.Request
				switch rapid.IntRange(0, 7).Draw(t, "kind") {
				case 0:
					r = notice(k.urls...)
				case 1:
					x := all[request.KindDMCANotice].(request.DMCANotice)
					x.ImageURLs = k.urls
					r = x
				case 2: // has to be completed
					x := all[request.KindDMCANotice].(request.DMCANotice)
					x.ImageURLs, x.Signature = k.urls, ""
					r = x
				case 3:
					x := all[request.KindGDPRRequest].(request.GDPRRequest)
					x.ImageURLs = k.urls
					r = x
				case 4:
					x := intimate
					x.ImageURLs = k.urls
					r = x
				case 5:
					x := risky
					x.ImageURLs, k.hash = k.urls, true
					r = x
				default:
					for i := range k.urls {
						k.faces = append(k.faces, portrait(t, uint64(2*n+i), 0))
					}
					k.urls, r = nil, faceOptOut(k.faces...)
				}
				c, err := d.Submit(ctx, r)
				store.fail(0, false)
				if errors.Is(err, errInjected) {
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				k.id, k.kind = c.ID, c.Kind
				cases = append(cases, k)
			},
			"complete": func(t *rapid.T) {
				k := pick(t)
				c, err := d.Case(ctx, k.id)
				if err != nil {
					t.Fatal(err)
				}
				var r request.Request
				switch x := c.Request.(type) {
				case request.DMCANotice:
					x.Signature, r = "Requester", x
				case request.FaceOptOut: // some of its faces may be gone
					x.Faces, r = k.faces, x
				case request.IntimateImage, request.GDPRRequest: // the same again
					r = x
				default:
					t.Skip("another kind")
				}
				do(t, k, func() error { _, err := d.Complete(ctx, k.id, r); return err }, desk.StateInReview)
			},
			"accept": func(t *rapid.T) {
				k := pick(t)
				g := grant(t, k)
				do(t, k, func() error { return d.Accept(ctx, k.id, g) }, desk.StateInForce, desk.StateCounter)
			},
			"change": func(t *rapid.T) {
				k := pick(t)
				g := grant(t, k)
				do(t, k, func() error { return d.Amend(ctx, k.id, g) }, desk.StateInForce)
			},
			"reject": func(t *rapid.T) {
				k := pick(t)
				do(t, k, func() error { return d.Reject(ctx, k.id, refuse(bob)) }, desk.StateRejected)
			},
			"ask": func(t *rapid.T) {
				k := pick(t)
				do(t, k, func() error { return d.AskInfo(ctx, k.id, bob, []string{"explanation"}) }, desk.StateNeedsInfo)
			},
			"hold": func(t *rapid.T) {
				k := pick(t)
				do(t, k, func() error { return d.Hold(ctx, k.id, bob) }, desk.StateInReview, desk.StateNeedsInfo, desk.StateSecondReview)
			},
			"unhold": func(t *rapid.T) {
				k := pick(t)
				do(t, k, func() error { return d.ReleaseHold(ctx, k.id, bob) }, desk.StateInReview, desk.StateNeedsInfo, desk.StateSecondReview)
			},
			"withdraw": func(t *rapid.T) {
				k := pick(t)
				do(t, k, func() error { return d.Withdraw(ctx, k.id, desk.Actor{}) }, desk.StateWithdrawn)
			},
			"reverse": func(t *rapid.T) {
				k := pick(t)
				do(t, k, func() error { return d.Reverse(ctx, k.id, bob) }, desk.StateReversed, desk.StateRestored)
			},
			"withdraw an item": func(t *rapid.T) {
				k := pick(t)
				reply(t, k, request.Withdrawal{Requester: person, Case: k.id, Items: []int{rapid.IntRange(0, 1).Draw(t, "item")}})
			},
			"complain": func(t *rapid.T) {
				k := pick(t)
				if rapid.Bool().Draw(t, "accepted before") {
					g := grant(t, k)
					do(t, k, func() error { return d.Accept(ctx, k.id, g) }, desk.StateInForce, desk.StateCounter)
				}
				party := rapid.SampledFrom([]request.Party{request.PartyAffected, request.PartyNotifier}).Draw(t, "party")
				reply(t, k, request.Complaint{Requester: person, Case: k.id, Party: party, Grounds: "Wrong."})
			},
			"counter": func(t *rapid.T) {
				k := pickOf(t, request.KindDMCANotice)
				if rapid.Bool().Draw(t, "accepted before") {
					g := grant(t, k)
					do(t, k, func() error { return d.Accept(ctx, k.id, g) }, desk.StateInForce)
				}
				x := all[request.KindCounterNotice].(request.CounterNotice)
				x.Case, x.ImageURLs = k.id, k.urls
				if len(k.urls) > 0 && rapid.Bool().Draw(t, "one") {
					x.ImageURLs = k.urls[1:]
				}
				reply(t, k, x)
			},
			"object": func(t *rapid.T) {
				k := pick(t)
				x := all[request.KindObjection].(request.Objection)
				x.Case = k.id
				if len(k.urls) > 0 && rapid.Bool().Draw(t, "one") {
					x.ImageURLs = k.urls[:1]
				}
				reply(t, k, x)
			},
			"restore": func(t *rapid.T) {
				k := pickOf(t, request.KindCounterNotice)
				if rapid.Bool().Draw(t, "after its window") {
					now.set(now.Now().Add(30 * 24 * time.Hour))
				}
				do(t, k, func() error { return d.Restore(ctx, k.id, alice) }, desk.StateRestored)
			},
			"court": func(t *rapid.T) {
				k := pick(t)
				do(t, k, func() error { return d.CourtHold(ctx, k.id, alice) }, desk.StateCourtHold)
			},
			"release": func(t *rapid.T) {
				k := pick(t)
				do(t, k, func() error { return d.Release(ctx, k.id, alice) }, desk.StateInForce, desk.StateClosed)
			},
			"close": func(t *rapid.T) {
				k := pick(t)
				do(t, k, func() error { return d.CloseCase(ctx, k.id, alice) }, desk.StateClosed)
			},
			"erase": func(t *rapid.T) {
				k := pick(t)
				before, err := d.Case(ctx, k.id)
				if err != nil {
					t.Fatal(err)
				}
				states := []desk.State{before.State}
				if k.faces != nil && !before.Erased() {
					states = append(states, desk.StateWithdrawn)
				}
				if before.State == desk.StateEnforcing || before.State == desk.StateRevoking {
					states = append(states, d.Record(k.id).After) // what was cut short is finished first
				}
				do(t, k, func() error { return d.Erase(ctx, k.id, alice) }, states...)
			},
			"expire": func(t *rapid.T) {
				now.set(now.Now().Add(48 * time.Hour))
				if _, err := d.Expire(ctx); err != nil && !errors.Is(err, errInjected) {
					t.Fatal(err)
				}
				store.fail(0, false)
			},
			"time": func(t *rapid.T) {
				now.set(now.Now().Add(time.Duration(rapid.IntRange(1, 30*24).Draw(t, "hours")) * time.Hour))
			},
			"fail": func(t *rapid.T) {
				store.fail(rapid.IntRange(1, 4).Draw(t, "in"), rapid.Bool().Draw(t, "after"))
			},
			"restart": func(t *rapid.T) {
				store.fail(0, false)
				if err := d.Close(); err != nil {
					t.Fatal(err)
				}
				d = reopen()
				if err := eachCase(d, func(c desk.Case) bool {
					if c.State == desk.StateEnforcing || c.State == desk.StateRevoking {
						t.Fatalf("case %v is still %s after Open", c.ID, c.State)
					}
					return true
				}); err != nil {
					t.Fatal(err)
				}
			},
			"": func(t *rapid.T) {
				if store.left() > 0 {
					return // armed: what is looked at next is the failure
				}
				for _, k := range cases {
					c, err := d.Case(ctx, k.id)
					if err != nil {
						t.Fatalf("case %v: %v", k.id, err)
					}
					if c.State == desk.StateEnforcing || c.State == desk.StateRevoking {
						continue // cut short; the next call about it, or Open, finishes it
					}
					if (c.Request == nil) != c.Erased() {
						t.Fatalf("case %v: erased %v, with the request %v", k.id, c.Erased(), c.Request != nil)
					}
					for i, u := range k.urls {
						got := d.Enforcer().FilterURL(u)
						inForce := c.Items[i].Rule != 0 && (c.End.IsZero() || now.Now().Before(c.End))
						if inForce != (got.Verdict == takedown.Block) {
							t.Fatalf("%s, case %s with rules %v: %v", u, c.State, c.Rules, got)
						}
						if inForce && (got.Case != c.ID || got.Rule != c.Items[i].Rule || !slices.Contains(c.Rules, got.Rule)) {
							t.Fatalf("%s: %v does not name case %v and its rule %d", u, got, c.ID, c.Items[i].Rule)
						}
					}
					for i, f := range k.faces {
						it, got := c.Items[i], d.Enforcer().Check(withFaces(f))
						inForce := it.Rule != 0 && (c.End.IsZero() || now.Now().Before(c.End))
						if inForce != (got.Verdict == takedown.Block) || inForce && (got.Case != c.ID || got.Rule != it.Rule || !slices.Contains(c.Rules, got.Rule)) {
							t.Fatalf("face %d, case %s with rules %v: %v", i, c.State, c.Rules, got)
						}
						over := len(c.Rules) == 0 && (c.Outcome != "" || c.State == desk.StateWithdrawn)
						open := !over && (it.Outcome == "" || it.Outcome == desk.OutcomeAccepted)
						if it.Rule != 0 && it.Template == nil || it.Template != nil && !open {
							t.Fatalf("face %d, case %s, outcome %q, rule %d: its template is there: %v", i, c.State, it.Outcome, it.Rule, it.Template != nil)
						}
					}
					if r, isFace := c.Request.(request.FaceOptOut); isFace {
						left := 0
						for _, it := range c.Items {
							if it.Template != nil {
								left++
							}
						}
						there := 0
						for i, f := range r.Faces {
							if !f.IsZero() {
								there++
							}
							if (c.Items[i].Template == nil) != f.IsZero() || !f.IsZero() && !f.Equal(k.faces[i]) {
								t.Fatalf("case %s: face %d is not that of its item", c.State, i)
							}
						}
						if there != left {
							t.Fatalf("case %s: %d templates, and %d faces in its request", c.State, left, there)
						}
					}
					switch c.State {
					case desk.StateInForce, desk.StateCourtHold:
						if c.Kind == request.KindCounterNotice {
							if len(c.Rules) != 0 {
								t.Fatalf("a counter-notice has rules %v", c.Rules)
							}
							continue
						}
						if n := len(c.Rules); n == 0 || n > 1 && !(k.hash && n == 2) {
							t.Fatalf("case %s has rules %v", c.State, c.Rules)
						}
					case desk.StateRejected, desk.StateWithdrawn, desk.StateReversed, desk.StateRestored, desk.StateExpired, desk.StateClosed:
						if len(c.Rules) != 0 {
							t.Fatalf("case %s has rules %v", c.State, c.Rules)
						}
						if c.State == desk.StateClosed && c.Times[desk.MilestoneDecided].IsZero() && c.Times[desk.MilestoneEnded].IsZero() {
							t.Fatalf("case %v is closed, and was neither decided nor ended", c.ID)
						}
					}
				}
				if _, _, err := d.VerifyLog(ctx); err != nil {
					t.Fatal(err)
				}
			},
		}
		t.Repeat(actions)

		// At last, after a restart, no rule is without its case: the events of the
		// journal, folded, are the rules of the cases.
		store.fail(0, false)
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		d = reopen()
		if err := eachEntry(d, 1, func(e desk.LogEntry) bool {
			reached[e.To] = true
			return true
		}); err != nil {
			t.Fatal(err)
		}
		// There is a key for each case that is not erased and for each template that
		// is needed, and no other.
		keys := 0
		if err := eachCase(d, func(c desk.Case) bool {
			if !c.Erased() {
				keys++
			}
			for _, it := range c.Items {
				if it.Template != nil {
					keys++
				}
			}
			return true
		}); err != nil {
			t.Fatal(err)
		}
		if got := d.Keys(); got != keys {
			t.Fatalf("%d keys, and %d are needed", got, keys)
		}
		checkRules(t, dir, journal, d)
		d = reopen()
	}
	// What takes many steps is rare: it goes on until everything has happened.
	for range 10 {
		rapid.Check(t, life)
		if testing.Short() || t.Failed() || missing() == nil {
			return
		}
	}
	t.Errorf("no case became %v: the test proves too little", missing())
}

// memoryDir makes a folder in memory where the system has a place for that: the
// model is about what follows what, not about the disk, and runs ten times as
// often in the same time.
func memoryDir() (string, error) {
	if dir, err := os.MkdirTemp("/dev/shm", "desk"); err == nil {
		return dir, nil
	}
	return os.MkdirTemp("", "desk")
}

// checkRules closes a desk and holds the rules of its list, the fold of the
// journal, against those of its cases: none may be without the other.
func checkRules(t interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}, dir string, journal blocklist.Journal, d *desk.Desk) {
	t.Helper()
	rules := map[uint64]takedown.CaseID{}
	if err := eachCase(d, func(c desk.Case) bool {
		for _, r := range c.Rules {
			rules[r] = c.ID
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	live := map[uint64]takedown.CaseID{}
	if err := eachRule(dir, journal, func(e blocklist.Event) {
		live[e.Seq] = takedown.CaseID{}
		if !e.IsErased() {
			live[e.Seq] = e.Rule.Case
		}
	}); err != nil {
		t.Fatal(err)
	}
	if len(live) != len(rules) {
		t.Fatalf("%d rules in the list, %d in cases", len(live), len(rules))
	}
	for r, id := range live {
		if of, ok := rules[r]; !ok || of != id && id != (takedown.CaseID{}) {
			t.Fatalf("rule %d of case %v: the cases say %v", r, id, of)
		}
	}
}

// eachRule calls f for the added event of each rule in the journal of a closed desk
// that is not revoked. One whose time is over can be erased.
func eachRule(dir string, journal blocklist.Journal, f func(blocklist.Event)) error {
	var list *blocklist.List
	var err error
	if dir = filepath.Join(dir, "list"); journal == nil {
		list, err = boltjournal.Open(dir, nil)
	} else {
		list, err = blocklist.New(journal, dir, nil)
	}
	if err != nil {
		return err
	}
	live := map[uint64]blocklist.Event{}
	err = list.Events(1, func(e blocklist.Event) bool {
		switch e.Type {
		case blocklist.EventAdded:
			live[e.Seq] = e
		case blocklist.EventRevoked:
			delete(live, e.Target)
		}
		return true
	})
	for _, e := range live {
		f(e)
	}
	return errors.Join(err, list.Close())
}
