package desk_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// office is a desk with a clock and a letter box.
type office struct {
	*desk.Desk
	*clock
	mu   sync.Mutex
	sent []desk.Message
	fail error            // of the Notifier
	only desk.MessageType // which fails, if not all do
}

var day0 = time.Date(2026, 1, 30, 10, 0, 0, 0, time.UTC) // a Friday

// newOffice opens a desk in a folder of its own; opts may change its options.
func newOffice(tb testing.TB, opts ...func(*desk.Options)) *office {
	tb.Helper()
	o := &office{clock: &clock{t: day0}}
	options := &desk.Options{Now: o.Now, Notifier: o, Policy: "policy-7", Reasons: []string{"satire", "overriding_grounds"}, FaceModels: faceModels, TrustFaceVectors: true}
	for _, f := range opts {
		f(options)
	}
	o.Desk = open(tb, tb.TempDir(), options)
	return o
}

func (o *office) Notify(_ context.Context, m desk.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fail != nil && (o.only == "" || o.only == m.Type) {
		return o.fail
	}
	o.sent = append(o.sent, m)
	return nil
}

// failing makes Notify fail with err: for messages of type only, or for all if that
// is empty. The sender runs beside the test.
func (o *office) failing(err error, only desk.MessageType) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fail, o.only = err, only
}

// mail returns what was sent.
func (o *office) mail() []desk.Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.sent)
}

// forget drops what was sent.
func (o *office) forget() {
	o.settle()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent = nil
}

// settle waits until nothing is left to send, except what the Notifier does not take.
func (o *office) settle() { _ = o.Retry() }

// letters returns the types of the messages of a case, and forgets them.
func (o *office) letters(id takedown.CaseID) (types []desk.MessageType) {
	o.settle()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent = slices.DeleteFunc(o.sent, func(m desk.Message) bool {
		if m.Case == id {
			types = append(types, m.Type)
		}
		return m.Case == id
	})
	return types
}

func (o *office) last(t desk.MessageType) (m desk.Message) {
	o.settle()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, x := range o.sent {
		if x.Type == t {
			m = x
		}
	}
	return m
}

func (o *office) later(d time.Duration) { o.set(o.Now().Add(d)) }

