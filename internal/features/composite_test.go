package features_test

import (
	"image"
	"image/color"
	"image/draw"
	"math/rand/v2"
	"testing"

	"github.com/staydown/staydown/internal/features"
)

// shades returns a picture of soft shades, other ones for each seed.
func shades(seed uint64, w, h int) *image.Gray {
	r := rand.New(rand.NewPCG(seed, 3))
	g := image.NewGray(image.Rect(0, 0, w, h))
	base, dx, dy := r.IntN(160), r.IntN(60), r.IntN(60)
	for y := range h {
		for x := range w {
			g.SetGray(x, y, color.Gray{Y: uint8(base + dx*x/w + dy*y/h + r.IntN(6))})
		}
	}
	return g
}

// TestIsComposite: four pictures in one are a composite, with a gap and without; one
// picture, two side by side, and a picture that is too small are none.
func TestIsComposite(t *testing.T) {
	t.Parallel()
	whole := shades(1, 640, 480)
	two, four, gaps := shades(1, 640, 480), shades(1, 640, 480), shades(1, 640, 480)
	draw.Draw(two, image.Rect(320, 0, 640, 480), shades(2, 320, 480), image.Point{}, draw.Src)
	for i, r := range []image.Rectangle{image.Rect(0, 0, 320, 240), image.Rect(320, 0, 640, 240), image.Rect(0, 240, 320, 480), image.Rect(320, 240, 640, 480)} {
		part := image.NewUniform(color.Gray{Y: uint8(20 + 60*i)})
		draw.Draw(four, r, part, image.Point{}, draw.Src)
		draw.Draw(gaps, r, image.White, image.Point{}, draw.Src)
		draw.Draw(gaps, r.Inset(3), part, image.Point{}, draw.Src)
	}
	for name, tc := range map[string]struct {
		img  image.Image
		want bool
	}{
		"one": {whole, false}, "two": {two, false}, "four": {four, true}, "four with gaps": {gaps, true},
		"small": {image.NewGray(image.Rect(0, 0, 9, 9)), false}, "none": {image.NewGray(image.Rectangle{}), false},
	} {
		if got := features.IsComposite(tc.img); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
