package takedown_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/takedown"
)

// published are addresses of two publishers, all in one notice.
var published = []string{"https://one.example/a.jpg", "https://one.example/b.jpg", "https://two.example/c.jpg"}

// dmca returns a notice about addresses, and counter an answer to it that names
// some.
func dmca(tb testing.TB, urls ...string) takedown.DMCANotice {
	r := samples(tb, takedown.CaseID{})[takedown.KindDMCANotice].(takedown.DMCANotice)
	r.ImageURLs = urls
	return r
}

func counter(tb testing.TB, about takedown.CaseID, urls ...string) takedown.CounterNotice {
	r := samples(tb, about)[takedown.KindCounterNotice].(takedown.CounterNotice)
	r.ImageURLs = urls
	return r
}

func objection(tb testing.TB, about takedown.CaseID, urls ...string) takedown.Objection {
	r := samples(tb, about)[takedown.KindObjection].(takedown.Objection)
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
	id := accept(t, o.Desk, dmca(t, published...), takedown.Grant{Act: alice})
	one := o.submit(t, counter(t, id, "HTTPS://ONE.example:443/x/../a.jpg#top"))
	ok(t, o.Accept(ctx, one.ID, takedown.Grant{Act: bob}))
	o.later(5 * 24 * time.Hour)
	two := o.submit(t, counter(t, id, c))
	ok(t, o.Accept(ctx, two.ID, takedown.Grant{Act: bob}))
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
	var early *takedown.TooEarlyError
	if err := o.Restore(ctx, two.ID, alice); !errors.As(err, &early) {
		t.Errorf("the second, in the time of the first: %v", err)
	}
	o.letters(id)
	ok(t, o.Restore(ctx, one.ID, alice))
	o.wantBlocked(t, b, c)
	o.wantLetters(t, id, takedown.MessageRestored)
	got := o.wantState(t, id, takedown.StateInForce)
	if it := got.Items[0]; it.Ended != takedown.StateRestored || it.Rule != 0 || it.Granted != 0 || got.Outcome != takedown.OutcomePartly {
		t.Errorf("the case is %q, with %+v", got.Outcome, it)
	}
	var ge *takedown.GrantError
	again := takedown.Grant{Act: alice, Items: map[int]takedown.ItemDecision{0: {Outcome: takedown.OutcomeAccepted}}}
	if err := o.Change(ctx, id, again); !errors.As(err, &ge) {
		t.Errorf("what was restored is granted again: %v", err)
	}
	ok(t, o.Change(ctx, id, takedown.Grant{Act: alice}))
	o.wantBlocked(t, b, c)
	third := o.submit(t, counter(t, id, a))
	if err := o.Accept(ctx, third.ID, takedown.Grant{Act: bob}); !errors.As(err, &ge) {
		t.Errorf("a counter-notice about what was restored: %v", err)
	}
	ok(t, o.Reject(ctx, third.ID, bob))

	// A court keeps what the one names, whatever happens to the rest.
	ok(t, o.CourtHold(ctx, two.ID, alice))
	last := o.submit(t, counter(t, id, b))
	ok(t, o.Accept(ctx, last.ID, takedown.Grant{Act: bob}))
	o.later(60 * 24 * time.Hour)
	ok(t, o.Restore(ctx, last.ID, alice))
	o.wantBlocked(t, c)
	ok(t, o.Reverse(ctx, two.ID, alice))
	o.wantBlocked(t)
	o.wantState(t, id, takedown.StateRestored)
	o.wantState(t, two.ID, takedown.StateRestored)
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
	id := accept(t, o.Desk, dmca(t, published...), takedown.Grant{Act: alice})
	ok(t, o.CourtHold(ctx, id, alice))
	early := o.submit(t, counter(t, id, published[0]))
	var move *takedown.MoveError
	if err := o.Accept(ctx, early.ID, takedown.Grant{Act: bob}); !errors.As(err, &move) {
		t.Errorf("a counter-notice about what a court has: %v", err)
	}
	o.later(100 * 24 * time.Hour)
	ok(t, o.Release(ctx, id, alice))
	c := o.submit(t, counter(t, id, published...))
	ok(t, o.Accept(ctx, c.ID, takedown.Grant{Act: bob}))
	if m := o.last(takedown.MessageCounterReceived); m.NotBefore.Before(o.Now().AddDate(0, 0, 10)) || !m.NotAfter.After(m.NotBefore) {
		t.Errorf("the claimant is told %v to %v", m.NotBefore, m.NotAfter)
	}
	var wait *takedown.TooEarlyError
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
	ok(t, o.Withdraw(ctx, c.ID, takedown.Act{}))
	o.wantState(t, c.ID, takedown.StateWithdrawn)
	o.wantBlocked(t, published...)
}

