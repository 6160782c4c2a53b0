package request

import (
	"github.com/staydown/staydown/internal/fields"
	"github.com/staydown/staydown/takedown"
)

// Offence is an offence of section 14 of the Computer Crime Act of Thailand, by its
// number.
type Offence string

const (
	OffenceFalse    Offence = "1" // false data that harms people, such as fraud
	OffenceSecurity Offence = "2" // false data that harms public safety, or causes panic
	OffenceKingdom  Offence = "3" // against the security of the Kingdom, or terrorism
	OffenceObscene  Offence = "4" // obscene data that everybody can reach
	OffenceForward  Offence = "5" // passing such data on
)

func (Offence) values() []string {
	return fields.Names(OffenceFalse, OffenceSecurity, OffenceKingdom, OffenceObscene, OffenceForward)
}

// ground returns the ground that reports count it under.
func (o Offence) ground() Ground {
	switch o {
	case "":
		return GroundUnspecified
	case OffenceFalse:
		return GroundFraud
	}
	return GroundOther
}

// ThaiNotice is a complaint by the form of the notification of the Ministry of Digital
// Economy and Society of Thailand of 2022, under section 15 of the Computer Crime Act.
// It asks for [takedown.ScopeURL], as a [DSANotice].
//
// The form also asks for a report to the police, and for the authority of an agent:
// see [Paper]. If it has the place of the content, what is wrong with it, and a way to
// contact the sender, other missing fields are [Curable].
type ThaiNotice struct {
	Requester Requester `json:"requester"`
	ImageURLs []string  `json:"image_urls,omitempty" max:"1000"`
	PageURLs  []string  `json:"page_urls,omitempty" max:"1000"`
	Offence   Offence   `json:"offence"`
	// Explanation is what is illegal about the content, Damage what harm it does to
	// the sender or to others.
	Explanation string `json:"explanation" max:"5000"`
	Damage      string `json:"damage" max:"5000"`
	// Accurate states that the complaint is true.
	Accurate Statement `json:"accurate"`
	// Signature is the typed full name.
	Signature string `json:"signature" max:"200"`
}

// Kind returns KindThaiNotice.
func (r ThaiNotice) Kind() takedown.Kind { return KindThaiNotice }

func (r ThaiNotice) Asks() takedown.Scope { return takedown.ScopeURL }

func (r ThaiNotice) About() takedown.CaseID { return takedown.CaseID{} }

func (r ThaiNotice) From() Requester { return r.Requester }

// Counted returns the ground that reports count the notice under.
func (r ThaiNotice) Counted() Ground { return r.Offence.ground() }

func (r ThaiNotice) check(c *checker) {
	r.Requester.check(c, needs{name: true, postal: true, anyContact: true})
	c.oneOf("image_urls", len(r.ImageURLs)+len(r.PageURLs) > 0, "page_urls")
	c.addresses("image_urls", r.ImageURLs, useImage)
	c.addresses("page_urls", r.PageURLs, usePage)
	choice(c, "offence", r.Offence, true)
	c.text("explanation", r.Explanation, true, maxText)
	c.text("damage", r.Damage, true, maxText)
	r.Accurate.check(c, "accurate")
	c.text("signature", r.Signature, true, maxName)
	core := []string{"image_urls", "page_urls", "explanation"}
	if r.Requester.Email == "" && !r.Requester.reachable() {
		core = append(core, "requester.email", "requester.postal_address")
	}
	c.missingIs(Curable, Incomplete, core)
}