func (o *office) submit(tb testing.TB, r request.Request) desk.Case {
	tb.Helper()
	c, err := o.Submit(ctx, r)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func ok(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func (o *office) wantState(tb testing.TB, id takedown.CaseID, want desk.State) desk.Case {
	tb.Helper()
	o.settle()
	c, err := o.Case(ctx, id)
	ok(tb, err)
	if c.State != want {
		tb.Fatalf("case is %s, want %s", c.State, want)
	}
	return c
}

func (o *office) wantLetters(tb testing.TB, id takedown.CaseID, want ...desk.MessageType) {
	tb.Helper()
	if diff := cmp.Diff(want, o.letters(id)); diff != "" {
		tb.Errorf("messages (-want +got):\n%s", diff)
	}
}

// refuse is a refusal by somebody, for a reason that letters have words for.
func refuse(a desk.Actor) desk.Refusal {
	if !slices.Contains(append(desk.Reasons(), "satire", "overriding_grounds", "spam"), a.Reason) {
		a.Reason = "not_illegal"
	}
	return desk.Refusal{Actor: a}
}

var alice, bob = desk.Actor{By: "alice", Reason: "well_founded"}, desk.Actor{By: "bob", Reason: "well_founded"}

// An opt-out: receipt, confirmation, review, in force, withdrawal, closing,
// erasure.
func TestLife_ImageOptOut(t *testing.T) {
	t.Parallel()
	o := newOffice(t, func(opts *desk.Options) { opts.ConfirmEmail = true })
	picture := hashes(t, testJPEG(t, 1))
	c := o.submit(t, optOut(t, 1))
	token := o.last(desk.MessageConfirmEmail).Token
	o.wantLetters(t, c.ID, desk.MessageConfirmEmail)
	o.wantState(t, c.ID, desk.StateUnconfirmed)
	var me *desk.MoveError
	if err := o.Accept(ctx, c.ID, desk.Grant{Actor: alice}); !errors.As(err, &me) {
		t.Errorf("accepted before the address was confirmed: %v", err)
	}
	var te *desk.TokenError
	if err := o.Confirm(ctx, c.ID, "wrong"); !errors.As(err, &te) {
		t.Errorf("a wrong token: %v", err)
	}
	o.later(49 * time.Hour)
	if err := o.Confirm(ctx, c.ID, token); !errors.As(err, &te) {
		t.Errorf("an old token: %v", err)
	}
	ok(t, o.Resend(ctx, c.ID))
	again := o.last(desk.MessageConfirmEmail).Token
	o.letters(c.ID)
	if err := o.Confirm(ctx, c.ID, token); !errors.As(err, &te) || token == again {
		t.Errorf("the token before the last: %v", err)
	}
	ok(t, o.Confirm(ctx, c.ID, " "+strings.ToUpper(again)))
	if err := o.Confirm(ctx, c.ID, again); !errors.As(err, &te) {
		t.Errorf("a token twice: %v", err)
	}
	o.wantState(t, c.ID, desk.StateInReview)
	o.wantLetters(t, c.ID, desk.MessageReceipt)

	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
	o.wantLetters(t, c.ID, desk.MessageAccepted, desk.MessageStatement)
	wantVerdict(t, "in force", o.Enforcer().Filter("", picture...), takedown.Block)
	if err := o.CloseCase(ctx, c.ID, alice); !errors.As(err, &me) {
		t.Errorf("closed while in force: %v", err)
	}

	w := o.submit(t, request.Withdrawal{Requester: person, Case: c.ID})
	ok(t, o.Confirm(ctx, w.ID, o.last(desk.MessageConfirmEmail).Token))
	o.wantState(t, w.ID, desk.StateClosed) // nobody has to agree
	o.wantState(t, c.ID, desk.StateWithdrawn)
	o.wantLetters(t, c.ID, desk.MessageWithdrawn)
	wantVerdict(t, "withdrawn", o.Enforcer().Filter("", picture...), takedown.Allow)

	ok(t, o.CloseCase(ctx, c.ID, alice))
	ok(t, o.Erase(ctx, c.ID, alice))
	if c = o.wantState(t, c.ID, desk.StateClosed); !c.Erased() || c.Request != nil || c.Pictures != nil {
		t.Errorf("erased: %+v", c)
	}
	if _, _, err := o.VerifyLog(ctx); err != nil {
		t.Error(err)
	}
}

// An opt-out that leaves open what it is about is decided as a picture.
func TestLife_OpenOptOut(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	c := o.submit(t, samples(t, takedown.CaseID{})[request.KindOpenOptOut])
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
	wantVerdict(t, "the picture", o.Enforcer().Filter("", hashes(t, testJPEG(t, 2))...), takedown.Block)
	ok(t, o.Reverse(ctx, c.ID, bob))
	o.wantState(t, c.ID, desk.StateReversed)
	wantVerdict(t, "reversed", o.Enforcer().Filter("", hashes(t, testJPEG(t, 2))...), takedown.Allow)
}

// A notice with mixed results, a complaint within the window, the closing after
// it.
func TestLife_DSANotice(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	urls := []string{"https://example.org/a.jpg", "https://example.org/b.jpg", "https://example.org/c.jpg"}
	c := o.submit(t, notice(urls...))
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice, Items: map[int]desk.ItemDecision{
		1: {Outcome: desk.OutcomeRejected, Reason: "satire"},
	}}))
	m := o.last(desk.MessagePartial)
	if m.Accepted != 2 || m.Refused != 1 || m.To.Email != "requester@example.org" {
		t.Errorf("message %+v", m)
	}
	o.wantLetters(t, c.ID, desk.MessageReceipt, desk.MessagePartial, desk.MessageStatement)
	for i, want := range []takedown.Verdict{takedown.Block, takedown.Allow, takedown.Block} {
		wantVerdict(t, urls[i], o.Enforcer().FilterURL(urls[i]), want)
	}
	c = o.wantState(t, c.ID, desk.StateInForce)
	if c.Outcome != desk.OutcomePartly || c.Items[1].Reason != "satire" || c.Items[0].Rule != c.Rules[0] || c.Items[1].Rule != 0 {
		t.Errorf("case %+v", c)
	}

	o.later(24 * time.Hour)
	complaint := o.submit(t, request.Complaint{Requester: request.Requester{Phone: "+4930123456"}, Case: c.ID, Party: request.PartyAffected, Grounds: "It is mine."})
	if len(complaint.Flags) != 0 {
		t.Errorf("in time, but %v", complaint.Flags)
	}
	ok(t, o.Accept(ctx, complaint.ID, desk.Grant{Actor: bob}))
	o.wantState(t, c.ID, desk.StateReversed)
	o.wantLetters(t, c.ID, desk.MessageReversed)
	wantVerdict(t, "reversed", o.Enforcer().FilterURL(urls[0]), takedown.Allow)

	var early *desk.TooEarlyError
	if err := o.CloseCase(ctx, c.ID, alice); !errors.As(err, &early) || early.NotBefore != day0.AddDate(0, 6, 0) {
		t.Errorf("closed within the window for complaints: %v", err)
	}
	o.set(day0.AddDate(0, 6, 0))
	ok(t, o.CloseCase(ctx, c.ID, alice))
	late := o.submit(t, request.Complaint{Requester: person, Case: c.ID, Party: request.PartyNotifier, Grounds: "Again."})
	if err := o.Accept(ctx, late.ID, desk.Grant{Actor: bob}); err == nil {
		t.Error("a closed case was reversed")
	}
	ok(t, o.Reject(ctx, late.ID, desk.Refusal{Actor: bob, Outcome: desk.OutcomeOutOfScope}))
}

