package raster

import (
	"image"
)

// Target takes the pixels of one frame. Pictures that are too large to keep are
// reduced while they arrive: every pixel kept is the mean of a square of Scale ×
// Scale pixels, weighted by their alpha, because that is what people see of it.
type Target struct {
	Width, Height int // of the frame, at full size
	Gray          bool
	Scale         int // how many pixels wide and high a kept pixel is

	point  image.Point // where the frame lies on the canvas, for picked
	picked bool        // keep one pixel of each square instead of the mean
	w, h   int         // of what is kept
	bpp    int         // bytes of a pixel: 1 or 4
	pix    []byte

	// Sums for the mean, one row of what is kept, or all rows if the pixels do not
	// arrive row after row. Of a colour: each channel times the weight 256·alpha+1,
	// and the weights. The colours below full transparency count where there is
	// nothing else. Of gray: 256·value+1.
	sums   []uint32
	random bool
	band   int // the row of what is kept that sums is for, unless random

	got int64 // pixels that arrived
}

// The most memory for the pixels of a still picture, and for the canvas of an
// animation, of which there are up to four copies.
const (
	maxStill  = 96 << 20
	maxCanvas = 48 << 20
	maxSums   = 96 << 20
	maxScale  = 15 // so that a sum fits in 32 bits, and its count in 8
)

// StillTarget returns the target for a still picture of w × h pixels. random
// says that its pixels do not arrive row after row. ok is false if it is so large
// that even reduced it exceeds the memory allowed.
func StillTarget(w, h int, gray, random bool) (t *Target, ok bool) {
	t = &Target{Width: w, Height: h, Gray: gray, random: random, bpp: 4, Scale: 1}
	sum := 16
	if gray {
		t.bpp, sum = 1, 4
	}
	n := int64(w) * int64(h)
	for t.Scale = 1; ; t.Scale++ {
		k := int64(t.Scale) * int64(t.Scale)
		if n*int64(t.bpp)/k <= maxStill && (t.Scale == 1 || !random || n*int64(sum)/k <= maxSums) {
			break
		}
		if t.Scale == maxScale {
			return nil, false
		}
	}
	t.w, t.h = ceilDiv(w, t.Scale), ceilDiv(h, t.Scale)
	t.pix = make([]byte, t.bpp*t.w*t.h)
	if t.Scale > 1 {
		rows := 1
		if random {
			rows = t.h
		}
		t.sums = make([]uint32, sum/4*t.w*rows)
	}
	return t, true
}

// frameTarget returns the target for a frame at r of a canvas that keeps one
// pixel of each square of scale × scale. Pixels right of the canvas or below it
// are dropped.
func frameTarget(r, canvas image.Rectangle, scale int) *Target {
	t := &Target{Width: r.Dx(), Height: r.Dy(), Scale: scale, bpp: 4, picked: scale > 1, point: r.Min}
	k := kept(r.Intersect(canvas), scale)
	t.w, t.h = k.Dx(), k.Dy()
	t.pix = make([]byte, 4*t.w*t.h)
	return t
}

