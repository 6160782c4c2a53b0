package web

import (
	"cmp"
	"context"
	"crypto/rand"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/staydown/staydown/takedown"
)

// undoTime is how long an action on many cases waits, so that it can be undone. Most
// moves of a case cannot be taken back: letters go out.
const undoTime = 12 * time.Second

// action is something that a reviewer does with several cases or matches, and that
// has not happened yet.
type action struct {
	id, by  string
	what    string // the name of its text
	cases   map[takedown.CaseID]bool
	matches map[uint64]bool
	at      time.Time
	timer   *time.Timer
	do      func(ctx context.Context) (failed int)
}

func (a *action) n() int { return len(a.cases) + len(a.matches) }

// later keeps the actions that wait. They happen when their time is over, or when the
// handler is closed. If the process dies before, they do not happen, and what they are
// about is in the queue as before.
type later struct {
	mu      sync.Mutex
	waiting map[string]*action
	failed  map[string]failure // by reviewer: of the actions that have ended
	running sync.WaitGroup
	closed  bool
}

type failure struct {
	what      string
	n, failed int
}

// put lets an action wait.
func (l *later) put(a *action, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting == nil {
		l.waiting, l.failed = map[string]*action{}, map[string]failure{}
	}
	a.id, a.at = rand.Text(), now.Add(undoTime)
	l.waiting[a.id] = a
	a.timer = time.AfterFunc(undoTime, func() { l.run(a.id) })
	if l.closed {
		a.timer.Reset(0)
	}
}

// run does an action, unless it was undone.
func (l *later) run(id string) {
	l.mu.Lock()
	a := l.waiting[id]
	if a == nil || a.do == nil {
		l.mu.Unlock()
		return
	}
	do := a.do
	a.do = nil // it runs
	l.running.Add(1)
	l.mu.Unlock()
	defer l.running.Done()
	failed := do(context.Background())
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.waiting, id)
	if failed > 0 {
		l.failed[a.by] = failure{a.what, a.n(), failed}
	}
}

// undo drops an action of a reviewer that has not happened.
func (l *later) undo(id, by string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.waiting[id]
	if a == nil || a.by != by || a.do == nil {
		return false
	}
	a.timer.Stop()
	delete(l.waiting, id)
	return true
}

// pending is an action as a page shows it.
type pending struct {
	ID, What string
	N        int
	Seconds  int
}

// of returns the actions of a reviewer that wait, and what failed of the last one.
func (l *later) of(by string, now time.Time) (list []pending, failed failure) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.waiting {
		if a.by == by && a.do != nil {
			list = append(list, pending{a.id, a.what, a.n(), max(1, int(a.at.Sub(now).Seconds()))})
		}
	}
	slices.SortFunc(list, func(a, b pending) int { return cmp.Or(cmp.Compare(b.Seconds, a.Seconds), cmp.Compare(a.ID, b.ID)) })
	failed = l.failed[by]
	delete(l.failed, by)
	return list, failed
}

// holds reports whether something waits for a case or a match, by anybody.
func (l *later) holds(id takedown.CaseID, match uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.waiting {
		if a.cases[id] || a.matches[match] {
			return true
		}
	}
	return false
}

// close does what waits.
func (l *later) close() {
	l.mu.Lock()
	l.closed = true
	var ids []string
	for id, a := range l.waiting {
		a.timer.Stop()
		ids = append(ids, id)
	}
	l.mu.Unlock()
	for _, id := range ids {
		l.run(id)
	}
	l.running.Wait()
}

// Close does at once what waits to be undone: actions of reviewers on several cases.
// The caller calls it after the server has ended, and before it closes the desk.
func (h *Handler) Close() error {
	h.later.close()
	return nil
}

// undo takes back an action that has not happened yet.
func (h *Handler) undo(w http.ResponseWriter, r *http.Request, who Reviewer) {
	note := "undone"
	if !h.later.undo(r.PathValue("action"), who.ID) {
		note = "too_late"
	}
	r.Body = http.MaxBytesReader(w, r.Body, 4096)
	to := r.FormValue("next")
	if !slices.Contains([]string{"/desk/", "/desk/matches"}, to) {
		to = "/desk/"
	}
	h.redirect(w, r, to+"?note="+note)
}

// Waits says what a reviewer can undo.
func (p page) Waits() func(pending) string {
	return func(a pending) string {
		return p.W.format("later."+a.What, "{n}", strconv.Itoa(a.N), "{seconds}", strconv.Itoa(a.Seconds))
	}
}
