package desk_test

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/color/palette"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"image/png"
	"slices"
	"strings"
	"testing"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// seen is the picture of testJPEG.
func seen(tb testing.TB, seed uint32) image.Image {
	tb.Helper()
	m, err := jpeg.Decode(bytes.NewReader(testJPEG(tb, seed)))
	ok(tb, err)
	return m
}

// titleCard is a plain card with some bars of text.
func titleCard() image.Image {
	m := image.NewGray(image.Rect(0, 0, 256, 192))
	draw.Draw(m, m.Rect, image.White, image.Point{}, draw.Src)
	for line := range 7 {
		for word := range 5 {
			for c := range 5 {
				x := 24 + 40*word + 6*c
				r := image.Rect(x, 40+16*line, x+3+c%2, 48+16*line)
				draw.Draw(m, r, image.Black, image.Point{}, draw.Src)
			}
		}
	}
	return m
}

// animated is a GIF of frames, each shown for some hundredths of a second.
func animated(tb testing.TB, frames []image.Image, delays ...int) []byte {
	tb.Helper()
	g := gif.GIF{Delay: delays}
	for _, f := range frames {
		p := image.NewPaletted(f.Bounds(), palette.Plan9)
		for i := range p.Palette {
			p.Palette[i] = color.Gray{byte(i)}
		}
		draw.Draw(p, p.Rect, f, f.Bounds().Min, draw.Src)
		g.Image = append(g.Image, p)
	}
	var b bytes.Buffer
	ok(tb, gif.EncodeAll(&b, &g))
	return b.Bytes()
}

func pngOf(tb testing.TB, m image.Image) []byte {
	tb.Helper()
	var b bytes.Buffer
	ok(tb, png.Encode(&b, m))
	return b.Bytes()
}

func imageOptOut(file []byte) request.Request {
	return request.ImageOptOut{
		Requester: request.Requester{Name: "A Person", Email: "a@example.org"}, Claim: request.ClaimOwner,
		Images: []request.File{request.FromBytes(file)},
	}
}

// asked is what an enforcer answers about a picture.
func asked(tb testing.TB, d *desk.Desk, m image.Image) takedown.Decision {
	tb.Helper()
	c, err := takedown.Inspect(bytes.NewReader(pngOf(tb, m)), takedown.Source{}, nil)
	ok(tb, err)
	return d.Enforcer().Check(c)
}

// shownViews returns the views that a grant registers, and checks the small pictures.
func shownViews(tb testing.TB, d *desk.Desk, id takedown.CaseID, g *desk.Grant) (registered, others []blocklist.View) {
	tb.Helper()
	p, err := d.Preview(ctx, id, nil, g)
	ok(tb, err)
	for _, v := range p.Views {
		small, err := jpeg.Decode(bytes.NewReader(v.JPEG))
		ok(tb, err)
		if s := small.Bounds().Size(); max(s.X, s.Y) > desk.PreviewSide || s.X < 1 || s.X*v.Height/v.Width != s.Y {
			tb.Errorf("%v of %d × %d is shown as %v", v.View, v.Width, v.Height, s)
		}
		if v.Registered {
			registered = append(registered, v.View)
		} else {
			others = append(others, v.View)
		}
	}
	return registered, others
}

// frames are the views of frames.
func frames(numbers ...uint32) (list []blocklist.View) {
	for _, n := range numbers {
		list = append(list, blocklist.View{Frame: n})
	}
	return list
}

