package blocklist

import (
	"unsafe"

	"github.com/staydown/staydown/internal/arena"
)

// memory holds the bytes of a snapshot. They go when nothing refers to the
// memory any more: a base, and by it every State, holds it.
type memory struct {
	data  []byte
	arena *arena.Arena // nil for a mapped file
	unmap func()       // nil for an arena
}

func newMemory(size int64) *memory {
	a := arena.New(int(size))
	return &memory{data: a.Bytes(), arena: a}
}

// discard gives back what a part of data takes, which is not used any more.
func (m *memory) discard(p []byte) {
	if m.arena == nil || len(p) == 0 {
		return
	}
	from := int(uintptr(unsafe.Pointer(unsafe.SliceData(p))) - uintptr(unsafe.Pointer(unsafe.SliceData(m.data))))
	m.arena.Discard(from, from+len(p))
}

// release gives the bytes back at once; nothing uses them yet.
func (m *memory) release() {
	if m.arena != nil {
		m.arena.Close()
	} else {
		m.unmap()
	}
	m.data = nil
}

// WriteAt makes memory a file for a snapshot that is to be encrypted.
func (m *memory) WriteAt(p []byte, off int64) (int, error) { return copy(m.data[off:], p), nil }
