package request

import (
	"bytes"
	"image"
	"slices"
	"strconv"
	"strings"

	"github.com/staydown/staydown/internal/fields"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
)

// Subject is whose face it is.
type Subject string

const (
	SubjectSelf  Subject = ""      // that of the requester, or of the one who is represented; the zero value
	SubjectChild Subject = "child" // that of a child of the requester
	SubjectWard  Subject = "ward"  // that of somebody whose guardian the requester is
)

func (Subject) values() []string { return fields.Names(SubjectChild, SubjectWard) }

// FaceOptOut requests the removal of every picture in which a face appears, at any
// address, now and in future. It asks for [takedown.ScopeFace] only; the pictures
// in the request only show the face.
//
// The pictures and vectors of a FaceOptOut are kept apart from the rest of the
// request. They are sealed under their own keys, and kept only as long as they are
// needed. After a withdrawal, rejection, reversal, expiry or erasure they cannot
// be opened. The request of the case is then returned without them. If only some
// of several are gone, their places in Images, Marks and Faces stay, empty.
type FaceOptOut struct {
	Requester Requester `json:"requester"`
	// Images are pictures of the face, each at most 10 MB, as in [ImageOptOut].
	// The desk's FaceEmbedder makes vectors of them when the request is received.
	// Several pictures from different angles find more matches. Images and Faces
	// together are one to five.
	Images []File `json:"images,omitempty" max:"5"`
	// Marks identify the face in images that show several. Marks[i] is a point in
	// the face in Images[i], as two fractions of width and height from the top
	// left, for example "0.42,0.31". It is empty for an image with one face.
	Marks []string `json:"marks,omitempty" max:"5"`
	// Faces are vectors, where the sender has the model: all of one model.
	Faces []takedown.Face `json:"faces,omitempty" max:"5"`
	// Subject is the person whose face it is. For a child or ward,
	// Requester.Authority is required: the legal basis on which the requester
	// acts.
	Subject Subject `json:"subject,omitempty"`
	// Biometric is the explicit consent to a template of the face being made and
	// kept for the sole purpose of enforcing the opt-out.
	Biometric Statement `json:"biometric"`
	// Reason is a brief explanation; optional.
	Reason string `json:"reason,omitempty" max:"5000"`
	// LawCountry and Examples are as in [ImageOptOut].
	LawCountry string   `json:"law_country,omitempty"`
	Examples   []string `json:"examples,omitempty" max:"1000"`
}

// maxFaceItems is how many faces one case registers.
const maxFaceItems = 5

// Kind returns KindFaceOptOut.
func (r FaceOptOut) Kind() takedown.Kind { return KindFaceOptOut }

func (r FaceOptOut) Asks() takedown.Scope { return takedown.ScopeFace }

func (r FaceOptOut) About() takedown.CaseID { return takedown.CaseID{} }

func (r FaceOptOut) From() Requester { return r.Requester }

func (r FaceOptOut) check(c *checker) {
	r.Requester.check(c, needsNameMail)
	may := c.subject("subject", r.Subject, &r.Requester)
	if len(r.Images)+len(r.Faces) == 0 {
		c.Add("images", CodeRequired)
	}
	if c.limit("images", len(r.Images), maxFaceItems) && c.marks("marks", r.Marks, len(r.Images)) {
		c.faceImages("images", r.Images, r.Marks, may && r.Biometric.made())
	}
	if c.limit("faces", len(r.Images)+len(r.Faces), maxFaceItems) {
		c.faces("faces", r.Faces)
	}
	c.biometric("biometric", r.Biometric)
	c.text("reason", r.Reason, false, maxText)
	c.country("law_country", r.LawCountry)
	c.addresses("examples", r.Examples, useExample)
}

// subject checks whose face it is, and reports whether the requester may speak
// for them: for somebody else they say on what basis.
func (c *checker) subject(field string, s Subject, who *Requester) bool {
	choice(c, field, s, false)
	if s != SubjectSelf && strings.TrimSpace(who.Authority) == "" && !c.Has("requester.authority") {
		c.Add("requester.authority", CodeRequired)
	}
	return !c.Has(field) && !c.Has("requester.authority")
}

