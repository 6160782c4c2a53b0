package jpegdec

import "fmt"

// zigzag is where a coefficient lies in a block. Indices above 63 occur in
// damaged files only; other decoders take them for 63, too.
var zigzag = func() (z [128]uint8) {
	x, y := 0, 0
	for k := range z {
		if k > 63 {
			z[k] = 63
			continue
		}
		z[k] = uint8(8*y + x)
		switch up := (x+y)%2 == 0; {
		case up && x == 7, !up && y != 7 && x == 0:
			y++
		case up && y == 0, !up && y == 7:
			x++
		case up:
			x, y = x+1, y-1
		default:
			x, y = x-1, y+1
		}
	}
	return z
}()

// scan is one scan of a file.
type scan struct {
	comps  []*component
	ss, se int  // the coefficients that it has
	ah, al uint // the bits of them that came before, and its own lowest one
	// The scan has rows of cols units, each with all its components: MCUs, or
	// blocks if it has only one component.
	cols, rows int
	blocks     int  // in a unit
	togo       int  // units up to the next restart
	restarts   int  // restarts so far
	eobRun     int  // blocks that are known to have no more coefficients
	lost       bool // no more data up to the next restart
	ended      bool // and none behind it
	unit       func(s *scan, x, y int)
	means      bool     // the means of blocks of luma and chroma can be compared
	quant      [3]int32 // of their first coefficients
}

// scan decodes a scan, or leaves it if nothing in it is wanted. An error is that
// of the context. A scan that makes no sense is skipped.
func (d *decoder) scan() error {
	d.r.marker = 0
	body, _ := d.r.segment()
	s, ok := d.scanHeader(body)
	if !ok {
		d.damage.Faults |= BadScan
		return nil
	}
	wanted := false
	for _, c := range s.comps {
		wanted = wanted || c.wanted
	}
	if !wanted || d.size == 1 && s.ss > 0 {
		return nil
	}
	for _, c := range s.comps {
		if !d.prepareComponent(c, s) {
			d.damage.Faults |= BadScan
			return nil
		}
	}
	s.cols, s.rows, s.blocks = s.comps[0].bw, s.comps[0].bh, 1
	if len(s.comps) > 1 {
		s.cols, s.rows, s.blocks = ceil(d.head.Width, 8*d.hmax), ceil(d.head.Height, 8*d.vmax), 0
		for _, c := range s.comps {
			s.blocks += c.h * c.v
		}
	}
	if err := d.ctx.Err(); err != nil {
		return fmt.Errorf("jpegdec: %w", err)
	}
	for _, c := range s.comps {
		for k := s.ss; k <= s.se; k++ {
			c.low[k] = uint8(s.al)
		}
	}
	switch {
	case !d.head.Progressive:
		s.unit = d.sequentialUnit
	case s.ss == 0 && s.ah == 0:
		s.unit = d.firstDC
	case s.ss == 0:
		s.unit = d.refineDC
	case s.ah == 0:
		s.unit = d.firstAC
	default:
		s.unit = d.refineAC
	}
	d.started = true
	d.prepareMeans(s)
	return d.units(s)
}

// scanHeader reads the header of a scan.
func (d *decoder) scanHeader(b []byte) (*scan, bool) {
	if len(b) < 1 || b[0] < 1 || b[0] > 4 || len(b) < 4+2*int(b[0]) {
		return nil, false
	}
	s := &scan{}
	for i := range int(b[0]) {
		id, tables := b[1+2*i], b[2+2*i]
		c := d.component(id, s.comps)
		if c == nil {
			return nil, false
		}
		c.ids = [2]byte{tables >> 4, tables & 15}
		s.comps = append(s.comps, c)
	}
	if !d.head.Progressive {
		s.se = 63
		return s, true
	}
	b = b[1+2*len(s.comps):]
	s.ss, s.se, s.ah, s.al = int(b[0]), int(b[1]), uint(b[2]>>4), uint(b[2]&15)
	switch {
	case s.ss == 0 && s.se != 0,
		s.ss > s.se || s.se > 63,
		s.ss > 0 && len(s.comps) != 1,
		s.ah != 0 && s.al != s.ah-1,
		s.al > 13:
		return nil, false
	}
	return s, true
}

