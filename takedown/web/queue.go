package web

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// queuePage is one page of cases.
type queuePage struct {
	Tab, Asked, Next, All string
	Tabs                  []queueTab
	Kinds, Flags          []option
	Refusals              []option
	Cases                 []queuedCase
	CanDecide, Selected   bool
}

type queueTab struct {
	option
	N int // how many cases it has; −1 is not counted
}

type queuedCase struct {
	ID, Kind, State string
	Received, Due   time.Time
	Late            bool
	Flags           []request.Flag
	Assignee        string
	Mine, Waits     bool // it waits for an action that can be undone
}

// A tab is a group of states in which a queue is read.
type tab struct {
	name    string
	states  []desk.State
	counted bool
}

var tabs = []tab{
	{"waiting", []desk.State{desk.StateInReview, desk.StateSecondReview}, true},
	{"mine", []desk.State{desk.StateInReview, desk.StateSecondReview, desk.StateNeedsInfo}, false},
	{"second", []desk.State{desk.StateSecondReview}, true},
	{"info", []desk.State{desk.StateUnconfirmed, desk.StateNeedsInfo}, true},
	{"force", []desk.State{desk.StateEnforcing, desk.StateInForce, desk.StateCounter, desk.StateCourtHold}, false},
	{"ended", []desk.State{desk.StateRejected, desk.StateWithdrawn, desk.StateReversed, desk.StateRestored, desk.StateExpired, desk.StateAbandoned, desk.StateClosed}, false},
	{"all", nil, false},
}

// queue shows cases, what is most urgent first.
func (h *Handler) queue(w http.ResponseWriter, r *http.Request, who Reviewer) {
	p := h.consolePage(r, who, "queue", nil)
	q, query, err := h.queueOf(r, p)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	q.CanDecide = who.Roles.Has(RoleDecide)
	q.Refusals = h.reasons(p.W, desk.Reasons())
	if h.lookUp(w, r, who, q.Asked, &query) {
		return
	}
	page, err := h.desk.Find(r.Context(), query)
	var bad *takedown.ArgumentError
	switch {
	case errors.As(err, &bad):
		p.Alert = err.Error()
	case err != nil:
		h.fail(w, r, err)
		return
	}
	for i := range page.Cases {
		c := &page.Cases[i]
		if !who.mayOpen(c) || q.Tab == "mine" && !assigned(c, who.ID, p.Now) {
			continue
		}
		qc, err := h.queued(r.Context(), c, who, p.Now)
		if err != nil {
			h.fail(w, r, err)
			return
		}
		q.Cases = append(q.Cases, qc)
	}
	q.Next = page.Next
	p.Data = q
	h.render(w, r, http.StatusOK, "queue", p)
}

// queueOf reads which cases a reviewer wants to see.
func (h *Handler) queueOf(r *http.Request, p page) (q queuePage, query desk.Query, err error) {
	form := r.URL.Query()
	q = queuePage{Tab: form.Get("tab"), Asked: form.Get("q"), Selected: form.Get("select") != ""}
	query = desk.Query{Limit: 50, After: form.Get("after")}
	i := slices.IndexFunc(tabs, func(t tab) bool { return t.name == q.Tab })
	if i < 0 {
		if i = 0; q.Asked != "" {
			i = len(tabs) - 1 // what somebody looks for may be anywhere
		}
		q.Tab = tabs[i].name
	}
	query.States = tabs[i].states
	counts, err := h.tabs.get(r.Context(), h.desk, p.Now)
	if err != nil {
		return q, query, err
	}
	for j, t := range tabs {
		q.Tabs = append(q.Tabs, queueTab{option{t.name, p.W.of("queue." + t.name), j == i}, counts[j]})
	}
	for _, k := range request.Kinds() {
		chosen := form.Get("kind") == k.String()
		if chosen {
			query.Kinds = []takedown.Kind{k}
		}
		q.Kinds = append(q.Kinds, option{k.String(), p.W.of("kind." + k.String()), chosen})
	}
	for _, f := range queueFlags {
		chosen := form.Get("flag") == string(f)
		if chosen {
			query.Flags = []request.Flag{f}
		}
		q.Flags = append(q.Flags, option{string(f), p.W.of("flag." + string(f)), chosen})
	}
	if q.Tab == "mine" {
		query.Limit = 1000 // of a short queue; most of them are somebody else's
	}
	form.Set("select", "all")
	q.All = form.Encode()
	return q, query, nil
}

// tabCounts are how many cases the tabs have. They are kept for some seconds: each takes
// a look at all rows of the index in its states.
type tabCounts struct {
	mu sync.Mutex
	at time.Time
	n  []int
}

const tabCountsAge = 5 * time.Second

func (t *tabCounts) get(ctx context.Context, d *desk.Desk, now time.Time) ([]int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n != nil && now.Sub(t.at) < tabCountsAge {
		return t.n, nil
	}
	n := make([]int, len(tabs))
	for i, x := range tabs {
		n[i] = -1
		if x.counted { // the others are large, and nobody works on them
			var err error
			if n[i], err = d.Count(ctx, desk.Query{States: x.states}); err != nil {
				return nil, err
			}
		}
	}
	t.n, t.at = n, now
	return n, nil
}

// queueFlags are the flags by which the queue can be narrowed.
var queueFlags = []request.Flag{request.FlagChildSafety, desk.FlagFlaggerConfirmed, request.FlagTrustedFlagger}

