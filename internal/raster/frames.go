package raster

import (
	"errors"
	"hash/maphash"
	"image"
	"time"
)

// MaxFrames bounds the frames that decoders look for in a file: a frame can be as
// short as 13 bytes.
const MaxFrames = 10_000

// Disposal is what happens to the area of a frame after it was shown.
type Disposal uint8

const (
	Keep Disposal = iota
	Clear
	Restore
)

// Frame is one frame of a file, not yet decoded.
type Frame struct {
	Rect    image.Rectangle // on the canvas
	Delay   time.Duration   // as the file states it
	Dispose Disposal
	Replace bool // it replaces what was there instead of being drawn over it
	Gray    bool // it has no colours and no transparency
	Random  bool // its pixels do not arrive row after row
	Cost    int64
	// Decode gives the pixels to t. An error says that there are none, or is that of
	// the context.
	Decode func(t *Target, w *Work) (Fault, error)
	// Planes, unless nil, decodes the frame to luma and chroma, for a still picture
	// that need not be reduced.
	Planes func(w *Work) (*image.YCbCr, Fault, error)
}

// File is a picture file of one or more frames, not yet decoded.
type File struct {
	Width, Height int
	Frames        []Frame
	More          bool   // there are frames behind those
	Fault         Fault  // of the container
	EXIF          []byte // a TIFF structure, or nil
}

// Shown is what a viewer shows for a while.
type Shown struct {
	Image   image.Image // *image.Gray, *image.NRGBA or *image.YCbCr, not changed afterwards
	Scale   int         // by which the picture was reduced
	Fault   Fault
	Missing float64
	Index   int           // of the frame in the file
	Start   time.Duration // when it is shown first
	Delay   time.Duration // for how long, equal frames behind it included
}

// Options bound what Play gives.
type Options struct {
	MaxFrames int  // at least 1
	First     bool // give the first frame only
}

// LeftOut counts what Play did not give: frames that were not decoded, and those
// that were but differ from all that were given.
type LeftOut int

// Play decodes the frames of f, draws them as viewers do, and gives those that
// differ from all before. Of more than MaxFrames it gives some from all over the
// animation: of each stretch the one that is shown longest. Where the work does
// not suffice to decode all frames, those that are not to be given are not decoded,
// so that a frame can lack what they would have drawn.
//
// A frame that cannot be decoded is left out, as viewers do, unless it is the only
// one. The error is that of the context, or of the first frame if there is nothing
// to show.
func (f *File) Play(o Options, w *Work, yield func(Shown) bool) (LeftOut, error) {
	if len(f.Frames) == 1 && f.Frames[0].Rect == image.Rect(0, 0, f.Width, f.Height) {
		return 0, f.still(w, yield)
	}
	p := player{file: f, work: w, yield: yield, seen: map[uint64]bool{}, seed: maphash.MakeSeed()}
	p.scale = 1
	for int64(ceilDiv(f.Width, p.scale))*int64(ceilDiv(f.Height, p.scale))*4 > maxCanvas {
		p.scale++
	}
	p.now = image.NewNRGBA(kept(image.Rect(0, 0, f.Width, f.Height), p.scale))
	if p.first = o.First; !p.first {
		p.plan(o.MaxFrames)
	}
	return p.run()
}

// ErrTooLarge is the error for a picture that is too large even to be reduced.
var ErrTooLarge = errors.New("raster: picture too large to be reduced")

// still gives the only frame of a picture.
func (f *File) still(w *Work, yield func(Shown) bool) error {
	fr := &f.Frames[0]
	t, ok := StillTarget(f.Width, f.Height, fr.Gray, fr.Random)
	if !ok {
		return ErrTooLarge
	}
	if fr.Planes != nil && t.Scale == 1 {
		return f.planes(w, yield)
	}
	fault, err := fr.Decode(t, w)
	if err != nil {
		return err
	}
	yield(Shown{Image: t.Image(), Scale: t.Scale, Fault: max(fault, f.Fault), Missing: t.Missing(), Delay: fr.Delay})
	return nil
}

// planes gives the only frame of a picture as luma and chroma.
func (f *File) planes(w *Work, yield func(Shown) bool) error {
	fr := &f.Frames[0]
	m, fault, err := fr.Planes(w)
	if err != nil {
		return err
	}
	missing := 1 - float64(m.Rect.Dy())/float64(f.Height)
	yield(Shown{Image: m, Scale: 1, Fault: max(fault, f.Fault), Missing: missing, Delay: fr.Delay})
	return nil
}

type player struct {
	file   *File
	work   *Work
	yield  func(Shown) bool
	scale  int
	now    *image.NRGBA
	wanted []bool // frames to give
	some   bool   // frames that are not wanted are not decoded
	first  bool   // the first frame is given, and no other
	seen   map[uint64]bool
	seed   maphash.Seed
	credit int // frames that may be given in place of wanted ones that were equal to others

	pending *Shown // given when the next different frame comes, for its delay
	last    uint64
}

// ShownCost is the work for a pixel of a frame that is given: drawing, comparing,
// and what the caller does with it.
const ShownCost = 12

// plan chooses the frames to give.
func (p *player) plan(most int) {
	frames := p.file.Frames
	all := int64(0)
	for i := range frames {
		all += frames[i].Cost
	}
	area := int64(p.now.Rect.Dx()) * int64(p.now.Rect.Dy()) * ShownCost
	p.wanted = make([]bool, len(frames))
	n := min(most, len(frames))
	if n < len(frames) || all+int64(n)*area > p.work.Left() {
		// Half of the work for decoding, half for what is given; or less decoding.
		n = int(max(1, min(int64(n), p.work.Left()/2/max(1, area))))
		p.some = all > p.work.Left()/2
		for p.some && n > 1 && int64(n)*(all/int64(len(frames))) > p.work.Left()/2 {
			n = n * 3 / 4
		}
	}
	for i := range n {
		best := i * len(frames) / n
		for k := best; k < (i+1)*len(frames)/n; k++ {
			if frames[k].Delay > frames[best].Delay {
				best = k
			}
		}
		p.wanted[best] = true
	}
}

