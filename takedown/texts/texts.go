package texts

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"golang.org/x/text/language"
	xmessage "golang.org/x/text/message"

	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

//go:embed *.json *.tmpl
var embedded embed.FS

// Catalogue has the texts of one language.
type Catalogue struct {
	Language language.Tag
	// Codes are the messages about problems. "{max}" stands for the parameter of
	// that name.
	Codes map[request.Code]string
	// Fields are the names of fields in words, by their paths as in
	// [request.Problem].Field, without the numbers of lists: "works.description". The parts
	// of a statement have the name of the statement.
	Fields map[string]string
	// Reasons are words for the operator's own codes of reasons, as in
	// [desk.Act].Reason, where a message gives one. A code without words stands for
	// itself.
	Reasons map[string]string
	// Templates has, for each type of message, a template of its name for the
	// body, and one with ".subject" behind the name. They are given the
	// [desk.Message]; see texts/en.tmpl for the functions that they can use.
	Templates *template.Template
}

// Texts puts problems and messages into words. Its methods are safe for
// concurrent use.
type Texts struct {
	catalogues []Catalogue
	matcher    language.Matcher
}

// New returns the texts that come with the library, English and Thai, and
// those of the given catalogues. A catalogue takes the place of an earlier one
// of the same language. The first one, English, serves whoever speaks none of
// them.
func New(more ...Catalogue) (*Texts, error) {
	t := new(Texts)
	var all []Catalogue
	for _, lang := range []string{"en", "th"} {
		c, err := LoadCatalogue(embedded, ".", language.MustParse(lang))
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	for _, c := range append(all, more...) {
		if err := c.check(); err != nil {
			return nil, err
		}
		replaced := false
		for i := range t.catalogues {
			if t.catalogues[i].Language == c.Language {
				t.catalogues[i], replaced = c, true
			}
		}
		if !replaced {
			t.catalogues = append(t.catalogues, c)
		}
	}
	var tags []language.Tag
	for _, c := range t.catalogues {
		tags = append(tags, c.Language)
	}
	t.matcher = language.NewMatcher(tags)
	return t, nil
}

// LoadCatalogue reads a catalogue from two files of a folder: for German
// "de.json", an object with the objects "codes" and "fields", and "de.tmpl", a Go
// text template.
func LoadCatalogue(fsys fs.FS, dir string, lang language.Tag) (Catalogue, error) {
	c := Catalogue{Language: lang}
	b, err := fs.ReadFile(fsys, path.Join(dir, lang.String()+".json"))
	if err != nil {
		return c, fmt.Errorf("takedown: texts: %w", err)
	}
	var words struct {
		Codes  map[request.Code]string `json:"codes"`
		Fields map[string]string       `json:"fields"`
	}
	if err := json.Unmarshal(b, &words); err != nil {
		return c, fmt.Errorf("takedown: texts of %v: %w", lang, err)
	}
	c.Codes, c.Fields = words.Codes, words.Fields
	name := lang.String() + ".tmpl"
	c.Templates, err = template.New(name).Funcs(templateFuncs(lang)).ParseFS(fsys, path.Join(dir, name))
	if err != nil {
		return c, fmt.Errorf("takedown: texts of %v: %w", lang, err)
	}
	return c, nil
}

// check looks whether a catalogue is complete.
func (c Catalogue) check() error {
	for _, code := range request.Codes() {
		if c.Codes[code] == "" {
			return fmt.Errorf("takedown: texts of %v: no message for %q", c.Language, code)
		}
	}
	for _, field := range fieldNames() {
		if c.Fields[field] == "" {
			return fmt.Errorf("takedown: texts of %v: no words for the field %q", c.Language, field)
		}
	}
	for _, m := range desk.MessageTypes() {
		for _, name := range []string{string(m), string(m) + ".subject"} {
			if c.Templates == nil || c.Templates.Lookup(name) == nil {
				return fmt.Errorf("takedown: texts of %v: no template %q", c.Language, name)
			}
		}
	}
	return nil
}

// pick returns the catalogue for a language tag, or for an Accept-Language
// header.
func (t *Texts) pick(lang string) Catalogue {
	tags, _, err := language.ParseAcceptLanguage(lang)
	if err != nil || len(tags) == 0 {
		return t.catalogues[0]
	}
	_, i, _ := t.matcher.Match(tags...)
	return t.catalogues[i]
}

var placeholder = regexp.MustCompile(`\{[a-z_]+\}`)

// Problem says in words what is wrong, in the language that fits lang best: a
// BCP 47 tag, or an Accept-Language header. Numbers are written as the language
// writes them.
func (t *Texts) Problem(lang string, p request.Problem) string {
	c := t.pick(lang)
	text, ok := c.Codes[p.Code]
	if !ok {
		text = string(p.Code)
	}
	return placeholder.ReplaceAllStringFunc(text, func(s string) string {
		name := strings.Trim(s, "{}")
		v := p.Params[name]
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return v
		}
		switch name {
		case "of": // an index; people count from one
			n++
		case "max_bytes":
			n >>= 20 // MiB
		case "max_pixels":
			n /= 1e6
		}
		return xmessage.NewPrinter(c.Language).Sprintf("%d", n)
	})
}

