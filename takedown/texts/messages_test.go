package texts_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/language"

	"github.com/staydown/staydown/internal/requesttest"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
	"github.com/staydown/staydown/takedown/texts"
)

// What only holds for a person is not told as removed, also where something else
// of the case blocks.
func TestTexts_Held(t *testing.T) {
	t.Parallel()
	x := newTexts(t, nil)
	o := newOffice(t)
	all := samples(t, takedown.CaseID{})
	for _, tc := range []struct {
		r             request.Request
		says, saysNot []string
		statement     string
	}{
		{all[request.KindHashEntry], []string{"We hold pictures that match your fingerprints back"}, []string{"We block", "not shown"},
			"the content is held back until a person has looked at it. It reaches the picture and all its copies at any address, worldwide, from 30 January 2026, without end.\n"},
		{all[request.KindIntimateImage], []string{"We block one of the things that you named in our service now", "One of the things that you named is not blocked at once"}, nil,
			"the content is not shown in our service any more. It reaches the address itself, worldwide, from 30 January 2026, without end. Beyond that, it is held back until a person has looked at it: the identical picture at any address.\n"},
		{notice("https://example.org/a.jpg"), []string{"we block what you named in our service"}, []string{"held"},
			"the content is not shown in our service any more. It reaches the address itself, worldwide, from 30 January 2026, without end.\n"},
	} {
		c := o.submit(t, tc.r)
		ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
		_, body, err := x.Message(o.last(desk.MessageAccepted))
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
	x := newTexts(t, nil)
	o := newOffice(t)
	c := o.submit(t, samples(t, takedown.CaseID{})[request.KindGDPRRequest])
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice, Territories: []string{"LU"}, Start: day0.Add(time.Hour), End: day0.Add(25 * time.Hour)}))
	m := o.last(desk.MessageAccepted)
	for lang, want := range map[string][]string{
		"en": {"in these places only: Luxembourg.", "begins on 30 January 2026, 11:00 UTC.", "ends on 31 January 2026, 11:00 UTC."},
		"th": {"มีผลเฉพาะในดินแดน ลักเซมเบิร์ก", "เริ่มมีผลวันที่ 30 มกราคม 2569 เวลา 11:00 น. (UTC)", "สิ้นสุดวันที่ 31 มกราคม 2569 เวลา 11:00 น. (UTC)"},
	} {
		m.To.Language = lang
		_, body, err := x.Message(m)
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
	_, body, err := x.Message(o.last(desk.MessageAccepted))
	ok(t, err)
	if strings.Contains(body, "Software") || strings.Contains(body, "places") {
		t.Errorf("of a reply:\n%s", body)
	}
}

// The claimant gets the whole counter-notice, and the number of its case. None
// of it stays anywhere but in the counter-notice's own case.
func TestTexts_CounterNotice(t *testing.T) {
	t.Parallel()
	x := newTexts(t, nil)
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
		ok(t, o.Desk.Notify(ctx))
		m := o.last(desk.MessageCounterReceived)
		if m.Case != dmca.ID || m.Reply != counter.ID || m.To.Email != person.Email || (m.Counter == nil) != erased {
			t.Errorf("message %+v", m)
		}
		for _, lang := range []string{"en", "th"} {
			m.To.Language = lang
			_, body, err := x.Message(m)
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
	x := newTexts(t, nil)
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
		_, body, err := x.Message(m)
		ok(t, err)
		_, more, err := x.Message(partial)
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
	x := newTexts(t, nil)
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
	ok(t, o.Reject(ctx, c.ID, desk.Refusal{Actor: desk.Actor{By: "alice", Reason: "not_illegal"}}))
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
			subject, body, err := x.Message(m)
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
		_, body, err := x.Message(tc.m)
		ok(t, err)
		if strings.Contains(body, "6 months") != tc.months || strings.Contains(body, "further copies") != tc.copies {
			t.Errorf("%s:\n%s", tc.m.Regime, body)
		}
	}
	if len(seen) < 13 {
		t.Errorf("only %d types of messages: %v", len(seen), seen)
	}
}

