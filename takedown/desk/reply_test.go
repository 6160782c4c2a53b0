package desk_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// published are addresses of two publishers, all in one notice.
var published = []string{"https://one.example/a.jpg", "https://one.example/b.jpg", "https://two.example/c.jpg"}

// dmca returns a notice about addresses, and counter an answer to it that names
// some.
func dmca(tb testing.TB, urls ...string) request.DMCANotice {
	r := samples(tb, takedown.CaseID{})[request.KindDMCANotice].(request.DMCANotice)
	r.ImageURLs = urls
	return r
}

func counter(tb testing.TB, about takedown.CaseID, urls ...string) request.CounterNotice {
	r := samples(tb, about)[request.KindCounterNotice].(request.CounterNotice)
	r.ImageURLs = urls
	return r
}

func objection(tb testing.TB, about takedown.CaseID, urls ...string) request.Objection {
	r := samples(tb, about)[request.KindObjection].(request.Objection)
	r.ImageURLs = urls
	return r
}

// wantBlocked fails unless exactly the given of the published addresses are
// blocked.
func (o *office) wantBlocked(tb testing.TB, want ...string) {
	tb.Helper()
	var got []string
	for _, u := range published {
		if o.Enforcer().FilterURL(u).Verdict == takedown.Block {
			got = append(got, u)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		tb.Errorf("blocked (-want +got):\n%s", diff)
	}
}

// A counter-notice restores what it names and nothing else; that of another
// publisher has a window of its own.
func TestCounterNotice_NamesItems(t *testing.T) {
	t.Parallel()
	a, b, c := published[0], published[1], published[2]
	o := newOffice(t)
	id := accept(t, o.Desk, dmca(t, published...), desk.Grant{Actor: alice})
	one := o.submit(t, counter(t, id, "HTTPS://ONE.example:443/x/../a.jpg#top"))
	ok(t, o.Accept(ctx, one.ID, desk.Grant{Actor: bob}))
	o.later(5 * 24 * time.Hour)
	two := o.submit(t, counter(t, id, c))
	ok(t, o.Accept(ctx, two.ID, desk.Grant{Actor: bob}))
	due := map[takedown.CaseID]time.Time{}
	list, err := o.Due(ctx, time.Time{})
	ok(t, err)
	for _, x := range list {
		due[x.Case] = x.NotBefore
	}
	// The ends of the tenth business days after January 30 and February 4.
	want := map[takedown.CaseID]time.Time{one.ID: at("2026-02-14 00:00"), two.ID: at("2026-02-19 00:00")}
	if diff := cmp.Diff(want, due); diff != "" {
		t.Errorf("due (-want +got):\n%s", diff)
	}
	o.set(want[one.ID])
	var early *desk.TooEarlyError
	if err := o.Restore(ctx, two.ID, alice); !errors.As(err, &early) {
		t.Errorf("the second, in the time of the first: %v", err)
	}
	o.letters(id)
	ok(t, o.Restore(ctx, one.ID, alice))
	o.wantBlocked(t, b, c)
	o.wantLetters(t, id, desk.MessageRestored)
	got := o.wantState(t, id, desk.StateInForce)
	if it := got.Items[0]; it.Ended != desk.StateRestored || it.Rule != 0 || it.Granted != 0 || got.Outcome != desk.OutcomePartly {
		t.Errorf("the case is %q, with %+v", got.Outcome, it)
	}
	var ge *desk.GrantError
	again := desk.Grant{Actor: alice, Items: map[int]desk.ItemDecision{0: {Outcome: desk.OutcomeAccepted}}}
	if err := o.Amend(ctx, id, again); !errors.As(err, &ge) {
		t.Errorf("what was restored is granted again: %v", err)
	}
	ok(t, o.Amend(ctx, id, desk.Grant{Actor: alice}))
	o.wantBlocked(t, b, c)
	third := o.submit(t, counter(t, id, a))
	if err := o.Accept(ctx, third.ID, desk.Grant{Actor: bob}); !errors.As(err, &ge) {
		t.Errorf("a counter-notice about what was restored: %v", err)
	}
	ok(t, o.Reject(ctx, third.ID, refuse(bob)))

	// A court keeps what the one names, whatever happens to the rest.
	ok(t, o.CourtHold(ctx, two.ID, alice))
	last := o.submit(t, counter(t, id, b))
	ok(t, o.Accept(ctx, last.ID, desk.Grant{Actor: bob}))
	o.later(60 * 24 * time.Hour)
	ok(t, o.Restore(ctx, last.ID, alice))
	o.wantBlocked(t, c)
	ok(t, o.Reverse(ctx, two.ID, alice))
	o.wantBlocked(t)
	o.wantState(t, id, desk.StateRestored)
	o.wantState(t, two.ID, desk.StateRestored)
	for _, id := range []takedown.CaseID{one.ID, two.ID, last.ID, id} {
		ok(t, o.CloseCase(ctx, id, alice))
	}
	if list, err := o.Due(ctx, time.Time{}); err != nil || len(list) != 0 {
		t.Errorf("still due: %+v, %v", list, err)
	}
}

// The days that the law wants between a counter-notice and the restoration pass
// whatever was before.
func TestCounterNotice_WaitsAfterACourt(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	id := accept(t, o.Desk, dmca(t, published...), desk.Grant{Actor: alice})
	ok(t, o.CourtHold(ctx, id, alice))
	early := o.submit(t, counter(t, id, published[0]))
	var move *desk.MoveError
	if err := o.Accept(ctx, early.ID, desk.Grant{Actor: bob}); !errors.As(err, &move) {
		t.Errorf("a counter-notice about what a court has: %v", err)
	}
	o.later(100 * 24 * time.Hour)
	ok(t, o.Release(ctx, id, alice))
	c := o.submit(t, counter(t, id, published...))
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: bob}))
	if m := o.last(desk.MessageCounterReceived); m.NotBefore.Before(o.Now().AddDate(0, 0, 10)) || !m.NotAfter.After(m.NotBefore) {
		t.Errorf("the claimant is told %v to %v", m.NotBefore, m.NotAfter)
	}
	var wait *desk.TooEarlyError
	if err := o.Restore(ctx, c.ID, alice); !errors.As(err, &wait) || wait.NotBefore.Before(o.Now().AddDate(0, 0, 10)) {
		t.Errorf("restored at once: %v", err)
	}
	o.wantBlocked(t, published...)
	// The whole case is with a court again: nothing comes back meanwhile.
	o.later(30 * 24 * time.Hour)
	ok(t, o.CourtHold(ctx, id, alice))
	if err := o.Restore(ctx, c.ID, alice); !errors.As(err, &move) {
		t.Errorf("restored while a court has the case: %v", err)
	}
	o.wantBlocked(t, published...)
	// Its sender can take a counter-notice back.
	ok(t, o.Withdraw(ctx, c.ID, desk.Actor{}))
	o.wantState(t, c.ID, desk.StateWithdrawn)
	o.wantBlocked(t, published...)
}

