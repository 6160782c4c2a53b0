package desk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/internal/sharedtest"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// faceDesk opens a desk that grants faces, by one reviewer.
func faceDesk(tb testing.TB, dir string, opts ...func(*desk.Options)) *desk.Desk {
	tb.Helper()
	o := &desk.Options{FaceModels: faceModels, TrustFaceVectors: true, OneReviewer: true, ListKey: &blocklist.EncryptionKey{1}}
	for _, f := range opts {
		f(o)
	}
	return open(tb, dir, o)
}

// testCandidate is what a crawler knows of a test picture.
func testCandidate(tb testing.TB, seed uint32) takedown.Candidate {
	tb.Helper()
	return inspect(tb, testJPEG(tb, seed), takedown.Source{})
}

func withFaces(faces ...takedown.Face) takedown.Candidate { return takedown.Candidate{Faces: faces} }

// A face opt-out blocks every picture of the face, holds what may be one, and
// leaves the others alone; whatever else is known of the picture.
func TestFaceOptOut_Blocks(t *testing.T) {
	t.Parallel()
	d := faceDesk(t, t.TempDir())
	e := d.Enforcer()
	id := accept(t, d, faceOptOut(portrait(t, 1, 0), portrait(t, 1, 1)), desk.Grant{})
	c, err := d.Case(ctx, id)
	ok(t, err)
	terms := desk.FaceTerms{Model: faceModel, Dimensions: 128, Block: 0.8, Review: 0.6}
	if len(c.Rules) != 1 || c.Granted != takedown.ScopeFace || c.Face != terms || c.Claim != request.ClaimDepicted || len(c.Items) != 2 {
		t.Fatalf("%+v", c)
	}
	other := testCandidate(t, 7)
	for _, tc := range []struct {
		name       string
		candidate  takedown.Candidate
		want       takedown.Verdict
		face       int
		similarity float64
	}{
		{"the photograph itself", withFaces(portrait(t, 1, 0)), takedown.Block, 0, 1},
		{"another photograph", withFaces(portrait(t, 1, 7)), takedown.Block, 0, 0.9},
		{"in company", withFaces(portrait(t, 2, 0), portrait(t, 3, 0), portrait(t, 1, 7)), takedown.Block, 2, 0.9},
		{"at the threshold", withFaces(between(t, 1, 0.83)), takedown.Block, 0, 0.83},
		{"a look-alike", withFaces(between(t, 1, 0.7)), takedown.Review, 0, 0.7},
		{"a look-alike, and the person", withFaces(between(t, 1, 0.7), portrait(t, 1, 3)), takedown.Block, 1, 0.9},
		{"hardly alike", withFaces(between(t, 1, 0.5)), takedown.Allow, 0, 0},
		{"somebody else", withFaces(portrait(t, 2, 0)), takedown.Allow, 0, 0},
		{"in a later frame", takedown.Candidate{Frames: []takedown.Frame{{}, {Faces: []takedown.Face{portrait(t, 2, 0), portrait(t, 1, 5)}}}}, takedown.Block, 1, 0.9},
		{"a picture with everything", func() takedown.Candidate { c := other; c.Faces = []takedown.Face{portrait(t, 1, 9)}; return c }(), takedown.Block, 0, 0.9},
	} {
		got := e.Check(tc.candidate)
		wantVerdict(t, tc.name, got, tc.want)
		if !got.Checked.Has(takedown.TierFace) {
			t.Errorf("%s: checked %v", tc.name, got.Checked)
		}
		if tc.want == takedown.Allow {
			if got.Why != 0 || got.Similarity != 0 {
				t.Errorf("%s: %+v", tc.name, got)
			}
			continue
		}
		if got.Why != takedown.TierFace || got.Case != id || got.Rule != c.Rules[0] || got.Kind != request.KindFaceOptOut || got.Scope != takedown.ScopeFace || got.Face != tc.face ||
			math.Abs(got.Similarity-tc.similarity) > 0.05 {
			t.Errorf("%s: %v", tc.name, got)
		}
		if s := got.String(); !strings.Contains(s, fmt.Sprintf("face %d similar by 0.", tc.face)) && tc.similarity < 0.99 || !strings.Contains(s, "by face, rule") {
			t.Errorf("%s prints %s", tc.name, s)
		}
	}
	if got := e.Check(takedown.Candidate{Frames: []takedown.Frame{{Faces: []takedown.Face{portrait(t, 1, 5)}}}}); got.Frame != 1 {
		t.Errorf("frame %d", got.Frame)
	}

	// What was compared: nothing without a face, nor with one of a model of which
	// nobody is registered.
	foreign, err := takedown.NewFace("other-model@1", components(1, 0))
	ok(t, err)
	for name, c := range map[string]takedown.Candidate{"no face": other, "another model": withFaces(foreign), "the zero face": withFaces(takedown.Face{})} {
		if got := e.Check(c); got.Verdict != takedown.Allow || got.Checked.Has(takedown.TierFace) {
			t.Errorf("%s: %v", name, got)
		}
	}
	ok(t, d.Withdraw(ctx, id, desk.Actor{}))
	wantVerdict(t, "withdrawn", e.Check(withFaces(portrait(t, 1, 0))), takedown.Allow)
}

