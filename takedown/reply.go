package takedown

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/staydown/staydown/blocklist"
)

// targetMove is what a reply, when it is accepted, does to the case that it
// refers to.
type targetMove uint8

const (
	targetNone     targetMove = iota // it is no reply
	targetWithdraw                   // ends it, as a whole or in part
	targetReverse                    // ends it, or takes up again what was rejected
	targetCounter                    // begins the window of a counter-notice
)

// checkTarget looks for the case that a reply refers to, and adds a problem
// when there is none to which it can.
func (d *Desk) checkTarget(k *checker, r Request) (*Case, error) {
	if requestTypes[r.Kind()].target == targetNone || r.about() == (CaseID{}) {
		return nil, nil
	}
	target, err := d.store.get(r.about())
	if err != nil && !errors.Is(err, ErrNoCase) {
		return nil, err
	}
	if err != nil || requestTypes[target.Kind].target != targetNone ||
		r.Kind() == KindCounterNotice && target.Kind != KindDMCANotice {
		k.add("case", CodeUnknownCase)
		return nil, nil
	}
	if w, ok := value(r).(WithdrawalRequest); ok {
		for i, n := range w.Items {
			if n >= len(target.Items) {
				k.add(index("items", i), CodeInvalidChoice)
			}
		}
		if !d.sameParty(r, target) {
			k.flag(FlagOtherParty)
		}
	}
	return target, nil
}

// sameParty reports whether a request is of the requester of a case.
func (d *Desk) sameParty(r Request, c *Case) bool {
	return len(c.Party) > 0 && bytes.Equal(d.party(r.who()), c.Party)
}

// complaintIsLate reports whether the window for complaints about a case is
// over.
func (d *Desk) complaintIsLate(target *Case, now time.Time) bool {
	for _, x := range due(target, d.deadlines, d.calendars, now) {
		if x.Deadline.Name == "complaint_window" {
			return now.After(x.NotBefore)
		}
	}
	return false
}

// acceptReply accepts a reply: both cases change in one transaction. It works
// on the outbox of the case that is referred to, so it changes that one itself
// and leaves nothing for its caller to write.
func (d *Desk) acceptReply(ctx context.Context, reply *Case, g Grant, now time.Time, second *error) (change, error) {
	if g.Width != 0 || g.Wider != "" || g.Effect != 0 || len(g.Items)+len(g.Territories) > 0 || !g.Start.IsZero() || !g.End.IsZero() || g.Face != (FaceThreshold{}) {
		return change{}, &GrantError{reply.ID, "a reply to another case is accepted or rejected; it has no width, items, territories, times or thresholds"}
	}
	if wait, err := d.approve(reply, g, now, second); wait || err != nil {
		return change{}, err
	}
	target, err := d.load(ctx, reply.About)
	if err != nil {
		return change{}, err
	}
	var ch change
	switch requestTypes[reply.Kind].target {
	case targetWithdraw:
		ch, err = d.withdrawItems(target, reply, g, now)
	case targetReverse:
		if target.State == StateRejected {
			if target.Erased() {
				return change{}, &GrantError{reply.ID, fmt.Sprintf("case %v was rejected and its data erased; ask for a new request", target.ID)}
			}
			// It will be decided, and told, anew.
			target.Outcome = ""
			for _, m := range []Milestone{MilestoneDecided, MilestoneInformed, MilestoneEnded} {
				delete(target.Times, m)
			}
			err = target.move(StateInReview, g.Act, now)
			break
		}
		ch, err = d.ending(target, StateReversed, g.Act, now)
	case targetCounter:
		target.happened(MilestoneCounterReceived, reply.Received)
		err = target.move(StateCounter, g.Act, now)
		ch.messages = append(ch.messages, message{Case: target.ID, Type: MessageCounterReceived})
	}
	if err != nil {
		return change{}, err
	}
	if err := reply.move(StateClosed, g.Act, now); err != nil {
		return change{}, err
	}
	reply.Outcome = OutcomeAccepted
	reply.happened(MilestoneDecided, now)
	reply.happened(MilestoneClosed, now)
	ch.messages = append(ch.messages, message{Case: reply.ID, Type: MessageAccepted, Reason: g.Reason})
	ch.cases = []*Case{target, reply}
	if err := d.store.apply(ch); err != nil {
		return change{}, err
	}
	target.log, reply.log = nil, nil
	if len(ch.events) > 0 {
		return change{}, d.deliver(ctx, target)
	}
	return change{}, nil
}

