package takedown

import (
	"time"
)

// Request is what somebody asks for: [ImageOptOut] or [DSANotice]. Pass a
// value or a pointer to [Desk.Submit].
type Request interface {
	// Kind returns the kind of the request.
	Kind() Kind
	// check reports every problem to c, in the order of the fields.
	check(c *checker)
	// asks returns the width that the request asks for.
	asks() Width
	// addresses returns the addresses that are to be blocked as such: of
	// pictures, and of pages that show them.
	addresses() (images, pages []string)
}

// Validate reports every problem of r at once, as a [*ValidationError], or nil.
// It decodes the images of the request; Submit does the same, so a caller needs
// Validate only to show problems before submission.
func Validate(r Request) error {
	c := new(checker)
	r.check(c)
	return c.err()
}

// Role is what the requester is to the matter.
type Role string

const (
	RoleSelf           Role = ""                // the person concerned; the zero value
	RoleRightsHolder   Role = "rights_holder"   // owner of the rights in the picture
	RoleAgent          Role = "agent"           // authorised by the person concerned or the rights holder
	RoleLawyer         Role = "lawyer"          // counsel of either
	RoleGuardian       Role = "guardian"        // parent or guardian of the person concerned
	RoleTrustedFlagger Role = "trusted_flagger" // DSA Art. 22; the status is checked by the operator
	RoleAuthority      Role = "authority"       // a court or public authority
)

// Requester is who asks. What it holds is personal data: it stays in the case
// store.
type Requester struct {
	// Name is the full name as the person writes it, in one piece: many names
	// have one part, and not every name has a family name. At most 200
	// characters.
	Name string `json:"name,omitempty"`
	// Email is a bare address, without a display name.
	Email string `json:"email,omitempty"`
	// Phone is an international number; spaces, dashes and brackets are
	// allowed.
	Phone string `json:"phone,omitempty"`
	// Country is where the person lives, ISO 3166-1 alpha-2.
	Country string `json:"country,omitempty"`
	// Language is the language to answer in, BCP 47.
	Language string `json:"language,omitempty"`
	Role     Role   `json:"role,omitempty"`
	// OnBehalfOf names who is represented, and Authority says on what basis;
	// both are required of agents, lawyers and guardians.
	OnBehalfOf string `json:"on_behalf_of,omitempty"`
	Authority  string `json:"authority,omitempty"`
}

// check looks at every field; anonymous waives name and email.
func (r *Requester) check(c *checker, anonymous bool) {
	c.text("requester.name", r.Name, !anonymous, maxName)
	c.email("requester.email", r.Email, !anonymous)
	c.phone("requester.phone", r.Phone)
	c.country("requester.country", r.Country)
	c.language("requester.language", r.Language)
	choice(c, "requester.role", r.Role, false,
		RoleRightsHolder, RoleAgent, RoleLawyer, RoleGuardian, RoleTrustedFlagger, RoleAuthority)
	represents := r.Role == RoleAgent || r.Role == RoleLawyer || r.Role == RoleGuardian
	c.text("requester.on_behalf_of", r.OnBehalfOf, represents, maxName)
	c.text("requester.authority", r.Authority, represents, maxText)
}

// Statement is a declaration that the requester made. It keeps the text that
// was shown and accepted, because that is what can be held up later; a tick in
// a box cannot.
type Statement struct {
	// Text is the statement as it was shown, in the language in which it was
	// shown.
	Text string `json:"text"`
	// Accepted is when it was accepted.
	Accepted time.Time `json:"accepted"`
}

func (s *Statement) check(c *checker, field string) {
	c.text(field+".text", s.Text, true, maxText)
	if s.Accepted.IsZero() {
		c.add(field+".accepted", CodeNotAccepted)
	}
}

// Claim is on what an opt-out rests.
type Claim string

const (
	ClaimDepicted Claim = "depicted" // the requester, or who is represented, is shown in the picture
	ClaimOwner    Claim = "owner"    // the requester, or who is represented, owns the picture
)

