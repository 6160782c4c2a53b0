package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/staydown/staydown/examples/calibrate"
	"github.com/staydown/staydown/internal/embedding"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	xdraw "golang.org/x/image/draw"
	"gonum.org/v1/gonum/stat/distuv"
)

// subject is a photograph of the proof: its picture and the face in it.
type subject struct {
	person string
	img    image.Image
	found  takedown.FoundFace
	values []float64
}

// proof measures a model on photographs: half of the people choose the thresholds,
// and the other half is measured. It splits people, not pictures.
type proof struct {
	out           io.Writer
	embedder      takedown.FaceEmbedder
	block, review float64
	chosen, tests []subject
	results       proofResult
}

// proofResult is what the test looks at.
type proofResult struct {
	strangers, blocked, held   int
	photos, found, lost, doubt int
	attacks                    map[string]float64 // share of strangers that an attack blocks
	kinds                      map[string][4]int
}

// prove runs the proof. Thresholds of 0 are chosen from the first half.
func prove(ctx context.Context, out io.Writer, album []photo, e takedown.FaceEmbedder, block, review float64) (*proofResult, error) {
	p := &proof{out: out, embedder: e, block: block, review: review}
	p.results.attacks, p.results.kinds = map[string]float64{}, map[string][4]int{}
	people, seen := map[string]int{}, 0
	for i := range album {
		pic, err := phash.Decode(bytes.NewReader(album[i].file), nil)
		if err != nil {
			return nil, fmt.Errorf("photograph %d: %w", i, err)
		}
		found, err := takedown.EmbedFaces(ctx, &takedown.FaceSearch{Embedder: e}, pic.Image())
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			continue
		}
		seen++
		n, ok := people[album[i].Person]
		if !ok {
			n = len(people)
			people[album[i].Person] = n
		}
		s := subject{album[i].Person, pic.Image(), found[0], components(found[0].Face)}
		if n%2 == 0 {
			p.chosen = append(p.chosen, s)
		} else {
			p.tests = append(p.tests, s)
		}
	}
	fmt.Fprintf(out, "%d photographs of %d people; a face was found in %d.\n", len(album), len(people), seen)
	if len(firsts(p.chosen)) < 2 || len(firsts(p.tests)) < 2 {
		return nil, errors.New("at least two people in each half are needed")
	}
	for _, step := range []func(context.Context) error{p.choose, p.strangers, p.recall, p.families, p.attacks, p.sharpness, p.kinds} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return &p.results, nil
}

// components returns the direction of a face as numbers.
func components(f takedown.Face) []float64 {
	b, err := f.MarshalBinary()
	if err != nil {
		panic(err) // of a face that is not zero there is none
	}
	v := make([]float64, f.Dimensions())
	for i, c := range b[len(b)-len(v):] {
		v[i] = float64(int8(c))
	}
	return unit(v)
}

func unit(v []float64) []float64 {
	n := 0.0
	for _, x := range v {
		n += x * x
	}
	n = math.Sqrt(n)
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = x / n
	}
	return out
}

func dot(a, b []float64) (s float64) {
	for i := range a {
		s += a[i] * b[i]
	}
	return s
}

// firsts returns the first photograph of each person.
func firsts(all []subject) (list []subject) {
	for _, s := range all {
		if !slices.ContainsFunc(list, func(o subject) bool { return o.person == s.person }) {
			list = append(list, s)
		}
	}
	return list
}

// atMost is the bound on a share of n, with 95 % confidence.
func atMost(events, n int) float64 {
	if events >= n {
		return 1
	}
	return distuv.Beta{Alpha: float64(events) + 1, Beta: float64(n - events)}.Quantile(0.95)
}

