package texts

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
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
	"golang.org/x/text/language/display"
	xmessage "golang.org/x/text/message"
	"golang.org/x/text/unicode/bidi"

	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

//go:embed *.json *.tmpl
var embedded embed.FS

// Catalogue has the texts of one language. Missing entries are taken from English,
// one by one: see [Texts.Gaps].
type Catalogue struct {
	Language language.Tag
	// Codes are the messages about problems. "{max}" stands for the parameter of
	// that name.
	Codes map[request.Code]string
	// Fields are the names of fields in words, by their paths as in
	// [request.Problem].Field, without the numbers of lists: "works.description".
	// The parts of a statement have the name of the statement.
	Fields map[string]string
	// Reasons are words for reason codes, as in [desk.Actor].Reason, where a
	// message has one: clauses without a full stop. They may include codes of the
	// operator's own. A code without words is left out of a letter.
	Reasons map[string]string
	// Units are words for lengths of time, by [desk.Unit]: for one, and for
	// other numbers. "{n}" stands for the number.
	Units map[desk.Unit][2]string
	// Dates is the format of dates.
	Dates Dates
	// Help are organisations that help people in intimate pictures, and Hotlines
	// those for the safety of children, by the country of the recipient. Those of ""
	// are for every country and come last.
	Help, Hotlines map[string][]Organisation
	// Templates has, for each type of message, a template of its name for the
	// body, and one with ".subject" behind the name. They are given the
	// [desk.Message]; see en.tmpl for the functions that they can use. A message
	// without both of them is written in English.
	//
	// A template with a slash and a name behind that of the type wins over the general
	// one: "rejected/complaint". The names are "child_safety" for a case about a
	// child, "duplicate_of", the kind of the request, and "opt_out" for all opt-outs of
	// pictures.
	Templates *template.Template
}

// Organisation is an organisation that helps people.
type Organisation struct {
	Name  string `json:"name"`
	Phone string `json:"phone,omitempty"`
	URL   string `json:"url,omitempty"`
}

// Dates is the format of dates in a language.
type Dates struct {
	// Layout has the placeholders {day}, {month}, {year}, {time} and {zone}.
	Layout string `json:"layout"`
	// Day is the layout of a date without a time.
	Day    string     `json:"day"`
	Months [12]string `json:"months"`
	// YearOffset is added to the year: 543 for the Buddhist era.
	YearOffset int `json:"year_offset"`
}

// format writes t by a layout.
func (d Dates) format(layout string, t time.Time) string {
	return strings.NewReplacer("{day}", strconv.Itoa(t.Day()), "{month}", d.Months[t.Month()-1],
		"{year}", strconv.Itoa(t.Year()+d.YearOffset), "{time}", t.Format("15:04"), "{zone}", t.Format("MST")).Replace(layout)
}

// Options are the options of [New]. The zero value, and nil, are the defaults.
type Options struct {
	// Catalogues are added to those of the library. The entries of a catalogue
	// replace those of an earlier one in the same language.
	Catalogues []Catalogue
	// Location is where the recipients' days begin; nil is UTC.
	Location *time.Location
	// Contact is where recipients can write to: an email address or a web address.
	Contact string
	// Logger logs each gap, at level Warn; nil logs nothing.
	Logger *slog.Logger
}

// Texts writes problems and messages in a language. Its methods are safe for
// concurrent use.
type Texts struct {
	catalogues []Catalogue // the first is English, and complete
	matcher    language.Matcher
	location   *time.Location
	contact    string
	gaps       []Gap
}

// Gap is an entry that a catalogue lacks. English takes its place.
type Gap struct {
	Language language.Tag
	Entry    string // such as "code too_long" or "template partial"
}

