package phash_test

import (
	"image"
	"testing"

	"github.com/corona10/goimagehash"

	"github.com/staydown/staydown/phash"
)

// A registration stores goimagehash's own hash of the picture, and near ones of
// turned files.
func TestDifference(t *testing.T) {
	t.Parallel()
	src := scene(400, 300)
	p, err := phash.NewPicture(src)
	if err != nil {
		t.Fatal(err)
	}
	r, err := phash.HashesToStore(p, &phash.StoreOptions{AllAlgorithms: true})
	if err != nil {
		t.Fatal(err)
	}
	turned := map[phash.Orientation]image.Image{phash.Upright: src, phash.Mirrored: mirrored(src), phash.Rotated90: rotated90(src)}
	found := 0
	for _, v := range r.Hashes {
		img := turned[v.Transform.Orientation()]
		if v.Hash.Algorithm() != phash.AlgDifference || img == nil {
			continue
		}
		found++
		g, err := goimagehash.DifferenceHash(img)
		if err != nil {
			t.Fatal(err)
		}
		want, err := phash.Parse(g.ToString())
		if err != nil {
			t.Fatal(err)
		}
		d, ok := v.Hash.Distance(want)
		if most := 3; !ok || d > most || v.Transform.Orientation() == phash.Upright && d > 0 {
			t.Errorf("%v: %v, goimagehash %v, %d bits away", v.Transform, v.Hash, want, d)
		}
	}
	if found != len(turned) {
		t.Errorf("%d of %d orientations", found, len(turned))
	}
	if h := phash.FromDifference(0x8f3c); h != phash.MustParse("d:0000000000008f3c") || !h.Turned(phash.Rotated90).IsZero() {
		t.Errorf("%v, turned %v", h, h.Turned(phash.Rotated90))
	}
}
