package takedown_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/sharedtest"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
)

// scene is a drawn picture with detail everywhere.
func scene(seed int) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, 480, 360))
	for y := range 360 {
		for x := range 480 {
			u, v := float64(x), float64(y)
			a := math.Sin(u/float64(17+seed)+math.Cos(v/29)*3) + math.Sin((u+2*v)/float64(41+3*seed))
			b := math.Cos(v/float64(13+seed)) * math.Sin(u/53)
			m.Set(x, y, color.RGBA{uint8(128 + 60*a), uint8(128 + 50*b + 20*a), uint8((x*7*(seed+1) + y*11) >> 3), 255})
		}
	}
	for i := range 40 { // edges and corners
		x, y := (i*97*(seed+2))%440, (i*61*(seed+3))%320
		draw.Draw(m, image.Rect(x, y, x+12+i%23, y+10+(i*7)%29), image.NewUniform(color.RGBA{uint8(i * 37), uint8(i * 91), uint8(i * 53), 255}), image.Point{}, draw.Src)
	}
	return m
}

func jpegOf(tb testing.TB, img image.Image) []byte {
	tb.Helper()
	var b bytes.Buffer
	ok(tb, jpeg.Encode(&b, img, &jpeg.Options{Quality: 90}))
	return b.Bytes()
}

// enforcerOf returns an enforcer that blocks all copies of a picture.
func enforcerOf(tb testing.TB, file []byte) *takedown.Enforcer {
	tb.Helper()
	k := keysOf(tb, file)
	k.Bytes = [][32]byte{sha256.Sum256(file)}
	l := listOf(tb)
	appendTo(tb, l, blocklist.Event{Type: blocklist.EventAdded, Rule: &blocklist.Rule{
		Kind: 1, Scope: blocklist.ScopeDuplicate, Effect: blocklist.EffectBlock, Case: [16]byte{1}, Keys: k,
	}})
	return enforcer(tb, nil, takedown.ListSource{List: l})
}

// What a node sends has the same verdict at the other end, by every form: a crop
// that only features find, in a later frame of an animation too.
func TestWire_SameVerdict(t *testing.T) {
	t.Parallel()
	picture := scene(1)
	e := enforcerOf(t, jpegOf(t, picture))
	crop := picture.SubImage(image.Rect(60, 45, 400, 300))
	still, err := takedown.Inspect(bytes.NewReader(jpegOf(t, crop)), takedown.Source{ImageURL: "https://elsewhere.example/crop.jpg", PageURL: "https://elsewhere.example/"},
		&takedown.InspectOptions{Parts: true})
	ok(t, err)
	if len(still.Parts) == 0 {
		t.Fatal("no parts to send")
	}
	other, err := takedown.Inspect(bytes.NewReader(jpegOf(t, scene(5))), takedown.Source{ImageURL: "https://elsewhere.example/other.jpg"}, nil)
	ok(t, err)
	later := other
	ok(t, later.Add(crop))
	damaged := still
	damaged.Damage, damaged.LeftOut = phash.Damage{Reason: phash.DamageCut, Missing: 0.25}, 3
	undecodable := takedown.Candidate{ImageURLs: []string{"https://elsewhere.example/x"}, SHA256: [32]byte{7}, Undecodable: true}

	for name, tc := range map[string]struct {
		c    takedown.Candidate
		want takedown.Verdict
		why  takedown.Tier
	}{
		"crop":        {still, takedown.Block, takedown.TierFeatures},
		"other":       {other, takedown.Allow, 0},
		"later frame": {later, takedown.Block, takedown.TierFeatures},
		"damaged":     {damaged, takedown.Block, takedown.TierFeatures},
		"undecodable": {undecodable, takedown.Review, 0},
	} {
		d := e.Check(tc.c)
		if d.Verdict != tc.want || d.Why != tc.why {
			t.Errorf("%s: %v, want %v by %v", name, d, tc.want, tc.why)
		}
		m := takedown.Match{Candidate: tc.c, Decision: d}
		for form, travel := range map[string]func(takedown.Match) (takedown.Match, error){
			"JSON": func(m takedown.Match) (got takedown.Match, err error) {
				b, err := json.Marshal(m)
				return got, errors.Join(err, json.Unmarshal(b, &got))
			},
			"binary": func(m takedown.Match) (got takedown.Match, err error) {
				b, err := m.MarshalBinary()
				return got, errors.Join(err, got.UnmarshalBinary(b))
			},
			"gob": func(m takedown.Match) (got takedown.Match, err error) {
				var b bytes.Buffer
				err = gob.NewEncoder(&b).Encode(m)
				return got, errors.Join(err, gob.NewDecoder(&b).Decode(&got))
			},
		} {
			got, err := travel(m)
			if err != nil {
				t.Errorf("%s by %s: %v", name, form, err)
				continue
			}
			if got.Decision != d {
				t.Errorf("%s by %s: the decision is %v, was %v", name, form, got.Decision, d)
			}
			if !slices.Equal(got.Candidate.Parts, tc.c.Parts) {
				t.Errorf("%s by %s: %d parts, were %d", name, form, len(got.Candidate.Parts), len(tc.c.Parts))
			}
			if again := e.Check(got.Candidate); again != d {
				t.Errorf("%s by %s: %v, was %v", name, form, again, d)
			}
		}
	}
}

