package takedown_test

import (
	"bytes"
	"image"
	"image/jpeg"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/image/draw"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/sharedtest"
	"github.com/staydown/staydown/takedown"
)

// benchPhotos returns 40 photographs, of the folder of corpusVariable if that is set,
// as JPEGs of 1,024 pixels, 4:2:0.
func benchPhotos(b *testing.B) [][]byte {
	b.Helper()
	dir := os.Getenv(corpusVariable)
	if dir == "" {
		dir = sharedtest.Path(b, "photos")
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*.jpg"))
	ok(b, err)
	var files [][]byte
	for i := 0; i < len(paths) && len(files) < 40; i += max(1, len(paths)/60) {
		f, err := os.ReadFile(paths[i])
		ok(b, err)
		m, err := jpeg.Decode(bytes.NewReader(f))
		if err != nil || max(m.Bounds().Dx(), m.Bounds().Dy()) < 600 {
			continue
		}
		w, h := m.Bounds().Dx(), m.Bounds().Dy()
		long := max(w, h)
		dst := image.NewRGBA(image.Rect(0, 0, w*1024/long, h*1024/long))
		draw.CatmullRom.Scale(dst, dst.Bounds(), m, m.Bounds(), draw.Src, nil)
		var out bytes.Buffer
		ok(b, jpeg.Encode(&out, dst, &jpeg.Options{Quality: 85}))
		files = append(files, out.Bytes())
	}
	return files
}

// BenchmarkCheckFile reports the processor time of CheckFile of an innocent
// photograph, as a multiple of that of image/jpeg.Decode: the median of the
// ratios of 40 photographs.
func BenchmarkCheckFile(b *testing.B) {
	files := benchPhotos(b)
	one := func(l *blocklist.List) *takedown.Enforcer {
		return enforcer(b, nil, takedown.ListSource{Name: "a", List: l})
	}
	other, err := os.ReadFile("testdata/picture.jpg")
	ok(b, err)
	k := keysOf(b, other)
	rule := func(k blocklist.Keys) *takedown.Enforcer {
		l := listOf(b, "https://a.example/blocked.jpg")
		appendTo(b, l, blocklist.Event{Type: blocklist.EventAdded, Rule: &blocklist.Rule{
			Kind: 3, Scope: blocklist.ScopeDuplicate, Effect: blocklist.EffectBlock, Case: [16]byte{1}, Keys: k,
		}})
		return one(l)
	}
	for _, bm := range []struct {
		name string
		e    *takedown.Enforcer
	}{
		{"without features", rule(blocklist.Keys{Hashes: k.Hashes})},
		{"one with features", rule(k)},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			ratios := make([][]float64, len(files))
			timed := func(f func()) time.Duration {
				start := sharedtest.CPUTime()
				f()
				return sharedtest.CPUTime() - start
			}
			i := 0
			for b.Loop() {
				file := files[i%len(files)]
				decode := timed(func() { _, err := jpeg.Decode(bytes.NewReader(file)); ok(b, err) })
				check := timed(func() { _, _, err := bm.e.CheckFile(ctx, bytes.NewReader(file), takedown.Source{}, nil); ok(b, err) })
				ratios[i%len(files)] = append(ratios[i%len(files)], float64(check)/float64(decode))
				i++
			}
			var medians []float64
			for _, r := range ratios {
				if slices.Sort(r); len(r) > 0 {
					medians = append(medians, r[len(r)/2])
				}
			}
			slices.Sort(medians)
			b.ReportMetric(medians[len(medians)/2], "×jpeg.Decode")
		})
	}
}
