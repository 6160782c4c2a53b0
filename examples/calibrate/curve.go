package calibrate

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Thresholds are the similarities at which pairs are counted, ascending:
// thousandths from -1 to 1.
const Thresholds = 2001

// Threshold returns number i of them.
func Threshold(i int) float64 { return float64(i-1000) / 1000 }

// Curve is what the pairs of a set of faces would do at every threshold.
type Curve struct {
	Model      string  `json:"model"`
	Dimensions int     `json:"dimensions"`
	People     int     `json:"people"`
	Faces      int     `json:"faces"`
	Confidence float64 `json:"confidence"` // of every bound, by itself

	SamePairs      int64 `json:"samePairs"`      // pairs of one person, of different photographs
	DifferentPairs int64 `json:"differentPairs"` // pairs of different people
	// How many pairs are worth one independent pair: they vary as much, which is
	// known the less well the fewer people there are. The bounds are at least
	// those for SamePairs and DifferentPairs divided by these.
	SameDesignEffect      float64 `json:"sameDesignEffect"`
	DifferentDesignEffect float64 `json:"differentDesignEffect"`
	// LowestRate is the rate of false matches below which so many people show
	// nothing, even if no two of them are alike.
	LowestRate float64 `json:"lowestRate"`

	Points []Point `json:"points"` // Thresholds of them
}

// Point is what would happen at a threshold.
type Point struct {
	Threshold float64 `json:"threshold"`

	// Pairs of different people at or above the threshold, as a count, as a
	// share of all, and the share that is not exceeded with the confidence.
	FalseMatches    int64   `json:"falseMatches"`
	FalseMatchRate  float64 `json:"falseMatchRate"`
	FalseMatchBound float64 `json:"falseMatchBound"`

	// Pairs of one person below the threshold.
	Misses    int64   `json:"misses"`
	MissRate  float64 `json:"missRate"`
	MissBound float64 `json:"missBound"`
}

// NewCurve compares every face with every other; half a million pairs of 512
// dimensions take about a tenth of a second, and every person 16 KB of memory.
// The confidence is above 0.5 and below 1. Errors wrap ErrInput.
func NewCurve(faces []Face, confidence float64) (*Curve, error) {
	if !(confidence > 0.5 && confidence < 1) {
		return nil, fmt.Errorf("calibrate: confidence %v, accepted is above 0.5 and below 1: %w", confidence, ErrInput)
	}
	people := map[string]int{}
	person := make([]int, len(faces))
	for i, f := range faces {
		k, ok := people[f.Person]
		if !ok {
			k = len(people)
			people[f.Person] = k
		}
		person[i] = k
	}
	same, different := newTally(len(people)), newTally(len(people))
	for i, a := range faces {
		for j, b := range faces[:i] {
			c, ok := a.Vector.Similarity(b.Vector)
			if !ok {
				return nil, fmt.Errorf("calibrate: %v among %v: %w", a.Vector, b.Vector, ErrInput)
			}
			switch {
			case person[i] != person[j]:
				different.add(c, person[i], person[j])
			case a.File == "" || a.File != b.File:
				same.add(c, person[i], person[i])
			}
		}
	}
	if same.pairs == 0 || different.pairs == 0 {
		return nil, fmt.Errorf("calibrate: %d pairs of one person and %d of different people; at least one of each is needed: %w", same.pairs, different.pairs, ErrInput)
	}
	same.accumulate()
	different.accumulate()

	m := faces[0].Vector.Model()
	c := &Curve{
		Model: m.Name, Dimensions: m.Dimensions, People: len(people), Faces: len(faces), Confidence: confidence,
		SamePairs: same.pairs, DifferentPairs: different.pairs,
		SameDesignEffect: same.designEffect(true, confidence), DifferentDesignEffect: different.designEffect(false, confidence),
		LowestRate: groupBound(0, len(people), confidence),
	}
	withPairs := same.people()
	for i := range Thresholds {
		p := Point{Threshold: Threshold(i), FalseMatches: different.total[i], Misses: same.pairs - same.total[i]}
		p.FalseMatchRate = float64(p.FalseMatches) / float64(different.pairs)
		p.MissRate = float64(p.Misses) / float64(same.pairs)
		p.FalseMatchBound = max(
			upperBound(p.FalseMatchRate, float64(different.pairs)/c.DifferentDesignEffect, confidence),
			groupBound(p.FalseMatchRate, len(people), confidence))
		// All that is missed may be of a few people, of whom everything is.
		p.MissBound = max(
			upperBound(p.MissRate, float64(same.pairs)/c.SameDesignEffect, confidence),
			upperBound(p.MissRate, float64(withPairs), confidence))
		c.Points = append(c.Points, p)
	}
	return c, nil
}

// tally counts pairs by threshold, for all and for every person. After
// accumulate, counts are of the pairs at or above a threshold.
type tally struct {
	pairs     int64
	total     []int64
	ofPerson  []uint32 // Thresholds for each
	pairsWith []int64  // for each
}

func newTally(people int) *tally {
	return &tally{total: make([]int64, Thresholds), ofPerson: make([]uint32, people*Thresholds), pairsWith: make([]int64, people)}
}

// add counts a pair of two people, or of the same.
func (t *tally) add(similarity float64, a, b int) {
	i := min(max(int(math.Floor(similarity*1000))+1000, 0), Thresholds-1)
	// Neither the product nor the threshold is exact.
	for i+1 < Thresholds && Threshold(i+1) <= similarity {
		i++
	}
	for i > 0 && Threshold(i) > similarity {
		i--
	}
	t.pairs++
	t.total[i]++
	t.ofPerson[a*Thresholds+i]++
	t.pairsWith[a]++
	if a != b {
		t.ofPerson[b*Thresholds+i]++
		t.pairsWith[b]++
	}
}

