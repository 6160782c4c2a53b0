// Package webpdec reads WebP files as tolerantly as browsers do: flags that do not
// fit the chunks, and frames that say another size than their data, do no harm. It
// decodes the lossless bitstream itself and the lossy one with
// golang.org/x/image/vp8.
package webpdec

import (
	"encoding/binary"
	"errors"
	"image"
	"time"

	"github.com/staydown/staydown/internal/raster"
)

// The errors of a file, or of a frame, of which nothing can be shown.
var (
	ErrHeader = errors.New("webpdec: no RIFF header of WebP")
	ErrFrame  = errors.New("webpdec: no picture")
	ErrData   = errors.New("webpdec: damaged picture data")
)

// bitstream is the chunks of one picture.
type bitstream struct {
	name        string // "VP8 " or "VP8L"
	body, alpha []byte
	w, h        int
}

// Open takes a WebP apart.
func Open(data []byte) (*raster.File, error) {
	if len(data) < 12 || string(data[:4]) != "RIFF" || string(data[8:12]) != "WEBP" {
		return nil, ErrHeader
	}
	p := parser{file: new(raster.File)}
	chunks(data[12:], p.chunk)
	switch {
	case len(p.file.Frames) > 0 && (p.animated || p.still.body == nil):
		if p.w == 0 {
			p.w, p.h = p.file.Frames[0].Rect.Max.X, p.file.Frames[0].Rect.Max.Y
		}
		p.file.Width, p.file.Height = p.w, p.h
	case p.still.body != nil:
		s := p.still
		if !p.alpha {
			s.alpha = nil
		}
		p.file.Width, p.file.Height = s.w, s.h
		p.file.Frames = []raster.Frame{s.frame()}
	default:
		return nil, ErrFrame
	}
	return p.file, nil
}

// parser takes the chunks of a file.
type parser struct {
	file                      *raster.File
	extended, alpha, animated bool
	w, h                      int // of the canvas
	still                     bitstream
}

func (p *parser) chunk(name string, body []byte) {
	switch name {
	case "VP8X":
		if len(body) >= 10 && !p.extended {
			p.extended, p.alpha, p.animated = true, body[0]&0x10 != 0, body[0]&2 != 0
			p.w, p.h = uint24(body[4:])+1, uint24(body[7:])+1
		}
	case "ANMF":
		if p.file.More = len(p.file.Frames) == raster.MaxFrames; !p.file.More {
			p.frame(body)
		}
	case "EXIF":
		if p.file.EXIF == nil {
			p.file.EXIF = body
		}
	default:
		p.still.chunk(name, body)
	}
}

// chunk takes a chunk of a picture; the first bitstream counts.
func (b *bitstream) chunk(name string, body []byte) {
	switch name {
	case "ALPH":
		if b.body == nil && b.alpha == nil {
			b.alpha = body
		}
	case "VP8 ", "VP8L":
		if b.body != nil {
			return
		}
		if w, h, ok := size(name, body); ok {
			b.name, b.body, b.w, b.h = name, body, w, h
		}
	}
}

// chunks calls f for each chunk of data. One that is cut off is given as far as it
// goes.
func chunks(data []byte, f func(name string, body []byte)) {
	for len(data) >= 8 {
		n := uint64(binary.LittleEndian.Uint32(data[4:]))
		body := data[8:]
		if n > uint64(len(body)) {
			f(string(data[:4]), body)
			return
		}
		f(string(data[:4]), body[:n])
		data = body[min(uint64(len(body)), n+n%2):]
	}
}

func uint24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

// size reads the size in the header of a bitstream.
func size(name string, body []byte) (w, h int, ok bool) {
	le := binary.LittleEndian
	switch {
	case name == "VP8 " && len(body) >= 10 && body[0]&1 == 0 && string(body[3:6]) == "\x9d\x01\x2a":
		w, h = int(le.Uint16(body[6:])&0x3fff), int(le.Uint16(body[8:])&0x3fff)
		return w, h, w > 0 && h > 0
	case name == "VP8L" && len(body) >= 5 && body[0] == 0x2f && body[4]>>5 == 0:
		v := le.Uint32(body[1:])
		return int(v&0x3fff) + 1, int(v>>14&0x3fff) + 1, true
	}
	return 0, 0, false
}

// frame takes an ANMF chunk.
func (p *parser) frame(body []byte) {
	const header = 16
	if len(body) < header {
		p.file.Fault = raster.Structure
		return
	}
	var b bitstream
	chunks(body[header:], b.chunk)
	if b.body == nil {
		p.file.Fault = raster.Structure
		return
	}
	fr := b.frame()
	fr.Rect = fr.Rect.Add(image.Pt(2*uint24(body), 2*uint24(body[3:])))
	fr.Delay = time.Duration(uint24(body[12:])) * time.Millisecond
	fr.Replace = body[15]&2 != 0
	if body[15]&1 != 0 {
		fr.Dispose = raster.Clear
	}
	p.file.Frames = append(p.file.Frames, fr)
}

// frame returns the picture as a frame at the origin. The alpha in VP8L counts,
// whatever the flags say, as in Chromium.
func (b bitstream) frame() raster.Frame {
	fr := raster.Frame{Rect: image.Rect(0, 0, b.w, b.h), Cost: int64(b.w) * int64(b.h) * pixelCost}
	if b.name == "VP8L" {
		fr.Decode = func(t *raster.Target, w *raster.Work) (raster.Fault, error) {
			return decodeLossless(t, w, b.body[5:])
		}
		return fr
	}
	fr.Cost = int64(b.w) * int64(b.h) * lossyCost
	fr.Decode = b.decodeLossy
	if b.alpha == nil {
		fr.Planes = b.planes
	}
	return fr
}

func decodeLossless(t *raster.Target, w *raster.Work, data []byte) (raster.Fault, error) {
	s, err := openStream(data, t.Width, t.Height, w)
	if err != nil {
		return failed(err)
	}
	out := make([]byte, 4*t.Width)
	for y := range t.Height {
		row, fault, err := s.next()
		if err != nil {
			return raster.Stopped(err)
		}
		for x, v := range row {
			*(*[4]byte)(out[4*x:]) = [4]byte{byte(v >> 16), byte(v >> 8), byte(v), byte(v >> 24)}
		}
		t.Row(y, out[:4*len(row)])
		if fault != raster.Sound {
			if y == 0 {
				return fault, ErrData
			}
			return fault, nil
		}
	}
	return raster.Sound, nil
}

// failed turns an error before the first pixel into what a decoder returns.
func failed(err error) (raster.Fault, error) {
	if errors.Is(err, errLossless) {
		return raster.Data, errors.Join(ErrData, err)
	}
	return raster.Budget, err
}