// choose takes thresholds that the first half supports for the list of the second.
func (p *proof) choose(context.Context) error {
	if p.block > 0 {
		fmt.Fprintf(p.out, "Thresholds as given: block %.3f, review %.3f.\n", p.block, p.review)
		return nil
	}
	var faces []calibrate.Face
	for i, s := range p.chosen {
		v := make([]float32, len(s.values))
		for k, x := range s.values {
			v[k] = float32(x)
		}
		f := calibrate.Face{Person: s.person, File: fmt.Sprint(i)}
		var err error
		if f.Vector, err = embedding.New(embedding.Model{Name: s.found.Face.Model(), Dimensions: len(v)}, v); err != nil {
			return err
		}
		faces = append(faces, f)
	}
	c, err := calibrate.NewCurve(faces, faces, 0.95)
	if err != nil {
		return err
	}
	r, err := c.Recommend(calibrate.Goal{Block: 0.001, Review: 0.02, List: len(firsts(p.tests)), Faces: 1})
	if err != nil {
		return err
	}
	if r.Supported > 0 {
		p.block, p.review = r.Block.Threshold, r.Review.Threshold
		fmt.Fprintf(p.out, "Thresholds of the first half, for a list of %d: block %.3f, review %.3f.\n", r.Supported, p.block, p.review)
		return nil
	}
	// So few people support no list: what they show, without a promise.
	for _, q := range c.Points {
		if p.review == 0 && q.FalseMatchRate <= 0.01 {
			p.review = q.Threshold
		}
		if p.block == 0 && q.FalseMatches == 0 {
			p.block = q.Threshold
		}
	}
	fmt.Fprintf(p.out, "The first half, %d people, supports no list at 0.001 blocked and 0.02 held (about %d people would). Without a promise: block %.3f, where none of its strangers match, review %.3f, where 1 %% of the pairs do.\n",
		c.People, r.People, p.block, p.review)
	return nil
}

// verdict compares a face with a list.
func (p *proof) verdict(v []float64, list []subject, but string) takedown.Verdict {
	got := takedown.Allow
	for _, s := range list {
		if but != "" && s.person == but {
			continue
		}
		switch x := dot(v, s.values); {
		case x >= p.block:
			return takedown.Block
		case x >= p.review:
			got = takedown.Review
		}
	}
	return got
}

// strangers registers everybody of the second half, and shows everybody to a list
// without them.
func (p *proof) strangers(context.Context) error {
	list := firsts(p.tests)
	r := &p.results
	for _, s := range list {
		r.strangers++
		tallyVerdict(p.verdict(s.values, list, s.person), &r.blocked, &r.held)
	}
	fmt.Fprintf(p.out, "\nStrangers, %d people of the second half, a list of the %d others:\n", r.strangers, r.strangers-1)
	fmt.Fprintf(p.out, "  blocked wrongly  %d (%.1f %%, at most %.1f %%)\n", r.blocked, 100*share(r.blocked, r.strangers), 100*atMost(r.blocked, r.strangers))
	fmt.Fprintf(p.out, "  held             %d (%.1f %%, at most %.1f %%)\n", r.held, 100*share(r.held, r.strangers), 100*atMost(r.held, r.strangers))
	return nil
}

func share(n, of int) float64 { return float64(n) / float64(max(of, 1)) }

func tallyVerdict(v takedown.Verdict, blocked, held *int) {
	switch v {
	case takedown.Block:
		*blocked++
	case takedown.Review:
		*held++
	}
}

// recall files everybody of the second half with the first photograph, and shows the
// others.
func (p *proof) recall(context.Context) error {
	first := firsts(p.tests)
	people := map[string]bool{}
	r := &p.results
	for _, s := range p.tests {
		i := slices.IndexFunc(first, func(o subject) bool { return o.person == s.person })
		if &first[i].values[0] == &s.values[0] {
			continue
		}
		people[s.person] = true
		r.photos++
		var blocked, held int
		tallyVerdict(p.verdict(s.values, first[i:i+1], ""), &blocked, &held)
		r.found, r.doubt = r.found+blocked, r.doubt+held
	}
	r.lost = r.photos - r.found - r.doubt
	fmt.Fprintf(p.out, "\nThe other %d photographs of %d people of the second half, filed with one:\n", r.photos, len(people))
	fmt.Fprintf(p.out, "  blocked %d, held %d, missed %d (%.1f %%, at most %.1f %% of photographs, at most %.1f %% if each person counts once)\n",
		r.found, r.doubt, r.lost, 100*share(r.lost, r.photos), 100*atMost(r.lost, r.photos), 100*atMost(min(r.lost, len(people)), len(people)))
	return nil
}