// New returns the texts of the library, English and Thai, and those of
// Options.Catalogues. Readers of all other languages get English. An incomplete
// catalogue is not an error, because a new version of the library may have more
// texts than an operator's catalogue. [Texts.Gaps] lists the missing entries.
func New(opts *Options) (*Texts, error) {
	if opts == nil {
		opts = new(Options)
	}
	t := &Texts{location: opts.Location, contact: opts.Contact}
	if t.location == nil {
		t.location = time.UTC
	}
	for _, lang := range []string{"en", "th"} {
		c, err := LoadCatalogue(embedded, ".", language.MustParse(lang))
		if err != nil {
			return nil, err
		}
		t.catalogues = append(t.catalogues, c)
	}
	for _, c := range opts.Catalogues {
		i := slices.IndexFunc(t.catalogues, func(o Catalogue) bool { return o.Language == c.Language })
		if i < 0 {
			t.catalogues = append(t.catalogues, c)
			continue
		}
		over, err := t.catalogues[i].under(c)
		if err != nil {
			return nil, err
		}
		t.catalogues[i] = over
	}
	var tags []language.Tag
	for _, c := range t.catalogues {
		tags = append(tags, c.Language)
		for _, entry := range c.gaps(t.catalogues[0]) {
			t.gaps = append(t.gaps, Gap{c.Language, entry})
			if opts.Logger != nil {
				opts.Logger.Warn("texts: an entry is missing, English is used", "language", c.Language.String(), "entry", entry)
			}
		}
	}
	t.matcher = language.NewMatcher(tags)
	return t, nil
}

// Gaps returns the missing entries of the catalogues, in the order of the
// catalogues.
func (t *Texts) Gaps() []Gap { return slices.Clone(t.gaps) }

// LoadCatalogue reads a catalogue from two files of a folder. For German they are
// "de.json" and "de.tmpl". The first is an object with the members "codes",
// "fields", "reasons", "units" and "dates"; each of them may be left out. The
// second is a Go text template.
func LoadCatalogue(fsys fs.FS, dir string, lang language.Tag) (Catalogue, error) {
	c := Catalogue{Language: lang}
	b, err := fs.ReadFile(fsys, path.Join(dir, lang.String()+".json"))
	if err != nil {
		return c, fmt.Errorf("takedown: texts: %w", err)
	}
	var words struct {
		Codes   map[request.Code]string `json:"codes"`
		Fields  map[string]string       `json:"fields"`
		Reasons map[string]string       `json:"reasons"`
		Units   map[desk.Unit][2]string `json:"units"`
		Dates   Dates                   `json:"dates"`

		Help     map[string][]Organisation `json:"help"`
		Hotlines map[string][]Organisation `json:"hotlines"`
	}
	if err := json.Unmarshal(b, &words); err != nil {
		return c, fmt.Errorf("takedown: texts of %v: %w", lang, err)
	}
	c.Codes, c.Fields, c.Reasons, c.Units, c.Dates = words.Codes, words.Fields, words.Reasons, words.Units, words.Dates
	c.Help, c.Hotlines = words.Help, words.Hotlines
	name := lang.String() + ".tmpl"
	c.Templates, err = template.New(name).Funcs(templateFuncs).ParseFS(fsys, path.Join(dir, name))
	if err != nil {
		return c, fmt.Errorf("takedown: texts of %v: %w", lang, err)
	}
	return c, nil
}

// under returns c with the entries of another catalogue over its own.
func (c Catalogue) under(o Catalogue) (Catalogue, error) {
	c.Codes, c.Fields = overlay(c.Codes, o.Codes), overlay(c.Fields, o.Fields)
	c.Reasons, c.Units = overlay(c.Reasons, o.Reasons), overlay(c.Units, o.Units)
	c.Help, c.Hotlines = overlay(c.Help, o.Help), overlay(c.Hotlines, o.Hotlines)
	if o.Dates != (Dates{}) {
		c.Dates = o.Dates
	}
	if o.Templates == nil {
		return c, nil
	}
	all, err := c.Templates.Clone()
	if err != nil {
		return c, fmt.Errorf("takedown: texts of %v: %w", c.Language, err)
	}
	for _, t := range o.Templates.Templates() {
		if t.Tree == nil || t.Name() == o.Templates.Name() {
			continue
		}
		if _, err := all.AddParseTree(t.Name(), t.Tree); err != nil {
			return c, fmt.Errorf("takedown: texts of %v: %w", c.Language, err)
		}
	}
	c.Templates = all
	return c, nil
}

func overlay[K comparable, V any](base, over map[K]V) map[K]V {
	all := maps.Clone(base)
	if all == nil {
		all = make(map[K]V, len(over))
	}
	maps.Copy(all, over)
	return all
}

