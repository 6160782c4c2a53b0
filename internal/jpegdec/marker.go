package jpegdec

import (
	"encoding/binary"
	"fmt"
)

// The markers that matter here.
const (
	markerSOF0  = 0xc0 // baseline
	markerSOF1  = 0xc1 // extended
	markerSOF2  = 0xc2 // progressive
	markerDHT   = 0xc4
	markerJPG   = 0xc8
	markerDAC   = 0xcc
	markerSOF15 = 0xcf
	markerRST0  = 0xd0
	markerRST7  = 0xd7
	markerSOI   = 0xd8
	markerSOS   = 0xda
	markerDQT   = 0xdb
	markerDRI   = 0xdd
	markerAPP0  = 0xe0
	markerAPP14 = 0xee
)

// readTo reads segments up to one of the marker want, or to the end of the
// picture, and leaves that marker in d.r.marker. An error means that no viewer
// reads on here.
func (d *decoder) readTo(want byte) error {
	r := &d.r
	if d.frame == 0 && r.at == 0 {
		if len(r.data) < 2 || r.data[0] != 0xff || r.data[1] != markerSOI {
			return FormatError("no start marker")
		}
		r.at = 2
	}
	for {
		m := r.next()
		if m == want || m == markerEnd {
			if m == markerEnd && r.at == len(r.data) && !r.endMarker() {
				d.damage.Faults |= NoEnd
			}
			return nil
		}
		r.marker = 0
		if m == 0x01 || markerRST0 <= m && m <= markerRST7 {
			continue // no length
		}
		if m < markerSOF0 && d.started {
			// From the data of a scan that was skipped or is lost.
			d.damage.Faults |= BadSegment
			continue
		}
		if m == markerSOI {
			return FormatError("a second start marker")
		}
		body, whole := r.segment()
		if !whole {
			d.damage.Faults |= BadSegment
		}
		if err := d.segment(m, body); err != nil {
			return err
		}
	}
}

// endMarker reports whether the bytes read end with an end marker.
func (r *bitReader) endMarker() bool {
	return r.at >= 2 && r.data[r.at-1] == markerEnd && r.data[r.at-2] == 0xff
}

// segment returns what follows the length of a segment, and whether all of it is
// there. A length below 2 is an empty segment.
func (r *bitReader) segment() (body []byte, whole bool) {
	rest := r.data[r.at:]
	if len(rest) < 2 {
		r.at = len(r.data)
		return nil, false
	}
	n := max(2, int(binary.BigEndian.Uint16(rest)))
	whole = n <= len(rest)
	n = min(n, len(rest))
	r.at += n
	return rest[2:n], whole
}

func (d *decoder) segment(m byte, body []byte) error {
	switch {
	case m == markerDHT:
		return d.huffmanTables(body)
	case m == markerDQT:
		return d.quantTables(body)
	case m == markerDRI:
		if len(body) >= 2 {
			d.interval = int(binary.BigEndian.Uint16(body))
		}
	case m == markerAPP0:
		d.jfif = d.jfif || len(body) >= 5 && string(body[:5]) == "JFIF\x00"
	case m == markerAPP14:
		if len(body) >= 12 && string(body[:5]) == "Adobe" {
			d.adobe = int(body[11])
		}
	case m < markerSOF0:
		return FormatError(fmt.Sprintf("reserved marker %02x", m))
	case m == markerDAC || m == markerJPG:
		return nil
	case m <= markerSOF15:
		return d.frameHeader(m, body)
	}
	return nil
}

func (d *decoder) frameHeader(m byte, b []byte) error {
	switch {
	case m > markerSOF2:
		return UnsupportedError(fmt.Sprintf("frame of type %02x: lossless, hierarchical or arithmetic coding", m))
	case d.frame != 0:
		return FormatError("a second frame header")
	case len(b) < 6 || len(b) != 6+3*int(b[5]):
		return FormatError(fmt.Sprintf("frame header of %d bytes", len(b)))
	case b[0] != 8:
		return UnsupportedError(fmt.Sprintf("%d bits a sample", b[0]))
	}
	d.head.Height = int(binary.BigEndian.Uint16(b[1:]))
	d.head.Width = int(binary.BigEndian.Uint16(b[3:]))
	d.head.Progressive = m == markerSOF2
	if d.head.Height == 0 || d.head.Width == 0 {
		return FormatError(fmt.Sprintf("size %d × %d", d.head.Width, d.head.Height))
	}
	n := int(b[5])
	if n != 1 && n != 3 && n != 4 {
		return UnsupportedError(fmt.Sprintf("%d components", n))
	}
	d.comps = make([]component, n)
	for i := range d.comps {
		e := b[6+3*i:]
		c := &d.comps[i]
		c.id, c.h, c.v, c.tq = e[0], int(e[1]>>4), int(e[1]&15), e[2]
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 {
			return FormatError(fmt.Sprintf("sampling factors %d × %d", c.h, c.v))
		}
	}
	d.frame = m
	return nil
}

func (d *decoder) quantTables(b []byte) error {
	for len(b) > 0 {
		id, wide := b[0]&15, b[0]>>4 != 0
		if b = b[1:]; id > 3 {
			return FormatError(fmt.Sprintf("quantization table %d", id))
		}
		t := new([64]uint16)
		for i := range t {
			switch {
			case wide && len(b) >= 2:
				t[i] = binary.BigEndian.Uint16(b)
				b = b[2:]
			case !wide && len(b) >= 1:
				t[i] = uint16(b[0])
				b = b[1:]
			default:
				t[i] = 1
				d.damage.Faults |= BadSegment
			}
		}
		d.quant[id] = t
	}
	return nil
}

func (d *decoder) huffmanTables(b []byte) error {
	for len(b) > 16 {
		class, id := b[0]>>4, b[0]&15
		counts := (*[16]byte)(b[1:17])
		n := 0
		for _, c := range counts {
			n += int(c)
		}
		if b = b[17:]; n > 256 || n > len(b) {
			return FormatError(fmt.Sprintf("Huffman table of %d symbols in %d bytes", n, len(b)))
		}
		if class > 1 || id > 3 {
			return FormatError(fmt.Sprintf("Huffman table %d of class %d", id, class))
		}
		t := newHuffman(counts, b[:n])
		if t == nil { // as if it had not been there
			d.damage.Faults |= BadSegment
		}
		d.tables[class][id] = t
		b = b[n:]
	}
	if len(b) > 0 {
		d.damage.Faults |= BadSegment
	}
	return nil
}

// table returns a Huffman table, or that of Annex K which stands for a missing
// one.
func (d *decoder) table(class, id byte) *huffman {
	id &= 3
	if d.tables[class][id] == nil {
		k := &annexK[class][min(id, 1)]
		d.tables[class][id] = newHuffman(&k.counts, k.symbols)
	}
	t := d.tables[class][id]
	if !t.ready {
		t.prepare()
		d.budget -= scanCost
	}
	return t
}

// End returns where a file ends: behind its end marker. What follows is no part
// of the picture. It reports false if the bytes given have no end marker.
func End(data []byte) (n int, ok bool) {
	r := bitReader{data: data, at: min(2, len(data))}
	for {
		switch m := r.next(); {
		case m == markerEnd:
			return r.at, r.endMarker()
		case m > markerSOI || markerSOF0 <= m && m < markerRST0:
			r.segment()
		}
		r.marker = 0
	}
}
