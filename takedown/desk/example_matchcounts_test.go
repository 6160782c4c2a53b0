package desk_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// A node reports how many different pictures each rule has matched weakly; the
// desk calls a person when they are too many, and nothing is unblocked by it.
func ExampleDesk_AddMatchCounts() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "desk")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	dk, err := desk.Open(filepath.Join(dir, "takedowns"), &desk.Options{MatchBudget: 10})
	if err != nil {
		log.Fatal(err)
	}
	defer dk.Close()
	own := phash.MustParse("pdq:0f1e2d3c4b5a69780f1e2d3c4b5a6978f0e1d2c3b4a59687f0e1d2c3b4a59687")
	c, err := dk.Submit(ctx, request.HashEntry{
		Requester: request.Requester{Email: "person@example.org"}, Hashes: []phash.Hash{own}, Claim: request.ClaimOwner,
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := dk.Accept(ctx, c.ID, desk.Grant{}); err != nil {
		log.Fatal(err)
	}
	snap := filepath.Join(dir, "blocklist.snap")
	if err := dk.Publish(ctx, snap); err != nil {
		log.Fatal(err)
	}

	// A node meets thirty pictures that look much like it.
	node, err := takedown.Load(snap, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	for _, h := range outerCopies(own, 24, 30) {
		node.Filter("", h)
	}
	report, err := node.MatchCounts()[0].MarshalBinary() // sent however nodes send things
	if err != nil {
		log.Fatal(err)
	}

	var tally takedown.MatchCounts
	if err := tally.UnmarshalBinary(report); err != nil {
		log.Fatal(err)
	}
	alarms, err := dk.AddMatchCounts(ctx, []takedown.MatchCounts{tally})
	if err != nil {
		log.Fatal(err)
	}
	for _, a := range alarms {
		fmt.Println("rule", a.Rule, "of the case:", a.Case == c.ID)
	}
	again, err := dk.AddMatchCounts(ctx, []takedown.MatchCounts{tally})
	fmt.Println("said again:", len(again), err)
	fmt.Println("still held:", node.Filter("", own).Verdict)
	// Somebody has looked.
	fmt.Println(dk.SettleAlarms(ctx, c.ID, desk.Actor{By: "carol"}))
	// Output:
	// rule 1 of the case: true
	// said again: 0 <nil>
	// still held: review
	// <nil>
}

// A logo is put on the allow list: no request takes it away by likeness.
func ExampleDesk_AddToAllowList() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "desk")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	dk, err := desk.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer dk.Close()
	logo := phash.MustParse("pdq:0f1e2d3c4b5a69780f1e2d3c4b5a6978f0e1d2c3b4a59687f0e1d2c3b4a59687")
	listed, err := dk.AddToAllowList(ctx, takedown.Candidate{Hashes: []phash.Hash{logo}}, desk.Actor{By: "carol", Reason: "logo"}, "")
	if err != nil {
		log.Fatal(err)
	}
	c, err := dk.Submit(ctx, request.HashEntry{
		Requester: request.Requester{Email: "person@example.org"}, Hashes: []phash.Hash{logo}, Claim: request.ClaimOwner,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("flags:", c.Flags)
	fmt.Println("accepted:", dk.Accept(ctx, c.ID, desk.Grant{}) == nil)
	// A person decides that it is no logo after all.
	fmt.Println(dk.RemoveFromAllowList(ctx, listed.Event, desk.Actor{By: "carol", Reason: "mistake"}))
	fmt.Println("accepted:", dk.Accept(ctx, c.ID, desk.Grant{}) == nil)
	// Output:
	// flags: [allow_listed]
	// accepted: false
	// <nil>
	// accepted: true
}
