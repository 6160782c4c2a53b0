package takedown_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// What a withdrawal releases, hosts learn from the changes since they last
// looked.
func ExampleEnforcer_Events() {
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
	c, err := dk.Submit(ctx, request.DSANotice{
		Requester:   request.Requester{Name: "A Person", Email: "person@example.org"},
		ImageURLs:   []string{"https://example.org/photo.jpg"},
		Explanation: "Shown without consent.",
		GoodFaith:   request.Statement{Text: "This notice is accurate and complete.", Accepted: time.Now()},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := dk.Accept(ctx, c.ID, desk.Grant{}); err != nil {
		log.Fatal(err)
	}
	if err := dk.Withdraw(ctx, c.ID, desk.Actor{By: "jane", Reason: "requester_asked"}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(dk.Enforcer().FilterURL("https://example.org/photo.jpg").Verdict)

	var at takedown.Cursor // stored between calls, as JSON
	for change, err := range dk.Enforcer().Events(ctx, &at) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(change.Type, change.Rule, "releases:", change.Type.Releases())
	}
	// Output:
	// allow
	// rule added 1 releases: false
	// rule revoked 1 releases: true
}
