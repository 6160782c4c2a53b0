package web

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/text/collate"
	"golang.org/x/text/language"
	"golang.org/x/text/language/display"

	"github.com/staydown/staydown/takedown"
)

//go:embed words
var wordsFS embed.FS

// words are the texts of the pages in one language.
type words struct {
	lang string
	tag  language.Tag
	text map[string]string
	// countries are the countries in the order of the language.
	countries []option
}

// of returns the first text that there is. A name without a text stands for
// itself, so that a gap is seen.
func (w words) of(names ...string) string {
	for _, n := range names {
		if t, ok := w.text[n]; ok {
			return t
		}
	}
	return names[len(names)-1]
}

// has reports whether there is a text.
func (w words) has(name string) bool { return w.text[name] != "" }

// format puts values into the places of a text: "{n}".
func (w words) format(name string, values ...string) string {
	return strings.NewReplacer(values...).Replace(w.of(name))
}

// Lang is the tag of the language.
func (w words) Lang() string { return w.lang }

// Dir is the direction in which the language is written.
func (w words) Dir() string {
	script, _ := w.tag.Script()
	if slices.Contains([]string{"Arab", "Hebr", "Thaa", "Syrc", "Nkoo", "Adlm", "Rohg"}, script.String()) {
		return "rtl"
	}
	return "ltr"
}

// Name is what the language calls itself.
func (w words) Name() string { return display.Self.Name(w.tag) }

// readWords reads the texts of all languages of the options.
func readWords(o *Options) ([]words, error) {
	english, err := readWordsFile(wordsFS, "words/en.json")
	if err != nil {
		return nil, err
	}
	var all []words
	for _, tag := range o.Languages {
		base, _ := tag.Base()
		text, found := map[string]string{}, false
		for name, t := range english {
			text[name] = t
		}
		for _, from := range []struct {
			fsys fs.FS
			path string
		}{{wordsFS, "words/" + base.String() + ".json"}, {o.Words, tag.String() + ".json"}} {
			if from.fsys == nil {
				continue
			}
			own, err := readWordsFile(from.fsys, from.path)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, err
			}
			found = true
			for name, t := range own {
				if _, known := english[name]; !known {
					return nil, fmt.Errorf("web: %s: no page has the text %q", from.path, name)
				}
				text[name] = t
			}
		}
		if !found {
			return nil, fmt.Errorf("web: Options.Languages has %s, and there is no %s.json in Options.Words", tag, tag)
		}
		all = append(all, words{tag.String(), tag, text, countriesIn(tag)})
	}
	return all, nil
}

func readWordsFile(fsys fs.FS, path string) (map[string]string, error) {
	b, err := fs.ReadFile(fsys, path)
	if err != nil {
		return nil, err
	}
	var m map[string]string
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("web: %s: %w", path, err)
	}
	return m, nil
}

// wordsOf returns the texts for a visitor: chosen on the page, or the browser's.
func (h *Handler) wordsOf(r *http.Request) words {
	asked := r.URL.Query().Get("lang")
	if asked == "" {
		if v, ok := h.cookies.Value(r, "lang"); ok {
			asked = string(v)
		}
	}
	tags, _, _ := language.ParseAcceptLanguage(asked + "," + r.Header.Get("Accept-Language"))
	_, i, c := h.matcher.Match(tags...)
	if c == language.No {
		i = 0
	}
	return h.words[i]
}

type option struct {
	Value, Label string
	Chosen       bool
}

// countriesIn are the countries that a request can name.
func countriesIn(tag language.Tag) []option {
	var list []option
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			code := string(a) + string(b)
			region, err := language.ParseRegion(code)
			if _, bad := takedown.ParseCountry(code); err == nil && bad == nil && region.IsCountry() {
				list = append(list, option{Value: code, Label: display.Regions(tag).Name(region)})
			}
		}
	}
	order := collate.New(tag)
	slices.SortFunc(list, func(a, b option) int { return order.CompareString(a.Label, b.Label) })
	return list
}
