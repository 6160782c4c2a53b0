// Command scale measures lists of many pictures with local features: bytes, building,
// opening and searching, from 10,000 to a million of them.
//
//	scale -corpus DIR -copies DIR [-n 10000,100000,1000000] [-dir DIR] [-queries N]
//
// Half of the pictures of -corpus are registered, as they are and then varied: see
// features.Vary. The others are asked and have no copy in the list. Pictures of
// -copies, in folders named after kinds, are asked as well; they are copies of
// registered pictures of the same name, and are counted by kind.
//
// Each list is built, written to a file, read into memory with huge pages, and
// searched by one goroutine. Results are lines of tab-separated values; times are
// processor time, because the machine may be shared.
//
//	scale -plot FILE -columns search_ms,p99_ms > growth.svg
//
// draws columns of such lines against the number of pictures.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"hash/fnv"
	"image"
	_ "image/gif"
	_ "image/jpeg"
	_ "image/png"
	"io"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	_ "golang.org/x/image/webp"

	"github.com/staydown/staydown/internal/arena"
	"github.com/staydown/staydown/internal/features"
	"github.com/staydown/staydown/internal/sharedtest"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("scale: ")
	corpus := flag.String("corpus", "", "folders of pictures, separated by colons")
	copies := flag.String("copies", "", "folders of folders of copies, separated by colons")
	sizes := flag.String("n", "10000,30000,100000,300000,1000000", "numbers of registered pictures")
	dir := flag.String("dir", os.TempDir(), "folder for the list")
	queries := flag.Int("queries", 200, "pictures without a copy that are asked")
	each := flag.Int("each", 3, "copies of each kind that are asked")
	rich := flag.Bool("rich", false, "rich records, whatever the number")
	drawn := flag.String("plot", "", "file of results to draw as SVG")
	columns := flag.String("columns", "search_ms,p99_ms,copies_ms", "columns to draw")
	flag.Parse()
	if *drawn != "" {
		if err := plot(*drawn, strings.Split(*columns, ","), os.Stdout); err != nil {
			log.Fatal(err)
		}
		return
	}
	if err := run(*corpus, *copies, *sizes, *dir, *queries, *each, *rich); err != nil {
		log.Fatal(err)
	}
}

// material is what is registered and asked.
type material struct {
	registered []features.Features
	names      map[string]uint32 // of registered pictures
	innocent   []features.Features
	copies     []copied
}

type copied struct {
	features.Features
	of   uint32
	kind string
}

func run(corpus, copies, sizes, dir string, queries, each int, rich bool) error {
	m, err := load(corpus, copies, queries, each)
	if err != nil {
		return err
	}
	log.Printf("%d registered, %d innocent, %d copies", len(m.registered), len(m.innocent), len(m.copies))
	fmt.Println("pictures\tbytes\thot\trecords\tbuild_s\topen_us\tsearch_ms\tp99_ms\tcopies_ms\tblocked\tof\tinnocent_review\tinnocent_block")
	for _, s := range strings.Split(sizes, ",") {
		n, err := strconv.Atoi(s)
		if err != nil {
			return err
		}
		if err := m.measure(n, rich, filepath.Join(dir, "scale.segment")); err != nil {
			return err
		}
	}
	return nil
}

func load(corpus, copies string, queries, each int) (*material, error) {
	m := &material{names: map[string]uint32{}}
	paths, err := inFolders(corpus, "*.*")
	if err != nil {
		return nil, err
	}
	kinds, err := inFolders(copies, "*")
	if err != nil {
		return nil, err
	}
	// What has copies is registered.
	wanted := map[string]bool{}
	asked := map[string][]string{}
	for _, k := range kinds {
		files, err := filepath.Glob(filepath.Join(k, "*.*"))
		if err != nil {
			return nil, err
		}
		// The same pictures of each kind, so that few are looked at.
		for i := 0; i < len(files) && len(asked[k]) < each; i += max(1, len(files)/max(each, 1)) {
			asked[k] = append(asked[k], files[i])
			wanted[stem(files[i])] = true
		}
	}
	for _, p := range paths {
		f, ok := extract(p)
		if !ok {
			continue
		}
		h := fnv.New32a()
		h.Write([]byte(filepath.Base(p)))
		if wanted[stem(p)] || h.Sum32()%2 == 0 {
			m.names[stem(p)] = uint32(len(m.registered))
			m.registered = append(m.registered, f.Compact())
		} else if len(m.innocent) < queries {
			m.innocent = append(m.innocent, f)
		}
	}
	for k, files := range asked {
		for _, p := range files {
			if of, ok := m.names[stem(p)]; ok {
				if f, ok := extract(p); ok {
					m.copies = append(m.copies, copied{f, of, filepath.Base(k)})
				}
			}
		}
	}
	if len(m.registered) == 0 || len(m.innocent) == 0 {
		return nil, fmt.Errorf("no pictures in %q", corpus)
	}
	return m, nil
}

