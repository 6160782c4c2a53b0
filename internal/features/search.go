package features

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"
)

// Match says that a registered picture was found in the asked one, and how
// well.
type Match struct {
	ID   uint32
	Band Band
	// Inliers is the number of points of the registered picture's proved part
	// that were found where the fitted map says, of Visible that it puts inside
	// the asked picture; Places counts the inliers apart by 12 working pixels in
	// both pictures.
	Inliers, Places, Visible int
	// Found is the share of the points that could have been found that were:
	// the best one of all points, and of the coarser ones alone.
	Found float64
	// Coverage is the proved part of the registered picture: a rectangle in
	// which the pixels agree. Share is what it takes of the asked one. Both are
	// of 0 to 1.
	Coverage, Share float64
	// Cells is the number of squares of the overlap that could be compared
	// pixel by pixel, Agreeing the number of them that agree and lie in that
	// rectangle. Agreement is their share, Close the share that match closely and
	// do, Hole the share that the largest group of disagreeing ones has.
	Cells, Agreeing        int
	Agreement, Close, Hole float64
	// Pure is the share of the visible squares, plain ones included, that lie
	// in one rectangle in which hardly any disagrees. PureClose is the share
	// of its compared squares that match closely, Beside the share of all
	// agreeing squares that lie outside of it, Loose the share that its largest
	// group of unproven squares has of all compared ones.
	Pure, PureClose, Beside, Loose float64
	// Unproven is the share of the visible squares that the largest group has
	// that neither matches closely nor has a point that was found nearby, and
	// Against the share of those that disagree.
	Unproven, Against float64
	// Faint and Unlike are the numbers of plain squares in the pure rectangle
	// whose faint texture is the same and another one, FaintAll and UnlikeAll
	// those everywhere.
	Faint, Unlike, FaintAll, UnlikeAll int
	// Rich is the number of agreeing squares, the faint ones of the pure
	// rectangle included, whose texture runs in more than one direction.
	Rich int
	// Mirrored reports that the asked picture shows the registered one
	// mirrored.
	Mirrored bool
	// Ink is what the fine pictures came to where both have one.
	Ink Ink
	// Look is what the registered picture looks like.
	Look Look
	// Map takes the unit square of the registered picture to that of the asked
	// one: x' = (Map[0]x + Map[1]y + Map[2]) / w, y' = (Map[3]x + Map[4]y + Map[5]) / w
	// with w = Map[6]x + Map[7]y + 1.
	Map [8]float64
}

// Band says what a match is good for.
type Band uint8

const (
	// None is no match; Search does not yield it.
	None Band = iota
	// Review is a likely match, for a person to decide.
	Review
	// Block is a match beyond what different photographs have shown; checkerboards
	// and diagrams of one program can reach it.
	Block
)

const (
	// voteDistance is the greatest number of differing bits of two signatures
	// that count as a vote. Of the points of copies that are found where they should
	// be, 88 % differ in so many bits or fewer, of unlike ones 0.06 %.
	voteDistance = 12
	// maxList is the number of postings that are looked at in a list, in runs of
	// listRun spread over it: what more pictures show says nothing about each of them.
	// The runs of all long lists lie near the same pictures, because lists are in
	// their order. So where one picture is registered very often, some of its
	// registrations are looked at for every point, and are found.
	maxList, listRun = 1_024, 32
	// maxGroup is the number of votes of one picture that are weighed, maxSeeds
	// the number of them, the nearest ones, whose map is tried.
	maxGroup, maxSeeds = 320, 48
	// maxVoted is the number of pictures whose votes are weighed at all.
	// scoreShift scales the score of a vote, rankShift a score to its rank.
	maxVoted              = 300
	scoreShift, rankShift = 7, 6
	// maxVerified is the number of different pictures that are looked at closely.
	maxVerified = 40
)

