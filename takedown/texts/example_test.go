package texts_test

import (
	"fmt"
	"log"
	"strings"

	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
	"github.com/staydown/staydown/takedown/texts"
)

// The words for what is wrong with a field, and the subject of a letter, in the
// language of the reader.
func ExampleNew() {
	t, err := texts.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(t.Problem("en", request.Problem{Field: "requester.email", Code: request.CodeInvalidEmail}))
	subject, _, err := t.Message(desk.Message{Type: desk.MessageConfirmEmail, Token: "abcde-fghjk", To: desk.Recipient{Language: "en"}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(subject)
	// Output:
	// This is not an email address.
	// Please confirm your email address
}

// What a person agrees to before a face opt-out, kept with the request.
func ExampleTexts_FaceConsent() {
	t, err := texts.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	statement, err := t.FaceConsent("en", texts.FaceConsent{Service: "Example Search", Contact: "privacy@search.example"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(strings.Contains(statement.Text, "Example Search"), statement.Accepted.IsZero())
	_, err = t.FaceConsent("en", texts.FaceConsent{})
	fmt.Println(err)
	// Output:
	// true true
	// takedown: texts: a consent names the service and where a withdrawal can be sent
}
