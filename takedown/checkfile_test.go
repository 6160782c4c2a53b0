package takedown_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"image"
	colours "image/color/palette"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/features"
	"github.com/staydown/staydown/internal/sharedtest"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
)

// corpusVariable names a folder whose files, too, are checked in both ways.
const corpusVariable = "STAYDOWN_CHECKFILE_CORPUS"

// everyFile reports whether all files of the corpora are compared, which takes half
// an hour; without it one of 24:
//
//	STAYDOWN_LONG=1 go test -timeout 1h -run SameVerdict ./takedown
func everyFile() bool { return os.Getenv("STAYDOWN_LONG") != "" || os.Getenv(corpusVariable) != "" }

// corpusFiles returns files of pictures, intact and damaged ones, by name.
func corpusFiles(tb testing.TB) map[string][]byte {
	tb.Helper()
	roots := []string{sharedtest.Path(tb, "photos"), sharedtest.Path(tb, "cases")}
	if dir := os.Getenv(corpusVariable); dir != "" {
		roots = []string{dir}
	}
	files, n := map[string][]byte{}, 0
	for _, root := range roots {
		ok(tb, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			ext := filepath.Ext(path)
			if err != nil || d.IsDir() || ext == ".md" || ext == ".tsv" || ext == ".py" || ext == ".txt" {
				return err
			}
			if n++; !everyFile() && n%24 != 0 {
				return nil
			}
			b, err := os.ReadFile(path)
			files[strings.TrimPrefix(path, root)] = b
			return err
		}))
	}
	return files
}

// keysOf returns what a desk would register of a file.
func keysOf(tb testing.TB, file []byte) (k blocklist.Keys) {
	tb.Helper()
	pic, err := phash.Decode(bytes.NewReader(file), nil)
	ok(tb, err)
	r, err := phash.HashesToStore(pic, nil)
	if err != nil {
		return k
	}
	for _, h := range r.Hashes {
		k.Hashes = append(k.Hashes, blocklist.HashKey{Hash: h.Hash, Variant: uint8(h.Transform)})
	}
	f, err := features.Extract(pic.Luma())
	if err == nil && f.Registrable() == nil {
		k.Features = []blocklist.Features{f.Compact()}
	}
	return k
}

// pixelModel is a face embedder without a model: one face that depends on the
// pixels of a picture.
var pixelModel = takedown.FaceEmbedderFunc(func(_ context.Context, m image.Image) ([]takedown.FoundFace, error) {
	b, v := m.Bounds(), make([]float32, 64)
	for i := range v {
		r, _, _, _ := m.At(b.Min.X+i%8*b.Dx()/8, b.Min.Y+i/8*b.Dy()/8).RGBA()
		v[i] = float32(r) - 30_000
	}
	v[0]++
	f, err := takedown.NewFace("pixels@1", v)
	return []takedown.FoundFace{{Face: f, Box: b}}, err
})

// changed returns files made of others: crops, small and captioned ones, cut files,
// and animations in which a later frame is a registered picture.
func changed(tb testing.TB, file, other []byte) map[string][]byte {
	tb.Helper()
	m, err := jpeg.Decode(bytes.NewReader(file))
	ok(tb, err)
	o, err := jpeg.Decode(bytes.NewReader(other))
	ok(tb, err)
	b := m.Bounds()
	encode := func(img image.Image) []byte {
		var w bytes.Buffer
		ok(tb, jpeg.Encode(&w, img, nil))
		return w.Bytes()
	}
	cut := image.NewRGBA(image.Rect(0, 0, b.Dx()*3/4, b.Dy()*3/4))
	draw.Draw(cut, cut.Bounds(), m, b.Min.Add(image.Pt(b.Dx()/8, b.Dy()/8)), draw.Src)
	near := image.NewRGBA(b)
	draw.Draw(near, b, m, b.Min, draw.Src)
	draw.Draw(near, image.Rect(b.Min.X, b.Max.Y-b.Dy()/6, b.Max.X, b.Max.Y), image.Black, image.Point{}, draw.Src)
	covered := image.NewRGBA(b)
	draw.Draw(covered, b, m, b.Min, draw.Src)
	draw.Draw(covered, image.Rect(b.Min.X, b.Min.Y+b.Dy()/2, b.Max.X, b.Max.Y), o, o.Bounds().Min, draw.Src)
	animation := func(frames ...image.Image) []byte {
		g := gif.GIF{}
		for _, f := range frames {
			p := image.NewPaletted(image.Rect(0, 0, 320, 240), colours.Plan9)
			draw.Draw(p, p.Bounds(), f, f.Bounds().Min, draw.Src)
			g.Image, g.Delay = append(g.Image, p), append(g.Delay, 10)
		}
		var w bytes.Buffer
		ok(tb, gif.EncodeAll(&w, &g))
		return w.Bytes()
	}
	moving := animation(o, m, o)
	return map[string][]byte{
		"crop": encode(cut), "captioned": encode(near), "half covered": encode(covered), "cut off": file[:len(file)*2/3],
		"first frame": animation(m, o), "later frame": moving, "damaged animation": moving[:len(moving)*4/5],
	}
}

