package phash

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/staydown/staydown/internal/segment"
)

// ErrSegmentVersion is wrapped by errors about a segment that a newer version
// of this package wrote.
var ErrSegmentVersion = errors.New("version of the segment not supported")

// ErrSegmentCorrupt is wrapped by errors about bytes that are not a segment, or a
// damaged one.
var ErrSegmentCorrupt = errors.New("not a whole segment")

// format is that of docs/format/segment.md.
var format = segment.Format{
	Name: "phash: segment", Magic: "sdSEGMT\n", Version: 1, Header: 64,
	ErrVersion: ErrSegmentVersion, ErrCorrupt: ErrSegmentCorrupt,
}

// The layouts of a segment. They are written to files and never change their
// meaning.
const (
	layoutScan   = 1 // no tables
	layoutInline = 2 // 64 bit: a table for every chunk, with the rest of the hash in it
	layoutPaired = 3 // 256 bit: a table for every chunk of 16, with the other chunk of its pair in it
)

// Bounds on the number of chunks of layoutInline. Fewer than three would need
// offset tables of 16 GiB, more than eight leave the chunks too short to be
// worth a table.
const (
	minInlineChunks = 3
	maxInlineChunks = 8
)

// pairedChunks is the number of chunks of layoutPaired.
const pairedChunks = 16

// segmentHeader is the decoded start of a segment. Everything about the
// sections follows from it.
type segmentHeader struct {
	algorithm Algorithm
	layout    uint8
	chunks    int // tables; 0 for layoutScan
	stride    int // bytes: of the rest of a hash (layoutInline), of a position (layoutPaired), or 0
	entries   int
	distinct  int // different hashes
}

// chunk returns where chunk c begins, in bits from the most significant end of
// the hash, and how wide it is.
func (h segmentHeader) chunk(c int) (at, width int) {
	n := h.algorithm.Bits()
	wide := n % h.chunks // that many chunks, the first, have one bit more
	width = n / h.chunks
	at = c*width + min(c, wide)
	if c < wide {
		width++
	}
	return at, width
}

// tableSizes returns the lengths in bytes of the arrays of table c.
func (h segmentHeader) tableSizes(c int) (offsets, rest, positions int64) {
	_, width := h.chunk(c)
	n := int64(h.distinct)
	offsets = 4 * (1<<width + 1)
	// The searches load eight bytes at any entry, so the arrays end with as
	// many spare bytes as the last load needs. Table 0 has the order of the
	// hashes themselves: it needs neither their rest nor their positions.
	switch h.layout {
	case layoutInline:
		if c > 0 {
			rest = int64(h.stride)*n + 8 - int64(h.stride)
		}
	case layoutPaired:
		rest = 2*n + 6
		if c > 0 {
			positions = int64(h.stride)*n + 4 - int64(h.stride)
		}
	}
	return offsets, rest, positions
}

// size returns the length of the segment in bytes.
func (h segmentHeader) size() int64 {
	n := int64(format.Header)
	ids, first, high, low := h.columnSizes()
	n += segment.Pad(ids) + segment.Pad(first) + segment.Pad(high) + segment.Pad(low)
	for c := range h.chunks {
		offsets, rest, positions := h.tableSizes(c)
		n += segment.Pad(offsets) + segment.Pad(rest) + segment.Pad(positions)
	}
	return n
}

// columnSizes returns the lengths in bytes of the arrays outside of the tables.
func (h segmentHeader) columnSizes() (ids, first, high, low int64) {
	n := int64(h.distinct)
	ids = 4 * int64(h.entries)
	if h.distinct != h.entries {
		first = 4 * (n + 1)
	}
	if h.algorithm.Bits() == 64 {
		return ids, first, 8 * n, 0
	}
	return ids, first, 16 * n, 16 * n
}

// put writes the header to the start of b.
func (h segmentHeader) put(b []byte) {
	format.Put(b)
	b[10] = byte(h.algorithm)
	b[11] = h.layout
	b[12] = byte(h.chunks)
	b[13] = byte(h.stride)
	binary.LittleEndian.PutUint64(b[16:], uint64(h.entries))
	binary.LittleEndian.PutUint64(b[24:], uint64(h.distinct))
	binary.LittleEndian.PutUint64(b[32:], uint64(h.size()))
}

