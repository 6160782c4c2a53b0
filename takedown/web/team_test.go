package web_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"iter"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
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

// A crawler's match waits with its picture beside the registered one, both outlined.
// An answer can be undone for a while; then a copy is learned, and a wrong match is
// excepted for good.
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
	contains(t, page, "2 matches of crawlers wait", "https://a.example/1.jpg", `src="/desk/keys.js"`)
	number := find(t, `name="match(\d+)" value="yes"`, page)
	pair, err := jpeg.Decode(strings.NewReader(alice.get("/desk/matches/"+number+"/picture", 200)))
	if err != nil {
		t.Fatal(err)
	}
	if b := pair.Bounds(); b.Dy() != 240 || b.Dx() != 2*320+8 {
		t.Errorf("the pair has %v", b)
	}
	if left, right := outlined(pair, 0, 320), outlined(pair, 328, 648); left < 500 || right < 500 {
		t.Errorf("%d and %d pixels of the pair are of an outline", left, right)
	}
	page = alice.post("/desk/matches", 200, "match"+number, "no")
	contains(t, page, "1 answers are recorded", "Undo")
	lacks(t, page, "match"+number+`"`)
	page = alice.post("/desk/undo/"+find(t, `/desk/undo/(\w+)"`, page), 200, "next", "/desk/matches")
	contains(t, page, "Undone. Nothing has happened.", "match"+number+`"`)
	page = alice.post("/desk/matches", 200, "match"+number, "no")
	undo := "/desk/undo/" + find(t, `/desk/undo/(\w+)"`, page)
	contains(t, o.reviewer("bob").post(undo, 200, "next", "/desk/matches"), "That has happened already.")
	o.pages.Close() // what waits is done
	contains(t, alice.post(undo, 200, "next", "https://elsewhere.example/"), "That has happened already.")
	page = alice.get("/desk/matches", 200)
	contains(t, page, "1 matches of crawlers wait")
	alice.post("/desk/matches", 200, "match"+find(t, `name="match(\d+)" value="yes"`, page), "yes")
	o.pages.Close()
	contains(t, alice.get("/desk/matches", 200), "Nothing here.")
	contains(t, alice.post("/desk/matches", 200, "match"+number, "no"), "Nothing is selected.")
	alice.get("/desk/matches/99/picture", 404)
}

// outlined counts the pixels with the colour of an outline, between two columns.
func outlined(img image.Image, from, to int) (n int) {
	for y := range img.Bounds().Dy() {
		for x := from; x < to; x++ {
			if r, g, b, _ := img.At(x, y).RGBA(); r>>8 > 180 && g>>8 < 90 && b>>8 > 40 && b>>8 < 140 {
				n++
			}
		}
	}
	return n
}

