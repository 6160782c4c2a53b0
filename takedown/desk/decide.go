package desk

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/fields"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// Accept grants a request on the terms of g. When it returns nil, the grant is
// durable and in effect. For a request that blocks something, its rules are
// enforced. For a withdrawal, complaint, objection or counter-notice, the case
// that it refers to is changed as it asks.
//
// After an error the case is unchanged. If only the last step failed, the next
// call about the case completes it, or Open does.
//
// It fails with a [*MoveError] when the case is not waiting for a decision, and
// with a [*GrantError] when the terms cannot be granted. It fails with a
// [*SecondReviewError] when a second reviewer has to grant the same.
func (d *Desk) Accept(ctx context.Context, id takedown.CaseID, g Grant) error {
	var second error
	found, err := d.withViews(ctx, id, &g)
	if err != nil {
		return err
	}
	err = d.step(ctx, id, func(c *caseRecord, now time.Time) (change, error) {
		switch c.State {
		case StateInReview, StateSecondReview, StateNeedsInfo:
		default:
			return change{}, &MoveError{id, c.State, StateEnforcing}
		}
		if err := cmp.Or(c.seen(g.Seen), d.mayDecide(c, g.Actor), c.assigned(g.Actor, now)); err != nil {
			return change{}, err
		}
		if request.IsReply(c.Kind) {
			return d.acceptReply(ctx, c, g, now, &second)
		}
		g, err := d.refusing(c, g)
		if err != nil {
			return change{}, err
		}
		if err := d.takeViews(c, found); err != nil {
			return change{}, err
		}
		undo := c.undo()
		rules, covers, err := d.plan(c, g, d.list)
		if err != nil {
			return change{}, err
		}
		if wait, err := d.approve(c, g, now, &second); wait || err != nil {
			undo()
			return change{}, err
		}
		ch, err := d.replace(c, rules, covers, StateInForce, g.Actor, now)
		if err != nil {
			return change{}, err
		}
		if err := d.decided(c, &ch, g, now); err != nil {
			return change{}, err
		}
		return ch, nil
	})
	return errors.Join(err, second)
}

// decided notes a grant in its case, and adds to a change what is kept.
func (d *Desk) decided(c *caseRecord, ch *change, g Grant, now time.Time) error {
	if err := d.store.find(c, g.Finding); err != nil {
		return err
	}
	if d.opts.FullStatements {
		st := NewStatementOfReasons(&c.Case)
		if lacks := st.incomplete(); len(lacks) > 0 {
			return &GrantError{c.ID, fmt.Sprintf("the statement of reasons would lack %s: see Grant.Finding", strings.Join(lacks, " and "))}
		}
	}
	c.Reason = g.Reason
	at, err := c.decidedAt(g.Past, now)
	if err != nil {
		return err
	}
	c.Silent = !g.Past.IsZero()
	c.happened(MilestoneDecided, at) // again, after a complaint
	ch.material = c.material         // the letter follows when the rules are in the list
	if d.opts.KeepPictures && !c.Delicate() {
		ch.keep = grantedImages(c)
	}
	return nil
}

// decidedAt returns when a case was decided. Of one that was decided before it was
// imported, the requester was told then.
func (c *caseRecord) decidedAt(past, now time.Time) (time.Time, error) {
	if past.IsZero() {
		return now, nil
	}
	if past = past.UTC().Truncate(time.Second); !slices.Contains(c.Flags, FlagImported) || past.Before(c.Received) || past.After(now) {
		return now, &GrantError{c.ID, "Past is for cases of Import, and lies between their receipt and now"}
	}
	c.happened(MilestoneInformed, past)
	return past, nil
}

// undo returns a function that takes back what plan writes into a case: a grant
// that waits for a second reviewer, or only holds, is none yet.
func (c *caseRecord) undo() func() {
	before, items := *c, slices.Clone(c.Items)
	return func() {
		c.Granted, c.Outcome, c.Effect = before.Granted, before.Outcome, before.Effect
		c.Territories, c.Start, c.End, c.Face = before.Territories, before.Start, before.End, before.Face
		c.Items = items
	}
}

