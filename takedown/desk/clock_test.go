package desk_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

func at(s string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestCalendar_Add(t *testing.T) {
	t.Parallel()
	bangkok := time.FixedZone("Bangkok", 7*3600)
	us := desk.Calendar{Holidays: []string{"2026-02-16", "2026-07-03"}}
	for _, tc := range []struct {
		name  string
		cal   desk.Calendar
		start string
		span  desk.Span
		want  string
	}{
		{"hours", us, "2026-02-13 23:30", desk.Span{N: 48, Unit: desk.UnitHours}, "2026-02-15 23:30"},
		{"days", us, "2026-02-27 10:00", desk.Span{N: 2, Unit: desk.UnitDays}, "2026-03-01 10:00"},
		{"a month", us, "2026-03-15 10:00", desk.Span{N: 1, Unit: desk.UnitMonths}, "2026-04-15 10:00"},
		{"a month from a month's end", us, "2026-01-31 10:00", desk.Span{N: 1, Unit: desk.UnitMonths}, "2026-02-28 10:00"},
		{"a month from a month's end in a leap year", us, "2028-01-31 10:00", desk.Span{N: 1, Unit: desk.UnitMonths}, "2028-02-29 10:00"},
		{"a month from leap day", us, "2028-02-29 10:00", desk.Span{N: 1, Unit: desk.UnitMonths}, "2028-03-29 10:00"},
		{"twelve months from leap day", us, "2028-02-29 10:00", desk.Span{N: 12, Unit: desk.UnitMonths}, "2029-02-28 10:00"},
		{"three months over the new year", us, "2026-11-30 10:00", desk.Span{N: 3, Unit: desk.UnitMonths}, "2027-02-28 10:00"},
		{"six months", us, "2026-08-31 10:00", desk.Span{N: 6, Unit: desk.UnitMonths}, "2027-02-28 10:00"},
		{"a month where the day has begun already", desk.Calendar{Location: bangkok}, "2026-01-30 18:00", desk.Span{N: 1, Unit: desk.UnitMonths}, "2026-02-27 18:00"},
		{"a business day after a Thursday", us, "2026-02-12 10:00", desk.Span{N: 1, Unit: desk.UnitBusinessDays}, "2026-02-14 00:00"},
		{"a business day after a Friday, Monday is a holiday", us, "2026-02-13 10:00", desk.Span{N: 1, Unit: desk.UnitBusinessDays}, "2026-02-18 00:00"},
		{"a business day that begins on a Sunday", us, "2026-02-22 10:00", desk.Span{N: 1, Unit: desk.UnitBusinessDays}, "2026-02-24 00:00"},
		{"ten", us, "2026-02-02 10:00", desk.Span{N: 10, Unit: desk.UnitBusinessDays}, "2026-02-18 00:00"},
		{"fourteen over the fourth of July", us, "2026-06-22 10:00", desk.Span{N: 14, Unit: desk.UnitBusinessDays}, "2026-07-14 00:00"},
		{"another weekend", desk.Calendar{Weekend: []time.Weekday{time.Friday, time.Saturday}}, "2026-02-12 10:00", desk.Span{N: 1, Unit: desk.UnitBusinessDays}, "2026-02-16 00:00"},
		{"days end where the calendar is", desk.Calendar{Location: bangkok}, "2026-02-09 20:00", desk.Span{N: 1, Unit: desk.UnitBusinessDays}, "2026-02-11 17:00"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := tc.cal.Add(at(tc.start), tc.span); !got.Equal(at(tc.want)) {
				t.Errorf("%v", got)
			}
		})
	}
	// A calendar without a business day ends nowhere, but ends.
	never := desk.Calendar{Weekend: []time.Weekday{0, 1, 2, 3, 4, 5, 6}}
	if got := never.Add(at("2026-01-01 00:00"), desk.Span{N: 1, Unit: desk.UnitBusinessDays}); got.Year() < 2030 {
		t.Errorf("%v", got)
	}
}

