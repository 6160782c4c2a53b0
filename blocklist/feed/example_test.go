package feed_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/blocklist/feed"
)

// A list is published as signed files in a folder, which any web server can serve,
// and followed from there. A removal arrives with the next request of the pointer.
func Example() {
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

	// The publisher, beside the desk.
	list, err := boltjournal.Open(filepath.Join(dir, "list"), &blocklist.Options{SigningKey: private})
	if err != nil {
		log.Fatal(err)
	}
	defer list.Close()
	store, err := feed.NewFolder(filepath.Join(dir, "www"))
	if err != nil {
		log.Fatal(err)
	}
	publisher, err := feed.NewPublisher(ctx, list, store, &feed.PublisherOptions{SigningKey: private})
	if err != nil {
		log.Fatal(err)
	}
	if err := publisher.Publish(ctx); err != nil { // Run does so by itself
		log.Fatal(err)
	}

	// A reader: a crawler or a ranker on another machine.
	reader, err := feed.Follow(ctx, filepath.Join(dir, "www"), &feed.Options{
		Dir: filepath.Join(dir, "copy"), TrustedKeys: []ed25519.PublicKey{public}, Interval: 20 * time.Millisecond,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer reader.Close()

	digest, err := list.Digest(blocklist.ImageAddress, "https://photos.example/a.jpg")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := list.Append(ctx, blocklist.Event{ID: [16]byte{1}, Type: blocklist.EventAdded, Rule: &blocklist.Rule{
		Scope: blocklist.ScopeURL, Effect: blocklist.EffectBlock,
		Keys: blocklist.Keys{Addresses: []blocklist.Address{{Kind: blocklist.ImageAddress, Digest: digest}}},
	}}); err != nil {
		log.Fatal(err)
	}
	if err := publisher.Publish(ctx); err != nil {
		log.Fatal(err)
	}
	for reader.List().State().Seq() < list.State().Seq() && ctx.Err() == nil {
		time.Sleep(5 * time.Millisecond)
	}
	fmt.Println("rules:", reader.List().Info().Counts.Rules, "ready:", reader.Ready(time.Hour) == nil)
	// Output:
	// rules: 1 ready: true
}
