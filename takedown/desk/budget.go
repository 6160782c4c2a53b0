package desk

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math/bits"
	"slices"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/counts"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// DefaultMatchBudget is how many different pictures a rule may match weakly in
// one day before the desk raises an alarm: see [Options].MatchBudget.
const DefaultMatchBudget = 50

// Alarm reports that in one day a rule has weakly matched more different pictures
// than the match budget allows. An alarm changes nothing: the rule continues to
// block.
//
// A reviewer looks at the matches with [Desk.Preview]. The reviewer then excepts
// wrong matches ([Desk.Resolve]), narrows the terms ([Desk.Amend]), ends the case,
// or finds no error. [Desk.SettleAlarms] records the review.
type Alarm struct {
	Case takedown.CaseID `json:"case"`
	Rule uint64          `json:"rule"`
	Day  time.Time       `json:"day"` // midnight UTC
	// Pictures is about how many there were when the alarm was raised; more may
	// have come since.
	Pictures int `json:"pictures"`
	// Settled reports whether a reviewer has settled the alarm.
	Settled bool `json:"settled,omitempty"`
}

// ErrMatchCountsFull is returned when more rules were matched in a day than can be
// counted. The matches of the other rules were not counted. Alarms that are
// returned with it are valid.
var ErrMatchCountsFull = errors.New("takedown: match counts are full; not all rules are counted")

// ErrOtherList is returned for match counts of a list that is not the desk's own.
var ErrOtherList = errors.New("takedown: the match counts are of another list")

// AddMatchCounts adds the match counts that nodes report
// ([takedown.Enforcer.MatchCounts]) to those of the desk's own enforcer. It raises
// an alarm for each rule that is over its budget, once for each rule and day. Each
// alarm is recorded in its case and in the log. The new alarms are returned.
//
// Call it regularly, also without match counts, as with [Desk.Due]. Counts from
// before a restart are restored by the next report of each node.
//
// Only weak matches count: by a hash more than 10 bits away, or by features that
// do not prove the picture. A picture with a better match for some rule does not
// count. Of a rule about a face every match counts, also those that block. Matches for requests about intimate pictures and for orders do not count.
func (d *Desk) AddMatchCounts(ctx context.Context, reports []takedown.MatchCounts) (raised []Alarm, err error) {
	d.mu.Lock()
	defer d.flush(ctx)
	defer d.mu.Unlock()
	view, now := d.list.State(), d.clock()
	today := counts.Day(now)
	d.tallies.forget(today)
	full := false
	for _, r := range slices.Concat(reports, d.enf.MatchCounts()) {
		c, e := countsOf(r)
		switch {
		case e != nil:
			err = errors.Join(err, e)
		case c.List == [16]byte{}:
		case c.List != view.ID():
			err = errors.Join(err, ErrOtherList)
		default:
			full = d.tallies.take(c, today, view) || full
		}
	}
	if full {
		err = errors.Join(err, ErrMatchCountsFull)
	}
	for _, a := range d.tallies.over(0) {
		rule, _, ok := view.Rule(a.Rule)
		budget := d.budget
		if rule.Scope == blocklist.ScopeFace {
			budget = cmp.Or(d.opts.FaceBudget, DefaultMatchBudget)
		}
		if !ok || budget < 0 || a.Pictures <= budget {
			continue
		}
		a.Case = rule.Case
		ok, e := d.raise(ctx, a, today)
		if errors.Is(e, ErrNoCase) {
			continue // a rule of another desk's making
		}
		if err = errors.Join(err, e); e != nil {
			return raised, err
		}
		if ok {
			raised = append(raised, a)
		}
	}
	return raised, err
}

// countsOf reads match counts in the form in which a node sends it.
func countsOf(t takedown.MatchCounts) (c counts.Counts, err error) {
	b, err := t.MarshalBinary()
	if err == nil {
		err = c.UnmarshalBinary(b)
	}
	return c, err
}

