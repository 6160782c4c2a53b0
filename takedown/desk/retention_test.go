package desk_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

const days = 24 * time.Hour

// expire calls Expire until the desk is sure of a clock that was moved: until then it
// destroys nothing.
func (o *office) expire(t *testing.T) {
	t.Helper()
	for range 3 {
		_, err := o.Expire(ctx)
		ok(t, err)
		o.later(25 * time.Hour)
	}
	_, err := o.Expire(ctx)
	ok(t, err)
}

// Cases that nobody confirms, completes or needs any more end by themselves, after
// their time and not before, and are listed before it happens.
func TestRetention(t *testing.T) {
	t.Parallel()
	o := newOffice(t, func(opts *desk.Options) {
		opts.ConfirmEmail = true
		opts.Retention = desk.Retention{Unconfirmed: 20 * days, Incomplete: 40 * days, Ended: 100 * days}
	})
	unconfirmed := o.submit(t, optOut(t, 1)).ID
	incomplete := o.submit(t, notice("https://example.org/a.jpg")).ID
	ok(t, o.AskInfo(ctx, incomplete, alice, []string{"explanation"}))
	ended := o.submit(t, notice("https://example.org/b.jpg")).ID
	ok(t, o.Withdraw(ctx, ended, desk.Actor{}))
	held := o.submit(t, notice("https://example.org/c.jpg")).ID
	ok(t, o.Withdraw(ctx, held, desk.Actor{}))
	ok(t, o.LegalHold(ctx, held, true, alice))
	inForce := o.submit(t, notice("https://example.org/d.jpg")).ID
	ok(t, o.Accept(ctx, inForce, desk.Grant{Actor: alice}))
	forATime := o.submit(t, notice("https://example.org/e.jpg")).ID
	ok(t, o.Accept(ctx, forATime, desk.Grant{Actor: alice, End: day0.Add(10 * days)}))
	o.settle()

	want := []desk.Planned{
		{Case: forATime, Kind: request.KindDSANotice, Action: desk.PlanExpire, At: day0.Add(10 * days)},
		{Case: unconfirmed, Kind: request.KindImageOptOut, Action: desk.PlanAbandon, At: day0.Add(20 * days)},
		{Case: incomplete, Kind: request.KindDSANotice, Action: desk.PlanAbandon, At: day0.Add(40 * days)},
		{Case: ended, Kind: request.KindDSANotice, Action: desk.PlanErase, At: day0.Add(100 * days)},
	}
	list, err := o.Planned(ctx, time.Time{})
	ok(t, err)
	if diff := cmp.Diff(want, list); diff != "" {
		t.Errorf("planned (-want +got):\n%s", diff)
	}
	list, err = o.Planned(ctx, day0.Add(20*days))
	if ok(t, err); !slices.Equal(list, want[:2]) {
		t.Errorf("planned for twenty days: %+v", list)
	}

	o.set(day0.Add(15 * days))
	o.expire(t)
	o.wantState(t, unconfirmed, desk.StateUnconfirmed)
	o.set(day0.Add(21 * days))
	o.expire(t)
	c := o.wantState(t, unconfirmed, desk.StateAbandoned)
	if !c.Erased() {
		t.Error("the personal data of a case that was never confirmed is there")
	}
	o.wantState(t, incomplete, desk.StateNeedsInfo)
	o.set(day0.Add(41 * days))
	o.expire(t)
	if c := o.wantState(t, incomplete, desk.StateAbandoned); c.Erased() {
		t.Error("the personal data of an abandoned case is gone before its time")
	}
	if c := o.wantState(t, ended, desk.StateWithdrawn); c.Erased() {
		t.Error("a case is erased before its time")
	}
	o.set(day0.Add(101 * days))
	o.expire(t)
	if c := o.wantState(t, ended, desk.StateClosed); !c.Erased() {
		t.Error("a case is not erased")
	}
	o.set(day0.Add(300 * days))
	o.expire(t)
	if c := o.wantState(t, incomplete, desk.StateClosed); !c.Erased() {
		t.Error("an abandoned case is not erased")
	}
	if c := o.wantState(t, held, desk.StateWithdrawn); c.Erased() {
		t.Error("a case under a legal hold is erased")
	}
	if c := o.wantState(t, inForce, desk.StateInForce); c.Erased() {
		t.Error("a case in force is erased")
	}
	ok(t, o.VerifyIndex())
	if _, _, err := o.VerifyLog(ctx); err != nil {
		t.Error(err)
	}
}

