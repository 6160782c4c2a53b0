package phash

import (
	"fmt"
	"image"
)

// Reading is one way to look at a transparent picture. A picture without
// transparency is the same in all. The values are stored and never change their
// meaning.
type Reading uint8

const (
	// ReadingWhite is the picture over white, as most people see it.
	ReadingWhite Reading = 0
	// ReadingBlack is the picture over black, as on dark pages.
	ReadingBlack Reading = 1
	// ReadingColours are the colours without alpha, including the invisible
	// colours below full transparency.
	ReadingColours Reading = 2
)

// String returns "white", "black", "colours" or "Reading(n)".
func (r Reading) String() string {
	switch r {
	case ReadingWhite:
		return "white"
	case ReadingBlack:
		return "black"
	case ReadingColours:
		return "colours"
	}
	return fmt.Sprintf("Reading(%d)", uint8(r))
}

// view is the view of a registered picture in another reading than the first.
func (r Reading) view() Edit {
	return [...]Edit{ReadingWhite: OverWhite, ReadingBlack: OverBlack, ReadingColours: WithoutAlpha}[r]
}

// SameReading is the maximum distance in bits between the hashes of two readings
// of a picture that show the same.
const SameReading = 10

// Reading returns the luma of one reading of the picture: 8 bits, bounds from zero.
// It must not be changed. ReadingWhite is what Luma returns.
func (p *Picture) Reading(r Reading) *image.Gray {
	if r == ReadingWhite || !p.HasAlpha() {
		return p.Luma()
	}
	return lumaOn(p.shown(), r)
}

// lumaOn returns the luma of an image in a reading.
func lumaOn(img image.Image, r Reading) *image.Gray {
	b := img.Bounds()
	g := image.NewGray(image.Rect(0, 0, b.Dx(), b.Dy()))
	at := straightAt(img)
	for y := range b.Dy() {
		row := g.Pix[y*g.Stride:][:b.Dx()]
		for x := range row {
			c := r.over(at(b.Min.X+x, b.Min.Y+y))
			row[x] = byte(rgbLuma(c.R, c.G, c.B) + 0.5)
		}
	}
	return g
}

// read is one reading of a picture with its hash.
type read struct {
	reading Reading
	luma    *image.Gray // nil for the colours, of which only the hash is needed
	hash    Hash
	quality int
}

// readings are all readings of a picture, the one first that the others are
// measured by: what people see of it.
type readings struct {
	main   read
	others []read // those that have a hash
	// alike: over white and over black the same things can be seen.
	alike bool
}

// readings looks at a picture in each way.
//
// The hash of the colours is the one that every implementation of PDQ gives, so it
// is the first where it lies near what is seen. Otherwise what is seen over white
// is, or, if nothing can be seen there, what is seen over black.
func (k *Hasher) readings(p *Picture) readings {
	colours := read{reading: ReadingColours}
	colours.hash, colours.quality = k.PDQOf(p)
	if !p.HasAlpha() {
		colours.reading = ReadingWhite
		return readings{main: colours}
	}
	on := func(r Reading) read {
		o := read{reading: r, luma: p.Reading(r)}
		o.hash, o.quality = k.hash(k.grayOf(o.luma))
		return o
	}
	white, black := on(ReadingWhite), on(ReadingBlack)
	r := readings{alike: alike(white.luma, black.luma)}
	switch ok := (*read).usable; {
	case ok(&white) && ok(&colours) && near(white.hash, colours.hash):
		r.main = colours
	case ok(&white) || !ok(&black):
		r.main = white
	default:
		r.main = black
	}
	for _, o := range []read{white, black, colours} {
		if o.reading != r.main.reading && o.usable() {
			r.others = append(r.others, o)
		}
	}
	return r
}

// usable reports whether the reading has a hash that tells it from others.
func (r *read) usable() bool { return r.quality >= QualityFloor && r.hash.Plausible() }

func near(a, b Hash) bool {
	d, ok := a.Distance(b)
	return ok && d <= SameReading
}

// agrees reports whether another reading shows what the main one shows: its hash is
// near, or it is the same picture on the other ground.
func (r *readings) agrees(o read) bool {
	if near(r.main.hash, o.hash) {
		return true
	}
	return r.alike && o.reading != ReadingColours
}

// compare returns the hashes of the readings that show what the main one shows, and
// the readings that show something else.
func (r *readings) compare() (stored map[Edit]Hash, differing []Reading) {
	stored = map[Edit]Hash{}
	for _, o := range r.others {
		if r.agrees(o) {
			stored[o.reading.view()] = o.hash
		} else {
			differing = append(differing, o.reading)
		}
	}
	return stored, differing
}

// alike reports whether people see the same over white as over black. What is
// white or black itself is seen on one ground only. A picture can be made of both
// so that it shows one thing on a white page, and another on a dark one.
func alike(white, black *image.Gray) bool {
	const (
		margin = 20 // of 255: closer to the ground is not seen
		opaque = 64 // less differs only what is nearly opaque
		share  = 80 // of 100
	)
	one, both := 0, 0
	for i, w := range white.Pix {
		onWhite, onBlack := w < 255-margin, black.Pix[i] > margin
		if onWhite || onBlack {
			one++
		}
		if onWhite && onBlack && w-black.Pix[i] < opaque {
			both++
		}
	}
	return both > 0 && int64(both)*100 >= int64(one)*share
}
