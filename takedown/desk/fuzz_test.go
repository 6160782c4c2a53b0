package desk_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/form"
	"github.com/staydown/staydown/takedown/request"
)

// Whatever a form sends, validation answers with a list of problems or with
// none; it never panics, and its answer never depends on when it is asked.
func FuzzValidate(f *testing.F) {
	for _, r := range []request.Request{optOut(f, 1), notice("https://example.org/a.jpg"), request.ImageOptOut{}, request.DSANotice{}} {
		b, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var o request.ImageOptOut
		var n request.DSANotice
		for r, err := range map[request.Request]error{&o: json.Unmarshal(b, &o), &n: json.Unmarshal(b, &n)} {
			if err != nil {
				continue
			}
			first, second := request.Validate(r, nil), request.Validate(r, nil)
			if (first == nil) != (second == nil) || first != nil && first.Error() != second.Error() {
				t.Errorf("%v, then %v", first, second)
			}
			var ve *request.ValidationError
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
	accept(f, d, optOut(f, 1), desk.Grant{})
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

// Bytes are a request or a *FormatError; a request goes through its JSON form
// unchanged and fits the schema of its kind as far as that goes.
func FuzzDecodeRequest(f *testing.F) {
	for _, r := range samples(f, takedown.CaseID{1}) {
		if r.Kind() == request.KindImageOptOut || r.Kind() == request.KindOpenOptOut {
			continue // long, and the pictures are for the decoder's own target
		}
		b, err := request.Encode(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"kind":"image_opt_out","images":[null,"","AAAA"]}`))
	f.Add([]byte(`{"kind":"face_opt_out","FACES":[null,{"a":[1,"],\\"["]},null,null,null,null,null,null]}`))
	f.Add([]byte(`{"KIND":"withdrawal","kind":"withdrawal","items":[9e9]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := request.Decode(bytes.NewReader(b))
		if err != nil {
			var fe *request.FormatError
			if !errors.As(err, &fe) {
				t.Fatalf("%v is no *FormatError", err)
			}
			return
		}
		first := request.Validate(r, []request.Profile{request.ProfileLenso})
		encoded, err := request.Encode(r)
		if err != nil {
			t.Skip("a time that JSON cannot write")
		}
		again, err := request.Decode(bytes.NewReader(encoded))
		if err != nil {
			t.Fatalf("%v\n%s", err, encoded)
		}
		if diff := cmp.Diff(problems(first), problems(request.Validate(again, []request.Profile{request.ProfileLenso}))); diff != "" {
			t.Errorf("problems of the request and of its own JSON:\n%s", diff)
		}
	})
}

// A form is a request or a *FormatError, however it is cut.
func FuzzDecodeForm(f *testing.F) {
	const multipartType = "multipart/form-data; boundary=b"
	f.Add(multipartType, []byte("--b\r\nContent-Disposition: form-data; name=\"kind\"\r\n\r\nimage_opt_out\r\n--b\r\nContent-Disposition: form-data; name=\"images\"; filename=\"a\"\r\n\r\nGIF89a\r\n--b--\r\n"))
	f.Add("application/x-www-form-urlencoded", []byte("kind=dmca_notice&works[3].description=x&image_urls=https://a.example%0Ahttps://b.example&good_faith=on"))
	f.Add("application/x-www-form-urlencoded", []byte("kind=hash_entry&hashes=pdq:00&requester.email=x"))
	f.Add("application/x-www-form-urlencoded", []byte(`kind=face_opt_out&marks[4]=0.5,0.5&marks[0]=&biometric=on&faces={"model":"m@1","vector":[1`+strings.Repeat(",2", 63)+`]}`))
	f.Add("application/x-www-form-urlencoded", []byte("kind=withdrawal&items=1&items=x&case=aaaaaaaaaaaaaaaaaaaaaaaaaa"))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		req := httptest.NewRequest("POST", "/", bytes.NewReader(body))
		req.Header.Set("Content-Type", contentType)
		r, err := form.Decode(req, &form.Options{Kinds: request.Kinds(), Statements: map[string]request.Statement{"good_faith": {Text: "x"}}})
		if err != nil {
			var fe *request.FormatError
			if !errors.As(err, &fe) {
				t.Fatalf("%v is no *FormatError", err)
			}
			return
		}
		request.Validate(r, []request.Profile{request.ProfileLenso})
		if _, err := request.Encode(r); err != nil {
			t.Error(err)
		}
	})
}

// A file of keys that is damaged in any way opens with the keys that are whole,
// or not at all; it takes new keys then.
func FuzzKeyFile(f *testing.F) {
	path := filepath.Join(f.TempDir(), "keys")
	if err := desk.EncodeKeyFile(path, [32]byte{9}, takedown.CaseID{2}, takedown.CaseID{3}); err != nil {
		f.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:100])
	f.Add(b[:4])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "keys")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		before, err := desk.DecodeKeyFile(path, [32]byte{9})
		if err != nil {
			return
		}
		if after, err := desk.DecodeKeyFile(path, [32]byte{9}); err != nil || after <= 0 || after > before+1 {
			t.Errorf("%d keys, then %d after another was added: %v", before, after, err)
		}
	})
}