// gaps returns what a catalogue lacks that English has, or must have.
func (c Catalogue) gaps(english Catalogue) (list []string) {
	for _, code := range request.Codes() {
		if c.Codes[code] == "" {
			list = append(list, "code "+string(code))
		}
	}
	for _, field := range fieldNames() {
		if c.Fields[field] == "" {
			list = append(list, "field "+field)
		}
	}
	for _, code := range slices.Sorted(maps.Keys(english.Reasons)) {
		if c.Reasons[code] == "" {
			list = append(list, "reason "+code)
		}
	}
	for _, unit := range []desk.Unit{desk.UnitHours, desk.UnitDays, desk.UnitBusinessDays, desk.UnitMonths} {
		if c.Units[unit][1] == "" {
			list = append(list, "unit "+string(unit))
		}
	}
	if c.Dates.Layout == "" || c.Dates.Day == "" || slices.Contains(c.Dates.Months[:], "") {
		list = append(list, "dates")
	}
	for _, m := range desk.MessageTypes() {
		if !c.has(m) {
			list = append(list, "template "+string(m))
		}
	}
	return list
}

// has reports whether the catalogue can write a type of message.
func (c Catalogue) has(m desk.MessageType) bool {
	return c.Templates != nil && c.Templates.Lookup(string(m)) != nil && c.Templates.Lookup(string(m)+".subject") != nil
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

// Problem returns the text of a problem in the language that fits lang best. lang
// is a BCP 47 tag, or an Accept-Language header. Numbers are written as the
// language writes them.
func (t *Texts) Problem(lang string, p request.Problem) string {
	c := t.pick(lang)
	text := cmp.Or(c.Codes[p.Code], t.catalogues[0].Codes[p.Code], string(p.Code))
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
	if !c.has(m.Type) {
		c = t.catalogues[0]
	}
	v := view{m, t, c}
	name := v.template()
	of := name + ".subject"
	if c.Templates.Lookup(of) == nil {
		of = string(m.Type) + ".subject"
	}
	subject, err = v.execute(of)
	if err != nil {
		return "", "", err
	}
	body, err = v.execute(name)
	if err != nil {
		return "", "", err
	}
	// A subject is one line, whatever a template or a name does.
	return strings.Join(strings.Fields(subject), " "), strings.TrimSpace(body) + "\n", nil
}

func (v view) execute(name string) (string, error) {
	// Functions are bound for each message, because they depend on the language.
	tmpl, err := v.c.Templates.Clone()
	if err != nil {
		return "", fmt.Errorf("takedown: texts of %v: %w", v.c.Language, err)
	}
	var b bytes.Buffer
	if err := tmpl.Funcs(v.funcs()).ExecuteTemplate(&b, name, v); err != nil {
		return "", fmt.Errorf("takedown: texts of %v: %w", v.c.Language, err)
	}
	return b.String(), nil
}

// view is what a template sees: the message, and its problems in words.
type view struct {
	desk.Message
	texts *Texts
	c     Catalogue
}

// template returns the name of the template for the body: the most special one
// that there is.
func (v view) template() string {
	var variants []string
	if v.ChildSafety {
		variants = append(variants, "child_safety")
	}
	if v.Outcome == desk.OutcomeDuplicateOf {
		variants = append(variants, "duplicate_of")
	}
	variants = append(variants, v.Kind.String())
	switch v.Kind {
	case request.KindImageOptOut, request.KindOpenOptOut:
		variants = append(variants, "opt_out")
	}
	for _, variant := range variants {
		if name := string(v.Type) + "/" + variant; v.c.Templates.Lookup(name) != nil {
			return name
		}
	}
	return string(v.Type)
}

// Contact is where the recipient can write to.
func (v view) Contact() string { return v.texts.contact }

// Help are the organisations that help the recipient, those of the recipient's
// country first. Hotlines are those for the safety of children.
func (v view) Help() []Organisation {
	return v.organisations(func(c Catalogue) map[string][]Organisation { return c.Help })
}

func (v view) Hotlines() []Organisation {
	return v.organisations(func(c Catalogue) map[string][]Organisation { return c.Hotlines })
}

func (v view) organisations(of func(Catalogue) map[string][]Organisation) []Organisation {
	list := of(v.c)
	if len(list) == 0 {
		list = of(v.texts.catalogues[0])
	}
	var all []Organisation
	if v.Country != "" {
		all = append(all, list[strings.ToUpper(v.Country)]...)
	}
	return append(all, list[""]...)
}

// Restricts reports whether a preference restricts a use, by its name.
func (v view) Restricts(use string) bool {
	return v.Purposes&request.Purposes([]request.Use{request.Use(use)}) != 0
}

// HasAddresses reports whether the case has items that are addresses.
func (v view) HasAddresses() bool {
	return slices.ContainsFunc(v.Items, func(it desk.MessageItem) bool {
		return it.Kind == request.ItemImageURL || it.Kind == request.ItemPageURL
	})
}

// Thing returns the words for an item: the address as the requester wrote it, or
// the name of its field with its number.
func (v view) Thing(it desk.MessageItem) string {
	if it.Given != "" {
		return isolate(it.Given)
	}
	return v.FieldName(it.Field)
}

// isolate keeps a text that somebody wrote from changing the direction of the text
// beside it, in scripts that run from right to left.
func isolate(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069 {
			return -1
		}
		return r
	}, s)
	if !strings.ContainsFunc(s, func(r rune) bool {
		p, _ := bidi.LookupRune(r)
		return p.Class() == bidi.R || p.Class() == bidi.AL
	}) {
		return s
	}
	return "\u2068" + s + "\u2069"
}

