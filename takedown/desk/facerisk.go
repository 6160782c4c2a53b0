package desk

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
)

// FaceRisk is how often a list blocks or holds pictures of strangers because of their
// faces, as the strangers of [FaceModel].Reference show it. A picture with several
// faces has as many chances.
type FaceRisk struct {
	Model string `json:"model"`
	// Faces is the number of registered faces, of all models.
	Faces int `json:"faces"`
	// Of is the number of strangers, Blocked how many of them the list blocks, and
	// Held how many it holds.
	Of      int `json:"of"`
	Blocked int `json:"blocked"`
	Held    int `json:"held"`
	// BlocksPerMillion and HoldsPerMillion are the shares of a million pictures with
	// one face of a stranger. BlocksAtMost and HoldsAtMost are their bounds with 95 %
	// confidence, if the strangers are typical.
	BlocksPerMillion float64 `json:"blocks_per_million"`
	BlocksAtMost     float64 `json:"blocks_at_most"`
	HoldsPerMillion  float64 `json:"holds_per_million"`
	HoldsAtMost      float64 `json:"holds_at_most"`
}

// newFaceRisk counts verdicts about strangers.
func newFaceRisk(model string, faces int, verdicts []takedown.Verdict) FaceRisk {
	r := FaceRisk{Model: model, Faces: faces, Of: len(verdicts)}
	for _, v := range verdicts {
		switch v {
		case takedown.Block, takedown.Restricted:
			r.Blocked++
		case takedown.Review:
			r.Held++
		}
	}
	million := func(n float64) float64 { return math.Round(min(1, n/float64(r.Of)) * 1e6) }
	r.BlocksPerMillion, r.HoldsPerMillion = million(float64(r.Blocked)), million(float64(r.Held))
	r.BlocksAtMost, r.HoldsAtMost = million(atMost(r.Blocked)), million(atMost(r.Held))
	return r
}

// atMost returns the number of expected events above which n or fewer are seen with a
// probability below 5 %, as rare events are distributed (Poisson).
func atMost(n int) float64 {
	low, high := float64(n), 2*float64(n)+10
	for range 50 {
		mid := (low + high) / 2
		term, sum := math.Exp(-mid), 0.0
		if mid > 700 { // exp is 0: the normal distribution is close enough
			return float64(n) + 1.645*math.Sqrt(float64(n)) + 2
		}
		for k := range n + 1 {
			sum += term
			term *= mid / float64(k+1)
		}
		if sum > 0.05 {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}

// faceRisks keeps the verdicts about the strangers of each model for a state of the
// list.
type faceRisks struct {
	mu       sync.Mutex
	known    bool
	seq      uint64
	at       time.Time
	took     time.Duration
	faces    int
	verdicts map[string][]takedown.Verdict
}

// seldom is how many times as long as a comparison took Status may show its result
// for a list that has changed since.
const seldom = 20

// strangersToday returns the verdicts about all strangers. It compares them again if
// the list has changed; if not exactly, only where the last time is long ago.
func (d *Desk) strangersToday(ctx context.Context, exactly bool) (verdicts map[string][]takedown.Verdict, faces int, err error) {
	r := &d.risk
	r.mu.Lock()
	defer r.mu.Unlock()
	state := d.list.State()
	if r.known && (r.seq == state.Seq() || !exactly && time.Since(r.at) < seldom*r.took) {
		return r.verdicts, r.faces, nil
	}
	start, all := time.Now(), map[string][]takedown.Verdict{}
	for _, m := range d.opts.FaceModels {
		for i, f := range m.Reference {
			if i%256 == 0 && ctx.Err() != nil {
				return nil, 0, ctx.Err()
			}
			all[m.Name] = append(all[m.Name], d.quiet.Check(takedown.Candidate{Faces: []takedown.Face{f}}).Verdict)
		}
	}
	r.known, r.seq, r.at, r.verdicts, r.faces = true, state.Seq(), time.Now(), all, state.Counts().Faces
	r.took = r.at.Sub(start)
	return r.verdicts, r.faces, nil
}

// risksOf returns the risk of each model that has strangers.
func (d *Desk) risksOf(ctx context.Context) (list []FaceRisk, err error) {
	verdicts, faces, err := d.strangersToday(ctx, false)
	for _, m := range d.opts.FaceModels {
		if v := verdicts[m.Name]; len(v) > 0 {
			list = append(list, newFaceRisk(m.Name, faces, v))
		}
	}
	return list, err
}

// risksWith returns what the risk would be with the faces of a case in addition.
func (d *Desk) risksWith(ctx context.Context, faces []takedown.Face, terms FaceTerms, effect blocklist.Effect) (list []FaceRisk, err error) {
	verdicts, count, err := d.strangersToday(ctx, true)
	if err != nil {
		return nil, err
	}
	for _, m := range d.opts.FaceModels {
		all := slices.Clone(verdicts[m.Name])
		if len(all) == 0 {
			continue
		}
		for i, stranger := range m.Reference {
			for _, f := range faces {
				s, ok := f.Similarity(stranger)
				switch {
				case !ok || s < terms.Review:
				case s >= terms.Block && effect != blocklist.EffectReview:
					all[i] = max(all[i], takedown.Block)
				default:
					all[i] = max(all[i], takedown.Review)
				}
			}
		}
		list = append(list, newFaceRisk(m.Name, count+len(faces), all))
	}
	return list, nil
}

const factFaces State = "faces_given"

// Faces returns the faces that a case in force blocks, so that the operator can look
// for them in an index of its own, once, instead of comparing each face of the index
// with the list. The log records who asked and why: a.By and a.Reason are required.
// The vectors are biometric data of a person who agreed to one purpose. Use them for
// this search only, and do not store them. It fails with a [*MoveError] for a case
// that is not in force or blocks no face, and with [ErrTemplateDestroyed].
func (d *Desk) Faces(ctx context.Context, id takedown.CaseID, a Actor) (faces []takedown.Face, err error) {
	if err := a.decider(); err != nil {
		return nil, err
	}
	if a.Reason == "" {
		return nil, badOption("Faces, reason", "it is empty; the log needs it")
	}
	err = d.step(ctx, id, func(c *caseRecord, now time.Time) (change, error) {
		if c.State != StateInForce && c.State != StateCourtHold || c.Granted != takedown.ScopeFace {
			return change{}, &MoveError{id, c.State, factFaces}
		}
		if err := d.mayDecide(c, a); err != nil {
			return change{}, err
		}
		byItem, err := d.facesOf(c, func(it *CaseItem) bool { return it.Granted == takedown.ScopeFace && it.Outcome == OutcomeAccepted })
		if err != nil {
			return change{}, err
		}
		for i := range c.Items {
			if f, ok := byItem[i]; ok {
				faces = append(faces, f)
			}
		}
		c.note(c.State, factFaces, a, now)
		return change{}, nil
	})
	if err != nil {
		return nil, err
	}
	return faces, nil
}
