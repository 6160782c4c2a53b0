package takedown_test

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
)

// A rule with a hash of every algorithm blocks what is as near as the table of
// algorithms says, and nothing else; on a node that loaded the list as well. An
// algorithm that took the radii of another one would fail here: within 46 of 64
// bits lies nearly everything.
func TestFilter_EveryAlgorithm(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := boltjournal.Open(filepath.Join(dir, "list"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	own := map[phash.Algorithm]phash.Hash{}
	for alg := range phash.Algorithms() {
		own[alg] = flipped(t, rng, alg, [4]uint64{rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64()}, 0)
		if _, err := l.Append(context.Background(), blocklist.Event{ID: [16]byte{byte(alg)}, Type: blocklist.EventAdded, Rule: &blocklist.Rule{
			Kind: 1, Scope: blocklist.ScopeDuplicate, Effect: blocklist.EffectBlock, Case: [16]byte{byte(alg)},
			Keys: blocklist.Keys{Hashes: []blocklist.HashKey{{Hash: own[alg]}}},
		}}); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "list.snap")
	if err := l.Publish(path); err != nil {
		t.Fatal(err)
	}
	desk, err := takedown.NewEnforcer([]takedown.ListSource{{List: l}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	node, err := takedown.Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	for alg, h := range own {
		// Kind 1 without features is a flat picture.
		r := alg.Radii(1)
		for name, e := range map[string]*takedown.Enforcer{"desk": desk, "node": node} {
			for _, tt := range []struct {
				distance int
				want     takedown.Verdict
			}{{0, takedown.Block}, {r.Flat, takedown.Block}, {r.Reach(false) + 1, takedown.Allow}, {alg.Bits() / 2, takedown.Allow}} {
				d := e.Filter("", flipped(t, rng, alg, h.Words(), tt.distance))
				if d.Verdict != tt.want || d.Checked != takedown.TierHash || d.Verdict == takedown.Block && (d.Distance != tt.distance || d.Case[0] != byte(alg)) {
					t.Errorf("%v, %s: at %d bits %+v, want %v", alg, name, tt.distance, d, tt.want)
				}
			}
			for range 1000 {
				unlike := flipped(t, rng, alg, [4]uint64{rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64()}, 0)
				if d := e.Filter("", unlike); d.Verdict != takedown.Allow {
					t.Fatalf("%v, %s: another picture's hash: %+v", alg, name, d)
				}
			}
		}
	}
}

// flipped returns the hash with these bits, n of them changed.
func flipped(t *testing.T, rng *rand.Rand, alg phash.Algorithm, w [4]uint64, n int) phash.Hash {
	t.Helper()
	for _, k := range rng.Perm(alg.Bits())[:n] {
		w[k/64] ^= 1 << (k % 64)
	}
	clear(w[alg.Bits()/64:])
	h, err := phash.FromWords(alg, w)
	if err != nil {
		t.Fatal(err)
	}
	return h
}