// approve reports whether a risky grant has to wait for a second reviewer, and
// notes the approval of the first. What was planned does not hold then.
func (d *Desk) approve(c *caseRecord, g Grant, now time.Time, second *error) (wait bool, err error) {
	why, err := d.risks(c)
	if err != nil {
		return false, err
	}
	if len(why) == 0 || d.opts.OneReviewer {
		c.First = nil
		return false, nil
	}
	if g.By == "" {
		return false, &GrantError{c.ID, fmt.Sprintf("it needs two reviewers because of %v; Grant.By has to say who grants it", why)}
	}
	digest, err := d.approved(c, g)
	if err != nil {
		return false, err
	}
	if c.First != nil && c.First.By != g.By && bytes.Equal(c.First.Grant, digest) {
		c.First = nil
		return false, nil
	}
	*second = &SecondReviewError{c.ID, why}
	c.First = &approval{By: g.By, Grant: digest}
	if c.State == StateInReview {
		err = c.move(StateSecondReview, g.Actor, now)
	} else {
		err = g.Actor.check()
		c.note(c.State, c.State, g.Actor, now)
	}
	return true, err
}

// Amend replaces the terms of a case in force by those of a new grant. A grant can
// change the scope, the items, the territories, the times and, for a vetted hash
// entry, the effect. Fields left zero take their defaults, not the values of the
// old grant. The old rules are replaced by the new ones in one step.
//
// A case whose granted time is over has expired, even if Expire has not run yet:
// it needs a new request.
//
// Derived keys and exceptions of an old rule are transferred to the new rule for
// the same item. A narrower scope drops derived copies outside it. ScopeIdentical
// drops copies that are not the identical picture, ScopeBytes copies in another
// file. Exceptions are always kept.
func (d *Desk) Amend(ctx context.Context, id takedown.CaseID, g Grant) error {
	var second error
	found, err := d.withViews(ctx, id, &g)
	if err != nil {
		return err
	}
	err = d.step(ctx, id, func(c *caseRecord, now time.Time) (change, error) {
		if c.State != StateInForce {
			return change{}, &MoveError{id, c.State, StateEnforcing}
		}
		if c.over(now) {
			return change{}, &MoveError{id, StateExpired, StateEnforcing}
		}
		if err := cmp.Or(c.seen(g.Seen), d.mayDecide(c, g.Actor), c.assigned(g.Actor, now)); err != nil {
			return change{}, err
		}
		g, err := d.refusing(c, g)
		if err != nil {
			return change{}, err
		}
		if err := d.takeViews(c, found); err != nil {
			return change{}, err
		}
		undo := c.undo()
		rules, covers, err := d.plan(c, g, d.list)
		if err != nil {
			return change{}, err
		}
		if wait, err := d.approve(c, g, now, &second); wait || err != nil {
			undo()
			return change{}, err
		}
		ch, err := d.replace(c, rules, covers, StateInForce, g.Actor, now)
		if err != nil {
			return change{}, err
		}
		if err := d.decided(c, &ch, g, now); err != nil {
			return change{}, err
		}
		return ch, nil
	})
	return errors.Join(err, second)
}

// Reject closes a case without any effect.
//
// It fails with a [*GrantError] when the refusal has no reason that its letter can
// give, with a [*ChangedError] when the case has changed since Refusal.Seen, and
// with a [*MoveError] when the case is not waiting for a decision.
func (d *Desk) Reject(ctx context.Context, id takedown.CaseID, r Refusal) error {
	return d.stepEnding(ctx, id, func(c *caseRecord, now time.Time) (change, error) {
		switch c.State {
		case StateInForce, StateCounter, StateCourtHold:
			return change{}, &MoveError{id, c.State, StateRejected}
		}
		if err := cmp.Or(c.seen(r.Seen), d.mayDecide(c, r.Actor), c.assigned(r.Actor, now)); err != nil {
			return change{}, err
		}
		return d.rejecting(c, r, now)
	})
}

