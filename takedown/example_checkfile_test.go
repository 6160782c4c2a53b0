package takedown_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/staydown/staydown/takedown"
)

// A crawler hands over the body of a response. Here the digest of the file decides
// before anything is decoded.
func ExampleEnforcer_CheckFile() {
	enforcer, err := takedown.Load("testdata/blocklist.snap", nil) // blocks all copies of testdata/picture.jpg
	if err != nil {
		log.Fatal(err)
	}
	defer enforcer.Close()
	body, err := os.Open("testdata/picture.jpg")
	if err != nil {
		log.Fatal(err)
	}
	defer body.Close()

	source := takedown.Source{ImageURL: "https://elsewhere.example/photo.jpg", MediaType: "image/jpeg"}
	d, candidate, err := enforcer.CheckFile(context.Background(), body, source, nil)
	if err != nil {
		log.Print(err) // the decision is valid all the same
	}
	switch d.Verdict {
	case takedown.Block, takedown.Restricted: // Restricted: blocked in some countries, see In
		fmt.Println("drop:", d.Verdict, "by", d.Why, "after", d.Checked)
	case takedown.Review, takedown.Unknown: // Unknown: the list cannot be asked now
		fmt.Println("hold", candidate.ImageURLs)
	case takedown.Allow:
		fmt.Println("index, with", candidate.Hashes)
	}
	// Output:
	// drop: block by bytes after address+bytes
}
