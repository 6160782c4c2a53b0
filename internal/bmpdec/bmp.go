// Package bmpdec reads BMP and ICO files as browsers do: all depths, run lengths,
// masks and header sizes that they read, alpha where they respect it, and of data
// that are cut the rows that are there.
package bmpdec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"math/bits"

	"github.com/staydown/staydown/internal/raster"
)

// The errors of a file of which nothing can be shown.
var (
	ErrHeader      = errors.New("bmpdec: no valid header")
	ErrUnsupported = errors.New("bmpdec: variety not supported")
	ErrData        = errors.New("bmpdec: no picture data")
)

// The compressions.
const (
	rgb            = 0
	rle8           = 1
	rle4           = 2
	bitFields      = 3
	alphaBitFields = 6
)

const fileHeader = 14

// bitmap is a BMP taken apart.
type bitmap struct {
	w, h        int
	depth       int
	compression uint32
	topDown     bool
	colours     [256][4]byte
	masks       [4]uint32 // red, green, blue, alpha
	data        []byte    // of the pixels
	transparent []byte    // the AND mask of an icon, or nil
	opaque      bool      // alpha is not respected
}

// IsBMP reports whether data begin as a BMP: with its letters, and a header of a
// size that there is.
func IsBMP(data []byte) bool {
	if len(data) < fileHeader+4 || string(data[:2]) != "BM" {
		return false
	}
	n := binary.LittleEndian.Uint32(data[fileHeader:])
	return n == 12 || n >= 16 && n <= 124
}

// Open takes a BMP apart.
func Open(data []byte) (*raster.File, error) {
	if !IsBMP(data) {
		return nil, ErrHeader
	}
	b, behind, err := read(data[fileHeader:])
	if err != nil {
		return nil, err
	}
	at := int64(binary.LittleEndian.Uint32(data[10:]))
	if at < fileHeader+int64(behind) || at > int64(len(data)) {
		at = fileHeader + int64(behind) // an offset that cannot be: the data follow
	}
	b.data = data[min(at, int64(len(data))):]
	return b.file(), nil
}

// read reads the header, the masks and the palette of a bitmap, and returns how
// long they are.
func read(data []byte) (*bitmap, int, error) {
	le := binary.LittleEndian
	size := le.Uint32(data)
	b := new(bitmap)
	entry := 4 // bytes of a colour of the palette
	used := uint32(0)
	switch {
	case uint64(size) > uint64(len(data)):
		return nil, 0, fmt.Errorf("%w: cut", ErrHeader)
	case size == 12:
		b.w, b.h = int(le.Uint16(data[4:])), int(le.Uint16(data[6:]))
		b.depth, entry = int(le.Uint16(data[10:])), 3
	case size >= 16 && size <= 124:
		b.w, b.h = int(int32(le.Uint32(data[4:]))), int(int32(le.Uint32(data[8:])))
		b.depth = int(le.Uint16(data[14:]))
		if size >= 20 {
			b.compression = le.Uint32(data[16:])
		}
		if size >= 36 {
			used = le.Uint32(data[32:])
		}
		if b.h < 0 {
			b.h, b.topDown = -b.h, true
		}
	default:
		return nil, 0, fmt.Errorf("%w: of %d bytes", ErrHeader, size)
	}
	const most = 1 << 20 // bounds the memory for a row
	if b.w <= 0 || b.h <= 0 || b.w > most {
		return nil, 0, fmt.Errorf("%w: size %d × %d", ErrHeader, b.w, b.h)
	}
	if !b.valid() {
		return nil, 0, fmt.Errorf("%w: depth %d, compression %d", ErrUnsupported, b.depth, b.compression)
	}
	n := min(b.readMasks(data, int(size)), len(data))
	n += b.readPalette(data[n:], entry, used)
	return b, n, nil
}

func (b *bitmap) valid() bool {
	switch b.depth {
	case 1, 2, 4, 8:
		return b.compression == rgb || !b.topDown &&
			(b.depth == 8 && b.compression == rle8 || b.depth == 4 && b.compression == rle4)
	case 16, 32:
		return b.compression == rgb || b.compression == bitFields || b.compression == alphaBitFields
	case 24:
		return b.compression == rgb
	}
	return false
}

