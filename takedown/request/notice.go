package request

import (
	"github.com/staydown/staydown/internal/fields"
	"github.com/staydown/staydown/internal/territory"
	"github.com/staydown/staydown/takedown"
)

// Ground is the reason why content is reported as illegal. The zero Ground means
// that the notice gives no ground; the law does not require one.
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

func (Ground) values() []string {
	return fields.Names(GroundCopyright, GroundTrademark, GroundPrivacy, GroundIntimateImage, GroundImpersonation,
		GroundDefamation, GroundHate, GroundFraud, GroundMinors, GroundChildSexualAbuse, GroundOther)
}

// DSANotice is a notice under Article 16 of Regulation (EU) 2022/2065 that the
// content at the given addresses is illegal. It asks for [takedown.ScopeURL]: the
// addresses are blocked for ever, also after a re-crawl. A copy of the picture at
// another address stays.
//
// A notice can be acted on if it has the place of the content, the reason why it
// is illegal, and a way to contact the sender. Other missing fields are [Curable].
type DSANotice struct {
	Requester Requester `json:"requester"`
	// ImageURLs are the exact addresses of the pictures, PageURLs those of
	// pages that show them; at least one of either, at most 1,000 of each. Several
	// spellings of one address are one item. A second notice about an address is a
	// case of its own, with rules of its own: withdrawing one leaves the other.
	ImageURLs []string `json:"image_urls,omitempty" max:"1000"`
	PageURLs  []string `json:"page_urls,omitempty" max:"1000"`
	Ground    Ground   `json:"ground,omitempty"`
	// Law names the provision that the content is reported to break; optional.
	Law string `json:"law,omitempty" max:"500"`
	// Explanation is the reason why the content is illegal.
	Explanation string `json:"explanation" max:"5000"`
	// GoodFaith is the statement that the notice is accurate and complete.
	GoodFaith Statement `json:"good_faith"`
}

// Kind returns KindDSANotice.
func (r DSANotice) Kind() takedown.Kind { return KindDSANotice }

func (r DSANotice) Asks() takedown.Scope { return takedown.ScopeURL }

func (r DSANotice) About() takedown.CaseID { return takedown.CaseID{} }

func (r DSANotice) From() Requester { return r.Requester }

func (r DSANotice) check(c *checker) {
	n := needsNameMail
	if r.Ground == GroundChildSexualAbuse {
		n = needsNothing // Article 16(2)(c)
	}
	r.Requester.check(c, n)
	c.oneOf("image_urls", len(r.ImageURLs)+len(r.PageURLs) > 0, "page_urls")
	c.addresses("image_urls", r.ImageURLs, useImage)
	c.addresses("page_urls", r.PageURLs, usePage)
	choice(c, "ground", r.Ground, false)
	c.text("law", r.Law, false, maxShort)
	c.text("explanation", r.Explanation, true, maxText)
	r.GoodFaith.check(c, "good_faith")
	// Who can be asked is asked for the rest; about a child nobody is turned away.
	core := []string{"image_urls", "page_urls", "explanation"}
	if !r.Requester.reachable() {
		core = append(core, "requester.email")
	}
	c.missingIs(Curable, Incomplete, core)
	if r.Ground == GroundChildSexualAbuse {
		c.Flag(FlagChildSafety)
	}
	if r.Requester.Role == RoleTrustedFlagger {
		c.Flag(FlagTrustedFlagger)
	}
}

// Work is a work whose copyright is reported as infringed.
type Work struct {
	Description string `json:"description" max:"5000"`
	// Kind is the type of work, for example "photograph".
	Kind string `json:"kind,omitempty" max:"200"`
	// Original is an address of the original; Registration its number in a
	// register. Both are optional.
	Original     string `json:"original,omitempty" max:"8192"`
	Registration string `json:"registration,omitempty" max:"200"`
}

// DMCANotice is a notification under 17 U.S.C. 512(c)(3), or, for an index,
// (d)(3). It asks for [takedown.ScopeURL]; copies at other addresses stay, until a
// notice names them.
//
// The effect of a defective notice depends on the missing fields. If it identifies
// the work and the material and has a way to contact the sender, the operator has
// to ask for the rest. Its other problems are then [Curable]. Otherwise they are
// [Ineffective]. See 512(c)(3)(B)(ii).
type DMCANotice struct {
	Requester Requester `json:"requester"`
	// Works are the works, 1 to 100: (A)(ii).
	Works []Work `json:"works" max:"100"`
	// ImageURLs and PageURLs are where the material, or the link to it, is:
	// (A)(iii). At least one of either.
	ImageURLs []string `json:"image_urls,omitempty" max:"1000"`
	PageURLs  []string `json:"page_urls,omitempty" max:"1000"`
	// GoodFaith states that the use is not authorised by the owner, its agent or
	// the law: (A)(v). A text about fair use that was considered belongs into it.
	GoodFaith Statement `json:"good_faith"`
	// Accurate: the information is accurate; Authorised: under penalty of
	// perjury, the sender may act for the owner: (A)(vi).
	Accurate   Statement `json:"accurate"`
	Authorised Statement `json:"authorised"`
	// Signature is the typed full name: (A)(i).
	Signature string `json:"signature" max:"200"`
}

