package features

import (
	"math/bits"
)

// The thumbnail of a lean record is coded by prediction: each pixel by its difference
// from what its neighbours lead to expect, as a Rice code whose parameter follows the
// differences seen before beside edges like this one. Differences are rounded to odd
// multiples of a tolerance, so that no pixel is off by more than that. The tolerance is
// the least with which the code fits into leanThumb bytes.

const (
	// thumbContexts is the number of classes of neighbourhoods.
	thumbContexts = 8
	// longCode is the number of ones from which on a code has the value itself, in 8
	// bits.
	longCode = 20
	// maxTolerance is the greatest tolerance. It leaves three levels.
	maxTolerance = 63
	// remember bounds how many differences a context remembers.
	remember = 48
)

// thumbContext is what was seen in one class of neighbourhoods.
type thumbContext struct{ sum, n int }

// rice returns the parameter of the code: the number of low bits that are written as
// they are.
func (c *thumbContext) rice() (k int) {
	for k = 0; c.n<<k < c.sum && k < 7; k++ {
	}
	return k
}

func (c *thumbContext) add(v int) {
	if c.sum, c.n = c.sum+v, c.n+1; c.n == remember {
		c.sum, c.n = c.sum/2, c.n/2
	}
}

// neighbourhood returns what the pixels before one at x, y of a picture with rows of w
// lead to expect of it, and its class.
func neighbourhood(pix []uint8, w, x, y int) (expected, class int) {
	i := y*w + x
	switch {
	case y == 0 && x == 0:
		return 128, 0
	case y == 0:
		return int(pix[i-1]), 1
	case x == 0:
		return int(pix[i-w]), 1
	}
	left, up, corner := int(pix[i-1]), int(pix[i-w]), int(pix[i-w-1])
	right := up
	if x < w-1 {
		right = int(pix[i-w+1])
	}
	lo, hi := min(left, up), max(left, up)
	switch {
	case corner >= hi:
		expected = lo
	case corner <= lo:
		expected = hi
	default:
		expected = left + up - corner
	}
	activity := max(left-corner, corner-left) + max(up-corner, corner-up) + max(right-up, up-right)
	return expected, min(bits.Len(uint(activity)), thumbContexts-1)
}

// thumbCoder writes and reads codes.
type thumbCoder struct {
	b    []byte
	acc  uint32
	n    int // bits in acc
	ctx  [thumbContexts]thumbContext
	step int
}

func (c *thumbCoder) reset(tolerance int) {
	c.acc, c.n, c.step = 0, 0, 2*tolerance+1
	for i := range c.ctx {
		c.ctx[i] = thumbContext{max(2, 8*i/c.step), 1}
	}
}

func (c *thumbCoder) put(v uint32, n int) {
	c.acc |= v << c.n
	for c.n += n; c.n >= 8; c.n -= 8 {
		c.b = append(c.b, byte(c.acc))
		c.acc >>= 8
	}
}

// get returns the next n bits, zeros behind the end.
func (c *thumbCoder) get(n int) uint32 {
	for c.n < n {
		if len(c.b) > 0 {
			c.acc |= uint32(c.b[0]) << c.n
			c.b = c.b[1:]
		}
		c.n += 8
	}
	v := c.acc & (1<<n - 1)
	c.acc, c.n = c.acc>>n, c.n-n
	return v
}

// appendThumb appends the code of g with a tolerance, at most most bytes, and reports
// whether it is complete. It overwrites g with what readThumb will give.
func (c *thumbCoder) appendThumb(b []byte, g gray, tolerance, most int) ([]byte, bool) {
	c.reset(tolerance)
	at := len(b)
	c.b = append(b, byte(tolerance))
	for y := range g.h {
		for x := range g.w {
			expected, class := neighbourhood(g.pix, g.w, x, y)
			p := &g.pix[y*g.w+x]
			diff := int(*p) - expected
			q := (max(diff, -diff) + tolerance) / c.step
			v := 2 * q
			if diff < 0 {
				q = -q
				v = max(v-1, 0)
			}
			*p = uint8(min(max(expected+q*c.step, 0), 255))
			ctx := &c.ctx[class]
			k := ctx.rice()
			if ones := v >> k; ones < longCode {
				c.put(1<<ones-1, ones+1)
				c.put(uint32(v)&(1<<k-1), k)
			} else {
				c.put(1<<longCode-1, longCode)
				c.put(uint32(min(v, 511)), 9)
			}
			ctx.add(v)
		}
		if len(c.b)-at > most {
			return c.b, false
		}
	}
	if c.n > 0 {
		c.b = append(c.b, byte(c.acc))
	}
	return c.b, len(c.b)-at <= most
}

// readThumb fills pix, rows of w pixels, from the code b. Any bytes give some picture.
func (c *thumbCoder) readThumb(b []byte, w int, pix []uint8) {
	tolerance := 0
	if len(b) > 0 {
		tolerance = int(min(b[0], maxTolerance))
		b = b[1:]
	}
	c.reset(tolerance)
	c.b = b
	for i := range pix {
		expected, class := neighbourhood(pix, w, i%w, i/w)
		ctx := &c.ctx[class]
		k, ones := ctx.rice(), 0
		for ones < longCode && c.get(1) == 1 {
			ones++
		}
		v := 0
		if ones < longCode {
			v = ones<<k | int(c.get(k))
		} else {
			v = int(c.get(9))
		}
		q := (v + 1) / 2
		if v&1 == 1 {
			q = -q
		}
		pix[i] = uint8(min(max(expected+q*c.step, 0), 255))
		ctx.add(v)
	}
	c.b = nil
}
