package phash

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"iter"
	"math/bits"
	"runtime"
	"slices"
)

// Segment is an immutable index over hashes of one algorithm. It is built once
// by NewSegment, or opened by OpenSegment from the bytes that AppendBinary
// wrote, in place and without building anything.
//
// A Segment is safe for any number of concurrent readers: they take no lock,
// and Search allocates nothing.
type Segment struct {
	header segmentHeader
	data   []byte // the whole segment, as in docs/format/segment.md

	// Sections of data. The distinct hashes are in ascending order, read as
	// big-endian numbers.
	ids   []byte // one uint32 for every entry, in the order of the hashes
	first []byte // for every distinct hash, its first entry; nil if each has one
	high  []byte // 64 bit: the hashes; 256 bit: their words 3 and 2
	low   []byte // 64 bit: nil; 256 bit: their words 1 and 0
}

// NewSegment builds a segment of the entries, which may be in any order and
// hold duplicates; it does not keep the slice. The same entries in any order
// give the same bytes. It fails, wrapping ErrHashKind, if alg or the hash of an
// entry is of no supported algorithm, or a hash is not of alg.
func NewSegment(alg Algorithm, entries []Entry) (*Segment, error) {
	if alg.Bits() == 0 {
		return nil, checkAlgorithm(alg, Hash{})
	}
	for _, e := range entries {
		if err := checkAlgorithm(alg, e.Hash); err != nil {
			return nil, err
		}
	}
	return buildSegment(alg, slices.Clone(entries))
}

func buildSegment(alg Algorithm, sorted []Entry) (*Segment, error) {
	slices.SortFunc(sorted, compareEntries)
	distinct := 0
	for i := range sorted {
		if i == 0 || sorted[i].Hash != sorted[i-1].Hash {
			distinct++
		}
	}
	h := segmentHeader{algorithm: alg, layout: layoutScan, entries: len(sorted), distinct: distinct}
	s := &Segment{}
	if err := s.carve(h, make([]byte, h.size())); err != nil {
		return nil, err
	}
	h.put(s.data)
	k := -1
	for i, e := range sorted {
		binary.LittleEndian.PutUint32(s.ids[4*i:], e.ID)
		if i > 0 && e.Hash == sorted[i-1].Hash {
			continue
		}
		k++
		if s.first != nil {
			binary.LittleEndian.PutUint32(s.first[4*k:], uint32(i))
		}
		if s.low == nil {
			binary.LittleEndian.PutUint64(s.high[8*k:], e.Hash.w[0])
			continue
		}
		binary.LittleEndian.PutUint64(s.high[16*k:], e.Hash.w[3])
		binary.LittleEndian.PutUint64(s.high[16*k+8:], e.Hash.w[2])
		binary.LittleEndian.PutUint64(s.low[16*k:], e.Hash.w[1])
		binary.LittleEndian.PutUint64(s.low[16*k+8:], e.Hash.w[0])
	}
	if s.first != nil {
		binary.LittleEndian.PutUint32(s.first[4*distinct:], uint32(len(sorted)))
	}
	return s, nil
}

func compareEntries(a, b Entry) int {
	for i := 3; i >= 0; i-- {
		if a.Hash.w[i] != b.Hash.w[i] {
			return cmp.Compare(a.Hash.w[i], b.Hash.w[i])
		}
	}
	return cmp.Compare(a.ID, b.ID)
}

// OpenSegment opens the bytes that AppendBinary wrote. The segment uses b in
// place, on every architecture and at any alignment; b must not change, and
// must not be unmapped, as long as the segment is used.
//
// OpenSegment checks the form of b, so that no later call can read outside of
// it, panic or fail to end, whatever b holds. It does not check that the hashes
// are those that were written: keep a checksum beside b. Errors wrap
// ErrSegmentVersion for bytes of a newer version, otherwise ErrSegmentCorrupt.
func OpenSegment(b []byte) (*Segment, error) {
	h, err := readSegmentHeader(b)
	if err != nil {
		return nil, err
	}
	s := &Segment{}
	if err := s.carve(h, b[:h.size():h.size()]); err != nil {
		return nil, err
	}
	return s, s.check()
}

// AppendBinary appends the bytes that OpenSegment reads. They are a multiple
// of eight bytes long. It never fails.
func (s *Segment) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, s.data...)
	runtime.KeepAlive(s)
	return b, nil
}

