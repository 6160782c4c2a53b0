package features

import (
	"encoding/binary"
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
			seen := 0
			for i := range r.Len() {
				for q, d := range v.desc {
					dist := d.distance(r.descriptor(i))
					if dist > voteDistance || bits.OnesCount64(d[0]^r.descriptor(i)[0]) > voteDistance/2 || siblingsDiffer(d, r.descriptor(i)) {
						continue
					}
					n := 0
					for t := range tables {
						if key(d, t, s.keyBits) == key(r.descriptor(i), t, s.keyBits) {
							n++
						}
					}
					if n > 0 {
						seen += n
						group = append(group, uint64(pic)<<28|uint64(mir)<<27|uint64(i)<<19|uint64(dist)<<10|uint64(q))
					}
				}
			}
			if seen > 1 {
				votes = append(votes, group...)
			}
		}
	}
	slices.Sort(votes)
	return votes
}

func siblingsDiffer(a, b descriptor) bool {
	return bits.OnesCount32(sibling(a)^sibling(b)) > siblingDistance
}

// Tables returns all tables of the sets for keys of k bits, as NewSegment writes
// them.
func Tables(sets []Features, k int) []byte {
	m := 0
	for _, f := range sets {
		m += f.Len()
	}
	s := &Segment{n: len(sets), m: m, keyBits: k}
	s.place(0)
	b := make([]byte, tables*s.tabSize)
	w := newTableWriter(sets, m, k)
	for t := range tables {
		w.write(b[t*s.tabSize:][:s.tabSize], sets, t)
	}
	return b
}

// PlainTables returns the same, written the plain way: each key bit by bit, each
// entry straight to its cell.
func PlainTables(sets []Features, k int) []byte {
	var all []byte
	for t := range tables {
		cells := make([]uint32, 1<<k+1)
		for _, f := range sets {
			for i := range f.Len() {
				cells[key(f.descriptor(i), t, k)+1]++
			}
		}
		for i := 1; i < len(cells); i++ {
			cells[i] += cells[i-1]
		}
		b := make([]byte, (4*len(cells)+7)&^7, (4*len(cells)+7)&^7+entrySize*int(cells[1<<k]))
		for i, c := range cells {
			binary.LittleEndian.PutUint32(b[4*i:], c)
		}
		at := len(b)
		b = b[:cap(b)]
		for p, f := range sets {
			for i := range f.Len() {
				d := f.descriptor(i)
				c := &cells[key(d, t, k)]
				e := b[at+entrySize*int(*c):]
				binary.LittleEndian.PutUint32(e, uint32(p)<<8|uint32(i))
				binary.LittleEndian.PutUint32(e[4:], sibling(d))
				*c++
			}
		}
		all = append(all, b...)
	}
	return all
}

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
