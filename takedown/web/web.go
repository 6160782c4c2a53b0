package web

import (
	"bytes"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/language"

	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/texts"
)

//go:embed pages static
var assets embed.FS

// Handler is the handler of all pages. It is safe for concurrent use.
type Handler struct {
	desk    *desk.Desk
	opts    Options
	doors   []door
	words   []words
	matcher language.Matcher
	secrets secrets
	cookies *Sessions
	drafts  *drafts
	limits  *limiter
	counter counter
	tabs    tabCounts
	later   later
	uploads chan struct{} // one place for each form that is read
	pages   *template.Template
	style   []byte
	keys    []byte // the script of the console
	handler http.Handler
}

// New returns the pages of a desk. The caller ends the server, closes the pages,
// and then the desk.
func New(d *desk.Desk, opts *Options) (*Handler, error) {
	if d == nil {
		return nil, errDesk
	}
	if opts == nil {
		opts = new(Options)
	}
	o, err := opts.complete()
	if err != nil {
		return nil, err
	}
	h := &Handler{desk: d, opts: o, drafts: newDrafts(o.Now, o.Drafts), limits: newLimiter(o.Now), uploads: make(chan struct{}, o.Uploads)}
	if h.doors, err = openDoors(o.Doors); err != nil {
		return nil, err
	}
	if h.words, err = readWords(&o); err != nil {
		return nil, err
	}
	h.matcher = language.NewMatcher(o.Languages)
	if h.secrets, err = newSecrets(o.Key); err != nil {
		return nil, err
	}
	h.cookies = &Sessions{secrets: h.secrets, path: o.Path, plain: o.Insecure, now: o.Now}
	if h.pages, err = template.New("").Funcs(funcs).ParseFS(assets, "pages/*.html"); err != nil {
		return nil, err
	}
	if h.style, err = assets.ReadFile("static/style.css"); err == nil {
		h.keys, err = assets.ReadFile("static/keys.js")
	}
	if err != nil {
		return nil, err
	}
	h.style = append(h.style, o.Style...)
	h.handler = h.routes()
	return h, nil
}

func openDoors(names []string) ([]door, error) {
	if names == nil {
		return doors, nil
	}
	var open []door
	for _, name := range names {
		i := slices.IndexFunc(doors, func(d door) bool { return d.Name == name })
		if i < 0 {
			return nil, errors.New("web: Options.Doors has " + name + "; there are " + strings.Join(Doors(), ", "))
		}
		open = append(open, doors[i])
	}
	return open, nil
}

func (h *Handler) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", h.missing)
	mux.HandleFunc("GET /{$}", h.start)
	mux.HandleFunc("GET /about/{topic}", h.topic)
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, r *http.Request) { serveAsset(w, r, "text/css", h.style) })
	mux.HandleFunc("GET /ask/{door}", h.form)
	mux.HandleFunc("POST /ask/{door}", h.takeForm)
	mux.HandleFunc("GET /check", h.check)
	mux.HandleFunc("GET /check/picture/{n}", h.draftPicture)
	mux.HandleFunc("GET /mark", h.mark)
	mux.HandleFunc("POST /mark", h.takeMark)
	mux.HandleFunc("POST /send", h.send)
	mux.HandleFunc("GET /received", h.received)
	mux.HandleFunc("GET /confirm/{id}/{token}", h.confirmLink)
	mux.HandleFunc("POST /confirm", h.confirm)
	mux.HandleFunc("POST /resend", h.resend)
	mux.HandleFunc("GET /case", h.caseDoor)
	mux.HandleFunc("POST /case", h.openCase)
	mux.HandleFunc("GET /case/{id}/{secret}", h.caseLink)
	mux.HandleFunc("POST /case/leave", h.leaveCase)
	mux.HandleFunc("GET /case/complete", h.completeCase)
	mux.HandleFunc("POST /case/withdraw", h.withdrawCase)
	if h.opts.Login != nil {
		if a, ok := h.opts.Login.(*Accounts); ok {
			a.bind(h)
		}
		h.console(mux)
	}
	// Forms of other sites must not be sent here in a visitor's name.
	return http.NewCrossOriginProtection().Handler(mux)
}

// ServeHTTP answers a request. Its path has no [Options].Path any more.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	policy := "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
	if strings.HasPrefix(r.URL.Path, "/desk/") {
		policy += "; script-src 'self'" // its keys
	}
	head.Set("Content-Security-Policy", policy)
	head.Set("Referrer-Policy", "same-origin") // the address of a page must not tell other sites who asks
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Cross-Origin-Opener-Policy", "same-origin")
	head.Set("Cross-Origin-Resource-Policy", "same-origin")
	head.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
	head.Set("Cache-Control", "no-store")
	h.handler.ServeHTTP(w, r)
}

