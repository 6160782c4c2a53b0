package takedown

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/phash"
)

// Verdict is the answer about a candidate. A greater verdict is a stronger one.
type Verdict uint8

const (
	// Unknown is the zero Verdict: there is no answer, because the list is closed
	// or too old. Do not treat it as Allow.
	Unknown Verdict = 0
	// Allow: nothing that was compared is blocked. Decision.Checked lists the
	// tiers that were compared.
	Allow Verdict = 1
	// Restricted: blocked in some territories only. A crawler indexes the
	// picture and lets the ranker filter; a ranker asks with [Enforcer.In] and
	// does not see this verdict.
	Restricted Verdict = 2
	// Review: in doubt. A crawler holds the picture back and queues it for a
	// person; a ranker shows it, unless the operator's policy hides it.
	Review Verdict = 3
	// Block: do not fetch, index or show.
	Block Verdict = 4
)

// String returns the name of the verdict in lower case.
func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return fmt.Sprintf("Verdict(%d)", uint8(v))
}

var verdictNames = [...]string{"unknown", "allow", "restricted", "review", "block"}

// MarshalText returns the name of the verdict.
func (v Verdict) MarshalText() ([]byte, error) {
	if int(v) >= len(verdictNames) {
		return nil, fmt.Errorf("%w: verdict %d", ErrWire, uint8(v))
	}
	return []byte(v.String()), nil
}

// UnmarshalText reads the name of a verdict. Other names are an error.
func (v *Verdict) UnmarshalText(text []byte) error {
	i := slices.Index(verdictNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("%w: not a verdict; %s are", ErrWire, strings.Join(verdictNames[:], ", "))
	}
	*v = Verdict(i)
	return nil
}

// Tier is a way to recognise a candidate. A Tier value also serves as a set of
// tiers: the bits of several, ored.
type Tier uint8

const (
	// TierURL: its address is blocked.
	TierURL Tier = 1 << 0
	// TierBytes: its file is one that is blocked (SHA-256).
	TierBytes Tier = 1 << 1
	// TierHash: its perceptual hash is near that of a blocked picture.
	TierHash Tier = 1 << 2
	// TierFeatures: its local features show a blocked picture inside it, proved
	// by a geometric fit.
	TierFeatures Tier = 1 << 3
	// TierFace: a blocked face appears in the image. In Decision.Checked it means
	// that a face of the candidate was compared. The list can search faces, has
	// lost no face, and has registered faces of its model or no faces at all.
	TierFace Tier = 1 << 4
)

// Has reports whether the set t contains all of the tiers in o.
func (t Tier) Has(o Tier) bool { return t&o == o }

var tierNames = [...]string{"address", "bytes", "hash", "features", "face"}

// String returns the names of the tiers, joined by "+", or "nothing" for the empty
// set.
func (t Tier) String() string {
	var names []string
	for i, name := range tierNames {
		if t.Has(1 << i) {
			names = append(names, name)
		}
	}
	if names == nil {
		return "nothing"
	}
	return strings.Join(names, "+")
}

// MarshalText returns the names of the tiers as String does.
func (t Tier) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads what MarshalText wrote. Other names are an error.
func (t *Tier) UnmarshalText(text []byte) error {
	*t = 0
	if string(text) == "nothing" {
		return nil
	}
	for name := range strings.SplitSeq(string(text), "+") {
		i := slices.Index(tierNames[:], name)
		if i < 0 {
			return fmt.Errorf("%w: not a tier; %s are", ErrWire, strings.Join(tierNames[:], ", "))
		}
		*t |= 1 << i
	}
	return nil
}

