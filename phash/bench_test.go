package phash_test

import (
	"bytes"
	"image"
	"image/draw"
	"image/jpeg"
	"testing"

	"github.com/corona10/goimagehash"

	"github.com/staydown/staydown/phash"
)

// benchPicture is a picture of 0.75 megapixels, the size that the figures in
// docs/accuracy.md are for, as a JPEG of quality 85.
func benchPicture(b *testing.B) []byte {
	b.Helper()
	return encodeJPEG(b, scene(1024, 732), 85)
}

func BenchmarkDecode(b *testing.B) {
	data := benchPicture(b)
	b.Run("image/jpeg", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := jpeg.Decode(bytes.NewReader(data)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := phash.Decode(bytes.NewReader(data), nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkHash(b *testing.B) {
	ycc, err := jpeg.Decode(bytes.NewReader(benchPicture(b)))
	if err != nil {
		b.Fatal(err)
	}
	rgba := image.NewRGBA(ycc.Bounds())
	draw.Draw(rgba, rgba.Rect, ycc, image.Point{}, draw.Src)
	var k phash.Hasher
	for _, bm := range []struct {
		name string
		f    func() error
	}{
		{"PDQ/luma", func() error { _, _, err := k.PDQ(ycc); return err }},
		{"PDQ/rgb", func() error { _, _, err := k.PDQ(rgba); return err }},
		{"PDQDihedral/luma", func() error { _, _, err := k.PDQDihedral(ycc); return err }},
		{"Perception", func() error { _, err := phash.Perception(ycc); return err }},
		{"goimagehash", func() error { _, err := goimagehash.PerceptionHash(ycc); return err }},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := bm.f(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRegister(b *testing.B) {
	data := benchPicture(b)
	var k phash.Hasher
	for _, l := range []phash.Level{phash.LevelDefault, phash.LevelWide} {
		b.Run(l.String(), func(b *testing.B) {
			p, err := phash.Decode(bytes.NewReader(data), nil)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Register(p, &phash.RegisterOptions{Level: l}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkQuery(b *testing.B) {
	data := benchPicture(b)
	var k phash.Hasher
	var hs []phash.Hash
	p, err := phash.Decode(bytes.NewReader(data), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		hs = k.AppendQuery(hs[:0], p)
	}
}
