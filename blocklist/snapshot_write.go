package blocklist

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"maps"
	"runtime"
	"slices"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/staydown/staydown/internal/features"
	"github.com/staydown/staydown/phash"
)

// writeOptions say how a snapshot is written.
type writeOptions struct {
	created    time.Time
	signingKey ed25519.PrivateKey // nil leaves it unsigned
	encryption *EncryptionKey     // nil leaves it as it is
	faceKeys   []faceKey          // ascending
	publish    bool               // the file is for others, and may replace one that was
	settled    int64              // up to when the clock is certain; 0 for the State's own clock
	// What the clock ended by then is left out, and rules that have ended.
	endedBefore int64
	without     []uint64
	// faceLifetime, unless 0, is how long readers may use the faces, whose keys
	// the snapshot then carries.
	faceLifetime time.Duration
}

// writeSnapshot writes the list as v shows it: only what was not revoked or undone, with
// the grants numbered anew. It writes the columns of the big tables side by
// side and never holds them in memory, unless the snapshot is to be encrypted:
// then no byte of it comes to the disk before.
func writeSnapshot(w io.WriterAt, v *State, o *writeOptions) error {
	if v.base.len()+len(v.grants) > maxGrants {
		return fmt.Errorf("blocklist: snapshot of %d grants, at most %d are possible: %w", v.base.len()+len(v.grants), maxGrants, ErrLimit)
	}
	// The arrays that are written may go with the base of v.
	defer runtime.KeepAlive(v)
	s := newSnapshotWriter(v, o)
	if s.err != nil {
		return s.err
	}
	if o.encryption == nil {
		return s.write(w)
	}
	mem := newMemory(s.header.size)
	defer mem.release()
	err := s.write(mem)
	if err == nil {
		err = writeSealed(w, mem.data, o.encryption)
	}
	if s.faces.until != 0 {
		clear(mem.data) // it holds keys
	}
	return err
}

// snapshotInMemory returns what New would read in the snapshot of a moment.
func snapshotInMemory(m *moment, o *writeOptions) (*base, error) {
	defer runtime.KeepAlive(m.view)
	s := newSnapshotWriter(m.view, o)
	if s.err != nil {
		return nil, s.err
	}
	mem := newMemory(s.header.size)
	err := s.write(mem)
	var b *base
	if err == nil {
		head := slices.Clone(mem.data[:min(len(mem.data), headerSize+tableSize(maxSections))])
		b, err = parseSnapshot(nil, mem, head, &LoadOptions{}, false)
	}
	if err != nil {
		mem.release()
	}
	return b, err
}

func (s *snapshotWriter) write(w io.WriterAt) error {
	s.w = w
	for _, c := range s.columns {
		if c != nil {
			c.w = w
		}
	}
	s.writeGrants()
	s.writeKeys()
	s.writeWhole(secLearned, s.learned)
	s.writeWhole(secTimed, s.timed)
	s.writeWhole(secSets, s.sets)
	s.writeWhole(secExceptions, s.exceptions)
	s.writeWhole(secHistory, s.history)
	s.writeWhole(secViews, s.views)
	for a := range phash.Algorithms() {
		for i, p := range s.hashes[a] {
			s.writeWhole(secHash(a, i), p)
		}
	}
	s.writeWhole(secFeatures, s.features)
	s.writeWhole(secFeatureGrants, s.featureGrants)
	s.writeWhole(secFeatureViews, s.featureViews)
	s.writeFaces()
	return s.finish()
}

type snapshotWriter struct {
	settled int64 // up to when the clock is certain
	w       io.WriterAt
	v       *State
	key     ed25519.PrivateKey
	header  header

	// numbers holds for every grant its new number, gone for those that have
	// ended. nil means that all stay as they are.
	numbers []uint32
	grants  int
	keys    int

	// Sections that are small, or have to be whole before they are written.
	learned, timed, sets, exceptions      []byte
	history, views                        []byte
	hashes                                [phash.NumAlgorithms][hashSections][]byte
	features, featureGrants, featureViews []byte
	faces                                 faceWriter

	rawHeader []byte
	sections  []section
	columns   [secLast + 1]*column
	err       error
}

const gone = ^uint32(0)

