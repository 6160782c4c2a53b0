package jpegdec

// Viewers limit colours to the range of 0 to 255. Where wrong data have moved
// chroma, that changes the luma of what they show, and the luma of the file does not
// show it. The first coefficients of chroma are read in any case.

// prepareMeans sets means and quant of a scan that has the first coefficients of all
// components of a picture in YCbCr.
func (d *decoder) prepareMeans(s *scan) {
	if d.head.Model != YCbCr || len(s.comps) != 3 || s.ss != 0 || s.ah != 0 {
		return
	}
	for i := range s.comps {
		c := &d.comps[i]
		q := d.quant[c.tq&3]
		if s.comps[i] != c || q == nil {
			return
		}
		s.quant[i] = int32(min(q[0], 1<<11)) << s.al
	}
	s.means = true
}

// compare adds by how much the luma of the last blocks of a unit changes when its
// colours are limited.
func (d *decoder) compare(s *scan) {
	// In 1/16 of a grey level; the mean of a block is an eighth of its first
	// coefficient.
	mean := func(i int) int32 {
		v := int64(s.comps[i].dc) * int64(s.quant[i])
		return 2 * int32(max(-1<<14, min(v, 1<<14)))
	}
	y, cb, cr := mean(0)+128*16, mean(1), mean(2)
	over := 77*outside(y+cr*359/256) + 150*outside(y-(cb*88+cr*183)/256) + 29*outside(y+cb*454/256)
	d.beyond += int64(max(over, -over) >> 8)
	d.means++
}

// outside returns by how much a value is below or above the range.
func outside(v int32) int32 {
	const most = 255 * 16
	switch {
	case v < 0:
		return v
	case v > most:
		return v - most
	}
	return 0
}
