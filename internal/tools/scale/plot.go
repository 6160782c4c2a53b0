package main

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
)

// plot draws columns of results against the number of pictures, both axes
// logarithmic, as SVG.
func plot(path string, columns []string, w io.Writer) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var header []string
	var rows [][]float64
	for in := bufio.NewScanner(f); in.Scan(); {
		fields := strings.Split(in.Text(), "\t")
		if header == nil {
			header = fields
			continue
		}
		row := make([]float64, len(fields))
		for i, s := range fields {
			if row[i], err = strconv.ParseFloat(s, 64); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		rows = append(rows, row)
	}
	if len(rows) < 2 {
		return fmt.Errorf("%s: fewer than two lists", path)
	}
	const width, height, margin = 640.0, 400.0, 60.0
	lowX, highX := math.Log10(rows[0][0]), math.Log10(rows[len(rows)-1][0])
	lowY, highY := math.Inf(1), math.Inf(-1)
	var picked []int
	for _, c := range columns {
		i := slices.Index(header, c)
		if i < 0 {
			return fmt.Errorf("%s has no column %q", path, c)
		}
		picked = append(picked, i)
		for _, r := range rows {
			v := math.Log10(max(r[i], 0.01))
			lowY, highY = min(lowY, math.Floor(v)), max(highY, math.Ceil(v))
		}
	}
	x := func(v float64) float64 { return margin + (math.Log10(v)-lowX)/(highX-lowX)*(width-2*margin) }
	y := func(v float64) float64 {
		return height - margin - (math.Log10(max(v, 0.01))-lowY)/max(highY-lowY, 1)*(height-2*margin)
	}
	fmt.Fprintf(w, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %g %g\" font-family=\"sans-serif\" font-size=\"12\">\n", width, height)
	for e := lowY; e <= highY; e++ {
		at := y(math.Pow(10, e))
		fmt.Fprintf(w, "<path d=\"M%g %.1fH%g\" stroke=\"#ddd\"/><text x=\"%g\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n", margin, at, width-margin, margin-6, at+4, math.Pow(10, e))
	}
	for _, r := range rows {
		fmt.Fprintf(w, "<text x=\"%.1f\" y=\"%g\" text-anchor=\"middle\">%g</text>\n", x(r[0]), height-margin+18, r[0])
	}
	colours := []string{"#1b6ca8", "#c0392b", "#27803b", "#8e44ad"}
	for k, i := range picked {
		var d strings.Builder
		for j, r := range rows {
			fmt.Fprintf(&d, "%c%.1f %.1f", "ML"[min(j, 1)], x(r[0]), y(r[i]))
		}
		colour := colours[k%len(colours)]
		fmt.Fprintf(w, "<path d=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"/><text x=\"%g\" y=\"%g\" fill=\"%s\">%s</text>\n",
			d.String(), colour, margin+8, margin-30+16*float64(k), colour, columns[k])
	}
	_, err = fmt.Fprintln(w, "</svg>")
	return err
}
