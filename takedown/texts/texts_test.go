package texts_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/text/language"

	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
	"github.com/staydown/staydown/takedown/texts"
)

func newTexts(tb testing.TB, opts *texts.Options) *texts.Texts {
	tb.Helper()
	x, err := texts.New(opts)
	if err != nil {
		tb.Fatal(err)
	}
	return x
}

func body(t *testing.T, x *texts.Texts, m desk.Message) string {
	t.Helper()
	_, b, err := x.Message(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func contains(t *testing.T, text, want string) {
	t.Helper()
	if !strings.Contains(text, want) {
		t.Errorf("%q is missing in:\n%s", want, text)
	}
}

// The catalogues of the library have every entry.
func TestNew_Complete(t *testing.T) {
	t.Parallel()
	if gaps := newTexts(t, nil).Gaps(); len(gaps) != 0 {
		t.Errorf("gaps: %v", gaps)
	}
}

// An operator's catalogue from before an upgrade goes on working: what it lacks
// is English, entry by entry, and is reported.
func TestNew_FallsBack(t *testing.T) {
	t.Parallel()
	german, err := texts.LoadCatalogue(fstest.MapFS{
		"de.json": {Data: []byte(`{"codes": {"required": "Das wird gebraucht."}, "fields": {"requester.email": "E-Mail-Adresse"}}`)},
		"de.tmpl": {Data: []byte(`{{define "needs_info.subject"}}Es fehlt etwas{{end}}{{define "needs_info"}}{{range .Missing}}- {{.}}
{{end}}{{end}}{{define "receipt.subject"}}Nur ein Betreff{{end}}`)},
	}, ".", language.German)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	x := newTexts(t, &texts.Options{Catalogues: []texts.Catalogue{german}, Logger: slog.New(slog.NewTextHandler(&log, nil))})

	to := desk.Recipient{Language: "de-AT"}
	got := body(t, x, desk.Message{Type: desk.MessageNeedsInfo, To: to, Problems: []request.Problem{
		{Field: "requester.email", Code: request.CodeRequired}, {Field: "explanation", Code: request.CodeNotText},
	}})
	contains(t, got, "- E-Mail-Adresse: Das wird gebraucht.")
	contains(t, got, ": This contains characters that are no text.")
	// A body without its subject, or the other way round, is written in English
	// as a whole.
	subject, _, err := x.Message(desk.Message{Type: desk.MessageReceipt, To: to})
	if err != nil || subject != "We have received your request" {
		t.Errorf("subject %q, %v", subject, err)
	}
	missing := map[string]bool{}
	for _, g := range x.Gaps() {
		missing[g.Language.String()+" "+g.Entry] = true
	}
	for _, want := range []string{"de code too_long", "de field explanation", "de unit months", "de reason not_found", "de dates", "de template receipt"} {
		if !missing[want] {
			t.Errorf("the gap %q is not reported", want)
		}
	}
	if missing["de template needs_info"] {
		t.Error("a template that is there is reported as missing")
	}
	contains(t, log.String(), "template receipt")
}

// Dates, lengths of time and countries are written as the reader writes them.
func TestMessage_Language(t *testing.T) {
	t.Parallel()
	bangkok := time.FixedZone("+07", 7*60*60)
	m := desk.Message{
		Type: desk.MessageAccepted, Territories: []string{"DE", "TH"}, End: time.Date(2026, 12, 1, 18, 10, 0, 0, time.UTC),
		ComplaintWindow: desk.Span{N: 12, Unit: desk.UnitMonths},
	}
	english := body(t, newTexts(t, nil), m)
	contains(t, english, "The removal ends on 1 December 2026, 18:10 UTC.")
	contains(t, english, "Germany, Thailand")
	contains(t, english, "free of charge, for 12 months from this message")
	m.To.Language = "th"
	m.ComplaintWindow.N = 1
	thai := body(t, newTexts(t, &texts.Options{Location: bangkok}), m)
	contains(t, thai, "2 ธันวาคม 2569 เวลา 01:10 น. (+07)")
	contains(t, thai, "เยอรมนี, ไทย")
	contains(t, thai, "ภายใน 1 เดือน")
}

// Every reason has words in both languages.
func TestMessage_Reasons(t *testing.T) {
	t.Parallel()
	x := newTexts(t, nil)
	for _, code := range []string{"incomplete", "not_found", "not_the_owner", "legal_claims", "nothing_new", "goodwill", "depicted"} {
		for _, lang := range []string{"en", "th"} {
			got := body(t, x, desk.Message{Type: desk.MessageRejected, Reason: code, To: desk.Recipient{Language: lang}})
			if strings.Contains(got, code) && strings.Contains(code, "_") {
				t.Errorf("%s: the letter has the code %s:\n%s", lang, code, got)
			}
		}
	}
}
