// Package dsatdb checks statements of reasons against the rules of the DSA
// Transparency Database of the European Commission, schema version 2 (in force
// since 1 July 2025, served under /api/v1), as its own code has them:
// https://github.com/digital-services-act/transparency-database,
// app/Http/Requests/StatementStoreRequest.php at commit 69e80a0.
//
// enums.json has the keys that it accepts: © European Union, CC BY 4.0,
// reformatted; no endorsement implied.
package dsatdb

import (
	_ "embed"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

//go:embed enums.json
var enumsJSON []byte

var enums = func() map[string][]string {
	var m map[string][]string
	if err := json.Unmarshal(enumsJSON, &m); err != nil {
		panic("dsatdb: enums.json: " + err.Error())
	}
	return m
}()

// form is what kind of value a field has.
type form uint8

const (
	text form = iota // a string of at most max characters that matches pattern
	one              // one of the keys of an enumeration
	many             // a list of such keys
	date             // YYYY-MM-DD, from min to max
	ean              // an object with the key EAN-13
)

// condition says when a field is required, or when it is looked at at all: when
// another field is, or contains, a value.
type condition struct{ field, value string }

// field is the rule about one field.
type field struct {
	name     string
	form     form
	enum     string // name of the enumeration, when it is not that of the field
	max      int    // characters
	pattern  *regexp.Regexp
	min      string // of dates
	required bool
	// needed makes the field required, only makes it ignored otherwise.
	needed, only condition
}

const lastDay = "2038-01-01"

// decisions are the fields of which one must be there.
var decisions = []string{"decision_visibility", "decision_monetary", "decision_provision", "decision_account"}

var (
	illegal      = condition{"decision_ground", "DECISION_GROUND_ILLEGAL_CONTENT"}
	incompatible = condition{"decision_ground", "DECISION_GROUND_INCOMPATIBLE_CONTENT"}

	visibilityOther = condition{"decision_visibility", "DECISION_VISIBILITY_OTHER"}
	monetaryOther   = condition{"decision_monetary", "DECISION_MONETARY_OTHER"}
	contentOther    = condition{"content_type", "CONTENT_TYPE_OTHER"}
)

// fields has a row for each field. Lengths count characters, not bytes.
var fields = []field{
	{name: "decision_visibility", form: many},
	{name: "decision_visibility_other", max: 500, needed: visibilityOther, only: visibilityOther},
	{name: "decision_monetary", form: one},
	{name: "decision_monetary_other", max: 500, needed: monetaryOther, only: monetaryOther},
	{name: "decision_provision", form: one},
	{name: "decision_account", form: one},
	{name: "account_type", form: one},
	{name: "decision_ground", form: one, required: true},
	{name: "decision_ground_reference_url", max: 500, pattern: regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://.`)},
	{name: "illegal_content_legal_ground", max: 500, needed: illegal, only: illegal},
	{name: "illegal_content_explanation", max: 2000, needed: illegal, only: illegal},
	{name: "incompatible_content_ground", max: 500, needed: incompatible, only: incompatible},
	{name: "incompatible_content_explanation", max: 2000, needed: incompatible, only: incompatible},
	{name: "incompatible_content_illegal", form: one, only: incompatible},
	{name: "content_type", form: many, required: true},
	{name: "content_type_other", max: 500, needed: contentOther, only: contentOther},
	{name: "category", form: one, required: true},
	{name: "category_addition", form: many, enum: "category"},
	{name: "category_specification", form: many},
	{name: "category_specification_other", max: 500},
	{name: "territorial_scope", form: many},
	{name: "content_language", form: one},
	{name: "content_date", form: date, min: "2000-01-01", required: true},
	{name: "application_date", form: date, min: "2020-01-01", required: true},
	{name: "end_date_account_restriction", form: date},
	{name: "end_date_monetary_restriction", form: date},
	{name: "end_date_service_restriction", form: date},
	{name: "end_date_visibility_restriction", form: date},
	{name: "decision_facts", max: 5000, required: true},
	{name: "source_type", form: one, required: true},
	{name: "source_identity", max: 500},
	{name: "automated_detection", form: one, required: true},
	{name: "automated_decision", form: one, required: true},
	{name: "puid", max: 500, pattern: regexp.MustCompile(`^[a-zA-Z0-9_-]+$`), required: true},
	{name: "content_id", form: ean},
	{name: "content_id_ean", max: 13, pattern: eanDigits},
}

var eanDigits = regexp.MustCompile(`^[0-9]{13}$`)

// Check returns the names of the fields of a decoded JSON object that the
// database would report, in the order of its rules; none means that it takes
// the object.
func Check(row map[string]any) (bad []string) {
	if !slices.ContainsFunc(decisions, func(name string) bool { return !empty(row[name]) }) {
		bad = append(bad, decisions...)
	}
	for _, f := range fields {
		v := row[f.name]
		if f.only.field != "" && !holds(row, f.only) || f.name == "source_identity" && row["source_type"] == "SOURCE_VOLUNTARY" {
			continue
		}
		switch {
		case empty(v):
			// Only lists that need not be there may be there and empty.
			if f.required || f.needed.field != "" && holds(row, f.needed) {
				bad = append(bad, f.name)
			}
		case f.form == ean:
			if !eanOK(v) {
				bad = append(bad, f.name+".EAN-13")
			}
		case !f.ok(v):
			bad = append(bad, f.name)
		}
	}
	return bad
}

// empty reports whether a value is missing, null, blank or an empty list.
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return strings.TrimSpace(v) == ""
	case []any:
		return len(v) == 0
	}
	return false
}

// holds reports whether a field is, or its list contains, the value.
func holds(row map[string]any, c condition) bool {
	switch v := row[c.field].(type) {
	case string:
		return v == c.value
	case []any:
		return slices.Contains(v, any(c.value))
	}
	return false
}

// ok reports whether a value that is there is a good one.
func (f field) ok(v any) bool {
	keys := enums[f.name]
	if f.enum != "" {
		keys = enums[f.enum]
	}
	if f.form == many {
		list, isList := v.([]any)
		return isList && !slices.ContainsFunc(list, func(x any) bool {
			s, isString := x.(string)
			return !isString || !slices.Contains(keys, s)
		})
	}
	s, isString := v.(string)
	if !isString {
		return false
	}
	switch f.form {
	case one:
		return slices.Contains(keys, s)
	case date:
		_, err := time.Parse(time.DateOnly, s)
		return err == nil && s >= f.min && s <= lastDay
	}
	return utf8.RuneCountInString(s) <= f.max && (f.pattern == nil || f.pattern.MatchString(s))
}

func eanOK(v any) bool {
	m, isObject := v.(map[string]any)
	if !isObject {
		return false
	}
	s, isString := m["EAN-13"].(string)
	return m["EAN-13"] == nil || isString && eanDigits.MatchString(s)
}
