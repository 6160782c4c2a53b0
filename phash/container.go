package phash

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/draw"
	"image/png"
)

// This file takes GIF, PNG and WebP files apart into frames that the decoders
// of still pictures can read, because those know no animated PNG or WebP, and
// decode a GIF's frames only all at once. Nothing here allocates by a length
// that a file states.

// openGIF finds the frames of a GIF. A frame as a file of its own is the header
// with the global colours, the frame's control block, the frame, and a trailer.
func openGIF(data []byte) (*file, error) {
	const header = 13
	if len(data) < header {
		return nil, damaged(FormatGIF, nil, "%d bytes, the header has %d", len(data), header)
	}
	f := &file{format: FormatGIF, orientation: 1,
		width: int(binary.LittleEndian.Uint16(data[6:])), height: int(binary.LittleEndian.Uint16(data[8:]))}
	pos := header + gifTable(data[10])
	if pos > len(data) {
		return nil, damaged(FormatGIF, nil, "ends within the colour table")
	}
	head := data[:pos]
	var control []byte
	for pos < len(data) && len(f.parts) <= mostFrames {
		start := pos
		switch data[pos] {
		case 0x21: // an extension
			end, ok := gifBlocks(data, pos+2)
			if !ok {
				return f.orCut("an extension")
			}
			if data[pos+1] == 0xf9 && end-start == 8 {
				control = data[start:end]
			}
			pos = end
		case 0x2c: // a frame
			if pos+10 > len(data) {
				return f.orCut("a frame's header")
			}
			le := binary.LittleEndian
			x, y := int(le.Uint16(data[pos+1:])), int(le.Uint16(data[pos+3:]))
			w, h := int(le.Uint16(data[pos+5:])), int(le.Uint16(data[pos+7:]))
			end, ok := gifBlocks(data, pos+10+gifTable(data[pos+9])+1)
			if !ok {
				return f.orCut("a frame")
			}
			p := part{rect: image.Rect(x, y, x+w, y+h), decode: decodeGIF}
			ctl, body := control, data[start:end]
			p.data = func() []byte { return bytes.Join([][]byte{head, ctl, body, {0x3b}}, nil) }
			if control != nil {
				switch control[3] >> 2 & 7 {
				case 2:
					p.dispose = disposeClear
				case 3:
					p.dispose = disposeRestore
				}
			}
			f.parts = append(f.parts, p)
			control = nil
			pos = end
		case 0x3b: // the trailer
			return f.orCut("the first frame")
		default:
			if len(f.parts) > 0 {
				return f, nil // junk behind the last frame, as viewers take it
			}
			return nil, damaged(FormatGIF, nil, "unknown block 0x%02x at byte %d", data[pos], pos)
		}
	}
	return f.orCut("the first frame")
}

// orCut returns f if it has a frame, and otherwise says that the file ended in
// what it needed.
func (f *file) orCut(in string) (*file, error) {
	if len(f.parts) == 0 {
		return nil, damaged(f.format, nil, "ends within or before %s", in)
	}
	return f, nil
}

// gifTable is the length of the colour table that a packed field announces.
func gifTable(packed byte) int {
	if packed&0x80 == 0 {
		return 0
	}
	return 3 << (packed&7 + 1)
}

// gifBlocks returns the end of the chain of data blocks at pos.
func gifBlocks(data []byte, pos int) (end int, ok bool) {
	for pos < len(data) {
		n := int(data[pos])
		pos += 1 + n
		if n == 0 {
			return pos, true
		}
	}
	return 0, false
}

