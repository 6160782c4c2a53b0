package jpegdec

import (
	"bytes"
	"encoding/binary"
)

// bitReader gives the bits of a scan up to the next marker. It takes the bytes
// in pieces, without the zeros that are stuffed behind bytes FF. Behind the last
// bit it gives zeros, and knows that it does.
type bitReader struct {
	acc uint64 // the next bits, from the high end
	n   int    // how many bits of acc are counted as read
	pos int    // of the next byte of buf
	end int    // of the bytes in buf; zeros follow
	// low is the position from which on more must be called before a block.
	low  int
	over bool // zeros were given for bits that were not there
	bad  bool // a code was in no table, or there were too many coefficients
	buf  [pieceSize + padSize]byte

	data   []byte // the file
	at     int    // where in data the next piece begins
	marker byte   // the marker that ended the data, which lies before at; 0 for none yet
}

const (
	pieceSize = 8 << 10
	// padSize is more than the bytes of a block: 64 codes of 17 bits with values of
	// 15 bits, and the bytes of acc.
	padSize = 64*4 + 64
)

// markerEnd marks the end of the picture, which the end of the file is, too.
const markerEnd = 0xd9

// start drops what is left of the bits and begins at the next byte of the file.
func (r *bitReader) start() {
	r.acc, r.n, r.pos, r.end, r.over = 0, 0, 0, 0, false
	r.more()
}

// more moves what is left in buf to its beginning and adds bytes of the file.
func (r *bitReader) more() {
	if r.pos > r.end { // only behind the last piece, by a few bytes or more
		if r.exhausted() {
			r.over = true
			r.pos = r.end
		}
		return
	}
	r.end = copy(r.buf[:], r.buf[r.pos:r.end])
	r.pos = 0
	for r.end < pieceSize && r.marker == 0 {
		r.take()
	}
	clear(r.buf[r.end:min(r.end+padSize, len(r.buf))])
	r.low = r.end // behind the last piece: zeros for one block are enough
	if r.marker == 0 {
		r.low = r.end - padSize
	}
}

// take copies bytes up to the next FF, and looks at what that one is.
func (r *bitReader) take() {
	from := r.data[r.at:]
	if room := pieceSize - r.end; len(from) > room {
		from = from[:room]
	}
	i := bytes.IndexByte(from, 0xff)
	if i < 0 {
		r.end += copy(r.buf[r.end:], from)
		r.at += len(from)
		if r.at == len(r.data) {
			r.marker = markerEnd
		}
		return
	}
	r.end += copy(r.buf[r.end:], from[:i])
	r.at += i
	if r.marker = r.markerHere(); r.marker == 0 {
		r.buf[r.end] = 0xff
		r.end++
	}
}

// markerHere returns the marker at a byte FF, or 0 for a stuffed one, and goes
// behind it.
func (r *bitReader) markerHere() byte {
	for r.at < len(r.data) && r.data[r.at] == 0xff {
		r.at++
	}
	if r.at == len(r.data) {
		return markerEnd
	}
	r.at++
	return r.data[r.at-1]
}

// next goes to the next marker, unless it is there already, and returns it.
func (r *bitReader) next() byte {
	for r.marker == 0 {
		i := bytes.IndexByte(r.data[r.at:], 0xff)
		if i < 0 {
			r.at = len(r.data)
			r.marker = markerEnd
			break
		}
		r.at += i
		r.marker = r.markerHere()
	}
	return r.marker
}

// exhausted reports whether bits were asked for that are not there.
func (r *bitReader) exhausted() bool {
	return r.over || r.pos > r.end && 8*(r.pos-r.end) > r.n
}

// refill makes at least 56 bits of acc valid. The bits below those that are
// counted are the next ones of the file, too, so that they may be added again.
func (r *bitReader) refill() {
	r.acc |= load(r.buf[r.pos:]) >> (r.n & 63)
	r.pos += (63 - r.n) >> 3
	r.n |= 56
}

func load(b []byte) uint64 { return binary.BigEndian.Uint64(b) }

// left reports whether there are whole bytes before the next marker that were
// not read.
func (r *bitReader) left() bool {
	if r.marker == 0 {
		r.more()
	}
	return r.marker == 0 || 8*(r.end-r.pos)+r.n >= 8
}

// bits returns the next count bits, up to 16.
func (r *bitReader) bits(count int) int32 {
	if r.n < 32 {
		r.refill()
	}
	v := r.acc >> 1 >> ((63 - count) & 63)
	r.acc <<= count & 63
	r.n -= count
	return int32(v)
}

// symbol returns the symbol of the next code. A code that is in no table is one
// of 17 bits and the symbol 0, as in other decoders. 39 bits stay valid.
func (r *bitReader) symbol(h *huffman) byte {
	if r.n < 32 {
		r.refill()
	}
	if c := h.code[r.acc>>(64-codeBits)]; c != 0 {
		r.acc <<= c >> 8 & 63
		r.n -= int(c >> 8)
		return byte(c)
	}
	v := uint32(r.acc >> 48)
	for n := codeBits + 1; n <= 16; n++ {
		if v < h.limit[n] {
			r.acc <<= n & 63
			r.n -= n
			return h.sym[byte(h.first[n]+int32(v>>(16-n)))]
		}
	}
	r.bad = true
	r.acc <<= 17
	r.n -= 17
	return 0
}

// value returns the next value of size bits.
func (r *bitReader) value(size int) int32 { return extend(r.bits(size), size) }
