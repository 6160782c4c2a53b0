package phash

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/staydown/staydown/internal/arena"
)

// What the measurements chose; see docs/decisions/index-layout.md. A segment
// carries its own layout, so changing these breaks no file.
const (
	scan64Below   = 1 << 10 // distinct hashes: fewer are scanned
	scan256Below  = 4 << 10
	fiveChunksMax = 500_000 // distinct 64-bit hashes
	fourChunksMax = 5_000_000
)

// newHeader chooses the layout for that many hashes.
func newHeader(alg Algorithm, entries, distinct int) segmentHeader {
	h := segmentHeader{algorithm: alg, layout: layoutScan, entries: entries, distinct: distinct}
	switch {
	case alg.Bits() == 64 && distinct >= scan64Below:
		h.layout, h.chunks = layoutInline, 3
		if distinct <= fourChunksMax {
			h.chunks = 4
		}
		if distinct <= fiveChunksMax {
			h.chunks = 5
		}
		h.stride = inlineStride(h.chunks)
	case alg.Bits() == 256 && distinct >= scan256Below:
		h.layout, h.chunks, h.stride = layoutPaired, pairedChunks, 3
		if distinct > 1<<24 {
			h.stride = 4
		}
	}
	return h
}

// NewSegment builds a segment of the entries, which may be in any order and
// hold duplicates; it does not keep the slice. The same entries in any order
// give the same bytes. It fails, wrapping ErrHashKind, if alg or the hash of an
// entry is of no supported algorithm, or a hash is not of alg.
//
// Building takes about three times the memory of the segment and well below a
// microsecond for every entry. The memory is like that of [Segment.InHugePages].
func NewSegment(alg Algorithm, entries []Entry) (*Segment, error) {
	if alg.Bits() == 0 {
		return nil, checkAlgorithm(alg, Hash{})
	}
	if int64(len(entries)) > maxEntries {
		return nil, fmt.Errorf("phash: %d entries are too many for one segment, which holds up to %d", len(entries), maxEntries)
	}
	for i := range entries {
		if err := checkAlgorithm(alg, entries[i].Hash); err != nil {
			return nil, err
		}
	}

	sorted, distinct := sortEntries(alg, entries)
	return newSegment(newHeader(alg, len(entries), distinct), entries, sorted), nil
}

// newSegment builds a segment of the layout that h says.
func newSegment(h segmentHeader, entries []Entry, sorted []sortKey) *Segment {
	s := &Segment{owner: arena.New(int(h.size()))}
	s.carve(h, s.owner.Bytes())
	h.put(s.data)
	s.fillColumns(entries, sorted)
	s.fillTables()
	s.makePlans()
	return s
}

// sortKey stands for an entry while it is sorted: its leading 64 bits, its ID,
// and where it is. For hashes of 64 bits that is all there is to know.
type sortKey struct {
	lead  uint64
	id    uint32
	entry uint32
}

// sortEntries returns the order of the entries by hash, then ID, and how many
// different hashes there are. Perceptual hashes are spread well enough for one
// pass that distributes them by their leading 16 bits to leave little to do;
// what is left falls to a sort that does not mind if they are not.
func sortEntries(alg Algorithm, entries []Entry) (sorted []sortKey, distinct int) {
	top := alg.Bits()/64 - 1
	compare := func(a, b sortKey) int {
		if a.lead != b.lead {
			return cmp.Compare(a.lead, b.lead)
		}
		if top > 0 {
			if c := compareWords(&entries[a.entry].Hash.w, &entries[b.entry].Hash.w); c != 0 {
				return c
			}
		}
		return cmp.Compare(a.id, b.id)
	}
	sorted = make([]sortKey, len(entries))
	if len(entries) < 1<<14 {
		for i := range entries {
			sorted[i] = sortKey{entries[i].Hash.w[top], entries[i].ID, uint32(i)}
		}
		slices.SortFunc(sorted, compare)
	} else {
		ends := make([]uint32, 1<<16+1)
		for i := range entries {
			ends[entries[i].Hash.w[top]>>48+1]++
		}
		for v := 1; v < len(ends); v++ {
			ends[v] += ends[v-1]
		}
		for i := range entries {
			lead := entries[i].Hash.w[top]
			end := &ends[lead>>48]
			sorted[*end] = sortKey{lead, entries[i].ID, uint32(i)}
			*end++
		}
		start := uint32(0)
		for _, end := range ends[:1<<16] {
			slices.SortFunc(sorted[start:end], compare)
			start = end
		}
	}
	for i := range sorted {
		if i == 0 || !sorted[i].sameHash(&sorted[i-1], entries) {
			distinct++
		}
	}
	return sorted, distinct
}

