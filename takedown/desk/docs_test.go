package desk_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// Every kind of request has a worked example in the documentation, which
// decodes, fits the schema, is complete, and is taken in; and the documentation
// names every move, deadline, message and code.
func TestDocs_Requests(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../docs/requests.md")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("skipped: the documentation is in the repository only")
	}
	ok(t, err)
	doc := string(b)
	schema := compileSchema(t, request.Schema())
	o := newOffice(t)
	dmca := o.submit(t, dmca(t, "https://example.org/copied.jpg"))
	seen := map[takedown.Kind]bool{}
	for _, m := range regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(doc, -1) {
		// What cannot stand in a document is put in.
		text := strings.NewReplacer(
			`"<512 numbers>"`, strings.Repeat("0.25, -1e-3, ", 255)+"0.5, 0",
			"<base64 of the file>", base64.StdEncoding.EncodeToString(testJPEG(t, 1)),
			"<number of the case>", dmca.ID.String(),
			"<64 hexadecimal digits>", strings.TrimPrefix(pdq(t, 4).String(), "pdq:"),
		).Replace(m[1])
		r, err := request.Decode(strings.NewReader(text))
		if err != nil {
			t.Errorf("%v\n%s", err, m[1])
			continue
		}
		seen[r.Kind()] = true
		if err := checkSchema(t, schema, []byte(text)); err != nil {
			t.Errorf("%v: %v", r.Kind(), err)
		}
		if _, err := o.Submit(ctx, r); err != nil {
			t.Errorf("%v: %v", r.Kind(), err)
		}
	}
	for _, k := range request.Kinds() {
		if !seen[k] {
			t.Errorf("docs/requests.md has no example of a %v", k)
		}
	}
	want := desk.DocumentedNames()
	if len(want) < 80 {
		t.Errorf("only %d names", len(want))
	}
	for _, name := range want {
		if !bytes.Contains(b, []byte("`"+name+"`")) {
			t.Errorf("docs/requests.md does not name `%s`", name)
		}
	}
}

// Every line of the table of promises names its tests, and each of them exists.
func TestDocs_Promises(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/promises.md")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("skipped: the documentation is in the repository only")
	}
	ok(t, err)
	tests := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	ok(t, filepath.WalkDir("../..", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, m := range declared.FindAllSubmatch(b, -1) {
			tests[string(m[1])] = true
		}
		return err
	}))
	rows := regexp.MustCompile(`(?m)^\|.*\|$`).FindAllString(string(doc), -1)
	if len(rows) < 12 {
		t.Fatalf("the table has %d lines", len(rows))
	}
	for _, row := range rows[2:] { // without its head
		cells := strings.Split(row, "|")
		named := regexp.MustCompile("`Test\\w+`").FindAllString(cells[len(cells)-2], -1)
		if len(named) == 0 {
			t.Errorf("no test: %s", row)
		}
		for _, name := range named {
			if !tests[strings.Trim(name, "`")] {
				t.Errorf("there is no test %s: %s", name, row)
			}
		}
	}
}
