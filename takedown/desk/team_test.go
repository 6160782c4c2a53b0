package desk_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/desk/storetest"
	"github.com/staydown/staydown/takedown/request"
)

// A team works at one desk, in any order, while its store fails at any write and its
// process is restarted at any moment.
type team struct {
	*office
	t     *testing.T
	dice  *rand.Rand
	seed  uint64
	dir   string
	store *faulty
	cases []*teamCase
	done  map[string]int // what succeeded, how often
	n     int
}

// teamCase is what the model knows of a case.
type teamCase struct {
	id       takedown.CaseID
	kind     takedown.Kind
	about    *teamCase
	url      string // that it is about, of nobody else
	notes    int
	erased   bool
	received time.Time // if it was imported
}

// TestDesk_Life has the moves of single cases. This is the life of a team: assignments,
// notes and papers, bulk decisions, imports with the dates of past decisions, objections
// without a number, complaints, looks, erasure, and the feed. Whatever is done in
// whatever order: what a case has in force is enforced and nothing else, notes and papers
// are there or erased, nobody decides what is assigned to another, nobody decides about
// a complaint against their own decision, queues agree with the cases, and the feed with
// the log.
func TestDesk_TeamLife(t *testing.T) {
	t.Parallel()
	courses := uint64(6)
	if os.Getenv("STAYDOWN_LONG") != "" {
		courses = 300
	}
	all := map[string]int{}
	for seed := range courses {
		teamCourse(t, seed, all)
	}
	for _, what := range []string{
		"submit", "import", "past", "assign", "note", "papers", "view", "accept", "reject", "bulk", "ask", "complete", "complaint", "object", "erase", "hold", "match", "close same", "dossier",
	} {
		if all[what] == 0 {
			t.Errorf("nothing came of %q: the test proves too little", what)
		}
	}
}

func teamCourse(t *testing.T, seed uint64, all map[string]int) {
	t.Helper()
	dir, err := memoryDir()
	ok(t, err)
	defer os.RemoveAll(dir)
	x := &team{
		t: t, seed: seed, dice: rand.New(rand.NewPCG(seed, 11)), dir: dir, store: &faulty{Store: storetest.Memory()}, done: all,
		office: &office{clock: &clock{t: day0}},
	}
	x.open()
	defer func() { x.Close() }()
	for range 60 {
		x.act()
		if x.store.left() == 0 {
			x.check()
		}
	}
	x.restart()
	x.check()
	x.checkFeed()
}

func (x *team) open() {
	d, err := desk.Open(x.dir, &desk.Options{Now: x.Now, Notifier: x.office, Store: x.store, MessagesPerDay: -1})
	ok(x.t, err)
	x.Desk = d
}

func (x *team) restart() {
	x.store.fail(0, false)
	ok(x.t, x.Close())
	x.open()
}

// came notes what a call answered: success, a refusal of a kind that there may be, or
// the failure that was injected.
func (x *team) came(what string, err error) bool {
	x.t.Helper()
	x.store.fail(0, false)
	var (
		move     *desk.MoveError
		grant    *desk.GrantError
		second   *desk.SecondReviewError
		early    *desk.TooEarlyError
		late     *desk.TooLateError
		valid    *request.ValidationError
		assigned *desk.AssignedError
	)
	switch {
	case err == nil:
		x.done[what]++
		return true
	case errors.Is(err, errInjected), errors.Is(err, desk.ErrErased), errors.Is(err, desk.ErrSameReviewer),
		errors.As(err, &move), errors.As(err, &grant), errors.As(err, &second), errors.As(err, &early), errors.As(err, &late), errors.As(err, &valid), errors.As(err, &assigned):
	default:
		x.t.Fatalf("seed %d: %s: %v", x.seed, what, err)
	}
	return false
}

func (x *team) reviewer() desk.Actor {
	return desk.Actor{By: []string{"alice", "bob", "carol"}[x.dice.IntN(3)], Reason: "well_founded"}
}

// read returns a case as it is.
func (x *team) read(k *teamCase) desk.Case {
	x.t.Helper()
	c, err := x.Case(ctx, k.id)
	ok(x.t, err)
	return c
}

