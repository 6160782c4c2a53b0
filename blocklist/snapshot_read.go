package blocklist

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/staydown/staydown/internal/features"
	"github.com/staydown/staydown/internal/fsx"
	"github.com/staydown/staydown/phash"
)

// readSnapshot reads a snapshot file: into memory of its own, which nobody else
// can change, or in place with o.Map where the system can do it. Whatever the
// file holds, the base that is returned can be searched without a panic.
//
// With o.TrustedKeys, it returns only a snapshot that one of them has signed.
// With o.EncryptionKey, it returns only one that is encrypted with it.
func readSnapshot(f fsx.File, o *LoadOptions) (*base, error) {
	size, err := f.Size()
	if err != nil {
		return nil, fmt.Errorf("blocklist: %w", err)
	}
	// The header first: it says whether the rest is worth reading.
	head := make([]byte, min(size, headerSize+int64(tableSize(maxSections))))
	if _, err := f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("blocklist: %w", err)
	}
	if !isSealed(head) {
		return readPlain(f, head, size, o)
	}
	mem, err := readSealed(f, head, size, o.EncryptionKey)
	if err != nil {
		return nil, err
	}
	b, err := parseSnapshot(nil, mem, mem.data[:min(len(mem.data), len(head))], o, true)
	if err != nil {
		mem.release()
	}
	return b, err
}

func readPlain(f fsx.File, head []byte, size int64, o *LoadOptions) (*base, error) {
	// What the header says comes before memory for the rest, and before asking
	// for a key.
	h, err := parseHeader(head, size)
	if err == nil {
		_, err = parseTable(&h, head)
	}
	if err != nil {
		return nil, err
	}
	if o.EncryptionKey != nil {
		return nil, fmt.Errorf("blocklist: snapshot is not encrypted, and there is a key: %w", ErrKey)
	}
	mem, source := (*memory)(nil), io.ReaderAt(nil)
	if o.Map {
		mem = mapFile(f, size)
	}
	if mem == nil {
		mem, source = newMemory(size), f
	}
	b, err := parseSnapshot(source, mem, head, o, false)
	if err != nil {
		mem.release()
	}
	return b, err
}

// parseSnapshot reads a snapshot in mem, into which its sections are read from
// source unless that is nil. head are its first bytes, from which alone its
// header and table are taken. encrypted says that the file was.
func parseSnapshot(source io.ReaderAt, mem *memory, head []byte, o *LoadOptions, encrypted bool) (*base, error) {
	h, err := parseHeader(head, int64(len(mem.data)))
	if err != nil {
		return nil, err
	}
	sections, err := parseTable(&h, head)
	if err != nil {
		return nil, err
	}
	var hashes [][sha256.Size]byte
	if len(o.TrustedKeys) > 0 {
		hashes = make([][sha256.Size]byte, len(sections))
	}
	content, err := fetchSections(source, mem.data, head[:headerSize], sections, hashes)
	if err != nil {
		return nil, err
	}
	if hashes != nil {
		if err := verify(o.TrustedKeys, content[secSignature], signedMessage(head[:headerSize], sections, hashes)); err != nil {
			return nil, err
		}
	}
	b, err := newBase(h, content)
	if err == nil {
		err = b.parseFaces(content, o, encrypted)
	}
	if encrypted {
		// In memory of our own, which a State will keep.
		clear(content[secFaceKeys])
	}
	if err != nil {
		return nil, err
	}
	mem.discard(content[secFaces])
	mem.discard(content[secFaceKeys])
	b.memory = mem
	return b, nil
}

