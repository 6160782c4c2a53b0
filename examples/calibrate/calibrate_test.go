package calibrate_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/staydown/staydown/examples/calibrate"
	"github.com/staydown/staydown/internal/embedding"
	"gonum.org/v1/gonum/mathext"
)

const dimensions = 64

func face(tb testing.TB, person int, file string, x []float64) calibrate.Face {
	tb.Helper()
	y := make([]float32, len(x))
	for i, c := range x {
		y[i] = float32(c)
	}
	v, err := embedding.New(embedding.Model{Name: "test@1", Dimensions: len(x)}, y)
	if err != nil {
		tb.Fatal(err)
	}
	return calibrate.Face{Person: fmt.Sprint("person ", person), File: file, Vector: v}
}

// even draws a direction without preference.
func even(rng *rand.Rand) []float64 {
	x := make([]float64, dimensions)
	for i := range x {
		x[i] = rng.NormFloat64()
	}
	return x
}

// alike draws a direction as most models do: some people look like many.
func alike(rng *rand.Rand) []float64 {
	x := even(rng)
	for i := range x {
		x[i] /= math.Sqrt(float64(i + 1))
	}
	return x
}

// at returns a vector of that similarity to x.
func at(rng *rand.Rand, x []float64, c float64) []float64 {
	y := even(rng)
	xx, xy := 0.0, 0.0
	for i := range x {
		xx += x[i] * x[i]
		xy += x[i] * y[i]
	}
	yy := 0.0
	for i := range y {
		y[i] -= xy / xx * x[i]
		yy += y[i] * y[i]
	}
	for i := range y {
		y[i] = c*x[i]/math.Sqrt(xx) + math.Sqrt(1-c*c)*y[i]/math.Sqrt(yy)
	}
	return y
}

