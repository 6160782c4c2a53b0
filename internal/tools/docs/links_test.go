// Package docs tests the documentation of the repository.
package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const root = "../../.."

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// Every relative link of a page leads to a file or folder of the repository.
func TestLinks(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md").Output()
	if err != nil {
		t.Fatal(err)
	}
	links := 0
	for page := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		b, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, m := range link.FindAllStringSubmatch(string(b), -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if target == "" || strings.Contains(target, ":") {
				continue
			}
			links++
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(page), target)); err != nil {
				t.Errorf("%s: %s does not exist", page, m[1])
			}
		}
	}
	if links < 100 {
		t.Errorf("only %d links", links)
	}
}

// The index of the decisions has every page, and no other.
func TestDecisions(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(root, "docs", "decisions")
	b, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var listed, pages []string
	for _, m := range link.FindAllStringSubmatch(string(b), -1) {
		listed = append(listed, m[1])
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name() != "README.md" {
			pages = append(pages, f.Name())
		}
	}
	slices.Sort(listed)
	if diff := cmp.Diff(pages, listed); diff != "" {
		t.Errorf("docs/decisions/README.md (-pages +listed):\n%s", diff)
	}
}
