package takedown

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/staydown/staydown/blocklist"
)

// ErrNoCase says that there is no case with the given id.
var ErrNoCase = errors.New("takedown: no such case")

// The case store is one bbolt file. Each bucket has one kind of thing, so that
// what is personal can be read, and erased, apart from the rest.
var (
	bucketMeta     = []byte("meta")     // "version" → storeVersion
	bucketCases    = []byte("cases")    // id → Case without its request
	bucketRequests = []byte("requests") // id → kind, Request: personal data
	bucketHashes   = []byte("hashes")   // id → hashes of the pictures
	// id + 4 bytes → an event of a case that may not be in the journal yet.
	// It is written in the transaction that moves the case and removed in the
	// one that finishes the move; Open replays what is left.
	bucketOutbox = []byte("outbox")

	keyVersion = []byte("version")
)

const storeVersion = 1

// caseStore keeps cases. Its methods are safe for concurrent use.
type caseStore struct {
	db *bbolt.DB
}

// openStore opens or creates the store. The file is readable by its owner
// only, and locked against a second process.
func openStore(path string) (*caseStore, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: 100 * time.Millisecond})
	if errors.Is(err, bbolt.ErrTimeout) {
		return nil, fmt.Errorf("takedown: case store: %w", blocklist.ErrLocked)
	}
	if err != nil {
		return nil, fmt.Errorf("takedown: case store: %w", err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketMeta, bucketCases, bucketRequests, bucketHashes, bucketOutbox} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		meta := tx.Bucket(bucketMeta)
		v := meta.Get(keyVersion)
		if v == nil {
			return meta.Put(keyVersion, []byte{storeVersion})
		}
		if len(v) != 1 || v[0] != storeVersion {
			return fmt.Errorf("version %d of the format; this library reads %d", v, storeVersion)
		}
		return nil
	})
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("takedown: case store: %w", err)
	}
	return &caseStore{db}, nil
}

func (s *caseStore) close() error { return s.db.Close() }

// create stores a new case with its request and the hashes of its pictures.
func (s *caseStore) create(c *Case, hashes [][]blocklist.HashKey) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		if err := putJSON(tx, bucketRequests, c.ID[:], storedRequest{c.Kind, c.Request}); err != nil {
			return err
		}
		if err := putJSON(tx, bucketHashes, c.ID[:], hashes); err != nil {
			return err
		}
		return putJSON(tx, bucketCases, c.ID[:], c)
	})
}

// get reads a case without its request.
func (s *caseStore) get(id CaseID) (*Case, error) {
	c := new(Case)
	err := s.db.View(func(tx *bbolt.Tx) error { return getJSON(tx, bucketCases, id[:], c) })
	return c, err
}

// getRequest adds its request to a case.
func (s *caseStore) getRequest(c *Case) error {
	return s.db.View(func(tx *bbolt.Tx) error {
		var r struct {
			Kind    Kind
			Request json.RawMessage
		}
		if err := getJSON(tx, bucketRequests, c.ID[:], &r); err != nil {
			return err
		}
		t, ok := requestTypes[r.Kind]
		if !ok {
			return fmt.Errorf("takedown: case %v: request of unknown %v", c.ID, r.Kind)
		}
		var err error
		c.Request, err = t.decode(r.Request)
		return err
	})
}

func (s *caseStore) getHashes(id CaseID) (h [][]blocklist.HashKey, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error { return getJSON(tx, bucketHashes, id[:], &h) })
	return h, err
}

type storedRequest struct {
	Kind    Kind
	Request Request
}

// put stores a moved case and, in the same transaction, the events that the
// move causes.
func (s *caseStore) put(c *Case, events []blocklist.Event) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		for i, e := range events {
			b, err := e.MarshalBinary()
			if err != nil {
				return err
			}
			if err := tx.Bucket(bucketOutbox).Put(outboxKey(c.ID, i), b); err != nil {
				return err
			}
		}
		return putJSON(tx, bucketCases, c.ID[:], c)
	})
}

// finish stores a case whose events are in the journal, and forgets them.
func (s *caseStore) finish(c *Case) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		cur := tx.Bucket(bucketOutbox).Cursor()
		for k, _ := cur.Seek(c.ID[:]); k != nil && CaseID(k[:16]) == c.ID; k, _ = cur.Next() {
			if err := cur.Delete(); err != nil {
				return err
			}
		}
		return putJSON(tx, bucketCases, c.ID[:], c)
	})
}

// pending returns the events of a case that are still in the outbox, in order.
func (s *caseStore) pending(id CaseID) (events []blocklist.Event, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		cur := tx.Bucket(bucketOutbox).Cursor()
		for k, v := cur.Seek(id[:]); k != nil && CaseID(k[:16]) == id; k, v = cur.Next() {
			var e blocklist.Event
			if err := e.UnmarshalBinary(v); err != nil {
				return fmt.Errorf("takedown: case %v: event in the outbox: %w", id, err)
			}
			events = append(events, e)
		}
		return nil
	})
	return events, err
}

// unfinished returns the cases that have events in the outbox.
func (s *caseStore) unfinished() (ids []CaseID, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketOutbox).ForEach(func(k, _ []byte) error {
			if id := CaseID(k[:16]); len(ids) == 0 || ids[len(ids)-1] != id {
				ids = append(ids, id)
			}
			return nil
		})
	})
	return ids, err
}

// each calls f with every case, without its request, in the order of their
// ids, until f returns false.
func (s *caseStore) each(f func(*Case) bool) error {
	return s.db.View(func(tx *bbolt.Tx) error {
		cur := tx.Bucket(bucketCases).Cursor()
		for k, v := cur.First(); k != nil; k, v = cur.Next() {
			c := new(Case)
			if err := json.Unmarshal(v, c); err != nil {
				return fmt.Errorf("takedown: case store, case %v: %w", CaseID(k), err)
			}
			if !f(c) {
				return nil
			}
		}
		return nil
	})
}

func outboxKey(id CaseID, i int) []byte {
	return binary.BigEndian.AppendUint32(append([]byte(nil), id[:]...), uint32(i))
}

func putJSON(tx *bbolt.Tx, bucket, key []byte, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("takedown: case store: %w", err)
	}
	return tx.Bucket(bucket).Put(key, b)
}

func getJSON(tx *bbolt.Tx, bucket, key []byte, v any) error {
	b := tx.Bucket(bucket).Get(key)
	if b == nil {
		return ErrNoCase
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("takedown: case store, %s: %w", bucket, err)
	}
	return nil
}
