package boltjournal

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	iofs "io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/boltcheck"
	"github.com/staydown/staydown/internal/fsx"
)

// Buckets of the bbolt file; docs/format/journal.md describes them.
var (
	bucketMeta   = []byte("meta")
	bucketEvents = []byte("events") // number, big-endian → entry
	bucketIDs    = []byte("ids")    // id → number, big-endian
	// Target of an entry and its number → nothing.
	bucketTargets = []byte("targets")

	buckets = [][]byte{bucketMeta, bucketEvents, bucketIDs, bucketTargets}

	keyMeta = []byte("list") // what SetMeta stored
	keyLast = []byte("last") // number of the last entry
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// FileOptions configure OpenFile. The zero value, and nil, are the defaults.
type FileOptions struct {
	// Salvage opens the file also when one of the two pages with which bbolt marks
	// its commits is damaged. The last commit may be lost then.
	Salvage bool
	// NoSync leaves it to the system when entries reach the disk. A crash of the
	// machine may then lose or damage the journal.
	NoSync bool
}

// OpenFile opens a journal alone, or makes it: see [blocklist.New].
func OpenFile(path string, o *FileOptions) (blocklist.Journal, error) {
	if o == nil {
		o = &FileOptions{}
	}
	return openJournal(path, fsx.OS{}, o)
}

type journal struct {
	path string
	fs   fsx.FS
	opts FileOptions

	// appending is held by what adds entries or changes them.
	appending sync.Mutex
	unsynced  bool // the name of the file may not be durable; owned by who holds appending

	// use is held for reading while db is used, and for writing while another file
	// takes its place.
	use sync.RWMutex
	db  *boltcheck.DB
}

func openJournal(path string, fs fsx.FS, o *FileOptions) (*journal, error) {
	j := &journal{path: path, fs: fs, opts: *o}
	db, err := j.openDB(path, o.NoSync)
	if err != nil {
		return nil, err
	}
	j.db = db
	if filepath.Base(path) == fileName {
		err = j.finish()
	}
	if err == nil {
		err = j.update(func(tx *bbolt.Tx) error { return check(tx) })
	}
	if errors.Is(err, errInOrder) {
		return j, nil
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("blocklist: %s: %w", path, err), db.Close())
	}
	return j, nil
}

func (j *journal) openDB(path string, noSync bool) (*boltcheck.DB, error) {
	db, err := boltcheck.Open(path, &bbolt.Options{
		Timeout:      lockTimeout,
		FreelistType: bbolt.FreelistMapType,
		NoStatistics: true,
		NoSync:       noSync,
	}, j.opts.Salvage)
	switch {
	case errors.Is(err, boltcheck.ErrLocked):
		return nil, fmt.Errorf("blocklist: %s: %w", path, blocklist.ErrLocked)
	case err != nil:
		return nil, fmt.Errorf("blocklist: %s: %w", path, journalError(err))
	}
	return db, nil
}

// lockTimeout is how long Open waits for the lock: another process may be about
// to close, and a child that this one forks has the lock too until it executes
// another program. bbolt tries every 50 ms.
const lockTimeout = 500 * time.Millisecond

// errInOrder: nothing has to be written.
var errInOrder = errors.New("journal is in order")

// check makes the buckets of a new file, and looks whether those of another one
// are there and end where they say.
func check(tx *bbolt.Tx) error {
	meta := tx.Bucket(bucketMeta)
	if meta == nil {
		if name, _ := tx.Cursor().First(); name != nil {
			return fmt.Errorf("the bbolt file holds something else: %w", blocklist.ErrJournal)
		}
		for _, name := range buckets {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketMeta).Put(keyLast, summed(make([]byte, 8)))
	}
	for _, name := range buckets {
		if tx.Bucket(name) == nil {
			return fmt.Errorf("journal lacks its %s: %w", name, blocklist.ErrJournal)
		}
	}
	last, err := lastOf(tx)
	if err != nil {
		return err
	}
	key, _ := tx.Bucket(bucketEvents).Cursor().Last()
	if last == 0 && key != nil || last > 0 && (len(key) != 8 || binary.BigEndian.Uint64(key) != last) {
		return fmt.Errorf("journal does not end at event %d as it says: %w", last, blocklist.ErrJournal)
	}
	return errInOrder
}

// Damage returns the damage that was accepted with FileOptions.Salvage; nil for
// none.
func (j *journal) Damage() error {
	j.use.RLock()
	defer j.use.RUnlock()
	if j.db.Salvaged == nil {
		return nil
	}
	return fmt.Errorf("blocklist: %s: %w", j.path, journalError(j.db.Salvaged))
}

func (j *journal) view(f func(*bbolt.Tx) error) error {
	j.use.RLock()
	defer j.use.RUnlock()
	return journalError(j.db.View(f))
}

