package main

import (
	"bytes"
	"fmt"
	"image"
	"image/draw"
	"image/jpeg"
	"os"
	"path/filepath"
)

// guest is who sends a request about the photographs of the model's package: the
// person on the right of the third one.
const guest = "guest"

// guestIn is where the guest's head is in that photograph.
var guestIn = image.Rect(1400, 180, 1800, 680)

// sampleAlbum makes an album of the photographs in the model's package: groups
// of people. The guest sends a portrait that is cut out of the third of them.
// Besides that one, a darker copy of it is the guest's other photograph.
func sampleAlbum(model string) ([]photo, error) {
	var groups []photo
	for i := range 6 {
		name := fmt.Sprintf("sample%d.jpg", i+1)
		b, err := os.ReadFile(filepath.Join(model, "node_modules", "@vladmandic", "face-api", "demo", name))
		if err != nil {
			return nil, fmt.Errorf("no photographs: %w", err)
		}
		groups = append(groups, photo{Person: fmt.Sprintf("group %d", i+1), Name: name, file: b})
	}
	whole, err := jpeg.Decode(bytes.NewReader(groups[2].file))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", groups[2].Name, err)
	}
	if !guestIn.In(whole.Bounds()) {
		return nil, fmt.Errorf("%s is not the photograph that this example knows", groups[2].Name)
	}
	portrait := image.NewRGBA(image.Rectangle{Max: guestIn.Size()})
	draw.Draw(portrait, portrait.Bounds(), whole, guestIn.Min, draw.Src)
	darker := image.NewRGBA(whole.Bounds())
	draw.Draw(darker, darker.Bounds(), whole, whole.Bounds().Min, draw.Src)
	for i := range darker.Pix {
		if i%4 != 3 { // not alpha
			darker.Pix[i] = darker.Pix[i] / 5 * 3
		}
	}
	groups[2].Person = guest
	album := []photo{{Person: guest, Name: "portrait.jpg", file: encode(portrait)}}
	album = append(album, groups...)
	return append(album, photo{Person: guest, Name: "darker.jpg", file: encode(darker)}), nil
}

func encode(m image.Image) []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 90}); err != nil {
		panic(err) // a bytes.Buffer takes everything, and the sizes are right
	}
	return b.Bytes()
}
