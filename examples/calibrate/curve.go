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

	SamePairs      int64 `json:"samePairs"`      // pairs of one person, of different photographs; may be 0
	DifferentPairs int64 `json:"differentPairs"` // pairs of different people
	// SameDesignEffect is how many pairs of one person are worth one independent pair.
	SameDesignEffect float64 `json:"sameDesignEffect"`
	// LowestRate is the rate of false matches below which so many people show
	// nothing, even if no two of them are alike. Supported is the lowest rate that these
	// people support with this model.
	LowestRate float64 `json:"lowestRate"`
	Supported  float64 `json:"supported"`

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
	// DesignEffect is how many pairs of different people are worth one independent
	// pair at this rate.
	DesignEffect float64 `json:"designEffect"`

	// Pairs of one person below the threshold.
	Misses    int64   `json:"misses"`
	MissRate  float64 `json:"missRate"`
	MissBound float64 `json:"missBound"`
}

// NewCurve compares every face with every other; half a million pairs of 512
// dimensions take about a tenth of a second, and every person 16 KB of memory.
// Strangers are the faces whose pairs of different people are counted: of many
// people, for whom one photograph each is enough. Pairs are the faces whose pairs of
// one person are counted, of people with several photographs; there may be none,
// and they may be the same faces. The confidence is above 0.5 and below 1. Errors
// wrap ErrInput.
func NewCurve(strangers, pairs []Face, confidence float64) (*Curve, error) {
	if !(confidence > 0.5 && confidence < 1) {
		return nil, fmt.Errorf("calibrate: confidence %v, accepted is above 0.5 and below 1: %w", confidence, ErrInput)
	}
	different, err := compare(strangers, func(one bool, _, _ Face) bool { return !one })
	if err != nil {
		return nil, err
	}
	same, err := compare(pairs, func(one bool, a, b Face) bool { return one && (a.File == "" || a.File != b.File) })
	if err != nil {
		return nil, err
	}
	if different.pairs == 0 {
		return nil, fmt.Errorf("calibrate: no pair of different people: %w", ErrInput)
	}
	m := strangers[0].Vector.Model()
	if len(pairs) > 0 && pairs[0].Vector.Model() != m {
		return nil, fmt.Errorf("calibrate: strangers of %v and pairs of %v: %w", m, pairs[0].Vector.Model(), ErrInput)
	}
	c := &Curve{
		Model: m.Name, Dimensions: m.Dimensions, People: len(different.pairsWith), Faces: len(strangers), Confidence: confidence,
		SamePairs: same.pairs, DifferentPairs: different.pairs, SameDesignEffect: same.designEffect(confidence),
		LowestRate: groupBound(0, len(different.pairsWith), confidence),
	}
	c.fill(same, different)
	return c, nil
}

// compare counts those pairs of faces that are wanted.
func compare(faces []Face, want func(onePerson bool, a, b Face) bool) (*tally, error) {
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
	t := newTally(len(people))
	for i, a := range faces {
		if a.Vector.IsZero() {
			return nil, fmt.Errorf("calibrate: a face without a vector: %w", ErrInput)
		}
		for j, b := range faces[:i] {
			if !want(person[i] == person[j], a, b) {
				continue
			}
			c, ok := a.Vector.Similarity(b.Vector)
			if !ok {
				return nil, fmt.Errorf("calibrate: %v among %v: %w", a.Vector, b.Vector, ErrInput)
			}
			t.add(c, person[i], person[j])
		}
	}
	t.accumulate()
	return t, nil
}

// fill makes the points. The bound at a threshold is at least that at every higher
// one. So the true rate at the lowest threshold whose bound is below a rate is below
// that rate with the confidence of a single bound.
func (c *Curve) fill(same, different *tally) {
	effects := different.effects(c.Confidence)
	withPairs := same.people()
	c.Points = make([]Point, Thresholds)
	higher := 0.0
	for i := Thresholds - 1; i >= 0; i-- {
		p := Point{Threshold: Threshold(i), FalseMatches: different.total[i], Misses: same.pairs - same.total[i], DesignEffect: effects[i], MissBound: 1}
		p.FalseMatchRate = float64(p.FalseMatches) / float64(different.pairs)
		p.FalseMatchBound = max(higher,
			upperBound(p.FalseMatchRate, float64(different.pairs)/effects[i], c.Confidence),
			groupBound(p.FalseMatchRate, c.People, c.Confidence))
		higher = p.FalseMatchBound
		if same.pairs > 0 {
			p.MissRate = float64(p.Misses) / float64(same.pairs)
			// All that is missed may be of a few people, of whom everything is.
			p.MissBound = max(
				upperBound(p.MissRate, float64(same.pairs)/c.SameDesignEffect, c.Confidence),
				upperBound(p.MissRate, float64(withPairs), c.Confidence))
		}
		c.Points[i] = p
	}
	c.Supported = c.Points[Thresholds-1].FalseMatchBound
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
	window       = 10 // rates that are looked at together: from one to so many times as much
)

// effects returns, for each threshold, how much more the share of matches varies
// than that of as many independent pairs: the biggest value at the rate of the
// threshold, and up to ten times that rate. Rates below 20 matches count as 20
// matches. People who look like many weigh more where many match, so an effect for
// all rates together would be many times too strict at low rates.
func (t *tally) effects(confidence float64) []float64 {
	raised := t.raised(confidence)
	all := make([]float64, Thresholds)
	known := make([]float64, Thresholds)
	for i := range known {
		if n := t.total[i]; n >= fewestEvents && n < t.pairs {
			known[i] = t.designEffectAt(i)
		} else if n > 0 && n < t.pairs && t.pairs < 2*fewestEvents {
			known[i] = t.designEffectAt(i) // so few pairs that no threshold has enough
		}
	}
	for i := range all {
		low := max(t.total[i], min(fewestEvents, t.pairs))
		worst := 0.0
		for j := i; j >= 0 && t.total[j] <= window*low; j-- {
			worst = max(worst, known[j])
		}
		all[i] = max(1, worst*raised)
	}
	return all
}

// raised is the factor by which Korn and Graubard raise a design effect whose variance
// is estimated from people: the square of the ratio of the quantiles of Student's t
// with as many degrees of freedom as there are people less one, and pairs less one.
func (t *tally) raised(confidence float64) float64 {
	quantile := func(n float64) float64 {
		return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: max(1, n-1)}.Quantile(confidence)
	}
	ratio := quantile(float64(t.people())) / quantile(float64(t.pairs))
	return ratio * ratio
}

// designEffect is the same for misses, of which there are few: one value, the biggest
// over the thresholds with at least 20 misses that are not more than a tenth of all.
func (t *tally) designEffect(confidence float64) float64 {
	worst, closest, atClosest := 0.0, int64(0), 1.0
	for i := range Thresholds {
		events := t.pairs - t.total[i]
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
	return max(1, worst*t.raised(confidence))
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
	if len(left) < 2 {
		return 1
	}
	n := float64(len(left))
	mean /= n
	variance := 0.0
	for _, share := range left {
		variance += (share - mean) * (share - mean)
	}
	variance *= (n - 1) / n
	rate := float64(t.total[i]) / float64(t.pairs)
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
