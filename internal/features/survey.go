package features

import (
	"fmt"
	"image"
	"slices"
)

// Survey says what the blocks of a picture show, of 8 × 8 pixels where the picture is brought
// to 131,072 pixels, and what lines cross it. Documents, codes, charts and
// screens consist of ink over plain ground; photographs do not.
type Survey struct {
	Blocks  int // in all
	Blank   int // blocks of one grey level
	Ruled   int // those that only straight lines along rows and columns cross, and shades
	Smooth  int // those of the ruled ones that have no edge
	Ink     int // blocks with strokes over a plain ground
	Texture int // all others
	Edges   int // pixels of the blocks with ink that lie at an edge
	// Ground is the share of the pixels that have nearly the most frequent
	// grey level, Levels the share of the blank and ruled blocks that have nearly one
	// of the four most frequent ones.
	Ground, Levels float64
	// Lines is the number of straight edges that cross the whole picture along its
	// rows or columns.
	Lines int
}

// SurveyOf returns the survey of a picture; the zero Survey of one that is too small or
// too narrow for features.
func SurveyOf(img image.Image) Survey {
	e := extractors.Get().(*extractor)
	defer extractors.Put(e)
	b := img.Bounds()
	w, h, ok := workSize(b.Dx(), b.Dy())
	if !ok {
		return Survey{}
	}
	var g gray
	g, e.luma = grayOf(img, e.luma)
	return surveyOf(e.finePicture(g, w, h))
}

const (
	// blankRange is the greatest difference of grey levels in a blank block,
	// inkRange the least in a block with ink, of whose pixels inkGround differ by
	// at most groundRange.
	blankRange, inkRange, inkGround, groundRange = 10, 32, 26, 12
	// strokes is the variance from which on a block shows more than rows and
	// columns.
	strokes = 40
	// softEdge is the difference of two neighbouring pixels from which on they lie at an
	// edge.
	softEdge = 10
)

// Look is what a picture looks like.
type Look uint8

// The looks of pictures.
const (
	// Natural pictures are photographs, paintings, and what looks like them.
	Natural Look = iota
	// Document is text, a form, a code, a table or a chart on plain ground.
	Document
	// Graphic is a flat drawing of few grey levels.
	Graphic
	// Screen is a page of an app or a site, a card or a collage: straight
	// lines cross it, and it shows pictures beside ink on plain ground.
	Screen
)

// String returns "natural", "document", "graphic", "screen" or "Look(n)".
func (l Look) String() string {
	switch l {
	case Natural:
		return "natural"
	case Document:
		return "document"
	case Graphic:
		return "graphic"
	case Screen:
		return "screen"
	}
	return fmt.Sprintf("Look(%d)", uint8(l))
}

// Reach returns within how many bits the PDQ hash of a picture of such a look means the
// picture, and false where it reaches as far as any. Of 276 pairs of certificates at
// most 0.4 % lie within 10 bits, of other families fewer. About half of the copies of a
// document have a hash within 10 bits.
func (l Look) Reach() (bits int, narrow bool) { return 8, l != Natural }

// looks say what documents, flat drawings and screens have at least, and at most in the last
// three columns; the first row that fits decides. They were chosen on 26 families, 12 pictures
// each, on 300 photographs, and on the half choose of those of internal/tools/accuracy.
var looks = [...]struct {
	ground, ink, clean, levels, edges, blank, lines float64
	smooth, texture, edgesMost                      float64
	look                                            Look
}{
	{0.28, 0.04, 0.65, 0.96, 11.5, 0.2, 0, 0.05, 1, 64, Document},
	{0.22, 0.04, 0.65, 0.96, 15, 0.2, 0, 0.05, 1, 64, Document},
	{0.28, 0, 0.65, 0.94, 8.5, 0.15, 0, 0.02, 0.04, 64, Graphic},
	// Faces and signs of few soft colours.
	{0.34, 0.04, 0.65, 0, 0, 0.65, 0, 0.065, 1, 7.5, Graphic},
	{0.38, 0.06, 0, 0, 10.5, 0, 1, 1, 1, 64, Screen},
}

// Look returns what the picture looks like.
func (s *Survey) Look() Look {
	if s.Blocks == 0 {
		return Natural
	}
	of := func(n int) float64 { return share(n, s.Blocks) }
	for i := range looks {
		l, fits := &looks[i], true
		for _, b := range [...][2]float64{
			{s.Ground, l.ground}, {of(s.Ink), l.ink}, {share(s.Ink, s.Ink+s.Texture), l.clean}, {s.Levels, l.levels},
			{share(s.Edges, s.Ink), l.edges}, {of(s.Blank), l.blank}, {float64(s.Lines), l.lines},
			{l.smooth, of(s.Smooth)}, {l.texture, of(s.Texture)}, {l.edgesMost, share(s.Edges, s.Ink)},
		} {
			fits = fits && b[0] >= b[1]
		}
		if fits {
			return l.look
		}
	}
	return Natural
}

