package request

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"

	"github.com/staydown/staydown/internal/fields"
	"github.com/staydown/staydown/takedown"
)

// MaxBytes is the maximum size of a request in JSON or of a form: 20 pictures of
// 10 MB in base64, and a megabyte for the rest.
const MaxBytes = 20*(10<<20)*4/3 + 1<<20

// FormatError reports why bytes are not a request. Its text contains names of
// fields, and nothing else of the bytes.
type FormatError struct {
	Field string // path of the field, or empty
	Why   string // what is wrong, and what would be accepted
}

func (e *FormatError) Error() string {
	if e.Field == "" {
		return "takedown: request: " + e.Why
	}
	return fmt.Sprintf("takedown: request, field %s: %s", e.Field, e.Why)
}

// Encode returns the JSON form of a request: an object with the fields
// of its type and the stable name of its kind as "kind". Images are base64.
func Encode(r Request) ([]byte, error) {
	if isNil(r) {
		return nil, &FormatError{Field: "kind", Why: "there is no request"}
	}
	r = reflect.Indirect(reflect.ValueOf(r)).Interface().(Request)
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("takedown: request: %w", err)
	}
	head := fmt.Sprintf(`{"kind":%q`, r.Kind())
	if len(b) > 2 {
		head += ","
	}
	return append([]byte(head), b[1:]...), nil
}

// Decode reads the JSON form of a request, of at most [MaxBytes]. The request is a
// value of its type. Unknown fields are refused, so that a misspelt field is not
// ignored. Lists are read up to one element beyond their limit; Validate then
// reports the limit.
//
// It fails with a [*FormatError], or with the error of the reader. It does not
// check the contents of fields: see [Validate].
func Decode(r io.Reader) (Request, error) {
	b, err := readLimited(r, MaxBytes)
	if err != nil {
		return nil, err
	}
	return Unmarshal(b)
}

// Unmarshal is [Decode] of bytes, however many.
func Unmarshal(b []byte) (Request, error) {
	if n := elements(b, maxMembers); n > maxMembers {
		return nil, &FormatError{Why: fmt.Sprintf("it has more than %d fields", maxMembers)}
	}
	// Kept raw, so that the pictures are decoded once.
	var members map[string]json.RawMessage
	if err := json.Unmarshal(b, &members); err != nil {
		return nil, jsonError(err)
	}
	var name string
	if err := json.Unmarshal(members["kind"], &name); err != nil {
		return nil, &FormatError{Field: "kind", Why: "it is missing or no string"}
	}
	kind, err := takedown.ParseKind(name)
	if err != nil {
		return nil, &FormatError{Field: "kind", Why: strings.TrimPrefix(err.Error(), "takedown: ")}
	}
	delete(members, "kind")
	for name, value := range members {
		members[name] = cutList(value, maxListed(reflect.TypeOf(New(kind)), name)+1)
	}
	if b, err = json.Marshal(members); err != nil {
		return nil, jsonError(err)
	}
	return requestTypes[kind].decode(b)
}

// maxMembers is how many fields a request may have; no kind has half of that.
const maxMembers = 100

// maxListed returns how many elements the list of a field may have, by its tag:
// the names of JSON match whatever their case. What is no list of that type has
// the longest that there is.
func maxListed(t reflect.Type, name string) int {
	for i := range t.NumField() {
		f := t.Field(i)
		if n, _, _ := strings.Cut(f.Tag.Get("json"), ","); f.Type.Kind() == reflect.Slice && strings.EqualFold(n, name) {
			if max, err := strconv.Atoi(f.Tag.Get("max")); err == nil {
				return max
			}
		}
	}
	return maxAddresses
}

// eachComma calls yield with the position of every comma between the elements
// of b, a JSON array or object, until it returns false. Of what is no JSON it
// finds some.
func eachComma(b []byte, yield func(at int) bool) {
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			depth--
		case c == ',' && depth == 1 && !yield(i):
			return
		}
	}
}

// elements counts the elements of a JSON array or object, up to one more than
// max; an empty one counts as one.
func elements(b []byte, max int) int {
	n := 1
	eachComma(b, func(int) bool { n++; return n <= max })
	return n
}

// cutList returns a JSON array without what comes after its first max elements,
// and any other value as it is. An element may be a few bytes of JSON and many
// of memory, so a list is cut before it is decoded; one element beyond its limit
// shows the validation that there are too many.
func cutList(b []byte, max int) []byte {
	if len(b) == 0 || b[0] != '[' {
		return b
	}
	n := 0
	eachComma(b, func(at int) bool {
		if n++; n == max {
			b = append(b[:at:at], ']')
		}
		return n < max
	})
	return b
}

// decode reads one type of request.
func decode[T Request](b []byte) (Request, error) {
	var r T
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return nil, jsonError(err)
	}
	return r, nil
}

// readLimited reads r to its end, which must come within max bytes.
func readLimited(r io.Reader, max int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, max+1))
	if err != nil {
		return nil, fmt.Errorf("takedown: request: %w", err)
	}
	if int64(len(b)) > max {
		return nil, &FormatError{Why: fmt.Sprintf("it has more than %d bytes", max)}
	}
	return b, nil
}

// inJSON says what a value of a type of a field is in JSON, and what many are.
func inJSON(t reflect.Type) (one, many string) {
	switch {
	case t == reflect.TypeFor[[]byte](), t == reflect.TypeFor[File]():
		return "a string in base64", "strings in base64"
	case t.Kind() == reflect.Slice:
		_, many := inJSON(t.Elem())
		return "a list of " + many, "lists of " + many
	case t.Kind() == reflect.Struct, t.Kind() == reflect.Map:
		return "an object", "objects"
	case t.Kind() == reflect.Bool:
		return "true or false", "true and false"
	case t.Kind() == reflect.Int:
		return "a whole number", "whole numbers"
	case t.Kind() == reflect.Float32:
		return "a number", "numbers"
	}
	return "a string", "strings"
}

// jsonError turns an error of encoding/json, whose text can repeat what was
// written, into one that does not.
func jsonError(err error) error {
	var typ *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &typ):
		field := typ.Field
		if !fields.Plain.MatchString(field) {
			field = ""
		}
		one, _ := inJSON(typ.Type)
		return &FormatError{Field: field, Why: fmt.Sprintf("%s belongs there, not a JSON %s", one, strings.Fields(typ.Value)[0])}
	case errors.As(err, &syntax):
		return &FormatError{Why: fmt.Sprintf("no JSON object: syntax error at byte %d", syntax.Offset)}
	}
	if errors.Is(err, takedown.ErrCaseID) { // the only field of requests that has one
		return &FormatError{Field: "case", Why: "it is no case number, which has 26 letters and digits"}
	}
	var format *FormatError
	if errors.As(err, &format) {
		return format
	}
	if errors.Is(err, takedown.ErrFace) { // whose texts repeat nothing of the vector
		return &FormatError{Why: strings.TrimPrefix(err.Error(), "takedown: ")}
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		if name = strings.Trim(name, `"`); fields.Plain.MatchString(name) {
			return &FormatError{Field: name, Why: "requests of this kind have no such field"}
		}
		return &FormatError{Why: "it has a field that requests of this kind do not have"}
	}
	return &FormatError{Why: "a value has not the form that the schema asks for"}
}
