package blocklist_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/staydown/staydown/blocklist"
)

var (
	signingKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	trusted    = []ed25519.PublicKey{signingKey.Public().(ed25519.PublicKey)}
)

// A pair is a list and one that was loaded from its snapshot.
type pair struct {
	l, r *blocklist.List
	path string
}

func newPair(tb testing.TB, key *blocklist.EncryptionKey) *pair {
	tb.Helper()
	dir := tb.TempDir()
	p := &pair{path: filepath.Join(dir, "snap")}
	p.l = open(tb, filepath.Join(dir, "list"), &blocklist.Options{SigningKey: signingKey, EncryptionKey: key, CompactAfter: -1})
	mustAppend(tb, p.l, addedRule(tb, p.l, 1, "https://example.com/1"))
	if err := p.l.Publish(p.path); err != nil {
		tb.Fatal(err)
	}
	var err error
	p.r, err = blocklist.Load(p.path, &blocklist.LoadOptions{TrustedKeys: trusted, EncryptionKey: key})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { p.r.Close() })
	return p
}

func (p *pair) append(tb testing.TB, ids ...uint64) {
	tb.Helper()
	for _, id := range ids {
		mustAppend(tb, p.l, addedRule(tb, p.l, id, fmt.Sprintf("https://example.com/%d", id)))
	}
}

func mustDelta(tb testing.TB, l *blocklist.List, from, to uint64) []byte {
	tb.Helper()
	d, end, err := l.Delta(context.Background(), from, to)
	if err != nil || end != to {
		tb.Fatalf("Delta(%d, %d) ends at %d: %v", from, to, end, err)
	}
	return d
}

func TestAdvance(t *testing.T) {
	t.Parallel()
	for _, key := range []*blocklist.EncryptionKey{nil, {1}} {
		p := newPair(t, key)
		p.append(t, 2, 3, 4, 5)
		a, b := mustDelta(t, p.l, 1, 3), mustDelta(t, p.l, 2, 5)
		info, err := blocklist.ReadDelta(a, &blocklist.LoadOptions{TrustedKeys: trusted})
		if err != nil || info.From != p.r.State().Position() || info.To.Seq != 3 || info.List != p.l.Info().ID || info.Written.IsZero() {
			t.Fatalf("%+v, %v", info, err)
		}
		if _, err := p.r.Advance(b); !errors.Is(err, blocklist.ErrGap) {
			t.Fatalf("a delta that begins later: %v", err)
		}
		// The second begins before the end of the first.
		if changed, err := p.r.Advance(a, b); err != nil || !changed {
			t.Fatal(changed, err)
		}
		if got, want := p.r.State().Position(), p.l.State().Position(); got != want {
			t.Fatalf("%v, want %v", got, want)
		}
		for id := range uint64(6) {
			url := fmt.Sprintf("https://example.com/%d", id)
			if got, want := blocked(t, p.r.State(), url), blocked(t, p.l.State(), url); !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", url, got, want)
			}
		}
		if changed, err := p.r.Advance(a, b); err != nil || changed {
			t.Fatalf("again: %t, %v", changed, err)
		}
		// The snapshot is older than the list by now, and with the deltas it is not.
		if _, err := p.r.ReloadFrom(p.path, blocklist.Position{}); !errors.Is(err, blocklist.ErrRollback) {
			t.Fatalf("the old snapshot: %v", err)
		}
		now, end := p.r.State(), p.l.State().Position()
		elsewhere := end
		elsewhere.Digest[0] ^= 1
		for _, end := range []blocklist.Position{elsewhere, {Epoch: end.Epoch, Seq: end.Seq + 1, Digest: end.Digest}} {
			if _, err := p.r.ReloadFrom(p.path, end, a, b); !errors.Is(err, blocklist.ErrPosition) || p.r.State() != now {
				t.Fatalf("files that end elsewhere: %v", err)
			}
		}
		if _, err := p.r.ReloadFrom(p.path, end, a, b); err != nil {
			t.Fatal(err)
		}
		if got, want := p.r.State().Position(), p.l.State().Position(); got != want {
			t.Fatalf("%v, want %v", got, want)
		}
	}
}

