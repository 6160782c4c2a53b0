package desk_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/desk/storetest"
	"github.com/staydown/staydown/takedown/request"
)

// A party sends requests. Everything that it writes has its mark, by which it is
// recognised wherever it turns up.
type party struct {
	mark  string
	who   request.Requester
	own   []takedown.CaseID
	known bool // its address was confirmed
}

func newParty(mark string) *party {
	return &party{mark: mark, who: request.Requester{Name: "Name-" + mark, Email: mark + "@mail.example", Country: "DE", OnBehalfOf: "Ward-" + mark, Authority: "Mandate-" + mark}}
}

// A town is a desk with people, and one reviewer who does whatever she is asked.
type town struct {
	*office
	t       *testing.T
	dice    *rand.Rand
	seed    uint64
	picture []byte
	address string
	victim  *party
	people  []*party // the victim is the first
	senders map[takedown.CaseID]*party
	seen    int // messages that were looked at
	sentTo  map[string]int
}

const (
	townCap            = 6
	townUnconfirmedCap = 2
)

// No sequence of calls shows a stranger's data, ends a stranger's rule with one
// reviewer, or sends more than the capped number of messages.
func TestStrangers_AnySequence(t *testing.T) {
	t.Parallel()
	courses := uint64(4)
	if os.Getenv("STAYDOWN_LONG") != "" {
		courses = 400
	}
	for seed := range courses {
		course(t, seed)
	}
}

func course(t *testing.T, seed uint64) {
	t.Helper()
	x := &town{
		t: t, seed: seed, dice: rand.New(rand.NewPCG(seed, 7)), picture: testJPEG(t, 1), address: "https://victim.example/picture.jpg",
		victim: newParty("victim"), senders: map[takedown.CaseID]*party{}, sentTo: map[string]int{},
	}
	x.people = []*party{x.victim, newParty("mallory"), newParty("trudy")}
	dir, err := memoryDir()
	ok(t, err)
	defer os.RemoveAll(dir)
	x.office = &office{clock: &clock{t: day0}}
	x.Desk = open(t, dir, &desk.Options{
		Now: x.Now, Notifier: x.office, Store: storetest.Memory(), ConfirmEmail: seed%2 == 0, MessagesPerDay: townCap, UnconfirmedPerDay: townUnconfirmedCap,
	})
	x.protect()
	for range 45 {
		x.act()
		x.check()
	}
	if x.seen < 8 {
		t.Errorf("seed %d: only %d messages: the test proves too little", seed, x.seen)
	}
	ok(t, x.Close())
}

// protect gives the victim an opt-out and a blocked address.
func (x *town) protect() {
	optout := optOut(x.t, 1)
	optout.Requester, optout.Reason = x.victim.who, "Reason-"+x.victim.mark
	data := samples(x.t, takedown.CaseID{})[request.KindGDPRRequest].(request.GDPRRequest)
	data.Requester, data.ImageURLs, data.Situation, data.QueryName = x.victim.who, []string{x.address}, "Situation-"+x.victim.mark, "Query-"+x.victim.mark
	for _, r := range []request.Request{optout, data} {
		c := x.submit(x.t, r)
		x.own(x.victim, c.ID)
		if c.State == desk.StateUnconfirmed {
			ok(x.t, x.Confirm(ctx, c.ID, x.last(desk.MessageConfirmEmail).Token))
			x.victim.known = true
		}
		ok(x.t, x.Accept(ctx, c.ID, desk.Grant{Actor: bob}))
	}
	x.check()
}

func (x *town) own(p *party, id takedown.CaseID) {
	p.own = append(p.own, id)
	x.senders[id] = p
}

// act does one thing: a stranger sends or answers something, or the reviewer works.
func (x *town) act() {
	p := x.people[1+x.dice.IntN(len(x.people)-1)]
	switch n := x.dice.IntN(20); {
	case n < 9:
		x.send(p)
	case n < 17:
		x.review()
	case n < 18 && len(p.own) > 0:
		id := p.own[x.dice.IntN(len(p.own))]
		_ = x.Resend(ctx, id)
		_ = x.Confirm(ctx, id, "guessed")
	case n < 19:
		x.confirm(p)
	default:
		x.later(time.Duration(1+x.dice.IntN(30)) * time.Hour)
		_, err := x.Expire(ctx)
		ok(x.t, err)
	}
}

// send sends something that a stranger could, also under the victim's address.
func (x *town) send(p *party) {
	who := p.who
	if x.ConfirmsEmail() && x.dice.IntN(3) == 0 {
		who.Email = x.victim.who.Email // which the stranger cannot confirm
	}
	target := x.victim.own[x.dice.IntN(len(x.victim.own))]
	with, by, without := objectionTo(x.t, [][]byte{x.picture}), objectionTo(x.t, nil, x.address), objectionTo(x.t, nil)
	without.Case = target
	for _, o := range []*request.Objection{&with, &by, &without} {
		o.Requester, o.Explanation = who, "Explanation-"+p.mark
	}
	same := optOut(x.t, 1) // the victim's own picture
	same.Requester, same.Claim, same.Reason = who, request.ClaimOwner, "Reason-"+p.mark
	about := notice(x.address)
	about.Requester, about.Explanation = who, "Explanation-"+p.mark
	complaint := request.Complaint{Requester: who, Case: target, Party: request.PartyAffected, Grounds: "Grounds-" + p.mark}
	other := complaint
	other.Party = request.PartyNotifier
	requests := []request.Request{with, by, without, same, about, complaint, other, request.Withdrawal{Requester: who, Case: target, Reason: "Reason-" + p.mark}}
	c, err := x.Submit(ctx, requests[x.dice.IntN(len(requests))], request.Paper{Kind: request.PaperOther, Name: "Paper-" + p.mark, Data: []byte("Paper-" + p.mark)})
	if err != nil {
		x.harmless(p, "the answer to a request", err.Error())
		return
	}
	x.own(p, c.ID)
	c.Request = nil
	x.harmless(p, "the case that is returned", fmt.Sprintf("%+v", c))
}

