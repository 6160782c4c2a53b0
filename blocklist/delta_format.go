package blocklist

import (
	"bytes"
	"compress/flate"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/staydown/staydown/internal/features"
)

// A delta, as docs/format/delta.md describes it: header, changes, signature and
// checksum. The changes are compressed, and then encrypted if the list is.
const (
	deltaMagic     = "\x89SDDELT\n"
	deltaVersion   = 1
	deltaEncrypted = 1 // flag
	deltaHeadSize  = 176
	deltaLeast     = deltaHeadSize + signatureSize + 4

	deltaContext = "staydown delta 1\n"

	// MaxDelta is the largest delta in bytes, and its largest content.
	MaxDelta    = 64 << 20
	deltaTarget = 8 << 20 // at which a delta ends early

	effectless = 0 // length of a change that has no effect any more
)

type deltaHeader struct {
	flags    uint16
	plain    uint32 // length of the changes before compression
	list     [16]byte
	tenant   uint32
	from, to Position
	written  int64
	salt     [saltSize]byte
	check    [checkSize]byte
}

func (h *deltaHeader) appendTo(b []byte) []byte {
	b = append(b, deltaMagic...)
	b = le.AppendUint16(b, deltaVersion)
	b = le.AppendUint16(b, h.flags)
	b = le.AppendUint32(b, h.plain)
	b = append(b, h.list[:]...)
	b = le.AppendUint32(b, h.tenant)
	b = le.AppendUint32(b, h.from.Epoch)
	b = le.AppendUint64(b, h.from.Seq)
	b = le.AppendUint64(b, h.to.Seq)
	b = append(b, h.from.Digest[:]...)
	b = append(b, h.to.Digest[:]...)
	b = le.AppendUint64(b, uint64(h.written))
	b = append(b, h.salt[:]...)
	return append(b, h.check[:]...)
}

// openDelta reads the header of a delta, and returns it with what follows it.
// With trusted keys the delta must be signed by one of them.
func openDelta(b []byte, trusted []ed25519.PublicKey) (h deltaHeader, body []byte, err error) {
	if err := checkDelta(b); err != nil {
		return h, nil, fmt.Errorf("blocklist: delta: %w", err)
	}
	h.parse(b)
	signed, signature := b[:len(b)-4-signatureSize], b[len(b)-4-signatureSize:len(b)-4]
	if len(trusted) > 0 {
		message := append([]byte(deltaContext), signed...)
		if err := verify(trusted, signature, message); err != nil {
			return deltaHeader{}, nil, err
		}
	}
	if err := h.valid(); err != nil {
		return deltaHeader{}, nil, fmt.Errorf("blocklist: delta: %w", err)
	}
	return h, signed, nil
}

// checkDelta looks at what is known of every delta, whatever its content.
func checkDelta(b []byte) error {
	if !bytes.HasPrefix(b, []byte(deltaMagic)) {
		return fmt.Errorf("the file does not begin as one: %w", ErrFormat)
	}
	if len(b) < deltaLeast {
		return fmt.Errorf("%d bytes, at least %d are expected: %w", len(b), deltaLeast, ErrTruncated)
	}
	if v := le.Uint16(b[8:]); v != deltaVersion {
		return fmt.Errorf("version %d, this program knows %d: %w", v, deltaVersion, ErrVersion)
	}
	if len(b) > MaxDelta {
		return fmt.Errorf("%d bytes, at most %d are accepted: %w", len(b), MaxDelta, ErrLimit)
	}
	if got, want := crc32.Checksum(b[:len(b)-4], castagnoli), le.Uint32(b[len(b)-4:]); got != want {
		return fmt.Errorf("checksum %08x, not %08x: %w", got, want, ErrChecksum)
	}
	if flags := le.Uint16(b[10:]); flags&^deltaEncrypted != 0 {
		return fmt.Errorf("flags %04x: %w", flags, ErrVersion)
	}
	return nil
}

func (h *deltaHeader) parse(b []byte) {
	h.flags, h.plain = le.Uint16(b[10:]), le.Uint32(b[12:])
	h.list, h.tenant = [16]byte(b[16:]), le.Uint32(b[32:])
	epoch := le.Uint32(b[36:])
	h.from = Position{epoch, le.Uint64(b[40:]), [32]byte(b[56:])}
	h.to = Position{epoch, le.Uint64(b[48:]), [32]byte(b[88:])}
	h.written = int64(le.Uint64(b[120:]))
	h.salt, h.check = [saltSize]byte(b[128:]), [checkSize]byte(b[160:])
}

