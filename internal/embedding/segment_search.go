package embedding

import (
	"encoding/binary"
	"math/bits"
	"runtime"
)

// sketchFrom is the similarity below which sketches say too little about a
// vector to be worth a look: the search scans.
const sketchFrom = 0.1

// Work is what a search does, counted.
type Work struct {
	Sketches int // sketches compared by their bits: 0 or all
	Weighed  int // of them, sketches weighed with the components of the query
	Compared int // whole vectors compared
}

// Search calls yield once for every entry whose similarity to v is at least
// the threshold, in no particular order, until yield returns false; it reports
// whether it came to the end. Similarities are exact. In a segment of 128
// entries or more, and for thresholds above 0.1, it may miss entries: fewer
// than one in 10,000 of those at the threshold, and fewer of those above it.
//
// A vector of another model, the zero Vector and a threshold that is NaN find
// nothing. Search does not allocate.
func (s *Segment) Search(v Vector, threshold float64, yield func(id uint32, similarity float64) bool) bool {
	_, ok := s.search(v, threshold, yield)
	// The bytes may belong to an arena that goes when s does.
	runtime.KeepAlive(s)
	return ok
}

// Work returns what Search does for v and the threshold if yield never stops
// it.
func (s *Segment) Work(v Vector, threshold float64) Work {
	w, _ := s.search(v, threshold, func(uint32, float64) bool { return true })
	runtime.KeepAlive(s)
	return w
}

func (s *Segment) search(x Vector, threshold float64, yield func(id uint32, similarity float64) bool) (w Work, ok bool) {
	v := x.get()
	if v.norm == 0 || v.model != s.header.model || !(threshold <= 1) {
		return w, true
	}
	threshold = max(threshold, -1)
	if s.header.layout == layoutSketch && threshold > sketchFrom {
		var q query
		f := newFrame(v.model.Dimensions, s.middle)
		if q.set(&f, v.components, v.norm, threshold) {
			return s.searchSketches(&q, v, threshold, yield)
		}
	}
	for i := range s.header.entries {
		if !s.compare(v, i, threshold, yield) {
			return w, false
		}
	}
	return Work{Compared: s.header.entries}, true
}

// compare yields the entry if it is within the threshold.
func (s *Segment) compare(v *vector, entry int, threshold float64, yield func(id uint32, similarity float64) bool) bool {
	c := cosine(dot(v.components, s.row(entry)), v.norm, s.norm(entry))
	// Only in a damaged segment, whose norms are not those of its vectors, is c
	// ever above 1 or NaN.
	return !(threshold <= c && c <= 1) || yield(s.id(entry), c)
}

// dot returns the dot product of two vectors of bytes in two's complement, the
// second of which is at least as long as the first.
func dot(a []int8, b []byte) int32 {
	var s0, s1, s2, s3 int32
	for len(a) >= 8 && len(b) >= 8 {
		s0 += int32(a[0])*int32(int8(b[0])) + int32(a[4])*int32(int8(b[4]))
		s1 += int32(a[1])*int32(int8(b[1])) + int32(a[5])*int32(int8(b[5]))
		s2 += int32(a[2])*int32(int8(b[2])) + int32(a[6])*int32(int8(b[6]))
		s3 += int32(a[3])*int32(int8(b[3])) + int32(a[7])*int32(int8(b[7]))
		a, b = a[8:], b[8:]
	}
	for i, c := range a {
		s0 += int32(c) * int32(int8(b[i]))
	}
	return s0 + s1 + s2 + s3
}

// searchSketches compares with the vectors whose sketches pass two tests: the
// number of bits that differ, then the sum of the query's components where the
// bits are set. Collecting what passes the first without a branch, in batches,
// was measured: a seventh faster where a third of the sketches pass, and as much
// slower where almost none does.
func (s *Segment) searchSketches(q *query, v *vector, threshold float64, yield func(id uint32, similarity float64) bool) (w Work, ok bool) {
	w.Sketches = s.header.entries
	b := &q.bits
	for i, rows := 0, s.sketches; len(rows) >= sketchBytes; i, rows = i+1, rows[sketchBytes:] {
		row := rows[:sketchBytes:sketchBytes]
		differ := bits.OnesCount64(b[0]^binary.LittleEndian.Uint64(row)) +
			bits.OnesCount64(b[1]^binary.LittleEndian.Uint64(row[8:])) +
			bits.OnesCount64(b[2]^binary.LittleEndian.Uint64(row[16:])) +
			bits.OnesCount64(b[3]^binary.LittleEndian.Uint64(row[24:])) +
			bits.OnesCount64(b[4]^binary.LittleEndian.Uint64(row[32:])) +
			bits.OnesCount64(b[5]^binary.LittleEndian.Uint64(row[40:])) +
			bits.OnesCount64(b[6]^binary.LittleEndian.Uint64(row[48:])) +
			bits.OnesCount64(b[7]^binary.LittleEndian.Uint64(row[56:]))
		if differ > int(q.most[s.lengths[i]]) {
			continue
		}
		w.Weighed++
		if float64(q.weigh(row)) < q.least(s.lengths[i], s.spreads[i]) {
			continue
		}
		w.Compared++
		if !s.compare(v, i, threshold, yield) {
			return w, false
		}
	}
	return w, true
}