// people returns how many people are in a pair.
func (t *tally) people() (n int) {
	for _, pairs := range t.pairsWith {
		if pairs > 0 {
			n++
		}
	}
	return n
}

func (t *tally) accumulate() {
	for i := Thresholds - 2; i >= 0; i-- {
		t.total[i] += t.total[i+1]
		for k := range t.pairsWith {
			t.ofPerson[k*Thresholds+i] += t.ofPerson[k*Thresholds+i+1]
		}
	}
}

// Rare events are what matters, and how they cluster is seen best where there
// are enough of them but not many.
const (
	fewestEvents = 20
	mostRate     = 0.1
)

// designEffect returns how much more the share of matches varies than that of
// as many independent pairs: the biggest value over the thresholds with at
// least 20 events that are not more than a tenth of all. An event is a match,
// or, if below, none. One value for all thresholds keeps the bounds monotone.
//
// The variance is estimated from people, so the value is raised as Korn and
// Graubard do it: by the square of the ratio of the quantiles of Student's t with
// as many degrees of freedom as there are people less one, and pairs less one.
func (t *tally) designEffect(below bool, confidence float64) float64 {
	worst, closest, atClosest := 0.0, int64(0), 1.0
	for i := range Thresholds {
		events := t.total[i]
		if below {
			events = t.pairs - events
		}
		if events == 0 || events == t.pairs {
			continue
		}
		rate := float64(events) / float64(t.pairs)
		if enough := events >= fewestEvents; enough && rate <= mostRate {
			worst = max(worst, t.designEffectAt(i))
		} else if !enough && events > closest {
			// So few pairs that no threshold has enough events: what there is.
			closest, atClosest = events, t.designEffectAt(i)
		}
	}
	if worst == 0 {
		worst = atClosest
	}
	quantile := func(n float64) float64 {
		return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: max(1, n-1)}.Quantile(confidence)
	}
	ratio := quantile(float64(t.people())) / quantile(float64(t.pairs))
	return max(1, worst*ratio*ratio)
}

// designEffectAt leaves out one person after the other.
func (t *tally) designEffectAt(i int) float64 {
	var left []float64
	mean := 0.0
	for k, pairs := range t.pairsWith {
		if pairs == 0 || pairs == t.pairs {
			continue // who is in no pair, or in all, tells nothing
		}
		share := float64(t.total[i]-int64(t.ofPerson[k*Thresholds+i])) / float64(t.pairs-pairs)
		left = append(left, share)
		mean += share
	}
	n := float64(len(left))
	mean /= n
	variance := 0.0
	for _, share := range left {
		variance += (share - mean) * (share - mean)
	}
	variance *= (n - 1) / n
	rate := float64(t.total[i]) / float64(t.pairs)
	if len(left) < 2 {
		return 1
	}
	return variance / (rate * (1 - rate) / float64(t.pairs))
}

// upperBound returns the share below which the true one is, with that
// confidence, if rate was seen among n independent trials (Clopper and Pearson,
// 1934).
func upperBound(rate, n, confidence float64) float64 {
	if rate >= 1 {
		return 1
	}
	return distuv.Beta{Alpha: rate*n + 1, Beta: (1 - rate) * n}.Quantile(confidence)
}

// groupBound returns the share of pairs that may be of one group of people who
// all look like each other, with that confidence, if a share of rate of the pairs
// of so many people was alike. A small group is what leaving out people cannot
// show: with one member among n people, or none, there is no pair, while the group
// may be 4.74/n of all people (with confidence 0.95), and its pairs the square of
// that of all pairs. With more members it has the pairs that were seen, at most.
func groupBound(rate float64, people int, confidence float64) float64 {
	n := float64(people)
	// That many people have that many pairs.
	members := (1 + math.Sqrt(1+4*rate*n*(n-1))) / 2
	if members >= n {
		return 1
	}
	share := distuv.Beta{Alpha: members + 1, Beta: n - members}.Quantile(confidence)
	return share * share
}

// Choice is a threshold for a stated rate.
type Choice struct {
	// Rate is the accepted probability that a face of nobody on a list of that
	// many faces is taken for one of them.
	Rate float64 `json:"rate"`
	List int     `json:"list"`

	// Found tells whether the data support the rate. If not, Point is the one
	// with the lowest bound, and Reachable is the rate that it supports.
	Found     bool    `json:"found"`
	Reachable float64 `json:"reachable"`
	Point     Point   `json:"point"`
}

// Choose returns the lowest threshold at which the bound on the false-match
// rate, times the length of the list, is at most rate. (A face that matches one
// of several is counted as often as it does, so the product errs on the safe
// side.) With the curve's confidence the true rate at that threshold is below.
func (c *Curve) Choose(rate float64, list int) (Choice, error) {
	if !(rate > 0 && rate < 1) || list < 1 {
		return Choice{}, fmt.Errorf("calibrate: rate %v for a list of %d, accepted are rates above 0 and below 1, and lists from 1 on: %w", rate, list, ErrInput)
	}
	choice := Choice{Rate: rate, List: list}
	lowest := c.Points[0]
	for _, p := range c.Points {
		if float64(list)*p.FalseMatchBound <= rate {
			choice.Found, choice.Point, choice.Reachable = true, p, rate
			return choice, nil
		}
		if p.FalseMatchBound < lowest.FalseMatchBound {
			lowest = p
		}
	}
	choice.Point = lowest
	choice.Reachable = min(1, float64(list)*lowest.FalseMatchBound)
	return choice, nil
}
