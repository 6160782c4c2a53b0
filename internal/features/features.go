package features

import (
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"math/bits"
)

const (
	// MaxPoints is the number of points that a full set holds at most: what a
	// candidate is asked with.
	MaxPoints = 800
	// RegisteredPoints is the number of points that are kept of a registered
	// picture.
	RegisteredPoints = 208
	// fullLuma and compactLuma are the greatest numbers of pixels of the luma
	// thumbnail in a full and in a compact set.
	fullLuma    = 16_384
	compactLuma = 4_352

	version     = 1
	headerSize  = 16
	pointSize   = 6
	descSize    = 32
	flagCompact = 1
	flagInk     = 2
	flagPlain   = 4
	lookShift   = 3 // bits 3 and 4

	// MaxSize is the greatest length of an encoded set in bytes, and
	// MaxCompactSize that of a compact one.
	MaxSize        = headerSize + MaxPoints*(descSize+pointSize) + fullLuma + maxFullInk
	MaxCompactSize = headerSize + RegisteredPoints*(descSize+pointSize) + compactLuma + maxCompactInk
)

// Features is what is kept of a picture's pixels to recognise it inside
// another picture: some hundred described points and a small luma thumbnail.
// It is an immutable value; copies share their memory. The zero Features has
// no points and matches nothing. Its methods are safe for concurrent use.
//
// Features are not anonymous: the thumbnail shows the picture.
type Features struct {
	// b is the encoded form:
	//
	//	0  "SF"
	//	2  version
	//	3  flags: bit 0 compact, bit 1 fine picture,
	//	   bit 2 ink on plain ground: a compact set keeps the fine picture,
	//	   bits 3 and 4 what the picture looks like
	//	4  width of the working picture, 6 its height
	//	8  number of points n
	//	10 width of the thumbnail, 12 its height
	//	14 zero
	//	16 n descriptors of 4 × 64 bits
	//	   n points: x, y in 1/32 working pixels (16 bits each), scale, angle
	//	   thumbnail, one byte a pixel, row by row
	//	   with flag bit 1 the fine picture: its width and height (16 bits each),
	//	   a bit for each block of 8 × 8 pixels, row by row, set where it has ink,
	//	   and for each block its mean or, with ink, the least and the greatest
	//	   grey level and for each pixel 2 bits that say which third between them
	//
	// Numbers are little-endian.
	b []byte
}

// ErrFormat is wrapped by the errors of Open and OpenSegment about bytes that
// are not what this package writes.
var ErrFormat = errors.New("not a feature set of this package")

// ErrVersion is wrapped by the errors of Open and OpenSegment about bytes
// written by a newer version of this package.
var ErrVersion = errors.New("version not supported")

// Open returns the set that AppendBinary wrote into b. The set keeps b, which
// must not change afterwards. Bytes that AppendBinary cannot have written are
// an error that wraps ErrFormat or ErrVersion.
func Open(b []byte) (Features, error) {
	n, err := encodedSize(b)
	if err != nil {
		return Features{}, err
	}
	if len(b) != n {
		return Features{}, fmt.Errorf("features: %d bytes where the header says %d: %w", len(b), n, ErrFormat)
	}
	f := Features{b[:n:n]}
	if i := f.outside(); i >= 0 {
		p := f.point(i)
		w, h := f.size()
		return Features{}, fmt.Errorf("features: point %d at %d,%d scale %d lies outside the working picture %d × %d: %w",
			i, p.x, p.y, p.scale, w, h, ErrFormat)
	}
	return f, nil
}

