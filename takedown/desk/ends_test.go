package desk_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// A face that was granted for a time is gone from the desk when the time is
// over, also if nobody calls Expire; until then it cannot come back.
func TestFaceOptOut_TimeIsOver(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		f    func(t *testing.T, d *desk.Desk, open func() *desk.Desk) *desk.Desk
		gone bool
	}{
		{"nothing happens", func(t *testing.T, d *desk.Desk, _ func() *desk.Desk) *desk.Desk { return d }, false},
		{"published", func(t *testing.T, d *desk.Desk, _ func() *desk.Desk) *desk.Desk {
			ok(t, d.Publish(ctx, filepath.Join(t.TempDir(), "blocklist.snap")))
			return d
		}, true},
		{"opened again", func(t *testing.T, d *desk.Desk, open func() *desk.Desk) *desk.Desk {
			ok(t, d.Close())
			return open()
		}, true},
		{"opened again before, and published", func() func(t *testing.T, d *desk.Desk, open func() *desk.Desk) *desk.Desk {
			opened := false
			return func(t *testing.T, d *desk.Desk, open func() *desk.Desk) *desk.Desk {
				if !opened {
					opened = true
					ok(t, d.Close())
					return open()
				}
				ok(t, d.Publish(ctx, filepath.Join(t.TempDir(), "blocklist.snap")))
				return d
			}
		}(), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir, now, f := t.TempDir(), &clock{t: day0}, portrait(t, 41, 0)
			open := func() *desk.Desk {
				return faceDesk(t, dir, func(o *desk.Options) { o.Now = now.Now })
			}
			d := open()
			id := accept(t, d, faceOptOut(f), desk.Grant{End: day0.Add(time.Hour)})
			longer := accept(t, d, faceOptOut(portrait(t, 42, 0)), desk.Grant{End: day0.Add(2 * time.Hour)})
			now.set(day0.Add(time.Hour - time.Second))
			if tc.gone {
				d = tc.f(t, d, open) // too early for anything
			}
			wantVerdict(t, "in its time", d.Enforcer().Check(withFaces(f)), takedown.Block)
			now.set(day0.Add(time.Hour))
			d = tc.f(t, d, open)
			c, err := d.Case(ctx, id)
			ok(t, err)
			if gone := c.State == desk.StateExpired; gone != tc.gone {
				t.Errorf("it is %s", c.State)
			}
			if tc.gone {
				wantUnreadable(t, tc.name, dir, c, traces(t, f, components(41, 0), nil))
			}
			var move *desk.MoveError
			if err := d.Amend(ctx, id, desk.Grant{Actor: alice}); !errors.As(err, &move) || move.From != desk.StateExpired {
				t.Errorf("Change: %v", err)
			}
			wantVerdict(t, "after its time", d.Enforcer().Check(withFaces(f)), takedown.Allow)
			if c, err = d.Case(ctx, longer); err != nil || c.State != desk.StateInForce || len(c.Request.(request.FaceOptOut).Faces) != 1 {
				t.Errorf("the case that has another hour is %s, %v", c.State, err)
			}
			wantVerdict(t, "within another's time", d.Enforcer().Check(withFaces(portrait(t, 42, 1))), takedown.Block)
			if n, err := d.Expire(ctx); err != nil || n == 0 != tc.gone {
				t.Errorf("%d expired, %v", n, err)
			}
			if _, _, err := d.VerifyLog(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

// Who takes one of two faces back after their time is over ends the case; the
// other face is not put into force again.
func TestWithdrawal_TimeIsOver(t *testing.T) {
	t.Parallel()
	now := &clock{t: day0}
	d := faceDesk(t, t.TempDir(), func(o *desk.Options) { o.Now = now.Now })
	id := accept(t, d, faceOptOut(portrait(t, 1, 0), portrait(t, 1, 1)), desk.Grant{End: day0.Add(time.Hour)})
	now.set(day0.Add(time.Hour))
	accept(t, d, request.Withdrawal{Requester: person, Case: id, Items: []int{0}}, desk.Grant{})
	c, err := d.Case(ctx, id)
	ok(t, err)
	if c.State != desk.StateWithdrawn || len(c.Rules) != 0 || len(c.Request.(request.FaceOptOut).Faces) != 0 {
		t.Errorf("it is %s, with rules %v", c.State, c.Rules)
	}
}

// Of a picture of which only the face was granted nothing is kept: it was what
// the template was made of.
func TestKeepPictures_OfAFace(t *testing.T) {
	t.Parallel()
	meant, shown := testJPEG(t, 1), testJPEG(t, 2)
	a := album{}
	a.shows(t, meant, portrait(t, 1, 0))
	a.shows(t, shown, portrait(t, 1, 1))
	notMeant := desk.ItemDecision{Outcome: desk.OutcomeNotMeant}
	onlyFaces := desk.Grant{Actor: alice, Scope: takedown.ScopeFace, Items: map[int]desk.ItemDecision{0: notMeant, 1: notMeant}}
	one := desk.Grant{Actor: alice, Scope: takedown.ScopeFace, Items: map[int]desk.ItemDecision{1: notMeant}}
	both := desk.Grant{Actor: alice, Scope: takedown.ScopeFace}
	withdraw := func(items ...int) func(*testing.T, *desk.Desk, takedown.CaseID) {
		return func(t *testing.T, d *desk.Desk, id takedown.CaseID) {
			accept(t, d, request.Withdrawal{Requester: person, Case: id, Items: items}, desk.Grant{})
		}
	}
	for _, tc := range []struct {
		name  string
		grant desk.Grant
		then  func(*testing.T, *desk.Desk, takedown.CaseID)
		kept  [2]bool
	}{
		{"the faces", onlyFaces, nil, [2]bool{false, false}},
		{"a picture and the faces", one, nil, [2]bool{true, false}},
		{"the pictures and the faces", both, nil, [2]bool{true, true}},
		{"a picture taken back", both, withdraw(0), [2]bool{false, true}},
		{"the faces taken back", both, withdraw(2, 3), [2]bool{true, true}},
		{"changed to a picture and the faces", both, func(t *testing.T, d *desk.Desk, id takedown.CaseID) { ok(t, d.Amend(ctx, id, one)) }, [2]bool{true, false}},
		{"rejected", desk.Grant{}, func(t *testing.T, d *desk.Desk, id takedown.CaseID) { ok(t, d.Reject(ctx, id, refuse(alice))) }, [2]bool{false, false}},
	} {
		d := faceDesk(t, t.TempDir(), func(o *desk.Options) { o.FaceEmbedder, o.KeepPictures = a, true })
		c, err := d.Submit(ctx, request.OpenOptOut{Requester: person, Images: images(meant, shown), Claim: request.ClaimDepicted, Biometric: stated(consent)})
		ok(t, err)
		if len(c.Items) != 4 || c.Items[2].Kind != request.ItemFace {
			t.Fatalf("items %+v", c.Items)
		}
		if tc.grant.By != "" {
			ok(t, d.Accept(ctx, c.ID, tc.grant))
		}
		if tc.then != nil {
			tc.then(t, d, c.ID)
		}
		for i, file := range [][]byte{meant, shown} {
			b, err := d.Picture(ctx, c.ID, i)
			ok(t, err)
			if tc.kept[i] && !bytes.Equal(content(t, b), file) || !tc.kept[i] && !b.IsZero() {
				t.Errorf("%s: picture %d: %d bytes are kept, want %t", tc.name, i, b.Size(), tc.kept[i])
			}
		}
	}
}

// Once the face of a case is erased its papers speak of the picture alone.
func TestErase_PapersSayWhatStays(t *testing.T) {
	t.Parallel()
	file := testJPEG(t, 1)
	a := album{}
	a.shows(t, file, portrait(t, 1, 0))
	d := faceDesk(t, t.TempDir(), func(o *desk.Options) { o.FaceEmbedder = a })
	id := accept(t, d, request.OpenOptOut{Requester: person, Images: images(file), Claim: request.ClaimDepicted, Biometric: stated(consent)}, desk.Grant{Scope: takedown.ScopeFace})
	type papers struct {
		Outcome, Item    desk.Outcome
		Granted, Reaches takedown.Scope
		Face             desk.FaceTerms
		Row              map[string]any
	}
	read := func() papers {
		c, err := d.Case(ctx, id)
		ok(t, err)
		var b bytes.Buffer
		ok(t, d.ExportJSON(ctx, &b))
		var all map[string]any
		ok(t, json.Unmarshal(b.Bytes(), &all))
		row := map[string]any{}
		for _, k := range []string{"granted", "outcome", "face_model", "face_block"} {
			row[k] = all[k]
		}
		s := desk.NewStatementOfReasons(&c)
		return papers{c.Outcome, c.Items[1].Outcome, c.Granted, s.Scope, c.Face, row}
	}
	terms := desk.FaceTerms{Model: faceModel, Dimensions: 128, Block: 0.8, Review: 0.6}
	want := papers{desk.OutcomeAccepted, desk.OutcomeAccepted, takedown.ScopeFace, takedown.ScopeFace, terms,
		map[string]any{"granted": "face", "outcome": "accepted", "face_model": faceModel, "face_block": 0.8}}
	if diff := cmp.Diff(want, read()); diff != "" {
		t.Errorf("in force (-want +got):\n%s", diff)
	}
	ok(t, d.Erase(ctx, id, alice))
	want = papers{desk.OutcomePartly, desk.OutcomeOutOfScope, takedown.ScopeDuplicate, takedown.ScopeDuplicate, desk.FaceTerms{},
		map[string]any{"granted": "duplicate", "outcome": "partly", "face_model": "", "face_block": 0.0}}
	if diff := cmp.Diff(want, read()); diff != "" {
		t.Errorf("erased (-want +got):\n%s", diff)
	}
	wantVerdict(t, "the picture", d.Enforcer().Filter("", hashes(t, file)...), takedown.Block)
	wantVerdict(t, "the face", d.Enforcer().Check(withFaces(portrait(t, 1, 3))), takedown.Allow)
}

// Where one of several pictures of a face is gone, what a case says of the
// others stands where it stood.
func TestFaceOptOut_PlacesStay(t *testing.T) {
	t.Parallel()
	a := album{}
	files := images(testJPEG(t, 1), testJPEG(t, 2), testJPEG(t, 3))
	for i, f := range files {
		a.shows(t, content(t, f), portrait(t, 1, uint64(i)))
	}
	vector := portrait(t, 1, 9)
	gone := desk.ItemDecision{Outcome: desk.OutcomeRejected, Reason: "not_illegal"}
	for _, tc := range []struct {
		name   string
		items  map[int]desk.ItemDecision // 0 to 2 are the pictures, 3 the vector
		images []request.File
		marks  []string
		face   bool
	}{
		{"all are there", nil, files, []string{"", "0.5,0.5", ""}, true},
		{"without the first picture", map[int]desk.ItemDecision{0: gone}, []request.File{{}, files[1], files[2]}, []string{"", "0.5,0.5", ""}, true},
		{"without the marked picture", map[int]desk.ItemDecision{1: gone}, []request.File{files[0], {}, files[2]}, nil, true},
		{"without the last picture", map[int]desk.ItemDecision{2: gone}, []request.File{files[0], files[1], {}}, []string{"", "0.5,0.5", ""}, true},
		{"only the vector", map[int]desk.ItemDecision{0: gone, 1: gone, 2: gone}, []request.File{{}, {}, {}}, nil, true},
		{"only a picture", map[int]desk.ItemDecision{0: gone, 1: gone, 3: gone}, []request.File{{}, {}, files[2]}, nil, false},
	} {
		d := faceDesk(t, t.TempDir(), func(o *desk.Options) { o.FaceEmbedder = a })
		c, err := d.Submit(ctx, request.FaceOptOut{Requester: person, Images: files, Marks: []string{"", "0.5,0.5", ""}, Faces: []takedown.Face{vector}, Biometric: stated(consent)})
		ok(t, err)
		ok(t, d.Accept(ctx, c.ID, desk.Grant{Items: tc.items}))
		c, err = d.Case(ctx, c.ID)
		ok(t, err)
		r := c.Request.(request.FaceOptOut)
		if diff := cmp.Diff(tc.images, r.Images); diff != "" || len(r.Images) != len(c.Pictures) {
			t.Errorf("%s: images differ: %t; %d of them, and %d pictures", tc.name, diff != "", len(r.Images), len(c.Pictures))
		}
		if diff := cmp.Diff(tc.marks, r.Marks); diff != "" {
			t.Errorf("%s: marks (-want +got):\n%s", tc.name, diff)
		}
		if len(r.Faces) != 1 || r.Faces[0].Equal(vector) != tc.face || r.Faces[0].IsZero() == tc.face {
			t.Errorf("%s: the vector is not as wanted", tc.name)
		}
		ok(t, d.Withdraw(ctx, c.ID, desk.Actor{}))
		if c, err = d.Case(ctx, c.ID); err != nil {
			t.Fatal(err)
		}
		if r := c.Request.(request.FaceOptOut); r.Images != nil || r.Marks != nil || r.Faces != nil {
			t.Errorf("%s: withdrawn, with places for %d pictures and %d faces", tc.name, len(r.Images), len(r.Faces))
		}
	}
}

// A legal hold keeps the request, with the consent, and forbids its erasure; it
// does not keep a face that nobody may keep any more.
func TestLegalHold_KeepsNoFace(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*desk.Desk, takedown.CaseID) error{
		"rejected": func(d *desk.Desk, id takedown.CaseID) error { return d.Reject(ctx, id, refuse(alice)) },
		"withdrawn": func(d *desk.Desk, id takedown.CaseID) error {
			return errors.Join(d.Accept(ctx, id, desk.Grant{}), d.Withdraw(ctx, id, desk.Actor{}))
		},
	} {
		dir, f := t.TempDir(), portrait(t, 43, 0)
		d := faceDesk(t, dir)
		c, err := d.Submit(ctx, faceOptOut(f))
		ok(t, err)
		ok(t, d.LegalHold(ctx, c.ID, true, alice))
		ok(t, end(d, c.ID))
		var move *desk.MoveError
		if err := d.Erase(ctx, c.ID, alice); !errors.As(err, &move) {
			t.Errorf("%s: erased under a hold: %v", name, err)
		}
		c, err = d.Case(ctx, c.ID)
		ok(t, err)
		r, there := c.Request.(request.FaceOptOut)
		if !there || r.Biometric.Text != consent || r.Requester.Email != person.Email {
			t.Errorf("%s: the request is not what was sent", name)
		}
		wantUnreadable(t, name, dir, c, traces(t, f, components(43, 0), nil))
	}
}
