package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// A crawl of a smaller site: what must stay down is refused, what is innocent is
// kept, and hostile files do not end the crawl.
func TestCrawl(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	page := filepath.Join(t.TempDir(), "crawl.html")
	r, err := crawl(t.Context(), &out, options{photos: defaultPhotos(), page: page, pages: 30, n: 24, requested: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + out.String())
	if r.pages != 30 {
		t.Errorf("%d pages", r.pages)
	}
	for kind, o := range r.outcomes {
		found := o.Address + o.Bytes + o.Hash + o.Features
		switch kind {
		case "innocent":
			if found+o.Review+o.Lost > 0 || o.Of != 21 {
				t.Errorf("innocent: %+v", o)
			}
		case "broken", "bomb", "text as image", "empty", "endless", "not there", "redirects for ever":
			if found > 0 {
				t.Errorf("%s: found", kind)
			}
		case "cropped", "in a collage", "turned", "bordered":
			if found < o.Of-1 {
				t.Errorf("%s: %d of %d found", kind, found, o.Of)
			}
		default:
			if found != o.Of || o.Of != 3 {
				t.Errorf("%s: %d of %d found", kind, found, o.Of)
			}
		}
	}
	if r.outcomes["the same file"].Bytes != 3 || r.outcomes["mirrored"].Hash == 0 || r.outcomes["in a collage"].Features == 0 {
		t.Error("other tiers than expected")
	}
	if html, err := os.ReadFile(page); err != nil || !bytes.Contains(html, []byte("data:image/jpeg")) {
		t.Errorf("the page: %v", err)
	}
	if r.counts.Pictures == 0 || len(r.counts.Refused) == 0 {
		t.Errorf("%+v", r.counts)
	}
}
