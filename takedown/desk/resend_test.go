package desk_test

import (
	"errors"
	"testing"

	"github.com/staydown/staydown/takedown/desk"
)

// The address of a case that was rejected as spam may be that of a victim: nobody
// can have a new code sent to it.
func TestResend_Ended(t *testing.T) {
	t.Parallel()
	o := newOffice(t, func(opts *desk.Options) { opts.ConfirmEmail = true })
	c := o.submit(t, notice("https://example.org/a.jpg"))
	ok(t, o.Resend(ctx, c.ID))
	ok(t, o.Reject(ctx, c.ID, desk.Refusal{Actor: desk.Actor{By: "alice", Reason: "spam"}}))
	var token *desk.TokenError
	if err := o.Resend(ctx, c.ID); !errors.As(err, &token) {
		t.Errorf("after the rejection: %v", err)
	}
}
