package request

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/staydown/staydown/internal/fields"
	"github.com/staydown/staydown/takedown"
)

// Profile is the set of fields that an operator requires in addition to those of
// the request types.
type Profile struct {
	Name string
	// Require are paths of fields, as in [Problem].Field, that must not be empty.
	// A path that a kind of request does not have is skipped for that kind.
	// desk.Open and [Validate] refuse a path that no kind has.
	Require []string
}

// ProfileLenso requires the fields that the forms of lenso.ai require.
var ProfileLenso = Profile{
	Name: "lenso",
	Require: []string{
		"requester.given_name", "requester.family_name", "requester.email", "requester.phone", "requester.country",
		"reason", "explanation",
	},
}

func (p Profile) demand(c *checker, r Request) {
	// A reply to a decision, and a report about a child, are never made harder
	// than the law makes them.
	if IsReply(r.Kind()) || slices.Contains(c.Flags, FlagChildSafety) {
		return
	}
	for _, path := range p.Require {
		v, ok := fields.At(reflect.Indirect(reflect.ValueOf(r)), path, false)
		if !ok || !emptyField(v) {
			continue
		}
		if !c.Has(path) {
			c.Add(path, CodeRequired)
		}
		// Somebody who is asked for the parts of a name is not asked for the whole too:
		// the form may have no field for it.
		if path == "requester.given_name" || path == "requester.family_name" {
			c.Problems = slices.DeleteFunc(c.Problems, func(p Problem) bool { return p.Field == "requester.name" && p.Code == CodeRequired })
		}
	}
}

// Check returns an [*takedown.ArgumentError] for a path that no kind of request
// has. Such a path would have no effect, and the mistake would stay unnoticed.
func (p Profile) Check() error {
	for _, path := range p.Require {
		if !slices.ContainsFunc(Kinds(), func(k takedown.Kind) bool {
			_, ok := fields.At(reflect.New(reflect.TypeOf(New(k))).Elem(), path, true)
			return ok && path != ""
		}) {
			return &takedown.ArgumentError{Name: "Profile.Require", Why: fmt.Sprintf("profile %q: no kind of request has a field %q", p.Name, path)}
		}
	}
	return nil
}

func emptyField(v reflect.Value) bool {
	if v.Kind() == reflect.String {
		return strings.TrimSpace(v.String()) == ""
	}
	return v.IsZero()
}
