package takedown_test

import (
	"context"
	"errors"
	"image"
	"image/color"
	"image/draw"
	"testing"

	"github.com/staydown/staydown/takedown"
)

// marks is a detector of made-up faces: red squares whose upper half is brighter. It
// finds none that touches the edge of the picture or is smaller than 16 pixels, as
// detectors do.
func marks(_ context.Context, m image.Image) ([]takedown.FoundFace, error) {
	b := m.Bounds()
	red := func(x, y int) int {
		r, g, _, _ := m.At(x, y).RGBA()
		return (int(r) - int(g)) >> 8
	}
	seen := map[image.Point]bool{}
	var found []takedown.FoundFace
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			if red(x, y) < 60 || seen[image.Pt(x, y)] {
				continue
			}
			box := image.Rect(x, y, x+1, y+1)
			for box.Max.X < b.Max.X && red(box.Max.X, y) >= 60 {
				box.Max.X++
			}
			for box.Max.Y < b.Max.Y && red(x+box.Dx()/2, box.Max.Y) >= 60 {
				box.Max.Y++
			}
			for p := box.Min; p.Y < box.Max.Y; p.Y++ {
				for p.X = box.Min.X - 1; p.X <= box.Max.X; p.X++ {
					seen[p] = true
				}
			}
			inside := box.Min.X > b.Min.X && box.Min.Y > b.Min.Y && box.Max.X < b.Max.X && box.Max.Y < b.Max.Y
			upper, lower := red((box.Min.X+box.Max.X)/2, box.Min.Y+box.Dy()/4), red((box.Min.X+box.Max.X)/2, box.Max.Y-box.Dy()/4)
			if !inside || box.Dx() < 16 || box.Dy() < 16 || upper < lower+40 {
				continue
			}
			v := make([]float32, 64)
			v[0], v[1] = 1, float32(upper)/1000
			f, err := takedown.NewFace("marks@1", v)
			if err != nil {
				return nil, err
			}
			found = append(found, takedown.FoundFace{Face: f, Box: box})
		}
	}
	return found, nil
}

// wall draws faces, each turned by quarters, on a wall.
func wall(size image.Point, faces ...image.Rectangle) *image.RGBA {
	m := image.NewRGBA(image.Rectangle{Max: size}.Add(image.Pt(7, 11))) // bounds need not begin at zero
	draw.Draw(m, m.Bounds(), image.NewUniform(color.Gray{Y: 90}), image.Point{}, draw.Src)
	for _, f := range faces {
		f = f.Add(m.Bounds().Min)
		draw.Draw(m, f, image.NewUniform(color.RGBA{R: 150, G: 40, B: 40, A: 255}), image.Point{}, draw.Src)
		f.Max.Y = f.Min.Y + f.Dy()/2
		draw.Draw(m, f, image.NewUniform(color.RGBA{R: 250, G: 40, B: 40, A: 255}), image.Point{}, draw.Src)
	}
	return m
}

// turned turns a picture clockwise by quarters.
func turned(m *image.RGBA, quarters int) *image.RGBA {
	for range quarters {
		b := m.Bounds()
		out := image.NewRGBA(image.Rect(0, 0, b.Dy(), b.Dx()))
		for y := range b.Dy() {
			for x := range b.Dx() {
				out.Set(b.Dy()-1-y, x, m.At(b.Min.X+x, b.Min.Y+y))
			}
		}
		m = out
	}
	return m
}

func search(t *testing.T, s *takedown.FaceSearch, m image.Image) []takedown.FoundFace {
	t.Helper()
	s.Embedder = takedown.FaceEmbedderFunc(marks)
	found, err := s.EmbedFaces(t.Context(), m)
	ok(t, err)
	return found
}

// boxIs checks that a box is where it should be, within two pixels.
func boxIs(t *testing.T, name string, found []takedown.FoundFace, want image.Rectangle) {
	t.Helper()
	for _, f := range found {
		d := func(a, b int) bool { return a-b <= 2 && b-a <= 2 }
		if d(f.Box.Min.X, want.Min.X) && d(f.Box.Min.Y, want.Min.Y) && d(f.Box.Max.X, want.Max.X) && d(f.Box.Max.Y, want.Max.Y) {
			return
		}
	}
	t.Errorf("%s: found %v, not %v", name, found, want)
}

