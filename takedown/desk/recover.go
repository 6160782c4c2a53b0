package desk

import (
	"context"
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

// Choice is what an operator accepts to lose in [Recover], or to believe.
type Choice string

// The choices of Recover. Each is for a fault that Open refuses: see
// [MismatchError.Choice].
const (
	// LoseOperatorKey makes a new operator key, or takes the one that is given. All
	// personal data that is sealed under the old one is lost: requests, evidence, kept
	// pictures, faces, the queue of matches. Rules stay in force, and their cases can be ended.
	LoseOperatorKey Choice = "lose operator key"
	// LoseKeys goes on with the keys that are there. The personal data of the other
	// cases is lost. Rules stay in force, and their cases can be ended.
	LoseKeys Choice = "lose keys"
	// LoseCases believes the list where it is newer than the cases. A rule without a
	// case gets a case without a request, so that it can be withdrawn. A case whose
	// rules have ended in the list has ended.
	LoseCases Choice = "lose cases"
	// LoseList believes the cases where they are newer than the list. Rules that the
	// list lacks are made again, and those of cases that have ended are ended. What
	// reviewers decided about matches since is lost: derived keys and exceptions.
	LoseList Choice = "lose list"
	// LoseSince goes on with a folder that is older than what it published. Nodes
	// forget the rules that came since.
	LoseSince Choice = "lose since"
	// TrustClock believes the clock, although it has jumped.
	TrustClock Choice = "trust clock"
)

// Recovery reports what [Recover] did, and what is lost.
type Recovery struct {
	// Repaired are the faults, in the order of their repair.
	Repaired []*MismatchError
	// Aside are the files and folders that were put aside, not deleted. They may have
	// keys of people: destroy them when they are not needed any more.
	Aside []string
	// Unreadable are the cases whose personal data is lost.
	Unreadable []takedown.CaseID
	// Adopted are the cases without a request that were made for rules without a case.
	Adopted []takedown.CaseID
	// Ended are the cases that were moved to an end because the list has no rule of them.
	Ended []takedown.CaseID
	// Restored are the cases whose rules were made again.
	Restored []takedown.CaseID
	// NotEnforced are the cases that were granted, and whose rules could not be made
	// again. They were moved to reversed.
	NotEnforced []takedown.CaseID
	// Moves is how many unfinished moves were lost, and Events how many events of the
	// list are known to be lost.
	Moves  int
	Events uint64
	// NewList reports that the list was made anew. Nodes refuse it until they load it
	// for the first time: start them again without their last state.
	NewList bool
	// FacesLost are the cases whose faces cannot be recognised any more. Withdraw them.
	FacesLost []takedown.CaseID
}

// Recover repairs a folder that [Open] refuses, as far as the choices allow. It returns
// what is lost. If a repair needs another choice, nothing of that repair is done, and
// the error is the [*MismatchError] that asks for it. Files that are given up are put
// aside, never deleted, and no key is destroyed. The folder must not be open.
//
// A Store and a Journal of the options are repaired too, and closed at the end. They
// cannot be put aside: where one is damaged, or has to begin anew, the error wraps
// [ErrNotInFolder] and says what to do.
//
// Make a copy of the folder first: the repairs cannot be undone.
func Recover(ctx context.Context, dir string, opts *Options, choices ...Choice) (did Recovery, err error) {
	r := &recovering{dir: dir, choices: choices}
	var giveBack func() error
	r.opts, giveBack = lend(opts)
	defer func() { err = errors.Join(err, giveBack()) }()
	if _, err := os.Stat(dir); err != nil {
		return Recovery{}, fmt.Errorf("takedown: %w", err)
	}
	r.opts.Salvage = true
	err = r.run(ctx)
	return r.did, err
}

// ErrNotInFolder is returned when [Recover] would have to put a part aside that is not a
// file of the folder, because it is in [Options].Store or [Options].Journal.
var ErrNotInFolder = errors.New("takedown: the part is not in the folder")

func notInFolder(what string) error {
	return fmt.Errorf("%w: put the %s aside by the means of its database, give an empty one in the options, and call Recover again with the same choices; or restore a backup", ErrNotInFolder, what)
}

// store opens the case store.
func (r *recovering) store() (Store, error) {
	if r.opts.Store != nil {
		return r.opts.Store, nil // that is lent
	}
	return OpenStore(filepath.Join(r.dir, "cases.db"))
}

// begun reports whether there is a case store, which may be empty.
func (r *recovering) begun() (bool, error) {
	if r.opts.Store == nil {
		return exists(filepath.Join(r.dir, "cases.db"))
	}
	var rec deskRecord
	err := r.opts.Store.View(func(tx StoreTx) (err error) { rec, err = recordIn(tx); return err })
	return !rec.fresh, err
}

type recovering struct {
	dir     string
	opts    Options
	choices []Choice
	did     Recovery

	listWins, casesWin bool
}

// maxRepairs bounds the repairs: each part can have few faults.
const maxRepairs = 20

func (r *recovering) run(ctx context.Context) error {
	for range maxRepairs {
		d, err := r.open(ctx, true)
		var m *MismatchError
		switch {
		case err == nil:
			err = r.reconcile(ctx, d)
			return errors.Join(err, d.Close())
		case !errors.As(err, &m):
			return err
		case !r.accepts(m.Choice()):
			return m
		}
		r.did.Repaired = append(r.did.Repaired, m)
		if err := r.repair(ctx, m); err != nil {
			return fmt.Errorf("takedown: repair of %s: %w", m.Part, err)
		}
	}
	return fmt.Errorf("takedown: the folder is not in order after %d repairs", maxRepairs)
}

func (r *recovering) accepts(c Choice) bool {
	if c == LoseSince && (slices.Contains(r.choices, LoseList) || slices.Contains(r.choices, LoseCases)) {
		return true // it follows
	}
	return slices.Contains(r.choices, c)
}

// open is Open. published says whether published files are compared.
func (r *recovering) open(ctx context.Context, published bool) (*Desk, error) {
	d, err := newDesk(r.dir, &r.opts)
	if err != nil {
		return nil, err
	}
	if err := d.openFiles(); err != nil {
		return nil, err
	}
	if slices.Contains(r.choices, TrustClock) {
		d.watching.trust(d.clock())
	}
	err = d.compareFolder()
	if err == nil && published {
		err = d.comparePublished()
	}
	if err == nil {
		err = d.finishOpening(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (r *recovering) repair(ctx context.Context, m *MismatchError) error {
	switch m.Part {
	case PartOperatorKey:
		r.listWins = true
		return r.loseOperatorKey()
	case PartKeys:
		return r.loseKeys(m.Fault == FaultOlder)
	case PartCases:
		r.listWins = true
		if m.Fault == FaultDamaged || m.Fault == FaultMissing && m.Than != PartList {
			return r.newCases()
		}
		if m.Than == PartKeys && m.Fault != FaultMissing {
			return r.keepKeys()
		}
		if m.Fault == FaultMissing {
			if there, err := r.begun(); err != nil {
				return err
			} else if !there {
				return r.newCases()
			}
		}
		return r.rebind()
	case PartList:
		r.casesWin = true
		return r.loseList(m)
	}
	r.did.Events += m.Needs - min(m.Needs, m.Has)
	return r.newEpoch(ctx, m.Needs)
}

// aside moves a file or folder away.
func (r *recovering) aside(name string) error {
	from := filepath.Join(r.dir, name)
	if _, err := os.Lstat(from); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	to := filepath.Join(r.dir, "lost", fmt.Sprintf("%s-%s-%d", filepath.Base(name), time.Now().UTC().Format("20060102T150405"), len(r.did.Aside)))
	err := os.MkdirAll(filepath.Dir(to), 0o700)
	if err == nil {
		err = os.Rename(from, to)
	}
	if err == nil {
		err = errors.Join(fsx.OS{}.SyncDir(filepath.Dir(from)), fsx.OS{}.SyncDir(filepath.Dir(to)))
	}
	if err != nil {
		return fmt.Errorf("takedown: %w", err)
	}
	r.did.Aside = append(r.did.Aside, to)
	return nil
}

// edit changes the store, and the file of keys, while neither is compared.
func (r *recovering) edit(f func(tx StoreTx, k *keyfile.File, rec *deskRecord) error) error {
	db, err := r.store()
	if err != nil {
		return err
	}
	defer db.Close()
	key, err := openOperatorKey(r.dir, &r.opts, false)
	if err != nil {
		return err
	}
	k, err := keyfile.OpenMarked(fsx.OS{}, filepath.Join(r.dir, "keys"), &key, nil)
	if err != nil {
		return keysError(err)
	}
	err = db.Update(func(tx StoreTx) error {
		rec, err := recordIn(tx)
		if err == nil {
			err = f(tx, k, &rec)
		}
		if err == nil {
			err = putNumber(tx, keyKeys, k.Slots())
		}
		return err
	})
	return errors.Join(err, k.Sync(), k.Close())
}

// keepKeys goes on with a store that is older than the keys. The keys of cases that it
// does not know stay: the store that has these cases may be found.
func (r *recovering) keepKeys() error {
	return r.edit(func(tx StoreTx, k *keyfile.File, rec *deskRecord) error {
		return errors.Join(k.SetMark(rec.head), putNumber(tx, keyKept, k.Slots()))
	})
}

// freshKeys puts the file of keys aside and makes an empty one.
func (r *recovering) freshKeys(key [operatorKeySize]byte, mark keyfile.Mark) error {
	if err := r.aside("keys"); err != nil {
		return err
	}
	k, err := keyfile.OpenMarked(fsx.OS{}, filepath.Join(r.dir, "keys"), &key, &mark)
	if err != nil {
		return keysError(err)
	}
	return k.Close()
}

func (r *recovering) loseKeys(older bool) error {
	if !older {
		db, err := r.store()
		if err != nil {
			return err
		}
		var rec deskRecord
		err = db.View(func(tx StoreTx) (err error) { rec, err = recordIn(tx); return err })
		if err = errors.Join(err, db.Close()); err != nil {
			return err
		}
		key, err := openOperatorKey(r.dir, &r.opts, false)
		if err != nil {
			return err
		}
		if err := r.freshKeys(key, rec.head); err != nil {
			return err
		}
	}
	return r.edit(func(StoreTx, *keyfile.File, *deskRecord) error { return nil })
}

// loseOperatorKey goes on with another operator key.
func (r *recovering) loseOperatorKey() error {
	path := filepath.Join(r.dir, "operator.key")
	if r.opts.OperatorKey == nil {
		if _, err := operatorKey(path); errors.Is(err, errKeySize) {
			if err := r.aside("operator.key"); err != nil {
				return err
			}
		}
	}
	key, err := openOperatorKey(r.dir, &r.opts, true)
	if err != nil {
		return err
	}
	db, err := r.store()
	if err != nil {
		return err
	}
	defer db.Close()
	var rec deskRecord
	if err := db.View(func(tx StoreTx) (err error) { rec, err = recordIn(tx); return err }); err != nil {
		return err
	}
	if err := r.freshKeys(key, rec.head); err != nil {
		return err
	}
	return db.Update(func(tx StoreTx) error {
		owners := map[string]bool{}
		if err := tx.Scan(BucketOutbox, nil, nil, func(k, _ []byte) error { owners[string(k[:min(16, len(k))])] = true; return nil }); err != nil {
			return err
		}
		r.did.Moves += len(owners)
		// What nobody can open any more.
		for _, b := range []Bucket{BucketOutbox, BucketMaterial, BucketPictures, BucketMatches, BucketIndex} {
			if err := deletePrefix(tx, b, nil); err != nil {
				return err
			}
		}
		return errors.Join(tx.Delete(BucketMeta, keyIndex), tx.Delete(BucketMeta, keyWaiting), tx.Delete(BucketMeta, keyChanging), putNumber(tx, keyKeys, 0), putDesk(tx, rec.id, key))
	})
}

// newCases makes an empty case store for the keys that are there.
func (r *recovering) newCases() error {
	if r.opts.Store != nil {
		if there, err := r.begun(); err != nil || there {
			return errors.Join(err, notInFolder("case store"))
		}
	}
	key, err := r.operatorKey()
	if err != nil {
		return err
	}
	id, made, err := r.remainingKeys(key)
	if err != nil {
		return err
	}
	if err := r.aside("cases.db"); err != nil {
		return err
	}
	db, err := r.store()
	if err != nil {
		return err
	}
	err = db.Update(func(tx StoreTx) error {
		return errors.Join(tx.Put(BucketMeta, keyVersion, []byte{storeVersion}), putDesk(tx, id, key), putNumber(tx, keyKeys, made), putNumber(tx, keyKept, made))
	})
	return errors.Join(err, db.Close())
}

// operatorKey returns the operator key, or makes one if it may be lost.
func (r *recovering) operatorKey() ([operatorKeySize]byte, error) {
	key, err := openOperatorKey(r.dir, &r.opts, false)
	var m *MismatchError
	if !errors.As(err, &m) || !r.accepts(LoseOperatorKey) {
		return key, err
	}
	r.did.Repaired = append(r.did.Repaired, m)
	if m.Fault == FaultDamaged {
		if err := r.aside("operator.key"); err != nil {
			return key, err
		}
	}
	return openOperatorKey(r.dir, &r.opts, true)
}

// remainingKeys prepares the file of keys for a store without cases, and returns the id
// of the desk, and how many keys were made.
func (r *recovering) remainingKeys(key [operatorKeySize]byte) (id [16]byte, made uint64, err error) {
	path := filepath.Join(r.dir, "keys")
	k, err := keyfile.OpenMarked(fsx.OS{}, path, &key, nil)
	if err != nil {
		var m *MismatchError
		if err = keysError(err); !errors.As(err, &m) || m.Fault != FaultMissing && !r.accepts(LoseKeys) {
			return id, 0, err
		}
		if err := r.freshKeys(key, keyfile.Mark{Store: newEventID()}); err != nil {
			return id, 0, err
		}
		if k, err = keyfile.OpenMarked(fsx.OS{}, path, &key, nil); err != nil {
			return id, 0, keysError(err)
		}
	}
	id, made = k.Mark().Store, k.Slots()
	if err = errors.Join(k.SetMark(keyfile.Mark{Store: id}), k.Sync(), k.Close()); err != nil {
		return id, 0, keyError(err)
	}
	return id, made, nil
}

// rebind believes the list that is there.
func (r *recovering) rebind() error {
	d, err := newDesk(r.dir, &r.opts)
	if err != nil {
		return err
	}
	if err := d.openFiles(); err != nil {
		return err
	}
	err = d.store.db.Update(func(tx StoreTx) error { return putDelivered(tx, d.here()) })
	return errors.Join(err, d.Close())
}

func (r *recovering) loseList(m *MismatchError) error {
	r.did.Events += m.Needs - min(m.Needs, m.Has)
	switch {
	case m.Than == PartList: // snapshots of another journal
		list, err := os.ReadDir(filepath.Join(r.dir, "list"))
		for _, e := range list {
			if ok, _ := filepath.Match("snapshot-*", e.Name()); ok {
				err = errors.Join(err, r.aside(filepath.Join("list", e.Name())))
			}
		}
		return err
	case m.Fault == FaultOlder, m.Fault == FaultFork:
		return r.rebind()
	}
	if j := r.opts.Journal; j != nil {
		if last, err := j.Last(); err != nil || last > 0 {
			return errors.Join(err, notInFolder("journal"))
		}
	}
	r.did.NewList = true
	if err := r.aside("list"); err != nil {
		return err
	}
	db, err := r.store()
	if err != nil {
		return err
	}
	err = db.Update(func(tx StoreTx) error { return tx.Delete(BucketMeta, keyDelivered) })
	return errors.Join(err, db.Close())
}

// newEpoch raises the epoch of the list, and fills it with events without effect up to a
// number, so that nodes that have a newer list take it as the successor of that.
func (r *recovering) newEpoch(ctx context.Context, upTo uint64) error {
	if r.opts.Journal != nil {
		return fmt.Errorf("%w: the journal in the options cannot begin a new epoch: restore a newer backup of its database; or remove the published files that are newer, and start their readers without their last state", ErrNotInFolder)
	}
	d, err := r.open(ctx, false)
	if err != nil {
		return err
	}
	err = d.fill(ctx, upTo)
	if err = errors.Join(err, d.list.Close()); err != nil {
		return errors.Join(err, d.store.close())
	}
	from, to := d.listOptions(), d.listOptions()
	to.NewEpoch = true
	err = boltjournal.Rekey(ctx, filepath.Join(d.dir, "list"), &from, &to, nil)
	return errors.Join(err, d.Close())
}

// fill appends events without effect.
func (d *Desk) fill(ctx context.Context, upTo uint64) error {
	for d.list.State().Seq() < upTo {
		var events []blocklist.Event
		for range min(upTo-d.list.State().Seq(), 1000) {
			events = append(events, blocklist.Event{ID: newEventID(), Type: blocklist.EventReverted, Time: d.clock(), Target: nothing})
		}
		if _, err := d.list.Append(ctx, events...); err != nil {
			return err
		}
	}
	return d.store.db.Update(func(tx StoreTx) error { return putDelivered(tx, d.here()) })
}

// nothing is the number of an event that no list reaches.
const nothing = 1<<62 - 1

// reconcile brings the cases and the list to one state.
func (r *recovering) reconcile(ctx context.Context, d *Desk) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	rules := d.liveRules()
	var all []*caseRecord
	if err := d.store.each(func(c *caseRecord) bool { all = append(all, c); return true }); err != nil {
		return err
	}
	if r.casesWin {
		if err := r.restoreRules(ctx, d, all, rules); err != nil {
			return err
		}
		rules = d.liveRules()
	}
	lost := d.list.State().RulesWithoutFaces()
	known := map[takedown.CaseID]bool{}
	for _, c := range all {
		known[c.ID] = true
		if r.listWins {
			if err := r.believeList(d, c, rules[c.ID]); err != nil {
				return err
			}
		}
		if !c.Erased() && !d.store.keys.f.Has(c.ID) {
			r.did.Unreadable = append(r.did.Unreadable, c.ID)
		}
		if slices.ContainsFunc(c.Rules, func(rule uint64) bool { return slices.Contains(lost, rule) }) {
			r.did.FacesLost = append(r.did.FacesLost, c.ID)
		}
	}
	for id, live := range rules {
		if !known[id] {
			if err := r.adopt(d, id, live); err != nil {
				return err
			}
		}
	}
	return d.store.db.Update(func(tx StoreTx) error { return putDelivered(tx, d.here()) })
}

// liveRules returns the rules that have not ended, by their cases.
func (d *Desk) liveRules() map[takedown.CaseID][]uint64 {
	rules := map[takedown.CaseID][]uint64{}
	v := d.list.State()
	for seq := uint64(1); seq <= v.Seq(); seq++ {
		if rule, state, ok := v.Rule(seq); ok && state != blocklist.RuleRevoked {
			rules[rule.Case] = append(rules[rule.Case], seq)
		}
	}
	return rules
}

// recovered is the reason in the log.
var recovered = Actor{Reason: "recovered"}

// believeList gives a case the rules that the list has, and the state that follows.
func (r *recovering) believeList(d *Desk, c *caseRecord, live []uint64) error {
	moving := c.State == StateEnforcing || c.State == StateRevoking
	if slices.Equal(c.Rules, live) && !moving {
		return nil
	}
	c.Rules = live
	for i := range c.Items {
		if !slices.Contains(live, c.Items[i].Rule) {
			c.Items[i].Rule = 0
		}
	}
	c.After, c.Incoming, c.Silent = "", nil, false
	now, to := d.clockFor(c), c.State
	switch {
	case len(live) > 0 && !c.undecided() && c.State != StateCourtHold:
		to = StateInForce
	case len(live) == 0 && (moving || c.State == StateInForce || c.State == StateCourtHold):
		to = StateWithdrawn
		c.happened(MilestoneEnded, now)
		r.did.Ended = append(r.did.Ended, c.ID)
	}
	c.recoverTo(to, now)
	return d.store.apply(change{cases: []*caseRecord{c}})
}

// recoverTo moves a case to a state that no move of a person leads to.
func (c *caseRecord) recoverTo(to State, now time.Time) {
	c.note(c.State, to, recovered, now)
	c.State = to
	c.Moves = append(c.Moves, Moved{Actor: recovered, To: to, Time: now})
}

// adopt makes a case for rules without one. It has no request, and can be ended.
func (r *recovering) adopt(d *Desk, id takedown.CaseID, live []uint64) error {
	if id == (takedown.CaseID{}) {
		return nil // not of a case
	}
	now := d.clock()
	rule, _, _ := d.list.State().Rule(live[0])
	c := &caseRecord{Case: Case{
		ID: id, Kind: takedown.Kind(rule.Kind), Received: now, Outcome: OutcomeAccepted, Granted: rule.Scope, Effect: rule.Effect,
		Start: rule.Start, End: rule.End, Rules: live,
	}}
	for _, m := range []Milestone{MilestoneReceived, MilestoneDecided, MilestoneEnforced, MilestoneErased} {
		c.happened(m, now)
	}
	c.recoverTo(StateInForce, now)
	r.did.Adopted = append(r.did.Adopted, id)
	return d.store.apply(change{cases: []*caseRecord{c}})
}

// restoreRules makes the rules again that the list lacks, and ends those of which the
// cases know nothing.
func (r *recovering) restoreRules(ctx context.Context, d *Desk, all []*caseRecord, rules map[takedown.CaseID][]uint64) error {
	var ending []blocklist.Event
	missing := map[takedown.CaseID][]uint64{}
	// All of them first: the events that follow take numbers that are missing.
	for _, c := range all {
		live := rules[c.ID]
		for _, rule := range c.Rules {
			if !slices.Contains(live, rule) {
				missing[c.ID] = append(missing[c.ID], rule)
			}
		}
		for _, rule := range live {
			if !slices.Contains(c.Rules, rule) {
				ending = append(ending, blocklist.Event{ID: newEventID(), Type: blocklist.EventRevoked, Time: d.clock(), Target: rule})
			}
		}
	}
	if len(ending) > 0 {
		if _, err := d.list.Append(ctx, ending...); err != nil {
			return err
		}
	}
	for _, c := range all {
		if len(missing[c.ID]) == 0 {
			continue
		}
		if err := r.restoreCase(ctx, d, c, missing[c.ID]); err != nil {
			return err
		}
	}
	return r.restoreAllowed(ctx, d)
}

func (r *recovering) restoreCase(ctx context.Context, d *Desk, c *caseRecord, missing []uint64) error {
	now := d.clockFor(c)
	over := c.over(now)
	var rules []blocklist.Rule
	var covers [][]int
	var err error
	if c.undecided() {
		rules, covers, err = d.holding(c, true)
	} else if !over {
		rules, covers, err = d.without(c, nil, missing)
	}
	c.Rules = slices.DeleteFunc(c.Rules, func(rule uint64) bool { return slices.Contains(missing, rule) })
	for i := range c.Items {
		if slices.Contains(missing, c.Items[i].Rule) {
			c.Items[i].Rule = 0
		}
	}
	var ch change
	if err == nil && len(rules) > 0 {
		after := c.State
		if after == StateCourtHold {
			c.State, after = StateInForce, StateInForce
		}
		c.Silent = true
		ch, err = d.exchange(c, nil, rules, covers, after, recovered, now)
	}
	if err != nil || len(ch.events) == 0 {
		if !c.undecided() && len(c.Rules) == 0 {
			c.Silent = false
			if !over {
				r.did.NotEnforced = append(r.did.NotEnforced, c.ID)
			}
			c.happened(MilestoneEnded, now)
			c.recoverTo(StateReversed, now)
		}
		return d.store.apply(change{cases: []*caseRecord{c}})
	}
	ch.cases = []*caseRecord{c}
	if err := d.enact(ctx, ch); err != nil {
		return err
	}
	r.did.Restored = append(r.did.Restored, c.ID)
	return nil
}

// restoreAllowed puts pictures on the allow list again.
func (r *recovering) restoreAllowed(ctx context.Context, d *Desk) error {
	list, err := d.store.allowed()
	if err != nil {
		return err
	}
	for i := range list {
		s := &list[i]
		if e, err := d.event(s.Event); err == nil && e.ID == s.Added {
			continue
		}
		s.Event = 0
		if err := d.store.db.Update(func(tx StoreTx) error {
			return errors.Join(putAllowed(tx, s), d.store.queue(tx, s.Added, []blocklist.Event{
				{ID: s.Added, Type: blocklist.EventException, Time: d.clock(), Keys: s.keys()},
			}))
		}); err != nil {
			return err
		}
		if err := d.deliverAllowed(ctx, s); err != nil {
			return err
		}
	}
	return nil
}
