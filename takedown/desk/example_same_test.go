package desk_test

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

// Ten people report the same picture, and somebody sends a hundred notices about
// nothing: both are decided in one step.
func ExampleDesk_SameAs() {
	check := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "takedowns")
	check(err)
	defer os.RemoveAll(dir)
	dk, err := desk.Open(dir, nil)
	check(err)
	defer dk.Close()
	submit := func(address string) takedown.CaseID {
		c, err := dk.Submit(ctx, request.DSANotice{
			Requester: request.Requester{Name: "A Person", Email: "person@example.org"},
			ImageURLs: []string{address}, Explanation: "Shown without consent.",
			GoodFaith: request.Statement{Text: "This notice is accurate and complete.", Accepted: time.Now()},
		})
		check(err)
		return c.ID
	}
	first := submit("https://example.org/a.jpg")
	for range 9 {
		submit("https://EXAMPLE.org/a.jpg#top")
	}
	same, err := dk.SameAs(ctx, first)
	check(err)
	fmt.Println(len(same), "others about the same")
	jane := desk.Actor{By: "jane", Reason: "well_founded"}
	check(dk.Accept(ctx, first, desk.Grant{Actor: jane}))
	closed, err := dk.CloseSame(ctx, first, jane)
	check(err)
	fmt.Println(len(closed), "closed")

	check(dk.Reject(ctx, submit("https://example.org/f.jpg"), desk.Refusal{Actor: desk.Actor{By: "jane", Reason: "not_illegal"}}))
	good := []takedown.CaseID{submit("https://example.org/b.jpg"), submit("https://example.org/c.jpg")}
	bad := []takedown.CaseID{submit("https://example.org/d.jpg"), submit("https://example.org/e.jpg")}
	fmt.Println("failed:", len(dk.AcceptAll(ctx, good, desk.Grant{Actor: jane})), len(dk.RejectAll(ctx, bad, desk.Refusal{Actor: desk.Actor{By: "jane", Reason: "not_illegal"}})))
	// Output:
	// 9 others about the same
	// 9 closed
	// failed: 0 0
}
