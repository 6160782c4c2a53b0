package jpegdec

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/staydown/staydown/internal/sharedtest"
)

func decode(tb testing.TB, data []byte, opts *Options) *Picture {
	tb.Helper()
	p, err := Decode(context.Background(), data, opts)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// The planes of the test pictures: smooth, and different from each other.
var planes = []func(x, y int) float64{
	func(x, y int) float64 { return float64(60 + (x*3+y*2)%130) },
	func(x, y int) float64 { return float64(100 + x/2) },
	func(x, y int) float64 { return float64(170 - y/2) },
	func(x, y int) float64 { return float64(255 - (x+y)/4) },
}

// comps makes components from pairs of sampling factors, such as 22, 11, 12.
func comps(factors ...byte) (c []encoded) {
	for i, f := range factors {
		c = append(c, encoded{byte(i + 1), f / 10, f % 10, planes[i]})
	}
	return c
}

// gray is what luma must be of a picture of the first plane.
func checkPlane(t *testing.T, g *image.Gray, want func(x, y int) float64, most float64) {
	t.Helper()
	sum := 0.0
	for y := range g.Rect.Dy() {
		for x := range g.Rect.Dx() {
			d := float64(g.Pix[y*g.Stride+x]) - want(x, y)
			sum += max(d, -d)
		}
	}
	if mean := sum / float64(g.Rect.Dx()*g.Rect.Dy()); mean > most {
		t.Errorf("samples are %.2f off in the mean, at most %.2f expected", mean, most)
	}
}

// All sampling factors are decoded, with luma of less resolution than chroma,
// with more than ten blocks in an MCU, and in scans of one component, where
// restart intervals count blocks.
func TestSampling(t *testing.T) {
	t.Parallel()
	smooth := func(x, y int) float64 { return float64(60 + x/2 + y/3) }
	for h := byte(1); h <= 4; h++ {
		for v := byte(1); v <= 4; v++ {
			for _, chroma := range [][2]byte{{11, 11}, {22, 11}, {12, 21}, {44, 13}} {
				for _, scans := range [][][]int{nil, {{0}, {1}, {2}}, {{2}, {1, 0}}} {
					c := comps(10*h+v, chroma[0], chroma[1])
					c[0].sample = smooth
					e := encoder{width: 101, height: 75, comps: c, scans: scans, interval: int(h), adobe: -1}
					data := e.encode()
					p := decode(t, data, nil)
					if p.Damage.Faults != 0 || p.Image.Bounds() != image.Rect(0, 0, 101, 75) {
						t.Errorf("%d×%d with %v, scans %v: %v, bounds %v", h, v, chroma, scans, p.Damage.Faults, p.Image.Bounds())
					}
					checkPlane(t, p.Image.(*image.Gray), smooth, 2)
					full := decode(t, data, &Options{Colour: true}).Image.(*image.YCbCr)
					checkPlane(t, &image.Gray{Pix: full.Y, Stride: full.YStride, Rect: full.Rect}, smooth, 2)
					for y := 0; y < 75; y += 5 {
						for x := 0; x < 101; x += 5 {
							got := full.YCbCrAt(x, y)
							if d := float64(got.Cb) - planes[1](x, y); d > 6 || d < -6 {
								t.Fatalf("%d×%d with %v, scans %v: Cb at %d, %d is %d, want about %.0f", h, v, chroma, scans, x, y, got.Cb, planes[1](x, y))
							}
							if d := float64(got.Cr) - planes[2](x, y); d > 6 || d < -6 {
								t.Fatalf("%d×%d with %v, scans %v: Cr at %d, %d is %d, want about %.0f", h, v, chroma, scans, x, y, got.Cr, planes[2](x, y))
							}
						}
					}
				}
			}
		}
	}
}

// Which colour model a file has is found as libjpeg does it, and the colours are
// those of image/jpeg where it reads the file.
func TestColourModels(t *testing.T) {
	t.Parallel()
	rgbIDs := comps(11, 11, 11)
	for i := range rgbIDs {
		rgbIDs[i].id = "RGB"[i]
	}
	sameIDs := comps(22, 11, 11)
	for i := range sameIDs {
		sameIDs[i].id = 1
	}
	tests := []struct {
		name  string
		e     encoder
		model Model
		std   bool // image/jpeg reads it
	}{
		{"one component of any factors", encoder{comps: comps(32), adobe: -1}, Gray, false},
		{"no marker", encoder{comps: comps(22, 11, 11), adobe: -1}, YCbCr, true},
		{"JFIF", encoder{comps: comps(21, 11, 11), adobe: -1, jfif: true}, YCbCr, true},
		{"JFIF and Adobe 0", encoder{comps: comps(11, 11, 11), adobe: 0, jfif: true}, YCbCr, true},
		{"Adobe 0", encoder{comps: comps(11, 11, 11), adobe: 0}, RGB, true},
		{"Adobe 1", encoder{comps: comps(22, 11, 11), adobe: 1}, YCbCr, true},
		{"identifiers R, G, B", encoder{comps: rgbIDs, adobe: -1}, RGB, true},
		{"one identifier for all", encoder{comps: sameIDs, adobe: -1}, YCbCr, false},
		{"CMYK", encoder{comps: comps(11, 11, 11, 11), adobe: 0}, CMYK, true},
		{"CMYK without marker", encoder{comps: comps(11, 11, 11, 11), adobe: -1}, CMYK, false},
		{"YCCK", encoder{comps: comps(11, 11, 11, 11), adobe: 2}, YCCK, true},
		{"YCCK, subsampled", encoder{comps: comps(22, 11, 11, 22), adobe: 2}, YCCK, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.e.width, tt.e.height = 83, 61
			data := tt.e.encode()
			h, err := ReadHeader(data)
			if err != nil || h.Model != tt.model || h.Width != 83 || h.Height != 61 {
				t.Errorf("header %+v, %v; want model %d", h, err, tt.model)
			}
			p := decode(t, data, &Options{Colour: true})
			if p.Model != tt.model || p.Damage.Faults != 0 {
				t.Errorf("model %d, %v; want %d", p.Model, p.Damage.Faults, tt.model)
			}
			if !tt.std {
				return
			}
			want, err := jpeg.Decode(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			if got, want := fmt.Sprintf("%T", p.Image), fmt.Sprintf("%T", want); got != want {
				t.Errorf("%s, image/jpeg gives %s", got, want)
			}
			compareColours(t, p.Image, want)
		})
	}
}

func compareColours(t *testing.T, got, want image.Image) {
	t.Helper()
	if got.Bounds() != want.Bounds() {
		t.Fatalf("bounds %v, want %v", got.Bounds(), want.Bounds())
	}
	b := got.Bounds()
	far := 0
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			g, w := color.RGBAModel.Convert(got.At(x, y)).(color.RGBA), color.RGBAModel.Convert(want.At(x, y)).(color.RGBA)
			for _, d := range []int{int(g.R) - int(w.R), int(g.G) - int(w.G), int(g.B) - int(w.B)} {
				if d > 4 || d < -4 {
					far++
				}
			}
		}
	}
	if far > 0 {
		t.Errorf("%d channels differ by more than 4 from image/jpeg's", far)
	}
}

