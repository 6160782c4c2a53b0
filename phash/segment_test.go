package phash_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/staydown/staydown/phash"
)

// hit is one call of yield.
type hit struct {
	ID       uint32
	Distance int
}

type searcher interface {
	Search(h phash.Hash, radius int, yield func(id uint32, distance int) bool) bool
}

// hits returns what s yields, sorted.
func hits(s searcher, h phash.Hash, radius int) []hit {
	var all []hit
	s.Search(h, radius, func(id uint32, d int) bool {
		all = append(all, hit{id, d})
		return true
	})
	slices.SortFunc(all, func(a, b hit) int {
		if a.ID != b.ID {
			return int(int64(a.ID) - int64(b.ID))
		}
		return a.Distance - b.Distance
	})
	return all
}

func randomHash(rng *rand.Rand, alg phash.Algorithm) phash.Hash {
	if alg == phash.AlgPerception {
		return phash.FromPerception(rng.Uint64())
	}
	var b [32]byte
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return phash.FromPDQ(b)
}

// flip returns h with n random bits changed.
func flip(rng *rand.Rand, h phash.Hash, n int) phash.Hash {
	w := h.Words()
	for _, k := range rng.Perm(h.Algorithm().Bits())[:n] {
		w[k/64] ^= 1 << (k % 64)
	}
	return fromWords(h.Algorithm(), w)
}

func fromWords(alg phash.Algorithm, w [4]uint64) phash.Hash {
	if alg == phash.AlgPerception {
		return phash.FromPerception(w[0])
	}
	var b [32]byte
	for i := range b {
		k := 8 * (31 - i)
		b[i] = byte(w[k/64] >> (k % 64))
	}
	return phash.FromPDQ(b)
}

var algorithms = []phash.Algorithm{phash.AlgPDQ, phash.AlgPerception}

func TestSegmentSearch(t *testing.T) {
	t.Parallel()
	for _, alg := range algorithms {
		for _, n := range []int{0, 1, 2, 100, 2000, 9000} {
			rng := rand.New(rand.NewPCG(1, uint64(n)))
			oracle := phash.NewLinear(alg)
			var entries []phash.Entry
			for i := range n {
				h := randomHash(rng, alg)
				if i > 0 && rng.IntN(3) == 0 {
					h = flip(rng, entries[rng.IntN(i)].Hash, rng.IntN(8))
				}
				e := phash.Entry{Hash: h, ID: uint32(rng.IntN(2 * n))}
				entries = append(entries, e)
				if err := oracle.Insert(e.Hash, e.ID); err != nil {
					t.Fatal(err)
				}
			}
			s, err := phash.NewSegment(alg, entries)
			if err != nil {
				t.Fatal(err)
			}
			b, err := s.AppendBinary(nil)
			if err != nil {
				t.Fatal(err)
			}
			opened, err := phash.OpenSegment(b)
			if err != nil {
				t.Fatal(err)
			}
			if s.Len() != n || opened.Len() != n || opened.Algorithm() != alg {
				t.Errorf("%v, %d entries: Len %d, opened %d of %v", alg, n, s.Len(), opened.Len(), opened.Algorithm())
			}
			for q := range 50 {
				h := randomHash(rng, alg)
				if n > 0 && q%2 == 0 {
					h = flip(rng, entries[rng.IntN(n)].Hash, rng.IntN(12))
				}
				for _, radius := range []int{-1, 0, 4, 8, 10, 31, 47, 64, alg.Bits()} {
					want := hits(oracle, h, radius)
					if diff := cmp.Diff(want, hits(s, h, radius)); diff != "" {
						t.Fatalf("%v, %d entries, radius %d (-want +got):\n%s", alg, n, radius, diff)
					}
					if diff := cmp.Diff(want, hits(opened, h, radius)); diff != "" {
						t.Fatalf("%v, %d entries, radius %d, opened (-want +got):\n%s", alg, n, radius, diff)
					}
				}
			}
		}
	}
}

func TestSegmentOtherAlgorithmFindsNothing(t *testing.T) {
	t.Parallel()
	s, err := phash.NewSegment(phash.AlgPerception, []phash.Entry{{Hash: phash.FromPerception(0), ID: 1}})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []phash.Hash{{}, phash.FromPDQ([32]byte{})} {
		if got := hits(s, h, 256); got != nil {
			t.Errorf("search with a hash of algorithm %v found %v", h.Algorithm(), got)
		}
	}
	if _, err := phash.NewSegment(phash.AlgPDQ, []phash.Entry{{Hash: phash.FromPerception(0)}}); !errors.Is(err, phash.ErrHashKind) {
		t.Errorf("NewSegment of a foreign hash: error %v, want ErrHashKind", err)
	}
	if _, err := phash.NewSegment(phash.AlgNone, nil); !errors.Is(err, phash.ErrHashKind) {
		t.Errorf("NewSegment of no algorithm: error %v, want ErrHashKind", err)
	}
}
