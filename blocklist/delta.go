package blocklist

import (
	"iter"
	"math/bits"
	"slices"
	"sync/atomic"

	"github.com/staydown/staydown/phash"
)

// grant is one event that blocks keys: a rule, or keys learned for a rule. It
// carries the attributes of its rule, so that a hit needs nothing else. Grants
// are numbered in the order of their events: first those of the base, then
// those that came since.
type grant struct {
	seq, rule   uint64 // equal for the rule itself
	start, end  int64  // seconds since 1970; 0 is no bound
	caseID      [16]byte
	attr        uint32
	territories []Territory // empty with attrWorldwide
	views       []View      // of the keys of the event
}

// The attributes of a grant in one word: the kind of request, and from bit 8 on
// the scope, from 12 the effect, from 16 the purposes; then flags.
const (
	attrWidthAt    = 8
	attrEffectAt   = 12
	attrPurposesAt = 16
	attrLearned    = 1 << 24
	attrWorldwide  = 1 << 25
	attrTimed      = 1 << 26
	attrFaces      = 27 // bits from here on: how many faces the rule came with

	attrUnknown = 0x0f << 20
)

func attrOf(r *Rule) uint32 {
	a := uint32(r.Kind) | uint32(r.Scope)<<attrWidthAt | uint32(r.Effect)<<attrEffectAt |
		uint32(r.Purposes)<<attrPurposesAt | uint32(len(r.Keys.Faces))<<attrFaces
	if len(r.Territories) == 0 {
		a |= attrWorldwide
	}
	return a
}

func attrScope(a uint32) Scope       { return Scope(a >> attrWidthAt & 0x0f) }
func attrEffect(a uint32) Effect     { return Effect(a >> attrEffectAt & 0x0f) }
func attrPurposes(a uint32) Purposes { return Purposes(a >> attrPurposesAt & 0x0f) }

// keyEntry is a digest and the grant it belongs to.
type keyEntry struct {
	hi, lo uint64
	grant  uint32
}

func (d *Digest) halves() (hi, lo uint64) { return le.Uint64(d[8:]), le.Uint64(d[:8]) }

// keyTable is a hash table over a growing list of entries, for one writer and
// any number of readers that take no lock. A slot is written once: the entry
// first, then atomically the slot that points to it. A reader sees the table
// through a keyView, which ends at the entries there were when it was made, and
// passes over slots of later ones.
//
// In front of the slots is a filter of one byte for each of them, which answers
// nearly all unknown keys and stays in the cache beside the big filter of the
// base: at 100,000 entries beside 10 million it saves half of 270 ns.
type keyTable struct {
	entries []keyEntry
	slots   []atomic.Uint64 // tag<<32 | index of the entry + 1; 0 is free
	filter  []atomic.Uint64 // one word for each eight slots; a key sets four bits of one word
}

type keyView keyTable

const minSlots = 1 << 10

func (t *keyTable) view() keyView { return keyView(*t) }

func (t *keyTable) add(e keyEntry) {
	if 2*(len(t.entries)+1) > len(t.slots) {
		// States keep the old slots.
		n := max(minSlots, 2*len(t.slots))
		t.slots, t.filter = make([]atomic.Uint64, n), make([]atomic.Uint64, n/8)
		for i := range t.entries {
			t.place(i)
		}
	}
	t.entries = append(t.entries, e)
	t.place(len(t.entries) - 1)
}

func (t *keyTable) place(entry int) {
	e := &t.entries[entry]
	word, set := filterBits(len(t.filter), e.hi, e.lo)
	t.filter[word].Or(set)
	mask := uint64(len(t.slots) - 1)
	i := e.lo & mask
	for t.slots[i].Load() != 0 {
		i = (i + 1) & mask
	}
	t.slots[i].Store(e.hi>>32<<32 | uint64(entry+1))
}

// filterBits returns the word of a key among n, a power of two, and its bits.
func filterBits(n int, hi, lo uint64) (word, set uint64) {
	return hi & uint64(n-1), 1<<(lo>>58) | 1<<(lo>>52&63) | 1<<(lo>>46&63) | 1<<(lo>>40&63)
}

// mayHold reports false for a key that is not there.
func (v *keyView) mayHold(hi, lo uint64) bool {
	if len(v.entries) == 0 {
		return false
	}
	word, set := filterBits(len(v.filter), hi, lo)
	return v.filter[word].Load()&set == set
}

