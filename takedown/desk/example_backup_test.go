package desk_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// A desk in use is copied, and the copy opens as the desk was. Cases are found by the
// person who sent them.
func ExampleDesk_Backup() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "desk")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	dk, err := desk.Open(filepath.Join(dir, "takedowns"), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer dk.Close()
	if _, err := dk.Submit(ctx, request.DSANotice{
		Requester: request.Requester{Name: "A person", Email: "person@example.org"},
		ImageURLs: []string{"https://photos.example/a.jpg"}, Explanation: "It shows my house.",
	}); err != nil {
		log.Fatal(err)
	}
	page, err := dk.Find(ctx, desk.Query{Person: "person@example.org"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(page.Cases), page.Cases[0].Kind, page.Cases[0].State)

	backup := filepath.Join(dir, "backup")
	if _, err := dk.Backup(ctx, backup); err != nil {
		log.Fatal(err)
	}
	fmt.Println("problems:", len(dk.Health(ctx)))
	// Output:
	// 1 dsa_notice needs_info
	// problems: 0
}