// A DSA notice with gaps is taken in where somebody can act on it and ask: it
// keeps the time of its receipt. Without that it is refused, with every problem.
func TestLife_DSANoticeWithGaps(t *testing.T) {
	t.Parallel()
	full := notice("https://example.org/a.jpg")
	for _, tc := range []struct {
		name    string
		change  func(n *request.DSANotice)
		missing string // empty where it is refused
	}{
		{"no statement", func(n *request.DSANotice) { n.GoodFaith = request.Statement{} }, "good_faith.accepted"},
		{"no name", func(n *request.DSANotice) { n.Requester.Name = "" }, "requester.name"},
		{"a phone number instead of an email address", func(n *request.DSANotice) { n.Requester.Email, n.Requester.Phone = "", "+66812345678" }, "requester.email"},
		{"about a child, without anything", func(n *request.DSANotice) {
			n.Requester, n.Ground, n.GoodFaith = request.Requester{}, request.GroundChildSexualAbuse, request.Statement{}
		}, "good_faith.accepted"},
		{"nobody to ask", func(n *request.DSANotice) { n.Requester.Email = "" }, ""},
		{"no address", func(n *request.DSANotice) { n.ImageURLs, n.Requester.Name = nil, "" }, ""},
		{"no explanation", func(n *request.DSANotice) { n.Explanation, n.Requester.Name = "", "" }, ""},
		{"malformed", func(n *request.DSANotice) { n.Requester.Country, n.Requester.Name = "Neverland", "" }, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			n := full
			tc.change(&n)
			c, err := o.Submit(ctx, n)
			if tc.missing == "" {
				var ve *request.ValidationError
				if !errors.As(err, &ve) {
					t.Errorf("taken in: %v", err)
				}
				return
			}
			ok(t, err)
			state := desk.StateNeedsInfo
			if n.Ground == request.GroundChildSexualAbuse {
				state = desk.StateInReview // it does not wait
			}
			if c.State != state || c.Problems[0].Field != tc.missing || c.Problems[0].Severity != request.Curable {
				t.Errorf("it is %s, with %+v", c.State, c.Problems)
			}
			if state == desk.StateInReview {
				return
			}
			o.later(time.Hour)
			_, err = o.Complete(ctx, c.ID, full)
			ok(t, err)
			if c = o.wantState(t, c.ID, desk.StateInReview); c.Received != day0 || c.Times[desk.MilestoneReceived] != day0 {
				t.Errorf("received %v", c.Received)
			}
		})
	}
}

// A complaint about a rejection opens the case again.
func TestLife_ComplaintAboutARejection(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	c := o.submit(t, notice("https://example.org/a.jpg"))
	ok(t, o.Reject(ctx, c.ID, desk.Refusal{Actor: alice, Outcome: desk.OutcomeUnfounded}))
	o.wantLetters(t, c.ID, desk.MessageReceipt, desk.MessageRejected)
	o.set(day0.AddDate(0, 7, 0))
	complaint := o.submit(t, request.Complaint{Requester: person, Case: c.ID, Party: request.PartyNotifier, Grounds: "Look again."})
	if diff := cmp.Diff([]request.Flag{desk.FlagLate}, complaint.Flags); diff != "" {
		t.Errorf("flags (-want +got):\n%s", diff)
	}
	ok(t, o.Accept(ctx, complaint.ID, desk.Grant{Actor: bob}))
	o.wantState(t, c.ID, desk.StateInReview)
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: bob}))
	wantVerdict(t, "accepted after all", o.Enforcer().FilterURL("https://example.org/a.jpg"), takedown.Block)
	if c = o.wantState(t, c.ID, desk.StateInForce); c.Times[desk.MilestoneInformed] != o.Now() {
		t.Errorf("the window for complaints runs from %v", c.Times[desk.MilestoneInformed])
	}
}

