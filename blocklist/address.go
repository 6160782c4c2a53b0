package blocklist

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/dchest/siphash"

	"github.com/staydown/staydown/internal/urlkey"
)

// AddressRules is the version of the rules by which addresses are made
// canonical. It is stored with every list.
const AddressRules = urlkey.Version

// AddressKind says what lies at an address. A digest is of one kind, so that
// the address of a page never matches the address of a picture.
type AddressKind uint8

const (
	// ImageAddress is the address of a picture itself.
	ImageAddress AddressKind = 1
	// PageAddress is the address of a page that shows a picture.
	PageAddress AddressKind = 2
)

// String returns "image", "page" or "AddressKind(n)".
func (k AddressKind) String() string {
	switch k {
	case ImageAddress:
		return "image"
	case PageAddress:
		return "page"
	}
	return fmt.Sprintf("AddressKind(%d)", uint8(k))
}

// AddressReason says why a text is no web address.
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

// AddressError says why a text is no web address. It holds nothing of the text.
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

// Digest is the key under which a list holds an address or a file: 128 bits of
// SipHash-2-4 under keys that are random for each list. Digests of different
// lists cannot be compared. The zero Digest is no special value.
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
	keyKinds  = 5
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
	if kind != ImageAddress && kind != PageAddress {
		return Digest{}, fmt.Errorf("blocklist: %v is no kind of address; accepted are ImageAddress and PageAddress", kind)
	}
	rest, ok := urlkey.Check(raw)
	if !ok {
		s, err := urlkey.Canonical(raw)
		if err != nil {
			return Digest{}, addressError(err)
		}
		rest = s[len("https://"):]
	}
	return k.address(kind, rest), nil
}
