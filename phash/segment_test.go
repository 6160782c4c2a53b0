package phash_test

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/staydown/staydown/internal/sharedtest"
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
	sortHits(all)
	return all
}

// diffHits is cmp.Diff, but quick where nothing differs.
func diffHits(want, got []hit) string {
	if slices.Equal(want, got) {
		return ""
	}
	return cmp.Diff(want, got)
}

func sortHits(all []hit) {
	slices.SortFunc(all, func(a, b hit) int {
		if a.ID != b.ID {
			return int(int64(a.ID) - int64(b.ID))
		}
		return a.Distance - b.Distance
	})
}

// randomHash draws as it did when the golden digests were made.
func randomHash(rng *rand.Rand, alg phash.Algorithm) phash.Hash {
	if alg.Bits() == 64 {
		return fromWords(alg, [4]uint64{rng.Uint64()})
	}
	b := make([]byte, alg.Bits()/8)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	h, err := phash.FromBytes(alg, b)
	if err != nil {
		panic(err)
	}
	return h
}

// flip returns h with n random bits changed.
func flip(rng *rand.Rand, h phash.Hash, n int) phash.Hash {
	w := h.Words()
	for _, k := range rng.Perm(h.Algorithm().Bits())[:min(n, h.Algorithm().Bits())] {
		w[k/64] ^= 1 << (k % 64)
	}
	return fromWords(h.Algorithm(), w)
}

func fromWords(alg phash.Algorithm, w [4]uint64) phash.Hash {
	h, err := phash.FromWords(alg, w)
	if err != nil {
		panic(err)
	}
	return h
}

var algorithms = slices.Collect(phash.Algorithms())

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
			for q := range 16 {
				h := randomHash(rng, alg)
				if n > 0 && q%2 == 0 {
					h = flip(rng, entries[rng.IntN(n)].Hash, rng.IntN(12))
				}
				for _, radius := range []int{-1, 0, 4, 8, 10, 31, 47, 64, 100} {
					want := hits(oracle, h, radius)
					if diff := diffHits(want, hits(s, h, radius)); diff != "" {
						t.Fatalf("%v, %d entries, radius %d (-want +got):\n%s", alg, n, radius, diff)
					}
					if diff := diffHits(want, hits(opened, h, radius)); diff != "" {
						t.Fatalf("%v, %d entries, radius %d, opened (-want +got):\n%s", alg, n, radius, diff)
					}
				}
			}
		}
	}
}

// layouts are the ways in which a segment may be laid out, whatever its size
// makes NewSegment choose.
var layouts = []struct {
	name           string
	alg            phash.Algorithm
	chunks, stride int
	maxRadius      int
}{
	{"64 bit, 3 chunks", phash.AlgPerception, 3, 0, 12},
	{"64 bit, 4 chunks", phash.AlgPerception, 4, 0, 20},
	{"64 bit, 5 chunks", phash.AlgPerception, 5, 0, 20},
	{"64 bit, 7 chunks", phash.AlgPerception, 7, 0, 20},
	{"64 bit, 8 chunks", phash.AlgPerception, 8, 0, 24},
	{"256 bit, stride 3", phash.AlgPDQ, 16, 3, 64},
	{"256 bit, stride 4", phash.AlgPDQ, 16, 4, 64},
}

// TestSegmentLayouts compares the tables of every layout with the oracle, at
// every radius, also where they would not be used because a scan is cheaper.
func TestSegmentLayouts(t *testing.T) {
	t.Parallel()
	for _, l := range layouts {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(2, 2))
			var entries []phash.Entry
			oracle := phash.NewLinear(l.alg)
			for i := range 1500 {
				h := randomHash(rng, l.alg)
				if i > 0 && rng.IntN(4) > 0 {
					h = flip(rng, entries[rng.IntN(i)].Hash, rng.IntN(l.maxRadius))
				}
				entries = append(entries, phash.Entry{Hash: h, ID: uint32(i)})
				if err := oracle.Insert(h, uint32(i)); err != nil {
					t.Fatal(err)
				}
			}
			s := phash.NewSegmentWithTables(l.alg, entries, l.chunks, l.stride, l.maxRadius)
			for radius := range l.maxRadius + 1 {
				for range 12 {
					h := flip(rng, entries[rng.IntN(len(entries))].Hash, rng.IntN(radius+8))
					if w := s.Work(h, radius); w.Scanned > 0 {
						t.Fatalf("radius %d: scans", radius)
					}
					if diff := diffHits(hits(oracle, h, radius), hits(s, h, radius)); diff != "" {
						t.Fatalf("radius %d (-want +got):\n%s", radius, diff)
					}
				}
			}
			b, err := s.AppendBinary(nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := phash.OpenSegment(b); err != nil {
				t.Errorf("OpenSegment: %v", err)
			}
		})
	}
}

