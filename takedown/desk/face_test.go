package desk_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/internal/embedding"
	"github.com/staydown/staydown/internal/requesttest"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

const (
	faceModel = requesttest.FaceModel
	consent   = requesttest.Consent
)

// faceModels are the thresholds of the tests: photographs of one person are
// similar by about 0.9, strangers by less than 0.4.
var faceModels = []desk.FaceModel{{Name: faceModel, Dimensions: 128, Block: 0.8, Review: 0.6}}

// fataler is what tests and rapid's own have in common.
type fataler = requesttest.Fataler

// components and portrait are a made-up photograph of a made-up person.
var components = requesttest.Components

func portrait(tb fataler, person, photo uint64) takedown.Face {
	tb.Helper()
	return requesttest.Portrait(tb, person, photo)
}

// between returns a face whose similarity to photo 0 of a person is near s.
func between(tb testing.TB, person uint64, s float64) takedown.Face {
	tb.Helper()
	a, b := components(person, 0), components(person+1000, 0)
	var aa, ab float64
	for i := range a {
		aa += float64(a[i]) * float64(a[i])
		ab += float64(a[i]) * float64(b[i])
	}
	var bb float64
	for i := range b {
		b[i] -= float32(ab / aa * float64(a[i]))
		bb += float64(b[i]) * float64(b[i])
	}
	for i := range a {
		a[i] = float32(s*float64(a[i])/math.Sqrt(aa) + math.Sqrt(1-s*s)*float64(b[i])/math.Sqrt(bb))
	}
	f, err := takedown.NewFace(faceModel, a)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// album is an embedder that knows its pictures.
type album map[phash.Hash][]takedown.FoundFace

func (a album) EmbedFaces(_ context.Context, picture image.Image) ([]takedown.FoundFace, error) {
	h, _, err := phash.PDQ(picture)
	return a[h], err
}

// shows notes that a file shows faces, side by side.
func (a album) shows(tb testing.TB, file []byte, faces ...takedown.Face) {
	tb.Helper()
	pic, err := phash.Decode(bytes.NewReader(file), nil)
	if err != nil {
		tb.Fatal(err)
	}
	h, _, err := phash.PDQ(pic.Image())
	if err != nil {
		tb.Fatal(err)
	}
	b := pic.Image().Bounds()
	for i, f := range faces {
		x := b.Dx() / len(faces)
		a[h] = append(a[h], takedown.FoundFace{Face: f, Box: image.Rect(i*x, 0, (i+1)*x, b.Dy()).Add(b.Min)})
	}
}

func faceOptOut(faces ...takedown.Face) request.FaceOptOut {
	return request.FaceOptOut{Requester: person, Faces: faces, Biometric: stated(consent)}
}

func TestNewFace(t *testing.T) {
	t.Parallel()
	good := components(1, 1)
	infinite, nan := components(1, 1), components(1, 1)
	infinite[3], nan[5] = float32(math.Inf(-1)), float32(math.NaN())
	for _, tc := range []struct {
		name, model string
		vector      []float32
		want        error
	}{
		{"good", faceModel, good, nil},
		{"no name", "", good, embedding.ErrModel},
		{"a name with a space", "my model", good, embedding.ErrModel},
		{"too long a name", strings.Repeat("m", 65), good, embedding.ErrModel},
		{"too short", faceModel, good[:63], embedding.ErrDimensions},
		{"as short as can be", faceModel, good[:64], nil},
		{"as long as can be", faceModel, append(make([]float32, 1920), good...), nil},
		{"too long", faceModel, append(make([]float32, 1921), good...), embedding.ErrDimensions},
		{"infinite", faceModel, infinite, embedding.ErrNotFinite},
		{"not a number", faceModel, nan, embedding.ErrNotFinite},
		{"zero", faceModel, make([]float32, 128), embedding.ErrZero},
	} {
		f, err := takedown.NewFace(tc.model, tc.vector)
		if !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) || (err == nil) == f.IsZero() {
			t.Errorf("%s: %v, %v; want %v", tc.name, f, err, tc.want)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "takedown: ") {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	// The length of a vector says nothing.
	long := components(1, 1)
	for i := range long {
		long[i] *= 1e6
	}
	a, b := portrait(t, 1, 1), portrait(t, 1, 2)
	scaled, err := takedown.NewFace(faceModel, long)
	ok(t, err)
	if s, ok := a.Similarity(scaled); !ok || s != 1 {
		t.Errorf("similarity to itself, scaled: %v, %v", s, ok)
	}
	if s, ok := a.Similarity(b); !ok || s < 0.8 {
		t.Errorf("two photographs of one person: %v, %v", s, ok)
	}
	if s, ok := a.Similarity(portrait(t, 2, 1)); !ok || s > 0.5 {
		t.Errorf("two people: %v, %v", s, ok)
	}
	other, err := takedown.NewFace("test-model@2", good)
	ok(t, err)
	for _, g := range []takedown.Face{other, {}} {
		if s, ok := a.Similarity(g); ok || s != 0 {
			t.Errorf("%v and %v: %v, %v; they cannot be compared", a, g, s, ok)
		}
	}
}

func TestFace_Encodings(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]takedown.Face{"a face": portrait(t, 1, 1), "none": {}} {
		b, err := f.MarshalBinary()
		ok(t, err)
		var got takedown.Face
		ok(t, got.UnmarshalBinary(b))
		j, err := json.Marshal(f)
		ok(t, err)
		var fromJSON takedown.Face
		ok(t, json.Unmarshal(j, &fromJSON))
		for _, g := range []takedown.Face{got, fromJSON} {
			again, err := g.MarshalBinary()
			ok(t, err)
			if !bytes.Equal(b, again) {
				t.Errorf("%s: another face came back", name)
			}
		}
		if len(b) > 2116 {
			t.Errorf("%s: %d bytes", name, len(b))
		}
	}
	b, err := portrait(t, 1, 1).MarshalBinary()
	ok(t, err)
	newer := bytes.Clone(b)
	newer[0]++
	var f takedown.Face
	if err := f.UnmarshalBinary(newer); !errors.Is(err, embedding.ErrVectorVersion) {
		t.Errorf("of a newer version: %v", err)
	}
	if err := f.UnmarshalBinary(b[:len(b)-1]); err == nil {
		t.Error("cut off, and taken")
	}
	for _, s := range []string{`{}`, `[]`, `{"model": "m", "vector": [1]}`, `{"model": "m", "vector": "x"}`, `{"model": "m", "vector": [], "person": "x"}`} {
		if err := json.Unmarshal([]byte(s), &f); err == nil {
			t.Errorf("%s was taken for a face", s)
		}
	}
	// As it may be called by hand, with bytes that no decoder has looked at.
	b, err = json.Marshal(portrait(t, 1, 1))
	ok(t, err)
	for behind, want := range map[string]bool{"": true, " \n": true, " x": false, "{}": false, "]": false, " null": false} {
		if err := f.UnmarshalJSON(append(bytes.Clone(b), behind...)); (err == nil) != want {
			t.Errorf("with %q behind it: %v", behind, err)
		}
	}
}

// However a face is printed, it prints nothing of its vector.
func TestFace_PrintsNothingOfItself(t *testing.T) {
	t.Parallel()
	f := portrait(t, 1, 1)
	const want = "Face(test-model@1, 128 dimensions)"
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "face", f)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		if got := fmt.Sprintf(verb, f); got != want {
			t.Errorf("%s prints %q", verb, got)
		}
		for what, v := range map[string]any{
			"a candidate": takedown.Candidate{Faces: []takedown.Face{f}}, "a request": faceOptOut(f), "found": takedown.FoundFace{Face: f},
		} {
			got := fmt.Sprintf(verb, v)
			if strings.Contains(got, "[]int8") || len(got) > 2000 {
				t.Errorf("%s of %s prints %d bytes: %.200s", verb, what, len(got), got)
			}
		}
	}
	if !strings.Contains(log.String(), want) || len(log.String()) > 300 {
		t.Errorf("the log has %s", &log)
	}
	if b, err := json.Marshal(takedown.Candidate{Faces: []takedown.Face{f}, Frames: []takedown.Frame{{Faces: []takedown.Face{f}}}}); err != nil || bytes.Contains(b, []byte("ace")) {
		t.Errorf("a candidate in JSON: %s, %v", b, err)
	}
}

