package phash_test

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/corona10/goimagehash"
	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/internal/sharedtest"
	"github.com/staydown/staydown/phash"
)

// The hashes that suites of the reference publish for its files, within the
// tolerance that each states.
func TestPDQPublished(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("decodes 60 photographs")
	}
	dir := sharedtest.Path(t, "pdq")
	rows := readCSV(t, filepath.Join(dir, "derived", "published-expected.csv"))
	// Why a row is not for the full-size pipeline from the file.
	skip := func(row map[string]string) string {
		switch {
		case strings.HasPrefix(row["source"], "pdq/wasm"):
			return "of the pipeline that first resizes to 512 × 512"
		case strings.HasSuffix(row["file"], "I16.png"):
			return "depends on how 16-bit grey is narrowed"
		}
		return ""
	}
	// What the JPEG decoders differ by: image/jpeg against libjpeg. Upstream's
	// own rule for a port is 10 bits at quality 80 and more.
	const decoder = 10
	done := 0
	for _, row := range rows {
		if skip(row) != "" {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, "upstream", row["file"]))
		if errors.Is(err, os.ErrNotExist) {
			continue // deleted upstream
		}
		if err != nil {
			t.Fatal(err)
		}
		tolerance, err := strconv.Atoi(row["tolerance_bits"])
		if err != nil {
			t.Fatal(err)
		}
		if phash.Sniff(data) == phash.FormatJPEG {
			tolerance += decoder
		}
		h, q := mustDecode(t, data).PDQ()
		if q < phash.QualityFloor && tolerance > 0 {
			continue // small.jpg, and JPEG qualities 3 and 4: noise
		}
		if strings.Contains(row["file"], "q0003") || strings.Contains(row["file"], "q0004") {
			tolerance = 32 // compressed so strongly that the decoders' last bits count
		}
		if d := distance(t, h, phash.MustParse(row["hash"])); d > tolerance {
			t.Errorf("%s of %s: %d bits from %s, %d are allowed", row["file"], row["source"], d, row["hash"], tolerance)
		}
		if row["quality"] != "" && row["quality"] != strconv.Itoa(q) {
			t.Errorf("%s of %s: quality %d, want %s", row["file"], row["source"], q, row["quality"])
		}
		done++
	}
	if done < 38 {
		t.Errorf("only %d rows were compared", done)
	}
}

// A JPEG's own luma plane stands for its colours: on the development photos the
// hashes are at most 2 bits apart, and equal for four of five. A sample; all 300 with
// STAYDOWN_LONG=1.
func TestPDQLumaPlane(t *testing.T) {
	t.Parallel()
	got := map[int]int{}
	for _, f := range sharedtest.Sample(t, photoFiles(t), 30) {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		p := mustDecode(t, data)
		own, _ := p.PDQ()
		rgba := image.NewRGBA(p.Image().Bounds())
		draw.Draw(rgba, rgba.Rect, p.Image(), rgba.Rect.Min, draw.Src)
		rgb, _, err := phash.PDQ(rgba)
		if err != nil {
			t.Fatal(err)
		}
		d := distance(t, own, rgb)
		if got[d]++; d > 2 {
			t.Errorf("%s: %d bits", filepath.Base(f), d)
		}
	}
	t.Logf("photos by bits: %v", got)
	if want := map[int]int{0: 256, 2: 44}; sharedtest.Long() && !cmp.Equal(want, got) {
		t.Errorf("photos by bits (-want +got)\n%s", cmp.Diff(want, got))
	}
}

func photo(w, h int) *phash.Picture {
	p, err := phash.NewPicture(scene(w, h))
	if err != nil {
		panic(err)
	}
	return p
}

