package desk_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// Whoever does something to a case is in the log with the reason, also where the
// case stays where it is.
func TestLog_WhoAndWhy(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	picture := hashes(t, testJPEG(t, 3))
	r := samples(t, takedown.CaseID{})[request.KindGDPRRequest].(request.GDPRRequest)
	r.ImageURLs, r.Images = nil, images(testJPEG(t, 3))
	c := o.submit(t, r)
	copied := takedown.Candidate{ImageURLs: []string{"https://example.org/copy.jpg"}, Hashes: picture}
	type entry struct {
		Case takedown.CaseID
		From desk.State
		To   desk.State
		desk.Actor
	}
	resolve := func(how desk.Resolution) func(a desk.Actor) error {
		return func(a desk.Actor) error {
			_, err := o.Resolve(ctx, desk.Match{Actor: a, Candidate: copied, Decision: o.Enforcer().Filter("", picture...)}, how)
			return err
		}
	}
	for _, tc := range []struct {
		do   func(desk.Actor) error
		from desk.State
		to   desk.State // the first entry
	}{
		{func(a desk.Actor) error { return o.LegalHold(ctx, c.ID, true, a) }, desk.StateInReview, "legal_hold"},
		{func(a desk.Actor) error { return o.LegalHold(ctx, c.ID, false, a) }, desk.StateInReview, "legal_hold_ended"},
		{func(a desk.Actor) error { return o.ExtendDeadline(ctx, c.ID, a, "We wait for the publisher.") }, desk.StateInReview, "extended"},
		{func(a desk.Actor) error { return o.AskInfo(ctx, c.ID, a, []string{"reason"}) }, desk.StateInReview, desk.StateNeedsInfo},
		{func(a desk.Actor) error { return o.AskInfo(ctx, c.ID, a, []string{"rights"}) }, desk.StateNeedsInfo, desk.StateNeedsInfo},
		{func(a desk.Actor) error { return o.Hold(ctx, c.ID, a) }, desk.StateNeedsInfo, desk.StateEnforcing},
		{func(a desk.Actor) error { return o.ReleaseHold(ctx, c.ID, a) }, desk.StateNeedsInfo, desk.StateEnforcing},
		{func(a desk.Actor) error { return o.Accept(ctx, c.ID, desk.Grant{Actor: a}) }, desk.StateNeedsInfo, desk.StateEnforcing},
		{func(a desk.Actor) error { return o.MarkNotified(ctx, c.ID, a) }, desk.StateInForce, "informed"},
		{resolve(desk.SameImage), desk.StateInForce, "derived"},
		{resolve(desk.NotTheSame), desk.StateInForce, "exception"},
		{func(a desk.Actor) error { return o.Revert(ctx, o.lastEvent(t), a) }, desk.StateInForce, "reverted"},
		{func(a desk.Actor) error { return o.CourtHold(ctx, c.ID, a) }, desk.StateInForce, desk.StateCourtHold},
		{func(a desk.Actor) error { return o.Release(ctx, c.ID, a) }, desk.StateCourtHold, desk.StateInForce},
		{func(a desk.Actor) error { return o.Reverse(ctx, c.ID, a) }, desk.StateInForce, desk.StateRevoking},
		{func(a desk.Actor) error { return o.CloseCase(ctx, c.ID, a) }, desk.StateReversed, desk.StateClosed},
		{func(a desk.Actor) error { return o.Erase(ctx, c.ID, a) }, desk.StateClosed, "erased"},
	} {
		seq, _, err := o.VerifyLog(ctx)
		ok(t, err)
		act := desk.Actor{By: "carol", Reason: "because_" + string(tc.to)}
		o.later(time.Minute)
		if err := tc.do(act); err != nil {
			t.Errorf("%s: %v", tc.to, err)
			continue
		}
		var got entry
		ok(t, eachEntry(o.Desk, seq+1, func(e desk.LogEntry) bool {
			got = entry{e.Case, e.From, e.To, e.Actor}
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
	for c, err := range o.Enforcer().Events(ctx, nil) {
		ok(tb, err)
		seq = c.Seq
	}
	return seq
}
