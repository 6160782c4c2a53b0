package features

// Descriptor words: bit k of a descriptor is bit k%64 of word k/64. Bits 128 to
// 255 are the mirror images of bits 0 to 127: the same tests on the patch
// turned over along its orientation.
type descriptor [4]uint64

// mirrored returns the descriptor of the same place in the mirrored picture.
func (d descriptor) mirrored() descriptor {
	return descriptor{d[2], d[3], d[0], d[1]}
}

// test compares the mean of two square boxes of 2r+1 pixels: the bit is one
// where the first is darker. Centres are in level pixels of the upright patch,
// whose x axis is the orientation of the point.
type test struct {
	x1, y1, x2, y2 int8
	r              int8
}

// orientRadius is the radius of the disc whose gradients decide the
// orientation, in level pixels.
const orientRadius = 9

// disc lists the offsets of the orientation disc with their weights.
var disc = func() (d []struct{ x, y, w int32 }) {
	for y := int32(-orientRadius); y <= orientRadius; y++ {
		for x := int32(-orientRadius); x <= orientRadius; x++ {
			if rr := x*x + y*y; rr <= orientRadius*orientRadius {
				// A parabola: close to a Gaussian and exact in integers.
				d = append(d, struct{ x, y, w int32 }{x, y, orientRadius*orientRadius + 9 - rr})
			}
		}
	}
	return d
}()

// orientation returns the direction, of 256 steps, into which the gradients
// around the point x, y of l add up the strongest within one sixth of a turn.
func orientation(l *level, x, y int) uint8 {
	const bins = 64
	var hx, hy [bins]int64
	o := (y+planePad)*l.stride + x + planePad
	s := l.stride
	for i := range disc {
		k := &disc[i]
		c := o + int(k.y)*s + int(k.x)
		gx := int32(l.pix[c+1]) - int32(l.pix[c-1])
		gy := int32(l.pix[c+s]) - int32(l.pix[c-s])
		if gx == 0 && gy == 0 {
			continue
		}
		b := near(gx, gy) >> 2
		hx[b] += int64(gx * k.w >> 2)
		hy[b] += int64(gy * k.w >> 2)
	}
	const width = 13 // bins of 5.6 degrees: 73 degrees
	var sx, sy int64
	for b := range width {
		sx += hx[b]
		sy += hy[b]
	}
	var best int64 = -1
	var bx, by int64
	for b := range bins {
		if v := sx*sx + sy*sy; v > best {
			best, bx, by = v, sx, sy
		}
		in := (b + width) % bins
		sx += hx[in] - hx[b]
		sy += hy[in] - hy[b]
	}
	return direction(bx, by)
}

// direction returns the angle of the vector x, y in 1/256 turns, from the x
// axis towards the y axis; 0 for the zero vector. It is symmetric: turning the
// vector by quarter turns or mirroring it moves the result exactly, but for
// angles half way between two steps.
func direction(x, y int64) uint8 {
	ax, ay := max(x, -x), max(y, -y)
	lo, hi := min(ax, ay), max(ax, ay)
	if hi == 0 {
		return 0
	}
	return turned(octant[(lo*256+hi/2)/hi], ay > ax, x < 0, y < 0)
}

// near is direction for the difference of two samples, in 32 bits.
func near(x, y int32) uint8 {
	ax, ay := uint32(max(x, -x)), uint32(max(y, -y))
	lo, hi := min(ax, ay), max(ax, ay)
	return turned(octant[(lo*256+hi/2)/max(hi, 1)], ay > ax, x < 0, y < 0)
}

// turned returns the angle of which octant has the part.
func turned(part uint8, steep, left, up bool) uint8 {
	a := int(part)
	if steep {
		a = 64 - a
	}
	if left {
		a = 128 - a
	}
	if up {
		a = 256 - a
	}
	return uint8(a)
}

// sine16 holds 16384·sin of the first quarter turn in 1/256 turns.
var sine16 = [65]int32{0, 402, 804, 1205, 1606, 2006, 2404, 2801, 3196, 3590, 3981, 4370, 4756, 5139, 5520, 5897, 6270, 6639, 7005, 7366, 7723, 8076, 8423, 8765, 9102, 9434, 9760, 10080, 10394, 10702, 11003, 11297, 11585, 11866, 12140, 12406, 12665, 12916, 13160, 13395, 13623, 13842, 14053, 14256, 14449, 14635, 14811, 14978, 15137, 15286, 15426, 15557, 15679, 15791, 15893, 15986, 16069, 16143, 16207, 16261, 16305, 16340, 16364, 16379, 16384}

// sin14 and cos14 return 16384 times the sine and the cosine of an angle.
func sin14(a uint8) int32 {
	switch q := a & 63; a >> 6 {
	case 0:
		return sine16[q]
	case 1:
		return sine16[64-q]
	case 2:
		return -sine16[q]
	default:
		return -sine16[64-q]
	}
}

func cos14(a uint8) int32 { return sin14(a + 64) }

// octant[i] is the angle of the vector (256, i) in 1/256 turns, rounded.
var octant = func() (t [257]uint8) {
	for i := range t {
		// The step a whose direction is nearest: the boundary between a and
		// a+1 is at a+1/2, whose tangent the two sines give closely enough.
		a := 0
		for a < 32 {
			s := sine16[a] + sine16[a+1]
			c := sine16[64-a] + sine16[63-a]
			if int32(i)*c < 256*s {
				break
			}
			a++
		}
		t[i] = uint8(a)
	}
	return t
}()

// describe returns the descriptor of the point whose centre lies at cx, cy of
// level l, in 1/16 level pixels (a pixel's centre is at 8), turned by angle.
func describe(l *level, cx, cy int, angle uint8) descriptor {
	return describeBy(&tests, l, cx, cy, angle)
}

func describeBy(tests *[256]test, l *level, cx, cy int, angle uint8) descriptor {
	sn, cs := sin14(angle), cos14(angle)
	// Rounded to the nearest pixel after the turn. The offsets carry 14
	// fractional bits, the centre 4.
	ox := int32(cx)<<10 + planePad<<14
	oy := int32(cy)<<10 + planePad<<14
	st := l.stride + 1
	sums := l.sums
	var d descriptor
	for i := range tests {
		t := &tests[i]
		x1, y1, x2, y2 := int32(t.x1), int32(t.y1), int32(t.x2), int32(t.y2)
		r := int(t.r)
		ax := int((x1*cs-y1*sn+ox)>>14) - r
		ay := int((x1*sn+y1*cs+oy)>>14) - r
		bx := int((x2*cs-y2*sn+ox)>>14) - r
		by := int((x2*sn+y2*cs+oy)>>14) - r
		n := 2*r + 1
		p := ay*st + ax
		q := by*st + bx
		n2 := n * st
		a := sums[p+n2+n] - sums[p+n2] - sums[p+n] + sums[p]
		b := sums[q+n2+n] - sums[q+n2] - sums[q+n] + sums[q]
		if a < b {
			d[i>>6] |= 1 << (i & 63)
		}
	}
	return d
}
