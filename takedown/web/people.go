package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/staydown/staydown/takedown/form"
	"github.com/staydown/staydown/takedown/request"
)

// start is the first question.
func (h *Handler) start(w http.ResponseWriter, r *http.Request) {
	var open []string
	for _, t := range topics {
		if t == "case" || slices.ContainsFunc(h.doors, func(d door) bool { return d.Topic == t }) {
			open = append(open, t)
		}
	}
	h.render(w, r, http.StatusOK, "start", h.page(r, "start", open))
}

// topicPage is a page between the first question and the forms, where one answer
// leads to several of them.
type topicPage struct {
	Name  string
	Doors []door
	Help  []helpLine
}

type helpLine struct{ Name, URL, Phone, About string }

func (h *Handler) topic(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("topic")
	if !slices.Contains(topics, name) {
		h.missing(w, r)
		return
	}
	if name == "case" {
		h.redirect(w, r, "/case")
		return
	}
	t := topicPage{Name: name}
	for _, d := range h.doors {
		if d.Topic == name {
			t.Doors = append(t.Doors, d)
		}
	}
	switch {
	case len(t.Doors) == 0:
		h.missing(w, r)
		return
	case len(t.Doors) == 1:
		h.redirect(w, r, "/ask/"+t.Doors[0].Name)
		return
	}
	words := h.wordsOf(r)
	if name == "child" {
		t.Help = h.helpers(words, "", true)
	}
	h.render(w, r, http.StatusOK, "topic", h.page(r, "topic."+name, t))
}

// helpers are the organisations that help somebody in a country, with pictures of
// children or of adults.
func (h *Handler) helpers(w words, country string, children bool) (list []helpLine) {
	for _, o := range h.opts.Helpers {
		if o.Country != "" && country != "" && !strings.EqualFold(o.Country, country) || o.Children != children {
			continue
		}
		about := o.About[w.lang]
		if about == "" {
			about = o.About["en"]
		}
		list = append(list, helpLine{o.Name, o.URL, o.Phone, about})
	}
	return list
}

// formPage is a form as it is shown.
type formPage struct {
	Door   *door
	Draft  string
	Groups []shownGroup
	Wrong  []shownField // those with an error, for the summary
	Help   []helpLine
	// Completes is set for a form that completes a case.
	Completes bool
}

type shownGroup struct {
	Name, Title, Hint string
	Fields            []shownField
}

// shownField is a field with what was entered and what is wrong with it.
type shownField struct {
	field
	ID, Label, Hint, Why, Value, Statement string
	NeedWord                               string
	Errors                                 []string
	Options                                []option
	Pictures                               []int // of the draft
	Draft                                  string
}

// NeedCode is the need as a number, for the templates.
func (f shownField) NeedCode() int { return int(f.Need) }

// form shows a form: empty, or as a draft has it.
func (h *Handler) form(w http.ResponseWriter, r *http.Request) {
	d := h.findDoor(r.PathValue("door"))
	if d == nil {
		h.missing(w, r)
		return
	}
	id := r.URL.Query().Get("d")
	v, ok := h.drafts.get(id, h.visitor(w, r))
	if !ok || v.door != d.Name {
		id, v = "", draft{}
	}
	status := http.StatusOK
	if len(v.problems) > 0 {
		status = http.StatusUnprocessableEntity
	}
	h.showForm(w, r, status, d, id, v, "")
}

func (h *Handler) showForm(w http.ResponseWriter, r *http.Request, status int, d *door, id string, v draft, alert string) {
	f := formPage{Door: d, Draft: id, Completes: v.completes != noCase}
	p := h.page(r, "door."+d.Name, nil)
	p.Alert = alert
	p.Langs, p.Switch, p.Door = nil, h.words, d.Name
	values := valuesOf(v.request)
	if v.request == nil {
		values["case"] = r.URL.Query().Get("case")
	}
	for _, g := range d.Groups {
		sg := shownGroup{Name: g.Name, Title: p.W.of("group." + g.Name)}
		if p.W.has("group." + g.Name + ".hint") {
			sg.Hint = p.W.of("group." + g.Name + ".hint")
		}
		for _, ff := range g.Fields {
			sf := h.shown(p.W, d, ff, values, v)
			sf.Draft = id
			if ff.Type == "mark" && len(sf.Errors) == 0 {
				continue // asked for on a page of its own
			}
			if len(sf.Errors) > 0 {
				f.Wrong = append(f.Wrong, sf)
			}
			sg.Fields = append(sg.Fields, sf)
		}
		f.Groups = append(f.Groups, sg)
	}
	if d.Help {
		f.Help = h.helpers(p.W, values["requester.country"], d.Children)
	}
	p.Data = f
	h.render(w, r, status, "form", p)
}

