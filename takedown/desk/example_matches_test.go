package desk_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"log"
	"math/rand/v2"
	"os"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// picture returns a JPEG with enough detail to be registered.
func picture() []byte {
	r, m := rand.New(rand.NewPCG(1, 2)), image.NewGray(image.Rect(0, 0, 256, 256))
	for range 400 {
		x, y, w, h := r.IntN(256), r.IntN(256), 4+r.IntN(60), 4+r.IntN(60)
		c := color.Gray{Y: uint8(r.IntN(256))}
		for i := range w * h {
			m.SetGray(x+i%w, y+i/w, c)
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		log.Fatal(err)
	}
	return b.Bytes()
}

// Crawlers send the matches that a person has to look at to the desk, where they wait.
// The answer "not the same" makes an exception, which can be taken back.
func ExampleDesk_AddMatches() {
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
	file := picture()
	c, err := dk.Submit(ctx, request.ImageOptOut{
		Requester: request.Requester{Name: "A Person", Email: "person@example.org"}, Images: []request.File{request.FromBytes(file)}, Claim: request.ClaimDepicted,
	})
	check(err)
	check(dk.Accept(ctx, c.ID, desk.Grant{Actor: desk.Actor{By: "jane"}}))

	// On a crawler:
	source := takedown.Source{ImageURL: "https://elsewhere.example/copy.jpg"}
	d, candidate, err := dk.Enforcer().CheckFile(ctx, bytes.NewReader(file), source, nil)
	check(err)
	match := takedown.Match{Candidate: candidate, Decision: d} // travels as JSON

	// At the desk:
	added, err := dk.AddMatches(ctx, match, match)
	check(err)
	queue, err := dk.QueuedMatches(ctx, "", 10)
	check(err)
	fmt.Println("new:", added.New, "again:", added.Again, "waiting:", queue.Waiting)
	jane := desk.Actor{By: "jane", Reason: "permitted_use"}
	done, err := dk.ResolveMatch(ctx, queue.Matches[0].Number, jane, desk.NotTheSame, nil)
	check(err)
	fmt.Println(dk.Enforcer().Check(candidate).Verdict)
	answers, err := dk.MatchAnswers(ctx, 0, 10) // for crawlers that hold pictures meanwhile
	check(err)
	fmt.Println(len(answers), answers[0].Resolution == desk.NotTheSame)

	check(dk.Revert(ctx, done.Events[0], jane))
	fmt.Println(dk.Enforcer().Check(candidate).Verdict)
	_, err = dk.Resolve(ctx, desk.Match{Actor: jane, Candidate: candidate, Decision: dk.Enforcer().Check(candidate)}, desk.NotTheSame) // without the queue
	check(err)
	fmt.Println(dk.Enforcer().Check(candidate).Verdict)
	// Output:
	// new: 1 again: 1 waiting: 1
	// allow
	// 1 true
	// block
	// allow
}
