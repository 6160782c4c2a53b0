package blocklist_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
)

// A list is opened for writing in one place, published, and loaded in others.
func Example() {
	dir, err := os.MkdirTemp("", "blocklist")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	list, err := boltjournal.Open(filepath.Join(dir, "list"), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer list.Close()

	digest, err := list.Digest(blocklist.ImageAddress, "https://example.com/photo.jpg")
	if err != nil {
		log.Fatal(err)
	}
	rule, err := list.Append(ctx, blocklist.Event{
		ID:   [16]byte{1}, // chosen by whoever appends, so that it can be repeated safely
		Type: blocklist.EventAdded,
		Rule: &blocklist.Rule{
			Scope:  blocklist.ScopeURL,
			Effect: blocklist.EffectBlock,
			Keys:   blocklist.Keys{Addresses: []blocklist.Address{{Kind: blocklist.ImageAddress, Digest: digest}}},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	path := filepath.Join(dir, "blocklist.snap")
	if err := list.Publish(path); err != nil {
		log.Fatal(err)
	}

	node, err := blocklist.Load(path, nil)
	if err != nil {
		log.Fatal(err)
	}
	ask := func(url string) {
		view := node.State()
		digest, err := view.Digest(blocklist.ImageAddress, url)
		if err != nil {
			fmt.Println(err)
			return
		}
		blocked := false
		view.FindAddress(digest, func(h blocklist.Hit) bool {
			fmt.Printf("%s: %v by rule %d\n", url, h.Effect, h.Rule)
			blocked = true
			return true
		})
		if !blocked {
			fmt.Printf("%s: nothing\n", url)
		}
	}
	ask("http://EXAMPLE.com:80/./photo%2Ejpg#top")
	ask("https://example.com/another.jpg")
	ask("data:image/png;base64,AAAA")

	if _, err := list.Append(ctx, blocklist.Event{ID: [16]byte{2}, Type: blocklist.EventRevoked, Target: rule[0]}); err != nil {
		log.Fatal(err)
	}
	if err := list.Publish(path); err != nil {
		log.Fatal(err)
	}
	if _, err := node.Reload(); err != nil {
		log.Fatal(err)
	}
	ask("https://example.com/photo.jpg")
	// Output:
	// http://EXAMPLE.com:80/./photo%2Ejpg#top: block by rule 1
	// https://example.com/another.jpg: nothing
	// blocklist: address: scheme is not http or https (26 bytes); accepted are http and https addresses of at most 8192 bytes
	// https://example.com/photo.jpg: nothing
}
