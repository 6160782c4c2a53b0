package desk

import (
	"context"
	"errors"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
)

// Operations of a desk, beside those of its list and its enforcer.
const (
	OpSubmit  blocklist.Op = "desk submit"
	OpMove    blocklist.Op = "desk move"   // of a case: Accept, Reject, Withdraw and all others
	OpNotify  blocklist.Op = "desk notify" // messages, and rules that begin, after another call; Notify itself tells its caller
	OpBackup  blocklist.Op = "desk backup"
	OpRefresh blocklist.Op = "desk refresh" // published files, when the desk is opened
)

// report runs f and reports it. In the background, nothing is reported of what
// succeeded, or ended because its caller gave up or the desk was closed.
func (d *Desk) report(op blocklist.Op, background bool, f func() error) error {
	if d.opts.Observer == nil && d.opts.Logger == nil {
		return f()
	}
	start := time.Now()
	err := f()
	quiet := err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, takedown.ErrClosed)
	if !background || !quiet {
		blocklist.Observation{Op: op, Took: time.Since(start), Count: 1, Background: background, Err: err}.Report(d.opts.Observer, d.opts.Logger)
	}
	return err
}
