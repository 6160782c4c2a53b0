package pngdec

import (
	"compress/flate"
	"errors"
	"io"

	"github.com/staydown/staydown/internal/raster"
)

// inflater inflates the zlib stream in a list of chunks. It takes no notice of
// its checksum.
type inflater struct {
	chunks [][]byte
	flate  io.ReadCloser
}

var errZlib = errors.New("pngdec: no zlib stream")

// ReadByte makes the inflater a source of compressed bytes for package flate.
func (in *inflater) ReadByte() (byte, error) {
	for len(in.chunks) > 0 {
		if c := in.chunks[0]; len(c) > 0 {
			in.chunks[0] = c[1:]
			return c[0], nil
		}
		in.chunks = in.chunks[1:]
	}
	return 0, io.EOF
}

// Read is the other half of the source.
func (in *inflater) Read(p []byte) (int, error) {
	for len(in.chunks) > 0 {
		if c := in.chunks[0]; len(c) > 0 {
			n := copy(p, c)
			in.chunks[0] = c[n:]
			return n, nil
		}
		in.chunks = in.chunks[1:]
	}
	return 0, io.EOF
}

// start begins with other chunks.
func (in *inflater) start(chunks [][]byte) error {
	in.chunks = append(in.chunks[:0:0], chunks...)
	cmf, err1 := in.ReadByte()
	flg, err2 := in.ReadByte()
	if err1 != nil || err2 != nil || cmf&15 != 8 || flg&0x20 != 0 || (uint(cmf)<<8|uint(flg))%31 != 0 {
		return errZlib
	}
	if in.flate == nil {
		in.flate = flate.NewReader(in)
		return nil
	}
	return in.flate.(flate.Resetter).Reset(in, nil)
}

// fill reads len(b) bytes, or what there is, which it reports together with why
// there is no more.
func (in *inflater) fill(b []byte) (int, raster.Fault) {
	n, err := io.ReadFull(in.flate, b)
	switch {
	case err == nil:
		return n, raster.Sound
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return n, raster.Cut
	}
	return n, raster.Data
}

// rowReader holds the buffers for one row.
type rowReader struct {
	now, before []byte // filtered: its type, then the bytes
	out         []byte // as the target takes it
}

// pass is one of the seven passes of an interlaced picture: which pixels it has,
// and how large one stands in until the later passes came.
type pass struct{ x0, y0, dx, dy, bw, bh int }

var (
	adam7 = []pass{
		{0, 0, 8, 8, 8, 8}, {4, 0, 8, 8, 4, 8}, {0, 4, 4, 8, 4, 4}, {2, 0, 4, 4, 2, 4},
		{0, 2, 2, 4, 2, 2}, {1, 0, 2, 2, 1, 2}, {0, 1, 1, 2, 1, 1},
	}
	onePass = []pass{{0, 0, 1, 1, 1, 1}}
)

func (h *header) channels() int {
	switch h.kind {
	case colour:
		return 3
	case greyAlpha:
		return 2
	case fullAlpha:
		return 4
	}
	return 1
}

// rowBytes is the length of a row of w pixels.
func (h *header) rowBytes(w int) int { return (w*h.channels()*int(h.depth) + 7) / 8 }

// cost is the work for a picture of that size: see rowCost.
func (h *header) cost(w, height int) int64 { return int64(height) * h.rowCost(w) }

// rowCost is the work for a row of w pixels: inflating and unfiltering its bytes,
// and converting and keeping its pixels. Measured, in nanoseconds, on the dearest
// content of each.
func (h *header) rowCost(w int) int64 {
	pixel := 5
	if h.kind == grey && h.depth >= 8 {
		pixel = 2
	}
	return int64(h.rowBytes(w))*5/2 + int64(w*pixel) + 50
}

// decode gives the rows of one picture of the size of t to it.
func (d *decoder) decode(t *raster.Target, w *raster.Work, data [][]byte) (raster.Fault, error) {
	if err := d.in.start(data); err != nil {
		return raster.Data, errors.Join(ErrData, err)
	}
	passes := onePass
	if d.interlaced {
		passes = adam7
	}
	rows := 0
	for _, p := range passes {
		pw, ph := (t.Width-p.x0+p.dx-1)/p.dx, (t.Height-p.y0+p.dy-1)/p.dy
		if pw <= 0 || ph <= 0 {
			continue
		}
		fault, n, err := d.pass(t, w, p, pw, ph)
		rows += n
		if err != nil || fault != raster.Sound {
			if err == nil && rows == 0 && fault != raster.Budget {
				err = ErrData
			}
			return fault, err
		}
	}
	return raster.Sound, nil
}

// pass reads one pass of pw × ph pixels and returns how many rows it gave.
func (d *decoder) pass(t *raster.Target, w *raster.Work, p pass, pw, ph int) (raster.Fault, int, error) {
	r := &d.rows
	n, bpp := d.rowBytes(pw), max(1, d.channels()*int(d.depth)/8)
	r.now, r.before = sized(r.now, n+1), sized(r.before, n+1)
	r.out = sized(r.out, pw*t.Bytes())
	clear(r.before)
	cost := d.rowCost(pw)
	for y := range ph {
		if err := w.Spend(cost); err != nil {
			fault, err := raster.Stopped(err)
			return fault, y, err
		}
		if _, fault := d.in.fill(r.now); fault != raster.Sound {
			return fault, y, nil // browsers show no part of a row
		}
		if !unfilter(r.now, r.before, bpp) {
			return raster.Data, y, nil
		}
		d.convert(r.out, r.now[1:], t.Gray)
		t.Pass(p.x0, p.dx, p.y0+y*p.dy, p.bw, p.bh, r.out)
		r.now, r.before = r.before, r.now
	}
	return raster.Sound, ph, nil
}

