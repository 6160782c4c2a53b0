package features

const (
	// minSquares is the number of textured squares that have to agree: of
	// fewer, a line of text that two pictures share has enough. All but
	// minClear of them may have faint texture.
	minSquares, minClear = 44, 20
	// minRich is the number of those whose texture runs in more than one
	// direction: one smooth outline on a plain ground agrees with any other
	// that has its shape.
	minRich = 20
)

// enoughTexture reports whether so many squares that agree, of clear and of
// faint texture, and so many of them rich, can be a proof.
func enoughTexture(clear, faint, rich int) bool {
	return clear >= minClear && clear+faint >= minSquares && rich >= minRich
}

// texture returns the number of squares of the thumbnail r that have texture,
// of those that have faint texture, and how many of both are rich.
func (l *looker) texture(r gray) (clear, faint, rich int) {
	l.gw, l.gh = (r.w-2)/cellStep, (r.h-2)/cellStep
	if l.gw < 2 || l.gh < 2 {
		return 0, 0, 0
	}
	l.warp, l.in = zeroed(l.warp, r.w*r.h), zeroed(l.in, r.w*r.h)
	copy(l.warp, r.pix)
	for i := range l.in {
		l.in[i] = true
	}
	l.judgeCells(r, true)
	for i, b := range l.ballot {
		switch {
		case b[matches] > 0:
			clear++
		case l.faint[i][0] > 0:
			faint++
		default:
			continue
		}
		if l.rich[i] {
			rich++
		}
	}
	return clear, faint, rich
}

// repeats returns the greatest share of the textured squares of the thumbnail r
// that match closely after r was moved over itself, along its sides or its
// diagonals, by five pixels up to half of its shorter side: close to one for a
// checkerboard, of which one part fits every other one.
func (l *looker) repeats(r gray) float64 {
	l.gw, l.gh = (r.w-2)/cellStep, (r.h-2)/cellStep
	if l.gw < 2 || l.gh < 2 {
		return 0
	}
	n := r.w * r.h
	l.warp, l.in = zeroed(l.warp, n), zeroed(l.in, n)
	best := 0.0
	for d := 5; d <= min(r.w, r.h)/2; d++ {
		for _, by := range [...][2]int{{d, 0}, {0, d}, {d, d}, {d, -d}} {
			for y := range r.h {
				for x := range r.w {
					u, v := x+by[0], y+by[1]
					in := u < r.w && v >= 0 && v < r.h
					if l.in[y*r.w+x] = in; in {
						l.warp[y*r.w+x] = r.pix[v*r.w+u]
					}
				}
			}
			l.judgeCells(r, false)
			decided, close := 0, 0
			for _, b := range l.ballot {
				if b[agrees]+b[disagrees]+b[matches] > 0 {
					decided++
					if b[matches] > b[agrees]+b[disagrees] {
						close++
					}
				}
			}
			if decided >= minClear {
				best = max(best, float64(close)/float64(decided))
			}
		}
	}
	return best
}

// rule is one way in which a match says something: all bounds that are not zero hold.
type rule struct {
	// At least so much.
	pure, pureClose, close, agreement, found, coverage float64
	places                                             int
	// At most so much.
	loose, beside, unproven, against, hole, foundMax float64
	// closeShare is the least share of the agreeing squares that match closely,
	// holeShare the greatest share of the disagreeing ones that lie in one place.
	closeShare, holeShare float64
	// compact is the least share of what does not agree that lies in one place.
	compact float64
	// faint asks for faint texture that is the same in eight times as many squares as it
	// is another one.
	faint bool
}

