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

// What a reviewer does with a case: takes it, looks at what the index knows, writes a
// note, asks the sender, and decides. Every call names the reviewer.
func ExampleDesk_Assign() {
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
	notice := request.DSANotice{
		Requester: request.Requester{Name: "A Person", Email: "person@example.org"},
		ImageURLs: []string{"https://example.org/a.jpg", "https://example.org/b.jpg"}, Explanation: "Shown without consent.",
		GoodFaith: request.Statement{Text: "This notice is accurate and complete.", Accepted: time.Now()},
	}
	c, err := dk.Submit(ctx, notice)
	check(err)

	jane := desk.Actor{By: "jane"}
	check(dk.Assign(ctx, c.ID, jane, "jane", time.Now().Add(time.Hour)))
	seen, err := dk.View(ctx, c.ID, jane) // as Case, and only what jane may see
	check(err)
	fmt.Println(seen.Kind, seen.State, "about a child:", seen.Delicate())
	check(dk.AddEvidence(ctx, c.ID, []desk.Evidence{{Candidate: takedown.Candidate{ImageURLs: notice.ImageURLs[:1]}}}))
	found, err := dk.Evidence(ctx, c.ID)
	check(err)
	check(dk.AddNote(ctx, c.ID, jane, "A mandate is attached.", "mandate.txt", []byte("I act for her.")))
	notes, err := dk.Notes(ctx, c.ID)
	check(err)
	mandate, err := dk.Attachment(ctx, c.ID, 0)
	check(err)
	fmt.Println(len(found), "copy in the index,", len(notes), "note:", string(mandate))

	// The clock stands still while somebody else has to answer.
	check(dk.AskInfo(ctx, c.ID, jane, []string{"explanation"}, "Who is in the picture?"))
	notice.Explanation = "I am in the picture, and did not consent."
	_, err = dk.Complete(ctx, c.ID, notice)
	check(err)
	check(dk.Hold(ctx, c.ID, jane))
	check(dk.ReleaseHold(ctx, c.ID, jane))

	// What the grant would block in a sample of the index, and then the decision: one
	// address is refused.
	preview, err := dk.Preview(ctx, c.ID, nil, nil)
	check(err)
	check(dk.Accept(ctx, c.ID, desk.Grant{Actor: jane, Items: map[int]desk.ItemDecision{1: {Outcome: desk.OutcomeRejected, Reason: "not_illegal"}}}))
	check(dk.Amend(ctx, c.ID, desk.Grant{Actor: jane, Territories: []string{"DE"}, Items: map[int]desk.ItemDecision{1: {Outcome: desk.OutcomeRejected, Reason: "not_illegal"}}}))
	fmt.Println("risks:", len(preview.Risks))
	e := dk.Enforcer()
	fmt.Println(e.In("DE").FilterURL(notice.ImageURLs[0]).Verdict, e.In("FR").FilterURL(notice.ImageURLs[0]).Verdict, e.FilterURL(notice.ImageURLs[1]).Verdict)
	history, err := dk.History(ctx, c.ID)
	check(err)
	fmt.Println("requests of this person:", history.Sent)
	// Output:
	// dsa_notice in_review about a child: false
	// 1 copy in the index, 1 note: I act for her.
	// risks: 0
	// block allow allow
	// requests of this person: 1
}
