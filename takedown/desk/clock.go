package desk

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/staydown/staydown/internal/territory"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// Milestone is an event that happens at most once to a case, and at which clocks
// start.
type Milestone string

const (
	MilestoneReceived        Milestone = "received"
	MilestoneReceiptTold     Milestone = "receipt_told" // a Notifier took the confirmation of receipt
	MilestoneEmailConfirmed  Milestone = "email_confirmed"
	MilestoneCompleted       Milestone = "completed"        // a request that had to be completed is complete
	MilestoneDecided         Milestone = "decided"          // accepted or rejected
	MilestoneEnforced        Milestone = "enforced"         // its rules apply
	MilestoneInformed        Milestone = "informed"         // the decision was told to the requester
	MilestoneExtended        Milestone = "extended"         // the requester was told that more time is needed, and why
	MilestoneCounterReceived Milestone = "counter_received" // of a counter-notice: a valid one came in
	MilestoneCourtNotice     Milestone = "court_notice"     // word of a court action against the counter-notice
	MilestoneEnded           Milestone = "ended"            // its rules are out of force
	MilestoneClosed          Milestone = "closed"
	MilestoneReported        Milestone = "reported" // a case about a child was reported to those whom the law names
	MilestoneErased          Milestone = "erased"   // the personal data
)

// Unit is a unit of a [Span].
type Unit string

const (
	UnitHours Unit = "hours"
	UnitDays  Unit = "days"
	// UnitBusinessDays: counted from the day after the start. The span ends at the
	// end of the last business day.
	UnitBusinessDays Unit = "business_days"
	// UnitMonths: months of the calendar: one month after January 31 is the last
	// day of February, at the same time of day.
	UnitMonths Unit = "months"
)

// Span is a length of time. The zero Span is no time.
type Span struct {
	N    int
	Unit Unit
}

// String returns the span in English, such as "6 months".
func (s Span) String() string {
	unit := strings.ReplaceAll(string(s.Unit), "_", " ")
	if s.N == 1 {
		unit = strings.TrimSuffix(unit, "s")
	}
	return fmt.Sprintf("%d %s", s.N, unit)
}

// Pause is a time in which a pausable clock stands still. A zero To means that the
// pause has not ended.
type Pause struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to,omitzero"`
}

// Deadline is a rule about the time limit of an action, as data. A caller adds the
// deadlines of another law with rows in [Options].
type Deadline struct {
	Regime request.Regime
	Name   string // what has to be done
	// Kinds are the kinds of requests for which it is done, whatever their regime.
	// Empty is all of the regime that block something. Of replies to a case, only
	// those that are named here have deadlines.
	Kinds []takedown.Kind
	// Claim, unless empty, selects the opt-outs with that claim, and Countries the
	// requests of people who live there, or that name the law of one of these
	// countries: ISO 3166-1, or the sets "EU27" and "EEA30". A case can have
	// deadlines of several regimes.
	Claim     request.Claim
	Countries []string
	// Start is the milestone from which the time is counted. If, unless empty, is
	// a milestone that must also have happened.
	Start, If Milestone
	// Done are the milestones that end it, whichever comes first.
	Done []Milestone
	// NotBefore is the earliest time for the action, NotAfter the latest. If the
	// law has no number ("without undue delay") both are zero, and the row only
	// records its basis.
	NotBefore, NotAfter Span
	// Calendar names the calendar in Options by which business days and months are
	// counted. Empty means UTC with Saturdays and Sundays off.
	Calendar string
	// Pausable reports that the clock stands still while the case waits for its
	// requester. A business day counts if the clock is running at its end.
	Pausable bool
	// Basis is the provision, or another source of the row.
	Basis string
	// Verified is the day on which Basis was compared with the text of the law, as
	// "2026-11-21". A row of [Deadlines] without it is off by default: see
	// Options.UnverifiedDeadlines.
	Verified string
}

// Calendar defines which days are business days, and in which time zone days
// begin.
type Calendar struct {
	// Version names the list of holidays, such as "US federal 2026-1".
	Version  string
	Location *time.Location // nil is UTC
	// Holidays are dates, as "2026-07-03".
	Holidays []string
	// Weekend are the days of the week that are not business days; nil means
	// Saturday and Sunday.
	Weekend []time.Weekday
}

func (c Calendar) location() *time.Location {
	if c.Location == nil {
		return time.UTC
	}
	return c.Location
}

// businessDay reports whether the day of t is one.
func (c Calendar) businessDay(t time.Time) bool {
	weekend := c.Weekend
	if weekend == nil {
		weekend = []time.Weekday{time.Saturday, time.Sunday}
	}
	return !slices.Contains(weekend, t.Weekday()) && !slices.Contains(c.Holidays, t.Format(time.DateOnly))
}

// Add returns the time at which a span that begins at start is over.
func (c Calendar) Add(start time.Time, s Span) time.Time {
	return c.add(start, s, func(time.Time) bool { return false })
}

