// Package unwrap finds the address that a person means in the address that the
// person pasted. Search results, image proxies, web archives and link trackers
// carry the address of the picture, or of its page, inside their own.
//
// The package never fetches anything. It reads at most three layers, because
// proxies do occur inside of proxies.
package unwrap

import (
	"net/url"
	"path"
	"strings"
)

// Kind is what an address leads to, as far as the address tells.
type Kind uint8

// The kinds.
const (
	Unknown   Kind = iota // the address does not tell
	Picture               // an image file
	Page                  // a page: which picture on it is meant must be asked
	Thumbnail             // a search engine's own copy, whose source the address does not have
	Expiring              // an image file whose address stops to work: the picture itself is needed
)

func (k Kind) String() string {
	switch k {
	case Picture:
		return "picture"
	case Page:
		return "page"
	case Thumbnail:
		return "thumbnail"
	case Expiring:
		return "expiring"
	}
	return "unknown"
}

// Result is what an address turned out to be.
type Result struct {
	URL   string // the innermost address
	Kind  Kind
	Page  string   // the page that shows the picture, if the address names it
	Rules []string // the names of the rules that applied, the outermost first; empty: nothing was unwrapped
}

// Rule unwraps the addresses of one service.
type Rule struct {
	// Name identifies the rule to reviewers: the name of the service.
	Name string
	// Hosts are the hosts of the service. "*." at the beginning stands for any
	// labels or none, ".*" at the end for one or two labels (google.*). An empty
	// list is every host.
	Hosts []string
	// Path is what the path begins with, or, with "…" at the beginning, contains.
	Path string
	// Query names the parameters that may hold the inner address. The first
	// that holds one wins.
	Query []string
	// Inner returns the inner address where a parameter does not hold it.
	Inner func(u *url.URL) (string, bool)
	// PageParam names the parameter that holds the page around a picture.
	PageParam string
	// Kind is what the inner address leads to. Unknown: Guess decides.
	Kind Kind
}

const maxLayers = 3

// maxLen is the longest address that is unwrapped, in bytes.
const maxLen = 8192

// Address unwraps one address with the rules in their order; nil rules are
// Rules(). ok is false for a text that is no http or https address, and for
// one that is no longer an address when it is undone (blob:, data:).
//
// A text that names no scheme is taken for https. Spellings that keep an
// address from being clicked (hxxp, example[.]org) and view-source: are undone.
func Address(text string, rules []Rule) (r Result, ok bool) {
	if rules == nil {
		rules = builtin
	}
	u, ok := parse(undo(text))
	if !ok {
		return Result{}, false
	}
	kind := Unknown
	for range maxLayers {
		rule, inner, found := apply(u, rules)
		if !found {
			break
		}
		if rule.PageParam != "" {
			if p, ok := parse(u.Query().Get(rule.PageParam)); ok {
				r.Page = p.String()
			}
		}
		r.Rules = append(r.Rules, rule.Name)
		kind = rule.Kind
		if inner == nil {
			break // the rule says what it is; there is nothing inside
		}
		u = inner
	}
	if kind == Unknown {
		kind = Guess(u)
	}
	r.URL, r.Kind = u.String(), kind
	return r, true
}

// apply returns the first rule that unwraps u. inner is nil for a rule that
// only knows the kind.
func apply(u *url.URL, rules []Rule) (rule *Rule, inner *url.URL, ok bool) {
	for i := range rules {
		rule = &rules[i]
		if !rule.matches(u) {
			continue
		}
		if rule.Inner == nil && rule.Query == nil {
			return rule, nil, true
		}
		if rule.Inner != nil {
			if text, ok := rule.Inner(u); ok {
				if inner, ok = parse(text); ok && inner.String() != u.String() {
					return rule, inner, true
				}
			}
		}
		q := u.Query()
		for _, name := range rule.Query {
			if inner, ok = parseIn(u, q.Get(name)); ok {
				return rule, inner, true
			}
		}
	}
	return nil, nil, false
}

