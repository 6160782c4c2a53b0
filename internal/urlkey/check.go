package urlkey

const (
	httpPrefix  = "http://"
	httpsPrefix = "https://"
)

// Classes of bytes.
const (
	unreserved    uint8 = 1 << iota // RFC 3986: letters, digits, - . _ ~
	inPath                          // stands for itself in a path
	inQuery                         // stands for itself in a query
	inHost                          // lower-case letter, digit, - or _
	plainPath                       // inPath without the slash, behind which a dot segment may come
	plainQuery                      // inQuery without the ampersand, behind which a parameter begins
	trackingFirst                   // first byte of the name of some tracking parameter
	sameInPath                      // stands for itself in a path, where its escape means the same
)

var (
	class [256]uint8
	unhex [256]uint8 // value of a hex digit, 0xff for anything else
)

func init() {
	for i := range 256 {
		c := byte(i)
		unhex[c] = 0xff
		switch {
		case '0' <= c && c <= '9':
			unhex[c] = c - '0'
		case 'a' <= c && c <= 'f':
			unhex[c] = c - 'a' + 10
		case 'A' <= c && c <= 'F':
			unhex[c] = c - 'A' + 10
		}
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			class[c] |= unreserved | inPath | inQuery | inHost
		case 'A' <= c && c <= 'Z':
			class[c] |= unreserved | inPath | inQuery
		}
	}
	set := func(chars string, bits uint8) {
		for i := range len(chars) {
			class[chars[i]] |= bits
		}
	}
	set("-._~", unreserved|inPath|inQuery)
	set("-_", inHost)
	// RFC 3986's sub-delims and the rest of pchar. The WHATWG standard escapes
	// the apostrophe in queries.
	set("!$&'()*+,;=:@/", inPath)
	set("!$&()*+,;=:@/?", inQuery)
	set("_defgilmostuvwyS", trackingFirst)
	// No server of note tells these from their escapes in a path, and every
	// encoder writes them in its own way. The other sub-delims (& + ; =) and
	// the slash may separate something and keep their spelling.
	set("!$'()*,:@", sameInPath)
	for i := range class {
		if class[i]&inPath != 0 && i != '/' {
			class[i] |= plainPath
		}
		if class[i]&inQuery != 0 && i != '&' {
			class[i] |= plainQuery
		}
	}
}

// Check reports whether raw is in canonical form, apart from its scheme, which
// may be http too. rest is then what follows the scheme: two spellings with an
// equal rest are one address. It does not allocate.
//
// Some canonical addresses are refused, because only the parser can judge
// them: hosts with a label that begins with xn--, and hosts that are numbers
// (IPv4, IPv6).
func Check(raw string) (rest string, ok bool) {
	if len(raw) > MaxLen || len(raw) < len(httpsPrefix)+2 {
		return "", false
	}
	if raw[:len(httpsPrefix)] == httpsPrefix {
		rest = raw[len(httpsPrefix):]
	} else if raw[:len(httpPrefix)] == httpPrefix {
		rest = raw[len(httpPrefix):]
		// The canonical form is one byte longer and has to fit too.
		if len(raw) == MaxLen {
			return "", false
		}
	} else {
		return "", false
	}
	i := checkHost(rest)
	if i <= 0 {
		return "", false
	}
	// rest[i] is the slash that begins the path.
path:
	for ; i < len(rest); i++ {
		c := rest[i]
		switch {
		case class[c]&plainPath != 0:
		case c == '/':
			if i+1 < len(rest) && rest[i+1] == '.' && isDotSegment(rest[i+1:]) {
				return "", false
			}
		case c == '%':
			if !isCanonicalEscape(rest[i:], unreserved|sameInPath) {
				return "", false
			}
			i += 2
		case c == '?':
			break path
		default:
			return "", false
		}
	}
	if i == len(rest) {
		return rest, true
	}
	i++ // the question mark
	if i == len(rest) || isTracking(rest[i:paramEnd(rest, i)]) {
		return "", false
	}
	for ; i < len(rest); i++ {
		c := rest[i]
		switch {
		case class[c]&plainQuery != 0:
		case c == '&':
			if i+1 < len(rest) && class[rest[i+1]]&trackingFirst != 0 && isTracking(rest[i+1:paramEnd(rest, i+1)]) {
				return "", false
			}
		case c == '%':
			if !isCanonicalEscape(rest[i:], unreserved) {
				return "", false
			}
			i += 2
		default:
			return "", false
		}
	}
	return rest, true
}

// checkHost returns the length of the host and port with which s begins, or 0
// when they are not in canonical form, not followed by a slash, or need the
// parser.
func checkHost(s string) int {
	i, label := 0, 0
	for ; i < len(s); i++ {
		c := s[i]
		if class[c]&inHost != 0 {
			continue
		}
		if i == label {
			return 0 // an empty label
		}
		if c != '.' {
			break
		}
		if isACE(s[label:i]) {
			return 0
		}
		label = i + 1
	}
	if i == len(s) || isACE(s[label:i]) {
		return 0
	}
	// A last label that begins with a digit may be a number, and then the whole
	// host is an IPv4 address.
	if c := s[label]; '0' <= c && c <= '9' {
		return 0
	}
	if s[i] == '/' {
		return i
	}
	if s[i] != ':' {
		return 0
	}
	i++
	port, digits := 0, 0
	for ; i < len(s) && '0' <= s[i] && s[i] <= '9' && digits < 6; i++ {
		port = 10*port + int(s[i]-'0')
		digits++
		if port == 0 {
			return 0 // a leading zero
		}
	}
	if port == 0 || port > 65535 || port == 80 || port == 443 || i == len(s) || s[i] != '/' {
		return 0
	}
	return i
}

func isACE(label string) bool {
	return len(label) >= 4 && label[:4] == "xn--"
}

// isDotSegment reports whether the segment with which s begins is . or .. .
func isDotSegment(s string) bool {
	n := 1 // s begins with a dot
	if len(s) > 1 && s[1] == '.' {
		n = 2
	}
	return len(s) == n || s[n] == '/' || s[n] == '?'
}

// isCanonicalEscape reports whether s begins with an escape in upper case of a
// byte that must stay escaped: one of none of the decoded classes.
func isCanonicalEscape(s string, decoded uint8) bool {
	if len(s) < 3 {
		return false
	}
	h, l := s[1], s[2]
	if unhex[h] > 15 || unhex[l] > 15 || h >= 'a' || l >= 'a' {
		return false
	}
	return class[unhex[h]<<4|unhex[l]]&decoded == 0
}

func paramEnd(s string, i int) int {
	for ; i < len(s) && s[i] != '&'; i++ {
	}
	return i
}
