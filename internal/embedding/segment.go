package embedding

import (
	"encoding/binary"
	"iter"
	"runtime"

	"github.com/staydown/staydown/internal/arena"
)

// Segment is an immutable index over vectors of one model. It is built once by
// NewSegment, or opened by OpenSegment from the bytes that AppendBinary wrote,
// in place and without building anything.
//
// Small segments compare with every vector. Larger ones look at a sketch of
// each, 512 bits, and compare with those vectors only whose sketch may be that
// of a similar one.
//
// A Segment is safe for any number of concurrent readers: they take no lock,
// and Search allocates nothing.
type Segment struct {
	header segmentHeader
	data   []byte       // the whole segment, as in docs/format/face-segment.md
	owner  *arena.Arena // of data, or nil

	// Arrays in data, in the order of the entries: ascending by ID, then by
	// components. All numbers are little-endian. The first four are of
	// layoutSketch only.
	sketches []byte // 512 bits for every entry
	lengths  []byte // a byte for every entry: length in the frame
	spreads  []byte // a byte for every entry: spread of its sketch
	middle   []byte // of the frame: an int32 for every dimension
	ids      []byte // a uint32 for every entry
	norms    []byte // a uint32 for every entry: the squared length of its vector
	vectors  []byte // an int8 for every dimension of every entry
}

// OpenSegment opens the bytes that AppendBinary wrote; b may be longer. The
// segment uses b in place, on every architecture and at any alignment (aligned
// to 64 bytes it is a little faster); b must not change, and must stay mapped,
// as long as the segment is used.
//
// OpenSegment checks the form of b, so that no later call can panic, fail to
// end or read outside of it, whatever b holds. It does not check that the
// vectors are those that were written: keep a checksum beside b. Errors wrap
// ErrSegmentVersion for bytes of a newer version, otherwise ErrSegmentCorrupt.
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
// asked to use huge pages (on Linux; elsewhere the copy is on the heap). The
// memory is released when the copy is no longer used.
func (s *Segment) InHugePages() *Segment {
	c := &Segment{owner: arena.Copy(s.data)}
	runtime.KeepAlive(s)
	c.carve(s.header, c.owner.Bytes())
	return c
}

// Size returns the number of bytes that AppendBinary appends, which is also
// the memory that the segment takes: 74 and one for every dimension for every
// entry, and 128 and four for every dimension.
func (s *Segment) Size() int { return len(s.data) }

// Model returns the model of the vectors.
func (s *Segment) Model() Model { return s.header.model }

// Len returns the number of entries.
func (s *Segment) Len() int { return s.header.entries }

// All returns the entries, ascending by ID, then by components. Their vectors
// are copies, which live as long as they are used.
func (s *Segment) All() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		defer runtime.KeepAlive(s)
		for i := range s.header.entries {
			row := s.row(i)
			x := vector{s.header.model, make([]int8, len(row)), s.norm(i)}
			for j, c := range row {
				x.components[j] = int8(c)
			}
			if !yield(Entry{vectorOf(x), s.id(i)}) {
				return
			}
		}
	}
}

func (s *Segment) id(entry int) uint32 { return binary.LittleEndian.Uint32(s.ids[4*entry:]) }

func (s *Segment) norm(entry int) uint32 { return binary.LittleEndian.Uint32(s.norms[4*entry:]) }

// row returns the components of an entry.
func (s *Segment) row(entry int) []byte {
	n := s.header.model.Dimensions
	return s.vectors[entry*n : entry*n+n : entry*n+n]
}