// Faces travel only where they are asked for, and sealed.
func TestWire_Faces(t *testing.T) {
	t.Parallel()
	vector := make([]float32, 64)
	for i := range vector {
		vector[i] = float32(i%7) - 3
	}
	f, err := takedown.NewFace("model", vector)
	ok(t, err)
	c := takedown.Candidate{Faces: []takedown.Face{f}, Frames: []takedown.Frame{{Index: 4}, {Index: 9, Faces: []takedown.Face{f, f}}}}
	for _, marshal := range []func() ([]byte, error){c.MarshalJSON, c.MarshalBinary} {
		b, err := marshal()
		ok(t, err)
		if raw, _ := f.MarshalBinary(); bytes.Contains(b, raw[len(raw)-16:]) || strings.Contains(string(b), "ace") {
			t.Errorf("the form has a face: %q", b)
		}
	}
	key := blocklist.EncryptionKey{1}
	sealed, err := c.MarshalSealed(&key)
	ok(t, err)
	var got takedown.Candidate
	ok(t, got.UnmarshalSealed(&key, sealed))
	if len(got.Faces) != 1 || !got.Faces[0].Equal(f) || len(got.Frames) != 2 || len(got.Frames[1].Faces) != 2 || !got.Frames[1].Faces[1].Equal(f) || got.Frames[1].Index != 9 {
		t.Errorf("unsealed: %v", got)
	}
	if err := got.UnmarshalSealed(&blocklist.EncryptionKey{2}, sealed); !errors.Is(err, takedown.ErrWire) {
		t.Errorf("another key: %v", err)
	}
	sealed[len(sealed)/2] ^= 1
	if err := got.UnmarshalSealed(&key, sealed); !errors.Is(err, takedown.ErrWire) {
		t.Errorf("a changed byte: %v", err)
	}
}

// Logs have neither addresses nor hashes nor pixels, whatever prints.
func TestWire_LogsNothing(t *testing.T) {
	t.Parallel()
	c, err := takedown.Inspect(bytes.NewReader(jpegOf(t, scene(2))), takedown.Source{ImageURL: "https://secret.example/photo.jpg"}, nil)
	ok(t, err)
	d := takedown.Decision{Verdict: takedown.Block, Checked: takedown.TierURL, Why: takedown.TierURL, Rule: 3}
	var b bytes.Buffer
	log := slog.New(slog.NewTextHandler(&b, nil))
	log.Info("x", "candidate", c, "features", c.Features, "decision", d, "match", takedown.Match{Candidate: c, Decision: d})
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "candidate", c, "decision", d)
	fmt.Fprintf(&b, "%v %+v %#v %s %v", c, c, c, c.Features, takedown.Match{Candidate: c, Decision: d})
	text := b.String()
	if len(text) > 4000 || strings.Contains(text, "secret") || strings.Contains(text, c.Hashes[0].String()) {
		t.Errorf("%d bytes: %.2000s", len(text), text)
	}
}

