package features

import (
	"math/bits"
	"slices"
)

// Votes returns the votes of f as the look-up tables find them.
func (s *Segment) Votes(f Features) []uint64 {
	var x Searcher
	x.views[0].load(f, false)
	x.views[1].load(f, true)
	s.vote(&x)
	return x.votes
}

// LinearVotes returns the votes of f as a comparison of all points finds them.
func (s *Segment) LinearVotes(f Features) []uint64 {
	var votes []uint64
	for pic := range s.n {
		r := s.picture(pic)
		for mir := range 2 {
			var v view
			v.load(f, mir == 1)
			var group []uint64
			seen := 0
			for i := range r.Len() {
				for q, d := range v.desc {
					dist := d.distance(r.descriptor(i))
					if dist > voteDistance || bits.OnesCount64(d[0]^r.descriptor(i)[0]) > voteDistance/2 || siblingsDiffer(d, r.descriptor(i)) {
						continue
					}
					n := 0
					for t := range tables {
						if key(d, t, s.keyBits) == key(r.descriptor(i), t, s.keyBits) {
							n++
						}
					}
					if n > 0 {
						seen += n
						group = append(group, uint64(pic)<<28|uint64(mir)<<27|uint64(i)<<19|uint64(dist)<<10|uint64(q))
					}
				}
			}
			if seen > 1 {
				votes = append(votes, group...)
			}
		}
	}
	slices.Sort(votes)
	return votes
}

func siblingsDiffer(a, b descriptor) bool {
	return bits.OnesCount32(sibling(a)^sibling(b)) > siblingDistance
}
