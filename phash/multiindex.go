package phash

import (
	"fmt"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
)

// MultiIndex is the index to serve from when hashes come and go: a few
// immutable segments and a small list of what came last. An entry is found as
// soon as Insert returns, and no longer found by searches that begin after
// Remove returned.
//
// All methods may be called concurrently. Searches take no lock, wait for
// nobody and allocate nothing. Insert and Remove take turns. When the list is
// full, Insert seals it into a segment; a goroutine that lives only as long as
// there is work merges segments of similar size, so that there are about
// log4(n/1000) of them.
type MultiIndex struct {
	alg   Algorithm
	n     atomic.Int64
	state atomic.Pointer[multiState]

	mu      sync.Mutex // held to change state, and what it leads to
	merging bool
	merged  sync.Cond // state has fewer parts, or merging ended
}

// multiState is what a search sees. The slice and the segments never change;
// the marks of removed entries, and the delta's length, grow.
type multiState struct {
	parts []*Segment // each with its own removed
	delta *delta
}

const (
	// deltaSize entries are compared in well below a microsecond (64 bit) or
	// about two (256 bit), a fraction of the search of a big segment.
	deltaSize = 1024
	// A segment is merged with all smaller ones once they hold a mergeRatio-th
	// of its entries.
	mergeRatio = 4
	// Insert waits for the merging goroutine if there are more segments.
	maxParts = 24
)

// NewMultiIndex returns an empty index for hashes of alg.
func NewMultiIndex(alg Algorithm) *MultiIndex {
	x := &MultiIndex{alg: alg}
	x.merged.L = &x.mu
	x.state.Store(&multiState{delta: newDelta(alg)})
	return x
}

// NewMultiIndexFrom returns an index that holds the entries of base, which it
// uses as it is: nothing is built.
func NewMultiIndexFrom(base *Segment) *MultiIndex {
	x := NewMultiIndex(base.Algorithm())
	if base.Len() > 0 {
		x.n.Store(int64(base.Len()))
		x.state.Store(&multiState{parts: []*Segment{base.removable()}, delta: newDelta(x.alg)})
	}
	return x
}

// Insert implements Index. Once in a while it takes a few hundred microseconds
// to seal a segment, and it waits if the merging of segments falls far behind.
func (x *MultiIndex) Insert(h Hash, id uint32) error {
	if err := checkAlgorithm(x.alg, h); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for x.state.Load().delta.full() {
		if x.merging && len(x.state.Load().parts) >= maxParts {
			x.merged.Wait()
			continue
		}
		if err := x.seal(); err != nil {
			return err
		}
	}
	x.state.Load().delta.append(h, id)
	x.n.Add(1)
	return nil
}

// Remove removes every copy of the entry and reports whether there was one.
func (x *MultiIndex) Remove(h Hash, id uint32) bool {
	if h.alg != x.alg {
		return false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	st := x.state.Load()
	n := st.delta.remove(h, id)
	for _, p := range st.parts {
		n += p.remove(h.w, id)
	}
	x.n.Add(-int64(n))
	return n > 0
}

// Search implements Index. It sees all entries of one moment, less those that
// are removed meanwhile. It does not allocate.
func (x *MultiIndex) Search(h Hash, radius int, yield func(id uint32, distance int) bool) bool {
	if h.alg != x.alg || radius < 0 {
		return true
	}
	st := x.state.Load()
	for _, p := range st.parts {
		if !p.Search(h, radius, yield) {
			return false
		}
	}
	return st.delta.search(h, radius, yield)
}

// Len implements Index.
func (x *MultiIndex) Len() int { return int(x.n.Load()) }

// Indexed reports whether a search with that radius uses the tables of the
// biggest segment; beyond, it compares with every hash. The results are the
// same.
func (x *MultiIndex) Indexed(radius int) bool {
	st := x.state.Load()
	return len(st.parts) > 0 && st.parts[0].Indexed(radius)
}

// Seal makes a segment of what came last, as Insert does once it is enough.
func (x *MultiIndex) Seal() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.state.Load().delta.len() == 0 {
		return nil
	}
	return x.seal()
}

