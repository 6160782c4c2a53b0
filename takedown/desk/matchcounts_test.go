package desk_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/staydown/staydown/internal/sharedtest"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// outerCopies are pictures that lie n bits away from h, no two alike: pairs of
// ones and zeroes change places.
func outerCopies(h phash.Hash, n, count int) (list []phash.Hash) {
	r := rand.New(rand.NewPCG(1, 2))
	own := h.Words()
	for len(list) < count {
		w := own
		var ones, zeroes []int
		for i := range 256 {
			if w[i/64]>>(i%64)&1 == 1 {
				ones = append(ones, i)
			} else {
				zeroes = append(zeroes, i)
			}
		}
		r.Shuffle(len(ones), func(i, j int) { ones[i], ones[j] = ones[j], ones[i] })
		r.Shuffle(len(zeroes), func(i, j int) { zeroes[i], zeroes[j] = zeroes[j], zeroes[i] })
		for i := range n / 2 {
			w[ones[i]/64] ^= 1 << (ones[i] % 64)
			w[zeroes[i]/64] ^= 1 << (zeroes[i] % 64)
		}
		var raw [32]byte
		for i := range raw {
			raw[31-i] = byte(w[i/8] >> (i % 8 * 8))
		}
		list = append(list, phash.FromPDQ(raw))
	}
	return list
}

func TestOuterCopies(t *testing.T) {
	t.Parallel()
	h := pdq(t, 1)
	list := outerCopies(h, 24, 50)
	seen := map[phash.Hash]bool{}
	for _, c := range list {
		if d, ok := h.Distance(c); !ok || d != 24 || seen[c] {
			t.Fatalf("distance %d, again %v", d, seen[c])
		}
		seen[c] = true
	}
}

// near reports whether an estimate is within a quarter of n, and 2.
func near(got, n int) bool { return got >= n*3/4-2 && got <= n*5/4+2 }

// A rule that hits many different pictures weakly raises one alarm a day. It
// goes on to block, and the case tells until a person has looked.
func TestTakeTallies(t *testing.T) {
	t.Parallel()
	now, dir := &clock{t: day0}, t.TempDir()
	opts := &desk.Options{Now: now.Now, MatchBudget: 20}
	d := open(t, dir, opts)
	id := accept(t, d, optOut(t, 1), desk.Grant{Actor: alice})
	own := pdq(t, 1)
	rule := d.Enforcer().Filter("", own).Rule
	far := outerCopies(own, 30, 200)
	take := func(want int, reports ...takedown.MatchCounts) []desk.Alarm {
		t.Helper()
		got, err := d.AddMatchCounts(ctx, reports)
		ok(t, err)
		if len(got) != want {
			t.Fatalf("%d alarms, want %d: %+v", len(got), want, got)
		}
		return got
	}
	look := func(hashes ...phash.Hash) {
		for _, h := range hashes {
			wantVerdict(t, "a copy weak", d.Enforcer().Filter("", h), takedown.Block)
		}
	}

	look(far[:10]...)
	for range 1000 {
		look(far[0])
	}
	take(0)
	look(far[10:60]...)
	a := take(1)[0]
	if a.Case != id || a.Rule != rule || !a.Day.Equal(day0.Truncate(24*time.Hour)) || !near(a.Pictures, 60) || a.Settled {
		t.Errorf("%+v", a)
	}
	take(0) // once a day
	look(far[60:]...)
	take(0)
	check := func(what string, open int) {
		t.Helper()
		list, err := d.Alarms(ctx)
		ok(t, err)
		c, err := d.Case(ctx, id)
		ok(t, err)
		if len(list) != open || slices.Contains(c.Flags, desk.FlagOverBudget) != (open > 0) || c.State != desk.StateInForce {
			t.Errorf("%s: %d alarms, flags %v, %s", what, len(list), c.Flags, c.State)
		}
	}
	check("raised", 1)
	look(own, far[0]) // it unblocks nothing
	ok(t, d.Close())
	d = open(t, dir, opts)
	check("after a restart", 1)
	look(far...)
	take(0) // it is in the case
	ok(t, d.SettleAlarms(ctx, id, alice))
	check("settled", 0)
	if err := d.SettleAlarms(ctx, id, alice); err == nil {
		t.Error("settled twice")
	}
	take(0)

	now.set(day0.Add(24 * time.Hour))
	take(0)
	look(far[:60]...)
	take(1)
	check("the next day", 1)
	// Narrower terms are another rule; the alarm was about the old one.
	ok(t, d.Amend(ctx, id, desk.Grant{Actor: alice, Scope: takedown.ScopeIdentical}))
	check("changed", 0)
	take(0)
	reasons := map[string]int{}
	ok(t, eachEntry(d, 1, func(e desk.LogEntry) bool {
		reasons[e.Reason]++
		if e.To == "alarms_settled" && e.By != "" {
			reasons[string(e.To)]++
		}
		return true
	}))
	if reasons["match_budget"] != 2 || reasons["alarms_settled"] != 1 {
		t.Errorf("in the log: %v", reasons)
	}

	now.set(day0.Add(48 * time.Hour))
	d.Enforcer().Filter("", far[0]) // identical: too far, so nothing is hit
	take(0)
}