func (x *team) act() {
	if x.dice.IntN(12) == 0 {
		x.store.fail(1+x.dice.IntN(3), x.dice.IntN(2) == 0)
	}
	if len(x.cases) < 3 || x.dice.IntN(4) == 0 {
		x.send()
		return
	}
	k := x.cases[x.dice.IntN(len(x.cases))]
	switch a := x.reviewer(); x.dice.IntN(16) {
	case 0, 1, 2:
		x.decide(k, a, time.Time{})
	case 3:
		x.bulk(a)
	case 4:
		until := x.Now().Add(time.Duration(1+x.dice.IntN(5)) * time.Hour)
		x.came("assign", x.Assign(ctx, k.id, a, a.By, until))
	case 5:
		x.note(k, a)
	case 6:
		_, err := x.View(ctx, k.id, a)
		x.came("view", err)
	case 7:
		x.ask(k, a)
	case 8:
		x.came("extend", x.ExtendDeadline(ctx, k.id, a, "It is complex."))
	case 9:
		if x.came("hold", x.LegalHold(ctx, k.id, x.dice.IntN(2) == 0, a)) {
			return
		}
	case 10:
		x.erase(k, a)
	case 11:
		x.match(k, a)
	case 12:
		_, err := x.CloseSame(ctx, k.id, a)
		x.came("close same", err)
	case 13:
		x.dossier(k, a)
	case 14:
		x.later(time.Duration(1+x.dice.IntN(40)) * time.Hour)
		_, err := x.Expire(ctx)
		x.came("expire", err)
	default:
		x.restart()
	}
}

// send takes in a request: of today, of the past, or a reply to another one.
func (x *team) send() {
	x.n++
	k := &teamCase{url: fmt.Sprintf("https://example.org/team-%d.jpg", x.n)}
	r := request.Request(notice(k.url))
	all := samples(x.t, takedown.CaseID{})
	switch x.dice.IntN(8) {
	case 0:
		n := all[request.KindThaiNotice].(request.ThaiNotice)
		n.ImageURLs = []string{k.url}
		r = n
	case 1:
		n := all[request.KindGDPRRequest].(request.GDPRRequest)
		n.ImageURLs = []string{k.url}
		r = n
	case 2, 3:
		if len(x.cases) > 0 {
			k.about = x.cases[x.dice.IntN(len(x.cases))]
			party := []request.Party{request.PartyAffected, request.PartyNotifier}[x.dice.IntN(2)]
			k.url, r = "", request.Complaint{Requester: person, Case: k.about.id, Party: party, Grounds: "It is wrong."}
		}
	case 4:
		if len(x.cases) > 0 {
			from := x.dice.IntN(len(x.cases))
			for i := range x.cases { // one that blocks something
				about := x.cases[(from+i)%len(x.cases)]
				if about.url != "" && x.Enforcer().FilterURL(about.url).Verdict == takedown.Block {
					k.url, r = "", objectionTo(x.t, nil, about.url)
					break
				}
			}
		}
	case 5:
		if len(x.cases) > 0 { // the same again, of the same person
			if same := x.cases[x.dice.IntN(len(x.cases))]; same.url != "" {
				k.url, r = "", notice(same.url)
			}
		}
	}
	k.kind = r.Kind()
	var papers []request.Paper
	if x.dice.IntN(3) == 0 {
		papers = append(papers, request.Paper{Kind: request.PaperPolice, Name: "report.pdf", Data: []byte("Report")})
	}
	var c desk.Case
	var err error
	if past := x.Now().Add(-time.Duration(1+x.dice.IntN(1000)) * time.Hour); k.about == nil && x.dice.IntN(4) == 0 {
		k.received = past
		c, err = x.Import(ctx, r, past, papers...)
		if x.came("import", err) {
			k.id, k.notes = c.ID, len(papers)
			x.cases = append(x.cases, k)
			if x.dice.IntN(2) == 0 {
				x.decide(k, x.reviewer(), past.Add(time.Minute))
			}
		}
		return
	}
	c, err = x.Submit(ctx, r, papers...)
	if x.came("submit", err) {
		k.id, k.notes = c.ID, len(papers)
		x.cases = append(x.cases, k)
		if papers != nil {
			x.done["papers"]++
		}
		if k.kind == request.KindObjection {
			x.decide(k, x.reviewer(), time.Time{})
		}
	}
}