func (j *journal) update(f func(*bbolt.Tx) error) error {
	j.use.RLock()
	defer j.use.RUnlock()
	return journalError(j.db.Update(f))
}

// journalError says by ErrJournal that the bbolt file is damaged, and by
// ErrClosed that the journal was closed meanwhile.
func journalError(err error) error {
	switch {
	case errors.Is(err, boltcheck.ErrDamaged):
		return fmt.Errorf("%w: %w", blocklist.ErrJournal, err)
	case errors.Is(err, berrors.ErrDatabaseNotOpen):
		return fmt.Errorf("blocklist: %w", blocklist.ErrClosed)
	}
	return err
}

// summed appends the CRC-32C of b.
func summed(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// unsummed checks and removes it.
func unsummed(b []byte, least int) ([]byte, error) {
	if len(b) < least+4 {
		return nil, fmt.Errorf("blocklist: journal: entry of %d bytes, at least %d expected: %w", len(b), least+4, blocklist.ErrJournal)
	}
	rest := b[:len(b)-4]
	if crc32.Checksum(rest, castagnoli) != binary.LittleEndian.Uint32(b[len(rest):]) {
		return nil, fmt.Errorf("blocklist: journal: entry: %w: %w", blocklist.ErrJournal, blocklist.ErrChecksum)
	}
	return rest, nil
}

func key(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

func lastOf(tx *bbolt.Tx) (uint64, error) {
	b, err := unsummed(tx.Bucket(bucketMeta).Get(keyLast), 8)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

func (j *journal) Meta() (meta []byte, err error) {
	err = j.view(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketMeta).Get(keyMeta)
		if b == nil {
			return nil
		}
		b, err := unsummed(b, 0)
		meta = append([]byte{}, b...)
		return err
	})
	return meta, err
}

func (j *journal) SetMeta(meta []byte) error {
	j.appending.Lock()
	defer j.appending.Unlock()
	return j.update(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketMeta).Put(keyMeta, summed(slices.Clone(meta)))
	})
}

func (j *journal) Last() (seq uint64, err error) {
	err = j.view(func(tx *bbolt.Tx) error {
		seq, err = lastOf(tx)
		return err
	})
	return seq, err
}

func (j *journal) Append(entries []blocklist.Entry) error {
	j.appending.Lock()
	defer j.appending.Unlock()
	if j.unsynced {
		if err := j.fs.SyncDir(filepath.Dir(j.path)); err != nil {
			return fmt.Errorf("blocklist: %w", err)
		}
		j.unsynced = false
	}
	return j.update(func(tx *bbolt.Tx) error { return put(tx, entries) })
}

// An entry in the file: id, target, digest, data, and the CRC of all.
const entryHeader = 16 + 8 + 32

