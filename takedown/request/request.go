package request

import (
	"context"
	"strings"
	"time"

	"github.com/staydown/staydown/internal/contact"
	"github.com/staydown/staydown/internal/fields"
	"github.com/staydown/staydown/takedown"
)

// Request is a request to remove pictures, or a reply to one. Each kind has its
// own type, with the fields that its law, or the custom of the trade, requires.
// docs/requests.md has an example of each. Pass a value or a pointer to
// desk.Desk.Submit; nil is a request without a kind.
type Request interface {
	// Kind returns the kind of the request.
	Kind() takedown.Kind
	// check reports every problem to c, in the order of the fields, and hands
	// over what the request wants blocked.
	check(c *checker)
	// From returns the requester.
	From() Requester
	// Asks returns the scope that the request asks for; zero for a request about
	// another case.
	Asks() takedown.Scope
	// About returns the case that the request refers to, or zero.
	About() takedown.CaseID
}

// Validate reports all problems of r at once, as a [*ValidationError], or returns
// nil. It decodes the images of the request. Submit does the same, so a caller
// needs Validate only to show problems before submission.
//
// The requirements of profiles are added to those of the request's own type. For a
// profile with a field that no kind of request has, the error is an
// [*takedown.ArgumentError].
func Validate(r Request, profiles []Profile) error {
	for _, p := range profiles {
		if err := p.Check(); err != nil {
			return err
		}
	}
	return Check(context.Background(), r, &CheckOptions{Profiles: profiles}).Err()
}

// GivenAddresses returns the addresses of a request as the requester wrote them, by
// their canonical forms. Of the options it uses Mapper and Unwrap.
func GivenAddresses(r Request, opts *CheckOptions) map[string]string {
	only := CheckOptions{AddressesOnly: true}
	if opts != nil {
		only.Mapper, only.Unwrap = opts.Mapper, opts.Unwrap
	}
	return Check(context.Background(), r, &only).Given
}

// Role is the relation of the requester to the matter.
type Role string

const (
	RoleSelf           Role = ""                // the person concerned; the zero value
	RoleRightsHolder   Role = "rights_holder"   // owner of the rights in the picture
	RoleAgent          Role = "agent"           // authorised by the person concerned or the rights holder
	RoleLawyer         Role = "lawyer"          // counsel of either
	RoleGuardian       Role = "guardian"        // parent or guardian of the person concerned
	RoleTrustedFlagger Role = "trusted_flagger" // DSA Art. 22; the operator checks the status: see desk.Desk.ConfirmFlagger
	RoleAuthority      Role = "authority"       // a court or public authority
	RolePublisher      Role = "publisher"       // owner of a page or picture that was blocked
)

func (Role) values() []string {
	return fields.Names(RoleRightsHolder, RoleAgent, RoleLawyer, RoleGuardian, RoleTrustedFlagger, RoleAuthority, RolePublisher)
}

// Requester is the person or organisation that makes a request. Its fields are
// personal data: they stay in the case store, sealed. The required fields depend
// on the kind of request; all given fields have to be well-formed.
type Requester struct {
	// Name is the full name as the person writes it, in one piece: many names
	// have one part, and not every name has a family name.
	Name string `json:"name,omitempty" max:"200"`
	// GivenName and FamilyName are for operators whose forms ask for both; they
	// may take the place of Name.
	GivenName    string `json:"given_name,omitempty" max:"200"`
	FamilyName   string `json:"family_name,omitempty" max:"200"`
	Organisation string `json:"organisation,omitempty" max:"200"`
	// Email is an address; a display name around it is left out.
	Email string `json:"email,omitempty" max:"254"`
	// Phone is an international number, or where Country is given one as it is
	// dialled there; spaces, dashes, brackets and an extension are allowed.
	Phone         string `json:"phone,omitempty" max:"40"`
	PostalAddress string `json:"postal_address,omitempty" max:"500"`
	// Country is where the person lives, ISO 3166-1 alpha-2.
	Country string `json:"country,omitempty"`
	// Language is the language to answer in, BCP 47.
	Language string `json:"language,omitempty"`
	Role     Role   `json:"role,omitempty"`
	// FlaggerID is the trusted flagger's entry in the published list; required of
	// a trusted flagger. See desk.Desk.ConfirmFlagger.
	FlaggerID string `json:"flagger_id,omitempty" max:"200"`
	// OnBehalfOf names the person who is represented, and Authority is the legal
	// basis. Both are required of agents, lawyers and guardians.
	OnBehalfOf string `json:"on_behalf_of,omitempty" max:"200"`
	Authority  string `json:"authority,omitempty" max:"5000"`
}