// The rule says where a face is blocked, and until when; a vetted hold reviews.
func TestFaceOptOut_Terms(t *testing.T) {
	t.Parallel()
	now := &clock{t: day0}
	d := faceDesk(t, t.TempDir(), func(o *desk.Options) { o.Now = now.Now })
	accept(t, d, faceOptOut(portrait(t, 1, 0)), desk.Grant{Territories: []string{"DE"}})
	accept(t, d, faceOptOut(portrait(t, 2, 0)), desk.Grant{End: day0.Add(time.Hour)})
	accept(t, d, faceOptOut(portrait(t, 3, 0)), desk.Grant{Effect: blocklist.EffectReview})
	e := d.Enforcer()
	german := withFaces(portrait(t, 1, 1))
	wantVerdict(t, "in Germany only", e.Check(german), takedown.Restricted)
	wantVerdict(t, "in Germany", e.In("DE").Check(german), takedown.Block)
	wantVerdict(t, "in Japan", e.In("JP").Check(german), takedown.Allow)
	wantVerdict(t, "for an hour", e.Check(withFaces(portrait(t, 2, 1))), takedown.Block)
	wantVerdict(t, "to be looked at", e.Check(withFaces(portrait(t, 3, 1))), takedown.Review)
	now.set(day0.Add(time.Hour))
	wantVerdict(t, "an hour later", e.Check(withFaces(portrait(t, 2, 1))), takedown.Allow)
	if n, err := d.Expire(ctx); n != 1 || err != nil {
		t.Errorf("%d expired, %v", n, err)
	}
}

// Without thresholds no face can be granted; a grant raises them, and lowers
// none; a face needs two reviewers.
func TestFaceOptOut_Grant(t *testing.T) {
	t.Parallel()
	without := open(t, t.TempDir(), &desk.Options{OneReviewer: true})
	c, err := without.Submit(ctx, faceOptOut(portrait(t, 1, 0)))
	ok(t, err)
	var ge *desk.GrantError
	if err := without.Accept(ctx, c.ID, desk.Grant{}); !errors.As(err, &ge) || !strings.Contains(ge.Why, "FaceModels") {
		t.Errorf("without thresholds: %v", err)
	}
	foreign, err := takedown.NewFace("other-model@1", components(1, 0))
	ok(t, err)
	d := faceDesk(t, t.TempDir())
	for _, tc := range []struct {
		name    string
		request request.Request
		grant   desk.Grant
	}{
		{"another model", faceOptOut(foreign), desk.Grant{}},
		{"a lower threshold", faceOptOut(portrait(t, 1, 0)), desk.Grant{Face: desk.FaceThreshold{Block: 0.79}}},
		{"a lower band", faceOptOut(portrait(t, 1, 0)), desk.Grant{Face: desk.FaceThreshold{Review: 0.5}}},
		{"a band above the threshold", faceOptOut(portrait(t, 1, 0)), desk.Grant{Face: desk.FaceThreshold{Block: 0.9, Review: 0.91}}},
		{"no number", faceOptOut(portrait(t, 1, 0)), desk.Grant{Face: desk.FaceThreshold{Block: math.NaN()}}},
		{"beyond 1", faceOptOut(portrait(t, 1, 0)), desk.Grant{Face: desk.FaceThreshold{Block: 1.01}}},
		{"a picture's scope", faceOptOut(portrait(t, 1, 0)), desk.Grant{Scope: takedown.ScopeDuplicate}},
		{"not meant, where only the face can be", faceOptOut(portrait(t, 1, 0)), desk.Grant{Items: map[int]desk.ItemDecision{0: {Outcome: desk.OutcomeNotMeant}}}},
		{"the face of a picture opt-out", optOut(t, 1), desk.Grant{Scope: takedown.ScopeFace, Wider: "asked_by_phone"}},
		{"the face of an address", notice("https://example.org/a.jpg"), desk.Grant{Scope: takedown.ScopeFace, Wider: "asked_by_phone"}},
	} {
		c, err := d.Submit(ctx, tc.request)
		ok(t, err)
		if err := d.Accept(ctx, c.ID, tc.grant); !errors.As(err, &ge) {
			t.Errorf("%s: %v, want a *GrantError", tc.name, err)
		}
		// It can still be decided.
		if c, err = d.Case(ctx, c.ID); err != nil || c.State != desk.StateInReview {
			t.Errorf("%s: %s, %v", tc.name, c.State, err)
		}
		ok(t, d.Reject(ctx, c.ID, refuse(alice)))
	}
	id := accept(t, d, faceOptOut(portrait(t, 1, 0)), desk.Grant{Face: desk.FaceThreshold{Block: 0.95, Review: 0.75}})
	e := d.Enforcer()
	wantVerdict(t, "raised", e.Check(withFaces(between(t, 1, 0.9))), takedown.Review)
	wantVerdict(t, "the band raised", e.Check(withFaces(between(t, 1, 0.7))), takedown.Allow)
	ok(t, d.Amend(ctx, id, desk.Grant{}))
	wantVerdict(t, "the desk's again", e.Check(withFaces(between(t, 1, 0.9))), takedown.Block)
	wantVerdict(t, "the desk's band again", e.Check(withFaces(between(t, 1, 0.7))), takedown.Review)

	two := open(t, t.TempDir(), &desk.Options{FaceModels: faceModels, TrustFaceVectors: true})
	c, err = two.Submit(ctx, faceOptOut(portrait(t, 1, 0)))
	ok(t, err)
	var second *desk.SecondReviewError
	if err := two.Accept(ctx, c.ID, desk.Grant{Actor: alice}); !errors.As(err, &second) || !cmp.Equal(second.Risks, []request.Flag{desk.FlagFace}) {
		t.Fatalf("one reviewer: %v", err)
	}
	wantVerdict(t, "after one reviewer", two.Enforcer().Check(withFaces(portrait(t, 1, 0))), takedown.Allow)
	if err := two.Accept(ctx, c.ID, desk.Grant{Actor: bob, Face: desk.FaceThreshold{Block: 0.9}}); !errors.As(err, &second) {
		t.Errorf("another threshold is another grant: %v", err)
	}
	acceptByTwo(t, two, c.ID, desk.Grant{})
	wantVerdict(t, "after two", two.Enforcer().Check(withFaces(portrait(t, 1, 0))), takedown.Block)

	for name, models := range map[string][]desk.FaceModel{
		"no threshold":       {{Name: faceModel, Dimensions: 128}},
		"no band said":       {{Name: faceModel, Dimensions: 128, Block: 0.8}},
		"band above":         {{Name: faceModel, Dimensions: 128, Block: 0.8, Review: 0.9}},
		"beyond 1":           {{Name: faceModel, Dimensions: 128, Block: 1.1, Review: 0.9}},
		"not a number":       {{Name: faceModel, Dimensions: 128, Block: math.NaN(), Review: 0.9}},
		"no model":           {{Dimensions: 128, Block: 0.8, Review: 0.7}},
		"twice":              {faceModels[0], faceModels[0]},
		"too few components": {{Name: faceModel, Dimensions: 3, Block: 0.8, Review: 0.7}},
	} {
		if d, err := desk.Open(t.TempDir(), &desk.Options{FaceModels: models}); err == nil {
			d.Close()
			t.Errorf("%s: taken", name)
		}
	}
}

