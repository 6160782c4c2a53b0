package desk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// maxSame bounds the cases that are compared with a new one.
const maxSame = 100

// pendingLike returns the undecided cases that name one of the same addresses or
// pictures, up to maxSame. It must not be called in a transaction.
func (d *Desk) pendingLike(ctx context.Context, id takedown.CaseID, kind takedown.Kind, mats []request.Material) (ids []takedown.CaseID, err error) {
	if request.IsReply(kind) {
		return nil, nil
	}
	states := []State{StateUnconfirmed, StateNeedsInfo, StateInReview, StateSecondReview}
	for i := range mats {
		q := Query{States: states, Address: mats[i].Address, Order: NewestFirst}
		if mats[i].Address == "" {
			q.Picture = pictureOf(&mats[i])
			if q.Picture.SHA256 == [32]byte{} && q.Picture.Hashes == nil {
				continue
			}
		}
		found, err := d.ids(ctx, q, maxSame)
		if err != nil {
			return nil, err
		}
		for _, like := range found {
			if like == id || slices.Contains(ids, like) || len(ids) == maxSame {
				continue
			}
			c, err := d.store.get(like)
			if errors.Is(err, ErrStore) {
				continue // Verify names it
			}
			if err != nil {
				return nil, err
			}
			if !request.IsReply(c.Kind) {
				ids = append(ids, like)
			}
		}
	}
	return ids, nil
}

// pictureOf is the file and the PDQ hashes of a picture, as a query takes them.
func pictureOf(m *request.Material) (c takedown.Candidate) {
	if m.Bytes != nil {
		c.SHA256 = *m.Bytes
	}
	for _, k := range asItIs(m.Hashes) {
		if k.Hash.Algorithm() == phash.AlgPDQ {
			c.Hashes = append(c.Hashes, k.Hash)
		}
	}
	return c
}

// flagSame flags a new case, and the undecided ones that are about the same, so that
// the reviewer of one knows of the others. Cases that cannot be read keep no new one out.
func (d *Desk) flagSame(ctx context.Context, c *caseRecord, mats []request.Material) (others []*caseRecord, err error) {
	ids, err := d.pendingLike(ctx, c.ID, c.Kind, mats)
	if errors.Is(err, ErrStore) {
		return nil, nil // the index is damaged
	}
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		other, err := d.store.get(id)
		if err != nil {
			return nil, err
		}
		flag := FlagSamePending
		if c.Claim == request.ClaimOwner && other.Claim == request.ClaimOwner && !(len(c.Party) > 0 && bytes.Equal(c.Party, other.Party)) {
			flag = FlagPendingContradiction
		}
		c.flag(flag)
		if !slices.Contains(other.Flags, flag) {
			other.flag(flag)
			others = append(others, other)
		}
	}
	return others, nil
}

// SameAs returns the undecided cases that are about one of the same addresses or
// pictures as a case, the newest first. Those of the same requester and kind, with
// nothing else in them, can be decided together: see [Desk.AcceptAll] and
// [Desk.RejectAll].
func (d *Desk) SameAs(ctx context.Context, id takedown.CaseID) ([]takedown.CaseID, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c, err := d.store.get(id)
	if err != nil {
		return nil, err
	}
	mats, err := d.store.material(id)
	if err != nil {
		return nil, err
	}
	return d.pendingLike(ctx, id, c.Kind, mats)
}

// RejectAll rejects several cases for the same reason, each by itself. The errors are
// those of the cases that were not rejected, by their ids; the others are.
func (d *Desk) RejectAll(ctx context.Context, ids []takedown.CaseID, r Refusal) map[takedown.CaseID]error {
	r.Seen = 0
	return d.all(ctx, ids, func(id takedown.CaseID) error { return d.Reject(ctx, id, r) })
}

// AcceptAll accepts several cases on the same terms, each by itself, as RejectAll
// rejects them. Decisions about single items cannot be shared.
func (d *Desk) AcceptAll(ctx context.Context, ids []takedown.CaseID, g Grant) map[takedown.CaseID]error {
	g.Seen = 0
	return d.all(ctx, ids, func(id takedown.CaseID) error {
		if len(g.Items) > 0 {
			return &GrantError{id, "a grant of several cases has no decisions about single items"}
		}
		return d.Accept(ctx, id, g)
	})
}

func (d *Desk) all(ctx context.Context, ids []takedown.CaseID, f func(takedown.CaseID) error) map[takedown.CaseID]error {
	failed := map[takedown.CaseID]error{}
	for _, id := range ids {
		if err := errors.Join(ctx.Err(), f(id)); err != nil {
			failed[id] = err
		}
	}
	return failed
}

// CloseSame rejects the undecided cases of the same requester that ask for the same as
// a case in force, as covered by it, and returns their ids. One decision answers all.
func (d *Desk) CloseSame(ctx context.Context, id takedown.CaseID, a Actor) (closed []takedown.CaseID, err error) {
	c, err := d.store.get(id)
	if err != nil {
		return nil, err
	}
	if c.State != StateInForce {
		return nil, &MoveError{id, c.State, "covering"}
	}
	ids, err := d.SameAs(ctx, id)
	if err != nil {
		return nil, err
	}
	for _, other := range ids {
		covered, err := d.coveredBy(other, c)
		if err == nil && covered {
			err = d.Reject(ctx, other, Refusal{Actor: a, Outcome: OutcomeDuplicateOf, Same: id})
		}
		if err != nil {
			return closed, fmt.Errorf("takedown: case %v: %w", other, err)
		}
		if covered {
			closed = append(closed, other)
		}
	}
	return closed, nil
}

// coveredBy reports whether a case is of the requester of another one, and asks for
// nothing that the other one does not have in force.
func (d *Desk) coveredBy(id takedown.CaseID, c *caseRecord) (bool, error) {
	other, err := d.store.get(id)
	if err != nil || other.Asked > c.Granted || len(c.Party) == 0 || !bytes.Equal(c.Party, other.Party) {
		return false, err
	}
	mine, err := d.store.material(c.ID)
	if err != nil {
		return false, err
	}
	mats, err := d.store.material(id)
	if err != nil {
		return false, err
	}
	for i := range min(len(mats), len(other.Items)) {
		if !slices.ContainsFunc(mine, func(m request.Material) bool { return m.Same(&mats[i]) }) || other.Items[i].Kind == request.ItemFace {
			return false, nil
		}
	}
	return len(mats) > 0 && len(c.Territories) == 0 && c.End.IsZero(), nil
}
