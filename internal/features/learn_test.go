package features_test

import (
	"cmp"
	"fmt"
	"image"
	_ "image/gif"
	_ "image/jpeg"
	_ "image/png"
	"math"
	"math/bits"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	_ "golang.org/x/image/webp"

	"github.com/staydown/staydown/internal/features"
	"github.com/staydown/staydown/internal/sharedtest"
)

// unitMap takes a point of the unit square of the original to the unit square
// of the copy.
type unitMap [6]float64

var learnMaps = map[string]func(w, h float64) unitMap{}

func init() {
	id := func(w, h float64) unitMap { return unitMap{1, 0, 0, 0, 1, 0} }
	for _, t := range strings.Split("jpeg_q10 jpeg_q30 webp_q50 resize_25 resize_w128 aspect_w110 gamma_070 equalize blur_s3 blur_s1 noise_s12 gif_64 watermark_diag sharpen contrast_m20 sepia", " ") {
		learnMaps[t] = id
	}
	for p, t := range map[float64]string{.20: "crop_c20", .30: "crop_c30"} {
		learnMaps[t] = func(w, h float64) unitMap {
			return unitMap{1 / (1 - p), 0, -p / 2 / (1 - p), 0, 1 / (1 - p), -p / 2 / (1 - p)}
		}
	}
	for a, t := range map[float64]string{5: "rotate_5", 2: "rotate_2"} {
		learnMaps[t] = func(w, h float64) unitMap {
			s, c := math.Sincos(a * math.Pi / 180)
			W, H := w*c+h*s, w*s+h*c
			// x' = c(x-w/2) - s(y-h/2) + W/2, clockwise on the screen
			return unitMap{c * w / W, -s * h / W, .5 - (c*w-s*h)/2/W, s * w / H, c * h / H, .5 - (s*w+c*h)/2/H}
		}
	}
}

func openImage(t testing.TB, path string) image.Image {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, _, err := image.Decode(f)
	if err != nil {
		t.Fatal(path, err)
	}
	return img
}

// corpusFile returns the copy of the given kind that tools/transform.py wrote
// into one of the folders.
func corpusFile(t testing.TB, dirs []string, stem, kind string) string {
	for _, d := range dirs {
		if m, _ := filepath.Glob(filepath.Join(d, stem+"__"+kind+".*")); len(m) > 0 {
			return m[0]
		}
	}
	t.Fatalf("no copy %s of %s in %v", kind, stem, dirs)
	return ""
}

