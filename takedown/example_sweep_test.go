package takedown_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// An index that exists already is swept: first all of it, later for what has
// come since.
func ExampleEnforcer_Sweep() {
	ctx := context.Background()
	snapshot, photo, done := publishedForSweep()
	defer done()
	enforcer, err := takedown.Load(snapshot, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer enforcer.Close()

	pic, err := phash.Decode(bytes.NewReader(photo), nil)
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

// publishedForSweep returns a snapshot in which the copies of a photograph are blocked.
func publishedForSweep() (snapshot string, photo []byte, done func()) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "takedowns")
	if err != nil {
		log.Fatal(err)
	}
	dk, err := desk.Open(filepath.Join(dir, "desk"), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer dk.Close()
	if photo, err = os.ReadFile("testdata/picture.jpg"); err != nil {
		log.Fatal(err)
	}
	c, err := dk.Submit(ctx, request.ImageOptOut{
		Requester: request.Requester{Name: "A Person", Email: "person@example.org"},
		Images:    []request.File{request.FromBytes(photo)},
		Claim:     request.ClaimDepicted,
	})
	if err != nil {
		log.Fatal(err)
	}
	snapshot = filepath.Join(dir, "blocklist.snap")
	if err := errors.Join(dk.Accept(ctx, c.ID, desk.Grant{}), dk.Publish(ctx, snapshot)); err != nil {
		log.Fatal(err)
	}
	return snapshot, photo, func() { os.RemoveAll(dir) }
}
