package phash_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/internal/sharedtest"
	"github.com/staydown/staydown/phash"
)

func pictureFile(tb testing.TB, name string) []byte {
	tb.Helper()
	sharedtest.NeedTestdata(tb)
	b, err := os.ReadFile(filepath.Join("testdata", "pictures", name))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// pictureFiles returns the names of the test pictures.
func pictureFiles(tb testing.TB) []string {
	tb.Helper()
	sharedtest.NeedTestdata(tb)
	names, err := filepath.Glob(filepath.Join("testdata", "pictures", "*.*"))
	if err != nil || len(names) < 30 {
		tb.Fatalf("%d test pictures, %v; want at least 30", len(names), err)
	}
	for i := range names {
		names[i] = filepath.Base(names[i])
	}
	return names
}

func mustDecode(tb testing.TB, data []byte) *phash.Picture {
	tb.Helper()
	p, err := phash.Decode(bytes.NewReader(data), nil)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func distance(tb testing.TB, a, b phash.Hash) int {
	tb.Helper()
	d, ok := a.Distance(b)
	if !ok {
		tb.Fatalf("%v and %v have no distance", a, b)
	}
	return d
}

// sceneHash is the hash of the scene that all test pictures show.
func sceneHash(tb testing.TB) phash.Hash {
	h, q := mustDecode(tb, pictureFile(tb, "rgb.png")).PDQ()
	if q != 100 {
		tb.Fatalf("quality of the scene is %d, want 100", q)
	}
	return h
}

// Every variety of file shows the same scene, upright.
func TestDecodeVarieties(t *testing.T) {
	t.Parallel()
	type variety struct {
		file   string
		format phash.Format
		bits   int // the hash may differ from the scene's by so many
		alpha  bool
	}
	tests := []variety{
		{"rgb.png", phash.FormatPNG, 0, false},
		{"interlaced.png", phash.FormatPNG, 0, false},
		{"rgb16.png", phash.FormatPNG, 0, false},
		{"grey.png", phash.FormatPNG, 2, false},
		{"grey16.png", phash.FormatPNG, 12, false},
		{"palette.png", phash.FormatPNG, 16, false},
		{"hole.png", phash.FormatPNG, 0, true}, // the colours below the hole count
		{"baseline.jpg", phash.FormatJPEG, 6, false},
		{"progressive.jpg", phash.FormatJPEG, 6, false},
		{"444.jpg", phash.FormatJPEG, 6, false},
		{"grey.jpg", phash.FormatJPEG, 6, false},
		{"cmyk.jpg", phash.FormatJPEG, 10, false},
		{"xmp-first.jpg", phash.FormatJPEG, 6, false},
		{"lossless.webp", phash.FormatWebP, 0, false},
		{"lossy.webp", phash.FormatWebP, 6, false},
		{"still.gif", phash.FormatGIF, 16, false},
		{"animated.gif", phash.FormatGIF, 10, false},
		{"animated.png", phash.FormatPNG, 0, false},
		{"animated.webp", phash.FormatWebP, 6, false},
	}
	for k := 2; k <= 8; k++ {
		for ext, f := range map[string]phash.Format{"jpg": phash.FormatJPEG, "png": phash.FormatPNG, "webp": phash.FormatWebP} {
			tests = append(tests, variety{fmt.Sprintf("exif%d.%s", k, ext), f, 6, false})
		}
	}
	want := sceneHash(t)
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			t.Parallel()
			p := mustDecode(t, pictureFile(t, tt.file))
			got := struct {
				Format        phash.Format
				Width, Height int
				Image         image.Point
				Luma          image.Rectangle
				Alpha         bool
			}{Format: p.Format(), Image: p.Image().Bounds().Size(), Luma: p.Luma().Bounds(), Alpha: p.HasAlpha()}
			got.Width, got.Height = p.Size()
			expect := got
			expect.Format, expect.Width, expect.Height, expect.Alpha = tt.format, 144, 104, tt.alpha
			expect.Image, expect.Luma = image.Pt(144, 104), image.Rect(0, 0, 144, 104)
			if d := cmp.Diff(expect, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
			h, q := p.PDQ()
			if d := distance(t, want, h); d > tt.bits || q < 90 {
				t.Errorf("%d bits from the scene, quality %d; want at most %d bits", d, q, tt.bits)
			}
			// What Image shows is what was hashed.
			again, _, err := phash.PDQ(p.Image())
			if err != nil {
				t.Fatal(err)
			}
			if d := distance(t, again, h); d > 4 {
				t.Errorf("the hash of Image() is %d bits from the picture's", d)
			}
		})
	}
}

