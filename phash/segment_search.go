package phash

import (
	"encoding/binary"
	"math/bits"
	"runtime"
	"sync"
)

// Work counts the steps of a search.
type Work struct {
	Probes     int // buckets of tables
	Candidates int // entries of those buckets
	Scanned    int // hashes compared by a scan: 0 or all
}

// Search calls yield once for every entry whose hash is within radius bits of h,
// in no particular order, until yield returns false. It reports whether it came to
// the end. A hash of another algorithm, the zero Hash and a negative radius find
// nothing. It does not allocate.
//
// Before it looks into any bucket of its tables, Search adds up their sizes. If
// they hold more than a quarter of the hashes it scans instead. A search without a
// scan opens at most half as many buckets as there are hashes, and compares with
// at most a quarter of the entries. No data, made up on purpose or not, makes it
// take longer than two or three scans.
func (s *Segment) Search(h Hash, radius int, yield func(id uint32, distance int) bool) bool {
	if h.alg != s.header.algorithm || radius < 0 {
		return true
	}
	ok := true
	if s.Indexed(radius) {
		x := search{s: s, hs: []Hash{h}, radius: radius}
		ok = x.run(func(_ int, id uint32, distance int) bool { return yield(id, distance) })
	} else {
		ok = s.scan(&h, radius, 0, s.header.distinct, func(k, d int) bool {
			for i, end := s.entriesOf(k); i < end; i++ {
				if !yield(s.id(i), d) {
					return false
				}
			}
			return true
		})
	}
	runtime.KeepAlive(s) // the bytes may belong to an arena that goes when s does
	return ok
}

// SearchAll is [Segment.Search] for several hashes: query is the index of the hash
// that an entry is near to. In a segment of many millions of hashes, and where it
// scans, it uses each piece of memory for all hashes at the same time. This is
// faster than one search after the other.
func (s *Segment) SearchAll(hs []Hash, radius int, yield func(query int, id uint32, distance int) bool) bool {
	defer runtime.KeepAlive(s) // the bytes may belong to an arena that goes when s does
	size := group
	if s.Indexed(radius) && s.header.distinct < s.togetherFrom {
		size = 1
	}
	for first := 0; first < len(hs); first += size {
		x := search{s: s, hs: hs[first:min(first+size, len(hs))], first: first, radius: radius}
		if !x.run(yield) {
			return false
		}
	}
	return true
}

// Work returns what Search does for h and radius if yield never stops it.
func (s *Segment) Work(h Hash, radius int) Work {
	defer runtime.KeepAlive(s)
	x := search{s: s, hs: []Hash{h}, radius: radius}
	x.weigh()
	if len(x.scans()) > 0 {
		return Work{Scanned: s.header.distinct}
	}
	return x.work
}

// group is how many queries are searched at the same time.
const group = 128

// togetherFrom is from how many different hashes on searches that use the tables
// are made together. With fewer it is faster to make one after the other: what
// each needs then stays in the cache from the adding-up to the reading.
const togetherFrom = 8_000_000

// search is a search for up to group hashes.
type search struct {
	s      *Segment
	hs     []Hash
	first  int // the index of the first one, for the caller
	radius int
	plan   *plan // nil if all scan

	// The queries that use the tables, and those that scan, by their index in hs.
	order             [group]uint8 // the first ones use the tables, the last ones scan
	nByTable, nByScan int
	work              Work // of all that use the tables
}

func (x *search) tabled() []uint8 { return x.order[:x.nByTable] }
func (x *search) scans() []uint8  { return x.order[group-x.nByScan:] }

func (x *search) run(yield func(query int, id uint32, distance int) bool) bool {
	x.weigh()
	if !x.scan(yield) {
		return false
	}
	if x.nByTable == 0 {
		return true
	}
	switch {
	case x.s.low == nil:
		return x.inline(yield)
	case x.nByTable >= inOrder && x.plan.chunk[0] <= maxOrdered:
		return x.pairedInOrder(yield)
	}
	return x.paired(yield)
}

