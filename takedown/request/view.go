package request

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"slices"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/features"
	"github.com/staydown/staydown/internal/parts"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
)

// PictureView is a part of an image file that can be registered: a frame of an
// animation, or a reading of a transparent picture. The reviewer sees each, and
// chooses with desk.ItemDecision.Views.
type PictureView struct {
	View blocklist.View `json:"view"`
	// Left is the reason why the view is registered only if a reviewer chooses it;
	// empty if it is registered by default.
	Left WhyLeft `json:"left,omitempty"`
	// Start is when the frame is shown first, and Duration for how long, with the
	// frames that look like it.
	Start    time.Duration `json:"start,omitempty"`
	Duration time.Duration `json:"duration,omitempty"`
	// Hash is the PDQ hash of the view. Quality, Stability, MaxScope, Refused,
	// Points and NotInside are as in Picture. Risks are those of the view alone.
	Hash      phash.Hash     `json:"hash"`
	Quality   int            `json:"quality"`
	Stability int            `json:"stability"`
	MaxScope  takedown.Scope `json:"max_scope"`
	Refused   string         `json:"refused,omitempty"`
	Risks     []Flag         `json:"risks,omitempty"`
	Points    int            `json:"points"`
	NotInside string         `json:"not_inside,omitempty"`
}

// WhyLeft is the reason why a view is not registered by default.
type WhyLeft string

const (
	LeftTitle   WhyLeft = "title"   // text or a flat drawing among other frames: a title or a credit
	LeftBlank   WhyLeft = "blank"   // too little structure: other pictures would match
	LeftBrief   WhyLeft = "brief"   // shown too briefly to be seen
	LeftReading WhyLeft = "reading" // seen only without the transparency, or on a dark page
)

// MaterialView is what is stored of a view. Its hashes are those of Material.Hashes
// that have its number.
type MaterialView struct {
	View blocklist.View `json:"view"`
	// Default reports whether a grant that names no views registers it.
	Default bool `json:"default,omitempty"`
	// Features are the local features, compact and encoded. They are empty for a
	// picture that has too few.
	Features  []byte         `json:"features,omitempty"`
	Quality   int            `json:"quality,omitempty"`
	Stability int            `json:"stability,omitempty"`
	MaxScope  takedown.Scope `json:"max_scope"`
	Risks     []Flag         `json:"risks,omitempty"` // of the view alone
}

// measured is a view that was looked at.
type measured struct {
	picture  PictureView
	material MaterialView
	hashes   []blocklist.HashKey
}

// Limits of the views of animations.
const (
	// maxViews is how many distinct frames of a file are looked at.
	maxViews = takedown.DefaultInspectFrames
	// maxAllViews is how many of all files of a request. Each file has one at
	// least.
	maxAllViews = 100
	// briefly is which part of the time of the frame that is shown longest another
	// one is shown at least, to be seen.
	briefly = 100
)

// measure computes what a registration stores of one view, and returns the readings
// that show something else.
func measure(pic *phash.Picture, frame uint32) (v measured, differing []phash.Reading, err error) {
	p := &v.picture
	p.View.Frame, p.MaxScope = frame, takedown.ScopeDuplicate
	p.Start, p.Duration = pic.Frame().Start, pic.Frame().Duration
	p.Hash, p.Quality = pic.PDQ()
	// With perception hashes, for those who store goimagehash's.
	reg, err := phash.HashesToStore(pic, &phash.StoreOptions{AllAlgorithms: true, MaxMissing: maxMissing})
	var refused *phash.RefusedError
	if errors.As(err, &refused) {
		p.Refused = refused.Error()
		if seen, err := pic.Part(phash.ReadingWhite, image.Rectangle{}); err == nil {
			p.Hash, p.Quality = seen.PDQ()
		}
	} else if err != nil {
		return v, nil, err
	}
	if len(reg.Hashes) > 0 { // of a transparent picture, of what is seen
		p.Hash, p.Quality = reg.Hashes[0].Hash, reg.Quality
		if reg.Reading == phash.ReadingBlack {
			p.View.Reading = phash.ReadingBlack
		}
	}
	p.Stability = reg.Stability
	v.hashes = variants(reg)
	set, err := features.Extract(pic.Reading(p.View.Reading))
	var size *features.SizeError
	if err != nil && !errors.As(err, &size) { // a small or narrow picture has none
		return v, nil, fmt.Errorf("takedown: %w", err)
	}
	whole := set
	set = set.Compact()
	if err := set.Registrable(); err != nil {
		p.NotInside = err.Error()
		if refused != nil {
			p.MaxScope = takedown.ScopeBytes
		}
	} else {
		p.Points = set.Len()
		v.material.Features, _ = set.MarshalBinary()
	}
	v.narrow(set.Look())
	switch {
	case set.Look() != features.Natural:
	case features.IsComposite(pic.Reading(p.View.Reading)):
		p.Risks = append(p.Risks, FlagComposite)
	case p.Points > 0:
		for _, h := range parts.Hashes(pic.Reading(p.View.Reading), whole, parts.Registered) {
			v.hashes = append(v.hashes, blocklist.HashKey{Hash: h, Variant: uint8(phash.MakeTransform(phash.PartOf, phash.Upright))})
		}
	}
	v.material.Quality, v.material.Stability, v.material.MaxScope = p.Quality, p.Stability, p.MaxScope
	v.material.View, v.material.Risks = p.View, p.Risks
	return v, reg.Differing, nil
}