// Message puts a message into words, in the language of its recipient.
func (t *Texts) Message(m desk.Message) (subject, body string, err error) {
	c := t.pick(m.To.Language)
	var b bytes.Buffer
	if err := c.Templates.ExecuteTemplate(&b, string(m.Type)+".subject", view{m, t, c}); err != nil {
		return "", "", fmt.Errorf("takedown: texts of %v: %w", c.Language, err)
	}
	// A subject is one line, whatever a template or a name does.
	subject = strings.Join(strings.Fields(b.String()), " ")
	b.Reset()
	if err := c.Templates.ExecuteTemplate(&b, string(m.Type), view{m, t, c}); err != nil {
		return "", "", fmt.Errorf("takedown: texts of %v: %w", c.Language, err)
	}
	return subject, strings.TrimSpace(b.String()) + "\n", nil
}

// view is what a template sees: the message, and its problems in words.
type view struct {
	desk.Message
	texts *Texts
	c     Catalogue
}

// Missing returns the problems in words, each with its field. One that concerns
// several parts of a statement is there once.
func (v view) Missing() (list []string) {
	for _, p := range v.Problems {
		if s := v.FieldName(p.Field) + ": " + v.texts.Problem(v.c.Language.String(), p); !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

var listNumber = regexp.MustCompile(`\[([0-9]+)\]`)

// FieldName returns the words for the path of a field, with the number in a list,
// counted from one. A path without words stands for itself.
func (v view) FieldName(path string) string {
	number := ""
	if m := listNumber.FindStringSubmatch(path); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			number = xmessage.NewPrinter(v.c.Language).Sprintf(" %d", n+1)
		}
	}
	for name := listNumber.ReplaceAllString(path, ""); name != ""; name = name[:max(strings.LastIndexByte(name, '.'), 0)] {
		if words := v.c.Fields[name]; words != "" {
			return words + number
		}
	}
	return path
}

// Blocked is how many of the accepted items block.
func (v view) Blocked() int { return v.Accepted - v.Held }

// fieldNames returns the paths of all fields that requests have, without those
// of statements' parts.
func fieldNames() []string {
	names := map[string]bool{}
	var add func(t reflect.Type, prefix string)
	add = func(t reflect.Type, prefix string) {
		for i := range t.NumField() {
			f := t.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			names[prefix+name] = true
			if f.Type == reflect.TypeFor[request.Requester]() || f.Type == reflect.TypeFor[[]request.Work]() {
				if f.Type.Kind() == reflect.Slice {
					f.Type = f.Type.Elem()
				}
				add(f.Type, prefix+name+".")
			}
		}
	}
	for _, k := range request.Kinds() {
		add(reflect.TypeOf(request.New(k)), "")
	}
	return slices.Sorted(maps.Keys(names))
}

// Why returns the words for the code of a reason.
func (v view) Why(code string) string {
	if words := v.c.Reasons[code]; words != "" {
		return words
	}
	return code
}

// templateFuncs are the functions of the templates.
func templateFuncs(lang language.Tag) template.FuncMap {
	p := xmessage.NewPrinter(lang)
	return template.FuncMap{
		"inc":    func(i int) string { return p.Sprintf("%d", i+1) },
		"number": func(n int) string { return p.Sprintf("%d", n) },
		"date":   func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") },
	}
}
