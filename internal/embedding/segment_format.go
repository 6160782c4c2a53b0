package embedding

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/staydown/staydown/internal/segment"
)

// ErrSegmentVersion is wrapped by errors about a segment that a newer version
// of this package wrote.
var ErrSegmentVersion = errors.New("version of the segment not supported")

// ErrSegmentCorrupt is wrapped by errors about bytes that are no segment, or a
// damaged one.
var ErrSegmentCorrupt = errors.New("not a whole segment")

// format is that of docs/format/face-segment.md.
var format = segment.Format{
	Name: "embedding: segment", Magic: "sdFACES\n", Version: 1, Header: 128,
	ErrVersion: ErrSegmentVersion, ErrCorrupt: ErrSegmentCorrupt,
}

const nameAt = 32 // of the model's name in the header

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
	size := int64(format.Header)
	for _, n := range [...]int64{sketches, lengths, spreads, middle, ids, norms, vectors} {
		size += segment.Pad(n)
	}
	return size
}

// maxEntries bounds the entries of a segment, so that its size is below 2^43
// and they can be counted in an int.
const maxEntries = min(math.MaxUint32-1, math.MaxInt)

// put writes the header to the start of b.
func (h segmentHeader) put(b []byte) {
	format.Put(b)
	b[10] = h.layout
	b[11] = byte(len(h.model.Name))
	binary.LittleEndian.PutUint16(b[12:], uint16(h.model.Dimensions))
	binary.LittleEndian.PutUint64(b[16:], uint64(h.entries))
	binary.LittleEndian.PutUint64(b[24:], uint64(h.size()))
	copy(b[nameAt:], h.model.Name)
}

// readSegmentHeader decodes and checks the start of b. If it returns no error,
// all sections lie inside of b.
func readSegmentHeader(b []byte) (segmentHeader, error) {
	var none segmentHeader
	if err := format.Check(b); err != nil {
		return none, err
	}
	h := segmentHeader{layout: b[10]}
	if h.layout != layoutScan && h.layout != layoutSketch {
		return none, format.Corrupt("layout %d at byte 10", h.layout)
	}
	name := int(b[11])
	if name > MaxModelName {
		return none, format.Corrupt("name of %d bytes at byte 11", name)
	}
	h.model = Model{string(b[nameAt : nameAt+name]), int(binary.LittleEndian.Uint16(b[12:]))}
	if err := h.model.Check(); err != nil {
		return none, format.Corrupt("%v", err)
	}
	reserved := b[nameAt+name : format.Header]
	if b[14] != 0 || b[15] != 0 || !segment.IsZero(reserved) {
		return none, format.Corrupt("reserved bytes of the header are not zero")
	}
	entries := binary.LittleEndian.Uint64(b[16:])
	if entries > maxEntries {
		return none, format.Corrupt("%d entries", entries)
	}
	h.entries = int(entries)
	if err := format.CheckSize(b, binary.LittleEndian.Uint64(b[24:]), h.size()); err != nil {
		return none, err
	}
	return h, nil
}

// carve sets the arrays of s, which lie in b; b is as long as h says.
func (s *Segment) carve(h segmentHeader, b []byte) {
	s.header, s.data = h, b
	c := format.Carve(b)
	sketches, lengths, spreads, middle, ids, norms, vectors := h.sectionSizes()
	s.sketches, s.lengths, s.spreads, s.middle = c.Next(sketches), c.Next(lengths), c.Next(spreads), c.Next(middle)
	s.ids, s.norms, s.vectors = c.Next(ids), c.Next(norms), c.Next(vectors)
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
			return format.Corrupt("component %d of the middle is out of range", i/4)
		}
	}
	return nil
}