// raise notes an alarm in its case, unless it is there.
func (d *Desk) raise(ctx context.Context, a Alarm, today int64) (isNew bool, err error) {
	same := func(b Alarm) bool { return b.Rule == a.Rule && b.Day.Equal(a.Day) }
	c, err := d.store.get(a.Case)
	if err != nil || slices.ContainsFunc(c.Alarms, same) {
		return false, err
	}
	err = d.locked(ctx, a.Case, func(c *caseRecord, now time.Time) (change, error) {
		if !slices.Contains(c.Rules, a.Rule) {
			return change{}, nil // a move that was cut short has just ended it
		}
		isNew = true
		// Those of days that are over, and were settled, are in the log.
		c.Alarms = slices.DeleteFunc(c.Alarms, func(b Alarm) bool { return b.Settled && counts.Day(b.Day) < today-1 })
		c.Alarms = append(c.Alarms, a)
		c.flagAlarms()
		c.note(c.State, c.State, Actor{Reason: "match_budget"}, now)
		return change{}, nil
	})
	return isNew && err == nil, err
}

// flagAlarms keeps the flag in step with the alarms.
func (c *caseRecord) flagAlarms() {
	c.Flags = slices.DeleteFunc(c.Flags, func(f request.Flag) bool { return f == FlagOverBudget })
	if slices.ContainsFunc(c.Alarms, func(a Alarm) bool { return !a.Settled }) {
		c.Flags = append(c.Flags, FlagOverBudget)
	}
}

// endAlarms drops the alarms of a rule that has ended.
func (c *caseRecord) endAlarms(rule uint64) {
	c.Alarms = slices.DeleteFunc(c.Alarms, func(a Alarm) bool { return a.Rule == rule })
	c.flagAlarms()
}

// Alarms returns the alarms of all cases that are not settled.
func (d *Desk) Alarms(ctx context.Context) (list []Alarm, err error) {
	err = d.search(ctx, &Query{Flags: []request.Flag{FlagOverBudget}}, func(s *search) error {
		var ids []takedown.CaseID
		if err := s.each(func(rank []byte) bool { ids = append(ids, idOf(rank)); return true }); err != nil {
			return err
		}
		for _, id := range ids {
			c, err := s.getIn(s.tx, id)
			if err != nil {
				return err
			}
			for _, a := range c.Alarms {
				if !a.Settled {
					list = append(list, a)
				}
			}
		}
		return nil
	})
	return list, err
}

// alarmsSettled stands in the log, and where a state would in an error.
const alarmsSettled State = "alarms_settled"

// SettleAlarms records that a reviewer has looked into the alarms of a case. They
// are not raised again for the same day. It fails with a [*MoveError] when the
// case has no alarms to settle.
func (d *Desk) SettleAlarms(ctx context.Context, id takedown.CaseID, a Actor) error {
	if err := a.check(); err != nil {
		return err
	}
	return d.step(ctx, id, func(c *caseRecord, now time.Time) (change, error) {
		if !slices.Contains(c.Flags, FlagOverBudget) {
			return change{}, &MoveError{id, c.State, alarmsSettled}
		}
		for i := range c.Alarms {
			c.Alarms[i].Settled = true
		}
		c.flagAlarms()
		c.note(c.State, alarmsSettled, a, now)
		return change{}, nil
	})
}

// match counts are what the desk has heard of all nodes: for each day and rule, the
// bits, ored. What is said again changes nothing. The desk's mutex guards it.
type tallies map[int64]map[uint64]uint64

// take adds match counts. Days of which nobody's clock can be right, and rules that
// the list does not have, are passed over, so that what nodes send is bounded.
func (t tallies) take(x counts.Counts, today int64, view *blocklist.State) (full bool) {
	for _, d := range x.Days {
		if d.Day < today-1 || d.Day > today+1 {
			continue
		}
		full = full || d.Full
		for _, r := range d.Rows {
			if _, state, ok := view.Rule(r.Rule); !ok || state == blocklist.RuleRevoked {
				continue
			}
			if t[d.Day] == nil {
				t[d.Day] = map[uint64]uint64{}
			}
			t[d.Day][r.Rule] |= r.Bits
		}
	}
	return full
}

// over returns the rules and days with more pictures than the budget, in order.
func (t tallies) over(budget int) (list []Alarm) {
	for day, rules := range t {
		for rule, set := range rules {
			if n := counts.Pictures[bits.OnesCount64(set)]; n > budget {
				list = append(list, Alarm{Rule: rule, Day: time.Unix(day*counts.DaySeconds, 0).UTC(), Pictures: n})
			}
		}
	}
	slices.SortFunc(list, func(a, b Alarm) int { return cmp.Or(a.Day.Compare(b.Day), cmp.Compare(a.Rule, b.Rule)) })
	return list
}

// forget drops days that are over.
func (t tallies) forget(today int64) {
	maps.DeleteFunc(t, func(day int64, _ map[uint64]uint64) bool { return day < today-1 })
}
