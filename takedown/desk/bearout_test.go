package desk_test

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"testing"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
)

// striped lays broken diagonal stripes over a picture, as the letters of a
// watermark are.
func striped(tb testing.TB, file []byte, width int, opacity uint8) []byte {
	tb.Helper()
	src, err := jpeg.Decode(bytes.NewReader(file))
	if err != nil {
		tb.Fatal(err)
	}
	m := image.NewRGBA(src.Bounds())
	draw.Draw(m, m.Bounds(), src, m.Bounds().Min, draw.Src)
	over := image.NewAlpha(m.Bounds())
	for y := range m.Bounds().Dy() {
		for x := range m.Bounds().Dx() {
			if (x+y)/width%4 == 0 && (x-y+1000*width)/width%3 != 0 {
				over.SetAlpha(x, y, color.Alpha{A: opacity})
			}
		}
	}
	draw.DrawMask(m, m.Bounds(), image.White, image.Point{}, over, image.Point{}, draw.Over)
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// A hash beyond the identical radius is believed where nobody has looked. Where the
// features are known they have to bear it out, or it is for a person: two slides of
// one template have hashes that are near, and no more in common.
func TestCheck_FeaturesBearOutHashes(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), nil)
	e := d.Enforcer()
	file, other := photo(t, "opencv_chicky-512_4d2cf040.jpg"), photo(t, "opencv_graf3_492e0e96.jpg")
	r := optOut(t, 1)
	r.Images = images(file)
	id := accept(t, d, r, desk.Grant{})

	same, foreign := inspect(t, file, takedown.Source{}), inspect(t, other, takedown.Source{})
	at := func(bits int, f takedown.Features) takedown.Candidate {
		return takedown.Candidate{Hashes: []phash.Hash{flipped(same.Hashes[0], bits)}, Features: f}
	}
	for name, tt := range map[string]struct {
		c    takedown.Candidate
		want takedown.Verdict
		why  takedown.Tier
	}{
		"far, nobody looked":           {at(40, takedown.Features{}), takedown.Block, takedown.TierHash},
		"far, the picture":             {at(40, same.Features), takedown.Block, takedown.TierFeatures},
		"far, another picture":         {at(40, foreign.Features), takedown.Review, takedown.TierHash},
		"just far, another picture":    {at(22, foreign.Features), takedown.Review, takedown.TierHash},
		"identical, another picture":   {at(20, foreign.Features), takedown.Block, takedown.TierHash},
		"review radius, another":       {at(54, foreign.Features), takedown.Review, takedown.TierHash},
		"a later frame, nobody looked": {takedown.Candidate{Hashes: foreign.Hashes, Features: foreign.Features, Frames: []takedown.Frame{{Hashes: []phash.Hash{flipped(same.Hashes[0], 40)}}}}, takedown.Block, takedown.TierHash},
	} {
		got := e.Check(tt.c)
		if got.Verdict != tt.want || got.Why != tt.why || got.Case != id {
			t.Errorf("%s: %v, want %v by %v", name, got, tt.want, tt.why)
		}
	}
	cut := at(40, foreign.Features)
	cut.Damage = phash.Damage{Reason: phash.DamageCut, Missing: 0.2}
	wantVerdict(t, "far, and features of what is noise in part", e.Check(cut), takedown.Block)
	wantVerdict(t, "a ranker, who has no features", e.Filter("", flipped(same.Hashes[0], 40)), takedown.Block)

	// What the features alone leave to a person, because much lies over it, they
	// bear out all the same.
	borne := 0
	for opacity := 60; opacity < 256; opacity += 15 {
		c := inspect(t, striped(t, file, 18, uint8(opacity)), takedown.Source{})
		c.SHA256 = [32]byte{}
		c.Hashes = nil
		if e.Check(c).Verdict != takedown.Review {
			continue
		}
		c.Hashes = []phash.Hash{flipped(same.Hashes[0], 40)}
		got := e.Check(c)
		if got.Verdict == takedown.Block && got.Why == takedown.TierHash && got.Distance == 40 && got.Case == id {
			borne++
		}
		c.Frames = []takedown.Frame{{Hashes: foreign.Hashes}}
		if again := e.Check(c); again.Verdict != got.Verdict || again.Why != got.Why {
			t.Errorf("%v as an animation, %v without its second frame", again, got)
		}
	}
	if borne == 0 {
		t.Error("no overlay was found that the features alone leave to a person and that they bear out")
	}
}

