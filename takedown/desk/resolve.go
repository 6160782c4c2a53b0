package desk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
)

// Match is a candidate and the decision about it that a reviewer has examined.
type Match struct {
	// Actor is the reviewer who looked at the match, and the reason. Both are
	// written to the log.
	Actor
	Candidate takedown.Candidate
	Decision  takedown.Decision
	// File is the image that the reviewer looked at. The hashes of a copy can be
	// derived only from it. They are tested as at a registration, because a hash
	// of a picture with little detail would match other people's pictures.
	File []byte
}

// Resolution is a reviewer's answer to a match.
type Resolution uint8

const (
	// SameImage: the candidate shows the picture of the rule. Its addresses, its
	// file and, with Match.File, its hashes become derived keys of the rule.
	// Enforcers without pixels then find the copy too. For an animation, the
	// hashes are those of the frame that matched. Derived addresses end after
	// Options.RecheckAfter, because the image at an address can change.
	//
	// For a rule about a face, SameImage means that the same person is shown. The
	// derived keys are those of the picture, whose copies are blocked from then
	// on. No template is made of it. All other people in the picture are blocked
	// with it.
	SameImage Resolution = 1
	// NotTheSame: the match is wrong. The rule no longer matches this picture: its
	// file, and every picture with a hash that is within blocklist.ExceptionRadius of
	// one of its hashes. For an animation, the exception covers only the frame
	// that matched. The file is not excepted, because of its other frames.
	//
	// For a rule about a face, NotTheSame means that another person is shown. The
	// exception covers this picture; another picture of the same look-alike will
	// match again. If that happens, raise the threshold with [Desk.Amend] and
	// [Grant].Face.
	NotTheSame Resolution = 2
)

// Resolved is the result of a resolution.
type Resolved struct {
	// Events are the numbers by which it can be undone: see [Desk.Revert].
	Events []uint64
	// Addresses, Files and Hashes are the numbers of derived or excepted keys of
	// each type.
	Addresses, Files, Hashes int
	// NotDerived is the reason why the hashes of a copy were not derived. It is
	// empty when they were derived, when there are no hashes, and when the scope
	// of the rule is files or narrower.
	NotDerived NotDerived
}

// NotDerived is the reason why a hash was not derived.
type NotDerived string

const (
	NotDerivedNoFile     NotDerived = "no_file"    // Match.File is empty: nobody can tell what the hash is worth
	NotDerivedUnreadable NotDerived = "unreadable" // Match.File cannot be decoded
	NotDerivedOther      NotDerived = "other_file" // Match.File is not the file of the candidate
	NotDerivedQuality    NotDerived = "quality"    // too little structure: other pictures would match
	NotDerivedStability  NotDerived = "stability"  // it moves too far under changes nobody sees
	NotDerivedBits       NotDerived = "bits"       // no picture with any detail has such a hash
	NotDerivedTruncated  NotDerived = "truncated"  // part of the picture is missing
)

// ErrNoRule is returned when a match cannot be resolved: its rule has ended, or
// blocks addresses only.
var ErrNoRule = errors.New("takedown: no rule for which a picture can be learned or excepted")

// ErrNoEvent is returned when no event has the given number, or when the event
// cannot be undone in this way.
var ErrNoEvent = errors.New("takedown: no such event")

// Resolve records a reviewer's answer to a match with a rule that reaches further
// than addresses. It is durable and in effect when it returns without an error.
// [Desk.Revert] takes a wrong resolution back. The error wraps [ErrNoRule] when
// the rule of the match has ended.
//
// If a registration would refuse the hashes of a copy, only its addresses and its
// file are derived. Resolved.NotDerived has the reason.
func (d *Desk) Resolve(ctx context.Context, m Match, r Resolution) (done Resolved, err error) {
	if r != SameImage && r != NotTheSame {
		return done, fmt.Errorf("takedown: resolution %d is neither SameImage nor NotTheSame", r)
	}
	if err := m.Actor.check(); err != nil {
		return done, err
	}
	c := &m.Candidate
	hashes := c.Picture(m.Decision.Frame).Hashes
	var notDerived NotDerived
	if rule, _, ok := d.list.State().Rule(m.Decision.Rule); ok && r == SameImage && rule.Scope >= takedown.ScopeIdentical && len(hashes) > 0 {
		// Before the lock: it takes a while.
		err := d.decoding(ctx, func() error {
			notDerived = m.test(ctx, hashes[0], d.opts.Decoders)
			return ctx.Err()
		})
		if err != nil {
			return done, err
		}
	}
	// Nothing is appended while a case changes: see deliver.
	d.mu.Lock()
	defer d.mu.Unlock()
	rule, state, ok := d.list.State().Rule(m.Decision.Rule)
	switch {
	case !ok || state == blocklist.RuleRevoked:
		return done, fmt.Errorf("%w: rule %d has ended", ErrNoRule, m.Decision.Rule)
	case rule.Scope == takedown.ScopeURL, rule.Scope >= blocklist.ScopeHost:
		return done, fmt.Errorf("%w: rule %d blocks addresses only", ErrNoRule, m.Decision.Rule)
	}
	var picture blocklist.Keys
	if c.SHA256 != [32]byte{} && (r == SameImage || len(c.Frames) == 0) {
		picture.Bytes = [][32]byte{c.SHA256}
	}
	switch {
	case r == NotTheSame:
		// A hash with another count of ones is of a flat picture, or of none: it
		// says nothing, and would except other flat ones.
		picture.Hashes = hashKeys(hashes)
	case rule.Scope >= takedown.ScopeIdentical && len(hashes) > 0:
		if done.NotDerived = notDerived; done.NotDerived == "" {
			picture.Hashes = hashKeys(hashes)
		}
	}
	now := d.clock()
	e := blocklist.Event{ID: newEventID(), Time: now, Target: m.Decision.Rule, Type: blocklist.EventException, Keys: picture}
	events := []blocklist.Event{e}
	if r == SameImage {
		var usable []string // Check passes over what is no address, too
		for _, u := range c.ImageURLs {
			if _, err := blocklist.Canonical(u); err == nil {
				usable = append(usable, u)
			}
		}
		addresses, err := addressKeys(d.list, usable, nil)
		if err != nil {
			return done, err
		}
		events[0].Type = blocklist.EventDerived
		e.ID, e.Type = addressEvent(e.ID), blocklist.EventDerived
		e.Keys, e.Until = blocklist.Keys{Addresses: addresses}, now.Add(d.recheckAfter)
		events = append(events, e)
	}
	events = slices.DeleteFunc(events, func(e blocklist.Event) bool { return e.Keys.Len() == 0 })
	if len(events) == 0 {
		return done, fmt.Errorf("takedown: the candidate has nothing by which its picture could be known again: no file, no address, no hash that can be used")
	}
	what := factException
	if r == SameImage {
		what = factDerived
	}
	if done.Events, err = d.sayOf(ctx, rule.Case, what, m.Actor, now, events); err != nil {
		return Resolved{}, closedError(err)
	}
	for _, e := range events {
		done.Addresses += len(e.Keys.Addresses)
		done.Files += len(e.Keys.Bytes)
		done.Hashes += len(e.Keys.Hashes)
	}
	return done, nil
}