// Missing returns the texts of the problems, each with its field. A problem of
// several parts of a statement is returned once.
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
// counted from one. A path without words is returned unchanged.
func (v view) FieldName(path string) string {
	number := ""
	if m := listNumber.FindStringSubmatch(path); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			number = xmessage.NewPrinter(v.c.Language).Sprintf(" %d", n+1)
		}
	}
	for name := listNumber.ReplaceAllString(path, ""); name != ""; name = name[:max(strings.LastIndexByte(name, '.'), 0)] {
		if words := cmp.Or(v.c.Fields[name], v.texts.catalogues[0].Fields[name]); words != "" {
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

// Why returns the words for the code of a reason. It is empty for a code without
// words: letters have no codes.
func (v view) Why(code string) string {
	return cmp.Or(v.c.Reasons[code], v.texts.catalogues[0].Reasons[code])
}

// templateFuncs are the names of the functions of the templates, for parsing.
var templateFuncs = (view{texts: &Texts{}}).funcs()

// funcs are the functions of the templates, in the language of the message.
func (v view) funcs() template.FuncMap {
	p := xmessage.NewPrinter(v.c.Language)
	return template.FuncMap{
		"inc":    func(i int) string { return p.Sprintf("%d", i+1) },
		"number": func(n int) string { return p.Sprintf("%d", n) },
		"date":   func(t time.Time) string { return v.date(t, Dates.layout) },
		"day":    func(t time.Time) string { return v.date(t, Dates.day) },
		"span":   v.span,
		"place":  v.place,
		"by":     v.by,
		"name":   isolate,
	}
}

func (d Dates) layout() string { return d.Layout }
func (d Dates) day() string    { return d.Day }

func (v view) date(t time.Time, layout func(Dates) string) string {
	d := v.c.Dates
	if layout(d) == "" || d.Months[0] == "" {
		d = v.texts.catalogues[0].Dates
	}
	return d.format(layout(d), t.In(v.texts.location))
}

// by writes a time that ends something: the day before, if it is the end of a day.
func (v view) by(t time.Time) string {
	if end := t.In(v.texts.location); end.Hour() == 0 && end.Minute() == 0 {
		return v.date(t.Add(-time.Minute), Dates.day)
	}
	return v.date(t, Dates.layout)
}

// span writes a length of time.
func (v view) span(s desk.Span) string {
	words := v.c.Units[s.Unit]
	if words[1] == "" {
		words = v.texts.catalogues[0].Units[s.Unit]
	}
	text := words[1]
	if s.N == 1 && words[0] != "" {
		text = words[0]
	}
	return strings.ReplaceAll(text, "{n}", xmessage.NewPrinter(v.c.Language).Sprintf("%d", s.N))
}

// place writes a country of ISO 3166-1.
func (v view) place(code string) string {
	region, err := language.ParseRegion(code)
	if err != nil {
		return code
	}
	return cmp.Or(display.Regions(v.c.Language).Name(region), code)
}
