package blocklist_test

import (
	"math/rand/v2"
	"testing"

	"github.com/staydown/staydown/blocklist"
)

func BenchmarkHash(b *testing.B) {
	v := load(b, false).State()
	r := rand.New(rand.NewPCG(3, 3))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		v.FindHash(randomPDQ(r), 31, func(blocklist.Hit) bool { n++; return true })
	}
}