// A registration finds turned, cropped, tilted and bordered copies, and tells
// by its kind what was done to them.
func TestRegisterFinds(t *testing.T) {
	t.Parallel()
	src := scene(640, 480)
	reg := map[phash.Level]phash.Registration{}
	for _, l := range []phash.Level{phash.LevelDefault, phash.LevelWide} {
		r, err := phash.HashesToStore(photo(640, 480), &phash.StoreOptions{Level: l})
		if err != nil {
			t.Fatal(err)
		}
		reg[l] = r
	}
	crop := func(x0, y0, x1, y1 int) image.Image {
		return src.SubImage(image.Rect(640*x0/1000, 480*y0/1000, 640*x1/1000, 480*y1/1000))
	}
	framed := func(l, tp, r, b int, c color.Color) image.Image {
		m := image.NewRGBA(image.Rect(0, 0, 640+l+r, 480+tp+b))
		draw.Draw(m, m.Rect, image.NewUniform(c), image.Point{}, draw.Src)
		draw.Draw(m, image.Rect(l, tp, l+640, tp+480), src, image.Point{}, draw.Src)
		return m
	}
	tests := []struct {
		name  string
		img   image.Image
		level phash.Level
		kind  string
	}{
		{"as it is", src, 0, "whole"},
		{"smaller", scene(200, 150), 0, "whole"},
		{"mirrored", mirrored(src), 0, "whole+mirrored"},
		{"crop 7 %", crop(35, 35, 965, 965), 0, "crop7"},
		{"crop 5 %", crop(25, 25, 975, 975), 0, ""},
		{"top left stays", crop(0, 0, 960, 960), 0, "topleft4"},
		{"top right stays", crop(40, 0, 1000, 960), 0, "topright4"},
		{"bottom left stays", crop(0, 40, 960, 1000), 0, "bottomleft4"},
		{"bottom right stays", crop(40, 40, 1000, 1000), 0, "bottomright4"},
		{"black bars", framed(0, 80, 0, 80, color.Black), 0, "whole"},
		{"coloured frame", framed(31, 31, 31, 31, color.RGBA{200, 90, 40, 255}), 0, "whole"},
		{"frame in bars", framed(0, 60, 0, 0, color.White), 0, "whole"},
		{"crop 20 %, mirrored", mirrored(toRGBA(crop(100, 100, 900, 900))), phash.LevelWide, "crop20+mirrored"},
		{"square", crop(125, 0, 875, 1000), phash.LevelWide, "square"},
		{"tilted", tilted(src, 1.5), 0, "tiltright"},
		{"tilted back", tilted(src, -1.5), 0, "tiltleft"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := mustDecode(t, encodeJPEG(t, tt.img, 70))
			best, kind := 256, phash.Transform(0)
			for _, q := range phash.HashesToAsk(p) {
				for _, v := range reg[tt.level].Hashes {
					if d := distance(t, q, v.Hash); d < best {
						best, kind = d, v.Transform
					}
				}
			}
			if best > phash.BlockRadius*2/3 || tt.kind != "" && kind.String() != tt.kind {
				t.Errorf("nearest is %v at %d bits, want %s at most %d", kind, best, tt.kind, phash.BlockRadius*2/3)
			}
		})
	}
}

// tilted turns m by a small angle, clockwise, on a canvas that holds it; its
// edges are drawn out.
func tilted(m *image.RGBA, degrees float64) *image.RGBA {
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	w, h := float64(m.Rect.Dx()), float64(m.Rect.Dy())
	tw, th := w*cos+h*math.Abs(sin), w*math.Abs(sin)+h*cos
	n := image.NewRGBA(image.Rect(0, 0, int(tw), int(th)))
	for y := range n.Rect.Dy() {
		for x := range n.Rect.Dx() {
			u, v := float64(x)+0.5-tw/2, float64(y)+0.5-th/2
			sx, sy := u*cos+v*sin+w/2, v*cos-u*sin+h/2
			n.SetRGBA(x, y, m.RGBAAt(int(min(max(sx, 0), w-1)), int(min(max(sy, 0), h-1))))
		}
	}
	return n
}