// A detector finds what it misses otherwise: faces that fill the frame, turned faces,
// small faces, and the box is where the face is in the picture.
func TestFaceSearch(t *testing.T) {
	t.Parallel()
	upright := wall(image.Pt(120, 100), image.Rect(30, 20, 80, 70))
	for quarters := range 4 {
		m := turned(upright, quarters)
		plain, err := marks(t.Context(), m)
		ok(t, err)
		if (len(plain) == 1) != (quarters == 0) {
			t.Fatalf("the detector finds %d faces in a picture turned %d times", len(plain), quarters)
		}
		b := turned(wall(image.Pt(120, 100)), quarters).Bounds()
		want := [4]image.Rectangle{
			image.Rect(30, 20, 80, 70).Add(image.Pt(7, 11)), image.Rect(100-70, 30, 100-20, 80),
			image.Rect(120-80, 100-70, 120-30, 100-20), image.Rect(20, 120-80, 70, 120-30),
		}[quarters]
		if found := search(t, &takedown.FaceSearch{}, m); len(found) != 1 {
			t.Errorf("turned %d times: %v in %v", quarters, found, b)
		} else {
			boxIs(t, "turned", found, want)
		}
	}
	full := wall(image.Pt(60, 60), image.Rect(0, 0, 60, 60))
	if found := search(t, &takedown.FaceSearch{}, full); len(found) != 1 || found[0].Box != full.Bounds() {
		t.Errorf("a face that fills the frame: %v", found)
	}
	small := wall(image.Pt(60, 60), image.Rect(20, 20, 31, 31))
	boxIs(t, "small", search(t, &takedown.FaceSearch{}, small), image.Rect(20, 20, 31, 31).Add(image.Pt(7, 11)))
	if found := search(t, &takedown.FaceSearch{Looks: []takedown.FaceLook{{Mirror: true}}}, upright); len(found) != 1 {
		t.Errorf("mirrored: %v", found)
	} else {
		boxIs(t, "mirrored", found, image.Rect(30, 20, 80, 70).Add(image.Pt(7, 11)))
	}
	if found := search(t, &takedown.FaceSearch{}, wall(image.Pt(60, 60))); len(found) != 0 {
		t.Errorf("a wall: %v", found)
	}
}

// All looks, and tiles, find each face once.
func TestFaceSearch_All(t *testing.T) {
	t.Parallel()
	upright := wall(image.Pt(200, 100), image.Rect(20, 20, 70, 70))
	both := image.NewRGBA(image.Rect(0, 0, 200, 200))
	draw.Draw(both, both.Bounds(), image.NewUniform(color.Gray{Y: 90}), image.Point{}, draw.Src)
	draw.Draw(both, image.Rect(0, 0, 200, 100), upright, upright.Bounds().Min, draw.Src)
	draw.Draw(both, image.Rect(100, 100, 200, 200), turned(wall(image.Pt(100, 100), image.Rect(25, 25, 75, 75)), 1), image.Point{}, draw.Src)
	if found := search(t, &takedown.FaceSearch{}, both); len(found) != 1 {
		t.Errorf("the first look that finds a face is the last: %v", found)
	}
	if found := search(t, &takedown.FaceSearch{All: true}, both); len(found) != 2 {
		t.Errorf("an upright and a turned face: %v", found)
	}
	var crowd []image.Rectangle
	for i := range 30 {
		x, y := i%6*90+20, i/6*90+20
		crowd = append(crowd, image.Rect(x, y, x+30, y+30))
	}
	group := wall(image.Pt(560, 470), crowd...)
	found := search(t, &takedown.FaceSearch{Looks: []takedown.FaceLook{{Tiles: 128}}}, group)
	if len(found) != len(crowd) {
		t.Errorf("%d of %d faces of a group", len(found), len(crowd))
	}
	for _, want := range crowd {
		boxIs(t, "group", found, want.Add(image.Pt(7, 11)))
	}
}

