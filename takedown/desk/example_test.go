package desk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"iter"
	"log"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// An intake app takes a request in, a reviewer accepts it, and from then on its
// addresses are blocked, however they are spelt.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "takedowns")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	dk, err := desk.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer dk.Close()

	asked := request.DSANotice{
		Requester: request.Requester{Name: "A Person"},
		ImageURLs: []string{"https://example.org/photo.jpg"},
		GoodFaith: request.Statement{Text: "This notice is accurate and complete.", Accepted: time.Now()},
	}
	_, err = dk.Submit(ctx, asked)
	var incomplete *request.ValidationError
	if errors.As(err, &incomplete) { // every problem at once
		for _, p := range incomplete.Problems {
			fmt.Println("problem:", p.Field, p.Code)
		}
	}

	asked.Requester.Email, asked.Explanation = "person@example.org", "Shown without consent."
	c, err := dk.Submit(ctx, asked)
	if err != nil {
		log.Fatal(err)
	}
	if err := dk.Accept(ctx, c.ID, desk.Grant{}); err != nil { // as it was asked
		log.Fatal(err)
	}
	for _, u := range []string{"http://EXAMPLE.org:80/photo.jpg#top", "https://example.org/another.jpg"} {
		d := dk.Enforcer().FilterURL(u)
		fmt.Println(d.Verdict, u, d.Kind == request.KindDSANotice && d.Case == c.ID)
	}
	// Output:
	// problem: requester.email required
	// problem: explanation required
	// block http://EXAMPLE.org:80/photo.jpg#top true
	// allow https://example.org/another.jpg false
}

