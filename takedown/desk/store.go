package desk

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/boltcheck"
	"github.com/staydown/staydown/internal/keyfile"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// ErrStore is returned when the case store is damaged. No data of it is served;
// restore a backup.
var ErrStore = errors.New("takedown: case store is damaged")

// ErrNoCase is returned when no case has the given id.
var ErrNoCase = errors.New("takedown: no such case")

func noCase(id takedown.CaseID) error { return fmt.Errorf("%w: %v", ErrNoCase, id) }

// Store keeps the cases of a desk: keys and values in named buckets, changed in
// transactions. By default, [Open] creates a Store in a file. [Options] takes
// another one, for example a table of an operator's own database. Package
// storetest has the test that a Store must pass.
//
// Its methods are safe for concurrent use.
type Store interface {
	// View runs f in a transaction that reads one state of the store.
	View(f func(StoreTx) error) error
	// Update runs f in a transaction. If f returns an error, nothing is stored.
	// Otherwise all changes are durable when Update returns nil. Updates run one
	// after the other.
	Update(f func(StoreTx) error) error
	Close() error
}

// StoreTx is a transaction of a [Store]. Returned byte slices are valid only
// within the transaction. The store uses byte slices of the caller only within the
// transaction.
type StoreTx interface {
	// Get returns the value of a key, or nil when the key does not exist.
	Get(b Bucket, key []byte) ([]byte, error)
	Put(b Bucket, key, value []byte) error
	// Delete removes a key. It returns nil when the key does not exist.
	Delete(b Bucket, key []byte) error
	// Scan calls f with the keys that begin with prefix, in the order of their
	// bytes, from the key from on; nil is the first one. If f returns an error,
	// Scan stops and returns it. f must not change the bucket.
	Scan(b Bucket, prefix, from []byte, f func(key, value []byte) error) error
}

// Bucket names a part of a [Store]. Each bucket has one kind of data, so that
// personal data can be read and erased apart from the rest.
type Bucket string

const (
	BucketMeta     Bucket = "meta"     // "version" → storeVersion; "log" → head of the log; and others
	BucketCases    Bucket = "cases"    // id → Case without its request, JSON, and the CRC-32C of it
	BucketRequests Bucket = "requests" // id → request without its images, Pictures, and keys of the images, sealed under the key of the case: personal data
	// id + id of a file + 4 bytes → part of an image, sealed under the key of the file: personal data
	BucketFiles    Bucket = "files"
	BucketUploads  Bucket = "uploads"  // id + id of a file → there while no stored case has the file
	BucketMaterial Bucket = "material" // id → addresses, digests and hashes of the items, sealed under the operator's key
	BucketEvidence Bucket = "evidence" // id + 4 bytes → Evidence, sealed under the key of the case: personal data
	BucketPictures Bucket = "pictures" // id + 4 bytes → key of a registered picture in BucketFiles, sealed under the operator's key
	// id of a key → data of a face, sealed under that key: biometric data.
	BucketTemplates Bucket = "templates"
	// id + 4 bytes → an event of a case that may not be in the journal yet, sealed
	// under the operator's key, because free pages keep its data of a picture. It
	// is written in the transaction that moves the case, and removed in the one
	// that finishes the move. Open replays the remaining events.
	BucketOutbox Bucket = "outbox"
	// id + 4 bytes + 0 → a Note, and + 1 → its file, sealed under the key of the case:
	// personal data
	BucketNotes Bucket = "notes"
	// see matches.go → matches that wait, and the answers to others, sealed under the
	// operator's key
	BucketMatches  Bucket = "matches"
	BucketMessages Bucket = "messages" // id + 8 bytes → a message that is to be sent, sealed under the key of the case: see sender.go
	BucketSchedule Bucket = "schedule" // time of the next attempt + 8 bytes + id → nothing; the messages by time
	BucketSent     Bucket = "sent"     // keyed digests of addresses → how many messages they got in a day, and when they were confirmed
	BucketLog      Bucket = "log"      // 8 bytes → hash, LogEntry
	BucketAllowed  Bucket = "allowed"  // 16 bytes → a picture of the allow list, JSON, and the CRC-32C of it
	// By what cases are found: see index.go. It has no personal data in plain, and
	// Open can build it anew.
	BucketIndex Bucket = "index"
)

