package blocklist_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/phash"
)

// Enough hashes of every algorithm for runs to be sealed and merged, asked beside
// a linear scan, before and after reopening and compaction: also those of
// exceptions, which have a form of their own.
func TestManyHashes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir, &blocklist.Options{CompactAfter: -1})
	r := rand.New(rand.NewPCG(1, 9))
	type key struct {
		h    phash.Hash
		rule uint64
	}
	var all []key
	var event blocklist.Event
	const events, each = 22, 500 // 10 runs of each algorithm
	for i := range events {
		event = addedRule(t, l, uint64(i+1))
		for range each {
			for alg := range phash.Algorithms() {
				h := randomHash(r, alg)
				if len(all) > 10 && r.IntN(2) == 0 {
					h = flip(all[r.IntN(len(all))].h, r, r.IntN(12))
				}
				event.Rule.Keys.Hashes = append(event.Rule.Keys.Hashes, blocklist.HashKey{Hash: h, Variant: uint8(i)})
				all = append(all, key{h, uint64(i + 1)})
			}
		}
		mustAppend(t, l, event)
	}
	mustAppend(t, l, blocklist.Event{ID: newID(900), Type: blocklist.EventRevoked, Target: 7})
	var common []phash.Hash
	for alg := range phash.Algorithms() {
		common = append(common, randomHash(r, alg))
	}
	except := blocklist.Event{ID: newID(901), Type: blocklist.EventException}
	for _, h := range common {
		except.Keys.Hashes = append(except.Keys.Hashes, blocklist.HashKey{Hash: h})
	}
	mustAppend(t, l, except)
	check := func(when string) {
		t.Helper()
		v := l.State()
		for _, h := range common {
			if d, ok := v.AllowedDistance(nil, flip(h, r, 1)); !ok || d != 1 {
				t.Fatalf("%s: %v is %d bits from the allow list, %v; want 1", when, h, d, ok)
			}
		}
		for alg := range phash.Algorithms() {
			if n := v.HashCount(alg); n < events*each/2 {
				t.Fatalf("%s: %d hashes of %v", when, n, alg)
			}
		}
		for i := range 30 {
			q := flip(all[i*611%len(all)].h, r, 3)
			for _, radius := range []int{0, 8, 20} {
				want, got := map[string]int{}, map[string]int{}
				for _, k := range all {
					if d, ok := q.Distance(k.h); ok && d <= radius && k.rule != 7 {
						want[fmt.Sprint(k.rule, k.rule-1, d)]++
					}
				}
				v.FindHash(q, radius, func(h blocklist.Hit) bool {
					got[fmt.Sprint(h.Rule, h.Variant, h.Distance)]++
					return true
				})
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("%s: radius %d (-want +got):\n%s", when, radius, diff)
				}
			}
		}
	}
	check("appended")
	l.Close()
	l = open(t, dir, nil)
	check("opened again")
	if err := l.Compact(context.Background()); err != nil {
		t.Fatal(err)
	}
	check("compacted")
}
