package pgstore_test

import (
	"context"
	"log"
	"os"

	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/desk/pgstore"
)

// The cases and the journal of a desk in a database. The keys of cases, and the
// snapshots of the list, are in the folder.
func Example() {
	db, err := pgstore.Open(context.Background(), os.Getenv("DATABASE_URL"), nil)
	if err != nil {
		log.Fatal(err)
	}
	dk, err := desk.Open("takedowns", &desk.Options{Store: db.Cases(), Journal: db.Journal()})
	if err != nil {
		log.Fatal(err)
	}
	defer dk.Close()
}