func (r *Rule) matches(u *url.URL) bool {
	if p, contains := strings.CutPrefix(r.Path, "…"); contains {
		if !strings.Contains(u.Path, p) {
			return false
		}
	} else if !strings.HasPrefix(u.Path, r.Path) {
		return false
	}
	host := strings.ToLower(u.Hostname())
	for _, pattern := range r.Hosts {
		if hostMatches(host, pattern) {
			return true
		}
	}
	return len(r.Hosts) == 0
}

func hostMatches(host, pattern string) bool {
	if stem, ok := strings.CutSuffix(pattern, ".*"); ok {
		i := strings.LastIndex(host, ".")
		if i < 0 {
			return false
		}
		tld := host[:i]
		if j := strings.LastIndex(tld, "."); j >= 0 && len(tld)-j <= 4 && hostMatches(tld[:j], stem) {
			return true // google.co.th, google.com.br
		}
		return hostMatches(tld, stem)
	}
	if suffix, ok := strings.CutPrefix(pattern, "*."); ok {
		return host == suffix || strings.HasSuffix(host, "."+suffix)
	}
	return host == pattern
}

// undo turns the spellings back that people and chat programs give an address
// so that it cannot be clicked.
func undo(text string) string {
	text = strings.Trim(strings.TrimSpace(text), "<>\"'")
	if rest, ok := cutPrefixFold(text, "view-source:"); ok {
		text = rest
	}
	if rest, ok := cutPrefixFold(text, "hxxp"); ok {
		text = "http" + rest
	}
	head, tail := text, ""
	if i := strings.Index(text, "://"); i >= 0 {
		if j := strings.IndexAny(text[i+3:], "/?#"); j >= 0 {
			head, tail = text[:i+3+j], text[i+3+j:]
		}
	}
	return strings.NewReplacer("[.]", ".", "(.)", ".", "[:]", ":").Replace(head) + tail
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return s[len(prefix):], true
	}
	return s, false
}

// parse parses an absolute http or https address. One without a scheme is
// taken for https, and one slash after the scheme for two.
func parse(text string) (*url.URL, bool) {
	if text == "" || len(text) > maxLen {
		return nil, false
	}
	for _, scheme := range []string{"https:/", "http:/"} {
		if rest, ok := cutPrefixFold(text, scheme); ok && !strings.HasPrefix(rest, "/") {
			text = scheme + "/" + rest
		}
	}
	if strings.HasPrefix(text, "//") {
		text = "https:" + text
	}
	if head, _, _ := strings.Cut(text, "/"); !strings.Contains(head, ":") && strings.Contains(head, ".") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil || !strings.EqualFold(u.Scheme, "http") && !strings.EqualFold(u.Scheme, "https") || !strings.Contains(u.Hostname(), ".") || u.User != nil {
		return nil, false
	}
	return u, true
}

// parseIn parses an inner address that may be relative to the outer one.
func parseIn(outer *url.URL, text string) (*url.URL, bool) {
	if strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "//") {
		ref, err := url.Parse(text)
		if err != nil {
			return nil, false
		}
		return outer.ResolveReference(ref), true
	}
	// Some services escape the address twice.
	if u, ok := parse(text); ok {
		return u, true
	}
	if once, err := url.QueryUnescape(text); err == nil && once != text {
		return parse(once)
	}
	return nil, false
}

// Guess says what an address leads to by its path alone.
func Guess(u *url.URL) Kind {
	switch strings.ToLower(path.Ext(u.Path)) {
	case ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".gif", ".webp", ".avif", ".heic", ".heif", ".bmp", ".tif", ".tiff", ".svg", ".ico":
		return Picture
	case ".htm", ".html", ".xhtml", ".shtml", ".php", ".asp", ".aspx", ".jsp":
		return Page
	}
	if u.Path == "" || u.Path == "/" {
		if u.RawQuery == "" {
			return Page
		}
		return Unknown
	}
	for _, p := range pages {
		if p.matches(u) {
			return Page
		}
	}
	return Unknown
}
