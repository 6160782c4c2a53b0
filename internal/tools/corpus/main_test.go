package main

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// drawn returns a picture of random squares; seed chooses among unlike ones.
func drawn(seed uint64) *image.Gray {
	r := rand.New(rand.NewPCG(seed, 0))
	m := image.NewGray(image.Rect(0, 0, 320, 240))
	for range 300 {
		x, y, side, grey := r.IntN(320), r.IntN(240), 4+r.IntN(40), uint8(r.IntN(256))
		for j := y; j < min(y+side, 240); j++ {
			for i := x; i < min(x+side, 320); i++ {
				m.SetGray(i, j, color.Gray{Y: grey})
			}
		}
	}
	return m
}

func write(t *testing.T, dir, path string, m image.Image) {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A corpus of ten unlike pictures, a turned copy of one, a cut copy of one, an equal file, one that is
// too small and one without detail.
func TestAskAll(t *testing.T) {
	dir := t.TempDir()
	drawnC := drawn(2)
	for i := range uint64(10) {
		write(t, dir, fmt.Sprintf("one/%c.png", 'a'+rune(i)), drawn(i))
	}
	turned := image.NewGray(image.Rect(0, 0, 240, 320))
	for y := range 320 {
		for x := range 240 {
			turned.SetGray(x, y, drawnC.GrayAt(y, 239-x))
		}
	}
	write(t, dir, "one/turned.png", turned)
	write(t, dir, "two/equal.png", drawn(3))
	write(t, dir, "two/cut.png", drawn(5).SubImage(image.Rect(40, 30, 300, 230)))
	write(t, dir, "two/small.png", image.NewGray(image.Rect(0, 0, 300, 100)))
	write(t, dir, "two/flat.png", image.NewGray(image.Rect(0, 0, 300, 200)))
	cache := filepath.Join(t.TempDir(), "cache")
	kinds := map[string]string{"one": "art", "two": "photo"}
	for _, tt := range []struct {
		name    string
		verdict int // of the cut copy
		between [numReasons]int
		false   map[string]int // asked, by kind
	}{
		{"nobody looked", notJudged, [numReasons]int{notJudged: 2}, map[string]int{"art": 1, "photo": 1}},
		{"a person says that it is the same", same, [numReasons]int{same: 2}, map[string]int{}},
		{"a person says that it is another one", different, [numReasons]int{different: 2}, map[string]int{"art": 1, "photo": 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := read(dir, cache, 100, 2)
			if err != nil {
				t.Fatal(err)
			}
			defer c.f.Close()
			by := map[string]*picture{}
			for _, p := range c.pics {
				by[p.Path] = p
			}
			if len(by) != 13 || by["one/f.png"] == nil || by["two/cut.png"] == nil {
				t.Fatalf("%d pictures, want 13 with one/f.png and two/cut.png", len(by))
			}
			verdicts := map[[2]string]int{}
			if tt.verdict != notJudged {
				verdicts[pair(by["one/f.png"], by["two/cut.png"])] = tt.verdict
			}
			var list bytes.Buffer
			if err := c.askAll(&list, 100, 2); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(list.String(), "one/f.png\ttwo/cut.png") {
				t.Errorf("the pair is not listed:\n%s", &list)
			}
			tallies, err := c.count(&list, verdicts, kinds)
			if err != nil {
				t.Fatal(err)
			}
			block := tallies[featuresBlock]
			if diff := cmp.Diff(tt.between, block.between); diff != "" {
				t.Errorf("matches at Block by reason (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.false, block.asked); diff != "" {
				t.Errorf("asked with a false match (-want +got):\n%s", diff)
			}
			// one/turned.png is one/c.png turned: within a package, and confirmed by
			// the hashes.
			if len(block.within) > 0 || len(tallies[hash31].within) > 0 {
				t.Errorf("%v and %v: matches within a package that only one tier has, want none", block.within, tallies[hash31].within)
			}
		})
	}
}

// The values are those of the chi-square quantiles of Poisson's bound and of
// Clopper and Pearson's, to the digits of printed tables.
func TestBounds(t *testing.T) {
	for _, tt := range []struct {
		name      string
		got, want float64
	}{
		{"poisson 0", poissonBound(0), 2.9957},
		{"poisson 3", poissonBound(3), 7.7537},
		{"poisson 10", poissonBound(10), 16.9622},
		{"binomial 0 of 100", binomialBound(0, 100), 1 - math.Pow(0.05, 0.01)},
		{"binomial 2 of 10", binomialBound(2, 10), 0.50690},
		{"binomial 10 of 10", binomialBound(10, 10), 1},
	} {
		if math.Abs(tt.got-tt.want) > 1e-4*tt.want {
			t.Errorf("%s: %.6f, want %.6f", tt.name, tt.got, tt.want)
		}
	}
}

func TestReadVerdicts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "verdicts")
	for _, tt := range []struct {
		name, text string
		want       map[[2]string]int
		ok         bool
	}{
		{"either order", "# a remark\nbb\taa\tsame\tlogo\ncc\tdd\tfalse\n", map[[2]string]int{{"aa", "bb"}: same, {"cc", "dd"}: different}, true},
		{"a rule is no verdict", "bb\taa\tboth\n", nil, false},
		{"too few", "bb\tsame\n", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(tt.text), 0o644); err != nil {
				t.Fatal(err)
			}
			got, err := readVerdicts(path)
			if (err == nil) != tt.ok {
				t.Fatalf("error %v", err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
