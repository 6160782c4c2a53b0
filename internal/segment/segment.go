// Package segment is what the file formats of the indexes have in common: a
// header that begins with eight bytes of magic and a version, then arrays, each
// followed by zeros up to a multiple of eight bytes. What else is in a header
// and which arrays there are is for each index to say. All numbers are
// little-endian.
package segment

import (
	"encoding/binary"
	"fmt"
)

// Format names one of the formats.
type Format struct {
	Name    string // in errors, for example "phash: segment"
	Magic   string // 8 bytes
	Version uint16 // the newest, from 1 on
	Header  int    // bytes

	// What errors wrap: about bytes of a newer version, and about others.
	ErrVersion, ErrCorrupt error
}

// Put writes magic and version to the start of b.
func (f *Format) Put(b []byte) {
	copy(b, f.Magic)
	binary.LittleEndian.PutUint16(b[8:], f.Version)
}

// Check returns an error unless b begins with a header of the format.
func (f *Format) Check(b []byte) error {
	if len(b) < f.Header {
		return f.Corrupt("%d bytes where the header alone has %d", len(b), f.Header)
	}
	if string(b[:8]) != f.Magic {
		return f.Corrupt("begins with %q, not with %q", b[:8], f.Magic)
	}
	if v := binary.LittleEndian.Uint16(b[8:]); v > f.Version {
		return fmt.Errorf("%s: version %d, this package knows up to %d: %w", f.Name, v, f.Version, f.ErrVersion)
	} else if v == 0 {
		return f.Corrupt("version 0 at byte 8")
	}
	return nil
}

// CheckSize returns an error unless the size that follows from the counts in the
// header is the one that it says, and b is as long.
func (f *Format) CheckSize(b []byte, written uint64, size int64) error {
	if written != uint64(size) || int64(len(b)) < size {
		return f.Corrupt("%d bytes, the header says %d, its counts give %d", len(b), written, size)
	}
	return nil
}

// Corrupt returns an error that wraps ErrCorrupt.
func (f *Format) Corrupt(format string, args ...any) error {
	return fmt.Errorf("%s: %s: %w", f.Name, fmt.Sprintf(format, args...), f.ErrCorrupt)
}

// IsZero reports whether all bytes are zero.
func IsZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// Pad returns the length of an array of n bytes with the zeros behind it.
func Pad(n int64) int64 { return (n + 7) &^ 7 }

// Carver cuts the arrays out of a segment, one behind the other.
type Carver struct {
	b  []byte
	at int64
}

// Carve returns a Carver of what follows the header.
func (f *Format) Carve(b []byte) Carver { return Carver{b, int64(f.Header)} }

// Next returns the next array; nil for one of no bytes.
func (c *Carver) Next(n int64) []byte {
	if n == 0 {
		return nil
	}
	array := c.b[c.at : c.at+n : c.at+n]
	c.at += Pad(n)
	return array
}
