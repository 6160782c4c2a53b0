// Package contact reads email addresses and telephone numbers as people write them.
package contact

import (
	"regexp"
	"strings"
	"unicode"

	"github.com/staydown/staydown/blocklist"
)

// Email takes off what people paste around an email address: blanks,
// invisible characters, "mailto:", angle brackets and a name, the end of a sentence.
func Email(s string) string {
	s = strings.TrimFunc(s, IsBlank)
	if len(s) > 7 && strings.EqualFold(s[:7], "mailto:") {
		s = s[7:]
	}
	end := func(s string) string { return strings.TrimFunc(strings.TrimRight(s, ".,;"), IsBlank) }
	s = end(s)
	if at := strings.LastIndexByte(s, '<'); at >= 0 && strings.HasSuffix(s, ">") { // a name before it, too
		s = end(s[at+1 : len(s)-1])
	}
	return s
}

// IsBlank reports whether a character is a space of any kind, or an invisible
// one such as a mark of direction that came along when something was copied.
func IsBlank(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) }

// Phone returns s in E.164 form: a plus sign and 7 to 15 digits, without
// the spaces, dots, dashes, slashes and brackets that people write. "00" as the
// international prefix is taken for "+". Digits of other scripts count. A number
// as it is dialled inside a country has the code of the country in front instead,
// and an extension stands behind.
func Phone(s, country string) (string, bool) {
	s = strings.TrimFunc(s, IsBlank)
	if len(s) > 4 && strings.EqualFold(s[:4], "tel:") {
		s = s[4:]
	}
	extension := ""
	if m := phoneExtension.FindStringSubmatchIndex(s); m != nil {
		s, extension = s[:m[0]], ";ext="+s[m[2]:m[3]]
	}
	// "+44 (0)20 …": the digit in brackets is dialled inside the country only.
	if inside := strings.Replace(s, "(0)", "", 1); strings.HasPrefix(inside, "+") || strings.HasPrefix(inside, "\uff0b") || strings.HasPrefix(inside, "00") {
		s = inside
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case (r == '+' || r == '\uff0b') && b.Len() == 0:
			b.WriteByte('+')
		case unicode.IsDigit(r):
			b.WriteByte('0' + digitValue(r))
		case IsBlank(r), unicode.Is(unicode.Pd, r), strings.ContainsRune("./()\u2212", r):
		default:
			return "", false
		}
	}
	n := b.String()
	if rest, ok := strings.CutPrefix(n, "00"); ok {
		n = "+" + rest
	}
	if _, err := blocklist.ParseTerritory(country); err == nil && len(n) >= 6 && len(n) <= 15 && n[0] != '+' {
		return strings.ToUpper(country) + n + extension, true
	}
	if len(n) < 8 || len(n) > 16 || n[0] != '+' || n[1] == '0' {
		return "", false
	}
	return n + extension, true
}

var phoneExtension = regexp.MustCompile(`(?i)[\s,;]*(?:ext(?:ension)?[.:=]?|x|#)\s*([0-9]{1,6})$`)

// digitValue returns the value of a decimal digit of any script: Unicode lays
// each script's ten digits out in a row, and those of mathematics one row behind
// the other.
func digitValue(r rune) byte {
	v := byte(0)
	for unicode.IsDigit(r - 1) {
		r--
		v++
	}
	return v % 10
}
