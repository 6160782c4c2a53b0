package webpdec

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"

	"golang.org/x/image/vp8"

	"github.com/staydown/staydown/internal/raster"
)

// lossyCost is the work for a pixel of VP8.
const lossyCost = 20

// maxLossy bounds the pixels of VP8 that are decoded: 1.5 bytes each. Of a taller
// picture the rows above are decoded.
const maxLossy = 64 << 20

// padding is how many zeros are added to data that end early.
const padding = 1 << 16

// planes decodes a picture without alpha to luma and chroma of the full range.
func (b bitstream) planes(w *raster.Work) (*image.YCbCr, raster.Fault, error) {
	m, fault, err := b.vp8(w)
	if err != nil {
		return nil, raster.Data, err
	}
	widen(m)
	if m.Rect.Dy() < b.h {
		fault = raster.Budget
	}
	return m, fault, nil
}

// vp8 decodes the bitstream, of which the height is reduced to what work and
// memory allow. The decoder takes no context: it runs apart, and is left to itself
// when the context is done, which is at most a second before it ends.
func (b bitstream) vp8(w *raster.Work) (*image.YCbCr, raster.Fault, error) {
	rows := min(b.h, int(min(maxLossy, w.Left()/lossyCost)/int64(b.w)))
	if rows < min(b.h, 16) {
		return nil, raster.Budget, raster.ErrBudget
	}
	if err := w.Spend(int64(rows) * int64(b.w) * lossyCost); err != nil {
		return nil, raster.Budget, err
	}
	ctx := w.Context()
	if err := ctx.Err(); err != nil {
		return nil, raster.Budget, err
	}
	type result struct {
		m     *image.YCbCr
		fault raster.Fault
		err   error
	}
	done := make(chan result, 1)
	run := func() {
		m, err := decodeVP8(b.body, rows)
		if err == nil {
			done <- result{m, raster.Sound, nil}
			return
		}
		// Wrong bits made the data end early. Browsers show what is before that; with
		// zeros behind the data, so much is decoded, and something else below.
		m, err = decodeVP8(append(bytes.Clone(b.body), make([]byte, padding)...), rows)
		done <- result{m, raster.Data, err}
	}
	if ctx.Done() == nil || rows*b.w < 1<<20 {
		run()
	} else {
		go run()
	}
	select {
	case r := <-done:
		return r.m, r.fault, r.err
	case <-ctx.Done():
		return nil, raster.Budget, ctx.Err()
	}
}

// decodeVP8 decodes the first rows of a VP8 key frame.
func decodeVP8(body []byte, rows int) (m *image.YCbCr, err error) {
	defer func() {
		if r := recover(); r != nil {
			m, err = nil, fmt.Errorf("%w: the decoder panicked: %v", ErrData, r)
		}
	}()
	head := bytes.Clone(body[:10])
	head[8], head[9] = byte(rows), head[9]&0xc0|byte(rows>>8) // the height
	d := vp8.NewDecoder()
	d.Init(&joined{head, body[10:]}, len(body))
	if _, err := d.DecodeFrameHeader(); err != nil {
		return nil, errors.Join(ErrData, err)
	}
	m, err = d.DecodeFrame()
	if err != nil {
		return nil, errors.Join(ErrData, err)
	}
	return m, nil
}

// joined reads one slice after another.
type joined [2][]byte

func (j *joined) Read(p []byte) (int, error) {
	n := copy(p, j[0])
	j[0] = j[0][n:]
	if n == 0 {
		n = copy(p, j[1])
		j[1] = j[1][n:]
	}
	if n == 0 && len(p) > 0 {
		return 0, errors.New("webpdec: end of VP8 data")
	}
	return n, nil
}

