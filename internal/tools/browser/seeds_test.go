package browser_test

import (
	"bytes"
	"encoding/binary"
	"flag"
	"hash/crc32"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/image/bmp"

	"github.com/staydown/staydown/internal/tools/browser"
)

var update = flag.Bool("update", false, "draw the files of testdata again; needs cjpeg, cwebp, webpmux and avifenc")

// seeds are the small files whose bytes are changed: those that the standard library
// writes, and those of testdata, which -update draws.
func seeds(t *testing.T) map[string]browser.File {
	t.Helper()
	if *update {
		drawAgain(t)
	}
	m := scene(0)
	files := map[string]browser.File{
		"jpeg baseline": {Type: "image/jpeg", Data: jpegOf(t, m)},
		"png":           {Type: "image/png", Data: pngOf(t, m, png.DefaultCompression)},
		"png stored":    {Type: "image/png", Data: pngOf(t, shrunk(m), png.NoCompression)},
		"png palette":   {Type: "image/png", Data: pngOf(t, paletted(m), png.DefaultCompression)},
		"apng":          {Type: "image/png", Data: apng(t, shrunk(m), shrunk(scene(1)))},
		"gif":           {Type: "image/gif", Data: gifOf(t, m)},
		"gif animation": {Type: "image/gif", Data: gifOf(t, shrunk(m), shrunk(scene(1)))},
		"bmp":           {Type: "image/bmp", Data: bmpOf(t, shrunk(m))},
		"ico of png":    {Type: "image/x-icon", Data: ico(t, pngOf(t, shrunk(m), png.DefaultCompression), shrunk(m).Rect)},
	}
	for name, kind := range drawn {
		data, err := os.ReadFile(filepath.Join("testdata", kind.file))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = browser.File{Type: kind.media, Data: data}
	}
	return files
}

// drawn are the files of testdata, and the programs that make them of scene.png.
// %0 is the picture, %1 another one, %out the file.
var drawn = map[string]struct {
	file, media string
	commands    [][]string
}{
	"jpeg restart":             {"restart.jpg", "image/jpeg", [][]string{{"cjpeg", "-quality", "75", "-restart", "1", "-outfile", "%out", "%0"}}},
	"jpeg progressive":         {"progressive.jpg", "image/jpeg", [][]string{{"cjpeg", "-quality", "75", "-progressive", "-outfile", "%out", "%0"}}},
	"jpeg progressive restart": {"progressive-restart.jpg", "image/jpeg", [][]string{{"cjpeg", "-quality", "75", "-progressive", "-restart", "1", "-outfile", "%out", "%0"}}},
	"webp lossy":               {"lossy.webp", "image/webp", [][]string{{"cwebp", "-quiet", "-q", "75", "%0", "-o", "%out"}}},
	"webp lossless":            {"lossless.webp", "image/webp", [][]string{{"cwebp", "-quiet", "-lossless", "-near_lossless", "20", "%0", "-o", "%out"}}},
	"webp animation":           {"animation.webp", "image/webp", [][]string{{"img2webp", "-lossy", "-d", "100", "%0", "%1", "-o", "%out"}}},
	"avif":                     {"still.avif", "image/avif", [][]string{{"avifenc", "-s", "6", "--min", "24", "--max", "30", "%0", "%out"}}},
	"avif sequence":            {"sequence.avif", "image/avif", [][]string{{"avifenc", "-s", "6", "--min", "30", "--max", "36", "--fps", "5", "%0", "%1", "%out"}}},
}

