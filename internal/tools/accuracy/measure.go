package main

import (
	"context"
	"errors"
	"log"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/staydown/staydown/takedown"
)

// run asks what is not answered yet.
type runner struct {
	o *options
	m *material
	r *results

	mu    sync.Mutex
	asked map[string]bool // all questions of this run, answered before or now
}

// measure fills r with the answers to all questions of the run.
func measure(ctx context.Context, o *options, m *material, r *results) error {
	run := &runner{o: o, m: m, r: r, asked: map[string]bool{}}
	if slices.Contains(o.sides, "copies") || slices.Contains(o.sides, "unrelated") {
		if err := run.list(ctx); err != nil {
			return err
		}
	}
	if slices.Contains(o.sides, "families") {
		if err := run.families(ctx); err != nil {
			return err
		}
	}
	r.only(run.asked)
	return nil
}

// wants notes a question and reports whether it has to be asked.
func (u *runner) wants(q *row) bool {
	u.mu.Lock()
	u.asked[q.key()] = true
	u.mu.Unlock()
	return !u.r.has(q)
}

// list registers all originals and the other pictures of the list, and asks
// copies of the originals and unrelated pictures.
func (u *runner) list(ctx context.Context) (err error) {
	c, err := newClerk()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	names := map[takedown.CaseID]string{}
	var rows []row
	for _, path := range u.m.originals {
		reg, err := c.register(ctx, path)
		if err != nil {
			return err
		}
		names[reg.id] = filepath.Base(path)
		rows = append(rows, registeredRow("registered", filepath.Base(path), reg))
	}
	for _, path := range u.m.list {
		reg, err := c.register(ctx, path)
		if ctx.Err() != nil {
			return err
		} else if err != nil { // such as a file that is no picture
			reg.refused = strings.Join(strings.Fields(err.Error()), " ")
		} else {
			names[reg.id] = u.m.title(path)
		}
		rows = append(rows, registeredRow("registered besides", u.m.title(path), reg))
	}
	for i := range rows {
		u.wants(&rows[i])
	}
	if err := u.r.add(rows...); err != nil {
		return err
	}
	e, _, err := c.publish()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	name := func(id takedown.CaseID) string { return names[id] }
	if slices.Contains(u.o.sides, "copies") {
		if err := u.copies(ctx, e, name); err != nil {
			return err
		}
	}
	if slices.Contains(u.o.sides, "unrelated") {
		return u.unrelated(ctx, e, name)
	}
	return nil
}

func registeredRow(side, name string, reg registration) row {
	return row{side: side, group: side, name: name, registered: name,
		crawler: answer{points: reg.points}, note: reg.refused, risks: reg.risks}
}

// question is a row without its answers, and where the picture is that is asked.
type question struct {
	row  row
	path func() (string, error)
}

func at(path string) func() (string, error) { return func() (string, error) { return path, nil } }

func (u *runner) copies(ctx context.Context, e *takedown.Enforcer, name func(takedown.CaseID) string) error {
	var todo []question
	for _, k := range u.m.kinds {
		for _, p := range u.m.sample {
			base := filepath.Base(p)
			q := row{side: "copies", group: k.group, set: k.set, name: k.name, registered: base, asked: base}
			todo = append(todo, question{q, func() (string, error) { return u.m.copyOf(p, k) }})
		}
	}
	return u.ask(ctx, e, name, todo, "copies")
}

func (u *runner) unrelated(ctx context.Context, e *takedown.Enforcer, name func(takedown.CaseID) string) error {
	var todo []question
	for _, p := range u.m.innocent {
		q := row{side: "unrelated", group: "unrelated", name: u.m.source(p), asked: u.m.title(p)}
		todo = append(todo, question{q, at(p)})
	}
	return u.ask(ctx, e, name, todo, "unrelated pictures")
}

// ask asks the questions that have no answer yet.
func (u *runner) ask(ctx context.Context, e *takedown.Enforcer, name func(takedown.CaseID) string, all []question, what string) error {
	todo := slices.DeleteFunc(all, func(q question) bool { return !u.wants(&q.row) })
	return parallel(ctx, u.o.jobs, len(todo), what, func(i int) error {
		path, err := todo[i].path()
		if err != nil {
			return err
		}
		c, err := look(path)
		if err != nil {
			return err
		}
		q := todo[i].row
		q.ask(e, c, name)
		return u.r.add(q)
	})
}

