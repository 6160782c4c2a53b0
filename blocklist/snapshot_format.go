package blocklist

import (
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/staydown/staydown/phash"
)

// The snapshot file, as docs/format/snapshot.md describes it: a header, a table
// of sections, and the sections. All numbers are little-endian.
const (
	snapshotMagic   = "\x89SDLIST\n"
	snapshotVersion = 1

	headerSize   = 192
	tableEntry   = 32
	sectionAlign = 64
	maxSections  = 64
	maxFileSize  = 1 << 40
)

// Types of sections. Zero is none.
const (
	secSeqs       = 1
	secAttrs      = 2
	secCases      = 3
	secLearned    = 4
	secTimed      = 5
	secSets       = 6
	secDirectory  = 7
	secKeyLo      = 8
	secKeyMid     = 9
	secKeyHigh    = 10
	secKeyTop     = 11
	secKeyGrants  = 12
	secFilter     = 13
	secExceptions = 14
	secSignature  = 15
	secHistory    = 16
	secViews      = 17
	// The segment of local features, its grants and views.
	secFeatures      = 18
	secFeatureGrants = 19
	secFeatureViews  = 20
	// The sealed faces; and their keys, in an encrypted file that is published.
	secFaces    = 21
	secFaceKeys = 22
	// Eight for each algorithm: see secHash.
	secHashes = 32
	secLast   = secHashes + 8*phash.NumAlgorithms - 1
)

// Sections of the hashes of one algorithm.
const (
	hashSegment = iota
	hashGrants
	hashVariants
	hashReach
	hashViews
	hashSections
)

// secHash is the type of a section of the hashes of an algorithm. It depends on the
// number of the algorithm alone, and never changes.
func secHash(a phash.Algorithm, part int) int { return secHashes + 8*int(a) + part }

var sectionNames = [...]string{"", "sequence numbers", "attributes", "cases", "learned", "timed", "sets", "directory",
	"lower halves", "upper halves", "upper halves (high)", "upper halves (top)", "grants of keys", "filter", "exceptions", "signature",
	"history", "views", "features", "grants of features", "views of features", "faces", "keys of faces"}

func sectionName(t uint32) string {
	switch {
	case isHashSection(t):
		part := [...]string{"hashes", "grants of hashes", "variants of hashes", "reach of hashes", "views of hashes"}
		return part[(t-secHashes)%8] + " (" + phash.Algorithm((t-secHashes)/8).String() + ")"
	case t > 0 && t < uint32(len(sectionNames)):
		return sectionNames[t]
	}
	return fmt.Sprintf("section %d", t)
}

func isHashSection(t uint32) bool {
	return t >= secHashes+8 && t <= secLast && (t-secHashes)%8 < hashSections
}

func isKnownSection(t uint32) bool {
	return t > 0 && t < uint32(len(sectionNames)) || isHashSection(t)
}

// header is what a snapshot says about itself.
type header struct {
	identity
	size     int64 // of the file
	seq      uint64
	digest   [32]byte // running, at seq
	contents uint32   // contains… flags
	created  int64    // seconds since 1970
	sections int
}

func (h *header) position() Position { return Position{h.Epoch, h.seq, h.digest} }

