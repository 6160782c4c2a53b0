package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
)

// teamPage is what reviewers wrote about a case, and what they know of its sender.
type teamPage struct {
	Notes     []desk.Note
	History   desk.History
	Same      []takedown.CaseID
	Assignee  string // the reviewer who works on it now
	Mine      bool
	CanSettle bool // the same requests can be closed with this one
}

// team reads what the team knows of a case.
func (h *Handler) team(ctx context.Context, who Reviewer, c *desk.Case) (t teamPage, err error) {
	if t.Notes, err = h.desk.Notes(ctx, c.ID); err != nil && !errors.Is(err, desk.ErrErased) {
		return t, err
	}
	if c.Request != nil {
		if t.History, err = h.desk.History(ctx, c.ID); err != nil {
			return t, err
		}
		if t.Same, err = h.desk.SameAs(ctx, c.ID); err != nil {
			return t, err
		}
	}
	if c.Assignee != "" && h.opts.Now().Before(c.AssignedUntil) {
		t.Assignee, t.Mine = c.Assignee, c.Assignee == who.ID
	}
	t.CanSettle = len(t.Same) > 0 && c.State == desk.StateInForce
	return t, nil
}

// assignedFor is how long a case is a reviewer's own.
const assignedFor = 2 * time.Hour

// note adds a note to a case, with a paper if one is attached.
func (h *Handler) note(w http.ResponseWriter, r *http.Request, who Reviewer) {
	c, ok := h.caseOf(w, r, who)
	if !ok {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 11<<20)
	if err := r.ParseMultipartForm(1 << 20); err != nil {
		h.refuseMove(w, r, who, errors.New("the note cannot be read; a paper may have 10 MB"))
		return
	}
	defer r.MultipartForm.RemoveAll()
	var name string
	var paper bytes.Buffer
	if f, head, err := r.FormFile("paper"); err == nil {
		defer f.Close()
		name = head.Filename
		if _, err := paper.ReadFrom(f); err != nil {
			h.fail(w, r, err)
			return
		}
	}
	if err := h.desk.AddNote(r.Context(), c.ID, who.actor(""), strings.TrimSpace(r.FormValue("text")), name, paper.Bytes()); err != nil {
		h.refuseMove(w, r, who, err)
		return
	}
	h.redirect(w, r, "/desk/case/"+c.ID.String()+"?note=noted")
}

// refuseMove shows a case again, with why something could not be done.
func (h *Handler) refuseMove(w http.ResponseWriter, r *http.Request, who Reviewer, err error) {
	c, ok := h.caseOf(w, r, who)
	if !ok {
		return
	}
	p := h.consolePage(r, who, "review", nil)
	p.Alert, p.Here = err.Error(), "/desk/case/"+c.ID.String()
	h.showReview(w, r, http.StatusUnprocessableEntity, p, c, termsOf(r.PostForm)) // nothing that was entered is lost
}

