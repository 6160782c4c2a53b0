package phash

// boxFilter reduces a picture of any size to the grid: two box filters along
// the rows and two along the columns, alternating, which together make a tent,
// then the nearest sample. The reference keeps two copies of the picture and
// walks over them four times. Here the four filters run as one stream of rows,
// which stays in the cache: only as many rows are kept as a window is high.
//
// The result is the reference's in every bit because every running sum sees
// the same numbers in the same order; a sum of float32 depends on it.
type boxFilter struct {
	in, out []float32 // one row of the picture: before a filter, after it
	table   []float32 // sum of a full window of bytes → its mean
	first   columns   // over whole rows
	second  columns   // over the 64 sampled columns
	at      [gridSide]int

	batch [batchRows][]float32 // rows that the first column filter gave
	rows  [batchRows][gridSide]float32
	row   [gridSide]float32
}

// batchRows is how many rows are summed up side by side where the sums are of
// float32: each is one chain of additions, and four chains overlap. Measured on
// 0.75 megapixels, the whole reduction takes a third less time than by single
// rows.
const batchRows = 4

// window is the width of the box for a side of n pixels.
func window(n int) int { return (n + 2*gridSide - 1) / (2 * gridSide) }

// sampleAt is the pixel that stands for sample i of a side of n pixels: the
// integer part of (i+½)·n/64.
func sampleAt(i, n int) int { return (2*i + 1) * n / (2 * gridSide) }

// reduce fills g from src, whose sides must be at least MinSide.
func (f *boxFilter) reduce(src lumaSource, g *grid) {
	w, h := src.size()
	box := window(w)
	f.in, f.out = grow(f.in, w), grow(f.out, w)
	f.first.reset(h, w)
	f.second.reset(h, gridSide)
	for j := range f.at {
		f.at[j] = sampleAt(j, w)
	}
	gray, isGray := src.(*grayRows)
	if isGray = isGray && box <= maxTableBox; isGray {
		f.meanTable(box)
	}

	for i := range f.batch {
		f.batch[i] = grow(f.batch[i], w)
	}
	next := 0 // the row of the grid to fill next
	held := 0 // rows in the batch
	for y := range h + f.first.lag() {
		if y < h {
			if isGray {
				boxBytes(f.out, gray.bytes(y), box, f.table)
			} else {
				src.row(f.in, y)
				boxRow(f.out, f.in, box)
			}
		}
		if !f.first.step(f.out, f.batch[held]) {
			continue
		}
		if held++; held == batchRows {
			held = 0
			f.samples(box)
			for i := range f.rows {
				next = f.fill(g, f.rows[i][:], next)
			}
		}
	}
	if held > 0 {
		f.samples(box) // also of rows that are left from before, for nothing
		for i := range held {
			next = f.fill(g, f.rows[i][:], next)
		}
	}
	for next < gridSide {
		next = f.fill(g, nil, next)
	}
}

// fill hands one row of samples to the second column filter (nil: there are no
// more) and copies what comes out to the rows of the grid that it stands for.
func (f *boxFilter) fill(g *grid, row []float32, next int) int {
	out := f.row[:]
	if !f.second.step(row, out) {
		return next
	}
	for next < gridSide && sampleAt(next, f.second.n) == f.second.done-1 {
		copy(g[next*gridSide:], out)
		next++
	}
	return next
}

// boxRow writes the running mean of src over box samples to dst. At the ends
// the window is cut off, and the mean is over what is left.
func boxRow(dst, src []float32, box int) {
	n, half := len(src), (box+2)/2
	dst = dst[:n]
	var sum float32
	o := 0
	for _, v := range src[:half-1] {
		sum += v
	}
	for r := half - 1; r < box; r++ {
		sum += src[r]
		dst[o] = sum / float32(r+1)
		o++
	}
	full := float32(box)
	in, out := src[box:], src[:n-box]
	mid := dst[o:][:len(in)]
	out = out[:len(in)]
	for i, v := range in {
		sum += v
		sum -= out[i]
		mid[i] = sum / full
	}
	o += len(in)
	for count := box - 1; o < n; count-- {
		sum -= src[n-count-1]
		dst[o] = sum / float32(count)
		o++
	}
}

// boxBytes is boxRow for a row of bytes. The sums are integers below 2^24, so
// adding them as integers gives the very sums of float32, and the mean of a
// full window comes from a table.
func boxBytes(dst []float32, src []byte, box int, table []float32) {
	n, half := len(src), (box+2)/2
	dst = dst[:n]
	sum, o := 0, 0
	for _, v := range src[:half-1] {
		sum += int(v)
	}
	for r := half - 1; r < box; r++ {
		sum += int(src[r])
		dst[o] = float32(sum) / float32(r+1)
		o++
	}
	in, out := src[box:], src[:n-box]
	mid := dst[o:][:len(in)]
	out = out[:len(in)]
	for i, v := range in {
		sum += int(v) - int(out[i])
		mid[i] = table[sum]
	}
	o += len(in)
	for count := box - 1; o < n; count-- {
		sum -= int(src[n-count-1])
		dst[o] = float32(sum) / float32(count)
		o++
	}
}

