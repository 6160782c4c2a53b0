package takedownhttp_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/takedown"
	takedownhttp "github.com/staydown/staydown/takedown/adapters/http"
)

// rules makes a list that blocks an address of a picture and one of a page, the
// page in one country only, and holds another one.
func rules(t *testing.T, image, page, held string) (*blocklist.List, *takedown.Enforcer) {
	t.Helper()
	l, err := boltjournal.Open(filepath.Join(t.TempDir(), "list"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	de, err := blocklist.ParseTerritory("DE")
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range []struct {
		kind   blocklist.AddressKind
		url    string
		effect blocklist.Effect
		in     []blocklist.Territory
	}{{blocklist.ImageAddress, image, blocklist.EffectBlock, nil}, {blocklist.PageAddress, page, blocklist.EffectBlock, []blocklist.Territory{de}}, {blocklist.ImageAddress, held, blocklist.EffectReview, nil}} {
		d, err := l.Digest(r.kind, r.url)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Append(context.Background(), blocklist.Event{ID: [16]byte{byte(i + 1)}, Type: blocklist.EventAdded, Rule: &blocklist.Rule{
			Kind: 2, Scope: blocklist.ScopeURL, Effect: r.effect, Case: [16]byte{1}, Territories: r.in,
			Keys: blocklist.Keys{Addresses: []blocklist.Address{{Kind: r.kind, Digest: d}}},
		}}); err != nil {
			t.Fatal(err)
		}
	}
	e, err := takedown.NewEnforcer([]takedown.ListSource{{List: l}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return l, e
}

// closing notes that it was closed.
type closing struct {
	io.Reader
	closed atomic.Bool
}

func (c *closing) Close() error {
	c.closed.Store(true)
	return nil
}

// What is blocked is never requested, neither directly nor by a redirect, and the
// error says by which rule.
func TestTransport(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("GET /blocked.jpg", func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	mux.HandleFunc("GET /page", func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	mux.HandleFunc("GET /held.jpg", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "held") })
	mux.HandleFunc("GET /free.jpg", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "free") })
	mux.HandleFunc("GET /once", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/twice", http.StatusFound) })
	mux.HandleFunc("GET /twice", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/blocked.jpg#x", http.StatusFound) })
	server := httptest.NewServer(mux)
	defer server.Close()
	list, e := rules(t, server.URL+"/blocked.jpg", server.URL+"/page", server.URL+"/held.jpg")

	get := func(tr *takedownhttp.Transport, path string) (string, *takedownhttp.BlockedError) {
		t.Helper()
		client := &http.Client{Transport: tr}
		defer client.CloseIdleConnections()
		resp, err := client.Get(server.URL + path)
		var blocked *takedownhttp.BlockedError
		if errors.As(err, &blocked) {
			if strings.Contains(blocked.Error(), server.URL) {
				t.Errorf("%s: the error names the address: %v", path, blocked)
			}
			return "", blocked
		}
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b), nil
	}
	own := &http.Transport{}
	plain := &takedownhttp.Transport{Enforcer: e, Next: own}
	for _, path := range []string{"/blocked.jpg", "/once", "/twice"} {
		if body, blocked := get(plain, path); blocked == nil || blocked.Decision.Rule != 1 || blocked.Decision.Verdict != takedown.Block {
			t.Errorf("%s: %q, %+v", path, body, blocked)
		}
	}
	if body, blocked := get(plain, "/free.jpg"); body != "free" {
		t.Errorf("%q, %v", body, blocked)
	}
	if body, blocked := get(plain, "/held.jpg"); body != "held" { // for a person to see
		t.Errorf("%q, %v", body, blocked)
	}
	german := &takedownhttp.Transport{Enforcer: e.In("DE"), Next: own}
	if _, blocked := get(german, "/page"); blocked == nil || blocked.Decision.Rule != 2 {
		t.Errorf("a page: %v", blocked)
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d requests for what is blocked", n)
	}
	strict := &takedownhttp.Transport{Enforcer: e, Refuse: func(d takedown.Decision) bool { return d.Verdict != takedown.Allow }}
	if _, blocked := get(strict, "/held.jpg"); blocked == nil || blocked.Decision.Verdict != takedown.Review {
		t.Errorf("held: %v", blocked)
	}
	if body, blocked := get(strict, "/free.jpg"); body != "free" { // by http.DefaultTransport
		t.Errorf("%q, %v", body, blocked)
	}

	body := &closing{Reader: strings.NewReader("x")}
	req, err := http.NewRequest("POST", server.URL+"/blocked.jpg", body)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := plain.RoundTrip(req); resp != nil || err == nil || !body.closed.Load() {
		t.Errorf("%v, %v, body closed %t", resp, err, body.closed.Load())
	}

	// Who cannot answer does not permit.
	if err := list.Close(); err != nil {
		t.Fatal(err)
	}
	if _, blocked := get(plain, "/free.jpg"); blocked == nil || blocked.Decision.Verdict != takedown.Unknown {
		t.Errorf("a closed list: %v", blocked)
	}
}