// Every row of the table, from a receipt at the end of a month, as a desk
// computes it, with a pause where the law knows one.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	received := at("2026-01-31 12:00")
	all := samples(t, takedown.CaseID{})
	uk := all[request.KindGDPRRequest].(request.GDPRRequest)
	uk.UK = true
	for _, tc := range []struct {
		name    string
		request request.Request
		pause   time.Duration
		extend  bool
		want    map[string]string // name → NotAfter, empty for one without a date
	}{
		{"DSA", all[request.KindDSANotice], 0, false, map[string]string{"decide": ""}},
		{"DMCA", all[request.KindDMCANotice], 0, false, map[string]string{"take_down": ""}},
		{"GDPR", all[request.KindGDPRRequest], 0, false, map[string]string{"inform": "2026-02-28 12:00"}},
		{"GDPR does not pause", all[request.KindGDPRRequest], 72 * time.Hour, false, map[string]string{"inform": "2026-02-28 12:00"}},
		{"GDPR extended", all[request.KindGDPRRequest], 0, true, map[string]string{"inform_extended": "2026-04-30 12:00"}},
		{"UK", uk, 0, false, map[string]string{"inform": "2026-02-28 12:00"}},
		{"UK pauses", uk, 72 * time.Hour, false, map[string]string{"inform": "2026-03-03 12:00"}},
		{"UK pauses, extended", uk, 72 * time.Hour, true, map[string]string{"inform_extended": "2026-05-03 12:00"}},
		{"TAKE IT DOWN", all[request.KindIntimateImage], 0, false, map[string]string{"remove": "2026-02-02 12:00"}},
		{"an order", all[request.KindAuthorityOrder], 0, false, map[string]string{"report_effect": ""}},
		{"the operator's own", all[request.KindImageOptOut], 0, false, map[string]string{"answer": "2026-02-05 12:00", "promise": "2026-02-03 00:00"}},
		{"of who lives in Germany", livingIn(t, "DE", request.ClaimDepicted), 0, false, map[string]string{"answer": "2026-02-05 12:00", "promise": "2026-02-03 00:00", "inform_opt_out": "2026-02-28 12:00"}},
		{"of an owner in Germany", livingIn(t, "DE", request.ClaimOwner), 0, false, map[string]string{"answer": "2026-02-05 12:00", "promise": "2026-02-03 00:00"}},
		{"of who lives in Britain", livingIn(t, "gb", request.ClaimDepicted), 0, false, map[string]string{"answer": "2026-02-05 12:00", "promise": "2026-02-03 00:00", "inform_opt_out": "2026-02-28 12:00"}},
		{"of a Thai notice", samples(t, takedown.CaseID{})[request.KindThaiNotice], 0, false, map[string]string{"promise": "2026-02-03 00:00"}},
		{"of a Thai notice, with the times in reports of Thailand", samples(t, takedown.CaseID{})[request.KindThaiNotice], 0, false, map[string]string{"promise": "2026-02-03 00:00", "suspend": "2026-02-01 12:00"}},
		{"of who lives in Thailand", livingIn(t, "TH", request.ClaimDepicted), 0, false, map[string]string{"answer": "2026-02-05 12:00", "promise": "2026-02-03 00:00", "erase": "2026-05-01 12:00"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t, func(opts *desk.Options) {
				opts.UnverifiedDeadlines = strings.Contains(tc.name, "Thailand")
				opts.Deadlines = []desk.Deadline{{
					Regime: request.RegimeOperator, Name: "answer", Start: desk.MilestoneReceived, Done: []desk.Milestone{desk.MilestoneDecided},
					NotAfter: desk.Span{N: 5, Unit: desk.UnitDays}, Basis: "house rules",
				}}
			})
			o.set(received)
			c := o.submit(t, tc.request)
			if tc.pause > 0 {
				o.later(time.Hour)
				ok(t, o.AskInfo(ctx, c.ID, desk.Actor{By: "alice", Reason: "identity"}, []string{"requester.name"}))
				o.later(tc.pause)
				_, err := o.Complete(ctx, c.ID, tc.request)
				ok(t, err)
			}
			if tc.extend {
				ok(t, o.ExtendDeadline(ctx, c.ID, alice, "We wait for the publisher."))
			}
			o.settle()
			list, err := o.DueOf(ctx, c.ID)
			ok(t, err)
			got := map[string]string{}
			for _, x := range list {
				got[x.Deadline.Name] = ""
				if !x.NotAfter.IsZero() {
					got[x.Deadline.Name] = x.NotAfter.Format("2006-01-02 15:04")
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("deadlines (-want +got):\n%s", diff)
			}
		})
	}
}