// rejecting is the change that rejects a case.
func (d *Desk) rejecting(c *caseRecord, r Refusal, now time.Time) (change, error) {
	c.Outcome = cmp.Or(r.Outcome, OutcomeRejected)
	switch c.Outcome {
	case OutcomeRejected, OutcomeOutOfScope, OutcomeUnfounded:
		if r.Same != (takedown.CaseID{}) {
			return change{}, &GrantError{c.ID, fmt.Sprintf("Refusal.Same belongs to the outcome %s", OutcomeDuplicateOf)}
		}
	case OutcomeDuplicateOf:
		if err := d.covers(c, r.Same); err != nil {
			return change{}, err
		}
		c.Same = r.Same
	default:
		return change{}, fmt.Errorf("takedown: %q is no way to reject", r.Outcome)
	}
	reason, err := d.why(c.ID, r.Reason, c.Outcome, &r.Finding)
	if err != nil {
		return change{}, err
	}
	c.Reason = reason
	for i := range c.Items {
		if it := &c.Items[i]; it.Ended == "" {
			it.Outcome, it.Reason = c.Outcome, reason
		}
	}
	ch, err := d.replace(c, nil, nil, StateRejected, r.Actor, now)
	if err != nil {
		return change{}, err
	}
	if err := d.store.find(c, r.Finding); err != nil {
		return change{}, err
	}
	c.First = nil
	at, err := c.decidedAt(r.Past, now)
	if err != nil {
		return change{}, err
	}
	c.happened(MilestoneDecided, at)
	switch {
	case reason == reasonSpam:
		ch.extra = func(tx StoreTx) error { return d.store.dropMessages(tx, c.ID) }
		return ch, nil
	case !r.Past.IsZero():
		c.Silent = len(ch.events) > 0
		return ch, nil
	}
	ch.messages = []message{{Case: c.ID, Type: MessageRejected, Reason: reason}}
	return ch, nil
}

// covers refuses a case that cannot cover another one.
func (d *Desk) covers(c *caseRecord, id takedown.CaseID) error {
	if id == (takedown.CaseID{}) || id == c.ID {
		return &GrantError{c.ID, fmt.Sprintf("the outcome %s needs the case that covers it, in Refusal.Same", OutcomeDuplicateOf)}
	}
	same, err := d.store.get(id)
	if err != nil {
		return err
	}
	if same.ended() || request.IsReply(same.Kind) {
		return &GrantError{c.ID, fmt.Sprintf("case %v is %s and cannot cover it", id, same.State)}
	}
	return nil
}

// AskInfo asks the requester to complete the request. missing are the paths of the
// missing fields, as in [request.Problem].Field; they replace those of an earlier
// call. question is what else the reviewer wants to know, in words; it may be
// empty. The case waits until [Desk.Complete]. An approval that waited for a second
// reviewer is void.
func (d *Desk) AskInfo(ctx context.Context, id takedown.CaseID, a Actor, missing []string, question ...string) error {
	words := strings.TrimSpace(strings.Join(question, "\n\n"))
	if err := checkWords("question", words, maxFinding); err != nil {
		return err
	}
	return d.step(ctx, id, func(c *caseRecord, now time.Time) (change, error) {
		if err := d.may(&c.Case, a, DutyDecide); err != nil {
			return change{}, err
		}
		c.Problems = nil
		for _, f := range missing {
			if !fields.Plain.MatchString(f) {
				return change{}, fmt.Errorf("takedown: AskInfo takes paths of fields")
			}
			c.Problems = append(c.Problems, request.Problem{Field: f, Code: request.CodeRequired, Severity: request.Curable})
		}
		if c.State != StateNeedsInfo {
			if err := c.move(StateNeedsInfo, a, now); err != nil {
				return change{}, err
			}
		} else if err := a.check(); err != nil { // asked before: it waits on
			return change{}, err
		} else {
			c.note(c.State, c.State, a, now)
		}
		c.First = nil
		return change{messages: []message{{Case: id, Type: MessageNeedsInfo, Reason: a.Reason, Words: words}}}, nil
	})
}

// Hold blocks the items of a request before the decision: its addresses, and the
// identical pictures. It is for intimate pictures, and for the restriction of
// Article 18 GDPR. Any decision ends the hold.
//
// For an item that has only a hash, matches are held for review, as when it is
// granted. When a request is completed, items that were on hold stay on hold. New
// items are not on hold until a reviewer calls Hold again.
func (d *Desk) Hold(ctx context.Context, id takedown.CaseID, a Actor) error {
	return d.step(ctx, id, func(c *caseRecord, now time.Time) (change, error) {
		if err := d.may(&c.Case, a, DutyDecide); err != nil {
			return change{}, err
		}
		if !c.undecided() || c.State == StateUnconfirmed {
			return change{}, &MoveError{id, c.State, StateEnforcing}
		}
		rules, covers, err := d.holding(c, false)
		if err != nil {
			return change{}, err
		}
		if len(rules) == 0 {
			return change{}, &GrantError{id, "a hold blocks addresses and identical pictures; of a face, or a picture on the allow list's hash, it has to be decided"}
		}
		first := len(c.Rules) == 0
		ch, err := d.replace(c, rules, covers, c.State, a, now)
		if first {
			ch.messages = []message{{Case: id, Type: MessageHeld}}
		}
		return ch, err
	})
}

