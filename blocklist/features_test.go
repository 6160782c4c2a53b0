package blocklist_test

import (
	"errors"
	"image"
	"image/color"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/internal/features"
)

// featuresOf returns the features of a picture of random squares; seed chooses
// among unlike ones.
func featuresOf(tb testing.TB, seed uint64) blocklist.Features {
	tb.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	m := image.NewGray(image.Rect(0, 0, 320, 240))
	for range 300 {
		x, y, side, grey := r.IntN(320), r.IntN(240), 4+r.IntN(40), uint8(r.IntN(256))
		for j := y; j < min(y+side, 240); j++ {
			for i := x; i < min(x+side, 320); i++ {
				m.SetGray(i, j, color.Gray{Y: grey})
			}
		}
	}
	f, err := features.Extract(m)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// Pictures are found by their features wherever they are: among what came last,
// in runs, in the base, after a restart and in a published snapshot; and as long
// as their rule holds.
func TestView_FindFeatures(t *testing.T) {
	t.Parallel()
	const pictures = 40
	dir := t.TempDir()
	l, err := boltjournal.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { l.Close() }()
	sets := make([]blocklist.Features, pictures)
	rules := make([]uint64, pictures)
	append := func(id uint64, e blocklist.Event) uint64 {
		t.Helper()
		e.ID[0], e.ID[1], e.ID[2] = byte(id), byte(id>>8), 1
		seqs, err := l.Append(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		return seqs[0]
	}
	want := map[uint64]bool{} // rules in force
	check := func(what string, v *blocklist.State) {
		t.Helper()
		var x blocklist.FeatureSearcher
		for i, f := range sets {
			if f.IsZero() {
				continue
			}
			var got, wanted []uint64
			v.FindFeatures(&x, f, nil, func(h blocklist.Hit, m blocklist.FeatureMatch) bool {
				if m.Band == features.Block {
					got = slices.Concat(got, []uint64{h.Rule})
				}
				return true
			})
			if want[rules[i]] {
				wanted = []uint64{rules[i]}
			}
			if diff := cmp.Diff(wanted, got); diff != "" {
				t.Fatalf("%s, picture %d (-want +got):\n%s", what, i, diff)
			}
		}
	}
	for i := range pictures {
		sets[i] = featuresOf(t, uint64(i))
		rules[i] = append(uint64(i), blocklist.Event{Type: blocklist.EventAdded, Rule: &blocklist.Rule{
			Scope: blocklist.ScopeDuplicate, Effect: blocklist.EffectBlock,
			Keys: blocklist.Keys{Features: []blocklist.Features{sets[i].Compact()}},
		}})
		want[rules[i]] = true
	}
	check("as they came", l.State())
	if err := l.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("from the base", l.State())
	for i := 0; i < pictures; i += 3 {
		append(1000+uint64(i), blocklist.Event{Type: blocklist.EventRevoked, Target: rules[i]})
		delete(want, rules[i])
	}
	check("some revoked", l.State())
	snap := filepath.Join(t.TempDir(), "list.snap")
	if err := l.Publish(snap); err != nil {
		t.Fatal(err)
	}
	loaded, err := blocklist.Load(snap, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer loaded.Close()
	check("loaded", loaded.State())
	if n := loaded.State().Counts().Features; n != len(want) {
		t.Errorf("the snapshot holds %d pictures, want %d", n, len(want))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l, err = boltjournal.Open(dir, nil); err != nil {
		t.Fatal(err)
	}
	check("after a restart", l.State())

	// An event that is kept before it is appended keeps its features.
	e := blocklist.Event{ID: [16]byte{9, 9, 9}, Type: blocklist.EventDerived, Target: rules[1], Keys: blocklist.Keys{Features: []blocklist.Features{sets[0].Compact()}}}
	b, err := e.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var back blocklist.Event
	if err := back.UnmarshalBinary(b); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), back); err != nil {
		t.Fatal(err)
	}
	rules[0] = rules[1] // picture 0 was learned for the rule of picture 1
	check("learned", l.State())
}

func TestAppend_RefusesFeatures(t *testing.T) {
	t.Parallel()
	l, err := boltjournal.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	full := featuresOf(t, 1)
	for name, sets := range map[string][]blocklist.Features{
		"none":        {{}},
		"not compact": {full},
		"too many":    slices.Repeat([]blocklist.Features{full.Compact()}, blocklist.MaxFeatures+1),
	} {
		_, err := l.Append(t.Context(), blocklist.Event{ID: [16]byte{1}, Type: blocklist.EventAdded, Rule: &blocklist.Rule{
			Scope: blocklist.ScopeDuplicate, Effect: blocklist.EffectBlock, Keys: blocklist.Keys{Features: sets},
		}})
		if !errors.Is(err, blocklist.ErrEvent) {
			t.Errorf("%s: %v, want ErrEvent", name, err)
		}
	}
}

// Rules that have ended, or hold elsewhere, do not hide another one about the same
// picture, however many they are; and their features go with the next compaction.
func TestView_FindFeatures_ManyAlike(t *testing.T) {
	t.Parallel()
	const others = 100
	fr, err := blocklist.ParseTerritory("FR")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	for name, of := range map[string]struct {
		rule   blocklist.Rule // of the others
		revoke bool
		gone   bool // with the compaction
	}{
		"revoked":   {revoke: true, gone: true},
		"expired":   {rule: blocklist.Rule{End: now.Add(time.Hour)}, gone: true},
		"elsewhere": {rule: blocklist.Rule{Territories: []blocklist.Territory{fr}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var clock atomic.Int64
			clock.Store(now.Unix())
			l, err := boltjournal.Open(t.TempDir(), &blocklist.Options{Now: func() time.Time { return time.Unix(clock.Load(), 0) }})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			set := featuresOf(t, 1)
			var events []blocklist.Event
			for i := range others + 1 {
				r := of.rule
				if i == others {
					r = blocklist.Rule{}
				}
				r.Scope, r.Effect = blocklist.ScopeDuplicate, blocklist.EffectBlock
				r.Keys = blocklist.Keys{Features: []blocklist.Features{set.Compact()}}
				events = append(events, blocklist.Event{ID: [16]byte{byte(i), 1}, Type: blocklist.EventAdded, Rule: &r})
			}
			seqs, err := l.Append(t.Context(), events...)
			if err != nil {
				t.Fatal(err)
			}
			live := seqs[others]
			compact := func() {
				t.Helper()
				if err := l.Compact(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			find := func(worth func(blocklist.Hit) bool) (rules []uint64) {
				t.Helper()
				var x blocklist.FeatureSearcher
				v := l.State()
				v.FindFeatures(&x, set, worth, func(h blocklist.Hit, m blocklist.FeatureMatch) bool {
					if !v.HasFeatures(h) {
						t.Errorf("rule %d is found by its features and has none", h.Rule)
					}
					rules = append(rules, h.Rule)
					return true
				})
				return rules
			}
			compact()
			clock.Add(2 * 3600)
			if of.revoke {
				events = events[:0]
				for i, s := range seqs[:others] {
					events = append(events, blocklist.Event{ID: [16]byte{byte(i), 2}, Type: blocklist.EventRevoked, Target: s})
				}
				if _, err := l.Append(t.Context(), events...); err != nil {
					t.Fatal(err)
				}
			}
			want := []uint64{live}
			for _, when := range []string{"before", "after"} {
				if diff := cmp.Diff(want, find(func(h blocklist.Hit) bool { return h.Worldwide })); diff != "" {
					t.Errorf("%s the compaction (-want +got):\n%s", when, diff)
				}
				if got := find(nil); !slices.Contains(got, live) {
					t.Errorf("%s the compaction: %d rules are found, and not the live one", when, len(got))
				}
				compact()
			}
			if n := l.State().Counts().Features; of.gone != (n == 1) {
				t.Errorf("%d sets are left", n)
			}
		})
	}
}

// A set that is not in the form that is kept is refused, however small it is: no
// snapshot could hold it.
func TestAppend_FeaturesNotCompact(t *testing.T) {
	t.Parallel()
	l, err := boltjournal.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = l.Append(t.Context(), blocklist.Event{ID: [16]byte{1}, Type: blocklist.EventAdded, Rule: &blocklist.Rule{
		Scope: blocklist.ScopeDuplicate, Effect: blocklist.EffectBlock,
		Keys: blocklist.Keys{Features: []blocklist.Features{featuresOf(t, 1)}},
	}})
	var invalid *blocklist.EventError
	if !errors.As(err, &invalid) {
		t.Errorf("a full set: %v", err)
	}
}
