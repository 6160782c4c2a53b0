// Package fields finds the fields of a request by their paths in JSON.
package fields

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// Plain is what the path of a field looks like that can stand in an error or in
// a log.
var Plain = regexp.MustCompile(`^[A-Za-z0-9_.\[\]]{1,64}$`)

// Unprintable reports whether a character cannot stand in a text that others
// read: a control character other than line breaks and tabs, or one of the two
// that override the direction of the text behind them, by which a name can disguise
// the address next to it. Other format characters stay, because scripts need them
// and because phones copy them with a name.
func Unprintable(r rune) bool {
	switch r {
	case '\n', '\r', '\t':
		return false
	}
	return unicode.IsControl(r) || r == 0x202D || r == 0x202E
}

// Index returns the path of element i of a field.
func Index(field string, i int) string { return fmt.Sprintf("%s[%d]", field, i) }

// Names lists the values of an enumerated field.
func Names[T ~string](values ...T) []string {
	s := make([]string, len(values))
	for i, v := range values {
		s[i] = string(v)
	}
	return s
}

// At returns the field of a struct with the given path in JSON, such as
// "requester.email" or "works[2].kind". With grow, lists are made longer as far
// as their tag "max" allows; v must then be addressable.
func At(v reflect.Value, path string, grow bool) (reflect.Value, bool) {
	for path != "" {
		var name string
		name, path, _ = strings.Cut(path, ".")
		name, rest, indexed := strings.Cut(name, "[")
		if v.Kind() != reflect.Struct {
			return v, false
		}
		f, ok := ByName(v.Type(), name)
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

// ByName returns the field of t that has the given name in JSON.
func ByName(t reflect.Type, name string) (reflect.StructField, bool) {
	for i := range t.NumField() {
		if n, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); n == name && n != "" && n != "-" {
			return t.Field(i), true
		}
	}
	return reflect.StructField{}, false
}
