// Command measure measures the local features on labelled copies of pictures.
//
//	measure [-every N -offset K] [-only a,b] [-cache FILE] [-related FILE] [-dump FILE] PHOTOS COPIES...
//
// PHOTOS is a folder of originals, COPIES are folders that tools/transform.py
// wrote. Every original is registered; every copy of each N-th original is
// asked. It prints the share of the copies found, kind by kind, and every
// match with another original.
package main

import (
	"bufio"
	"encoding/binary"
	"flag"
	"fmt"
	_ "image/gif"
	_ "image/jpeg"
	_ "image/png"
	"io"
	"log"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	_ "golang.org/x/image/webp"

	"github.com/staydown/staydown/internal/features"
)

type copyFile struct{ orig, kind, path string }

func main() {
	log.SetFlags(0)
	every := flag.Int("every", 1, "ask the copies of each N-th original only")
	offset := flag.Int("offset", 0, "the first of them")
	only := flag.String("only", "", "kinds of copies, separated by commas; all if empty")
	cache := flag.String("cache", "", "file that keeps the extracted features from run to run")
	related := flag.String("related", "", "file of tab-separated lines, a copy or an original and an original: pairs that do show the same thing")
	dump := flag.String("dump", "", "file for one line for each match, for choosing thresholds")
	negatives := flag.String("negatives", "", "folder that negatives.py wrote: ask each picture of a class against all others of it, and nothing else")
	pairsFile := flag.String("pairs", "", "file of tab-separated lines, true or false, kind, asked picture, registered picture: look at these pairs alone, and write -dump")
	crowd := flag.String("crowd", "", "folder that negatives.py wrote: ask for PHOTOS, clean, with others registered in the same frame, and nothing else")
	sheet := flag.String("sheet", "", "file of tab-separated lines, caption, registered picture, asked picture: draw these examples, and nothing else")
	sheetOut := flag.String("sheetout", "sheet.jpg", "where to write the JPEG of -sheet")
	scaleTo := flag.Int("scale", 0, "register so many pictures, most of them made up, and time searches among them")
	profile := flag.String("cpuprofile", "", "file for the processor profile of -scale")
	asks := flag.Int("asks", 300, "the number of searches for -scale")
	flag.Parse()
	if *pairsFile != "" {
		askPairs(openCache(*cache), *pairsFile, *dump)
		return
	}
	if *sheet != "" {
		writeSheet(openCache(*cache), *sheet, *sheetOut)
		return
	}
	if *negatives != "" {
		askNegatives(openCache(*cache), *negatives, *dump)
		return
	}
	if *crowd != "" && flag.NArg() == 1 {
		askCrowd(openCache(*cache), *crowd, flag.Arg(0))
		return
	}
	if flag.NArg() < 2 {
		flag.Usage()
		os.Exit(2)
	}
	c := openCache(*cache)
	photos := list(flag.Arg(0))
	var entries []features.Entry
	var regTime time.Duration
	kept := 0
	for i, p := range photos {
		f := c.features(p)
		entries = append(entries, features.Entry{Features: f, ID: uint32(i)})
		if err := f.Registrable(); err != nil {
			fmt.Printf("refused: %s: %v\n", filepath.Base(p), err)
		}
		b, _ := f.Compact().AppendBinary(nil)
		kept += len(b)
	}
	start := time.Now()
	seg, err := features.NewSegment(entries)
	if err != nil {
		log.Fatal(err)
	}
	regTime = time.Since(start)
	fmt.Printf("registered %d pictures, %d points, %d bytes each kept, %d bytes each in the segment, built in %v\n",
		seg.Len(), seg.Points(), kept/len(photos), len(seg.Bytes())/len(photos), regTime)

	same := map[[2]string]bool{}
	if *related != "" {
		for _, l := range lines(*related) {
			if a, b, ok := strings.Cut(l, "\t"); ok {
				same[[2]string{a, b}] = true
				same[[2]string{b, a}] = true
			}
		}
	}
	index := map[string]int{}
	for i, p := range photos {
		index[filepath.Base(p)] = i
	}
	var copies []copyFile
	for _, dir := range flag.Args()[1:] {
		for _, l := range lines(filepath.Join(dir, "manifest.tsv"))[1:] {
			f := strings.Split(l, "\t")
			i, ok := index[f[0]]
			if !ok || i%*every != *offset%*every {
				continue
			}
			if *only != "" && !slices.Contains(strings.Split(*only, ","), f[1]) {
				continue
			}
			copies = append(copies, copyFile{f[0], f[1], filepath.Join(dir, f[2])})
		}
	}
	if *scaleTo > 0 {
		scale(c, photos, copies, *scaleTo, *asks, *profile)
		return
	}
	var out *bufio.Writer
	if *dump != "" {
		f, err := os.Create(*dump)
		if err != nil {
			log.Fatal(err)
		}
		defer f.Close()
		out = bufio.NewWriter(f)
		defer out.Flush()
	}
	type tally struct{ n, block, review int }
	kinds := map[string]*tally{}
	var total tally
	var x features.Searcher
	x.KeepNone = out != nil
	falses := [3]int{}
	pairs := 0
	var took []time.Duration
	missed := map[string]int{}
	for _, cp := range copies {
		f := c.features(cp.path)
		t := kinds[cp.kind]
		if t == nil {
			t = &tally{}
			kinds[cp.kind] = t
		}
		t.n++
		total.n++
		own := features.None
		start := time.Now()
		var ms []features.Match
		seg.Search(&x, f, func(m features.Match) bool { ms = append(ms, m); return true })
		took = append(took, time.Since(start))
		for _, m := range ms {
			other := filepath.Base(photos[m.ID])
			what := "false"
			switch {
			case other == cp.orig:
				own = max(own, m.Band)
				what = "true"
			case same[[2]string{filepath.Base(cp.path), other}] || same[[2]string{cp.orig, other}]:
				what = "related"
			default:
				falses[m.Band]++
				if m.Band == features.Block {
					fmt.Printf("FALSE %v: %s shows %s: %+v\n", m.Band, filepath.Base(cp.path), other, m)
				}
			}
			if out != nil {
				writeMatch(out, what, cp.kind, filepath.Base(cp.path), other, m)
			}
		}
		if out != nil && own == features.None {
			fmt.Fprintf(out, "missed\t%s\t%s\n", cp.kind, filepath.Base(cp.path))
		}
		pairs += len(photos) - 1
		switch own {
		case features.Block:
			t.block++
			total.block++
			fallthrough
		case features.Review:
			t.review++
			total.review++
		}
		if own != features.Block {
			missed[cp.orig]++
		}
	}
	names := make([]string, 0, len(kinds))
	for k := range kinds {
		names = append(names, k)
	}
	sort.Strings(names)
	pc := func(a, b int) float64 { return 100 * float64(a) / float64(max(b, 1)) }
	for _, k := range names {
		t := kinds[k]
		fmt.Printf("%-20s %5d  Block %6.2f  Block or Review %6.2f\n", k, t.n, pc(t.block, t.n), pc(t.review, t.n))
	}
	fmt.Printf("%-20s %5d  Block %6.2f  Block or Review %6.2f\n", "all", total.n, pc(total.block, total.n), pc(total.review, total.n))
	fmt.Printf("%d pairs with other originals: %d at Block, %d at Review\n", pairs, falses[features.Block], falses[features.Review])
	slices.Sort(took)
	if n := len(took); n > 0 {
		fmt.Printf("search: median %v, 99 %% %v\n", took[n/2], took[n*99/100])
	}
	type miss struct {
		name string
		n    int
	}
	var worst []miss
	for k, v := range missed {
		worst = append(worst, miss{k, v})
	}
	slices.SortFunc(worst, func(a, b miss) int { return b.n - a.n })
	for _, w := range worst[:min(len(worst), 15)] {
		fmt.Printf("not blocked: %3d copies of %s\n", w.n, w.name)
	}
	c.close()
}

