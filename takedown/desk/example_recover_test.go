package desk_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/staydown/staydown/takedown/desk"
)

// After a restore in which a file is missing, Open refuses the folder and names the
// choice that a repair needs. Recover repairs a copy of it.
func ExampleRecover() {
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
	check(dk.Close())
	check(os.Remove(filepath.Join(dir, "cases.db")))

	_, err = desk.Open(dir, nil)
	var mismatch *desk.MismatchError
	fmt.Println("refused:", errors.As(err, &mismatch))
	choice := mismatch.Choice()
	fmt.Println("the repair needs:", choice)
	done, err := desk.Recover(ctx, dir, nil, choice)
	check(err)
	fmt.Println(len(done.Repaired), "fault repaired")
	dk, err = desk.Open(dir, nil)
	check(err)
	check(dk.Close())

	// Output:
	// refused: true
	// the repair needs: lose cases
	// 1 fault repaired
}
