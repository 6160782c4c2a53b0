// Package avif decodes AVIF pictures for phash, without cgo: dav1d, the decoder of
// browsers, runs as WebAssembly, where a fault of it cannot reach the memory of the
// process.
//
//	opts := &phash.DecodeOptions{Decoders: map[phash.Format]phash.Decoder{
//		phash.FormatAVIF: avif.Decode,
//	}}
//	pic, err := phash.Decode(r, opts)
//
// # Limits
//
// Decode takes at most DefaultMemory for a picture; [Limited] makes a decoder that
// takes more or less. A picture that takes more is an error that wraps
// [phash.ErrTooLarge]; a crawler then holds it for review. Pictures of more than 24
// million pixels are reduced. Decoding cannot be interrupted within a frame or a tile
// of a grid.
//
// The first picture compiles the module, which takes about a second.
package avif

import (
	"context"
	"errors"
	"fmt"
	"image"
	"iter"
	"time"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/phash/avif/internal/dav1d"
)

// Decode is a [phash.Decoder] for AVIF. It returns the picture that browsers show,
// cropped, turned and mirrored as the file says, and for a sequence a
// [phash.Animation]. The errors wrap [phash.ErrTooLarge] or [phash.ErrUnsupported]
// where that is the reason. Safe for concurrent use.
func Decode(data []byte, maxPixels int64) (image.Image, error) {
	return limits{DefaultMemory}.decode(data, maxPixels)
}

// DefaultMemory is the memory in bytes that [Decode] takes for a picture at most. The
// pixels that it returns take up to 4 bytes each in addition.
const DefaultMemory = 232 << 20

// Limited returns [Decode] with another limit of memory, at most 4 GiB.
func Limited(memory int64) phash.Decoder {
	return limits{max(0, min(memory, 1<<32))}.decode
}

type limits struct{ memory int64 }

// What a picture takes in the sandbox, at least.
const (
	perPixel    = 2
	startMemory = 2 << 20
	maxFiltered = 8 << 20  // pixels up to which the filters of AV1 are applied
	maxKept     = 24 << 20 // pixels that are returned; larger pictures are reduced
)

// decoder decodes the pictures of one file.
type decoder struct {
	*container
	limits
	maxPixels int64
	plain     bool // the picture is so large that filters do not change its hashes
	open      *dav1d.Decoder
	options   dav1d.Options
}

func (d *decoder) close() {
	if d.open != nil {
		d.open.Close()
		d.open = nil
	}
}

func (l limits) decode(data []byte, maxPixels int64) (image.Image, error) {
	c, err := readContainer(data)
	if err != nil {
		return nil, err
	}
	d := &decoder{container: c, limits: l, maxPixels: maxPixels}
	defer d.close()
	if s := d.sequence(); s != nil {
		return s, s.first(maxPixels)
	}
	p, err := d.still()
	if err != nil {
		return nil, err
	}
	return p, nil
}

// failure is the error that phash knows for one of the decoder.
func failure(err error) error {
	if errors.Is(err, dav1d.ErrMemory) {
		return fmt.Errorf("avif: %w: %w", err, phash.ErrTooLarge)
	}
	return fmt.Errorf("avif: %w", err)
}

// check refuses a size.
func (d *decoder) check(w, h int) error {
	if w <= 0 || h <= 0 {
		return fmt.Errorf("%w: a picture without a size", errContainer)
	}
	if int64(w) > d.maxPixels/int64(h) {
		return fmt.Errorf("avif: %d × %d pixels where %d are allowed: %w", w, h, d.maxPixels, phash.ErrTooLarge)
	}
	return nil
}

// fits refuses a size for which the memory is not enough in any case, before it is
// taken.
func (l limits) fits(w, h int) error {
	if int64(w) > max(0, l.memory-startMemory)/perPixel/int64(h) {
		return fmt.Errorf("avif: %d × %d pixels: %w", w, h, phash.ErrTooLarge)
	}
	return nil
}

// sizeOf returns the size that the properties state.
func sizeOf(props []box) (w, h int) {
	_, _, r, ok := full(props, "ispe")
	if !ok {
		return 0, 0
	}
	w, h = int(r.uint(4)&0x7fffffff), int(r.uint(4)&0x7fffffff)
	if r.failed {
		return 0, 0
	}
	return w, h
}

