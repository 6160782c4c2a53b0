package main

import (
	"os"
	"path/filepath"
	"runtime"

	"github.com/corona10/goimagehash"

	"github.com/staydown/staydown/internal/tools/benchmarks/internal/keys"
	"github.com/staydown/staydown/phash"
)

// engine is one way to find hashes. All do the same work: they give the number
// and the distance of every key within the radius.
type engine struct {
	name string
	// exact engines find equal keys only; they are timed for what that costs
	// and not compared with the others' results.
	exact bool
	// slow engines are left out where a search takes tens of milliseconds.
	slow  bool
	build func(data *dataset) (search searchFunc, bytes int)
}

// searchFunc gives the number of results and a sum over them that any mistake
// changes.
type searchFunc func(q int) result

type result struct{ found, sum int }

func (r *result) add(id uint32, distance int) {
	r.found++
	r.sum += int(id)*257 + distance
}

// dataset is what the engines are built from and asked for.
type dataset struct {
	alg     phash.Algorithm
	keys    []keys.Words
	entries []phash.Entry
	queries []keys.Words
	hashes  []phash.Hash // the queries
	radius  int
}

// heap returns how many bytes build leaves on the heap.
func heap(build func()) int {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	build()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return int(after.HeapAlloc) - int(before.HeapAlloc)
}

var engines = []engine{
	{name: "goimagehash, loop over Distance", slow: true, build: func(d *dataset) (searchFunc, int) {
		if d.alg.Bits() == 64 {
			var list, queries []*goimagehash.ImageHash
			bytes := heap(func() {
				for _, k := range d.keys {
					list = append(list, goimagehash.NewImageHash(k[0], goimagehash.PHash))
				}
			})
			for _, k := range d.queries {
				queries = append(queries, goimagehash.NewImageHash(k[0], goimagehash.PHash))
			}
			return func(q int) (r result) {
				for i, h := range list {
					if dist, err := queries[q].Distance(h); err == nil && dist <= d.radius {
						r.add(uint32(i), dist)
					}
				}
				return r
			}, bytes
		}
		var list, queries []*goimagehash.ExtImageHash
		bytes := heap(func() {
			for _, k := range d.keys {
				list = append(list, goimagehash.NewExtImageHash(append([]uint64(nil), k[:]...), goimagehash.PHash, 256))
			}
		})
		for _, k := range d.queries {
			queries = append(queries, goimagehash.NewExtImageHash(append([]uint64(nil), k[:]...), goimagehash.PHash, 256))
		}
		return func(q int) (r result) {
			for i, h := range list {
				if dist, err := queries[q].Distance(h); err == nil && dist <= d.radius {
					r.add(uint32(i), dist)
				}
			}
			return r
		}, bytes
	}},
	{name: "BK-tree of pointers and maps", slow: true, build: func(d *dataset) (searchFunc, int) {
		var tree pointerTree
		bytes := heap(func() {
			for i, k := range d.keys {
				tree.add(k, uint32(i))
			}
		})
		return func(q int) (r result) {
			tree.search(d.queries[q], d.radius, &r)
			return r
		}, bytes
	}},
	{name: "phash.BKTree", slow: true, build: func(d *dataset) (searchFunc, int) {
		tree := phash.NewBKTree(d.alg)
		bytes := heap(func() {
			for _, e := range d.entries {
				check(tree.Insert(e.Hash, e.ID))
			}
		})
		return func(q int) (r result) {
			tree.Search(d.hashes[q], d.radius, func(id uint32, dist int) bool { r.add(id, dist); return true })
			return r
		}, bytes
	}},
	{name: "phash.Linear", slow: true, build: func(d *dataset) (searchFunc, int) {
		linear := phash.NewLinear(d.alg)
		bytes := heap(func() {
			for _, e := range d.entries {
				check(linear.Insert(e.Hash, e.ID))
			}
		})
		return func(q int) (r result) {
			linear.Search(d.hashes[q], d.radius, func(id uint32, dist int) bool { r.add(id, dist); return true })
			return r
		}, bytes
	}},
	{name: "plain loop over words", slow: true, build: func(d *dataset) (searchFunc, int) {
		if d.alg.Bits() == 64 {
			words := make([]uint64, len(d.keys))
			for i, k := range d.keys {
				words[i] = k[0]
			}
			return func(q int) (r result) {
				return scanWords(words, d.queries[q][0], d.radius)
			}, 8 * len(words)
		}
		return func(q int) (r result) {
			for i := range d.keys {
				if dist := keys.Distance(d.keys[i], d.queries[q]); dist <= d.radius {
					r.add(uint32(i), dist)
				}
			}
			return r
		}, 32 * len(d.keys)
	}},
	{name: "Go map of exact hashes", exact: true, build: func(d *dataset) (searchFunc, int) {
		var m map[keys.Words]uint32
		bytes := heap(func() {
			m = make(map[keys.Words]uint32)
			for i, k := range d.keys {
				m[k] = uint32(i)
			}
		})
		return func(q int) (r result) {
			if id, ok := m[d.queries[q]]; ok {
				r.add(id, 0)
			}
			return r
		}, bytes
	}},
	{name: "phash.Segment, mapped file", build: func(d *dataset) (searchFunc, int) {
		return searchSegment(d, mapped(newSegment(d)))
	}},
	{name: "phash.Segment, huge pages", build: func(d *dataset) (searchFunc, int) {
		return searchSegment(d, newSegment(d).InHugePages())
	}},
}

func newSegment(d *dataset) *phash.Segment {
	s, err := phash.NewSegment(d.alg, d.entries)
	check(err)
	return s
}

func searchSegment(d *dataset, s *phash.Segment) (searchFunc, int) {
	return func(q int) (r result) {
		s.Search(d.hashes[q], d.radius, func(id uint32, dist int) bool { r.add(id, dist); return true })
		return r
	}, s.Size()
}

// mapped writes s to a file and opens it from there.
func mapped(s *phash.Segment) *phash.Segment {
	dir, err := os.MkdirTemp("", "segment")
	check(err)
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "segment")
	b, err := s.AppendBinary(nil)
	check(err)
	check(os.WriteFile(name, b, 0o600))
	opened, err := phash.OpenSegment(mapFile(name))
	check(err)
	return opened
}

// pointerTree is a BK-tree as the published packages have it: a node for every
// key, with a map of its children by their distance. (None of those packages
// could be had at a fixed version where these measurements were made.)
type pointerTree struct {
	root    *pointerNode
	visited int
}

type pointerNode struct {
	key      keys.Words
	id       uint32
	children map[int]*pointerNode
}

func (t *pointerTree) add(k keys.Words, id uint32) {
	added := &pointerNode{key: k, id: id}
	if t.root == nil {
		t.root = added
		return
	}
	for n := t.root; ; {
		d := keys.Distance(n.key, k)
		child := n.children[d]
		if child == nil {
			if n.children == nil {
				n.children = make(map[int]*pointerNode)
			}
			n.children[d] = added
			return
		}
		n = child
	}
}

func (t *pointerTree) search(q keys.Words, radius int, r *result) {
	var todo []*pointerNode
	for n := t.root; n != nil; {
		t.visited++
		d := keys.Distance(n.key, q)
		if d <= radius {
			r.add(n.id, d)
		}
		for at := max(1, d-radius); at <= d+radius && len(n.children) > 0; at++ {
			if child := n.children[at]; child != nil {
				todo = append(todo, child)
			}
		}
		n = nil
		if len(todo) > 0 {
			n, todo = todo[len(todo)-1], todo[:len(todo)-1]
		}
	}
}
