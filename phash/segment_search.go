package phash

import (
	"encoding/binary"
	"math/bits"
	"runtime"
)

// Work is what a search does, counted.
type Work struct {
	Probes     int // buckets of tables
	Candidates int // entries of those buckets
	Scanned    int // hashes compared by a scan: 0 or all
}

// Search calls yield once for every entry whose hash is within radius bits of
// h, in no particular order, until yield returns false; it reports whether it
// came to the end. A hash of another algorithm, the zero Hash and a negative
// radius find nothing. It does not allocate.
//
// Before it looks into any bucket of its tables, Search adds up their sizes.
// If they hold more than a quarter of the hashes it scans instead. A search
// therefore opens no more buckets than half the number of hashes and compares
// with no more entries than a quarter of it, or scans: no data, made up on
// purpose or not, makes it take longer than two or three scans.
func (s *Segment) Search(h Hash, radius int, yield func(id uint32, distance int) bool) bool {
	_, ok := s.search(h, radius, yield)
	// The bytes may belong to an arena that goes when s does.
	runtime.KeepAlive(s)
	return ok
}

// Work returns what Search does for h and radius if yield never stops it.
func (s *Segment) Work(h Hash, radius int) Work {
	w, _ := s.search(h, radius, func(uint32, int) bool { return true })
	runtime.KeepAlive(s)
	return w
}

func (s *Segment) search(h Hash, radius int, yield func(id uint32, distance int) bool) (w Work, ok bool) {
	if h.alg != s.header.algorithm || radius < 0 {
		return w, true
	}
	if radius < len(s.plans) {
		p := &s.plans[radius]
		w = s.weigh(h, p)
		if w.Candidates <= s.maxCandidates {
			if s.low == nil {
				return w, s.searchInline(h.w[0], radius, p, yield)
			}
			return w, s.searchPaired(h.w, radius, p, yield)
		}
	}
	w = Work{Scanned: s.header.distinct}
	if s.low == nil {
		return w, s.scan64(h.w[0], radius, yield)
	}
	return w, s.scan256(h.w, radius, yield)
}

// chunkOf returns chunk c of a hash.
func (s *Segment) chunkOf(w *[4]uint64, c int) uint32 {
	if s.low == nil {
		t := &s.tables[c]
		return uint32(t.rotate(w[0]) >> (64 - t.width))
	}
	return uint32(w[3-c/4]>>(48-16*(c%4))) & 0xffff
}

// weigh adds up the buckets that a plan looks into. It also brings their
// offsets, from all tables at once, into the cache.
func (s *Segment) weigh(h Hash, p *plan) (w Work) {
	for c := range s.header.chunks {
		t := &s.tables[c]
		v := s.chunkOf(&h.w, c)
		for k := 0; k <= int(p.chunk[c]); k++ {
			for m, more := firstMask(k), true; more; m, more = nextMask(m, t.width) {
				lo, hi := t.bucket(v ^ m)
				w.Candidates += int(hi - lo)
				w.Probes++
			}
		}
	}
	return w
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
	mask   uint32 // in what the chunk differs from the query's
	left   uint16 // how many bits more may differ in what the bucket holds
	c      uint16 // the table
}

// batch is how many buckets are fetched before the first is read: enough to
// have as many loads under way as the processor can, few enough that all are
// still in its first-level cache when they are read. Prefetching, not loading,
// keeps the loads from holding up what follows: at 1 M hashes of 256 bits it
// takes a search of radius 31 from 16 to 9 µs, of 47 from 175 to 90.
const batch = 64

// scan64 compares with every hash.
func (s *Segment) scan64(q uint64, radius int, yield func(id uint32, distance int) bool) bool {
	for k, b := 0, s.high; len(b) >= 8; k, b = k+1, b[8:] {
		d := bits.OnesCount64(q ^ binary.LittleEndian.Uint64(b))
		if d <= radius && !s.emit(k, d, yield) {
			return false
		}
	}
	return true
}

