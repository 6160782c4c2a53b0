// Package urlkey brings web addresses into one canonical form, so that two
// spellings of one address give one key and two different pictures never do.
//
// The form is that of the WHATWG URL standard with a few conservative rules on
// top; docs/format/addresses.md lists them. Check recognises an address that is
// canonical already in one pass and without allocation, which is what most
// addresses of a crawl are; Canonical rewrites the others with the parser of
// github.com/nlnwa/whatwg-url, which costs some 10 µs.
package urlkey

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	whatwg "github.com/nlnwa/whatwg-url/url"
)

// Version is the version of the rules. Keys made under different versions
// cannot be compared: whoever stores keys stores this number with them. It is
// raised with every change after which some address gets another form, also
// one that comes from a newer parser or newer Unicode tables.
const Version = 2

// MaxLen is the longest address in bytes, as it is given and in its canonical
// form. Longer ones are no addresses: browsers and servers refuse them too.
const MaxLen = 8192

// Reason says why a text is no web address.
type Reason uint8

// The reasons. Their numbers are stable.
const (
	Empty   Reason = iota + 1 // nothing but white space
	TooLong                   // more than MaxLen bytes
	Scheme                    // a scheme other than http and https: data:, ftp:, mailto:, …
	NoHost                    // no scheme, and nothing that looks like a host
	Email                     // an email address
	Syntax                    // a host, port or address that the WHATWG parser refuses
)

func (r Reason) String() string {
	switch r {
	case Empty:
		return "empty"
	case TooLong:
		return "too long"
	case Scheme:
		return "scheme is not http or https"
	case NoHost:
		return "no host"
	case Email:
		return "an email address"
	case Syntax:
		return "not a valid web address"
	}
	return fmt.Sprintf("Reason(%d)", uint8(r))
}

// Error says why a text is no web address. It holds nothing of the text
// itself, because errors end up in logs and addresses must not.
type Error struct {
	Reason Reason
	Len    int // of the text, in bytes
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s (%d bytes); accepted are http and https addresses of at most %d bytes", e.Reason, e.Len, MaxLen)
}

var lineEnds = strings.NewReplacer("\t", "", "\n", "", "\r", "")

var parser = whatwg.NewParser(whatwg.WithPercentEncodeSinglePercentSign())

// Canonical returns the canonical form of an address, always beginning with
// "https://". It is idempotent. The errors are of type *Error. For an address
// that is canonical already it returns its argument and does not allocate.
func Canonical(raw string) (string, error) {
	if _, ok := Check(raw); ok && strings.HasPrefix(raw, httpsPrefix) {
		return raw, nil
	}
	s := strings.TrimFunc(raw, func(r rune) bool { return r <= ' ' })
	// The standard drops these wherever they are.
	s = lineEnds.Replace(s)
	if s == "" {
		return "", &Error{Empty, len(raw)}
	}
	if len(s) > MaxLen {
		return "", &Error{TooLong, len(raw)}
	}
	s = escapeInvalidUTF8(s)
	s, reason := withScheme(s)
	if reason != 0 {
		return "", &Error{reason, len(raw)}
	}
	u, host, ok := parse(s)
	if !ok {
		return "", &Error{Syntax, len(raw)}
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	b.WriteString(httpsPrefix)
	b.WriteString(host)
	// http and https are one, and so are their default ports.
	if p := u.Port(); p != "" && p != "80" && p != "443" {
		b.WriteByte(':')
		b.WriteString(p)
	}
	writeEscaped(&b, u.Pathname(), inPath)
	writeQuery(&b, u.Query())
	if b.Len() > MaxLen {
		return "", &Error{TooLong, len(raw)}
	}
	return b.String(), nil
}

// escapeInvalidUTF8 percent-encodes the bytes that are no UTF-8. The parser
// would replace each by U+FFFD and so merge addresses that differ.
func escapeInvalidUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			writeEscape(&b, s[i])
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// withScheme gives an address that was pasted without its scheme one, and
// refuses what has another scheme or is no address at all.
func withScheme(s string) (string, Reason) {
	head, rest := s, ""
	if i := strings.IndexAny(s, "/\\?#"); i >= 0 {
		head, rest = s[:i], s[i:]
	}
	name, after, colon := strings.Cut(head, ":")
	if colon && isScheme(name) {
		if strings.EqualFold(name, "http") || strings.EqualFold(name, "https") {
			return s, 0
		}
		// example.com:8080/a is a host and a port.
		if !isHostPort(name, after) {
			return "", Scheme
		}
		return httpsPrefix + s, 0
	}
	if head == "" && (strings.HasPrefix(rest, "//") || strings.HasPrefix(rest, `\\`)) {
		return "https:" + s, 0
	}
	if strings.Contains(head, "@") {
		return "", Email
	}
	// A host that was pasted without a scheme is known by its dot, which may be
	// the full stop of another script.
	if i := strings.IndexAny(head, dots); i <= 0 || i == len(head)-1 || strings.ContainsAny(head, " <>\"'(),;") || isFileName(head) {
		return "", NoHost
	}
	return httpsPrefix + s, 0
}

func isScheme(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if 'a' <= c && c <= 'z' || i > 0 && ('0' <= s[i] && s[i] <= '9' || s[i] == '+' || s[i] == '-' || s[i] == '.') {
			continue
		}
		return false
	}
	return s != ""
}

