package takedown_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/takedown"
)

func TestSplitAddresses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, text string
		want       []string
	}{
		{"one", "https://a.example/x.jpg", []string{"https://a.example/x.jpg"}},
		{"nothing", " \n", nil},
		{"white space", "https://a.example/x.jpg\thttps://b.example/\u00a0c.example/y.png", []string{"https://a.example/x.jpg", "https://b.example/", "c.example/y.png"}},
		{"pasted together", "https://a.example/x.jpghttps://b.example/y.jpgHTTP://c.example/", []string{"https://a.example/x.jpg", "https://b.example/y.jpg", "HTTP://c.example/"}},
		{"pasted together with commas", "https://a.example/x.jpg,https://b.example/y.jpg;", []string{"https://a.example/x.jpg", "https://b.example/y.jpg"}},
		{"an address within an address", "https://web.archive.org/web/2020/https://a.example/x.jpg", []string{"https://web.archive.org/web/2020/https://a.example/x.jpg"}},
		{"an address as a parameter", "https://p.example/?u=https://a.example/x.jpg&v=1", []string{"https://p.example/?u=https://a.example/x.jpg&v=1"}},
		{"in a sentence", "See (https://a.example/x.jpg).", []string{"See", "https://a.example/x.jpg"}},
		{"in angle brackets", "<https://a.example/x.jpg>,", []string{"https://a.example/x.jpg"}},
		{"in quotes of any kind", "“https://a.example/x.jpg” 'https://b.example/'", []string{"https://a.example/x.jpg", "https://b.example/"}},
		{"brackets of the address", "https://a.example/x_(1)", []string{"https://a.example/x_(1)"}},
		{"a full stop and a question mark inside", "https://a.example/x.jpg?a=b.", []string{"https://a.example/x.jpg?a=b"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, takedown.SplitAddresses(tc.text)); diff != "" {
				t.Errorf("addresses (-want +got):\n%s", diff)
			}
		})
	}
}
