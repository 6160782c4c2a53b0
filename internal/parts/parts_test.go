package parts_test

import (
	"image"
	"math/rand/v2"
	"testing"

	"github.com/staydown/staydown/internal/features"
	"github.com/staydown/staydown/internal/parts"
	"github.com/staydown/staydown/phash"
)

// scene returns a picture of soft discs at random places, of which every part is
// its own.
func scene(seed uint64, w, h int) *image.Gray {
	r := rand.New(rand.NewPCG(seed, 1))
	g := image.NewGray(image.Rect(0, 0, w, h))
	for i := range g.Pix {
		g.Pix[i] = 128
	}
	for range 260 {
		x, y, size, level := r.IntN(w), r.IntN(h), 6+r.IntN(60), r.IntN(256)
		for v := max(y-size, 0); v < min(y+size, h); v++ {
			for u := max(x-size, 0); u < min(x+size, w); u++ {
				if (u-x)*(u-x)+(v-y)*(v-y) < size*size {
					g.Pix[v*g.Stride+u] = byte((int(g.Pix[v*g.Stride+u]) + 2*level) / 3)
				}
			}
		}
	}
	return g
}

func crop(g *image.Gray, r image.Rectangle) *image.Gray {
	out := image.NewGray(image.Rect(0, 0, r.Dx(), r.Dy()))
	for y := range r.Dy() {
		copy(out.Pix[y*out.Stride:][:r.Dx()], g.Pix[g.PixOffset(r.Min.X, r.Min.Y+y):])
	}
	return out
}

func hashes(t *testing.T, g *image.Gray, n int) []phash.Hash {
	t.Helper()
	f, err := features.Extract(g)
	if err != nil {
		t.Fatal(err)
	}
	hs := parts.Hashes(g, f, n)
	if len(hs) > n {
		t.Fatalf("%d hashes, at most %d are asked for", len(hs), n)
	}
	for _, h := range hs {
		if h.Algorithm() != phash.AlgPart || !h.Plausible() {
			t.Errorf("hash %v, plausible %v", h, h.Plausible())
		}
	}
	return hs
}

func nearest(as, bs []phash.Hash) int {
	best := 256
	for _, a := range as {
		for _, b := range bs {
			if d, ok := a.Distance(b); ok {
				best = min(best, d)
			}
		}
	}
	return best
}

// TestHashes_Crops: of half of the crops at unknown places at least, a part is found, and
// no part of another picture.
func TestHashes_Crops(t *testing.T) {
	t.Parallel()
	const pictures = 8
	radius := phash.AlgPart.Radii(0).Block
	r := rand.New(rand.NewPCG(7, 7))
	var registered [pictures][]phash.Hash
	var scenes [pictures]*image.Gray
	for i := range scenes {
		scenes[i] = scene(uint64(i), 640, 480)
		registered[i] = hashes(t, scenes[i], parts.Registered)
	}
	found := 0
	for i, g := range scenes {
		w, h := 480, 360
		at := image.Pt(r.IntN(640-w), r.IntN(480-h))
		asked := hashes(t, crop(g, image.Rectangle{at, at.Add(image.Pt(w, h))}), parts.Asked)
		for k := range registered {
			switch d := nearest(asked, registered[k]); {
			case k == i && d <= radius:
				found++
			case k != i && d <= radius:
				t.Errorf("a crop of scene %d is taken for scene %d, at %d bits", i, k, d)
			}
		}
	}
	if found < pictures/2 {
		t.Errorf("%d of %d crops are found", found, pictures)
	}
}

// TestHashes_Nothing: without features, luma or number there are no parts.
func TestHashes_Nothing(t *testing.T) {
	t.Parallel()
	g := scene(1, 300, 200)
	f, err := features.Extract(g)
	if err != nil {
		t.Fatal(err)
	}
	for name, hs := range map[string][]phash.Hash{
		"no features": parts.Hashes(g, features.Features{}, 8), "none asked": parts.Hashes(g, f, 0),
		"no pixels": parts.Hashes(image.NewGray(image.Rectangle{}), f, 8), "tiny": parts.Hashes(image.NewGray(image.Rect(0, 0, 9, 9)), f, 8),
	} {
		if len(hs) != 0 {
			t.Errorf("%s: %d hashes", name, len(hs))
		}
	}
}
