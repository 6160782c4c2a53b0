package desk_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// A complaint is decided by another reviewer than the decision that it is about.
func TestComplaint_AnotherReviewer(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	c := o.submit(t, notice("https://example.org/a.jpg"))
	ok(t, o.Reject(ctx, c.ID, refuse(alice)))
	complain := func() desk.Case {
		return o.submit(t, request.Complaint{Requester: person, Case: c.ID, Party: request.PartyNotifier, Grounds: "It is mine."})
	}
	first := complain()
	for what, err := range map[string]error{
		"accepts": o.Accept(ctx, first.ID, desk.Grant{Actor: alice}),
		"rejects": o.Reject(ctx, first.ID, refuse(alice)),
	} {
		if !errors.Is(err, desk.ErrSameReviewer) {
			t.Errorf("who decided before %s: %v", what, err)
		}
	}
	o.wantState(t, first.ID, desk.StateInReview)
	ok(t, o.Reject(ctx, first.ID, refuse(bob)))
	if m := o.last(desk.MessageRejected); !m.OtherReviewer {
		t.Error("the letter does not say that somebody else decided")
	}
	second := complain()
	ok(t, o.Accept(ctx, second.ID, desk.Grant{Actor: bob}))
	o.wantState(t, c.ID, desk.StateInReview)
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: bob}))
	// One who works alone.
	alone := newOffice(t, func(opts *desk.Options) { opts.OneReviewer = true })
	c = alone.submit(t, notice("https://example.org/a.jpg"))
	ok(t, alone.Reject(ctx, c.ID, refuse(alice)))
	x := alone.submit(t, request.Complaint{Requester: person, Case: c.ID, Party: request.PartyNotifier, Grounds: "It is mine."})
	ok(t, alone.Accept(ctx, x.ID, desk.Grant{Actor: alice}))
}

// Each duty is asked for where it is needed, and who looked or took a copy is in the
// log.
func TestDuties(t *testing.T) {
	t.Parallel()
	duties := map[string][]desk.Duty{
		"reader": {desk.DutySee}, "alice": {desk.DutySee, desk.DutyDecide}, "officer": {desk.DutySee, desk.DutyProtect},
	}
	o := newOffice(t, func(opts *desk.Options) {
		opts.May = func(by string, do desk.Duty, c *desk.Case) bool { return slices.Contains(duties[by], do) }
	})
	by := func(name string) desk.Actor { return desk.Actor{By: name, Reason: "well_founded"} }
	c := o.submit(t, notice("https://example.org/a.jpg"))
	for what, call := range map[string]struct {
		duty desk.Duty
		f    func(by desk.Actor) error
	}{
		"Accept":           {desk.DutyDecide, func(a desk.Actor) error { return o.Accept(ctx, c.ID, desk.Grant{Actor: a}) }},
		"Reject":           {desk.DutyDecide, func(a desk.Actor) error { return o.Reject(ctx, c.ID, refuse(a)) }},
		"Hold":             {desk.DutyDecide, func(a desk.Actor) error { return o.Hold(ctx, c.ID, a) }},
		"AskInfo":          {desk.DutyDecide, func(a desk.Actor) error { return o.AskInfo(ctx, c.ID, a, nil, "Which one?") }},
		"Assign":           {desk.DutyDecide, func(a desk.Actor) error { return o.Assign(ctx, c.ID, a, a.By, o.Now().Add(time.Hour)) }},
		"ExtendDeadline":   {desk.DutyDecide, func(a desk.Actor) error { return o.ExtendDeadline(ctx, c.ID, a, "It is complex.") }},
		"Withdraw":         {desk.DutyDecide, func(a desk.Actor) error { return o.Withdraw(ctx, c.ID, a) }},
		"ConfirmAuthority": {desk.DutyDecide, func(a desk.Actor) error { return o.ConfirmAuthority(ctx, c.ID, a) }},
		"AddNote":          {desk.DutySee, func(a desk.Actor) error { return o.AddNote(ctx, c.ID, a, "Seen before.", "", nil) }},
		"LegalHold":        {desk.DutyProtect, func(a desk.Actor) error { return o.LegalHold(ctx, c.ID, true, a) }},
		"Erase":            {desk.DutyProtect, func(a desk.Actor) error { return o.Erase(ctx, c.ID, a) }},
		"Dossier":          {desk.DutyProtect, func(a desk.Actor) error { _, err := o.Dossier(ctx, c.ID, a, true); return err }},
	} {
		for _, name := range []string{"nobody", "reader", "officer"} {
			if !slices.Contains(duties[name], call.duty) {
				if err := call.f(by(name)); !errors.Is(err, desk.ErrNotAllowed) {
					t.Errorf("%s by %s: %v", what, name, err)
				}
			}
		}
	}
	o.wantState(t, c.ID, desk.StateInReview)
	if x, err := o.View(ctx, c.ID, by("nobody")); err != nil || x.Request != nil || x.ID != c.ID {
		t.Errorf("who may not see it gets %v, %v", x.Request, err)
	}
	if x, err := o.View(ctx, c.ID, by("reader")); err != nil || x.Request == nil {
		t.Errorf("who may see it gets nothing, %v", err)
	}
	if _, err := o.Dossier(ctx, c.ID, by("officer"), true); err != nil {
		t.Error(err)
	}
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: by("alice")}))
	list, err := o.LogOf(ctx, c.ID)
	ok(t, err)
	var looked []string
	for _, e := range list {
		if e.Case != c.ID {
			t.Errorf("an entry of case %v", e.Case)
		}
		if e.To == "viewed" || e.To == "exported" {
			looked = append(looked, string(e.To)+" by "+e.By)
		}
	}
	if want := []string{"viewed by nobody", "viewed by reader", "exported by officer"}; !slices.Equal(looked, want) {
		t.Errorf("looked: %q, want %q", looked, want)
	}
}

