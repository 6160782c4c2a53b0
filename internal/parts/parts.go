// Package parts computes the hashes of parts of a picture, by which services that
// have only hashes find crops and covered copies.
package parts

import (
	"image"

	"github.com/staydown/staydown/internal/features"
	"github.com/staydown/staydown/phash"
)

const (
	// Registered is the number of parts that a registration stores at most.
	Registered = 24
	// Asked is the number of parts that a picture is asked with at most.
	Asked = 8
	// leastSide is the least side of a part in pixels: PDQ of a smaller one is mostly
	// the noise of its encoding.
	leastSide = 16
)

// Hashes returns the hashes of at most n parts of a picture of which luma is the
// luma and f are the features. Features that are not compact have more points,
// and so more parts.
func Hashes(luma *image.Gray, f features.Features, n int) (hashes []phash.Hash) {
	if n <= 0 {
		return nil
	}
	b := luma.Bounds()
	f.Parts(b.Dx(), b.Dy(), func(r image.Rectangle) (more, taken bool) {
		if r.Dx() < leastSide || r.Dy() < leastSide {
			return true, false
		}
		pdq, quality, err := phash.PDQ(luma.SubImage(r.Add(b.Min)))
		if err != nil || quality < phash.QualityFloor || !pdq.Plausible() {
			return true, false
		}
		h, err := phash.FromBytes(phash.AlgPart, pdq.Bytes())
		if err != nil {
			return true, false
		}
		hashes = append(hashes, h)
		return len(hashes) < n, true
	})
	return hashes
}
