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
	"github.com/staydown/staydown/takedown/texts"
)

// A form in a browser becomes a request; what is wrong with it is said in the
// language of who filled it in.
func ExampleDecode() {
	words, err := texts.New(nil)
	if err != nil {
		log.Fatal(err)
	}
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
				fmt.Printf("%s: %s\n", p.Field, words.Problem(r.Header.Get("Accept-Language"), p))
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
	// requester.email: This is not an email address.
	// good_faith.accepted: This statement has to be accepted.
}
