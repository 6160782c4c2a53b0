package desk_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// What a desk can show afterwards: its log, the papers of a case, the statement of
// reasons and its row for the Transparency Database, and the figures of a year.
func ExampleDesk_Log() {
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
	received := time.Now().Add(-48 * time.Hour)
	c, err := dk.Import(ctx, request.DSANotice{ // a letter on paper, or a case of an older system
		Requester: request.Requester{Name: "A Person", Email: "person@example.org"},
		ImageURLs: []string{"https://example.org/a.jpg"}, Explanation: "Shown without consent.", Ground: request.GroundPrivacy,
		GoodFaith: request.Statement{Text: "This notice is accurate and complete.", Accepted: received},
	}, received)
	check(err)
	jane := desk.Actor{By: "jane", Reason: "well_founded"}
	check(dk.Accept(ctx, c.ID, desk.Grant{Actor: jane, Finding: desk.Finding{Facts: "The picture shows a hospital bed.", Law: "Act on Art, section 22", Explanation: "Nobody consented."}}))

	for entry, err := range dk.Log(ctx, 0) {
		check(err)
		fmt.Printf("%d %s by %q\n", entry.Seq, entry.To, entry.By)
	}
	for _, err := range dk.Follow(ctx, 0) { // for a program that waits for moves
		check(err)
		break
	}
	fmt.Println("events of the list:", dk.List().State().Seq())
	entries, err := dk.LogOf(ctx, c.ID)
	check(err)
	seq, _, err := dk.VerifyLog(ctx) // each entry has the digest of the one before
	check(err)
	fmt.Println(len(entries), "entries of the case; the log is intact up to", seq)
	check(dk.Verify(ctx)) // cases, keys, list and index agree

	c, err = dk.Case(ctx, c.ID)
	check(err)
	statement := desk.NewStatementOfReasons(&c)
	fmt.Println("lacks:", statement.Lacks())
	row, err := statement.TransparencyRow("", received)
	check(err)
	fmt.Println(row.DecisionGround, row.Check())

	dossier, err := dk.Dossier(ctx, c.ID, jane, false) // all that the desk has about a case, for a court
	check(err)
	fmt.Println(len(dossier.Log), "entries in the dossier")
	report, err := dk.TransparencyReport(ctx, received.Add(-time.Hour), time.Now().Add(time.Hour))
	check(err)
	var figures, cases, all bytes.Buffer
	check(report.WriteCSV(&figures))
	check(dk.ExportCSV(ctx, &cases))
	check(dk.ExportJSON(ctx, &all))
	fmt.Println("lines:", strings.Count(cases.String(), "\n"), "names:", strings.Contains(cases.String(), "A Person"))
	n, err := dk.Count(ctx, desk.Query{States: []desk.State{desk.StateInForce}})
	check(err)
	status, err := dk.Status(ctx)
	check(err)
	fmt.Println(n, "in force,", status.Messages, "messages wait")
	// Output:
	// 1 in_review by ""
	// 2 enforcing by "jane"
	// 3 in_force by ""
	// events of the list: 1
	// 3 entries of the case; the log is intact up to 3
	// lacks: []
	// DECISION_GROUND_ILLEGAL_CONTENT <nil>
	// 4 entries in the dossier
	// lines: 2 names: false
	// 1 in force, 0 messages wait
}
