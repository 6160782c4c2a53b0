package blocklist_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log"

	"github.com/staydown/staydown/blocklist"
)

// Addresses, scopes, territories and reaches have one form each.
func ExampleCanonical() {
	address, err := blocklist.Canonical("HTTP://Example.org:80/a/%2E/photo.jpg#top")
	if err != nil {
		log.Fatal(err)
	}
	scope, err := blocklist.ParseScope("duplicate")
	if err != nil {
		log.Fatal(err)
	}
	germany, err := blocklist.ParseTerritory("DE")
	if err != nil {
		log.Fatal(err)
	}
	bits, ok := blocklist.ReachBits(8).Bits()
	fmt.Println(address)
	fmt.Println(scope, germany, bits, ok)
	// Output:
	// https://example.org/a/photo.jpg
	// duplicate DE 8 true
}

// What came since a position is sent to other lists as a signed delta. Package feed
// does it with files on a web server.
func ExampleReadDelta() {
	check := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	public, private, err := ed25519.GenerateKey(nil)
	check(err)
	ctx := context.Background()
	list, err := blocklist.New(blocklist.NewMemoryJournal(), "", &blocklist.Options{SigningKey: private})
	check(err)
	defer list.Close()
	digest, err := list.Digest(blocklist.ImageAddress, "https://example.org/a.jpg")
	check(err)
	_, err = list.Append(ctx, blocklist.Event{ID: [16]byte{1}, Type: blocklist.EventAdded, Rule: &blocklist.Rule{
		Scope: blocklist.ScopeURL, Effect: blocklist.EffectBlock,
		Keys: blocklist.Keys{Addresses: []blocklist.Address{{Kind: blocklist.ImageAddress, Digest: digest}}},
	}})
	check(err)
	delta, end, err := list.Delta(ctx, 0, list.State().Seq())
	check(err)
	_, err = blocklist.ReadDelta(delta, &blocklist.LoadOptions{TrustedKeys: []ed25519.PublicKey{public}})
	check(err)
	delta[len(delta)-1] ^= 1
	_, err = blocklist.ReadDelta(delta, &blocklist.LoadOptions{TrustedKeys: []ed25519.PublicKey{public}})
	fmt.Println("up to event", end, "changed on the way:", err != nil)
	// Output:
	// up to event 1 changed on the way: true
}
