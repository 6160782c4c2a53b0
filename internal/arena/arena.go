// Package arena holds big arrays of bytes in memory for which the kernel is
// asked to use huge pages. An index that is read at random places spends much
// of its time on looking up addresses; with pages of 2 MiB instead of 4 KiB
// there are few enough to remember them all.
//
// On Linux an arena is a private mapping with MADV_HUGEPAGE; whether the
// kernel has huge pages to give is up to it. Elsewhere an arena is an ordinary
// slice of the heap.
package arena

import "runtime"

// hugePage is the size and alignment of a huge page of Linux on amd64, and a
// multiple or divisor of those of other architectures.
const hugePage = 2 << 20

// Arena is an array of bytes. Its memory is released by Close, or when nothing
// refers to the Arena any more. Whoever uses Bytes must therefore keep the
// Arena, not only the bytes: the garbage collector does not see that they
// belong to it. Close must not run beside any use of the bytes.
type Arena struct {
	bytes   []byte
	mapping []byte // nil if bytes are of the heap
	cleanup runtime.Cleanup
}

// New returns an arena of n zero bytes, aligned to a page or better. If there
// is no mapping to be had, the bytes come from the heap.
func New(n int) *Arena {
	a := &Arena{}
	// Below a huge page there is nothing to gain.
	if n >= hugePage {
		a.bytes, a.mapping = mapHuge(n)
	}
	if a.mapping == nil {
		a.bytes = make([]byte, n)
		return a
	}
	a.cleanup = runtime.AddCleanup(a, unmap, a.mapping)
	return a
}

// Copy returns an arena that holds a copy of b.
func Copy(b []byte) *Arena {
	a := New(len(b))
	copy(a.bytes, b)
	return a
}

// Discard gives back the memory of the bytes from from up to to, as far as it
// can; they may be zeros afterwards, and must not be used.
func (a *Arena) Discard(from, to int) {
	if a.mapping != nil && 0 <= from && from < to && to <= len(a.bytes) {
		discard(a.bytes[from:to])
	}
}

// Bytes returns the array, which may be read and written.
func (a *Arena) Bytes() []byte { return a.bytes }

// Close releases the memory. The bytes must not be used any more: reading
// them may end the program. Close may be called several times.
func (a *Arena) Close() error {
	if a.mapping != nil {
		a.cleanup.Stop()
		unmap(a.mapping)
	}
	a.bytes, a.mapping = nil, nil
	return nil
}
