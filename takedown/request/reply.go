package request

import (
	"github.com/staydown/staydown/internal/fields"
	"github.com/staydown/staydown/takedown"
)

// CounterReason is the reason why a removal is reported as a mistake.
type CounterReason string

const (
	CounterOwner      CounterReason = "owner"      // the material is their own
	CounterAuthorised CounterReason = "authorised" // the owner allowed it
	CounterFairUse    CounterReason = "fair_use"
	CounterNoRight    CounterReason = "no_right" // the claimant has no right in it
	CounterNotUsed    CounterReason = "not_used" // the work is not in the material
	CounterOther      CounterReason = "other"
)

func (CounterReason) values() []string {
	return fields.Names(CounterOwner, CounterAuthorised, CounterFairUse, CounterNoRight, CounterNotUsed, CounterOther)
}

// CounterNotice is a counter-notification under 17 U.S.C. 512(g)(3). When it is
// accepted, it waits 10 to 14 business days for notice of a court action. Then
// desk.Desk.Restore ends the items that it names, in the case that it refers to.
type CounterNotice struct {
	Requester Requester       `json:"requester"`
	Case      takedown.CaseID `json:"case"`
	// ImageURLs and PageURLs identify the material that was removed, and its
	// place: (B). At least one address is required, and all must be addresses of
	// the case.
	ImageURLs []string `json:"image_urls,omitempty" max:"1000"`
	PageURLs  []string `json:"page_urls,omitempty" max:"1000"`
	// Mistake: under penalty of perjury, the removal was a mistake: (C).
	Mistake Statement `json:"mistake"`
	// Jurisdiction: consent to a court's jurisdiction, and to service of
	// process: (D).
	Jurisdiction Statement `json:"jurisdiction"`
	// Disclosure: the sender knows that the claimant gets a copy of all this,
	// with the postal address: (g)(2)(B).
	Disclosure  Statement     `json:"disclosure"`
	Reason      CounterReason `json:"reason,omitempty"`
	Explanation string        `json:"explanation,omitempty" max:"5000"`
	Signature   string        `json:"signature" max:"200"`
}

// Kind returns KindCounterNotice.
func (r CounterNotice) Kind() takedown.Kind { return KindCounterNotice }

func (r CounterNotice) Asks() takedown.Scope { return 0 }

func (r CounterNotice) About() takedown.CaseID { return r.Case }

func (r CounterNotice) From() Requester { return r.Requester }

func (r CounterNotice) check(c *checker) {
	r.Requester.check(c, needs{name: true, phone: true, postal: true})
	c.required("case", r.Case != takedown.CaseID{})
	c.oneOf("image_urls", len(r.ImageURLs)+len(r.PageURLs) > 0, "page_urls")
	c.addresses("image_urls", r.ImageURLs, useNamed)
	c.addresses("page_urls", r.PageURLs, useNamed)
	r.Mistake.check(c, "mistake")
	r.Jurisdiction.check(c, "jurisdiction")
	r.Disclosure.check(c, "disclosure")
	choice(c, "reason", r.Reason, false)
	c.text("explanation", r.Explanation, false, maxText)
	c.text("signature", r.Signature, true, maxName)
}

// Objection is the plain objection of the owner of a page or picture that was
// blocked, where no statute gives them a counter-notice.
//
// With the number of a case, the items that it names in the case are reversed when
// it is accepted, or all items. Without one, which is the usual form, it names
// addresses or pictures. Each rule that blocks them then gets an exception for just
// these pictures, and items of their addresses are reversed. What the rules block
// besides stays blocked.
type Objection struct {
	Requester Requester `json:"requester"`
	// Case is the case that the objection refers to. It is optional, because its
	// number is known to the requester of the case only.
	Case takedown.CaseID `json:"case,omitzero"`
	// ImageURLs are the addresses that the objection is about, Images the pictures.
	// With a Case, empty means all items, and an address that the case is not about
	// is a problem. Without a Case, one of the two is required.
	ImageURLs []string      `json:"image_urls,omitempty" max:"1000"`
	Images    []File        `json:"images,omitempty" max:"20"`
	Reason    CounterReason `json:"reason"`
	// Explanation is the reason why the removal is wrong.
	Explanation string    `json:"explanation" max:"5000"`
	GoodFaith   Statement `json:"good_faith"`
}