// What has ended meanwhile is not ended again.
func TestCounterNotice_EndedMeanwhile(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	id := accept(t, o.Desk, dmca(t, published...), desk.Grant{Actor: alice})
	c := o.submit(t, counter(t, id, published[0]))
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: bob}))
	ok(t, o.Withdraw(ctx, id, desk.Actor{}))
	o.later(30 * 24 * time.Hour)
	ok(t, o.Restore(ctx, c.ID, alice))
	o.wantState(t, id, desk.StateWithdrawn)
	o.wantState(t, c.ID, desk.StateRestored)
}

// An objection that names addresses ends what they are of; one that names none
// ends the case.
func TestObjection_NamesItems(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		named   []string
		blocked []string
		state   desk.State
		told    desk.MessageType
	}{
		{"one", published[:1], published[1:], desk.StateInForce, desk.MessagePartial},
		{"two, pasted together", []string{published[0] + " " + published[2]}, published[1:2], desk.StateInForce, desk.MessagePartial},
		{"all", published, nil, desk.StateReversed, desk.MessageReversed},
		{"none", nil, nil, desk.StateReversed, desk.MessageReversed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			id := accept(t, o.Desk, notice(published...), desk.Grant{Actor: alice})
			o.letters(id)
			reply := o.submit(t, objection(t, id, tc.named...))
			ok(t, o.Accept(ctx, reply.ID, desk.Grant{Actor: bob}))
			o.wantBlocked(t, tc.blocked...)
			o.wantState(t, id, tc.state)
			o.wantLetters(t, id, tc.told)
		})
	}
}

