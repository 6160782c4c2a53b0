package features

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
)

const (
	// minWordBits and maxWordBits bound how many bits of a descriptor name the list
	// that it is in. Between them the number follows the number of points, so that a
	// list has some hundreds.
	minWordBits, maxWordBits = 6, 20

	// postingSize is the size of a posting: a signature of 64 bits, the picture in 32,
	// the point and its geometry in 16.
	postingSize = 14

	// LeanFrom is the number of pictures above which records are lean.
	LeanFrom = 50_000

	// MaxSegment is the number of pictures that a segment holds at most.
	MaxSegment = 1 << 22

	segmentVersion = 2
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
//
// It is an inverted file. Some steady bits of a descriptor, its word, name the list
// that its point is in; a posting of the list has another 64 bits of it and what
// is needed to count votes. Records are read only of the few pictures that have
// the most votes.
type Segment struct {
	// b is the encoded form, which is searched in place:
	//
	//	0  "SDFSEG", version (16 bits)
	//	8  number of pictures n (32 bits), 12 bits of a word k (32 bits)
	//	16 number of points m (64 bits), 24 length of all records (64 bits)
	//	32 2^k+1 numbers of the first posting of each list (32 bits each)
	//	   padding to a multiple of 8
	//	   the lists, by word: the signatures of a list's postings (64 bits each),
	//	   then their pictures (32 bits each), then their points (16 bits each):
	//	   point<<8 | scale<<4 | angle, in levels and in 1/16 turns
	//	   padding to a multiple of 8
	//	   n+1 offsets into the records (64 bits each)
	//	   n IDs (32 bits each)
	//	   records: see appendRecord
	//
	// The postings of a list are in the order of the pictures and their points.
	// Numbers are little-endian.
	b        []byte
	n        int
	m        int
	wordBits int
	size     int // of all records
	lists    int // offset of the lists in b
	offsets  int // offset of the offsets in b
	ids      int // offset of the IDs in b
	recs     int // offset of the records in b
}

// wordBitsFor returns the length of words for m points: some 500 to 1,000 of them in a
// list.
func wordBitsFor(m int) int {
	return min(max(bits.Len(uint(m))-10, minWordBits), maxWordBits)
}

// place computes the offsets of the parts from the counts.
func (s *Segment) place() {
	s.lists = (segmentHeader + 4*(1<<s.wordBits+1) + 7) &^ 7
	s.offsets = (s.lists + postingSize*s.m + 7) &^ 7
	s.ids = s.offsets + 8*(s.n+1)
	s.recs = s.ids + 4*s.n
}

// NewSegment builds a segment of the given pictures, in their order; full
// feature sets are made compact. Several entries may have the same ID. Sets
// without points are kept and never match.
//
// Beside the segment and the entries it takes 4 bytes for each point.
func NewSegment(entries []Entry) (*Segment, error) {
	return newSegment(entries, len(entries) > LeanFrom)
}

func newSegment(entries []Entry, lean bool) (*Segment, error) {
	return NewSegmentFunc(len(entries), lean, func(i int) Entry { return entries[i] })
}

// NewSegmentFunc is NewSegment of n pictures that a function returns, the same ones each
// time. It is called twice for each of them. The records are lean if lean.
func NewSegmentFunc(n int, lean bool, entry func(i int) Entry) (*Segment, error) {
	if n > MaxSegment {
		return nil, fmt.Errorf("features: %d pictures, a segment holds at most %d", n, MaxSegment)
	}
	// The records first, behind one another: their sizes say where all else lies.
	var k work
	var size, points int
	var one []byte
	for i := range n {
		one = k.appendRecord(one[:0], entry(i).Features, lean)
		size += len(one)
		points += Features{one}.len()
	}
	s := &Segment{n: n, m: points, wordBits: wordBitsFor(points), size: size}
	s.place()
	b := make([]byte, s.recs, s.recs+size)
	copy(b, "SDFSEG")
	binary.LittleEndian.PutUint16(b[6:], segmentVersion)
	binary.LittleEndian.PutUint32(b[8:], uint32(s.n))
	binary.LittleEndian.PutUint32(b[12:], uint32(s.wordBits))
	binary.LittleEndian.PutUint64(b[16:], uint64(s.m))
	binary.LittleEndian.PutUint64(b[24:], uint64(size))
	for i := range n {
		e := entry(i)
		binary.LittleEndian.PutUint64(b[s.offsets+8*i:], uint64(len(b)-s.recs))
		binary.LittleEndian.PutUint32(b[s.ids+4*i:], e.ID)
		b = k.appendRecord(b, e.Features, lean)
	}
	binary.LittleEndian.PutUint64(b[s.offsets+8*s.n:], uint64(size))
	s.b = b
	s.post()
	return s, nil
}

// len is Len of what may be empty.
func (f Features) len() int {
	if len(f.b) == 0 {
		return 0
	}
	return f.Len()
}

// post writes the lists of the records: it counts the points of each word first.
func (s *Segment) post() {
	first := s.b[segmentHeader:s.lists]
	next := make([]uint32, 1<<s.wordBits+1)
	words := make([]uint32, 0, s.m)
	for i := range s.n {
		f := s.picture(i)
		for p := range f.len() {
			w := s.cut(f.word(p))
			words = append(words, w)
			next[w+1]++
		}
	}
	for w := range len(next) - 1 {
		next[w+1] += next[w]
	}
	for w, at := range next {
		binary.LittleEndian.PutUint32(first[4*w:], at)
	}
	at := 0
	for i := range s.n {
		f := s.picture(i)
		for p := range f.len() {
			w := words[at]
			at++
			lo, hi := s.list(w << (maxWordBits - s.wordBits))
			l := s.b[s.lists+postingSize*lo:][:postingSize*(hi-lo)]
			n, to := hi-lo, int(next[w])-lo
			next[w]++
			binary.LittleEndian.PutUint64(l[8*to:], f.signature(p))
			binary.LittleEndian.PutUint32(l[8*n+4*to:], uint32(i))
			k := f.point(p)
			binary.LittleEndian.PutUint16(l[12*n+2*to:], uint16(p)<<8|uint16(k.scale>>4)<<4|uint16(k.angle>>4))
		}
	}
}

// list returns where the list of a word begins and ends, in postings; nothing if the
// bytes are not what NewSegment writes.
func (s *Segment) list(w uint32) (lo, hi int) {
	b := s.b[segmentHeader+4*int(s.cut(w)):][:8]
	l, h := uint64(binary.LittleEndian.Uint32(b)), uint64(binary.LittleEndian.Uint32(b[4:]))
	if l > h || h > uint64(s.m) {
		return 0, 0
	}
	return int(l), int(h)
}

// cut returns the part of a word that names its list.
func (s *Segment) cut(w uint32) uint32 { return w >> (maxWordBits - s.wordBits) }

// wordOf returns the word of a descriptor.
func wordOf(d descriptor) (w uint32) {
	for _, b := range wordBits {
		w = w<<1 | uint32(d[1]>>(b-64))&1
	}
	return w
}

// wordBits are the bits of a descriptor that make its word, all of the second 64,
// because the first 64 are the signature. They were chosen one by one: steady ones
// that depend little on those before. Of 133,618 points of copies that were found
// where they should be, 48 % have all 16 first bits right, and 40 % all 20.
var wordBits = [maxWordBits]uint8{75, 70, 120, 115, 71, 108, 102, 89, 116, 80, 118, 114, 107, 122, 98, 106, 73, 109, 111, 69}

// OpenSegment returns the segment of which b are the Bytes, which is
// used in place and must not change as long as the segment is in use. It checks the
// sizes of all parts and reads nothing else, so that opening takes no time. Searching
// arbitrary bytes is safe: lists, offsets and records are checked when they are
// used, and what is wrong matches nothing. That the lists are the right ones for the
// records is not checked: a checksum of the file has to see to that.
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
	case k < minWordBits || k > maxWordBits:
		return bad("words of %d bits, allowed are %d to %d", k, minWordBits, maxWordBits)
	case m > uint64(n)*RegisteredPoints || size > uint64(n)*maxRecordSize:
		return bad("%d points in %d bytes are more than %d pictures have", m, size, n)
	}
	// In 64 bits, so that the sizes cannot wrap around on 32-bit machines.
	head := (segmentHeader + 4*(uint64(1)<<k+1) + 7) &^ 7
	if want := (head+postingSize*m+7)&^7 + 8*(uint64(n)+1) + 4*uint64(n) + size; want != uint64(len(b)) {
		return bad("%d bytes, the header speaks of %d", len(b), want)
	}
	s := &Segment{b: b, n: int(n), m: int(m), wordBits: int(k), size: int(size)}
	s.place()
	return s, nil
}

