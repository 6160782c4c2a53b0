package phash

import "image"

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

// ForceTables makes searches up to maxRadius use the tables, and many of them
// together, whatever that costs.
func (s *Segment) ForceTables(maxRadius int) {
	s.maxCandidates, s.togetherFrom = int(^uint(0)>>1), 0
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
func CloseAVX2() func(rest *byte, n int, other, left uint16, out *[256]uint8) int {
	if !wideLanes {
		return nil
	}
	return closeAVX2
}

// ReducedPDQ hashes the means of squares of g as if g were hashed, and reports
// whether the outcome is close.
func ReducedPDQ(g *image.Gray, side int) (Hash, bool) {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	x, y := cells{n: w, side: side}, cells{n: h, side: side}
	r := &reduced{pix: make([]byte, x.count()*y.count()), stride: x.count(), x: x, y: y}
	for j := range y.count() {
		for i := range x.count() {
			s, n := 0, 0
			for v := y.bound(j); v < y.bound(j+1); v++ {
				for u := x.bound(i); u < x.bound(i+1); u++ {
					s += int(g.Pix[v*g.Stride+u])
					n++
				}
			}
			r.pix[j*r.stride+i] = byte((s + n/2) / n)
		}
	}
	var k Hasher
	h0, _ := k.hashReduced(r)
	return h0, k.dct.close()
}

// TurnForTest applies an EXIF orientation.
func TurnForTest(img image.Image, orientation byte) image.Image { return turn(img, orientation) }

// BoxPDQ hashes g by the reference's arithmetic, whatever its size.
func BoxPDQ(g *image.Gray) (Hash, int) {
	var k Hasher
	k.boxes.reduce(k.grayOf(g), &k.grid)
	q := k.grid.quality()
	k.transform(&k.grid)
	return k.dct.hash(), q
}
