package jpegdec_test

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/jpeg"
	"testing"

	"github.com/staydown/staydown/internal/jpegdec"
)

// Colours in range are taken for what they are; where chroma is moved out of range,
// as by a changed byte, that is noticed without decoding chroma.
func TestBeyond(t *testing.T) {
	t.Parallel()
	m := image.NewYCbCr(image.Rect(0, 0, 128, 128), image.YCbCrSubsampleRatio420)
	beyond := func() float64 {
		var b bytes.Buffer
		if err := jpeg.Encode(&b, m, nil); err != nil {
			t.Fatal(err)
		}
		p, err := jpegdec.Decode(context.Background(), b.Bytes(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return p.Beyond
	}
	for i, c := range []color.RGBA{{200, 30, 40, 255}, {255, 0, 0, 255}, {0, 255, 0, 255}, {0, 0, 255, 255}, {9, 9, 9, 255}, {250, 250, 0, 255}} {
		y, cb, cr := color.RGBToYCbCr(c.R, c.G, c.B)
		fill(m, y, cb, cr)
		if got := beyond(); got > 2 {
			t.Errorf("colour %d: beyond by %.2f", i, got)
		}
	}
	fill(m, 230, 128, 250)
	if got := beyond(); got < 20 {
		t.Errorf("bright red that cannot be: beyond by %.2f", got)
	}
}

func fill(m *image.YCbCr, y, cb, cr byte) {
	for i := range m.Y {
		m.Y[i] = y
	}
	for i := range m.Cb {
		m.Cb[i], m.Cr[i] = cb, cr
	}
}
