package cases

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
)

// functions are the cases that are not a registered and an asked file, by the
// folder of their description. They return what they got, and whether that is
// right.
var functions = map[string]func(t *testing.T, file func(name string) []byte) (got string, passed bool){
	"decoding/25-address-escapes": escapes,
	"decoding/26-desk-decoder":    deskDecoder,
	"decoding/27-padded-file":     padded,
	"decoding/28-checked-claims":  checkedClaims,
}

// Brackets and escaped brackets in a path are one address; what separates parts
// of an address is not the same as its escaped form.
func escapes(t *testing.T, _ func(string) []byte) (string, bool) {
	canonical := func(path string) string {
		u, err := blocklist.Canonical("https://upload.example.org/" + path)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	if canonical("a/b/Harbour_(cropped).jpg") != canonical("a/b/Harbour_%28cropped%29.jpg") {
		return "brackets and escaped brackets are two addresses", false
	}
	for _, p := range [][2]string{{"a/b.jpg", "a%2Fb.jpg"}, {"a?b", "a%3Fb"}, {"a%23b", "a#b"}} {
		if canonical(p[0]) == canonical(p[1]) {
			return fmt.Sprintf("%q and %q are one address", p[0], p[1]), false
		}
	}
	return "one address", true
}

// What a crawler can decode, a desk can register.
func deskDecoder(t *testing.T, file func(string) []byte) (string, bool) {
	dk, err := desk.Open(t.TempDir(), &desk.Options{Decoders: withAVIF.Decoders})
	if err != nil {
		t.Fatal(err)
	}
	defer dk.Close()
	if _, err := dk.Submit(context.Background(), optOut(file("scene.avif"))); err != nil {
		return "an AVIF cannot be opted out", false
	}
	return "submitted", true
}

// What lies behind the end of a picture does not hide it.
func padded(t *testing.T, file func(string) []byte) (string, bool) {
	c, _ := takedown.Inspect(bytes.NewReader(append(file("scene.jpg"), make([]byte, 10<<20)...)), takedown.Source{}, nil)
	if len(c.Hashes) == 0 || c.Hashes[0].IsZero() {
		return "not looked at", false
	}
	return "looked at", true
}

// Where frames were left out, Checked does not say that hashes were compared.
func checkedClaims(t *testing.T, file func(string) []byte) (string, bool) {
	dk, err := desk.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dk.Close()
	check := func(opts *takedown.InspectOptions) takedown.Decision {
		c, err := takedown.Inspect(bytes.NewReader(file("strips.gif")), takedown.Source{}, opts)
		if err != nil {
			t.Fatal(err)
		}
		return dk.Enforcer().Check(c)
	}
	all, first := check(nil), check(&takedown.InspectOptions{FirstFrame: true})
	return all.String() + "; the first frame alone: " + first.String(), all.Checked.Has(takedown.TierHash) && !first.Checked.Has(takedown.TierHash)
}