func toRGBA(img image.Image) *image.RGBA {
	b := img.Bounds()
	m := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	draw.Draw(m, m.Rect, img, b.Min, draw.Src)
	return m
}

func TestRegistration(t *testing.T) {
	t.Parallel()
	p := photo(640, 480)
	own, q := p.PDQ()
	for l, most := range map[phash.Level]int{phash.LevelDefault: 16, phash.LevelWide: 48} {
		r, err := phash.HashesToStore(p, &phash.StoreOptions{Level: l, AllAlgorithms: true})
		if err != nil {
			t.Fatal(err)
		}
		if r.Hashes[0] != (phash.StoredHash{Hash: own}) || r.Quality != q || r.Stability < 0 || r.Stability > phash.StabilityLimit {
			t.Errorf("%v: first %v, quality %d, stability %d; want %v and %d", l, r.Hashes[0], r.Quality, r.Stability, own, q)
		}
		seen := map[phash.Hash]bool{}
		n := map[phash.Algorithm]int{}
		for _, v := range r.Hashes {
			if seen[v.Hash] {
				t.Errorf("%v: %v twice", l, v)
			}
			seen[v.Hash] = true
			n[v.Hash.Algorithm()]++
			if !v.Hash.Plausible() {
				t.Errorf("%v: %v has %d ones", l, v, v.Hash.OnesCount())
			}
		}
		if n[phash.AlgPDQ] > most || n[phash.AlgPDQ] < most-6 || n[phash.AlgPerception] != 8 {
			t.Errorf("%v: %v hashes, want at most %d and 8", l, n, most)
		}
	}
	if _, err := phash.HashesToStore(p, &phash.StoreOptions{Level: 9}); err == nil {
		t.Error("level 9 is accepted")
	}
}

// The perception hashes of a registration are goimagehash's of turned files.
func TestPerceptionOrientations(t *testing.T) {
	t.Parallel()
	src := scene(400, 300)
	p, _ := phash.NewPicture(src)
	r, err := phash.HashesToStore(p, &phash.StoreOptions{AllAlgorithms: true})
	if err != nil {
		t.Fatal(err)
	}
	turned := map[phash.Orientation]image.Image{phash.Upright: src, phash.Mirrored: mirrored(src), phash.Rotated90: rotated90(src)}
	found := 0
	for _, v := range r.Hashes {
		img := turned[v.Transform.Orientation()]
		if v.Hash.Algorithm() != phash.AlgPerception || img == nil {
			continue
		}
		found++
		h, err := goimagehash.PerceptionHash(img)
		if err != nil {
			t.Fatal(err)
		}
		want := phash.FromPerception(h.GetHash())
		if d := distance(t, want, v.Hash); d > 2 || v.Transform == 0 && d != 0 {
			t.Errorf("%v: %d bits from goimagehash's of the turned picture", v.Transform, d)
		}
	}
	if found != 3 {
		t.Errorf("%d of 3 orientations", found)
	}
}

// rotated90 returns m turned by 90° counter-clockwise.
func rotated90(m *image.RGBA) *image.RGBA {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	n := image.NewRGBA(image.Rect(0, 0, h, w))
	for y := range h {
		for x := range w {
			n.SetRGBA(y, w-1-x, m.RGBAAt(x, y))
		}
	}
	return n
}