// encodedSize returns the length of the encoded set at the front of b, as its
// header gives it, once the header is within its limits.
func encodedSize(b []byte) (int, error) {
	if len(b) < headerSize {
		return 0, fmt.Errorf("features: %d bytes, the header alone has %d: %w", len(b), headerSize, ErrFormat)
	}
	if b[0] != 'S' || b[1] != 'F' {
		return 0, fmt.Errorf("features: begins with %q, not with \"SF\": %w", b[:2], ErrFormat)
	}
	if b[2] != version {
		return 0, fmt.Errorf("features: version %d, this package reads %d: %w", b[2], version, ErrVersion)
	}
	u16 := func(i int) int { return int(binary.LittleEndian.Uint16(b[i:])) }
	w, h, n, lw, lh := u16(4), u16(6), u16(8), u16(10), u16(12)
	points, luma := MaxPoints, fullLuma
	if b[3]>>(lookShift+2) != 0 {
		return 0, fmt.Errorf("features: flags %#x, known are bits 0 to 4: %w", b[3], ErrVersion)
	}
	if b[3]&flagCompact != 0 {
		points, luma = RegisteredPoints, compactLuma
	}
	switch {
	case w < minWorkSide || h < minWorkSide || w > maxWorkSide || h > maxWorkSide:
		return 0, fmt.Errorf("features: working picture of %d × %d, allowed are sides of %d to %d: %w", w, h, minWorkSide, maxWorkSide, ErrFormat)
	case n > points:
		return 0, fmt.Errorf("features: %d points, at most %d are allowed: %w", n, points, ErrFormat)
	case lw < 1 || lh < 1 || lw > w || lh > h || lw*lh > luma:
		return 0, fmt.Errorf("features: thumbnail of %d × %d of a working picture of %d × %d, allowed are 1 to %d pixels and no side longer: %w", lw, lh, w, h, luma, ErrFormat)
	case u16(14) != 0:
		return 0, fmt.Errorf("features: reserved bytes are not zero: %w", ErrFormat)
	}
	return withInk(b, headerSize+n*(descSize+pointSize)+lw*lh)
}

// withInk adds to the size of what precedes it the length of the fine picture, if the flags
// of the set at the front of b say that there is one.
func withInk(b []byte, size int) (int, error) {
	if b[3]&flagInk == 0 {
		return size, nil
	}
	if len(b) < size {
		return 0, fmt.Errorf("features: %d bytes where the header says more than %d: %w", len(b), size, ErrFormat)
	}
	k, err := inkEnd(b[size:], b[3]&flagCompact != 0)
	return size + k, err
}

// AppendBinary appends the encoded form of f, which Open reads: at most MaxSize
// bytes, or MaxCompactSize for a compact set, nothing for the zero Features. It
// never fails.
func (f Features) AppendBinary(b []byte) ([]byte, error) { return append(b, f.b...), nil }

// MarshalBinary implements encoding.BinaryMarshaler with the form of
// AppendBinary.
func (f Features) MarshalBinary() ([]byte, error) { return f.AppendBinary(nil) }

// IsZero reports whether f is the zero Features.
func (f Features) IsZero() bool { return f.b == nil }

// Len returns the number of points.
func (f Features) Len() int {
	if f.b == nil {
		return 0
	}
	return int(binary.LittleEndian.Uint16(f.b[8:]))
}

// minDetailed is the number of working pixels of a picture of some 42 × 42 pixels, enlarged
// as much as any.
const minDetailed = 64_000

// Detailed reports whether f could find its picture if it were registered: a picture of
// fewer pixels has lost its points, and that they are missing says nothing.
func (f Features) Detailed() bool {
	if f.Len() == 0 {
		return false
	}
	w, h := f.size()
	return w*h >= minDetailed
}

// size returns the size of the working picture.
func (f Features) size() (w, h int) {
	return int(binary.LittleEndian.Uint16(f.b[4:])), int(binary.LittleEndian.Uint16(f.b[6:]))
}

// keypoint is the place, size and direction of a point.
type keypoint struct {
	x, y  uint16 // 1/32 working pixel, from the picture's corner
	scale uint8  // sixteenths of a level
	angle uint8  // 1/256 turn
}

func (f Features) point(i int) keypoint {
	if f.isRecord() {
		return unpack(f.packed(i))
	}
	b := f.b[headerSize+f.Len()*descSize+i*pointSize:][:pointSize]
	return keypoint{binary.LittleEndian.Uint16(b), binary.LittleEndian.Uint16(b[2:]), b[4], b[5]}
}