// hostile are sets of hashes made up to send searches into full buckets, or
// to send many entries past every filter but the last.
var hostile = []struct {
	name string
	make func(rng *rand.Rand, alg phash.Algorithm, i int) phash.Hash
}{
	{"all equal", func(_ *rand.Rand, alg phash.Algorithm, _ int) phash.Hash {
		return fromWords(alg, [4]uint64{})
	}},
	{"one bit apart", func(_ *rand.Rand, alg phash.Algorithm, i int) phash.Hash {
		w := [4]uint64{}
		k := i % alg.Bits()
		w[k/64] ^= 1 << (k % 64)
		k = i / alg.Bits() % alg.Bits()
		w[k/64] ^= 1 << (k % 64)
		return fromWords(alg, w)
	}},
	{"first words shared", func(rng *rand.Rand, alg phash.Algorithm, _ int) phash.Hash {
		w := randomHash(rng, alg).Words()
		w[0] &= 0xffff_ffff
		w[2], w[3] = 0, 0
		return fromWords(alg, w)
	}},
	{"every other chunk shared", func(rng *rand.Rand, alg phash.Algorithm, _ int) phash.Hash {
		w := randomHash(rng, alg).Words()
		for i := range w {
			w[i] &= 0xffff_0000_ffff
		}
		return fromWords(alg, w)
	}},
	{"few bits set", func(rng *rand.Rand, alg phash.Algorithm, _ int) phash.Hash {
		return flip(rng, fromWords(alg, [4]uint64{}), rng.IntN(alg.Bits()/8))
	}},
	{"at twice the radius", func(rng *rand.Rand, alg phash.Algorithm, _ int) phash.Hash {
		return flip(rng, fromWords(alg, [4]uint64{}), alg.Bits()/4)
	}},
}

// TestSegmentBoundsWork holds Search to what it promises: whatever the data,
// it looks at no more than a quarter of the hashes in buckets, or scans.
func TestSegmentBoundsWork(t *testing.T) {
	t.Parallel()
	const n = 12000
	for _, alg := range algorithms {
		for _, data := range hostile {
			rng := rand.New(rand.NewPCG(3, 3))
			oracle := phash.NewLinear(alg)
			entries := make([]phash.Entry, n)
			for i := range entries {
				entries[i] = phash.Entry{Hash: data.make(rng, alg, i), ID: uint32(i)}
				if i%4 == 3 { // among others, so that most of the list looks harmless
					entries[i].Hash = randomHash(rng, alg)
				}
				if err := oracle.Insert(entries[i].Hash, entries[i].ID); err != nil {
					t.Fatal(err)
				}
			}
			s := segment(t, alg, entries)
			for q := range 12 {
				h := flip(rng, entries[rng.IntN(n)].Hash, rng.IntN(9))
				if q%3 == 0 {
					h = randomHash(rng, alg)
				}
				for _, radius := range []int{4, 10, 31, 47} {
					w := s.Work(h, radius)
					if w.Candidates > n/4 || w.Scanned > n || w.Scanned > 0 && w.Candidates > 0 || w.Probes > n/2 {
						t.Errorf("%v, %s, radius %d: %+v", alg, data.name, radius, w)
					}
					if q < 3 {
						if diff := diffHits(hits(oracle, h, radius), hits(s, h, radius)); diff != "" {
							t.Fatalf("%v, %s, radius %d (-want +got):\n%s", alg, data.name, radius, diff)
						}
					}
				}
			}
		}
	}
}