// view is the asked picture, or its mirror image, laid out for matching.
type view struct {
	w, h  int // working size
	keys  []keypoint
	desc  []descriptor
	cols  int
	first []int32 // first[c] is where the points of grid cell c begin in order
	order []int32
}

// gridShift is the side of a view's grid cells, as a power of two of working
// pixels.
const gridShift = 4

// Searcher holds the memory of a search. One goroutine uses it at a time; its
// zero value is ready.
//
// A search over several segments is one search, with one limit to what it
// costs: Ask says what is looked for, Collect where, and Matches tells.
type Searcher struct {
	points   int // of the asked picture
	views    [2]view
	votes    []uint64
	tally    []tally             // of the pictures and sides that have votes, by hash
	touched  []uint32            // which of tally are used
	like     [2][MaxPoints]int32 // the votes of each asked point
	ranks    [1 << 13]uint32     // the scores of all segments so far
	hyps     []hypothesis
	verified []verified
	group    []vote
	pairs    []pair
	kept     []pair
	owner    []int32
	cells    []uint32
	look     looker

	// KeepNone makes Search yield also what belongs to no band, for measuring.
	KeepNone bool
}

// tally is what the votes of a picture and side come to.
type tally struct {
	key   uint32 // picture<<1 | mirrored, plus 1; 0 for none
	count uint8  // up to someVotes, or passedOver
	score uint32 // what they weigh
}

// Counts of votes: from someVotes on it does not matter how many.
const (
	someVotes  = 2
	passedOver = 3
)

// vote is a pair of like descriptors.
type vote struct {
	r, q  int
	dist  int
	rk    keypoint
	qk    keypoint
	scale int // sixteenths of a level from registered to asked
	angle uint8
}

// hypothesis is a picture with the map that most of its votes speak for.
type hypothesis struct {
	in       *Segment
	part     int // the number of that segment in the search
	pic, mir int
	score    int
	t        affine
}

// verified is what looking closely at a hypothesis came to.
type verified struct {
	hyp int
	m   Match
	ok  bool
}

// Search yields the registered pictures of s that the picture with features f
// shows, best first, until yield returns false. The result depends on nothing
// but f and s.
func (s *Segment) Search(x *Searcher, f Features, yield func(Match) bool) {
	x.Ask(f)
	x.Collect(s, nil)
	x.Matches(func(_ *Segment, m Match) bool { return yield(m) })
}

// Ask begins a search for the registered pictures that the picture with features
// f shows.
func (x *Searcher) Ask(f Features) {
	x.hyps = x.hyps[:0]
	clear(x.ranks[:])
	if x.points = f.Len(); x.points == 0 {
		return
	}
	x.views[0].load(f, false)
	x.views[1].load(f, true)
	x.look.load(f)
}

// Collect looks for candidates among the pictures of s. keep, unless nil, is
// called for each that comes into question, once or twice, and says whether its ID
// matters at all: what it refuses takes no place of another. s must stay usable until
// Matches returns.
func (x *Searcher) Collect(s *Segment, keep func(id uint32) bool) {
	if s.m == 0 || x.points == 0 {
		return
	}
	s.vote(x, keep)
	s.weigh(x)
}

// Matches ends a search: it looks closely at the best candidates of all segments,
// and yields those that match, best first, until yield returns false. Registered
// pictures with the same features, to the byte, count as one of them.
func (x *Searcher) Matches(yield func(s *Segment, m Match) bool) {
	slices.SortFunc(x.hyps, func(a, b hypothesis) int {
		return cmp.Or(b.score-a.score, a.part-b.part, a.pic-b.pic, a.mir-b.mir)
	})
	x.verified = x.verified[:0]
	for i := range x.hyps {
		h := &x.hyps[i]
		v := x.sameAs(h)
		if v == nil {
			if len(x.verified) == maxVerified {
				continue // a later one may be the same as one that was looked at
			}
			m, ok := x.verify(h.in.picture(h.pic), &x.views[h.mir], h.t, h.mir == 1)
			x.verified = append(x.verified, verified{i, m, ok})
			v = &x.verified[len(x.verified)-1]
		}
		if !v.ok || v.m.Band == None && !x.KeepNone {
			continue
		}
		m := v.m
		m.ID = h.in.ID(h.pic)
		if !yield(h.in, m) {
			break
		}
	}
	clear(x.hyps) // they point to segments
	x.hyps = x.hyps[:0]
}

