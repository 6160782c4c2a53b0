package takedown

import (
	"context"
	"errors"
	"image"
	"image/color"
	"image/draw"
	"math"
	"slices"

	xdraw "golang.org/x/image/draw"
	"golang.org/x/image/math/f64"
)

// FaceSearch is a [FaceEmbedder] that shows each picture to another embedder in
// several ways. Detectors miss faces that fill the frame, that are turned by a
// quarter, or that are small. FaceSearch adds a border, turns, mirrors, enlarges and
// cuts the picture, so that any detector finds them. The boxes of the faces are those
// in the picture that FaceSearch was given.
//
// Each look calls the embedder once, or once for each tile. A desk searches in this
// way by itself, see desk.Options.FaceEmbedder. A crawler decides how many looks it
// can afford.
type FaceSearch struct {
	Embedder FaceEmbedder
	// Looks are taken in order; nil means [FaceLooks].
	Looks []FaceLook
	// All takes all looks and returns the faces of each turn, also where they are one
	// face: a detector can be as sure of a face on its side as of one upright. It is for
	// candidates, and finds the most. Otherwise FaceSearch stops after the first look
	// that finds faces, if the embedder is sure of all of them. Then a turned face beside
	// an upright one is not found.
	//
	// The embedder is sure of faces with a FoundFace.Quality of 0.95, or without a
	// quality. Detectors also find faces that lie on their side, and then align them
	// wrongly: a later look that finds the same face with a better quality counts.
	All bool
}

// FaceLook is a way to show a picture to an embedder. The zero FaceLook shows the
// picture as it is.
type FaceLook struct {
	// Turn is the number of quarter turns, clockwise.
	Turn int
	// Mirror mirrors the picture from left to right, before the turn.
	Mirror bool
	// Border is the width of a grey border on each side, as a fraction of the longer
	// side of the picture, at most 1.
	Border float64
	// Scale is the factor by which the picture is enlarged, or reduced, from 1/16 to
	// 16; 0 means 1.
	Scale float64
	// Tiles cuts the picture into squares of that many pixels, which overlap by half,
	// if it is bigger; 0 does not cut. It finds the small faces of large groups. A face
	// is found whole if it is smaller than half a tile.
	Tiles int
}

// FaceLooks returns the looks that FaceSearch takes by default: the picture as it is,
// with a border, turned by one, three and two quarters, and enlarged twice.
func FaceLooks() []FaceLook {
	return []FaceLook{{}, {Border: 0.5}, {Turn: 1, Border: 0.5}, {Turn: 3, Border: 0.5}, {Turn: 2, Border: 0.5}, {Scale: 2, Border: 0.5}}
}

// Limits of a look.
const (
	lookPixels = 16_000_000 // of a changed picture; a bigger one is reduced
	lookTiles  = 256
)

// EmbedFaces implements [FaceEmbedder].
func (s *FaceSearch) EmbedFaces(ctx context.Context, picture image.Image) (found []FoundFace, err error) {
	if s.Embedder == nil {
		return nil, errors.New("takedown: FaceSearch has no Embedder")
	}
	looks := s.Looks
	if looks == nil {
		looks = FaceLooks()
	}
	var ways [8][]FoundFace // of All, by turn and mirror
	for _, l := range looks {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		more, err := l.faces(ctx, s.Embedder, picture)
		if err != nil {
			return nil, err
		}
		if s.All {
			way := l.way()
			ways[way] = joinFaces(ways[way], more, true)
			continue
		}
		found = joinFaces(found, more, len(found) == 0)
		if len(found) > 0 && !slices.ContainsFunc(found, func(f FoundFace) bool { return f.Quality != 0 && f.Quality < sure }) {
			break
		}
	}
	for _, w := range ways {
		found = append(found, w...)
	}
	return found, nil
}

// way returns the number of the turn and mirror of a look, 0 to 7.
func (l FaceLook) way() int {
	way := (l.Turn%4 + 4) % 4
	if l.Mirror {
		way += 4
	}
	return way
}

// sure is the quality from which an embedder is sure that it sees a face upright.
const sure = 0.95

// joinFaces adds faces to those found before. A face whose box lies for the greater part
// in the box of one of these takes its place if its quality is better. Others are
// added if that is wanted.
func joinFaces(found, more []FoundFace, add bool) []FoundFace {
	area := func(r image.Rectangle) int64 { return int64(r.Dx()) * int64(r.Dy()) }
	for _, f := range more {
		at := slices.IndexFunc(found, func(g FoundFace) bool {
			return 2*area(f.Box.Intersect(g.Box)) > min(area(f.Box), area(g.Box))
		})
		switch {
		case at < 0 && add:
			found = append(found, f)
		case at < 0:
		case f.Quality > found[at].Quality:
			found[at] = f
		}
	}
	return found
}

