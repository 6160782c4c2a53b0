package blocklist

import (
	"fmt"
	"image"
	"strings"

	"github.com/staydown/staydown/phash"
)

// View is the part of a file that was registered: a frame, the reading of its
// transparency, and a rectangle of it. The zero View is the whole first frame,
// over white.
type View struct {
	// Frame counts from 0 in the order in which viewers show them.
	Frame uint32 `json:"frame,omitempty"`
	// Reading is how transparent pixels are seen. Its values are stored and never
	// change their meaning.
	Reading phash.Reading `json:"reading,omitempty"`
	// Rect is in pixels of the upright frame. The empty Rect is the whole frame.
	Rect image.Rectangle `json:"rect,omitzero"`
}

// String describes the view, such as "frame 3, over black, (0,0)-(90,60)".
func (v View) String() string {
	s := fmt.Sprintf("frame %d", v.Frame)
	if v.Reading != phash.ReadingWhite {
		s += fmt.Sprintf(", reading %v", v.Reading)
	}
	if v.Rect != (image.Rectangle{}) {
		s += ", " + v.Rect.String()
	}
	return s
}

// maxViewSide bounds the coordinates of a View.
const maxViewSide = 1 << 30

func (v *View) check() string {
	switch r := v.Rect; {
	case v.Reading > phash.ReadingColours:
		return fmt.Sprintf("hold one of reading %v", v.Reading)
	case r == image.Rectangle{}:
		return ""
	case r.Empty() || r.Min.X < 0 || r.Min.Y < 0 || r.Max.X > maxViewSide || r.Max.Y > maxViewSide:
		return "hold one whose rectangle is empty, negative or beyond 2^30 pixels"
	}
	return ""
}

// Reach bounds the distance of a match with a key, in bits. The zero Reach has no
// bound: only the radius of the query counts.
type Reach uint8

// ReachBits returns the Reach of n bits, 0 to 254. For other numbers it returns
// the zero Reach.
func ReachBits(n int) Reach {
	if n < 0 || n > 254 {
		return 0
	}
	return Reach(n + 1)
}

// Bits returns the bound; ok is false if there is no bound.
func (r Reach) Bits() (n int, ok bool) { return int(r) - 1, r != 0 }

// within reports whether a distance is within the reach.
func (r Reach) within(distance int) bool { return r == 0 || distance < int(r) }

// Purposes is a set of uses of a picture that a rule restricts. A rule without
// purposes holds for every use.
type Purposes uint8

const (
	PurposeIndex Purposes = 1 << iota // to find and show it
	PurposeTrain                      // to train models
	PurposeFace                       // to recognise faces

	allPurposes = PurposeIndex | PurposeTrain | PurposeFace
)

// String returns the names of the purposes, with "+" between them, or "every use"
// for the empty set.
func (p Purposes) String() string {
	if p == 0 {
		return "every use"
	}
	var names []string
	for i, name := range [...]string{"index", "train", "face"} {
		if p>>i&1 != 0 {
			names = append(names, name)
		}
	}
	if p &^= allPurposes; p != 0 {
		names = append(names, fmt.Sprintf("Purposes(%#x)", uint8(p)))
	}
	return strings.Join(names, "+")
}
