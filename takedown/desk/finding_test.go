package desk_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// A refusal has a reason, and its letter gives it.
func TestReject_Reason(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	reject := func(r desk.Refusal) error {
		r.By = "alice"
		return o.Reject(ctx, o.submit(t, notice("https://example.org/a.jpg")).ID, r)
	}
	var ge *desk.GrantError
	for _, r := range []desk.Refusal{
		{}, {Actor: desk.Actor{Reason: "no_evidence"}}, {Finding: desk.Finding{Explanation: "It is satire."}}, {Outcome: desk.OutcomeDuplicateOf},
	} {
		if err := reject(r); !errors.As(err, &ge) {
			t.Errorf("%+v: %v", r, err)
		}
	}
	for _, code := range desk.Reasons() {
		if ok(t, reject(desk.Refusal{Actor: desk.Actor{Reason: code}})); o.last(desk.MessageRejected).Reason != code {
			t.Errorf("the letter of %s gives %q", code, o.last(desk.MessageRejected).Reason)
		}
	}
	ok(t, reject(desk.Refusal{Outcome: desk.OutcomeUnfounded}))
	if m := o.last(desk.MessageRejected); m.Reason != "abusive" {
		t.Errorf("the letter of an unfounded request gives %q", m.Reason)
	}
	ok(t, reject(desk.Refusal{Actor: desk.Actor{Reason: "no_evidence"}, Finding: desk.Finding{Explanation: "The page shows somebody else."}}))
	// One that refuses an item has one too.
	c := o.submit(t, notice("https://example.org/a.jpg", "https://example.org/b.jpg"))
	g := desk.Grant{Actor: alice, Items: map[int]desk.ItemDecision{1: {Outcome: desk.OutcomeRejected}}}
	if err := o.Accept(ctx, c.ID, g); !errors.As(err, &ge) {
		t.Errorf("an item without a reason: %v", err)
	}
	g.Reason = "not_illegal"
	ok(t, o.Accept(ctx, c.ID, g))
	if c, err := o.Case(ctx, c.ID); err != nil || c.Items[1].Reason != "not_illegal" {
		t.Errorf("%+v, %v", c.Items, err)
	}
}

// After a rejection as spam, nothing is sent to the address: no letter about the
// rejection, and none that was waiting.
func TestReject_Spam(t *testing.T) {
	t.Parallel()
	for _, onHold := range []bool{false, true} {
		o := newOffice(t)
		o.failing(errors.New("no connection"), "")
		spam, other := o.submit(t, notice("https://example.org/a.jpg")), o.submit(t, notice("https://example.org/b.jpg"))
		if onHold {
			ok(t, o.Hold(ctx, spam.ID, alice))
		}
		ok(t, o.Reject(ctx, spam.ID, desk.Refusal{Actor: desk.Actor{By: "alice", Reason: "spam"}}))
		o.failing(nil, "")
		ok(t, o.Retry())
		o.wantLetters(t, spam.ID)
		o.wantLetters(t, other.ID, desk.MessageReceipt)
		ok(t, o.VerifyIndex())
	}
}

// The case that covers a request is named to reviewers, and it has to be one that can.
func TestReject_Duplicate(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	first := o.submit(t, notice("https://example.org/a.jpg"))
	again := o.submit(t, notice("https://example.org/a.jpg"))
	r := desk.Refusal{Actor: desk.Actor{By: "alice"}, Outcome: desk.OutcomeDuplicateOf, Same: again.ID}
	if err := o.Reject(ctx, again.ID, r); err == nil {
		t.Error("it covers itself")
	}
	r.Same = takedown.CaseID{1}
	if err := o.Reject(ctx, again.ID, r); !errors.Is(err, desk.ErrNoCase) {
		t.Errorf("no case: %v", err)
	}
	r.Same = first.ID
	ok(t, o.Reject(ctx, again.ID, r))
	if c, err := o.Case(ctx, again.ID); err != nil || c.Same != first.ID || c.Outcome != desk.OutcomeDuplicateOf {
		t.Errorf("%v, %v, %v", c.Same, c.Outcome, err)
	}
}

