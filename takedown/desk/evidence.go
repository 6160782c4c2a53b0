package desk

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/staydown/staydown/takedown"
)

// maxEvidence is how many pieces of evidence a case can have.
const maxEvidence = 1000

// Evidence is what the operator's own index knows of an image that a case is
// about. It is for the reviewer. It is personal data: it is sealed and erased with
// the request.
type Evidence struct {
	Candidate takedown.Candidate `json:"candidate"` // its features and faces are not kept
	// FirstSeen is the time when the index first saw it. An earlier copy is
	// evidence against a claim to the original.
	FirstSeen time.Time `json:"first_seen,omitzero"`
}

// AddEvidence attaches evidence to a case. It changes nothing else.
func (d *Desk) AddEvidence(ctx context.Context, id takedown.CaseID, evidence []Evidence) error {
	return d.step(ctx, id, func(c *caseRecord, now time.Time) (change, error) {
		if c.Erased() {
			return change{}, fmt.Errorf("takedown: case %v: %w", id, ErrErased)
		}
		if c.EvidenceCount+len(evidence) > maxEvidence {
			return change{}, fmt.Errorf("takedown: case %v: more than %d pieces of evidence", id, maxEvidence)
		}
		first := c.EvidenceCount
		c.EvidenceCount += len(evidence)
		c.Version++
		c.note(c.State, c.State, Actor{Reason: "evidence"}, now)
		return change{evidence: evidence, firstEvidence: first}, nil
	})
}

// Evidence returns the evidence that was attached to a case, in the order of its
// attachment.
func (d *Desk) Evidence(ctx context.Context, id takedown.CaseID) (list []Evidence, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return d.evidence(id)
}

func (d *Desk) evidence(id takedown.CaseID) (list []Evidence, err error) {
	key, err := d.store.keys.get(id)
	if err != nil {
		return nil, err
	}
	err = d.store.db.View(func(tx StoreTx) error {
		return tx.Scan(BucketEvidence, id[:], nil, func(_, v []byte) error {
			b, err := unseal(key, label("evidence", id), v)
			if err != nil {
				return err
			}
			var e Evidence
			if err := json.Unmarshal(b, &e); err != nil {
				return fmt.Errorf("takedown: case store, evidence of case %v: %w", id, err)
			}
			list = append(list, e)
			return nil
		})
	})
	return list, err
}
