//go:build !purego

package phash

import "golang.org/x/sys/cpu"

// wideLanes says that closeAVX2 can be used.
var wideLanes = cpu.X86.HasAVX2

// closeAVX2 writes which of the n entries from rest on, at least 1 and at most 256,
// of 16 bits each, differ from other in at most left bits, in ascending order, and
// returns how many. It reads whole blocks of 16 entries.
//
//go:noescape
func closeAVX2(rest *byte, n int, other, left uint16, out *[256]uint8) int