// A request that leaves open whether the picture or the face is meant: the
// reviewer grants either or both; without consent, no face.
func TestOpenOptOut_PictureOrFace(t *testing.T) {
	t.Parallel()
	file, crowd := testJPEG(t, 1), testJPEG(t, 2)
	a := album{}
	a.shows(t, file, portrait(t, 1, 0))
	a.shows(t, crowd, portrait(t, 1, 1), portrait(t, 2, 1))
	picture, face := hashes(t, file), withFaces(portrait(t, 1, 5))
	looked := 0
	embedder := takedown.FaceEmbedderFunc(func(ctx context.Context, m image.Image) ([]takedown.FoundFace, error) {
		looked++
		return a.EmbedFaces(ctx, m)
	})
	asked := request.OpenOptOut{Requester: person, Images: images(file, crowd), Claim: request.ClaimDepicted, Biometric: stated(consent)}
	for _, tc := range []struct {
		name              string
		grant             desk.Grant
		picture, face     takedown.Verdict
		outcome           desk.Outcome
		granted           takedown.Scope
		template, message string
	}{
		{"nothing said: the picture", desk.Grant{}, takedown.Block, takedown.Allow, desk.OutcomeAccepted, takedown.ScopeDuplicate, "destroyed", "accepted"},
		{"the picture", desk.Grant{Scope: takedown.ScopeDuplicate}, takedown.Block, takedown.Allow, desk.OutcomeAccepted, takedown.ScopeDuplicate, "destroyed", "accepted"},
		{"both", desk.Grant{Scope: takedown.ScopeFace}, takedown.Block, takedown.Block, desk.OutcomeAccepted, takedown.ScopeFace, "kept", "accepted"},
		{"the face", desk.Grant{Scope: takedown.ScopeFace, Items: map[int]desk.ItemDecision{
			0: {Outcome: desk.OutcomeNotMeant}, 1: {Outcome: desk.OutcomeNotMeant}}}, takedown.Allow, takedown.Block, desk.OutcomeAccepted, takedown.ScopeFace, "kept", "accepted"},
		{"the face by its item", desk.Grant{Items: map[int]desk.ItemDecision{
			0: {Outcome: desk.OutcomeNotMeant}, 1: {Outcome: desk.OutcomeRejected, Reason: "not_illegal"}, 2: {Scope: takedown.ScopeFace}}}, takedown.Allow, takedown.Block, desk.OutcomePartly, takedown.ScopeFace, "kept", "partial"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			looked = 0
			o := newOffice(t, func(o *desk.Options) { o.FaceEmbedder, o.OneReviewer = embedder, true })
			c := o.submit(t, asked)
			if looked != 2 || len(c.Items) != 3 || c.Items[2].Kind != request.ItemFace || c.Items[2].Field != "images[0]" || c.Asked != takedown.ScopeFace {
				t.Fatalf("looked %d times, %+v", looked, c.Items)
			}
			if c.Pictures[0].Faces != 1 || c.Pictures[1].Faces != 2 {
				t.Errorf("pictures %+v", c.Pictures)
			}
			ok(t, o.Accept(ctx, c.ID, tc.grant))
			wantVerdict(t, "the picture", o.Enforcer().Filter("", picture...), tc.picture)
			wantVerdict(t, "the face", o.Enforcer().Check(face), tc.face)
			c, err := o.Case(ctx, c.ID)
			ok(t, err)
			if c.Outcome != tc.outcome || c.Granted != tc.granted || (c.Items[2].Template != nil) != (tc.template == "kept") {
				t.Errorf("%s, granted %v, %+v", c.Outcome, c.Granted, c.Items[2])
			}
			if got := o.letters(c.ID); len(got) < 2 || string(got[1]) != tc.message {
				t.Errorf("letters %v", got)
			}
			// Another look at what was granted works as long as the template lives.
			err = o.Amend(ctx, c.ID, desk.Grant{Scope: takedown.ScopeFace})
			if gone := errors.Is(err, desk.ErrTemplateDestroyed); gone != (tc.template == "destroyed") || err != nil && !gone {
				t.Errorf("Change: %v", err)
			}
			ok(t, o.Withdraw(ctx, c.ID, desk.Actor{}))
			wantVerdict(t, "the face, withdrawn", o.Enforcer().Check(face), takedown.Allow)
		})
	}
	// No consent, no face: nobody looks.
	looked = 0
	d := faceDesk(t, t.TempDir(), func(o *desk.Options) { o.FaceEmbedder = embedder })
	asked.Biometric = request.Statement{}
	c, err := d.Submit(ctx, asked)
	ok(t, err)
	if looked != 0 || len(c.Items) != 2 || c.Asked != takedown.ScopeDuplicate {
		t.Errorf("without consent: looked %d times, %+v", looked, c.Items)
	}
	var ge *desk.GrantError
	if err := d.Accept(ctx, c.ID, desk.Grant{Scope: takedown.ScopeFace, Wider: "asked_by_phone"}); !errors.As(err, &ge) || !strings.Contains(ge.Why, "consent") {
		t.Errorf("a face without consent: %v", err)
	}
	// A mark says which face of several.
	asked.Biometric, asked.Marks = stated(consent), []string{"", "0.75,0.5"}
	c, err = d.Submit(ctx, asked)
	ok(t, err)
	ok(t, d.Accept(ctx, c.ID, desk.Grant{Items: map[int]desk.ItemDecision{
		0: {Outcome: desk.OutcomeNotMeant}, 1: {Outcome: desk.OutcomeNotMeant}, 2: {Outcome: desk.OutcomeNotMeant}, 3: {Scope: takedown.ScopeFace}}}))
	wantVerdict(t, "the marked one", d.Enforcer().Check(withFaces(portrait(t, 2, 8))), takedown.Block)
	wantVerdict(t, "the other one", d.Enforcer().Check(withFaces(portrait(t, 1, 8))), takedown.Allow)
	asked.Marks = []string{"", "0.75,0.5", "0.1,0.1"}
	_, err = d.Submit(ctx, asked)
	if diff := cmp.Diff([]string{"marks: too_many incomplete"}, problems(err)); diff != "" {
		t.Errorf("a mark too many (-want +got):\n%s", diff)
	}
}

