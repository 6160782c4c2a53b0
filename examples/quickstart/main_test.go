package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/staydown/staydown/takedown"
)

// The main job, end to end: what the quickstart shows is what the requests ask
// for.
func TestQuickstart(t *testing.T) {
	dir := t.TempDir()
	page := filepath.Join(dir, "page.html")
	var out bytes.Buffer
	res, err := run(context.Background(), &out, dir, page)
	if err != nil {
		t.Fatal(err)
	}

	want := map[string]takedown.CaseID{} // address → the case that blocks it
	for _, u := range append(spellings, noticeURL) {
		want[u] = res.Notice.ID
	}
	for _, r := range reposts {
		want["http://reposts.example/"+strings.TrimSuffix(optOutPhoto, ".jpg")+"-"+r.name+".jpg"] = res.OptOut.ID
	}
	want["http://photos.example/photos/"+optOutPhoto] = res.OptOut.ID

	blocked, copiesOfNotice := 0, 0
	for i, it := range res.Items {
		id, block := want[it.URL]
		if got := it.Decision.Verdict == takedown.Block; got != block || block && it.Decision.Case != id {
			t.Errorf("%s: %v, want blocked: %v by %v", it.URL, it.Decision, block, id)
		}
		if block {
			blocked++
		} else if it.Decision.Verdict != takedown.Allow {
			t.Errorf("%s: %v, want allow", it.URL, it.Decision)
		}
		if id == res.Notice.ID && block && it.Data != nil {
			t.Errorf("%s was fetched", it.URL)
		}
		if strings.HasPrefix(it.URL, "http://reposts.example/graf3-") {
			copiesOfNotice++
		}
		for what, d := range map[string]takedown.Decision{"reopened": res.Reopened[i], "loaded": res.Loaded[i]} {
			if d.Verdict != it.Decision.Verdict || d.Rule != it.Decision.Rule {
				t.Errorf("%s, %s: %v, before %v", it.URL, what, d, it.Decision)
			}
		}
		after := it.Decision.Verdict
		if id == res.OptOut.ID && block {
			after = takedown.Allow
		}
		if res.Withdrawn[i].Verdict != after {
			t.Errorf("%s after the withdrawal: %v, want %v", it.URL, res.Withdrawn[i], after)
		}
	}
	if blocked != len(want) {
		t.Errorf("%d addresses blocked, want %d", blocked, len(want))
	}
	if copiesOfNotice != len(reposts) {
		t.Errorf("the crawl saw %d copies of the notice's picture, want %d", copiesOfNotice, len(reposts))
	}
	if n := len(res.Items) - len(spellings) - 2*len(reposts); n < 24 {
		t.Errorf("%d photographs, want at least 24", n)
	}
	for _, s := range []string{"ADDRESS", "VERDICT", "the same verdicts for all", "What returns:"} {
		if !strings.Contains(out.String(), s) {
			t.Errorf("the output lacks %q:\n%s", s, out.String())
		}
	}
	if strings.Contains(out.String(), "OTHER") {
		t.Errorf("the output speaks of other verdicts:\n%s", out.String())
	}
	checkPage(t, page, len(res.Items))
}

// checkPage reads the page: it needs nothing from elsewhere, and shows every
// picture.
func checkPage(t *testing.T, name string, items int) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	entries := 0
	for z := html.NewTokenizer(bytes.NewReader(b)); ; {
		switch z.Next() {
		case html.ErrorToken:
			if z.Err() != io.EOF {
				t.Fatal(z.Err())
			}
			if entries != items {
				t.Errorf("the page shows %d pictures, want %d", entries, items)
			}
			return
		case html.StartTagToken:
			tok := z.Token()
			if tok.Data == "li" {
				entries++
			}
			for _, a := range tok.Attr {
				if a.Key == "src" && !strings.HasPrefix(a.Val, "data:image/jpeg;base64,") {
					t.Errorf("the page loads %q", a.Val)
				}
				if a.Key == "href" {
					t.Errorf("the page refers to %q", a.Val)
				}
			}
		}
	}
}

// Every committed photograph has its author, licence and source in the list,
// and the list names no other.
func TestPhotos_HaveSources(t *testing.T) {
	b, err := photos.ReadFile("photos/SOURCES.tsv")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) != 6 {
			t.Fatalf("line %q has %d fields, want 6", line, len(fields))
		}
		for i, f := range fields {
			if f == "" {
				t.Errorf("line %q: field %d is empty", line, i)
			}
		}
		listed[fields[0]] = true
	}
	delete(listed, "file") // the heading
	entries, err := photos.ReadDir("photos")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".jpg") {
			if !listed[e.Name()] {
				t.Errorf("%s has no source", e.Name())
			}
			delete(listed, e.Name())
		}
	}
	for name := range listed {
		t.Errorf("%s is listed but not there", name)
	}
}
