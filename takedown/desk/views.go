package desk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"slices"

	"golang.org/x/image/draw"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/apart"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// What is registered of a picture are views of its file: frames, readings of its
// transparency, and rectangles. The material of an item has all views that were
// looked at. A grant chooses some of them, or takes those that are the default.

// ViewPreview shows a view of a picture of a case: what a registration of it is
// computed from, without colour profiles and transparency. Viewers may show the
// file differently; the reviewer compares.
type ViewPreview struct {
	// Item is the number of the item in Case.Items.
	Item int
	View blocklist.View
	// Registered reports whether the grant registers the view.
	Registered bool
	// Left is the reason why it is not registered by default.
	Left request.WhyLeft
	// Width and Height are those of the view, in pixels.
	Width, Height int
	// JPEG is a small picture of it, of at most PreviewSide pixels each way. It is
	// nil if the file was erased, or no decoder of the desk reads it.
	JPEG []byte
}

// PreviewSide is the longer side of a small picture in a preview, in pixels.
const PreviewSide = 320

// registered returns the material of the views that an item registers: those that
// were chosen, or the default. Items that are no pictures have no views.
func (it *CaseItem) registered(m *request.Material) request.Material {
	if it.Kind != request.ItemPicture {
		return *m
	}
	if it.Views != nil {
		return m.Only(it.Views)
	}
	return m.Only(m.Defaults())
}

// registered returns the material of what the items of a case register.
func (c *Case) registered(mats []request.Material) []request.Material {
	mats = slices.Clone(mats)
	for i := range min(len(mats), len(c.Items)) {
		mats[i] = c.Items[i].registered(&mats[i])
	}
	return mats
}

// views notes which views of a picture a grant registers, and narrows its material
// to them.
func (p *plan) views(i int) error {
	it, dec := &p.c.Items[i], p.g.Items[i]
	if !p.g.asBefore || dec.Views != nil {
		it.Views = nil
	}
	if dec.Views != nil {
		if it.Kind != request.ItemPicture {
			return p.refuse("item %d is no picture; it has no views", i)
		}
		if len(dec.Views) == 0 {
			return p.refuse("item %d: no view is chosen; reject the item instead", i)
		}
		for _, v := range dec.Views {
			if p.mats[i].Find(v) < 0 {
				return p.refuse("item %d has no view %v", i, v)
			}
		}
		it.Views = slices.Clone(dec.Views)
	}
	p.mats[i] = it.registered(&p.mats[i])
	return nil
}

// reaches returns the widest scope of the views that an item registers.
func reaches(it CaseItem, m *request.Material) CaseItem {
	if it.Views != nil {
		it.MaxScope = takedown.ScopeBytes
		for _, v := range m.Views {
			it.MaxScope = max(it.MaxScope, v.MaxScope)
		}
	}
	return it
}

// withViews looks at the views that a grant names and nobody has looked at yet. It
// decodes files, so it is called without the desk's lock; takeViews then gives the
// case what was found.
func (d *Desk) withViews(ctx context.Context, id takedown.CaseID, g *Grant) (found map[int]request.Material, err error) {
	var c *caseRecord
	var mats []request.Material
	for i, dec := range g.Items {
		if len(dec.Views) == 0 {
			continue
		}
		if c == nil {
			if c, err = d.store.whole(id, false); err != nil {
				return nil, err
			}
			if mats, err = d.store.material(id); err != nil {
				return nil, err
			}
			found = map[int]request.Material{}
		}
		if i < 0 || i >= min(len(c.Items), len(mats)) || !slices.ContainsFunc(dec.Views, func(v blocklist.View) bool { return mats[i].Find(v) < 0 }) {
			continue
		}
		file, err := d.imageOf(c, i)
		if err != nil {
			return nil, err
		}
		var m request.Material
		err = d.decoding(ctx, func() (err error) {
			m, err = mats[i].AddViews(ctx, file, dec.Views, d.opts.Decoders)
			return err
		})
		if errors.Is(err, request.ErrNoView) {
			return nil, &GrantError{id, fmt.Sprintf("item %d: %v", i, err)}
		}
		if err != nil {
			return nil, err
		}
		found[i] = m
	}
	return found, nil
}

