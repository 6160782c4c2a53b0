package phash

// Radii for PDQ, in bits, chosen from the curves in docs/accuracy.md. Distances
// between PDQ hashes of pictures with detail are even.
const (
	// IdenticalRadius is what re-encoding and resizing alone move a hash by.
	IdenticalRadius = 10
	// BlockRadius found no match between different pictures.
	BlockRadius = 46
	// ReviewRadius is for what a person looks at.
	ReviewRadius = 56
)

// PerceptionRadius returns the radius, in bits, for perception hashes in a list
// of n of them. 64 bits cannot carry a wide radius over a long list: among 10
// million hashes every third innocent picture has one within 10 bits.
func PerceptionRadius(n int) int {
	switch {
	case n <= 10_000:
		return 8
	case n <= 1_000_000:
		return 6
	}
	return 4
}
