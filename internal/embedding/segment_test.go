package embedding_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/staydown/staydown/internal/embedding"
	"github.com/staydown/staydown/internal/sharedtest"
)

// hit is one call of yield.
type hit struct {
	ID         uint32
	Similarity float64
}

type searcher interface {
	Search(v embedding.Vector, threshold float64, yield func(id uint32, similarity float64) bool) bool
}

// hits returns what s yields, sorted.
func hits(s searcher, v embedding.Vector, threshold float64) []hit {
	var all []hit
	s.Search(v, threshold, func(id uint32, c float64) bool {
		all = append(all, hit{id, c})
		return true
	})
	slices.SortFunc(all, func(a, b hit) int {
		if a.ID != b.ID {
			return int(int64(a.ID) - int64(b.ID))
		}
		return int(math.Copysign(1, a.Similarity-b.Similarity))
	})
	return all
}

// people returns vectors of people, up to four of each, alike by 0.3 to 0.99.
func people(tb testing.TB, rng *rand.Rand, f family, dimensions, n int) []embedding.Entry {
	tb.Helper()
	x, y := make([]float64, dimensions), make([]float64, dimensions)
	var entries []embedding.Entry
	for id := uint32(0); len(entries) < n; id++ {
		f.draw(rng, x)
		scaleTo1(x)
		for range min(1+rng.IntN(4), n-len(entries)) {
			atSimilarity(rng, f, x, 0.3+0.69*rng.Float64(), y)
			entries = append(entries, embedding.Entry{Vector: newVector(tb, model(dimensions), y), ID: id})
		}
	}
	rng.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	return entries
}

