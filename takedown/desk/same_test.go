package desk_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/desk/storetest"
	"github.com/staydown/staydown/takedown/request"
)

// Ten equal requests of one person are flagged, and one decision answers all.
func TestSame(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	var ids []takedown.CaseID
	for range 10 {
		ids = append(ids, o.submit(t, optOut(t, 1)).ID)
	}
	other := o.submit(t, optOut(t, 2))
	for i, id := range ids {
		if c, err := o.Case(ctx, id); err != nil || !slices.Contains(c.Flags, desk.FlagSamePending) {
			t.Errorf("case %d: %v, %v", i, c.Flags, err)
		}
	}
	if c, err := o.Case(ctx, other.ID); err != nil || slices.Contains(c.Flags, desk.FlagSamePending) {
		t.Errorf("another picture: %v, %v", c.Flags, err)
	}
	same, err := o.SameAs(ctx, ids[0])
	if err != nil || len(same) != 9 {
		t.Errorf("%d are the same, %v", len(same), err)
	}
	ok(t, o.Accept(ctx, ids[0], desk.Grant{Actor: alice}))
	closed, err := o.CloseSame(ctx, ids[0], alice)
	if err != nil || len(closed) != 9 {
		t.Errorf("%d closed, %v", len(closed), err)
	}
	for _, id := range closed {
		if c := o.wantState(t, id, desk.StateRejected); c.Same != ids[0] {
			t.Errorf("covered by %v", c.Same)
		}
	}
	o.wantState(t, other.ID, desk.StateInReview)
}

// What asks for more, or comes from somebody else, is not answered with it; who
// claims what somebody else claims too is flagged while both wait.
func TestSame_NotCovered(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	first, second := optOut(t, 1), optOut(t, 1)
	first.Claim, second.Claim = request.ClaimOwner, request.ClaimOwner
	second.Requester.Email = "somebody-else@example.org"
	a, b := o.submit(t, first), o.submit(t, second)
	for _, id := range []takedown.CaseID{a.ID, b.ID} {
		if c, err := o.Case(ctx, id); err != nil || !slices.Contains(c.Flags, desk.FlagPendingContradiction) {
			t.Errorf("flags %v, %v", c.Flags, err)
		}
	}
	ok(t, o.Accept(ctx, a.ID, desk.Grant{Actor: alice}))
	more := first
	more.Images = images(testJPEG(t, 1), testJPEG(t, 2))
	c := o.submit(t, more)
	if closed, err := o.CloseSame(ctx, a.ID, alice); err != nil || len(closed) != 0 {
		t.Errorf("closed %v, %v", closed, err)
	}
	o.wantState(t, c.ID, desk.StateInReview)
	if failed := o.RejectAll(ctx, []takedown.CaseID{b.ID, c.ID, a.ID}, refuse(alice)); len(failed) != 1 || failed[a.ID] == nil {
		t.Errorf("failed %v", failed)
	}
	o.wantState(t, b.ID, desk.StateRejected)
	two := []takedown.CaseID{o.submit(t, notice("https://example.org/a.jpg")).ID, o.submit(t, notice("https://example.org/b.jpg")).ID}
	if failed := o.AcceptAll(ctx, two, desk.Grant{Actor: alice}); len(failed) != 0 {
		t.Errorf("failed %v", failed)
	}
	o.wantState(t, two[1], desk.StateInForce)
}

// A case that cannot be read keeps no new case about the same out, and is not flagged.
func TestSame_Unreadable(t *testing.T) {
	t.Parallel()
	store := storetest.Memory()
	d := open(t, t.TempDir(), &desk.Options{Store: store})
	submit := func() desk.Case {
		c, err := d.Submit(ctx, notice("https://example.org/a.jpg"))
		ok(t, err)
		return c
	}
	damaged, whole := submit(), submit()
	ok(t, store.Update(func(tx desk.StoreTx) error {
		return tx.Put(desk.BucketCases, damaged.ID[:], []byte("damaged"))
	}))
	if c := submit(); !slices.Contains(c.Flags, desk.FlagSamePending) {
		t.Errorf("the flags are %v", c.Flags)
	}
	if same, err := d.SameAs(ctx, whole.ID); err != nil || len(same) != 1 {
		t.Errorf("%v are the same, %v", same, err)
	}
	if _, err := d.Case(ctx, damaged.ID); !errors.Is(err, desk.ErrStore) {
		t.Errorf("control: %v", err)
	}
}
