package unwrap_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/internal/unwrap"
)

const photo = "https://example.org/photo.jpg"

func TestAddress(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in, want string
		kind     unwrap.Kind
	}{
		{photo, photo, unwrap.Picture},
		{"https://www.google.co.th/imgres?imgurl=https%3A%2F%2Fexample.org%2Fphoto.jpg&imgrefurl=https%3A%2F%2Fexample.org%2Fpage", photo, unwrap.Picture},
		{"https://www.google.com/url?sa=i&url=https%3A%2F%2Fexample.org%2Fstory", "https://example.org/story", unwrap.Page},
		{"https://www.bing.com/images/search?view=detailV2&mediaurl=https%3a%2f%2fexample.org%2fphoto.jpg", photo, unwrap.Picture},
		{"https://www.bing.com/images/search?view=detailV2&mediaurl=https%3a%2f%2fth.bing.com%2fth%2fid%2fR.abc%3friu%3dhttps%253a%252f%252fexample.org%252fphoto.jpg", photo, unwrap.Picture},
		{"https://external-content.duckduckgo.com/iu/?u=https%3A%2F%2Fexample.org%2Fphoto.jpg&f=1", photo, unwrap.Picture},
		{"https://external-content.duckduckgo.com/iu/?u=https%3A%2F%2Ftse1.mm.bing.net%2Fth%3Fid%3DOIP.abc", "https://tse1.mm.bing.net/th?id=OIP.abc", unwrap.Thumbnail},
		{"https://yandex.com/images/search?img_url=https%3A%2F%2Fexample.org%2Fphoto.jpg&pos=1", photo, unwrap.Picture},
		{"https://www.startpage.com/av/proxy-image?piurl=https%3A%2F%2Fi0.wp.com%2Fexample.org%2Fphoto.jpg%3Fssl%3D1&sp=1", photo, unwrap.Picture},
		{"https://imgs.search.brave.com/SIG/rs:fit:500:0:0:0/g:ce/aHR0cHM6Ly9leGFt/cGxlLm9yZy9waG90/by5qcGc", photo, unwrap.Picture},
		{"https://i0.wp.com/example.org/photo.jpg?ssl=1&resize=300", photo, unwrap.Picture},
		{"https://i2.wp.com/example.org/photo.jpg", "http://example.org/photo.jpg", unwrap.Picture},
		{"https://wsrv.nl/?url=example.org/photo.jpg&w=300", photo, unwrap.Picture},
		{"https://web.archive.org/web/20200101000000im_/https://example.org/photo.jpg", photo, unwrap.Picture},
		{"https://web.archive.org/web/2020/http:/example.org/story.html", "http://example.org/story.html", unwrap.Page},
		{"https://example-org.translate.goog/a/b?_x_tr_sl=de&x=1", "https://example.org/a/b?x=1", unwrap.Page},
		{"https://my--site-example-org.translate.goog/", "https://my-site.example.org/", unwrap.Page},
		{"https://translate.google.com/translate?sl=de&u=https%3A%2F%2Fexample.org%2Fstory", "https://example.org/story", unwrap.Page},
		{"https://example-org.cdn.ampproject.org/i/s/example.org/photo.jpg", photo, unwrap.Picture},
		{"https://external.xx.fbcdn.net/safe_image.php?d=1&url=https%3A%2F%2Fexample.org%2Fphoto.jpg", photo, unwrap.Picture},
		{"https://l.facebook.com/l.php?u=https%3A%2F%2Fexample.org%2Fstory&h=x", "https://example.org/story", unwrap.Page},
		{"https://images-ext-1.discordapp.net/external/SIG/https/example.org/photo.jpg?width=400", photo, unwrap.Picture},
		{"https://images-ext-1.discordapp.net/external/SIG/%3Fa%3D1/https/example.org/photo.jpg", photo + "?a=1", unwrap.Picture},
		{"https://preview.redd.it/a-slug-v0-abc123.jpg?width=640&s=1", "https://i.redd.it/abc123.jpg", unwrap.Picture},
		{"https://camo.githubusercontent.com/0123/68747470733a2f2f6578616d706c652e6f72672f70686f746f2e6a7067", photo, unwrap.Picture},
		{"https://example.org/_next/image?url=%2Fphoto.jpg&w=640&q=75", photo, unwrap.Picture},
		{"https://example.org/cdn-cgi/image/width=300,quality=75/photo.jpg", photo, unwrap.Picture},
		{"https://cdn.example.com/cdn-cgi/image/width=300/https://example.org/photo.jpg", photo, unwrap.Picture},
		{"https://res.cloudinary.com/demo/image/fetch/s--SIG--/w_300/https://example.org/photo.jpg", photo, unwrap.Picture},
		{"https://substackcdn.com/image/fetch/w_300,c_limit/https%3A%2F%2Fexample.org%2Fphoto.jpg", photo, unwrap.Picture},
		{"https://upload.wikimedia.org/wikipedia/commons/thumb/a/a9/Example.jpg/800px-Example.jpg", "https://upload.wikimedia.org/wikipedia/commons/a/a9/Example.jpg", unwrap.Picture},
		{"https://th.wikipedia.org/wiki/ไฟล์:Example.jpg", "https://upload.wikimedia.org/wikipedia/commons/a/a9/Example.jpg", unwrap.Picture},
		{"https://en.wikipedia.org/wiki/Dog#/media/File:Example.jpg", "https://upload.wikimedia.org/wikipedia/commons/a/a9/Example.jpg", unwrap.Picture},
		{"https://en.wikipedia.org/wiki/Dog", "https://en.wikipedia.org/wiki/Dog", unwrap.Page},
		{"https://scontent-fra.fbcdn.net/v/t1.6435-9/1_n.jpg?oh=1&oe=65C5A685", "https://scontent-fra.fbcdn.net/v/t1.6435-9/1_n.jpg?oh=1&oe=65C5A685", unwrap.Expiring},
		{"https://encrypted-tbn0.gstatic.com/images?q=tbn:abc", "https://encrypted-tbn0.gstatic.com/images?q=tbn:abc", unwrap.Thumbnail},
		{"view-source:https://example.org/photo.jpg", photo, unwrap.Picture},
		{"hxxps://example[.]org/photo.jpg", photo, unwrap.Picture},
		{"<https://example.org/photo.jpg>", photo, unwrap.Picture},
		{"https://www.instagram.com/p/abc/", "https://www.instagram.com/p/abc/", unwrap.Page},
		{"https://t.co/abc", "https://t.co/abc", unwrap.Page},
		{"https://example.org/", "https://example.org/", unwrap.Page},
		{"https://example.org/image/123", "https://example.org/image/123", unwrap.Unknown},
		// What only looks like a wrapper stays as it is.
		{"https://google.example.org/imgres?imgurl=https://evil.example/photo.jpg", "https://google.example.org/imgres?imgurl=https://evil.example/photo.jpg", unwrap.Unknown},
		{"https://wsrv.nl/?url=javascript:alert(1)", "https://wsrv.nl/?url=javascript:alert(1)", unwrap.Unknown},
	}
	for _, tt := range tests {
		r, ok := unwrap.Address(tt.in, nil)
		if !ok || r.URL != tt.want || r.Kind != tt.kind {
			t.Errorf("Address(%q) = %q, %v, %t; want %q, %v", tt.in, r.URL, r.Kind, ok, tt.want, tt.kind)
		}
	}
	for _, in := range []string{"", "blob:https://example.org/1", "data:image/png;base64,AAAA", "photo", "https://user:pw@example.org/a.jpg"} {
		if r, ok := unwrap.Address(in, nil); ok {
			t.Errorf("Address(%q) = %+v, want nothing", in, r)
		}
	}
}

