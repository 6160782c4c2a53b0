package phash_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/staydown/staydown/phash"
)

// TestAlgorithms walks the table of algorithms: a row that lacks something, or
// that was copied from another one and not adapted, fails here.
func TestAlgorithms(t *testing.T) {
	t.Parallel()
	all := slices.Collect(phash.Algorithms())
	if len(all) != phash.NumAlgorithms-1 || !slices.IsSorted(all) || all[0] != phash.AlgPDQ {
		t.Fatalf("Algorithms yields %v", all)
	}
	src := scene(400, 300)
	p, err := phash.NewPicture(src)
	if err != nil {
		t.Fatal(err)
	}
	registered, err := phash.HashesToStore(p, &phash.StoreOptions{AllAlgorithms: true})
	if err != nil {
		t.Fatal(err)
	}
	names, prefixes := map[string]bool{}, map[string]bool{}
	for _, alg := range all {
		t.Run(alg.String(), func(t *testing.T) {
			if !alg.IsValid() || names[alg.String()] || strings.Contains(alg.String(), "(") {
				t.Errorf("name %v, valid %v, again %v", alg, alg.IsValid(), names[alg.String()])
			}
			names[alg.String()] = true
			if b := alg.Bits(); b != 64 && b != 256 {
				t.Fatalf("%d bits, for which there is no index", b)
			}

			if alg == phash.AlgPart { // of no whole picture: the bits are those of PDQ
				h, err := phash.FromBytes(alg, registered.Hashes[0].Hash.Bytes())
				if err != nil {
					t.Fatal(err)
				}
				registered.Hashes = append(registered.Hashes, phash.StoredHash{Hash: h})
			}
			i := slices.IndexFunc(registered.Hashes, func(v phash.StoredHash) bool { return v.Hash.Algorithm() == alg })
			if i < 0 {
				t.Fatal("a registration has none of its hashes")
			}
			own := registered.Hashes[i]
			if own.Transform != phash.MakeTransform(phash.Whole, phash.Upright) || !own.Hash.Plausible() {
				t.Errorf("first %v of %v, plausible %v", own.Hash, own.Transform, own.Hash.Plausible())
			}
			if own.Hash.Turned(phash.Upright) != own.Hash {
				t.Error("the upright orientation of a hash is another hash")
			}
			checkPlausible(t, alg)
			prefix, _, ok := strings.Cut(own.Hash.String(), ":")
			if !ok || prefix == "" || prefixes[prefix] {
				t.Errorf("prefix %q, again %v", prefix, prefixes[prefix])
			}
			prefixes[prefix] = true
			checkForms(t, own.Hash)
			checkRadii(t, alg)
			checkOrientations(t, alg, own.Hash)
			checkIndexed(t, alg)
		})
	}

	for _, alg := range []phash.Algorithm{phash.AlgNone, phash.NumAlgorithms, 255} {
		if alg.IsValid() || alg.Bits() != 0 || alg.Radii(1) != (phash.Radii{}) || alg.String() == "" {
			t.Errorf("%v: valid %v, %d bits, %v", alg, alg.IsValid(), alg.Bits(), alg.Radii(1))
		}
		if _, err := phash.FromWords(alg, [4]uint64{}); !errors.Is(err, phash.ErrHashKind) {
			t.Errorf("FromWords(%v): %v", alg, err)
		}
		if _, err := phash.FromBytes(alg, nil); !errors.Is(err, phash.ErrHashKind) {
			t.Errorf("FromBytes(%v): %v", alg, err)
		}
		if _, err := phash.NewSegment(alg, nil); !errors.Is(err, phash.ErrHashKind) {
			t.Errorf("NewSegment(%v): %v", alg, err)
		}
	}
}

// checkPlausible: no hash of equal bits is plausible, and HashesToStoreOf refuses it.
func checkPlausible(t *testing.T, alg phash.Algorithm) {
	for _, b := range []byte{0x00, 0xff} {
		flat, err := phash.FromBytes(alg, bytes.Repeat([]byte{b}, alg.Bits()/8))
		if err != nil {
			t.Fatal(err)
		}
		var refused *phash.RefusedError
		if _, err := phash.HashesToStoreOf(flat); flat.Plausible() || !errors.As(err, &refused) || refused.Reason != phash.RefusedBits ||
			refused.Limit == refused.Value {
			t.Errorf("%v: plausible %v, %v", flat, flat.Plausible(), err)
		}
	}
}