func newCurve(tb testing.TB, faces []calibrate.Face) *calibrate.Curve {
	tb.Helper()
	c, err := calibrate.NewCurve(faces, faces, 0.95)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// TestCurveOfKnownPeople compares the curve of made-up people with what is
// known of them: strangers lie in directions without preference, and the two
// photographs of person k of n are alike by (k+1/2)/n.
func TestCurveOfKnownPeople(t *testing.T) {
	t.Parallel()
	const people = 600
	rng := rand.New(rand.NewPCG(1, 1))
	var faces []calibrate.Face
	for k := range people {
		x := even(rng)
		faces = append(faces, face(t, k, "", x), face(t, k, "", at(rng, x, (float64(k)+0.5)/people)))
	}
	c := newCurve(t, faces)
	if c.SamePairs != people || c.DifferentPairs != 2*people*(people-1) || c.People != people || c.Faces != 2*people || len(c.Points) != calibrate.Thresholds {
		t.Fatalf("%d and %d pairs of %d faces of %d people", c.SamePairs, c.DifferentPairs, c.Faces, c.People)
	}
	for i, p := range c.Points {
		if p.Threshold != calibrate.Threshold(i) {
			t.Fatalf("point %d at %v", i, p.Threshold)
		}
		// The cosine of two random directions has a beta distribution.
		want := 0.5 * mathext.RegIncBeta((dimensions-1)/2.0, 0.5, 1-p.Threshold*p.Threshold)
		if p.Threshold < 0 {
			want = 1 - want
		}
		sigma := math.Sqrt(want * (1 - want) / (people * people / 2))
		if math.Abs(p.FalseMatchRate-want) > 5*sigma+2e-5 {
			t.Errorf("threshold %v: false-match rate %v, known %v", p.Threshold, p.FalseMatchRate, want)
		}
		if want := min(max(p.Threshold, 0), 1); math.Abs(p.MissRate-want) > 0.02 {
			t.Errorf("threshold %v: miss rate %v, known %v", p.Threshold, p.MissRate, want)
		}
		if p.FalseMatchBound < p.FalseMatchRate || p.MissBound < p.MissRate || p.FalseMatchBound > 1 || p.MissBound > 1 {
			t.Errorf("threshold %v: bounds below what was counted: %+v", p.Threshold, p)
		}
		if i > 0 && (p.FalseMatchBound > c.Points[i-1].FalseMatchBound+1e-12 || p.MissBound < c.Points[i-1].MissBound-1e-12) {
			t.Errorf("threshold %v: the bounds are not monotone", p.Threshold)
		}
	}
}

// choose returns the lowest threshold that a curve supports for a rate of a pair.
func choose(tb testing.TB, c *calibrate.Curve, rate float64) (p calibrate.Point, found bool) {
	tb.Helper()
	r, err := c.Recommend(calibrate.Goal{Block: rate, Review: rate, List: 1, Faces: 1})
	if err != nil {
		tb.Fatal(err)
	}
	return r.Block, r.Supported == 1
}

// population draws people of a made-up model, and knows how often two of them are
// alike.
type population struct {
	person func() []float64
	truth  func(threshold float64) float64
}

// measured knows the truth from many people.
func measured(t *testing.T, people int, person func() []float64) population {
	var all []calibrate.Face
	for k := range people {
		all = append(all, face(t, k, "", person()))
	}
	c, err := calibrate.NewCurve(all, nil, 0.95)
	if err != nil {
		t.Fatal(err)
	}
	return population{person, func(threshold float64) float64 { return trueRate(c, threshold) }}
}

// populations are models with what makes pairs depend on each other: people who look
// like many, kinds of people of different sizes, and a rare group.
var populations = map[string]func(*testing.T, *rand.Rand) population{
	"some look like many": func(t *testing.T, rng *rand.Rand) population {
		return measured(t, 1000, func() []float64 { return alike(rng) })
	},
	"kinds of people": func(t *testing.T, rng *rand.Rand) population {
		var middles [][]float64
		for range 12 {
			middles = append(middles, even(rng))
		}
		return measured(t, 1000, func() []float64 {
			k := min(int(rng.ExpFloat64()*3), len(middles)-1)
			x := even(rng)
			for i := range x {
				x[i] += 0.7 * middles[k][i]
			}
			return x
		})
	},
	"a rare group": func(t *testing.T, rng *rand.Rand) population {
		const share = 0.02
		middle := even(rng)
		member := func() []float64 {
			x := even(rng)
			for i := range x {
				x[i] = 0.35*x[i] + middle[i]
			}
			return x
		}
		others, group := measured(t, 1000, func() []float64 { return even(rng) }), measured(t, 300, member)
		return population{func() []float64 {
			if rng.Float64() < share {
				return member()
			}
			return even(rng)
		}, func(threshold float64) float64 {
			return (1-share*share)*others.truth(threshold) + share*share*group.truth(threshold)
		}}
	},
}

// TestChoiceHolds draws many small sets of people, and chooses a threshold from
// each. The true rate, known from a big set, must be below the accepted one in as
// many of the sets as the confidence says. Where enough people are there for a rate,
// most sets must support it: a bound that is many times too strict is of no use.
func TestChoiceHolds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		population   string
		sets, people int
		rate         float64
		most         bool // most sets support the rate
	}{
		{"some look like many", 100, 60, 0.02, true},
		{"some look like many", 60, 200, 0.005, true},
		{"some look like many", 30, 400, 0.001, true},
		{"kinds of people", 100, 60, 0.02, true},
		{"kinds of people", 60, 200, 0.005, true},
		{"kinds of people", 30, 400, 0.001, true},
		// The rate of the group itself is 0.0004. Of a set with one member or none it has
		// no pair, and with few members few.
		{"a rare group", 80, 300, 0.0003, false},
	} {
		t.Run(fmt.Sprint(test.population, " ", test.rate), func(t *testing.T) {
			t.Parallel()
			if testing.Short() {
				test.sets /= 3
			}
			rng := rand.New(rand.NewPCG(2, 1))
			all := populations[test.population](t, rng)
			wrong, chosen, naive := 0, 0, 0
			for range test.sets {
				var faces []calibrate.Face
				for k := range test.people {
					x := all.person()
					// Up to four photographs of each, all alike, say nothing new.
					for range 1 + k%4*min(1, 100/test.people) {
						faces = append(faces, face(t, k, "", x))
					}
				}
				c, err := calibrate.NewCurve(faces, nil, 0.95)
				if err != nil {
					t.Fatal(err)
				}
				if p, found := choose(t, c, test.rate); found {
					chosen++
					if all.truth(p.Threshold) > test.rate {
						wrong++
					}
				}
				for _, p := range c.Points {
					if p.FalseMatchRate <= test.rate {
						if all.truth(p.Threshold) > test.rate {
							naive++
						}
						break
					}
				}
			}
			t.Logf("of %d sets %d support the rate, of which it does not hold for %d; for %d if the bound is left out", test.sets, chosen, wrong, naive)
			if test.most && chosen < test.sets*9/10 {
				t.Errorf("only %d of %d sets support the rate", chosen, test.sets)
			}
			n := float64(test.sets)
			if most := 0.05*n + 2*math.Sqrt(0.95*0.05*n); float64(wrong) > most {
				t.Errorf("the rate does not hold for %d of %d sets, promised are 5 %%", wrong, test.sets)
			}
			if naive <= wrong {
				t.Errorf("the bound made it no better")
			}
		})
	}
}