// All addresses that the case is not about are problems at once, and none is
// repeated.
func TestReply_NamesOthers(t *testing.T) {
	t.Parallel()
	o := newOffice(t, func(opts *desk.Options) {
		opts.URLMapper = func(text string) ([]string, bool) { return []string{published[1]}, text == "result:17" }
	})
	id := accept(t, o.Desk, dmca(t, published...), desk.Grant{Actor: alice})
	for name, r := range map[string]request.Request{
		"counter-notice": counter(t, id, published[0], "https://secret.example/1.jpg", published[2]+" https://secret.example/2.jpg"),
		"objection":      objection(t, id, published[0], "https://secret.example/1.jpg", "https://secret.example/2.jpg"),
	} {
		_, err := o.Submit(ctx, r)
		var ve *request.ValidationError
		if !errors.As(err, &ve) {
			t.Errorf("%s: %v, want a *ValidationError", name, err)
			continue
		}
		want := []request.Problem{
			{Field: "image_urls[1]", Code: request.CodeNotInCase, Severity: request.Incomplete},
			{Field: "image_urls[2]", Code: request.CodeNotInCase, Severity: request.Incomplete},
		}
		if diff := cmp.Diff(want, ve.Problems); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if strings.Contains(err.Error(), "example") {
			t.Errorf("%s: the error has an address: %v", name, err)
		}
	}
	// In the page field, or as a result of the service: it is the same address.
	r := counter(t, id, "result:17")
	r.PageURLs = published[2:]
	c := o.submit(t, r)
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: bob}))
	o.later(30 * 24 * time.Hour)
	ok(t, o.Restore(ctx, c.ID, alice))
	o.wantBlocked(t, published[0])
}

// Items that are not in force can be taken back too: nothing has to move for it.
func TestWithdrawal_OfWhatWasRefused(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	r := notice(published...)
	id := accept(t, o.Desk, r, desk.Grant{Actor: alice, Items: map[int]desk.ItemDecision{1: {Outcome: desk.OutcomeRejected, Reason: "satire"}}})
	o.letters(id)
	before := o.wantState(t, id, desk.StateInForce)
	w := o.submit(t, request.Withdrawal{Requester: r.Requester, Case: id, Items: []int{1}})
	ok(t, o.Accept(ctx, w.ID, desk.Grant{Actor: bob}))
	o.wantState(t, w.ID, desk.StateClosed)
	after := o.wantState(t, id, desk.StateInForce)
	if after.Items[1].Ended != desk.StateWithdrawn || len(after.Moves) != len(before.Moves) || !cmp.Equal(before.Rules, after.Rules) {
		t.Errorf("item %+v, moves %+v, rules %v", after.Items[1], after.Moves, after.Rules)
	}
	o.wantBlocked(t, published[0], published[2])
	noted := 0
	ok(t, eachEntry(o.Desk, 1, func(e desk.LogEntry) bool {
		if e.Case == id && e.To == "items_ended" && e.Actor == bob {
			noted++
		}
		return true
	}))
	if noted != 1 {
		t.Errorf("%d entries in the log, want 1", noted)
	}
}