// paper sends a file that is attached to a case. It is never shown in the page:
// nobody has looked for harmful contents in it.
func (h *Handler) paper(w http.ResponseWriter, r *http.Request, who Reviewer) {
	c, ok := h.caseOf(w, r, who)
	if !ok {
		return
	}
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil {
		h.missing(w, r)
		return
	}
	file, err := h.desk.Attachment(r.Context(), c.ID, n)
	if err != nil {
		h.missing(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", "attachment")
	w.Write(file)
}

// matchesPage are the matches of crawlers that wait for an answer.
type matchesPage struct {
	Matches   []queuedMatch
	Waiting   int
	Next      string
	All       string // the answer that is chosen for all of them
	Pictures  bool
	CanAnswer bool
	Tier      string
}

type queuedMatch struct {
	desk.QueuedMatch
	Case    string
	Address string
	Blur    bool
}

// matches shows the queue of matches, a page to be answered from the keyboard.
func (h *Handler) matches(w http.ResponseWriter, r *http.Request, who Reviewer) {
	form := r.URL.Query()
	page, err := h.desk.QueuedMatches(r.Context(), form.Get("after"), 24)
	if err != nil {
		h.missing(w, r)
		return
	}
	m := matchesPage{Waiting: page.Waiting, Next: page.Next, All: form.Get("all"), Pictures: h.opts.MatchPicture != nil, CanAnswer: who.Roles.Has(RoleDecide)}
	for _, q := range page.Matches {
		c, err := h.desk.Case(r.Context(), q.Match.Decision.Case)
		if err != nil && !errors.Is(err, desk.ErrNoCase) || err == nil && !who.mayOpen(&c) || h.later.holds(noCase, q.Number) {
			continue
		}
		qm := queuedMatch{QueuedMatch: q, Case: q.Match.Decision.Case.String(), Blur: err != nil || c.Delicate()}
		if len(q.Match.Candidate.ImageURLs) > 0 {
			qm.Address = q.Match.Candidate.ImageURLs[0]
		}
		m.Matches = append(m.Matches, qm)
	}
	h.render(w, r, http.StatusOK, "matches", h.consolePage(r, who, "matches", m))
}

// answers are what a reviewer can say of a match.
var answers = map[string]desk.Resolution{"yes": desk.SameImage, "no": desk.NotTheSame}

// answerMatches takes the answers of a page. They wait a moment, so that they can be
// undone.
func (h *Handler) answerMatches(w http.ResponseWriter, r *http.Request, who Reviewer) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<14)
	if r.ParseForm() != nil || !who.Roles.Has(RoleDecide) {
		h.missing(w, r)
		return
	}
	said := map[uint64]desk.Resolution{}
	a := &action{by: who.ID, what: "matches", matches: map[uint64]bool{}}
	for name := range r.Form {
		n, err := strconv.ParseUint(strings.TrimPrefix(name, "match"), 10, 64)
		how := answers[r.FormValue(name)]
		if err != nil || how == 0 || h.later.holds(noCase, n) {
			continue
		}
		if _, ok := h.queuedMatch(r.Context(), who, n); ok { // else somebody has answered it
			said[n], a.matches[n] = how, true
		}
	}
	if len(said) == 0 {
		h.redirect(w, r, "/desk/matches?note=none_selected")
		return
	}
	a.do = func(ctx context.Context) (failed int) {
		for n, how := range said {
			if err := h.answerMatch(ctx, who, n, how); err != nil {
				h.opts.Logger.Warn("web: a match was not answered", "error", err)
				failed++
			}
		}
		return failed
	}
	h.later.put(a, h.opts.Now())
	h.redirect(w, r, "/desk/matches")
}

// answerMatch records what a reviewer says of a match of the queue.
func (h *Handler) answerMatch(ctx context.Context, who Reviewer, n uint64, how desk.Resolution) error {
	m, err := h.desk.QueuedMatch(ctx, n)
	if err == nil {
		var picture []byte
		if h.opts.MatchPicture != nil {
			// Without the file its addresses are learned, and not its hashes.
			picture, _ = h.opts.MatchPicture(ctx, m.Match)
		}
		_, err = h.desk.ResolveMatch(ctx, n, who.actor(""), how, picture)
	}
	if errors.Is(err, desk.ErrNoMatch) || errors.Is(err, desk.ErrNoRule) {
		return nil // somebody else has answered it, or its rule has ended
	}
	return err
}

// queuedMatch returns a match of the queue by its number, if the reviewer may see it.
func (h *Handler) queuedMatch(ctx context.Context, who Reviewer, n uint64) (desk.QueuedMatch, bool) {
	m, err := h.desk.QueuedMatch(ctx, n)
	return m, err == nil && h.visible(ctx, who, m.Match.Decision.Case)
}

// report sends the transparency report of the last half year, as JSON.
func (h *Handler) report(w http.ResponseWriter, r *http.Request, who Reviewer) {
	if !who.Roles.Has(RolePrivacy) {
		h.missing(w, r)
		return
	}
	to := h.opts.Now().UTC()
	report, err := h.desk.TransparencyReport(r.Context(), to.AddDate(0, -6, 0), to)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Disposition", `attachment; filename="transparency.json"`)
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(report); err != nil {
		h.opts.Logger.Error("web: report", "error", err)
	}
}
