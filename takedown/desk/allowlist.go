package desk

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/radius"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// The allow list: logos, placeholders, flags, blank avatars and other
// pictures that are on so many pages that no request may take them away by
// likeness. In the list of rules they are exceptions from all rules, so that
// every node knows them; here is who put them there, when and why. See
// docs/decisions/allow-list.md.

// AllowedPicture is a picture on the allow list.
type AllowedPicture struct {
	// Event is its number, for [Desk.RemoveFromAllowList].
	Event uint64 `json:"event"`
	// SHA256 is the digest of the picture's file, or zero. Hashes are its
	// perceptual hashes. At least one of the two is set.
	SHA256 [32]byte     `json:"sha256,omitzero"`
	Hashes []phash.Hash `json:"hashes,omitempty"`
	// Actor is the reviewer who added the picture, and the reason code. Despite is
	// the reason code for adding it although cases in force are about it.
	Actor
	Despite string    `json:"despite,omitempty"`
	Time    time.Time `json:"time"`
}

// storedCommon is a AllowedPicture as it is stored.
type storedAllowed struct {
	AllowedPicture
	// Added is the ID of the event that excepts it, which is its key, and Removed,
	// unless zero, of the one that undoes that. While Event is 0, or Removed is
	// not, the event is on the way into the list.
	Added   [16]byte `json:"added"`
	Removed [16]byte `json:"removed,omitzero"`
}

func (s *storedAllowed) keys() (k blocklist.Keys) {
	if s.SHA256 != [32]byte{} {
		k.Bytes = [][32]byte{s.SHA256}
	}
	k.Hashes = hashKeys(s.Hashes)
	return k
}

// AllowConflictError reports that a picture cannot be put on the allow list
// because cases in force are about it. On the allow list, only its exact file
// would still be blocked.
type AllowConflictError struct{ Cases []takedown.CaseID }

func (e *AllowConflictError) Error() string {
	return fmt.Sprintf("takedown: the picture is blocked for %d case(s) in force; give the code of a reason to list it nevertheless", len(e.Cases))
}

// States of a picture in the log, beside those of cases.
const (
	stateAllowed    State = "allow_listed"
	stateDisallowed State = "off_allow_list"
)