// scan256 compares with every hash, the second half only where the first is
// within the radius, if few are.
func (s *Segment) scan256(q [4]uint64, radius int, yield func(id uint32, distance int) bool) bool {
	firstHalf := radius
	if radius >= scanWhole {
		firstHalf = 128
	}
	for k, b := 0, s.high; len(b) >= 16; k, b = k+1, b[16:] {
		d := bits.OnesCount64(q[3]^binary.LittleEndian.Uint64(b)) +
			bits.OnesCount64(q[2]^binary.LittleEndian.Uint64(b[8:]))
		if d > firstHalf {
			continue
		}
		low := s.low[16*k:][:16]
		d += bits.OnesCount64(q[1]^binary.LittleEndian.Uint64(low)) +
			bits.OnesCount64(q[0]^binary.LittleEndian.Uint64(low[8:]))
		if d <= radius && !s.emit(k, d, yield) {
			return false
		}
	}
	return true
}

// searchInline searches layoutInline.
func (s *Segment) searchInline(q uint64, radius int, p *plan, yield func(id uint32, distance int) bool) bool {
	var probes [batch]probe
	n := 0
	for c := range s.header.chunks {
		t := &s.tables[c]
		v := uint32(t.rotate(q) >> (64 - t.width))
		// The last so many bits of the chunk are also in the rest.
		shared := 8*t.stride - 64 + t.width
		for k := 0; k <= int(p.chunk[c]); k++ {
			for m, more := firstMask(k), true; more; m, more = nextMask(m, t.width) {
				lo, hi := t.bucket(v ^ m)
				if lo == hi {
					continue
				}
				prefetch(&t.rest[int(lo)*t.stride])
				prefetch(&t.rest[int(hi-1)*t.stride])
				probes[n] = probe{lo, hi, m, uint16(radius - bits.OnesCount32(m>>shared)), uint16(c)}
				if n++; n == batch {
					if !s.lookInline(q, radius, p, probes[:n], yield) {
						return false
					}
					n = 0
				}
			}
		}
	}
	return s.lookInline(q, radius, p, probes[:n], yield)
}

