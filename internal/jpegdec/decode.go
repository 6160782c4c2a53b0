// Package jpegdec decodes JPEG files as far as viewers show them: sound ones,
// odd ones that are valid, and damaged ones. It decodes baseline, extended and
// progressive files of 8 bits with Huffman codes, with any sampling factors and
// all colour models in use. Where libjpeg, which most viewers use, has a rule
// for what is wrong in a file, this package has the same rule.
//
// It decodes luma first: where that is all that is wanted, scans of chroma are
// skipped, and no chroma is computed or kept. It can decode at a reduced size.
// All arithmetic is on integers, so that a file gives the same samples on every
// architecture and with every version of Go.
//
// The work for a file is bounded by its size in pixels, whatever its bytes are,
// and the context is looked at all the time.
package jpegdec

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"sync"
)

// Options are the options of [Decode]. The zero value decodes luma at full size.
type Options struct {
	// Scale divides width and height, rounded up: 1, 2, 4 or 8; 0 means 1. Each
	// sample is the mean of the samples that it stands for.
	Scale int
	// Colour decodes all components. Without it, only luma is decoded of files
	// that have it as a component of its own.
	Colour bool
	// MaxPixels is the largest picture that is decoded, before it is reduced, in
	// pixels. 0 means 2^30.
	MaxPixels int64
	// MaxMemory bounds the memory for samples and coefficients, in bytes, of
	// decoding luma and then colours: Scale is raised as far as needed. 0 means no
	// bound. At a scale of 8 it can be exceeded.
	MaxMemory int64
	// Budget is how many blocks of 8 × 8 coefficients are looked at, over all
	// scans. When it is used up, what was decoded is the result. 0 means
	// DefaultBudget of the picture.
	Budget int64
}

// Limits of DefaultBudget, in blocks.
const (
	minBudget = 1 << 16
	maxBudget = 1 << 24 // 1.07 thousand million pixels
)

// DefaultBudget returns the budget in blocks for a picture of width × height
// pixels, of which n components are decoded: ten times its blocks, but at most
// 2^24 and at least 2^16. A usual progressive file needs six times the blocks
// of its luma.
func DefaultBudget(width, height, n int) int64 {
	blocks := int64(width+7) / 8 * (int64(height+7) / 8) * int64(n)
	return min(max(10*blocks, minBudget), maxBudget)
}

// FormatError is returned for bytes that are no JPEG file, or in which nothing
// of a picture can be decoded.
type FormatError string

func (e FormatError) Error() string { return "jpegdec: damaged: " + string(e) }

// UnsupportedError is returned for a variety of JPEG that is not supported. No
// browser shows these.
type UnsupportedError string

func (e UnsupportedError) Error() string { return "jpegdec: not supported: " + string(e) }

// SizeError is returned for a picture with more pixels than Options.MaxPixels.
type SizeError struct {
	Width, Height int
	MaxPixels     int64
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("jpegdec: %d × %d pixels where %d are allowed", e.Width, e.Height, e.MaxPixels)
}

// Model is the colour model of a file.
type Model uint8

// The colour models.
const (
	Gray  Model = iota // one component
	YCbCr              // luma and two of chroma
	RGB                // red, green and blue
	CMYK               // four inks, inverted
	YCCK               // CMYK whose first three components are stored as YCbCr
)

// HasLuma reports whether the first component is luma.
func (m Model) HasLuma() bool { return m <= YCbCr }

// Header is what the frame header of a file states.
type Header struct {
	Width, Height int
	Model         Model
	Progressive   bool
}

// Picture is a decoded file.
type Picture struct {
	Header     // of the file, whatever Scale is
	Scale  int // by which Image is reduced
	// Image is an *image.Gray if only luma was asked for and the file has it, or
	// has nothing else. Otherwise it is an *image.YCbCr, *image.RGBA or
	// *image.CMYK. Its bounds begin at zero.
	Image  image.Image
	Damage Damage
	// Beyond is by how many grey levels, in the mean, the luma of the colours
	// differs from the luma of the file, because viewers limit colours that are
	// out of range. It is estimated from the means of blocks, and is 0 where
	// chroma was not read.
	Beyond float64
}

