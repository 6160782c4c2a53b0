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

// What only a person can find out is recorded with a name: that an order is of a real
// authority, that a sender is a trusted flagger, that a case about a child was
// reported.
func ExampleDesk_ConfirmAuthority() {
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
	jane := desk.Actor{By: "jane", Reason: "well_founded"}

	order, err := dk.Submit(ctx, request.AuthorityOrder{
		Requester: request.Requester{Email: "registry@court.example", Role: request.RoleAuthority}, Authority: "District Court of Example", Reference: "1 O 23/26",
		LegalBasis: "Section 1 of the Act", Reasons: "It violates the plaintiff's rights.", Redress: "Appeal within a month.",
		ImageURLs: []string{"https://example.org/a.jpg"}, Territories: []string{"DE"},
	})
	check(err)
	check(dk.ConfirmAuthority(ctx, order.ID, jane))

	stated := func(text string) request.Statement { return request.Statement{Text: text, Accepted: time.Now()} }
	notice, err := dk.Submit(ctx, request.DSANotice{
		Requester: request.Requester{Name: "A Hotline", Email: "hotline@example.org", Role: request.RoleTrustedFlagger, FlaggerID: "DE-17"},
		ImageURLs: []string{"https://example.org/b.jpg"}, Explanation: "Shown without consent.", GoodFaith: stated("Accurate and complete."),
	})
	check(err)
	check(dk.ConfirmFlagger(ctx, notice.ID, jane))

	report, err := dk.Submit(ctx, request.IntimateImage{
		Requester: request.Requester{Name: "A Person", Email: "person@example.org", Country: "GB"}, ImageURLs: []string{"https://example.org/c.jpg"},
		NoConsent: stated("I did not consent."), Synthetic: request.AnswerNo, MinorDepicted: request.AnswerYes, Signature: "A Person",
	})
	check(err)
	check(dk.Accept(ctx, report.ID, desk.Grant{Actor: jane}))
	check(dk.MarkReported(ctx, report.ID, jane, 90*24*time.Hour)) // to the authority, and preserved for it
	report, err = dk.Case(ctx, report.ID)
	check(err)
	fmt.Println(report.State, report.Delicate())

	// A picture that must never be blocked, and the pictures that are on that list.
	_, err = dk.AddToAllowList(ctx, takedown.Candidate{SHA256: [32]byte{1}}, desk.Actor{By: "jane", Reason: "own_logo"}, "")
	check(err)
	list, err := dk.AllowList(ctx)
	check(err)
	alarms, err := dk.Alarms(ctx) // rules that matched more pictures than the budget allows
	check(err)
	fmt.Println(len(list), len(alarms))
	// Output:
	// in_force true
	// 1 0
}