// goimagehash's known defects cannot be reached.
func TestPerceptionNormalised(t *testing.T) {
	t.Parallel()
	src := scene(64, 64) // a size that goimagehash does not resize
	want, err := goimagehash.PerceptionHash(src)
	if err != nil {
		t.Fatal(err)
	}
	wide := image.NewRGBA(image.Rect(-40, -30, 200, 200))
	draw.Draw(wide, image.Rect(10, 20, 74, 84), src, image.Point{}, draw.Src)
	pal := image.NewPaletted(image.Rect(0, 0, 64, 64), color.Palette{color.Black, color.White})
	for i := range pal.Pix {
		pal.Pix[i] = byte(i % 7) // most of them not in the palette
	}
	tests := []struct {
		name string
		img  image.Image
		want uint64
		any  bool
	}{
		{"64 × 64", src, want.GetHash(), false},
		{"part of a larger picture", wide.SubImage(image.Rect(10, 20, 74, 84)), want.GetHash(), false},
		{"colours that are not in the palette", pal, 0, true},
		{"one row", image.NewRGBA(image.Rect(0, 0, 500, 1)), 0, true},
	}
	for _, tt := range tests {
		got, err := phash.Perception(tt.img)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		} else if got != phash.FromPerception(tt.want) && !tt.any {
			t.Errorf("%s: %v, want %016x", tt.name, got, tt.want)
		}
	}
	if _, err := phash.Perception(image.NewGray(image.Rect(0, 0, 1, 1<<17+1))); !errors.Is(err, phash.ErrTooLarge) {
		t.Errorf("a very long picture: %v, want ErrTooLarge", err)
	}
	// JPEGs as they come: the hash that users of goimagehash have stored.
	for _, size := range []image.Point{{640, 480}, {123, 457}} {
		data := encodeJPEG(t, scene(size.X, size.Y), 80)
		img, err := jpeg.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		want, _ := goimagehash.PerceptionHash(img)
		if got, err := mustDecode(t, data).Perception(); err != nil || got.Words()[0] != want.GetHash() {
			t.Errorf("%v: %v, %v; goimagehash %016x", size, got, err, want.GetHash())
		}
	}
}

func TestRegisterRefuses(t *testing.T) {
	t.Parallel()
	flat := image.NewGray(image.Rect(0, 0, 300, 200))
	waves := formulaImage(640, 480, func(x, y int) int { // structure, but all of it too fine to stay
		return (x*x + 3*y*y + x*y) * 7
	})
	tests := []struct {
		name   string
		img    image.Image
		reason phash.Refusal
	}{
		{"black", flat, phash.RefusedQuality},
		{"too small", formulaImage(4, 100, func(x, y int) int { return x * y }), phash.RefusedQuality},
		{"noise", waves, phash.RefusedStability},
	}
	for _, tt := range tests {
		p, err := phash.NewPicture(tt.img)
		if err != nil {
			t.Fatal(err)
		}
		r, err := phash.HashesToStore(p, nil)
		var refused *phash.RefusedError
		if !errors.As(err, &refused) || refused.Reason != tt.reason || !strings.Contains(err.Error(), "register ") {
			t.Errorf("%s: %v, want refused for %v, with what to do instead", tt.name, err, tt.reason)
		}
		if len(r.Hashes) != 0 {
			t.Errorf("%s: %d hashes beside an error", tt.name, len(r.Hashes))
		}
	}
}