// shown returns a field with its words, value and errors.
func (h *Handler) shown(w words, d *door, ff field, values map[string]string, v draft) shownField {
	kind, bare := d.Kind.String(), bareName(ff.Name)
	sf := shownField{field: ff, ID: strings.NewReplacer(".", "-", "[", "-", "]", "").Replace(ff.Name), Value: values[ff.Name],
		Label: h.label(w, d.Name, kind, bare)}
	for _, from := range []string{d.Name + "." + bare, kind + "." + bare, bare} {
		if w.has("hint." + from) {
			sf.Hint = w.of("hint." + from)
			break
		}
	}
	if w.has("why." + bare) {
		sf.Why = w.of("why." + bare)
	}
	sf.NeedWord = w.of([]string{"optional", "required", "either"}[ff.Need])
	if ff.Type == "box" {
		sf.Statement = w.of("statement."+kind+"."+ff.Name, "statement."+ff.Name)
	}
	chosen := strings.Split(sf.Value, "\n")
	for _, c := range ff.Choices {
		sf.Options = append(sf.Options, option{c, w.of("choice."+kind+"."+bare+"."+c, "choice."+bare+"."+c), slices.Contains(chosen, c)})
	}
	if ff.Type == "country" || ff.Type == "countries" {
		sf.Options = slices.Clone(w.countries)
		for i := range sf.Options {
			sf.Options[i].Chosen = slices.ContainsFunc(chosen, func(c string) bool { return strings.EqualFold(c, sf.Options[i].Value) })
		}
	}
	if ff.Type == "files" && v.request != nil {
		for i := range request.Images(v.request) {
			sf.Pictures = append(sf.Pictures, i)
		}
	}
	sf.Errors = h.errorsOf(w, ff, v.problems)
	return sf
}

// bareName is the path of a field without the numbers of lists.
func bareName(path string) string {
	for {
		i := strings.IndexByte(path, '[')
		j := strings.IndexByte(path, ']')
		if i < 0 || j < i {
			return path
		}
		path = path[:i] + path[j+1:]
	}
}

// errorsOf puts into words what is wrong with a field, its items and parts.
func (h *Handler) errorsOf(w words, f field, problems []request.Problem) (said []string) {
	for _, p := range problems {
		rest, ok := strings.CutPrefix(p.Field, f.Name)
		if !ok || rest != "" && rest[0] != '[' && rest[0] != '.' {
			continue
		}
		text := h.opts.Texts.Problem(w.lang, p)
		if f.Need == either && p.Code == request.CodeRequired && rest == "" {
			text = w.of("one_of_these")
		}
		if n, err := strconv.Atoi(strings.Trim(rest, "[]")); err == nil {
			of := "line"
			if f.Type == "files" || f.Type == "mark" {
				of = "picture"
			}
			text = w.format("nth."+of, "{n}", strconv.Itoa(n+1)) + " " + text
		}
		if !slices.Contains(said, text) {
			said = append(said, text)
		}
	}
	return said
}

// valuesOf returns what was entered, by the names of the fields.
func valuesOf(r request.Request) map[string]string {
	values := map[string]string{}
	if r == nil {
		return values
	}
	b, err := request.Encode(request.WithImages(r, nil))
	var all map[string]any
	if err != nil || json.Unmarshal(b, &all) != nil {
		return values
	}
	for key, v := range all {
		addValue(values, key, v)
	}
	return values
}

func addValue(values map[string]string, name string, v any) {
	switch v := v.(type) {
	case string:
		values[name] = v
	case bool:
		if v {
			values[name] = "true"
		}
	case []any:
		var list []string
		for i, x := range v {
			switch x := x.(type) {
			case string:
				list = append(list, x)
			case map[string]any:
				addValue(values, fmt.Sprintf("%s[%d]", name, i), x)
			}
		}
		values[name] = strings.Join(list, "\n")
	case map[string]any:
		if _, ok := v["accepted"]; ok {
			values[name] = "true"
		}
		for key, x := range v {
			addValue(values, name+"."+key, x)
		}
	}
}

