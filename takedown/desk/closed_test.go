package desk_test

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
)

// Whatever is asked of a desk that is closed, the answer is the same, also when
// its store is another one that would still answer.
func TestDesk_Closed(t *testing.T) {
	t.Parallel()
	for _, other := range []bool{false, true} {
		dir := t.TempDir()
		opts := &desk.Options{}
		if other {
			inner, err := desk.OpenStore(filepath.Join(dir, "elsewhere.db"))
			ok(t, err)
			defer inner.Close()
			opts.Store = unclosed{inner}
		}
		d := open(t, dir, opts)
		id := accept(t, d, optOut(t, 1), desk.Grant{})
		match := desk.Match{Candidate: testCandidate(t, 1)}
		match.Decision = d.Enforcer().Check(match.Candidate)
		path := filepath.Join(dir, "list.snap")
		ok(t, d.Publish(ctx, path))
		ok(t, d.Close())
		ok(t, d.Close())

		second := func(_ any, err error) error { return err }
		act, by := desk.Actor{}, desk.Actor{By: "a", Reason: "b"}
		for what, err := range map[string]error{
			"Submit":              second(d.Submit(ctx, notice("https://example.org/a.jpg"))),
			"Complete":            second(d.Complete(ctx, id, optOut(t, 1))),
			"Confirm":             d.Confirm(ctx, id, ""),
			"ConfirmFlagger":      d.ConfirmFlagger(ctx, id, by),
			"Resend":              d.Resend(ctx, id),
			"Case":                second(d.Case(ctx, id)),
			"Cases":               eachCase(d, func(desk.Case) bool { return true }),
			"Accept":              d.Accept(ctx, id, desk.Grant{}),
			"Change":              d.Amend(ctx, id, desk.Grant{}),
			"Reject":              d.Reject(ctx, id, refuse(act)),
			"AskInfo":             d.AskInfo(ctx, id, act, nil),
			"Hold":                d.Hold(ctx, id, act),
			"Withdraw":            d.Withdraw(ctx, id, act),
			"Reverse":             d.Reverse(ctx, id, act),
			"Restore":             d.Restore(ctx, id, act),
			"CourtHold":           d.CourtHold(ctx, id, act),
			"Release":             d.Release(ctx, id, act),
			"Extend":              d.ExtendDeadline(ctx, id, act, "We wait for the publisher."),
			"Told":                d.MarkNotified(ctx, id, act),
			"Expire":              second(d.Expire(ctx)),
			"CloseCase":           d.CloseCase(ctx, id, act),
			"LegalHold":           d.LegalHold(ctx, id, true, act),
			"Erase":               d.Erase(ctx, id, act),
			"Picture":             second(d.Picture(ctx, id, 0)),
			"Publish":             d.Publish(ctx, path),
			"Preview":             second(d.Preview(ctx, id, nil, nil)),
			"Resolve":             second(d.Resolve(ctx, match, desk.NotTheSame)),
			"Undo":                d.Revert(ctx, 1, alice),
			"AddToAllowList":      second(d.AddToAllowList(ctx, testCandidate(t, 2), by, "")),
			"RemoveFromAllowList": d.RemoveFromAllowList(ctx, 1, by),
			"AllowList":           second(d.AllowList(ctx)),
			"AddEvidence":         d.AddEvidence(ctx, id, []desk.Evidence{desk.Evidence{}}),
			"Evidence":            second(d.Evidence(ctx, id)),
			"ExportCSV":           d.ExportCSV(ctx, io.Discard),
			"ExportJSON":          d.ExportJSON(ctx, io.Discard),
			"Log":                 eachEntry(d, 0, func(desk.LogEntry) bool { return true }),
			"VerifyLog":           func() error { _, _, err := d.VerifyLog(ctx); return err }(),
			"Alarms":              second(d.Alarms(ctx)),
			"SettleAlarms":        d.SettleAlarms(ctx, id, act),
			"Due":                 second(d.Due(ctx, time.Now())),
			"DueOf":               second(d.DueOf(ctx, id)),
			"Changes": func() (err error) {
				for _, err = range d.Enforcer().Events(ctx, nil) {
				}
				return err
			}(),
			"Sweep": func() (err error) {
				for _, err = range d.Enforcer().Sweep(ctx, index{{Key: "a"}}.items, nil) {
				}
				return err
			}(),
		} {
			if !errors.Is(err, takedown.ErrClosed) {
				t.Errorf("%s, other store %t: %v", what, other, err)
			}
		}
	}
}

// unclosed is a store that goes on to answer.
type unclosed struct{ desk.Store }

func (unclosed) Close() error { return nil }

// A desk that is closed while it works says so, or has done what it was asked.
func TestDesk_ClosedMeanwhile(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), nil)
	id := accept(t, d, notice("https://example.org/a.jpg"), desk.Grant{})
	failed := make(chan error)
	for _, f := range []func() error{
		func() error { _, err := d.Submit(ctx, notice("https://example.org/b.jpg")); return err },
		func() error { _, err := d.Case(context.Background(), id); return err },
		func() error {
			for _, err := range d.Enforcer().Events(ctx, nil) {
				if err != nil {
					return err
				}
			}
			return nil
		},
	} {
		go func() {
			for {
				if err := f(); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	time.Sleep(50 * time.Millisecond)
	ok(t, d.Close())
	for range 3 {
		if err := <-failed; !errors.Is(err, takedown.ErrClosed) {
			t.Error(err)
		}
	}
}

// The list of a desk is never behind, so there is nothing to reload.
func TestEnforcer_ReloadOfADesk(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), nil)
	if changed, err := d.Enforcer().Reload(); changed || err != nil {
		t.Errorf("%t, %v", changed, err)
	}
	path := filepath.Join(t.TempDir(), "list.snap")
	ok(t, d.Publish(ctx, path))
	e, err := takedown.Load(path, nil)
	ok(t, err)
	ok(t, e.Close())
	if _, err := e.Reload(); !errors.Is(err, takedown.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}