// A host keeps faces in unexported fields of its own types, where fmt calls no
// method and prints what it finds.
func TestFace_PrintsNothingWithinOthers(t *testing.T) {
	t.Parallel()
	f := portrait(t, 1, 1)
	b, err := f.MarshalBinary()
	ok(t, err)
	var components []int8
	for _, c := range b[len(b)-f.Dimensions():] {
		components = append(components, int8(c))
	}
	type job struct {
		id   int
		face takedown.Face
	}
	type nested struct {
		jobs []job
		of   map[string]job
		cand takedown.Candidate
		req  request.Request
		any  any
	}
	j := job{7, f}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%d", "%o", "%b", "%q", "%p", "%t", "%e", "%U", "%c"} {
		// As fmt prints components that it can see.
		some := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(fmt.Sprintf(verb, components[5:8]), "[]int8{"), "["), "]")
		some = strings.TrimSuffix(some, "}")
		if all := fmt.Sprintf(verb, struct{ x []int8 }{components}); verb != "%p" && !strings.Contains(all, some) {
			t.Fatalf("%s prints %s of %s: the test would see nothing", verb, some, all)
		}
		for what, v := range map[string]any{
			"a struct": j, "a pointer": &j, "a slice": []job{j}, "a map": map[int]job{1: j}, "an array": [1]job{j},
			"within others": nested{[]job{j}, map[string]job{"a": j}, takedown.Candidate{Faces: []takedown.Face{f}}, faceOptOut(f), f},
			"found":         struct{ x []takedown.FoundFace }{[]takedown.FoundFace{{Face: f}}},
		} {
			if got := fmt.Sprintf(verb, v); strings.Contains(got, some) || len(got) > 3000 {
				t.Errorf("%s of %s prints %.300s", verb, what, got)
			}
		}
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "job", j, "jobs", []job{j})
	if some := strings.Trim(fmt.Sprint(components[5:8]), "[]"); strings.Contains(log.String(), some) {
		t.Errorf("the log has %s", &log)
	}
}

