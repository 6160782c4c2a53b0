package desk

import (
	"context"
	"errors"
	"time"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// A rule that was granted from some day on is in the list at once and applies by
// itself when that day comes. Only then is its case enforced, and is anybody told
// that it is. The index has the cases that wait for it.

// begin notes of the cases whose rules have begun that they are enforced, and
// puts what is to be told into the outbox.
func (d *Desk) begin(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	ids, err := d.store.until(ixBegins, d.clock())
	errs := []error{err}
	for _, id := range ids {
		err := d.locked(ctx, id, func(c *caseRecord, now time.Time) (change, error) {
			if !c.Begins || now.Before(c.Start) {
				return change{}, nil
			}
			c.Begins = false
			c.happened(MilestoneEnforced, c.Start)
			c.note(c.State, State(MilestoneEnforced), Actor{}, now)
			if c.over(now) || c.Erased() {
				return change{}, nil
			}
			return change{messages: c.inForce()}, nil
		})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// granted returns the messages about a grant whose rules are in the list: one letter
// to the requester, who gets another one only if the rules apply later.
func (c *caseRecord) granted() []message {
	msgs := []message{{Case: c.ID, Type: decisionMessage(c), Reason: c.Reason}}
	if c.Begins {
		return msgs
	}
	return c.toAffected(msgs)
}

// inForce returns the messages about rules that were granted before and apply from
// now on.
func (c *caseRecord) inForce() []message {
	return c.toAffected([]message{{Case: c.ID, Type: MessageInForce}})
}

// toAffected adds the message to the affected party.
func (c *caseRecord) toAffected(msgs []message) []message {
	if c.Purposes != 0 && c.Purposes&takedown.PurposeIndex == 0 {
		return msgs // nothing is shown less
	}
	told := MessageStatement
	if c.Kind == request.KindAuthorityOrder { // Article 17(5)
		told = MessageOrderNotice
	}
	return append(msgs, message{Case: c.ID, Type: told})
}