// openPNG finds the picture, the orientation and the frames of a PNG. A frame
// of an animated PNG as a file of its own has the frame's size in the header
// and its data in IDAT chunks.
func openPNG(data []byte) (*file, error) {
	const sig = 8
	f := &file{format: FormatPNG, orientation: 1}
	var (
		header []byte   // the chunk IHDR
		shared [][]byte // the chunks PLTE and tRNS, as they are
		idat   [][]byte // the chunks IDAT, as they are
		frames []apngFrame
	)
	for pos := sig; pos+8 <= len(data); {
		n := binary.BigEndian.Uint32(data[pos:])
		if uint64(n) > uint64(len(data)-pos-8) {
			break // cut off; the decoder says so
		}
		end := min(pos+12+int(n), len(data))
		chunk, body := data[pos:end], data[pos+8:pos+8+int(n)]
		switch string(data[pos+4 : pos+8]) {
		case "IHDR":
			if header == nil && n >= 8 {
				header = body
				w, h := binary.BigEndian.Uint32(body), binary.BigEndian.Uint32(body[4:])
				if w > 1<<31-1 || h > 1<<31-1 {
					return nil, damaged(FormatPNG, nil, "size %d × %d", w, h)
				}
				f.width, f.height = int(w), int(h)
			}
		case "PLTE", "tRNS":
			shared = append(shared, chunk)
		case "eXIf":
			if f.orientation == 1 {
				f.orientation = exifOrientation(body)
			}
		case "fcTL":
			if n == 26 && len(frames) <= mostFrames {
				frames = append(frames, apngFrame{control: body, hidden: len(idat) > 0})
			}
		case "IDAT":
			idat = append(idat, chunk)
		case "fdAT":
			if k := len(frames) - 1; k >= 0 && n >= 4 {
				frames[k].data = append(frames[k].data, body[4:])
			}
		}
		pos = end
	}
	if header == nil {
		return nil, damaged(FormatPNG, nil, "no IHDR chunk")
	}
	f.parts = whole(f.width, f.height, data, png.Decode)
	// The picture itself is the first frame of the animation if a control chunk
	// came before it. Otherwise it is what viewers without animation show: it
	// stays the first here, and the animation starts from nothing.
	f.parts[0].dispose = disposeClear
	for i, a := range frames {
		p := &part{}
		switch {
		case i == 0 && !a.hidden:
			p = &f.parts[0]
		case len(a.data) == 0:
			continue
		default:
			f.parts = append(f.parts, part{decode: png.Decode})
			p = &f.parts[len(f.parts)-1]
			p.data = func() []byte { return a.file(header, shared) }
			p.rect = a.rect()
		}
		p.replace = a.control[25] == 0
		switch a.control[24] {
		case 0:
			p.dispose = disposeKeep
		case 1:
			p.dispose = disposeClear
		case 2:
			p.dispose = disposeRestore
		}
	}
	return f, nil
}

// apngFrame is one frame of an animated PNG.
type apngFrame struct {
	control []byte // of 26 bytes
	hidden  bool   // its control chunk came after the picture's own data
	data    [][]byte
}

func (a apngFrame) rect() image.Rectangle {
	be := binary.BigEndian
	w, h := int64(be.Uint32(a.control[4:])), int64(be.Uint32(a.control[8:]))
	x, y := int64(be.Uint32(a.control[12:])), int64(be.Uint32(a.control[16:]))
	if x+w > 1<<31-1 || y+h > 1<<31-1 {
		return image.Rectangle{}
	}
	return image.Rect(int(x), int(y), int(x+w), int(y+h))
}

func (a apngFrame) file(header []byte, shared [][]byte) []byte {
	h := bytes.Clone(header)
	copy(h, a.control[4:12]) // width and height
	out := []byte("\x89PNG\r\n\x1a\n")
	out = appendPNGChunk(out, "IHDR", h)
	for _, c := range shared {
		out = append(out, c...)
	}
	for _, d := range a.data {
		out = appendPNGChunk(out, "IDAT", d)
	}
	return appendPNGChunk(out, "IEND", nil)
}

func appendPNGChunk(b []byte, name string, body []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
	start := len(b)
	b = append(append(b, name...), body...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[start:]))
}

// openWebP finds the frames of a WebP. A frame as a file of its own is its
// chunks behind a RIFF header, with a VP8X chunk where it has an alpha plane.
func openWebP(data []byte) (*file, error) {
	f := &file{format: FormatWebP, orientation: 1}
	var canvasW, canvasH int
	still := false
	err := riffChunks(data[12:], func(name string, body []byte) bool {
		switch name {
		case "VP8X":
			if len(body) >= 10 && canvasW == 0 {
				canvasW, canvasH = uint24(body[4:])+1, uint24(body[7:])+1
			}
		case "VP8 ", "VP8L":
			if w, h, ok := webpSize(name, body); ok && !still {
				still = true
				f.width, f.height = w, h
				f.parts = whole(w, h, data, decodeWebP)
			}
		case "ANMF":
			if p, ok := webpFrame(body); ok && !still && len(f.parts) <= mostFrames {
				f.parts = append(f.parts, p)
			}
		case "EXIF":
			if f.orientation == 1 {
				f.orientation = exifOrientation(bytes.TrimPrefix(body, []byte("Exif\x00\x00")))
			}
		}
		return true
	})
	if len(f.parts) == 0 {
		return nil, damaged(FormatWebP, nil, "no picture in it%s", err)
	}
	if canvasW != 0 && (!still || int64(canvasW)*int64(canvasH) > int64(f.width)*int64(f.height)) {
		// The decoder makes an alpha plane by the canvas before it finds that a
		// still picture has another size: the larger of the two counts.
		f.width, f.height = canvasW, canvasH
	}
	return f, nil
}