// Of an animation all distinct frames are registered, but no title and nothing that
// is shown too briefly; or those that a reviewer chooses. The reviewer is shown all.
func TestViews_Animation(t *testing.T) {
	t.Parallel()
	a, b, hidden, other := seen(t, 1), seen(t, 2), seen(t, 3), seen(t, 4)
	file := animated(t, []image.Image{titleCard(), a, hidden, b, a}, 100, 200, 1, 300, 100)
	d := open(t, t.TempDir(), &desk.Options{OneReviewer: true})
	c, err := d.Submit(ctx, imageOptOut(file))
	ok(t, err)
	why := map[uint32]request.WhyLeft{}
	for _, v := range c.Pictures[0].Views {
		why[v.View.Frame] = v.Left
	}
	if len(why) != 4 || why[0] != request.LeftTitle || why[1] != "" || why[2] != request.LeftBrief || why[3] != "" {
		t.Errorf("left are %v", why)
	}
	registered, others := shownViews(t, d, c.ID, nil)
	if !slices.Equal(registered, frames(1, 3)) || !slices.Equal(others, frames(0, 2)) {
		t.Errorf("by default %v are registered, not %v", registered, others)
	}
	ok(t, d.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
	wantVerdict(t, "a frame", asked(t, d, a), takedown.Block)
	got := asked(t, d, b)
	if wantVerdict(t, "another frame", got, takedown.Block); got.View != (blocklist.View{Frame: 3}) {
		t.Errorf("the match names %v", got.View)
	}
	for what, m := range map[string]image.Image{"its title": titleCard(), "the hidden frame": hidden, "another picture": other} {
		wantVerdict(t, what, asked(t, d, m), takedown.Allow)
	}
	wantVerdict(t, "another animation of that title", asked(t, d, first(t, animated(t, []image.Image{titleCard(), other}, 100, 100))), takedown.Allow)

	// A reviewer narrows it to one frame, which needs no file any more.
	ok(t, d.Amend(ctx, c.ID, desk.Grant{Actor: alice, Items: map[int]desk.ItemDecision{0: {Views: frames(3)}}}))
	wantVerdict(t, "the frame that was given up", asked(t, d, a), takedown.Allow)
	wantVerdict(t, "the frame that stays", asked(t, d, b), takedown.Block)
	now, err := d.Case(ctx, c.ID)
	if ok(t, err); !slices.Equal(now.Items[0].Views, frames(3)) {
		t.Errorf("the case says %v", now.Items[0].Views)
	}
	// The file itself stays blocked as long as anything of it is.
	whole, err := takedown.Inspect(bytes.NewReader(file), takedown.Source{}, nil)
	ok(t, err)
	wantVerdict(t, "the file", d.Enforcer().Check(whole), takedown.Block)
}

// first is the first frame of a file, as a viewer shows it.
func first(tb testing.TB, file []byte) image.Image {
	tb.Helper()
	p, err := phash.Decode(bytes.NewReader(file), nil)
	ok(tb, err)
	return p.Image()
}

// The choice of the views is a grant like any other: two reviewers choose the same.
// A choice that was made needs no second one for the animation's sake.
func TestViews_Risks(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), nil)
	c, err := d.Submit(ctx, imageOptOut(animated(t, []image.Image{seen(t, 1), seen(t, 2)}, 100, 100)))
	ok(t, err)
	var second *desk.SecondReviewError
	if err := d.Accept(ctx, c.ID, desk.Grant{Actor: alice}); !errors.As(err, &second) || !slices.Contains(second.Risks, request.FlagSeveralFrames) {
		t.Errorf("without a choice: %v", err)
	}
	for _, views := range [][]blocklist.View{{}, frames(7), {{Rect: image.Rect(0, 0, 999, 9)}}, {{Reading: 9}}} {
		var grant *desk.GrantError
		if err := d.Accept(ctx, c.ID, desk.Grant{Actor: bob, Items: map[int]desk.ItemDecision{0: {Views: views}}}); !errors.As(err, &grant) {
			t.Errorf("%v: %v", views, err)
		}
	}
	ok(t, d.Accept(ctx, c.ID, desk.Grant{Actor: bob, Items: map[int]desk.ItemDecision{0: {Views: frames(1)}}}))
	wantVerdict(t, "not chosen", asked(t, d, seen(t, 1)), takedown.Allow)
	wantVerdict(t, "chosen", asked(t, d, seen(t, 2)), takedown.Block)
}

// A rectangle registers that part of the picture and nothing beside it.
func TestViews_Rect(t *testing.T) {
	t.Parallel()
	const w, h = 256, 192
	collage := image.NewRGBA(image.Rect(0, 0, 2*w, h))
	draw.Draw(collage, image.Rect(0, 0, w, h), seen(t, 1), image.Point{}, draw.Src)
	draw.Draw(collage, image.Rect(w, 0, 2*w, h), seen(t, 2), image.Point{}, draw.Src)
	dir := t.TempDir()
	d := open(t, dir, &desk.Options{OneReviewer: true})
	c, err := d.Submit(ctx, imageOptOut(pngOf(t, collage)))
	ok(t, err)
	right := blocklist.View{Rect: image.Rect(w, 0, 2*w, h)}
	g := desk.Grant{Actor: alice, Items: map[int]desk.ItemDecision{0: {Views: []blocklist.View{right}}}}
	registered, others := shownViews(t, d, c.ID, &g)
	if !slices.Equal(registered, []blocklist.View{right}) || !slices.Equal(others, frames(0)) {
		t.Errorf("registered %v, not %v", registered, others)
	}
	ok(t, d.Accept(ctx, c.ID, g))
	check := func(when string) {
		t.Helper()
		got := asked(t, d, seen(t, 2))
		if wantVerdict(t, when+": the rectangle", got, takedown.Block); got.View != right || !strings.Contains(got.String(), "(256,0)-(512,192)") {
			t.Errorf("%s: %v", when, got)
		}
		wantVerdict(t, when+": beside it", asked(t, d, seen(t, 1)), takedown.Allow)
	}
	check("at once")
	ok(t, d.Close())
	d = open(t, dir, &desk.Options{OneReviewer: true})
	check("after a restart")
	// It can be granted again without its file.
	ok(t, d.Erase(ctx, c.ID, alice))
	g.Territories = []string{"DE"}
	ok(t, d.Amend(ctx, c.ID, g))
	wantVerdict(t, "in Germany", asked(t, d, seen(t, 2)), takedown.Restricted)
	var grant *desk.GrantError
	g.Items[0] = desk.ItemDecision{Views: []blocklist.View{{Rect: image.Rect(0, 0, w, h)}}}
	if err := d.Amend(ctx, c.ID, g); !errors.Is(err, desk.ErrErased) && !errors.As(err, &grant) {
		t.Errorf("another rectangle of a file that is gone: %v", err)
	}
}