// emit yields the entries of distinct hash k, which is at distance d from query q.
func (x *search) emit(q uint8, k, d int, yield func(query int, id uint32, distance int) bool) bool {
	lo, hi := x.s.entriesOf(k)
	for i := lo; i < hi; i++ {
		if !yield(x.first+int(q), x.s.id(i), d) {
			return false
		}
	}
	return true
}

// chunkOf returns chunk c of a hash.
func (s *Segment) chunkOf(w *[4]uint64, c int) uint32 {
	if s.low == nil {
		t := &s.tables[c]
		return uint32(t.rotate(w[0]) >> (64 - t.width))
	}
	return uint32(w[3-c/4]>>(48-16*(c%4))) & 0xffff
}

// weigh adds up the buckets that the plan looks into, and decides for every query
// whether it uses the tables. It also brings their offsets into the cache.
func (x *search) weigh() {
	s := x.s
	if 0 <= x.radius && x.radius < len(s.plans) {
		x.plan = &s.plans[x.radius]
	}
	if x.plan == nil || len(x.hs) == 1 {
		for i := range x.hs {
			x.sort(i, x.candidates(&x.hs[i]))
		}
		return
	}
	// The buckets of one table for all queries, before those of the next.
	var candidates [group]int
	for c := range s.header.chunks {
		for i := range x.hs {
			n, probes := s.tables[c].weigh(s.chunkOf(&x.hs[i].w, c), int(x.plan.chunk[c]))
			candidates[i] += n
			x.work.Probes += probes
		}
	}
	for i := range x.hs {
		x.sort(i, candidates[i])
	}
}

// candidates adds up the buckets that the plan, if there is one, looks into for a
// query.
func (x *search) candidates(h *Hash) (n int) {
	if x.plan == nil {
		return 0
	}
	s, plan, probes := x.s, x.plan, 0
	for c := range s.header.chunks {
		t, v := &s.tables[c], s.chunkOf(&h.w, c)
		for k := 0; k <= int(plan.chunk[c]); k++ {
			for m, more := firstMask(k), true; more; m, more = nextMask(m, t.width) {
				lo, hi := t.bucket(v ^ m)
				n += int(hi - lo)
				probes++
			}
		}
	}
	x.work.Probes += probes
	return n
}

// sort decides whether query i, with so many candidates, uses the tables.
func (x *search) sort(i, candidates int) {
	switch {
	case x.hs[i].alg != x.s.header.algorithm || x.radius < 0: // finds nothing
	case x.plan != nil && candidates <= x.s.maxCandidates:
		x.order[x.nByTable] = uint8(i)
		x.nByTable++
		x.work.Candidates += candidates
	default:
		x.nByScan++
		x.order[group-x.nByScan] = uint8(i)
	}
}

// weigh adds up the buckets within radius bits of v.
func (t *table) weigh(v uint32, radius int) (candidates, probes int) {
	for k := 0; k <= radius; k++ {
		for m, more := firstMask(k), true; more; m, more = nextMask(m, t.width) {
			lo, hi := t.bucket(v ^ m)
			candidates += int(hi - lo)
			probes++
		}
	}
	return candidates, probes
}

// firstMask and nextMask go through the numbers of width bits of which k are
// set, in ascending order (Gosper's rule).
func firstMask(k int) uint32 { return 1<<k - 1 }

func nextMask(m uint32, width int) (next uint32, more bool) {
	if m == 0 {
		return 0, false
	}
	low := m & -m
	up := m + low
	next = (up^m)>>(2+bits.TrailingZeros32(low)) | up
	return next, next>>width == 0
}

// probe is a bucket to look into.
type probe struct {
	lo, hi uint32
	// word is in what the chunk differs from the query's, in layoutInline, and the
	// query's other chunk of the pair in layoutPaired.
	word uint32
	left uint16 // how many bits more may differ in what the bucket holds
	c    uint8  // the table
	q    uint8  // the query
}

// set sets the fields one by one: a composite literal is built elsewhere and then
// copied, which waits for its parts.
func (p *probe) set(lo, hi, word uint32, left, c int, q uint8) {
	p.lo, p.hi, p.word, p.left, p.c, p.q = lo, hi, word, uint16(left), uint8(c), q
}

