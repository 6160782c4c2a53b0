package features

// The scale space: each level is the working picture reduced by a constant
// factor against the level before, at the same blur in its own pixels.
const (
	maxLevels = 12
	// minLevelSide is the shorter side below which there are no more levels: a
	// patch would be wider than the picture.
	minLevelSide = 34
	// scaleNum/scaleDen is the factor between levels, close to 2^(1/4).
	scaleNum, scaleDen = 6, 5
)

// level is one plane of the scale space, with its table of sums.
type level struct {
	plane
	// sums[(y)*(stride+1)+x] is the sum of all samples above and left of the
	// padded position x, y, modulo 2^32: differences are right as long as the
	// box itself sums to less.
	sums []uint32
}

// pyramid holds the levels of one picture and the memory to compute them.
type pyramid struct {
	n      int
	levels [maxLevels]level
	tmp    plane
	tx, ty []taps
	wx, wy []int32
}

// build computes the levels of the picture in src.
func (p *pyramid) build(src *plane) {
	first := &p.levels[0]
	first.reset(src.w, src.h)
	// [1 4 6 4 1]/16 twice over is a standard deviation of 1.4 pixels.
	blur(src, &first.plane, &p.tmp, 2)
	p.n = 1
	w, h := src.w, src.h
	for p.n < maxLevels {
		w, h = (w*scaleDen+scaleNum/2)/scaleNum, (h*scaleDen+scaleNum/2)/scaleNum
		if min(w, h) < minLevelSide {
			break
		}
		l := &p.levels[p.n]
		l.reset(w, h)
		p.reduce(&p.levels[p.n-1].plane, &l.plane)
		// The reduction took the blur to 1.2; this brings it back to 1.4.
		blur(&l.plane, &l.plane, &p.tmp, 0)
		p.n++
	}
	for i := range p.n {
		p.levels[i].sum()
	}
}

// reduce samples src linearly at the size of dst, and fills the rim.
func (p *pyramid) reduce(src, dst *plane) {
	p.tx, p.wx = linear(src.w, dst.w, p.tx, p.wx)
	p.ty, p.wy = linear(src.h, dst.h, p.ty, p.wy)
	for y := range dst.h {
		t := p.ty[y]
		wy := uint32(p.wy[t.at])
		r0 := src.pix[(t.first+planePad)*src.stride+planePad:][:src.w+1]
		r1 := src.pix[(t.first+1+planePad)*src.stride+planePad:][:src.w+1]
		out := dst.row(y)
		for x := range out {
			tx := p.tx[x]
			wx := uint32(p.wx[tx.at])
			a := uint32(r0[tx.first])*(256-wx) + uint32(r0[tx.first+1])*wx
			b := uint32(r1[tx.first])*(256-wx) + uint32(r1[tx.first+1])*wx
			out[x] = uint16((a*(256-wy)>>8 + b*wy>>8 + 1<<7) >> 8)
		}
	}
	dst.pad()
}

// linear returns for every output sample the input sample before its centre
// and the weight, of 256, of the one after it. Reducing by less than two never
// reaches outside the picture.
func linear(src, dst int, ts []taps, ws []int32) ([]taps, []int32) {
	ts, ws = ts[:0], ws[:0]
	for i := range dst {
		// The centre in 1/256 input samples, from the first sample's centre.
		c := max((int64(2*i+1)*int64(src)*128)/int64(dst)-128, 0)
		ts = append(ts, taps{int(c >> 8), 2, len(ws)})
		ws = append(ws, int32(c&255))
	}
	return ts, ws
}

// blur smooths src into dst (which may be src) with the binomial weights
// [1 2 1]/4 (n = 0) or [1 4 6 4 1]/16 applied n times, and fills the rim. The
// rim of src must be filled; tmp is overwritten.
func blur(src, dst, tmp *plane, n int) {
	tmp.reset(src.w, src.h)
	for i := range max(n, 1) {
		if i > 0 {
			src = dst
		}
		for y := range src.h {
			in := src.pix[(y+planePad)*src.stride+planePad-2:][:src.w+4]
			out := tmp.row(y)
			if n == 0 {
				for x := range out {
					s := in[x+1 : x+4 : x+4]
					out[x] = uint16((uint32(s[0]) + 2*uint32(s[1]) + uint32(s[2]) + 2) >> 2)
				}
				continue
			}
			for x := range out {
				s := in[x : x+5 : x+5]
				out[x] = uint16((uint32(s[0]) + uint32(s[4]) + 4*(uint32(s[1])+uint32(s[3])) + 6*uint32(s[2]) + 8) >> 4)
			}
		}
		tmp.pad()
		for y := range src.h {
			o := (y+planePad)*tmp.stride + planePad
			c := tmp.pix[o:][:src.w]
			u, d := tmp.pix[o-tmp.stride:][:src.w], tmp.pix[o+tmp.stride:][:src.w]
			out := dst.row(y)
			if n == 0 {
				for x := range out {
					out[x] = uint16((uint32(u[x]) + 2*uint32(c[x]) + uint32(d[x]) + 2) >> 2)
				}
				continue
			}
			uu, dd := tmp.pix[o-2*tmp.stride:][:src.w], tmp.pix[o+2*tmp.stride:][:src.w]
			for x := range out {
				out[x] = uint16((uint32(uu[x]) + uint32(dd[x]) + 4*(uint32(u[x])+uint32(d[x])) + 6*uint32(c[x]) + 8) >> 4)
			}
		}
		dst.pad()
	}
}

// sum fills the table of sums of the level, rim included.
func (l *level) sum() {
	s := l.stride + 1
	rows := l.h + 2*planePad
	if n := s * (rows + 1); cap(l.sums) < n {
		l.sums = make([]uint32, n)
	}
	l.sums = l.sums[:s*(rows+1)]
	clear(l.sums[:s])
	for y := range rows {
		in := l.pix[y*l.stride:][:l.stride]
		up := l.sums[y*s+1:][:l.stride]
		out := l.sums[(y+1)*s:][:s]
		out[0] = 0
		out = out[1:][:len(in)]
		var run uint32
		for x, v := range in {
			run += uint32(v)
			out[x] = up[x] + run
		}
	}
}
