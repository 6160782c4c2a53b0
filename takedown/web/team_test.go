package web_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
	"github.com/staydown/staydown/takedown/web"
)

// inForce submits an opt-out of a picture and puts it into force.
func (o *office) inForce(name string) takedown.CaseID {
	o.t.Helper()
	ctx := context.Background()
	c, err := o.desk.Submit(ctx, request.ImageOptOut{Requester: request.Requester{Name: "Somebody", Email: "somebody@requester.example", Language: "en"},
		Images: []request.File{request.FromBytes(picture(name))}, Claim: request.ClaimDepicted})
	if err == nil {
		err = o.desk.Confirm(ctx, c.ID, find(o.t, `/confirm/\S+/(\S+)\?lang=en`, o.letter("/confirm/")))
	}
	if err == nil {
		err = o.desk.Accept(ctx, c.ID, desk.Grant{Actor: desk.Actor{By: "alice"}})
	}
	if err != nil {
		o.t.Fatal(err)
	}
	return c.ID
}

// Reviewers take a case, leave notes and papers, and see who looked at it; another
// one cannot decide it meanwhile.
func TestTeam(t *testing.T) {
	t.Parallel()
	o := open(t, nil)
	v := o.visitor()
	page := v.post("/ask/link?d=", 200, "image_urls", "https://photos.example/a.jpg", "explanation", "x", "good_faith", "on", "requester.name", "S", "requester.email", "s@requester.example")
	page = v.post("/send?d="+find(t, `send\?d=([A-Z0-9]{26})`, page), 200)
	id := find(t, caseNumber, page)
	link := find(t, `https://search.example/takedown/confirm/\S+/(\S+)\?lang=en`, o.letter("/confirm/"))
	v.post("/confirm", 200, "case", id, "token", link)
	alice, bob := o.reviewer("alice"), o.reviewer("bob")
	contains(t, alice.get("/desk/case/"+id, 200), "Nobody works on it.")
	contains(t, alice.post("/desk/case/"+id, 200, "do", "take"), "It is yours for two hours.", "You work on it.")
	contains(t, bob.get("/desk/case/"+id, 200), "Works on it now:", "alice")
	contains(t, bob.post("/desk/case/"+id, 422, "do", "accept"), `role="alert"`)
	page = alice.post("/desk/case/"+id+"/note", 200, "text", "I have called <them>.", "paper", "@mandate.pdf")
	contains(t, page, "I have called &lt;them&gt;.", "mandate.pdf", "looked at")
	if got := alice.get("/desk/case/"+id+"/paper/0", 200); got != string(picture("mandate.pdf")) {
		t.Errorf("the paper has %d bytes", len(got))
	}
	lacks(t, v.get("/case", 200), "called")
	contains(t, alice.post("/desk/case/"+id, 200, "do", "give"), "Nobody works on it.")
	contains(t, bob.post("/desk/case/"+id, 200, "do", "accept", "reason", "illegal"), "in force")
}

// A crawler's match waits with its picture, and one press answers it: a copy is
// learned, a wrong match is excepted for good.
func TestMatches(t *testing.T) {
	t.Parallel()
	pictures := map[string][]byte{}
	o := open(t, func(opts *web.Options) {
		opts.MatchPicture = func(_ context.Context, m takedown.Match) ([]byte, error) {
			return pictures[m.Candidate.ImageURLs[0]], nil
		}
	})
	for name, address := range map[string]string{"one": "https://a.example/1.jpg", "two": "https://b.example/2.jpg"} {
		o.inForce(name)
		file := append(picture(name), address...) // other bytes, the same picture
		pictures[address] = file
		c, err := takedown.Inspect(bytes.NewReader(file), takedown.Source{ImageURL: address}, nil)
		if err != nil {
			t.Fatal(err)
		}
		d := o.desk.Enforcer().Check(c)
		if d.Verdict != takedown.Block {
			t.Fatalf("%s: %v", address, d)
		}
		if _, err := o.desk.AddMatches(context.Background(), takedown.Match{Candidate: c, Decision: d}); err != nil {
			t.Fatal(err)
		}
	}
	alice := o.reviewer("alice")
	page := alice.get("/desk/matches", 200)
	contains(t, page, "2 matches of crawlers wait", "https://a.example/1.jpg", `accesskey="y"`)
	number := find(t, `action="/desk/matches/(\d+)"`, page)
	if got := alice.get("/desk/matches/"+number+"/picture", 200); !strings.HasPrefix(got, "\xff\xd8") {
		t.Error("no picture")
	}
	page = alice.post("/desk/matches/"+number, 200, "same", "no")
	contains(t, page, "1 matches of crawlers wait")
	contains(t, alice.post("/desk/matches/"+find(t, `action="/desk/matches/(\d+)"`, page), 200, "same", "yes"), "Nothing here.")
	alice.post("/desk/matches/"+number, 404)
	alice.get("/desk/matches/99/picture", 404)
}