func newSnapshotWriter(v *State, o *writeOptions) *snapshotWriter {
	key := o.signingKey
	s := &snapshotWriter{v: v, key: key, settled: cmp.Or(o.settled, v.now().Unix())}
	s.header = header{identity: v.base.header.identity, seq: v.seq, digest: v.digest, contents: v.contents, created: o.created.Unix()}
	s.number(o)
	s.countKeys()
	s.collectSets()
	s.collectExceptions(o)
	s.collectViews()
	for _, tag := range v.history.recent() {
		s.history = le.AppendUint64(s.history, tag)
	}
	for a := range phash.Algorithms() {
		s.collectHashes(a)
	}
	s.collectFeatures()
	s.collectFaces(o)

	bits := directoryBits(s.keys)
	var length [secLast + 1]int64
	for kind, n := range map[int]int{
		secSeqs: 8 * s.grants, secAttrs: 4 * s.grants, secCases: 16 * s.grants,
		secLearned: len(s.learned), secTimed: len(s.timed), secSets: len(s.sets),
		secDirectory: 4 * (1<<bits + 1),
		secKeyLo:     8 * s.keys, secKeyMid: 4 * s.keys, secKeyHigh: 2 * s.keys, secKeyGrants: 4 * s.keys,
		secFilter: 8 * filterWords(s.keys), secExceptions: len(s.exceptions),
		secHistory: len(s.history), secViews: len(s.views),
		secFeatures: len(s.features), secFeatureGrants: len(s.featureGrants), secFeatureViews: len(s.featureViews),
	} {
		length[kind] = int64(n)
	}
	length[secFaces], length[secFaceKeys] = s.faces.sizes()
	if bits < 16 {
		length[secKeyTop] = 2 * int64(s.keys)
	}
	if key != nil {
		length[secSignature] = signatureSize
	}
	for a := range phash.Algorithms() {
		for i, p := range s.hashes[a] {
			length[secHash(a, i)] = int64(len(p))
		}
	}
	for _, n := range length {
		if n > 0 {
			s.header.sections++
		}
	}
	at := int64(headerSize + tableSize(s.header.sections))
	for kind, n := range length {
		if n == 0 {
			continue
		}
		at = (at + sectionAlign - 1) / sectionAlign * sectionAlign
		s.sections = append(s.sections, section{kind: uint32(kind), offset: at, length: n})
		at += n
	}
	s.header.size = at
	s.rawHeader = s.header.append(nil)
	for _, sec := range s.sections {
		c := &column{at: sec.offset, crc: sectionSeed(s.rawHeader, sec.kind)}
		if key != nil {
			c.hash = sha256.New()
		}
		s.columns[sec.kind] = c
	}
	return s
}

// number gives the grants that stay their new numbers.
func (s *snapshotWriter) number(o *writeOptions) {
	total := s.v.base.len() + len(s.v.grants)
	s.grants = total
	forgotten := s.forgotten(o)
	if len(forgotten) == 0 && (s.v.dead == nil || s.v.dead.IsEmpty()) {
		return
	}
	s.numbers = make([]uint32, total)
	for _, g := range forgotten {
		s.numbers[g] = gone
	}
	if s.v.dead != nil {
		for i := s.v.dead.Iterator(); i.HasNext(); {
			s.numbers[i.Next()] = gone
		}
	}
	n := uint32(0)
	for i := range s.numbers {
		if s.numbers[i] != gone {
			s.numbers[i] = n
			n++
		}
	}
	s.grants = int(n)
}

// forgotten returns the grants that the clock has ended and that are left out.
func (s *snapshotWriter) forgotten(o *writeOptions) (out []uint32) {
	now := o.created.Unix()
	over := func(g uint32, rule uint64, end int64) {
		if end != 0 && end <= now && (end <= o.endedBefore && o.endedBefore != 0 || slices.Contains(o.without, rule)) {
			out = append(out, g)
		}
	}
	b := s.v.base
	for _, r := range b.timedRows {
		rule := b.seqs[r.grant]
		if b.attrs[r.grant]&attrLearned != 0 {
			rule = b.learnedFor(r.grant)
		}
		over(r.grant, rule, r.end)
	}
	for i := range s.v.grants {
		d := &s.v.grants[i]
		over(uint32(b.len()+i), d.rule, d.end)
	}
	return out
}

// newNumber returns the new number of a grant; ok is false if it has ended.
func (s *snapshotWriter) newNumber(g uint32) (n uint32, ok bool) {
	if s.numbers == nil {
		return g, true
	}
	n = s.numbers[g]
	return n, n != gone
}

