package desk_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// Matches of many nodes wait once each, the strongest first, are answered by their
// numbers, and the answers go back.
func TestMatchQueue(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	own := testJPEG(t, 40)
	c := o.submit(t, optOut(t, 40))
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
	match := func(file []byte, address string) takedown.Match {
		known := takedown.Candidate{ImageURLs: []string{address}, Hashes: hashes(t, file)}
		m := takedown.Match{Candidate: known, Decision: o.Enforcer().Check(known)}
		if m.Decision.Why == 0 {
			t.Fatalf("%s matches nothing", address)
		}
		return m
	}
	near, far := match(own, "https://example.org/1.jpg"), match(covered(t, own), "https://example.org/2.jpg")
	far.Decision.Verdict = takedown.Review
	again := near
	again.Candidate.ImageURLs = []string{"https://example.org/3.jpg"}
	ended := far
	ended.Decision.Rule = 99
	added, err := o.AddMatches(ctx, far, near, again, ended)
	if err != nil || added != (desk.AddedMatches{New: 2, Again: 1, Known: 1}) {
		t.Fatalf("%+v, %v", added, err)
	}
	first, err := o.QueuedMatches(ctx, "", 1)
	if err != nil || first.Waiting != 2 || len(first.Matches) != 1 || first.Matches[0].Times != 2 || len(first.Matches[0].Match.Candidate.ImageURLs) != 2 {
		t.Fatalf("%+v, %v", first, err)
	}
	second, err := o.QueuedMatches(ctx, first.Next, 1)
	if err != nil || second.Next != "" || len(second.Matches) != 1 || second.Matches[0].Match.Decision.Verdict != takedown.Review {
		t.Fatalf("%+v, %v", second, err)
	}
	var me *takedown.ArgumentError
	if _, err := o.QueuedMatches(ctx, "zzz", 1); !errors.As(err, &me) {
		t.Errorf("a cursor of nobody: %v", err)
	}
	if _, err := o.ResolveMatch(ctx, second.Matches[0].Number, alice, desk.NotTheSame, nil); err != nil {
		t.Fatal(err)
	}
	wantVerdict(t, "excepted", o.Enforcer().Check(far.Candidate), takedown.Allow)
	if _, err := o.ResolveMatch(ctx, second.Matches[0].Number, alice, desk.NotTheSame, nil); !errors.Is(err, desk.ErrNoMatch) {
		t.Errorf("answered twice: %v", err)
	}
	answers, err := o.MatchAnswers(ctx, 0, 10)
	if err != nil || len(answers) != 1 || answers[0].Resolution != desk.NotTheSame || answers[0].Hash != far.Candidate.Hashes[0] || answers[0].Case != c.ID {
		t.Errorf("%+v, %v", answers, err)
	}
	if answers, err = o.MatchAnswers(ctx, answers[0].Number, 10); err != nil || len(answers) != 0 {
		t.Errorf("after the last: %+v, %v", answers, err)
	}
	if added, err := o.AddMatches(ctx, far); err != nil || added.Known != 1 {
		t.Errorf("one that was answered: %+v, %v", added, err)
	}
	ok(t, o.Reverse(ctx, c.ID, bob))
	if _, err := o.ResolveMatch(ctx, first.Matches[0].Number, alice, desk.SameImage, nil); !errors.Is(err, desk.ErrNoRule) {
		t.Errorf("the rule has ended: %v", err)
	}
	if page, err := o.QueuedMatches(ctx, "", 10); err != nil || len(page.Matches) != 0 || page.Waiting != 0 {
		t.Errorf("left: %+v, %v", page, err)
	}
}

// Reviewers write to each other, attach papers, and do not do the same work twice;
// nothing of it is in a letter, or outlives an erasure.
func TestNotesAndAssignment(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	c := o.submit(t, notice("https://example.org/a.jpg"))
	o.letters(c.ID)
	ok(t, o.AddNote(ctx, c.ID, alice, "I called her. It is her brother.", "", nil))
	ok(t, o.AddNote(ctx, c.ID, bob, "The mandate", "mandate.pdf", []byte("%PDF")))
	if err := o.AddNote(ctx, c.ID, alice, " ", "", nil); err == nil {
		t.Error("an empty note")
	}
	notes, err := o.Notes(ctx, c.ID)
	if err != nil || len(notes) != 2 || notes[0].By != "alice" || notes[1].Size != 4 {
		t.Fatalf("%+v, %v", notes, err)
	}
	if file, err := o.Attachment(ctx, c.ID, 1); err != nil || !bytes.Equal(file, []byte("%PDF")) {
		t.Errorf("%q, %v", file, err)
	}
	if file, err := o.Attachment(ctx, c.ID, 0); err != nil || file != nil {
		t.Errorf("%q, %v", file, err)
	}
	o.wantLetters(t, c.ID)

	ok(t, o.Assign(ctx, c.ID, alice, "alice", o.Now().Add(time.Hour)))
	var assigned *desk.AssignedError
	if err := o.Accept(ctx, c.ID, desk.Grant{Actor: bob}); !errors.As(err, &assigned) || assigned.To != "alice" {
		t.Errorf("decided by another: %v", err)
	}
	if err := o.Assign(ctx, c.ID, bob, "bob", o.Now().Add(time.Hour)); !errors.As(err, &assigned) {
		t.Errorf("taken away: %v", err)
	}
	o.later(2 * time.Hour)
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: bob}))
	ok(t, o.Erase(ctx, c.ID, alice))
	if _, err := o.Notes(ctx, c.ID); !errors.Is(err, desk.ErrErased) {
		t.Errorf("notes of an erased case: %v", err)
	}
}