// A deficient DMCA notice is cured, accepted, answered with a counter-notice,
// and restored within 10 to 14 business days; another goes to court.
func TestLife_DMCA(t *testing.T) {
	t.Parallel()
	us := desk.Calendar{Version: "test 1", Holidays: []string{"2026-02-16"}}
	o := newOffice(t, func(opts *desk.Options) { opts.Calendars = map[string]desk.Calendar{"us": us} })
	full := samples(t, takedown.CaseID{})[request.KindDMCANotice].(request.DMCANotice)
	u := full.ImageURLs[0]

	deficient := full
	deficient.Signature = ""
	c := o.submit(t, deficient)
	if c.State != desk.StateNeedsInfo || len(c.Problems) != 1 || c.Problems[0].Severity != request.Curable {
		t.Errorf("a curable notice: %s, %v", c.State, c.Problems)
	}
	if m := o.last(desk.MessageNeedsInfo); len(m.Problems) != 1 || m.Problems[0].Field != "signature" {
		t.Errorf("asked for %v", m.Problems)
	}
	o.wantLetters(t, c.ID, desk.MessageReceipt, desk.MessageNeedsInfo)
	o.later(time.Hour)
	var ve *request.ValidationError
	if _, err := o.Complete(ctx, c.ID, deficient); !errors.As(err, &ve) {
		t.Errorf("completed with the same gap: %v", err)
	}
	if _, err := o.Complete(ctx, c.ID, notice(u)); err == nil {
		t.Error("a notice of another kind completes it")
	}
	c, err := o.Complete(ctx, c.ID, &full)
	ok(t, err)
	if c.State != desk.StateInReview || c.Received != day0 || len(c.Problems) != 0 {
		t.Errorf("completed: %s, received %v, %v", c.State, c.Received, c.Problems)
	}
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
	wantVerdict(t, "accepted", o.Enforcer().FilterURL(u), takedown.Block)
	o.letters(c.ID)

	// Received on Friday, January 30: business days begin on Monday.
	counter := o.submit(t, samples(t, c.ID)[request.KindCounterNotice])
	ok(t, o.Accept(ctx, counter.ID, desk.Grant{Actor: bob}))
	o.wantState(t, counter.ID, desk.StateCounter)
	o.wantState(t, c.ID, desk.StateInForce)
	m := o.last(desk.MessageCounterReceived)
	if m.Case != c.ID || m.Reply != counter.ID {
		t.Errorf("the claimant is told of case %v about %v", m.Reply, m.Case)
	}
	notBefore := time.Date(2026, 2, 14, 0, 0, 0, 0, time.UTC) // the end of Friday, the 10th business day
	notAfter := time.Date(2026, 2, 21, 0, 0, 0, 0, time.UTC)  // Monday is a holiday
	if m.NotBefore != notBefore || m.NotAfter != notAfter {
		t.Errorf("window %v to %v, want %v to %v", m.NotBefore, m.NotAfter, notBefore, notAfter)
	}
	wantVerdict(t, "within the window", o.Enforcer().FilterURL(u), takedown.Block)
	o.set(notBefore.Add(-time.Second))
	var early *desk.TooEarlyError
	if err := o.Restore(ctx, counter.ID, alice); !errors.As(err, &early) || early.NotBefore != notBefore {
		t.Errorf("restored too early: %v", err)
	}
	list, err := o.Due(ctx, notAfter.Add(time.Second))
	if err != nil || len(list) != 1 || list[0].Case != counter.ID || list[0].Deadline.Name != "restore" || list[0].NotAfter != notAfter {
		t.Errorf("due: %+v, %v", list, err)
	}
	o.set(notBefore)
	ok(t, o.Restore(ctx, counter.ID, alice))
	o.wantState(t, c.ID, desk.StateRestored)
	o.wantState(t, counter.ID, desk.StateRestored)
	wantVerdict(t, "restored", o.Enforcer().FilterURL(u), takedown.Allow)
	if list, err = o.Due(ctx, time.Time{}); err != nil || len(list) != 0 {
		t.Errorf("still due: %+v, %v", list, err)
	}
	o.wantLetters(t, c.ID, desk.MessageCounterReceived, desk.MessageRestored)

	// Again, with word of a court action in time.
	c = o.submit(t, full)
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
	for _, decided := range []struct {
		by    func(context.Context, takedown.CaseID, desk.Actor) error
		state desk.State // of the counter-notice
		want  takedown.Verdict
	}{
		{o.Release, desk.StateClosed, takedown.Block},
		{o.Reverse, desk.StateRestored, takedown.Allow},
	} {
		counter = o.submit(t, samples(t, c.ID)[request.KindCounterNotice])
		ok(t, o.Accept(ctx, counter.ID, desk.Grant{Actor: bob}))
		// No court that had it before makes the window any shorter.
		if err := o.Restore(ctx, counter.ID, alice); !errors.As(err, &early) || early.NotBefore.Before(o.Now().AddDate(0, 0, 10)) {
			t.Errorf("restored at once: %v", err)
		}
		ok(t, o.CourtHold(ctx, counter.ID, desk.Actor{By: "alice", Reason: "action_filed"}))
		o.later(365 * 24 * time.Hour)
		var me *desk.MoveError
		if err := o.Restore(ctx, counter.ID, alice); !errors.As(err, &me) {
			t.Errorf("restored while a court has it: %v", err)
		}
		wantVerdict(t, "held", o.Enforcer().FilterURL(u), takedown.Block)
		ok(t, decided.by(ctx, counter.ID, alice))
		o.wantState(t, counter.ID, decided.state)
		wantVerdict(t, string(decided.state), o.Enforcer().FilterURL(u), decided.want)
	}
	if list, err = o.Due(ctx, time.Time{}); err != nil || len(list) != 0 {
		t.Errorf("still due: %+v, %v", list, err)
	}

	// A counter-notice is for DMCA notices only.
	other := o.submit(t, notice("https://example.org/x.jpg"))
	if _, err := o.Submit(ctx, samples(t, other.ID)[request.KindCounterNotice]); !hasProblem(err, "case") {
		t.Errorf("a counter-notice to a DSA notice: %v", err)
	}
}

