package phash

import (
	"fmt"
	"image"
	"slices"

	"github.com/staydown/staydown/internal/jpegdec"
)

// Level is how many hashes a registration stores.
type Level uint8

const (
	// LevelDefault stores at most 16 hashes for a picture.
	LevelDefault Level = 0
	// LevelWide stores at most 48, for services that only have hashes of the
	// pictures that they show, and so cannot look for local features.
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

// StoredHash is one hash that a registration stores.
type StoredHash struct {
	Hash      Hash
	Transform Transform
}

// Registration is the stored data of a picture by which copies are found.
type Registration struct {
	// Hashes has the picture's own hash first. No two are equal.
	Hashes []StoredHash
	// Quality is PDQ's, 0 to 100; -1 where only a hash was registered.
	Quality int
	// Stability is the number of bits by which the picture's own hash moves under
	// invisible changes: the larger of a crop of half a percent and a strong
	// compression. It is -1 if only a hash was registered.
	Stability int
	// Reading is the way in which a transparent picture is registered: as it is
	// seen over white, or over black if nothing is visible over white.
	// ReadingColours means that the visible picture and the colours without alpha
	// are the same, within SameReading bits.
	Reading Reading
	// Differing are readings that are not registered, because they show something
	// else. This is a picture hidden below transparency, or one that is visible on
	// dark pages only. A reviewer has to see them.
	Differing []Reading
}

// StoreOptions choose what [HashesToStore] stores. A nil pointer means defaults.
type StoreOptions struct {
	Level Level
	// AllAlgorithms adds the hashes of the eight orientations by every algorithm
	// beside PDQ, for services that store those. They do not count for the level.
	AllAlgorithms bool
	// MaxMissing is the part of a damaged picture that may be missing, from 0 to
	// 1; see [Damage]. Set it only if a person has looked at the picture. With 0, a
	// visibly damaged picture is refused.
	MaxMissing float64
}

// The bounds for fuzzy registration. A picture beyond them is found by its own
// bytes and addresses only.
const (
	// QualityFloor is the least PDQ quality, the one that PDQ's authors use.
	QualityFloor = 50
	// AskFloor is the PDQ quality below which a picture has no hash for look-ups,
	// see [HashesToAsk]. Of 24,651 labelled copies of registered photos two are
	// below it: crops of 20 and 30 % with little detail.
	AskFloor = 30
	// StabilityLimit is the most, in bits, that the hash of a picture may move
	// under invisible changes.
	StabilityLimit = 40
)

// Refusal is the reason why a picture or a hash cannot be registered for fuzzy
// matching. The values are stored and never change their meaning.
type Refusal uint8

const (
	RefusedQuality   Refusal = 1 // too little structure: other pictures would match
	RefusedStability Refusal = 2 // the hash moves too far under changes nobody sees
	RefusedBits      Refusal = 3 // no picture with any detail has such a hash
	RefusedTruncated Refusal = 4 // the file is cut off: part of the picture is noise
)

// String returns "quality", "stability", "bits" or "truncated".
func (r Refusal) String() string {
	switch r {
	case RefusedQuality:
		return "quality"
	case RefusedStability:
		return "stability"
	case RefusedBits:
		return "bits"
	case RefusedTruncated:
		return "truncated"
	}
	return fmt.Sprintf("Refusal(%d)", uint8(r))
}

// RefusedError reports why something cannot be registered for fuzzy matching, and
// an alternative.
type RefusedError struct {
	Reason Refusal
	Value  int // the quality, the bits moved, or the bits set; 0 for truncated
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
	case RefusedTruncated:
		return "phash: the file is cut off and part of the picture is missing: register the whole file, or its address and the digest of its bytes"
	}
	return fmt.Sprintf("phash: the hash has %d ones, a picture with any detail has %d: it is of a flat picture or of none; "+
		"register the picture itself, or its address and the digest of its bytes", e.Value, e.Limit)
}

