package takedown

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Profile is what an operator demands of requests on top of what their own
// types do.
type Profile struct {
	Name string
	// Require are paths of fields, as in [Problem].Field, that must not be
	// empty. A path that a kind of request does not have is passed over for that
	// kind; [Open] and [Validate] refuse one that no kind has.
	Require []string
}

// ProfileLenso asks what the forms of lenso.ai ask for.
var ProfileLenso = Profile{
	Name: "lenso",
	Require: []string{
		"requester.given_name", "requester.family_name", "requester.email", "requester.phone", "requester.country",
		"reason", "explanation",
	},
}

func (p Profile) check(c *checker, r Request) {
	// A reply to a decision, and a report about a child, are never made harder
	// than the law makes them.
	if requestTypes[r.Kind()].target != targetNone || slices.Contains(c.flags, FlagChildSafety) {
		return
	}
	for _, path := range p.Require {
		v, ok := fieldAt(reflect.Indirect(reflect.ValueOf(r)), path, false)
		if !ok || !emptyField(v) {
			continue
		}
		if !c.has(path) {
			c.add(path, CodeRequired)
		}
		// Somebody who is asked for the parts of a name is not asked for the whole too:
		// the form may have no field for it.
		if path == "requester.given_name" || path == "requester.family_name" {
			c.problems = slices.DeleteFunc(c.problems, func(p Problem) bool { return p.Field == "requester.name" && p.Code == CodeRequired })
		}
	}
}

func emptyField(v reflect.Value) bool {
	if v.Kind() == reflect.String {
		return strings.TrimSpace(v.String()) == ""
	}
	return v.IsZero()
}

// fieldAt returns the field of a struct with the given path in JSON, such as
// "requester.email" or "works[2].kind". With grow, lists are made longer as far
// as their tag "max" allows; v must then be addressable.
func fieldAt(v reflect.Value, path string, grow bool) (reflect.Value, bool) {
	for path != "" {
		var name string
		name, path, _ = strings.Cut(path, ".")
		name, rest, indexed := strings.Cut(name, "[")
		if v.Kind() != reflect.Struct {
			return v, false
		}
		f, ok := jsonField(v.Type(), name)
		if !ok {
			return v, false
		}
		v = v.FieldByIndex(f.Index)
		if !indexed {
			continue
		}
		i, err := strconv.Atoi(strings.TrimSuffix(rest, "]"))
		if err != nil || i < 0 || !strings.HasSuffix(rest, "]") || v.Kind() != reflect.Slice {
			return v, false
		}
		if i >= v.Len() {
			if max, _ := strconv.Atoi(f.Tag.Get("max")); !grow || i >= max {
				return v, false
			}
			longer := reflect.MakeSlice(v.Type(), i+1, i+1)
			reflect.Copy(longer, v)
			v.Set(longer)
		}
		v = v.Index(i)
	}
	return v, true
}

// jsonField returns the field of t that has the given name in JSON.
func jsonField(t reflect.Type, name string) (reflect.StructField, bool) {
	for i := range t.NumField() {
		if n, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); n == name && n != "" && n != "-" {
			return t.Field(i), true
		}
	}
	return reflect.StructField{}, false
}