// takeViews gives a case the material that withViews found.
func (d *Desk) takeViews(c *caseRecord, found map[int]request.Material) error {
	if len(found) == 0 {
		return nil
	}
	mats, err := d.material(c)
	if err != nil {
		return err
	}
	mats = slices.Clone(mats)
	for i, m := range found {
		if i >= len(mats) || !mats[i].Same(&m) {
			return &GrantError{c.ID, "its request was replaced meanwhile; look at it again"}
		}
		mats[i] = m
	}
	c.material = mats
	return nil
}

// imageOf returns the file of an item that is a picture.
func (d *Desk) imageOf(c *caseRecord, item int) ([]byte, error) {
	n, ok := c.Items[item].imageNumber()
	if !ok {
		return nil, &GrantError{c.ID, fmt.Sprintf("item %d is no picture; it has no views", item)}
	}
	if n >= len(c.files) {
		return nil, fmt.Errorf("takedown: case %v: the pictures are gone: %w", c.ID, ErrErased)
	}
	return d.store.file(c.ID, c.files[n]).Bytes(phash.DefaultMaxBytes)
}

// decoding calls decode when one of the desk's slots is free. When the context ends,
// decode goes on for a while, and nothing that it writes may be read.
func (d *Desk) decoding(ctx context.Context, decode func() error) error {
	select {
	case d.slots <- struct{}{}:
		return apart.Run(ctx, func() { <-d.slots }, decode)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// show makes the small pictures of all views of a case. c is what a grant was
// planned for; mats has the material of all views.
func (p *Preview) show(ctx context.Context, d *Desk, c *caseRecord, mats []request.Material) error {
	for i := range min(len(mats), len(c.Items)) {
		it, m := &c.Items[i], &mats[i]
		if it.Kind != request.ItemPicture {
			continue
		}
		registers := it.registered(m)
		at := len(p.Views)
		var list []blocklist.View
		for _, v := range m.Views {
			p.Views = append(p.Views, ViewPreview{
				Item: i, View: v.View, Left: c.left(i, v.View),
				Registered: it.Outcome == OutcomeAccepted && registers.Find(v.View) >= 0,
			})
			list = append(list, v.View)
		}
		file, err := d.imageOf(c, i)
		if errors.Is(err, ErrErased) {
			continue
		}
		if err != nil {
			return err
		}
		small := map[blocklist.View]ViewPreview{}
		err = d.decoding(ctx, func() error {
			return request.EachView(ctx, file, list, d.opts.Decoders, func(v blocklist.View, pic *phash.Picture) (err error) {
				var s ViewPreview
				s.Width, s.Height = pic.Size()
				s.JPEG, err = smallPicture(pic.Image())
				small[v] = s
				return err
			})
		})
		if err != nil && ctx.Err() != nil {
			return ctx.Err()
		}
		// A desk that lost a decoder still decides.
		for k := at; k < len(p.Views); k++ {
			v := &p.Views[k]
			s := small[v.View]
			v.Width, v.Height, v.JPEG = s.Width, s.Height, s.JPEG
		}
	}
	return nil
}

// left returns why a view of an item is not registered by default.
func (c *Case) left(item int, v blocklist.View) request.WhyLeft {
	n := 0
	for i := range item {
		if c.Items[i].Kind == request.ItemPicture {
			n++
		}
	}
	if n >= len(c.Pictures) {
		return ""
	}
	for _, k := range c.Pictures[n].Views {
		if k.View == v {
			return k.Left
		}
	}
	return ""
}

// smallPicture returns a small JPEG of an opaque image.
func smallPicture(img image.Image) ([]byte, error) {
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	if long := max(w, h); long > PreviewSide {
		w, h = max(1, w*PreviewSide/long), max(1, h*PreviewSide/long)
	}
	small := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.ApproxBiLinear.Scale(small, small.Rect, img, b, draw.Src, nil)
	var out bytes.Buffer
	err := jpeg.Encode(&out, small, &jpeg.Options{Quality: 80})
	return out.Bytes(), err
}