// FaceTemplate is the stored data of an item that is a face. The checker makes it,
// and the store seals it under its own key.
type FaceTemplate struct {
	Face takedown.Face `json:"face"`
	// Image is the picture that was sent to make it, if one was and it was sent
	// for nothing else, and Mark which of its faces was meant.
	Image []byte `json:"image,omitempty"`
	Mark  string `json:"mark,omitempty"`
}

// addFace adds an item for a face, unless it is of another model than those
// before it.
func (c *checker) addFace(path string, t FaceTemplate) {
	for _, other := range c.Templates {
		if t.Face.Model() != other.Face.Model() || t.Face.Dimensions() != other.Face.Dimensions() {
			c.Add(path, CodeMixedModels)
			return
		}
		break
	}
	if c.Templates == nil {
		c.Templates = map[int]FaceTemplate{}
	}
	c.Templates[len(c.Items)] = t
	c.Items = append(c.Items, Item{Field: path, Kind: ItemFace, MaxScope: takedown.ScopeFace})
	c.Material = append(c.Material, Material{})
}

// faces takes vectors that the sender made.
func (c *checker) faces(field string, faces []takedown.Face) {
	if c.opts.AddressesOnly {
		return
	}
	for i, f := range faces {
		path := fields.Index(field, i)
		if f.IsZero() {
			c.Add(path, CodeRequired)
			continue
		}
		if of := slices.IndexFunc(faces[:i], f.Equal); of >= 0 {
			c.Add(path, CodeDuplicate, "of", strconv.Itoa(of))
			continue
		}
		c.addFace(path, FaceTemplate{Face: f})
	}
}

// faceImages looks for the face in each picture that was sent to show it.
// Without the consent nobody looks for it.
func (c *checker) faceImages(field string, images []File, marks []string, consent bool) {
	if c.opts.AddressesOnly {
		return
	}
	if len(images) > 0 && c.opts.Desk && c.opts.Embedder == nil {
		c.Add(field, CodeNoEmbedder)
	}
	for i, f := range c.distinct(field, images) {
		path, data := fields.Index(field, i), f.data
		pic, ok := c.decode(path, data)
		if !ok {
			continue
		}
		// No digest and no hash: they would outlive the template.
		p := Picture{Format: pic.Format().String()}
		p.Width, p.Height = pic.Size()
		var found []takedown.FoundFace
		if consent {
			found = c.look(pic)
		}
		p.Faces = len(found)
		c.Pictures = append(c.Pictures, p)
		if c.opts.Embedder == nil || c.Failed != nil || !consent {
			continue
		}
		mark := at(marks, i)
		f, ok := c.meant(path, pic, found, mark)
		if ok {
			c.addFace(path, FaceTemplate{Face: f, Image: data, Mark: mark})
		}
	}
}

// look asks the desk's embedder for the faces of a picture.
func (c *checker) look(pic *phash.Picture) []takedown.FoundFace {
	if c.opts.Embedder == nil || c.Failed != nil {
		return nil
	}
	found, err := takedown.EmbedFaces(c.ctx, c.opts.Embedder, pic.Image())
	if err != nil {
		c.Failed = err
	}
	return found
}

// meant returns the face of a picture that an opt-out is about: the only one,
// or the one that is marked. A face below the floor is a problem.
func (c *checker) meant(path string, pic *phash.Picture, found []takedown.FoundFace, mark string) (takedown.Face, bool) {
	switch {
	case len(found) == 0:
		c.Add(path, CodeNoFace)
	case len(found) == 1 && mark == "":
		return found[0].Face, c.aboveFloor(path, pic, &found[0])
	case mark == "":
		c.Add(path, CodeSeveralFaces, "faces", strconv.Itoa(len(found)))
	default:
		if f := marked(pic, found, mark); f != nil {
			return f.Face, c.aboveFloor(path, pic, f)
		}
		c.Add(path, CodeInvalidMark)
	}
	return takedown.Face{}, false
}

