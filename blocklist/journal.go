package blocklist

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/staydown/staydown/internal/boltcheck"
)

// Buckets of the journal's bbolt file; docs/format/journal.md describes them.
var (
	bucketMeta   = []byte("meta")
	bucketEvents = []byte("events") // sequence number, big-endian → record
	bucketIDs    = []byte("ids")    // Event.ID → sequence number, big-endian
	// Sequence number of an event and of one that has it as Target → nothing.
	bucketTargets = []byte("targets")

	keyIdentity = []byte("identity")
	keyLast     = []byte("last") // sequence number of the last event, then its CRC-32C
	// Salt and check value of an encrypted journal; without it, it is not.
	keyEncryption = []byte("encryption")
)

// identity is what makes a list itself. It is in the journal and in every
// snapshot.
type identity struct {
	ID     [16]byte // random, once for each list
	Secret [32]byte // the keys of the digests come from it
	List   uint32   // tenant
	Rules  uint32   // AddressRules
}

const identitySize = 64

func (id *identity) appendTo(b []byte) []byte {
	b = append(b, id.ID[:]...)
	b = append(b, id.Secret[:]...)
	b = le.AppendUint32(b, id.List)
	b = le.AppendUint32(b, id.Rules)
	return append(b, make([]byte, 8)...)
}

func parseIdentity(b []byte) (id identity) {
	copy(id.ID[:], b[0:])
	copy(id.Secret[:], b[16:])
	id.List = le.Uint32(b[48:])
	id.Rules = le.Uint32(b[52:])
	return id
}

func newIdentity(list uint32) identity {
	id := identity{List: list, Rules: AddressRules}
	rand.Read(id.ID[:]) // never fails
	rand.Read(id.Secret[:])
	return id
}

// journal is the log of events in a bbolt file. append is called by one
// goroutine at a time; the others may be called beside it.
type journal struct {
	db   *boltcheck.DB
	id   identity
	last uint64 // owned by the caller of append

	sealer *sealer // nil if the journal is not encrypted
	damage error   // that was accepted when it was opened
}

// openJournal opens or creates the journal. bbolt's lock on the file is the
// lock on the list.
func openJournal(path string, o *Options) (j *journal, err error) {
	db, err := boltcheck.Open(path, &bbolt.Options{
		Timeout:      lockTimeout,
		FreelistType: bbolt.FreelistMapType,
		NoStatistics: true,
		NoSync:       o.noSync,
	}, o.Salvage)
	switch {
	case errors.Is(err, boltcheck.ErrLocked):
		return nil, fmt.Errorf("blocklist: %s: %w", path, ErrLocked)
	case err != nil:
		return nil, fmt.Errorf("blocklist: %s: %w", path, journalError(err))
	}
	j = &journal{db: db}
	if db.Salvaged != nil {
		j.damage = fmt.Errorf("blocklist: %s: %w", path, journalError(db.Salvaged))
	}
	defer func() {
		if err != nil {
			db.Close()
		}
	}()
	err = j.view(func(tx *bbolt.Tx) error { return j.readMeta(tx, o.EncryptionKey) })
	if errors.Is(err, errNewJournal) {
		err = j.update(func(tx *bbolt.Tx) error { return j.create(tx, o) })
	}
	if err != nil {
		return nil, err
	}
	if j.id.List != o.List {
		return nil, fmt.Errorf("blocklist: journal of list %d, not %d: %w", j.id.List, o.List, ErrKey)
	}
	if j.id.Rules != AddressRules && !o.anyRules {
		return nil, fmt.Errorf("blocklist: journal follows rules %d for addresses, this program %d: %w", j.id.Rules, AddressRules, ErrRules)
	}
	return j, nil
}

func (j *journal) view(f func(*bbolt.Tx) error) error {
	return journalError(j.db.View(f))
}

func (j *journal) update(f func(*bbolt.Tx) error) error {
	return journalError(j.db.Update(f))
}

