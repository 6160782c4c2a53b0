package desk

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// An objection without a case number is about whatever blocks its addresses and its
// pictures. Its sender learns of none of these cases.

// Blocking is a rule that blocks what an objection without a case number names.
type Blocking struct {
	takedown.Decision
	// Item is the item of the case that names the address, or −1.
	Item int
	// Field is the path of the field of the objection, or empty for its evidence.
	Field string
	thing int // which of what the objection names
	// Own reports that the objection shows the registered picture itself: accepting
	// it takes from the case what it is about.
	Own bool
}

// objected is a thing that an objection names.
type objected struct {
	field string
	known takedown.Candidate
	// address is set for an address, and material for a picture.
	address string
}

// objectedBy returns what an objection without a case number names. Evidence that
// was attached to it counts, so that a reviewer can add the picture at an address.
func (d *Desk) objectedBy(c *caseRecord) (list []objected, err error) {
	mats, err := d.store.material(c.ID)
	if err != nil {
		return nil, err
	}
	for i, m := range mats {
		o := objected{field: fmt.Sprintf("named[%d]", i), address: m.Address}
		if m.Bytes != nil {
			o.known.SHA256 = *m.Bytes
		}
		// An exception for a shorter hash would cover pictures that are only alike.
		for _, k := range asItIs(m.Hashes) {
			if k.Hash.Algorithm() == phash.AlgPDQ {
				o.known.Hashes = append(o.known.Hashes, k.Hash)
			}
		}
		list = append(list, o)
	}
	evidence, err := d.evidence(c.ID)
	if err != nil {
		return nil, err
	}
	for _, e := range evidence {
		e.Candidate.ImageURLs, e.Candidate.PageURLs = nil, nil
		list = append(list, objected{known: e.Candidate})
	}
	return list, nil
}

// Blocking returns the rules that block what an objection without a case number
// names, today. It is for reviewers: its sender must not see it.
func (d *Desk) Blocking(ctx context.Context, id takedown.CaseID) ([]Blocking, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c, err := d.store.get(id)
	if err != nil {
		return nil, err
	}
	if c.Kind != request.KindObjection {
		return nil, &MoveError{id, c.State, "objection"}
	}
	return d.blocking(c)
}

func (d *Desk) blocking(c *caseRecord) (list []Blocking, err error) {
	things, err := d.objectedBy(c)
	if err != nil {
		return nil, err
	}
	add := func(b Blocking) {
		if c.About != (takedown.CaseID{}) && b.Case != c.About {
			return
		}
		if !slices.ContainsFunc(list, func(o Blocking) bool { return o.Rule == b.Rule && o.Item == b.Item && o.thing == b.thing }) {
			list = append(list, b)
		}
	}
	for i, o := range things {
		if o.address != "" {
			found, err := d.named(o.address)
			if err != nil {
				return nil, err
			}
			for _, b := range found {
				b.Field, b.thing = o.field, i
				add(b)
			}
			continue
		}
		for _, m := range d.matching(o.known) {
			own, err := d.isOwn(&o.known, m)
			if err != nil {
				return nil, err
			}
			add(Blocking{Decision: m, Item: -1, Field: o.field, thing: i, Own: own})
		}
	}
	return list, nil
}

// matching returns the rules that match a candidate today, by their numbers.
func (d *Desk) matching(c takedown.Candidate) []takedown.Decision {
	return slices.SortedFunc(d.near.Matches(c), func(a, b takedown.Decision) int { return cmp.Compare(a.Rule, b.Rule) })
}

// isOwn reports whether a match is with the registered picture itself, the same file
// or the same picture, and not with something like it.
func (d *Desk) isOwn(known *takedown.Candidate, m takedown.Decision) (bool, error) {
	c, err := d.store.get(m.Case)
	if errors.Is(err, ErrNoCase) {
		return true, nil // nobody can tell
	}
	if err != nil {
		return false, err
	}
	mats, err := d.store.material(m.Case)
	if err != nil {
		return false, err
	}
	for i := range min(len(mats), len(c.Items)) {
		if c.Items[i].Rule != m.Rule {
			continue
		}
		if mats[i].Bytes != nil && *mats[i].Bytes == known.SHA256 {
			return true, nil
		}
		for _, own := range asItIs(mats[i].Hashes) {
			for _, h := range known.Hashes {
				if n, ok := own.Hash.Distance(h); ok && n <= d.radii.Of(h.Algorithm(), 0).Near {
					return true, nil
				}
			}
		}
	}
	return false, nil
}

// named returns the rules that block an address.
func (d *Desk) named(address string) (list []Blocking, err error) {
	for _, m := range d.matching(takedown.Candidate{ImageURLs: []string{address}, PageURLs: []string{address}}) {
		b := Blocking{Decision: m, Item: -1}
		c, err := d.store.get(m.Case)
		if errors.Is(err, ErrNoCase) {
			list = append(list, b) // a rule of another desk's making
			continue
		}
		if err != nil {
			return nil, err
		}
		mats, err := d.store.material(m.Case)
		if err != nil {
			return nil, err
		}
		for _, i := range c.itemsAt(mats, address) {
			if c.Items[i].Rule == m.Rule {
				b.Item, b.Own = i, true
			}
		}
		list = append(list, b)
	}
	return list, nil
}

// personal are the kinds of requests by which somebody protects themselves. To end
// what they block for a stranger takes two reviewers.
var personal = []takedown.Kind{
	request.KindImageOptOut, request.KindOpenOptOut, request.KindFaceOptOut, request.KindHashEntry, request.KindGDPRRequest, request.KindIntimateImage,
}

