package web

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// console adds the reviewers' pages.
func (h *Handler) console(mux *http.ServeMux) {
	if l, ok := h.opts.Login.(http.Handler); ok { // it has pages of its own
		mux.Handle("/desk/login/", http.StripPrefix("/desk/login", l))
	}
	mux.HandleFunc("GET /desk/keys.js", func(w http.ResponseWriter, r *http.Request) { serveAsset(w, r, "text/javascript", h.keys) })
	for pattern, page := range map[string]func(http.ResponseWriter, *http.Request, Reviewer){
		"GET /desk/{$}":                     h.queue,
		"GET /desk/case/{id}":               h.review,
		"POST /desk/case/{id}":              h.decide,
		"GET /desk/case/{id}/image/{n}":     h.caseImage,
		"GET /desk/case/{id}/letter":        h.letter,
		"GET /desk/index/{key...}":          h.indexImage,
		"GET /desk/case/{id}/pair/{key...}": h.indexPair,
		"GET /desk/alarms":                  h.alarms,
		"GET /desk/due":                     h.due,
		"GET /desk/numbers":                 h.showNumbers,
		"GET /desk/export.csv":              h.export,
		"POST /desk/case/{id}/note":         h.note,
		"GET /desk/case/{id}/crop/{item}":   h.crop,
		"GET /desk/case/{id}/paper/{n}":     h.paper,
		"GET /desk/matches":                 h.matches,
		"POST /desk/matches":                h.answerMatches,
		"GET /desk/matches/{n}/picture":     h.matchPicture,
		"POST /desk/undo/{action}":          h.undo,
		"GET /desk/report.json":             h.report,
		"POST /desk/bulk":                   h.bulk,
	} {
		mux.HandleFunc(pattern, h.forReviewers(page))
	}
}

// forReviewers shows a page to reviewers only.
func (h *Handler) forReviewers(page func(http.ResponseWriter, *http.Request, Reviewer)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who, ok := h.opts.Login.Reviewer(r)
		if !ok {
			h.opts.Login.Challenge(w, r)
			return
		}
		h.counter.start(h.count) // so that nobody waits for the numbers
		page(w, r, who)
	}
}

// consolePage is a page of the console. It is in English, unless the operator
// brings other words.
func (h *Handler) consolePage(r *http.Request, who Reviewer, title string, data any) page {
	p := h.page(r, title, data)
	p.Reviewer = &who
	if n := r.URL.Query().Get("note"); n != "" && p.W.has("note."+n) {
		p.Note = p.W.of("note." + n)
	}
	var failed failure
	if p.Later, failed = h.later.of(who.ID, p.Now); failed.failed > 0 {
		p.Alert = p.W.format("later.failed", "{n}", strconv.Itoa(failed.n), "{failed}", strconv.Itoa(failed.failed))
	}
	return p
}

// mayOpen reports whether a reviewer may see a case.
func (who Reviewer) mayOpen(c *desk.Case) bool {
	return who.Roles.Has(RoleChildren) || !slices.Contains(c.Flags, request.FlagChildSafety)
}

// visible reports whether a reviewer may see a case. One that is no case of this desk
// has nothing to hide.
func (h *Handler) visible(ctx context.Context, who Reviewer, id takedown.CaseID) bool {
	c, err := h.desk.Case(ctx, id)
	return errors.Is(err, desk.ErrNoCase) || err == nil && who.mayOpen(&c)
}

// caseOf returns the case that a path names, if the reviewer may see it.
func (h *Handler) caseOf(w http.ResponseWriter, r *http.Request, who Reviewer) (c desk.Case, ok bool) {
	id, err := takedown.ParseCaseID(plainID(r.PathValue("id")))
	if err == nil {
		c, err = h.desk.Case(r.Context(), id)
	}
	if err != nil || !who.mayOpen(&c) {
		p := h.consolePage(r, who, "missing", nil)
		h.render(w, r, http.StatusNotFound, "missing", p)
		return c, false
	}
	return c, true
}