// ReadHeader returns the header of a file, without decoding it.
func ReadHeader(data []byte) (Header, error) {
	d := decoder{adobe: -1}
	d.r.data = data
	if err := d.readTo(markerSOS); err != nil {
		return Header{}, err
	}
	return d.header()
}

// Decode decodes a file up to its end marker; what lies behind that is no part
// of the picture. It returns a [FormatError], an [UnsupportedError] or a
// [*SizeError], or the error of ctx. A damaged file of which something could be
// decoded is no error: see Picture.Damage.
func Decode(ctx context.Context, data []byte, opts *Options) (*Picture, error) {
	d := &decoder{ctx: ctx, adobe: -1}
	if opts != nil {
		d.opts = *opts
	}
	d.opts.Scale = max(1, d.opts.Scale)
	if s := d.opts.Scale; s != 1 && s != 2 && s != 4 && s != 8 {
		return nil, fmt.Errorf("jpegdec: scale %d, must be 1, 2, 4 or 8", s)
	}
	d.r.data = data
	if err := d.readTo(markerSOS); err != nil {
		return nil, err
	}
	h, err := d.header()
	if err != nil {
		return nil, err
	}
	if err := d.prepare(h); err != nil {
		return nil, err
	}
	for d.r.marker == markerSOS {
		if d.budget <= 0 {
			d.damage.Faults |= OverBudget
			break
		}
		if err := d.scan(); err != nil {
			return nil, err
		}
		if err := d.readTo(markerSOS); err != nil {
			d.damage.Faults |= BadSegment
			break
		}
	}
	return d.finish()
}

// decoder is the state of decoding one file.
type decoder struct {
	ctx  context.Context
	opts Options
	size int // of the samples of a block, each way: 8, 4, 2 or 1
	r    bitReader

	frame      byte // the marker of the frame header, 0 before it
	head       Header
	comps      []component
	hmax, vmax int
	jfif       bool
	adobe      int // the transform of Adobe's marker, or -1
	interval   int // of restart, in MCUs; 0 for none

	quant   [4]*[64]uint16 // as the file has them, in zigzag order
	tables  [2][4]*huffman // of first coefficients, and of the others
	budget  int64
	damage  Damage
	started bool // data of a wanted component was decoded

	beyond int64 // see Picture.Beyond, in sum, in 1/16
	means  int64 // units that were looked at for it
}

// component is one of the planes of a picture.
type component struct {
	id     byte
	h, v   int   // sampling factors
	tq     byte  // its quantization table
	wanted bool  // its samples are decoded
	bw, bh int   // blocks in a row, and rows of blocks
	pw, ph int   // the same, padded to whole MCUs: those that have memory
	quant  block // the quantizers, in zigzag order, once known
	known  bool  // quant is
	// low is the lowest bit of each coefficient that the scans so far have, in
	// zigzag order.
	low [64]uint8

	plane  []byte // samples, pw blocks in a row
	coeffs []int16
	masks  []uint64 // progressive: which coefficients of a block are not zero

	dc     int32   // of the block before
	ids    [2]byte // of the tables, in this scan
	tables [2]*huffman
}

// noBits is a lowest bit above all that a coefficient has.
const noBits = 16

// stride is the number of samples in a row of the plane.
func (c *component) stride(size int) int { return c.pw * size }

// header returns the header, which must have been read.
func (d *decoder) header() (Header, error) {
	if d.frame == 0 {
		return Header{}, FormatError("no frame header before the first scan, or before the end")
	}
	h := d.head
	switch len(d.comps) {
	case 1:
		h.Model = Gray
	case 3:
		h.Model = d.model3()
	case 4:
		h.Model = CMYK
		if d.adobe > 0 {
			h.Model = YCCK
		}
	default:
		return Header{}, UnsupportedError(fmt.Sprintf("%d components", len(d.comps)))
	}
	return h, nil
}

