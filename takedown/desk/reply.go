package desk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/fields"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// targetMove is what a reply, when it is accepted, does to the case that it
// refers to.
type targetMove uint8

const (
	targetNone     targetMove = iota // it is no reply
	targetWithdraw                   // ends it, as a whole or in part
	targetReverse                    // ends it, as a whole or in part
	targetComplain                   // ends it, for whom it restricts, or takes up again what was refused, for who asked
	targetCounter                    // begins the window after which what it names is restored
)

// handling is what the desk does with requests of one kind.
type handling struct {
	// waits says that the case is not looked at before the email address is
	// confirmed, where the desk asks for that. Where a legal clock runs from the
	// receipt it does not wait.
	waits bool
	// target is what accepting does to the case that the request refers to; the
	// zero value is for requests that block something themselves.
	target targetMove
	// origin says who brought the matter up, for a statement of reasons.
	origin Origin
}

// handlings has one row for each kind of request.
var handlings = map[takedown.Kind]handling{
	request.KindImageOptOut:    {waits: true, origin: OriginOther},
	request.KindOpenOptOut:     {waits: true, origin: OriginOther},
	request.KindFaceOptOut:     {waits: true, origin: OriginOther},
	request.KindDSANotice:      {origin: OriginArticle16},
	request.KindDMCANotice:     {origin: OriginOther},
	request.KindGDPRRequest:    {origin: OriginOther},
	request.KindIntimateImage:  {origin: OriginOther},
	request.KindAuthorityOrder: {origin: OriginOther},
	request.KindHashEntry:      {origin: OriginOther},
	request.KindPreference:     {waits: true, origin: OriginOther},
	request.KindThaiNotice:     {origin: OriginOther},
	request.KindCounterNotice:  {target: targetCounter},
	request.KindObjection:      {target: targetReverse},
	request.KindComplaint:      {target: targetComplain},
	request.KindWithdrawal:     {waits: true, target: targetWithdraw},
}

// checkTarget looks for the case that a reply refers to, and adds a problem
// when there is none to which it can.
func (d *Desk) checkTarget(k *request.Checked, r request.Request) (*caseRecord, error) {
	if !request.IsReply(r.Kind()) || r.About() == (takedown.CaseID{}) {
		return nil, nil
	}
	target, err := d.store.get(r.About())
	if err != nil && !errors.Is(err, ErrNoCase) {
		return nil, err
	}
	if err != nil || request.IsReply(target.Kind) ||
		r.Kind() == request.KindCounterNotice && target.Kind != request.KindDMCANotice {
		k.Add("case", request.CodeUnknownCase)
		return nil, nil
	}
	if p, ok := value(r).(request.Complaint); ok && p.Party == request.PartyNotifier && !d.sameParty(r, target) {
		k.Flag(FlagOtherParty)
	}
	if w, ok := value(r).(request.Withdrawal); ok {
		for i, n := range w.Items {
			if n >= len(target.Items) {
				k.Add(fields.Index("items", i), request.CodeInvalidChoice)
			}
		}
		if !d.sameParty(r, target) {
			k.Flag(FlagOtherParty)
		}
	}
	return target, d.checkNamed(k, target)
}

// checkNamed adds a problem for each field of a reply with an address that is
// none of the case.
func (d *Desk) checkNamed(k *request.Checked, target *caseRecord) error {
	if len(k.Named) == 0 {
		return nil
	}
	mats, err := d.store.material(target.ID)
	if err != nil {
		return err
	}
	for _, n := range k.Named {
		if n.Picture == nil && len(target.itemsAt(mats, n.Address)) == 0 && !k.Has(n.Field) {
			k.Add(n.Field, request.CodeNotInCase)
		}
	}
	return nil
}

// itemsAt returns the items of a case, of the given material, that are of an
// address. Whether it is the address of a picture or of a page makes no
// difference: whoever answers has not seen in which field of the notice it stood.
func (c *Case) itemsAt(mats []request.Material, address string) (items []int) {
	for i := range min(len(mats), len(c.Items)) {
		if mats[i].Address == address {
			items = append(items, i)
		}
	}
	return items
}

// namesAddresses reports whether a reply is about what it names by addresses
// only.
func namesAddresses(r request.Request) bool {
	switch r := r.(type) {
	case request.CounterNotice:
		return true
	case request.Objection:
		return len(r.ImageURLs) > 0
	}
	return false
}

// sameParty reports whether a request is of the requester of a case.
func (d *Desk) sameParty(r request.Request, c *caseRecord) bool {
	return len(c.Party) > 0 && bytes.Equal(d.party(r.From()), c.Party)
}

// complaintIsLate reports whether the window for complaints about a case is
// over.
func (d *Desk) complaintIsLate(target *caseRecord, now time.Time) bool {
	x, ok := d.clockOf(&target.Case, "complaint_window", now)
	return ok && now.After(x.NotBefore)
}

