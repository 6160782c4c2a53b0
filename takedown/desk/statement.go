package desk

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/territory"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk/internal/dsatdb"
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
	// Addresses are the restricted addresses, as far as the restriction is about
	// addresses: (a). Copies are the addresses at which the operator found the picture,
	// by the evidence of the case. They are of other publishers, and are in no letter:
	// [StatementOfReasons.For] adds those of one publisher to Addresses.
	Addresses, Copies []string
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
	// Ground is why: (d), or (e) if OnTerms is set. Law is the provision, or the
	// clause of the terms, and Explanation the reason why the content breaks it.
	// Facts are those on which the decision relies: (b). The words come from the
	// [Finding] of the decision: see [StatementOfReasons.Lacks].
	Ground                  request.Ground
	OnTerms                 bool
	Facts, Law, Explanation string
	// Synthetic and Minor report that the content is made by a machine, and that it
	// shows a minor.
	Synthetic, Minor bool
	// Order is the order that the restriction follows; nil for other cases. It is
	// erased with its case.
	Order *OrderTerms
	// ComplaintWindow is how long the affected party can complain: (f). Zero means
	// no limit.
	ComplaintWindow Span
}

// OrderTerms is what the affected party is told of an order: Article 9(5).
type OrderTerms struct{ Authority, Reference, LegalBasis, Reasons, Redress string }

// For returns the statement for the publisher of one host: with its addresses and
// copies, and without those of others. It has no addresses if the host has none.
func (s StatementOfReasons) For(host string) StatementOfReasons {
	all := slices.Concat(s.Addresses, s.Copies)
	s.Addresses, s.Copies = nil, nil
	for _, a := range all {
		if u, err := url.Parse(a); err == nil && strings.EqualFold(u.Hostname(), host) {
			s.Addresses = append(s.Addresses, a)
		}
	}
	return s
}

// Hosts returns the hosts of the restricted addresses and of the copies. Each publisher gets a
// statement of its own: see [StatementOfReasons.For].
func (s StatementOfReasons) Hosts() (hosts []string) {
	for _, a := range slices.Concat(s.Addresses, s.Copies) {
		if u, err := url.Parse(a); err == nil && !slices.Contains(hosts, u.Hostname()) {
			hosts = append(hosts, u.Hostname())
		}
	}
	return hosts
}

// Lacks returns the points of Article 17(3) for which the reviewer gave no words:
// "facts", "law" and "explanation". Letters and rows then have general words.
func (s StatementOfReasons) Lacks() (points []string) {
	for _, x := range []struct{ name, text string }{{"facts", s.Facts}, {"law", s.Law}, {"explanation", s.Explanation}} {
		if x.text == "" {
			points = append(points, x.name)
		}
	}
	return points
}

// incomplete returns the points of Article 17(3) that no general words can fill: the
// legal ground and why the content is illegal, where the restriction rests on a law.
func (s *StatementOfReasons) incomplete() (points []string) {
	if s.OnTerms || s.Kind == request.KindAuthorityOrder {
		return nil
	}
	return slices.DeleteFunc(s.Lacks(), func(p string) bool {
		return p == "facts" || p == "law" && s.Kind == request.KindGDPRRequest
	})
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
	s.Ground = groundOf(c)
	s.OnTerms, s.Facts, s.Law, s.Explanation = c.OnTerms, c.Finding.Facts, c.Finding.Law, c.Finding.Explanation
	if s.Law == "" && (c.Kind == request.KindDMCANotice || c.Kind == request.KindIntimateImage || c.Kind == request.KindThaiNotice) {
		s.OnTerms = true // these laws are of other countries: no ground of illegality in the EU
	}
	s.Synthetic, s.Minor = c.Synthetic == request.AnswerYes, c.Minor == request.AnswerYes
	if o, ok := c.Request.(request.AuthorityOrder); ok {
		s.Order = &OrderTerms{o.Authority, o.Reference, o.LegalBasis, o.Reasons, o.Redress}
	}
	return s
}

// groundOf returns the ground of a case.
func groundOf(c *Case) request.Ground {
	switch c.Kind {
	case request.KindDMCANotice:
		return request.GroundCopyright
	case request.KindGDPRRequest:
		return request.GroundPrivacy
	case request.KindIntimateImage:
		return request.GroundIntimateImage
	case request.KindImageOptOut, request.KindOpenOptOut, request.KindHashEntry, request.KindFaceOptOut, request.KindPreference:
		// The owner of a picture has no right to all those that show the face.
		if c.Claim == request.ClaimOwner && c.Granted != takedown.ScopeFace {
			return request.GroundCopyright
		}
		return request.GroundPrivacy
	}
	return c.Ground
}

// law returns Law, or general words for it. They are never the requester's own,
// which may tell who that is.
func (s *StatementOfReasons) law() string {
	switch {
	case s.Law != "":
		return s.Law
	case s.OnTerms:
		return "the operator's rules for requests"
	case s.Kind == request.KindGDPRRequest:
		return "Regulation (EU) 2016/679, Articles 17, 18 and 21"
	}
	return "the law that the request refers to"
}