// fetchSections reads the sections of a snapshot from source into their places
// in data, unless source is nil and they are there already, and compares their
// checksums. It computes their hashes too unless hashes is nil. Several
// goroutines share the work.
func fetchSections(source io.ReaderAt, data, rawHeader []byte, sections []section, hashes [][sha256.Size]byte) (*[secLast + 1][]byte, error) {
	var (
		content [secLast + 1][]byte
		errs    = make([]error, len(sections))
		order   = make([]int, len(sections))
		next    atomic.Int64
		work    sync.WaitGroup
	)
	for i := range order {
		order[i] = i
	}
	// The longest first, so that all end at about one time.
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(sections[b].length, sections[a].length) })
	for range min(runtime.GOMAXPROCS(0), 8, len(sections)) {
		work.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(order)); i = next.Add(1) - 1 {
				s := &sections[order[i]]
				p := data[s.offset : s.offset+s.length]
				if hashes == nil {
					errs[order[i]] = fetchSection(source, p, rawHeader, s, nil)
					continue
				}
				h := sha256.New()
				errs[order[i]] = fetchSection(source, p, rawHeader, s, h)
				h.Sum(hashes[order[i]][:0])
			}
		})
	}
	work.Wait()
	for i, s := range sections {
		if errs[i] != nil {
			return nil, errs[i]
		}
		content[s.kind] = data[s.offset : s.offset+s.length : s.offset+s.length]
	}
	return &content, nil
}

// fetchSection reads in pieces that are still in the cache when their checksum
// is computed.
func fetchSection(source io.ReaderAt, data, rawHeader []byte, s *section, h hash.Hash) (err error) {
	const piece = 1 << 18
	defer func() {
		if p := recover(); p != nil {
			if _, fault := p.(interface{ Addr() uintptr }); !fault {
				panic(p) // a mistake of ours
			}
			// A mapped file was cut.
			err = fmt.Errorf("blocklist: snapshot: %s at %d: %v: %w", sectionName(s.kind), s.offset, p, ErrTruncated)
		}
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	crc := sectionSeed(rawHeader, s.kind)
	for at := 0; at < len(data); at += piece {
		p := data[at:min(at+piece, len(data))]
		if source != nil {
			if n, err := source.ReadAt(p, s.offset+int64(at)); n < len(p) {
				return fmt.Errorf("blocklist: snapshot: %s at %d: %w", sectionName(s.kind), s.offset, readError(err))
			}
		}
		crc = crc32.Update(crc, castagnoli, p)
		if h != nil {
			h.Write(p)
		}
	}
	if crc != s.crc {
		return fmt.Errorf("blocklist: snapshot: %s at %d, %d bytes, has checksum %08x, not %08x: %w",
			sectionName(s.kind), s.offset, s.length, crc, s.crc, ErrChecksum)
	}
	return nil
}

// readError returns the error of a read that got too few bytes: only the end of
// the file says that it was cut.
func readError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", ErrTruncated, err)
	}
	return err
}

