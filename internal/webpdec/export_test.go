package webpdec

import (
	"context"
	"encoding/binary"
	"errors"
	"image"

	"github.com/staydown/staydown/internal/raster"
)

// LosslessAsFound decodes the body of a VP8L chunk with one rule changed: the first of
// two symbols has the code 0, also where it is not the smaller one. It also returns
// the number of such pairs.
func LosslessAsFound(body []byte) (m *image.NRGBA, pairs int, err error) {
	v := binary.LittleEndian.Uint32(body[1:])
	m = image.NewNRGBA(image.Rect(0, 0, int(v&0x3fff)+1, int(v>>14&0x3fff)+1))
	d := &lossless{bitReader: bitReader{data: body[5:]}, work: raster.NewWork(context.Background(), 1<<30), asFound: &pairs}
	s, err := d.stream(m.Rect.Dx(), m.Rect.Dy())
	if err != nil {
		return nil, 0, err
	}
	for y := range m.Rect.Dy() {
		row, fault, err := s.next()
		if err != nil || fault != raster.Sound {
			return nil, 0, errors.Join(errLossless, err)
		}
		for x, v := range row {
			*(*[4]byte)(m.Pix[m.PixOffset(x, y):]) = [4]byte{byte(v >> 16), byte(v >> 8), byte(v), byte(v >> 24)}
		}
	}
	return m, pairs, nil
}

// Pair builds a code of two symbols of an alphabet of 40, and returns the symbol if
// there is only one.
func Pair(a, b uint32) (only uint32, ok bool) {
	// Bits, the lowest first: simple, two symbols, 8 bits each.
	d := lossless{bitReader: bitReader{data: binary.LittleEndian.AppendUint32(nil, 7|a<<3|b<<11)}, work: raster.NewWork(context.Background(), 1<<30)}
	var c code
	if err := d.readCode(&c, 40, true); err != nil {
		return 0, false
	}
	return c.one()
}