// decide accepts or rejects a case, also one that was decided elsewhere.
func (x *team) decide(k *teamCase, a desk.Actor, past time.Time) {
	x.t.Helper()
	before, first := x.read(k), ""
	if k.kind == request.KindComplaint {
		first = lastDecider(x.read(k.about))
	}
	what, err := "accept", error(nil)
	if x.dice.IntN(3) == 0 {
		what = "reject"
		a.Reason = "not_illegal"
		err = x.Reject(ctx, k.id, desk.Refusal{Actor: a, Past: past})
	} else {
		err = x.Accept(ctx, k.id, desk.Grant{Actor: a, Past: past})
	}
	switch k.kind {
	case request.KindComplaint:
		what += " complaint"
	case request.KindObjection:
		what += " objection"
	}
	if !x.came(what, err) {
		return
	}
	x.decided(k, before, first, a)
	if what == "accept complaint" || what == "reject complaint" {
		x.done["complaint"]++
	}
	if what == "accept objection" {
		x.done["object"]++
	}
	if !past.IsZero() {
		x.done["past"]++
		if c := x.read(k); c.Times[desk.MilestoneDecided] != past.UTC().Truncate(time.Second) || c.Times[desk.MilestoneInformed] != c.Times[desk.MilestoneDecided] {
			x.t.Fatalf("seed %d: decided at %v, want %v", x.seed, c.Times, past)
		}
	}
}

// decided reports a decision that was made against the rules of the team. first is who
// decided what a complaint is about.
func (x *team) decided(k *teamCase, before desk.Case, first string, a desk.Actor) {
	x.t.Helper()
	if before.Assignee != "" && before.Assignee != a.By && x.Now().Before(before.AssignedUntil) && before.State != desk.StateSecondReview {
		x.t.Fatalf("seed %d: %s decided what is assigned to %s", x.seed, a.By, before.Assignee)
	}
	if k.kind == request.KindComplaint && first == a.By {
		x.t.Fatalf("seed %d: %s decided a complaint about their own decision", x.seed, a.By)
	}
}

// lastDecider is who moved a case to a decision last.
func lastDecider(c desk.Case) string {
	for _, m := range slices.Backward(c.Moves) {
		switch m.To {
		case desk.StateEnforcing, desk.StateRevoking, desk.StateRejected, desk.StateClosed, desk.StateCounter, desk.StateReversed, desk.StateWithdrawn:
			if m.By != "" {
				return m.By
			}
		}
	}
	return ""
}