// sameAs returns what was found of a picture with the very features of h, if one
// was looked at.
func (x *Searcher) sameAs(h *hypothesis) *verified {
	for i := range x.verified {
		o := &x.hyps[x.verified[i].hyp]
		if o.mir == h.mir && bytes.Equal(o.in.picture(o.pic).b, h.in.picture(h.pic).b) {
			return &x.verified[i]
		}
	}
	return nil
}

// load fills v from f.
func (v *view) load(f Features, mirror bool) {
	v.w, v.h = f.size()
	n := f.Len()
	v.keys, v.desc = v.keys[:0], v.desc[:0]
	for i := range n {
		k, d := f.point(i), f.descriptor(i)
		if mirror {
			k.x = uint16(32*v.w - 1 - int(k.x))
			k.angle = 128 - k.angle
			d = d.mirrored()
		}
		v.keys, v.desc = append(v.keys, k), append(v.desc, d)
	}
	v.cols = v.w>>gridShift + 1
	cells := v.cols * (v.h>>gridShift + 1)
	v.first = zeroed(v.first, cells+1)
	for _, k := range v.keys {
		v.first[v.cell(k)+1]++
	}
	for i := range cells {
		v.first[i+1] += v.first[i]
	}
	v.order = zeroed(v.order, n)
	for i := n - 1; i >= 0; i-- {
		c := v.cell(v.keys[i]) + 1
		v.first[c]--
		v.order[v.first[c]] = int32(i)
	}
	// Each first[c+1] went down to where cell c begins: shift them back.
	copy(v.first, v.first[1:])
	v.first[cells] = int32(n)
}

func (v *view) cell(k keypoint) int {
	return int(k.y)>>(5+gridShift)*v.cols + int(k.x)>>(5+gridShift)
}

// vote collects in x.votes the pairs of like descriptors of the pictures that
// most of them speak for, sorted by picture, side, registered point and
// distance. A vote is picture<<28 | mirrored<<27 | point<<19 | distance<<10 |
// asked point.
//
// A point whose like many pictures have, such as the corner of a box, says little
// about any of them: its votes share a weight. Pictures are ranked by the sum;
// those that are out would cost most of the time and be no candidates anyway.
func (s *Segment) vote(x *Searcher, keep func(id uint32) bool) {
	x.votes, x.touched = x.votes[:0], x.touched[:0]
	if len(x.tally) == 0 {
		x.tally = make([]tally, 1<<12)
	}
	for l := range 2 * x.points {
		mir, q := l/x.points, l%x.points
		first := len(x.votes)
		s.scan(x, mir, q, keep)
		votes := x.votes[first:]
		x.like[mir][q] = int32(len(votes))
		for _, vote := range votes {
			t := x.tallyOf(uint32(vote >> 27))
			t.count = min(t.count+1, someVotes)
			t.score += uint32(x.worth(mir, q, int(vote>>10&511)))
		}
	}
	least := x.leastScore()
	kept := x.votes[:0]
	for _, v := range x.votes {
		if t := x.tallyOf(uint32(v >> 27)); t.count == someVotes && t.score >= least {
			kept = append(kept, v)
		}
	}
	for _, i := range x.touched {
		x.tally[i] = tally{}
	}
	slices.Sort(kept)
	x.votes = slices.Compact(kept)
}