// Buckets are fetched before the first is read: batch of them, or as many as
// have inFlight bytes, whichever comes first. That is enough to have as
// many loads under way as the processor can, and little enough that all are
// still in its first-level cache when they are read. Prefetching, not loading,
// keeps the loads from holding up what follows. All lines of a bucket are
// fetched, not only the first and last: at 16 M hashes of 256 bits, where a bucket
// has nine, that takes a search of radius 46 from 1.0 to 0.7 ms.
const (
	batch    = 64
	inFlight = 12 << 10
)

// scanBlock is how many hashes all scanning queries compare with before the
// next ones are read.
const scanBlock = 1 << 10

// scan compares the queries that scan with every hash.
func (x *search) scan(yield func(query int, id uint32, distance int) bool) bool {
	if x.nByScan == 0 {
		return true
	}
	n := x.s.header.distinct
	for lo := 0; lo < n; lo += scanBlock {
		for _, q := range x.scans() {
			if !x.s.scan(&x.hs[q], x.radius, lo, min(lo+scanBlock, n), func(k, d int) bool { return x.emit(q, k, d, yield) }) {
				return false
			}
		}
	}
	return true
}

// scan compares a hash with those from lo to hi, and calls emit for each that is
// within the radius.
func (s *Segment) scan(h *Hash, radius, lo, hi int, emit func(k, d int) bool) bool {
	if s.low == nil {
		return s.scan64(h.w[0], radius, lo, hi, emit)
	}
	return s.scan256(h.w, radius, lo, hi, emit)
}

func (s *Segment) scan64(w uint64, radius, lo, hi int, emit func(k, d int) bool) bool {
	for k, b := lo, s.high[8*lo:8*hi]; len(b) >= 8; k, b = k+1, b[8:] {
		d := bits.OnesCount64(w ^ binary.LittleEndian.Uint64(b))
		if d <= radius && !emit(k, d) {
			return false
		}
	}
	return true
}

// scan256 compares the second half only where the first is within the radius, if few
// are.
func (s *Segment) scan256(w [4]uint64, radius, lo, hi int, emit func(k, d int) bool) bool {
	firstHalf := radius
	if radius >= scanWhole {
		firstHalf = 128
	}
	for k, b := lo, s.high[16*lo:16*hi]; len(b) >= 16; k, b = k+1, b[16:] {
		d := bits.OnesCount64(w[3]^binary.LittleEndian.Uint64(b)) +
			bits.OnesCount64(w[2]^binary.LittleEndian.Uint64(b[8:]))
		if d > firstHalf {
			continue
		}
		low := s.low[16*k:][:16]
		d += bits.OnesCount64(w[1]^binary.LittleEndian.Uint64(low)) +
			bits.OnesCount64(w[0]^binary.LittleEndian.Uint64(low[8:]))
		if d <= radius && !emit(k, d) {
			return false
		}
	}
	return true
}

// pending is the part of a search that is under way: probes whose buckets are being
// fetched, and survivors that are not yet verified.
type pending struct {
	probes [batch]probe
	found  survivors
	close  [256]uint8 // of closeAVX2
}

// fetch fetches a bucket of layoutPaired and returns how many bytes it has.
func fetch(rest []byte, lo, hi uint32) int {
	n := 2 * int(hi-lo)
	prefetchRange(&rest[2*int(lo)], n)
	return n
}

// inline searches layoutInline.
func (x *search) inline(yield func(query int, id uint32, distance int) bool) bool {
	s, hs, radius := x.s, x.hs, x.radius
	var probes [batch]probe
	n := 0
	for c := range s.header.chunks {
		t := &s.tables[c]
		// The last so many bits of the chunk are also in the rest.
		shared := 8*t.stride - 64 + t.width
		chunkRadius := int(x.plan.chunk[c])
		for _, q := range x.tabled() {
			v := uint32(t.rotate(hs[q].w[0]) >> (64 - t.width))
			for k := 0; k <= chunkRadius; k++ {
				for m, more := firstMask(k), true; more; m, more = nextMask(m, t.width) {
					lo, hi := t.bucket(v ^ m)
					if lo == hi {
						continue
					}
					prefetch(&t.rest[int(lo)*t.stride]) // such a bucket has a line or two
					prefetch(&t.rest[int(hi-1)*t.stride])
					probes[n].set(lo, hi, m, radius-bits.OnesCount32(m>>shared), c, q)
					if n++; n == batch {
						if !x.lookInline(probes[:n], yield) {
							return false
						}
						n = 0
					}
				}
			}
		}
	}
	return x.lookInline(probes[:n], yield)
}

