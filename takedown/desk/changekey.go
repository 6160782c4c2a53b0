package desk

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/internal/fsx"
	"github.com/staydown/staydown/internal/keyfile"
	"github.com/staydown/staydown/takedown"
)

// Names beside those of a folder while its operator key is changed.
const (
	newKeys     = "keys.new"
	oldKeys     = "keys.old"
	newOperator = "operator.key.new"
)

var keyChanging = []byte("changing") // the old operator key, sealed under the new one

// ChangeOperatorKey changes the operator key of a desk that is not open. opts are those
// of Open, with the old key. If the key lies in the folder, the new one takes its place.
// Otherwise the caller keeps it.
//
// It seals the keys of cases, the addresses and hashes of items, kept pictures, the queue
// of matches and the outbox anew. One transaction of the case store decides: before it the old key opens
// the desk, and after it the new one, also after a crash; Open then finishes the change.
// Approvals that wait for a second reviewer are void. Backups keep the old key.
func ChangeOperatorKey(ctx context.Context, dir string, opts *Options, key []byte) error {
	if len(key) != operatorKeySize {
		return badOption("key", "it has %d bytes, not %d", len(key), operatorKeySize)
	}
	fresh := [operatorKeySize]byte(key)
	d, err := newDesk(dir, opts)
	if err != nil {
		return err
	}
	if err := d.openFiles(); err != nil {
		return err
	}
	if err = d.compareFolder(); err == nil {
		err = d.changeKey(ctx, fresh)
	}
	if err = errors.Join(err, d.Close()); err != nil {
		return err
	}
	// Open finishes it.
	o := d.opts
	if o.OperatorKey != nil {
		o.OperatorKey = key
	}
	if d, err = newDesk(dir, &o); err != nil {
		return err
	}
	if err := d.openFiles(); err != nil {
		return err
	}
	return d.Close()
}

func (d *Desk) changeKey(ctx context.Context, fresh [operatorKeySize]byte) error {
	s, old := d.store, d.store.operator
	if err := s.keys.f.CopyRewrapped(fsx.OS{}, filepath.Join(d.dir, newKeys), fresh); err != nil {
		return keyError(err)
	}
	if d.opts.OperatorKey == nil {
		if err := writeFile(filepath.Join(d.dir, newOperator), fresh[:]); err != nil {
			return err
		}
	}
	return s.db.Update(func(tx StoreTx) error {
		for b, use := range map[Bucket]string{BucketMaterial: "material", BucketPictures: "picture", BucketOutbox: "outbox"} {
			if err := reseal(ctx, tx, b, use, old, fresh); err != nil {
				return err
			}
		}
		if err := d.renewParties(ctx, tx, fresh); err != nil {
			return err
		}
		if err := s.renewMatches(ctx, tx, fresh); err != nil {
			return err
		}
		return errors.Join(
			deletePrefix(tx, BucketIndex, nil), tx.Delete(BucketMeta, keyIndex),
			putDesk(tx, s.id, fresh), tx.Put(BucketMeta, keyChanging, seal(fresh, label("changing", s.id), old[:])),
		)
	})
}

// reseal seals all values of a bucket under another key. Their keys begin with the id
// that is bound to them.
func reseal(ctx context.Context, tx StoreTx, b Bucket, use string, old, fresh [operatorKeySize]byte) error {
	var keys [][]byte
	if err := tx.Scan(b, nil, nil, func(k, _ []byte) error { keys = append(keys, bytes.Clone(k)); return ctx.Err() }); err != nil {
		return err
	}
	for _, k := range keys {
		if len(k) < 16 {
			return fmt.Errorf("%w: a key of %d bytes in %q", ErrStore, len(k), b)
		}
		v, err := tx.Get(b, k)
		if err != nil {
			return err
		}
		l := label(use, takedown.CaseID(k))
		plain, err := unseal(old, l, v)
		if err != nil {
			return err
		}
		err = tx.Put(b, k, seal(fresh, l, plain))
		clear(plain)
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
	}
	return nil
}

