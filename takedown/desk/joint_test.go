package desk_test

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/desk/storetest"
)

// looking is a store that is looked at after every commit.
type looking struct {
	desk.Store
	look func()
}

func (s *looking) Update(f func(desk.StoreTx) error) error {
	err := s.Store.Update(f)
	s.look()
	return err
}

// With a journal in the database of the store, no commit shows a decision without its
// events or events without their decision: the store always knows the last event, and
// nothing waits for the list.
func TestJointJournal(t *testing.T) {
	t.Parallel()
	s, j := storetest.MemoryWithJournal()
	commits, events := 0, uint64(0)
	store := &looking{Store: s}
	store.look = func() {
		commits++
		last, err := j.Last()
		ok(t, err)
		ok(t, s.View(func(tx desk.StoreTx) error {
			at, err := tx.Get(desk.BucketMeta, []byte("delivered"))
			if len(at) > 28 && binary.BigEndian.Uint64(at[20:]) != last || len(at) == 0 && last > 0 {
				t.Errorf("commit %d: the journal ends at event %d, and the store knows %x", commits, last, at)
			}
			return errors.Join(err, tx.Scan(desk.BucketOutbox, nil, nil, func(k, _ []byte) error {
				t.Errorf("commit %d: %x waits in the outbox", commits, k)
				return nil
			}))
		}))
		events = last
	}
	dir := t.TempDir()
	o := &desk.Options{Store: store, Journal: jointOf{j, store}, FaceModels: faceModels, TrustFaceVectors: true}
	d := open(t, dir, o)
	url := func(n string) string { return "https://example.org/" + n + ".jpg" }
	a := accept(t, d, notice(url("a"), url("b")), desk.Grant{})
	p := accept(t, d, optOut(t, 1), desk.Grant{})
	candidate := testCandidate(t, 1)
	candidate.SHA256 = [32]byte{9} // another file of the picture
	_, err := d.Resolve(ctx, desk.Match{Actor: alice, Candidate: candidate, Decision: d.Enforcer().Check(candidate)}, desk.NotTheSame)
	ok(t, err)
	wantVerdict(t, "excepted", d.Enforcer().Check(candidate), takedown.Allow)
	common, err := d.AddToAllowList(ctx, testCandidate(t, 2), desk.Actor{By: "alice", Reason: "logo"}, "")
	ok(t, err)
	ok(t, d.RemoveFromAllowList(ctx, common.Event, desk.Actor{By: "alice", Reason: "error"}))
	ok(t, d.Withdraw(ctx, a, alice))
	wantVerdict(t, "withdrawn", d.Enforcer().FilterURL(url("a")), takedown.Allow)
	ok(t, d.Erase(ctx, p, alice))
	ok(t, d.Verify(ctx))
	accept(t, d, notice(url("c")), desk.Grant{})
	if commits < 8 || events != 7 {
		t.Errorf("%d commits, %d events: the test shows little", commits, events)
	}
	ok(t, d.Close())
	d = open(t, dir, o)
	wantVerdict(t, "opened again", d.Enforcer().FilterURL(url("c")), takedown.Block)
	ok(t, d.Verify(ctx))
}

// A journal that shares transactions with another store than the desk has is used as
// any other.
func TestJointJournal_OfAnotherStore(t *testing.T) {
	t.Parallel()
	_, j := storetest.MemoryWithJournal()
	d := open(t, t.TempDir(), &desk.Options{Store: storetest.Memory(), Journal: j})
	id := accept(t, d, notice("https://example.org/a.jpg"), desk.Grant{})
	wantVerdict(t, "in force", d.Enforcer().FilterURL("https://example.org/a.jpg"), takedown.Block)
	ok(t, d.Withdraw(ctx, id, alice))
	ok(t, d.Verify(ctx))
}
