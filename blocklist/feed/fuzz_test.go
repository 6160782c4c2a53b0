package feed_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/feed"
)

// Whatever a pointer holds, also with a signature that fits, it is refused with a
// promised error, or can be used.
func FuzzPointer(f *testing.F) {
	d := newDesk(f)
	d.add(3)
	d.publish()
	d.add(2)
	d.publish()
	text, err := os.ReadFile(filepath.Join(d.to, "latest"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text, false)
	f.Add(bytes.Split(text, []byte("\n"))[1], true)
	f.Add([]byte(`{"list":"00","digest":"","base":{}}`), true)
	f.Fuzz(func(t *testing.T, b []byte, sign bool) {
		if sign {
			b = feed.Resign(b, signingKey)
		}
		again, err := feed.CheckPointer(b, trusted, signingKey)
		if err != nil {
			for _, want := range []error{feed.ErrPointer, blocklist.ErrVersion, blocklist.ErrKey, blocklist.ErrSignature, blocklist.ErrLimit} {
				if errors.Is(err, want) {
					return
				}
			}
			t.Fatal(err)
		}
		if _, err := feed.CheckPointer(again, trusted, signingKey); err != nil {
			t.Fatalf("%q is read, and %q is not: %v", b, again, err)
		}
	})
}

// What is read of a note is written as the same bytes.
func FuzzNote(f *testing.F) {
	b, _ := feed.Note{Pointer: []byte("p"), Delta: []byte("d")}.MarshalBinary()
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var n feed.Note
		if err := n.UnmarshalBinary(b); err != nil {
			if !errors.Is(err, feed.ErrPointer) {
				t.Fatal(err)
			}
			return
		}
		if again, err := n.MarshalBinary(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x is written as %x: %v", b, again, err)
		}
	})
}