// lookInline yields what the buckets hold within the radius.
func (x *search) lookInline(probes []probe, yield func(query int, id uint32, distance int) bool) bool {
	s, hs, radius := x.s, x.hs, x.radius
	for i := range probes {
		pr := &probes[i]
		t := &s.tables[pr.c%pairedChunks]
		q := hs[pr.q].w[0]
		rotated := t.rotate(q)
		cut := uint(64 - 8*t.stride)
		left := int(pr.left)
		bucket := t.rest[int(pr.lo)*t.stride : int(pr.hi-1)*t.stride+8]
		for at := 0; ; at += t.stride {
			at = nextWithin(bucket, at, t.stride, rotated, cut, left)
			if at < 0 {
				break
			}
			y := (rotated ^ binary.LittleEndian.Uint64(bucket[at:])) << cut
			d := radius - left + bits.OnesCount64(y)
			diff := bits.RotateLeft64(y>>cut|uint64(pr.word)<<(64-t.width), -t.at)
			if s.seenBefore(int(pr.c), [4]uint64{diff}, x.plan) {
				continue
			}
			k, ok := int(pr.lo)+at/t.stride, true
			if pr.c > 0 {
				k, ok = s.locate([4]uint64{q ^ diff})
			}
			if ok && !x.emit(pr.q, k, d, yield) {
				return false
			}
		}
	}
	return true
}

// nextWithin returns where the first entry of a bucket begins, from the one at
// on, that differs from x in at most left bits; the highest cut bits do not
// count. It returns -1 if there is none. It is a function of its own so that
// the loop has all it needs in registers.
func nextWithin(bucket []byte, at, stride int, x uint64, cut uint, left int) int {
	for ; at <= len(bucket)-8; at += stride {
		if bits.OnesCount64((x^binary.LittleEndian.Uint64(bucket[at:]))<<(cut&63)) <= left {
			return at
		}
	}
	return -1
}

// seenBefore reports whether a table before c leads to the hash that differs
// from the query by diff. A hit is yielded only from the first table that leads
// to it, which saves keeping a set of those that were yielded.
func (s *Segment) seenBefore(c int, diff [4]uint64, p *plan) bool {
	for i := range c {
		if s.seen(i, &diff, p) {
			return true
		}
	}
	return false
}

func (s *Segment) seen(c int, diff *[4]uint64, p *plan) bool {
	d := bits.OnesCount32(s.chunkOf(diff, c))
	if d > int(p.chunk[c]) {
		return false
	}
	return s.low == nil || d+bits.OnesCount32(s.chunkOf(diff, c^1)) <= int(p.pair[c/2])
}

// paired searches layoutPaired. The pigeonhole principle is used twice: within
// the radius, some pair of chunks is within its pair radius, and one of the
// pair's chunks is within its chunk radius. So an entry of a bucket needs to be
// looked at only if the other chunk of its pair, which lies in the table, is
// close enough as well; few are.
func (x *search) paired(yield func(query int, id uint32, distance int) bool) bool {
	s := x.s
	var p pending
	n, size := 0, 0
	for c := range s.header.chunks {
		t := &s.tables[c]
		for _, q := range x.tabled() {
			v, other := s.chunkOf(&x.hs[q].w, c), s.chunkOf(&x.hs[q].w, c^1)
			for k := 0; k <= int(x.plan.chunk[c]); k++ {
				left := int(x.plan.pair[c/2]) - k
				for m, more := firstMask(k), true; more; m, more = nextMask(m, t.width) {
					lo, hi := t.bucket(v ^ m)
					if lo == hi {
						continue
					}
					size += fetch(t.rest, lo, hi)
					p.probes[n].set(lo, hi, other, left, c, q)
					if n++; n == batch || size >= inFlight {
						if !x.lookPaired(&p, n, yield) {
							return false
						}
						n, size = 0, 0
					}
				}
			}
		}
	}
	return x.lookPaired(&p, n, yield) && x.verify(&p.found, yield)
}