// A decision is about what its reviewer saw.
func TestDecide_Stale(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	c := o.submit(t, notice("https://example.org/a.jpg"))
	seen := c.Version
	ok(t, o.AskInfo(ctx, c.ID, alice, []string{"image_urls"}))
	_, err := o.Complete(ctx, c.ID, notice("https://example.org/other.jpg"))
	ok(t, err)
	var changed *desk.ChangedError
	if err := o.Accept(ctx, c.ID, desk.Grant{Actor: alice, Seen: seen}); !errors.As(err, &changed) || changed.Seen != seen || changed.Now == seen {
		t.Errorf("accepted: %v", err)
	}
	refusal := refuse(alice)
	refusal.Seen = seen
	if err := o.Reject(ctx, c.ID, refusal); !errors.As(err, &changed) {
		t.Errorf("rejected: %v", err)
	}
	if o.Enforcer().FilterURL("https://example.org/other.jpg").Verdict != takedown.Allow {
		t.Error("what nobody saw is blocked")
	}
	c, err = o.Case(ctx, c.ID)
	ok(t, err)
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice, Seen: c.Version}))
	if err := o.Amend(ctx, c.ID, desk.Grant{Actor: alice, Seen: seen}); !errors.As(err, &changed) {
		t.Errorf("amended: %v", err)
	}
}

// The words of a decision are sealed, are in the case, and go with an erasure.
func TestFinding(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	c := o.submit(t, notice("https://example.org/a.jpg"))
	f := desk.Finding{Facts: "The picture shows a hospital bed.", Law: "§ 22 KunstUrhG", Explanation: "Nobody consented to its publication."}
	if err := o.Accept(ctx, c.ID, desk.Grant{Actor: alice, Finding: desk.Finding{Law: "\x00"}}); err == nil {
		t.Error("control characters are taken")
	}
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice, Finding: f}))
	if got, err := o.Case(ctx, c.ID); err != nil || got.Finding != f {
		t.Errorf("%+v, %v", got.Finding, err)
	}
	for c, err := range o.Cases(ctx) {
		if err != nil || c.Finding != (desk.Finding{}) {
			t.Errorf("a list of cases has words: %+v, %v", c.Finding, err)
		}
	}
	ok(t, o.Erase(ctx, c.ID, alice))
	if got, err := o.Case(ctx, c.ID); err != nil || got.Finding != (desk.Finding{}) || o.Record(c.ID).Sealed != nil {
		t.Errorf("erased: %+v, %v", got.Finding, err)
	}
}

// An address that was given as that of a picture, and may be that of a page, is
// blocked as both, unless the reviewer or the operator's index knows.
func TestAddress_MaybePage(t *testing.T) {
	t.Parallel()
	found := map[string]request.Found{"https://index.example/page": request.FoundPage, "https://index.example/picture": request.FoundPicture}
	o := newOffice(t, func(opts *desk.Options) {
		opts.Lookup = func(address string) request.Found { return found[address] }
	})
	for _, tc := range []struct {
		address     string
		as          request.ItemKind
		image, page takedown.Verdict
		flagged     bool
	}{
		{"https://example.org/photo.jpg", "", takedown.Block, takedown.Allow, false},
		{"https://example.org/article/about-me", "", takedown.Block, takedown.Block, true},
		{"https://example.org/article/about-her", request.ItemImageURL, takedown.Block, takedown.Allow, true},
		{"https://example.org/article/about-us", request.ItemPageURL, takedown.Allow, takedown.Block, true},
		{"https://example.org/story.html", "", takedown.Allow, takedown.Block, false},
		{"https://example.org/image.php?id=7", "", takedown.Block, takedown.Block, true},
		{"https://index.example/page", "", takedown.Allow, takedown.Block, false},
		{"https://index.example/picture", "", takedown.Block, takedown.Allow, false},
	} {
		c := o.submit(t, notice(tc.address))
		if got := slices.Contains(c.Flags, request.FlagMaybePage); got != tc.flagged {
			t.Errorf("%s: flagged: %v", tc.address, got)
		}
		g := desk.Grant{Actor: alice}
		if tc.as != "" {
			g.Items = map[int]desk.ItemDecision{0: {Address: tc.as}}
		}
		ok(t, o.Accept(ctx, c.ID, g))
		if image, page := o.Enforcer().FilterURL(tc.address).Verdict, o.Enforcer().FilterPage(tc.address).Verdict; image != tc.image || page != tc.page {
			t.Errorf("%s: picture %v, page %v", tc.address, image, page)
		}
	}
	c := o.submit(t, notice("https://example.org/sure.jpg"))
	var ge *desk.GrantError
	if err := o.Accept(ctx, c.ID, desk.Grant{Actor: alice, Items: map[int]desk.ItemDecision{0: {Address: request.ItemPageURL}}}); !errors.As(err, &ge) {
		t.Errorf("a picture decided to be a page: %v", err)
	}
}
