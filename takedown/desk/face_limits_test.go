package desk_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
)

// crowd draws faces of strangers as models see them: all have something in common.
func crowd(t *testing.T, rng *rand.Rand, people int) (faces []takedown.Face, vectors [][]float32) {
	t.Helper()
	common := make([]float64, 128)
	for i := range common {
		common[i] = rng.NormFloat64()
	}
	for range people {
		v := make([]float32, 128)
		for i := range v {
			v[i] = float32(common[i] + rng.NormFloat64())
		}
		faces, vectors = append(faces, vectorFace(t, v)), append(vectors, v)
	}
	return faces, vectors
}

func vectorFace(t *testing.T, v []float32) takedown.Face {
	t.Helper()
	f, err := takedown.NewFace(faceModel, v)
	ok(t, err)
	return f
}

// mean returns the middle of vectors.
func mean(vectors [][]float32) []float32 {
	m := make([]float32, len(vectors[0]))
	for _, v := range vectors {
		for i := range v {
			m[i] += v[i]
		}
	}
	return m
}

// The middle of many faces resembles nearly everybody. As a vector without a picture
// it blocks nobody, it is pointed out by the reference, takes two reviewers, and
// alarms. Where two reviewers let it block, it alarms too.
func TestFaceOptOut_UniversalFace(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(18, 1))
	all, vectors := crowd(t, rng, 1400)
	model := faceModels[0]
	model.Block, model.Review, model.Reference = 0.65, 0.63, all[:1000]
	d := faceDesk(t, t.TempDir(), func(o *desk.Options) {
		o.FaceModels, o.OneReviewer, o.TrustFaceVectors = []desk.FaceModel{model}, false, false
	})
	strangers := all[1000:]
	ask := func() (blocked, held int) {
		for i, f := range strangers {
			c := withFaces(f)
			c.SHA256 = [32]byte{byte(i), byte(i >> 8), 1}
			switch d.Enforcer().Check(c).Verdict {
			case takedown.Block:
				blocked++
			case takedown.Review:
				held++
			}
		}
		return blocked, held
	}
	c, err := d.Submit(ctx, faceOptOut(vectorFace(t, mean(vectors[:100]))))
	ok(t, err)
	var second *desk.SecondReviewError
	if err := d.Accept(ctx, c.ID, desk.Grant{Actor: alice}); !errors.As(err, &second) || !slices.Contains(second.Risks, desk.FlagUniversalFace) {
		t.Fatalf("risks: %v", err)
	}
	ok(t, d.Accept(ctx, c.ID, desk.Grant{Actor: bob}))
	blocked, held := ask()
	if blocked != 0 || held < len(strangers)/2 {
		t.Errorf("without a picture: %d of %d strangers blocked, %d held; the attack of the test should resemble most", blocked, len(strangers), held)
	}
	alarms, err := d.AddMatchCounts(ctx, nil)
	ok(t, err)
	if len(alarms) != 1 || alarms[0].Case != c.ID {
		t.Fatalf("held: alarms %+v", alarms)
	}
	// Two let it block nevertheless: it alarms about what it blocks.
	for _, by := range []desk.Actor{alice, bob} {
		if err := d.Amend(ctx, c.ID, desk.Grant{Actor: by, Effect: 1}); err != nil && !errors.As(err, &second) {
			t.Fatal(err)
		}
	}
	blocked, _ = ask()
	if blocked < len(strangers)/2 {
		t.Fatalf("%d of %d strangers blocked; the attack of the test should block most", blocked, len(strangers))
	}
	alarms, err = d.AddMatchCounts(ctx, nil)
	ok(t, err)
	if len(alarms) != 1 || alarms[0].Pictures <= desk.DefaultMatchBudget {
		t.Errorf("%d strangers blocked: alarms %+v", blocked, alarms)
	}
	if _, err := desk.Open(t.TempDir(), &desk.Options{FaceBudget: 1000}); err == nil {
		t.Error("a budget that nobody can count is taken")
	}
}