// A preference blocks a use and nothing else.
func TestPreference(t *testing.T) {
	t.Parallel()
	o := open(t, nil)
	v := o.visitor()
	page := v.post("/ask/preference?d=", 200, "uses", "train", "hosts", "photos.example", "claim", "owner", "requester.name", "S", "requester.email", "s@requester.example")
	page = v.post("/send?d="+find(t, `send\?d=([A-Z0-9]{26})`, page), 200)
	id := find(t, caseNumber, page)
	token := find(t, `https://search.example/takedown/confirm/\S+/(\S+)\?lang=en`, o.letter("/confirm/"))
	v.post("/confirm", 200, "case", id, "token", token)
	alice := o.reviewer("alice")
	page = alice.post("/desk/case/"+id, 200, "do", "accept", "reason", "goodwill")
	if !strings.Contains(page, "in force") { // a whole host takes two
		o.reviewer("bob").post("/desk/case/"+id, 200, "do", "accept", "reason", "goodwill")
	}
	if got := o.desk.Enforcer().FilterURL("https://photos.example/x.jpg"); got.Verdict == takedown.Block {
		t.Errorf("it is not shown any more: %v", got)
	}
	if got := o.desk.Enforcer().For(takedown.PurposeTrain).FilterURL("https://photos.example/x.jpg"); got.Verdict != takedown.Block {
		t.Errorf("it may be trained with: %v", got)
	}
	alice.get("/desk/report.json", 200)
}

// A match about a child is shown to reviewers with that role only, and its picture
// too. What the index knew of a picture is beside the case.
func TestMatches_Child(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	asked := 0
	o := open(t, func(opts *web.Options) {
		opts.MatchPicture = func(context.Context, takedown.Match) ([]byte, error) { asked++; return picture("child"), nil }
	})
	c, err := o.desk.Submit(ctx, request.IntimateImage{Requester: request.Requester{Name: "Somebody", Email: "somebody@requester.example", Language: "en"},
		Images: []request.File{request.FromBytes(picture("child"))}, NoConsent: request.Statement{Text: "No consent.", Accepted: time.Now()},
		MinorDepicted: request.AnswerYes, Signature: "Somebody"})
	if err != nil {
		t.Fatal(err)
	}
	if err := o.desk.AddEvidence(ctx, c.ID, []desk.Evidence{{Candidate: takedown.Candidate{ImageURLs: []string{"https://evidence.example/1.jpg"}}}}); err != nil {
		t.Fatal(err)
	}
	alice, bob := o.reviewer("alice"), o.reviewer("bob")
	contains(t, alice.get("/desk/due", 200), c.ID.String())
	lacks(t, bob.get("/desk/due", 200), c.ID.String())
	if err := o.desk.Hold(ctx, c.ID, desk.Actor{By: "alice"}); err != nil {
		t.Fatal(err)
	}
	found, err := takedown.Inspect(bytes.NewReader(append(picture("child"), 0)), takedown.Source{ImageURL: "https://a.example/1.jpg"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := o.desk.Enforcer().Check(found)
	if _, err := o.desk.AddMatches(ctx, takedown.Match{Candidate: found, Decision: d}); err != nil {
		t.Fatalf("%v: %v", d, err)
	}
	number := find(t, `action="/desk/matches/(\d+)"`, alice.get("/desk/matches", 200))
	lacks(t, bob.get("/desk/matches", 200), "/desk/matches/"+number)
	bob.get("/desk/matches/"+number+"/picture", 404)
	bob.post("/desk/matches/"+number, 200, "same", "no")
	if asked != 0 {
		t.Errorf("the picture was fetched %d times for somebody who must not see it", asked)
	}
	contains(t, alice.get("/desk/matches", 200), "/desk/matches/"+number)
	contains(t, alice.get("/desk/case/"+c.ID.String(), 200), "https://evidence.example/1.jpg")
}
