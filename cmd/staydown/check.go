package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
)

// checkCmd answers for addresses, files and hashes.
type checkCmd struct {
	listFlags
	Targets []string `arg:"" help:"Addresses (http or https), files with pictures, or hashes (64 hex digits, or pdq:… or p:…). \"-\" is a picture from standard input." predictor:"file"`
	In      string   `help:"Answer for a viewer in a country, ISO 3166-1 alpha-2. Without it, what is blocked in some countries only is \"restricted\"." placeholder:"CC"`
	Page    bool     `help:"The addresses are pages, not pictures."`
	Fetch   bool     `help:"Also fetch pictures at addresses that are not blocked, and look at them. Private networks are never asked."`
	All     bool     `help:"Print every rule that matches, not only the strongest."`
}

// Help is shown below the usage.
func (checkCmd) Help() string {
	return `Prints a line for each target: the verdict, the way in which it was recognised, the number of the rule, its case and
since when the rule holds: exactly if the list is a folder, otherwise at least since the file was written. "allow" names what was compared: without --fetch, an address alone says nothing about the
picture behind it.

Is this address blocked, by which case, since when?
  staydown check --list blocklist.snap https://example.com/a.jpg
Is my list genuine and fresh? The same answer then is 5 (unknown) if it is not:
  staydown check --list blocklist.snap --trust list.key.pub --max-age 24h https://example.com/a.jpg
Or ask about the list alone:
  staydown verify blocklist.snap --trust list.key.pub --max-age 24h
What else does the rule say?
  staydown inspect blocklist.snap --rule 17`
}

// checked is the answer about a target.
type checked struct {
	Target   string            `json:"target"`
	Decision takedown.Decision `json:"decision"`
	// Since is when the rule began. A file has that only for rules that were made
	// with a start; for others, Before is when the file was written.
	Since  *time.Time `json:"since,omitempty"`
	Before *time.Time `json:"since_before,omitempty"`
	Until  *time.Time `json:"until,omitempty"`
	In     []string   `json:"territories,omitempty"`
}

func (c *checkCmd) Run(a *app) error {
	e, lists, err := c.enforcer(a.ctx)
	if err != nil {
		return err
	}
	defer closeLists(lists)
	if c.In != "" {
		if err := e.In(c.In).Err(); err != nil {
			return usagef("--in: %v", err)
		}
	}
	for _, target := range c.Targets {
		cand, err := c.candidate(a, e, target)
		if err != nil {
			a.fail("%s: %v", target, err)
			// The list still answers about what is known, and may block it.
			if cand == nil {
				continue
			}
		}
		c.answer(a, e, lists, target, cand)
	}
	return nil
}

// answer prints what the lists say about a candidate.
func (c *checkCmd) answer(a *app, e *takedown.Enforcer, lists []takedown.ListSource, target string, cand *takedown.Candidate) {
	d := c.decide(e, cand)
	a.note(d.Verdict)
	all := []takedown.Decision{d}
	if c.All && d.Why != 0 {
		all = all[:0]
		for m := range e.Matches(*cand) {
			all = append(all, m)
		}
	}
	for _, d := range all {
		res := checked{Target: target, Decision: d}
		text := fmt.Sprintf("%s: %s", target, d)
		if d.Why != 0 {
			text += res.since(listOf(lists, d.List))
		}
		a.print(res, text)
	}
}

// decide asks from a country or from everywhere.
func (c *checkCmd) decide(e *takedown.Enforcer, cand *takedown.Candidate) takedown.Decision {
	if c.In != "" {
		return e.In(c.In).Check(*cand)
	}
	return e.Check(*cand)
}

// since looks up when the rule began, and where it holds.
func (r *checked) since(l *blocklist.List) (text string) {
	rule, state, ok := l.State().Rule(r.Decision.Rule)
	if !ok {
		return ""
	}
	start := rule.Start
	if l.Writable() {
		l.History(r.Decision.Rule, func(e blocklist.Event) bool {
			if start.IsZero() || start.Before(e.Time) {
				start = e.Time
			}
			return false
		})
	}
	if !start.IsZero() {
		r.Since = &start
		text += ", since " + start.UTC().Format(time.RFC3339)
	} else if written := l.State().SnapshotTime(); !written.IsZero() {
		r.Before = &written
		text += ", since before " + written.UTC().Format(time.RFC3339)
	}
	if !rule.End.IsZero() {
		r.Until = &rule.End
		text += ", until " + rule.End.UTC().Format(time.RFC3339)
	}
	for _, t := range rule.Territories {
		r.In = append(r.In, t.String())
	}
	if len(r.In) > 0 {
		text += ", in " + strings.Join(r.In, " ")
	}
	if state != blocklist.RuleInForce {
		text += ", " + state.String()
	}
	return text
}

// candidate finds out what a target is, and what is known of it. It returns a
// candidate beside an error if something can be asked nevertheless.
func (c *checkCmd) candidate(a *app, e *takedown.Enforcer, target string) (*takedown.Candidate, error) {
	if target != "-" && !exists(target) {
		if u, err := url.Parse(target); err == nil && (u.Scheme == "http" || u.Scheme == "https") {
			return c.ofURL(a, e, target)
		}
		if h, err := phash.Parse(target); err == nil && !h.IsZero() {
			return &takedown.Candidate{Hashes: []phash.Hash{h}}, nil
		}
		return nil, errors.New("not a file, not a web address with http:// or https://, and not a hash")
	}
	data, err := readInput(a, target, takedown.DefaultInspectBytes)
	if err != nil {
		return nil, err
	}
	cand, err := takedown.InspectContext(a.ctx, bytes.NewReader(data), takedown.Source{}, &takedown.InspectOptions{Decode: decoding()})
	if err == nil && len(cand.Hashes) == 0 {
		err = errors.New("not a picture; only its bytes are compared")
	}
	return &cand, err
}

// ofURL asks about an address and, if told, about the picture that is there.
func (c *checkCmd) ofURL(a *app, e *takedown.Enforcer, target string) (*takedown.Candidate, error) {
	cand := &takedown.Candidate{ImageURLs: []string{target}}
	if c.Page {
		cand = &takedown.Candidate{PageURLs: []string{target}}
	}
	if _, err := blocklist.Canonical(target); err != nil {
		return nil, err
	}
	if !c.Fetch || c.Page || c.decide(e, cand).Verdict == takedown.Block {
		return cand, nil
	}
	f := newFetcher(fetchOptions{})
	got, err := f.inspect(a.ctx, target)
	if got != nil {
		cand = got
	}
	return cand, err
}