// scan adds to x.votes those of an asked point.
func (s *Segment) scan(x *Searcher, mir, q int, keep func(id uint32) bool) {
	d := x.views[mir].desc[q]
	lo, hi := s.list(wordOf(d))
	n := hi - lo
	l := s.b[s.lists+postingSize*lo:][:postingSize*n]
	runs, length := 1, n
	if n > maxList {
		runs, length = maxList/listRun, listRun
	}
	for run := range runs {
		from := n / runs * run
		sigs := l[8*from:][:8*length]
		for i := 0; len(sigs) >= 8; i++ {
			dist := bits.OnesCount64(binary.LittleEndian.Uint64(sigs) ^ d[0])
			sigs = sigs[8:]
			if dist > voteDistance {
				continue
			}
			at := from + i
			pic := int(binary.LittleEndian.Uint32(l[8*n+4*at:]))
			// Unsigned: where an int has 32 bits, a damaged number is negative.
			if uint(pic) >= uint(s.n) || !x.admit(s, uint32(pic<<1|mir), keep) {
				continue
			}
			r := uint64(l[12*n+2*at+1])
			x.votes = append(x.votes, uint64(pic)<<28|uint64(mir)<<27|r<<19|uint64(dist)<<10|uint64(q))
		}
	}
}

// tallyOf returns the tally of a picture and side, a new one if there is none.
func (x *Searcher) tallyOf(g uint32) *tally {
	mask := uint32(len(x.tally) - 1)
	for i := g * 2_654_435_769 >> 7 & mask; ; i = (i + 1) & mask {
		switch t := &x.tally[i]; t.key {
		case g + 1:
			return t
		case 0:
			if 2*len(x.touched) >= len(x.tally) {
				x.growTally()
				return x.tallyOf(g)
			}
			t.key = g + 1
			x.touched = append(x.touched, i)
			return t
		}
	}
}

func (x *Searcher) growTally() {
	old := x.tally
	x.tally = make([]tally, 2*len(old))
	used := x.touched
	x.touched = make([]uint32, 0, len(old))
	for _, i := range used {
		*x.tallyOf(old[i].key - 1) = old[i]
	}
}

// admit reports whether votes for a picture and side count, and notes that it has one.
func (x *Searcher) admit(s *Segment, g uint32, keep func(id uint32) bool) bool {
	t := x.tallyOf(g)
	if t.count == 0 && keep != nil && t.score == 0 {
		t.score = 1 // asked
		if !keep(s.ID(int(g >> 1))) {
			t.count = passedOver
		}
	}
	return t.count != passedOver
}

// closeness is what a vote at a distance weighs at most.
func closeness(dist int) int { return 4*(voteDistance-dist) + 8 }

// worth returns what a vote of an asked point weighs.
func (x *Searcher) worth(mir, q, dist int) int {
	return closeness(dist) << scoreShift / (int(x.like[mir][q]) + 3)
}

// leastScore returns the score from which on there are, in all segments so far, at
// most maxVoted pictures with two votes or more; those that are as good as the last
// of them are all in or, unless they are the best, all out.
func (x *Searcher) leastScore() uint32 {
	for _, i := range x.touched {
		if t := &x.tally[i]; t.count == someVotes {
			x.ranks[min(t.score>>rankShift, uint32(len(x.ranks)-1))]++
		}
	}
	n := 0
	for i := len(x.ranks) - 1; i > 0; i-- {
		before := n
		if n += int(x.ranks[i]); n > maxVoted {
			if before == 0 {
				i--
			}
			return uint32(i+1) << rankShift
		}
	}
	return 0
}

// likeness returns about the distance of two descriptors, by their signatures alone.
func likeness(a, b uint64) int { return 4 * bits.OnesCount64(a^b) }

func (d descriptor) distance(o descriptor) int {
	return bits.OnesCount64(d[0]^o[0]) + bits.OnesCount64(d[1]^o[1]) +
		bits.OnesCount64(d[2]^o[2]) + bits.OnesCount64(d[3]^o[3])
}