// Algorithm returns the algorithm of the hashes.
func (s *Segment) Algorithm() Algorithm { return s.header.algorithm }

// Len returns the number of entries.
func (s *Segment) Len() int { return s.header.entries }

// All returns the entries, ascending by hash (as a big-endian number), then by
// ID.
func (s *Segment) All() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		defer runtime.KeepAlive(s)
		for k := range s.header.distinct {
			h := s.hash(k)
			lo, hi := s.entriesOf(k)
			for i := lo; i < hi; i++ {
				if !yield(Entry{h, s.id(i)}) {
					return
				}
			}
		}
	}
}

// Search calls yield once for every entry whose hash is within radius bits of
// h, in no particular order, until yield returns false; it reports whether it
// came to the end. A hash of another algorithm, the zero Hash and a negative
// radius find nothing. It does not allocate.
func (s *Segment) Search(h Hash, radius int, yield func(id uint32, distance int) bool) bool {
	if h.alg != s.header.algorithm || radius < 0 {
		return true
	}
	ok := s.scan(h, radius, yield)
	// The bytes may belong to an arena that goes when s does.
	runtime.KeepAlive(s)
	return ok
}

// scan compares h with every hash.
func (s *Segment) scan(h Hash, radius int, yield func(id uint32, distance int) bool) bool {
	if s.low == nil {
		for k, b := 0, s.high; len(b) >= 8; k, b = k+1, b[8:] {
			d := bits.OnesCount64(h.w[0] ^ binary.LittleEndian.Uint64(b))
			if d <= radius && !s.emit(k, d, yield) {
				return false
			}
		}
		return true
	}
	for k, b := 0, s.high; len(b) >= 16; k, b = k+1, b[16:] {
		d := bits.OnesCount64(h.w[3]^binary.LittleEndian.Uint64(b)) +
			bits.OnesCount64(h.w[2]^binary.LittleEndian.Uint64(b[8:]))
		if d > radius {
			continue
		}
		d += bits.OnesCount64(h.w[1]^binary.LittleEndian.Uint64(s.low[16*k:])) +
			bits.OnesCount64(h.w[0]^binary.LittleEndian.Uint64(s.low[16*k+8:]))
		if d <= radius && !s.emit(k, d, yield) {
			return false
		}
	}
	return true
}

// emit yields the entries of distinct hash k.
func (s *Segment) emit(k, d int, yield func(id uint32, distance int) bool) bool {
	lo, hi := s.entriesOf(k)
	for i := lo; i < hi; i++ {
		if !yield(s.id(i), d) {
			return false
		}
	}
	return true
}

// entriesOf returns the range of entries that have distinct hash k.
func (s *Segment) entriesOf(k int) (lo, hi int) {
	if s.first == nil {
		return k, k + 1
	}
	return int(binary.LittleEndian.Uint32(s.first[4*k:])), int(binary.LittleEndian.Uint32(s.first[4*k+4:]))
}

func (s *Segment) id(entry int) uint32 { return binary.LittleEndian.Uint32(s.ids[4*entry:]) }

// hash returns distinct hash k.
func (s *Segment) hash(k int) Hash {
	h := Hash{alg: s.header.algorithm}
	if s.low == nil {
		h.w[0] = binary.LittleEndian.Uint64(s.high[8*k:])
		return h
	}
	h.w[3] = binary.LittleEndian.Uint64(s.high[16*k:])
	h.w[2] = binary.LittleEndian.Uint64(s.high[16*k+8:])
	h.w[1] = binary.LittleEndian.Uint64(s.low[16*k:])
	h.w[0] = binary.LittleEndian.Uint64(s.low[16*k+8:])
	return h
}

// check returns an error if an array of s leads outside of another.
func (s *Segment) check() error {
	if s.first == nil {
		return nil
	}
	before := uint32(0)
	for k := range s.header.distinct + 1 {
		v := binary.LittleEndian.Uint32(s.first[4*k:])
		if k == 0 && v != 0 || k > 0 && v <= before {
			return fmt.Errorf("phash: segment: hash %d begins at entry %d, the one before at %d: %w", k, v, before, ErrSegmentCorrupt)
		}
		before = v
	}
	if int64(before) != int64(s.header.entries) {
		return fmt.Errorf("phash: segment: hashes end at entry %d of %d: %w", before, s.header.entries, ErrSegmentCorrupt)
	}
	return nil
}
