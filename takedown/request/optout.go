package request

import (
	"github.com/staydown/staydown/internal/fields"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
)

// Claim is on what an opt-out rests.
type Claim string

const (
	ClaimDepicted Claim = "depicted" // the requester, who is represented, or the child or ward, is shown in the picture
	ClaimOwner    Claim = "owner"    // the requester, or who is represented, owns the picture
)

func (Claim) values() []string { return fields.Names(ClaimDepicted, ClaimOwner) }

// ImageOptOut requests the removal of a picture with all its copies, at any
// address, now and in future: re-encoded, resized, mirrored, rotated, and so on.
// It asks for [takedown.ScopeDuplicate].
type ImageOptOut struct {
	Requester Requester `json:"requester"`
	// Images are the files of the pictures: JPEG, PNG, GIF or WebP, each at
	// most 10 MB; 1 to 20 of them. Each becomes a rule of its own.
	Images []File `json:"images" max:"20"`
	Claim  Claim  `json:"claim"`
	// Reason is a brief explanation; optional.
	Reason string `json:"reason,omitempty" max:"5000"`
	// LawCountry is the country whose law the picture is reported to break, if it
	// differs from that of the requester.
	LawCountry string `json:"law_country,omitempty"`
	// Examples are addresses at which the picture was seen. They help the
	// reviewer, and do not change the scope of the rule.
	Examples []string `json:"examples,omitempty" max:"1000"`
}

// Kind returns KindImageOptOut.
func (r ImageOptOut) Kind() takedown.Kind { return KindImageOptOut }

func (r ImageOptOut) Asks() takedown.Scope { return takedown.ScopeDuplicate }

func (r ImageOptOut) About() takedown.CaseID { return takedown.CaseID{} }

func (r ImageOptOut) From() Requester { return r.Requester }

func (r ImageOptOut) check(c *checker) {
	r.Requester.check(c, needsNameMail)
	c.images("images", r.Images, true)
	choice(c, "claim", r.Claim, true)
	c.text("reason", r.Reason, false, maxText)
	c.country("law_country", r.LawCountry)
	c.addresses("examples", r.Examples, useExample)
}

// OpenOptOut is the opt-out of a form with one upload for "a picture" and "my
// face". It leaves open which of the two is meant, and the reviewer grants the
// picture, the face, or both.
//
// It asks for [takedown.ScopeDuplicate], and with the statement Biometric for
// [takedown.ScopeFace]. Without that statement no face may be registered, and no
// face is searched for. Only the person in the picture, or a representative, can
// make it: with ClaimOwner it is a problem.
type OpenOptOut struct {
	Requester  Requester `json:"requester"`
	Images     []File    `json:"images" max:"20"` // as in ImageOptOut
	Claim      Claim     `json:"claim"`
	Reason     string    `json:"reason,omitempty" max:"5000"`
	LawCountry string    `json:"law_country,omitempty"`
	// Subject is whose picture and face it is, as in [FaceOptOut].
	Subject Subject `json:"subject,omitempty"`
	// Biometric is the explicit consent to a template of the face being made and
	// kept for the sole purpose of enforcing the opt-out; optional.
	Biometric Statement `json:"biometric,omitzero"`
	// Marks are as in [FaceOptOut]. The faces of the first five pictures that show
	// one face, or in which one is marked, can be granted.
	Marks    []string `json:"marks,omitempty" max:"20"`
	Examples []string `json:"examples,omitempty" max:"1000"`
}

// Kind returns KindOpenOptOut.
func (r OpenOptOut) Kind() takedown.Kind { return KindOpenOptOut }

func (r OpenOptOut) Asks() takedown.Scope {
	if r.Biometric != (Statement{}) {
		return takedown.ScopeFace
	}
	return takedown.ScopeDuplicate
}

func (r OpenOptOut) About() takedown.CaseID { return takedown.CaseID{} }

func (r OpenOptOut) From() Requester { return r.Requester }

func (r OpenOptOut) check(c *checker) {
	r.Requester.check(c, needsNameMail)
	c.images("images", r.Images, true)
	choice(c, "claim", r.Claim, true)
	c.text("reason", r.Reason, false, maxText)
	c.country("law_country", r.LawCountry)
	may := c.subject("subject", r.Subject, &r.Requester)
	before := len(c.Problems)
	consent := r.Biometric != (Statement{})
	if consent {
		if r.Claim == ClaimOwner {
			c.Add("claim", CodeNotDepicted)
		}
		r.Biometric.check(c, "biometric")
	}
	may = may && consent && len(c.Problems) == before
	if c.marks("marks", r.Marks, len(r.Images)) && may {
		c.openFaces("images", r.Images, r.Marks)
	}
	c.addresses("examples", r.Examples, useExample)
}

// HashEntry is an opt-out by hash alone: the picture never leaves the person's
// device. It asks for [takedown.ScopeDuplicate]. No reviewer can see the picture,
// so a rule made from it only holds matches for review ([takedown.Review]). After
// vetting, a reviewer can grant more with desk.Desk.Amend.
type HashEntry struct {
	Requester Requester `json:"requester"`
	// Hashes are PDQ hashes, 1 to 100. Each becomes a rule of its own.
	Hashes []phash.Hash `json:"hashes" max:"100"`
	Claim  Claim        `json:"claim"`
	Reason string       `json:"reason,omitempty" max:"5000"`
}

// Kind returns KindHashEntry.
func (r HashEntry) Kind() takedown.Kind { return KindHashEntry }

func (r HashEntry) Asks() takedown.Scope { return takedown.ScopeDuplicate }

func (r HashEntry) About() takedown.CaseID { return takedown.CaseID{} }

func (r HashEntry) From() Requester { return r.Requester }

func (r HashEntry) check(c *checker) {
	r.Requester.check(c, needs{anyContact: true})
	c.hashKeys("hashes", r.Hashes, true)
	choice(c, "claim", r.Claim, true)
	c.text("reason", r.Reason, false, maxText)
}
