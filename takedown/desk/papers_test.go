package desk_test

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/language"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/sharedtest"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
	"github.com/staydown/staydown/takedown/texts"
)

// The row of every kind of request, ground and scope is what the Transparency
// Database takes, by its schema and by its dates.
func TestTransparencyRow(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(sharedtest.Path(t, "dsa-tdb", "derived", "statement.schema.json"))
	ok(t, err)
	schema := compileSchema(t, b)
	o := newOffice(t)
	var requests []request.Request
	for kind, r := range samples(t, takedown.CaseID{}) {
		switch kind {
		case request.KindCounterNotice, request.KindObjection, request.KindComplaint, request.KindWithdrawal:
		default:
			requests = append(requests, r)
		}
	}
	for _, g := range []request.Ground{
		"", request.GroundCopyright, request.GroundTrademark, request.GroundPrivacy, request.GroundIntimateImage, request.GroundImpersonation,
		request.GroundDefamation, request.GroundHate, request.GroundFraud, request.GroundMinors, request.GroundChildSexualAbuse, request.GroundOther,
	} {
		n := notice("https://example.org/" + string(g))
		n.Ground, n.Requester.Role, n.Requester.FlaggerID, n.Law = g, request.RoleTrustedFlagger, "DE-17", strings.Repeat("ภ", 500)
		requests = append(requests, n)
	}
	for _, r := range requests {
		c := o.submit(t, r)
		g := desk.Grant{End: day0.AddDate(1, 0, 0)}
		if r.Kind() == request.KindDSANotice {
			g.Territories = []string{"EU27", "NO", "US"}
		}
		acceptByTwo(t, o.Desk, c.ID, g)
		c, err := o.Case(ctx, c.ID)
		ok(t, err)
		s := desk.NewStatementOfReasons(&c)
		row, err := s.TransparencyRow("", day0.AddDate(-1, 0, 0))
		if r.Kind() == request.KindAuthorityOrder { // Article 17(5)
			if !errors.Is(err, desk.ErrNoRow) {
				t.Errorf("an order: %v", err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%v: %v", r.Kind(), err)
			continue
		}
		b, err := json.Marshal(row)
		ok(t, err)
		switch r.Kind() { // of these no law of the Union is the ground
		case request.KindDSANotice, request.KindGDPRRequest:
			if row.DecisionGround != "DECISION_GROUND_ILLEGAL_CONTENT" || row.IllegalContentLegalGround == "" {
				t.Errorf("%v: %s", r.Kind(), b)
			}
		default:
			if row.DecisionGround != "DECISION_GROUND_INCOMPATIBLE_CONTENT" || strings.Contains(string(b), "U.S.C.") {
				t.Errorf("%v: %s", r.Kind(), b)
			}
		}
		// What the requester wrote of the law may tell who that is.
		if strings.Contains(s.Law+string(b), "ภภภ") {
			t.Errorf("%v: the statement repeats the requester's words", r.Kind())
		}
		if err := checkSchema(t, schema, b); err != nil {
			t.Errorf("%v: %v\n%s", r.Kind(), err, b)
		}
		if n := len(row.TerritorialScope); r.Kind() == request.KindDSANotice && n != 28 {
			t.Errorf("%d territories, want the 27 and Norway", n)
		}
		if strings.Contains(string(b), "equester") && strings.Contains(string(b), "example.org") {
			t.Errorf("the row has something personal: %s", b)
		}
	}
	// Dates that the database refuses are refused here.
	c := o.submit(t, notice("https://example.org/z.jpg"))
	ok(t, o.Accept(ctx, c.ID, desk.Grant{}))
	c, err = o.Case(ctx, c.ID)
	ok(t, err)
	s := desk.NewStatementOfReasons(&c)
	if _, err := s.TransparencyRow("", time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC)); err == nil || !strings.Contains(err.Error(), "content_date") {
		t.Errorf("content of 1999: %v", err)
	}
	if _, err := s.TransparencyRow("not a puid", day0); err == nil || !strings.Contains(err.Error(), "puid") {
		t.Errorf("a puid with blanks: %v", err)
	}
	s.Territories = []string{"US"}
	if _, err := s.TransparencyRow("", day0); err == nil {
		t.Error("a restriction outside the EEA has a row")
	}
}

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

// statementText writes a statement in English.
func statementText(tb testing.TB, s desk.StatementOfReasons) string {
	tb.Helper()
	x, err := texts.New(nil)
	ok(tb, err)
	_, body, err := x.Message(desk.Message{Type: desk.MessageStatement, Statement: &s})
	ok(tb, err)
	return body
}

// Each restriction of a case has a PUID of its own, which stays the same.
func TestTransparencyRow_PUID(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	c := o.submit(t, notice("https://example.org/a.jpg"))
	puid := func() string {
		t.Helper()
		c, err := o.Case(ctx, c.ID)
		ok(t, err)
		row, err := desk.NewStatementOfReasons(&c).TransparencyRow("", day0)
		ok(t, err)
		return row.PUID
	}
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
	first := puid()
	ok(t, o.Amend(ctx, c.ID, desk.Grant{Actor: alice, Territories: []string{"DE"}}))
	second := puid()
	ok(t, o.Reverse(ctx, c.ID, alice))
	if third := puid(); first == second || second != third || first != c.ID.String()+"-1" {
		t.Errorf("%s, then %s, then %s", first, second, third)
	}
}

// Whoever says that they are a trusted flagger is one in a statement of reasons
// only when a person has found them in the list; a completed notice may have
// another sender.
func TestConfirmFlagger(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	n := notice("https://example.org/a.jpg")
	n.Requester.Role = request.RoleTrustedFlagger
	err := request.Validate(n, nil)
	if got := problems(err); len(got) != 1 || !strings.HasPrefix(got[0], "requester.flagger_id: required") {
		t.Errorf("without its entry: %v", got)
	}
	n.Requester.FlaggerID = "DE-17"
	source := func(c desk.Case) desk.Origin {
		t.Helper()
		c, err := o.Case(ctx, c.ID)
		ok(t, err)
		return desk.NewStatementOfReasons(&c).Origin
	}
	c := o.submit(t, n)
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
	if s := o.last(desk.MessageStatement).Statement; s.Origin != desk.OriginArticle16 {
		t.Errorf("not checked: %v", s.Origin)
	}
	checked := o.submit(t, n)
	if err := o.ConfirmFlagger(ctx, checked.ID, desk.Actor{}); err == nil {
		t.Error("confirmed by nobody")
	}
	ok(t, o.ConfirmFlagger(ctx, checked.ID, alice))
	if got := source(checked); got != desk.OriginTrustedFlagger {
		t.Errorf("checked: %v", got)
	}
	ok(t, o.AskInfo(ctx, checked.ID, alice, []string{"explanation"}))
	n.Requester.FlaggerID = "DE-18"
	_, err = o.Complete(ctx, checked.ID, n)
	ok(t, err)
	if got := source(checked); got != desk.OriginArticle16 {
		t.Errorf("completed by another: %v", got)
	}
	var me *desk.MoveError
	if err := o.ConfirmFlagger(ctx, o.submit(t, notice("https://example.org/b.jpg")).ID, alice); !errors.As(err, &me) {
		t.Errorf("of somebody else: %v", err)
	}
}

// What only holds for a person is not told as removed, also where something else
// of the case blocks.
func TestTexts_Held(t *testing.T) {
	t.Parallel()
	texts, err := texts.New(nil)
	ok(t, err)
	o := newOffice(t)
	all := samples(t, takedown.CaseID{})
	for _, tc := range []struct {
		r             request.Request
		says, saysNot []string
		statement     string
	}{
		{all[request.KindHashEntry], []string{"We hold pictures that match your fingerprints back"}, []string{"We block", "not shown"},
			"the content is held back until a person has looked at it. It reaches the picture and all its copies at any address, worldwide, from 30 January 2026, without end.\n"},
		{all[request.KindIntimateImage], []string{"is blocked in our service now", "One of the things that you named is not blocked at once"}, nil,
			"the content is not shown in our service any more. It reaches the address itself, worldwide, from 30 January 2026, without end. Beyond that, it is held back until a person has looked at it: the identical picture at any address.\n"},
		{notice("https://example.org/a.jpg"), []string{"we block what you named in our service"}, []string{"held"},
			"the content is not shown in our service any more. It reaches the address itself, worldwide, from 30 January 2026, without end.\n"},
	} {
		c := o.submit(t, tc.r)
		ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
		_, body, err := texts.Message(o.last(desk.MessageAccepted))
		ok(t, err)
		for _, s := range tc.says {
			if !strings.Contains(body, s) {
				t.Errorf("%v: lacks %q:\n%s", c.Kind, s, body)
			}
		}
		for _, s := range tc.saysNot {
			if strings.Contains(body, s) {
				t.Errorf("%v: says %q:\n%s", c.Kind, s, body)
			}
		}
		if s := o.last(desk.MessageStatement).Statement; !strings.Contains(statementText(t, *s), tc.statement) {
			t.Errorf("%v: the statement lacks %q:\n%s", c.Kind, tc.statement, statementText(t, *s))
		}
	}
}

// Where and how long something was granted is said in both languages.
func TestTexts_Terms(t *testing.T) {
	t.Parallel()
	texts, err := texts.New(nil)
	ok(t, err)
	o := newOffice(t)
	c := o.submit(t, samples(t, takedown.CaseID{})[request.KindGDPRRequest])
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice, Territories: []string{"LU"}, Start: day0.Add(time.Hour), End: day0.Add(25 * time.Hour)}))
	m := o.last(desk.MessageAccepted)
	for lang, want := range map[string][]string{
		"en": {"in these places only: Luxembourg.", "begins on 30 January 2026, 11:00 UTC.", "ends on 31 January 2026, 11:00 UTC."},
		"th": {"มีผลเฉพาะในดินแดน ลักเซมเบิร์ก", "เริ่มมีผลวันที่ 30 มกราคม 2569 เวลา 11:00 น. (UTC)", "สิ้นสุดวันที่ 31 มกราคม 2569 เวลา 11:00 น. (UTC)"},
	} {
		m.To.Language = lang
		_, body, err := texts.Message(m)
		ok(t, err)
		for _, s := range want {
			if !strings.Contains(body, s) {
				t.Errorf("%s: lacks %q:\n%s", lang, s, body)
			}
		}
	}
	// A reply has no copies that software could find, and nothing about terms.
	w := o.submit(t, samples(t, c.ID)[request.KindWithdrawal])
	ok(t, o.Accept(ctx, w.ID, desk.Grant{Actor: alice}))
	_, body, err := texts.Message(o.last(desk.MessageAccepted))
	ok(t, err)
	if strings.Contains(body, "Software") || strings.Contains(body, "places") {
		t.Errorf("of a reply:\n%s", body)
	}
}