// A case is kept while people may complain about its decision, and while a reply about
// it is not decided.
func TestRetention_Complaints(t *testing.T) {
	t.Parallel()
	o := newOffice(t, func(opts *desk.Options) { opts.Retention.Ended = 10 * days })
	c := o.submit(t, notice("https://example.org/a.jpg"))
	ok(t, o.Reject(ctx, c.ID, refuse(alice)))
	o.settle() // the window begins
	list, err := o.Planned(ctx, time.Time{})
	if ok(t, err); len(list) != 1 || !list[0].At.Equal(day0.AddDate(0, 6, 0)) {
		t.Errorf("planned %+v", list)
	}
	complaint := o.submit(t, request.Complaint{Requester: person, Case: c.ID, Party: request.PartyNotifier, Grounds: "Look again."})
	o.set(day0.AddDate(0, 7, 0))
	o.expire(t)
	o.wantState(t, c.ID, desk.StateRejected)
	ok(t, o.Reject(ctx, complaint.ID, refuse(bob)))
	o.expire(t)
	if c := o.wantState(t, c.ID, desk.StateClosed); !c.Erased() {
		t.Error("it is not erased")
	}
}

// What was withdrawn and erased is in no file of the list: no digest, hash or
// features; and before it was there.
func TestErase_List(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := &clock{t: day0}
	d := open(t, dir, &desk.Options{Now: now.Now})
	c, err := d.Submit(ctx, optOut(t, 1))
	ok(t, err)
	kept, err := d.Submit(ctx, optOut(t, 2))
	ok(t, err)
	for _, id := range []takedown.CaseID{c.ID, kept.ID} {
		ok(t, d.Accept(ctx, id, desk.Grant{Actor: alice}))
	}
	whole, err := d.Case(ctx, c.ID)
	ok(t, err)
	pic := whole.Pictures[0]
	traces := map[string][]byte{"digest": pic.SHA256[:], "hash": reversed(pic.Hash.Bytes())}
	ok(t, d.Compact(ctx))
	found := tracesIn(t, filepath.Join(dir, "list"), traces)
	if !found["digest"] || !found["hash"] {
		t.Fatalf("the test looks for the wrong bytes: %v", found)
	}
	ok(t, d.Withdraw(ctx, c.ID, desk.Actor{}))
	ok(t, d.Erase(ctx, c.ID, alice))
	if found := tracesIn(t, dir, traces); len(found) > 0 {
		t.Errorf("after the erasure there are: %v", found)
	}
	if v := d.Enforcer().Check(testCandidate(t, 2)).Verdict; v != takedown.Block {
		t.Errorf("the other picture: %v", v)
	}
	if left := d.Record(c.ID).Past; len(left) > 0 {
		t.Errorf("rules %v are left to erase", left)
	}
	ok(t, d.VerifyIndex())

	// A case that is erased first, and ends later, leaves nothing either.
	whole, err = d.Case(ctx, kept.ID)
	ok(t, err)
	pic = whole.Pictures[0]
	traces = map[string][]byte{"digest": pic.SHA256[:], "hash": reversed(pic.Hash.Bytes())}
	ok(t, d.Erase(ctx, kept.ID, alice))
	if v := d.Enforcer().Check(testCandidate(t, 2)).Verdict; v != takedown.Block {
		t.Errorf("erased, and in force: %v", v)
	}
	ok(t, d.Withdraw(ctx, kept.ID, desk.Actor{}))
	ok(t, d.Close())
	if found := tracesIn(t, dir, traces); len(found) > 0 {
		t.Errorf("after the withdrawal of an erased case there are: %v", found)
	}
}

func reversed(b []byte) []byte {
	b = bytes.Clone(b)
	slices.Reverse(b)
	return b
}

// tracesIn returns which of some bytes, in either order, are in the files of a folder.
func tracesIn(t *testing.T, dir string, traces map[string][]byte) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	ok(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		for name, trace := range traces {
			if bytes.Contains(b, trace) || bytes.Contains(b, reversed(trace)) {
				found[name] = true
			}
		}
		return err
	}))
	return found
}
