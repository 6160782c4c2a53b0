package desk_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"sync"
	"time"

	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// A requester confirms the email address with the token of a letter. A Notifier sends
// the letters; package texts writes them.
func ExampleDesk_Confirm() {
	check := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "takedowns")
	check(err)
	defer os.RemoveAll(dir)
	var mu sync.Mutex // the desk sends beside its callers
	var sent []desk.Message
	dk, err := desk.Open(dir, &desk.Options{ConfirmEmail: true, Notifier: desk.NotifierFunc(func(_ context.Context, m desk.Message) error {
		mu.Lock()
		defer mu.Unlock()
		sent = append(sent, m)
		return nil
	})})
	check(err)
	defer dk.Close()
	c, err := dk.Submit(ctx, request.DSANotice{
		Requester: request.Requester{Name: "A Person", Email: "person@example.org"},
		ImageURLs: []string{"https://example.org/a.jpg"}, Explanation: "Shown without consent.",
		GoodFaith: request.Statement{Text: "This notice is accurate and complete.", Accepted: time.Now()},
	})
	check(err)
	check(dk.Notify(ctx)) // sends what waits now, and returns its errors
	mu.Lock()
	token := sent[0].Token
	fmt.Println(sent[0].Type)
	mu.Unlock()
	check(dk.Resend(ctx, c.ID)) // the letter was lost: another token, and the first ends
	check(dk.Notify(ctx))
	fmt.Println("the first token works:", dk.Confirm(ctx, c.ID, token) == nil)
	mu.Lock()
	token = sent[len(sent)-1].Token
	mu.Unlock()
	check(dk.Confirm(ctx, c.ID, token))
	c, err = dk.Case(ctx, c.ID)
	check(err)
	fmt.Println(c.State)
	// Output:
	// confirm_email
	// the first token works: false
	// in_review
}