// askNegatives registers all pictures of a class and asks with each of them,
// class by class: whatever it finds but itself is false.
func askNegatives(c *cache, dir, dump string) {
	out := bufio.NewWriter(io.Discard)
	if dump != "" {
		f, err := os.Create(dump)
		if err != nil {
			log.Fatal(err)
		}
		defer f.Close()
		out = bufio.NewWriter(f)
		defer out.Flush()
	}
	classes, err := os.ReadDir(dir)
	if err != nil {
		log.Fatal(err)
	}
	x := features.Searcher{KeepNone: dump != ""}
	for _, class := range classes {
		paths := list(filepath.Join(dir, class.Name()))
		var entries []features.Entry
		for i, p := range paths {
			entries = append(entries, features.Entry{Features: c.features(p), ID: uint32(i)})
		}
		// In segments so small that a search looks closely at every picture that
		// shares points with the asked one: with more of them, the best ones hide
		// the others.
		var segs []*features.Segment
		for group := range slices.Chunk(entries, 30) {
			seg, err := features.NewSegment(group)
			if err != nil {
				log.Fatal(err)
			}
			segs = append(segs, seg)
		}
		var falses [3]int
		own := 0
		for i, e := range entries {
			band := map[uint32]features.Band{}
			for _, seg := range segs {
				seg.Search(&x, e.Features, func(m features.Match) bool {
					band[m.ID] = max(band[m.ID], m.Band)
					what := "false"
					if int(m.ID) == i {
						what = "true"
					}
					writeMatch(out, what, class.Name(), filepath.Base(paths[i]), filepath.Base(paths[m.ID]), m)
					return true
				})
			}
			for id, b := range band {
				if int(id) == i {
					if b == features.Block {
						own++
					}
					continue
				}
				falses[b]++
			}
		}
		n := len(paths)
		fmt.Printf("%-12s %4d pictures, %4d find themselves at Block; of %6d pairs: %d at Block, %d at Review\n",
			class.Name(), n, own, n*(n-1), falses[features.Block], falses[features.Review])
	}
	c.close()
}

