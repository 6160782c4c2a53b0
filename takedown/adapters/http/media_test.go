package takedownhttp_test

import (
	"context"
	"fmt"
	"image"
	"log"
	"strings"

	"github.com/staydown/staydown/takedown"
)

// thumbnailOf is the host's own: it has made a picture of the video already.
func thumbnailOf(string) image.Image { return image.NewGray(image.Rect(0, 0, 320, 180)) }

// A media server has a video in a temporary file, and a thumbnail of it. The bytes of
// the video and the thumbnail are looked up together.
func Example_video() {
	enforcer := exampleEnforcer() // takedown.Load("blocklist.snap", nil)
	video := strings.NewReader("the bytes of a video, from a file")
	// The error says only that a video is not decoded; the candidate has its digest.
	c, _ := takedown.InspectContext(context.Background(), video, takedown.Source{MediaType: "video/mp4"}, nil)
	if err := c.Add(thumbnailOf("upload.mp4")); err != nil {
		log.Fatal(err)
	}
	switch d := enforcer.Check(c); d.Verdict {
	case takedown.Allow:
		fmt.Println("stored")
	case takedown.Review:
		// keep it apart until a person has looked
	default:
		fmt.Println("refused:", d.Case)
	}
	// Output: stored
}
