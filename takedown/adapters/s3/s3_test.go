package s3store_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/blocklist/feed"
	"github.com/staydown/staydown/takedown/adapters/s3"
)

var credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "key", SecretAccessKey: "secret"}, nil
})

// newStore returns a Store on an S3 server in this process, and its address.
func newStore(tb testing.TB, wrap func(http.Handler) http.Handler) (*s3store.Store, string) {
	tb.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("lists"); err != nil {
		tb.Fatal(err)
	}
	h := gofakes3.New(backend).Server()
	if wrap != nil {
		h = wrap(h)
	}
	server := httptest.NewServer(h)
	tb.Cleanup(server.Close)
	s, err := s3store.New(s3store.Options{Endpoint: server.URL, Bucket: "lists", Prefix: "a list/", Credentials: credentials})
	if err != nil {
		tb.Fatal(err)
	}
	return s, server.URL + "/lists/a%20list/"
}

func TestStore(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s, _ := newStore(t, nil)
	if _, _, err := s.Get(ctx, "latest"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Get of nothing: %v", err)
	}
	if _, err := s.Swap(ctx, "latest", []byte("x"), `"0123"`); !errors.Is(err, feed.ErrConflict) {
		t.Errorf("Swap of nothing: %v", err)
	}
	v1, err := s.Swap(ctx, "latest", []byte("one"), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Swap(ctx, "latest", []byte("two"), ""); !errors.Is(err, feed.ErrConflict) {
		t.Errorf("Swap as if there were nothing: %v", err)
	}
	v2, err := s.Swap(ctx, "latest", []byte("two"), v1)
	if err != nil || v2 == v1 {
		t.Fatal(v2, err)
	}
	if _, err := s.Swap(ctx, "latest", []byte("three"), v1); !errors.Is(err, feed.ErrConflict) {
		t.Errorf("Swap of an old version: %v", err)
	}
	if b, v, err := s.Get(ctx, "latest"); err != nil || string(b) != "two" || v != v2 {
		t.Errorf("Get: %q, %q, %v", b, v, err)
	}
	big := bytes.Repeat([]byte("base"), 1<<20)
	for range 2 {
		if err := s.Put(ctx, "base-1-00.snap", bytes.NewReader(big), int64(len(big))); err != nil {
			t.Fatal(err)
		}
	}
	names, err := s.List(ctx)
	if slices.Sort(names); err != nil || !slices.Equal(names, []string{"base-1-00.snap", "latest"}) {
		t.Errorf("List: %q, %v", names, err)
	}
	for range 2 {
		if err := s.Delete(ctx, "base-1-00.snap"); err != nil {
			t.Error(err)
		}
	}
	if names, err := s.List(ctx); err != nil || len(names) != 1 {
		t.Errorf("List: %q, %v", names, err)
	}
	if err := s.Check(ctx); err != nil {
		t.Error(err)
	}
	if err := s.Put(ctx, "x", bytes.NewReader(nil), 6<<30); !errors.Is(err, blocklist.ErrLimit) {
		t.Errorf("Put of 6 GiB: %v", err)
	}
}

func TestListInPages(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s, _ := newStore(t, nil)
	for i := range 1100 {
		if err := s.Put(ctx, fmt.Sprintf("delta-%d", i), strings.NewReader("x"), 1); err != nil {
			t.Fatal(err)
		}
	}
	if names, err := s.List(ctx); err != nil || len(names) != 1100 {
		t.Errorf("%d names, %v", len(names), err)
	}
}

// Of many who write at once one wins.
func TestOneWins(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s, _ := newStore(t, nil)
	version := ""
	for round := range 5 {
		var wins atomic.Int64
		var next atomic.Pointer[string]
		var work sync.WaitGroup
		for i := range 20 {
			work.Go(func() {
				v, err := s.Swap(ctx, "latest", fmt.Appendf(nil, "%d by %d", round, i), version)
				switch {
				case err == nil:
					wins.Add(1)
					next.Store(&v)
				case !errors.Is(err, feed.ErrConflict):
					t.Error(err)
				}
			})
		}
		work.Wait()
		if wins.Load() != 1 {
			t.Fatalf("round %d: %d writers won", round, wins.Load())
		}
		version = *next.Load()
	}
}

// Services that are busy, forbid, or ignore conditions.
func TestAnswers(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	var busy atomic.Int64
	s, _ := newStore(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut && busy.Add(-1) >= 0 {
				w.WriteHeader(http.StatusConflict)
				io.WriteString(w, "<Error><Code>ConditionalRequestConflict</Code></Error>")
				return
			}
			h.ServeHTTP(w, r)
		})
	})
	busy.Store(2)
	if _, err := s.Swap(ctx, "latest", []byte("x"), ""); err != nil {
		t.Errorf("a service that is busy for a moment: %v", err)
	}
	busy.Store(1000)
	if _, err := s.Swap(ctx, "latest", []byte("x"), "y"); err == nil || errors.Is(err, feed.ErrConflict) || !strings.Contains(err.Error(), "ConditionalRequestConflict") {
		t.Errorf("a service that is always busy: %v", err)
	}
	s, _ = newStore(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("If-Match")
			r.Header.Del("If-None-Match")
			h.ServeHTTP(w, r)
		})
	})
	if err := s.Check(ctx); !errors.Is(err, s3store.ErrUnconditional) {
		t.Errorf("a service that ignores conditions: %v", err)
	}
	s, _ = newStore(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusForbidden) })
	})
	if _, _, err := s.Get(ctx, "latest"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a service that forbids: %v", err)
	}
	for name, o := range map[string]s3store.Options{
		"nothing":        {},
		"no bucket":      {Endpoint: "https://example.com", Credentials: credentials},
		"no credentials": {Endpoint: "https://example.com", Bucket: "lists"},
		"no address":     {Endpoint: "example.com", Bucket: "lists", Credentials: credentials},
	} {
		if _, err := s3store.New(o); err == nil {
			t.Errorf("options with %s are accepted", name)
		}
	}
}

