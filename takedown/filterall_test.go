package takedown_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
)

// near returns h with some bits turned over.
func near(tb testing.TB, r *rand.Rand, h phash.Hash, flips int) phash.Hash {
	tb.Helper()
	w := h.Words()
	for range flips {
		w[r.IntN(4)] ^= 1 << r.IntN(64)
	}
	h, err := phash.FromWords(h.Algorithm(), w)
	ok(tb, err)
	return h
}

// asPart returns the bits of a hash as a hash of a part.
func asPart(tb testing.TB, h phash.Hash) phash.Hash {
	tb.Helper()
	h, err := phash.FromWords(phash.AlgPart, h.Words())
	ok(tb, err)
	return h
}

func randomHash(tb testing.TB, r *rand.Rand) phash.Hash {
	tb.Helper()
	h, err := phash.FromWords(phash.AlgPDQ, [4]uint64{r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()})
	ok(tb, err)
	return h
}

// hashList returns a list with rules for n hashes each.
func hashList(tb testing.TB, r *rand.Rand, n int) (*blocklist.List, []phash.Hash) {
	tb.Helper()
	l := listOf(tb, "https://a.example/1.jpg")
	var all []phash.Hash
	for i := range n {
		k := blocklist.Keys{Hashes: []blocklist.HashKey{{Hash: randomHash(tb, r), Reach: blocklist.Reach(i % 3 * 8)}}}
		if i%4 == 0 {
			k.Hashes[0].Hash = asPart(tb, k.Hashes[0].Hash)
		}
		all = append(all, k.Hashes[0].Hash)
		id := appendTo(tb, l, blocklist.Event{Type: blocklist.EventAdded, Rule: &blocklist.Rule{
			Kind: 3, Scope: blocklist.ScopeDuplicate, Effect: blocklist.EffectBlock, Case: [16]byte{1}, Keys: k,
		}})
		if i%5 == 0 {
			appendTo(tb, l, blocklist.Event{Type: blocklist.EventException, Target: id, Keys: blocklist.Keys{Hashes: k.Hashes[:1]}})
		}
	}
	return l, all
}

// FilterAll has the decisions of Filter, from a snapshot and from what came since.
func TestFilterAll(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	a, known := hashList(t, r, 90)
	b, more := hashList(t, r, 60)
	snap := filepath.Join(t.TempDir(), "b.snap")
	ok(t, b.Publish(snap))
	read, err := blocklist.Load(snap, nil)
	ok(t, err)
	t.Cleanup(func() { read.Close() })
	known = append(known, more...)
	e := enforcer(t, nil, takedown.ListSource{Name: "a", List: a}, takedown.ListSource{Name: "b", List: read, Territories: []string{"DE"}})
	seen := map[takedown.Verdict]int{}
	for _, in := range []string{"", "DE", "FR"} {
		for range 20 {
			var items []takedown.Result
			for i := range r.IntN(150) {
				item := takedown.Result{ImageURL: fmt.Sprintf("https://a.example/%d.jpg", i)}
				switch r.IntN(4) {
				case 0:
					item.Hash = randomHash(t, r)
				case 1, 2:
					item.Hash = near(t, r, known[r.IntN(len(known))], r.IntN(60))
				}
				for range r.IntN(3) {
					part := known[r.IntN(len(known))]
					if r.IntN(2) == 0 {
						part = asPart(t, part)
					}
					item.Parts = append(item.Parts, near(t, r, part, r.IntN(60)))
				}
				items = append(items, item)
			}
			var want []takedown.Decision
			got := e.FilterAll(nil, items...)
			for _, i := range items {
				hashes := append([]phash.Hash{i.Hash}, i.Parts...)
				d := e.Filter(i.ImageURL, hashes...)
				if in != "" {
					d = e.In(in).Filter(i.ImageURL, hashes...)
				}
				want = append(want, d)
				seen[d.Verdict]++
			}
			if in != "" {
				got = e.In(in).FilterAll(nil, items...)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("in %q (-Filter +FilterAll):\n%s", in, diff)
			}
		}
	}
	if seen[takedown.Block] == 0 || seen[takedown.Allow] == 0 || seen[takedown.Restricted] == 0 {
		t.Errorf("verdicts %v show no difference", seen)
	}
	ok(t, a.Close())
	if d := e.FilterAll(nil, takedown.Result{Hash: known[1]}); d[0].Verdict != takedown.Unknown {
		t.Errorf("with a list closed: %v", d[0])
	}
}

func TestFilterAll_Allocations(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	l, known := hashList(t, r, 50)
	e := enforcer(t, nil, takedown.ListSource{Name: "a", List: l})
	var items []takedown.Result
	for i := range 100 {
		items = append(items, takedown.Result{ImageURL: "https://a.example/1.jpg", Hash: near(t, r, known[i%len(known)], i%40)})
	}
	var got []takedown.Decision
	if n := testing.AllocsPerRun(50, func() { got = e.FilterAll(got[:0], items...) }); n > 16 {
		t.Errorf("a page of 100 allocates %v times", n)
	}
}

// A list that is closed while FilterAll runs hides no match: each answer is that of the
// list, or Unknown.
func TestFilterAll_Close(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		l, known := hashList(t, r, 2)
		e := enforcer(t, nil, takedown.ListSource{Name: "a", List: l})
		items := slices.Repeat([]takedown.Result{{Hash: known[1]}}, 2_000)
		begun, done := make(chan struct{}), make(chan error)
		go func() {
			<-begun
			done <- l.Close()
		}()
		close(begun)
		for i, d := range e.FilterAll(nil, items...) {
			if d.Verdict != takedown.Block && d.Verdict != takedown.Unknown {
				t.Fatalf("item %d of a list that was closed: %v", i, d.Verdict)
			}
		}
		ok(t, <-done)
	}
}
