package main

import (
	"fmt"
	"strings"

	"github.com/staydown/staydown/takedown"
)

// tiers are the names of the tiers that the crawler's answers have.
var tiers = map[string]takedown.Tier{
	takedown.TierHash.String(): takedown.TierHash, takedown.TierFeatures.String(): takedown.TierFeatures,
	takedown.TierBytes.String(): takedown.TierBytes, takedown.TierURL.String(): takedown.TierURL,
}

// ratio returns the likelihood ratio of an answer to a crawler.
func (a *answer) ratio() float64 {
	d := takedown.Decision{Why: tiers[a.why], Distance: a.distance, Inliers: a.points, Coverage: a.coverage}
	switch a.verdict {
	case takedown.Block.String():
		d.Verdict = takedown.Block
	case takedown.Review.String():
		d.Verdict = takedown.Review
	}
	return d.LikelihoodRatio()
}

// scores tells how many answers have a likelihood ratio of at least some bounds.
func scores(b *strings.Builder, rows []row) {
	bounds := []float64{0.1, 1, 3, 8, 50, 150, 1_000}
	b.WriteString("\nLikelihood ratio of the crawler's answer, share with at least:\n\n| asked | number |")
	for _, v := range bounds {
		fmt.Fprintf(b, " %v |", v)
	}
	b.WriteString("\n" + rule(2+len(bounds)))
	for _, g := range groups {
		n, at := 0, make([]int, len(bounds))
		for i := range rows {
			if r := &rows[i]; r.side == g.side && (g.group == "" || r.group == g.group) {
				n++
				for k, v := range bounds {
					if r.crawler.ratio() >= v {
						at[k]++
					}
				}
			}
		}
		if n == 0 {
			continue
		}
		fmt.Fprintf(b, "| %s | %d |", g.title, n)
		for _, k := range at {
			fmt.Fprintf(b, " %s |", percent(k, n))
		}
		b.WriteString("\n")
	}
}
