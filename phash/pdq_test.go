package phash_test

import (
	"encoding/csv"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"image/png"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/internal/sharedtest"
	"github.com/staydown/staydown/phash"
)

// readCSV returns the rows of a comma-separated file as maps by column name.
func readCSV(tb testing.TB, path string) []map[string]string {
	tb.Helper()
	f, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.LazyQuotes = true
	all, err := r.ReadAll()
	if err != nil {
		tb.Fatalf("%s: %v", path, err)
	}
	rows := make([]map[string]string, 0, len(all)-1)
	for _, rec := range all[1:] {
		m := make(map[string]string)
		for i, k := range all[0] {
			m[k] = rec[i]
		}
		rows = append(rows, m)
	}
	return rows
}

var dihedralColumns = [8]string{
	phash.Upright:        "original",
	phash.Rotated90:      "rot90",
	phash.Rotated180:     "rot180",
	phash.Rotated270:     "rot270",
	phash.Flipped:        "flipx",
	phash.Mirrored:       "flipy",
	phash.Transposed:     "flipplus1",
	phash.AntiTransposed: "flipminus1",
}

// result is what the reference states about one picture.
type result struct {
	Quality         int
	Hash            string
	DihedralQuality int
	Dihedral        [8]string
}

func wantResult(tb testing.TB, row map[string]string) result {
	tb.Helper()
	q, err := strconv.Atoi(row["quality"])
	if err != nil {
		tb.Fatal(err)
	}
	r := result{Quality: q, Hash: row["hash"], DihedralQuality: q}
	if r.Hash == "" {
		r.Hash = row["original"]
	}
	if s, ok := row["dihedral_quality"]; ok {
		if r.DihedralQuality, err = strconv.Atoi(s); err != nil {
			tb.Fatal(err)
		}
	}
	for i, c := range dihedralColumns {
		r.Dihedral[i] = row[c]
	}
	return r
}

func gotResult(tb testing.TB, img image.Image) result {
	tb.Helper()
	var r result
	h, q, err := phash.PDQ(img)
	if err != nil {
		tb.Fatal(err)
	}
	r.Quality, r.Hash = q, bare(h)
	d, dq, err := phash.PDQDihedral(img)
	if err != nil {
		tb.Fatal(err)
	}
	r.DihedralQuality = dq
	for i := range d {
		r.Dihedral[i] = bare(d[i])
	}
	return r
}

// bare returns the hex digits of a PDQ hash.
func bare(h phash.Hash) string { return strings.TrimPrefix(h.String(), "pdq:") }

func readPNG(tb testing.TB, path string) image.Image {
	tb.Helper()
	f, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		tb.Fatalf("%s: %v", path, err)
	}
	return img
}

// The reference's answers on lossless pixels must be met in every bit.
func TestPDQReferencePixels(t *testing.T) {
	t.Parallel()
	dir := sharedtest.Path(t, "pdq", "derived")
	rows := readCSV(t, filepath.Join(dir, "reference-hashes-pixels-png.csv"))
	if len(rows) < 22 {
		t.Fatalf("%d rows of reference pixels, want at least 22", len(rows))
	}
	for _, row := range rows {
		t.Run(row["file"], func(t *testing.T) {
			img := readPNG(t, filepath.Join(dir, "pixels-png", row["file"]))
			if d := cmp.Diff(wantResult(t, row), gotResult(t, img)); d != "" {
				t.Errorf("(-reference +got)\n%s", d)
			}
		})
	}
}

// lumaFormulas are the synthetic pictures of synthetic-luma.csv, by the text
// that describes them there.
var lumaFormulas = map[string]func(x, y int) int{
	"0":                           func(x, y int) int { return 0 },
	"255":                         func(x, y int) int { return 255 },
	"128":                         func(x, y int) int { return 128 },
	"x":                           func(x, y int) int { return x },
	"y":                           func(x, y int) int { return y },
	"((x>>5)^(y>>5))&1 ? 255 : 0": func(x, y int) int { return 255 * (((x >> 5) ^ (y >> 5)) & 1) },
	"(x*x+3*y*y+x*y) & 255":       func(x, y int) int { return x*x + 3*y*y + x*y },
	"(x/7*37 + y/11*53 + (x/29)*(y/31)*17) & 255": func(x, y int) int { return x/7*37 + y/11*53 + (x/29)*(y/31)*17 },
	"black text-like rows: (y%24<10 && ((x*7+y/24*13)%19<9) && x>40 && x<984) ? 0 : 255": func(x, y int) int {
		if y%24 < 10 && (x*7+y/24*13)%19 < 9 && x > 40 && x < 984 {
			return 0
		}
		return 255
	},
	"black text-like rows: (y%24<10 && ((x*11+y/24*5)%23<9) && x>40 && x<984) ? 0 : 255": func(x, y int) int {
		if y%24 < 10 && (x*11+y/24*5)%23 < 9 && x > 40 && x < 984 {
			return 0
		}
		return 255
	},
}

func formulaImage(w, h int, f func(x, y int) int) *image.Gray {
	m := image.NewGray(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.Pix[y*m.Stride+x] = byte(f(x, y))
		}
	}
	return m
}

func TestPDQSynthetic(t *testing.T) {
	t.Parallel()
	dir := sharedtest.Path(t, "pdq", "derived")
	rows := readCSV(t, filepath.Join(dir, "synthetic-luma.csv"))
	if len(rows) < 17 {
		t.Fatalf("%d synthetic rows, want at least 17", len(rows))
	}
	for _, row := range rows {
		f := lumaFormulas[row["luma_formula"]]
		if f == nil {
			t.Fatalf("no picture for formula %q", row["luma_formula"])
		}
		w, _ := strconv.Atoi(row["width"])
		h, _ := strconv.Atoi(row["height"])
		t.Run(fmt.Sprintf("%s %dx%d", row["luma_formula"], w, h), func(t *testing.T) {
			img := formulaImage(w, h, f)
			want := wantResult(t, row)
			if d := cmp.Diff(want, gotResult(t, img)); d != "" {
				t.Errorf("grey (-reference +got)\n%s", d)
			}
		})
	}
}
