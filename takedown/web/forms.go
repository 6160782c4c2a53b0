package web

import (
	"slices"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// A door is a form: a kind of request as people know it.
type door struct {
	Name string
	Kind request.Kind
	// Topic is the first question's answer that leads to it.
	Topic  string
	Groups []group
	// Set sets the fields that the page knows.
	Set func(request.Request) request.Request
	// Help shows organisations that help; Children those for children too.
	Help, Children bool
}

// A group is a part of a form under one heading.
type group struct {
	Name   string
	Fields []field
}

type need uint8

const (
	optional need = iota
	required
	either // one of those of the group that are either
)

// A field is a field of a form: its name is the path in the request.
type field struct {
	Name    string
	Type    string // text, email, tel, area, addresses, files, choice, country, countries, check, box, mark
	Need    need
	Choices []string
	Auto    string // what a browser may fill in
}

// Groups of fields that several doors share.
var (
	email = field{Name: "requester.email", Type: "email", Need: required, Auto: "email"}

	who = group{"who", []field{
		{Name: "requester.name", Type: "text", Need: required, Auto: "name"},
		email,
		{Name: "requester.phone", Type: "tel", Auto: "tel"},
		{Name: "requester.country", Type: "country", Auto: "country"},
	}}
	whoLegal = group{"who", []field{
		{Name: "requester.name", Type: "text", Need: required, Auto: "name"},
		{Name: "requester.organisation", Type: "text", Auto: "organization"},
		email,
		{Name: "requester.phone", Type: "tel", Need: required, Auto: "tel"},
		{Name: "requester.postal_address", Type: "area", Need: required, Auto: "street-address"},
		{Name: "requester.country", Type: "country", Auto: "country"},
	}}
	whoFor = group{"for", []field{
		{Name: "requester.role", Type: "choice", Choices: []string{"agent", "lawyer", "guardian", "rights_holder"}},
		{Name: "requester.on_behalf_of", Type: "text"},
		{Name: "requester.authority", Type: "area"},
	}}
	where = group{"where", []field{
		{Name: "image_urls", Type: "addresses", Need: either},
		{Name: "page_urls", Type: "addresses", Need: either},
	}}
	pictures = group{"pictures", []field{{Name: "images", Type: "files", Need: required}}}
	theCase  = field{Name: "case", Type: "text", Need: required}
)

var grounds = []string{"privacy", "copyright", "trademark", "intimate_image", "impersonation", "defamation", "hate", "fraud", "minors", "child_sexual_abuse", "other"}

// doors are the forms, in the order in which they are offered.
var doors = []door{
	{Name: "link", Kind: request.KindDSANotice, Topic: "link", Groups: []group{where,
		{"why", []field{
			{Name: "ground", Type: "choice", Choices: grounds},
			{Name: "explanation", Type: "area", Need: required},
			{Name: "law", Type: "text"},
		}}, who, {"statement", []field{{Name: "good_faith", Type: "box", Need: required}}}}},
	{Name: "picture", Kind: request.KindImageOptOut, Topic: "picture", Groups: []group{pictures,
		{"why", []field{
			{Name: "claim", Type: "choice", Need: required, Choices: []string{"depicted", "owner"}},
			{Name: "reason", Type: "area"},
			{Name: "examples", Type: "addresses"},
		}}, who, whoFor}},
	{Name: "face", Kind: request.KindFaceOptOut, Topic: "face", Groups: []group{
		{"face", []field{
			{Name: "images", Type: "files", Need: required},
			{Name: "marks", Type: "mark"},
			{Name: "subject", Type: "choice", Choices: []string{"child", "ward"}},
			{Name: "requester.authority", Type: "area"},
		}},
		{"why", []field{{Name: "reason", Type: "area"}, {Name: "examples", Type: "addresses"}}},
		who, {"consent", []field{{Name: "biometric", Type: "box", Need: required}}}}},
	{Name: "picture-or-face", Kind: request.KindOpenOptOut, Topic: "face", Groups: []group{pictures,
		{"why", []field{
			{Name: "claim", Type: "choice", Need: required, Choices: []string{"depicted", "owner"}},
			{Name: "reason", Type: "area"},
			{Name: "examples", Type: "addresses"},
		}}, who, {"consent", []field{{Name: "biometric", Type: "box"}}}}},
	{Name: "intimate", Kind: request.KindIntimateImage, Topic: "intimate", Help: true, Groups: []group{
		{"intimate", []field{
			{Name: "images", Type: "files", Need: either},
			{Name: "image_urls", Type: "addresses", Need: either},
			{Name: "page_urls", Type: "addresses", Need: either},
			{Name: "hashes", Type: "hashes", Need: either},
			{Name: "all_copies", Type: "check"},
		}},
		{"about", []field{
			{Name: "minor_depicted", Type: "choice", Need: required, Choices: []string{"no", "yes", "unsure"}},
			{Name: "synthetic", Type: "choice", Choices: []string{"no", "yes", "unsure"}},
			{Name: "explanation", Type: "area"},
		}}, who,
		{"statement", []field{
			{Name: "no_consent", Type: "box", Need: required},
			{Name: "signature", Type: "text", Need: required},
		}}}},
	{Name: "child-intimate", Kind: request.KindIntimateImage, Topic: "child", Help: true, Children: true,
		Set: func(r request.Request) request.Request {
			q := r.(request.IntimateImage)
			q.MinorDepicted = request.AnswerYes
			return q
		}, Groups: []group{
			{"intimate", []field{
				{Name: "image_urls", Type: "addresses", Need: either},
				{Name: "page_urls", Type: "addresses", Need: either},
				{Name: "hashes", Type: "hashes", Need: either},
			}},
			{"about", []field{{Name: "explanation", Type: "area"}}}, who,
			{"statement", []field{{Name: "no_consent", Type: "box"}, {Name: "signature", Type: "text"}}}}},
	{Name: "child-abuse", Kind: request.KindDSANotice, Topic: "child", Help: true, Children: true,
		Set: func(r request.Request) request.Request {
			q := r.(request.DSANotice)
			q.Ground = request.GroundChildSexualAbuse
			return q
		}, Groups: []group{where,
			{"why", []field{{Name: "explanation", Type: "area", Need: required}}},
			{"whoOptional", []field{{Name: "requester.name", Type: "text", Auto: "name"}, {Name: "requester.email", Type: "email", Auto: "email"}}},
			{"statement", []field{{Name: "good_faith", Type: "box", Need: required}}}}},
	{Name: "child-picture", Kind: request.KindImageOptOut, Topic: "child",
		Set: func(r request.Request) request.Request {
			q := r.(request.ImageOptOut)
			q.Requester.Role, q.Claim = request.RoleGuardian, request.ClaimDepicted
			return q
		}, Groups: []group{pictures,
			{"child", []field{
				{Name: "requester.on_behalf_of", Type: "text", Need: required},
				{Name: "requester.authority", Type: "area", Need: required},
				{Name: "reason", Type: "area"},
				{Name: "examples", Type: "addresses"},
			}}, who}},
	{Name: "objection", Kind: request.KindObjection, Topic: "blocked", Groups: []group{
		{"objection", []field{
			{Name: "image_urls", Type: "addresses", Need: either},
			{Name: "images", Type: "files", Need: either},
			{Name: "case", Type: "text"},
			{Name: "reason", Type: "choice", Need: required, Choices: []string{"owner", "authorised", "fair_use", "no_right", "not_used", "other"}},
			{Name: "explanation", Type: "area", Need: required},
		}}, who, {"statement", []field{{Name: "good_faith", Type: "box", Need: required}}}}},
	{Name: "counter-notice", Kind: request.KindCounterNotice, Topic: "blocked", Groups: []group{
		{"objection", []field{theCase,
			{Name: "image_urls", Type: "addresses", Need: either},
			{Name: "page_urls", Type: "addresses", Need: either},
			{Name: "reason", Type: "choice", Choices: []string{"owner", "authorised", "fair_use", "no_right", "not_used", "other"}},
			{Name: "explanation", Type: "area"},
		}}, whoLegal, {"statement", []field{
			{Name: "mistake", Type: "box", Need: required},
			{Name: "jurisdiction", Type: "box", Need: required},
			{Name: "disclosure", Type: "box", Need: required},
			{Name: "signature", Type: "text", Need: required},
		}}}},
	{Name: "complaint", Kind: request.KindComplaint, Topic: "blocked", Groups: []group{
		{"complaint", []field{theCase,
			{Name: "party", Type: "choice", Need: required, Choices: []string{"notifier", "affected"}},
			{Name: "grounds", Type: "area", Need: required},
			{Name: "evidence", Type: "area"},
		}}, who}},
	{Name: "withdrawal", Kind: request.KindWithdrawal, Topic: "case", Groups: []group{
		{"withdrawal", []field{theCase, {Name: "reason", Type: "area"}}},
		{"whoSame", []field{{Name: "requester.name", Type: "text", Need: required, Auto: "name"}, email}}}},
	{Name: "copyright", Kind: request.KindDMCANotice, Topic: "law", Groups: []group{
		{"work", []field{
			{Name: "works[0].description", Type: "area", Need: required},
			{Name: "works[0].original", Type: "text"},
			{Name: "works[0].registration", Type: "text"},
		}}, where, whoLegal,
		{"statement", []field{
			{Name: "good_faith", Type: "box", Need: required},
			{Name: "accurate", Type: "box", Need: required},
			{Name: "authorised", Type: "box", Need: required},
			{Name: "signature", Type: "text", Need: required},
		}}}},
	{Name: "my-data", Kind: request.KindGDPRRequest, Topic: "law", Groups: []group{
		{"rights", []field{
			{Name: "rights", Type: "checks", Need: required, Choices: []string{"erasure", "objection", "restriction"}},
			{Name: "situation", Type: "area"},
			{Name: "uk", Type: "check"},
		}},
		{"where", []field{
			{Name: "image_urls", Type: "addresses", Need: either},
			{Name: "page_urls", Type: "addresses", Need: either},
			{Name: "images", Type: "files", Need: either},
		}}, who}},
	{Name: "thai-notice", Kind: request.KindThaiNotice, Topic: "law", Groups: []group{where,
		{"why", []field{
			{Name: "offence", Type: "choice", Need: required, Choices: []string{"1", "2", "3", "4", "5"}},
			{Name: "explanation", Type: "area", Need: required},
			{Name: "damage", Type: "area", Need: required},
		}}, {"who", []field{
			{Name: "requester.name", Type: "text", Need: required, Auto: "name"},
			email,
			{Name: "requester.phone", Type: "tel", Auto: "tel"},
			{Name: "requester.postal_address", Type: "area", Need: required, Auto: "street-address"},
			{Name: "requester.country", Type: "country", Auto: "country"},
		}},
		{"statement", []field{
			{Name: "accurate", Type: "box", Need: required},
			{Name: "signature", Type: "text", Need: required},
		}}}},
	{Name: "hash", Kind: request.KindHashEntry, Topic: "law", Groups: []group{
		{"hash", []field{
			{Name: "hashes", Type: "hashes", Need: required},
			{Name: "claim", Type: "choice", Need: required, Choices: []string{"depicted", "owner"}},
			{Name: "reason", Type: "area"},
		}}, who}},
	{Name: "preference", Kind: request.KindPreference, Topic: "law", Groups: []group{
		{"preference", []field{
			{Name: "uses", Type: "checks", Need: required, Choices: []string{"index", "train", "face"}},
			{Name: "hosts", Type: "area", Need: either},
			{Name: "image_urls", Type: "addresses", Need: either},
			{Name: "page_urls", Type: "addresses", Need: either},
			{Name: "images", Type: "files", Need: either},
			{Name: "claim", Type: "choice", Need: required, Choices: []string{"depicted", "owner"}},
			{Name: "reason", Type: "area"},
		}}, who}},
	{Name: "order", Kind: request.KindAuthorityOrder, Topic: "law", Groups: []group{
		{"order", []field{
			{Name: "authority", Type: "text", Need: required},
			{Name: "reference", Type: "text", Need: required},
			{Name: "legal_basis", Type: "text", Need: required},
			{Name: "reasons", Type: "area", Need: required},
			{Name: "redress", Type: "area"},
			{Name: "territories", Type: "countries", Need: either},
			{Name: "worldwide", Type: "check", Need: either},
		}},
		{"where", []field{
			{Name: "image_urls", Type: "addresses", Need: either},
			{Name: "page_urls", Type: "addresses", Need: either},
			{Name: "images", Type: "files", Need: either},
		}}, who}},
}

// topics are the answers to the first question, in their order.
var topics = []string{"link", "picture", "face", "intimate", "child", "blocked", "case", "law"}

// Doors returns the names of all forms.
func Doors() []string {
	names := make([]string, len(doors))
	for i, d := range doors {
		names[i] = d.Name
	}
	return names
}

// fields returns all fields of a door.
func (d *door) fields() (all []field) {
	for _, g := range d.Groups {
		all = append(all, g.Fields...)
	}
	return all
}

func (d *door) has(name string) bool {
	return slices.ContainsFunc(d.fields(), func(f field) bool { return f.Name == name })
}

// statements are those that a door shows, in a language.
func (d *door) statements(w words) map[string]request.Statement {
	m := map[string]request.Statement{}
	for _, f := range d.fields() {
		if f.Type == "box" {
			m[f.Name] = request.Statement{Text: w.of("statement."+d.Kind.String()+"."+f.Name, "statement."+f.Name),
				ID: f.Name, Version: statementsVersion, Language: w.lang}
		}
	}
	return m
}

// statementsVersion is raised when the text of a statement changes.
const statementsVersion = "1"

// findDoor returns a door that is open.
func (h *Handler) findDoor(name string) *door {
	i := slices.IndexFunc(h.doors, func(d door) bool { return d.Name == name })
	if i < 0 {
		return nil
	}
	return &h.doors[i]
}

// doorOf returns the door for a request, which its kind and preset fields tell.
func (h *Handler) doorOf(k takedown.Kind) *door {
	i := slices.IndexFunc(h.doors, func(d door) bool { return d.Kind == k })
	if i < 0 {
		return nil
	}
	return &h.doors[i]
}