// Merge makes one segment of everything, without removed entries, and returns
// when that is done. Searches, Insert and Remove go on meanwhile.
func (x *MultiIndex) Merge() error {
	if err := x.Seal(); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for x.merging {
		x.merged.Wait()
	}
	x.merging = true
	err := x.merge(0, len(x.state.Load().parts))
	x.merging = false
	x.merged.Broadcast()
	return err
}

// Snapshot returns a segment of all entries of one moment. Searches, Insert
// and Remove go on while it is built.
func (x *MultiIndex) Snapshot() (*Segment, error) {
	x.mu.Lock()
	st := x.state.Load()
	removed := make([]marks, len(st.parts))
	for i, p := range st.parts {
		removed[i] = p.removed.clone()
	}
	last := st.delta.live()
	x.mu.Unlock()
	return NewSegment(x.alg, gather(st.parts, removed, last))
}

// seal makes a segment of the delta. The caller holds x.mu.
func (x *MultiIndex) seal() error {
	st := x.state.Load()
	next := &multiState{parts: st.parts, delta: newDelta(x.alg)}
	if live := st.delta.live(); len(live) > 0 {
		s, err := NewSegment(x.alg, live)
		if err != nil {
			return err
		}
		next.parts = append(slices.Clip(st.parts), s.removable())
	}
	x.state.Store(next)
	if _, due := mergeDue(next.parts); due && !x.merging {
		x.merging = true
		go x.mergeWhileDue()
	}
	return nil
}

// mergeDue returns the first of the parts that should become one: those that
// are not much bigger than all smaller ones, which follow them, and those of
// which most is removed.
func mergeDue(parts []*Segment) (from int, due bool) {
	total := 0
	for i := len(parts) - 1; i >= 0; i-- {
		n := parts[i].Len()
		if n <= mergeRatio*total || 2*parts[i].removed.count() > n {
			from, due = i, true
		}
		total += n
	}
	return from, due
}

func (x *MultiIndex) mergeWhileDue() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for {
		parts := x.state.Load().parts
		from, due := mergeDue(parts)
		if !due || x.merge(from, len(parts)) != nil {
			break
		}
	}
	x.merging = false
	x.merged.Broadcast()
}

// merge makes one segment of parts[from:to]. The caller holds x.mu, which is
// released while the segment is built, and has set x.merging, so that nobody
// else replaces parts; Insert may append some and Remove may mark entries.
func (x *MultiIndex) merge(from, to int) error {
	old := x.state.Load().parts[from:to]
	if len(old) == 0 || len(old) == 1 && old[0].removed.count() == 0 {
		return nil
	}
	removed := make([]marks, len(old))
	for i, p := range old {
		removed[i] = p.removed.clone()
	}
	x.mu.Unlock()
	s, err := NewSegment(x.alg, gather(old, removed, nil))
	x.mu.Lock()
	if err != nil {
		return err
	}

	s = s.removable()
	for i, p := range old {
		for e := range p.removed.since(removed[i]) {
			s.remove(p.words(p.hashOf(e)), p.id(e))
		}
	}
	st := x.state.Load()
	parts := slices.Clone(st.parts[:from])
	if s.Len() > 0 {
		parts = append(parts, s)
	}
	parts = append(parts, st.parts[to:]...)
	x.state.Store(&multiState{parts: parts, delta: st.delta})
	x.merged.Broadcast()
	return nil
}

// gather returns the entries of the parts that are not marked as removed, and
// last.
func gather(parts []*Segment, removed []marks, last []Entry) []Entry {
	n := len(last)
	for i, p := range parts {
		n += p.Len() - removed[i].count()
	}
	all := append(make([]Entry, 0, n), last...)
	for i, p := range parts {
		e := 0
		for entry := range p.All() {
			if !removed[i].has(e) {
				all = append(all, entry)
			}
			e++
		}
	}
	return all
}

// marks are a set of numbers that grows while it is read.
type marks []atomic.Uint64

func newMarks(n int) marks { return make(marks, (n+63)/64) }

func (m marks) has(i int) bool { return m[i/64].Load()>>(i%64)&1 != 0 }

// add reports whether i is new. Only one goroutine at a time may add.
func (m marks) add(i int) bool { return m[i/64].Or(1<<(i%64))>>(i%64)&1 == 0 }

