package request

import (
	"github.com/staydown/staydown/internal/fields"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
)

// Right is a right of a data subject under the GDPR, or the UK GDPR.
type Right string

const (
	RightErasure     Right = "erasure"     // Art. 17
	RightObjection   Right = "objection"   // Art. 21
	RightRestriction Right = "restriction" // Art. 18
)

func (Right) values() []string { return fields.Names(RightErasure, RightObjection, RightRestriction) }

// ErasureGround is a ground of Article 17(1), by its letter.
type ErasureGround string

const (
	ErasureNotNeeded    ErasureGround = "a" // no longer needed for its purpose
	ErasureConsent      ErasureGround = "b" // consent withdrawn
	ErasureObjection    ErasureGround = "c" // objection under Art. 21
	ErasureUnlawful     ErasureGround = "d" // processed unlawfully
	ErasureLegalDuty    ErasureGround = "e" // a law demands the erasure
	ErasureChildService ErasureGround = "f" // collected from a child by an online service
)

func (ErasureGround) values() []string {
	return fields.Names(ErasureNotNeeded, ErasureConsent, ErasureObjection, ErasureUnlawful, ErasureLegalDuty, ErasureChildService)
}

// Channel is how somebody wants to be answered.
type Channel string

const (
	ChannelEmail Channel = "email"
	ChannelPhone Channel = "phone"
	ChannelPost  Channel = "post"
)

func (Channel) values() []string { return fields.Names(ChannelEmail, ChannelPhone, ChannelPost) }

// GDPRRequest invokes the rights to erasure, objection or restriction of
// Regulation (EU) 2016/679, or of the UK GDPR. It asks for [takedown.ScopeURL], or
// for [takedown.ScopeIdentical] if it has pictures.
//
// No particular form is required; any request with contact details is accepted.
// Missing fields that are needed to find the data are [Curable]: the operator has
// to ask for them.
type GDPRRequest struct {
	Requester Requester `json:"requester"`
	Rights    []Right   `json:"rights" max:"3"`
	ImageURLs []string  `json:"image_urls,omitempty" max:"1000"`
	PageURLs  []string  `json:"page_urls,omitempty" max:"1000"`
	Images    []File    `json:"images,omitempty" max:"20"`
	// QueryName is the name that people search by, where a name's results are to
	// be delisted. An index blocks what is granted for every search, and the letters
	// say so.
	QueryName string `json:"query_name,omitempty" max:"200"`
	// Situation are the grounds from the person's particular situation, which an
	// objection needs.
	Situation string        `json:"situation,omitempty" max:"5000"`
	Ground    ErasureGround `json:"ground,omitempty"`
	// Reply is for the desk.Notifier: desk.Message.Channel.
	Reply Channel `json:"reply,omitempty"`
	// UK reports that the UK GDPR applies, whose clock may stop while identity or
	// scope are clarified.
	UK bool `json:"uk,omitempty"`
}

// Kind returns KindGDPRRequest.
func (r GDPRRequest) Kind() takedown.Kind { return KindGDPRRequest }

func (r GDPRRequest) About() takedown.CaseID { return takedown.CaseID{} }

func (r GDPRRequest) From() Requester { return r.Requester }

func (r GDPRRequest) Asks() takedown.Scope {
	if len(r.Images) > 0 {
		return takedown.ScopeIdentical
	}
	return takedown.ScopeURL
}

func (r GDPRRequest) check(c *checker) {
	r.Requester.check(c, needs{name: true, anyContact: true})
	c.required("rights", len(r.Rights) > 0)
	objects := false
	if c.limit("rights", len(r.Rights), 3) {
		for i, right := range r.Rights {
			choice(c, fields.Index("rights", i), right, true)
			objects = objects || right == RightObjection
		}
	}
	c.oneOf("image_urls", len(r.ImageURLs)+len(r.PageURLs)+len(r.Images) > 0, "page_urls", "images")
	c.addresses("image_urls", r.ImageURLs, useImage)
	c.addresses("page_urls", r.PageURLs, usePage)
	c.images("images", r.Images, false)
	c.text("query_name", r.QueryName, false, maxName)
	c.text("situation", r.Situation, objects, maxText)
	choice(c, "ground", r.Ground, false)
	choice(c, "reply", r.Reply, false)
	c.missingIs(Curable, Incomplete, []string{"requester.email", "requester.phone", "requester.postal_address"})
	if r.UK {
		c.Regime = RegimeUKGDPR
	}
}