// component returns the first component with that identifier that is not in the
// scan yet. More than one may have the same.
func (d *decoder) component(id byte, have []*component) *component {
next:
	for i := range d.comps {
		c := &d.comps[i]
		if c.id != id {
			continue
		}
		for _, h := range have {
			if h == c {
				continue next
			}
		}
		return c
	}
	return nil
}

// prepareComponent takes the memory and the quantizers of a component, which
// are those at its first scan.
func (d *decoder) prepareComponent(c *component, s *scan) bool {
	c.dc = 0
	c.tables = [2]*huffman{d.table(0, c.ids[0]), d.table(1, c.ids[1])}
	if !c.wanted {
		return true
	}
	if !c.known {
		if c.tq > 3 || d.quant[c.tq] == nil {
			return false
		}
		for k, q := range d.quant[c.tq] {
			c.quant[zigzag[k]] = int32(q)
		}
		c.known = true
	}
	d.allocate(c)
	return true
}

// units decodes all units of a scan.
func (d *decoder) units(s *scan) error {
	s.togo = d.interval
	d.r.start()
	total := s.cols * s.rows
	if s.refines() {
		d.damage.fine += int64(total)
	}
	x, y := 0, 0
	spent := scanCost
	for m := 0; m < total; {
		if spent += s.blocks; spent > 1<<12 {
			if err := d.ctx.Err(); err != nil {
				return fmt.Errorf("jpegdec: %w", err)
			}
			d.budget -= int64(spent)
			if spent = 0; d.budget <= 0 {
				d.damage.Faults |= OverBudget
				d.missing(s, m, total)
				return nil
			}
		}
		if d.interval > 0 && s.togo == 0 {
			d.restart(s)
		}
		if s.ended {
			d.missing(s, m, total)
			break
		}
		n := 1
		switch {
		case s.lost:
			n = s.untilRestart(d.interval, total-m)
			d.missing(s, m, m+n)
		case s.eobRun > 0 && s.ah == 0:
			n = s.untilRestart(d.interval, min(total-m, s.eobRun))
			s.eobRun -= n
		default:
			s.unit(s, x, y)
			if s.means {
				d.compare(s)
			}
			if d.r.exhausted() {
				s.lost = true
				d.missing(s, m, m+1)
			}
		}
		s.togo -= n
		m += n
		if x += n; x >= s.cols {
			x, y = m%s.cols, m/s.cols
		}
	}
	d.budget -= int64(spent)
	if d.r.left() {
		d.damage.Faults |= Surplus
	}
	return nil
}

// scanCost is what a scan costs besides its blocks, for its tables, in blocks.
const scanCost = 256

// refines reports whether the scan makes finer what an earlier one gave.
func (s *scan) refines() bool { return s.ss > 0 || s.ah > 0 }

// untilRestart returns n, or the number of units up to the next restart if that
// is less.
func (s *scan) untilRestart(interval, n int) int {
	if interval > 0 {
		n = min(n, s.togo)
	}
	return n
}

// restart goes to the next restart marker. The rules are those of libjpeg: where
// the marker is not the expected one, units were lost, or markers.
func (d *decoder) restart(s *scan) {
	r := &d.r
	if r.left() {
		d.damage.Faults |= Surplus
	}
	expected := s.restarts & 7
	s.restarts++
	s.togo = d.interval
	s.eobRun = 0
	for _, c := range s.comps {
		c.dc = 0
	}
resync:
	for {
		m := r.next()
		n := int(m) - markerRST0
		switch {
		case n == expected:
			r.marker = 0
			break resync
		case m < markerSOF0: // reserved: skip it
		case n < 0 || n > 7: // it belongs to what follows the scan
			s.ended = s.lost
			break resync
		case n == (expected+1)&7, n == (expected+2)&7: // units are missing: this one has no data
			d.damage.Faults |= BadRestart
			break resync
		case n == (expected-1)&7, n == (expected-2)&7: // an old one
		default: // taken for the expected one
			d.damage.Faults |= BadRestart
			r.marker = 0
			break resync
		}
		d.damage.Faults |= BadRestart
		r.marker = 0
	}
	if r.marker == 0 {
		s.lost = false
	}
	r.start()
}

// sequentialUnit decodes a unit of a baseline or extended file.
func (d *decoder) sequentialUnit(s *scan, x, y int) {
	if len(s.comps) == 1 {
		d.sequentialBlock(s.comps[0], x, y)
		return
	}
	for _, c := range s.comps {
		if !c.wanted {
			for range c.h * c.v {
				d.r.skipBlock(c)
			}
			continue
		}
		for j := range c.v {
			for i := range c.h {
				d.sequentialBlock(c, x*c.h+i, y*c.v+j)
			}
		}
	}
}