// checkForms: a hash is the same after every form.
func checkForms(t *testing.T, h phash.Hash) {
	t.Helper()
	alg := h.Algorithm()
	for _, low := range []string{h.String(), strings.ToUpper(h.String())} {
		_, digits, _ := strings.Cut(low, ":")
		prefix, _, _ := strings.Cut(h.String(), ":")
		if got, err := phash.Parse(prefix + ":" + digits); err != nil || got != h {
			t.Errorf("Parse(%q) = %v, %v", low, got, err)
		}
	}
	if got, err := phash.FromBytes(alg, h.Bytes()); err != nil || got != h {
		t.Errorf("FromBytes: %v, %v", got, err)
	}
	if got, err := phash.FromWords(alg, h.Words()); err != nil || got != h {
		t.Errorf("FromWords: %v, %v", got, err)
	}
	if alg.Bits() == 64 {
		w := h.Words()
		w[1] = 1
		if _, err := phash.FromWords(alg, w); !errors.Is(err, phash.ErrHashForm) {
			t.Errorf("FromWords with bits beyond: %v", err)
		}
	}
	type doc struct {
		A, B phash.Hash // B stays zero
		M    map[phash.Hash]int
	}
	in := doc{A: h, M: map[phash.Hash]int{h: 1}}
	var buf bytes.Buffer
	var out doc
	if err := gob.NewEncoder(&buf).Encode(in); err != nil {
		t.Fatal(err)
	}
	if err := gob.NewDecoder(&buf).Decode(&out); err != nil || out.A != in.A || out.B != in.B || out.M[h] != 1 {
		t.Errorf("gob: %v, %v", out, err)
	}
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	out = doc{}
	if err := json.Unmarshal(text, &out); err != nil || out.A != in.A || out.B != in.B || out.M[h] != 1 {
		t.Errorf("JSON: %v, %v", out, err)
	}
	if b, err := h.AppendBinary([]byte("x")); err != nil || len(b) != 2+alg.Bits()/8 || b[1] != byte(alg) || !bytes.Equal(b[2:], h.Bytes()) {
		t.Errorf("AppendBinary: %x, %v", b, err)
	}
}

// checkRadii: a match by chance must be out of the question. Half of a quarter of
// the bits is far below what unlike pictures differ by.
func checkRadii(t *testing.T, alg phash.Algorithm) {
	last, least := alg.Radii(0), 0
	if alg == phash.AlgPart { // an identical part makes no identical picture
		least = -1
	}
	for _, n := range []int{0, 1, 1_000, 10_000, 100_000, 1_000_000, 100_000_000} {
		r := alg.Radii(n)
		if r.Near < 0 || r.Identical < least || r.Identical > r.Block || r.Flat > r.Block || r.Flat < 0 ||
			r.Review != 0 && r.Review < r.Block || max(r.Block, r.Review) > alg.Bits()/4 {
			t.Errorf("%d hashes: %+v", n, r)
		}
		if r.Block > last.Block || r.Review > last.Review || r.Identical > last.Identical {
			t.Errorf("%d hashes: %+v, wider than %+v of fewer", n, r, last)
		}
		if r.Reach(false) != r.Block || r.Reach(true) != max(r.Block, r.Review) {
			t.Errorf("%+v reaches %d and %d", r, r.Reach(false), r.Reach(true))
		}
		last = r
	}
}

// checkOrientations: what the bits say of an orientation is near to the hash of
// the turned picture; a quarter of the bits would be chance.
func checkOrientations(t *testing.T, alg phash.Algorithm, own phash.Hash) {
	mirror, err := phash.NewPicture(mirrored(scene(400, 300)))
	if err != nil {
		t.Fatal(err)
	}
	r, err := phash.HashesToStore(mirror, &phash.StoreOptions{AllAlgorithms: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range r.Hashes {
		if v.Hash.Algorithm() != alg || v.Transform.Edit() != phash.Whole {
			continue
		}
		switch v.Transform.Orientation() {
		case phash.Mirrored:
			if d, _ := v.Hash.Distance(own); d > alg.Bits()/16 {
				t.Errorf("mirrored twice, a picture is %d bits away", d)
			}
		case phash.Upright:
			if h := own.Turned(phash.Mirrored); !h.IsZero() {
				if d, _ := v.Hash.Distance(h); d > alg.Bits()/8 {
					t.Errorf("by its bits, the mirrored hash is %d bits away", d)
				}
			}
		}
	}
}

// checkIndexed: a segment finds what a loop finds, also beside the others'
// hashes, which are errors.
func checkIndexed(t *testing.T, alg phash.Algorithm) {
	rng := rand.New(rand.NewPCG(uint64(alg), 1))
	entries := make([]phash.Entry, 6000)
	linear := phash.NewLinear(alg)
	for i := range entries {
		entries[i] = phash.Entry{Hash: randomHash(rng, alg), ID: uint32(i)}
		if err := linear.Insert(entries[i].Hash, uint32(i)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := phash.NewSegment(alg, entries)
	if err != nil {
		t.Fatal(err)
	}
	for _, radius := range []int{alg.Radii(len(entries)).Block, alg.Bits() / 3} {
		q := flip(rng, entries[7].Hash, 2)
		if d := diffHits(hits(linear, q, radius), hits(s, q, radius)); d != "" {
			t.Errorf("radius %d (-want +got):\n%s", radius, d)
		}
	}
	for other := range phash.Algorithms() {
		if other == alg {
			continue
		}
		if err := linear.Insert(randomHash(rng, other), 1); !errors.Is(err, phash.ErrHashKind) {
			t.Errorf("a hash of %v in an index of %v: %v", other, alg, err)
		}
		if !s.Search(randomHash(rng, other), 64, func(uint32, int) bool { t.Error("a hit"); return true }) {
			t.Error("a search for another algorithm did not end")
		}
	}
}
