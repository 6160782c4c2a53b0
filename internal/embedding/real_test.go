package embedding_test

import (
	"bufio"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/staydown/staydown/internal/embedding"
)

// realVectors reads the vectors that examples/calibrate/descriptors writes, one JSON
// object on each line:
//
//	node examples/calibrate/descriptors/descriptors.js --copies ../shared/testdata/faces > /tmp/faces.jsonl
//	STAYDOWN_FACE_VECTORS=/tmp/faces.jsonl go test -v -run Real -bench Real ./internal/embedding
//
// They are not in the repository: they are biometric data.
func realVectors(tb testing.TB) (vectors [][]float64, people []string) {
	tb.Helper()
	name := os.Getenv("STAYDOWN_FACE_VECTORS")
	if name == "" {
		tb.Skip("skipped: STAYDOWN_FACE_VECTORS names no file of real face vectors")
	}
	f, err := os.Open(name)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var line struct {
			Person string
			Vector []float64
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			tb.Fatal(err)
		}
		scaleTo1(line.Vector)
		vectors = append(vectors, line.Vector)
		people = append(people, line.Person)
	}
	if err := lines.Err(); err != nil {
		tb.Fatal(err)
	}
	return vectors, people
}

// like draws vectors with the mean and the covariance of real ones.
func like(vectors [][]float64) family {
	mean := make([]float64, len(vectors[0]))
	for _, v := range vectors {
		for i, c := range v {
			mean[i] += c / float64(len(vectors))
		}
	}
	return family{"like real ones", func(rng *rand.Rand, x []float64) {
		copy(x, mean)
		for _, v := range vectors {
			g := rng.NormFloat64() / math.Sqrt(float64(len(vectors)))
			for i, c := range v {
				x[i] += g * (c - mean[i])
			}
		}
	}}
}

// TestRealVectors looks for every real face with every other, exactly at their
// similarity, and counts what is missed; and compares the decisions on stored
// vectors with those on the model's own numbers.
func TestRealVectors(t *testing.T) {
	vectors, people := realVectors(t)
	m := embedding.Model{Name: "real@1", Dimensions: len(vectors[0])}
	stored := make([]embedding.Vector, len(vectors))
	sketches := make([]embedding.Sketch, len(vectors))
	for i, x := range vectors {
		stored[i] = newVector(t, m, x)
	}
	frame := embedding.NewFrame(m.Dimensions, stored...)
	for i, v := range stored {
		frame.Sketch(v, &sketches[i])
	}

	pairs, missed, worst := 0, 0, 0.0
	var exact, approximate [2][]float64 // of different people, of the same
	var q embedding.Query
	for i, v := range stored {
		for j, w := range stored {
			if i == j {
				continue
			}
			c, _ := v.Similarity(w)
			frame.Query(v, c, &q)
			first, second := q.Passes(&sketches[j])
			pairs++
			if !first || !second {
				missed++
			}
			dot := 0.0
			for k := range vectors[i] {
				dot += vectors[i][k] * vectors[j][k]
			}
			worst = max(worst, math.Abs(c-dot))
			same := 0
			if people[i] == people[j] {
				same = 1
			}
			exact[same] = append(exact[same], dot)
			approximate[same] = append(approximate[same], c)
		}
	}
	t.Logf("%d pairs of %d faces: missed %d at their similarity", pairs, len(vectors), missed)
	t.Logf("storing moved similarities by at most %.5f", worst)
	if float64(missed) > float64(pairs)/10_000+5 {
		t.Errorf("missed %d of %d", missed, pairs)
	}
	for _, threshold := range []float64{0.88, 0.9, 0.92, 0.94, 0.96} {
		count := func(all []float64) (n int) {
			for _, c := range all {
				if c >= threshold {
					n++
				}
			}
			return n
		}
		t.Logf("at %.2f: same person %d of %d found with the model's numbers, %d stored; different people %d of %d, %d stored",
			threshold, count(exact[1]), len(exact[1]), count(approximate[1]), count(exact[0]), len(exact[0]), count(approximate[0]))
	}

	// Many more of the same distribution.
	f := like(vectors)
	rng := rand.New(rand.NewPCG(6, 1))
	n := 20_000
	if long {
		n = 500_000
	}
	x, y := make([]float64, m.Dimensions), make([]float64, m.Dimensions)
	missed, inRange := 0, 0
	var s embedding.Sketch
	for inRange < n {
		f.draw(rng, x)
		f.draw(rng, y)
		// Two of them, drawn together: similarities from those of strangers to 1.
		share := rng.Float64()
		for k := range x {
			y[k] = share*x[k] + (1-share)*y[k]
		}
		v, w := newVector(t, m, x), newVector(t, m, y)
		c, _ := v.Similarity(w)
		if c < 0.85 {
			continue
		}
		inRange++
		frame.Query(v, c, &q)
		frame.Sketch(w, &s)
		if first, second := q.Passes(&s); !first || !second {
			missed++
		}
	}
	t.Logf("%d pairs of vectors like real ones, similar by 0.85 and more: missed %d at their similarity", n, missed)
	if promised := float64(n) / 10_000; float64(missed) > promised+5*math.Sqrt(promised) {
		t.Errorf("missed %d of %d", missed, n)
	}
}

func BenchmarkRealSearch(b *testing.B) {
	vectors, _ := realVectors(b)
	benchmarkSearch(b, like(vectors), len(vectors[0]), 100_000, []float64{0.9, 0.92, 0.94})
}