// GDPR: a month, extended to three; restriction while it is weighed; refusal.
func TestLife_GDPR(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.set(time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC))
	r := samples(t, takedown.CaseID{})[request.KindGDPRRequest].(request.GDPRRequest)
	r.Images = images(testJPEG(t, 3))
	u := r.ImageURLs[0]
	c := o.submit(t, r)
	due := func(name string) time.Time {
		t.Helper()
		list, err := o.DueOf(ctx, c.ID)
		ok(t, err)
		for _, x := range list {
			if x.Deadline.Name == name {
				return x.NotAfter
			}
		}
		return time.Time{}
	}
	if got := due("inform"); got != time.Date(2026, 2, 28, 12, 0, 0, 0, time.UTC) {
		t.Errorf("inform by %v", got)
	}
	ok(t, o.Hold(ctx, c.ID, alice))
	o.wantState(t, c.ID, desk.StateInReview)
	wantVerdict(t, "restricted", o.Enforcer().FilterURL(u), takedown.Block)
	wantVerdict(t, "the identical picture too", o.Enforcer().Filter("", hashes(t, testJPEG(t, 3))...), takedown.Block)
	if err := o.Erase(ctx, c.ID, alice); err == nil {
		t.Error("erased before it was decided")
	}
	ok(t, o.ExtendDeadline(ctx, c.ID, desk.Actor{By: "alice", Reason: "complex"}, "We wait for the publisher."))
	if got := due("inform_extended"); got != time.Date(2026, 4, 30, 12, 0, 0, 0, time.UTC) || !due("inform").IsZero() {
		t.Errorf("after the extension, inform by %v", got)
	}
	ok(t, o.Reject(ctx, c.ID, refuse(desk.Actor{By: "alice", Reason: "overriding_grounds"})))
	wantVerdict(t, "the hold ends with the decision", o.Enforcer().FilterURL(u), takedown.Allow)
	o.wantLetters(t, c.ID, desk.MessageReceipt, desk.MessageHeld, desk.MessageExtended, desk.MessageRejected)
	if !due("inform_extended").IsZero() {
		t.Error("informed, but the clock runs")
	}
	o.wantState(t, c.ID, desk.StateRejected)
}

