package desk_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// One of two faces can be taken back before anybody has decided: its template
// goes, the case stays where it is, and what was approved with both is approved
// no more.
func TestWithdrawal_BeforeTheDecision(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		to    func(*desk.Desk, takedown.CaseID) error
		state desk.State
	}{
		{"in review", func(*desk.Desk, takedown.CaseID) error { return nil }, desk.StateInReview},
		{"asked for more", func(d *desk.Desk, id takedown.CaseID) error { return d.AskInfo(ctx, id, alice, []string{"reason"}) }, desk.StateNeedsInfo},
		{"approved by one", func(d *desk.Desk, id takedown.CaseID) error {
			wantSecond(t, "alice", d.Accept(ctx, id, desk.Grant{Actor: alice}))
			return nil
		}, desk.StateInReview},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir, mine, other := t.TempDir(), portrait(t, 51, 0), portrait(t, 52, 0)
			d := faceDesk(t, dir, func(o *desk.Options) { o.OneReviewer = false })
			c, err := d.Submit(ctx, faceOptOut(mine, other))
			ok(t, err)
			ok(t, tc.to(d, c.ID))
			accept(t, d, request.Withdrawal{Requester: person, Case: c.ID, Items: []int{1}}, desk.Grant{})
			c, err = d.Case(ctx, c.ID)
			ok(t, err)
			gone := c.Items[1]
			if c.State != tc.state || c.Outcome != "" || c.Items[0].Template == nil || c.Items[0].Outcome != "" ||
				gone.Template != nil || gone.Ended != desk.StateWithdrawn || gone.Outcome != desk.OutcomeOutOfScope || gone.Reason != "withdrawn" {
				t.Errorf("the case is %s, %q, with items %+v", c.State, c.Outcome, c.Items)
			}
			old := traces(t, other, components(52, 0), nil)
			wantNowhere(t, dir, tc.name, old...)
			if n, err := desk.OpenEverything(dir, dir, func(plain []byte) bool { return bytes.Contains(plain, old[2]) }); n != 0 || err != nil {
				t.Errorf("its template can still be opened: %d, %v", n, err)
			}

			var ge *desk.GrantError
			if err := d.Accept(ctx, c.ID, desk.Grant{Actor: bob, Items: map[int]desk.ItemDecision{1: {Outcome: desk.OutcomeAccepted}}}); !errors.As(err, &ge) {
				t.Errorf("what was withdrawn is granted: %v", err)
			}
			wantSecond(t, "bob, to the letter what alice granted with both", d.Accept(ctx, c.ID, desk.Grant{Actor: bob}))
			ok(t, d.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
			wantVerdict(t, "the face that is left", d.Enforcer().Check(withFaces(mine)), takedown.Block)
			wantVerdict(t, "the face taken back", d.Enforcer().Check(withFaces(other)), takedown.Allow)
			if c, err = d.Case(ctx, c.ID); err != nil || c.Outcome != desk.OutcomePartly {
				t.Errorf("it is %q, %v", c.Outcome, err)
			}
			if _, _, err := d.VerifyLog(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

// Who takes back one item after the other before the decision takes back the
// request.
func TestWithdrawal_ItemByItem(t *testing.T) {
	t.Parallel()
	d := faceDesk(t, t.TempDir())
	c, err := d.Submit(ctx, faceOptOut(portrait(t, 1, 0), portrait(t, 2, 0)))
	ok(t, err)
	for i, want := range []desk.State{desk.StateInReview, desk.StateWithdrawn} {
		accept(t, d, request.Withdrawal{Requester: person, Case: c.ID, Items: []int{i}}, desk.Grant{})
		got, err := d.Case(ctx, c.ID)
		ok(t, err)
		if got.State != want {
			t.Errorf("after %d of 2 it is %s, want %s", i+1, got.State, want)
		}
	}
}

// A hold goes on for what is left.
func TestWithdrawal_OnHold(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), nil)
	r := samples(t, takedown.CaseID{})[request.KindIntimateImage].(request.IntimateImage)
	r.ImageURLs, r.Hashes, r.Images = []string{"https://example.org/1.jpg", "https://example.org/2.jpg"}, nil, images(testJPEG(t, 6))
	c, err := d.Submit(ctx, r)
	ok(t, err)
	ok(t, d.Hold(ctx, c.ID, alice))
	blocked := func() (list []takedown.Verdict) {
		e := d.Enforcer()
		return []takedown.Verdict{e.FilterURL(r.ImageURLs[0]).Verdict, e.FilterURL(r.ImageURLs[1]).Verdict, e.Filter("", hashes(t, content(t, r.Images[0]))...).Verdict}
	}
	for _, tc := range []struct {
		items []int
		state desk.State
		want  []takedown.Verdict
	}{
		{nil, desk.StateInReview, []takedown.Verdict{takedown.Block, takedown.Block, takedown.Block}},
		{[]int{0}, desk.StateInReview, []takedown.Verdict{takedown.Allow, takedown.Block, takedown.Block}},
		{[]int{2}, desk.StateInReview, []takedown.Verdict{takedown.Allow, takedown.Block, takedown.Allow}},
		{[]int{1}, desk.StateWithdrawn, []takedown.Verdict{takedown.Allow, takedown.Allow, takedown.Allow}},
	} {
		if tc.items != nil {
			accept(t, d, request.Withdrawal{Requester: r.Requester, Case: c.ID, Items: tc.items}, desk.Grant{})
		}
		if diff := cmp.Diff(tc.want, blocked()); diff != "" {
			t.Errorf("without %v (-want +got):\n%s", tc.items, diff)
		}
		got, err := d.Case(ctx, c.ID)
		ok(t, err)
		if got.State != tc.state {
			t.Errorf("without %v it is %s", tc.items, got.State)
		}
	}
}

// What was taken back does not come back with new terms, only with a completed
// request.
func TestWithdrawal_StaysTaken(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), nil)
	first, second := "https://example.org/1.jpg", "https://example.org/2.jpg"
	withdrawn := request.Withdrawal{Requester: notice(first).Requester, Items: []int{0}}
	withdrawn.Case = accept(t, d, notice(first, second), desk.Grant{})
	accept(t, d, withdrawn, desk.Grant{})
	ok(t, d.Amend(ctx, withdrawn.Case, desk.Grant{Territories: []string{"DE"}}))
	e := d.Enforcer().In("DE")
	wantVerdict(t, "withdrawn, then changed", e.FilterURL(first), takedown.Allow)
	wantVerdict(t, "the other", e.FilterURL(second), takedown.Block)

	c, err := d.Submit(ctx, notice(first, second))
	ok(t, err)
	withdrawn.Case = c.ID
	accept(t, d, withdrawn, desk.Grant{})
	late, err := d.Submit(ctx, request.Withdrawal{Requester: withdrawn.Requester, Case: c.ID, Items: []int{1}})
	ok(t, err)
	ok(t, d.AskInfo(ctx, c.ID, alice, []string{"image_urls"}))
	_, err = d.Complete(ctx, c.ID, notice(first))
	ok(t, err)
	var ge *desk.GrantError
	if err := d.Accept(ctx, late.ID, desk.Grant{}); !errors.As(err, &ge) {
		t.Errorf("an item that is there no more: %v", err)
	}
	ok(t, d.Accept(ctx, c.ID, desk.Grant{}))
	wantVerdict(t, "asked for again", e.FilterURL(first), takedown.Block)
}

