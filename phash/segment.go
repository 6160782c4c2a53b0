package phash

import (
	"cmp"
	"encoding/binary"
	"iter"
	"math/bits"
	"runtime"

	"github.com/staydown/staydown/internal/arena"
)

// Segment is an immutable index over hashes of one algorithm. NewSegment builds
// it. OpenSegment opens it from the bytes that AppendBinary wrote, in place and
// without building anything.
//
// Small segments compare with every hash. Larger ones cut the hashes into chunks
// and keep a table of each chunk. Two hashes that are close agree, or almost
// agree, in some chunk. This is multi-index hashing, after Norouzi, Punjani and
// Fleet, "Fast Exact Search in Hamming Space with Multi-Index Hashing", 2014. The
// result is always exact.
//
// A Segment is safe for any number of concurrent readers: they take no lock, and
// Search allocates nothing.
type Segment struct {
	header segmentHeader
	data   []byte       // the whole segment, as in docs/format/segment.md
	owner  *arena.Arena // of data, or nil

	// Arrays in data, all little-endian. The distinct hashes are in ascending
	// order, read as big-endian numbers.
	ids    []byte // a uint32 for every entry, in the order of the hashes
	first  []byte // a uint32 for every distinct hash, its first entry; nil if each has one
	high   []byte // 64 bit: the hashes; 256 bit: their words 3 and 2
	low    []byte // 64 bit: nil; 256 bit: their words 1 and 0
	tables [pairedChunks]table

	plans         []plan // by radius; searches beyond the last one scan
	maxCandidates int    // searches that would look at more scan
	togetherFrom  int    // with fewer hashes, searches by tables are made one by one
}

// table lists the hashes by one of their chunks.
type table struct {
	at, width int    // bits of the chunk, at from the most significant end
	stride    int    // bytes of an entry of rest (layoutInline) or positions (layoutPaired)
	offsets   []byte // a uint32 for every value of the chunk: where its bucket begins in rest
	rest      []byte // layoutInline: the hash from behind the chunk on; layoutPaired: the other chunk of the pair
	positions []byte // layoutPaired: which distinct hash; nil if it is the same as the place in rest
}

// bucket returns where bucket v begins and ends.
func (t *table) bucket(v uint32) (lo, hi uint32) {
	both := binary.LittleEndian.Uint64(t.offsets[4*int(v):])
	return uint32(both), uint32(both >> 32)
}

// rotate turns a 64-bit hash so that the chunk is at its most significant end.
func (t *table) rotate(k uint64) uint64 { return bits.RotateLeft64(k, t.at) }

// OpenSegment opens the bytes that AppendBinary wrote; b may be longer. The
// segment uses b in place, on every architecture and at any alignment (aligned to
// 64 bytes it is a little faster). b must not change, and must stay mapped, as
// long as the segment is used.
//
// OpenSegment checks the form of b, so that no later call can panic, fail to end
// or read outside of it, for any contents of b. It does not check that the hashes
// are unchanged: keep a checksum beside b. Errors wrap ErrSegmentVersion for bytes
// of a newer version, otherwise ErrSegmentCorrupt.
func OpenSegment(b []byte) (*Segment, error) {
	h, err := readSegmentHeader(b)
	if err != nil {
		return nil, err
	}
	s := &Segment{}
	s.carve(h, b[:h.size():h.size()])
	if err := s.check(); err != nil {
		return nil, err
	}
	s.makePlans()
	return s, nil
}

// AppendBinary appends the bytes that OpenSegment reads; they are a multiple
// of eight long. It never fails.
func (s *Segment) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, s.data...)
	runtime.KeepAlive(s)
	return b, nil
}

// InHugePages returns a copy of s in memory of its own for which the kernel is
// asked to use huge pages (on Linux; elsewhere the copy is on the heap). That
// makes searches in big segments faster, see docs/benchmarks.md. The memory is
// released when the copy is no longer used.
func (s *Segment) InHugePages() *Segment {
	c := &Segment{owner: arena.Copy(s.data), plans: s.plans, maxCandidates: s.maxCandidates, togetherFrom: s.togetherFrom}
	runtime.KeepAlive(s)
	c.carve(s.header, c.owner.Bytes())
	return c
}

// Size returns the number of bytes that AppendBinary appends, which is also
// the memory that the segment takes.
func (s *Segment) Size() int { return len(s.data) }

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
			h := Hash{w: s.words(k), alg: s.header.algorithm}
			lo, hi := s.entriesOf(k)
			for i := lo; i < hi; i++ {
				if !yield(Entry{h, s.id(i)}) {
					return
				}
			}
		}
	}
}

// entriesOf returns the range of entries that have distinct hash k.
func (s *Segment) entriesOf(k int) (lo, hi int) {
	if s.first == nil {
		return k, k + 1
	}
	return int(binary.LittleEndian.Uint32(s.first[4*k:])), int(binary.LittleEndian.Uint32(s.first[4*k+4:]))
}

func (s *Segment) id(entry int) uint32 { return binary.LittleEndian.Uint32(s.ids[4*entry:]) }

// words returns the bits of distinct hash k.
func (s *Segment) words(k int) [4]uint64 {
	if s.low == nil {
		return [4]uint64{binary.LittleEndian.Uint64(s.high[8*k:])}
	}
	high, low := s.high[16*k:][:16], s.low[16*k:][:16]
	return [4]uint64{
		binary.LittleEndian.Uint64(low[8:]), binary.LittleEndian.Uint64(low),
		binary.LittleEndian.Uint64(high[8:]), binary.LittleEndian.Uint64(high),
	}
}

// locate returns which distinct hash has those bits.
func (s *Segment) locate(w [4]uint64) (k int, ok bool) {
	lo, hi := uint32(0), uint32(s.header.distinct)
	if s.header.chunks > 0 {
		lo, hi = s.tables[0].bucket(s.chunkOf(&w, 0))
	}
	for lo < hi {
		mid := lo + (hi-lo)/2
		at := s.words(int(mid))
		switch compareWords(&at, &w) {
		case -1:
			lo = mid + 1
		case 1:
			hi = mid
		default:
			return int(mid), true
		}
	}
	return 0, false
}

// compareWords compares hashes as big-endian numbers.
func compareWords(a, b *[4]uint64) int {
	for i := 3; i >= 0; i-- {
		if a[i] != b[i] {
			return cmp.Compare(a[i], b[i])
		}
	}
	return 0
}
