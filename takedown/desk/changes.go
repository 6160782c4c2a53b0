package desk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
)

// Changes gives what happened to rules after the cursor, in the order of the
// events and then of the time, and moves the cursor behind it when it is
// through. Hosts use it to keep caches, thumbnails and crawl rules in step. The
// zero Cursor, and nil, give every event, and nothing that the clock did. Of the
// cursor, only Since and Time are used.
func (d *Desk) Events(ctx context.Context, at *takedown.Cursor) iter.Seq2[takedown.Event, error] {
	return func(yield func(takedown.Event, error) bool) {
		at := at
		if at == nil { // a new one each time that the sequence is ranged over
			at = new(takedown.Cursor)
		}
		view, now := d.list.View(), d.now().UTC()
		stopped := false
		var failed error
		err := d.list.Events(at.Since+1, func(e blocklist.Event) bool {
			if e.Seq > view.Seq() {
				return false
			}
			var c takedown.Event
			if c, failed = d.change(ctx, e); failed != nil {
				return false
			}
			stopped = !yield(c, nil)
			return !stopped
		})
		if err = closedError(errors.Join(err, failed)); err != nil {
			yield(takedown.Event{}, err)
			return
		}
		if stopped {
			return
		}
		var byClock []takedown.Event
		if !at.Time.IsZero() {
			view.Transitions(at.Time, now, func(t blocklist.Transition) bool {
				byClock = append(byClock, takedown.Event{Time: t.Time, Rule: t.Rule, Type: clockChanges[t.Type]})
				return true
			})
		}
		slices.SortFunc(byClock, func(a, b takedown.Event) int {
			return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Type, b.Type))
		})
		for _, c := range byClock {
			if !yield(c, nil) {
				return
			}
		}
		at.Since, at.Time = view.Seq(), now
	}
}

var clockChanges = map[blocklist.TransitionType]takedown.EventType{
	blocklist.RuleBegan:      takedown.RuleBegan,
	blocklist.RuleEnded:      takedown.RuleEnded,
	blocklist.DerivedEnded:   takedown.DerivedEnded,
	blocklist.ExceptionEnded: takedown.ExceptionEnded,
}

// change describes an event.
func (d *Desk) change(ctx context.Context, e blocklist.Event) (takedown.Event, error) {
	c := takedown.Event{Seq: e.Seq, Time: e.Time, Rule: e.Target}
	switch e.Type {
	case blocklist.EventAdded:
		c.Type, c.Rule = takedown.RuleAdded, e.Seq
	case blocklist.EventDerived:
		c.Type = takedown.RuleDerived
	case blocklist.EventException:
		c.Type = takedown.RuleException
	case blocklist.EventRevoked:
		c.Type = takedown.RuleRevoked
	case blocklist.EventReverted:
		undone, err := d.event(e.Target)
		if err != nil {
			return c, err
		}
		c.Type, c.Rule = takedown.ExceptionEnded, undone.Target
		if undone.Type == blocklist.EventDerived {
			c.Type = takedown.DerivedEnded
		}
	}
	return c, ctx.Err()
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
