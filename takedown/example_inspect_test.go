package takedown_test

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"log"
	"os"

	"github.com/staydown/staydown/takedown"
)

// A crawler asks before it fetches, and then about what it has fetched: a crop,
// which no stored hash finds.
func ExampleInspect() {
	enforcer, err := takedown.Load("testdata/blocklist.snap", nil) // blocks all copies of testdata/picture.jpg
	if err != nil {
		log.Fatal(err)
	}
	defer enforcer.Close()

	source := takedown.Source{ImageURL: "https://elsewhere.example/crop.jpg", PageURL: "https://elsewhere.example/"}
	if enforcer.FilterURL(source.ImageURL).Verdict == takedown.Block {
		return // never fetch it
	}
	candidate, err := takedown.Inspect(bytes.NewReader(crop("testdata/picture.jpg")), source, nil)
	if err != nil {
		log.Print(err) // the picture was not decoded; its address and digest are still checked
	}
	d := enforcer.Check(candidate)
	fmt.Println(d.Verdict, "by", d.Why, "after", d.Checked)
	fmt.Println("by its hashes alone:", enforcer.Filter("", candidate.Hashes...).Verdict)
	// Output:
	// block by features after address+bytes+hash+features
	// by its hashes alone: allow
}

// crop returns a JPEG of two thirds of a picture.
func crop(name string) []byte {
	file, err := os.ReadFile(name)
	if err != nil {
		log.Fatal(err)
	}
	m, err := jpeg.Decode(bytes.NewReader(file))
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
