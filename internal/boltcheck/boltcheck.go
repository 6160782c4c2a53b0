// Package boltcheck looks through the structure of a bbolt file before bbolt
// opens it. bbolt has a checksum on its two meta pages only, and believes all
// other pages: one changed byte in the head of a page can make it panic, hand
// out pages that are in use, or fill the memory while it frees pages that do
// not exist. And when the newer meta page is damaged it goes on from the older
// one without a word, so that the last commit is lost.
//
// Check follows every page from the root, and the list of free pages, and wants
// each page of the file to be there exactly once. It says nothing of the keys'
// values: whoever keeps them in bbolt gives them checksums of their own. DB is a
// file that was checked, and that stays an error when it is damaged while open.
package boltcheck

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/bits"
)

// ErrDamaged is wrapped by every error about what is in the file.
var ErrDamaged = errors.New("bbolt file is damaged")

// The layout of a bbolt file, version 2, in the byte order of the machine.
const (
	metaMagic   = 0xED0CDAED
	metaVersion = 2
	metaSize    = 64 // behind the page header; the last 8 are the checksum

	pageHeader = 16
	element    = 16

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagMeta     = 0x04
	flagFreelist = 0x10

	leafBucket   = 0x01
	bucketHeader = 16

	noFreelist = ^uint64(0)
	maxDepth   = 64
)

var order = binary.NativeEndian

