package blocklist

import (
	"context"
	"fmt"
	"slices"
)

// Follow calls yield for the events of the journal after a Position, in order,
// each with the Position of the list that has it, and waits for more, until yield
// returns false or ctx ends, when it returns ctx.Err(), or the list is closed, when
// it returns ErrClosed. The zero Position is the beginning.
//
// It returns ErrRollback if the list has not come to that Position, or is of
// another epoch, and ErrFork if it came to its number by other events.
func (l *List) Follow(ctx context.Context, after Position, yield func(Event, Position) bool) error {
	j, err := l.journal()
	if err != nil {
		return err
	}
	if after.Digest, err = l.continues(j, after); err != nil {
		return err
	}
	for {
		// Taken before reading, so that nothing that comes meanwhile is missed.
		more := l.writer.more()
		going := true
		err := j.readLinked(after.Seq, after.Digest, func(e *committed) bool {
			after = Position{j.id.Epoch, e.Seq, e.digest}
			going = yield(e.Event, after)
			return going
		})
		if err != nil || !going {
			return err
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		case <-l.writer.ctx.Done():
			return fmt.Errorf("blocklist: %w", ErrClosed)
		}
	}
}

// continues returns the digest at a Position, if the list was there.
func (l *List) continues(j *log, p Position) (digest [32]byte, err error) {
	if last := l.View().seq; p.Seq > last || p != (Position{}) && p.Epoch != j.id.Epoch {
		return digest, fmt.Errorf("blocklist: the list is at %v, and not at or after %v: %w", l.View().Position(), p, ErrRollback)
	}
	digest, err = j.digestAt(p.Seq)
	if err == nil && p != (Position{}) && digest != p.Digest {
		err = fmt.Errorf("blocklist: the list has other events up to %d: %w", p.Seq, ErrFork)
	}
	return digest, err
}

// Change says where the answers of a list may have changed. It names keys; what
// holds for them now is for the State to say, because other rules may cover them
// too.
type Change struct {
	// Seq is the number of the event that made the change.
	Seq uint64
	// Rule is the public id of the rule it belongs to; 0 for a picture that was
	// excepted from all rules.
	Rule uint64
	// Blocks is true for keys that are blocked from then on, and false for keys
	// whose pictures and addresses may be admitted again.
	Blocks bool
	Keys   Keys
}

// Changes calls yield for the changes that the events after number since made,
// in order, until yield returns false: what is new in an index that was in step
// with the list at since must go, or may come back. The journal answers it, so
// the list must be opened for writing. What begins and ends with the clock is
// for State.Transitions to say.
func (l *List) Changes(since uint64, yield func(Change) bool) error {
	var inner error
	err := l.Events(since+1, func(e Event) bool {
		changes, err := l.changesOf(&e)
		if err != nil {
			inner = err
			return false
		}
		for _, c := range changes {
			if !yield(c) {
				return false
			}
		}
		return true
	})
	if inner != nil {
		return inner
	}
	return err
}

func (l *List) changesOf(e *Event) ([]Change, error) {
	if e.IsErased() {
		return nil, nil // what it blocked is allowed again by the event that ended it
	}
	switch e.Type {
	case EventAdded:
		return []Change{{e.Seq, e.Seq, true, e.Rule.Keys}}, nil
	case EventDerived:
		return []Change{{e.Seq, e.Target, true, e.Keys}}, nil
	case EventException:
		return []Change{{e.Seq, e.Target, false, e.Keys}}, nil
	case EventReverted:
		if e.Target >= e.Seq {
			return nil, nil
		}
		undone, err := l.writer.journal.get(e.Target)
		if err != nil || undone.Type != EventDerived && undone.Type != EventException {
			return nil, err
		}
		return []Change{{e.Seq, undone.Target, undone.Type == EventException, undone.Keys}}, nil
	}
	// A rule ends with all that was learned for it.
	var out []Change
	err := l.History(e.Target, func(h Event) bool {
		switch {
		case h.Seq >= e.Seq:
			return false
		case h.IsErased():
		case h.Type == EventAdded:
			out = append(out, Change{e.Seq, e.Target, false, h.Rule.Keys})
		case h.Type == EventDerived:
			out = append(out, Change{e.Seq, e.Target, false, h.Keys})
		}
		return true
	})
	return out, err
}

// History calls yield for every event of one rule, in order, until yield
// returns false: its own, those that refer to it, and those that undo them. A
// number that is no rule's has no history.
func (l *List) History(rule uint64, yield func(Event) bool) error {
	j, err := l.journal()
	if err != nil {
		return err
	}
	if rule == 0 || rule > l.View().Seq() {
		return nil
	}
	added, err := j.get(rule)
	if err != nil || added.Type != EventAdded {
		return err
	}
	numbers, err := j.store.Targeting(rule)
	if err != nil {
		return err
	}
	for _, n := range slices.Clone(numbers) {
		undoing, err := j.store.Targeting(n)
		if err != nil {
			return err
		}
		numbers = append(numbers, undoing...)
	}
	slices.Sort(numbers)
	if !yield(added) {
		return nil
	}
	for _, n := range numbers {
		e, err := j.get(n)
		if err != nil {
			return err
		}
		if !yield(e) {
			return nil
		}
	}
	return nil
}
