// Package sharded counts on paths where many goroutines must not wait for each
// other's cache lines.
package sharded

import (
	"sync/atomic"
	"unsafe"
)

// Counters are a few counters that any number of goroutines add to. The zero value
// is ready.
type Counters struct{ shards [shards]shard }

const (
	// Max is how many there are.
	Max = 16

	shards = 32
)

type shard [Max]atomic.Uint64 // two cache lines

// Add adds 1 to counter i and returns how often this shard has counted it: a caller
// that acts when a low number of bits of it are zero acts that seldom.
func (c *Counters) Add(i int) uint64 {
	// The stacks of goroutines lie at different places: their addresses, from the
	// smallest size of a stack on, spread them over the shards.
	var here byte
	at := uintptr(unsafe.Pointer(&here)) >> 11
	return c.shards[(at^at>>5)%shards][i].Add(1)
}

// Sum returns counter i.
func (c *Counters) Sum(i int) (n uint64) {
	for s := range c.shards {
		n += c.shards[s][i].Load()
	}
	return n
}
