package desk_test

import (
	"path/filepath"
	"testing"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
)

// What a question costs on a list with one notice and one opt-out: the work
// that is the same for every list. Benchmarks of package blocklist have the big
// ones.
func BenchmarkFilter(b *testing.B) {
	d := open(b, b.TempDir(), nil)
	u := "https://example.org/a/photo-123.jpg?size=large&v=2"
	accept(b, d, notice(u), desk.Grant{})
	accept(b, d, optOut(b, 1), desk.Grant{})
	snap := filepath.Join(b.TempDir(), "blocklist.snap")
	if err := d.Publish(ctx, snap); err != nil {
		b.Fatal(err)
	}
	e, err := takedown.Load(snap, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	blocked, innocent := hashes(b, testJPEG(b, 1))[0], hashes(b, testJPEG(b, 2))[0]
	const other = "https://images.example.com/2026/11/some-longer-path/innocent-photo-0123456789.jpg?scope=640&format=webp&q=80"
	candidate := inspect(b, testJPEG(b, 2), takedown.Source{ImageURL: other})
	for _, bm := range []struct {
		name string
		ask  func() takedown.Decision
		want takedown.Verdict
	}{
		{"url/innocent", func() takedown.Decision { return e.FilterURL(other) }, takedown.Allow},
		{"url/blocked", func() takedown.Decision { return e.FilterURL(u) }, takedown.Block},
		{"url+hash/innocent", func() takedown.Decision { return e.Filter(other, innocent) }, takedown.Allow},
		{"url+hash/blocked", func() takedown.Decision { return e.Filter(other, blocked) }, takedown.Block},
		{"url+hash/in a country", func() takedown.Decision { return e.In("DE").Filter(other, innocent) }, takedown.Allow},
		{"check/innocent", func() takedown.Decision { return e.Check(candidate) }, takedown.Allow},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if d := bm.ask(); d.Verdict != bm.want {
					b.Fatal(d)
				}
			}
		})
	}
}
