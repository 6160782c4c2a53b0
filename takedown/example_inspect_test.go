package takedown_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"log"
	"os"
	"path/filepath"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// A crawler asks before it fetches, and then about what it has fetched: a crop,
// which no stored hash finds.
func ExampleInspect() {
	snapshot, photo, done := publishedForCrawler()
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

// publishedForCrawler returns a snapshot in which the copies of a photograph are blocked.
func publishedForCrawler() (snapshot string, photo []byte, done func()) {
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
	if photo, err = os.ReadFile("testdata/picture.jpg"); err != nil {
		log.Fatal(err)
	}
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
