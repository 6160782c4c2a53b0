package main

import (
	"cmp"
	"slices"

	"github.com/staydown/staydown/phash"
)

// setup is a way to register and to ask.
type setup struct {
	radius  int // at which the table is
	review  int // a wider one, 0 for none
	stored  func(o *original) []stored
	queries func(q *query) []phash.Hash
	// refuses says that pictures that Register refuses are not registered.
	refuses bool
}

func plainPDQ(q *query) []phash.Hash   { return []phash.Hash{q.Own} }
func ownPDQ(q *query) []phash.Hash     { return q.PDQ[:1] }
func allPDQ(q *query) []phash.Hash     { return q.PDQ }
func foreignPDQ(q *query) []phash.Hash { return []phash.Hash{q.Foreign} }
func perception(q *query) []phash.Hash { return []phash.Hash{q.Perception} }

var setups = map[string]setup{
	"pdq": {radius: 31, stored: func(o *original) []stored { return o.Dihedral[:1] }, queries: plainPDQ},
	"goimagehash": {radius: 10, stored: func(o *original) []stored { return []stored{{Hash: o.Query.Perception}} },
		queries: perception},
	"dihedral": {radius: 31, review: 50, stored: func(o *original) []stored { return o.Dihedral }, queries: allPDQ},
	"default": {radius: phash.BlockRadius, review: phash.ReviewRadius, refuses: true,
		stored: func(o *original) []stored { return o.Default }, queries: allPDQ},
	"wide": {radius: phash.BlockRadius, review: phash.ReviewRadius, refuses: true,
		stored: func(o *original) []stored { return o.Wide }, queries: allPDQ},
	"stored": {radius: phash.BlockRadius, review: phash.ReviewRadius, refuses: true,
		stored: func(o *original) []stored { return o.Default }, queries: ownPDQ},
	"storedwide": {radius: phash.BlockRadius, review: phash.ReviewRadius, refuses: true,
		stored: func(o *original) []stored { return o.Wide }, queries: ownPDQ},
	"foreign": {radius: phash.BlockRadius, review: phash.ReviewRadius, refuses: true,
		stored: func(o *original) []stored { return o.Default }, queries: foreignPDQ},
	"hashonly": {radius: phash.BlockRadius, review: phash.ReviewRadius, refuses: true,
		stored: func(o *original) []stored { return o.HashOnly }, queries: allPDQ},
	"perception": {radius: 8, review: 10, refuses: true,
		stored: func(o *original) []stored { return o.Perception }, queries: perception},
}

// maxRadius is how far the curves go.
const maxRadius = 96

// histogram counts distances; the last bin is everything further.
type histogram [maxRadius + 2]int

func (h *histogram) add(d int) { h[min(d, maxRadius+1)]++ }

// within is how many lie within r.
func (h *histogram) within(r int) (n int) {
	for _, c := range h[:min(r, maxRadius)+1] {
		n += c
	}
	return n
}

func (h *histogram) total() (n int) {
	for _, c := range h {
		n += c
	}
	return n
}

// result is what was measured of a set-up.
type result struct {
	name string
	setup
	most       int                   // hashes that a registration stores
	mean       float64               // the same on average
	refused    []int                 // originals
	recall     map[string]*histogram // by transform: of copies of registered pictures
	lost       map[string]int        // by transform: copies of refused pictures
	originals  histogram             // ordered pairs of different originals
	copies     histogram             // pairs of an original and a copy of another
	nearest    []pair                // the nearest of the former, each pair once
	registered int
}

type pair struct{ registered, asked, distance int }

func measure(c *corpus, name string, s setup) *result {
	r := &result{name: name, setup: s, recall: map[string]*histogram{}, lost: map[string]int{}}
	sum := 0
	registered := make([][]phash.Hash, len(c.Originals))
	for i := range c.Originals {
		o := &c.Originals[i]
		if s.refuses && o.Refused != "" {
			r.refused = append(r.refused, i)
			continue
		}
		for _, v := range s.stored(o) {
			registered[i] = append(registered[i], v.Hash)
		}
		r.registered++
		r.most = max(r.most, len(registered[i]))
		sum += len(registered[i])
	}
	r.mean = float64(sum) / float64(max(1, r.registered))

	for i := range c.Copies {
		cp := &c.Copies[i]
		if registered[cp.Of] == nil {
			r.lost[cp.Transform]++
			continue
		}
		h := r.recall[cp.Transform]
		if h == nil {
			h = new(histogram)
			r.recall[cp.Transform] = h
		}
		h.add(nearest(registered[cp.Of], s.queries(&cp.Query)))
	}

	for i, hs := range registered {
		if hs == nil {
			continue
		}
		for j := range c.Originals {
			if i == j {
				continue
			}
			d := nearest(hs, s.queries(&c.Originals[j].Query))
			r.originals.add(d)
			r.nearest = append(r.nearest, pair{i, j, d})
		}
		for j := range c.Copies {
			if cp := &c.Copies[j]; cp.Of != i && cp.Transform != "collage_2x2" {
				r.copies.add(nearest(hs, s.queries(&cp.Query)))
			}
		}
	}
	slices.SortStableFunc(r.nearest, func(a, b pair) int { return cmp.Compare(a.distance, b.distance) })
	r.nearest = r.nearest[:min(len(r.nearest), 12)]
	return r
}

// nearest is the smallest distance between a stored hash and one asked with.
func nearest(stored, asked []phash.Hash) int {
	best := 256
	for _, q := range asked {
		for _, h := range stored {
			if d, ok := q.Distance(h); ok && d < best {
				best = d
			}
		}
	}
	return best
}