// defaultTransforms are what LevelDefault stores, most valuable first: where a
// picture has views that others have not (borders, transparency), the last ones
// give way. Each was chosen by what it adds to the recall of copies, see
// docs/accuracy.md.
var defaultTransforms = []Transform{
	MakeTransform(Whole, Upright), MakeTransform(Whole, Mirrored),
	MakeTransform(Whole, Rotated90), MakeTransform(Whole, Rotated270), MakeTransform(Whole, Rotated180), MakeTransform(Whole, Flipped),
	MakeTransform(Trimmed, Upright), MakeTransform(OverWhite, Upright), MakeTransform(OverBlack, Upright), MakeTransform(WithoutAlpha, Upright),
	MakeTransform(Crop7, Upright),
	MakeTransform(TopLeft4, Upright), MakeTransform(TopRight4, Upright), MakeTransform(BottomLeft4, Upright), MakeTransform(BottomRight4, Upright),
	MakeTransform(TiltRight, Upright), MakeTransform(TiltLeft, Upright), MakeTransform(Padded, Upright),
	MakeTransform(Whole, Transposed), MakeTransform(Whole, AntiTransposed),
}

// wideOnlyTransforms are what LevelWide stores after those, most valuable first.
var wideOnlyTransforms = []Transform{
	MakeTransform(Crop7, Mirrored), MakeTransform(Square, Upright), MakeTransform(Crop13, Upright), MakeTransform(Crop20, Upright),
	MakeTransform(CutRight, Upright), MakeTransform(CutLeft, Upright),
	MakeTransform(TopLeft9, Upright), MakeTransform(TopRight9, Upright), MakeTransform(BottomLeft9, Upright), MakeTransform(BottomRight9, Upright),
	MakeTransform(Square, Mirrored), MakeTransform(Crop13, Mirrored), MakeTransform(Crop20, Mirrored),
	MakeTransform(TopLeft4, Mirrored), MakeTransform(TopRight4, Mirrored), MakeTransform(BottomLeft4, Mirrored), MakeTransform(BottomRight4, Mirrored),
	MakeTransform(LeanRight, Upright), MakeTransform(LeanLeft, Upright), MakeTransform(Crop30, Upright), MakeTransform(Crop30, Mirrored),
	MakeTransform(TiltRight, Mirrored), MakeTransform(TiltLeft, Mirrored), MakeTransform(CutRight, Mirrored), MakeTransform(CutLeft, Mirrored),
	MakeTransform(TopLeft9, Mirrored), MakeTransform(TopRight9, Mirrored), MakeTransform(BottomLeft9, Mirrored), MakeTransform(BottomRight9, Mirrored),
}

// What the levels store, and how many PDQ hashes of it at most.
var (
	transformsOf = [...][]Transform{LevelDefault: defaultTransforms, LevelWide: slices.Concat(defaultTransforms, wideOnlyTransforms)}
	maxHashes    = [...]int{LevelDefault: 16, LevelWide: 48}
)

// HashesToStore returns the hashes to store for p. One hash of a copy then finds
// p, also if the copy is mirrored, turned, slightly cropped or bordered. For a
// picture that cannot be matched fuzzily without harm to others it returns a
// [*RefusedError], and a Registration that has only Differing. Safe for concurrent
// use.
func HashesToStore(p *Picture, opts *StoreOptions) (Registration, error) {
	k := hashers.Get().(*Hasher)
	defer hashers.Put(k)
	return k.HashesToStore(p, opts)
}

// HashesToStore is the function [HashesToStore] with the buffers of k.
func (k *Hasher) HashesToStore(p *Picture, opts *StoreOptions) (Registration, error) {
	if opts == nil {
		opts = new(StoreOptions)
	}
	if int(opts.Level) >= len(transformsOf) {
		return Registration{}, fmt.Errorf("phash: %v is neither LevelDefault nor LevelWide", opts.Level)
	}
	if p.Truncated() && !(p.damage.Missing <= opts.MaxMissing && opts.MaxMissing > 0) {
		return Registration{}, &RefusedError{Reason: RefusedTruncated}
	}
	seen := k.readings(p)
	own, quality := seen.main.hash, seen.main.quality
	stored, differing := seen.compare()
	refuse := func(e *RefusedError) (Registration, error) { return Registration{Differing: differing}, e }
	if quality < QualityFloor {
		return refuse(&RefusedError{RefusedQuality, quality, QualityFloor})
	}
	if !own.Plausible() {
		return refuse(refusedBits(own))
	}

	whole := p.Luma()
	if seen.main.reading == ReadingBlack {
		whole = seen.main.luma
	}
	luma := k.forViews(p, whole)
	r := Registration{Quality: quality, Stability: k.stability(luma), Reading: seen.main.reading, Differing: differing}
	if r.Stability > StabilityLimit {
		return refuse(&RefusedError{RefusedStability, r.Stability, StabilityLimit})
	}

	r.Hashes = make([]StoredHash, 0, maxHashes[opts.Level])
	r.Hashes = append(r.Hashes, StoredHash{own, MakeTransform(Whole, Upright)})
	for _, kind := range transformsOf[opts.Level][1:] {
		if len(r.Hashes) == maxHashes[opts.Level] {
			break
		}
		if h, ok := stored[kind.Edit()]; ok {
			r.add(h, kind)
		} else if g := k.view(kind, whole, luma); g != nil {
			if h, q := k.hash(k.grayOf(g)); q >= QualityFloor {
				r.add(h, kind)
			}
		}
	}
	if opts.AllAlgorithms {
		if err := r.addOthers(p); err != nil {
			return Registration{}, err
		}
	}
	return r, nil
}