func drawAgain(t *testing.T) {
	dir := t.TempDir()
	in := [2]string{filepath.Join(dir, "0.png"), filepath.Join(dir, "1.png")}
	for i, name := range in {
		if err := os.WriteFile(name, pngOf(t, scene(i), png.DefaultCompression), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, kind := range drawn {
		for _, command := range kind.commands {
			args := append([]string(nil), command...)
			for i, a := range args {
				switch a {
				case "%0":
					args[i] = in[0]
				case "%1":
					args[i] = in[1]
				case "%out":
					args[i] = filepath.Join("testdata", kind.file)
				}
			}
			if args[0] == "cjpeg" { // reads no PNG
				args[len(args)-1] = ppm(t, dir)
			}
			if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v: %s", name, err, out)
			}
		}
	}
}

func ppm(t *testing.T, dir string) string {
	m := scene(0)
	var b bytes.Buffer
	b.WriteString("P6\n192 144\n255\n")
	for i := 0; i < len(m.Pix); i += 4 {
		b.Write(m.Pix[i : i+3])
	}
	name := filepath.Join(dir, "0.ppm")
	if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// scene draws a picture with the spectrum of a photograph, and some objects.
func scene(number int) *image.NRGBA {
	const w, h = 192, 144
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	seed := uint32(number)*77 + 5
	random := func() float64 {
		seed = seed*1664525 + 1013904223
		return float64(seed>>8) / (1 << 24)
	}
	var planes [3][w * h]float64
	for p := range planes {
		strength := []float64{70, 30, 30}[p]
		for cell := 48; cell >= 3; cell /= 2 {
			columns := w/cell + 2
			grid := make([]float64, columns*(h/cell+2))
			for i := range grid {
				grid[i] = strength * (2*random() - 1)
			}
			for i := range planes[p] {
				x, y := i%w, i/w
				g := y/cell*columns + x/cell
				fx, fy := float64(x%cell)/float64(cell), float64(y%cell)/float64(cell)
				top := grid[g]*(1-fx) + grid[g+1]*fx
				bottom := grid[g+columns]*(1-fx) + grid[g+columns+1]*fx
				planes[p][i] += top*(1-fy) + bottom*fy
			}
			strength /= 2.2
		}
	}
	discs := make([][4]float64, 9)
	for i := range discs {
		discs[i] = [4]float64{w * random(), h * random(), 6 + 22*random(), 160 * (random() - 0.5)}
	}
	clamp := func(v float64) byte { return byte(math.Max(0, math.Min(255, v))) }
	for i := range w * h {
		x, y := float64(i%w), float64(i/w)
		l := 128 + planes[0][i]
		for _, d := range discs {
			if math.Hypot(x-d[0], y-d[1]) < d[2] {
				l += d[3]
			}
		}
		cb, cr := planes[1][i], planes[2][i]
		copy(m.Pix[4*i:], []byte{clamp(l + 1.4*cr), clamp(l - 0.34*cb - 0.71*cr), clamp(l + 1.77*cb), 255})
	}
	return m
}

// shrunk is half the picture each way, for formats that compress little.
func shrunk(m *image.NRGBA) *image.NRGBA {
	out := image.NewNRGBA(image.Rect(0, 0, m.Rect.Dx()/2, m.Rect.Dy()/2))
	for y := range out.Rect.Dy() {
		for x := range out.Rect.Dx() {
			out.SetNRGBA(x, y, m.NRGBAAt(2*x, 2*y))
		}
	}
	return out
}

func paletted(m image.Image) *image.Paletted {
	p := make(color.Palette, 0, 64)
	for i := range 64 {
		p = append(p, color.NRGBA{byte(i >> 4 * 85), byte(i >> 2 & 3 * 85), byte(i & 3 * 85), 255})
	}
	out := image.NewPaletted(m.Bounds(), p)
	draw.FloydSteinberg.Draw(out, out.Rect, m, m.Bounds().Min)
	return out
}

func jpegOf(t *testing.T, m image.Image) []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func pngOf(t *testing.T, m image.Image, level png.CompressionLevel) []byte {
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: level}).Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gifOf(t *testing.T, frames ...image.Image) []byte {
	var g gif.GIF
	for _, m := range frames {
		g.Image, g.Delay = append(g.Image, paletted(m)), append(g.Delay, 50)
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, &g); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func bmpOf(t *testing.T, m image.Image) []byte {
	var b bytes.Buffer
	if err := bmp.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// ico is an icon of one picture.
func ico(t *testing.T, picture []byte, r image.Rectangle) []byte {
	b := []byte{0, 0, 1, 0, 1, 0, byte(r.Dx()), byte(r.Dy()), 0, 0, 1, 0, 32, 0}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(picture)))
	b = binary.LittleEndian.AppendUint32(b, 22)
	return append(b, picture...)
}

// apng is an animation of frames of one size.
func apng(t *testing.T, frames ...image.Image) []byte {
	out := []byte("\x89PNG\r\n\x1a\n")
	chunk := func(kind string, data []byte) {
		out = binary.BigEndian.AppendUint32(out, uint32(len(data)))
		from := len(out)
		out = append(append(out, kind...), data...)
		out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[from:]))
	}
	numbers := func(list ...uint32) (b []byte) {
		for _, v := range list {
			b = binary.BigEndian.AppendUint32(b, v)
		}
		return b
	}
	sequence := uint32(0)
	for i, m := range frames {
		file := pngOf(t, m, png.DefaultCompression)[8:]
		for len(file) > 0 {
			n := binary.BigEndian.Uint32(file)
			kind, data := string(file[4:8]), file[8:8+n]
			file = file[12+n:]
			switch {
			case kind == "IHDR" && i == 0:
				chunk(kind, data)
				chunk("acTL", numbers(uint32(len(frames)), 0))
			case kind == "IHDR", kind == "IEND":
			case kind == "IDAT" && i > 0:
				chunk("fdAT", append(numbers(sequence), data...))
				sequence++
			default:
				chunk(kind, data)
			}
			if kind == "IHDR" {
				b := m.Bounds()
				control := numbers(sequence, uint32(b.Dx()), uint32(b.Dy()), 0, 0)
				chunk("fcTL", append(control, 0, 50, 0, 100, 0, 0))
				sequence++
			}
		}
	}
	chunk("IEND", nil)
	return out
}
