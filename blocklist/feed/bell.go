package feed

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/staydown/staydown/blocklist"
)

// Bell tells readers that there is a new pointer. A bell may lose, repeat and
// reorder what it carries: readers poll too, and verify what they get. Ring must
// return soon.
type Bell interface {
	Ring(ctx context.Context, n Note) error
}

// Listener waits for the notes of a Bell.
type Listener interface {
	// Listen calls ring for each note until ctx ends or the source fails. It is
	// called again after a failure.
	Listen(ctx context.Context, ring func(Note)) error
}

// Note is what a bell carries. It is signed: a Note from a stranger has no effect.
type Note struct {
	// Position is where the list stands, and Written when the publisher signed the
	// pointer. Readers take both from the pointer.
	Position blocklist.Position
	Written  time.Time
	// Pointer is the pointer of the feed.
	Pointer []byte
	// Delta, unless nil, is the newest delta of the pointer.
	Delta []byte
}

// MaxNoteDelta is the largest delta that a Note carries, so that it fits into the
// messages of usual logs. Readers fetch larger ones.
const MaxNoteDelta = 64 << 10

// AppendBinary appends the form in which a bell can carry the note: the length of
// the pointer (4 bytes, little-endian), the pointer, and the delta.
func (n Note) AppendBinary(b []byte) ([]byte, error) {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(n.Pointer)))
	b = append(b, n.Pointer...)
	return append(b, n.Delta...), nil
}

// MarshalBinary implements encoding.BinaryMarshaler with AppendBinary.
func (n Note) MarshalBinary() ([]byte, error) { return n.AppendBinary(nil) }

// UnmarshalBinary reads what AppendBinary wrote. Position and Written stay
// zero: a reader takes them from the pointer, after it has verified that.
func (n *Note) UnmarshalBinary(b []byte) error {
	if len(b) < 4 || len(b) > 4+maxPointer+MaxNoteDelta {
		return fmt.Errorf("feed: note of %d bytes: %w", len(b), ErrPointer)
	}
	size := binary.LittleEndian.Uint32(b)
	if size > maxPointer || int(size) > len(b)-4 {
		return fmt.Errorf("feed: note with a pointer of %d bytes: %w", size, ErrPointer)
	}
	n.Pointer, n.Delta = b[4:4+size:4+size], b[4+size:]
	if len(n.Delta) == 0 {
		n.Delta = nil
	}
	return nil
}
