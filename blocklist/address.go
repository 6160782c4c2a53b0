package blocklist

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"github.com/dchest/siphash"

	"github.com/staydown/staydown/internal/urlkey"
)

// AddressRules is the version of the rules by which addresses are made
// canonical. It is stored with every list.
const AddressRules = urlkey.Version

// AddressKind is the type of the resource at an address. A digest is of one kind,
// so the address of a page never matches the address of a picture.
type AddressKind uint8

const (
	// ImageAddress is the address of a picture itself.
	ImageAddress AddressKind = 1
	// PageAddress is the address of a page that shows a picture.
	PageAddress AddressKind = 2
	// HostAddress is a host, which stands for all addresses on it, and on hosts
	// below it: see State.Digest.
	HostAddress AddressKind = 3
	// PrefixAddress is the beginning of an address, which stands for all addresses
	// on the same host whose path begins with the same segments.
	PrefixAddress AddressKind = 4
)

// String returns "image", "page", "host", "prefix" or "AddressKind(n)".
func (k AddressKind) String() string {
	if names := [...]string{"", "image", "page", "host", "prefix"}; k > 0 && int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("AddressKind(%d)", uint8(k))
}

// AddressReason is the reason why a text is not a web address.
type AddressReason = urlkey.Reason

// The reasons of an AddressError.
const (
	AddressEmpty   = urlkey.Empty   // nothing but white space
	AddressTooLong = urlkey.TooLong // more than 8,192 bytes, as given or in canonical form
	AddressScheme  = urlkey.Scheme  // data:, ftp:, mailto: and other schemes that are not http or https
	AddressNoHost  = urlkey.NoHost  // no scheme, and nothing that looks like a host
	AddressEmail   = urlkey.Email   // an email address
	AddressSyntax  = urlkey.Syntax  // refused by the WHATWG URL standard
)

// AddressError reports why a text is not a web address. It has nothing of the
// text.
type AddressError struct {
	Reason AddressReason
	Len    int // of the text, in bytes
}

func (e *AddressError) Error() string {
	return "blocklist: address: " + (&urlkey.Error{Reason: e.Reason, Len: e.Len}).Error()
}

// Canonical returns the canonical form of a web address, which begins with
// "https://" for http addresses too: docs/format/addresses.md has the rules.
// It is idempotent, and returns a canonical address as it is, without
// allocation. An address without a scheme, as people paste it, is taken for
// https. The errors are of type *AddressError.
func Canonical(raw string) (string, error) {
	s, err := urlkey.Canonical(raw)
	if err != nil {
		return "", addressError(err)
	}
	return s, nil
}

func addressError(err error) error {
	var e *urlkey.Error
	if errors.As(err, &e) {
		return &AddressError{e.Reason, e.Len}
	}
	return fmt.Errorf("blocklist: address: %w", err)
}

// Digest is the key under which a list holds an address or a file. It is 128 bits
// of SipHash-2-4 under keys that are random for each list. Digests of different
// lists cannot be compared. The zero Digest is an ordinary value.
type Digest [16]byte

// digestKeys are the SipHash keys of a list, one for each kind of key, so that the
// kinds never meet.
type digestKeys [keyKinds]struct{ k0, k1 uint64 }

// Kinds of keys, by which digests are keyed. The first are those of addresses
// less one.
const (
	keySHA256 = 2
	keySHA1   = 3
	keyMD5    = 4
	keyHost   = 5
	keyPrefix = 6
	keyKinds  = 7
)

func newDigestKeys(secret [32]byte) *digestKeys {
	var k digestKeys
	a, b := le.Uint64(secret[0:]), le.Uint64(secret[8:])
	for i := range k {
		// The second half of the secret is hashed with the kind: SipHash is a
		// pseudo-random function, so the keys say nothing about each other.
		in := append([]byte{byte(i + 1)}, secret[16:]...)
		k[i].k0, k[i].k1 = siphash.Hash128(a, b, in)
	}
	return &k
}

// address digests a canonical address without its scheme.
func (k *digestKeys) address(kind AddressKind, rest string) Digest {
	// []byte(rest) would be a copy on the heap; the hash only reads.
	return k.sum(int(kind-1), unsafe.Slice(unsafe.StringData(rest), len(rest)))
}

func (k *digestKeys) sum(which int, p []byte) (d Digest) {
	lo, hi := siphash.Hash128(k[which].k0, k[which].k1, p)
	le.PutUint64(d[0:], lo)
	le.PutUint64(d[8:], hi)
	return d
}

// digest makes the digest of any spelling of an address.
func (k *digestKeys) digest(kind AddressKind, raw string) (Digest, error) {
	if kind < ImageAddress || kind > PrefixAddress {
		return Digest{}, fmt.Errorf("blocklist: %v is no kind of address", kind)
	}
	rest, err := canonicalRest(raw)
	if err != nil {
		return Digest{}, err
	}
	switch kind {
	case HostAddress:
		host, err := hostOf(rest, len(raw))
		return k.text(keyHost, host), err
	case PrefixAddress:
		prefix, err := prefixOf(rest, len(raw))
		return k.text(keyPrefix, prefix), err
	}
	return k.address(kind, rest), nil
}