// riffChunks calls f for each chunk of data. What it returns is empty, or says
// that the last chunk is cut off.
func riffChunks(data []byte, f func(name string, body []byte) bool) (cut string) {
	for len(data) >= 8 {
		n := uint64(binary.LittleEndian.Uint32(data[4:]))
		body := data[8:]
		if n > uint64(len(body)) {
			f(string(data[:4]), body)
			return ": its last chunk is cut off"
		}
		if !f(string(data[:4]), body[:n]) {
			return ""
		}
		data = body[min(uint64(len(body)), n+n%2):]
	}
	return ""
}

func uint24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

// webpSize reads the size in the header of a VP8 or VP8L chunk.
func webpSize(name string, body []byte) (w, h int, ok bool) {
	switch {
	case name == "VP8 " && len(body) >= 10:
		le := binary.LittleEndian
		return int(le.Uint16(body[6:]) & 0x3fff), int(le.Uint16(body[8:]) & 0x3fff), true
	case name == "VP8L" && len(body) >= 5:
		v := binary.LittleEndian.Uint32(body[1:])
		return int(v&0x3fff) + 1, int(v>>14&0x3fff) + 1, true
	}
	return 0, 0, false
}

// webpFrame reads an ANMF chunk.
func webpFrame(body []byte) (p part, ok bool) {
	const header = 16
	if len(body) < header {
		return p, false
	}
	x, y := 2*uint24(body), 2*uint24(body[3:])
	w, h := uint24(body[6:])+1, uint24(body[9:])+1
	p.rect = image.Rect(x, y, x+w, y+h)
	p.replace = body[15]&2 != 0
	if body[15]&1 != 0 {
		p.dispose = disposeClear
	}
	p.decode = decodeWebP
	var alpha, picture []byte
	var name string
	riffChunks(body[header:], func(n string, b []byte) bool {
		switch n {
		case "ALPH":
			alpha = b
		case "VP8 ", "VP8L":
			name, picture = n, b
			return false
		}
		return true
	})
	pw, ph, ok := webpSize(name, picture)
	if !ok || pw != w || ph != h {
		return p, false
	}
	p.data = func() []byte {
		out := []byte("RIFF\x00\x00\x00\x00WEBP")
		if alpha != nil && name == "VP8 " {
			x := make([]byte, 10)
			x[0] = 1 << 4 // has alpha
			copy(x[4:], body[6:12])
			out = appendRIFFChunk(out, "VP8X", x)
			out = appendRIFFChunk(out, "ALPH", alpha)
		}
		out = appendRIFFChunk(out, name, picture)
		binary.LittleEndian.PutUint32(out[4:], uint32(len(out)-8))
		return out
	}
	return p, true
}

func appendRIFFChunk(b []byte, name string, body []byte) []byte {
	b = binary.LittleEndian.AppendUint32(append(b, name...), uint32(len(body)))
	b = append(b, body...)
	if len(body)%2 == 1 {
		b = append(b, 0)
	}
	return b
}

// canvas is what the frames of an animation are drawn on.
type canvas struct {
	bounds image.Rectangle
	now    *image.NRGBA // nil until a frame needs it
}

// draw returns what is to be seen once img was drawn as p says. A single frame
// that fills the canvas is returned as it is.
func (c *canvas) draw(img image.Image, p *part, last bool) image.Image {
	if c.now == nil && last && p.rect == c.bounds {
		return img
	}
	if c.now == nil {
		c.now = image.NewNRGBA(c.bounds)
	}
	var before *image.NRGBA
	if p.dispose == disposeRestore {
		before = cloneNRGBA(c.now)
	}
	op := draw.Over
	if p.replace {
		op = draw.Src
	}
	draw.Draw(c.now, p.rect, img, img.Bounds().Min, op)
	shown := cloneNRGBA(c.now)
	switch p.dispose {
	case disposeClear:
		draw.Draw(c.now, p.rect, image.Transparent, image.Point{}, draw.Src)
	case disposeRestore:
		c.now = before
	}
	return shown
}

func cloneNRGBA(m *image.NRGBA) *image.NRGBA {
	n := *m
	n.Pix = bytes.Clone(m.Pix)
	return &n
}
