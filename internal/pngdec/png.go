// Package pngdec reads PNG and APNG files as tolerantly as browsers do: wrong
// checksums, ends and ancillary chunks do no harm, and of data that are cut or
// damaged the rows before the fault are kept. It keeps one row at a time.
package pngdec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"time"

	"github.com/staydown/staydown/internal/raster"
)

// Signature is what every PNG begins with.
const Signature = "\x89PNG\r\n\x1a\n"

// The errors of a file of which nothing can be shown.
var (
	ErrHeader  = errors.New("pngdec: no valid IHDR chunk")
	ErrPalette = errors.New("pngdec: no valid palette")
	ErrData    = errors.New("pngdec: no picture data")
)

// maxWidth bounds the memory for a row: 8 MiB.
const maxWidth = 1 << 20

// The colour types.
const (
	grey      = 0
	colour    = 2
	palette   = 3
	greyAlpha = 4
	fullAlpha = 6
)

// header is what IHDR says.
type header struct {
	width, height int
	depth, kind   byte
	interlaced    bool
}

// decoder is a PNG taken apart.
type decoder struct {
	header
	colours [256][4]byte // of the palette, with transparency
	table   bool         // PLTE was there
	nTable  int
	key     [3]uint16 // the colour that is transparent
	hasKey  bool

	in   inflater
	rows rowReader
}

// chunk is one chunk of a file.
type chunk struct {
	name string
	body []byte
	sum  bool // its checksum is right
	cut  bool // the file ends within it
}

// next returns the chunk at the beginning of data, and what is behind it. ok is
// false if there is none.
func next(data []byte) (c chunk, rest []byte, ok bool) {
	if len(data) < 8 {
		return c, nil, false
	}
	n := uint64(binary.BigEndian.Uint32(data))
	if n > 1<<31-1 {
		return c, nil, false
	}
	c.name = string(data[4:8])
	if n+12 > uint64(len(data)) {
		c.body, c.cut = data[8:min(uint64(len(data)), 8+n)], true
		return c, nil, true
	}
	c.body = data[8 : 8+n]
	return c, data[12+n:], true
}

// checked reports whether the checksum of the chunk at the beginning of data is
// right.
func checked(data []byte, body int) bool {
	return len(data) >= 12+body && crc32.ChecksumIEEE(data[4:8+body]) == binary.BigEndian.Uint32(data[8+body:])
}

// Open takes a PNG apart. Of an animated one, the frames are those that viewers
// show.
func Open(data []byte) (*raster.File, error) {
	if len(data) < len(Signature) || string(data[:len(Signature)]) != Signature {
		return nil, ErrHeader
	}
	data = data[len(Signature):]
	first, rest, ok := next(data)
	if !ok || first.name != "IHDR" || first.cut || !checked(data, len(first.body)) {
		return nil, ErrHeader
	}
	d := new(decoder)
	if err := d.header.read(first.body); err != nil {
		return nil, err
	}
	f := &raster.File{Width: d.width, Height: d.height}
	p := parser{decoder: d, file: f}
	if err := p.chunks(rest); err != nil {
		return nil, err
	}
	if d.kind == palette && !d.table {
		return nil, ErrPalette
	}
	p.frames()
	return f, nil
}

func (h *header) read(b []byte) error {
	if len(b) != 13 {
		return ErrHeader
	}
	w, ht := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	if w == 0 || ht == 0 || w > maxWidth || ht > 1<<31-1 {
		return fmt.Errorf("%w: size %d × %d", ErrHeader, w, ht)
	}
	h.width, h.height = int(w), int(ht)
	h.depth, h.kind = b[8], b[9]
	valid := false
	switch h.kind {
	case grey:
		valid = h.depth == 1 || h.depth == 2 || h.depth == 4 || h.depth == 8 || h.depth == 16
	case palette:
		valid = h.depth == 1 || h.depth == 2 || h.depth == 4 || h.depth == 8
	case colour, greyAlpha, fullAlpha:
		valid = h.depth == 8 || h.depth == 16
	}
	if !valid || b[10] != 0 || b[11] != 0 || b[12] > 1 {
		return fmt.Errorf("%w: colour type %d, depth %d, methods %d %d %d", ErrHeader, h.kind, h.depth, b[10], b[11], b[12])
	}
	h.interlaced = b[12] == 1
	return nil
}

// parser walks over the chunks behind IHDR.
type parser struct {
	*decoder
	file     *raster.File
	idat     [][]byte
	ended    bool // another chunk came behind IDAT
	animated bool // acTL announced frames
	control  []control
	sequence uint32 // the number of the next chunk of the animation
	odd      bool   // something is wrong with the animation
}

// control is a frame of an animation.
type control struct {
	body  []byte // of fcTL: 26 bytes
	still bool   // its data are in IDAT
	data  [][]byte
}

func (p *parser) chunks(data []byte) error {
	for {
		c, rest, ok := next(data)
		if !ok {
			p.fault(raster.Structure) // no IEND
			return nil
		}
		c.sum = !c.cut && checked(data, len(c.body))
		if !c.sum {
			p.fault(raster.Structure)
		}
		if c.name == "IEND" {
			return nil
		}
		if c.name != "IDAT" && len(p.idat) > 0 {
			p.ended = true
		}
		if err := p.chunk(c); err != nil {
			return err
		}
		data = rest
	}
}