// A service that is silent, before its answer or within it, holds nobody up.
func TestSilence(t *testing.T) {
	t.Parallel()
	for _, begins := range []bool{false, true} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			if begins {
				w.Header().Set("Content-Length", "100")
				io.WriteString(w, "x")
				w.(http.Flusher).Flush()
			}
			<-r.Context().Done()
		}))
		defer server.Close()
		s, err := s3store.New(s3store.Options{Endpoint: server.URL, Bucket: "lists", Credentials: credentials, Timeout: 50 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		if _, _, err := s.Get(ctx, "latest"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Get: %v", err)
		}
		if _, err := s.List(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("List: %v", err)
		}
		if begins {
			continue // the status is all that writing needs
		}
		if err := s.Put(ctx, "base-1-0.snap", strings.NewReader("x"), 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Put: %v", err)
		}
		if _, err := s.Swap(ctx, "latest", []byte("x"), ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Swap: %v", err)
		}
	}
}

// Requests are signed with the credentials, by Signature Version 4.
func TestSigned(t *testing.T) {
	t.Parallel()
	var unsigned atomic.Int64
	s, _ := newStore(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a := r.Header.Get("Authorization")
			if !strings.HasPrefix(a, "AWS4-HMAC-SHA256 Credential=key/") || !strings.Contains(a, "/us-east-1/s3/aws4_request") ||
				!strings.Contains(a, "x-amz-content-sha256") || len(r.Header.Get("X-Amz-Content-Sha256")) != 64 {
				unsigned.Add(1)
			}
			h.ServeHTTP(w, r)
		})
	})
	if err := s.Check(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := unsigned.Load(); n > 0 {
		t.Errorf("%d requests are not signed", n)
	}
}

// A list goes through a bucket; the reader needs no credentials.
func TestFeed(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s, location := newStore(t, nil)
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	dir := t.TempDir()
	l, err := boltjournal.Open(filepath.Join(dir, "list"), &blocklist.Options{SigningKey: key})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	opts := &feed.PublisherOptions{SigningKey: key, Dir: dir, Grace: time.Nanosecond, Heartbeat: time.Nanosecond}
	p, err := feed.NewPublisher(ctx, l, s, opts)
	if err != nil {
		t.Fatal(err)
	}
	second, err := feed.NewPublisher(ctx, l, s, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Publish(ctx); err != nil {
		t.Fatal(err)
	}
	// Not within the same second, in which both would write the same.
	time.Sleep(1100 * time.Millisecond)
	if err := second.Publish(ctx); !errors.Is(err, feed.ErrConflict) {
		t.Errorf("a second publisher: %v", err)
	}
	f, err := feed.Follow(ctx, location, &feed.Options{
		Dir: filepath.Join(dir, "own"), TrustedKeys: []ed25519.PublicKey{key.Public().(ed25519.PublicKey)}, Interval: 5 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i := range 20 {
		d, err := l.Digest(blocklist.ImageAddress, fmt.Sprintf("https://example.com/%d", i))
		if err != nil {
			t.Fatal(err)
		}
		_, err = l.Append(ctx, blocklist.Event{ID: [16]byte{byte(i), 1}, Type: blocklist.EventAdded, Rule: &blocklist.Rule{
			Scope: blocklist.ScopeURL, Effect: blocklist.EffectBlock,
			Keys: blocklist.Keys{Addresses: []blocklist.Address{{Kind: blocklist.ImageAddress, Digest: d}}},
		}})
		if err == nil {
			err = p.Publish(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(20 * time.Second); f.List().State().Position() != l.State().Position(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the reader is at %v: %+v", f.List().State().Position(), f.Info())
			}
		}
	}
	// A pointer that is some seconds old is asked for with a condition.
	for deadline := time.Now().Add(20 * time.Second); f.Info().Unchanged == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%+v", f.Info())
		}
	}
	if i := f.Info(); i.Bases != 1 {
		t.Errorf("%+v", i)
	}
}