// A reduced picture is the mean of the samples of the full one.
func TestScale(t *testing.T) {
	t.Parallel()
	files := fixtures(t)
	for _, name := range []string{"baseline.jpg", "progressive.jpg", "grey.jpg", "rgb.jpg"} {
		data := files[name]
		full := decode(t, data, nil)
		for _, scale := range []int{2, 4, 8} {
			p := decode(t, data, &Options{Scale: scale})
			w, h := ceil(full.Width, scale), ceil(full.Height, scale)
			if p.Image.Bounds() != image.Rect(0, 0, w, h) || p.Width != full.Width || p.Height != full.Height {
				t.Errorf("%s by %d: bounds %v, header %+v", name, scale, p.Image.Bounds(), p.Header)
			}
			off, n := 0, 0
			for y := range full.Height / scale {
				for x := range full.Width / scale {
					sum := 0
					for i := range scale * scale {
						sum += int(color.GrayModel.Convert(full.Image.At(x*scale+i%scale, y*scale+i/scale)).(color.Gray).Y)
					}
					got := int(color.GrayModel.Convert(p.Image.At(x, y)).(color.Gray).Y)
					if d := got*scale*scale - sum; d > scale*scale*3/2 || -d > scale*scale*3/2 {
						off++
					}
					n++
				}
			}
			if off > n/200 { // where the full size is limited to 0 or 255
				t.Errorf("%s by %d: %d of %d samples are no mean", name, scale, off, n)
			}
		}
	}
}

