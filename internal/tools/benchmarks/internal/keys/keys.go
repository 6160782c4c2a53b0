// Package keys makes hashes to measure indexes with: random ones, clustered
// ones, and real ones extended by noise. The same arguments give the same
// hashes everywhere.
package keys

import (
	"fmt"
	"hash/crc32"
	"math/bits"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/staydown/staydown/phash"
)

// Words are the bits of a hash, as phash.Hash.Words gives them.
type Words = [4]uint64

// Hash returns w as a hash of alg.
func Hash(alg phash.Algorithm, w Words) phash.Hash {
	if alg.Bits() == 64 {
		return phash.FromPerception(w[0])
	}
	var b [32]byte
	for i := range b {
		k := 8 * (31 - i)
		b[i] = byte(w[k/64] >> (k % 64))
	}
	return phash.FromPDQ(b)
}

// Distance returns in how many bits a and b differ.
func Distance(a, b Words) int {
	return bits.OnesCount64(a[0]^b[0]) + bits.OnesCount64(a[1]^b[1]) +
		bits.OnesCount64(a[2]^b[2]) + bits.OnesCount64(a[3]^b[3])
}

// Source makes keys of one kind.
type Source struct {
	alg phash.Algorithm
	rng *rand.Rand
}

// NewSource returns a source for hashes of alg.
func NewSource(alg phash.Algorithm, seed uint64) *Source {
	return &Source{alg, rand.New(rand.NewPCG(seed, 0x5eed))}
}

// Random returns independent uniform bits.
func (s *Source) Random() Words {
	w := Words{s.rng.Uint64()}
	if s.alg.Bits() == 256 {
		w[1], w[2], w[3] = s.rng.Uint64(), s.rng.Uint64(), s.rng.Uint64()
	}
	return w
}

// Biased returns bits of which each has its own probability between 0.15 and
// 0.85, the same for all biased keys of an algorithm.
func (s *Source) Biased() Words {
	var w Words
	p := rand.New(rand.NewPCG(uint64(s.alg), 0xb1a5))
	for k := range s.alg.Bits() {
		if s.rng.Float64() < 0.15+0.7*p.Float64() {
			w[k/64] |= 1 << (k % 64)
		}
	}
	return w
}

// Flip returns w with n different bits changed.
func (s *Source) Flip(w Words, n int) Words {
	for range n {
		k := s.rng.IntN(s.alg.Bits())
		w[k/64] ^= 1 << (k % 64)
	}
	return w
}

// Kind names a kind of keys.
type Kind string

const (
	// Uniform keys are independent uniform bits.
	Uniform Kind = "random"
	// Clustered keys come in clusters of four on average, whose first key is
	// uniform (80 %) or biased, and whose others are up to 5 (64 bit) or 24
	// (256 bit) bits from it.
	Clustered Kind = "clustered"
	// Real keys are those of photos and their copies, each repeated with up to
	// as much noise as that until there are enough.
	Real Kind = "real"
)

// Distinct returns n different keys of a kind; real is needed for Real only.
func (s *Source) Distinct(kind Kind, n int, real []Words) []Words {
	noise := 5
	if s.alg.Bits() == 256 {
		noise = 24
	}
	all := make([]Words, 0, n)
	seen := make(map[Words]struct{}, n)
	add := func(w Words) {
		if _, ok := seen[w]; !ok {
			seen[w] = struct{}{}
			all = append(all, w)
		}
	}
	var centre Words
	for i := 0; len(all) < n; i++ {
		switch {
		case kind == Uniform:
			add(s.Random())
		case kind == Real && i < len(real):
			add(real[i])
		case kind == Real:
			add(s.Flip(real[s.rng.IntN(len(real))], 1+s.rng.IntN(noise)))
		case i == 0 || s.rng.IntN(4) == 0:
			centre = s.Random()
			if s.rng.IntN(5) == 0 {
				centre = s.Biased()
			}
			add(centre)
		default:
			add(s.Flip(centre, s.rng.IntN(noise+1)))
		}
	}
	return all
}

// Queries returns n queries for searches with radius: 5 % are keys with up to
// radius bits changed; the others are uniform and biased in equal parts, or,
// for Real, taken from others, which are real hashes of pictures that are not
// in the index.
func (s *Source) Queries(kind Kind, n, radius int, all, others []Words) []Words {
	queries := make([]Words, n)
	for i := range queries {
		switch {
		case i%20 == 0:
			queries[i] = s.Flip(all[s.rng.IntN(len(all))], s.rng.IntN(radius+1))
		case kind == Real:
			queries[i] = others[s.rng.IntN(len(others))]
		case i%2 == 0:
			queries[i] = s.Random()
		default:
			queries[i] = s.Biased()
		}
	}
	return queries
}

// ReadReal reads what the command hashes printed. Of every sixth picture, and
// its copies, the hashes are returned in others, to be used as queries. The
// names of copies begin with that of their picture, without its ending, and
// two underscores.
func ReadReal(path string, alg phash.Algorithm) (real, others []Words, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		picture, _, _ := strings.Cut(strings.TrimSuffix(fields[0], filepath.Ext(fields[0])), "__")
		held := crc32.ChecksumIEEE([]byte(picture))%6 == 0
		for _, f := range fields[1:] {
			h, err := phash.Parse(f)
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", path, err)
			}
			switch {
			case h.Algorithm() != alg:
			case held:
				others = append(others, h.Words())
			default:
				real = append(real, h.Words())
			}
		}
	}
	if len(real) == 0 || len(others) == 0 {
		return nil, nil, fmt.Errorf("%s: no hashes of %v", path, alg)
	}
	return real, others, nil
}