// confirm confirms an address of a stranger's own.
func (x *town) confirm(p *party) {
	x.settle()
	for _, m := range x.messages() {
		if m.Type == desk.MessageConfirmEmail && m.To.Email == p.who.Email && x.Confirm(ctx, m.Case, m.Token) == nil {
			p.known = true
		}
	}
}

// review lets the one reviewer do anything with a stranger's case, and what is no end
// with the victim's.
func (x *town) review() {
	var open []takedown.CaseID
	for _, p := range x.people[1:] {
		open = append(open, p.own...)
	}
	if len(open) == 0 {
		return
	}
	id := open[x.dice.IntN(len(open))]
	switch x.dice.IntN(12) { // whatever comes of it
	case 0, 1, 2, 3:
		_ = x.Accept(ctx, id, desk.Grant{Actor: alice})
	case 4:
		_ = x.AcceptAll(ctx, open, desk.Grant{Actor: alice})
	case 5:
		_ = x.Reject(ctx, id, refuse(alice))
	case 6:
		_ = x.AskInfo(ctx, id, alice, []string{"explanation"}, "Why?")
	case 7:
		_, _ = x.CloseSame(ctx, x.victim.own[0], alice)
	case 8:
		_ = x.Hold(ctx, id, alice)
		_ = x.ReleaseHold(ctx, id, alice)
	case 9:
		_ = x.Assign(ctx, id, alice, "alice", x.Now().Add(time.Hour))
		_ = x.AddNote(ctx, id, alice, "A note about "+x.victim.mark, "", nil)
	case 10:
		_ = x.Amend(ctx, id, desk.Grant{Actor: alice})
	default:
		_, err := x.View(ctx, id, alice)
		ok(x.t, err)
		_ = x.Reverse(ctx, id, alice)
	}
}

// check holds what may never be against what is.
func (x *town) check() {
	x.t.Helper()
	wantVerdict(x.t, fmt.Sprintf("seed %d: the victim's picture", x.seed), x.Enforcer().Filter("", hashes(x.t, x.picture)...), takedown.Block)
	wantVerdict(x.t, fmt.Sprintf("seed %d: the victim's address", x.seed), x.Enforcer().FilterURL(x.address), takedown.Block)
	for _, id := range x.victim.own {
		x.wantState(x.t, id, desk.StateInForce)
	}
	x.settle()
	for _, m := range x.messages()[x.seen:] {
		x.seen++
		x.message(m)
	}
	if x.t.Failed() {
		x.t.FailNow()
	}
}

// message looks at one message.
func (x *town) message(m desk.Message) {
	x.t.Helper()
	sender := x.senders[m.Case]
	if sender == nil {
		x.t.Errorf("seed %d: a message about a case of nobody: %+v", x.seed, m)
		return
	}
	if m.Statement != nil || m.To == (desk.Recipient{}) { // to whom, the operator has to know
		x.harmless(nil, "a statement of reasons", fmt.Sprintf("%+v", m.Statement))
		return
	}
	i := slices.IndexFunc(x.people, func(p *party) bool { return p.who.Email == m.To.Email })
	if i < 0 {
		x.t.Errorf("seed %d: a message to nobody: %+v", x.seed, m.To)
		return
	}
	to := x.people[i]
	m.Problems = nil // paths of fields
	email := m.To.Email
	m.To.Email = ""
	x.harmless(to, fmt.Sprintf("a message (%s) to %s", m.Type, to.mark), fmt.Sprintf("%+v", m))
	day := x.Now().UTC().Format(time.DateOnly) + " " + email
	x.sentTo[day]++
	limit := townCap
	if x.ConfirmsEmail() && !to.known {
		limit = townUnconfirmedCap
	}
	if x.sentTo[day] > limit {
		x.t.Errorf("seed %d: %d messages on one day: %s, whose cap is %d", x.seed, x.sentTo[day], day, limit)
	}
}

// harmless reports marks of others in what is shown to a party; nil is somebody else.
func (x *town) harmless(to *party, what, text string) {
	x.t.Helper()
	for _, p := range x.people {
		if p == to {
			continue
		}
		if strings.Contains(text, "-"+p.mark) || strings.Contains(text, p.who.Email) {
			x.t.Errorf("seed %d: %s has something of %s:\n%s", x.seed, what, p.mark, text)
		}
		for _, id := range p.own {
			// A stranger who was told of the victim's case knows its number.
			if to != nil && p != x.victim && strings.Contains(text, id.String()) && !(to == x.victim && x.ConfirmsEmail()) {
				x.t.Errorf("seed %d: %s names case %v of %s:\n%s", x.seed, what, id, p.mark, text)
			}
		}
	}
}

// ConfirmsEmail reports whether the desk asks for confirmations.
func (x *town) ConfirmsEmail() bool { return x.seed%2 == 0 }

// messages returns what was sent.
func (x *town) messages() []desk.Message {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.sent)
}
