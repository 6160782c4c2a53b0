package request

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/contact"
	"github.com/staydown/staydown/internal/fields"
	"github.com/staydown/staydown/internal/unwrap"
	"github.com/staydown/staydown/takedown"
)

// URLMapper turns a text that a person copied from the operator's own service into
// the addresses of the source. The text may be the address of a thumbnail, an
// address of the image proxy, or the id of a result. ok is false for a text that
// does not belong to the service; the text is then used unchanged.
//
// It is called while a request is validated, for each text in the place of an
// address. It must not fetch the address.
type URLMapper func(text string) (addresses []string, ok bool)

// use says what becomes of the addresses of a field.
type use uint8

const (
	useExample use = iota // nothing: they are for the reviewer
	useImage              // they are blocked as addresses of pictures
	usePage               // they are blocked as addresses of pages
	useNamed              // they name items of the case that the request is about
)

// addresses checks a list of addresses and, unless they are examples, adds them
// to what is to be blocked. An entry may hold several addresses, pasted one
// after the other. An address that is there twice counts once.
func (c *checker) addresses(field string, entries []string, u use) {
	if !c.limit(field, len(entries), maxAddresses) {
		return
	}
	var canonical []string
	pasted := 0
	for i, entry := range entries {
		// A single address has its field's own path.
		path := field
		if !strings.HasSuffix(field, ".original") {
			path = fields.Index(field, i)
		}
		if len(entry) > maxPasted {
			c.Add(path, CodeTooLong, "max", strconv.Itoa(maxPasted))
			continue
		}
		found := c.sources(entry)
		if pasted += len(found); pasted > maxAddresses {
			c.Add(field, CodeTooMany, "max", strconv.Itoa(maxAddresses))
			return
		}
		if len(found) == 0 {
			c.Add(path, CodeInvalidAddress)
			continue
		}
		for _, text := range found {
			pasted := text
			text, page := inside(text, c.unwrap)
			a, err := blocklist.Canonical(text)
			switch {
			case err != nil, strings.ContainsFunc(pasted, unicode.IsControl):
				c.Add(path, CodeInvalidAddress)
			case c.internal(text, a):
				c.Add(path, CodeInternalAddress)
			}
			if c.Has(path) {
				break
			}
			if slices.Contains(canonical, a) {
				continue
			}
			canonical = append(canonical, a)
			c.address(path, pasted, a, u, page)
		}
	}
}

// address adds one address of a field to what is to be blocked, or named. page
// says how far it looks like that of a page.
func (c *checker) address(path, pasted, canonical string, u use, page doubt) {
	it := Item{Field: path, Kind: ItemImageURL, MaxScope: takedown.ScopeURL}
	if c.Given == nil {
		c.Given = map[string]string{}
	}
	c.Given[canonical] = pasted
	switch u {
	case useExample:
		return
	case useNamed:
		c.Named = append(c.Named, Named{Field: path, Address: canonical})
		return
	case usePage:
		it.Kind = ItemPageURL
	}
	if c.opts.Lookup != nil {
		it.Found = c.opts.Lookup(canonical)
	}
	if u == useImage {
		switch {
		case it.Found == FoundPicture:
		case it.Found == FoundPage, page == isPage:
			it.Kind = ItemPageURL // where it belongs: no picture has this address
		case page == maybePage:
			it.MaybePage = true
			c.Flag(FlagMaybePage)
		}
	}
	c.Items, c.Material = append(c.Items, it), append(c.Material, Material{Address: canonical})
	if it.Kind == ItemImageURL && !c.opts.AddressesOnly {
		c.offer(path, canonical)
	}
}

// doubt is how far an address that was given as that of a picture looks like that
// of a page.
type doubt uint8

const (
	isPicture doubt = iota
	maybePage
	isPage
)

