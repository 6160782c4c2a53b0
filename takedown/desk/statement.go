package desk

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/dsatdb"
	"github.com/staydown/staydown/internal/territory"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// Origin is the source of a case in a statement of reasons.
type Origin string

const (
	OriginArticle16      Origin = "SOURCE_ARTICLE_16"
	OriginTrustedFlagger Origin = "SOURCE_TRUSTED_FLAGGER"
	OriginOther          Origin = "SOURCE_TYPE_OTHER_NOTIFICATION"
	OriginOwnInitiative  Origin = "SOURCE_VOLUNTARY"
)

// StatementOfReasons is the statement that Article 17(3) of Regulation (EU)
// 2022/2065 requires for the person affected by a restriction. It has no data of
// the requester.
type StatementOfReasons struct {
	Case takedown.CaseID
	// Number counts the restrictions of the case, from 1; each change of its terms
	// is a new restriction. 0 means that the case has never been in force.
	Number int
	// Scope, Effect, Territories, From and To describe the restriction: (a). No
	// territories means worldwide, and a zero To means without end. Held is the
	// scope of matches that are held for review, if it is wider than the blocked
	// scope; otherwise zero.
	Scope       takedown.Scope
	Effect      blocklist.Effect
	Held        takedown.Scope
	Territories []string
	From, To    time.Time
	// Kind and Origin are what led to it: (b).
	Kind   takedown.Kind
	Origin Origin
	// AutomatedDetection means that a machine detected the copy, and the next
	// field that a machine decided: (c). When a person decided about the reference
	// picture and software then applies that to copies, it is partially automated.
	AutomatedDetection bool
	AutomatedDecision  bool
	// Ground is why: (d), (e).
	Ground request.Ground
	// Law and Explanation are the operator's statement. The default Law is the
	// legal basis of the kind of request.
	Law, Explanation string
	// ComplaintWindow is how long the affected party can complain: (f). Zero means
	// no limit.
	ComplaintWindow Span
}

// NewStatementOfReasons returns the statement of reasons of a case in force. If
// its request was erased, the ground is not specified.
func NewStatementOfReasons(c *Case) StatementOfReasons {
	s := StatementOfReasons{
		Case: c.ID, Scope: c.Granted, Effect: c.Effect, Territories: c.Territories, Kind: c.Kind, Origin: handlings[c.Kind].origin,
		From: c.Times[MilestoneEnforced], To: c.End,
		// A scope beyond the address lets software find copies.
		AutomatedDetection: c.Granted > takedown.ScopeURL,
	}
	// Where some items block and others only hold, the widest may be one that holds.
	block, hold := takedown.Scope(0), takedown.Scope(0)
	for _, it := range c.Items {
		if it.Effect == blocklist.EffectBlock {
			block = max(block, it.Granted)
		} else {
			hold = max(hold, it.Granted)
		}
	}
	if block > 0 && hold > block {
		s.Scope, s.Held = block, hold
	}
	for i, m := range c.Moves {
		// A hold, and its end, goes back to where the case waits for its decision.
		if m.To == StateInForce && i > 0 && c.Moves[i-1].To == StateEnforcing {
			s.Number++
		}
	}
	if c.Start.After(s.From) {
		s.From = c.Start
	}
	if slices.Contains(c.Flags, FlagFlaggerConfirmed) { // anybody can say that they are one
		s.Origin = OriginTrustedFlagger
	}
	s.Ground, s.Law = groundOf(c)
	s.Explanation = "The request was reviewed and found to be justified as far as stated above."
	return s
}