// The claimant gets the whole counter-notice, and the number of its case. None
// of it stays anywhere but in the counter-notice's own case.
func TestTexts_CounterNotice(t *testing.T) {
	t.Parallel()
	texts, err := texts.New(nil)
	ok(t, err)
	for _, erased := range []bool{false, true} {
		o := newOffice(t)
		dmca := o.submit(t, samples(t, takedown.CaseID{})[request.KindDMCANotice])
		ok(t, o.Accept(ctx, dmca.ID, desk.Grant{Actor: alice}))
		r := samples(t, dmca.ID)[request.KindCounterNotice].(request.CounterNotice)
		r.Requester.Name, r.Requester.Email, r.Explanation = "A. Publisher", "publisher@example.org", "I took it myself."
		counter := o.submit(t, r)
		o.failing(errors.New("no connection"), desk.MessageCounterReceived)
		ok(t, o.Accept(ctx, counter.ID, desk.Grant{Actor: alice}))
		if erased { // which it can be once its window is of no matter any more
			ok(t, o.CourtHold(ctx, counter.ID, alice))
			ok(t, o.Release(ctx, counter.ID, alice))
			ok(t, o.Erase(ctx, counter.ID, alice))
		}
		o.failing(nil, "")
		ok(t, o.Retry())
		m := o.last(desk.MessageCounterReceived)
		if m.Case != dmca.ID || m.Reply != counter.ID || m.To.Email != person.Email || (m.Counter == nil) != erased {
			t.Errorf("message %+v", m)
		}
		for _, lang := range []string{"en", "th"} {
			m.To.Language = lang
			_, body, err := texts.Message(m)
			ok(t, err)
			want := []string{counter.ID.String()}
			if !erased {
				want = append(want, "A. Publisher", "publisher@example.org", r.Requester.PostalAddress, r.Requester.Phone, r.ImageURLs[0], r.Explanation,
					r.Mistake.Text, r.Jurisdiction.Text, r.Disclosure.Text, "512(g)(2)(B)")
			}
			for _, s := range want {
				if !strings.Contains(body, s) {
					t.Errorf("%s, erased %t: lacks %q:\n%s", lang, erased, s, body)
				}
			}
		}
	}
}