func TestSegmentIsCanonical(t *testing.T) {
	t.Parallel()
	for _, alg := range algorithms {
		rng := rand.New(rand.NewPCG(9, 9))
		var entries []phash.Entry
		for i := range 20000 {
			entries = append(entries, phash.Entry{Hash: randomHash(rng, alg), ID: uint32(i % 5000)})
			if i%10 == 0 {
				entries = append(entries, entries[rng.IntN(len(entries))])
			}
		}
		s := segment(t, alg, entries)
		var all []phash.Entry
		for e := range s.All() {
			all = append(all, e)
		}
		rng.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
		want, _ := s.AppendBinary(nil)
		for name, other := range map[string]*phash.Segment{
			"shuffled": segment(t, alg, entries), "from All": segment(t, alg, all), "in huge pages": s.InHugePages(),
		} {
			got, _ := other.AppendBinary([]byte("x"))
			if string(got[1:]) != string(want) {
				t.Errorf("%v: bytes of the segment %s differ", alg, name)
			}
			if other.Len() != len(entries) || other.Size() != len(want) {
				t.Errorf("%v: %s: Len %d, Size %d; want %d, %d", alg, name, other.Len(), other.Size(), len(entries), len(want))
			}
		}
		if len(all) != len(entries) {
			t.Errorf("%v: All gave %d of %d entries", alg, len(all), len(entries))
		}
	}
}

// TestSegmentGolden pins the bytes: what this version writes, on any machine,
// later versions have to read.
func TestSegmentGolden(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name      string
		alg       phash.Algorithm
		n, copies int
		size      int
		sha256    string
	}{
		{"64 bit, empty", phash.AlgPerception, 0, 0, 64, "4f01e36f06b311a8ff860b6b0367c9e0f5c5df6c14e3e6a308bc8324275da641"},
		{"64 bit, scan", phash.AlgPerception, 500, 10, 8112, "0ffdaf5caf914992dd89bcbf2ad3a21598bd62085d1757be8c50ed4ceb1e2e25"},
		{"64 bit, 5 chunks", phash.AlgPerception, 2000, 10, 235640, "2609e35ad66553ce34e93c8956c9248d17ceef3999d2edae62d3c7b23db45adc"},
		{"256 bit, scan", phash.AlgPDQ, 500, 0, 18064, "95557b9055c62951a090c5edcc4cd1b00329143ef61733dbe6317439fc9073eb"},
		{"256 bit, 16 chunks", phash.AlgPDQ, 5000, 10, 4779792, "09b89b12b7eff5004ee3f033268aa0bcd3c3f21ac93c14dfaffeb043d42f7b53"},
	} {
		rng := rand.New(rand.NewPCG(14, 14))
		var entries []phash.Entry
		for i := range test.n {
			entries = append(entries, phash.Entry{Hash: randomHash(rng, test.alg), ID: uint32(i)})
		}
		for i := range test.copies {
			entries = append(entries, phash.Entry{Hash: entries[i].Hash, ID: 1 << 31})
		}
		b, err := segment(t, test.alg, entries).AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(b)); len(b) != test.size || got != test.sha256 {
			t.Errorf("%s: %d bytes, SHA-256 %s; want %d, %s", test.name, len(b), got, test.size, test.sha256)
		}
	}
}

// TestSegmentInHugePages drops the original, and the collector runs, while the
// copy is searched.
func TestSegmentInHugePages(t *testing.T) {
	t.Parallel()
	for _, alg := range algorithms {
		rng := rand.New(rand.NewPCG(10, 10))
		entries := make([]phash.Entry, 60000)
		for i := range entries {
			entries[i] = phash.Entry{Hash: randomHash(rng, alg), ID: uint32(i)}
		}
		for i := range 3 {
			s := segment(t, alg, entries).InHugePages()
			s.Search(entries[i].Hash, 8, func(id uint32, d int) bool {
				runtime.GC()
				if id != uint32(i) || d != 0 {
					t.Errorf("found %d at %d, want %d at 0", id, d, i)
				}
				return true
			})
		}
	}
}

// smallSegments are bytes to damage: one of every layout.
func smallSegments(tb testing.TB) [][]byte {
	rng := rand.New(rand.NewPCG(11, 11))
	var all [][]byte
	add := func(s *phash.Segment) {
		b, err := s.AppendBinary(nil)
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, b)
	}
	for _, alg := range algorithms {
		var entries []phash.Entry
		for i := range 40 {
			entries = append(entries, phash.Entry{Hash: randomHash(rng, alg), ID: uint32(i)})
		}
		add(segment(tb, alg, nil))
		add(segment(tb, alg, entries))
		add(segment(tb, alg, append(entries, entries[:5]...)))
		if alg == phash.AlgPerception {
			add(phash.NewSegmentWithTables(alg, entries, 8, 0, 64))
			add(phash.NewSegmentWithTables(alg, append(entries, entries[0]), 7, 0, 64))
		}
	}
	return all
}