// ReleaseHold ends a hold before the decision. The case still waits for the
// decision. It fails with a [*MoveError] when the case has no hold.
func (d *Desk) ReleaseHold(ctx context.Context, id takedown.CaseID, a Actor) error {
	return d.stepEnding(ctx, id, func(c *caseRecord, now time.Time) (change, error) {
		if err := d.may(&c.Case, a, DutyDecide); err != nil {
			return change{}, err
		}
		if !c.undecided() || len(c.Rules) == 0 {
			return change{}, &MoveError{id, c.State, "hold_released"}
		}
		ch, err := d.replace(c, nil, nil, c.State, a, now)
		ch.messages = []message{{Case: id, Type: MessageHoldOver}}
		return ch, err
	})
}

// holding returns the rules of a hold, with the items that each covers; none if
// there is nothing that a hold can block. One that goes on is for what is on hold
// already: nobody has looked at the rest.
func (d *Desk) holding(c *caseRecord, goesOn bool) (rules []blocklist.Rule, covers [][]int, err error) {
	mats, err := d.material(c)
	if err != nil {
		return nil, nil, err
	}
	g := Grant{Items: map[int]ItemDecision{}}
	some := false
	for i, it := range c.Items {
		scope := min(c.Asked, it.MaxScope, takedown.ScopeIdentical)
		if i < len(mats) {
			m := it.registered(&mats[i])
			scope = min(scope, d.widest(c.Kind, it, &m))
		}
		g.Items[i] = ItemDecision{Scope: scope}
		// Faces are for the decision, and so is a hash of a picture on the allow list.
		if it.Ended != "" || goesOn && it.Rule == 0 || it.Kind == request.ItemFace || it.Kind == request.ItemHash && scope < takedown.ScopeIdentical {
			g.Items[i] = ItemDecision{Outcome: OutcomeOutOfScope}
			continue
		}
		some = true
	}
	if !some {
		return nil, nil, nil
	}
	defer c.undo()()
	return d.plan(c, g, d.list)
}

// Withdraw ends a case for its requester. Its rules stop applying, and images that
// no other rule covers may be shown again. A case that waits for its review is
// closed. When it returns nil, the withdrawal is durable and in effect.
func (d *Desk) Withdraw(ctx context.Context, id takedown.CaseID, a Actor) error {
	return d.end(ctx, id, StateWithdrawn, a)
}

// Reverse ends a case in force by a decision of the operator or of a court. Its
// effect is that of Withdraw. For a counter-notice before a court, it records that
// the court decided for the sender: the items that it names are restored.
func (d *Desk) Reverse(ctx context.Context, id takedown.CaseID, a Actor) error {
	return d.stepEnding(ctx, id, func(c *caseRecord, now time.Time) (change, error) {
		if err := d.may(&c.Case, a, DutyDecide); err != nil {
			return change{}, err
		}
		if c.Kind == request.KindCounterNotice && c.State == StateCourtHold {
			return d.restoring(ctx, c, a, now)
		}
		return d.ending(c, StateReversed, a, now)
	})
}

func (d *Desk) end(ctx context.Context, id takedown.CaseID, to State, a Actor) error {
	err := d.stepEnding(ctx, id, func(c *caseRecord, now time.Time) (change, error) {
		if err := d.may(&c.Case, a, DutyDecide); err != nil {
			return change{}, err
		}
		return d.ending(c, to, a, now)
	})
	if err != nil {
		return err
	}
	return d.eraseRules(ctx, id) // of a case that was erased before
}

// ending is the change that ends a case.
func (d *Desk) ending(c *caseRecord, to State, a Actor, now time.Time) (change, error) {
	if to == StateReversed && c.undecided() { // on hold: there is no decision to reverse
		return change{}, &MoveError{c.ID, c.State, to}
	}
	direct := len(c.Rules) == 0
	ch, err := d.replace(c, nil, nil, to, a, now)
	if err == nil && direct {
		c.happened(MilestoneEnded, now)
		ch.messages = []message{{Case: c.ID, Type: arrivals[to], Reason: a.Reason}}
	}
	return ch, err
}

