package desk_test

import (
	"bytes"
	"crypto/ed25519"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/staydown/staydown/blocklist/feed"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
)

// What docs/operating.md says remains after a case was withdrawn and erased: every file
// of the folder is searched, also files that were open before, and other names of them,
// and the published file. Its control is that everything is found while the case is in
// force.
func TestErase_Remains(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	opts := &desk.Options{KeepPictures: true}
	d := open(t, dir, opts)
	r, secrets := secretive(t)
	id := accept(t, d, r, desk.Grant{})
	kept := accept(t, d, notice("https://example.org/other.jpg"), desk.Grant{})
	published := filepath.Join(dir, "published.snap")
	ok(t, d.Compact(ctx))
	ok(t, d.Publish(ctx, published))
	c, err := d.Case(ctx, id)
	ok(t, err)
	marks := d.Marks(c.Rules)
	if len(marks) < 3 {
		t.Fatalf("%d kinds of marks: digests, hashes, features", len(marks))
	}
	found := map[string]int{} // by kind, in how many files
	for path, b := range files(t, dir) {
		for kind, list := range marks {
			for _, m := range list {
				if bytes.Contains(b, m) {
					found[kind+" in "+filepath.Base(path)]++
				}
			}
		}
	}
	for kind := range marks {
		if found[kind+" in journal.db"] == 0 || kind == "hashes" && found[kind+" in published.snap"] == 0 {
			t.Errorf("control: no %s: the test cannot find what it looks for; %v", kind, found)
		}
	}
	wantNowhere(t, dir, "in force", secrets...)

	// Somebody has the files of the list open, and other names of them.
	var handles []*os.File
	names, err := filepath.Glob(filepath.Join(dir, "list", "*"))
	ok(t, err)
	links := t.TempDir()
	for _, name := range names {
		f, err := os.Open(name)
		ok(t, err)
		handles = append(handles, f)
		ok(t, os.Link(name, filepath.Join(links, filepath.Base(name))))
	}

	ok(t, d.Withdraw(ctx, id, alice))
	ok(t, d.Erase(ctx, id, alice))
	ok(t, d.EraseList(ctx, c.Rules))
	ok(t, d.Publish(ctx, published))
	check := func(when string) {
		t.Helper()
		for kind, list := range marks {
			for _, m := range list {
				wantNowhere(t, dir, when+": "+kind, m)
				wantNowhere(t, links, when+", another name: "+kind, m)
				for _, f := range handles {
					if b, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<30)); err != nil || bytes.Contains(b, m) {
						t.Errorf("%s: %s in the open file %s, %v", when, kind, f.Name(), err)
					}
				}
			}
		}
		wantNowhere(t, dir, when, secrets...)
	}
	check("erased")
	ok(t, d.Verify(ctx))
	ok(t, d.Close())
	d = open(t, dir, opts)
	check("opened again")
	wantVerdict(t, "the other case", d.Enforcer().FilterURL("https://example.org/other.jpg"), takedown.Block)
	if c, err := d.Case(ctx, kept); err != nil || c.Request == nil {
		t.Errorf("the other case: %v", err)
	}
	for _, f := range handles {
		ok(t, f.Close())
	}
	// What stays says that there was a case, and how it went.
	if c, err := d.Case(ctx, id); err != nil || c.Request != nil || c.Pictures != nil || c.State != desk.StateWithdrawn || len(c.Moves) == 0 {
		t.Errorf("%+v, %v", c, err)
	}
}

// What docs/operating.md says of copies: a feed has what has ended until its time is
// over, the folder of a reader until it follows, a backup from before always, and a
// backup from after never.
func TestErase_RemainsElsewhere(t *testing.T) {
	t.Parallel()
	begin := time.Now() // the files of a feed have the times of the system
	now := &clock{t: begin}
	public, key, err := ed25519.GenerateKey(nil)
	ok(t, err)
	d := open(t, t.TempDir(), &desk.Options{Now: now.Now, SigningKey: key})
	r, secrets := secretive(t)
	id := accept(t, d, r, desk.Grant{})
	accept(t, d, notice("https://example.org/other.jpg"), desk.Grant{})
	c, err := d.Case(ctx, id)
	ok(t, err)
	marks := d.Marks(c.Rules)

	base := t.TempDir()
	place := func(name string) string { return filepath.Join(base, name) }
	store, err := feed.NewFolder(place("feed"))
	ok(t, err)
	publish := func() { // as a program that publishes once and ends
		t.Helper()
		p, err := feed.NewPublisher(ctx, d.List(), store, &feed.PublisherOptions{SigningKey: key, Now: now.Now})
		ok(t, err)
		ok(t, p.Publish(ctx))
	}
	follow := func(until func() bool) { // as a reader that is started again
		t.Helper()
		f, err := feed.Follow(ctx, place("feed"), &feed.Options{Dir: place("reader"), TrustedKeys: []ed25519.PublicKey{public}, Now: now.Now})
		ok(t, err)
		eventually(t, "the reader follows", until)
		ok(t, f.Close())
	}
	publish()
	_, err = d.Backup(ctx, place("before"))
	ok(t, err)
	there := func(name string) (kinds []string) {
		t.Helper()
		paths, err := filepath.Glob(filepath.Join(place(name), "*"))
		ok(t, err)
		lists, err := filepath.Glob(filepath.Join(place(name), "list", "*"))
		ok(t, err)
		for kind, list := range marks {
			if slices.ContainsFunc(append(paths, lists...), func(path string) bool {
				b, _ := os.ReadFile(path) // a reader at work removes files
				return bytes.Contains(b, list[0])
			}) {
				kinds = append(kinds, kind)
			}
		}
		return kinds
	}
	follow(func() bool { return len(there("reader")) > 0 })
	for _, name := range []string{"feed", "reader", "before"} {
		if len(there(name)) == 0 {
			t.Errorf("control: nothing of %d kinds in %s", len(marks), name)
		}
	}

	ok(t, d.Withdraw(ctx, id, alice))
	ok(t, d.Erase(ctx, id, alice))
	ok(t, d.EraseList(ctx, c.Rules))
	_, err = d.Backup(ctx, place("after"))
	ok(t, err)
	publish()
	// The longest time of a file in a feed, and of one that no pointer names any more.
	now.set(begin.Add(31 * 24 * time.Hour))
	publish()
	now.set(begin.Add(31*24*time.Hour + time.Hour))
	publish()
	follow(func() bool { return len(there("reader")) == 0 })
	for _, name := range []string{"feed", "reader", "after"} {
		if kinds := there(name); len(kinds) > 0 {
			t.Errorf("%v are left in %s", kinds, name)
		}
		wantNowhere(t, place(name), name, secrets...)
	}
	if len(there("before")) == 0 {
		t.Error("a backup from before has lost something: it is for its owner to delete")
	}
	wantNowhere(t, place("before"), "a backup from before, without the operator key", secrets...)
}
