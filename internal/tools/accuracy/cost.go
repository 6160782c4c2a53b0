package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/jpeg"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/staydown/staydown/internal/sharedtest"
)

// costed is of how many photographs the cost is measured.
const costed = 40

// cost is what a photograph costs: processor time, of which the ratios count,
// and bytes.
type cost struct {
	n                                 int
	decode, register, inspect, search time.Duration // medians
	asked, listed                     int64         // bytes: features of an asked picture, a registered one in the list
}

// costs looks at photographs one after the other, as the process's time is that
// of all its threads.
func costs(ctx context.Context, m *material) (_ *cost, err error) {
	var files []string
	for _, p := range m.originals {
		if strings.EqualFold(filepath.Ext(p), ".jpg") && len(files) < costed {
			files = append(files, p)
		}
	}
	c, err := newClerk()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	empty, before, err := c.publish()
	if err != nil {
		return nil, err
	}
	if err := empty.Close(); err != nil {
		return nil, err
	}
	r := &cost{n: len(files)}
	var decode, register, inspect, search []time.Duration
	timed := func(to *[]time.Duration, f func() error) error {
		start := sharedtest.CPUTime()
		err := f()
		*to = append(*to, sharedtest.CPUTime()-start)
		return err
	}
	for _, p := range files {
		if err := timed(&register, func() error { _, err := c.register(ctx, p); return err }); err != nil {
			return nil, err
		}
	}
	e, after, err := c.publish()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	r.listed = (after - before) / int64(max(1, r.n))
	for _, p := range files {
		file, err := os.ReadFile(p)
		if err != nil {
			return nil, err
		}
		if err := timed(&decode, func() error { _, err := jpeg.Decode(bytes.NewReader(file)); return err }); err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		if err := timed(&inspect, func() error { _, err := look(p); return err }); err != nil {
			return nil, err
		}
	}
	for _, p := range m.innocent[:min(costed, len(m.innocent))] {
		cand, err := look(p)
		if err != nil {
			return nil, err
		}
		if err := timed(&search, func() error { e.Check(cand); return nil }); err != nil {
			return nil, err
		}
		b, err := cand.Features.MarshalBinary()
		if err != nil {
			return nil, err
		}
		r.asked += int64(len(b)) / int64(min(costed, len(m.innocent)))
	}
	r.decode, r.register, r.inspect, r.search = median(decode), median(register), median(inspect), median(search)
	return r, nil
}

func median(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[len(d)/2]
}

func (c *cost) table(b *strings.Builder) {
	if c == nil || c.n == 0 {
		return
	}
	ratio := func(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d)/float64(max(1, c.decode))) }
	fmt.Fprintf(b, "\nCost, median of %d photographs, processor time as a multiple of image/jpeg.Decode of the file: Inspect %s, "+
		"Check of an unrelated picture against a list of these %s, Submit with Preview and Accept %s. Features of an asked picture %d bytes; "+
		"a registered one adds %d bytes to the list.\n", c.n, ratio(c.inspect), ratio(c.search), ratio(c.register), c.asked, c.listed)
}