// picture decodes one picture from data. It is good until the next call.
func (d *decoder) picture(data []byte, props []box, w, h int) (*dav1d.Picture, error) {
	o := dav1d.Options{
		Memory: d.memory, Expected: startMemory + 4*perPixel*int64(w)*int64(h) + int64(len(data)),
		MaxPixels: uint32(min(d.maxPixels, 1<<31)), Plain: d.plain,
	}
	if a1op, ok := find(props, "a1op"); ok && len(a1op) > 0 {
		o.OperatingPoint = int(a1op[0] & 31)
	}
	layer := -1
	if lsel, ok := find(props, "lsel"); ok && len(lsel) >= 2 {
		if v := int(lsel[0])<<8 | int(lsel[1]); v < 4 {
			layer, o.AllLayers = v, true
		}
	}
	// A decoder that another picture was decoded with may keep what that one left.
	if d.open == nil || d.options.OperatingPoint != o.OperatingPoint || d.options.AllLayers != o.AllLayers {
		d.close()
		var err error
		if d.open, err = dav1d.Open(o); err != nil {
			return nil, err
		}
		d.options = o
	}
	if err := d.open.Send(data); err != nil {
		d.close()
		return nil, err
	}
	for {
		p, err := d.open.Next()
		if err == nil && p == nil {
			err = dav1d.ErrDamaged
		}
		if err != nil {
			d.close()
			return nil, err
		}
		if layer < 0 || p.Layer == layer {
			return p, nil
		}
	}
}

// colours says what the samples of a picture mean.
type colours struct {
	matrix int
	full   bool
}

func coloursOf(p *dav1d.Picture, props []box) colours {
	for _, b := range props {
		if b.kind == "colr" && len(b.body) >= 11 && string(b.body[:4]) == "nclx" {
			return colours{int(b.body[8])<<8 | int(b.body[9]), b.body[10]&0x80 != 0}
		}
	}
	return colours{p.Matrix, p.FullRange}
}

// pasteAll pastes the planes of a picture, or its luma as alpha.
func pasteAll(to *planes, p *dav1d.Picture, full, alpha bool, x, y int) {
	for i, src := range p.Planes {
		plane := i
		if alpha {
			if plane = alphaPlane; i > 0 {
				break
			}
		}
		if plane < 3 && to.of[plane] == nil || !alpha && p.Layout != to.layout {
			break
		}
		_, sy := to.sub(plane)
		src.Height = min(src.Height, p.Rows/sy)
		to.paste(plane, src, levels(p.Bits, full, i > 0 && to.matrix != 0), x, y)
	}
}

// missingOf returns the share of a picture that was not decoded.
func missingOf(p *dav1d.Picture) float64 { return 1 - float64(p.Rows)/float64(p.Height) }

// scaleFor returns how far a picture of w × h pixels is reduced.
func scaleFor(w, h int) int {
	s := 1
	for ceilDiv(w, s)*ceilDiv(h, s) > maxKept {
		s++
	}
	return s
}

// still decodes the primary picture.
func (d *decoder) still() (image.Image, error) {
	it := d.items[d.primary]
	if it == nil {
		return nil, fmt.Errorf("%w: no primary picture", errContainer)
	}
	w, h := sizeOf(it.props)
	if err := d.check(w, h); err != nil {
		return nil, err
	}
	d.plain = d.plain || w > maxFiltered/h
	to, missing, err := d.pixels(nil, it, w, h)
	if err != nil {
		return nil, err
	}
	w, h = to.full.X, to.full.Y
	if a := d.alphaOf(d.primary); a != nil {
		if _, _, err := d.pixels(to, a, w, h); err != nil {
			to.of[alphaPlane] = nil // the colours are still looked at
			missing = max(missing, unknownAlpha)
		}
	}
	arrange(to, it.props, w, h)
	img := to.image(d.prem)
	if to.scale == 1 && missing == 0 {
		return img, nil
	}
	known := &phash.Decoded{Image: img, FullSize: image.Pt(to.w, to.h).Mul(to.scale)}
	if missing > 0 {
		known.Damage = phash.Damage{Reason: phash.DamageCut, Missing: missing}
	}
	return known, nil
}

// unknownAlpha is the share that counts as missing where transparency cannot be
// decoded.
const unknownAlpha = 0.01

