package takedown_test

import (
	"fmt"
	"log"
	"os"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
)

// A ranker loads what a desk has published and asks about every result, by its
// address and the hash that its index has stored: the first of phash.HashesToAsk.
func ExampleLoad() {
	f, err := os.Open("testdata/picture.jpg") // when the index was made
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	pic, err := phash.Decode(f, nil)
	if err != nil {
		log.Fatal(err)
	}
	stored := phash.HashesToAsk(pic)[0]

	enforcer, err := takedown.Load("testdata/blocklist.snap", nil)
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