// Buckets are all buckets that a [Store] must have.
var Buckets = []Bucket{
	BucketMeta, BucketCases, BucketRequests, BucketFiles, BucketUploads, BucketMaterial, BucketEvidence, BucketPictures, BucketTemplates, BucketOutbox, BucketMessages, BucketSchedule, BucketSent, BucketLog, BucketAllowed, BucketNotes, BucketMatches, BucketIndex,
}

var (
	keyVersion   = []byte("version")
	keyLogHead   = []byte("log")
	keyDelivered = []byte("delivered") // id and Position of the list
	keyMessages  = []byte("messages")  // number of the last message
	keyPublished = []byte("published") // there if the list was published without a key
)

const storeVersion = 6

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// boltStore is the Store in a file.
type boltStore struct{ db *boltcheck.DB }

// OpenStore opens or creates a store in a bbolt file. The file is readable by its
// owner only, and locked against a second process.
//
// The structure of the file is checked before bbolt uses it. For a damaged file
// the error wraps [ErrStore].
func OpenStore(path string) (Store, error) {
	// A damaged meta page means that the last commit may be lost: a case, or the
	// erasure of one. That is for a person to decide, so nothing is salvaged.
	db, err := boltcheck.Open(path, &bbolt.Options{Timeout: lockTimeout}, false)
	if errors.Is(err, boltcheck.ErrLocked) {
		return nil, fmt.Errorf("takedown: %s: %w", path, blocklist.ErrLocked)
	}
	if err != nil {
		return nil, storeError(path, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		// They are made in one transaction. One that is missing has a damaged name,
		// and an empty one in its place would look like a desk without cases.
		first, _ := tx.Cursor().First()
		meta := tx.Bucket([]byte(BucketMeta))
		whole := first != nil && (meta == nil || bytes.Equal(meta.Get(keyVersion), []byte{storeVersion}))
		for _, name := range Buckets {
			if whole && tx.Bucket([]byte(name)) == nil {
				return fmt.Errorf("%w: the bucket %q is missing", ErrStore, name)
			}
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(storeError(path, err), db.Close())
	}
	return boltStore{db}, nil
}

// lockTimeout is how long to wait for the lock on the file; a child that this
// process forks has it too until it executes another program.
const lockTimeout = 500 * time.Millisecond

func (s boltStore) Close() error { return s.db.Close() }

func (s boltStore) View(f func(StoreTx) error) error {
	return damageError(s.db.View(func(tx *bbolt.Tx) error { return f(boltTx{tx}) }))
}

func (s boltStore) Update(f func(StoreTx) error) error {
	return damageError(s.db.Update(func(tx *bbolt.Tx) error { return f(boltTx{tx}) }))
}

// damageError says by ErrStore that the bbolt file is damaged.
func damageError(err error) error {
	if errors.Is(err, boltcheck.ErrDamaged) {
		return fmt.Errorf("%w: %w", ErrStore, err)
	}
	return err
}

// storeError is damageError for what OpenStore returns, which says which file it
// is about: only the operator sees that.
func storeError(path string, err error) error {
	if errors.Is(err, ErrStore) {
		return fmt.Errorf("%s: %w", path, err)
	}
	if errors.Is(err, boltcheck.ErrDamaged) {
		return fmt.Errorf("%w: %s: %w", ErrStore, path, err)
	}
	return fmt.Errorf("takedown: case store: %s: %w", path, err)
}

type boltTx struct{ tx *bbolt.Tx }

func (t boltTx) bucket(b Bucket) (*bbolt.Bucket, error) {
	if k := t.tx.Bucket([]byte(b)); k != nil {
		return k, nil
	}
	return nil, fmt.Errorf("takedown: case store: no bucket %q", b)
}

func (t boltTx) Get(b Bucket, key []byte) ([]byte, error) {
	k, err := t.bucket(b)
	if err != nil {
		return nil, err
	}
	return k.Get(key), nil
}

func (t boltTx) Put(b Bucket, key, value []byte) error {
	k, err := t.bucket(b)
	if err != nil {
		return err
	}
	return k.Put(key, value)
}

func (t boltTx) Delete(b Bucket, key []byte) error {
	k, err := t.bucket(b)
	if err != nil {
		return err
	}
	return k.Delete(key)
}

func (t boltTx) Scan(b Bucket, prefix, from []byte, f func(k, v []byte) error) error {
	bucket, err := t.bucket(b)
	if err != nil {
		return err
	}
	cur := bucket.Cursor()
	if bytes.Compare(from, prefix) < 0 {
		from = prefix
	}
	for k, v := cur.Seek(from); k != nil && bytes.HasPrefix(k, prefix); k, v = cur.Next() {
		if err := f(k, v); err != nil {
			return err
		}
	}
	return nil
}

// closing is a Store that says so, once it is closed.
type closing struct {
	Store
	closed atomic.Bool
	bell   *bell // of those who wait for a write
}

func (s *closing) Close() error {
	s.closed.Store(true)
	s.bell.ring()
	return s.Store.Close()
}

func (s *closing) View(f func(StoreTx) error) error { return s.run(s.Store.View, f) }

func (s *closing) Update(f func(StoreTx) error) error {
	defer s.bell.ring()
	return s.run(s.Store.Update, f)
}

func (s *closing) run(transaction func(func(StoreTx) error) error, f func(StoreTx) error) error {
	if s.closed.Load() {
		return takedown.ErrClosed
	}
	began := false
	err := transaction(func(tx StoreTx) error {
		began = true
		return f(tx)
	})
	if err != nil && !began && s.closed.Load() {
		return takedown.ErrClosed
	}
	return err
}

const operatorKeySize = 32

// caseStore is what the desk does with a Store: cases in JSON, what is personal
// sealed.
type caseStore struct {
	db       Store
	bell     bell
	keys     *keyFile
	operator [operatorKeySize]byte
	policy   string
	notify   bool // somebody wants messages
	terms    indexTerms
	now      func() time.Time
	moves    *sync.Mutex // that of the desk, which serialises the moves of cases
	near     nearTable

	id    [16]byte // of the desk
	stamp *stamping
	made  uint64 // keys that were made before Open
	// changedFrom is the operator key before a change that is not finished.
	changedFrom *[operatorKeySize]byte
	lags        bool // the file of keys was in use before the last commit, and not since
}

// checkVersion returns an error for a version that this program does not read.
func checkVersion(v []byte) error {
	switch {
	case len(v) != 1:
		return fmt.Errorf("%w: its version has %d bytes", ErrStore, len(v))
	case v[0] > storeVersion:
		return fmt.Errorf("takedown: case store: version %d of the format, this program knows %d: %w", v[0], storeVersion, blocklist.ErrVersion)
	case v[0] < storeVersion:
		return fmt.Errorf("takedown: case store: version %d of the format is from before the first release; this program reads %d", v[0], storeVersion)
	}
	return nil
}

// close closes the keys first: the lock on the store keeps other processes from them.
func (s *caseStore) close() error { return errors.Join(s.keys.close(), s.db.Close()) }

// putDelivered remembers where the list is.
func putDelivered(tx StoreTx, at reached) error {
	return tx.Put(BucketMeta, keyDelivered, at.bytes())
}

// get reads a case without its request.
func (s *caseStore) get(id takedown.CaseID) (c *caseRecord, err error) {
	err = s.db.View(func(tx StoreTx) error {
		c, err = s.getIn(tx, id)
		return err
	})
	return c, err
}

func (s *caseStore) getIn(tx StoreTx, id takedown.CaseID) (*caseRecord, error) {
	b, err := tx.Get(BucketCases, id[:])
	if err != nil {
		return nil, err
	}
	if b == nil {
		return nil, noCase(id)
	}
	c := new(caseRecord)
	return c, unmarshalCase(id, b, c)
}

// putCase stores a case without its request, and what the index has of it.
func (s *caseStore) putCase(tx StoreTx, c *caseRecord) error {
	b, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("takedown: case store: %w", err)
	}
	if err := tx.Put(BucketCases, c.ID[:], summed(b)); err != nil {
		return err
	}
	return s.reindex(tx, c.ID, groupCase, s.caseEntries(c))
}

// summed appends the CRC-32C of b, and unsummed checks and removes it.
func summed(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func unsummed(b []byte) ([]byte, bool) {
	n := len(b) - 4
	if n < 0 || binary.LittleEndian.Uint32(b[n:]) != crc32.Checksum(b[:n], castagnoli) {
		return nil, false
	}
	return b[:n], true
}

// unmarshalCase reads what putCase wrote. The store has no checksums of its
// own.
func unmarshalCase(id takedown.CaseID, b []byte, c *caseRecord) error {
	b, ok := unsummed(b)
	if !ok {
		return fmt.Errorf("%w: case %v has another checksum", ErrStore, id)
	}
	if err := json.Unmarshal(b, c); err != nil {
		return fmt.Errorf("%w: case %v: %w", ErrStore, id, err)
	}
	if c.ID != id {
		return fmt.Errorf("%w: case %v lies where case %v should", ErrStore, c.ID, id)
	}
	return nil
}

// caseKey reads the id with which a key begins, and that has n bytes more.
func caseKey(b Bucket, k []byte, n int) (takedown.CaseID, error) {
	if len(k) != len(takedown.CaseID{})+n {
		return takedown.CaseID{}, fmt.Errorf("%w: a key of %d bytes in %q", ErrStore, len(k), b)
	}
	return takedown.CaseID(k[:len(takedown.CaseID{})]), nil
}

// whole reads a case with its request; that of one that was erased is nil.
// templates puts into it what its templates hold. Only for who reads: a damaged
// one must not keep anybody from ending the case.
//
// A key is destroyed after the transaction in which its case says so. A reader
// that has seen the case before and finds the key no more reads it again: what
// has no key although its case, still the same, names it, is gone.
func (s *caseStore) whole(id takedown.CaseID, templates bool) (*caseRecord, error) {
	var seen []byte
	for {
		var gone, again bool
		c := new(caseRecord)
		err := s.db.View(func(tx StoreTx) error {
			b, err := tx.Get(BucketCases, id[:])
			if err != nil {
				return err
			}
			if b == nil {
				return noCase(id)
			}
			again = bytes.Equal(b, seen)
			seen = bytes.Clone(b)
			if err := unmarshalCase(id, b, c); err != nil {
				return err
			}
			gone, err = s.addRequest(tx, c)
			if err == nil && templates {
				gone, err = s.addTemplates(tx, c)
			}
			return err
		})
		if gone && !again {
			continue
		}
		if err != nil {
			return nil, err
		}
		return c, nil
	}
}

// forMove reads a case with its request for a move. A request that cannot be read is
// no error here: see [Desk.stepEnding].
func (s *caseStore) forMove(id takedown.CaseID) (*caseRecord, error) {
	c, err := s.whole(id, false)
	if err == nil || !errors.Is(err, ErrErased) && !errors.Is(err, ErrSealed) && !errors.Is(err, ErrStore) && !errors.Is(err, keyfile.ErrDamaged) && !errors.Is(err, keyfile.ErrKey) {
		return c, err
	}
	bare, failed := s.get(id)
	if failed != nil {
		return nil, failed
	}
	bare.unreadable = err
	return bare, nil
}

// addRequest adds its request to a case that was read in the same transaction.
// gone says that its key is not there.
func (s *caseStore) addRequest(tx StoreTx, c *caseRecord) (gone bool, err error) {
	if c.Erased() {
		return false, nil
	}
	key, err := s.keys.get(c.ID)
	if err != nil {
		return errors.Is(err, ErrErased), err
	}
	b, err := tx.Get(BucketRequests, c.ID[:])
	if err != nil {
		return false, err
	}
	if b, err = unseal(key, label("request", c.ID), b); err != nil {
		return false, err
	}
	c.Request, c.Pictures, c.files, err = decodeStored(b)
	if err == nil {
		err = s.addFinding(c, key)
	}
	if err == nil && len(c.files) > 0 {
		c.Request = request.WithImages(c.Request, s.files(c.ID, c.files))
	}
	return false, err
}

// storedRequest is what is sealed of a request: all but its images.
type storedRequest struct {
	Request  json.RawMessage   `json:"request"`
	Pictures []request.Picture `json:"pictures,omitempty"`
	Files    []storedFile      `json:"files,omitempty"`
}

func encodeStored(r request.Request, pictures []request.Picture, files []storedFile) ([]byte, error) {
	b, err := request.Encode(request.WithImages(withoutTemplates(r), nil))
	if err != nil {
		return nil, err
	}
	if b, err = json.Marshal(storedRequest{b, pictures, files}); err != nil {
		return nil, fmt.Errorf("takedown: case store: %w", err)
	}
	return b, nil
}

func decodeStored(b []byte) (r request.Request, pictures []request.Picture, files []storedFile, err error) {
	var s storedRequest
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, nil, nil, fmt.Errorf("%w: a request is no JSON", ErrStore) // err could tell what is in it
	}
	r, err = request.Unmarshal(s.Request)
	return r, s.Pictures, s.Files, err
}

// material returns what the items of a case are recognised by.
func (s *caseStore) material(id takedown.CaseID) (m []request.Material, err error) {
	err = s.db.View(func(tx StoreTx) error {
		m, err = s.materialIn(tx, id)
		return err
	})
	return m, err
}

func (s *caseStore) materialIn(tx StoreTx, id takedown.CaseID) (m []request.Material, err error) {
	b, err := tx.Get(BucketMaterial, id[:])
	if err != nil || b == nil {
		return nil, err
	}
	if b, err = unseal(s.operator, label("material", id), b); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("takedown: case store, keys of case %v: %w", id, err)
	}
	return m, nil
}