// pixels decodes an item, or the tiles of a grid. Without planes to paste into, it
// returns new ones; otherwise it pastes the alpha plane.
func (d *decoder) pixels(to *planes, it *item, w, h int) (*planes, float64, error) {
	if it.kind == "grid" {
		return d.grid(to, it, w, h)
	}
	if err := d.fits(w, h); err != nil {
		return nil, 0, err
	}
	p, err := d.picture(d.bytes(it), it.props, w, h)
	if err != nil {
		return nil, 0, failure(err)
	}
	alpha := to != nil
	switch {
	case !alpha: // a picture of another size than is stated is shown scaled
		w, h = p.Width, p.Height
	case p.Width != w || p.Height != h:
		return nil, 0, fmt.Errorf("%w: alpha of another size", errContainer)
	}
	to = prepare(to, p, it.props, w, h)
	pasteAll(to, p, coloursOf(p, it.props).full, alpha, 0, 0)
	d.close()
	return to, missingOf(p), nil
}

// prepare returns planes for a picture, or, if there are some, adds the alpha plane.
func prepare(to *planes, p *dav1d.Picture, props []box, w, h int) *planes {
	if to == nil {
		return newPlanes(w, h, scaleFor(w, h), p.Layout, coloursOf(p, props).matrix)
	}
	if to.of[alphaPlane] == nil {
		to.of[alphaPlane] = image.NewGray(to.of[0].Rect)
	}
	return to
}

// grid decodes the tiles one after the other. Tiles that cannot be decoded are missing.
func (d *decoder) grid(to *planes, it *item, w, h int) (*planes, float64, error) {
	r := reader{data: d.bytes(it)}
	r.uint(1)
	flags := r.uint(1)
	rows, columns := int(r.uint(1))+1, int(r.uint(1))+1
	wide := 2 + 2*int(flags&1)
	gw, gh := int(r.uint(wide)), int(r.uint(wide))
	if r.failed || gw != w || gh != h || len(it.refs) < rows*columns {
		return nil, 0, fmt.Errorf("%w: a grid of %d × %d with %d tiles", errContainer, columns, rows, len(it.refs))
	}
	alpha := to != nil
	lost, tw, th := 0.0, 0, 0
	var first error
	for k, id := range it.refs[:rows*columns] {
		tile := d.items[id]
		if tile == nil || tile.kind == "grid" {
			lost++
			continue
		}
		if tw == 0 {
			if tw, th = sizeOf(tile.props); tw <= 0 || th <= 0 || (columns-1)*tw >= w || (rows-1)*th >= h || columns*tw < w || rows*th < h {
				return nil, 0, fmt.Errorf("%w: tiles of %d × %d", errContainer, tw, th)
			}
			if err := d.fits(tw, th); err != nil {
				return nil, 0, err
			}
		}
		p, err := d.picture(d.bytes(tile), tile.props, tw, th)
		if err != nil {
			if first == nil {
				first = err
			}
			lost++
			continue
		}
		props := it.props
		if _, ok := find(props, "colr"); !ok {
			props = tile.props
		}
		if to == nil || alpha {
			to = prepare(to, p, props, w, h)
		}
		pasteAll(to, p, coloursOf(p, props).full, alpha, k%columns*tw, k/columns*th)
		lost += missingOf(p)
		d.close() // what a damaged tile leaves must not come with the next one
	}
	if lost == float64(rows*columns) {
		if first == nil {
			first = errContainer
		}
		return nil, 0, failure(first)
	}
	return to, lost / float64(rows*columns), nil
}

// arrange crops, turns and mirrors.
func arrange(p *planes, props []box, w, h int) {
	quarters, axis := 0, -1
	for _, b := range props {
		switch {
		case b.kind == "clap":
			if r, ok := aperture(b.body, w, h); ok {
				p.crop(r)
			}
		case b.kind == "irot" && len(b.body) > 0:
			quarters = int(b.body[0] & 3)
		case b.kind == "imir" && len(b.body) > 0:
			axis = int(b.body[0] & 1)
		}
	}
	p.turn(quarters, axis)
}