// Alpha: PDQ takes the colours whatever their alpha; Luma, HashesToStore and HashesToAsk
// see the picture over white.
func TestAlpha(t *testing.T) {
	t.Parallel()
	scene := mustDecode(t, pictureFile(t, "grey.png"))
	want, _ := scene.PDQ()

	// All its colours are black, and the scene is in the alpha channel.
	p := mustDecode(t, pictureFile(t, "onlyalpha.png"))
	if h, q := p.PDQ(); q != 0 || h != phash.FromPDQ([32]byte{}) {
		t.Errorf("hash %v, quality %d of black colours; want no bits and 0", h, q)
	}
	near := false
	hs := phash.HashesToAsk(p)
	if h, _ := p.PDQ(); slices.Contains(hs, h) {
		t.Errorf("query with %v, the hash of black colours", h)
	}
	for _, h := range hs[:1] {
		near = near || distance(t, h, want) <= 8
	}
	if !near {
		t.Errorf("no query hash near the picture that is seen")
	}
	if ph, err := p.Perception(); err != nil {
		t.Error(err)
	} else if w, _ := scene.Perception(); distance(t, ph, w) > 4 {
		t.Errorf("perception hash %v, over white it is near %v", ph, w)
	}

	// A hole shows white.
	hole := mustDecode(t, pictureFile(t, "hole.png"))
	if v := hole.Luma().GrayAt(75, 50).Y; v != 255 {
		t.Errorf("luma of the hole is %d, want 255", v)
	}
	if v := scene.Luma().GrayAt(75, 50).Y; v == 255 {
		t.Fatal("the scene is white there anyway")
	}
	reg, err := phash.HashesToStore(hole, nil)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[phash.Edit]bool{}
	for _, v := range reg.Hashes {
		seen[v.Transform.Edit()] = true
	}
	// The hole shows what is not seen, and is the same over black.
	if seen[phash.WithoutAlpha] || !seen[phash.OverBlack] || len(reg.Hashes) > 16 {
		t.Errorf("%d hashes, views %v; want the one over black among at most 16, and not the colours", len(reg.Hashes), seen)
	}
	if reg.Reading != phash.ReadingWhite || !slices.Equal(reg.Differing, []phash.Reading{phash.ReadingColours}) {
		t.Errorf("registered %v, differing %v", reg.Reading, reg.Differing)
	}
}