// An ordinary face that blocks within its budget raises no alarm, and FaceBudget is
// what decides.
func TestFaceOptOut_Budget(t *testing.T) {
	t.Parallel()
	for budget, want := range map[int]int{0: 0, 10: 1, -1: 0} {
		d := faceDesk(t, t.TempDir(), func(o *desk.Options) { o.FaceBudget = budget })
		accept(t, d, faceOptOut(portrait(t, 1, 0)), desk.Grant{})
		for i := range uint64(25) {
			c := withFaces(portrait(t, 1, 1+i))
			c.SHA256 = [32]byte{byte(i), 1}
			if got := d.Enforcer().Check(c); got.Verdict != takedown.Block {
				t.Fatal(got)
			}
		}
		alarms, err := d.AddMatchCounts(ctx, nil)
		ok(t, err)
		if len(alarms) != want {
			t.Errorf("budget %d: alarms %+v", budget, alarms)
		}
	}
}

// solve returns the vector x with a·x = b, by elimination, of as many equations as
// unknowns.
func solve(a [][]float64, b []float64) []float64 {
	n := len(b)
	for c := range n {
		p := c
		for r := c; r < n; r++ {
			if math.Abs(a[r][c]) > math.Abs(a[p][c]) {
				p = r
			}
		}
		a[c], a[p], b[c], b[p] = a[p], a[c], b[p], b[c]
		for r := c + 1; r < n; r++ {
			f := a[r][c] / a[c][c]
			for k := c; k < n; k++ {
				a[r][k] -= f * a[c][k]
			}
			b[r] -= f * b[c]
		}
	}
	for c := n - 1; c >= 0; c-- {
		for k := c + 1; k < n; k++ {
			b[c] -= a[c][k] * b[k]
		}
		b[c] /= a[c][c]
	}
	return b
}

// The similarities that a node answers are in hundredths. They give the registered
// vector back too, but less exactly than those of a desk: the log has the figures of
// docs/faces.md.
func TestFaces_NodeRoundsSimilarity(t *testing.T) {
	t.Parallel()
	d := faceDesk(t, t.TempDir())
	accept(t, d, faceOptOut(portrait(t, 1, 0)), desk.Grant{})
	node, _ := faceNode(t, d, takedown.EnforcerOptions{})
	template := portrait(t, 1, 0)
	rng := rand.New(rand.NewPCG(3, 4))
	// recovered asks about changes of another photograph, and solves for the vector
	// that explains the answers best.
	recovered := func(e *takedown.Enforcer, questions int) float64 {
		const n = 128
		ata, atb := make([][]float64, n), make([]float64, n)
		for i := range ata {
			ata[i] = make([]float64, n)
		}
		base := components(1, 7)
		norm := 0.0
		for _, x := range base {
			norm += float64(x) * float64(x)
		}
		for range questions {
			y := slices.Clone(base)
			for i := range y {
				y[i] += float32(0.6 * rng.NormFloat64() * math.Sqrt(norm/n))
			}
			got := e.Check(withFaces(vectorFace(t, y)))
			if got.Similarity == 0 {
				continue
			}
			size := 0.0
			for _, x := range y {
				size += float64(x) * float64(x)
			}
			for i := range n {
				for k := range n {
					ata[i][k] += float64(y[i]) * float64(y[k]) / size
				}
				atb[i] += float64(y[i]) / math.Sqrt(size) * got.Similarity
			}
		}
		for i := range n {
			ata[i][i] += 1e-9
		}
		v := make([]float32, n)
		for i, x := range solve(ata, atb) {
			v[i] = float32(x)
		}
		s, _ := vectorFace(t, v).Similarity(template)
		return s
	}
	exact, rounded := recovered(d.Enforcer(), 140), recovered(node, 140)
	t.Logf("140 answers give the vector back with similarity %.4f at the desk, %.4f at a node; 2,000 at a node %.4f", exact, rounded, recovered(node, 2000))
	if exact < 0.999 || rounded > 0.99 {
		t.Errorf("140 answers: similarity %.3f with exact ones, %.3f with those of a node", exact, rounded)
	}
	got := node.Check(withFaces(portrait(t, 1, 7)))
	if got.Verdict != takedown.Block || math.Abs(got.Similarity*100-math.Round(got.Similarity*100)) > 1e-9 {
		t.Errorf("a node answers %v, similarity %v", got, got.Similarity)
	}
}

