package takedownhttp

import (
	"bytes"
	"errors"
	"io"
	"os"
)

// DefaultMaxBytes is the longest body that is read where no limit is given.
const DefaultMaxBytes = 64 << 20

// ErrTooLong is returned for a body beyond the limit. It was not looked at.
var ErrTooLong = errors.New("takedown: body is longer than the limit")

// inMemory is how much of a body is kept in memory. The rest goes to disk.
const inMemory = 1 << 20

// spool keeps a body while it is looked at: in memory, and from inMemory on in a
// temporary file.
type spool struct {
	dir  string
	left int64 // that may still be written

	head bytes.Buffer
	file *os.File
}

func (s *spool) Write(p []byte) (int, error) {
	if s.left -= int64(len(p)); s.left < 0 {
		return 0, ErrTooLong
	}
	if s.file == nil && s.head.Len()+len(p) <= inMemory {
		return s.head.Write(p)
	}
	if s.file == nil {
		f, err := os.CreateTemp(s.dir, "upload-")
		if err != nil {
			return 0, err
		}
		s.file = f
	}
	return s.file.Write(p)
}

// open returns what was written, from its beginning. Closing it closes the spool.
func (s *spool) open() (io.ReadCloser, error) {
	if s.file != nil {
		if _, err := s.file.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		return struct {
			io.Reader
			io.Closer
		}{io.MultiReader(&s.head, s.file), s}, nil
	}
	return struct {
		io.Reader
		io.Closer
	}{&s.head, s}, nil
}

// Close removes the temporary file.
func (s *spool) Close() error {
	if s.file == nil {
		return nil
	}
	err := errors.Join(s.file.Close(), os.Remove(s.file.Name()))
	s.file = nil
	return err
}