// maxTableBox limits the table to what stays in the fast caches; wider windows
// (pictures over 8,192 pixels wide) are averaged by division.
const maxTableBox = 64

func (f *boxFilter) meanTable(box int) {
	if len(f.table) == 255*box+1 {
		return // the table of this box: its length tells
	}
	f.table = grow(f.table, 255*box+1)
	for i := range f.table {
		f.table[i] = float32(i) / float32(box)
	}
}

// samples is boxRow for the rows of the batch, writing only the samples at the
// places f.at, which ascend, to f.rows.
func (f *boxFilter) samples(box int) {
	n, half, at := len(f.batch[0]), (box+2)/2, &f.at
	var sums [batchRows]float32

	// The window grows: it is full when it holds box samples.
	k, o := 0, 0
	for i, row := range f.batch {
		var sum float32
		for _, v := range row[:half-1] {
			sum += v
		}
		k, o = 0, 0
		for r := half - 1; r < box; r++ {
			sum += row[r]
			for k < gridSide && at[k] == o {
				f.rows[i][k] = sum / float32(r+1)
				k++
			}
			o++
		}
		sums[i] = sum
	}

	// The window moves: this is nearly all of the row.
	a, b, c, d := f.batch[0], f.batch[1], f.batch[2], f.batch[3]
	s0, s1, s2, s3 := sums[0], sums[1], sums[2], sums[3]
	r, full := box, float32(box)
	for k < gridSide && at[k] <= n-half {
		end := at[k] + half // behind the last pixel of this sample's window
		a1 := a[r:end]
		m := len(a1)
		a0 := a[r-box:][:m]
		b1, b0 := b[r:][:m], b[r-box:][:m]
		c1, c0 := c[r:][:m], c[r-box:][:m]
		d1, d0 := d[r:][:m], d[r-box:][:m]
		for i, v := range a1 {
			s0 += v
			s1 += b1[i]
			s2 += c1[i]
			s3 += d1[i]
			s0 -= a0[i]
			s1 -= b0[i]
			s2 -= c0[i]
			s3 -= d0[i]
		}
		r = end
		f.rows[0][k], f.rows[1][k], f.rows[2][k], f.rows[3][k] = s0/full, s1/full, s2/full, s3/full
		k++
	}
	if k == gridSide {
		return
	}

	// The window shrinks.
	sums = [batchRows]float32{s0, s1, s2, s3}
	first := k
	for i, row := range f.batch {
		sum := sums[i]
		for x := r; x < n; x++ {
			sum += row[x]
			sum -= row[x-box]
		}
		k = first
		for count := box - 1; k < gridSide; count-- {
			sum -= row[n-count-1]
			for k < gridSide && at[k] == n-count+box-half {
				f.rows[i][k] = sum / float32(count)
				k++
			}
		}
	}
}

// columns filters along the columns of a stream of rows.
type columns struct {
	n, width  int // rows that will come, and samples in each
	box, half int
	come      int       // rows received, or asked for after the last
	done      int       // rows given
	sum       []float32 // the running sum of every column
	ring      []float32 // the last box rows
}

func (c *columns) reset(n, width int) {
	box := window(n)
	*c = columns{n: n, width: width, box: box, half: (box + 2) / 2,
		sum: grow(c.sum, width), ring: grow(c.ring, box*width)}
	clear(c.sum)
}

// lag is by how many rows the output trails the input.
func (c *columns) lag() int { return c.half - 1 }

// step takes the next row (after the last, anything) and reports whether it
// gave one in out, which must not be row.
func (c *columns) step(row, out []float32) bool {
	r := c.come
	c.come++
	sum := c.sum
	old := c.ring[(r%c.box)*c.width:][:len(sum)]
	if r >= c.n {
		count := float32(c.box - 1 - (r - c.n))
		out = out[:len(sum)]
		for x, v := range old {
			s := sum[x] - v
			sum[x] = s
			out[x] = s / count
		}
		c.done++
		return true
	}
	row = row[:len(sum)]
	switch {
	case r < c.half-1:
		for x, v := range row {
			sum[x] += v
			old[x] = v
		}
		return false
	case r < c.box:
		count := float32(r + 1)
		out = out[:len(sum)]
		for x, v := range row {
			s := sum[x] + v
			sum[x] = s
			old[x] = v
			out[x] = s / count
		}
	default:
		count := float32(c.box)
		out = out[:len(sum)]
		for x, v := range row {
			s := sum[x] + v
			s -= old[x]
			sum[x] = s
			old[x] = v
			out[x] = s / count
		}
	}
	c.done++
	return true
}

// grow returns s with length n, in new memory when it is too small.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
