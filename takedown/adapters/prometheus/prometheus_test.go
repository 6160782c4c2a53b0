package takedownprometheus_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/blocklist/feed"
	"github.com/staydown/staydown/takedown"
	takedownprometheus "github.com/staydown/staydown/takedown/adapters/prometheus"
)

func get(t *testing.T, h http.Handler) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	return w.Code, w.Body.String()
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	dir := t.TempDir()
	l, err := boltjournal.Open(filepath.Join(dir, "list"), &blocklist.Options{SigningKey: key})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const address = "https://example.com/blocked.jpg"
	digest, err := l.Digest(blocklist.ImageAddress, address)
	if err == nil {
		_, err = l.Append(ctx, blocklist.Event{ID: [16]byte{1}, Type: blocklist.EventAdded, Rule: &blocklist.Rule{
			Scope: blocklist.ScopeURL, Effect: blocklist.EffectBlock,
			Keys: blocklist.Keys{Addresses: []blocklist.Address{{Kind: blocklist.ImageAddress, Digest: digest}}},
		}})
	}
	if err != nil {
		t.Fatal(err)
	}
	store, err := feed.NewFolder(filepath.Join(dir, "feed"))
	if err != nil {
		t.Fatal(err)
	}
	m := takedownprometheus.New()
	p, err := feed.NewPublisher(ctx, l, store, &feed.PublisherOptions{SigningKey: key, Observer: m})
	if err == nil {
		err = p.Publish(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	f, err := feed.Follow(ctx, filepath.Join(dir, "feed"), &feed.Options{
		Dir: filepath.Join(dir, "own"), TrustedKeys: []ed25519.PublicKey{key.Public().(ed25519.PublicKey)}, Observer: m, Now: now, Interval: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	e, err := takedown.NewEnforcer([]takedown.ListSource{{Name: "main", List: f.List(), Current: f.Current}}, &takedown.EnforcerOptions{Observer: m})
	if err != nil {
		t.Fatal(err)
	}
	if code, text := get(t, m.Ready(time.Minute)); code != http.StatusServiceUnavailable || text != "no list is followed yet\n" {
		t.Errorf("without a feed: %d %q", code, text)
	}
	m.AddEnforcer(e)
	m.AddFeed("main", f)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m)
	m.Count(e.FilterURL(address))
	m.Count(e.FilterURL("https://example.com/other.jpg"))
	m.Observe(blocklist.Observation{Op: "list verify", Took: time.Second, Err: errors.New("x")})
	for range 3000 {
		e.FilterURL(address)
	}
	_, text := get(t, promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	for _, want := range []string{
		`staydown_list_sequence{list="main"} 1`,
		`staydown_list_rules{list="main"} 1`,
		`staydown_list_keys{kind="address",list="main"} 1`,
		`staydown_feed_lag_events{list="main"} 0`,
		`staydown_feed_refused{list="main"} 0`,
		`staydown_feed_loaded_total{list="main",what="snapshot"} 1`,
		`staydown_verdicts_total{tier="address",verdict="block"} 1`,
		`staydown_verdicts_total{tier="none",verdict="allow"} 1`,
		`staydown_operation_failures_total{operation="list verify"} 1`,
		`staydown_operation_seconds_count{operation="feed publish"} 1`,
		`staydown_operation_seconds_count{operation="filter"} 2`,
		`staydown_list_queries_total{list="main",tier="find address"} 300`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no line %s in\n%s", want, text)
		}
	}
	if strings.Contains(text, "example") {
		t.Error("the metrics name an address")
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	ready := m.Ready(time.Minute)
	if code, text := get(t, ready); code != http.StatusOK || text != "ready\n" {
		t.Errorf("%d %q", code, text)
	}
	ahead.Store(int64(time.Hour))
	if code, text := get(t, ready); code != http.StatusServiceUnavailable || !strings.HasPrefix(text, "main: ") {
		t.Errorf("%d %q", code, text)
	}
}
