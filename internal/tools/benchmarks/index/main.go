// Command index measures the near-neighbour indexes of package phash beside
// what else one would use, on the same keys and queries, and prints tables in
// Markdown.
//
//	go run ./internal/tools/benchmarks/index -real hashes.tsv -plot docs/img > tables.md
//
// Every engine gives the number and distance of all keys within the radius, and
// every result is compared with the others'; an engine that cannot do that work
// is marked. Each query is timed alone, in several passes over all queries; a
// row shows the pass with the lowest median, which other work on the machine
// disturbed least, and behind it the median of the medians of all passes. The
// time of a query is what the clock says or, if less, what the thread used of
// the processor, so that it does not count while other work has the core.
//
// hashes.tsv is what the command hashes prints; without it, the rows on real
// hashes are left out. Run it on one core: taskset -c 1 go run ./internal/tools/benchmarks/index. It
// takes about a quarter of an hour and 8 GB.
package main

import (
	"flag"
	"fmt"
	"log"
	"math/bits"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/staydown/staydown/internal/tools/benchmarks/internal/keys"
	"github.com/staydown/staydown/phash"
)

var (
	realFile = flag.String("real", "", "`file` with real hashes, as the command hashes prints them")
	plotDir  = flag.String("plot", "", "`folder` to write the plots into")
	passes   = flag.Int("passes", 9, "passes over the queries")
	nQueries = flag.Int("queries", 1000, "queries for every row")
	small    = flag.Bool("small", false, "leave out the sets of more than a million keys")
	parts    = flag.String("parts", "psbg", "what to measure: (p)eers, (s)egments, (b)atches, (g)rowth of the set, for the plots")
)

