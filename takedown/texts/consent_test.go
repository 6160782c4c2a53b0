package texts_test

import (
	"strings"
	"testing"
	"time"

	"github.com/staydown/staydown/takedown/texts"
)

// The consent text has all that a person must know: purpose, storage time, recipients,
// withdrawal; in both languages, with its version.
func TestFaceConsent(t *testing.T) {
	t.Parallel()
	all, err := texts.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	for lang, words := range map[string][]string{
		"en":    {"Example Search", "privacy@example.com", "only to keep pictures of this face out", "3 years", "7 days", "nobody else", "withdraw"},
		"th-TH": {"Example Search", "privacy@example.com", "3 ปี", "7 วัน", "ถอนความยินยอม", "ไม่เปิดเผย"},
		"fr":    {"only to keep pictures of this face out"},
	} {
		s, err := all.FaceConsent(lang, texts.FaceConsent{Service: "Example Search", Contact: "privacy@example.com"})
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range words {
			if !strings.Contains(s.Text, w) {
				t.Errorf("%s: no %q in\n%s", lang, w, s.Text)
			}
		}
		if s.Version != texts.FaceConsentVersion || s.ID == "" || len(s.Text) > 5000 || !s.Accepted.IsZero() || strings.Contains(s.Text, "<no value>") {
			t.Errorf("%s: %+v", lang, s)
		}
	}
	s, err := all.FaceConsent("en", texts.FaceConsent{
		Service: "S", Contact: "C", Keep: 400 * 24 * time.Hour, Nodes: 36 * time.Hour, Recipients: "the search service R",
	})
	if err != nil || !strings.Contains(s.Text, "1 year and 1 month") || !strings.Contains(s.Text, "2 days") || !strings.Contains(s.Text, "the search service R") {
		t.Errorf("%v\n%s", err, s.Text)
	}
	s, err = all.FaceConsent("en", texts.FaceConsent{Service: "S", Contact: "C", Keep: -1})
	if err != nil || !strings.Contains(s.Text, "kept until I withdraw") {
		t.Errorf("%v\n%s", err, s.Text)
	}
	for _, c := range []texts.FaceConsent{{}, {Service: "S"}, {Contact: "C", Service: " "}} {
		if _, err := all.FaceConsent("en", c); err == nil {
			t.Errorf("%+v: no error", c)
		}
	}
}
