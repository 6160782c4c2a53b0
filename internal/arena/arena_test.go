package arena_test

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

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

// Arenas go with the garbage: a gigabyte of them, of which none is closed, is
// given back.
func TestCleanup(t *testing.T) {
	before := addressSpace(t)
	for i := range 64 {
		a := arena.New(16 << 20)
		a.Bytes()[0] = 1
		runtime.KeepAlive(a)
		if i%8 == 7 {
			runtime.GC()
		}
	}
	const most = 256 << 20
	grown := addressSpace(t) - before
	for end := time.Now().Add(10 * time.Second); grown > most && time.Now().Before(end); grown = addressSpace(t) - before {
		runtime.GC()
		time.Sleep(time.Millisecond) // cleanups run in a goroutine
	}
	if grown > most {
		t.Errorf("%d MiB are still mapped", grown>>20)
	}
}

// addressSpace returns how much memory the process has mapped, in bytes.
func addressSpace(t *testing.T) (bytes int) {
	t.Helper()
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("only Linux tells how much is mapped: ", err)
	}
	if _, err := fmt.Sscan(string(statm), &bytes); err != nil {
		t.Fatal(err)
	}
	return bytes * os.Getpagesize()
}
