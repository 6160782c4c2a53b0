package blocklist

import (
	"cmp"
	"math/bits"
	"runtime"
	"slices"
	"unsafe"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/staydown/staydown/internal/features"
	"github.com/staydown/staydown/phash"
)

// base is the content of a snapshot: the list at one sequence number, with
// only what had not ended. Its arrays lie in the bytes of the snapshot where
// the machine can use them so. It never changes.
type base struct {
	header  header
	history history

	// Grants, by number.
	seqs  []uint64
	attrs []uint32
	cases []byte // 16 each

	learned     []learnedRow // by grant
	timed       *roaring.Bitmap
	timedRows   []timedRow // by grant
	territories map[Territory]*roaring.Bitmap
	views       []viewRow // by grant and number

	// Keys of addresses and files in ascending order. directory[b] is the first
	// row whose key begins with the bits b; there is one more for the end.
	directory []uint32
	shift     uint // 64 - bits of the directory
	keyLo     []uint64
	keyMid    []uint32 // bits 0 to 31 of the upper half
	keyHigh   []uint16 // bits 32 to 47
	keyTop    []uint16 // bits 48 to 63; nil when the directory has them
	keyGrants []uint32
	filter    filter // without blocks when there are no keys

	hashes     [phash.NumAlgorithms]baseHashes
	features   baseFeatures
	faces      []*baseFaces           // one for each model
	lostFaces  map[uint32]int         // grant → faces whose key is gone
	facesUntil int64                  // when the faces must not be used any more, in seconds since 1970; 0 for never
	facesShut  bool                   // there are faces, without keys or too old
	exceptions map[uint64][]exception // by rule

	memory *memory // of the arrays; held so that they live as long as the base
}

type baseHashes struct {
	segment  *phash.Segment // nil for none; its IDs index the others
	grants   []uint32
	variants []byte
	reach    []byte // nil if none has any
	views    []byte // the same
}

// of returns what the key of an entry says of its hash.
func (b *baseHashes) of(id uint32) hashProperties {
	p := hashProperties{variant: b.variants[id]}
	if b.reach != nil {
		p.reach = Reach(b.reach[id])
	}
	if b.views != nil {
		p.view = b.views[id]
	}
	return p
}

type baseFeatures struct {
	segment *features.Segment // nil for none; its IDs index grants
	grants  []uint32
	views   []byte          // nil if none has any
	of      *roaring.Bitmap // the same grants, to be asked for; nil for none
}

type learnedRow struct {
	rule  uint64
	grant uint32
}

type timedRow struct {
	start, end int64
	grant      uint32
}

type viewRow struct {
	view   View
	grant  uint32
	number uint8 // from 1 on
}

// emptyBase is the base of a list without snapshot.
func emptyBase(id identity) *base {
	return &base{
		header:    header{identity: id, digest: genesis(&id)},
		timed:     roaring.New(),
		directory: []uint32{0, 0},
		shift:     64,
	}
}

func (b *base) len() int { return len(b.seqs) }

// learnedFor returns the rule of a learned grant.
func (b *base) learnedFor(g uint32) uint64 {
	i, ok := slices.BinarySearchFunc(b.learned, g, func(r learnedRow, g uint32) int { return cmp.Compare(r.grant, g) })
	if !ok {
		return 0
	}
	return b.learned[i].rule
}

// viewOf returns a view of a grant.
func (b *base) viewOf(g uint32, number uint8) (View, bool) {
	i, ok := slices.BinarySearchFunc(b.views, viewRow{grant: g, number: number}, compareViews)
	if !ok {
		return View{}, false
	}
	return b.views[i].view, true
}

func compareViews(a, b viewRow) int {
	return cmp.Or(cmp.Compare(a.grant, b.grant), cmp.Compare(a.number, b.number))
}

// times returns the bounds of a grant in timed.
func (b *base) times(g uint32) (start, end int64) {
	i, ok := slices.BinarySearchFunc(b.timedRows, g, func(r timedRow, g uint32) int { return cmp.Compare(r.grant, g) })
	if !ok {
		return 0, 0
	}
	return b.timedRows[i].start, b.timedRows[i].end
}

