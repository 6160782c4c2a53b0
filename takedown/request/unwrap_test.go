package request_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/takedown/request"
)

// What people paste stands for what is inside it: the picture behind a search
// result or a proxy, and a page where a link leads to one.
func TestCheck_AddressesInside(t *testing.T) {
	t.Parallel()
	k := request.Check(context.Background(), request.DSANotice{ImageURLs: []string{
		"https://www.google.co.th/imgres?imgurl=https%3A%2F%2Fexample.org%2Fphoto.jpg&imgrefurl=https%3A%2F%2Fexample.org%2Fpage",
		"https://i0.wp.com/example.org/photo.jpg?ssl=1", // the same picture
		"https://l.facebook.com/l.php?u=https%3A%2F%2Fexample.org%2Fstory&h=x",
		"https://example.org/plain.jpg",
		"https://encrypted-tbn0.gstatic.com/images?q=tbn:abc",
		"https://www.google.com/url?url=http%3A%2F%2F192.168.1.1%2Fsecret.jpg",
	}}, nil)
	var got [][2]string
	for i, it := range k.Items {
		got = append(got, [2]string{string(it.Kind), k.Material[i].Address})
	}
	want := [][2]string{
		{"image_url", "https://example.org/photo.jpg"},
		{"page_url", "https://example.org/story"},
		{"image_url", "https://example.org/plain.jpg"},
		{"image_url", "https://encrypted-tbn0.gstatic.com/images?q=tbn:abc"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("items (-want +got):\n%s", diff)
	}
	if !k.Has("image_urls[5]") {
		t.Error("a private address inside another was taken")
	}
}
