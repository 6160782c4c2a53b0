package takedown

import (
	"image"

	xdraw "golang.org/x/image/draw"
)

// FaceSharpness measures how sharp the part of a picture in a box is, from 0 for a
// plain or blurred part to about 1. It is the contrast between neighbours of the part
// reduced to 64 × 64 pixels, over its contrast as a whole. An enlarged small face is
// as blurred as one out of focus.
func FaceSharpness(picture image.Image, box image.Rectangle) float64 {
	box = box.Intersect(picture.Bounds())
	if box.Empty() {
		return 0
	}
	const size = 64
	small := image.NewGray(image.Rect(0, 0, size, size))
	xdraw.BiLinear.Scale(small, small.Bounds(), picture, box, xdraw.Src, nil)
	at := func(x, y int) int64 { return int64(small.Pix[y*small.Stride+x]) }
	var sum, squares, edges int64
	for y := range size {
		for x := range size {
			v := at(x, y)
			sum, squares = sum+v, squares+v*v
			if x > 0 && y > 0 && x < size-1 && y < size-1 {
				e := 4*v - at(x-1, y) - at(x+1, y) - at(x, y-1) - at(x, y+1)
				edges += e * e
			}
		}
	}
	const n = size * size
	contrast := n*squares - sum*sum // n² times the variance
	if contrast <= 0 {
		return 0
	}
	return min(1, float64(edges*n)/float64(contrast))
}