// add is Add without the business days at whose end the clock stands still.
func (c Calendar) add(start time.Time, s Span, stands func(time.Time) bool) time.Time {
	t := start.In(c.location())
	switch s.Unit {
	case UnitHours:
		t = t.Add(time.Duration(s.N) * time.Hour)
	case UnitDays:
		t = t.AddDate(0, 0, s.N)
	case UnitMonths:
		y, m, d := t.Date()
		hour, minute, sec := t.Clock()
		last := time.Date(y, m+time.Month(s.N)+1, 0, 0, 0, 0, 0, t.Location()).Day()
		t = time.Date(y, m+time.Month(s.N), min(d, last), hour, minute, sec, t.Nanosecond(), t.Location())
	case UnitBusinessDays:
		y, m, d := t.Date()
		end := func() time.Time { return time.Date(y, m, d+1, 0, 0, 0, 0, t.Location()) }
		// A calendar of nothing but holidays must not hang the desk.
		for n, i := 0, 0; n < s.N && i < 366*10; i++ {
			d++
			if c.businessDay(time.Date(y, m, d, 12, 0, 0, 0, t.Location())) && !stands(end()) {
				n++
			}
		}
		t = end()
	}
	return t.UTC()
}

// addPaused is Add for a clock that stands still in pauses. One that lasts is
// taken to end now; paused says so.
func (c Calendar) addPaused(start time.Time, s Span, pauses []Pause, now time.Time) (t time.Time, paused bool) {
	var over []Pause
	for _, p := range pauses {
		if p.To.IsZero() {
			p.To, paused = now, true
		}
		if p.From.Before(start) {
			p.From = start
		}
		if p.From.Before(p.To) {
			over = append(over, p)
		}
	}
	if s.Unit == UnitBusinessDays { // they are counted, and a day that is not over has not passed
		return c.add(start, s, func(t time.Time) bool {
			return slices.ContainsFunc(over, func(p Pause) bool { return p.From.Before(t) && !p.To.Before(t) })
		}), paused
	}
	t = c.Add(start, s)
	for _, p := range over {
		if p.From.Before(t) { // one that begins before the deadline moves it by its length
			t = t.Add(p.To.Sub(p.From))
		}
	}
	return t, paused
}

// Due is something that has to be done about a case.
type Due struct {
	Case takedown.CaseID
	Kind takedown.Kind
	// Priority ranks the case before its deadline does: 0 comes first. See [ByUrgency].
	Priority uint8
	Deadline Deadline
	// Start is from when it is counted.
	Start time.Time
	// NotBefore and NotAfter bound the deadline; zero means no bound. Where both
	// are zero, the law requires action "without undue delay", so the deadline is
	// due since Start.
	NotBefore, NotAfter time.Time
	// Paused reports that the clock stands still now. NotAfter is computed as if
	// it continued now.
	Paused bool
}

// by is when something is due at the latest; ok is false for what may be done
// from some time on, and need not be.
func (d *Due) by() (t time.Time, ok bool) {
	if d.NotAfter.IsZero() && d.NotBefore.IsZero() {
		return d.Start, true
	}
	return d.NotAfter, !d.NotAfter.IsZero()
}

// of reports whether a row is for a case.
func (row *Deadline) of(c *Case) bool {
	switch {
	case len(row.Kinds) > 0 && !slices.Contains(row.Kinds, c.Kind),
		len(row.Kinds) == 0 && (request.IsReply(c.Kind) || row.Regime != c.Regime),
		row.Claim != "" && row.Claim != c.Claim,
		len(row.Countries) > 0 && !amongPlaces(row.Countries, c.Country) && !amongPlaces(row.Countries, c.LawCountry):
		return false
	}
	return true
}

// amongPlaces reports whether a country is one of some countries and sets of countries.
func amongPlaces(places []string, country string) bool {
	if country == "" {
		return false
	}
	elsewhere, err := territory.Beyond([]string{country}, places)
	return err == nil && !elsewhere
}

// clock computes the times of a deadline of a case. ok is false when it has not
// begun.
func (row *Deadline) clock(c *Case, calendars map[string]Calendar, now time.Time) (d Due, ok bool) {
	start, ok := c.Times[row.Start]
	if !ok || row.If != "" && c.Times[row.If].IsZero() {
		return d, false
	}
	if at := c.Times[MilestoneEmailConfirmed]; row.Regime == request.RegimeOperator && handlings[c.Kind].waits && at.After(start) {
		start = at // nobody could act on it before
	}
	d = Due{Case: c.ID, Kind: c.Kind, Priority: priorityOf(c), Deadline: *row, Start: start}
	cal := calendars[row.Calendar]
	for _, x := range []struct {
		span Span
		at   *time.Time
	}{{row.NotBefore, &d.NotBefore}, {row.NotAfter, &d.NotAfter}} {
		if x.span == (Span{}) {
			continue
		}
		if row.Pausable {
			*x.at, d.Paused = cal.addPaused(start, x.span, c.Pauses, now)
		} else {
			*x.at = cal.Add(start, x.span)
		}
	}
	return d, true
}

