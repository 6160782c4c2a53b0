package phash_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"log"

	"github.com/staydown/staydown/phash"
)

// scene draws a picture with some structure.
func scene(w, h int) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			u, v := x*640/w, y*480/h
			a := (u-200)*(u-200) + (v-150)*(v-150)
			b := (u-480)*(u-480)/3 + (v-330)*(v-330)
			c := color.RGBA{byte(u * 200 / 640), byte(v * 200 / 480), 90, 255}
			switch {
			case a < 90*90:
				c = color.RGBA{250, 220, 60, 255}
			case b < 80*80:
				c = color.RGBA{30, 40, 60, 255}
			case (u+2*v)%160 < 50 && v > 200:
				c = color.RGBA{60, 140, 70, 255}
			}
			m.SetRGBA(x, y, c)
		}
	}
	return m
}

// mirrored returns m with left and right exchanged.
func mirrored(m *image.RGBA) *image.RGBA {
	b := m.Bounds()
	n := image.NewRGBA(b)
	for y := range b.Dy() {
		for x := range b.Dx() {
			n.SetRGBA(b.Dx()-1-x, y, m.RGBAAt(x, y))
		}
	}
	return n
}

// A picture is registered once; a mirrored, smaller, strongly compressed copy
// is found by its own hash.
func Example() {
	var original, copied bytes.Buffer
	if err := png.Encode(&original, scene(640, 480)); err != nil {
		log.Fatal(err)
	}
	if err := jpeg.Encode(&copied, mirrored(scene(320, 240)), &jpeg.Options{Quality: 30}); err != nil {
		log.Fatal(err)
	}

	pic, err := phash.Decode(&original, nil)
	if err != nil {
		log.Fatal(err)
	}
	reg, err := phash.HashesToStore(pic, nil)
	if err != nil {
		log.Fatal(err) // a *RefusedError says what to do instead
	}

	seen, err := phash.Decode(&copied, nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, q := range phash.HashesToAsk(seen) {
		for _, v := range reg.Hashes {
			if d, ok := q.Distance(v.Hash); ok && d <= phash.BlockRadius {
				fmt.Printf("a copy of the picture, %s\n", v.Transform.Orientation())
			}
		}
	}
	// Output:
	// a copy of the picture, mirrored
}

// A host that keeps its stored hashes in segments, of up to 16 million each, asks
// them which of its pictures a new rule reaches, without reading them all.
func ExampleSegment_SearchAll() {
	var own []phash.Entry // what the host has stored
	for i, text := range []string{
		"3326999c39ae999e664e939c69cc96647b3933311849b671db336d918659cb26",
		"f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22",
	} {
		own = append(own, phash.Entry{Hash: phash.MustParse(text), ID: uint32(i)})
	}
	index, err := phash.NewSegment(phash.AlgPDQ, own)
	if err != nil {
		log.Fatal(err)
	}

	rule, err := phash.HashesToStoreOf(phash.MustParse("f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b21"))
	if err != nil {
		log.Fatal(err)
	}
	var hashes []phash.Hash
	for _, h := range rule.Hashes {
		hashes = append(hashes, h.Hash)
	}
	index.SearchAll(hashes, phash.AlgPDQ.Radii(index.Len()).Block, func(query int, id uint32, distance int) bool {
		fmt.Printf("picture %d, %v, %d bits away\n", id, rule.Hashes[query].Transform, distance)
		return true
	})
	// Output: picture 1, whole, 2 bits away
}
