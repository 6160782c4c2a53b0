package request

import (
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/unwrap"
	"github.com/staydown/staydown/takedown"
)

// UnwrapRule finds the address of a picture or page inside the address of another
// service, such as a search result, an image proxy or an archive. The library has rules
// for well-known services; those of an operator come first.
type UnwrapRule struct {
	// Name is the name of the service. It is required.
	Name string
	// Hosts are the hosts of the service. "*." at the beginning stands for any labels
	// or none, ".*" at the end for one or two labels. Path is what the path begins
	// with. One of the two is required.
	Hosts []string
	Path  string
	// Query names the parameters that may hold the inner address; the first that
	// holds one wins. Inner, unless nil, is asked before them.
	Query []string
	Inner func(u *url.URL) (address string, ok bool)
	// Leads is what the inner address is that of: FoundPicture or FoundPage.
	// FoundUnknown leaves it to the form of the inner address.
	Leads Found
}

// Check returns an [*takedown.ArgumentError] for a rule that cannot work.
func (r *UnwrapRule) Check() error {
	bad := func(field, why string) error {
		return &takedown.ArgumentError{Name: "UnwrapRule." + field, Why: why}
	}
	switch {
	case r.Name == "":
		return bad("Name", "it is empty")
	case len(r.Hosts) == 0 && r.Path == "":
		return bad("Hosts", "it is empty, and so is Path: the rule would be for every address")
	case len(r.Query) == 0 && r.Inner == nil:
		return bad("Query", "it is empty, and Inner is nil: the rule finds nothing")
	case r.Leads != FoundUnknown && r.Leads != FoundPicture && r.Leads != FoundPage:
		return bad("Leads", "it is neither FoundPicture nor FoundPage")
	}
	return nil
}

// unwrapRules returns the rules of an operator and those of the library; nil if there
// are only those.
func unwrapRules(own []UnwrapRule) (rules []unwrap.Rule) {
	if len(own) == 0 {
		return nil
	}
	kinds := map[Found]unwrap.Kind{FoundPicture: unwrap.Picture, FoundPage: unwrap.Page}
	for _, r := range own {
		rules = append(rules, unwrap.Rule{Name: r.Name, Hosts: r.Hosts, Path: r.Path, Query: r.Query, Inner: r.Inner, Kind: kinds[r.Leads]})
	}
	return append(rules, unwrap.Rules()...)
}

// Offer is an address that seems to serve the same picture as one that was named: in
// another size or format. It is for the sender, or a reviewer, to add; nothing is
// blocked by it.
type Offer struct {
	// Field is the field of the address that was named.
	Field string
	// Address is the canonical address that is offered.
	Address string
	// Found is what the operator's index has there.
	Found Found
}

// maxOffers bounds the offers for one address.
const maxOffers = 20

// offer notes the addresses that seem to serve the same picture.
func (c *checker) offer(field, canonical string) {
	key := PictureKey(canonical)
	if key == "" {
		return
	}
	others := []string{key}
	if c.opts.Siblings != nil {
		others = append(c.opts.Siblings(key), key)
	}
	n := 0
	for _, o := range others {
		a, err := blocklist.Canonical(o)
		if err != nil || a == canonical || PictureKey(a) != key || n == maxOffers ||
			slices.ContainsFunc(c.Offers, func(o Offer) bool { return o.Address == a }) {
			continue
		}
		x := Offer{Field: field, Address: a}
		if c.opts.Lookup != nil {
			if x.Found = c.opts.Lookup(a); x.Found == FoundNothing {
				continue
			}
		}
		c.Offers = append(c.Offers, x)
		n++
	}
}

// dropNamed takes offers away that the request names already.
func (c *checker) dropNamed() {
	c.Offers = slices.DeleteFunc(c.Offers, func(o Offer) bool {
		return slices.ContainsFunc(c.Material, func(m Material) bool { return m.Address == o.Address })
	})
}

// sizes are the parameters by which delivery networks are asked for a size or a format.
var sizes = []string{
	"w", "width", "h", "height", "resize", "fit", "crop", "q", "quality", "fm", "format", "auto", "dpr", "size", "sz", "scale", "ssl", "quality_auto", "imwidth", "wid", "hei",
}

var (
	// sizeSuffix ends the name of a file of a chosen size: -300x200, _300x200, @2x, -scaled.
	sizeSuffix = regexp.MustCompile(`(?i)(?:[-_][0-9]{1,5}x[0-9]{0,5}|@[1-4]x|-scaled)$`)
	// transformed is a part of a path that names transformations: w_300,h_200.
	transformed = regexp.MustCompile(`^[a-z]{1,3}_[A-Za-z0-9.:]+(?:,[a-z]{1,3}_[A-Za-z0-9.:]+)*$`)
)

// PictureKey returns the address of a picture without what asks a delivery network for
// a size or a format, and without "www.". Addresses with the same key usually serve the
// same picture, and an operator's index can be asked by it for the others: see
// desk.Options.Siblings. It is empty for a text that is no address.
//
// The key is a guess. It is for offers, and never for rules.
func PictureKey(address string) string {
	a, err := blocklist.Canonical(address)
	if err != nil {
		return ""
	}
	u, err := url.Parse(a)
	if err != nil {
		return ""
	}
	q := u.Query()
	for name := range q {
		if slices.Contains(sizes, strings.ToLower(name)) || name == "name" && u.Host == "pbs.twimg.com" {
			q.Del(name)
		}
	}
	u.RawQuery = q.Encode()
	u.Host = strings.TrimPrefix(u.Host, "www.")
	dir, name := path.Split(u.Path)
	var parts []string
	for _, p := range strings.Split(dir, "/") {
		if !transformed.MatchString(p) {
			parts = append(parts, p)
		}
	}
	ext := path.Ext(name)
	stem := strings.TrimSuffix(name, ext)
	if ext != "" && pictureName(stem) { // photo.jpg.webp
		stem, ext = strings.TrimSuffix(stem, path.Ext(stem)), path.Ext(stem)
	}
	if short := sizeSuffix.ReplaceAllString(stem, ""); short != "" {
		stem = short
	}
	u.Path, u.RawPath = strings.Join(parts, "/")+stem+ext, ""
	key, err := blocklist.Canonical(u.String())
	if err != nil {
		return ""
	}
	return key
}