// due computes the open deadlines of a case.
func due(c *Case, rows []Deadline, calendars map[string]Calendar, now time.Time) (list []Due) {
	for i := range rows {
		row := &rows[i]
		if !row.of(c) || slices.ContainsFunc(row.Done, func(m Milestone) bool { return !c.Times[m].IsZero() }) {
			continue
		}
		if row.NotBefore == (Span{}) && (c.State == StateWithdrawn || c.State == StateClosed || c.Erased()) {
			continue // nobody waits for it any more, or nobody can be told
		}
		if row.Regime == request.RegimeOperator && c.State == StateUnconfirmed {
			continue
		}
		if d, ok := row.clock(c, calendars, now); ok {
			list = append(list, d)
		}
	}
	return list
}

// clockOf computes the times of the deadline of a name, also when it is done. ok
// is false when it has not begun, or the case has none.
func (d *Desk) clockOf(c *Case, name string, now time.Time) (x Due, ok bool) {
	for i := range d.deadlines {
		if row := &d.deadlines[i]; row.Name == name && row.of(c) {
			return row.clock(c, d.calendars, now)
		}
	}
	return x, false
}

// complaintWindow is how long a decision about a case can be complained about;
// zero if no deadline of its regime says so.
func (d *Desk) complaintWindow(c *Case) Span {
	for i := range d.deadlines {
		if row := &d.deadlines[i]; row.Name == "complaint_window" && row.of(c) {
			return row.NotBefore
		}
	}
	return Span{}
}

// affectedWindow is how long the party that a restriction affects can complain about
// it, whatever law or terms it rests on: Article 20(1) DSA.
func (d *Desk) affectedWindow() Span {
	for i := range d.deadlines {
		if row := &d.deadlines[i]; row.Name == "complaint_window" && row.Regime == request.RegimeDSA {
			return row.NotBefore
		}
	}
	return Span{}
}

// Due returns the deadlines of all cases that end before a time: by the priority of
// their cases, then the most urgent first. An action that a law requires without
// undue delay is due since its clock began. The zero time lists all deadlines.
func (d *Desk) Due(ctx context.Context, before time.Time) (list []Due, err error) {
	now := d.clock()
	err = d.store.db.View(func(tx StoreTx) error {
		var ids []takedown.CaseID
		for _, prefix := range []byte{ixDue, ixPaused} {
			if err := d.store.eachUntil(tx, prefix, before, func(id takedown.CaseID, _ time.Time) error {
				ids = append(ids, id)
				return ctx.Err()
			}); err != nil {
				return err
			}
		}
		for _, id := range ids {
			if err := ctx.Err(); err != nil {
				return err
			}
			c, err := d.store.getIn(tx, id)
			if err != nil {
				return err
			}
			for _, x := range due(&c.Case, d.deadlines, d.calendars, now) {
				if by, ok := x.by(); ok && (before.IsZero() || by.Before(before)) {
					list = append(list, x)
				}
			}
		}
		return nil
	})
	slices.SortStableFunc(list, func(a, b Due) int {
		at, _ := a.by()
		bt, _ := b.by()
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), at.Compare(bt), bytes.Compare(a.Case[:], b.Case[:]))
	})
	return list, cmp.Or(err, ctx.Err())
}

// DueOf returns all open deadlines of one case, also those without a date.
func (d *Desk) DueOf(ctx context.Context, id takedown.CaseID) ([]Due, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c, err := d.store.get(id)
	if err != nil {
		return nil, err
	}
	return due(&c.Case, d.deadlines, d.calendars, d.clock()), nil
}

// TooEarlyError reports that an action is not allowed yet.
type TooEarlyError struct {
	ID        takedown.CaseID
	Deadline  string    // the name of the deadline
	NotBefore time.Time // zero when it has not begun
}

func (e *TooEarlyError) Error() string {
	if e.NotBefore.IsZero() {
		return fmt.Sprintf("takedown: case %v: the time for %s has not begun", e.ID, e.Deadline)
	}
	return fmt.Sprintf("takedown: case %v: %s not before %s", e.ID, e.Deadline, e.NotBefore.Format(time.RFC3339))
}

// TooLateError reports that the time for an action is over.
type TooLateError struct {
	ID       takedown.CaseID
	Deadline string // the name of the deadline that is over
	NotAfter time.Time
}

func (e *TooLateError) Error() string {
	return fmt.Sprintf("takedown: case %v: not after %s, when %s was due", e.ID, e.NotAfter.Format(time.RFC3339), e.Deadline)
}

// tooEarly checks the deadline of a name, if it is one of the case, against its
// NotBefore. One that has not begun is not over.
func (d *Desk) tooEarly(c *Case, name string) error {
	now := d.clock()
	for i := range d.deadlines {
		row := &d.deadlines[i]
		if row.Name != name || !row.of(c) || row.NotBefore == (Span{}) {
			continue
		}
		if x, ok := row.clock(c, d.calendars, now); !ok || now.Before(x.NotBefore) {
			return &TooEarlyError{c.ID, name, x.NotBefore}
		}
	}
	return nil
}