// Text forms of what a decision has are read back; others are refused.
func TestWire_Text(t *testing.T) {
	t.Parallel()
	for v := takedown.Unknown; v <= takedown.Block; v++ {
		var got takedown.Verdict
		b, err := v.MarshalText()
		if ok(t, err); got.UnmarshalText(b) != nil || got != v {
			t.Errorf("%v reads back as %v", v, got)
		}
	}
	for tier := takedown.Tier(0); tier < 32; tier++ {
		var got takedown.Tier
		b, err := tier.MarshalText()
		if ok(t, err); got.UnmarshalText(b) != nil || got != tier {
			t.Errorf("%v reads back as %v", tier, got)
		}
	}
	if err := new(takedown.Verdict).UnmarshalText([]byte("maybe")); !errors.Is(err, takedown.ErrWire) {
		t.Error(err)
	}
	if err := new(takedown.Tier).UnmarshalText([]byte("hash+smell")); !errors.Is(err, takedown.ErrWire) {
		t.Error(err)
	}
	var zero takedown.Candidate
	b, err := json.Marshal(zero)
	if ok(t, err); string(b) != `{"version":1}` {
		t.Errorf("the zero candidate is %s", b)
	}
	var got takedown.Candidate
	ok(t, json.Unmarshal(b, &got))
	if diff := cmp.Diff(fmt.Sprint(zero), fmt.Sprint(got)); diff != "" {
		t.Error(diff)
	}
}

// Features never exceed the length that their documentation names, and go through
// text: those of drawings, and of real photographs where they are at hand.
func TestFeatures_Length(t *testing.T) {
	t.Parallel()
	var files [][]byte
	for seed := range 4 {
		files = append(files, jpegOf(t, scene(seed)))
	}
	if dir, found := sharedtest.Dir(); found {
		names, err := filepath.Glob(filepath.Join(dir, "testdata", "photos", "*.jpg"))
		ok(t, err)
		for _, name := range names[:min(len(names), 12)] {
			file, err := os.ReadFile(name)
			ok(t, err)
			files = append(files, file)
		}
	}
	for _, file := range files {
		c, err := takedown.Inspect(bytes.NewReader(file), takedown.Source{}, nil)
		ok(t, err)
		b, err := c.Features.MarshalBinary()
		ok(t, err)
		if len(b) == 0 || len(b) > takedown.MaxFeatures {
			t.Errorf("%d bytes of features, at most %d", len(b), takedown.MaxFeatures)
		}
		text, err := c.Features.MarshalText()
		ok(t, err)
		var got takedown.Features
		ok(t, got.UnmarshalText(text))
		if again, err := got.MarshalBinary(); err != nil || !bytes.Equal(again, b) {
			t.Errorf("features change through text: %v", err)
		}
	}
}

// UK is the United Kingdom, and a code of no country is reported.
func TestIn_Country(t *testing.T) {
	t.Parallel()
	e := enforcerOf(t, jpegOf(t, scene(3)))
	for code, want := range map[string]string{"UK": "GB", "el": "GR", "de": "DE"} {
		if c, err := takedown.ParseCountry(code); err != nil || c.String() != want || e.In(code).Err() != nil {
			t.Errorf("%s: %v, %v; %v", code, c, err, e.In(code).Err())
		}
	}
	for _, code := range []string{"", "EU", "GERMANY", "XX"} {
		var bad *takedown.ArgumentError
		if _, err := takedown.ParseCountry(code); err == nil || !errors.As(e.In(code).Err(), &bad) {
			t.Errorf("%q: %v, %v", code, err, e.In(code).Err())
		}
	}
}

