package embedding_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/staydown/staydown/internal/embedding"
)

func TestArccos(t *testing.T) {
	t.Parallel()
	for i := range 10_001 {
		c := float64(i) / 10_000
		if got, want := embedding.Arccos(c), math.Acos(c); math.Abs(got-want) > 1e-7 {
			t.Fatalf("arccos(%v) = %v, want %v", c, got, want)
		}
	}
}

// TestRotation checks that rotations keep angles, spread whatever they are
// given, and differ.
func TestRotation(t *testing.T) {
	t.Parallel()
	for _, dimensions := range []int{64, 100, 128, 300, 512, 700, 2048} {
		for _, f := range families {
			rng := rand.New(rand.NewPCG(7, uint64(dimensions)))
			x := make([]float64, dimensions)
			f.draw(rng, x)
			v := newVector(t, model(dimensions), x)
			f.draw(rng, x)
			w := newVector(t, model(dimensions), x)
			want, _ := v.Similarity(w)
			frame := embedding.NewFrame(dimensions)
			rv, rw := frame.Rotate(v, 0), frame.Rotate(w, 0)
			other := frame.Rotate(v, 1)
			dot, length, across, biggest := 0.0, 0.0, 0.0, 0.0
			for i := range rv {
				dot += rv[i] * rw[i]
				length += rv[i] * rv[i]
				across += rv[i] * other[i]
				biggest = max(biggest, math.Abs(rv[i]))
			}
			if math.Abs(dot-want) > 1e-3 || math.Abs(length-1) > 1e-9 {
				t.Errorf("%s/%d: rotated, similarity %v and length %v, want %v and 1", f.name, dimensions, dot, length, want)
			}
			sigma := 1 / math.Sqrt(float64(len(rv)))
			if math.Abs(across) > 5*sigma {
				t.Errorf("%s/%d: two rotations of a vector have similarity %v", f.name, dimensions, across)
			}
			if biggest > 6*sigma {
				t.Errorf("%s/%d: a rotated component is %.1f times what it is in the mean", f.name, dimensions, biggest/sigma)
			}
		}
	}
}

// TestMostBits compares the number of bits that may differ with the binomial
// distribution, summed exactly: it must leave out less than one in 20,000, and
// must not be much bigger than needed for that.
func TestMostBits(t *testing.T) {
	t.Parallel()
	tail := func(p float64, from int) float64 {
		sum := 0.0
		for k := from; k <= embedding.SketchBits; k++ {
			n := float64(embedding.SketchBits)
			a, _ := math.Lgamma(n + 1)
			b, _ := math.Lgamma(float64(k) + 1)
			c, _ := math.Lgamma(n - float64(k) + 1)
			sum += math.Exp(a - b - c + float64(k)*math.Log(p) + (n-float64(k))*math.Log1p(-p))
		}
		return sum
	}
	for i := 1; i < 1000; i++ {
		c := float64(i) / 1000
		p := math.Acos(c) / math.Pi
		most := embedding.MostBits(c)
		if missed := tail(p, most+1); missed > 1.0/20_000 {
			t.Errorf("similarity %.4f: %d bits may differ, which misses %.1e", c, most, missed)
		}
		if missed := tail(p, most-3); missed < 1.0/50_000 {
			t.Errorf("similarity %.4f: %d bits may differ, and four fewer would miss but %.1e", c, most, missed)
		}
	}
}
