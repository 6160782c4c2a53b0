package desk_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/sharedtest"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
)

// The parts of a folder, and the states in which an operator may put each there.
var (
	folderParts  = []string{"cases", "keys", "operator key", "journal", "snapshot", "published"}
	folderStates = []string{"today's", "missing", "older", "of another desk", "cut"}
)

// partFiles returns the files of a part in a folder.
func partFiles(dir, part string) []string {
	pattern := map[string]string{
		"cases": "cases.db", "keys": "keys", "operator key": "operator.key",
		"journal": "list/journal.db", "snapshot": "list/snapshot-*.snap", "published": "published.snap",
	}[part]
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		panic(err)
	}
	return names
}

// folders are the states that parts are taken from.
type folders struct {
	older, today, other string
	then, now           truth
}

// truth is what people were promised.
type truth struct {
	inForce, over []promise
	erased        takedown.CaseID // its rule stays in force
	keys          map[string]bool // ids of keys that are needed
}

type promise struct {
	id  takedown.CaseID
	url string
}

// makeFolders lives a day of a desk: what there is in the night, and what came since.
var makeFolders = sync.OnceValue(func() *folders {
	var e fatalTB
	base, err := os.MkdirTemp("", "staydown-parts-")
	must := func(errs ...error) {
		if err := errors.Join(errs...); err != nil {
			panic(err)
		}
	}
	must(err)
	f := &folders{older: filepath.Join(base, "older"), today: filepath.Join(base, "today"), other: filepath.Join(base, "other")}
	url := func(name string) string { return "https://example.org/" + name + ".jpg" }
	live := func(dir string) *desk.Desk {
		d, err := desk.Open(dir, &desk.Options{KeepPictures: true})
		must(err)
		return d
	}
	granted := func(d *desk.Desk, name string) promise {
		return promise{accept(e, d, notice(url(name)), desk.Grant{}), url(name)}
	}
	d := live(f.today)
	a, b, c := granted(d, "a"), granted(d, "b"), granted(d, "c")
	must(d.Compact(ctx), d.Publish(ctx, filepath.Join(f.today, "published.snap")), d.Close())
	f.then = truth{inForce: []promise{a, b, c}, keys: liveKeys(f.today)}
	must(os.CopyFS(f.older, os.DirFS(f.today)))

	d = live(f.today)
	x, y := granted(d, "x"), granted(d, "y")
	open, err := d.Submit(ctx, notice(url("open")))
	must(err)
	must(d.Withdraw(ctx, a.id, alice), d.Withdraw(ctx, x.id, alice), d.Erase(ctx, b.id, alice))
	accept(e, d, optOut(e, 1), desk.Grant{})
	must(d.Compact(ctx), d.Publish(ctx, filepath.Join(f.today, "published.snap")))
	z := granted(d, "z")
	must(d.Reject(ctx, open.ID, desk.Refusal{Actor: desk.Actor{By: "alice", Reason: "spam"}}), d.Close())
	f.now = truth{inForce: []promise{b, c, y, z}, over: []promise{a, x}, erased: b.id, keys: liveKeys(f.today)}

	d = live(f.other)
	granted(d, "other")
	for i := range 12 {
		granted(d, fmt.Sprint("other-", i))
	}
	must(d.Compact(ctx), d.Publish(ctx, filepath.Join(f.other, "published.snap")), d.Close())
	return f
})

// liveKeys returns the ids of the keys in a folder.
func liveKeys(dir string) map[string]bool {
	b, err := os.ReadFile(filepath.Join(dir, "keys"))
	if err != nil {
		panic(err)
	}
	ids := map[string]bool{}
	for at := desk.KeysStart; at+80 <= len(b); at += 80 {
		if id := b[at : at+16]; !bytes.Equal(id, make([]byte, 16)) {
			ids[string(id)] = true
		}
	}
	return ids
}

// put brings the parts of a folder into their states.
func (f *folders) put(tb testing.TB, states map[string]string) (dir string) {
	tb.Helper()
	dir = tb.TempDir()
	ok(tb, os.CopyFS(dir, os.DirFS(f.today)))
	for part, state := range states {
		for _, path := range partFiles(dir, part) {
			if state != "today's" && state != "cut" {
				ok(tb, os.Remove(path))
			}
		}
		from := map[string]string{"older": f.older, "of another desk": f.other}[state]
		if from != "" {
			for _, path := range partFiles(from, part) {
				b, err := os.ReadFile(path)
				ok(tb, err)
				name, err := filepath.Rel(from, path)
				ok(tb, err)
				ok(tb, os.WriteFile(filepath.Join(dir, name), b, 0o600))
			}
		}
		if state == "cut" {
			for _, path := range partFiles(dir, part) {
				fi, err := os.Stat(path)
				ok(tb, err)
				ok(tb, os.Truncate(path, fi.Size()*6/10))
			}
		}
	}
	return dir
}

