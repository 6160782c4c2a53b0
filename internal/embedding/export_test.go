package embedding

// Frame is where sketches of vectors are made.
type Frame struct{ f frame }

// NewFrame returns the frame of a segment of those vectors.
func NewFrame(dimensions int, vectors ...Vector) *Frame {
	if len(vectors) == 0 {
		return &Frame{newFrame(dimensions, nil)}
	}
	entries := make([]Entry, len(vectors))
	for i, v := range vectors {
		entries[i].Vector = v
	}
	middle := make([]byte, 4*dimensions)
	putMiddle(middle, entries)
	return &Frame{newFrame(dimensions, middle)}
}

// Sketch is the stored sketch of a vector.
type Sketch struct {
	row            [sketchBytes]byte
	length, spread byte
}

func (f *Frame) Sketch(v Vector, s *Sketch) {
	s.length, s.spread = f.f.sketch(v.get().components, v.get().norm, s.row[:])
}

// Query is a vector prepared for sketches.
type Query struct {
	q    query
	seen bool
}

func (f *Frame) Query(v Vector, threshold float64, q *Query) {
	q.seen = q.q.set(&f.f, v.get().components, v.get().norm, threshold)
}

// Passes reports whether a sketch passes the tests of a search, each by itself.
func (q *Query) Passes(s *Sketch) (first, second bool) {
	if !q.seen {
		return true, true
	}
	differ := 0
	for i, b := range s.row {
		for j := range 8 {
			differ += int(b>>j&1 ^ byte(q.q.bits[i/8]>>(8*(i%8)+j))&1)
		}
	}
	return differ <= int(q.q.most[s.length]), float64(q.q.weigh(s.row[:])) >= q.q.least(s.length, s.spread)
}

// Rotate returns the vector after rotation k, to unit length.
func (f *Frame) Rotate(v Vector, k int) []float64 {
	var s, t scratch
	placed, x := s[:f.f.size], t[:f.f.size]
	length := f.f.place(v.get().components, v.get().norm, placed)
	rotate(placed, k, x)
	out := make([]float64, len(x))
	for i, c := range x {
		out[i] = float64(c) / (length * f.f.growth() * float64(f.f.unit))
	}
	return out
}

func MostBits(c float64) int { return int(mostBits(c)) }

func Arccos(c float64) float64 { return arccos(c) }

func Components(v Vector) []int8 { return v.get().components }

const (
	SketchBits = sketchBits
	ScanBelow  = scanBelow
)

// SealBytes seals what need not be a vector.
func SealBytes(k Key, context, plain []byte) []byte { return seal(k, sealVersion, context, plain) }
