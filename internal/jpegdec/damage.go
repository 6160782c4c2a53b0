package jpegdec

import (
	"image"
	"slices"
	"strings"
)

// Fault is a set of kinds of damage.
type Fault uint16

// The kinds of damage.
const (
	// NoEnd: the file has no end marker. Alone it changes nothing of the picture.
	NoEnd Fault = 1 << iota
	// NoData: the data of a scan end before the picture does.
	NoData
	// BadCode: data of a scan that are no code, or too many coefficients.
	BadCode
	// BadRestart: restart markers are missing, or have the wrong number.
	BadRestart
	// Surplus: the data of a scan go on behind the picture. Alone it changes
	// nothing of the picture.
	Surplus
	// BadScan: a scan was skipped, because its header makes no sense.
	BadScan
	// BadSegment: another segment was skipped, or read in part.
	BadSegment
	// OverBudget: the rest was not decoded, because it is too much work.
	OverBudget
)

var faultNames = [...]string{"no end marker", "data missing", "wrong codes", "wrong restart markers",
	"surplus data", "scan skipped", "segment skipped", "over budget"}

// String returns the kinds, separated by commas, such as "data missing".
func (f Fault) String() string {
	var s []string
	for i, n := range faultNames {
		if f>>i&1 != 0 {
			s = append(s, n)
		}
	}
	return strings.Join(s, ", ")
}

// Harmless are the kinds of damage that change nothing of the picture.
const Harmless = NoEnd | Surplus | BadSegment

// Damage is what is wrong in a file. The zero value means that it is sound.
type Damage struct {
	Faults Fault
	// Missing are the parts of the picture of which there is no data, in pixels
	// of the full size, clipped to the picture. There, the samples are mid grey.
	// Where data are wrong but there, as behind a changed byte, nothing tells
	// which part of the picture is affected.
	Missing []image.Rectangle
	// Share is the share of the picture in Missing, from 0 to 1.
	Share float64
	// Coarse is the share of the data of a progressive file behind its first scan
	// that is missing, from 0 to 1: there, the picture is coarser than it should
	// be. It is an estimate.
	Coarse float64

	fine, coarse int64 // units of scans behind the first, and those missing
}

// maxMissing bounds the rectangles that are kept. When there are more, the last
// ones are joined.
const maxMissing = 64

// missing records that the units from m to end of a scan have no data.
func (d *decoder) missing(s *scan, m, end int) {
	d.damage.Faults |= NoData
	if s.refines() {
		d.damage.coarse += int64(end - m)
		return
	}
	if d.head.Model.HasLuma() && !slices.Contains(s.comps, &d.comps[0]) {
		return
	}
	w, h := 8*d.hmax, 8*d.vmax
	if len(s.comps) == 1 {
		w, h = w/s.comps[0].h, h/s.comps[0].v
	}
	for m < end { // a part of a row, or whole rows
		x, y := m%s.cols, m/s.cols
		cols, rows := min(s.cols-x, end-m), 1
		if x == 0 && cols == s.cols {
			rows = (end - m) / s.cols
		}
		d.damage.add(image.Rect(x*w, y*h, (x+cols)*w, (y+rows)*h))
		m += cols * rows
	}
}

// add adds a rectangle, and joins it with the last one if they make one.
func (g *Damage) add(r image.Rectangle) {
	n := len(g.Missing)
	if n == 0 {
		g.Missing = append(g.Missing, r)
		return
	}
	last := &g.Missing[n-1]
	switch {
	case last.Min.Y == r.Min.Y && last.Max.Y == r.Max.Y && last.Max.X == r.Min.X,
		last.Min.X == r.Min.X && last.Max.X == r.Max.X && last.Max.Y == r.Min.Y,
		n == maxMissing:
		*last = last.Union(r)
	default:
		g.Missing = append(g.Missing, r)
	}
}

// finish computes the shares.
func (g *Damage) finish(d *decoder) {
	if d.r.bad {
		g.Faults |= BadCode
	}
	bounds := image.Rect(0, 0, d.head.Width, d.head.Height)
	if g.fine > 0 {
		g.Coarse = float64(g.coarse) / float64(g.fine)
	}
	// Scans that never came: bits of coefficients that no scan had.
	c := &d.comps[0]
	if c.low[0] == noBits {
		g.add(bounds)
	}
	lost := 0
	for _, low := range c.low[:d.perBlock()] {
		lost += int(low)
	}
	if lost > 0 {
		g.Faults |= NoData
		g.Coarse = max(g.Coarse, float64(lost)/float64(noBits*d.perBlock()))
	}
	kept := g.Missing[:0]
	area := 0.0
	for _, r := range g.Missing {
		if r = r.Intersect(bounds); !r.Empty() {
			kept = append(kept, r)
			area += float64(r.Dx()) * float64(r.Dy())
		}
	}
	g.Missing = kept
	g.Share = min(1, area/(float64(d.head.Width)*float64(d.head.Height)))
}
