package desk

import (
	"slices"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
)

// carry returns the events by which what was learned for rules that end, and
// excepted from them, goes over to those that take their place for the same
// items. Each stays an event of its own, which can be undone alone.
func (d *Desk) carry(c *caseRecord, ending []uint64, rules []blocklist.Rule, covers [][]int, now time.Time) (events []blocklist.Event, err error) {
	for k := range rules {
		var from []uint64
		for _, i := range covers[k] {
			if old := c.Items[i].Rule; old != 0 && slices.Contains(ending, old) && !slices.Contains(from, old) {
				from = append(from, old)
			}
		}
		for _, old := range from {
			past, err := d.past(old)
			if err != nil {
				return nil, err
			}
			for _, e := range past.over(&rules[k], d.radiiOf, now) {
				e.Target = carryTarget | uint64(k)
				events = append(events, e)
			}
		}
	}
	return events, nil
}

// past is what happened to a rule.
type past struct {
	scope  takedown.Scope
	facts  []blocklist.Event           // learned and excepted, that were not undone
	copies map[[16]byte]blocklist.Keys // of addresses that were learned: the copy that lies there
	ids    map[[16]byte][16]byte       // old IDs of learned copies → new ones
}

func (d *Desk) past(rule uint64) (p past, err error) {
	p.copies, p.ids = map[[16]byte]blocklist.Keys{}, map[[16]byte][16]byte{}
	undone := map[uint64]bool{}
	err = d.list.History(rule, func(e blocklist.Event) bool {
		if e.IsErased() {
			return true // it has ended, and there is nothing to carry over
		}
		switch e.Type {
		case blocklist.EventAdded:
			p.scope = e.Rule.Scope
		case blocklist.EventDerived:
			p.ids[addressEvent(e.ID)] = addressEvent(p.renamed(e.ID))
			p.facts = append(p.facts, e)
		case blocklist.EventException:
			p.facts = append(p.facts, e)
		case blocklist.EventReverted:
			undone[e.Target] = true
		}
		return true
	})
	p.facts = slices.DeleteFunc(p.facts, func(e blocklist.Event) bool { return undone[e.Seq] })
	for _, e := range p.facts {
		p.copies[addressEvent(e.ID)] = e.Keys
	}
	return p, err
}

// renamed returns the new ID of an event. The addresses of a copy keep to it.
func (p *past) renamed(id [16]byte) [16]byte {
	if _, ok := p.ids[id]; !ok {
		p.ids[id] = newEventID()
	}
	return p.ids[id]
}

// over returns the facts that hold for a rule that comes in the place of the
// old one, under new IDs.
func (p *past) over(rule *blocklist.Rule, radii func(phash.Algorithm) phash.Radii, now time.Time) (events []blocklist.Event) {
	for _, e := range p.facts {
		if !e.Until.IsZero() && !now.Before(e.Until) {
			continue
		}
		if e.Type == blocklist.EventDerived && rule.Scope < p.scope {
			if len(e.Keys.Addresses) > 0 {
				// The address stays if what lies there is reached; what is not known
				// is not granted.
				if _, reached := within(p.copies[e.ID], rule, radii); !reached {
					continue
				}
			} else if e.Keys, _ = within(e.Keys, rule, radii); e.Keys.Len() == 0 {
				continue
			}
		}
		e.Seq, e.ID = 0, p.renamed(e.ID)
		events = append(events, e)
	}
	return events
}

// within reports whether a copy that was learned under a wider rule is reached
// by a narrower one by its own scope, and returns those of its keys that are.
func within(learned blocklist.Keys, rule *blocklist.Rule, radii func(phash.Algorithm) phash.Radii) (kept blocklist.Keys, reached bool) {
	for _, b := range learned.Bytes {
		if slices.Contains(rule.Keys.Bytes, b) {
			// A key of the rule already; but it tells what lies at an address.
			kept.Bytes, reached = append(kept.Bytes, b), true
		}
	}
	if rule.Scope < takedown.ScopeIdentical {
		return kept, reached
	}
	for _, h := range learned.Hashes {
		if slices.ContainsFunc(rule.Keys.Hashes, func(own blocklist.HashKey) bool {
			n, ok := h.Hash.Distance(own.Hash)
			return ok && n <= reachOf(rule.Scope, radii(h.Hash.Algorithm()))
		}) {
			kept.Hashes = append(kept.Hashes, h)
		}
	}
	if reached = reached || len(kept.Hashes) > 0; reached {
		kept.Bytes = learned.Bytes
	}
	return kept, reached
}

// radiiOf returns the radii of an algorithm in the desk's list.
func (d *Desk) radiiOf(alg phash.Algorithm) phash.Radii {
	return d.radii.Of(alg, d.list.State().HashCount(alg))
}

// reachOf is how far a rule of a scope reaches by hashes; a wider one than
// Duplicate has those of copies.
func reachOf(scope takedown.Scope, r phash.Radii) int {
	if scope > takedown.ScopeIdentical {
		return r.Block
	}
	return r.Identical
}