// Decision is a verdict about a candidate, with the rule that caused it. It is a
// plain value, and can be compared.
type Decision struct {
	Verdict Verdict
	// Checked are the tiers that had something to compare. Allow without TierHash
	// does not mean that the picture is clean. The picture was not compared, or
	// only a part of it (Candidate.Damage, Candidate.LeftOut).
	Checked Tier
	// Why is the tier that matched, or zero without a match. The fields below
	// describe the match and are also zero without one.
	Why Tier
	// List is the name of the list that matched: see [NewEnforcer]. It is empty
	// for one that Load opened.
	List string
	// Rule is the public id of the rule in that list, and Case the case that
	// explains it.
	Rule uint64
	Case CaseID
	Kind Kind
	// Scope is how far the rule reaches.
	Scope Scope
	// Distance is the number of bits between the candidate's hash and the
	// registered one, when Why is TierHash.
	Distance int
	// Transform is the form of the registered picture that matched, when Why is
	// TierHash: unchanged, mirrored, and so on.
	Transform phash.Transform
	// View is the view of the registered file that matched, when Why is TierHash
	// or TierFeatures. It is zero for all of a still picture, and for an animation
	// that is registered by its first frame alone.
	View blocklist.View
	// Frame is the frame of an animation that matched, 0 for the first, when Why
	// is TierHash, TierFeatures or TierFace: see Candidate.Picture.
	Frame int
	// Inliers is the number of points of the registered picture that were found in
	// the candidate at the fitted position. Coverage is the part of the registered
	// picture, 0 to 1, that was proved to be there. Mirrored reports that it is
	// there mirrored. All three are set when Why is TierFeatures.
	Inliers  int
	Coverage float64
	Mirrored bool
	// Similarity is the similarity of a face of the candidate and the registered
	// face. It is in hundredths unless the list is open for writing, as at a desk. Do
	// not pass it on to the people who send the candidates: the registered vector
	// can be computed from many such answers. Face is the number of that face in its
	// frame. Both are set when Why is TierFace.
	Similarity float64
	Face       int
	// Weak reports a match of low confidence. Its hash is more than 10 bits away
	// (4 for a perception hash), its features prove nothing, or its face is below
	// the block threshold. Weak matches count for the match budget: see
	// desk.Desk.AddMatchCounts.
	Weak bool
	// Derived reports that the matched key was not registered with the rule, but
	// derived from a copy that was found later.
	Derived bool
}

// Stronger reports whether d takes precedence over o. The order is: the stronger
// verdict, the more exact tier, the nearer hash, more points, the more similar
// face, the older rule. [Unknown] is no permission: only Block takes precedence
// over it. A caller that makes several queries about one image keeps the strongest
// decision.
func (d Decision) Stronger(o Decision) bool {
	switch {
	case d.Verdict == o.Verdict:
	case d.Verdict == Unknown:
		return o.Verdict < Block
	case o.Verdict == Unknown:
		return d.Verdict == Block
	}
	return d.compare(&o) > 0
}

func (d *Decision) compare(o *Decision) int {
	if d.Verdict != o.Verdict {
		return cmp.Compare(d.Verdict, o.Verdict)
	}
	return cmp.Or(
		cmp.Compare(o.Why, d.Why),
		cmp.Compare(o.Distance, d.Distance), cmp.Compare(d.Inliers, o.Inliers), cmp.Compare(d.Similarity, o.Similarity),
		cmp.Compare(o.Rule, d.Rule),
	)
}

// String describes the decision in one line for logs: it names no address and
// no person.
func (d Decision) String() string {
	if d.Why == 0 {
		return fmt.Sprintf("%v (checked %v)", d.Verdict, d.Checked)
	}
	s := fmt.Sprintf("%v by %v, rule %d, case %v", d.Verdict, d.Why, d.Rule, d.Case)
	if d.Kind != 0 { // rules of imports have none
		s += fmt.Sprintf(", %v", d.Kind)
	}
	s += fmt.Sprintf(", scope %v", d.Scope)
	if d.Why == TierHash {
		s += fmt.Sprintf(", %v at distance %d", d.Transform, d.Distance)
	}
	if d.Why == TierFeatures {
		s += fmt.Sprintf(", %d points, %.0f %% of the picture", d.Inliers, 100*d.Coverage)
	}
	if d.Why == TierFace {
		s += fmt.Sprintf(", face %d similar by %.3f", d.Face, d.Similarity)
	}
	if d.View != (blocklist.View{}) {
		s += fmt.Sprintf(", registered %v", d.View)
	}
	if d.Derived {
		s += ", derived"
	}
	return s
}