// page is what every page is given.
type page struct {
	W       words
	Base    string // the path before all links
	Service Service
	Langs   []words
	Here    string // the path that shows the page again, without a language
	Title   string
	Alert   string // what went wrong, above the page
	Note    string // what went well
	Data    any
	// Reviewer is who works at the console, Later what they can undo.
	Reviewer *Reviewer
	Later    []pending
	Now      time.Time
	// Of forms: the languages to switch to without losing anything, and the door.
	Switch []words
	Door   string
	Stages []string // of a case

	texts *texts.Texts
}

// Link is the address of the page in another language.
func (p page) Link(lang string) string {
	sep := "?"
	if strings.Contains(p.Here, "?") {
		sep = "&"
	}
	return p.Base + p.Here + sep + "lang=" + url.QueryEscape(lang)
}

// Date writes a time in the language of the page.
func (p page) Date() func(time.Time) string {
	return func(t time.Time) string { return p.texts.Date(p.W.lang, t) }
}

// Day writes a day in the language of the page.
func (p page) Day() func(time.Time) string {
	return func(t time.Time) string { return p.texts.Day(p.W.lang, t) }
}

// page returns what all pages have.
func (h *Handler) page(r *http.Request, title string, data any) page {
	w := h.wordsOf(r)
	here := r.URL.Path
	q := r.URL.Query()
	q.Del("lang")
	if len(q) > 0 {
		here += "?" + q.Encode()
	}
	return page{W: w, Base: h.opts.Path, Service: h.opts.Service, Langs: h.words, Here: here, Title: w.of(title), Data: data,
		Now: h.opts.Now(), texts: h.opts.Texts}
}

// render writes a page.
func (h *Handler) render(w http.ResponseWriter, r *http.Request, status int, name string, p page) {
	var b bytes.Buffer
	if err := h.pages.ExecuteTemplate(&b, name, p); err != nil {
		h.fail(w, r, err)
		return
	}
	if asked := r.URL.Query().Get("lang"); asked != "" && asked == p.W.lang {
		h.cookies.Keep(w, "lang", []byte(asked), 365*24*time.Hour)
	}
	head := w.Header()
	head.Set("Content-Type", "text/html; charset=utf-8")
	head.Set("Content-Language", p.W.lang)
	head.Set("Vary", "Accept-Language, Cookie")
	w.WriteHeader(status)
	w.Write(b.Bytes())
}

// fail answers when something is wrong with the service itself. The error is
// logged; errors of the desk name no person.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // nobody waits for an answer any more
	}
	h.opts.Logger.Error("web: a page failed", "method", r.Method, "pattern", r.Pattern, "error", err)
	words := h.wordsOf(r)
	http.Error(w, words.of("failed"), http.StatusInternalServerError)
}

// missing is the page of an address that there is not.
func (h *Handler) missing(w http.ResponseWriter, r *http.Request) {
	p := h.page(r, "missing", nil)
	p.Here = "/"
	h.render(w, r, http.StatusNotFound, "missing", p)
}

// serveAsset serves a file that is part of the program.
func serveAsset(w http.ResponseWriter, r *http.Request, typ string, file []byte) {
	w.Header().Set("Cache-Control", "max-age=3600")
	w.Header().Set("Content-Type", typ+"; charset=utf-8")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file))
}

// redirect sends a browser to another page.
func (h *Handler) redirect(w http.ResponseWriter, r *http.Request, to string) {
	if lang := r.URL.Query().Get("lang"); lang != "" {
		sep := "?"
		if strings.Contains(to, "?") {
			sep = "&"
		}
		to += sep + "lang=" + url.QueryEscape(lang)
	}
	http.Redirect(w, r, h.opts.Path+to, http.StatusSeeOther)
}

// allowed takes one from the visitor's hourly budget for something, and answers
// where there is none left.
func (h *Handler) allowed(w http.ResponseWriter, r *http.Request, what string, perHour int) bool {
	if h.limits.allow(what, h.opts.ClientIP(r), perHour) {
		return true
	}
	w.Header().Set("Retry-After", "600")
	p := h.page(r, "busy", nil)
	h.render(w, r, http.StatusTooManyRequests, "busy", p)
	return false
}

var funcs = template.FuncMap{
	"inc": func(i int) int { return i + 1 },
	"str": func(x any) string { return fmt.Sprint(x) },
	"w":   func(p page, names ...any) string { return p.W.of(namesOf(names)) },
	"jpeg": func(b []byte) template.URL {
		return template.URL("data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(b))
	},
	"sub": func(p page, data any) page {
		p.Data = data
		return p
	},
}

// namesOf joins the parts of the name of a text with dots.
func namesOf(parts []any) string {
	text := make([]string, len(parts))
	for i, p := range parts {
		text[i] = fmt.Sprint(p)
	}
	return strings.Join(text, ".")
}
