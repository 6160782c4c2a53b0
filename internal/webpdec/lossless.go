package webpdec

import (
	"errors"
	"math/bits"

	"github.com/staydown/staydown/internal/raster"
)

// This file decodes VP8L, the lossless bitstream of WebP, row by row. The package
// golang.org/x/image/vp8l keeps the whole picture and its transformed copy, 6 to 8
// bytes a pixel, and stops for neither a budget nor a context: 34 bytes are enough for
// 50 megapixels, 1.7 s and 318 MB. Here memory is bounded by the reach of
// back references, 2^20 pixels, whatever the size of the picture.

var errLossless = errors.New("webpdec: damaged VP8L data")

// bitReader reads bits, the lowest first. Behind the end it gives zeros, and
// remembers that it did.
type bitReader struct {
	data []byte
	bits uint64
	n    uint // valid bits
	over uint // bits given that were not there
}

// fill makes at least 32 bits valid.
func (r *bitReader) fill() {
	for r.n <= 56 {
		if len(r.data) == 0 {
			r.n += 8
			r.over += 8
			continue
		}
		r.bits |= uint64(r.data[0]) << r.n
		r.n += 8
		r.data = r.data[1:]
	}
}

func (r *bitReader) read(n uint) uint32 {
	if r.n < n {
		r.fill()
	}
	v := uint32(r.bits & (1<<n - 1))
	r.bits >>= n
	r.n -= n
	return v
}

// ended reports whether bits behind the end were used.
func (r *bitReader) ended() bool { return r.over > r.n }

// rootBits is how many bits of a prefix code are looked up at once.
const rootBits = 8

// code is a prefix code. The longest codes are decoded bit by bit.
type code struct {
	table   []uint16 // by the next bits: symbol<<4 | length; length 0: a longer one
	root    uint     // how many bits
	count   [16]uint16
	symbols []uint16 // by length, then by value
}

// one returns the symbol of a code of no bits.
func (c *code) one() (uint32, bool) { return uint32(c.table[0] >> 4), c.root == 0 }

func (c *code) next(r *bitReader) uint32 {
	if r.n < 16 {
		r.fill()
	}
	e := c.table[r.bits&(1<<c.root-1)]
	if n := uint(e & 15); n != 0 || c.root == 0 {
		r.bits >>= n
		r.n -= n
		return uint32(e >> 4)
	}
	return c.long(r)
}

// long decodes a code of more than rootBits bits.
func (c *code) long(r *bitReader) uint32 {
	value, first, index := 0, 0, 0
	for n := 1; n < len(c.count); n++ {
		value |= int(r.bits & 1)
		r.bits >>= 1
		r.n--
		k := int(c.count[n])
		if value-first < k {
			return uint32(c.symbols[index+value-first])
		}
		index += k
		first = (first + k) << 1
		value <<= 1
	}
	return 0 // not reached: codes are complete
}

// build makes the code for lengths. It must be complete, or of one symbol.
func (c *code) build(lengths []byte) bool {
	*c = code{symbols: c.symbols[:0]}
	last, used, longest := 0, 0, uint(0)
	for s, n := range lengths {
		if n > 0 {
			c.count[n]++
			last = s
			used++
			longest = max(longest, uint(n))
		}
	}
	if used <= 1 {
		c.table = []uint16{uint16(last) << 4}
		return used == 1
	}
	var offset [17]uint16
	left := 1
	for n := 1; n < 16; n++ {
		left = left<<1 - int(c.count[n])
		if left < 0 {
			return false
		}
		offset[n+1] = offset[n] + c.count[n]
	}
	if left != 0 {
		return false
	}
	c.symbols = make([]uint16, used)
	for s, n := range lengths {
		if n > 0 {
			c.symbols[offset[n]] = uint16(s)
			offset[n]++
		}
	}
	c.root = min(longest, rootBits)
	c.table = make([]uint16, 1<<c.root)
	value, index := 0, 0
	for n := uint(1); n <= c.root; n++ {
		for range c.count[n] {
			at := bits.Reverse16(uint16(value)) >> (16 - n)
			for i := int(at); i < len(c.table); i += 1 << n {
				c.table[i] = c.symbols[index]<<4 | uint16(n)
			}
			value++
			index++
		}
		value <<= 1
	}
	return true
}

// bytes is about how much memory the code takes.
func (c *code) bytes() int { return 2*len(c.table) + 2*len(c.symbols) + 100 }

// The five codes of a group.
const (
	green = iota
	red
	blue
	alpha
	distance
	nCodes
)

