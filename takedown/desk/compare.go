package desk

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/fsx"
	"github.com/staydown/staydown/internal/keyfile"
	"github.com/staydown/staydown/takedown"
)

// The parts of a folder know each other: docs/format/desk.md.
//
//	cases.db      the id of the desk, sealed under the operator's key; how many keys
//	              were made; the Position of the list; a log whose entries are chained
//	keys          the id of the desk, and the entry of the log that it last saw,
//	              sealed under the operator's key
//	list          events with a running digest
//
// Open compares each with the others before it changes anything. What a crash can
// leave behind is repaired. Everything else is a *MismatchError.

var (
	keyDesk     = []byte("desk") // id of the desk, and the same sealed under the operator's key
	keyKeys     = []byte("keys") // how many keys were made
	keyKept     = []byte("kept") // how many were made before Recover gave up newer cases
	keyDestroys = []byte("destroy ")
)

func destroyKey(id takedown.CaseID) []byte { return append(bytes.Clone(keyDestroys), id[:]...) }

// reached is the Position of a list, with its id.
type reached struct {
	list [16]byte
	blocklist.Position
}

func (r reached) bytes() []byte {
	b := append([]byte(nil), r.list[:]...)
	b = binary.BigEndian.AppendUint32(b, r.Epoch)
	b = binary.BigEndian.AppendUint64(b, r.Seq)
	return append(b, r.Digest[:]...)
}

func parseReached(b []byte) (r reached, err error) {
	if len(b) != 16+4+8+32 {
		return r, fmt.Errorf("%w: %q has %d bytes", ErrStore, keyDelivered, len(b))
	}
	r.list = [16]byte(b)
	r.Epoch, r.Seq = binary.BigEndian.Uint32(b[16:]), binary.BigEndian.Uint64(b[20:])
	r.Digest = [32]byte(b[28:])
	return r, nil
}

// here is where the desk's list is.
func (d *Desk) here() reached {
	v := d.list.State()
	return reached{v.ID(), v.Position()}
}

// exists reports whether there is a file that is not empty.
func exists(path string) (bool, error) {
	fi, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("takedown: %w", err)
	}
	return fi.Size() > 0, nil
}

func journalFile(dir string) string { return filepath.Join(dir, "list", "journal.db") }