// newBase makes a base of the sections of a snapshot.
func newBase(h header, content *[secLast + 1][]byte) (*base, error) {
	b := &base{header: h}
	c := checker{content: content}
	for _, parse := range []func(*checker) error{
		b.parseHistory, b.parseGrants, b.parseSets, b.checkAttributes, b.parseExceptions, b.parseKeyTable, b.parseViews,
		b.parseHashes, b.parseFeatures,
	} {
		if err := parse(&c); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// parseHistory reads the digests that tell a successor from a fork.
func (b *base) parseHistory(c *checker) error {
	n := c.rows(secHistory, 8)
	if c.err != nil {
		return c.err
	}
	b.history = array[uint64](c.content[secHistory])
	h := &b.header
	switch {
	case n > maxHistory || uint64(n) > h.seq:
		return c.fail(ErrFormat, secHistory, "%d digests of %d events", n, h.seq)
	case h.seq == 0 && h.digest != genesis(&h.identity), h.seq > 0 && (n == 0 || b.history[n-1] != historyTag(h.digest)):
		return c.fail(ErrFormat, secHistory, "does not end with the digest of the list")
	}
	return nil
}

// parseViews reads the views of keys.
func (b *base) parseViews(c *checker) error {
	n := c.rows(secViews, viewSize)
	if c.err != nil {
		return c.err
	}
	p := c.content[secViews]
	for i := range n {
		r, ok := parseView(p[i*viewSize:])
		if !ok || int64(r.grant) >= int64(b.len()) || i > 0 && compareViews(b.views[i-1], r) >= 0 {
			return c.fail(ErrFormat, secViews, "row %d of grant %d", i, r.grant)
		}
		b.views = append(b.views, r)
	}
	return nil
}

// A view takes 32 bytes: grant, number, reading, zeros, frame, the corners of the
// rectangle, and zeros.
const viewSize = 32

func appendView(b []byte, r *viewRow) []byte {
	b = le.AppendUint32(b, r.grant)
	b = append(b, r.number, byte(r.view.Reading), 0, 0)
	b = le.AppendUint32(b, r.view.Frame)
	box := r.view.Rect
	for _, x := range [...]int{box.Min.X, box.Min.Y, box.Max.X, box.Max.Y, 0} {
		b = le.AppendUint32(b, uint32(x))
	}
	return b
}

func parseView(p []byte) (r viewRow, ok bool) {
	r.grant, r.number = le.Uint32(p), p[4]
	r.view = View{Frame: le.Uint32(p[8:]), Reading: phash.Reading(p[5])}
	for i := range 4 {
		if le.Uint32(p[12+4*i:]) > maxViewSide {
			return r, false
		}
	}
	at := func(i int) int { return int(le.Uint32(p[12+4*i:])) }
	r.view.Rect.Min.X, r.view.Rect.Min.Y, r.view.Rect.Max.X, r.view.Rect.Max.Y = at(0), at(1), at(2), at(3)
	return r, r.number != 0 && le.Uint16(p[6:]) == 0 && le.Uint32(p[28:]) == 0 && r.view.check() == ""
}

// checkViews looks whether the views that keys refer to are there.
func (b *base) checkViews(c *checker, kind int, views []byte, grants []uint32) error {
	for i, n := range views {
		if n == 0 {
			continue
		}
		if _, ok := b.viewOf(grants[i], n); !ok {
			return c.fail(ErrFormat, kind, "row %d is of view %d, which is not there", i, n)
		}
	}
	return nil
}

// parseGrants reads what there is one of, or at most one of, for each grant.
func (b *base) parseGrants(c *checker) error {
	grants := c.rows(secSeqs, 8)
	c.expect(secAttrs, 4*grants)
	c.expect(secCases, 16*grants)
	learned, timed := c.rows(secLearned, 16), c.rows(secTimed, 24)
	if grants > maxGrants {
		c.fail(ErrLimit, secSeqs, "%d grants, at most %d are accepted", grants, maxGrants)
	}
	if c.err != nil {
		return c.err
	}
	b.seqs = array[uint64](c.content[secSeqs])
	b.attrs = array[uint32](c.content[secAttrs])
	b.cases = c.content[secCases]
	for i, seq := range b.seqs {
		if seq > b.header.seq || seq == 0 || i > 0 && seq <= b.seqs[i-1] {
			return c.fail(ErrFormat, secSeqs, "grant %d has sequence number %d", i, seq)
		}
		if b.attrs[i]&attrUnknown != 0 || attrPurposes(b.attrs[i])&^allPurposes != 0 || b.attrs[i]>>attrFaces > MaxFaces {
			return c.fail(ErrVersion, secAttrs, "grant %d has unknown attributes %#x", i, b.attrs[i])
		}
	}
	p := c.content[secLearned]
	for i := range learned {
		r := learnedRow{grant: le.Uint32(p[16*i:]), rule: le.Uint64(p[16*i+8:])}
		if int64(r.grant) >= int64(grants) || i > 0 && r.grant <= b.learned[i-1].grant {
			return c.fail(ErrFormat, secLearned, "row %d is of grant %d", i, r.grant)
		}
		if r.rule == 0 || r.rule >= b.seqs[r.grant] {
			return c.fail(ErrFormat, secLearned, "row %d: event %d was learned for rule %d", i, b.seqs[r.grant], r.rule)
		}
		b.learned = append(b.learned, r)
	}
	p = c.content[secTimed]
	for i := range timed {
		r := timedRow{grant: le.Uint32(p[24*i:]), start: int64(le.Uint64(p[24*i+8:])), end: int64(le.Uint64(p[24*i+16:]))}
		if int64(r.grant) >= int64(grants) || i > 0 && r.grant <= b.timedRows[i-1].grant {
			return c.fail(ErrFormat, secTimed, "row %d is of grant %d", i, r.grant)
		}
		b.timedRows = append(b.timedRows, r)
	}
	return nil
}

// checkAttributes compares the attributes of grants with the rows and sets that
// say the same again. Queries look at whichever is at hand.
func (b *base) checkAttributes(c *checker) error {
	var learned, timed, worldwide uint64
	for _, attr := range b.attrs {
		learned += uint64(attr & attrLearned / attrLearned)
		timed += uint64(attr & attrTimed / attrTimed)
		worldwide += uint64(attr & attrWorldwide / attrWorldwide)
	}
	// As many with the attribute as there are rows, and each row of one of them.
	if n := uint64(len(b.learned)); n != learned {
		return c.fail(ErrFormat, secLearned, "%d rows, %d grants are learned", n, learned)
	}
	for _, r := range b.learned {
		if b.attrs[r.grant]&attrLearned == 0 {
			return c.fail(ErrFormat, secLearned, "grant %d is not learned", r.grant)
		}
	}
	if n := uint64(len(b.timedRows)); n != timed || b.timed.GetCardinality() != timed {
		return c.fail(ErrFormat, secTimed, "%d rows, %d in the set, %d grants have times", n, b.timed.GetCardinality(), timed)
	}
	for _, r := range b.timedRows {
		if b.attrs[r.grant]&attrTimed == 0 || !b.timed.Contains(r.grant) {
			return c.fail(ErrFormat, secTimed, "grant %d has no times", r.grant)
		}
	}
	somewhere := roaring.New()
	for t, set := range b.territories {
		if !b.all(set, attrWorldwide, 0) {
			return c.fail(ErrFormat, secSets, "a worldwide grant holds in %v too", t)
		}
		somewhere.Or(set)
	}
	if n := somewhere.GetCardinality() + worldwide; n != uint64(b.len()) {
		return c.fail(ErrFormat, secSets, "%d of %d grants hold anywhere", n, b.len())
	}
	return nil
}

// all reports whether the attributes of all grants in a set are want, where mask
// has ones.
func (b *base) all(set *roaring.Bitmap, mask, want uint32) bool {
	ok := true
	set.Iterate(func(g uint32) bool {
		ok = b.attrs[g]&mask == want
		return ok
	})
	return ok
}

// parseKeyTable reads the keys of addresses and files.
func (b *base) parseKeyTable(c *checker) error {
	keys := c.rows(secKeyLo, 8)
	c.expect(secKeyMid, 4*keys)
	c.expect(secKeyHigh, 2*keys)
	c.expect(secKeyGrants, 4*keys)
	bits := directoryBits(keys)
	top := 0
	if bits < 16 {
		top = 2 * keys
	}
	c.expect(secKeyTop, top)
	c.expect(secDirectory, 4*(1<<bits+1))
	c.expect(secFilter, 8*filterWords(keys))
	if c.err != nil {
		return c.err
	}
	b.shift = uint(64 - bits)
	b.directory = array[uint32](c.content[secDirectory])
	b.keyLo = array[uint64](c.content[secKeyLo])
	b.keyMid = array[uint32](c.content[secKeyMid])
	b.keyHigh = array[uint16](c.content[secKeyHigh])
	b.keyTop = array[uint16](c.content[secKeyTop])
	b.keyGrants = array[uint32](c.content[secKeyGrants])
	before := uint32(0)
	for i, row := range b.directory {
		if row < before || int64(row) > int64(keys) {
			return c.fail(ErrFormat, secDirectory, "entry %d is %d after %d", i, row, before)
		}
		before = row
	}
	if b.directory[0] != 0 || int64(before) != int64(keys) {
		return c.fail(ErrFormat, secDirectory, "does not run from 0 to %d", keys)
	}
	if keys > 0 {
		b.filter = newFilter(array[uint64](c.content[secFilter]))
	}
	return c.checkGrants(secKeyGrants, b.keyGrants, b.len())
}

// maxGrants is the largest number of grants in a list. Numbers of grants,
// with those of the events to come, have 32 bits.
const maxGrants = 1<<31 - 1

// checker compares the lengths of sections and keeps the first error.
type checker struct {
	content *[secLast + 1][]byte
	err     error
}

func (c *checker) fail(cause error, kind int, format string, args ...any) error {
	err := fmt.Errorf("blocklist: snapshot: %s: %s: %w", sectionName(uint32(kind)), fmt.Sprintf(format, args...), cause)
	if c.err == nil {
		c.err = err
	}
	return err
}

// failSegment is fail for an index that does not open.
func (c *checker) failSegment(kind int, err error) error {
	cause := ErrFormat
	if errors.Is(err, phash.ErrSegmentVersion) || errors.Is(err, features.ErrVersion) {
		cause = ErrVersion
	}
	return c.fail(cause, kind, "%v", err)
}

// rows returns the number of rows of a section.
func (c *checker) rows(kind, size int) int {
	n := len(c.content[kind])
	if n%size != 0 {
		c.fail(ErrFormat, kind, "%d bytes are not a multiple of %d", n, size)
	}
	return n / size
}

func (c *checker) expect(kind, size int) {
	if n := len(c.content[kind]); n != size {
		c.fail(ErrFormat, kind, "%d bytes, %d expected", n, size)
	}
}

func (c *checker) checkGrants(kind int, numbers []uint32, grants int) error {
	for i, g := range numbers {
		if int64(g) >= int64(grants) {
			return c.fail(ErrFormat, kind, "row %d is of grant %d of %d", i, g, grants)
		}
	}
	return nil
}

// Kinds of roaring sets.
const (
	setTimed     = 1
	setTerritory = 2
)

func (b *base) parseSets(c *checker) error {
	p := c.content[secSets]
	b.timed = roaring.New()
	b.territories = map[Territory]*roaring.Bitmap{}
	last := -1
	for len(p) > 0 {
		if len(p) < 8 {
			return c.fail(ErrFormat, secSets, "%d bytes are left over", len(p))
		}
		kind, x, y, size := p[0], p[1], p[2], int64(le.Uint32(p[4:]))
		order := int(kind)<<16 | int(x)<<8 | int(y)
		if size > int64(len(p)-8) || p[3] != 0 || order <= last {
			return c.fail(ErrFormat, secSets, "set %d/%d/%d of %d bytes is out of place", kind, x, y, size)
		}
		last = order
		set := roaring.New()
		// roaring believes what it reads: the bytes are bounded and behind a
		// checksum here, and Validate looks for what the checksum cannot know.
		r := bytes.NewReader(p[8 : 8+size])
		if n, err := set.ReadFrom(r); err != nil || n != size {
			return c.fail(ErrFormat, secSets, "set %d/%d/%d: %d of %d bytes read: %v", kind, x, y, n, size, err)
		}
		if err := set.Validate(); err != nil {
			return c.fail(ErrFormat, secSets, "set %d/%d/%d: %v", kind, x, y, err)
		}
		if !set.IsEmpty() && int64(set.Maximum()) >= int64(b.len()) {
			return c.fail(ErrFormat, secSets, "set %d/%d/%d holds grant %d of %d", kind, x, y, set.Maximum(), b.len())
		}
		switch kind {
		case setTimed:
			b.timed = set
		case setTerritory:
			b.territories[Territory{x, y}] = set
		default:
			return c.fail(ErrVersion, secSets, "set of unknown kind %d", kind)
		}
		p = p[8+size:]
	}
	return nil
}

// An exception takes 72 bytes: rule, event, until, then 0 and a digest, or an
// algorithm and the bits of a hash.
const exceptionSize = 72

func (b *base) parseExceptions(c *checker) error {
	if c.rows(secExceptions, exceptionSize) == 0 || c.err != nil {
		return c.err
	}
	b.exceptions = make(map[uint64][]exception)
	for p := c.content[secExceptions]; len(p) > 0; p = p[exceptionSize:] {
		rule := le.Uint64(p)
		e := exception{event: le.Uint64(p[8:]), until: int64(le.Uint64(p[16:]))}
		alg := phash.Algorithm(p[24])
		switch {
		case alg == phash.AlgNone:
			copy(e.file[:], p[32:])
		case !alg.IsValid():
			return c.fail(ErrVersion, secExceptions, "hash of %v", alg)
		default:
			e.hash = hashFromBits(alg, p[32:64])
		}
		b.exceptions[rule] = append(b.exceptions[rule], e)
	}
	return nil
}

func appendException(b []byte, rule uint64, e *exception) []byte {
	start := len(b)
	b = le.AppendUint64(b, rule)
	b = le.AppendUint64(b, e.event)
	b = le.AppendUint64(b, uint64(e.until))
	b = append(b, byte(e.hash.Algorithm()), 0, 0, 0, 0, 0, 0, 0)
	if e.hash.IsZero() {
		b = append(b, e.file[:]...)
	} else {
		b = appendHashBits(b, e.hash)
	}
	return append(b, make([]byte, exceptionSize-(len(b)-start))...)
}

func (b *base) parseHashes(c *checker) error {
	for a := range phash.Algorithms() {
		if err := b.parseHashesOf(c, a); err != nil {
			return err
		}
	}
	return nil
}

func (b *base) parseHashesOf(c *checker, a phash.Algorithm) error {
	part := func(n int) []byte { return c.content[secHash(a, n)] }
	first := secHash(a, hashSegment)
	raw := part(hashSegment)
	n := c.rows(secHash(a, hashGrants), 4)
	c.expect(secHash(a, hashVariants), n)
	for _, column := range []int{hashReach, hashViews} {
		if part(column) != nil {
			c.expect(secHash(a, column), n)
		}
	}
	if len(raw) == 0 && n != 0 {
		c.fail(ErrFormat, first, "is missing")
	}
	if c.err != nil || len(raw) == 0 {
		return c.err
	}
	segment, err := phash.OpenSegment(raw)
	if err != nil {
		return c.failSegment(first, err)
	}
	if segment.Algorithm() != a || segment.Len() != n {
		return c.fail(ErrFormat, first, "%d hashes of %v, %d of %v expected", segment.Len(), segment.Algorithm(), n, a)
	}
	for e := range segment.All() {
		if int64(e.ID) >= int64(n) {
			return c.fail(ErrFormat, first, "entry %d of %d", e.ID, n)
		}
	}
	h := baseHashes{segment, array[uint32](part(hashGrants)), part(hashVariants), part(hashReach), part(hashViews)}
	b.hashes[a] = h
	if err := c.checkGrants(secHash(a, hashGrants), h.grants, b.len()); err != nil {
		return err
	}
	return b.checkViews(c, secHash(a, hashViews), h.views, h.grants)
}

func (b *base) parseFeatures(c *checker) error {
	raw := c.content[secFeatures]
	n := c.rows(secFeatureGrants, 4)
	views := c.content[secFeatureViews]
	if views != nil {
		c.expect(secFeatureViews, n)
	}
	if len(raw) == 0 && n != 0 {
		c.fail(ErrFormat, secFeatures, "are missing")
	}
	if c.err != nil || len(raw) == 0 {
		return c.err
	}
	segment, err := features.OpenSegment(raw)
	if err != nil {
		return c.failSegment(secFeatures, err)
	}
	if segment.Len() != n {
		return c.fail(ErrFormat, secFeatures, "%d pictures, %d expected", segment.Len(), n)
	}
	for i := range n {
		if id := segment.ID(i); int64(id) >= int64(n) {
			return c.fail(ErrFormat, secFeatures, "picture %d of %d", id, n)
		}
	}
	grants := array[uint32](c.content[secFeatureGrants])
	b.features = baseFeatures{segment, grants, views, roaring.BitmapOf(grants...)}
	if err := c.checkGrants(secFeatureGrants, grants, b.len()); err != nil {
		return err
	}
	return b.checkViews(c, secFeatureViews, views, grants)
}

// createdAt is when the snapshot of a base was written.
func (h *header) createdAt() time.Time { return timeOf(h.created) }
