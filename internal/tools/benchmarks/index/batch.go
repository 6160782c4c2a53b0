package main

import (
	"fmt"
	"log"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/staydown/staydown/internal/tools/benchmarks/internal/keys"
	"github.com/staydown/staydown/phash"
)

// hugePages says in what mode the kernel gives huge pages. In the mode "always"
// the columns of small pages have huge ones as well.
func hugePages() string {
	b, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled")
	if err != nil {
		return "The kernel has no transparent huge pages."
	}
	return "Transparent huge pages: " + strings.TrimSpace(string(b)) + "."
}

// batches measures searches for one hash and for a hundred at a time at the
// radius in force, in small pages and in huge ones. A hundred are timed together.
func batches() {
	fmt.Println("\n| keys, 256 bits | radius | pages | one: p50 | p99 | p99 ÷ p50 | in a hundred, each | one ÷ that | B/key |")
	fmt.Println("| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
	for _, c := range []struct{ n, radius int }{
		{1_000_000, 31}, {5_000_000, 31}, {1_000_000, phash.BlockRadius}, {4_000_000, phash.BlockRadius}, {16_000_000, phash.BlockRadius},
	} {
		if *small && c.n > 1_000_000 {
			continue
		}
		s := newSource(phash.AlgPDQ, keys.Uniform, c.n)
		d := s.at(c.radius)
		huge := newSegment(d)
		b, err := huge.AppendBinary(nil) // on the heap, for which Go asks for nothing
		check(err)
		d.entries = nil
		runtime.GC()
		heap, err := phash.OpenSegment(b)
		check(err)
		for _, x := range []struct {
			pages string
			s     *phash.Segment
		}{{"4 KiB", heap}, {"huge", huge}} {
			search, bytes := searchSegment(d, x.s)
			t := measureEach(search, len(d.queries))
			verify(d, x.pages, t.results)
			each := measureBatch(d, x.s)
			fmt.Printf("| %s | %d | %s | %s | %s | %.1f | %s | %.2f | %.1f |\n", count(c.n), c.radius, x.pages, us(t.p50), us(t.p99),
				float64(t.p99)/float64(t.p50), us(each), float64(t.p50)/float64(each), float64(bytes)/float64(c.n))
			log.Printf("%s, radius %d, %s pages: %v, %v in a hundred", count(c.n), c.radius, x.pages, t.p50, each)
		}
	}
}

// measureEach times every query in all passes and takes its lowest time, so that
// the percentiles are of the queries and not of what else the machine does.
func measureEach(search searchFunc, queries int) timing {
	t := timing{results: make([]result, queries)}
	times := make([]time.Duration, queries)
	for pass := range *passes {
		for q := range times {
			used, begin := threadTime(), time.Now()
			t.results[q] = search(q)
			d := min(time.Since(begin), threadTime()-used)
			if pass == 0 || d < times[q] {
				times[q] = d
			}
		}
	}
	slices.Sort(times)
	t.p50, t.p99 = times[queries/2], times[queries*99/100]
	return t
}

// measureBatch returns what a query takes in batches of a hundred: the median of
// the batches, of each its lowest time.
func measureBatch(d *dataset, s *phash.Segment) time.Duration {
	var times []time.Duration
	for pass := range *passes {
		i := 0
		for batch := range slices.Chunk(d.hashes, 100) {
			used, begin := threadTime(), time.Now()
			s.SearchAll(batch, d.radius, func(int, uint32, int) bool { return true })
			t := min(time.Since(begin), threadTime()-used) / time.Duration(len(batch))
			if pass == 0 {
				times = append(times, t)
			}
			times[i] = min(times[i], t)
			i++
		}
	}
	slices.Sort(times)
	return times[len(times)/2]
}