// inside returns the address that a person means by the address that was pasted:
// that of the picture, or of the page, inside a search result, an image proxy or
// an archive. page says whether it is that of a page. Any other address stays.
func inside(text string, rules []unwrap.Rule) (address string, page doubt) {
	r, ok := unwrap.Address(text, rules)
	if !ok || r.Kind == unwrap.Thumbnail || r.Kind == unwrap.Expiring || r.Kind == unwrap.Picture && len(r.Rules) == 0 {
		return text, isPicture
	}
	switch r.Kind {
	case unwrap.Unknown:
		page = maybePage
	case unwrap.Page:
		page = isPage
		if u, err := url.Parse(r.URL); err == nil && u.RawQuery != "" && len(r.Rules) == 0 {
			page = maybePage // image.php?id=7 is a picture on many sites
		}
	}
	if len(r.Rules) == 0 {
		return text, page
	}
	return r.URL, page
}

// internalSuffixes are the endings of host names that no public name has: RFC
// 6761, RFC 6762, RFC 8375 and the reservation of ".internal" by ICANN, and what
// routers of homes and companies use.
var internalSuffixes = []string{
	".localhost", ".local", ".internal", ".intranet", ".lan", ".home", ".corp", ".private", ".home.arpa", ".invalid", ".test", ".onion",
}

// internal reports whether an address names a machine of a private network, or a
// user, by its form.
func (c *checker) internal(text, canonical string) bool {
	if u, err := url.Parse(text); err == nil && u.User != nil {
		return true
	}
	u, err := url.Parse(canonical)
	if err != nil {
		return true
	}
	host := strings.TrimSuffix(u.Hostname(), ".")
	if c.opts.Hosts != nil && c.opts.Hosts(host) {
		return false
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return !ip.IsGlobalUnicast() || ip.IsPrivate()
	}
	return !strings.Contains(host, ".") || slices.ContainsFunc(internalSuffixes, func(s string) bool { return strings.HasSuffix(host, s) })
}

// sources returns the addresses in a text, with those of the operator's service
// replaced by their sources.
func (c *checker) sources(entry string) (addresses []string) {
	if c.opts.Mapper != nil {
		if mapped, ok := c.opts.Mapper(strings.TrimSpace(entry)); ok {
			return mapped
		}
	}
	var rest []string
	for _, text := range splitAddresses(entry) {
		if c.opts.Mapper != nil {
			if mapped, ok := c.opts.Mapper(text); ok {
				addresses = append(addresses, mapped...)
				continue
			}
		}
		rest = append(rest, text)
	}
	if rest = meant(rest); len(addresses) > 0 && !slices.ContainsFunc(rest, likeAddress) {
		return addresses // the rest is a sentence around what was mapped
	}
	return append(addresses, rest...)
}

// splitAddresses takes a pasted text apart: at white space, and where
// "https://" begins in the middle of a word. Where the character before it is
// one that leads to an embedded address (as in web.archive.org/web/https://…
// or ?u=https://…) it stays in one piece, unless a picture file has just ended. What
// stands around an address in a sentence, such as brackets, quotes and a full
// stop, is taken off; so is a word in another script right behind a picture file.
func splitAddresses(text string) (parts []string) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if whole := strings.Join(words, " "); strings.Contains(line, whole) && spaced(words) {
			parts = append(parts, trimSentence(whole))
			continue
		}
		for _, word := range words {
			// Nothing is looked at again for every part: a text of nothing but
			// beginnings would take seconds.
			for scheme := 0; word != ""; {
				if scheme == 0 {
					scheme = nextScheme(word)
				}
				// What is between the two is nothing.
				end, next := pictureEnds(word[:scheme])
				if part := trimSentence(word[:end]); part != "" {
					parts = append(parts, part)
				}
				word, scheme = word[next:], scheme-next
			}
		}
	}
	return parts
}

// nextScheme returns where in a word, behind its first character, the next address
// begins that is not embedded in it; the length of the word if none does.
func nextScheme(word string) int {
	for i := 1; i < len(word); i++ {
		if beginsScheme(word[i:]) && !strings.ContainsRune("/=?&:#%+@!~-_.", rune(word[i-1])) {
			return i
		}
	}
	return len(word)
}