// A deadline of a law that another kind of request has is no deadline of a
// reply.
func TestDeadlines_OfReplies(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	id := accept(t, o.Desk, dmca(t, published...), desk.Grant{Actor: alice})
	for _, tc := range []struct {
		r    request.Request
		want []string
	}{
		{counter(t, id, published[0]), []string{"pass_on"}},
		{objection(t, id), []string{"answer_objection"}},
		{request.Withdrawal{Requester: person, Case: id}, []string{"promise"}},
		{request.Complaint{Requester: person, Case: id, Party: request.PartyAffected, Grounds: "Wrong."}, []string{"answer_complaint"}},
	} {
		c := o.submit(t, tc.r)
		names := func() (list []string) {
			due, err := o.DueOf(ctx, c.ID)
			ok(t, err)
			for _, x := range due {
				list = append(list, x.Deadline.Name)
			}
			return list
		}
		if diff := cmp.Diff(tc.want, names()); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.Kind, diff)
		}
		ok(t, o.Reject(ctx, c.ID, refuse(bob)))
		if got := names(); got != nil {
			t.Errorf("%v, rejected: %v", c.Kind, got)
		}
		ok(t, o.CloseCase(ctx, c.ID, bob))
	}
	if _, err := desk.Open(t.TempDir(), &desk.Options{Deadlines: []desk.Deadline{{Regime: request.RegimeDMCA, Name: "restore", Start: desk.MilestoneReceived}}}); err == nil {
		t.Error("a row of another kind takes the place of one that restorations wait for")
	}
}

// A complaint of the notifier takes up what was refused, and unblocks nothing;
// one of the affected party ends what is in force.
func TestComplaint_ByEitherParty(t *testing.T) {
	t.Parallel()
	a, b, c := published[0], published[1], published[2]
	rejected := desk.ItemDecision{Outcome: desk.OutcomeRejected, Reason: "satire"}
	partly := desk.Grant{Actor: alice, Items: map[int]desk.ItemDecision{1: rejected}}
	reverse := func(o *office, id takedown.CaseID) error { return o.Reverse(ctx, id, alice) }
	for _, tc := range []struct {
		name    string
		grant   *desk.Grant // nil rejects
		then    func(*office, takedown.CaseID) error
		party   request.Party
		refused bool
		state   desk.State
		blocked []string
	}{
		{"notifier, rejected", nil, nil, request.PartyNotifier, false, desk.StateInReview, nil},
		{"notifier, in part", &partly, nil, request.PartyNotifier, false, desk.StateInForce, []string{a, c}},
		{"notifier, accepted", &desk.Grant{Actor: alice}, nil, request.PartyNotifier, true, desk.StateInForce, published},
		{"notifier, reversed", &desk.Grant{Actor: alice}, reverse, request.PartyNotifier, false, desk.StateInReview, nil},
		{"notifier, an item reversed", &desk.Grant{Actor: alice}, func(o *office, id takedown.CaseID) error {
			accept(t, o.Desk, objection(t, id, b), desk.Grant{Actor: alice})
			return nil
		}, request.PartyNotifier, false, desk.StateInForce, []string{a, c}},
		{"notifier, withdrawn", &desk.Grant{Actor: alice}, func(o *office, id takedown.CaseID) error { return o.Withdraw(ctx, id, alice) }, request.PartyNotifier, true, desk.StateWithdrawn, nil},
		{"affected, in part", &partly, nil, request.PartyAffected, false, desk.StateReversed, nil},
		{"affected, accepted", &desk.Grant{Actor: alice}, nil, request.PartyAffected, false, desk.StateReversed, nil},
		{"affected, rejected", nil, nil, request.PartyAffected, true, desk.StateRejected, nil},
		{"affected, reversed", &desk.Grant{Actor: alice}, reverse, request.PartyAffected, true, desk.StateReversed, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			id := o.submit(t, notice(published...)).ID
			if tc.grant != nil {
				ok(t, o.Accept(ctx, id, *tc.grant))
			} else {
				ok(t, o.Reject(ctx, id, refuse(alice)))
			}
			if tc.then != nil {
				ok(t, tc.then(o, id))
			}
			o.later(24 * time.Hour)
			complaint := o.submit(t, request.Complaint{Requester: person, Case: id, Party: tc.party, Grounds: "Look again."})
			err := o.Accept(ctx, complaint.ID, desk.Grant{Actor: bob})
			var move *desk.MoveError
			var ge *desk.GrantError
			if refused := errors.As(err, &move) || errors.As(err, &ge); refused != tc.refused || err != nil && !refused {
				t.Errorf("Accept: %v", err)
			}
			got := o.wantState(t, id, tc.state)
			o.wantBlocked(t, tc.blocked...)
			again := tc.party == request.PartyNotifier && !tc.refused
			if again != got.Times[desk.MilestoneDecided].IsZero() || again != got.Times[desk.MilestoneInformed].IsZero() {
				t.Errorf("times %v", got.Times)
			}
			list, err := o.DueOf(ctx, id)
			ok(t, err)
			if pending := len(list) > 0 && list[0].Deadline.Name == "decide"; pending != again {
				t.Errorf("due %+v", list)
			}
			if !again {
				return
			}
			decide := o.Amend
			if got.State == desk.StateInReview {
				decide = o.Accept
			}
			ok(t, decide(ctx, id, desk.Grant{Actor: alice}))
			o.wantBlocked(t, published...)
			if got = o.wantState(t, id, desk.StateInForce); got.Times[desk.MilestoneInformed] != o.Now() || got.Outcome != desk.OutcomeAccepted {
				t.Errorf("%q, told at %v", got.Outcome, got.Times[desk.MilestoneInformed])
			}
		})
	}
}