// All distinct frames of an animation are looked at, and a later one is found by
// its features; what is left out is reported.
func TestInspect_Frames(t *testing.T) {
	t.Parallel()
	picture := scene(1)
	e := enforcerOf(t, jpegOf(t, picture))
	anim := func(n int, hidden image.Image) []byte {
		var g gif.GIF
		for i := range n {
			m := image.NewPaletted(image.Rect(0, 0, 480, 360), palette())
			var src image.Image = scene(10 + i)
			if i == n-1 && hidden != nil {
				src = hidden
			}
			draw.FloydSteinberg.Draw(m, m.Bounds(), src, src.Bounds().Min)
			g.Image, g.Delay = append(g.Image, m), append(g.Delay, 20)
		}
		var b bytes.Buffer
		ok(t, gif.EncodeAll(&b, &g))
		return b.Bytes()
	}
	c, err := takedown.Inspect(bytes.NewReader(anim(3, picture)), takedown.Source{}, nil)
	ok(t, err)
	if d := e.Check(c); d.Verdict != takedown.Block || d.Frame != 2 || c.LeftOut != 0 || c.Picture(2).Index != 2 {
		t.Errorf("the last frame: %v; %v", d, c)
	}
	c, err = takedown.Inspect(bytes.NewReader(anim(3, picture)), takedown.Source{}, &takedown.InspectOptions{FirstFrame: true})
	ok(t, err)
	if d := e.Check(c); d.Verdict != takedown.Allow || len(c.Frames) != 0 {
		t.Errorf("the first frame alone: %v; %v", d, c)
	}
	c, err = takedown.Inspect(bytes.NewReader(anim(6, nil)), takedown.Source{}, &takedown.InspectOptions{Decode: &phash.DecodeOptions{MaxFrames: 3}})
	ok(t, err)
	if d := e.Check(c); c.LeftOut == 0 || d.Checked.Has(takedown.TierHash) || !d.Checked.Has(takedown.TierBytes) {
		t.Errorf("frames left out: %v; %v", d, c)
	}
}

func palette() (p color.Palette) {
	for r := range 6 {
		for g := range 6 {
			for b := range 6 {
				p = append(p, color.RGBA{uint8(r * 51), uint8(g * 51), uint8(b * 51), 255})
			}
		}
	}
	return p
}

// A page rule says nothing about an image that another page shows too.
func TestCheck_Pages(t *testing.T) {
	t.Parallel()
	l := listOf(t)
	page, err := l.Digest(blocklist.PageAddress, "https://example.org/page")
	ok(t, err)
	appendTo(t, l, blocklist.Event{Type: blocklist.EventAdded, Rule: &blocklist.Rule{
		Kind: 6, Scope: blocklist.ScopeURL, Effect: blocklist.EffectBlock, Case: [16]byte{1},
		Keys: blocklist.Keys{Addresses: []blocklist.Address{{Kind: blocklist.PageAddress, Digest: page}}},
	}})
	e := enforcer(t, nil, takedown.ListSource{List: l})
	check := func(pages ...string) takedown.Verdict {
		return e.Check(takedown.Candidate{ImageURLs: []string{"https://example.org/logo.png"}, PageURLs: pages}).Verdict
	}
	if v := check("https://example.org/page"); v != takedown.Block {
		t.Errorf("only the blocked page: %v", v)
	}
	if v := check("https://example.org/page", "https://example.org/home"); v != takedown.Allow {
		t.Errorf("another page too: %v", v)
	}
	if v := check("https://example.org/home", "https://example.org/page"); v != takedown.Allow {
		t.Errorf("in the other order: %v", v)
	}
}

