package phash

import (
	"fmt"
	"image"
)

// Level is how many hashes a registration stores.
type Level uint8

const (
	// LevelDefault stores at most 16 hashes for a picture.
	LevelDefault Level = 0
	// LevelWide stores at most 48, for services that only ever have hashes of
	// what they show, and so cannot look for local features.
	LevelWide Level = 1
)

// String returns "default", "wide" or "Level(n)".
func (l Level) String() string {
	switch l {
	case LevelDefault:
		return "default"
	case LevelWide:
		return "wide"
	}
	return fmt.Sprintf("Level(%d)", uint8(l))
}

// View is the part of a picture that a registered hash is of. The values are
// stored and never change their meaning.
type View uint8

const (
	Whole     View = 0 // all of it
	Trimmed   View = 1 // without its plain borders
	OverWhite View = 2 // all of it, where it is transparent over white
	Crop5     View = 3 // 95 % of width and height, from the middle
	Crop10    View = 4 // 90 %
	nViews    View = 5
)

var viewNames = [nViews]string{"whole", "trimmed", "overwhite", "crop5", "crop10"}

// String returns the name in lower case, such as "crop5".
func (v View) String() string {
	if v < nViews {
		return viewNames[v]
	}
	return fmt.Sprintf("View(%d)", uint8(v))
}

// Kind says of which view of a registered picture, in which orientation, a hash
// is: View·8 + Orientation. The values are stored and never change their
// meaning.
type Kind uint8

// MakeKind returns the kind for a view in an orientation.
func MakeKind(v View, o Orientation) Kind { return Kind(v)<<3 | Kind(o)&7 }

// View returns the view of the kind.
func (k Kind) View() View { return View(k >> 3) }

// Orientation returns the orientation of the kind.
func (k Kind) Orientation() Orientation { return Orientation(k & 7) }

// String returns view and orientation, such as "whole" or "crop5+mirrored".
func (k Kind) String() string {
	if k.Orientation() == Upright {
		return k.View().String()
	}
	return k.View().String() + "+" + k.Orientation().String()
}

// Variant is one hash that a registration stores.
type Variant struct {
	Hash Hash
	Kind Kind
}

// Registration is what is stored of a picture so that copies of it are found.
type Registration struct {
	// Hashes has the picture's own hash first. All have the same algorithm, and
	// no two are equal.
	Hashes []Variant
	// Quality is PDQ's, 0 to 100; -1 where only a hash was registered.
	Quality int
	// Stability is by how many bits the picture's own hash moves under changes
	// that nobody sees: the larger of a crop of half a percent and a strong
	// compression. -1 where only a hash was registered.
	Stability int
}

// RegisterOptions choose what [Register] stores. A nil pointer means defaults.
type RegisterOptions struct {
	Level Level
}

// The bounds for fuzzy registration. A picture beyond them is found by its own
// bytes and addresses only.
const (
	// QualityFloor is the least PDQ quality, the one that PDQ's authors use.
	QualityFloor = 50
	// StabilityLimit is the most, in bits, that the hash of a picture may move
	// under changes that nobody sees.
	StabilityLimit = 30
)

// Refusal is why a picture or a hash cannot be registered for fuzzy matching.
// The values are stored and never change their meaning.
type Refusal uint8

const (
	RefusedQuality   Refusal = 1 // too little structure: other pictures would match
	RefusedStability Refusal = 2 // the hash moves too far under changes nobody sees
	RefusedBits      Refusal = 3 // no picture with any detail has such a hash
)

// String returns "quality", "stability" or "bits".
func (r Refusal) String() string {
	switch r {
	case RefusedQuality:
		return "quality"
	case RefusedStability:
		return "stability"
	case RefusedBits:
		return "bits"
	}
	return fmt.Sprintf("Refusal(%d)", uint8(r))
}

// RefusedError says that something cannot be registered for fuzzy matching, and
// what can be done instead.
type RefusedError struct {
	Reason Refusal
	Value  int // the quality, the bits moved, or the bits set
	Limit  int // what it should have been at least, at most, or exactly
}

func (e *RefusedError) Error() string {
	switch e.Reason {
	case RefusedQuality:
		return fmt.Sprintf("phash: quality %d is below %d: the picture has too little structure to be told from others; "+
			"register its address and the digest of its bytes instead", e.Value, e.Limit)
	case RefusedStability:
		return fmt.Sprintf("phash: the hash moves by %d bits, more than %d, under changes that nobody sees: matching would miss copies and hit others; "+
			"register the picture's address and the digest of its bytes instead", e.Value, e.Limit)
	}
	return fmt.Sprintf("phash: the hash has %d ones where a picture with any detail has exactly %d: it is of a flat picture or of none; "+
		"register the picture itself, or its address and the digest of its bytes", e.Value, e.Limit)
}

