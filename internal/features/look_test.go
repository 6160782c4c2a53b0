package features_test

import (
	"image"
	"math/rand/v2"
	"testing"

	"github.com/staydown/staydown/internal/features"
)

// strokes draws slanted half-transparent strokes over m, as a watermark does.
func strokes(m *image.Gray) *image.Gray {
	o := image.NewGray(m.Rect)
	for y := range m.Rect.Dy() {
		for x := range m.Rect.Dx() {
			v := int(m.GrayAt(x, y).Y)
			// Bands of letters: blocks of 12 pixels of which a hash leaves out some.
			if u, w := (2*x+3*y)/36, (3*x-2*y+9000)/36; u%4 == 0 && (w*7+u*3)%5 < 3 {
				v += (255 - v) * 35 / 100
			}
			o.Pix[y*o.Stride+x] = uint8(v)
		}
	}
	return o
}

// dark draws a nearly black picture: faint spots, no two seeds the same.
func dark(seed uint64, w, h int) *image.Gray {
	m := scene(seed, w, h)
	for i, v := range m.Pix {
		m.Pix[i] = 14 + v/40
	}
	return m
}

// framed puts m into a page: a scene around it that is always the same.
func framed(m *image.Gray) *image.Gray {
	o := scene(77, m.Rect.Dx()*3/2, m.Rect.Dy()*3/2)
	for y := range m.Rect.Dy() {
		copy(o.Pix[(y+m.Rect.Dy()/4)*o.Stride+m.Rect.Dx()/4:], m.Pix[y*m.Stride:][:m.Rect.Dx()])
	}
	return o
}

// outline draws one smooth bright shape on plain ground.
func outline(w, h int, inside func(x, y int) bool) *image.Gray {
	m := image.NewGray(image.Rect(0, 0, w, h))
	r := rand.New(rand.NewPCG(1, 2))
	for y := range h {
		for x := range w {
			v := 60
			if inside(x-w/2, y-h/2) {
				v = 200
			}
			m.Pix[y*m.Stride+x] = uint8(v + r.IntN(5))
		}
	}
	return m
}

// What both pictures carry is no proof of what else they show, and what lies
// over a copy does not hide it.
func TestSearch_WhatLiesOver(t *testing.T) {
	t.Parallel()
	disc := func(r int) func(x, y int) bool { return func(x, y int) bool { return x*x+y*y < r*r } }
	tests := []struct {
		name              string
		registered, asked *image.Gray
		want              features.Band
	}{
		{"a watermark over a copy", scene(3, 640, 480), strokes(scene(3, 640, 480)), features.Block},
		{"a watermark over the registered picture", strokes(scene(3, 640, 480)), scene(3, 640, 480), features.Block},
		{"the same watermark over others", strokes(scene(4, 640, 480)), strokes(scene(5, 640, 480)), features.Review},
		{"the same frame around a copy", framed(scene(6, 400, 300)), framed(scene(6, 400, 300)), features.Block},
		{"the same frame around others", framed(scene(6, 400, 300)), framed(scene(7, 400, 300)), features.Review},
		{"the same frame around dark others", framed(dark(8, 400, 300)), framed(dark(9, 400, 300)), features.Review},
		{"a copy of a dark picture in a frame", framed(dark(8, 400, 300)), framed(dark(8, 400, 300)), features.Block},
		{"one outline", outline(640, 480, disc(170)), outline(600, 500, disc(140)), features.Review},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			seg := mustSegment(t, features.Entry{Features: mustExtract(t, tt.registered)})
			got := features.None
			for _, m := range search(seg, mustExtract(t, tt.asked)) {
				t.Logf("%+v", m)
				got = max(got, m.Band)
			}
			if got > tt.want || tt.want == features.Block && got != features.Block {
				t.Errorf("band %v, want at most Review or exactly Block: %v", got, tt.want)
			}
		})
	}
}
