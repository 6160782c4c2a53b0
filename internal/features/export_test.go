package features

import (
	"image"
	"math/bits"
	"slices"
)

// Votes returns the votes of f as the look-up tables find them.
func (s *Segment) Votes(f Features) []uint64 {
	var x Searcher
	x.Ask(f)
	s.vote(&x, nil)
	return x.votes
}

// LinearVotes returns the votes of f as a comparison of all points finds them.
func (s *Segment) LinearVotes(f Features) []uint64 {
	var votes []uint64
	for pic := range s.n {
		r := s.picture(pic)
		for mir := range 2 {
			var v view
			v.load(f, mir == 1)
			var group []uint64
			for i := range r.len() {
				for q, d := range v.desc {
					dist := bits.OnesCount64(d[0] ^ r.signature(i))
					if dist <= voteDistance && s.cut(wordOf(d)) == s.cut(r.word(i)) {
						group = append(group, uint64(pic)<<28|uint64(mir)<<27|uint64(i)<<19|uint64(dist)<<10|uint64(q))
					}
				}
			}
			if len(group) > 1 {
				votes = append(votes, group...)
			}
		}
	}
	slices.Sort(votes)
	return votes
}

// NewSegmentOf is NewSegment with lean records, or with rich ones.
func NewSegmentOf(entries []Entry, lean bool) (*Segment, error) { return newSegment(entries, lean) }

// Test is a comparison of a descriptor.
type Test = test

// PatchRadius is how far the tests reach from the point, in level pixels.
const PatchRadius = 18

// Picture is a picture with the points that Extract finds in it, for choosing
// tests.
type Picture struct{ e extractor }

// NewPicture finds at most limit points in img.
func NewPicture(img image.Image, limit int) (*Picture, error) {
	p := new(Picture)
	_, err := p.e.points(img, limit)
	return p, err
}

// Len returns the number of points, Size the size of the working picture.
func (p *Picture) Len() int         { return len(p.e.keys) }
func (p *Picture) Size() (w, h int) { return p.e.src.w, p.e.src.h }

// Point returns the place of point i in working pixels, its scale in levels and
// its angle in 1/256 turns.
func (p *Picture) Point(i int) (x, y, scale float64, angle uint8) {
	k := p.e.keys[i]
	return float64(k.x) / 32, float64(k.y) / 32, float64(k.scale) / 16, k.angle
}

// Bits returns the outcome of the given tests at point i, bit k%64 of word k/64
// for test k.
func (p *Picture) Bits(i int, candidates []Test) []uint64 {
	pt := &p.e.det.pts[i]
	l := &p.e.pyr.levels[pt.level]
	out := make([]uint64, (len(candidates)+63)/64)
	var set [256]test
	for at := 0; at < len(candidates); at += 256 {
		n := copy(set[:], candidates[at:])
		d := describeBy(&set, l, pt.x*16+8+pt.fx, pt.y*16+8+pt.fy, p.e.keys[i].angle)
		for k := range n {
			out[(at+k)/64] |= d[k/64] >> (k % 64) & 1 << ((at + k) % 64)
		}
	}
	return out
}

// MakeTest returns a test of two boxes of 2r+1 pixels.
func MakeTest(x1, y1, x2, y2, r int) Test {
	return test{int8(x1), int8(y1), int8(x2), int8(y2), int8(r)}
}

// Fields returns what MakeTest was given.
func (t test) Fields() [5]int {
	return [5]int{int(t.x1), int(t.y1), int(t.x2), int(t.y2), int(t.r)}
}

// Pair is a point and where it was found.
type Pair struct{ RX, RY, QX, QY float64 }

// FitProjective returns where the projective map that fits the pairs takes x, y.
func FitProjective(ps []Pair, x, y float64) (u, v float64, ok bool) {
	in := make([]pair, len(ps))
	for i, p := range ps {
		in[i] = pair{rx: p.RX, ry: p.RY, qx: p.QX, qy: p.QY}
	}
	t, ok := fitProjective(in)
	u, v = t.apply(x, y)
	return u, v, ok
}

// LeanPoints and LeanThumb bound lean records.
const (
	LeanPoints = leanPoints
	LeanThumb  = leanThumb
)

// RecordOf returns the record of f.
func RecordOf(f Features, lean bool) Features {
	var k work
	return Features{k.appendRecord(nil, f, lean)}
}

// Raw returns the bytes of f.
func (f Features) Raw() []byte { return f.b }

// Thumbnail returns the pixels of the thumbnail.
func (f Features) Thumbnail() []uint8 {
	g, _ := f.luma(nil)
	return g.pix
}

// Tolerance returns by how much the thumbnail of a record may be off.
func (f Features) Tolerance() int { return int(f.b[headerSize+f.Len()*f.pointBytes()]) }

// InkLen returns the length of the fine picture.
func (f Features) InkLen() int {
	if !f.HasInk() {
		return 0
	}
	return len(f.inkBytes())
}

// CodeThumbnail returns the code of a picture, and what it will be read as.
func CodeThumbnail(pix []uint8, w, tolerance int) (b, got []uint8) {
	got = slices.Clone(pix)
	var c thumbCoder
	b, _ = c.appendThumb(nil, gray{w, len(pix) / w, w, got}, tolerance, 1<<20)
	return b, got
}

// ReadThumbnail reads a code.
func ReadThumbnail(b []byte, w, pixels int) []uint8 {
	pix := make([]uint8, pixels)
	var c thumbCoder
	c.readThumb(b, w, pix)
	return pix
}

// WithoutIDs returns the bytes of s with zeros for the IDs.
func (s *Segment) WithoutIDs() []byte {
	b := slices.Clone(s.b)
	clear(b[s.ids:s.recs])
	return b
}

// RecordsAt returns where the records begin.
func (s *Segment) RecordsAt() int { return s.recs }

// Flips returns, for the points of a registered picture that are proved to be in a copy,
// the bits of their descriptors that differ.
func Flips(registered, copied Features) (flips [][4]uint64) {
	s, err := NewSegment([]Entry{{Features: registered}})
	if err != nil {
		return nil
	}
	var x Searcher
	c := registered.Compact()
	s.Search(&x, copied, func(m Match) bool {
		side := 0
		if m.Mirrored {
			side = 1
		}
		for _, p := range x.look.inside {
			a, b := c.descriptor(int(p.r)), x.views[side].desc[p.q]
			flips = append(flips, [4]uint64{a[0] ^ b[0], a[1] ^ b[1], a[2] ^ b[2], a[3] ^ b[3]})
		}
		return false
	})
	return flips
}

// WordBits are the bits of words.
var WordBits = wordBits[:]
