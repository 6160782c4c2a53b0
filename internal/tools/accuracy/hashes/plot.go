package main

import (
	"fmt"
	"image/color"
	"math"
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// plotted is how many set-ups have a colour of their own.
const plotted = 7

// powers marks the powers of ten.
type powers struct{}

func (powers) Ticks(low, high float64) (t []plot.Tick) {
	for e := math.Floor(math.Log10(low)); e <= math.Ceil(math.Log10(high)); e++ {
		t = append(t, plot.Tick{Value: math.Pow(10, e), Label: fmt.Sprintf("1e%.0f", e)})
	}
	return t
}

// writePlot draws, for each of the first set-ups, recall over the radius (the mean of the rows
// of the table) and below it the share of false matches, on a logarithmic scale.
func writePlot(path string, results []*result) error {
	recall, false_ := plot.New(), plot.New()
	recall.Title.Text = "copies found: mean over the rows of the table, %"
	recall.Y.Min, recall.Y.Max = 0, 100
	false_.Title.Text = "different pictures within the radius, per pair (copies of others)"
	false_.Y.Scale, false_.Y.Tick.Marker = plot.LogScale{}, powers{}
	for _, p := range []*plot.Plot{recall, false_} {
		p.X.Label.Text = "radius, bits"
		p.X.Min, p.X.Max = 0, maxRadius
		p.Add(plotter.NewGrid())
	}
	low := 1.0
	for i, r := range results[:min(len(results), plotted)] {
		var up, down plotter.XYs
		for radius := 0; radius <= maxRadius; radius += 2 {
			sum, n := 0.0, 0
			for _, row := range rows {
				if s, _, copies := r.share(row.transforms, radius); copies > 0 {
					sum, n = sum+s, n+1
				}
			}
			if n > 0 {
				up = append(up, plotter.XY{X: float64(radius), Y: sum / float64(n)})
			}
			if f := r.copies.within(radius); f > 0 {
				y := float64(f) / float64(r.copies.total())
				low = math.Min(low, y)
				down = append(down, plotter.XY{X: float64(radius), Y: y})
			}
		}
		for _, c := range []struct {
			p  *plot.Plot
			xy plotter.XYs
		}{{recall, up}, {false_, down}} {
			if len(c.xy) == 0 {
				continue
			}
			l, err := plotter.NewLine(c.xy)
			if err != nil {
				return err
			}
			l.Color, l.Dashes, l.Width = plotutil.SoftColors[i], plotutil.Dashes(i%2), vg.Points(1.5)
			c.p.Add(l)
			c.p.Legend.Add(r.name, l)
		}
	}
	recall.Legend.Top, recall.Legend.Left = false, false
	false_.Legend.Top, false_.Legend.Left = false, false
	false_.Y.Min, false_.Y.Max = low/2, 1

	const w, h = 22 * vg.Centimeter, 26 * vg.Centimeter
	canvas := vgsvg.New(w, h)
	dc := draw.New(canvas)
	dc.SetColor(color.White)
	dc.Fill(dc.Rectangle.Path())
	recall.Draw(draw.Crop(dc, 0, 0, h/2, 0))
	false_.Draw(draw.Crop(dc, 0, 0, 0, -h/2))
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := canvas.WriteTo(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
