package phash_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/staydown/staydown/internal/sharedtest"
	"github.com/staydown/staydown/phash"
	"pgregory.net/rapid"
)

var (
	_ phash.Index = (*phash.Linear)(nil)
	_ phash.Index = (*phash.BKTree)(nil)
)

// indexModel drives a BKTree, and segments of what there is, beside the linear
// oracle.
type indexModel struct {
	alg      phash.Algorithm
	all      []phash.Entry // all that was ever inserted
	live     []phash.Entry // what was not removed
	oracle   *phash.Linear
	tree     *phash.BKTree
	segments []*phash.Segment // of live, of several forms; nil when it has changed
}

func newIndexModel(alg phash.Algorithm) *indexModel {
	return &indexModel{alg: alg, oracle: phash.NewLinear(alg), tree: phash.NewBKTree(alg)}
}

// hash returns a hash that is new, or near one that was inserted.
func (m *indexModel) hash(rng *rand.Rand) phash.Hash {
	if len(m.all) == 0 || rng.IntN(3) == 0 {
		return randomHash(rng, m.alg)
	}
	return flip(rng, m.all[rng.IntN(len(m.all))].Hash, rng.IntN(4)*rng.IntN(8))
}

func (m *indexModel) insert(t *rapid.T, e phash.Entry) {
	m.all, m.live, m.segments = append(m.all, e), append(m.live, e), nil
	for _, x := range []phash.Index{m.oracle, m.tree} {
		if err := x.Insert(e.Hash, e.ID); err != nil {
			t.Fatalf("Insert: %v", err)
		}
	}
}

func (m *indexModel) remove(t *rapid.T, e phash.Entry) {
	want := m.oracle.Remove(e.Hash, e.ID)
	if got := m.tree.Remove(e.Hash, e.ID); got != want {
		t.Fatalf("BKTree.Remove(%v, %d) = %v, want %v", e.Hash, e.ID, got, want)
	}
	m.live, m.segments = slices.DeleteFunc(m.live, func(x phash.Entry) bool { return x == e }), nil
}

// seal makes the segments: as it comes, written and opened again, in huge pages,
// and one that uses its tables whatever that costs.
func (m *indexModel) seal(t *rapid.T) {
	if m.segments != nil {
		return
	}
	s, err := phash.NewSegment(m.alg, m.live)
	if err != nil {
		t.Fatalf("NewSegment: %v", err)
	}
	b, err := s.AppendBinary(nil)
	if err != nil {
		t.Fatalf("AppendBinary: %v", err)
	}
	opened, err := phash.OpenSegment(b)
	if err != nil {
		t.Fatalf("OpenSegment: %v", err)
	}
	m.segments = []*phash.Segment{opened, s.InHugePages()}
	if len(m.live) > 0 {
		m.segments = append(m.segments, tables(m.alg, m.live))
	}
}

func (m *indexModel) search(t *rapid.T, h phash.Hash, radius int) {
	m.seal(t)
	want := hits(m.oracle, h, radius)
	if diff := diffHits(want, hits(m.tree, h, radius)); diff != "" {
		t.Fatalf("BKTree, radius %d (-want +got):\n%s", radius, diff)
	}
	// Beside others, one of which is of another algorithm.
	queries := []phash.Hash{{}, h}
	for i := range min(100, len(m.live)) {
		queries = append(queries, m.live[i].Hash)
	}
	for i, x := range m.segments {
		checkAllHits(t, x, m.oracle, queries, radius)
		if diff := diffHits(want, hits(x, h, radius)); diff != "" {
			t.Fatalf("segment %d, radius %d (-want +got):\n%s", i, radius, diff)
		}
	}
}

func checkAllHits(t *rapid.T, s *phash.Segment, oracle *phash.Linear, queries []phash.Hash, radius int) {
	all := make([][]hit, len(queries))
	s.SearchAll(queries, radius, func(q int, id uint32, d int) bool {
		all[q] = append(all[q], hit{id, d})
		return true
	})
	for q, h := range queries {
		sortHits(all[q])
		if diff := diffHits(hits(oracle, h, radius), all[q]); diff != "" {
			t.Fatalf("query %d of %d, radius %d (-want +got):\n%s", q, len(queries), radius, diff)
		}
	}
}

// TestIndexesAgree inserts, removes and searches, in any order, with the linear
// oracle beside.
func TestIndexesAgree(t *testing.T) {
	t.Parallel()
	for _, alg := range algorithms {
		t.Run(alg.String(), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				m := newIndexModel(alg)
				// What is inserted need not shrink; what is done does.
				rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
				t.Repeat(map[string]func(*rapid.T){
					"insert": func(t *rapid.T) {
						m.insert(t, phash.Entry{Hash: m.hash(rng), ID: rng.Uint32N(1000)})
					},
					"insert many": func(t *rapid.T) {
						for range rapid.SampledFrom([]int{10, 300, 2000}).Draw(t, "n") {
							m.insert(t, phash.Entry{Hash: m.hash(rng), ID: rng.Uint32N(1000)})
						}
					},
					"insert again": func(t *rapid.T) {
						if len(m.all) > 0 {
							m.insert(t, m.all[rng.IntN(len(m.all))])
						}
					},
					"remove": func(t *rapid.T) {
						if len(m.all) > 0 {
							m.remove(t, m.all[rng.IntN(len(m.all))])
						}
					},
					"remove many": func(t *rapid.T) {
						for range min(30, len(m.all)) {
							m.remove(t, m.all[rng.IntN(len(m.all))])
						}
					},
					"remove what is not there": func(t *rapid.T) {
						m.remove(t, phash.Entry{Hash: m.hash(rng), ID: 1000})
					},
					"search": func(t *rapid.T) {
						radius := rapid.SampledFrom([]int{0, 1, 4, 8, 10, 16, 31, 47, 64, alg.Bits()}).Draw(t, "radius")
						m.search(t, m.hash(rng), radius)
					},
					"": func(t *rapid.T) {
						if want := m.oracle.Len(); m.tree.Len() != want || len(m.live) != want {
							t.Fatalf("Len: BKTree %d, %d entries, want %d", m.tree.Len(), len(m.live), want)
						}
						h, radius := m.hash(rng), m.alg.Bits()/8
						if diff := diffHits(hits(m.oracle, h, radius), hits(m.tree, h, radius)); diff != "" {
							t.Fatalf("BKTree, radius %d (-want +got):\n%s", radius, diff)
						}
					},
				})
			})
		})
	}
}