func TestAddressNamesItsRulesAndPage(t *testing.T) {
	r, ok := unwrap.Address("https://www.google.de/imgres?imgurl=https%3A%2F%2Fi0.wp.com%2Fexample.org%2Fphoto.jpg%3Fssl%3D1&imgrefurl=https%3A%2F%2Fexample.org%2Fpage", nil)
	want := unwrap.Result{URL: photo, Kind: unwrap.Picture, Page: "https://example.org/page", Rules: []string{"Google Images", "Photon"}}
	if diff := cmp.Diff(want, r); !ok || diff != "" {
		t.Errorf("ok %t (-want +got):\n%s", ok, diff)
	}
}

// An operator adds rules of its own, which win when they stand first.
func TestRulesOfTheOperator(t *testing.T) {
	rules := append([]unwrap.Rule{{Name: "our proxy", Hosts: []string{"img.search.example"}, Query: []string{"src"}, Kind: unwrap.Picture}}, unwrap.Rules()...)
	if r, ok := unwrap.Address("https://img.search.example/p?src=https%3A%2F%2Fexample.org%2Fphoto.jpg", rules); !ok || r.URL != photo {
		t.Errorf("got %+v, %t", r, ok)
	}
}

// Layers are bounded, and an address inside itself ends.
func TestLayersAreBounded(t *testing.T) {
	in := photo
	for range 5 {
		in = "https://l.facebook.com/l.php?u=" + strings.NewReplacer("%", "%25", ":", "%3A", "/", "%2F", "?", "%3F", "=", "%3D").Replace(in)
	}
	r, ok := unwrap.Address(in, nil)
	if !ok || len(r.Rules) != 3 {
		t.Errorf("%d layers, %t; want 3", len(r.Rules), ok)
	}
}

func FuzzAddress(f *testing.F) {
	for _, s := range []string{photo, "https://i0.wp.com/a.b/c?ssl=1", "hxxp://a[.]b", "https://web.archive.org/web/1/https:/a.b/c", "https://a-b.translate.goog/%2f?x", "https://upload.wikimedia.org/thumb/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, ok := unwrap.Address(text, nil)
		if !ok {
			return
		}
		if !strings.HasPrefix(strings.ToLower(r.URL), "http") {
			t.Fatalf("Address(%q) = %q", text, r.URL)
		}
	})
}
