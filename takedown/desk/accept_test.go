package desk_test

import (
	"bytes"
	"errors"
	"image"
	"image/png"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// A hash of a picture that nobody has seen blocks nothing before two people have
// agreed to that, whatever else the request has: an address, or another picture.
// One that comes with its picture blocks like that.
func TestAccept_UnseenHash(t *testing.T) {
	t.Parallel()
	all := samples(t, takedown.CaseID{})
	intimate := all[request.KindIntimateImage].(request.IntimateImage)
	mixed, seen, alone := intimate, intimate, intimate
	mixed.Images = images(testJPEG(t, 7))
	seen.Images = images(testJPEG(t, 4))
	alone.ImageURLs = nil
	entry := all[request.KindHashEntry].(request.HashEntry)
	entry.Hashes = intimate.Hashes
	for _, tc := range []struct {
		name   string
		r      request.Request
		unseen bool
	}{
		{"a hash entry", entry, true},
		{"an intimate picture's hash", alone, true},
		{"with an address", intimate, true},
		{"with another picture", mixed, true},
		{"with its picture", seen, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			look := func() takedown.Decision { return o.Enforcer().Filter("", pdq(t, 4)) }
			byOne, byTwo := takedown.Review, takedown.Block
			if !tc.unseen {
				byOne = takedown.Block
			}
			c := o.submit(t, tc.r)
			ok(t, o.Hold(ctx, c.ID, alice))
			wantVerdict(t, "on hold", look(), byOne)
			ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
			wantVerdict(t, "accepted", look(), byOne)
			if r, ok := tc.r.(request.IntimateImage); ok && len(r.ImageURLs) > 0 {
				wantVerdict(t, "its address", o.Enforcer().FilterURL(r.ImageURLs[0]), takedown.Block)
			}
			if tc.name == "with another picture" {
				wantVerdict(t, "the other picture", o.Enforcer().Filter("", pdq(t, 7)), takedown.Block)
			}
			vet := desk.Grant{Actor: alice, Effect: blocklist.EffectBlock}
			err := o.Amend(ctx, c.ID, vet)
			if !tc.unseen {
				ok(t, err)
				return
			}
			var sr *desk.SecondReviewError
			if !errors.As(err, &sr) || !slices.Equal(sr.Risks, []request.Flag{desk.FlagUnseen}) {
				t.Errorf("vetted by one: %v", err)
			}
			wantVerdict(t, "vetted by one", look(), byOne)
			vet.Actor = bob
			ok(t, o.Amend(ctx, c.ID, vet))
			wantVerdict(t, "vetted by two", look(), byTwo)
		})
	}
}

// Two who claim to own the same picture: the second claim is risky.
func TestSubmit_ContradictingClaims(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	r := optOut(t, 1)
	r.Claim = request.ClaimOwner
	first := o.submit(t, r)
	ok(t, o.Accept(ctx, first.ID, desk.Grant{Actor: alice}))
	if same := o.submit(t, r); len(same.Flags) != 0 {
		t.Errorf("the same person again: %v", same.Flags)
	}
	r.Requester.Email = "other@example.org"
	second := o.submit(t, r)
	if diff := cmp.Diff([]request.Flag{desk.FlagContradiction, desk.FlagPendingContradiction}, second.Flags); diff != "" {
		t.Errorf("flags (-want +got):\n%s", diff)
	}
	var sr *desk.SecondReviewError
	if err := o.Accept(ctx, second.ID, desk.Grant{Actor: alice}); !errors.As(err, &sr) {
		t.Errorf("accepted by one: %v", err)
	}
	o.wantState(t, second.ID, desk.StateSecondReview)
	var ge *desk.GrantError
	if err := o.Accept(ctx, second.ID, desk.Grant{}); !errors.As(err, &ge) {
		t.Errorf("accepted by nobody: %v", err)
	}
	ok(t, o.Accept(ctx, second.ID, desk.Grant{Actor: bob}))
	o.wantState(t, second.ID, desk.StateInForce)
	r.Claim = request.ClaimDepicted
	if third := o.submit(t, r); !slices.Contains(third.Flags, desk.FlagEarlierClaim) {
		t.Errorf("flags %v", third.Flags)
	}
}

// Who claims to own a picture that another owns needs two reviewers, whenever
// the other's case has come into force, and whatever is still known of them.
func TestAccept_ContradictingClaims(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		file   []byte
		before func(o *office, first takedown.CaseID) error // the second is submitted
		after  func(o *office, first takedown.CaseID) error
		width  takedown.Scope
	}{
		{"accepted after the second was submitted", testJPEG(t, 1), nil, func(o *office, first takedown.CaseID) error {
			return o.Accept(ctx, first, desk.Grant{Actor: alice})
		}, 0},
		{"erased", testJPEG(t, 1), func(o *office, first takedown.CaseID) error {
			return errors.Join(o.Accept(ctx, first, desk.Grant{Actor: alice}), o.Erase(ctx, first, alice))
		}, nil, 0},
		{"erased after the second was submitted", testJPEG(t, 1), nil, func(o *office, first takedown.CaseID) error {
			return errors.Join(o.Accept(ctx, first, desk.Grant{Actor: alice}), o.Erase(ctx, first, alice))
		}, 0},
		{"a flat picture, which has no hashes", flat(t), func(o *office, first takedown.CaseID) error {
			return o.Accept(ctx, first, desk.Grant{Actor: alice, Scope: takedown.ScopeBytes})
		}, nil, takedown.ScopeBytes},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			r := optOut(t, 1)
			r.Claim, r.Images = request.ClaimOwner, images(tc.file)
			first := o.submit(t, r)
			if tc.before != nil {
				ok(t, tc.before(o, first.ID))
			}
			r.Requester.Email = "other@example.org"
			second := o.submit(t, r)
			if tc.after != nil {
				ok(t, tc.after(o, first.ID))
			}
			want := []request.Flag{desk.FlagContradiction}
			p, err := o.Preview(ctx, second.ID, index{}.items, &desk.Grant{Scope: tc.width})
			ok(t, err)
			if !slices.Equal(p.Risks, want) || !slices.Equal(p.Earlier, []takedown.CaseID{first.ID}) {
				t.Errorf("the preview has the risks %v and the earlier cases %v", p.Risks, p.Earlier)
			}
			var sr *desk.SecondReviewError
			if err := o.Accept(ctx, second.ID, desk.Grant{Actor: alice, Scope: tc.width}); !errors.As(err, &sr) || !slices.Equal(sr.Risks, want) {
				t.Errorf("accepted by one: %v", err)
			}
			if c := o.wantState(t, second.ID, desk.StateSecondReview); !slices.Contains(c.Flags, desk.FlagContradiction) {
				t.Errorf("flags %v", c.Flags)
			}
			ok(t, o.Accept(ctx, second.ID, desk.Grant{Actor: bob, Scope: tc.width}))
			o.wantState(t, second.ID, desk.StateInForce)
		})
	}
}

