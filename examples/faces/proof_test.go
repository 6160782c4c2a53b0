package main

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/staydown/staydown/takedown"
)

// blocksModel is a face model for made-up pictures of 8 × 8 blocks: their brightness is
// the vector.
var blocksModel = takedown.FaceEmbedderFunc(func(_ context.Context, m image.Image) ([]takedown.FoundFace, error) {
	b, v := m.Bounds(), make([]float32, 64)
	for i := range v {
		r, _, _, _ := m.At(b.Min.X+(2*(i%8)+1)*b.Dx()/16, b.Min.Y+(2*(i/8)+1)*b.Dy()/16).RGBA()
		v[i] = float32(r>>8) - 128
	}
	v[0]++
	f, err := takedown.NewFace("blocks@1", v)
	return []takedown.FoundFace{{Face: f, Box: b}}, err
})

func blocksJPEG(t *testing.T, person, photo uint64) []byte {
	t.Helper()
	r, noise := rand.New(rand.NewPCG(person, 1)), rand.New(rand.NewPCG(person, photo+2))
	m := image.NewGray(image.Rect(0, 0, 64, 64))
	for i := range 64 {
		y := r.IntN(200) + noise.IntN(40)
		for k := range 64 {
			m.SetGray(i%8*8+k%8, i/8*8+k/8, color.Gray{Y: uint8(y)})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The proof measures what is known of made-up people: strangers pass, all other
// photographs of a person are blocked, and copies that the model cannot read are missed.
func TestProve(t *testing.T) {
	t.Parallel()
	var album []photo
	for p := range uint64(24) {
		for k := range p%3 + 1 {
			album = append(album, photo{Person: fmt.Sprintf("family%d-%d", p/4, p), Name: fmt.Sprint(p, k), file: blocksJPEG(t, p, k)})
		}
	}
	var out strings.Builder
	r, err := prove(t.Context(), &out, album, blocksModel, 0.8, 0.7)
	if err != nil {
		t.Fatal(err)
	}
	if r.strangers != 12 || r.blocked != 0 || r.held != 0 || r.photos != 12 || r.found != 12 || len(r.attacks) != 3 || len(r.kinds) != len(kinds) {
		t.Errorf("%+v\n%s", r, &out)
	}
	if r.kinds["unchanged"] != [4]int{12} || r.kinds["negative"] != [4]int{2: 12} || r.kinds["turned by 90°"][0] != 0 {
		t.Errorf("kinds: %v", r.kinds)
	}
	if _, err := prove(t.Context(), &out, album[:1], blocksModel, 0, 0); err == nil {
		t.Error("one person is enough")
	}
	if r, err = prove(t.Context(), &out, album, blocksModel, 0, 0); err != nil || r.found+r.doubt+r.lost != 12 || !strings.Contains(out.String(), "Without a promise") {
		t.Errorf("thresholds of its own: %+v, %v", r, err)
	}
}
