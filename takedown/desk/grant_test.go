package desk_test

import (
	"encoding/json"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// A grant whose numbers or times no rule can have is refused, before anything is
// noted of it, whoever reviews; the case can still be decided.
func TestAccept_ImpossibleTerms(t *testing.T) {
	t.Parallel()
	year := func(y int) time.Time { return time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC) }
	for _, tc := range []struct {
		name  string
		grant desk.Grant
	}{
		{"threshold is no number", desk.Grant{Face: desk.FaceThreshold{Block: math.NaN()}}},
		{"review is no number", desk.Grant{Face: desk.FaceThreshold{Review: math.NaN()}}},
		{"infinite", desk.Grant{Face: desk.FaceThreshold{Block: math.Inf(1)}}},
		{"infinitely little", desk.Grant{Face: desk.FaceThreshold{Review: math.Inf(-1)}}},
		{"negative", desk.Grant{Face: desk.FaceThreshold{Block: -0.9}}},
		{"more than the same", desk.Grant{Face: desk.FaceThreshold{Block: 1.01}}},
		{"end in the year 20000", desk.Grant{End: year(20000)}},
		{"start in the year 20000", desk.Grant{Start: year(20000)}},
		{"start before the year 1", desk.Grant{Start: year(-5)}},
		{"the second that is no time of a rule", desk.Grant{Start: time.Unix(0, 0)}},
		{"end there", desk.Grant{End: time.Unix(0, 5)}},
		{"end within the second of the start", desk.Grant{Start: day0.Add(1), End: day0.Add(2)}},
	} {
		for _, one := range []bool{true, false} {
			dir := t.TempDir()
			d := faceDesk(t, dir, func(o *desk.Options) { o.OneReviewer = one })
			face, err := d.Submit(ctx, faceOptOut(portrait(t, 1, 0)))
			ok(t, err)
			reply, err := d.Submit(ctx, request.Withdrawal{
				Requester: request.Requester{Name: "Another", Email: "another@example.org"},
				Case:      accept(t, d, notice("https://example.org/a.jpg"), desk.Grant{}),
			})
			ok(t, err)
			tc.grant.Actor = alice
			for what, id := range map[string]takedown.CaseID{"a face": face.ID, "a reply": reply.ID} {
				before, stored := caseAndRecord(t, d, id)
				var refused *desk.GrantError
				if err := d.Accept(ctx, id, tc.grant); !errors.As(err, &refused) {
					t.Errorf("%s, %s, one reviewer %t: %v", tc.name, what, one, err)
				}
				after, storedAfter := caseAndRecord(t, d, id)
				if diff := cmp.Diff(before, after) + cmp.Diff(stored, storedAfter); diff != "" {
					t.Errorf("%s, %s: the case changed (-want +got):\n%s", tc.name, what, diff)
				}
			}
			if one {
				ok(t, d.Accept(ctx, face.ID, desk.Grant{Actor: alice}))
				var refused *desk.GrantError
				if err := d.Amend(ctx, face.ID, tc.grant); !errors.As(err, &refused) {
					t.Errorf("%s, change: %v", tc.name, err)
				}
			}
			ok(t, d.Close())
			faceDesk(t, dir) // opens, with nothing that waits to be delivered
		}
	}
}

// Thresholds of a face mean nothing where no face is granted.
func TestAccept_ThresholdsWithoutAFace(t *testing.T) {
	t.Parallel()
	d := faceDesk(t, t.TempDir())
	higher := desk.FaceThreshold{Block: 0.9, Review: 0.7}
	file := testJPEG(t, 1)
	a := album{}
	a.shows(t, file, portrait(t, 1, 0))
	withFace := faceDesk(t, t.TempDir(), func(o *desk.Options) { o.FaceEmbedder = a })
	for _, tc := range []struct {
		name string
		desk *desk.Desk
		r    request.Request
	}{
		{"addresses", d, notice("https://example.org/a.jpg")},
		{"a picture", d, optOut(t, 1)},
		{"the picture of an open opt-out", withFace, request.OpenOptOut{Requester: person, Images: images(file), Claim: request.ClaimDepicted, Biometric: stated(consent)}},
	} {
		c, err := tc.desk.Submit(ctx, tc.r)
		ok(t, err)
		var refused *desk.GrantError
		if err := tc.desk.Accept(ctx, c.ID, desk.Grant{Actor: alice, Face: higher}); !errors.As(err, &refused) {
			t.Errorf("%s: %v", tc.name, err)
		}
		if c, err = tc.desk.Case(ctx, c.ID); err != nil || c.State != desk.StateInReview {
			t.Errorf("%s: %s, %v", tc.name, c.State, err)
		}
		if tc.desk == withFace {
			ok(t, tc.desk.Accept(ctx, c.ID, desk.Grant{Actor: alice, Scope: takedown.ScopeFace, Face: higher}))
		}
	}
}

// A time that is over would put a case in force that enforces nothing.
func TestGrant_EndIsOver(t *testing.T) {
	t.Parallel()
	now := new(clock)
	now.set(day0)
	d := open(t, t.TempDir(), &desk.Options{Now: now.Now})
	c, err := d.Submit(ctx, notice("https://example.org/a.jpg", "https://example.org/b.jpg"))
	ok(t, err)
	over := desk.Grant{Start: day0.AddDate(-1, 0, 0), End: day0}
	var refused *desk.GrantError
	for what, err := range map[string]error{
		"Accept":  d.Accept(ctx, c.ID, over),
		"Preview": func() error { _, err := d.Preview(ctx, c.ID, index{}.items, &over); return err }(),
	} {
		if !errors.As(err, &refused) {
			t.Errorf("%s: %v", what, err)
		}
	}
	ok(t, d.Accept(ctx, c.ID, desk.Grant{End: day0.Add(time.Second)}))
	if err := d.Amend(ctx, c.ID, over); !errors.As(err, &refused) {
		t.Errorf("Change: %v", err)
	}
	// An item of a case whose time has run out can still be withdrawn.
	now.set(day0.Add(time.Hour))
	accept(t, d, request.Withdrawal{Requester: notice().Requester, Case: c.ID, Items: []int{0}}, desk.Grant{})
}

// caseAndRecord returns a case, and all that is stored of it beside its request.
func caseAndRecord(t *testing.T, d *desk.Desk, id takedown.CaseID) (desk.Case, string) {
	t.Helper()
	c, err := d.Case(ctx, id)
	ok(t, err)
	b, err := json.Marshal(d.Record(id))
	ok(t, err)
	return c, string(b)
}
