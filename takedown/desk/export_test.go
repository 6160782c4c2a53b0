package desk

import (
	"context"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/aesgcm"
	"github.com/staydown/staydown/internal/fsx"
	"github.com/staydown/staydown/internal/keyfile"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// Doors for the tests outside of the package.
var (
	WriteFile     = writeFile
	EncodeKeyFile = func(path string, operator [32]byte, ids ...takedown.CaseID) error {
		k, err := openKeyFile(path, operator, &keyfile.Mark{})
		if err != nil {
			return err
		}
		for _, id := range ids {
			if _, err := k.create(id); err != nil {
				return err
			}
		}
		return k.close()
	}
	DecodeKeyFile = func(path string, operator [32]byte) (n int, err error) {
		k, err := openKeyFile(path, operator, nil)
		if err != nil {
			return 0, err
		}
		defer k.close()
		for _, id := range k.f.IDs() {
			if _, err := k.get(id); err == nil {
				n++
			}
		}
		_, err = k.create(takedown.CaseID{1})
		return n, err
	}
)

func openKeyFile(path string, operator [32]byte, fresh *keyfile.Mark) (*keyFile, error) {
	f, err := keyfile.OpenMarked(fsx.OS{}, path, &operator, fresh)
	if err != nil {
		return nil, err
	}
	return &keyFile{f}, nil
}

// KeysStart is where the first key lies in the file of keys.
const KeysStart = keyfile.EmptySize

// Record returns a case as it is stored.
func (d *Desk) Record(id takedown.CaseID) *caseRecord {
	c, err := d.store.get(id)
	if err != nil {
		panic(err)
	}
	return c
}

// Dir returns the folder of a desk.
func (d *Desk) Dir() string { return d.dir }

// Keys returns how many keys of cases and of templates a desk has.
func (d *Desk) Keys() int { return len(d.store.keys.f.IDs()) }

// Compact compacts the desk's list.
func (d *Desk) Compact(ctx context.Context) error { return d.list.Compact(ctx) }

// ListKey is that of the desks of the tests.
var ListKey = &blocklist.EncryptionKey{1}

// OpenPublished returns how many faces somebody finds in a file that was
// published who has the ListKey and minds no date.
func OpenPublished(path string) (faces int, err error) {
	before := func() time.Time { return time.Unix(0, 0) }
	l, err := blocklist.Load(path, &blocklist.LoadOptions{EncryptionKey: ListKey, Now: before})
	if errors.Is(err, blocklist.ErrNotSnapshot) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return l.State().Counts().Faces, nil
}

// PublishedAt returns the published files that a desk looks after.
func (d *Desk) PublishedAt() ([]string, error) { return d.store.publishedAt() }

// MaxPublished is how many there may be.
const MaxPublished = maxPublished

// OpenEverything tries every key that the folder of keys has, the operator's
// included, on every value of the case store in the folder of values, in every
// use that the desk makes of them, and returns how many of what opens holds
// something, and how many faces open in the published files (*.snap) of that
// folder.
func OpenEverything(keys, values string, holds func(plain []byte) bool) (n int, err error) {
	published, err := filepath.Glob(filepath.Join(values, "*.snap"))
	for _, path := range published {
		faces, failed := OpenPublished(path)
		n, err = n+faces, errors.Join(err, failed)
	}
	if err != nil {
		return 0, err
	}
	tmp, err := os.MkdirTemp("", "")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(tmp)
	for name, dir := range map[string]string{"keys": keys, "operator.key": keys, "cases.db": values} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(tmp, name), b, 0o600)
		}
		if err != nil {
			return 0, err
		}
	}
	operator, err := operatorKey(filepath.Join(tmp, "operator.key"))
	if err != nil {
		return 0, err
	}
	file, err := openKeyFile(filepath.Join(tmp, "keys"), operator, nil)
	if err != nil {
		return 0, err
	}
	defer file.close()
	all := []cipher.AEAD{aesgcm.New(operator)}
	for _, id := range file.f.IDs() {
		key, err := file.get(id)
		if err != nil {
			return 0, err
		}
		all = append(all, aesgcm.New(key))
	}
	db, err := OpenStore(filepath.Join(tmp, "cases.db"))
	if err != nil {
		return 0, err
	}
	defer db.Close()
	return n, db.View(func(tx StoreTx) error {
		var labels [][]byte
		err := tx.Scan(BucketCases, nil, nil, func(id, _ []byte) error {
			for _, use := range []string{"request", "material", "evidence", "picture", "message", "template", "outbox"} {
				labels = append(labels, label(use, takedown.CaseID(id)))
			}
			return nil
		})
		for _, b := range Buckets {
			err = errors.Join(err, tx.Scan(b, nil, nil, func(_, v []byte) error {
				for _, key := range all {
					for _, l := range labels {
						if plain, err := key.Open(nil, nil, v, l); err == nil && holds(plain) {
							n++
						}
					}
				}
				return nil
			}))
		}
		return err
	})
}