func TestDecodeFrames(t *testing.T) {
	t.Parallel()
	scene := sceneHash(t)
	rgba := image.NewRGBA(image.Rect(0, 0, 144, 104))
	draw.Draw(rgba, rgba.Rect, mustDecode(t, pictureFile(t, "rgb.png")).Image(), image.Point{}, draw.Src)
	turned, _, err := phash.PDQ(mirrored(rgba))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"animated.gif", "animated.png", "animated.webp"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			var pics []*phash.Picture
			for p, err := range phash.DecodeFrames(bytes.NewReader(pictureFile(t, file)), nil) {
				if err != nil {
					t.Fatal(err)
				}
				pics = append(pics, p)
			}
			if len(pics) != 3 {
				t.Fatalf("%d frames, want 3", len(pics))
			}
			h0, _ := pics[0].PDQ()
			h1, _ := pics[1].PDQ()
			if d := distance(t, h0, scene); d > 10 {
				t.Errorf("frame 0 is %d bits from the scene", d)
			}
			if d := distance(t, h1, turned); d > 16 {
				t.Errorf("frame 1 is %d bits from the mirrored scene", d)
			}
			// The last frame is drawn over what the one before left.
			r, g, b, _ := pics[2].Image().At(30, 30).RGBA()
			if r>>8 < 200 || g>>8 > 60 || b>>8 > 60 {
				t.Errorf("frame 2 shows %d %d %d at the red square", r>>8, g>>8, b>>8)
			}
			for _, at := range []image.Point{{100, 20}, {20, 80}, {130, 90}} {
				w := color.NRGBAModel.Convert(pics[1].Image().At(at.X, at.Y)).(color.NRGBA)
				g := color.NRGBAModel.Convert(pics[2].Image().At(at.X, at.Y)).(color.NRGBA)
				if d := absDiff(w.R, g.R) + absDiff(w.G, g.G) + absDiff(w.B, g.B); d > 60 {
					t.Errorf("frame 2 shows %v at %v, frame 1 %v", g, at, w)
				}
			}

			// A limit ends the sequence with an error, behind the frames that are given.
			n := 0
			var last error
			for _, err := range phash.DecodeFrames(bytes.NewReader(pictureFile(t, file)), &phash.DecodeOptions{MaxFrames: 2}) {
				if last = err; err == nil {
					n++
				}
			}
			var left *phash.LeftOutError
			if n != 2 || !errors.As(last, &left) || left.LeftOut != 1 || !errors.Is(last, phash.ErrTooLarge) {
				t.Errorf("limit: %d frames and %v, want 2 and one left out", n, last)
			}
		})
	}
}