// What is missing is named in words, in both languages, and so is what was
// decided about single items.
func TestTexts_Fields(t *testing.T) {
	t.Parallel()
	texts, err := texts.New(nil)
	ok(t, err)
	m := desk.Message{Type: desk.MessageNeedsInfo, Problems: []request.Problem{
		{Field: "good_faith.accepted", Code: request.CodeNotAccepted}, {Field: "works[1].description", Code: request.CodeRequired}, {Field: "requester.phone", Code: request.CodeRequired},
		{Field: "of_the_operator", Code: request.CodeRequired},
	}}
	partial := desk.Message{Type: desk.MessagePartial, Items: []desk.MessageItem{
		{CaseItem: desk.CaseItem{Item: request.Item{Field: "image_urls[0]", Kind: request.ItemImageURL}, Outcome: desk.OutcomeAccepted}, Given: "example.org/A.jpg"},
		{CaseItem: desk.CaseItem{Item: request.Item{Field: "images[1]", Kind: request.ItemPicture}}}, // taken up again, not decided yet
	}}
	for lang, want := range map[string][]string{
		"en": {"- Statement of good faith: This statement", "- Description of the work 2: This is", "- Phone number: This is", "- of_the_operator: This is", "1. example.org/A.jpg\n   Accepted.", "2. Picture 2\n   Not decided yet."},
		"th": {"- คำรับรองโดยสุจริต: ", "- คำอธิบายงาน 2: ", "- หมายเลขโทรศัพท์: ", "- of_the_operator: ", "1. example.org/A.jpg\n   อนุมัติ", "2. รูปภาพ 2\n   รอการพิจารณา"},
	} {
		m.To.Language, partial.To.Language = lang, lang
		_, body, err := texts.Message(m)
		ok(t, err)
		_, more, err := texts.Message(partial)
		ok(t, err)
		for _, s := range want {
			if !strings.Contains(body+more, s) {
				t.Errorf("%s: lacks %q:\n%s%s", lang, s, body, more)
			}
		}
	}
}