// Nothing hides behind size or a wrong type: the digest is of the whole file, and
// a file that is an image and cannot be decoded is not allowed in silence.
func TestInspect_SizeAndType(t *testing.T) {
	t.Parallel()
	file := jpegOf(t, scene(1))
	e := enforcerOf(t, file)
	long := append(bytes.Clone(file), make([]byte, takedown.DefaultInspectBytes)...)
	c, err := takedown.Inspect(bytes.NewReader(long), takedown.Source{}, nil)
	ok(t, err)
	if d := e.Check(c); d.Verdict != takedown.Block || c.SHA256 == ([32]byte{}) {
		t.Errorf("with bytes behind it: %v", d)
	}
	video := bytes.Repeat([]byte("video"), 1<<20)
	c, err = takedown.Inspect(bytes.NewReader(video), takedown.Source{MediaType: "video/mp4"}, nil)
	if d := e.Check(c); err == nil || c.Undecodable || d.Verdict != takedown.Allow || d.Checked != takedown.TierBytes {
		t.Errorf("no image: %v, %v, %v", err, c, d)
	}
	c, err = takedown.Inspect(bytes.NewReader(video), takedown.Source{MediaType: "image/x-unknown"}, nil)
	if d := e.Check(c); err == nil || !c.Undecodable || d.Verdict != takedown.Review {
		t.Errorf("served as an image: %v, %v, %v", err, c, d)
	}
	c, err = takedown.Inspect(strings.NewReader(""), takedown.Source{MediaType: "image/png"}, nil)
	if d := e.Check(c); err == nil || d.Verdict != takedown.Review {
		t.Errorf("an empty file that is served as an image: %v, %v", err, d)
	}
	broken := io.MultiReader(bytes.NewReader(file[:len(file)/2]), iotest.ErrReader(io.ErrUnexpectedEOF))
	c, err = takedown.Inspect(broken, takedown.Source{}, nil)
	if d := e.Check(c); !errors.Is(err, io.ErrUnexpectedEOF) || d.Verdict != takedown.Review || d.Checked.Has(takedown.TierHash) {
		t.Errorf("a fetch that failed half-way: %v, %v", err, d)
	}
	if d := new(takedown.Enforcer).FilterURL("https://example.org/x.jpg"); d.Verdict != takedown.Unknown {
		t.Errorf("the zero Enforcer: %v", d)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := takedown.InspectContext(ended, bytes.NewReader(file), takedown.Source{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
}

func FuzzCandidate_UnmarshalBinary(f *testing.F) {
	c := takedown.Candidate{ImageURLs: []string{"https://a.example/"}, SHA256: [32]byte{1}, Frames: []takedown.Frame{{Index: 2}}}
	b, err := c.MarshalBinary()
	ok(f, err)
	f.Add(b)
	f.Add([]byte{1, 2, '{', '}', 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var c takedown.Candidate
		if c.UnmarshalBinary(b) != nil {
			return
		}
		again, err := c.MarshalBinary()
		ok(t, err)
		var got takedown.Candidate
		ok(t, got.UnmarshalBinary(again))
	})
}

// Later versions of a candidate are refused by their number, and what is not the JSON
// of the value is ErrWire.
func TestWire_Versions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		v          json.Unmarshaler
		text, want string
	}{
		{new(takedown.Candidate), `{"version":2}`, "version 2"},
		{new(takedown.Candidate), `{"version":9,"hashes":{"of":"another type"}}`, "version 9"},
		{new(takedown.Candidate), `{"version":-1}`, "version -1"},
		{new(takedown.Candidate), `{"version":"1"}`, "version"},
		{new(takedown.Candidate), `[]`, ""},
		{new(takedown.Candidate), `{"hashes":["pdq:0"]}`, "pdq"},
		{new(takedown.Decision), `[]`, ""},
		{new(takedown.Decision), `{"verdict":"maybe"}`, "verdict"},
	} {
		if err := tt.v.UnmarshalJSON([]byte(tt.text)); !errors.Is(err, takedown.ErrWire) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%T of %s: %v", tt.v, tt.text, err)
		}
	}
	// What was written before there was a version.
	var c takedown.Candidate
	if err := json.Unmarshal([]byte(`{"image_urls":["https://example.org/a.jpg"]}`), &c); err != nil || len(c.ImageURLs) != 1 {
		t.Errorf("%v, %v", c, err)
	}
	for name, err := range map[string]error{
		"candidate": new(takedown.Candidate).UnmarshalBinary([]byte{2, 0}),
		"sealed":    new(takedown.Candidate).UnmarshalSealed(new(blocklist.EncryptionKey), []byte{2, 0}),
	} {
		if !errors.Is(err, takedown.ErrWire) || !strings.Contains(err.Error(), "version 2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