func TestIndexRefusesOtherAlgorithms(t *testing.T) {
	t.Parallel()
	for _, x := range []phash.Index{
		phash.NewLinear(phash.AlgPDQ), phash.NewBKTree(phash.AlgPDQ),
		phash.NewLinear(phash.AlgNone), phash.NewBKTree(phash.AlgNone),
		&phash.Linear{}, &phash.BKTree{},
	} {
		for _, h := range []phash.Hash{{}, phash.FromPerception(1)} {
			if err := x.Insert(h, 1); err == nil {
				t.Errorf("%T.Insert(%v) did not fail", x, h)
			}
			if got := hits(x, h, 64); got != nil {
				t.Errorf("%T.Search(%v) found %v", x, h, got)
			}
		}
		if x.Len() != 0 {
			t.Errorf("%T.Len() = %d after refused inserts", x, x.Len())
		}
	}
}

func TestSearchStops(t *testing.T) {
	t.Parallel()
	for _, alg := range algorithms {
		rng := rand.New(rand.NewPCG(4, 4))
		h := randomHash(rng, alg)
		var entries []phash.Entry
		for i := range 1500 {
			entries = append(entries, phash.Entry{Hash: flip(rng, h, i%3), ID: uint32(i)})
		}
		indexes := []phash.Index{phash.NewLinear(alg), phash.NewBKTree(alg)}
		searchers := []searcher{segment(t, alg, entries), tables(alg, entries)}
		for _, x := range indexes {
			for _, e := range entries {
				if err := x.Insert(e.Hash, e.ID); err != nil {
					t.Fatal(err)
				}
			}
			searchers = append(searchers, x)
		}
		for _, x := range searchers {
			for _, stopAt := range []int{1, 2, 700, len(entries)} {
				calls := 0
				ended := x.Search(h, 2, func(uint32, int) bool {
					calls++
					return calls < stopAt
				})
				if ended || calls != stopAt {
					t.Errorf("%T, %v: %d calls, Search returned %v; want %d, false", x, alg, calls, ended, stopAt)
				}
			}
			if !x.Search(h, 2, func(uint32, int) bool { return true }) {
				t.Errorf("%T, %v: Search that was not stopped returned false", x, alg)
			}
		}
	}
}

func TestSearchDoesNotAllocate(t *testing.T) {
	for _, alg := range algorithms {
		rng := rand.New(rand.NewPCG(5, 5))
		linear, tree := phash.NewLinear(alg), phash.NewBKTree(alg)
		var entries []phash.Entry
		for i := range 9000 {
			e := phash.Entry{Hash: randomHash(rng, alg), ID: uint32(i)}
			entries = append(entries, e)
			for _, x := range []phash.Index{linear, tree} {
				if err := x.Insert(e.Hash, e.ID); err != nil {
					t.Fatal(err)
				}
			}
		}
		s := segment(t, alg, entries)
		q := flip(rng, entries[7].Hash, 3)
		var queries [100]phash.Hash
		for i := range queries {
			queries[i] = flip(rng, entries[i].Hash, 3)
		}
		// The searches are called on the concrete types, as serving code does.
		found := 0
		for radius := 4; radius < 64; radius += 9 {
			for name, f := range map[string]func(){
				"Linear":  func() { linear.Search(q, radius, func(uint32, int) bool { found++; return true }) },
				"BKTree":  func() { tree.Search(q, radius, func(uint32, int) bool { found++; return true }) },
				"Segment": func() { s.Search(q, radius, func(uint32, int) bool { found++; return true }) },
			} {
				if n := sharedtest.AllocsPerRun(20, f); n != 0 {
					t.Errorf("%s, %v, radius %d: %v allocations", name, alg, radius, n)
				}
			}
		}
		if found == 0 {
			t.Errorf("%v: nothing found", alg)
		}
	}
}

func segment(tb testing.TB, alg phash.Algorithm, entries []phash.Entry) *phash.Segment {
	tb.Helper()
	s, err := phash.NewSegment(alg, entries)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// tables returns a segment that always uses its tables.
func tables(alg phash.Algorithm, entries []phash.Entry) *phash.Segment {
	if alg.Bits() == 64 {
		return phash.NewSegmentWithTables(alg, entries, 5, 0, 20)
	}
	return phash.NewSegmentWithTables(alg, entries, 16, 3, 64)
}
