package gifdec

import "github.com/staydown/staydown/internal/raster"

// maxCodes is the number of codes of 12 bits, the longest of GIF.
const maxCodes = 1 << 12

// lzw decodes the LZW data of one frame after another.
type lzw struct {
	blocks []byte // the chain of blocks, and what is left of the current one
	block  []byte
	bits   uint32
	nBits  uint

	size       uint // of a literal, in bits
	width      uint // of a code now
	clear, end uint16
	next       uint16 // the code that is defined next
	last       int    // the code before, -1 behind a clear code
	first      byte   // the first value of what last stands for

	prefix [maxCodes]uint16
	suffix [maxCodes]byte
	length [maxCodes]uint16

	pending []byte // values that did not fit into the caller's row
	buffer  [maxCodes + 1]byte
}

func (z *lzw) start(size byte, blocks []byte) {
	z.blocks, z.block, z.bits, z.nBits = blocks, nil, 0, 0
	z.size = uint(size)
	z.clear = 1 << size
	z.end = z.clear + 1
	z.pending = nil
	for i := range z.clear {
		z.suffix[i], z.length[i] = byte(i), 1
	}
	z.reset()
}

func (z *lzw) reset() {
	z.width, z.next, z.last = z.size+1, z.end+1, -1
}

// code reads a code; ok is false at the end of the data.
func (z *lzw) code() (c uint16, ok bool) {
	for z.nBits < z.width {
		if len(z.block) == 0 {
			if len(z.blocks) == 0 || z.blocks[0] == 0 {
				return 0, false
			}
			n := min(int(z.blocks[0]), len(z.blocks)-1)
			z.block, z.blocks = z.blocks[1:1+n], z.blocks[1+n:]
			continue
		}
		z.bits |= uint32(z.block[0]) << z.nBits
		z.nBits += 8
		z.block = z.block[1:]
	}
	c = uint16(z.bits & (1<<z.width - 1))
	z.bits >>= z.width
	z.nBits -= z.width
	return c, true
}

// read fills out with colour indices, as far as the data go.
func (z *lzw) read(out []byte) (n int, fault raster.Fault) {
	n = copy(out, z.pending)
	z.pending = z.pending[n:]
	for n < len(out) {
		c, ok := z.code()
		switch {
		case !ok, c == z.end:
			return n, raster.Cut
		case c == z.clear:
			z.reset()
			continue
		case c > z.next, c == z.next && z.last < 0, z.last < 0 && c > z.clear:
			return n, raster.Data
		}
		s := z.expand(c)
		z.define(s[0])
		z.last, z.first = int(c), s[0]
		k := copy(out[n:], s)
		n += k
		z.pending = s[k:]
	}
	return n, raster.Sound
}

// expand returns the values that a code stands for, until the next call.
func (z *lzw) expand(c uint16) []byte {
	s := z.buffer[:]
	if c == z.next { // the one that is about to be defined: the last one and its first
		n := z.length[z.last]
		s = s[:n+1]
		s[n] = z.first
		c = uint16(z.last)
		z.walk(s[:n], c)
		return s
	}
	s = s[:z.length[c]]
	z.walk(s, c)
	return s
}

// walk writes what c stands for to s, which has its length.
func (z *lzw) walk(s []byte, c uint16) {
	for i := len(s) - 1; i >= 0; i-- {
		s[i] = z.suffix[c]
		c = z.prefix[c]
	}
}

// define gives the next code to what the last one stands for and one more value.
// When all codes are given, they stay until a clear code.
func (z *lzw) define(value byte) {
	if z.last < 0 || z.next >= maxCodes {
		return
	}
	z.prefix[z.next], z.suffix[z.next] = uint16(z.last), value
	z.length[z.next] = z.length[z.last] + 1
	z.next++
	if z.next == 1<<z.width && z.width < 12 {
		z.width++
	}
}