func newSegment(tb testing.TB, m embedding.Model, entries []embedding.Entry) *embedding.Segment {
	tb.Helper()
	s, err := embedding.NewSegment(m, entries)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func reopened(tb testing.TB, s *embedding.Segment) *embedding.Segment {
	tb.Helper()
	b, err := s.AppendBinary([]byte{1})
	if err != nil {
		tb.Fatal(err)
	}
	if len(b) != 1+s.Size() || s.Size()%8 != 0 {
		tb.Errorf("AppendBinary appended %d bytes, Size is %d", len(b)-1, s.Size())
	}
	s, err = embedding.OpenSegment(append(b[1:], 1, 2, 3)) // at an odd address, and more behind
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// TestSegmentSearch compares every search with the plain scan. A hit must be
// one of the scan, with the same similarity; of the scan's hits one in 10,000
// may be missing.
func TestSegmentSearch(t *testing.T) {
	t.Parallel()
	expected, missed := 0, 0
	sizes := []int{64, 100, 512}
	if testing.Short() {
		sizes = []int{100}
	}
	for _, f := range families {
		for _, dimensions := range sizes {
			for _, n := range []int{0, 1, embedding.ScanBelow - 1, embedding.ScanBelow, 700} {
				rng := rand.New(rand.NewPCG(uint64(dimensions), uint64(n)))
				m := model(dimensions)
				entries := people(t, rng, f, dimensions, n)
				oracle := embedding.NewLinear(m)
				for _, e := range entries {
					if err := oracle.Insert(e.Vector, e.ID); err != nil {
						t.Fatal(err)
					}
				}
				built := newSegment(t, m, entries)
				for name, s := range map[string]*embedding.Segment{"built": built, "opened": reopened(t, built), "in huge pages": built.InHugePages()} {
					if s.Len() != n || s.Model() != m {
						t.Errorf("%s: Len %d, Model %v, want %d, %v", name, s.Len(), s.Model(), n, m)
					}
					for q := range 6 {
						v := people(t, rng, f, dimensions, 1)[0].Vector
						if n > 0 && q%2 == 0 {
							v = entries[rng.IntN(n)].Vector
						}
						for _, threshold := range []float64{-1, 0, 0.1, 0.15, 0.3, 0.5, 0.8, 0.95, 1, 1.01, math.NaN()} {
							want, got := hits(oracle, v, threshold), hits(s, v, threshold)
							expected += len(want)
							lacking := len(want)
							for _, h := range got {
								i, ok := slices.BinarySearchFunc(want, h, func(a, b hit) int {
									if a.ID != b.ID {
										return int(int64(a.ID) - int64(b.ID))
									}
									return cmpFloat(a.Similarity, b.Similarity)
								})
								if !ok {
									t.Fatalf("%s/%d, %d entries, %s, threshold %v: found %v, which the scan does not", f.name, dimensions, n, name, threshold, h)
								}
								want = slices.Delete(want, i, i+1)
								lacking--
							}
							if n < embedding.ScanBelow && lacking > 0 {
								t.Errorf("%s/%d, %d entries: a segment without sketches missed %v", f.name, dimensions, n, want)
							}
							missed += lacking
						}
					}
				}
			}
		}
	}
	t.Logf("missed %d of %d", missed, expected)
	if missed > expected/10_000 {
		t.Errorf("missed %d of %d, promised are at most 1 of 10,000", missed, expected)
	}
}

func cmpFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// TestSegmentWork checks that sketches do what they are for: at the thresholds
// of real models, few whole vectors are compared.
func TestSegmentWork(t *testing.T) {
	t.Parallel()
	const n = 5000
	for _, test := range []struct {
		family     int
		dimensions int
		threshold  float64
		weighed    int
		compared   int
	}{
		{0, 512, 0.05, 0, n},
		{0, 512, 0.3, n / 2, n / 200},
		{0, 512, 0.4, n / 20, n / 1000},
		{0, 512, 0.6, n / 1000, 0},
		{1, 512, 0.6, n / 20, n / 200},
		{2, 128, 0.9, n / 20, n / 200},
		{0, 128, 0.6, n / 20, n / 1000},
	} {
		f := families[test.family]
		rng := rand.New(rand.NewPCG(2, 3))
		s := newSegment(t, model(test.dimensions), drawEntries(t, rng, f, test.dimensions, n))
		v := drawEntries(t, rng, f, test.dimensions, 1)[0].Vector
		w := s.Work(v, test.threshold)
		if w.Weighed > test.weighed || w.Compared > test.compared {
			t.Errorf("%s/%d at %v: %+v, want at most %d weighed and %d compared", f.name, test.dimensions, test.threshold, w, test.weighed, test.compared)
		}
	}
}

func TestSegmentSize(t *testing.T) {
	t.Parallel()
	const n = 1000
	s := newSegment(t, model(512), drawEntries(t, rand.New(rand.NewPCG(1, 1)), families[0], 512, n))
	if perFace := float64(s.Size()) / n; perFace > 600 {
		t.Errorf("%.1f bytes for a face of 512 dimensions, promised are at most 600", perFace)
	}
}

func TestSegmentStops(t *testing.T) {
	t.Parallel()
	for _, n := range []int{10, 1000} {
		entries := people(t, rand.New(rand.NewPCG(1, 2)), families[0], 64, n)
		s := newSegment(t, model(64), entries)
		for _, threshold := range []float64{-1, 0.11} {
			calls := 0
			if s.Search(entries[0].Vector, threshold, func(uint32, float64) bool { calls++; return false }) || calls != 1 {
				t.Errorf("%d entries at %v: %d calls of yield after it returned false, or Search came to the end", n, threshold, calls)
			}
		}
	}
}

func TestSegmentOtherModelFindsNothing(t *testing.T) {
	t.Parallel()
	entries := people(t, rand.New(rand.NewPCG(1, 2)), families[0], 64, 200)
	s := newSegment(t, model(64), entries)
	x := make([]float64, 65)
	x[0] = 1
	other := newVector(t, embedding.Model{Name: "test@2", Dimensions: 64}, x[:64])
	for _, v := range []embedding.Vector{{}, other, newVector(t, model(65), x)} {
		for _, threshold := range []float64{-2, 0.2} {
			if got := hits(s, v, threshold); got != nil {
				t.Errorf("search for %v found %v", v, got)
			}
		}
	}
	for _, e := range []embedding.Entry{{}, {Vector: other}} {
		if _, err := embedding.NewSegment(model(64), []embedding.Entry{entries[0], e}); !errors.Is(err, embedding.ErrModel) {
			t.Errorf("NewSegment with %v: error %v, want ErrModel", e.Vector, err)
		}
		if err := embedding.NewLinear(model(64)).Insert(e.Vector, 0); !errors.Is(err, embedding.ErrModel) {
			t.Errorf("Insert of %v: error %v, want ErrModel", e.Vector, err)
		}
	}
	if _, err := embedding.NewSegment(embedding.Model{}, nil); !errors.Is(err, embedding.ErrModel) {
		t.Errorf("NewSegment of no model: error %v, want ErrModel", err)
	}
	if _, err := embedding.NewSegment(model(63), nil); !errors.Is(err, embedding.ErrDimensions) {
		t.Errorf("NewSegment of 63 dimensions: error %v, want ErrDimensions", err)
	}
}

func TestSegmentAll(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 5, 300} {
		rng := rand.New(rand.NewPCG(4, uint64(n)))
		entries := people(t, rng, families[0], 77, n)
		if n > 2 {
			entries[1] = entries[0] // an entry twice
		}
		s := newSegment(t, model(77), entries)
		var got []embedding.Entry
		for e := range reopened(t, s).All() {
			got = append(got, e)
		}
		if !slices.IsSortedFunc(got, func(a, b embedding.Entry) int {
			if a.ID != b.ID {
				return int(int64(a.ID) - int64(b.ID))
			}
			return slices.Compare(embedding.Components(a.Vector), embedding.Components(b.Vector))
		}) {
			t.Errorf("%d entries: All is not in order", n)
		}
		// The same entries in another order give the same bytes.
		rng.Shuffle(len(got), func(i, j int) { got[i], got[j] = got[j], got[i] })
		a, _ := s.AppendBinary(nil)
		b, _ := newSegment(t, model(77), got).AppendBinary(nil)
		if !bytes.Equal(a, b) {
			t.Errorf("%d entries: a segment of what All returned differs", n)
		}
		seen := 0
		for range s.All() {
			if seen++; seen == 3 {
				break
			}
		}
		if seen != min(n, 3) {
			t.Errorf("%d entries: All ended after %d", n, seen)
		}
	}
}

func TestSearchDoesNotAllocate(t *testing.T) {
	for _, n := range []int{100, 1000} {
		entries := people(t, rand.New(rand.NewPCG(1, 2)), families[0], 512, n)
		s := newSegment(t, model(512), entries)
		found := 0
		if allocs := sharedtest.AllocsPerRun(100, func() {
			s.Search(entries[0].Vector, 0.3, func(uint32, float64) bool { found++; return true })
		}); allocs != 0 {
			t.Errorf("Search in %d entries allocates %v times", n, allocs)
		}
		if found == 0 {
			t.Errorf("%d entries: found nothing", n)
		}
	}
}

func TestConcurrentSearches(t *testing.T) {
	t.Parallel()
	entries := people(t, rand.New(rand.NewPCG(1, 2)), families[0], 64, 500)
	s := newSegment(t, model(64), entries).InHugePages()
	want := hits(s, entries[0].Vector, 0.3)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if diff := cmp.Diff(want, hits(s, entries[0].Vector, 0.3)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
		})
	}
	wg.Wait()
}

