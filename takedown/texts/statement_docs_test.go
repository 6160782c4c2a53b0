package texts_test

import (
	"errors"
	"io/fs"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
	"github.com/staydown/staydown/takedown/texts"
)

// Each point of Article 17(3) and (4) stands in the letters, as the page says.
func TestDocs_StatementOfReasons(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/statement-of-reasons.md")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("skipped: the documentation is in the repository only")
	}
	ok(t, err)
	letters := map[string][]string{"English": statements(t, "en"), "Thai": statements(t, "th")}
	always := map[string][]string{
		"English": {"Your content", "(a) Restriction:", "(b) Facts:", "(c) Automated means:", "(f) Redress:", "for 6 months", "out-of-court", "court", "Write to: removals@service.example"},
		"Thai":    {"เนื้อหาของท่าน", "(ก) ", "(ข) ", "(ค) ", "(ฉ) ", "6 เดือน", "นอกศาล", "ศาล", "ติดต่อ: removals@service.example"},
	}
	grounds := map[string][2]string{"English": {"(d) Law:", "(e) Terms:"}, "Thai": {"(ง) ", "(จ) "}}
	for lang, list := range letters {
		for _, body := range list {
			for _, want := range always[lang] {
				if !strings.Contains(body, want) {
					t.Errorf("%s: lacks %q:\n%s", lang, want, body)
				}
			}
			if strings.Contains(body, grounds[lang][0]) == strings.Contains(body, grounds[lang][1]) {
				t.Errorf("%s: has both grounds, or none:\n%s", lang, body)
			}
			if strings.Contains(body, "Name-of-the-notifier") || strings.Contains(body, "notifier@") {
				t.Errorf("%s: names the notifier:\n%s", lang, body)
			}
			if regexp.MustCompile(`[a-z]_[a-z]`).MatchString(body) {
				t.Errorf("%s: has a code:\n%s", lang, body)
			}
			for _, sentence := range regexp.MustCompile(`[.:;\n]\s`).Split(body, -1) {
				if n := len(strings.Fields(sentence)); n > 45 {
					t.Errorf("%s: a sentence has %d words: %s", lang, n, sentence)
				}
			}
		}
	}
	fields := reflect.TypeFor[desk.StatementOfReasons]()
	quoted := regexp.MustCompile("`([^`]+)`")
	rows := 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) != 7 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "17(") {
			continue
		}
		rows++
		for _, m := range quoted.FindAllStringSubmatch(cells[3], -1) {
			if _, is := fields.FieldByName(m[1]); !is {
				t.Errorf("%s: a statement has no field %s", cells[1], m[1])
			}
		}
		for lang, cell := range map[string]string{"English": cells[4], "Thai": cells[5]} {
			for _, m := range quoted.FindAllStringSubmatch(cell, -1) {
				if !slices.ContainsFunc(letters[lang], func(body string) bool { return strings.Contains(body, m[1]) }) {
					t.Errorf("%s: no statement in %s has %q", strings.TrimSpace(cells[1]), lang, m[1])
				}
			}
		}
	}
	if rows < 19 {
		t.Errorf("the page has %d points", rows)
	}
}

// statements are the statements of reasons of cases of every kind, in a language.
func statements(t *testing.T, lang string) (list []string) {
	t.Helper()
	words, err := texts.New(&texts.Options{Contact: "removals@service.example"})
	ok(t, err)
	o := newOffice(t, func(o *desk.Options) { o.OneReviewer, o.MessagesPerDay = true, -1 })
	write := func(r request.Request, g desk.Grant) {
		t.Helper()
		c := o.submit(t, r)
		g.Actor = alice
		ok(t, o.Accept(ctx, c.ID, g))
		m := o.last(desk.MessageStatement)
		if m.Case != c.ID {
			return // an order has none, and a preference restricts nothing that is shown
		}
		m.To.Language = lang
		_, body, err := words.Message(m)
		ok(t, err)
		list = append(list, body)
	}
	n := notice("https://example.org/a.jpg")
	n.Ground, n.Requester.Name, n.Requester.Email = request.GroundPrivacy, "Name-of-the-notifier", "notifier@example.org"
	write(n, desk.Grant{Territories: []string{"DE", "AT"}, Finding: desk.Finding{
		Facts: "The picture shows a hospital bed.", Law: "section 22 of the Act on Art", Explanation: "Nobody consented to its publication.",
	}})
	for _, kind := range request.Kinds() {
		if !request.IsReply(kind) {
			write(samples(t, takedown.CaseID{})[kind], desk.Grant{})
		}
	}
	if len(list) < 8 {
		t.Fatalf("%d statements", len(list))
	}
	return list
}
