package embedding

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// scanBelow is the number of entries below which a segment has no sketches:
// preparing the query would take longer than comparing with all of them. See
// docs/decisions/face-vectors.md. A segment carries its own layout, so changing
// this breaks no file.
const scanBelow = 128

// NewSegment builds a segment of the entries, which may be in any order and
// hold duplicates; it keeps neither the slice nor the vectors. The same entries
// in any order give the same bytes. Errors wrap ErrModel or ErrDimensions if no
// vector can be of m, and ErrModel if the vector of an entry is not of m.
//
// Building takes the memory of the segment and some microseconds for every
// entry, on all processors.
func NewSegment(m Model, entries []Entry) (*Segment, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	for i := range entries {
		if err := checkModel(m, entries[i].Vector); err != nil {
			return nil, err
		}
	}
	h := segmentHeader{model: m, layout: layoutScan, entries: len(entries)}
	if len(entries) >= scanBelow {
		h.layout = layoutSketch
	}
	if int64(len(entries)) > maxEntries || h.size() > math.MaxInt {
		return nil, fmt.Errorf("embedding: %d entries are too many for one segment", len(entries))
	}

	order := make([]uint32, len(entries))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int {
		return compareEntries(&entries[a], &entries[b])
	})
	s := &Segment{}
	s.carve(h, make([]byte, h.size()))
	h.put(s.data)
	if h.layout == layoutSketch {
		putMiddle(s.middle, entries)
	}
	f := newFrame(m.Dimensions, s.middle)
	inParts(len(order), func(from, to int) {
		for i := from; i < to; i++ {
			s.put(i, &entries[order[i]], &f)
		}
	})
	return s, nil
}

// put writes one entry to its place.
func (s *Segment) put(i int, e *Entry, f *frame) {
	binary.LittleEndian.PutUint32(s.ids[4*i:], e.ID)
	v := e.Vector.get()
	binary.LittleEndian.PutUint32(s.norms[4*i:], v.norm)
	row := s.vectors[i*f.dimensions:]
	for j, c := range v.components {
		row[j] = byte(c)
	}
	if s.header.layout == layoutSketch {
		s.lengths[i], s.spreads[i] = f.sketch(v.components, v.norm, s.sketches[sketchBytes*i:][:sketchBytes])
	}
}

// inParts calls do for parts of 0 to n, on all processors if there are many.
func inParts(n int, do func(from, to int)) {
	const part = 1024
	if n <= part {
		do(0, n)
		return
	}
	var next atomic.Int64
	var work sync.WaitGroup
	for range max(1, min(runtime.GOMAXPROCS(0), 8, n/part)) {
		work.Go(func() {
			for {
				from := int(next.Add(part)) - part
				if from >= n {
					return
				}
				do(from, min(from+part, n))
			}
		})
	}
	work.Wait()
}

// putMiddle writes the mean of the vectors, scaled to length 1 each.
func putMiddle(middle []byte, entries []Entry) {
	dimensions := len(middle) / 4
	f := newFrame(dimensions, nil)
	var s scratch
	x := s[:f.size]
	var sums [MaxDimensions]int64
	for i := range entries {
		v := entries[i].Vector.get()
		f.place(v.components, v.norm, x)
		for j, c := range x[:dimensions] {
			sums[j] += int64(c)
		}
	}
	n := int64(len(entries))
	for j := range dimensions {
		binary.LittleEndian.PutUint32(middle[4*j:], uint32(floorDiv(2*sums[j]+n, 2*n)))
	}
}

func compareEntries(a, b *Entry) int {
	if a.ID != b.ID {
		return cmp.Compare(a.ID, b.ID)
	}
	return slices.Compare(a.Vector.get().components, b.Vector.get().components)
}