// flat returns a picture without structure, which no hash can be taken of.
func flat(tb testing.TB) []byte {
	tb.Helper()
	var b bytes.Buffer
	ok(tb, png.Encode(&b, image.NewGray(image.Rect(0, 0, 256, 256))))
	return b.Bytes()
}

// More than was asked needs a reason and two reviewers.
func TestAccept_Wider(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	r := samples(t, takedown.CaseID{})[request.KindIntimateImage].(request.IntimateImage)
	r.ImageURLs, r.Hashes, r.Images = nil, nil, images(testJPEG(t, 6))
	c := o.submit(t, r)
	mirrored := hashes(t, edited(t, testJPEG(t, 6), func(x, y, w, h int) (int, int) { return w - 1 - x, y }))
	g := desk.Grant{Actor: alice, Scope: takedown.ScopeDuplicate}
	var ge *desk.GrantError
	if err := o.Accept(ctx, c.ID, g); !errors.As(err, &ge) {
		t.Errorf("wider without saying so: %v", err)
	}
	g.Wider = "spreading_fast"
	var sr *desk.SecondReviewError
	if err := o.Accept(ctx, c.ID, g); !errors.As(err, &sr) || !slices.Contains(sr.Risks, desk.FlagWider) {
		t.Errorf("wider by one: %v", err)
	}
	wantVerdict(t, "mirrored", o.Enforcer().Filter("", mirrored...), takedown.Allow)
	g.Actor = bob
	ok(t, o.Accept(ctx, c.ID, g))
	wantVerdict(t, "mirrored", o.Enforcer().Filter("", mirrored...), takedown.Block)

	n := o.submit(t, notice("https://example.org/a.jpg"))
	if err := o.Accept(ctx, n.ID, g); !errors.As(err, &ge) {
		t.Errorf("copies of an address: %v", err)
	}
}

// Nor is an order silently made to hold where it does not say, also when it is
// erased. Less than it asks for takes nothing.
func TestAccept_WiderTerritories(t *testing.T) {
	t.Parallel()
	order := samples(t, takedown.CaseID{})[request.KindAuthorityOrder].(request.AuthorityOrder)
	for _, tc := range []struct {
		name           string
		asked, granted []string
		wider          bool
	}{
		{"as asked", []string{"DE", "AT"}, nil, false},
		{"some of it", []string{"DE", "AT"}, []string{"AT"}, false},
		{"more", []string{"DE", "AT"}, []string{"EEA30", "US", "TH"}, true},
		{"elsewhere", []string{"DE", "AT"}, []string{"FR"}, true},
		{"a part of a set", []string{"EU27"}, []string{"DE", "at"}, false},
		{"the set that is wider", []string{"EU27"}, []string{"EEA30"}, true},
		{"the whole world asked", nil, []string{"US"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			r := order
			r.Territories, r.Worldwide = tc.asked, tc.asked == nil
			submitted, inForce := o.submit(t, r).ID, o.submit(t, r).ID
			ok(t, o.Accept(ctx, inForce, desk.Grant{Actor: alice}))
			ok(t, o.Erase(ctx, inForce, alice))
			for what, decide := range map[string]func(desk.Grant) error{
				"accept": func(g desk.Grant) error { return o.Accept(ctx, submitted, g) },
				"change": func(g desk.Grant) error { return o.Amend(ctx, inForce, g) },
			} {
				g := desk.Grant{Actor: alice, Territories: tc.granted}
				err := decide(g)
				if !tc.wider {
					ok(t, err)
					continue
				}
				var ge *desk.GrantError
				if !errors.As(err, &ge) {
					t.Errorf("%s, without saying so: %v", what, err)
				}
				g.Wider = "order_was_extended"
				var sr *desk.SecondReviewError
				if err := decide(g); !errors.As(err, &sr) || !slices.Equal(sr.Risks, []request.Flag{desk.FlagWider}) {
					t.Errorf("%s, by one: %v", what, err)
				}
				g.Actor = bob
				ok(t, decide(g))
			}
		})
	}
}

func TestAccept_OneReviewer(t *testing.T) {
	t.Parallel()
	o := newOffice(t, func(opts *desk.Options) { opts.OneReviewer = true })
	c := o.submit(t, samples(t, takedown.CaseID{})[request.KindHashEntry])
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Effect: blocklist.EffectBlock}))
	o.wantState(t, c.ID, desk.StateInForce)
}
