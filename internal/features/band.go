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

// band decides what a match is good for. The numbers are the ones that no pair
// of different pictures reached, nor, but for the cases that
// docs/accuracy-features.md names, different pictures in the same frame.
func band(m *Match) Band {
	review := None
	if m.Places >= 20 && m.Agreement >= 0.25 || m.Places >= 8 && m.Found >= 0.35 && m.Agreement >= 0.5 {
		review = Review
	}
	rich := m.Rich
	if m.Places >= 45 && m.Found >= 0.55 && m.Close >= 0.9 {
		// So many points of one outline have not been found in another, and a
		// small part of waves or hills may have no more than outlines.
		rich = minRich
	}
	if m.Places < 10 || m.Coverage < 0.15 || !enoughTexture(m.Agreeing, m.Faint, rich) || m.doubtful() {
		return review
	}
	for _, rule := range [...]bool{
		// Most of what is visible is one rectangle without contradiction, and
		// little agrees beside it: a copy, cut, or set beside others. The more
		// closely it matches, the fewer points need be found.
		m.Pure >= 0.62 && m.PureClose >= 0.55 && m.Loose <= 0.06 && m.Beside <= 0.15 && m.Found >= 0.42,
		m.Pure >= 0.62 && m.PureClose >= 0.9 && m.Loose <= 0.03 && m.Beside <= 0.19 && m.Found >= 0.42,
		m.Pure >= 0.62 && m.PureClose >= 0.78 && m.Loose <= 0.1 && m.Beside <= 0.1 && m.Found >= 0.4 && m.Close >= 0.55,
		m.Pure >= 0.62 && m.PureClose >= 0.89 && m.Loose <= 0.08 && m.Beside <= 0.07 && m.Found >= 0.27 && m.Close >= 0.55 && m.Places >= 16,
		// All that has texture matches closely: a copy that is blurred or small,
		// and has lost its fine points.
		m.Pure >= 0.4 && m.Close >= 0.9 && m.Beside <= 0.2 && m.Found >= 0.27,
		m.Pure >= 0.75 && m.Close >= 0.8 && m.PureClose >= 0.9 && m.Found >= 0.27,
		// Nothing large is without proof, and what disagrees is little or lies
		// scattered: something is laid over all of a copy, such as a watermark.
		// It takes points with it: where nearly all are found, and still much
		// is without proof, both pictures are in one frame.
		m.Unproven <= 0.15 && m.Against <= 0.2 && m.Hole <= 0.08 && m.Agreement >= 0.5 && m.Found >= 0.4 && m.Found < 0.85 && m.Places >= 30,
		m.Unproven <= 0.3 && m.Against <= 0.24 && m.Hole <= 0.5*m.Against && m.Agreement >= 0.6 && m.Found >= 0.4 && m.Found < 0.8 && m.Places >= 30,
		m.Unproven <= 0.1 && m.Against <= 0.24 && m.Agreement >= 0.4 && m.Found >= 0.4 && m.Places >= 30,
		m.Unproven <= 0.17 && m.Against <= 0.25 && m.Agreement >= 0.4 && m.Found >= 0.4 && m.Places >= 30 && m.Faint >= 8 && m.Faint >= 8*m.Unlike,
		// What disagrees is small, and the rest matches closely: a sticker, a
		// line of text.
		m.Agreement >= 0.6 && m.Close >= 0.88*m.Agreement && m.Hole <= 0.2 && m.Against <= 0.13 && m.Beside <= 0.4 && m.Found >= 0.65,
		m.Agreement >= 0.6 && m.Close >= 0.86*m.Agreement && m.Hole <= 0.12 && m.Unproven <= 0.3 && m.Found >= 0.5,
	} {
		if rule {
			return Block
		}
	}
	return review
}

// Corroborates reports whether a match, also one that proves nothing by itself,
// bears out evidence of another sort, such as a hash that is near: points are where
// they should be, most of what can be compared agrees, and nothing large speaks
// against it. A copy that was changed all over agrees less closely everywhere; where
// what agrees does so perfectly, all around something that does not, two pictures
// are in one frame.
func (m *Match) Corroborates() bool {
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
