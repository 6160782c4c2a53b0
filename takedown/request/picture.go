package request

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/features"
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
}

// inspect computes what a registration stores of an image. sum is the digest of
// its file.
func inspect(pic *phash.Picture, sum [32]byte) (p Picture, m Material, err error) {
	p = Picture{SHA256: sum, Format: pic.Format().String(), MaxScope: takedown.ScopeDuplicate}
	p.Width, p.Height = pic.Size()
	p.Hash, p.Quality = pic.PDQ()
	m = Material{Bytes: &p.SHA256, Quality: p.Quality}
	// With perception hashes, for those who store goimagehash's.
	reg, err := phash.HashesToStore(pic, &phash.StoreOptions{AllAlgorithms: true})
	var refused *phash.RefusedError
	if errors.As(err, &refused) {
		p.Refused = refused.Error()
	} else if err != nil {
		return p, m, err
	}
	if len(reg.Hashes) > 0 { // of a transparent picture, of what is seen
		p.Hash, p.Quality = reg.Hashes[0].Hash, reg.Quality
		m.Quality = p.Quality
	}
	p.Stability = reg.Stability
	m.Hashes, m.Stability = variants(reg), reg.Stability
	var set features.Features
	if refused == nil || refused.Reason != phash.RefusedTruncated {
		set, err = features.Extract(pic.Image())
		var size *features.SizeError
		if err != nil && !errors.As(err, &size) { // a small or narrow picture has none
			return p, m, fmt.Errorf("takedown: %w", err)
		}
	}
	set = set.Compact()
	if err := set.Registrable(); err != nil {
		p.NotInside = err.Error()
		if refused != nil {
			p.MaxScope = takedown.ScopeBytes
		}
	} else {
		p.Points = set.Len()
		m.Features, _ = set.MarshalBinary()
	}
	m.narrow(set.Look())
	if pic.Frame().Count > 1 {
		m.Risks = append(m.Risks, FlagSeveralFrames)
	}
	if len(reg.Differing) > 0 {
		m.Risks = append(m.Risks, FlagReadingsDiffer)
	}
	p.Risks = m.Risks
	return p, m, nil
}

// Risks of pictures. Each asks for a second reviewer.
const (
	// FlagTemplate: the picture is a document, a code, a chart or a flat drawing. Other
	// people's pictures look like it.
	FlagTemplate Flag = "template"
	// FlagScreen: the picture is a page of an app or a site, or a card. Parts of
	// it are not the owner's alone, and are registered with it.
	FlagScreen Flag = "screen"
	// FlagReadingsDiffer: the picture is transparent, and shows something else
	// without its transparency or on a dark page. The registered picture is the
	// one on white.
	FlagReadingsDiffer Flag = "readings_differ"
	// FlagSeveralFrames: the file is an animation. Only its first frame is
	// registered, which can be a title, or be shown too briefly to be seen.
	FlagSeveralFrames Flag = "several_frames"
)

// narrow notes what a picture looks like. The hashes of templates are all near one
// another, and reach less far.
func (m *Material) narrow(look features.Look) {
	switch look {
	case features.Document, features.Graphic:
		m.Risks = append(m.Risks, FlagTemplate)
	case features.Screen:
		m.Risks = append(m.Risks, FlagScreen)
	}
	bits, narrow := look.Reach()
	for i := range m.Hashes {
		if h := &m.Hashes[i]; narrow {
			h.Reach = blocklist.ReachBits(bits * h.Hash.Algorithm().Bits() / phash.AlgPDQ.Bits())
		}
	}
}

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
