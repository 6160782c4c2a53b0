package features

import "image"

// The bounds of a seam. On both sides of a seam are different pictures: along the
// whole line, pixels differ, and they differ more than beside the line. Of the 300
// development photographs and the 208 of internal/tools/accuracy none has seams
// along both sides; of collages of four and of nine all have.
const (
	seamStep  = 10   // grey levels by which pixels across a seam differ at least
	seamShare = 0.85 // of the pixels along it
	seamRatio = 1.5  // of the steps across it to those beside it
	seamMost  = 48   // greater steps count as so many levels
)

// IsComposite reports whether a picture consists of several pictures: a seam crosses it
// from top to bottom, and one from side to side. Two pictures side by side are not
// recognised, because a wall or a horizon can look like one seam.
func IsComposite(img image.Image) bool {
	b := img.Bounds()
	w, h, ok := workSize(b.Dx(), b.Dy())
	if !ok {
		return false
	}
	e := extractors.Get().(*extractor)
	defer extractors.Put(e)
	var g gray
	g, e.luma = grayOf(img, e.luma)
	g = e.finePicture(g, w, h)
	return hasSeam(g.w, g.h, func(across, along int) uint8 { return g.pix[along*g.stride+across] }) &&
		hasSeam(g.h, g.w, func(across, along int) uint8 { return g.pix[across*g.stride+along] })
}

// hasSeam reports whether there is a seam in the middle four fifths of n lines of so
// many pixels.
func hasSeam(n, length int, at func(across, along int) uint8) bool {
	for a := max(n/10, 5); a < min(n-n/10, n-5); a++ {
		steps, sum, beside := 0, 0, 0
		for i := range length {
			d := absDiff(at(a-1, i), at(a+1, i))
			if d >= seamStep {
				steps++
			}
			sum += min(int(d), seamMost)
			beside += min(int(absDiff(at(a-4, i), at(a-2, i))), seamMost) + min(int(absDiff(at(a+2, i), at(a+4, i))), seamMost)
		}
		if share(steps, length) >= seamShare && float64(2*sum+length) >= seamRatio*float64(beside+length) {
			return true
		}
	}
	return false
}
