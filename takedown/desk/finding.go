package desk

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/staydown/staydown/internal/fields"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// Finding is what a reviewer found, in words: for the letters about a decision and
// for the statement of reasons. All fields are optional. A Finding is sealed with
// the request of its case and erased with it. It must name nobody, because the
// affected party reads it too.
type Finding struct {
	// Facts are the facts and circumstances on which the decision rests.
	Facts string `json:"facts,omitempty"`
	// Law is the provision that the content breaks, or the clause of the
	// operator's terms.
	Law string `json:"law,omitempty"`
	// Explanation is the reason why the content breaks Law, or why it does not.
	Explanation string `json:"explanation,omitempty"`
	// OnTerms reports that Law is a clause of the operator's terms. It has no effect
	// for an opt-out, which always rests on the terms.
	OnTerms bool `json:"on_terms,omitempty"`
}

// maxFinding is the maximum length of each text of a [Finding], in characters.
const maxFinding = 5000

func (f *Finding) check() error {
	for _, x := range []struct{ name, text string }{{"Facts", f.Facts}, {"Law", f.Law}, {"Explanation", f.Explanation}} {
		if err := checkWords("Finding."+x.name, x.text, maxFinding); err != nil {
			return err
		}
	}
	return nil
}

// checkWords refuses a text of a reviewer that cannot stand in a letter. The error
// does not repeat the text.
func checkWords(name, text string, max int) error {
	switch {
	case !utf8.ValidString(text), strings.ContainsFunc(text, fields.Unprintable):
		return &takedown.ArgumentError{Name: name, Why: "it has control characters, or is not UTF-8"}
	case utf8.RuneCountInString(text) > max:
		return &takedown.ArgumentError{Name: name, Why: fmt.Sprintf("it has more than %d characters", max)}
	}
	return nil
}

// find notes a finding in a case. An empty finding removes that of an earlier
// decision.
func (s *caseStore) find(c *caseRecord, f Finding) error {
	if err := f.check(); err != nil {
		return err
	}
	c.OnTerms, c.Finding, c.Sealed = f.OnTerms || restsOnTerms(c.Kind), f, nil
	if f == (Finding{}) || c.Erased() {
		return nil
	}
	key, err := s.keys.get(c.ID)
	if errors.Is(err, ErrErased) {
		return nil // its key is lost, and so is whom to tell
	}
	if err != nil {
		return err
	}
	b, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("takedown: case store: %w", err)
	}
	c.Sealed = seal(key, label("finding", c.ID), b)
	return nil
}

// addFinding adds its finding to a case that was read.
func (s *caseStore) addFinding(c *caseRecord, key [32]byte) error {
	if c.Sealed == nil {
		return nil
	}
	b, err := unseal(key, label("finding", c.ID), c.Sealed)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, &c.Finding); err != nil {
		return fmt.Errorf("%w: the finding of case %v is no JSON", ErrStore, c.ID)
	}
	return nil
}

// restsOnTerms reports whether what is granted rests on the operator's terms and
// on no law.
func restsOnTerms(k takedown.Kind) bool {
	switch k {
	case request.KindImageOptOut, request.KindOpenOptOut, request.KindFaceOptOut, request.KindHashEntry, request.KindPreference:
		return true
	}
	return false
}

// Refusal is the decision to reject a request.
type Refusal struct {
	// Actor has the reviewer and the reason. A reason that reaches the requester is
	// required: a code of [Reasons] or of Options.Reasons, or any code together with
	// Finding.Explanation. An Outcome other than OutcomeRejected has a reason of its
	// own. No letter is sent for the reason "spam", and letters of the case that
	// wait are dropped.
	Actor
	// Outcome is OutcomeRejected, the default, or OutcomeOutOfScope,
	// OutcomeDuplicateOf or OutcomeUnfounded.
	Outcome Outcome
	// Same is the case that covers the request already. It is required for
	// OutcomeDuplicateOf, and not named in a letter.
	Same takedown.CaseID
	// Finding has the words of the decision.
	Finding Finding
	// Seen is the [Case].Version that the reviewer looked at. If the case has
	// another version now, Reject fails with a [*ChangedError]. Zero does not
	// compare.
	Seen int
	// Past is when an imported case was decided, and the requester told of it, before
	// it came to the desk: see [Desk.Import]. Nobody is written to, and the clocks run
	// from that day. Zero is a decision of today.
	Past time.Time
}

