package avif_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/draw"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/phash/avif"
)

var options = &phash.DecodeOptions{Decoders: map[phash.Format]phash.Decoder{phash.FormatAVIF: avif.Decode}}

func read(tb testing.TB, path ...string) []byte {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// scene returns the picture that all test files show.
func scene(tb testing.TB) *image.NRGBA {
	p, err := phash.Decode(bytes.NewReader(read(tb, "..", "testdata", "pictures", "rgb.png")), nil)
	if err != nil {
		tb.Fatal(err)
	}
	m := image.NewNRGBA(p.Image().Bounds())
	draw.Draw(m, m.Rect, p.Image(), m.Rect.Min, draw.Src)
	return m
}

// turned returns m with each pixel (x, y) moved to f(x, y, w, h).
func turned(m *image.NRGBA, swap bool, f func(x, y, w, h int) (u, v int)) *image.NRGBA {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	n := image.NewNRGBA(image.Rect(0, 0, w, h))
	if swap {
		n = image.NewNRGBA(image.Rect(0, 0, h, w))
	}
	for y := range h {
		for x := range w {
			u, v := f(x, y, w, h)
			n.SetNRGBA(u, v, m.NRGBAAt(x, y))
		}
	}
	return n
}

func TestDecode(t *testing.T) {
	s := scene(t)
	left := func(x, y, w, h int) (int, int) { return y, w - 1 - x } // by 90° counter-clockwise
	tests := []struct {
		file  string
		want  *image.NRGBA
		alpha bool
	}{
		{"plain.avif", s, false},
		{"ten.avif", s, false},
		{"hole.avif", s, true},
		{"irot1.avif", turned(s, true, left), false},
		{"irot3.avif", turned(s, true, func(x, y, w, h int) (int, int) { return h - 1 - y, x }), false},
		{"imir0.avif", turned(s, false, func(x, y, w, h int) (int, int) { return x, h - 1 - y }), false},
		{"imir1.avif", turned(s, false, func(x, y, w, h int) (int, int) { return w - 1 - x, y }), false},
		{"irot1imir1.avif", turned(s, true, func(x, y, w, h int) (int, int) { u, v := left(x, y, w, h); return h - 1 - u, v }), false},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			p, err := phash.Decode(bytes.NewReader(read(t, "testdata", tt.file)), options)
			if err != nil {
				t.Fatal(err)
			}
			w, h := p.Size()
			if b := tt.want.Bounds(); w != b.Dx() || h != b.Dy() || p.Format() != phash.FormatAVIF || p.HasAlpha() != tt.alpha {
				t.Errorf("%d × %d %v, alpha %v; want %v", w, h, p.Format(), p.HasAlpha(), b)
			}
			got, q := p.PDQ()
			want, _, err := phash.PDQ(tt.want)
			if err != nil {
				t.Fatal(err)
			}
			limit := 10
			if tt.alpha {
				limit = 60 // below its hole the encoder keeps no colours
			}
			if d, _ := got.Distance(want); d > limit || q < phash.QualityFloor {
				t.Errorf("%d bits from the scene, quality %d", d, q)
			}
		})
	}
}

// Large pictures are decoded without filters. Even in small ones that changes no more
// than a few bits of the hash.
func TestPlain(t *testing.T) {
	for _, file := range []string{"plain.avif", "ten.avif", "hole.avif"} {
		data := read(t, "testdata", file)
		var hashes [2]phash.Hash
		for i, decode := range []phash.Decoder{avif.Decode, func(data []byte, _ int64) (image.Image, error) { return avif.DecodePlain(data) }} {
			m, err := decode(data, 1<<30)
			if err != nil {
				t.Fatal(err)
			}
			if hashes[i], _, err = phash.PDQ(m); err != nil {
				t.Fatal(err)
			}
		}
		if d, _ := hashes[0].Distance(hashes[1]); d > 4 {
			t.Errorf("%s: %d bits", file, d)
		}
	}
}