// AddToAllowList puts a picture on the allow list, by its file and its hashes: a
// candidate from [takedown.Inspect]. By and Reason are required. When it returns
// nil, the entry is durable and in effect on this desk. Nodes use it with the next
// snapshot.
//
// Rules then no longer match the picture by similarity: its hash within
// [phash.Radii].Near, its features, its faces. They still block the same file and
// the addresses that they name. Orders are not affected. Requests for intimate
// pictures are not affected if the picture is the identical one.
//
// When cases in force are about the picture it fails with a [*AllowConflictError],
// unless despite is a reason code. With a reason code, these cases are flagged
// with [FlagAllowListed].
func (d *Desk) AddToAllowList(ctx context.Context, c takedown.Candidate, a Actor, despite string) (AllowedPicture, error) {
	s := storedAllowed{AllowedPicture: AllowedPicture{SHA256: c.SHA256, Hashes: c.Hashes, Actor: a, Despite: despite}, Added: newEventID()}
	if err := errors.Join(a.check(), (Actor{Reason: s.Despite}).check()); err != nil {
		return AllowedPicture{}, err
	}
	if a.By == "" || a.Reason == "" {
		return AllowedPicture{}, errors.New("takedown: the allow list wants to know who and why: By and Reason are required")
	}
	if len(c.Frames) > 0 {
		return AllowedPicture{}, errors.New("takedown: an animation cannot be put on the allow list: a frame that nobody looked at would be with it")
	}
	if c.Damage.Visible() {
		return AllowedPicture{}, errors.New("takedown: the file is cut off: the hash of what is missing would be on the allow list; fetch it again")
	}
	s.Hashes = slices.DeleteFunc(slices.Clone(s.Hashes), func(h phash.Hash) bool { return len(hashKeys([]phash.Hash{h})) == 0 })
	if s.keys().Len() == 0 {
		return AllowedPicture{}, errors.New("takedown: the picture has nothing by which it could be known: no file, and no hash of a picture with any detail")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.settleAllowed(ctx); err != nil {
		return AllowedPicture{}, err
	}
	cases, err := d.shielded(s.Hashes)
	if err != nil {
		return AllowedPicture{}, err
	}
	if len(cases) > 0 && s.Despite == "" {
		e := new(AllowConflictError)
		for _, c := range cases {
			e.Cases = append(e.Cases, c.ID)
		}
		return AllowedPicture{}, e
	}
	s.Time = d.clock()
	log := []LogEntry{{Time: s.Time, Case: takedown.CaseID(s.Added), To: stateAllowed, Actor: a}}
	for _, c := range cases {
		c.flag(FlagAllowListed)
		c.note(c.State, stateAllowed, a, s.Time)
		log = append(log, c.log...)
	}
	event := blocklist.Event{ID: s.Added, Type: blocklist.EventException, Time: s.Time, Keys: s.keys()}
	if err := d.changeAllowed(ctx, &s, event, func(tx StoreTx) (err error) {
		for _, c := range cases {
			err = errors.Join(err, d.store.putCase(tx, c))
		}
		return errors.Join(err, appendLog(tx, d.store.policy, log))
	}); err != nil {
		return AllowedPicture{}, err
	}
	return s.AllowedPicture, nil
}

// changeAllowed stores a picture of the allow list with the event that puts it there or
// takes it off, and why it does, and brings the event into the list.
func (d *Desk) changeAllowed(ctx context.Context, s *storedAllowed, e blocklist.Event, why func(StoreTx) error) error {
	events := []blocklist.Event{e}
	if d.joint != nil {
		_, err := d.jointly(ctx, events, func(tx StoreTx, seqs []uint64, _ reached) error {
			return errors.Join(why(tx), s.delivered(tx, seqs[0]))
		})
		return err
	}
	if err := d.store.db.Update(func(tx StoreTx) error {
		return errors.Join(putAllowed(tx, s), why(tx), d.store.queue(tx, e.ID, events))
	}); err != nil {
		return err
	}
	return d.deliverAllowed(ctx, s)
}

// delivered notes that the event of a picture is in the list.
func (s *storedAllowed) delivered(tx StoreTx, seq uint64) error {
	if s.Removed != [16]byte{} {
		return tx.Delete(BucketAllowed, s.Added[:])
	}
	s.Event = seq
	return putAllowed(tx, s)
}

// flag adds a flag to a case.
func (c *caseRecord) flag(f request.Flag) {
	if !slices.Contains(c.Flags, f) {
		c.Flags = append(c.Flags, f)
	}
}

// shielded returns the cases in force whose rules would match a picture no
// longer when it is on the allow list.
func (d *Desk) shielded(hashes []phash.Hash) (cases []*caseRecord, err error) {
	var ids []takedown.CaseID
	view := d.list.State()
	for _, h := range hashes {
		view.FindHash(h, radius.OfCommon(h), func(hit blocklist.Hit) bool {
			if id := takedown.CaseID(hit.Case); d.radii.Shields(hit.Kind, true, h.Algorithm(), hit.Variant, hit.Distance) && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
			return true
		})
	}
	later, err := d.scheduled(hashes)
	if err != nil {
		return nil, err
	}
	for _, id := range append(ids, later...) {
		c, err := d.store.get(id)
		if errors.Is(err, ErrNoCase) {
			continue
		}
		if err != nil {
			return nil, err
		}
		cases = append(cases, c)
	}
	return cases, nil
}

// scheduled returns the cases whose rules have yet to begin, which the list does
// not find, and are about one of the given hashes.
func (d *Desk) scheduled(hashes []phash.Hash) (ids []takedown.CaseID, err error) {
	now := d.clock()
	waiting, err := d.store.after(ixStarts, now)
	if err != nil {
		return nil, err
	}
	for _, id := range waiting {
		c, err := d.store.get(id)
		if err != nil {
			return nil, err
		}
		if !c.Start.After(now) || c.Kind == request.KindAuthorityOrder {
			continue
		}
		mats, err := d.store.material(c.ID)
		if err != nil {
			return nil, err
		}
		about := false
		for i := range min(len(mats), len(c.Items)) {
			w := c.Items[i].Granted
			if w < takedown.ScopeIdentical || c.Kind == request.KindIntimateImage && w == takedown.ScopeIdentical {
				continue
			}
			for _, k := range asItIs(c.Items[i].registered(&mats[i]).Hashes) {
				about = about || slices.ContainsFunc(hashes, func(h phash.Hash) bool {
					n, ok := k.Hash.Distance(h)
					return ok && n <= radius.OfCommon(h)
				})
			}
		}
		if about {
			ids = append(ids, c.ID)
		}
	}
	return ids, nil
}

// RemoveFromAllowList removes a picture from the allow list, by the number of the
// event that added it. By and Reason are required. When it returns nil, the
// removal is durable and in effect.
//
// The error wraps [ErrNoEvent] when the event added no picture, or when the
// picture was already removed. [takedown.Enforcer.Events] then reports an
// exception that has ended. That event names no rule.
func (d *Desk) RemoveFromAllowList(ctx context.Context, event uint64, a Actor) error {
	if err := a.check(); err != nil {
		return err
	}
	if a.By == "" || a.Reason == "" {
		return errors.New("takedown: the allow list wants to know who and why: By and Reason are required")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.settleAllowed(ctx); err != nil {
		return err
	}
	list, err := d.store.allowed()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(s storedAllowed) bool { return s.Event == event })
	if i < 0 {
		return fmt.Errorf("%w: event %d put no picture on the allow list, or it was taken off again", ErrNoEvent, event)
	}
	s := list[i]
	s.Removed = newEventID()
	now := d.clock()
	return d.changeAllowed(ctx, &s, blocklist.Event{ID: s.Removed, Type: blocklist.EventReverted, Time: now, Target: s.Event}, func(tx StoreTx) error {
		return appendLog(tx, d.store.policy, []LogEntry{
			{Time: now, Case: takedown.CaseID(s.Added), From: stateAllowed, To: stateDisallowed, Actor: a},
		})
	})
}

// allowEvents are the events that put what is on the allow list there,
// for the list of a preview.
func (d *Desk) allowEvents() (events []blocklist.Event, err error) {
	stored, err := d.store.allowed()
	for _, s := range stored {
		events = append(events, blocklist.Event{ID: newEventID(), Type: blocklist.EventException, Time: s.Time, Keys: s.keys()})
	}
	return events, err
}

// AllowList returns the allow list, in the order of its events.
func (d *Desk) AllowList(ctx context.Context) (list []AllowedPicture, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	stored, err := d.store.allowed()
	for _, s := range stored {
		if s.Removed == [16]byte{} && s.Event != 0 {
			list = append(list, s.AllowedPicture)
		}
	}
	slices.SortFunc(list, func(a, b AllowedPicture) int { return cmp.Compare(a.Event, b.Event) })
	return list, err
}

// deliverAllowed brings into the list what the store has of a picture, and then
// notes that it is there.
func (d *Desk) deliverAllowed(ctx context.Context, s *storedAllowed) error {
	owner := takedown.CaseID(s.Added)
	if s.Removed != [16]byte{} {
		owner = s.Removed
	}
	_, seqs, err := d.bring(ctx, owner)
	if err == nil && len(seqs) == 0 {
		err = fmt.Errorf("%w: the outbox lacks a picture of the allow list", ErrStore)
	}
	if err != nil {
		return fmt.Errorf("takedown: allow list: %w", err)
	}
	at := d.here()
	return d.store.db.Update(func(tx StoreTx) error {
		return errors.Join(unqueue(tx, owner, at), s.delivered(tx, seqs[0]))
	})
}

// settleAllowed finishes what a crash, or a failed write, cut short.
func (d *Desk) settleAllowed(ctx context.Context) error {
	list, err := d.store.allowed()
	if err != nil {
		return err
	}
	for i := range list {
		if s := &list[i]; s.Event == 0 || s.Removed != [16]byte{} {
			if err := d.deliverAllowed(ctx, s); err != nil {
				return err
			}
		}
	}
	return nil
}

func putAllowed(tx StoreTx, s *storedAllowed) error {
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("takedown: allow list: %w", err)
	}
	return tx.Put(BucketAllowed, s.Added[:], summed(b))
}