// The numbers of a withdrawal are those of the request that its sender knew: when
// that was completed since, they could be of other items.
func TestWithdrawal_ItemsChangedSince(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	n := notice(published[0], published[1])
	c := o.submit(t, n)
	ok(t, o.AskInfo(ctx, c.ID, alice, []string{"explanation"}))
	one := request.Withdrawal{Requester: n.Requester, Case: c.ID, Items: []int{0}}
	w := o.submit(t, one)
	for range 2 { // the time of the first completion only is in Times
		_, err := o.Complete(ctx, c.ID, notice(published[1], published[0], published[2]))
		ok(t, err)
		var ge *desk.GrantError
		if err := o.Accept(ctx, w.ID, desk.Grant{Actor: alice}); !errors.As(err, &ge) {
			t.Errorf("items of the request before: %v", err)
		}
		ok(t, o.AskInfo(ctx, w.ID, alice, []string{"items"}))
		_, err = o.Complete(ctx, w.ID, one)
		ok(t, err)
		ok(t, o.AskInfo(ctx, c.ID, alice, []string{"explanation"}))
	}
	ok(t, o.Accept(ctx, w.ID, desk.Grant{Actor: alice})) // with the items of now
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
	o.wantBlocked(t, published[0], published[2])
	// All of it can be withdrawn whatever it has become.
	c = o.submit(t, n)
	ok(t, o.AskInfo(ctx, c.ID, alice, []string{"explanation"}))
	w = o.submit(t, request.Withdrawal{Requester: n.Requester, Case: c.ID})
	_, err := o.Complete(ctx, c.ID, n)
	ok(t, err)
	ok(t, o.Accept(ctx, w.ID, desk.Grant{Actor: alice}))
	o.wantState(t, c.ID, desk.StateWithdrawn)
}
