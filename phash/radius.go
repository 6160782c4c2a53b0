package phash

// Radii are the distances, in bits, up to which a match between hashes of one
// algorithm means something: see [Algorithm.Radii]. A radius of 0 accepts equal
// hashes only.
type Radii struct {
	// Near is for the same picture recompressed or resized. A match within Near
	// leaves no doubt.
	Near int
	// Identical is for the same picture re-encoded or resized, but not edited.
	// Compare the picture's own hash, Whole and Upright, only. It is -1 if no
	// distance means that.
	Identical int
	// Flat is Block for a registered picture with so little detail that other
	// pictures come near to it: one frame, disc or bar looks like any other.
	Flat int
	// Block is for a copy.
	Block int
	// Review is the radius of matches for review by a person. It is 0 if the
	// algorithm has no such radius.
	Review int
}

// Reach returns the radius of a search: the largest radius that leads to a match,
// with or without Review. (Near only grades a match.)
func (r Radii) Reach(review bool) int {
	n := max(r.Identical, r.Block)
	if review {
		n = max(n, r.Review)
	}
	return n
}

// Radii for PDQ, in bits, chosen from the curves in docs/accuracy.md. Distances
// between the PDQ hashes of pictures with detail are even.
const (
	// IdenticalRadius finds the same picture re-encoded (99.7 % of copies on the
	// development photos) or resized (92 %). It finds hardly any other copies: 1 %
	// of those with 2 % cut off at one corner, 3 % of those turned by 1°. Compare
	// the picture's own hash with the kind Whole, Upright only.
	IdenticalRadius = 20
	// BlockRadius is 46. Among 8.3 million pairs of a registered development photo
	// and a copy of another the nearest lay at 58 bits, and copies need hardly
	// more than 46. Beyond 47, a search becomes a scan of the whole list.
	BlockRadius = 46
	// ReviewRadius is the radius of matches for review by a person.
	ReviewRadius = 56
)

// pdqRadii: the length of the list does not matter for 256 bits. Pictures that
// nobody edited lie within 10 bits between implementations; most false matches
// within BlockRadius are with flat pictures, and most of these lie beyond 31.
func pdqRadii(int) Radii {
	return Radii{Near: 10, Identical: IdenticalRadius, Flat: 31, Block: BlockRadius, Review: ReviewRadius}
}

// partRadii: the length of the list does not matter. A part that is identical does not
// make the picture identical, so no distance is Identical.
func partRadii(int) Radii {
	return Radii{Near: 10, Identical: -1, Flat: partRadius, Block: partRadius}
}

// partRadius is the greatest distance of a match between parts, chosen by
// docs/decisions/parts-for-rankers.md.
const partRadius = 34

// perceptionRadii: 64 bits cannot carry a wide radius over a long list. The
// radius is such that an innocent picture is hit at most about every hundredth
// time, by the rates in docs/accuracy.md, and at most 8.
func perceptionRadii(n int) Radii {
	block := 2
	switch {
	case n <= 2_000:
		block = 8
	case n <= 20_000:
		block = 6
	case n <= 200_000:
		block = 4
	}
	return Radii{Near: 4, Identical: min(block, 4), Flat: block, Block: block}
}