// LogValue is as String.
func (d Decision) LogValue() slog.Value { return slog.StringValue(d.String()) }

// wireDecision is the JSON form of a Decision.
type wireDecision struct {
	Verdict    Verdict         `json:"verdict"`
	Checked    Tier            `json:"checked"`
	Why        Tier            `json:"why,omitzero"`
	List       string          `json:"list,omitempty"`
	Rule       uint64          `json:"rule,omitempty"`
	Case       CaseID          `json:"case,omitzero"`
	Kind       string          `json:"kind,omitempty"`
	Scope      string          `json:"scope,omitempty"`
	Distance   int             `json:"distance,omitempty"`
	Transform  phash.Transform `json:"transform,omitempty"`
	View       blocklist.View  `json:"view,omitzero"`
	Frame      int             `json:"frame,omitempty"`
	Inliers    int             `json:"inliers,omitempty"`
	Coverage   float64         `json:"coverage,omitempty"`
	Mirrored   bool            `json:"mirrored,omitempty"`
	Similarity float64         `json:"similarity,omitempty"`
	Face       int             `json:"face,omitempty"`
	Weak       bool            `json:"weak,omitempty"`
	Derived    bool            `json:"derived,omitempty"`
}

// MarshalJSON returns an object with names instead of numbers.
func (d Decision) MarshalJSON() ([]byte, error) {
	w := wireDecision{
		Verdict: d.Verdict, Checked: d.Checked, Why: d.Why, List: d.List, Rule: d.Rule, Case: d.Case,
		Distance: d.Distance, Transform: d.Transform, View: d.View, Frame: d.Frame, Inliers: d.Inliers, Coverage: d.Coverage,
		Mirrored: d.Mirrored, Similarity: d.Similarity, Face: d.Face, Weak: d.Weak, Derived: d.Derived,
	}
	if d.Kind != 0 {
		w.Kind = d.Kind.String()
	}
	if d.Scope != 0 {
		w.Scope = d.Scope.String()
	}
	return json.Marshal(w)
}

// UnmarshalJSON reads what MarshalJSON wrote. It has no version: unknown names of
// verdicts, tiers, kinds and scopes are errors.
func (d *Decision) UnmarshalJSON(b []byte) (err error) {
	var w wireDecision
	if err := unmarshal(b, &w); err != nil {
		return err
	}
	got := Decision{
		Verdict: w.Verdict, Checked: w.Checked, Why: w.Why, List: w.List, Rule: w.Rule, Case: w.Case,
		Distance: w.Distance, Transform: w.Transform, View: w.View, Frame: w.Frame, Inliers: w.Inliers, Coverage: w.Coverage,
		Mirrored: w.Mirrored, Similarity: w.Similarity, Face: w.Face, Weak: w.Weak, Derived: w.Derived,
	}
	if w.Kind != "" {
		if got.Kind, err = ParseKind(w.Kind); err != nil {
			return fmt.Errorf("%w: %w", ErrWire, err)
		}
	}
	if w.Scope != "" {
		if got.Scope, err = blocklist.ParseScope(w.Scope); err != nil {
			return fmt.Errorf("%w: %w", ErrWire, err)
		}
	}
	*d = got
	return nil
}

// MarshalBinary returns the JSON form.
func (d Decision) MarshalBinary() ([]byte, error) { return d.MarshalJSON() }

// UnmarshalBinary reads what MarshalBinary wrote.
func (d *Decision) UnmarshalBinary(b []byte) error { return d.UnmarshalJSON(b) }