// families compares people whose names have the same beginning, up to a hyphen.
func (p *proof) families(context.Context) error {
	all := firsts(append(slices.Clone(p.chosen), p.tests...))
	var pairs, blocked, held int
	for i, a := range all {
		for _, b := range all[:i] {
			fa, _, ok := strings.Cut(a.person, "-")
			if fb, _, _ := strings.Cut(b.person, "-"); !ok || fa != fb {
				continue
			}
			pairs++
			tallyVerdict(p.verdict(a.values, []subject{b}, ""), &blocked, &held)
		}
	}
	if pairs > 0 {
		fmt.Fprintf(p.out, "\nRelatives (names with the same beginning, of both halves): of %d pairs %d blocked, %d held.\n", pairs, blocked, held)
	}
	return nil
}

// attacks makes vectors that resemble many people, from the first half, and shows the
// second.
func (p *proof) attacks(context.Context) error {
	from, on := firsts(p.chosen), firsts(p.tests)
	var all [][]float64
	for _, s := range from {
		all = append(all, s.values)
	}
	fmt.Fprintf(p.out, "\nVectors made of the %d people of the first half, as if two reviewers had let them block:\n", len(from))
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "  attack\tvectors\tstrangers blocked\theld\tflagged by the first half as reference")
	for _, a := range []struct {
		name    string
		vectors [][]float64
	}{{"mean", [][]float64{middle(all)}}, {"centres", centres(all, min(5, len(all)))}, {"optimised", [][]float64{climb(all, p.block)}}} {
		list := make([]subject, len(a.vectors))
		flagged := 0
		for i, v := range a.vectors {
			list[i].values = v
			var blocked, held int
			for _, s := range from {
				tallyVerdict(p.verdict(s.values, list[i:i+1], ""), &blocked, &held)
			}
			if blocked*1000 > len(from) || held*50 > len(from) {
				flagged++
			}
		}
		var blocked, held int
		for _, s := range on {
			tallyVerdict(p.verdict(s.values, list, ""), &blocked, &held)
		}
		p.results.attacks[a.name] = share(blocked, len(on))
		fmt.Fprintf(w, "  %s\t%d\t%d of %d (at most %.0f %%)\t%d\t%d\n", a.name, len(list), blocked, len(on), 100*atMost(blocked, len(on)), held, flagged)
	}
	fmt.Fprintln(w, "  the desk lets a vector without a picture block nobody: it holds for review")
	return w.Flush()
}

func middle(all [][]float64) []float64 {
	m := make([]float64, len(all[0]))
	for _, v := range all {
		for i, x := range v {
			m[i] += x
		}
	}
	return unit(m)
}

// centres are those of k groups (k-means, from the first k, 20 rounds).
func centres(all [][]float64, k int) [][]float64 {
	list := slices.Clone(all[:k])
	for range 20 {
		groups := make([][][]float64, k)
		for _, v := range all {
			best := 0
			for i := range list {
				if dot(v, list[i]) > dot(v, list[best]) {
					best = i
				}
			}
			groups[best] = append(groups[best], v)
		}
		for i, g := range groups {
			if len(g) > 0 {
				list[i] = middle(g)
			}
		}
	}
	return list
}

