package desk

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/internal/fsx"
	"github.com/staydown/staydown/internal/keyfile"
	"github.com/staydown/staydown/takedown"
)

// Files of a backup beside those of a desk.
const (
	backupName = "backup.json" // a BackupInfo
	unfinished = "unfinished"  // there until the backup is complete; id of the desk
)

// BackupInfo describes a backup, in its file backup.json.
type BackupInfo struct {
	Time  time.Time `json:"time"`
	Desk  string    `json:"desk"` // id of the desk, in hexadecimal digits
	Seq   uint64    `json:"seq"`  // the last event of its list
	Log   uint64    `json:"log"`  // the last entry of its log
	Cases int       `json:"cases"`
	// OperatorKey is the fingerprint of the operator key, which is not in the backup:
	// see Status.
	OperatorKey string `json:"operator_key"`
}

// ErrBackup is returned when the folder for a backup has something else in it.
var ErrBackup = errors.New("takedown: the folder is no place for a backup")

// Backup writes a copy of the desk into a folder, while the desk goes on. The copy is of
// one moment, has been opened and compared when Backup returns nil, and is a folder for
// [Open]. It has everything except the operator key, which must be kept elsewhere.
//
// The folder must not exist, or be empty, or have an unfinished backup of this desk,
// which is continued. The error wraps [ErrBackup] otherwise. The case store is copied to
// the default kind of [Store], also from another one. Keys are copied last, so that
// what is erased meanwhile is erased in the backup too.
//
// docs/operating.md has how to restore one.
func (d *Desk) Backup(ctx context.Context, dir string) (info BackupInfo, err error) {
	if d.closed.Load() {
		return info, takedown.ErrClosed
	}
	err = d.report(OpBackup, false, func() error {
		info, err = d.backup(ctx, dir)
		return closedError(err)
	})
	return info, err
}

func (d *Desk) backup(ctx context.Context, dir string) (info BackupInfo, err error) {
	id := hex.EncodeToString(d.store.id[:])
	if err := beginBackup(dir, id); err != nil {
		return info, err
	}
	to, err := OpenStore(filepath.Join(dir, "cases.db"))
	if err != nil {
		return info, err
	}
	var at reached
	var head keyfile.Mark
	var made uint64
	// No move begins before the transaction has: the list is of the same moment.
	d.mu.Lock()
	locked := true
	unlock := func() {
		if locked {
			locked = false
			d.mu.Unlock()
		}
	}
	err = d.store.db.View(func(tx StoreTx) error {
		r, err := recordIn(tx)
		at, head, made = d.here(), r.head, r.keys
		unlock()
		if err != nil {
			return err
		}
		return copyStore(ctx, tx, to)
	})
	unlock()
	if err = errors.Join(err, to.Close()); err != nil {
		return info, err
	}
	if err := boltjournal.Copy(ctx, d.list, at.Position, filepath.Join(dir, "list")); err != nil {
		return info, err
	}
	if err := d.store.keys.f.CopyMarked(fsx.OS{}, filepath.Join(dir, "keys"), head, made); err != nil {
		return info, keyError(err)
	}
	cases, err := d.openBackup(ctx, dir)
	if err != nil {
		return info, fmt.Errorf("takedown: the backup is not in order: %w", err)
	}
	info = BackupInfo{Time: d.clock(), Desk: id, Seq: at.Seq, Log: head.Seq, Cases: cases, OperatorKey: fingerprint(d.store.operator[:])}
	return info, endBackup(dir, info)
}

// beginBackup makes the folder, or finds an unfinished backup of the same desk in it.
func beginBackup(dir, id string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("takedown: %w", err)
	}
	was, err := os.ReadFile(filepath.Join(dir, unfinished))
	if err == nil {
		if string(was) != id {
			return fmt.Errorf("%w: %s has an unfinished backup of another desk", ErrBackup, dir)
		}
		return nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("takedown: %w", err)
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("takedown: %w", err)
	}
	if len(names) > 0 {
		return fmt.Errorf("%w: %s is not empty; give a new folder for each backup", ErrBackup, dir)
	}
	return writeFile(filepath.Join(dir, unfinished), []byte(id))
}

