package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"html"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/disintegration/imaging"

	"github.com/staydown/staydown/phash"
)

// file is something that the site serves at an address.
type file struct {
	kind   string // of the re-post; "original", "innocent", or a fault
	of     int    // the photograph; −1 for none
	data   []byte
	mime   string
	moved  string // where it redirects to
	serves http.HandlerFunc
}

// site is a local site with its pictures.
type site struct {
	*httptest.Server
	files map[string]*file // by path
	names []string         // of files, in the order of the pages
	pages int
	photo []image.Image
}

// photographs reads pictures and cuts windows out of them, until there are n
// different ones.
func photographs(dir string, n int) (all []image.Image, err error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.jpg"))
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("no photographs in %s; run this from the root of the repository, or give -photos", dir)
	}
	slices.Sort(names)
	for grid := 1; grid <= 3 && len(all) < n; grid++ {
		if grid == 2 && len(names) < n {
			all = nil // windows only: a window is a copy of a part of its photograph
			grid = 3
		}
		for cell := range grid * grid {
			for _, name := range names {
				if len(all) == n {
					return all, nil
				}
				img, err := imaging.Open(name)
				if err != nil {
					return nil, err
				}
				b := img.Bounds()
				w, h := b.Dx()/grid, b.Dy()/grid
				at := image.Rect(cell%grid*w, cell/grid*h, (cell%grid+1)*w, (cell/grid+1)*h).Add(b.Min)
				window := imaging.Resize(imaging.Crop(img, at), 480, 0, imaging.CatmullRom)
				if usable(window) {
					all = append(all, window)
				}
			}
		}
	}
	if len(all) < n {
		return nil, fmt.Errorf("%d photographs can be made of %s, %d are needed", len(all), dir, n)
	}
	return all, nil
}

// usable reports whether a picture has enough detail to be registered: sky alone has
// not.
func usable(img image.Image) bool {
	pic, err := phash.NewPicture(img)
	if err != nil {
		return false
	}
	_, err = phash.HashesToStore(pic, nil)
	return err == nil
}

func jpegOf(img image.Image, quality int) []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}); err != nil {
		panic(err) // into memory
	}
	return b.Bytes()
}

func pngOf(img image.Image) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err) // into memory
	}
	return b.Bytes()
}

// reposts are the kinds in which a photograph is posted again.
var reposts = []struct {
	kind string
	make func(img, other image.Image) []byte
}{
	{"re-encoded", func(img, _ image.Image) []byte { return jpegOf(img, 40) }},
	{"half as large", func(img, _ image.Image) []byte { return jpegOf(imaging.Resize(img, 240, 0, imaging.Linear), 80) }},
	{"PNG", func(img, _ image.Image) []byte { return pngOf(img) }},
	{"grey", func(img, _ image.Image) []byte { return jpegOf(imaging.Grayscale(img), 85) }},
	{"brighter", func(img, _ image.Image) []byte { return jpegOf(imaging.AdjustBrightness(img, 15), 85) }},
	{"mirrored", func(img, _ image.Image) []byte { return jpegOf(imaging.FlipH(img), 85) }},
	{"turned", func(img, _ image.Image) []byte { return jpegOf(imaging.Rotate90(img), 85) }},
	{"cropped", func(img, _ image.Image) []byte {
		b := img.Bounds()
		return jpegOf(imaging.Crop(img, image.Rect(b.Dx()/6, b.Dy()/6, b.Dx()*5/6, b.Dy()*5/6).Add(b.Min)), 85)
	}},
	{"bordered", func(img, _ image.Image) []byte {
		b := img.Bounds()
		return jpegOf(imaging.PasteCenter(imaging.New(b.Dx()+60, b.Dy()+60, color.White), img), 85)
	}},
	{"in a collage", func(img, other image.Image) []byte {
		b := img.Bounds()
		page := imaging.New(b.Dx(), 2*b.Dy()+20, color.White)
		page = imaging.Paste(page, img, image.Point{})
		return jpegOf(imaging.Paste(page, imaging.Fit(other, b.Dx(), b.Dy(), imaging.Linear), image.Pt(0, b.Dy()+20)), 85)
	}},
}

// bomb is a PNG whose head names a picture of 60,000 × 60,000 pixels.
func bomb() []byte {
	data := pngOf(image.NewGray(image.Rect(0, 0, 8, 8)))
	binary.BigEndian.PutUint32(data[16:], 60_000)
	binary.BigEndian.PutUint32(data[20:], 60_000)
	binary.BigEndian.PutUint32(data[29:], crc32.ChecksumIEEE(data[12:29]))
	return data
}

