package desk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// What the desk does with cases about children and intimate images is here:
//
// They come first in the queue. Their pictures are never kept by
// Options.KeepPictures, and no export has a picture. Pages must not show them
// before somebody asks for them: see [Case.Delicate].
//
// The desk sends no picture to anybody, computes nothing of it but hashes, and
// reports nothing by itself: who has to report what to whom is for the operator's
// counsel to say. Options.HandOver tells the operator of each case, and
// [Desk.MarkReported] records the report and preserves the case.

// ErrNotAllowed is returned when a reviewer may not decide or see a case about a
// child: see Options.ChildSafety.
var ErrNotAllowed = errors.New("takedown: the case is about a child, and the reviewer is not responsible for child safety")

// Delicate reports that the pictures of a case must not be shown unless somebody asks
// for them, and then blurred first: it is about a child, or about an intimate image.
func (c *Case) Delicate() bool {
	return c.Kind == request.KindIntimateImage || c.aboutChild() || c.Ground == request.GroundIntimateImage
}

func (c *Case) aboutChild() bool { return slices.Contains(c.Flags, request.FlagChildSafety) }

// mayDecide refuses reviewers who may not decide a case.
func (d *Desk) mayDecide(c *caseRecord, a Actor) error {
	if c.aboutChild() && d.opts.ChildSafety != nil && !d.opts.ChildSafety(a.By) {
		return fmt.Errorf("%w: case %v", ErrNotAllowed, c.ID)
	}
	return nil
}

const factViewed State = "viewed"

// View returns a case for a reviewer, and records in the log who looked at it. a.By is
// required. A reviewer who is not responsible for child safety gets a case about a
// child without its request and pictures.
func (d *Desk) View(ctx context.Context, id takedown.CaseID, a Actor) (Case, error) {
	if err := a.decider(); err != nil {
		return Case{}, err
	}
	if err := d.step(ctx, id, func(c *caseRecord, now time.Time) (change, error) {
		c.note(c.State, factViewed, a, now)
		return change{}, nil
	}); err != nil {
		return Case{}, err
	}
	c, err := d.Case(ctx, id)
	if err == nil && d.mayDecide(&caseRecord{Case: c}, a) != nil {
		c.Request, c.Pictures = nil, nil
	}
	return c, err
}

// MarkReported records that a case about a child was reported to the authority or the
// hotline that the law names, and preserves it: its personal data cannot be erased for
// that time. 18 U.S.C. 2258A demands one year.
func (d *Desk) MarkReported(ctx context.Context, id takedown.CaseID, a Actor, preserve time.Duration) error {
	if err := a.decider(); err != nil {
		return err
	}
	if err := notNegative("preserve", preserve); err != nil {
		return err
	}
	return d.step(ctx, id, func(c *caseRecord, now time.Time) (change, error) {
		if !c.aboutChild() || c.Erased() {
			return change{}, &MoveError{id, c.State, State(MilestoneReported)}
		}
		if err := d.mayDecide(c, a); err != nil {
			return change{}, err
		}
		c.happened(MilestoneReported, now)
		if until := now.Add(preserve); until.After(c.PreserveUntil) {
			c.PreserveUntil = until
		}
		c.note(c.State, State(MilestoneReported), a, now)
		return change{}, nil
	})
}