// TAKE IT DOWN: no confirmation stands in the way, a hold within 48 hours, the
// child-safety flag.
func TestLife_IntimateImage(t *testing.T) {
	t.Parallel()
	o := newOffice(t, func(opts *desk.Options) { opts.ConfirmEmail = true })
	r := samples(t, takedown.CaseID{})[request.KindIntimateImage].(request.IntimateImage)
	c := o.submit(t, r)
	token := o.last(desk.MessageConfirmEmail).Token
	o.wantLetters(t, c.ID, desk.MessageConfirmEmail)
	if c.State != desk.StateInReview {
		t.Errorf("the case is %s: it waits while the clock runs", c.State)
	}
	ok(t, o.Confirm(ctx, c.ID, token))
	o.wantLetters(t, c.ID, desk.MessageReceipt, desk.MessageSupport)
	list, err := o.Due(ctx, time.Time{})
	if err != nil || len(list) != 1 || list[0].NotAfter != day0.Add(48*time.Hour) {
		t.Errorf("due %+v, %v", list, err)
	}
	ok(t, o.Hold(ctx, c.ID, alice))
	wantVerdict(t, "held", o.Enforcer().FilterURL(r.ImageURLs[0]), takedown.Block)
	if list, err = o.Due(ctx, time.Time{}); err != nil || len(list) != 0 {
		t.Errorf("blocked in time, but due %+v, %v", list, err)
	}
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
	wantVerdict(t, "accepted", o.Enforcer().FilterURL(r.ImageURLs[0]), takedown.Block)
	d := o.Enforcer().Filter("https://elsewhere.example/", r.Hashes[0])
	wantVerdict(t, "the identical picture elsewhere, which nobody has seen", d, takedown.Review)
	if d.Scope != takedown.ScopeIdentical {
		t.Errorf("scope %v", d.Scope)
	}
	for _, minor := range []request.Answer{request.AnswerYes, request.AnswerUnsure} {
		r.MinorDepicted = minor
		if c := o.submit(t, r); !slices.Contains(c.Flags, request.FlagChildSafety) {
			t.Errorf("minor %s: flags %v", minor, c.Flags)
		}
	}
}

// An order holds where it says, for as long as it says, and gets no statement
// of reasons.
func TestLife_AuthorityOrder(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	r := samples(t, takedown.CaseID{})[request.KindAuthorityOrder].(request.AuthorityOrder)
	u := r.ImageURLs[0]
	c := o.submit(t, r)
	end := day0.AddDate(0, 1, 0)
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice, End: end}))
	o.wantLetters(t, c.ID, desk.MessageReceipt, desk.MessageAccepted, desk.MessageOrderNotice)
	wantVerdict(t, "in Germany", o.Enforcer().In("DE").FilterURL(u), takedown.Block)
	wantVerdict(t, "in France", o.Enforcer().In("FR").FilterURL(u), takedown.Allow)
	wider := desk.Grant{Actor: alice, Territories: []string{"EU27"}, End: end, Wider: "order_was_extended"}
	wantSecond(t, "wider by one", o.Amend(ctx, c.ID, wider))
	wantVerdict(t, "in France, widened by one", o.Enforcer().In("FR").FilterURL(u), takedown.Allow)
	wider.Actor = bob
	ok(t, o.Amend(ctx, c.ID, wider))
	wantVerdict(t, "in France, widened", o.Enforcer().In("FR").FilterURL(u), takedown.Block)
	wantVerdict(t, "in Norway", o.Enforcer().In("NO").FilterURL(u), takedown.Allow)
	o.set(end)
	wantVerdict(t, "after its end", o.Enforcer().In("DE").FilterURL(u), takedown.Allow)
	if n, err := o.Expire(ctx); n != 1 || err != nil {
		t.Errorf("expired %d, %v", n, err)
	}
	o.wantState(t, c.ID, desk.StateExpired)
	if n, err := o.Expire(ctx); n != 0 || err != nil {
		t.Errorf("expired again %d, %v", n, err)
	}
}

// A hash entry holds for review until two people have vetted it.
func TestLife_HashEntry(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	r := samples(t, takedown.CaseID{})[request.KindHashEntry].(request.HashEntry)
	c := o.submit(t, r)
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
	look := func() takedown.Decision { return o.Enforcer().Filter("", hashes(t, testJPEG(t, 5))...) }
	wantVerdict(t, "not vetted", look(), takedown.Review)
	vet := desk.Grant{Actor: alice, Effect: blocklist.EffectBlock}
	var second *desk.SecondReviewError
	if err := o.Amend(ctx, c.ID, vet); !errors.As(err, &second) || !slices.Contains(second.Risks, desk.FlagUnseen) {
		t.Errorf("vetted by one: %v", err)
	}
	wantVerdict(t, "vetted by one", look(), takedown.Review)
	if err := o.Amend(ctx, c.ID, vet); !errors.As(err, &second) {
		t.Errorf("vetted by the same one: %v", err)
	}
	other := vet
	other.By, other.Scope = "bob", takedown.ScopeIdentical
	if err := o.Amend(ctx, c.ID, other); !errors.As(err, &second) {
		t.Errorf("another grant by the second: %v", err)
	}
	other.By = "alice"
	ok(t, o.Amend(ctx, c.ID, other))
	wantVerdict(t, "vetted", look(), takedown.Block)
	if c = o.wantState(t, c.ID, desk.StateInForce); len(c.Rules) != 1 || c.Granted != takedown.ScopeIdentical {
		t.Errorf("rules %v, granted %v", c.Rules, c.Granted)
	}
}

