package desk_test

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/desk/storetest"
	"github.com/staydown/staydown/takedown/request"
)

// found is what a test knows of a case beside the case itself.
type found struct {
	person  request.Requester
	address string
	hash    phash.Hash
	erased  bool
}

var (
	foundNames  = []string{"Ana María López", "Ana Pérez", "Jörg Weiß", "สมชาย ใจดี", "Lopez & Sons"}
	foundEmails = []string{"ana@example.org", "ANA@Example.org", "jorg@example.net", ""}
	foundPhones = []string{"+1 202 555 0100", "0049 30 1234567", ""}
)

// The index answers as a look at every case does, whatever happened before.
func TestFind_Model(t *testing.T) {
	t.Parallel()
	near := pdq(t, 4)
	rapid.Check(t, func(r *rapid.T) {
		now := &clock{t: day0}
		store, dir := storetest.Memory(), t.TempDir()
		opts := &desk.Options{Now: now.Now, Store: store, OperatorKey: make([]byte, 32), OneReviewer: true}
		d, err := desk.Open(dir, opts)
		ok(t, err)
		defer func() { ok(t, d.Close()) }()
		known := map[takedown.CaseID]*found{}
		var ids []takedown.CaseID
		pick := func() takedown.CaseID { return rapid.SampledFrom(ids).Draw(r, "case") }
		for range rapid.IntRange(1, 25).Draw(r, "steps") {
			move := rapid.SampledFrom([]string{"submit", "submit", "submit", "ask", "complete", "accept", "reject", "withdraw", "erase", "close", "reply", "flag", "reopen", "hold"}).Draw(r, "move")
			if len(ids) == 0 {
				move = "submit"
			}
			now.set(now.Now().Add(time.Duration(rapid.IntRange(0, 40*24).Draw(r, "hours")) * time.Hour))
			var err error
			switch move {
			case "submit":
				f := drawFound(r, near)
				var c desk.Case
				if c, err = d.Submit(ctx, f.request(r)); err == nil {
					known[c.ID], ids = f, append(ids, c.ID)
				}
			case "reply":
				var c desk.Case
				if c, err = d.Submit(ctx, request.Withdrawal{Requester: person, Case: pick()}); err == nil {
					known[c.ID], ids = &found{person: person}, append(ids, c.ID)
				}
			case "ask":
				err = d.AskInfo(ctx, pick(), alice, []string{"reason"})
			case "complete":
				id := pick()
				f := drawFound(r, near)
				if _, err = d.Complete(ctx, id, f.request(r)); err == nil {
					known[id] = f
				}
			case "accept":
				g := desk.Grant{Actor: alice}
				if rapid.Bool().Draw(r, "until") {
					g.End = now.Now().Add(30 * 24 * time.Hour)
				}
				if rapid.Bool().Draw(r, "from") {
					g.Start = now.Now().Add(10 * 24 * time.Hour)
				}
				err = d.Accept(ctx, pick(), g)
			case "reject":
				err = d.Reject(ctx, pick(), refuse(alice))
			case "withdraw":
				err = d.Withdraw(ctx, pick(), desk.Actor{})
			case "close":
				err = d.CloseCase(ctx, pick(), alice)
			case "hold":
				err = d.Hold(ctx, pick(), alice)
			case "erase":
				id := pick()
				if err = d.Erase(ctx, id, alice); err == nil {
					known[id].erased = true
				}
			case "flag":
				err = d.ConfirmFlagger(ctx, pick(), alice)
			case "reopen":
				ok(t, d.Close())
				opts.Deadlines = nil
				if rapid.Bool().Draw(r, "other deadlines") {
					opts.Deadlines = []desk.Deadline{{Regime: request.RegimeGDPR, Name: "inform", Start: desk.MilestoneReceived, Done: []desk.Milestone{desk.MilestoneInformed}, NotAfter: desk.Span{N: 5, Unit: desk.UnitDays}}}
				}
				d, err = desk.Open(dir, opts)
				ok(t, err)
			}
			if move == "submit" && err != nil || err != nil && !expectedError(err) {
				r.Fatalf("%s: %v", move, err)
			}
		}
		if len(ids) == 0 {
			return
		}
		if err := d.VerifyIndex(); err != nil {
			r.Fatal(err)
		}
		var all []desk.Case
		ok(t, eachCase(d, func(c desk.Case) bool { all = append(all, c); return true }))
		for range 6 {
			compareFind(r, d, drawQuery(r, near, ids, now.Now()), all, known)
		}
		compareDue(r, d, all, now.Now())
	})
}