// Faces that nobody has looked at are not passed over: too many in a picture, or an
// embedder that fails. Without faces in the list they do not matter.
func TestFaces_NotSeen(t *testing.T) {
	t.Parallel()
	file := testJPEG(t, 3)
	many := takedown.FaceEmbedderFunc(func(context.Context, image.Image) (found []takedown.FoundFace, _ error) {
		for i := range uint64(takedown.MaxFaces + 1) {
			found = append(found, takedown.FoundFace{Face: portrait(t, 100+i, 0), Box: image.Rect(0, 0, 20, 20)})
		}
		return found, nil
	})
	broken := takedown.FaceEmbedderFunc(func(context.Context, image.Image) ([]takedown.FoundFace, error) { return nil, errors.New("no GPU") })
	one := takedown.FaceEmbedderFunc(func(context.Context, image.Image) ([]takedown.FoundFace, error) {
		return []takedown.FoundFace{{Face: portrait(t, 100, 0), Box: image.Rect(0, 0, 20, 20)}}, nil
	})
	empty, full := faceDesk(t, t.TempDir()), faceDesk(t, t.TempDir())
	blocks := faceDesk(t, t.TempDir(), func(o *desk.Options) { o.Enforcer.Undecodable = takedown.Block })
	for _, d := range []*desk.Desk{full, blocks} {
		accept(t, d, faceOptOut(portrait(t, 1, 0)), desk.Grant{})
	}
	for _, tc := range []struct {
		name     string
		desk     *desk.Desk
		embedder takedown.FaceEmbedder
		want     takedown.Verdict
		compared bool
	}{
		{"one face", full, one, takedown.Allow, true},
		{"too many", full, many, takedown.Review, false},
		{"broken", full, broken, takedown.Review, false},
		{"broken, another policy", blocks, broken, takedown.Block, false},
		{"too many, no face registered", empty, many, takedown.Allow, true},
	} {
		opts := &takedown.InspectOptions{FaceEmbedder: tc.embedder}
		c, err := takedown.Inspect(bytes.NewReader(file), takedown.Source{}, opts)
		var failed *takedown.EmbedderError
		if err != nil && !errors.As(err, &failed) {
			t.Fatal(err)
		}
		for name, got := range map[string]takedown.Decision{"Check": tc.desk.Enforcer().Check(c), "CheckFile": checkFile(t, tc.desk, file, opts)} {
			if name == "CheckFile" && tc.desk == empty {
				continue // it asks no embedder
			}
			if got.Verdict != tc.want || got.Checked.Has(takedown.TierFace) != tc.compared {
				t.Errorf("%s, %s: %v", tc.name, name, got)
			}
		}
		b, err := c.MarshalBinary()
		ok(t, err)
		var sent takedown.Candidate
		ok(t, sent.UnmarshalBinary(b))
		if sent.FacesUnseen != c.FacesUnseen || c.FacesUnseen != (tc.embedder != nil && tc.name != "one face") {
			t.Errorf("%s: %v, sent %v", tc.name, c, sent)
		}
	}
	// Vectors that a host made itself.
	c := withFaces(slices.Repeat([]takedown.Face{portrait(t, 2, 0)}, takedown.MaxFaces+1)...)
	if got := full.Enforcer().Check(c); got.Verdict != takedown.Review || got.Checked.Has(takedown.TierFace) {
		t.Errorf("257 vectors: %v", got)
	}
}

func checkFile(t *testing.T, d *desk.Desk, file []byte, opts *takedown.InspectOptions) takedown.Decision {
	t.Helper()
	got, _, err := d.Enforcer().CheckFile(ctx, bytes.NewReader(file), takedown.Source{}, opts)
	var failed *takedown.EmbedderError
	if err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return got
}
