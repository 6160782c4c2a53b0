package features_test

import (
	"math/bits"
	"os"
	"path/filepath"
	"testing"

	"github.com/staydown/staydown/internal/features"
	"github.com/staydown/staydown/internal/sharedtest"
)

// TestLearn_Words measures how often the bits of descriptors stay in copies: those of
// words and signatures were chosen by it, and voteDistance. It reads photographs
// and their copies of known geometry, as TestLearn does:
//
//	STAYDOWN_COPIES=DIR:DIR go test -run TestLearn_Words -v ./internal/features
func TestLearn_Words(t *testing.T) {
	dirs := filepath.SplitList(os.Getenv("STAYDOWN_COPIES"))
	if len(dirs) == 0 {
		t.Skip("skipped: STAYDOWN_COPIES names no folders of copies")
	}
	names, err := filepath.Glob(filepath.Join(sharedtest.Path(t, "photos"), "*.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	var flips [256]int
	right, signatures := make([]int, len(features.WordBits)+1), make([]int, 65)
	n := 0
	for k := 0; k < len(names); k += 5 {
		f := mustExtract(t, openImage(t, names[k]))
		stem := filepath.Base(names[k])
		stem = stem[:len(stem)-len(filepath.Ext(stem))]
		for kind := range learnMaps {
			for _, v := range features.Flips(f, mustExtract(t, openImage(t, corpusFile(t, dirs, stem, kind)))) {
				n++
				for w, x := range v {
					for ; x != 0; x &= x - 1 {
						flips[64*w+bits.TrailingZeros64(x)]++
					}
				}
				signatures[bits.OnesCount64(v[0])]++
				for i, b := range features.WordBits {
					if v[b>>6]>>(b&63)&1 != 0 {
						break
					}
					right[i+1]++
				}
			}
		}
	}
	if n == 0 {
		t.Fatal("no point was found again")
	}
	sum := 0
	for d, c := range signatures {
		if sum += c; d%4 == 0 && d <= 24 {
			t.Logf("signatures within %d bits: %.3f", d, float64(sum)/float64(n))
		}
	}
	for _, k := range []int{8, 12, 16, 20} {
		t.Logf("words of %d bits that are the same: %.3f", k, float64(right[k])/float64(n))
	}
	for i, c := range flips[:128] {
		t.Logf("bit %d differs in %.3f", i, float64(c+flips[i+128])/float64(2*n))
	}
}