// weigh adds to x.hyps the maps that the votes speak for. Their score is what
// these votes weigh: points in a frame that many pictures share must not hide the
// picture inside it.
func (s *Segment) weigh(x *Searcher) {
	part := 0
	if n := len(x.hyps); n > 0 {
		part = x.hyps[n-1].part + 1
	}
	for a := 0; a < len(x.votes); {
		e := a + 1
		for e < len(x.votes) && x.votes[e]>>27 == x.votes[a]>>27 {
			e++
		}
		group := x.votes[a:e]
		a = e
		if len(group) < 2 {
			continue
		}
		pic, mir := int(group[0]>>28), int(group[0]>>27&1)
		f, v := s.picture(pic), &x.views[mir]
		x.group = x.group[:0]
		last, run := -1, 0
		for _, g := range group {
			r := int(g >> 19 & 255)
			if r >= f.len() {
				break // a damaged list names points that the record lacks
			}
			if r != last {
				last, run = r, 0
			}
			// A point that looks like many others of the asked picture is
			// weighed with the nearest three only.
			if run++; run > 3 || len(x.group) == maxGroup {
				continue
			}
			w := vote{r: r, q: int(g & 1023), dist: int(g >> 10 & 511), rk: f.point(r)}
			w.qk = v.keys[w.q]
			w.scale = int(w.qk.scale) - int(w.rk.scale)
			w.angle = w.qk.angle - w.rk.angle
			x.group = append(x.group, w)
		}
		// The seeds: all votes up to the distance that leaves few enough.
		var byDist [voteDistance + 1]int
		for i := range x.group {
			byDist[x.group[i].dist]++
		}
		limit, left := 0, maxSeeds-byDist[0]
		for limit < voteDistance && left > byDist[limit+1] {
			limit++
			left -= byDist[limit]
		}
		best, bestScore, bestN, tried := -1, 0, 0, 0
		for i := range x.group {
			if x.group[i].dist > limit || tried == maxSeeds {
				continue
			}
			tried++
			if sc, n := x.support(i, false); n >= 2 && sc > bestScore {
				best, bestScore, bestN = i, sc, n
			}
		}
		if best < 0 {
			continue
		}
		x.support(best, true)
		h := hypothesis{in: s, part: part, pic: pic, mir: mir, t: x.group[best].similarity()}
		for _, p := range x.pairs {
			h.score += x.worth(mir, int(p.q), int(p.dist))
		}
		if bestN >= 4 {
			if t, _, ok := fit(x.pairs, 8); ok {
				h.t = t
			}
		}
		x.hyps = append(x.hyps, h)
	}
}

// similarity returns the map that the vote alone speaks for.
func (v *vote) similarity() affine {
	return similarity(float64(v.rk.x)/32, float64(v.rk.y)/32, float64(v.qk.x)/32, float64(v.qk.y)/32,
		stepPow[v.scale+stepMax], v.angle)
}

// support returns how strongly and by how many registered points the votes of
// the group speak for the map of vote i; with collect it leaves them in
// x.pairs.
func (x *Searcher) support(i int, collect bool) (score, n int) {
	g := x.group
	v := &g[i]
	t := v.similarity()
	s := max(stepPow[v.scale+stepMax], 1)
	last := -1
	if collect {
		x.pairs = x.pairs[:0]
	}
	for j := range g {
		w := &g[j]
		if w.r == last || j != i && (w.r == v.r || w.q == v.q) {
			continue
		}
		if d := w.scale - v.scale; d > 28 || d < -28 {
			continue
		}
		if d := int8(w.angle - v.angle); d > 24 || d < -24 {
			continue
		}
		rx, ry := float64(w.rk.x)/32, float64(w.rk.y)/32
		qx, qy := float64(w.qk.x)/32, float64(w.qk.y)/32
		px, py := t.apply(rx, ry)
		ex, ey := px-qx, py-qy
		dx, dy := px-float64(v.qk.x)/32, py-float64(v.qk.y)/32
		// A map from one point alone is off by its scale and its turn, the
		// more the farther away.
		lim := float64(144*s*s) + float64(0.03*(float64(dx*dx)+float64(dy*dy)))
		if float64(ex*ex)+float64(ey*ey) > lim {
			continue
		}
		last = w.r
		n++
		score += closeness(w.dist)
		if collect {
			x.pairs = append(x.pairs, pair{rx, ry, qx, qy, int32(w.r), int32(w.q), int32(w.dist)})
		}
	}
	return score, n
}