// Every message of every kind has words in both languages, and none names an
// address at which a copy was found.
func TestTexts_Messages(t *testing.T) {
	t.Parallel()
	texts, err := texts.New(nil)
	ok(t, err)
	o := newOffice(t, func(opts *desk.Options) { opts.ConfirmEmail, opts.UnconfirmedPerDay = true, -1 })
	submit := func(r request.Request) desk.Case {
		c := o.submit(t, r)
		ok(t, o.Confirm(ctx, c.ID, o.last(desk.MessageConfirmEmail).Token))
		return c
	}
	secret := notice("https://secret-host.example/a.jpg", "https://secret-host.example/b.jpg")
	c := submit(secret)
	ok(t, o.AddEvidence(ctx, c.ID, []desk.Evidence{{Candidate: takedown.Candidate{ImageURLs: []string{"https://found-host.example/copy.jpg"}}}}))
	ok(t, o.AskInfo(ctx, c.ID, alice, []string{"explanation"}))
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice, Items: map[int]desk.ItemDecision{1: {Outcome: desk.OutcomeRejected, Reason: "satire"}}}))
	ok(t, o.Reverse(ctx, c.ID, bob))
	c = submit(secret)
	ok(t, o.Reject(ctx, c.ID, refuse(desk.Actor{By: "alice", Reason: "not_illegal"})))
	c = submit(secret)
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice, End: day0.Add(time.Hour)}))
	o.later(time.Hour)
	if _, err := o.Expire(ctx); err != nil {
		t.Fatal(err)
	}
	dmca := submit(samples(t, takedown.CaseID{})[request.KindDMCANotice])
	ok(t, o.Accept(ctx, dmca.ID, desk.Grant{Actor: alice}))
	counter := o.submit(t, samples(t, dmca.ID)[request.KindCounterNotice])
	ok(t, o.Accept(ctx, counter.ID, desk.Grant{Actor: alice}))
	o.later(30 * 24 * time.Hour)
	ok(t, o.Restore(ctx, counter.ID, alice))
	c = submit(samples(t, takedown.CaseID{})[request.KindIntimateImage])
	ok(t, o.Withdraw(ctx, c.ID, desk.Actor{}))

	o.settle()
	seen := map[desk.MessageType]bool{}
	for _, m := range o.mail() {
		seen[m.Type] = true
		for _, lang := range []string{"en", "th-TH", "fr"} {
			m.To.Language = lang
			subject, body, err := texts.Message(m)
			ok(t, err)
			if subject == "" || strings.ContainsAny(subject, "\r\n") || len(body) < 40 || strings.Contains(body, "<no value>") {
				t.Errorf("%s in %s: %q\n%s", m.Type, lang, subject, body)
			}
			if strings.Contains(body, "found-host") {
				t.Errorf("%s in %s names an address at which a copy was found:\n%s", m.Type, lang, body)
			}
			thai := strings.ContainsFunc(subject, func(r rune) bool { return r >= 0x0e00 && r <= 0x0e7f })
			if thai != (lang == "th-TH") {
				t.Errorf("%s in %s: %q", m.Type, lang, subject)
			}
			if m.Type != desk.MessageStatement && !strings.Contains(body, m.Case.String()) {
				t.Errorf("%s in %s: no case number", m.Type, lang)
			}
		}
	}
	// The span is that of the clock's row, and an address has no copies.
	for _, tc := range []struct {
		m      desk.Message
		months bool
		copies bool
	}{
		{desk.Message{Type: desk.MessageAccepted, ComplaintWindow: desk.Span{N: 6, Unit: desk.UnitMonths}, Granted: takedown.ScopeURL}, true, false},
		{desk.Message{Type: desk.MessageAccepted, Regime: request.RegimeOperator, Granted: takedown.ScopeDuplicate}, false, true},
	} {
		_, body, err := texts.Message(tc.m)
		ok(t, err)
		if strings.Contains(body, "6 months") != tc.months || strings.Contains(body, "further copies") != tc.copies {
			t.Errorf("%s:\n%s", tc.m.Regime, body)
		}
	}
	if len(seen) < 13 {
		t.Errorf("only %d types of messages: %v", len(seen), seen)
	}
}

