package desk_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

var updateExample = flag.Bool("example", false, "write takedown/testdata/blocklist.snap")

// The snapshot that the examples of package takedown load is one that a desk has
// published: it blocks all copies of the picture beside it.
func TestExampleList(t *testing.T) {
	t.Parallel()
	const dir = "../testdata"
	photo, err := os.ReadFile(filepath.Join(dir, "picture.jpg"))
	if os.IsNotExist(err) {
		t.Skip("skipped: the module that has the examples is in the repository only")
	}
	ok(t, err)
	d := open(t, t.TempDir(), nil)
	accept(t, d, request.ImageOptOut{
		Requester: request.Requester{Name: "A Person", Email: "person@example.org"}, Images: images(photo), Claim: request.ClaimDepicted,
	}, desk.Grant{})
	path := filepath.Join(dir, "blocklist.snap")
	if *updateExample {
		ok(t, d.Publish(ctx, path))
	}
	e, err := takedown.Load(path, nil)
	ok(t, err)
	defer e.Close()
	for _, h := range hashes(t, photo) {
		if got, want := e.Filter("", h), d.Enforcer().Filter("", h); got.Verdict != want.Verdict || got.Scope != want.Scope || got.Kind != want.Kind {
			t.Errorf("the file has %v, a desk %v: go test ./takedown/desk -run TestExampleList -example", got, want)
		}
	}
}