// descriptor returns a descriptor; of a record only the signature.
func (f Features) descriptor(i int) descriptor {
	if f.isRecord() {
		return descriptor{f.signature(i)}
	}
	b := f.b[headerSize+i*descSize:][:descSize]
	return descriptor{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]),
		binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:])}
}

// luma returns the thumbnail, in place where it can; buf is used where it cannot, and
// returned, grown if needed.
func (f Features) luma(buf []uint8) (gray, []uint8) {
	w, h := int(binary.LittleEndian.Uint16(f.b[10:])), int(binary.LittleEndian.Uint16(f.b[12:]))
	b := f.b[headerSize+f.Len()*f.pointBytes():][:f.lumaBytes()]
	if !f.isRecord() {
		return gray{w, h, w, b}, buf
	}
	if cap(buf) < w*h {
		buf = make([]uint8, w*h)
	}
	buf = buf[:w*h]
	var c thumbCoder
	c.readThumb(b, w, buf)
	return gray{w, h, w, buf}, buf
}

// IsCompact reports whether f is in the form of Compact, or in that of a segment; the
// zero Features is.
func (f Features) IsCompact() bool { return f.b == nil || f.b[3]&flagCompact != 0 }

// Look returns what the picture looks like; Natural for the zero Features.
func (f Features) Look() Look {
	if f.b == nil {
		return Natural
	}
	return Look(f.b[3] >> lookShift & 3)
}

// Compact returns the form of f that is registered: the best RegisteredPoints
// points, which are the first ones, and a smaller thumbnail.
func (f Features) Compact() Features {
	if f.IsCompact() {
		return f
	}
	n := min(f.Len(), RegisteredPoints)
	l, _ := f.luma(nil)
	w, h := lumaSize(l.w, l.h, compactLuma)
	b := make([]byte, headerSize, headerSize+n*(descSize+pointSize)+w*h)
	copy(b, f.b)
	b[3] |= flagCompact
	binary.LittleEndian.PutUint16(b[8:], uint16(n))
	binary.LittleEndian.PutUint16(b[10:], uint16(w))
	binary.LittleEndian.PutUint16(b[12:], uint16(h))
	b = append(b, f.b[headerSize:][:n*descSize]...)
	b = append(b, f.b[headerSize+f.Len()*descSize:][:n*pointSize]...)
	var k work
	b = k.appendThumbnail(b, l, w, h)
	if f.b[3]&flagPlain == 0 {
		b[3] &^= flagInk
	} else if f.HasInk() {
		g, _ := f.ink(nil)
		w, h := inkFit(g.w, g.h, compactInk, compactBlocks)
		b = appendInk(b, gray{w, h, w, k.appendThumbnail(nil, g, w, h)})
	}
	return Features{b}
}

// lumaSize returns the size of a thumbnail of a picture of w × h with at most
// area pixels; it is never larger than the picture.
func lumaSize(w, h, area int) (lw, lh int) {
	if w*h <= area {
		return w, h
	}
	s := isqrt((uint64(area) << 32) / (uint64(w) * uint64(h))) // 1/65536
	lw, lh = max(int(uint64(w)*s>>16), 1), max(int(uint64(h)*s>>16), 1)
	return min(lw, area), min(lh, area/min(lw, area))
}

// appendThumbnail appends the pixels of g reduced to w × h.
func (k *work) appendThumbnail(b []byte, g gray, w, h int) []byte {
	k.thumb.reset(w, h)
	k.resize(g, &k.thumb)
	for y := range h {
		for _, v := range k.thumb.row(y) {
			b = append(b, uint8((v+1<<(planeShift-1))>>planeShift))
		}
	}
	return b
}