// Restore ends the items that a counter-notice names. id is the case of the
// counter-notice. It fails with a [*TooEarlyError] before the window for notice of
// a court action is over.
func (d *Desk) Restore(ctx context.Context, id takedown.CaseID, a Actor) error {
	return d.stepEnding(ctx, id, func(c *caseRecord, now time.Time) (change, error) {
		if err := d.may(&c.Case, a, DutyDecide); err != nil {
			return change{}, err
		}
		if c.State != StateCounter {
			return change{}, &MoveError{id, c.State, StateRestored}
		}
		if err := d.tooEarly(&c.Case, "restore"); err != nil {
			return change{}, err
		}
		return d.restoring(ctx, c, a, now)
	})
}

// CourtHold records that a case is before a court. A case stays in force until
// [Desk.Release] or [Desk.Reverse]. For a counter-notice that waits, only the
// items that it names are not restored before that.
func (d *Desk) CourtHold(ctx context.Context, id takedown.CaseID, a Actor) error {
	return d.stepEnding(ctx, id, func(c *caseRecord, now time.Time) (change, error) {
		if err := d.may(&c.Case, a, DutyDecide); err != nil {
			return change{}, err
		}
		c.happened(MilestoneCourtNotice, now)
		return change{}, c.move(StateCourtHold, a, now)
	})
}

// Release ends a court hold in favour of the person who requested the removal. A
// case is in force as before; a counter-notice is closed.
func (d *Desk) Release(ctx context.Context, id takedown.CaseID, a Actor) error {
	return d.stepEnding(ctx, id, func(c *caseRecord, now time.Time) (change, error) {
		if err := d.may(&c.Case, a, DutyDecide); err != nil {
			return change{}, err
		}
		if c.State != StateCourtHold {
			return change{}, &MoveError{id, c.State, StateInForce}
		}
		if c.Kind == request.KindCounterNotice {
			c.happened(MilestoneClosed, now)
			return change{}, c.move(StateClosed, a, now)
		}
		return change{}, c.move(StateInForce, a, now)
	})
}

// ExtendDeadline tells the requester that more time is needed, and why, in words.
// A desk without a Notifier only records it. It fails with a [*TooLateError] when
// the time limit for that notice is over.
func (d *Desk) ExtendDeadline(ctx context.Context, id takedown.CaseID, a Actor, why string) error {
	if err := checkWords("why", why, maxFinding); err != nil {
		return err
	}
	if strings.TrimSpace(why) == "" {
		return &takedown.ArgumentError{Name: "why", Why: "the requester has to be told why more time is needed"}
	}
	return d.noted(ctx, id, MilestoneExtended, a, message{Case: id, Type: MessageExtended, Words: why})
}

// MarkNotified records that the requester was notified of the decision. It is for
// desks without a Notifier; a desk with one records this by itself.
func (d *Desk) MarkNotified(ctx context.Context, id takedown.CaseID, a Actor) error {
	return d.noted(ctx, id, MilestoneInformed, a)
}

func (d *Desk) noted(ctx context.Context, id takedown.CaseID, m Milestone, a Actor, told ...message) error {
	if err := a.check(); err != nil {
		return err
	}
	return d.stepEnding(ctx, id, func(c *caseRecord, now time.Time) (change, error) {
		if err := d.may(&c.Case, a, DutyDecide); err != nil {
			return change{}, err
		}
		if m == MilestoneInformed && c.Times[MilestoneDecided].IsZero() {
			return change{}, &MoveError{id, c.State, "informed"}
		}
		if m == MilestoneExtended { // what was due before is still overdue
			for _, x := range due(&c.Case, d.deadlines, d.calendars, now) {
				if slices.Contains(x.Deadline.Done, m) && !x.NotAfter.IsZero() && now.After(x.NotAfter) {
					return change{}, &TooLateError{id, x.Deadline.Name, x.NotAfter}
				}
			}
		}
		c.happened(m, now)
		c.note(c.State, State(m), a, now)
		return change{messages: told}, nil
	})
}

