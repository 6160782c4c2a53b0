package phash

import "math"

// plan says how far from the query a search looks in every table. A hash
// within radius r of the query differs from it in at most r bits, so if the
// chunk radii, each plus one, add up to r+1, then it is within the radius of
// at least one chunk (the pigeonhole principle). A chunk radius of -1 leaves
// its table alone.
type plan struct {
	chunk [pairedChunks]int8
	// pair is the same bound for both chunks of a pair together, by the same
	// principle; only for layoutPaired.
	pair [pairedChunks / 2]int8
	cost int64 // expected, in the unit of the constants below
}

// What the steps of a search cost, in sixteenths of a nanosecond, as measured
// (docs/benchmarks.md). Only which way a search takes depends on them.
const (
	costProbe     = 16 * 8 // a bucket: its offset, its first line
	costCandidate = 10     // an entry of a bucket
	costScan64    = 8      // a hash of a scan
	costScan256   = 24
)

// makePlans works out the plan of every radius for which the tables beat the
// scan if the hashes are spread evenly.
func (s *Segment) makePlans() {
	s.maxCandidates = s.header.distinct / 4
	if s.header.chunks == 0 {
		return
	}
	scan := s.scanCost()
	for radius := range s.header.algorithm.Bits() {
		p := s.header.plan(radius)
		if p.cost >= scan {
			return
		}
		s.plans = append(s.plans, p)
	}
}

func (s *Segment) scanCost() int64 {
	if s.low == nil {
		return int64(s.header.distinct) * costScan64
	}
	return int64(s.header.distinct) * costScan256
}

// plan hands out radius+1 units to the chunks, each to the one for which the
// next step is the cheapest.
func (h segmentHeader) plan(radius int) plan {
	var p plan
	for c := range p.chunk {
		p.chunk[c] = -1
	}
	for range radius + 1 {
		best, bestCost := -1, int64(math.MaxInt64)
		for c := range h.chunks {
			_, width := h.chunk(c)
			next := int(p.chunk[c]) + 1
			if next > width {
				continue
			}
			if cost := h.probeCost(width, next); cost < bestCost {
				best, bestCost = c, cost
			}
		}
		p.chunk[best]++
		p.cost += bestCost
	}
	for i := range p.pair {
		p.pair[i] = p.chunk[2*i] + p.chunk[2*i+1] + 1
	}
	return p
}

// probeCost returns what it costs to look at all values of a chunk that are
// distance bits away.
func (h segmentHeader) probeCost(width, distance int) int64 {
	probes := int64(1)
	for i := range distance {
		probes = probes * int64(width-i) / int64(i+1)
	}
	return probes*costProbe + probes*int64(h.distinct)>>width*costCandidate
}

// Indexed reports whether a search with that radius uses the tables if the
// hashes are spread evenly. Beyond, and always in a small segment, it compares
// with every hash. The results are the same.
func (s *Segment) Indexed(radius int) bool { return 0 <= radius && radius < len(s.plans) }
