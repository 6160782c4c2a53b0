package takedown_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/takedown"
)

// A service that stores verdicts learns from the changes since its last look what to
// ask about again. Here the withdrawal of a request releases an address.
func ExampleEnforcer_Events() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "list")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	list, err := boltjournal.Open(dir, nil) // of a desk; others load what it publishes
	if err != nil {
		log.Fatal(err)
	}
	defer list.Close()
	digest, err := list.Digest(blocklist.ImageAddress, "https://example.org/photo.jpg")
	if err != nil {
		log.Fatal(err)
	}
	rule, err := list.Append(ctx, blocklist.Event{ID: [16]byte{1}, Type: blocklist.EventAdded, Rule: &blocklist.Rule{
		Scope: blocklist.ScopeURL, Effect: blocklist.EffectBlock,
		Keys: blocklist.Keys{Addresses: []blocklist.Address{{Kind: blocklist.ImageAddress, Digest: digest}}},
	}})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := list.Append(ctx, blocklist.Event{ID: [16]byte{2}, Type: blocklist.EventRevoked, Target: rule[0]}); err != nil {
		log.Fatal(err)
	}

	enforcer, err := takedown.NewEnforcer([]takedown.ListSource{{Name: "own", List: list}}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer enforcer.Close()
	fmt.Println(enforcer.FilterURL("https://example.org/photo.jpg").Verdict)
	var at takedown.Cursor // stored between calls, as JSON
	for change, err := range enforcer.Events(ctx, &at) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(change.Type, change.Rule, "releases:", change.Type.Releases())
	}
	// Output:
	// allow
	// rule added 1 releases: false
	// rule revoked 1 releases: true
}
