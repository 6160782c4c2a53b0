package desk_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
)

// facesIn returns how many faces open in a published file, whatever the date.
func facesIn(tb testing.TB, path string) int {
	tb.Helper()
	n, err := desk.OpenPublished(path)
	ok(tb, err)
	return n
}

// wantPublished checks which published files a desk looks after.
func wantPublished(tb testing.TB, what string, d *desk.Desk, paths ...string) {
	tb.Helper()
	got, err := d.PublishedAt()
	ok(tb, err)
	if diff := cmp.Diff(paths, got); diff != "" {
		tb.Errorf("%s: the published files (-want +got):\n%s", what, diff)
	}
}

// After a withdrawal, and after FaceLifetime, Expire and Open leave nothing in
// what was published that opens the faces of then: not in the files, and not in
// their old content.
func TestPublished_IsWrittenAgain(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		then  func(d *desk.Desk, now *clock, id takedown.CaseID)
		faces int // in the file that is there afterwards
	}{
		"withdrawn":   {func(d *desk.Desk, _ *clock, id takedown.CaseID) { ok(t, d.Withdraw(ctx, id, alice)) }, 1},
		"too old":     {func(_ *desk.Desk, now *clock, _ takedown.CaseID) { now.set(day0.Add(7 * 24 * time.Hour)) }, 2},
		"its time":    {func(_ *desk.Desk, now *clock, _ takedown.CaseID) { now.set(day0.AddDate(0, 0, 3)) }, 1},
		"not too old": {func(_ *desk.Desk, now *clock, _ takedown.CaseID) { now.set(day0.AddDate(0, 0, 1)) }, -1},
	} {
		for _, reopen := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, opened again %v", name, reopen), func(t *testing.T) {
				t.Parallel()
				dir, out, now := t.TempDir(), t.TempDir(), &clock{t: day0}
				opts := func(o *desk.Options) { o.Now = now.Now }
				d := faceDesk(t, dir, opts)
				defer func() { ok(t, d.Close()) }()
				accept(t, d, faceOptOut(portrait(t, 1, 0)), desk.Grant{})
				end := time.Time{}
				if name == "its time" {
					end = day0.AddDate(0, 0, 2)
				}
				id := accept(t, d, faceOptOut(portrait(t, 2, 0)), desk.Grant{End: end})
				path, link := filepath.Join(out, "p"), filepath.Join(out, "link")
				ok(t, d.Publish(ctx, path))
				ok(t, os.Link(path, link))
				wantPublished(t, "published", d, path)
				if facesIn(t, link) != 2 {
					t.Fatal("the faces do not open, so this shows nothing")
				}
				tt.then(d, now, id)
				if facesIn(t, link) != 2 {
					t.Error("the file was written again too soon")
				}
				if reopen {
					ok(t, d.Close())
					d = faceDesk(t, dir, opts)
				} else if _, err := d.Expire(ctx); err != nil {
					t.Fatal(err)
				}
				wantPublished(t, "afterwards", d, path)
				if tt.faces < 0 {
					if facesIn(t, link) != 2 || facesIn(t, path) != 2 {
						t.Error("the file was written again without need")
					}
					return
				}
				if n := facesIn(t, link); n != 0 {
					t.Errorf("%d faces open in the old file", n)
				}
				if n := facesIn(t, path); n != tt.faces {
					t.Errorf("%d faces open in the new file, want %d", n, tt.faces)
				}
				// What nodes load is the list as it is.
				e, err := takedown.Load(path, &takedown.EnforcerOptions{EncryptionKey: desk.ListKey, Now: now.Now})
				ok(t, err)
				defer e.Close()
				for person := uint64(1); person <= 2; person++ {
					c := withFaces(portrait(t, person, 1))
					wantVerdict(t, fmt.Sprintf("person %d", person), e.Check(c), d.Enforcer().Check(c).Verdict)
				}
			})
		}
	}
}