// A delta has no keys of rules that were revoked after it began.
func TestDeltaLeavesOutWhatEnded(t *testing.T) {
	t.Parallel()
	p := newPair(t, nil)
	p.append(t, 2, 3)
	key := func(id uint64) []byte {
		d, err := p.l.Digest(blocklist.ImageAddress, fmt.Sprintf("https://example.com/%d", id))
		if err != nil {
			t.Fatal(err)
		}
		return d[:]
	}
	mustAppend(t, p.l, blocklist.Event{ID: newID(10), Type: blocklist.EventRevoked, Target: 2})
	d := mustDelta(t, p.l, 1, 4)
	content, err := blocklist.DeltaContent(d, nil)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(content, key(2)) || !bytes.Contains(content, key(3)) {
		t.Error("the revoked rule is in the delta, or the other one is not")
	}
	if _, err := p.r.Advance(d); err != nil {
		t.Fatal(err)
	}
	if blocked(t, p.r.State(), "https://example.com/2") != nil || blocked(t, p.r.State(), "https://example.com/3") == nil {
		t.Error("the wrong rules are in force")
	}
}

func TestAdvanceRefuses(t *testing.T) {
	t.Parallel()
	p := newPair(t, nil)
	// A backup of event 1.
	backup := filepath.Join(t.TempDir(), "backup")
	if err := os.CopyFS(backup, os.DirFS(filepath.Join(filepath.Dir(p.path), "list"))); err != nil {
		t.Fatal(err)
	}
	p.append(t, 2, 3)
	good := mustDelta(t, p.l, 1, 3)

	other := newPair(t, nil)
	other.append(t, 2)
	stranger := mustDelta(t, other.l, 1, 2)

	fork := open(t, backup, &blocklist.Options{SigningKey: signingKey, CompactAfter: -1})
	mustAppend(t, fork, addedRule(t, fork, 100, "https://example.com/100"))
	mustAppend(t, fork, addedRule(t, fork, 101, "https://example.com/101"))
	mustAppend(t, fork, addedRule(t, fork, 102, "https://example.com/102"))

	if _, err := p.r.Advance(good); err != nil {
		t.Fatal(err)
	}
	at := p.r.State().Position()
	for name, c := range map[string]struct {
		delta []byte
		want  error
	}{
		"another list":             {stranger, blocklist.ErrRollback},
		"fork, from the middle":    {mustDelta(t, fork, 1, 4), blocklist.ErrFork},
		"fork, from the same":      {mustDelta(t, fork, 3, 4), blocklist.ErrFork},
		"fork, known numbers only": {mustDelta(t, fork, 1, 3), blocklist.ErrFork},
		"empty file":               {nil, blocklist.ErrFormat},
		"cut":                      {good[:200], blocklist.ErrTruncated},
		"cut at the end":           {good[:len(good)-1], blocklist.ErrChecksum},
		"newer":                    {edited(good, 8, 2), blocklist.ErrVersion},
		"unknown flag":             {edited(good, 10, 2), blocklist.ErrVersion},
		"changed":                  {edited(good, 50, 9), blocklist.ErrSignature},
		"not signed by this key":   {edited(good, len(good)-100, 9), blocklist.ErrKey},
	} {
		if changed, err := p.r.Advance(c.delta); !errors.Is(err, c.want) || changed {
			t.Errorf("%s: %t, %v, want %v", name, changed, err, c.want)
		}
		if p.r.State().Position() != at {
			t.Fatalf("%s: the list is at %v", name, p.r.State().Position())
		}
	}
	encrypted := newPair(t, &blocklist.EncryptionKey{1})
	encrypted.append(t, 2)
	d := mustDelta(t, encrypted.l, 1, 2)
	for name, key := range map[string]*blocklist.EncryptionKey{"no key": nil, "another key": {2}} {
		if _, err := blocklist.DeltaContent(d, key); !errors.Is(err, blocklist.ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := fork.Advance(good); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Advance of a list that is open for writing: %v", err)
	}
	if _, _, err := p.r.Delta(context.Background(), 0, 1); !errors.Is(err, blocklist.ErrReadOnly) {
		t.Errorf("Delta of a loaded list: %v", err)
	}
	if _, _, err := fork.Delta(context.Background(), 0, 9); !errors.Is(err, blocklist.ErrRollback) {
		t.Errorf("Delta of what is to come: %v", err)
	}
}

// edited returns a copy in which a byte is changed and the checksum fits.
func edited(b []byte, at int, x byte) []byte {
	b = slices.Clone(b)
	b[at] = x
	return blocklist.SealDelta(b)
}

// Every byte of a delta matters.
func TestDeltaDamage(t *testing.T) {
	t.Parallel()
	for _, key := range []*blocklist.EncryptionKey{nil, {1}} {
		p := newPair(t, key)
		p.append(t, 2, 3)
		good := mustDelta(t, p.l, 1, 3)
		at := p.r.State().Position()
		for i := range good {
			for _, seal := range []bool{false, true} {
				b := slices.Clone(good)
				b[i] ^= 0x10
				if seal {
					if i >= len(b)-4 {
						continue
					}
					blocklist.SealDelta(b)
				}
				if changed, err := p.r.Advance(b); err == nil || changed || !known(err) {
					t.Fatalf("byte %d of %d is changed: %t, %v", i, len(good), changed, err)
				}
			}
			if _, err := p.r.Advance(good[:i]); err == nil || !known(err) {
				t.Fatalf("cut at %d: %v", i, err)
			}
		}
		if p.r.State().Position() != at {
			t.Fatal("damage moved the list")
		}
		if _, err := p.r.Advance(good); err != nil {
			t.Fatal(err)
		}
	}
}

// A delta of many changes ends early.
func TestDeltaEndsEarly(t *testing.T) {
	t.Parallel()
	p := newPair(t, nil)
	for id := uint64(2); id < 7; id++ {
		e := addedRule(t, p.l, id)
		e.Rule.Scope = blocklist.ScopeBytes
		for i := range blocklist.MaxKeys {
			e.Rule.Keys.Bytes = append(e.Rule.Keys.Bytes, [32]byte{byte(id), byte(i), byte(i >> 8)})
		}
		mustAppend(t, p.l, e)
	}
	parts := 0
	for at := uint64(1); at < 6; parts++ {
		d, end, err := p.l.Delta(context.Background(), at, 6)
		if err != nil || end <= at {
			t.Fatalf("from %d to %d: %v", at, end, err)
		}
		if _, err := p.r.Advance(d); err != nil {
			t.Fatal(err)
		}
		at = end
	}
	if parts < 2 || p.r.State().Position() != p.l.State().Position() {
		t.Fatalf("%d parts, at %v", parts, p.r.State().Position())
	}
}

// Whatever a delta holds, also with a checksum that fits, reading it ends in a
// promised error, or in a list that can be asked.
func FuzzDelta(f *testing.F) {
	u := newUniverse(5, 6)
	dir := f.TempDir()
	l := open(f, filepath.Join(dir, "list"), &blocklist.Options{SigningKey: signingKey, CompactAfter: -1})
	empty := filepath.Join(dir, "empty")
	if err := l.Publish(empty); err != nil {
		f.Fatal(err)
	}
	_, _, small := smallSnapshot(f, u)
	if err := small.Events(1, func(e blocklist.Event) bool { mustAppend(f, l, e); return true }); err != nil {
		f.Fatal(err)
	}
	d := mustDelta(f, l, 0, l.State().Seq())
	f.Add(d, true)
	f.Add(d, false)
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		if seal {
			b = blocklist.SealDelta(slices.Clone(b))
		}
		r, err := blocklist.Load(empty, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if _, err := r.Advance(b); err != nil {
			if !known(err) && !errors.Is(err, blocklist.ErrGap) && !errors.Is(err, blocklist.ErrFork) && !errors.Is(err, blocklist.ErrRollback) {
				t.Fatal(err)
			}
			return
		}
		use(r.State(), u)
	})
}

