package blocklist

import (
	"bytes"
	"hash/crc32"
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
	b, err := readSnapshot(byteFile{bytes.NewReader(data)}, &LoadOptions{})
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
	return (&List{fs: fsx.OS{}, now: time.Now}).writeSnapshotFile(path, v, nil)
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

// Reseal makes the checksums of a changed snapshot fit again, as far as its
// header and table can be read.
func Reseal(data []byte) []byte {
	if len(data) < headerSize {
		return data
	}
	copy(data, snapshotMagic)
	le.PutUint16(data[8:], snapshotVersion)
	le.PutUint16(data[10:], 0)
	le.PutUint64(data[16:], uint64(len(data)))
	le.PutUint32(data[headerSize-4:], crc32.Checksum(data[:headerSize-4], castagnoli))
	n := int(le.Uint32(data[12:]))
	if n > maxSections || len(data) < headerSize+tableSize(n) {
		return data
	}
	for i := range n {
		p := data[headerSize+i*tableEntry:]
		off, size := le.Uint64(p[8:]), le.Uint64(p[16:])
		if off > uint64(len(data)) || size > uint64(len(data))-off {
			continue
		}
		le.PutUint32(p[4:], crc32.Update(sectionSeed(data[:headerSize], le.Uint32(p)), castagnoli, data[off:off+size]))
	}
	end := headerSize + tableSize(n)
	le.PutUint32(data[end-8:], crc32.Checksum(data[:end-8], castagnoli))
	le.PutUint32(data[end-4:], 0)
	return data
}

// SealRecord replaces the last four bytes of a record by its checksum.
func SealRecord(b []byte) []byte {
	body := b[:len(b)-4]
	return le.AppendUint32(body, crc32.Checksum(body, castagnoli))
}

// SnapshotBytes is the snapshot of a View.
func SnapshotBytes(v *View) ([]byte, error) {
	var f growing
	err := writeSnapshot(&f, v, v.base.header.createdAt(), nil, nil)
	return f.data, err
}

// growing is a file in memory.
type growing struct{ data []byte }

func (g *growing) WriteAt(p []byte, off int64) (int, error) {
	if grow := int(off) + len(p) - len(g.data); grow > 0 {
		g.data = append(g.data, make([]byte, grow)...)
	}
	return copy(g.data[off:], p), nil
}

// LoadBytesWith is Load of a snapshot that lies in memory.
func LoadBytesWith(data []byte, o LoadOptions) (*View, error) {
	b, err := readSnapshot(byteFile{bytes.NewReader(data)}, &o)
	if err != nil {
		return nil, err
	}
	return newFold(b, newDigestKeys(b.header.Secret), time.Now).view(), nil
}