// DocumentedNames are the names that docs/requests.md has to explain.
func DocumentedNames() (names []string) {
	for _, k := range request.Kinds() {
		names = append(names, k.String())
	}
	for from, tos := range moves {
		names = append(names, string(from))
		for _, to := range tos {
			names = append(names, string(to))
		}
	}
	for _, d := range Deadlines {
		names = append(names, d.Name)
	}
	for _, m := range messageTypes {
		names = append(names, string(m))
	}
	for _, c := range request.Codes() {
		names = append(names, string(c))
	}
	return names
}

// HandlingOf reports whether a kind has a row of handlings, and whether it does
// something to another case.
func HandlingOf(k takedown.Kind) (found, hasTarget bool) {
	h, found := handlings[k]
	return found, h.target != 0
}

// VerifyIndex compares the index of a desk with its cases.
func (d *Desk) VerifyIndex() error {
	all := []error{d.store.verifyOwners(context.Background())}
	var ids []takedown.CaseID
	all = append(all, d.store.each(func(c *caseRecord) bool { ids = append(ids, c.ID); return true }))
	for _, id := range ids {
		all = append(all, d.store.verifyEntries(id))
	}
	return errors.Join(all...)
}

// Update runs f in a transaction of the case store.
func (d *Desk) Update(f func(StoreTx) error) error { return d.store.db.Update(f) }

// DueAt returns the time by which the index ranks a case, and PriorityOf its priority.
func (d *Desk) DueAt(id takedown.CaseID) time.Time {
	at, _ := d.store.terms.earliest(&d.Record(id).Case)
	return at
}

var PriorityOf = priorityOf

// HoldSender keeps the goroutine that sends from sending; SendDue does what it does in
// one round.
func (d *Desk) HoldSender() { d.sender.cancel(); <-d.sender.done }

func (d *Desk) SendDue(ctx context.Context) { _, _, _ = d.sendDue(ctx) }

// EraseList erases rules that have ended from the list.
func (d *Desk) EraseList(ctx context.Context, rules []uint64) error {
	_, err := d.list.Erase(ctx, rules...)
	return err
}

// Marks returns bytes by which the pictures of rules are found in files, by their kind.
func (d *Desk) Marks(rules []uint64) map[string][][]byte {
	marks := map[string][][]byte{}
	for _, rule := range rules {
		e, err := d.event(rule)
		if err != nil {
			panic(err)
		}
		for _, b := range e.Rule.Keys.Bytes {
			marks["digests"] = append(marks["digests"], b[:])
		}
		for _, h := range e.Rule.Keys.Hashes {
			w := h.Hash.Words()
			if w[2] == 0 { // a hash of 64 bits could be in any file
				continue
			}
			marks["hashes"] = append(marks["hashes"], binary.LittleEndian.AppendUint64(nil, w[2]))
		}
		for _, f := range e.Rule.Keys.Features {
			b, err := f.MarshalBinary()
			if err != nil {
				panic(err)
			}
			marks["features"] = append(marks["features"], b[32:64])
			marks["thumbnails"] = append(marks["thumbnails"], b[len(b)-40:])
		}
	}
	return marks
}
