package features

import (
	"encoding/binary"
	"sync"
)

// tableWriter writes the tables of a segment, one after the other. Each is
// sorted by key in two steps, because placing millions of entries in millions of
// cells at once misses the caches for each of them: entries go to the bucket of
// their key's high bits first, then to their cell within the bucket, which the
// caches hold. Both steps count before they place and so keep the order of the
// points. The memory beside the segment is 20 bytes a point.
type tableWriter struct {
	keyBits  int
	siblings []uint32 // of all points
	keys     []uint32 // of all points, in the table that is being written
	sorted   []tableEntry
	buckets  []uint32 // where each bucket begins in sorted, and the end
	next     []uint32
	cells    [1<<bucketBits + 1]uint32
}

// tableEntry is an entry on its way to its cell.
type tableEntry struct{ key, point, sibling uint32 }

// bucketBits is the number of a key's bits that tell the cells of a bucket
// apart: its entries, some five for a cell, take 250 kB.
const bucketBits = 12

func newTableWriter(sets []Features, m, k int) *tableWriter {
	w := &tableWriter{
		keyBits:  k,
		siblings: make([]uint32, m),
		keys:     make([]uint32, m),
		sorted:   make([]tableEntry, m),
		buckets:  make([]uint32, 1<<max(k-bucketBits, 0)+1),
		next:     make([]uint32, 1<<max(k-bucketBits, 0)+1),
	}
	g := &gathers()[tables]
	at := 0
	for _, f := range sets {
		for i := range f.Len() {
			w.siblings[at] = g.bits((*[descSize]byte)(f.b[headerSize+i*descSize:]))
			at++
		}
	}
	return w
}

// write writes table t of the sets.
func (w *tableWriter) write(b []byte, sets []Features, t int) {
	g, drop, low := &gathers()[t], 24-w.keyBits, min(w.keyBits, bucketBits)
	clear(w.buckets)
	at := 0
	for _, f := range sets {
		for i := range f.Len() {
			k := g.bits((*[descSize]byte)(f.b[headerSize+i*descSize:])) >> drop
			w.keys[at] = k
			w.buckets[k>>low+1]++
			at++
		}
	}
	for i := 1; i < len(w.buckets); i++ {
		w.buckets[i] += w.buckets[i-1]
	}
	copy(w.next, w.buckets)
	at = 0
	for p, f := range sets {
		for i := range f.Len() {
			k := w.keys[at]
			to := &w.next[k>>low]
			w.sorted[*to] = tableEntry{k & (1<<low - 1), uint32(p)<<8 | uint32(i), w.siblings[at]}
			*to++
			at++
		}
	}
	entries := b[(4*(1<<w.keyBits+1)+7)&^7:]
	for i, first := range w.buckets[:len(w.buckets)-1] {
		w.place(entries, b[4*i<<low:][:4<<low], first, w.sorted[first:w.buckets[i+1]], low)
	}
	binary.LittleEndian.PutUint32(b[4<<w.keyBits:], uint32(len(w.keys)))
}

// place writes the entries of a bucket, the first of the table's entries being
// that with the given number, and where its cells begin.
func (w *tableWriter) place(entries, cells []byte, first uint32, bucket []tableEntry, low int) {
	next := w.cells[:1<<low+1]
	clear(next)
	for i := range bucket {
		next[bucket[i].key+1]++
	}
	next[0] = first
	for i := range 1 << low {
		binary.LittleEndian.PutUint32(cells[4*i:], next[i])
		next[i+1] += next[i]
	}
	for i := range bucket {
		e := &bucket[i]
		to := &next[e.key]
		o := entries[entrySize*int(*to):][:entrySize]
		binary.LittleEndian.PutUint32(o, e.point)
		binary.LittleEndian.PutUint32(o[4:], e.sibling)
		*to++
	}
}

// gather moves chosen bits of a descriptor together: for each of its bytes, what
// the byte's values contribute. It is four times faster than taking the bits one
// by one.
type gather [descSize][256]uint32

func (g *gather) bits(d *[descSize]byte) (v uint32) {
	for i, c := range d {
		v |= g[i][c]
	}
	return v
}

// gathers returns a gather of the 24 key bits of each table, and behind them one
// of the sibling bits.
var gathers = sync.OnceValue(func() *[tables + 1]gather {
	g := new([tables + 1]gather)
	for i := range descSize {
		for c := range 256 {
			var d descriptor
			d[i/8] = uint64(c) << (i % 8 * 8)
			for t := range tables {
				g[t][i][c] = key(d, t, 24)
			}
			g[tables][i][c] = sibling(d)
		}
	}
	return g
})
