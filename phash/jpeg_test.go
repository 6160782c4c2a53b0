package phash_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/jpeg"
	"os"
	"path/filepath"
	"testing"

	"github.com/staydown/staydown/internal/sharedtest"
	"github.com/staydown/staydown/phash"
)

// The hash of a sound JPEG is within 2 bits of the one by way of image/jpeg, and
// of the reference's, whose decoder is libjpeg. The two decoders differ by the
// rounding of their inverse cosine transforms.
func TestJPEGLikeStandardDecoder(t *testing.T) {
	t.Parallel()
	got := map[int]int{}
	for _, f := range sharedtest.Sample(t, photoFiles(t), 30) {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		std, err := jpeg.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		want, wantQ, err := phash.PDQ(std)
		if err != nil {
			t.Fatal(err)
		}
		h, q := mustDecode(t, data).PDQ()
		d := distance(t, h, want)
		if got[d]++; d > 2 || q-wantQ > 1 || wantQ-q > 1 {
			t.Errorf("%s: %d bits, quality %d and %d", filepath.Base(f), d, q, wantQ)
		}
	}
	t.Logf("photos by bits: %v", got)
}

// The colours of a JPEG are decoded when they are asked for, and turned.
func TestJPEGColours(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"baseline.jpg", "progressive.jpg", "444.jpg", "grey.jpg", "cmyk.jpg", "exif6.jpg"} {
		data := pictureFile(t, file)
		std, err := jpeg.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		p := mustDecode(t, data)
		img := p.Image()
		if file == "exif6.jpg" {
			if img.Bounds().Dx() != std.Bounds().Dy() {
				t.Errorf("%s is not turned: %v", file, img.Bounds())
			}
			continue
		}
		for y := range std.Bounds().Dy() {
			for x := range std.Bounds().Dx() {
				r, g, b, _ := img.At(x, y).RGBA()
				wr, wg, wb, _ := std.At(x, y).RGBA()
				if absDiff(byte(r>>8), byte(wr>>8)) > 5 || absDiff(byte(g>>8), byte(wg>>8)) > 5 || absDiff(byte(b>>8), byte(wb>>8)) > 5 {
					t.Fatalf("%s at %d, %d: %v, image/jpeg has %v", file, x, y, img.At(x, y), std.At(x, y))
				}
			}
		}
	}
}

// Damage says what is wrong with a JPEG, and how much is missing.
func TestJPEGDamage(t *testing.T) {
	t.Parallel()
	data := pictureFile(t, "baseline.jpg")
	scan := bytes.Index(data, []byte{0xff, 0xda}) + 14
	noise := bytes.Clone(data)
	for i := scan + 200; i < scan+230; i++ {
		noise[i] = byte(i*37) & 0x7f // no marker
	}
	tests := []struct {
		name     string
		data     []byte
		reason   phash.DamageReason
		min, max float64
		visible  bool
	}{
		{"sound", data, phash.DamageNone, 0, 0, false},
		{"no end marker", data[:len(data)-2], phash.DamageStructure, 0, 0, false},
		{"half of it", data[:len(data)/2], phash.DamageCut, 0.3, 0.8, true},
		{"wrong bytes", noise, phash.DamageData, 0, 0.5, true},
	}
	for _, tt := range tests {
		p, err := phash.Decode(bytes.NewReader(tt.data), &phash.DecodeOptions{AcceptTruncated: true})
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		d := p.Damage()
		if d.Reason != tt.reason || d.Missing < tt.min || d.Missing > tt.max || d.Visible() != tt.visible {
			t.Errorf("%s: %v, %.2f missing", tt.name, d, d.Missing)
		}
		if _, err := phash.Decode(bytes.NewReader(tt.data), nil); errors.Is(err, phash.ErrCorrupt) != tt.visible {
			t.Errorf("%s, damage not accepted: %v", tt.name, err)
		}
	}
}

// What lies behind the end of a JPEG does not count for the limit.
func TestJPEGPadded(t *testing.T) {
	t.Parallel()
	data := pictureFile(t, "baseline.jpg")
	want, _ := mustDecode(t, data).PDQ()
	padded := append(bytes.Clone(data), make([]byte, 1000)...)
	p, err := phash.Decode(bytes.NewReader(padded), &phash.DecodeOptions{MaxBytes: int64(len(data))})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := p.PDQ(); got != want {
		t.Errorf("%d bits from the file without padding", distance(t, got, want))
	}
}

// A context that has ended ends decoding.
func TestDecodeContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, file := range []string{"baseline.jpg", "progressive.jpg", "rgb.png", "animated.gif"} {
		p, err := phash.DecodeContext(ctx, bytes.NewReader(pictureFile(t, file)), nil)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, %v", file, p, err)
		}
	}
}

// The colours are there where several goroutines ask at once.
func TestJPEGColoursConcurrently(t *testing.T) {
	t.Parallel()
	p := mustDecode(t, pictureFile(t, "baseline.jpg"))
	imgs := make(chan image.Image)
	for range 4 {
		go func() {
			p.PDQ()
			imgs <- p.Image()
		}()
	}
	first := <-imgs
	for range 3 {
		if img := <-imgs; img != first {
			t.Error("another picture for another caller")
		}
	}
}
