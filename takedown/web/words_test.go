package web

import (
	"regexp"
	"slices"
	"testing"

	"golang.org/x/text/language"
)

// Thai has every text that English has, with the same places for values.
func TestWords_Complete(t *testing.T) {
	t.Parallel()
	english, err := readWordsFile(wordsFS, "words/en.json")
	if err != nil {
		t.Fatal(err)
	}
	thai, err := readWordsFile(wordsFS, "words/th.json")
	if err != nil {
		t.Fatal(err)
	}
	places := regexp.MustCompile(`\{\w+\}`)
	for name, text := range english {
		if thai[name] == "" {
			t.Errorf("Thai lacks %q: %s", name, text)
			continue
		}
		of := func(s string) []string { return slices.Sorted(slices.Values(places.FindAllString(s, -1))) }
		if !slices.Equal(of(text), of(thai[name])) {
			t.Errorf("%s: the places of %q and %q differ", name, text, thai[name])
		}
	}
}

// A language that is written from right to left is shown so.
func TestWords_Dir(t *testing.T) {
	t.Parallel()
	for lang, want := range map[string]string{"ar": "rtl", "he": "rtl", "fa": "rtl", "th": "ltr", "en": "ltr", "dv": "rtl"} {
		w := words{tag: language.Make(lang)}
		if got := w.Dir(); got != want {
			t.Errorf("%s: %s, want %s", lang, got, want)
		}
	}
}