// reviewPage is a case as a reviewer sees it.
type reviewPage struct {
	Case     desk.Case
	Who      request.Requester
	Said     []line
	Images   []int
	Erased   bool
	Blur     bool
	Terms    terms
	Index    bool // its pictures can be shown
	Preview  *desk.Preview
	Found    []shownFound
	Views    []shownView
	Problem  string
	Scopes   []option
	Refusals []option // reasons
	Grounds  []option
	Due      []desk.Due
	Evidence []desk.Evidence
	Items    []reviewItem
	// Moves that are possible now.
	CanDecide, CanAsk, CanHold, CanRelease, CanReverse, CanClose, CanErase, CanAmend, CanFlagger, CanAuthority bool
	Outcomes                                                                                                   []option
	Second                                                                                                     bool // another reviewer has accepted it
	FaceAsked                                                                                                  bool
	Countries                                                                                                  []option
	About                                                                                                      string
	AskFields                                                                                                  []option
	Team                                                                                                       teamPage
}

type reviewItem struct {
	desk.CaseItem
	N    int
	What string
}

// review shows a case, and notes in the log who looked at it.
func (h *Handler) review(w http.ResponseWriter, r *http.Request, who Reviewer) {
	c, ok := h.caseOf(w, r, who)
	if !ok {
		return
	}
	c, err := h.desk.View(r.Context(), c.ID, who.actor(""))
	if err != nil {
		h.fail(w, r, err)
		return
	}
	p := h.consolePage(r, who, "review", nil)
	h.showReview(w, r, http.StatusOK, p, c, termsOf(r.URL.Query()))
}

func (h *Handler) showReview(w http.ResponseWriter, r *http.Request, status int, p page, c desk.Case, form terms) {
	v := reviewPage{Case: c, Terms: form, Index: h.opts.Thumbnail != nil, Erased: c.Erased(), Blur: c.Delicate()}
	if c.Request != nil { // the personal data was not erased
		v.Who = c.Request.From()
		if d := h.doorOf(c.Kind); d != nil {
			rest := *d
			rest.Groups = slices.DeleteFunc(slices.Clone(d.Groups), func(g group) bool { return strings.HasPrefix(g.Name, "who") })
			v.Said = h.linesOf(p.W, &rest, c.Request)
		}
		for i, f := range request.Images(c.Request) {
			if !f.IsZero() { // not one of several faces that is gone
				v.Images = append(v.Images, i)
			}
		}
	}
	values := valuesOf(c.Request)
	for i, it := range c.Items {
		v.Items = append(v.Items, reviewItem{it, i, valueAt(values, it.Field)})
	}
	if c.State == desk.StateInForce && !form.Entered() {
		v.Terms = inForce(&c)
	}
	h.possible(&v, p)
	var err error
	if v.Team, err = h.team(r.Context(), *p.Reviewer, &c); err != nil {
		h.fail(w, r, err)
		return
	}
	if v.Due, err = h.desk.DueOf(r.Context(), c.ID); err != nil {
		h.fail(w, r, err)
		return
	}
	if v.Evidence, err = h.desk.Evidence(r.Context(), c.ID); err != nil && !errors.Is(err, desk.ErrErased) {
		h.fail(w, r, err)
		return
	}
	if c.Asked != 0 && v.CanDecide || len(c.Rules) > 0 {
		h.preview(r.Context(), &v, *p.Reviewer)
	}
	v.FaceAsked = c.Asked == takedown.ScopeFace && !slices.ContainsFunc(c.Items, func(it desk.CaseItem) bool { return it.Kind == request.ItemFace })
	p.Title = p.W.of("kind." + c.Kind.String())
	p.Data = v
	h.render(w, r, status, "review", p)
}

