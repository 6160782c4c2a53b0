package desk

import (
	"context"
	"errors"
	"time"

	"github.com/staydown/staydown/takedown"
)

// Retention is how long cases are kept that nobody works on. [Desk.Expire] ends them
// then; [Desk.Planned] lists what it will do. Zero fields are the defaults, and a
// negative duration keeps cases for ever.
//
// Cases that are on hold, under a legal hold, or that an undecided reply is about are
// kept.
type Retention struct {
	// Unconfirmed is for a case that waits for the confirmation of its email address,
	// counted from the last token. The case becomes abandoned and its personal data is
	// erased. The default is DefaultRetainUnconfirmed.
	Unconfirmed time.Duration
	// Incomplete is for a case that waits for its requester to complete it. The case
	// becomes abandoned. The default is DefaultRetainIncomplete.
	Incomplete time.Duration
	// Ended is for a case that has ended, counted from its last step, or from the end
	// of the window for complaints if that is later. The case is closed and its
	// personal data erased, as by [Desk.Erase]. The default is DefaultRetainEnded.
	Ended time.Duration
}

// Defaults of [Retention].
const (
	DefaultRetainUnconfirmed = 14 * 24 * time.Hour
	DefaultRetainIncomplete  = 60 * 24 * time.Hour
	DefaultRetainEnded       = 365 * 24 * time.Hour
)

// withDefaults puts the defaults into the fields that are zero.
func (r Retention) withDefaults() Retention {
	for _, f := range []struct {
		field *time.Duration
		value time.Duration
	}{{&r.Unconfirmed, DefaultRetainUnconfirmed}, {&r.Incomplete, DefaultRetainIncomplete}, {&r.Ended, DefaultRetainEnded}} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	return r
}

// PlannedAction is what [Desk.Expire] does to a case by itself.
type PlannedAction string

const (
	PlanExpire  PlannedAction = "expire"  // the granted time is over
	PlanAbandon PlannedAction = "abandon" // nobody confirmed or completed it: see [Retention]
	PlanErase   PlannedAction = "erase"   // it ended long ago: it is closed, and its personal data erased
)

// Planned is what [Desk.Expire] will do to a case from a time on.
type Planned struct {
	Case   takedown.CaseID
	Kind   takedown.Kind
	Action PlannedAction
	At     time.Time
}

// Planned lists what [Desk.Expire] will do up to a time, the earliest first. The zero
// time lists everything that is planned. An operator who does not want it prolongs the
// terms of the case, or sets a legal hold.
func (d *Desk) Planned(ctx context.Context, before time.Time) (list []Planned, err error) {
	err = d.store.db.View(func(tx StoreTx) error {
		list = nil
		var ids []takedown.CaseID
		if err := d.store.eachUntil(tx, ixPlanned, before, func(id takedown.CaseID, _ time.Time) error {
			ids = append(ids, id)
			return ctx.Err()
		}); err != nil {
			return err
		}
		for _, id := range ids {
			c, err := d.store.getIn(tx, id)
			if err != nil {
				return err
			}
			if p, ok := d.store.terms.planned(c); ok && (before.IsZero() || !p.At.After(before)) {
				list = append(list, p)
			}
		}
		return ctx.Err()
	})
	return list, err
}

// planned returns what happens to a case by itself, if anything does.
func (t *indexTerms) planned(c *caseRecord) (p Planned, ok bool) {
	p = Planned{Case: c.ID, Kind: c.Kind, At: c.latest()}
	keep := time.Duration(-1)
	switch {
	case c.State == StateInForce && !c.End.IsZero():
		p.Action, p.At, keep = PlanExpire, c.End, 0
	case len(c.Rules) > 0 || c.LegalHold:
	case c.State == StateUnconfirmed:
		p.Action, keep = PlanAbandon, t.retention.Unconfirmed
		if c.TokenSent.After(p.At) {
			p.At = c.TokenSent
		}
	case c.State == StateNeedsInfo:
		p.Action, keep = PlanAbandon, t.retention.Incomplete
		if n := len(c.Pauses); n > 0 {
			p.At = c.Pauses[n-1].From
		}
	case c.ended() && !c.Erased():
		p.Action, keep = PlanErase, t.retention.Ended
	}
	if keep < 0 {
		return Planned{}, false
	}
	p.At = p.At.Add(keep)
	if p.Action == PlanErase {
		if end := t.complaintsUntil(&c.Case); end.After(p.At) {
			p.At = end
		}
	}
	return p, true
}

