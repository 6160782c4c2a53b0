package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/image/draw"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

var noCase takedown.CaseID

// checkPage shows what was understood, before anything is sent.
type checkPage struct {
	Door      *door
	Draft     string
	Addresses []understood
	Pictures  []int
	Lines     []line
	Later     []string // what the desk will ask for
	Completes bool
}

// understood is an address as somebody pasted it, and as it is blocked.
type understood struct {
	Page           bool
	Pasted, Looked string
	// Odd says that it looks like a page and was pasted as a picture.
	Odd bool
}

type line struct {
	Label  string
	Values []string
}

// draftOf returns the draft that a request names, or answers with the first page.
func (h *Handler) draftOf(w http.ResponseWriter, r *http.Request) (id string, d *door, v draft, ok bool) {
	id = r.URL.Query().Get("d")
	if v, ok = h.drafts.get(id, h.visitor(w, r)); ok {
		d = h.findDoor(v.door)
	}
	if d == nil {
		h.redirect(w, r, "/")
		return "", nil, draft{}, false
	}
	return id, d, v, true
}

func (h *Handler) check(w http.ResponseWriter, r *http.Request) {
	id, d, v, ok := h.draftOf(w, r)
	if !ok {
		return
	}
	checked := v.checked
	if checked == nil {
		if checked = h.desk.Check(r.Context(), v.request); checked.Failed != nil {
			h.fail(w, r, checked.Failed)
			return
		}
	}
	p := h.page(r, "check", nil)
	c := checkPage{Door: d, Draft: id, Completes: v.completes != noCase, Lines: h.linesOf(p.W, d, v.request)}
	for i := range request.Images(v.request) {
		c.Pictures = append(c.Pictures, i)
	}
	c.Addresses = addressesOf(v.request, checked)
	for _, pr := range checked.Problems {
		label := h.label(p.W, d.Name, d.Kind.String(), bareName(pr.Field))
		c.Later = append(c.Later, label+": "+h.opts.Texts.Problem(p.W.lang, pr))
	}
	p.Data = c
	h.render(w, r, http.StatusOK, "check", p)
}

// addressesOf pairs the addresses of a request with those that would be blocked.
func addressesOf(r request.Request, k *request.Checked) (list []understood) {
	values := valuesOf(r)
	for i, it := range k.Items {
		if it.Kind != request.ItemImageURL && it.Kind != request.ItemPageURL || i >= len(k.Material) {
			continue
		}
		u := understood{Page: it.Kind == request.ItemPageURL, Pasted: valueAt(values, it.Field), Looked: k.Material[i].Address, Odd: it.MaybePage}
		list = append(list, u)
	}
	return list
}

// linesOf are the fields that were filled in, for the page of a form that is sent.
func (h *Handler) linesOf(w words, d *door, r request.Request) (lines []line) {
	values, kind := valuesOf(r), d.Kind.String()
	for _, f := range d.fields() {
		value := values[f.Name]
		if value == "" || f.Type == "files" || f.Name == "image_urls" || f.Name == "page_urls" || f.Type == "mark" {
			continue
		}
		bare := bareName(f.Name)
		l := line{Label: h.label(w, d.Name, kind, bare)}
		for _, x := range strings.Split(value, "\n") {
			switch f.Type {
			case "choice", "checks":
				x = w.of("choice."+kind+"."+bare+"."+x, "choice."+bare+"."+x)
			case "country", "countries":
				if i := slices.IndexFunc(w.countries, func(o option) bool { return strings.EqualFold(o.Value, x) }); i >= 0 {
					x = w.countries[i].Label
				}
			case "check", "box":
				x = w.of("yes")
			}
			l.Values = append(l.Values, x)
		}
		lines = append(lines, l)
	}
	return lines
}

// draftPicture shows a picture of a draft to who sent it.
func (h *Handler) draftPicture(w http.ResponseWriter, r *http.Request) {
	_, _, v, ok := h.draftOf(w, r)
	if !ok {
		return
	}
	n, err := strconv.Atoi(r.PathValue("n"))
	images := request.Images(v.request)
	if err != nil || n < 0 || n >= len(images) {
		h.missing(w, r)
		return
	}
	size := 360
	if r.URL.Query().Get("size") == "mark" {
		size = markSize
	}
	h.servePicture(w, r, images[n], size)
}

// servePicture writes a small JPEG of a file that somebody sent: what is hashed,
// and nothing else of the file.
func (h *Handler) servePicture(w http.ResponseWriter, r *http.Request, f request.File, size int) {
	small, err := thumbnail(r.Context(), f, size)
	if err != nil {
		h.missing(w, r)
		return
	}
	w.Header().Set("Content-Type", "image/jpeg")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(small))
}

func thumbnail(ctx context.Context, f request.File, size int) ([]byte, error) {
	pic, err := openPicture(ctx, f)
	if err != nil {
		return nil, err
	}
	return small(pic.Image(), size)
}

// decode reads a picture within the limits of package phash.
func decode(ctx context.Context, file io.Reader) (*phash.Picture, error) {
	return phash.DecodeContext(ctx, file, &phash.DecodeOptions{AcceptTruncated: true})
}

// small returns a JPEG of a picture that fits into a square.
func small(pic image.Image, size int) ([]byte, error) {
	b := pic.Bounds()
	scale := min(1, float64(size)/float64(max(b.Dx(), b.Dy(), 1)))
	to := image.NewRGBA(image.Rect(0, 0, max(1, int(float64(b.Dx())*scale)), max(1, int(float64(b.Dy())*scale))))
	draw.Draw(to, to.Bounds(), image.White, image.Point{}, draw.Src)
	draw.ApproxBiLinear.Scale(to, to.Bounds(), pic, b, draw.Over, nil)
	return encode(to)
}

