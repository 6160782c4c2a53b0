// Package gifdec reads GIF files as tolerantly as browsers do: screens that are
// smaller than their frames, data that are too long, too short or damaged, and
// missing ends do no harm to what can be seen.
package gifdec

import (
	"encoding/binary"
	"errors"
	"image"
	"time"

	"github.com/staydown/staydown/internal/raster"
)

// The errors of a file, or of a frame, of which nothing can be shown.
var (
	ErrHeader = errors.New("gifdec: no header of GIF87a or GIF89a")
	ErrFrame  = errors.New("gifdec: no frame")
	ErrTable  = errors.New("gifdec: a frame without colours")
	ErrCode   = errors.New("gifdec: LZW code size outside 1 to 8")
	ErrData   = errors.New("gifdec: no picture data")
)

// control is what a graphic control extension says of the next frame.
type control struct {
	delay       time.Duration
	dispose     raster.Disposal
	transparent int // a colour index, -1 for none
}

// parser walks over the blocks of a file.
type parser struct {
	file   *raster.File
	global []byte // the global colour table
	next   control
	lzw    *lzw
}

// Open takes a GIF apart.
func Open(data []byte) (*raster.File, error) {
	const header = 13
	if len(data) < header || string(data[:6]) != "GIF87a" && string(data[:6]) != "GIF89a" {
		return nil, ErrHeader
	}
	le := binary.LittleEndian
	p := parser{file: &raster.File{Width: int(le.Uint16(data[6:])), Height: int(le.Uint16(data[8:]))}, lzw: new(lzw)}
	p.next.transparent = -1
	rest := data[header:]
	if n := tableSize(data[10]); n > 0 {
		p.global = rest[:min(n, len(rest))]
		rest = rest[len(p.global):]
	}
	p.blocks(rest)
	if len(p.file.Frames) == 0 {
		return nil, ErrFrame
	}
	// Browsers widen the screen to the first frame, and to no other.
	first := p.file.Frames[0].Rect
	p.file.Width = max(p.file.Width, first.Max.X)
	p.file.Height = max(p.file.Height, first.Max.Y)
	return p.file, nil
}

// tableSize is the length of the colour table that a packed field announces.
func tableSize(packed byte) int {
	if packed&0x80 == 0 {
		return 0
	}
	return 3 << (packed&7 + 1)
}

func (p *parser) blocks(data []byte) {
	for {
		if len(data) == 0 {
			p.file.Fault = raster.Structure // no trailer
			return
		}
		switch data[0] {
		case 0x21: // an extension
			if len(data) < 3 {
				p.file.Fault = raster.Structure
				return
			}
			if data[1] == 0xf9 && data[2] >= 4 && len(data) >= 7 {
				p.control(data[3:7])
			}
			_, data = chain(data[2:])
		case 0x2c: // a frame
			if len(p.file.Frames) == raster.MaxFrames {
				p.file.More = true
				return
			}
			const header = 10
			if len(data) < header {
				p.file.Fault = raster.Cut
				return
			}
			data = p.frame(data[1:header], data[header:])
		case 0x3b: // the trailer
			return
		default:
			p.file.Fault = raster.Structure
			return
		}
	}
}

func (p *parser) control(b []byte) {
	p.next = control{transparent: -1, delay: time.Duration(binary.LittleEndian.Uint16(b[1:])) * 10 * time.Millisecond}
	switch b[0] >> 2 & 7 {
	case 2:
		p.next.dispose = raster.Clear
	case 3, 4: // 4 was written by mistake and is read as it was meant
		p.next.dispose = raster.Restore
	}
	if b[0]&1 != 0 {
		p.next.transparent = int(b[3])
	}
}

// chain splits data behind a chain of blocks.
func chain(data []byte) (blocks, rest []byte) {
	pos := 0
	for pos < len(data) {
		n := int(data[pos])
		pos += 1 + n
		if n == 0 {
			break
		}
	}
	pos = min(pos, len(data))
	return data[:pos], data[pos:]
}

// frame takes the frame whose header is h, and returns what is behind it.
func (p *parser) frame(h, data []byte) []byte {
	le := binary.LittleEndian
	x, y := int(le.Uint16(h)), int(le.Uint16(h[2:]))
	fw, fh := int(le.Uint16(h[4:])), int(le.Uint16(h[6:]))
	table := p.global
	if n := tableSize(h[8]); n > 0 {
		table = data[:min(n, len(data))]
		data = data[len(table):]
	}
	var size byte
	if len(data) > 0 {
		size, data = data[0], data[1:]
	}
	blocks, rest := chain(data)
	c := p.next
	p.next = control{transparent: -1}
	if fw == 0 || fh == 0 {
		p.file.Fault = max(p.file.Fault, raster.Structure)
		return rest
	}
	interlaced := h[8]&0x40 != 0
	d := frame{table: table, transparent: c.transparent, size: size, blocks: blocks, interlaced: interlaced, lzw: p.lzw}
	p.file.Frames = append(p.file.Frames, raster.Frame{
		Rect: image.Rect(x, y, x+fw, y+fh), Delay: c.delay, Dispose: c.dispose, Random: interlaced,
		Cost: int64(fw)*int64(fh)*pixelCost + 1000, Decode: d.decode,
	})
	return rest
}

// pixelCost is the work for a pixel: decoding and keeping it.
const pixelCost = 12

// frame is one frame, not yet decoded.
type frame struct {
	table       []byte
	transparent int
	size        byte // the LZW code size
	blocks      []byte
	interlaced  bool
	lzw         *lzw
}

// rowPass is one pass over the rows of an interlaced frame: its rows, and how many
// rows each stands for until the later passes came.
type rowPass struct{ first, step, height int }

var (
	interlace = []rowPass{{0, 8, 8}, {4, 8, 4}, {2, 4, 2}, {1, 2, 1}}
	inOrder   = []rowPass{{0, 1, 1}}
)

func (f *frame) decode(t *raster.Target, w *raster.Work) (raster.Fault, error) {
	switch {
	case len(f.table) < 3:
		return raster.Data, ErrTable
	case f.size < 1 || f.size > 8:
		return raster.Data, ErrCode
	}
	var colours [256][4]byte
	for i := range colours {
		colours[i] = [4]byte{0, 0, 0, 0xff} // an index beyond the table is black
	}
	for i := range len(f.table) / 3 {
		colours[i] = [4]byte{f.table[3*i], f.table[3*i+1], f.table[3*i+2], 0xff}
	}
	if f.transparent >= 0 {
		colours[f.transparent] = [4]byte{}
	}
	f.lzw.start(f.size, f.blocks)
	passes := inOrder
	if f.interlaced {
		passes = interlace
	}
	indices, out := make([]byte, t.Width), make([]byte, 4*t.Width)
	any := false
	for _, p := range passes {
		for y := p.first; y < t.Height; y += p.step {
			if err := w.Spend(int64(t.Width)*pixelCost + 20); err != nil {
				return raster.Stopped(err)
			}
			n, fault := f.lzw.read(indices)
			for i, v := range indices[:n] {
				*(*[4]byte)(out[4*i:]) = colours[v]
			}
			if n > 0 {
				any = true
				t.Pass(0, 1, y, 1, p.height, out[:4*n])
			}
			if fault != raster.Sound {
				if !any {
					return fault, ErrData
				}
				return fault, nil
			}
		}
	}
	return raster.Sound, nil
}