// Expire moves the cases whose granted time is over to expired, and ends those that
// are kept no longer: see [Retention] and [Desk.Planned]. It returns their
// number. If one case fails, the others are still moved. A rule stops applying at
// its end by itself, even if Expire is late. Expire destroys the desk's templates
// of faces that have ended, unless Open or Publish did so before: call it once a
// day.
//
// It also rewrites files of Publish that have keys of ended faces, or that are
// older than FaceLifetime. It forgets files that were removed or replaced by
// something else. The error holds a [*PublishedError] for each file that could not
// be written.
func (d *Desk) Expire(ctx context.Context) (n int, err error) {
	defer d.flush(ctx) // also of what has begun
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	ids, err := d.store.until(ixPlanned, d.settled())
	errs := []error{err}
	for _, id := range ids {
		var moved *MoveError
		switch err := d.stepEnding(ctx, id, d.doPlanned); {
		case err == nil:
			n++
		case errors.As(err, &moved): // by somebody else meanwhile
		default:
			errs = append(errs, err)
		}
	}
	left, err := d.store.until(ixLeft, d.clock())
	return n, errors.Join(append(errs, err, d.eraseRules(ctx, left...), d.refreshPublished(ctx))...)
}

// expired is the change that ends a case whose time is over.
func (d *Desk) expired(c *caseRecord, now time.Time) (change, error) {
	if c.State != StateInForce || !c.over(d.settled()) {
		return change{}, &MoveError{c.ID, c.State, StateExpired}
	}
	return d.ending(c, StateExpired, Actor{}, now)
}

// over reports whether the time is over for which a case in force was granted.
func (c *Case) over(now time.Time) bool { return !c.End.IsZero() && !now.Before(c.End) }

