package chunks_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/staydown/staydown/internal/chunks"
)

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	key := [32]byte{1}
	for _, n := range []int{0, 1, chunks.Size - 1, chunks.Size, chunks.Size + 1, 2 * chunks.Size, 2*chunks.Size + 77} {
		file := make([]byte, n)
		rng := rand.NewChaCha8([32]byte{byte(n)})
		rng.Read(file)
		var parts [][]byte
		size, err := chunks.Write(bytes.NewReader(file), int64(n), key, func(i int, sealed []byte) error {
			if i != len(parts) {
				t.Fatalf("part %d comes as number %d", i, len(parts))
			}
			parts = append(parts, bytes.Clone(sealed))
			return nil
		})
		if err != nil || size != int64(n) {
			t.Fatalf("%d bytes: wrote %d, %v", n, size, err)
		}
		get := func(i int) ([]byte, error) { return parts[i], nil }
		if got, err := io.ReadAll(chunks.NewReader(key, size, get)); err != nil || !bytes.Equal(got, file) {
			t.Fatalf("%d bytes: read %d, %v", n, len(got), err)
		}
		if _, err := chunks.Write(bytes.NewReader(file), int64(n)-1, key, func(int, []byte) error { return nil }); n > 0 && !errors.Is(err, chunks.ErrTooLong) {
			t.Errorf("%d bytes within %d: %v", n, n-1, err)
		}
		if n == 0 {
			continue
		}
		// Another key, a changed byte, a cut file and swapped parts do not open.
		bad := map[string]func() ([]byte, error){
			"key": func() ([]byte, error) { return io.ReadAll(chunks.NewReader([32]byte{2}, size, get)) },
			"byte": func() ([]byte, error) {
				return io.ReadAll(chunks.NewReader(key, size, func(i int) ([]byte, error) {
					b := bytes.Clone(parts[i])
					b[len(b)/2] ^= 1
					return b, nil
				}))
			},
		}
		if len(parts) > 1 {
			bad["cut"] = func() ([]byte, error) { return io.ReadAll(chunks.NewReader(key, chunks.Size, get)) }
			bad["order"] = func() ([]byte, error) {
				return io.ReadAll(chunks.NewReader(key, size, func(i int) ([]byte, error) { return parts[len(parts)-1-i], nil }))
			}
		}
		for name, read := range bad {
			if _, err := read(); !errors.Is(err, chunks.ErrCorrupt) {
				t.Errorf("%d bytes, %s: %v", n, name, err)
			}
		}
	}
}