// narrow notes what a view looks like. The hashes of templates are all near one
// another, and reach less far.
func (v *measured) narrow(look features.Look) {
	switch look {
	case features.Document, features.Graphic:
		v.picture.Risks = append(v.picture.Risks, FlagTemplate)
	case features.Screen:
		v.picture.Risks = append(v.picture.Risks, FlagScreen)
	}
	bits, narrow := look.Reach()
	for i := range v.hashes {
		if h := &v.hashes[i]; narrow {
			h.Reach = blocklist.ReachBits(bits * h.Hash.Algorithm().Bits() / phash.AlgPDQ.Bits())
		}
	}
}

// views are the views of a file, while it is decoded.
type views struct {
	list    []measured
	shown   []time.Duration // how long each frame is shown, by the number of its first view
	frames  []int           // the first view of each frame
	leftOut int
	count   int // frames of the file
	format  phash.Format
	size    image.Point
	damage  phash.Damage

	ambiguous bool // see FlagAmbiguous
}

// add looks at a frame, unless it looks like an earlier one.
func (vs *views) add(pic *phash.Picture) error {
	f := pic.Frame()
	vs.count = max(vs.count, f.Count)
	if len(vs.list) == 0 {
		vs.format = pic.Format()
		vs.size.X, vs.size.Y = pic.Size()
	}
	if d := pic.Damage(); d.Missing > vs.damage.Missing || vs.damage == (phash.Damage{}) {
		vs.damage = d
	}
	if f.Count > 1 {
		own := phash.HashesToAsk(pic)[0]
		for i, k := range vs.frames {
			if n, ok := own.Distance(vs.list[k].picture.Hash); ok && n <= phash.SameReading {
				vs.shown[i] += f.Duration
				return nil
			}
		}
	}
	v, differing, err := measure(pic, uint32(f.Index))
	if err != nil {
		return err
	}
	vs.frames, vs.shown = append(vs.frames, len(vs.list)), append(vs.shown, f.Duration)
	vs.list = append(vs.list, v)
	for _, r := range differing {
		part, err := pic.Part(r, image.Rectangle{})
		if err != nil {
			return err
		}
		o, _, err := measure(part, uint32(f.Index))
		if err != nil {
			return err
		}
		o.setReading(r)
		o.picture.Left = LeftReading
		vs.list = append(vs.list, o)
	}
	return nil
}

// setReading notes the reading of a view that was measured without transparency.
func (v *measured) setReading(r phash.Reading) {
	v.picture.View.Reading, v.material.View.Reading = r, r
}

// choose says which views are registered by default: of a still picture the one that
// is seen; of an animation all frames except titles, blank ones, and those that
// nobody sees.
func (vs *views) choose() {
	if len(vs.frames) > 1 {
		longest := slices.Max(vs.shown)
		for i, k := range vs.frames {
			p := &vs.list[k].picture
			p.Duration = vs.shown[i]
			switch {
			case p.MaxScope < takedown.ScopeDuplicate:
				p.Left = LeftBlank
			case slices.Contains(p.Risks, FlagTemplate):
				p.Left = LeftTitle
			case vs.shown[i] < longest/briefly:
				p.Left = LeftBrief
			}
		}
		vs.atLeast(LeftTitle, LeftBlank)
	}
	for i := range vs.list {
		vs.list[i].material.Default = vs.list[i].picture.Left == ""
	}
}

// atLeast takes frames that were left, where otherwise nothing would be registered:
// an animation of drawings has no title.
func (vs *views) atLeast(reasons ...WhyLeft) {
	for _, why := range reasons {
		for _, k := range vs.frames {
			if vs.list[k].picture.Left == "" {
				return
			}
		}
		for _, k := range vs.frames {
			if p := &vs.list[k].picture; p.Left == why {
				p.Left = ""
			}
		}
	}
}