// groundOf returns the ground of a case, and words for the law it rests on. They
// are never the requester's own, which may tell who that is: the operator fills
// in Law.
func groundOf(c *Case) (request.Ground, string) {
	switch r := c.Request.(type) {
	case request.DSANotice:
		return r.Ground, "the law that the notice refers to"
	}
	switch c.Kind {
	case request.KindDMCANotice:
		return request.GroundCopyright, "17 U.S.C. 512"
	case request.KindGDPRRequest:
		return request.GroundPrivacy, "Regulation (EU) 2016/679, Articles 17, 18 and 21"
	case request.KindIntimateImage:
		return request.GroundIntimateImage, "47 U.S.C. 223a"
	case request.KindAuthorityOrder:
		return request.GroundOther, "the law that the order refers to"
	case request.KindImageOptOut, request.KindOpenOptOut, request.KindHashEntry, request.KindFaceOptOut:
		// The owner of a picture has no right to all those that show the face.
		if c.Claim == request.ClaimOwner && c.Granted != takedown.ScopeFace {
			return request.GroundCopyright, "the right of the owner of the picture"
		}
		return request.GroundPrivacy, "the right of the depicted person to object"
	}
	return request.GroundUnspecified, "the law that the request refers to"
}

// grounds has a row for each Ground: its words, and its category and keyword in
// the Transparency Database.
var grounds = map[request.Ground]struct{ words, category, keyword string }{
	request.GroundUnspecified:      {"illegal content, not specified further", "STATEMENT_CATEGORY_NOT_SPECIFIED_NOTICE", ""},
	request.GroundCopyright:        {"infringement of copyright", "STATEMENT_CATEGORY_INTELLECTUAL_PROPERTY_INFRINGEMENTS", "KEYWORD_COPYRIGHT_INFRINGEMENT"},
	request.GroundTrademark:        {"infringement of a trade mark", "STATEMENT_CATEGORY_INTELLECTUAL_PROPERTY_INFRINGEMENTS", "KEYWORD_TRADEMARK_INFRINGEMENT"},
	request.GroundPrivacy:          {"violation of privacy and data protection", "STATEMENT_CATEGORY_DATA_PROTECTION_AND_PRIVACY_VIOLATIONS", "KEYWORD_RIGHT_TO_BE_FORGOTTEN"},
	request.GroundIntimateImage:    {"intimate image shared without consent", "STATEMENT_CATEGORY_CYBER_VIOLENCE", "KEYWORD_NON_CONSENSUAL_IMAGE_SHARING"},
	request.GroundImpersonation:    {"impersonation", "STATEMENT_CATEGORY_SCAMS_AND_FRAUD", "KEYWORD_IMPERSONATION_ACCOUNT_HIJACKING"},
	request.GroundDefamation:       {"defamation", "STATEMENT_CATEGORY_ILLEGAL_OR_HARMFUL_SPEECH", "KEYWORD_DEFAMATION"},
	request.GroundHate:             {"hate speech", "STATEMENT_CATEGORY_ILLEGAL_OR_HARMFUL_SPEECH", "KEYWORD_HATE_SPEECH"},
	request.GroundFraud:            {"fraud", "STATEMENT_CATEGORY_SCAMS_AND_FRAUD", ""},
	request.GroundMinors:           {"danger to minors", "STATEMENT_CATEGORY_PROTECTION_OF_MINORS", ""},
	request.GroundChildSexualAbuse: {"child sexual abuse material", "STATEMENT_CATEGORY_PROTECTION_OF_MINORS", "KEYWORD_CHILD_SEXUAL_ABUSE_MATERIAL"},
	request.GroundOther:            {"other illegal content", "STATEMENT_CATEGORY_NOT_SPECIFIED_NOTICE", ""},
}

var originWords = map[Origin]string{
	OriginArticle16:      "a notice under Article 16 of Regulation (EU) 2022/2065",
	OriginTrustedFlagger: "a notice of a trusted flagger",
	OriginOther:          "a request of another kind",
	OriginOwnInitiative:  "our own initiative",
}

