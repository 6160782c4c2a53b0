package blocklist_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/internal/sharedtest"
	"github.com/staydown/staydown/phash"
)

func open(tb testing.TB, dir string, opts *blocklist.Options) *blocklist.List {
	tb.Helper()
	l, err := boltjournal.Open(dir, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	return l
}

// decrypt returns all that the encryption key reads in a file of a list's folder,
// or in a published snapshot.
func decrypt(tb testing.TB, path string, b []byte, key blocklist.EncryptionKey, list [16]byte) (plain [][]byte) {
	tb.Helper()
	if filepath.Base(path) != "journal.db" {
		plain, err := blocklist.Decrypt(path, b, key, list)
		if err != nil {
			tb.Fatal(err)
		}
		return plain
	}
	copied := filepath.Join(tb.TempDir(), "copied")
	if err := os.WriteFile(copied, b, 0o600); err != nil {
		tb.Fatal(err)
	}
	j, err := boltjournal.OpenFile(copied, nil)
	if err != nil {
		tb.Fatal(err)
	}
	defer j.Close()
	plain, err = blocklist.Records(j, &key)
	if err != nil {
		tb.Fatal(err)
	}
	return plain
}

func newID(n uint64) (id [16]byte) {
	binary.LittleEndian.PutUint64(id[:], n)
	return id
}

func addedRule(tb testing.TB, l *blocklist.List, id uint64, urls ...string) blocklist.Event {
	tb.Helper()
	e := blocklist.Event{ID: newID(id), Type: blocklist.EventAdded, Rule: &blocklist.Rule{
		Scope: blocklist.ScopeURL, Effect: blocklist.EffectBlock, Case: newID(id),
	}}
	for _, u := range urls {
		d, err := l.Digest(blocklist.ImageAddress, u)
		if err != nil {
			tb.Fatal(err)
		}
		e.Rule.Keys.Addresses = append(e.Rule.Keys.Addresses, blocklist.Address{Kind: blocklist.ImageAddress, Digest: d})
	}
	return e
}

func mustAppend(tb testing.TB, l *blocklist.List, events ...blocklist.Event) []uint64 {
	tb.Helper()
	seqs, err := l.Append(context.Background(), events...)
	if err != nil {
		tb.Fatal(err)
	}
	return seqs
}

func blocked(tb testing.TB, v *blocklist.State, url string) (rules []uint64) {
	tb.Helper()
	d, err := v.Digest(blocklist.ImageAddress, url)
	if err != nil {
		tb.Fatal(err)
	}
	v.FindAddress(d, func(h blocklist.Hit) bool { rules = append(rules, h.Rule); return true })
	return rules
}

func TestSpellings(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir(), nil)
	mustAppend(t, l, addedRule(t, l, 1, "https://example.com/a/photo.jpg?x=1"))
	v := l.State()
	for _, s := range []string{"https://example.com/a/photo.jpg?x=1", "http://EXAMPLE.com:80/a/./photo%2Ejpg?x=1#f", "example.com/a/photo.jpg?x=1&utm_source=y"} {
		if len(blocked(t, v, s)) != 1 {
			t.Errorf("%s is not blocked", s)
		}
	}
	for _, s := range []string{"https://example.com/a/photo.jpg", "https://www.example.com/a/photo.jpg?x=1", "https://example.com/a/photo.jpg?x=2"} {
		if len(blocked(t, v, s)) != 0 {
			t.Errorf("%s is blocked", s)
		}
	}
	page, err := v.Digest(blocklist.PageAddress, "https://example.com/a/photo.jpg?x=1")
	if err != nil {
		t.Fatal(err)
	}
	v.FindAddress(page, func(blocklist.Hit) bool { t.Error("the page of that address is blocked"); return true })

	var ae *blocklist.AddressError
	if _, err := v.Digest(blocklist.ImageAddress, "data:,"); !errors.As(err, &ae) || ae.Reason != blocklist.AddressScheme {
		t.Errorf("Digest of a data: address: %v", err)
	}
	if _, err := v.Digest(9, "https://example.com/"); err == nil {
		t.Error("Digest of kind 9: no error")
	}
}

func TestDigestsDifferBetweenLists(t *testing.T) {
	t.Parallel()
	a, b := open(t, t.TempDir(), nil), open(t, t.TempDir(), nil)
	da, _ := a.Digest(blocklist.ImageAddress, "https://example.com/")
	db, _ := b.Digest(blocklist.ImageAddress, "https://example.com/")
	if da == db {
		t.Error("two lists have one digest key")
	}
}