func absDiff(a, b byte) int { return max(int(a), int(b)) - min(int(a), int(b)) }

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	failing := errors.New("connection lost")
	jpg := pictureFile(t, "baseline.jpg")
	tests := []struct {
		name   string
		data   io.Reader
		opts   *phash.DecodeOptions
		reason error
		format phash.Format
		text   string
	}{
		{"empty", strings.NewReader(""), nil, phash.ErrFormat, phash.FormatUnknown, "no bytes"},
		{"text", strings.NewReader("<html>"), nil, phash.ErrFormat, phash.FormatUnknown, `"<html>"`},
		{"AVIF", strings.NewReader("\x00\x00\x00\x1cftypavif\x00\x00\x00\x00avifmif1"), nil, phash.ErrUnsupported, phash.FormatAVIF, "AVIF"},
		{"AVIF by a compatible brand", strings.NewReader("\x00\x00\x00\x1cftypmif1\x00\x00\x00\x00mif1avif"), nil, phash.ErrUnsupported, phash.FormatAVIF, "AVIF"},
		{"AVIF sequence", strings.NewReader("\x00\x00\x00\x1cftypavis\x00\x00\x00\x00"), nil, phash.ErrUnsupported, phash.FormatAVIF, "AVIF"},
		{"HEIC", strings.NewReader("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"), nil, phash.ErrUnsupported, phash.FormatHEIC, "HEIC"},
		{"HEIF without a named codec", strings.NewReader("\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1heic"), nil, phash.ErrUnsupported, phash.FormatHEIC, "HEIC"},
		{"JPEG XL codestream", strings.NewReader("\xff\x0a\x00\x10"), nil, phash.ErrUnsupported, phash.FormatJPEGXL, "JPEG XL"},
		{"JPEG XL container", strings.NewReader("\x00\x00\x00\x0cJXL \r\n\x87\n"), nil, phash.ErrUnsupported, phash.FormatJPEGXL, "JPEG XL"},
		{"TIFF", strings.NewReader("II*\x00\x08\x00\x00\x00"), nil, phash.ErrUnsupported, phash.FormatTIFF, "TIFF"},
		{"BMP of an unknown kind", strings.NewReader("BM" + strings.Repeat("\x00", 12) + "\x28\x00\x00\x00" + strings.Repeat("\x01\x00\x00\x00", 9)), nil, phash.ErrUnsupported, phash.FormatBMP, "depth 0"},
		{"SVG of a drawing", strings.NewReader("<svg><path/></svg>"), nil, phash.ErrUnsupported, phash.FormatSVG, "no pictures"},
		{"bytes", bytes.NewReader(jpg), &phash.DecodeOptions{MaxBytes: int64(len(jpg)) - 1}, phash.ErrTooLarge, phash.FormatJPEG, "bytes"},
		{"pixels", bytes.NewReader(jpg), &phash.DecodeOptions{MaxPixels: 144*104 - 1}, phash.ErrTooLarge, phash.FormatJPEG, "144 × 104"},
		{"scans", bytes.NewReader(manyScans(t)), nil, phash.ErrTooLarge, phash.FormatJPEG, "work"},
		{"arithmetic coding", bytes.NewReader(bytes.Replace(jpg, []byte{0xff, 0xc0}, []byte{0xff, 0xc9}, 1)), nil, phash.ErrUnsupported, phash.FormatJPEG, ""},
		{"cut", bytes.NewReader(jpg[:len(jpg)/2]), nil, phash.ErrCorrupt, phash.FormatJPEG, ""},
		{"cut within the header", bytes.NewReader(jpg[:200]), nil, phash.ErrCorrupt, phash.FormatJPEG, ""},
		{"PNG cut", bytes.NewReader(pictureFile(t, "rgb.png")[:2000]), nil, phash.ErrCorrupt, phash.FormatPNG, ""},
		{"PNG without anything", strings.NewReader("\x89PNG\r\n\x1a\n"), nil, phash.ErrCorrupt, phash.FormatPNG, "IHDR"},
		{"GIF without anything", strings.NewReader("GIF89a"), nil, phash.ErrCorrupt, phash.FormatGIF, ""},
		{"WebP without anything", strings.NewReader("RIFF\x04\x00\x00\x00WEBP"), nil, phash.ErrCorrupt, phash.FormatWebP, ""},
		{"reader fails", io.MultiReader(bytes.NewReader(jpg[:100]), iotest.ErrReader(failing)), nil, failing, phash.FormatUnknown, "connection lost"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, err := phash.Decode(tt.data, tt.opts)
			if err == nil {
				t.Fatalf("a picture: %v", p.Image().Bounds())
			}
			if !errors.Is(err, tt.reason) || !strings.Contains(err.Error(), tt.text) || !strings.HasPrefix(err.Error(), "phash: ") {
				t.Errorf("error %q, want one that wraps %q and says %q", err, tt.reason, tt.text)
			}
			var d *phash.DecodeError
			if errors.As(err, &d) != (tt.reason != failing) {
				t.Errorf("error of type %T", err)
			} else if d != nil && d.Format != tt.format {
				t.Errorf("format %v, want %v", d.Format, tt.format)
			}
		})
	}
}

// manyScans returns a progressive JPEG with its last scan repeated.
func manyScans(tb testing.TB) []byte {
	data := pictureFile(tb, "progressive.jpg")
	i := bytes.LastIndex(data, []byte{0xff, 0xda})
	end := len(data) - 2
	return append(data[:i:i], append(bytes.Repeat(data[i:end], 600), 0xff, 0xd9)...)
}

