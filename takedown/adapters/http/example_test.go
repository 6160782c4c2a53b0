package takedownhttp_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
	takedownhttp "github.com/staydown/staydown/takedown/adapters/http"
)

// A server that stores pictures refuses what is blocked with 451, and keeps what is
// to be reviewed apart.
func ExampleUploads() {
	enforcer := exampleEnforcer() // takedown.Load("blocklist.snap", nil)
	store := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		dir := "public"
		if takedownhttp.DecisionOf(r.Context()).Verdict == takedown.Review {
			dir = "review"
		}
		n, err := io.Copy(io.Discard, r.Body) // into a file in dir
		fmt.Println(n, "bytes for", dir, err)
	})
	server := httptest.NewServer(&takedownhttp.Uploads{Enforcer: enforcer, Next: store})
	defer server.Close()
	resp, err := http.Post(server.URL, "text/plain", strings.NewReader("not a picture"))
	if err != nil {
		log.Fatal(err)
	}
	resp.Body.Close()
	fmt.Println(resp.StatusCode)
	// Output:
	// 13 bytes for public <nil>
	// 200
}

// exampleEnforcer asks an empty list.
func exampleEnforcer() *takedown.Enforcer {
	list, err := blocklist.New(blocklist.NewMemoryJournal(), "", nil)
	if err != nil {
		log.Fatal(err)
	}
	enforcer, err := takedown.NewEnforcer([]takedown.ListSource{{List: list}}, nil)
	if err != nil {
		log.Fatal(err)
	}
	return enforcer
}
