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
//
// If the journal and the store are in one database, all of this is one transaction, and
// the outbox is not needed.

// JointJournal is a Journal whose entries can be written in the transactions of a
// [Store], because both are in one database. Package storetest has its test.
type JointJournal interface {
	blocklist.Journal
	// With reports whether AppendIn takes the transactions of a store.
	With(s Store) bool
	// AppendIn is Append in a transaction that Update of such a store has begun. The
	// entries are in the journal if the transaction is stored, and otherwise not.
	AppendIn(tx StoreTx, entries []blocklist.Entry) error
}

// jointly brings events into the list in the transaction in which write stores why they
// come and what follows. seqs are their numbers, and at is where the list is with them.
// None of the events is in the list yet.
func (d *Desk) jointly(ctx context.Context, events []blocklist.Event, write func(tx StoreTx, seqs []uint64, at reached) error) ([]uint64, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	at := d.here()
	aim(events, at.Seq)
	// The transaction must not come after this call has returned.
	return d.list.AppendWith(context.WithoutCancel(ctx), func(entries []blocklist.Entry) error {
		seqs := make([]uint64, len(entries))
		for i := range entries {
			seqs[i], at.Seq, at.Digest = entries[i].Seq, entries[i].Seq, entries[i].Digest
		}
		return d.store.db.Update(func(tx StoreTx) error {
			if err := write(tx, seqs, at); err != nil {
				return err
			}
			if err := putDelivered(tx, at); err != nil {
				return err
			}
			return d.joint.AppendIn(tx, entries)
		})
	}, events...)
}

// enact stores a change, and brings its events into the list.
func (d *Desk) enact(ctx context.Context, ch change) error {
	if len(ch.events) > 0 && d.joint != nil {
		return d.enactJointly(ctx, ch)
	}
	if err := d.store.apply(ch); err != nil || len(ch.events) == 0 {
		return err
	}
	// What is decided is durable: a caller that gives up now must not leave it
	// half done.
	return d.deliver(context.WithoutCancel(ctx), ch.cases[0])
}

// enactJointly is enact in one transaction.
func (d *Desk) enactJointly(ctx context.Context, ch change) error {
	events := ch.events
	ch.events = nil
	sealed, err := d.store.prepare(&ch)
	if err != nil {
		return err
	}
	var end change
	_, err = d.jointly(ctx, events, func(tx StoreTx, seqs []uint64, at reached) (err error) {
		if err = d.store.write(tx, &ch, sealed); err != nil {
			return err
		}
		if end, err = d.delivery(ch.cases[0], events, seqs, at); err != nil {
			return err
		}
		if _, err = d.store.prepare(&end); err != nil {
			return err
		}
		return d.store.write(tx, &end, sealedChange{})
	})
	if err != nil {
		d.store.doubt(ch.made()...)
		return closedError(err)
	}
	return errors.Join(d.store.written(&ch), d.store.written(&end))
}

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
	if d.joint != nil {
		return d.jointly(ctx, events, func(tx StoreTx, _ []uint64, _ reached) error {
			if note == nil {
				return nil
			}
			return note(tx)
		})
	}
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
