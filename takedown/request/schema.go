package request

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/staydown/staydown/internal/embedding"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
)

// Schema returns the JSON Schema (draft 2020-12) of the input of [Decode], made
// from the request types themselves. The published copy is
// schema/requests.schema.json. It describes the shape of a request; [Validate]
// checks the requirements of the law.
//
// Decode accepts a little more: names of fields in another case, null for absent
// fields, and requests without a required field. Validate reports the missing
// fields.
func Schema() []byte {
	defs := map[string]any{}
	var variants []any
	for _, k := range Kinds() {
		s := objectSchema(reflect.TypeOf(New(k)), defs)
		s["properties"].(map[string]any)["kind"] = map[string]any{"const": k.String()}
		s["required"] = append([]string{"kind"}, s["required"].([]string)...)
		defs[k.String()] = s
		variants = append(variants, map[string]any{"$ref": "#/$defs/" + k.String()})
	}
	b, err := json.MarshalIndent(map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"$id":     "urn:staydown:requests:1",
		"title":   "Removal requests",
		"oneOf":   variants,
		"$defs":   defs,
	}, "", "  ")
	if err != nil {
		panic("takedown: the schema is no JSON: " + err.Error())
	}
	return append(b, '\n')
}

// objectSchema returns the schema of a struct. Named structs that it uses go
// into defs.
func objectSchema(t reflect.Type, defs map[string]any) map[string]any {
	props, required := map[string]any{}, []string{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		max, _ := strconv.Atoi(f.Tag.Get("max"))
		props[name] = fieldSchema(f.Type, max, defs)
		if !strings.Contains(opts, "omit") {
			required = append(required, name)
		}
	}
	return map[string]any{"type": "object", "properties": props, "required": required, "additionalProperties": false}
}

func fieldSchema(t reflect.Type, max int, defs map[string]any) map[string]any {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[takedown.CaseID]():
		return map[string]any{"type": "string", "pattern": "^[A-Za-z2-7]{25}[AEIMQUYaeimquy4]$"}
	case t == reflect.TypeFor[phash.Hash]():
		return map[string]any{"type": "string", "pattern": "^((pdq:)?[0-9A-Fa-f]{64}|p:[0-9A-Fa-f]{16})?$"}
	case t == reflect.TypeFor[takedown.Face]():
		return map[string]any{
			"type": []string{"object", "null"}, "additionalProperties": false, "required": []string{"model", "vector"},
			"properties": map[string]any{
				"model":  map[string]any{"type": "string", "pattern": fmt.Sprintf("^[!-~]{1,%d}$", embedding.MaxModelName)},
				"vector": map[string]any{"type": "array", "items": map[string]any{"type": "number"}, "minItems": embedding.MinDimensions, "maxItems": embedding.MaxDimensions},
			},
		}
	case t == reflect.TypeFor[File]():
		return map[string]any{"type": "string", "contentEncoding": "base64"}
	case t.Implements(reflect.TypeFor[interface{ values() []string }]()):
		values := reflect.Zero(t).Interface().(interface{ values() []string }).values()
		return map[string]any{"enum": append([]string{""}, values...)}
	}
	switch t.Kind() {
	case reflect.Struct:
		if _, ok := defs[t.Name()]; !ok {
			defs[t.Name()] = objectSchema(t, defs)
		}
		return map[string]any{"$ref": "#/$defs/" + t.Name()}
	case reflect.Slice:
		s := map[string]any{"type": []string{"array", "null"}, "items": fieldSchema(t.Elem(), 0, defs)}
		if max > 0 {
			s["maxItems"] = max
		}
		return s
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int:
		return map[string]any{"type": "integer", "minimum": 0}
	}
	s := map[string]any{"type": "string"}
	if max > 0 {
		s["maxLength"] = max
	}
	return s
}
