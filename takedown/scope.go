package takedown

import (
	"encoding/base32"
	"errors"
	"fmt"
	"strings"

	"github.com/staydown/staydown/blocklist"
)

// Scope is how far a rule reaches. A request asks for a scope and a reviewer
// grants one; it is never implied.
type Scope = blocklist.Scope

const (
	// ScopeURL: the given addresses only, for ever. A copy under another
	// address may stay.
	ScopeURL = blocklist.ScopeURL
	// ScopeBytes: the same file at any address.
	ScopeBytes = blocklist.ScopeBytes
	// ScopeIdentical: the same picture, re-encoded or resized, at any address.
	ScopeIdentical = blocklist.ScopeIdentical
	// ScopeDuplicate: the same picture at any address, also mirrored, rotated,
	// bordered or slightly cropped.
	ScopeDuplicate = blocklist.ScopeDuplicate
	// ScopeFace: every picture in which a face appears.
	ScopeFace = blocklist.ScopeFace
)

// CaseID names a case. It is random, so it does not reveal the number of cases. A
// rule knows only the CaseID of its case.
type CaseID [16]byte

// The alphabet of RFC 4648 without padding, in lower case: 26 characters.
var caseIDText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// String returns the text form of the id: 26 lower-case letters and digits.
func (id CaseID) String() string { return caseIDText.EncodeToString(id[:]) }

// ErrCaseID begins the errors of [ParseCaseID].
var ErrCaseID = errors.New("takedown: a case id")

// ParseCaseID reads the text form of a case id.
func ParseCaseID(s string) (CaseID, error) {
	var id CaseID
	b, err := caseIDText.DecodeString(strings.ToLower(s))
	if err != nil || len(b) != len(id) {
		return CaseID{}, fmt.Errorf("%w has 26 letters and digits 2 to 7, this has %d characters or others", ErrCaseID, len(s))
	}
	copy(id[:], b)
	if id.String() != strings.ToLower(s) {
		return CaseID{}, fmt.Errorf("%w ends with one of aeimquy4", ErrCaseID)
	}
	return id, nil
}

// MarshalText returns the text form.
func (id CaseID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads the text form.
func (id *CaseID) UnmarshalText(b []byte) (err error) {
	*id, err = ParseCaseID(string(b))
	return err
}

// ArgumentError reports that an option or an argument is invalid. It is a mistake
// of the program, not of a requester.
type ArgumentError struct {
	Name string // such as "desk.Options.SigningKey"
	Why  string // what is wrong, and what would be accepted
}

func (e *ArgumentError) Error() string { return fmt.Sprintf("takedown: %s: %s", e.Name, e.Why) }

func badArgument(name, why string, args ...any) error {
	return &ArgumentError{name, fmt.Sprintf(why, args...)}
}

// ErrClosed is returned when a desk, or an enforcer, was closed.
var ErrClosed = errors.New("takedown: the desk, or the enforcer, is closed")