func (m marks) count() (n int) {
	for i := range m {
		n += bits.OnesCount64(m[i].Load())
	}
	return n
}

func (m marks) clone() marks {
	c := make(marks, len(m))
	for i := range m {
		c[i].Store(m[i].Load())
	}
	return c
}

// since yields the numbers that m has and earlier, a clone of m, has not.
func (m marks) since(earlier marks) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for i := range m {
			for w := m[i].Load() &^ earlier[i].Load(); w != 0; w &= w - 1 {
				if !yield(64*i + bits.TrailingZeros64(w)) {
					return
				}
			}
		}
	}
}

// removable returns a segment over the same bytes whose entries can be marked
// as removed.
func (s *Segment) removable() *Segment {
	c := *s
	c.removed = newMarks(s.Len())
	return &c
}

// remove marks every copy of an entry as removed and returns how many were not
// before.
func (s *Segment) remove(w [4]uint64, id uint32) (n int) {
	k, ok := s.locate(w)
	if !ok {
		return 0
	}
	lo, hi := s.entriesOf(k)
	for i := lo; i < hi; i++ {
		if s.id(i) == id && s.removed.add(i) {
			n++
		}
	}
	return n
}

// delta is a list of up to deltaSize entries. One goroutine at a time appends
// and removes, any number search.
type delta struct {
	alg     Algorithm
	n       atomic.Int32
	high    []uint64 // as in a Segment
	low     []uint64
	ids     []uint32
	removed marks
}

func newDelta(alg Algorithm) *delta {
	d := &delta{alg: alg, ids: make([]uint32, deltaSize), removed: newMarks(deltaSize)}
	d.high = make([]uint64, deltaSize)
	if alg.Bits() == 256 {
		d.high, d.low = make([]uint64, 2*deltaSize), make([]uint64, 2*deltaSize)
	}
	return d
}

func (d *delta) len() int   { return int(d.n.Load()) }
func (d *delta) full() bool { return d.len() == deltaSize }

func (d *delta) append(h Hash, id uint32) {
	n := d.len()
	if d.low == nil {
		d.high[n] = h.w[0]
	} else {
		d.high[2*n], d.high[2*n+1] = h.w[3], h.w[2]
		d.low[2*n], d.low[2*n+1] = h.w[1], h.w[0]
	}
	d.ids[n] = id
	d.n.Store(int32(n + 1)) // from here on it is found
}

func (d *delta) words(i int) [4]uint64 {
	if d.low == nil {
		return [4]uint64{d.high[i]}
	}
	return [4]uint64{d.low[2*i+1], d.low[2*i], d.high[2*i+1], d.high[2*i]}
}

func (d *delta) remove(h Hash, id uint32) (n int) {
	for i := range d.len() {
		if d.ids[i] == id && d.words(i) == h.w && d.removed.add(i) {
			n++
		}
	}
	return n
}

// live returns the entries that are not removed.
func (d *delta) live() []Entry {
	all := make([]Entry, 0, d.len())
	for i := range d.len() {
		if !d.removed.has(i) {
			all = append(all, Entry{Hash{w: d.words(i), alg: d.alg}, d.ids[i]})
		}
	}
	return all
}

func (d *delta) search(h Hash, radius int, yield func(id uint32, distance int) bool) bool {
	n := d.len()
	if d.low == nil {
		for i, w := range d.high[:n] {
			dist := bits.OnesCount64(h.w[0] ^ w)
			if dist <= radius && !d.removed.has(i) && !yield(d.ids[i], dist) {
				return false
			}
		}
		return true
	}
	for i := range n {
		dist := bits.OnesCount64(h.w[3]^d.high[2*i]) + bits.OnesCount64(h.w[2]^d.high[2*i+1])
		if dist > radius {
			continue
		}
		dist += bits.OnesCount64(h.w[1]^d.low[2*i]) + bits.OnesCount64(h.w[0]^d.low[2*i+1])
		if dist <= radius && !d.removed.has(i) && !yield(d.ids[i], dist) {
			return false
		}
	}
	return true
}

// String describes the index for people.
func (x *MultiIndex) String() string {
	st := x.state.Load()
	return fmt.Sprintf("MultiIndex(%v, %d entries, %d segments)", x.alg, x.Len(), len(st.parts))
}
