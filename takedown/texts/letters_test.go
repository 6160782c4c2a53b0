package texts_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/staydown/staydown/internal/requesttest"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
	"github.com/staydown/staydown/takedown/texts"
)

var updateLetters = flag.Bool("letters", false, "write docs/letters")

// A letter that a kind of request leads to, with the messages of a real desk.
type sampleLetter struct {
	title string
	m     desk.Message
}

// Every letter, for each kind of request and outcome, as a desk sends it: the
// page docs/letters has them in both languages, to be read in one sitting.
func TestLetters(t *testing.T) {
	t.Parallel()
	words, err := texts.New(&texts.Options{Contact: "removals@service.example", Location: time.FixedZone("UTC+7", 7*60*60)})
	ok(t, err)
	letters := allLetters(t)
	if len(letters) < 60 {
		t.Errorf("only %d letters", len(letters))
	}
	for lang, title := range map[string]string{"en": "Letters in English", "th": "Letters in Thai"} {
		var b bytes.Buffer
		fmt.Fprintf(&b, "# %s\n\nMade by `go test ./takedown/texts -run TestLetters -letters`. Names and addresses are examples.\n", title)
		seen := map[string]string{}
		for _, l := range letters {
			l.m.To.Language = lang
			l.m.Finding, l.m.Words = spoken(lang, l.m.Finding), inThai(lang, l.m.Words)
			if l.m.Statement != nil {
				said := *l.m.Statement // which the other language reads too
				said.Explanation = inThai(lang, said.Explanation)
				l.m.Statement = &said
			}
			subject, body, err := words.Message(l.m)
			ok(t, err)
			checkLetter(t, lang, l, subject, body)
			key := subject + "\n" + body
			if seen[key] != "" {
				continue // the same letter, for another kind
			}
			seen[key] = l.title
			fmt.Fprintf(&b, "\n## %s\n\n```text\nSubject: %s\n\n%s```\n", l.title, subject, body)
		}
		path := "../../docs/letters/" + lang + ".md"
		if *updateLetters {
			ok(t, os.WriteFile(path, b.Bytes(), 0o644))
			continue
		}
		want, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			t.Skip("skipped: the documentation is in the repository only")
		}
		ok(t, err)
		if !bytes.Equal(want, b.Bytes()) {
			t.Errorf("%s is out of date: go test ./takedown/texts -run TestLetters -letters", path)
		}
	}
}

// What a reviewer writes is in the language of the recipient.
var thaiWords = map[string]string{
	"We compared what you sent with what our service shows.":          "เราเปรียบเทียบสิ่งที่ท่านส่งมากับสิ่งที่แสดงในบริการของเราแล้ว",
	"We asked the publisher of the picture, and wait for the answer.": "เราได้สอบถามผู้เผยแพร่รูปภาพ และกำลังรอคำตอบ",
	"Which of the people in the picture are you?":                     "ท่านเป็นบุคคลใดในรูปภาพ",
}

func inThai(lang, words string) string {
	if lang == "th" && thaiWords[words] != "" {
		return thaiWords[words]
	}
	return words
}

func spoken(lang string, f desk.Finding) desk.Finding {
	f.Explanation = inThai(lang, f.Explanation)
	return f
}

// checkLetter looks for what no letter may have: a code, a gap, or nothing to do.
func checkLetter(t *testing.T, lang string, l sampleLetter, subject, body string) {
	t.Helper()
	for _, bad := range []string{"<no value>", "{{", "  \n\n\n", "0001", "%!", "..", " .", "\n\n\n\n", "Scope(", "Kind("} {
		if strings.Contains(subject+"\n"+body, bad) {
			t.Errorf("%s, %s has %q:\n%s\n%s", l.title, lang, bad, subject, body)
		}
	}
	for _, code := range append(desk.Reasons(), "image_opt_out", "dsa_notice", "image_urls", "in_review", "out_of_scope", "image_url") {
		if strings.Contains(code, "_") && strings.Contains(body, code) {
			t.Errorf("%s, %s has the code %s:\n%s", l.title, lang, code, body)
		}
	}
	if !strings.Contains(body, l.m.Case.String()) {
		t.Errorf("%s, %s has no case number:\n%s", l.title, lang, body)
	}
	if !strings.Contains(body, "removals@service.example") && l.m.Type != desk.MessageConfirmEmail {
		t.Errorf("%s, %s does not say whom to write to:\n%s", l.title, lang, body)
	}
	child := l.m.ChildSafety && l.m.Type != desk.MessageNeedsInfo
	for _, it := range l.m.Items {
		if child && it.Given != "" && strings.Contains(body, it.Given) {
			t.Errorf("%s, %s describes a case about a child:\n%s", l.title, lang, body)
		}
	}
}

