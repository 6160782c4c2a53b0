package texts_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

func TestStatement17(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	c := o.submit(t, optOut(t, 1))
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice, Territories: []string{"DE"}, End: day0.AddDate(0, 1, 0)}))
	m := o.last(desk.MessageStatement)
	if m.Statement == nil || m.To != (desk.Recipient{}) {
		t.Fatalf("message %+v", m)
	}
	want := "Statement of reasons, case " + c.ID.String() + `
(Article 17 of Regulation (EU) 2022/2065)

Your content: the picture or page whose address was sent to you with this statement.

(a) Restriction: the content is not shown in our service any more. It reaches the picture and all its copies at any address, in Germany, from 30 January 2026, until 2 March 2026.
(b) Facts: a person shown in the picture, or somebody who may act for them, asked us not to show it, and a reviewer looked at it.
(c) Automated means: content may have been found by software; a person decided about the reference picture, and software applies that to copies.
(e) Terms: we do not show pictures of people who object. A person shown in this picture has objected.
(f) Redress: you can complain to us, free of charge and electronically, for 6 months from this message. You can turn to a certified out-of-court dispute settlement body. You can go to court. For a complaint, name the case number.
`
	if got := statementText(t, *m.Statement); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	// Of a picture, each publisher gets a statement about where it was found.
	c = o.submit(t, optOut(t, 2))
	ok(t, o.AddEvidence(ctx, c.ID, []desk.Evidence{{Candidate: takedown.Candidate{ImageURLs: []string{"https://one.example/1.jpg", "https://two.example/2.jpg"}}}}))
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
	found := o.last(desk.MessageStatement).Statement
	if text := statementText(t, *found); strings.Contains(text, ".example/") || len(found.Hosts()) != 2 {
		t.Errorf("hosts %v, and all of them are named:\n%s", found.Hosts(), text)
	}
	if text := statementText(t, found.For("two.example")); !strings.Contains(text, "Your content:\n\n- https://two.example/2.jpg\n") || strings.Contains(text, "one.example") {
		t.Errorf("for one publisher:\n%s", text)
	}
	// With the words of the reviewer, and the content that it is about.
	n := notice("https://example.org/a.jpg", "https://other.example/b.jpg")
	n.Ground = request.GroundPrivacy
	c = o.submit(t, n)
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice, Finding: desk.Finding{
		Facts: "The picture shows a hospital bed.", Law: "section 22 of the Act on Art", Explanation: "Nobody consented to its publication.",
	}}))
	s := o.last(desk.MessageStatement).Statement
	if got := s.Hosts(); len(got) != 2 || len(s.Lacks()) != 0 {
		t.Errorf("hosts %v, lacks %v", got, s.Lacks())
	}
	text := statementText(t, s.For("example.org"))
	for _, part := range []string{
		"- https://example.org/a.jpg\n", "The picture shows a hospital bed.", "a notice about this content under Article 16",
		"(d) Law: violation of privacy and data protection (section 22 of the Act on Art). Nobody consented to its publication.", "for 6 months from this message",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("lacks %q:\n%s", part, text)
		}
	}
	if strings.Contains(text, "other.example") || strings.Contains(text, person.Email) {
		t.Errorf("has something of others:\n%s", text)
	}
}

// What is said of a face never rests on a copyright.
func TestStatement17_FaceOfAnOwner(t *testing.T) {
	t.Parallel()
	s := desk.NewStatementOfReasons(&desk.Case{Kind: request.KindOpenOptOut, Claim: request.ClaimOwner, Granted: takedown.ScopeFace})
	row, err := s.TransparencyRow("", day0)
	if s.Ground != request.GroundPrivacy || strings.Contains(statementText(t, s), "copyright") || row.Category != "STATEMENT_CATEGORY_DATA_PROTECTION_AND_PRIVACY_VIOLATIONS" {
		t.Errorf("%s\n%s, %v", statementText(t, s), row.Category, err)
	}
}

// The Thai statement of reasons has Thai words for every ground, origin and
// scope, and all points of Article 17(3).
func TestTexts_ThaiStatement(t *testing.T) {
	t.Parallel()
	x := newTexts(t, nil)
	seen := map[string]bool{}
	write := func(s desk.StatementOfReasons) {
		t.Helper()
		_, body, err := x.Message(desk.Message{Type: desk.MessageStatement, To: desk.Recipient{Language: "th"}, Statement: &s})
		ok(t, err)
		if seen[body] {
			t.Errorf("the same as another one:\n%s", body)
		}
		seen[body] = true
		for _, want := range []string{"(ก)", "(ข)", "(ค)", "(ง)", "(ฉ)"} {
			if !strings.Contains(body, want) {
				t.Errorf("lacks %q:\n%s", want, body)
			}
		}
		// What is left of Latin letters are codes.
		rest := strings.NewReplacer(s.Kind.String(), "", s.Case.String(), "", "UTC", "", "(EU)", "", "DE", "", "FR", "").Replace(body)
		if strings.ContainsFunc(rest, func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }) {
			t.Errorf("has words that are not Thai:\n%s", body)
		}
	}
	base := desk.StatementOfReasons{
		Case: takedown.CaseID{1}, Scope: takedown.ScopeURL, Effect: blocklist.EffectBlock, Kind: request.KindDSANotice, Origin: desk.OriginArticle16, From: day0,
	}
	onTerms := base
	onTerms.OnTerms = true
	if _, body, err := x.Message(desk.Message{Type: desk.MessageStatement, To: desk.Recipient{Language: "th"}, Statement: &onTerms}); err != nil || !strings.Contains(body, "(จ)") {
		t.Errorf("on terms: %v\n%s", err, body)
	}
	for _, g := range append([]request.Ground{request.GroundUnspecified}, grounds(t)...) {
		s := base
		s.Ground = g
		write(s)
	}
	for _, o := range []desk.Origin{desk.OriginTrustedFlagger, desk.OriginOther, desk.OriginOwnInitiative} {
		s := base
		s.Origin = o
		write(s)
	}
	for w := takedown.ScopeBytes; w <= takedown.ScopeFace; w++ {
		s := base
		s.Scope, s.AutomatedDetection, s.Territories, s.To = w, true, []string{"DE", "FR"}, day0.Add(time.Hour)
		write(s)
	}
	s := base
	s.Effect, s.AutomatedDecision = blocklist.EffectReview, true
	write(s)
	s = base
	s.Held = takedown.ScopeIdentical
	write(s)
}

// statementText writes a statement in English.
func statementText(tb testing.TB, s desk.StatementOfReasons) string {
	tb.Helper()
	x := newTexts(tb, nil)
	_, body, err := x.Message(desk.Message{Type: desk.MessageStatement, Statement: &s})
	ok(tb, err)
	return body
}

// grounds are all that a notice can name.
func grounds(tb testing.TB) (list []request.Ground) {
	var schema struct {
		Defs map[string]struct {
			Properties map[string]struct{ Enum []request.Ground }
		} `json:"$defs"`
	}
	ok(tb, json.Unmarshal(request.Schema(), &schema))
	for _, g := range schema.Defs["dsa_notice"].Properties["ground"].Enum {
		if g != "" {
			list = append(list, g)
		}
	}
	if len(list) < 10 {
		tb.Fatalf("%d grounds in the schema", len(list))
	}
	return list
}
