package feed

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"path/filepath"
	"strings"

	"github.com/staydown/staydown/internal/fsx"
)

// Folder is a Store in a folder, which a web server can serve. A lock on a file in
// it makes Swap exclusive for the processes of one machine.
//
// The group of the files may read them, unless the umask forbids it. For a web server
// of another user make the folder before, give it the group of the server, and set
// its setgid bit.
type Folder struct {
	dir string
	fs  fsx.FS
}

// NewFolder returns the Store in a folder. It makes the folder if it does not
// exist.
func NewFolder(dir string) (*Folder, error) {
	f := &Folder{dir, fsx.Shared{}}
	if err := f.fs.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("feed: %w", err)
	}
	return f, nil
}

const (
	tempSuffix = ".tmp"
	lockName   = ".lock"
)

// Get implements Store.
func (f *Folder) Get(_ context.Context, name string) ([]byte, string, error) {
	b, err := readSmall(f.fs, filepath.Join(f.dir, name))
	if err != nil {
		return nil, "", fmt.Errorf("feed: %w", err)
	}
	return b, versionOf(b), nil
}

func versionOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// readSmall reads a file that cannot be big.
func readSmall(fs fsx.FS, path string) ([]byte, error) {
	h, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	size, err := h.Size()
	if err != nil {
		return nil, err
	}
	if size > 4*maxPointer {
		return nil, fmt.Errorf("%d bytes, at most %d are expected", size, 4*maxPointer)
	}
	b := make([]byte, size)
	if n, err := h.ReadAt(b, 0); n < len(b) {
		return nil, err
	}
	return b, nil
}

// Put implements Store.
func (f *Folder) Put(ctx context.Context, name string, content io.ReadSeeker, size int64) error {
	err := writeFile(ctx, f.fs, filepath.Join(f.dir, name), content, size)
	if err != nil {
		return fmt.Errorf("feed: %w", err)
	}
	return nil
}

// writeFile writes a file beside its place and moves it there, durably.
func writeFile(ctx context.Context, fs fsx.FS, path string, content io.Reader, size int64) error {
	temp := path + tempSuffix
	h, err := fs.Create(temp)
	if errors.Is(err, iofs.ErrExist) {
		// Left behind by a crash.
		if err = fs.Remove(temp); err == nil {
			h, err = fs.Create(temp)
		}
	}
	if err != nil {
		return err
	}
	n, err := copyTo(ctx, h, content)
	if err == nil && n != size {
		err = fmt.Errorf("%d bytes were written, not %d: %w", n, size, io.ErrUnexpectedEOF)
	}
	if err == nil {
		err = h.Sync()
	}
	if cerr := h.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = fs.Rename(temp, path)
	}
	if err == nil {
		return fs.SyncDir(filepath.Dir(path))
	}
	return errors.Join(err, remove(fs, temp))
}

// copyTo writes all that there is to read, from the beginning of a file on.
func copyTo(ctx context.Context, to io.WriterAt, from io.Reader) (at int64, err error) {
	buf := make([]byte, 256<<10)
	for ctx.Err() == nil {
		n, err := io.ReadFull(from, buf)
		if n > 0 {
			if _, err := to.WriteAt(buf[:n], at); err != nil {
				return at, err
			}
			at += int64(n)
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return at, nil
		}
		if err != nil {
			return at, err
		}
	}
	return at, ctx.Err()
}

func remove(fs fsx.FS, path string) error {
	if err := fs.Remove(path); !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	return nil
}

// Swap implements Store.
func (f *Folder) Swap(ctx context.Context, name string, content []byte, version string) (string, error) {
	unlock, err := lock(ctx, filepath.Join(f.dir, lockName))
	if err != nil {
		return "", fmt.Errorf("feed: %w", err)
	}
	defer unlock()
	old, now, err := f.Get(ctx, name)
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		now = ""
	case err != nil:
		return "", err
	case len(old) == 0:
		now = "" // what a crash of a file system left of it
	}
	if now != version {
		return "", fmt.Errorf("feed: %w", ErrConflict)
	}
	if err := f.Put(ctx, name, strings.NewReader(string(content)), int64(len(content))); err != nil {
		return "", err
	}
	return versionOf(content), nil
}

// Delete implements Store. It overwrites the file first: a process that has the file
// open cannot read the old content any more.
func (f *Folder) Delete(_ context.Context, name string) error {
	if err := fsx.Wipe(f.fs, filepath.Join(f.dir, name)); err != nil {
		return fmt.Errorf("feed: %w", err)
	}
	return nil
}

// List implements Store.
func (f *Folder) List(context.Context) ([]string, error) {
	names, err := f.fs.List(f.dir)
	if err != nil {
		return nil, fmt.Errorf("feed: %w", err)
	}
	return names, nil
}
