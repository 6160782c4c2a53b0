package avif

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
)

// properties are what the container says of its primary item (ISO/IEC 23008-12):
// the size before turning (ispe), and how it is turned (irot) and then mirrored
// (imir). alpha says that some item is an alpha plane.
type properties struct {
	width, height int
	turns         int // by 90° counter-clockwise
	mirror        bool
	axis          int // 0: top and bottom change places; 1: left and right
	alpha         bool
	premultiplied bool // the colours are multiplied by alpha in the file
	end           int  // of the last whole box; what lies behind is no part of it
}

var errContainer = errors.New("avif: the container is damaged")

// box is one box of the container: its type and what is in it.
type box struct {
	kind string
	body []byte
}

// boxes takes data apart. Sizes are bounded by data, and nothing is copied.
func boxes(data []byte) ([]box, error) {
	list, rest := wholeBoxes(data)
	if len(rest) > 0 {
		return nil, errContainer
	}
	return list, nil
}

// wholeBoxes takes data apart up to the first bytes that are no whole box, which
// it returns.
func wholeBoxes(data []byte) (list []box, rest []byte) {
	for len(data) >= 8 && len(list) <= 1000 {
		size, head := uint64(binary.BigEndian.Uint32(data)), uint64(8)
		switch size {
		case 0: // to the end
			size = uint64(len(data))
		case 1:
			if len(data) < 16 {
				return list, data
			}
			size, head = binary.BigEndian.Uint64(data[8:]), 16
		}
		if size < head || size > uint64(len(data)) {
			return list, data
		}
		list = append(list, box{string(data[4:8]), data[head:size]})
		data = data[size:]
	}
	return list, data
}

// find returns the first box of a kind, without its version and flags if it is
// a full box.
func find(list []box, kind string, full bool) ([]byte, error) {
	for _, b := range list {
		if b.kind == kind {
			if full {
				if len(b.body) < 4 {
					return nil, errContainer
				}
				return b.body[4:], nil
			}
			return b.body, nil
		}
	}
	return nil, fmt.Errorf("%w: no box %s", errContainer, kind)
}

// readProperties finds the properties of the primary item. A file without items
// (an image sequence only) has the size of its first track header.
func readProperties(data []byte) (properties, error) {
	p := properties{}
	// Browsers take no notice of what lies behind the last whole box.
	top, rest := wholeBoxes(data)
	p.end = len(data) - len(rest)
	meta, err := find(top, "meta", true)
	if err != nil {
		return p, err
	}
	in, err := boxes(meta)
	if err != nil {
		return p, err
	}
	var version byte
	for _, b := range in {
		if b.kind == "pitm" && len(b.body) > 0 {
			version = b.body[0]
		}
	}
	pitm, err := find(in, "pitm", true)
	if err != nil {
		return p, err
	}
	r := reader{data: pitm}
	primary := r.uint(2 + 2*min(int(version), 1))
	if iref, err := find(in, "iref", true); err == nil {
		refs, _ := wholeBoxes(iref)
		for _, b := range refs {
			p.premultiplied = p.premultiplied || b.kind == "prem"
		}
	}
	iprp, err := find(in, "iprp", false)
	if err != nil {
		return p, err
	}
	props, err := boxes(iprp)
	if err != nil {
		return p, err
	}
	ipco, err := find(props, "ipco", false)
	if err != nil {
		return p, err
	}
	list, err := boxes(ipco)
	if err != nil {
		return p, err
	}
	for _, b := range list {
		if b.kind == "auxC" && bytes.Contains(b.body, []byte("alpha")) {
			p.alpha = true
		}
	}
	for _, b := range props {
		if b.kind != "ipma" {
			continue
		}
		for _, i := range associations(b.body, primary) {
			if i < 1 || i > len(list) {
				return p, fmt.Errorf("%w: property %d of %d", errContainer, i, len(list))
			}
			p.apply(list[i-1])
		}
	}
	if p.width <= 0 || p.height <= 0 {
		return p, fmt.Errorf("%w: the primary picture has no size", errContainer)
	}
	return p, nil
}

// associations returns the numbers, from 1, of the properties of an item.
func associations(ipma []byte, item uint64) (list []int) {
	r := reader{data: ipma}
	version, flags := r.uint(1), r.uint(3)
	idSize, numberSize := 2, 1
	if version >= 1 {
		idSize = 4
	}
	if flags&1 != 0 {
		numberSize = 2
	}
	for n := r.uint(4); n > 0 && !r.failed; n-- {
		id := r.uint(idSize)
		for k := r.uint(1); k > 0 && !r.failed; k-- {
			v := r.uint(numberSize) & (1<<(8*numberSize-1) - 1) // without the bit "essential"
			if id == item && v != 0 {
				list = append(list, int(v))
			}
		}
	}
	return list
}

func (p *properties) apply(b box) {
	r := reader{data: b.body}
	switch b.kind {
	case "ispe":
		r.uint(4)
		w, h := r.uint(4), r.uint(4)
		if !r.failed && w < 1<<31 && h < 1<<31 {
			p.width, p.height = int(w), int(h)
		}
	case "irot":
		p.turns = int(r.uint(1) & 3)
	case "imir":
		p.mirror, p.axis = true, int(r.uint(1)&1)
	}
}

// reader reads big-endian numbers and remembers whether it ran out of data.
type reader struct {
	data   []byte
	failed bool
}

func (r *reader) uint(n int) (v uint64) {
	if len(r.data) < n {
		r.data, r.failed = nil, true
		return 0
	}
	for _, b := range r.data[:n] {
		v = v<<8 | uint64(b)
	}
	r.data = r.data[n:]
	return v
}

// turn applies irot, then imir.
func (p *properties) turn(img image.Image) image.Image {
	if p.turns == 0 && !p.mirror {
		return img
	}
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	size := image.Pt(w, h)
	if p.turns%2 == 1 {
		size = image.Pt(h, w)
	}
	dst := image.NewNRGBA(image.Rectangle{Max: size})
	for y := range h {
		for x := range w {
			u, v := x, y
			switch p.turns {
			case 1:
				u, v = y, w-1-x
			case 2:
				u, v = w-1-x, h-1-y
			case 3:
				u, v = h-1-y, x
			}
			if p.mirror && p.axis == 0 {
				v = size.Y - 1 - v
			} else if p.mirror {
				u = size.X - 1 - u
			}
			dst.Set(u, v, img.At(b.Min.X+x, b.Min.Y+y))
		}
	}
	return dst
}