// What a person says of a match is about the picture: an exception leaves it
// alone, and a copy that was confirmed is found without its faces.
func TestFaceOptOut_Resolve(t *testing.T) {
	t.Parallel()
	d := faceDesk(t, t.TempDir())
	e := d.Enforcer()
	id := accept(t, d, faceOptOut(portrait(t, 1, 0), portrait(t, 1, 1)), desk.Grant{})
	lookalike, same := testCandidate(t, 5), testCandidate(t, 6)
	lookalike.Faces, same.Faces = []takedown.Face{between(t, 1, 0.9)}, []takedown.Face{portrait(t, 2, 0), portrait(t, 1, 9)}
	same.ImageURLs = []string{"https://example.org/party.jpg"}

	match := desk.Match{Candidate: lookalike, Decision: e.Check(lookalike), File: testJPEG(t, 5)}
	wantVerdict(t, "a look-alike", match.Decision, takedown.Block)
	done, err := d.Resolve(ctx, match, desk.NotTheSame)
	ok(t, err)
	wantVerdict(t, "excepted", e.Check(lookalike), takedown.Allow)
	wantVerdict(t, "the same face on another picture", e.Check(withFaces(lookalike.Faces...)), takedown.Block)
	wantVerdict(t, "the person", e.Check(withFaces(portrait(t, 1, 3))), takedown.Block)

	match = desk.Match{Candidate: same, Decision: e.Check(same), File: testJPEG(t, 6)}
	if match.Decision.Face != 1 {
		t.Errorf("%v", match.Decision)
	}
	_, err = d.Resolve(ctx, match, desk.SameImage)
	ok(t, err)
	for what, got := range map[string]takedown.Decision{
		"its address": e.FilterURL("https://example.org/party.jpg"), "its hash": e.Filter("", same.Hashes...),
		"its file": e.Check(takedown.Candidate{SHA256: same.SHA256}),
	} {
		wantVerdict(t, what, got, takedown.Block)
		if !got.Derived || got.Case != id || got.Scope != takedown.ScopeFace {
			t.Errorf("%s: %v", what, got)
		}
	}
	// No template was made of it: the company's face is not registered.
	wantVerdict(t, "who was there besides", e.Check(withFaces(portrait(t, 2, 0))), takedown.Allow)

	// Another threshold keeps what was said.
	ok(t, d.Amend(ctx, id, desk.Grant{Face: desk.FaceThreshold{Block: 0.85}}))
	wantVerdict(t, "excepted, with other terms", e.Check(lookalike), takedown.Allow)
	wantVerdict(t, "learned, with other terms", e.Filter("", same.Hashes...), takedown.Block)

	if len(done.Events) != 1 {
		t.Fatalf("%+v", done)
	}
	ok(t, d.Withdraw(ctx, id, desk.Actor{}))
	wantVerdict(t, "learned, withdrawn", e.Filter("https://example.org/party.jpg", same.Hashes...), takedown.Allow)
}