// Faces come from files and from the network: whatever the bytes, they are
// refused or are one face, in one encoding.
func FuzzFace(f *testing.F) {
	face := portrait(f, 1, 1)
	b, err := face.MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:20])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var f takedown.Face
		if err := f.UnmarshalBinary(b); err != nil {
			for _, known := range []error{embedding.ErrVectorVersion, embedding.ErrVectorCorrupt, embedding.ErrModel, embedding.ErrDimensions} {
				if errors.Is(err, known) {
					return
				}
			}
			t.Fatalf("%v is none of the errors that are promised", err)
		}
		again, err := f.MarshalBinary()
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%d bytes give %d bytes back, %v", len(b), len(again), err)
		}
		f.Similarity(face)
	})
}

func FuzzFaceJSON(f *testing.F) {
	b, err := json.Marshal(portrait(f, 1, 1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"model":"m@1","vector":[1,-1e3,1e38,0.1e-40]}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var f takedown.Face
		if err := json.Unmarshal(b, &f); err != nil {
			return
		}
		first, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		var g takedown.Face
		if err := json.Unmarshal(first, &g); err != nil {
			t.Fatalf("%v: %s", err, first)
		}
		if s, ok := f.Similarity(g); !f.IsZero() && (!ok || s != 1) {
			t.Errorf("another face came back: similar by %v", s)
		}
	})
}

func TestInspect_Faces(t *testing.T) {
	t.Parallel()
	file := testJPEG(t, 1)
	a := album{}
	a.shows(t, file, portrait(t, 1, 0), portrait(t, 2, 0))
	// The bigger one comes first.
	for h := range a {
		a[h][1].Box.Max.X += 1000
	}
	c, err := takedown.Inspect(bytes.NewReader(file), takedown.Source{}, &takedown.InspectOptions{FaceEmbedder: a})
	ok(t, err)
	if len(c.Faces) != 2 {
		t.Fatalf("%d faces", len(c.Faces))
	}
	if s, _ := c.Faces[0].Similarity(portrait(t, 2, 0)); s != 1 {
		t.Error("the bigger face is not the first")
	}
	many := takedown.FaceEmbedderFunc(func(context.Context, image.Image) ([]takedown.FoundFace, error) {
		list := make([]takedown.FoundFace, 300)
		for i := range list {
			list[i].Face = portrait(t, uint64(i), 0)
		}
		return list, nil
	})
	if c, err = takedown.Inspect(bytes.NewReader(file), takedown.Source{}, &takedown.InspectOptions{FaceEmbedder: many}); err != nil || len(c.Faces) != takedown.MaxFaces {
		t.Errorf("of 300 faces %d are kept, %v", len(c.Faces), err)
	}

	broken := errors.New("no model")
	type key struct{}
	for _, tc := range []struct {
		name  string
		embed takedown.FaceEmbedderFunc
		want  error
	}{
		{"an error", func(context.Context, image.Image) ([]takedown.FoundFace, error) { return nil, broken }, broken},
		{"a panic", func(context.Context, image.Image) ([]takedown.FoundFace, error) { panic("index out of range") }, nil},
		{"the zero face", func(context.Context, image.Image) ([]takedown.FoundFace, error) {
			return make([]takedown.FoundFace, 1), nil
		}, nil},
		{"no context", func(ctx context.Context, _ image.Image) ([]takedown.FoundFace, error) {
			if ctx.Value(key{}) != nil {
				return nil, broken
			}
			return nil, nil
		}, broken},
	} {
		for _, frames := range []bool{false, true} {
			c, err := takedown.InspectContext(context.WithValue(ctx, key{}, 1), bytes.NewReader(file), takedown.Source{}, &takedown.InspectOptions{FaceEmbedder: tc.embed, FirstFrame: !frames})
			var ee *takedown.EmbedderError
			if !errors.As(err, &ee) || tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("%s: %v, want an *EmbedderError of %v", tc.name, err, tc.want)
			}
			if len(c.Hashes) == 0 || c.Features.IsZero() || c.Faces != nil {
				t.Errorf("%s: the rest of the candidate: %d hashes, %d faces", tc.name, len(c.Hashes), len(c.Faces))
			}
		}
	}
}