func encode(pic image.Image) ([]byte, error) {
	var out bytes.Buffer
	err := jpeg.Encode(&out, pic, &jpeg.Options{Quality: 82})
	return out.Bytes(), err
}

// markPage asks which face is meant in a picture that shows several.
type markPage struct {
	Draft string
	N     int
	Areas []option
}

// areas are the places that somebody without a pointer can choose, as the point in
// their middle.
var areas = []string{"0.17,0.17", "0.5,0.17", "0.83,0.17", "0.17,0.5", "0.5,0.5", "0.83,0.5", "0.17,0.83", "0.5,0.83", "0.83,0.83"}

func (h *Handler) mark(w http.ResponseWriter, r *http.Request) {
	id, _, v, ok := h.draftOf(w, r)
	if !ok {
		return
	}
	for _, pr := range v.problems {
		if pr.Code != request.CodeSeveralFaces && pr.Code != request.CodeInvalidMark {
			continue
		}
		_, n, _ := strings.Cut(strings.TrimSuffix(pr.Field, "]"), "[")
		i, err := strconv.Atoi(n)
		if err != nil {
			continue
		}
		p := h.page(r, "mark", nil)
		m := markPage{Draft: id, N: i}
		for _, a := range areas {
			m.Areas = append(m.Areas, option{Value: a, Label: p.W.of("area." + a)})
		}
		if pr.Code == request.CodeInvalidMark {
			p.Alert = h.opts.Texts.Problem(p.W.lang, pr)
		}
		p.Data = m
		h.render(w, r, http.StatusOK, "mark", p)
		return
	}
	h.redirect(w, r, "/check?d="+id)
}

func (h *Handler) takeMark(w http.ResponseWriter, r *http.Request) {
	id, d, v, ok := h.draftOf(w, r)
	if !ok {
		return
	}
	n, err := strconv.Atoi(r.URL.Query().Get("n"))
	images := request.Images(v.request)
	if err != nil || n < 0 || n >= len(images) {
		h.missing(w, r)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 4096)
	mark := r.FormValue("area")
	if x, err := strconv.Atoi(r.FormValue("x")); err == nil && r.FormValue("area") == "" {
		y, _ := strconv.Atoi(r.FormValue("y"))
		small, err := thumbnail(r.Context(), images[n], markSize)
		if err != nil {
			h.missing(w, r)
			return
		}
		c, err := jpeg.DecodeConfig(bytes.NewReader(small))
		if err != nil {
			h.fail(w, r, err)
			return
		}
		mark = fmt.Sprintf("%.4f,%.4f", clamp(x, c.Width), clamp(y, c.Height))
	}
	v.request = withMark(v.request, n, mark)
	checked := h.desk.Check(r.Context(), v.request)
	if checked.Failed != nil {
		h.fail(w, r, checked.Failed)
		return
	}
	v.problems, v.checked = checked.Problems, checked
	h.drafts.put(id, v)
	if blocking(withoutMarks(v.problems)) {
		h.redirect(w, r, "/ask/"+d.Name+"?d="+id)
		return
	}
	h.redirect(w, r, "/mark?d="+id)
}

// markSize is the longer side of a picture in which somebody clicks.
const markSize = 560

// clamp is a coordinate as a fraction.
func clamp(x, of int) float64 { return min(1, max(0, (float64(x)+0.5)/float64(max(1, of)))) }

func withoutMarks(problems []request.Problem) (rest []request.Problem) {
	for _, p := range problems {
		if p.Code != request.CodeSeveralFaces && p.Code != request.CodeInvalidMark {
			rest = append(rest, p)
		}
	}
	return rest
}

// withMark sets the mark of a picture.
func withMark(r request.Request, n int, mark string) request.Request {
	set := func(marks []string, images int) []string {
		marks = slices.Clone(marks)
		for len(marks) < images {
			marks = append(marks, "")
		}
		marks[n] = mark
		return marks
	}
	switch q := r.(type) {
	case request.FaceOptOut:
		q.Marks = set(q.Marks, len(q.Images))
		return q
	case request.OpenOptOut:
		q.Marks = set(q.Marks, len(q.Images))
		return q
	}
	return r
}

// send gives the request of a draft to the desk.
func (h *Handler) send(w http.ResponseWriter, r *http.Request) {
	id, d, v, ok := h.draftOf(w, r)
	if !ok || !h.allowed(w, r, "send", h.opts.PerHour) {
		return
	}
	if v, ok = h.drafts.take(id, v.visitor); !ok { // sent twice: the first one is on its way
		h.redirect(w, r, "/received")
		return
	}
	var invalid *request.ValidationError
	caseID := v.completes
	var err error
	if caseID != noCase {
		_, err = h.desk.Complete(r.Context(), caseID, v.request)
	} else {
		c, submitted := h.desk.Submit(r.Context(), v.request)
		caseID, err = c.ID, submitted
	}
	switch {
	case errors.As(err, &invalid):
		v.problems = invalid.Problems
		h.redirect(w, r, "/ask/"+d.Name+"?d="+h.drafts.put("", v))
		return
	case err != nil:
		h.drafts.put("", v)
		h.fail(w, r, err)
		return
	}
	h.cookies.Keep(w, "case", caseID[:], time.Hour)
	h.redirect(w, r, "/received")
}