func endBackup(dir string, info BackupInfo) error {
	b, err := json.MarshalIndent(info, "", "  ")
	if err == nil {
		err = writeFile(filepath.Join(dir, backupName), append(b, '\n'))
	}
	if err == nil {
		err = os.Remove(filepath.Join(dir, unfinished))
	}
	if err == nil {
		err = fsx.OS{}.SyncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("takedown: %w", err)
	}
	return nil
}

// copyBytes is about how much is written in one transaction of a copy.
const copyBytes = 4 << 20

// copyStore makes a store a copy of the state that a transaction reads. What the store
// has already, of an unfinished copy, is not written again.
func copyStore(ctx context.Context, from StoreTx, to Store) error {
	for _, b := range Buckets {
		if err := dropOthers(ctx, from, to, b); err != nil {
			return err
		}
		var batch [][2][]byte
		size := 0
		flush := func() error {
			if err := ctx.Err(); err != nil || len(batch) == 0 {
				return err
			}
			err := to.Update(func(tx StoreTx) error {
				for _, kv := range batch {
					if err := tx.Put(b, kv[0], kv[1]); err != nil {
						return err
					}
				}
				return nil
			})
			batch, size = nil, 0
			return err
		}
		err := from.Scan(b, nil, nil, func(k, v []byte) error {
			there := false
			if err := to.View(func(tx StoreTx) error {
				is, err := tx.Get(b, k)
				there = is != nil
				return err
			}); err != nil || there {
				return err
			}
			batch = append(batch, [2][]byte{bytes.Clone(k), bytes.Clone(v)})
			if size += len(k) + len(v); size < copyBytes {
				return nil
			}
			return flush()
		})
		if err = errors.Join(err, flush()); err != nil {
			return err
		}
	}
	return nil
}

// dropOthers removes the keys that the original does not have, or with another value.
func dropOthers(ctx context.Context, from StoreTx, to Store, b Bucket) error {
	var gone [][]byte
	err := to.View(func(tx StoreTx) error {
		return tx.Scan(b, nil, nil, func(k, v []byte) error {
			is, err := from.Get(b, k)
			if err == nil && (is == nil || !bytes.Equal(is, v)) { // nil equals an empty value
				gone = append(gone, bytes.Clone(k))
			}
			return errors.Join(err, ctx.Err())
		})
	})
	if err != nil || len(gone) == 0 {
		return err
	}
	return to.Update(func(tx StoreTx) error {
		for _, k := range gone {
			if err := tx.Delete(b, k); err != nil {
				return err
			}
		}
		return nil
	})
}

// openBackup opens a backup as Open does, up to the point at which that begins to
// change something, and reads what is in it.
func (d *Desk) openBackup(ctx context.Context, dir string) (cases int, err error) {
	opts := Options{
		Now: d.opts.Now, SigningKey: d.opts.SigningKey, ListKey: d.opts.ListKey, FaceLifetime: d.opts.FaceLifetime,
		// What the index was built by.
		Deadlines: d.opts.Deadlines, UnverifiedDeadlines: d.opts.UnverifiedDeadlines, Calendars: d.opts.Calendars, Retention: d.opts.Retention,
		OperatorKey: d.store.operator[:],
	}
	c, err := newDesk(dir, &opts)
	if err != nil {
		return 0, err
	}
	if err := c.openFiles(); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := c.compareFolder(); err != nil {
		return 0, err
	}
	if err := c.verify(ctx, &cases); err != nil {
		return 0, err
	}
	// Opening a folder with a snapshot is faster.
	return cases, c.list.Compact(ctx)
}

// VerifyError is one thing that [Desk.Verify] found.
type VerifyError struct {
	Case takedown.CaseID // or zero
	Rule uint64          // or 0
	Err  error
}

