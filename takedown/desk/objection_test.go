package desk_test

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"slices"
	"testing"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

var stranger = request.Requester{Name: "B. Publisher", Email: "publisher@other.example", Role: request.RolePublisher}

// objectionTo is an objection without the number of a case.
func objectionTo(tb testing.TB, files [][]byte, addresses ...string) request.Objection {
	return request.Objection{
		Requester: stranger, ImageURLs: addresses, Images: images(files...), Reason: request.CounterNoRight,
		Explanation: "This is another picture.", GoodFaith: stated("Accurate and complete."),
	}
}

// Somebody who is blocked by likeness shows the picture. Accepted, the rule leaves
// that picture alone, and blocks all that it blocked besides.
func TestObjection_ByPicture(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	own, alike := testJPEG(t, 40), testJPEG(t, 41)
	victim := o.submit(t, optOut(t, 40))
	ok(t, o.Accept(ctx, victim.ID, desk.Grant{Actor: alice}))
	// Another picture that is blocked by its likeness: one reviewer is enough.
	other := covered(t, own)
	wantVerdict(t, "the other picture", o.Enforcer().Filter("", hashes(t, other)...), takedown.Block)
	o.letters(victim.ID)
	c := o.submit(t, objectionTo(t, [][]byte{other}))
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
	o.wantLetters(t, victim.ID, desk.MessageExcepted)
	wantVerdict(t, "the other picture, excepted", o.Enforcer().Filter("", hashes(t, other)...), takedown.Allow)
	wantVerdict(t, "the picture of the victim", o.Enforcer().Filter("", hashes(t, own)...), takedown.Block)
	c = o.submit(t, objectionTo(t, [][]byte{alike}))
	if list, err := o.Blocking(ctx, c.ID); err != nil || len(list) != 0 {
		t.Errorf("of a picture that nothing blocks: %+v, %v", list, err)
	}
	var ge *desk.GrantError
	if err := o.Accept(ctx, c.ID, desk.Grant{Actor: alice}); !errors.As(err, &ge) {
		t.Errorf("accepted: %v", err)
	}
	// The registered picture itself: to take it from the victim needs two.
	c = o.submit(t, objectionTo(t, [][]byte{own}))
	list, err := o.Blocking(ctx, c.ID)
	if err != nil || len(list) == 0 || list[0].Case != victim.ID || !list[0].Own {
		t.Fatalf("%+v, %v", list, err)
	}
	o.letters(victim.ID)
	wantSecond(t, "by one", o.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
	wantVerdict(t, "approved by one", o.Enforcer().Filter("", hashes(t, own)...), takedown.Block)
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: bob}))
	o.wantState(t, c.ID, desk.StateClosed)
	o.wantState(t, victim.ID, desk.StateInForce)
	o.wantLetters(t, victim.ID, desk.MessageExcepted)
}

// covered returns a picture that is like another one: a corner of it is covered.
func covered(tb testing.TB, file []byte) []byte {
	tb.Helper()
	m, err := jpeg.Decode(bytes.NewReader(file))
	ok(tb, err)
	b := m.Bounds()
	out := image.NewRGBA(b)
	draw.Draw(out, b, m, b.Min, draw.Src)
	draw.Draw(out, image.Rect(b.Max.X*3/5, b.Max.Y*3/5, b.Max.X, b.Max.Y), image.NewUniform(color.Gray{90}), image.Point{}, draw.Src)
	var buf bytes.Buffer
	ok(tb, jpeg.Encode(&buf, out, &jpeg.Options{Quality: 90}))
	return buf.Bytes()
}

// Somebody whose address a case names needs no number either; other items of that
// case stay.
func TestObjection_ByAddress(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	const a, b = "https://example.org/a.jpg", "https://example.org/b.jpg"
	c := o.submit(t, notice(a, b))
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
	objection := o.submit(t, objectionTo(t, nil, "HTTPS://EXAMPLE.org/a.jpg"))
	if got := o.letters(objection.ID); !slices.Equal(got, []desk.MessageType{desk.MessageReceipt}) {
		t.Errorf("letters %v", got)
	}
	if len(objection.Items) != 0 || objection.About != (takedown.CaseID{}) {
		t.Errorf("the sender sees %+v", objection)
	}
	ok(t, o.Accept(ctx, objection.ID, desk.Grant{Actor: bob}))
	wantVerdict(t, "what it named", o.Enforcer().FilterURL(a), takedown.Allow)
	wantVerdict(t, "the rest", o.Enforcer().FilterURL(b), takedown.Block)
	o.wantLetters(t, objection.ID, desk.MessageAccepted)
	if err := request.Validate(objectionTo(t, nil), nil); err == nil {
		t.Error("an objection to nothing")
	}
}

// A stranger neither ends nor reopens a case with one reviewer.
func TestStrangers(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	victim := o.submit(t, optOut(t, 2))
	ok(t, o.Accept(ctx, victim.ID, desk.Grant{Actor: desk.Actor{By: "carol"}}))
	whole := objectionTo(t, nil)
	whole.Case = victim.ID
	for _, r := range []request.Request{
		whole, request.Withdrawal{Requester: stranger, Case: victim.ID},
		request.Complaint{Requester: stranger, Case: victim.ID, Party: request.PartyAffected, Grounds: "It is mine."},
	} {
		c := o.submit(t, r)
		wantSecond(t, fmt.Sprintf("a %v", r.Kind()), o.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
		o.wantState(t, victim.ID, desk.StateInForce)
	}
	refused := o.submit(t, notice("https://example.org/a.jpg"))
	ok(t, o.Reject(ctx, refused.ID, refuse(alice)))
	c := o.submit(t, request.Complaint{Requester: stranger, Case: refused.ID, Party: request.PartyNotifier, Grounds: "It is mine."})
	if !slices.Contains(c.Flags, desk.FlagOtherParty) {
		t.Errorf("flags %v", c.Flags)
	}
	wantSecond(t, "reopened", o.Accept(ctx, c.ID, desk.Grant{Actor: bob}))
	o.wantState(t, refused.ID, desk.StateRejected)
}

// Of a counter-notice the claimant is told, or somebody has to say that it was done.
func TestCounterNotice_ErasedClaimant(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	id := accept(t, o.Desk, samples(t, takedown.CaseID{})[request.KindDMCANotice], desk.Grant{Actor: alice})
	ok(t, o.Erase(ctx, id, alice))
	c := o.submit(t, samples(t, id)[request.KindCounterNotice])
	var ge *desk.GrantError
	if err := o.Accept(ctx, c.ID, desk.Grant{Actor: bob}); !errors.As(err, &ge) {
		t.Errorf("nobody was told: %v", err)
	}
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: bob, ClaimantTold: true}))
	o.wantState(t, c.ID, desk.StateCounter)
}
