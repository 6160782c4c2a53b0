package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/contact"
	"github.com/staydown/staydown/internal/keyfile"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// MessageType is the subject of a message.
type MessageType string

const (
	MessageReceipt         MessageType = "receipt"       // the request came in
	MessageConfirmEmail    MessageType = "confirm_email" // has Token and Until
	MessageNeedsInfo       MessageType = "needs_info"    // has Problems
	MessageAccepted        MessageType = "accepted"      // the decision, as the next two
	MessagePartial         MessageType = "partial"
	MessageRejected        MessageType = "rejected"
	MessageInForce         MessageType = "in_force"             // rules that were granted for a later day apply now
	MessageStatement       MessageType = "statement_of_reasons" // to the affected party: has Statement, and no To
	MessageCounterReceived MessageType = "counter_received"     // has NotBefore, NotAfter, Counter and Reply
	MessageRestored        MessageType = "restored"
	MessageWithdrawn       MessageType = "withdrawn"
	MessageReversed        MessageType = "reversed"
	MessageExpired         MessageType = "expired"
	MessageSupport         MessageType = "support" // where somebody shown in an intimate picture finds help
	// MessageHeld: what the request names is blocked until the decision; HoldOver:
	// that ended without a decision.
	MessageHeld     MessageType = "held"
	MessageHoldOver MessageType = "hold_over"
	MessageExtended MessageType = "extended" // more time is needed: has Words
	// MessageExcepted: an objection was accepted, and a picture that is not the
	// recipient's is no longer blocked by the case. What the case covers stays
	// blocked.
	MessageExcepted MessageType = "excepted"
	// MessageOrderNotice is to the affected party of an order, Article 9(5): has
	// Statement, and no To.
	MessageOrderNotice MessageType = "order_notice"
)

// MessageTypes returns all types of messages, for catalogues of texts.
func MessageTypes() []MessageType { return slices.Clone(messageTypes) }

var messageTypes = []MessageType{
	MessageReceipt, MessageConfirmEmail, MessageNeedsInfo, MessageAccepted, MessagePartial, MessageRejected,
	MessageInForce, MessageStatement, MessageCounterReceived, MessageRestored, MessageWithdrawn, MessageReversed,
	MessageExpired, MessageSupport, MessageHeld, MessageHoldOver, MessageExtended, MessageExcepted, MessageOrderNotice,
}

// decides reports whether a message tells a decision.
func (t MessageType) decides() bool {
	return t == MessageAccepted || t == MessagePartial || t == MessageRejected
}

