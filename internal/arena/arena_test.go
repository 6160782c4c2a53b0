package arena_test

import (
	"bytes"
	"runtime"
	"testing"

	"github.com/staydown/staydown/internal/arena"
)

func TestArena(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 4095, 2<<20 - 1, 2 << 20, 2<<20 + 1, 5 << 20} {
		a := arena.New(n)
		b := a.Bytes()
		if len(b) != n || cap(b) != n {
			t.Errorf("New(%d): %d bytes, capacity %d", n, len(b), cap(b))
		}
		if bytes.ContainsFunc(b, func(r rune) bool { return r != 0 }) {
			t.Errorf("New(%d): bytes are not zero", n)
		}
		for i := range b {
			b[i] = byte(i)
		}
		c := arena.Copy(b)
		if !bytes.Equal(b, c.Bytes()) {
			t.Errorf("Copy of %d bytes: differs", n)
		}
		for range 2 {
			if err := a.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		if a.Bytes() != nil {
			t.Errorf("Bytes after Close: not nil")
		}
	}
}

// TestCleanup makes more arenas than fit into memory; they must go with the
// garbage.
func TestCleanup(t *testing.T) {
	t.Parallel()
	for i := range 64 {
		a := arena.New(16 << 20)
		a.Bytes()[0] = 1
		runtime.KeepAlive(a)
		if i%8 == 7 {
			runtime.GC()
		}
	}
}