// complaintsUntil returns the end of the window for complaints about a case, if it
// has begun.
func (t *indexTerms) complaintsUntil(c *Case) (end time.Time) {
	for i := range t.deadlines {
		row := &t.deadlines[i]
		if row.Name != "complaint_window" || !row.of(c) {
			continue
		}
		if x, ok := row.clock(c, t.calendars, time.Time{}); ok && x.NotBefore.After(end) {
			end = x.NotBefore
		}
	}
	return end
}

// Reasons in the log of what retention does.
const (
	reasonNotConfirmed = "not_confirmed"
	reasonNotCompleted = "not_completed"
	reasonRetention    = "retention"
)

// doPlanned is the change that does what is planned for a case, if its time has come.
func (d *Desk) doPlanned(c *caseRecord, now time.Time) (change, error) {
	p, ok := d.store.terms.planned(c)
	if !ok || d.settled().Before(p.At) {
		return change{}, &MoveError{c.ID, c.State, StateExpired}
	}
	switch p.Action {
	case PlanExpire:
		return d.expired(c, now)
	case PlanAbandon:
		unconfirmed := c.State == StateUnconfirmed
		a := Actor{Reason: reasonNotCompleted}
		if unconfirmed {
			a.Reason = reasonNotConfirmed
		}
		if err := c.move(StateAbandoned, a, now); err != nil {
			return change{}, err
		}
		c.First = nil
		c.happened(MilestoneEnded, now)
		if unconfirmed {
			return d.erasing(c, a, now)
		}
		return change{}, nil
	}
	waits, err := d.waitsForReply(c.ID)
	if err != nil {
		return change{}, err
	}
	if waits {
		return change{}, &MoveError{c.ID, c.State, "erased"}
	}
	a := Actor{Reason: reasonRetention}
	if c.State != StateClosed {
		c.happened(MilestoneClosed, now)
		if err := c.move(StateClosed, a, now); err != nil {
			return change{}, err
		}
	}
	return d.erasing(c, a, now)
}

// waitsForReply reports whether a reply about a case is not decided.
func (d *Desk) waitsForReply(id takedown.CaseID) (waits bool, err error) {
	err = d.search(context.Background(), &Query{About: id}, func(s *search) error {
		return s.each(func(rank []byte) bool {
			reply, failed := s.getIn(s.tx, idOf(rank))
			if err = failed; failed == nil {
				waits = reply.undecided() || reply.State == StateCounter || reply.State == StateCourtHold
			}
			return failed == nil && !waits
		})
	})
	return waits, err
}

// eraseRules destroys, in the files of the list, what the ended rules of erased cases
// were made of. It rewrites the journal once for all of them.
func (d *Desk) eraseRules(ctx context.Context, ids ...takedown.CaseID) error {
	var rules []uint64
	var errs []error
	past := map[takedown.CaseID]int{}
	for _, id := range ids {
		c, err := d.store.get(id)
		if err != nil {
			errs = append(errs, err)
		} else if c.Erased() && len(c.Past) > 0 {
			rules = append(rules, c.Past...)
			past[id] = len(c.Past)
		}
	}
	if len(rules) == 0 {
		return errors.Join(errs...)
	}
	if _, err := d.list.Erase(ctx, rules...); err != nil {
		return errors.Join(append(errs, closedError(err))...)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, n := range past {
		c, err := d.store.get(id)
		if err == nil {
			c.Past = c.Past[n:]
			err = d.store.db.Update(func(tx StoreTx) error { return d.store.putCase(tx, c) })
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
