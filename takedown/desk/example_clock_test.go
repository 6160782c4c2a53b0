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

// Deadlines: what is due, by which provision, and what Expire does every day by
// itself.
func ExampleDesk_Due() {
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
	c, err := dk.Submit(ctx, request.GDPRRequest{
		Requester: request.Requester{Name: "A Person", Email: "person@example.org"}, Rights: []request.Right{request.RightErasure},
		ImageURLs: []string{"https://example.org/a.jpg"}, Situation: "The picture shows me as a child.",
	})
	check(err)

	jane := desk.Actor{By: "jane"}
	due, err := dk.DueOf(ctx, c.ID)
	check(err)
	for _, d := range due {
		fmt.Println(d.Deadline.Name, d.NotAfter.Format(time.DateOnly))
	}
	check(dk.ExtendDeadline(ctx, c.ID, jane, "We asked the publisher, and wait for the answer."))
	due, err = dk.Due(ctx, now().AddDate(1, 0, 0)) // of all cases, the most urgent first
	check(err)
	fmt.Println("extended to", due[0].NotAfter.Format(time.DateOnly))

	check(dk.Accept(ctx, c.ID, desk.Grant{Actor: jane, End: now().AddDate(0, 0, 2)}))
	planned, err := dk.Planned(ctx, now().AddDate(0, 1, 0))
	check(err)
	for _, p := range planned {
		fmt.Println(p.Action, p.At.Format(time.DateOnly))
	}
	days.Store(3)
	n, err := dk.Expire(ctx) // once a day
	check(err)
	c, err = dk.Case(ctx, c.ID)
	check(err)
	fmt.Println(n, c.State)
	// Output:
	// inform 2026-04-02
	// extended to 2026-06-02
	// expire 2026-03-04
	// 1 expired
}
