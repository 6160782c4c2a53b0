package texts_test

import (
	"testing"
	"time"

	"github.com/staydown/staydown/takedown/texts"
)

// Pages find the words of letters, in the language of their reader, and English
// where there is none.
func TestWords(t *testing.T) {
	t.Parallel()
	x, err := texts.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := x.Field("en", "requester.email"); got != "Email address" {
		t.Errorf("Field = %q", got)
	}
	if got := x.Field("de", "no.such"); got != "no.such" {
		t.Errorf("Field of nothing = %q", got)
	}
	if got, ok := x.Reason("th", "not_the_owner"); !ok || got == "" || got == "not_the_owner" {
		t.Errorf("Reason = %q, %t", got, ok)
	}
	if _, ok := x.Reason("en", "no_such"); ok {
		t.Error("a code without words has some")
	}
	at := time.Date(2026, 12, 1, 18, 10, 0, 0, time.UTC)
	if got := x.Date("th", at); got != "1 ธันวาคม 2569 18:10 น. (UTC)" && got == x.Date("en", at) {
		t.Errorf("Date in Thai = %q", got)
	}
	if got := x.Day("en", at); got != "1 December 2026" {
		t.Errorf("Day = %q", got)
	}
}