// forViews returns what the views of whole, a reading of p, are cut from: a smaller
// picture, where that is enough.
func (k *Hasher) forViews(p *Picture, whole *image.Gray) *image.Gray {
	x, y := p.Size()
	w, h := shrunk(x), shrunk(y)
	if w*2 > x && h*2 > y || w > whole.Rect.Max.X || h > whole.Rect.Max.Y {
		return whole
	}
	k.sums = grow(k.sums, w)
	return shrink(whole, &k.small, w, h, k.sums)
}

// view returns the luma of a view of whole in its orientation, nil where the
// picture has no such view. luma is whole, or what it was shrunk to. The result is good until the next call. Turning the pixels costs
// a hash each, which turning the spectrum would not, but gives the very hash of
// a turned file; a turned spectrum is up to 28 bits off for small pictures.
func (k *Hasher) view(kind Transform, whole, luma *image.Gray) *image.Gray {
	g := luma
	switch v := kind.Edit(); v {
	case Trimmed:
		r := plainBorder.trim(whole)
		if r == whole.Rect {
			return nil
		}
		g = cutGray(whole, r)
	case OverWhite, OverBlack, WithoutAlpha: // they were found by their readings
		return nil
	default:
		full := whole.Rect.Max
		if !v.suits(full) {
			return nil
		}
		g = v.cut(luma, &k.tilted, full)
	}
	return turnGray(g, kind.Orientation().exif(), &k.turned)
}

// stability returns by how many bits the hash of g moves when half a percent of
// width and height are cut off, and when it is strongly compressed: the larger.
func (k *Hasher) stability(g *image.Gray) int {
	own, _ := k.hash(k.grayOf(g))
	w, h := g.Rect.Dx(), g.Rect.Dy()
	cropped, _ := k.hash(k.grayOf(cutGray(g, image.Rect(mils(w, 2), mils(h, 2), w-mils(w, 3), h-mils(h, 3)))))
	moved, _ := own.Distance(cropped)
	jpegdec.Coarsen(&k.coarse, g, 10)
	coarse, _ := k.hash(k.grayOf(&k.coarse))
	d, _ := own.Distance(coarse)
	return max(moved, d)
}

// add stores a hash unless it is there already, or is of a flat view.
func (r *Registration) add(h Hash, kind Transform) {
	if !h.Plausible() {
		return
	}
	for _, w := range r.Hashes {
		if w.Hash == h {
			return
		}
	}
	r.Hashes = append(r.Hashes, StoredHash{h, kind})
}

// addOthers stores the hashes of the eight orientations by all other algorithms.
func (r *Registration) addOthers(p *Picture) error {
	for a := range Algorithms() {
		if a == AlgPDQ || hashFuncs[a] == nil {
			continue
		}
		hs, err := hashFuncs[a](p)
		if err != nil {
			return err
		}
		for o, h := range hs {
			r.add(h, MakeTransform(Whole, Orientation(o)))
		}
	}
	return nil
}

// refusedBits is the error about a hash that is not plausible.
func refusedBits(h Hash) *RefusedError {
	a, n := &algorithms[h.alg], h.OnesCount()
	return &RefusedError{RefusedBits, n, min(max(n, a.least), a.most)}
}