// What is wrong with a face opt-out, everything at once.
func TestFaceOptOut_Problems(t *testing.T) {
	t.Parallel()
	one, two, none := testJPEG(t, 1), testJPEG(t, 2), testJPEG(t, 3)
	a := album{}
	a.shows(t, one, portrait(t, 1, 0))
	a.shows(t, two, portrait(t, 1, 1), portrait(t, 2, 1))
	looked := 0
	counting := takedown.FaceEmbedderFunc(func(ctx context.Context, m image.Image) ([]takedown.FoundFace, error) {
		looked++
		return a.EmbedFaces(ctx, m)
	})
	other, err := takedown.NewFace("other-model@1", components(1, 0))
	ok(t, err)
	longer, err := takedown.NewFace(faceModel, append(components(1, 0), 1))
	ok(t, err)
	f := portrait(t, 1, 0)
	with := func(edit func(*request.FaceOptOut)) request.FaceOptOut {
		r := request.FaceOptOut{Requester: person, Biometric: stated(consent)}
		edit(&r)
		return r
	}
	for _, tc := range []struct {
		name    string
		request request.FaceOptOut
		want    []string
		looks   int
	}{
		{"nothing", request.FaceOptOut{}, []string{
			"requester.name: required incomplete", "requester.email: required incomplete", "images: required incomplete", "biometric: no_consent incomplete"}, 0},
		{"vectors", with(func(r *request.FaceOptOut) { r.Faces = []takedown.Face{f, portrait(t, 1, 1)} }), nil, 0},
		{"pictures", with(func(r *request.FaceOptOut) { r.Images = images(one) }), nil, 1},
		{"pictures, no consent: nobody looks", with(func(r *request.FaceOptOut) {
			r.Images, r.Biometric = images(one, none), request.Statement{Text: consent}
		}), []string{"biometric: no_consent incomplete"}, 0},
		{"no face, and no picture", with(func(r *request.FaceOptOut) { r.Images = images(none, []byte("no picture"), nil, one, one) }), []string{
			"images[0]: no_face incomplete", "images[1]: not_an_image incomplete", "images[2]: required incomplete", "images[4]: duplicate incomplete"}, len(takedown.FaceLooks()) + 1},
		{"several faces", with(func(r *request.FaceOptOut) { r.Images = images(two) }), []string{"images[0]: several_faces incomplete"}, 1},
		{"several faces, one marked", with(func(r *request.FaceOptOut) { r.Images, r.Marks = images(one, two), []string{"", "0.2, 0.9"} }), nil, 2},
		{"a mark beside the picture", with(func(r *request.FaceOptOut) { r.Images, r.Marks = images(two), []string{"1.2,0.5"} }), []string{"marks[0]: invalid_mark incomplete"}, 0},
		{"marks that are none", with(func(r *request.FaceOptOut) {
			r.Images, r.Marks = images(one, two, none), []string{"left", "0.1;0.2", "NaN,0"}
		}), []string{"marks[0]: invalid_mark incomplete", "marks[1]: invalid_mark incomplete", "marks[2]: invalid_mark incomplete"}, 0},
		{"a mark without an image", with(func(r *request.FaceOptOut) { r.Faces, r.Marks = []takedown.Face{f}, []string{"0.5,0.5"} }), []string{"marks: too_many incomplete"}, 0},
		{"too many", with(func(r *request.FaceOptOut) {
			r.Faces = []takedown.Face{f, f, f, f, f, f}
		}), []string{"faces: too_many incomplete"}, 0},
		{"too many together", with(func(r *request.FaceOptOut) {
			r.Images = images(one)
			for i := range uint64(5) {
				r.Faces = append(r.Faces, portrait(t, 1, i))
			}
		}), []string{"faces: too_many incomplete"}, 1},
		{"the same vector twice, and none", with(func(r *request.FaceOptOut) { r.Faces = []takedown.Face{f, f, {}} }), []string{
			"faces[1]: duplicate incomplete", "faces[2]: required incomplete"}, 0},
		{"other models", with(func(r *request.FaceOptOut) { r.Images, r.Faces = images(one), []takedown.Face{other, longer} }), []string{
			"faces[0]: mixed_models incomplete", "faces[1]: mixed_models incomplete"}, 1},
		{"a child, without authority", with(func(r *request.FaceOptOut) { r.Faces, r.Subject = []takedown.Face{f}, request.SubjectChild }), []string{"requester.authority: required incomplete"}, 0},
		{"pictures of a child, without authority: nobody looks", with(func(r *request.FaceOptOut) {
			r.Images, r.Subject = images(one), request.SubjectChild
		}), []string{"requester.authority: required incomplete"}, 0},
		{"a ward of a guardian, without authority", with(func(r *request.FaceOptOut) {
			r.Faces, r.Subject, r.Requester.Role, r.Requester.OnBehalfOf = []takedown.Face{f}, request.SubjectWard, request.RoleGuardian, "A. Ward"
		}), []string{"requester.authority: required incomplete"}, 0},
		{"no subject of that name", with(func(r *request.FaceOptOut) {
			r.Faces, r.Subject, r.Requester.Authority = []takedown.Face{f}, "neighbour", "none"
		}), []string{"subject: invalid_choice incomplete"}, 0},
	} {
		d := open(t, t.TempDir(), &desk.Options{FaceEmbedder: counting, FaceModels: faceModels, TrustFaceVectors: true})
		looked = 0
		_, err := d.Submit(ctx, tc.request)
		if diff := cmp.Diff(tc.want, problems(err)); diff != "" || err != nil && tc.want == nil {
			t.Errorf("%s: %v (-want +got):\n%s", tc.name, err, diff)
		}
		if looked != tc.looks {
			t.Errorf("%s: the embedder was asked %d times, want %d", tc.name, looked, tc.looks)
		}
	}
	// The count of the faces is a parameter, for the message.
	d := open(t, t.TempDir(), &desk.Options{FaceEmbedder: a})
	_, err = d.Submit(ctx, with(func(r *request.FaceOptOut) { r.Images = images(two) }))
	var ve *request.ValidationError
	if !errors.As(err, &ve) || ve.Problems[0].Params["faces"] != "2" {
		t.Errorf("%+v", ve)
	}
	// A desk without an embedder takes vectors, and says so.
	d = open(t, t.TempDir(), nil)
	_, err = d.Submit(ctx, with(func(r *request.FaceOptOut) { r.Images = images(one, two) }))
	if diff := cmp.Diff([]string{"images: no_embedder incomplete"}, problems(err)); diff != "" {
		t.Errorf("without an embedder: %v (-want +got):\n%s", err, diff)
	}
	// What Validate sees without a desk is not said to be wrong.
	if err := request.Validate(with(func(r *request.FaceOptOut) { r.Images = images(one, two) }), nil); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"requester.given_name: required incomplete"}, problems(request.Validate(with(func(r *request.FaceOptOut) { r.Faces = []takedown.Face{f} }), []request.Profile{request.ProfileLenso}))[:1]); diff != "" {
		t.Errorf("the lenso profile (-want +got):\n%s", diff)
	}
	// An embedder that fails is nobody's problem but the operator's.
	d = open(t, t.TempDir(), &desk.Options{FaceEmbedder: takedown.FaceEmbedderFunc(func(context.Context, image.Image) ([]takedown.FoundFace, error) { panic("x") })})
	var ee *takedown.EmbedderError
	if _, err := d.Submit(ctx, with(func(r *request.FaceOptOut) { r.Images = images(one) })); !errors.As(err, &ee) {
		t.Errorf("a broken embedder: %v", err)
	}
}

// acceptByTwo accepts a case by as many reviewers as it takes.
func acceptByTwo(tb testing.TB, d *desk.Desk, id takedown.CaseID, g desk.Grant) {
	tb.Helper()
	g.Actor = alice
	err := d.Accept(ctx, id, g)
	var second *desk.SecondReviewError
	if errors.As(err, &second) {
		g.Actor = bob
		err = d.Accept(ctx, id, g)
	}
	ok(tb, err)
}