// takeForm reads a form into a draft, checks it, and goes on to the page that
// shows what was understood.
func (h *Handler) takeForm(w http.ResponseWriter, r *http.Request) {
	d := h.findDoor(r.PathValue("door"))
	if d == nil {
		h.missing(w, r)
		return
	}
	if !h.allowed(w, r, "form", 10*h.opts.PerHour) {
		return
	}
	visitor, words := h.visitor(w, r), h.wordsOf(r)
	id := r.URL.Query().Get("d")
	old, ok := h.drafts.get(id, visitor)
	if !ok || old.door != d.Name {
		id, old = "", draft{}
	}
	asked, alert, status := h.readForm(w, r, d, words)
	if asked == nil {
		old.problems = nil
		h.showForm(w, r, status, d, id, old, alert)
		return
	}
	if old.request != nil {
		asked = withImages(asked, request.Images(old.request))
	}
	v := draft{visitor: visitor, door: d.Name, request: asked, completes: old.completes}
	q := r.URL.Query()
	switch q.Get("do") {
	case "language":
		id = h.drafts.put(id, v)
		h.redirect(w, r, "/ask/"+d.Name+"?d="+id)
		return
	case "remove":
		v.request = withoutImage(asked, q.Get("n"))
		id = h.drafts.put(id, v)
		h.redirect(w, r, "/ask/"+d.Name+"?d="+id+"#images")
		return
	}
	checked := h.desk.Check(r.Context(), v.request)
	if checked.Failed != nil {
		h.fail(w, r, checked.Failed)
		return
	}
	v.problems, v.checked = checked.Problems, checked
	marks := slices.ContainsFunc(v.problems, func(p request.Problem) bool { return p.Code == request.CodeSeveralFaces })
	id = h.drafts.put(id, v)
	switch {
	case marks && d.has("marks"):
		h.redirect(w, r, "/mark?d="+id)
	case blocking(v.problems):
		h.showForm(w, r, http.StatusUnprocessableEntity, d, id, v, "")
	default:
		h.redirect(w, r, "/check?d="+id)
	}
}

// blocking reports whether problems have to be mended before a request is sent.
// What the desk takes in and asks about is told on the page before sending.
func blocking(problems []request.Problem) bool {
	return slices.ContainsFunc(problems, func(p request.Problem) bool { return p.Severity != request.Curable })
}

// readForm reads the form of a door. Without a request, alert and status say why.
func (h *Handler) readForm(w http.ResponseWriter, r *http.Request, d *door, words words) (asked request.Request, alert string, status int) {
	select {
	case h.uploads <- struct{}{}:
		defer func() { <-h.uploads }()
	case <-r.Context().Done():
		return nil, words.of("failed"), http.StatusServiceUnavailable
	}
	r.Body = http.MaxBytesReader(w, r.Body, h.opts.UploadBytes)
	trapped := false
	asked, err := form.Decode(r, &form.Options{Kind: d.Kind, Statements: d.statements(words), Ignore: []string{honeypot},
		Ignored: func(string, string) { trapped = true }, SpoolDir: h.opts.SpoolDir, Now: h.opts.Now()})
	var bad *request.FormatError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, words.format("too_large", "{mb}", strconv.FormatInt(h.opts.UploadBytes>>20, 10)), http.StatusRequestEntityTooLarge
	case errors.As(err, &bad) && bad.Field == "case":
		return nil, words.of("no_such_case"), http.StatusUnprocessableEntity
	case err != nil:
		return nil, words.of("not_a_form"), http.StatusBadRequest
	case trapped:
		return nil, words.of("trapped"), http.StatusUnprocessableEntity
	}
	if d.Set != nil {
		asked = d.Set(asked)
	}
	return asked, "", 0
}

// honeypot is a field that people do not see, and that programs fill in.
const honeypot = "requester.website"

func withoutImage(r request.Request, n string) request.Request {
	images := slices.Clone(request.Images(r))
	if i, err := strconv.Atoi(n); err == nil && i >= 0 && i < len(images) {
		images = slices.Delete(images, i, i+1)
	}
	return request.WithImages(r, images)
}

// valueAt returns the value at a path: "image_urls[2]".
func valueAt(values map[string]string, path string) string {
	name, n, ok := strings.Cut(strings.TrimSuffix(path, "]"), "[")
	if !ok {
		return values[path]
	}
	i, err := strconv.Atoi(n)
	if err != nil {
		return ""
	}
	list := strings.Split(values[name], "\n")
	if i < 0 || i >= len(list) {
		return ""
	}
	return list[i]
}

// label is the name of a field on a page: the page's own words, or those of
// letters.
func (h *Handler) label(w words, door, kind, bare string) string {
	for _, name := range []string{"field." + door + "." + bare, "field." + kind + "." + bare, "field." + bare} {
		if w.has(name) {
			return w.of(name)
		}
	}
	return h.opts.Texts.Field(w.lang, bare)
}
