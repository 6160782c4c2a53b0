package desk_test

import (
	"bytes"
	"image"
	"image/draw"
	"testing"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
)

// A ranker that has kept hashes of parts finds a crop that its first hash misses, if
// the desk registers parts. A part that is asked as a whole picture finds nothing.
func TestParts(t *testing.T) {
	t.Parallel()
	file := photo(t, "opencv_chicky-512_4d2cf040.jpg")
	whole := first(t, file)
	b := whole.Bounds()
	cut := image.NewNRGBA(image.Rect(0, 0, b.Dx()*4/5, b.Dy()*4/5))
	draw.Draw(cut, cut.Rect, whole, b.Min.Add(image.Pt(b.Dx()/7, b.Dy()/9)), draw.Src)
	c := inspectWith(t, pngOf(t, cut), &takedown.InspectOptions{Parts: true, NoFeatures: true})
	if len(c.Parts) == 0 || len(c.Parts) > 8 || !c.Features.IsZero() {
		t.Fatalf("%d parts, features %v", len(c.Parts), c.Features)
	}
	for _, parts := range []bool{false, true} {
		d := open(t, t.TempDir(), &desk.Options{Parts: parts})
		accept(t, d, imageOptOut(file), desk.Grant{Actor: desk.Actor{By: "jane"}})
		e := d.Enforcer()
		if got := e.Filter("", c.Hashes[0]); got.Verdict != takedown.Allow {
			t.Errorf("parts %v: the first hash alone: %v", parts, got)
		}
		got := e.Filter("", append(c.Hashes[:1:1], c.Parts...)...)
		if found := got.Verdict == takedown.Block; found != parts {
			t.Errorf("parts %v: with the parts: %v", parts, got)
		}
		if parts && (got.Why != takedown.TierHash || got.Transform.Edit() != phash.PartOf) {
			t.Errorf("found by %v, %v", got.Why, got.Transform)
		}
		if own := inspect(t, file, takedown.Source{}); e.Filter("", own.Hashes[0]).Verdict != takedown.Block {
			t.Errorf("parts %v: the picture itself is not found", parts)
		}
	}
}

// inspectWith is takedown.Inspect with options.
func inspectWith(tb testing.TB, file []byte, opts *takedown.InspectOptions) takedown.Candidate {
	tb.Helper()
	c, err := takedown.Inspect(bytes.NewReader(file), takedown.Source{}, opts)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}
