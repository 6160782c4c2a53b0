package web

import (
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

// queuePage is one page of cases.
type queuePage struct {
	Tab, Asked, Next string
	Tabs, Kinds      []option
	Cases            []queuedCase
	CanReject        bool
}

type queuedCase struct {
	ID, Kind, State string
	Received, Due   time.Time
	Late            bool
	Flags           []request.Flag
}

// A tab is a group of states in which a queue is read.
type tab struct {
	name   string
	states []desk.State
}

var tabs = []tab{
	{"waiting", []desk.State{desk.StateInReview, desk.StateSecondReview}},
	{"second", []desk.State{desk.StateSecondReview}},
	{"info", []desk.State{desk.StateUnconfirmed, desk.StateNeedsInfo}},
	{"force", []desk.State{desk.StateEnforcing, desk.StateInForce, desk.StateCounter, desk.StateCourtHold}},
	{"ended", []desk.State{desk.StateRejected, desk.StateWithdrawn, desk.StateReversed, desk.StateRestored, desk.StateExpired, desk.StateAbandoned, desk.StateClosed}},
	{"all", nil},
}

// queue shows cases, what is most urgent first.
func (h *Handler) queue(w http.ResponseWriter, r *http.Request, who Reviewer) {
	form := r.URL.Query()
	p := h.consolePage(r, who, "queue", nil)
	q := queuePage{Tab: form.Get("tab"), Asked: form.Get("q"), CanReject: who.Roles.Has(RoleDecide)}
	query := desk.Query{Limit: 50, After: form.Get("after")}
	i := slices.IndexFunc(tabs, func(t tab) bool { return t.name == q.Tab })
	if i < 0 {
		if i = 0; q.Asked != "" {
			i = len(tabs) - 1 // what somebody looks for may be anywhere
		}
		q.Tab = tabs[i].name
	}
	query.States = tabs[i].states
	for j, t := range tabs {
		q.Tabs = append(q.Tabs, option{t.name, p.W.of("queue." + t.name), j == i})
	}
	for _, k := range request.Kinds() {
		chosen := form.Get("kind") == k.String()
		if chosen {
			query.Kinds = []takedown.Kind{k}
		}
		q.Kinds = append(q.Kinds, option{k.String(), p.W.of("kind." + k.String()), chosen})
	}
	if h.lookUp(w, r, who, q.Asked, &query) {
		return
	}
	page, err := h.desk.Find(r.Context(), query)
	if err != nil {
		var bad *takedown.ArgumentError
		if !errors.As(err, &bad) {
			h.fail(w, r, err)
			return
		}
		p.Alert = err.Error()
	}
	for _, c := range page.Cases {
		if !who.mayOpen(&c) {
			continue
		}
		qc := queuedCase{ID: c.ID.String(), Kind: c.Kind.String(), State: string(c.State), Received: c.Received, Flags: c.Flags}
		due, err := h.desk.DueOf(r.Context(), c.ID)
		if err != nil {
			h.fail(w, r, err)
			return
		}
		qc.Due = earliest(due)
		qc.Late = !qc.Due.IsZero() && qc.Due.Before(p.Now)
		q.Cases = append(q.Cases, qc)
	}
	q.Next = page.Next
	p.Data = q
	h.render(w, r, http.StatusOK, "queue", p)
}

// lookUp sets what somebody typed to find a case: its number, an address, or a
// person. It reports whether it has answered, with the case of a number.
func (h *Handler) lookUp(w http.ResponseWriter, r *http.Request, who Reviewer, asked string, q *desk.Query) bool {
	if asked == "" {
		return false
	}
	if id, err := takedown.ParseCaseID(plainID(asked)); err == nil && len(plainID(asked)) == len(id.String()) {
		if c, err := h.desk.Case(r.Context(), id); err == nil && who.mayOpen(&c) {
			h.redirect(w, r, "/desk/case/"+id.String())
			return true
		}
	}
	if strings.Contains(asked, "/") {
		q.Address = asked
	} else {
		q.Person = asked
	}
	return false
}

// bulk rejects the selected cases as spam: nobody gets a letter.
func (h *Handler) bulk(w http.ResponseWriter, r *http.Request, who Reviewer) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
	if r.ParseForm() != nil || !who.Roles.Has(RoleDecide) || r.FormValue("do") != "spam" {
		h.missing(w, r)
		return
	}
	done, failed := 0, 0
	for _, text := range r.Form["case"] {
		id, err := takedown.ParseCaseID(text)
		if err == nil && !h.visible(r.Context(), who, id) {
			err = desk.ErrNoCase
		}
		if err == nil {
			err = h.desk.Reject(r.Context(), id, desk.Refusal{Actor: who.actor("spam")})
		}
		if err != nil {
			failed++
			continue
		}
		done++
	}
	p := h.consolePage(r, who, "queue", nil)
	p.Note = strings.NewReplacer("{n}", strconv.Itoa(done), "{failed}", strconv.Itoa(failed)).Replace(p.W.of("bulk.done"))
	p.Data = queuePage{Tab: "waiting"}
	h.render(w, r, http.StatusOK, "queue", p)
}
