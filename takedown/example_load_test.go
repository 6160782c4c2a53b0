package takedown_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// A ranker loads what a desk has published and asks about every result, by its
// address and the hash that its index has stored: the first of phash.HashesToAsk.
func ExampleLoad() {
	snapshot, photo, done := publishedForRanker()
	defer done()
	pic, err := phash.Decode(bytes.NewReader(photo), nil)
	if err != nil {
		log.Fatal(err)
	}
	stored := phash.HashesToAsk(pic)[0] // when the index was made

	enforcer, err := takedown.Load(snapshot, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer enforcer.Close()
	fmt.Println(enforcer.FilterURL("https://elsewhere.example/copy.jpg"))
	d := enforcer.In("DE").Filter("https://elsewhere.example/copy.jpg", stored) // for a viewer in Germany
	fmt.Println(d.Verdict, "by", d.Why, "at distance", d.Distance)

	changed, err := enforcer.Reload() // now and then
	fmt.Println(changed, err)
	// Output:
	// allow (checked address)
	// block by hash at distance 0
	// false <nil>
}

// publishedForRanker returns a snapshot in which the copies of a photograph are blocked.
func publishedForRanker() (snapshot string, photo []byte, done func()) {
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