// FullName returns Name, or a name made of the other fields if Name is empty.
func (r Requester) FullName() string {
	if r.Name != "" {
		return r.Name
	}
	if n := strings.TrimSpace(r.GivenName + " " + r.FamilyName); n != "" {
		return n
	}
	return r.Organisation
}

// reachable reports whether there is a telephone number or a postal address: blanks
// are none.
func (r *Requester) reachable() bool {
	return strings.TrimFunc(r.Phone+r.PostalAddress, contact.IsBlank) != ""
}

// needs says what a kind of request demands of its requester.
type needs struct {
	name, email, phone, postal bool
	anyContact                 bool // one of email, phone and postal address
}

var (
	needsNothing  = needs{}
	needsNameMail = needs{name: true, email: true}
)

func (r *Requester) check(c *checker, n needs) {
	if n.name && strings.TrimSpace(r.FullName()) == "" {
		c.Add("requester.name", CodeRequired)
	} else {
		c.text("requester.name", r.Name, false, maxName)
	}
	c.text("requester.given_name", r.GivenName, false, maxName)
	c.text("requester.family_name", r.FamilyName, false, maxName)
	c.text("requester.organisation", r.Organisation, false, maxName)
	c.oneOf("requester.email", !n.anyContact || n.email || contact.Email(r.Email) != "" || r.reachable(),
		"requester.phone", "requester.postal_address")
	c.email("requester.email", r.Email, n.email)
	c.phone("requester.phone", r.Phone, r.Country, n.phone)
	c.text("requester.postal_address", r.PostalAddress, n.postal, maxPostal)
	c.country("requester.country", r.Country)
	c.language("requester.language", r.Language)
	choice(c, "requester.role", r.Role, false)
	c.text("requester.flagger_id", r.FlaggerID, r.Role == RoleTrustedFlagger, maxName)
	represents := r.Role == RoleAgent || r.Role == RoleLawyer || r.Role == RoleGuardian
	c.text("requester.on_behalf_of", r.OnBehalfOf, represents, maxName)
	c.text("requester.authority", r.Authority, represents, maxText)
}

// Statement is a declaration that the requester made. It keeps the text that was
// shown and accepted, because the text can be used as evidence later; a ticked box
// cannot.
type Statement struct {
	// Text is the statement as it was shown, in the language in which it was
	// shown.
	Text string `json:"text" max:"5000"`
	// Accepted is when it was accepted.
	Accepted time.Time `json:"accepted,omitzero"`
	// ID and Version name the text among those of the operator; Language is
	// that of the text, BCP 47. All are optional.
	ID       string `json:"id,omitempty" max:"200"`
	Version  string `json:"version,omitempty" max:"200"`
	Language string `json:"language,omitempty"`
}

// made reports whether the statement was made at all.
func (s Statement) made() bool { return strings.TrimSpace(s.Text) != "" && !s.Accepted.IsZero() }

func (s *Statement) check(c *checker, field string) {
	// Of a statement that was not accepted, that is what is missing, not its text.
	c.text(field+".text", s.Text, !s.Accepted.IsZero(), maxText)
	if s.Accepted.IsZero() {
		c.Add(field+".accepted", CodeNotAccepted)
	}
	c.text(field+".id", s.ID, false, maxName)
	c.text(field+".version", s.Version, false, maxName)
	c.language(field+".language", s.Language)
}