// A decoder of the caller gets the bytes and the limit, and is held to it.
func TestDecodeByCaller(t *testing.T) {
	t.Parallel()
	const file = "\x00\x00\x00\x1cftypavif\x00\x00\x00\x00avifmif1"
	var gotData string
	var gotLimit int64
	var give image.Image
	var fail error
	opts := &phash.DecodeOptions{MaxPixels: 1000, Decoders: map[phash.Format]phash.Decoder{
		phash.FormatAVIF: func(data []byte, maxPixels int64) (image.Image, error) {
			gotData, gotLimit = string(data), maxPixels
			if fail == nil && give == nil {
				panic("a bug in it")
			}
			return give, fail
		},
	}}
	decode := func() (*phash.Picture, error) { return phash.Decode(strings.NewReader(file), opts) }

	give = formulaImage(20, 30, func(x, y int) int { return x * y })
	p, err := decode()
	if err != nil {
		t.Fatal(err)
	}
	if w, h := p.Size(); w != 20 || h != 30 || p.Format() != phash.FormatAVIF || gotData != file || gotLimit != 1000 {
		t.Errorf("%d × %d %v from %q within %d", w, h, p.Format(), gotData, gotLimit)
	}
	for _, tt := range []struct {
		name   string
		give   image.Image
		fail   error
		reason error
	}{
		{"larger than allowed", image.NewGray(image.Rect(0, 0, 50, 21)), nil, phash.ErrTooLarge},
		{"empty", image.NewGray(image.Rect(0, 0, 0, 21)), nil, phash.ErrCorrupt},
		{"says too large", nil, fmt.Errorf("big: %w", phash.ErrTooLarge), phash.ErrTooLarge},
		{"fails", nil, io.ErrUnexpectedEOF, phash.ErrCorrupt},
		{"panics", nil, nil, phash.ErrCorrupt},
	} {
		give, fail = tt.give, tt.fail
		if _, err := decode(); !errors.Is(err, tt.reason) {
			t.Errorf("%s: error %v, want %v", tt.name, err, tt.reason)
		}
	}
}

// Files that are cut off, and files with flipped bits, give a picture or a
// typed error, whatever their format.
func TestDecodeDamaged(t *testing.T) {
	t.Parallel()
	steps := 30
	if testing.Short() {
		steps = 10
	}
	opts := &phash.DecodeOptions{MaxPixels: 1 << 20, AcceptTruncated: true}
	for _, file := range pictureFiles(t) {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			data := pictureFile(t, file)
			try := func(what string, b []byte) {
				for p, err := range phash.DecodeFrames(bytes.NewReader(b), opts) {
					var d *phash.DecodeError
					switch {
					case err == nil:
						phash.HashesToAsk(p)
					case !errors.As(err, &d):
						t.Fatalf("%s: %v is not a DecodeError", what, err)
					case strings.Contains(d.Detail, "panicked"):
						t.Fatalf("%s: %v", what, err)
					}
				}
			}
			for i := range steps {
				n := len(data) * i / steps
				try(fmt.Sprintf("cut at %d", n), data[:n])
			}
			for n := range min(64, len(data)) {
				try(fmt.Sprintf("cut at %d", n), data[:n])
			}
			rng := rand.New(rand.NewPCG(1, uint64(len(data))))
			for range steps {
				b := bytes.Clone(data)
				at := rng.IntN(8 * len(b))
				if rng.IntN(2) == 0 {
					at = rng.IntN(8 * min(200, len(b))) // headers
				}
				b[at/8] ^= 1 << (at % 8)
				try(fmt.Sprintf("bit %d flipped", at), b)
			}
		})
	}
}

// A JPEG whose end marker was cut off, or that has junk behind it, is the same
// picture: two missing bytes must not hide it.
func TestDecodeEndMarker(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"baseline.jpg", "progressive.jpg", "cmyk.jpg"} {
		data := pictureFile(t, file)
		want, _ := mustDecode(t, data).PDQ()
		for what, b := range map[string][]byte{
			"end cut off":      data[:len(data)-2],
			"half the end":     data[:len(data)-1],
			"junk behind":      append(bytes.Clone(data), "junk \xff\xda\x00\xff\xd8"...),
			"a second picture": append(bytes.Clone(data), pictureFile(t, "grey.jpg")...),
		} {
			p, err := phash.Decode(bytes.NewReader(b), nil)
			if err != nil {
				t.Errorf("%s, %s: %v", file, what, err)
				continue
			}
			if got, _ := p.PDQ(); got != want {
				t.Errorf("%s, %s: %d bits from the whole file", file, what, distance(t, got, want))
			}
		}
	}
}

