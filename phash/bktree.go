package phash

import (
	"fmt"
	"math"
	"math/bits"
)

// BKTree is the tree of Burkhard and Keller ("Some approaches to best-match file
// searching", 1973), an index for any metric and any radius. Hashes can be
// inserted and removed at any time. Its nodes are in one array and refer to each
// other by number, which makes it several times faster than a tree of pointers. At
// the radii that matter for pictures, a search still visits so many nodes that a
// scan is as fast: see docs/benchmarks.md. For production use a [Segment].
//
// The zero BKTree has no algorithm and accepts no hash; use NewBKTree. Insert and
// Remove must not run beside other calls; searches may run beside each other.
type BKTree struct {
	alg     Algorithm
	words   int       // of a hash
	bits    []uint64  // the hash of node i is bits[i*words:][:words]
	nodes   []bkNode  // one for every different hash; the first is the root
	entries []bkEntry // entry 0 is not used
	free    uint32    // chain of entries to use again
	n       int
}

// bkNode is a hash in the tree. Numbers of nodes and entries are never 0 here:
// 0 ends a chain.
type bkNode struct {
	child    uint32 // the nearest child
	next     uint32 // the next child of the same parent, farther from it
	entry    uint32 // the first entry with this hash; none if all were removed
	distance uint16 // from the parent
}

type bkEntry struct{ id, next uint32 }

// NewBKTree returns an empty tree for hashes of alg.
func NewBKTree(alg Algorithm) *BKTree {
	return &BKTree{alg: alg, words: alg.Bits() / 64, entries: make([]bkEntry, 1)}
}

// Insert implements Index.
func (t *BKTree) Insert(h Hash, id uint32) error {
	if err := checkAlgorithm(t.alg, h); err != nil {
		return err
	}
	if t.n >= math.MaxInt32 {
		return fmt.Errorf("phash: a BKTree holds up to %d entries", math.MaxInt32)
	}
	node := t.node(h)
	e := t.free
	if e != 0 {
		t.free = t.entries[e].next
	} else {
		e = uint32(len(t.entries))
		t.entries = append(t.entries, bkEntry{})
	}
	t.entries[e] = bkEntry{id, t.nodes[node].entry}
	t.nodes[node].entry = e
	t.n++
	return nil
}

// find goes from the root towards h. It returns the last node on that way,
// which is that of h if distance is zero; else h would be its child, and link
// is where the chain of its children would name it.
func (t *BKTree) find(h Hash) (node uint32, distance int, link *uint32) {
	for {
		distance = t.distance(h, node)
		if distance == 0 {
			return node, 0, nil
		}
		link = &t.nodes[node].child
		for *link != 0 && int(t.nodes[*link].distance) < distance {
			link = &t.nodes[*link].next
		}
		if *link == 0 || int(t.nodes[*link].distance) > distance {
			return node, distance, link
		}
		node = *link
	}
}

// node returns the node of h, which it adds if there is none.
func (t *BKTree) node(h Hash) uint32 {
	added := bkNode{}
	number := uint32(len(t.nodes))
	if number > 0 {
		node, distance, link := t.find(h)
		if distance == 0 {
			return node
		}
		added.next, added.distance = *link, uint16(distance)
		*link = number
	}
	t.nodes = append(t.nodes, added)
	t.bits = append(t.bits, h.w[:t.words]...)
	return number
}

// Remove removes every copy of the entry and reports whether there was one.
// The hash stays in the tree as a signpost.
func (t *BKTree) Remove(h Hash, id uint32) bool {
	if h.alg != t.alg || len(t.nodes) == 0 {
		return false
	}
	node, distance, _ := t.find(h)
	if distance > 0 {
		return false
	}
	removed := false
	for at := &t.nodes[node].entry; *at != 0; {
		e := *at
		if t.entries[e].id != id {
			at = &t.entries[e].next
			continue
		}
		*at = t.entries[e].next
		t.entries[e] = bkEntry{next: t.free}
		t.free = e
		t.n--
		removed = true
	}
	return removed
}

// Search implements Index. It does not allocate.
func (t *BKTree) Search(h Hash, radius int, yield func(id uint32, distance int) bool) bool {
	if h.alg != t.alg || radius < 0 || len(t.nodes) == 0 {
		return true
	}
	return t.search(&h, 0, min(radius, t.alg.Bits()), yield)
}

// search visits a node and what is below it. It calls itself no deeper than
// the hashes have bits, plus one: on a path, all later hashes are equally far
// from an earlier one, and there are no more than that many vectors of ones
// and minus ones with such products (their Gram matrix has full rank but one).
func (t *BKTree) search(h *Hash, node uint32, radius int, yield func(id uint32, distance int) bool) bool {
	d := t.distance(*h, node)
	if d <= radius {
		for e := t.nodes[node].entry; e != 0; e = t.entries[e].next {
			if !yield(t.entries[e].id, d) {
				return false
			}
		}
	}
	// By the triangle inequality, what is within the radius hangs from a child
	// whose distance from here is within the radius of ours.
	for c := t.nodes[node].child; c != 0; {
		n := &t.nodes[c]
		if int(n.distance) > d+radius {
			break
		}
		if int(n.distance) >= d-radius && !t.search(h, c, radius, yield) {
			return false
		}
		c = n.next
	}
	return true
}

func (t *BKTree) distance(h Hash, node uint32) int {
	w := t.bits[int(node)*t.words:]
	if t.words == 1 {
		return bits.OnesCount64(h.w[0] ^ w[0])
	}
	w = w[:4]
	return bits.OnesCount64(h.w[0]^w[0]) + bits.OnesCount64(h.w[1]^w[1]) +
		bits.OnesCount64(h.w[2]^w[2]) + bits.OnesCount64(h.w[3]^w[3])
}

// Len implements Index.
func (t *BKTree) Len() int { return t.n }

// Nodes returns the number of different hashes in the tree, removed ones
// included.
func (t *BKTree) Nodes() int { return len(t.nodes) }