// climb looks for the vector that blocks the most people: from the mean, it moves
// toward the people that are nearest to being blocked.
func climb(all [][]float64, block float64) []float64 {
	v, best, most := middle(all), middle(all), -1
	for range 200 {
		hit := 0
		step := make([]float64, len(v))
		for _, p := range all {
			s := dot(v, p)
			if s >= block {
				hit++
			}
			weight := math.Exp(-math.Abs(s-block) * 60)
			for i, x := range p {
				step[i] += float64(weight * x)
			}
		}
		if hit > most {
			best, most = slices.Clone(v), hit
		}
		for i := range v {
			v[i] += float64(0.2 * step[i] / float64(len(all)))
		}
		v = unit(v)
	}
	return best
}

// kind changes a photograph with its face at a box.
type kind struct {
	name   string
	change func(m image.Image, face image.Rectangle) image.Image
}

// maxKinds is how many people are shown in all kinds.
const maxKinds = 20

func (p *proof) kinds(ctx context.Context) error {
	people := firsts(p.tests)
	people = people[:min(len(people), maxKinds)]
	fmt.Fprintf(p.out, "\nCopies of %d photographs that are registered, by FaceSearch (in brackets: without it):\n", len(people))
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "  copy\tblocked\theld\tmissed\tno face")
	for _, k := range kinds {
		var with, without [4]int
		for _, s := range people {
			m := k.change(s.img, s.found.Box)
			for _, x := range []struct {
				e  takedown.FaceEmbedder
				to *[4]int
			}{{&takedown.FaceSearch{Embedder: p.embedder}, &with}, {p.embedder, &without}} {
				found, err := takedown.EmbedFaces(ctx, x.e, m)
				if err != nil {
					return err
				}
				got := 3
				for _, f := range found {
					switch p.verdict(components(f.Face), []subject{s}, "") {
					case takedown.Block:
						got = 0
					case takedown.Review:
						got = min(got, 1)
					default:
						got = min(got, 2)
					}
				}
				x.to[got]++
			}
		}
		p.results.kinds[k.name] = with
		fmt.Fprintf(w, "  %s\t%d (%d)\t%d (%d)\t%d (%d)\t%d (%d)\n", k.name, with[0], without[0], with[1], without[1], with[2], without[2], with[3], without[3])
	}
	return w.Flush()
}

var kinds = []kind{
	{"unchanged", func(m image.Image, _ image.Rectangle) image.Image { return m }},
	{"grey", recoloured(func(c color.RGBA) color.RGBA {
		y := color.GrayModel.Convert(c).(color.Gray).Y
		return color.RGBA{y, y, y, 255}
	})},
	{"mirrored", func(m image.Image, _ image.Rectangle) image.Image {
		return moved(m, func(x, y, w, _ int) (int, int) { return w - 1 - x, y }, false)
	}},
	{"turned by 90°", func(m image.Image, _ image.Rectangle) image.Image {
		return moved(m, func(x, y, w, _ int) (int, int) { return y, w - 1 - x }, true)
	}},
	{"turned by 180°", func(m image.Image, _ image.Rectangle) image.Image {
		return moved(m, func(x, y, w, h int) (int, int) { return w - 1 - x, h - 1 - y }, false)
	}},
	{"close-up that fills the frame", func(m image.Image, f image.Rectangle) image.Image { return part(m, f) }},
	{"face of 64 pixels", sized(64)}, {"face of 48 pixels", sized(48)}, {"face of 32 pixels", sized(32)}, {"face of 24 pixels", sized(24)},
	{"bar over the eyes", painted(0.1, 0.25, 0.9, 0.45, color.Black)},
	{"mask over mouth and nose", painted(0.1, 0.5, 0.9, 1, color.RGBA{150, 190, 210, 255})},
	{"left half covered", painted(0, 0, 0.5, 1, color.Black)},
	{"negative", recoloured(func(c color.RGBA) color.RGBA { return color.RGBA{255 - c.R, 255 - c.G, 255 - c.B, 255} })},
	{"blurred", func(m image.Image, f image.Rectangle) image.Image {
		return resized(resized(m, 20/float64(f.Dx())), float64(f.Dx())/20)
	}},
}

