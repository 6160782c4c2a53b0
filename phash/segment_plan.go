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
}

// What the steps of a search cost, in sixteenths of a nanosecond, as measured
// (docs/decisions/index-layout.md). Only which way a search takes depends on
// them, not what it finds.
const (
	costProbe            = 128 // a bucket: its offset, its first line
	costInlineCandidate  = 32  // an entry of a bucket
	costPairedCandidate  = 64
	costScan64           = 14 // a hash of a scan
	costScan256          = 16
	costScan256WholeHash = 32
)

// scanWhole is the radius from which on a scan of 256-bit hashes compares them
// whole: among independent hashes, one in eighty is that close in its first
// half, and a branch that goes either way costs more than the second half.
const scanWhole = 51

// maxShare is the share of the hashes, as a divisor, that a search looks at in
// buckets before it scans instead: there an entry costs up to four times what
// it costs in a scan.
const maxShare = 4

// makePlans works out the plan of every radius for which the tables beat the
// scan if the hashes are spread evenly.
func (s *Segment) makePlans() {
	s.maxCandidates = s.header.distinct / maxShare
	s.togetherFrom = togetherFrom
	if s.header.chunks == 0 {
		return
	}
	for radius := range s.header.algorithm.Bits() {
		p, cost, candidates := s.header.plan(radius)
		if cost >= s.header.scanCost(radius) || candidates > int64(s.maxCandidates) {
			return
		}
		s.plans = append(s.plans, p)
	}
}

func (h segmentHeader) scanCost(radius int) int64 {
	n := int64(h.distinct)
	switch {
	case h.algorithm.Bits() == 64:
		return n * costScan64
	case radius < scanWhole:
		return n * costScan256
	}
	return n * costScan256WholeHash
}

// plan hands out radius+1 units to the chunks, each to the one for which the
// next step is the cheapest. It returns what a search then costs, and how many
// entries it looks at, if the hashes are spread evenly.
func (h segmentHeader) plan(radius int) (p plan, cost, candidates int64) {
	for c := range p.chunk {
		p.chunk[c] = -1
	}
	for range radius + 1 {
		best, bestCost, bestCandidates := -1, int64(math.MaxInt64), int64(0)
		for c := range h.chunks {
			_, width := h.chunk(c)
			next := int(p.chunk[c]) + 1
			if next > width {
				continue
			}
			if cost, candidates := h.stepCost(width, next); cost < bestCost {
				best, bestCost, bestCandidates = c, cost, candidates
			}
		}
		p.chunk[best]++
		cost += bestCost
		candidates += bestCandidates
	}
	for i := range p.pair {
		p.pair[i] = p.chunk[2*i] + p.chunk[2*i+1] + 1
	}
	return p, cost, candidates
}

// stepCost returns what it costs to look at all values of a chunk that are
// distance bits away, and how many entries have them.
func (h segmentHeader) stepCost(width, distance int) (cost, candidates int64) {
	probes := int64(1)
	for i := range distance {
		probes = probes * int64(width-i) / int64(i+1)
	}
	candidates = probes * int64(h.distinct) >> width
	if h.layout == layoutPaired {
		return probes*costProbe + candidates*costPairedCandidate, candidates
	}
	return probes*costProbe + candidates*costInlineCandidate, candidates
}

// Indexed reports whether a search with that radius uses the tables if the
// hashes are spread evenly. Beyond, and always in a small segment, it compares
// with every hash; the results are the same. Searches of a million hashes use the
// tables up to a radius of 20 (64 bit) or 65 (256 bit), of 100,000 up to 18 or 64.
func (s *Segment) Indexed(radius int) bool { return 0 <= radius && radius < len(s.plans) }
