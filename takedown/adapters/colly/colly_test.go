package takedowncolly_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/gocolly/colly/v2"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
	takedowncolly "github.com/staydown/staydown/takedown/adapters/colly"
	takedownhttp "github.com/staydown/staydown/takedown/adapters/http"
)

// Requests, redirects and pictures are asked about; what is to be reviewed is
// queued, and everything is counted.
func TestGuard(t *testing.T) {
	t.Parallel()
	// Not real pictures: their first bytes say JPEG, and their digests are listed.
	blocked, held, free := []byte("\xff\xd8\xff\xe0 blocked"), []byte("\xff\xd8\xff\xe0 held"), []byte("\xff\xd8\xff\xe0 free")
	mux := http.NewServeMux()
	for path, data := range map[string][]byte{"/blocked.jpg": blocked, "/held.jpg": held, "/free.jpg": free, "/page": []byte("a page"), "/listed": []byte("a page")} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { w.Write(data) })
	}
	mux.HandleFunc("GET /moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/listed", http.StatusFound) })
	server := httptest.NewServer(mux)
	defer server.Close()

	l, err := blocklist.New(blocklist.NewMemoryJournal(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d, err := l.Digest(blocklist.PageAddress, server.URL+"/listed")
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range []blocklist.Rule{
		{Kind: 1, Scope: blocklist.ScopeBytes, Effect: blocklist.EffectBlock, Keys: blocklist.Keys{Bytes: [][32]byte{sha256.Sum256(blocked)}}},
		{Kind: 1, Scope: blocklist.ScopeBytes, Effect: blocklist.EffectReview, Keys: blocklist.Keys{Bytes: [][32]byte{sha256.Sum256(held)}}},
		{Kind: 2, Scope: blocklist.ScopeURL, Effect: blocklist.EffectBlock, Keys: blocklist.Keys{Addresses: []blocklist.Address{{Kind: blocklist.PageAddress, Digest: d}}}},
	} {
		if _, err := l.Append(context.Background(), blocklist.Event{ID: [16]byte{byte(i + 1)}, Type: blocklist.EventAdded, Rule: &r}); err != nil {
			t.Fatal(err)
		}
	}
	e, err := takedown.NewEnforcer([]takedown.ListSource{{List: l}}, &takedown.EnforcerOptions{Undecodable: takedown.Allow})
	if err != nil {
		t.Fatal(err)
	}

	var mu sync.Mutex
	var queue []takedown.Match
	var got []string
	refused := map[string]uint64{}
	own := &http.Transport{}
	defer own.CloseIdleConnections()
	g := &takedowncolly.Guard{Enforcer: e, Next: own, Review: func(m takedown.Match) {
		mu.Lock()
		queue = append(queue, m)
		mu.Unlock()
	}}
	c := colly.NewCollector(colly.AllowURLRevisit())
	g.Attach(c)
	c.OnResponse(func(r *colly.Response) { got = append(got, r.Request.URL.Path) })
	c.OnError(func(r *colly.Response, err error) {
		var b *takedownhttp.BlockedError
		if errors.As(err, &b) {
			refused[r.Request.URL.Path] = b.Decision.Rule
		}
	})
	for _, path := range []string{"/blocked.jpg", "/held.jpg", "/free.jpg", "/page", "/listed", "/moved"} {
		c.Visit(server.URL + path)
	}
	if want := []string{"/held.jpg", "/free.jpg", "/page"}; !slices.Equal(got, want) {
		t.Errorf("kept %v, want %v", got, want)
	}
	if refused["/blocked.jpg"] != 1 || refused["/listed"] != 3 || len(refused) < 2 {
		t.Errorf("refused %v", refused)
	}
	if len(queue) != 1 || queue[0].Decision.Rule != 2 || queue[0].Candidate.ImageURLs[0] != server.URL+"/held.jpg" {
		t.Errorf("queue: %v", queue)
	}
	n := g.Counts()
	if n.Pictures != 3 || n.Review != 1 || n.Refused[takedown.TierBytes] != 1 || n.Refused[takedown.TierURL] != 2 {
		t.Errorf("%+v", n)
	}
	// Refuse decides: here nothing that is in doubt is kept.
	strict := colly.NewCollector()
	(&takedowncolly.Guard{Enforcer: e, Next: own, Refuse: func(d takedown.Decision) bool { return d.Verdict != takedown.Allow }}).Attach(strict)
	if err := strict.Visit(server.URL + "/held.jpg"); !errors.As(err, new(*takedownhttp.BlockedError)) {
		t.Errorf("held: %v", err)
	}
	if err := strict.Visit(server.URL + "/free.jpg"); err != nil && !errors.Is(err, io.EOF) {
		t.Errorf("free: %v", err)
	}
}