// checkFileLists returns enforcers over lists with all kinds of keys, with
// exceptions and an allow list.
func checkFileLists(tb testing.TB, files map[string][]byte, names []string, allow [][32]byte) map[string]*takedown.Enforcer {
	tb.Helper()
	de, err := blocklist.ParseTerritory("DE")
	ok(tb, err)
	keyed, hashes, held, plain := listOf(tb), listOf(tb), listOf(tb), listOf(tb)
	rule := func(l *blocklist.List, k blocklist.Keys, in ...blocklist.Territory) uint64 {
		if k.Len() == 0 {
			return 0
		}
		return appendTo(tb, l, blocklist.Event{Type: blocklist.EventAdded, Rule: &blocklist.Rule{
			Kind: 3, Scope: blocklist.ScopeDuplicate, Effect: blocklist.EffectBlock, Case: [16]byte{1}, Keys: k, Territories: in,
		}})
	}
	for i, name := range names {
		k := keysOf(tb, files[name])
		switch i % 5 {
		case 0:
			rule(keyed, k)
			rule(held, k)
		case 1:
			rule(keyed, k, de)
			rule(hashes, blocklist.Keys{Hashes: k.Hashes})
		case 2: // by features alone, or by a hash that reaches no farther than a document's
			rule(keyed, blocklist.Keys{Features: k.Features})
			for h := range k.Hashes {
				k.Hashes[h].Reach = 8
			}
			rule(held, k)
		case 3: // an exception for the picture itself
			if id := rule(keyed, k); id != 0 {
				appendTo(tb, keyed, blocklist.Event{Type: blocklist.EventException, Target: id, Keys: blocklist.Keys{Hashes: k.Hashes[:1]}})
			}
		}
		d, err := keyed.Digest(blocklist.ImageAddress, "https://a.example/"+name)
		ok(tb, err)
		if i%7 == 0 && len(k.Hashes) > 0 { // an address that is left alone where it shows this picture
			id := appendTo(tb, keyed, blocklist.Event{Type: blocklist.EventAdded, Rule: &blocklist.Rule{
				Kind: 2, Scope: blocklist.ScopeURL, Effect: blocklist.EffectBlock, Case: [16]byte{1},
				Keys: blocklist.Keys{Addresses: []blocklist.Address{{Kind: blocklist.ImageAddress, Digest: d}}},
			}})
			appendTo(tb, keyed, blocklist.Event{Type: blocklist.EventException, Target: id, Keys: blocklist.Keys{Hashes: k.Hashes[:1]}})
		}
	}
	one := func(l *blocklist.List) *takedown.Enforcer {
		return enforcer(tb, nil, takedown.ListSource{Name: "a", List: l})
	}
	appendTo(tb, keyed, blocklist.Event{Type: blocklist.EventException, Keys: blocklist.Keys{Bytes: allow}})
	return map[string]*takedown.Enforcer{
		"keys": one(keyed), "hashes": one(hashes), "plain": one(plain),
		"all": enforcer(tb, &takedown.EnforcerOptions{MaxAge: time.Hour, Stale: takedown.StaleBlock},
			takedown.ListSource{Name: "held", List: held, Effect: blocklist.EffectReview},
			takedown.ListSource{Name: "german", List: keyed, Territories: []string{"DE"}},
			takedown.ListSource{Name: "hashes", List: hashes}),
	}
}