// acceptReply accepts a reply: both cases change in one transaction.
func (d *Desk) acceptReply(ctx context.Context, reply *caseRecord, g Grant, now time.Time, second *error) (change, error) {
	if g.Scope != 0 || g.Wider != "" || g.Effect != 0 || len(g.Items)+len(g.Territories) > 0 || !g.Start.IsZero() || !g.End.IsZero() || !g.Past.IsZero() || g.Face != (FaceThreshold{}) {
		return change{}, &GrantError{reply.ID, "a reply to another case is accepted or rejected; it has no scope, items, territories, times or thresholds"}
	}
	// Also what came into force since it was sent, and what somebody has to decide
	// for a person who cannot be told any more.
	if risky, err := d.protected(reply); err != nil {
		return change{}, err
	} else if risky {
		reply.flag(FlagOtherParty)
	}
	if wait, err := d.approve(reply, g, now, second); wait || err != nil {
		return change{}, err
	}
	if err := d.store.find(reply, g.Finding); err != nil {
		return change{}, err
	}
	reply.Reason = g.Reason
	if withoutCase(reply.Request) {
		return d.acceptObjection(ctx, reply, g, now)
	}
	target, err := d.load(ctx, reply.About)
	if err != nil {
		return change{}, err
	}
	items, err := d.concerned(reply, target)
	if err != nil {
		return change{}, err
	}
	var ch change
	after := StateClosed
	switch handlings[reply.Kind].target {
	case targetWithdraw:
		ch, err = d.take(target, items, StateWithdrawn, g.Actor, now)
	case targetReverse:
		if err = target.blocksSome(reply, items); err == nil {
			ch, err = d.take(target, items, StateReversed, g.Actor, now)
		}
	case targetComplain:
		if x, _ := reply.Request.(request.Complaint); x.Party == request.PartyNotifier {
			err = target.reopen(reply.ID, g.Actor, now)
		} else {
			ch, err = d.take(target, nil, StateReversed, g.Actor, now)
		}
	case targetCounter:
		after = StateCounter
		if target.Erased() && !g.ClaimantTold {
			return change{}, &GrantError{reply.ID, fmt.Sprintf("the data of case %v is erased, so its claimant cannot be told of the counter-notice, which 17 U.S.C. 512(g)(2)(B) demands; tell the claimant in another way, and set Grant.ClaimantTold", target.ID)}
		}
		if target.State != StateInForce {
			err = &MoveError{target.ID, target.State, StateCounter}
		} else if err = target.blocksSome(reply, items); err == nil {
			reply.happened(MilestoneCounterReceived, reply.Received)
			ch.messages = []message{{Case: target.ID, Type: MessageCounterReceived, Reply: reply.ID}}
		}
	}
	if err != nil {
		return change{}, err
	}
	if err := reply.move(after, g.Actor, now); err != nil {
		return change{}, err
	}
	reply.accepted(&ch, after, g.Actor, now)
	ch.target = target
	return ch, nil
}

// accepted notes that a reply was accepted, and adds its letter to a change.
func (c *caseRecord) accepted(ch *change, after State, a Actor, now time.Time) {
	c.Outcome = OutcomeAccepted
	c.happened(MilestoneDecided, now)
	if after == StateClosed {
		c.happened(MilestoneClosed, now)
	}
	ch.messages = append(ch.messages, message{Case: c.ID, Type: MessageAccepted, Reason: a.Reason})
}

// withoutCase reports whether an objection is about whatever blocks its pictures and
// addresses.
func withoutCase(r request.Request) bool {
	o, ok := r.(request.Objection)
	return ok && (o.Case == takedown.CaseID{} || len(o.Images) > 0)
}

// concerned returns the items of a case that a reply is about; none is all. They
// are looked up each time, because a completed request can have others. The
// addresses that it names are those of when it came in: see [request.Checked.Stored].
func (d *Desk) concerned(reply, target *caseRecord) (items []int, err error) {
	if reply.Request == nil {
		return nil, fmt.Errorf("takedown: case %v: its request is erased", reply.ID)
	}
	if w, ok := reply.Request.(request.Withdrawal); ok {
		if len(w.Items) > 0 && reply.AboutCompletions != target.Completions {
			return nil, &GrantError{reply.ID, fmt.Sprintf("case %v was completed since, and its items may be others; the withdrawal has to name them again", target.ID)}
		}
		return w.Items, nil
	}
	if !namesAddresses(reply.Request) {
		return nil, nil
	}
	named, err := d.store.material(reply.ID)
	if err != nil {
		return nil, err
	}
	mats, err := d.store.material(target.ID)
	if err != nil {
		return nil, err
	}
	for _, n := range named {
		if n.Address == "" {
			continue
		}
		items = append(items, target.itemsAt(mats, n.Address)...)
	}
	if len(items) == 0 { // never all of it
		return nil, &GrantError{reply.ID, fmt.Sprintf("nothing that it names is in case %v any more", target.ID)}
	}
	return items, nil
}

