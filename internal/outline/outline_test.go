package outline_test

import (
	"image"
	"math"
	"testing"

	"github.com/staydown/staydown/internal/outline"
)

func near(a, b []outline.Point) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if math.Abs(a[i].X-b[i].X) > 1e-9 || math.Abs(a[i].Y-b[i].Y) > 1e-9 {
			return false
		}
	}
	return true
}

func TestShared(t *testing.T) {
	t.Parallel()
	unit := []outline.Point{{X: 0, Y: 0}, {X: 1, Y: 0}, {X: 1, Y: 1}, {X: 0, Y: 1}}
	half := []outline.Point{{X: 0, Y: 0}, {X: .5, Y: 0}, {X: .5, Y: .5}, {X: 0, Y: .5}}
	for name, x := range map[string]struct {
		m        [8]float64
		inA, inB []outline.Point
	}{
		"the same":     {[8]float64{0: 1, 4: 1}, unit, unit},
		"all of it":    {[8]float64{0: .5, 4: .5}, unit, half},        // the first lies in a corner of the second
		"a part of it": {[8]float64{0: 2, 4: 2}, half, unit},          // the second is a corner of the first
		"no map back":  {[8]float64{}, nil, make([]outline.Point, 4)}, // all in one point
		"beside it":    {[8]float64{0: 1, 2: 5, 4: 1}, nil, nil},      // nothing is shared
		"mirrored":     {[8]float64{0: -1, 2: 1, 4: 1}, unit, []outline.Point{{X: 1, Y: 0}, {X: 0, Y: 0}, {X: 0, Y: 1}, {X: 1, Y: 1}}},
	} {
		inA, inB := outline.Shared(&x.m)
		if !near(inA, x.inA) || !near(inB, x.inB) {
			t.Errorf("%s: %v and %v, want %v and %v", name, inA, inB, x.inA, x.inB)
		}
	}
}

// Both pictures have the same height, and what they share is outlined, also on the rim. A
// map that is not a number draws nothing outside.
func TestSideBySide(t *testing.T) {
	t.Parallel()
	a, b := image.NewGray(image.Rect(0, 0, 200, 100)), image.NewGray(image.Rect(0, 0, 50, 100))
	for i := range a.Pix {
		a.Pix[i] = 128
	}
	red := func(img image.Image, x, y int) bool {
		r, g, _, _ := img.At(x, y).RGBA()
		return r>>8 > 180 && g>>8 < 80
	}
	out := outline.SideBySide(a, b, &[8]float64{0: 1, 4: 1}, 50)
	if got := out.Bounds().Size(); got != image.Pt(100+8+25, 50) {
		t.Errorf("size %v", got)
	}
	for _, p := range []image.Point{{0, 0}, {50, 0}, {99, 49}, {108, 25}, {132, 49}} {
		if !red(out, p.X, p.Y) {
			t.Errorf("no outline at %v: %v", p, out.At(p.X, p.Y))
		}
	}
	if red(out, 50, 25) || red(out, 104, 25) {
		t.Error("an outline inside, or between the pictures")
	}
	if plain := outline.SideBySide(a, b, nil, 50); red(plain, 0, 0) {
		t.Error("an outline without a map")
	}
	outline.SideBySide(a, b, &[8]float64{0: math.NaN(), 4: math.Inf(1)}, 50)
	outline.SideBySide(image.NewGray(image.Rectangle{}), b, nil, 50)
	if got := outline.Resize(image.NewGray(image.Rect(0, 0, 1000, 1)), 50).Bounds().Dx(); got != 200 {
		t.Errorf("a line is %d wide", got)
	}
}