func TestHashesToStoreOf(t *testing.T) {
	t.Parallel()
	src := scene(640, 480)
	dihedral, _, err := phash.PDQDihedral(src)
	if err != nil {
		t.Fatal(err)
	}
	r, err := phash.HashesToStoreOf(dihedral[0])
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Hashes) != 8 || r.Quality != -1 || r.Stability != -1 || r.Hashes[0].Hash != dihedral[0] {
		t.Errorf("%+v", r)
	}
	for _, v := range r.Hashes {
		o := v.Transform.Orientation()
		d := distance(t, v.Hash, dihedral[o])
		if d > 30 || o == phash.Transposed && d != 0 {
			t.Errorf("%v: %d bits from the hash of the pixels", v.Transform, d)
		}
		// Turning twice by the inverse gives the hash back, bit by bit.
		back := map[phash.Orientation]phash.Orientation{phash.Rotated90: phash.Rotated270, phash.Rotated270: phash.Rotated90}
		inv, ok := back[o]
		if !ok {
			inv = o
		}
		if v.Hash.Turned(inv) != dihedral[0] {
			t.Errorf("%v: turning back does not give the hash", v.Transform)
		}
	}

	pr, err := phash.Perception(src)
	if err != nil {
		t.Fatal(err)
	}
	if r, err = phash.HashesToStoreOf(pr); err != nil || len(r.Hashes) != 8 {
		t.Fatalf("%v, %v", r, err)
	}
	want, err := phash.Perception(mirrored(src))
	if err != nil {
		t.Fatal(err)
	}
	if d := distance(t, r.Hashes[phash.Mirrored].Hash, want); d > 12 {
		t.Errorf("mirrored perception hash is %d bits off", d)
	}

	for _, tt := range []struct {
		h     phash.Hash
		value int
	}{
		{phash.FromPDQ([32]byte{}), 0},
		{phash.FromPDQ([32]byte{1}), 1},
		{phash.FromPerception(0x8000000000000000), 1}, // goimagehash's of anything flat
		{phash.FromPerception(1<<33 - 1), 33},
	} {
		_, err := phash.HashesToStoreOf(tt.h)
		var refused *phash.RefusedError
		if !errors.As(err, &refused) || refused.Reason != phash.RefusedBits || refused.Value != tt.value {
			t.Errorf("%v: %v, want refused for its %d ones", tt.h, err, tt.value)
		}
	}
	if _, err := phash.HashesToStoreOf(phash.Hash{}); !errors.Is(err, phash.ErrHashKind) {
		t.Errorf("zero hash: %v", err)
	}
}

// How far a hash turned without its picture is from the true one, on the
// reference's own files: the figures that HashesToStoreOf states.
func TestTurnedAccuracy(t *testing.T) {
	t.Parallel()
	rows := readCSV(t, filepath.Join(sharedtest.Path(t, "pdq"), "derived", "reference-hashes-pixels-png.csv"))
	worst, n := 0, 0
	for _, row := range rows {
		h := phash.MustParse(row["original"])
		if row["quality"] == "0" {
			continue // flat: its bits are rounding noise
		}
		for o, c := range dihedralColumns {
			worst = max(worst, distance(t, h.Turned(phash.Orientation(o)), phash.MustParse(row[c])))
			n++
		}
	}
	if n < 150 || worst > 30 {
		t.Errorf("worst of %d is %d bits, want at most 30", n, worst)
	}
}