// Kind returns KindDMCANotice.
func (r DMCANotice) Kind() takedown.Kind { return KindDMCANotice }

func (r DMCANotice) Asks() takedown.Scope { return takedown.ScopeURL }

func (r DMCANotice) About() takedown.CaseID { return takedown.CaseID{} }

func (r DMCANotice) From() Requester { return r.Requester }

func (r DMCANotice) check(c *checker) {
	r.Requester.check(c, needs{name: true, anyContact: true})
	c.required("works", len(r.Works) > 0)
	if c.limit("works", len(r.Works), maxWorks) {
		for i, w := range r.Works {
			field := fields.Index("works", i)
			c.text(field+".description", w.Description, true, maxText)
			c.text(field+".kind", w.Kind, false, maxName)
			if w.Original != "" {
				c.addresses(field+".original", []string{w.Original}, useExample)
			}
			c.text(field+".registration", w.Registration, false, maxName)
		}
	}
	c.oneOf("image_urls", len(r.ImageURLs)+len(r.PageURLs) > 0, "page_urls")
	c.addresses("image_urls", r.ImageURLs, useImage)
	c.addresses("page_urls", r.PageURLs, usePage)
	r.GoodFaith.check(c, "good_faith")
	r.Accurate.check(c, "accurate")
	r.Authorised.check(c, "authorised")
	c.text("signature", r.Signature, true, maxName)
	// Elements (ii), (iii) and (iv) decide whether the rest can be cured.
	c.missingIs(Curable, Ineffective, []string{
		"works", "image_urls", "page_urls", "requester.email", "requester.phone", "requester.postal_address"})
}

// AuthorityOrder is an order of a court or authority to act against illegal
// content: Article 9 of Regulation (EU) 2022/2065, or its equivalent elsewhere. It
// asks for [takedown.ScopeIdentical] if it has pictures, otherwise for
// [takedown.ScopeURL]. Its territory is part of it.
type AuthorityOrder struct {
	Requester Requester `json:"requester"` // who transmits it
	// Authority is the issuer of the order, Reference its number or file,
	// LegalBasis its legal basis.
	Authority string `json:"authority" max:"500"`
	// State is the state of the authority, ISO 3166-1 alpha-2; Ground is the type of
	// illegal content. Both are for reports, and optional.
	State      string `json:"state,omitempty"`
	Ground     Ground `json:"ground,omitempty"`
	Reference  string `json:"reference" max:"200"`
	LegalBasis string `json:"legal_basis" max:"500"`
	// Reasons are the reasons why the content is illegal. Redress are the
	// available remedies.
	Reasons   string   `json:"reasons" max:"5000"`
	Redress   string   `json:"redress,omitempty" max:"5000"`
	ImageURLs []string `json:"image_urls,omitempty" max:"1000"`
	PageURLs  []string `json:"page_urls,omitempty" max:"1000"`
	Images    []File   `json:"images,omitempty" max:"20"` // for orders against identical content
	// Territories are where the order applies: ISO 3166-1 alpha-2, or a set, for
	// example "EU27". An order for the whole world sets Worldwide instead. One of
	// the two is required.
	Territories []string `json:"territories,omitempty" max:"300"`
	Worldwide   bool     `json:"worldwide,omitempty"`
}

// Kind returns KindAuthorityOrder.
func (r AuthorityOrder) Kind() takedown.Kind { return KindAuthorityOrder }

func (r AuthorityOrder) About() takedown.CaseID { return takedown.CaseID{} }

func (r AuthorityOrder) From() Requester { return r.Requester }

func (r AuthorityOrder) Asks() takedown.Scope {
	if len(r.Images) > 0 {
		return takedown.ScopeIdentical
	}
	return takedown.ScopeURL
}

func (r AuthorityOrder) check(c *checker) {
	r.Requester.check(c, needs{anyContact: true})
	c.text("authority", r.Authority, true, maxShort)
	c.country("state", r.State)
	choice(c, "ground", r.Ground, false)
	c.text("reference", r.Reference, true, maxName)
	c.text("legal_basis", r.LegalBasis, true, maxShort)
	c.text("reasons", r.Reasons, true, maxText)
	c.text("redress", r.Redress, false, maxText)
	c.oneOf("image_urls", len(r.ImageURLs)+len(r.PageURLs)+len(r.Images) > 0, "page_urls", "images")
	c.addresses("image_urls", r.ImageURLs, useImage)
	c.addresses("page_urls", r.PageURLs, usePage)
	c.images("images", r.Images, false)
	c.oneOf("territories", len(r.Territories) > 0 || r.Worldwide, "worldwide")
	if len(r.Territories) > 0 && r.Worldwide {
		c.Add("worldwide", CodeInvalidChoice)
	}
	if c.limit("territories", len(r.Territories), maxTerritories) {
		for i, t := range r.Territories {
			if _, err := territory.Parse([]string{t}); err != nil {
				c.Add(fields.Index("territories", i), CodeInvalidCountry)
			}
		}
	}
	c.Flag(FlagAuthority)
}