// Check reads the structure of a bbolt file of size bytes, which nobody may
// write meanwhile. An empty file is in order: bbolt fills it.
//
// meta is the error about one of the two meta pages, when the other is in
// order: the last commit may be lost then. err is any other error; it wraps
// ErrDamaged unless reading failed. The memory it takes is bounded by one bit
// for each page and the longest page.
func Check(r io.ReaderAt, size int64) (meta, err error) {
	if size == 0 {
		return nil, nil
	}
	c := checker{r: r}
	m, meta, err := c.readMetas(size)
	if err != nil {
		return nil, err
	}
	if int64(m.pages) > size/int64(c.pageSize) || m.pages < 4 {
		return meta, damaged("it has %d bytes, and %d pages of %d in use", size, m.pages, c.pageSize)
	}
	c.pages = m.pages
	c.seen = make([]uint64, (m.pages+63)/64)
	c.mark(0, 1)
	c.mark(1, 1)
	if err := c.bucket(m.root, nil, nil, 0); err != nil {
		return meta, err
	}
	if m.freelist == noFreelist {
		return meta, nil
	}
	if err := c.freelist(m.freelist); err != nil {
		return meta, err
	}
	for i, w := range c.seen {
		if i == len(c.seen)-1 && c.pages%64 != 0 {
			w |= ^uint64(0) << (c.pages % 64)
		}
		if w != ^uint64(0) {
			return meta, damaged("page %d is neither in use nor free", 64*i+bits.TrailingZeros64(^w))
		}
	}
	return meta, nil
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

type checker struct {
	r        io.ReaderAt
	pageSize int
	pages    uint64   // in use or free
	seen     []uint64 // a bit for each
}

type meta struct {
	pageSize uint32
	root     uint64
	freelist uint64
	pages    uint64
	tx       uint64
}

// readMetas returns the newer of the meta pages that are in order.
func (c *checker) readMetas(size int64) (m meta, one, err error) {
	first, errFirst := c.readMeta(0, 0)
	sizes := []int64{int64(first.pageSize)}
	if errFirst != nil {
		// The second one is at the first place that holds one.
		sizes = sizes[:0]
		for s := int64(512); s <= 64<<10; s *= 2 {
			sizes = append(sizes, s)
		}
	}
	var second meta
	errSecond := damaged("meta page 1 is not there")
	for _, s := range sizes {
		if second, errSecond = c.readMeta(1, s); errSecond == nil && int64(second.pageSize) == s {
			break
		}
	}
	switch {
	case errFirst != nil && errSecond != nil:
		return m, nil, errFirst
	case errFirst != nil:
		m, one = second, errFirst
	case errSecond != nil:
		m, one = first, errSecond
	case first.tx+1 == second.tx:
		m = second
	case second.tx+1 == first.tx:
		m = first
	default:
		m = first
		if second.tx > first.tx {
			m = second
		}
		one = damaged("its meta pages are of the commits %d and %d, which do not follow each other", first.tx, second.tx)
	}
	c.pageSize = int(m.pageSize)
	if c.pageSize < 512 || c.pageSize > 64<<10 || c.pageSize&(c.pageSize-1) != 0 {
		return m, nil, damaged("pages of %d bytes", c.pageSize)
	}
	return m, one, nil
}

func (c *checker) readMeta(page uint64, at int64) (m meta, err error) {
	p := make([]byte, pageHeader+metaSize)
	if _, err := c.r.ReadAt(p, at); err != nil {
		return m, damaged("meta page %d is cut: %v", page, err)
	}
	b := p[pageHeader:]
	sum := fnv.New64a()
	sum.Write(b[:metaSize-8])
	m = meta{pageSize: order.Uint32(b[8:]), root: order.Uint64(b[16:]), freelist: order.Uint64(b[32:]), pages: order.Uint64(b[40:]), tx: order.Uint64(b[48:])}
	if order.Uint32(b) != metaMagic || order.Uint32(b[4:]) != metaVersion || sum.Sum64() != order.Uint64(b[metaSize-8:]) ||
		order.Uint64(p) != page || order.Uint16(p[8:]) != flagMeta || m.tx%2 != page {
		return m, damaged("meta page %d, and the last commit may be lost with it", page)
	}
	return m, nil
}

// mark notes that n pages from id on are used, and reports false if one is
// beyond the file or used already.
func (c *checker) mark(id, n uint64) bool {
	if id >= c.pages || n > c.pages-id {
		return false
	}
	for i := id; i < id+n; i++ {
		if c.seen[i/64]>>(i%64)&1 != 0 {
			return false
		}
		c.seen[i/64] |= 1 << (i % 64)
	}
	return true
}

// page reads the head of a page, with its elements of the given size, and marks
// it. all is its length with its overflow.
func (c *checker) page(id uint64, want uint16, each int64) (p []byte, all int64, err error) {
	if id < 2 || id >= c.pages {
		return nil, 0, damaged("page %d of %d is asked for", id, c.pages)
	}
	p = make([]byte, c.pageSize)
	if _, err := c.r.ReadAt(p, int64(id)*int64(c.pageSize)); err != nil {
		return nil, 0, fmt.Errorf("bbolt file: page %d: %w", id, err)
	}
	flags, count, overflow := order.Uint16(p[8:]), int64(order.Uint16(p[10:])), uint64(order.Uint32(p[12:]))
	if order.Uint64(p) != id || flags&want == 0 || flags&^want != 0 || flags&(flags-1) != 0 {
		return nil, 0, damaged("page %d says it is %d and of kind %#x", id, order.Uint64(p), flags)
	}
	if !c.mark(id, overflow+1) {
		return nil, 0, damaged("page %d with %d more overlaps others", id, overflow)
	}
	all = int64(overflow+1) * int64(c.pageSize)
	if count == 0xffff && want == flagFreelist {
		count = int64(min(order.Uint64(p[pageHeader:]), 1<<40)) + 1
	}
	need := pageHeader + count*each
	if need > all {
		return nil, 0, damaged("page %d has %d elements in %d bytes", id, count, all)
	}
	if need > int64(len(p)) {
		more := make([]byte, need-int64(len(p)))
		if _, err := c.r.ReadAt(more, int64(id)*int64(c.pageSize)+int64(len(p))); err != nil {
			return nil, 0, fmt.Errorf("bbolt file: page %d: %w", id, err)
		}
		p = append(p, more...)
	}
	return p, all, nil
}

// bucket follows the pages of a bucket from its root, whose keys are not below
// from and below to; nil is no bound.
func (c *checker) bucket(root uint64, from, to []byte, depth int) error {
	if depth > maxDepth {
		return damaged("pages lie more than %d deep", maxDepth)
	}
	p, all, err := c.page(root, flagBranch|flagLeaf, element)
	if err != nil {
		return err
	}
	if order.Uint16(p[8:]) == flagLeaf {
		return c.leaf(p, all, root, from, to, depth)
	}
	count := int(order.Uint16(p[10:]))
	if count == 0 {
		return damaged("page %d leads nowhere", root)
	}
	// A page of branches is short.
	if p, err = c.whole(p, all, root); err != nil {
		return err
	}
	keys := make([][]byte, count+1)
	for i := range count {
		at := int64(pageHeader + i*element)
		pos, ksize := int64(order.Uint32(p[at:])), int64(order.Uint32(p[at+4:]))
		if pos < int64((count-i)*element) || at+pos+ksize > all {
			return damaged("page %d: key %d lies outside of it", root, i)
		}
		keys[i] = p[at+pos : at+pos+ksize]
		if i > 0 && bytes.Compare(keys[i-1], keys[i]) >= 0 || !between(keys[i], from, to) {
			return damaged("page %d: key %d is out of order", root, i)
		}
	}
	keys[count] = to
	for i := range count {
		child := order.Uint64(p[pageHeader+i*element+8:])
		if err := c.bucket(child, keys[i], keys[i+1], depth+1); err != nil {
			return err
		}
	}
	return nil
}

func between(key, from, to []byte) bool {
	return (from == nil || bytes.Compare(key, from) >= 0) && (to == nil || bytes.Compare(key, to) < 0)
}

// whole reads the rest of a page.
func (c *checker) whole(p []byte, all int64, id uint64) ([]byte, error) {
	if int64(len(p)) == all {
		return p, nil
	}
	q := make([]byte, all)
	if _, err := c.r.ReadAt(q, int64(id)*int64(c.pageSize)); err != nil {
		return nil, fmt.Errorf("bbolt file: page %d: %w", id, err)
	}
	return q, nil
}

// leaf looks at the elements of a leaf page of all bytes, of which p is the
// beginning, and follows the buckets in it. The keys of long pages, behind a
// value that is longer than a page, are not looked at.
func (c *checker) leaf(p []byte, all int64, id uint64, from, to []byte, depth int) error {
	count := int(order.Uint16(p[10:]))
	var last []byte
	for i := range count {
		at := int64(pageHeader + i*element)
		flags, pos := order.Uint32(p[at:]), int64(order.Uint32(p[at+4:]))
		ksize, vsize := int64(order.Uint32(p[at+8:])), int64(order.Uint32(p[at+12:]))
		if flags&^leafBucket != 0 || pos < int64((count-i)*element) || at+pos+ksize+vsize > all {
			return damaged("page %d: entry %d lies outside of it", id, i)
		}
		if flags&leafBucket != 0 {
			var err error
			if p, err = c.whole(p, all, id); err != nil {
				return err
			}
		}
		if at+pos+ksize <= int64(len(p)) {
			key := p[at+pos : at+pos+ksize]
			if last != nil && bytes.Compare(last, key) >= 0 || !between(key, from, to) {
				return damaged("page %d: key %d is out of order", id, i)
			}
			last = key
		}
		if flags&leafBucket == 0 {
			continue
		}
		if vsize < bucketHeader {
			return damaged("page %d: bucket %d is cut", id, i)
		}
		value := p[at+pos+ksize : at+pos+ksize+vsize]
		if root := order.Uint64(value); root != 0 {
			if err := c.bucket(root, nil, nil, depth+1); err != nil {
				return err
			}
			continue
		}
		// A small bucket lies in its parent, as a page without a number.
		inline := value[bucketHeader:]
		if len(inline) < pageHeader || order.Uint16(inline[8:]) != flagLeaf || depth > maxDepth ||
			int64(order.Uint16(inline[10:]))*element > int64(len(inline)-pageHeader) {
			return damaged("page %d: bucket %d is no leaf", id, i)
		}
		if err := c.leaf(inline, int64(len(inline)), id, nil, nil, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// freelist marks the free pages.
func (c *checker) freelist(id uint64) error {
	p, _, err := c.page(id, flagFreelist, 8)
	if err != nil {
		return err
	}
	ids := p[pageHeader:]
	n := int(order.Uint16(p[10:]))
	if n == 0xffff {
		n = int(order.Uint64(ids))
		ids = ids[8:]
	}
	for i := range n {
		free := order.Uint64(ids[8*i:])
		if free < 2 || !c.mark(free, 1) {
			return damaged("page %d is free, and is in use, free twice, or not there", free)
		}
	}
	return nil
}