// expectedError reports whether a move may fail so.
func expectedError(err error) bool {
	var m *desk.MoveError
	var g *desk.GrantError
	var e *desk.TooEarlyError
	var v *request.ValidationError
	return errors.As(err, &m) || errors.As(err, &g) || errors.As(err, &e) || errors.As(err, &v) || strings.Contains(err.Error(), "completed request is of the same kind")
}

func drawFound(r *rapid.T, near phash.Hash) *found {
	f := &found{person: request.Requester{
		Name:  rapid.SampledFrom(foundNames).Draw(r, "name"),
		Email: rapid.SampledFrom(foundEmails).Draw(r, "email"),
		Phone: rapid.SampledFrom(foundPhones).Draw(r, "phone"), PostalAddress: "1 Example Street",
	}}
	if rapid.Bool().Draw(r, "by hash") {
		f.hash = bitsFlipped(near, rapid.SampledFrom([]int{0, 20, phash.AlgPDQ.Radii(0).Block &^ 1, phash.AlgPDQ.Radii(0).Block&^1 + 2, 120}).Draw(r, "bits"))
	} else {
		f.address = fmt.Sprintf("https://example.org/%d.jpg", rapid.IntRange(0, 3).Draw(r, "address"))
	}
	return f
}

// bitsFlipped returns a hash with n bits flipped, as many ones as zeros: hashes of
// pictures have as many of both.
func bitsFlipped(h phash.Hash, n int) phash.Hash {
	b := [32]byte(h.Bytes())
	left := [2]int{n / 2, n / 2}
	for i := range 256 {
		if bit := b[i/8] >> (i % 8) & 1; left[bit] > 0 {
			left[bit]--
			b[i/8] ^= 1 << (i % 8)
		}
	}
	return phash.FromPDQ(b)
}

func (f *found) request(r *rapid.T) request.Request {
	if !f.hash.IsZero() {
		return request.IntimateImage{
			Requester: f.person, Hashes: []phash.Hash{f.hash}, NoConsent: stated("I did not consent."), Synthetic: request.AnswerNo,
			MinorDepicted: rapid.SampledFrom([]request.Answer{request.AnswerNo, request.AnswerYes}).Draw(r, "minor"), Signature: "Requester",
		}
	}
	if rapid.Bool().Draw(r, "uk") {
		return request.GDPRRequest{
			Requester: f.person, Rights: []request.Right{request.RightErasure}, ImageURLs: []string{f.address},
			Ground: request.ErasureUnlawful, UK: true,
		}
	}
	n := notice(f.address)
	n.Requester = f.person
	if f.person.Email == "" {
		n.Requester.Email = "none@example.org"
		f.person = n.Requester
	}
	return n
}