// blocksSome refuses a reply about items of which none is in force.
func (c *caseRecord) blocksSome(reply *caseRecord, items []int) error {
	if len(items) > 0 && !slices.ContainsFunc(items, func(i int) bool { return c.Items[i].Rule != 0 }) {
		return &GrantError{reply.ID, fmt.Sprintf("nothing that it names is in force for case %v", c.ID)}
	}
	return nil
}

// itemsReopened stands in the log where a state would.
const itemsReopened State = "items_reopened"

// reopen takes up again what was refused, or reversed: it will be decided, and
// told, anew. A case that was rejected or reversed goes back to its review; of
// one in force, what was granted stays in force, and [Desk.Amend] decides about
// the rest.
func (c *caseRecord) reopen(complaint takedown.CaseID, a Actor, now time.Time) error {
	whole := c.State == StateRejected || c.State == StateReversed
	switch {
	case !whole && c.State != StateInForce:
		return &MoveError{c.ID, c.State, StateInReview}
	case whole && c.Erased():
		return &GrantError{complaint, fmt.Sprintf("case %v was %s and its data erased; ask for a new request", c.ID, c.State)}
	}
	some := whole || c.Granted < c.Asked
	for i := range c.Items {
		it := &c.Items[i]
		switch {
		case it.Ended == StateWithdrawn, it.Ended == StateRestored:
			continue
		case !whole && (it.Outcome == OutcomeAccepted || it.Outcome == OutcomeNotMeant || it.Kind == request.ItemFace && it.Template == nil):
			continue // the template of a face comes with another request only
		}
		it.Ended, it.Outcome, it.Reason, it.Granted, it.Effect, some = "", "", "", 0, 0, true
	}
	if !some {
		return &GrantError{complaint, fmt.Sprintf("nothing of case %v was refused that could be granted yet", c.ID)}
	}
	delete(c.Times, MilestoneDecided)
	delete(c.Times, MilestoneInformed)
	if !whole {
		c.note(c.State, itemsReopened, a, now)
		return a.check()
	}
	delete(c.Times, MilestoneEnforced)
	delete(c.Times, MilestoneEnded)
	c.forgetGrant()
	return c.move(StateInReview, a, now)
}

// forgetGrant makes a case one of which nothing is granted.
func (c *caseRecord) forgetGrant() {
	c.Outcome, c.Granted, c.Effect = "", 0, 0
	c.Territories, c.Start, c.End, c.Face = nil, time.Time{}, time.Time{}, FaceTerms{}
}

// restoring is the change by which what a counter-notice names is restored. What
// has ended before, or is not decided yet, does not come into force again.
func (d *Desk) restoring(ctx context.Context, counter *caseRecord, a Actor, now time.Time) (ch change, err error) {
	target, err := d.load(ctx, counter.About)
	if err != nil {
		return change{}, err
	}
	if target.State == StateCourtHold {
		return change{}, &MoveError{target.ID, target.State, StateRestored}
	}
	if !target.ended() {
		items, err := d.concerned(counter, target)
		if err != nil {
			return change{}, err
		}
		if ch, err = d.take(target, items, StateRestored, a, now); err != nil {
			return change{}, err
		}
	}
	if err := counter.move(StateRestored, a, now); err != nil {
		return change{}, err
	}
	counter.happened(MilestoneEnded, now)
	ch.messages = append(ch.messages, message{Case: counter.ID, Type: MessageRestored, Reason: a.Reason})
	ch.target = target
	return ch, nil
}

// end marks an item that has left its case.
func (it *CaseItem) end(how State) {
	it.Ended, it.Outcome, it.Reason, it.Granted, it.Effect = how, OutcomeOutOfScope, string(how), 0, 0
	if how == StateReversed {
		it.Outcome = OutcomeRejected
	}
}