// useSegment opens b and, if it opens, makes every call; none may panic, and
// what comes out must stay within what the header promises.
func useSegment(tb testing.TB, b []byte) {
	s, err := phash.OpenSegment(b)
	if err != nil {
		if !errors.Is(err, phash.ErrSegmentCorrupt) && !errors.Is(err, phash.ErrSegmentVersion) {
			tb.Errorf("OpenSegment: error of no kind: %v", err)
		}
		return
	}
	n := 0
	for e := range s.All() {
		n++
		if n > 100 {
			break
		}
		for _, radius := range []int{0, 3, s.Algorithm().Bits()} {
			for _, force := range []bool{false, true} {
				if force {
					s.ForceTables(12)
				}
				calls := 0
				s.Search(e.Hash, radius, func(_ uint32, d int) bool {
					if d > radius {
						tb.Errorf("found at distance %d with radius %d", d, radius)
					}
					calls++
					return true
				})
				if calls > 2*s.Len()*s.Len() {
					tb.Errorf("%d entries gave %d results", s.Len(), calls)
				}
			}
		}
	}
	if n != min(s.Len(), 101) {
		tb.Errorf("Len %d, All gave %d", s.Len(), n)
	}
}

// TestOpenSegmentDamaged changes every byte of the header, and many of the
// rest, and cuts everywhere.
func TestOpenSegmentDamaged(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(sharedtest.Seed(t), 0))
	for _, b := range smallSegments(t) {
		step := 1 + len(b)/500
		if !sharedtest.Long() {
			step = 1 + rng.IntN(len(b)/50+1) // some 100 places behind the header, others in each run
		}
		for i := 0; i < len(b); i++ {
			if i >= 200 {
				i += step - 1
			}
			if i >= len(b) {
				break
			}
			for _, x := range []byte{1, 0x80, 0xff} {
				b[i] ^= x
				useSegment(t, b)
				b[i] ^= x
			}
			if _, err := phash.OpenSegment(b[:i]); err == nil {
				t.Errorf("segment of %d bytes opened from %d", len(b), i)
			}
		}
		useSegment(t, append(b, 1, 2, 3))
	}
}

// TestSegmentDamagedPositions makes positions lead outside of the segment,
// which opening does not look at.
func TestSegmentDamagedPositions(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(13, 13))
	var entries []phash.Entry
	for i := range 40 {
		entries = append(entries, phash.Entry{Hash: randomHash(rng, phash.AlgPDQ), ID: uint32(i)})
	}
	for _, stride := range []int{3, 4} {
		b, err := phash.NewSegmentWithTables(phash.AlgPDQ, entries, 16, stride, 0).AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		// The last array holds the positions of the last table.
		for i := range 40 * stride {
			b[len(b)-8-i] = 0xff
		}
		s, err := phash.OpenSegment(b)
		if err != nil {
			t.Fatalf("OpenSegment looked at positions: %v", err)
		}
		s.ForceTables(64)
		for i, e := range entries {
			if got := hits(s, e.Hash, 3); len(got) == 0 || got[0].ID != uint32(i) {
				t.Errorf("stride %d: found %v, want %d, which a table before the last leads to", stride, got, i)
			}
			hits(s, e.Hash, 64)
		}
	}
}

