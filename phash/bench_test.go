package phash_test

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/corona10/goimagehash"

	"github.com/staydown/staydown/internal/sharedtest"
	"github.com/staydown/staydown/phash"
)

// benchPicture is a picture of 0.75 megapixels, the size that the figures in
// docs/accuracy.md are for, as a JPEG of quality 85.
func benchPicture(b *testing.B) []byte {
	b.Helper()
	return encodeJPEG(b, scene(1024, 732), 85)
}

// timed runs f and reports processor time beside the time on the clock, which
// means little on a machine that others use too.
func timed(b *testing.B, f func() error) {
	b.ReportAllocs()
	start := sharedtest.CPUTime()
	for b.Loop() {
		if err := f(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(sharedtest.CPUTime()-start)/float64(b.N)/1e6, "cpu-ms/op")
}

func BenchmarkDecode(b *testing.B) {
	data := benchPicture(b)
	b.Run("image/jpeg", func(b *testing.B) {
		timed(b, func() error { _, err := jpeg.Decode(bytes.NewReader(data)); return err })
	})
	b.Run("Decode", func(b *testing.B) {
		timed(b, func() error { _, err := phash.Decode(bytes.NewReader(data), nil); return err })
	})
}

func BenchmarkHash(b *testing.B) {
	ycc, err := jpeg.Decode(bytes.NewReader(benchPicture(b)))
	if err != nil {
		b.Fatal(err)
	}
	rgba := image.NewRGBA(ycc.Bounds())
	draw.Draw(rgba, rgba.Rect, ycc, image.Point{}, draw.Src)
	luma := mustDecode(b, benchPicture(b)).Luma()
	var k phash.Hasher
	for _, bm := range []struct {
		name string
		f    func() error
	}{
		{"PDQ/luma", func() error { _, _, err := k.PDQ(luma); return err }},
		// The outcome of this picture is close: it is hashed by way of RGB after
		// its luma plane, the dearest case.
		{"PDQ/close", func() error { _, _, err := k.PDQ(ycc); return err }},
		{"PDQ/rgb", func() error { _, _, err := k.PDQ(rgba); return err }},
		{"PDQDihedral/luma", func() error { _, _, err := k.PDQDihedral(luma); return err }},
		{"Perception", func() error { _, err := phash.Perception(ycc); return err }},
		{"goimagehash", func() error { _, err := goimagehash.PerceptionHash(ycc); return err }},
	} {
		b.Run(bm.name, func(b *testing.B) { timed(b, bm.f) })
	}
}

func BenchmarkRegister(b *testing.B) {
	p := mustDecode(b, benchPicture(b))
	var k phash.Hasher
	for _, l := range []phash.Level{phash.LevelDefault, phash.LevelWide} {
		b.Run(l.String(), func(b *testing.B) {
			timed(b, func() error { _, err := k.HashesToStore(p, &phash.StoreOptions{Level: l}); return err })
		})
	}
}

func BenchmarkQuery(b *testing.B) {
	var k phash.Hasher
	var hs []phash.Hash
	for _, bm := range []struct {
		name string
		data []byte
	}{
		{"plain", benchPicture(b)},
		{"bordered", encodeJPEG(b, framed(scene(1024, 622), 0, 60, 0, 50, color.Black), 85)},
	} {
		b.Run(bm.name, func(b *testing.B) {
			p := mustDecode(b, bm.data)
			timed(b, func() error { hs = k.AppendHashesToAsk(hs[:0], p); return nil })
		})
	}
}

// BenchmarkPhotographs compares, for the photographs of the shared material,
// decoding by image/jpeg with decoding and hashing here. One operation is all of
// them.
func BenchmarkPhotographs(b *testing.B) {
	files, _ := filepath.Glob(filepath.Join(sharedtest.Path(b, "photos"), "*.jpg"))
	var data [][]byte
	for _, f := range files {
		d, err := os.ReadFile(f)
		if err != nil {
			b.Fatal(err)
		}
		data = append(data, d)
	}
	var k phash.Hasher
	var hs []phash.Hash
	for _, bm := range []struct {
		name string
		f    func(r io.Reader) error
	}{
		{"image-jpeg", func(r io.Reader) error { _, err := jpeg.Decode(r); return err }},
		{"Decode", func(r io.Reader) error { _, err := phash.Decode(r, nil); return err }},
		{"Decode+PDQ", func(r io.Reader) error {
			p, err := phash.Decode(r, nil)
			if err == nil {
				k.PDQOf(p)
			}
			return err
		}},
		{"Decode+HashesToAsk", func(r io.Reader) error {
			p, err := phash.Decode(r, nil)
			if err == nil {
				hs = k.AppendHashesToAsk(hs[:0], p)
			}
			return err
		}},
	} {
		b.Run(bm.name, func(b *testing.B) {
			timed(b, func() error {
				for _, d := range data {
					if err := bm.f(bytes.NewReader(d)); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
}
