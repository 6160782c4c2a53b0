package webpdec

import "github.com/staydown/staydown/internal/raster"

// The transforms, which are undone row by row, the last one first.
const (
	predictor = iota
	crossColour
	subtractGreen
	colourIndexing
)

type transform struct {
	kind      int
	width     int  // of the rows that it gives
	bits      uint // of a tile's side, or of how many pixels are packed into one
	perRow    int
	modes     []byte   // of a predictor: one for each tile
	tiles     []uint32 // of crossed colours
	before    []uint32 // the row that was given before
	colours   [256]uint32
	unpacked  []uint32
	rowsGiven int
}

// stream is a VP8L picture, read row by row.
type stream struct {
	*lossless
	w, h       int
	transforms []transform
	main       *pixels
}

// openStream reads what is before the pixels of a picture of w × h.
func openStream(data []byte, w, h int, work *raster.Work) (*stream, error) {
	return (&lossless{bitReader: bitReader{data: data}, work: work}).stream(w, h)
}

func (d *lossless) stream(w, h int) (*stream, error) {
	s := &stream{lossless: d, w: w, h: h}
	width := w
	seen := [4]bool{}
	for s.read(1) != 0 {
		t := transform{kind: int(s.read(2)), width: width}
		if seen[t.kind] {
			return nil, errLossless
		}
		seen[t.kind] = true
		if err := s.readTransform(&t, &width); err != nil {
			return nil, err
		}
		s.transforms = append(s.transforms, t)
	}
	var err error
	if s.main, err = s.open(width, h, true); err != nil {
		return nil, err
	}
	if s.ended() {
		return nil, errLossless
	}
	return s, nil
}

func (s *stream) readTransform(t *transform, width *int) error {
	switch t.kind {
	case predictor, crossColour:
		t.bits = uint(s.read(3)) + 2
		t.perRow = ceilShift(*width, t.bits)
		t.before = make([]uint32, *width)
		rows := ceilShift(s.h, t.bits)
		if t.kind == crossColour {
			t.tiles = make([]uint32, 0, t.perRow*rows)
			return s.small(t.perRow, rows, func(row []uint32) { t.tiles = append(t.tiles, row...) })
		}
		t.modes = make([]byte, 0, t.perRow*rows)
		return s.small(t.perRow, rows, func(row []uint32) {
			for _, v := range row {
				t.modes = append(t.modes, byte(v>>8&15))
			}
		})
	case colourIndexing:
		n := int(s.read(8)) + 1
		switch {
		case n <= 2:
			t.bits = 3
		case n <= 4:
			t.bits = 2
		case n <= 16:
			t.bits = 1
		}
		t.unpacked = make([]uint32, *width)
		*width = ceilShift(*width, t.bits)
		return s.small(n, 1, func(row []uint32) {
			v := uint32(0)
			for i, d := range row { // an index beyond the colours is transparent
				v = addPixels(v, d)
				t.colours[i] = v
			}
		})
	}
	return nil
}

// next returns the next row, good until the next call; shorter if the data end.
func (s *stream) next() ([]uint32, raster.Fault, error) {
	row, fault, err := s.row(s.main)
	if err != nil {
		return nil, fault, err
	}
	if len(s.transforms) == 0 {
		return row, fault, nil
	}
	if fault != raster.Sound && len(row) < s.main.w {
		return nil, fault, nil // the transforms need whole rows
	}
	for i := len(s.transforms) - 1; i >= 0; i-- {
		row = s.transforms[i].undo(row)
	}
	return row, fault, nil
}

// undo returns a row before the transform. It does not change row, which further
// rows refer to.
func (t *transform) undo(row []uint32) []uint32 {
	y := t.rowsGiven
	t.rowsGiven++
	switch t.kind {
	case predictor:
		return t.predict(row, y)
	case crossColour:
		return t.crossColours(row, y)
	case colourIndexing:
		return t.index(row)
	}
	if t.unpacked == nil {
		t.unpacked = make([]uint32, t.width)
	}
	for i, v := range row {
		g := v >> 8 & 0xff
		t.unpacked[i] = v&0xff00ff00 | (v&0x00ff00ff+(g<<16|g))&0x00ff00ff
	}
	return t.unpacked
}