// Text returns the statement in English, with the points of Article 17(3).
func (s StatementOfReasons) Text() string {
	var b strings.Builder
	where := "worldwide"
	if len(s.Territories) > 0 {
		where = "in " + strings.Join(s.Territories, ", ")
	}
	until := "without end"
	if !s.To.IsZero() {
		until = "until " + s.To.UTC().Format(time.DateOnly)
	}
	what := "is not shown in our service any more"
	if s.Effect == blocklist.EffectReview {
		what = "is held back until a person has looked at it"
	}
	reaches := map[takedown.Scope]string{
		takedown.ScopeURL: "the address itself", takedown.ScopeBytes: "the same file at any address",
		takedown.ScopeIdentical: "the identical picture at any address", takedown.ScopeDuplicate: "the picture and its copies at any address",
		takedown.ScopeFace: "every picture that shows the face, at any address",
	}
	held := ""
	if s.Held > 0 {
		held = fmt.Sprintf(" Beyond that, it is held back until a person has looked at it: %s.", reaches[s.Held])
	}
	fmt.Fprintf(&b, "Statement of reasons, case %v\n\n", s.Case)
	fmt.Fprintf(&b, "(a) Restriction: content of yours %s. It reaches %s, %s, from %s, %s.%s\n", what, reaches[s.Scope], where, s.From.UTC().Format(time.DateOnly), until, held)
	fmt.Fprintf(&b, "(b) Facts: it goes back to %s (%v).\n", originWords[s.Origin], s.Kind)
	fmt.Fprintf(&b, "(c) Automated means: content %s found by automated means; %s.\n",
		map[bool]string{true: "may have been", false: "was not"}[s.AutomatedDetection],
		map[string]string{
			"AUTOMATED_DECISION_FULLY":         "the decision was made by them",
			"AUTOMATED_DECISION_PARTIALLY":     "a person decided about the reference, software applies it to copies",
			"AUTOMATED_DECISION_NOT_AUTOMATED": "the decision was made by a person",
		}[s.automatedDecision()])
	fmt.Fprintf(&b, "(d) Legal ground: %s; %s. %s\n", grounds[s.Ground].words, s.Law, s.Explanation)
	window := ""
	if s.ComplaintWindow != (Span{}) {
		window = " for " + s.ComplaintWindow.String() + " from this message"
	}
	fmt.Fprintf(&b, "(f) Redress: you can complain to us free of charge%s, turn to a certified out-of-court dispute settlement body, or go to court.\n", window)
	return b.String()
}

func (s StatementOfReasons) automatedDecision() string {
	switch {
	case s.AutomatedDecision:
		return "AUTOMATED_DECISION_FULLY"
	case s.AutomatedDetection:
		return "AUTOMATED_DECISION_PARTIALLY"
	}
	return "AUTOMATED_DECISION_NOT_AUTOMATED"
}

// TransparencyRow is a statement of reasons in the form of the DSA Transparency
// Database: POST /api/v1/statement, or up to 100 rows under "statements". Empty
// fields are left out.
//
// It has the fields that apply to a removal of pictures. The other fields of the
// database concern money, accounts and services.
type TransparencyRow struct {
	PUID                       string   `json:"puid"`
	DecisionVisibility         []string `json:"decision_visibility"`
	DecisionVisibilityOther    string   `json:"decision_visibility_other,omitempty"`
	EndDateVisibility          string   `json:"end_date_visibility_restriction,omitempty"`
	DecisionGround             string   `json:"decision_ground"`
	DecisionGroundReferenceURL string   `json:"decision_ground_reference_url,omitempty"`
	IllegalContentLegalGround  string   `json:"illegal_content_legal_ground,omitempty"`
	IllegalContentExplanation  string   `json:"illegal_content_explanation,omitempty"`
	IncompatibleGround         string   `json:"incompatible_content_ground,omitempty"`
	IncompatibleExplanation    string   `json:"incompatible_content_explanation,omitempty"`
	IncompatibleIllegal        string   `json:"incompatible_content_illegal,omitempty"`
	ContentType                []string `json:"content_type"`
	ContentTypeOther           string   `json:"content_type_other,omitempty"`
	Category                   string   `json:"category"`
	CategoryAddition           []string `json:"category_addition,omitempty"`
	CategorySpecification      []string `json:"category_specification,omitempty"`
	TerritorialScope           []string `json:"territorial_scope,omitempty"`
	ContentLanguage            string   `json:"content_language,omitempty"`
	ContentDate                string   `json:"content_date"`
	ApplicationDate            string   `json:"application_date"`
	DecisionFacts              string   `json:"decision_facts"`
	SourceType                 string   `json:"source_type"`
	SourceIdentity             string   `json:"source_identity,omitempty"`
	AutomatedDetection         string   `json:"automated_detection"`
	AutomatedDecision          string   `json:"automated_decision"`
}

