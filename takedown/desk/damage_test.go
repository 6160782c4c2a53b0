package desk_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
)

// readDesk reads everything that a case store holds.
func readDesk(dir string) (n int, err error) {
	d, err := desk.Open(dir, nil)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	var ids []takedown.CaseID
	if err := eachCase(d, func(c desk.Case) bool {
		ids = append(ids, c.ID)
		return true
	}); err != nil {
		return 0, err
	}
	for _, id := range ids {
		if _, err := d.Case(ctx, id); err != nil {
			return 0, err
		}
		if _, err := d.Evidence(ctx, id); err != nil && !errors.Is(err, desk.ErrErased) {
			return 0, err
		}
		file, err := d.Picture(ctx, id, 0)
		if err == nil {
			_, err = file.Bytes(file.Size())
		}
		if err != nil {
			return 0, err
		}
	}
	_, _, err = d.VerifyLog(ctx)
	return len(ids), err
}

// damageErrors are what may be said of a damaged case store.
var damageErrors = []error{
	desk.ErrStore, desk.ErrSealed, desk.ErrLog, desk.ErrListLost, desk.ErrMismatch, blocklist.ErrChecksum, blocklist.ErrVersion,
}

// wantRefused reports what is wrong with how a damaged desk was answered: with
// no error that says so, or with fewer cases than there are.
func wantRefused(tb testing.TB, what, dir string, cases int) (refused bool) {
	tb.Helper()
	n, err := readDesk(dir)
	if err == nil {
		if n != cases {
			tb.Errorf("%s: %d of %d cases, and no error", what, n, cases)
		}
		return false
	}
	for _, known := range damageErrors {
		if errors.Is(err, known) {
			return true
		}
	}
	if !strings.Contains(err.Error(), "version") {
		tb.Errorf("%s: %v", what, err)
	}
	return true
}

// damagedDesk makes a closed desk with something of everything.
func damagedDesk(tb testing.TB) (dir string, file []byte, cases int) {
	tb.Helper()
	dir = tb.TempDir()
	d, err := desk.Open(dir, &desk.Options{
		KeepPictures: true,
		Notifier:     desk.NotifierFunc(func(context.Context, desk.Message) error { return errors.New("later") }),
	})
	if err != nil {
		tb.Fatal(err)
	}
	first := accept(tb, d, optOut(tb, 1), desk.Grant{})
	for _, u := range []string{"https://example.org/a.jpg", "https://example.org/b.jpg", "https://example.org/c.jpg"} {
		accept(tb, d, notice(u), desk.Grant{})
	}
	c, err := d.Submit(ctx, faceOptOut(portrait(tb, 1, 0), portrait(tb, 2, 0)))
	if err != nil || c.Items[0].Template == nil {
		tb.Fatal("no template to damage", err)
	}
	erased := accept(tb, d, notice("https://example.org/d.jpg"), desk.Grant{})
	err = errors.Join(
		d.AddEvidence(ctx, first, []desk.Evidence{desk.Evidence{Candidate: takedown.Candidate{ImageURLs: []string{"https://example.org/e.jpg"}}}}),
		d.Erase(ctx, erased, alice), d.Close())
	if err != nil {
		tb.Fatal(err)
	}
	if file, err = os.ReadFile(filepath.Join(dir, "cases.db")); err != nil {
		tb.Fatal(err)
	}
	return dir, file, 6
}

// A bucket whose name is damaged is missed, and not made anew: a desk without
// cases would destroy their keys.
func TestOpen_DamagedBuckets(t *testing.T) {
	t.Parallel()
	dir, good, cases := damagedDesk(t)
	keys, err := os.ReadFile(filepath.Join(dir, "keys"))
	ok(t, err)
	for _, name := range desk.Buckets {
		refused := 0
		for at := range good {
			if !bytes.HasPrefix(good[at:], []byte(name)) {
				continue
			}
			file := bytes.Clone(good)
			file[at+len(name)-1] ^= 0x20
			ok(t, os.WriteFile(filepath.Join(dir, "cases.db"), file, 0o600))
			if wantRefused(t, string(name), dir, cases) {
				refused++
			}
			now, err := os.ReadFile(filepath.Join(dir, "keys"))
			if ok(t, err); !bytes.Equal(keys[desk.KeysStart:], now[desk.KeysStart:]) {
				t.Fatalf("%s: the keys of cases have changed", name)
			}
		}
		if refused == 0 {
			t.Errorf("%s: no change of its name was refused", name)
		}
	}
}