// meant leaves out the words of a sentence, where anything else was meant as an
// address.
func meant(parts []string) []string {
	if !slices.ContainsFunc(parts, likeAddress) {
		return parts
	}
	return slices.DeleteFunc(parts, func(s string) bool { return !likeAddress(s) })
}

// likeAddress reports whether a word was meant as an address, right or wrong.
func likeAddress(s string) bool {
	s = strings.ToLower(s)
	host, _, path := strings.Cut(s, "/")
	return strings.HasPrefix(s, "http") || strings.HasPrefix(s, "www.") || strings.HasPrefix(s, "data:") ||
		strings.Contains(s, ":/") || path && strings.Contains(host, ".")
}

// spaced reports whether the words of a line are one address with blanks in the
// name of its file, as when it was copied from the bar of a browser that shows
// it readable. Words with a tab or several blanks between them are columns.
func spaced(words []string) bool {
	if len(words) < 2 || !beginsScheme(words[0]) || pictureName(words[0]) || !pictureName(trimSentence(words[len(words)-1])) {
		return false
	}
	return !slices.ContainsFunc(words[1:], func(s string) bool { return likeAddress(s) || strings.ContainsAny(s, "<>\"") })
}

// pictureEnds returns where in a word the name of a picture file ends that is the
// last part of an address, because something follows that belongs to no address:
// a letter of another script, a mark of a table or a text, or, behind something
// that separates it, the next address. next is where that begins. Without such an
// end both are the length of the word.
func pictureEnds(word string) (end, next int) {
	path, host := false, 2
	if slash := strings.IndexByte(word, '/'); slash > 0 && word[slash-1] == ':' && strings.HasPrefix(word[slash:], "//") {
		host = slash + 2
	}
	for i, r := range word {
		switch {
		case r == '?' || r == '#':
			return len(word), len(word)
		case !path || !pictureName(word[max(0, i-5):i]):
			path = path || r == '/' && i >= host
		case r == '|', r == '*', r >= utf8.RuneSelf && unicode.IsLetter(r):
			return i, i
		default:
			if rest := strings.TrimLeft(word[i:], "-/_~+.:"); len(rest) < len(word)-i && beginsScheme(rest) {
				return i, len(word) - len(rest)
			}
		}
	}
	return len(word), len(word)
}

// pictureName reports whether a text ends like the name of a picture file.
func pictureName(s string) bool {
	dot := strings.LastIndexByte(s, '.')
	return dot >= 0 && slices.Contains([]string{"jpg", "jpeg", "png", "gif", "webp", "avif", "heic", "bmp", "svg"}, strings.ToLower(s[dot+1:]))
}

func beginsScheme(s string) bool {
	for _, scheme := range []string{"https://", "http://"} {
		if len(s) >= len(scheme) && strings.EqualFold(s[:len(scheme)], scheme) {
			return true
		}
	}
	return false
}

// trimSentence takes the punctuation of a sentence off an address. A closing
// bracket stays when the address has an opening one.
func trimSentence(s string) string {
	s = strings.TrimLeftFunc(s, func(r rune) bool { return contact.IsBlank(r) || strings.ContainsRune(`<([{"'“‘«„,;`, r) })
	// What is taken off below is never an opening bracket.
	round, square, curly := strings.Contains(s, "("), strings.Contains(s, "["), strings.Contains(s, "{")
	for s != "" {
		last, size := utf8.DecodeLastRuneInString(s)
		switch {
		case last == ')' && round, last == ']' && square, last == '}' && curly:
			return s
		case contact.IsBlank(last) || strings.ContainsRune(`.,;:!>)]}"'”’»“…。，、`, last) && last != utf8.RuneError:
			s = s[:len(s)-size]
		default:
			return s
		}
	}
	return s
}