// remade returns the picture with each pixel of w × h taken by at from the original.
func remade(tb testing.TB, file []byte, w, h int, at func(m image.Image, x, y int) color.Color) []byte {
	tb.Helper()
	src, err := jpeg.Decode(bytes.NewReader(file))
	if err != nil {
		tb.Fatal(err)
	}
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.Set(x, y, at(src, x*src.Bounds().Dx()/w, y*src.Bounds().Dy()/h))
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// The hash of a negative is the complement. Features that a picture is too small to have
// do not count against its hash.
func TestCheck_NegativesAndTinyPictures(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), nil)
	e := d.Enforcer()
	file := photo(t, "opencv_chicky-512_4d2cf040.jpg")
	r := optOut(t, 1)
	r.Images = images(file)
	accept(t, d, r, desk.Grant{})

	own := inspect(t, file, takedown.Source{})
	negative := inspect(t, remade(t, file, 400, 400, func(m image.Image, x, y int) color.Color {
		c := color.RGBAModel.Convert(m.At(x, y)).(color.RGBA)
		return color.RGBA{255 - c.R, 255 - c.G, 255 - c.B, 255}
	}), takedown.Source{})
	got := e.Check(negative)
	if got.Verdict != takedown.Block || got.Why != takedown.TierHash || got.Distance > 20 {
		t.Errorf("a negative: %v, want a block by the hash", got)
	}
	far := takedown.Candidate{Hashes: []phash.Hash{flipped(own.Hashes[0].Negative(), 30)}}
	if got := e.Check(far); got.Verdict != takedown.Allow {
		t.Errorf("a negative of another picture: %v", got)
	}
	tiny := inspect(t, remade(t, file, 32, 32, image.Image.At), takedown.Source{})
	if tiny.Features.IsZero() {
		t.Fatal("the tiny picture has no features: the test shows nothing")
	}
	tiny.Hashes = []phash.Hash{flipped(own.Hashes[0], 40)}
	wantVerdict(t, "a tiny picture", e.Check(tiny), takedown.Block)
}

// blobs draws a few soft discs: enough for a hash, and no corner for features.
func blobs(tb testing.TB) []byte {
	tb.Helper()
	m := image.NewGray(image.Rect(0, 0, 480, 360))
	for y := range 360 {
		for x := range 480 {
			v := 60 + x/8
			for i, c := range [][3]int{{90, 80, 60}, {330, 110, 85}, {200, 270, 70}, {410, 300, 50}, {60, 250, 40}} {
				dx, dy := x-c[0], y-c[1]
				if d := dx*dx + dy*dy; d < c[2]*c[2] {
					v += (1 - 2*(i%2)) * 150 * (c[2]*c[2] - d) / (c[2] * c[2])
				}
			}
			m.SetGray(x, y, color.Gray{Y: uint8(min(max(v, 0), 255))})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 95}); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// A picture with too little to see for features is near any other one that is laid
// out like it: its hash reaches less far, for rankers too. A hash that came without
// its picture reaches as far as ever.
func TestFilter_FlatPicturesReachLessFar(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), &desk.Options{OneReviewer: true})
	e := d.Enforcer()
	r := optOut(t, 1)
	r.Images = images(blobs(t))
	c, err := d.Submit(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	if p := c.Pictures[0]; p.NotInside == "" || p.MaxScope != takedown.ScopeDuplicate {
		t.Fatalf("the picture of the test is not flat, or cannot be registered: %+v", p)
	}
	if err := d.Accept(ctx, c.ID, desk.Grant{Actor: desk.Actor{By: "alice"}}); err != nil {
		t.Fatal(err)
	}
	own := c.Pictures[0].Hash
	hash := func(n int) phash.Hash { return flipped(own, n) }
	wantVerdict(t, "30 bits", e.Filter("", hash(30)), takedown.Block)
	wantVerdict(t, "40 bits", e.Filter("", hash(40)), takedown.Review)
	wantVerdict(t, "30 bits, Check", e.Check(takedown.Candidate{Hashes: []phash.Hash{hash(30)}}), takedown.Block)
	wantVerdict(t, "40 bits, Check", e.Check(takedown.Candidate{Hashes: []phash.Hash{hash(40)}}), takedown.Review)

	file := testJPEG(t, 5)
	found := inspect(t, file, takedown.Source{})
	if _, err := d.Resolve(ctx, desk.Match{Candidate: found, Decision: takedown.Decision{Rule: e.Filter("", own).Rule}, File: file}, desk.SameImage); err != nil {
		t.Fatal(err)
	}
	wantVerdict(t, "a learned hash, 40 bits", e.Filter("", flipped(found.Hashes[0], 40)), takedown.Block)
}