// Answer is an answer to a question that the requester may be unable to answer.
type Answer string

const (
	AnswerYes    Answer = "yes"
	AnswerNo     Answer = "no"
	AnswerUnsure Answer = "unsure"
)

func (Answer) values() []string { return fields.Names(AnswerYes, AnswerNo, AnswerUnsure) }

// IntimateImage requests the removal of an intimate picture that was published
// without consent. It is for the TAKE IT DOWN Act (47 U.S.C. 223a), or for an
// operator's own rules. It asks for [takedown.ScopeIdentical], the known identical
// copies of the Act, or, with AllCopies, for [takedown.ScopeDuplicate].
type IntimateImage struct {
	Requester Requester `json:"requester"`
	// Where it is: addresses, the picture itself, or its PDQ hash, made on the
	// person's own device. At least one.
	ImageURLs []string     `json:"image_urls,omitempty" max:"1000"`
	PageURLs  []string     `json:"page_urls,omitempty" max:"1000"`
	Images    []File       `json:"images,omitempty" max:"20"`
	Hashes    []phash.Hash `json:"hashes,omitempty" max:"100"`
	AllCopies bool         `json:"all_copies,omitempty"`
	// NoConsent is the good-faith statement that the depicted person did not
	// consent; Explanation adds what shows it.
	NoConsent   Statement `json:"no_consent"`
	Explanation string    `json:"explanation,omitempty" max:"5000"`
	// Synthetic answers whether the picture is a digital forgery.
	Synthetic Answer `json:"synthetic,omitempty"`
	// MinorDepicted answers whether a person under 18 is shown. Every answer
	// except no is a matter of child safety: the case carries [FlagChildSafety]
	// from the first moment.
	MinorDepicted Answer `json:"minor_depicted"`
	// Signature is the typed full name of the depicted person or of a person who
	// may act for them.
	Signature string `json:"signature" max:"200"`
}

// Kind returns KindIntimateImage.
func (r IntimateImage) Kind() takedown.Kind { return KindIntimateImage }

func (r IntimateImage) About() takedown.CaseID { return takedown.CaseID{} }

func (r IntimateImage) From() Requester { return r.Requester }

func (r IntimateImage) Asks() takedown.Scope {
	switch {
	case len(r.Images)+len(r.Hashes) == 0:
		return takedown.ScopeURL
	case r.AllCopies:
		return takedown.ScopeDuplicate
	}
	return takedown.ScopeIdentical
}

func (r IntimateImage) check(c *checker) {
	r.Requester.check(c, needs{anyContact: true})
	c.oneOf("image_urls", len(r.ImageURLs)+len(r.PageURLs)+len(r.Images)+len(r.Hashes) > 0, "page_urls", "images", "hashes")
	c.addresses("image_urls", r.ImageURLs, useImage)
	c.addresses("page_urls", r.PageURLs, usePage)
	c.images("images", r.Images, false)
	c.hashKeys("hashes", r.Hashes, false)
	r.NoConsent.check(c, "no_consent")
	c.text("explanation", r.Explanation, false, maxText)
	choice(c, "synthetic", r.Synthetic, false)
	choice(c, "minor_depicted", r.MinorDepicted, true)
	c.text("signature", r.Signature, true, maxName)
	// Where it is, is enough to act on. About a child nobody is turned away; of
	// others, who can be asked is asked for the rest.
	core := []string{"image_urls", "page_urls", "images", "hashes"}
	if r.MinorDepicted != AnswerNo {
		c.Flag(FlagChildSafety)
	} else {
		core = append(core, "requester.email", "minor_depicted")
	}
	c.missingIs(Curable, Incomplete, core)
}