// A picture that came by a delta is found by its features as in the list itself.
func TestAdvanceFeatures(t *testing.T) {
	t.Parallel()
	p := newPair(t, nil)
	for id := uint64(2); id < 6; id++ {
		e := addedRule(t, p.l, id)
		e.Rule.Scope = blocklist.ScopeDuplicate
		e.Rule.Keys.Features = []blocklist.Features{featuresOf(t, id).Compact()}
		if id == 5 { // for a rule, by a derived event
			e = blocklist.Event{ID: newID(id), Type: blocklist.EventDerived, Target: 2, Keys: e.Rule.Keys}
		}
		mustAppend(t, p.l, e)
	}
	if _, err := p.r.Advance(mustDelta(t, p.l, 1, 5)); err != nil {
		t.Fatal(err)
	}
	find := func(l *blocklist.List, seed uint64) (found []string) {
		var x blocklist.FeatureSearcher
		l.State().FindFeatures(&x, featuresOf(t, seed), nil, func(h blocklist.Hit, m blocklist.FeatureMatch) bool {
			found = append(found, fmt.Sprintf("rule %d, %+v", h.Rule, m))
			return true
		})
		return found
	}
	for seed := uint64(2); seed < 7; seed++ {
		got, want := find(p.r, seed), find(p.l, seed)
		if !slices.Equal(got, want) || (len(got) > 0) != (seed < 6) {
			t.Errorf("picture %d: %v, want %v", seed, got, want)
		}
	}
}