// HashesToStoreOf returns the hashes to store when only a hash is known, as in
// lists that are exchanged. They are h itself and its other orientations, as far
// as these can be derived from the bits alone. Those lie within about 30 bits of
// the true ones, so they find fewer copies than the hashes of [HashesToStore].
//
// A hash that is not [Hash.Plausible] is refused with a [*RefusedError]. The zero
// Hash gives an error that wraps [ErrHashKind].
func HashesToStoreOf(h Hash) (Registration, error) {
	if h.IsZero() {
		return Registration{}, fmt.Errorf("phash: the zero Hash is no hash: %w", ErrHashKind)
	}
	if !h.Plausible() {
		return Registration{}, refusedBits(h)
	}
	r := Registration{Quality: -1, Stability: -1}
	for o := Upright; o < nOrientations; o++ {
		if t := h.Turned(o); !t.IsZero() {
			r.Hashes = append(r.Hashes, StoredHash{t, MakeTransform(Whole, o)})
		}
	}
	return r, nil
}

// Turned estimates the hash of the same picture in another orientation from the
// bits of h. For PDQ and perception hashes, transposing is exact. Mirroring
// inverts the signs of the affected coefficients as if the median were zero. On
// photographs the result lies a median of 4 to 10 bits from the true one. If the
// orientation cannot be derived from the bits, and for the zero Hash, it returns
// the zero Hash.
func (h Hash) Turned(o Orientation) Hash {
	if h.alg == AlgNone {
		return h
	}
	return algorithms[h.alg].turned(h, o)
}

// turnedPDQ: rows of 16 from bit 0 up, frequencies from 1.
func turnedPDQ(h Hash, o Orientation) Hash { return turnedSpectrum(h, o, freqs, 1, 0) }

// turnedPerception: rows of 8 from bit 63 down, frequencies from 0.
func turnedPerception(h Hash, o Orientation) Hash { return turnedSpectrum(h, o, 8, 0, 63) }

// turnedSpectrum turns a hash whose bits are the signs of side × side cosine
// coefficients, row by row, the lowest frequency being first. The coefficient
// with index k has the bit k^flip.
func turnedSpectrum(h Hash, o Orientation, side, first, flip int) Hash {
	oddRows, oddCols, transpose := o.rules()
	t := Hash{alg: h.alg}
	for i := range side {
		for j := range side {
			k := (i*side + j) ^ flip
			bit := h.w[k/64] >> (k % 64) & 1
			if (oddRows && (i+first)%2 == 1) != (oddCols && (j+first)%2 == 1) {
				bit ^= 1
			}
			if transpose {
				k = (j*side + i) ^ flip
			}
			t.w[k/64] |= bit << (k % 64)
		}
	}
	return t
}

// HashesToAsk returns the hashes under which a picture is looked up. The first is
// its own hash, which is the one to store. For a transparent picture, those of its
// other readings follow (see [Reading]). For a picture with plain borders, those
// without them follow (up to three: a border can be read in more than one way).
// Safe for concurrent use.
//
// For a transparent picture, the first hash is that of its colours if the visible
// picture over white is the same within [SameReading] bits. Otherwise it is that
// of the visible picture.
//
// The first element is the zero Hash (matches nothing) if the picture is blank or
// nearly so, of a quality below [AskFloor]. No registered picture looks like that,
// but the hash of a blank page with a rim is near to that of others.
func HashesToAsk(p *Picture) []Hash {
	k := hashers.Get().(*Hasher)
	defer hashers.Put(k)
	return k.AppendHashesToAsk(nil, p)
}

// AppendHashesToAsk appends the result of the function [HashesToAsk] to hs, with
// the buffers of k.
func (k *Hasher) AppendHashesToAsk(hs []Hash, p *Picture) []Hash {
	seen := k.readings(p)
	own := seen.main.hash
	if seen.main.quality < AskFloor {
		own = Hash{}
	}
	hs = append(hs, own)
	for _, o := range seen.others {
		if o.hash != own {
			hs = append(hs, o.hash)
		}
	}
	luma := p.Luma()
	k.parts = borders(k.parts[:0], luma, tightBorder, plainBorder, captionBorder)
	reduced := p.reducedOf()
	for _, r := range k.parts {
		var h Hash
		var q int
		if reduced != nil {
			h, q = k.hashReduced(reduced.part(r))
		} else {
			h, q = k.hash(k.rows(luma.Pix[luma.PixOffset(r.Min.X, r.Min.Y):], luma.Stride, r))
		}
		if q >= QualityFloor {
			hs = append(hs, h)
		}
	}
	return hs
}