// newSite makes a site. The first requested photographs are those whose removal is
// asked for.
func newSite(dir string, pages, photos, requested int) (*site, error) {
	all, err := photographs(dir, photos)
	if err != nil {
		return nil, err
	}
	s := &site{files: map[string]*file{}, pages: pages, photo: all}
	for i, img := range all {
		if i >= requested {
			s.add(fmt.Sprintf("/p/%d.jpg", i), &file{kind: "innocent", of: i, data: jpegOf(img, 88), mime: "image/jpeg"})
			continue
		}
		s.add(fmt.Sprintf("/p/%d.jpg", i), &file{kind: "original", of: i, data: jpegOf(img, 88), mime: "image/jpeg"})
		s.add(fmt.Sprintf("/copy/%d.jpg", i), &file{kind: "the same file", of: i, data: jpegOf(img, 88), mime: "image/jpeg"})
		s.add(fmt.Sprintf("/moved/%d", i), &file{kind: "redirect to the original", of: i, moved: fmt.Sprintf("/p/%d.jpg", i)})
		s.add(fmt.Sprintf("/lying/%d", i), &file{kind: "served as text", of: i, data: jpegOf(img, 70), mime: "text/html"})
		other := all[len(all)-1-i]
		for k, r := range reposts {
			s.add(fmt.Sprintf("/repost/%d-%d", k, i), &file{kind: r.kind, of: i, data: r.make(img, other), mime: "image/jpeg"})
		}
	}
	sample := jpegOf(all[len(all)-1], 88)
	for i, f := range []*file{
		{kind: "broken", data: sample[:len(sample)/2], mime: "image/jpeg"},
		{kind: "broken", data: sample[:30], mime: "image/jpeg"},
		{kind: "text as image", data: []byte("<p>not a picture</p>"), mime: "image/png"},
		{kind: "bomb", data: bomb(), mime: "image/png"},
		{kind: "empty", mime: "image/jpeg"},
		{kind: "endless", serves: endless},
		{kind: "not there", serves: http.NotFound},
		{kind: "redirects for ever", moved: "/odd/7"},
	} {
		f.of = -1
		s.add(fmt.Sprintf("/odd/%d", i), f)
	}
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(s.names), func(i, j int) { s.names[i], s.names[j] = s.names[j], s.names[i] })
	s.Server = httptest.NewServer(s)
	return s, nil
}

func (s *site) add(path string, f *file) {
	s.files[path] = f
	s.names = append(s.names, path)
}

// endless begins like a picture and never ends.
func endless(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "image/jpeg")
	w.Write([]byte("\xff\xd8\xff\xe0"))
	block := make([]byte, 64<<10)
	for r.Context().Err() == nil {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

// ServeHTTP serves pages and files.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f := s.files[r.URL.Path]; f != nil {
		switch {
		case f.serves != nil:
			f.serves(w, r)
		case f.moved != "":
			http.Redirect(w, r, f.moved, http.StatusFound)
		default:
			w.Header().Set("Content-Type", f.mime)
			w.Write(f.data)
		}
		return
	}
	n := 0
	if r.URL.Path != "/" {
		if _, err := fmt.Sscanf(r.URL.Path, "/page/%d", &n); err != nil || n < 0 || n >= s.pages {
			http.NotFound(w, r)
			return
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<!doctype html><title>Page %d</title>", n)
	for i := n; i < len(s.names); i += s.pages {
		path := html.EscapeString(s.names[i])
		switch i % 3 {
		case 0:
			fmt.Fprintf(&b, `<img src="%s" alt="">`, path)
		case 1:
			fmt.Fprintf(&b, `<img srcset="%s 1x, %[1]s?large 2x" alt="">`, path)
		default:
			fmt.Fprintf(&b, `<picture><source srcset="%s"><img src="%[1]s"></picture>`, path)
		}
	}
	for _, to := range []int{2*n + 1, 2*n + 2} {
		if to < s.pages {
			fmt.Fprintf(&b, `<a href="/page/%d">next</a>`, to)
		}
	}
	w.Header().Set("Content-Type", "text/html")
	w.Write([]byte(b.String()))
}

// defaultPhotos are the photographs of the repository.
func defaultPhotos() string {
	for _, dir := range []string{"examples/quickstart/photos", "../../../../examples/quickstart/photos"} {
		if _, err := os.Stat(dir); err == nil {
			return dir
		}
	}
	return "photos"
}