// expireFaces moves the cases to expired whose faces were granted for a time
// that is over, so that no template outlives it for want of a call of Expire. A
// case that a court has is left to it. One that fails keeps no other from it.
func (d *Desk) expireFaces(ctx context.Context) error {
	now := d.settled()
	ids, err := d.store.until(ixFaceEnds, now)
	errs := []error{err}
	for _, id := range ids {
		c, err := d.load(ctx, id)
		if err == nil && c.State == StateInForce && c.over(now) {
			err = d.locked(ctx, id, d.expired)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// CloseCase closes a case that has ended. A case under the DSA can be closed
// when the window for complaints is over, else it fails with a
// [*TooEarlyError].
func (d *Desk) CloseCase(ctx context.Context, id takedown.CaseID, a Actor) error {
	return d.stepEnding(ctx, id, func(c *caseRecord, now time.Time) (change, error) {
		if err := d.may(&c.Case, a, DutyDecide); err != nil {
			return change{}, err
		}
		if !c.ended() { // a reply, which may go there by its decision, included
			return change{}, &MoveError{id, c.State, StateClosed}
		}
		if !c.Times[MilestoneDecided].IsZero() { // about what was not decided nobody can complain
			if err := d.tooEarly(&c.Case, "complaint_window"); err != nil {
				return change{}, err
			}
		}
		c.happened(MilestoneClosed, now)
		return change{}, c.move(StateClosed, a, now)
	})
}

// LegalHold forbids, or allows again, the erasure of a case's personal data: its
// request, its evidence and the requester.
//
// It does not keep the templates of faces, nor the pictures that were sent for
// them, beyond a withdrawal or another end of the case. They are kept on a consent
// that ends there. An operator who has to preserve them reads them from
// [Desk.Case] before.
func (d *Desk) LegalHold(ctx context.Context, id takedown.CaseID, hold bool, a Actor) error {
	if err := a.check(); err != nil {
		return err
	}
	return d.stepEnding(ctx, id, func(c *caseRecord, now time.Time) (change, error) {
		if err := d.may(&c.Case, a, DutyProtect); err != nil {
			return change{}, err
		}
		c.LegalHold = hold
		c.note(c.State, map[bool]State{true: legalHold, false: legalHoldEnded}[hold], a, now)
		return change{}, nil
	})
}

// Erase destroys the personal data of a case by overwriting the key under which it
// is sealed. The rules of the case stay in force, and the log verifies as before.
//
// Rules about faces end, because their templates are personal data, kept on a
// consent that goes with the request. A case that has only such rules is
// withdrawn. A case that is not decided, or under a legal hold, cannot be erased.
//
// The digests, hashes and features of rules of the case that have ended are destroyed
// in the files of the list too, which rewrites the journal. If that fails, the
// personal data is erased all the same, and the next [Desk.Expire] repeats it.
func (d *Desk) Erase(ctx context.Context, id takedown.CaseID, a Actor) error {
	if err := a.check(); err != nil {
		return err
	}
	err := d.stepEnding(ctx, id, func(c *caseRecord, now time.Time) (change, error) {
		if err := d.may(&c.Case, a, DutyProtect); err != nil {
			return change{}, err
		}
		switch {
		case c.Erased():
			return change{forget: len(c.Rules) == 0}, d.store.keys.destroy(id)
		case c.LegalHold, now.Before(c.PreserveUntil), c.State != StateInForce && !c.ended():
			return change{}, &MoveError{id, c.State, "erased"}
		}
		return d.erasing(c, a, now)
	})
	if err != nil {
		return err
	}
	return d.eraseRules(ctx, id)
}

// erasing is the change that destroys the personal data of a case.
func (d *Desk) erasing(c *caseRecord, a Actor, now time.Time) (change, error) {
	c.happened(MilestoneErased, now)
	c.note(c.State, "erased", a, now)
	c.Party, c.Token, c.Problems, c.Request, c.Sealed = nil, nil, nil, nil, nil
	c.Pictures = nil
	ch, err := d.endFaces(c, a, now)
	ch.erase, ch.forget = true, len(c.Rules) == 0
	return ch, err
}

// endFaces is the change that ends the rules of a case that are about faces. If
// others stay, the case says from then on what is in force without them.
func (d *Desk) endFaces(c *caseRecord, a Actor, now time.Time) (change, error) {
	var ending []uint64
	for i := range c.Items {
		it := &c.Items[i]
		if it.Kind != request.ItemFace || it.Rule == 0 {
			continue
		}
		if !slices.Contains(ending, it.Rule) {
			ending = append(ending, it.Rule)
		}
	}
	if len(ending) == 0 {
		return change{}, nil
	}
	if len(ending) == len(c.Rules) {
		return d.exchange(c, ending, nil, nil, StateWithdrawn, a, now)
	}
	c.Granted, c.Face, c.Outcome = 0, FaceTerms{}, OutcomePartly
	for i := range c.Items {
		it := &c.Items[i]
		if it.Kind == request.ItemFace && it.Rule != 0 {
			it.Outcome, it.Reason, it.Granted, it.Effect = OutcomeOutOfScope, "erased", 0, 0
		}
		c.Granted = max(c.Granted, it.Granted)
	}
	return d.exchange(c, ending, nil, nil, StateInForce, a, now)
}

// decisionMessage returns the message that tells what was decided.
func decisionMessage(c *caseRecord) MessageType {
	if c.Outcome == OutcomePartly {
		return MessagePartial
	}
	return MessageAccepted
}

// number returns which element of a list of its request an item is: of "images"
// the 3 in "images[3]".
func (it *CaseItem) number(list string) (n int, ok bool) {
	_, err := fmt.Sscanf(it.Field, list+"[%d]", &n)
	return n, err == nil
}

// imageNumber returns which image of its request is granted by an item.
func (it *CaseItem) imageNumber() (n int, ok bool) {
	if it.Kind != request.ItemPicture {
		return 0, false
	}
	return it.number("images")
}

// grantedImages returns the numbers of the pictures of a request that were
// granted as pictures. Of one that only shows a face that was granted nothing
// may stay.
func grantedImages(c *caseRecord) (granted []int) {
	for i := range c.Items {
		if n, ok := c.Items[i].imageNumber(); ok && n < len(c.files) && c.Items[i].Outcome == OutcomeAccepted {
			granted = append(granted, n)
		}
	}
	return granted
}

// Picture returns a picture that [Options].KeepPictures kept, or the zero File. i
// counts the images of the request.
func (d *Desk) Picture(ctx context.Context, id takedown.CaseID, i int) (file request.File, err error) {
	if err := ctx.Err(); err != nil {
		return request.File{}, err
	}
	err = d.store.db.View(func(tx StoreTx) error {
		b, err := tx.Get(BucketPictures, numbered(id, i))
		if err != nil || b == nil {
			return err
		}
		f, err := d.store.openPicture(id, b)
		file = d.store.file(id, f)
		return err
	})
	return file, err
}
