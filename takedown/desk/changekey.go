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
	"github.com/staydown/staydown/internal/fsx"
	"github.com/staydown/staydown/internal/keyfile"
	"github.com/staydown/staydown/takedown"
)

// Names beside those of a folder while its operator key is changed.
const (
	newKeys     = "keys.new"
	oldKeys     = "keys.old"
	newOperator = "operator.key.new"
	oldOperator = "operator.key.old" // another name of the old key file, until that is overwritten
	// changedKey is the old operator key, sealed under the new one. It is a file, because
	// the case store cannot overwrite what it has deleted.
	changedKey = "operator.key.changed"
)

var keyChanging = []byte("changing") // there until the change of the operator key is finished

// ChangeOperatorKey changes the operator key of a desk that is not open. opts are those
// of Open, with the old key. If the key lies in the folder, the new one takes its place.
// Otherwise the caller keeps it.
//
// It seals the keys of cases, the addresses and hashes of items, kept pictures, the queue
// of matches and the outbox anew. One transaction of the case store decides: before it the old key opens
// the desk, and after it the new one, also after a crash; Open then finishes the change.
// Approvals that wait for a second reviewer are void. Backups keep the old key. A Store
// and a Journal of the options are closed at the end.
func ChangeOperatorKey(ctx context.Context, dir string, opts *Options, key []byte) (err error) {
	if len(key) != operatorKeySize {
		return badOption("key", "it has %d bytes, not %d", len(key), operatorKeySize)
	}
	o, giveBack := lend(opts)
	defer func() { err = errors.Join(err, giveBack()) }()
	fresh := [operatorKeySize]byte(key)
	d, err := newDesk(dir, &o)
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

// lend returns options whose Store and Journal stay open when a desk closes them, for
// several desks one after the other. giveBack closes them.
func lend(opts *Options) (o Options, giveBack func() error) {
	if opts != nil {
		o = *opts
	}
	s, j := o.Store, o.Journal
	if s != nil {
		o.Store = lentStore{s}
	}
	if j != nil {
		o.Journal = lentJournal{j}
	}
	return o, func() (err error) {
		if s != nil {
			err = s.Close()
		}
		if j != nil {
			err = errors.Join(err, j.Close())
		}
		return err
	}
}

type lentStore struct{ Store }

func (lentStore) Close() error { return nil }

type lentJournal struct{ blocklist.Journal }

func (lentJournal) Close() error { return nil }

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
	if err := writeFile(filepath.Join(d.dir, changedKey), seal(fresh, label("changing", s.id), old[:])); err != nil {
		return err
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
			putDesk(tx, s.id, fresh), tx.Put(BucketMeta, keyChanging, []byte{1}),
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

// renewParties computes the digests of requesters anew, and those by which messages to
// their addresses are counted.
func (d *Desk) renewParties(ctx context.Context, tx StoreTx, fresh [operatorKeySize]byte) error {
	renewed := &caseStore{operator: fresh}
	recipients := map[string][]byte{} // old digest → new one
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
		changes := len(c.Party) > 0 || c.First != nil
		c.First, c.Party = nil, nil // it stays so if the request cannot be read, or is erased
		if _, err := d.store.addRequest(tx, c); err == nil && c.Request != nil {
			who := c.Request.From()
			if changes {
				c.Party = partyOf(who, fresh)
			}
			if old := d.store.recipientDigest(who.Email, who.Phone); old != nil {
				recipients[string(old)] = renewed.recipientDigest(who.Email, who.Phone)
			}
		}
		if changes {
			if err := d.store.putCase(tx, c); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return renewSent(tx, recipients)
}

// renewSent stores the counts of messages, and the addresses that were confirmed, under
// the new digests of addresses. Those of which no case can be read are forgotten.
func renewSent(tx StoreTx, recipients map[string][]byte) error {
	was := map[string][]byte{}
	if err := tx.Scan(BucketSent, nil, nil, func(k, v []byte) error {
		was[string(k)] = bytes.Clone(v)
		return nil
	}); err != nil {
		return err
	}
	for k, v := range was {
		head := 1 // of confirmedKey
		if k[0] == 'n' {
			head += 4 // of sentKey
		}
		err := tx.Delete(BucketSent, []byte(k))
		if fresh := recipients[k[min(head, len(k)):]]; fresh != nil {
			err = errors.Join(err, tx.Put(BucketSent, append([]byte(k[:head]), fresh...), v))
		}
		if err != nil {
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
	changing := false
	if err := s.db.View(func(tx StoreTx) error {
		b, err := tx.Get(BucketMeta, keyChanging)
		changing = b != nil
		return err
	}); err != nil {
		return err
	}
	if !changing {
		// A change that is over, or that came to nothing: its copies of keys would outlive
		// an erasure.
		return wipe(dir, newKeys, changedKey)
	}
	b, err := os.ReadFile(filepath.Join(dir, changedKey))
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("takedown: the operator key was being changed: put back the file %s: %w", changedKey, err)
		return &MismatchError{Part: PartOperatorKey, Fault: FaultMissing, Than: PartCases, Err: err}
	}
	if err == nil {
		b, err = unseal(s.operator, label("changing", s.id), b)
	}
	if err != nil {
		return fmt.Errorf("takedown: %s: %w", changedKey, err)
	}
	s.changedFrom = (*[operatorKeySize]byte)(b)
	return swapFile(dir, "keys", newKeys, oldKeys)
}

// wipe overwrites and removes files of a folder, as far as they are there.
func wipe(dir string, names ...string) error {
	for _, name := range names {
		if err := fsx.Wipe(fsx.OS{}, filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("takedown: %w", err)
		}
	}
	return nil
}

// replaceOperatorKey puts the file of the new operator key in the place of the old one,
// which is overwritten. The old file has two names until then. A file system without
// such names leaves its block to the next file.
func replaceOperatorKey(dir string) error {
	path := filepath.Join(dir, "operator.key")
	_ = os.Link(path, filepath.Join(dir, oldOperator))
	if err := os.Rename(filepath.Join(dir, newOperator), path); err != nil {
		return fmt.Errorf("takedown: operator key: %w", err)
	}
	if err := (fsx.OS{}).SyncDir(dir); err != nil {
		return fmt.Errorf("takedown: operator key: %w", err)
	}
	return wipe(dir, oldOperator)
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
	r, err := d.store.record()
	if err != nil {
		return err
	}
	from, to := faceKeyOf(*d.store.changedFrom), d.store.listFaceKey()
	err = blocklist.ChangeFaceKey(filepath.Join(d.dir, "list"), r.list.list, &from, &to)
	if err != nil && !errors.Is(err, blocklist.ErrKey) { // with ErrKey a crash came after it was done
		return err
	}
	d.store.changedFrom = nil
	if err := d.store.db.Update(func(tx StoreTx) error { return tx.Delete(BucketMeta, keyChanging) }); err != nil {
		return err
	}
	return wipe(d.dir, changedKey)
}