// The Thai statement of reasons has Thai words for every ground, origin and
// scope, and all points of Article 17(3).
func TestTexts_ThaiStatement(t *testing.T) {
	t.Parallel()
	texts, err := texts.New(nil)
	ok(t, err)
	seen := map[string]bool{}
	write := func(s desk.StatementOfReasons) {
		t.Helper()
		_, body, err := texts.Message(desk.Message{Type: desk.MessageStatement, To: desk.Recipient{Language: "th"}, Statement: &s})
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
	if _, body, err := texts.Message(desk.Message{Type: desk.MessageStatement, To: desk.Recipient{Language: "th"}, Statement: &onTerms}); err != nil || !strings.Contains(body, "(จ)") {
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

func TestTexts_Problem(t *testing.T) {
	t.Parallel()
	withReasons, err := texts.New(&texts.Options{Catalogues: []texts.Catalogue{{
		Language: language.English, Reasons: map[string]string{"not_illegal": "the law does not forbid what is shown"},
	}}})
	ok(t, err)
	for code, want := range map[string]string{
		"not_illegal": "The reason is: the law does not forbid what is shown.", // the operator's words win
		"too_late":    "The reason is: the time for this is over.",             // the library's are still there

	} {
		_, body, err := withReasons.Message(desk.Message{Type: desk.MessageRejected, Reason: code})
		if ok(t, err); !strings.Contains(body, want) {
			t.Errorf("%s:\n%s", code, body)
		}
	}
	texts, err := texts.New(nil)
	ok(t, err)
	for _, tc := range []struct {
		lang string
		p    request.Problem
		want string
	}{
		{"en", request.Problem{Code: request.CodeTooLong, Params: map[string]string{"max": "5000"}}, "This is too long: at most 5,000 characters."},
		{"th", request.Problem{Code: request.CodeTooLong, Params: map[string]string{"max": "5000"}}, "ข้อความยาวเกินไป กรุณาระบุไม่เกิน 5,000 ตัวอักษร"},
		{"de-AT, th;q=0.5", request.Problem{Code: request.CodeRequired}, "กรุณาระบุข้อมูลนี้"},
		{"", request.Problem{Code: request.CodeDuplicate, Params: map[string]string{"of": "0"}}, "This is the same as number 1."},
		{"not a tag!", request.Problem{Code: request.CodeUnsupported, Params: map[string]string{"format": "HEIC"}},
			"Pictures of this format (HEIC) cannot be read. Send it as JPEG, PNG, GIF or WebP."},
		{"en", request.Problem{Code: request.CodeTooLarge, Params: map[string]string{"max_bytes": "10485760", "max_pixels": "100000000"}},
			"This picture is too large: at most 10 MB and 100 million pixels."},
	} {
		if got := texts.Problem(tc.lang, tc.p); got != tc.want {
			t.Errorf("%s, %s: %q, want %q", tc.lang, tc.p.Code, got, tc.want)
		}
	}
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
