package desk

import (
	"context"
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

// Delicate reports that the pictures of a case must not be shown unless somebody asks
// for them, and then blurred first: it is about a child, or about an intimate image.
func (c *Case) Delicate() bool {
	return c.Kind == request.KindIntimateImage || c.aboutChild() || c.Ground == request.GroundIntimateImage
}

func (c *Case) aboutChild() bool { return slices.Contains(c.Flags, request.FlagChildSafety) }

// What stands in the log of somebody who has looked at a case, or handed it out.
const (
	factViewed      State = "viewed"
	factViewedPaper State = "viewed_paper"
	factExported    State = "exported"
)

// View returns a case for a reviewer, and records in the log who looked at it. a.By is
// required. A reviewer who may not see it (Options.May), or who is not responsible for
// child safety, gets it without its request, pictures and finding.
func (d *Desk) View(ctx context.Context, id takedown.CaseID, a Actor) (Case, error) {
	return d.look(ctx, id, a, factViewed)
}

// look is View with what the log says of it.
func (d *Desk) look(ctx context.Context, id takedown.CaseID, a Actor, what State) (Case, error) {
	if err := a.decider(); err != nil {
		return Case{}, err
	}
	if err := d.stepEnding(ctx, id, func(c *caseRecord, now time.Time) (change, error) {
		if what == factExported {
			if err := d.may(&c.Case, a, DutyProtect); err != nil {
				return change{}, err
			}
		}
		c.note(c.State, what, a, now)
		return change{}, nil
	}); err != nil {
		return Case{}, err
	}
	c, err := d.Case(ctx, id)
	if err == nil && d.maySee(&c, a) != nil {
		c.Request, c.Pictures, c.Finding = nil, nil, Finding{}
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