// While a clock stands still it says so, and its end moves on with the time.
func TestDue_Paused(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	r := samples(t, takedown.CaseID{})[request.KindGDPRRequest].(request.GDPRRequest)
	r.UK = true
	c := o.submit(t, r)
	ok(t, o.AskInfo(ctx, c.ID, alice, nil))
	o.later(10 * 24 * time.Hour)
	list, err := o.DueOf(ctx, c.ID)
	ok(t, err)
	want := time.Date(2026, 2, 28, 10, 0, 0, 0, time.UTC).AddDate(0, 0, 10)
	if len(list) != 1 || !list[0].Paused || list[0].NotAfter != want {
		t.Errorf("%+v, want a paused one at %v", list, want)
	}
}

// What a law wants without undue delay is due at once, of every regime; what may
// be done from some time on never is; what is done, or nobody waits for, is not.
func TestDue_EveryRegime(t *testing.T) {
	t.Parallel()
	all := samples(t, takedown.CaseID{})
	for _, tc := range []struct {
		kind takedown.Kind
		want string
	}{
		{request.KindDSANotice, "decide"}, {request.KindDMCANotice, "take_down"}, {request.KindGDPRRequest, "inform"},
		{request.KindIntimateImage, "remove"}, {request.KindAuthorityOrder, "report_effect"},
	} {
		t.Run(tc.kind.String(), func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			due := func(before time.Time) (names []string) {
				t.Helper()
				o.settle()
				list, err := o.Due(ctx, before)
				ok(t, err)
				for _, x := range list {
					names = append(names, x.Deadline.Name)
					if !x.Start.Equal(day0) {
						t.Errorf("%s is counted from %v", x.Deadline.Name, x.Start)
					}
				}
				return names
			}
			c := o.submit(t, all[tc.kind])
			want := []string{tc.want}
			if diff := cmp.Diff(want, due(time.Time{})); diff != "" {
				t.Errorf("at once (-want +got):\n%s", diff)
			}
			dated := tc.kind == request.KindGDPRRequest || tc.kind == request.KindIntimateImage
			if got := due(day0.Add(time.Minute)); (len(got) == 0) != dated {
				t.Errorf("within a minute: %v", got)
			}
			ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice, Scope: min(c.Asked, takedown.ScopeIdentical)}))
			if got := due(time.Time{}); got != nil {
				t.Errorf("decided and told: %v", got)
			}
			second := o.submit(t, all[tc.kind])
			ok(t, o.Withdraw(ctx, second.ID, desk.Actor{}))
			if got := due(time.Time{}); got != nil {
				t.Errorf("withdrawn: %v", got)
			}
		})
	}
	// Without a Notifier, nobody was told that it came in.
	d := open(t, t.TempDir(), nil)
	_, err := d.Submit(ctx, all[request.KindDSANotice])
	ok(t, err)
	list, err := d.Due(ctx, time.Time{})
	if ok(t, err); len(list) != 2 || list[0].Deadline.Name != "confirm_receipt" || list[1].Deadline.Name != "decide" {
		t.Errorf("without a Notifier: %+v", list)
	}
}

