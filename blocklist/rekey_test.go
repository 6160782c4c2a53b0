package blocklist_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/internal/fsx"
	"github.com/staydown/staydown/internal/fsx/crashfs"
)

func TestRekey(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dir := filepath.Join(root, "l")
	key := &blocklist.EncryptionKey{7}
	u := newUniverse(5, 6)
	c := newClock()
	opts := &blocklist.Options{Now: c.now, CompactAfter: -1}
	sealed := *opts
	sealed.EncryptionKey = key

	l := open(t, dir, opts)
	h := &history{t: t, u: u, m: newModel(c), l: l, rng: rand.New(rand.NewPCG(4, 6))}
	// What the desk keeps: the addresses of every event.
	given := map[uint64][]string{}
	for range 30 {
		h.append(50)
	}
	urlOf := map[blocklist.Digest]string{}
	for _, a := range u.addresses {
		d, _ := l.Digest(blocklist.ImageAddress, a)
		urlOf[d] = a
	}
	type summary struct {
		Seq   uint64
		ID    [16]byte
		Type  blocklist.EventType
		Rest  string
		Count int
	}
	read := func(l *blocklist.List) (out []summary, addresses []blocklist.Address) {
		if err := l.Events(1, func(e blocklist.Event) bool {
			k := e.Keys
			if e.Rule != nil {
				k = e.Rule.Keys
			}
			for _, a := range k.Addresses {
				if u := urlOf[a.Digest]; u != "" {
					given[e.Seq] = append(given[e.Seq], u)
				}
			}
			addresses = append(addresses, k.Addresses...)
			out = append(out, summary{e.Seq, e.ID, e.Type, fmt.Sprint(e.Time, e.Target, e.Until, k.Bytes, k.Hashes), len(k.Addresses)})
			return true
		}); err != nil {
			t.Fatal(err)
		}
		return out, addresses
	}
	before, oldAddresses := read(l)
	if err := l.Compact(context.Background()); err != nil {
		t.Fatal(err)
	}
	published := filepath.Join(root, "p")
	if err := l.Publish(published); err != nil {
		t.Fatal(err)
	}
	node, err := blocklist.Load(published, &blocklist.LoadOptions{Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	readdress := func(e blocklist.Event, digest func(blocklist.AddressKind, string) (blocklist.Digest, error)) (out []blocklist.Address, err error) {
		for _, a := range given[e.Seq] {
			d, err := digest(blocklist.ImageAddress, a)
			if err != nil {
				return nil, err
			}
			out = append(out, blocklist.Address{Kind: blocklist.ImageAddress, Digest: d})
		}
		return out, nil
	}
	rekey := func(o, n *blocklist.Options, f func(blocklist.Event, func(blocklist.AddressKind, string) (blocklist.Digest, error)) ([]blocklist.Address, error)) error {
		return boltjournal.Rekey(context.Background(), dir, o, n, f)
	}
	if err := rekey(opts, opts, readdress); !errors.Is(err, blocklist.ErrLocked) {
		t.Errorf("Rekey of an open list: %v, want ErrLocked", err)
	}
	l.Close()
	boom := errors.New("boom")
	if err := rekey(opts, opts, func(e blocklist.Event, _ func(blocklist.AddressKind, string) (blocklist.Digest, error)) ([]blocklist.Address, error) {
		if e.Seq > 1200 {
			return nil, boom
		}
		return []blocklist.Address{{Kind: 1}}, nil
	}); !errors.Is(err, boom) {
		t.Errorf("Rekey that fails: %v", err)
	}
	l = open(t, dir, opts)
	compare(t, u, h.m, l.State())
	if s := l.Info(); len(s.Fallbacks) > 0 || s.SnapshotSeq == 0 {
		t.Errorf("after a Rekey that failed: %+v", s)
	}
	l.Close()

	check := func(when string, opts *blocklist.Options, sameKeys bool) {
		t.Helper()
		l := open(t, dir, opts)
		defer l.Close()
		after, newAddresses := read(l)
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatalf("%s: events (-want +got):\n%s", when, diff)
		}
		if sameKeys != slices.Equal(oldAddresses, newAddresses) {
			t.Errorf("%s: digests are the same: %t", when, !sameKeys)
		}
		oldAddresses = newAddresses
		for i, a := range u.addresses {
			var want, got []uint64
			for j := range h.m.grants {
				g := &h.m.grants[j]
				if slices.Contains(given[g.event], a) && h.m.inForce(g) {
					want = append(want, g.rule)
				}
			}
			got = blocked(t, l.State(), a)
			slices.Sort(want)
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s: address %d (-want +got):\n%s", when, i, diff)
			}
		}
		if s := l.Info(); len(s.Fallbacks) > 0 {
			t.Errorf("%s: %+v", when, s)
		}
		if opts.EncryptionKey == nil {
			if err := l.Publish(published); err != nil {
				t.Fatal(err)
			}
			if changed, err := node.Reload(); err != nil || changed == sameKeys {
				t.Errorf("%s: Reload of a node: %t, %v", when, changed, err)
			}
			if len(blocked(t, node.State(), u.addresses[0])) != len(blocked(t, l.State(), u.addresses[0])) {
				t.Errorf("%s: the node differs", when)
			}
		}
	}
	// A crash of an earlier one left this.
	if err := os.WriteFile(filepath.Join(dir, "journal.new"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := rekey(opts, opts, readdress); err != nil {
		t.Fatal(err)
	}
	check("new secret", opts, false)
	if err := rekey(opts, &sealed, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := boltjournal.Open(dir, opts); !errors.Is(err, blocklist.ErrKey) {
		t.Errorf("Open without the key: %v", err)
	}
	check("encrypted", &sealed, true)
	if err := rekey(&sealed, opts, nil); err != nil {
		t.Fatal(err)
	}
	check("in the clear again", opts, true)
}

// journalFS is a crashfs.FS with the files of the journal, which bbolt writes,
// on the disk: what happens to their names counts as operations too.
type journalFS struct {
	*crashfs.FS
	late bool // an operation within which the machine crashes has happened
	// pending undoes a rename that no SyncDir has made durable.
	pending func()
}

func (f *journalFS) act(act func() error) error {
	_, err := f.FS.List("")
	if err == nil || f.late && errors.Is(err, crashfs.ErrCrashed) {
		err = errors.Join(act(), err)
	}
	return err
}

func (f *journalFS) Remove(name string) error {
	if !strings.HasPrefix(filepath.Base(name), "journal") {
		return f.FS.Remove(name)
	}
	return f.act(func() error { return os.Remove(name) })
}

func (f *journalFS) Rename(from, to string) error {
	if !strings.HasPrefix(filepath.Base(from), "journal") {
		return f.FS.Rename(from, to)
	}
	return f.act(func() error {
		old, err := os.ReadFile(to)
		if err != nil {
			return err
		}
		f.pending = func() {
			// Another file: the old one may have been overwritten.
			os.Remove(to)
			os.WriteFile(to, old, 0o600)
		}
		return os.Rename(from, to)
	})
}

func (f *journalFS) Link(name, second string) error {
	if !strings.HasPrefix(filepath.Base(name), "journal") {
		return f.FS.Link(name, second)
	}
	return f.act(func() error { return os.Link(name, second) })
}

func (f *journalFS) Edit(name string) (file fsx.File, err error) {
	if !strings.HasPrefix(filepath.Base(name), "journal") {
		return f.FS.Edit(name)
	}
	err = f.act(func() error {
		file, err = fsx.OS{}.Edit(name)
		return err
	})
	return file, err
}

func (f *journalFS) SyncDir(dir string) error {
	err := f.FS.SyncDir(dir)
	if err == nil {
		f.pending = nil
	}
	return err
}

// Every single operation of Rekey fails, or the machine crashes there. The list
// then opens under the old key or under the new one, with all that is in it, and
// another Rekey ends what the first one began. With -short it takes every third
// operation.
func TestRekey_CrashAtEveryOperation(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	u := newUniverse(7, 6)
	oldKey, newKey := &blocklist.EncryptionKey{1}, &blocklist.EncryptionKey{2}
	// prepare makes a list with faces and a snapshot on the file system.
	prepare := func(name string, fs *journalFS) (h *history, dir string, from, to *blocklist.Options) {
		dir = filepath.Join(root, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		c := newClock()
		from = blocklist.WithFS(blocklist.Options{Now: c.now, CompactAfter: -1, EncryptionKey: oldKey}, fs)
		to = blocklist.WithFS(blocklist.Options{Now: c.now, CompactAfter: -1, EncryptionKey: newKey}, fs)
		h = &history{t: t, faces: true, u: u, m: newModel(c), rng: rand.New(rand.NewPCG(3, 2)), l: open(t, dir, from)}
		h.append(6)
		if err := h.l.Compact(context.Background()); err != nil {
			t.Fatal(err)
		}
		h.append(4)
		if err := h.l.Close(); err != nil {
			t.Fatal(err)
		}
		return h, dir, from, to
	}
	ctx := context.Background()
	quiet := &journalFS{FS: &crashfs.FS{}}
	_, dir, from, to := prepare("undisturbed", quiet)
	before := quiet.Ops()
	if err := boltjournal.Rekey(ctx, dir, from, to, nil); err != nil {
		t.Fatal(err)
	}
	total := quiet.Ops() - before
	t.Logf("%d operations", total)
	if total < 15 {
		t.Fatalf("only %d operations were counted", total)
	}
	stride := 1
	if testing.Short() {
		stride = 3
	}
	for n := 1; n <= total; n += stride {
		for i, mode := range []crashfs.Mode{crashfs.Fail, crashfs.FailOn, crashfs.Crash, crashfs.CrashWithin, crashfs.CrashWithin} {
			name := fmt.Sprintf("%d %d %v", n, i, mode)
			fs := &journalFS{FS: &crashfs.FS{}, late: i == 4}
			h, dir, from, to := prepare(name, fs)
			fs.Arm(n, mode)
			failed := boltjournal.Rekey(ctx, dir, from, to, nil)
			if failed == nil && mode != crashfs.Fail && mode != crashfs.CrashWithin {
				t.Fatalf("%s: Rekey says that all is well", name)
			}
			if mode != crashfs.Fail {
				// Half of the time a rename that was not synced is not on the disk.
				if failed != nil && fs.pending != nil && n%2 == 0 {
					fs.pending()
				}
				after := &journalFS{FS: fs.AfterCrash(rand.New(rand.NewPCG(uint64(n), 3)))}
				from, to = blocklist.WithFS(*from, after), blocklist.WithFS(*to, after)
			}
			check := func(when string, o *blocklist.Options) {
				l, err := boltjournal.Open(dir, o)
				if err != nil {
					t.Fatalf("%s: %s: %v", name, when, err)
				}
				compare(t, u, h.m, l.State())
				h.m.checkKeys(t, l)
				if s := l.Info(); s.FacesWithoutKey > 0 {
					t.Fatalf("%s: %s: %d faces without a key", name, when, s.FacesWithoutKey)
				}
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
			}
			l, err := boltjournal.Open(dir, from)
			switch {
			case errors.Is(err, blocklist.ErrKey):
				check("replaced", to)
			case err != nil:
				t.Fatalf("%s: Open after %v: %v", name, failed, err)
			case failed == nil:
				t.Fatalf("%s: Rekey returned, and the old key opens the list", name)
			default:
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				check("as before", from)
				if err := boltjournal.Rekey(ctx, dir, from, to, nil); err != nil {
					t.Fatalf("%s: again: %v", name, err)
				}
				check("again", to)
			}
		}
	}
}