// allowed returns what is stored of the allow list.
func (s *caseStore) allowed() (list []storedAllowed, err error) {
	err = s.db.View(func(tx StoreTx) error {
		return tx.Scan(BucketAllowed, nil, nil, func(k, v []byte) error {
			b, ok := unsummed(v)
			var c storedAllowed
			if !ok || json.Unmarshal(b, &c) != nil || string(c.Added[:]) != string(k) {
				return fmt.Errorf("%w: the entry %x of the allow list", ErrStore, k)
			}
			list = append(list, c)
			return nil
		})
	})
	return list, err
}

// widest bounds the scope of an item by the allow list: where the
// picture is on it, the file alone can be blocked.
func (d *Desk) widest(kind takedown.Kind, it CaseItem, m *request.Material) takedown.Scope {
	if kind == request.KindAuthorityOrder || it.Kind != request.ItemPicture && it.Kind != request.ItemHash || !d.isAllowed(m) {
		return it.MaxScope
	}
	if kind == request.KindIntimateImage {
		return min(it.MaxScope, takedown.ScopeIdentical)
	}
	return min(it.MaxScope, takedown.ScopeBytes)
}

// isAllowed reports whether a picture is on the allow list.
func (d *Desk) isAllowed(m *request.Material) bool {
	view := d.list.State()
	return view.IsAllowed(m.Bytes, phash.Hash{}) ||
		slices.ContainsFunc(asItIs(m.Hashes), func(k blocklist.HashKey) bool { return view.IsAllowed(nil, k.Hash) })
}

// nearAllowed reports whether a picture, granted a scope, would match pictures on
// the allow list, from which it is kept.
func (d *Desk) nearAllowed(m *request.Material, scope takedown.Scope) bool {
	keys := asItIs(m.Hashes)
	if scope > takedown.ScopeIdentical {
		keys = m.Hashes
	}
	for _, k := range keys {
		reach := reachOf(scope, d.radiiOf(k.Hash.Algorithm()))
		if bits, ok := d.list.State().AllowedDistance(nil, k.Hash); ok && bits <= reach && scope >= takedown.ScopeIdentical {
			return true
		}
	}
	return false
}