// An index that stored the faces of its pictures is swept by them, and a preview
// shows what a grant would hit.
func TestFaceOptOut_SweepAndPreview(t *testing.T) {
	t.Parallel()
	d := faceDesk(t, t.TempDir())
	c, err := d.Submit(ctx, faceOptOut(portrait(t, 1, 0)))
	ok(t, err)
	index := takedown.Items(func(_ context.Context, after string) iter.Seq2[takedown.Item, error] {
		return func(yield func(takedown.Item, error) bool) {
			for i := range 30 {
				it := takedown.Item{Key: fmt.Sprintf("%02d", i), Candidate: withFaces(portrait(t, uint64(i%10), 5))}
				it.Candidate.ImageURLs = []string{fmt.Sprintf("https://host-%d.example/%d.jpg", i/10, i)}
				switch i {
				case 12:
					it.Candidate.Faces = []takedown.Face{between(t, 1, 0.7)}
				case 13, 14:
					it.Candidate.Faces = []takedown.Face{portrait(t, 4, 0), between(t, 1, 0.55+float64(i-13)/50)}
				}
				if it.Key > after && !yield(it, nil) {
					return
				}
			}
		}
	})
	before := files(t, filepath.Dir(d.Dir()))
	p, err := d.Preview(ctx, c.ID, index, nil)
	ok(t, err)
	if p.Looked != 30 || p.Block != 3 || p.Review != 1 || p.AllHosts != 3 || len(p.Found) != 4 || len(p.NearFaces) != 10 {
		t.Errorf("%d looked at, %d blocked, %d to review, %d hosts, %d found, %d near", p.Looked, p.Block, p.Review, p.AllHosts, len(p.Found), len(p.NearFaces))
	}
	if n := p.NearFaces[0]; n.Item.Key != "14" || n.Face != 1 || math.Abs(n.Similarity-0.57) > 0.01 {
		t.Errorf("the nearest miss: item %s, face %d, %v", n.Item.Key, n.Face, n.Similarity)
	}
	if n := p.NearFaces[1]; n.Item.Key != "13" {
		t.Errorf("the next one: item %s", n.Item.Key)
	}
	if diff := cmp.Diff(len(before), len(files(t, filepath.Dir(d.Dir())))); diff != "" {
		t.Errorf("files left by the preview: %s", diff)
	}
	stricter, err := d.Preview(ctx, c.ID, index, &desk.Grant{Face: desk.FaceThreshold{Block: 0.95}})
	ok(t, err)
	if stricter.Block != 0 || stricter.Review != 4 {
		t.Errorf("stricter: %d blocked, %d to review", stricter.Block, stricter.Review)
	}
	var at takedown.Cursor
	for range d.Enforcer().Sweep(ctx, index, &at) {
		t.Error("found before the acceptance")
	}
	ok(t, d.Accept(ctx, c.ID, desk.Grant{}))
	var found []string
	for f, err := range d.Enforcer().Sweep(ctx, index, &at) {
		ok(t, err)
		found = append(found, f.Item.Key+" "+f.Decision.Verdict.String())
	}
	if diff := cmp.Diff([]string{"01 block", "11 block", "12 review", "21 block"}, found); diff != "" {
		t.Errorf("swept (-want +got):\n%s", diff)
	}
	for f := range d.Enforcer().Sweep(ctx, index, &at) {
		t.Errorf("swept again: %s", f.Item.Key)
	}
	// The preview of the same again: nothing new.
	c, err = d.Submit(ctx, faceOptOut(portrait(t, 1, 1)))
	ok(t, err)
	if len(c.Flags) != 0 {
		t.Errorf("flags %v: it is the same requester", c.Flags)
	}
	if p, err = d.Preview(ctx, c.ID, index, nil); err != nil || p.Already == 0 || len(p.Found) > 1 {
		t.Errorf("%d already, %d new, %v", p.Already, len(p.Found), err)
	}
	somebody := faceOptOut(portrait(t, 1, 2))
	somebody.Requester.Email = "other@example.org"
	if c, err = d.Submit(ctx, somebody); err != nil || !cmp.Equal(c.Flags, []request.Flag{desk.FlagEarlierClaim}) {
		t.Errorf("the same face by somebody else: flags %v, %v", c.Flags, err)
	}
}

// A face in a frame of an animation is excepted, and learned, with the hashes of
// that frame.
func TestFaceOptOut_ResolveAFrame(t *testing.T) {
	t.Parallel()
	d := faceDesk(t, t.TempDir())
	e := d.Enforcer()
	accept(t, d, faceOptOut(portrait(t, 1, 0)), desk.Grant{})
	first, second := testCandidate(t, 5).Hashes, testCandidate(t, 6).Hashes
	anim := takedown.Candidate{Hashes: first, Faces: []takedown.Face{portrait(t, 3, 0)}, Frames: []takedown.Frame{{Hashes: second, Faces: []takedown.Face{between(t, 1, 0.9)}}}}
	match := desk.Match{Candidate: anim, Decision: e.Check(anim)}
	if wantVerdict(t, "in the second frame", match.Decision, takedown.Block); match.Decision.Frame != 1 {
		t.Fatalf("%v", match.Decision)
	}
	_, err := d.Resolve(ctx, match, desk.NotTheSame)
	ok(t, err)
	wantVerdict(t, "excepted", e.Check(anim), takedown.Allow)
	other := anim
	other.Frames = []takedown.Frame{{Hashes: testCandidate(t, 7).Hashes, Faces: anim.Frames[0].Faces}}
	wantVerdict(t, "the same face in another frame", e.Check(other), takedown.Block)
	anim.Faces = []takedown.Face{portrait(t, 1, 4)}
	wantVerdict(t, "the person in the first frame", e.Check(anim), takedown.Block)
}

// Items can be taken out of a face opt-out one by one, also when the desk's
// thresholds have changed meanwhile, or its model.
func TestFaceOptOut_PartialWithdrawal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := faceDesk(t, dir)
	id := accept(t, d, faceOptOut(portrait(t, 1, 0), portrait(t, 2, 0)), desk.Grant{})
	ok(t, d.Close())
	d = faceDesk(t, dir, func(o *desk.Options) { o.FaceModels = nil })
	accept(t, d, request.Withdrawal{Requester: person, Case: id, Items: []int{0}}, desk.Grant{})
	wantVerdict(t, "taken back", d.Enforcer().Check(withFaces(portrait(t, 1, 1))), takedown.Allow)
	wantVerdict(t, "what stays", d.Enforcer().Check(withFaces(portrait(t, 2, 1))), takedown.Block)
	c, err := d.Case(ctx, id)
	ok(t, err)
	if c.Items[0].Template != nil || c.Items[1].Template == nil || c.State != desk.StateInForce || c.Face.Block != 0.8 {
		t.Errorf("%+v", c)
	}
	if r := c.Request.(request.FaceOptOut); len(r.Faces) != 2 || !r.Faces[0].IsZero() || !r.Faces[1].Equal(portrait(t, 2, 0)) {
		t.Errorf("what is left of %d faces is not the second", len(r.Faces))
	}
}