// Taking one item back leaves what the rules of the others do.
func TestWithdraw_KeepsEffects(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	r := samples(t, takedown.CaseID{})[request.KindIntimateImage].(request.IntimateImage)
	r.ImageURLs = append(r.ImageURLs, "https://example.org/other.jpg")
	c := o.submit(t, r)
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
	w := o.submit(t, request.Withdrawal{Requester: person, Case: c.ID, Items: []int{1}})
	ok(t, o.Accept(ctx, w.ID, desk.Grant{Actor: alice}))
	wantVerdict(t, "the address that is left", o.Enforcer().FilterURL(r.ImageURLs[0]), takedown.Block)
	wantVerdict(t, "the address that was taken back", o.Enforcer().FilterURL(r.ImageURLs[1]), takedown.Allow)
	wantVerdict(t, "the hash", o.Enforcer().Filter("", r.Hashes[0]), takedown.Review)
	c = o.wantState(t, c.ID, desk.StateInForce)
	if c.Effect != blocklist.EffectBlock || c.Items[1].Effect != 0 || c.Items[2].Effect != blocklist.EffectReview {
		t.Errorf("%v, items %+v", c.Effect, c.Items)
	}
}

// An objection ends a rule; nothing else that covers the address.
func TestLife_Objection(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	u := "https://example.org/a.jpg"
	first, second := o.submit(t, notice(u)), o.submit(t, notice(u))
	ok(t, o.Accept(ctx, first.ID, desk.Grant{Actor: alice}))
	ok(t, o.Accept(ctx, second.ID, desk.Grant{Actor: alice}))
	objection := o.submit(t, samples(t, first.ID)[request.KindObjection])
	ok(t, o.Accept(ctx, objection.ID, desk.Grant{Actor: bob}))
	o.wantState(t, first.ID, desk.StateReversed)
	wantVerdict(t, "covered by the other", o.Enforcer().FilterURL(u), takedown.Block)
	for _, about := range []takedown.CaseID{{1}, objection.ID} {
		if _, err := o.Submit(ctx, samples(t, about)[request.KindObjection]); !hasProblem(err, "case") {
			t.Errorf("an objection about %v: %v", about, err)
		}
	}
}

// A withdrawal can take back single items; one by somebody else needs two
// reviewers.
func TestLife_PartialWithdrawal(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	r := optOut(t, 1)
	r.Images = append(r.Images, request.FromBytes(testJPEG(t, 2)))
	c := o.submit(t, r)
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice, Scope: takedown.ScopeIdentical}))
	// What was learned for the item that stays, stays.
	learned := takedown.Candidate{ImageURLs: []string{"https://example.org/learned.jpg"}}
	kept := o.Enforcer().Filter("", hashes(t, testJPEG(t, 2))...)
	_, err := o.Resolve(ctx, desk.Match{Candidate: learned, Decision: kept}, desk.SameImage)
	ok(t, err)
	w := o.submit(t, request.Withdrawal{Requester: person, Case: c.ID, Items: []int{0}})
	if len(w.Flags) != 0 {
		t.Errorf("flags %v", w.Flags)
	}
	ok(t, o.Accept(ctx, w.ID, desk.Grant{Actor: alice}))
	look := func(seed uint32) takedown.Decision { return o.Enforcer().Filter("", hashes(t, testJPEG(t, seed))...) }
	wantVerdict(t, "taken back", look(1), takedown.Allow)
	wantVerdict(t, "kept", look(2), takedown.Block)
	wantVerdict(t, "learned for what is kept", o.Enforcer().FilterURL(learned.ImageURLs[0]), takedown.Block)
	if d := look(2); d.Rule != kept.Rule {
		t.Errorf("the rule of the item that stays is %d, was %d", d.Rule, kept.Rule)
	}
	if d := look(2); d.Scope != takedown.ScopeIdentical {
		t.Errorf("scope %v after the withdrawal of another item", d.Scope)
	}
	stranger := request.Withdrawal{Requester: request.Requester{Email: "stranger@example.org"}, Case: c.ID}
	w = o.submit(t, stranger)
	var second *desk.SecondReviewError
	if err := o.Accept(ctx, w.ID, desk.Grant{Actor: alice}); !errors.As(err, &second) {
		t.Errorf("a stranger's withdrawal: %v", err)
	}
	wantVerdict(t, "kept", look(2), takedown.Block)
	ok(t, o.Accept(ctx, w.ID, desk.Grant{Actor: bob}))
	wantVerdict(t, "withdrawn", look(2), takedown.Allow)
	stranger.Items = []int{7}
	if _, err := o.Submit(ctx, stranger); !hasProblem(err, "items[0]") {
		t.Errorf("an item that is not there: %v", err)
	}
}

