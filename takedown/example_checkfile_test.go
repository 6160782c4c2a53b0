package takedown_test

import (
	"bytes"
	"context"
	"fmt"
	"log"

	"github.com/staydown/staydown/takedown"
)

// A crawler hands over the body of a response. The digest of the original decides
// before it is decoded; a crop needs local features.
func ExampleEnforcer_CheckFile() {
	snapshot, photo, done := publishedForCrawler()
	defer done()
	enforcer, err := takedown.Load(snapshot, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer enforcer.Close()

	for _, body := range [][]byte{photo, crop(photo)} {
		source := takedown.Source{ImageURL: "https://elsewhere.example/photo.jpg", MediaType: "image/jpeg"}
		d, _, err := enforcer.CheckFile(context.Background(), bytes.NewReader(body), source, nil)
		if err != nil {
			log.Print(err) // the decision is valid all the same
		}
		fmt.Println(d.Verdict, "by", d.Why, "after", d.Checked)
	}
	// Output:
	// block by bytes after address+bytes
	// block by features after address+bytes+hash+features
}