// journalError says by ErrJournal that the bbolt file is damaged, and by
// ErrClosed that the list was closed meanwhile.
func journalError(err error) error {
	switch {
	case errors.Is(err, boltcheck.ErrDamaged):
		return fmt.Errorf("%w: %w", ErrJournal, err)
	case errors.Is(err, berrors.ErrDatabaseNotOpen):
		return fmt.Errorf("blocklist: %w", ErrClosed)
	}
	return err
}

// lockTimeout is how long Open waits for the lock: another process may be about
// to close, and a child that this one forks has the lock too until it executes
// another program. bbolt tries every 50 ms.
const lockTimeout = 500 * time.Millisecond

var errNewJournal = errors.New("journal is new")

func (j *journal) create(tx *bbolt.Tx, o *Options) error {
	j.id = newIdentity(o.List)
	if o.identity != nil {
		j.id = *o.identity
	}
	key := o.EncryptionKey
	for _, name := range [][]byte{bucketEvents, bucketIDs, bucketTargets} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	meta, err := tx.CreateBucketIfNotExists(bucketMeta)
	if err != nil {
		return err
	}
	if err := meta.Put(keyLast, summed(le.AppendUint64(nil, 0))); err != nil {
		return err
	}
	if key != nil {
		entry := make([]byte, saltSize, saltSize+checkSize)
		rand.Read(entry)
		gcm, check := key.derive(entry, "journal")
		j.sealer = &sealer{gcm}
		if err := meta.Put(keyEncryption, summed(append(entry, check...))); err != nil {
			return err
		}
	}
	id := append([]byte{recordVersion}, summed(j.sealer.seal(j.id.appendTo(nil), keyIdentity))...)
	return meta.Put(keyIdentity, id)
}

// summed appends the CRC-32C of b.
func summed(b []byte) []byte { return le.AppendUint32(b, crc32.Checksum(b, castagnoli)) }

// unsummed checks and removes it.
func unsummed(b []byte, size int) ([]byte, error) {
	if len(b) != size+4 {
		return nil, fmt.Errorf("blocklist: journal entry of %d bytes, not %d: %w", len(b), size+4, ErrJournal)
	}
	if crc32.Checksum(b[:size], castagnoli) != le.Uint32(b[size:]) {
		return nil, fmt.Errorf("blocklist: journal entry: %w: %w", ErrJournal, ErrChecksum)
	}
	return b[:size], nil
}

func (j *journal) readMeta(tx *bbolt.Tx, key *EncryptionKey) error {
	meta := tx.Bucket(bucketMeta)
	if meta == nil {
		if name, _ := tx.Cursor().First(); name != nil {
			return fmt.Errorf("blocklist: the bbolt file holds something else: %w", ErrJournal)
		}
		return errNewJournal
	}
	raw := meta.Get(keyIdentity)
	if len(raw) > 0 && raw[0] != recordVersion {
		return fmt.Errorf("blocklist: journal of version %d, this program knows %d: %w", raw[0], recordVersion, ErrVersion)
	}
	size := identitySize
	if enc := meta.Get(keyEncryption); enc != nil {
		enc, err := unsummed(enc, saltSize+checkSize)
		if err != nil {
			return err
		}
		if key == nil {
			return fmt.Errorf("blocklist: journal is encrypted, and there is no key: %w", ErrKey)
		}
		gcm, check := key.derive(enc[:saltSize], "journal")
		if subtle.ConstantTimeCompare(check, enc[saltSize:]) != 1 {
			return fmt.Errorf("blocklist: journal is encrypted with another key: %w", ErrKey)
		}
		j.sealer = &sealer{gcm}
		size += gcmNonce + gcmTag
	} else if key != nil {
		return fmt.Errorf("blocklist: journal is not encrypted, and there is a key: %w", ErrKey)
	}
	if len(raw) == 0 {
		return fmt.Errorf("blocklist: journal has no identity: %w", ErrJournal)
	}
	b, err := unsummed(raw[1:], size)
	if err != nil {
		return err
	}
	if b, err = j.sealer.open(b, keyIdentity); err != nil {
		return err
	}
	j.id = parseIdentity(b)
	b, err = unsummed(meta.Get(keyLast), 8)
	if err != nil {
		return err
	}
	j.last = le.Uint64(b)
	events := tx.Bucket(bucketEvents)
	if events == nil || tx.Bucket(bucketIDs) == nil || tx.Bucket(bucketTargets) == nil {
		return fmt.Errorf("blocklist: journal lacks its events: %w", ErrJournal)
	}
	if key, _ := events.Cursor().Last(); j.last == 0 && key != nil || j.last > 0 && (len(key) != 8 || binary.BigEndian.Uint64(key) != j.last) {
		return fmt.Errorf("blocklist: journal does not end at event %d as it says: %w", j.last, ErrJournal)
	}
	return nil
}

