package takedownhttp_test

import (
	"io"
	"log"
	"net/http"
	"os"

	"github.com/staydown/staydown/takedown"
	takedownhttp "github.com/staydown/staydown/takedown/adapters/http"
)

// A server that stores pictures refuses what is blocked with 451, and keeps what is
// to be reviewed apart.
func ExampleUploads() {
	enforcer, err := takedown.Load("blocklist.snap", nil)
	if err != nil {
		log.Fatal(err)
	}
	store := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		dir := "public"
		if takedownhttp.DecisionOf(r.Context()).Verdict == takedown.Review {
			dir = "review"
		}
		f, err := os.CreateTemp(dir, "*.jpg")
		if err == nil {
			_, err = io.Copy(f, r.Body)
			f.Close()
		}
		if err != nil {
			http.Error(w, "not stored", http.StatusInternalServerError)
		}
	})
	http.Handle("POST /pictures", &takedownhttp.Uploads{Enforcer: enforcer, Next: store})
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", nil))
}
