package blocklist

import (
	"bytes"
	"time"

	"github.com/staydown/staydown/internal/fsx"
)

// WithFS returns opts with another file system for the snapshots.
func WithFS(opts Options, fs fsx.FS) *Options {
	opts.fs = fs
	return &opts
}

// LoadWithFS is WithFS for Load.
func LoadWithFS(opts LoadOptions, fs fsx.FS) *LoadOptions {
	opts.fs = fs
	return &opts
}

// LoadBytes is Load of a snapshot that lies in memory.
func LoadBytes(data []byte, now func() time.Time) (*View, error) {
	b, err := readSnapshot(byteFile{bytes.NewReader(data)}, false)
	if err != nil {
		return nil, err
	}
	return newFold(b, newDigestKeys(b.header.Secret), now).view(), nil
}

type byteFile struct{ *bytes.Reader }

func (byteFile) WriteAt([]byte, int64) (int, error) { panic("not for writing") }
func (byteFile) Close() error                       { return nil }
func (byteFile) Sync() error                        { return nil }
func (f byteFile) Size() (int64, error)             { return f.Reader.Size(), nil }

var (
	AppendRecord = appendRecord
	ParseRecord  = parseRecord
)

// Check is what Append accepts.
func (e *Event) Check() error {
	if err := e.check(e.List); err != nil {
		return err
	}
	return nil
}
