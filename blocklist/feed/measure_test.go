package feed_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/feed"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
)

// TestAway measures what a node loads that was away for a day, a week or a month,
// at STAYDOWN_RULES_A_DAY rules a day (docs/fleet.md has 10,000), published a
// hundred times a day. The default is small, and checks that it loads deltas.
func TestAway(t *testing.T) {
	t.Parallel()
	perDay, _ := strconv.Atoi(os.Getenv("STAYDOWN_RULES_A_DAY"))
	times := 100
	if perDay == 0 {
		perDay, times = 20, 4
	}
	now := clock()
	d := newDesk(t, func(d *desk) { d.opts.Now, d.pub.Now = now.now, now.now })
	d.addWithCases(31 * perDay) // it is not a new list
	d.publish()
	away := map[string]*feed.Options{}
	leave := func(name string) {
		o := manual(t)
		o.Now = now.now
		f := follow(t, d.to, o)
		f.Close()
		away[name] = o
	}
	for day := range 30 {
		switch day {
		case 0:
			leave("a month")
		case 23:
			leave("a week")
		case 29:
			leave("a day")
		}
		for range times {
			d.addWithCases(perDay / times)
			now.add(int64(24 * 3600 / times))
			d.publish()
		}
	}
	leave("for ever") // a new node: the base
	for _, name := range []string{"a day", "a week", "a month"} {
		f := follow(t, d.to, away[name])
		start := time.Now()
		if err := f.Poll(context.Background()); err != nil {
			t.Fatal(err)
		}
		d.reaches(f)
		i := f.Info()
		t.Logf("away for %s: %d snapshots, %d deltas, %d bytes, %v", name, i.Bases, i.Deltas, i.Bytes, time.Since(start).Round(time.Millisecond))
		// A month is the longest that deltas are kept: the first of them may be gone.
		if i.Bases != 0 && name != "a month" {
			t.Errorf("away for %s: a snapshot was loaded", name)
		}
	}
	var sizes []string
	for _, n := range d.names() {
		if fi, err := os.Stat(filepath.Join(d.to, n)); err == nil {
			sizes = append(sizes, fmt.Sprintf("%s %d", n, fi.Size()))
		}
	}
	t.Logf("%d files: %v", len(sizes), sizes)
}

// addWithCases is add, with a case for each rule, as a desk does it.
func (d *desk) addWithCases(n int) {
	d.tb.Helper()
	var events []blocklist.Event
	for range n {
		e := blocklist.Event{Type: blocklist.EventAdded, Rule: &blocklist.Rule{Scope: blocklist.ScopeURL, Effect: blocklist.EffectBlock, Kind: 1}}
		binary.LittleEndian.PutUint64(e.ID[:], d.next)
		digest, err := d.list.Digest(blocklist.ImageAddress, address(d.next))
		if err != nil {
			d.tb.Fatal(err)
		}
		// Random, as the ids of cases are.
		other, err := d.list.Digest(blocklist.PageAddress, address(d.next))
		if err != nil {
			d.tb.Fatal(err)
		}
		e.Rule.Case = other
		e.Rule.Keys.Addresses = []blocklist.Address{{Kind: blocklist.ImageAddress, Digest: digest}}
		events, d.next = append(events, e), d.next+1
	}
	d.append(events...)
}

