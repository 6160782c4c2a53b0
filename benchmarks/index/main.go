package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
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
	only := flag.Int("r", 0, "")
	tunes := flag.Int("tunes", 1, "")
	reps := flag.Int("reps", 9, "")
	flag.Parse()
	alg, radii := phash.AlgPDQ, []int{31, 47}
	if *alg64 {
		alg, radii = phash.AlgPerception, []int{4, 6, 8, 10}
	}
	if *only > 0 {
		radii = []int{*only}
	}
	src := keys.NewSource(alg, 1)
	var real, others []keys.Words
	if *kind == "real" {
		var err error
		real, others, err = keys.ReadReal("/tmp/hashes-copies.tsv", alg)
		if err != nil {
			panic(err)
		}
		fmt.Println(len(real), len(others))
	}
	all := src.Distinct(keys.Kind(*kind), *n, real)
	entries := make([]phash.Entry, len(all))
	for i, w := range all {
		entries[i] = phash.Entry{Hash: keys.Hash(alg, w), ID: uint32(i)}
	}
	runtime.GC()
	t0 := cpu()
	s, err := phash.NewSegment(alg, entries)
	if err != nil {
		panic(err)
	}
	fmt.Printf("build %.3f us/hash, %.1f B/hash\n", float64((cpu()-t0).Microseconds())/float64(*n), float64(s.Size())/float64(*n))
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
	out, _ := exec.Command("grep", "AnonHuge", fmt.Sprintf("/proc/%d/smaps_rollup", os.Getpid())).Output()
	fmt.Print(string(out))
	lin := func(h phash.Hash, r int) (n int) {
		for i := range entries {
			if d, _ := h.Distance(entries[i].Hash); d <= r {
				n += d + 1
			}
		}
		return n
	}
	for _, r := range radii {
		qs := keys.NewSource(alg, 100+uint64(r)).Queries(keys.Kind(*kind), *nq, r, all, others)
		hs := make([]phash.Hash, len(qs))
		for i, w := range qs {
			hs[i] = keys.Hash(alg, w)
		}
		p50s, p99s := make([][]time.Duration, *tunes), make([][]time.Duration, *tunes)
		for rep := range *reps {
			for tn := range *tunes {
				phash.Tune = tn
				times := make([]time.Duration, 0, len(hs))
				for i, h := range hs {
					sum := 0
					t := time.Now()
					s.Search(h, r, func(id uint32, d int) bool { sum += d + 1; return true })
					times = append(times, time.Since(t))
					if rep == 0 && i < 10 {
						if want := lin(h, r); want != sum {
							panic(fmt.Sprint(want, sum))
						}
					}
				}
				slices.Sort(times)
				p50s[tn] = append(p50s[tn], times[len(times)/2])
				p99s[tn] = append(p99s[tn], times[len(times)*99/100])
			}
		}
		phash.Tune = 0
		cand, scans, probes := 0, 0, 0
		for _, h := range hs {
			w := s.Work(h, r)
			cand += w.Candidates
			probes += w.Probes
			if w.Scanned > 0 {
				scans++
			}
		}
		for tn := range *tunes {
			slices.Sort(p50s[tn])
			slices.Sort(p99s[tn])
			fmt.Printf("r=%d tune %d p50 min %v med %v p99 min %v med %v\n", r, tn, p50s[tn][0], p50s[tn][len(p50s[tn])/2], p99s[tn][0], p99s[tn][len(p99s[tn])/2])
		}
		fmt.Printf("   probes %d cand %d (%.2f%%) scans %d\n", probes/len(hs), cand/len(hs), 100*float64(cand)/float64(len(hs))/float64(*n), scans)
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
