package calibrate

import (
	"fmt"
	"io"
	"math"
	"strings"
)

// Goal is what an operator accepts.
type Goal struct {
	// Block and Review are the shares of pictures of strangers that may be blocked
	// wrongly, and held for review: above 0, below 1, and Block at most Review.
	Block, Review float64
	// List is the number of registered faces, at least 1, and Faces how many faces a
	// picture has on average, at least 1. Each face is compared with the whole list.
	List  int
	Faces float64
}

// Recommendation is what the data support of a goal.
type Recommendation struct {
	Goal Goal
	// Supported is the longest list for which the data support both rates, at most
	// the list of the goal; 0 if they support no list.
	Supported int
	// Block and Review are the points of the thresholds for the supported list.
	Block, Review Point
	// People is about how many people, with one photograph each, would support the
	// goal, if these people are typical.
	People int
}

// Recommend returns the lowest thresholds at which the bounds keep to the goal, for a
// list that is as long as the data support.
func (c *Curve) Recommend(g Goal) (r Recommendation, err error) {
	r.Goal = g
	if !(g.Block > 0 && g.Block <= g.Review && g.Review < 1) || g.List < 1 || !(g.Faces >= 1 && g.Faces <= 1e6) {
		return r, fmt.Errorf("calibrate: a goal of %v blocked and %v held, for a list of %d and %v faces in a picture: accepted are 0 < Block <= Review < 1, a list from 1 on and faces from 1 on: %w", g.Block, g.Review, g.List, g.Faces, ErrInput)
	}
	r.People = c.needed(g.Block / (float64(g.List) * g.Faces))
	r.Supported = int(min(float64(g.List), g.Block/(c.Supported*g.Faces)))
	if r.Supported < 1 {
		return r, nil
	}
	lowest := func(rate float64) Point {
		for _, p := range c.Points {
			if float64(r.Supported)*g.Faces*p.FalseMatchBound <= rate {
				return p
			}
		}
		return c.Points[len(c.Points)-1]
	}
	r.Block, r.Review = lowest(g.Block), lowest(g.Review)
	return r, nil
}

// needed returns how many people support a rate for a pair. The group bound asks for
// as many as make it small enough. Without a false match, a rate takes 3 divided by it
// independent pairs, and the design effect grows with the number of people: what one
// person's look adds is in more pairs.
func (c *Curve) needed(rate float64) int {
	effect := c.Points[len(c.Points)-1].DesignEffect
	zeroEvents := -math.Log(1 - c.Confidence) // 3 with 0.95
	a := zeroEvents / rate
	b := a * (effect - 1) / float64(c.People)
	pairs := b + math.Sqrt(float64(b*b)+2*a)
	low, high := 2, 2
	for groupBound(0, high, c.Confidence) > rate && high < 1<<40 {
		low, high = high, 2*high
	}
	for high-low > 1 {
		if mid := (low + high) / 2; groupBound(0, mid, c.Confidence) > rate {
			low = mid
		} else {
			high = mid
		}
	}
	return int(max(float64(high), math.Ceil(pairs)))
}

// Line returns the entry of desk.Options.FaceModels, or "" if no list is supported.
func (c *Curve) Line(r Recommendation) string {
	if r.Supported < 1 {
		return ""
	}
	return fmt.Sprintf("{Name: %q, Dimensions: %d, Block: %.3f, Review: %.3f, Calibrated: %d},", c.Model, c.Dimensions, r.Block.Threshold, r.Review.Threshold, r.Supported)
}

// WriteText draws the curve as text: a row for each of some thresholds, with the share
// of strangers that match, its bound, and the share of photographs that are missed.
// A bar is as long as the bound has decades above one in ten million.
func (c *Curve) WriteText(w io.Writer) error {
	points := c.used()
	var b strings.Builder
	b.WriteString("threshold  strangers  at most     missed\n")
	step := max(1, (len(points)+23)/24)
	for i := 0; i < len(points); i += step {
		p := points[i]
		missed := "-"
		if c.SamePairs > 0 {
			missed = fmt.Sprintf("%.3f", p.MissRate)
		}
		bar := strings.Repeat("#", max(0, int(math.Round(4*(7+math.Log10(max(p.FalseMatchBound, 1e-7)))))))
		fmt.Fprintf(&b, "%9.3f  %9.2g  %9.2g  %7s  %s\n", p.Threshold, p.FalseMatchRate, p.FalseMatchBound, missed, bar)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
