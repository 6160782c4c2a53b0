package main

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"slices"
)

// plot draws lines over two logarithmic axes: keys, and seconds.
type plot struct {
	title string
	lines []line
}

type line struct {
	name   string
	points []point
}

type point struct{ x, y float64 }

// Colours that can be told apart by everybody (Okabe and Ito).
var colours = []string{"#000000", "#e69f00", "#56b4e9", "#009e73", "#999999", "#0072b2", "#d55e00", "#cc79a7", "#882255"}

func (p plot) svg() []byte {
	const width, height, left, top, plotWidth, plotHeight = 860, 460, 70, 40, 460, 360
	minX, maxX, minY, maxY := math.Inf(1), 0.0, math.Inf(1), 0.0
	for _, l := range p.lines {
		for _, pt := range l.points {
			minX, maxX = min(minX, pt.x), max(maxX, pt.x)
			minY, maxY = min(minY, pt.y), max(maxY, pt.y)
		}
	}
	firstY, lastY := math.Floor(math.Log10(minY)), math.Ceil(math.Log10(maxY))
	firstX, lastX := math.Log10(minX), math.Log10(maxX)
	x := func(v float64) float64 { return left + (math.Log10(v)-firstX)/(lastX-firstX)*plotWidth }
	y := func(v float64) float64 { return top + (lastY-math.Log10(v))/(lastY-firstY)*plotHeight }

	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/><text x="%d" y="22" font-size="15">%s</text>`+"\n", width, height, left, html.EscapeString(p.title))
	for e := firstY; e <= lastY; e++ {
		at := y(math.Pow(10, e))
		label := map[float64]string{-9: "1 ns", -8: "10 ns", -7: "100 ns", -6: "1 µs", -5: "10 µs", -4: "100 µs", -3: "1 ms", -2: "10 ms", -1: "100 ms", 0: "1 s", 1: "10 s"}[e]
		fmt.Fprintf(&b, `<path d="M%d %.1fh%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", left, at, plotWidth, left-8, at+4, label)
	}
	for e := math.Ceil(firstX); e <= lastX; e++ {
		at := x(math.Pow(10, e))
		fmt.Fprintf(&b, `<path d="M%.1f %dv%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", at, top, plotHeight, at, top+plotHeight+18, count(int(math.Pow(10, e))))
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">keys</text>`+"\n", left+plotWidth/2, top+plotHeight+40)

	// Names stand beside the ends of their lines, from the slowest down, with
	// room between them.
	order := make([]int, len(p.lines))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := p.lines[i].points, p.lines[j].points
		return -int(math.Copysign(1, a[len(a)-1].y-b[len(b)-1].y))
	})
	next := float64(top)
	for _, i := range order {
		l := p.lines[i]
		colour := colours[i%len(colours)]
		path := ""
		for k, pt := range l.points {
			path += fmt.Sprintf("%c%.1f %.1f", "ML"[min(k, 1)], x(pt.x), y(pt.y))
		}
		end := y(l.points[len(l.points)-1].y)
		next = max(next+16, end)
		fmt.Fprintf(&b, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/>`, path, colour)
		fmt.Fprintf(&b, `<path d="M%d %.1fL%d %.1f" stroke="%s" stroke-width="0.5"/>`, left+plotWidth, end, left+plotWidth+18, next, colour)
		fmt.Fprintf(&b, `<text x="%d" y="%.1f" fill="%s">%s</text>`+"\n", left+plotWidth+22, next+4, colour, html.EscapeString(l.name))
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}
