package calibrate

import (
	"encoding/json"
	"fmt"
	"image/color"
	"io"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// WriteTSV writes the points as a table with a line of names, from the first
// threshold that something is below to the first that nothing is above.
func (c *Curve) WriteTSV(w io.Writer) error {
	if _, err := fmt.Fprintln(w, "threshold\tfalse_matches\tfalse_match_rate\tfalse_match_bound\tmisses\tmiss_rate\tmiss_bound"); err != nil {
		return err
	}
	for _, p := range c.used() {
		if _, err := fmt.Fprintf(w, "%.3f\t%d\t%.6g\t%.6g\t%d\t%.6g\t%.6g\n", p.Threshold,
			p.FalseMatches, p.FalseMatchRate, p.FalseMatchBound, p.Misses, p.MissRate, p.MissBound); err != nil {
			return err
		}
	}
	return nil
}

// used returns the points between those at which everything matches and those
// at which nothing does, and one of each.
func (c *Curve) used() []Point {
	first, last := 0, len(c.Points)-1
	for first < last && c.Points[first+1].FalseMatches == c.DifferentPairs && c.Points[first+1].Misses == 0 {
		first++
	}
	for last > first && c.Points[last-1].FalseMatches == 0 && c.Points[last-1].Misses == c.SamePairs {
		last--
	}
	return c.Points[first : last+1]
}

// WriteJSON writes the curve and the recommendation as one object.
func (c *Curve) WriteJSON(w io.Writer, r Recommendation) error {
	short := *c
	short.Points = c.used()
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		Recommendation Recommendation `json:"recommendation"`
		*Curve
	}{r, &short})
}

// WriteSVG draws the rates and their bounds over the threshold, on a
// logarithmic scale, with a line at each recommended threshold. Where no event
// was seen there is only the bound.
func (c *Curve) WriteSVG(w io.Writer, r Recommendation) error {
	p := plot.New()
	p.Title.Text = fmt.Sprintf("%s: %d faces of %d people", c.Model, c.Faces, c.People)
	p.X.Label.Text = "threshold (cosine similarity)"
	p.Y.Label.Text = "share of pairs"
	p.Y.Scale = plot.LogScale{}
	p.Y.Tick.Marker = plot.LogTicks{Prec: -1}
	p.Legend.Left = true
	p.Legend.Padding = vg.Points(2)
	p.Add(plotter.NewGrid())

	matches, misses := color.RGBA{R: 0xc0, A: 0xff}, color.RGBA{B: 0xc0, A: 0xff}
	for _, l := range []struct {
		name   string
		color  color.Color
		dashed bool
		of     func(Point) float64
	}{
		{"false matches", matches, false, func(p Point) float64 { return p.FalseMatchRate }},
		{fmt.Sprintf("their bound (%g %%)", 100*c.Confidence), matches, true, func(p Point) float64 { return p.FalseMatchBound }},
		{"misses", misses, false, func(p Point) float64 { return p.MissRate }},
		{fmt.Sprintf("their bound (%g %%)", 100*c.Confidence), misses, true, func(p Point) float64 { return p.MissBound }},
	} {
		var points plotter.XYs
		for _, p := range c.used() {
			if y := l.of(p); y > 0 {
				points = append(points, plotter.XY{X: p.Threshold, Y: y})
			}
		}
		if len(points) == 0 {
			continue
		}
		line, err := plotter.NewLine(points)
		if err != nil {
			return fmt.Errorf("calibrate: drawing %s: %w", l.name, err)
		}
		line.Color = l.color
		if l.dashed {
			line.Dashes = []vg.Length{vg.Points(4), vg.Points(3)}
		}
		p.Add(line)
		p.Legend.Add(l.name, line)
	}
	// From the decade of the lowest value to 1.
	p.Y.Max = 1
	p.Y.Min = math.Pow(10, math.Floor(math.Log10(min(p.Y.Min, 0.1))))
	for _, t := range []struct {
		name string
		at   Point
	}{{"block", r.Block}, {"review", r.Review}} {
		if r.Supported < 1 {
			break
		}
		line, err := plotter.NewLine(plotter.XYs{{X: t.at.Threshold, Y: p.Y.Min}, {X: t.at.Threshold, Y: 1}})
		if err != nil {
			return fmt.Errorf("calibrate: drawing a threshold: %w", err)
		}
		line.Color = color.RGBA{G: 0x80, A: 0xff}
		p.Add(line)
		p.Legend.Add(fmt.Sprintf("%s %.3f, list of %d", t.name, t.at.Threshold, r.Supported), line)
	}
	svg, err := p.WriterTo(18*vg.Centimeter, 12*vg.Centimeter, "svg")
	if err != nil {
		return fmt.Errorf("calibrate: drawing: %w", err)
	}
	_, err = svg.WriteTo(w)
	return err
}