// A person's history is counted; what was received elsewhere keeps its day; and a
// dossier has it all, without the reviewers for the person.
func TestHistoryImportDossier(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	past := day0.AddDate(0, 0, -20)
	c, err := o.Import(ctx, notice("https://example.org/a.jpg"), past)
	ok(t, err)
	if got := o.letters(c.ID); c.Received != past || len(got) != 0 {
		t.Errorf("received %v, letters %v", c.Received, got)
	}
	if list, err := o.DueOf(ctx, c.ID); err != nil || len(list) == 0 || !list[0].Start.Equal(past) {
		t.Errorf("due %+v, %v", list, err)
	}
	if _, err := o.Import(ctx, notice("https://example.org/b.jpg"), day0.AddDate(1, 0, 0)); err == nil {
		t.Error("received in a year")
	}
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
	ok(t, o.Reject(ctx, o.submit(t, notice("https://example.org/c.jpg")).ID, desk.Refusal{Actor: alice, Outcome: desk.OutcomeUnfounded}))
	o.submit(t, notice("https://example.org/d.jpg"))
	h, err := o.History(ctx, c.ID)
	if err != nil || h.Sent != 3 || h.Accepted != 1 || h.Unfounded != 1 || h.Open != 1 || len(h.Recent) != 3 {
		t.Errorf("%+v, %v", h, err)
	}
	ok(t, o.AddNote(ctx, c.ID, bob, "A secret of ours", "", nil))
	reply := o.submit(t, request.Withdrawal{Requester: person, Case: c.ID})
	for _, internal := range []bool{true, false} {
		x, err := o.Dossier(ctx, c.ID, alice, internal)
		ok(t, err)
		b, err := json.Marshal(x)
		ok(t, err)
		if strings.Contains(string(b), "A secret of ours") != internal || strings.Contains(string(b), `"by":"bob"`) && !internal {
			t.Errorf("internal %v: %s", internal, b)
		}
		if !strings.Contains(string(b), person.Email) || !slices.Equal(x.Replies, []takedown.CaseID{reply.ID}) {
			t.Errorf("internal %v: %s", internal, b)
		}
	}
}

// The numbers of a report are the same before and after an erasure.
func TestTransparencyReport(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	n := notice("https://example.org/a.jpg", "https://example.org/b.jpg")
	n.Ground = request.GroundPrivacy
	c := o.submit(t, n)
	o.letters(c.ID)
	o.later(2 * time.Hour)
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice, Items: map[int]desk.ItemDecision{1: {Outcome: desk.OutcomeRejected, Reason: "not_illegal"}}}))
	order := samples(t, takedown.CaseID{})[request.KindAuthorityOrder].(request.AuthorityOrder)
	order.State, order.Ground = "DE", request.GroundDefamation
	oc := o.submit(t, order)
	ok(t, o.Accept(ctx, oc.ID, desk.Grant{Actor: alice}))
	opt := o.submit(t, optOut(t, 1))
	ok(t, o.Accept(ctx, opt.ID, desk.Grant{Actor: alice}))
	table := func() string {
		r, err := o.TransparencyReport(ctx, day0, day0.AddDate(1, 0, 0))
		ok(t, err)
		var b bytes.Buffer
		ok(t, r.WriteCSV(&b))
		return b.String()
	}
	before := table()
	for _, want := range []string{
		"dsa_notice,SOURCE_ARTICLE_16,STATEMENT_CATEGORY_DATA_PROTECTION_AND_PRIVACY_VIOLATIONS,,1,0,1,0,0,0,2,1,1,0,0,0.00,2.00,2.00\n",
		"authority_order,SOURCE_TYPE_OTHER_NOTIFICATION,STATEMENT_CATEGORY_ILLEGAL_OR_HARMFUL_SPEECH,DE,1,1,0,0,0,0,1,1,1,0,0,",
		"image_opt_out,SOURCE_TYPE_OTHER_NOTIFICATION,STATEMENT_CATEGORY_DATA_PROTECTION_AND_PRIVACY_VIOLATIONS,,1,1,0,0,0,0,1,1,0,1,1,",
	} {
		if !strings.Contains(before, want) {
			t.Errorf("lacks %q:\n%s", want, before)
		}
	}
	for _, id := range []takedown.CaseID{c.ID, oc.ID, opt.ID} {
		ok(t, o.Erase(ctx, id, alice))
	}
	if after := table(); after != before {
		t.Errorf("after the erasure:\n%s\nbefore:\n%s", after, before)
	}
	if r, err := o.TransparencyReport(ctx, day0.AddDate(1, 0, 0), day0.AddDate(2, 0, 0)); err != nil || len(r.Rows) != 0 {
		t.Errorf("of another year: %+v, %v", r, err)
	}
	if _, err := o.TransparencyReport(ctx, day0, day0); err == nil {
		t.Error("of no time")
	}
}