// Many goroutines may hash, register and query the same picture.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	p := mustDecode(t, pictureFile(t, "exif6.jpg"))
	want := phash.HashesToAsk(p)
	reg, err := phash.HashesToStore(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	q := mustDecode(t, pictureFile(t, "exif6.jpg"))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if d := cmp.Diff(fmt.Sprint(want), fmt.Sprint(phash.HashesToAsk(q))); d != "" {
				t.Errorf("query (-want +got)\n%s", d)
			}
			r, err := phash.HashesToStore(q, nil)
			if d := cmp.Diff(fmt.Sprint(reg), fmt.Sprint(r)); d != "" || err != nil {
				t.Errorf("registration %v (-want +got)\n%s", err, d)
			}
			if _, err := q.Perception(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// A stream of pictures is hashed without allocating.
func TestHasherAllocates(t *testing.T) {
	ycc := mustDecode(t, encodeJPEG(t, scene(320, 240), 80))
	rgb := mustDecode(t, encodePNG(t, scene(320, 240)))
	var k phash.Hasher
	var hs []phash.Hash
	for _, tt := range []struct {
		name string
		f    func()
	}{
		{"PDQ of luma", func() { k.PDQ(ycc.Image()) }},
		{"PDQ of RGB", func() { k.PDQ(rgb.Image()) }},
		{"PDQOf", func() { k.PDQOf(ycc) }},
		{"PDQDihedral", func() { k.PDQDihedral(rgb.Image()) }},
		{"AppendHashesToAsk", func() { hs = k.AppendHashesToAsk(hs[:0], ycc) }},
	} {
		if n := sharedtest.AllocsPerRun(20, tt.f); n != 0 {
			t.Errorf("%s allocates %v times", tt.name, n)
		}
	}
}

func TestPerceptionRadius(t *testing.T) {
	t.Parallel()
	last := 64
	for _, n := range []int{0, 1, 1000, 100_000, 1_000_000, 10_000_000, 1 << 30} {
		r := phash.AlgPerception.Radii(n).Block
		if r > last || r < 0 || r%2 != 0 {
			t.Errorf("radius %d for %d hashes, %d for fewer; want even and not growing", r, n, last)
		}
		last = r
	}
	if last > 4 {
		t.Errorf("radius %d for the longest lists", last)
	}
}

// Views are cut from a picture made smaller: their hashes are near those of the
// same views of the picture at its full size.
func TestViewsOfLargePictures(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("hashes pictures of several megapixels")
	}
	dir := sharedtest.Path(t, "pdq", "upstream")
	for _, file := range []string{"pdq/data/reg-test-input/dih/bridge-1-original.jpg", "pdq/data/misc-images/c.png", "pdq/data/reg-test-input/pen-and-coaster.png"} {
		data, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		p := mustDecode(t, data)
		g := p.Luma()
		w, h := g.Rect.Dx(), g.Rect.Dy()
		cut := func(l, tp, r, b int) image.Image {
			return g.SubImage(image.Rect(w*l/1000, h*tp/1000, w*(1000-r)/1000, h*(1000-b)/1000))
		}
		flip := toRGBA(g)
		full := map[string]image.Image{
			"crop7": cut(35, 35, 35, 35), "crop20": cut(100, 100, 100, 100), "topleft4": cut(0, 0, 40, 40), "bottomright9": cut(90, 90, 0, 0),
			"whole+mirrored": mirrored(flip), "whole+rotated90": rotated90(flip), "padded": framed(g, 0, (w-h)/2, 0, (w-h)/2, color.White),
			"square": g.SubImage(image.Rect((w-h)/2, 0, (w-h)/2+h, h)),
		}
		reg, err := phash.HashesToStore(p, &phash.StoreOptions{Level: phash.LevelWide})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, v := range reg.Hashes {
			img := full[v.Transform.String()]
			if img == nil {
				continue
			}
			n++
			want, _, err := phash.PDQ(img)
			if err != nil {
				t.Fatal(err)
			}
			if d := distance(t, want, v.Hash); d > 12 {
				t.Errorf("%s: %v is %d bits from that of the full size", file, v.Transform, d)
			} else {
				t.Logf("%s: %v %d bits", file, v.Transform, d)
			}
		}
		if n != len(full) {
			t.Errorf("%s: %d of %d views", file, n, len(full))
		}
	}
}

// A strip of any length is registered in little memory: what is drawn anew for
// some views grows with the proportions.
func TestRegister_Strips(t *testing.T) {
	// Not parallel: what others allocate counts too.
	long := 50_000
	if sharedtest.Long() {
		long = 200_000
	}
	for _, size := range []image.Point{{long, 8}, {8, long}} {
		m := image.NewGray(image.Rectangle{Max: size})
		seed := uint32(1)
		for i := range m.Pix {
			seed = seed*1664525 + 1013904223
			m.Pix[i] = uint8(seed >> 24)
		}
		p, err := phash.NewPicture(m)
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var k phash.Hasher
		_, err = k.HashesToStore(p, &phash.StoreOptions{Level: phash.LevelWide})
		runtime.ReadMemStats(&after)
		var refused *phash.RefusedError
		if err != nil && !errors.As(err, &refused) {
			t.Fatal(err)
		}
		t.Logf("%v: %d MB", size, (after.TotalAlloc-before.TotalAlloc)>>20)
		if got := after.TotalAlloc - before.TotalAlloc; got > uint64(16*8*long+8<<20) {
			t.Errorf("%v: registering allocated %d MB", size, got>>20)
		}
	}
}
