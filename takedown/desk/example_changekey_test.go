package desk_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"os"

	"github.com/staydown/staydown/takedown/desk"
)

// A key that may have leaked is replaced while the desk is closed.
func ExampleChangeOperatorKey() {
	check := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	dir, err := os.MkdirTemp("", "takedowns")
	check(err)
	defer os.RemoveAll(dir)
	old, key := make([]byte, 32), make([]byte, 32) // kept apart from the folder and its backups
	rand.Read(old)
	rand.Read(key)
	dk, err := desk.Open(dir, &desk.Options{OperatorKey: old})
	check(err)
	check(dk.Close())

	check(desk.ChangeOperatorKey(context.Background(), dir, &desk.Options{OperatorKey: old}, key))
	_, err = desk.Open(dir, &desk.Options{OperatorKey: old})
	fmt.Println("the old key opens it:", err == nil)
	dk, err = desk.Open(dir, &desk.Options{OperatorKey: key})
	check(err)
	check(dk.Close())
	// Output:
	// the old key opens it: false
}
