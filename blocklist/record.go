package blocklist

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"slices"
	"time"

	"github.com/staydown/staydown/internal/features"
	"github.com/staydown/staydown/phash"
)

// Tags of the fields of a record: docs/format/record.md. Even ones are required.
const (
	tagSeq    = 2
	tagType   = 4
	tagID     = 6
	tagTime   = 8
	tagTarget = 10
	tagTenant = 12
	tagBatch  = 13

	firstPayloadTag = 32

	tagScope       = 32
	tagEffect      = 34
	tagKind        = 35
	tagCase        = 37
	tagTerritories = 38
	tagStart       = 40
	tagEnd         = 42
	tagUntil       = 44
	tagPurposes    = 46

	tagAddresses    = 64
	tagSHA256       = 66
	tagSHA1         = 68
	tagMD5          = 70
	tagHashes       = 80
	tagVariants     = 81
	tagReach        = 82
	tagHashViews    = 83
	tagFeatures     = 96
	tagFeatureViews = 97
	tagFaces        = 104
	tagViews        = 111
)

// Forms of a record.
const (
	recordWhole  = 1
	recordErased = 2

	saltLength = 16

	maxExtra      = 64 // unknown optional fields in one record
	maxExtraBytes = 1 << 16
)

var (
	le         = binary.LittleEndian
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// TagError reports that a record has a required field that this version does not
// know. It wraps ErrVersion.
type TagError struct{ Tag uint64 }

func (e *TagError) Error() string {
	return fmt.Sprintf("blocklist: record has the required field %d, which this version does not know", e.Tag)
}

// Unwrap returns ErrVersion.
func (e *TagError) Unwrap() error { return ErrVersion }

// A fieldWriter appends fields in the order of their tags, and between them those
// that this version does not know.
type fieldWriter struct {
	b     []byte
	extra []Field // to be written
	value []byte  // scratch
}

func (w *fieldWriter) field(tag uint64, value []byte) {
	w.extraBelow(tag)
	w.b = binary.AppendUvarint(w.b, tag)
	w.b = binary.AppendUvarint(w.b, uint64(len(value)))
	w.b = append(w.b, value...)
}

func (w *fieldWriter) extraBelow(tag uint64) {
	for len(w.extra) > 0 && w.extra[0].Tag < tag {
		x := w.extra[0]
		w.extra = w.extra[1:]
		w.field(x.Tag, x.Value)
	}
}

func (w *fieldWriter) number(tag, n uint64) {
	if n != 0 {
		w.field(tag, binary.AppendUvarint(w.value[:0], n))
	}
}

func (w *fieldWriter) octet(tag uint64, n uint8) {
	if n != 0 {
		w.field(tag, append(w.value[:0], n))
	}
}

func (w *fieldWriter) id(tag uint64, id *[16]byte) {
	if *id != [16]byte{} {
		w.field(tag, id[:])
	}
}

func (w *fieldWriter) time(tag uint64, t time.Time) {
	if !t.IsZero() {
		w.field(tag, le.AppendUint64(w.value[:0], uint64(t.Unix())))
	}
}

// column writes one byte for each of n keys, unless all are zero.
func (w *fieldWriter) column(tag uint64, n int, at func(i int) uint8) {
	v, some := w.value[:0], uint8(0)
	for i := range n {
		v = append(v, at(i))
		some |= at(i)
	}
	if some != 0 {
		w.field(tag, v)
	}
	w.value = v[:0]
}

// list writes a list of n keys, unless it is empty.
func (w *fieldWriter) list(tag uint64, n int, each func(b []byte, i int) []byte) {
	v := w.value[:0]
	for i := range n {
		v = each(v, i)
	}
	if n > 0 {
		w.field(tag, v)
	}
	w.value = v[:0]
}

// appendHeader appends the fields of an event that an erasure leaves.
func appendHeader(b []byte, e *Event) []byte {
	w := fieldWriter{b: b, extra: e.Extra, value: make([]byte, 0, 32)}
	w.number(tagSeq, e.Seq)
	w.octet(tagType, uint8(e.Type))
	w.id(tagID, &e.ID)
	w.time(tagTime, e.Time)
	w.number(tagTarget, e.Target)
	w.number(tagTenant, uint64(e.List))
	w.id(tagBatch, &e.Batch)
	w.extraBelow(firstPayloadTag)
	return w.b
}

// appendPayload appends the other fields.
func appendPayload(b []byte, e *Event) []byte {
	w := fieldWriter{b: b, extra: e.Extra, value: make([]byte, 0, 256)}
	for len(w.extra) > 0 && w.extra[0].Tag < firstPayloadTag {
		w.extra = w.extra[1:]
	}
	keys := &e.Keys
	if r := e.Rule; r != nil {
		keys = &r.Keys
		w.octet(tagScope, uint8(r.Scope))
		w.octet(tagEffect, uint8(r.Effect))
		w.octet(tagKind, r.Kind)
		w.id(tagCase, &r.Case)
		territories := slices.SortedFunc(slices.Values(r.Territories), compareTerritories)
		w.list(tagTerritories, len(territories), func(b []byte, i int) []byte { return append(b, territories[i].a, territories[i].b) })
		w.time(tagStart, r.Start)
		w.time(tagEnd, r.End)
	}
	w.time(tagUntil, e.Until)
	if e.Rule != nil {
		w.number(tagPurposes, uint64(e.Rule.Purposes))
	}
	w.keys(keys)
	w.extraBelow(^uint64(0))
	return w.b
}

func (w *fieldWriter) keys(k *Keys) {
	w.list(tagAddresses, len(k.Addresses), func(b []byte, i int) []byte {
		return append(append(b, byte(k.Addresses[i].Kind)), k.Addresses[i].Digest[:]...)
	})
	w.list(tagSHA256, len(k.Bytes), func(b []byte, i int) []byte { return append(b, k.Bytes[i][:]...) })
	w.list(tagSHA1, len(k.SHA1), func(b []byte, i int) []byte { return append(b, k.SHA1[i][:]...) })
	w.list(tagMD5, len(k.MD5), func(b []byte, i int) []byte { return append(b, k.MD5[i][:]...) })
	w.list(tagHashes, len(k.Hashes), func(b []byte, i int) []byte {
		h := k.Hashes[i].Hash
		return appendHashBits(append(b, byte(h.Algorithm())), h)
	})
	w.column(tagVariants, len(k.Hashes), func(i int) uint8 { return k.Hashes[i].Variant })
	w.column(tagReach, len(k.Hashes), func(i int) uint8 { return uint8(k.Hashes[i].Reach) })
	w.column(tagHashViews, len(k.Hashes), func(i int) uint8 { return k.Hashes[i].View })
	w.list(tagFeatures, len(k.Features), func(b []byte, i int) []byte {
		set, _ := k.Features[i].AppendBinary(nil) // never fails
		return append(binary.AppendUvarint(b, uint64(len(set))), set...)
	})
	w.column(tagFeatureViews, len(k.FeatureViews), func(i int) uint8 { return k.FeatureViews[i] })
	w.list(tagFaces, len(k.Faces), func(b []byte, i int) []byte { return appendFace(b, &k.Faces[i]) })
	w.list(tagViews, len(k.Views), func(b []byte, i int) []byte {
		v := &k.Views[i]
		b = append(binary.AppendUvarint(b, uint64(v.Frame)), byte(v.Reading))
		for _, x := range [...]int{v.Rect.Min.X, v.Rect.Min.Y, v.Rect.Dx(), v.Rect.Dy()} {
			b = binary.AppendUvarint(b, uint64(x))
		}
		return b
	})
}

// appendRecord appends the record of an event that check accepts.
func appendRecord(b []byte, e *Event) []byte {
	header := appendHeader(nil, e)
	if e.IsErased() {
		return sealRecord(b, recordErased, header, e.Erased[:])
	}
	return sealRecord(b, recordWhole, header, appendPayload(slices.Clone(e.Salt[:]), e))
}

// sealRecord appends a record of a header and a body: salt and payload, or the
// digest of both.
func sealRecord(b []byte, form byte, header, body []byte) []byte {
	start := len(b)
	b = append(b, form)
	b = binary.AppendUvarint(b, uint64(len(header)))
	b = append(b, header...)
	b = append(b, body...)
	return le.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// splitRecord returns the parts of a record, which lie in b.
func splitRecord(b []byte) (form byte, header, body []byte, err error) {
	if len(b) < 1+1+4 {
		return 0, nil, nil, fmt.Errorf("blocklist: record of %d bytes: %w", len(b), ErrTruncated)
	}
	if len(b) > maxRecord {
		return 0, nil, nil, fmt.Errorf("blocklist: record of %d bytes, at most %d are accepted: %w", len(b), maxRecord, ErrLimit)
	}
	rest := b[:len(b)-4]
	if got, want := crc32.Checksum(rest, castagnoli), le.Uint32(b[len(rest):]); got != want {
		return 0, nil, nil, fmt.Errorf("blocklist: record has checksum %08x, not %08x: %w", got, want, ErrChecksum)
	}
	form = rest[0]
	if form != recordWhole && form != recordErased {
		return 0, nil, nil, fmt.Errorf("blocklist: record of form %d: %w", form, ErrVersion)
	}
	n, rest, err := uvarint(rest[1:])
	if err != nil {
		return 0, nil, nil, err
	}
	least := saltLength
	if form == recordErased {
		least = sha256.Size
	}
	if n > uint64(len(rest)) || len(rest)-int(n) < least || form == recordErased && len(rest)-int(n) != least {
		return 0, nil, nil, badRecord("header of %d bytes in %d", n, len(rest))
	}
	return form, rest[:n:n], rest[n:], nil
}

func badRecord(format string, args ...any) error {
	return fmt.Errorf("blocklist: record: %s: %w", fmt.Sprintf(format, args...), ErrFormat)
}

// uvarint reads a varint in its shortest form, and returns what comes after it.
func uvarint(p []byte) (n uint64, rest []byte, err error) {
	n, size := binary.Uvarint(p)
	if size <= 0 {
		return 0, nil, badRecord("a number is cut")
	}
	if size > 1 && p[size-1] == 0 {
		return 0, nil, badRecord("a number is longer than it has to be")
	}
	return n, p[size:], nil
}

// parseRecord reads what appendRecord wrote. Its errors wrap ErrVersion,
// ErrChecksum, ErrTruncated, ErrLimit or ErrFormat.
func parseRecord(b []byte) (Event, error) {
	form, header, body, err := splitRecord(b)
	if err != nil {
		return Event{}, err
	}
	p := recordParser{}
	if err := p.fields(header, headerFields, 0, firstPayloadTag); err != nil {
		return Event{}, err
	}
	e := &p.e
	if form == recordErased {
		copy(e.Erased[:], body)
		if !e.IsErased() {
			return Event{}, badRecord("the digest of what was erased is zero")
		}
	} else {
		copy(e.Salt[:], body)
		if e.Type == EventAdded {
			e.Rule = &Rule{}
		}
		if err := p.fields(body[saltLength:], payloadFields, firstPayloadTag, ^uint64(0)); err != nil {
			return Event{}, err
		}
	}
	if why := e.check(e.List); why != nil {
		return Event{}, badRecord("%s: %s", why.Field, why.Why)
	}
	return *e, nil
}

type recordParser struct {
	e     Event
	extra int // bytes of unknown fields
}

// keys returns where keys of the event belong.
func (p *recordParser) keys() *Keys {
	if p.e.Rule != nil {
		return &p.e.Rule.Keys
	}
	return &p.e.Keys
}

// fields reads fields with tags from least to below end.
func (p *recordParser) fields(b []byte, known map[uint64]fieldReader, least, end uint64) (err error) {
	last := least
	for len(b) > 0 {
		var tag, size uint64
		if tag, b, err = uvarint(b); err == nil {
			size, b, err = uvarint(b)
		}
		switch {
		case err != nil:
			return err
		case size > uint64(len(b)):
			return badRecord("field %d of %d bytes in %d", tag, size, len(b))
		case tag < last || tag >= end:
			return badRecord("field %d is out of order", tag)
		}
		last = tag + 1
		value := b[:size:size]
		b = b[size:]
		if read, ok := known[tag]; ok {
			err = read(p, value)
		} else {
			err = p.unknown(tag, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *recordParser) unknown(tag uint64, value []byte) error {
	if tag%2 == 0 {
		return &TagError{tag}
	}
	if p.extra += len(value); len(p.e.Extra) == maxExtra || p.extra > maxExtraBytes {
		return fmt.Errorf("blocklist: record has more than %d unknown fields, or %d bytes of them: %w", maxExtra, maxExtraBytes, ErrLimit)
	}
	p.e.Extra = append(p.e.Extra, Field{tag, slices.Clone(value)})
	return nil
}

// checkExtra returns what is wrong with fields that are to be written again.
func checkExtra(extra []Field) string {
	size, last := 0, uint64(0)
	for _, f := range extra {
		_, header := headerFields[f.Tag]
		_, payload := payloadFields[f.Tag]
		if f.Tag%2 == 0 || header || payload || f.Tag <= last || f.Tag == ^uint64(0) {
			return fmt.Sprintf("hold tag %d, which is required, known or out of order", f.Tag)
		}
		last = f.Tag
		size += len(f.Value)
	}
	if len(extra) > maxExtra || size > maxExtraBytes {
		return fmt.Sprintf("are %d with %d bytes; at most %d with %d are accepted", len(extra), size, maxExtra, maxExtraBytes)
	}
	return ""
}

// A fieldReader reads the value of one field.
type fieldReader func(p *recordParser, value []byte) error

var headerFields = map[uint64]fieldReader{
	tagSeq: func(p *recordParser, v []byte) error { return readNumber(v, &p.e.Seq) },
	tagType: func(p *recordParser, v []byte) error {
		return readOctet(v, (*uint8)(&p.e.Type))
	},
	tagID:     func(p *recordParser, v []byte) error { return readID(v, &p.e.ID) },
	tagTime:   func(p *recordParser, v []byte) error { return readTime(v, &p.e.Time) },
	tagTarget: func(p *recordParser, v []byte) error { return readNumber(v, &p.e.Target) },
	tagTenant: func(p *recordParser, v []byte) error {
		var n uint64
		if err := readNumber(v, &n); err != nil {
			return err
		}
		if p.e.List = uint32(n); uint64(p.e.List) != n {
			return badRecord("tenant %d", n)
		}
		return nil
	},
	tagBatch: func(p *recordParser, v []byte) error { return readID(v, &p.e.Batch) },
}

// inRule reads a field that only rules have.
func inRule(read func(r *Rule, v []byte) error) fieldReader {
	return func(p *recordParser, v []byte) error {
		if p.e.Rule == nil {
			return badRecord("a field of a rule in a %v event", p.e.Type)
		}
		return read(p.e.Rule, v)
	}
}

func inKeys(read func(k *Keys, v []byte) error) fieldReader {
	return func(p *recordParser, v []byte) error { return read(p.keys(), v) }
}

var payloadFields = map[uint64]fieldReader{
	tagScope:       inRule(readScope),
	tagEffect:      inRule(func(r *Rule, v []byte) error { return readOctet(v, (*uint8)(&r.Effect)) }),
	tagKind:        inRule(func(r *Rule, v []byte) error { return readOctet(v, &r.Kind) }),
	tagCase:        inRule(func(r *Rule, v []byte) error { return readID(v, &r.Case) }),
	tagTerritories: inRule(readTerritories),
	tagStart:       inRule(func(r *Rule, v []byte) error { return readTime(v, &r.Start) }),
	tagEnd:         inRule(func(r *Rule, v []byte) error { return readTime(v, &r.End) }),
	tagUntil:       func(p *recordParser, v []byte) error { return readTime(v, &p.e.Until) },
	tagPurposes:    inRule(readPurposes),

	tagAddresses: inKeys(func(k *Keys, v []byte) error {
		return readList(v, &k.Addresses, 17, func(a *Address, v []byte) {
			a.Kind = AddressKind(v[0])
			copy(a.Digest[:], v[1:])
		})
	}),
	tagSHA256: inKeys(func(k *Keys, v []byte) error {
		return readList(v, &k.Bytes, 32, func(d *[32]byte, v []byte) { copy(d[:], v) })
	}),
	tagSHA1: inKeys(func(k *Keys, v []byte) error {
		return readList(v, &k.SHA1, 20, func(d *[20]byte, v []byte) { copy(d[:], v) })
	}),
	tagMD5: inKeys(func(k *Keys, v []byte) error {
		return readList(v, &k.MD5, 16, func(d *[16]byte, v []byte) { copy(d[:], v) })
	}),
	tagHashes:   inKeys(readHashes),
	tagVariants: hashColumn(func(h *HashKey, x uint8) { h.Variant = x }),
	tagReach:    hashColumn(func(h *HashKey, x uint8) { h.Reach = Reach(x) }),
	tagHashViews: hashColumn(func(h *HashKey, x uint8) {
		h.View = x
	}),
	tagFeatures: inKeys(func(k *Keys, v []byte) error { return readFeatures(k, v, features.Open) }),
	tagFeatureViews: inKeys(func(k *Keys, v []byte) error {
		if err := readColumn(v, len(k.Features)); err != nil {
			return err
		}
		k.FeatureViews = slices.Clone(v)
		return nil
	}),
	tagFaces: inKeys(readFaces),
	tagViews: inKeys(readViews),
}

func readNumber(v []byte, n *uint64) error {
	x, rest, err := uvarint(v)
	if err == nil && (len(rest) != 0 || x == 0) {
		err = badRecord("a number in %d bytes", len(v))
	}
	*n = x
	return err
}

func readOctet(v []byte, x *uint8) error {
	if len(v) != 1 || v[0] == 0 {
		return badRecord("a field of %d bytes that has one, not 0", len(v))
	}
	*x = v[0]
	return nil
}

func readID(v []byte, id *[16]byte) error {
	if len(v) != 16 || [16]byte(v) == [16]byte{} {
		return badRecord("an id of %d bytes, or of zeros", len(v))
	}
	*id = [16]byte(v)
	return nil
}

func readTime(v []byte, t *time.Time) error {
	if len(v) != 8 || le.Uint64(v) == 0 {
		return badRecord("a time of %d bytes, or none", len(v))
	}
	if *t = timeOf(int64(le.Uint64(v))); t.IsZero() {
		return badRecord("a time before all others")
	}
	return nil
}

func readScope(r *Rule, v []byte) error {
	if err := readOctet(v, (*uint8)(&r.Scope)); err != nil {
		return err
	}
	if r.Scope > ScopePrefix {
		return fmt.Errorf("blocklist: record has a rule of scope %v: %w", r.Scope, ErrVersion)
	}
	return nil
}

func readTerritories(r *Rule, v []byte) error {
	if err := readList(v, &r.Territories, 2, func(t *Territory, v []byte) { *t = Territory{v[0], v[1]} }); err != nil {
		return err
	}
	if !slices.IsSortedFunc(r.Territories, compareTerritories) {
		return badRecord("territories are out of order")
	}
	return nil
}

func readPurposes(r *Rule, v []byte) error {
	var n uint64
	if err := readNumber(v, &n); err != nil {
		return err
	}
	if n&^uint64(allPurposes) != 0 {
		return fmt.Errorf("blocklist: record has purposes %#x: %w", n, &TagError{tagPurposes})
	}
	r.Purposes = Purposes(n)
	return nil
}

// readList reads keys of a fixed size.
func readList[T any](v []byte, to *[]T, size int, read func(*T, []byte)) error {
	n := len(v) / size
	if n == 0 || len(v)%size != 0 {
		return badRecord("a list of %d bytes, for keys of %d", len(v), size)
	}
	if n > MaxKeys {
		return fmt.Errorf("blocklist: record has a list of %d keys: %w", n, ErrLimit)
	}
	*to = make([]T, n)
	for i := range n {
		read(&(*to)[i], v[i*size:(i+1)*size])
	}
	return nil
}

func readHashes(k *Keys, v []byte) error {
	for len(v) > 0 {
		alg := phash.Algorithm(v[0])
		if !alg.IsValid() {
			return fmt.Errorf("blocklist: record has a hash of %v: %w", alg, ErrVersion)
		}
		size := alg.Bits() / 8
		if len(v) < 1+size || len(k.Hashes) == MaxKeys {
			return badRecord("hashes are cut, or too many")
		}
		k.Hashes = append(k.Hashes, HashKey{Hash: hashFromBits(alg, v[1:1+size])})
		v = v[1+size:]
	}
	if len(k.Hashes) == 0 {
		return badRecord("an empty list")
	}
	return nil
}

// readColumn checks a column of n values.
func readColumn(v []byte, n int) error {
	if len(v) != n || len(v) == bytes.Count(v, []byte{0}) {
		return badRecord("a column of %d values, or of zeros, for %d keys", len(v), n)
	}
	return nil
}

func hashColumn(set func(*HashKey, uint8)) fieldReader {
	return inKeys(func(k *Keys, v []byte) error {
		if err := readColumn(v, len(k.Hashes)); err != nil {
			return err
		}
		for i, x := range v {
			set(&k.Hashes[i], x)
		}
		return nil
	})
}

func readFeatures(k *Keys, v []byte, open func([]byte) (Features, error)) error {
	for len(v) > 0 {
		n, rest, err := uvarint(v)
		if err != nil {
			return err
		}
		if n > uint64(len(rest)) || len(k.Features) == MaxFeatures {
			return badRecord("features are cut, or too many")
		}
		// A copy: the record may lie in a file that is mapped.
		f, err := open(slices.Clone(rest[:n]))
		if errors.Is(err, features.ErrVersion) {
			return fmt.Errorf("blocklist: record: %w: %w", err, ErrVersion)
		}
		if err != nil {
			return badRecord("%v", err)
		}
		k.Features = append(k.Features, f)
		v = rest[n:]
	}
	if len(k.Features) == 0 {
		return badRecord("an empty list")
	}
	return nil
}

func readFaces(k *Keys, v []byte) error {
	for len(v) > 0 {
		f, size, err := parseFace(v)
		if err != nil {
			return err
		}
		if len(k.Faces) == MaxFaces {
			return badRecord("too many faces")
		}
		k.Faces = append(k.Faces, f)
		v = v[size:]
	}
	if len(k.Faces) == 0 {
		return badRecord("an empty list")
	}
	return nil
}

func readViews(k *Keys, v []byte) error {
	for len(v) > 0 {
		frame, rest, err := uvarint(v)
		if err != nil {
			return err
		}
		if len(rest) == 0 || frame > 1<<32-1 || len(k.Views) == MaxViews {
			return badRecord("views are cut, or too many")
		}
		view := View{Frame: uint32(frame), Reading: phash.Reading(rest[0])}
		v = rest[1:]
		var box [4]uint64 // x, y, width, height
		for i := range box {
			if box[i], v, err = uvarint(v); err != nil {
				return err
			}
			if box[i] > maxViewSide {
				return badRecord("a view beyond 2^30 pixels")
			}
		}
		if (box[2] == 0 || box[3] == 0) && box != [4]uint64{} {
			return badRecord("an empty view")
		}
		if box[0]+box[2] > maxViewSide || box[1]+box[3] > maxViewSide {
			return badRecord("a view beyond 2^30 pixels")
		}
		x, y := int(box[0]), int(box[1])
		view.Rect = image.Rect(x, y, x+int(box[2]), y+int(box[3]))
		if view.Reading > phash.ReadingColours {
			return fmt.Errorf("blocklist: record has a view of %v: %w", view.Reading, ErrVersion)
		}
		k.Views = append(k.Views, view)
	}
	if len(k.Views) == 0 {
		return badRecord("an empty list")
	}
	return nil
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

// hashFromBits reads what appendHashBits wrote, of an algorithm that there is.
func hashFromBits(alg phash.Algorithm, b []byte) phash.Hash {
	var w [4]uint64
	for i := range alg.Bits() / 64 {
		w[i] = le.Uint64(b[8*i:])
	}
	h, err := phash.FromWords(alg, w)
	if err != nil {
		panic("blocklist: " + err.Error()) // the algorithm was checked
	}
	return h
}

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

// AppendBinary appends the record of e, so that an event can be kept elsewhere
// before it is appended: docs/format/record.md. It fails, wrapping ErrEvent, for
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