// An erasure ends the face of an opt-out and leaves its picture blocked; a hold is
// about the picture, and the face waits for the decision.
func TestOpenOptOut_HeldAndErased(t *testing.T) {
	t.Parallel()
	file := testJPEG(t, 1)
	a := album{}
	a.shows(t, file, portrait(t, 1, 0))
	dir := t.TempDir()
	d := faceDesk(t, dir, func(o *desk.Options) { o.FaceEmbedder = a })
	picture, face := hashes(t, file), withFaces(portrait(t, 1, 5))
	c, err := d.Submit(ctx, request.OpenOptOut{Requester: person, Images: images(file), Claim: request.ClaimDepicted, Biometric: stated(consent)})
	ok(t, err)
	ok(t, d.Hold(ctx, c.ID, alice))
	wantVerdict(t, "the picture, held", d.Enforcer().Filter("", picture...), takedown.Block)
	wantVerdict(t, "the face, held", d.Enforcer().Check(face), takedown.Allow)
	ok(t, d.Accept(ctx, c.ID, desk.Grant{Actor: alice, Scope: takedown.ScopeFace}))
	wantVerdict(t, "the picture", d.Enforcer().Filter("", picture...), takedown.Block)
	wantVerdict(t, "the face", d.Enforcer().Check(face), takedown.Block)
	ok(t, d.Erase(ctx, c.ID, alice))
	check := func(what string) {
		t.Helper()
		wantVerdict(t, "the picture, "+what, d.Enforcer().Filter("", picture...), takedown.Block)
		wantVerdict(t, "the face, "+what, d.Enforcer().Check(face), takedown.Allow)
		c, err = d.Case(ctx, c.ID)
		ok(t, err)
		if c.State != desk.StateInForce || len(c.Rules) != 1 || !c.Erased() || c.Items[1].Outcome != desk.OutcomeOutOfScope || c.Items[1].Reason != "erased" {
			t.Errorf("%s: %+v", what, c)
		}
		wantUnreadable(t, what, dir, c, traces(t, portrait(t, 1, 0), components(1, 0), nil))
	}
	check("erased")
	ok(t, d.Close())
	d = faceDesk(t, dir)
	check("erased, and opened again")
	if err := d.Amend(ctx, c.ID, desk.Grant{Scope: takedown.ScopeFace}); !errors.Is(err, desk.ErrTemplateDestroyed) {
		t.Errorf("the face granted again: %v", err)
	}
	ok(t, d.Amend(ctx, c.ID, desk.Grant{Scope: takedown.ScopeIdentical, Items: map[int]desk.ItemDecision{1: {Outcome: desk.OutcomeOutOfScope}}}))
	wantVerdict(t, "the picture, on other terms", d.Enforcer().Filter("", picture...), takedown.Block)

	c, err = d.Submit(ctx, faceOptOut(portrait(t, 1, 0)))
	ok(t, err)
	var ge *desk.GrantError
	if err := d.Hold(ctx, c.ID, alice); !errors.As(err, &ge) {
		t.Errorf("a hold of a face: %v", err)
	}
}

// What another machine loads blocks faces as long as it may use them, and does
// not claim to have looked after that.
func TestFaceOptOut_Published(t *testing.T) {
	t.Parallel()
	now := &clock{t: day0}
	d := faceDesk(t, t.TempDir(), func(o *desk.Options) { o.Now, o.FaceLifetime = now.Now, time.Hour })
	accept(t, d, faceOptOut(portrait(t, 1, 0)), desk.Grant{})
	path := filepath.Join(t.TempDir(), "blocklist.snap")
	ok(t, d.Publish(ctx, path))
	e, err := takedown.Load(path, &takedown.EnforcerOptions{Now: now.Now, EncryptionKey: &blocklist.EncryptionKey{1}})
	ok(t, err)
	defer e.Close()
	wantVerdict(t, "loaded", e.Check(withFaces(portrait(t, 1, 1))), takedown.Block)
	now.set(day0.Add(2 * time.Hour))
	got := e.Check(withFaces(portrait(t, 1, 1)))
	if wantVerdict(t, "too old", got, takedown.Allow); got.Checked.Has(takedown.TierFace) {
		t.Errorf("too old: %v", got)
	}
	wantVerdict(t, "the desk", d.Enforcer().Check(withFaces(portrait(t, 1, 1))), takedown.Block)
	ok(t, d.Publish(ctx, path))
	_, err = e.Reload()
	ok(t, err)
	wantVerdict(t, "reloaded", e.Check(withFaces(portrait(t, 1, 1))), takedown.Block)

	if _, err := desk.Open(t.TempDir(), &desk.Options{FaceLifetime: time.Second}); err == nil {
		t.Error("a lifetime of a second was taken")
	}
}

