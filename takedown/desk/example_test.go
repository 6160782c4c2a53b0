package desk_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// An intake app takes a request in, a reviewer accepts it, and from then on its
// addresses are blocked, however they are spelt.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "takedowns")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	dk, err := desk.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer dk.Close()

	asked := request.DSANotice{
		Requester: request.Requester{Name: "A Person"},
		ImageURLs: []string{"https://example.org/photo.jpg"},
		GoodFaith: request.Statement{Text: "This notice is accurate and complete.", Accepted: time.Now()},
	}
	_, err = dk.Submit(ctx, asked)
	var incomplete *request.ValidationError
	if errors.As(err, &incomplete) { // every problem at once
		for _, p := range incomplete.Problems {
			fmt.Println("problem:", p.Field, p.Code)
		}
	}

	asked.Requester.Email, asked.Explanation = "person@example.org", "Shown without consent."
	c, err := dk.Submit(ctx, asked)
	if err != nil {
		log.Fatal(err)
	}
	if err := dk.Accept(ctx, c.ID, desk.Grant{}); err != nil { // as it was asked
		log.Fatal(err)
	}
	for _, u := range []string{"http://EXAMPLE.org:80/photo.jpg#top", "https://example.org/another.jpg"} {
		d := dk.Enforcer().FilterURL(u)
		fmt.Println(d.Verdict, u, d.Kind == request.KindDSANotice && d.Case == c.ID)
	}
	// Output:
	// problem: requester.email required
	// problem: explanation required
	// block http://EXAMPLE.org:80/photo.jpg#top true
	// allow https://example.org/another.jpg false
}