func (k *sortKey) sameHash(o *sortKey, entries []Entry) bool {
	return k.lead == o.lead && entries[k.entry].Hash == entries[o.entry].Hash
}

// fillColumns writes what is outside of the tables.
func (s *Segment) fillColumns(entries []Entry, sorted []sortKey) {
	k := -1
	for i := range sorted {
		binary.LittleEndian.PutUint32(s.ids[4*i:], sorted[i].id)
		if i > 0 && sorted[i].sameHash(&sorted[i-1], entries) {
			continue
		}
		k++
		if s.first != nil {
			binary.LittleEndian.PutUint32(s.first[4*k:], uint32(i))
		}
		if s.low == nil {
			binary.LittleEndian.PutUint64(s.high[8*k:], sorted[i].lead)
			continue
		}
		w := &entries[sorted[i].entry].Hash.w
		binary.LittleEndian.PutUint64(s.high[16*k:], w[3])
		binary.LittleEndian.PutUint64(s.high[16*k+8:], w[2])
		binary.LittleEndian.PutUint64(s.low[16*k:], w[1])
		binary.LittleEndian.PutUint64(s.low[16*k+8:], w[0])
	}
	if s.first != nil {
		binary.LittleEndian.PutUint32(s.first[4*(k+1):], uint32(len(sorted)))
	}
}

// fillTables distributes the hashes over the buckets of every table by
// counting.
func (s *Segment) fillTables() {
	if s.header.chunks == 0 {
		return
	}
	_, widest := s.header.chunk(0)
	ends := make([]uint32, 1<<widest+1)
	for c := range s.header.chunks {
		t := &s.tables[c]
		ends := ends[:1<<t.width+1]
		clear(ends)
		switch s.header.layout {
		case layoutInline:
			s.fillInline(c, ends)
		case layoutPaired:
			s.fillPaired(c, ends)
		}
	}
}

// putOffsets makes counts, shifted up by one, the first free places of the
// buckets, and writes them.
func (t *table) putOffsets(counts []uint32) {
	for v := 1; v < len(counts); v++ {
		counts[v] += counts[v-1]
	}
	for v, o := range counts {
		binary.LittleEndian.PutUint32(t.offsets[4*v:], o)
	}
}

func (s *Segment) fillInline(c int, ends []uint32) {
	t := &s.tables[c]
	for b := s.high; len(b) >= 8; b = b[8:] {
		ends[t.rotate(binary.LittleEndian.Uint64(b))>>(64-t.width)+1]++
	}
	t.putOffsets(ends)
	if c == 0 {
		return
	}
	for b := s.high; len(b) >= 8; b = b[8:] {
		k := t.rotate(binary.LittleEndian.Uint64(b))
		end := &ends[k>>(64-t.width)]
		e := t.rest[int(*end)*t.stride:]
		*end++
		binary.LittleEndian.PutUint32(e, uint32(k))
		for i := 4; i < t.stride; i++ {
			e[i] = byte(k >> (8 * i))
		}
	}
}

func (s *Segment) fillPaired(c int, ends []uint32) {
	t := &s.tables[c]
	column := s.high
	if c >= pairedChunks/2 {
		column = s.low
	}
	column = column[8*(c/4%2):]
	shift, sibling := 48-16*(c%4), 48-16*(c^1)%64
	for i := 0; i+8 <= len(column); i += 16 {
		ends[binary.LittleEndian.Uint64(column[i:])>>shift&0xffff+1]++
	}
	t.putOffsets(ends)
	for i := 0; i+8 <= len(column); i += 16 {
		w := binary.LittleEndian.Uint64(column[i:])
		end := &ends[w>>shift&0xffff]
		p := int(*end)
		*end++
		binary.LittleEndian.PutUint16(t.rest[2*p:], uint16(w>>sibling))
		if c == 0 {
			continue
		}
		e, k := t.positions[t.stride*p:], i/16
		e[0], e[1], e[2] = byte(k), byte(k>>8), byte(k>>16)
		if t.stride == 4 {
			e[3] = byte(k >> 24)
		}
	}
}