// inFolders returns what matches a pattern in a list of folders.
func inFolders(list, pattern string) (paths []string, err error) {
	for _, root := range filepath.SplitList(list) {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return nil, err
		}
		paths = append(paths, found...)
	}
	return paths, nil
}

func stem(p string) string { return strings.TrimSuffix(filepath.Base(p), filepath.Ext(p)) }

// extract returns the features of a picture that can be registered.
func extract(path string) (features.Features, bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return features.Features{}, false
	}
	img, _, err := image.Decode(bytes.NewReader(b))
	if err != nil {
		return features.Features{}, false
	}
	f, err := features.Extract(img)
	return f, err == nil && f.Compact().Len() >= 40
}

// records returns the registered pictures as records.
func (m *material) records(lean bool) ([]features.Features, error) {
	s, err := features.NewSegmentFunc(len(m.registered), lean, func(i int) features.Entry { return features.Entry{Features: m.registered[i]} })
	if err != nil {
		return nil, err
	}
	var all []features.Features
	for e := range s.All() {
		all = append(all, e.Features)
	}
	return all, nil
}

func (m *material) measure(n int, rich bool, path string) error {
	lean := n > features.LeanFrom && !rich
	own, err := m.records(lean)
	if err != nil {
		return err
	}
	start := sharedtest.CPUTime()
	s, err := features.NewSegmentFunc(n, lean, func(i int) features.Entry {
		if i < len(own) {
			return features.Entry{Features: own[i], ID: uint32(i)}
		}
		return features.Entry{Features: features.Vary(own[i%len(own)], own, uint64(i)), ID: uint32(i)}
	})
	if err != nil {
		return err
	}
	build := sharedtest.CPUTime() - start
	hot, records := s.Sizes()
	if err := os.WriteFile(path, s.Bytes(), 0o600); err != nil {
		return err
	}
	s = nil
	debug.FreeOSMemory()
	held, err := read(path)
	if err != nil {
		return err
	}
	defer held.Close()
	opened := time.Now()
	if s, err = features.OpenSegment(held.Bytes()); err != nil {
		return err
	}
	open := time.Since(opened)
	var x features.Searcher
	var innocent, found []time.Duration
	review, block := 0, 0
	for _, f := range m.innocent {
		innocent = append(innocent, timed(func() {
			s.Search(&x, f, func(got features.Match) bool {
				switch got.Band {
				case features.Review:
					review++
				case features.Block:
					block++
				}
				return false
			})
		}))
	}
	blocked := 0
	for _, c := range m.copies {
		found = append(found, timed(func() {
			s.Search(&x, c.Features, func(got features.Match) bool {
				if got.ID == c.of && got.Band == features.Block {
					blocked++
				}
				return got.ID != c.of
			})
		}))
	}
	ms := func(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()*1000) }
	fmt.Printf("%d\t%d\t%d\t%d\t%.1f\t%d\t%s\t%s\t%s\t%d\t%d\t%d\t%d\n", n, len(s.Bytes())/n, hot/n, records/n, build.Seconds(), open.Microseconds(),
		ms(at(innocent, 0.5)), ms(at(innocent, 0.99)), ms(at(found, 0.5)), blocked, len(m.copies), review, block)
	runtime.KeepAlive(held)
	return nil
}

// read returns a file in memory for which huge pages are asked.
func read(path string) (*arena.Arena, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	a := arena.New(int(info.Size()))
	if _, err := io.ReadFull(f, a.Bytes()); err != nil {
		return nil, err
	}
	return a, nil
}

func timed(f func()) time.Duration {
	start := sharedtest.CPUTime()
	f()
	return sharedtest.CPUTime() - start
}

// at returns a quantile.
func at(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[min(int(q*float64(len(d))), len(d)-1)]
}