// withdraw marks an item that its requester has taken back.
func (it *CaseItem) withdraw() {
	it.Withdrawn, it.Outcome, it.Reason, it.Granted, it.Effect = true, OutcomeOutOfScope, "withdrawn", 0, 0
}

// withdrawItems takes back some items of a case, or all. What is left of a case
// that is not decided waits for the decision as before; if one reviewer has
// approved it, both look again.
func (d *Desk) withdrawItems(target, reply *Case, g Grant, now time.Time) (change, error) {
	w, ok := reply.Request.(WithdrawalRequest)
	if !ok {
		return change{}, fmt.Errorf("takedown: case %v: its request is erased or no withdrawal", reply.ID)
	}
	rest := 0
	for i, it := range target.Items {
		if !slices.Contains(w.Items, i) && (it.Outcome == OutcomeAccepted || target.undecided() && !it.Withdrawn) {
			rest++
		}
	}
	if len(w.Items) == 0 || rest == 0 || target.over(now) {
		return d.ending(target, StateWithdrawn, g.Act, now)
	}
	if target.State != StateInForce && !target.undecided() {
		return change{}, &GrantError{reply.ID, fmt.Sprintf("case %v is %s; items can be taken out of a case in force, or before it is decided", target.ID, target.State)}
	}
	for _, i := range w.Items {
		if i >= len(target.Items) { // completed since, with fewer
			return change{}, &GrantError{reply.ID, fmt.Sprintf("case %v has no item %d any more", target.ID, i)}
		}
		target.Items[i].Withdrawn = true
	}
	if target.undecided() {
		return d.withdrawUndecided(target, g.Act, now)
	}
	grant := Grant{
		Act: g.Act, Effect: target.Effect, Territories: target.Territories, Start: target.Start, End: target.End,
		Wider: "as_before", asBefore: true, Items: map[int]ItemDecision{},
	}
	for i, it := range target.Items {
		dec := ItemDecision{Outcome: it.Outcome, Reason: it.Reason, Width: it.Granted}
		if it.Granted == WidthURL {
			dec.Width = 0
		}
		if it.Withdrawn {
			dec = ItemDecision{}
		}
		grant.Items[i] = dec
	}
	rules, covers, err := d.plan(target, grant, d.list)
	if err != nil {
		return change{}, err
	}
	// Only rules that cover a withdrawn item end. The others, with what was
	// learned for them and excepted from them, stay as they are; what is planned
	// for the items that they cover is not needed.
	var ending []uint64
	for _, i := range w.Items {
		if rule := target.Items[i].Rule; rule != 0 && !slices.Contains(ending, rule) {
			ending = append(ending, rule)
		}
	}
	var anew []blocklist.Rule
	var items [][]int
	for k, rule := range rules {
		if slices.Contains(ending, target.Items[covers[k][0]].Rule) {
			anew, items = append(anew, rule), append(items, covers[k])
		}
	}
	ch, err := d.exchange(target, ending, anew, items, StateInForce, g.Act, now)
	ch.messages = []message{{Case: target.ID, Type: MessagePartial, Reason: "withdrawn"}}
	return ch, err
}

// withdrawUndecided takes the items that are marked out of a case before its
// decision. A hold goes on for the others.
func (d *Desk) withdrawUndecided(target *Case, a Act, now time.Time) (change, error) {
	for i := range target.Items {
		if it := &target.Items[i]; it.Withdrawn {
			it.withdraw()
		}
	}
	target.First = nil
	if target.State == StateSecondReview {
		if err := target.move(StateInReview, a, now); err != nil {
			return change{}, err
		}
	} else {
		target.note(target.State, target.State, Act{By: a.By, Reason: "items_withdrawn"}, now)
	}
	if len(target.Rules) == 0 {
		return change{}, a.check()
	}
	rules, covers, err := d.holding(target)
	if err != nil {
		return change{}, err
	}
	return d.replace(target, rules, covers, target.State, a, now)
}