func (s *snapshotWriter) countKeys() {
	s.keys = len(s.v.base.keyGrants) + len(s.v.entries.entries)
	if s.numbers == nil {
		return
	}
	for _, g := range s.v.base.keyGrants {
		if s.numbers[g] == gone {
			s.keys--
		}
	}
	for i := range s.v.entries.entries {
		if s.numbers[s.v.entries.entries[i].grant] == gone {
			s.keys--
		}
	}
}

// collectSets makes the rows of learned and timed grants and the roaring sets.
func (s *snapshotWriter) collectSets() {
	b := s.v.base
	for _, r := range b.learned {
		if n, ok := s.newNumber(r.grant); ok {
			s.learned = appendLearned(s.learned, n, r.rule)
		}
	}
	for _, r := range b.timedRows {
		if n, ok := s.newNumber(r.grant); ok {
			s.timed = appendTimed(s.timed, n, r.start, r.end)
		}
	}
	timed, territories := s.renumber(b.timed), map[Territory]*roaring.Bitmap{}
	for t, set := range b.territories {
		territories[t] = s.renumber(set)
	}
	for i := range s.v.grants {
		d := &s.v.grants[i]
		n, ok := s.newNumber(uint32(b.len() + i))
		if !ok {
			continue
		}
		if d.attr&attrLearned != 0 {
			s.learned = appendLearned(s.learned, n, d.rule)
		}
		if d.attr&attrTimed != 0 {
			s.timed = appendTimed(s.timed, n, d.start, d.end)
			timed.Add(n)
		}
		for _, t := range d.territories {
			setOf(territories, t).Add(n)
		}
	}
	s.appendSet(setTimed, 0, 0, timed)
	for _, t := range slices.SortedFunc(maps.Keys(territories), compareTerritories) {
		s.appendSet(setTerritory, t.a, t.b, territories[t])
	}
}

func appendLearned(b []byte, g uint32, rule uint64) []byte {
	b = le.AppendUint32(b, g)
	b = le.AppendUint32(b, 0)
	return le.AppendUint64(b, rule)
}

func appendTimed(b []byte, g uint32, start, end int64) []byte {
	b = le.AppendUint32(b, g)
	b = le.AppendUint32(b, 0)
	b = le.AppendUint64(b, uint64(start))
	return le.AppendUint64(b, uint64(end))
}

func setOf(m map[Territory]*roaring.Bitmap, t Territory) *roaring.Bitmap {
	set := m[t]
	if set == nil {
		set = roaring.New()
		m[t] = set
	}
	return set
}

func (s *snapshotWriter) renumber(set *roaring.Bitmap) *roaring.Bitmap {
	if s.numbers == nil {
		return set.Clone()
	}
	out := roaring.New()
	for i := set.Iterator(); i.HasNext(); {
		if n, ok := s.newNumber(i.Next()); ok {
			out.Add(n)
		}
	}
	return out
}

func (s *snapshotWriter) appendSet(kind, x, y byte, set *roaring.Bitmap) {
	if set.IsEmpty() {
		return
	}
	set.RunOptimize()
	raw, err := set.ToBytes()
	if err != nil && s.err == nil {
		s.err = err
	}
	s.sets = append(s.sets, kind, x, y, 0)
	s.sets = le.AppendUint32(s.sets, uint32(len(raw)))
	s.sets = append(s.sets, raw...)
}

// collectExceptions leaves out those of rules that are left out, and those that
// ended when these could have.
func (s *snapshotWriter) collectExceptions(o *writeOptions) {
	rules := slices.Collect(maps.Keys(s.v.base.exceptions))
	for rule := range s.v.exceptions {
		if _, ok := s.v.base.exceptions[rule]; !ok {
			rules = append(rules, rule)
		}
	}
	slices.Sort(rules)
	for _, rule := range rules {
		if g, ok := s.v.grantOf(rule); ok && !s.stays(g) {
			continue
		}
		list := s.v.exceptionsOf(rule)
		for i := range list {
			if until := list[i].until; until == 0 || until > o.endedBefore || o.endedBefore == 0 {
				s.exceptions = appendException(s.exceptions, rule, &list[i])
			}
		}
	}
}

// collectViews makes the rows of views, ascending by grant.
func (s *snapshotWriter) collectViews() {
	for _, r := range s.v.base.views {
		if n, ok := s.newNumber(r.grant); ok {
			r.grant = n
			s.views = appendView(s.views, &r)
		}
	}
	for i := range s.v.grants {
		if n, ok := s.newNumber(uint32(s.v.base.len() + i)); ok {
			for k, v := range s.v.grants[i].views {
				s.views = appendView(s.views, &viewRow{v, n, uint8(k + 1)})
			}
		}
	}
}