// letterDesk sends letters and keeps them by a title.
type letterDesk struct {
	*office
	t    *testing.T
	list []sampleLetter
	n    byte
}

// only drops messages that are not of some kind.
func (d *letterDesk) only(want func(desk.Message) bool) {
	d.settle()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sent = slices.DeleteFunc(d.sent, func(m desk.Message) bool { return !want(m) })
}

// take keeps what was sent since the last call, with numbers that do not change.
func (d *letterDesk) take(title string) {
	d.settle()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.sent {
		m.Case, m.ID = takedown.CaseID{d.n}, 0
		if m.Reply != (takedown.CaseID{}) {
			m.Reply = takedown.CaseID{d.n, 1}
		}
		if m.Token != "" {
			m.Token = "example-token"
		}
		if m.Statement != nil {
			s := *m.Statement
			s.Case = m.Case
			m.Statement = &s
		}
		if m.Counter != nil {
			c := *m.Counter
			c.Case = m.Case
			m.Counter = &c
		}
		d.list = append(d.list, sampleLetter{fmt.Sprintf("%s: %s", title, strings.ReplaceAll(string(m.Type), "_", " ")), m})
	}
	d.sent = nil
}

func allLetters(t *testing.T) []sampleLetter {
	d := &letterDesk{office: newOffice(t, func(o *desk.Options) { o.OneReviewer, o.MessagesPerDay = true, -1 }), t: t, n: 1}
	words := desk.Finding{Explanation: "We compared what you sent with what our service shows."}
	for _, kind := range request.Kinds() {
		if request.IsReply(kind) {
			continue
		}
		name := strings.ReplaceAll(kind.String(), "_", " ")
		submit := func() desk.Case {
			r := samples(t, takedown.CaseID{})[kind]
			if n, is := r.(request.DSANotice); is {
				n.ImageURLs = []string{"HTTPS://Example.org/Holiday.jpg?utm_source=x", "https://example.org/second.jpg"}
				r = n
			}
			defer d.settle() // the deadline in a message is that of when it is sent
			return d.submit(t, r)
		}
		c := submit()
		d.take(name)
		ok(t, d.Accept(ctx, c.ID, desk.Grant{Actor: desk.Actor{By: "alice"}, Finding: words, Territories: euFor(kind)}))
		d.take(name + ", accepted")
		ok(t, d.Reject(ctx, submit().ID, desk.Refusal{Actor: desk.Actor{By: "alice", Reason: refusalFor(kind)}}))
		d.take(name + ", refused")
	}
	d.partial()
	d.duplicate()
	d.held()
	d.replies()
	d.child()
	d.ends()
	d.rare()
	for _, m := range desk.MessageTypes() {
		if !slices.ContainsFunc(d.list, func(l sampleLetter) bool { return l.m.Type == m }) {
			t.Errorf("no letter of the type %s", m)
		}
	}
	return d.list
}

func euFor(k takedown.Kind) []string {
	if k == request.KindDSANotice {
		return []string{"DE", "AT"}
	}
	return nil
}

func refusalFor(k takedown.Kind) string {
	switch k {
	case request.KindFaceOptOut:
		return "not_recognisable"
	case request.KindDMCANotice:
		return "permitted_use"
	case request.KindGDPRRequest:
		return "public_interest"
	case request.KindAuthorityOrder:
		return "order_unverified"
	case request.KindDSANotice:
		return "not_illegal"
	}
	return "not_the_person"
}

func (d *letterDesk) partial() {
	n := notice("https://example.org/first.jpg", "https://example.org/article")
	c := d.submit(d.t, n)
	d.forget()
	ok(d.t, d.Accept(ctx, c.ID, desk.Grant{Actor: desk.Actor{By: "alice"}, Items: map[int]desk.ItemDecision{1: {Outcome: desk.OutcomeRejected, Reason: "which_picture"}}}))
	d.take("dsa notice, accepted in part")
}

func (d *letterDesk) duplicate() {
	c, again := d.submit(d.t, optOut(d.t, 30)), d.submit(d.t, optOut(d.t, 30))
	d.forget()
	ok(d.t, d.Reject(ctx, again.ID, desk.Refusal{Actor: desk.Actor{By: "alice"}, Outcome: desk.OutcomeDuplicateOf, Same: c.ID}))
	d.take("image opt out, a second time")
}

func (d *letterDesk) held() {
	c := d.submit(d.t, samples(d.t, takedown.CaseID{})[request.KindGDPRRequest])
	d.forget()
	ok(d.t, d.Hold(ctx, c.ID, alice))
	d.settle()
	ok(d.t, d.ReleaseHold(ctx, c.ID, alice))
	d.settle()
	ok(d.t, d.ExtendDeadline(ctx, c.ID, alice, "We asked the publisher of the picture, and wait for the answer."))
	d.settle()
	ok(d.t, d.AskInfo(ctx, c.ID, alice, []string{"situation"}, "Which of the people in the picture are you?"))
	d.take("gdpr request")
}