// Register returns the hashes to store for p, so that copies are found by one
// hash of theirs: also mirrored, turned, slightly cropped or bordered ones. A
// picture that cannot be matched fuzzily without harm to others gives a
// [*RefusedError].
func Register(p *Picture, opts *RegisterOptions) (Registration, error) {
	if opts == nil {
		opts = &RegisterOptions{}
	}
	k := hashers.Get().(*Hasher)
	defer hashers.Put(k)

	rows := k.pictureRows(p)
	own, quality := k.hash(rows)
	if quality < QualityFloor {
		return Registration{}, &RefusedError{RefusedQuality, quality, QualityFloor}
	}
	if n := own.OnesCount(); n != onesOf(AlgPDQ) {
		return Registration{}, &RefusedError{RefusedBits, n, onesOf(AlgPDQ)}
	}
	r := Registration{Quality: quality}
	luma := p.Luma()
	for _, s := range []image.Rectangle{shave(luma.Rect, 1, 200)} {
		if s.Dx() < MinSide || s.Dy() < MinSide {
			continue
		}
		h, _ := k.hash(sub(luma, s))
		d, _ := own.Distance(h)
		r.Stability = max(r.Stability, d)
	}
	if r.Stability > StabilityLimit {
		return Registration{}, &RefusedError{RefusedStability, r.Stability, StabilityLimit}
	}

	r.add(own, Whole, Upright)
	all, _ := k.dihedral(rows)
	for o := Rotated90; o < nOrientations; o++ {
		r.add(all[o], Whole, o)
	}
	if p.HasAlpha() {
		h, _ := k.hash(sub(luma, luma.Rect))
		r.add(h, OverWhite, Upright)
	}
	if t, ok := trimBorders(luma); ok {
		h, q := k.hash(sub(luma, t))
		if q >= QualityFloor {
			r.add(h, Trimmed, Upright)
		}
	}
	h, _ := k.hash(sub(luma, shave(luma.Rect, 5, 200)))
	r.add(h, Crop5, Upright)
	if opts.Level == LevelWide {
		h, _ := k.hash(sub(luma, shave(luma.Rect, 10, 200)))
		r.add(h, Crop10, Upright)
	}
	return r, nil
}

// add stores a hash unless it is there already, or is of a flat view.
func (r *Registration) add(h Hash, v View, o Orientation) {
	if h.OnesCount() != onesOf(h.alg) {
		return
	}
	for _, w := range r.Hashes {
		if w.Hash == h {
			return
		}
	}
	r.Hashes = append(r.Hashes, Variant{h, MakeKind(v, o)})
}

// onesOf is how many bits are set in the hash of every picture with detail.
func onesOf(a Algorithm) int { return a.Bits() / 2 }

// shave returns r without part/of of its sides at each edge.
func shave(r image.Rectangle, part, of int) image.Rectangle {
	dx, dy := r.Dx()*part/of, r.Dy()*part/of
	return image.Rect(r.Min.X+dx, r.Min.Y+dy, r.Max.X-dx, r.Max.Y-dy)
}

// sub gives the rows of a part of g.
func sub(g *image.Gray, r image.Rectangle) lumaSource {
	return newGrayRows(g.Pix[g.PixOffset(r.Min.X, r.Min.Y):], g.Stride, r)
}

// RegisterHash returns the hashes to store where only a hash is at hand, as in
// lists that are exchanged: h itself and its other orientations, derived from
// the bits alone. Those lie within about 30 bits of the true ones, so matching
// them finds less than [Register] does. A hash without exactly half of its bits
// set is refused with a [*RefusedError]; the zero Hash gives an error that wraps
// [ErrHashKind].
func RegisterHash(h Hash) (Registration, error) {
	if h.IsZero() {
		return Registration{}, fmt.Errorf("phash: the zero Hash is no hash: %w", ErrHashKind)
	}
	if n := h.OnesCount(); n != onesOf(h.alg) {
		return Registration{}, &RefusedError{RefusedBits, n, onesOf(h.alg)}
	}
	r := Registration{Quality: -1, Stability: -1}
	for o := Upright; o < nOrientations; o++ {
		r.Hashes = append(r.Hashes, Variant{h.Turned(o), MakeKind(Whole, o)})
	}
	return r, nil
}

// Turned estimates the hash of the same picture in another orientation from the
// bits of h: the signs of the coefficients that mirroring turns are inverted as
// if the median were zero, and transposing is exact. On photographs the result
// lies a median of 4 to 10 bits from the true one.
func (h Hash) Turned(o Orientation) Hash {
	side, first := freqs, 1 // PDQ: rows of 16 from bit 0 up, frequencies from 1
	if h.alg == AlgPerception {
		side, first = 8, 0 // rows of 8 from bit 63 down, frequencies from 0
	}
	at := func(i, j int) int {
		if h.alg == AlgPerception {
			return 63 - (i*side + j)
		}
		return i*side + j
	}
	if h.alg.Bits() == 0 {
		return h
	}
	oddRows, oddCols, transpose := o.rules()
	t := Hash{alg: h.alg}
	for i := range side {
		for j := range side {
			k := at(i, j)
			bit := h.w[k/64] >> (k % 64) & 1
			if (oddRows && (i+first)%2 == 1) != (oddCols && (j+first)%2 == 1) {
				bit ^= 1
			}
			if transpose {
				k = at(j, i)
			}
			t.w[k/64] |= bit << (k % 64)
		}
	}
	return t
}

// Query returns the hashes under which a picture is looked up: its own, and
// where it has plain borders, the one without them; and where it is transparent,
// the one over white. The picture's own is the one to store.
func Query(p *Picture) []Hash {
	k := hashers.Get().(*Hasher)
	defer hashers.Put(k)
	own, _ := k.Picture(p)
	hs := []Hash{own}
	luma := p.Luma()
	if p.HasAlpha() {
		h, _ := k.hash(sub(luma, luma.Rect))
		hs = append(hs, h)
	}
	if t, ok := trimBorders(luma); ok {
		if h, q := k.hash(sub(luma, t)); q >= QualityFloor {
			hs = append(hs, h)
		}
	}
	return hs
}
