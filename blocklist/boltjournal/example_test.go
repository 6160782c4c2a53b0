package boltjournal_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
)

// A list in a folder is opened, filled, published and copied while it is in use.
func ExampleOpen() {
	check := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "list")
	check(err)
	defer os.RemoveAll(dir)
	list, err := boltjournal.Open(filepath.Join(dir, "list"), nil)
	check(err)
	defer list.Close()
	digest, err := list.Digest(blocklist.ImageAddress, "https://example.org/a.jpg")
	check(err)
	_, err = list.Append(ctx, blocklist.Event{ID: [16]byte{1}, Type: blocklist.EventAdded, Rule: &blocklist.Rule{
		Scope: blocklist.ScopeURL, Effect: blocklist.EffectBlock,
		Keys: blocklist.Keys{Addresses: []blocklist.Address{{Kind: blocklist.ImageAddress, Digest: digest}}},
	}})
	check(err)
	check(list.Publish(filepath.Join(dir, "blocklist.snap"))) // for those who only ask
	check(boltjournal.Copy(ctx, list, list.State().Position(), filepath.Join(dir, "copy")))
	backup, err := boltjournal.Open(filepath.Join(dir, "copy"), nil)
	check(err)
	fmt.Println(backup.State().Position() == list.State().Position())
	check(backup.Close())

	// A journal alone, for a program that builds its list by itself.
	journal, err := boltjournal.OpenFile(filepath.Join(dir, "journal.db"), nil)
	check(err)
	check(journal.Close())
	// Output:
	// true
}

// A list gets an encryption key: its folder is made anew, and the old one is replaced
// when the new one is complete.
func ExampleRekey() {
	check := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	dir, err := os.MkdirTemp("", "list")
	check(err)
	defer os.RemoveAll(dir)
	list, err := boltjournal.Open(dir, nil)
	check(err)
	check(list.Close())

	sealed := &blocklist.Options{EncryptionKey: &blocklist.EncryptionKey{1}} // use 32 random bytes
	check(boltjournal.Rekey(context.Background(), dir, nil, sealed, nil))
	_, err = boltjournal.Open(dir, nil)
	fmt.Println("without the key:", err == nil)
	list, err = boltjournal.Open(dir, sealed)
	check(err)
	check(list.Close())
	// Output:
	// without the key: false
}