// preview fills in what the terms of the page would do. Terms that are not possible
// are a problem that is shown, beside what was asked for.
func (h *Handler) preview(ctx context.Context, v *reviewPage, who Reviewer) {
	var at *desk.Grant
	if v.Terms.Entered() && (v.CanDecide || v.CanAmend) {
		if g, err := grantOf(v.Terms, &v.Case, who.actor("")); err != nil {
			v.Problem = err.Error()
		} else {
			g.Seen, at = 0, &g
		}
	}
	p, err := h.desk.Preview(ctx, v.Case.ID, h.opts.Index, at)
	if err != nil && at != nil {
		v.Problem = err.Error()
		p, err = h.desk.Preview(ctx, v.Case.ID, h.opts.Index, nil)
	}
	if err != nil {
		v.Problem = err.Error()
		return
	}
	v.Preview, v.Found = &p, found(&p)
	for _, x := range p.Views {
		v.Views = append(v.Views, shownView{x, viewText(x.View)})
	}
}

// possible fills in which moves a case can make, and what can be chosen.
func (h *Handler) possible(v *reviewPage, p page) {
	c := &v.Case
	v.CanDecide = slices.Contains([]desk.State{desk.StateInReview, desk.StateSecondReview, desk.StateNeedsInfo}, c.State)
	v.CanAsk = c.State == desk.StateInReview || c.State == desk.StateSecondReview
	v.Second = c.State == desk.StateSecondReview
	held := len(c.Rules) > 0 && v.CanDecide
	v.CanHold, v.CanRelease = v.CanDecide && !held && c.Asked != 0, held
	v.CanAmend = c.State == desk.StateInForce && c.Request != nil
	v.CanReverse = c.State == desk.StateInForce || c.State == desk.StateCourtHold
	v.CanClose = slices.Contains([]desk.State{desk.StateRejected, desk.StateWithdrawn, desk.StateReversed, desk.StateRestored, desk.StateExpired, desk.StateAbandoned}, c.State)
	v.CanErase = !c.Erased() && !v.CanDecide && c.State != desk.StateUnconfirmed
	if c.About != noCase {
		v.About = c.About.String()
	}
	for x := takedown.ScopeFace; c.Asked > takedown.ScopeURL && x >= takedown.ScopeBytes; x-- {
		if x == takedown.ScopeFace && c.Asked != takedown.ScopeFace {
			continue // a face is never granted to somebody who did not ask for it
		}
		name := strconv.Itoa(int(x))
		label := p.W.of("scope." + x.String())
		if x > c.Asked {
			label += " – " + p.W.of("scope.wider")
		}
		v.Scopes = append(v.Scopes, option{name, label, v.Terms.Is("scope", name, x == c.Asked)})
	}
	for _, o := range outcomes[:len(outcomes)-orLast(c.Kind != request.KindOpenOptOut)] {
		v.Outcomes = append(v.Outcomes, option{string(o), p.W.of("outcome." + string(o)), false})
	}
	v.CanFlagger = slices.Contains(c.Flags, request.FlagTrustedFlagger) && !slices.Contains(c.Flags, desk.FlagFlaggerConfirmed)
	v.CanAuthority = c.Kind == request.KindAuthorityOrder && v.CanDecide
	v.Refusals, v.Grounds = h.reasons(p.W, desk.Reasons()), h.reasons(p.W, acceptances)
	v.Countries = slices.Clone(p.W.countries)
	for i := range v.Countries {
		v.Countries[i].Chosen = v.Terms.Is("territory", v.Countries[i].Value, false)
	}
	if d := h.doorOf(c.Kind); d != nil {
		for _, f := range d.fields() {
			if f.Type != "mark" {
				v.AskFields = append(v.AskFields, option{Value: f.Name, Label: h.label(p.W, d.Name, c.Kind.String(), bareName(f.Name))})
			}
		}
	}
}

// outcomes are those of a single item; the last one is for an open opt-out only.
var outcomes = []desk.Outcome{desk.OutcomeAccepted, desk.OutcomeRejected, desk.OutcomeOutOfScope, desk.OutcomeNotMeant}

func orLast(without bool) int {
	if without {
		return 1
	}
	return 0
}

// acceptances are the codes of reasons to accept that package texts has words for;
// those to refuse are [desk.Reasons].
var acceptances = []string{"depicted", "owner", "illegal", "intimate", "minor", "order", "terms", "goodwill"}

