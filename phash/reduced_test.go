package phash_test

import (
	"bytes"
	"image"
	"image/draw"
	"image/jpeg"
	"os"
	"path/filepath"
	"testing"

	"github.com/staydown/staydown/internal/sharedtest"
	"github.com/staydown/staydown/phash"
)

// photoFiles are the photographs of the shared material.
func photoFiles(tb testing.TB) []string {
	tb.Helper()
	files, _ := filepath.Glob(filepath.Join(sharedtest.Path(tb, "photos"), "*.jpg"))
	if len(files) < 300 {
		tb.Fatalf("%d photos, want 300", len(files))
	}
	return files
}

// photoLumas returns the luma of photographs.
func photoLumas(tb testing.TB, files []string) (lumas []*image.Gray) {
	tb.Helper()
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			tb.Fatal(err)
		}
		lumas = append(lumas, mustDecode(tb, data).Luma())
	}
	return lumas
}

// mosaic is a large picture of n × n photographs, each w × h: with the detail
// that large photographs have.
func mosaic(lumas []*image.Gray, n, w, h int) *image.Gray {
	m := image.NewGray(image.Rect(0, 0, n*w, n*h))
	for i := range n * n {
		at := image.Pt(i%n*w, i/n*h)
		src := lumas[i%len(lumas)]
		// Each in its own size, repeated where it is too small.
		for y := 0; y < h; y += src.Rect.Dy() {
			for x := 0; x < w; x += src.Rect.Dx() {
				r := image.Rect(x, y, x+src.Rect.Dx(), y+src.Rect.Dy()).Add(at).Intersect(image.Rect(0, 0, w, h).Add(at))
				draw.Draw(m, r, src, image.Point{}, draw.Src)
			}
		}
	}
	return m
}

// Where a large JPEG is reduced, its hash is within 2 bits of that of the full
// size, in every orientation, also without its borders. A sample of the mosaics; all
// 319 with
//
//	STAYDOWN_LONG=1 go test -run ReducedPDQ ./phash
func TestReducedPDQ(t *testing.T) {
	t.Parallel()
	files := photoFiles(t)
	for _, tt := range []struct {
		n, w, h, side, step int
		sample              int
	}{
		{2, 641, 513, 2, 1, 8}, {2, 523, 767, 2, 1, 8}, {4, 600, 512, 4, 4, 2}, {8, 520, 530, 8, 30, 1},
	} {
		var starts []int
		for i := 0; i+tt.n*tt.n <= len(files); i += tt.n * tt.step {
			starts = append(starts, i)
		}
		got, close := map[int]int{}, 0
		for _, i := range sharedtest.Sample(t, starts, tt.sample) {
			m := mosaic(photoLumas(t, files[i:i+tt.n*tt.n]), tt.n, tt.w, tt.h)
			want, _ := phash.BoxPDQ(m)
			h, isClose := phash.ReducedPDQ(m, tt.side)
			if isClose { // then the full size is hashed
				close++
				continue
			}
			d := distance(t, h, want)
			if got[d]++; d > 2 {
				t.Errorf("%d × %d at 1/%d: mosaic %d is %d bits from the full size", tt.n*tt.w, tt.n*tt.h, tt.side, i, d)
			}
		}
		t.Logf("%d × %d at 1/%d, by bits: %v, and %d close ones", tt.n*tt.w, tt.n*tt.h, tt.side, got, close)
	}
}

// The faster way by weights gives the very hash and quality of the reference's
// arithmetic, or is not taken.
func TestPDQByWeights(t *testing.T) {
	t.Parallel()
	lumas := photoLumas(t, sharedtest.Sample(t, photoFiles(t), 30))
	lumas = append(lumas, mosaic(lumas, 3, 500, 400), mosaic(lumas[7:], 5, 700, 301))
	for x := 1; x < 256; x *= 3 { // few levels: gradients and coefficients are near to each other
		lumas = append(lumas, formulaImage(400, 301, func(a, b int) int { return (a/7 + b*b/90) % x }))
	}
	for i, g := range lumas {
		want, wantQ := phash.BoxPDQ(g)
		got, q, err := phash.PDQ(g)
		if err != nil || got != want || q != wantQ {
			t.Errorf("picture %d of %v: %d bits, quality %d, want %d, %v", i, g.Rect.Max, distance(t, got, want), q, wantQ, err)
		}
	}
}

// A large JPEG is reduced, turned, and has the hash of its full size.
func TestReducedJPEG(t *testing.T) {
	t.Parallel()
	src := mosaic(photoLumas(t, photoFiles(t)[:12]), 2, 555, 601)
	var file bytes.Buffer
	if err := jpeg.Encode(&file, src, &jpeg.Options{Quality: 90}); err != nil {
		t.Fatal(err)
	}
	std, err := jpeg.Decode(bytes.NewReader(file.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	for orientation := byte(1); orientation <= 8; orientation++ {
		p := mustDecode(t, withOrientation(file.Bytes(), orientation))
		w, h := p.Size()
		if orientation >= 5 {
			w, h = h, w
		}
		if w != 1110 || h != 1202 || p.Luma().Rect.Dx() > 601 {
			t.Fatalf("orientation %d: %d × %d, luma %v", orientation, w, h, p.Luma().Rect)
		}
		turned, err := phash.NewPicture(phash.TurnForTest(std, orientation))
		if err != nil {
			t.Fatal(err)
		}
		want, _ := turned.PDQ()
		if got, _ := p.PDQ(); distance(t, got, want) > 2 {
			t.Errorf("orientation %d: %d bits from the full size", orientation, distance(t, got, want))
		}
	}
}

// withOrientation puts EXIF data with an orientation in front of a JPEG.
func withOrientation(data []byte, orientation byte) []byte {
	exif := []byte("\xff\xe1\x00\x22Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00")
	exif[29] = orientation
	return append(append(bytes.Clone(data[:2]), exif...), data[2:]...)
}
