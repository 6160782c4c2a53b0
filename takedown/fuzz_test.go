package takedown_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/staydown/staydown/takedown"
)

// Whatever a form sends, validation answers with a list of problems or with
// none; it never panics, and its answer never depends on when it is asked.
func FuzzValidate(f *testing.F) {
	for _, r := range []takedown.Request{optOut(f, 1), notice("https://example.org/a.jpg"), takedown.ImageOptOut{}, takedown.DSANotice{}} {
		b, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var o takedown.ImageOptOut
		var n takedown.DSANotice
		for r, err := range map[takedown.Request]error{&o: json.Unmarshal(b, &o), &n: json.Unmarshal(b, &n)} {
			if err != nil {
				continue
			}
			first, second := takedown.Validate(r), takedown.Validate(r)
			if (first == nil) != (second == nil) || first != nil && first.Error() != second.Error() {
				t.Errorf("%v, then %v", first, second)
			}
			var ve *takedown.ValidationError
			if first != nil && (!errors.As(first, &ve) || len(ve.Problems) == 0) {
				t.Errorf("%v is no list of problems", first)
			}
		}
	})
}

func FuzzParseCaseID(f *testing.F) {
	f.Add("")
	f.Add("aaaaaaaaaaaaaaaaaaaaaaaaaa")
	f.Add("AAAAAAAAAAAAAAAAAAAAAAAAA7")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := takedown.ParseCaseID(s)
		if err != nil {
			return
		}
		if again, err := takedown.ParseCaseID(id.String()); err != nil || again != id {
			t.Errorf("%q: %v, and its text gives %v, %v", s, id, again, err)
		}
	})
}

// Features come from files and from the network: whatever the bytes, they are
// refused or can be asked with.
func FuzzFeatures(f *testing.F) {
	d := open(f, f.TempDir(), nil)
	accept(f, d, optOut(f, 1), takedown.Grant{})
	good, err := inspect(f, testJPEG(f, 1), takedown.Source{}).Features.MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:100])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var features takedown.Features
		if err := features.UnmarshalBinary(b); err != nil {
			return
		}
		again, err := features.MarshalBinary()
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%d bytes give %d bytes back, %v", len(b), len(again), err)
		}
		d.Enforcer().Check(takedown.Candidate{Features: features})
	})
}