// So many people as the tool asks for do support the goal, and half as many do not
// always.
func TestNeeded(t *testing.T) {
	t.Parallel()
	for name, make := range populations {
		if name == "a rare group" {
			continue // nobody can know of it
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(5, 1))
			all := make(t, rng)
			draw := func(people int) *calibrate.Curve {
				var faces []calibrate.Face
				for k := range people {
					faces = append(faces, face(t, k, "", all.person()))
				}
				c, err := calibrate.NewCurve(faces, nil, 0.95)
				if err != nil {
					t.Fatal(err)
				}
				return c
			}
			goal := calibrate.Goal{Block: 0.02, Review: 0.05, List: 30, Faces: 1}
			r, err := draw(150).Recommend(goal)
			if err != nil {
				t.Fatal(err)
			}
			if r.Supported >= goal.List || r.Supported < 1 {
				t.Fatalf("150 people support a list of %d", r.Supported)
			}
			enough, err := draw(r.People * 5 / 4).Recommend(goal)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("150 people support a list of %d; the tool asks for %d; a quarter more support %d", r.Supported, r.People, enough.Supported)
			if enough.Supported < goal.List {
				t.Errorf("the tool asks for %d people; a quarter more support a list of %d", r.People, enough.Supported)
			}
		})
	}
}

// However many pairs there are, few people prove little: not that there is no
// group that all look alike, of which one at most is among them, and not that
// there are no people of whom every photograph is missed.
func TestFewPeople(t *testing.T) {
	t.Parallel()
	const people, photos = 20, 12
	rng := rand.New(rand.NewPCG(4, 1))
	var faces []calibrate.Face
	for k := range people {
		x := even(rng)
		for range photos {
			faces = append(faces, face(t, k, "", at(rng, x, 0.9)))
		}
	}
	c := newCurve(t, faces)
	// The share of a group of which one in 20, or none, is seen with a probability of
	// 5 %, and of one of which none is.
	one := func(q float64) float64 { return math.Pow(1-q, people) + people*q*math.Pow(1-q, people-1) }
	none := func(q float64) float64 { return math.Pow(1-q, people) }
	for _, p := range c.Points {
		if q := math.Sqrt(p.FalseMatchBound); one(q) > 0.05+1e-9 {
			t.Fatalf("threshold %v: a bound of %v on false matches, though a group of that rate is not seen with a probability of %v", p.Threshold, p.FalseMatchBound, one(q))
		}
		if none(p.MissBound) > 0.05+1e-9 {
			t.Fatalf("threshold %v: a bound of %v on misses, though such people are not seen with a probability of %v", p.Threshold, p.MissBound, none(p.MissBound))
		}
	}
	if last := c.Points[len(c.Points)-1]; last.FalseMatches != 0 || math.Abs(last.FalseMatchBound-c.LowestRate) > 1e-12 || math.Abs(one(math.Sqrt(c.LowestRate))-0.05) > 1e-6 {
		t.Errorf("the lowest rate is %v; without false matches the bound is %v", c.LowestRate, last.FalseMatchBound)
	}
	if p, found := choose(t, c, 0.99*c.LowestRate); found {
		t.Errorf("a rate below the lowest: %+v", p)
	}
}

