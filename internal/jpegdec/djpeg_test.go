package jpegdec

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// tool skips the test where one of libjpeg's programs is missing.
func tool(tb testing.TB, name string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		tb.Skipf("skipped: %s of libjpeg-turbo is not installed", name)
	}
	return path
}

// run runs a program on in and returns what it writes. A failure gives nothing.
func run(in []byte, program string, args ...string) []byte {
	c := exec.Command(program, args...)
	c.Stdin = bytes.NewReader(in)
	out, _ := c.Output()
	return out
}

// djpegGray returns the luma that djpeg gives for a file, nil if it gives none.
// Where it gives a part of the rows only, it fails.
func djpegGray(data []byte) *image.Gray {
	out := run(data, "djpeg", "-grayscale", "-nosmooth", "-pnm")
	var w, h, most int
	if _, err := fmt.Sscanf(string(out[:min(len(out), 40)]), "P5\n%d %d\n%d\n", &w, &h, &most); err != nil {
		return nil
	}
	head := len(fmt.Sprintf("P5\n%d %d\n%d\n", w, h, most))
	if len(out) < head+w*h {
		return nil
	}
	return &image.Gray{Pix: out[head:][:w*h], Stride: w, Rect: image.Rect(0, 0, w, h)}
}

// differing counts the samples in which two pictures differ.
func differing(a, b *image.Gray) (n int) {
	if a.Rect != b.Rect {
		return -1
	}
	for y := range a.Rect.Dy() {
		for x := range a.Rect.Dx() {
			if a.Pix[y*a.Stride+x] != b.Pix[y*b.Stride+x] {
				n++
			}
		}
	}
	return n
}

// scenePPM is a picture with edges, gradients and some noise.
func scenePPM(w, h int) []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	out := fmt.Appendf(nil, "P6\n%d %d\n255\n", w, h)
	for y := range h {
		for x := range w {
			r, g, b := 40+160*x/w, 60+120*y/h, 200-150*(x+y)/(w+h)
			if (x-w/3)*(x-w/3)+(y-h/2)*(y-h/2) < w*h/16 {
				r, g, b = 220, 80+x%64, 60
			}
			if x > w/2 && y > h/3 && (x/9+y/7)%2 == 0 {
				r, g, b = 20, 30, 120
			}
			n := rng.IntN(12)
			out = append(out, byte(r+n), byte(g+n), byte(b+n))
		}
	}
	return out
}

// variants makes JPEG files of all kinds with cjpeg.
func variants(tb testing.TB, w, h int) map[string][]byte {
	tb.Helper()
	tool(tb, "cjpeg")
	tool(tb, "djpeg")
	ppm := scenePPM(w, h)
	scripts := map[string]string{
		"separate": "0; 1; 2;",
		"two":      "0,1; 2;",
		"odd":      "1; 0; 2;",
		"bits":     "0,1,2: 0-0, 0, 3; 0: 1-9, 0, 2; 0: 10-63, 0, 2; 1: 1-63, 0, 1; 2: 1-63, 0, 1; 0,1,2: 0-0, 3, 2; 0: 1-63, 2, 1; 0: 1-63, 1, 0; 0,1,2: 0-0, 2, 1; 1: 1-63, 1, 0; 0,1,2: 0-0, 1, 0; 2: 1-63, 1, 0;",
		"dcalone":  "0: 0-0, 0, 0; 1: 0-0, 0, 0; 2: 0-0, 0, 0; 0: 1-63, 0, 0; 1: 1-63, 0, 0; 2: 1-63, 0, 0;",
	}
	dir := tb.TempDir()
	files := map[string][]byte{}
	add := func(name string, args ...string) {
		out := run(ppm, "cjpeg", args...)
		if len(out) < 100 {
			tb.Fatalf("cjpeg %s made nothing", args)
		}
		files[name] = out
	}
	for _, sample := range []string{"1x1", "2x1", "2x2", "1x2", "4x1", "4x2", "1x4", "4x4",
		"2x2,1x1,1x2", "2x2,2x2,1x1", "2x1,1x1,2x1", "1x1,2x2,2x2", "1x2,2x1,1x1", "2x2,1x2,2x1", "3x1", "3x3,1x1,1x1", "1x1,1x1,2x2"} {
		for _, more := range []string{"", "-progressive", "-restart 1", "-restart 3B", "-progressive -restart 1", "-optimize -restart 1B"} {
			args := append([]string{"-quality", "85", "-sample", sample}, strings.Fields(more)...)
			out := run(ppm, "cjpeg", args...)
			if len(out) < 100 {
				continue // libjpeg limits the blocks of an MCU
			}
			files[sample+" "+more] = out
		}
	}
	for name, s := range scripts {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
			tb.Fatal(err)
		}
		add("script "+name, "-scans", path)
		add("script "+name+" restart", "-scans", path, "-restart", "1")
		add("script "+name+" restart 7B", "-scans", path, "-restart", "7B", "-sample", "1x1")
	}
	add("grey", "-grayscale")
	add("grey progressive", "-grayscale", "-progressive", "-restart", "1")
	for _, q := range []string{"1", "3", "30", "100"} {
		add("quality "+q, "-quality", q)
		add("quality progressive "+q, "-quality", q, "-progressive")
	}
	return files
}