// aboveFloor checks what a face must have to be registered.
func (c *checker) aboveFloor(path string, pic *phash.Picture, f *takedown.FoundFace) bool {
	switch floor := &c.opts.FaceFloor; {
	case min(f.Box.Dx(), f.Box.Dy()) < floor.Size:
		c.Add(path, CodeSmallFace, "min", strconv.Itoa(floor.Size))
	case f.Quality != 0 && f.Quality < floor.Quality, floor.Sharpness > 0 && takedown.FaceSharpness(pic.Image(), f.Box) < floor.Sharpness:
		c.Add(path, CodeUnclearFace)
	default:
		return true
	}
	return false
}

// marked returns the face at a mark, or nil. Where boxes overlap it is the one whose
// middle is nearest.
func marked(pic *phash.Picture, found []takedown.FoundFace, mark string) *takedown.FoundFace {
	x, y, ok := parseMark(mark)
	if !ok {
		return nil
	}
	b := pic.Image().Bounds()
	// The last pixel belongs to the fraction 1.
	at := image.Pt(b.Min.X+min(int(x*float64(b.Dx())), b.Dx()-1), b.Min.Y+min(int(y*float64(b.Dy())), b.Dy()-1))
	best, nearest := -1, 0
	for i, f := range found {
		if !at.In(f.Box) {
			continue
		}
		dx, dy := at.X-(f.Box.Min.X+f.Box.Max.X)/2, at.Y-(f.Box.Min.Y+f.Box.Max.Y)/2
		if d := dx*dx + dy*dy; best < 0 || d < nearest {
			best, nearest = i, d
		}
	}
	if best < 0 {
		return nil
	}
	return &found[best]
}

// parseMark reads a point: two fractions from 0 to 1, with a comma between.
func parseMark(s string) (x, y float64, ok bool) {
	fx, fy, _ := strings.Cut(s, ",")
	x, err1 := strconv.ParseFloat(strings.TrimSpace(fx), 64)
	y, err2 := strconv.ParseFloat(strings.TrimSpace(fy), 64)
	return x, y, len(s) <= 64 && err1 == nil && err2 == nil && x >= 0 && x <= 1 && y >= 0 && y <= 1
}

// marks checks the marks of some images.
func (c *checker) marks(field string, marks []string, images int) bool {
	if !c.limit(field, len(marks), images) {
		return false
	}
	fine := true
	for i, m := range marks {
		if _, _, ok := parseMark(m); m != "" && !ok {
			c.Add(fields.Index(field, i), CodeInvalidMark)
			fine = false
		}
	}
	return fine
}

// biometric checks the consent without which no template may be made.
func (c *checker) biometric(field string, s Statement) {
	if !s.made() {
		c.Add(field, CodeNoConsent)
		return
	}
	s.check(c, field)
}

// openFaces looks, in the pictures of an opt-out that leaves open whether the
// picture or the face is meant, for the face that it may mean: the only one of a
// picture, or the one that is marked. A picture without one is no problem: it
// may be the picture that is meant.
func (c *checker) openFaces(field string, images []File, marks []string) {
	if c.opts.AddressesOnly {
		return
	}
	if c.opts.Embedder == nil {
		return
	}
	for i, file := range images {
		if len(c.Templates) == maxFaceItems || c.Failed != nil {
			return
		}
		data, sum, ok := c.read(file)
		if !ok {
			return
		}
		p := c.picture(sum)
		if p == nil {
			continue // images has said why
		}
		pic, err := phash.DecodeContext(c.ctx, bytes.NewReader(data), &phash.DecodeOptions{Decoders: c.opts.Decoders})
		if err != nil {
			continue
		}
		found := c.look(pic)
		p.Faces = len(found)
		mark := at(marks, i)
		switch {
		case len(found) == 1 && mark == "":
			c.addFace(fields.Index(field, i), FaceTemplate{Face: found[0].Face})
		case mark != "":
			if f := marked(pic, found, mark); f != nil {
				c.addFace(fields.Index(field, i), FaceTemplate{Face: f.Face})
			} else {
				c.Add(fields.Index(field, i), CodeInvalidMark)
			}
		}
	}
}

// picture returns what is known of an image that could be used.
func (c *checker) picture(sum [32]byte) *Picture {
	i := slices.IndexFunc(c.Pictures, func(p Picture) bool { return p.SHA256 == sum })
	if i < 0 {
		return nil
	}
	return &c.Pictures[i]
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}