// Message is a notice to a person, with all data that is needed to write it. It
// has personal data of its recipient, and Counter has that of another person: do
// not log it.
//
// A message never lists where copies of a picture were found. Otherwise a person
// could use a request about a face to search for that face.
type Message struct {
	// ID is the same in every attempt to hand over a message. Attempt counts the
	// attempts from 1 on. In a later attempt, a Notifier may have taken the message
	// already: the desk was stopped before it could note that.
	ID      uint64
	Attempt int
	Type    MessageType
	Time    time.Time
	Case    takedown.CaseID
	Kind    takedown.Kind
	Regime  request.Regime
	// To is the recipient: the requester of the case. It is empty for a statement
	// of reasons: the operator has to identify the affected person.
	//
	// As long as an address waits for its confirmation, To has no Name.
	To Recipient
	// Asked and Granted are the scopes of the case, Accepted and Refused the
	// numbers of its items, Items their results. Held is the number of accepted
	// items whose matches are held for review; the others block.
	Asked, Granted          takedown.Scope
	Accepted, Refused, Held int
	Items                   []MessageItem
	// Outcome is that of the case, Finding the words of its decision.
	Outcome Outcome
	Finding Finding
	// ChildSafety reports that the case is about a child. Such a message must not
	// describe what the case is about.
	ChildSafety bool
	// Purposes are the uses that a preference restricts.
	Purposes takedown.Purposes
	// Claim is that of an opt-out, Party that of a complaint.
	Claim request.Claim
	Party request.Party
	// Country is where the recipient lives, for help nearby. It may be empty.
	Country string
	// Channel is how the recipient wants to be answered, for the Notifier; empty is not
	// said. Query is the name that people search by, of a [request.GDPRRequest].
	Channel request.Channel
	Query   string
	// Authority and Reference are those of an order.
	Authority, Reference string
	// Words are the words of a reviewer to the recipient: a question, or the reason
	// why more time is needed.
	Words string
	// FacesUntil is until when machines with an earlier copy of the list may still block
	// a face whose template was destroyed. It is zero if the case has no face.
	FacesUntil time.Time
	// OtherReviewer reports that somebody else decided about a complaint than about
	// the decision that it is against.
	OtherReviewer bool
	// Territories, Start and End are those of the grant. No territories means
	// worldwide, a zero Start means at once, and a zero End means never.
	Territories []string
	Start, End  time.Time
	// InForce reports that the rules of the grant apply now. Since is when that began.
	InForce bool
	Since   time.Time
	// Reason is the code of the decision.
	Reason   string
	Problems []request.Problem
	Token    string
	// Until is when the token ends.
	Until time.Time
	// NotBefore and NotAfter bound the time of a restoration.
	NotBefore, NotAfter time.Time
	// Reply is the case of the counter-notice that a message to the other side is
	// about.
	Reply takedown.CaseID
	// Counter is the counter-notice that was received, with the address of its
	// sender. 17 U.S.C. 512(g)(2)(B) entitles the claimant to a copy. It is nil
	// when it was erased before the message was sent.
	Counter *request.CounterNotice
	// Deadline is the legal deadline for a decision about the case, if there is
	// one.
	Deadline time.Time
	// ComplaintWindow is the time in which the recipient of a decision can
	// complain, from the deadline complaint_window of the case; zero if the case
	// has no such deadline.
	ComplaintWindow Span
	Statement       *StatementOfReasons
}

// MessageItem is an item of a case in a message to its requester.
type MessageItem struct {
	CaseItem
	// Given is the address as the requester wrote it; empty for items that are no
	// addresses, and after an erasure.
	Given string
}

// Recipient is the person to write to. It is personal data.
type Recipient struct {
	Name, Email, Phone, PostalAddress string
	Language                          string // BCP 47, may be empty
}

// Notifier sends messages to people, by email or another way. A goroutine of the desk
// calls Notify, with one message at a time; no method of the desk waits for it,
// except [Desk.Notify]. Notify has to return when its context ends, which is after a
// minute or when the desk is closed.
//
// A message is passed again, with the same ID, until Notify returns nil: after a
// minute, and then after twice the time before, up to six hours. So every message is
// delivered at least once, and again only if the process ends between a delivery and
// the note of it.
type Notifier interface {
	Notify(ctx context.Context, m Message) error
}

// NotifierFunc is a function that is a [Notifier].
type NotifierFunc func(ctx context.Context, m Message) error

// Notify calls f.
func (f NotifierFunc) Notify(ctx context.Context, m Message) error { return f(ctx, m) }

// message is what is stored of a message until it is sent; the rest is read
// from the case when it is.
type message struct {
	Case   takedown.CaseID `json:"case"`
	Type   MessageType     `json:"type"`
	Token  string          `json:"token,omitempty"`
	Until  time.Time       `json:"until,omitzero"`
	Reason string          `json:"reason,omitempty"`
	Reply  takedown.CaseID `json:"reply,omitzero"`
	Words  string          `json:"words,omitempty"`
	// AfterConfirm says that the message is not sent to an address before the
	// requester has confirmed it, because nobody but the sender of the request has
	// caused it.
	AfterConfirm bool `json:"after_confirm,omitempty"`

	id       uint64
	attempts uint32
}