func (d *decoder) sequentialBlock(c *component, x, y int) {
	stride := c.stride(d.size)
	dst := c.plane[y*d.size*stride+x*d.size:]
	if d.size == 1 {
		d.r.skipBlock(c)
		dst[0] = flat(int32(int16(int32(int16(c.dc)) * c.quant[0])))
		return
	}
	var b block
	mask := d.r.block(&b, c)
	d.transform(&b, mask, dst, stride)
}

// block reads the coefficients of a block of a baseline file and multiplies them
// by their quantizers. b must be zero. It returns which coefficients are not.
func (r *bitReader) block(b *block, c *component) (mask uint64) {
	if r.pos > r.low {
		r.more()
	}
	r.first(c)
	b[0] = int32(int16(int32(int16(c.dc)) * c.quant[0]))
	sizes := b[0] ^ b[0]>>31
	ac, q := c.tables[1], &c.quant
	acc, n, pos := r.acc, r.n, r.pos
	k := 1
	for k < 64 {
		if n < 32 {
			acc |= load(r.buf[pos:]) >> (n & 63)
			pos += (63 - n) >> 3
			n |= 56
		}
		e := ac.fast[acc>>(64-fastBits)]
		var v int32
		switch {
		case e&entryEnd != 0:
			acc <<= e & 63
			n -= int(e & 63)
			r.acc, r.n, r.pos = acc, n, pos
			return mask | wideOf(sizes)
		case e != entrySlow:
			acc <<= e & 63
			n -= int(e & 63)
			k += int(e >> 8 & 15)
			v = int32(e) >> 16
		default:
			r.acc, r.n, r.pos = acc, n, pos
			s := r.symbol(ac)
			run, size := int(s>>4), int(s&15)
			if size == 0 && run != 15 {
				return mask | wideOf(sizes)
			}
			v = r.value(size)
			k += run
			acc, n, pos = r.acc, r.n, r.pos
		}
		z := zigzag[k&127]
		v = int32(int16(v * q[z&63]))
		b[z&63] = v
		sizes |= v ^ v>>31
		mask |= 1 << (z & 63)
		k++
	}
	r.acc, r.n, r.pos = acc, n, pos
	r.bad = r.bad || k > 64
	return mask | wideOf(sizes)
}

// first reads the first coefficient of a block.
func (r *bitReader) first(c *component) {
	if r.n < 32 {
		r.refill()
	}
	e := c.tables[0].fast[r.acc>>(64-fastBits)]
	switch {
	case e&entryEnd != 0: // no difference, or one that no table can have
		r.acc <<= e & 63
		r.n -= int(e & 63)
	case e != entrySlow:
		r.acc <<= e & 63
		r.n -= int(e & 63)
		c.dc += int32(e) >> 16
	default:
		c.dc += r.value(int(r.symbol(c.tables[0]) & 15))
	}
}

// skipBlock reads a block of a baseline file of which only the first coefficient
// counts.
func (r *bitReader) skipBlock(c *component) {
	if r.pos > r.low {
		r.more()
	}
	r.first(c)
	ac := c.tables[1]
	acc, n, pos := r.acc, r.n, r.pos
	k := 1
	for k < 64 {
		if n < 32 {
			acc |= load(r.buf[pos:]) >> (n & 63)
			pos += (63 - n) >> 3
			n |= 56
		}
		e := uint32(ac.skip[acc>>(64-fastBits)])
		count := int(e >> 8 & 0x7f)
		if e == 0 || k+count >= 64 { // one code at a time
			e = ac.fast[acc>>(64-fastBits)]
			if e == entrySlow {
				r.acc, r.n, r.pos = acc, n, pos
				s := r.symbol(ac)
				run, size := int(s>>4), int(s&15)
				if size == 0 && run != 15 {
					return
				}
				r.bits(size)
				k += run + 1
				acc, n, pos = r.acc, r.n, r.pos
				continue
			}
			count = int(e>>8&15) + 1
		}
		acc <<= e & 63
		n -= int(e & 63)
		k += count
		if e&entryEnd != 0 {
			break
		}
	}
	r.acc, r.n, r.pos = acc, n, pos
}
