package desk_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"sync/atomic"
	"time"

	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// How a removal ends: it was wrong and is reversed, or the requester takes it back.
// Then the personal data is erased, unless it is held for a court.
func ExampleDesk_Erase() {
	check := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "takedowns")
	check(err)
	defer os.RemoveAll(dir)
	start := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	var days atomic.Int64 // that have passed; the desk asks for the time from goroutines of its own
	now := func() time.Time { return start.AddDate(0, 0, int(days.Load())) }
	dk, err := desk.Open(dir, &desk.Options{Now: now})
	check(err)
	defer dk.Close()
	c, err := dk.Submit(ctx, request.DSANotice{
		Requester: request.Requester{Name: "A Person", Email: "person@example.org"},
		ImageURLs: []string{"https://example.org/a.jpg"}, Explanation: "Shown without consent.",
		GoodFaith: request.Statement{Text: "This notice is accurate and complete.", Accepted: now()},
	})
	check(err)
	jane := desk.Actor{By: "jane", Reason: "satire"}
	check(dk.Accept(ctx, c.ID, desk.Grant{Actor: jane}))
	check(dk.MarkNotified(ctx, c.ID, jane)) // the publisher was told, on another way
	check(dk.Reverse(ctx, c.ID, jane))
	fmt.Println(dk.Enforcer().FilterURL("https://example.org/a.jpg").Verdict)

	check(dk.LegalHold(ctx, c.ID, true, jane))
	fmt.Println("held:", dk.Erase(ctx, c.ID, jane) != nil)
	check(dk.LegalHold(ctx, c.ID, false, jane))
	days.Store(365) // no complaint is possible any more
	check(dk.CloseCase(ctx, c.ID, jane))
	check(dk.Erase(ctx, c.ID, jane))
	c, err = dk.Case(ctx, c.ID)
	check(err)
	fmt.Println(c.State, "erased:", c.Erased())
	// Output:
	// allow
	// held: true
	// closed erased: true
}
