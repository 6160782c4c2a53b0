package features

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

const (
	// tables is the number of look-up tables: each finds the descriptors that
	// agree with the one asked for in all bits of its key.
	tables = 5
	// entrySize is the size of a table's entry: 32 bits that name the point and
	// 32 more bits of its descriptor.
	entrySize = 8
	// minKeyBits and maxKeyBits bound how many bits a key has. Between them it
	// follows the number of descriptors, so that a cell holds a few.
	minKeyBits, maxKeyBits = 8, 24

	// MaxSegment is the number of pictures that a segment holds at most.
	MaxSegment = 1 << 22

	segmentVersion = 1
	segmentHeader  = 32
)

// Entry is a picture to be registered: its features under a number by which
// matches name it.
type Entry struct {
	Features Features
	ID       uint32
}

// Segment is an immutable index of registered pictures. Any number of
// goroutines may search it at the same time, each with its own Searcher; it
// has no locks and is never changed.
type Segment struct {
	// b is the encoded form, which is searched in place:
	//
	//	0  "SDFSEG", version (16 bits)
	//	8  number of pictures n (32 bits), 12 key bits k (32 bits)
	//	16 number of points m (64 bits), 24 length of all records (64 bits)
	//	32 n+1 offsets into the records (64 bits each)
	//	   n IDs (32 bits each)
	//	   records: compact feature sets as AppendBinary writes them
	//	   padding to a multiple of 8
	//	   5 tables: 2^k+1 first entries of cells (32 bits each), m entries
	//
	// An entry is picture<<8 | point (32 bits) and the descriptor's sibling
	// bits (32 bits). Numbers are little-endian.
	b       []byte
	n       int
	m       int
	keyBits int
	ids     int // offset of the IDs in b
	recs    int // offset of the records in b
	tabs    int // offset of the first table in b
	tabSize int
}

// NewSegment builds a segment of the given pictures, in their order; full
// feature sets are made compact. Several entries may have the same ID. Sets
// without points are kept and never match.
func NewSegment(entries []Entry) (*Segment, error) {
	if len(entries) > MaxSegment {
		return nil, fmt.Errorf("features: %d pictures, a segment holds at most %d", len(entries), MaxSegment)
	}
	var m, size int
	sets := make([]Features, len(entries))
	for i, e := range entries {
		sets[i] = e.Features.Compact()
		m += sets[i].Len()
		size += len(sets[i].b)
	}
	k := keyBitsFor(m)
	s := &Segment{n: len(entries), m: m, keyBits: k}
	s.place(size)
	b := make([]byte, 0, s.tabs+tables*s.tabSize)
	b = append(b, "SDFSEG"...)
	b = binary.LittleEndian.AppendUint16(b, segmentVersion)
	b = binary.LittleEndian.AppendUint32(b, uint32(s.n))
	b = binary.LittleEndian.AppendUint32(b, uint32(k))
	b = binary.LittleEndian.AppendUint64(b, uint64(m))
	b = binary.LittleEndian.AppendUint64(b, uint64(size))
	at := 0
	for i := range sets {
		b = binary.LittleEndian.AppendUint64(b, uint64(at))
		at += len(sets[i].b)
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(at))
	for _, e := range entries {
		b = binary.LittleEndian.AppendUint32(b, e.ID)
	}
	for i := range sets {
		b = append(b, sets[i].b...)
	}
	b = b[:cap(b)]
	w := newTableWriter(sets, m, k)
	for t := range tables {
		w.write(b[s.tabs+t*s.tabSize:][:s.tabSize], sets, t)
	}
	s.b = b
	return s, nil
}

// keyBitsFor returns the key length for m descriptors: four to eight of them
// in a cell.
func keyBitsFor(m int) int {
	return min(max(bits.Len(uint(m))-3, minKeyBits), maxKeyBits)
}

// place computes the offsets of the parts from the counts.
func (s *Segment) place(records int) {
	s.ids = segmentHeader + 8*(s.n+1)
	s.recs = s.ids + 4*s.n
	s.tabs = (s.recs + records + 7) &^ 7
	s.tabSize = (4*(1<<s.keyBits+1)+7)&^7 + entrySize*s.m
}

