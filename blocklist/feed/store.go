package feed

import (
	"context"
	"errors"
	"io"
)

// ErrConflict: another publisher wrote the pointer. One list has one publisher.
var ErrConflict = errors.New("another publisher writes to the same place")

// Store is where a Publisher puts the files of one list. Names have letters,
// digits, dots and hyphens. Implementations are safe for concurrent use.
type Store interface {
	// Get returns a small file and its version. The error wraps fs.ErrNotExist if
	// there is no file of that name.
	Get(ctx context.Context, name string) (content []byte, version string, err error)
	// Put stores a file, durably. A name is always used for the same content, so
	// storing it again does no harm. No reader may see a part of it under its name.
	Put(ctx context.Context, name string, content io.ReadSeeker, size int64) error
	// Swap replaces a small file, durably, if its version is the given one, and
	// returns the new version. The version "" means that there is no file. The
	// error wraps ErrConflict, and nothing is written, if the version is another
	// one. After any other error the file is the old one or the new one.
	Swap(ctx context.Context, name string, content []byte, version string) (string, error)
	// Delete removes a file. It returns no error if there is no file.
	Delete(ctx context.Context, name string) error
	// List returns the names of all files.
	List(ctx context.Context) ([]string, error)
}