func drawQuery(r *rapid.T, near phash.Hash, ids []takedown.CaseID, now time.Time) (q desk.Query) {
	some := func(what string) bool { return rapid.IntRange(0, 3).Draw(r, what) == 0 }
	if some("states") {
		q.States = rapid.SliceOfN(rapid.SampledFrom([]desk.State{desk.StateNeedsInfo, desk.StateInReview, desk.StateInForce, desk.StateRejected, desk.StateClosed}), 1, 3).Draw(r, "states are")
	}
	if some("kinds") {
		q.Kinds = []takedown.Kind{rapid.SampledFrom([]takedown.Kind{request.KindDSANotice, request.KindIntimateImage, request.KindWithdrawal}).Draw(r, "kind is")}
	}
	if some("regimes") {
		q.Regimes = []request.Regime{request.RegimeUKGDPR}
	}
	if some("flags") {
		q.Flags = []request.Flag{request.FlagChildSafety}
	}
	if some("person") {
		q.Person = rapid.SampledFrom([]string{"ana@example.org", "Ana@EXAMPLE.org", "lopez", "María", "perez ana", "jorg", "สมชาย", "+12025550100", "+49 30 1234567", "nobody"}).Draw(r, "person is")
	}
	if some("address") {
		q.Address = fmt.Sprintf("http://EXAMPLE.org:80/%d.jpg", rapid.IntRange(0, 3).Draw(r, "address is"))
	}
	if some("picture") {
		q.Picture = takedown.Candidate{Hashes: []phash.Hash{near}}
	}
	if some("about") {
		q.About = rapid.SampledFrom(ids).Draw(r, "about is")
	}
	if some("due") {
		q.DueBefore = now.Add(time.Duration(rapid.IntRange(-1000, 1000).Draw(r, "due is")) * time.Hour)
	}
	if some("received") {
		q.ReceivedFrom = now.Add(-time.Duration(rapid.IntRange(0, 2000).Draw(r, "received is")) * time.Hour)
	}
	if some("received before") {
		q.ReceivedBefore = now.Add(-time.Duration(rapid.IntRange(0, 2000).Draw(r, "received is before")) * time.Hour)
	}
	q.Order = rapid.SampledFrom([]desk.Order{desk.ByUrgency, desk.NewestFirst}).Draw(r, "order")
	q.Limit = rapid.IntRange(1, 8).Draw(r, "limit")
	return q
}

// compareFind compares the pages of a query with the cases that it selects.
func compareFind(r *rapid.T, d *desk.Desk, q desk.Query, all []desk.Case, known map[takedown.CaseID]*found) {
	var want []desk.Case
	for _, c := range all {
		if selects(&q, &c, known[c.ID], d.DueAt(c.ID)) {
			want = append(want, c)
		}
	}
	slices.SortFunc(want, func(a, b desk.Case) int {
		if q.Order == desk.NewestFirst {
			return cmp.Or(b.Received.Compare(a.Received), slices.Compare(a.ID[:], b.ID[:]))
		}
		return cmp.Or(cmp.Compare(desk.PriorityOf(&a), desk.PriorityOf(&b)), compareDates(d.DueAt(a.ID), d.DueAt(b.ID)), a.Received.Compare(b.Received), slices.Compare(a.ID[:], b.ID[:]))
	})
	n, err := d.Count(ctx, q)
	if err != nil || n != len(want) {
		r.Fatalf("%+v: Count is %d, %v, want %d", q, n, err, len(want))
	}
	for {
		page, err := d.Find(ctx, q)
		if err != nil {
			r.Fatal(err)
		}
		for _, c := range page.Cases {
			if len(want) == 0 || c.ID != want[0].ID {
				r.Fatalf("%+v: case %v is found, of which %d are left", q, c.ID, len(want))
			}
			want = want[1:]
		}
		if q.After = page.Next; q.After == "" {
			break
		}
		if len(page.Cases) != q.Limit {
			r.Fatalf("%+v: a page of %d cases, and there is another", q, len(page.Cases))
		}
	}
	if len(want) > 0 {
		r.Fatalf("%+v: %d cases are not found", q, len(want))
	}
}

// compareDates is Compare with no date last.
func compareDates(a, b time.Time) int {
	if a.IsZero() || b.IsZero() {
		return b.Compare(a)
	}
	return a.Compare(b)
}