func writeMatch(w io.Writer, what, kind, asked, found string, m features.Match) {
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%.3f\t%.3f\t%d\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%v\t%.3f\t%.3f\t%.3f\t%v\tVW=%.3f\tDV=%.3f\tfy=%d\tfn=%d\tfyA=%d\tfnA=%d\tR=%d\n", what, kind, asked, found,
		m.Inliers, m.Places, m.Visible, m.Coverage, m.Share, m.Cells, m.Agreement, m.Hole, m.Found, m.Close, m.Pure, m.Mirrored,
		m.PureClose, m.Beside, m.Loose, m.Band, m.Unproven, m.Against, m.Faint, m.Unlike, m.FaintAll, m.UnlikeAll, m.Rich)
}

func lines(path string) []string {
	b, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

func list(dir string) (paths []string) {
	es, err := os.ReadDir(dir)
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range es {
		switch filepath.Ext(e.Name()) {
		case ".jpg", ".jpeg", ".png":
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths
}

// cache keeps features by path, in memory and in one file that grows.
type cache struct {
	m map[string]features.Features
	f *os.File
	w *bufio.Writer
}

func openCache(path string) *cache {
	c := &cache{m: map[string]features.Features{}}
	if path == "" {
		return c
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		log.Fatal(err)
	}
	r := bufio.NewReaderSize(f, 1<<20)
	for {
		var n [2]uint32
		if err := binary.Read(r, binary.LittleEndian, &n); err == io.EOF {
			break
		} else if err != nil {
			log.Fatal(err)
		}
		b := make([]byte, n[0]+n[1])
		if _, err := io.ReadFull(r, b); err != nil {
			log.Fatal(err)
		}
		var fs features.Features
		if n[1] > 0 {
			if fs, err = features.Open(b[n[0]:]); err != nil {
				log.Fatal(err)
			}
		}
		c.m[string(b[:n[0]])] = fs
	}
	c.f, c.w = f, bufio.NewWriterSize(f, 1<<20)
	return c
}

func (c *cache) close() {
	if c.w != nil {
		c.w.Flush()
		c.f.Close()
	}
}

func (c *cache) features(path string) features.Features {
	if f, ok := c.m[path]; ok {
		return f
	}
	img, err := decode(path)
	if err != nil {
		log.Fatal(err)
	}
	f, err := features.Extract(img)
	if err != nil {
		log.Printf("%s: %v", path, err)
	}
	c.m[path] = f
	if c.w != nil {
		b, _ := f.AppendBinary(nil)
		binary.Write(c.w, binary.LittleEndian, [2]uint32{uint32(len(path)), uint32(len(b))})
		c.w.WriteString(path)
		c.w.Write(b)
	}
	return f
}
