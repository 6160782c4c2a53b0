package phash_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"log"
	"math"

	"github.com/staydown/staydown/phash"
)

// examplePicture returns a picture with enough detail for a hash.
func examplePicture() *image.Paletted {
	var greys color.Palette
	for i := range 256 {
		greys = append(greys, color.Gray{Y: uint8(i)})
	}
	m := image.NewPaletted(image.Rect(0, 0, 256, 256), greys)
	for y := range 256 {
		for x := range 256 {
			u, v := float64(x), float64(y)
			m.SetColorIndex(x, y, uint8(128+40*math.Sin(u/17+math.Cos(v/29)*3)+40*math.Sin((u+2*v)/41)+40*math.Cos(v/13)*math.Sin(u/53)))
		}
	}
	return m
}

// Hashes come back from every form in which databases store them.
func ExampleParse() {
	h := phash.MustParse("pdq:3326999c39ae999e664e939c69cc96647b3933311849b671db336d918659cb26")
	fromBytes, err := phash.FromBytes(phash.AlgPDQ, h.Bytes())
	if err != nil {
		log.Fatal(err)
	}
	fromWords, err := phash.FromWords(phash.AlgPDQ, h.Words())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(fromBytes == h, fromWords == h, phash.FromPDQ([32]byte(h.Bytes())) == h)
	signed := int64(-8126966440625638192) // a BIGINT
	fmt.Println(phash.FromPerception(uint64(signed)))
	fmt.Println(phash.FromDifference(0x8f373714acfcf4d0))
	for alg := range phash.Algorithms() {
		fmt.Println(alg, alg.Bits())
	}
	// Output:
	// true true true
	// p:8f373714acfcf4d0
	// d:8f373714acfcf4d0
	// pdq 256
	// perception 64
	// difference 64
	// part 256
}

// A picture in memory is hashed as a file is. PDQDihedral has the hashes of the turned
// and mirrored picture.
func ExamplePDQ() {
	h, quality, err := phash.PDQ(examplePicture())
	if err != nil {
		log.Fatal(err)
	}
	all, _, err := phash.PDQDihedral(examplePicture())
	if err != nil {
		log.Fatal(err)
	}
	p, err := phash.Perception(examplePicture()) // as goimagehash computes it
	if err != nil {
		log.Fatal(err)
	}
	picture, err := phash.NewPicture(examplePicture())
	if err != nil {
		log.Fatal(err)
	}
	same, _ := picture.PDQ()
	fmt.Println(quality > 50, all[0] == h, same == h, p.Algorithm())
	turned, _ := h.Distance(all[1])
	fmt.Println("far from the turned picture:", turned > 60)
	// Output:
	// true true true perception
	// far from the turned picture: true
}

// All distinct frames of an animation are looked at.
func ExampleDecodeFrames() {
	var file bytes.Buffer
	first, second := examplePicture(), examplePicture()
	for i := range second.Pix[:len(second.Pix)/2] {
		second.Pix[i] = 3
	}
	if err := gif.EncodeAll(&file, &gif.GIF{Image: []*image.Paletted{first, second}, Delay: []int{10, 10}}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(phash.Sniff(file.Bytes()))
	for picture, err := range phash.DecodeFrames(bytes.NewReader(file.Bytes()), nil) {
		if err != nil {
			log.Fatal(err) // a *phash.DecodeError: the format, the reason, what would be accepted
		}
		fmt.Println("frame", picture.Frame().Index)
	}
	// With a context, a decoder ends when its caller does not wait any longer.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := phash.DecodeContext(ctx, bytes.NewReader(file.Bytes()), nil)
	fmt.Println(err != nil)
	for _, err := range phash.DecodeFramesContext(ctx, bytes.NewReader(file.Bytes()), nil) {
		fmt.Println(err != nil)
	}
	// Output:
	// GIF
	// frame 0
	// frame 1
	// true
	// true
}

// A segment is the index that serves; a linear scan and a BK tree find the same, and
// are there to compare it with.
func ExampleNewSegment() {
	near, far := phash.FromPerception(0x8f373714acfcf4d0), phash.FromPerception(0x0123456789abcdef)
	built, err := phash.NewSegment(phash.AlgPerception, []phash.Entry{{Hash: near, ID: 1}, {Hash: far, ID: 2}})
	if err != nil {
		log.Fatal(err)
	}
	stored, err := built.AppendBinary(nil) // into a file, to be mapped
	if err != nil {
		log.Fatal(err)
	}
	segment, err := phash.OpenSegment(stored)
	if err != nil {
		log.Fatal(err)
	}
	linear, tree := phash.NewLinear(phash.AlgPerception), phash.NewBKTree(phash.AlgPerception)
	for e := range segment.All() {
		if err := linear.Insert(e.Hash, e.ID); err != nil {
			log.Fatal(err)
		}
		if err := tree.Insert(e.Hash, e.ID); err != nil {
			log.Fatal(err)
		}
	}
	found := func(id uint32, distance int) bool {
		fmt.Println(id, "at", distance)
		return true
	}
	query := phash.FromPerception(0x8f373714acfcf4d3)
	segment.Search(query, 4, found)
	linear.Search(query, 4, found)
	tree.Search(query, 4, found)
	// Output:
	// 1 at 2
	// 1 at 2
	// 1 at 2
}

// A transform names how a registered hash was made of the picture. A decision has that
// of the hash that matched.
func ExampleMakeTransform() {
	t := phash.MakeTransform(phash.Crop7, phash.Mirrored)
	fmt.Println(t.Edit(), t.Orientation())
	// Output:
	// crop7 mirrored
}
