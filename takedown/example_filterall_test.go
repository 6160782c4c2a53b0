package takedown_test

import (
	"bytes"
	"fmt"
	"log"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
)

// A ranker asks about all images of a page of results at the same time.
func ExampleEnforcer_FilterAll() {
	snapshot, photo, done := publishedForCrawler()
	defer done()
	enforcer, err := takedown.Load(snapshot, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer enforcer.Close()

	stored := storedHash(photo) // 32 bytes from the ranker's own database
	decisions := enforcer.In("DE").FilterAll(nil,
		takedown.Result{ImageURL: "https://elsewhere.example/copy.jpg", Hash: stored},
		takedown.Result{ImageURL: "https://elsewhere.example/another.jpg"},
	)
	for _, d := range decisions {
		fmt.Println(d.Verdict)
	}
	// Output:
	// block
	// allow
}

// storedHash returns the hash that a ranker stores of a picture.
func storedHash(photo []byte) phash.Hash {
	c, err := takedown.Inspect(bytes.NewReader(photo), takedown.Source{}, &takedown.InspectOptions{NoFeatures: true})
	if err != nil {
		log.Fatal(err)
	}
	return c.Hashes[0]
}