// grounds has a row for each Ground: its category and keyword in
// the Transparency Database.
var grounds = map[request.Ground]struct{ category, keyword string }{
	request.GroundUnspecified:      {"STATEMENT_CATEGORY_NOT_SPECIFIED_NOTICE", ""},
	request.GroundCopyright:        {"STATEMENT_CATEGORY_INTELLECTUAL_PROPERTY_INFRINGEMENTS", "KEYWORD_COPYRIGHT_INFRINGEMENT"},
	request.GroundTrademark:        {"STATEMENT_CATEGORY_INTELLECTUAL_PROPERTY_INFRINGEMENTS", "KEYWORD_TRADEMARK_INFRINGEMENT"},
	request.GroundPrivacy:          {"STATEMENT_CATEGORY_DATA_PROTECTION_AND_PRIVACY_VIOLATIONS", "KEYWORD_RIGHT_TO_BE_FORGOTTEN"},
	request.GroundIntimateImage:    {"STATEMENT_CATEGORY_CYBER_VIOLENCE", "KEYWORD_NON_CONSENSUAL_IMAGE_SHARING"},
	request.GroundImpersonation:    {"STATEMENT_CATEGORY_SCAMS_AND_FRAUD", "KEYWORD_IMPERSONATION_ACCOUNT_HIJACKING"},
	request.GroundDefamation:       {"STATEMENT_CATEGORY_ILLEGAL_OR_HARMFUL_SPEECH", "KEYWORD_DEFAMATION"},
	request.GroundHate:             {"STATEMENT_CATEGORY_ILLEGAL_OR_HARMFUL_SPEECH", "KEYWORD_HATE_SPEECH"},
	request.GroundFraud:            {"STATEMENT_CATEGORY_SCAMS_AND_FRAUD", ""},
	request.GroundMinors:           {"STATEMENT_CATEGORY_PROTECTION_OF_MINORS", ""},
	request.GroundChildSexualAbuse: {"STATEMENT_CATEGORY_PROTECTION_OF_MINORS", "KEYWORD_CHILD_SEXUAL_ABUSE_MATERIAL"},
	request.GroundOther:            {"STATEMENT_CATEGORY_NOT_SPECIFIED_NOTICE", ""},
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

// ErrNoRow is returned for a restriction of which the Transparency Database gets no
// row: that of an order, Article 17(5).
var ErrNoRow = errors.New("takedown: statement of reasons: an order of an authority makes no row")

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
	if s.Kind == request.KindAuthorityOrder {
		return TransparencyRow{}, ErrNoRow
	}
	yes := map[bool]string{true: "Yes", false: "No"}
	g := grounds[s.Ground]
	row := TransparencyRow{
		PUID:               cmp.Or(puid, fmt.Sprintf("%v-%d", s.Case, s.Number)),
		DecisionVisibility: []string{"DECISION_VISIBILITY_CONTENT_DISABLED"},
		ContentType:        []string{"CONTENT_TYPE_IMAGE"},
		Category:           g.category,
		ContentDate:        contentDate.UTC().Format(time.DateOnly),
		ApplicationDate:    s.From.UTC().Format(time.DateOnly),
		DecisionFacts:      cut(s.Facts, 5000),
		SourceType:         string(s.Origin),
		AutomatedDetection: yes[s.AutomatedDetection],
		AutomatedDecision:  s.automatedDecision(),
	}
	if row.DecisionFacts == "" {
		row.DecisionFacts = fmt.Sprintf("A request of the kind %v was reviewed and accepted; the restriction reaches as far as %q.", s.Kind, s.Scope)
	}
	s.legal(&row)
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

// legal writes on which ground a restriction rests, and of what content. The
// database keeps the fields of one of the two grounds only.
func (s *StatementOfReasons) legal(row *TransparencyRow) {
	explanation := cmp.Or(s.Explanation, "The request was reviewed and found to be justified as far as stated.")
	if s.OnTerms {
		row.DecisionGround = "DECISION_GROUND_INCOMPATIBLE_CONTENT"
		row.IncompatibleGround, row.IncompatibleExplanation = cut(s.law(), 500), cut(explanation, 2000)
		row.IncompatibleIllegal = "No"
	} else {
		row.DecisionGround = "DECISION_GROUND_ILLEGAL_CONTENT"
		row.IllegalContentLegalGround, row.IllegalContentExplanation = cut(s.law(), 500), cut(explanation, 2000)
	}
	keyword := grounds[s.Ground].keyword
	if s.Synthetic {
		row.ContentType = []string{"CONTENT_TYPE_SYNTHETIC_MEDIA"}
		switch s.Ground {
		case request.GroundIntimateImage:
			keyword = "KEYWORD_NON_CONSENSUAL_MATERIAL_DEEPFAKE"
		case request.GroundChildSexualAbuse:
			keyword = "KEYWORD_CHILD_SEXUAL_ABUSE_MATERIAL_DEEPFAKE"
		}
	}
	if keyword != "" {
		row.CategorySpecification = []string{keyword}
	}
	if minors := "STATEMENT_CATEGORY_PROTECTION_OF_MINORS"; s.Minor && row.Category != minors {
		row.CategoryAddition = []string{minors}
	}
}

// cut shortens a text to max characters.
func cut(s string, max int) string {
	if utf8.RuneCountInString(s) <= max {
		return s
	}
	return string([]rune(s)[:max])
}
