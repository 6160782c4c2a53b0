package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/subtle"
	"embed"
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/text/language"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/form"
	"github.com/staydown/staydown/takedown/request"
	"github.com/staydown/staydown/takedown/texts"
)

//go:embed pages.html style.css
var assets embed.FS

// maxForm is the longest form that is read: the library would take 20 pictures of
// 10 MB, which is more than a page should ask of a small server.
const maxForm = 64 << 20

// server is the handler of all pages.
type server struct {
	desk      *desk.Desk
	texts     *texts.Texts
	index     album
	reviewers map[string]string // name → password
	pages     *template.Template
	handler   http.Handler

	mu       sync.Mutex
	messages []shown // newest first; a real service sends them
}

// shown is a message as its recipient reads it.
type shown struct {
	To, Subject, Body string
}

func newServer(dir, photos string, reviewers map[string]string) (*server, error) {
	s := &server{reviewers: reviewers}
	var err error
	if s.pages, err = template.New("").Funcs(template.FuncMap{"lines": lines, "say": say, "inc": func(i int) int { return i + 1 }}).ParseFS(assets, "pages.html"); err != nil {
		return nil, err
	}
	if s.texts, err = texts.New(nil); err != nil {
		return nil, err
	}
	if s.index, err = readAlbum(photos); err != nil {
		return nil, err
	}
	if s.desk, err = desk.Open(dir, &desk.Options{Notifier: desk.NotifierFunc(s.notify), ConfirmEmail: true, Policy: "example-1"}); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", s.missing)
	mux.HandleFunc("GET /{$}", s.first)
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, assets, "style.css") })
	mux.HandleFunc("GET /ask/{kind}", s.form)
	mux.HandleFunc("POST /ask/{kind}", s.submit)
	mux.HandleFunc("GET /received", s.received)
	mux.HandleFunc("POST /confirm", s.confirm)
	for pattern, h := range map[string]func(http.ResponseWriter, *http.Request, string){
		"GET /desk/{$}": s.cases, "GET /desk/messages": s.outbox, "GET /desk/case/{id}": s.review,
		"GET /desk/case/{id}/image/{n}": s.image, "GET /desk/index/{key}": s.indexImage, "POST /desk/case/{id}": s.decide,
	} {
		mux.HandleFunc(pattern, s.forReviewers(h))
	}
	// Forms of other sites must not be sent here in a visitor's name.
	s.handler = http.NewCrossOriginProtection().Handler(mux)
	return s, nil
}

func (s *server) Close() error { return s.desk.Close() }

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Referrer-Policy", "no-referrer") // the address of a page must not tell who asks
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	s.handler.ServeHTTP(w, r)
}

// notify keeps the message in words.
func (s *server) notify(_ context.Context, m desk.Message) error {
	subject, body, err := s.texts.Message(m)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = slices.Insert(s.messages, 0, shown{cmp.Or(m.To.Email, m.To.Phone, "whom it affects"), subject, body})
	return nil
}

// page is what every page is given.
type page struct {
	Lang, Title string
	Here        string // the path that shows the page again, in the other language too
	Words       map[string]string
	Forms       []formPage
	Form        formPage
	Fields      []shownField
	Wrong       []shownField // those with an error, for the summary
	Error       string
	Case        string
	Done        bool

	// Of the reviewers' pages.
	Reviewer string
	Cases    []desk.Case
	Messages []shown
	Review   *review
}

// shownField is a field with what was entered and what is wrong with it.
type shownField struct {
	field
	Label, Hint, Value, Statement string
	Need                          string // the word for whether it has to be there
	Errors                        []string
	Options                       []option
	ID                            string
}

type option struct {
	Value, Label string
	Chosen       bool
}

// lang returns the language of a visitor: chosen on the page, or the browser's.
func lang(r *http.Request) string {
	tags, _, _ := language.ParseAcceptLanguage(r.URL.Query().Get("lang") + "," + r.Header.Get("Accept-Language"))
	if _, i, c := languages.Match(tags...); i == 1 && c > language.No {
		return "th"
	}
	return "en"
}