// group is a set of codes for one kind of area.
type group struct {
	codes [nCodes]code
	plain bool // a literal whose red, blue and alpha take no bits
	rest  uint32
	run   bool // the green code takes none either: all pixels are literal
}

const (
	nLiterals  = 256
	nLengths   = 24
	nDistances = 40
	maxCodes   = 64 << 20 // bytes for all codes of a picture
)

var lengthOrder = [19]byte{17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}

// lossless decodes one VP8L stream.
type lossless struct {
	bitReader
	work    *raster.Work
	memory  int  // of codes
	asFound *int // set by tests: the first symbol of a pair has the code 0; counts pairs where this differs
	lengths [nLiterals + nLengths + 1<<11]byte
}

// readCode reads a prefix code of n symbols; without keep it is only skipped.
func (d *lossless) readCode(c *code, n int, keep bool) error {
	lengths := d.lengths[:n]
	clear(lengths)
	var pair []uint32
	if d.read(1) != 0 {
		pair = d.readPair(lengths)
	} else if err := d.readLengths(lengths); err != nil {
		return err
	}
	if d.ended() {
		return errLossless
	}
	if err := d.work.Spend(int64(n)*3 + 200); err != nil {
		return err
	}
	if !keep {
		return nil
	}
	if !c.build(lengths) {
		return errLossless
	}
	if d.asFound != nil && len(pair) == 2 && pair[0] >= pair[1] {
		*d.asFound++
		c.root, c.table = 1, []uint16{uint16(pair[0])<<4 | 1, uint16(pair[1])<<4 | 1}
	}
	if d.memory += c.bytes(); d.memory > maxCodes {
		return raster.ErrBudget
	}
	return nil
}

// readPair reads a code of one or two symbols, and returns these. As libwebp does, it
// ignores a symbol that the alphabet lacks, gives the code 0 to the smaller symbol
// whatever the order in the file, and takes two equal symbols for one.
func (d *lossless) readPair(lengths []byte) []uint32 {
	two, wide := d.read(1) != 0, d.read(1) != 0
	s := d.read(1)
	if wide {
		s |= d.read(7) << 1
	}
	pair := []uint32{s}
	if two {
		pair = append(pair, d.read(8))
	}
	for _, s := range pair {
		if int(s) < len(lengths) {
			lengths[s] = 1
		}
	}
	return pair
}

// readLengths reads code lengths that are themselves coded.
func (d *lossless) readLengths(lengths []byte) error {
	var own [19]byte
	n := int(d.read(4)) + 4
	for _, s := range lengthOrder[:n] {
		own[s] = byte(d.read(3))
	}
	var c code
	if !c.build(own[:]) {
		return errLossless
	}
	most := len(lengths)
	if d.read(1) != 0 {
		k := 2 + 2*uint(d.read(3))
		if most = int(d.read(k)) + 2; most > len(lengths) {
			return errLossless
		}
	}
	before := byte(8)
	for i := 0; i < len(lengths) && most > 0; most-- {
		s := byte(c.next(&d.bitReader))
		if s < 16 {
			lengths[i] = s
			i++
			if s != 0 {
				before = s
			}
			continue
		}
		repeat, value := 0, byte(0)
		switch s {
		case 16:
			repeat, value = int(d.read(2))+3, before
		case 17:
			repeat = int(d.read(3)) + 3
		default:
			repeat = int(d.read(7)) + 11
		}
		if i+repeat > len(lengths) {
			return errLossless
		}
		for range repeat {
			lengths[i] = value
			i++
		}
	}
	return nil
}

// pixels decodes pixels of a width, row after row.
type pixels struct {
	w, h       int
	cost       int64 // of a pixel
	cache      []uint32
	cacheShift uint
	cached     int // pixels of buf that are in the cache already
	groups     []group
	areas      []uint16 // which group a tile has; nil: the first
	areaBits   uint
	areaWidth  int

	buf     []uint32 // the pixels from some pixel on
	n       int      // how many of buf are decoded
	start   int      // where in buf the next row begins
	dropped int      // pixels before buf
	x, y    int      // of the pixel at n
}

// window is how far back references reach, and maxLength how much one copies.
const (
	window    = 1 << 20
	maxLength = 4096
)

