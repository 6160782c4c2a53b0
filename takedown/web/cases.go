package web

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// receivedPage tells the number and the secret of a case, and what happens next.
type receivedPage struct {
	ID, Secret string
	Confirm    bool // the email address has to be confirmed
	NeedsInfo  bool
	Help       []helpLine
	Email      bool
}

// ownCase returns the case whose secret a browser has shown.
func (h *Handler) ownCase(r *http.Request) (desk.Case, bool) {
	b, ok := h.cookies.Value(r, "case")
	if !ok || len(b) != len(noCase) {
		return desk.Case{}, false
	}
	c, err := h.desk.Case(r.Context(), takedown.CaseID(b))
	return c, err == nil
}

func (h *Handler) received(w http.ResponseWriter, r *http.Request) {
	c, ok := h.ownCase(r)
	if !ok { // nothing was sent, or long ago
		h.redirect(w, r, "/case")
		return
	}
	p := h.page(r, "received", nil)
	d := receivedPage{ID: c.ID.String(), Secret: h.secrets.ofCase(c.ID), Confirm: unconfirmed(&c), NeedsInfo: c.State == desk.StateNeedsInfo}
	if c.Request != nil {
		d.Email = c.Request.From().Email != ""
		if c.Kind == request.KindIntimateImage || slices.Contains(c.Flags, request.FlagChildSafety) {
			d.Help = h.helpers(p.W, c.Request.From().Country, slices.Contains(c.Flags, request.FlagChildSafety))
		}
	}
	p.Data = d
	h.render(w, r, http.StatusOK, "received", p)
}

// unconfirmed reports whether the email address of a case waits to be confirmed.
func unconfirmed(c *desk.Case) bool { return c.State == desk.StateUnconfirmed }

// confirmPage has the code that a link brought, so that one press confirms it.
// Programs that follow the links of mails do not press.
type confirmPage struct {
	ID, Token string
	Done      bool
}

func (h *Handler) confirmLink(w http.ResponseWriter, r *http.Request) {
	p := h.page(r, "confirm", confirmPage{ID: r.PathValue("id"), Token: r.PathValue("token")})
	h.render(w, r, http.StatusOK, "confirm", p)
}

func (h *Handler) confirm(w http.ResponseWriter, r *http.Request) {
	if !h.allowed(w, r, "confirm", 60) {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 4096)
	d := confirmPage{ID: r.FormValue("case"), Token: r.FormValue("token")}
	id, err := takedown.ParseCaseID(plainID(d.ID))
	if d.ID == "" { // on the page of one's own case
		c, ok := h.ownCase(r)
		id = c.ID
		if err = nil; !ok {
			err = takedown.ErrCaseID
		}
	}
	if err == nil {
		err = h.desk.Confirm(r.Context(), id, d.Token)
	}
	p := h.page(r, "confirm", nil)
	p.Here = "/case"
	status := http.StatusOK
	if d.Done = err == nil; !d.Done {
		// The same words whether there is no such case or the code is wrong.
		p.Alert, status = p.W.of("not_confirmed"), http.StatusUnprocessableEntity
	}
	p.Data = d
	h.render(w, r, status, "confirm", p)
}

func (h *Handler) resend(w http.ResponseWriter, r *http.Request) {
	if !h.allowed(w, r, "resend", 5) {
		return
	}
	c, ok := h.ownCase(r)
	if !ok {
		h.redirect(w, r, "/case")
		return
	}
	var token *desk.TokenError
	if err := h.desk.Resend(r.Context(), c.ID); err != nil && !errors.As(err, &token) && !errors.Is(err, desk.ErrNotTaken) {
		h.fail(w, r, err)
		return
	}
	h.redirect(w, r, "/case?resent=1")
}

// plainID is the number of a case as somebody typed it.
func plainID(s string) string {
	b := make([]byte, 0, len(s))
	for _, c := range []byte(s) {
		switch {
		case 'A' <= c && c <= 'Z':
			b = append(b, c+'a'-'A')
		case 'a' <= c && c <= 'z' || '0' <= c && c <= '9':
			b = append(b, c)
		}
	}
	return string(b)
}

// caseLink opens a case from a link in a letter. It asks for a press first: a link
// alone changes nothing.
func (h *Handler) caseLink(w http.ResponseWriter, r *http.Request) {
	p := h.page(r, "case", caseDoorPage{ID: r.PathValue("id"), Secret: r.PathValue("secret"), Link: true})
	h.render(w, r, http.StatusOK, "case-door", p)
}

type caseDoorPage struct {
	ID, Secret string
	Link       bool
}

// caseDoor shows a person's case, or asks for its number and secret.
func (h *Handler) caseDoor(w http.ResponseWriter, r *http.Request) {
	c, ok := h.ownCase(r)
	if !ok {
		p := h.page(r, "case", caseDoorPage{})
		p.Here = "/case"
		h.render(w, r, http.StatusOK, "case-door", p)
		return
	}
	h.showCase(w, r, http.StatusOK, c, "")
}

func (h *Handler) openCase(w http.ResponseWriter, r *http.Request) {
	if !h.allowed(w, r, "open", 60) {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 4096)
	d := caseDoorPage{ID: r.FormValue("case"), Secret: r.FormValue("secret")}
	id, err := takedown.ParseCaseID(plainID(d.ID))
	if err == nil && h.secrets.opens(id, d.Secret) {
		if _, err = h.desk.Case(r.Context(), id); err == nil {
			h.cookies.Keep(w, "case", id[:], time.Hour)
			h.redirect(w, r, "/case")
			return
		}
	}
	p := h.page(r, "case", d)
	p.Here = "/case"
	p.Alert = p.W.of("no_such_case")
	h.render(w, r, http.StatusUnprocessableEntity, "case-door", p)
}