// A desk without a ListKey grants and blocks faces, if it has never published its
// list. One that has grants none, says which option is missing, and goes on to
// publish all else. With a ListKey either opens, encrypts the list that is there,
// grants and publishes. The keys of the faces in the list open under the operator's key
// alone: the machines that load what it publishes have the ListKey too.
func TestFaceOptOut_NeedsListKey(t *testing.T) {
	t.Parallel()
	dir, path := t.TempDir(), filepath.Join(t.TempDir(), "p")
	opts := &desk.Options{FaceModels: faceModels, TrustFaceVectors: true, OneReviewer: true}
	d := open(t, dir, opts)
	const address = "https://example.org/a.jpg"
	accept(t, d, notice(address), desk.Grant{})
	ok(t, d.Publish(ctx, path))
	ok(t, d.Close())
	d = open(t, dir, opts)
	c, err := d.Submit(ctx, faceOptOut(portrait(t, 1, 0)))
	ok(t, err)
	var ge *desk.GrantError
	if err := d.Accept(ctx, c.ID, desk.Grant{}); !errors.As(err, &ge) || !strings.Contains(ge.Why, "desk.Options.ListKey") {
		t.Fatalf("granted without a ListKey: %v", err)
	}
	if c, err = d.Case(ctx, c.ID); err != nil || c.State != desk.StateInReview || c.Items[0].Outcome != "" {
		t.Fatalf("after the refusal: %v, %+v, %v", c.State, c.Items, err)
	}
	ok(t, d.Publish(ctx, path))
	plain, err := takedown.Load(path, nil)
	ok(t, err)
	wantVerdict(t, "published without a ListKey", plain.FilterURL(address), takedown.Block)
	ok(t, d.Close())

	key := &blocklist.EncryptionKey{1}
	opts.ListKey = key
	for range 2 {
		d = open(t, dir, opts)
		wantVerdict(t, "encrypted", d.Enforcer().FilterURL(address), takedown.Block)
		ok(t, d.Close())
	}
	for name, k := range map[string]*blocklist.EncryptionKey{"another": {2}, "no": nil} {
		if _, err := desk.Open(dir, &desk.Options{ListKey: k}); !errors.Is(err, blocklist.ErrKey) {
			t.Errorf("with %s ListKey: %v, want ErrKey", name, err)
		}
	}
	d = open(t, dir, opts)
	ok(t, d.Accept(ctx, c.ID, desk.Grant{}))
	face := withFaces(portrait(t, 1, 1))
	wantVerdict(t, "granted", d.Enforcer().Check(face), takedown.Block)
	ok(t, d.Publish(ctx, path))
	if _, err := plain.Reload(); !errors.Is(err, blocklist.ErrKey) {
		t.Errorf("a machine without the ListKey reloads: %v, want ErrKey", err)
	}
	wantVerdict(t, "and keeps its list", plain.FilterURL(address), takedown.Block)
	e, err := takedown.Load(path, &takedown.EnforcerOptions{EncryptionKey: key})
	ok(t, err)
	wantVerdict(t, "published", e.Check(face), takedown.Block)
	wantVerdict(t, "published", e.FilterURL(address), takedown.Block)
	_, _, err = d.VerifyLog(ctx)
	ok(t, err)
	if c, err = d.Case(ctx, c.ID); err != nil {
		t.Fatal(err)
	}
	ok(t, d.Close())

	// A desk that has not published.
	dir2 := t.TempDir()
	opts.ListKey = nil
	d = open(t, dir2, opts)
	id := accept(t, d, faceOptOut(portrait(t, 2, 0)), desk.Grant{})
	face2 := withFaces(portrait(t, 2, 1))
	wantVerdict(t, "granted without a ListKey", d.Enforcer().Check(face2), takedown.Block)
	if err := d.Publish(ctx, path); !errors.Is(err, blocklist.ErrFacesUnencrypted) || !strings.Contains(err.Error(), "desk.Options.ListKey") {
		t.Errorf("faces without a ListKey: %v", err)
	}
	ok(t, d.Close())
	if b, err := os.ReadFile(listKeys(t, dir2)); err != nil || b[6] != 0 {
		t.Errorf("the keys lie bare: % x, %v", b[:8], err)
	}
	opts.ListKey = key
	d = open(t, dir2, opts)
	ok(t, d.Publish(ctx, path))
	e, err = takedown.Load(path, &takedown.EnforcerOptions{EncryptionKey: key})
	ok(t, err)
	wantVerdict(t, "published with a ListKey", e.Check(face2), takedown.Block)
	if c, err := d.Case(ctx, id); err != nil || len(c.Moves) == 0 || c.Moves[len(c.Moves)-2].Reason == "face_keys_lost" {
		t.Errorf("%+v, %v", c.Moves, err)
	}

	// The folder of the list, and the ListKey, are not enough.
	stolen := t.TempDir()
	ok(t, os.CopyFS(stolen, os.DirFS(filepath.Join(dir, "list"))))
	list, err := boltjournal.Open(stolen, &blocklist.Options{EncryptionKey: key})
	ok(t, err)
	defer list.Close()
	if got := list.State().RulesWithoutFaces(); list.State().Counts().Faces != 0 || !slices.Equal(got, c.Rules) {
		t.Errorf("%d faces open with the ListKey; without faces are %v, want %v", list.State().Counts().Faces, got, c.Rules)
	}
}

