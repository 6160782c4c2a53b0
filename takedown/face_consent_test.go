package takedown_test

import (
	"context"
	"image"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/takedown"
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
		claim     takedown.Claim
		subject   takedown.Subject
		requester takedown.Requester
		consent   takedown.Statement
		want      []string
		faces     int
	}{
		{"the person", takedown.ClaimDepicted, takedown.SubjectSelf, person, stated(consent), nil, 1},
		{"the person, of the picture alone", takedown.ClaimDepicted, takedown.SubjectSelf, person, takedown.Statement{}, nil, 0},
		{"the owner, of the picture alone", takedown.ClaimOwner, takedown.SubjectSelf, person, takedown.Statement{}, nil, 0},
		{"the owner", takedown.ClaimOwner, takedown.SubjectSelf, person, stated(consent), []string{"claim: not_depicted incomplete"}, 0},
		{"the owner, of a child", takedown.ClaimOwner, takedown.SubjectChild, mother, stated(consent), []string{"claim: not_depicted incomplete"}, 0},
		{"a child", takedown.ClaimDepicted, takedown.SubjectChild, mother, stated(consent), nil, 1},
		{"a ward", takedown.ClaimDepicted, takedown.SubjectWard, mother, stated(consent), nil, 1},
		{"a child, without authority", takedown.ClaimDepicted, takedown.SubjectChild, person, stated(consent), []string{"requester.authority: required incomplete"}, 0},
		{"a neighbour", takedown.ClaimDepicted, "neighbour", mother, stated(consent), []string{"subject: invalid_choice incomplete"}, 0},
	} {
		looked = 0
		d := faceDesk(t, t.TempDir(), func(o *takedown.DeskOptions) { o.FaceEmbedder = counting })
		c, err := d.Submit(ctx, takedown.OpenOptOut{
			Requester: tc.requester, Images: [][]byte{file}, Claim: tc.claim, Subject: tc.subject, Biometric: tc.consent,
		})
		if diff := cmp.Diff(tc.want, problems(err)); diff != "" || err != nil && tc.want == nil {
			t.Errorf("%s: %v (-want +got):\n%s", tc.name, err, diff)
		}
		faces := 0
		for _, it := range c.Items {
			if it.Kind == takedown.ItemFace {
				faces++
			}
		}
		if looked != tc.faces || faces != tc.faces {
			t.Errorf("%s: looked %d times, found %d faces, want %d", tc.name, looked, faces, tc.faces)
		}
		if tc.want != nil {
			continue
		}
		width := takedown.WidthDuplicate
		if tc.faces > 0 {
			width = takedown.WidthFace
		}
		ok(t, d.Accept(ctx, c.ID, takedown.Grant{Act: alice, Width: width}))
		c, err = d.Case(ctx, c.ID)
		ok(t, err)
		if got := c.Request.(takedown.OpenOptOut).Subject; got != tc.subject {
			t.Errorf("%s: subject %q was kept of %q", tc.name, got, tc.subject)
		}
		ground := takedown.GroundPrivacy
		if tc.claim == takedown.ClaimOwner {
			ground = takedown.GroundCopyright
		}
		if s := takedown.Statement17(&c); s.Ground != ground || s.Width != width {
			t.Errorf("%s: the statement has ground %q, width %v", tc.name, s.Ground, s.Width)
		}
	}
}

// What is said of a face never rests on a copyright.
func TestStatement17_FaceOfAnOwner(t *testing.T) {
	t.Parallel()
	s := takedown.Statement17(&takedown.Case{Kind: takedown.KindOpenOptOut, Claim: takedown.ClaimOwner, Granted: takedown.WidthFace})
	row, err := s.TransparencyRow("", day0)
	if s.Ground != takedown.GroundPrivacy || strings.Contains(s.Text(), "copyright") || row.Category != "STATEMENT_CATEGORY_DATA_PROTECTION_AND_PRIVACY_VIOLATIONS" {
		t.Errorf("%s\n%s, %v", s.Text(), row.Category, err)
	}
}
