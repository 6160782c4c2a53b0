package avif

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// This file reads the container (ISO/IEC 14496-12, 23008-12 and AV1-AVIF): where the
// AV1 data of the pictures lie, and what is said of them.

var errContainer = errors.New("avif: the container is damaged")

// item is a picture of the file, or a part of one.
type item struct {
	kind   string
	method byte // where the extents lie: 0 in the file, 1 in the box idat
	parts  [][2]uint64
	props  []box
	refs   []uint32 // the tiles of a grid
	of     uint32   // of which item this is an auxiliary picture
}

// container is what was read of a file.
type container struct {
	data    []byte
	major   string
	primary uint32
	items   map[uint32]*item
	idat    []byte
	prem    bool // the colours are multiplied by alpha in the file
	tracks  []track
}

// box is one box of the container: its type and what is in it.
type box struct {
	kind string
	body []byte
}

// maxBoxes bounds the boxes on one level.
const maxBoxes = 2000

// boxes takes data apart up to the first bytes that are no whole box: browsers take no
// notice of what lies behind. Sizes are bounded by data, and nothing is copied.
func boxes(data []byte) (list []box) {
	for len(data) >= 8 && len(list) <= maxBoxes {
		size, head := uint64(binary.BigEndian.Uint32(data)), uint64(8)
		switch size {
		case 0: // to the end
			size = uint64(len(data))
		case 1:
			if len(data) < 16 {
				return list
			}
			size, head = binary.BigEndian.Uint64(data[8:]), 16
		}
		if size < head || size > uint64(len(data)) {
			return list
		}
		list = append(list, box{string(data[4:8]), data[head:size]})
		data = data[size:]
	}
	return list
}

// find returns what is in the first box of a kind. ok is false if there is none.
func find(list []box, kind string) (body []byte, ok bool) {
	for _, b := range list {
		if b.kind == kind {
			return b.body, true
		}
	}
	return nil, false
}

