package takedown

import (
	"slices"
	"sync"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/phash"
)

// Result is an image of a page of results, for [Enforcer.FilterAll].
type Result struct {
	// ImageURL is the address of the image. It may be empty.
	ImageURL string
	// Hash is its stored hash. It may be zero.
	Hash phash.Hash
	// Parts are its stored hashes of parts: see Candidate.Parts. There may be none.
	Parts []phash.Hash
}

// hashes returns the hashes of an item as they are looked up.
func (r *Result) hashes(dst []phash.Hash) []phash.Hash {
	return append(append(dst, r.Hash), r.Parts...)
}

// FilterAll appends to dst the decision of [Enforcer.Filter] about each item. All hashes
// are looked up together, which is faster in lists of many millions of hashes: the
// same memory serves several of them.
func (e *Enforcer) FilterAll(dst []Decision, items ...Result) []Decision {
	return e.filterAll(where{}, dst, items)
}

// FilterAll is [Enforcer.FilterAll] in the region.
func (r Region) FilterAll(dst []Decision, items ...Result) []Decision {
	return r.e.filterAll(r.in, dst, items)
}

// page is what the queries of a FilterAll need.
type page struct {
	weighings []weighing
	queries   []blocklist.Query
	hashes    []phash.Hash // of one algorithm
	of        []int        // the items that they belong to
	own       []phash.Hash // of all items
}

var pages = sync.Pool{New: func() any { return new(page) }}

func (e *Enforcer) filterAll(in where, dst []Decision, items []Result) []Decision {
	start := e.observed.begin(queryFilter)
	p := pages.Get().(*page)
	p.begin(e, in, items)
	for i := range e.sources {
		// One state for all: hits belong to the state that gave them.
		view, open := e.state(i, in.purposes)
		for k := range items {
			p.weighings[k].enterState(i, view, open, &p.queries[k])
		}
		if !open {
			continue
		}
		for k := range items {
			p.weighings[k].address(&p.queries[k], blocklist.ImageAddress, items[k].ImageURL)
		}
		for alg := range phash.Algorithms() {
			p.lookUp(alg)
		}
	}
	for k := range items {
		w, q := &p.weighings[k], &p.queries[k]
		e.count(w, &q.File, q.Hashes)
		dst = append(dst, w.decision())
	}
	p.end()
	e.observed.end(queryFilter, start)
	return dst
}

// begin makes room for the queries about items.
func (p *page) begin(e *Enforcer, in where, items []Result) {
	if cap(p.weighings) < len(items) {
		p.weighings, p.queries = make([]weighing, len(items)), make([]blocklist.Query, len(items))
	}
	p.weighings, p.queries = p.weighings[:len(items)], p.queries[:len(items)]
	n := 0
	for k := range items {
		n += 1 + len(items[k].Parts)
	}
	p.own = slices.Grow(p.own[:0], n) // the queries refer to it
	for k := range items {
		p.weighings[k].begin(e, in)
		from := len(p.own)
		p.own = items[k].hashes(p.own)
		p.queries[k] = blocklist.Query{Hashes: p.own[from:len(p.own):len(p.own)], Territory: in.territory}
	}
}

// lookUp looks up the hashes of one algorithm in the list that was entered.
func (p *page) lookUp(alg phash.Algorithm) {
	p.hashes, p.of = p.hashes[:0], p.of[:0]
	for k := range p.queries {
		w := &p.weighings[k]
		for _, h := range p.queries[k].Hashes {
			if !h.IsZero() && h.Algorithm() == alg {
				w.checked |= TierHash
				w.ask(alg)
				p.hashes, p.of = append(p.hashes, h), append(p.of, k)
			}
		}
	}
	if len(p.of) == 0 {
		return
	}
	w := &p.weighings[p.of[0]]
	w.view.FindHashes(p.hashes, w.terms.radii.Reach(w.far), func(i int, h blocklist.Hit) bool {
		k := p.of[i]
		p.queries[k].Complete(&h)
		return p.weighings[k].take(&h)
	})
}

// end lets go of what the queries refer to, and keeps the memory.
func (p *page) end() {
	clear(p.weighings)
	clear(p.queries)
	clear(p.own)
	pages.Put(p)
}