// A desk forgets published files that are gone or are something else, and one
// that it cannot write keeps it neither from the others nor shut.
func TestPublished_Forgotten(t *testing.T) {
	t.Parallel()
	dir, out := t.TempDir(), t.TempDir()
	d := faceDesk(t, dir)
	at := func(name string) string { return filepath.Join(out, name) }
	ok(t, d.Publish(ctx, at("a without faces")))
	id := accept(t, d, faceOptOut(portrait(t, 1, 0)), desk.Grant{})
	for _, name := range []string{"b gone", "c foreign", "d folder", "e fine"} {
		ok(t, d.Publish(ctx, at(name)))
		ok(t, d.Publish(ctx, at(name)))
	}
	wantPublished(t, "published", d, at("a without faces"), at("b gone"), at("c foreign"), at("d folder"), at("e fine"))
	ok(t, os.Remove(at("b gone")))
	ok(t, os.WriteFile(at("c foreign"), []byte("something else"), 0o600))
	ok(t, os.Mkdir(at("d folder.replaced"), 0o700)) // where Publish puts what it replaces
	ok(t, d.Withdraw(ctx, id, alice))
	_, err := d.Expire(ctx)
	var failed *desk.PublishedError
	if !errors.As(err, &failed) || failed.Path != at("d folder") {
		t.Errorf("Expire: %v", err)
	}
	wantPublished(t, "expired", d, at("d folder"), at("e fine"))
	if n := facesIn(t, at("e fine")); n != 0 {
		t.Errorf("%d faces open", n)
	}
	if b, err := os.ReadFile(at("c foreign")); err != nil || string(b) != "something else" {
		t.Errorf("%q, %v", b, err)
	}
	ok(t, d.Close())
	d = faceDesk(t, dir)
	defer func() { ok(t, d.Close()) }()
	ok(t, os.Remove(at("d folder.replaced")))
	ok(t, os.Remove(at("d folder")))
	ok(t, os.Mkdir(at("d folder"), 0o700))
	_, err = d.Expire(ctx)
	ok(t, err)
	wantPublished(t, "in the end", d)
}

// Publish refuses one file more than the desk looks after, until some are gone.
func TestPublished_TooMany(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	d := faceDesk(t, t.TempDir())
	defer func() { ok(t, d.Close()) }()
	id := accept(t, d, faceOptOut(portrait(t, 1, 0)), desk.Grant{})
	at := func(i int) string { return filepath.Join(out, fmt.Sprint(i)) }
	for i := range desk.MaxPublished {
		ok(t, d.Publish(ctx, at(i)))
	}
	ok(t, d.Publish(ctx, at(7))) // a known one
	if err := d.Publish(ctx, at(-1)); !errors.Is(err, desk.ErrTooManyPublished) {
		t.Errorf("one more: %v", err)
	}
	if _, err := os.Stat(at(-1)); err == nil {
		t.Error("it was written nevertheless")
	}
	ok(t, os.Remove(at(3)))
	ok(t, d.Publish(ctx, at(-1)))
	ok(t, d.Withdraw(ctx, id, alice))
	_, err := d.Expire(ctx)
	ok(t, err)
	for i := range desk.MaxPublished {
		if i != 3 && facesIn(t, at(i)) != 0 {
			t.Fatalf("file %d has the face", i)
		}
	}
}

// Without a ListKey nothing is published with faces, and nothing remembered.
func TestPublished_Plain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "p")
	d := faceDesk(t, t.TempDir(), func(o *desk.Options) { o.ListKey = nil })
	defer func() { ok(t, d.Close()) }()
	ok(t, d.Publish(ctx, path))
	accept(t, d, notice("https://example.org/1.jpg"), desk.Grant{})
	ok(t, d.Publish(ctx, path))
	wantPublished(t, "published", d)
	if _, err := takedown.Load(path, nil); err != nil {
		t.Error(err)
	}
	if _, err := blocklist.Load(path, &blocklist.LoadOptions{EncryptionKey: desk.ListKey}); !errors.Is(err, blocklist.ErrKey) {
		t.Errorf("it is encrypted: %v", err)
	}
}

// Where no file can be, there is nothing to look after: Publish fails, and
// Expire does not.
func TestPublished_NoFile(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	d := faceDesk(t, t.TempDir())
	defer func() { ok(t, d.Close()) }()
	accept(t, d, faceOptOut(portrait(t, 1, 0)), desk.Grant{})
	file := filepath.Join(out, "file")
	ok(t, os.WriteFile(file, []byte("x"), 0o600))
	for _, path := range []string{out, filepath.Join(file, "x.snap"), filepath.Join(out, "none", "x.snap")} {
		if err := d.Publish(ctx, path); err == nil {
			t.Errorf("%s: published", path)
		}
	}
	wantPublished(t, "failed", d)
	_, err := d.Expire(ctx)
	ok(t, err)
}