func trueRate(c *calibrate.Curve, threshold float64) float64 {
	for _, p := range c.Points {
		if p.Threshold >= threshold {
			return p.FalseMatchRate
		}
	}
	return 0
}

// TestRealFaces reads what descriptors writes for testdata/faces:
//
//	node descriptors/descriptors.js ../../../shared/testdata/faces > /tmp/faces.jsonl
//	STAYDOWN_FACE_VECTORS=/tmp/faces.jsonl go test -v -run Real .
func TestRealFaces(t *testing.T) {
	t.Parallel()
	name := os.Getenv("STAYDOWN_FACE_VECTORS")
	if name == "" {
		t.Skip("skipped: STAYDOWN_FACE_VECTORS names no file of real face vectors")
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	faces, err := calibrate.Read(f, "")
	if err != nil {
		t.Fatal(err)
	}
	c := newCurve(t, faces)
	p, found := choose(t, c, 0.05)
	t.Logf("%d faces of %d people: %+v", c.Faces, c.People, p)
	if !found || p.MissRate > 0.1 {
		t.Errorf("no threshold tells 19 of 20 strangers and 9 of 10 photographs of one person apart: %+v", p)
	}
	// Few people cannot prove much.
	if p, found := choose(t, c, 1e-4); found {
		t.Errorf("%d people support a rate of 1 in 10,000: %+v", c.People, p)
	}
}

// handful returns three people with two photographs each, two of which are
// also there as altered copies.
func handful(tb testing.TB) []calibrate.Face {
	rng := rand.New(rand.NewPCG(3, 1))
	var faces []calibrate.Face
	for k := range 3 {
		x := even(rng)
		first, second := fmt.Sprint(k, "a.jpg"), fmt.Sprint(k, "b.jpg")
		faces = append(faces, face(tb, k, first, x), face(tb, k, first, x), face(tb, k, second, at(rng, x, 0.7)))
	}
	return faces
}

func TestSamePhotographIsNotCompared(t *testing.T) {
	t.Parallel()
	c := newCurve(t, handful(t))
	if c.SamePairs != 6 || c.DifferentPairs != 27 {
		t.Errorf("%d pairs of one person, %d of different people, want 6 and 27", c.SamePairs, c.DifferentPairs)
	}
}

// A list, and the faces of a picture, multiply a rate. What is not supported is
// reported with the list that is.
func TestRecommend(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(7, 1))
	var faces []calibrate.Face
	for k := range 200 {
		faces = append(faces, face(t, k, "", even(rng)))
	}
	c, err := calibrate.NewCurve(faces, handful(t), 0.95)
	if err != nil {
		t.Fatal(err)
	}
	if c.SamePairs != 6 || c.People != 200 || c.Supported < c.LowestRate {
		t.Fatalf("%+v", c)
	}
	all := calibrate.Goal{Block: 0.02, Review: 0.1, List: 1_000_000, Faces: 2}
	r, err := c.Recommend(all)
	if err != nil {
		t.Fatal(err)
	}
	if want := int(0.02 / 2 / c.Supported); r.Supported != want || want < 2 || r.People < 10_000 {
		t.Errorf("%+v; want a list of %d", r, want)
	}
	if n := float64(2 * r.Supported); r.Block.FalseMatchBound*n > 0.02 || r.Review.FalseMatchBound*n > 0.1 || r.Block.Threshold <= r.Review.Threshold {
		t.Errorf("%+v", r)
	}
	all.List = r.Supported
	if again, err := c.Recommend(all); err != nil || again.Supported != all.List || again.Block != r.Block {
		t.Errorf("the list that is supported: %+v, %v", again, err)
	}
	if line := c.Line(r); !strings.Contains(line, fmt.Sprintf("Block: %.3f, Review: %.3f, Calibrated: %d}", r.Block.Threshold, r.Review.Threshold, r.Supported)) {
		t.Errorf("line %q", line)
	}
	few, err := newCurve(t, handful(t)).Recommend(all)
	if err != nil || few.Supported != 0 || newCurve(t, handful(t)).Line(few) != "" {
		t.Errorf("three people: %+v, %v", few, err)
	}
	for _, g := range []calibrate.Goal{
		{Block: 0, Review: 0.1, List: 1, Faces: 1}, {Block: 0.1, Review: 1, List: 1, Faces: 1}, {Block: 0.2, Review: 0.1, List: 1, Faces: 1},
		{Block: math.NaN(), Review: 0.1, List: 1, Faces: 1}, {Block: 0.1, Review: 0.1, List: 0, Faces: 1}, {Block: 0.1, Review: 0.1, List: 1, Faces: 0},
		{Block: 0.1, Review: 0.1, List: 1, Faces: math.Inf(1)},
	} {
		if _, err := c.Recommend(g); !errors.Is(err, calibrate.ErrInput) {
			t.Errorf("%+v: error %v, want ErrInput", g, err)
		}
	}
}

