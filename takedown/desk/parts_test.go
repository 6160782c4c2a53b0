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
// STAYDOWN_PARTS sets the number of random combinations; the default is 400, and 30
// with -short, which also tries a sixth of the pairs only.
func TestOpen_Parts(t *testing.T) {
	t.Parallel()
	f := makeFolders()
	random, every := 400, 1
	if testing.Short() {
		random, every = 30, 6
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

// What Open refuses, Recover repairs when everything may be lost: then the desk opens,
// every rule that is in force has a case that can be withdrawn, and whatever is lost of
// what was promised is in the report.
func TestRecover_Parts(t *testing.T) {
	t.Parallel()
	f := makeFolders()
	n, every := 150, 1
	if testing.Short() {
		n, every = 6, 12
	}
	rng := rand.New(rand.NewPCG(7, 2))
	all := []map[string]string{}
	i := 0
	for k, p := range folderParts {
		for _, s := range folderStates[1:] {
			all = append(all, map[string]string{p: s})
			for _, q := range folderParts[k+1:] {
				for _, r := range folderStates[1:] {
					if i++; i%every == 0 {
						all = append(all, map[string]string{p: s, q: r})
					}
				}
			}
		}
	}
	for range sharedtest.Count(t, "STAYDOWN_PARTS", n) {
		states := map[string]string{}
		for _, p := range folderParts {
			states[p] = folderStates[rng.IntN(len(folderStates))]
		}
		all = append(all, states)
	}
	repaired := 0
	for _, states := range all {
		dir := f.put(t, states)
		d, err := desk.Open(dir, nil)
		if err == nil {
			ok(t, d.Close())
			continue
		}
		// Without a choice it says which one is needed.
		var m *desk.MismatchError
		if _, err := desk.Recover(ctx, dir, nil); !errors.As(err, &m) || m.Choice() == "" {
			t.Errorf("%v: no choice: %v", states, err)
		}
		kept := true
		for _, p := range []string{"cases", "keys", "operator key"} {
			kept = kept && (states[p] == "" || states[p] == "today's")
		}
		f.recovered(t, fmt.Sprint(states), dir, kept)
		repaired++
	}
	t.Logf("%d folders were repaired", repaired)
}

// recovered repairs a folder, and looks at what is left.
func (f *folders) recovered(t *testing.T, name, dir string, kept bool) {
	t.Helper()
	did, err := desk.Recover(ctx, dir, nil, desk.LoseOperatorKey, desk.LoseKeys, desk.LoseCases, desk.LoseList, desk.LoseSince)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if len(did.Repaired) == 0 {
		t.Errorf("%s: nothing was repaired", name)
	}
	d, err := desk.Open(dir, nil)
	if err != nil {
		t.Errorf("%s: after Recover: %v", name, err)
		return
	}
	defer func() { d.Close() }()
	if kept {
		// The cases know everything: nothing that was promised is lost.
		for _, p := range f.now.inForce {
			wantVerdict(t, name+": in force", d.Enforcer().FilterURL(p.url), takedown.Block)
		}
		for _, p := range f.now.over {
			wantVerdict(t, name+": withdrawn before", d.Enforcer().FilterURL(p.url), takedown.Allow)
		}
		wantVerdict(t, name+": the picture", d.Enforcer().Filter("", hashes(t, testJPEG(t, 1))...), takedown.Block)
		if len(did.NotEnforced)+len(did.Unreadable)+len(did.Adopted) > 0 {
			t.Errorf("%s: %+v", name, did)
		}
	}
	unreadable := 0
	for _, p := range append(slices.Clone(f.now.inForce), f.now.over...) {
		c, err := d.Case(ctx, p.id)
		blocked := d.Enforcer().FilterURL(p.url).Verdict == takedown.Block
		switch {
		case errors.Is(err, desk.ErrNoCase):
			if blocked {
				t.Errorf("%s: %s is blocked, and has no case", name, p.url)
			}
			continue
		case errors.Is(err, desk.ErrErased):
			if unreadable++; !slices.Contains(did.Unreadable, p.id) {
				t.Errorf("%s: case %v is unreadable, and not in the report", name, p.id)
			}
			var states []desk.Case
			ok(t, eachCase(d, func(x desk.Case) bool {
				if x.ID == p.id {
					states = append(states, x)
				}
				return true
			}))
			c = states[0]
		case err != nil:
			t.Errorf("%s: case %v: %v", name, p.id, err)
			continue
		}
		if (c.State == desk.StateInForce) != blocked {
			t.Errorf("%s: %s: blocked %v, and its case is %s; %+v", name, p.url, blocked, c.State, did)
		}
		if c.State == desk.StateInForce {
			if err := d.Withdraw(ctx, p.id, alice); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			wantVerdict(t, name+": withdrawn", d.Enforcer().FilterURL(p.url), takedown.Allow)
		}
	}
	if unreadable > 0 && len(did.Unreadable) == 0 {
		t.Errorf("%s: %d cases cannot be read, and none is in the report", name, unreadable)
	}
	id := accept(t, d, notice("https://example.org/after.jpg"), desk.Grant{})
	wantVerdict(t, name+": a new case", d.Enforcer().FilterURL("https://example.org/after.jpg"), takedown.Block)
	ok(t, d.Withdraw(ctx, id, alice))
	path := filepath.Join(dir, "published.snap")
	err = d.Publish(ctx, path)
	if errors.Is(err, desk.ErrMismatch) {
		// The cases that know where it was published are lost.
		ok(t, d.Close())
		if _, err := desk.Recover(ctx, dir, nil, desk.LoseSince); err != nil {
			t.Errorf("%s: again: %v", name, err)
		}
		d = open(t, dir, nil)
		err = d.Publish(ctx, path)
	}
	if err != nil {
		t.Errorf("%s: Publish: %v", name, err)
	}
	if _, _, err := d.VerifyLog(ctx); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

// A whole folder that was restored from the night is older than what nodes have. It does
// not open and does not publish, until that is accepted; then the nodes take its list.
func TestRecover_OlderFolder(t *testing.T) {
	t.Parallel()
	f := makeFolders()
	for name, choice := range map[string]struct {
		states map[string]string
		choice desk.Choice
	}{
		"folder": {map[string]string{"cases": "older", "keys": "older", "journal": "older", "snapshot": "older"}, desk.LoseSince},
		"list":   {map[string]string{"journal": "older", "snapshot": "older"}, desk.LoseList},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := f.put(t, choice.states)
			path := filepath.Join(dir, "published.snap")
			node, err := blocklist.Load(path, nil)
			ok(t, err)
			had := node.State().Position()
			var m *desk.MismatchError
			if _, err := desk.Open(dir, nil); !errors.As(err, &m) || m.Choice() != choice.choice || m.Needs <= m.Has {
				t.Fatalf("%v, want an older %s", err, name)
			}
			did, err := desk.Recover(ctx, dir, nil, choice.choice)
			ok(t, err)
			if did.Events == 0 {
				t.Errorf("no event is lost: %+v", did)
			}
			d := open(t, dir, nil)
			// Without the file, as on another machine: the list knows what it published.
			ok(t, d.Publish(ctx, path))
			if changed, err := node.Reload(); err != nil || !changed {
				t.Fatalf("the node at %v: %v, %v", had, changed, err)
			}
			if now := node.State().Position(); now.Epoch != had.Epoch+1 || now.Seq < had.Seq {
				t.Errorf("the node went from %v to %v", had, now)
			}
			ok(t, d.Verify(ctx))
		})
	}
}

// A folder that was restored without its published file, and went on, is a fork. It does
// not publish over the file of the other.
func TestPublish_Fork(t *testing.T) {
	t.Parallel()
	f := makeFolders()
	dir := f.put(t, map[string]string{"cases": "older", "keys": "older", "journal": "older", "snapshot": "older", "published": "missing"})
	d := open(t, dir, nil)
	for i := range 30 {
		accept(t, d, notice(fmt.Sprintf("https://example.org/fork-%d.jpg", i)), desk.Grant{})
	}
	path := filepath.Join(dir, "published.snap")
	b, err := os.ReadFile(filepath.Join(f.today, "published.snap"))
	ok(t, err)
	ok(t, os.WriteFile(path, b, 0o600))
	var m *desk.MismatchError
	if err := d.Publish(ctx, path); !errors.As(err, &m) || m.Fault != desk.FaultFork || !errors.Is(err, blocklist.ErrFork) {
		t.Errorf("%v, want a fork", err)
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, b) {
		t.Error("the file has changed")
	}
	ok(t, d.Close())
	if _, err := desk.Open(dir, nil); !errors.As(err, &m) || m.Fault != desk.FaultFork {
		t.Errorf("opened beside it: %v", err)
	}
	_, err = desk.Recover(ctx, dir, nil, desk.LoseSince)
	ok(t, err)
	d = open(t, dir, nil)
	node, err := blocklist.Load(path, nil)
	ok(t, err)
	ok(t, d.Publish(ctx, path))
	if changed, err := node.Reload(); err != nil || !changed {
		t.Errorf("the node: %v, %v", changed, err)
	}
}

// Files that were copied one after the other from a folder in use, in any order, are
// refused by name, or have every promise that was made before the copy began.
func TestOpen_CopiesOfALiveFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := open(t, dir, nil)
	// Another process, or the same one, does not get the folder.
	if _, err := desk.Open(dir, nil); !errors.Is(err, blocklist.ErrLocked) {
		t.Errorf("a second Open: %v, want ErrLocked", err)
	}
	if _, err := desk.Recover(ctx, dir, nil, desk.LoseCases, desk.LoseKeys, desk.LoseList); !errors.Is(err, blocklist.ErrLocked) {
		t.Errorf("Recover of an open desk: %v, want ErrLocked", err)
	}
	var mu sync.Mutex
	var acked []promise
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			u := fmt.Sprintf("https://example.org/%d.jpg", i)
			id := accept(t, d, notice(u), desk.Grant{})
			mu.Lock()
			acked = append(acked, promise{id, u})
			mu.Unlock()
		}
	})
	rng := rand.New(rand.NewPCG(3, 1))
	n, opened := 40, 0
	if testing.Short() {
		n = 12
	}
	for range n {
		mu.Lock()
		before := slices.Clone(acked)
		mu.Unlock()
		copied := t.TempDir()
		ok(t, os.Mkdir(filepath.Join(copied, "list"), 0o700))
		names := []string{"cases.db", "keys", "operator.key", "list/journal.db"}
		rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		for _, name := range names {
			b, err := os.ReadFile(filepath.Join(dir, name))
			ok(t, err)
			ok(t, os.WriteFile(filepath.Join(copied, name), b, 0o600))
		}
		c, err := desk.Open(copied, nil)
		if err != nil {
			if !slices.ContainsFunc(refusals, func(known error) bool { return errors.Is(err, known) }) {
				t.Errorf("refused, but not by name: %v", err)
			}
			continue
		}
		opened++
		for _, p := range before {
			wantVerdict(t, "a copy", c.Enforcer().FilterURL(p.url), takedown.Block)
			if x, err := c.Case(ctx, p.id); err != nil || x.State != desk.StateInForce {
				t.Errorf("a copy: case %v: %s, %v", p.id, x.State, err)
			}
		}
		ok(t, c.Close())
	}
	close(stop)
	wg.Wait()
	t.Logf("%d of %d copies opened", opened, n)
}