// survey refuses to make an empty case store beside keys or a list. Open makes the
// case store first, so no crash leads here.
func survey(dir string) error {
	cases, err := exists(filepath.Join(dir, "cases.db"))
	if err != nil || cases {
		return err
	}
	for _, part := range []Part{PartKeys, PartOperatorKey} {
		there, err := exists(filepath.Join(dir, string(part)))
		if err != nil {
			return err
		}
		if there {
			return &MismatchError{Part: PartCases, Fault: FaultMissing, Than: part}
		}
	}
	list, err := os.ReadDir(filepath.Join(dir, "list"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("takedown: %w", err)
	}
	if len(list) > 0 {
		return &MismatchError{Part: PartCases, Fault: FaultMissing, Than: PartList}
	}
	return nil
}

// deskRecord is what a case store says of the desk.
type deskRecord struct {
	fresh bool // nothing was stored yet
	id    [16]byte
	check []byte
	keys  uint64 // that were made
	head  keyfile.Mark
	list  reached
}

// record reads it.
func (s *caseStore) record() (r deskRecord, err error) {
	err = s.db.View(func(tx StoreTx) error {
		r, err = recordIn(tx)
		return err
	})
	return r, err
}

func recordIn(tx StoreTx) (r deskRecord, err error) {
	v, err := tx.Get(BucketMeta, keyVersion)
	if r.fresh = v == nil; r.fresh || err != nil {
		return r, err
	}
	if err := checkVersion(v); err != nil {
		return r, err
	}
	b, err := tx.Get(BucketMeta, keyDesk)
	if err != nil {
		return r, err
	}
	if len(b) <= 16 {
		return r, fmt.Errorf("%w: %q has %d bytes", ErrStore, keyDesk, len(b))
	}
	r.id, r.check = [16]byte(b), bytes.Clone(b[16:])
	if r.keys, err = numberIn(tx, keyKeys); err != nil {
		return r, err
	}
	if r.head, err = headOf(tx, r.id); err != nil {
		return r, err
	}
	if b, err = tx.Get(BucketMeta, keyDelivered); err == nil && b != nil {
		r.list, err = parseReached(b)
	}
	return r, err
}

// headOf returns the head of the log as a mark.
func headOf(tx StoreTx, desk [16]byte) (keyfile.Mark, error) {
	seq, hash, err := logHead(tx)
	return keyfile.Mark{Store: desk, Seq: seq, Digest: hash}, err
}

// openParts opens the operator's key and the file of keys, and compares them with the
// case store.
func (s *caseStore) openParts(dir string, opts *Options) error {
	r, err := s.record()
	if err != nil {
		return err
	}
	keys := filepath.Join(dir, "keys")
	if r.fresh {
		if err := refuseFull(keys); err != nil {
			return err
		}
		rand.Read(r.id[:])
	}
	if s.operator, err = openOperatorKey(dir, opts, r.fresh); err != nil {
		return err
	}
	s.id = r.id
	var fresh *keyfile.Mark
	if r.fresh {
		fresh = &keyfile.Mark{Store: r.id}
	} else if err := s.checkOperatorKey(dir, opts, &r); err != nil {
		return err
	} else if err := s.finishChange(dir); err != nil {
		return err
	}
	f, err := keyfile.OpenMarked(fsx.OS{}, keys, &s.operator, fresh)
	if err != nil {
		return keysError(err)
	}
	s.keys = &keyFile{f: f}
	if r.fresh {
		return s.begin()
	}
	return s.compareKeys(&r)
}

// refuseFull refuses a case store without cases beside keys. compareFolder refuses one
// beside a list.
func refuseFull(keys string) error {
	if fi, err := os.Stat(keys); err == nil && fi.Size() > keyfile.EmptySize {
		return &MismatchError{Part: PartCases, Fault: FaultMissing, Than: PartKeys}
	}
	return nil
}

// openOperatorKey returns the key of the options, or that of the file. It makes a new
// one only for a new desk.
func openOperatorKey(dir string, opts *Options, fresh bool) (key [operatorKeySize]byte, err error) {
	if opts.OperatorKey != nil {
		return [operatorKeySize]byte(opts.OperatorKey), nil
	}
	path := filepath.Join(dir, "operator.key")
	if !fresh {
		switch there, err := exists(path); {
		case err != nil:
			return key, err
		case !there:
			return key, &MismatchError{Part: PartOperatorKey, Fault: FaultMissing, Than: PartCases}
		}
	}
	key, err = operatorKey(path)
	if errors.Is(err, errKeySize) && !fresh {
		err = &MismatchError{Part: PartOperatorKey, Fault: FaultDamaged, Than: PartCases, Err: err}
	}
	return key, err
}

// checkOperatorKey compares the key with the store. If a change of the key was cut short, the
// new one is beside the old one.
func (s *caseStore) checkOperatorKey(dir string, opts *Options, r *deskRecord) error {
	opens := func() bool {
		_, err := unseal(s.operator, label("desk", r.id), r.check)
		return err == nil
	}
	fresh := filepath.Join(dir, newOperator)
	if opts.OperatorKey == nil {
		old := s.operator
		if b, err := os.ReadFile(fresh); err == nil && len(b) == operatorKeySize && !opens() {
			if s.operator = [operatorKeySize]byte(b); opens() {
				return replaceOperatorKey(dir)
			}
			s.operator = old
		}
	}
	if !opens() {
		return &MismatchError{Part: PartOperatorKey, Fault: FaultForeign, Than: PartCases}
	}
	return wipe(dir, oldOperator) // a crash came before that
}

// keysError says what a file of keys that does not open is.
func keysError(err error) error {
	e := &MismatchError{Part: PartKeys, Than: PartCases}
	switch {
	case errors.Is(err, keyfile.ErrNoFile):
		e.Fault = FaultMissing
	case errors.Is(err, keyfile.ErrKey):
		e.Fault = FaultForeign
	case errors.Is(err, keyfile.ErrFormat), errors.Is(err, keyfile.ErrDamaged):
		e.Fault, e.Err = FaultDamaged, err
	default:
		return fmt.Errorf("takedown: %w", err)
	}
	return e
}

// begin writes the record of a new desk.
func (s *caseStore) begin() error {
	return s.db.Update(func(tx StoreTx) error {
		return errors.Join(tx.Put(BucketMeta, keyVersion, []byte{storeVersion}), putDesk(tx, s.id, s.operator), putNumber(tx, keyKeys, 0))
	})
}

// putDesk stores the id of the desk, and a value that opens with the operator's key.
func putDesk(tx StoreTx, id [16]byte, operator [operatorKeySize]byte) error {
	return tx.Put(BucketMeta, keyDesk, append(bytes.Clone(id[:]), seal(operator, label("desk", id), id[:])...))
}

func putNumber(tx StoreTx, key []byte, n uint64) error {
	return tx.Put(BucketMeta, key, binary.BigEndian.AppendUint64(nil, n))
}

func numberIn(tx StoreTx, key []byte) (uint64, error) {
	b, err := tx.Get(BucketMeta, key)
	if err == nil && b != nil && len(b) != 8 {
		err = fmt.Errorf("%w: %q has %d bytes", ErrStore, key, len(b))
	}
	if err != nil || b == nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(b), nil
}

// compareKeys compares the file of keys with the case store, in both directions.
func (s *caseStore) compareKeys(r *deskRecord) error {
	mark, made := s.keys.f.Mark(), s.keys.f.Slots()
	switch {
	case mark.Store != r.id:
		return &MismatchError{Part: PartKeys, Fault: FaultForeign, Than: PartCases}
	case made < r.keys:
		return &MismatchError{Part: PartKeys, Fault: FaultOlder, Than: PartCases, Has: made, Needs: r.keys}
	case mark.Seq > r.head.Seq:
		return &MismatchError{Part: PartCases, Fault: FaultOlder, Than: PartKeys, Has: r.head.Seq, Needs: mark.Seq}
	}
	was, err := s.logHash(mark.Seq)
	if err != nil {
		return err
	}
	if was != mark.Digest {
		return &MismatchError{Part: PartCases, Fault: FaultFork, Than: PartKeys}
	}
	s.lags, s.made, s.stamp.made = mark.Seq < r.head.Seq, r.keys, r.keys
	return nil
}

// logHash returns the hash of an entry of the log.
func (s *caseStore) logHash(seq uint64) (hash [32]byte, err error) {
	if seq == 0 {
		return hash, nil
	}
	err = s.db.View(func(tx StoreTx) error {
		b, err := tx.Get(BucketLog, binary.BigEndian.AppendUint64(nil, seq))
		if err == nil && len(b) < 32 {
			err = fmt.Errorf("%w: entry %d is missing", ErrLog, seq)
		}
		if err == nil {
			hash = [32]byte(b)
		}
		return err
	})
	return hash, err
}

// expectList refuses to make an empty list where there has to be one.
func (d *Desk) expectList() error {
	r, err := d.store.record()
	if err != nil || r.list == (reached{}) {
		return err
	}
	var there bool
	if j := d.opts.Journal; j != nil {
		var last uint64
		last, err = j.Last()
		there = last > 0 || r.list.Seq == 0
	} else {
		there, err = exists(journalFile(d.dir))
	}
	if err == nil && !there {
		err = &MismatchError{Part: PartList, Fault: FaultMissing, Than: PartCases, Needs: r.list.Seq}
	}
	return err
}

// compareFolder compares the list with the case store, in both directions.
func (d *Desk) compareFolder() error {
	r, err := d.store.record()
	if err != nil {
		return err
	}
	now := d.here()
	switch {
	case r.list == reached{}:
		if now.Seq > 0 {
			return &MismatchError{Part: PartCases, Fault: FaultMissing, Than: PartList}
		}
	case r.list.list != now.list:
		return &MismatchError{Part: PartList, Fault: FaultForeign, Than: PartCases}
	case errors.Is(d.list.Reached(r.list.Position), blocklist.ErrRollback):
		return &MismatchError{Part: PartList, Fault: FaultOlder, Than: PartCases, Has: now.Seq, Needs: r.list.Seq}
	}
	if err := d.list.Reached(r.list.Position); errors.Is(err, blocklist.ErrFork) {
		return &MismatchError{Part: PartList, Fault: FaultFork, Than: PartCases}
	} else if err != nil {
		return err
	}
	if err := d.compareOutbox(r.list.Seq); err != nil {
		return err
	}
	return d.compareSnapshots()
}

// compareOutbox refuses events that the list has and no outbox: they are of moves
// that the case store has forgotten.
func (d *Desk) compareOutbox(after uint64) error {
	now := d.list.State().Seq()
	if now == after {
		return nil
	}
	queued := map[[16]byte]bool{}
	ids, err := d.store.unfinished()
	if err != nil {
		return err
	}
	for _, id := range ids {
		events, err := d.store.pending(id)
		if err != nil {
			return err
		}
		for _, e := range events {
			queued[e.ID] = true
		}
	}
	known := uint64(0)
	if err := d.list.Events(after+1, func(e blocklist.Event) bool {
		if queued[e.ID] {
			known++
		}
		return true
	}); err != nil {
		return closedError(err)
	}
	if after+known != now {
		return &MismatchError{Part: PartCases, Fault: FaultOlder, Than: PartList, Err: fmt.Errorf("the list has %d events of which the cases know nothing", now-after-known)}
	}
	return nil
}

// compareSnapshots refuses a list beside which there are snapshots with other events:
// the journal is older than they are.
func (d *Desk) compareSnapshots() error {
	for _, err := range d.list.Info().Fallbacks {
		switch {
		case errors.Is(err, blocklist.ErrFork):
			return &MismatchError{Part: PartList, Fault: FaultFork, Than: PartList, Err: err}
		case errors.Is(err, blocklist.ErrJournal):
			return &MismatchError{Part: PartList, Fault: FaultOlder, Than: PartList, Err: err}
		}
	}
	return nil
}

// checkPublished compares one published file with the list.
func (d *Desk) checkPublished(path string) error {
	p, _, err := d.list.CheckPublished(path)
	e := &MismatchError{Part: PartFolder, Than: PartPublished, Path: path}
	switch {
	case errors.Is(err, blocklist.ErrRollback):
		e.Fault, e.Has, e.Needs = FaultOlder, d.list.State().Seq(), p.Seq
		return e
	case errors.Is(err, blocklist.ErrFork):
		e.Fault, e.Err = FaultFork, err
		return e
	}
	return nil
}

// bind notes which list the desk has, and where it is.
func (d *Desk) bind() error {
	r, err := d.store.record()
	if err != nil {
		return err
	}
	now := d.here()
	if r.list.list == now.list && r.list.Epoch == now.Epoch {
		return nil
	}
	return d.store.db.Update(func(tx StoreTx) error { return tx.Put(BucketMeta, keyDelivered, now.bytes()) })
}

// settleKeys destroys the keys that an erasure names, and those that were made after
// the last commit of the store and belong to nothing: a crash came before their case
// was stored. compareKeys has shown that the store is not older than the keys.
func (s *caseStore) settleKeys() error {
	var gone []takedown.CaseID
	err := s.db.View(func(tx StoreTx) error {
		if err := tx.Scan(BucketMeta, keyDestroys, nil, func(k, _ []byte) error {
			if len(k) != len(keyDestroys)+16 {
				return fmt.Errorf("%w: the name of a key has %d bytes", ErrStore, len(k))
			}
			gone = append(gone, takedown.CaseID(k[len(keyDestroys):]))
			return nil
		}); err != nil {
			return err
		}
		for _, id := range s.keys.f.Since(s.made) {
			if named, err := names(tx, id); err != nil {
				return err
			} else if !named {
				gone = append(gone, id)
			}
		}
		return nil
	})
	if err == nil && s.lags {
		gone, err = s.unnamed(gone)
	}
	if err != nil {
		return err
	}
	if err := s.keys.f.Destroy(asKeyIDs(gone)...); err != nil {
		return keyError(err)
	}
	if err := s.keys.f.WipeDamaged(s.made); err != nil {
		return keyError(err)
	}
	s.done(gone...)
	if len(gone) == 0 && !s.lags {
		return nil
	}
	return s.db.Update(func(StoreTx) error { return nil })
}

func asKeyIDs(ids []takedown.CaseID) (out []keyfile.ID) {
	for _, id := range ids {
		out = append(out, keyfile.ID(id))
	}
	return out
}

// names reports whether a case, or a template of a face, has a key.
func names(tx StoreTx, id takedown.CaseID) (bool, error) {
	for _, b := range []Bucket{BucketCases, BucketTemplates} {
		v, err := tx.Get(b, id[:])
		if err != nil || v != nil {
			return true, err
		}
	}
	return false, nil
}

// unnamed adds to gone the keys that no case has, and those of erased cases. The
// store has seen all of them made, and has gone on since the file of keys was in use:
// an erasure has destroyed them, and an older file brought them back.
func (s *caseStore) unnamed(gone []takedown.CaseID) ([]takedown.CaseID, error) {
	keep := map[takedown.CaseID]bool{}
	if err := s.each(func(c *caseRecord) bool {
		keep[c.ID] = !c.Erased()
		for _, id := range templatesOf(c) {
			keep[takedown.CaseID(id)] = true
		}
		return true
	}); err != nil {
		return nil, err
	}
	var kept uint64
	if err := s.db.View(func(tx StoreTx) (err error) { kept, err = numberIn(tx, keyKept); return err }); err != nil {
		return nil, err
	}
	for _, id := range s.keys.f.Since(kept) {
		if !keep[id] && !slices.Contains(gone, takedown.CaseID(id)) {
			gone = append(gone, id)
		}
	}
	return gone, nil
}

// stamping is a Store whose every commit notes how many keys were made, and marks the
// file of keys with the head of the log.
type stamping struct {
	Store
	s *caseStore

	failed   lastFailure // of the last commit
	clock    *clockWatch
	updates  sync.Mutex        // held by Update
	mu       sync.Mutex        // guards the rest
	last     uint64            // the mark of the file of keys
	made     uint64            // keys, as stored
	gone     []takedown.CaseID // keys that are destroyed, and named in the store
	doubtful []takedown.CaseID // keys of a commit that failed
}

func (t *stamping) Update(f func(StoreTx) error) error {
	if t.s.keys == nil { // Open is looking for them
		return t.Store.Update(f)
	}
	t.updates.Lock()
	defer t.updates.Unlock()
	var st stamp
	var own error
	err := t.Store.Update(func(tx StoreTx) error {
		if own = f(tx); own != nil {
			return own
		}
		return t.stamp(tx, &st)
	})
	if own == nil { // f has not failed: the store has, or it has not
		t.failed.set(err)
	}
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.made = st.made
	t.gone, t.doubtful = t.gone[len(st.gone):], t.doubtful[st.doubtful:]
	if st.head.Seq > t.last {
		// An older mark only makes the next Open look closer.
		if t.s.keys.f.SetMark(st.head) == nil {
			t.last = st.head.Seq
		}
	}
	if len(st.unstored) > 0 && t.s.keys.f.Destroy(asKeyIDs(st.unstored)...) == nil {
		t.gone = append(t.gone, st.unstored...)
	}
	return nil
}

// stamp is what is written with a commit.
type stamp struct {
	head     keyfile.Mark
	made     uint64
	gone     []takedown.CaseID // whose names are forgotten
	doubtful int               // how many were looked at
	unstored []takedown.CaseID // keys of commits that failed
}

func (t *stamping) stamp(tx StoreTx, st *stamp) (err error) {
	t.mu.Lock()
	made, doubtful := t.made, slices.Clone(t.doubtful)
	*st = stamp{made: t.s.keys.f.Slots(), gone: slices.Clone(t.gone), doubtful: len(doubtful)}
	t.mu.Unlock()
	for _, id := range doubtful {
		if named, err := names(tx, id); err != nil {
			return err
		} else if !named {
			st.unstored = append(st.unstored, id)
		}
	}
	for _, id := range st.gone {
		if err := tx.Delete(BucketMeta, destroyKey(id)); err != nil {
			return err
		}
	}
	if err := putDestroyed(tx, st.unstored); err != nil {
		return err
	}
	if made != st.made {
		if err := putNumber(tx, keyKeys, st.made); err != nil {
			return err
		}
	}
	if t.clock != nil {
		if err := t.clock.store(tx); err != nil {
			return err
		}
	}
	st.head, err = headOf(tx, t.s.id)
	return err
}

// done notes that keys are destroyed, so that the next commit forgets their names.
func (s *caseStore) done(ids ...takedown.CaseID) {
	s.stamp.mu.Lock()
	defer s.stamp.mu.Unlock()
	s.stamp.gone = append(s.stamp.gone, ids...)
}

// doubt notes keys that were made for a commit that failed. The next commit sees
// whether it was stored after all.
func (s *caseStore) doubt(ids ...takedown.CaseID) {
	s.stamp.mu.Lock()
	defer s.stamp.mu.Unlock()
	s.stamp.doubtful = append(s.stamp.doubtful, ids...)
}

// putDestroyed names keys that are destroyed after the commit.
func putDestroyed(tx StoreTx, ids []takedown.CaseID) error {
	for _, id := range ids {
		if err := tx.Put(BucketMeta, destroyKey(id), []byte{1}); err != nil {
			return err
		}
	}
	return nil
}