func (h *header) append(b []byte) []byte {
	start := len(b)
	b = append(b, snapshotMagic...)
	b = le.AppendUint16(b, snapshotVersion)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint32(b, uint32(h.sections))
	b = le.AppendUint64(b, uint64(h.size))
	b = le.AppendUint64(b, h.seq)
	b = le.AppendUint64(b, uint64(h.created))
	b = h.identity.appendTo(b)
	b = append(b, h.digest[:]...)
	b = le.AppendUint32(b, h.contents)
	b = append(b, make([]byte, headerSize-4-(len(b)-start))...)
	return le.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// parseHeader reads the first bytes of a file that is size bytes long.
func parseHeader(b []byte, size int64) (h header, err error) {
	if len(b) < len(snapshotMagic) || string(b[:len(snapshotMagic)]) != snapshotMagic {
		if n := min(len(b), len(snapshotMagic)); n > 0 && strings.HasPrefix(snapshotMagic, string(b[:n])) {
			return h, fmt.Errorf("blocklist: snapshot of %d bytes: %w", size, ErrTruncated)
		}
		return h, fmt.Errorf("blocklist: the first %d bytes are not %q: %w", len(snapshotMagic), snapshotMagic, ErrNotSnapshot)
	}
	// The version comes before all checksums, which a newer version may have
	// moved.
	if len(b) >= 10 {
		if v := le.Uint16(b[8:]); v != snapshotVersion {
			return h, fmt.Errorf("blocklist: snapshot of version %d, this program knows %d: %w", v, snapshotVersion, ErrVersion)
		}
	}
	if len(b) < headerSize {
		return h, fmt.Errorf("blocklist: snapshot of %d bytes is cut within its header of %d: %w", size, headerSize, ErrTruncated)
	}
	if got, want := crc32.Checksum(b[:headerSize-4], castagnoli), le.Uint32(b[headerSize-4:]); got != want {
		return h, fmt.Errorf("blocklist: snapshot: header has checksum %08x, not %08x: %w", got, want, ErrChecksum)
	}
	if f := le.Uint16(b[10:]); f != 0 {
		return h, fmt.Errorf("blocklist: snapshot has unknown features %#x: %w", f, ErrVersion)
	}
	h.sections = int(le.Uint32(b[12:]))
	h.size = int64(le.Uint64(b[16:]))
	h.seq = le.Uint64(b[24:])
	h.created = int64(le.Uint64(b[32:]))
	h.identity = parseIdentity(b[40:])
	copy(h.digest[:], b[104:])
	if h.contents = le.Uint32(b[136:]); h.contents&^containsKnown != 0 {
		return h, fmt.Errorf("blocklist: snapshot has unknown contents %#x: %w", h.contents, ErrVersion)
	}
	if h.size != size {
		return h, fmt.Errorf("blocklist: snapshot says it has %d bytes, the file has %d: %w", h.size, size, ErrTruncated)
	}
	if h.sections < 0 || h.sections > maxSections || h.size > maxFileSize || h.size != int64(int(h.size)) {
		return h, fmt.Errorf("blocklist: snapshot of %d sections and %d bytes, at most %d and %d are accepted: %w", h.sections, h.size, maxSections, int64(maxFileSize), ErrLimit)
	}
	if h.Rules != AddressRules {
		return h, fmt.Errorf("blocklist: snapshot follows rules %d for addresses, this program %d: %w", h.Rules, AddressRules, ErrRules)
	}
	return h, nil
}

// section is an entry of the table.
type section struct {
	kind   uint32
	crc    uint32
	offset int64
	length int64
}

func (s *section) append(b []byte) []byte {
	b = le.AppendUint32(b, s.kind)
	b = le.AppendUint32(b, s.crc)
	b = le.AppendUint64(b, uint64(s.offset))
	b = le.AppendUint64(b, uint64(s.length))
	return le.AppendUint64(b, 0)
}

// headerSeed begins the checksums that cover the header too. The header's own
// checksum is not in it: bytes that are followed by their CRC have the same CRC
// whatever they are.
func headerSeed(rawHeader []byte) uint32 {
	return crc32.Checksum(rawHeader[:headerSize-4], castagnoli)
}

// sectionSeed begins the checksum of a section: it covers the header and the
// type, so that a section fits no other file and no other place.
func sectionSeed(rawHeader []byte, kind uint32) uint32 {
	return crc32.Update(headerSeed(rawHeader), castagnoli, le.AppendUint32(nil, kind))
}

// tableChecksum returns the checksum of the table in b, which begins with the
// header.
func tableChecksum(b []byte) uint32 {
	return crc32.Update(headerSeed(b), castagnoli, b[headerSize:])
}

// tableSize is the length of the table with its own checksum.
func tableSize(sections int) int { return sections*tableEntry + 8 }

// parseTable reads the table that follows the header in b. The sections it
// returns lie behind each other within the file.
func parseTable(h *header, b []byte) ([]section, error) {
	end := headerSize + tableSize(h.sections)
	if len(b) < end {
		return nil, fmt.Errorf("blocklist: snapshot of %d bytes is cut within its table: %w", len(b), ErrTruncated)
	}
	if got, want := tableChecksum(b[:end-8]), le.Uint32(b[end-8:]); got != want || le.Uint32(b[end-4:]) != 0 {
		return nil, fmt.Errorf("blocklist: snapshot: table has checksum %08x, not %08x: %w", got, want, ErrChecksum)
	}
	sections := make([]section, h.sections)
	at, last := int64(end), uint32(0)
	for i := range sections {
		p := b[headerSize+i*tableEntry:]
		s := section{le.Uint32(p), le.Uint32(p[4:]), int64(le.Uint64(p[8:])), int64(le.Uint64(p[16:]))}
		if !isKnownSection(s.kind) {
			return nil, fmt.Errorf("blocklist: snapshot has a section of unknown type %d: %w", s.kind, ErrVersion)
		}
		if s.kind <= last || s.offset < at || s.offset%sectionAlign != 0 || s.length < 0 || s.length > h.size-s.offset {
			return nil, fmt.Errorf("blocklist: snapshot: %s at %d, %d bytes, does not lie behind %d in a file of %d: %w",
				sectionName(s.kind), s.offset, s.length, at, h.size, ErrFormat)
		}
		at, last = s.offset+s.length, s.kind
		sections[i] = s
	}
	if at != h.size {
		return nil, fmt.Errorf("blocklist: snapshot: sections end at %d of %d: %w", at, h.size, ErrFormat)
	}
	return sections, nil
}
