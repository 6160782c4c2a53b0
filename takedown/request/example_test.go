package request_test

import (
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/staydown/staydown/takedown/request"
)

// A request comes as JSON. Everything that is wrong with it is found at once.
func ExampleDecode() {
	r, err := request.Decode(strings.NewReader(`{
		"kind": "dsa_notice",
		"requester": {"name": "A person", "email": "person.example"},
		"image_urls": ["https://photos.example/a.jpg"]
	}`))
	if err != nil {
		log.Fatal(err)
	}
	var invalid *request.ValidationError
	if errors.As(request.Validate(r, nil), &invalid) {
		for _, p := range invalid.Problems {
			fmt.Println(p.Field, p.Code, p.Severity)
		}
	}
	// Output:
	// requester.email invalid_email incomplete
	// explanation required incomplete
	// good_faith.accepted not_accepted incomplete
}