func (t *transform) index(row []uint32) []uint32 {
	out := t.unpacked
	if t.bits == 0 {
		for i, v := range row {
			out[i] = t.colours[v>>8&0xff]
		}
		return out
	}
	per, width := 1<<t.bits, 8>>t.bits
	mask := uint32(1)<<width - 1
	for i, v := range row {
		v >>= 8
		for k := i * per; k < min((i+1)*per, len(out)); k++ {
			out[k] = t.colours[v&mask]
			v >>= width
		}
	}
	return out
}

func (t *transform) crossColours(row []uint32, y int) []uint32 {
	tiles := t.tiles[y>>t.bits*t.perRow:]
	out := t.before
	for x0 := 0; x0 < len(row); x0 += 1 << t.bits {
		m := tiles[x0>>t.bits]
		greenToRed, greenToBlue, redToBlue := int32(int8(m)), int32(int8(m>>8)), int32(int8(m>>16))
		for x := x0; x < min(x0+1<<t.bits, len(row)); x++ {
			v := row[x]
			g := int32(int8(v >> 8))
			r := uint32(int32(v>>16&0xff)+greenToRed*g>>5) & 0xff
			b := uint32(int32(v&0xff)+greenToBlue*g>>5+redToBlue*int32(int8(r))>>5) & 0xff
			out[x] = v&0xff00ff00 | r<<16 | b
		}
	}
	return out
}

// predict adds to each pixel what its neighbours predict.
func (t *transform) predict(row []uint32, y int) []uint32 {
	out := t.before // still the row above, which is replaced from left to right
	if y == 0 {
		left := uint32(0xff000000)
		for x, v := range row {
			left = addPixels(v, left)
			out[x] = left
		}
		return out
	}
	modes := t.modes[y>>t.bits*t.perRow:]
	corner := out[0]
	left := addPixels(row[0], out[0])
	out[0] = left
	for x := 1; x < len(row); {
		mode := modes[x>>t.bits]
		stop := min((x>>t.bits+1)<<t.bits, len(row))
		for ; x < stop; x++ {
			up := out[x]
			right := out[0] // of the last pixel: the first one of this row
			if x+1 < len(out) {
				right = out[x+1]
			}
			left = addPixels(row[x], predicted(mode, left, up, corner, right))
			out[x] = left
			corner = up
		}
	}
	return out
}

// predicted is what a mode predicts from the neighbours at the left, above, above
// left and above right.
func predicted(mode byte, left, up, corner, right uint32) uint32 {
	switch mode {
	case 1:
		return left
	case 2:
		return up
	case 3:
		return right
	case 4:
		return corner
	case 5:
		return average(average(left, right), up)
	case 6:
		return average(left, corner)
	case 7:
		return average(left, up)
	case 8:
		return average(corner, up)
	case 9:
		return average(up, right)
	case 10:
		return average(average(left, corner), average(up, right))
	case 11:
		return choose(left, up, corner)
	case 12:
		return perChannel(func(c uint) int { return clamp(channel(left, c) + channel(up, c) - channel(corner, c)) })
	case 13:
		a := average(left, up)
		return perChannel(func(c uint) int {
			v := channel(a, c)
			return clamp(v + (v-channel(corner, c))/2)
		})
	}
	return 0xff000000
}

func addPixels(a, b uint32) uint32 {
	return (a&0xff00ff00+b&0xff00ff00)&0xff00ff00 | (a&0x00ff00ff+b&0x00ff00ff)&0x00ff00ff
}

func average(a, b uint32) uint32 { return a&b + (a^b)&0xfefefefe>>1 }

func channel(v uint32, c uint) int { return int(v >> (8 * c) & 0xff) }

func clamp(v int) int { return min(max(v, 0), 255) }

func perChannel(f func(c uint) int) uint32 {
	return uint32(f(0)) | uint32(f(1))<<8 | uint32(f(2))<<16 | uint32(f(3))<<24
}

// choose is the neighbour, left or above, that is nearer to left + up - corner.
func choose(left, up, corner uint32) uint32 {
	nearLeft, nearUp := 0, 0
	for c := range uint(4) {
		p := channel(left, c) + channel(up, c) - channel(corner, c)
		nearLeft += distanceOf(p, channel(left, c))
		nearUp += distanceOf(p, channel(up, c))
	}
	if nearLeft < nearUp {
		return left
	}
	return up
}

func distanceOf(a, b int) int { return max(a, b) - min(a, b) }