// plain reports whether a registered picture keeps its fine picture: it has ink
// on plain ground.
func (s *Survey) plain() bool {
	return s.Look() != Natural || s.Ground >= 0.28 && share(s.Smooth, s.Blocks) <= 0.055 &&
		share(s.Ink, s.Blocks) >= 0.03 && share(s.Ink, s.Ink+s.Texture) >= 0.6
}

// inked reports whether the picture may show a part of one that is plain.
func (s *Survey) inked() bool { return s.Ground >= 0.16 && share(s.Ink, s.Blocks) >= 0.03 }

func surveyOf(g gray) (s Survey) {
	var hist, means [256]int
	for y := 0; y+inkBlock <= g.h; y += inkBlock {
		for x := 0; x+inkBlock <= g.w; x += inkBlock {
			s.add(g, x, y, &hist, &means)
		}
	}
	n := s.Blocks * inkBlock * inkBlock
	s.Ground = share(mostWithin(&hist, 4), n)
	got := 0
	for range 4 {
		got += mostWithin(&means, 6)
	}
	s.Levels = share(got, s.Blank+s.Ruled)
	s.Lines = crossing(g.h, g.w, func(across, along int) uint8 { return g.pix[across*g.stride+along] }) +
		crossing(g.w, g.h, func(across, along int) uint8 { return g.pix[along*g.stride+across] })
	return s
}

func share(n, of int) float64 { return float64(n) / float64(max(of, 1)) }

// add counts the block at x, y.
func (s *Survey) add(g gray, x, y int, hist, means *[256]int) {
	var p [inkBlock * inkBlock]uint8
	for v := range inkBlock {
		copy(p[v*inkBlock:], g.pix[(y+v)*g.stride+x:][:inkBlock])
	}
	var centred [len(p)]int32
	v := centre(&centred, p[:], inkBlock, 0, 0)
	for _, c := range p {
		hist[c]++
	}
	span := int(slices.Max(p[:])) - int(slices.Min(p[:]))
	s.Blocks++
	switch {
	case span <= blankRange:
		s.Blank++
		means[median(&p)]++
	case v < strokes*centredUnit:
		s.Ruled++
		means[median(&p)]++
		if edges(&p, softEdge) == 0 {
			s.Smooth++
		}
	case span >= inkRange && hasGround(&p):
		s.Ink++
		s.Edges += edges(&p, max(span/4, groundRange))
	default:
		s.Texture++
	}
}

// edges counts the pixels that differ from the next one, to the right or below, by least
// or more.
func edges(p *[inkBlock * inkBlock]uint8, least int) (n int) {
	for v := range inkBlock - 1 {
		for u := range inkBlock - 1 {
			i := v*inkBlock + u
			if max(absDiff(p[i], p[i+1]), absDiff(p[i], p[i+inkBlock])) >= least {
				n++
			}
		}
	}
	return n
}

// levelsOf counts the grey levels of a block. It is faster than sorting them.
func levelsOf(p *[inkBlock * inkBlock]uint8) (counts [256]uint8) {
	for _, v := range p {
		counts[v]++
	}
	return counts
}

// median returns the level above half of the others.
func median(p *[inkBlock * inkBlock]uint8) uint8 {
	counts, below := levelsOf(p), 0
	for v, n := range counts {
		if below += int(n); below > len(p)/2 {
			return uint8(v)
		}
	}
	return 0 // there is one
}

// hasGround reports whether inkGround of the levels differ by at most groundRange.
func hasGround(p *[inkBlock * inkBlock]uint8) bool {
	counts, near := levelsOf(p), 0
	for v, n := range counts {
		if near += int(n); v > groundRange {
			near -= int(counts[v-groundRange-1])
		}
		if near >= inkGround {
			return true
		}
	}
	return false
}

func absDiff(a, b uint8) int { return max(int(a)-int(b), int(b)-int(a)) }

// mostWithin returns the greatest number of values of a histogram that lie within reach of
// one level, and removes them.
func mostWithin(hist *[256]int, reach int) int {
	best, at, sum := 0, 0, 0
	for i := range len(hist) + reach {
		if i < len(hist) {
			sum += hist[i]
		}
		if j := i - 2*reach - 1; j >= 0 {
			sum -= hist[j]
		}
		if sum > best {
			best, at = sum, i
		}
	}
	clear(hist[max(at-2*reach, 0):min(at+1, len(hist))])
	return best
}

// crossing counts the straight edges across which nine tenths of the pixels along them
// change.
func crossing(n, length int, at func(across, along int) uint8) (lines int) {
	last := -3
	for a := 1; a < n-1; a++ {
		left := length / 10
		for i := 0; i < length && left >= 0; i++ {
			if absDiff(at(a-1, i), at(a+1, i)) < groundRange {
				left--
			}
		}
		if left >= 0 {
			if a > last+2 {
				lines++
			}
			last = a
		}
	}
	return lines
}