// renewParties computes the digests of requesters anew.
func (d *Desk) renewParties(ctx context.Context, tx StoreTx, fresh [operatorKeySize]byte) error {
	var ids []takedown.CaseID
	if err := tx.Scan(BucketCases, nil, nil, func(k, _ []byte) error {
		id, err := caseKey(BucketCases, k, 0)
		ids = append(ids, id)
		return err
	}); err != nil {
		return err
	}
	for _, id := range ids {
		c, err := d.store.getIn(tx, id)
		if err != nil {
			return err
		}
		if len(c.Party) == 0 && c.First == nil {
			continue
		}
		c.First = nil
		if _, err := d.store.addRequest(tx, c); err == nil && c.Request != nil {
			c.Party = partyOf(c.Request.From(), fresh)
		} else {
			c.Party = nil // it cannot be read, or it is erased
		}
		if err := d.store.putCase(tx, c); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// renewMatches seals the queue of matches and the answers anew, and computes the digests
// by which a match is found again. An answered match that had only an address is
// forgotten: it is queued again when a node reports it.
func (s *caseStore) renewMatches(ctx context.Context, tx StoreTx, fresh [operatorKeySize]byte) error {
	renewed := &caseStore{operator: fresh}
	if err := deletePrefix(tx, BucketMatches, []byte{mxSame}); err != nil {
		return err
	}
	var waiting []uint64
	if err := tx.Scan(BucketMatches, []byte{mxRecord}, nil, func(k, _ []byte) error {
		if len(k) != 1+8 {
			return fmt.Errorf("%w: a key of %d bytes in %q", ErrStore, len(k), BucketMatches)
		}
		waiting = append(waiting, binary.BigEndian.Uint64(k[1:]))
		return ctx.Err()
	}); err != nil {
		return err
	}
	for _, n := range waiting {
		q, err := s.match(tx, n)
		if err != nil {
			return err
		}
		if same, ok := renewed.sameMatch(&q.Match); ok {
			err = tx.Put(BucketMatches, same, binary.BigEndian.AppendUint64(nil, n))
		}
		if err = errors.Join(err, renewed.putMatch(tx, q), ctx.Err()); err != nil {
			return err
		}
	}
	answers, err := s.answersIn(tx, 0, math.MaxInt)
	if err != nil {
		return err
	}
	for i := range answers {
		x := &answers[i]
		picture := ""
		switch {
		case !x.Hash.IsZero():
			picture = x.Hash.String()
		case x.SHA256 != [32]byte{}:
			picture = string(x.SHA256[:])
		}
		if picture != "" {
			err = tx.Put(BucketMatches, renewed.sameKey(x.Rule, picture), binary.BigEndian.AppendUint64(nil, x.Match))
		}
		if err = errors.Join(err, renewed.putAnswer(tx, x), ctx.Err()); err != nil {
			return err
		}
	}
	return nil
}

// finishChange finishes a change of the operator key, which the store has decided.
func (s *caseStore) finishChange(dir string) error {
	var old []byte
	if err := s.db.View(func(tx StoreTx) error {
		b, err := tx.Get(BucketMeta, keyChanging)
		if err == nil && b != nil {
			old, err = unseal(s.operator, label("changing", s.id), b)
		}
		return err
	}); err != nil {
		return err
	}
	if old == nil {
		// A change that came to nothing: its copies of keys would outlive an erasure.
		if there, err := exists(filepath.Join(dir, newKeys)); err != nil || !there {
			return err
		}
		return keyError(keyfile.Remove(fsx.OS{}, filepath.Join(dir, newKeys)))
	}
	s.changedFrom = (*[operatorKeySize]byte)(old)
	return swapFile(dir, "keys", newKeys, oldKeys)
}

// swapFile puts a new file in the place of another one, which is overwritten.
func swapFile(dir, name, fresh, old string) error {
	path := func(n string) string { return filepath.Join(dir, n) }
	there, err := exists(path(fresh))
	if err != nil {
		return err
	}
	if there {
		was, err := exists(path(name))
		if err == nil && was {
			err = os.Rename(path(name), path(old))
		}
		if err == nil {
			err = os.Rename(path(fresh), path(name))
		}
		if err == nil {
			err = fsx.OS{}.SyncDir(dir)
		}
		if err != nil {
			return fmt.Errorf("takedown: %w", err)
		}
	}
	if was, err := exists(path(old)); err != nil || !was {
		return err
	}
	return keyError(keyfile.Remove(fsx.OS{}, path(old)))
}

// changeList brings the keys of faces in the list under the new operator key.
func (d *Desk) changeList() error {
	if d.store.changedFrom == nil {
		return nil
	}
	if there, err := exists(journalFile(d.dir)); err != nil || !there {
		return err // what comes next says so
	}
	from, to := d.listOptions(), d.listOptions()
	before := faceKeyOf(*d.store.changedFrom)
	from.FaceKey = &before
	err := boltjournal.Rekey(context.Background(), filepath.Join(d.dir, "list"), &from, &to, nil)
	if err != nil && !errors.Is(err, blocklist.ErrKey) {
		return err // ErrKey: a crash came after it was done
	}
	d.store.changedFrom = nil
	return d.store.db.Update(func(tx StoreTx) error { return tx.Delete(BucketMeta, keyChanging) })
}