// verify looks at every point of a registered picture where the map t says
// that it should be, fits a better map to what it finds, does so again, and
// compares the pixels under the last map.
func (x *Searcher) verify(f Features, v *view, t affine, mirrored bool) (m Match, ok bool) {
	rounds := [...]struct {
		near, grow float64 // tolerance in working pixels: near, plus grow level pixels
		bits       int
		fit        float64
	}{
		{12, 2, 64, 5},
		{6, 2, 72, 3},
		{3, 1.5, 80, 2.5},
		{3, 1.0, 84, 2.5},
	}
	n := 0
	for i := range rounds {
		r := &rounds[i]
		x.guide(f, v, projective{affine: t}, r.near, r.grow, r.bits)
		t, n, ok = fit(x.pairs, r.fit)
		if !ok || n < 3 {
			return m, false
		}
	}
	p := projective{affine: t}
	if n >= minTilted && 4*n < 3*f.Len() {
		p, n = x.tilt(f, v, t, n)
	}
	in := x.pairs[:n]
	m.Inliers = n
	m.Places = x.places(in)
	m.Mirrored = mirrored
	if m.Places < 4 {
		return m, false
	}
	x.look.compare(f, p, mirrored, in, &m)
	if m.Look = f.Look(); f.HasInk() && x.look.asked.HasInk() {
		m.Ink = x.look.compareInk(f, p, mirrored)
	}
	m.Places = x.places(x.look.inside)
	rw, rh := f.size()
	m.Map = unitMapOf(p, float64(rw), float64(rh), float64(v.w), float64(v.h), mirrored)
	m.Band = band(&m)
	return m, true
}

// minTilted is the number of pairs from which on a projective map is tried: its eight
// numbers follow the noise of fewer.
const minTilted = 12

// tilt looks whether a projective map finds more points than the affine map t, which found
// the n pairs at the front of x.pairs. It begins with these, where a picture that is seen
// at an angle fits t, and goes on outwards. It returns the map that is better and
// leaves its pairs in x.pairs.
func (x *Searcher) tilt(f Features, v *view, t affine, n int) (projective, int) {
	rounds := [...]struct {
		near, grow float64
		bits       int
		fit        float64
	}{
		{16, 2, 60, 8},
		{12, 2, 68, 6},
		{8, 2, 76, 4},
		{4, 1.5, 80, 3},
		{3, 1.0, 84, 2.5},
	}
	w, h := f.size()
	x.kept = append(x.kept[:0], x.pairs[:n]...)
	best, got := projective{affine: t}, n
	p := best
	for i := range rounds {
		r := &rounds[i]
		x.guide(f, v, p, r.near, r.grow, r.bits)
		mag := affineScale(p.middle(f))
		k := within(x.pairs, p, mag, r.near)
		ok := true
		for range 3 {
			if k < minTilted {
				ok = false
				break
			}
			if p, ok = fitProjective(x.pairs[:k]); !ok || !p.sane(float64(w), float64(h)) {
				ok = false
				break
			}
			k = within(x.pairs, p, mag, r.fit)
		}
		if !ok {
			got = n
			break
		}
		got = k
	}
	if got < n+max(3, n/8) {
		x.pairs = append(x.pairs[:0], x.kept...)
		return best, n
	}
	return p, got
}

// middle returns the affine map that t is nearly around the middle of the
// registered picture.
func (t projective) middle(f Features) affine {
	w, h := f.size()
	return t.at(float64(w)/2, float64(h)/2)
}