func isHostPort(host, port string) bool {
	if port == "" || len(port) > 5 || !strings.Contains(host, ".") && !strings.EqualFold(host, "localhost") {
		return false
	}
	for i := range len(port) {
		if port[i] < '0' || port[i] > '9' {
			return false
		}
	}
	return true
}

// writeQuery writes "?" and the query without its tracking parameters, or
// nothing when nothing is left. The order of the others stays.
func writeQuery(b *strings.Builder, query string) {
	var q strings.Builder
	q.Grow(len(query) + 16)
	writeEscaped(&q, query, inQuery)
	kept := strings.Split(q.String(), "&")
	kept = slices.DeleteFunc(kept, isTracking)
	if rest := strings.Join(kept, "&"); rest != "" {
		b.WriteByte('?')
		b.WriteString(rest)
	}
}

// writeEscaped writes s, a path or a query, with its percent-encoding
// normalised. Letters, digits and -._~ stand for themselves, and in a path also
// the characters of sameInPath. Bytes that the component does not allow are
// escaped. Other escapes stay, in upper case. A percent sign that begins no
// escape becomes %25.
func writeEscaped(b *strings.Builder, s string, allowed uint8) {
	decoded := unreserved
	if allowed == inPath {
		decoded |= sameInPath
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '%' && i+2 < len(s) && unhex[s[i+1]] < 16 && unhex[s[i+2]] < 16:
			v := unhex[s[i+1]]<<4 | unhex[s[i+2]]
			if class[v]&decoded != 0 {
				b.WriteByte(v)
			} else {
				writeEscape(b, v)
			}
			i += 2
		case class[c]&allowed != 0:
			b.WriteByte(c)
		default:
			writeEscape(b, c)
		}
	}
}

func writeEscape(b *strings.Builder, c byte) {
	const digits = "0123456789ABCDEF"
	b.WriteByte('%')
	b.WriteByte(digits[c>>4])
	b.WriteByte(digits[c&15])
}

// isTracking reports whether a parameter, with or without "=value", is one of
// those that follow a visitor from page to page and never choose what an
// address shows. Names are compared exactly.
func isTracking(param string) bool {
	if param == "" || class[param[0]]&trackingFirst == 0 {
		return false
	}
	if strings.HasPrefix(param, "utm_") {
		return true
	}
	if i := strings.IndexByte(param, '='); i >= 0 {
		param = param[:i]
	}
	switch param {
	case "_ga", "_gl", "_gac", "gclid", "gclsrc", "dclid", "gbraid", "wbraid", "srsltid", // Google
		"fbclid", "igsh", "igshid", // Meta
		"msclkid",                  // Microsoft
		"twclid", "ttclid", "epik", // X, TikTok, Pinterest
		"li_fat_id", "ScCid", // LinkedIn, Snap
		"yclid", "ysclid", // Yandex
		"mc_cid", "mc_eid", // Mailchimp
		"_hsenc", "_hsmi", "__hstc", "__hssc", "__hsfp", // HubSpot
		"mkt_tok", "vero_id", "oly_anon_id", "oly_enc_id": // Marketo, Vero, Omeda
		return true
	}
	return false
}
