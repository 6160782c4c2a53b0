package phash

// Radii for PDQ, in bits, chosen from the curves in docs/accuracy.md. Distances
// between the PDQ hashes of pictures with detail are even.
const (
	// IdenticalRadius finds the same picture re-encoded (99.7 % of copies on the
	// development photos) or resized (92 %), and hardly any other copies: 1 % of
	// those with 2 % cut off at one corner, 3 % of those turned by 1°. Compare the
	// picture's own hash with the kind Whole, Upright only.
	IdenticalRadius = 20
	// BlockRadius is 46 because among 8.3 million pairs of a registered development
	// photo and a copy of another the nearest lay at 58 bits, and copies need hardly
	// more than 46. Beyond 47, a search becomes a scan of the whole list.
	BlockRadius = 46
	// ReviewRadius is for what a person looks at.
	ReviewRadius = 56
)

// PerceptionRadius returns the radius, in bits, for perception hashes in a list
// of n of them, orientations counted. 64 bits cannot carry a wide radius over a
// long list: the radius is such that an innocent picture is hit at most about
// every hundredth time, by the rates in docs/accuracy.md, and at most 8.
func PerceptionRadius(n int) int {
	switch {
	case n <= 2_000:
		return 8
	case n <= 20_000:
		return 6
	case n <= 200_000:
		return 4
	}
	return 2
}