// The most urgent comes first, and nothing after the asked time.
func TestDue_Order(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	all := samples(t, takedown.CaseID{})
	gdpr := o.submit(t, all[request.KindGDPRRequest])
	o.later(time.Hour)
	ncii := o.submit(t, all[request.KindIntimateImage])
	for _, tc := range []struct {
		before time.Time
		want   []takedown.CaseID
	}{
		{time.Time{}, []takedown.CaseID{ncii.ID, gdpr.ID}},
		{day0.Add(49 * time.Hour), nil},
		{day0.Add(49*time.Hour + time.Second), []takedown.CaseID{ncii.ID}},
		{day0.AddDate(1, 0, 0), []takedown.CaseID{ncii.ID, gdpr.ID}},
	} {
		list, err := o.Due(ctx, tc.before)
		ok(t, err)
		var got []takedown.CaseID
		for _, x := range list {
			got = append(got, x.Case)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("before %v (-want +got):\n%s", tc.before, diff)
		}
	}
}

// Business days are counted over the pauses: those at whose end the clock stands
// still are none.
func TestDue_PausedBusinessDays(t *testing.T) {
	t.Parallel()
	type pause struct{ from, to string } // to is empty for one that lasts
	for _, tc := range []struct {
		name   string
		pauses []pause
		now    string
		want   string
		paused bool
	}{
		{"none", nil, "2026-03-02 11:00", "2026-03-10 00:00", false},
		{"from a Friday to a Wednesday", []pause{{"2026-03-06 17:00", "2026-03-11 17:00"}}, "2026-03-11 17:00", "2026-03-13 00:00", false},
		{"within a day", []pause{{"2026-03-04 09:00", "2026-03-04 17:00"}}, "2026-03-05 09:00", "2026-03-10 00:00", false},
		{"over the weekend", []pause{{"2026-03-07 09:00", "2026-03-08 20:00"}}, "2026-03-09 09:00", "2026-03-10 00:00", false},
		{"over two ends of days", []pause{{"2026-03-03 09:00", "2026-03-05 09:00"}}, "2026-03-05 09:00", "2026-03-12 00:00", false},
		{"from the first day on", []pause{{"2026-03-02 11:00", "2026-03-03 09:00"}}, "2026-03-03 09:00", "2026-03-10 00:00", false},
		{"two", []pause{{"2026-03-03 09:00", "2026-03-04 09:00"}, {"2026-03-05 09:00", "2026-03-06 09:00"}}, "2026-03-06 09:00", "2026-03-12 00:00", false},
		{"after the end", []pause{{"2026-03-10 09:00", "2026-03-20 09:00"}}, "2026-03-20 09:00", "2026-03-10 00:00", false},
		{"it lasts", []pause{{"2026-03-03 09:00", ""}}, "2026-03-13 09:00", "2026-03-20 00:00", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t, func(opts *desk.Options) {
				opts.Deadlines = []desk.Deadline{{
					Regime: request.RegimeOperator, Name: "answer", Start: desk.MilestoneReceived, Done: []desk.Milestone{desk.MilestoneDecided},
					NotAfter: desk.Span{N: 5, Unit: desk.UnitBusinessDays}, Calendar: "house", Pausable: true, Basis: "house rules",
				}}
				opts.Calendars = map[string]desk.Calendar{"house": {}}
			})
			o.set(at("2026-03-02 10:00")) // a Monday
			c := o.submit(t, optOut(t, 1))
			for _, p := range tc.pauses {
				o.set(at(p.from))
				ok(t, o.AskInfo(ctx, c.ID, alice, []string{"reason"}))
				if p.to != "" {
					o.set(at(p.to))
					_, err := o.Complete(ctx, c.ID, optOut(t, 1))
					ok(t, err)
				}
			}
			o.set(at(tc.now))
			list, err := o.DueOf(ctx, c.ID)
			ok(t, err)
			list = slices.DeleteFunc(list, func(x desk.Due) bool { return x.Deadline.Name != "answer" })
			if len(list) != 1 || !list[0].NotAfter.Equal(at(tc.want)) || list[0].Paused != tc.paused {
				t.Errorf("%+v, want %s", list, tc.want)
			}
		})
	}
}

// livingIn is an opt-out of somebody who lives in a country.
func livingIn(tb testing.TB, country string, claim request.Claim) request.Request {
	r := optOut(tb, 1)
	r.Requester.Country, r.Claim = country, claim
	return r
}

