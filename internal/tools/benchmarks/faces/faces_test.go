// Package faces compares the index of face vectors with pure-Go indexes that
// others use: coder/hnsw, a graph that finds most of the nearest, and
// chromem-go, which compares with every vector. All are asked for the
// registered faces of people whose other photographs are searched for.
//
//	go test -bench . -benchtime 2s -timeout 1h ./faces
//
// FACES is the number of registered faces (default 20,000). The graph takes
// minutes to build at 100,000.
package faces_test

import (
	"context"
	"fmt"
	"math"
	mathrand "math/rand"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/coder/hnsw"
	"github.com/philippgille/chromem-go"
	"github.com/staydown/staydown/internal/embedding"
)

const (
	dimensions = 512
	nearest    = 10 // what the others are asked for
)

// data are registered faces, one of each person, and searches: half of them
// are other photographs of the registered, similar by the threshold and up to
// 0.3 more.
type data struct {
	name            string
	threshold       float64
	faces, searches [][]float32
	person          []int // of a search, -1 if not registered
}

// kinds are directions without preference, in which a graph has little to
// follow, and those of most models, where a few directions carry most and
// people look like each other.
var kinds = []func() data{
	sync.OnceValue(func() data { return draw("even", 0.4, func(int) float64 { return 1 }) }),
	sync.OnceValue(func() data {
		return draw("skewed", 0.6, func(i int) float64 { return 1 / math.Sqrt(float64(i+1)) })
	}),
}

func draw(name string, threshold float64, weight func(i int) float64) data {
	n := 20_000
	if s := os.Getenv("FACES"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			panic(err)
		}
	}
	rng := rand.New(rand.NewPCG(1, 1))
	unit := func() []float32 {
		x := make([]float32, dimensions)
		for i := range x {
			x[i] = float32(rng.NormFloat64() * weight(i))
		}
		return scale(x)
	}
	d := data{name: name, threshold: threshold}
	for range n {
		d.faces = append(d.faces, unit())
	}
	for i := range 500 {
		x, person := unit(), -1
		if i%2 == 0 {
			person = rng.IntN(n)
			x = at(d.faces[person], x, threshold+0.3*rng.Float64())
		}
		d.searches = append(d.searches, x)
		d.person = append(d.person, person)
	}
	return d
}

func scale(x []float32) []float32 {
	sum := 0.0
	for _, c := range x {
		sum += float64(c) * float64(c)
	}
	for i := range x {
		x[i] = float32(float64(x[i]) / math.Sqrt(sum))
	}
	return x
}

func cosine(x, y []float32) float64 {
	sum := 0.0
	for i := range x {
		sum += float64(x[i]) * float64(y[i])
	}
	return sum
}

// at returns a vector of that similarity to x, away from it towards y.
func at(x, y []float32, c float64) []float32 {
	dot := cosine(x, y)
	out := make([]float32, len(x))
	for i := range x {
		out[i] = float32((float64(y[i]) - dot*float64(x[i])) / math.Sqrt(1-dot*dot))
	}
	for i := range x {
		out[i] = float32(c*float64(x[i]) + math.Sqrt(1-c*c)*float64(out[i]))
	}
	return scale(out)
}

// report measures the searches, then how many of the registered people whose
// photograph is within the threshold are found, and how many others.
func report(b *testing.B, d data, search func(x []float32, found func(person int))) {
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		search(d.searches[i%len(d.searches)], func(int) {})
		i++
	}
	right, wrong, all := 0, 0, 0
	for i, x := range d.searches {
		if p := d.person[i]; p >= 0 && cosine(x, d.faces[p]) >= d.threshold {
			all++
		}
		search(x, func(person int) {
			if person == d.person[i] {
				right++
			} else {
				wrong++
			}
		})
	}
	b.ReportMetric(float64(right)/float64(all), "found")
	b.ReportMetric(float64(wrong), "wrong")
}

func BenchmarkSearch(b *testing.B) {
	for _, load := range kinds {
		benchmarkSearch(b, load())
	}
}

func benchmarkSearch(b *testing.B, d data) {
	threshold := d.threshold
	name := fmt.Sprintf("%s/faces=%d", d.name, len(d.faces))
	b.Run("staydown/"+name, func(b *testing.B) {
		m := embedding.Model{Name: "benchmark@1", Dimensions: dimensions}
		var entries []embedding.Entry
		for i, x := range d.faces {
			v, err := embedding.New(m, x)
			if err != nil {
				b.Fatal(err)
			}
			entries = append(entries, embedding.Entry{Vector: v, ID: uint32(i)})
		}
		s, err := embedding.NewSegment(m, entries)
		if err != nil {
			b.Fatal(err)
		}
		var v embedding.Vector
		report(b, d, func(x []float32, found func(int)) {
			if err := v.Set(m, x); err != nil {
				b.Fatal(err)
			}
			s.Search(v, threshold, func(id uint32, _ float64) bool { found(int(id)); return true })
		})
	})
	b.Run("scan/"+name, func(b *testing.B) {
		report(b, d, func(x []float32, found func(int)) {
			for i, y := range d.faces {
				sum := float32(0)
				for k, c := range x {
					sum += c * y[k]
				}
				if float64(sum) >= threshold {
					found(i)
				}
			}
		})
	})
	b.Run("chromem-go/"+name, func(b *testing.B) {
		c, err := chromem.NewDB().CreateCollection("faces", nil, func(context.Context, string) ([]float32, error) {
			panic("vectors are given")
		})
		if err != nil {
			b.Fatal(err)
		}
		for i, x := range d.faces {
			if err := c.AddDocument(b.Context(), chromem.Document{ID: strconv.Itoa(i), Embedding: x}); err != nil {
				b.Fatal(err)
			}
		}
		report(b, d, func(x []float32, found func(int)) {
			results, err := c.QueryEmbedding(context.Background(), x, nearest, nil, nil)
			if err != nil {
				b.Fatal(err)
			}
			for _, r := range results {
				if float64(r.Similarity) >= threshold {
					i, err := strconv.Atoi(r.ID)
					if err != nil {
						b.Fatal(err)
					}
					found(i)
				}
			}
		})
	})
	for _, ef := range []int{20, 200} {
		b.Run(fmt.Sprintf("hnsw/ef=%d/%s", ef, name), func(b *testing.B) {
			g := hnsw.NewGraph[int]()
			g.Rng = mathrand.New(mathrand.NewSource(1))
			g.EfSearch = ef // also while it is built
			for i, x := range d.faces {
				g.Add(hnsw.MakeNode(i, x))
			}
			report(b, d, func(x []float32, found func(int)) {
				for _, n := range g.Search(x, nearest) {
					if 1-float64(hnsw.CosineDistance(n.Value, x)) >= threshold {
						found(n.Key)
					}
				}
			})
		})
	}
}