// CheckFile has the verdict of Inspect and Check for every file, list, viewer and
// option. Where it ends at the same step, it also has the same match.
func TestCheckFile_SameVerdict(t *testing.T) {
	t.Parallel()
	files := corpusFiles(t)
	names := slices.Sorted(func(yield func(string) bool) {
		for name, b := range files {
			if phash.Sniff(b) == phash.FormatJPEG {
				if _, err := jpeg.Decode(bytes.NewReader(b)); err == nil && !yield(name) {
					return
				}
			}
		}
	})
	var allow [][32]byte
	for i, step := 0, max(1, len(names)/4); i+1 < len(names); i += step {
		for how, b := range changed(t, files[names[i]], files[names[i+1]]) {
			files[names[i]+", "+how] = b
			// The allow list keeps a file from hits only if it has one frame.
			if i%(2*step) == 0 && (how == "first frame" || how == "crop") {
				allow = append(allow, sha256.Sum256(b))
			}
		}
	}
	lists := checkFileLists(t, files, names, allow)
	seen := map[takedown.Verdict]int{}
	combination := 0
	options := map[string]*takedown.InspectOptions{
		"default": nil, "without features": {NoFeatures: true}, "first frame": {FirstFrame: true}, "faces": {FaceEmbedder: pixelModel},
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		b := files[name]
		src := takedown.Source{ImageURL: "https://a.example/" + name, MediaType: "image/x"}
		for _, how := range slices.Sorted(maps.Keys(options)) {
			o := options[how]
			if how == "first frame" && !strings.Contains(name, "frame") {
				continue
			}
			c, inspected := takedown.Inspect(bytes.NewReader(b), src, o)
			for _, list := range slices.Sorted(maps.Keys(lists)) {
				e := lists[list]
				for _, in := range []string{"", "DE", "FR"} {
					if combination++; !everyFile() && combination%7 != 0 {
						continue
					}
					want := e.Check(c)
					got, part, err := e.CheckFile(ctx, bytes.NewReader(b), src, o)
					if in != "" {
						want = e.In(in).Check(c)
						got, part, err = e.In(in).CheckFile(ctx, bytes.NewReader(b), src, o)
					}
					seen[want.Verdict]++
					at := name + ", " + how + ", list " + list + " in " + in
					if got.Verdict != want.Verdict || len(part.Frames) == len(c.Frames) && got.Why == want.Why && got.Distance != want.Distance {
						t.Errorf("%s: CheckFile %+v, Check %+v", at, got, want)
					}
					if got.Verdict == takedown.Allow && got.Checked&^want.Checked != 0 {
						t.Errorf("%s: CheckFile checked %v, Check %v", at, got.Checked, want.Checked)
					}
					if err != nil && (inspected == nil || err.Error() != inspected.Error()) {
						t.Errorf("%s: error %v, Inspect %v", at, err, inspected)
					}
				}
			}
		}
	}
	t.Logf("%d files, queries by verdict: %v", len(files), seen)
	for _, v := range []takedown.Verdict{takedown.Allow, takedown.Restricted, takedown.Review, takedown.Block} {
		if seen[v] == 0 {
			t.Errorf("no file is %v", v)
		}
	}
}

// countingReader counts what is read.
type countingReader struct {
	r io.Reader
	n int
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.n += n
	return n, err
}

// CheckFile stops at the step that decides, and computes nothing for which no list
// has keys.
func TestCheckFile_StopsEarly(t *testing.T) {
	t.Parallel()
	sharedtest.NeedTestdata(t)
	file, err := os.ReadFile("testdata/picture.jpg")
	ok(t, err)
	k := keysOf(t, file)
	whole, err := takedown.Inspect(bytes.NewReader(file), takedown.Source{}, nil)
	ok(t, err)
	rule := func(scope blocklist.Scope, k blocklist.Keys) *takedown.Enforcer {
		l := listOf(t, "https://a.example/blocked.jpg")
		if k.Len() > 0 {
			appendTo(t, l, blocklist.Event{Type: blocklist.EventAdded, Rule: &blocklist.Rule{
				Kind: 3, Scope: scope, Effect: blocklist.EffectBlock, Case: [16]byte{1}, Keys: k,
			}})
		}
		return enforcer(t, nil, takedown.ListSource{Name: "a", List: l})
	}
	for name, tt := range map[string]struct {
		e                       *takedown.Enforcer
		url                     string
		want                    takedown.Verdict
		why                     takedown.Tier
		digest, hashes, feature bool
	}{
		"address":    {rule(0, blocklist.Keys{}), "https://a.example/blocked.jpg", takedown.Block, takedown.TierURL, false, false, false},
		"bytes":      {rule(blocklist.ScopeBytes, blocklist.Keys{Bytes: [][32]byte{whole.SHA256}}), "", takedown.Block, takedown.TierBytes, true, false, false},
		"hash":       {rule(blocklist.ScopeDuplicate, k), "", takedown.Block, takedown.TierHash, true, true, false},
		"features":   {rule(blocklist.ScopeDuplicate, blocklist.Keys{Features: k.Features}), "", takedown.Block, takedown.TierFeatures, true, true, true},
		"no feature": {rule(0, blocklist.Keys{}), "", takedown.Allow, 0, true, true, false},
	} {
		r := &countingReader{r: bytes.NewReader(file)}
		faces := takedown.FaceEmbedderFunc(func(context.Context, image.Image) ([]takedown.FoundFace, error) {
			t.Errorf("%s: faces were looked for, and the list has none", name)
			return nil, nil
		})
		d, c, err := tt.e.CheckFile(ctx, r, takedown.Source{ImageURL: tt.url}, &takedown.InspectOptions{FaceEmbedder: faces})
		if err != nil || d.Verdict != tt.want || d.Why != tt.why {
			t.Errorf("%s: %v, %v", name, d, err)
		}
		if (r.n > 0) != tt.digest || (c.SHA256 != [32]byte{}) != tt.digest || (len(c.Hashes) > 0) != tt.hashes || c.Features.IsZero() == tt.feature {
			t.Errorf("%s: %d bytes read, %v", name, r.n, c)
		}
	}
}