// Every kind of request has a deadline; rows that nobody compared with the law are
// off; and the queue has its priorities.
func TestDue_Everything(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	about := o.submit(t, samples(t, takedown.CaseID{})[request.KindDMCANotice])
	ok(t, o.Accept(ctx, about.ID, desk.Grant{Actor: alice}))
	for kind, r := range samples(t, about.ID) {
		if list, err := o.DueOf(ctx, o.submit(t, r).ID); err != nil || len(list) == 0 {
			t.Errorf("nothing is due about a %v: %v", kind, err)
		}
	}
	intimate := samples(t, takedown.CaseID{})[request.KindIntimateImage].(request.IntimateImage)
	intimate.Requester.Country = "GB"
	names := func(o *office) (list []string) {
		due, err := o.DueOf(ctx, o.submit(t, intimate).ID)
		ok(t, err)
		for _, x := range due {
			list = append(list, x.Deadline.Name)
		}
		slices.Sort(list)
		return list
	}
	if got := names(o); !slices.Equal(got, []string{"remove"}) {
		t.Errorf("by default: %v", got)
	}
	if got := names(newOffice(t, func(opts *desk.Options) { opts.UnverifiedDeadlines = true })); !slices.Equal(got, []string{"remove", "remove_uk"}) {
		t.Errorf("with those that are not verified: %v", got)
	}
	for _, row := range desk.Deadlines {
		if _, err := time.Parse(time.DateOnly, row.Verified); row.Verified != "" && err != nil || row.Basis == "" {
			t.Errorf("%s of %s: verified on %q, basis %q", row.Name, row.Regime, row.Verified, row.Basis)
		}
	}
	intimate.MinorDepicted = request.AnswerYes
	child := o.submit(t, intimate)
	list, err := o.Due(ctx, time.Time{})
	ok(t, err)
	if list[0].Case != child.ID || !slices.IsSortedFunc(list, func(a, b desk.Due) int { return int(a.Priority) - int(b.Priority) }) {
		t.Errorf("the queue begins with %+v", list[0])
	}
}

// Who is told only after the first month that it takes longer was not told in
// time: the case stays overdue.
func TestExtend_InTime(t *testing.T) {
	t.Parallel()
	r := samples(t, takedown.CaseID{})[request.KindGDPRRequest].(request.GDPRRequest)
	for _, tc := range []struct {
		uk    bool
		pause time.Duration
		at    time.Time
		late  bool
	}{
		{false, 0, day0.AddDate(0, 0, 27), false},
		{false, 0, time.Date(2026, 2, 28, 10, 0, 0, 0, time.UTC), false},
		{false, 0, time.Date(2026, 2, 28, 10, 0, 1, 0, time.UTC), true},
		{true, 72 * time.Hour, time.Date(2026, 3, 3, 10, 0, 0, 0, time.UTC), false},
		{true, 72 * time.Hour, time.Date(2026, 3, 3, 10, 0, 1, 0, time.UTC), true},
	} {
		o := newOffice(t)
		r.UK = tc.uk
		c := o.submit(t, r)
		if tc.pause > 0 {
			ok(t, o.AskInfo(ctx, c.ID, alice, []string{"requester.name"}))
			o.later(tc.pause)
			_, err := o.Complete(ctx, c.ID, r)
			ok(t, err)
		}
		o.set(tc.at)
		err := o.ExtendDeadline(ctx, c.ID, desk.Actor{By: "alice", Reason: "complex"}, "We wait for the publisher.")
		var late *desk.TooLateError
		if errors.As(err, &late) != tc.late || err != nil && !tc.late {
			t.Errorf("UK %t, at %v: %v", tc.uk, tc.at, err)
		}
		name := "inform_extended"
		if tc.late {
			name = "inform"
		}
		if list, err := o.DueOf(ctx, c.ID); err != nil || len(list) != 1 || list[0].Deadline.Name != name {
			t.Errorf("UK %t, at %v: due %+v, %v", tc.uk, tc.at, list, err)
		}
	}
}