// bulk decides several cases at once.
func (x *team) bulk(a desk.Actor) {
	var ids []takedown.CaseID
	for range 3 {
		if id := x.cases[x.dice.IntN(len(x.cases))].id; !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	var failed map[takedown.CaseID]error
	if x.dice.IntN(2) == 0 {
		failed = x.AcceptAll(ctx, ids, desk.Grant{Actor: a})
	} else {
		a.Reason = "not_illegal"
		failed = x.RejectAll(ctx, ids, desk.Refusal{Actor: a})
	}
	for _, id := range ids {
		x.came("bulk", failed[id])
	}
}

func (x *team) note(k *teamCase, a desk.Actor) {
	x.store.fail(0, false) // that the model can count
	if x.came("note", x.AddNote(ctx, k.id, a, "Look again.", "", nil)) {
		k.notes++
	}
}

// ask asks the requester, who sends the same again, with a paper.
func (x *team) ask(k *teamCase, a desk.Actor) {
	if !x.came("ask", x.AskInfo(ctx, k.id, a, nil, "Which one?")) {
		return
	}
	c := x.read(k)
	if c.Request == nil {
		return
	}
	_, err := x.Complete(ctx, k.id, c.Request, request.Paper{Kind: request.PaperOther, Name: "more.pdf", Data: []byte("More")})
	if x.came("complete", err) {
		k.notes++
	}
}

func (x *team) erase(k *teamCase, a desk.Actor) {
	if x.came("erase", x.Erase(ctx, k.id, a)) {
		k.erased = true
	}
	c := x.read(k)
	k.erased = c.Erased() // a failure may come afterwards
}

// match sends what a crawler held, and answers it.
func (x *team) match(k *teamCase, a desk.Actor) {
	if k.url == "" {
		return
	}
	d := x.Enforcer().FilterURL(k.url)
	if d.Verdict != takedown.Block {
		return
	}
	x.store.fail(0, false)
	added, err := x.AddMatches(ctx, takedown.Match{Decision: d, Candidate: takedown.Candidate{ImageURLs: []string{k.url}, SHA256: [32]byte{byte(x.n), 1}}})
	if x.came("match", err) && added.New+added.Again+added.Known != 1 {
		x.t.Fatalf("seed %d: of one match: %+v", x.seed, added)
	}
}

func (x *team) dossier(k *teamCase, a desk.Actor) {
	x.store.fail(0, false)
	d, err := x.Dossier(ctx, k.id, a, true)
	if !x.came("dossier", err) {
		return
	}
	want := k.notes
	if k.erased {
		want = 0
	}
	if len(d.Notes) != want || len(d.Log) == 0 || d.Log[len(d.Log)-1].To != "exported" {
		x.t.Fatalf("seed %d: the dossier has %d notes, want %d, and ends with %+v", x.seed, len(d.Notes), want, d.Log[len(d.Log)-1])
	}
}

// check holds what the desk has against what the model knows.
func (x *team) check() {
	x.t.Helper()
	assigned := map[string]int{}
	for _, k := range x.cases {
		c := x.read(k)
		if c.State == desk.StateEnforcing || c.State == desk.StateRevoking {
			continue // cut short
		}
		if k.url != "" {
			if d := x.Enforcer().FilterURL(k.url); (d.Verdict == takedown.Block && d.Case == c.ID) != (c.Items[0].Rule != 0) {
				// Another request for the same address may block it, too.
				if c.Items[0].Rule != 0 && d.Verdict == takedown.Block {
					continue
				}
				x.t.Fatalf("seed %d: %s, case %s with rule %d: %v", x.seed, k.url, c.State, c.Items[0].Rule, d)
			}
		}
		if !k.received.IsZero() && c.Times[desk.MilestoneReceived] != k.received.UTC().Truncate(time.Second) {
			x.t.Fatalf("seed %d: imported as of %v, and it is %v", x.seed, k.received, c.Times)
		}
		notes, err := x.Notes(ctx, k.id)
		if k.erased != errors.Is(err, desk.ErrErased) || !k.erased && (err != nil || len(notes) != k.notes) {
			x.t.Fatalf("seed %d: %d notes, want %d, erased %t: %v", x.seed, len(notes), k.notes, k.erased, err)
		}
		if c.Assignee != "" && x.Now().Before(c.AssignedUntil) {
			assigned[c.Assignee]++
		}
	}
	sum := 0
	for _, name := range []string{"alice", "bob", "carol"} {
		n, err := x.Count(ctx, desk.Query{Assignee: name})
		if err != nil || n != assigned[name] {
			x.t.Fatalf("seed %d: %d cases are assigned to %s, the query finds %d: %v", x.seed, assigned[name], name, n, err)
		}
		sum += n
	}
	if n, err := x.Count(ctx, desk.Query{Unassigned: true}); err != nil || n+sum != x.all() {
		x.t.Fatalf("seed %d: %d assigned, %d not, %d in all: %v", x.seed, sum, n, x.all(), err)
	}
	if _, _, err := x.VerifyLog(ctx); err != nil {
		x.t.Fatal(err)
	}
}

// all is the number of cases; some may be there although their receipt failed.
func (x *team) all() (n int) {
	for _, err := range x.Cases(ctx) {
		ok(x.t, err)
		n++
	}
	return n
}

// checkFeed holds the feed against the log, from several numbers on.
func (x *team) checkFeed() {
	x.t.Helper()
	var log []desk.LogEntry
	for e, err := range x.Log(ctx, 1) {
		ok(x.t, err)
		log = append(log, e)
	}
	for _, after := range []int{0, len(log) / 2, len(log) - 1} {
		stopped, cancel := context.WithCancel(ctx)
		i := after
		for e, err := range x.Follow(stopped, uint64(after)) {
			if err != nil {
				break
			}
			if e != log[i] {
				x.t.Fatalf("seed %d: the feed has %+v, the log %+v", x.seed, e, log[i])
			}
			if i++; i == len(log) {
				cancel()
			}
		}
		cancel()
		if i != len(log) {
			x.t.Fatalf("seed %d: the feed ends at %d of %d", x.seed, i, len(log))
		}
	}
}
