package blocklist

import (
	"math/bits"

	"github.com/bits-and-blooms/bloom/v3"
)

// A filter is a bloom filter over digests in blocks of one cache line: the
// upper half of a digest chooses the block, the lower half the bits in it. A
// miss costs one memory access wherever the filter is, and filling it from
// sorted keys walks through memory once. The digest is uniform already, so its
// bits are taken as they are instead of being hashed again.
//
// The words are those of a bits-and-blooms filter, whose own decoder never
// sees bytes of a file.
type filter struct {
	*bloom.BloomFilter
	blocks uint64
}

const (
	filterBlock  = 512 // bits
	filterProbes = 7   // of 9 bits each, from the 64 of the lower half
	filterPerKey = 16  // bits
)

// filterWords returns how many words the filter of n keys has.
func filterWords(n int) int {
	return (n*filterPerKey + filterBlock - 1) / filterBlock * (filterBlock / 64)
}

// newFilter returns the filter over words, which it uses in place; their number
// is a multiple of eight and not zero.
func newFilter(words []uint64) filter {
	return filter{bloom.FromWithM(words, uint(len(words)*64), filterProbes), uint64(len(words) / (filterBlock / 64))}
}

// block returns the first bit of the block of a key.
func (f filter) block(hi uint64) uint {
	b, _ := bits.Mul64(hi, f.blocks)
	return uint(b) * filterBlock
}

func (f filter) add(hi, lo uint64) {
	at, set := f.block(hi), f.BitSet()
	for range filterProbes {
		set.Set(at + uint(lo%filterBlock))
		lo /= filterBlock
	}
}

// mayHold reports false for a key that was never added. It stops at the first
// bit that is not set.
func (f filter) mayHold(hi, lo uint64) bool {
	at, set := f.block(hi), f.BitSet()
	for range filterProbes {
		if !set.Test(at + uint(lo%filterBlock)) {
			return false
		}
		lo /= filterBlock
	}
	return true
}