// What has ended meanwhile is not ended again.
func TestCounterNotice_EndedMeanwhile(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	id := accept(t, o.Desk, dmca(t, published...), takedown.Grant{Act: alice})
	c := o.submit(t, counter(t, id, published[0]))
	ok(t, o.Accept(ctx, c.ID, takedown.Grant{Act: bob}))
	ok(t, o.Withdraw(ctx, id, takedown.Act{}))
	o.later(30 * 24 * time.Hour)
	ok(t, o.Restore(ctx, c.ID, alice))
	o.wantState(t, id, takedown.StateWithdrawn)
	o.wantState(t, c.ID, takedown.StateRestored)
}

// An objection that names addresses ends what they are of; one that names none
// ends the case.
func TestObjection_NamesItems(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		named   []string
		blocked []string
		state   takedown.State
		told    takedown.MessageType
	}{
		{"one", published[:1], published[1:], takedown.StateInForce, takedown.MessagePartial},
		{"two, pasted together", []string{published[0] + " " + published[2]}, published[1:2], takedown.StateInForce, takedown.MessagePartial},
		{"all", published, nil, takedown.StateReversed, takedown.MessageReversed},
		{"none", nil, nil, takedown.StateReversed, takedown.MessageReversed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			id := accept(t, o.Desk, notice(published...), takedown.Grant{Act: alice})
			o.letters(id)
			reply := o.submit(t, objection(t, id, tc.named...))
			ok(t, o.Accept(ctx, reply.ID, takedown.Grant{Act: bob}))
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
	o := newOffice(t, func(opts *takedown.DeskOptions) {
		opts.AddressMapper = func(text string) ([]string, bool) { return []string{published[1]}, text == "result:17" }
	})
	id := accept(t, o.Desk, dmca(t, published...), takedown.Grant{Act: alice})
	for name, r := range map[string]takedown.Request{
		"counter-notice": counter(t, id, published[0], "https://secret.example/1.jpg", published[2]+" https://secret.example/2.jpg"),
		"objection":      objection(t, id, published[0], "https://secret.example/1.jpg", "https://secret.example/2.jpg"),
	} {
		_, err := o.Submit(ctx, r)
		var ve *takedown.ValidationError
		if !errors.As(err, &ve) {
			t.Errorf("%s: %v, want a *ValidationError", name, err)
			continue
		}
		want := []takedown.Problem{
			{Field: "image_urls[1]", Code: takedown.CodeNotInCase, Severity: takedown.Incomplete},
			{Field: "image_urls[2]", Code: takedown.CodeNotInCase, Severity: takedown.Incomplete},
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
	ok(t, o.Accept(ctx, c.ID, takedown.Grant{Act: bob}))
	o.later(30 * 24 * time.Hour)
	ok(t, o.Restore(ctx, c.ID, alice))
	o.wantBlocked(t, published[0])
}

// Items that are not in force can be taken back too: nothing has to move for it.
func TestWithdrawal_OfWhatWasRefused(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	r := notice(published...)
	id := accept(t, o.Desk, r, takedown.Grant{Act: alice, Items: map[int]takedown.ItemDecision{1: {Outcome: takedown.OutcomeRejected, Reason: "satire"}}})
	o.letters(id)
	before := o.wantState(t, id, takedown.StateInForce)
	w := o.submit(t, takedown.WithdrawalRequest{Requester: r.Requester, Case: id, Items: []int{1}})
	ok(t, o.Accept(ctx, w.ID, takedown.Grant{Act: bob}))
	o.wantState(t, w.ID, takedown.StateClosed)
	after := o.wantState(t, id, takedown.StateInForce)
	if after.Items[1].Ended != takedown.StateWithdrawn || len(after.Moves) != len(before.Moves) || !cmp.Equal(before.Rules, after.Rules) {
		t.Errorf("item %+v, moves %+v, rules %v", after.Items[1], after.Moves, after.Rules)
	}
	o.wantBlocked(t, published[0], published[2])
	noted := 0
	ok(t, o.Log(ctx, 1, func(e takedown.LogEntry) bool {
		if e.Case == id && e.To == "items_ended" && e.Act == bob {
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
	id := accept(t, o.Desk, dmca(t, published...), takedown.Grant{Act: alice})
	for _, tc := range []struct {
		r    takedown.Request
		want []string
	}{
		{counter(t, id, published[0]), []string{"pass_on"}},
		{objection(t, id), nil},
		{takedown.WithdrawalRequest{Requester: person, Case: id}, nil},
		{takedown.Complaint{Requester: person, Case: id, Party: takedown.PartyAffected, Grounds: "Wrong."}, []string{"answer_complaint"}},
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
		ok(t, o.Reject(ctx, c.ID, bob))
		if got := names(); got != nil {
			t.Errorf("%v, rejected: %v", c.Kind, got)
		}
		ok(t, o.CloseCase(ctx, c.ID, bob))
	}
	if _, err := takedown.Open(t.TempDir(), &takedown.DeskOptions{Deadlines: []takedown.Deadline{{Regime: takedown.RegimeDMCA, Name: "restore", Start: takedown.MilestoneReceived}}}); err == nil {
		t.Error("a row of another kind takes the place of one that restorations wait for")
	}
}

// A complaint of the notifier takes up what was refused, and unblocks nothing;
// one of the affected party ends what is in force.
func TestComplaint_ByEitherParty(t *testing.T) {
	t.Parallel()
	a, b, c := published[0], published[1], published[2]
	rejected := takedown.ItemDecision{Outcome: takedown.OutcomeRejected, Reason: "satire"}
	partly := takedown.Grant{Act: alice, Items: map[int]takedown.ItemDecision{1: rejected}}
	reverse := func(o *office, id takedown.CaseID) error { return o.Reverse(ctx, id, alice) }
	for _, tc := range []struct {
		name    string
		grant   *takedown.Grant // nil rejects
		then    func(*office, takedown.CaseID) error
		party   takedown.Party
		refused bool
		state   takedown.State
		blocked []string
	}{
		{"notifier, rejected", nil, nil, takedown.PartyNotifier, false, takedown.StateInReview, nil},
		{"notifier, in part", &partly, nil, takedown.PartyNotifier, false, takedown.StateInForce, []string{a, c}},
		{"notifier, accepted", &takedown.Grant{Act: alice}, nil, takedown.PartyNotifier, true, takedown.StateInForce, published},
		{"notifier, reversed", &takedown.Grant{Act: alice}, reverse, takedown.PartyNotifier, false, takedown.StateInReview, nil},
		{"notifier, an item reversed", &takedown.Grant{Act: alice}, func(o *office, id takedown.CaseID) error {
			accept(t, o.Desk, objection(t, id, b), takedown.Grant{Act: alice})
			return nil
		}, takedown.PartyNotifier, false, takedown.StateInForce, []string{a, c}},
		{"notifier, withdrawn", &takedown.Grant{Act: alice}, func(o *office, id takedown.CaseID) error { return o.Withdraw(ctx, id, alice) }, takedown.PartyNotifier, true, takedown.StateWithdrawn, nil},
		{"affected, in part", &partly, nil, takedown.PartyAffected, false, takedown.StateReversed, nil},
		{"affected, accepted", &takedown.Grant{Act: alice}, nil, takedown.PartyAffected, false, takedown.StateReversed, nil},
		{"affected, rejected", nil, nil, takedown.PartyAffected, true, takedown.StateRejected, nil},
		{"affected, reversed", &takedown.Grant{Act: alice}, reverse, takedown.PartyAffected, true, takedown.StateReversed, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			id := o.submit(t, notice(published...)).ID
			if tc.grant != nil {
				ok(t, o.Accept(ctx, id, *tc.grant))
			} else {
				ok(t, o.Reject(ctx, id, alice))
			}
			if tc.then != nil {
				ok(t, tc.then(o, id))
			}
			o.later(24 * time.Hour)
			complaint := o.submit(t, takedown.Complaint{Requester: person, Case: id, Party: tc.party, Grounds: "Look again."})
			err := o.Accept(ctx, complaint.ID, takedown.Grant{Act: bob})
			var move *takedown.MoveError
			var ge *takedown.GrantError
			if refused := errors.As(err, &move) || errors.As(err, &ge); refused != tc.refused || err != nil && !refused {
				t.Errorf("Accept: %v", err)
			}
			got := o.wantState(t, id, tc.state)
			o.wantBlocked(t, tc.blocked...)
			again := tc.party == takedown.PartyNotifier && !tc.refused
			if again != got.Times[takedown.MilestoneDecided].IsZero() || again != got.Times[takedown.MilestoneInformed].IsZero() {
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
			decide := o.Change
			if got.State == takedown.StateInReview {
				decide = o.Accept
			}
			ok(t, decide(ctx, id, takedown.Grant{Act: alice}))
			o.wantBlocked(t, published...)
			if got = o.wantState(t, id, takedown.StateInForce); got.Times[takedown.MilestoneInformed] != o.Now() || got.Outcome != takedown.OutcomeAccepted {
				t.Errorf("%q, told at %v", got.Outcome, got.Times[takedown.MilestoneInformed])
			}
		})
	}
}

// An objection reverses; it does not open what was rejected.
func TestObjection_OfARejection(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	id := o.submit(t, notice(published...)).ID
	ok(t, o.Reject(ctx, id, alice))
	reply := o.submit(t, objection(t, id))
	var move *takedown.MoveError
	if err := o.Accept(ctx, reply.ID, takedown.Grant{Act: bob}); !errors.As(err, &move) || move.To != takedown.StateReversed {
		t.Errorf("Accept: %v", err)
	}
	o.wantState(t, id, takedown.StateRejected)
	ok(t, o.Reject(ctx, reply.ID, bob))
}

// What a case did before it was taken up again does not count as done in the
// second round.
func TestComplaint_SecondRound(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	r := samples(t, takedown.CaseID{})[takedown.KindIntimateImage]
	c := o.submit(t, r)
	ok(t, o.Hold(ctx, c.ID, alice))
	ok(t, o.Reject(ctx, c.ID, alice))
	o.later(30 * 24 * time.Hour)
	accept(t, o.Desk, takedown.Complaint{Requester: person, Case: c.ID, Party: takedown.PartyNotifier, Grounds: "Look again."}, takedown.Grant{Act: bob})
	list, err := o.DueOf(ctx, c.ID)
	if ok(t, err); len(list) != 1 || list[0].Deadline.Name != "remove" {
		t.Errorf("due %+v", list)
	}
	ok(t, o.Accept(ctx, c.ID, takedown.Grant{Act: alice}))
	c = o.wantState(t, c.ID, takedown.StateInForce)
	if s := takedown.Statement17(&c); s.From != o.Now() {
		t.Errorf("the restriction is from %v, not %v", s.From, o.Now())
	}
}

// A complaint is late once the window is over, also about a case that is closed.
func TestComplaint_LateAboutAClosedCase(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	id := o.submit(t, notice(published...)).ID
	ok(t, o.Reject(ctx, id, alice))
	o.set(day0.AddDate(0, 6, 0))
	ok(t, o.CloseCase(ctx, id, alice))
	r := takedown.Complaint{Requester: person, Case: id, Party: takedown.PartyNotifier, Grounds: "Look again."}
	if c := o.submit(t, r); len(c.Flags) != 0 {
		t.Errorf("on the last day: %v", c.Flags)
	}
	o.later(time.Second)
	if c := o.submit(t, r); !cmp.Equal(c.Flags, []takedown.Flag{takedown.FlagLate}) {
		t.Errorf("after it: %v", c.Flags)
	}
}

// What a reply names is what the service made of it when it came in: a mapper
// that has forgotten, or cannot answer, widens nothing.
func TestReply_MapperForgets(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"result:17", "https://img.search.example/thumb/17"} {
		known := true
		o := newOffice(t, func(opts *takedown.DeskOptions) {
			opts.AddressMapper = func(s string) ([]string, bool) {
				if s == text && known {
					return published[:1], true
				}
				return nil, false
			}
		})
		id := accept(t, o.Desk, dmca(t, published...), takedown.Grant{Act: alice})
		x := o.submit(t, objection(t, id, text))
		known = false
		ok(t, o.Accept(ctx, x.ID, takedown.Grant{Act: bob}))
		o.wantBlocked(t, published[1:]...)

		known = true
		id = accept(t, o.Desk, dmca(t, published[0], published[1]), takedown.Grant{Act: alice})
		x = o.submit(t, counter(t, id, text))
		ok(t, o.AskInfo(ctx, x.ID, alice, "signature"))
		x, err := o.Complete(ctx, x.ID, counter(t, id, text))
		ok(t, err)
		ok(t, o.Accept(ctx, x.ID, takedown.Grant{Act: bob}))
		known = false
		o.set(at("2026-02-14 00:00"))
		ok(t, o.Restore(ctx, x.ID, alice))
		o.wantBlocked(t, published[1:]...)
		o.wantState(t, id, takedown.StateInForce)
	}
}

// When the last item in force is taken back while a complaint about the others is
// open, the case goes to its review with them; it does not end.
func TestReply_LastItemWhileOthersAreReopened(t *testing.T) {
	t.Parallel()
	for _, erased := range []bool{false, true} {
		for _, withdrawn := range []bool{true, false} {
			o := newOffice(t)
			rejected := takedown.ItemDecision{Outcome: takedown.OutcomeRejected}
			n := notice(published...)
			id := accept(t, o.Desk, n, takedown.Grant{Act: alice, Items: map[int]takedown.ItemDecision{1: rejected, 2: rejected}})
			accept(t, o.Desk, takedown.Complaint{Requester: n.Requester, Case: id, Party: takedown.PartyNotifier, Grounds: "Look again."}, takedown.Grant{Act: bob})
			var reply takedown.Request = objection(t, id, published[0])
			if withdrawn {
				reply = takedown.WithdrawalRequest{Requester: n.Requester, Case: id, Items: []int{0}}
			}
			x := o.submit(t, reply)
			if erased {
				// What it is about would be gone with its last rule.
				ok(t, o.Erase(ctx, id, alice))
				var ge *takedown.GrantError
				if err := o.Accept(ctx, x.ID, takedown.Grant{Act: bob}); !errors.As(err, &ge) {
					t.Errorf("of an erased case: %v", err)
				}
				o.wantBlocked(t, published[0])
				ok(t, o.Change(ctx, id, takedown.Grant{Act: alice, Items: map[int]takedown.ItemDecision{1: rejected, 2: rejected}}))
				ok(t, o.Accept(ctx, x.ID, takedown.Grant{Act: bob}))
				o.wantBlocked(t)
				continue
			}
			o.letters(id)
			ok(t, o.Accept(ctx, x.ID, takedown.Grant{Act: bob}))
			got := o.wantState(t, id, takedown.StateInReview)
			o.wantBlocked(t)
			if withdrawn {
				o.wantLetters(t, id)
			} else { // what is still open is not told to be refused
				o.wantLetters(t, id, takedown.MessageReversed)
			}
			if got.Granted != 0 || got.Outcome != "" || got.Items[0].Ended == "" || got.Items[1].Ended != "" || got.Items[1].Outcome != "" {
				t.Errorf("granted %v, %q, items %+v", got.Granted, got.Outcome, got.Items)
			}
			ok(t, o.Accept(ctx, id, takedown.Grant{Act: alice}))
			o.wantState(t, id, takedown.StateInForce)
			o.wantBlocked(t, published[1:]...)
		}
	}
}
