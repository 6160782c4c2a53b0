package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/disintegration/imaging"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/features"
	"github.com/staydown/staydown/internal/outline"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
)

// compareCmd compares two pictures.
type compareCmd struct {
	A   string `arg:"" help:"The picture as it would be registered." predictor:"file"`
	B   string `arg:"" help:"The picture that is looked up." predictor:"file"`
	Out string `help:"Write a PNG with both pictures side by side, with what they have in common outlined in each." short:"o" placeholder:"FILE"`
}

// Help is shown below the usage.
func (compareCmd) Help() string {
	return `Registers A in a list in memory, for copies of any kind, and looks B up in it. Prints what every tier finds:
the bytes of the file, the perceptual hash with its distance in bits, and the local features, which find a picture
inside another one. The exit code is 3 if B would be blocked, 4 if it would be held for review, and 0 otherwise.

  staydown compare original.jpg screenshot.png --out match.png`
}

// compared is the answer of compare.
type compared struct {
	Verdict  takedown.Decision `json:"decision"`
	Bytes    bool              `json:"same_bytes"`
	Distance int               `json:"distance"` // of the nearest hashes; -1 for none
	Refused  string            `json:"not_registered,omitempty"`
	Tiers    []tierResult      `json:"tiers"`
}

// tierResult is what one tier says.
type tierResult struct {
	Tier     takedown.Tier      `json:"tier"`
	Decision *takedown.Decision `json:"decision,omitempty"`
	Text     string             `json:"text"`
}

// compareSide is one of the two pictures.
type compareSide struct {
	data []byte
	pic  *phash.Picture
	c    takedown.Candidate
}

func readSide(a *app, name string) (*compareSide, error) {
	data, err := readInput(a, name, takedown.DefaultInspectBytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	opts := decoding()
	opts.AcceptTruncated, opts.MaxBytes = true, takedown.DefaultInspectBytes
	s := &compareSide{data: data}
	if s.pic, err = decodeBytes(a, data, opts); err == nil {
		s.c, err = takedown.InspectContext(a.ctx, bytes.NewReader(data), takedown.Source{}, &takedown.InspectOptions{Decode: decoding(), FirstFrame: true})
	}
	if err != nil && !errors.As(err, new(*phash.LeftOutError)) {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

func decodeBytes(a *app, data []byte, opts *phash.DecodeOptions) (*phash.Picture, error) {
	return phash.DecodeContext(a.ctx, bytes.NewReader(data), opts)
}

func (c *compareCmd) Run(a *app) error {
	from, err := readSide(a, c.A)
	if err != nil {
		return err
	}
	with, err := readSide(a, c.B)
	if err != nil {
		return err
	}
	l, refused, err := registered(a.ctx, from)
	if err != nil {
		return err
	}
	defer l.Close()
	e, err := takedown.NewEnforcer([]takedown.ListSource{{List: l}}, nil)
	if err != nil {
		return err
	}
	res := &compared{Verdict: e.Check(with.c), Bytes: from.c.SHA256 == with.c.SHA256, Distance: -1, Refused: refused}
	for _, h := range from.c.Hashes {
		for _, k := range with.c.Hashes {
			if d, ok := h.Distance(k); ok && (res.Distance < 0 || d < res.Distance) {
				res.Distance = d
			}
		}
	}
	res.tiers(e, with)
	match, found := findRegion(l, with)
	if found {
		res.Tiers[2].Text = fmt.Sprintf("%s: %d points fit, %.0f %% of A is proved to be in B, which is %.0f %% of B%s",
			res.Tiers[2].Text, match.Inliers, 100*match.Coverage, 100*match.Share, map[bool]string{true: ", mirrored"}[match.Mirrored])
	}
	if c.Out != "" {
		var m *[8]float64
		if found {
			m = &match.Map
		}
		if err := imaging.Save(outline.SideBySide(from.pic.Image(), with.pic.Image(), m, sideHeight), c.Out); err != nil {
			return fmt.Errorf("--out %s: %w", c.Out, err)
		}
	}
	a.note(res.Verdict.Verdict)
	a.print(res, res.text())
	return nil
}

// registered makes a list in memory that blocks copies of a picture.
func registered(ctx context.Context, s *compareSide) (l *blocklist.List, refused string, err error) {
	keys := blocklist.Keys{Bytes: [][32]byte{s.c.SHA256}}
	reg, err := phash.HashesToStore(s.pic, nil)
	if err != nil {
		refused = err.Error()
	}
	for _, h := range reg.Hashes {
		keys.Hashes = append(keys.Hashes, blocklist.HashKey{Hash: h.Hash, Variant: uint8(h.Transform)})
	}
	f, err := features.Extract(s.pic.Luma())
	if err == nil && f.Registrable() == nil {
		keys.Features = []blocklist.Features{f.Compact()}
	} else if refused == "" {
		refused = "too little detail for local features"
	}
	l, err = blocklist.New(blocklist.NewMemoryJournal(), "", nil)
	if err != nil {
		return nil, "", err
	}
	_, err = l.Append(ctx, blocklist.Event{ID: [16]byte{1}, Type: blocklist.EventAdded,
		Rule: &blocklist.Rule{Scope: blocklist.ScopeDuplicate, Effect: blocklist.EffectBlock, Case: [16]byte{1}, Keys: keys}})
	return l, refused, err
}

// tiers asks each tier alone.
func (r *compared) tiers(e *takedown.Enforcer, with *compareSide) {
	hash := with.c
	hash.SHA256, hash.Features, hash.Frames = [32]byte{}, takedown.Features{}, nil
	feature := with.c
	feature.SHA256, feature.Hashes, feature.Frames = [32]byte{}, nil, nil
	for _, t := range []struct {
		tier takedown.Tier
		c    takedown.Candidate
	}{{takedown.TierBytes, takedown.Candidate{SHA256: with.c.SHA256}}, {takedown.TierHash, hash}, {takedown.TierFeatures, feature}} {
		d := e.Check(t.c)
		text := d.Verdict.String()
		switch {
		case !d.Checked.Has(t.tier):
			text = "not compared"
		case t.tier == takedown.TierHash && r.Distance >= 0:
			text += fmt.Sprintf(": the nearest hashes are %d of 256 bits apart", r.Distance)
			if d.Why != 0 {
				text += fmt.Sprintf(", %d with A %s", d.Distance, d.Transform)
			}
		}
		r.Tiers = append(r.Tiers, tierResult{t.tier, &d, text})
	}
}

func (r *compared) text() string {
	var b strings.Builder
	for _, t := range r.Tiers {
		fmt.Fprintf(&b, "%-9s %s\n", t.Tier, t.Text)
	}
	if r.Refused != "" {
		fmt.Fprintf(&b, "A cannot be registered fully: %s\n", r.Refused)
	}
	fmt.Fprintf(&b, "together  %s", r.Verdict)
	return b.String()
}

// findRegion looks for the picture of a list in another one by local features.
func findRegion(l *blocklist.List, with *compareSide) (m blocklist.FeatureMatch, found bool) {
	f, err := features.Extract(with.pic.Luma())
	if err != nil {
		return m, false
	}
	var x blocklist.FeatureSearcher
	l.State().FindFeatures(&x, f, nil, func(_ blocklist.Hit, best blocklist.FeatureMatch) bool {
		m, found = best, true
		return false
	})
	return m, found
}

// sideHeight is the height of the pictures of --out.
const sideHeight = 480

// exists reports whether a file is there.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
