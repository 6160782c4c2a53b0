package web

import (
	"bytes"
	"cmp"
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

// parseDay reads a day of a form: its end, in UTC.
func parseDay(s string) (time.Time, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return t, errors.New("the day is not a date, such as 2027-01-31")
	}
	return t.AddDate(0, 0, 1), nil
}

// caseImage shows a picture of a request.
func (h *Handler) caseImage(w http.ResponseWriter, r *http.Request, who Reviewer) {
	c, ok := h.caseOf(w, r, who)
	if !ok {
		return
	}
	var images []request.File
	if c.Request != nil {
		images = request.Images(c.Request)
	}
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || n < 0 || n >= len(images) {
		h.missing(w, r)
		return
	}
	h.servePicture(w, r, images[n], 420)
}

// indexImage shows a picture of the operator's index.
func (h *Handler) indexImage(w http.ResponseWriter, r *http.Request, _ Reviewer) {
	if h.opts.Thumbnail == nil {
		h.missing(w, r)
		return
	}
	b, err := h.opts.Thumbnail(r.Context(), r.PathValue("key"))
	typ := http.DetectContentType(b)
	if err != nil || typ != "image/jpeg" && typ != "image/png" && typ != "image/webp" {
		h.missing(w, r)
		return
	}
	w.Header().Set("Content-Type", typ)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}

// resolve records what a reviewer says of a match in the index.
func (h *Handler) resolve(r *http.Request, a desk.Actor) error {
	key := r.FormValue("key")
	if h.opts.Index == nil {
		return errors.New("there is no index")
	}
	var item *takedown.Item
	for it, err := range h.opts.Index(r.Context(), "") {
		if err != nil {
			return err
		}
		if it.Key == key {
			item = &it
			break
		}
	}
	if item == nil {
		return errors.New("there is no such picture in the index")
	}
	d := h.desk.Enforcer().Check(item.Candidate)
	if d.Why == 0 {
		return errors.New("it is not matched any more")
	}
	how := desk.NotTheSame
	if r.FormValue("same") == "yes" {
		how = desk.SameImage
	}
	_, err := h.desk.Resolve(r.Context(), desk.Match{Actor: a, Candidate: item.Candidate, Decision: d}, how)
	return err
}

// letterPage is the letter that a decision would send, in the language of its
// reader.
type letterPage struct {
	Case, Subject, Lang string
	Lines               []string
}

// letter shows what the requester would read after a decision.
func (h *Handler) letter(w http.ResponseWriter, r *http.Request, who Reviewer) {
	c, ok := h.caseOf(w, r, who)
	if !ok {
		return
	}
	m := desk.Message{Type: desk.MessageAccepted, Time: h.opts.Now(), Case: c.ID, Kind: c.Kind, Regime: c.Regime, Asked: c.Asked, Granted: c.Asked,
		Accepted: len(c.Items), Outcome: desk.OutcomeAccepted, Reason: r.FormValue("reason"), Finding: findingOf(r), Claim: c.Claim,
		ChildSafety: slices.Contains(c.Flags, request.FlagChildSafety)}
	values := valuesOf(c.Request)
	for _, it := range c.Items {
		m.Items = append(m.Items, desk.MessageItem{CaseItem: it, Given: valueAt(values, it.Field)})
	}
	if r.FormValue("do") == "reject" {
		m.Type, m.Granted, m.Accepted, m.Refused, m.Outcome = desk.MessageRejected, 0, 0, len(c.Items), desk.OutcomeRejected
	}
	if n, err := strconv.ParseUint(r.FormValue("scope"), 10, 8); err == nil && m.Type == desk.MessageAccepted {
		m.Granted = takedown.Scope(n)
	}
	if c.Request != nil {
		from := c.Request.From()
		m.Country = from.Country
		m.To = desk.Recipient{Name: from.FullName(), Email: from.Email, Language: from.Language}
	}
	subject, body, err := h.opts.Texts.Message(m)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	h.render(w, r, http.StatusOK, "letter", h.consolePage(r, who, "letter", letterPage{c.ID.String(), subject, cmp.Or(m.To.Language, "en"), strings.Split(strings.TrimSpace(body), "\n")}))
}

