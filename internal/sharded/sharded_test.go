package sharded

import (
	"sync"
	"testing"
)

func TestCounters(t *testing.T) {
	var c Counters
	var work sync.WaitGroup
	const goroutines, each = 16, 5000
	var seldom [goroutines]int
	for g := range goroutines {
		work.Go(func() {
			for i := range each {
				if c.Add(i%Max)%64 == 0 {
					seldom[g]++
				}
			}
		})
	}
	work.Wait()
	total, acted := uint64(0), 0
	for i := range Max {
		total += c.Sum(i)
	}
	for _, n := range seldom {
		acted += n
	}
	if total != goroutines*each {
		t.Errorf("%d were counted, want %d", total, goroutines*each)
	}
	// A rest in every shard of every counter is not acted on.
	if most := goroutines * each / 64; acted > most || acted < most-shards*Max {
		t.Errorf("acted %d times, want about %d", acted, most)
	}
	if n := testing.AllocsPerRun(100, func() { c.Add(1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAdd(b *testing.B) {
	var c Counters
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c.Add(3)
		}
	})
}