func (p *player) run() (left LeftOut, err error) {
	frames := p.file.Frames
	var first error // of a frame that gave nothing
	var start time.Duration
	shown, going := false, true
	for i := range frames {
		fr := &frames[i]
		if !p.first && !p.wanted[i] && p.some {
			left++
			p.lengthen(fr.Delay)
			start += fr.Delay
			continue
		}
		fault, missing, before, err := p.draw(fr)
		if err != nil {
			if e := p.work.Context().Err(); e != nil {
				return left, e
			}
			if first == nil {
				first = err
			}
			continue
		}
		shown = true
		s := Shown{Scale: p.scale, Fault: max(fault, p.file.Fault), Missing: missing, Index: i, Start: start, Delay: fr.Delay}
		start += fr.Delay
		if p.first {
			s.Image = p.now
			p.yield(s)
			return 0, nil
		}
		var skipped bool
		if skipped, going, err = p.show(s, p.wanted[i]); err != nil {
			if e := p.work.Context().Err(); e != nil {
				return left, e
			}
		}
		if skipped {
			left++
		}
		if !going {
			return left, nil
		}
		p.dispose(fr, before)
		if fault == Budget || err != nil {
			left += LeftOut(len(frames) - i - 1)
			break
		}
	}
	if p.file.More {
		left++
	}
	if p.pending != nil {
		p.yield(*p.pending)
	}
	if !shown {
		return left, first
	}
	return left, nil
}

// draw decodes fr and draws it. before is the canvas to restore afterwards.
func (p *player) draw(fr *Frame) (fault Fault, missing float64, before *image.NRGBA, err error) {
	canvas := image.Rect(0, 0, p.file.Width, p.file.Height)
	if !fr.Rect.Overlaps(canvas) {
		return Sound, 0, nil, nil // nothing of it is seen
	}
	t := frameTarget(fr.Rect, canvas, p.scale)
	if fault, err = fr.Decode(t, p.work); err != nil {
		return fault, 1, nil, err
	}
	if fr.Dispose == Restore {
		before = clone(p.now)
	}
	img := t.Image().(*image.NRGBA)
	over(p.now, kept(fr.Rect, p.scale), img, fr.Replace)
	return fault, t.Missing(), before, nil
}

func (p *player) dispose(fr *Frame, before *image.NRGBA) {
	switch {
	case before != nil:
		p.now = before
	case fr.Dispose == Clear:
		r := kept(fr.Rect, p.scale).Intersect(p.now.Rect)
		for y := r.Min.Y; y < r.Max.Y; y++ {
			clear(p.now.Pix[y*p.now.Stride+4*r.Min.X:][:4*r.Dx()])
		}
	}
}

// show gives the canvas if it is wanted and differs from all before. skipped says
// that it differs and was not given.
func (p *player) show(s Shown, wanted bool) (skipped, going bool, err error) {
	err = p.work.Spend(int64(len(p.now.Pix)) / 16)
	sum := maphash.Bytes(p.seed, p.now.Pix)
	if p.seen[sum] {
		if sum == p.last {
			p.lengthen(s.Delay)
		}
		if wanted {
			p.credit++
		}
		p.last = sum
		return false, true, err
	}
	p.last = sum
	if !wanted && p.credit == 0 {
		p.lengthen(0)
		return true, true, err
	}
	if !wanted {
		p.credit--
	}
	p.seen[sum] = true
	if err == nil {
		err = p.work.Spend(int64(len(p.now.Pix)) / 4 * ShownCost)
	}
	if p.pending != nil && !p.yield(*p.pending) {
		p.pending = nil
		return false, false, err
	}
	s.Image = clone(p.now)
	p.pending = &s
	return false, true, err
}

// lengthen adds to the time of the frame that was shown last.
func (p *player) lengthen(d time.Duration) {
	if p.pending != nil {
		p.pending.Delay += d
	}
}

func clone(m *image.NRGBA) *image.NRGBA {
	n := *m
	n.Pix = append([]byte(nil), m.Pix...)
	return &n
}

// over draws img, which fills r, on dst.
func over(dst *image.NRGBA, r image.Rectangle, img *image.NRGBA, replace bool) {
	in := r.Intersect(dst.Rect)
	for y := in.Min.Y; y < in.Max.Y; y++ {
		s := img.Pix[(y-r.Min.Y)*img.Stride+4*(in.Min.X-r.Min.X):][:4*in.Dx()]
		d := dst.Pix[y*dst.Stride+4*in.Min.X:][:4*in.Dx()]
		if replace {
			copy(d, s)
			continue
		}
		for ; len(s) >= 4; s, d = s[4:], d[4:] {
			switch a, b := uint32(s[3]), uint32(d[3]); {
			case a == 0xff || b == 0 && a > 0:
				copy(d[:4], s[:4])
			case a > 0:
				// Of both, what is seen of each; the colours are not multiplied by alpha.
				below := b * (255 - a)
				all := a*255 + below
				for c := range 3 {
					d[c] = byte((uint32(s[c])*a*255 + uint32(d[c])*below + all/2) / all)
				}
				d[3] = byte((all + 127) / 255)
			}
		}
	}
}