// someOf returns a column, nil if it is all zero.
func someOf(column []byte) []byte {
	if len(column) == bytes.Count(column, []byte{0}) {
		return nil
	}
	return column
}

func (s *snapshotWriter) collectHashes(a phash.Algorithm) {
	base, delta := &s.v.base.hashes[a], &s.v.hashes[a]
	var entries []phash.Entry
	var grants, variants, reach, views []byte
	add := func(h phash.Hash, g uint32, of hashProperties) {
		if n, ok := s.newNumber(g); ok {
			entries = append(entries, phash.Entry{Hash: h, ID: uint32(len(entries))})
			grants = le.AppendUint32(grants, n)
			variants, reach, views = append(variants, of.variant), append(reach, byte(of.reach)), append(views, of.view)
		}
	}
	if base.segment != nil {
		for e := range base.segment.All() {
			add(e.Hash, base.grants[e.ID], base.of(e.ID))
		}
	}
	for _, r := range delta.runs {
		for e := range r.All() {
			add(e.Hash, delta.grants[e.ID], delta.of[e.ID])
		}
	}
	first := len(delta.grants) - len(delta.tail)
	for i, h := range delta.tail {
		add(h, delta.grants[first+i], delta.of[first+i])
	}
	if len(entries) == 0 {
		return
	}
	segment, err := phash.NewSegment(a, entries)
	if err != nil {
		s.err = cmp.Or(s.err, err)
		return
	}
	raw, err := segment.AppendBinary(nil)
	s.err = cmp.Or(s.err, err)
	s.hashes[a] = [hashSections][]byte{raw, grants, variants, someOf(reach), someOf(views)}
}

// collectFeatures leaves out those of rules whose time is over: they show pictures
// that nobody is kept from any more.
func (s *snapshotWriter) collectFeatures() {
	var entries []features.Entry
	add := func(segment *features.Segment, grants []uint32, views []byte) {
		for e := range segment.All() {
			if n, ok := s.newNumber(grants[e.ID]); ok && !s.v.hasEnded(grants[e.ID], s.settled) {
				entries = append(entries, features.Entry{Features: e.Features, ID: uint32(len(entries))})
				s.featureGrants = le.AppendUint32(s.featureGrants, n)
				view := byte(0)
				if views != nil {
					view = views[e.ID]
				}
				s.featureViews = append(s.featureViews, view)
			}
		}
	}
	if b := &s.v.base.features; b.segment != nil {
		add(b.segment, b.grants, b.views)
	}
	for r := range s.v.features.segments() {
		add(r, s.v.features.grants, s.v.features.views)
	}
	s.featureViews = someOf(s.featureViews)
	if len(entries) == 0 {
		return
	}
	segment, err := features.NewSegment(entries)
	if err != nil {
		s.err = cmp.Or(s.err, err)
		return
	}
	s.features = segment.Bytes()
}

// writeGrants writes the columns of the grants.
func (s *snapshotWriter) writeGrants() {
	seqs, attrs, cases := s.columns[secSeqs], s.columns[secAttrs], s.columns[secCases]
	b := s.v.base
	for g := range b.len() {
		if _, ok := s.newNumber(uint32(g)); ok {
			seqs.u64(b.seqs[g])
			attrs.u32(b.attrs[g])
			cases.bytes(b.cases[16*g : 16*g+16])
		}
	}
	for i := range s.v.grants {
		if _, ok := s.newNumber(uint32(b.len() + i)); ok {
			d := &s.v.grants[i]
			seqs.u64(d.seq)
			attrs.u32(d.attr)
			cases.bytes(d.caseID[:])
		}
	}
}

