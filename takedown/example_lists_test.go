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

// listBlocking opens a list that blocks one address.
func listBlocking(dir, address string, id byte) (*blocklist.List, error) {
	list, err := boltjournal.Open(dir, nil)
	if err != nil {
		return nil, err
	}
	digest, err := list.Digest(blocklist.ImageAddress, address)
	if err != nil {
		return nil, err
	}
	_, err = list.Append(context.Background(), blocklist.Event{ID: [16]byte{id}, Type: blocklist.EventAdded, Rule: &blocklist.Rule{
		Scope: blocklist.ScopeURL, Effect: blocklist.EffectBlock,
		Keys: blocklist.Keys{Addresses: []blocklist.Address{{Kind: blocklist.ImageAddress, Digest: digest}}},
	}})
	return list, err
}

// One enforcer asks several lists: what the own desk blocks is blocked, what the list
// of an industry has is only held for review, and only in two countries. A decision
// names its list; Matches reports all.
func ExampleNewEnforcer() {
	dir, err := os.MkdirTemp("", "lists")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	own, err := listBlocking(dir+"/own", "https://photos.example/a.jpg", 1)
	if err != nil {
		log.Fatal(err)
	}
	defer own.Close()
	industry, err := listBlocking(dir+"/industry", "https://photos.example/b.jpg", 2)
	if err != nil {
		log.Fatal(err)
	}
	defer industry.Close()
	enforcer, err := takedown.NewEnforcer([]takedown.ListSource{
		{Name: "own", List: own},
		{Name: "industry", List: industry, Effect: blocklist.EffectReview, Territories: []string{"DE", "FR"}},
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer enforcer.Close()

	d := enforcer.FilterURL("https://photos.example/a.jpg")
	fmt.Println(d.Verdict, "by", d.List)
	d = enforcer.In("DE").FilterURL("https://photos.example/b.jpg")
	fmt.Println(d.Verdict, "by", d.List)
	fmt.Println(enforcer.In("US").FilterURL("https://photos.example/b.jpg").Verdict)
	for m := range enforcer.Matches(takedown.Candidate{ImageURLs: []string{"https://photos.example/a.jpg"}}) {
		fmt.Println(m.List, m.Verdict, m.Why)
	}
	// Output:
	// block by own
	// review by industry
	// allow
	// own block address
}
