package takedownbleve_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/blevesearch/bleve/v2"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
	takedownbleve "github.com/staydown/staydown/takedown/adapters/bleve"
)

// A search service leaves out what a viewer in Germany must not see.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	list, err := blocklist.New(blocklist.NewMemoryJournal(), "", nil) // blocklist.Load("blocklist.snap", nil)
	if err != nil {
		log.Fatal(err)
	}
	lists := []takedown.ListSource{{List: list}}
	enforcer, err := takedown.NewEnforcer(lists, nil)
	if err != nil {
		log.Fatal(err)
	}
	index, err := bleve.NewMemOnly(bleve.NewIndexMapping()) // bleve.Open("images.bleve")
	if err != nil {
		log.Fatal(err)
	}
	f := &takedownbleve.Filter{Index: index, Enforcer: enforcer, Lists: lists, Fields: takedownbleve.Fields{URL: "url", Hash: "hash"}}
	go f.Run(ctx, time.Minute, func(err error) { log.Print(err) })

	res, err := f.Search(ctx, bleve.NewSearchRequest(bleve.NewMatchQuery("dogs")), "DE")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(res.Hits), "results")
	// Output: 0 results
}
