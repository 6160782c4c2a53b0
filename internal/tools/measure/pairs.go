package main

import (
	"bufio"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/staydown/staydown/internal/features"
)

// askPairs looks at the pairs that the file at path lists, each registered by
// itself, and writes every match to dump: thousands of hard pairs, copies and
// different pictures, in the seconds that choosing a threshold should take.
func askPairs(c *cache, path, dump string) {
	f, err := os.Create(dump)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	out := bufio.NewWriter(f)
	defer out.Flush()
	x := features.Searcher{KeepNone: true}
	for _, l := range lines(path) {
		p := strings.Split(l, "\t")
		if len(p) != 4 {
			log.Fatalf("%s: %q is not four fields", path, l)
		}
		seg, err := features.NewSegment([]features.Entry{{Features: c.features(p[3])}})
		if err != nil {
			log.Fatal(err)
		}
		found := false
		seg.Search(&x, c.features(p[2]), func(m features.Match) bool {
			found = true
			writeMatch(out, p[0], p[1], filepath.Base(p[2]), filepath.Base(p[3]), m)
			return true
		})
		if !found {
			fmt.Fprintf(out, "missed\t%s\t%s\n", p[1], filepath.Base(p[2]))
		}
	}
	c.close()
}