// lookInline yields what the buckets hold within the radius.
func (s *Segment) lookInline(q uint64, radius int, p *plan, probes []probe, yield func(id uint32, distance int) bool) bool {
	for i := range probes {
		pr := &probes[i]
		t := &s.tables[pr.c%pairedChunks]
		rotated := t.rotate(q)
		cut := uint(64 - 8*t.stride)
		left := int(pr.left)
		bucket := t.rest[int(pr.lo)*t.stride : int(pr.hi-1)*t.stride+8]
		for at := 0; ; at += t.stride {
			at = nextWithin(bucket, at, t.stride, rotated, cut, left)
			if at < 0 {
				break
			}
			x := (rotated ^ binary.LittleEndian.Uint64(bucket[at:])) << cut
			d := radius - left + bits.OnesCount64(x)
			diff := bits.RotateLeft64(x>>cut|uint64(pr.mask)<<(64-t.width), -t.at)
			if s.seenBefore(int(pr.c), [4]uint64{diff}, p) {
				continue
			}
			k, ok := int(pr.lo)+at/t.stride, true
			if pr.c > 0 {
				k, ok = s.locate([4]uint64{q ^ diff})
			}
			if ok && !s.emit(k, d, yield) {
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

// searchPaired searches layoutPaired. The pigeonhole principle is used twice:
// within the radius, some pair of chunks is within its pair radius, and one of
// the pair's chunks is within its chunk radius. So an entry of a bucket needs
// to be looked at only if the other chunk of its pair, which lies in the table,
// is close enough as well; few are.
func (s *Segment) searchPaired(q [4]uint64, radius int, p *plan, yield func(id uint32, distance int) bool) bool {
	var probes [batch]probe
	var found survivors
	n := 0
	for c := range s.header.chunks {
		t := &s.tables[c]
		v := s.chunkOf(&q, c)
		for k := 0; k <= int(p.chunk[c]); k++ {
			for m, more := firstMask(k), true; more; m, more = nextMask(m, t.width) {
				lo, hi := t.bucket(v ^ m)
				if lo == hi {
					continue
				}
				prefetch(&t.rest[2*int(lo)])
				prefetch(&t.rest[2*int(hi)-1])
				probes[n] = probe{lo, hi, m, uint16(int(p.pair[c/2]) - k), uint16(c)}
				if n++; n == batch {
					if !s.lookPaired(&q, radius, p, probes[:n], &found, yield) {
						return false
					}
					n = 0
				}
			}
		}
	}
	return s.lookPaired(&q, radius, p, probes[:n], &found, yield) &&
		s.verify(&q, radius, p, &found, yield)
}

// survivors are entries whose pair of chunks is close enough. They are
// collected over several batches, so that many are verified at once.
type survivors struct {
	n    int
	list [batch]struct {
		place uint32 // in the table; then which distinct hash
		c     uint32 // the table
	}
}

// lanes is a one in each of the four 16-bit lanes of a word.
const lanes = 0x0001_0001_0001_0001

// lookPaired collects, and now and then verifies, what in the buckets may be
// within the radius. It looks at four entries at a time, counting the bits of
// each in its lane of a word.
func (s *Segment) lookPaired(q *[4]uint64, radius int, p *plan, probes []probe, found *survivors, yield func(id uint32, distance int) bool) bool {
	for i := range probes {
		pr := &probes[i]
		c := int(pr.c % pairedChunks)
		rest := s.tables[c].rest
		other := uint64(s.chunkOf(q, c^1)) * lanes
		over := uint64(0x7fff-pr.left) * lanes // a count above left carries into the lane's highest bit
		for at := int(pr.lo); at < int(pr.hi); at += 4 {
			x := binary.LittleEndian.Uint64(rest[2*at:]) ^ other
			x -= x >> 1 & 0x5555_5555_5555_5555
			x = x&0x3333_3333_3333_3333 + x>>2&0x3333_3333_3333_3333
			x = (x + x>>4) & 0x0f0f_0f0f_0f0f_0f0f
			x = (x + x>>8) & 0x001f_001f_001f_001f
			for close := ^(x + over) & (lanes << 15); close != 0; close &= close - 1 {
				place := at + bits.TrailingZeros64(close)/16
				if place >= int(pr.hi) {
					break // the lane belongs to the next bucket
				}
				f := &found.list[found.n%batch]
				f.place, f.c = uint32(place), uint32(c)
				if c > 0 {
					prefetch(&s.tables[c].positions[s.header.stride*place])
				}
				if found.n++; found.n == batch && !s.verify(q, radius, p, found, yield) {
					return false
				}
			}
		}
	}
	return true
}

// verify yields those of the survivors that are within the radius, and empties
// the list.
func (s *Segment) verify(q *[4]uint64, radius int, p *plan, found *survivors, yield func(id uint32, distance int) bool) bool {
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
		k := int(list[i].place)
		high := s.high[16*k:][:16]
		diff := [4]uint64{2: q[2] ^ binary.LittleEndian.Uint64(high[8:]), 3: q[3] ^ binary.LittleEndian.Uint64(high)}
		d := bits.OnesCount64(diff[2]) + bits.OnesCount64(diff[3])
		if d > radius {
			continue
		}
		low := s.low[16*k:][:16]
		diff[0], diff[1] = q[0]^binary.LittleEndian.Uint64(low[8:]), q[1]^binary.LittleEndian.Uint64(low)
		d += bits.OnesCount64(diff[0]) + bits.OnesCount64(diff[1])
		if d > radius || s.seenBefore(int(list[i].c), diff, p) {
			continue
		}
		if !s.emit(k, d, yield) {
			return false
		}
	}
	return true
}