// Kind returns KindObjection.
func (r Objection) Kind() takedown.Kind { return KindObjection }

func (r Objection) Asks() takedown.Scope { return 0 }

func (r Objection) About() takedown.CaseID { return r.Case }

func (r Objection) From() Requester { return r.Requester }

func (r Objection) check(c *checker) {
	r.Requester.check(c, needsNameMail)
	c.oneOf("image_urls", r.Case != takedown.CaseID{} || len(r.ImageURLs)+len(r.Images) > 0, "images")
	c.addresses("image_urls", r.ImageURLs, useNamed)
	c.namedImages("images", r.Images)
	choice(c, "reason", r.Reason, true)
	c.text("explanation", r.Explanation, true, maxText)
	r.GoodFaith.check(c, "good_faith")
}

// Party is what somebody who complains is to the case.
type Party string

const (
	PartyAffected Party = "affected" // whose content was restricted
	PartyNotifier Party = "notifier" // who sent the notice
)

func (Party) values() []string { return fields.Names(PartyAffected, PartyNotifier) }

// Complaint is a complaint about a decision, Article 20 of Regulation (EU)
// 2022/2065. It comes from a person whom the decision restricts, or from the
// sender of a notice that was rejected, also in part, or reversed.
//
// When it is accepted, the decision is reversed. For the affected party the rules
// end. For the notifier the refused items are reviewed again, and the granted
// items stay in force meanwhile.
type Complaint struct {
	Requester Requester       `json:"requester"`
	Case      takedown.CaseID `json:"case"`
	Party     Party           `json:"party"`
	// Grounds are the errors of the decision. Evidence has facts that were not
	// known when it was made.
	Grounds  string `json:"grounds" max:"5000"`
	Evidence string `json:"evidence,omitempty" max:"5000"`
}

// Kind returns KindComplaint.
func (r Complaint) Kind() takedown.Kind { return KindComplaint }

func (r Complaint) Asks() takedown.Scope { return 0 }

func (r Complaint) About() takedown.CaseID { return r.Case }

func (r Complaint) From() Requester { return r.Requester }

func (r Complaint) check(c *checker) {
	r.Requester.check(c, needs{anyContact: true})
	c.required("case", r.Case != takedown.CaseID{})
	choice(c, "party", r.Party, true)
	c.text("grounds", r.Grounds, true, maxText)
	c.text("evidence", r.Evidence, false, maxText)
}

// Withdrawal takes a request back, as a whole or in part, before or after the
// decision. When it is accepted, the rules in question end, and the data of the
// faces in question is destroyed.
type Withdrawal struct {
	Requester Requester       `json:"requester"`
	Case      takedown.CaseID `json:"case"`
	// Items are the numbers, in desk.Case.Items, of the withdrawn items; empty
	// means all. If the case is completed after the Withdrawal was received, the
	// Withdrawal has to name them again.
	Items  []int  `json:"items,omitempty" max:"1000"`
	Reason string `json:"reason,omitempty" max:"5000"`
}

// Kind returns KindWithdrawal.
func (r Withdrawal) Kind() takedown.Kind { return KindWithdrawal }

func (r Withdrawal) Asks() takedown.Scope { return 0 }

func (r Withdrawal) About() takedown.CaseID { return r.Case }

func (r Withdrawal) From() Requester { return r.Requester }

func (r Withdrawal) check(c *checker) {
	r.Requester.check(c, needs{email: true})
	c.required("case", r.Case != takedown.CaseID{})
	if c.limit("items", len(r.Items), maxAddresses) {
		for i, n := range r.Items {
			if n < 0 {
				c.Add(fields.Index("items", i), CodeInvalidChoice)
			}
		}
	}
	c.text("reason", r.Reason, false, maxText)
}