// A rejected face opt-out keeps no template; opened again by a complaint, it can
// be granted only after its pictures have come again.
func TestFaceOptOut_RejectedAndOpenedAgain(t *testing.T) {
	t.Parallel()
	requests, embedder := sealedFaces(t)
	for _, tc := range requests {
		dir := t.TempDir()
		d := faceDesk(t, dir, func(o *desk.Options) { o.FaceEmbedder = embedder })
		c, err := d.Submit(ctx, tc.request)
		ok(t, err)
		ok(t, d.Reject(ctx, c.ID, refuse(alice)))
		c, err = d.Case(ctx, c.ID)
		ok(t, err)
		wantUnreadable(t, tc.name+", rejected", dir, c, tc.traces)
		complaint := accept(t, d, request.Complaint{Requester: person, Case: c.ID, Party: request.PartyNotifier, Grounds: "It is me."}, desk.Grant{})
		if _, err := d.Preview(ctx, c.ID, nil, nil); !errors.Is(err, desk.ErrTemplateDestroyed) {
			t.Errorf("%s: Preview: %v", tc.name, err)
		}
		if err := d.Accept(ctx, c.ID, desk.Grant{}); !errors.Is(err, desk.ErrTemplateDestroyed) {
			t.Errorf("%s: granted after the complaint %v: %v", tc.name, complaint, err)
		}
		ok(t, d.AskInfo(ctx, c.ID, alice, []string{"images"}))
		if _, err := d.Complete(ctx, c.ID, tc.request); err != nil {
			t.Fatal(err)
		}
		ok(t, d.Accept(ctx, c.ID, desk.Grant{}))
		wantVerdict(t, tc.name+", sent again", d.Enforcer().Check(withFaces(tc.request.Faces...)), map[bool]takedown.Verdict{true: takedown.Block, false: takedown.Allow}[len(tc.request.Faces) > 0])
		if _, _, err := d.VerifyLog(ctx); err != nil {
			t.Error(err)
		}
	}
}

// A template that is damaged is said to be, and keeps nobody from withdrawing.
func TestFaceOptOut_DamagedTemplate(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(tx desk.StoreTx, id []byte) error{
		"changed": func(tx desk.StoreTx, id []byte) error {
			b, err := tx.Get(desk.BucketTemplates, id)
			b = bytes.Clone(b)
			b[len(b)/2]++
			return errors.Join(err, tx.Put(desk.BucketTemplates, id, b))
		},
		"lost":  func(tx desk.StoreTx, id []byte) error { return tx.Delete(desk.BucketTemplates, id) },
		"empty": func(tx desk.StoreTx, id []byte) error { return tx.Put(desk.BucketTemplates, id, []byte{}) },
	} {
		dir := t.TempDir()
		d := faceDesk(t, dir)
		id := accept(t, d, faceOptOut(portrait(t, 1, 0)), desk.Grant{})
		c, err := d.Case(ctx, id)
		ok(t, err)
		ok(t, d.Close())
		s, err := desk.OpenStore(filepath.Join(dir, "cases.db"))
		ok(t, err)
		ok(t, s.Update(func(tx desk.StoreTx) error { return damage(tx, c.Items[0].Template) }))
		ok(t, s.Close())
		d = faceDesk(t, dir)
		wantVerdict(t, name, d.Enforcer().Check(withFaces(portrait(t, 1, 1))), takedown.Block)
		for what, err := range map[string]error{
			"Case":   func() error { _, err := d.Case(ctx, id); return err }(),
			"Change": d.Amend(ctx, id, desk.Grant{}),
		} {
			if !errors.Is(err, desk.ErrSealed) && !errors.Is(err, desk.ErrStore) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
		ok(t, d.Withdraw(ctx, id, desk.Actor{}))
		wantVerdict(t, name+", withdrawn", d.Enforcer().Check(withFaces(portrait(t, 1, 1))), takedown.Allow)
		c, err = d.Case(ctx, id)
		ok(t, err)
		wantUnreadable(t, name+", withdrawn", dir, c, traces(t, portrait(t, 1, 0), components(1, 0), nil))
	}
}

// A completed request takes the place of the templates before it.
func TestFaceOptOut_Complete(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := faceDesk(t, dir)
	c, err := d.Submit(ctx, faceOptOut(portrait(t, 11, 0)))
	ok(t, err)
	ok(t, d.AskInfo(ctx, c.ID, alice, []string{"faces"}))
	c, err = d.Complete(ctx, c.ID, faceOptOut(portrait(t, 12, 0)))
	ok(t, err)
	old := traces(t, portrait(t, 11, 0), components(11, 0), nil)
	wantNowhere(t, dir, "completed", old...)
	if n, err := desk.OpenEverything(dir, dir, func(plain []byte) bool { return bytes.Contains(plain, old[2]) }); n != 0 || err != nil {
		t.Errorf("the first template can still be opened: %d, %v", n, err)
	}
	ok(t, d.Accept(ctx, c.ID, desk.Grant{}))
	wantVerdict(t, "the first", d.Enforcer().Check(withFaces(portrait(t, 11, 0))), takedown.Allow)
	wantVerdict(t, "the second", d.Enforcer().Check(withFaces(portrait(t, 12, 0))), takedown.Block)
}

// A query by faces takes no memory, also while rules come and go.
func TestCheck_FacesDoNotAllocate(t *testing.T) {
	d := faceDesk(t, t.TempDir())
	for i := range uint64(40) { // 200 faces: more than are compared one by one
		r := faceOptOut()
		for k := range uint64(5) {
			r.Faces = append(r.Faces, portrait(t, 5*i+k, 0))
		}
		accept(t, d, r, desk.Grant{})
	}
	candidates := []takedown.Candidate{withFaces(portrait(t, 5, 1), portrait(t, 500, 0)), withFaces(portrait(t, 500, 0), portrait(t, 501, 0)), withFaces(between(t, 7, 0.7))}
	e := d.Enforcer()
	if n := sharedtest.AllocsPerRun(200, func() {
		for i := range candidates {
			e.Check(candidates[i])
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if got := e.Check(candidates[0]); got.Verdict != takedown.Block || got.Face != 0 {
					t.Errorf("while rules come and go: %v", got)
					return
				}
			}
		})
	}
	for i := range uint64(20) {
		id := accept(t, d, faceOptOut(portrait(t, 900+i, 0)), desk.Grant{})
		if i%2 == 0 {
			ok(t, d.Withdraw(ctx, id, desk.Actor{}))
		}
	}
	close(stop)
	wg.Wait()
}