// take takes some items out of a case, or ends it: when none are named, and when
// nothing is left. If only what [Case.reopen] took up again is left, the case goes
// back to its review. how is withdrawn, reversed or restored. Only rules that cover
// one of the items end. The others, with what was learned for them and excepted
// from them, stay as they are.
func (d *Desk) take(c *caseRecord, items []int, how State, a Actor, now time.Time) (change, error) {
	open := c.undecided()
	if how != StateWithdrawn && len(items) > 0 { // what was refused stays refused
		items = slices.DeleteFunc(slices.Clone(items), func(i int) bool {
			it := &c.Items[i]
			return it.Ended != "" || !open && it.Outcome != OutcomeAccepted
		})
		if len(items) == 0 {
			return change{}, nil
		}
	}
	left, granted := false, false
	for i, it := range c.Items {
		if slices.Contains(items, i) || it.Ended != "" {
			continue
		}
		granted = granted || it.Outcome == OutcomeAccepted
		left = left || granted || open || it.Outcome == "" // which was taken up again
	}
	if len(items) == 0 || !left && !(open && how == StateRestored) || c.over(now) {
		return d.ending(c, how, a, now)
	}
	if c.State != StateInForce && !open || open && how == StateReversed {
		return change{}, &MoveError{c.ID, c.State, how}
	}
	var ending []uint64
	for _, i := range items {
		if rule := c.Items[i].Rule; rule != 0 && !slices.Contains(ending, rule) {
			ending = append(ending, rule)
		}
	}
	if open {
		for _, i := range items {
			c.Items[i].end(how)
		}
		return d.reviewed(c, a, now)
	}
	if !granted {
		return d.takeAll(c, items, how, a, now)
	}
	return d.takeSome(c, items, ending, how, a, now)
}

// takeAll takes what is left in force out of a case. What a complaint has reopened
// is all that remains: it waits for its review, as after a complaint about a case
// that was rejected.
func (d *Desk) takeAll(c *caseRecord, items []int, how State, a Actor, now time.Time) (change, error) {
	if c.Erased() { // and what it is about with the last rule
		return change{}, &GrantError{c.ID, "nothing would be left but the items that a complaint has reopened; decide about them with Amend first"}
	}
	for _, i := range items {
		c.Items[i].end(how)
	}
	c.forgetGrant()
	ch, err := d.replace(c, nil, nil, StateInReview, a, now)
	if how != StateWithdrawn { // all that it blocked ends; a withdrawal is told to who sent it
		ch.messages = []message{{Case: c.ID, Type: arrivals[how], Reason: a.Reason}}
	}
	return ch, err
}

// takeSome takes some items out of a case in force; the others stay.
func (d *Desk) takeSome(c *caseRecord, items []int, ending []uint64, how State, a Actor, now time.Time) (change, error) {
	rules, covers, err := d.without(c, items, ending)
	if err != nil {
		return change{}, err
	}
	for _, i := range items {
		c.Items[i].end(how)
	}
	c.Granted, c.Effect, c.Outcome = 0, 0, OutcomePartly
	faces := false
	for _, it := range c.Items {
		c.Granted = max(c.Granted, it.Granted)
		faces = faces || it.Granted == takedown.ScopeFace
		if c.Effect != blocklist.EffectBlock && it.Effect != 0 {
			c.Effect = it.Effect
		}
	}
	if !faces {
		c.Face = FaceTerms{}
	}
	c.note(c.State, itemsEnded, a, now)
	told := message{Case: c.ID, Type: MessagePartial, Reason: string(how)}
	if how == StateRestored {
		told = message{Case: c.ID, Type: MessageRestored}
	}
	ch := change{}
	if len(ending) > 0 {
		// What is still in force was told when it came into force.
		c.Silent = true
		ch, err = d.exchange(c, ending, rules, covers, StateInForce, a, now)
	}
	ch.messages = []message{told}
	return ch, err
}

// without returns the rules that take the place of some that end, on the same
// terms, for what they cover besides the given items.
func (d *Desk) without(c *caseRecord, items []int, ending []uint64) (rules []blocklist.Rule, covers [][]int, err error) {
	grant := Grant{
		Effect: c.Effect, Territories: c.Territories, Start: c.Start, End: c.End,
		Wider: "as_before", asBefore: true, Items: map[int]ItemDecision{},
	}
	some := false
	for i, it := range c.Items {
		grant.Items[i] = ItemDecision{Outcome: OutcomeOutOfScope}
		if !slices.Contains(ending, it.Rule) || slices.Contains(items, i) {
			continue
		}
		dec := ItemDecision{Scope: it.Granted}
		if it.Granted == takedown.ScopeURL {
			dec.Scope = 0
		}
		grant.Items[i], some = dec, true
	}
	if !some {
		return nil, nil, nil
	}
	defer c.undo()()
	return d.plan(c, grant, d.list)
}

// itemsEnded stands in the log where a state would.
const itemsEnded State = "items_ended"

// reviewed takes what has left a case out of its review: both reviewers look
// again at the rest, and a hold goes on for it.
func (d *Desk) reviewed(c *caseRecord, a Actor, now time.Time) (change, error) {
	c.First = nil
	c.Version++
	c.note(c.State, itemsEnded, a, now)
	if c.State == StateSecondReview {
		if err := c.move(StateInReview, a, now); err != nil {
			return change{}, err
		}
	}
	if len(c.Rules) == 0 {
		return change{}, a.check()
	}
	rules, covers, err := d.holding(c, true)
	if err != nil {
		return change{}, err
	}
	return d.replace(c, rules, covers, c.State, a, now)
}