// The queue of one reviewer, and what nobody has taken.
func TestFind_Assignee(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	mine, hers, free := o.submit(t, notice(published[0])), o.submit(t, notice(published[1])), o.submit(t, notice(published[2]))
	ok(t, o.Assign(ctx, mine.ID, alice, "alice", o.Now().Add(2*time.Hour)))
	ok(t, o.Assign(ctx, hers.ID, bob, "bob", o.Now().Add(time.Hour)))
	want := func(what string, q desk.Query, want ...desk.Case) {
		t.Helper()
		for _, q.Order = range []desk.Order{desk.ByUrgency, desk.NewestFirst} {
			page, err := o.Find(ctx, q)
			ok(t, err)
			var got, ids []string
			for _, c := range page.Cases {
				got = append(got, c.ID.String())
			}
			for _, c := range want {
				ids = append(ids, c.ID.String())
			}
			slices.Sort(got)
			slices.Sort(ids)
			if !slices.Equal(got, ids) {
				t.Errorf("%s: %d cases, want %d", what, len(got), len(ids))
			}
		}
		if n, err := o.Count(ctx, q); err != nil || n != len(want) {
			t.Errorf("%s: %d, %v", what, n, err)
		}
	}
	want("of alice", desk.Query{Assignee: "alice"}, mine)
	want("of somebody else", desk.Query{Assignee: "carol"})
	want("of nobody", desk.Query{Unassigned: true}, free)
	want("what alice can do", desk.Query{Assignee: "alice", Unassigned: true}, mine, free)
	want("all", desk.Query{}, mine, hers, free)
	o.later(90 * time.Minute)
	want("when the time of bob is over", desk.Query{Unassigned: true}, hers, free)
	ok(t, o.Assign(ctx, mine.ID, alice, "", time.Time{}))
	want("taken back", desk.Query{Assignee: "alice"})
}

// The feed has what the log has, waits for what is new, and goes on after a number.
func TestFollow(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	for i := range 5 {
		o.submit(t, notice(published[i%len(published)]))
	}
	ctx2, cancel := context.WithCancel(ctx)
	defer cancel()
	type got struct {
		seq uint64
		err error
	}
	feed := make(chan got, 1000)
	go func() {
		defer close(feed)
		for e, err := range o.Follow(ctx2, 2) {
			feed <- got{e.Seq, err}
		}
	}()
	next := func() got {
		t.Helper()
		select {
		case g := <-feed:
			return g
		case <-time.After(20 * time.Second):
			t.Fatal("nothing comes")
		}
		return got{}
	}
	want := uint64(3)
	for ; want <= 5; want++ {
		if g := next(); g.seq != want || g.err != nil {
			t.Fatalf("entry %d, %v; want %d", g.seq, g.err, want)
		}
	}
	for range 300 { // more than are read at a time
		_, err := o.View(ctx, o.first(t), alice)
		ok(t, err)
	}
	for ; want <= 305; want++ {
		if g := next(); g.seq != want || g.err != nil {
			t.Fatalf("entry %d, %v; want %d", g.seq, g.err, want)
		}
	}
	cancel()
	if g := next(); !errors.Is(g.err, context.Canceled) {
		t.Errorf("at the end: %+v", g)
	}
	for e, err := range o.Follow(ctx, 9999) {
		var bad *takedown.ArgumentError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), "9999") {
			t.Errorf("after an entry that does not exist: %v, %v", e, err)
		}
	}
	closed := make(chan error, 1)
	go func() {
		for _, err := range o.Follow(ctx, 305) {
			closed <- err
		}
	}()
	ok(t, o.Close())
	select {
	case err := <-closed:
		if !errors.Is(err, takedown.ErrClosed) {
			t.Errorf("of a closed desk: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("a closed desk keeps the feed waiting")
	}
}

// A statement of reasons that rests on a law has the law, where the operator wants it.
func TestFullStatements(t *testing.T) {
	t.Parallel()
	o := newOffice(t, func(opts *desk.Options) { opts.FullStatements = true })
	c := o.submit(t, notice(published[0]))
	var ge *desk.GrantError
	for _, f := range []desk.Finding{{}, {Law: "section 22"}, {Explanation: "Nobody agreed."}} {
		if err := o.Accept(ctx, c.ID, desk.Grant{Actor: alice, Finding: f}); !errors.As(err, &ge) {
			t.Errorf("%+v: %v", f, err)
		}
	}
	o.wantState(t, c.ID, desk.StateInReview)
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice, Finding: desk.Finding{Law: "section 22", Explanation: "Nobody agreed."}}))
	ok(t, o.Accept(ctx, o.submit(t, optOut(t, 1)).ID, desk.Grant{Actor: alice})) // on the operator's terms
	ok(t, o.Accept(ctx, o.submit(t, samples(t, takedown.CaseID{})[request.KindAuthorityOrder]).ID, desk.Grant{Actor: alice}))
}

// first returns a case of the desk.
func (o *office) first(tb testing.TB) takedown.CaseID {
	tb.Helper()
	page, err := o.Find(ctx, desk.Query{Limit: 1})
	ok(tb, err)
	return page.Cases[0].ID
}