// next returns the index of the next entry with the key, and the slot to go on
// from; -1 when there is none. The search begins with slot = lo, in a view that
// is not empty.
func (v *keyView) next(hi, lo, slot uint64) (entry int, from uint64) {
	mask := uint64(len(v.slots) - 1)
	for {
		s := v.slots[slot&mask].Load()
		slot++
		if s == 0 {
			return -1, 0
		}
		if s>>32 != hi>>32 {
			continue
		}
		if i := int(uint32(s)) - 1; i < len(v.entries) && v.entries[i].hi == hi && v.entries[i].lo == lo {
			return i, slot
		}
	}
}

// hashDelta holds the hashes of one algorithm that came since the base: sealed
// runs, and a tail that is searched one by one. All slices only grow at their
// end, or are replaced, so that a copy of the struct is a view.
type hashDelta struct {
	grants []uint32 // for every entry
	of     []hashProperties
	runs   []*phash.Segment // their IDs are entries
	tail   []phash.Hash     // of the entries from len(grants)-len(tail) on
}

// hashProperties are what a HashKey says of its hash.
type hashProperties struct {
	variant, view uint8
	reach         Reach
}

const (
	sealTail  = 1024 // hashes; searching so many costs some 3 µs
	mergeRuns = 4    // runs of about one size become one
)

func (d *hashDelta) add(k *HashKey, g uint32) {
	d.grants = append(d.grants, g)
	d.of = append(d.of, hashProperties{k.Variant, k.View, k.Reach})
	d.tail = append(d.tail, k.Hash)
	if len(d.tail) < sealTail {
		return
	}
	entries := make([]phash.Entry, len(d.tail))
	first := len(d.grants) - len(d.tail)
	for i, h := range d.tail {
		entries[i] = phash.Entry{Hash: h, ID: uint32(first + i)}
	}
	run, err := phash.NewSegment(k.Hash.Algorithm(), entries)
	if err != nil {
		// The algorithm was checked when the event was accepted.
		panic("blocklist: " + err.Error())
	}
	// The old slice belongs to views.
	d.runs, d.tail = append(slices.Clip(d.runs), run), nil
}

// due returns runs of about one size that are to become one; nil for none.
func (d *hashDelta) due() []*phash.Segment {
	var tiers [32][]*phash.Segment
	for _, r := range d.runs {
		tier := bits.Len(uint(r.Len()/sealTail)) / 2
		if tiers[tier] = append(tiers[tier], r); len(tiers[tier]) == mergeRuns {
			return tiers[tier]
		}
	}
	return nil
}

// merge returns one run of all. It only reads.
func merge(runs []*phash.Segment) *phash.Segment {
	var entries []phash.Entry
	for _, r := range runs {
		entries = slices.AppendSeq(entries, r.All())
	}
	run, err := phash.NewSegment(runs[0].Algorithm(), entries)
	if err != nil {
		panic("blocklist: " + err.Error()) // as in add
	}
	return run
}

// replace puts run in the place of those it was merged from.
func (d *hashDelta) replace(old []*phash.Segment, run *phash.Segment) {
	rest := slices.DeleteFunc(slices.Clone(d.runs), func(r *phash.Segment) bool { return slices.Contains(old, r) })
	d.runs = append(rest, run)
}

// search calls yield for the entries within radius, and reports whether it came
// to the end.
func (d *hashDelta) search(h phash.Hash, radius int, yield func(entry uint32, distance int) bool) bool {
	first := uint32(len(d.grants) - len(d.tail))
	for i := range d.tail {
		if dist, ok := h.Distance(d.tail[i]); ok && dist <= radius && !yield(first+uint32(i), dist) {
			return false
		}
	}
	for _, r := range d.runs {
		if !r.Search(h, radius, yield) {
			return false
		}
	}
	return true
}

// segmentOf is a sealed run of entries.
type segmentOf[E any] interface {
	Len() int
	All() iter.Seq[E]
}

// gather returns the entries of the run that a full tail becomes, and the runs
// before it. While there are merge runs of about one size, the new one among
// them, they become one, up to most entries: the writer waits for it. runs stays
// as it is: it belongs to views.
func gather[S segmentOf[E], E any](runs []S, tail []E, merge, most int) (before []S, entries []E) {
	before, entries = slices.Clone(runs), tail
	for n := merge - 1; len(before) >= n && before[len(before)-n].Len() <= 2*len(entries) && len(entries) < most; {
		for _, r := range before[len(before)-n:] {
			entries = slices.AppendSeq(entries, r.All())
		}
		before = before[:len(before)-n]
	}
	return before, entries
}