// append gives each event of the groups its sequence number and writes those
// that are new in one durable commit. seqs holds for each group the numbers of
// its events, fresh the new ones in order. When it fails nothing was written,
// or it is not known what was.
func (j *journal) append(groups [][]Event) (seqs [][]uint64, fresh []Event, err error) {
	last := j.last
	err = j.update(func(tx *bbolt.Tx) error {
		last, seqs, fresh = j.last, nil, nil
		events, ids, targets := tx.Bucket(bucketEvents), tx.Bucket(bucketIDs), tx.Bucket(bucketTargets)
		events.FillPercent = 1 // keys only ever come at the end
		for _, g := range groups {
			numbers := make([]uint64, len(g))
			for i := range g {
				e := &g[i]
				number, err := j.number(ids, events, e.ID)
				if err != nil {
					return err
				}
				if number != 0 {
					numbers[i] = number
					continue
				}
				last++
				e.Seq = last
				numbers[i] = last
				key := binary.BigEndian.AppendUint64(nil, last)
				if err := events.Put(key, j.sealer.seal(appendRecord(nil, e), key)); err != nil {
					return err
				}
				if err := ids.Put(e.ID[:], key); err != nil {
					return err
				}
				if e.Target != 0 {
					if err := targets.Put(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, e.Target), last), []byte{}); err != nil {
						return err
					}
				}
				fresh = append(fresh, *e)
			}
			seqs = append(seqs, numbers)
		}
		if last == j.last {
			return errNothingNew
		}
		return tx.Bucket(bucketMeta).Put(keyLast, summed(le.AppendUint64(nil, last)))
	})
	if errors.Is(err, errNothingNew) {
		return seqs, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	j.last = last
	return seqs, fresh, nil
}

var errNothingNew = errors.New("all events are there already")

// readBatch bounds how long a read holds a bbolt transaction open: bbolt cannot
// reuse pages that an open transaction sees.
const readBatch = 1024

// read calls yield for the events from number from on, in order, until yield
// returns false or there are no more.
func (j *journal) read(from uint64, yield func(*Event) bool) error {
	if from == 0 {
		from = 1
	}
	// Whoever wants one event does not wait for a thousand.
	for limit := 1; ; limit = readBatch {
		batch, err := j.readSome(from, limit)
		if err != nil {
			return err
		}
		for i := range batch {
			if !yield(&batch[i]) {
				return nil
			}
		}
		if len(batch) < limit {
			return nil
		}
		from += uint64(len(batch))
	}
}

