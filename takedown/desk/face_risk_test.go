package desk_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// Preview and Status report how often the list is wrong about strangers, before a
// grant and after it.
func TestFaceRisks(t *testing.T) {
	t.Parallel()
	model := faceModels[0]
	for i := range uint64(1000) {
		model.Reference = append(model.Reference, portrait(t, 5000+i, 0))
	}
	model.Reference[0], model.Reference[1], model.Reference[2] = between(t, 1, 0.9), between(t, 1, 0.85), between(t, 2, 0.7)
	model.Calibrated = 10
	d := faceDesk(t, t.TempDir(), func(o *desk.Options) { o.FaceModels = []desk.FaceModel{model} })
	status := func() desk.FaceRisk {
		s, err := d.Status(ctx)
		ok(t, err)
		if len(s.FaceRisks) != 1 {
			t.Fatalf("%+v", s.FaceRisks)
		}
		return s.FaceRisks[0]
	}
	c1, err := d.Submit(ctx, faceOptOut(portrait(t, 1, 0)))
	ok(t, err)
	p, err := d.Preview(ctx, c1.ID, nil, nil)
	ok(t, err)
	want := desk.FaceRisk{Model: faceModel, Faces: 1, Of: 1000, Blocked: 2, BlocksPerMillion: 2000, BlocksAtMost: 6296, HoldsAtMost: 2996}
	if diff := cmp.Diff([]desk.FaceRisk{want}, p.FaceRisks); diff != "" {
		t.Errorf("preview (-want +got):\n%s", diff)
	}
	ok(t, d.Accept(ctx, c1.ID, desk.Grant{}))
	// The next one adds to it, and what is known is of the list as it is.
	c2, err := d.Submit(ctx, faceOptOut(portrait(t, 2, 0)))
	ok(t, err)
	p, err = d.Preview(ctx, c2.ID, nil, nil)
	ok(t, err)
	if r := p.FaceRisks[0]; r.Blocked != 2 || r.Held != 1 || r.Faces != 2 {
		t.Errorf("with another face: %+v", r)
	}
	if diff := cmp.Diff(want, status()); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	// The list reports before it is too long.
	for i := range uint64(8) {
		if slices.ContainsFunc(d.Health(ctx), func(p desk.HealthProblem) bool { return p.Code == desk.HealthOutgrown }) {
			t.Fatalf("outgrown with %d of 10 faces", i+1)
		}
		accept(t, d, faceOptOut(portrait(t, 20+i, 0)), desk.Grant{})
	}
	if !slices.ContainsFunc(d.Health(ctx), func(p desk.HealthProblem) bool { return p.Code == desk.HealthOutgrown }) {
		t.Error("9 of 10 faces: nobody is told")
	}
}

// The operator gets the face of a case in force for an index of its own, and the log
// has who asked.
func TestDesk_Faces(t *testing.T) {
	t.Parallel()
	d := faceDesk(t, t.TempDir())
	c, err := d.Submit(ctx, faceOptOut(portrait(t, 1, 0), portrait(t, 1, 1)))
	ok(t, err)
	asked := desk.Actor{By: "ranker", Reason: "own_index"}
	var move *desk.MoveError
	if _, err := d.Faces(ctx, c.ID, asked); !errors.As(err, &move) {
		t.Errorf("before the decision: %v", err)
	}
	ok(t, d.Accept(ctx, c.ID, desk.Grant{}))
	faces, err := d.Faces(ctx, c.ID, asked)
	ok(t, err)
	if len(faces) != 2 || !faces[0].Equal(portrait(t, 1, 0)) || !faces[1].Equal(portrait(t, 1, 1)) {
		t.Errorf("%v", faces)
	}
	for _, a := range []desk.Actor{{}, {By: "ranker"}, {Reason: "own_index"}} {
		if faces, err := d.Faces(ctx, c.ID, a); err == nil || faces != nil {
			t.Errorf("%+v: no error", a)
		}
	}
	logged := 0
	for e, err := range d.Log(ctx, 0) {
		ok(t, err)
		if e.To == "faces_given" && e.By == "ranker" && e.Reason == "own_index" && e.Case == c.ID {
			logged++
		}
	}
	if logged != 1 {
		t.Errorf("%d entries of the log", logged)
	}
	ok(t, d.Withdraw(ctx, c.ID, desk.Actor{}))
	if faces, err := d.Faces(ctx, c.ID, asked); !errors.As(err, &move) || faces != nil {
		t.Errorf("after the withdrawal: %v, %v", faces, err)
	}
}

// A face that is too small, blurred or no face is refused for that reason.
func TestFaceOptOut_Floor(t *testing.T) {
	t.Parallel()
	file := func(fine int) []byte {
		m := image.NewGray(image.Rect(0, 0, 320, 320))
		for y := range 320 {
			for x := range 320 {
				m.SetGray(x, y, color.Gray{Y: uint8((x/fine*37+y/fine*91)%7*36 + x/8)})
			}
		}
		var b bytes.Buffer
		ok(t, jpeg.Encode(&b, m, nil))
		return b.Bytes()
	}
	found := takedown.FoundFace{Face: portrait(t, 1, 0), Box: image.Rect(0, 0, 200, 200), Quality: 0.9}
	embedder := takedown.FaceEmbedderFunc(func(context.Context, image.Image) ([]takedown.FoundFace, error) {
		return []takedown.FoundFace{found}, nil
	})
	d := faceDesk(t, t.TempDir(), func(o *desk.Options) {
		o.FaceEmbedder, o.FaceFloor = embedder, takedown.FaceFloor{Size: 48, Quality: 0.6, Sharpness: 0.05}
	})
	for _, tc := range []struct {
		name string
		fine int
		mark string
		set  func(*takedown.FoundFace)
		want []string
	}{
		{"clear", 12, "", func(*takedown.FoundFace) {}, nil},
		{"an embedder that estimates no quality", 12, "", func(f *takedown.FoundFace) { f.Quality = 0 }, nil},
		{"small", 12, "", func(f *takedown.FoundFace) { f.Box.Max.Y = 47 }, []string{"images[0]: small_face incomplete"}},
		{"small, marked", 12, "0.1,0.1", func(f *takedown.FoundFace) { f.Box.Max.Y = 47 }, []string{"images[0]: small_face incomplete"}},
		{"a dog", 12, "", func(f *takedown.FoundFace) { f.Quality = 0.5 }, []string{"images[0]: unclear_face incomplete"}},
		{"blurred", 320, "", func(*takedown.FoundFace) {}, []string{"images[0]: unclear_face incomplete"}},
	} {
		found = takedown.FoundFace{Face: portrait(t, 1, 0), Box: image.Rect(0, 0, 200, 200), Quality: 0.9}
		tc.set(&found)
		r := faceOptOut()
		r.Images = []request.File{request.FromBytes(file(tc.fine))}
		if tc.mark != "" {
			r.Marks = []string{tc.mark}
		}
		_, err := d.Submit(ctx, r)
		if diff := cmp.Diff(tc.want, problems(err)); diff != "" || err != nil && tc.want == nil {
			t.Errorf("%s: %v (-want +got):\n%s", tc.name, err, diff)
		}
	}
}