// What a picture must have at least to be registered.
const (
	minDistinct = 40 // points that look like no other point of the picture
	minBlocks   = 4  // of its 6 × 6 blocks with such a point
	// alike is the number of differing bits up to which two points look alike.
	alike = 24
	// maxRepeats is the share of its textured squares that a picture may repeat:
	// of checkerboards all, of photographs hardly more than half, once 0.79.
	maxRepeats = 0.85
)

// Registrable returns nil if f shows enough that is its own to be registered,
// and a *PoorError if not: a flat picture, a lone logo, a pattern that repeats
// itself. Copies of such a picture would be missed, and others taken for it.
func (f Features) Registrable() error {
	if e := f.poor(); e.Distinct < minDistinct || e.Blocks < minBlocks || !enoughTexture(e.Textured, e.Faint, e.Rich) || e.Repeats > maxRepeats {
		return e
	}
	return nil
}

// poor counts what Registrable asks for.
func (f Features) poor() *PoorError {
	c := f.Compact()
	n := c.Len()
	var blocks uint64
	e := &PoorError{Points: n}
	for i := range n {
		d, p, own := c.descriptor(i), c.point(i), true
		for k := 0; k < n && own; k++ {
			if d.distance(c.descriptor(k)) > alike || k == i {
				continue
			}
			// The same place at the next level is no repetition.
			q := c.point(k)
			dx, dy := int64(p.x)-int64(q.x), int64(p.y)-int64(q.y)
			own = dx*dx+dy*dy < 32*16*32*16
		}
		if !own {
			continue
		}
		e.Distinct++
		w, h := c.size()
		blocks |= 1 << (int(p.y)*6/(32*h)*6 + int(p.x)*6/(32*w))
	}
	e.Blocks = bits.OnesCount64(blocks)
	if c.b != nil {
		var l looker
		g, _ := c.luma(nil)
		e.Textured, e.Faint, e.Rich = l.texture(g)
		e.Repeats = l.repeats(g)
	}
	return e
}

// PoorError says why a picture has too little of its own to be registered.
type PoorError struct {
	Points   int // that were found, at most RegisteredPoints
	Distinct int // of them that look like no other point of the picture
	Blocks   int // of the 6 × 6 blocks of the picture that have a distinct point
	Textured int // squares of the thumbnail, of some 200, that have texture
	Faint    int // those that have faint texture
	Rich     int // of both, those whose texture runs in more than one direction
	// Repeats is the share of the textured squares, 0 to 1, that are the same
	// again elsewhere in the picture, all moved alike.
	Repeats float64
}

func (e *PoorError) Error() string {
	return fmt.Sprintf("features: too little to recognise the picture by: %d points, of which %d look like no other (needed %d) in %d of 36 blocks (needed %d); %d squares of the thumbnail have texture (needed %d), %d faint texture (together needed %d), %d of them in more than one direction (needed %d); %.0f %% of what has texture repeats itself (allowed %d %%)",
		e.Points, e.Distinct, minDistinct, e.Blocks, minBlocks, e.Textured, minClear, e.Faint, minSquares, e.Rich, minRich, 100*e.Repeats, int(100*maxRepeats))
}

// SizeError says that a picture is too small, too narrow or too big to have
// features.
type SizeError struct {
	Width, Height int // of the picture, in pixels
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("features: a picture of %d × %d pixels has no features: sides up to %d, enlarged at most %d times and reduced to at most %d × 1000 pixels, must both come to %d or more",
		e.Width, e.Height, maxSourceSide, maxEnlarge, workArea/1000, minWorkSide)
}

// Extract returns the features of a picture. Its orientation tag does not
// matter: turned and mirrored pictures are recognised as they are. A picture
// too small or too narrow to have any gives a *SizeError; one without detail
// gives a set with few points or none. It is safe for concurrent use; img is
// only read.
//
// The same pixels give the same features on every architecture. Transparent
// pixels are laid over white.
func Extract(img image.Image) (Features, error) {
	e := extractors.Get().(*extractor)
	defer extractors.Put(e)
	return e.extract(img)
}