// blockRules rest on 24,900 copies of 300 photographs and 312,900 pairs of different
// pictures in the same frame: docs/accuracy-features.md. They were chosen one after the
// other so that no such pair passes, except those that the page names.
var blockRules = [...]rule{
	// Most of what is visible is one rectangle without contradiction, and
	// little agrees beside it: a copy, cut, or set beside others. The more
	// closely it matches, the fewer points need be found.
	{pure: 0.62, pureClose: 0.55, loose: 0.06, beside: 0.15, found: 0.42},
	{pure: 0.62, pureClose: 0.9, loose: 0.03, beside: 0.19, found: 0.42},
	{pure: 0.62, pureClose: 0.78, loose: 0.1, beside: 0.1, found: 0.4, close: 0.55},
	{pure: 0.62, pureClose: 0.89, loose: 0.08, beside: 0.07, found: 0.27, close: 0.55, places: 16},
	// All that has texture matches closely: a copy that is blurred or small,
	// and has lost its fine points.
	{pure: 0.4, close: 0.9, beside: 0.2, found: 0.27},
	{pure: 0.75, close: 0.8, pureClose: 0.9, found: 0.27},
	// Nothing large is without proof, and what disagrees is little or lies
	// scattered: something is laid over all of a copy, such as a watermark.
	// It takes points with it: where nearly all are found, and still much
	// is without proof, both pictures are in one frame.
	{unproven: 0.15, against: 0.2, hole: 0.08, agreement: 0.5, found: 0.4, foundMax: 0.85, places: 30},
	{unproven: 0.3, against: 0.24, holeShare: 0.5, agreement: 0.6, found: 0.4, foundMax: 0.8, places: 30},
	{unproven: 0.1, against: 0.24, agreement: 0.4, found: 0.4, places: 30},
	{unproven: 0.17, against: 0.25, agreement: 0.4, found: 0.4, places: 30, faint: true},
	// What disagrees is small, and the rest matches closely: a sticker, a
	// line of text.
	{agreement: 0.6, closeShare: 0.88, hole: 0.2, against: 0.13, beside: 0.4, found: 0.65},
	{agreement: 0.6, closeShare: 0.86, hole: 0.12, unproven: 0.3, found: 0.5},
	// Something opaque lies over one part, a box or another picture, and the
	// rest is a rectangle that is judged as the cut copy that it is. Around the
	// picture in a frame something agrees on more than one side.
	{pure: 0.36, pureClose: 0.85, coverage: 0.33, beside: 0.12, found: 0.55, places: 50, compact: 0.7},
}

// holds reports whether all bounds of the rule hold.
func (r *rule) holds(m *Match) bool {
	for _, b := range [...]struct{ value, least, most float64 }{
		{m.Pure, r.pure, 0},
		{m.PureClose, r.pureClose, 0},
		{m.Close, max(r.close, r.closeShare*m.Agreement), 0},
		{m.Agreement, r.agreement, 0},
		{m.Found, r.found, 0},
		{m.Coverage, r.coverage, 0},
		{float64(m.Places), float64(r.places), 0},
		{m.Hole, r.compact * (1 - m.Agreement), r.hole},
		{m.Loose, 0, r.loose},
		{m.Beside, 0, r.beside},
		{m.Unproven, 0, r.unproven},
		{m.Against, 0, r.against},
	} {
		if b.value < b.least || b.most != 0 && b.value > b.most {
			return false
		}
	}
	return (r.foundMax == 0 || m.Found < r.foundMax) && (r.holeShare == 0 || m.Hole <= r.holeShare*m.Against) &&
		(!r.faint || m.Faint >= 8 && m.Faint >= 8*m.Unlike)
}

// band decides what a match is good for. Strokes, where the registered picture has
// some to compare, decide alone what they can decide.
func band(m *Match) Band {
	switch b := m.picturesBand(); {
	case m.Look == Natural:
		if b == Block && m.Ink.contradicts() {
			return Review
		}
		return b
	case m.proven(b):
		return Block
	case m.Ink.provesPart(), b == Block && !m.Ink.fine():
		return Review
	}
	return None
}

// picturesBand returns what the points and the thumbnails prove. The numbers are the ones
// that no pair of different pictures reached, nor, except for the cases that
// docs/accuracy-features.md names, different pictures in the same frame.
func (m *Match) picturesBand() Band {
	if m.Places >= 10 && m.Coverage >= 0.15 && enoughTexture(m.Agreeing, m.Faint, m.richness()) && !m.doubtful() {
		for i := range blockRules {
			if blockRules[i].holds(m) {
				return Block
			}
		}
	}
	for i := range reviewRules {
		if reviewRules[i].holds(m) && !m.isOutline() {
			return Review
		}
	}
	return None
}

// leastReview is the least coverage of a match for a person. Of copies that are held one
// has less than 0.15, of unrelated pictures a sixth has less than 0.1.
const leastReview = 0.1

// isOutline reports whether few points were found and what agrees are mostly smooth
// outlines: one disc, ring or frame agrees with any other. Of unrelated pictures that
// were held half are such, of copies none.
func (m *Match) isOutline() bool {
	return m.Coverage < leastReview || m.Found < 0.35 && 4*m.Rich < m.Agreeing && !m.Corroborates()
}

// richness returns how many squares count as rich.
func (m *Match) richness() int {
	if m.Places >= 45 && m.Found >= 0.55 && m.Close >= 0.9 {
		// So many points of one outline have not been found in another, and a
		// small part of waves or hills may have no more than outlines.
		return max(m.Rich, minRich)
	}
	return m.Rich
}