// A JPEG that is cut off is looked up by what is left of it, and not registered.
func TestDecodeTruncated(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"baseline.jpg", "progressive.jpg", "444.jpg", "grey.jpg", "cmyk.jpg", "exif6.jpg"} {
		data := pictureFile(t, file)
		whole := mustDecode(t, data)
		want, _ := whole.PDQ()
		for _, percent := range []int{99, 95, 90, 50, 30} {
			cut := data[:len(data)*percent/100]
			if _, err := phash.Decode(bytes.NewReader(cut), nil); !errors.Is(err, phash.ErrCorrupt) {
				t.Errorf("%s, %d %%, not to be accepted: %v, want ErrCorrupt", file, percent, err)
			}
			p, err := phash.Decode(bytes.NewReader(cut), &phash.DecodeOptions{AcceptTruncated: true})
			if err != nil {
				if percent >= 50 {
					t.Errorf("%s, %d %%: %v", file, percent, err)
				}
				continue // the cut is in the header
			}
			got, _ := p.PDQ()
			if d := distance(t, got, want); percent >= 95 && d > phash.BlockRadius {
				t.Errorf("%s, %d %%: %d bits from the whole file", file, percent, d)
			}
			_, err = phash.HashesToStore(p, nil)
			var refused *phash.RefusedError
			if !p.Truncated() || whole.Truncated() || !errors.As(err, &refused) || refused.Reason != phash.RefusedTruncated {
				t.Errorf("%s, %d %%: truncated %v, whole file %v, registered: %v", file, percent, p.Truncated(), whole.Truncated(), err)
			}
		}
	}
}

// Small files that claim to be huge are refused before anything of that size is
// allocated, or decoded reduced, as far as the work for one file allows.
func TestDecodeBombs(t *testing.T) {
	be, le := binary.BigEndian, binary.LittleEndian
	patched := func(file string, patch func(b []byte)) []byte {
		b := pictureFile(t, file)
		patch(b)
		return b
	}
	pngSize := func(b []byte, w, h uint32) {
		be.PutUint32(b[16:], w)
		be.PutUint32(b[20:], h)
		be.PutUint32(b[29:], crc32.ChecksumIEEE(b[12:29]))
	}
	sof := func(b []byte, w, h uint16) {
		i := max(bytes.Index(b, []byte{0xff, 0xc0}), bytes.Index(b, []byte{0xff, 0xc2}))
		be.PutUint16(b[i+5:], h)
		be.PutUint16(b[i+7:], w)
	}
	tests := []struct {
		name string
		data []byte
	}{
		{"PNG 2^31 × 2^31", patched("rgb.png", func(b []byte) { pngSize(b, 1<<31-1, 1<<31-1) })},
		{"PNG 2^32 × 2^32", patched("rgb.png", func(b []byte) { pngSize(b, 1<<32-1, 1<<32-1) })},
		{"PNG 1 × 2^31", patched("rgb.png", func(b []byte) { pngSize(b, 1, 1<<31-1) })},
		{"PNG 0 × 100", patched("rgb.png", func(b []byte) { pngSize(b, 0, 100) })},
		{"interlaced PNG", patched("interlaced.png", func(b []byte) { pngSize(b, 60000, 60000) })},
		{"JPEG", patched("baseline.jpg", func(b []byte) { sof(b, 65535, 65535) })},
		{"progressive JPEG", patched("progressive.jpg", func(b []byte) { sof(b, 65535, 65535) })},
		{"CMYK JPEG", patched("cmyk.jpg", func(b []byte) { sof(b, 65535, 65535) })},
		{"GIF screen", patched("still.gif", func(b []byte) { le.PutUint32(b[6:], 1<<32-1) })},
		{"GIF frame", patched("still.gif", func(b []byte) {
			i := len(gifHead(b)) + bytes.IndexByte(b[len(gifHead(b)):], 0x2c)
			le.PutUint32(b[i+5:], 1<<32-1)
		})},
		{"WebP VP8", patched("lossy.webp", func(b []byte) { le.PutUint32(b[26:], 0x3fff3fff) })},
		{"WebP VP8L", patched("lossless.webp", func(b []byte) { le.PutUint32(b[21:], 0x0fffffff) })},
		{"WebP canvas", patched("hole.webp", func(b []byte) { copy(b[24:], "\xff\xff\xff\xff\xff\xff") })},
		{"WebP canvas with a small picture", patched("hole.webp", func(b []byte) { copy(b[24:], "\xff\x7f\x00\xff\x7f\x00") })},
		{"animated WebP canvas", patched("animated.webp", func(b []byte) { copy(b[24:], "\xff\xff\xff\xff\xff\xff") })},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			p, err := phash.Decode(bytes.NewReader(tt.data), nil)
			runtime.ReadMemStats(&after)
			most := uint64(4 << 20)
			switch {
			case err == nil && p.Luma().Bounds() == image.Rect(0, 0, 144, 104): // the size that is wrong does no harm
			case err == nil:
				t.Fatalf("a picture: %v", p.Image().Bounds())
			case !errors.Is(err, phash.ErrTooLarge) && !errors.Is(err, phash.ErrCorrupt):
				t.Errorf("error %v", err)
			}
			if strings.HasPrefix(tt.name, "WebP VP8") { // of a size that browsers show
				most = 250 << 20
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > most {
				t.Errorf("%d bytes allocated for a file of %d", n, len(tt.data))
			}
		})
	}

	// A file of very many frames is not taken apart to its end.
	still := pictureFile(t, "still.gif")
	head := gifHead(still)
	frame := "\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00" // one pixel
	many := append(bytes.Clone(head), strings.Repeat(frame, 600_000)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n, last := 0, error(nil)
	for _, err := range phash.DecodeFrames(bytes.NewReader(many), &phash.DecodeOptions{MaxPixels: 1 << 40, MaxFrames: 20}) {
		n, last = n+1, err
	}
	runtime.ReadMemStats(&after)
	if n != 2 || !errors.Is(last, phash.ErrTooLarge) { // all are equal
		t.Errorf("very many frames: %d, then %v; want 1 and ErrTooLarge", n-1, last)
	}
	if a := after.TotalAlloc - before.TotalAlloc; a > 80<<20 {
		t.Errorf("very many frames: %d bytes allocated for a file of %d", a, len(many))
	}

	// The longest reader is not read further than the limit.
	r := &countingReader{}
	if _, err := phash.Decode(r, nil); !errors.Is(err, phash.ErrTooLarge) && !errors.Is(err, phash.ErrFormat) {
		t.Errorf("endless reader: %v", err)
	}
	if r.n > phash.DefaultMaxBytes+1<<20 {
		t.Errorf("%d bytes read", r.n)
	}
}

