package takedown

import (
	"context"
	"fmt"

	"github.com/staydown/staydown/blocklist"
)

// Match is a candidate and the decision about it, at which a person has looked.
type Match struct {
	Candidate Candidate
	Decision  Decision
}

// Resolution is what a person says of a match.
type Resolution uint8

const (
	// SameImage: the candidate shows the picture of the rule. Its addresses, its
	// file and its hashes (of an animation, those of the frame that matched) are
	// learned, so that those who have no pixels find it too. Learned addresses end after DeskOptions.RecheckAfter, because what
	// lies behind an address changes.
	SameImage Resolution = 1
	// NotTheSame: the match is wrong. The rule leaves this picture alone from
	// now on: the file, and every picture whose hash is within
	// blocklist.ExceptionRadius of one of its hashes. Of an animation, that is
	// the frame that matched; the file is not excepted, for its other frames.
	NotTheSame Resolution = 2
)

// Resolve records what a person says of a match with a rule that reaches
// further than addresses. It is durable and in effect when it returns nil. A
// wrong resolution is taken back with [Desk.Undo].
func (d *Desk) Resolve(ctx context.Context, m Match, r Resolution) error {
	rule, state, ok := d.list.View().Rule(m.Decision.Rule)
	switch {
	case !ok || state == blocklist.RuleRevoked:
		return fmt.Errorf("takedown: rule %d is not there any more", m.Decision.Rule)
	case rule.Width == WidthURL:
		return fmt.Errorf("takedown: rule %d blocks addresses, not a picture: there is nothing to learn or to except", m.Decision.Rule)
	}
	c := &m.Candidate
	var picture blocklist.Keys
	if c.SHA256 != [32]byte{} && (r == SameImage || len(c.Frames) == 0) {
		picture.Bytes = [][32]byte{c.SHA256}
	}
	if rule.Width >= WidthIdentical || r == NotTheSame {
		for _, h := range c.frame(m.Decision.Frame) {
			// A hash with another count of ones is of a flat picture, or of none:
			// it says nothing, and would hit other flat ones.
			if bits := h.Algorithm().Bits(); bits > 0 && h.OnesCount() == bits/2 {
				picture.Hashes = append(picture.Hashes, blocklist.HashKey{Hash: h})
			}
		}
	}
	now := d.clock()
	base := blocklist.Event{Time: now, Target: m.Decision.Rule}
	var events []blocklist.Event
	add := func(t blocklist.EventType, keys blocklist.Keys) {
		e := base
		e.ID, e.Type, e.Keys = newEventID(), t, keys
		if len(keys.Addresses) > 0 {
			e.Until = now.Add(d.recheckAfter)
		}
		if keys.Len() > 0 {
			events = append(events, e)
		}
	}
	switch r {
	case SameImage:
		var usable []string // Check passes over what is no address, too
		for _, u := range c.ImageURLs {
			if _, err := blocklist.Canonical(u); err == nil {
				usable = append(usable, u)
			}
		}
		addresses, err := addressKeys(d.list, usable, nil)
		if err != nil {
			return err
		}
		add(blocklist.EventLearned, picture)
		add(blocklist.EventLearned, blocklist.Keys{Addresses: addresses})
	case NotTheSame:
		add(blocklist.EventExcepted, picture)
	default:
		return fmt.Errorf("takedown: resolution %d is neither SameImage nor NotTheSame", r)
	}
	if len(events) == 0 {
		return fmt.Errorf("takedown: the candidate has nothing by which its picture could be known again: no file, no hash, no address")
	}
	_, err := d.list.Append(ctx, events...)
	return err
}

// Undo takes back what was learned for a rule or excepted from it, by the
// number of the event, as [Desk.Changes] gives it.
func (d *Desk) Undo(ctx context.Context, event uint64) error {
	e, err := d.event(event)
	if err != nil {
		return err
	}
	if e.Type != blocklist.EventLearned && e.Type != blocklist.EventExcepted {
		return fmt.Errorf("takedown: event %d is %v; only what was learned or excepted can be undone alone", event, e.Type)
	}
	_, err = d.list.Append(ctx, blocklist.Event{ID: newEventID(), Type: blocklist.EventUndone, Time: d.clock(), Target: event})
	return err
}