func (p *parser) fault(f raster.Fault) { p.file.Fault = max(p.file.Fault, f) }

func (p *parser) chunk(c chunk) error {
	before := len(p.idat) == 0 // before the picture's data
	switch c.name {
	case "PLTE":
		if p.kind == palette && before {
			return p.setPalette(c.body)
		}
	case "tRNS":
		if before && c.sum {
			p.setTransparency(c.body)
		}
	case "eXIf":
		if before && p.file.EXIF == nil {
			p.file.EXIF = c.body
		}
	case "acTL":
		if before && c.sum && len(c.body) >= 8 && binary.BigEndian.Uint32(c.body) > 0 {
			p.animated = true
		}
	case "fcTL":
		p.odd = !p.inSequence(c.body) || p.odd || !c.sum || len(c.body) != 26
		if p.file.More = p.file.More || len(p.control) == raster.MaxFrames; len(c.body) == 26 && !p.file.More {
			p.control = append(p.control, control{body: c.body, still: before})
		}
	case "IDAT":
		if !p.ended {
			p.idat = append(p.idat, c.body)
		}
	case "fdAT":
		p.odd = !p.inSequence(c.body) || p.odd // its checksum does not matter
		if k := len(p.control) - 1; k >= 0 && len(c.body) >= 4 {
			p.control[k].data = append(p.control[k].data, c.body[4:])
		}
	}
	return nil
}

// inSequence reports whether a chunk of an animation has the next number.
func (p *parser) inSequence(b []byte) bool {
	n := p.sequence
	p.sequence++
	return len(b) >= 4 && binary.BigEndian.Uint32(b) == n
}

func (p *parser) setPalette(b []byte) error {
	if p.table || len(b) < 3 || len(b) > 3*256+2 {
		return ErrPalette
	}
	p.table, p.nTable = true, len(b)/3
	for i := range p.colours { // an index beyond the palette has its last colour
		k := 3 * min(i, p.nTable-1)
		p.colours[i] = [4]byte{b[k], b[k+1], b[k+2], 0xff}
	}
	return nil
}

func (p *parser) setTransparency(b []byte) {
	switch {
	case p.kind == palette && p.table && len(b) <= p.nTable:
		for i, a := range b {
			p.colours[i][3] = a
		}
		if len(b) == p.nTable && len(b) > 0 {
			for i := p.nTable; i < len(p.colours); i++ {
				p.colours[i][3] = b[len(b)-1]
			}
		}
	case p.kind == grey && len(b) == 2, p.kind == colour && len(b) == 6:
		mask := uint16(1)<<p.depth - 1
		for i := range len(b) / 2 {
			p.key[i] = binary.BigEndian.Uint16(b[2*i:]) & mask
		}
		p.hasKey = true
	}
}

// frames finds out what viewers show: the still picture, or the animation. Where
// something is wrong with the animation, some show the one and some the other, so
// both are given.
func (p *parser) frames() {
	still := false
	if p.animated {
		for _, c := range p.control {
			if c.still {
				c.data, still = p.idat, true
			}
			if fr, ok := p.frame(c); ok {
				p.file.Frames = append(p.file.Frames, fr)
			} else {
				p.odd = true
			}
		}
		if p.odd {
			p.fault(raster.Structure)
		}
	}
	if n := len(p.file.Frames); n == 0 || p.odd && !still && len(p.idat) > 0 {
		fr := p.part(p.width, p.height, p.idat)
		fr.Replace, fr.Dispose = true, raster.Clear
		p.file.Frames = append([]raster.Frame{fr}, p.file.Frames...)
	}
}

// part is a frame of that size at the origin, from those data.
func (p *parser) part(w, h int, data [][]byte) raster.Frame {
	d := p.decoder
	return raster.Frame{
		Rect: image.Rect(0, 0, w, h), Gray: d.kind == grey && !d.hasKey, Random: d.interlaced,
		Cost: d.cost(w, h),
		Decode: func(t *raster.Target, work *raster.Work) (raster.Fault, error) {
			return d.decode(t, work, data)
		},
	}
}

// frame is an animation's frame. ok is false if it is none, or lies outside the
// canvas: viewers skip it.
func (p *parser) frame(c control) (fr raster.Frame, ok bool) {
	be := binary.BigEndian
	w, h := int64(be.Uint32(c.body[4:])), int64(be.Uint32(c.body[8:]))
	x, y := int64(be.Uint32(c.body[12:])), int64(be.Uint32(c.body[16:]))
	if w == 0 || h == 0 || x+w > int64(p.width) || y+h > int64(p.height) || len(c.data) == 0 {
		return fr, false
	}
	fr = p.part(int(w), int(h), c.data)
	fr.Rect = fr.Rect.Add(image.Pt(int(x), int(y)))
	num, den := int64(be.Uint16(c.body[20:])), int64(be.Uint16(c.body[22:]))
	if den == 0 {
		den = 100
	}
	fr.Delay = time.Duration(num) * time.Second / time.Duration(den)
	switch c.body[24] {
	case 1:
		fr.Dispose = raster.Clear
	case 2:
		fr.Dispose = raster.Restore
		if len(p.file.Frames) == 0 {
			fr.Dispose = raster.Clear // there is nothing to restore
		}
	}
	fr.Replace = c.body[25] == 0
	return fr, true
}
