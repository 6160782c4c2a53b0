package raster_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"image"
	"testing"

	"github.com/staydown/staydown/internal/raster"
)

// rows gives w × h pixels that depend on their place.
func rows(gray bool) func(t *raster.Target, w *raster.Work) (raster.Fault, error) {
	return func(t *raster.Target, w *raster.Work) (raster.Fault, error) {
		row := make([]byte, t.Bytes()*t.Width)
		for y := range t.Height {
			if err := w.Spend(int64(t.Width)); err != nil {
				return raster.Stopped(err)
			}
			for i := range row {
				row[i] = byte(uint32(i*7+y*13) * 2654435761 >> 24)
			}
			t.Row(y, row)
		}
		return raster.Sound, nil
	}
}

func digest(img image.Image) string {
	var pix []byte
	switch m := img.(type) {
	case *image.Gray:
		pix = m.Pix
	case *image.NRGBA:
		pix = m.Pix
	}
	sum := sha256.Sum256(pix)
	return hex.EncodeToString(sum[:6])
}

// The pixels of reduced and of composed pictures are the same on every
// architecture.
func TestGolden(t *testing.T) {
	t.Parallel()
	over := []raster.Frame{
		{Rect: image.Rect(0, 0, 90, 70), Decode: rows(false)},
		{Rect: image.Rect(11, 5, 80, 66), Decode: rows(false), Dispose: raster.Restore},
		{Rect: image.Rect(3, 30, 99, 99), Decode: rows(false), Dispose: raster.Clear},
		{Rect: image.Rect(0, 0, 50, 50), Decode: rows(false), Replace: true},
	}
	tests := []struct {
		name  string
		file  raster.File
		scale int
		want  []string
	}{
		{"colours", raster.File{Width: 90, Height: 70, Frames: over[:1]}, 1, []string{"021af2fce621"}},
		{"frames", raster.File{Width: 90, Height: 70, Frames: over}, 1, []string{"69643cad4d3a", "3d706b977897", "962d6f2bd8eb", "a0ec80766624"}},
		{"colours reduced", raster.File{Width: 7001, Height: 3700,
			Frames: []raster.Frame{{Rect: image.Rect(0, 0, 7001, 3700), Decode: rows(false)}}}, 2, []string{"e6881d767d50"}},
		{"gray reduced, in any order", raster.File{Width: 12001, Height: 9003,
			Frames: []raster.Frame{{Rect: image.Rect(0, 0, 12001, 9003), Gray: true, Random: true, Decode: rows(true)}}}, 3, []string{"854ed7b79961"}},
	}
	for _, tt := range tests {
		if tt.scale > 1 && testing.Short() {
			continue
		}
		var got []string
		w := raster.NewWork(context.Background(), 1<<40)
		left, err := tt.file.Play(raster.Options{MaxFrames: 10}, w, func(s raster.Shown) bool {
			if s.Scale != tt.scale || s.Missing != 0 {
				t.Errorf("%s: scale %d, missing %v", tt.name, s.Scale, s.Missing)
			}
			got = append(got, digest(s.Image))
			return true
		})
		if err != nil || left != 0 {
			t.Errorf("%s: %d left out, %v", tt.name, left, err)
		}
		if len(got) != len(tt.want) {
			t.Fatalf("%s: %d frames, want %d", tt.name, len(got), len(tt.want))
		}
		for i, g := range got {
			if g != tt.want[i] {
				t.Errorf("%s: frame %d is %s, want %s", tt.name, i, g, tt.want[i])
			}
		}
	}
}

// The budget ends decoding, the context ends it with its error.
func TestWork(t *testing.T) {
	t.Parallel()
	w := raster.NewWork(context.Background(), 10)
	if err := w.Spend(10); err != nil {
		t.Error(err)
	}
	if err := w.Spend(1); !errors.Is(err, raster.ErrBudget) || w.Left() != 0 {
		t.Errorf("%v, %d left", err, w.Left())
	}
	ctx, cancel := context.WithCancel(context.Background())
	w = raster.NewWork(ctx, 1<<40)
	cancel()
	n := 0
	for ; n < 100 && w.Spend(1<<20) == nil; n++ {
	}
	if n > 8 {
		t.Errorf("%d Mi units after the context ended", n)
	}
}