// published reports whether the list was published without a key.
func (s *caseStore) published() (was bool, err error) {
	err = s.db.View(func(tx StoreTx) error {
		b, err := tx.Get(BucketMeta, keyPublished)
		was = b != nil
		return err
	})
	return was, err
}

func (s *caseStore) notePublished() error {
	return s.db.Update(func(tx StoreTx) error { return tx.Put(BucketMeta, keyPublished, []byte{1}) })
}

// pending returns the events of a case that are still in the outbox, in order.
func (s *caseStore) pending(id takedown.CaseID) (events []blocklist.Event, err error) {
	err = s.db.View(func(tx StoreTx) error {
		return tx.Scan(BucketOutbox, id[:], nil, func(_, v []byte) error {
			b, err := unseal(s.operator, label("outbox", id), v)
			if err != nil {
				return err
			}
			var e blocklist.Event
			if err := e.UnmarshalBinary(b); err != nil {
				return fmt.Errorf("takedown: case %v: event in the outbox: %w", id, err)
			}
			events = append(events, e)
			return nil
		})
	})
	return events, err
}

// unfinished returns the cases that have events in the outbox.
func (s *caseStore) unfinished() (ids []takedown.CaseID, err error) {
	err = s.db.View(func(tx StoreTx) error {
		return tx.Scan(BucketOutbox, nil, nil, func(k, _ []byte) error {
			id, err := caseKey(BucketOutbox, k, 4)
			if err == nil && (len(ids) == 0 || ids[len(ids)-1] != id) {
				ids = append(ids, id)
			}
			return err
		})
	})
	return ids, err
}