// harsh is a picture in black and white.
func harsh(m image.Image) image.Image {
	out := image.NewGray(m.Bounds())
	draw.Draw(out, out.Rect, m, out.Rect.Min, draw.Src)
	for i, v := range out.Pix {
		out.Pix[i] = byte(int8(v) >> 7) // 128 and above are white
	}
	return out
}

// Where the readings of a transparent picture differ, the reviewer is shown each and
// chooses. By default what is seen over white is registered.
func TestViews_Readings(t *testing.T) {
	t.Parallel()
	shown, hidden := harsh(seen(t, 1)), harsh(seen(t, 2))
	b := shown.Bounds()
	m := image.NewNRGBA(b)
	for y := range b.Dy() {
		for x := range b.Dx() {
			s := color.GrayModel.Convert(shown.At(x, y)).(color.Gray).Y/2 + 128
			c := color.GrayModel.Convert(hidden.At(x, y)).(color.Gray).Y / 2
			// c·a + 255·(1-a) = s
			a := byte(255 * (255 - int(s)) / (255 - int(c)))
			m.SetNRGBA(x, y, color.NRGBA{c, c, c, a})
		}
	}
	d := open(t, t.TempDir(), &desk.Options{OneReviewer: true})
	c, err := d.Submit(ctx, imageOptOut(pngOf(t, m)))
	ok(t, err)
	registered, others := shownViews(t, d, c.ID, nil)
	colours := blocklist.View{Reading: phash.ReadingColours}
	if !slices.Equal(registered, frames(0)) || !slices.Contains(others, colours) {
		t.Fatalf("registered %v, not %v", registered, others)
	}
	ok(t, d.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
	wantVerdict(t, "what is seen", asked(t, d, shown), takedown.Block)
	wantVerdict(t, "what is hidden", asked(t, d, hidden), takedown.Allow)
	ok(t, d.Amend(ctx, c.ID, desk.Grant{Actor: alice, Items: map[int]desk.ItemDecision{0: {Views: []blocklist.View{colours}}}}))
	wantVerdict(t, "what is seen, given up", asked(t, d, shown), takedown.Allow)
	got := asked(t, d, hidden)
	if wantVerdict(t, "what was hidden", got, takedown.Block); got.View != colours {
		t.Errorf("the match names %v", got.View)
	}
}

// A damaged picture is registered as far as it is shown, after a reviewer looked.
// One of which most is missing has to be sent again.
func TestViews_Damaged(t *testing.T) {
	t.Parallel()
	file := testJPEG(t, 1)
	d := open(t, t.TempDir(), &desk.Options{OneReviewer: true})
	c, err := d.Submit(ctx, imageOptOut(file[:len(file)*9/10]))
	ok(t, err)
	p, err := d.Preview(ctx, c.ID, nil, nil)
	if ok(t, err); !slices.Contains(p.Risks, request.FlagDamaged) || len(p.Views) != 1 || p.Views[0].JPEG == nil {
		t.Errorf("risks %v, %d views", p.Risks, len(p.Views))
	}
	ok(t, d.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
	wantVerdict(t, "the whole picture", asked(t, d, seen(t, 1)), takedown.Block)
	var invalid *request.ValidationError
	if _, err := d.Submit(ctx, imageOptOut(testJPEG(t, 2)[:len(file)/2])); !errors.As(err, &invalid) || invalid.Problems[0].Code != request.CodeDamagedImage {
		t.Errorf("half a picture: %v", err)
	}
}
