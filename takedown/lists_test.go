package takedown_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
)

var ctx = context.Background()

// listOf opens a list that blocks addresses of pictures worldwide.
func listOf(tb testing.TB, urls ...string) *blocklist.List {
	tb.Helper()
	l, err := boltjournal.Open(filepath.Join(tb.TempDir(), "list"), nil)
	ok(tb, err)
	tb.Cleanup(func() { l.Close() })
	for _, u := range urls {
		add(tb, l, u)
	}
	return l
}

func add(tb testing.TB, l *blocklist.List, u string, territories ...blocklist.Territory) uint64 {
	tb.Helper()
	d, err := l.Digest(blocklist.ImageAddress, u)
	ok(tb, err)
	return appendTo(tb, l, blocklist.Event{Type: blocklist.EventAdded, Rule: &blocklist.Rule{
		Kind: 2, Scope: blocklist.ScopeURL, Effect: blocklist.EffectBlock, Case: [16]byte{1}, Territories: territories,
		Keys: blocklist.Keys{Addresses: []blocklist.Address{{Kind: blocklist.ImageAddress, Digest: d}}},
	}})
}

func appendTo(tb testing.TB, l *blocklist.List, e blocklist.Event) uint64 {
	tb.Helper()
	e.ID[0], e.ID[1], e.Time = byte(l.State().Seq()), 1, time.Unix(1_700_000_000, 0)
	seqs, err := l.Append(ctx, e)
	ok(tb, err)
	return seqs[0]
}

