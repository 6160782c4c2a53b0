package desk

import (
	"crypto/rand"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

func newCaseID() takedown.CaseID {
	var id takedown.CaseID
	rand.Read(id[:])
	return id
}

// State is where a case stands.
type State string

const (
	StateUnconfirmed  State = "unconfirmed"   // waits for its email address to be confirmed
	StateNeedsInfo    State = "needs_info"    // waits for the requester to complete it
	StateInReview     State = "in_review"     // waits for a reviewer
	StateSecondReview State = "second_review" // accepted by one reviewer, waits for another
	StateEnforcing    State = "enforcing"     // its rules are on the way into the list
	StateInForce      State = "in_force"      // its rules are enforced
	StateCounter      State = "counter"       // of a counter-notice: accepted, and waits for its window
	StateCourtHold    State = "court_hold"    // in force, or a counter-notice; a court has the matter
	StateRevoking     State = "revoking"      // its rules are on the way out of the list
	StateRejected     State = "rejected"
	StateWithdrawn    State = "withdrawn" // by the requester
	StateReversed     State = "reversed"  // by the operator, after a complaint or of its own accord
	StateRestored     State = "restored"  // after a counter-notice; so is that one
	StateExpired      State = "expired"   // the time that was granted is over
	StateAbandoned    State = "abandoned" // nobody confirmed or completed it in time: see [Retention]
	StateClosed       State = "closed"    // nothing is left to do
)

// moves lists where a case that blocks something can go from each state. It is
// closed after its end only: what is held while it is open would stay for ever.
var moves = map[State][]State{
	StateUnconfirmed:  {StateInReview, StateEnforcing, StateRevoking, StateRejected, StateWithdrawn, StateAbandoned},
	StateNeedsInfo:    {StateInReview, StateUnconfirmed, StateEnforcing, StateRevoking, StateRejected, StateWithdrawn, StateAbandoned},
	StateInReview:     {StateNeedsInfo, StateSecondReview, StateEnforcing, StateRevoking, StateRejected, StateWithdrawn},
	StateSecondReview: {StateInReview, StateNeedsInfo, StateEnforcing, StateRevoking, StateRejected, StateWithdrawn},
	StateEnforcing:    {StateInForce, StateUnconfirmed, StateNeedsInfo, StateInReview, StateSecondReview},
	StateInForce:      {StateEnforcing, StateRevoking, StateCourtHold},
	StateCourtHold:    {StateInForce, StateRevoking},
	StateRevoking:     {StateRejected, StateWithdrawn, StateReversed, StateRestored, StateExpired},
	StateRejected:     {StateInReview, StateClosed},
	StateWithdrawn:    {StateClosed},
	StateReversed:     {StateInReview, StateClosed},
	StateRestored:     {StateClosed},
	StateExpired:      {StateClosed},
	StateAbandoned:    {StateClosed},
}

// replyMoves lists the same of a reply to a case, which blocks nothing: what it
// asks for is done to that case when it is accepted, and with that it is closed;
// a counter-notice when its window is over.
var replyMoves = map[State][]State{
	StateUnconfirmed:  {StateInReview, StateRejected, StateWithdrawn, StateAbandoned},
	StateNeedsInfo:    {StateInReview, StateUnconfirmed, StateRejected, StateWithdrawn, StateCounter, StateClosed, StateAbandoned},
	StateInReview:     {StateNeedsInfo, StateSecondReview, StateRejected, StateWithdrawn, StateCounter, StateClosed},
	StateSecondReview: {StateInReview, StateNeedsInfo, StateRejected, StateWithdrawn, StateCounter, StateClosed},
	StateCounter:      {StateRestored, StateCourtHold, StateWithdrawn},
	StateCourtHold:    {StateRestored, StateClosed, StateWithdrawn},
	StateRejected:     {StateClosed},
	StateWithdrawn:    {StateClosed},
	StateRestored:     {StateClosed},
	StateAbandoned:    {StateClosed},
}

// MoveError reports that a case cannot make the requested move from its state.
type MoveError struct {
	ID       takedown.CaseID
	From, To State // To is "erased", "completed", "informed", "hold_released", "alarms_settled" or "flagger_confirmed" for what is no state
}

func (e *MoveError) Error() string {
	return fmt.Sprintf("takedown: case %v is %s and cannot become %s", e.ID, e.From, e.To)
}

// Actor names the person who moved a case, and the reason. Both are codes of the
// operator, not texts: letters, digits, ".", "_", ":" and "-", at most 64
// characters. By may be empty for moves by the requester.
type Actor struct {
	By     string `json:"by,omitempty"`
	Reason string `json:"reason,omitempty"`
}

var actCode = regexp.MustCompile(`^[A-Za-z0-9._:-]{0,64}$`)

func (a Actor) check() error {
	if !actCode.MatchString(a.By) || !actCode.MatchString(a.Reason) {
		return fmt.Errorf("takedown: By and Reason are codes of at most 64 letters, digits and . _ : -, not texts")
	}
	return nil
}

// Moved is a step of a case.
type Moved struct {
	Actor
	To   State     `json:"to"`
	Time time.Time `json:"time"`
}

// The flags that the desk gives a case; those of its request are in package request.
const (
	// FlagFlaggerConfirmed: a person verified that the requester is a trusted flagger,
	// see [Desk.ConfirmFlagger].
	FlagFlaggerConfirmed request.Flag = "flagger_confirmed"
	// FlagAuthorityConfirmed: a person verified that an order comes from the authority
	// that it names, see [Desk.ConfirmAuthority].
	FlagAuthorityConfirmed request.Flag = "authority_confirmed"
	// FlagEarlierClaim: another case, of another requester, is in force for the
	// same picture.
	FlagEarlierClaim request.Flag = "earlier_claim"
	// FlagContradiction: that other case claims to own the picture too. It is
	// looked for when the request comes in, and again when it is granted. Risky.
	FlagContradiction request.Flag = "contradiction"
	// FlagSamePending: another request about the same picture or address waits for its
	// decision: see [Desk.SameAs].
	FlagSamePending request.Flag = "same_pending"
	// FlagPendingContradiction: that other request claims to own the same picture, and
	// is of somebody else.
	FlagPendingContradiction request.Flag = "pending_contradiction"
	// FlagImported: the case was received, and perhaps decided, before it came to the
	// desk: see [Desk.Import].
	FlagImported request.Flag = "imported"
	// FlagLate: a complaint after the window for complaints.
	FlagLate request.Flag = "late"
	// FlagOtherParty: a withdrawal by somebody other than the requester. Risky.
	FlagOtherParty request.Flag = "other_party"
	// FlagWider: more was granted than asked. Risky.
	FlagWider request.Flag = "wider"
	// FlagUnseen: the rule would block by a hash, or by the vector of a face, alone; no
	// reviewer has seen the picture. Risky.
	FlagUnseen request.Flag = "unseen"
	// FlagFace: a face is to be blocked, in anybody's picture. Risky.
	FlagFace request.Flag = "face"
	// FlagSeveralPeople: the faces of the case do not resemble each other as faces
	// of one person do. One of them may be of a person who has not consented.
	// Risky.
	FlagSeveralPeople request.Flag = "several_people"
	// FlagUniversalFace: at the model's thresholds a face resembles more strangers of
	// [FaceModel].Reference than a face does by chance. [Preview].Strangers has the
	// threshold that it needs. Risky.
	FlagUniversalFace request.Flag = "universal_face"
	// FlagAllowListed: one of its pictures is on the allow list, so that only its
	// file can be blocked, or is near a picture on it. Risky.
	FlagAllowListed request.Flag = "allow_listed"
	// FlagFlat: one of its pictures is a low-detail picture or has an unstable
	// hash, still above the registration threshold. Risky.
	FlagFlat request.Flag = "flat"
	// FlagCrowded: a preview showed that it would hit very many pictures. Risky.
	FlagCrowded request.Flag = "crowded"
	// FlagOverBudget: one of its rules matches more different pictures than the
	// match budget, and the [Alarm] is not settled.
	FlagOverBudget request.Flag = "over_budget"
)

// Outcome is the result of a decision.
type Outcome string

const (
	OutcomeAccepted    Outcome = "accepted"
	OutcomePartly      Outcome = "partly" // of a case: some items accepted, some not
	OutcomeRejected    Outcome = "rejected"
	OutcomeOutOfScope  Outcome = "out_of_scope"
	OutcomeDuplicateOf Outcome = "duplicate_of" // another case covers it
	OutcomeUnfounded   Outcome = "manifestly_unfounded"
	// OutcomeNotMeant is for an item of an [request.OpenOptOut]: the picture was
	// meant and not the face, or vice versa. It does not make a case partly
	// accepted.
	OutcomeNotMeant Outcome = "not_meant"
)

// CaseItem is one thing that a request wants blocked: an address, a picture or a
// hash. Each item is decided by itself. A CaseItem does not hold the address,
// picture or hash, which are in the request and, sealed, in the store.
type CaseItem struct {
	request.Item
	Outcome Outcome        `json:"outcome,omitempty"` // empty until decided
	Reason  string         `json:"reason,omitempty"`  // a code of the operator
	Granted takedown.Scope `json:"granted,omitempty"`
	// Views are the views of a picture that a reviewer chose; nil means those that
	// are registered by default.
	Views []blocklist.View `json:"views,omitempty"`
	// As is what a reviewer decided that the address is: see [ItemDecision].Address.
	As request.ItemKind `json:"as,omitempty"`
	// Effect is the effect of the rule that enforces the item; zero until granted.
	Effect blocklist.Effect `json:"effect,omitempty"`
	Rule   uint64           `json:"rule,omitempty"` // that enforces it
	// Ended is the state in which the item left a case that continues without it:
	// withdrawn by the requester, reversed after an objection or complaint, or
	// restored after a counter-notice. The item is not granted again, except after
	// a completed request that asks for it, or a successful complaint about the
	// reversal.
	Ended State `json:"ended,omitempty"`
	// Template is the id of the key under which the template of a face is sealed;
	// nil once that key is destroyed.
	Template []byte `json:"template,omitempty"`
}

// Case is a request and its history. The texts and files that a person sent are in
// Request only. The digests and hashes of pictures, which are pseudonyms, are in
// Pictures.
type Case struct {
	ID       takedown.CaseID `json:"id"`
	Kind     takedown.Kind   `json:"kind"`
	Regime   request.Regime  `json:"regime"`
	State    State           `json:"state"`
	Received time.Time       `json:"received"`
	// Request is the request with its personal data. It is kept apart from the
	// rest of the case, sealed, and is nil after an erasure.
	Request request.Request `json:"-"`
	// About is the case that a reply refers to; zero for other requests.
	About takedown.CaseID `json:"about,omitzero"`
	// Items are the items that the request wants blocked, in the order of its
	// fields.
	Items []CaseItem `json:"items,omitempty"`
	// Pictures are the images of the request, in its order. They are kept, sealed
	// and erased with it.
	Pictures []request.Picture `json:"-"`
	// Problems are those that the operator has to ask about: see [request.Curable].
	Problems []request.Problem `json:"problems,omitempty"`
	Flags    []request.Flag    `json:"flags,omitempty"`
	Asked    takedown.Scope    `json:"asked,omitempty"`
	// AskedTerritories are the territories of an [request.AuthorityOrder]. They
	// are empty for other requests, and for an order for the whole world.
	AskedTerritories []string       `json:"asked_territories,omitempty"`
	Granted          takedown.Scope `json:"granted,omitempty"` // zero until accepted
	Outcome          Outcome        `json:"outcome,omitempty"` // empty until decided
	// Effect, Territories, Start and End are those of the grant. Effect is the
	// stronger one where those of the items differ.
	Effect      blocklist.Effect `json:"effect,omitempty"`
	Territories []string         `json:"territories,omitempty"`
	Start       time.Time        `json:"start,omitzero"`
	End         time.Time        `json:"end,omitzero"`
	// Face are the model and thresholds of the faces that were granted.
	Face FaceTerms `json:"face,omitzero"`
	// Rules are the public ids of the case's rules that are in the list.
	Rules []uint64 `json:"rules,omitempty"`
	// Times are the times of the milestones at which clocks start; each is written
	// once. See [Deadline].
	Times map[Milestone]time.Time `json:"times,omitempty"`
	// Pauses are the times in which the case waited for its requester.
	Pauses []Pause `json:"pauses,omitempty"`
	// Moves are the steps of the case, oldest first.
	Moves []Moved `json:"moves"`
	// Crowded is the narrowest scope at which a preview hit very many pictures, or
	// 0.
	Crowded takedown.Scope `json:"crowded,omitempty"`
	// Alarms are those of its rules, oldest first.
	Alarms []Alarm `json:"alarms,omitempty"`
	// LegalHold forbids the erasure of personal data: see [Desk.LegalHold].
	LegalHold bool `json:"legal_hold,omitempty"`
	// PreserveUntil forbids the erasure of personal data until then: see
	// [Desk.MarkReported].
	PreserveUntil time.Time `json:"preserve_until,omitzero"`
	// Assignee is the reviewer to whom the case is assigned until AssignedUntil: see
	// [Desk.Assign].
	Assignee      string    `json:"assignee,omitempty"`
	AssignedUntil time.Time `json:"assigned_until,omitzero"`
	// Claim is that of an opt-out.
	Claim request.Claim `json:"claim,omitempty"`
	// Version counts the states of what a reviewer decides about: the request, its
	// items and its evidence. It begins with 1. See [Grant].Seen.
	Version int `json:"version"`
	// Finding is that of the last decision. It is kept sealed and erased with the
	// request.
	Finding Finding `json:"-"`
	// Same is the case that covers the request, of a case that was rejected as
	// OutcomeDuplicateOf.
	Same takedown.CaseID `json:"same,omitzero"`
	// Reason is the code of the reason of the last decision.
	Reason string `json:"reason,omitempty"`

	// The next fields are what reports count. They are codes, and survive an erasure.

	// Ground is the ground that the request gives.
	Ground request.Ground `json:"ground,omitempty"`
	// Country is where the requester lives, LawCountry the country whose law is
	// named, or the state of an order.
	Country    string `json:"country,omitempty"`
	LawCountry string `json:"law_country,omitempty"`
	// Synthetic and Minor are the answers of an [request.IntimateImage].
	Synthetic request.Answer `json:"synthetic,omitempty"`
	Minor     request.Answer `json:"minor,omitempty"`
	// Purposes are the uses that a [request.Preference] restricts; zero for other
	// requests, which are about every use.
	Purposes takedown.Purposes `json:"purposes,omitempty"`
	// OnTerms reports that the decision rests on the operator's terms and not on a
	// law.
	OnTerms bool `json:"on_terms,omitempty"`
}

// A caseRecord is a case as the desk stores it: with what is its own affair.
type caseRecord struct {
	Case

	// After is where the case goes when its events are delivered, and Incoming
	// are the items of each rule that is on the way.
	After    State   `json:"after,omitempty"`
	Incoming [][]int `json:"incoming,omitempty"`
	// Silent says that nobody is told when they are.
	Silent bool `json:"silent,omitempty"`
	// Begins says that its rules apply from Start on, and that nothing was noted or
	// told of that yet.
	Begins bool `json:"begins,omitempty"`
	// First is the approval that waits for a second reviewer.
	First *approval `json:"first,omitempty"`
	// Token is the SHA-256 of the token that confirms the email address, and
	// TokenSent when it was sent.
	Token     []byte    `json:"token,omitempty"`
	TokenSent time.Time `json:"token_sent,omitzero"`
	// Past are the rules of the case that have ended and whose data is still in the
	// files of the list.
	Past []uint64 `json:"past,omitempty"`
	// EvidenceCount is the number of pieces of evidence.
	EvidenceCount int `json:"evidence,omitempty"`
	// Party is a keyed digest of the requester. Two cases of the same requester
	// have the same digest, until the personal data is erased.
	Party []byte `json:"party,omitempty"`
	// Completions is how often the request was replaced by a completed one, and
	// AboutCompletions that of the case that a reply is about when it came in. The
	// numbers of items mean the same as long as the two are equal.
	Completions      int `json:"completions,omitempty"`
	AboutCompletions int `json:"about_completions,omitempty"`

	// NoteCount is the number of notes.
	NoteCount int `json:"notes,omitempty"`
	// Sealed is the finding, sealed under the key of the case.
	Sealed []byte `json:"finding,omitempty"`

	material []request.Material // of a request that is not stored yet; see Desk.material
	files    []storedFile       // where the images of the request lie
	log      []LogEntry         // of the moves that are not stored yet
	// unreadable is why the request cannot be read: its key is gone, or damaged.
	unreadable error
	gone       [][]byte // ids of templates that the case does not have any more
}

type approval struct {
	By    string `json:"by"`
	Grant []byte `json:"grant"` // digest, as of Desk.approved
}

// Erased reports whether the personal data of the case was erased.
func (c *Case) Erased() bool { return !c.Times[MilestoneErased].IsZero() }

// undecided reports whether a decision about the case is still to come.
func (c *Case) undecided() bool {
	switch c.State {
	case StateUnconfirmed, StateNeedsInfo, StateInReview, StateSecondReview:
		return true
	}
	return false
}

// wasHeld reports whether a case that has just come into force was waiting for
// its decision before: what was enforced until then was a hold.
func (c *Case) wasHeld() bool {
	n := len(c.Moves) - 3 // before enforcing and in force
	return n < 0 || (&Case{State: c.Moves[n].To}).undecided()
}

// ended reports whether nothing of the case is in force, and nothing will be
// by itself.
func (c *Case) ended() bool {
	switch c.State {
	case StateRejected, StateWithdrawn, StateReversed, StateRestored, StateExpired, StateAbandoned, StateClosed:
		return true
	}
	return false
}

// moves returns where the case can go from each state.
func (c *Case) moves() map[State][]State {
	if request.IsReply(c.Kind) {
		return replyMoves
	}
	return moves
}

// happened notes a milestone, once.
func (c *caseRecord) happened(m Milestone, now time.Time) {
	if c.Times == nil {
		c.Times = map[Milestone]time.Time{}
	}
	if _, ok := c.Times[m]; !ok {
		c.Times[m] = now
	}
}

// move takes c to another state, or says why not.
func (c *caseRecord) move(to State, a Actor, now time.Time) error {
	if err := a.check(); err != nil {
		return err
	}
	if !slices.Contains(c.moves()[c.State], to) {
		return &MoveError{c.ID, c.State, to}
	}
	if c.State == StateNeedsInfo {
		if n := len(c.Pauses); n > 0 && c.Pauses[n-1].To.IsZero() {
			c.Pauses[n-1].To = now
		}
	}
	if to == StateNeedsInfo {
		c.Pauses = append(c.Pauses, Pause{From: now})
	}
	c.note(c.State, to, a, now)
	c.State = to
	c.Moves = append(c.Moves, Moved{Actor: a, To: to, Time: now})
	return nil
}

// note adds an entry to the log that is written with the case.
func (c *caseRecord) note(from, to State, a Actor, now time.Time) {
	c.log = append(c.log, LogEntry{Time: now, Case: c.ID, From: from, To: to, Actor: a, Rules: len(c.Rules)})
}
