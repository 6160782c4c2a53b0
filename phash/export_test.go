package phash

// NewSegmentWithTables returns a segment that has that many chunks, whatever
// its size, and whose searches up to maxRadius use its tables, whatever that
// costs.
func NewSegmentWithTables(alg Algorithm, entries []Entry, chunks, stride, maxRadius int) *Segment {
	sorted, distinct := sortEntries(alg, entries)
	h := segmentHeader{algorithm: alg, layout: layoutPaired, chunks: chunks, stride: stride, entries: len(entries), distinct: distinct}
	if alg.Bits() == 64 {
		h.layout, h.stride = layoutInline, inlineStride(chunks)
	}
	s := newSegment(h, entries, sorted)
	s.ForceTables(maxRadius)
	return s
}

// ForceTables makes searches up to maxRadius use the tables, whatever that
// costs.
func (s *Segment) ForceTables(maxRadius int) {
	s.maxCandidates = int(^uint(0) >> 1)
	if s.header.chunks == 0 {
		return
	}
	s.plans = nil
	for r := range maxRadius + 1 {
		p, _, _ := s.header.plan(r)
		s.plans = append(s.plans, p)
	}
}

// CloseAVX2 is closeAVX2, nil where there is none.
func CloseAVX2() func(rest *byte, n int, other, left uint16, out *[64]uint8) int {
	if !wideLanes {
		return nil
	}
	return closeAVX2
}