// TestStart measures how a node starts from its own copy, with STAYDOWN_ADDRESSES
// addresses, a tenth as many hashes, and a log of 500 deltas; the default is small.
// On a machine with other work the time of the processors says more.
func TestStart(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("STAYDOWN_ADDRESSES"))
	deltas := 500
	if n == 0 {
		n, deltas = 20_000, 20
	}
	d := newDesk(t)
	r := uint64(1)
	next := func() uint64 { r ^= r << 13; r ^= r >> 7; r ^= r << 17; return r }
	for done := 0; done < n; {
		var events []blocklist.Event
		for range 1000 {
			e := blocklist.Event{Type: blocklist.EventAdded, Rule: &blocklist.Rule{Scope: blocklist.ScopeDuplicate, Effect: blocklist.EffectBlock}}
			binary.LittleEndian.PutUint64(e.ID[:], d.next)
			d.next++
			for range 10 {
				var a blocklist.Digest
				binary.LittleEndian.PutUint64(a[:], next())
				binary.LittleEndian.PutUint64(a[8:], next())
				e.Rule.Keys.Addresses = append(e.Rule.Keys.Addresses, blocklist.Address{Kind: blocklist.ImageAddress, Digest: a})
				done++
			}
			var h [32]byte
			for k := range 4 {
				binary.LittleEndian.PutUint64(h[8*k:], next())
			}
			e.Rule.Keys.Hashes = []blocklist.HashKey{{Hash: phash.FromPDQ(h)}}
			events = append(events, e)
		}
		d.append(events...)
	}
	d.publish()
	o := manual(t)
	f := follow(t, d.to, o)
	for range deltas {
		d.add(1)
		d.publish()
		if err := f.Poll(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	want := d.list.State().Position()
	d.list.Close()
	d.list, d.p = nil, nil
	runtime.GC()
	for _, mapped := range []bool{false, true} {
		o.Map = mapped
		best, used := time.Hour, time.Hour
		for range 5 {
			start, before := time.Now(), cpuTime(t)
			f := follow(t, "http://127.0.0.1:9/", o)
			best, used = min(best, time.Since(start)), min(used, cpuTime(t)-before)
			if f.List().State().Position() != want {
				t.Fatalf("the reader is at %v, want %v", f.List().State().Position(), want)
			}
			f.Close()
			runtime.GC()
		}
		t.Logf("%d addresses, %d deltas, mapped %t: it starts in %v, verified; processors work for %v", n, deltas, mapped, best.Round(time.Millisecond), used.Round(time.Millisecond))
	}
}

// One enforcer over the own list and one of the industry, each with its effect, its
// countries and its age.
func TestSeveralLists(t *testing.T) {
	t.Parallel()
	now := clock()
	own, industry := newDesk(t), newDesk(t)
	industry.next = 100
	own.add(1)
	industry.add(1)
	own.append(blocklist.Event{ID: [16]byte{200}, Type: blocklist.EventAdded, Rule: &blocklist.Rule{
		Scope: blocklist.ScopeURL, Effect: blocklist.EffectBlock, Keys: blocklist.Keys{Addresses: []blocklist.Address{mustAddress(t, own, address(100))}},
	}})
	own.publish()
	industry.publish()
	a, b := quick(t), manual(t)
	a.Now, b.Now = now.now, now.now
	f, g := follow(t, own.to, a), follow(t, industry.to, b)
	e, err := takedown.NewEnforcer([]takedown.ListSource{
		{Name: "own", List: f.List(), Current: f.Current},
		{Name: "industry", List: g.List(), Current: g.Current, Effect: blocklist.EffectReview, Territories: []string{"DE"}},
	}, &takedown.EnforcerOptions{MaxAge: time.Hour, Stale: takedown.StaleUnknown, Now: now.now})
	if err != nil {
		t.Fatal(err)
	}
	industry.add(1)
	industry.publish()
	if err := g.Poll(context.Background()); err != nil {
		t.Fatal(err)
	}
	check := func(country, url string, want takedown.Verdict, list string) {
		t.Helper()
		if d := e.In(country).FilterURL(url); d.Verdict != want || d.List != list {
			t.Errorf("%s in %s: %v by %q, want %v by %q", url, country, d.Verdict, d.List, want, list)
		}
	}
	check("DE", address(1), takedown.Block, "own")
	check("JP", address(1), takedown.Block, "own")
	check("DE", address(100), takedown.Block, "own") // the stronger verdict
	check("DE", address(101), takedown.Review, "industry")
	check("JP", address(101), takedown.Allow, "")
	check("DE", address(7), takedown.Allow, "")
	// One of them gets old: what the other blocks stays blocked.
	now.add(2 * 3600)
	own.pub.Now = now.now
	own.list.Close()
	own.open()
	own.publish()
	eventually(t, "a fresh list of one's own", func() bool { return f.Info().Age < time.Hour })
	check("DE", address(1), takedown.Block, "own")
	if d := e.In("DE").FilterURL(address(7)); d.Verdict != takedown.Unknown {
		t.Errorf("with an old list: %v", d.Verdict)
	}
	for i, info := range e.Info() {
		if old := info.Age > time.Hour; old != (i == 1) {
			t.Errorf("%s is %v old", info.Name, info.Age)
		}
	}
}

func mustAddress(tb testing.TB, d *desk, url string) blocklist.Address {
	tb.Helper()
	digest, err := d.list.Digest(blocklist.ImageAddress, url)
	if err != nil {
		tb.Fatal(err)
	}
	return blocklist.Address{Kind: blocklist.ImageAddress, Digest: digest}
}
