package web

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/staydown/staydown/internal/features"
	"github.com/staydown/staydown/internal/outline"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// A pair is a registered picture beside one that matches it. What both show is
// outlined, where their local features tell it.

// pairHeight is the height of a pair in pixels, and pairPictures how many pictures of
// a case are compared to find the one that matches.
const (
	pairHeight   = 240
	pairPictures = 8
)

var errNoPair = errors.New("web: there is no picture to compare")

// pair draws the picture of a case that matches a file, and the file.
func (h *Handler) pair(ctx context.Context, c *desk.Case, d takedown.Decision, file []byte) ([]byte, error) {
	select { // comparing takes some tenths of a second of a processor
	case h.uploads <- struct{}{}:
		defer func() { <-h.uploads }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	found, err := decode(ctx, bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	best, m, err := h.nearest(ctx, c, d, found)
	if errors.Is(err, errNoPair) { // the files of the case are gone
		return encode(outline.Resize(found.Image(), pairHeight))
	}
	if err != nil {
		return nil, err
	}
	return encode(outline.SideBySide(best.Image(), found.Image(), m, pairHeight))
}

// nearest returns the picture of a case that has most in common with another one, and
// the map between them, or nil where none is found.
func (h *Handler) nearest(ctx context.Context, c *desk.Case, d takedown.Decision, found *phash.Picture) (best *phash.Picture, m *[8]float64, err error) {
	if c.Request == nil {
		return nil, nil, errNoPair
	}
	images := request.Images(c.Request)
	var x features.Searcher
	x.KeepNone = true
	asked, askErr := features.Extract(found.Luma())
	inliers := 0
	for _, f := range images[:min(len(images), pairPictures)] {
		if f.IsZero() {
			continue
		}
		own, err := openPicture(ctx, f)
		if err != nil {
			continue // the other pictures may be readable
		}
		if part, err := own.Part(d.View.Reading, d.View.Rect); err == nil && d.View.Frame == 0 {
			own = part
		}
		if best == nil {
			best = own
		}
		if askErr != nil {
			break
		}
		if hit, ok := compare(&x, own, asked); ok && hit.Inliers > inliers {
			best, inliers, m = own, hit.Inliers, &hit.Map
		}
	}
	if best == nil {
		return nil, nil, errNoPair
	}
	return best, m, ctx.Err()
}

// compare looks for a picture in another one.
func compare(x *features.Searcher, own *phash.Picture, asked features.Features) (hit features.Match, ok bool) {
	f, err := features.Extract(own.Luma())
	if err != nil {
		return hit, false // too plain: nothing can be outlined
	}
	s, err := features.NewSegment([]features.Entry{{Features: f, ID: 1}})
	if err != nil {
		return hit, false
	}
	x.Ask(asked)
	x.Collect(s, nil)
	x.Matches(func(_ *features.Segment, m features.Match) bool {
		hit, ok = m, m.Coverage > 0
		return false
	})
	return hit, ok
}

func openPicture(ctx context.Context, f request.File) (*phash.Picture, error) {
	file, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return decode(ctx, file)
}

// showPair answers with the pair of a match.
func (h *Handler) showPair(w http.ResponseWriter, r *http.Request, c *desk.Case, d takedown.Decision, file []byte, err error) {
	var b []byte
	if err == nil {
		b, err = h.pair(r.Context(), c, d, file)
	}
	if err != nil {
		h.missing(w, r)
		return
	}
	w.Header().Set("Content-Type", "image/jpeg")
	w.Write(b)
}

// matchPicture shows a match of the queue beside the registered picture.
func (h *Handler) matchPicture(w http.ResponseWriter, r *http.Request, who Reviewer) {
	n, err := strconv.ParseUint(r.PathValue("n"), 10, 64)
	m, ok := desk.QueuedMatch{}, false
	if err == nil && h.opts.MatchPicture != nil {
		m, ok = h.queuedMatch(r.Context(), who, n)
	}
	if !ok {
		h.missing(w, r)
		return
	}
	c, err := h.desk.Case(r.Context(), m.Match.Decision.Case)
	if err != nil && !errors.Is(err, desk.ErrNoCase) {
		h.fail(w, r, err)
		return
	}
	file, err := h.opts.MatchPicture(r.Context(), m.Match)
	h.showPair(w, r, &c, m.Match.Decision, file, err)
}

// indexPair shows a picture of the operator's index beside the one of a case that
// matches it.
func (h *Handler) indexPair(w http.ResponseWriter, r *http.Request, who Reviewer) {
	c, ok := h.caseOf(w, r, who)
	if !ok {
		return
	}
	if h.opts.Thumbnail == nil {
		h.missing(w, r)
		return
	}
	file, err := h.opts.Thumbnail(r.Context(), r.PathValue("key"))
	h.showPair(w, r, &c, takedown.Decision{}, file, err)
}