// readMasks sets the masks, and returns how long the header is with them.
func (b *bitmap) readMasks(data []byte, size int) int {
	le := binary.LittleEndian
	switch {
	case b.compression != rgb && b.depth >= 16: // in the header, or behind it
		at, n := 40, 3
		if size >= 56 || b.compression == alphaBitFields {
			n = 4
		}
		for i := range n {
			if len(data) >= at+4*i+4 {
				b.masks[i] = le.Uint32(data[at+4*i:])
			}
		}
		return max(size, at+4*n)
	case b.depth == 16:
		b.masks = [4]uint32{0x7c00, 0x3e0, 0x1f, 0}
	case b.depth == 32:
		b.masks = [4]uint32{0xff0000, 0xff00, 0xff, 0xff000000}
		b.opaque = size < 56 || le.Uint32(data[52:]) == 0 // no alpha is defined
	}
	return size
}

// readPalette reads the colours, and returns how long they are.
func (b *bitmap) readPalette(data []byte, entry int, used uint32) int {
	for i := range b.colours {
		b.colours[i] = [4]byte{0, 0, 0, 0xff} // an index beyond the palette is black
	}
	if b.depth > 8 {
		return 0
	}
	n := 1 << b.depth
	if used > 0 && used < uint32(n) {
		n = int(used)
	}
	for i := range min(n, len(data)/entry) {
		p := data[entry*i:]
		b.colours[i] = [4]byte{p[2], p[1], p[0], 0xff}
	}
	return min(n*entry, len(data))
}

// pixelCost is the work for a pixel.
const pixelCost = 18

func (b *bitmap) file() *raster.File {
	return &raster.File{Width: b.w, Height: b.h, Frames: []raster.Frame{{
		Rect: image.Rect(0, 0, b.w, b.h), Cost: int64(b.w) * int64(b.h) * pixelCost, Decode: b.decode,
	}}}
}

// stride is the length of a row of n bits a pixel.
func (b *bitmap) stride(depth int) int { return (b.w*depth + 31) / 32 * 4 }

// line returns which row is stored as number i.
func (b *bitmap) line(i int) int {
	if b.topDown {
		return i
	}
	return b.h - 1 - i
}

func (b *bitmap) decode(t *raster.Target, w *raster.Work) (raster.Fault, error) {
	if len(b.data) == 0 {
		return raster.Cut, ErrData
	}
	if b.compression == rle8 || b.compression == rle4 {
		return b.runs(t, w)
	}
	if err := b.findAlpha(w); err != nil {
		return raster.Stopped(err)
	}
	stride := b.stride(b.depth)
	out := make([]byte, 4*b.w)
	for i := range b.h {
		if err := w.Spend(int64(b.w)*pixelCost + 20); err != nil {
			return raster.Stopped(err)
		}
		at := int64(i) * int64(stride)
		if at >= int64(len(b.data)) {
			return raster.Cut, nil
		}
		row := b.data[at:min(at+int64(stride), int64(len(b.data)))]
		n := min(b.w, len(row)*8/b.depth)
		b.convert(out[:4*n], row)
		b.applyMask(out[:4*n], i)
		t.Row(b.line(i), out[:4*n])
		if n < b.w {
			return raster.Cut, nil
		}
	}
	return raster.Sound, nil
}

// findAlpha finds out whether any pixel has alpha. If none has, browsers take the
// picture as opaque.
func (b *bitmap) findAlpha(w *raster.Work) error {
	if b.depth < 16 || b.masks[3] == 0 || b.opaque {
		b.opaque = true
		return nil
	}
	b.opaque = true
	mask, step, stride := b.masks[3], b.depth/8, b.stride(b.depth)
	for i := range b.h {
		if err := w.Spend(int64(b.w)); err != nil {
			return err
		}
		at := int64(i) * int64(stride)
		if at >= int64(len(b.data)) {
			return nil
		}
		for row := b.data[at:min(at+int64(b.w*step), int64(len(b.data)))]; len(row) >= step; row = row[step:] {
			if b.value(row)&mask != 0 {
				b.opaque = false
				return nil
			}
		}
	}
	return nil
}

func (b *bitmap) value(p []byte) uint32 {
	if b.depth == 16 {
		return uint32(binary.LittleEndian.Uint16(p))
	}
	return binary.LittleEndian.Uint32(p)
}

// convert turns a stored row into RGBA.
func (b *bitmap) convert(out, row []byte) {
	switch b.depth {
	case 24:
		for i := 0; 4*i < len(out); i++ {
			p := row[3*i:][:3]
			*(*[4]byte)(out[4*i:]) = [4]byte{p[2], p[1], p[0], 0xff}
		}
	case 16, 32:
		var c [4]channel
		for i, m := range b.masks {
			c[i] = newChannel(m)
		}
		for i := 0; 4*i < len(out); i++ {
			v := b.value(row[i*b.depth/8:])
			a := byte(0xff)
			if !b.opaque {
				a = c[3].of(v)
			}
			*(*[4]byte)(out[4*i:]) = [4]byte{c[0].of(v), c[1].of(v), c[2].of(v), a}
		}
	default:
		mask := byte(1)<<b.depth - 1
		for i, shift := 0, 8-b.depth; 4*i < len(out); i++ {
			*(*[4]byte)(out[4*i:]) = b.colours[row[0]>>shift&mask]
			if shift -= b.depth; shift < 0 {
				shift, row = 8-b.depth, row[1:]
			}
		}
	}
}