func (s *server) render(w http.ResponseWriter, status int, name string, p page) {
	p.Words, p.Forms = words[p.Lang], forms
	var b bytes.Buffer
	if err := s.pages.ExecuteTemplate(&b, name, p); err != nil {
		http.Error(w, "the page cannot be shown", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(b.Bytes())
}

func (s *server) first(w http.ResponseWriter, r *http.Request) {
	s.render(w, http.StatusOK, "first", page{Lang: lang(r), Title: words[lang(r)]["title"], Here: "/"})
}

// missing is the page of an address that there is not.
func (s *server) missing(w http.ResponseWriter, r *http.Request) {
	s.render(w, http.StatusNotFound, "missing", page{Lang: lang(r), Title: words[lang(r)]["missing"], Here: "/"})
}

// find returns the form of the kind that the path names.
func find(r *http.Request) (formPage, bool) {
	kind, err := takedown.ParseKind(r.PathValue("kind"))
	i := slices.IndexFunc(forms, func(f formPage) bool { return f.Kind == kind })
	if err != nil || i < 0 {
		return formPage{}, false
	}
	return forms[i], true
}

func (s *server) form(w http.ResponseWriter, r *http.Request) {
	f, ok := find(r)
	if !ok {
		s.missing(w, r)
		return
	}
	s.showForm(w, http.StatusOK, lang(r), f, nil, nil, "")
}

// showForm shows a form: empty, or with what was entered and what is wrong.
func (s *server) showForm(w http.ResponseWriter, status int, lang string, f formPage, entered request.Request, problems []request.Problem, failed string) {
	text := words[lang]
	p := page{Lang: lang, Title: text[f.Kind.String()], Here: "/ask/" + f.Kind.String(), Form: f, Error: failed}
	values := valuesOf(entered)
	for _, ff := range f.Fields {
		sf := shownField{field: ff, Label: text[ff.Name], Hint: text[ff.Name+".hint"], Value: values[ff.Name], ID: strings.ReplaceAll(ff.Name, ".", "-"),
			Statement: text["box."+ff.Name], Need: "optional"}
		switch {
		case ff.Either:
			sf.Need = "either"
		case ff.Required:
			sf.Need = "required"
		}
		for _, c := range ff.Choices {
			sf.Options = append(sf.Options, option{c, text[ff.Name+"."+c], sf.Value == c})
		}
		if ff.Type == "country" {
			for _, c := range countries[lang] {
				sf.Options = append(sf.Options, option{c.code, c.name, strings.EqualFold(sf.Value, c.code)})
			}
		}
		sf.Errors = s.errorsOf(ff, lang, problems)
		empty := slices.ContainsFunc(problems, func(p request.Problem) bool { return p.Field == ff.Name && p.Code == request.CodeRequired })
		if ff.Type == "file" && !empty && (len(problems) > 0 || failed != "") {
			sf.Errors = append(sf.Errors, text["again"]) // browsers do not keep files
		}
		if len(sf.Errors) > 0 {
			p.Wrong = append(p.Wrong, sf)
		}
		p.Fields = append(p.Fields, sf)
	}
	s.render(w, status, "form", p)
}

// errorsOf puts into words what is wrong with a field, its items and parts.
func (s *server) errorsOf(f field, lang string, problems []request.Problem) (said []string) {
	for _, p := range problems {
		rest, ok := strings.CutPrefix(p.Field, f.Name)
		if !ok || rest != "" && rest[0] != '[' && rest[0] != '.' {
			continue
		}
		text := s.texts.Problem(lang, p)
		if f.Either && p.Code == request.CodeRequired && rest == "" {
			text = words[lang]["one_address"]
		}
		if n, err := strconv.Atoi(strings.Trim(rest, "[]")); err == nil {
			of := "line"
			if f.Type == "file" {
				of = "file"
			}
			text = words[lang][of] + " " + strconv.Itoa(n+1) + ": " + text
		}
		said = append(said, text)
	}
	return said
}

// valuesOf returns what was entered, by the names of the fields.
func valuesOf(r request.Request) map[string]string {
	values := map[string]string{}
	if r == nil {
		return values
	}
	b, err := request.Encode(r)
	var all map[string]any
	if err != nil || json.Unmarshal(b, &all) != nil {
		return values
	}
	var add func(name string, v any)
	add = func(name string, v any) {
		switch v := v.(type) {
		case string:
			values[name] = v
		case []any:
			var list []string
			for _, x := range v {
				if text, ok := x.(string); ok && name != "images" {
					list = append(list, text)
				}
			}
			values[name] = strings.Join(list, "\n")
		case map[string]any:
			if _, ok := v["accepted"]; ok {
				values[name] = "on"
			}
			for key, x := range v {
				add(name+"."+key, x)
			}
		}
	}
	for key, v := range all {
		add(key, v)
	}
	return values
}

func (s *server) submit(w http.ResponseWriter, r *http.Request) {
	f, ok := find(r)
	if !ok {
		s.missing(w, r)
		return
	}
	lang := lang(r)
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	asked, err := form.Decode(r, &form.Options{Kind: f.Kind, Statements: statements(lang)})
	var bad *request.FormatError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		s.showForm(w, http.StatusRequestEntityTooLarge, lang, f, nil, nil, words[lang]["too_large"])
		return
	case errors.As(err, &bad) && bad.Field == "case":
		// What was typed is no number of a case: the same words as for one that
		// there is not.
		s.showForm(w, http.StatusUnprocessableEntity, lang, f, nil, []request.Problem{{Field: "case", Code: request.CodeUnknownCase}}, "")
		return
	case err != nil:
		s.showForm(w, http.StatusBadRequest, lang, f, nil, nil, words[lang]["not_a_form"])
		return
	}
	c, err := s.desk.Submit(r.Context(), asked)
	var invalid *request.ValidationError
	switch {
	case errors.As(err, &invalid):
		s.showForm(w, http.StatusUnprocessableEntity, lang, f, asked, invalid.Problems, "")
		return
	case err != nil:
		http.Error(w, "the request could not be taken in", http.StatusInternalServerError)
		return
	}
	// The number is in no address, which browsers remember and show.
	http.SetCookie(w, &http.Cookie{Name: "case", Value: c.ID.String(), Path: "/", MaxAge: 3600, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, "/received?lang="+lang, http.StatusSeeOther)
}

// received tells the number of a case, and nothing of what it hits.
func (s *server) received(w http.ResponseWriter, r *http.Request) {
	p := page{Lang: lang(r), Here: "/received"}
	p.Title = words[p.Lang]["received"]
	var id takedown.CaseID
	c, err := r.Cookie("case")
	if err == nil {
		id, err = takedown.ParseCaseID(c.Value)
	}
	if err != nil { // nothing was sent, or long ago
		http.Redirect(w, r, "/?lang="+p.Lang, http.StatusSeeOther)
		return
	}
	p.Case = id.String()
	s.render(w, http.StatusOK, "received", p)
}

func (s *server) confirm(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4096)
	p := page{Lang: lang(r), Here: "/received", Case: r.FormValue("case")}
	id, err := takedown.ParseCaseID(p.Case)
	if err == nil {
		err = s.desk.Confirm(r.Context(), id, r.FormValue("token"))
	}
	p.Title = words[p.Lang]["confirm"]
	status := http.StatusOK
	if p.Done = err == nil; !p.Done {
		// The same words whether there is no such case or the code is wrong.
		p.Error, status = words[p.Lang]["not_confirmed"], http.StatusUnprocessableEntity
	}
	s.render(w, status, "received", p)
}

// forReviewers asks for a name and a password.
func (s *server) forReviewers(h func(http.ResponseWriter, *http.Request, string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name, password, _ := r.BasicAuth()
		want, ok := s.reviewers[name]
		if !ok || subtle.ConstantTimeCompare([]byte(want), []byte(password)) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="reviewers"`)
			http.Error(w, "for reviewers", http.StatusUnauthorized)
			return
		}
		h(w, r, name)
	}
}

func lines(s string) []string { return strings.Split(strings.TrimSpace(s), "\n") }