// Check reports the fields that the database would not accept.
func (r TransparencyRow) Check() error {
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("takedown: statement of reasons: %w", err)
	}
	var row map[string]any
	if err := json.Unmarshal(b, &row); err != nil {
		return fmt.Errorf("takedown: statement of reasons: %w", err)
	}
	if bad := dsatdb.Check(row); len(bad) > 0 {
		return fmt.Errorf("takedown: statement of reasons: the Transparency Database does not accept %s", strings.Join(bad, ", "))
	}
	return nil
}

// TransparencyRow returns the row of a statement for the transparency database.
// puid is the permanent id of the restriction in the operator's platform: letters,
// digits, "-" and "_". The default is the number of the case and that of the
// restriction. contentDate is the date when the content was published or first
// seen.
//
// The database accepts only territories of the EU and the EEA; others are left
// out. The row must have no personal data: Law and Explanation are the operator's
// words.
func (s StatementOfReasons) TransparencyRow(puid string, contentDate time.Time) (TransparencyRow, error) {
	yes := map[bool]string{true: "Yes", false: "No"}
	g := grounds[s.Ground]
	row := TransparencyRow{
		PUID:                      cmp.Or(puid, fmt.Sprintf("%v-%d", s.Case, s.Number)),
		DecisionVisibility:        []string{"DECISION_VISIBILITY_CONTENT_DISABLED"},
		DecisionGround:            "DECISION_GROUND_ILLEGAL_CONTENT",
		IllegalContentLegalGround: cut(s.Law, 500),
		IllegalContentExplanation: cut(s.Explanation, 2000),
		ContentType:               []string{"CONTENT_TYPE_IMAGE"},
		Category:                  g.category,
		ContentDate:               contentDate.UTC().Format(time.DateOnly),
		ApplicationDate:           s.From.UTC().Format(time.DateOnly),
		DecisionFacts:             fmt.Sprintf("A request of the kind %v was reviewed and accepted; the restriction reaches as far as %q.", s.Kind, s.Scope),
		SourceType:                string(s.Origin),
		AutomatedDetection:        yes[s.AutomatedDetection],
		AutomatedDecision:         s.automatedDecision(),
	}
	if g.keyword != "" {
		row.CategorySpecification = []string{g.keyword}
	}
	if !s.To.IsZero() {
		row.EndDateVisibility = s.To.UTC().Format(time.DateOnly)
	}
	list, err := territory.Parse(s.Territories)
	if err != nil {
		return row, fmt.Errorf("takedown: statement of reasons: %w", err)
	}
	eea := strings.Fields(territory.Sets["EEA30"])
	for _, t := range list {
		if code := t.String(); slices.Contains(eea, code) {
			row.TerritorialScope = append(row.TerritorialScope, code)
		}
	}
	slices.Sort(row.TerritorialScope)
	if len(list) > 0 && len(row.TerritorialScope) == 0 {
		return row, fmt.Errorf("takedown: statement of reasons: the restriction does not apply in the EU or the EEA; the database does not take it")
	}
	return row, row.Check()
}

// cut shortens a text to max characters.
func cut(s string, max int) string {
	if utf8.RuneCountInString(s) <= max {
		return s
	}
	return string([]rune(s)[:max])
}
