package takedown_test

import (
	"fmt"
	"image"
	"image/color"

	"github.com/staydown/staydown/takedown"
)

// A floor for faces that are registered: what is blurred is not taken.
func ExampleFaceSharpness() {
	fine, plain := image.NewGray(image.Rect(0, 0, 128, 128)), image.NewGray(image.Rect(0, 0, 128, 128))
	for i := range fine.Pix {
		fine.SetGray(i%128, i/128, color.Gray{Y: uint8(i % 128 / 8 % 2 * 255)})
	}
	fmt.Println(takedown.FaceSharpness(fine, fine.Bounds()) > takedown.FaceSharpness(plain, plain.Bounds()))
	// Output: true
}
