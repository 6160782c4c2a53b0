package texts

import (
	"cmp"
	"time"
)

// Field returns the name of a field of a request in words, by its path as in
// [request.Problem].Field, without the numbers of lists.
func (t *Texts) Field(lang, path string) string {
	return cmp.Or(t.pick(lang).Fields[path], t.catalogues[0].Fields[path], path)
}

// Reason returns the words for the code of a reason. ok is false for a code
// without words.
func (t *Texts) Reason(lang, code string) (text string, ok bool) {
	text = cmp.Or(t.pick(lang).Reasons[code], t.catalogues[0].Reasons[code])
	return text, text != ""
}

// Date writes a time as a letter does.
func (t *Texts) Date(lang string, at time.Time) string {
	return view{texts: t, c: t.pick(lang)}.date(at, Dates.layout)
}

// Day writes the day of a time as a letter does.
func (t *Texts) Day(lang string, at time.Time) string {
	return view{texts: t, c: t.pick(lang)}.date(at, Dates.day)
}
