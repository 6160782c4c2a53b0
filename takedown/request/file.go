package request

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"reflect"
	"runtime"

	"github.com/staydown/staydown/internal/chunks"
)

// File is a file of a request, for example a picture. It is a handle: the bytes
// are in memory, in a file, or sealed in the store of a desk, and are read when
// they are needed. The zero File is empty. A File may be copied, and is safe for
// concurrent use.
//
// In JSON a file is a string in base64. It never prints its bytes.
type File struct{ src source }

// source is where the bytes of a file lie.
type source interface {
	size() int64
	open() (io.ReadCloser, error)
}

// FromBytes returns a file of bytes in memory. They must not be changed.
func FromBytes(b []byte) File {
	if len(b) == 0 {
		return File{}
	}
	return File{memory(b)}
}

// FromPath returns the file at a path, which must not be changed or removed
// while the request is used. Its size is read at once, its bytes when they are
// needed.
func FromPath(path string) (File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return File{}, fmt.Errorf("takedown: request: file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return File{}, fmt.Errorf("takedown: request: file: %s is no regular file", path)
	}
	return FromFunc(info.Size(), func() (io.ReadCloser, error) { return os.Open(path) }), nil
}

// FromFunc returns a file of size bytes that open reads from its beginning. It is
// for hosts with their own store.
func FromFunc(size int64, open func() (io.ReadCloser, error)) File {
	if size <= 0 || open == nil {
		return File{}
	}
	return File{opened{size, open}}
}

// Spool reads r to its end, which must come within max bytes, into a temporary
// file in dir. If dir is empty, it uses the default folder for temporary files.
// The file is sealed with a key that is in memory only, so it cannot be read after
// a crash. It is removed when the File is no longer used.
func Spool(r io.Reader, dir string, max int64) (File, error) {
	tmp, err := os.CreateTemp(dir, "staydown-*")
	if err != nil {
		return File{}, fmt.Errorf("takedown: request: file: %w", err)
	}
	// Where an open file can be removed, nothing of it is left after a crash.
	removed := os.Remove(tmp.Name()) == nil
	s := &spooled{file: tmp}
	rand.Read(s.key[:])
	at := int64(0)
	s.length, err = chunks.Write(r, max, s.key, func(_ int, sealed []byte) error {
		n, err := tmp.WriteAt(sealed, at)
		at += int64(n)
		return err
	})
	if err != nil || s.length == 0 {
		err = errors.Join(err, tmp.Close())
		if !removed {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
		return File{}, err
	}
	runtime.AddCleanup(s, func(f *os.File) {
		f.Close()
		if !removed {
			os.Remove(f.Name())
		}
	}, tmp)
	return File{s}, nil
}

// IsZero reports whether the file is empty.
func (f File) IsZero() bool { return f.src == nil }

// Size returns the length of the file in bytes.
func (f File) Size() int64 {
	if f.src == nil {
		return 0
	}
	return f.src.size()
}

// Open opens the file for reading from its beginning. The caller closes it.
func (f File) Open() (io.ReadCloser, error) {
	if f.src == nil {
		return io.NopCloser(bytes.NewReader(nil)), nil
	}
	return f.src.open()
}

// Bytes returns the whole file, of at most max bytes. The caller must not
// change them.
func (f File) Bytes(max int64) ([]byte, error) {
	if f.Size() > max {
		return nil, fmt.Errorf("takedown: request: file: %w of %d bytes: it has %d", chunks.ErrTooLong, max, f.Size())
	}
	if m, ok := f.src.(memory); ok {
		return m, nil
	}
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	b := make([]byte, f.Size())
	_, err = io.ReadFull(r, b)
	return b, errors.Join(err, r.Close())
}

// Equal reports whether two files have the same bytes. A file that cannot be read
// is not equal to any file.
func (f File) Equal(o File) bool {
	if f.Size() != o.Size() {
		return false
	}
	a, err1 := f.Bytes(f.Size())
	b, err2 := o.Bytes(o.Size())
	return err1 == nil && err2 == nil && bytes.Equal(a, b)
}

// String returns the size of the file, and nothing of its contents.
func (f File) String() string { return fmt.Sprintf("file of %d bytes", f.Size()) }

// GoString is as String.
func (f File) GoString() string { return "request.File(" + f.String() + ")" }

// LogValue is as String.
func (f File) LogValue() slog.Value { return slog.StringValue(f.String()) }

// MarshalJSON returns a string in base64.
func (f File) MarshalJSON() ([]byte, error) {
	b, err := f.Bytes(f.Size())
	if err != nil {
		return nil, err
	}
	text := make([]byte, base64.StdEncoding.EncodedLen(len(b))+2)
	base64.StdEncoding.Encode(text[1:], b)
	text[0], text[len(text)-1] = '"', '"'
	return text, nil
}

// UnmarshalJSON reads a string in base64, or null.
func (f *File) UnmarshalJSON(text []byte) error {
	var b []byte
	if err := json.Unmarshal(text, &b); err != nil {
		return err
	}
	*f = FromBytes(b)
	return nil
}

type memory []byte

func (m memory) size() int64                  { return int64(len(m)) }
func (m memory) open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(m)), nil }

type opened struct {
	n int64
	f func() (io.ReadCloser, error)
}

func (o opened) size() int64                  { return o.n }
func (o opened) open() (io.ReadCloser, error) { return o.f() }

// spooled is a sealed temporary file.
type spooled struct {
	file   *os.File
	key    [32]byte
	length int64
}

func (s *spooled) size() int64 { return s.length }

func (s *spooled) open() (io.ReadCloser, error) {
	return io.NopCloser(chunks.NewReader(s.key, s.length, func(i int) ([]byte, error) {
		const full = chunks.Size + chunks.Overhead
		left := s.length - int64(i)*chunks.Size
		b := make([]byte, min(left, chunks.Size)+chunks.Overhead)
		_, err := s.file.ReadAt(b, int64(i)*full)
		return b, err
	})), nil
}

// Images returns the pictures of a request, in their order. It returns nil for a
// kind without pictures.
func Images(r Request) []File {
	if v := imagesField(reflect.ValueOf(r)); v.IsValid() {
		return v.Interface().([]File)
	}
	return nil
}

// WithImages returns a copy of a request with other pictures. A request of a kind
// without pictures is returned unchanged.
func WithImages(r Request, images []File) Request {
	v := reflect.New(reflect.Indirect(reflect.ValueOf(r)).Type()).Elem()
	v.Set(reflect.Indirect(reflect.ValueOf(r)))
	if f := imagesField(v); f.IsValid() {
		f.Set(reflect.ValueOf(images))
	}
	return v.Interface().(Request)
}

func imagesField(v reflect.Value) reflect.Value {
	f := reflect.Indirect(v).FieldByName("Images")
	if !f.IsValid() || f.Type() != reflect.TypeFor[[]File]() {
		return reflect.Value{}
	}
	return f
}
