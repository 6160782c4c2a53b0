package feed_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/blocklist/feed"
	"github.com/staydown/staydown/takedown"
)

// Webhook is a bell in a few lines: it posts each note to the readers. A bell for
// Kafka or another log is of the same size: Ring writes the bytes of the note as a
// message, and Listen passes on the messages that it reads.
type Webhook struct {
	readers []string
	notes   chan feed.Note
}

func (h *Webhook) Ring(ctx context.Context, n feed.Note) error {
	body, err := n.MarshalBinary()
	for _, url := range h.readers {
		req, failed := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
		if failed != nil {
			return failed
		}
		resp, failed := http.DefaultClient.Do(req)
		if failed != nil {
			err = failed
			continue
		}
		resp.Body.Close()
	}
	return err
}

func (h *Webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var n feed.Note
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 128<<10))
	if err != nil || n.UnmarshalBinary(body) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	select {
	case h.notes <- n:
	default: // the reader asks for the pointer later
	}
}

func (h *Webhook) Listen(ctx context.Context, ring func(feed.Note)) error {
	for {
		select {
		case n := <-h.notes:
			ring(n)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// A reader that asks for the pointer once a day learns of a removal at once.
func Example_webhook() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "feed")
	check(err)
	defer os.RemoveAll(dir)
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) // a real one is random
	hook := &Webhook{notes: make(chan feed.Note, 16)}
	receiver := httptest.NewServer(hook)
	defer receiver.Close()

	list, err := boltjournal.Open(filepath.Join(dir, "list"), &blocklist.Options{SigningKey: key})
	check(err)
	defer list.Close()
	store, err := feed.NewFolder(filepath.Join(dir, "public"))
	check(err)
	p, err := feed.NewPublisher(ctx, list, store, &feed.PublisherOptions{
		SigningKey: key, Bells: []feed.Bell{&Webhook{readers: []string{receiver.URL}}},
	})
	check(err)
	check(p.Publish(ctx))

	f, err := feed.Follow(ctx, filepath.Join(dir, "public"), &feed.Options{
		Dir: filepath.Join(dir, "own"), TrustedKeys: []ed25519.PublicKey{key.Public().(ed25519.PublicKey)},
		Interval: 24 * time.Hour, Listeners: []feed.Listener{hook},
	})
	check(err)
	defer f.Close()
	e, err := takedown.NewEnforcer([]takedown.ListSource{{Name: "main", List: f.List(), Current: f.Current}}, nil)
	check(err)
	fmt.Println(e.FilterURL("https://example.com/a.jpg").Verdict)

	digest, err := list.Digest(blocklist.ImageAddress, "https://example.com/a.jpg")
	check(err)
	_, err = list.Append(ctx, blocklist.Event{ID: [16]byte{1}, Type: blocklist.EventAdded, Rule: &blocklist.Rule{
		Scope: blocklist.ScopeURL, Effect: blocklist.EffectBlock,
		Keys: blocklist.Keys{Addresses: []blocklist.Address{{Kind: blocklist.ImageAddress, Digest: digest}}},
	}})
	check(err)
	check(p.Publish(ctx))
	for f.List().State().Position() != list.State().Position() {
		time.Sleep(time.Millisecond)
	}
	fmt.Println(e.FilterURL("https://example.com/a.jpg").Verdict)
	// Output:
	// allow
	// block
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
