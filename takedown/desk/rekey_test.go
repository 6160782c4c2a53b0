package desk_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// underOlderRules changes the number of the rules for addresses in a journal
// that is not encrypted, as if an older program had written it.
func underOlderRules(tb testing.TB, dir string) {
	tb.Helper()
	db, err := bbolt.Open(filepath.Join(dir, "list", "journal.db"), 0o600, nil)
	ok(tb, err)
	ok(tb, db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("meta"))
		meta := bytes.Clone(b.Get([]byte("list")))
		rules := meta[4+52:] // the header, then the identity: docs/format/journal.md
		if got := binary.LittleEndian.Uint32(rules); got != blocklist.AddressRules {
			tb.Fatalf("rules %d in the journal, not %d", got, blocklist.AddressRules)
		}
		binary.LittleEndian.PutUint32(rules, blocklist.AddressRules-1)
		for _, n := range []int{len(meta) - 8, len(meta) - 4} { // of the list, and of the file
			binary.LittleEndian.PutUint32(meta[n:], crc32.Checksum(meta[:n], crc32.MakeTable(crc32.Castagnoli)))
		}
		return b.Put([]byte("list"), meta)
	}))
	ok(tb, db.Close())
}

// A desk whose list follows older rules for addresses makes it anew when it is
// opened, and everything goes on: blocks, pages, withdrawals, nodes.
func TestOpen_RekeysAddresses(t *testing.T) {
	t.Parallel()
	dir, snapshot := t.TempDir(), filepath.Join(t.TempDir(), "list.snap")
	d, err := desk.Open(dir, nil)
	ok(t, err)
	notice := samples(t, takedown.CaseID{})[request.KindDSANotice].(request.DSANotice)
	notice.ImageURLs = []string{"https://example.org/a_%28cropped%29.jpg", "https://example.org/b.jpg"}
	notice.PageURLs = []string{"https://example.org/page"}
	kept := accept(t, d, notice, desk.Grant{Items: map[int]desk.ItemDecision{1: {Outcome: desk.OutcomeRejected, Reason: "not_illegal"}}})
	notice.ImageURLs, notice.PageURLs = []string{"https://example.org/gone.jpg"}, nil
	gone := accept(t, d, notice, desk.Grant{})
	ok(t, d.Withdraw(ctx, gone, desk.Actor{}))
	picture := accept(t, d, optOut(t, 1), desk.Grant{})
	copyAt := takedown.Candidate{ImageURLs: []string{"https://elsewhere.example/copy.jpg"}, Hashes: hashes(t, testJPEG(t, 1))}
	_, err = d.Resolve(ctx, desk.Match{Actor: alice, Candidate: copyAt, Decision: d.Enforcer().Check(copyAt), File: testJPEG(t, 1)}, desk.SameImage)
	ok(t, err)
	ok(t, d.Erase(ctx, kept, alice)) // the addresses stay, sealed
	ok(t, d.Publish(ctx, snapshot))
	ok(t, d.Close())
	node, err := takedown.Load(snapshot, nil)
	ok(t, err)
	defer node.Close()

	underOlderRules(t, dir)
	if _, err := os.Stat(filepath.Join(dir, "list", "journal.db")); err != nil {
		t.Fatal(err)
	}
	d, err = desk.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	check := func(what string, e *takedown.Enforcer) {
		t.Helper()
		wantVerdict(t, what+": accepted", e.FilterURL("https://example.org/a_(cropped).jpg"), takedown.Block)
		wantVerdict(t, what+": refused", e.FilterURL("https://example.org/b.jpg"), takedown.Allow)
		wantVerdict(t, what+": page", e.FilterPage("https://example.org/page"), takedown.Block)
		wantVerdict(t, what+": withdrawn", e.FilterURL("https://example.org/gone.jpg"), takedown.Allow)
		wantVerdict(t, what+": picture", e.Filter("", hashes(t, testJPEG(t, 1))...), takedown.Block)
	}
	check("opened", d.Enforcer())
	ok(t, d.Publish(ctx, snapshot))
	if changed, err := node.Reload(); !changed || err != nil {
		t.Errorf("a node reloads: %t, %v", changed, err)
	}
	check("node", node)
	ok(t, d.Withdraw(ctx, kept, desk.Actor{}))
	wantVerdict(t, "withdrawn afterwards", d.Enforcer().FilterURL("https://example.org/a_(cropped).jpg"), takedown.Allow)
	ok(t, d.Withdraw(ctx, picture, desk.Actor{}))
	wantVerdict(t, "the picture, withdrawn", d.Enforcer().Filter("", hashes(t, testJPEG(t, 1))...), takedown.Allow)
}

// A move that was cut short has digests of the older rules in the outbox: the
// program that began it has to finish it.
func TestOpen_RekeyRefusesUnfinishedMoves(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := desk.OpenStore(filepath.Join(dir, "cases.db"))
	ok(t, err)
	c := &crashing{Store: s}
	c.left.Store(1 << 40)
	d, err := desk.Open(dir, &desk.Options{Store: c})
	ok(t, err)
	notice := samples(t, takedown.CaseID{})[request.KindDSANotice]
	got, err := d.Submit(ctx, notice)
	ok(t, err)
	c.left.Store(1) // the case moves, and the outbox is never emptied
	if err := d.Accept(ctx, got.ID, desk.Grant{}); err == nil {
		t.Fatal("the store did not fail")
	}
	_ = d.Close()
	underOlderRules(t, dir)
	if _, err := desk.Open(dir, nil); !errors.Is(err, desk.ErrUnfinished) {
		t.Errorf("Open: %v, want ErrUnfinished", err)
	}
}