// Addresses of the operator's own service become those of the sources.
func TestSubmit_AddressMapper(t *testing.T) {
	t.Parallel()
	o := newOffice(t, func(opts *desk.Options) {
		opts.URLMapper = func(text string) ([]string, bool) {
			if id, ok := strings.CutPrefix(text, "result:"); ok {
				return []string{"https://source.example/" + id + ".jpg", "https://cdn.example/" + id + ".jpg"}, true
			}
			return nil, text == "result-gone"
		}
	})
	c := o.submit(t, notice("result:17", "https://a.example/x.jpghttps://b.example/y.jpg, result:18"))
	ok(t, o.Accept(ctx, c.ID, desk.Grant{}))
	for _, u := range []string{"https://source.example/17.jpg", "https://cdn.example/17.jpg", "https://a.example/x.jpg", "https://b.example/y.jpg", "https://cdn.example/18.jpg"} {
		wantVerdict(t, u, o.Enforcer().FilterURL(u), takedown.Block)
	}
	if c = o.wantState(t, c.ID, desk.StateInForce); len(c.Items) != 6 || c.Items[2].Field != "image_urls[1]" {
		t.Errorf("items %+v", c.Items)
	}
	if _, err := o.Submit(ctx, notice("result-gone")); !hasProblem(err, "image_urls[0]") {
		t.Errorf("an id without a source: %v", err)
	}
}

// A message is offered until it is taken; the decision counts as told from then
// on.
func TestNotify_AfterAnOutage(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	down := errors.New("no connection")
	o.failing(down, "")
	c := o.submit(t, notice("https://example.org/a.jpg"))
	ok(t, o.Accept(ctx, c.ID, desk.Grant{}))
	if err := o.Retry(); !errors.Is(err, down) {
		t.Errorf("Notify: %v", err)
	}
	if c = o.wantState(t, c.ID, desk.StateInForce); !c.Times[desk.MilestoneInformed].IsZero() {
		t.Error("informed, without a message")
	}
	o.failing(nil, "")
	o.later(time.Hour)
	ok(t, o.Retry())
	o.wantLetters(t, c.ID, desk.MessageReceipt, desk.MessageAccepted, desk.MessageStatement)
	if c = o.wantState(t, c.ID, desk.StateInForce); c.Times[desk.MilestoneInformed] != o.Now() {
		t.Errorf("informed at %v", c.Times[desk.MilestoneInformed])
	}
	ok(t, o.Retry())
	o.wantLetters(t, c.ID)
}

// Only the message that tells the decision starts the window for complaints.
func TestNotify_WhatCountsAsTold(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.failing(errors.New("mailbox full"), desk.MessageAccepted)
	c := o.submit(t, notice("https://example.org/a.jpg"))
	ok(t, o.Accept(ctx, c.ID, desk.Grant{}))
	o.wantLetters(t, c.ID, desk.MessageReceipt, desk.MessageStatement)
	if c = o.wantState(t, c.ID, desk.StateInForce); !c.Times[desk.MilestoneInformed].IsZero() {
		t.Error("informed, without the decision")
	}
	o.failing(nil, "")
	ok(t, o.Retry())
	o.wantLetters(t, c.ID, desk.MessageAccepted)
	if c = o.wantState(t, c.ID, desk.StateInForce); c.Times[desk.MilestoneInformed].IsZero() {
		t.Error("not informed")
	}
}

// Retry is the desk's Notify, which the office's own hides.
func (o *office) Retry() error { return o.Desk.Notify(ctx) }
