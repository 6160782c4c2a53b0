package request_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/takedown/request"
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
		{"in a sentence", "See (https://a.example/x.jpg).", []string{"https://a.example/x.jpg"}},
		{"in several", "Please remove https://a.example/x.jpg, and b.example/y.png! e.g. 3.5 of www.c.example at 11:30.", []string{"https://a.example/x.jpg", "b.example/y.png", "www.c.example"}},
		{"in Thai", "กรุณานำ https://a.example/x.jpg และhttps://b.example/y.jpg ออกด้วยค่ะ", []string{"https://a.example/x.jpg", "https://b.example/y.jpg"}},
		{"a Thai word behind a file", "https://a.example/x.jpgครับ", []string{"https://a.example/x.jpg"}},
		{"a Thai word between two", "https://a.example/x.jpgและhttps://b.example/y.PNG", []string{"https://a.example/x.jpg", "https://b.example/y.PNG"}},
		{"a table", "https://a.example/x.jpg|https://b.example/y.jpeg|", []string{"https://a.example/x.jpg", "https://b.example/y.jpeg"}},
		{"bold", "**https://a.example/x.jpg** *https://b.example/y.webp*", []string{"https://a.example/x.jpg", "https://b.example/y.webp"}},
		{"a dash between two", "https://a.example/1.jpg-https://b.example/2.jpg", []string{"https://a.example/1.jpg", "https://b.example/2.jpg"}},
		{"a slash between two", "https://a.example/1.jpg/https://b.example/2.jpg", []string{"https://a.example/1.jpg", "https://b.example/2.jpg"}},
		{"letters of every script before the end", "https://a.example/ภาพ|1*.jpg/ก.png", []string{"https://a.example/ภาพ|1*.jpg/ก.png"}},
		{"no file in the name of a host", "https://a.jpgé.example/x", []string{"https://a.jpgé.example/x"}},
		{"nor in a parameter", "https://a.example/?f=x.jpgé", []string{"https://a.example/?f=x.jpgé"}},
		{"without any", "my picture", []string{"my", "picture"}},
		{"a mistake is not left out", "https://a.example/x.jpg htps://b.example/y.jpg http:/c.example https//d.example/z.jpg", []string{"https://a.example/x.jpg", "htps://b.example/y.jpg", "http:/c.example", "https//d.example/z.jpg"}},
		{"blanks in the name of the file", "https://a.example/ภาพ ของ ฉัน.jpg\nhttps://b.example/my holiday.PNG.", []string{"https://a.example/ภาพ ของ ฉัน.jpg", "https://b.example/my holiday.PNG"}},
		{"a file's name behind an address", "https://a.example/x.jpg photo.jpg", []string{"https://a.example/x.jpg"}},
		{"invisible characters", "\u200bhttps://a.example/x.jpg\u200e \ufeffhttps://b.example/\u202c", []string{"https://a.example/x.jpg", "https://b.example/"}},
		{"in angle brackets", "<https://a.example/x.jpg>,", []string{"https://a.example/x.jpg"}},
		{"in quotes of any kind", "“https://a.example/x.jpg” 'https://b.example/'", []string{"https://a.example/x.jpg", "https://b.example/"}},
		{"brackets of the address", "https://a.example/x_(1)", []string{"https://a.example/x_(1)"}},
		{"a full stop and a question mark inside", "https://a.example/x.jpg?a=b.", []string{"https://a.example/x.jpg?a=b"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, request.SplitAddresses(tc.text)); diff != "" {
				t.Errorf("addresses (-want +got):\n%s", diff)
			}
		})
	}
}

// The time a part takes must not depend on how many there are.
func BenchmarkSplitAddresses(b *testing.B) {
	for _, part := range []string{"xhttps://a", "https://a.example/x.jpg|", "a/x:.jpg|", "/x.jpg--", "http:/"} {
		for _, size := range []int{8 << 10, 64 << 10} {
			b.Run(fmt.Sprintf("%s/%d", strings.ReplaceAll(part, "/", "_"), size), func(b *testing.B) {
				text := strings.Repeat(part, size/len(part))
				b.ReportAllocs()
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					request.SplitAddresses(text)
				}
			})
		}
	}
}