// channel is where in a pixel one of its channels is.
type channel struct {
	mask  uint32
	shift int
	top   uint32 // the greatest value
}

func newChannel(mask uint32) channel {
	shift := bits.TrailingZeros32(mask) & 31
	top := mask >> shift
	for top > 0xff { // the upper 8 bits are enough
		top >>= 1
		shift++
	}
	return channel{mask, shift, top}
}

func (c *channel) of(v uint32) byte {
	switch c.top {
	case 0:
		return 0
	case 0xff:
		return byte(v & c.mask >> c.shift)
	}
	return byte((v&c.mask>>c.shift*255 + c.top/2) / c.top)
}

// applyMask makes those pixels of stored row i transparent that the AND mask of an
// icon names.
func (b *bitmap) applyMask(out []byte, i int) {
	if b.transparent == nil || !b.opaque {
		return
	}
	at := int64(i) * int64(b.stride(1))
	if at >= int64(len(b.transparent)) {
		return
	}
	for x, row := 0, b.transparent[at:]; 4*x < len(out) && x/8 < len(row); x++ {
		if row[x/8]>>(7-x%8)&1 != 0 {
			out[4*x+3] = 0
		}
	}
}

// runs decodes run lengths. Pixels that no run reaches are transparent.
func (b *bitmap) runs(t *raster.Target, w *raster.Work) (raster.Fault, error) {
	r := runReader{bitmap: b, target: t, work: w, row: make([]byte, 4*b.w), data: b.data}
	for r.y < b.h {
		done, fault, err := r.step()
		if err != nil {
			return raster.Stopped(err)
		}
		if done || fault != raster.Sound {
			if r.x > 0 {
				if err := r.nextRow(); err != nil {
					return raster.Stopped(err)
				}
			}
			return fault, nil
		}
	}
	return raster.Sound, nil
}

type runReader struct {
	*bitmap
	target *raster.Target
	work   *raster.Work
	row    []byte
	data   []byte
	x, y   int // of the next pixel; y as stored
}

// step does one instruction.
func (r *runReader) step() (done bool, fault raster.Fault, err error) {
	if err := r.work.Spend(10); err != nil {
		return true, raster.Budget, err
	}
	if len(r.data) < 2 {
		return true, raster.Cut, nil
	}
	n, v := int(r.data[0]), r.data[1]
	r.data = r.data[2:]
	if n > 0 {
		for i := range n {
			r.put(r.index(v, i))
		}
		return false, raster.Sound, nil
	}
	switch v {
	case 0:
		return false, raster.Sound, r.nextRow()
	case 1:
		return true, raster.Sound, nil
	case 2:
		if len(r.data) < 2 {
			return true, raster.Cut, nil
		}
		dx, dy := int(r.data[0]), int(r.data[1])
		r.data = r.data[2:]
		x := r.x + dx
		for range min(dy, r.h-r.y) {
			if err := r.nextRow(); err != nil {
				return true, raster.Budget, err
			}
		}
		r.x = x
		return false, raster.Sound, nil
	}
	return r.literal(int(v))
}

// literal takes n pixels that are not a run.
func (r *runReader) literal(n int) (done bool, fault raster.Fault, err error) {
	bytes := n
	if r.depth == 4 {
		bytes = (n + 1) / 2
	}
	for i := range n {
		k := i * r.depth / 8
		if k >= len(r.data) {
			return true, raster.Cut, nil
		}
		r.put(r.index(r.data[k], i))
	}
	r.data = r.data[min(len(r.data), (bytes+1)&^1):]
	return false, raster.Sound, nil
}

// index is the colour of pixel i of a run of v.
func (r *runReader) index(v byte, i int) byte {
	if r.depth == 8 {
		return v
	}
	return v >> (4 * (1 - i%2)) & 15
}

func (r *runReader) put(i byte) {
	if r.x < r.w {
		*(*[4]byte)(r.row[4*r.x:]) = r.colours[i]
	}
	r.x++
}

func (r *runReader) nextRow() error {
	if err := r.work.Spend(int64(r.w) * pixelCost); err != nil {
		return err
	}
	r.target.Row(r.line(r.y), r.row)
	clear(r.row)
	r.x = 0
	r.y++
	return nil
}
