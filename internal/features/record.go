package features

import (
	"encoding/binary"
	"fmt"
)

// A record is what a segment keeps of a registered picture. It has the first quarter of
// each descriptor, its signature, and the word that names its list. A lean record has
// fewer points, and a thumbnail that may be off by a few grey levels.
//
//	0  "SR"
//	2  version
//	3  flags as in Features, always compact; bit 5: lean
//	4  width of the working picture, 6 its height
//	8  number of points n
//	10 width of the thumbnail, 12 its height
//	14 length of its code
//	16 n signatures (64 bits each)
//	   n points: x, y in 1/8 working pixels (14 bits each), scale in 1/8 levels
//	   (7 bits), angle in 1/256 turns (8 bits), word (20 bits), from the lowest
//	   bit on (64 bits together)
//	   the code of the thumbnail, see thumbCoder
//	   with flag bit 1 the fine picture as in Features
const (
	recordVersion = 1
	flagLean      = 32
	// leanPoints is the greatest number of points of a lean record, leanThumb that of
	// the bytes of its thumbnail.
	leanPoints, leanThumb = 80, 2_200
	// richThumb bounds a thumbnail that is not lean: no code is longer than the
	// pixels times 29 bits.
	richThumb = 1 + compactLuma*29/8 + 1

	maxRecordSize = headerSize + RegisteredPoints*(sigSize+packedSize) + richThumb + maxCompactInk

	sigSize, packedSize = 8, 8

	// Where the parts of a packed point begin.
	packedY, packedScale, packedAngle, packedWord = 14, 28, 35, 43
)

// isRecord reports whether f is in the form of a record.
func (f Features) isRecord() bool { return f.b != nil && f.b[1] == 'R' }

// isLean reports whether f is a lean record.
func (f Features) isLean() bool { return f.isRecord() && f.b[3]&flagLean != 0 }

// pointBytes returns the length of a descriptor and a point in f.
func (f Features) pointBytes() int {
	if f.isRecord() {
		return sigSize + packedSize
	}
	return descSize + pointSize
}

// signature returns the first quarter of a descriptor of a record.
func (f Features) signature(i int) uint64 {
	return binary.LittleEndian.Uint64(f.b[headerSize+i*sigSize:])
}

// packed returns a point of a record.
func (f Features) packed(i int) uint64 {
	return binary.LittleEndian.Uint64(f.b[headerSize+f.Len()*sigSize+i*packedSize:])
}

// word returns the word of a point of a record.
func (f Features) word(i int) uint32 { return uint32(f.packed(i)>>packedWord) & (1<<maxWordBits - 1) }

func pack(k keypoint, word uint32) uint64 {
	return uint64(k.x>>2) | uint64(k.y>>2)<<packedY | uint64(k.scale>>1)<<packedScale |
		uint64(k.angle)<<packedAngle | uint64(word)<<packedWord
}

func unpack(v uint64) keypoint {
	return keypoint{
		x: uint16(v&(1<<14-1))<<2 | 2, y: uint16(v>>packedY&(1<<14-1))<<2 | 2,
		scale: uint8(v>>packedScale&(1<<7-1))<<1 | 1, angle: uint8(v >> packedAngle),
	}
}

// appendRecord appends the record of f, a lean one if lean. A record that is lean
// stays so.
func (k *work) appendRecord(b []byte, f Features, lean bool) []byte {
	f = f.Compact()
	if f.b == nil || f.isLean() || f.isRecord() && !lean {
		return append(b, f.b...)
	}
	n := f.Len()
	if lean {
		n = min(n, leanPoints)
	}
	at := len(b)
	b = append(b, f.b[:headerSize]...)
	b[at+1], b[at+2] = 'R', recordVersion
	if lean {
		b[at+3] |= flagLean
	}
	binary.LittleEndian.PutUint16(b[at+8:], uint16(n))
	for i := range n {
		b = binary.LittleEndian.AppendUint64(b, f.descriptor(i)[0])
	}
	for i := range n {
		v := uint64(0)
		if f.isRecord() {
			v = f.packed(i)
		} else {
			v = pack(f.point(i), wordOf(f.descriptor(i)))
		}
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	from := len(b)
	g, _ := f.luma(nil)
	for tolerance, fits := 0, false; !fits; tolerance++ {
		// The coder overwrites the pixels.
		k.pixels = append(k.pixels[:0], g.pix...)
		most := richThumb
		if lean && tolerance < maxTolerance {
			most = leanThumb
		}
		b, fits = k.coder.appendThumb(b[:from], gray{g.w, g.h, g.w, k.pixels}, tolerance, most)
	}
	binary.LittleEndian.PutUint16(b[at+14:], uint16(len(b)-from))
	if f.HasInk() {
		b = append(b, f.inkBytes()...)
	}
	return b
}

// recordOf returns what b holds as a record. The header is checked, so that reading it
// stays within b; the points may lie outside of the picture.
func recordOf(b []byte) (Features, bool) {
	if len(b) < headerSize || string(b[:2]) != "SR" || b[2] != recordVersion {
		return Features{}, false
	}
	f := Features{b[:len(b):len(b)]}
	if !f.isSound() {
		return Features{}, false
	}
	size := headerSize + f.Len()*f.pointBytes() + f.lumaBytes()
	if len(b) < size {
		return Features{}, false
	}
	if f.HasInk() {
		k, err := inkEnd(b[size:], true)
		if err != nil {
			return Features{}, false
		}
		size += k
	}
	return f, len(b) == size
}

// isSound reports whether the numbers in the header of a record are within their limits.
func (f Features) isSound() bool {
	w, h := f.size()
	lw, lh := int(binary.LittleEndian.Uint16(f.b[10:])), int(binary.LittleEndian.Uint16(f.b[12:]))
	points := RegisteredPoints
	if f.isLean() {
		points = leanPoints
	}
	within := func(v, least, most int) bool { return least <= v && v <= most }
	return f.b[3]>>6 == 0 && f.b[3]&flagCompact != 0 && f.Len() <= points &&
		within(w, minWorkSide, maxWorkSide) && within(h, minWorkSide, maxWorkSide) &&
		within(lw, 1, w) && within(lh, 1, h) && lw*lh <= compactLuma && f.lumaBytes() <= richThumb
}

// checkRecord is recordOf for a record that is to be kept: its points must lie in the
// picture, too.
func checkRecord(b []byte) (Features, error) {
	f, ok := recordOf(b)
	if !ok || f.outside() >= 0 {
		return Features{}, fmt.Errorf("features: not a record of %d bytes: %w", len(b), ErrFormat)
	}
	return f, nil
}

// outside returns the first point that does not lie in the working picture, or −1.
func (f Features) outside() int {
	w, h := f.size()
	for i := range f.Len() {
		if p := f.point(i); int(p.x) >= 32*w || int(p.y) >= 32*h || p.scale >= 16*maxLevels {
			return i
		}
	}
	return -1
}

// lumaBytes returns the length of the thumbnail as it is stored.
func (f Features) lumaBytes() int {
	if f.isRecord() {
		return int(binary.LittleEndian.Uint16(f.b[14:]))
	}
	return int(binary.LittleEndian.Uint16(f.b[10:])) * int(binary.LittleEndian.Uint16(f.b[12:]))
}
