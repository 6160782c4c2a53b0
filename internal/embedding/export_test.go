package embedding

// Sketch is the stored sketch of a vector.
type Sketch struct {
	row    [sketchBytes]byte
	spread byte
}

func (s *Sketch) Set(v Vector) { s.spread = sketch(v.components, v.norm, s.row[:]) }

// Query is a vector prepared for sketches.
type Query struct {
	q         query
	tooMany   int // sketches that differ in too many bits
	tooLittle int // sketches that weigh too little
}

func (q *Query) Set(v Vector, threshold float64) { q.q.set(v.components, v.norm, threshold) }

// Passes reports whether a search compares with a vector of that sketch.
func (q *Query) Passes(s *Sketch) (first, second bool) {
	differ := 0
	for i, b := range s.row {
		for j := range 8 {
			differ += int(b>>j&1 ^ byte(q.q.bits[i/8]>>(8*(i%8)+j))&1)
		}
	}
	return differ <= q.q.most, q.q.weigh(s.row[:]) >= q.q.least[s.spread]
}

// MostBits is how many bits of a sketch may differ from those of v.
func MostBits(v Vector, threshold float64) int {
	var q query
	q.set(v.components, v.norm, threshold)
	return q.most
}

// Rotate returns the vector after rotation k, to unit length.
func Rotate(v Vector, k int) []float64 {
	var s scratch
	x := s[:rotatedDimensions(len(v.components))]
	rotate(v.components, k, x)
	out := make([]float64, len(x))
	for i, c := range x {
		out[i] = float64(c) / rotatedLength(len(v.components), v.norm)
	}
	return out
}

func Components(v Vector) []int8 { return v.components }

func Arccos(c float64) float64 { return arccos(c) }

const (
	SketchBits = sketchBits
	ScanBelow  = scanBelow
	SketchFrom = sketchFrom
)