func TestTexts_Problem(t *testing.T) {
	t.Parallel()
	withReasons := newTexts(t, &texts.Options{Catalogues: []texts.Catalogue{{
		Language: language.English, Reasons: map[string]string{"not_illegal": "the law does not forbid what is shown"},
	}}})
	for code, want := range map[string]string{
		"not_illegal": "The reason is: the law does not forbid what is shown.", // the operator's words win
		"too_late":    "The reason is: the time for this is over.",             // the library's are still there

	} {
		_, body, err := withReasons.Message(desk.Message{Type: desk.MessageRejected, Reason: code})
		if ok(t, err); !strings.Contains(body, want) {
			t.Errorf("%s:\n%s", code, body)
		}
	}
	x := newTexts(t, nil)
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
		if got := x.Problem(tc.lang, tc.p); got != tc.want {
			t.Errorf("%s, %s: %q, want %q", tc.lang, tc.p.Code, got, tc.want)
		}
	}
}

// What people are told about a face says that a template is kept, and when it is
// destroyed, in both languages; never how similar anything is.
func TestFaceOptOut_Letters(t *testing.T) {
	t.Parallel()
	x := newTexts(t, nil)
	for lang, words := range map[string]struct{ template, destroyed string }{
		"en": {"template", "is destroyed"}, "th": {"ภาพจำลองใบหน้า", "ทำลาย"},
	} {
		for _, open := range []bool{false, true} {
			o := newOffice(t, func(o *desk.Options) { o.OneReviewer = true })
			who := person
			who.Language = lang
			var r request.Request = request.FaceOptOut{Requester: who, Faces: []takedown.Face{requesttest.Portrait(t, 1, 0)}, Biometric: stated(requesttest.Consent)}
			if open {
				r = request.OpenOptOut{Requester: who, Images: images(testJPEG(t, 1)), Claim: request.ClaimDepicted, Biometric: stated(requesttest.Consent)}
			}
			c := o.submit(t, r)
			ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
			ok(t, o.Withdraw(ctx, c.ID, desk.Actor{}))
			said := map[desk.MessageType]string{}
			o.settle()
			for _, m := range o.mail() {
				_, body, err := x.Message(m)
				ok(t, err)
				said[m.Type] = body
				if strings.Contains(body, "0.8") || strings.Contains(body, requesttest.FaceModel) {
					t.Errorf("%s, %s tells the threshold:\n%s", lang, m.Type, body)
				}
			}
			if !strings.Contains(said[desk.MessageReceipt], words.template) != open {
				t.Errorf("%s, open %v, receipt:\n%s", lang, open, said[desk.MessageReceipt])
			}
			if !strings.Contains(said[desk.MessageWithdrawn], words.destroyed) {
				t.Errorf("%s, withdrawn:\n%s", lang, said[desk.MessageWithdrawn])
			}
			if s := said[desk.MessageStatement]; !open && !strings.Contains(s, "every picture in which the face appears") {
				t.Errorf("statement of reasons:\n%s", s)
			}
		}
	}
}

// Letters have words for each reason of a refusal, in both languages.
func TestTexts_Reasons(t *testing.T) {
	t.Parallel()
	x := newTexts(t, nil)
	for _, lang := range []string{"en", "th"} {
		m := desk.Message{Type: desk.MessageRejected, To: desk.Recipient{Language: lang}, Case: takedown.CaseID{1}}
		bare := body(t, x, m)
		seen := map[string]string{}
		for _, code := range desk.Reasons() {
			m.Reason = code
			text := body(t, x, m)
			if text == bare || strings.Contains(code, "_") && strings.Contains(text, code) || seen[text] != "" {
				t.Errorf("%s, %s (as %q):\n%s", code, lang, seen[text], text)
			}
			seen[text] = code
		}
	}
}
