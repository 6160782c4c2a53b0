package request_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/staydown/staydown/takedown/request"
)

// The pieces of a pasted text are pieces of it, none is empty, and taking one
// apart again gives the same.
func FuzzSplitAddresses(f *testing.F) {
	for _, s := range []string{
		"https://a.example/x.jpghttps://b.example/y.jpg", "<https://a.example/x.jpg>, (https://b.example/y.jpg).",
		"https://web.archive.org/web/2020/https://a.example/x.jpg", "https://a.example/?u=https://b.example", "a.example/x_(1).jpg", "https://a.example/1.jpg-https://b.example/2.jpgครับ|**/x.png*", "…\u00a0https://ไทย.example/ก.jpg”",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, part := range request.SplitAddresses(s) {
			if part == "" || !strings.Contains(s, part) {
				t.Errorf("%q: part %q", s, part)
			}
			if diff := cmp.Diff([]string{part}, request.SplitAddresses(part)); diff != "" {
				t.Errorf("%q again (-want +got):\n%s", part, diff)
			}
		}
	})
}