// Several cases are decided at once, and until then that can be undone.
func TestBulk(t *testing.T) {
	t.Parallel()
	var later atomic.Int64
	o := open(t, func(opts *web.Options) {
		opts.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	})
	ctx := context.Background()
	var fields []string
	var ids []takedown.CaseID
	for i := range 3 {
		c, err := o.desk.Import(ctx, request.DSANotice{Requester: request.Requester{Name: "S", Email: "s@requester.example"}, ImageURLs: []string{fmt.Sprintf("https://photos.example/%d.jpg", i)},
			Ground: request.GroundPrivacy, Explanation: "x", GoodFaith: request.Statement{Text: "I believe it.", Accepted: time.Now()}}, time.Now().Add(-time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		ids, fields = append(ids, c.ID), append(fields, "case", c.ID.String())
	}
	state := func(i int) desk.State {
		c, err := o.desk.Case(ctx, ids[i])
		if err != nil {
			t.Fatal(err)
		}
		return c.State
	}
	alice := o.reviewer("alice")
	contains(t, alice.post("/desk/bulk", 200, "do", "spam"), "Nothing is selected.")
	contains(t, alice.post("/desk/bulk", 200, append(fields, "do", "reject")...), "Choose the reason first.")
	page := alice.post("/desk/bulk", 200, append(fields[:4:4], "do", "spam")...)
	contains(t, page, "2 cases are rejected as spam in", "can be undone")
	contains(t, alice.post("/desk/undo/"+find(t, `/desk/undo/(\w+)"`, page), 200), "Undone.")
	o.pages.Close()
	if state(0) != desk.StateInReview {
		t.Errorf("it was undone, and is %s", state(0))
	}
	contains(t, alice.post("/desk/bulk", 200, append(fields, "do", "take")...), "Done.", "<strong>me</strong>")
	contains(t, o.reviewer("bob").post("/desk/bulk", 200, append(fields, "do", "take")...), "Some could not be done")
	alice.post("/desk/bulk", 200, append(fields[:2:2], "do", "accept")...)
	alice.post("/desk/bulk", 200, append(fields[2:4:4], "do", "reject", "reason", "not_illegal")...)
	alice.post("/desk/bulk", 200, append(fields[4:], "do", "spam")...)
	o.pages.Close()
	for i, want := range []desk.State{desk.StateInForce, desk.StateRejected, desk.StateRejected} {
		if state(i) != want {
			t.Errorf("case %d is %s, want %s", i, state(i), want)
		}
	}
	alice.post("/desk/bulk", 404, append(fields, "do", "erase")...)
	// Numbers of a minute ago are shown while new ones are counted.
	later.Store(int64(2 * time.Minute))
	for range 100 {
		if page = alice.get("/desk/numbers", 200); strings.Contains(page, "By reviewer") {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	contains(t, page, "By reviewer", "alice", "we do not find that the content breaks the law that you name")
}

// The terms of a decision are tried before it, a part of a picture is chosen, and the
// letter is changed; what was entered goes from one page to the next.
func TestTerms(t *testing.T) {
	t.Parallel()
	index, err := takedown.Inspect(bytes.NewReader(append(picture("terms"), 0)), takedown.Source{ImageURL: "https://copies.example/1.jpg"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	o := open(t, func(opts *web.Options) {
		opts.Index = func(context.Context, string) iter.Seq2[takedown.Item, error] {
			return func(yield func(takedown.Item, error) bool) {
				yield(takedown.Item{Key: "copies/1.jpg", Candidate: index}, nil)
			}
		}
		opts.Thumbnail = func(context.Context, string) ([]byte, error) { return picture("terms"), nil }
	})
	c, err := o.desk.Import(context.Background(), request.ImageOptOut{Requester: request.Requester{Name: "Somchai", Email: "s@requester.example", Language: "th"},
		Images: []request.File{request.FromBytes(picture("terms"))}, Claim: request.ClaimDepicted, Reason: "This is me."}, time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	path := "/desk/case/" + c.ID.String()
	alice := o.reviewer("alice")
	page := alice.get(path, 200)
	contains(t, page, "What would disappear", path+"/pair/copies/1.jpg", `name="view0" value="0/0" checked`)
	if got := alice.get(path+"/pair/copies/1.jpg", 200); !strings.HasPrefix(got, "\xff\xd8") {
		t.Error("no pair")
	}
	// By two clicks, then by numbers.
	page = alice.get(path+"/crop/0?of=0/0&a.x=20&a.y=30&facts=Seen", 200)
	contains(t, page, `name="from" value="20,30"`, `name="facts" value="Seen"`)
	page = alice.get(path+"/crop/0?of=0/0&from=20,30&b.x=420&b.y=330&facts=Seen", 200)
	contains(t, page, `value="0/0/20,30,420,330"`, "rect=20,30,420,330")
	if got := alice.get(path+"/image/0?size=crop&rect=20,30,420,330", 200); !strings.HasPrefix(got, "\xff\xd8") {
		t.Error("no picture with the part")
	}
	contains(t, alice.get(path+"/crop/0?of=0/0&left=1&top=2&right=300&bottom=200", 200), "0/0/1,2,300,200")
	contains(t, alice.get(path+"/crop/0?of=0/0&from=20,30&b.x=20&b.y=30", 200), "The part is empty")
	alice.get(path+"/crop/7", 404)
	alice.get(path+"/crop/0?of=x", 404)
	alice.get(path+"/crop/0?from=x", 404)
	part := url.Values{"do": {"preview"}, "view0": {"0/0/20,30,420,330"}, "scope": {"3"}, "territory": {"DE"}, "end": {"2099-12-31"}, "facts": {"Seen <there>"}}
	page = alice.get(path+"?"+part.Encode(), 200)
	contains(t, page, "This is what the terms on the right would do", `value="0/0/20,30,420,330" checked`, `value="DE" selected`, "Seen &lt;there&gt;", `value="2099-12-31"`)
	contains(t, alice.get(path+"?do=preview&view0=0/0/2000,2000,3000,3000", 200), `role="alert"`)
	contains(t, alice.get(path+"?do=preview&view0=nonsense", 200), "the view is none of the picture")
	part.Set("do", "accept")
	page = alice.get(path+"/letter?"+part.Encode(), 200)
	contains(t, page, `lang="th"`, "Seen &lt;there&gt;", `name="view0" value="0/0/20,30,420,330"`, "ท่านเป็นบุคคลในรูปภาพ", "Accept and send it")
	page = alice.get(path+"/letter?do=reject&reason=not_the_person", 200)
	contains(t, page, "ไม่สามารถยืนยันได้ว่าบุคคลในรูปภาพคือท่าน", "Reject and send it")
	alice.post(path, 200, "do", "accept", "seen", "1", "view0", "0/0/20,30,420,330", "scope", "4", "territory", "DE", "end", "2099-12-31", "reason", "depicted", "facts", "Seen")
	got, err := o.desk.Case(context.Background(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Items[0].Views) != 1 || got.Items[0].Views[0].Rect != image.Rect(20, 30, 420, 330) || !slices.Equal(got.Territories, []string{"DE"}) || got.End.IsZero() {
		t.Errorf("granted: %+v", got)
	}
	// A move that is refused loses nothing.
	page = alice.post(path, 422, "do", "accept", "seen", "99", "facts", "Typed with care", "end", "never")
	contains(t, page, `role="alert"`, "Typed with care")
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
	number := find(t, `name="match(\d+)" value="yes"`, alice.get("/desk/matches", 200))
	lacks(t, bob.get("/desk/matches", 200), `name="match`)
	bob.get("/desk/matches/"+number+"/picture", 404)
	contains(t, bob.post("/desk/matches", 200, "match"+number, "no"), "Nothing is selected.")
	o.pages.Close()
	if asked != 0 {
		t.Errorf("the picture was fetched %d times for somebody who must not see it", asked)
	}
	contains(t, alice.get("/desk/matches", 200), `name="match`+number)
	contains(t, alice.get("/desk/case/"+c.ID.String(), 200), "https://evidence.example/1.jpg")
}