func main() {
	log.SetFlags(0)
	flag.Parse()
	fmt.Printf("%s, %s/%s, GOMAXPROCS=%d. Times in microseconds. %s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), hugePages())
	for _, part := range *parts {
		switch part {
		case 'p':
			peers()
		case 's':
			segments()
		case 'b':
			batches()
		case 'g':
			growth()
		}
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// source makes data sets of one kind and size, for several radii.
type source struct {
	alg    phash.Algorithm
	kind   keys.Kind
	data   dataset
	others []keys.Words
}

func newSource(alg phash.Algorithm, kind keys.Kind, n int) *source {
	s := &source{alg: alg, kind: kind, data: dataset{alg: alg}}
	var real []keys.Words
	if kind == keys.Real {
		var err error
		real, s.others, err = keys.ReadReal(*realFile, alg)
		check(err)
	}
	s.data.keys = keys.NewSource(alg, 1).Distinct(kind, n, real)
	s.data.entries = make([]phash.Entry, n)
	for i, k := range s.data.keys {
		s.data.entries[i] = phash.Entry{Hash: keys.Hash(alg, k), ID: uint32(i)}
	}
	return s
}

// at sets the radius, and queries for it.
func (s *source) at(radius int) *dataset {
	d := &s.data
	d.radius = radius
	d.queries = keys.NewSource(s.alg, 100+uint64(radius)).Queries(s.kind, *nQueries, radius, d.keys, s.others)
	d.hashes = d.hashes[:0]
	for _, q := range d.queries {
		d.hashes = append(d.hashes, keys.Hash(s.alg, q))
	}
	return d
}

// timing is what was measured of an engine.
type timing struct {
	p50, p99 time.Duration // of the quietest pass
	p99None  time.Duration // of its queries that find nothing
	median   time.Duration // of the medians
	found    float64       // results for a query
	results  []result
}

// budget is how long an engine may take for all passes; slower ones do fewer
// queries, then fewer passes.
const budget = 4 * time.Second

func measure(search searchFunc, queries int) timing {
	start := time.Now()
	results := make([]result, 0, queries)
	for q := range queries {
		results = append(results, search(q))
		if q >= 20 && time.Since(start) > budget/3 {
			break
		}
	}
	queries = len(results)
	var t timing
	var medians []time.Duration
	for range *passes {
		times := make([]time.Duration, queries)
		var none []time.Duration
		for q := range times {
			used, begin := threadTime(), time.Now()
			r := search(q)
			times[q] = min(time.Since(begin), threadTime()-used)
			if r != results[q] {
				log.Fatalf("a search gave different results: %v, %v", r, results[q])
			}
			if r.found == 0 {
				none = append(none, times[q])
			}
		}
		slices.Sort(times)
		slices.Sort(none)
		p50 := times[queries/2]
		if len(medians) == 0 || p50 < t.p50 {
			t.p50, t.p99 = p50, times[queries*99/100]
			if len(none) > 0 {
				t.p99None = none[len(none)*99/100]
			}
		}
		medians = append(medians, p50)
		if time.Since(start) > 3*budget {
			break
		}
	}
	slices.Sort(medians)
	t.median = medians[len(medians)/2]
	for _, r := range results {
		t.found += float64(r.found) / float64(queries)
	}
	t.results = results
	return t
}

func us(d time.Duration) string {
	v := float64(d.Nanoseconds()) / 1000
	switch {
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

func count(n int) string {
	switch {
	case n >= 1_000_000 && n%1_000_000 == 0:
		return fmt.Sprintf("%d M", n/1_000_000)
	case n >= 1000:
		return fmt.Sprintf("%d k", n/1000)
	}
	return fmt.Sprint(n)
}

// peers compares all engines at a million clustered keys.
func peers() {
	const n = 1_000_000
	for _, c := range []struct {
		alg    phash.Algorithm
		radius []int
	}{{phash.AlgPerception, []int{4, 8}}, {phash.AlgPDQ, []int{31}}} {
		s := newSource(c.alg, keys.Clustered, n)
		for _, radius := range c.radius {
			d := s.at(radius)
			fmt.Printf("\n%d bit, %s clustered keys, radius %d:\n\n", c.alg.Bits(), count(n), radius)
			fmt.Println("| engine | p50 | p99 | p50, all passes | times the mapped segment | B/key | build, µs/key |")
			fmt.Println("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
			type row struct {
				name  string
				t     timing
				bytes int
				build time.Duration
			}
			var rows []row
			var base time.Duration
			for _, e := range engines {
				runtime.GC()
				begin := cpuTime()
				search, bytes := e.build(d)
				build := cpuTime() - begin
				t := measure(search, len(d.queries))
				name := e.name
				if e.exact {
					name += " (finds distance 0 only)"
				} else {
					verify(d, e.name, t.results)
				}
				if e.name == "phash.Segment, mapped file" {
					base = t.p50
				}
				rows = append(rows, row{name, t, bytes, build})
				log.Printf("%d bit, radius %d: %s: %v", c.alg.Bits(), radius, name, t.p50)
			}
			for _, r := range rows {
				fmt.Printf("| %s | %s | %s | %s | %.3g | %.0f | %.2f |\n", r.name, us(r.t.p50), us(r.t.p99), us(r.t.median),
					float64(r.t.p50)/float64(base), float64(r.bytes)/n, r.build.Seconds()*1e6/n)
			}
		}
	}
}

// verify compares results with a plain loop, for as many queries as is quick.
func verify(d *dataset, name string, results []result) {
	for q, got := range results[:min(len(results), 21)] {
		var want result
		for i := range d.keys {
			if dist := keys.Distance(d.keys[i], d.queries[q]); dist <= d.radius {
				want.add(uint32(i), dist)
			}
		}
		if got != want {
			log.Fatalf("%s, query %d: %v, want %v", name, q, got, want)
		}
	}
}

// segments measures segments of all sizes, kinds of keys and radii.
func segments() {
	fmt.Println("\n| bits | keys | radius | mapped: p50 | p99 | p99, nothing found | p50, all passes | huge pages: p50 | p99 | p99, nothing found | p50, all passes | probes | share visited | scans | found | B/key | build, µs/key |")
	fmt.Println("| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	for _, c := range []struct {
		alg    phash.Algorithm
		n      int
		radius []int
	}{
		{phash.AlgPerception, 100_000, []int{4, 8, 10}},
		{phash.AlgPerception, 1_000_000, []int{4, 8, 10}},
		{phash.AlgPerception, 10_000_000, []int{4, 8}},
		{phash.AlgPDQ, 100_000, []int{31, 47, 56, 64}},
		{phash.AlgPDQ, 1_000_000, []int{31, 47, 56, 64}},
		{phash.AlgPDQ, 5_000_000, []int{31, 47}},
	} {
		if *small && c.n > 1_000_000 {
			continue
		}
		for _, kind := range []keys.Kind{keys.Uniform, keys.Clustered, keys.Real} {
			if kind == keys.Real && *realFile == "" {
				continue
			}
			s := newSource(c.alg, kind, c.n)
			runtime.GC()
			begin := cpuTime()
			built := newSegment(&s.data)
			build := cpuTime() - begin
			file, huge := mapped(built), built.InHugePages()
			built = nil
			for _, radius := range c.radius {
				d := s.at(radius)
				search, bytes := searchSegment(d, file)
				tf := measure(search, len(d.queries))
				verify(d, "mapped segment", tf.results)
				search, _ = searchSegment(d, huge)
				th := measure(search, len(d.queries))
				verify(d, "segment in huge pages", th.results)
				var probes, visited, scans int
				for _, h := range d.hashes {
					w := file.Work(h, radius)
					probes += w.Probes
					visited += w.Candidates + w.Scanned
					if w.Scanned > 0 {
						scans++
					}
				}
				nq := float64(len(d.hashes))
				fmt.Printf("| %d | %s %s | %d | %s | %s | %s | %s | %s | %s | %s | %s | %.0f | %.2f %% | %.1f %% | %.3g | %.1f | %.3f |\n",
					c.alg.Bits(), count(c.n), kind, radius, us(tf.p50), us(tf.p99), us(tf.p99None), us(tf.median), us(th.p50), us(th.p99), us(th.p99None), us(th.median),
					float64(probes)/nq, 100*float64(visited)/nq/float64(c.n), 100*float64(scans)/nq, tf.found,
					float64(bytes)/float64(c.n), build.Seconds()*1e6/float64(c.n))
				log.Printf("%d bit, %s %s, radius %d: %v, %v", c.alg.Bits(), count(c.n), kind, radius, tf.p50, th.p50)
			}
		}
	}
}

// growth measures all engines at growing sizes and draws the plots.
func growth() {
	for _, c := range []struct {
		alg    phash.Algorithm
		radius int
		file   string
	}{{phash.AlgPerception, 8, "index-64.svg"}, {phash.AlgPDQ, 31, "index-256.svg"}} {
		sizes := []int{1000, 10_000, 100_000, 1_000_000}
		p := plot{title: fmt.Sprintf("Time of one search, %d bit, radius %d, clustered keys", c.alg.Bits(), c.radius)}
		for _, e := range engines {
			p.lines = append(p.lines, line{name: e.name})
		}
		for _, n := range sizes {
			s := newSource(c.alg, keys.Clustered, n)
			d := s.at(c.radius)
			for i, e := range engines {
				search, _ := e.build(d)
				t := measure(search, len(d.queries))
				if !e.exact {
					verify(d, e.name, t.results)
				}
				p.lines[i].points = append(p.lines[i].points, point{float64(n), t.p50.Seconds()})
			}
			log.Printf("%d bit, growth: %s", c.alg.Bits(), count(n))
		}
		if *plotDir != "" {
			check(os.MkdirAll(*plotDir, 0o755))
			check(os.WriteFile(filepath.Join(*plotDir, c.file), p.svg(), 0o644))
		}
	}
}

// scanWords is the loop that people write.
func scanWords(words []uint64, q uint64, radius int) (r result) {
	for i, w := range words {
		if d := bits.OnesCount64(w ^ q); d <= radius {
			r.add(uint32(i), d)
		}
	}
	return r
}
