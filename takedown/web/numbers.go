package web

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/staydown/staydown/takedown/desk"
)

// numbers are counts of all cases, and how the desk does. Reading all takes some
// seconds on a large desk, so they are kept for a minute and counted again in the background.
type numbers struct {
	Counted  time.Time
	Total    int
	ByKind   []kindNumbers
	ByGround []groundNumbers
	Team     []teamNumbers
	Backlog  int
	Oldest   time.Time
	Decided  int
	Reversed int
	Problems []desk.HealthProblem

	kinds   map[string]*kindNumbers
	grounds map[string]*groundNumbers
	team    map[string]*teamNumbers
}

type kindNumbers struct {
	Kind                                         string
	Received, Open, Accepted, Rejected, Reversed int
	Median                                       time.Duration
	took                                         []time.Duration
}

// groundNumbers are the decisions for a reason.
type groundNumbers struct {
	Reason                       string
	Accepted, Rejected, Reversed int
}

// teamNumbers are the decisions of a reviewer.
type teamNumbers struct {
	By                           string
	Accepted, Rejected, Reversed int
	Median                       time.Duration
	took                         []time.Duration
}

// numbersAge is how old the numbers may be when a page shows them.
const numbersAge = time.Minute

// counter counts all cases, at most one time at once.
type counter struct {
	mu      sync.Mutex
	last    *numbers
	running chan struct{} // closed when the count that runs has ended
	err     error
}

// start begins the first count, in the background.
func (c *counter) start(count func(context.Context) (*numbers, error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil && c.running == nil {
		c.run(count)
	}
}

// run counts in the background. The caller holds the lock.
func (c *counter) run(count func(context.Context) (*numbers, error)) {
	done := make(chan struct{})
	c.running = done
	go func() {
		// Not the context of a page: it may be gone before the end, and the numbers
		// are for the next one.
		n, err := count(context.Background())
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.err = err; err == nil {
			c.last = n
		}
		c.running = nil
		close(done)
	}()
}

// get returns the numbers of the last count. Only the first callers wait for one; later
// ones get those from before while a new count runs.
func (c *counter) get(ctx context.Context, count func(context.Context) (*numbers, error), now time.Time) (*numbers, error) {
	c.mu.Lock()
	if c.running == nil && (c.last == nil || now.Sub(c.last.Counted) > numbersAge) {
		c.run(count)
	}
	last, running := c.last, c.running
	c.mu.Unlock()
	if last != nil {
		return last, nil
	}
	select {
	case <-running:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last, c.err
}

// count reads all cases.
func (h *Handler) count(ctx context.Context) (*numbers, error) {
	n := &numbers{Counted: h.opts.Now(), kinds: map[string]*kindNumbers{}, grounds: map[string]*groundNumbers{}, team: map[string]*teamNumbers{}}
	n.Problems = h.desk.Health(ctx)
	for c, err := range h.desk.Cases(ctx) {
		if err != nil {
			return nil, err
		}
		n.add(&c)
	}
	for _, k := range n.kinds {
		k.Median, k.took = medianOf(k.took), nil
		n.ByKind = append(n.ByKind, *k)
	}
	for _, g := range n.grounds {
		n.ByGround = append(n.ByGround, *g)
	}
	for _, t := range n.team {
		t.Median, t.took = medianOf(t.took), nil
		n.Team = append(n.Team, *t)
	}
	slices.SortFunc(n.ByKind, func(a, b kindNumbers) int {
		return cmp.Or(cmp.Compare(b.Received, a.Received), cmp.Compare(a.Kind, b.Kind))
	})
	slices.SortFunc(n.ByGround, func(a, b groundNumbers) int {
		return cmp.Or(cmp.Compare(b.Accepted+b.Rejected, a.Accepted+a.Rejected), cmp.Compare(a.Reason, b.Reason))
	})
	slices.SortFunc(n.Team, func(a, b teamNumbers) int { return cmp.Compare(a.By, b.By) })
	n.kinds, n.grounds, n.team = nil, nil, nil
	return n, nil
}

// of returns the entry of a map, which it makes.
func of[T any](m map[string]*T, key string, fresh T) *T {
	if m[key] == nil {
		m[key] = &fresh
	}
	return m[key]
}

func (n *numbers) add(c *desk.Case) {
	n.Total++
	k := of(n.kinds, c.Kind.String(), kindNumbers{Kind: c.Kind.String()})
	k.Received++
	if c.Outcome == "" {
		k.Open++
		if c.State == desk.StateInReview || c.State == desk.StateSecondReview {
			n.Backlog++
			if n.Oldest.IsZero() || c.Received.Before(n.Oldest) {
				n.Oldest = c.Received
			}
		}
		return
	}
	n.Decided++
	g := of(n.grounds, c.Reason, groundNumbers{Reason: c.Reason})
	t := of(n.team, decidedBy(c), teamNumbers{By: decidedBy(c)})
	count := func(a, b, c *int) { *a++; *b++; *c++ }
	if c.Outcome == desk.OutcomeAccepted || c.Outcome == desk.OutcomePartly {
		count(&k.Accepted, &g.Accepted, &t.Accepted)
	} else {
		count(&k.Rejected, &g.Rejected, &t.Rejected)
	}
	if c.State == desk.StateReversed {
		n.Reversed++
		count(&k.Reversed, &g.Reversed, &t.Reversed)
	}
	if at, ok := c.Times[desk.MilestoneDecided]; ok {
		took := max(0, at.Sub(c.Received))
		k.took, t.took = append(k.took, took), append(t.took, took)
	}
}

// decidedBy returns who decided a case first.
func decidedBy(c *desk.Case) string {
	at := c.Times[desk.MilestoneDecided]
	for _, m := range c.Moves {
		if m.By != "" && !m.Time.Before(at) {
			return m.By
		}
	}
	return ""
}

func medianOf(list []time.Duration) time.Duration {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[len(list)/2]
}

// numbersPage shows the numbers, and how the desk does.
type numbersPage struct {
	*numbers
	Status desk.Status
}

// showNumbers shows counts of all cases.
func (h *Handler) showNumbers(w http.ResponseWriter, r *http.Request, who Reviewer) {
	var n numbersPage
	var err error
	if n.Status, err = h.desk.Status(r.Context()); err == nil {
		n.numbers, err = h.counter.get(r.Context(), h.count, h.opts.Now())
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	h.render(w, r, http.StatusOK, "numbers", h.consolePage(r, who, "numbers", n))
}

// Reason writes the code of a reason in words.
func (p page) Reason() func(string) string {
	return func(code string) string {
		if text, ok := p.texts.Reason(p.W.lang, code); ok {
			return text
		}
		return cmp.Or(code, "–")
	}
}

// Deadline writes the name of a deadline in words. Operators have deadlines of their
// own, whose names stand for themselves.
func (p page) Deadline() func(string) string {
	return func(name string) string {
		if p.W.has("deadline." + name) {
			return p.W.of("deadline." + name)
		}
		return name
	}
}

// Long writes a duration for people: in minutes, hours or days.
func (p page) Long() func(time.Duration) string {
	return func(d time.Duration) string {
		unit, n := "minutes", d.Minutes()
		switch {
		case d >= 48*time.Hour:
			unit, n = "days", d.Hours()/24
		case d >= 2*time.Hour:
			unit, n = "hours", d.Hours()
		}
		return p.W.format("long."+unit, "{n}", strconv.Itoa(int(n+0.5)))
	}
}