func (d *decoder) model3() Model {
	c := d.comps
	switch {
	case d.jfif:
		return YCbCr
	case d.adobe >= 0:
		if d.adobe == 0 {
			return RGB
		}
		return YCbCr
	case c[0].id == 'R' && c[1].id == 'G' && c[2].id == 'B':
		return RGB
	}
	return YCbCr
}

// prepare computes sizes and takes memory for the samples.
func (d *decoder) prepare(h Header) error {
	d.head = h
	limit := d.opts.MaxPixels
	if limit <= 0 {
		limit = 1 << 30
	}
	if int64(h.Width)*int64(h.Height) > limit {
		return &SizeError{h.Width, h.Height, limit}
	}
	wanted := 0
	for i := range d.comps {
		c := &d.comps[i]
		c.wanted = i == 0 || d.opts.Colour || !h.Model.HasLuma()
		if c.wanted {
			wanted++
		}
		if len(d.comps) == 1 {
			c.h, c.v = 1, 1 // they do not matter
		}
		for k := range c.low {
			c.low[k] = noBits
		}
		d.hmax, d.vmax = max(d.hmax, c.h), max(d.vmax, c.v)
	}
	for i := range d.comps {
		c := &d.comps[i]
		c.bw, c.bh = ceil(h.Width*c.h, 8*d.hmax), ceil(h.Height*c.v, 8*d.vmax)
		c.pw, c.ph = ceil(h.Width, 8*d.hmax)*c.h, ceil(h.Height, 8*d.vmax)*c.v
	}
	d.size = 8 / d.opts.Scale
	for d.opts.MaxMemory > 0 && d.size > 1 && d.memory() > d.opts.MaxMemory {
		d.size /= 2
	}
	d.budget = d.opts.Budget
	if d.budget <= 0 {
		d.budget = DefaultBudget(h.Width, h.Height, wanted)
	}
	return nil
}

// memory returns how many bytes it takes to decode luma, keep it, and decode all
// components.
func (d *decoder) memory() int64 {
	sum := int64(0)
	for i := range d.comps {
		c := &d.comps[i]
		blocks := int64(c.pw) * int64(c.ph)
		samples := int64(d.size * d.size)
		switch {
		case !d.head.Model.HasLuma():
			samples += 4 * samples // for the colours that are made of them, enlarged
		case i == 0 && len(d.comps) > 1:
			samples *= 2
		}
		if d.head.Progressive {
			samples += int64(2*d.perBlock() + 8)
		}
		sum += blocks * samples
	}
	return sum
}

func ceil(a, b int) int { return (a + b - 1) / b }

// allocate takes the memory of a component, at its first scan.
func (d *decoder) allocate(c *component) {
	if c.plane != nil || !c.wanted {
		return
	}
	c.plane = make([]byte, c.pw*c.ph*d.size*d.size)
	for rest := c.plane; len(rest) > 0 && d.ctx.Err() == nil; {
		rest = rest[copy(rest, nothing()):]
	}
	if d.head.Progressive {
		if d.size > 1 {
			c.masks = make([]uint64, c.pw*c.ph)
		}
		c.coeffs = make([]int16, d.perBlock()*c.pw*c.ph)
	}
}

// nothing is what viewers show where there are no data.
var nothing = sync.OnceValue(func() []byte { return bytes.Repeat([]byte{128}, 1<<16) })

// finish computes what was not computed while decoding.
func (d *decoder) finish() (*Picture, error) {
	if !d.started {
		return nil, FormatError("no data of a picture")
	}
	for i := range d.comps {
		c := &d.comps[i]
		if !c.wanted {
			continue
		}
		if d.allocate(c); d.head.Progressive {
			if err := d.reconstruct(c); err != nil {
				return nil, err
			}
		}
	}
	if err := d.ctx.Err(); err != nil {
		return nil, fmt.Errorf("jpegdec: %w", err)
	}
	d.damage.finish(d)
	beyond := float64(d.beyond) / (16 * float64(max(1, d.means)))
	return &Picture{Header: d.head, Scale: d.scale(), Image: d.image(), Damage: d.damage, Beyond: beyond}, nil
}