// A grid of which a tile is damaged is looked at, and the tile is reported.
func TestGrid(t *testing.T) {
	data := read(t, "testdata", "grid.avif")
	sound, err := phash.Decode(bytes.NewReader(data), options)
	if err != nil {
		t.Fatal(err)
	}
	h, _ := sound.PDQ()
	want, _, err := phash.PDQ(scene(t))
	if err != nil {
		t.Fatal(err)
	}
	if d, _ := h.Distance(want); d > 10 || sound.Truncated() {
		t.Errorf("%d bits from the scene, %v", d, sound.Damage())
	}
	for k := len(data) - 628; k < len(data); k++ { // the second of two tiles
		data[k] = 0
	}
	o := *options
	o.AcceptTruncated = true
	p, err := phash.Decode(bytes.NewReader(data), &o)
	if err != nil {
		t.Fatal(err)
	}
	if d := p.Damage(); d.Missing != 0.5 || d.Reason != phash.DamageCut {
		t.Errorf("damage %v", d)
	}
	if _, err := phash.Decode(bytes.NewReader(data), options); !errors.Is(err, phash.ErrCorrupt) {
		t.Errorf("a damaged grid: %v", err)
	}
}

func TestRefuses(t *testing.T) {
	plain := read(t, "testdata", "plain.avif")
	// The container's size, changed in place.
	huge := bytes.Clone(plain)
	i := bytes.Index(huge, []byte("ispe"))
	binary.BigEndian.PutUint32(huge[i+8:], 60000)
	binary.BigEndian.PutUint32(huge[i+12:], 60000)
	garbled := bytes.Clone(plain)
	for k := bytes.Index(garbled, []byte("mdat")) + 8; k < len(garbled); k++ {
		garbled[k] = 0
	}
	tests := []struct {
		name   string
		data   []byte
		opts   phash.DecodeOptions
		reason error
	}{
		{"too many pixels", plain, phash.DecodeOptions{MaxPixels: 144*104 - 1}, phash.ErrTooLarge},
		{"a bomb", huge, phash.DecodeOptions{}, phash.ErrTooLarge},
		{"cut off", plain[:len(plain)/2], phash.DecodeOptions{}, phash.ErrCorrupt},
		{"only its brand", plain[:40], phash.DecodeOptions{}, phash.ErrCorrupt},
		{"data gone", garbled, phash.DecodeOptions{}, phash.ErrCorrupt},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.opts.Decoders = options.Decoders
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := phash.Decode(bytes.NewReader(tt.data), &tt.opts)
			runtime.ReadMemStats(&after)
			var d *phash.DecodeError
			if !errors.Is(err, tt.reason) || !errors.As(err, &d) || d.Format != phash.FormatAVIF {
				t.Errorf("error %v, want %v", err, tt.reason)
			}
			if n := after.TotalAlloc - before.TotalAlloc; tt.reason == phash.ErrTooLarge && n > 1<<20 {
				t.Errorf("%d bytes allocated before it was refused", n)
			}
		})
	}
}

// Damaged files give a picture or a typed error: what traps in the sandbox comes
// back as an error.
func TestDamaged(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, file := range []string{"plain.avif", "hole.avif"} {
		data := read(t, "testdata", file)
		for i := range 40 {
			b := bytes.Clone(data)
			for range 1 + rng.IntN(3) {
				b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
			}
			if i%4 == 0 {
				b = b[:rng.IntN(len(b))]
			}
			_, err := phash.Decode(bytes.NewReader(b), options)
			if d := (*phash.DecodeError)(nil); err != nil && !errors.As(err, &d) {
				t.Fatalf("%s, case %d: %v is not a DecodeError", file, i, err)
			}
		}
	}
}

// FuzzDecode: no file makes the decoder panic or take more pixels than are allowed.
func FuzzDecode(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.avif")
	for _, name := range files {
		f.Add(read(f, name))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		const most = 1 << 16
		m, err := avif.Limited(32<<20)(data, most)
		if err != nil {
			return
		}
		if b := m.Bounds(); b.Empty() || b.Dx()*b.Dy() > most {
			t.Fatalf("a picture of %v", b)
		}
		if a, ok := m.(phash.Animation); ok {
			frames, _ := a.Frames(t.Context(), 3)
			for m := range frames {
				if m.Bounds().Empty() {
					t.Fatal("an empty frame")
				}
			}
		}
	})
}