func TestOpenTwice(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir, nil)
	if _, err := boltjournal.Open(dir, nil); !errors.Is(err, blocklist.ErrLocked) {
		t.Errorf("second Open: %v, want ErrLocked", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir, nil)
}

func TestOpenAnotherTenant(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, dir, &blocklist.Options{List: 3}).Close()
	if _, err := boltjournal.Open(dir, nil); !errors.Is(err, blocklist.ErrKey) {
		t.Errorf("Open as list 0: %v, want ErrKey", err)
	}
}

func TestReadOnlyFolder(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 {
		t.Skip("root may write everywhere")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := boltjournal.Open(dir, nil); !errors.Is(err, os.ErrPermission) {
		t.Errorf("Open: %v, want a permission error", err)
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir(), nil)
	e := addedRule(t, l, 1, "https://example.com/")
	mustAppend(t, l, e)
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Append(context.Background(), e); !errors.Is(err, blocklist.ErrClosed) {
		t.Errorf("Append: %v", err)
	}
	if err := l.Compact(context.Background()); !errors.Is(err, blocklist.ErrClosed) {
		t.Errorf("Compact: %v", err)
	}
	for name, err := range map[string]error{
		"Events":  l.Events(1, func(blocklist.Event) bool { return true }),
		"History": l.History(1, func(blocklist.Event) bool { return true }),
		"Follow":  l.Follow(context.Background(), blocklist.Position{}, func(blocklist.Event, blocklist.Position) bool { return true }),
	} {
		if !errors.Is(err, blocklist.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(blocked(t, l.State(), "https://example.com/")) != 1 {
		t.Error("the last View is gone")
	}
}

func TestLoadedIsReadOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir, nil)
	path := filepath.Join(dir, "p")
	if err := l.Publish(path); err != nil {
		t.Fatal(err)
	}
	r, err := blocklist.Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Append(context.Background(), addedRule(t, l, 1)); !errors.Is(err, blocklist.ErrReadOnly) {
		t.Errorf("Append: %v", err)
	}
	if err := r.Compact(context.Background()); !errors.Is(err, blocklist.ErrReadOnly) {
		t.Errorf("Compact: %v", err)
	}
	if err := r.Events(1, func(blocklist.Event) bool { return true }); !errors.Is(err, blocklist.ErrReadOnly) {
		t.Errorf("Events: %v", err)
	}
	if _, err := l.Reload(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Reload of a list for writing: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestReload(t *testing.T) {
	t.Parallel()
	for _, mapped := range []bool{false, true} {
		t.Run(fmt.Sprintf("map %t", mapped), func(t *testing.T) {
			dir := t.TempDir()
			l := open(t, filepath.Join(dir, "l"), nil)
			path := filepath.Join(dir, "p")
			publish := func() {
				if err := l.Publish(path); err != nil {
					t.Fatal(err)
				}
			}
			mustAppend(t, l, addedRule(t, l, 1, "https://example.com/1"))
			publish()
			old, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			r, err := blocklist.Load(path, &blocklist.LoadOptions{Map: mapped})
			if err != nil {
				t.Fatal(err)
			}
			if changed, err := r.Reload(); changed || err != nil {
				t.Errorf("Reload of the same file = %t, %v", changed, err)
			}
			before := r.State()
			mustAppend(t, l, addedRule(t, l, 2, "https://example.com/2"))
			publish()
			if changed, err := r.Reload(); !changed || err != nil {
				t.Errorf("Reload of a newer file = %t, %v", changed, err)
			}
			if len(blocked(t, r.State(), "https://example.com/2")) != 1 || len(blocked(t, before, "https://example.com/2")) != 0 {
				t.Error("the new View must block, the old one must not")
			}
			for _, tt := range []struct {
				name    string
				content []byte
				want    error
			}{{"older", old, blocklist.ErrRollback}, {"foreign", []byte("hello"), blocklist.ErrNotSnapshot}, {"empty", nil, blocklist.ErrNotSnapshot}} {
				// Replaced, as everybody who publishes does it.
				if err := os.Rename(writeFile(t, dir, tt.content), path); err != nil {
					t.Fatal(err)
				}
				if changed, err := r.Reload(); changed || !errors.Is(err, tt.want) {
					t.Errorf("Reload of an %s file = %t, %v", tt.name, changed, err)
				}
				if len(blocked(t, r.State(), "https://example.com/2")) != 1 {
					t.Errorf("after an %s file the list has lost its rule", tt.name)
				}
			}
			other := open(t, filepath.Join(dir, "other"), nil)
			mustAppend(t, other, addedRule(t, other, 1), addedRule(t, other, 2), addedRule(t, other, 3))
			if err := other.Publish(path); err != nil {
				t.Fatal(err)
			}
			if changed, err := r.Reload(); changed || !errors.Is(err, blocklist.ErrRollback) {
				t.Errorf("Reload of another list = %t, %v", changed, err)
			}
			if len(blocked(t, before, "https://example.com/1")) != 1 {
				t.Error("the View of the first file is gone")
			}
		})
	}
}

func writeFile(t *testing.T, dir string, content []byte) string {
	t.Helper()
	f, err := os.CreateTemp(dir, "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// A loaded list does not care what happens to its file.
func TestFileIsCutWhileInUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, filepath.Join(dir, "l"), nil)
	var want []string
	for i := range 3000 {
		want = append(want, fmt.Sprintf("https://example.com/%d", i))
		if i%1000 == 999 {
			mustAppend(t, l, addedRule(t, l, uint64(i), want[i-999:]...))
		}
	}
	path := filepath.Join(dir, "p")
	if err := l.Publish(path); err != nil {
		t.Fatal(err)
	}
	r, err := blocklist.Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("gone"), 0o600); err != nil {
		t.Fatal(err)
	}
	v := r.State()
	for _, u := range want {
		if len(blocked(t, v, u)) != 1 {
			t.Fatalf("%s is not blocked any more", u)
		}
	}
}

// Mappings go when nothing uses them, not before: Views of many reloads are
// asked while the garbage collector runs.
func TestMappingsOutliveTheirLists(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, filepath.Join(dir, "l"), &blocklist.Options{CompactAfter: -1})
	path := filepath.Join(dir, "p")
	var views []*blocklist.State
	for i := range 40 {
		mustAppend(t, l, addedRule(t, l, uint64(i+1), fmt.Sprintf("https://example.com/%d", i)))
		if err := l.Publish(path); err != nil {
			t.Fatal(err)
		}
		r, err := blocklist.Load(path, &blocklist.LoadOptions{Map: true})
		if err != nil {
			t.Fatal(err)
		}
		if i%4 == 0 {
			views = append(views, r.State())
		}
		runtime.GC()
	}
	for i, v := range views {
		if len(blocked(t, v, fmt.Sprintf("https://example.com/%d", 4*i))) != 1 {
			t.Errorf("View %d has lost its rule", i)
		}
	}
}

func TestAppendRefuses(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir(), nil)
	rule := func(change func(*blocklist.Rule)) blocklist.Event {
		e := addedRule(t, l, 1, "https://example.com/")
		change(e.Rule)
		return e
	}
	some := blocklist.Keys{Bytes: [][32]byte{{1}}}
	hour := time.Unix(3600, 0)
	tests := []struct {
		name, field string
		e           blocklist.Event
	}{
		{"no id", "ID", blocklist.Event{Type: blocklist.EventRevoked, Target: 1}},
		{"no type", "Type", blocklist.Event{ID: newID(1), Target: 1}},
		{"type of the future", "Type", blocklist.Event{ID: newID(1), Target: 1, Type: 6}},
		{"no rule", "Rule", blocklist.Event{ID: newID(1), Type: blocklist.EventAdded}},
		{"rule in a revoked event", "Rule", blocklist.Event{ID: newID(1), Type: blocklist.EventRevoked, Target: 1, Rule: &blocklist.Rule{}}},
		{"no target", "Target", blocklist.Event{ID: newID(1), Type: blocklist.EventRevoked}},
		{"another tenant", "List", blocklist.Event{ID: newID(1), Type: blocklist.EventRevoked, Target: 1, List: 1}},
		{"no scope", "Rule.Scope", rule(func(r *blocklist.Rule) { r.Scope = 0 })},
		{"no effect", "Rule.Effect", rule(func(r *blocklist.Rule) { r.Effect = 0 })},
		{"no territory", "Rule.Territories", rule(func(r *blocklist.Rule) { r.Territories = make([]blocklist.Territory, 1) })},
		{"territory twice", "Rule.Territories", rule(func(r *blocklist.Rule) { r.Territories = append(territories[:1:1], territories[0]) })},
		{"end before start", "Rule.End", rule(func(r *blocklist.Rule) { r.Start, r.End = hour, hour })},
		{"half a second", "Rule.Start", rule(func(r *blocklist.Rule) { r.Start = hour.Add(time.Millisecond) })},
		{"address of no kind", "Rule.Keys.Addresses", rule(func(r *blocklist.Rule) { r.Keys.Addresses[0].Kind = 0 })},
		{"hash of no algorithm", "Rule.Keys.Hashes", rule(func(r *blocklist.Rule) { r.Keys.Hashes = make([]blocklist.HashKey, 1) })},
		{"too many keys", "Rule.Keys", rule(func(r *blocklist.Rule) { r.Keys.Bytes = make([][32]byte, blocklist.MaxKeys) })},
		{"learned without keys", "Keys", blocklist.Event{ID: newID(1), Type: blocklist.EventDerived, Target: 1}},
		{"excepted address", "Keys.Addresses", blocklist.Event{ID: newID(1), Type: blocklist.EventException, Target: 1, Keys: addedRule(t, l, 1, "https://example.com/").Rule.Keys}},
		{"keys in a revoked event", "Keys", blocklist.Event{ID: newID(1), Type: blocklist.EventRevoked, Target: 1, Keys: some}},
		{"end of half a second", "Rule.End", rule(func(r *blocklist.Rule) { r.End = hour.Add(time.Millisecond) })},
		{"end of a revoked event", "Until", blocklist.Event{ID: newID(1), Type: blocklist.EventRevoked, Target: 1, Until: hour}},
		{"keys beside the rule", "Keys", func() blocklist.Event { e := addedRule(t, l, 1); e.Keys = some; return e }()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := l.Append(context.Background(), addedRule(t, l, 77), tt.e)
			var ee *blocklist.EventError
			if !errors.As(err, &ee) || !errors.Is(err, blocklist.ErrEvent) {
				t.Fatalf("Append: %v, want an *EventError", err)
			}
			if diff := cmp.Diff([]any{1, tt.field}, []any{ee.Index, ee.Field}); diff != "" {
				t.Errorf("index and field (-want +got):\n%s", diff)
			}
			if l.State().Seq() != 0 {
				t.Error("something was appended")
			}
		})
	}
}

