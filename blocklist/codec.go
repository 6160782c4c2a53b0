package blocklist

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"time"

	"github.com/staydown/staydown/internal/features"
	"github.com/staydown/staydown/phash"
)

// The record of an event, as docs/format/journal.md describes it.
const (
	recordVersion = 1
	recordHeader  = 64 // bytes before the rule
	recordRule    = 40 // bytes of a rule before its territories
)

// Types of key lists in a record.
const (
	keysAddresses = 1 // kind, then the digest
	keysBytes     = 2
	keysHashes    = 3 // algorithm, variant, then the bits, least significant byte first
	keysFeatures  = 4 // length, then the compact set
	keysFaces     = 5 // lengths, limits, model, then the sealed vector
)

var (
	le         = binary.LittleEndian
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// appendRecord appends the record of an event that check accepts.
func appendRecord(b []byte, e *Event) []byte {
	start := len(b)
	b = append(b, recordVersion, byte(e.Type), 0, 0)
	b = le.AppendUint32(b, e.List)
	b = le.AppendUint64(b, e.Seq)
	b = append(b, e.ID[:]...)
	b = appendTime(b, e.Time)
	b = le.AppendUint64(b, e.Target)
	b = appendTime(b, e.Until)
	keys := e.Keys
	if e.Rule != nil {
		keys = e.Rule.Keys
	}
	b = le.AppendUint32(b, uint32(countLists(keys)))
	b = le.AppendUint32(b, 0)
	if e.Rule != nil {
		b = appendRule(b, e.Rule)
	}
	b = appendKeys(b, &keys)
	return le.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// appendRule appends a rule without its keys.
func appendRule(b []byte, r *Rule) []byte {
	b = append(b, byte(r.Width), byte(r.Effect), r.Kind, 0)
	b = le.AppendUint32(b, uint32(len(r.Territories)))
	b = append(b, r.Case[:]...)
	b = appendTime(b, r.Start)
	b = appendTime(b, r.End)
	for _, t := range r.Territories {
		b = append(b, t.a, t.b)
	}
	return b
}

// appendKeys appends a list for each type of key that there is.
func appendKeys(b []byte, keys *Keys) []byte {
	list := func(kind byte, n int) bool {
		if n > 0 {
			b = le.AppendUint32(append(b, kind, 0, 0, 0), uint32(n))
		}
		return n > 0
	}
	if list(keysAddresses, len(keys.Addresses)) {
		for _, a := range keys.Addresses {
			b = append(append(b, byte(a.Kind)), a.Digest[:]...)
		}
	}
	if list(keysBytes, len(keys.Bytes)) {
		for i := range keys.Bytes {
			b = append(b, keys.Bytes[i][:]...)
		}
	}
	if list(keysHashes, len(keys.Hashes)) {
		for _, h := range keys.Hashes {
			b = append(b, byte(h.Hash.Algorithm()), h.Variant)
			b = appendHashBits(b, h.Hash)
		}
	}
	if list(keysFeatures, len(keys.Features)) {
		for _, f := range keys.Features {
			at := len(b)
			b, _ = f.AppendBinary(append(b, 0, 0, 0, 0)) // never fails
			le.PutUint32(b[at:], uint32(len(b)-at-4))
		}
	}
	if list(keysFaces, len(keys.Faces)) {
		for i := range keys.Faces {
			b = appendFace(b, &keys.Faces[i])
		}
	}
	return b
}

func countLists(k Keys) (n int) {
	for _, l := range [...]int{len(k.Addresses), len(k.Bytes), len(k.Hashes), len(k.Features), len(k.Faces)} {
		if l > 0 {
			n++
		}
	}
	return n
}

// appendHashBits appends the words of a hash, least significant byte first:
// 32 bytes, or 8 for a hash of 64 bits.
func appendHashBits(b []byte, h phash.Hash) []byte {
	w := h.Words()
	for i := range h.Algorithm().Bits() / 64 {
		b = le.AppendUint64(b, w[i])
	}
	return b
}

// hashFromBits reads what appendHashBits wrote; b may be longer. It fails for an
// algorithm that this program does not know.
func hashFromBits(alg phash.Algorithm, b []byte) (phash.Hash, error) {
	var w [4]uint64
	for i := range alg.Bits() / 64 {
		w[i] = le.Uint64(b[8*i:])
	}
	return phash.FromWords(alg, w)
}

// appendTime appends a time as seconds since 1970, zero for the zero Time.
func appendTime(b []byte, t time.Time) []byte { return le.AppendUint64(b, uint64(unixOf(t))) }

func unixOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func timeOf(sec int64) time.Time {
	if sec == 0 {
		return time.Time{}
	}
	return time.Unix(sec, 0).UTC()
}

// parseRecord reads what appendRecord wrote. Its errors wrap ErrVersion,
// ErrChecksum, ErrTruncated, ErrLimit or ErrFormat.
func parseRecord(b []byte) (Event, error) {
	var e Event
	if len(b) < recordHeader+4 {
		return e, fmt.Errorf("blocklist: record of %d bytes, at least %d expected: %w", len(b), recordHeader+4, ErrTruncated)
	}
	if len(b) > maxRecord {
		return e, fmt.Errorf("blocklist: record of %d bytes, at most %d expected: %w", len(b), maxRecord, ErrLimit)
	}
	body := b[:len(b)-4]
	if got, want := crc32.Checksum(body, castagnoli), le.Uint32(b[len(body):]); got != want {
		return e, fmt.Errorf("blocklist: record has checksum %08x, not %08x: %w", got, want, ErrChecksum)
	}
	if b[0] != recordVersion {
		return e, fmt.Errorf("blocklist: record of version %d, this program knows %d: %w", b[0], recordVersion, ErrVersion)
	}
	e.Type = EventType(b[1])
	e.List = le.Uint32(b[4:])
	e.Seq = le.Uint64(b[8:])
	copy(e.ID[:], b[16:])
	e.Time = timeOf(int64(le.Uint64(b[32:])))
	e.Target = le.Uint64(b[40:])
	e.Until = timeOf(int64(le.Uint64(b[48:])))
	lists := le.Uint32(b[56:])
	if le.Uint16(b[2:]) != 0 || le.Uint32(b[60:]) != 0 {
		return Event{}, fmt.Errorf("blocklist: record has unknown flags: %w", ErrVersion)
	}
	p, err := body[recordHeader:], error(nil)
	keys := &e.Keys
	if e.Type == EventAdded {
		if e.Rule, p, err = parseRule(p); err != nil {
			return Event{}, err
		}
		keys = &e.Rule.Keys
	}
	if p, err = parseKeys(p, lists, keys); err != nil {
		return Event{}, err
	}
	if len(p) != 0 {
		return Event{}, badRecord("%d bytes are left over", len(p))
	}
	if err := e.check(e.List); err != nil {
		return Event{}, badRecord("%s: %s", err.Field, err.Why)
	}
	return e, nil
}

func badRecord(format string, args ...any) error {
	return fmt.Errorf("blocklist: record: %s: %w", fmt.Sprintf(format, args...), ErrFormat)
}

// parseRule reads what appendRule wrote, and returns what comes after it.
func parseRule(p []byte) (*Rule, []byte, error) {
	if len(p) < recordRule {
		return nil, nil, badRecord("rule is cut")
	}
	if p[3] != 0 {
		return nil, nil, badRecord("padding is not zero")
	}
	r := &Rule{Width: Width(p[0]), Effect: Effect(p[1]), Kind: p[2]}
	n := int(le.Uint32(p[4:]))
	copy(r.Case[:], p[8:])
	r.Start, r.End = timeOf(int64(le.Uint64(p[24:]))), timeOf(int64(le.Uint64(p[32:])))
	p = p[recordRule:]
	if uint64(n) > uint64(len(p)/2) {
		return nil, nil, badRecord("territories are cut")
	}
	for i := range n {
		r.Territories = append(r.Territories, Territory{p[2*i], p[2*i+1]})
	}
	return r, p[2*n:], nil
}

// parseKeys reads the lists that appendKeys wrote, and returns what comes after
// them.
func parseKeys(p []byte, lists uint32, keys *Keys) ([]byte, error) {
	last := byte(0)
	for range lists {
		if len(p) < 8 || p[1] != 0 || p[2] != 0 || p[3] != 0 {
			return nil, badRecord("list of keys is cut")
		}
		kind, n := p[0], le.Uint32(p[4:])
		if kind <= last {
			return nil, badRecord("lists of keys are out of order")
		}
		if n == 0 || n > MaxKeys {
			return nil, badRecord("list of keys has an impossible length")
		}
		last = kind
		var err error
		if p, err = parseList(p[8:], kind, int(n), keys); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// parseList reads n keys of one type, and returns what comes after them.
func parseList(p []byte, kind byte, n int, keys *Keys) ([]byte, error) {
	switch kind {
	case keysAddresses:
		if len(p) < 17*n {
			return nil, badRecord("addresses are cut")
		}
		keys.Addresses = make([]Address, n)
		for i := range keys.Addresses {
			a := &keys.Addresses[i]
			a.Kind = AddressKind(p[0])
			copy(a.Digest[:], p[1:])
			p = p[17:]
		}
	case keysBytes:
		if len(p) < 32*n {
			return nil, badRecord("digests are cut")
		}
		keys.Bytes = make([][32]byte, n)
		for i := range keys.Bytes {
			copy(keys.Bytes[i][:], p)
			p = p[32:]
		}
	case keysHashes:
		if len(p) < 10*n {
			return nil, badRecord("hashes are cut")
		}
		keys.Hashes = make([]HashKey, n)
		for i := range keys.Hashes {
			if len(p) < 2 {
				return nil, badRecord("hashes are cut")
			}
			alg := phash.Algorithm(p[0])
			size := alg.Bits() / 8
			if size == 0 {
				return nil, fmt.Errorf("blocklist: record has a hash of %v: %w", alg, ErrVersion)
			}
			if len(p) < 2+size {
				return nil, badRecord("hashes are cut")
			}
			h, err := hashFromBits(alg, p[2:2+size])
			if err != nil {
				return nil, fmt.Errorf("blocklist: record: %w: %w", err, ErrVersion)
			}
			keys.Hashes[i] = HashKey{h, p[1]}
			p = p[2+size:]
		}
	case keysFeatures:
		if n > MaxFeatures {
			return nil, badRecord("too many feature sets")
		}
		for range n {
			if len(p) < 4 || uint64(le.Uint32(p)) > uint64(len(p)-4) {
				return nil, badRecord("features are cut")
			}
			size := int(le.Uint32(p))
			// A copy: the record may lie in a file that is mapped.
			f, err := features.Open(slices.Clone(p[4 : 4+size]))
			if errors.Is(err, features.ErrVersion) {
				return nil, fmt.Errorf("blocklist: record: %w: %w", err, ErrVersion)
			}
			if err != nil {
				return nil, badRecord("%v", err)
			}
			keys.Features = append(keys.Features, f)
			p = p[4+size:]
		}
	case keysFaces:
		if n > MaxFaces {
			return nil, badRecord("too many faces")
		}
		for range n {
			f, size, err := parseFace(p)
			if err != nil {
				return nil, err
			}
			keys.Faces = append(keys.Faces, f)
			p = p[size:]
		}
	default:
		return nil, fmt.Errorf("blocklist: record has keys of type %d: %w", kind, ErrVersion)
	}
	return p, nil
}

// AppendBinary appends the record of e as journals hold it, so that an event
// can be kept elsewhere before it is appended. It fails, wrapping ErrEvent, for
// an event that Append would not take.
func (e Event) AppendBinary(b []byte) ([]byte, error) {
	if err := e.check(e.List); err != nil {
		return b, err
	}
	return appendRecord(b, &e), nil
}

// MarshalBinary implements encoding.BinaryMarshaler with AppendBinary.
func (e Event) MarshalBinary() ([]byte, error) { return e.AppendBinary(nil) }

// UnmarshalBinary reads what AppendBinary wrote.
func (e *Event) UnmarshalBinary(b []byte) (err error) {
	*e, err = parseRecord(b)
	return err
}
