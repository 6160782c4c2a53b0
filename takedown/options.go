package takedown

import (
	"crypto/ed25519"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/staydown/staydown/internal/counts"
	"github.com/staydown/staydown/internal/fields"
)

// ArgumentError says that an option, or an argument, cannot be used as it was
// given: a mistake of the program, not of a person who asks for something.
type ArgumentError struct {
	Name string // such as "DeskOptions.SigningKey"
	Why  string // what is wrong, and what would be accepted
}

func (e *ArgumentError) Error() string { return fmt.Sprintf("takedown: %s: %s", e.Name, e.Why) }

func badOption(name, why string, args ...any) error {
	return &ArgumentError{name, fmt.Sprintf(why, args...)}
}

// check looks at the options before anything is opened or made.
func (o *DeskOptions) check() error {
	// An empty key that is not nil is one that was not there where it was looked for.
	if n := len(o.SigningKey); o.SigningKey != nil && n != ed25519.PrivateKeySize {
		return badOption("DeskOptions.SigningKey", "it has %d bytes; an Ed25519 private key has %d", n, ed25519.PrivateKeySize)
	}
	if n := len(o.OperatorKey); o.OperatorKey != nil && n != operatorKeySize {
		return badOption("DeskOptions.OperatorKey", "it has %d bytes, not %d", n, operatorKeySize)
	}
	if o.MatchBudget > counts.MaxBudget {
		return badOption("DeskOptions.MatchBudget", "at most %d pictures, not %d", counts.MaxBudget, o.MatchBudget)
	}
	if o.ManyMatches < 0 {
		return badOption("DeskOptions.ManyMatches", "%d is negative; 0 is the default", o.ManyMatches)
	}
	if err := notNegative("DeskOptions.RecheckAfter", o.RecheckAfter); err != nil {
		return err
	}
	if err := notNegative("DeskOptions.FaceLifetime", o.FaceLifetime); err != nil {
		return err
	}
	if o.ConfirmEmail && o.Notifier == nil {
		return badOption("DeskOptions.ConfirmEmail", "it needs a Notifier, which sends the token")
	}
	if !actCode.MatchString(o.Policy) {
		return badOption("DeskOptions.Policy", "it is not a code of at most 64 letters, digits and . _ : -")
	}
	for i, m := range o.FaceModels {
		if err := m.check(); err != nil {
			return err
		}
		if slices.ContainsFunc(o.FaceModels[:i], func(o FaceModel) bool { return o.Name == m.Name && o.Dimensions == m.Dimensions }) {
			return badOption("DeskOptions.FaceModels", "%s with %d dimensions is there twice", m.Name, m.Dimensions)
		}
	}
	return checkProfiles(o.Profiles)
}

func notNegative(name string, d time.Duration) error {
	if d < 0 {
		return badOption(name, "%v is negative; 0 is the default", d)
	}
	return nil
}

// checkProfiles refuses a path that no kind of request has: it would demand
// nothing, and nobody would notice.
func checkProfiles(profiles []Profile) error {
	for _, p := range profiles {
		for _, path := range p.Require {
			if !slices.ContainsFunc(Kinds(), func(k Kind) bool {
				_, ok := fields.At(reflect.New(reflect.TypeOf(requestTypes[k].empty)).Elem(), path, true)
				return ok && path != ""
			}) {
				return badOption("Profile.Require", "profile %q: no kind of request has a field %q", p.Name, path)
			}
		}
	}
	return nil
}
