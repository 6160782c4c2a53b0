package feed_test

import (
	"os/exec"
	"strings"
	"testing"
)

// The package needs blocklist, what that uses itself, and the standard library.
func TestImports(t *testing.T) {
	t.Parallel()
	list := func(args ...string) map[string]bool {
		out, err := exec.Command("go", append([]string{"list"}, args...)...).Output()
		if err != nil {
			t.Skipf("go list: %v", err)
		}
		set := map[string]bool{}
		for _, p := range strings.Fields(string(out)) {
			set[p] = true
		}
		return set
	}
	of := list("-deps", "github.com/staydown/staydown/blocklist")
	for p := range list("-deps", ".") {
		first, _, _ := strings.Cut(p, "/")
		if strings.Contains(first, ".") && !of[p] && p != "github.com/staydown/staydown/blocklist/feed" {
			t.Errorf("%s is linked", p)
		}
	}
}