// kept is the rectangle r of a canvas on what is kept of the canvas.
func kept(r image.Rectangle, scale int) image.Rectangle {
	return image.Rect(ceilDiv(r.Min.X, scale), ceilDiv(r.Min.Y, scale), ceilDiv(r.Max.X, scale), ceilDiv(r.Max.Y, scale))
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// Bytes returns how many bytes a pixel given to Row has: 4, or 1 if Gray.
func (t *Target) Bytes() int { return t.bpp }

// Row takes row y, as non-premultiplied RGBA, or as gray. A row that is too short
// is the beginning of one.
func (t *Target) Row(y int, pix []byte) { t.Pass(0, 1, y, 1, 1, pix) }

// Pass takes the pixels of row y at x0, x0+dx and so on. Until a later pass says
// otherwise, each stands for bw × bh pixels.
func (t *Target) Pass(x0, dx, y, bw, bh int, pix []byte) {
	t.got += int64(len(pix) / t.bpp)
	switch {
	case t.picked:
		t.pick(x0, dx, y, bw, bh, pix)
	case t.Scale > 1:
		t.add(x0, dx, y, pix)
	case y >= t.h:
	case dx == 1:
		t.fill(x0, y, bh, pix)
	case bw == 1 && t.bpp == 4:
		t.columns(x0, dx, y, bh, pix)
	default:
		for i := 0; i < len(pix); i += t.bpp {
			t.block(image.Rect(x0, y, x0+bw, y+bh), pix[i:i+t.bpp])
			x0 += dx
		}
	}
}

// columns keeps pixels that lie dx apart, and repeats them bh times.
func (t *Target) columns(x0, dx, y, bh int, pix []byte) {
	for i := range min(bh, t.h-y) {
		row := t.pix[(y+i)*t.w*4:][:t.w*4]
		for x, p := 4*x0, pix; x < len(row) && len(p) >= 4; x, p = x+4*dx, p[4:] {
			*(*[4]byte)(row[x:]) = [4]byte(p)
		}
	}
}

// fill keeps pixels that lie side by side, and repeats them bh times.
func (t *Target) fill(x0, y, bh int, pix []byte) {
	if x0 >= t.w {
		return
	}
	for i := range min(bh, t.h-y) {
		copy(t.pix[((y+i)*t.w+x0)*t.bpp:][:(t.w-x0)*t.bpp], pix)
	}
}

// block keeps one pixel all over r.
func (t *Target) block(r image.Rectangle, p []byte) {
	r = r.Intersect(image.Rect(0, 0, t.w, t.h))
	for y := r.Min.Y; y < r.Max.Y; y++ {
		row := t.pix[(y*t.w+r.Min.X)*t.bpp:]
		if t.bpp == 1 {
			for x := range r.Dx() {
				row[x] = p[0]
			}
			continue
		}
		q := [4]byte(p)
		for x := range r.Dx() {
			*(*[4]byte)(row[4*x:]) = q
		}
	}
}

// pick keeps those pixels whose place on the canvas is a multiple of Scale.
func (t *Target) pick(x0, dx, y, bw, bh int, pix []byte) {
	k := t.Scale
	origin := kept(image.Rectangle{Min: t.point, Max: t.point}, k).Min
	if bw == 1 && bh == 1 && (t.point.Y+y)%k != 0 {
		return
	}
	for i := 0; i < len(pix); i += t.bpp {
		r := kept(image.Rect(x0, y, x0+bw, y+bh).Add(t.point), k).Sub(origin)
		if !r.Empty() {
			t.block(r, pix[i:i+t.bpp])
		}
		x0 += dx
	}
}

// add adds pixels to the sums of their squares.
func (t *Target) add(x0, dx, y int, pix []byte) {
	row := y / t.Scale
	sums := t.sums
	if t.random {
		n := len(t.sums) / t.h
		sums = t.sums[row*n:][:n]
	} else if row != t.band {
		t.flush()
		t.band = row
	}
	k, x := t.Scale, x0/t.Scale
	left := (x+1)*k - x0 // pixels until the next square
	if t.Gray {
		for _, v := range pix {
			sums[x] += uint32(v)<<8 + 1
			for left -= dx; left <= 0; left += k {
				x++
			}
		}
		return
	}
	for len(pix) >= 4 {
		w := uint32(pix[3])<<8 + 1
		s := sums[4*x:][:4]
		s[0] += uint32(pix[0]) * w
		s[1] += uint32(pix[1]) * w
		s[2] += uint32(pix[2]) * w
		s[3] += w
		pix = pix[4:]
		for left -= dx; left <= 0; left += k {
			x++
		}
	}
}

// flush turns the sums of the current row into pixels.
func (t *Target) flush() {
	t.means(t.band, t.sums)
	clear(t.sums)
}

func (t *Target) means(row int, sums []uint32) {
	out := t.pix[row*t.w*t.bpp:][:t.w*t.bpp]
	if t.Gray {
		for x, s := range sums {
			if n := s & 0xff; n != 0 {
				out[x] = byte((s>>8 + n/2) / n)
			}
		}
		return
	}
	for x := range t.w {
		s := sums[4*x:][:4]
		n := s[3] & 0xff
		if n == 0 {
			continue
		}
		w := s[3]
		for c := range 3 {
			out[4*x+c] = byte((uint64(s[c]) + uint64(w)/2) / uint64(w))
		}
		out[4*x+3] = byte((w>>8 + n/2) / n)
	}
}

// finish completes what is kept, when no more pixels come.
func (t *Target) finish() {
	switch {
	case t.sums == nil:
	case !t.random:
		t.flush()
	default:
		n := len(t.sums) / t.h
		for row := range t.h {
			t.means(row, t.sums[row*n:][:n])
		}
		t.spread(n)
	}
	t.sums = nil
}

// spread gives squares into which no pixel of an interlaced picture came the
// pixel of the pass that stands for them. n is the length of a row of sums.
func (t *Target) spread(n int) {
	per := n / t.w // the last of a square counts
	came := func(x, y int) bool { return t.sums[y*n+per*x+per-1]&0xff != 0 }
	for y := range t.h {
		for x := range t.w {
			for step := 2; step <= 8 && !came(x, y); step *= 2 {
				u, v := x*t.Scale&^(step-1)/t.Scale, y*t.Scale&^(step-1)/t.Scale
				if came(u, v) {
					copy(t.pix[(y*t.w+x)*t.bpp:][:t.bpp], t.pix[(v*t.w+u)*t.bpp:][:t.bpp])
					break
				}
			}
		}
	}
}

// Missing returns the share of pixels that did not arrive.
func (t *Target) Missing() float64 {
	all := int64(t.Width) * int64(t.Height)
	return float64(max(0, all-t.got)) / float64(all)
}

// Image returns what was kept, an *image.Gray or an *image.NRGBA.
func (t *Target) Image() image.Image {
	t.finish()
	if t.Gray {
		return &image.Gray{Pix: t.pix, Stride: t.w, Rect: image.Rect(0, 0, t.w, t.h)}
	}
	return &image.NRGBA{Pix: t.pix, Stride: 4 * t.w, Rect: image.Rect(0, 0, t.w, t.h)}
}
