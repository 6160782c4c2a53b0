// Package chunks seals a file in parts, so that a large one is written and read
// with little memory. Each part is AES-256-GCM, bound to its number and to
// whether it is the last, so that parts cannot be moved, dropped or cut off.
package chunks

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/staydown/staydown/internal/aesgcm"
)

// Size is the length of the plain text of a part in bytes, except the last one.
const Size = 256 << 10

// Overhead is by how much a sealed part is longer than its plain text.
const Overhead = 12 + 16

// ErrTooLong says that a file is longer than its limit.
var ErrTooLong = errors.New("the file is longer than its limit")

// ErrCorrupt says that a part is missing, damaged or out of place.
var ErrCorrupt = errors.New("a part of the file does not open")

// Write reads r to its end, which must come within max bytes, and calls put
// with each sealed part in order. It returns the length of the plain text.
func Write(r io.Reader, max int64, key [32]byte, put func(i int, sealed []byte) error) (size int64, err error) {
	aead := aesgcm.New(key)
	// A part is sealed when it is known whether another follows.
	part, next := make([]byte, Size), make([]byte, Size)
	n, err := fill(r, part)
	if err != nil {
		return 0, err
	}
	for i := 0; ; i++ {
		var m int
		if n == Size {
			if m, err = fill(r, next); err != nil {
				return size, err
			}
		}
		if size += int64(n); size+int64(m) > max {
			return size, fmt.Errorf("%w of %d bytes", ErrTooLong, max)
		}
		if err := put(i, aead.Seal(nil, nil, part[:n], label(i, m == 0))); err != nil {
			return size, err
		}
		if m == 0 {
			return size, nil
		}
		part, next, n = next, part, m
	}
}

// fill reads until p is full or r ends.
func fill(r io.Reader, p []byte) (n int, err error) {
	n, err = io.ReadFull(r, p)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return n, err
}

func label(i int, last bool) []byte {
	b := binary.BigEndian.AppendUint32([]byte("part:"), uint32(i))
	if last {
		return append(b, 1)
	}
	return append(b, 0)
}

// Open opens one sealed part of a file of size bytes.
func Open(key [32]byte, i int, size int64, sealed []byte) ([]byte, error) {
	last := int64(i+1)*Size >= size
	plain, err := aesgcm.New(key).Open(nil, nil, sealed, label(i, last))
	if err != nil {
		return nil, fmt.Errorf("%w: part %d", ErrCorrupt, i)
	}
	return plain, nil
}

// NewReader returns a reader of a file of size bytes. get returns sealed part
// i, which the reader does not keep.
func NewReader(key [32]byte, size int64, get func(i int) ([]byte, error)) io.Reader {
	return &reader{key: key, size: size, get: get}
}

type reader struct {
	key  [32]byte
	size int64
	get  func(i int) ([]byte, error)
	i    int
	left []byte
	done int64
	err  error
}

func (r *reader) Read(p []byte) (int, error) {
	for len(r.left) == 0 && r.err == nil {
		if r.done >= r.size {
			r.err = io.EOF
			break
		}
		sealed, err := r.get(r.i)
		if err == nil {
			r.left, err = Open(r.key, r.i, r.size, sealed)
		}
		if err == nil && len(r.left) == 0 {
			err = fmt.Errorf("%w: part %d is empty", ErrCorrupt, r.i)
		}
		r.err = err
		r.done += int64(len(r.left))
		r.i++
	}
	if len(r.left) > 0 {
		n := copy(p, r.left)
		r.left = r.left[n:]
		return n, nil
	}
	return 0, r.err
}
