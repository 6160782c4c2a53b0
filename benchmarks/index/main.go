package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/staydown/staydown/benchmarks/internal/keys"
	"github.com/staydown/staydown/phash"
)

func main() {
	alg64 := flag.Bool("64", false, "")
	n := flag.Int("n", 1000000, "")
	kind := flag.String("kind", "clustered", "")
	nq := flag.Int("q", 1000, "")
	huge := flag.Bool("huge", false, "")
	mapped := flag.Bool("map", false, "")
	flag.Parse()
	alg, radii := phash.AlgPDQ, []int{31, 47}
	if *alg64 {
		alg, radii = phash.AlgPerception, []int{4, 6, 8, 10}
	}
	src := keys.NewSource(alg, 1)
	all := src.Distinct(keys.Kind(*kind), *n, nil)
	entries := make([]phash.Entry, len(all))
	for i, w := range all {
		entries[i] = phash.Entry{Hash: keys.Hash(alg, w), ID: uint32(i)}
	}
	t0 := time.Now()
	s, err := phash.NewSegment(alg, entries)
	if err != nil {
		panic(err)
	}
	fmt.Printf("build %.3f us/hash, %.1f B/hash\n", float64(time.Since(t0).Microseconds())/float64(*n), float64(s.Size())/float64(*n))
	if *huge {
		s = s.InHugePages()
	}
	if *mapped {
		b, _ := s.AppendBinary(nil)
		os.WriteFile("/tmp/seg.bin", b, 0o644)
		f, _ := os.Open("/tmp/seg.bin")
		m, err := syscall.Mmap(int(f.Fd()), 0, len(b), syscall.PROT_READ, syscall.MAP_SHARED)
		if err != nil {
			panic(err)
		}
		s, err = phash.OpenSegment(m)
		if err != nil {
			panic(err)
		}
	}
	lin := func(h phash.Hash, r int) (n int) {
		for i := range entries {
			if d, _ := h.Distance(entries[i].Hash); d <= r {
				n += d + 1
			}
		}
		return n
	}
	for _, r := range radii {
		qs := keys.NewSource(alg, 100+uint64(r)).Queries(keys.Kind(*kind), *nq, r, all, nil)
		hs := make([]phash.Hash, len(qs))
		for i, w := range qs {
			hs[i] = keys.Hash(alg, w)
		}
		times := make([]time.Duration, 0, 3*len(hs))
		hits, cand, scans, probes := 0, 0, 0, 0
		for rep := range 3 {
			for i, h := range hs {
				sum := 0
				t := time.Now()
				s.Search(h, r, func(id uint32, d int) bool { sum += d + 1; return true })
				times = append(times, time.Since(t))
				if rep > 0 {
					continue
				}
				hits += sum
				w := s.Work(h, r)
				cand += w.Candidates
				probes += w.Probes
				if w.Scanned > 0 {
					scans++
				}
				if i < 40 {
					if want := lin(h, r); want != sum {
						panic(fmt.Sprint(want, sum))
					}
				}
			}
		}
		slices.Sort(times)
		fmt.Printf("r=%d p50 %v p99 %v indexed %v probes %d cand %d (%.2f%%) scans %d sum %d\n", r, times[len(times)/2], times[len(times)*99/100], s.Indexed(r), probes/len(hs), cand/len(hs), 100*float64(cand)/float64(len(hs))/float64(*n), scans, hits)
	}
}