// picture returns what is known of a file whose views were chosen.
func (vs *views) picture(sum [32]byte) (p Picture, m Material) {
	p = Picture{SHA256: sum, Format: vs.format.String(), Width: vs.size.X, Height: vs.size.Y, LeftOut: vs.leftOut}
	m = Material{Bytes: &p.SHA256}
	first := true
	for _, v := range vs.list {
		p.Views = append(p.Views, v.picture)
		m.add(v)
		if v.picture.Left != "" {
			continue
		}
		if first {
			first = false
			p.Hash, p.Quality, p.Stability, p.Refused = v.picture.Hash, v.picture.Quality, v.picture.Stability, v.picture.Refused
			p.Points, p.NotInside = v.picture.Points, v.picture.NotInside
		}
		p.MaxScope = max(p.MaxScope, v.picture.MaxScope)
		for _, f := range v.picture.Risks {
			p.risk(f)
		}
	}
	if vs.count > 1 {
		m.Risks = append(m.Risks, FlagSeveralFrames)
	}
	if slices.ContainsFunc(vs.list, func(v measured) bool { return v.picture.Left == LeftReading }) {
		m.Risks = append(m.Risks, FlagReadingsDiffer)
	}
	if vs.ambiguous {
		m.Risks = append(m.Risks, FlagAmbiguous)
	}
	if vs.damage.Visible() {
		m.Risks = append(m.Risks, FlagDamaged)
	}
	for _, f := range m.Risks {
		p.risk(f)
	}
	return p, m
}

func (p *Picture) risk(f Flag) {
	if !slices.Contains(p.Risks, f) {
		p.Risks = append(p.Risks, f)
	}
}

// add adds what is stored of a view.
func (m *Material) add(v measured) {
	m.Views = append(m.Views, v.material)
	for _, h := range v.hashes {
		h.View = uint8(len(m.Views))
		m.Hashes = append(m.Hashes, h)
	}
}

// Find returns the number of a view of the material, or −1.
func (m *Material) Find(v blocklist.View) int {
	return slices.IndexFunc(m.Views, func(o MaterialView) bool { return o.View == v })
}

// Defaults returns the views that are registered by a grant that names none.
func (m *Material) Defaults() (list []blocklist.View) {
	for _, v := range m.Views {
		if v.Default {
			list = append(list, v.View)
		}
	}
	return list
}

// Only returns the material of some of its views. Views that it does not have are
// passed over.
func (m *Material) Only(list []blocklist.View) Material {
	o := *m
	o.Views, o.Hashes = nil, nil
	for _, v := range list {
		i := m.Find(v)
		if i < 0 || o.Find(v) >= 0 {
			continue
		}
		o.Views = append(o.Views, m.Views[i])
		for _, h := range m.Hashes {
			if int(h.View) == i+1 {
				h.View = uint8(len(o.Views))
				o.Hashes = append(o.Hashes, h)
			}
		}
	}
	return o
}

// AddViews looks at views of a file that a grant names and that the material does
// not have, such as rectangles. It returns the material with them. A view that the
// file does not have is an error that wraps [ErrNoView].
func (m *Material) AddViews(ctx context.Context, file []byte, list []blocklist.View, decoders map[phash.Format]phash.Decoder) (Material, error) {
	more := *m
	more.Views, more.Hashes = slices.Clone(m.Views), slices.Clone(m.Hashes)
	var missing []blocklist.View
	for _, v := range list {
		if m.Find(v) < 0 && !slices.Contains(missing, v) {
			missing = append(missing, v)
		}
	}
	if len(missing) == 0 {
		return more, nil
	}
	if len(more.Views)+len(missing) > blocklist.MaxViews {
		return more, fmt.Errorf("takedown: more than %d views of one picture", blocklist.MaxViews)
	}
	err := EachView(ctx, file, missing, decoders, func(v blocklist.View, pic *phash.Picture) error {
		o, _, err := measure(pic, v.Frame)
		if err == nil {
			o.material.View = v
			more.add(o)
		}
		return err
	})
	return more, err
}

// ErrNoView is returned for a view that a file does not have.
var ErrNoView = errors.New("takedown: the file has no such frame, reading or rectangle")

// EachView decodes a file and calls f with the picture of each view, as it is
// registered: in one reading, cut to the rectangle. The order is that of the frames.
func EachView(ctx context.Context, file []byte, list []blocklist.View, decoders map[phash.Format]phash.Decoder, f func(blocklist.View, *phash.Picture) error) error {
	left := slices.Clone(list)
	opts := phash.DecodeOptions{MaxPixels: maxImagePixels, MaxFrames: maxViews, AcceptTruncated: true, Decoders: decoders}
	for pic, err := range phash.DecodeFramesContext(ctx, bytes.NewReader(file), &opts) {
		var more *phash.LeftOutError
		if err != nil && !errors.As(err, &more) {
			return err
		}
		if err != nil || len(left) == 0 {
			break
		}
		frame := uint32(pic.Frame().Index)
		for _, v := range left {
			if v.Frame != frame {
				continue
			}
			if v.Reading > phash.ReadingColours || v.Reading != phash.ReadingWhite && !pic.HasAlpha() {
				return fmt.Errorf("%w: %v: the picture is not transparent", ErrNoView, v)
			}
			part, err := pic.Part(v.Reading, v.Rect)
			if err != nil {
				return fmt.Errorf("%w: %w", ErrNoView, err)
			}
			if err := f(v, part); err != nil {
				return err
			}
		}
		left = slices.DeleteFunc(left, func(v blocklist.View) bool { return v.Frame == frame })
	}
	if len(left) > 0 {
		return fmt.Errorf("%w: %v", ErrNoView, left[0])
	}
	return nil
}
