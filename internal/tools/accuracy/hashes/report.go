package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/staydown/staydown/phash"
)

// rows are the groups of transforms that the table has a line for. aim is the
// share that the default level should find, wide the one for the wide level
// where that differs; both in %.
var rows = []struct {
	name       string
	transforms string
	aim, wide  float64
}{
	{"re-encoded", "jpeg_q90 jpeg_q70 jpeg_q50 jpeg_q30 jpeg_q10 jpeg_progressive jpeg_cmyk jpeg_444_opt webp_q50 gif_64 png png16", 99.5, 0},
	{"resized, aspect ±10, ±25 %", "resize_75 resize_50 resize_25 resize_150 resize_w128 aspect_w110 aspect_w90 aspect_w125 aspect_w75", 99.5, 0},
	{"tone", "gamma_070 gamma_150 bright_p20 bright_m20 contrast_p20 contrast_m20 grey saturate_150 hue_shift hue_tint sepia equalize normalize sharpen blur_s1 blur_s3 noise_s12", 98.5, 0},
	{"mirror, flip, 90°, 180°, 270°", "mirror flip rot90 rot180 rot270", 99, 0},
	{"EXIF orientation 2-8", "exif_2 exif_3 exif_4 exif_5 exif_6 exif_7 exif_8", 100, 0},
	{"border, bars, padded to a square", "border_5 letterbox_black10 letterbox_white10 pillarbox_black10 pad_square_black pad_square_white", 98, 0},
	{"centred crop 2 %", "crop_c2", 99, 0},
	{"centred crop 5 %", "crop_c5", 95, 0},
	{"centred crop 10 %", "crop_c10", 0, 90},
	{"off-centre crop 2 %", "crop_o2", 90, 0},
	{"off-centre crop 5 %", "crop_o5", 0, 60},
	{"watermark, 4 % sticker", "watermark_logo watermark_diag sticker_4", 85, 0},
	{"rotated 1°, either way", "rotate_1 rotate_m1", 93, 0},
}

// share is the recall of a group of transforms within radius, in %: of copies of
// registered pictures, and with the copies of refused ones counted as missed.
func (r *result) share(transforms string, radius int) (registered, all float64, copies int) {
	found, n, lost := 0, 0, 0
	for _, t := range strings.Fields(transforms) {
		if h := r.recall[t]; h != nil {
			found += h.within(radius)
			n += h.total()
		}
		lost += r.lost[t]
	}
	if n == 0 {
		return 0, 0, 0
	}
	return 100 * float64(found) / float64(n), 100 * float64(found) / float64(n+lost), n + lost
}