// ordered holds the probes into one table for several queries, to sort them by
// bucket: bucket<<16 | query<<8 | bits in which the chunks differ.
type ordered struct{ probes, sorted [1 << 14]uint32 }

var orderedPool = sync.Pool{New: func() any { return new(ordered) }}

// inOrder is from how many queries on the buckets of a table are visited in
// ascending order, so that one page of memory after the other is used.
const inOrder = 8

// pairedInOrder is paired for many queries.
func (x *search) pairedInOrder(yield func(query int, id uint32, distance int) bool) bool {
	s := x.s
	var p pending
	o := orderedPool.Get().(*ordered)
	defer orderedPool.Put(o)
	for c := range s.header.chunks {
		width, n, each := s.tables[c].width, 0, 0
		for _, q := range x.tabled() {
			if n+each > len(o.probes) {
				if !x.lookInOrder(c, o.order(n), &p, yield) {
					return false
				}
				n = 0
			}
			v, before := s.chunkOf(&x.hs[q].w, c), n
			for k := 0; k <= int(x.plan.chunk[c]); k++ {
				for m, more := firstMask(k), true; more; m, more = nextMask(m, width) {
					o.probes[n] = (v^m)<<16 | uint32(q)<<8 | uint32(k)
					n++
				}
			}
			each = n - before
		}
		if !x.lookInOrder(c, o.order(n), &p, yield) {
			return false
		}
	}
	return x.verify(&p.found, yield)
}

// order sorts the first n probes by the upper half of the bucket's number, which is
// enough.
func (o *ordered) order(n int) []uint32 {
	var ends [257]uint32
	for _, p := range o.probes[:n] {
		ends[p>>24+1]++
	}
	for v := 1; v < len(ends); v++ {
		ends[v] += ends[v-1]
	}
	for _, p := range o.probes[:n] {
		end := &ends[p>>24]
		o.sorted[*end] = p
		*end++
	}
	return o.sorted[:n]
}

// lookInOrder looks into the buckets of sorted probes of table c.
func (x *search) lookInOrder(c int, sorted []uint32, p *pending, yield func(query int, id uint32, distance int) bool) bool {
	t, pair := &x.s.tables[c], int(x.plan.pair[c/2])
	n, size := 0, 0
	for _, o := range sorted {
		lo, hi := t.bucket(o >> 16)
		if lo == hi {
			continue
		}
		q := uint8(o >> 8)
		size += fetch(t.rest, lo, hi)
		p.probes[n].set(lo, hi, x.s.chunkOf(&x.hs[q].w, c^1), pair-int(o&0xff), c, q)
		if n++; n == batch || size >= inFlight {
			if !x.lookPaired(p, n, yield) {
				return false
			}
			n, size = 0, 0
		}
	}
	return x.lookPaired(p, n, yield)
}

// maxOrdered is the largest chunk radius with which the probes of a query fit
// into ordered.
const maxOrdered = 5

// survivors are entries whose pair of chunks is close enough. They are
// collected over several batches, so that many are verified at once.
type survivors struct {
	n    int
	list [batch]struct {
		place uint32 // in the table; then which distinct hash
		c     uint8  // the table
		q     uint8  // the query
	}
}

// lanes is a one in each of the four 16-bit lanes of a word.
const lanes = 0x0001_0001_0001_0001

