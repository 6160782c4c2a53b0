package desk

import (
	"context"
	"errors"
	"fmt"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
)

// Every event comes into the list in one way. The transaction that stores why it
// comes puts it into the outbox of its owner: a case, or, for what a reviewer says
// about a match or about a common picture, the event itself. Then it is appended to
// the journal, which takes the ID of an event once. Then the transaction that
// stores what follows empties the outbox. Whatever a crash leaves in an outbox, Open
// appends.

// queue puts events into the outbox of an owner.
func (s *caseStore) queue(tx StoreTx, owner takedown.CaseID, events []blocklist.Event) error {
	for i, e := range events {
		b, err := e.MarshalBinary()
		if err != nil {
			return err
		}
		if err := tx.Put(BucketOutbox, numbered(owner, i), seal(s.operator, label("outbox", owner), b)); err != nil {
			return err
		}
	}
	return nil
}

// unqueue empties the outbox of an owner, whose events the list has at a Position.
func unqueue(tx StoreTx, owner takedown.CaseID, at reached) error {
	return errors.Join(deletePrefix(tx, BucketOutbox, owner[:]), putDelivered(tx, at))
}

// bring appends what is in the outbox of an owner to the journal, and returns it with
// the numbers of the events. The outbox is not emptied.
func (d *Desk) bring(ctx context.Context, owner takedown.CaseID) (events []blocklist.Event, seqs []uint64, err error) {
	if events, err = d.store.pending(owner); err != nil || len(events) == 0 {
		return nil, nil, err
	}
	aim(events, d.list.State().Seq())
	seqs, err = d.list.Append(ctx, events...)
	return events, seqs, err
}

// say brings events of no case into the list: note stores why they come, in the
// transaction that queues them, and may be nil. They are owned by the first of them.
func (d *Desk) say(ctx context.Context, events []blocklist.Event, note func(StoreTx) error) ([]uint64, error) {
	owner := takedown.CaseID(events[0].ID)
	if err := d.store.db.Update(func(tx StoreTx) error {
		if note != nil {
			if err := note(tx); err != nil {
				return err
			}
		}
		return d.store.queue(tx, owner, events)
	}); err != nil {
		return nil, err
	}
	return d.deliverSaid(ctx, owner)
}

// deliverSaid appends what is in the outbox of an owner that is no case, and empties it.
func (d *Desk) deliverSaid(ctx context.Context, owner takedown.CaseID) ([]uint64, error) {
	events, seqs, err := d.bring(ctx, owner)
	if err != nil || len(events) == 0 {
		return nil, err
	}
	if takedown.CaseID(events[0].ID) != owner {
		return nil, fmt.Errorf("%w: events of case %v are in the outbox, and there is no such case", ErrStore, owner)
	}
	at := d.here()
	return seqs, d.store.db.Update(func(tx StoreTx) error { return unqueue(tx, owner, at) })
}