// gifHead returns the header of a GIF with its colour table.
func gifHead(b []byte) []byte { return b[:13+3<<(b[10]&7+1)] }

type countingReader struct{ n int64 }

func (r *countingReader) Read(b []byte) (int, error) {
	r.n += int64(len(b))
	return len(b), nil
}

// A picture of pixels that were decoded elsewhere.
func TestNewPicture(t *testing.T) {
	t.Parallel()
	for _, img := range []image.Image{nil, image.NewGray(image.Rectangle{}), image.NewRGBA(image.Rect(3, 3, 3, 9))} {
		if _, err := phash.NewPicture(img); !errors.Is(err, phash.ErrNoPixels) {
			t.Errorf("%v: error %v, want ErrNoPixels", img, err)
		}
		if _, _, err := phash.PDQ(img); !errors.Is(err, phash.ErrNoPixels) {
			t.Errorf("PDQ of %v: error %v, want ErrNoPixels", img, err)
		}
		if _, err := phash.Perception(img); !errors.Is(err, phash.ErrNoPixels) {
			t.Errorf("Perception of %v: error %v, want ErrNoPixels", img, err)
		}
	}
	if _, err := phash.NewPicture(image.NewUniform(color.White)); !errors.Is(err, phash.ErrTooLarge) {
		t.Errorf("image.Uniform: %v, want ErrTooLarge", err)
	}
}

