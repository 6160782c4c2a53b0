package request_test

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"testing"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

func TestPictureKey(t *testing.T) {
	t.Parallel()
	same := []string{
		"https://example.org/a/photo.jpg", "https://www.example.org/a/photo.jpg", "http://example.org/a/photo.jpg?w=300&h=200", "https://example.org/a/photo-300x200.jpg",
		"https://example.org/a/photo_1024x768.jpg?q=80", "https://example.org/a/photo@2x.jpg", "https://example.org/a/photo.jpg.webp", "https://example.org/a/photo-scaled.jpg",
		"https://example.org/a/w_300,h_200/photo.jpg", "https://example.org/a/photo.jpg?resize=300%2C200&ssl=1",
	}
	key := request.PictureKey(same[0])
	for _, a := range same {
		if got := request.PictureKey(a); got != key {
			t.Errorf("%s: %s, want %s", a, got, key)
		}
	}
	for _, other := range []string{
		"https://example.org/a/photo2.jpg", "https://example.org/b/photo.jpg", "https://example.org/a/photo.jpg?id=7", "https://other.example.org/a/photo.jpg",
		"https://example.org/a/photo.png", "https://example.org/a/photo-300.jpg",
	} {
		if request.PictureKey(other) == key {
			t.Errorf("%s is taken for the same picture", other)
		}
	}
	if request.PictureKey("no address") != "" {
		t.Error("a key of no address")
	}
}

// What seems to be the same picture is offered, and never added.
func TestCheck_Offers(t *testing.T) {
	t.Parallel()
	index := map[string][]string{
		request.PictureKey("https://example.org/photo.jpg"): {"https://example.org/photo-300x200.jpg", "https://example.org/photo.jpg?w=64", "https://example.org/gone.jpg", "https://other.example/x.jpg"},
	}
	opts := &request.CheckOptions{
		Siblings: func(key string) []string { return index[key] },
		Lookup: func(a string) request.Found {
			if a == "https://example.org/photo.jpg" {
				return request.FoundNothing
			}
			return request.FoundPicture
		},
	}
	n := notice("https://example.org/photo.jpg?w=1200", "https://example.org/photo.jpg?w=64")
	k := request.Check(context.Background(), n, opts)
	var got []string
	for _, o := range k.Offers {
		got = append(got, o.Address)
	}
	if want := []string{"https://example.org/photo-300x200.jpg"}; !slices.Equal(got, want) {
		t.Errorf("offers %v, want %v", got, want)
	}
	if len(k.Items) != 2 || len(k.Material) != 2 {
		t.Errorf("%d items: an offer was taken for a wish", len(k.Items))
	}
	// Without an index the picture in its own size is offered.
	k = request.Check(context.Background(), n, nil)
	if len(k.Offers) != 1 || k.Offers[0].Address != "https://example.org/photo.jpg" || k.Offers[0].Field != "image_urls[0]" {
		t.Errorf("offers %+v", k.Offers)
	}
}

// An operator's rules come before those of the library.
func TestCheck_Unwrap(t *testing.T) {
	t.Parallel()
	opts := &request.CheckOptions{Unwrap: []request.UnwrapRule{
		{Name: "our proxy", Hosts: []string{"img.search.example"}, Query: []string{"src"}, Leads: request.FoundPicture},
		{Name: "our pages", Hosts: []string{"search.example"}, Path: "/view/", Inner: func(u *url.URL) (string, bool) { return "https://" + u.Path[len("/view/"):], true }, Leads: request.FoundPage},
	}}
	n := notice("https://img.search.example/p?src=https%3A%2F%2Fexample.org%2Fphoto", "https://search.example/view/example.org/story", "https://wsrv.nl/?url=example.org/third.jpg")
	k := request.Check(context.Background(), n, opts)
	want := []struct {
		address string
		kind    request.ItemKind
	}{{"https://example.org/photo", request.ItemImageURL}, {"https://example.org/story", request.ItemPageURL}, {"https://example.org/third.jpg", request.ItemImageURL}}
	for i, w := range want {
		if i >= len(k.Items) || k.Material[i].Address != w.address || k.Items[i].Kind != w.kind || k.Items[i].MaybePage {
			t.Fatalf("item %d: %+v, %+v; want %+v", i, k.Items, k.Material, w)
		}
	}
	given := request.GivenAddresses(n, opts)
	if given["https://example.org/photo"] != n.ImageURLs[0] {
		t.Errorf("given %v", given)
	}
	for _, bad := range []request.UnwrapRule{
		{}, {Name: "a", Query: []string{"u"}}, {Name: "a", Hosts: []string{"a.example"}}, {Name: "a", Hosts: []string{"a.example"}, Query: []string{"u"}, Leads: request.FoundNothing},
	} {
		var arg *takedown.ArgumentError
		if err := bad.Check(); !errors.As(err, &arg) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