func TestNewCurveErrors(t *testing.T) {
	t.Parallel()
	x := even(rand.New(rand.NewPCG(1, 1)))
	for _, test := range []struct {
		name       string
		faces      []calibrate.Face
		confidence float64
	}{
		{"nobody", nil, 0.95},
		{"one face", []calibrate.Face{face(t, 1, "", x)}, 0.95},
		{"one person", []calibrate.Face{face(t, 1, "", x), face(t, 1, "", x)}, 0.95},
		{"no vector", append(handful(t), calibrate.Face{Person: "person"}), 0.95},
		{"confidence 0.5", handful(t), 0.5},
		{"confidence 1", handful(t), 1},
		{"confidence NaN", handful(t), math.NaN()},
	} {
		if c, err := calibrate.NewCurve(test.faces, test.faces, test.confidence); c != nil || !errors.Is(err, calibrate.ErrInput) {
			t.Errorf("%s: error %v, want ErrInput", test.name, err)
		}
	}
}

func numbers(n int, separator string) string {
	var s []string
	for i := range n {
		s = append(s, fmt.Sprint(float64(i)/4-3))
	}
	return strings.Join(s, separator)
}

func TestRead(t *testing.T) {
	t.Parallel()
	in := "# person, vector\n\n" +
		"a\t" + numbers(64, "\t") + "\n" +
		" b \t" + numbers(64, ", ") + "\r\n" +
		`{"person": "a", "file": "1.jpg", "model": "test@1", "more": {}, "vector": [` + numbers(64, ",") + "]}"
	faces, err := calibrate.Read(strings.NewReader(in), "test@1")
	if err != nil {
		t.Fatal(err)
	}
	type label struct{ Person, File, Model string }
	var got []label
	for _, f := range faces {
		got = append(got, label{f.Person, f.File, f.Vector.Model().Name})
		if c, ok := f.Vector.Similarity(faces[0].Vector); c != 1 || !ok {
			t.Errorf("the same numbers in another form give similarity %v", c)
		}
	}
	want := []label{{"a", "", "test@1"}, {"b", "", "test@1"}, {"a", "1.jpg", "test@1"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReadErrors(t *testing.T) {
	t.Parallel()
	good := "secret\t" + numbers(64, " ") + "\n"
	for _, test := range []struct {
		name string
		in   string
		want error
		text string
	}{
		{"no JSON", `{"person": "secret"`, calibrate.ErrInput, "line 1: not a JSON object"},
		{"number as person", `{"person": 7, "vector": []}`, calibrate.ErrInput, "line 1"},
		{"too big a number", `{"person": "secret", "vector": [1e99]}`, calibrate.ErrInput, "line 1"},
		{"no person", "\t" + numbers(64, " "), calibrate.ErrInput, "no person"},
		{"nobody", `{"vector": [1]}`, calibrate.ErrInput, "no person"},
		{"no vector", "secret", embedding.ErrDimensions, "line 1"},
		{"word among numbers", "secret\t1 2 three", calibrate.ErrInput, "component 2 is not a number"},
		{"NaN", "secret\tNaN " + numbers(63, " "), embedding.ErrNotFinite, "component 0"},
		{"zeros", "secret\t" + strings.Repeat("0 ", 64), embedding.ErrZero, "line 1"},
		{"other length", good + "secret\t" + numbers(65, " "), embedding.ErrModel, "line 2"},
		{"other model", good + `{"person": "secret", "model": "test@2", "vector": [` + numbers(64, ",") + "]}", embedding.ErrModel, "line 2"},
		{"long line", good + strings.Repeat("1", 1<<20+1), calibrate.ErrInput, "line 2"},
	} {
		_, err := calibrate.Read(strings.NewReader(test.in), "test@1")
		if !errors.Is(err, test.want) || !errors.Is(err, calibrate.ErrInput) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: error %v, want one that wraps %v and says %q", test.name, err, test.want, test.text)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error %q names the person", test.name, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("a\t" + numbers(64, " ")))
	f.Add([]byte(`{"person": "a", "vector": [` + numbers(64, ",") + "]}"))
	f.Add([]byte("# nothing\n\n{"))
	f.Fuzz(func(t *testing.T, b []byte) {
		faces, err := calibrate.Read(bytes.NewReader(b), "test@1")
		if err != nil && !errors.Is(err, calibrate.ErrInput) {
			t.Fatal(err)
		}
		for _, f := range faces {
			if f.Person == "" || f.Vector.IsZero() || f.Vector.Model() != faces[0].Vector.Model() {
				t.Fatalf("face of %q: %v", f.Person, f.Vector)
			}
		}
	})
}

func TestWrite(t *testing.T) {
	t.Parallel()
	c := newCurve(t, handful(t))
	r, err := c.Recommend(calibrate.Goal{Block: 0.9, Review: 0.95, List: 1, Faces: 1})
	if err != nil {
		t.Fatal(err)
	}
	var tsv, js, svg, text bytes.Buffer
	for _, err := range []error{c.WriteTSV(&tsv), c.WriteJSON(&js, r), c.WriteSVG(&svg, r), c.WriteText(&text)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.Split(strings.TrimSpace(tsv.String()), "\n")
	var read struct {
		Recommendation calibrate.Recommendation
		calibrate.Curve
	}
	if err := json.Unmarshal(js.Bytes(), &read); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, read.Recommendation); diff != "" {
		t.Errorf("recommendation in JSON (-want +got):\n%s", diff)
	}
	// Both leave out thresholds at which all is said already; none that counts.
	first, last := read.Points[0], read.Points[len(read.Points)-1]
	if first.FalseMatches != 27 || first.Misses != 0 || last.FalseMatches != 0 || last.Misses != 6 {
		t.Errorf("the points end with %+v and %+v", first, last)
	}
	start := int(math.Round(first.Threshold*1000)) + 1000
	if diff := cmp.Diff(c.Points[start:start+len(read.Points)], read.Points); diff != "" {
		t.Errorf("points in JSON (-want +got):\n%s", diff)
	}
	if len(lines) != len(read.Points)+1 || strings.Count(lines[0], "\t") != 6 {
		t.Errorf("%d lines of TSV for %d points; the first is %q", len(lines), len(read.Points), lines[0])
	}
	decoder := xml.NewDecoder(&svg)
	elements := map[string]int{}
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("the drawing is no XML: %v", err)
		}
		if e, ok := token.(xml.StartElement); ok {
			elements[e.Name.Local]++
		}
	}
	if elements["svg"] != 1 || elements["path"] < 5 {
		t.Errorf("the drawing has %v", elements)
	}
	if rows := strings.Count(text.String(), "\n"); rows < 10 || rows > 50 || !strings.Contains(text.String(), "##") {
		t.Errorf("the text has %d rows:\n%s", rows, &text)
	}
	for name, b := range map[string]*bytes.Buffer{"tsv": &tsv, "json": &js, "text": &text} {
		if strings.Contains(b.String(), "person ") || strings.Contains(b.String(), ".jpg") {
			t.Errorf("%s names a person or a file", name)
		}
	}
}
