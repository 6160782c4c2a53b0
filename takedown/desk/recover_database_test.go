package desk_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/desk/storetest"
)

// database is a desk whose cases and journal are not in its folder.
type database struct {
	dir string
	o   desk.Options
}

// copied returns the database as it is now, so that an older one can be put back.
func (b *database) copied(t *testing.T) (desk.Store, blocklist.Journal) {
	t.Helper()
	s, j := storetest.Memory(), blocklist.NewMemoryJournal()
	ok(t, b.o.Store.View(func(from desk.StoreTx) error {
		return s.Update(func(to desk.StoreTx) (err error) {
			for _, bucket := range desk.Buckets {
				err = errors.Join(err, from.Scan(bucket, nil, nil, func(k, v []byte) error { return to.Put(bucket, k, v) }))
			}
			return err
		})
	}))
	meta, err := b.o.Journal.Meta()
	ok(t, err)
	entries, err := b.o.Journal.Read(1, 1<<20)
	ok(t, err)
	ok(t, errors.Join(j.SetMeta(meta), j.Append(entries)))
	return s, keptOpen{j}
}

// keptOpen is a journal that can be used again after Close.
type keptOpen struct{ blocklist.Journal }

func (keptOpen) Close() error { return nil }

// A desk whose cases and journal are in a database is repaired as one in files, as far as
// nothing has to be put aside there.
func TestRecover_Database(t *testing.T) {
	t.Parallel()
	url := func(n string) string { return "https://example.org/" + n + ".jpg" }
	for name, tc := range map[string]struct {
		put    func(t *testing.T, b *database, store desk.Store, journal blocklist.Journal, keys []byte)
		choice desk.Choice
		fails  error
		check  func(did desk.Recovery, night, day takedown.CaseID) bool
	}{
		"older keys": {func(t *testing.T, b *database, _ desk.Store, _ blocklist.Journal, keys []byte) {
			ok(t, os.WriteFile(filepath.Join(b.dir, "keys"), keys, 0o600))
		}, desk.LoseKeys, nil, func(did desk.Recovery, _, day takedown.CaseID) bool { return slices.Contains(did.Unreadable, day) }},
		"no operator key": {func(t *testing.T, b *database, _ desk.Store, _ blocklist.Journal, _ []byte) {
			ok(t, os.Remove(filepath.Join(b.dir, "operator.key")))
		}, desk.LoseOperatorKey, nil, func(did desk.Recovery, _, _ takedown.CaseID) bool { return len(did.Unreadable) == 2 }},
		"older journal": {func(t *testing.T, b *database, _ desk.Store, journal blocklist.Journal, _ []byte) {
			b.o.Journal = journal
			ok(t, os.Remove(filepath.Join(b.dir, "published.snap"))) // it would need a new epoch
		}, desk.LoseList, nil, func(did desk.Recovery, _, day takedown.CaseID) bool { return slices.Contains(did.Restored, day) }},
		"no journal": {func(_ *testing.T, b *database, _ desk.Store, _ blocklist.Journal, _ []byte) {
			b.o.Journal = keptOpen{blocklist.NewMemoryJournal()}
		}, desk.LoseList, nil, func(did desk.Recovery, _, _ takedown.CaseID) bool { return did.NewList && len(did.Restored) == 2 }},
		"older cases": {func(_ *testing.T, b *database, store desk.Store, _ blocklist.Journal, _ []byte) {
			b.o.Store = store
		}, desk.LoseCases, nil, func(did desk.Recovery, _, day takedown.CaseID) bool { return slices.Contains(did.Adopted, day) }},
		"no cases": {func(_ *testing.T, b *database, _ desk.Store, _ blocklist.Journal, _ []byte) {
			b.o.Store = storetest.Memory()
		}, desk.LoseCases, nil, func(did desk.Recovery, _, _ takedown.CaseID) bool { return len(did.Adopted) == 2 }},
		"damaged journal": {func(t *testing.T, b *database, _ desk.Store, _ blocklist.Journal, _ []byte) {
			ok(t, b.o.Journal.Rewrite(ctx, func(e blocklist.Entry) ([]byte, error) { return []byte("damaged"), nil }))
			snapshots, err := filepath.Glob(filepath.Join(b.dir, "list", "snapshot-*"))
			ok(t, err)
			for _, s := range snapshots {
				ok(t, os.Remove(s))
			}
		}, desk.LoseList, desk.ErrNotInFolder, nil},
		"older than what was published": {func(t *testing.T, b *database, store desk.Store, journal blocklist.Journal, keys []byte) {
			b.o.Store, b.o.Journal = store, journal
			ok(t, os.WriteFile(filepath.Join(b.dir, "keys"), keys, 0o600))
		}, desk.LoseSince, desk.ErrNotInFolder, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, j := storetest.MemoryWithJournal()
			b := &database{t.TempDir(), desk.Options{Store: s, Journal: jointOf{j, s}}}
			d := open(t, b.dir, &b.o)
			night := accept(t, d, notice(url("night")), desk.Grant{})
			ok(t, d.Publish(ctx, filepath.Join(b.dir, "published.snap")))
			ok(t, d.Close())
			store, journal := b.copied(t)
			keys, err := os.ReadFile(filepath.Join(b.dir, "keys"))
			ok(t, err)
			d = open(t, b.dir, &b.o)
			day := accept(t, d, notice(url("day")), desk.Grant{})
			ok(t, d.Publish(ctx, filepath.Join(b.dir, "published.snap")))
			ok(t, d.Close())

			tc.put(t, b, store, journal, keys)
			var m *desk.MismatchError
			if _, err := desk.Open(b.dir, &b.o); !errors.As(err, &m) || m.Choice() != tc.choice {
				t.Fatalf("Open: %v, want the choice %q", err, tc.choice)
			}
			did, err := desk.Recover(ctx, b.dir, &b.o, tc.choice)
			if tc.fails != nil {
				if !errors.Is(err, tc.fails) {
					t.Errorf("Recover: %v, want %v", err, tc.fails)
				}
				return
			}
			ok(t, err)
			if !tc.check(did, night, day) {
				t.Errorf("%+v", did)
			}
			d = open(t, b.dir, &b.o)
			for _, n := range []string{"night", "day"} {
				wantVerdict(t, n, d.Enforcer().FilterURL(url(n)), takedown.Block)
			}
			ok(t, d.Withdraw(ctx, day, alice))
			wantVerdict(t, "withdrawn", d.Enforcer().FilterURL(url("day")), takedown.Allow)
			accept(t, d, notice(url("after")), desk.Grant{})
		})
	}
}