// reviewRules are the ways in which a match is one for a person to decide.
var reviewRules = [...]rule{
	// Less than two fifths is a frame around another picture: of 1,013 pairs in one frame
	// that were held for it 661 have less, of 393 copies 24.
	{places: 20, agreement: 0.4},
	{places: 8, found: 0.35, agreement: 0.5},
	// A half that matches, with nothing around the other half.
	{places: 12, pure: 0.4, pureClose: 0.8, beside: 0.12, coverage: 0.33},
}

// The bounds of what strokes prove. Of 26 families of documents, codes, charts and
// screens, 6 copies each of 6 pictures have the same strokes in at least 0.85 of the
// places, and at most 16 others in a window; of 1,716 pairs of different pictures one
// has so.
const (
	minStrokes    = 60
	richStrokes   = 8 // of them in more than one direction: along one outline every other agrees
	sameStrokes   = 0.84
	maxWorst      = 16
	maxTones      = 12
	leastFineness = 0.7
)

// proven reports whether the strokes prove a copy. b is what the thumbnails prove. Most
// strokes of a screen can be those of the page around a picture, so that they need the
// thumbnails, or nearly all of them.
func (m *Match) proven(b Band) bool {
	return m.Ink.proves() && (m.Look != Screen || b == Block || 100*m.Ink.Same >= 94*m.Ink.Strokes)
}

// fine reports whether the strokes could be compared.
func (k *Ink) fine() bool { return k.Fineness >= leastFineness }

// proves reports whether the strokes are those of the registered picture.
func (k *Ink) proves() bool {
	return k.fine() && k.Strokes >= minStrokes && 4*k.Strokes >= k.All && k.Rich >= richStrokes &&
		float64(k.Same) >= sameStrokes*float64(k.Strokes) && k.Worst <= maxWorst && k.Tones <= maxTones
}

// provesPart reports whether the strokes are those of the registered picture wherever its
// ground is: something opaque lies over less than half of them.
func (k *Ink) provesPart() bool {
	return k.fine() && k.Same >= minStrokes && k.Rich >= richStrokes && 2*k.Covered < k.Strokes &&
		20*k.Same >= 19*(k.Same+k.Other) && k.Worst <= maxWorst
}

// contradicts reports whether the strokes are others in a fifth of the places, or
// somewhere all of them.
func (k *Ink) contradicts() bool {
	return k.fine() && k.Strokes >= minStrokes &&
		(5*k.Same < 4*k.Strokes || k.Worst > maxWorst && 10*k.Worst >= 7*k.WorstOf)
}

// Corroborates reports whether a match, also one that proves nothing by itself,
// bears out evidence of another sort, such as a hash that is near: points are where
// they should be, most of what can be compared agrees, and nothing large speaks
// against it. A copy that was changed all over agrees less closely everywhere; where
// what agrees does so perfectly, all around something that does not, two pictures
// are in one frame. Pictures of a template are all near one another, and only
// their strokes bear a hash out.
func (m *Match) Corroborates() bool {
	if m.Look != Natural || m.Ink.contradicts() {
		return m.Look != Natural && m.proven(m.picturesBand())
	}
	if m.Agreement >= 0.9 && m.Pure >= 0.8 && m.Hole <= 0.06 && m.Beside <= 0.1 && m.Places >= 20 {
		// A painting of it, or two levels of grey: few points are left, and
		// everything agrees.
		return true
	}
	return m.Found >= 0.35 && m.Agreement >= 0.55 && m.Hole <= 0.2 &&
		(m.Hole <= 0.1 || m.PureClose < 0.96 || m.Beside < 0.2)
}

// doubtful reports whether the faint texture is another one: two dark pictures
// under the same watermark, or in the same frame, agree in all that is plain to
// see. Few squares speak against a copy only if there are others that disagree:
// a coarse encoder spoils faint texture first. Of a watermark on one side only
// fewer squares match closely, and a copy of which nearly all do is no such pair.
func (m *Match) doubtful() bool {
	if m.Unlike >= 8 && m.Unlike >= 6*m.Faint {
		return true
	}
	return m.Close >= 0.5 && m.Close < 0.97 && (m.Against >= 0.01 || m.Found < 0.43) &&
		(m.Unlike >= 2 && m.Unlike > m.Faint || m.UnlikeAll >= 8 && m.UnlikeAll > m.FaintAll)
}
