package blocklist

import (
	"context"
	"fmt"
	"slices"
)

// Follow calls yield for the events of the journal after a Position, in order, and
// then waits for more. Each event comes with the Position of the list that has it.
// The zero Position is the beginning. Follow ends when yield returns false. It
// returns ctx.Err() when ctx ends, and ErrClosed when the list is closed.
//
// It returns ErrRollback if the list has not reached that Position, or is of
// another epoch. It returns ErrFork if the list reached its number by other
// events.
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
	if last := l.State().seq; p.Seq > last || p != (Position{}) && p.Epoch != j.id.Epoch {
		return digest, fmt.Errorf("blocklist: the list is at %v, and not at or after %v: %w", l.State().Position(), p, ErrRollback)
	}
	digest, err = j.digestAt(p.Seq)
	if err == nil && p != (Position{}) && digest != p.Digest {
		err = fmt.Errorf("blocklist: the list has other events up to %d: %w", p.Seq, ErrFork)
	}
	return digest, err
}

// History calls yield for every event of one rule, in order, until yield returns
// false: its own, those that refer to it, and those that undo them. A number that
// is not a rule's has no history.
func (l *List) History(rule uint64, yield func(Event) bool) error {
	j, err := l.journal()
	if err != nil {
		return err
	}
	if rule == 0 || rule > l.State().Seq() {
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
