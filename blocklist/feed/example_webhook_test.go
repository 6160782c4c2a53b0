package feed_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/blocklist/feed"
)

// webhook is a feed.Bell: it posts each note to the addresses of readers. With a
// producer of Kafka, Ring is one call.
type webhook []string

func (w webhook) Ring(ctx context.Context, n feed.Note) error {
	body, err := n.MarshalBinary()
	for _, address := range w {
		req, failed := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
		if failed == nil {
			var resp *http.Response
			if resp, failed = http.DefaultClient.Do(req); failed == nil {
				failed = resp.Body.Close()
			}
		}
		err = errors.Join(err, failed)
	}
	return err
}

// posted is the reader's end, an http.Handler and a feed.Listener. With a consumer
// of Kafka, Listen reads messages, and there is no handler.
type posted chan feed.Note

func (p posted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var n feed.Note
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 2*feed.MaxNoteDelta))
	if err != nil || n.UnmarshalBinary(body) != nil {
		http.Error(w, "this is not a note", http.StatusBadRequest)
		return
	}
	select {
	case p <- n:
	default: // the reader finds it when it polls
	}
}

func (p posted) Listen(ctx context.Context, ring func(feed.Note)) error {
	for {
		select {
		case n := <-p:
			ring(n)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// A bell of 30 lines: a webhook. Notes are signed, and the reader verifies them, so
// the webhook needs no authentication. What it loses the reader finds by polling.
func Example_webhook() {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	dir, err := os.MkdirTemp("", "feed")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		log.Fatal(err)
	}
	notes := make(posted, 16)
	hook := httptest.NewServer(notes)
	defer hook.Close()

	list, err := boltjournal.Open(filepath.Join(dir, "list"), &blocklist.Options{SigningKey: private})
	if err != nil {
		log.Fatal(err)
	}
	defer list.Close()
	store, err := feed.NewFolder(filepath.Join(dir, "www"))
	if err != nil {
		log.Fatal(err)
	}
	publisher, err := feed.NewPublisher(ctx, list, store, &feed.PublisherOptions{
		SigningKey: private, Bells: []feed.Bell{webhook{hook.URL}},
	})
	if err == nil {
		err = publisher.Publish(ctx)
	}
	if err != nil {
		log.Fatal(err)
	}
	reader, err := feed.Follow(ctx, filepath.Join(dir, "www"), &feed.Options{
		Dir: filepath.Join(dir, "copy"), TrustedKeys: []ed25519.PublicKey{public},
		Interval: 10 * time.Hour, Listeners: []feed.Listener{notes},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer reader.Close()

	digest, err := list.Digest(blocklist.ImageAddress, "https://photos.example/a.jpg")
	if err == nil {
		_, err = list.Append(ctx, blocklist.Event{ID: [16]byte{1}, Type: blocklist.EventAdded, Rule: &blocklist.Rule{
			Scope: blocklist.ScopeURL, Effect: blocklist.EffectBlock,
			Keys: blocklist.Keys{Addresses: []blocklist.Address{{Kind: blocklist.ImageAddress, Digest: digest}}},
		}})
	}
	if err == nil {
		err = publisher.Publish(ctx)
	}
	if err != nil {
		log.Fatal(err)
	}
	for reader.List().State().Seq() < list.State().Seq() && ctx.Err() == nil {
		time.Sleep(5 * time.Millisecond)
	}
	fmt.Println("rules:", reader.List().Info().Counts.Rules, "requests:", reader.Info().Polls)
	// Output:
	// rules: 1 requests: 1
}