// putMessage stores a message that is due now.
func (s *caseStore) putMessage(tx StoreTx, m message) error {
	if !s.notify {
		return nil
	}
	key, err := s.keys.get(m.Case)
	if errors.Is(err, ErrErased) || errors.Is(err, keyfile.ErrDamaged) || errors.Is(err, keyfile.ErrKey) {
		return nil // there is nobody to be told
	}
	if err != nil {
		return err
	}
	id, err := counter(tx, keyMessages, 1)
	if err != nil {
		return err
	}
	b, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("takedown: message: %w", err)
	}
	return putScheduled(tx, id, m.Case, s.now(), 0, seal(key, label("message", m.Case), b))
}

// compose makes the message out of its case.
func (d *Desk) compose(m message) (msg Message, to recipientState, err error) {
	c, err := d.store.whole(m.Case, false)
	if err != nil {
		return Message{}, to, err
	}
	now := d.clock()
	msg = Message{
		ID: m.id, Attempt: int(m.attempts), Type: m.Type, Time: now, Case: c.ID, Kind: c.Kind, Regime: c.Regime, Asked: c.Asked, Granted: c.Granted,
		Territories: c.Territories, Start: c.Start, End: c.End, Reason: m.Reason, Token: m.Token, Until: m.Until, Reply: m.Reply,
	}
	for _, it := range c.Items {
		switch it.Outcome {
		case OutcomeAccepted:
			msg.Accepted++
			if it.Effect == blocklist.EffectReview {
				msg.Held++
			}
		case "", OutcomeNotMeant:
		default:
			msg.Refused++
		}
	}
	msg.Since = c.Times[MilestoneEnforced]
	msg.InForce = c.State == StateInForce && !c.Begins && !msg.Since.IsZero() && len(c.Rules) > 0
	msg.ComplaintWindow = d.complaintWindow(&c.Case)
	for _, x := range due(&c.Case, d.deadlines, d.calendars, now) {
		if !x.NotAfter.IsZero() && (msg.Deadline.IsZero() || x.NotAfter.Before(msg.Deadline)) {
			msg.Deadline = x.NotAfter
		}
	}
	if m.Reply != (takedown.CaseID{}) && m.Type != MessageExcepted {
		reply, err := d.store.whole(m.Reply, false)
		if err != nil {
			return Message{}, to, err
		}
		if x, ok := d.clockOf(&reply.Case, "restore", now); ok {
			msg.NotBefore, msg.NotAfter = x.NotBefore, x.NotAfter
		}
		if counter, ok := reply.Request.(request.CounterNotice); ok && m.Type == MessageCounterReceived {
			msg.Counter = &counter
		}
	}
	if m.Type == MessageNeedsInfo {
		msg.Problems = slices.Clone(c.Problems)
	}
	if m.Type == MessageStatement || m.Type == MessageOrderNotice {
		msg.Statement, err = d.statement(c)
		return msg, to, err
	}
	if err := d.explain(&msg, c, m); err != nil {
		return Message{}, to, err
	}
	if c.Request != nil {
		who := c.Request.From()
		msg.To = Recipient{who.FullName(), contact.Email(who.Email), who.Phone, who.PostalAddress, who.Language}
		to.digest = d.store.recipientDigest(who.Email, who.Phone)
		if to.unconfirmed = d.opts.ConfirmEmail && msg.To.Email != "" && c.Times[MilestoneEmailConfirmed].IsZero(); to.unconfirmed {
			msg.hideSender()
		}
	}
	if c.Token != nil {
		to.until = c.TokenSent.Add(confirmFor)
	}
	return msg, to, nil
}

// hideSender takes out of a message to an address that waits for its confirmation
// what the sender of the request has written, because the address can be of
// somebody else. What a reviewer has decided keeps the addresses that it is about.
func (m *Message) hideSender() {
	m.To.Name = ""
	if m.Type != MessageConfirmEmail {
		return
	}
	m.Authority, m.Reference, m.Query = "", "", ""
	for i := range m.Items {
		m.Items[i].Given = ""
	}
}
