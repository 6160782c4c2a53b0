package jpegdec

// A Huffman table is looked up twice at most. The first look-up takes the next
// fastBits bits and finds the code together with the value that follows it, if
// both fit. The second one finds the code alone.

const (
	fastBits = 10
	codeBits = 9
)

// An entry of huffman.fast is, from the low end: 8 bits for the length of code
// and value, 8 for the number of zeros before the value, 16 for the value. Three
// entries stand for something else, and have no value.
const (
	entrySlow = 0       // the code is longer, or its value
	entryEnd  = 1 << 15 // the end of the block; the lowest 8 bits are the length
)

// huffman is a Huffman table. It is prepared for decoding when a scan uses it:
// a file can have any number of tables.
type huffman struct {
	ready  bool
	counts [16]byte // of codes of each length
	fast   [1 << fastBits]uint32
	// skip is fast for a block whose values are not wanted. An entry covers as
	// many codes as fit: 8 bits for their length, 7 for the number of
	// coefficients, and entryEnd.
	skip [1 << fastBits]uint16
	// code holds, for the next codeBits bits, the length of the code in the high
	// byte and its symbol in the low byte; 0 if the code is longer.
	code [1 << codeBits]uint16
	// limit[n] is above all codes of n bits, aligned to 16 bits, and
	// first[n] + the code is the place of its symbol.
	limit [17]uint32
	first [17]int32
	sym   [256]byte
}

// newHuffman returns a table by the number of codes of each length and their
// symbols, or nil if there are more codes than the lengths have room for.
func newHuffman(counts *[16]byte, symbols []byte) *huffman {
	room, n := 1, 0
	for _, c := range counts {
		room = 2*room - int(c)
		n += int(c)
		if room < 0 {
			return nil
		}
	}
	if n > 256 || n > len(symbols) {
		return nil
	}
	h := &huffman{counts: *counts}
	copy(h.sym[:], symbols[:n])
	return h
}

// prepare makes the tables for looking codes up.
func (h *huffman) prepare() {
	h.ready = true
	code, k := uint32(0), 0
	for i, c := range h.counts {
		length := i + 1
		h.first[length] = int32(k) - int32(code)
		for range c {
			if length <= codeBits {
				from := code << (codeBits - length)
				for j := range uint32(1) << (codeBits - length) {
					h.code[from+j] = uint16(length)<<8 | uint16(h.sym[k])
				}
			}
			code++
			k++
		}
		h.limit[length] = code << (16 - length)
		code <<= 1
	}
	h.prepareFast()
	h.prepareSkip()
}

// prepareFast fills fast for the codes of coefficients behind the first one.
// The table of a first coefficient is used in the same way: its symbols have no
// zeros before them.
func (h *huffman) prepareFast() {
	for i := range h.fast {
		c := h.code[i>>(fastBits-codeBits)]
		length, symbol := int(c>>8), int(c&0xff)
		run, size := symbol>>4, symbol&15
		switch {
		case length == 0:
			continue
		case size == 0 && run != 15:
			h.fast[i] = entryEnd | uint32(length)
		case length+size <= fastBits:
			v := int32(i) >> (fastBits - length - size) & (1<<size - 1)
			h.fast[i] = uint32(extend(v, size))<<16 | uint32(run)<<8 | uint32(length+size)
		}
	}
}

// prepareSkip joins entries of fast.
func (h *huffman) prepareSkip() {
	for i := range h.skip {
		bits, count, end := 0, 0, uint16(0)
		for end == 0 && count < 48 {
			e := h.fast[uint32(i)<<bits&(1<<fastBits-1)]
			n := int(e & 0x7f)
			if e == entrySlow || bits+n > fastBits {
				break
			}
			bits += n
			if e&entryEnd != 0 {
				end = entryEnd
			} else {
				count += int(e>>8&15) + 1
			}
		}
		h.skip[i] = end | uint16(count)<<8 | uint16(bits)
	}
}

// extend is the value that size bits stand for: those that begin with 0 are
// negative.
func extend(v int32, size int) int32 {
	if size > 0 && v < 1<<(size-1) {
		v += 1 - 1<<size
	}
	return v
}

// The tables of Annex K of ITU-T T.81, K.3 to K.6. A file without tables means
// these.
var (
	annexK = [2][2]struct {
		counts  [16]byte
		symbols []byte
	}{
		{ // of first coefficients
			{[16]byte{0, 1, 5, 1, 1, 1, 1, 1, 1}, []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
			{[16]byte{0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1}, []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
		},
		{ // of the others
			{[16]byte{0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125}, []byte("" +
				"\x01\x02\x03\x00\x04\x11\x05\x12\x21\x31\x41\x06\x13\x51\x61\x07" +
				"\x22\x71\x14\x32\x81\x91\xa1\x08\x23\x42\xb1\xc1\x15\x52\xd1\xf0" +
				"\x24\x33\x62\x72\x82\x09\x0a\x16\x17\x18\x19\x1a\x25\x26\x27\x28" +
				"\x29\x2a\x34\x35\x36\x37\x38\x39\x3a\x43\x44\x45\x46\x47\x48\x49" +
				"\x4a\x53\x54\x55\x56\x57\x58\x59\x5a\x63\x64\x65\x66\x67\x68\x69" +
				"\x6a\x73\x74\x75\x76\x77\x78\x79\x7a\x83\x84\x85\x86\x87\x88\x89" +
				"\x8a\x92\x93\x94\x95\x96\x97\x98\x99\x9a\xa2\xa3\xa4\xa5\xa6\xa7" +
				"\xa8\xa9\xaa\xb2\xb3\xb4\xb5\xb6\xb7\xb8\xb9\xba\xc2\xc3\xc4\xc5" +
				"\xc6\xc7\xc8\xc9\xca\xd2\xd3\xd4\xd5\xd6\xd7\xd8\xd9\xda\xe1\xe2" +
				"\xe3\xe4\xe5\xe6\xe7\xe8\xe9\xea\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8" +
				"\xf9\xfa")},
			{[16]byte{0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119}, []byte("" +
				"\x00\x01\x02\x03\x11\x04\x05\x21\x31\x06\x12\x41\x51\x07\x61\x71" +
				"\x13\x22\x32\x81\x08\x14\x42\x91\xa1\xb1\xc1\x09\x23\x33\x52\xf0" +
				"\x15\x62\x72\xd1\x0a\x16\x24\x34\xe1\x25\xf1\x17\x18\x19\x1a\x26" +
				"\x27\x28\x29\x2a\x35\x36\x37\x38\x39\x3a\x43\x44\x45\x46\x47\x48" +
				"\x49\x4a\x53\x54\x55\x56\x57\x58\x59\x5a\x63\x64\x65\x66\x67\x68" +
				"\x69\x6a\x73\x74\x75\x76\x77\x78\x79\x7a\x82\x83\x84\x85\x86\x87" +
				"\x88\x89\x8a\x92\x93\x94\x95\x96\x97\x98\x99\x9a\xa2\xa3\xa4\xa5" +
				"\xa6\xa7\xa8\xa9\xaa\xb2\xb3\xb4\xb5\xb6\xb7\xb8\xb9\xba\xc2\xc3" +
				"\xc4\xc5\xc6\xc7\xc8\xc9\xca\xd2\xd3\xd4\xd5\xd6\xd7\xd8\xd9\xda" +
				"\xe2\xe3\xe4\xe5\xe6\xe7\xe8\xe9\xea\xf2\xf3\xf4\xf5\xf6\xf7\xf8" +
				"\xf9\xfa")},
		},
	}
)