// An objection reverses; it does not open what was rejected.
func TestObjection_OfARejection(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	id := o.submit(t, notice(published...)).ID
	ok(t, o.Reject(ctx, id, refuse(alice)))
	reply := o.submit(t, objection(t, id))
	var move *desk.MoveError
	if err := o.Accept(ctx, reply.ID, desk.Grant{Actor: bob}); !errors.As(err, &move) || move.To != desk.StateReversed {
		t.Errorf("Accept: %v", err)
	}
	o.wantState(t, id, desk.StateRejected)
	ok(t, o.Reject(ctx, reply.ID, refuse(bob)))
}

// What a case did before it was taken up again does not count as done in the
// second round.
func TestComplaint_SecondRound(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	r := samples(t, takedown.CaseID{})[request.KindIntimateImage]
	c := o.submit(t, r)
	ok(t, o.Hold(ctx, c.ID, alice))
	ok(t, o.Reject(ctx, c.ID, refuse(alice)))
	o.later(30 * 24 * time.Hour)
	accept(t, o.Desk, request.Complaint{Requester: person, Case: c.ID, Party: request.PartyNotifier, Grounds: "Look again."}, desk.Grant{Actor: bob})
	list, err := o.DueOf(ctx, c.ID)
	if ok(t, err); len(list) != 1 || list[0].Deadline.Name != "remove" {
		t.Errorf("due %+v", list)
	}
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
	c = o.wantState(t, c.ID, desk.StateInForce)
	if s := desk.NewStatementOfReasons(&c); s.From != o.Now() {
		t.Errorf("the restriction is from %v, not %v", s.From, o.Now())
	}
}

// A complaint is late once the window is over, also about a case that is closed.
func TestComplaint_LateAboutAClosedCase(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	id := o.submit(t, notice(published...)).ID
	ok(t, o.Reject(ctx, id, refuse(alice)))
	o.settle()
	o.set(day0.AddDate(0, 6, 0))
	ok(t, o.CloseCase(ctx, id, alice))
	r := request.Complaint{Requester: person, Case: id, Party: request.PartyNotifier, Grounds: "Look again."}
	if c := o.submit(t, r); len(c.Flags) != 0 {
		t.Errorf("on the last day: %v", c.Flags)
	}
	o.later(time.Second)
	if c := o.submit(t, r); !cmp.Equal(c.Flags, []request.Flag{desk.FlagLate}) {
		t.Errorf("after it: %v", c.Flags)
	}
}

