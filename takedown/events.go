package takedown

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/staydown/staydown/blocklist"
)

// EventType is the kind of an event of a rule.
type EventType uint8

const (
	RuleAdded      EventType = 1 // by the acceptance of a case
	RuleBegan      EventType = 2 // its start has come
	RuleDerived    EventType = 3 // another address, file or hash of its picture
	ExceptionEnded EventType = 4 // an exception was undone or ran out
	RuleRevoked    EventType = 5 // by a withdrawal or a reversal
	RuleEnded      EventType = 6 // its end has come
	RuleException  EventType = 7 // a picture that it must leave alone
	DerivedEnded   EventType = 8 // derived keys were reverted or ran out
)

// String returns the name of the type in lower case, for example "rule added".
func (t EventType) String() string {
	names := [...]string{"", "rule added", "rule began", "rule derived", "exception ended", "rule revoked", "rule ended", "rule exception", "derived ended"}
	if t > 0 && int(t) < len(names) {
		return names[t]
	}
	return "unknown event"
}

// Releases reports whether images may be shown again after the event. Check again
// the images that were dropped because of the rule: another rule may cover them
// too. After the other events more is blocked: see [Enforcer.Sweep]. After
// ExceptionEnded a sweep has to begin with the zero Cursor.
func (t EventType) Releases() bool { return t >= RuleRevoked && t <= DerivedEnded }

// Event is something that happened to a rule.
type Event struct {
	// List is the name of the list.
	List string
	// Seq is the number of the event, or 0 for an event of the clock.
	Seq  uint64
	Time time.Time
	Type EventType
	// Rule is the public id of the rule, as in Decision.Rule. It is 0 when an
	// exception, or its end, is of a picture on the allow list.
	Rule uint64
}

// Events returns the events of rules after a cursor. They come list by list, in
// the order of the events and then of the time. When the sequence is complete, the
// cursor is moved behind it. Hosts use it to update caches, thumbnails and crawl
// rules. The zero Cursor, and nil, return every event, and no event of the clock.
// Only Since and Time of Cursor.Seen are used.
//
// Events reads the journal of a list. A list that was loaded from a snapshot has
// no journal, and the error wraps blocklist.ErrReadOnly. For such a list,
// [Enforcer.Sweep] finds images that are newly blocked. Checking dropped images
// again finds those that may be shown.
func (e *Enforcer) Events(ctx context.Context, at *Cursor) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		at := at
		if at == nil { // a new one each time that the sequence is ranged over
			at = new(Cursor)
		}
		seen := maps.Clone(at.Seen)
		if seen == nil {
			seen = map[string]Mark{}
		}
		for i := range e.sources {
			s := &e.sources[i]
			m := seen[s.name]
			stopped, err := s.events(ctx, &m, e.now().UTC(), func(x Event) bool { return yield(x, nil) })
			if stopped {
				return
			}
			if err != nil {
				yield(Event{}, err)
				return
			}
			seen[s.name] = m
		}
		at.Seen = seen
	}
}

// events gives what happened to one list, and moves the mark.
func (s *source) events(ctx context.Context, at *Mark, now time.Time, yield func(Event) bool) (stopped bool, err error) {
	view := s.list.State()
	var failed error
	err = s.list.Events(at.Since+1, func(e blocklist.Event) bool {
		if e.Seq > view.Seq() {
			return false
		}
		if failed = ctx.Err(); failed != nil {
			return false
		}
		var x Event
		if x, failed = s.describe(e); failed != nil {
			return false
		}
		stopped = !yield(x)
		return !stopped
	})
	if err = errors.Join(err, failed); errors.Is(err, blocklist.ErrClosed) {
		err = ErrClosed
	}
	if err != nil || stopped {
		return stopped, err
	}
	for _, x := range s.byClock(view, at.Time, now) {
		if !yield(x) {
			return true, nil
		}
	}
	at.Since, at.Time = view.Seq(), now
	return false, nil
}

// byClock returns what the clock did between two times, in order.
func (s *source) byClock(view *blocklist.State, from, to time.Time) (list []Event) {
	if from.IsZero() {
		return nil
	}
	view.Transitions(from, to, func(t blocklist.Transition) bool {
		list = append(list, Event{List: s.name, Time: t.Time, Rule: t.Rule, Type: transitions[t.Type]})
		return true
	})
	slices.SortFunc(list, func(a, b Event) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Type, b.Type))
	})
	return list
}

var transitions = map[blocklist.TransitionType]EventType{
	blocklist.RuleBegan:      RuleBegan,
	blocklist.RuleEnded:      RuleEnded,
	blocklist.DerivedEnded:   DerivedEnded,
	blocklist.ExceptionEnded: ExceptionEnded,
}

// describe describes an event of the journal.
func (s *source) describe(e blocklist.Event) (Event, error) {
	x := Event{List: s.name, Seq: e.Seq, Time: e.Time, Rule: e.Target}
	switch e.Type {
	case blocklist.EventAdded:
		x.Type, x.Rule = RuleAdded, e.Seq
	case blocklist.EventDerived:
		x.Type = RuleDerived
	case blocklist.EventException:
		x.Type = RuleException
	case blocklist.EventRevoked:
		x.Type = RuleRevoked
	case blocklist.EventReverted:
		var reverted blocklist.Event
		err := s.list.Events(e.Target, func(o blocklist.Event) bool {
			reverted = o
			return false
		})
		if err == nil && reverted.Seq != e.Target {
			err = fmt.Errorf("takedown: the list has no event %d, which event %d reverts", e.Target, e.Seq)
		}
		if err != nil {
			return x, err
		}
		x.Type, x.Rule = ExceptionEnded, reverted.Target
		if reverted.Type == blocklist.EventDerived {
			x.Type = DerivedEnded
		}
	}
	return x, nil
}
