package takedown

import (
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/staydown/staydown/blocklist"
)

// Width is how far a rule reaches. It is asked for by a request and granted by
// a reviewer, never implied.
type Width = blocklist.Width

const (
	// WidthURL: the given addresses only, for ever. A copy under another
	// address may stay.
	WidthURL = blocklist.WidthURL
	// WidthBytes: the same file at any address.
	WidthBytes = blocklist.WidthBytes
	// WidthIdentical: the same picture, re-encoded or resized, at any address.
	WidthIdentical = blocklist.WidthIdentical
	// WidthDuplicate: the same picture at any address, also mirrored, rotated,
	// bordered or slightly cropped.
	WidthDuplicate = blocklist.WidthDuplicate
)

// CaseID names a case. It is random, so that a number says nothing about how
// many cases there are, and it is all that a rule knows of its case.
type CaseID [16]byte

// The alphabet of RFC 4648 without padding, in lower case: 26 characters.
var caseIDText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func newCaseID() CaseID {
	var id CaseID
	rand.Read(id[:])
	return id
}

// String returns the text form of the id: 26 lower-case letters and digits.
func (id CaseID) String() string { return caseIDText.EncodeToString(id[:]) }

// ParseCaseID reads the text form of a case id.
func ParseCaseID(s string) (CaseID, error) {
	var id CaseID
	b, err := caseIDText.DecodeString(strings.ToLower(s))
	if err != nil || len(b) != len(id) {
		return CaseID{}, fmt.Errorf("takedown: a case id has 26 letters and digits 2 to 7, this has %d characters or others", len(s))
	}
	copy(id[:], b)
	if id.String() != strings.ToLower(s) {
		return CaseID{}, fmt.Errorf("takedown: a case id whose last character carries more than its two bits")
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

// State is where a case stands.
type State string

const (
	StateInReview  State = "in_review" // submitted, waits for a reviewer
	StateEnforcing State = "enforcing" // accepted; its rules are on the way into the list
	StateInForce   State = "in_force"  // its rules are enforced
	StateRejected  State = "rejected"
	StateRevoking  State = "revoking"  // withdrawn; its rules are on the way out of the list
	StateWithdrawn State = "withdrawn" // its rules are revoked
)

// moves lists where a case can go from each state.
var moves = map[State][]State{
	StateInReview:  {StateEnforcing, StateRejected, StateWithdrawn},
	StateEnforcing: {StateInForce},
	StateInForce:   {StateRevoking},
	StateRevoking:  {StateWithdrawn},
}

// MoveError says that a case cannot do what was asked of it in its state.
type MoveError struct {
	ID       CaseID
	From, To State
}

func (e *MoveError) Error() string {
	return fmt.Sprintf("takedown: case %v is %s and cannot become %s", e.ID, e.From, e.To)
}

// Act says who moved a case and why. Both are codes of the operator, not
// texts: letters, digits, ".", "_", ":" and "-", at most 64. By may be empty
// for what the requester does.
type Act struct {
	By     string `json:"by,omitempty"`
	Reason string `json:"reason,omitempty"`
}

var actCode = regexp.MustCompile(`^[A-Za-z0-9._:-]{0,64}$`)

func (a Act) check() error {
	if !actCode.MatchString(a.By) || !actCode.MatchString(a.Reason) {
		return fmt.Errorf("takedown: By and Reason are codes of at most 64 letters, digits and . _ : -, not texts")
	}
	return nil
}

// Grant is the decision to accept a request, and how far.
type Grant struct {
	Act
	// Width is what is granted; zero grants what was asked. A wider one than
	// was asked is refused.
	Width Width
	// Territories are the countries, ISO 3166-1 alpha-2, in which the rule
	// applies; none means everywhere.
	Territories []string
	// Start and End bound the time in which the rule applies, in whole
	// seconds; zero means at once, and for ever.
	Start, End time.Time
}

// GrantError says why a case cannot be accepted as the grant asks.
type GrantError struct {
	ID  CaseID
	Why string // what is wrong, and what can be granted
}

func (e *GrantError) Error() string { return fmt.Sprintf("takedown: case %v: %s", e.ID, e.Why) }

// Moved is a step of a case.
type Moved struct {
	Act
	To   State     `json:"to"`
	Time time.Time `json:"time"`
}

// Case is a request and what became of it. Only its Request holds personal
// data.
type Case struct {
	ID       CaseID    `json:"id"`
	Kind     Kind      `json:"kind"`
	State    State     `json:"state"`
	Received time.Time `json:"received"`
	// Request is what was asked, with the personal data; it is kept apart from
	// the rest of the case.
	Request Request `json:"-"`
	// Pictures are the images of the request, in its order.
	Pictures []Picture `json:"pictures,omitempty"`
	Asked    Width     `json:"asked"`
	Granted  Width     `json:"granted,omitempty"` // zero until accepted
	// Rules are the public ids of the case's rules, once they are in the list.
	Rules []uint64 `json:"rules,omitempty"`
	// Moves are the steps of the case, oldest first.
	Moves []Moved `json:"moves"`
}

// move takes c to another state, or says why not.
func (c *Case) move(to State, a Act, now time.Time) error {
	if err := a.check(); err != nil {
		return err
	}
	for _, s := range moves[c.State] {
		if s == to {
			c.State = to
			c.Moves = append(c.Moves, Moved{Act: a, To: to, Time: now})
			return nil
		}
	}
	return &MoveError{c.ID, c.State, to}
}