// unitMapOf returns t, from working pixels of rw × rh to those of qw × qh, as
// a map of unit squares.
func unitMapOf(t projective, rw, rh, qw, qh float64, mirrored bool) [8]float64 {
	m := [8]float64{float64(t.a*rw) / qw, float64(t.b*rh) / qw, t.c / qw, float64(t.d*rw) / qh, float64(t.e*rh) / qh, t.f / qh,
		float64(t.g * rw), float64(t.h * rh)}
	if mirrored {
		m[0], m[1], m[2] = m[6]-m[0], m[7]-m[1], 1-m[2]
	}
	return m
}

// guide fills x.pairs with the registered points that have a like point within
// reach of where t puts them, one to one.
func (x *Searcher) guide(f Features, v *view, t projective, near, grow float64, maxBits int) {
	x.pairs = x.pairs[:0]
	n := len(v.keys)
	x.owner = zeroed(x.owner, n)
	for i := range x.owner {
		x.owner[i] = -1
	}
	mid := t.middle(f)
	mag := affineScale(mid)
	steps, turn := stepsOf(mag), mid.angle()
	for r := range f.Len() {
		k := f.point(r)
		rx, ry := float64(k.x)/32, float64(k.y)/32
		px, py := t.apply(rx, ry)
		if px < 0 || py < 0 || px >= float64(v.w) || py >= float64(v.h) {
			continue
		}
		sc := int(k.scale) + steps
		lvl := stepPow[min(max(sc, 0), stepMax)+stepMax]
		reach := float64(near*max(mag, 1)) + float64(grow*lvl)
		reach = min(reach, 48)
		x0, x1 := int(max(px-reach, 0))>>gridShift, int(min(px+reach, float64(v.w-1)))>>gridShift
		y0, y1 := int(max(py-reach, 0))>>gridShift, int(min(py+reach, float64(v.h-1)))>>gridShift
		d := f.signature(r)
		angle := k.angle + turn
		best, bestDist := -1, maxBits+1
		for cy := y0; cy <= y1; cy++ {
			for _, q := range v.order[v.first[cy*v.cols+x0]:v.first[cy*v.cols+x1+1]] {
				qk := &v.keys[q]
				if ds := int(qk.scale) - sc; ds > 28 || ds < -28 {
					continue
				}
				if da := int8(qk.angle - angle); da > 22 || da < -22 {
					continue
				}
				ex, ey := float64(qk.x)/32-px, float64(qk.y)/32-py
				if float64(ex*ex)+float64(ey*ey) > reach*reach {
					continue
				}
				if dist := likeness(d, v.desc[q][0]); dist < bestDist {
					best, bestDist = int(q), dist
				}
			}
		}
		if best < 0 {
			continue
		}
		p := pair{rx, ry, float64(v.keys[best].x) / 32, float64(v.keys[best].y) / 32, int32(r), int32(best), int32(bestDist)}
		if o := x.owner[best]; o >= 0 {
			if x.pairs[o].dist > p.dist {
				x.pairs[o] = p
			}
			continue
		}
		x.owner[best] = int32(len(x.pairs))
		x.pairs = append(x.pairs, p)
	}
}

// places counts the pairs that lie apart in both pictures: the lesser number
// of cells of 12 working pixels that they touch.
func (x *Searcher) places(ps []pair) int {
	count := func(at func(*pair) (float64, float64)) int {
		x.cells = x.cells[:0]
		for i := range ps {
			a, b := at(&ps[i])
			x.cells = append(x.cells, uint32(a/12)<<16|uint32(b/12))
		}
		slices.Sort(x.cells)
		return len(slices.Compact(x.cells))
	}
	return min(count(func(p *pair) (float64, float64) { return p.rx, p.ry }),
		count(func(p *pair) (float64, float64) { return p.qx, p.qy }))
}

// zeroed returns n zeros, in the memory of s if that is large enough.
func zeroed[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	s = s[:n]
	clear(s)
	return s
}