// valid returns an error if a header contradicts itself.
func (h *deltaHeader) valid() error {
	n := h.to.Seq - h.from.Seq
	switch {
	case h.plain > MaxDelta:
		return fmt.Errorf("%d bytes of changes, at most %d are accepted: %w", h.plain, MaxDelta, ErrLimit)
	case h.to.Seq < h.from.Seq || n > uint64(h.plain)/9 || n == 0 && (h.plain != 0 || h.from.Digest != h.to.Digest):
		return fmt.Errorf("events %d to %d in %d bytes: %w", h.from.Seq, h.to.Seq, h.plain, ErrFormat)
	case h.flags&deltaEncrypted == 0 && (h.salt != [saltSize]byte{} || h.check != [checkSize]byte{}):
		return fmt.Errorf("a salt, though it is not encrypted: %w", ErrFormat)
	}
	return nil
}

// changes returns the events of a delta, of which body is all but the signature.
// The digest of each has its first 8 bytes only, except for the last.
func (h *deltaHeader) changes(body []byte, key *EncryptionKey) ([]committed, error) {
	plain, err := h.open(body, key)
	if err != nil {
		return nil, err
	}
	n := int(h.to.Seq - h.from.Seq)
	tags, rest := plain[:8*n], plain[8*n:]
	events := make([]committed, n)
	for i := range events {
		e := &events[i]
		e.Seq = h.from.Seq + uint64(i) + 1
		copy(e.digest[:], tags[8*i:8*i+8])
		var size uint64
		if size, rest, err = uvarint(rest); err != nil || size > uint64(len(rest)) {
			return nil, badDelta(e.Seq, badRecord("%d bytes in %d", size, len(rest)))
		}
		if err := e.parseChange(rest[:size:size]); err != nil {
			return nil, badDelta(e.Seq, err)
		}
		rest = rest[size:]
	}
	if len(rest) > 0 {
		return nil, badDelta(h.to.Seq, badRecord("%d bytes are left over", len(rest)))
	}
	if n > 0 {
		if last := &events[n-1]; historyTag(last.digest) != historyTag(h.to.Digest) {
			return nil, badDelta(h.to.Seq, badRecord("another digest than that of the delta"))
		}
		events[n-1].digest = h.to.Digest
	}
	return events, nil
}

func badDelta(seq uint64, err error) error {
	return fmt.Errorf("blocklist: delta: event %d: %w", seq, err)
}

// open decrypts and decompresses the changes.
func (h *deltaHeader) open(body []byte, key *EncryptionKey) ([]byte, error) {
	head, stored := body[:deltaHeadSize:deltaHeadSize], body[deltaHeadSize:]
	encrypted := h.flags&deltaEncrypted != 0
	switch {
	case encrypted && key == nil:
		return nil, fmt.Errorf("blocklist: delta is encrypted, and there is no key: %w", ErrKey)
	case !encrypted && key != nil:
		return nil, fmt.Errorf("blocklist: delta is not encrypted, and there is a key: %w", ErrKey)
	case encrypted:
		gcm, check := key.derive(h.salt[:], "delta")
		if subtle.ConstantTimeCompare(check, h.check[:]) != 1 {
			return nil, fmt.Errorf("blocklist: delta is encrypted with another key: %w", ErrKey)
		}
		var err error
		if stored, err = gcm.Open(nil, make([]byte, gcmNonce), stored, head); err != nil {
			return nil, fmt.Errorf("blocklist: delta was changed: %w", ErrChecksum)
		}
	}
	// Grows with what there is, not with what the header says.
	plain, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(stored)), int64(h.plain)+1))
	if err != nil {
		return nil, fmt.Errorf("blocklist: delta does not decompress: %v: %w", err, ErrFormat)
	}
	if uint32(len(plain)) != h.plain {
		return nil, fmt.Errorf("blocklist: delta has not the %d bytes that its header names: %w", h.plain, ErrFormat)
	}
	return plain, nil
}

// changeFields are payloadFields, with features as segments keep them.
var changeFields = func() map[uint64]fieldReader {
	m := maps.Clone(payloadFields)
	m[tagFeatures] = inKeys(func(k *Keys, v []byte) error { return readFeatures(k, v, features.OpenRecord) })
	return m
}()