// markdown writes the tables.
func markdown(c *corpus, results []*result) string {
	var b strings.Builder
	line := func(cells ...string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	heads := []string{"copies found, %", "aim"}
	rule := []string{"---", "---"}
	for _, r := range results {
		heads = append(heads, r.name+", "+radii(r))
		rule = append(rule, "---")
	}
	cell := func(r *result, transforms string) (string, bool) {
		a, all, n := r.share(transforms, r.radius)
		if n == 0 {
			return "–", false
		}
		s := fmt.Sprintf("%.1f", a)
		if r.review > 0 {
			w, _, _ := r.share(transforms, r.review)
			s += fmt.Sprintf(" / %.1f", w)
		}
		if len(r.refused) > 0 {
			s += fmt.Sprintf(" (%.1f)", all)
		}
		return s, true
	}
	table := func(name, aim, transforms string) {
		cells, any := []string{name, aim}, false
		for _, r := range results {
			s, ok := cell(r, transforms)
			cells, any = append(cells, s), any || ok
		}
		if any {
			line(cells...)
		}
	}

	fmt.Fprintf(&b, "%d originals, %d copies. A set-up's radii are behind its name: what it blocks, / what a person reviews. "+
		"In brackets: at the first radius, with the copies of refused pictures counted as missed.\n\n", len(c.Names), len(c.Copies))
	line(heads...)
	line(rule...)
	inRow := map[string]bool{}
	for _, row := range rows {
		aim := ""
		switch {
		case row.aim > 0:
			aim = fmt.Sprintf("%g", row.aim)
		case row.wide > 0:
			aim = fmt.Sprintf("wide %g", row.wide)
		}
		table(row.name, aim, row.transforms)
		for _, t := range strings.Fields(row.transforms) {
			inRow[t] = true
		}
	}
	counts := func(name string, f func(r *result) string) {
		cells := []string{name, ""}
		for _, r := range results {
			cells = append(cells, f(r))
		}
		line(cells...)
	}
	of := func(h *histogram, r *result) string {
		s := fmt.Sprint(h.within(r.radius))
		if r.review > 0 {
			s += fmt.Sprintf(" / %d", h.within(r.review))
		}
		return s + fmt.Sprintf(" of %d", h.total())
	}
	counts("false matches, originals", func(r *result) string { return of(&r.originals, r) })
	counts("false matches, copies of others", func(r *result) string { return of(&r.copies, r) })
	counts("nearest different originals, bits", func(r *result) string { return fmt.Sprint(r.nearest[0].distance) })
	counts("hashes stored, most / mean", func(r *result) string { return fmt.Sprintf("%d / %.1f", r.most, r.mean) })
	counts("pictures refused", func(r *result) string { return fmt.Sprint(len(r.refused)) })

	b.WriteString("\nEvery transform:\n\n")
	line(heads...)
	line(rule...)
	for _, row := range rows {
		for _, t := range strings.Fields(row.transforms) {
			table(t, "", t)
		}
	}
	var rest []string
	for t := range maps.Keys(transforms(c)) {
		if !inRow[t] {
			rest = append(rest, t)
		}
	}
	slices.Sort(rest)
	for _, t := range rest {
		table(t, "", t)
	}

	refused := false
	for i, o := range c.Originals {
		if o.Refused != "" {
			if !refused {
				b.WriteString("\nRefused (reason and value):\n\n")
			}
			refused = true
			fmt.Fprintf(&b, "- %s: %s\n", c.Names[i], o.Refused)
		}
	}
	b.WriteString("\nNearest different originals (registered, asked, bits):\n\n")
	for _, r := range results {
		fmt.Fprintf(&b, "- %s:", r.name)
		for _, p := range r.nearest[:min(5, len(r.nearest))] {
			fmt.Fprintf(&b, " %s ← %s %d;", c.Names[p.registered], c.Names[p.asked], p.distance)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func radii(r *result) string {
	if r.review > 0 {
		return fmt.Sprintf("%d / %d", r.radius, r.review)
	}
	return fmt.Sprint(r.radius)
}

func transforms(c *corpus) map[string]bool {
	m := map[string]bool{}
	for _, cp := range c.Copies {
		m[cp.Transform] = true
	}
	return m
}

// earned says for each kind of hash of a level what recall is lost without it:
// in the row where that is most, and in the transform where it is most, for
// each of the set-ups that ask in different ways.
func earned(c *corpus, level string, names []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nWhat each hash of the level %s adds at radius %d, the others given, in points of recall: in the row of the table "+
		"and in the transform where it adds most.\n\n| kind | pictures |", level, setups[names[0]].radius)
	for _, n := range names {
		b.WriteString(" " + n + " |")
	}
	b.WriteString("\n| --- | --- |" + strings.Repeat(" --- |", len(names)) + "\n")
	held := map[phash.Transform]int{}
	for i := range c.Originals {
		if o := &c.Originals[i]; o.Refused == "" {
			for _, v := range setups[names[0]].stored(o) {
				held[v.Transform]++
			}
		}
	}
	all := slices.Sorted(maps.Keys(transforms(c)))
	cells := map[phash.Transform][]string{}
	for _, n := range names {
		lost, counted := losses(c, setups[n])
		share := func(k phash.Transform, transforms ...string) float64 {
			l, n := 0, 0
			for _, t := range transforms {
				l, n = l+lost[kindIn{k, t}], n+counted[t]
			}
			return 100 * float64(l) / float64(max(1, n))
		}
		for k := range held {
			cell := ""
			if name, most := largest(len(rows), func(i int) (string, float64) {
				return rows[i].name, share(k, strings.Fields(rows[i].transforms)...)
			}); most > 0 {
				cell = fmt.Sprintf("%s %.1f; ", name, most)
			}
			if name, most := largest(len(all), func(i int) (string, float64) { return all[i], share(k, all[i]) }); most > 0 {
				cell += fmt.Sprintf("%s %.1f", name, most)
			}
			cells[k] = append(cells[k], cell)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(held)) {
		fmt.Fprintf(&b, "| %s | %d | %s |\n", k, held[k], strings.Join(cells[k], " | "))
	}
	return b.String()
}

func largest(n int, f func(i int) (string, float64)) (name string, most float64) {
	for i := range n {
		if s, v := f(i); v > most {
			name, most = s, v
		}
	}
	return name, most
}

type kindIn struct {
	kind      phash.Transform
	transform string
}

// losses counts the copies that only one kind of hash finds, and all copies, by
// transform.
func losses(c *corpus, s setup) (lost map[kindIn]int, counted map[string]int) {
	lost, counted = map[kindIn]int{}, map[string]int{}
	for j := range c.Copies {
		cp := &c.Copies[j]
		o := &c.Originals[cp.Of]
		if o.Refused != "" {
			continue
		}
		counted[cp.Transform]++
		found, only := 0, phash.Transform(0)
		for _, v := range s.stored(o) {
			if nearest([]phash.Hash{v.Hash}, s.queries(&cp.Query)) <= s.radius {
				found++
				only = v.Transform
			}
		}
		if found == 1 {
			lost[kindIn{only, cp.Transform}]++
		}
	}
	return lost, counted
}

// writeJSON writes what was measured, with the curves.
func writeJSON(path string, c *corpus, results []*result) error {
	type curve struct {
		Radius []int     `json:"radius"`
		Share  []float64 `json:"share"` // of copies of registered pictures
	}
	type setupJSON struct {
		Name           string           `json:"name"`
		Radius         int              `json:"radius"`
		Review         int              `json:"review,omitempty"`
		HashesMost     int              `json:"hashes_most"`
		HashesMean     float64          `json:"hashes_mean"`
		Registered     int              `json:"registered"`
		Rows           map[string]curve `json:"rows"`
		Transforms     map[string]curve `json:"transforms"`
		FalseOriginals curve            `json:"false_originals"`
		FalseCopies    curve            `json:"false_copies"`
		PairsOriginals int              `json:"pairs_originals"`
		PairsCopies    int              `json:"pairs_copies"`
	}
	shares := func(h *histogram) curve {
		var cv curve
		n := max(1, h.total())
		for r := 0; r <= maxRadius; r += 2 {
			cv.Radius, cv.Share = append(cv.Radius, r), append(cv.Share, math.Round(1e9*float64(h.within(r))/float64(n))/1e9)
		}
		return cv
	}
	out := struct {
		Originals int               `json:"originals"`
		Copies    int               `json:"copies"`
		Refused   map[string]string `json:"refused"`
		Setups    []setupJSON       `json:"setups"`
	}{Originals: len(c.Names), Copies: len(c.Copies), Refused: map[string]string{}}
	for i, o := range c.Originals {
		if o.Refused != "" {
			out.Refused[c.Names[i]] = o.Refused
		}
	}
	for _, r := range results {
		s := setupJSON{Name: r.name, Radius: r.radius, Review: r.review, HashesMost: r.most, HashesMean: r.mean, Registered: r.registered,
			Rows: map[string]curve{}, Transforms: map[string]curve{}, FalseOriginals: shares(&r.originals), FalseCopies: shares(&r.copies),
			PairsOriginals: r.originals.total(), PairsCopies: r.copies.total()}
		for t, h := range r.recall {
			s.Transforms[t] = shares(h)
		}
		for _, row := range rows {
			if h := r.sum(row.transforms); h.total() > 0 {
				s.Rows[row.name] = shares(h)
			}
		}
		out.Setups = append(out.Setups, s)
	}
	data, err := json.Marshal(out)
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

// sum adds up the histograms of a group of transforms.
func (r *result) sum(transforms string) *histogram {
	var h histogram
	for _, t := range strings.Fields(transforms) {
		if a := r.recall[t]; a != nil {
			for i, n := range a {
				h[i] += n
			}
		}
	}
	return &h
}
