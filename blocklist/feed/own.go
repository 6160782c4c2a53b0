package feed

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/fsx"
)

// A reader's own copy: a base, a log of the deltas after it, and a file that names
// both, with the last pointer. All is verified again when it is read.
const (
	stateName  = "state"
	logPrefix  = "deltas-"
	logSuffix  = ".log"
	partSuffix = ".part"

	// maxBatch is how many bytes of deltas are in memory at once.
	maxBatch = blocklist.MaxDelta
	// longLog is the number of deltas in a log from which it is written anew with
	// fewer of them.
	longLog = 512
)

// own is the folder of a reader.
type own struct {
	dir string
	fs  fsx.FS
	// keep leaves the bytes of removed files: they may be mapped.
	keep bool

	state   ownState
	size    int64    // of the log, as far as it is whole
	deltas  int      // in the log
	pending [][]byte // that could not be written yet
}

// ownState is the content of the file that names the others.
type ownState struct {
	Base     file   `json:"base"`
	Log      string `json:"log"`
	Pointer  string `json:"pointer"`
	Received int64  `json:"received"` // when the pointer came, in seconds since 1970
}

func (o *own) path(name string) string { return filepath.Join(o.dir, name) }

func (o *own) basePath() string { return o.path(baseName(&o.state.Base)) }

// read reads the state. The pointer is nil if there is no copy. With an error that
// wraps blocklist.ErrKey it is one that was trusted once: the copy cannot be used,
// and its position is still one that was seen.
func (o *own) read(trusted []ed25519.PublicKey) (*pointer, error) {
	b, err := readSmall(o.fs, o.path(stateName))
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOwnCopy, withoutPath(err))
	}
	var s ownState
	if err := json.Unmarshal(b, &s); err != nil || s.Log != filepath.Base(s.Log) || !strings.HasPrefix(s.Log, logPrefix) {
		return nil, fmt.Errorf("%w: %w", ErrOwnCopy, blocklist.ErrFormat)
	}
	p, err := parsePointer([]byte(s.Pointer), trusted)
	if errors.Is(err, blocklist.ErrKey) {
		seen, damage := readPointer([]byte(s.Pointer), func(_, _ []byte) error { return nil })
		if damage == nil {
			return seen, err
		}
		err = damage
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOwnCopy, err)
	}
	o.state = s
	return p, nil
}

// write writes the state.
func (o *own) write() error {
	b, err := json.Marshal(&o.state)
	if err != nil {
		return err
	}
	return o.put(stateName, b)
}

// put writes a small file, durably.
func (o *own) put(name string, content []byte) error {
	return withoutPath(writeFile(context.Background(), o.fs, o.path(name), bytes.NewReader(content), int64(len(content))))
}

// An entry of the log is the length of a delta (4 bytes, little-endian) and the
// delta, which has a checksum of its own.
func appendEntry(b, delta []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(delta)))
	return append(b, delta...)
}

// replay calls advance for the deltas of the log, some at a time. The log ends
// where it is damaged, or where advance fails; the error is that of advance.
func (o *own) replay(opts *blocklist.LoadOptions, advance func(deltas ...[]byte) error) error {
	h, err := o.fs.Open(o.path(o.state.Log))
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return withoutPath(err)
	}
	defer h.Close()
	size, err := h.Size()
	if err != nil {
		return withoutPath(err)
	}
	var some [][]byte
	bytes, at := 0, int64(0)
	flush := func() error {
		if len(some) > 0 {
			if err := advance(some...); err != nil {
				return err
			}
		}
		o.size, o.deltas = at, o.deltas+len(some)
		some, bytes = nil, 0
		return nil
	}
	for {
		delta, err := readEntry(h, at, size)
		if err != nil {
			return withoutPath(err)
		}
		if delta == nil || !isDelta(delta, opts) {
			return flush()
		}
		if bytes += len(delta); bytes > maxBatch {
			if err := flush(); err != nil {
				return err
			}
			bytes = len(delta)
		}
		some, at = append(some, delta), at+4+int64(len(delta))
	}
}

