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

// A counter-notice to a removal for copyright: the claimant gets it, and if no court
// is asked within the window, the picture comes back.
func ExampleDesk_Restore() {
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
	dk, err := desk.Open(dir, &desk.Options{Now: now, Notifier: desk.NotifierFunc(func(context.Context, desk.Message) error { return nil })})
	check(err)
	defer dk.Close()
	stated := func(text string) request.Statement { return request.Statement{Text: text, Accepted: now()} }
	const picture = "https://example.org/a.jpg"
	notice, err := dk.Submit(ctx, request.DMCANotice{
		Requester: request.Requester{Name: "A Photographer", Email: "owner@example.org"},
		Works:     []request.Work{{Description: "Photograph of a lighthouse"}}, ImageURLs: []string{picture},
		GoodFaith: stated("Not authorised."), Accurate: stated("Accurate."), Authorised: stated("Under penalty of perjury."), Signature: "A Photographer",
	})
	check(err)
	jane, john := desk.Actor{By: "jane"}, desk.Actor{By: "john"}
	check(dk.Accept(ctx, notice.ID, desk.Grant{Actor: jane}))
	check(dk.CourtHold(ctx, notice.ID, jane)) // a case before a court stays as it is
	check(dk.Release(ctx, notice.ID, jane))

	counter, err := dk.Submit(ctx, request.CounterNotice{
		Requester: request.Requester{Name: "A Publisher", Phone: "+1 202 555 0100", PostalAddress: "1 Example Street, Springfield"},
		Case:      notice.ID, ImageURLs: []string{picture}, Mistake: stated("It was a mistake."), Jurisdiction: stated("I consent."),
		Disclosure: stated("The claimant gets a copy."), Reason: request.CounterOwner, Signature: "A Publisher",
	})
	check(err)
	check(dk.Accept(ctx, counter.ID, desk.Grant{Actor: john}))
	check(dk.Notify(ctx)) // the claimant has it
	fmt.Println("too early:", dk.Restore(ctx, counter.ID, john) != nil)
	days.Store(21) // CourtHold would keep it blocked, if the claimant went to court
	check(dk.Restore(ctx, counter.ID, john))
	fmt.Println(dk.Enforcer().FilterURL(picture).Verdict)
	// Output:
	// too early: true
	// allow
}
