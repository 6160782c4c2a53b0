package texts_test

import (
	"fmt"
	"log"

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
