package embedding_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/staydown/staydown/internal/embedding"
)

// long makes the tests that count rare events count more of them:
//
//	STAYDOWN_LONG=1 go test -run 'Misses' -timeout 2h ./internal/embedding
var long = os.Getenv("STAYDOWN_LONG") != ""

func model(dimensions int) embedding.Model {
	return embedding.Model{Name: "test@1", Dimensions: dimensions}
}

// family draws vectors as some kind of model makes them.
type family struct {
	name string
	draw func(rng *rand.Rand, x []float64)
}

// families differ in what could make a sketch see less than it should.
var families = []family{
	// Directions without preference: the ideal model.
	{"even", func(rng *rand.Rand, x []float64) {
		for i := range x {
			x[i] = rng.NormFloat64()
		}
	}},
	// A few directions carry most: the spectrum of most real models.
	{"skewed", func(rng *rand.Rand, x []float64) {
		for i := range x {
			x[i] = rng.NormFloat64() / math.Sqrt(float64(i+1))
		}
	}},
	// All vectors point one way more or less, similarities of 0.8 between
	// strangers: models that were not trained for cosine similarity.
	{"cone", func(rng *rand.Rand, x []float64) {
		for i := range x {
			x[i] = rng.NormFloat64() + 2*math.Sin(float64(i*i))*math.Sqrt2
		}
	}},
	// Three components, the rest zero: what a rotation has most to do with.
	{"sparse", func(rng *rand.Rand, x []float64) {
		clear(x)
		for range 3 {
			x[rng.IntN(len(x))] = rng.NormFloat64()
		}
		x[rng.IntN(len(x))] = 1
	}},
}

func newVector(tb testing.TB, m embedding.Model, x []float64) embedding.Vector {
	tb.Helper()
	y := make([]float32, len(x))
	for i, c := range x {
		y[i] = float32(c)
	}
	v, err := embedding.New(m, y)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func scaleTo1(x []float64) {
	sum := 0.0
	for _, c := range x {
		sum += c * c
	}
	for i := range x {
		x[i] /= math.Sqrt(sum)
	}
}

// atSimilarity sets y to a vector of about that cosine to x, of length 1,
// differing from it in the directions in which the family differs.
func atSimilarity(rng *rand.Rand, f family, x []float64, c float64, y []float64) {
	f.draw(rng, y)
	sum := 0.0
	for i := range x {
		sum += x[i] * y[i]
	}
	for i := range x {
		y[i] -= sum * x[i]
	}
	scaleTo1(y)
	for i := range x {
		y[i] = c*x[i] + math.Sqrt(1-c*c)*y[i]
	}
}

// TestMisses draws pairs of vectors and searches for one of each, exactly at
// the similarity that the two have: nothing else in the range of a search is
// missed more often.
func TestMisses(t *testing.T) {
	t.Parallel()
	pairs := 20_000
	switch {
	case testing.Short():
		pairs = 200
	case long:
		pairs = 400_000
	}
	misses, total := 0, 0
	for _, dimensions := range []int{64, 100, 128, 512, 768, 2048} {
		for _, f := range families {
			t.Run(fmt.Sprintf("%s/%d", f.name, dimensions), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(uint64(dimensions), 1))
				x, y := make([]float64, dimensions), make([]float64, dimensions)
				n, m := pairs*256/(256+dimensions), [3]int{}
				var q embedding.Query
				var s embedding.Sketch
				var some []embedding.Vector
				for range 300 {
					f.draw(rng, x)
					some = append(some, newVector(t, model(dimensions), x))
				}
				frame := embedding.NewFrame(dimensions, some...)
				for i := range n {
					c := []float64{0.12, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98}[i%11]
					f.draw(rng, x)
					scaleTo1(x)
					atSimilarity(rng, f, x, c, y)
					v, w := newVector(t, model(dimensions), x), newVector(t, model(dimensions), y)
					exact, _ := v.Similarity(w)
					frame.Query(v, exact, &q)
					frame.Sketch(w, &s)
					first, second := q.Passes(&s)
					if !first {
						m[0]++
					}
					if !second {
						m[1]++
					}
					if !first || !second {
						m[2]++
					}
				}
				t.Logf("%d pairs: %d missed (%d by bits, %d by weight)", n, m[2], m[0], m[1])
				// Five standard deviations above what is promised.
				promised := float64(n) / 10_000
				if float64(m[2]) > promised+5*math.Sqrt(promised)+1 {
					t.Errorf("missed %d of %d pairs, promised are 1 of 10,000", m[2], n)
				}
				misses += m[2]
				total += n
			})
		}
	}
	t.Logf("all: missed %d of %d pairs, %.1f in a million", misses, total, 1e6*float64(misses)/float64(total))
	// Each by itself has too few pairs to say more than that nothing is broken.
	if total > 200_000 && misses > total/10_000 {
		t.Errorf("missed %d of %d pairs, promised are 1 of 10,000", misses, total)
	}
}