// canonicalRest returns a canonical address without its scheme.
func canonicalRest(raw string) (string, error) {
	rest, ok := urlkey.Check(raw)
	if ok {
		return rest, nil
	}
	s, err := urlkey.Canonical(raw)
	if err != nil {
		return "", addressError(err)
	}
	return s[len("https://"):], nil
}

// text digests what is neither an address nor a file.
func (k *digestKeys) text(which int, s string) Digest {
	return k.sum(which, unsafe.Slice(unsafe.StringData(s), len(s)))
}

// Limits of what hosts and prefixes are looked for: so many digests an unknown
// address costs, in lists that have such rules.
const (
	maxHostLabels     = 10
	maxPrefixSegments = 16
)

// ErrShared is returned for a host or prefix that many unrelated people share. It
// is a public suffix, for example co.uk, or a whole host given as a prefix.
var ErrShared = errors.New("is shared by many")

// hostOf returns the host of a canonical address that consists of nothing else. size
// is that of the text it was.
func hostOf(rest string, size int) (string, error) {
	host, port := splitHost(rest)
	switch {
	case port != "" || strings.TrimPrefix(rest, host) != "/":
		return "", fmt.Errorf("blocklist: a host with a port or a path: %w", &AddressError{AddressSyntax, size})
	case strings.Count(host, ".") >= maxHostLabels:
		return "", fmt.Errorf("blocklist: a host of more than %d labels: %w", maxHostLabels, &AddressError{AddressTooLong, size})
	case sharedSuffix(host):
		return "", fmt.Errorf("blocklist: host: %w", ErrShared)
	}
	return host, nil
}

// splitHost returns host and port of a canonical address.
func splitHost(rest string) (host, port string) {
	end := strings.IndexByte(rest, '/')
	if end < 0 {
		end = len(rest)
	}
	host = rest[:end]
	if colon := strings.LastIndexByte(host, ':'); colon > strings.LastIndexByte(host, ']') {
		return host[:colon], host[colon+1:]
	}
	return host, ""
}

// secondLevel are names below which countries register others.
const secondLevel = " ac asn biz co com conf ed edu firm gen go gob gouv gov govt id idf in ind info int k12 lg ltd mil muni name ne net nhs nom or org plc police press pro pub sch school sci web "

// sharedSuffix reports whether a host is a public suffix by a small rule: one label
// alone, or a usual second level below a country. Options.PublicSuffix knows more.
func sharedSuffix(host string) bool {
	if strings.HasPrefix(host, "[") {
		return false
	}
	dot := strings.LastIndexByte(host, '.')
	if dot < 0 {
		return true
	}
	name, top := host[:dot], host[dot+1:]
	return len(top) == 2 && !strings.Contains(name, ".") && strings.Contains(secondLevel, " "+name+" ")
}

// prefixOf returns the beginning of a canonical address without query, and without a
// slash at its end.
func prefixOf(rest string, size int) (string, error) {
	if i := strings.IndexByte(rest, '?'); i >= 0 {
		return "", fmt.Errorf("blocklist: a prefix with a query: %w", &AddressError{AddressSyntax, size})
	}
	prefix := strings.TrimSuffix(rest, "/")
	switch n := strings.Count(prefix, "/"); {
	case n == 0:
		return "", fmt.Errorf("blocklist: prefix without a path, which is a host: %w", ErrShared)
	case n > maxPrefixSegments:
		return "", fmt.Errorf("blocklist: a prefix of more than %d segments: %w", maxPrefixSegments, &AddressError{AddressTooLong, size})
	}
	return prefix, nil
}

// eachHost calls yield for the host of a canonical address and those above it, as
// far as a rule can have them, until it returns false.
func eachHost(rest string, yield func(string) bool) bool {
	host, _ := splitHost(rest)
	if strings.HasPrefix(host, "[") {
		return yield(host)
	}
	at := len(host)
	for range maxHostLabels {
		at = strings.LastIndexByte(host[:at], '.')
		if !yield(host[at+1:]) {
			return false
		}
		if at < 0 {
			break
		}
	}
	return true
}

// eachPrefix calls yield for the beginnings of a canonical address at which a prefix
// can end.
func eachPrefix(rest string, yield func(string) bool) bool {
	if i := strings.IndexByte(rest, '?'); i >= 0 {
		rest = rest[:i]
	}
	at := strings.IndexByte(rest, '/')
	if at < 0 {
		return true
	}
	for range maxPrefixSegments {
		next := strings.IndexByte(rest[at+1:], '/')
		if next < 0 {
			return at+1 == len(rest) || yield(rest)
		}
		at += 1 + next
		if !yield(rest[:at]) {
			return false
		}
	}
	return true
}
