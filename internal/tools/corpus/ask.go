package main

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"maps"
	"slices"
	"time"

	"github.com/staydown/staydown/internal/features"
	"github.com/staydown/staydown/phash"
)

// askAll registers all pictures that are fit for it, asks the first n of all by
// their features and all of them by their hashes, and writes a line for each
// match to out.
func (c *corpus) askAll(to io.Writer, n, procs int) error {
	out := bufio.NewWriter(to)
	var entries []features.Entry
	var hashes []phash.Entry
	for i, p := range c.pics {
		if p.hashed() {
			for _, h := range p.Stored {
				hashes = append(hashes, phash.Entry{Hash: h, ID: uint32(i)})
			}
		}
		if !p.featured() {
			continue
		}
		f, err := c.features(p)
		if err != nil {
			return err
		}
		entries = append(entries, features.Entry{Features: f.Compact(), ID: uint32(i)})
	}
	start := time.Now()
	seg, err := features.NewSegment(entries)
	if err != nil {
		return err
	}
	log.Printf("registered the features of %d pictures (%d points, built in %v) and %d hashes",
		seg.Len(), seg.Points(), time.Since(start).Round(time.Millisecond), len(hashes))
	index, err := phash.NewSegment(phash.AlgPDQ, hashes)
	if err != nil {
		return err
	}
	n = min(n, len(c.pics))
	fmt.Fprintf(out, "# asked %d by features\n", n)
	fmt.Fprintln(out, "# level\tasked\tfound\tbits\tinliers\tplaces\tvisible\tcoverage\tshare\tcells\tagreement\tclose\tpure\thole\tfoundshare\tmirrored")
	answers := make([]answer, 500)
	searchers := make([]features.Searcher, procs)
	var took []time.Duration
	for first := 0; first < len(c.pics); first += len(answers) {
		answers = answers[:min(len(answers), len(c.pics)-first)]
		err := parallel(len(answers), procs, func(worker, i int) (err error) {
			answers[i], err = c.ask(seg, index, &searchers[worker], first+i, first+i < n)
			return err
		})
		if err != nil {
			return err
		}
		for i := range answers {
			if first+i < n {
				took = append(took, answers[i].took)
			}
			c.list(out, first+i, &answers[i])
		}
		if err := out.Flush(); err != nil {
			return err
		}
		log.Printf("asked %d", first+len(answers))
	}
	if n == 0 {
		return nil
	}
	slices.Sort(took)
	log.Printf("search by features: median %v, 90 %% %v, 99 %% %v", took[n/2], took[n*9/10], took[n*99/100])
	return nil
}

// answer is what a picture matches: the best match of each other picture by its
// features, and the least distance of its hashes.
type answer struct {
	features map[uint32]features.Match
	hashes   map[uint32]int
	// shown are those of hashes, within 31 bits, that the features match too, at
	// Block, in one direction at least. borne are those within the block radius that
	// Check would block by.
	shown, borne map[uint32]bool
	took         time.Duration // by the features
}

// ask asks picture i.
func (c *corpus) ask(seg *features.Segment, index *phash.Segment, x *features.Searcher, i int, byFeatures bool) (answer, error) {
	p := c.pics[i]
	f, err := c.features(p)
	if err != nil {
		return answer{}, err
	}
	a := answer{features: map[uint32]features.Match{}, hashes: map[uint32]int{}, shown: map[uint32]bool{}, borne: map[uint32]bool{}}
	if byFeatures {
		start := time.Now()
		seg.Search(x, f, func(m features.Match) bool {
			if b, ok := a.features[m.ID]; int(m.ID) != i && (!ok || m.Band > b.Band) {
				a.features[m.ID] = m
			}
			return true
		})
		a.took = time.Since(start)
	}
	for _, h := range p.Asked {
		index.Search(h, phash.ReviewRadius, func(id uint32, distance int) bool {
			if d, ok := a.hashes[id]; int(id) != i && (!ok || distance < d) {
				a.hashes[id] = distance
			}
			return true
		})
	}
	for id, d := range a.hashes {
		if d > phash.BlockRadius {
			continue
		}
		g, err := c.features(c.pics[id])
		if err != nil {
			return answer{}, err
		}
		block := func(m features.Match) bool { return m.Band == features.Block }
		a.shown[id] = d <= identical && (shows(x, f, g, block) || shows(x, g, f, block))
		// As takedown decides.
		a.borne[id] = d <= phash.IdenticalRadius || d <= identical && !c.pics[id].featured() ||
			c.pics[id].featured() && (f.Len() == 0 || shows(x, f, g, func(m features.Match) bool { return block(m) || m.Corroborates() }))
	}
	return a, nil
}

// shows reports whether f matches g well enough, if g is the only picture that is
// registered.
func shows(x *features.Searcher, f, g features.Features, enough func(features.Match) bool) (ok bool) {
	seg, err := features.NewSegment([]features.Entry{{Features: g}})
	if err != nil {
		panic(err) // there is one entry
	}
	seg.Search(x, f, func(m features.Match) bool {
		ok = ok || enough(m)
		return !ok
	})
	return ok
}

// list writes the answer of picture i.
func (c *corpus) list(out io.Writer, i int, a *answer) {
	p := c.pics[i]
	for _, id := range slices.Sorted(maps.Keys(a.features)) {
		q, m, level := c.pics[id], a.features[id], featuresReview
		if m.Band == features.Block {
			level = featuresBlock
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%.3f\t%.3f\t%d\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%v\n",
			levelNames[level], p.Path, q.Path, nearest(p, q), m.Inliers, m.Places, m.Visible, m.Coverage, m.Share,
			m.Cells, m.Agreement, m.Close, m.Pure, m.Hole, m.Found, m.Mirrored)
	}
	for _, id := range slices.Sorted(maps.Keys(a.hashes)) {
		level := hashReview
		if d := a.hashes[id]; d <= identical {
			level = hash31
		} else if d <= phash.BlockRadius {
			level = hashBlock
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%d\t%t\t%t\n", levelNames[level], p.Path, c.pics[id].Path, a.hashes[id], a.shown[id], a.borne[id])
	}
}

// nearest returns the least distance of a hash that is stored of one picture and
// one that is asked for the other.
func nearest(p, q *picture) int {
	best := 256
	for range 2 {
		for _, a := range p.Stored {
			for _, b := range q.Asked {
				if d, ok := a.Distance(b); ok {
					best = min(best, d)
				}
			}
		}
		p, q = q, p
	}
	return best
}
