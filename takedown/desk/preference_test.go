package desk_test

import (
	"testing"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// A preference restricts the uses that it names, and no other; who does not ask for
// a use does not see it.
func TestPreference(t *testing.T) { // not parallel: it counts allocations
	o := newOffice(t)
	picture := testJPEG(t, 1)
	r := request.Preference{
		Requester: person, Uses: []request.Use{request.UseTrain, request.UseFace}, Claim: request.ClaimOwner,
		ImageURLs: []string{"https://example.org/one.jpg"}, Hosts: []string{"Photographer.example/ignored"}, Images: images(picture),
	}
	c := o.submit(t, r)
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
	e := o.Enforcer()
	for _, tc := range []struct {
		what string
		ask  func(takedown.Region) takedown.Decision
	}{
		{"address", func(r takedown.Region) takedown.Decision { return r.FilterURL("https://example.org/one.jpg") }},
		{"host", func(r takedown.Region) takedown.Decision {
			return r.FilterURL("https://photographer.example/any/where.jpg")
		}},
		{"host below", func(r takedown.Region) takedown.Decision {
			return r.FilterURL("https://img.photographer.example/2.jpg")
		}},
		{"picture", func(r takedown.Region) takedown.Decision { return r.Filter("", hashes(t, picture)...) }},
	} {
		wantVerdict(t, tc.what+", to train", tc.ask(e.For(takedown.PurposeTrain)), takedown.Block)
		wantVerdict(t, tc.what+", to train, in Germany", tc.ask(e.In("DE").For(takedown.PurposeTrain)), takedown.Block)
		wantVerdict(t, tc.what+", for faces", tc.ask(e.For(takedown.PurposeFace)), takedown.Block)
		wantVerdict(t, tc.what+", for the index", tc.ask(e.For(takedown.PurposeIndex)), takedown.Allow)
		wantVerdict(t, tc.what+", for no use", tc.ask(e.For(0)), takedown.Allow)
	}
	if d := e.For(takedown.PurposeTrain).FilterURL("https://example.org/one.jpg"); d.Case != c.ID {
		t.Errorf("case %v", d.Case)
	}
	o.wantLetters(t, c.ID, desk.MessageReceipt, desk.MessageAccepted) // no statement of reasons: all is shown
	// What is removed is removed for every use.
	gone := o.submit(t, notice("https://example.org/gone.jpg"))
	ok(t, o.Accept(ctx, gone.ID, desk.Grant{Actor: alice}))
	wantVerdict(t, "removed, to train", e.For(takedown.PurposeTrain).FilterURL("https://example.org/gone.jpg"), takedown.Block)
	e.For(takedown.PurposeTrain).FilterURL("https://example.org/one.jpg")
	if n := testing.AllocsPerRun(50, func() { e.For(takedown.PurposeTrain).FilterURL("https://example.org/one.jpg") }); n != 0 {
		t.Errorf("a query for a use allocates %v times", n)
	}
	for _, bad := range []request.Preference{
		{Requester: person, Claim: request.ClaimOwner, Uses: []request.Use{request.UseTrain}},
		{Requester: person, Claim: request.ClaimOwner, Hosts: []string{"a.example"}},
		{Requester: person, Claim: request.ClaimOwner, Uses: []request.Use{"sell"}, Hosts: []string{"a.example"}},
		{Requester: person, Claim: request.ClaimOwner, Uses: []request.Use{request.UseTrain}, Hosts: []string{"nas.local"}},
	} {
		if err := request.Validate(bad, nil); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}