func TestOpenSegmentErrors(t *testing.T) {
	t.Parallel()
	whole := smallSegments(t)[1]
	for _, test := range []struct {
		name   string
		damage func(b []byte)
		want   error
	}{
		{"magic", func(b []byte) { b[0]++ }, phash.ErrSegmentCorrupt},
		{"next version", func(b []byte) { b[8]++ }, phash.ErrSegmentVersion},
		{"version 0", func(b []byte) { b[8] = 0 }, phash.ErrSegmentCorrupt},
		{"algorithm of a newer version", func(b []byte) { b[10] = 77 }, phash.ErrSegmentVersion},
		{"no algorithm", func(b []byte) { b[10] = 0 }, phash.ErrSegmentCorrupt},
		{"layout", func(b []byte) { b[11] = 77 }, phash.ErrSegmentCorrupt},
		{"reserved", func(b []byte) { b[63] = 1 }, phash.ErrSegmentCorrupt},
		{"entries", func(b []byte) { b[16]++ }, phash.ErrSegmentCorrupt},
		{"entries beyond memory", func(b []byte) { b[22] = 1 }, phash.ErrSegmentCorrupt},
		{"size", func(b []byte) { b[32]++ }, phash.ErrSegmentCorrupt},
	} {
		b := slices.Clone(whole)
		test.damage(b)
		if _, err := phash.OpenSegment(b); !errors.Is(err, test.want) {
			t.Errorf("%s: error %v, want %v", test.name, err, test.want)
		}
	}
}

func FuzzOpenSegment(f *testing.F) {
	for _, b := range smallSegments(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) { useSegment(t, b) })
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

// The assembly finds what a loop finds, in blocks that are full or not, and
// reads nothing that it then counts.
func TestCloseAVX2(t *testing.T) {
	t.Parallel()
	wide := phash.CloseAVX2()
	if wide == nil {
		t.Skip("no AVX2 here")
	}
	rng := rand.New(rand.NewPCG(31, 7))
	for n := 1; n <= 256; n = n + 1 + n/20 {
		rest := make([]byte, 2*n+64)
		for range 200 {
			for i := range rest {
				rest[i] = byte(rng.Uint32())
			}
			other, left := uint16(rng.Uint32()), uint16(rng.IntN(17))
			var want, got []uint8
			for i := range n {
				if bits.OnesCount16(binary.LittleEndian.Uint16(rest[2*i:])^other) <= int(left) {
					want = append(want, uint8(i))
				}
			}
			var out [256]uint8
			got = out[:wide(&rest[0], n, other, left, &out)]
			if !slices.Equal(got, want) {
				t.Fatalf("%d entries, %04x, left %d: %v, want %v", n, other, left, got, want)
			}
		}
	}
}

// Hashes of few different chunks fill their buckets, up to the end of the tables.
func TestSegmentSearch_FullBuckets(t *testing.T) {
	t.Parallel()
	for _, n := range []int{70, 999, 4000} {
		rng := rand.New(rand.NewPCG(3, uint64(n)))
		var chunks [5]uint16
		for i := range chunks {
			chunks[i] = uint16(rng.Uint32())
		}
		chunks[0] = 0xffff // the last bucket of a table
		oracle := phash.NewLinear(phash.AlgPDQ)
		var entries []phash.Entry
		for i := range n {
			var w [4]uint64
			for k := range 16 {
				w[k/4] |= uint64(chunks[rng.IntN(len(chunks))]^1<<rng.IntN(16)>>rng.IntN(16)) << (16 * (k % 4))
			}
			e := phash.Entry{Hash: fromWords(phash.AlgPDQ, w), ID: uint32(i)}
			entries = append(entries, e)
			if err := oracle.Insert(e.Hash, e.ID); err != nil {
				t.Fatal(err)
			}
		}
		s := tables(phash.AlgPDQ, entries)
		var queries []phash.Hash
		for i := range 70 {
			queries = append(queries, flip(rng, entries[i*7%n].Hash, i%40))
		}
		for _, radius := range []int{0, 15, 31, 46, 64} {
			checkAll(t, s, oracle, queries, radius)
		}
	}
}

// checkAll searches for all queries at once, and one by one.
func checkAll(t *testing.T, s *phash.Segment, oracle *phash.Linear, queries []phash.Hash, radius int) {
	t.Helper()
	all := make([][]hit, len(queries))
	if !s.SearchAll(queries, radius, func(q int, id uint32, d int) bool {
		all[q] = append(all[q], hit{id, d})
		return true
	}) {
		t.Fatal("SearchAll did not come to the end")
	}
	for q, h := range queries {
		sortHits(all[q])
		want := hits(oracle, h, radius)
		if diff := diffHits(want, all[q]); diff != "" {
			t.Fatalf("query %d of %d, radius %d (-want +got):\n%s", q, len(queries), radius, diff)
		}
		if diff := diffHits(want, hits(s, h, radius)); diff != "" {
			t.Fatalf("query %d alone, radius %d (-want +got):\n%s", q, radius, diff)
		}
	}
}