func (d *letterDesk) replies() {
	for _, kind := range []takedown.Kind{request.KindCounterNotice, request.KindObjection, request.KindComplaint, request.KindWithdrawal} {
		name := strings.ReplaceAll(kind.String(), "_", " ")
		for _, accepted := range []bool{true, false} {
			about := d.submit(d.t, samples(d.t, takedown.CaseID{})[request.KindDMCANotice])
			ok(d.t, d.Accept(ctx, about.ID, desk.Grant{Actor: alice}))
			r := samples(d.t, about.ID)[kind]
			if x, is := r.(request.Complaint); is {
				x.Party = request.PartyAffected
				r = x
			}
			d.forget()
			c := d.submit(d.t, r)
			if accepted {
				d.take(name)
				if c, err := d.Case(ctx, c.ID); err == nil && c.State == desk.StateInReview {
					ok(d.t, d.Accept(ctx, c.ID, desk.Grant{Actor: bob}))
				}
				d.take(name + ", accepted")
				if kind == request.KindCounterNotice {
					d.later(30 * 24 * time.Hour)
					ok(d.t, d.Restore(ctx, c.ID, bob))
					d.take(name + ", the window is over")
				}
				continue
			}
			d.forget()
			if c, err := d.Case(ctx, c.ID); err == nil && c.State == desk.StateInReview {
				ok(d.t, d.Reject(ctx, c.ID, desk.Refusal{Actor: desk.Actor{By: "bob", Reason: "nothing_new"}}))
			}
			d.take(name + ", refused")
		}
	}
}

func (d *letterDesk) child() {
	r := samples(d.t, takedown.CaseID{})[request.KindIntimateImage].(request.IntimateImage)
	r.MinorDepicted, r.Requester.Country = request.AnswerYes, "GB"
	c := d.submit(d.t, r)
	d.take("a report about a child")
	ok(d.t, d.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
	d.only(func(m desk.Message) bool { return m.Type != desk.MessageStatement })
	d.take("a report about a child, accepted")
	c = d.submit(d.t, r)
	d.forget()
	ok(d.t, d.Reject(ctx, c.ID, desk.Refusal{Actor: desk.Actor{By: "alice", Reason: "not_found"}}))
	d.take("a report about a child, refused")
}

func (d *letterDesk) ends() {
	c := d.submit(d.t, optOut(d.t, 31))
	ok(d.t, d.Accept(ctx, c.ID, desk.Grant{Actor: alice, Start: d.Now().Add(time.Hour), End: d.Now().Add(48 * time.Hour)}))
	d.only(func(m desk.Message) bool { return m.Type == desk.MessageAccepted })
	d.take("image opt out, for a time")
	d.later(72 * time.Hour)
	_, err := d.Expire(ctx)
	ok(d.t, err)
	d.take("image opt out, over")
	c = d.submit(d.t, optOut(d.t, 32))
	ok(d.t, d.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
	d.forget()
	ok(d.t, d.Reverse(ctx, c.ID, desk.Actor{By: "bob", Reason: "disputed"}))
	d.take("image opt out")
}

// rare are letters that need a course of their own.
func (d *letterDesk) rare() {
	c := d.submit(d.t, optOut(d.t, 33))
	ok(d.t, d.Accept(ctx, c.ID, desk.Grant{Actor: alice, Start: d.Now().Add(time.Hour)}))
	d.only(func(desk.Message) bool { return false })
	d.later(2 * time.Hour)
	_, err := d.Expire(ctx)
	ok(d.t, err)
	d.only(func(m desk.Message) bool { return m.Type == desk.MessageInForce })
	d.take("image opt out, begins later")
	// Somebody else's picture was blocked by mistake: its rule gets an exception.
	alike := requesttest.JPEG(d.t, 33)
	x := request.Objection{Requester: person, Images: images(alike), Reason: request.CounterOwner, Explanation: "It is mine.", GoodFaith: stated("Accurate and complete.")}
	reply := d.submit(d.t, x)
	d.only(func(desk.Message) bool { return false })
	ok(d.t, d.Accept(ctx, reply.ID, desk.Grant{Actor: bob}))
	d.only(func(m desk.Message) bool { return m.Type == desk.MessageExcepted })
	d.take("image opt out, one picture excepted")
	other := &letterDesk{office: newOffice(d.t, func(o *desk.Options) { o.ConfirmEmail = true }), t: d.t, n: 1}
	other.submit(d.t, optOut(d.t, 34))
	other.take("image opt out")
	d.list = append(d.list, other.list...)
}
