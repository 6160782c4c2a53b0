package avif

import "image"

// DecodePlain decodes a still picture as if it were a large one.
func DecodePlain(data []byte) (image.Image, error) {
	c, err := readContainer(data)
	if err != nil {
		return nil, err
	}
	d := &decoder{container: c, limits: limits{DefaultMemory}, maxPixels: 1 << 30, plain: true}
	defer d.close()
	return d.still()
}
