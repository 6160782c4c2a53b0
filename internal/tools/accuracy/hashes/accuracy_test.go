package main

import (
	"encoding/json"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// drawn returns a picture with its own structure for each n.
func drawn(n int) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, 320, 240))
	for y := range 240 {
		for x := range 320 {
			v := byte((x*(3+n) + y*(7-n)) / 9 % 200)
			if (x-60-40*n)*(x-60-40*n)+(y-120)*(y-120) < 2500+900*n {
				v = 250
			}
			if (x+2*y*n)%(90+17*n) < 30 && y > 30*n {
				v /= 3
			}
			m.SetRGBA(x, y, color.RGBA{v, v / 2, 255 - v, 255})
		}
	}
	return m
}

func mirrored(m *image.RGBA) *image.RGBA {
	n := image.NewRGBA(m.Rect)
	for y := range m.Rect.Dy() {
		for x := range m.Rect.Dx() {
			n.SetRGBA(m.Rect.Dx()-1-x, y, m.RGBAAt(x, y))
		}
	}
	return n
}

func write(t *testing.T, path string, img image.Image) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(path, ".png") {
		err = png.Encode(f, img)
	} else {
		err = jpeg.Encode(f, img, &jpeg.Options{Quality: 60})
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// corpora writes originals, one of them too flat to register, and copies.
func corpora(t *testing.T) (originals, copies string) {
	originals, copies = t.TempDir(), t.TempDir()
	manifest := "orig\ttransform\tfile\n"
	for n, name := range []string{"a", "b", "c", "d"} {
		img := drawn(n)
		write(t, filepath.Join(originals, name+".png"), img)
		write(t, filepath.Join(copies, name+"-q.jpg"), img)
		write(t, filepath.Join(copies, name+"-m.jpg"), mirrored(img))
		manifest += name + ".png\tjpeg_q70\t" + name + "-q.jpg\n" + name + ".png\tmirror\t" + name + "-m.jpg\n"
	}
	flat := image.NewRGBA(image.Rect(0, 0, 320, 240))
	write(t, filepath.Join(originals, "flat.png"), flat)
	write(t, filepath.Join(copies, "flat-q.jpg"), flat)
	manifest += "flat.png\tjpeg_q70\tflat-q.jpg\n"
	if err := os.WriteFile(filepath.Join(copies, "manifest.tsv"), []byte(manifest), 0o644); err != nil {
		t.Fatal(err)
	}
	return originals, copies
}

// The whole tool on a corpus whose answers are known.
func TestRun(t *testing.T) {
	originals, copies := corpora(t)
	out, cache := t.TempDir(), filepath.Join(t.TempDir(), "hashes")
	var first string
	for range 2 { // the second time from the cache
		if err := run(originals, []string{copies}, []string{"pdq", "default"}, out, cache, true); err != nil {
			t.Fatal(err)
		}
		table, err := os.ReadFile(filepath.Join(out, "accuracy.md"))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			"| re-encoded | 99.5 | 100.0 | 100.0 / 100.0 (80.0) |", // the flat picture's copy is one of five
			"| mirror, flip, 90°, 180°, 270° | 99 | 0.0 | 100.0 / 100.0 (100.0) |",
			"- flat.png: quality 0",
			"| pictures refused |  | 0 | 1 |",
			"| whole+mirrored | 4 | mirror, flip, 90°, 180°, 270° 100.0; mirror 100.0 |",
		} {
			if !strings.Contains(string(table), want) {
				t.Errorf("the table lacks %q:\n%s", want, table)
			}
		}
		if first != "" && first != string(table) {
			t.Error("from the cache the table is another")
		}
		first = string(table)
	}

	data, err := os.ReadFile(filepath.Join(out, "accuracy.json"))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Originals, Copies int
		Refused           map[string]string
		Setups            []struct {
			Name       string
			Registered int
			Transforms map[string]struct{ Radius, Share []float64 }
		}
	}
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if got.Originals != 5 || got.Copies != 9 || len(got.Setups) != 2 || got.Setups[1].Registered != 4 || got.Refused["flat.png"] != "quality 0" {
		t.Errorf("JSON %+v", got)
	}
	curve := got.Setups[1].Transforms["mirror"]
	if n := len(curve.Share); n != maxRadius/2+1 || curve.Share[n-1] != 1 || curve.Radius[n-1] != maxRadius {
		t.Errorf("curve %v", curve)
	}
	for i := 1; i < len(curve.Share); i++ {
		if curve.Share[i] < curve.Share[i-1] {
			t.Errorf("the curve falls at %v", curve.Radius[i])
		}
	}
	if svg, err := os.ReadFile(filepath.Join(out, "accuracy.svg")); err != nil || !strings.Contains(string(svg), "<svg") {
		t.Errorf("plot: %v", err)
	}
}

func TestRunRefuses(t *testing.T) {
	originals, copies := corpora(t)
	bad := t.TempDir()
	for _, tt := range []struct{ name, manifest, want string }{
		{"unknown original", "orig\ttransform\tfile\nz.png\tmirror\tx.jpg\n", "not among the originals"},
		{"columns", "orig\ttransform\tfile\na.png\tmirror\n", "2 columns"},
		{"missing file", "orig\ttransform\tfile\na.png\tmirror\tmissing.jpg\n", "missing.jpg"},
	} {
		if err := os.WriteFile(filepath.Join(bad, "manifest.tsv"), []byte(tt.manifest), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := run(originals, []string{bad}, []string{"pdq"}, "", "", false); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one that says %q", tt.name, err, tt.want)
		}
	}
	if err := run(originals, []string{copies}, []string{"nonsense"}, "", "", false); err == nil {
		t.Error("an unknown set-up is accepted")
	}
	if err := run(t.TempDir(), []string{copies}, []string{"pdq"}, "", "", false); err == nil {
		t.Error("a folder without pictures is accepted")
	}
}