// open reads what is before the pixels: the size of the cache and the codes.
func (d *lossless) open(w, h int, main bool) (*pixels, error) {
	p := &pixels{w: w, h: h, cost: smallCost}
	if main {
		p.cost = pixelCost
	}
	cacheBits := uint(0)
	if d.read(1) != 0 {
		cacheBits = uint(d.read(4))
		if cacheBits < 1 || cacheBits > 11 {
			return nil, errLossless
		}
		p.cache, p.cacheShift = make([]uint32, 1<<cacheBits), 32-cacheBits
	}
	n, used := 1, []bool{true}
	if main && d.read(1) != 0 {
		if err := d.readAreas(p); err != nil {
			return nil, err
		}
		for _, a := range p.areas {
			n = max(n, int(a)+1)
		}
		used = make([]bool, n)
		for _, a := range p.areas {
			used[a] = true
		}
	}
	p.groups = make([]group, n)
	for i := range p.groups {
		g := &p.groups[i]
		for k, symbols := range [nCodes]int{nLiterals + nLengths, nLiterals, nLiterals, nLiterals, nDistances} {
			if k == green && cacheBits > 0 {
				symbols += 1 << cacheBits
			}
			if err := d.readCode(&g.codes[k], symbols, used[i]); err != nil {
				return nil, err
			}
		}
		if used[i] {
			g.prepare()
		}
	}
	p.buf = make([]uint32, min(w*h, 2*window+w+maxLength))
	return p, nil
}

// readAreas reads which group each tile has.
func (d *lossless) readAreas(p *pixels) error {
	p.areaBits = uint(d.read(3)) + 2
	p.areaWidth = ceilShift(p.w, p.areaBits)
	h := ceilShift(p.h, p.areaBits)
	p.areas = make([]uint16, 0, p.areaWidth*h)
	return d.small(p.areaWidth, h, func(row []uint32) {
		for _, v := range row {
			p.areas = append(p.areas, uint16(v>>8))
		}
	})
}

func ceilShift(v int, n uint) int { return (v + 1<<n - 1) >> n }

// small decodes a picture that is part of the header.
func (d *lossless) small(w, h int, row func([]uint32)) error {
	p, err := d.open(w, h, false)
	if err != nil {
		return err
	}
	for range h {
		r, fault, err := d.row(p)
		if err != nil {
			return err
		}
		if fault != raster.Sound || len(r) < w {
			return errLossless
		}
		row(r)
	}
	return nil
}

// prepare finds out whether literals take bits for green only, or none.
func (g *group) prepare() {
	r, ok1 := g.codes[red].one()
	b, ok2 := g.codes[blue].one()
	a, ok3 := g.codes[alpha].one()
	if g.plain = ok1 && ok2 && ok3; !g.plain {
		return
	}
	g.rest = a<<24 | r<<16 | b
	v, ok := g.codes[green].one()
	if g.run = ok && v < nLiterals; g.run {
		g.rest |= v << 8
	}
}

// pixelCost is the work for a pixel: decoding, undoing transforms and keeping it.
const pixelCost = 20

// smallCost is that for a pixel of a picture in the header, which nothing is done
// with but keeping it.
const smallCost = 6

// row returns the next row, which is good until the next call. It is short if the
// data end within it.
func (d *lossless) row(p *pixels) ([]uint32, raster.Fault, error) {
	if err := d.work.Spend(int64(p.w)*p.cost + 20); err != nil {
		return nil, raster.Budget, err
	}
	if p.start+p.w+maxLength > len(p.buf) {
		p.slide()
	}
	end := p.start + p.w
	fault := d.decodeTo(p, end)
	row := p.buf[p.start:max(p.start, min(p.n, end))]
	p.start = end
	return row, fault, nil
}

// slide makes room, where more pixels come than fit.
func (p *pixels) slide() {
	keep := p.start - window
	if keep <= 0 || p.dropped+len(p.buf) >= p.w*p.h {
		return
	}
	p.fillCache()
	copy(p.buf, p.buf[keep:p.n])
	p.dropped += keep
	p.n -= keep
	p.start -= keep
	p.cached = p.n
}

// fillCache enters pixels into the cache that are not there yet.
func (p *pixels) fillCache() {
	if p.cache == nil {
		return
	}
	for _, v := range p.buf[p.cached:p.n] {
		p.cache[v*0x1e35a7bd>>p.cacheShift] = v
	}
	p.cached = p.n
}

// decodeTo decodes pixels until those before end are there.
func (d *lossless) decodeTo(p *pixels, end int) raster.Fault {
	for p.n < end {
		g, stop := &p.groups[0], end
		if p.areas != nil {
			g = &p.groups[p.areas[p.y>>p.areaBits*p.areaWidth+p.x>>p.areaBits]]
			stop = min(end, p.n+1<<p.areaBits-p.x&(1<<p.areaBits-1), p.n+p.w-p.x)
		}
		before := p.n
		fault := d.stretch(p, g, stop)
		if d.ended() {
			p.n = before // what came last was not in the data
			return raster.Cut
		}
		for p.x += p.n - before; p.x >= p.w; p.x -= p.w {
			p.y++
		}
		if fault != raster.Sound {
			return fault
		}
	}
	return raster.Sound
}

