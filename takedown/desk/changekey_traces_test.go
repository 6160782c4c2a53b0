package desk

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/staydown/staydown/takedown/request"
)

// After a change of the operator key nothing in the folder opens to the old one with the
// new one, and no file has the old one, also not under a name that somebody kept. What
// was counted for an address stays counted.
func TestChangeOperatorKey_Traces(t *testing.T) {
	t.Parallel()
	ctx, dir, fresh := context.Background(), t.TempDir(), bytes.Repeat([]byte{2}, operatorKeySize)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	d, err := Open(dir, nil)
	must(err)
	c, err := d.Submit(ctx, request.DSANotice{
		Requester: request.Requester{Name: "A Person", Email: "person@example.net"},
		ImageURLs: []string{"https://example.org/a.jpg"}, Ground: request.GroundPrivacy, Explanation: "This is a picture of me.",
		GoodFaith: request.Statement{Text: "Accurate and complete.", Accepted: time.Now()},
	})
	must(err)
	now := d.clock()
	must(d.store.db.Update(func(tx StoreTx) error {
		digest := d.store.recipientDigest("person@example.net", "")
		return errors.Join(
			countSent(tx, now, digest), countSent(tx, now, digest), countSent(tx, now, d.store.recipientDigest("nobody@example.net", "")),
			tx.Put(BucketSent, confirmedKey(digest), ixTime(nil, now)),
		)
	}))
	id := d.store.id
	must(d.Close())
	old, err := os.ReadFile(filepath.Join(dir, "operator.key"))
	must(err)
	kept := filepath.Join(t.TempDir(), "kept")
	must(os.Link(filepath.Join(dir, "operator.key"), kept))

	must(ChangeOperatorKey(ctx, dir, nil, fresh))

	all, err := filepath.Glob(filepath.Join(dir, "*"))
	must(err)
	for _, path := range append(all, kept) {
		b, err := os.ReadFile(path)
		if fi, failed := os.Stat(path); failed == nil && fi.IsDir() {
			continue
		}
		must(err)
		if bytes.Contains(b, old) {
			t.Errorf("%s has the old key", filepath.Base(path))
		}
		size := len(seal([operatorKeySize]byte(fresh), nil, old))
		for at := 0; at+size <= len(b); at++ {
			if found, err := unseal([operatorKeySize]byte(fresh), label("changing", id), b[at:at+size]); err == nil && bytes.Equal(found, old) {
				t.Errorf("%s has the old key, sealed, at %d", filepath.Base(path), at)
			}
		}
	}
	d, err = Open(dir, nil)
	must(err)
	defer d.Close()
	must(d.store.db.View(func(tx StoreTx) error {
		digest := d.store.recipientDigest("person@example.net", "")
		if n, err := sentCount(tx, now, digest); n != 2 || err != nil {
			t.Errorf("%d messages are counted, %v", n, err)
		}
		if b, err := tx.Get(BucketSent, confirmedKey(digest)); b == nil || err != nil {
			t.Errorf("the address is not confirmed any more: %v", err)
		}
		n := 0
		err := tx.Scan(BucketSent, nil, nil, func(_, _ []byte) error { n++; return nil })
		if n != 2 {
			t.Errorf("%d counts and confirmations", n)
		}
		return err
	}))
	if whole, err := d.Case(ctx, c.ID); err != nil || whole.Request == nil {
		t.Error(err)
	}
}
