package phash_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/staydown/staydown/phash"
)

// BenchmarkSearch searches random hashes for random hashes, with every index.
// Compare the figures of one run with each other; internal/tools/benchmarks/index measures
// more kinds of data, and other libraries.
//
//	go test -bench Search -run ^$ ./phash
func BenchmarkSearch(b *testing.B) {
	for _, c := range []struct {
		alg    phash.Algorithm
		n      int
		radius int
		trees  bool
	}{
		{phash.AlgPerception, 100_000, 4, true},
		{phash.AlgPerception, 1_000_000, 4, false},
		{phash.AlgPerception, 1_000_000, 8, false},
		{phash.AlgPerception, 1_000_000, 10, false},
		{phash.AlgPDQ, 100_000, 31, true},
		{phash.AlgPDQ, 100_000, 47, false},
		{phash.AlgPDQ, 1_000_000, 31, false},
		{phash.AlgPDQ, 1_000_000, 47, false},
	} {
		b.Run(fmt.Sprintf("%v-%d-r%d", c.alg, c.n, c.radius), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(12, 12))
			entries := make([]phash.Entry, c.n)
			linear, tree := phash.NewLinear(c.alg), phash.NewBKTree(c.alg)
			for i := range entries {
				entries[i] = phash.Entry{Hash: randomHash(rng, c.alg), ID: uint32(i)}
				_ = linear.Insert(entries[i].Hash, entries[i].ID)
				if c.trees {
					_ = tree.Insert(entries[i].Hash, entries[i].ID)
				}
			}
			queries := make([]phash.Hash, 1<<12)
			for i := range queries {
				queries[i] = randomHash(rng, c.alg)
			}
			bench := func(name string, search func(h phash.Hash)) {
				b.Run(name, func(b *testing.B) {
					b.ReportAllocs()
					i := 0
					for b.Loop() {
						search(queries[i%len(queries)])
						i++
					}
				})
			}
			found := 0
			s := segment(b, c.alg, entries)
			bench("segment", func(h phash.Hash) {
				s.Search(h, c.radius, func(uint32, int) bool { found++; return true })
			})
			huge := s.InHugePages()
			bench("segment in huge pages", func(h phash.Hash) {
				huge.Search(h, c.radius, func(uint32, int) bool { found++; return true })
			})
			bench("segment, same query", func(phash.Hash) {
				s.Search(queries[0], c.radius, func(uint32, int) bool { found++; return true })
			})
			bench("linear", func(h phash.Hash) {
				linear.Search(h, c.radius, func(uint32, int) bool { found++; return true })
			})
			if c.trees {
				bench("BK-tree", func(h phash.Hash) {
					tree.Search(h, c.radius, func(uint32, int) bool { found++; return true })
				})
			}
		})
	}
}
