package desk_test

import (
	"context"
	"errors"
	"image"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// Nobody looks for a face without the consent of who is shown: owning the
// picture is not enough, nor is the word of somebody else without authority.
func TestOpenOptOut_WhoConsents(t *testing.T) {
	t.Parallel()
	file := testJPEG(t, 1)
	a := album{}
	a.shows(t, file, portrait(t, 1, 0))
	looked := 0
	counting := takedown.FaceEmbedderFunc(func(ctx context.Context, m image.Image) ([]takedown.FoundFace, error) {
		looked++
		return a.EmbedFaces(ctx, m)
	})
	mother := person
	mother.Authority = "I am her mother."
	for _, tc := range []struct {
		name      string
		claim     request.Claim
		subject   request.Subject
		requester request.Requester
		consent   request.Statement
		want      []string
		faces     int
	}{
		{"the person", request.ClaimDepicted, request.SubjectSelf, person, stated(consent), nil, 1},
		{"the person, of the picture alone", request.ClaimDepicted, request.SubjectSelf, person, request.Statement{}, nil, 0},
		{"the owner, of the picture alone", request.ClaimOwner, request.SubjectSelf, person, request.Statement{}, nil, 0},
		{"the owner", request.ClaimOwner, request.SubjectSelf, person, stated(consent), []string{"claim: not_depicted incomplete"}, 0},
		{"the owner, of a child", request.ClaimOwner, request.SubjectChild, mother, stated(consent), []string{"claim: not_depicted incomplete"}, 0},
		{"a child", request.ClaimDepicted, request.SubjectChild, mother, stated(consent), nil, 1},
		{"a ward", request.ClaimDepicted, request.SubjectWard, mother, stated(consent), nil, 1},
		{"a child, without authority", request.ClaimDepicted, request.SubjectChild, person, stated(consent), []string{"requester.authority: required incomplete"}, 0},
		{"a neighbour", request.ClaimDepicted, "neighbour", mother, stated(consent), []string{"subject: invalid_choice incomplete"}, 0},
	} {
		looked = 0
		d := faceDesk(t, t.TempDir(), func(o *desk.Options) { o.FaceEmbedder = counting })
		c, err := d.Submit(ctx, request.OpenOptOut{
			Requester: tc.requester, Images: images(file), Claim: tc.claim, Subject: tc.subject, Biometric: tc.consent,
		})
		if diff := cmp.Diff(tc.want, problems(err)); diff != "" || err != nil && tc.want == nil {
			t.Errorf("%s: %v (-want +got):\n%s", tc.name, err, diff)
		}
		faces := 0
		for _, it := range c.Items {
			if it.Kind == request.ItemFace {
				faces++
			}
		}
		if looked != tc.faces || faces != tc.faces {
			t.Errorf("%s: looked %d times, found %d faces, want %d", tc.name, looked, faces, tc.faces)
		}
		if tc.want != nil {
			continue
		}
		width := takedown.ScopeDuplicate
		if tc.faces > 0 {
			width = takedown.ScopeFace
		}
		ok(t, d.Accept(ctx, c.ID, desk.Grant{Actor: alice, Scope: width}))
		c, err = d.Case(ctx, c.ID)
		ok(t, err)
		if got := c.Request.(request.OpenOptOut).Subject; got != tc.subject {
			t.Errorf("%s: subject %q was kept of %q", tc.name, got, tc.subject)
		}
		ground := request.GroundPrivacy
		if tc.claim == request.ClaimOwner {
			ground = request.GroundCopyright
		}
		if s := desk.NewStatementOfReasons(&c); s.Ground != ground || s.Scope != width {
			t.Errorf("%s: the statement has ground %q, scope %v", tc.name, s.Ground, s.Scope)
		}
	}
}

// Faces of one request that do not look like one person's are pointed out to
// the reviewers, and refused by nobody: models differ, and so do photographs.
func TestFaceOptOut_SeveralPeople(t *testing.T) {
	t.Parallel()
	front, turned, side := portrait(t, 1, 0), between(t, 1, 0.7), between(t, 1, 0.4)
	if s, _ := front.Similarity(side); s >= faceModels[0].Review {
		t.Fatalf("front and side are similar by %v", s)
	}
	for _, tc := range []struct {
		name   string
		faces  []takedown.Face
		models []desk.FaceModel
		people [][]int
	}{
		{"one face", []takedown.Face{front}, faceModels, [][]int{{0}}},
		{"photographs of one person", []takedown.Face{front, portrait(t, 1, 1), portrait(t, 1, 2), portrait(t, 1, 3), portrait(t, 1, 4)}, faceModels, [][]int{{0, 1, 2, 3, 4}}},
		// A chain could as well be a mother and her child.
		{"from the front and the side, and between", []takedown.Face{side, front, turned}, faceModels, [][]int{{0, 2}, {1}}},
		{"from the front and the side", []takedown.Face{front, side}, faceModels, [][]int{{0}, {1}}},
		{"a stranger among them", []takedown.Face{front, portrait(t, 1, 1), portrait(t, 2, 0), portrait(t, 1, 3)}, faceModels, [][]int{{0, 1, 3}, {2}}},
		{"strangers", []takedown.Face{portrait(t, 5, 0), portrait(t, 4, 0), portrait(t, 3, 0), portrait(t, 2, 0), front}, faceModels, [][]int{{0}, {1}, {2}, {3}, {4}}},
		{"no thresholds", []takedown.Face{front, portrait(t, 2, 0)}, nil, [][]int{{0, 1}}},
	} {
		d := faceDesk(t, t.TempDir(), func(o *desk.Options) { o.OneReviewer, o.FaceModels = false, tc.models })
		c, err := d.Submit(ctx, faceOptOut(tc.faces...))
		ok(t, err)
		flagged := len(tc.people) > 1
		if slices.Contains(c.Flags, desk.FlagSeveralPeople) != flagged {
			t.Errorf("%s: flags %v", tc.name, c.Flags)
		}
		if tc.models == nil {
			continue // nobody can grant it
		}
		p, err := d.Preview(ctx, c.ID, index{}.items, nil)
		ok(t, err)
		if diff := cmp.Diff(tc.people, p.People); diff != "" || slices.Contains(p.Risks, desk.FlagSeveralPeople) != flagged {
			t.Errorf("%s: risks %v, people (-want +got):\n%s", tc.name, p.Risks, diff)
		}
		// Without those that are not of the first group it is one person.
		items := map[int]desk.ItemDecision{}
		for _, group := range tc.people[1:] {
			for _, i := range group {
				items[i] = desk.ItemDecision{Outcome: desk.OutcomeRejected, Reason: "not_illegal"}
			}
		}
		p, err = d.Preview(ctx, c.ID, index{}.items, &desk.Grant{Items: items})
		ok(t, err)
		if slices.Contains(p.Risks, desk.FlagSeveralPeople) || !slices.Contains(p.Risks, desk.FlagFace) {
			t.Errorf("%s: without the others the risks are %v", tc.name, p.Risks)
		}
		var second *desk.SecondReviewError
		if err := d.Accept(ctx, c.ID, desk.Grant{Actor: alice}); !errors.As(err, &second) || slices.Contains(second.Risks, desk.FlagSeveralPeople) != flagged {
			t.Errorf("%s: accepted by one: %v", tc.name, err)
		}
		ok(t, d.Accept(ctx, c.ID, desk.Grant{Actor: bob}))
		for i, f := range tc.faces {
			if got := d.Enforcer().Check(withFaces(f)); got.Verdict != takedown.Block {
				t.Errorf("%s: face %d: %v", tc.name, i, got)
			}
		}
	}

	// So are those of pictures; and a completed request is looked at anew.
	a, files := album{}, [][]byte{testJPEG(t, 1), testJPEG(t, 2), testJPEG(t, 3)}
	a.shows(t, files[0], portrait(t, 1, 0))
	a.shows(t, files[1], portrait(t, 2, 0))
	a.shows(t, files[2], portrait(t, 1, 1))
	d := faceDesk(t, t.TempDir(), func(o *desk.Options) { o.FaceEmbedder = a })
	r := request.OpenOptOut{Requester: person, Images: images(files[:2]...), Claim: request.ClaimDepicted, Biometric: stated(consent)}
	c, err := d.Submit(ctx, r)
	ok(t, err)
	p, err := d.Preview(ctx, c.ID, index{}.items, nil)
	ok(t, err)
	if !slices.Contains(c.Flags, desk.FlagSeveralPeople) || slices.Contains(p.Risks, desk.FlagSeveralPeople) || len(p.People) != 2 {
		t.Errorf("flags %v; of the pictures alone the risks are %v; people %v", c.Flags, p.Risks, p.People)
	}
	ok(t, d.AskInfo(ctx, c.ID, alice, []string{"images"}))
	r.Images = images(files[0], files[2])
	c, err = d.Complete(ctx, c.ID, r)
	ok(t, err)
	if slices.Contains(c.Flags, desk.FlagSeveralPeople) {
		t.Errorf("completed: flags %v", c.Flags)
	}
}
