package desk

import (
	"context"
	"errors"
	"fmt"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// Duty is a part of the work with a case, which an operator gives to some people and
// not to others: see Options.May.
type Duty string

const (
	// DutySee: see the request with its pictures, notes and papers.
	DutySee Duty = "see"
	// DutyDecide: decide, and what leads to a decision: ask, hold, extend, assign.
	DutyDecide Duty = "decide"
	// DutyProtect: what concerns the personal data of a case: erase it, keep it from
	// erasure, hand it out with [Desk.Dossier].
	DutyProtect Duty = "protect"
)

// ErrNotAllowed is returned when a reviewer may not do something with a case: see
// Options.May and Options.ChildSafety.
var ErrNotAllowed = errors.New("takedown: the reviewer may not do this with the case")

// ErrSameReviewer is returned when a complaint is decided by the reviewer who made the
// decision that it is about. Options.OneReviewer allows it.
var ErrSameReviewer = errors.New("takedown: a complaint is decided by another reviewer than the decision that it is about")

// may refuses a reviewer who may not do something. An actor without a name is the
// program of the operator, or the requester.
func (d *Desk) may(c *Case, a Actor, duty Duty) error {
	if a.By == "" || d.opts.May == nil || d.opts.May(a.By, duty, c) {
		return nil
	}
	return fmt.Errorf("%w: case %v, duty %s", ErrNotAllowed, c.ID, duty)
}

// maySee refuses reviewers who may not see what a case is about.
func (d *Desk) maySee(c *Case, a Actor) error {
	if c.aboutChild() && d.opts.ChildSafety != nil && !d.opts.ChildSafety(a.By) {
		return fmt.Errorf("%w: case %v is about a child", ErrNotAllowed, c.ID)
	}
	return d.may(c, a, DutySee)
}

// mayDecide refuses reviewers who may not decide a case.
func (d *Desk) mayDecide(c *caseRecord, a Actor) error {
	if c.aboutChild() && d.opts.ChildSafety != nil && !d.opts.ChildSafety(a.By) {
		return fmt.Errorf("%w: case %v is about a child", ErrNotAllowed, c.ID)
	}
	if err := d.may(&c.Case, a, DutyDecide); err != nil {
		return err
	}
	if c.Kind != request.KindComplaint || d.opts.OneReviewer || a.By == "" {
		return nil
	}
	target, err := d.store.get(c.About)
	if err != nil {
		return err
	}
	if target.decidedBy() == a.By {
		return fmt.Errorf("%w: case %v", ErrSameReviewer, c.ID)
	}
	return nil
}

// LogOf returns the entries of the log about one case, the oldest first: also who has
// looked at it ("viewed"), and to whom it was handed out ("exported"). It reads the
// whole log.
func (d *Desk) LogOf(ctx context.Context, id takedown.CaseID) (list []LogEntry, err error) {
	err = d.eachEntry(ctx, 1, func(e LogEntry) bool {
		if e.Case == id {
			list = append(list, e)
		}
		return true
	})
	return list, err
}
