package desk_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// A program that tells another system of each move stores the number of the last entry
// that the other system has taken, and goes on behind it after a restart.
func ExampleDesk_Follow() {
	dir, err := os.MkdirTemp("", "desk")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	d, err := desk.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer d.Close()
	ctx := context.Background()
	c, err := d.Submit(ctx, request.DSANotice{
		Requester:   request.Requester{Name: "A. Person", Email: "person@example.org"},
		ImageURLs:   []string{"https://example.org/a.jpg"},
		Explanation: "The picture shows me in hospital.",
		GoodFaith:   request.Statement{Text: "This notice is accurate and complete.", Accepted: time.Now()},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := d.Accept(ctx, c.ID, desk.Grant{Actor: desk.Actor{By: "alice"}}); err != nil {
		log.Fatal(err)
	}
	taken := uint64(0)
	for e, err := range d.Follow(ctx, taken) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Seq, e.To) // POST it to the other system
		if taken = e.Seq; taken == 3 {
			break
		}
	}
	// Output:
	// 1 in_review
	// 2 enforcing
	// 3 in_force
}