// sayOf brings what is said of a rule of a case into the list, and into the log of
// the case. Nothing is blocked or shown again that nobody has answered for.
func (d *Desk) sayOf(ctx context.Context, id takedown.CaseID, what State, a Actor, now time.Time, events []blocklist.Event) ([]uint64, error) {
	c, err := d.store.get(id)
	if errors.Is(err, ErrNoCase) { // a rule of another desk's making
		return d.say(ctx, events, nil)
	}
	if err != nil {
		return nil, err
	}
	if err := d.may(&c.Case, a, DutyDecide); err != nil {
		return nil, err
	}
	c.note(c.State, what, a, now)
	return d.say(ctx, events, func(tx StoreTx) error {
		return errors.Join(appendLog(tx, d.store.policy, c.log), d.store.putCase(tx, c))
	})
}

// hashKeys are the hashes that pictures with any detail can have.
func hashKeys(hashes []phash.Hash) (keys []blocklist.HashKey) {
	for _, h := range hashes {
		if h.Plausible() {
			keys = append(keys, blocklist.HashKey{Hash: h})
		}
	}
	return keys
}

// test says why a registration would refuse the picture whose own hash is
// given; empty if it would not.
func (m *Match) test(ctx context.Context, own phash.Hash, decoders map[phash.Format]phash.Decoder) NotDerived {
	if len(m.File) == 0 {
		return NotDerivedNoFile
	}
	if sum := m.Candidate.SHA256; sum != [32]byte{} && sum != sha256.Sum256(m.File) {
		return NotDerivedOther
	}
	for pic, err := range phash.DecodeFramesContext(ctx, bytes.NewReader(m.File), &phash.DecodeOptions{AcceptTruncated: true, Decoders: decoders}) {
		if err != nil {
			return NotDerivedUnreadable
		}
		// Other software may have computed it of the same frame, a few bits off.
		if n, ok := phash.HashesToAsk(pic)[0].Distance(own); ok && n > own.Algorithm().Radii(0).Near {
			continue
		}
		_, err := phash.HashesToStore(pic, nil)
		var refused *phash.RefusedError
		if errors.As(err, &refused) {
			return NotDerived(refused.Reason.String())
		}
		if err != nil {
			return NotDerivedUnreadable
		}
		return ""
	}
	return NotDerivedOther
}

// addressEvent returns the ID of the event by which the addresses of a copy are
// learned, from that of the event of its file and hashes: which copy lies at an
// address matters when the rule becomes narrower.
func addressEvent(picture [16]byte) [16]byte {
	sum := sha256.Sum256(append([]byte("addresses of "), picture[:]...))
	return [16]byte(sum[:16])
}

// Revert takes back a derived key or an exception of a rule, by the number of its
// event in [takedown.Enforcer.Events]. The error wraps [ErrNoEvent] when the
// number is not that of a derived key or an exception.
func (d *Desk) Revert(ctx context.Context, event uint64, a Actor) error {
	if err := a.check(); err != nil {
		return err
	}
	e, err := d.event(event)
	if err != nil {
		return err
	}
	if e.Type == blocklist.EventException && e.Target == 0 {
		return fmt.Errorf("%w: event %d put a picture on the allow list; RemoveFromAllowList takes it off", ErrNoEvent, event)
	}
	if e.Type != blocklist.EventDerived && e.Type != blocklist.EventException {
		return fmt.Errorf("%w: event %d is %v; only what was learned or excepted can be undone alone", ErrNoEvent, event, e.Type)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.clock()
	events := []blocklist.Event{{ID: newEventID(), Type: blocklist.EventReverted, Time: now, Target: event}}
	rule, _, _ := d.list.State().Rule(e.Target)
	_, err = d.sayOf(ctx, rule.Case, factReverted, a, now, events)
	return closedError(err)
}

// event reads one event of the journal.
func (d *Desk) event(seq uint64) (found blocklist.Event, err error) {
	err = d.list.Events(seq, func(e blocklist.Event) bool {
		found = e
		return false
	})
	if err == nil && found.Seq != seq {
		err = fmt.Errorf("%w: %d", ErrNoEvent, seq)
	}
	return found, closedError(err)
}
