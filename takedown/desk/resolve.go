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

// Match is a candidate and the decision about it, at which a person has looked.
type Match struct {
	// Actor names who looked, and why it is so; it is written into the log.
	Actor
	Candidate takedown.Candidate
	Decision  takedown.Decision
	// File is the image at which the person looked. Only with it the hashes of a
	// copy can be learned: they are put to the test of a registration, because a
	// hash of a picture with little in it would hit other people's pictures.
	File []byte
}

// Resolution is what a person says of a match.
type Resolution uint8

const (
	// SameImage: the candidate shows the picture of the rule. Its addresses, its
	// file and, with Match.File, its hashes (of an animation, those of the frame
	// that matched) are learned, so that those who have no pixels find it too.
	// Learned addresses end after Options.RecheckAfter, because what lies
	// behind an address changes.
	//
	// Of a rule about a face it says that the same person is shown. What is
	// learned is the picture, whose copies are blocked from then on; no template
	// is made of it. Whoever else is in the picture is blocked with it.
	SameImage Resolution = 1
	// NotTheSame: the match is wrong. The rule leaves this picture alone from
	// now on: the file, and every picture whose hash is within
	// blocklist.ExceptionRadius of one of its hashes. Of an animation, that is
	// the frame that matched; the file is not excepted, for its other frames.
	//
	// Of a rule about a face it says that somebody else is shown. The exception is
	// of this picture; another one of the same look-alike will match again. If
	// that happens, raise the threshold with [Desk.Amend] and [Grant].Face.
	NotTheSame Resolution = 2
)

// Resolved is what a resolution recorded.
type Resolved struct {
	// Events are the numbers by which it can be undone: see [Desk.Revert].
	Events []uint64
	// Addresses, Files and Hashes are how many of each were learned or excepted.
	Addresses, Files, Hashes int
	// NotDerived says why the hashes of a copy were not learned; empty when they
	// were, when there are none, and when the rule reaches no further than files.
	NotDerived NotDerived
}

// NotDerived is the reason why a hash was not learned.
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

// ErrNoRule says that a match cannot be resolved: its rule has ended, or blocks
// addresses only.
var ErrNoRule = errors.New("takedown: no rule for which a picture can be learned or excepted")

// ErrNoEvent says that there is no event with the given number, or that it is
// none that could be undone in this way.
var ErrNoEvent = errors.New("takedown: no such event")

// Resolve records what a person says of a match with a rule that reaches
// further than addresses. It is durable and in effect when it returns without an
// error. A wrong resolution is taken back with [Desk.Revert]. The error wraps
// [ErrNoRule] when the rule of the match has ended meanwhile.
//
// Of a copy whose hashes a registration would refuse, only the addresses and the
// file are learned; Resolved.NotDerived says why.
func (d *Desk) Resolve(ctx context.Context, m Match, r Resolution) (done Resolved, err error) {
	if r != SameImage && r != NotTheSame {
		return done, fmt.Errorf("takedown: resolution %d is neither SameImage nor NotTheSame", r)
	}
	if err := m.Actor.check(); err != nil {
		return done, err
	}
	// Nothing is appended while a case changes: see deliver.
	d.mu.Lock()
	defer d.mu.Unlock()
	rule, state, ok := d.list.State().Rule(m.Decision.Rule)
	switch {
	case !ok || state == blocklist.RuleRevoked:
		return done, fmt.Errorf("%w: rule %d has ended", ErrNoRule, m.Decision.Rule)
	case rule.Scope == takedown.ScopeURL:
		return done, fmt.Errorf("%w: rule %d blocks addresses only", ErrNoRule, m.Decision.Rule)
	}
	c := &m.Candidate
	var picture blocklist.Keys
	if c.SHA256 != [32]byte{} && (r == SameImage || len(c.Frames) == 0) {
		picture.Bytes = [][32]byte{c.SHA256}
	}
	hashes := c.Picture(m.Decision.Frame).Hashes
	switch {
	case r == NotTheSame:
		// A hash with another count of ones is of a flat picture, or of none: it
		// says nothing, and would except other flat ones.
		picture.Hashes = hashKeys(hashes)
	case rule.Scope >= takedown.ScopeIdentical && len(hashes) > 0:
		if done.NotDerived = m.test(hashes[0], d.opts.Decoders); done.NotDerived == "" {
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
	c.note(c.State, what, a, now)
	return d.say(ctx, events, func(tx StoreTx) error {
		return errors.Join(appendLog(tx, d.store.policy, c.log), putCase(tx, c))
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
func (m *Match) test(own phash.Hash, decoders map[phash.Format]phash.Decoder) NotDerived {
	if len(m.File) == 0 {
		return NotDerivedNoFile
	}
	if sum := m.Candidate.SHA256; sum != [32]byte{} && sum != sha256.Sum256(m.File) {
		return NotDerivedOther
	}
	for pic, err := range phash.DecodeFrames(bytes.NewReader(m.File), &phash.DecodeOptions{AcceptTruncated: true, Decoders: decoders}) {
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

// Undo takes back what was learned for a rule or excepted from it, by the
// number of the event, as [takedown.Enforcer.Events] gives it. The error wraps [ErrNoEvent]
// when that is no such event.
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