func sized(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

// unfilter undoes the filter of row, whose first byte is its type. before is the
// row above, bpp the bytes of a pixel.
func unfilter(row, before []byte, bpp int) bool {
	kind, row, up := row[0], row[1:], before[1:]
	up = up[:len(row)]
	switch kind {
	case 0:
	case 1:
		for i := bpp; i < len(row); i++ {
			row[i] += row[i-bpp]
		}
	case 2:
		for i, v := range up {
			row[i] += v
		}
	case 3:
		for i := range min(bpp, len(row)) {
			row[i] += up[i] / 2
		}
		for i := bpp; i < len(row); i++ {
			row[i] += byte((int(row[i-bpp]) + int(up[i])) / 2)
		}
	case 4:
		paeth(row, up, bpp)
	default:
		return false
	}
	return true
}

// paeth undoes the filter of Paeth: the neighbour nearest to left + up - corner.
func paeth(row, up []byte, bpp int) {
	for i := range min(bpp, len(row)) {
		row[i] += up[i]
	}
	for c := range bpp {
		if c >= len(row) {
			return
		}
		left, corner := int(row[c]), int(up[c])
		for i := c + bpp; i < len(row); i += bpp {
			above := int(up[i])
			pa, pb := above-corner, left-corner
			pc := pa + pb
			pa, pb, pc = abs(pa), abs(pb), abs(pc)
			p := corner
			if pa <= pb && pa <= pc {
				p = left
			} else if pb <= pc {
				p = above
			}
			left = (p + int(row[i])) & 0xff
			row[i] = byte(left)
			corner = above
		}
	}
}

func abs(v int) int {
	if v < 0 {
		return -v
	}
	return v
}

// convert turns the bytes of a row into gray or RGBA of 8 bits. Of 16 bits the
// upper 8 are kept.
func (d *decoder) convert(out, row []byte, gray bool) {
	switch {
	case d.kind == palette:
		d.spread(out, row, func(o []byte, v byte) { *(*[4]byte)(o) = d.colours[v] })
	case d.kind == grey && d.depth == 8 && gray:
		copy(out, row)
	case d.kind == grey && d.depth == 16:
		d.grey16(out, row, gray)
	case d.kind == grey:
		scale := byte(255 / (1<<d.depth - 1))
		if gray {
			d.spread1(out, row, scale)
			return
		}
		d.spread(out, row, func(o []byte, v byte) {
			*(*[4]byte)(o) = [4]byte{v * scale, v * scale, v * scale, d.opaque(d.hasKey && uint16(v) == d.key[0])}
		})
	default:
		d.channelled(out, row)
	}
}

func (d *decoder) opaque(key bool) byte {
	if key {
		return 0
	}
	return 0xff
}

// spread calls put for each value of 1 to 8 bits in row.
func (d *decoder) spread(out, row []byte, put func(o []byte, v byte)) {
	if d.depth == 8 {
		for i := 0; 4*i < len(out); i++ {
			put(out[4*i:], row[i])
		}
		return
	}
	mask := byte(1)<<d.depth - 1
	for i, shift := 0, 8-int(d.depth); 4*i < len(out); i++ {
		put(out[4*i:], row[0]>>shift&mask)
		if shift -= int(d.depth); shift < 0 {
			shift, row = 8-int(d.depth), row[1:]
		}
	}
}

// spread1 is spread for gray without transparency.
func (d *decoder) spread1(out, row []byte, scale byte) {
	mask := byte(1)<<d.depth - 1
	shift := 8 - int(d.depth)
	for i := range out {
		out[i] = row[0] >> shift & mask * scale
		if shift -= int(d.depth); shift < 0 {
			shift, row = 8-int(d.depth), row[1:]
		}
	}
}

func (d *decoder) grey16(out, row []byte, gray bool) {
	if gray {
		for i := range out {
			out[i] = row[2*i]
		}
		return
	}
	for i := 0; 4*i < len(out); i++ {
		v := row[2*i]
		key := d.hasKey && uint16(v)<<8|uint16(row[2*i+1]) == d.key[0]
		*(*[4]byte)(out[4*i:]) = [4]byte{v, v, v, d.opaque(key)}
	}
}

// channelled converts pixels of two to four channels.
func (d *decoder) channelled(out, row []byte) {
	n, step := len(out)/4, int(d.depth)/8
	switch d.kind {
	case greyAlpha:
		for i := range n {
			v := row[2*step*i]
			*(*[4]byte)(out[4*i:]) = [4]byte{v, v, v, row[2*step*i+step]}
		}
	case fullAlpha:
		if step == 1 {
			copy(out, row)
			return
		}
		for i := range n {
			p := row[8*i:][:8]
			*(*[4]byte)(out[4*i:]) = [4]byte{p[0], p[2], p[4], p[6]}
		}
	default:
		for i := range n {
			p := row[3*step*i:][:3*step]
			*(*[4]byte)(out[4*i:]) = [4]byte{p[0], p[step], p[2*step], 0xff}
			if d.hasKey && d.isKey(p, step) {
				out[4*i+3] = 0
			}
		}
	}
}

func (d *decoder) isKey(p []byte, step int) bool {
	for c, k := range d.key {
		v := uint16(p[c*step])
		if step == 2 {
			v = v<<8 | uint16(p[2*c+1])
		}
		if v != k {
			return false
		}
	}
	return true
}
