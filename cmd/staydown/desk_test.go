package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// A desk without pages: cases come in through the library, and are decided here.
func TestDesk(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "desk")
	dogs, err := os.ReadFile(photo(t, "dogs.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := desk.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, r := range []request.Request{
		request.ImageOptOut{Requester: request.Requester{Name: "Jane Roe", Email: "jane@example.org"}, Claim: request.ClaimOwner, Images: []request.File{request.FromBytes(dogs)}},
		request.DSANotice{Requester: request.Requester{Name: "Joe Roe", Email: "joe@example.org"}, ImageURLs: []string{"https://bad.example/x.jpg"}, Explanation: "It is illegal.",
			GoodFaith: request.Statement{Text: "I agree.", Accepted: time.Now()}},
	} {
		c, err := d.Submit(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, c.ID.String())
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	out, _ := call(t, 0, "desk", "queue", dir)
	wants(t, out, ids[0], ids[1], "image_opt_out", "dsa_notice", "in_review")
	if strings.Contains(out, "Roe") || strings.Contains(out, "bad.example") {
		t.Errorf("the queue has personal data:\n%s", out)
	}
	out, _ = call(t, 0, "desk", "queue", dir, "--person", "jane@example.org")
	if wants(t, out, ids[0]); strings.Contains(out, ids[1]) {
		t.Error("another person's case")
	}
	out, _ = call(t, 0, "desk", "queue", dir, "--url", "http://BAD.example/x.jpg", "--json")
	wants(t, out, `"id":"`+ids[1])
	out, _ = call(t, 0, "desk", "accept", dir, ids[0], "--by", "jane")
	wants(t, out, "in_force")
	out, _ = call(t, 3, "check", "-l", dir, photo(t, "dogs.jpg"))
	wants(t, out, "case "+ids[0])
	out, _ = call(t, 0, "desk", "reject", dir, ids[1], "--by", "jane", "--reason", "spam")
	wants(t, out, "rejected")
	out, _ = call(t, 0, "desk", "case", dir, ids[0])
	wants(t, out, "in_force", "rules in force")
	if strings.Contains(out, "Roe") {
		t.Error("the case has personal data without --personal")
	}
	out, _ = call(t, 0, "desk", "case", dir, ids[0], "--personal")
	wants(t, out, "Jane Roe")
	call(t, 0, "desk", "due", dir)
	out, _ = call(t, 0, "desk", "expire", dir)
	wants(t, out, "0 cases")
	var o, e bytes.Buffer
	if code := run(t.Context(), []string{"desk", "report", dir, "--verify"}, nil, &o, &e); code != 0 && code != 4 {
		t.Errorf("report: %d %s", code, e.String())
	}
	wants(t, o.String(), "1 rules", "operator key")
	backup := filepath.Join(t.TempDir(), "backup")
	out, _ = call(t, 0, "desk", "backup", dir, backup)
	wants(t, out, "2 cases")
	out, _ = call(t, 0, "desk", "recover", dir)
	wants(t, out, "nothing to repair")

	// The list is lost: the command asks for the choice, and nothing else repairs it.
	if err := os.RemoveAll(filepath.Join(dir, "list")); err != nil {
		t.Fatal(err)
	}
	_, errOut := call(t, 1, "desk", "queue", dir)
	wants(t, errOut, `--accept "lose list"`)
	call(t, 1, "desk", "recover", dir, "--accept", "trust clock")
	out, _ = call(t, 0, "desk", "recover", dir, "--accept", "lose list")
	wants(t, out, "restored 1")
	call(t, 3, "check", "-l", dir, photo(t, "dogs.jpg"))

	call(t, 2, "desk", "case", dir, "nonsense")
	call(t, 1, "desk", "case", dir, takedown.CaseID{1}.String())
	call(t, 1, "desk", "accept", dir, ids[1], "--by", "jane")
	call(t, 2, "desk", "accept", dir, ids[0])
	call(t, 2, "desk", "accept", dir, ids[0], "--by", "jane", "--scope", "all")
	call(t, 1, "desk", "queue", t.TempDir())
	if left, err := os.ReadDir(t.TempDir()); err != nil || len(left) > 0 {
		t.Error("a desk was made")
	}
}

// A feed is published, followed and asked.
func TestFeed(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir, tmp := makeList(t), t.TempDir()
	key, www, own := filepath.Join(tmp, "k"), filepath.Join(tmp, "www"), filepath.Join(tmp, "copy")
	call(t, 0, "keygen", key)
	out, _ := call(t, 0, "feed", "publish", dir, www, "--key", key)
	wants(t, out, "published")
	call(t, 0, "feed", "publish", dir, www, "--key", key)
	out, _ = call(t, 0, "feed", "status", www, "--trust", key+".pub", "--copy", own)
	wants(t, out, "0 events behind", "complete")
	call(t, 3, "check", "-l", www, "--trust", key+".pub", "https://example.com/a.jpg")
	call(t, 2, "feed", "status", www, "--copy", own)
	call(t, 5, "feed", "status", www, "--trust", key+".pub", "--copy", own, "--max-age", "1ns")
	other := filepath.Join(tmp, "other")
	call(t, 0, "keygen", other)
	call(t, 5, "feed", "status", www, "--trust", other+".pub", "--copy", filepath.Join(tmp, "copy2"))
	call(t, 1, "feed", "publish", dir, www, "--key", other)
	call(t, 1, "feed", "publish", makeList(t), www, "--key", key)

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	var o, e bytes.Buffer
	if code := run(ctx, []string{"feed", "follow", www, "--trust", key + ".pub", "--copy", own}, nil, &o, &e); code != 0 {
		t.Errorf("follow: %d %s", code, e.String())
	}
	wants(t, o.String(), "old")
}