// TestLearn chooses the tests of the descriptor, and writes them as pattern.go has
// them. It reads each fifth of the photos and
// copies of known geometry:
//
//	STAYDOWN_LEARN=/tmp/pattern.go STAYDOWN_COPIES=DIR:DIR go test -run TestLearn -v ./internal/features
func TestLearn(t *testing.T) {
	out, dirs := os.Getenv("STAYDOWN_LEARN"), filepath.SplitList(os.Getenv("STAYDOWN_COPIES"))
	if out == "" {
		t.Skip("skipped: STAYDOWN_LEARN names no file to write")
	}
	names, err := filepath.Glob(filepath.Join(sharedtest.Path(t, "photos"), "*.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	const half = 6000
	const trueSpread = 0.05
	cand := make([]features.Test, 0, 2*half)
	seen := map[features.Test]bool{}
	for len(cand) < half {
		r := []int{1, 1, 2, 2, 2, 3, 3, 4}[rng.IntN(8)]
		R := features.PatchRadius - r
		pt := func() (int, int) {
			for {
				x, y := int(math.Round(rng.NormFloat64()*9)), int(math.Round(rng.NormFloat64()*9))
				if x*x+y*y <= R*R {
					return x, y
				}
			}
		}
		x1, y1 := pt()
		x2, y2 := pt()
		if (x1-x2)*(x1-x2)+(y1-y2)*(y1-y2) < (r+1)*(r+1) || y1 == 0 && y2 == 0 {
			continue
		}
		if x1 == x2 && y1 == -y2 {
			continue
		} // its own mirror image, negated
		c := features.MakeTest(x1, y1, x2, y2, r)
		if seen[c] {
			continue
		}
		seen[c] = true
		cand = append(cand, c)
	}
	for i := range half {
		f := cand[i].Fields()
		cand = append(cand, features.MakeTest(f[0], -f[1], f[2], -f[3], f[4]))
	}
	nw := (len(cand) + 63) / 64
	type vec = []uint64
	flips := make([]int, len(cand))
	ones := make([]int, len(cand))
	var singles []vec
	npairs := 0
	stats := map[string][3]int{}
	for k, name := range names {
		if k%5 != 0 {
			continue
		}
		img := openImage(t, name)
		ea, err := features.NewPicture(img, 300)
		if err != nil {
			continue
		}
		w, h := float64(img.Bounds().Dx()), float64(img.Bounds().Dy())
		iw, ih := ea.Size()
		W, H := float64(iw), float64(ih)
		va := make([]vec, ea.Len())
		for i := range va {
			va[i] = ea.Bits(i, cand)
			if i%2 == 0 {
				singles = append(singles, va[i])
			}
		}
		stem := strings.TrimSuffix(filepath.Base(name), filepath.Ext(name))
		trs := make([]string, 0)
		for tr := range learnMaps {
			trs = append(trs, tr)
		}
		sort.Strings(trs)
		for _, tr := range trs {
			f := corpusFile(t, dirs, stem, tr)
			eb, err := features.NewPicture(openImage(t, f), 700)
			if err != nil {
				continue
			}
			m := learnMaps[tr](w, h)
			iw, ih := eb.Size()
			W2, H2 := float64(iw), float64(ih)
			zoom := math.Sqrt(math.Abs(m[0]*m[4]-m[1]*m[3]) * W2 * H2 / W / H)
			turn := math.Atan2(m[3]*H2/W, m[0]*W2/W) / (2 * math.Pi) * 256
			st := stats[tr]
			for i := range va {
				x, y, scale, angle := ea.Point(i)
				x, y = x/W, y/H
				x, y = m[0]*x+m[1]*y+m[2], m[3]*x+m[4]*y+m[5]
				if x < 0 || x > 1 || y < 0 || y > 1 {
					continue
				}
				st[0]++
				best, bd, ba := -1, 1e9, uint8(0)
				sl := scale + math.Log(zoom)/math.Log(1.2)
				for j := range eb.Len() {
					qx, qy, qs, qa := eb.Point(j)
					ds := math.Abs(qs - sl)
					if ds > 1.0 {
						continue
					}
					d := math.Hypot(qx-x*W2, qy-y*H2) / (2.5 * math.Pow(1.2, sl))
					if d > 1 {
						continue
					}
					if d += ds; d < bd {
						best, bd, ba = j, d, qa
					}
				}
				if best < 0 {
					continue
				}
				st[1]++
				if da := math.Mod(float64(ba)-float64(angle)-turn+512+128, 256) - 128; math.Abs(da) > 14 {
					continue
				}
				st[2]++
				if rng.IntN(3) > 0 && npairs > 60000 {
					continue // enough to know the rates
				}
				vb := eb.Bits(best, cand)
				npairs++
				for c := range nw {
					x := va[i][c] ^ vb[c]
					for x != 0 {
						flips[64*c+bits.TrailingZeros64(x)]++
						x &= x - 1
					}
				}
			}
			stats[tr] = st
		}
	}
	for tr, s := range stats {
		t.Logf("%-16s visible %6d  repeated %.3f  same orientation %.3f", tr, s[0], float64(s[1])/float64(s[0]), float64(s[2])/float64(s[1]))
	}
	N := len(singles)
	// Columns: bit c of every single.
	cols := make([][]uint64, len(cand))
	for c := range cols {
		cols[c] = make([]uint64, (N+63)/64)
	}
	for i, v := range singles {
		for c := range nw {
			x := v[c]
			for x != 0 {
				k := 64*c + bits.TrailingZeros64(x)
				cols[k][i/64] |= 1 << (i % 64)
				ones[k]++
				x &= x - 1
			}
		}
	}
	corr := func(a, b int) float64 {
		n11 := 0
		for i, x := range cols[a] {
			n11 += bits.OnesCount64(x & cols[b][i])
		}
		pa, pb := float64(ones[a])/float64(N), float64(ones[b])/float64(N)
		return (float64(n11)/float64(N) - pa*pb) / math.Sqrt(pa*(1-pa)*pb*(1-pb)+1e-9)
	}
	m := func(c int) float64 { return float64(ones[c]+ones[(c+half)%(2*half)]) / float64(2*N) }
	f := func(c int) float64 { return float64(flips[c]+flips[(c+half)%(2*half)]) / float64(2*npairs) }
	score := func(c int) float64 { return 2*m(c)*(1-m(c)) - 2*f(c) }
	idx := make([]int, half)
	for i := range idx {
		idx[i] = i
	}
	slices.SortFunc(idx, func(a, b int) int { return cmp.Compare(score(b), score(a)) })
	t.Logf("pairs %d singles %d best f %.3f median f %.3f", npairs, N, f(idx[0]), f(idx[half/2]))
	// Greedy: each step takes the test that makes the separation of like and
	// unlike pairs greatest: difference of the mean distances, against the
	// spread of the distances of unlike pairs (a quarter of the sum of the
	// squared correlations) and of like ones (taken as in proportion).
	var sel []int
	used := map[int]bool{}
	sum, sq := 0.0, 0.0
	with := make([]float64, half) // sum over the chosen of squared correlations, both sides
	own := make([]float64, half)
	for c := range with {
		own[c] = corr(c, c+half)
		own[c] *= own[c]
	}
	for len(sel) < 128 {
		best, bv := -1, -1e9
		k := float64(2*len(sel) + 2)
		for c := range half {
			if used[c] {
				continue
			}
			v := (sum + 2*(2*m(c)*(1-m(c))-f(c))) / math.Sqrt((sq+2+2*own[c]+2*with[c])/4+k*k*trueSpread*trueSpread)
			if v > bv {
				best, bv = c, v
			}
		}
		used[best] = true
		sel = append(sel, best)
		sum += 2 * (2*m(best)*(1-m(best)) - f(best))
		sq += 2 + 2*own[best] + 2*with[best]
		for c := range half {
			if used[c] {
				continue
			}
			x, y := corr(c, best), corr(c, best+half)
			with[c] += 2 * (x*x + y*y)
		}
		if len(sel)%32 == 0 {
			t.Logf("%d tests: separation %.3f, effective %.1f", len(sel), bv, 4*float64(len(sel)*len(sel))/sq)
		}
	}
	sf := 0.0
	for _, c := range sel {
		sf += f(c)
	}
	t.Logf("mean flip rate of the chosen %.4f", sf/128)
	var sb strings.Builder
	sb.WriteString("package features\n\nvar tests = [256]test{\n")
	full := append(slices.Clone(sel), sel...)
	for i := range full {
		if i >= 128 {
			full[i] += half
		}
		c := cand[full[i]].Fields()
		fmt.Fprintf(&sb, "\t{%d, %d, %d, %d, %d},\n", c[0], c[1], c[2], c[3], c[4])
	}
	sb.WriteString("}\n")
	if err := os.WriteFile(out, []byte(sb.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