// ImageOptOut asks that a picture disappears with all its copies, at any
// address, now and in future: re-encoded, resized, mirrored, rotated, and so
// on. It asks for [WidthDuplicate].
type ImageOptOut struct {
	Requester Requester `json:"requester"`
	// Images are the files of the pictures: JPEG, PNG, GIF or WebP, each at
	// most 10 MB; 1 to 20 of them. Each becomes a rule of its own.
	Images [][]byte `json:"images"`
	Claim  Claim    `json:"claim"`
	// Reason is a brief explanation, at most 5,000 characters; optional.
	Reason string `json:"reason,omitempty"`
	// Examples are addresses at which the picture was seen. They help the
	// reviewer; they neither narrow nor widen what is blocked.
	Examples []string `json:"examples,omitempty"`
}

// Kind returns KindImageOptOut.
func (r ImageOptOut) Kind() Kind { return KindImageOptOut }

func (r ImageOptOut) asks() Width { return WidthDuplicate }

func (r ImageOptOut) addresses() (images, pages []string) { return nil, nil }

func (r ImageOptOut) check(c *checker) {
	r.Requester.check(c, false)
	c.images("images", r.Images)
	choice(c, "claim", r.Claim, true, ClaimDepicted, ClaimOwner)
	c.text("reason", r.Reason, false, maxText)
	c.addresses("examples", r.Examples)
}

// Ground is why content is said to be illegal. The zero Ground means that the
// notice does not say; the law does not demand it.
type Ground string

const (
	GroundUnspecified   Ground = ""
	GroundCopyright     Ground = "copyright"
	GroundTrademark     Ground = "trademark"
	GroundPrivacy       Ground = "privacy"        // privacy and data protection
	GroundIntimateImage Ground = "intimate_image" // intimate image published without consent
	GroundImpersonation Ground = "impersonation"
	GroundDefamation    Ground = "defamation"
	GroundHate          Ground = "hate"
	GroundFraud         Ground = "fraud"
	GroundMinors        Ground = "minors" // endangers minors, other than the next
	// GroundChildSexualAbuse covers the offences of Articles 3 to 7 of Directive
	// 2011/93/EU: name and email are not required.
	GroundChildSexualAbuse Ground = "child_sexual_abuse"
	GroundOther            Ground = "other"
)

// DSANotice is a notice under Article 16 of Regulation (EU) 2022/2065: the
// content at the given addresses is said to be illegal. It asks for
// [WidthURL]: the addresses are blocked for ever, also after a re-crawl, and
// nothing else is; a copy of the picture at another address stays.
type DSANotice struct {
	Requester Requester `json:"requester"`
	// ImageURLs are the exact addresses of the pictures, PageURLs those of
	// pages that show them; at least one of either, at most 1,000 of each.
	ImageURLs []string `json:"image_urls,omitempty"`
	PageURLs  []string `json:"page_urls,omitempty"`
	Ground    Ground   `json:"ground,omitempty"`
	// Explanation says why the content is illegal; 1 to 5,000 characters.
	Explanation string `json:"explanation"`
	// GoodFaith is the statement that the notice is accurate and complete.
	GoodFaith Statement `json:"good_faith"`
}

// Kind returns KindDSANotice.
func (r DSANotice) Kind() Kind { return KindDSANotice }

func (r DSANotice) asks() Width { return WidthURL }

func (r DSANotice) addresses() (images, pages []string) { return r.ImageURLs, r.PageURLs }

func (r DSANotice) check(c *checker) {
	r.Requester.check(c, r.Ground == GroundChildSexualAbuse)
	if len(r.ImageURLs) == 0 && len(r.PageURLs) == 0 {
		c.add("image_urls", CodeRequired)
	}
	c.addresses("image_urls", r.ImageURLs)
	c.addresses("page_urls", r.PageURLs)
	choice(c, "ground", r.Ground, false,
		GroundCopyright, GroundTrademark, GroundPrivacy, GroundIntimateImage, GroundImpersonation,
		GroundDefamation, GroundHate, GroundFraud, GroundMinors, GroundChildSexualAbuse, GroundOther)
	c.text("explanation", r.Explanation, true, maxText)
	r.GoodFaith.check(c, "good_faith")
}