// TestSegmentGolden pins the bytes of a segment and the similarities it finds:
// files are read on other architectures and by later versions.
func TestSegmentGolden(t *testing.T) {
	t.Parallel()
	var entries []embedding.Entry
	for id := range uint32(200) {
		x := make([]float32, 96)
		for i := range x {
			x[i] = float32(int32(id*7919+uint32(i)*104729)%1009-504) * float32(1+i%5)
		}
		v, err := embedding.New(model(96), x)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, embedding.Entry{Vector: v, ID: id})
	}
	s := newSegment(t, model(96), entries)
	b, err := s.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	sum := uint64(14695981039346656037) // FNV-1a
	for _, c := range b {
		sum = (sum ^ uint64(c)) * 1099511628211
	}
	if got, want := fmt.Sprintf("%d bytes, %016x", len(b), sum), goldenSegment; got != want {
		t.Errorf("segment has %s, want %s", got, want)
	}
	sum = 14695981039346656037
	w := embedding.Work{}
	for _, e := range entries {
		for _, h := range hits(s, e.Vector, 0.2) {
			sum = (sum ^ uint64(h.ID)) * 1099511628211
			sum = (sum ^ math.Float64bits(h.Similarity)) * 1099511628211
		}
		one := s.Work(e.Vector, 0.2)
		w.Weighed += one.Weighed
		w.Compared += one.Compared
	}
	if got, want := fmt.Sprintf("%016x, %d weighed, %d compared", sum, w.Weighed, w.Compared), goldenHits; got != want {
		t.Errorf("hits %s, want %s", got, want)
	}
}