func ok(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func enforcer(tb testing.TB, opts *takedown.EnforcerOptions, lists ...takedown.ListSource) *takedown.Enforcer {
	tb.Helper()
	e, err := takedown.NewEnforcer(lists, opts)
	ok(tb, err)
	return e
}

// The strongest verdict of all lists wins and names its list; what a list may do
// bounds it.
func TestNewEnforcer_SeveralLists(t *testing.T) {
	t.Parallel()
	const both, own, other, nowhere = "https://a.example/1.jpg", "https://a.example/2.jpg", "https://a.example/3.jpg", "https://a.example/4.jpg"
	first, second, german := listOf(t, both, own), listOf(t, both, other), listOf(t, nowhere)
	de, err := blocklist.ParseTerritory("DE")
	ok(t, err)
	add(t, first, "https://a.example/de.jpg", de)
	e := enforcer(t, nil,
		takedown.ListSource{Name: "first", List: first},
		takedown.ListSource{Name: "held", List: second, Effect: blocklist.EffectReview},
		takedown.ListSource{Name: "german", List: german, Territories: []string{"DE", "AT"}},
	)
	for _, tt := range []struct {
		country, url string
		want         takedown.Verdict
		list         string
	}{
		{"", both, takedown.Block, "first"}, {"", own, takedown.Block, "first"}, {"", other, takedown.Review, "held"},
		{"", nowhere, takedown.Restricted, "german"}, {"DE", nowhere, takedown.Block, "german"}, {"AT", nowhere, takedown.Block, "german"},
		{"FR", nowhere, takedown.Allow, ""}, {"FR", both, takedown.Block, "first"}, {"", "https://a.example/5.jpg", takedown.Allow, ""},
		{"", "https://a.example/de.jpg", takedown.Restricted, "first"}, {"DE", "https://a.example/de.jpg", takedown.Block, "first"}, {"AT", "https://a.example/de.jpg", takedown.Allow, ""},
		{"?", nowhere, takedown.Block, "german"}, // an invalid country is every country
	} {
		ask := map[string]takedown.Decision{"filter": e.FilterURL(tt.url), "check": e.Check(takedown.Candidate{ImageURLs: []string{tt.url}})}
		if tt.country != "" {
			in := e.In(tt.country)
			ask = map[string]takedown.Decision{"filter": in.FilterURL(tt.url), "check": in.Check(takedown.Candidate{ImageURLs: []string{tt.url}})}
		}
		for how, d := range ask {
			if d.Verdict != tt.want || d.List != tt.list || d.Checked != takedown.TierURL {
				t.Errorf("%s in %q, %s: %+v, want %v by %q", tt.url, tt.country, how, d, tt.want, tt.list)
			}
		}
	}
	var matches []string
	for d := range e.Matches(takedown.Candidate{ImageURLs: []string{own, other, both, nowhere}}) {
		matches = append(matches, d.List+" "+d.Verdict.String())
	}
	if diff := cmp.Diff([]string{"first block", "first block", "held review", "held review", "german restricted"}, matches); diff != "" {
		t.Errorf("matches (-want +got):\n%s", diff)
	}
	for range e.Matches(takedown.Candidate{ImageURLs: []string{both}}) {
		break
	}

	// A list that is closed says nothing, and nobody knows what it would have said.
	ok(t, e.Close()) // closes none
	ok(t, second.Close())
	for u, want := range map[string]takedown.Verdict{own: takedown.Block, other: takedown.Unknown, nowhere: takedown.Restricted} {
		if d := e.FilterURL(u); d.Verdict != want {
			t.Errorf("%s with a list closed: %v", u, d)
		}
	}
	if _, err := e.Reload(); !errors.Is(err, takedown.ErrClosed) {
		t.Errorf("Reload: %v", err)
	}
	for _, err := range e.Events(ctx, nil) {
		if err != nil && !errors.Is(err, takedown.ErrClosed) {
			t.Errorf("Events: %v", err)
		}
	}
}

// Asking several lists allocates nothing.
func TestNewEnforcer_Allocations(t *testing.T) {
	const u = "https://a.example/1.jpg"
	e := enforcer(t, nil, takedown.ListSource{Name: "a", List: listOf(t, u)}, takedown.ListSource{Name: "b", List: listOf(t), Territories: []string{"DE"}})
	h, err := phash.FromWords(phash.AlgPDQ, [4]uint64{1<<32 - 1, 1<<32 - 1, 1<<32 - 1, 1<<32 - 1})
	ok(t, err)
	// The answer is kept: a hash that it pointed to would go to the heap with it.
	var kept []takedown.Decision
	keep := func(d takedown.Decision) { kept = append(kept[:0], d) }
	keep(e.FilterURL(u))
	for name, ask := range map[string]func(){
		"an address": func() { keep(e.FilterURL(u)) }, "a hash": func() { keep(e.Filter(u, h)) }, "two hashes": func() { keep(e.Filter("", h, h)) },
		"in a country": func() { keep(e.In("FR").Filter("https://a.example/2.jpg", h)) },
	} {
		if n := testing.AllocsPerRun(100, ask); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestNewEnforcer_Refuses(t *testing.T) {
	t.Parallel()
	l := listOf(t)
	for name, lists := range map[string][]takedown.ListSource{
		"none": nil, "nil": {{}}, "two of a name": {{List: l}, {List: l}},
		"effect": {{List: l, Effect: 9}}, "territory": {{List: l, Territories: []string{"DE", "Germany"}}},
	} {
		var bad *takedown.ArgumentError
		if e, err := takedown.NewEnforcer(lists, nil); !errors.As(err, &bad) || e != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	var bad *takedown.ArgumentError
	if _, err := takedown.NewEnforcer([]takedown.ListSource{{List: l}}, &takedown.EnforcerOptions{BlockRadius: 65}); !errors.As(err, &bad) {
		t.Error(err)
	}
}

// A list that is open for writing is never old; a loaded one is as old as its
// snapshot, or as its source says. One that is too old counts for all.
func TestNewEnforcer_Age(t *testing.T) {
	t.Parallel()
	const u = "https://a.example/1.jpg"
	own, other := listOf(t, u), listOf(t)
	path := filepath.Join(t.TempDir(), "list.snap")
	ok(t, other.Publish(path))
	loaded, err := blocklist.Load(path, nil)
	ok(t, err)
	defer loaded.Close()
	now := time.Now()
	opts := &takedown.EnforcerOptions{MaxAge: time.Hour, Stale: takedown.StaleUnknown, Now: func() time.Time { return now }}
	alone := enforcer(t, opts, takedown.ListSource{List: own})
	followed := enforcer(t, opts, takedown.ListSource{List: own, Current: func() time.Time { return now.Add(-2 * time.Hour) }})
	two := enforcer(t, opts, takedown.ListSource{Name: "own", List: own}, takedown.ListSource{Name: "loaded", List: loaded})
	check := func(what string, e *takedown.Enforcer, want takedown.Verdict) {
		t.Helper()
		if d := e.FilterURL("https://b.example/"); d.Verdict != want {
			t.Errorf("%s: %v, want %v", what, d, want)
		}
		if d := e.FilterURL(u); d.Verdict != takedown.Block {
			t.Errorf("%s: %v", what, d)
		}
	}
	check("fresh", two, takedown.Allow)
	check("as its source says", followed, takedown.Unknown)
	now = now.Add(2 * time.Hour)
	check("open for writing", alone, takedown.Allow)
	check("an old snapshot", two, takedown.Unknown)
	infos := two.Info()
	if len(infos) != 2 || infos[0].Name != "own" || infos[0].Age != 0 || infos[0].Position.Seq != 1 || infos[0].Closed || len(infos[0].Failing) > 0 ||
		infos[1].Name != "loaded" || infos[1].Age < time.Hour || infos[1].Position.Seq != 0 {
		t.Errorf("%+v", infos)
	}
}

// Info keeps the error of a Reload until one succeeds.
func TestEnforcer_Info(t *testing.T) {
	t.Parallel()
	l := listOf(t, "https://a.example/1.jpg")
	path := filepath.Join(t.TempDir(), "list.snap")
	ok(t, l.Publish(path))
	e, err := takedown.Load(path, nil)
	ok(t, err)
	other := filepath.Join(t.TempDir(), "other.snap")
	ok(t, listOf(t).Publish(other))
	replace(t, other, path)
	if _, err := e.Reload(); err == nil || !errors.Is(e.Info()[0].Failing[blocklist.OpReload], err) {
		t.Errorf("%v, and Info has %v", err, e.Info()[0].Failing)
	}
	if d := e.FilterURL("https://a.example/1.jpg"); d.Verdict != takedown.Block {
		t.Errorf("%v", d)
	}
	add(t, l, "https://a.example/2.jpg")
	ok(t, l.Publish(path))
	if changed, err := e.Reload(); !changed || err != nil {
		t.Errorf("%v, %v", changed, err)
	}
	if i := e.Info()[0]; len(i.Failing) > 0 || i.Position.Seq != 2 || i.Counts.Rules != 2 || i.SnapshotTime.IsZero() || i.Closed {
		t.Errorf("%+v", i)
	}
	ok(t, e.Close())
	if i := e.Info()[0]; !i.Closed {
		t.Errorf("%+v", i)
	}
}

// Events and sweeps of several lists remember each list, also as JSON, whatever
// their order; a list that came since is new.
func TestCursor_SeveralLists(t *testing.T) {
	t.Parallel()
	a, b := listOf(t, "https://a.example/1.jpg"), listOf(t)
	add(t, b, "https://b.example/1.jpg")
	add(t, b, "https://b.example/2.jpg")
	e := enforcer(t, nil, takedown.ListSource{Name: "a", List: a}, takedown.ListSource{Name: "b", List: b})
	var at takedown.Cursor
	events := func(e *takedown.Enforcer) (list []string) {
		t.Helper()
		for x, err := range e.Events(ctx, &at) {
			ok(t, err)
			list = append(list, x.List+" "+x.Type.String())
		}
		stored, err := json.Marshal(at)
		ok(t, err)
		at = takedown.Cursor{}
		ok(t, json.Unmarshal(stored, &at))
		return list
	}
	want := func(what string, got []string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	want("all", events(e), "a rule added", "b rule added", "b rule added")
	want("nothing new", events(e))
	appendTo(t, a, blocklist.Event{Type: blocklist.EventRevoked, Target: 1})
	reordered := enforcer(t, nil, takedown.ListSource{Name: "b", List: b}, takedown.ListSource{Name: "a", List: a}, takedown.ListSource{Name: "c", List: listOf(t, "https://c.example/1.jpg")})
	want("since", events(reordered), "a rule revoked", "c rule added")

	items := takedown.Items(func(_ context.Context, after string) iter.Seq2[takedown.Item, error] {
		return func(yield func(takedown.Item, error) bool) {
			for _, u := range []string{"https://a.example/2.jpg", "https://b.example/1.jpg", "https://c.example/1.jpg"} {
				if u > after && !yield(takedown.Item{Key: u, Candidate: takedown.Candidate{ImageURLs: []string{u}}}, nil) {
					return
				}
			}
		}
	})
	var swept takedown.Cursor
	sweep := func() (found []string) {
		t.Helper()
		for f, err := range reordered.Sweep(ctx, items, &swept) {
			ok(t, err)
			found = append(found, f.Decision.List)
		}
		return found
	}
	want("the first sweep", sweep(), "b", "c")
	want("the second", sweep())
	add(t, a, "https://a.example/2.jpg")
	want("the third", sweep(), "a")

	// A snapshot has no journal.
	path := filepath.Join(t.TempDir(), "list.snap")
	ok(t, a.Publish(path))
	node, err := takedown.Load(path, nil)
	ok(t, err)
	defer node.Close()
	var failed error
	for _, err := range node.Events(ctx, nil) {
		failed = err
	}
	if !errors.Is(failed, blocklist.ErrReadOnly) {
		t.Errorf("Events of a snapshot: %v", failed)
	}
}

// Each list has match counts of its own.
func TestMatchCounts_SeveralLists(t *testing.T) {
	t.Parallel()
	a, b := listOf(t), listOf(t)
	e := enforcer(t, nil, takedown.ListSource{Name: "a", List: a}, takedown.ListSource{Name: "b", List: b})
	all := e.MatchCounts()
	var bytes [][]byte
	for _, c := range all {
		x, err := c.MarshalBinary()
		ok(t, err)
		bytes = append(bytes, x)
	}
	if len(all) != 2 || slices.Equal(bytes[0], bytes[1]) {
		t.Errorf("%d of them: %x", len(all), bytes)
	}
}

// replace puts the file from in the place of the file to.
func replace(tb testing.TB, from, to string) {
	tb.Helper()
	b, err := os.ReadFile(from)
	ok(tb, err)
	ok(tb, os.WriteFile(to+".new", b, 0o600))
	ok(tb, os.Rename(to+".new", to))
}
