package blocklist

import (
	"bytes"
	"time"

	"github.com/staydown/staydown/internal/fsx"
)

// WithFS returns opts with another file system for the snapshots; the journal
// is then not synced, which is not what such tests are about.
func WithFS(opts Options, fs fsx.FS) *Options {
	opts.fs = fs
	opts.noSync = true
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

// Fill makes a list in memory, without a journal, and calls each with every
// event to add; it returns its View.
func Fill(now func() time.Time, each func(v *View, add func(*Event))) *View {
	id := newIdentity(0)
	keys := newDigestKeys(id.Secret)
	f := newFold(emptyBase(id), keys, now)
	each(f.view(), func(e *Event) {
		e.Seq = f.seq + 1
		f.apply(e)
	})
	return f.view()
}

// WriteSnapshotFile writes the snapshot of a View.
func WriteSnapshotFile(path string, v *View) error {
	return writeSnapshotFile(fsx.OS{}, path, v, time.Now())
}

// Continue returns the View of v with more events.
func Continue(v *View, each func(add func(*Event))) *View {
	f := newFold(v.base, v.keys, v.now)
	each(func(e *Event) {
		e.Seq = f.seq + 1
		f.apply(e)
	})
	return f.view()
}

// FilterRate returns the share of n unknown keys that the filter of v's base
// lets through.
func FilterRate(v *View, n int) float64 {
	hits := 0
	x := uint64(12345)
	next := func() uint64 { // splitmix64
		x += 0x9e3779b97f4a7c15
		z := x
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		return z ^ z>>31
	}
	for range n {
		if v.base.mayHold(next(), next()) {
			hits++
		}
	}
	return float64(hits) / float64(n)
}

// BytesPerKey returns what the exact part of the keys in v's base takes.
func BytesPerKey(v *View) float64 {
	b := v.base
	n := 4*len(b.directory) + 8*len(b.keyLo) + 4*len(b.keyMid) + 2*len(b.keyHigh) + 2*len(b.keyTop) + 4*len(b.keyGrants)
	return float64(n) / float64(len(b.keyLo))
}
