package embedding

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
	segmentMagic      = "sdFACES\n"
	segmentVersion    = 1
	segmentHeaderSize = 128
	segmentNameAt     = 32 // of the model's name in the header
)

// The layouts of a segment. They are written to files and never change their
// meaning.
const (
	layoutScan   = 1 // vectors only
	layoutSketch = 2 // sketches of 512 bits in front
)

// segmentHeader is the decoded start of a segment. Everything about the
// sections follows from it.
type segmentHeader struct {
	model   Model
	layout  uint8
	entries int
}

// sectionSizes returns the lengths in bytes of the arrays.
func (h segmentHeader) sectionSizes() (sketches, lengths, spreads, middle, ids, norms, vectors int64) {
	n, d := int64(h.entries), int64(h.model.Dimensions)
	if h.layout == layoutSketch {
		sketches, lengths, spreads, middle = sketchBytes*n, n, n, 4*d
	}
	return sketches, lengths, spreads, middle, 4 * n, 4 * n, d * n
}

// size returns the length of the segment in bytes.
func (h segmentHeader) size() int64 {
	sketches, lengths, spreads, middle, ids, norms, vectors := h.sectionSizes()
	return segmentHeaderSize + pad8(sketches) + pad8(lengths) + pad8(spreads) + pad8(middle) + pad8(ids) + pad8(norms) + pad8(vectors)
}

func pad8(n int64) int64 { return (n + 7) &^ 7 }

// maxEntries bounds the entries of a segment, so that its size is below 2^43
// and they can be counted in an int.
const maxEntries = min(math.MaxUint32-1, math.MaxInt)

// put writes the header to the start of b.
func (h segmentHeader) put(b []byte) {
	copy(b, segmentMagic)
	binary.LittleEndian.PutUint16(b[8:], segmentVersion)
	b[10] = h.layout
	b[11] = byte(len(h.model.Name))
	binary.LittleEndian.PutUint16(b[12:], uint16(h.model.Dimensions))
	binary.LittleEndian.PutUint64(b[16:], uint64(h.entries))
	binary.LittleEndian.PutUint64(b[24:], uint64(h.size()))
	copy(b[segmentNameAt:], h.model.Name)
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("embedding: segment: %s: %w", fmt.Sprintf(format, args...), ErrSegmentCorrupt)
}

// readSegmentHeader decodes and checks the start of b. If it returns no error,
// all sections lie inside of b.
func readSegmentHeader(b []byte) (segmentHeader, error) {
	var none segmentHeader
	if len(b) < segmentHeaderSize {
		return none, corrupt("%d bytes where the header alone has %d", len(b), segmentHeaderSize)
	}
	if string(b[:8]) != segmentMagic {
		return none, corrupt("begins with %q, not with %q", b[:8], segmentMagic)
	}
	if v := binary.LittleEndian.Uint16(b[8:]); v > segmentVersion {
		return none, fmt.Errorf("embedding: segment: version %d, this package knows up to %d: %w", v, segmentVersion, ErrSegmentVersion)
	} else if v == 0 {
		return none, corrupt("version 0 at byte 8")
	}
	h := segmentHeader{layout: b[10]}
	if h.layout != layoutScan && h.layout != layoutSketch {
		return none, corrupt("layout %d at byte 10", h.layout)
	}
	name := int(b[11])
	if name > MaxModelName {
		return none, corrupt("name of %d bytes at byte 11", name)
	}
	h.model = Model{string(b[segmentNameAt : segmentNameAt+name]), int(binary.LittleEndian.Uint16(b[12:]))}
	if err := h.model.Check(); err != nil {
		return none, corrupt("%v", err)
	}
	reserved := b[segmentNameAt+name : segmentHeaderSize]
	if b[14] != 0 || b[15] != 0 || !isZero(reserved) {
		return none, corrupt("reserved bytes of the header are not zero")
	}
	entries := binary.LittleEndian.Uint64(b[16:])
	if entries > maxEntries {
		return none, corrupt("%d entries", entries)
	}
	h.entries = int(entries)
	size := h.size()
	if written := binary.LittleEndian.Uint64(b[24:]); written != uint64(size) || int64(len(b)) < size {
		return none, corrupt("%d bytes, the header says %d, its counts give %d", len(b), written, size)
	}
	return h, nil
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// carve sets the arrays of s, which lie in b; b is as long as h says.
func (s *Segment) carve(h segmentHeader, b []byte) {
	s.header, s.data = h, b
	at := int64(segmentHeaderSize)
	next := func(n int64) []byte {
		sec := b[at : at+n : at+n]
		at += pad8(n)
		return sec
	}
	sketches, lengths, spreads, middle, ids, norms, vectors := h.sectionSizes()
	s.sketches, s.lengths, s.spreads, s.middle = next(sketches), next(lengths), next(spreads), next(middle)
	s.ids, s.norms, s.vectors = next(ids), next(norms), next(vectors)
}

// check returns an error if the middle of the frame is not the mean of vectors
// of length 1, or one rounded: a longer one would overflow when a search
// rotates it. The other arrays may hold anything.
func (s *Segment) check() error {
	unit := int64(newFrame(s.header.model.Dimensions, nil).unit)
	squares := int64(0)
	for i := 0; i < len(s.middle); i += 4 {
		c := int64(int32(binary.LittleEndian.Uint32(s.middle[i:])))
		// Checked each time, so that the sum does not overflow.
		if squares += c * c; c > unit || -c > unit || squares > unit*unit+unit*int64(s.header.model.Dimensions) {
			return corrupt("component %d of the middle is out of range", i/4)
		}
	}
	return nil
}
