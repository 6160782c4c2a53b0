package web

import (
	"cmp"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/outline"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// What a reviewer enters about a case are the terms of its decision: they are tried in
// a preview, put into the preview of a letter, and sent at last. All three pages carry
// them on, so that nothing is typed twice.

// terms are the fields of the form of a decision.
type terms struct{ url.Values }

// termNames are the fields that all pages of a decision carry on. Those of items have
// a number behind them.
var termNames = []string{"scope", "wider", "reason", "territory", "end", "facts", "law", "explanation", "on_terms", "item", "why", "view"}

// Is reports whether a field has a value. Other is the answer where nothing was
// entered yet.
func (t terms) Is(name, value string, other bool) bool {
	if len(t.Values) == 0 {
		return other
	}
	return slices.Contains(t.Values[name], value)
}

// Text is the value of a field.
func (t terms) Text(name string) string { return t.Get(name) }

// Entered reports whether the page comes from a form of a decision.
func (t terms) Entered() bool { return len(t.Values) > 0 }

// Carried are the fields that another page takes over, except some.
func (t terms) Carried(except ...string) (list []option) {
	for name, values := range t.Values {
		bare := strings.TrimRight(name, "0123456789")
		if !slices.Contains(termNames, bare) || slices.Contains(except, name) {
			continue
		}
		for _, v := range values {
			if v != "" {
				list = append(list, option{Value: v, Label: name})
			}
		}
	}
	slices.SortFunc(list, func(a, b option) int { return cmp.Or(cmp.Compare(a.Label, b.Label), cmp.Compare(a.Value, b.Value)) })
	return list
}

// termsOf reads the terms of a form.
func termsOf(form url.Values) terms {
	t := terms{url.Values{}}
	for name, values := range form {
		if slices.Contains(termNames, strings.TrimRight(name, "0123456789")) || name == "do" || name == "seen" {
			t.Values[name] = values
		}
	}
	return t
}

// inForce are the terms of a case that is in force, to be changed.
func inForce(c *desk.Case) terms {
	t := terms{url.Values{"scope": {strconv.Itoa(int(c.Granted))}, "territory": c.Territories}}
	if c.Granted > c.Asked {
		t.Set("wider", c.Reason)
	}
	if !c.End.IsZero() {
		t.Set("end", c.End.UTC().AddDate(0, 0, -1).Format(time.DateOnly))
	}
	for i := range c.Items {
		it, n := &c.Items[i], strconv.Itoa(i)
		if it.Outcome != desk.OutcomeAccepted {
			t.Set("item"+n, string(it.Outcome))
			t.Set("why"+n, it.Reason)
		}
		for _, v := range it.Views {
			t.Add("view"+n, viewText(v))
		}
	}
	return t
}

// viewText names a view in a form: frame, reading and rectangle.
func viewText(v blocklist.View) string {
	text := fmt.Sprintf("%d/%d", v.Frame, v.Reading)
	if !v.Rect.Empty() {
		text += fmt.Sprintf("/%d,%d,%d,%d", v.Rect.Min.X, v.Rect.Min.Y, v.Rect.Max.X, v.Rect.Max.Y)
	}
	return text
}

var errView = errors.New("the view is none of the picture")

// parseView reads what viewText wrote.
func parseView(text string) (v blocklist.View, err error) {
	part := strings.Split(text, "/")
	if len(part) < 2 || len(part) > 3 {
		return v, errView
	}
	frame, err := strconv.ParseUint(part[0], 10, 32)
	reading, err2 := strconv.ParseUint(part[1], 10, 8)
	if err != nil || err2 != nil {
		return v, errView
	}
	v = blocklist.View{Frame: uint32(frame), Reading: phash.Reading(reading)}
	if len(part) == 3 {
		if v.Rect, err = parseRect(part[2]); err != nil {
			return v, err
		}
	}
	return v, nil
}

func parseRect(text string) (r image.Rectangle, err error) {
	side := strings.Split(text, ",")
	var n [4]int
	if len(side) != len(n) {
		return r, errView
	}
	for i := range n {
		if n[i], err = strconv.Atoi(side[i]); err != nil || n[i] < 0 || n[i] > 1<<20 {
			return r, errView
		}
	}
	r = image.Rect(n[0], n[1], n[2], n[3])
	if r.Empty() {
		return r, errView
	}
	return r, nil
}

// shownView is a view of a picture with its place in the form.
type shownView struct {
	desk.ViewPreview
	Value string
}

// shownFound is a match of the preview.
type shownFound struct {
	takedown.Found
	Wrong bool // it may be wrong: a loose match
}

// found puts the matches of a preview in the order in which they are looked at: those
// that may be wrong first.
func found(p *desk.Preview) (list []shownFound) {
	for _, f := range p.WeakFound {
		list = append(list, shownFound{f, true})
	}
	for _, f := range p.Found {
		if !slices.ContainsFunc(p.WeakFound, func(w takedown.Found) bool { return w.Item.Key == f.Item.Key }) {
			list = append(list, shownFound{f, false})
		}
	}
	return list
}

// cropPage asks for a rectangle of a picture, by two corners.
type cropPage struct {
	Case, View    string
	Item, Image   int
	Width, Height int // of the picture
	Shown         image.Point
	A             string // the first corner, once it is chosen
	Rect          image.Rectangle
	Terms         terms
}

// Value is the view that the rectangle is.
func (c cropPage) Value() string {
	return c.View + fmt.Sprintf("/%d,%d,%d,%d", c.Rect.Min.X, c.Rect.Min.Y, c.Rect.Max.X, c.Rect.Max.Y)
}

// cropSize is the longer side of the picture in which a reviewer clicks.
const cropSize = 720

// crop lets a reviewer choose a rectangle of a picture: by two clicks, or by numbers.
func (h *Handler) crop(w http.ResponseWriter, r *http.Request, who Reviewer) {
	c, ok := h.caseOf(w, r, who)
	if !ok {
		return
	}
	item, err := strconv.Atoi(r.PathValue("item"))
	n, isPicture := imageOf(&c, item)
	if err != nil || !isPicture {
		h.missing(w, r)
		return
	}
	form := r.URL.Query()
	v := cropPage{Case: c.ID.String(), Item: item, Image: n, View: cmp.Or(form.Get("of"), "0/0"), Width: c.Pictures[n].Width, Height: c.Pictures[n].Height, Terms: termsOf(form)}
	if _, err := parseView(v.View); err != nil {
		h.missing(w, r)
		return
	}
	v.Shown = fit(v.Width, v.Height, cropSize)
	p := h.consolePage(r, who, "crop", nil)
	corner := func(name string) (at image.Point, ok bool) {
		x, errX := strconv.Atoi(form.Get(name + ".x"))
		y, errY := strconv.Atoi(form.Get(name + ".y"))
		at = image.Pt(max(0, x)*v.Width/max(1, v.Shown.X), max(0, y)*v.Height/max(1, v.Shown.Y))
		return at, errX == nil && errY == nil
	}
	whole := image.Rect(0, 0, v.Width, v.Height)
	a, first := corner("a")
	if text := form.Get("from"); text != "" {
		if _, err := fmt.Sscanf(text, "%d,%d", &a.X, &a.Y); err != nil {
			h.missing(w, r)
			return
		}
	}
	b, second := corner("b")
	switch {
	case second:
		v.Rect = image.Rectangle{a, b}.Canon().Intersect(whole)
	case first:
		v.A = fmt.Sprintf("%d,%d", a.X, a.Y)
	case form.Get("right") != "":
		var n [4]int
		for i, name := range []string{"left", "top", "right", "bottom"} {
			n[i], _ = strconv.Atoi(form.Get(name))
		}
		v.Rect = image.Rect(n[0], n[1], n[2], n[3]).Intersect(whole)
	}
	if second && v.Rect.Empty() {
		p.Alert = p.W.of("crop.empty")
	}
	p.Data = v
	h.render(w, r, http.StatusOK, "crop", p)
}

// fit is the size of a picture that fits into a square.
func fit(width, height, size int) image.Point {
	scale := min(1, float64(size)/float64(max(width, height, 1)))
	return image.Pt(max(1, int(float64(width)*scale)), max(1, int(float64(height)*scale)))
}

// imageOf is the number of the picture that an item is.
func imageOf(c *desk.Case, item int) (n int, ok bool) {
	if item < 0 || item >= len(c.Items) || c.Items[item].Kind != request.ItemPicture {
		return 0, false
	}
	_, text, _ := strings.Cut(strings.TrimSuffix(c.Items[item].Field, "]"), "[")
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= 0 && n < len(c.Pictures)
}

// outlined draws a rectangle of a picture, or its first corner.
func outlined(pic image.Image, size int, rect image.Rectangle) ([]byte, error) {
	b := pic.Bounds()
	to := fit(b.Dx(), b.Dy(), size)
	img := outline.Resize(pic, to.Y)
	x, y := 1/float64(max(1, b.Dx())), 1/float64(max(1, b.Dy()))
	x0, y0, x1, y1 := float64(rect.Min.X)*x, float64(rect.Min.Y)*y, float64(rect.Max.X)*x, float64(rect.Max.Y)*y
	outline.Draw(img, []outline.Point{{X: x0, Y: y0}, {X: x1, Y: y0}, {X: x1, Y: y1}, {X: x0, Y: y1}})
	return encode(draw.Image(img))
}