// refusals are the errors by which Open may refuse a folder.
var refusals = []error{desk.ErrMismatch, desk.ErrStore, desk.ErrListLost, blocklist.ErrJournal, blocklist.ErrKey}

// tryParts opens a folder with its parts in some states. It either refuses by name and
// has destroyed nothing, or keeps every promise.
func (f *folders) try(t *testing.T, states map[string]string) (opened bool) {
	t.Helper()
	var what []string
	for _, p := range folderParts {
		if s := states[p]; s != "" && s != "today's" {
			what = append(what, p+" "+s)
		}
	}
	name := strings.Join(what, ", ")
	dir := f.put(t, states)
	hasKeys := states["keys"] == "" || states["keys"] == "today's"
	d, err := desk.Open(dir, nil)
	if err != nil {
		if !slices.ContainsFunc(refusals, func(known error) bool { return errors.Is(err, known) }) {
			t.Errorf("%s: refused, but not by name: %v", name, err)
		}
		// With the right files back nothing is lost.
		if hasKeys {
			for _, part := range folderParts {
				if part == "keys" {
					continue
				}
				for _, path := range partFiles(dir, part) {
					ok(t, os.Remove(path))
				}
				for _, path := range partFiles(f.today, part) {
					b, err := os.ReadFile(path)
					ok(t, err)
					rel, _ := filepath.Rel(f.today, path)
					ok(t, os.WriteFile(filepath.Join(dir, rel), b, 0o600))
				}
			}
			f.now.check(t, name+"; repaired", dir)
		}
		return false
	}
	ok(t, d.Close())
	want := f.now
	if states["cases"] == "older" {
		want = f.then
	}
	want.check(t, name, dir)
	return true
}

// check opens a folder and looks whether every promise is kept.
func (w *truth) check(t *testing.T, name, dir string) {
	t.Helper()
	d, err := desk.Open(dir, nil)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	defer d.Close()
	for id := range w.keys {
		if !liveKeys(dir)[id] {
			t.Errorf("%s: key %x is lost", name, id)
		}
	}
	for _, p := range w.over {
		wantVerdict(t, name+": withdrawn", d.Enforcer().FilterURL(p.url), takedown.Allow)
	}
	if w.erased != (takedown.CaseID{}) {
		if c, err := d.Case(ctx, w.erased); err != nil || c.Request != nil || liveKeys(dir)[string(w.erased[:])] {
			t.Errorf("%s: the erased case is back: %v, %v", name, c.Request, err)
		}
	}
	for _, p := range w.inForce {
		wantVerdict(t, name+": in force", d.Enforcer().FilterURL(p.url), takedown.Block)
		if p.id != w.erased {
			if c, err := d.Case(ctx, p.id); err != nil || c.Request == nil {
				t.Errorf("%s: case %v: %v", name, p.id, err)
			}
		}
		if err := d.Withdraw(ctx, p.id, alice); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		wantVerdict(t, name+": withdrawn now", d.Enforcer().FilterURL(p.url), takedown.Allow)
	}
	if _, _, err := d.VerifyLog(ctx); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

// Every part of a folder in every state, every pair of two, and combinations at
// random: Open refuses by name and destroys nothing, or every promise holds.
//
// STAYDOWN_PARTS sets the number of random combinations; the default is 400, and 40
// with -short, which also tries a third of the pairs only.
func TestOpen_Parts(t *testing.T) {
	t.Parallel()
	f := makeFolders()
	random, every := 400, 1
	if testing.Short() {
		random, every = 40, 3
	}
	random = sharedtest.Count(t, "STAYDOWN_PARTS", random)
	var all []map[string]string
	for i, p := range folderParts {
		for k, s := range folderStates {
			if i == 0 || k > 0 {
				all = append(all, map[string]string{p: s})
			}
		}
	}
	n := 0
	for i, p := range folderParts {
		for _, q := range folderParts[i+1:] {
			for _, s := range folderStates[1:] {
				for _, r := range folderStates[1:] {
					if n++; n%every == 0 {
						all = append(all, map[string]string{p: s, q: r})
					}
				}
			}
		}
	}
	rng := rand.New(rand.NewPCG(4, 2))
	for range random {
		states := map[string]string{}
		for _, p := range folderParts {
			states[p] = folderStates[rng.IntN(len(folderStates))]
		}
		all = append(all, states)
	}
	opened := 0
	for _, states := range all {
		if f.try(t, states) {
			opened++
		}
	}
	// Snapshots and published files can be made again, and operator.key never changes.
	if opened < 8 || opened > len(all)/2 {
		t.Errorf("%d of %d folders open: the test shows little", opened, len(all))
	}
	t.Logf("%d of %d folders open, the others are refused", opened, len(all))
}