// The picture types of the standard library give the same hash for the same
// colours, also as parts of larger pictures with odd bounds.
func TestImageTypes(t *testing.T) {
	t.Parallel()
	src := mustDecode(t, pictureFile(t, "rgb.png")).Image()
	want, wantQ, err := phash.PDQ(src)
	if err != nil {
		t.Fatal(err)
	}
	grey := mustDecode(t, pictureFile(t, "grey.png")).Image()
	wantGrey, _, _ := phash.PDQ(grey)
	b := src.Bounds()
	type drawable interface {
		image.Image
		Set(x, y int, c color.Color)
		SubImage(image.Rectangle) image.Image
	}
	at := image.Rect(7, -5, 7+b.Dx(), -5+b.Dy())
	big := image.Rect(-10, -20, 300, 200)
	for _, dst := range []drawable{
		image.NewNRGBA(big), image.NewRGBA(big), image.NewNRGBA64(big), image.NewRGBA64(big), image.NewGray(big), image.NewGray16(big),
	} {
		from, expect := src, want
		switch dst.(type) {
		case *image.Gray, *image.Gray16:
			from, expect = grey, wantGrey
		}
		for y := range b.Dy() {
			for x := range b.Dx() {
				dst.Set(at.Min.X+x, at.Min.Y+y, from.At(b.Min.X+x, b.Min.Y+y))
			}
		}
		for name, img := range map[string]image.Image{"": dst.SubImage(at), " behind an interface": struct{ image.Image }{dst.SubImage(at)}} {
			got, q, err := phash.PDQ(img)
			if err != nil || got != expect || q != wantQ && from == src {
				t.Errorf("%T%s: %v, quality %d, %v; want %v, %d", dst, name, got, q, err, expect, wantQ)
			}
		}
	}
}

// FuzzDecode: no bytes make decoding panic or allocate beyond the limits, and
// whatever is decoded can be looked up and registered.
func FuzzDecode(f *testing.F) {
	for _, name := range pictureFiles(f) {
		f.Add(pictureFile(f, name))
	}
	f.Add([]byte("\x00\x00\x00\x1cftypavif\x00\x00\x00\x00avifmif1"))
	f.Add([]byte("\xff\x0a"))
	f.Add([]byte("RIFF\x04\x00\x00\x00WEBP"))
	opts := &phash.DecodeOptions{MaxBytes: 1 << 20, MaxPixels: 1 << 18, MaxFrames: 8, AcceptTruncated: true}
	f.Fuzz(func(t *testing.T, data []byte) {
		n := 0
		for p, err := range phash.DecodeFrames(bytes.NewReader(data), opts) {
			if n++; n > opts.MaxFrames+1 {
				t.Fatalf("%d frames", n)
			}
			if err != nil {
				var d *phash.DecodeError
				var left *phash.LeftOutError
				if !errors.As(err, &left) && (!errors.As(err, &d) || strings.Contains(d.Detail, "panicked")) {
					t.Fatal(err)
				}
				continue
			}
			w, h := p.Size()
			if int64(w)*int64(h) > opts.MaxPixels || w <= 0 || h <= 0 {
				t.Fatalf("%d × %d", w, h)
			}
			if p.Luma().Bounds() != image.Rect(0, 0, w, h) || p.Image().Bounds().Size() != image.Pt(w, h) {
				t.Fatalf("luma %v, image %v of %d × %d", p.Luma().Bounds(), p.Image().Bounds(), w, h)
			}
			phash.HashesToAsk(p)
			reg, err := phash.HashesToStore(p, &phash.StoreOptions{AllAlgorithms: true})
			if err == nil && (len(reg.Hashes) < 1 || len(reg.Hashes) > 16+8*(phash.NumAlgorithms-2)) {
				t.Fatalf("%d hashes", len(reg.Hashes))
			}
		}
		if n == 0 {
			t.Fatal("neither a picture nor an error")
		}
	})
}

// encode helpers for the tests of other files
func encodeJPEG(tb testing.TB, img image.Image, quality int) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func encodePNG(tb testing.TB, img image.Image) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}
