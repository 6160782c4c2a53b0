package request_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// The pictures of a request are files that can be opened and read in parts: in memory,
// on disk, from a store, or spooled to a sealed file.
func ExampleFile() {
	dir, err := os.MkdirTemp("", "pictures")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "a.jpg")
	if err := os.WriteFile(path, []byte("a picture"), 0o600); err != nil {
		log.Fatal(err)
	}
	onDisk, err := request.FromPath(path)
	if err != nil {
		log.Fatal(err)
	}
	spooled, err := request.Spool(strings.NewReader("a picture"), dir, 1<<20)
	if err != nil {
		log.Fatal(err)
	}
	stored := request.FromFunc(9, func() (io.ReadCloser, error) { return os.Open(path) }) // or an object store
	for _, f := range []request.File{request.FromBytes([]byte("a picture")), onDisk, spooled, stored} {
		b, err := f.Bytes(1 << 20) // or Open
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(f.Size(), string(b), f.IsZero())
	}
	// Output:
	// 9 a picture false
	// 9 a picture false
	// 9 a picture false
	// 9 a picture false
}

// Requests of all kinds are checked before anything is stored, and travel as JSON,
// without a switch over their types.
func ExampleCheck() {
	notice := request.DSANotice{
		Requester: request.Requester{Name: "A Person", Email: "person@example.org"},
		ImageURLs: []string{"HTTPS://Example.org/a.jpg?utm_source=x"}, Explanation: "Shown without consent.",
	}
	checked := request.Check(context.Background(), notice, nil)
	fmt.Println(checked.Err())
	for canonical, given := range request.GivenAddresses(notice, nil) {
		fmt.Println(canonical, "was", given)
	}
	sent, err := request.Encode(notice)
	if err != nil {
		log.Fatal(err)
	}
	received, err := request.Unmarshal(sent)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(received.Kind(), received.From().FullName())
	// Output:
	// takedown: 1 problem(s) with the request: good_faith.accepted: not_accepted
	// https://example.org/a.jpg was HTTPS://Example.org/a.jpg?utm_source=x
	// dsa_notice A Person
}

// A program that offers all kinds of requests finds them, their schema and their codes.
func ExampleKinds() {
	replies := 0
	for _, kind := range request.Kinds() {
		if request.IsReply(kind) {
			replies++ // they name a case
		}
		if request.New(kind).Kind() != kind {
			log.Fatal(kind)
		}
	}
	fmt.Println(replies, "kinds of replies")
	fmt.Println(len(request.Schema()) > 0, len(request.Codes()) > 0)
	fmt.Println(request.Purposes([]request.Use{request.UseTrain}) == takedown.PurposeTrain)
	// Output:
	// 4 kinds of replies
	// true true
	// true
}

// The pictures of a request can be replaced without a switch over its type. EachView
// shows the parts of a file that a reviewer chooses from.
func ExampleWithImages() {
	var file bytes.Buffer
	if err := png.Encode(&file, image.NewGray(image.Rect(0, 0, 64, 48))); err != nil {
		log.Fatal(err)
	}
	r := request.WithImages(request.ImageOptOut{Claim: request.ClaimDepicted}, []request.File{request.FromBytes(file.Bytes())})
	fmt.Println(len(request.Images(r)))
	err := request.EachView(context.Background(), file.Bytes(), []blocklist.View{{}}, nil, func(v blocklist.View, p *phash.Picture) error {
		fmt.Println(p.Size())
		return nil
	})
	fmt.Println(err)
	// Output:
	// 1
	// 64 48
	// <nil>
}