// What does not count: near hits, pictures that match something better, what was
// excepted, intimate pictures, orders, and the desk's own questions.
func TestTally_WhatDoesNotCount(t *testing.T) {
	t.Parallel()
	own, second := pdq(t, 1), pdq(t, 2)
	for _, tt := range []struct {
		name string
		want int // alarms
		look func(t *testing.T, d *desk.Desk, e *takedown.Enforcer)
		also func(t *testing.T, d *desk.Desk)
	}{
		{name: "weak", want: 1, look: func(t *testing.T, _ *desk.Desk, e *takedown.Enforcer) {
			for _, h := range outerCopies(own, 12, 40) {
				e.Filter("", h)
			}
		}},
		{name: "beyond the block radius, where a crawler looks", want: 1, look: func(t *testing.T, _ *desk.Desk, e *takedown.Enforcer) {
			for _, h := range outerCopies(own, 50, 40) {
				wantVerdict(t, "by its hash", e.Check(takedown.Candidate{Hashes: []phash.Hash{h}}), takedown.Review)
			}
		}},
		{name: "in a sweep", want: 1, look: func(t *testing.T, _ *desk.Desk, e *takedown.Enforcer) {
			var x index
			for i, h := range outerCopies(own, 30, 40) {
				x = append(x, takedown.Item{Key: string(rune('A' + i)), Candidate: takedown.Candidate{Hashes: []phash.Hash{h}}})
			}
			for _, err := range e.Sweep(ctx, x.items, new(takedown.Cursor)) {
				ok(t, err)
			}
		}},
		{name: "near", look: func(t *testing.T, _ *desk.Desk, e *takedown.Enforcer) {
			for _, h := range outerCopies(own, 10, 40) {
				wantVerdict(t, "near", e.Filter("", h), takedown.Block)
			}
		}},
		{name: "at an address that is blocked", look: func(t *testing.T, _ *desk.Desk, e *takedown.Enforcer) {
			for _, h := range outerCopies(own, 30, 40) {
				e.Filter("https://example.org/a.jpg", h)
			}
		}, also: func(t *testing.T, d *desk.Desk) {
			accept(t, d, notice("https://example.org/a.jpg"), desk.Grant{})
		}},
		{name: "excepted", look: func(t *testing.T, d *desk.Desk, e *takedown.Enforcer) {
			for _, h := range outerCopies(own, 30, 40) {
				c := takedown.Candidate{Hashes: []phash.Hash{h}}
				_, err := d.Resolve(ctx, desk.Match{Candidate: c, Decision: e.Filter("", own)}, desk.NotTheSame)
				ok(t, err)
				e.Check(c)
			}
		}},
		{name: "intimate", look: func(t *testing.T, _ *desk.Desk, e *takedown.Enforcer) {
			for _, h := range outerCopies(second, 30, 40) {
				wantVerdict(t, "intimate", e.Filter("", h), takedown.Review)
			}
		}, also: func(t *testing.T, d *desk.Desk) {
			r := samples(t, takedown.CaseID{})[request.KindIntimateImage].(request.IntimateImage)
			r.Hashes, r.AllCopies = []phash.Hash{second}, true
			accept(t, d, r, desk.Grant{})
		}},
		{name: "ordered", look: func(t *testing.T, _ *desk.Desk, e *takedown.Enforcer) {
			for _, h := range outerCopies(second, 14, 40) {
				wantVerdict(t, "ordered", e.In("DE").Filter("", h), takedown.Block)
			}
		}, also: func(t *testing.T, d *desk.Desk) {
			r := samples(t, takedown.CaseID{})[request.KindAuthorityOrder].(request.AuthorityOrder)
			r.Images = images(testJPEG(t, 2))
			accept(t, d, r, desk.Grant{})
		}},
		{name: "previewed", look: func(t *testing.T, d *desk.Desk, e *takedown.Enforcer) {
			var x index
			for i, h := range outerCopies(own, 30, 40) {
				x = append(x, takedown.Item{Key: string(rune('A' + i)), Candidate: takedown.Candidate{Hashes: []phash.Hash{h}}})
			}
			c, err := d.Submit(ctx, optOut(t, 1))
			ok(t, err)
			_, err = d.Preview(ctx, c.ID, x.items, nil)
			ok(t, err)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := open(t, t.TempDir(), &desk.Options{MatchBudget: 20})
			accept(t, d, optOut(t, 1), desk.Grant{})
			if tt.also != nil {
				tt.also(t, d)
			}
			tt.look(t, d, d.Enforcer())
			got, err := d.AddMatchCounts(ctx, nil)
			if ok(t, err); len(got) != tt.want {
				t.Errorf("%d alarms, want %d: %+v", len(got), tt.want, got)
			}
		})
	}
}

