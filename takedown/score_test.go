package takedown_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
)

func hashAt(v takedown.Verdict, distance int) takedown.Decision {
	return takedown.Decision{Verdict: v, Why: takedown.TierHash, Distance: distance}
}

func pointsAt(v takedown.Verdict, points int, coverage float64) takedown.Decision {
	return takedown.Decision{Verdict: v, Why: takedown.TierFeatures, Inliers: points, Coverage: coverage}
}

// TestDecision_Score: more evidence never has a lower score, and the score follows from
// the ratio.
func TestDecision_Score(t *testing.T) {
	t.Parallel()
	part := phash.MakeTransform(phash.PartOf, phash.Upright)
	partAt := func(n int) takedown.Decision {
		return takedown.Decision{Verdict: takedown.Block, Why: takedown.TierHash, Transform: part, Distance: n}
	}
	for name, rising := range map[string][]takedown.Decision{
		"hash":     {{Verdict: takedown.Allow}, hashAt(takedown.Review, 56), hashAt(takedown.Review, 28), hashAt(takedown.Block, 46), hashAt(takedown.Block, 14), hashAt(takedown.Block, 0)},
		"part":     {{Verdict: takedown.Allow}, partAt(34), partAt(12), partAt(0)},
		"features": {{Verdict: takedown.Allow}, pointsAt(takedown.Review, 90, 0.1), pointsAt(takedown.Review, 20, 0.9), pointsAt(takedown.Review, 60, 0.9), pointsAt(takedown.Review, 100, 0.9), pointsAt(takedown.Block, 80, 0.4), pointsAt(takedown.Block, 30, 0.9)},
		"block":    {pointsAt(takedown.Block, 30, 0.2), pointsAt(takedown.Block, 30, 0.4), pointsAt(takedown.Block, 30, 0.6), {Verdict: takedown.Block, Why: takedown.TierBytes}},
	} {
		var scores []float64
		for _, d := range rising {
			r, s := d.LikelihoodRatio(), d.Score()
			scores = append(scores, s)
			if want := r / (r + 999); math.Abs(s-want) > 1e-9 || s <= 0 || s >= 1 {
				t.Errorf("%s: ratio %v, score %v, want %v", name, r, s, want)
			}
		}
		if !slices.IsSorted(scores) {
			t.Errorf("%s: scores fall: %v", name, scores)
		}
	}
	if r := (takedown.Decision{Verdict: takedown.Review, Why: takedown.TierFace}).LikelihoodRatio(); r != 1 {
		t.Errorf("a face has the ratio %v", r)
	}
}

// A reviewer looks at the likely copies first. The service knows that one picture in
// 50 that it is sent is a copy.
func ExampleDecision_LikelihoodRatio() {
	queue := []takedown.Decision{
		{Verdict: takedown.Review, Why: takedown.TierFeatures, Inliers: 25, Coverage: 0.8},
		{Verdict: takedown.Review, Why: takedown.TierHash, Distance: 26},
		{Verdict: takedown.Review, Why: takedown.TierFeatures, Inliers: 110, Coverage: 0.8},
	}
	slices.SortFunc(queue, func(a, b takedown.Decision) int {
		switch {
		case a.Score() > b.Score():
			return -1
		case a.Score() < b.Score():
			return 1
		}
		return 0
	})
	const share = 1.0 / 50
	for _, d := range queue {
		odds := d.LikelihoodRatio() * share / (1 - share)
		fmt.Printf("%v: %.2f\n", d.Why, odds/(1+odds))
	}
	// Output:
	// features: 0.55
	// hash: 0.15
	// features: 0.03
}
