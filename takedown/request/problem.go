package request

import (
	"fmt"
	"slices"
	"strings"
)

// Severity is the effect of a problem on a request.
type Severity uint8

const (
	// Incomplete: a required field is missing or unusable. The request is not
	// accepted until it is there.
	Incomplete Severity = 1
	// Curable: the request is defective, but complete enough that the operator has
	// to ask for the rest.
	Curable Severity = 2
	// Ineffective: the request has no legal effect. No answer beyond this problem
	// is required.
	Ineffective Severity = 3
)

// String returns "incomplete", "curable" or "ineffective".
func (s Severity) String() string {
	switch s {
	case Incomplete:
		return "incomplete"
	case Curable:
		return "curable"
	case Ineffective:
		return "ineffective"
	}
	return fmt.Sprintf("Severity(%d)", uint8(s))
}

// Code names a kind of problem. Codes are stable: programs may switch on them
// and catalogues of messages may be keyed by them.
type Code string

const (
	CodeRequired       Code = "required"         // the field is empty; Params["or"] are fields that would do as well, with commas
	CodeTooLong        Code = "too_long"         // more than Params["max"] characters
	CodeTooMany        Code = "too_many"         // more than Params["max"] items
	CodeTooLarge       Code = "too_large"        // more than Params["max_bytes"] bytes or Params["max_pixels"] pixels
	CodeTooManyPixels  Code = "too_many_pixels"  // more than Params["max_pixels"] pixels in all pictures of the request
	CodeNotText        Code = "not_text"         // control characters or bytes that are not UTF-8
	CodeInvalidEmail   Code = "invalid_email"    // not an email address
	CodeInvalidPhone   Code = "invalid_phone"    // no number with + and 7 to 15 digits, nor one of the requester's country
	CodeInvalidCountry Code = "invalid_country"  // not an ISO 3166-1 alpha-2 code
	CodeInvalidLang    Code = "invalid_language" // not a language tag (BCP 47)
	CodeInvalidAddress Code = "invalid_address"  // not an http or https address that a picture can have
	// CodeInternalAddress: the address is of a machine of a private network, or has
	// the name of a user.
	CodeInternalAddress Code = "internal_address"
	CodeInvalidChoice   Code = "invalid_choice"    // not one of the values that the field has
	CodeNotAnImage      Code = "not_an_image"      // no known picture format
	CodeUnsupported     Code = "unsupported_image" // a known format that is not decoded: Params["format"]
	CodeDamagedImage    Code = "damaged_image"     // a picture that cannot be decoded
	CodeInvalidHash     Code = "invalid_hash"      // not a PDQ hash that a picture can have
	CodeUnknownCase     Code = "unknown_case"      // there is no case of that number to which this can refer
	CodeNotInCase       Code = "not_in_case"       // the case that this refers to is not about that address
	CodeDuplicate       Code = "duplicate"         // the same as item Params["of"]
	CodeNotAccepted     Code = "not_accepted"      // a statement that the law asks for was not made
	CodeNoConsent       Code = "no_consent"        // no template of a face may be made without explicit consent
	CodeNotDepicted     Code = "not_depicted"      // only who is shown, or acts for them, can agree to a template of the face
	CodeNoFace          Code = "no_face"           // no face was found in the picture
	CodeSeveralFaces    Code = "several_faces"     // the picture shows Params["faces"] faces, and none is marked
	CodeInvalidMark     Code = "invalid_mark"      // no point of the picture, or none on a face
	CodeMixedModels     Code = "mixed_models"      // the faces of one request are of different models
	CodeSmallFace       Code = "small_face"        // the face has fewer than Params["min"] pixels
	CodeUnclearFace     Code = "unclear_face"      // the face is blurred, covered, turned away or no human face
	CodeNoEmbedder      Code = "no_embedder"       // the service cannot make vectors of pictures; it takes vectors
)

// Codes returns every Code, for catalogues of messages.
func Codes() []Code { return slices.Clone(codes) }

var codes = []Code{
	CodeRequired, CodeTooLong, CodeTooMany, CodeTooLarge, CodeTooManyPixels, CodeNotText, CodeInvalidEmail, CodeInvalidPhone,
	CodeInvalidCountry, CodeInvalidLang, CodeInvalidAddress, CodeInternalAddress, CodeInvalidChoice, CodeNotAnImage, CodeUnsupported,
	CodeDamagedImage, CodeInvalidHash, CodeUnknownCase, CodeNotInCase, CodeDuplicate, CodeNotAccepted, CodeNoConsent, CodeNotDepicted, CodeNoFace,
	CodeSeveralFaces, CodeInvalidMark, CodeMixedModels, CodeSmallFace, CodeUnclearFace, CodeNoEmbedder,
}

// Problem is one thing that is wrong with a request.
type Problem struct {
	// Field is the path of the field, as in JSON: "requester.email",
	// "images[2]".
	Field string `json:"field"`
	Code  Code   `json:"code"`
	// Severity is the effect of the problem on the request as a whole.
	Severity Severity `json:"severity"`
	// Params are values for a message about the problem, for example the limit
	// that was exceeded. They never contain text of the person.
	Params map[string]string `json:"params,omitempty"`
}

// fields names the field, and those that could take its place.
func (p Problem) fields() string {
	if or := p.Params["or"]; or != "" {
		return p.Field + " or " + strings.ReplaceAll(or, ",", " or ")
	}
	return p.Field
}

// ValidationError lists every problem of a request, in the order of its
// fields. Its text names fields and codes only: it can be logged.
type ValidationError struct {
	Problems []Problem
}

func (e *ValidationError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "takedown: %d problem(s) with the request: ", len(e.Problems))
	for i, p := range e.Problems {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s: %s", p.fields(), p.Code)
	}
	return b.String()
}

// MarshalText returns the name of the severity.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the name of a severity.
func (s *Severity) UnmarshalText(b []byte) error {
	for _, x := range []Severity{Incomplete, Curable, Ineffective} {
		if x.String() == string(b) {
			*s = x
			return nil
		}
	}
	return fmt.Errorf("takedown: a severity is incomplete, curable or ineffective")
}
