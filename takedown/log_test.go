package takedown_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/takedown"
)

// Whoever does something to a case is in the log with the reason, also where the
// case stays where it is.
func TestLog_WhoAndWhy(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	picture := hashes(t, testJPEG(t, 3))
	r := samples(t, takedown.CaseID{})[takedown.KindGDPRRequest].(takedown.GDPRRequest)
	r.ImageURLs, r.Images = nil, [][]byte{testJPEG(t, 3)}
	c := o.submit(t, r)
	copied := takedown.Candidate{ImageURLs: []string{"https://example.org/copy.jpg"}, Hashes: picture}
	type entry struct {
		Case takedown.CaseID
		From takedown.State
		To   takedown.State
		takedown.Act
	}
	resolve := func(how takedown.Resolution) func(a takedown.Act) error {
		return func(a takedown.Act) error {
			_, err := o.Resolve(ctx, takedown.Match{Act: a, Candidate: copied, Decision: o.Enforcer().Filter("", picture...)}, how)
			return err
		}
	}
	for _, tc := range []struct {
		do   func(takedown.Act) error
		from takedown.State
		to   takedown.State // the first entry
	}{
		{func(a takedown.Act) error { return o.LegalHold(ctx, c.ID, true, a) }, takedown.StateInReview, "legal_hold"},
		{func(a takedown.Act) error { return o.LegalHold(ctx, c.ID, false, a) }, takedown.StateInReview, "legal_hold_ended"},
		{func(a takedown.Act) error { return o.Extend(ctx, c.ID, a) }, takedown.StateInReview, "extended"},
		{func(a takedown.Act) error { return o.AskInfo(ctx, c.ID, a, "reason") }, takedown.StateInReview, takedown.StateNeedsInfo},
		{func(a takedown.Act) error { return o.AskInfo(ctx, c.ID, a, "rights") }, takedown.StateNeedsInfo, takedown.StateNeedsInfo},
		{func(a takedown.Act) error { return o.Hold(ctx, c.ID, a) }, takedown.StateNeedsInfo, takedown.StateEnforcing},
		{func(a takedown.Act) error { return o.Unhold(ctx, c.ID, a) }, takedown.StateNeedsInfo, takedown.StateEnforcing},
		{func(a takedown.Act) error { return o.Accept(ctx, c.ID, takedown.Grant{Act: a}) }, takedown.StateNeedsInfo, takedown.StateEnforcing},
		{func(a takedown.Act) error { return o.Told(ctx, c.ID, a) }, takedown.StateInForce, "informed"},
		{resolve(takedown.SameImage), takedown.StateInForce, "learned"},
		{resolve(takedown.NotTheSame), takedown.StateInForce, "excepted"},
		{func(a takedown.Act) error { return o.Undo(ctx, o.lastEvent(t), a) }, takedown.StateInForce, "undone"},
		{func(a takedown.Act) error { return o.CourtHold(ctx, c.ID, a) }, takedown.StateInForce, takedown.StateCourtHold},
		{func(a takedown.Act) error { return o.Release(ctx, c.ID, a) }, takedown.StateCourtHold, takedown.StateInForce},
		{func(a takedown.Act) error { return o.Reverse(ctx, c.ID, a) }, takedown.StateInForce, takedown.StateRevoking},
		{func(a takedown.Act) error { return o.CloseCase(ctx, c.ID, a) }, takedown.StateReversed, takedown.StateClosed},
		{func(a takedown.Act) error { return o.Erase(ctx, c.ID, a) }, takedown.StateClosed, "erased"},
	} {
		seq, _, err := o.VerifyLog(ctx)
		ok(t, err)
		act := takedown.Act{By: "carol", Reason: "because_" + string(tc.to)}
		o.later(time.Minute)
		if err := tc.do(act); err != nil {
			t.Errorf("%s: %v", tc.to, err)
			continue
		}
		var got entry
		ok(t, o.Log(ctx, seq+1, func(e takedown.LogEntry) bool {
			got = entry{e.Case, e.From, e.To, e.Act}
			return false
		}))
		if diff := cmp.Diff(entry{c.ID, tc.from, tc.to, act}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.to, diff)
		}
	}
}

// lastEvent returns the number of the last thing that was learned or excepted.
func (o *office) lastEvent(tb testing.TB) (seq uint64) {
	tb.Helper()
	for c, err := range o.Changes(ctx, nil) {
		ok(tb, err)
		seq = c.Seq
	}
	return seq
}