// full returns what is in the first box of a kind that begins with a version and
// flags.
func full(list []box, kind string) (version byte, flags uint64, r reader, ok bool) {
	body, ok := find(list, kind)
	r = reader{data: body}
	version, flags = byte(r.uint(1)), r.uint(3)
	return version, flags, r, ok && !r.failed
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

// text reads a string up to its zero byte, or to the end.
func (r *reader) text() string {
	s, rest, _ := bytes.Cut(r.data, []byte{0})
	r.data = rest
	return string(s)
}

func readContainer(data []byte) (*container, error) {
	c := &container{data: data, items: map[uint32]*item{}}
	top := boxes(data)
	if ftyp, ok := find(top, "ftyp"); ok && len(ftyp) >= 4 {
		c.major = string(ftyp[:4])
	}
	if moov, ok := find(top, "moov"); ok {
		for _, b := range boxes(moov) {
			if b.kind == "trak" && len(c.tracks) < 10 {
				if t, ok := readTrack(b.body); ok {
					c.tracks = append(c.tracks, t)
				}
			}
		}
	}
	if _, _, r, ok := full(top, "meta"); ok {
		c.readMeta(boxes(r.data))
	}
	if c.items[c.primary] == nil && len(c.tracks) == 0 {
		return nil, fmt.Errorf("%w: no picture", errContainer)
	}
	return c, nil
}

// readMeta reads the items.
func (c *container) readMeta(in []box) {
	version, _, r, ok := full(in, "pitm")
	if ok {
		c.primary = uint32(r.uint(2 + 2*min(int(version), 1)))
	}
	c.idat, _ = find(in, "idat")
	version, _, r, ok = full(in, "iinf")
	if ok {
		r.uint(2 + 2*min(int(version), 1))
		for _, b := range boxes(r.data) {
			c.readItem(b)
		}
	}
	c.readPlaces(in)
	version, _, r, ok = full(in, "iref")
	if ok {
		for _, b := range boxes(r.data) {
			c.readReference(b, 2+2*min(int(version), 1))
		}
	}
	if iprp, ok := find(in, "iprp"); ok {
		c.readProperties(boxes(iprp))
	}
}

func (c *container) readItem(b box) {
	r := reader{data: b.body}
	version := r.uint(1)
	r.uint(3)
	if b.kind != "infe" || version < 2 || len(c.items) >= maxBoxes {
		return
	}
	id := uint32(r.uint(2 + 2*min(int(version-2), 1)))
	r.uint(2)
	kind := fmt.Sprintf("%.4s", r.data)
	if !r.failed && c.items[id] == nil {
		c.items[id] = &item{kind: kind}
	}
}

// readPlaces reads where the data of the items lie.
func (c *container) readPlaces(in []box) {
	version, _, r, ok := full(in, "iloc")
	if !ok {
		return
	}
	sizes := r.uint(2)
	offset, length, base, index := int(sizes>>12), int(sizes>>8&15), int(sizes>>4&15), int(sizes&15)
	if version == 0 {
		index = 0
	}
	wide := 2
	if version == 2 {
		wide = 4
	}
	for n := r.uint(wide); n > 0 && !r.failed; n-- {
		it := c.items[uint32(r.uint(wide))]
		method := byte(0)
		if version > 0 {
			method = byte(r.uint(2) & 15)
		}
		r.uint(2)
		from := r.uint(base)
		var parts [][2]uint64
		for k := r.uint(2); k > 0 && !r.failed; k-- {
			r.uint(index)
			o, l := r.uint(offset), r.uint(length)
			parts = append(parts, [2]uint64{from + o, l})
		}
		if it != nil && it.parts == nil && !r.failed {
			it.method, it.parts = method, parts
		}
	}
}

func (c *container) readReference(b box, wide int) {
	r := reader{data: b.body}
	it := c.items[uint32(r.uint(wide))]
	c.prem = c.prem || b.kind == "prem"
	for n := r.uint(2); n > 0 && !r.failed && it != nil; n-- {
		to := uint32(r.uint(wide))
		switch {
		case r.failed:
		case b.kind == "dimg" && len(it.refs) < maxBoxes:
			it.refs = append(it.refs, to)
		case b.kind == "auxl":
			it.of = to
		}
	}
}

// readProperties reads the properties of the items.
func (c *container) readProperties(props []box) {
	ipco, _ := find(props, "ipco")
	list := boxes(ipco)
	for _, b := range props {
		if b.kind != "ipma" {
			continue
		}
		r := reader{data: b.body}
		version, flags := r.uint(1), r.uint(3)
		wide, number := 2, 1
		if version >= 1 {
			wide = 4
		}
		if flags&1 != 0 {
			number = 2
		}
		for n := r.uint(4); n > 0 && !r.failed; n-- {
			it := c.items[uint32(r.uint(wide))]
			for k := r.uint(1); k > 0 && !r.failed; k-- {
				v := int(r.uint(number) & (1<<(8*number-1) - 1)) // without the bit "essential"
				if it != nil && v >= 1 && v <= len(list) && len(it.props) < 100 {
					it.props = append(it.props, list[v-1])
				}
			}
		}
	}
}

// alphaOf returns the item with the alpha plane of another, or nil.
func (c *container) alphaOf(id uint32) *item {
	for _, n := range slices.Sorted(maps.Keys(c.items)) {
		if it := c.items[n]; it.of == id && isAlpha(it.props) {
			return it
		}
	}
	return nil
}

func isAlpha(props []box) bool {
	_, _, r, ok := full(props, "auxC")
	if !ok {
		return false
	}
	kind := r.text()
	return kind == "urn:mpeg:mpegB:cicp:systems:auxiliary:alpha" || kind == "urn:mpeg:hevc:2015:auxid:1"
}

// bytes returns the data of an item, as far as they are in the file.
func (c *container) bytes(it *item) []byte {
	from := c.data
	if it.method == 1 {
		from = c.idat
	} else if it.method > 1 {
		return nil
	}
	var all []byte
	for _, p := range it.parts {
		if p[0] >= uint64(len(from)) || len(all) > len(c.data) {
			continue
		}
		part := from[p[0]:]
		if p[1] != 0 && p[1] < uint64(len(part)) {
			part = part[:p[1]]
		}
		if len(it.parts) == 1 {
			return part
		}
		all = append(all, part...)
	}
	return all
}

// track is a sequence of pictures.
type track struct {
	id, of  uint64 // of: which track this is the alpha plane of
	props   []box
	samples []sample
}

type sample struct {
	at, size uint64
	duration time.Duration
}

// maxSamples bounds the samples of a track that are read.
const maxSamples = 20_000

// readTrack reads a track of AV1 pictures. ok is false if it is something else.
func readTrack(trak []byte) (t track, ok bool) {
	in := boxes(trak)
	version, _, r, _ := full(in, "tkhd")
	r.uint(8 + 8*min(int(version), 1))
	t.id = r.uint(4)
	if tref, ok := find(in, "tref"); ok {
		if auxl, ok := find(boxes(tref), "auxl"); ok {
			a := reader{data: auxl}
			t.of = a.uint(4)
		}
	}
	mdia, _ := find(in, "mdia")
	in = boxes(mdia)
	version, _, r, _ = full(in, "mdhd")
	r.uint(8 + 8*min(int(version), 1))
	scale := max(1, r.uint(4))
	minf, _ := find(in, "minf")
	stbl, _ := find(boxes(minf), "stbl")
	in = boxes(stbl)
	_, _, r, ok = full(in, "stsd")
	if !ok {
		return t, false
	}
	r.uint(4)
	entry, ok := find(boxes(r.data), "av01")
	if !ok || len(entry) < 78 {
		return t, false
	}
	t.props = boxes(entry[78:])
	t.samples = readSamples(in, scale)
	return t, len(t.samples) > 0
}

// readSamples reads where the samples of a track lie.
func readSamples(in []box, scale uint64) (list []sample) {
	_, _, sizes, ok := full(in, "stsz")
	if !ok {
		return nil
	}
	same := sizes.uint(4)
	count := min(sizes.uint(4), maxSamples)
	_, _, chunks, ok := full(in, "stco")
	wide := 4
	if !ok {
		_, _, chunks, _ = full(in, "co64")
		wide = 8
	}
	_, _, runs, _ := full(in, "stsc")
	_, _, times, _ := full(in, "stts")
	nChunks, nRuns := chunks.uint(4), runs.uint(4)
	nTimes := times.uint(4)
	perChunk, nextRun := uint64(0), uint64(0)
	if nRuns > 0 {
		nextRun = runs.uint(4)
	}
	left, delta := uint64(0), uint64(0)
	for chunk := uint64(1); chunk <= nChunks && uint64(len(list)) < count; chunk++ {
		for nRuns > 0 && nextRun <= chunk {
			perChunk = runs.uint(4)
			runs.uint(4)
			if nRuns--; nRuns > 0 {
				nextRun = runs.uint(4)
			}
		}
		at := chunks.uint(wide)
		if chunks.failed || runs.failed {
			return list
		}
		for k := uint64(0); k < perChunk && uint64(len(list)) < count; k++ {
			for left == 0 && nTimes > 0 {
				left, delta = times.uint(4), times.uint(4)
				nTimes--
			}
			left -= min(left, 1)
			size := same
			if same == 0 {
				size = sizes.uint(4)
			}
			if sizes.failed {
				return list
			}
			seconds := min(delta*1000/scale, 1<<30) // in milliseconds
			list = append(list, sample{at, size, time.Duration(seconds) * time.Millisecond})
			at += size
		}
	}
	return list
}