// writeKeys merges the keys of the base, which are sorted, with those that
// came since, and writes them with their directory and filter.
func (s *snapshotWriter) writeKeys() {
	since := slices.Clone(s.v.entries.entries)
	slices.SortFunc(since, func(a, b keyEntry) int {
		return cmp.Or(cmp.Compare(a.hi, b.hi), cmp.Compare(a.lo, b.lo), cmp.Compare(a.grant, b.grant))
	})
	shift := uint(64 - directoryBits(s.keys))
	directory, filterColumn := s.columns[secDirectory], s.columns[secFilter]
	lo, mid, high, top, grants := s.columns[secKeyLo], s.columns[secKeyMid], s.columns[secKeyHigh], s.columns[secKeyTop], s.columns[secKeyGrants]
	words := make([]uint64, filterWords(s.keys))
	var f filter
	if s.keys > 0 {
		f = newFilter(words)
	}
	row, bucket := uint32(0), uint64(0)
	directory.u32(0)
	put := func(e *keyEntry) {
		g, ok := s.newNumber(e.grant)
		if !ok {
			return
		}
		for ; bucket < e.hi>>shift; bucket++ {
			directory.u32(row)
		}
		lo.u64(e.lo)
		mid.u32(uint32(e.hi))
		high.u16(uint16(e.hi >> 32))
		if top != nil {
			top.u16(uint16(e.hi >> 48))
		}
		grants.u32(g)
		f.add(e.hi, e.lo)
		row++
	}
	s.v.base.eachKey(func(e keyEntry) bool {
		for len(since) > 0 && (since[0].hi < e.hi || since[0].hi == e.hi && since[0].lo < e.lo) {
			put(&since[0])
			since = since[1:]
		}
		put(&e)
		return true
	})
	for i := range since {
		put(&since[i])
	}
	for ; bucket < 1<<(64-shift); bucket++ {
		directory.u32(row)
	}
	for _, w := range words {
		filterColumn.u64(w)
	}
}

func (s *snapshotWriter) writeWhole(kind int, p []byte) {
	if len(p) > 0 {
		s.columns[kind].bytes(p)
	}
}

// finish writes what is buffered, then the table, and last the header: a file
// without its end has no magic.
func (s *snapshotWriter) finish() error {
	if s.key != nil {
		s.sign()
	}
	table := slices.Clone(s.rawHeader)
	for i := range s.sections {
		sec := &s.sections[i]
		c := s.columns[sec.kind]
		c.flush()
		s.err = cmp.Or(s.err, c.err)
		if s.err == nil && c.at != sec.offset+sec.length {
			s.err = fmt.Errorf("blocklist: snapshot: %s ends at %d, not %d", sectionName(sec.kind), c.at, sec.offset+sec.length)
		}
		sec.crc = c.crc
		table = sec.append(table)
	}
	if s.err != nil {
		return s.err
	}
	table = le.AppendUint32(table, tableChecksum(table))
	table = append(table, 0, 0, 0, 0)
	if _, err := s.w.WriteAt(table[headerSize:], headerSize); err != nil {
		return err
	}
	_, err := s.w.WriteAt(table[:headerSize], 0)
	return err
}

// sign writes the signature section, after all others.
func (s *snapshotWriter) sign() {
	hashes := make([][sha256.Size]byte, len(s.sections))
	for i := range s.sections {
		sec := &s.sections[i]
		if sec.kind == secSignature {
			continue
		}
		c := s.columns[sec.kind]
		c.flush()
		sec.crc = c.crc
		c.hash.Sum(hashes[i][:0])
	}
	s.columns[secSignature].bytes(sign(s.key, signedMessage(s.rawHeader, s.sections, hashes)))
}

// column buffers what is written to one section and computes its checksum.
type column struct {
	w    io.WriterAt
	at   int64
	crc  uint32
	hash hash.Hash // nil when the snapshot is not signed
	buf  []byte
	err  error
}

const columnBuffer = 1 << 18

func (c *column) u64(x uint64) { c.buf = le.AppendUint64(c.room(), x) }
func (c *column) u32(x uint32) { c.buf = le.AppendUint32(c.room(), x) }
func (c *column) u16(x uint16) { c.buf = le.AppendUint16(c.room(), x) }

func (c *column) bytes(p []byte) {
	if len(p) < columnBuffer/4 {
		c.buf = append(c.room(), p...)
		return
	}
	c.flush()
	c.write(p)
}

// room returns the buffer with space for at least a quarter of its size.
func (c *column) room() []byte {
	if c.buf == nil {
		c.buf = make([]byte, 0, columnBuffer)
	}
	if len(c.buf) > columnBuffer*3/4 {
		c.flush()
	}
	return c.buf
}

func (c *column) flush() {
	if len(c.buf) > 0 {
		c.write(c.buf)
		c.buf = c.buf[:0]
	}
}

func (c *column) write(p []byte) {
	c.crc = crc32.Update(c.crc, castagnoli, p)
	if c.hash != nil {
		c.hash.Write(p)
	}
	if c.err == nil {
		_, c.err = c.w.WriteAt(p, c.at)
	}
	c.at += int64(len(p))
}