func (h *Handler) reasons(w words, codes []string) (list []option) {
	for _, code := range codes {
		if text, ok := h.opts.Texts.Reason(w.lang, code); ok {
			list = append(list, option{Value: code, Label: text})
		}
	}
	return list
}

var errChoose = errors.New("choose what to do")

// decide does what the reviewer chose, and sends the browser to the case as it is
// then, so that loading the page again does nothing again.
func (h *Handler) decide(w http.ResponseWriter, r *http.Request, who Reviewer) {
	c, ok := h.caseOf(w, r, who)
	if !ok {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
	if r.ParseForm() != nil { // the error may repeat what somebody typed
		h.refuseMove(w, r, who, errChoose)
		return
	}
	note, err := h.move(r, who, &c)
	if err != nil {
		h.refuseMove(w, r, who, err)
		return
	}
	h.redirect(w, r, "/desk/case/"+c.ID.String()+"?note="+note)
}

// moves are what a reviewer can do with a case, by the name of the button, with
// the role that it needs.
var moves = map[string]struct {
	role Roles
	do   func(h *Handler, r *http.Request, who Reviewer, c *desk.Case, a desk.Actor) error
}{
	"accept": {RoleDecide, func(h *Handler, r *http.Request, _ Reviewer, c *desk.Case, a desk.Actor) error {
		g, err := grantOf(termsOf(r.PostForm), c, a)
		if err != nil {
			return err
		}
		return h.desk.Accept(r.Context(), c.ID, g)
	}},
	"reject": {RoleDecide, func(h *Handler, r *http.Request, _ Reviewer, c *desk.Case, a desk.Actor) error {
		return h.desk.Reject(r.Context(), c.ID, desk.Refusal{Actor: a, Outcome: desk.Outcome(r.FormValue("outcome")), Finding: findingOf(termsOf(r.PostForm)), Seen: seenOf(termsOf(r.PostForm))})
	}},
	"ask": {RoleDecide, func(h *Handler, r *http.Request, _ Reviewer, c *desk.Case, a desk.Actor) error {
		return h.desk.AskInfo(r.Context(), c.ID, a, r.Form["missing"], r.FormValue("words"))
	}},
	"hold": {RoleDecide, func(h *Handler, r *http.Request, _ Reviewer, c *desk.Case, a desk.Actor) error {
		return h.desk.Hold(r.Context(), c.ID, a)
	}},
	"release": {RoleDecide, func(h *Handler, r *http.Request, _ Reviewer, c *desk.Case, a desk.Actor) error {
		return h.desk.ReleaseHold(r.Context(), c.ID, a)
	}},
	"amend": {RoleDecide, func(h *Handler, r *http.Request, _ Reviewer, c *desk.Case, a desk.Actor) error {
		g, err := grantOf(termsOf(r.PostForm), c, a)
		if err != nil {
			return err
		}
		return h.desk.Amend(r.Context(), c.ID, g)
	}},
	"reverse": {RoleLead, func(h *Handler, r *http.Request, _ Reviewer, c *desk.Case, a desk.Actor) error {
		return h.desk.Reverse(r.Context(), c.ID, a)
	}},
	"close": {RoleDecide, func(h *Handler, r *http.Request, _ Reviewer, c *desk.Case, a desk.Actor) error {
		return h.desk.CloseCase(r.Context(), c.ID, a)
	}},
	"extend": {RoleDecide, func(h *Handler, r *http.Request, _ Reviewer, c *desk.Case, a desk.Actor) error {
		return h.desk.ExtendDeadline(r.Context(), c.ID, a, r.FormValue("words"))
	}},
	"flagger": {RoleLead, func(h *Handler, r *http.Request, _ Reviewer, c *desk.Case, a desk.Actor) error {
		return h.desk.ConfirmFlagger(r.Context(), c.ID, a)
	}},
	"settle": {RoleLead, func(h *Handler, r *http.Request, _ Reviewer, c *desk.Case, a desk.Actor) error {
		return h.desk.SettleAlarms(r.Context(), c.ID, a)
	}},
	"erase": {RolePrivacy, func(h *Handler, r *http.Request, _ Reviewer, c *desk.Case, a desk.Actor) error {
		return h.desk.Erase(r.Context(), c.ID, a)
	}},
	"keep": {RolePrivacy, func(h *Handler, r *http.Request, _ Reviewer, c *desk.Case, a desk.Actor) error {
		return h.desk.LegalHold(r.Context(), c.ID, true, a)
	}},
	"unkeep": {RolePrivacy, func(h *Handler, r *http.Request, _ Reviewer, c *desk.Case, a desk.Actor) error {
		return h.desk.LegalHold(r.Context(), c.ID, false, a)
	}},
	"take": {RoleDecide, func(h *Handler, r *http.Request, who Reviewer, c *desk.Case, a desk.Actor) error {
		return h.desk.Assign(r.Context(), c.ID, a, who.ID, h.opts.Now().Add(assignedFor))
	}},
	"give": {RoleDecide, func(h *Handler, r *http.Request, who Reviewer, c *desk.Case, a desk.Actor) error {
		return h.desk.Assign(r.Context(), c.ID, a, "", time.Time{})
	}},
	"same": {RoleDecide, func(h *Handler, r *http.Request, _ Reviewer, c *desk.Case, a desk.Actor) error {
		_, err := h.desk.CloseSame(r.Context(), c.ID, a)
		return err
	}},
	"authority": {RoleLead, func(h *Handler, r *http.Request, _ Reviewer, c *desk.Case, a desk.Actor) error {
		return h.desk.ConfirmAuthority(r.Context(), c.ID, a)
	}},
	"resolve": {RoleDecide, func(h *Handler, r *http.Request, who Reviewer, c *desk.Case, a desk.Actor) error {
		return h.resolve(r, a)
	}},
}

// move makes the move of the button that was pressed. It returns the note for the
// page after it.
func (h *Handler) move(r *http.Request, who Reviewer, c *desk.Case) (note string, err error) {
	name := r.FormValue("do")
	m, ok := moves[name]
	if !ok {
		return "", errChoose
	}
	if !who.Roles.Has(m.role) {
		return "", errors.New("your role does not allow that")
	}
	err = m.do(h, r, who, c, who.actor(strings.TrimSpace(r.FormValue("reason"))))
	var second *desk.SecondReviewError
	if errors.As(err, &second) {
		return "second", nil
	}
	return name, err
}

// grantOf reads the terms of a grant from the form of a case.
func grantOf(form terms, c *desk.Case, a desk.Actor) (desk.Grant, error) {
	g := desk.Grant{Actor: a, Wider: form.Get("wider"), Finding: findingOf(form), Seen: seenOf(form)}
	if n, err := strconv.ParseUint(form.Get("scope"), 10, 8); err == nil {
		g.Scope = takedown.Scope(n)
	}
	for _, t := range form.Values["territory"] {
		if t != "" {
			g.Territories = append(g.Territories, t)
		}
	}
	if day := form.Get("end"); day != "" {
		end, err := parseDay(day)
		if err != nil {
			return g, err
		}
		g.End = end
	}
	for i := range c.Items {
		n := strconv.Itoa(i)
		d := desk.ItemDecision{Outcome: desk.Outcome(form.Get("item" + n)), Reason: form.Get("why" + n)}
		for _, text := range form.Values["view"+n] {
			view, err := parseView(text)
			if err != nil {
				return g, err
			}
			d.Views = append(d.Views, view)
		}
		if d.Outcome != "" || d.Views != nil {
			if g.Items == nil {
				g.Items = map[int]desk.ItemDecision{}
			}
			g.Items[i] = d
		}
	}
	return g, nil
}

// findingOf reads the words of a decision.
func findingOf(form terms) desk.Finding {
	text := func(name string) string { return strings.TrimSpace(form.Get(name)) }
	return desk.Finding{Facts: text("facts"), Law: text("law"), Explanation: text("explanation"), OnTerms: form.Get("on_terms") != ""}
}

// seenOf is the version of the case that the page showed.
func seenOf(form terms) int {
	n, _ := strconv.Atoi(form.Get("seen"))
	return n
}