// reasonSpam is the reason of which no letter is sent: the sender's address may be
// that of a victim.
const reasonSpam = "spam"

// reasons are the codes of reasons that package texts has words for. Those for a
// refusal come first.
var refusals = []string{
	"incomplete", "not_found", "which_picture", "not_recognisable", "not_the_person", "not_the_owner", "no_authority", "disputed",
	"permitted_use", "not_illegal", "public_interest", "legal_claims", "too_common", "too_little_detail", "already_blocked",
	"nothing_new", "too_late", "abusive", "order_unverified", "not_our_service",
}

// Reasons returns the codes of reasons for a refusal that package texts has words
// for, in English and in Thai.
func Reasons() []string { return slices.Clone(refusals) }

// outcomeReasons are the reasons of outcomes that say it all.
var outcomeReasons = map[Outcome]string{
	OutcomeOutOfScope: "not_our_service", OutcomeDuplicateOf: "already_blocked", OutcomeUnfounded: "abusive",
}

// why returns the reason of a refusal for letters, or an error if nobody could
// understand it.
func (d *Desk) why(id takedown.CaseID, reason string, outcome Outcome, f *Finding) (string, error) {
	if err := (Actor{Reason: reason}).check(); err != nil {
		return "", err
	}
	switch {
	case slices.Contains(refusals, reason), slices.Contains(d.opts.Reasons, reason), reason == reasonSpam:
	case f.Explanation != "" && reason != "":
	case outcomeReasons[outcome] != "":
		return outcomeReasons[outcome], nil
	case reason == "":
		return "", &GrantError{id, "a refusal needs a reason: a code of desk.Reasons or of desk.Options.Reasons"}
	default:
		return "", &GrantError{id, "the reason of the refusal has no words for its letter: use a code of desk.Reasons or of desk.Options.Reasons, or explain it in Finding.Explanation"}
	}
	return reason, nil
}

// refusing returns a grant with the reasons of the items that it refuses. A
// reason of the whole grant stands for those that have none.
func (d *Desk) refusing(c *caseRecord, g Grant) (Grant, error) {
	items := make(map[int]ItemDecision, len(g.Items))
	for i, dec := range g.Items {
		switch dec.Outcome {
		case OutcomeRejected, OutcomeOutOfScope, OutcomeDuplicateOf, OutcomeUnfounded:
			reason := dec.Reason
			if reason == "" && (slices.Contains(refusals, g.Reason) || slices.Contains(d.opts.Reasons, g.Reason)) {
				reason = g.Reason
			}
			var err error
			if dec.Reason, err = d.why(c.ID, reason, dec.Outcome, &g.Finding); err != nil {
				return g, err
			}
		}
		items[i] = dec
	}
	if g.Items != nil {
		g.Items = items
	}
	return g, nil
}

// ChangedError reports that a case has changed since the reviewer looked at it.
type ChangedError struct {
	ID        takedown.CaseID
	Seen, Now int // versions
}

func (e *ChangedError) Error() string {
	return fmt.Sprintf("takedown: case %v has changed: version %d was looked at, it is version %d now", e.ID, e.Seen, e.Now)
}

// seen refuses a decision about another version of a case.
func (c *caseRecord) seen(version int) error {
	if version != 0 && version != c.Version {
		return &ChangedError{c.ID, version, c.Version}
	}
	return nil
}

var errNoReviewer = errors.New("takedown: By is required: the reviewer who decides")

// decider refuses a decision of nobody.
func (a Actor) decider() error {
	if a.By == "" {
		return errNoReviewer
	}
	return a.check()
}