func (e *VerifyError) Error() string {
	switch {
	case e.Rule != 0:
		return fmt.Sprintf("takedown: case %v, rule %d: %v", e.Case, e.Rule, e.Err)
	case e.Case != takedown.CaseID{}:
		return fmt.Sprintf("takedown: case %v: %v", e.Case, e.Err)
	}
	return e.Err.Error()
}

// Unwrap returns the cause.
func (e *VerifyError) Unwrap() error { return e.Err }

// Errors about a case that Verify finds.
var (
	ErrRuleMissing     = errors.New("the list has no such rule of the case, or it has ended")
	ErrRuleUnexplained = errors.New("the rule applies, and its case does not say so")
)

// Verify reads the whole desk again and returns all errors found, joined: events,
// snapshots and log; every case, with its request and its entries of the index; whether every rule of a case is in
// the list, and every rule in the list has a case. Errors about a case are
// [*VerifyError]. It reads everything, and waits for no move longer than one case.
func (d *Desk) Verify(ctx context.Context) error {
	if d.closed.Load() {
		return takedown.ErrClosed
	}
	var n int
	return closedError(d.verify(ctx, &n))
}

func (d *Desk) verify(ctx context.Context, cases *int) error {
	all := []error{d.list.Verify(ctx)}
	if _, _, err := d.VerifyLog(ctx); err != nil {
		all = append(all, err)
	}
	var ids []takedown.CaseID
	if err := d.store.each(func(c *caseRecord) bool { ids = append(ids, c.ID); return ctx.Err() == nil }); err != nil {
		all = append(all, err)
	}
	*cases = len(ids)
	known := map[uint64]bool{}
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(all, err)...)
		}
		all = append(all, d.verifyCase(id, known)...)
	}
	all = append(all, d.verifyRules(known)...)
	if err := d.store.verifyOwners(ctx); err != nil {
		all = append(all, err)
	}
	if n := d.store.keys.f.Damaged(); n > 0 {
		all = append(all, &VerifyError{Err: fmt.Errorf("takedown: %d keys are damaged", n)})
	}
	return errors.Join(all...)
}

// verifyRules looks for rules of the list that no case explains. known are those
// that one does.
func (d *Desk) verifyRules(known map[uint64]bool) (all []error) {
	v := d.list.State()
	for seq := uint64(1); seq <= v.Seq(); seq++ {
		rule, state, ok := v.Rule(seq)
		if !ok || known[seq] || state != blocklist.RuleInForce && state != blocklist.RuleScheduled {
			continue
		}
		// A move may have come between.
		if c, err := d.store.get(rule.Case); err != nil || !slices.Contains(c.Rules, seq) && c.State != StateEnforcing && c.State != StateRevoking {
			all = append(all, &VerifyError{rule.Case, seq, ErrRuleUnexplained})
		}
	}
	return all
}

// verifyCase reads a case with all that is sealed of it, and compares it with the list.
func (d *Desk) verifyCase(id takedown.CaseID, known map[uint64]bool) (all []error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, err := d.store.whole(id, true)
	if errors.Is(err, ErrNoCase) {
		return nil // ended by retention meanwhile
	}
	if err != nil {
		all = append(all, &VerifyError{Case: id, Err: err})
		if c, err = d.store.get(id); err != nil {
			return all
		}
	}
	if _, err := d.store.material(id); err != nil {
		all = append(all, &VerifyError{Case: id, Err: err})
	}
	// The index has entries of what cannot be read any more.
	if len(all) == 0 {
		if err := d.store.verifyEntries(id); err != nil {
			all = append(all, &VerifyError{Case: id, Err: err})
		}
	}
	v := d.list.State()
	for _, seq := range c.Rules {
		known[seq] = true
		rule, state, ok := v.Rule(seq)
		if !ok || rule.Case != id || state == blocklist.RuleRevoked {
			// A rule that the clock has ended may be forgotten.
			if c.over(d.clock()) {
				continue
			}
			all = append(all, &VerifyError{id, seq, ErrRuleMissing})
		}
	}
	return all
}
