package desk

import (
	"cmp"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// TransparencyReport has the numbers of a period that a desk knows, in the cut of the
// template of Implementing Regulation (EU) 2024/2835: orders by state and category,
// notices by category and source, and complaints by outcome. Its inputs are codes of
// the cases, which survive an erasure. What it lacks, the operator adds: the service,
// its users, the people who moderate, and what was moderated without a request.
type TransparencyReport struct {
	From, To time.Time
	Rows     []ReportRow
	// Exceptions and Copies are the answers to matches in the period: wrong ones, and
	// right ones. Their share is the accuracy of the automated means.
	Exceptions, Copies int
}

// ReportRow counts the requests of one kind, source, category and state that were
// received in the period.
type ReportRow struct {
	Kind   takedown.Kind
	Source Origin
	// Category is that of the Transparency Database.
	Category string
	// State is the state of the authority of an order, else empty.
	State string

	Received, Accepted, Partly, Rejected, Unfounded, Open int
	// Items are the things that were asked for, ItemsAccepted those that were granted.
	Items, ItemsAccepted int
	// OnLaw and OnTerms are the accepted ones by the ground of the decision.
	OnLaw, OnTerms int
	// Automated are the accepted ones whose decision software applies to copies.
	Automated int
	// MedianReceipt, MedianDecision and MedianEffect are the median times from the
	// receipt until it was confirmed, decided, and in force; 0 if there are none.
	MedianReceipt, MedianDecision, MedianEffect time.Duration

	times [3][]time.Duration
}

// TransparencyReport returns the report about the requests that were received from a
// time on and before another one.
func (d *Desk) TransparencyReport(ctx context.Context, from, to time.Time) (r TransparencyReport, err error) {
	if !from.Before(to) {
		return r, &takedown.ArgumentError{Name: "to", Why: "it is not after from"}
	}
	r.From, r.To = from.UTC(), to.UTC()
	rows := map[string]*ReportRow{}
	if err := d.eachCase(ctx, func(c Case) bool {
		if !c.Received.Before(from) && c.Received.Before(to) {
			key := reportRow(&c)
			name := fmt.Sprint(key.Kind, key.Source, key.Category, key.State)
			if rows[name] == nil {
				rows[name] = &key
			}
			rows[name].add(&c)
		}
		return true
	}); err != nil {
		return r, err
	}
	for _, row := range rows {
		for i, to := range []*time.Duration{&row.MedianReceipt, &row.MedianDecision, &row.MedianEffect} {
			*to = median(row.times[i])
		}
		row.times = [3][]time.Duration{}
		r.Rows = append(r.Rows, *row)
	}
	slices.SortFunc(r.Rows, func(a, b ReportRow) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Category, b.Category), cmp.Compare(a.State, b.State))
	})
	return r, d.eachEntry(ctx, 1, func(e LogEntry) bool {
		if !e.Time.Before(from) && e.Time.Before(to) {
			switch e.To {
			case factException:
				r.Exceptions++
			case factDerived:
				r.Copies++
			}
		}
		return true
	})
}

// reportRow returns the empty row to which a case belongs.
func reportRow(c *Case) ReportRow {
	row := ReportRow{Kind: c.Kind, Source: handlings[c.Kind].origin}
	if slices.Contains(c.Flags, FlagFlaggerConfirmed) {
		row.Source = OriginTrustedFlagger
	}
	if !request.IsReply(c.Kind) {
		row.Category = grounds[groundOf(c)].category
	}
	if c.Kind == request.KindAuthorityOrder {
		row.State = c.LawCountry
	}
	return row
}

func (r *ReportRow) add(c *Case) {
	r.Received++
	r.Items += len(c.Items)
	for _, it := range c.Items {
		if it.Outcome == OutcomeAccepted {
			r.ItemsAccepted++
		}
	}
	switch {
	case c.Outcome == OutcomeAccepted, c.Outcome == OutcomePartly:
		if c.Outcome == OutcomePartly {
			r.Partly++
		} else {
			r.Accepted++
		}
		if c.OnTerms {
			r.OnTerms++
		} else {
			r.OnLaw++
		}
		if c.Granted > takedown.ScopeURL {
			r.Automated++
		}
	case c.Outcome == OutcomeUnfounded:
		r.Unfounded++
	case c.Outcome != "":
		r.Rejected++
	default:
		r.Open++
	}
	for i, m := range []Milestone{MilestoneReceiptTold, MilestoneDecided, MilestoneEnforced} {
		if at, ok := c.Times[m]; ok {
			r.times[i] = append(r.times[i], max(0, at.Sub(c.Received)))
		}
	}
}

func median(list []time.Duration) time.Duration {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	n := len(list)
	return (list[(n-1)/2] + list[n/2]) / 2
}

// WriteCSV writes the rows as a table. Times are hours.
func (r TransparencyReport) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	lines := [][]string{{
		"kind", "source", "category", "state", "received", "accepted", "partly", "rejected", "unfounded", "open", "items", "items_accepted",
		"on_law", "on_terms", "automated", "median_receipt_hours", "median_decision_hours", "median_effect_hours",
	}}
	hours := func(d time.Duration) string { return strconv.FormatFloat(d.Hours(), 'f', 2, 64) }
	for _, x := range r.Rows {
		line := []string{x.Kind.String(), string(x.Source), x.Category, x.State}
		for _, n := range []int{x.Received, x.Accepted, x.Partly, x.Rejected, x.Unfounded, x.Open, x.Items, x.ItemsAccepted, x.OnLaw, x.OnTerms, x.Automated} {
			line = append(line, strconv.Itoa(n))
		}
		lines = append(lines, append(line, hours(x.MedianReceipt), hours(x.MedianDecision), hours(x.MedianEffect)))
	}
	if err := out.WriteAll(lines); err != nil {
		return fmt.Errorf("takedown: transparency report: %w", err)
	}
	return nil
}
