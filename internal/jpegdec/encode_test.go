package jpegdec

import (
	"encoding/binary"
	"math"
)

// encoder writes baseline files for tests, with what other encoders do not
// write: any number of components, any sampling factors, any order, and any
// colour model. It is neither fast nor small.
type encoder struct {
	width, height int
	comps         []encoded
	scans         [][]int // the components of each scan; nil: all in one
	interval      int     // of restart, in MCUs
	jfif          bool
	adobe         int // the transform of Adobe's marker; -1: no marker
	noTables      bool

	out  []byte
	acc  uint64
	bits int
	code [2]map[byte][2]uint32 // symbol → code, length
}

// encoded is a component. sample gives its value at a pixel of the picture.
type encoded struct {
	id, h, v byte
	sample   func(x, y int) float64
}

const quantizer = 2

func (e *encoder) encode() []byte {
	e.out = []byte{0xff, 0xd8}
	if e.jfif {
		e.segment(markerAPP0, []byte("JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"))
	}
	if e.adobe >= 0 {
		e.segment(markerAPP14, append([]byte("Adobe\x00\x64\x00\x00\x00\x00"), byte(e.adobe)))
	}
	q := []byte{0}
	for range 64 {
		q = append(q, quantizer)
	}
	e.segment(markerDQT, q)
	f := []byte{8}
	f = binary.BigEndian.AppendUint16(f, uint16(e.height))
	f = binary.BigEndian.AppendUint16(f, uint16(e.width))
	f = append(f, byte(len(e.comps)))
	for _, c := range e.comps {
		f = append(f, c.id, c.h<<4|c.v, 0)
	}
	e.segment(markerSOF0, f)
	for class := range 2 {
		k := annexK[class][0]
		e.code[class] = map[byte][2]uint32{}
		code, i := uint32(0), 0
		for n, count := range k.counts {
			for range count {
				e.code[class][k.symbols[i]] = [2]uint32{code, uint32(n + 1)}
				code++
				i++
			}
			code <<= 1
		}
		if !e.noTables {
			e.segment(markerDHT, append(append([]byte{byte(class << 4)}, k.counts[:]...), k.symbols...))
		}
	}
	if e.interval > 0 {
		e.segment(markerDRI, binary.BigEndian.AppendUint16(nil, uint16(e.interval)))
	}
	scans := e.scans
	if scans == nil {
		scans = [][]int{nil}
		for i := range e.comps {
			scans[0] = append(scans[0], i)
		}
	}
	for _, s := range scans {
		e.scan(s)
	}
	return append(e.out, 0xff, markerEnd)
}

func (e *encoder) segment(marker byte, body []byte) {
	e.out = append(e.out, 0xff, marker, byte((len(body)+2)>>8), byte(len(body)+2))
	e.out = append(e.out, body...)
}

func (e *encoder) scan(comps []int) {
	head := []byte{byte(len(comps))}
	hmax, vmax := 0, 0
	for _, c := range e.comps {
		hmax, vmax = max(hmax, int(c.h)), max(vmax, int(c.v))
	}
	for _, i := range comps {
		head = append(head, e.comps[i].id, 0)
	}
	e.segment(markerSOS, append(head, 0, 63, 0))
	cols, rows := ceil(e.width, 8*hmax), ceil(e.height, 8*vmax)
	alone := len(comps) == 1
	if alone {
		c := e.comps[comps[0]]
		cols, rows = ceil(e.width*int(c.h), 8*hmax), ceil(e.height*int(c.v), 8*vmax)
	}
	dc := map[int]int{}
	restarts := 0
	for m := range cols * rows {
		if e.interval > 0 && m > 0 && m%e.interval == 0 {
			e.flush()
			e.out = append(e.out, 0xff, byte(markerRST0+restarts%8))
			restarts++
			clear(dc)
		}
		for _, i := range comps {
			c := e.comps[i]
			h, v := int(c.h), int(c.v)
			if alone {
				h, v = 1, 1
			}
			for j := range h * v {
				dc[i] = e.block(c, (m%cols*h+j%h)*8, (m/cols*v+j/h)*8, float64(hmax)/float64(c.h), float64(vmax)/float64(c.v), dc[i])
			}
		}
	}
	e.flush()
}

// block writes the block at (x0, y0) of a component and returns its first
// coefficient.
func (e *encoder) block(c encoded, x0, y0 int, sx, sy float64, before int) int {
	var f [64]float64
	for i := range f {
		px := min(int((float64(x0+i%8)+0.5)*sx), e.width-1)
		py := min(int((float64(y0+i/8)+0.5)*sy), e.height-1)
		f[i] = c.sample(px, py) - 128
	}
	var t [64]int
	for v := range 8 {
		for u := range 8 {
			s := 0.0
			for y := range 8 {
				for x := range 8 {
					s += f[8*y+x] * math.Cos(float64((2*x+1)*u)*math.Pi/16) * math.Cos(float64((2*y+1)*v)*math.Pi/16)
				}
			}
			s /= 4
			if u == 0 {
				s *= math.Sqrt2 / 2
			}
			if v == 0 {
				s *= math.Sqrt2 / 2
			}
			t[8*v+u] = int(math.Round(s / quantizer))
		}
	}
	e.value(0, 0, t[0]-before)
	run := 0
	for k := 1; k < 64; k++ {
		v := t[zigzag[k]]
		if v == 0 {
			run++
			continue
		}
		for ; run > 15; run -= 16 {
			e.value(1, 15, 0)
		}
		e.value(1, run, v)
		run = 0
	}
	if run > 0 {
		e.value(1, 0, 0)
	}
	return t[0]
}

func (e *encoder) value(class, run, v int) {
	size, m := 0, max(v, -v)
	for ; m>>size != 0; size++ {
	}
	c := e.code[class][byte(run<<4|size)]
	e.put(c[0], int(c[1]))
	if v < 0 {
		v += 1<<size - 1
	}
	e.put(uint32(v), size)
}

func (e *encoder) put(v uint32, n int) {
	e.acc = e.acc<<n | uint64(v)
	for e.bits += n; e.bits >= 8; e.bits -= 8 {
		b := byte(e.acc >> (e.bits - 8))
		e.out = append(e.out, b)
		if b == 0xff {
			e.out = append(e.out, 0)
		}
	}
}

func (e *encoder) flush() {
	if e.bits > 0 {
		e.put(1<<(8-e.bits)-1, 8-e.bits)
	}
}