// readSegmentHeader decodes and checks the start of b. If it returns no error,
// all sections lie inside of b.
func readSegmentHeader(b []byte) (segmentHeader, error) {
	var none segmentHeader
	if err := format.Check(b); err != nil {
		return none, err
	}
	h := segmentHeader{algorithm: Algorithm(b[10]), layout: b[11], chunks: int(b[12]), stride: int(b[13])}
	if h.algorithm >= NumAlgorithms {
		return none, fmt.Errorf("phash: segment: hashes of %v, which this package does not know: %w", h.algorithm, ErrSegmentVersion)
	}
	if !h.known() {
		return none, format.Corrupt("algorithm %d, layout %d with %d chunks and stride %d at byte 10", b[10], b[11], b[12], b[13])
	}
	if !segment.IsZero(b[14:16]) || !segment.IsZero(b[40:format.Header]) {
		return none, format.Corrupt("reserved bytes of the header are not zero")
	}
	entries, distinct := binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:])
	if entries > maxEntries || distinct > entries || distinct == 0 && entries > 0 {
		return none, format.Corrupt("%d entries of %d hashes", entries, distinct)
	}
	h.entries, h.distinct = int(entries), int(distinct)
	if h.layout == layoutPaired && h.stride == 3 && h.distinct > 1<<24 {
		return none, format.Corrupt("%d hashes and stride 3", h.distinct)
	}
	// The counts are below 2^32, so the size is below 2^40.
	if err := format.CheckSize(b, binary.LittleEndian.Uint64(b[32:]), h.size()); err != nil {
		return none, err
	}
	return h, nil
}

// known reports whether the algorithm, layout, chunks and stride go together.
func (h segmentHeader) known() bool {
	switch h.layout {
	case layoutScan:
		return h.algorithm.IsValid() && h.chunks == 0 && h.stride == 0
	case layoutInline:
		return h.algorithm.Bits() == 64 && minInlineChunks <= h.chunks && h.chunks <= maxInlineChunks &&
			h.stride == inlineStride(h.chunks)
	case layoutPaired:
		return h.algorithm.Bits() == 256 && h.chunks == pairedChunks && (h.stride == 3 || h.stride == 4)
	}
	return false
}

// maxEntries bounds the entries of a segment: positions are stored in 32 bits,
// and counted in ints.
const maxEntries = min(math.MaxUint32-1, math.MaxInt)

// inlineStride returns how many bytes hold the bits of a hash outside of its
// narrowest chunk.
func inlineStride(chunks int) int { return (64 - 64/chunks + 7) / 8 }

// carve sets the arrays of s, which lie in b; b is as long as h says.
func (s *Segment) carve(h segmentHeader, b []byte) {
	s.header, s.data = h, b
	arrays := format.Carve(b)
	ids, first, high, low := h.columnSizes()
	s.ids, s.first, s.high, s.low = arrays.Next(ids), arrays.Next(first), arrays.Next(high), arrays.Next(low)
	for c := range s.tables[:h.chunks] {
		t := &s.tables[c]
		offsets, rest, positions := h.tableSizes(c)
		t.at, t.width = h.chunk(c)
		t.offsets, t.rest, t.positions = arrays.Next(offsets), arrays.Next(rest), arrays.Next(positions)
		t.stride = h.stride
		if h.layout == layoutInline && c == 0 {
			t.rest, t.stride = s.high, 8
		}
	}
}

// check returns an error if a number in s leads outside of an array. The
// positions of layoutPaired are not looked at: a search compares the few that
// it uses.
func (s *Segment) check() error {
	n := s.header.distinct
	if s.first != nil {
		before := int64(-1)
		for k := range n + 1 {
			v := int64(binary.LittleEndian.Uint32(s.first[4*k:]))
			if v <= before || k == 0 && v != 0 {
				return format.Corrupt("hash %d begins at entry %d, the one before at %d", k, v, before)
			}
			before = v
		}
		if before != int64(s.header.entries) {
			return format.Corrupt("the hashes end at entry %d of %d", before, s.header.entries)
		}
	}
	for c := range s.header.chunks {
		before := uint32(0)
		offsets := s.tables[c].offsets
		for v := 0; v < len(offsets); v += 4 {
			o := binary.LittleEndian.Uint32(offsets[v:])
			if o < before || v == 0 && o != 0 {
				return format.Corrupt("table %d: bucket %d begins at %d, the one before at %d", c, v/4, o, before)
			}
			before = o
		}
		if int64(before) != int64(n) {
			return format.Corrupt("table %d: the buckets end at %d of %d", c, before, n)
		}
	}
	return nil
}