// Nodes report to the desk; what they say together counts, and what one says
// twice counts once.
func TestTally_Nodes(t *testing.T) {
	t.Parallel()
	now := &clock{t: day0}
	d := open(t, t.TempDir(), &desk.Options{Now: now.Now, MatchBudget: 30})
	accept(t, d, optOut(t, 1), desk.Grant{})
	snap := filepath.Join(t.TempDir(), "list.snap")
	ok(t, d.Publish(ctx, snap))
	far := outerCopies(pdq(t, 1), 30, 60)
	node := func(opts *takedown.EnforcerOptions, hashes ...phash.Hash) takedown.MatchCounts {
		e, err := takedown.Load(snap, opts)
		ok(t, err)
		defer e.Close()
		for _, h := range hashes {
			wantVerdict(t, "at a node", e.Filter("", h), takedown.Block)
		}
		b, err := e.MatchCounts()[0].MarshalBinary()
		ok(t, err)
		var sent takedown.MatchCounts
		ok(t, sent.UnmarshalBinary(b))
		return sent
	}
	today := &takedown.EnforcerOptions{Now: now.Now}
	first, second := node(today, far[:20]...), node(today, far[20:50]...)
	for range 5 {
		got, err := d.AddMatchCounts(ctx, []takedown.MatchCounts{first, first})
		if ok(t, err); len(got) != 0 {
			t.Fatalf("one node, said often: %+v", got)
		}
	}
	lastWeek := &clock{t: day0.Add(-7 * 24 * time.Hour)}
	got, err := d.AddMatchCounts(ctx, []takedown.MatchCounts{node(&takedown.EnforcerOptions{Now: lastWeek.Now}, far...), takedown.MatchCounts{}})
	if ok(t, err); len(got) != 0 {
		t.Fatalf("of a week ago: %+v", got)
	}
	got, err = d.AddMatchCounts(ctx, []takedown.MatchCounts{second})
	if ok(t, err); len(got) != 1 || !near(got[0].Pictures, 50) {
		t.Errorf("two nodes: %+v", got)
	}
	other := open(t, t.TempDir(), &desk.Options{Now: now.Now})
	if _, err := other.AddMatchCounts(ctx, []takedown.MatchCounts{first}); !errors.Is(err, desk.ErrOtherList) {
		t.Errorf("match counts of another list: %v", err)
	}
	if _, err := desk.Open(t.TempDir(), &desk.Options{MatchBudget: 171}); err == nil {
		t.Error("a budget that cannot be counted was accepted")
	}
	off := open(t, t.TempDir(), &desk.Options{MatchBudget: -1})
	accept(t, off, optOut(t, 1), desk.Grant{})
	for _, h := range far {
		off.Enforcer().Filter("", h)
	}
	if got, err := off.AddMatchCounts(ctx, nil); err != nil || len(got) != 0 {
		t.Errorf("without a budget: %v, %v", got, err)
	}
}

// Counting takes no memory on a query, and is right beside others; the estimate
// is about right.
func TestTally_Counts(t *testing.T) {
	d := open(t, t.TempDir(), nil)
	accept(t, d, optOut(t, 1), desk.Grant{})
	e := d.Enforcer()
	far := outerCopies(pdq(t, 1), 30, 100)
	i := 0
	if n := sharedtest.AllocsPerRun(1000, func() {
		e.Filter("", far[i%len(far)])
		e.Check(takedown.Candidate{Hashes: far[i%len(far) : i%len(far)+1]})
		i++
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, h := range far {
				e.Filter("", h)
			}
		})
	}
	wg.Wait()
	if got, err := d.AddMatchCounts(ctx, nil); err != nil || len(got) != 1 || !near(got[0].Pictures, 100) {
		t.Errorf("%+v, %v", got, err)
	}
}

func FuzzTally(f *testing.F) {
	d := open(f, f.TempDir(), nil)
	accept(f, d, optOut(f, 1), desk.Grant{})
	add := func() {
		b, err := d.Enforcer().MatchCounts()[0].MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	add()
	for _, h := range outerCopies(pdq(f, 1), 30, 5) {
		d.Enforcer().Filter("", h)
	}
	add()
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		b = sealTally(b)
		var x takedown.MatchCounts
		if err := x.UnmarshalBinary(b); err != nil {
			if !errors.Is(err, takedown.ErrMatchCounts) {
				t.Fatal(err)
			}
			return
		}
		again, err := x.MarshalBinary()
		if err != nil || !bytes.Equal(b, again) {
			t.Fatalf("%v: %d bytes became %d", err, len(b), len(again))
		}
		if _, err := d.AddMatchCounts(ctx, []takedown.MatchCounts{x}); err != nil && !errors.Is(err, desk.ErrOtherList) && !errors.Is(err, desk.ErrMatchCountsFull) {
			t.Fatal(err)
		}
	})
}

// sealTally makes the checksum of an encoded tally right.
func sealTally(b []byte) []byte {
	if len(b) < 4 {
		return b
	}
	b = slices.Clone(b)
	binary.LittleEndian.PutUint32(b[len(b)-4:], crc32.Checksum(b[:len(b)-4], crc32.MakeTable(crc32.Castagnoli)))
	return b
}