// What a reply names is what the service made of it when it came in: a mapper
// that has forgotten, or cannot answer, widens nothing.
func TestReply_MapperForgets(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"result:17", "https://img.search.example/thumb/17"} {
		known := true
		o := newOffice(t, func(opts *desk.Options) {
			opts.URLMapper = func(s string) ([]string, bool) {
				if s == text && known {
					return published[:1], true
				}
				return nil, false
			}
		})
		id := accept(t, o.Desk, dmca(t, published...), desk.Grant{Actor: alice})
		x := o.submit(t, objection(t, id, text))
		known = false
		ok(t, o.Accept(ctx, x.ID, desk.Grant{Actor: bob}))
		o.wantBlocked(t, published[1:]...)

		known = true
		id = accept(t, o.Desk, dmca(t, published[0], published[1]), desk.Grant{Actor: alice})
		x = o.submit(t, counter(t, id, text))
		ok(t, o.AskInfo(ctx, x.ID, alice, []string{"signature"}))
		x, err := o.Complete(ctx, x.ID, counter(t, id, text))
		ok(t, err)
		ok(t, o.Accept(ctx, x.ID, desk.Grant{Actor: bob}))
		known = false
		o.set(at("2026-02-14 00:00"))
		ok(t, o.Restore(ctx, x.ID, alice))
		o.wantBlocked(t, published[1:]...)
		o.wantState(t, id, desk.StateInForce)
	}
}

// When the last item in force is taken back while a complaint about the others is
// open, the case goes to its review with them; it does not end.
func TestReply_LastItemWhileOthersAreReopened(t *testing.T) {
	t.Parallel()
	for _, erased := range []bool{false, true} {
		for _, withdrawn := range []bool{true, false} {
			o := newOffice(t)
			rejected := desk.ItemDecision{Outcome: desk.OutcomeRejected, Reason: "not_illegal"}
			n := notice(published...)
			id := accept(t, o.Desk, n, desk.Grant{Actor: alice, Items: map[int]desk.ItemDecision{1: rejected, 2: rejected}})
			accept(t, o.Desk, request.Complaint{Requester: n.Requester, Case: id, Party: request.PartyNotifier, Grounds: "Look again."}, desk.Grant{Actor: bob})
			var reply request.Request = objection(t, id, published[0])
			if withdrawn {
				reply = request.Withdrawal{Requester: n.Requester, Case: id, Items: []int{0}}
			}
			x := o.submit(t, reply)
			if erased {
				// What it is about would be gone with its last rule.
				ok(t, o.Erase(ctx, id, alice))
				var ge *desk.GrantError
				if err := o.Accept(ctx, x.ID, desk.Grant{Actor: bob}); !errors.As(err, &ge) {
					t.Errorf("of an erased case: %v", err)
				}
				o.wantBlocked(t, published[0])
				ok(t, o.Amend(ctx, id, desk.Grant{Actor: alice, Items: map[int]desk.ItemDecision{1: rejected, 2: rejected}}))
				ok(t, o.Accept(ctx, x.ID, desk.Grant{Actor: bob}))
				o.wantBlocked(t)
				continue
			}
			o.letters(id)
			ok(t, o.Accept(ctx, x.ID, desk.Grant{Actor: bob}))
			got := o.wantState(t, id, desk.StateInReview)
			o.wantBlocked(t)
			if withdrawn {
				o.wantLetters(t, id)
			} else { // what is still open is not told to be refused
				o.wantLetters(t, id, desk.MessageReversed)
			}
			if got.Granted != 0 || got.Outcome != "" || got.Items[0].Ended == "" || got.Items[1].Ended != "" || got.Items[1].Outcome != "" {
				t.Errorf("granted %v, %q, items %+v", got.Granted, got.Outcome, got.Items)
			}
			ok(t, o.Accept(ctx, id, desk.Grant{Actor: alice}))
			o.wantState(t, id, desk.StateInForce)
			o.wantBlocked(t, published[1:]...)
		}
	}
}
