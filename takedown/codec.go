package takedown

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
)

// MaxRequestBytes is how much of a request in JSON or of a form is read: 20
// pictures of 10 MB in base64, and a megabyte for the rest.
const MaxRequestBytes = 20*(10<<20)*4/3 + 1<<20

// FormatError says why bytes are no request. It repeats nothing of them but
// names of fields.
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

// EncodeRequest returns the JSON form of a request: an object with the fields
// of its type and the stable name of its kind as "kind". Images are base64.
func EncodeRequest(r Request) ([]byte, error) {
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

// DecodeRequest reads the JSON form of a request, of at most [MaxRequestBytes].
// The request is a value of its type. Fields that the type does not have are
// refused, so that a misspelt one is not lost in silence. It fails with a
// [*FormatError], or with the error of the reader; what the fields hold is for
// [Validate].
func DecodeRequest(r io.Reader) (Request, error) {
	b, err := readLimited(r, MaxRequestBytes)
	if err != nil {
		return nil, err
	}
	return decodeRequest(b)
}

func decodeRequest(b []byte) (Request, error) {
	// Kept raw, so that the pictures are decoded once.
	var members map[string]json.RawMessage
	if err := json.Unmarshal(b, &members); err != nil {
		return nil, jsonError(err)
	}
	var name string
	if err := json.Unmarshal(members["kind"], &name); err != nil {
		return nil, &FormatError{Field: "kind", Why: "it is missing or no string"}
	}
	kind, err := ParseKind(name)
	if err != nil {
		return nil, err
	}
	delete(members, "kind")
	if b, err = json.Marshal(members); err != nil {
		return nil, jsonError(err)
	}
	return requestTypes[kind].decode(b)
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

var plainName = regexp.MustCompile(`^[A-Za-z0-9_.\[\]]{1,64}$`)

// jsonError turns an error of encoding/json, whose text can repeat what was
// written, into one that does not.
func jsonError(err error) error {
	var typ *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &typ):
		field := typ.Field
		if !plainName.MatchString(field) {
			field = ""
		}
		return &FormatError{Field: field, Why: fmt.Sprintf("a JSON %s is not what belongs there; see the schema", strings.Fields(typ.Value)[0])}
	case errors.As(err, &syntax):
		return &FormatError{Why: fmt.Sprintf("no JSON object: syntax error at byte %d", syntax.Offset)}
	}
	var format *FormatError
	if errors.As(err, &format) {
		return format
	}
	for _, face := range []error{ErrFaceModel, ErrFaceDimensions, ErrFaceNotFinite, ErrFaceZero} {
		if errors.Is(err, face) { // whose texts repeat nothing of the vector
			return &FormatError{Why: strings.TrimPrefix(err.Error(), "takedown: ")}
		}
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		if name = strings.Trim(name, `"`); plainName.MatchString(name) {
			return &FormatError{Field: name, Why: "requests of this kind have no such field"}
		}
		return &FormatError{Why: "it has a field that requests of this kind do not have"}
	}
	return &FormatError{Why: "a value has not the form that the schema asks for"}
}
