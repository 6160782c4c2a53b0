package phash_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/staydown/staydown/internal/sharedtest"
	"github.com/staydown/staydown/phash"
	"pgregory.net/rapid"
)

var (
	_ phash.Index = (*phash.Linear)(nil)
	_ phash.Index = (*phash.BKTree)(nil)
	_ phash.Index = (*phash.MultiIndex)(nil)
)

// indexModel drives a BKTree and a MultiIndex beside the linear oracle.
type indexModel struct {
	alg    phash.Algorithm
	all    []phash.Entry // all that was ever inserted
	oracle *phash.Linear
	tree   *phash.BKTree
	multi  *phash.MultiIndex
}

func newIndexModel(alg phash.Algorithm) *indexModel {
	return &indexModel{alg: alg, oracle: phash.NewLinear(alg), tree: phash.NewBKTree(alg), multi: phash.NewMultiIndex(alg)}
}

// hash returns a hash that is new, or near one that was inserted.
func (m *indexModel) hash(rng *rand.Rand) phash.Hash {
	if len(m.all) == 0 || rng.IntN(3) == 0 {
		return randomHash(rng, m.alg)
	}
	return flip(rng, m.all[rng.IntN(len(m.all))].Hash, rng.IntN(4)*rng.IntN(8))
}

func (m *indexModel) insert(t *rapid.T, e phash.Entry) {
	m.all = append(m.all, e)
	for _, x := range []phash.Index{m.oracle, m.tree, m.multi} {
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
	if got := m.multi.Remove(e.Hash, e.ID); got != want {
		t.Fatalf("MultiIndex.Remove(%v, %d) = %v, want %v", e.Hash, e.ID, got, want)
	}
}

// reopen replaces the MultiIndex by one over the written and opened snapshot.
func (m *indexModel) reopen(t *rapid.T) {
	s, err := m.multi.Snapshot()
	if err != nil {
		t.Fatalf("Snapshot: %v", err)
	}
	b, err := s.AppendBinary(nil)
	if err != nil {
		t.Fatalf("AppendBinary: %v", err)
	}
	opened, err := phash.OpenSegment(b)
	if err != nil {
		t.Fatalf("OpenSegment: %v", err)
	}
	m.multi = phash.NewMultiIndexFrom(opened)
}

func (m *indexModel) search(t *rapid.T, h phash.Hash, radius int) {
	want := hits(m.oracle, h, radius)
	for _, x := range []phash.Index{m.tree, m.multi} {
		if diff := diffHits(want, hits(x, h, radius)); diff != "" {
			t.Fatalf("%T, radius %d (-want +got):\n%s", x, radius, diff)
		}
	}
}

// TestIndexesAgree inserts, removes, seals, merges, takes snapshots and
// searches, in any order, with the linear oracle beside.
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
						for range rapid.SampledFrom([]int{10, 300, 2 * phash.DeltaSize}).Draw(t, "n") {
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
					"seal": func(t *rapid.T) {
						if err := m.multi.Seal(); err != nil {
							t.Fatal(err)
						}
					},
					"merge": func(t *rapid.T) {
						if err := m.multi.Merge(); err != nil {
							t.Fatal(err)
						}
					},
					"snapshot": m.reopen,
					"search": func(t *rapid.T) {
						radius := rapid.SampledFrom([]int{0, 1, 4, 8, 10, 16, 31, 47, 64, alg.Bits()}).Draw(t, "radius")
						m.search(t, m.hash(rng), radius)
					},
					"": func(t *rapid.T) {
						want := m.oracle.Len()
						if m.tree.Len() != want || m.multi.Len() != want {
							t.Fatalf("Len: BKTree %d, MultiIndex %d, want %d", m.tree.Len(), m.multi.Len(), want)
						}
						m.search(t, m.hash(rng), m.alg.Bits()/8)
					},
				})
			})
		})
	}
}