// widen turns planes of 16 to 235, and 16 to 240, into planes of 0 to 255.
func widen(m *image.YCbCr) {
	var luma, chroma [256]byte
	for i := range 256 {
		luma[i] = byte(clamp(((i-16)*255*2 + 219) / (219 * 2)))
		chroma[i] = byte(clamp(128 + roundDiv((i-128)*255, 224)))
	}
	for i, v := range m.Y {
		m.Y[i] = luma[v]
	}
	for i, v := range m.Cb {
		m.Cb[i] = chroma[v]
	}
	for i, v := range m.Cr {
		m.Cr[i] = chroma[v]
	}
}

func roundDiv(a, b int) int {
	if a < 0 {
		return -((-a + b/2) / b)
	}
	return (a + b/2) / b
}

// decodeLossy gives the picture with its alpha to t.
func (b bitstream) decodeLossy(t *raster.Target, w *raster.Work) (raster.Fault, error) {
	m, fault, err := b.planes(w)
	if err != nil {
		if errors.Is(err, raster.ErrBudget) {
			return raster.Budget, nil
		}
		return fault, err
	}
	var alpha *alphaRows
	if b.alpha != nil {
		if alpha, err = openAlpha(b.alpha, b.w, b.h, w); err != nil {
			if w.Context().Err() != nil {
				return raster.Budget, err
			}
			fault = max(fault, raster.Data) // shown opaque
		}
	}
	out := make([]byte, 4*b.w)
	for y := range m.Rect.Dy() {
		if err := w.Spend(int64(b.w) * 4); err != nil {
			return raster.Stopped(err)
		}
		yi, ci := m.YOffset(0, y), m.COffset(0, y)
		for x := range b.w {
			r, g, bl := color.YCbCrToRGB(m.Y[yi+x], m.Cb[ci+x/2], m.Cr[ci+x/2])
			*(*[4]byte)(out[4*x:]) = [4]byte{r, g, bl, 0xff}
		}
		if alpha != nil {
			row, f, err := alpha.next()
			if err != nil {
				return raster.Stopped(err)
			}
			for x, a := range row {
				out[4*x+3] = a
			}
			if f != raster.Sound {
				alpha, fault = nil, max(fault, f)
			}
		}
		t.Row(y, out)
	}
	return fault, nil
}

// alphaRows reads the rows of an ALPH chunk.
type alphaRows struct {
	raw    []byte  // not compressed, or
	packed *stream // compressed
	filter byte
	row    []byte // now, and before
	first  bool
}

func openAlpha(body []byte, w, h int, work *raster.Work) (*alphaRows, error) {
	if len(body) < 1 {
		return nil, ErrData
	}
	a := &alphaRows{filter: body[0] >> 2 & 3, row: make([]byte, w), first: true}
	switch body[0] & 3 {
	case 0:
		a.raw = body[1:]
		if len(a.raw) < w*h {
			return nil, ErrData
		}
	case 1:
		var err error
		if a.packed, err = openStream(body[1:], w, h, work); err != nil {
			return nil, err
		}
	default:
		return nil, ErrData
	}
	return a, nil
}

func (a *alphaRows) next() ([]byte, raster.Fault, error) {
	row := a.row
	corner := row[0] // of the row above
	given := func(x int) byte { return a.raw[x] }
	if a.packed != nil {
		p, fault, err := a.packed.next()
		if err != nil || len(p) < len(row) {
			return nil, max(fault, raster.Cut), err
		}
		given = func(x int) byte { return byte(p[x] >> 8) }
	}
	left := byte(0)
	for x := range row {
		up := row[x]
		var p byte
		switch {
		case a.filter == 0:
		case x == 0 && a.first:
		case a.first:
			p = left
		case x == 0, a.filter == 2:
			p = up
		case a.filter == 1:
			p = left
		default:
			p = byte(clamp(int(left) + int(up) - int(corner)))
		}
		left = given(x) + p
		row[x] = left
		corner = up
	}
	if a.packed == nil {
		a.raw = a.raw[len(row):]
	}
	a.first = false
	return row, raster.Sound, nil
}
