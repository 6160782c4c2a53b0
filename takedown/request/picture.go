package request

import (
	"errors"
	"strconv"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
)

// Picture is the result of the examination of an image of a request. For an image
// that was sent to show a face, it has only the format, the size and Faces.
type Picture struct {
	SHA256 [32]byte `json:"sha256"`
	Format string   `json:"format"` // such as "JPEG"
	Width  int      `json:"width"`  // as shown, in pixels
	Height int      `json:"height"`
	// Hash is the picture's own PDQ hash, and Quality its quality, 0 to 100.
	Hash    phash.Hash `json:"hash"`
	Quality int        `json:"quality"`
	// Stability is the number of bits by which the hash moves under invisible
	// changes: see phash.Registration.
	Stability int `json:"stability"`
	// MaxScope is the widest scope that can be granted: ScopeDuplicate or
	// ScopeBytes. It is ScopeBytes for a picture whose hash would match other
	// people's pictures, and that has too little detail to be found without the
	// hash.
	MaxScope takedown.Scope `json:"max_scope"`
	// Refused is the reason why the picture's hash cannot be registered, and an
	// alternative. If MaxScope is still ScopeDuplicate, crawlers find copies by
	// the points of the picture; services that have only hashes do not.
	Refused string `json:"refused,omitempty"`
	// Risks are possible effects of a grant on other people's pictures.
	Risks []Flag `json:"risks,omitempty"`
	// Faces is the number of faces that the desk's FaceEmbedder found. It is also
	// 0 if no FaceEmbedder has run.
	Faces int `json:"faces,omitempty"`
	// Points is the number of described points by which the picture is found
	// inside others: cropped, captioned, in a screenshot. If it is 0, the picture
	// is not found there, and NotInside has the reason.
	Points    int    `json:"points"`
	NotInside string `json:"not_inside,omitempty"`
	// Views are the parts of the file that can be registered. Of a still picture
	// without transparency there is one. The fields above are those of the first
	// view that is registered by default.
	Views []PictureView `json:"views,omitempty"`
	// LeftOut is the number of frames of an animation that were not looked at,
	// because they are too many.
	LeftOut int `json:"left_out,omitempty"`
}

// Risks of pictures. Each asks for a second reviewer.
const (
	// FlagTemplate: the picture is a document, a code, a chart or a flat drawing. Other
	// people's pictures look like it.
	FlagTemplate Flag = "template"
	// FlagScreen: the picture is a page of an app or a site, or a card. Parts of
	// it are not the owner's alone, and are registered with it.
	FlagScreen Flag = "screen"
	// FlagComposite: the picture consists of several pictures, such as a collage. All of
	// them are registered with it, unless the grant names a rectangle.
	FlagComposite Flag = "composite"
	// FlagReadingsDiffer: the picture is transparent, and shows something else
	// without its transparency or on a dark page. The registered picture is the
	// one on white. See Picture.Views.
	FlagReadingsDiffer Flag = "readings_differ"
	// FlagSeveralFrames: the file is an animation. Its distinct frames are
	// registered, except titles, blank frames, and frames that are shown too
	// briefly to be seen. See Picture.Views.
	FlagSeveralFrames Flag = "several_frames"
	// FlagAmbiguous: viewers may show the file differently from the picture that is
	// hashed, because of an unusual colour profile, a still picture hidden behind
	// an animation, several pictures in the file, or a drawing around them. The
	// reviewer compares the file with desk.Preview.Views.
	FlagAmbiguous Flag = "ambiguous"
	// FlagDamaged: the file is damaged. The registered picture is the part that
	// viewers show.
	FlagDamaged Flag = "damaged"
)

// variants returns the hashes of a registration as the list keeps them.
func variants(reg phash.Registration) []blocklist.HashKey {
	keys := make([]blocklist.HashKey, len(reg.Hashes))
	for i, v := range reg.Hashes {
		keys[i] = blocklist.HashKey{Hash: v.Hash, Variant: uint8(v.Transform)}
	}
	return keys
}

// imageProblem turns an error of phash.Decode into a problem of a request.
func imageProblem(err error) (code Code, params []string) {
	var de *phash.DecodeError
	if !errors.As(err, &de) {
		return CodeDamagedImage, nil
	}
	switch de.Reason {
	case phash.ErrTooLarge:
		return CodeTooLarge, []string{"max_bytes", strconv.Itoa(phash.DefaultMaxBytes), "max_pixels", strconv.Itoa(maxImagePixels)}
	case phash.ErrFormat:
		return CodeNotAnImage, nil
	case phash.ErrUnsupported:
		return CodeUnsupported, []string{"format", de.Format.String()}
	}
	return CodeDamagedImage, nil
}