// aperture returns the rectangle of a property clap. Only one that begins at the left
// upper corner counts, as in Chromium.
func aperture(clap []byte, w, h int) (image.Rectangle, bool) {
	r := reader{data: clap}
	var v [8]int64 // numerators and denominators: width, height, and where the middle lies
	for i := range v {
		v[i] = int64(int32(r.uint(4)))
	}
	if r.failed || v[1] <= 0 || v[3] <= 0 || v[5] <= 0 || v[7] <= 0 || v[0]%v[1] != 0 || v[2]%v[3] != 0 {
		return image.Rectangle{}, false
	}
	cw, ch := v[0]/v[1], v[2]/v[3]
	// The middle is at (w-1)/2 + v[4]/v[5].
	x := (int64(w)-cw)*v[5] + 2*v[4]
	y := (int64(h)-ch)*v[7] + 2*v[6]
	if cw <= 0 || ch <= 0 || cw > int64(w) || ch > int64(h) || x != 0 || y != 0 {
		return image.Rectangle{}, false
	}
	return image.Rect(0, 0, int(cw), int(ch)), true
}

// sequence is a file of several frames. They are decoded when they are asked for.
type sequence struct {
	image.Image // the first
	d           decoder
	track       *track
	alpha       *track
}

// sequence returns the sequence that browsers play, or nil for a still picture.
func (d *decoder) sequence() *sequence {
	if d.major != "avis" && d.items[d.primary] != nil {
		return nil
	}
	s := &sequence{d: *d}
	for i := range d.tracks {
		if t := &d.tracks[i]; t.of == 0 && s.track == nil {
			s.track = t
		}
	}
	if s.track == nil {
		return nil
	}
	for i := range d.tracks {
		if t := &d.tracks[i]; t.of == s.track.id && t.of != 0 {
			s.alpha = t
		}
	}
	return s
}

// first decodes the first frame.
func (s *sequence) first(maxPixels int64) error {
	s.d.maxPixels = maxPixels
	var failed error
	for img, err := range s.play() {
		s.Image, failed = img, err
		break
	}
	if s.Image == nil && failed == nil {
		failed = errContainer
	}
	return failed
}

// play decodes the frames in turn, and stops at the first fault.
func (s *sequence) play() iter.Seq2[image.Image, error] {
	return func(yield func(image.Image, error) bool) {
		c, a := s.d, s.d // a decoder for the colours, and one for alpha
		c.open, a.open = nil, nil
		defer func() { c.close(); a.close() }()
		for i, smp := range s.track.samples {
			img, err := s.frame(&c, &a, i, smp)
			if !yield(img, err) || err != nil {
				return
			}
		}
	}
}

func (s *sequence) frame(c, a *decoder, i int, smp sample) (image.Image, error) {
	p, err := c.picture(c.sample(smp), s.track.props, 0, 0)
	if err != nil {
		return nil, failure(err)
	}
	if err := c.check(p.Width, p.Height); err != nil {
		return nil, err
	}
	to := prepare(nil, p, s.track.props, p.Width, p.Height)
	pasteAll(to, p, coloursOf(p, s.track.props).full, false, 0, 0)
	if s.alpha != nil && i < len(s.alpha.samples) {
		if q, err := a.picture(a.sample(s.alpha.samples[i]), s.alpha.props, 0, 0); err == nil && q.Width == p.Width && q.Height == p.Height {
			prepare(to, q, s.alpha.props, p.Width, p.Height)
			pasteAll(to, q, coloursOf(q, s.alpha.props).full, true, 0, 0)
		}
	}
	w, h := p.Width, p.Height
	arrange(to, s.track.props, w, h)
	return to.image(s.d.prem), nil
}

// sample returns the data of a sample, as far as they are in the file.
func (d *decoder) sample(s sample) []byte {
	if s.at >= uint64(len(d.data)) {
		return nil
	}
	rest := d.data[s.at:]
	return rest[:min(s.size, uint64(len(rest)))]
}

// maxWork is how many pixels of a sequence are decoded.
const maxWork = 100 << 20

// Frames returns at most so many frames, from all over the sequence. It ends at the
// first frame that cannot be decoded, or when the work is done.
func (s *sequence) Frames(ctx context.Context, most int) (frames iter.Seq2[image.Image, time.Duration], leftOut func() int) {
	given, all := 0, len(s.track.samples)
	frames = func(yield func(image.Image, time.Duration) bool) {
		b := s.Bounds()
		able := min(all, max(1, maxWork/(b.Dx()*b.Dy())))
		i, wanted := 0, min(most, able)
		for img, err := range s.play() {
			if err != nil || ctx.Err() != nil || given == wanted {
				return
			}
			if i == given*able/wanted {
				given++
				if !yield(img, s.track.samples[i].duration) {
					return
				}
			}
			i++
		}
	}
	return frames, func() int { return all - given }
}