const (
	goldenSegment = "34512 bytes, d30a3bcd19422467"
	goldenHits    = "0b6193b21561e6e7, 19317 weighed, 15922 compared"
)

// segmentBytes returns a small segment with sketches or without.
func segmentBytes(tb testing.TB, n int) []byte {
	tb.Helper()
	b, err := newSegment(tb, model(64), people(tb, rand.New(rand.NewPCG(8, 8)), families[0], 64, n)).AppendBinary(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestOpenSegmentErrors(t *testing.T) {
	t.Parallel()
	put64 := func(at int, v uint64) func([]byte) []byte {
		return func(b []byte) []byte { binary.LittleEndian.PutUint64(b[at:], v); return b }
	}
	for _, test := range []struct {
		name   string
		change func(b []byte) []byte
		want   error
		text   string
	}{
		{"whole", func(b []byte) []byte { return b }, nil, ""},
		{"empty", func(b []byte) []byte { return nil }, embedding.ErrSegmentCorrupt, "0 bytes"},
		{"header cut", func(b []byte) []byte { return b[:127] }, embedding.ErrSegmentCorrupt, "127 bytes"},
		{"header only", func(b []byte) []byte { return b[:128] }, embedding.ErrSegmentCorrupt, "128 bytes"},
		{"last byte missing", func(b []byte) []byte { return b[:len(b)-1] }, embedding.ErrSegmentCorrupt, "the header says"},
		{"something else", set(0, 'x'), embedding.ErrSegmentCorrupt, "begins with"},
		{"version 0", set(8, 0), embedding.ErrSegmentCorrupt, "version 0"},
		{"version of tomorrow", set(8, 2), embedding.ErrSegmentVersion, "version 2"},
		{"version of later", set(9, 1), embedding.ErrSegmentVersion, "version 257"},
		{"layout 0", set(10, 0), embedding.ErrSegmentCorrupt, "layout 0"},
		{"layout 3", set(10, 3), embedding.ErrSegmentCorrupt, "layout 3"},
		{"other layout", set(10, 1), embedding.ErrSegmentCorrupt, "its counts give"},
		{"no name", set(11, 0), embedding.ErrSegmentCorrupt, "name"},
		{"name too long", set(11, 65), embedding.ErrSegmentCorrupt, "name of 65 bytes"},
		{"name longer than written", set(11, 7), embedding.ErrSegmentCorrupt, "byte 6 of the model's name"},
		{"name shorter than written", set(11, 5), embedding.ErrSegmentCorrupt, "reserved"},
		{"name with a space", set(33, ' '), embedding.ErrSegmentCorrupt, "byte 1 of the model's name"},
		{"dimensions 0", set(12, 0), embedding.ErrSegmentCorrupt, "0 dimensions"},
		{"dimensions 65", set(12, 65), embedding.ErrSegmentCorrupt, "its counts give"},
		{"reserved byte 14", set(14, 1), embedding.ErrSegmentCorrupt, "reserved"},
		{"reserved byte 127", set(127, 1), embedding.ErrSegmentCorrupt, "reserved"},
		{"entries more by one", put64(16, 131), embedding.ErrSegmentCorrupt, "its counts give"},
		{"entries 2^32", put64(16, 1<<32), embedding.ErrSegmentCorrupt, "4294967296 entries"},
		{"entries 2^64-1", put64(16, 1<<64-1), embedding.ErrSegmentCorrupt, "entries"},
		{"middle too long", func(b []byte) []byte { // behind the header, the sketches and two bytes for each
			binary.LittleEndian.PutUint32(b[128+130*64+2*136+4*7:], 1<<21)
			return b
		}, embedding.ErrSegmentCorrupt, "component 7 of the middle"},
		{"middle too long the other way", func(b []byte) []byte {
			binary.LittleEndian.PutUint32(b[128+130*64+2*136:], 1<<31)
			return b
		}, embedding.ErrSegmentCorrupt, "component 0 of the middle"},
		{"size 0", put64(24, 0), embedding.ErrSegmentCorrupt, "the header says 0"},
	} {
		s, err := embedding.OpenSegment(test.change(segmentBytes(t, 130)))
		if !errors.Is(err, test.want) {
			t.Errorf("%s: error %v, want one that wraps %v", test.name, err, test.want)
			continue
		}
		if err != nil && (s != nil || !strings.HasPrefix(err.Error(), "embedding: segment: ") || !strings.Contains(err.Error(), test.text)) {
			t.Errorf("%s: error %q, want it to say %q", test.name, err, test.text)
		}
	}
}

// FuzzOpenSegment uses whatever opens: no call may panic, and a similarity is
// at least the threshold and never NaN.
func FuzzOpenSegment(f *testing.F) {
	for _, n := range []int{0, 3, 130} {
		b := segmentBytes(f, n)
		f.Add(b, uint64(1), 0.3)
		f.Add(b[:len(b)/2], uint64(2), -1.0)
		// Damage behind the header does not keep a segment from being opened.
		damaged := slices.Clone(b)
		for i := 128; i < len(damaged); i += 3 {
			damaged[i] ^= 0x80
		}
		f.Add(damaged, uint64(3), 0.11)
		clear(damaged[128:])
		f.Add(damaged, uint64(4), -0.5)
	}
	f.Fuzz(func(t *testing.T, b []byte, seed uint64, threshold float64) {
		s, err := embedding.OpenSegment(b)
		if err != nil {
			if !errors.Is(err, embedding.ErrSegmentCorrupt) && !errors.Is(err, embedding.ErrSegmentVersion) {
				t.Fatalf("error %v of no documented kind", err)
			}
			return
		}
		if s.Size() > len(b) {
			t.Fatalf("a segment of %d bytes in %d", s.Size(), len(b))
		}
		rng := rand.New(rand.NewPCG(seed, 1))
		x := make([]float32, s.Model().Dimensions)
		for i := range x {
			x[i] = float32(rng.NormFloat64())
		}
		v, err := embedding.New(s.Model(), x)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		s.Search(v, threshold, func(_ uint32, c float64) bool {
			if !(c >= threshold && c >= -1 && c <= 1) {
				t.Fatalf("similarity %v at threshold %v", c, threshold)
			}
			found++
			return true
		})
		n := 0
		for range s.All() {
			n++
		}
		if n != s.Len() || found > n {
			t.Fatalf("All yields %d and Search %d of %d entries", n, found, s.Len())
		}
		s.Work(v, threshold)
	})
}