// grant returns a grant as it was before it came into the base.
func (b *base) grant(g uint32) grant {
	defer runtime.KeepAlive(b) // its arrays may be a mapping
	d := grant{seq: b.seqs[g], rule: b.seqs[g], attr: b.attrs[g]}
	copy(d.caseID[:], b.cases[16*int(g):])
	if d.attr&attrLearned != 0 {
		d.rule = b.learnedFor(g)
	}
	if d.attr&attrTimed != 0 {
		d.start, d.end = b.times(g)
	}
	if d.attr&attrWorldwide == 0 {
		for t, set := range b.territories {
			if set.Contains(g) {
				d.territories = append(d.territories, t)
			}
		}
		slices.SortFunc(d.territories, compareTerritories)
	}
	return d
}

func compareTerritories(a, b Territory) int {
	return int(a.a)<<8 + int(a.b) - int(b.a)<<8 - int(b.b)
}

// mayHold asks the filter.
func (b *base) mayHold(hi, lo uint64) bool {
	return b.filter.blocks != 0 && b.filter.mayHold(hi, lo)
}

// find returns the first row with the key, -1 if there is none.
func (b *base) find(hi, lo uint64) int {
	bucket := hi >> b.shift
	return b.scan(int(b.directory[bucket]), int(b.directory[bucket+1]), hi, lo)
}

// findNext returns the row with the key after row, -1 if there is none: equal
// keys are neighbours.
func (b *base) findNext(row int, hi, lo uint64) int {
	if row+1 == len(b.keyLo) || b.keyLo[row+1] != lo {
		return -1
	}
	return b.scan(row+1, row+2, hi, lo)
}

func (b *base) scan(row, end int, hi, lo uint64) int {
	for ; row < end; row++ {
		if b.keyLo[row] == lo && b.keyMid[row] == uint32(hi) && b.keyHigh[row] == uint16(hi>>32) &&
			(b.keyTop == nil || b.keyTop[row] == uint16(hi>>48)) {
			return row
		}
	}
	return -1
}

// eachKey calls yield for the keys in ascending order, until it returns false.
func (b *base) eachKey(yield func(keyEntry) bool) {
	for bucket := range len(b.directory) - 1 {
		for row := int(b.directory[bucket]); row < int(b.directory[bucket+1]); row++ {
			e := keyEntry{hi: uint64(b.keyHigh[row])<<32 | uint64(b.keyMid[row]), lo: b.keyLo[row], grant: b.keyGrants[row]}
			if b.keyTop != nil {
				e.hi |= uint64(b.keyTop[row]) << 48
			} else {
				e.hi |= uint64(bucket) << b.shift >> 48 << 48
			}
			if !yield(e) {
				return
			}
		}
	}
}

// directoryBits returns how many bits the directory over n keys has: some four
// keys for each entry. With 16 or more, keyTop is left out.
func directoryBits(n int) int {
	return min(max(bits.Len(uint(n))-2, 0), 30)
}

// littleEndian says that arrays of a file can be used as they are.
var littleEndian = func() bool {
	x := uint16(1)
	return *(*byte)(unsafe.Pointer(&x)) == 1
}()

// array returns the little-endian numbers in p, in place where the machine
// allows it.
func array[T uint16 | uint32 | uint64](p []byte) []T {
	var zero T
	size := int(unsafe.Sizeof(zero))
	n := len(p) / size
	if n == 0 {
		return nil
	}
	if littleEndian && uintptr(unsafe.Pointer(unsafe.SliceData(p)))%uintptr(size) == 0 {
		return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(p))), n)
	}
	a := make([]T, n)
	for i := range a {
		switch q := p[size*i:]; size {
		case 2:
			a[i] = T(le.Uint16(q))
		case 4:
			a[i] = T(le.Uint32(q))
		case 8:
			a[i] = T(le.Uint64(q))
		}
	}
	return a
}