// alarms are the rules that match more than they should.
func (h *Handler) alarms(w http.ResponseWriter, r *http.Request, who Reviewer) {
	list, err := h.desk.Alarms(r.Context())
	if err != nil {
		h.fail(w, r, err)
		return
	}
	h.render(w, r, http.StatusOK, "alarms", h.consolePage(r, who, "alarms", slices.DeleteFunc(list, func(a desk.Alarm) bool { return !h.visible(r.Context(), who, a.Case) })))
}

// due are the deadlines of the next two weeks.
func (h *Handler) due(w http.ResponseWriter, r *http.Request, who Reviewer) {
	list, err := h.desk.Due(r.Context(), h.opts.Now().AddDate(0, 0, 14))
	if err != nil {
		h.fail(w, r, err)
		return
	}
	h.render(w, r, http.StatusOK, "due", h.consolePage(r, who, "due", slices.DeleteFunc(list, func(d desk.Due) bool { return !h.visible(r.Context(), who, d.Case) })))
}

// numbersPage counts cases.
type numbersPage struct {
	Total    int
	ByState  []count
	ByKind   []kindNumbers
	Backlog  int
	Oldest   time.Time
	Reversed int
	Decided  int
	Problems []desk.HealthProblem
	Status   desk.Status
}

type count struct {
	Name string
	N    int
}

type kindNumbers struct {
	Kind                               string
	Received, Open, Accepted, Rejected int
	Median                             time.Duration
	took                               []time.Duration
}

func (h *Handler) numbers(w http.ResponseWriter, r *http.Request, who Reviewer) {
	n := numbersPage{Problems: h.desk.Health(r.Context())}
	var err error
	if n.Status, err = h.desk.Status(r.Context()); err != nil {
		h.fail(w, r, err)
		return
	}
	states, kinds := map[string]int{}, map[string]*kindNumbers{}
	for c, err := range h.desk.Cases(r.Context()) {
		if err != nil {
			h.fail(w, r, err)
			return
		}
		n.add(&c, states, kinds)
	}
	for name, k := range states {
		n.ByState = append(n.ByState, count{name, k})
	}
	slices.SortFunc(n.ByState, func(a, b count) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Name, b.Name)) })
	for _, k := range kinds {
		slices.Sort(k.took)
		if len(k.took) > 0 {
			k.Median = k.took[len(k.took)/2].Round(time.Minute)
		}
		n.ByKind = append(n.ByKind, *k)
	}
	slices.SortFunc(n.ByKind, func(a, b kindNumbers) int {
		return cmp.Or(cmp.Compare(b.Received, a.Received), cmp.Compare(a.Kind, b.Kind))
	})
	h.render(w, r, http.StatusOK, "numbers", h.consolePage(r, who, "numbers", n))
}

func (n *numbersPage) add(c *desk.Case, states map[string]int, kinds map[string]*kindNumbers) {
	n.Total++
	states[string(c.State)]++
	k := kinds[c.Kind.String()]
	if k == nil {
		k = &kindNumbers{Kind: c.Kind.String()}
		kinds[k.Kind] = k
	}
	k.Received++
	switch c.Outcome {
	case "":
		k.Open++
		if c.State == desk.StateInReview || c.State == desk.StateSecondReview {
			n.Backlog++
			if n.Oldest.IsZero() || c.Received.Before(n.Oldest) {
				n.Oldest = c.Received
			}
		}
		return
	case desk.OutcomeAccepted, desk.OutcomePartly:
		k.Accepted++
	default:
		k.Rejected++
	}
	n.Decided++
	if c.State == desk.StateReversed {
		n.Reversed++
	}
	if at, ok := c.Times[desk.MilestoneDecided]; ok {
		k.took = append(k.took, at.Sub(c.Received))
	}
}

// export sends the table of all cases, which has no personal data.
func (h *Handler) export(w http.ResponseWriter, r *http.Request, who Reviewer) {
	if !who.Roles.Has(RolePrivacy) {
		h.missing(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="cases.csv"`)
	if err := h.desk.ExportCSV(r.Context(), w); err != nil {
		h.opts.Logger.Error("web: export", "error", err)
	}
}