func (h *Handler) leaveCase(w http.ResponseWriter, r *http.Request) {
	h.cookies.Drop(w, "case")
	h.redirect(w, r, "/")
}

// casePage is a case as who sent it sees it.
type casePage struct {
	ID, Secret  string
	Kind, State string
	Stage       int // 1 received, 2 confirmed, 3 reviewed, 4 decided
	Received    time.Time
	By          time.Time // until when it is to be decided
	Unconfirmed bool
	NeedsInfo   []string
	Items       []caseItem
	Moves       []move
	CanWithdraw bool
	CanComplain bool
}

type caseItem struct {
	What, Kind, Outcome, Why, Ended string
}

type move struct {
	When time.Time
	To   string
}

func (h *Handler) showCase(w http.ResponseWriter, r *http.Request, status int, c desk.Case, alert string) {
	p := h.page(r, "case", nil)
	p.Here, p.Alert = "/case", alert
	if r.URL.Query().Get("resent") != "" {
		p.Note = p.W.of("resent")
	}
	d := casePage{ID: c.ID.String(), Secret: h.secrets.ofCase(c.ID), Kind: c.Kind.String(), State: string(c.State), Received: c.Received,
		Unconfirmed: unconfirmed(&c), Stage: stageOf(&c)}
	for _, name := range []string{"received", "confirmed", "review", "decided"} {
		p.Stages = append(p.Stages, p.W.of("stage."+name))
	}
	due, err := h.desk.DueOf(r.Context(), c.ID)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	if c.Outcome == "" {
		d.By = earliest(due)
	}
	for _, pr := range c.Problems {
		d.NeedsInfo = append(d.NeedsInfo, h.label(p.W, "", c.Kind.String(), bareName(pr.Field))+": "+h.opts.Texts.Problem(p.W.lang, pr))
	}
	d.Items = h.itemsOf(p.W, &c)
	for _, m := range c.Moves {
		if p.W.has("moved." + string(m.To)) {
			d.Moves = append(d.Moves, move{m.Time, p.W.of("moved." + string(m.To))})
		}
	}
	reply := request.IsReply(c.Kind)
	d.CanWithdraw = !reply && slices.Contains([]desk.State{desk.StateUnconfirmed, desk.StateNeedsInfo, desk.StateInReview, desk.StateSecondReview, desk.StateInForce}, c.State)
	d.CanComplain = !reply && c.Outcome != "" && h.findDoor("complaint") != nil
	p.Data = d
	h.render(w, r, status, "case", p)
}

// earliest is the first of some deadlines, or zero.
func earliest(due []desk.Due) (at time.Time) {
	for _, d := range due {
		if !d.NotAfter.IsZero() && (at.IsZero() || d.NotAfter.Before(at)) {
			at = d.NotAfter
		}
	}
	return at
}

// stageOf is how far a case is on its way.
func stageOf(c *desk.Case) int {
	switch {
	case c.Outcome != "":
		return 4
	case c.State == desk.StateInReview || c.State == desk.StateSecondReview || c.State == desk.StateEnforcing:
		return 3
	case c.State == desk.StateNeedsInfo:
		return 2
	}
	return 1
}

// itemsOf are the things that somebody named, each as they wrote it, with what
// was decided about it. Copies that were found are never among them.
func (h *Handler) itemsOf(w words, c *desk.Case) (list []caseItem) {
	values := valuesOf(c.Request)
	for _, it := range c.Items {
		ci := caseItem{Kind: w.of("item." + string(it.Kind)), What: valueAt(values, it.Field), Outcome: string(it.Outcome), Ended: string(it.Ended)}
		if why, ok := h.opts.Texts.Reason(w.lang, it.Reason); ok {
			ci.Why = why
		}
		list = append(list, ci)
	}
	return list
}

func (h *Handler) withdrawCase(w http.ResponseWriter, r *http.Request) {
	c, ok := h.ownCase(r)
	if !ok {
		h.redirect(w, r, "/case")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 4096)
	if r.FormValue("sure") == "" {
		p := h.page(r, "case", nil)
		h.showCase(w, r, http.StatusUnprocessableEntity, c, p.W.of("withdraw.sure"))
		return
	}
	var moved *desk.MoveError
	if err := h.desk.Withdraw(r.Context(), c.ID, desk.Actor{Reason: "by_requester"}); err != nil && !errors.As(err, &moved) {
		h.fail(w, r, err)
		return
	}
	h.redirect(w, r, "/case")
}

// completeCase opens the form of a case that lacks something, with what was sent.
func (h *Handler) completeCase(w http.ResponseWriter, r *http.Request) {
	c, ok := h.ownCase(r)
	if !ok || c.State != desk.StateNeedsInfo || c.Request == nil {
		h.redirect(w, r, "/case")
		return
	}
	d := h.doorOf(c.Kind)
	if d == nil {
		h.missing(w, r)
		return
	}
	id := h.drafts.put("", draft{visitor: h.visitor(w, r), door: d.Name, request: c.Request, completes: c.ID, problems: c.Problems})
	h.redirect(w, r, "/ask/"+d.Name+"?d="+id)
}
