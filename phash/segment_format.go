package phash

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrSegmentVersion is wrapped by errors about a segment that a newer version
// of this package wrote.
var ErrSegmentVersion = errors.New("version of the segment not supported")

// ErrSegmentCorrupt is wrapped by errors about bytes that are no segment, or a
// damaged one.
var ErrSegmentCorrupt = errors.New("not a whole segment")

const (
	segmentMagic      = "sdSEGMT\n"
	segmentVersion    = 1
	segmentHeaderSize = 64
)

// The layouts of a segment. They are written to files and never change their
// meaning.
const (
	layoutScan = 1 // hashes only
)

// segmentHeader is the decoded start of a segment. Everything about the
// sections follows from it.
type segmentHeader struct {
	algorithm Algorithm
	layout    uint8
	entries   int
	distinct  int
}

// size returns the length of the segment in bytes.
func (h segmentHeader) size() int {
	n := int64(segmentHeaderSize)
	for _, sec := range h.sections() {
		n += pad8(sec)
	}
	if n > math.MaxInt {
		return -1
	}
	return int(n)
}

// sections returns the length of every section in bytes, without padding.
func (h segmentHeader) sections() []int64 {
	first := int64(0)
	if h.distinct != h.entries {
		first = 4 * (int64(h.distinct) + 1)
	}
	high, low := 8*int64(h.distinct), int64(0)
	if h.algorithm.Bits() == 256 {
		high, low = 16*int64(h.distinct), 16*int64(h.distinct)
	}
	return []int64{4 * int64(h.entries), first, high, low}
}

func pad8(n int64) int64 { return (n + 7) &^ 7 }

// put writes the header to the start of b.
func (h segmentHeader) put(b []byte) {
	copy(b, segmentMagic)
	binary.LittleEndian.PutUint16(b[8:], segmentVersion)
	b[10] = byte(h.algorithm)
	b[11] = h.layout
	binary.LittleEndian.PutUint64(b[16:], uint64(h.entries))
	binary.LittleEndian.PutUint64(b[24:], uint64(h.distinct))
	binary.LittleEndian.PutUint64(b[32:], uint64(h.size()))
}

// readSegmentHeader decodes and checks the start of b; the sections are inside
// of b if it returns no error.
func readSegmentHeader(b []byte) (segmentHeader, error) {
	corrupt := func(format string, args ...any) (segmentHeader, error) {
		return segmentHeader{}, fmt.Errorf("phash: segment: %s: %w", fmt.Sprintf(format, args...), ErrSegmentCorrupt)
	}
	if len(b) < segmentHeaderSize {
		return corrupt("%d bytes where the header has %d", len(b), segmentHeaderSize)
	}
	if string(b[:8]) != segmentMagic {
		return corrupt("begins with %q, not with %q", b[:8], segmentMagic)
	}
	if v := binary.LittleEndian.Uint16(b[8:]); v != segmentVersion {
		return segmentHeader{}, fmt.Errorf("phash: segment: version %d, only %d is known: %w", v, segmentVersion, ErrSegmentVersion)
	}
	h := segmentHeader{algorithm: Algorithm(b[10]), layout: b[11]}
	if h.algorithm.Bits() == 0 {
		return corrupt("algorithm %d at byte 10", b[10])
	}
	if h.layout != layoutScan {
		return corrupt("layout %d at byte 11", b[11])
	}
	entries, distinct := binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:])
	if entries > min(math.MaxUint32, math.MaxInt) || distinct > entries {
		return corrupt("%d entries of %d hashes", entries, distinct)
	}
	h.entries, h.distinct = int(entries), int(distinct)
	size := h.size()
	if written := binary.LittleEndian.Uint64(b[32:]); size < 0 || written != uint64(size) || len(b) < size {
		return corrupt("%d bytes, the header says %d, its counts give %d", len(b), written, size)
	}
	return h, nil
}

// carve sets the sections of s, which lie in b.
func (s *Segment) carve(h segmentHeader, b []byte) error {
	s.header, s.data = h, b
	at := int64(segmentHeaderSize)
	next := func(n int64) []byte {
		if n == 0 {
			return nil
		}
		sec := b[at : at+n : at+n]
		at += pad8(n)
		return sec
	}
	sec := h.sections()
	s.ids, s.first, s.high, s.low = next(sec[0]), next(sec[1]), next(sec[2]), next(sec[3])
	return nil
}