// stretch decodes pixels of one group up to stop, or to the end of the first copy
// that goes beyond.
func (d *lossless) stretch(p *pixels, g *group, stop int) raster.Fault {
	if g.run {
		for i := range p.buf[p.n:stop] {
			p.buf[p.n+i] = g.rest
		}
		p.n = stop
		return raster.Sound
	}
	for p.n < stop {
		s := g.codes[green].next(&d.bitReader)
		switch {
		case s < nLiterals && g.plain:
			p.buf[p.n] = g.rest | s<<8
			p.n++
		case s < nLiterals:
			v := s << 8
			v |= g.codes[red].next(&d.bitReader) << 16
			v |= g.codes[blue].next(&d.bitReader)
			v |= g.codes[alpha].next(&d.bitReader) << 24
			p.buf[p.n] = v
			p.n++
		case s < nLiterals+nLengths:
			if !d.copy(p, g, s-nLiterals) {
				return raster.Data
			}
			if p.areas != nil {
				return raster.Sound // perhaps in another area
			}
		default:
			p.fillCache()
			i := int(s - nLiterals - nLengths)
			if i >= len(p.cache) {
				return raster.Data
			}
			p.buf[p.n] = p.cache[i]
			p.n++
		}
	}
	return raster.Sound
}

// copy repeats earlier pixels.
func (d *lossless) copy(p *pixels, g *group, symbol uint32) bool {
	length := int(d.amount(symbol))
	dist := p.distance(int(d.amount(g.codes[distance].next(&d.bitReader))))
	if dist > p.n {
		return false
	}
	length = min(length, p.w*p.h-p.dropped-p.n, len(p.buf)-p.n)
	out, in := p.buf[p.n:p.n+length], p.buf[p.n-dist:]
	if dist >= length {
		copy(out, in)
	} else {
		for i := range out {
			out[i] = in[i]
		}
	}
	p.n += length
	return true
}

// amount reads a length or a distance code.
func (d *lossless) amount(symbol uint32) uint32 {
	if symbol < 4 {
		return symbol + 1
	}
	extra := uint(symbol-2) >> 1
	return (2+symbol&1)<<extra + d.read(extra) + 1
}

// near are the distances that have the first codes, from the table of the format:
// 16 × the rows up, plus 8, less the columns to the left.
var near = [120]byte{
	0x18, 0x07, 0x17, 0x19, 0x28, 0x06, 0x27, 0x29, 0x16, 0x1a, 0x26, 0x2a, 0x38, 0x05, 0x37, 0x39,
	0x15, 0x1b, 0x36, 0x3a, 0x25, 0x2b, 0x48, 0x04, 0x47, 0x49, 0x14, 0x1c, 0x35, 0x3b, 0x46, 0x4a,
	0x24, 0x2c, 0x58, 0x45, 0x4b, 0x34, 0x3c, 0x03, 0x57, 0x59, 0x13, 0x1d, 0x56, 0x5a, 0x23, 0x2d,
	0x44, 0x4c, 0x55, 0x5b, 0x33, 0x3d, 0x68, 0x02, 0x67, 0x69, 0x12, 0x1e, 0x66, 0x6a, 0x22, 0x2e,
	0x54, 0x5c, 0x43, 0x4d, 0x65, 0x6b, 0x32, 0x3e, 0x78, 0x01, 0x77, 0x79, 0x53, 0x5d, 0x11, 0x1f,
	0x64, 0x6c, 0x42, 0x4e, 0x76, 0x7a, 0x21, 0x2f, 0x75, 0x7b, 0x31, 0x3f, 0x63, 0x6d, 0x52, 0x5e,
	0x00, 0x74, 0x7c, 0x41, 0x4f, 0x10, 0x20, 0x62, 0x6e, 0x30, 0x73, 0x7d, 0x51, 0x5f, 0x40, 0x72,
	0x7e, 0x61, 0x6f, 0x50, 0x71, 0x7f, 0x60, 0x70,
}

func (p *pixels) distance(code int) int {
	if code > len(near) {
		return code - len(near)
	}
	v := int(near[code-1])
	return max(1, v>>4*p.w+8-v&15)
}