func TestIndexRefusesOtherAlgorithms(t *testing.T) {
	t.Parallel()
	for _, x := range []phash.Index{
		phash.NewLinear(phash.AlgPDQ), phash.NewBKTree(phash.AlgPDQ), phash.NewMultiIndex(phash.AlgPDQ),
		phash.NewLinear(phash.AlgNone), phash.NewBKTree(phash.AlgNone), phash.NewMultiIndex(phash.AlgNone),
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
		for i := range 3 * phash.DeltaSize / 2 {
			entries = append(entries, phash.Entry{Hash: flip(rng, h, i%3), ID: uint32(i)})
		}
		indexes := []phash.Index{phash.NewLinear(alg), phash.NewBKTree(alg), phash.NewMultiIndex(alg)}
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
		linear, tree, multi := phash.NewLinear(alg), phash.NewBKTree(alg), phash.NewMultiIndex(alg)
		var entries []phash.Entry
		for i := range 9000 {
			e := phash.Entry{Hash: randomHash(rng, alg), ID: uint32(i)}
			entries = append(entries, e)
			for _, x := range []phash.Index{linear, tree, multi} {
				if err := x.Insert(e.Hash, e.ID); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := multi.Seal(); err != nil {
			t.Fatal(err)
		}
		s := segment(t, alg, entries)
		q := flip(rng, entries[7].Hash, 3)
		// The searches are called on the concrete types, as serving code does.
		found := 0
		for radius := 4; radius < 64; radius += 9 {
			for name, f := range map[string]func(){
				"Linear":     func() { linear.Search(q, radius, func(uint32, int) bool { found++; return true }) },
				"BKTree":     func() { tree.Search(q, radius, func(uint32, int) bool { found++; return true }) },
				"MultiIndex": func() { multi.Search(q, radius, func(uint32, int) bool { found++; return true }) },
				"Segment":    func() { s.Search(q, radius, func(uint32, int) bool { found++; return true }) },
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

// TestMultiIndexConcurrent has writers insert and remove, the index seal and
// merge, and readers check that what stays is always found once, that what was
// removed before the search is never found, and that nothing is found twice.
func TestMultiIndexConcurrent(t *testing.T) {
	t.Parallel()
	for _, alg := range algorithms {
		t.Run(alg.String(), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(6, 6))
			x := phash.NewMultiIndex(alg)
			var stays, gone []phash.Entry
			for i := range uint32(200) {
				stays = append(stays, phash.Entry{Hash: randomHash(rng, alg), ID: 2 * i})
				gone = append(gone, phash.Entry{Hash: randomHash(rng, alg), ID: 2*i + 1})
			}
			insert := func(e phash.Entry) {
				if err := x.Insert(e.Hash, e.ID); err != nil {
					t.Error(err)
				}
			}
			for i := range stays {
				insert(stays[i])
				insert(gone[i])
				x.Remove(gone[i].Hash, gone[i].ID)
			}

			var writers, readers sync.WaitGroup
			done := make(chan struct{})
			for w := range uint32(2) {
				writers.Add(1)
				go func() {
					defer writers.Done()
					rng := rand.New(rand.NewPCG(7, uint64(w)))
					var mine []phash.Entry
					for i := range 4 * uint32(phash.DeltaSize) {
						e := phash.Entry{Hash: randomHash(rng, alg), ID: 1000 + w<<20 + i}
						insert(e)
						mine = append(mine, e)
						if i%3 == 0 {
							k := rng.IntN(len(mine))
							if !x.Remove(mine[k].Hash, mine[k].ID) {
								t.Errorf("Remove found nothing")
							}
							mine[k] = mine[len(mine)-1]
							mine = mine[:len(mine)-1]
						}
						if i%1000 == 999 {
							if err := x.Merge(); err != nil {
								t.Error(err)
							}
						}
					}
					for _, e := range mine {
						if got := hits(x, e.Hash, 0); len(got) != 1 || got[0].ID != e.ID {
							t.Errorf("%v: found %v, want only %d", e.Hash, got, e.ID)
						}
					}
				}()
			}
			for r := range 2 {
				readers.Add(1)
				go func() {
					defer readers.Done()
					rng := rand.New(rand.NewPCG(8, uint64(r)))
					for {
						select {
						case <-done:
							return
						default:
						}
						e := stays[rng.IntN(len(stays))]
						if got := hits(x, flip(rng, e.Hash, 2), 2); len(got) != 1 || got[0].ID != e.ID {
							t.Errorf("%v: found %v, want only %d", e.Hash, got, e.ID)
							return
						}
						e = gone[rng.IntN(len(gone))]
						if got := hits(x, e.Hash, 1); got != nil {
							t.Errorf("%v: found %v, which was removed", e.Hash, got)
							return
						}
					}
				}()
			}
			writers.Wait()
			close(done)
			readers.Wait()

			before := x.Len()
			if err := x.Merge(); err != nil {
				t.Fatal(err)
			}
			s, err := x.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			if x.Len() != before || s.Len() != before {
				t.Errorf("Len %d, merged %d, snapshot %d", before, x.Len(), s.Len())
			}
		})
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
	if alg == phash.AlgPerception {
		return phash.NewSegmentWithTables(alg, entries, 5, 0, 20)
	}
	return phash.NewSegmentWithTables(alg, entries, 16, 3, 64)
}

func ExampleMultiIndex() {
	x := phash.NewMultiIndex(phash.AlgPerception)
	_ = x.Insert(phash.MustParse("p:f0e1d2c3b4a59687"), 7)
	x.Search(phash.MustParse("p:f0e1d2c3b4a59680"), 4, func(id uint32, distance int) bool {
		fmt.Printf("picture %d differs in %d bits\n", id, distance)
		return true
	})
	// Output: picture 7 differs in 3 bits
}