// A detector that finds a face on its side, and doubts it, is asked again: the look
// with the best quality counts, and a doubtful face elsewhere is not added.
func TestFaceSearch_Doubt(t *testing.T) {
	t.Parallel()
	face := func(n float32) takedown.Face {
		v := make([]float32, 64)
		v[0], v[1] = 1, n
		f, err := takedown.NewFace("doubt@1", v)
		ok(t, err)
		return f
	}
	for _, tc := range []struct {
		name      string
		qualities []float64 // of the looks
		want      float32
		calls     int
	}{
		{"sure at once", []float64{0.99}, 0, 1},
		{"no quality", []float64{0}, 0, 1},
		{"turned", []float64{0.6, 0.7, 0.98}, 2, 3},
		{"never sure", []float64{0.6, 0.7, 0.8, 0.65, 0.5, 0.4}, 2, 6},
	} {
		calls := 0
		s := &takedown.FaceSearch{Embedder: takedown.FaceEmbedderFunc(func(_ context.Context, m image.Image) ([]takedown.FoundFace, error) {
			calls++
			b := m.Bounds()
			middle := image.Rect(b.Dx()*2/5, b.Dy()*2/5, b.Dx()*3/5, b.Dy()*3/5).Add(b.Min)
			found := []takedown.FoundFace{{Face: face(float32(calls - 1)), Box: middle, Quality: tc.qualities[calls-1]}}
			if calls > 1 {
				found = append(found, takedown.FoundFace{Face: face(9), Box: image.Rectangle{Max: image.Pt(b.Dx()/9, b.Dy()/9)}.Add(b.Min), Quality: 0.99})
			}
			return found, nil
		})}
		found, err := s.EmbedFaces(t.Context(), wall(image.Pt(100, 100)))
		ok(t, err)
		if len(found) != 1 || !found[0].Face.Equal(face(tc.want)) || calls != tc.calls {
			t.Errorf("%s: %d faces, quality %v, %d calls", tc.name, len(found), found[0].Quality, calls)
		}
	}
}

// Looks are bounded whatever the picture, and end with their context.
func TestFaceSearch_Bounds(t *testing.T) {
	t.Parallel()
	calls := 0
	ctx, cancel := context.WithCancel(t.Context())
	s := &takedown.FaceSearch{
		Looks: []takedown.FaceLook{{Scale: 1e9, Border: 1e9, Turn: -5}, {Tiles: 1}, {}},
		Embedder: takedown.FaceEmbedderFunc(func(_ context.Context, m image.Image) ([]takedown.FoundFace, error) {
			if b := m.Bounds(); b.Dx()*b.Dy() > 20_000_000 {
				t.Errorf("a picture of %v", b)
			}
			if calls++; calls > 300 {
				cancel()
			}
			return nil, nil
		}),
	}
	m := image.NewGray(image.Rect(0, 0, 4000, 1000))
	_, err := s.EmbedFaces(ctx, m)
	ok(t, err)
	if calls < 3 || calls > 300 {
		t.Errorf("%d calls", calls)
	}
	cancel()
	if _, err := s.EmbedFaces(ctx, m); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
	if _, err := (&takedown.FaceSearch{}).EmbedFaces(t.Context(), m); err == nil {
		t.Error("no embedder")
	}
	broken := errors.New("broken")
	s.Embedder = takedown.FaceEmbedderFunc(func(context.Context, image.Image) ([]takedown.FoundFace, error) { return nil, broken })
	if _, err := s.EmbedFaces(t.Context(), m); !errors.Is(err, broken) {
		t.Errorf("a broken embedder: %v", err)
	}
	s.Looks = []takedown.FaceLook{{Border: 0.5}}
	s.Embedder = takedown.FaceEmbedderFunc(marks)
	if found, err := s.EmbedFaces(t.Context(), image.NewRGBA(image.Rectangle{})); err != nil || len(found) > 0 {
		t.Errorf("an empty picture: %v, %v", found, err)
	}
}