func selects(q *desk.Query, c *desk.Case, f *found, due time.Time) bool {
	plain := strings.NewReplacer("á", "a", "é", "e", "í", "i", "ó", "o", "ö", "o", "&", " ")
	switch {
	case len(q.States) > 0 && !slices.Contains(q.States, c.State),
		len(q.Kinds) > 0 && !slices.Contains(q.Kinds, c.Kind),
		len(q.Regimes) > 0 && !slices.Contains(q.Regimes, c.Regime),
		len(q.Flags) > 0 && !slices.Contains(c.Flags, q.Flags[0]),
		q.About != takedown.CaseID{} && c.About != q.About,
		!q.DueBefore.IsZero() && (due.IsZero() || !due.Before(q.DueBefore)),
		!q.ReceivedFrom.IsZero() && c.Received.Before(q.ReceivedFrom),
		!q.ReceivedBefore.IsZero() && !c.Received.Before(q.ReceivedBefore):
		return false
	case q.Address != "" && f.address != "https"+strings.ToLower(strings.Replace(q.Address[4:], ":80", "", 1)):
		return false
	}
	if len(q.Picture.Hashes) > 0 {
		if n, ok := q.Picture.Hashes[0].Distance(f.hash); !ok || n > phash.AlgPDQ.Radii(0).Block {
			return false
		}
	}
	// What the case was made of is forgotten with the person once nothing is in force.
	if f.erased && len(c.Rules) == 0 && (q.Address != "" || len(q.Picture.Hashes) > 0) || f.erased && q.Person != "" {
		return false
	}
	switch {
	case strings.Contains(q.Person, "@"):
		return strings.EqualFold(q.Person, f.person.Email)
	case strings.HasPrefix(q.Person, "+1"):
		return strings.HasPrefix(f.person.Phone, "+1")
	case strings.HasPrefix(q.Person, "+49"):
		return strings.HasPrefix(f.person.Phone, "0049")
	}
	words := strings.Fields(plain.Replace(strings.ToLower(f.person.Name)))
	for _, w := range strings.Fields(plain.Replace(strings.ToLower(q.Person))) {
		if !slices.Contains(words, w) {
			return false
		}
	}
	return true
}

// compareDue compares Due with the deadlines of each case.
func compareDue(r *rapid.T, d *desk.Desk, all []desk.Case, now time.Time) {
	for _, before := range []time.Time{{}, now, now.Add(20 * 24 * time.Hour)} {
		list, err := d.Due(ctx, before)
		if err != nil {
			r.Fatal(err)
		}
		want := 0
		for _, c := range all {
			due, err := d.DueOf(ctx, c.ID)
			if err != nil {
				r.Fatal(err)
			}
			for _, x := range due {
				by := x.NotAfter
				if by.IsZero() && x.NotBefore.IsZero() {
					by = x.Start
				}
				if by.IsZero() || !before.IsZero() && !by.Before(before) {
					continue
				}
				want++
				if !slices.ContainsFunc(list, func(y desk.Due) bool { return y.Case == c.ID && y.Deadline.Name == x.Deadline.Name }) {
					r.Fatalf("Due before %v lacks %s of case %v", before, x.Deadline.Name, c.ID)
				}
			}
		}
		if want != len(list) {
			r.Fatalf("Due before %v has %d deadlines, want %d", before, len(list), want)
		}
	}
}

// Queries that cannot be answered are refused by the name of the field.
func TestFind_Refused(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.submit(t, notice("https://example.org/a.jpg"))
	o.submit(t, notice("https://example.org/b.jpg"))
	page, err := o.Find(ctx, desk.Query{Limit: 1})
	ok(t, err)
	for field, q := range map[string]desk.Query{
		"Limit":   {Limit: 1001},
		"Order":   {Order: 7},
		"Person":  {Person: "  ,"},
		"Address": {Address: "mailto:a@example.org"},
		"After":   {After: page.Next, Order: desk.NewestFirst},
	} {
		var a *takedown.ArgumentError
		if _, err := o.Find(ctx, q); !errors.As(err, &a) || a.Name != "desk.Query."+field {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, after := range []string{"!", "AA", page.Next + "AA", page.Next[1:]} {
		if _, err := o.Find(ctx, desk.Query{After: after}); err == nil {
			t.Errorf("Find after %q succeeds", after)
		}
	}
}

// The bytes of a new key can stand inside a key that the case has already: the start
// of rules inside the rank of a queue, behind the last byte of a deadline. The index
// has both keys.
func TestFind_KeyInsideKey(t *testing.T) {
	t.Parallel()
	o := newOffice(t, func(opts *desk.Options) {
		opts.Deadlines = append(opts.Deadlines, desk.Deadline{
			Regime: request.RegimeDSA, Name: "soon", Start: desk.MilestoneReceived, Done: []desk.Milestone{desk.MilestoneClosed},
			NotAfter: desk.Span{N: 1, Unit: desk.UnitHours},
		})
	})
	for o.Now().Add(time.Hour).Unix()&0xff != 's' { // the prefix of starts
		o.later(time.Second)
	}
	c := o.submit(t, notice("https://example.org/a.jpg"))
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice, Start: c.Received}))
	ok(t, o.VerifyIndex())
}