// Whatever byte of cases.db is changed, and wherever it is cut: it is refused
// with an error that says so, or what is read is all there. Nothing panics or
// hangs, and no key of a case is destroyed over it.
func TestOpen_DamagedCases(t *testing.T) {
	t.Parallel()
	dir, good, cases := damagedDesk(t)
	path := filepath.Join(dir, "cases.db")
	keys, err := os.ReadFile(filepath.Join(dir, "keys"))
	ok(t, err)
	refused := 0
	try := func(what string, file []byte) {
		t.Helper()
		ok(t, os.WriteFile(path, file, 0o600))
		if wantRefused(t, what, dir, cases) {
			refused++
		}
		now, err := os.ReadFile(filepath.Join(dir, "keys"))
		if ok(t, err); !bytes.Equal(keys[desk.KeysStart:], now[desk.KeysStart:]) {
			t.Fatalf("%s: the keys of cases have changed", what)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	n := 250
	if testing.Short() {
		n = 60
	}
	for range n {
		file := bytes.Clone(good)
		// Half of them in what is used: pages begin with their heads.
		at := r.IntN(len(file))
		if page := os.Getpagesize(); r.IntN(2) == 0 {
			at = at/page*page + r.IntN(200)
		}
		file[at] ^= byte(1 + r.IntN(255))
		try("a changed byte", file)
	}
	for range 20 {
		try("cut", good[:1+r.IntN(len(good)-1)])
	}
	try("something else", []byte("%PDF-1.7 and so on"))
	if refused < n/10 { // most bytes are of free pages
		t.Errorf("only %d of %d were refused: the test damages too little", refused, n)
	}
	t.Logf("%d of %d damaged files were refused", refused, n+21)
	ok(t, os.WriteFile(path, good, 0o600))
	if n, err := readDesk(dir); err != nil || n != cases {
		t.Errorf("as it was: %d cases, %v", n, err)
	}
}

// A case store that is cut while the desk is open gives an error, and does not
// take the process with it.
func TestCase_CutWhileOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, err := desk.Open(dir, nil)
	ok(t, err)
	id := accept(t, d, notice("https://example.org/a.jpg"), desk.Grant{})
	if err := os.Truncate(filepath.Join(dir, "cases.db"), 0); err != nil {
		d.Close()
		t.Skip("an open file cannot be cut here: ", err)
	}
	for range 2 {
		if _, err := d.Case(t.Context(), id); !errors.Is(err, desk.ErrStore) {
			t.Errorf("Case: %v, want ErrStore", err)
		}
	}
	if got := d.Enforcer().FilterURL("https://example.org/a.jpg").Verdict; got != takedown.Block {
		t.Errorf("the list says %v, want block", got)
	}
	ok(t, d.Close())
}

// A case store of a newer version is refused by that name.
func TestOpen_NewerCases(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, err := desk.Open(dir, nil)
	ok(t, err)
	ok(t, d.Close())
	s, err := desk.OpenStore(filepath.Join(dir, "cases.db"))
	ok(t, err)
	ok(t, s.Update(func(tx desk.StoreTx) error {
		return tx.Put(desk.BucketMeta, []byte("version"), []byte{99})
	}))
	ok(t, s.Close())
	if _, err := desk.Open(dir, nil); !errors.Is(err, blocklist.ErrVersion) || errors.Is(err, desk.ErrStore) {
		t.Errorf("%v, want ErrVersion", err)
	}
}
