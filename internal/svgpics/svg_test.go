package svgpics_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/internal/svgpics"
)

func all(data string) (list []string, more bool) {
	seq, left := svgpics.Pictures(context.Background(), []byte(data))
	for kind, b := range seq {
		list = append(list, kind+" "+string(b))
	}
	return list, left()
}

func TestPictures(t *testing.T) {
	t.Parallel()
	b64 := base64.StdEncoding.EncodeToString
	one := b64([]byte("one"))
	tests := []struct {
		name, svg string
		want      []string
	}{
		{"href", `<svg><image href="data:image/png;base64,` + one + `"/></svg>`, []string{"image/png one"}},
		{"xlink", `<svg xmlns:xlink="x"><image xlink:href="data:image/jpeg;base64,` + one + `"/></svg>`, []string{"image/jpeg one"}},
		{"two", `<svg><image href="data:image/png;base64,` + one + `"/><g><feImage href='data:image/gif;base64,` + b64([]byte("two")) + `'/></g></svg>`,
			[]string{"image/png one", "image/gif two"}},
		{"white space in base64", `<svg><image href="data:image/png;base64,` + one[:2] + "\n " + one[2:] + `"/></svg>`, []string{"image/png one"}},
		{"without padding", `<svg><image href="data:image/png;base64,` + strings.TrimRight(b64([]byte("four")), "=") + `"/></svg>`, []string{"image/png four"}},
		{"percent", `<svg><image href="data:image/svg+xml,%3Csvg%2F%3E%"/></svg>`, []string{"image/svg+xml <svg/>%"}},
		{"style", `<svg><style>a { fill: url("data:image/png;base64,` + one + `") }</style><rect style="background: url(data:image/webp;base64,` + one + `)"/></svg>`,
			[]string{"image/png one", "image/webp one"}},
		{"entity", `<!DOCTYPE svg [<!ENTITY p "data:image/png;base64,` + one + `">]><svg><image href="&p;"/></svg>`, []string{"image/png one"}},
		{"character data", `<svg><![CDATA[x]]><image href="data:image/png;base64&#44;` + one + `"/></svg>`, []string{"image/png one"}},
		{"no type", `<svg><image href="DATA:;base64,` + one + `"/></svg>`, []string{" one"}},
		{"other addresses", `<svg><image href="https://example.org/a.png"/><a href="data:text/html,x"/><image href="data:nothing"/></svg>`, nil},
		{"ends within", `<svg><image href="data:image/png;base64,` + one + `"/><g`, []string{"image/png one"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, more := all(tt.svg)
			if d := cmp.Diff(tt.want, got); d != "" || more {
				t.Errorf("more %v (-want +got)\n%s", more, d)
			}
		})
	}
	if !svgpics.IsSVG([]byte("\xef\xbb\xbf <?xml version='1.0'?><!-- <x> --><!DOCTYPE svg [<!ENTITY a '>'>]>\n<svg:svg>")) || svgpics.IsSVG([]byte("<html><svg>")) || svgpics.IsSVG(nil) {
		t.Error("IsSVG is wrong")
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("<svg>")
	for i := range svgpics.MaxPictures + 1 {
		fmt.Fprintf(&b, `<image href="data:image/png,%d"/>`, i)
	}
	if list, more := all(b.String()); len(list) != svgpics.MaxPictures || !more {
		t.Errorf("%d pictures, more %v", len(list), more)
	}
	// Their uses are bounded.
	many := `<!DOCTYPE svg [<!ENTITY a "` + strings.Repeat("x", 1<<20) + `">]><svg><image href="data:image/png,` + strings.Repeat("&a;", 1<<16) + `"/></svg>`
	if list, _ := all(many); len(list) != 1 || len(list[0]) > 20<<20 {
		t.Errorf("%d pictures", len(list))
	}
	// Entities of entities are not expanded.
	bomb := `<!DOCTYPE svg [<!ENTITY a "data:image/png,aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><svg><image href="&b;&b;"/></svg>`
	if list, _ := all(bomb); len(list) != 0 {
		t.Errorf("%q", list)
	}
}

func FuzzSVG(f *testing.F) {
	f.Add([]byte(`<!DOCTYPE svg [<!ENTITY p "data:image/png;base64,AAAA">]><svg><style>a{fill:url('data:image/png,%41')}</style><image href="&p;"/></svg>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		svgpics.IsSVG(data)
		seq, _ := svgpics.Pictures(context.Background(), data)
		n := 0
		for _, b := range seq {
			if n++; n > svgpics.MaxPictures || len(b) > 100*len(data)+1<<20 || bytes.Equal(b, nil) {
				t.Fatalf("picture %d of %d bytes", n, len(b))
			}
		}
	})
}
