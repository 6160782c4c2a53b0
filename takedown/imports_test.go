package takedown_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// A program that only asks links nothing of those who decide, nothing that reaches
// the network, and no store.
func TestImports(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Skipf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	const own = "github.com/staydown/staydown/takedown"
	if !slices.Contains(deps, own) {
		t.Fatalf("%d packages, and not %s", len(deps), own)
	}
	for _, p := range deps {
		if strings.HasPrefix(p, own+"/") {
			t.Errorf("%s is linked", p)
		}
	}
	for _, p := range []string{
		"net", "net/http", "crypto/tls", "text/template", "encoding/csv",
		"golang.org/x/text/language", "golang.org/x/text/message",
		"go.etcd.io/bbolt",
	} {
		if slices.Contains(deps, p) {
			t.Errorf("%s is linked", p)
		}
	}
}
