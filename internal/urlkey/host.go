package urlkey

import (
	"slices"
	"strings"

	whatwg "github.com/nlnwa/whatwg-url/url"
)

// dots separate the labels of a host: the full stop, and the three characters
// that IDNA maps to it.
const dots = ".。．｡"

// parse parses an address and returns it with its canonical host. It reports
// false for what the standard refuses, and for hosts without a canonical form:
// those with an empty label, and those that the parser would change again.
//
// The parser misreads labels that the standard, browsers and fetchers accept.
// It judges a stand-in in their place, and the label goes back into the result.
func parse(s string) (*whatwg.Url, string, bool) {
	s, labels := withStandIns(s)
	u, err := parser.Parse(s)
	if err != nil {
		return nil, "", false
	}
	host := strings.TrimSuffix(u.Hostname(), ".")
	parts := strings.Split(host, ".")
	// The parser makes an empty label of an empty ACE label ("xn--").
	if slices.Contains(parts, "") || !stable(host) {
		return nil, "", false
	}
	for i, label := range labels {
		if label != "" {
			parts[i] = label
		}
	}
	return u, strings.Join(parts, "."), true
}

// stable reports whether the parser leaves a host alone that it has made.
func stable(host string) bool {
	if !strings.Contains(host, "xn--") {
		return true
	}
	u, err := parser.Parse(httpsPrefix + host + "/")
	return err == nil && u.Hostname() == host
}

// standIn is a label that every rule for hosts accepts.
const standIn = "a"

// withStandIns replaces the labels in the host of an address that the parser
// misreads by stand-ins. It returns the labels of the whole host, lower-cased
// where they were replaced and empty where they were not, or nil if no label
// was replaced.
//
//   - A label with an underscore, beside one that is not ASCII or is an ACE
//     label: the parser then refuses the host.
//   - A last label of "0x" and a sign: the parser takes it for a number, and
//     the host for an IPv4 address.
func withStandIns(s string) (string, []string) {
	start, end := hostOf(s)
	host := s[start:end]
	if !strings.ContainsAny(host, "_+-") {
		return s, nil
	}
	labels := strings.FieldsFunc(host, func(r rune) bool { return strings.ContainsRune(dots, r) })
	international := slices.ContainsFunc(labels, func(l string) bool {
		return isACE(strings.ToLower(l)) || strings.ContainsFunc(l, func(r rune) bool { return r >= 0x80 })
	})
	var b strings.Builder
	replaced := false
	rest := host
	for i, l := range labels {
		at := strings.Index(rest, l)
		if at > 0 && (i == 0 || len([]rune(rest[:at])) > 1) {
			return s, nil // an empty label: the parser's answer is right
		}
		b.WriteString(rest[:at])
		rest = rest[at+len(l):]
		lower := strings.ToLower(l)
		last := i == len(labels)-1
		if isPlainLabel(l) && (international && strings.Contains(l, "_") && !isACE(lower) || last && isSignedHex(lower)) {
			labels[i], replaced = lower, true
			b.WriteString(standIn)
			continue
		}
		labels[i] = ""
		b.WriteString(l)
	}
	if !replaced {
		return s, nil
	}
	return s[:start] + b.String() + rest + s[end:], labels
}

// hostOf returns where the host of an address begins and ends. The address
// begins with the scheme http or https.
func hostOf(s string) (start, end int) {
	start = strings.IndexByte(s, ':') + 1
	for start < len(s) && (s[start] == '/' || s[start] == '\\') {
		start++
	}
	end = len(s)
	if i := strings.IndexAny(s[start:], `/\?#`); i >= 0 {
		end = start + i
	}
	if i := strings.LastIndexByte(s[start:end], '@'); i >= 0 {
		start += i + 1
	}
	if i := strings.IndexByte(s[start:end], ':'); i >= 0 {
		end = start + i
	}
	return start, end
}

// isPlainLabel reports whether a label is of ASCII letters, digits, - _ and +.
func isPlainLabel(s string) bool {
	for i := range len(s) {
		if class[s[i]]&unreserved == 0 && s[i] != '+' || s[i] == '~' {
			return false
		}
	}
	return s != ""
}

func isSignedHex(s string) bool {
	return len(s) > 2 && s[:2] == "0x" && (s[2] == '+' || s[2] == '-')
}

// isFileName reports whether a text without a scheme that could be a host is
// the name of a file. No top-level domain has one of these names.
func isFileName(s string) bool {
	switch strings.ToLower(s[strings.LastIndexByte(s, '.')+1:]) {
	case "jpg", "jpeg", "jpe", "jfif", "png", "apng", "gif", "webp", "avif", "heic", "heif", "bmp", "tif", "tiff", "svg",
		"htm", "html", "php", "asp", "aspx", "jsp":
		return true
	}
	return false
}
