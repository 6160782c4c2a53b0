package features_test

import (
	"image"
	"math/rand/v2"
	"testing"

	"github.com/staydown/staydown/internal/features"
)

// sheet draws a page of made-up letters: a head that its seed decides, and a text of so
// many lines that another seed decides.
func sheet(head, text uint64, lines int) *image.Gray {
	m := image.NewGray(image.Rect(0, 0, 744, 1052))
	for i := range m.Pix {
		m.Pix[i] = 250
	}
	write := func(seed uint64, x0, y0, x1, size int) {
		r := rand.New(rand.NewPCG(seed, 11))
		for x := x0; x+5*size < x1; x += 6 * size {
			if r.IntN(6) == 0 {
				continue // between words
			}
			glyph := r.Uint64()
			for k := range 35 { // five by seven dots, three in five of them ink
				if glyph>>k&1 == 0 && k%7 != 3 {
					continue
				}
				for y := range size {
					row := m.Pix[(y0+k/5*size+y)*m.Stride+x+k%5*size:]
					for i := range size {
						row[i] = 20
					}
				}
			}
		}
	}
	for i := range 3 {
		write(head+uint64(i), 60, 50+50*i, 684, 4)
	}
	for i := range lines {
		write(1000+text*100+uint64(i), 60, 260+30*i, 684, 2)
	}
	return m
}

// withNoise returns m with grain of so many grey levels to both sides.
func withNoise(m *image.Gray, n int) *image.Gray {
	r := rand.New(rand.NewPCG(1, 9))
	o := image.NewGray(m.Rect)
	for i, v := range m.Pix {
		o.Pix[i] = uint8(min(max(int(v)+r.IntN(2*n+1)-n, 0), 255))
	}
	return o
}

// A template is no proof of what is written into it. A copy is one whatever was done to it
// that leaves the strokes alone, and what is covered is left to a person.
func TestSearch_Templates(t *testing.T) {
	t.Parallel()
	own := sheet(1, 1, 8)
	covered := image.NewGray(own.Rect)
	copy(covered.Pix, own.Pix)
	for y := 380; y < 520; y++ {
		for x := range 500 {
			covered.Pix[y*covered.Stride+x] = 90
		}
	}
	seg := mustSegment(t, features.Entry{Features: mustExtract(t, own)})
	tests := []struct {
		name  string
		asked image.Image
		want  features.Band
	}{
		{"the picture", own, features.Block},
		{"grain", withNoise(own, 20), features.Block},
		{"cut", own.SubImage(image.Rect(20, 15, 730, 1030)), features.Block},
		{"smaller", mapped(own, 558, 789, func(x, y int) (int, int) { return x * 64 / 3, y * 64 / 3 }), features.Block},
		{"turned a little", mapped(own, 744, 1052, func(x, y int) (int, int) { return 16*x + y/6 - 80, 16*y - x/6 + 60 }), features.Block},
		{"covered in part", covered, features.Review},
		{"another text under the same head", sheet(1, 2, 8), features.None},
		{"another line at the end", sheet(1, 1, 7), features.None},
		{"the head alone", sheet(1, 1, 0), features.None},
		{"another head over the same text", sheet(2, 1, 8), features.None},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := features.None
			for _, m := range search(seg, mustExtract(t, tt.asked)) {
				t.Logf("%v %+v", m.Look, m.Ink)
				got = max(got, m.Band)
				if (m.Band == features.Block) != m.Corroborates() {
					t.Errorf("band %v and Corroborates %v: strokes alone bear out the hash of a template", m.Band, m.Corroborates())
				}
			}
			if got != tt.want {
				t.Errorf("band %v, want %v", got, tt.want)
			}
		})
	}
}

func TestSurvey_Look(t *testing.T) {
	t.Parallel()
	board := image.NewGray(image.Rect(0, 0, 640, 640))
	r := rand.New(rand.NewPCG(5, 5))
	modules := make([]bool, 29*29)
	for i := range modules {
		modules[i] = r.IntN(2) == 0
	}
	for y := range 640 {
		for x := range 640 {
			board.Pix[y*board.Stride+x] = 255
			if u, v := (x-30)/20, (y-30)/20; x >= 30 && y >= 30 && u < 29 && v < 29 && modules[v*29+u] {
				board.Pix[y*board.Stride+x] = 0
			}
		}
	}
	tests := []struct {
		name string
		m    image.Image
		want features.Look
	}{
		{"text", sheet(1, 1, 20), features.Document},
		{"scanned text", withNoise(sheet(1, 1, 20), 10), features.Document},
		{"a code", board, features.Graphic},
		{"a scene", scene(3, 640, 480), features.Natural},
		{"a dark scene", dark(3, 640, 480), features.Natural},
		{"too small", image.NewGray(image.Rect(0, 0, 5, 5)), features.Natural},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := features.SurveyOf(tt.m)
			if got := s.Look(); got != tt.want {
				t.Errorf("look %v, want %v: %+v", got, tt.want, s)
			}
			f, err := features.Extract(tt.m)
			if err != nil {
				return
			}
			if f.Look() != tt.want || f.Compact().Look() != tt.want || f.Compact().HasInk() != (tt.want != features.Natural) {
				t.Errorf("features look %v, compact %v, with a fine picture: %v", f.Look(), f.Compact().Look(), f.Compact().HasInk())
			}
		})
	}
}
