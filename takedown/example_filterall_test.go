package takedown_test

import (
	"fmt"
	"log"
	"os"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
)

// A ranker asks about all images of a page of results at the same time.
func ExampleEnforcer_FilterAll() {
	enforcer, err := takedown.Load("testdata/blocklist.snap", nil) // blocks all copies of testdata/picture.jpg
	if err != nil {
		log.Fatal(err)
	}
	defer enforcer.Close()

	stored := storedHash("testdata/picture.jpg") // 32 bytes from the ranker's own database
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
func storedHash(name string) phash.Hash {
	f, err := os.Open(name)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	c, err := takedown.Inspect(f, takedown.Source{}, &takedown.InspectOptions{NoFeatures: true})
	if err != nil {
		log.Fatal(err)
	}
	return c.Hashes[0]
}
