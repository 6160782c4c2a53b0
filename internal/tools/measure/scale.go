package main

import (
	"encoding/binary"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"time"

	"github.com/staydown/staydown/internal/features"
)

// scale registers n pictures and measures how long a search among them takes
// and whether copies are still found. The even originals and their copies, as
// far as the cache has them, give the points of the made-up pictures: each
// takes a random part of the points of one of them, with 4 % of the bits
// turned over, and its thumbnail. The odd originals are registered as they
// are, and copies of them are asked, half of which have their original removed,
// so that they are innocent.
func scale(c *cache, photos []string, copies []copyFile, n, asks int, profile string) {
	r := rand.New(rand.NewPCG(1, 1))
	odd := map[string]int{}
	var entries []features.Entry
	for i, p := range photos {
		if i%4 == 1 {
			odd[filepath.Base(p)] = len(entries)
			entries = append(entries, features.Entry{Features: c.features(p), ID: uint32(i)})
		} else if i%4 == 3 {
			odd[filepath.Base(p)] = -1
		}
	}
	var base []features.Features
	var from []string
	var asked []copyFile
	for _, cp := range copies {
		f, ok := c.m[cp.path]
		if !ok || cp.kind == "collage_2x2" { // it shows other originals too
			continue
		}
		if _, isOdd := odd[cp.orig]; isOdd {
			asked = append(asked, cp)
		} else if f.Len() >= features.RegisteredPoints {
			base = append(base, f)
			from = append(from, filepath.Base(cp.path))
		}
	}
	r.Shuffle(len(asked), func(i, j int) { asked[i], asked[j] = asked[j], asked[i] })
	asked = asked[:min(len(asked), asks)]
	for len(entries) < n {
		k := r.IntN(len(base))
		entries = append(entries, features.Entry{Features: madeUp(r, base[k]), ID: 1<<30 | uint32(k)})
	}
	start := time.Now()
	seg, err := features.NewSegment(entries)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("registered %d pictures (made up from %d sets), %d points, %d bytes each, built in %v\n", seg.Len(), len(base), seg.Points(), len(seg.Bytes())/seg.Len(), time.Since(start))
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			log.Fatal(err)
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			log.Fatal(err)
		}
		defer pprof.StopCPUProfile()
	}
	var x features.Searcher
	var wall, cpu []time.Duration
	copiesAsked, found, falses := 0, 0, 0
	for k, cp := range asked {
		f := c.features(cp.path)
		own := false
		s, sc := time.Now(), cpuTime()
		seg.Search(&x, f, func(m features.Match) bool {
			if m.Band != features.Block {
				return true
			}
			if at := odd[cp.orig]; at >= 0 && m.ID == entries[at].ID {
				own = true
			} else {
				falses++
				what := "an original"
				if m.ID >= 1<<30 {
					what = "one made up from " + from[m.ID&^(1<<30)]
				}
				fmt.Printf("other: %s shows %s: %+v\n", filepath.Base(cp.path), what, m)
			}
			return true
		})
		if k >= 10 { // the first ones grow the searcher
			wall, cpu = append(wall, time.Since(s)), append(cpu, cpuTime()-sc)
		}
		if odd[cp.orig] >= 0 {
			copiesAsked++
			if own {
				found++
			}
		}
	}
	slices.Sort(wall)
	slices.Sort(cpu)
	fmt.Printf("%d searches: wall median %v, 90 %% %v; processor time median %v, 90 %% %v\n", len(wall), wall[len(wall)/2], wall[len(wall)*9/10], cpu[len(cpu)/2], cpu[len(cpu)*9/10])
	fmt.Printf("%d copies asked whose original is registered: %d at Block (%.1f %%); %d Block matches with anything else\n",
		copiesAsked, found, 100*float64(found)/float64(max(copiesAsked, 1)), falses)
}

// madeUp returns a compact set with a random part of the points of f.
func madeUp(r *rand.Rand, f features.Features) features.Features {
	full, _ := f.AppendBinary(nil)
	small, _ := f.Compact().AppendBinary(nil)
	n, k := f.Len(), f.Compact().Len()
	for i, from := range r.Perm(n)[:k] {
		d := small[16+32*i:][:32]
		copy(d, full[16+32*from:])
		for range 10 {
			bit := r.IntN(256)
			d[bit/8] ^= 1 << (bit % 8)
		}
		copy(small[16+32*k+6*i:][:6], full[16+32*n+6*from:])
		p := small[16+32*k+6*i:]
		binary.LittleEndian.PutUint16(p, binary.LittleEndian.Uint16(p)^uint16(r.IntN(64)))
	}
	g, err := features.Open(small)
	if err != nil {
		return f.Compact() // the jitter pushed a point over the rim
	}
	return g
}