func (j *journal) readSome(from uint64, limit int) (batch []Event, err error) {
	err = j.view(func(tx *bbolt.Tx) error {
		b, err := unsummed(tx.Bucket(bucketMeta).Get(keyLast), 8)
		if err != nil {
			return err
		}
		last := le.Uint64(b)
		c := tx.Bucket(bucketEvents).Cursor()
		key, rec := c.Seek(binary.BigEndian.AppendUint64(nil, from))
		for len(batch) < limit && from <= last {
			if len(key) != 8 || binary.BigEndian.Uint64(key) != from {
				return fmt.Errorf("blocklist: journal lacks event %d: %w", from, ErrJournal)
			}
			e, err := j.parse(key, rec)
			if err != nil {
				return recordError(from, err)
			}
			if e.Seq != from {
				return fmt.Errorf("blocklist: journal: event %d says it is %d: %w", from, e.Seq, ErrJournal)
			}
			batch = append(batch, e)
			from++
			key, rec = c.Next()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return batch, nil
}

// recordError says that a record could not be read. One of a newer version is
// not damaged.
func recordError(seq uint64, err error) error {
	if errors.Is(err, ErrVersion) {
		return fmt.Errorf("blocklist: journal: event %d: %w", seq, err)
	}
	return fmt.Errorf("blocklist: journal: event %d: %w: %w", seq, ErrJournal, err)
}

// parse reads a record under its key.
func (j *journal) parse(key, rec []byte) (Event, error) {
	rec, err := j.sealer.open(rec, key)
	if err != nil {
		return Event{}, err
	}
	return parseRecord(rec)
}

// verify reads every entry of the journal.
func (j *journal) verify(ctx context.Context) error {
	var inner error
	err := j.read(1, func(e *Event) bool {
		inner = errors.Join(ctx.Err(), j.verifyIndexes(e))
		return inner == nil
	})
	return errors.Join(err, inner)
}

// verifyIndexes looks for an event in ids and targets.
func (j *journal) verifyIndexes(e *Event) (err error) {
	return j.view(func(tx *bbolt.Tx) error {
		key := binary.BigEndian.AppendUint64(nil, e.Seq)
		if !bytes.Equal(tx.Bucket(bucketIDs).Get(e.ID[:]), key) {
			return fmt.Errorf("blocklist: journal: event %d is not under its ID: %w", e.Seq, ErrJournal)
		}
		if e.Target != 0 && tx.Bucket(bucketTargets).Get(append(binary.BigEndian.AppendUint64(nil, e.Target), key...)) == nil {
			return fmt.Errorf("blocklist: journal: event %d is not under its target: %w", e.Seq, ErrJournal)
		}
		return nil
	})
}

// get returns an event.
func (j *journal) get(seq uint64) (e Event, err error) {
	found := false
	err = j.read(seq, func(x *Event) bool { e, found = *x, true; return false })
	if err == nil && !found {
		err = fmt.Errorf("blocklist: journal has no event %d: %w", seq, ErrJournal)
	}
	return e, err
}

// numbers returns the number of each event, 0 for those that are not there.
func (j *journal) numbers(ids ...[16]byte) (seqs []uint64, err error) {
	seqs = make([]uint64, len(ids))
	err = j.view(func(tx *bbolt.Tx) error {
		for i, id := range ids {
			if seqs[i], err = j.number(tx.Bucket(bucketIDs), tx.Bucket(bucketEvents), id); err != nil {
				return err
			}
		}
		return nil
	})
	return seqs, err
}

// number looks an event up in the buckets of IDs and of events, and returns its
// number, 0 if it is not there.
func (j *journal) number(ids, events *bbolt.Bucket, id [16]byte) (uint64, error) {
	key := ids.Get(id[:])
	if key == nil {
		return 0, nil
	}
	if len(key) != 8 {
		return 0, fmt.Errorf("blocklist: journal: number of an event has %d bytes: %w", len(key), ErrJournal)
	}
	seq := binary.BigEndian.Uint64(key)
	// bbolt has no checksums; the record says whose it is.
	e, err := j.parse(key, events.Get(key))
	if err != nil {
		return 0, recordError(seq, err)
	}
	if e.ID != id {
		return 0, fmt.Errorf("blocklist: journal: event %d is not the one that has this number: %w", seq, ErrJournal)
	}
	return seq, nil
}

// targeting returns the numbers of the events that have seq as their Target.
func (j *journal) targeting(seq uint64) (numbers []uint64, err error) {
	err = j.view(func(tx *bbolt.Tx) error {
		prefix := binary.BigEndian.AppendUint64(nil, seq)
		c := tx.Bucket(bucketTargets).Cursor()
		for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
			if len(k) != 16 {
				return fmt.Errorf("blocklist: journal: target of %d bytes: %w", len(k), ErrJournal)
			}
			numbers = append(numbers, binary.BigEndian.Uint64(k[8:]))
		}
		return nil
	})
	return numbers, err
}

func (j *journal) close() error { return j.db.Close() }