func (u *runner) families(ctx context.Context) error {
	return parallel(ctx, u.o.jobs, len(u.m.families), "families", func(i int) error {
		return u.family(ctx, u.m.families[i])
	})
}

// relatives are a family with its members, and what was seen of them.
type relatives struct {
	drawable
	paths []string
	seen  map[string]takedown.Candidate
}

func (t *relatives) base(i int) string { return t.name + "/" + filepath.Base(t.paths[i]) }

// look looks at a picture of the family once.
func (t *relatives) look(path string) (takedown.Candidate, error) {
	c, ok := t.seen[path]
	if !ok {
		var err error
		if c, err = look(path); err != nil {
			return c, err
		}
		t.seen[path] = c
	}
	return c, nil
}

// family registers members of a family, each alone, and asks the others, and
// true copies of it.
func (u *runner) family(ctx context.Context, f drawable) (err error) {
	paths, err := u.m.family(f)
	if err != nil {
		return err
	}
	t := &relatives{f, paths, map[string]takedown.Candidate{}}
	c, err := newClerk()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	n := len(t.paths)
	if u.o.registered > 0 {
		n = min(n, u.o.registered)
	}
	for i := range n {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := u.alone(ctx, c, t, i); err != nil {
			return err
		}
	}
	return nil
}

// questions returns what is asked while only member i is registered.
func (u *runner) questions(t *relatives, i int) (qs []question) {
	for k, path := range t.paths {
		if k != i {
			q := row{side: "families", group: "families", set: t.set, name: t.name, registered: t.base(i), asked: t.base(k)}
			qs = append(qs, question{q, at(path)})
		}
	}
	for _, d := range u.m.documents {
		if i < u.o.documents && d.set == t.set {
			q := row{side: "documents", group: "documents", set: t.set, name: t.name, registered: t.base(i), asked: t.base(i) + "__" + d.name}
			qs = append(qs, question{q, func() (string, error) { return u.m.again(t.paths[i], d) }})
		}
	}
	return qs
}

// alone asks what member i of a family does when nothing else is registered.
func (u *runner) alone(ctx context.Context, c *clerk, t *relatives, i int) (err error) {
	registered := row{side: "registered alone", group: "registered alone", set: t.set, name: t.name, registered: t.base(i)}
	qs := u.questions(t, i)
	open := u.wants(&registered)
	for k := range qs {
		open = u.wants(&qs[k].row) || open
	}
	if !open {
		return nil
	}
	reg, err := c.register(ctx, t.paths[i])
	if err != nil {
		return err
	}
	e, _, err := c.publish()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close(), c.withdraw(ctx, reg)) }()
	registered.crawler.points, registered.note, registered.risks = reg.points, reg.refused, reg.risks
	rows := []row{registered}
	for _, q := range qs {
		path, err := q.path()
		if err != nil {
			return err
		}
		seen, err := t.look(path)
		if err != nil {
			return err
		}
		q.row.ask(e, seen, func(takedown.CaseID) string { return t.base(i) })
		rows = append(rows, q.row)
	}
	return u.r.add(rows...)
}

// parallel calls f for 0 to n-1, jobs at a time, and logs how far it is.
func parallel(ctx context.Context, jobs, n int, what string, f func(i int) error) error {
	var next, done atomic.Int64
	errs := make([]error, jobs)
	var wg sync.WaitGroup
	start, logged := time.Now(), new(atomic.Int64)
	for j := range jobs {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if errs[j] = errors.Join(ctx.Err()); errs[j] == nil {
					errs[j] = f(i)
				}
				if errs[j] != nil {
					next.Store(int64(n))
					return
				}
				d, at := done.Add(1), int64(time.Since(start)/time.Second)
				if last := logged.Load(); at >= last+20 && logged.CompareAndSwap(last, at) {
					log.Printf("%d of %d %s after %d s", d, n, what, at)
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