// OpenSegment returns the segment of which b are the Bytes, which is
// used in place and must not change as long as the segment is in use. Sizes,
// offsets and every record are checked, so that searching arbitrary bytes is
// safe; that the tables are the right ones for the records is not: a checksum
// of the file has to see to that.
func OpenSegment(b []byte) (*Segment, error) {
	bad := func(format string, args ...any) (*Segment, error) {
		return nil, fmt.Errorf("features: segment: "+format+": %w", append(args, ErrFormat)...)
	}
	if len(b) < segmentHeader {
		return bad("%d bytes, the header alone has %d", len(b), segmentHeader)
	}
	if string(b[:6]) != "SDFSEG" {
		return bad("begins with %q, not with \"SDFSEG\"", b[:6])
	}
	if v := binary.LittleEndian.Uint16(b[6:]); v != segmentVersion {
		return nil, fmt.Errorf("features: segment: version %d, this package reads %d: %w", v, segmentVersion, ErrVersion)
	}
	n, k := binary.LittleEndian.Uint32(b[8:]), binary.LittleEndian.Uint32(b[12:])
	m, size := binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:])
	switch {
	case n > MaxSegment:
		return bad("%d pictures, at most %d are allowed", n, MaxSegment)
	case k < minKeyBits || k > maxKeyBits:
		return bad("keys of %d bits, allowed are %d to %d", k, minKeyBits, maxKeyBits)
	case m > uint64(n)*RegisteredPoints || size > uint64(n)*MaxCompactSize:
		return bad("%d points in %d bytes are more than %d pictures have", m, size, n)
	case size > uint64(len(b)) || m > uint64(len(b)):
		return bad("%d bytes cannot hold %d points in %d bytes", len(b), m, size)
	}
	s := &Segment{b: b, n: int(n), m: int(m), keyBits: int(k)}
	// The sizes are computed in 64 bits, so that they cannot wrap around on
	// 32-bit machines.
	if want := uint64(segmentHeader) + 8*(uint64(n)+1) + 4*uint64(n) + (size+15)&^7 +
		tables*(4*(1<<k+1)+8+entrySize*m); want > uint64(len(b))+64 {
		return bad("%d bytes, the header speaks of %d", len(b), want)
	}
	s.place(int(size))
	if want := s.tabs + tables*s.tabSize; want != len(b) {
		return bad("%d bytes, the header speaks of %d", len(b), want)
	}
	var at, points uint64
	for i := range s.n {
		end := s.offset(i + 1)
		if s.offset(i) != at || end < at || end > size {
			return bad("picture %d does not begin where the one before it ends", i)
		}
		if end > at {
			f, err := Open(s.b[s.recs+int(at) : s.recs+int(end)])
			if err != nil {
				return nil, fmt.Errorf("features: segment: picture %d: %w", i, err)
			}
			if !f.IsCompact() {
				return bad("picture %d is not compact", i)
			}
			points += uint64(f.Len())
		}
		at = end
	}
	if at != size || points != m {
		return bad("the pictures have %d bytes and %d points, the header says %d and %d", at, points, size, m)
	}
	return s, nil
}

// Bytes returns the encoded form of s, which OpenSegment reads. It must not be
// changed.
func (s *Segment) Bytes() []byte { return s.b }

// Len returns the number of pictures, those without points included.
func (s *Segment) Len() int { return s.n }

// Points returns the number of points of all pictures.
func (s *Segment) Points() int { return s.m }

func (s *Segment) offset(i int) uint64 {
	return binary.LittleEndian.Uint64(s.b[segmentHeader+8*i:])
}

// id returns the number that picture i was registered under.
func (s *Segment) id(i int) uint32 { return binary.LittleEndian.Uint32(s.b[s.ids+4*i:]) }

// picture returns the features of picture i.
func (s *Segment) picture(i int) Features {
	a, e := s.recs+int(s.offset(i)), s.recs+int(s.offset(i+1))
	if a == e {
		return Features{}
	}
	return Features{s.b[a:e:e]}
}

// key returns the first k bits of the key of d in table t.
func key(d descriptor, t, k int) uint32 {
	var v uint32
	for _, b := range keyBits[t][:k] {
		v = v<<1 | uint32(d[b>>6]>>(b&63))&1
	}
	return v
}

// sibling returns the 32 bits of d that the entries of all tables carry: they
// belong to no key.
func sibling(d descriptor) uint32 {
	return key(d, tables, 24)<<8 | key(d, tables+1, 8)
}