// queued is a row of the queue.
func (h *Handler) queued(ctx context.Context, c *desk.Case, who Reviewer, now time.Time) (queuedCase, error) {
	qc := queuedCase{ID: c.ID.String(), Kind: c.Kind.String(), State: string(c.State), Received: c.Received, Flags: c.Flags, Waits: h.later.holds(c.ID, 0)}
	if c.Assignee != "" && now.Before(c.AssignedUntil) {
		qc.Assignee, qc.Mine = c.Assignee, c.Assignee == who.ID
	}
	due, err := h.desk.DueOf(ctx, c.ID)
	qc.Due = earliest(due)
	qc.Late = !qc.Due.IsZero() && qc.Due.Before(now)
	return qc, err
}

// assigned reports whether a reviewer works on a case now.
func assigned(c *desk.Case, to string, now time.Time) bool {
	return c.Assignee == to && now.Before(c.AssignedUntil)
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

// bulks are what a reviewer can do with several cases at once, by the name of the
// button. Moves that send letters wait a moment, so that they can be undone.
var bulks = map[string]func(h *Handler, r *http.Request, who Reviewer, ids []takedown.CaseID) (do func(context.Context) map[takedown.CaseID]error, now bool){
	"spam": func(h *Handler, _ *http.Request, who Reviewer, ids []takedown.CaseID) (func(context.Context) map[takedown.CaseID]error, bool) {
		return func(ctx context.Context) map[takedown.CaseID]error {
			return h.desk.RejectAll(ctx, ids, desk.Refusal{Actor: who.actor("spam")})
		}, false
	},
	"reject": func(h *Handler, r *http.Request, who Reviewer, ids []takedown.CaseID) (func(context.Context) map[takedown.CaseID]error, bool) {
		a := who.actor(r.FormValue("reason"))
		if a.Reason == "" {
			return nil, false
		}
		return func(ctx context.Context) map[takedown.CaseID]error {
			return h.desk.RejectAll(ctx, ids, desk.Refusal{Actor: a})
		}, false
	},
	"accept": func(h *Handler, _ *http.Request, who Reviewer, ids []takedown.CaseID) (func(context.Context) map[takedown.CaseID]error, bool) {
		return func(ctx context.Context) map[takedown.CaseID]error {
			return h.desk.AcceptAll(ctx, ids, desk.Grant{Actor: who.actor("")})
		}, false
	},
	"take": func(h *Handler, _ *http.Request, who Reviewer, ids []takedown.CaseID) (func(context.Context) map[takedown.CaseID]error, bool) {
		return h.assignAll(who, ids, who.ID), true
	},
	"give": func(h *Handler, _ *http.Request, who Reviewer, ids []takedown.CaseID) (func(context.Context) map[takedown.CaseID]error, bool) {
		return h.assignAll(who, ids, ""), true
	},
}

// assignAll assigns cases to a reviewer, or to nobody.
func (h *Handler) assignAll(who Reviewer, ids []takedown.CaseID, to string) func(context.Context) map[takedown.CaseID]error {
	return func(ctx context.Context) map[takedown.CaseID]error {
		failed := map[takedown.CaseID]error{}
		for _, id := range ids {
			var until time.Time
			if to != "" {
				until = h.opts.Now().Add(assignedFor)
			}
			if err := h.desk.Assign(ctx, id, who.actor(""), to, until); err != nil {
				failed[id] = err
			}
		}
		return failed
	}
}

// bulk does something with the selected cases.
func (h *Handler) bulk(w http.ResponseWriter, r *http.Request, who Reviewer) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
	if r.ParseForm() != nil || !who.Roles.Has(RoleDecide) || bulks[r.FormValue("do")] == nil {
		h.missing(w, r)
		return
	}
	var ids []takedown.CaseID
	for _, text := range r.Form["case"] {
		id, err := takedown.ParseCaseID(text)
		if err == nil && h.visible(r.Context(), who, id) && !h.later.holds(id, 0) && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	do, now := bulks[r.FormValue("do")](h, r, who, ids)
	switch {
	case len(ids) == 0:
		h.redirect(w, r, "/desk/?note=none_selected")
	case do == nil:
		h.redirect(w, r, "/desk/?note=no_reason")
	case now:
		note := "bulk"
		if len(failures(do(r.Context()))) > 0 {
			note = "bulk_failed"
		}
		h.redirect(w, r, "/desk/?note="+note)
	default:
		a := &action{by: who.ID, what: r.FormValue("do"), cases: map[takedown.CaseID]bool{}}
		for _, id := range ids {
			a.cases[id] = true
		}
		a.do = func(ctx context.Context) int {
			failed := failures(do(ctx))
			for _, err := range failed {
				h.opts.Logger.Warn("web: a case of several was not moved", "error", err)
			}
			return len(failed)
		}
		h.later.put(a, h.opts.Now())
		h.redirect(w, r, "/desk/")
	}
}

// failures are the errors of several cases. An acceptance that waits for a second
// reviewer is none.
func failures(all map[takedown.CaseID]error) (failed []error) {
	for _, err := range all {
		var second *desk.SecondReviewError
		if err != nil && !errors.As(err, &second) {
			failed = append(failed, err)
		}
	}
	return failed
}