// parseChange reads a change; the number of the event is set.
func (e *committed) parseChange(b []byte) (err error) {
	if len(b) == effectless {
		e.Erased[0] = 1 // it has no effect, like an erased event
		return nil
	}
	p := recordParser{}
	p.e.Seq, p.e.Type = e.Seq, EventType(b[0])
	if p.e.Target, b, err = uvarint(b[1:]); err != nil {
		return err
	}
	switch p.e.Type {
	case EventAdded:
		p.e.Rule = &Rule{}
	case EventDerived, EventException, EventRevoked, EventReverted:
	default:
		return badRecord("a change of type %d", p.e.Type)
	}
	if p.e.Target >= e.Seq || p.e.Type == EventAdded && p.e.Target != 0 {
		return badRecord("a change with target %d", p.e.Target)
	}
	if err := p.fields(b, changeFields, firstPayloadTag, ^uint64(0)); err != nil {
		return err
	}
	if why := p.e.checkPayload(); why != nil {
		return badRecord("%s: %s", why.Field, why.Why)
	}
	e.Event = p.e
	return nil
}

// deltaWriter collects changes.
type deltaWriter struct {
	view    *State
	now     time.Time
	head    deltaHeader
	lean    bool // as the segments of a list with many pictures
	tags    []byte
	changes []byte
	// What the clock ended by then is left out, as in snapshots; 0 for nothing.
	endedBefore int64
}

func (w *deltaWriter) size() int { return len(w.tags) + len(w.changes) }

func (w *deltaWriter) add(e *committed) {
	w.tags = append(w.tags, e.digest[:8]...)
	w.head.to.Seq, w.head.to.Digest = e.Seq, e.digest
	if !w.matters(&e.Event) {
		w.changes = append(w.changes, effectless)
		return
	}
	change := binary.AppendUvarint([]byte{byte(e.Type)}, e.Target)
	change = appendPayload(change, w.withRecords(&e.Event))
	w.changes = binary.AppendUvarint(w.changes, uint64(len(change)))
	w.changes = append(w.changes, change...)
}

// withRecords returns an event whose features are what segments keep of them, which
// is less than half.
func (w *deltaWriter) withRecords(e *Event) *Event {
	keys := &e.Keys
	if e.Rule != nil {
		keys = &e.Rule.Keys
	}
	if len(keys.Features) == 0 {
		return e
	}
	short := *e
	k := *keys
	k.Features = make([]Features, len(keys.Features))
	for i, f := range keys.Features {
		k.Features[i] = f.Record(w.lean)
	}
	if e.Rule == nil {
		short.Keys = k
	} else {
		r := *e.Rule
		r.Keys = k
		short.Rule = &r
	}
	return &short
}

// matters reports whether an event has an effect on a reader that has all of the
// delta: what was revoked or undone since has none.
func (w *deltaWriter) matters(e *Event) bool {
	if e.IsErased() {
		return false
	}
	over := func(end int64) bool { return end != 0 && end <= w.endedBefore }
	switch e.Type {
	case EventAdded, EventDerived:
		g, ok := w.view.grantOf(e.Seq)
		return ok && !w.view.isDead(g) && !over(w.view.endOf(g))
	case EventException:
		return slices.ContainsFunc(w.view.exceptionsOf(e.Target), func(x exception) bool {
			return x.event == e.Seq && !over(x.until)
		})
	}
	return e.Target < e.Seq
}

// finish returns the delta.
func (w *deltaWriter) finish(signing ed25519.PrivateKey, key *EncryptionKey) ([]byte, error) {
	h := &w.head
	h.written = w.now.Unix()
	plain := append(w.tags, w.changes...)
	if len(plain) > MaxDelta {
		return nil, fmt.Errorf("blocklist: delta of %d bytes, at most %d are possible: %w", len(plain), MaxDelta, ErrLimit)
	}
	h.plain = uint32(len(plain))
	var buf bytes.Buffer
	z, err := flate.NewWriter(&buf, flate.DefaultCompression)
	if err == nil {
		_, err = z.Write(plain)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("blocklist: %w", err)
	}
	var b []byte
	if key == nil {
		b = append(h.appendTo(nil), buf.Bytes()...)
	} else {
		rand.Read(h.salt[:])
		h.flags = deltaEncrypted
		gcm, check := key.derive(h.salt[:], "delta")
		h.check = [checkSize]byte(check)
		head := h.appendTo(nil)
		b = gcm.Seal(head, make([]byte, gcmNonce), buf.Bytes(), slices.Clone(head))
	}
	b = append(b, sign(signing, append([]byte(deltaContext), b...))...)
	return le.AppendUint32(b, crc32.Checksum(b, castagnoli)), nil
}
