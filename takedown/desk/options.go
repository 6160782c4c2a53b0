package desk

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"time"

	"github.com/staydown/staydown/internal/counts"
	"github.com/staydown/staydown/takedown"
)

func badOption(name, why string, args ...any) error {
	return &takedown.ArgumentError{Name: name, Why: fmt.Sprintf(why, args...)}
}

// check looks at the options before anything is opened or made.
func (o *Options) check() error {
	// An empty key that is not nil is one that was not there where it was looked for.
	if n := len(o.SigningKey); o.SigningKey != nil && n != ed25519.PrivateKeySize {
		return badOption("desk.Options.SigningKey", "it has %d bytes; an Ed25519 private key has %d", n, ed25519.PrivateKeySize)
	}
	if n := len(o.OperatorKey); o.OperatorKey != nil && n != operatorKeySize {
		return badOption("desk.Options.OperatorKey", "it has %d bytes, not %d", n, operatorKeySize)
	}
	if o.FaceBudget > counts.MaxBudget {
		return badOption("desk.Options.FaceBudget", "at most %d pictures, not %d", counts.MaxBudget, o.FaceBudget)
	}
	if o.MatchBudget > counts.MaxBudget {
		return badOption("desk.Options.MatchBudget", "at most %d pictures, not %d", counts.MaxBudget, o.MatchBudget)
	}
	if o.ManyMatches < 0 {
		return badOption("desk.Options.ManyMatches", "%d is negative; 0 is the default", o.ManyMatches)
	}
	if err := notNegative("desk.Options.RecheckAfter", o.RecheckAfter); err != nil {
		return err
	}
	if err := notNegative("desk.Options.FaceLifetime", o.FaceLifetime); err != nil {
		return err
	}
	if o.ConfirmEmail && o.Notifier == nil {
		return badOption("desk.Options.ConfirmEmail", "it needs a Notifier, which sends the token")
	}
	if !actCode.MatchString(o.Policy) {
		return badOption("desk.Options.Policy", "it is not a code of at most 64 letters, digits and . _ : -")
	}
	if o.Slots != nil && cap(o.Slots) == 0 {
		return badOption("desk.Options.Slots", "the channel has no capacity; nothing could be decoded")
	}
	for i, m := range o.FaceModels {
		if err := m.check(); err != nil {
			return err
		}
		if slices.ContainsFunc(o.FaceModels[:i], func(o FaceModel) bool { return o.Name == m.Name && o.Dimensions == m.Dimensions }) {
			return badOption("desk.Options.FaceModels", "%s with %d dimensions is there twice", m.Name, m.Dimensions)
		}
	}
	for i := range o.Unwrap {
		if err := o.Unwrap[i].Check(); err != nil {
			return err
		}
	}
	for _, p := range o.Profiles {
		if err := p.Check(); err != nil {
			return err
		}
	}
	return nil
}

func notNegative(name string, d time.Duration) error {
	if d < 0 {
		return badOption(name, "%v is negative; 0 is the default", d)
	}
	return nil
}
