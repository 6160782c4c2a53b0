package phash_test

import (
	"encoding/hex"
	"fmt"
	"log"

	"github.com/staydown/staydown/phash"
)

// A column of a database holds a PDQ hash as 32 bytes, or as text; both are the same
// hash, and its distance to another is a number of bits.
func ExampleFromPDQSlice() {
	column, err := hex.DecodeString("f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22")
	if err != nil {
		log.Fatal(err)
	}
	a, err := phash.FromPDQSlice(column)
	if err != nil {
		log.Fatal(err)
	}
	b, err := phash.Parse("pdq:f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b23")
	if err != nil {
		log.Fatal(err)
	}
	bits, comparable := a.Distance(b)
	fmt.Println(bits, comparable)
	_, err = phash.FromPDQSlice(column[:31])
	fmt.Println(err != nil)
	// Output:
	// 1 true
	// true
}