func put(tx *bbolt.Tx, entries []blocklist.Entry) error {
	last, err := lastOf(tx)
	if err != nil {
		return err
	}
	events, ids, targets := tx.Bucket(bucketEvents), tx.Bucket(bucketIDs), tx.Bucket(bucketTargets)
	events.FillPercent = 1 // keys only ever come at the end
	for i := range entries {
		e := &entries[i]
		if last++; e.Seq != last {
			return fmt.Errorf("blocklist: entry %d, and %d is next: %w", e.Seq, last, blocklist.ErrJournal)
		}
		k := key(e.Seq)
		if err := events.Put(k, appendEntry(nil, e)); err != nil {
			return err
		}
		if e.Target == 0 {
			continue
		}
		if err := targets.Put(append(key(e.Target), k...), []byte{}); err != nil {
			return err
		}
	}
	// In order: a page is split at the commit only, and every key that comes before
	// others on it moves them.
	byID := make([]*blocklist.Entry, len(entries))
	for i := range entries {
		byID[i] = &entries[i]
	}
	slices.SortFunc(byID, func(a, b *blocklist.Entry) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	for _, e := range byID {
		if err := ids.Put(e.ID[:], key(e.Seq)); err != nil {
			return err
		}
	}
	return tx.Bucket(bucketMeta).Put(keyLast, summed(binary.LittleEndian.AppendUint64(nil, last)))
}

func appendEntry(b []byte, e *blocklist.Entry) []byte {
	b = append(slices.Grow(b, entryHeader+len(e.Data)+4), e.ID[:]...)
	b = binary.LittleEndian.AppendUint64(b, e.Target)
	b = append(b, e.Digest[:]...)
	return summed(append(b, e.Data...))
}

// parseEntry reads what appendEntry wrote. Data is a copy: v lies in the file.
func parseEntry(seq uint64, v []byte) (blocklist.Entry, error) {
	v, err := unsummed(v, entryHeader)
	if err != nil {
		return blocklist.Entry{}, fmt.Errorf("%w (event %d)", err, seq)
	}
	e := blocklist.Entry{Seq: seq, ID: [16]byte(v), Target: binary.LittleEndian.Uint64(v[16:]), Digest: [32]byte(v[24:])}
	e.Data = slices.Clone(v[entryHeader:])
	return e, nil
}

// readBytes bounds how much one Read returns, and how long it holds a bbolt
// transaction open: bbolt cannot reuse pages that an open transaction sees.
const readBytes = 1 << 22

func (j *journal) Read(from uint64, limit int) (some []blocklist.Entry, err error) {
	from = max(from, 1)
	err = j.view(func(tx *bbolt.Tx) error {
		last, err := lastOf(tx)
		if err != nil {
			return err
		}
		c := tx.Bucket(bucketEvents).Cursor()
		k, v := c.Seek(key(from))
		for size := 0; len(some) < limit && from <= last && size < readBytes; size += len(v) {
			if len(k) != 8 || binary.BigEndian.Uint64(k) != from {
				return fmt.Errorf("blocklist: journal lacks event %d: %w", from, blocklist.ErrJournal)
			}
			e, err := parseEntry(from, v)
			if err != nil {
				return err
			}
			some = append(some, e)
			from++
			k, v = c.Next()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return some, nil
}

func (j *journal) Find(ids ...[16]byte) (seqs []uint64, err error) {
	seqs = make([]uint64, len(ids))
	err = j.view(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketIDs)
		for i, id := range ids {
			k := b.Get(id[:])
			if k == nil {
				continue
			}
			if len(k) != 8 {
				return fmt.Errorf("blocklist: journal: number of an event has %d bytes: %w", len(k), blocklist.ErrJournal)
			}
			seqs[i] = binary.BigEndian.Uint64(k)
		}
		return nil
	})
	return seqs, err
}

func (j *journal) Targeting(target uint64) (numbers []uint64, err error) {
	err = j.view(func(tx *bbolt.Tx) error {
		prefix := key(target)
		c := tx.Bucket(bucketTargets).Cursor()
		for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
			if len(k) != 16 {
				return fmt.Errorf("blocklist: journal: target of %d bytes: %w", len(k), blocklist.ErrJournal)
			}
			numbers = append(numbers, binary.BigEndian.Uint64(k[8:]))
		}
		return nil
	})
	return numbers, err
}

func (j *journal) Close() error {
	j.appending.Lock()
	defer j.appending.Unlock()
	j.use.Lock()
	defer j.use.Unlock()
	return j.db.Close()
}

// Rewrite writes a second file beside the journal, without what is to go, puts it
// in the place of the first one, and overwrites that with zeros. bbolt never
// overwrites what it frees, so nothing less would do.
func (j *journal) Rewrite(ctx context.Context, change func(blocklist.Entry) ([]byte, error)) (err error) {
	temp := filepath.Join(filepath.Dir(j.path), newName)
	if err := removeIfThere(j.fs, temp); err != nil {
		return err
	}
	last, changed, err := j.copyTo(ctx, temp, change)
	if err != nil || !changed {
		return errors.Join(err, j.destroy(temp))
	}
	// With a sync from here on, for the commit that ends it.
	fresh, err := j.openDB(temp, j.opts.NoSync)
	if err != nil {
		return errors.Join(err, j.destroy(temp))
	}
	j.appending.Lock()
	defer j.appending.Unlock()
	if err = j.catchUp(fresh, last); err == nil {
		return j.swap(fresh)
	}
	return errors.Join(err, fresh.Close(), j.destroy(temp))
}

// copyTo writes the file. It returns the number of its last entry, and whether
// anything was changed.
func (j *journal) copyTo(ctx context.Context, path string, change func(blocklist.Entry) ([]byte, error)) (last uint64, changed bool, err error) {
	fresh, err := j.openDB(path, true)
	if err != nil {
		return 0, false, err
	}
	err = j.view(func(tx *bbolt.Tx) error {
		if last, err = lastOf(tx); err != nil {
			return err
		}
		for _, name := range buckets {
			replace := func(_, v []byte) ([]byte, error) { return v, ctx.Err() }
			if string(name) == string(bucketEvents) {
				replace = func(k, v []byte) ([]byte, error) {
					value, did, err := changeEntry(k, v, change)
					changed = changed || did
					return value, errors.Join(err, ctx.Err())
				}
			}
			if err := copyBucket(tx.Bucket(name), fresh, name, replace); err != nil {
				return err
			}
		}
		return nil
	})
	return last, changed, errors.Join(err, fresh.Close())
}

// changeEntry calls change for an entry in the file.
func changeEntry(k, v []byte, change func(blocklist.Entry) ([]byte, error)) (value []byte, changed bool, err error) {
	if len(k) != 8 {
		return nil, false, fmt.Errorf("blocklist: journal: number of %d bytes: %w", len(k), blocklist.ErrJournal)
	}
	e, err := parseEntry(binary.BigEndian.Uint64(k), v)
	if err != nil {
		return nil, false, err
	}
	data, err := change(e)
	if err != nil || data == nil {
		return v, false, err
	}
	e.Data = data
	return appendEntry(nil, &e), true, nil
}

// copyBytes is about how much is copied in one transaction.
const copyBytes = 4 << 20

func copyBucket(from *bbolt.Bucket, fresh *boltcheck.DB, name []byte, replace func(k, v []byte) ([]byte, error)) error {
	c := from.Cursor()
	k, v := c.First()
	for first := true; first || k != nil; first = false {
		err := fresh.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists(name)
			if err != nil {
				return err
			}
			b.FillPercent = 0.9
			for size := 0; k != nil && size < copyBytes; k, v = c.Next() {
				value, err := replace(k, v)
				if err == nil {
					err = b.Put(k, value)
				}
				if err != nil {
					return err
				}
				size += len(k) + len(value)
			}
			return nil
		})
		if err != nil {
			return journalError(err)
		}
	}
	return nil
}