func rgba(m image.Image) *image.RGBA {
	out := image.NewRGBA(image.Rectangle{Max: m.Bounds().Size()})
	draw.Draw(out, out.Bounds(), m, m.Bounds().Min, draw.Src)
	return out
}

func recoloured(f func(color.RGBA) color.RGBA) func(image.Image, image.Rectangle) image.Image {
	return func(m image.Image, _ image.Rectangle) image.Image {
		out := rgba(m)
		for y := range out.Rect.Dy() {
			for x := range out.Rect.Dx() {
				out.SetRGBA(x, y, f(out.RGBAAt(x, y)))
			}
		}
		return out
	}
}

// moved takes each pixel from another place of the picture.
func moved(m image.Image, from func(x, y, w, h int) (int, int), turned bool) image.Image {
	in := rgba(m)
	w, h := in.Rect.Dx(), in.Rect.Dy()
	if turned {
		w, h = h, w
	}
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			fx, fy := from(x, y, w, h)
			out.SetRGBA(x, y, in.RGBAAt(fx, fy))
		}
	}
	return out
}

func part(m image.Image, r image.Rectangle) image.Image {
	r = r.Intersect(m.Bounds())
	out := image.NewRGBA(image.Rectangle{Max: r.Size()})
	draw.Draw(out, out.Bounds(), m, r.Min, draw.Src)
	return out
}

func resized(m image.Image, by float64) image.Image {
	b := m.Bounds()
	out := image.NewRGBA(image.Rect(0, 0, max(1, int(float64(b.Dx())*by)), max(1, int(float64(b.Dy())*by))))
	xdraw.BiLinear.Scale(out, out.Bounds(), m, b, xdraw.Src, nil)
	return out
}

// sized makes the face so many pixels wide.
func sized(pixels int) func(image.Image, image.Rectangle) image.Image {
	return func(m image.Image, f image.Rectangle) image.Image {
		return resized(m, float64(pixels)/float64(max(f.Dx(), 1)))
	}
}

// painted covers a part of the face, in fractions of its box.
func painted(x0, y0, x1, y1 float64, c color.Color) func(image.Image, image.Rectangle) image.Image {
	return func(m image.Image, f image.Rectangle) image.Image {
		out := rgba(m)
		f = f.Sub(m.Bounds().Min)
		at := func(x, y float64) image.Point {
			return image.Pt(f.Min.X+int(x*float64(f.Dx())), f.Min.Y+int(y*float64(f.Dy())))
		}
		draw.Draw(out, image.Rectangle{Min: at(x0, y0), Max: at(x1, y1)}, image.NewUniform(c), image.Point{}, draw.Src)
		return out
	}
}

// sharpness prints how sharp the faces are, and blurred copies of them.
func (p *proof) sharpness(context.Context) error {
	var sharp, blurred []float64
	blur := kinds[slices.IndexFunc(kinds, func(k kind) bool { return k.name == "blurred" })]
	for _, s := range append(slices.Clone(p.chosen), p.tests...) {
		sharp = append(sharp, takedown.FaceSharpness(s.img, s.found.Box))
		m := blur.change(s.img, s.found.Box)
		b := m.Bounds()
		by := float64(b.Dx()) / float64(max(s.img.Bounds().Dx(), 1))
		box := s.found.Box.Sub(s.img.Bounds().Min)
		box = image.Rect(int(float64(box.Min.X)*by), int(float64(box.Min.Y)*by), int(float64(box.Max.X)*by), int(float64(box.Max.Y)*by))
		blurred = append(blurred, takedown.FaceSharpness(m, box))
	}
	slices.SortFunc(sharp, cmp.Compare[float64])
	slices.SortFunc(blurred, cmp.Compare[float64])
	fmt.Fprintf(p.out, "\nSharpness of the faces: least %.3f, 5 %% %.3f, median %.3f; of copies blurred to 20 pixels: median %.3f, most %.3f.\n",
		sharp[0], sharp[len(sharp)/20], sharp[len(sharp)/2], blurred[len(blurred)/2], blurred[len(blurred)-1])
	return nil
}
