package main

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"html"
	"image"
	"image/color"
	"io/fs"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/disintegration/imaging"
)

//go:embed photos
var photos embed.FS

const (
	startURL = "http://photos.example/"
	// The picture of the notice, and its address.
	noticePhoto = "graf3.jpg"
	noticeURL   = "http://photos.example/photos/" + noticePhoto
	// The picture of the opt-out.
	optOutPhoto = "chicky.jpg"
)

// spellings are other ways to write the address of the notice.
var spellings = []string{
	"http://PHOTOS.EXAMPLE/photos/graf3.jpg",
	"http://photos.example:80/photos/graf3.jpg",
	"http://photos.example/photos/graf3.jpg#comments",
	"http://photos.example/photos/graf3%2Ejpg",
	"http://photos.example/photos/%2E/graf3.jpg",
}

// reposts are the ways in which the two pictures are posted again.
var reposts = []struct {
	name string
	edit func(image.Image) image.Image
}{
	{"reencoded", func(m image.Image) image.Image { return m }},
	{"resized", func(m image.Image) image.Image { return imaging.Resize(m, m.Bounds().Dx()/2, 0, imaging.Lanczos) }},
	{"grey", func(m image.Image) image.Image { return imaging.Grayscale(m) }},
	{"mirrored", func(m image.Image) image.Image { return imaging.FlipH(m) }},
	{"rotated", func(m image.Image) image.Image { return imaging.Rotate90(m) }},
	{"cropped", func(m image.Image) image.Image {
		return imaging.CropAnchor(m, m.Bounds().Dx()*2/3, m.Bounds().Dy()*2/3, imaging.Center)
	}},
	{"screenshot", func(m image.Image) image.Image {
		w, h := m.Bounds().Dx(), m.Bounds().Dy()
		page := imaging.New(w+w/3, h+h/3, color.NRGBA{244, 245, 247, 255})
		for y := 20; y < h+h/3; y += 18 { // lines of text, more or less
			page = imaging.Paste(page, imaging.New(w*(60+y*7%40)/100, 6, color.NRGBA{110, 116, 124, 255}), image.Pt(20, y))
		}
		return imaging.Paste(page, m, image.Pt(w/8, h/6))
	}},
}

// site is a small web site on the loopback interface with two hosts:
// photos.example has the photographs, reposts.example the copies.
type site struct {
	listener net.Listener
	server   *http.Server
	files    map[string][]byte // host and path → picture
}

// startSite makes the re-posts and serves everything until Close.
func startSite() (*site, error) {
	s := &site{files: map[string][]byte{}}
	names, err := fs.Glob(photos, "photos/*.jpg")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if s.files["photos.example/"+name], err = photos.ReadFile(name); err != nil {
			return nil, err
		}
	}
	for _, of := range []string{noticePhoto, optOutPhoto} {
		original, err := imaging.Decode(bytes.NewReader(s.files["photos.example/photos/"+of]))
		if err != nil {
			return nil, err
		}
		for _, r := range reposts {
			var b bytes.Buffer
			if err := imaging.Encode(&b, r.edit(original), imaging.JPEG, imaging.JPEGQuality(70)); err != nil {
				return nil, err
			}
			s.files[fmt.Sprintf("reposts.example/%s-%s.jpg", strings.TrimSuffix(of, ".jpg"), r.name)] = b.Bytes()
		}
	}
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	s.server = &http.Server{Handler: s}
	go s.server.Serve(s.listener)
	return s, nil
}

// Close stops the site.
func (s *site) Close() error { return s.server.Close() }

// Client returns a client for which the site's hosts exist: it connects to the
// site whatever the host.
func (s *site) Client() *http.Client {
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.listener.Addr().String())
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial}}
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if b, ok := s.files[r.Host+r.URL.Path]; ok {
		w.Header().Set("Content-Type", "image/jpeg")
		w.Write(b)
		return
	}
	switch r.Host + r.URL.Path {
	case "photos.example/":
		s.page(w, "Photographs", append(s.urls("photos.example/"), spellings...),
			`<p><a href="http://reposts.example/">People posted some of these again</a></p>`)
	case "reposts.example/":
		s.page(w, "Re-posts", s.urls("reposts.example/"), "")
	default:
		http.NotFound(w, r)
	}
}

func (s *site) page(w http.ResponseWriter, title string, images []string, more string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, "<!doctype html><title>%s</title>%s", title, more)
	for _, u := range images {
		fmt.Fprintf(w, "<img src=%q alt=\"\">\n", html.EscapeString(u))
	}
}

// urls returns the addresses of a host's pictures, in order.
func (s *site) urls(prefix string) (urls []string) {
	for name := range s.files {
		if strings.HasPrefix(name, prefix) {
			urls = append(urls, "http://"+name)
		}
	}
	slices.Sort(urls)
	return urls
}