// Bytes returns the encoded form of s, which OpenSegment reads. It must not be
// changed.
func (s *Segment) Bytes() []byte { return s.b }

// Len returns the number of pictures, those without points included.
func (s *Segment) Len() int { return s.n }

// Points returns the number of points of all pictures.
func (s *Segment) Points() int { return s.m }

// Sizes returns the bytes that searches read at random, and those of the records.
func (s *Segment) Sizes() (hot, records int) { return s.offsets - segmentHeader, s.size }

// ID returns the number that picture i was registered under.
func (s *Segment) ID(i int) uint32 { return binary.LittleEndian.Uint32(s.b[s.ids+4*i:]) }

// picture returns the record of picture i; the zero Features if it has no points, or if
// the bytes are not what NewSegment writes.
func (s *Segment) picture(i int) Features {
	b := s.b[s.offsets+8*i:][:16]
	at, end := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	if at >= end || end > uint64(s.size) {
		return Features{}
	}
	f, _ := recordOf(s.b[s.recs+int(at) : s.recs+int(end)])
	return f
}

// Check reads all of a segment and returns an error that wraps ErrFormat if the bytes
// are not what NewSegment writes for its records.
func (s *Segment) Check() error {
	at := uint64(0)
	entries := make([]Entry, s.n)
	for i := range s.n {
		b := s.b[s.offsets+8*i:][:16]
		from, to := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
		if from != at || to < from || to > uint64(s.size) {
			return fmt.Errorf("features: segment: picture %d does not begin where the one before it ends: %w", i, ErrFormat)
		}
		at = to
		entries[i].ID = s.ID(i)
		if from == to {
			continue
		}
		f, err := checkRecord(s.b[s.recs+int(from) : s.recs+int(to)])
		if err != nil {
			return fmt.Errorf("features: segment: picture %d: %w", i, err)
		}
		entries[i].Features = f
	}
	again, err := newSegment(entries, s.n > LeanFrom)
	if err != nil || !slices.Equal(again.b, s.b) {
		return fmt.Errorf("features: segment: the lists are not those of its records: %w", ErrFormat)
	}
	return nil
}