// protected reports whether a reply of somebody else ends what a person has had
// blocked for their own protection.
func (d *Desk) protected(reply *caseRecord) (bool, error) {
	if reply.About != (takedown.CaseID{}) && !withoutCase(reply.Request) {
		target, err := d.store.get(reply.About)
		if err != nil {
			return false, err
		}
		return slices.Contains(personal, target.Kind) && !d.same(reply, target), nil
	}
	if reply.Kind != request.KindObjection {
		return false, nil
	}
	list, err := d.blocking(reply)
	if err != nil {
		return false, err
	}
	for _, b := range list {
		c, err := d.store.get(b.Case)
		if err != nil && !errors.Is(err, ErrNoCase) {
			return false, err
		}
		if err == nil && b.Own && slices.Contains(personal, c.Kind) && !d.same(reply, c) {
			return true, nil
		}
	}
	return false, nil
}

// same reports whether a reply is of the requester of a case. Where addresses are
// confirmed, one that is not tells nothing.
func (d *Desk) same(reply, c *caseRecord) bool {
	if d.opts.ConfirmEmail && reply.Times[MilestoneEmailConfirmed].IsZero() {
		return false
	}
	return len(reply.Party) > 0 && bytes.Equal(reply.Party, c.Party)
}

// acceptObjection carries out an objection without a case number: each rule that
// its pictures match gets an exception for them, derived addresses are forgotten,
// and the items that name its addresses are reversed. Each case changes by itself;
// if one fails, the objection stays open and can be accepted again.
func (d *Desk) acceptObjection(ctx context.Context, c *caseRecord, g Grant, now time.Time) (change, error) {
	list, err := d.blocking(c)
	if err != nil {
		return change{}, err
	}
	if len(list) == 0 {
		return change{}, &GrantError{c.ID, "nothing blocks what it names; reject it, or attach the picture at the address with AddEvidence"}
	}
	things, err := d.objectedBy(c)
	if err != nil {
		return change{}, err
	}
	items := map[takedown.CaseID][]int{}
	told := map[takedown.CaseID]bool{}
	done := false
	for _, b := range list {
		if b.Item >= 0 {
			items[b.Case] = append(items[b.Case], b.Item)
			continue
		}
		what, events := factException, d.except(b.Rule, &things[b.thing], now)
		if b.Why == takedown.TierURL {
			what = factReverted
			if events, err = d.forget(b.Rule, &things[b.thing], now); err != nil {
				return change{}, err
			}
		}
		if len(events) == 0 {
			continue
		}
		if err := d.tell(ctx, b.Case, what, g.Actor, now, events, !told[b.Case]); err != nil {
			return change{}, err
		}
		told[b.Case], done = true, true
	}
	for id, own := range items {
		if err := d.locked(ctx, id, func(target *caseRecord, now time.Time) (change, error) {
			return d.take(target, own, StateReversed, g.Actor, now)
		}); err != nil {
			return change{}, err
		}
		done = true
	}
	if !done {
		return change{}, &GrantError{c.ID, "nothing of it could be excepted"}
	}
	if err := c.move(StateClosed, g.Actor, now); err != nil {
		return change{}, err
	}
	var ch change
	c.accepted(&ch, StateClosed, g.Actor, now)
	return ch, nil
}

// except returns the event that excepts a picture of an objection from a rule.
func (d *Desk) except(rule uint64, o *objected, now time.Time) []blocklist.Event {
	var keys blocklist.Keys
	if o.known.SHA256 != [32]byte{} {
		keys.Bytes = [][32]byte{o.known.SHA256}
	}
	if keys.Hashes = hashKeys(o.known.Hashes); keys.Len() == 0 {
		return nil
	}
	return []blocklist.Event{{ID: newEventID(), Time: now, Target: rule, Type: blocklist.EventException, Keys: keys}}
}

// forget returns the events that take back what a rule learned of an address.
func (d *Desk) forget(rule uint64, o *objected, now time.Time) (events []blocklist.Event, err error) {
	keys, err := addressKeys(d.list, []string{o.address}, []string{o.address})
	if err != nil {
		return nil, err
	}
	err = d.list.Events(1, func(e blocklist.Event) bool {
		if e.Type == blocklist.EventDerived && e.Target == rule && slices.ContainsFunc(e.Keys.Addresses, func(k blocklist.Address) bool { return slices.Contains(keys, k) }) {
			events = append(events, blocklist.Event{ID: newEventID(), Type: blocklist.EventReverted, Time: now, Target: e.Seq})
		}
		return true
	})
	return events, closedError(err)
}

// tell brings events about a rule of a case into the list, and, with a letter, tells
// the requester of the case that it has an exception.
func (d *Desk) tell(ctx context.Context, id takedown.CaseID, what State, a Actor, now time.Time, events []blocklist.Event, letter bool) error {
	c, err := d.store.get(id)
	if errors.Is(err, ErrNoCase) {
		_, err = d.say(ctx, events, nil)
		return closedError(err)
	}
	if err != nil {
		return err
	}
	c.note(c.State, what, a, now)
	_, err = d.say(ctx, events, func(tx StoreTx) error {
		err := errors.Join(appendLog(tx, d.store.policy, c.log), d.store.putCase(tx, c))
		if letter {
			err = errors.Join(err, d.store.putMessage(tx, message{Case: id, Type: MessageExcepted}))
		}
		return err
	})
	return closedError(err)
}
