package phash_test

import (
	"image"
	"image/color"
	"slices"
	"testing"

	"github.com/staydown/staydown/phash"
)

// drawn returns a picture whose pixels are f of the luma of the scene and of
// another picture.
func drawn(tb testing.TB, f func(a, b byte) color.NRGBA) *phash.Picture {
	tb.Helper()
	a := mustDecode(tb, pictureFile(tb, "grey.png")).Luma()
	m := image.NewNRGBA(a.Rect)
	for y := range m.Rect.Dy() {
		for x := range m.Rect.Dx() {
			other := byte(128)
			if (x-70)*(x-70)+(y-40)*(y-40) < 900 || x/9%3 == y/13%2 {
				other = 230
			}
			m.SetNRGBA(x, y, f(a.GrayAt(x, y).Y, other))
		}
	}
	p, err := phash.NewPicture(m)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func hashOf(tb testing.TB, p *phash.Picture, r phash.Reading) phash.Hash {
	tb.Helper()
	h, _, err := phash.PDQ(p.Reading(r))
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

// What is registered is what a reviewer sees, and whatever else a picture can show
// is named.
func TestReadings(t *testing.T) {
	t.Parallel()
	white, black, colours := phash.ReadingWhite, phash.ReadingBlack, phash.ReadingColours
	tests := []struct {
		name      string
		pixel     func(a, b byte) color.NRGBA
		reading   phash.Reading
		differing []phash.Reading
		refused   bool
	}{
		{"opaque", func(a, _ byte) color.NRGBA { return color.NRGBA{a, a, a, 255} }, white, nil, false},
		{"slightly transparent", func(a, _ byte) color.NRGBA { return color.NRGBA{a, a, a, 250} }, colours, nil, false},
		{"black ink", func(a, _ byte) color.NRGBA { return color.NRGBA{0, 0, 0, 255 - a} }, white, nil, false},
		{"white ink", func(a, _ byte) color.NRGBA { return color.NRGBA{255, 255, 255, a} }, black, nil, false},
		{"another picture in the colours", func(a, b byte) color.NRGBA {
			// Over white, alpha makes of b what a is.
			alpha := byte(min(255, int(255-a)*255/max(1, int(255-min(b/2, a)))))
			return color.NRGBA{min(b/2, a), min(b/2, a), min(b/2, a), alpha}
		}, white, []phash.Reading{black, colours}, false},
		{"another picture over black", func(a, b byte) color.NRGBA {
			// c·α + 255(1-α) = 128 + a/2 over white, c·α = b/3 over black.
			w, k := int(128+a/2), int(b/3)
			alpha := 255 - (w - k)
			return color.NRGBA{byte(min(255, k*255/alpha)), byte(min(255, k*255/alpha)), byte(min(255, k*255/alpha)), byte(alpha)}
		}, white, []phash.Reading{black, colours}, false},
		{"invisible", func(a, _ byte) color.NRGBA { return color.NRGBA{a, a, a, 0} }, white, nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := drawn(t, tt.pixel)
			reg, err := phash.HashesToStore(p, nil)
			if tt.refused {
				if err == nil {
					t.Fatalf("registered %v", reg.Reading)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if reg.Reading != tt.reading || !slices.Equal(reg.Differing, tt.differing) {
				t.Errorf("registered %v, differing %v; want %v, %v", reg.Reading, reg.Differing, tt.reading, tt.differing)
			}
			if d := distance(t, reg.Hashes[0].Hash, hashOf(t, p, tt.reading)); d > 4 {
				t.Errorf("the first hash is %d bits from the reading %v", d, tt.reading)
			}
			for _, r := range tt.differing {
				h := hashOf(t, p, r)
				for _, v := range reg.Hashes {
					if d := distance(t, v.Hash, h); d < 31 {
						t.Errorf("%v is %d bits from the reading %v, which differs", v.Transform, d, r)
					}
				}
			}
			// It is looked up in each reading, by what is registered first.
			asked := phash.HashesToAsk(p)
			if asked[0] != reg.Hashes[0].Hash {
				t.Error("the first hash asked for is not the first that is registered")
			}
			for _, r := range tt.differing {
				h, near := hashOf(t, p, r), false
				for _, a := range asked {
					near = near || distance(t, a, h) <= 4
				}
				if !near {
					t.Errorf("it is not looked up in the reading %v", r)
				}
			}
		})
	}
}