// lookPaired collects, and now and then verifies, what in the buckets of the first n
// probes may be within the radius. It looks at four entries at a time, with the bits
// of each counted in its lane of a word.
func (x *search) lookPaired(p *pending, n int, yield func(query int, id uint32, distance int) bool) bool {
	s := x.s
	for i := range p.probes[:n] {
		pr := &p.probes[i]
		rest := s.tables[pr.c%pairedChunks].rest
		at, hi := int(pr.lo), int(pr.hi)
		if wideLanes && hi-at >= wideFrom {
			var ok bool
			if at, ok = x.lookWide(p, pr, rest, yield); !ok {
				return false
			}
		}
		other := uint64(pr.word) * lanes
		over := uint64(0x7fff-pr.left) * lanes // a count above left carries into the lane's highest bit
		for ; at < hi; at += 4 {
			y := binary.LittleEndian.Uint64(rest[2*at:]) ^ other
			y -= y >> 1 & 0x5555_5555_5555_5555
			y = y&0x3333_3333_3333_3333 + y>>2&0x3333_3333_3333_3333
			y = (y + y>>4) & 0x0f0f_0f0f_0f0f_0f0f
			y = (y + y>>8) & 0x001f_001f_001f_001f
			for close := ^(y + over) & (lanes << 15); close != 0; close &= close - 1 {
				place := at + bits.TrailingZeros64(close)/16
				if place >= hi {
					break // the lane belongs to the next bucket
				}
				if !x.survives(p, place, pr, yield) {
					return false
				}
			}
		}
	}
	return true
}

const (
	wideFrom  = 24 // so many entries make closeAVX2 worth its call
	wideBlock = 16 // entries that it reads at a time
)

// lookWide is lookPaired for a large bucket, as far as whole blocks can be read. It
// returns the entry from which on it did not look.
func (x *search) lookWide(p *pending, pr *probe, rest []byte, yield func(query int, id uint32, distance int) bool) (at int, ok bool) {
	at, hi := int(pr.lo), int(pr.hi)
	for at < hi {
		n := min(hi-at, len(p.close))
		// The last block reads beyond the bucket, and must not beyond the table.
		if 2*(at+n+wideBlock) > len(rest) {
			break
		}
		for _, j := range p.close[:closeAVX2(&rest[2*at], n, uint16(pr.word), pr.left, &p.close)] {
			if !x.survives(p, at+int(j), pr, yield) {
				return at, false
			}
		}
		at += n
	}
	return at, true
}

// survives collects an entry, and verifies them all when there are enough.
func (x *search) survives(p *pending, place int, pr *probe, yield func(query int, id uint32, distance int) bool) bool {
	f := &p.found.list[p.found.n%batch]
	f.place, f.c, f.q = uint32(place), pr.c, pr.q
	if pr.c > 0 {
		prefetch(&x.s.tables[pr.c%pairedChunks].positions[x.s.header.stride*place])
	}
	p.found.n++
	return p.found.n < batch || x.verify(&p.found, yield)
}

// verify yields those of the survivors that are within the radius, and empties
// the list.
func (x *search) verify(found *survivors, yield func(query int, id uint32, distance int) bool) bool {
	s := x.s
	list := found.list[:found.n]
	found.n = 0
	stride := s.header.stride
	unused := 32 - 8*stride
	for i := range list {
		v := &list[i]
		if v.c > 0 { // the order of table 0 is that of the hashes
			positions := s.tables[v.c%pairedChunks].positions
			v.place = binary.LittleEndian.Uint32(positions[stride*int(v.place):]) << unused >> unused
		}
		if v.place >= uint32(s.header.distinct) {
			v.place = 0 // the segment is damaged; hash 0 will do
		}
		prefetch(&s.high[16*int(v.place)])
	}
	for i := range list {
		v := &list[i]
		k, w := int(v.place), &x.hs[v.q].w
		high := s.high[16*k:][:16]
		diff := [4]uint64{2: w[2] ^ binary.LittleEndian.Uint64(high[8:]), 3: w[3] ^ binary.LittleEndian.Uint64(high)}
		d := bits.OnesCount64(diff[2]) + bits.OnesCount64(diff[3])
		if d > x.radius {
			continue
		}
		low := s.low[16*k:][:16]
		diff[0], diff[1] = w[0]^binary.LittleEndian.Uint64(low[8:]), w[1]^binary.LittleEndian.Uint64(low)
		d += bits.OnesCount64(diff[0]) + bits.OnesCount64(diff[1])
		if d > x.radius || s.seenBefore(int(v.c), diff, x.plan) {
			continue
		}
		if !x.emit(v.q, k, d, yield) {
			return false
		}
	}
	return true
}