func TestAppendContext(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir(), nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	e := addedRule(t, l, 1, "https://example.com/")
	for range 100 {
		if _, err := l.Append(ctx, e); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if seq := mustAppend(t, l, e); seq[0] != 1 {
		t.Errorf("number %d, want 1 whatever happened before", seq[0])
	}
}

// Concurrent Appends get consecutive numbers, are visible when they return,
// and share commits, while readers and compactions run.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir(), &blocklist.Options{CompactAfter: 150})
	var stop atomic.Bool
	var readers, writers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			last := uint64(0)
			for !stop.Load() {
				v := l.State()
				if v.Seq() < last {
					t.Errorf("a View at %d after one at %d", v.Seq(), last)
				}
				last = v.Seq()
				for i := range 20 {
					for _, rule := range blocked(t, v, fmt.Sprintf("https://example.com/%d/%d", i%4, i)) {
						if rule > v.Seq() {
							t.Errorf("a View at %d shows rule %d", v.Seq(), rule)
						}
					}
				}
			}
		})
	}
	const perWriter = 100
	for w := range 4 {
		writers.Go(func() {
			for i := range perWriter {
				url := fmt.Sprintf("https://example.com/%d/%d", w, i)
				seqs := mustAppend(t, l, addedRule(t, l, uint64(1+w*perWriter+i), url))
				if rules := blocked(t, l.State(), url); len(rules) != 1 || rules[0] != seqs[0] {
					t.Errorf("%s: rules %v, want %v", url, rules, seqs)
				}
				if i%5 == 4 {
					mustAppend(t, l, blocklist.Event{ID: newID(1<<32 + uint64(w*perWriter+i)), Type: blocklist.EventRevoked, Target: seqs[0]})
					if rules := blocked(t, l.State(), url); len(rules) != 0 {
						t.Errorf("%s: rules %v after it was revoked", url, rules)
					}
				}
			}
		})
	}
	writers.Wait()
	stop.Store(true)
	readers.Wait()
	next := uint64(1)
	if err := l.Events(1, func(e blocklist.Event) bool {
		if e.Seq != next {
			t.Errorf("event %d after %d", e.Seq, next-1)
		}
		next++
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if want := uint64(4*perWriter + 4*perWriter/5); next != want+1 {
		t.Errorf("%d events, want %d", next-1, want)
	}
	if err := l.Info().Failing[blocklist.OpCompact]; err != nil {
		t.Errorf("compaction: %v", err)
	}
}

// tally is what takedown does with hits: it keeps the strongest.
type tally struct {
	hits int
	best blocklist.Hit
}

func TestReadsDoNotAllocate(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	u := newUniverse(3, 40)
	until := time.Now().Add(time.Hour).Truncate(time.Second)
	for i, a := range u.addresses {
		e := addedRule(t, l, uint64(i+1), a)
		e.Rule.Keys.Bytes = [][32]byte{u.files[i]}
		e.Rule.Keys.Hashes = []blocklist.HashKey{{Hash: u.hashes[i]}}
		e.Rule.End = until
		e.Rule.Territories = territories[:1]
		mustAppend(t, l, e)
		mustAppend(t, l, blocklist.Event{ID: newID(uint64(1000 + i)), Type: blocklist.EventException, Target: uint64(2*i + 1),
			Keys: blocklist.Keys{Bytes: [][32]byte{sha256.Sum256([]byte("x"))}, Hashes: []blocklist.HashKey{{Hash: u.hashes[0]}}}})
		if i == len(u.addresses)/2 {
			if err := l.Compact(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	}
	unknown := "http://images.example-cdn.com/media/2024/07/18/a1b2c3d4e5f60718/photo-of-a-harbour-at-dawn.jpg?w=1200&h=800"
	hits := 0
	n := sharedtest.AllocsPerRun(100, func() {
		v := l.State()
		for i, a := range append(u.addresses[:3:3], u.addresses[37:]...) {
			var sum tally
			accumulate := func(h blocklist.Hit) bool {
				sum.hits++
				if v.InForceIn(h, territories[0]) && !v.HasException(h, &u.files[i], u.hashes[1:2]) && h.Rule > sum.best.Rule {
					sum.best = h
				}
				return true
			}
			d, err := v.Digest(blocklist.ImageAddress, a)
			if err != nil {
				t.Fatal(err)
			}
			v.FindAddress(d, accumulate)
			v.FindBytes(u.files[i], accumulate)
			v.FindHash(u.hashes[i], 31, accumulate)
			hits += sum.hits
		}
		d, err := l.Digest(blocklist.ImageAddress, unknown)
		if err != nil {
			t.Fatal(err)
		}
		v.FindAddress(d, func(blocklist.Hit) bool { t.Error("hit"); return true })
	})
	allowance := 1.0 // the list of addresses above
	if hits == 0 || n > allowance {
		t.Errorf("%v allocations (%d hits), want at most %v", n, hits, allowance)
	}
}

func TestTerritory(t *testing.T) {
	t.Parallel()
	n := 0
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			code := string(a) + string(b)
			got, err := blocklist.ParseTerritory(code)
			if err != nil {
				continue
			}
			if code == "UK" && got.String() == "GB" || code == "EL" && got.String() == "GR" {
				continue // as websites and institutions write them
			}
			n++
			if got.String() != code || got.IsZero() {
				t.Errorf("ParseTerritory(%s) = %v", code, got)
			}
		}
	}
	if n != 249 {
		t.Errorf("%d codes are accepted; ISO 3166-1 has 249", n)
	}
	for _, bad := range []string{"", "D", "DEU", "de ", "EU", "XX", " D", "D ", "\x00\x00", "ÄÖ"} {
		if got, err := blocklist.ParseTerritory(bad); err == nil {
			t.Errorf("ParseTerritory(%q) = %v", bad, got)
		}
	}
	if got, err := blocklist.ParseTerritory("de"); err != nil || got.String() != "DE" {
		t.Errorf("ParseTerritory(de) = %v, %v", got, err)
	}
}

func TestStrings(t *testing.T) {
	t.Parallel()
	got := fmt.Sprint(blocklist.ScopeFace, blocklist.Scope(0), blocklist.EffectReview, blocklist.Effect(3), blocklist.EventReverted,
		blocklist.EventType(0), blocklist.RuleRevoked, blocklist.RuleState(9), blocklist.PageAddress, blocklist.AddressKind(0), phash.AlgPDQ)
	want := "face Scope(0) review Effect(3) reverted EventType(0) revoked RuleState(9) page AddressKind(0) pdq"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
