package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/staydown/staydown/internal/features"
)

// askCrowd asks for clean originals with copies in a frame, of which other
// pictures are registered in the same frame: of every class of negatives.py every
// second picture is asked, and its original registered, and so many others of the
// class are registered as they are. What they share must hide nothing.
func askCrowd(c *cache, dir, photos string) {
	classes, err := os.ReadDir(dir)
	if err != nil {
		log.Fatal(err)
	}
	var x features.Searcher
	for _, class := range classes {
		var originals, crowd []features.Entry
		asked := map[uint32]features.Features{}
		for i, path := range list(filepath.Join(dir, class.Name())) {
			if id := uint32(i); i%2 == 1 {
				crowd = append(crowd, features.Entry{Features: c.features(path), ID: id})
			} else {
				original := c.features(filepath.Join(photos, filepath.Base(path)))
				if original.Registrable() != nil {
					continue
				}
				originals = append(originals, features.Entry{Features: original, ID: id})
				asked[id] = c.features(path)
			}
		}
		fmt.Printf("%-12s %d asked; found at Block, and at Block or Review:", class.Name(), len(asked))
		for _, n := range []int{0, 25, 50, len(crowd)} {
			seg, err := features.NewSegment(append(originals[:len(originals):len(originals)], crowd[:n]...))
			if err != nil {
				log.Fatal(err)
			}
			var found [3]int
			for id, f := range asked {
				best := features.None
				seg.Search(&x, f, func(m features.Match) bool {
					if m.ID == id {
						best = max(best, m.Band)
					}
					return true
				})
				found[best]++
			}
			fmt.Printf("  %d others %d, %d;", n, found[features.Block], found[features.Block]+found[features.Review])
		}
		fmt.Println()
	}
	c.close()
}
