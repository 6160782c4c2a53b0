package request

import (
	"strings"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/fields"
	"github.com/staydown/staydown/takedown"
)

// Use is a use of pictures that a [Preference] restricts.
type Use string

const (
	UseIndex Use = "index" // to find and show them
	UseTrain Use = "train" // to train models
	UseFace  Use = "face"  // to recognise faces
)

func (Use) values() []string { return fields.Names(UseIndex, UseTrain, UseFace) }

// Purposes returns the set of uses, as rules have it.
func Purposes(uses []Use) (p blocklist.Purposes) {
	for _, u := range uses {
		switch u {
		case UseIndex:
			p |= blocklist.PurposeIndex
		case UseTrain:
			p |= blocklist.PurposeTrain
		case UseFace:
			p |= blocklist.PurposeFace
		}
	}
	return p
}

// Preference restricts uses of pictures without removing them: for example, they may
// be found, and no model may be trained with them. It is for the owners of pictures
// and of websites. It asks for [takedown.ScopeURL], or, with pictures, for
// [takedown.ScopeDuplicate]. Enforcers are asked for a use: see
// takedown.Enforcer.For. A query without one does not see these rules.
//
// Signals of websites, such as robots.txt and headers, are for the crawler to read.
type Preference struct {
	Requester Requester `json:"requester"`
	// Uses are the uses that are not wanted; at least one.
	Uses []Use `json:"uses" max:"3"`
	// What it is about: addresses of pictures and pages, hosts with all that is on
	// them, or pictures with all their copies. At least one.
	ImageURLs []string `json:"image_urls,omitempty" max:"1000"`
	PageURLs  []string `json:"page_urls,omitempty" max:"1000"`
	Hosts     []string `json:"hosts,omitempty" max:"1000"`
	Images    []File   `json:"images,omitempty" max:"20"`
	Claim     Claim    `json:"claim"`
	Reason    string   `json:"reason,omitempty" max:"5000"`
}

// Kind returns KindPreference.
func (r Preference) Kind() takedown.Kind { return KindPreference }

func (r Preference) Asks() takedown.Scope {
	if len(r.Images) > 0 {
		return takedown.ScopeDuplicate
	}
	return takedown.ScopeURL
}

func (r Preference) About() takedown.CaseID { return takedown.CaseID{} }

func (r Preference) From() Requester { return r.Requester }

func (r Preference) check(c *checker) {
	r.Requester.check(c, needsNameMail)
	c.required("uses", len(r.Uses) > 0)
	if c.limit("uses", len(r.Uses), 3) {
		for i, u := range r.Uses {
			choice(c, fields.Index("uses", i), u, true)
		}
	}
	c.oneOf("image_urls", len(r.ImageURLs)+len(r.PageURLs)+len(r.Hosts)+len(r.Images) > 0, "page_urls", "hosts", "images")
	c.addresses("image_urls", r.ImageURLs, useImage)
	c.addresses("page_urls", r.PageURLs, usePage)
	c.hosts("hosts", r.Hosts)
	c.images("images", r.Images, false)
	choice(c, "claim", r.Claim, true)
	c.text("reason", r.Reason, false, maxText)
}

// hosts checks the names of hosts. What stands behind the name is left out.
func (c *checker) hosts(field string, names []string) {
	if !c.limit(field, len(names), maxAddresses) {
		return
	}
	seen := map[string]bool{}
	for i, name := range names {
		path := fields.Index(field, i)
		name = strings.TrimSpace(name)
		if !strings.Contains(name, "://") {
			name = "https://" + name
		}
		a, err := blocklist.Canonical(name)
		switch {
		case err != nil:
			c.Add(path, CodeInvalidAddress)
			continue
		case c.internal(name, a):
			c.Add(path, CodeInternalAddress)
			continue
		}
		if scheme := strings.Index(a, "://"); scheme >= 0 {
			if slash := strings.IndexByte(a[scheme+3:], '/'); slash >= 0 {
				a = a[:scheme+3+slash+1]
			}
		}
		if !seen[a] {
			seen[a] = true
			c.Items = append(c.Items, Item{Field: path, Kind: ItemHost, MaxScope: takedown.ScopeURL})
			c.Material = append(c.Material, Material{Address: a})
		}
	}
}