// The scale is raised where the memory would not be enough.
func TestMemory(t *testing.T) {
	t.Parallel()
	for name, sizes := range map[string][]int64{
		// Bytes from which on the scale is 1, 2 and 4.
		"baseline.jpg":    {160 * 128 * 5 / 2, 80 * 64 * 5 / 2, 40 * 32 * 5 / 2},
		"progressive.jpg": {160*128*5/2 + 136*480, 80*64*5/2 + 136*480, 40*32*5/2 + 136*480},
	} {
		data := fixtures(t)[name]
		for i, n := range sizes {
			for less, want := range map[int64]int{0: 1 << i, 1: 2 << i} {
				for _, colour := range []bool{false, true} {
					p := decode(t, data, &Options{MaxMemory: n - less, Colour: colour})
					if p.Scale != want || p.Image.Bounds().Dx() != ceil(p.Width, want) {
						t.Errorf("%s in %d bytes, colour %t: scale %d, want %d; bounds %v", name, n-less, colour, p.Scale, want, p.Image.Bounds())
					}
				}
			}
		}
	}
}

// Bytes that are no JPEG, or one that nobody shows, give a typed error.
func TestErrors(t *testing.T) {
	t.Parallel()
	data := fixtures(t)["baseline.jpg"]
	sof := bytes.Index(data, []byte{0xff, markerSOF0})
	changed := func(at int, b ...byte) []byte {
		c := bytes.Clone(data)
		copy(c[at:], b)
		return c
	}
	var (
		format      FormatError
		unsupported UnsupportedError
		size        *SizeError
	)
	tests := []struct {
		name string
		data []byte
		opts *Options
		want any
	}{
		{"nothing", nil, nil, &format},
		{"a start marker", data[:2], nil, &format},
		{"no start marker", data[2:], nil, &format},
		{"the header only", data[:sof+19], nil, &format},
		{"height 0", changed(sof+5, 0, 0), nil, &format},
		{"5 components", changed(sof, 0xff, 0xc0, 0, 23, 8, 0, 9, 0, 9, 5), nil, &unsupported},
		{"12 bits", changed(sof+4, 12), nil, &unsupported},
		{"arithmetic coding", changed(sof+1, 0xc9), nil, &unsupported},
		{"lossless", changed(sof+1, 0xc3), nil, &unsupported},
		{"sampling factor 0", changed(sof+11, 0x02), nil, &format},
		{"sampling factor 5", changed(sof+11, 0x51), nil, &format},
		{"too large", data, &Options{MaxPixels: 100}, &size},
		{"reserved marker", append([]byte{0xff, 0xd8, 0xff, 0x05, 0, 2}, data[2:]...), nil, &format},
		{"two frame headers", append(bytes.Clone(data[:sof+19]), data[sof:]...), nil, &format},
	}
	for _, tt := range tests {
		p, err := Decode(context.Background(), tt.data, tt.opts)
		if err == nil || !errors.As(err, tt.want) || !strings.HasPrefix(err.Error(), "jpegdec: ") {
			t.Errorf("%s: %v, %v; want a %T", tt.name, p, err, tt.want)
		}
	}
	if _, err := Decode(context.Background(), data, &Options{Scale: 3}); err == nil {
		t.Error("scale 3: no error")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, name := range []string{"baseline.jpg", "progressive.jpg"} {
		if _, err := Decode(ctx, fixtures(t)[name], nil); !errors.Is(err, context.Canceled) {
			t.Errorf("%s, cancelled: %v", name, err)
		}
	}
}

// What is missing is marked, and grey; what lies behind the end is ignored.
func TestDamage(t *testing.T) {
	t.Parallel()
	files := fixtures(t)
	end := []byte{0xff, 0xd9}
	cut := func(name string, percent int, more ...byte) []byte {
		d := files[name]
		return append(bytes.Clone(d[:len(d)*percent/100]), more...)
	}
	restartAt := func(d []byte, n int) int {
		return bytes.Index(d, []byte{0xff, byte(markerRST0 + n)})
	}
	removed := bytes.Clone(files["restart.jpg"])
	if i := restartAt(removed, 2); i > 0 {
		removed = append(removed[:i], removed[i+2:]...)
	}
	wrong := bytes.Clone(files["restart.jpg"])
	wrong[restartAt(wrong, 1)+1] = markerRST0 + 6
	reserved := bytes.Clone(files["restart.jpg"])
	reserved[restartAt(reserved, 1)+1] = 0x05
	taller := bytes.Clone(files["baseline.jpg"])
	sof := bytes.Index(taller, []byte{0xff, markerSOF0})
	taller[sof+6] = 224
	tests := []struct {
		name     string
		data     []byte
		faults   Fault
		min, max float64 // of the share that is missing
		coarse   bool
	}{
		{"no end marker", cut("baseline.jpg", 100)[:len(files["baseline.jpg"])-2], NoEnd, 0, 0, false},
		{"junk behind the end", append(bytes.Clone(files["baseline.jpg"]), "junk\xff\xd8\xff\xda"...), 0, 0, 0, false},
		{"a second picture", append(bytes.Clone(files["baseline.jpg"]), files["grey.jpg"]...), 0, 0, 0, false},
		{"cut", cut("baseline.jpg", 70), NoEnd | NoData, 0.2, 0.5, false},
		{"cut and closed", cut("baseline.jpg", 70, end...), NoData, 0.2, 0.5, false},
		{"cut in restart intervals", cut("restart.jpg", 70), NoEnd | NoData, 0.2, 0.5, false},
		{"progressive, cut", cut("progressive.jpg", 60), NoEnd | NoData, 0, 0, true},
		{"progressive, cut early", cut("progressive.jpg", 8), NoEnd | NoData, 0.05, 0.99, true},
		{"progressive, cut behind a scan", cut("progressive.jpg", 22), NoEnd | NoData, 0, 0, true},
		{"one restart marker removed", removed, NoData | BadRestart | Surplus, 0, 0.4, false},
		{"a restart marker of the wrong number", wrong, BadRestart, 0, 0, false},
		{"a reserved code for a restart marker", reserved, BadRestart | NoData | Surplus, 0.05, 0.4, false},
		{"taller than its data", taller, NoData, 0.4, 0.5, false},
	}
	for _, tt := range tests {
		p := decode(t, tt.data, nil)
		g := p.Damage
		if g.Faults|Surplus != tt.faults|Surplus || g.Share < tt.min || g.Share > tt.max || (g.Coarse > 0) != tt.coarse {
			t.Errorf("%s: %v; %.2f missing, %.2f coarse; want %v, %.2f to %.2f missing", tt.name, g.Faults, g.Share, g.Coarse, tt.faults, tt.min, tt.max)
		}
		if tt.name == "one restart marker removed" {
			continue
		}
		for _, r := range g.Missing[min(1, len(g.Missing)):] { // the first one begins with a unit that is there in part
			for y := r.Min.Y; y < r.Max.Y; y++ {
				for x := r.Min.X; x < r.Max.X; x++ {
					if v := p.Image.(*image.Gray).GrayAt(x, y).Y; v != 128 {
						t.Fatalf("%s: %d at %d, %d, in %v", tt.name, v, x, y, r)
					}
				}
			}
		}
	}
	if s := (NoData | BadCode).String(); s != "data missing, wrong codes" {
		t.Errorf("Fault.String: %q", s)
	}
}

// When the budget is used up, what was decoded is the result.
func TestBudget(t *testing.T) {
	t.Parallel()
	data := fixtures(t)["progressive.jpg"]
	last := bytes.LastIndex(data, []byte{0xff, markerSOS})
	many := append(bytes.Clone(data[:len(data)-2]), bytes.Repeat(data[last:len(data)-2], 3000)...)
	start := time.Now()
	p := decode(t, many, nil)
	if p.Damage.Faults&OverBudget == 0 {
		t.Errorf("%v after %v", p.Damage.Faults, time.Since(start))
	}
	want := decode(t, data, nil).Image.(*image.Gray)
	got := decode(t, data, &Options{Budget: 400}).Image.(*image.Gray)
	off := 0
	for i, v := range want.Pix {
		off += max(int(v)-int(got.Pix[i]), int(got.Pix[i])-int(v))
	}
	if n := differing(want, got); n == 0 || off > 20*len(want.Pix) {
		t.Errorf("within the budget of a scan: %d samples differ, by %d in the mean", n, off/len(want.Pix))
	}
}

// fixtures returns the files of testdata.
func fixtures(tb testing.TB) map[string][]byte {
	tb.Helper()
	sharedtest.NeedTestdata(tb)
	names, err := filepath.Glob(filepath.Join("testdata", "*.jpg"))
	if err != nil || len(names) < 12 {
		tb.Fatalf("%d files in testdata, %v; want at least 12", len(names), err)
	}
	files := map[string][]byte{}
	for _, n := range names {
		if files[filepath.Base(n)], err = os.ReadFile(n); err != nil {
			tb.Fatal(err)
		}
	}
	return files
}

// Each file gives the same samples everywhere: at every size, in grey and in
// colour, whole, cut and with wrong bytes. testdata/golden.txt has the digests;
// JPEGDEC_GOLDEN=1 writes it again.
func TestGolden(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	files := fixtures(t)
	names, _ := filepath.Glob(filepath.Join("testdata", "*.jpg"))
	for _, n := range names {
		name := filepath.Base(n)
		data := files[name]
		broken := bytes.Clone(data)
		for i := len(data) / 3; i < len(data); i += len(data) / 5 {
			broken[i] ^= 0x55
		}
		for i, d := range [][]byte{data, data[:len(data)*3/4], broken} {
			h := sha256.New()
			for _, scale := range []int{1, 2, 4, 8} {
				for _, colour := range []bool{false, true} {
					p, err := Decode(context.Background(), d, &Options{Scale: scale, Colour: colour})
					if err != nil {
						fmt.Fprintln(h, err)
						continue
					}
					fmt.Fprintln(h, p.Header, p.Damage)
					b := p.Image.Bounds()
					for y := range b.Dy() {
						for x := range b.Dx() {
							fmt.Fprint(h, p.Image.At(x, y))
						}
					}
				}
			}
			fmt.Fprintf(&out, "%s %s %x\n", name, [...]string{"whole", "cut", "broken"}[i], h.Sum(nil)[:16])
		}
	}
	path := filepath.Join("testdata", "golden.txt")
	if os.Getenv("JPEGDEC_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != out.String() {
		t.Errorf("digests differ from %s:\n%s", path, out.String())
	}
}

// FuzzDecode: no bytes make decoding panic, and what is decoded has the size that
// the header states.
func FuzzDecode(f *testing.F) {
	for _, data := range fixtures(f) {
		f.Add(data, uint8(0))
		f.Add(data[:len(data)*2/3], uint8(5))
	}
	f.Fuzz(func(t *testing.T, data []byte, how uint8) {
		opts := &Options{Scale: 1 << (how & 3), Colour: how&4 != 0, MaxPixels: 1 << 18}
		p, err := Decode(context.Background(), data, opts)
		if err != nil {
			var (
				format      FormatError
				unsupported UnsupportedError
				size        *SizeError
			)
			if !errors.As(err, &format) && !errors.As(err, &unsupported) && !errors.As(err, &size) {
				t.Fatal(err)
			}
			return
		}
		h, err := ReadHeader(data)
		if err != nil || h.Width != p.Width || h.Height != p.Height {
			t.Fatalf("header %+v, %v; picture %+v", h, err, p.Header)
		}
		w, hh := ceil(p.Width, opts.Scale), ceil(p.Height, opts.Scale)
		if p.Image.Bounds() != image.Rect(0, 0, w, hh) || p.Damage.Share < 0 || p.Damage.Share > 1 || p.Damage.Coarse < 0 || p.Damage.Coarse > 1 {
			t.Fatalf("bounds %v, damage %+v", p.Image.Bounds(), p.Damage)
		}
		for _, at := range []image.Point{{0, 0}, {w - 1, 0}, {0, hh - 1}, {w - 1, hh - 1}} {
			p.Image.At(at.X, at.Y)
		}
		for _, r := range p.Damage.Missing {
			if r.Empty() || !r.In(image.Rect(0, 0, p.Width, p.Height)) {
				t.Fatalf("missing %v of %d × %d", r, p.Width, p.Height)
			}
		}
	})
}

// photos returns up to most of the photographs of the shared material.
func photos(tb testing.TB, most int) (files [][]byte) {
	tb.Helper()
	names, _ := filepath.Glob(filepath.Join(sharedtest.Path(tb, "photos"), "*.jpg"))
	if len(names) < 300 {
		tb.Fatalf("%d photos, want 300", len(names))
	}
	for i := 0; i < len(names); i += len(names) / most {
		data, err := os.ReadFile(names[i])
		if err != nil {
			tb.Fatal(err)
		}
		files = append(files, data)
	}
	return files
}

// On photographs, samples are at most 2 from those of image/jpeg.
func TestPhotos(t *testing.T) {
	t.Parallel()
	most := 300
	if testing.Short() {
		most = 30
	}
	for i, data := range photos(t, most) {
		want, err := jpeg.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		p := decode(t, data, nil)
		if p.Damage.Faults != 0 {
			t.Errorf("photo %d: %v", i, p.Damage.Faults)
		}
		g := p.Image.(*image.Gray)
		var w image.Gray
		switch m := want.(type) {
		case *image.Gray:
			w = *m
		case *image.YCbCr:
			w = image.Gray{Pix: m.Y, Stride: m.YStride, Rect: m.Rect}
		}
		for y := range g.Rect.Dy() {
			for x := range g.Rect.Dx() {
				if d := int(g.Pix[y*g.Stride+x]) - int(w.Pix[y*w.Stride+x]); d < -2 || d > 2 {
					t.Fatalf("photo %d: %d at %d, %d", i, d, x, y)
				}
			}
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	files := photos(b, 40)
	bench := func(name string, f func(data []byte) error) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			start := sharedtest.CPUTime()
			for b.Loop() {
				for _, data := range files {
					if err := f(data); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(sharedtest.CPUTime()-start)/float64(b.N)/1e6, "cpu-ms/op")
		})
	}
	bench("image-jpeg", func(data []byte) error { _, err := jpeg.Decode(bytes.NewReader(data)); return err })
	for _, o := range []Options{{}, {Scale: 2}, {Scale: 4}, {Scale: 8}, {Colour: true}} {
		name := fmt.Sprintf("luma-%d", max(1, o.Scale))
		if o.Colour {
			name = "colour"
		}
		bench(name, func(data []byte) error { _, err := Decode(context.Background(), data, &o); return err })
	}
}

// Coarsen gives what image/jpeg gives for a compressed picture.
func TestCoarsen(t *testing.T) {
	t.Parallel()
	for _, size := range []image.Point{{151, 113}, {64, 8}, {5, 7}} {
		// Not a decoded file: its coefficients lie half-way between quantizers.
		src := image.NewGray(image.Rectangle{Max: size})
		for i := range src.Pix {
			x, y := i%size.X, i/size.X
			src.Pix[i] = byte(30 + x + y/2 + x*x*7%31 + (x/17+y/13)%2*60)
		}
		for _, quality := range []int{5, 10, 40} {
			var file bytes.Buffer
			if err := jpeg.Encode(&file, src, &jpeg.Options{Quality: quality}); err != nil {
				t.Fatal(err)
			}
			want := decode(t, file.Bytes(), nil).Image.(*image.Gray)
			var got image.Gray
			Coarsen(&got, src, quality)
			if got.Rect != want.Rect {
				t.Fatalf("bounds %v, want %v", got.Rect, want.Rect)
			}
			sum := 0
			for y := range got.Rect.Dy() {
				for x := range got.Rect.Dx() {
					sum += max(int(got.GrayAt(x, y).Y)-int(want.GrayAt(x, y).Y), int(want.GrayAt(x, y).Y)-int(got.GrayAt(x, y).Y))
				}
			}
			if n := got.Rect.Dx() * got.Rect.Dy(); 3*sum > n { // where a coefficient lies half-way
				t.Errorf("%v, quality %d: %.3f levels from image/jpeg in the mean", size, quality, float64(sum)/float64(n))
			}
		}
	}
}

// End finds the end of the picture behind everything that viewers skip.
func TestEnd(t *testing.T) {
	t.Parallel()
	for name, data := range fixtures(t) {
		if n, ok := End(append(bytes.Clone(data), data...)); n != len(data) || !ok {
			t.Errorf("%s: end at %d of %d, %t", name, n, len(data), ok)
		}
		if n, ok := End(data[:len(data)-1]); ok {
			t.Errorf("%s without its end: end at %d", name, n)
		}
	}
}
