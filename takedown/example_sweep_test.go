package takedown_test

import (
	"context"
	"fmt"
	"iter"
	"log"
	"maps"
	"os"
	"slices"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
)

// An index that exists already is swept: first all of it, later for what has
// come since.
func ExampleEnforcer_Sweep() {
	ctx := context.Background()
	enforcer, err := takedown.Load("testdata/blocklist.snap", nil) // blocks all copies of testdata/picture.jpg
	if err != nil {
		log.Fatal(err)
	}
	defer enforcer.Close()

	f, err := os.Open("testdata/picture.jpg")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	pic, err := phash.Decode(f, nil)
	if err != nil {
		log.Fatal(err)
	}
	rows := map[string]takedown.Candidate{ // the index: its own keys, what it knows
		"0001": {ImageURLs: []string{"https://a.example/cat.jpg"}},
		"0002": {ImageURLs: []string{"https://b.example/copy.jpg"}, Hashes: phash.HashesToAsk(pic)[:1]},
		"0003": {ImageURLs: []string{"https://c.example/dog.jpg"}},
	}
	// Items gives the entries behind a key, in the order of the keys: of a
	// database, SELECT … WHERE key > ? ORDER BY key.
	items := func(_ context.Context, after string) iter.Seq2[takedown.Item, error] {
		return func(yield func(takedown.Item, error) bool) {
			for _, key := range slices.Sorted(maps.Keys(rows)) {
				if key > after && !yield(takedown.Item{Key: key, Candidate: rows[key]}, nil) {
					return
				}
			}
		}
	}
	var at takedown.Cursor // stored between sweeps, as JSON
	for _, sweep := range []string{"first", "second"} {
		n := 0
		for found, err := range enforcer.Sweep(ctx, items, &at) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println(found.Item.Key, found.Decision.Verdict, "by", found.Decision.Why)
			n++
		}
		fmt.Println(sweep, "sweep:", n)
	}
	// Output:
	// 0002 block by hash
	// first sweep: 1
	// second sweep: 0
}