// catchUp adds the entries that came after last. Its last commit makes the file
// durable.
func (j *journal) catchUp(fresh *boltcheck.DB, last uint64) error {
	for {
		some, err := j.Read(last+1, 1024)
		if err == nil {
			err = journalError(fresh.Update(func(tx *bbolt.Tx) error { return put(tx, some) }))
		}
		if err != nil || len(some) == 0 {
			return err
		}
		last += uint64(len(some))
	}
}

// swap goes on with the new file. What else fails when it is in its place is made
// up for later.
func (j *journal) swap(fresh *boltcheck.DB) error {
	j.use.Lock()
	if runtime.GOOS == "windows" {
		// An open file cannot be replaced there.
		if err := errors.Join(j.db.Close(), fresh.Close()); err != nil {
			j.use.Unlock()
			return err
		}
		moved := j.move()
		db, err := j.openDB(j.path, j.opts.NoSync)
		if err == nil {
			j.db = db
		}
		j.use.Unlock()
		return errors.Join(moved, err, j.finish())
	}
	if err := j.move(); err != nil {
		j.use.Unlock()
		return errors.Join(err, fresh.Close(), j.finish())
	}
	old := j.db
	j.db = fresh
	j.use.Unlock()
	err := j.fs.SyncDir(filepath.Dir(j.path))
	j.unsynced = err != nil
	if err = errors.Join(err, old.Close()); err != nil {
		return fmt.Errorf("blocklist: %w", err)
	}
	return j.finish()
}

// replace puts the file under newName, which is complete and closed, in the place
// of the journal, which is not used any more, and destroys that.
func (j *journal) replace() error {
	if runtime.GOOS == "windows" {
		if err := j.Close(); err != nil {
			return err
		}
	}
	if err := j.move(); err != nil {
		return err
	}
	if err := j.fs.SyncDir(filepath.Dir(j.path)); err != nil {
		return err
	}
	if err := j.Close(); err != nil {
		return err
	}
	return j.finish()
}

// move gives the journal a second name, by which it is found to be destroyed, and
// puts the new file in its place.
func (j *journal) move() error {
	dir := filepath.Dir(j.path)
	// Where there are no second names, the old file is removed by the move.
	if err := j.fs.Link(j.path, filepath.Join(dir, oldName)); err == nil {
		if err := j.fs.SyncDir(dir); err != nil {
			return err
		}
	}
	return j.fs.Rename(filepath.Join(dir, newName), j.path)
}

// finish does what a crash, or an error, kept from being done: the file that is
// not the journal is overwritten and removed. The lock on the journal is held.
func (j *journal) finish() error {
	dir := filepath.Dir(j.path)
	now, err := os.Stat(j.path)
	if err != nil {
		return err
	}
	for _, name := range []string{newName, oldName} {
		path := filepath.Join(dir, name)
		other, err := os.Stat(path)
		if errors.Is(err, iofs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if os.SameFile(now, other) {
			err = j.fs.Remove(path)
		} else {
			// The names first: after a crash the other file could be the journal.
			if err = j.fs.SyncDir(dir); err == nil {
				err = j.destroy(path)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func removeIfThere(fs fsx.FS, path string) error {
	err := fs.Remove(path)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	return err
}

// destroy overwrites a file with zeros and removes it.
func (j *journal) destroy(path string) error {
	f, err := j.fs.Edit(path)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	size, err := f.Size()
	zeros := make([]byte, min(size, 1<<20))
	for at := int64(0); at < size && err == nil; at += int64(len(zeros)) {
		_, err = f.WriteAt(zeros[:min(int64(len(zeros)), size-at)], at)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return j.fs.Remove(path)
}