// A file that cannot be read to its end, or whose context ends, is not allowed.
func TestCheckFile_Errors(t *testing.T) {
	t.Parallel()
	sharedtest.NeedTestdata(t)
	file, err := os.ReadFile("testdata/picture.jpg")
	ok(t, err)
	e := enforcer(t, nil, takedown.ListSource{Name: "a", List: listOf(t, "https://a.example/blocked.jpg")})
	broken := errors.New("broken")
	d, _, err := e.CheckFile(ctx, io.MultiReader(bytes.NewReader(file[:1000]), iotest.ErrReader(broken)), takedown.Source{}, nil)
	if !errors.Is(err, broken) || d.Verdict != takedown.Review {
		t.Errorf("a reader that fails: %v, %v", d, err)
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	if d, _, err := e.CheckFile(over, bytes.NewReader(file), takedown.Source{}, nil); !errors.Is(err, context.Canceled) || d.Verdict != takedown.Unknown {
		t.Errorf("a context that has ended: %v, %v", d, err)
	}
	if d, _, err := e.CheckFile(over, bytes.NewReader(file), takedown.Source{ImageURL: "https://a.example/blocked.jpg"}, nil); err != nil || d.Verdict != takedown.Block {
		t.Errorf("a blocked address, and a context that has ended: %v, %v", d, err)
	}
	var argument *takedown.ArgumentError
	if d, _, err := e.CheckFile(ctx, nil, takedown.Source{}, nil); !errors.As(err, &argument) || d.Verdict != takedown.Unknown {
		t.Errorf("no reader: %v, %v", d, err)
	}
	if d, _, err := e.CheckFile(ctx, strings.NewReader("not an image"), takedown.Source{MediaType: "image/png"}, nil); err == nil || d.Verdict != takedown.Review {
		t.Errorf("not an image: %v, %v", d, err)
	}
	ok(t, e.Close())
}

// The allow list leaves a file alone that has one picture. Until a second frame is
// found, an animation looks like one, and what is inside its first frame is let
// through; then it is asked again.
func TestCheckFile_AllowListAndAnimation(t *testing.T) {
	t.Parallel()
	sharedtest.NeedTestdata(t)
	file, err := os.ReadFile("testdata/picture.jpg")
	ok(t, err)
	m, err := jpeg.Decode(bytes.NewReader(file))
	ok(t, err)
	var blank bytes.Buffer
	ok(t, jpeg.Encode(&blank, image.NewGray(m.Bounds()), nil))
	moving := changed(t, file, blank.Bytes())["first frame"]
	l := listOf(t)
	appendTo(t, l, blocklist.Event{Type: blocklist.EventAdded, Rule: &blocklist.Rule{
		Kind: 3, Scope: blocklist.ScopeDuplicate, Effect: blocklist.EffectBlock, Case: [16]byte{1},
		Keys: blocklist.Keys{Features: keysOf(t, file).Features},
	}})
	appendTo(t, l, blocklist.Event{Type: blocklist.EventException, Keys: blocklist.Keys{Bytes: [][32]byte{sha256.Sum256(moving)}}})
	e := enforcer(t, nil, takedown.ListSource{Name: "a", List: l})
	c, err := takedown.Inspect(bytes.NewReader(moving), takedown.Source{}, nil)
	ok(t, err)
	want := e.Check(c)
	if want.Verdict <= takedown.Allow || len(c.Frames) != 1 {
		t.Fatalf("Check says %v of %d further frames: the test proves nothing", want, len(c.Frames))
	}
	if got, _, err := e.CheckFile(ctx, bytes.NewReader(moving), takedown.Source{}, nil); err != nil || got.Verdict != want.Verdict {
		t.Errorf("CheckFile says %v, %v; Check %v", got, err, want)
	}
}
