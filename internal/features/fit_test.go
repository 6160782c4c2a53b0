package features_test

import (
	"image"
	"math"
	"testing"

	"github.com/staydown/staydown/internal/features"
)

func TestFitProjective(t *testing.T) {
	t.Parallel()
	at := func(x, y float64) (u, v float64) {
		w := 1 + 0.0004*x - 0.0002*y
		return (0.9*x - 0.1*y + 40) / w, (0.2*x + 1.1*y - 25) / w
	}
	var ps []features.Pair
	for _, x := range []float64{10, 130, 300, 480, 590} {
		for _, y := range []float64{20, 150, 290, 430} {
			u, v := at(x, y)
			ps = append(ps, features.Pair{RX: x, RY: y, QX: u, QY: v})
		}
	}
	for _, p := range [][2]float64{{0, 0}, {600, 0}, {300, 225}, {0, 450}, {600, 450}} {
		wu, wv := at(p[0], p[1])
		u, v, ok := features.FitProjective(ps, p[0], p[1])
		if !ok || math.Abs(u-wu) > 1e-6 || math.Abs(v-wv) > 1e-6 {
			t.Errorf("%v goes to %g, %g (%v), want %g, %g", p, u, v, ok, wu, wv)
		}
	}
	for name, few := range map[string][]features.Pair{
		"none": nil, "three": ps[:3], "a line": ps[:4],
		"one place": {ps[0], ps[0], ps[0], ps[0], ps[0], ps[0], ps[0], ps[0], ps[0]},
	} {
		if _, _, ok := features.FitProjective(few, 0, 0); ok {
			t.Errorf("%s: a map was fitted", name)
		}
	}
}

// tilted returns m turned away by some angle around its vertical axis: the pixel at x, y
// of the result is that of m at x/w, y/w with a denominator that falls to the right.
func tilted(m *image.Gray, tilt int) *image.Gray {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	return mapped(m, w, h, func(x, y int) (int, int) {
		den := 1000 + tilt*(2*x-w)/w
		return 16*w/2 + 16*(x-w/2)*1100/den, 16*h/2 + 16*(y-h/2)*1100/den
	})
}

// A picture seen at an angle is the picture; another one that shares its frame is not, from
// whatever angle.
func TestSearch_Tilted(t *testing.T) {
	t.Parallel()
	own := scene(21, 640, 480)
	seg := mustSegment(t, features.Entry{Features: mustExtract(t, own)})
	for _, tilt := range []int{-250, -120, 120, 250} {
		got := features.None
		for _, m := range search(seg, mustExtract(t, tilted(own, tilt))) {
			got = max(got, m.Band)
			if m.Map[6] == 0 && m.Map[7] == 0 {
				t.Errorf("tilt %d: the map is affine", tilt)
			}
		}
		if got != features.Block {
			t.Errorf("tilt %d: band %v, want Block", tilt, got)
		}
	}
	seg = mustSegment(t, features.Entry{Features: mustExtract(t, framed(scene(6, 400, 300)))})
	for _, m := range search(seg, mustExtract(t, tilted(framed(scene(7, 400, 300)), 200))) {
		if m.Band == features.Block {
			t.Errorf("another picture in the same frame: %+v", m)
		}
	}
}