func isDelta(delta []byte, opts *blocklist.LoadOptions) bool {
	_, err := blocklist.ReadDelta(delta, opts)
	return err == nil
}

// readEntry returns the entry at an offset of a log; nil at its end.
func readEntry(h fsx.File, at, size int64) ([]byte, error) {
	var head [4]byte
	if size-at < int64(len(head)) {
		return nil, nil
	}
	if _, err := h.ReadAt(head[:], at); err != nil && err != io.EOF {
		return nil, err
	}
	n := int64(binary.LittleEndian.Uint32(head[:]))
	if n == 0 || n > blocklist.MaxDelta || n > size-at-4 {
		return nil, nil
	}
	b := make([]byte, n)
	if k, err := h.ReadAt(b, at+4); k < len(b) {
		return nil, err
	}
	return b, nil
}

// append adds deltas to the log, durably. What cannot be written is kept, and
// written with the next ones.
func (o *own) append(deltas ...[]byte) error {
	o.pending = append(o.pending, deltas...)
	if len(o.pending) == 0 {
		return nil
	}
	path := o.path(o.state.Log)
	h, err := o.fs.Edit(path)
	if errors.Is(err, iofs.ErrNotExist) {
		if h, err = o.fs.Create(path); err == nil {
			err = o.fs.SyncDir(o.dir)
		}
	}
	if err != nil {
		return o.tooMany(withoutPath(err))
	}
	at := o.size
	for _, d := range o.pending {
		entry := appendEntry(nil, d)
		if _, err = h.WriteAt(entry, at); err != nil {
			break
		}
		at += int64(len(entry))
	}
	if err == nil {
		err = h.Sync()
	}
	if cerr := h.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return o.tooMany(withoutPath(err))
	}
	o.size, o.deltas, o.pending = at, o.deltas+len(o.pending), nil
	return nil
}

// tooMany forgets what waits to be written if it takes too much memory. The copy
// stays at an older state then, and the next base heals it.
func (o *own) tooMany(err error) error {
	n := 0
	for _, d := range o.pending {
		n += len(d)
	}
	if n > maxBatch {
		o.pending = [][]byte{}
		o.deltas = longLog
	}
	return err
}

// replace makes the copy one of another base, which is there, or of the same, and
// a new log. Files that are not used any more go.
func (o *own) replace(base file, deltas [][]byte) error {
	state := o.state
	state.Base = base
	state.Log = fmt.Sprintf("%s%x-%d%s", logPrefix, base.SHA256[:8], time.Now().UnixNano(), logSuffix)
	var content []byte
	for _, d := range deltas {
		content = appendEntry(content, d)
	}
	if err := o.put(state.Log, content); err != nil {
		return err
	}
	before := o.state
	o.state = state
	if err := o.write(); err != nil {
		o.state = before
		return errors.Join(err, remove(o.fs, o.path(state.Log)))
	}
	o.size, o.deltas, o.pending = int64(len(content)), len(deltas), nil
	return o.clean()
}

// clean removes what the state does not name.
func (o *own) clean() error {
	names, err := o.fs.List(o.dir)
	if err != nil {
		return withoutPath(err)
	}
	for _, name := range names {
		ours := isFile(name) || strings.HasPrefix(name, logPrefix) && strings.HasSuffix(name, logSuffix) ||
			strings.HasPrefix(name, basePrefix) && strings.HasSuffix(name, partSuffix)
		if !ours || name == baseName(&o.state.Base) || name == o.state.Log {
			continue
		}
		if o.keep {
			err = errors.Join(err, remove(o.fs, o.path(name)))
		} else {
			err = errors.Join(err, fsx.Wipe(o.fs, o.path(name)))
		}
	}
	return withoutPath(err)
}
