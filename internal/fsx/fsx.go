// Package fsx is the small part of a file system that snapshots and files of
// keys need, as an interface, so that tests can cut, fail and crash every single
// operation.
package fsx

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"
)

// FS is a file system. Implementations are safe for concurrent use.
type FS interface {
	// MkdirAll makes a folder and its parents.
	MkdirAll(dir string) error
	// Create makes a new file for writing; it is an error if name exists.
	Create(name string) (File, error)
	// Open opens a file for reading.
	Open(name string) (File, error)
	// Edit opens a file for reading and for writing in place.
	Edit(name string) (File, error)
	// Rename moves a file over another, atomically.
	Rename(from, to string) error
	// Link gives a file a second name, which must not exist. Not every file system
	// can.
	Link(name, second string) error
	// Remove deletes a file.
	Remove(name string) error
	// List returns the names of the files in a folder, in any order.
	List(dir string) ([]string, error)
	// SyncDir makes the names in a folder durable.
	SyncDir(dir string) error
}

// File is an open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error
	Size() (int64, error)
}

// ErrNotRegular says that something is no regular file: a folder, for example.
var ErrNotRegular = errors.New("not a regular file")

// OS is the file system of the operating system.
type OS struct{}

func (OS) MkdirAll(dir string) error { return os.MkdirAll(dir, 0o700) }

func (OS) Create(name string) (File, error) { return create(name, 0o600) }

func create(name string, perm os.FileMode) (File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (OS) Open(name string) (File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (OS) Edit(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (OS) Rename(from, to string) error   { return os.Rename(from, to) }
func (OS) Link(name, second string) error { return os.Link(name, second) }
func (OS) Remove(name string) error       { return os.Remove(name) }

func (OS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (OS) SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // folders cannot be synced there; NTFS journals its names
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

// Shared is OS, whose new files and folders their group may read, unless the umask of
// the process keeps it from that.
type Shared struct{ OS }

func (Shared) MkdirAll(dir string) error { return os.MkdirAll(dir, 0o750) }

func (Shared) Create(name string) (File, error) { return create(name, 0o640) }

// Wipe overwrites a file with zeros, durably, and removes it. It does nothing if
// there is no file.
func Wipe(fsys FS, path string) error {
	f, err := fsys.Edit(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	size, err := f.Size()
	zeros := make([]byte, min(max(size, 1), 1<<20))
	for at := int64(0); at < size && err == nil; at += int64(len(zeros)) {
		_, err = f.WriteAt(zeros[:min(int64(len(zeros)), size-at)], at)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return fsys.Remove(path)
}

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	fi, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if !fi.Mode().IsRegular() {
		return 0, &fs.PathError{Op: "open", Path: f.Name(), Err: ErrNotRegular}
	}
	return fi.Size(), nil
}