// Luma is the one of libjpeg in every sample, for all kinds of valid files.
func TestLikeDjpeg(t *testing.T) {
	t.Parallel()
	for _, size := range []image.Point{{227, 149}, {64, 64}, {1, 1}, {17, 8}, {9, 33}} {
		for name, data := range variants(t, size.X, size.Y) {
			want := djpegGray(data)
			if want == nil {
				t.Logf("%v %s: djpeg gives nothing", size, name)
				continue
			}
			p, err := Decode(context.Background(), data, nil)
			if err != nil {
				t.Errorf("%v %s: %v", size, name, err)
				continue
			}
			if n := differing(p.Image.(*image.Gray), want); n != 0 || p.Damage.Faults != 0 {
				t.Errorf("%v %s: %d samples differ, %v", size, name, n, p.Damage.Faults)
			}
		}
	}
}

// JPEGDEC_FIXTURES=1 makes the files of testdata again. All show a drawing of
// this program.
func TestMakeFixtures(t *testing.T) {
	if os.Getenv("JPEGDEC_FIXTURES") == "" {
		t.Skip("skipped: JPEGDEC_FIXTURES is not set")
	}
	v := variants(t, 151, 113)
	odd := func(adobe int, scans [][]int, factors ...byte) []byte {
		e := encoder{width: 71, height: 53, comps: comps(factors...), scans: scans, interval: 3, adobe: adobe}
		return e.encode()
	}
	for name, data := range map[string][]byte{
		"baseline":            v["2x2 "],
		"progressive":         v["2x2 -progressive"],
		"restart":             v["2x2 -restart 1"],
		"progressive-restart": v["2x2 -progressive -restart 1"],
		"444":                 v["1x1 -optimize -restart 1B"],
		"grey":                v["grey"],
		"rgb":                 run(scenePPM(151, 113), "cjpeg", "-rgb", "-progressive"),
		"separate":            v["script separate restart"],
		"bits":                v["script bits"],
		"2x2-1x1-1x2":         v["2x2,1x1,1x2 "],
		"small-luma":          v["1x1,2x2,2x2 -progressive"],
		"cmyk":                odd(0, nil, 11, 11, 11, 11),
		"ycck":                odd(2, [][]int{{3}, {0, 1, 2}}, 22, 11, 11, 22),
		"4x4":                 odd(-1, nil, 44, 31, 13),
	} {
		if len(data) == 0 {
			t.Fatalf("nothing for %s", name)
		}
		if err := os.WriteFile(filepath.Join("testdata", name+".jpg"), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Bytes of small files are changed. What libjpeg still shows is decoded, to the
// same samples. The exception is its smoothing of progressive files of which
// scans are missing.
func TestChangedBytes(t *testing.T) {
	t.Parallel()
	step := 5
	if testing.Short() {
		step = 60
	}
	files := variants(t, 150, 110)
	for _, name := range []string{"2x2 ", "2x2 -progressive", "2x2 -restart 1", "2x2 -progressive -restart 1", "script separate restart"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := files[name]
			rng := rand.New(rand.NewPCG(1, uint64(len(data))))
			var shown, missed, same, coarser int
			for at := 2 + rng.IntN(step); at < len(data); at += step {
				b := bytes.Clone(data)
				b[at] ^= byte(1 + rng.IntN(255))
				want := djpegGray(b)
				if want == nil || len(want.Pix) > 1<<22 {
					continue
				}
				shown++
				p, err := Decode(context.Background(), b, nil)
				if err != nil {
					missed++
					t.Logf("byte %d of %d, %x made %x: %v", at, len(data), data[at-1:min(at+2, len(data))], b[at-1:min(at+2, len(data))], err)
					continue
				}
				switch n := differing(p.Image.(*image.Gray), want); {
				case n == 0:
					same++
				case p.Damage.Coarse > 0:
					coarser++
				default:
					t.Logf("byte %d of %d, %x made %x: %d samples differ, %v", at, len(data), data[at-1:min(at+2, len(data))], b[at-1:min(at+2, len(data))], n, p.Damage.Faults)
				}
			}
			t.Logf("%d shown by libjpeg, %d not decoded, %d with the same samples, %d coarser", shown, missed, same, coarser)
			if shown < 50 || missed > 0 || 1000*same < 995*shown {
				t.Errorf("%d of %d not decoded, %d with the same samples; want none, and 99.5 %%", missed, shown, same)
			}
		})
	}
}