// faces takes one look.
func (l FaceLook) faces(ctx context.Context, e FaceEmbedder, picture image.Image) ([]FoundFace, error) {
	shown, back := l.show(picture)
	tiles := l.tiles(shown.Bounds())
	var all []FoundFace
	for _, tile := range tiles {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		part := shown
		if tile != shown.Bounds() {
			part = cut(shown, tile)
		}
		found, err := e.EmbedFaces(ctx, part)
		if err != nil {
			return nil, err
		}
		for i := range found {
			found[i].Box = mapBox(back, found[i].Box).Intersect(picture.Bounds())
		}
		all = joinFaces(all, found, true)
	}
	return all, nil
}

// cut returns a part of a picture, in the coordinates of the whole.
func cut(m image.Image, part image.Rectangle) image.Image {
	if s, ok := m.(interface {
		SubImage(image.Rectangle) image.Image
	}); ok {
		return s.SubImage(part)
	}
	out := image.NewRGBA(part)
	draw.Draw(out, part, m, part.Min, draw.Src)
	return out
}

// tiles returns the parts of a picture to be looked at: all of it, and the squares.
func (l FaceLook) tiles(b image.Rectangle) []image.Rectangle {
	if l.Tiles <= 0 || b.Dx() <= l.Tiles && b.Dy() <= l.Tiles {
		return []image.Rectangle{b}
	}
	size := max(l.Tiles, 64)
	for count(b.Dx(), size)*count(b.Dy(), size) > lookTiles {
		size *= 2
	}
	var parts []image.Rectangle
	for i := range count(b.Dy(), size) {
		for j := range count(b.Dx(), size) {
			x, y := min(j*size/2, max(0, b.Dx()-size)), min(i*size/2, max(0, b.Dy()-size))
			parts = append(parts, image.Rect(x, y, x+size, y+size).Add(b.Min).Intersect(b))
		}
	}
	return parts
}

// count returns how many tiles of a size cover a length.
func count(length, size int) int { return 1 + max(0, 2*(length-size)+size-1)/size }

// show returns the picture as the look shows it, and the map from its coordinates to
// those of the picture.
func (l FaceLook) show(m image.Image) (image.Image, f64.Aff3) {
	b := m.Bounds()
	turn := l.way() % 4
	scale := l.Scale
	if scale == 0 {
		scale = 1
	}
	scale = min(max(scale, 1.0/16), 16)
	border := min(max(l.Border, 0), 1) * float64(max(b.Dx(), b.Dy()))
	if turn == 0 && !l.Mirror && border == 0 && scale == 1 || b.Empty() {
		return m, f64.Aff3{1, 0, 0, 0, 1, 0}
	}
	w, h := float64(b.Dx())+2*border, float64(b.Dy())+2*border
	scale = min(scale, math.Sqrt(lookPixels/(w*h)))
	outW, outH := max(1, int(w*scale)), max(1, int(h*scale))
	if turn%2 == 1 {
		outW, outH = outH, outW
	}
	// to maps the picture to what is shown, about the middles of both.
	cos, sin := [4]float64{1, 0, -1, 0}[turn], [4]float64{0, 1, 0, -1}[turn]
	flip := 1.0
	if l.Mirror {
		flip = -1
	}
	midX, midY := float64(b.Min.X+b.Max.X)/2, float64(b.Min.Y+b.Max.Y)/2
	a, c, d, e := scale*cos*flip, -scale*sin, scale*sin*flip, scale*cos
	to := f64.Aff3{
		a, c, float64(outW)/2 - float64(a*midX) - float64(c*midY),
		d, e, float64(outH)/2 - float64(d*midX) - float64(e*midY),
	}
	out := image.NewRGBA(image.Rect(0, 0, outW, outH))
	draw.Draw(out, out.Bounds(), image.NewUniform(color.Gray{Y: 128}), image.Point{}, draw.Src)
	if a == 1 && e == 1 { // Transform misplaces a mere shift of a picture whose bounds do not begin at (n, n)
		at := image.Pt(round(to[2]), round(to[5]))
		to[2], to[5] = float64(at.X), float64(at.Y)
		draw.Draw(out, b.Add(at), m, b.Min, draw.Over)
	} else {
		xdraw.ApproxBiLinear.Transform(out, to, m, b, draw.Over, nil)
	}
	// The inverse of a turn is the transposed turn, over the square of the scale.
	s2 := scale * scale
	ia, ic, id, ie := a/s2, d/s2, c/s2, e/s2
	return out, f64.Aff3{
		ia, ic, midX - float64(ia*float64(outW)/2) - float64(ic*float64(outH)/2),
		id, ie, midY - float64(id*float64(outW)/2) - float64(ie*float64(outH)/2),
	}
}

// mapBox returns the box of a mapped box.
func mapBox(m f64.Aff3, r image.Rectangle) image.Rectangle {
	at := func(x, y int) (float64, float64) {
		fx, fy := float64(x), float64(y)
		return float64(m[0]*fx) + float64(m[1]*fy) + m[2], float64(m[3]*fx) + float64(m[4]*fy) + m[5]
	}
	x0, y0 := at(r.Min.X, r.Min.Y)
	x1, y1 := at(r.Max.X, r.Max.Y)
	return image.Rect(round(min(x0, x1)), round(min(y0, y1)), round(max(x0, x1)), round(max(y0, y1)))
}

func round(x float64) int { return int(math.Round(x)) }
