package desk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
)

// ErrFacesLost is wrapped by errors about faces in force whose template keys are
// lost. Neither the list nor the desk has their keys, so these faces cannot be
// recognised. Errors that wrap it are [*FacesLostError].
var ErrFacesLost = errors.New("takedown: faces in force are lost")

// FacesLostError lists the cases whose faces are lost.
type FacesLostError struct {
	Cases []takedown.CaseID
}

func (e *FacesLostError) Error() string {
	return fmt.Sprintf("%v: those of cases %v; restore the files of keys that belong to cases.db, or open the desk with desk.Options.Salvage and withdraw these cases", ErrFacesLost, e.Cases)
}

// Unwrap returns ErrFacesLost.
func (e *FacesLostError) Unwrap() error { return ErrFacesLost }

// restoreFaces makes the rules anew whose faces the list has lost, with the
// templates that the desk has. Serving the list as it is would silently show
// again what was removed.
func (d *Desk) restoreFaces(ctx context.Context) error {
	lost := d.list.State().RulesWithoutFaces()
	if len(lost) == 0 {
		return nil
	}
	isLost := func(rule uint64) bool { return slices.Contains(lost, rule) }
	var ids, gone []takedown.CaseID
	err := d.store.each(func(c *caseRecord) bool {
		if slices.ContainsFunc(c.Rules, isLost) {
			ids = append(ids, c.ID)
		}
		return true
	})
	if err != nil {
		return err
	}
	for _, id := range ids {
		c, err := d.store.get(id)
		if err != nil {
			return err
		}
		ch, err := d.sealAgain(c, isLost, d.clockFor(c))
		if errors.Is(err, ErrTemplateDestroyed) || errors.As(err, new(*MoveError)) {
			gone = append(gone, id)
			continue
		}
		if err != nil {
			return err
		}
		ch.cases = []*caseRecord{c}
		if err := d.enact(ctx, ch); err != nil {
			return err
		}
	}
	if len(d.list.State().RulesWithoutFaces()) > 0 && !d.opts.Salvage {
		return &FacesLostError{gone}
	}
	return nil
}

// sealAgain is the change that puts rules about faces, as they are, into the
// place of those that are lost. Nobody is told: nothing else was decided.
func (d *Desk) sealAgain(c *caseRecord, isLost func(rule uint64) bool, now time.Time) (change, error) {
	if c.State != StateInForce {
		return change{}, &MoveError{c.ID, c.State, StateEnforcing}
	}
	var ending []uint64
	var rules []blocklist.Rule
	var covers [][]int
	for _, old := range c.Rules {
		rule, _, ok := d.list.State().Rule(old)
		if !ok || !isLost(old) {
			continue
		}
		var items []int
		for i := range c.Items {
			if c.Items[i].Rule == old {
				items = append(items, i)
			}
		}
		ending, rules, covers = append(ending, old), append(rules, rule), append(covers, items)
	}
	ch, err := d.exchange(c, ending, rules, covers, StateInForce, Actor{Reason: "face_keys_lost"}, now)
	c.Silent = true
	return ch, err
}