var errStop = errors.New("stop")

// each calls f with every case, without its request, in the order of their
// ids, until f returns false.
func (s *caseStore) each(f func(*caseRecord) bool) error {
	err := s.db.View(func(tx StoreTx) error {
		return tx.Scan(BucketCases, nil, nil, func(k, v []byte) error {
			id, err := caseKey(BucketCases, k, 0)
			if err != nil {
				return err
			}
			c := new(caseRecord)
			if err := unmarshalCase(id, v, c); err != nil {
				return err
			}
			if !f(c) {
				return errStop
			}
			return nil
		})
	})
	if err == errStop {
		return nil
	}
	return err
}

// label binds a sealed value to its use and its case.
func label(use string, id takedown.CaseID) []byte { return append([]byte(use+":"), id[:]...) }

func numbered(id takedown.CaseID, i int) []byte {
	return binary.BigEndian.AppendUint32(append([]byte(nil), id[:]...), uint32(i))
}

func deletePrefix(tx StoreTx, b Bucket, prefix []byte) error {
	var keys [][]byte
	err := tx.Scan(b, prefix, nil, func(k, _ []byte) error {
		keys = append(keys, bytes.Clone(k))
		return nil
	})
	for _, k := range keys {
		err = errors.Join(err, tx.Delete(b, k))
	}
	return err
}
