package embedding_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/staydown/staydown/internal/embedding"
	"github.com/staydown/staydown/internal/sharedtest"
)

// benchmarkSizes returns the sizes of the benchmarks' segments; a million faces
// of 512 dimensions take 1.5 GB while they are built and are asked for by
//
//	STAYDOWN_LONG=1 go test -run '^$' -bench Segment ./internal/embedding
func benchmarkSizes() []int {
	if os.Getenv("STAYDOWN_LONG") != "" {
		return []int{10_000, 100_000, 1_000_000}
	}
	return []int{10_000, 100_000}
}

// drawEntries returns n vectors of a family, of different people.
func drawEntries(tb testing.TB, rng *rand.Rand, f family, dimensions, n int) []embedding.Entry {
	tb.Helper()
	x := make([]float64, dimensions)
	entries := make([]embedding.Entry, n)
	for i := range entries {
		f.draw(rng, x)
		entries[i] = embedding.Entry{Vector: newVector(tb, model(dimensions), x), ID: uint32(i)}
	}
	return entries
}

func BenchmarkSegmentSearch(b *testing.B) {
	for _, n := range benchmarkSizes() {
		benchmarkSearch(b, families[0], 512, n, []float64{0.25, 0.3, 0.35, 0.4, 0.5, 0.7})
		benchmarkSearch(b, families[1], 512, n, []float64{0.5, 0.6, 0.7})
		benchmarkSearch(b, families[2], 128, n, []float64{0.9, 0.95})
	}
}

// benchmarkSearch searches among n vectors of a family for others of it.
func benchmarkSearch(b *testing.B, f family, dimensions, n int, thresholds []float64) {
	var s *embedding.Segment
	var queries []embedding.Vector
	for _, threshold := range thresholds {
		b.Run(fmt.Sprintf("%s/dimensions=%d/n=%d/threshold=%.2f", f.name, dimensions, n, threshold), func(b *testing.B) {
			if s == nil {
				rng := rand.New(rand.NewPCG(1, 2))
				s = newSegment(b, model(dimensions), drawEntries(b, rng, f, dimensions, n)).InHugePages()
				for _, e := range drawEntries(b, rng, f, dimensions, 64) {
					queries = append(queries, e.Vector)
				}
			}
			b.ReportAllocs()
			i, found := 0, 0
			start := sharedtest.CPUTime()
			for b.Loop() {
				s.Search(queries[i%len(queries)], threshold, func(uint32, float64) bool { found++; return true })
				i++
			}
			b.ReportMetric(float64(sharedtest.CPUTime()-start)/float64(time.Millisecond)/float64(b.N), "cpu-ms/op")
			var w embedding.Work
			for _, q := range queries {
				one := s.Work(q, threshold)
				w.Weighed += one.Weighed
				w.Compared += one.Compared
			}
			all := float64(len(queries) * n)
			b.ReportMetric(100*float64(w.Weighed)/all, "%weighed")
			b.ReportMetric(100*float64(w.Compared)/all, "%compared")
			b.ReportMetric(float64(s.Size())/float64(n), "B/face")
		})
	}
}

// BenchmarkSegmentWorstCase searches among faces that are all those of the
// query: no sketch keeps it from comparing.
func BenchmarkSegmentWorstCase(b *testing.B) {
	const n = 100_000
	e := drawEntries(b, rand.New(rand.NewPCG(1, 2)), families[0], 512, 1)[0]
	entries := make([]embedding.Entry, n)
	for i := range entries {
		entries[i] = embedding.Entry{Vector: e.Vector, ID: uint32(i)}
	}
	s := newSegment(b, model(512), entries)
	start := sharedtest.CPUTime()
	for b.Loop() {
		s.Search(e.Vector, 0.5, func(uint32, float64) bool { return true })
	}
	b.ReportMetric(float64(sharedtest.CPUTime()-start)/float64(time.Millisecond)/float64(b.N), "cpu-ms/op")
}

func BenchmarkLinearSearch(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	const n = 10_000
	l := embedding.NewLinear(model(512))
	for _, e := range drawEntries(b, rng, families[0], 512, n) {
		if err := l.Insert(e.Vector, e.ID); err != nil {
			b.Fatal(err)
		}
	}
	query := drawEntries(b, rng, families[0], 512, 1)[0].Vector
	b.Run(fmt.Sprintf("dimensions=512/n=%d", n), func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			l.Search(query, 0.4, func(uint32, float64) bool { return true })
		}
	})
}

func BenchmarkNewSegment(b *testing.B) {
	entries := drawEntries(b, rand.New(rand.NewPCG(1, 2)), families[0], 512, 10_000)
	start := sharedtest.CPUTime()
	for b.Loop() {
		if _, err := embedding.NewSegment(model(512), entries); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(sharedtest.CPUTime()-start)/float64(b.N)/float64(len(entries)), "cpu-ns/face")
}

func BenchmarkVectorSet(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	x := make([]float32, 512)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	var v embedding.Vector
	b.ReportAllocs()
	for b.Loop() {
		if err := v.Set(model(512), x); err != nil {
			b.Fatal(err)
		}
	}
}
