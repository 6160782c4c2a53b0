package form_test

import (
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"strings"

	"github.com/staydown/staydown/takedown/form"
	"github.com/staydown/staydown/takedown/request"
)

// A form in a browser becomes a request. A page shows each problem beside its field;
// package texts has the words for it in the language of the reader.
func ExampleDecode() {
	shown := request.Statement{Text: "This notice is accurate and complete.", Language: "en"}
	handler := func(r *http.Request) {
		asked, err := form.Decode(r, &form.Options{
			Kind:       request.KindDSANotice,
			Statements: map[string]request.Statement{"good_faith": shown},
		})
		if err != nil {
			log.Fatal(err) // no form of ours: 400
		}
		var incomplete *request.ValidationError
		if errors.As(request.Validate(asked, nil), &incomplete) { // as Desk.Submit does
			for _, p := range incomplete.Problems {
				fmt.Printf("%s: %s\n", p.Field, p.Code)
			}
		}
	}
	filled := url.Values{
		"requester.name":  {"A Person"},
		"requester.email": {"person at example.org"},
		"image_urls":      {"https://example.org/a.jpg\nhttps://example.org/b.jpg"},
		"explanation":     {"Shown without consent."},
	}
	r, err := http.NewRequest("POST", "/notice", strings.NewReader(filled.Encode()))
	if err != nil {
		log.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	handler(r)
	// Output:
	// requester.email: invalid_email
	// good_faith.accepted: not_accepted
}