// A ranker loads what a desk has published and asks about every result, by its
// address and the hash that its index has stored: the first of phash.HashesToAsk.
func ExampleLoad() {
	snapshot, photo, done := publishedPhoto()
	defer done()
	pic, err := phash.Decode(bytes.NewReader(photo), nil)
	if err != nil {
		log.Fatal(err)
	}
	stored := phash.HashesToAsk(pic)[0] // when the index was made

	enforcer, err := takedown.Load(snapshot, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer enforcer.Close()
	fmt.Println(enforcer.FilterURL("https://elsewhere.example/copy.jpg"))
	d := enforcer.In("DE").Filter("https://elsewhere.example/copy.jpg", stored) // for a viewer in Germany
	fmt.Println(d.Verdict, "by", d.Why, "at distance", d.Distance)

	changed, err := enforcer.Reload() // now and then
	fmt.Println(changed, err)
	// Output:
	// allow (checked address)
	// block by hash at distance 0
	// false <nil>
}

// A crawler asks before it fetches, and then about what it has fetched: a crop,
// which no stored hash finds.
func ExampleInspect() {
	snapshot, photo, done := publishedPhoto()
	defer done()
	enforcer, err := takedown.Load(snapshot, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer enforcer.Close()

	source := takedown.Source{ImageURL: "https://elsewhere.example/crop.jpg", PageURL: "https://elsewhere.example/"}
	if enforcer.FilterURL(source.ImageURL).Verdict == takedown.Block {
		return // never fetch it
	}
	candidate, err := takedown.Inspect(bytes.NewReader(crop(photo)), source, nil)
	if err != nil {
		log.Print(err) // nobody looked at the picture; what is known can be asked all the same
	}
	d := enforcer.Check(candidate)
	fmt.Println(d.Verdict, "by", d.Why, "after", d.Checked)
	fmt.Println("by its hashes alone:", enforcer.Filter("", candidate.Hashes...).Verdict)
	// Output:
	// block by features after address+bytes+hash+features
	// by its hashes alone: allow
}

// An index that exists already is swept: first all of it, later for what has
// come since.
func ExampleEnforcer_Sweep() {
	ctx := context.Background()
	snapshot, photo, done := publishedPhoto()
	defer done()
	enforcer, err := takedown.Load(snapshot, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer enforcer.Close()

	pic, err := phash.Decode(bytes.NewReader(photo), nil)
	if err != nil {
		log.Fatal(err)
	}
	rows := map[string]takedown.Candidate{ // the index: its own keys, what it knows
		"0001": {ImageURLs: []string{"https://a.example/cat.jpg"}},
		"0002": {ImageURLs: []string{"https://b.example/copy.jpg"}, Hashes: phash.HashesToAsk(pic)[:1]},
		"0003": {ImageURLs: []string{"https://c.example/dog.jpg"}},
	}
	// Items gives the entries behind a key, in the order of the keys: of a
	// database, SELECT … WHERE key > ? ORDER BY key.
	items := func(_ context.Context, after string) iter.Seq2[takedown.Item, error] {
		return func(yield func(takedown.Item, error) bool) {
			for _, key := range slices.Sorted(maps.Keys(rows)) {
				if key > after && !yield(takedown.Item{Key: key, Candidate: rows[key]}, nil) {
					return
				}
			}
		}
	}
	var at takedown.Cursor // stored between sweeps, as JSON
	for _, sweep := range []string{"first", "second"} {
		n := 0
		for found, err := range enforcer.Sweep(ctx, items, &at) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println(found.Item.Key, found.Decision.Verdict, "by", found.Decision.Why)
			n++
		}
		fmt.Println(sweep, "sweep:", n)
	}
	// Output:
	// 0002 block by hash
	// first sweep: 1
	// second sweep: 0
}

// What a withdrawal releases, hosts learn from the changes since they last
// looked.
func Example_events() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "takedowns")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	dk, err := desk.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer dk.Close()
	c, err := dk.Submit(ctx, notice("https://example.org/photo.jpg"))
	if err != nil {
		log.Fatal(err)
	}
	if err := dk.Accept(ctx, c.ID, desk.Grant{}); err != nil {
		log.Fatal(err)
	}
	if err := dk.Withdraw(ctx, c.ID, desk.Actor{By: "jane", Reason: "requester_asked"}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(dk.Enforcer().FilterURL("https://example.org/photo.jpg").Verdict)

	var at takedown.Cursor // stored between calls, as JSON
	for change, err := range dk.Enforcer().Events(ctx, &at) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(change.Type, change.Rule, "releases:", change.Type.Releases())
	}
	// Output:
	// allow
	// rule added 1 releases: false
	// rule revoked 1 releases: true
}

// publishedPhoto returns a snapshot in which the copies of a photograph are blocked.
func publishedPhoto() (snapshot string, photo []byte, done func()) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "takedowns")
	if err != nil {
		log.Fatal(err)
	}
	dk, err := desk.Open(filepath.Join(dir, "desk"), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer dk.Close()
	photo = testJPEG(fatalTB{}, 1)
	c, err := dk.Submit(ctx, request.ImageOptOut{
		Requester: request.Requester{Name: "A Person", Email: "person@example.org"},
		Images:    []request.File{request.FromBytes(photo)},
		Claim:     request.ClaimDepicted,
	})
	if err != nil {
		log.Fatal(err)
	}
	snapshot = filepath.Join(dir, "blocklist.snap")
	if err := errors.Join(dk.Accept(ctx, c.ID, desk.Grant{}), dk.Publish(ctx, snapshot)); err != nil {
		log.Fatal(err)
	}
	return snapshot, photo, func() { os.RemoveAll(dir) }
}

// crop returns a JPEG of two thirds of a picture.
func crop(photo []byte) []byte {
	m, err := jpeg.Decode(bytes.NewReader(photo))
	if err != nil {
		log.Fatal(err)
	}
	size := m.Bounds().Size()
	part := m.(*image.Gray).SubImage(image.Rect(size.X/3, size.Y/3, size.X, size.Y))
	var b bytes.Buffer
	if err := jpeg.Encode(&b, part, nil); err != nil {
		log.Fatal(err)
	}
	return b.Bytes()
}
