package blocklist

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/staydown/staydown/internal/radius"
	"github.com/staydown/staydown/internal/urlkey"
	"github.com/staydown/staydown/phash"
)

// State is the list at one sequence number. It never changes, except that rules
// begin and end with the clock. It stays usable after the list was closed or
// reloaded. It is safe for concurrent use.
type State struct {
	seq      uint64
	digest   [32]byte // running, at seq
	history  history
	contents uint32   // contains… flags
	purposes Purposes // that are asked for: see For
	queries  *queries // that counts what is asked; nil for none

	publicSuffix func(host string) bool // nil for none
	now          func() time.Time
	keys         *digestKeys
	base         *base

	// What came since the base. dead holds the numbers of grants that have
	// ended; nil if none has.
	grants   []grant
	entries  keyView
	hashes   [phash.NumAlgorithms]hashDelta
	features featureDelta
	faces    []faceIndex // by model
	dead     *roaring.Bitmap
	rules    int // that were not revoked

	// Faces that are searched, of rules that were not revoked; of rules that had
	// not ended when the State was made, the faces whose key is gone, and these
	// rules, ascending.
	liveFaces, lostFaces int
	withoutFaces         []uint64

	// exceptions of the rules that had some added or undone since the base,
	// which replace those of the base.
	exceptions map[uint64][]exception
}

// Hit is a key that was found, and the rule it belongs to.
type Hit struct {
	Rule      uint64   // public id
	Event     uint64   // of the key: the rule's own, or a derived one
	Case      [16]byte // of the rule, as its Kind, Scope and Effect
	Kind      uint8
	Scope     Scope
	Effect    Effect
	Distance  int      // of a hash, in bits
	Variant   uint8    // of a hash, as it was registered
	Reach     Reach    // of a hash, as it was registered
	View      uint8    // of a hash or of features: see State.ViewOf; 0 for none
	Purposes  Purposes // of the rule; zero for every use
	Derived   bool     // the key was derived
	Worldwide bool     // the rule has no territories

	// Similarity of a face: the cosine, from -1 to 1.
	Similarity float64
	// AtBlock reports that the similarity is at least the Block limit with which
	// the face was registered, not only its Review limit.
	AtBlock bool

	// The fields below are set in the hits of a Query only.

	// Here reports that the rule applies in Query.Territory.
	Here bool
	// Old reports that an earlier query could find the hit: its key is not newer
	// than Query.Since, and its rule had begun at Query.SinceTime.
	Old bool
	// HasExceptions reports that the rule has exceptions, and Excepted that one of
	// them is for the picture.
	HasExceptions, Excepted bool
	// Allowed reports that the picture is on the allow list. It is set in hits by a
	// hash, by features and by a face. Which rules the allow list protects the
	// picture from is for the caller to decide.
	Allowed bool
	// HasFeatures is [State.HasFeatures]. It is set in hits by a hash.
	HasFeatures bool

	grant uint32
}

// ExceptionRadius is the distance in bits from an excepted hash of 256 bits up to
// which a hash is taken for the excepted picture. For a hash of 64 bits it is a
// quarter, 1 bit: copies of the registered picture, which the rule is to find, can
// lie within 4 bits of the excepted one. The allow list is wider: see State.IsAllowed.
const ExceptionRadius = 4

// isExcepted reports whether a hash is that of an excepted picture.
func isExcepted(h, excepted phash.Hash) bool {
	d, ok := h.Distance(excepted)
	return ok && d*256 <= ExceptionRadius*h.Algorithm().Bits()
}

// Seq returns the sequence number of the last event in v.
func (v *State) Seq() uint64 { return v.seq }

// Position returns where the list stands, and how it came there.
func (v *State) Position() Position { return Position{v.base.header.Epoch, v.seq, v.digest} }

// For returns the same list for a query about some uses of a picture. It finds
// rules for every use, and rules that have one of the purposes. A State that For
// did not return finds rules for every use only.
func (v *State) For(p Purposes) *State {
	if v.purposes == p {
		return v
	}
	s := *v
	s.purposes = p
	return &s
}

// ViewOf returns the part of a file that the key of a hit of this State was
// computed from; ok is false if it was registered without.
func (v *State) ViewOf(hit Hit) (view View, ok bool) {
	if hit.View == 0 {
		return View{}, false
	}
	if i := int(hit.grant) - v.base.len(); i >= 0 {
		return v.grants[i].views[hit.View-1], true
	}
	return v.base.viewOf(hit.grant, hit.View)
}

// ID returns the random number that identifies this list. It is the same in the
// list, in its snapshots, and after Rekey.
func (v *State) ID() [16]byte { return v.base.header.identity.ID }

// Digest returns the key of an address, in any spelling, in the list of v. It does
// not allocate for canonical addresses, or for those that differ only in their
// http scheme. The error is an *AddressError if the text is not a web address.
//
// For HostAddress the text is a host, for example example.com. For PrefixAddress
// it is a host and the first segments of a path, for example example.com/somebody.
// The error wraps ErrShared if the rule would block many unrelated people: see
// Options.PublicSuffix.
func (v *State) Digest(kind AddressKind, rawURL string) (Digest, error) {
	// One comparison for both ends: of kind 0, kind-1 is 255.
	if kind-1 < 2 {
		if rest, ok := urlkey.Check(rawURL); ok {
			return v.keys.address(kind, rest), nil
		}
	}
	d, err := v.keys.digest(kind, rawURL)
	if err == nil && kind == HostAddress && v.publicSuffix != nil {
		rest, _ := canonicalRest(rawURL)
		if host, _ := splitHost(rest); v.publicSuffix(host) {
			err = fmt.Errorf("blocklist: host: %w", ErrShared)
		}
	}
	if err != nil {
		return Digest{}, err
	}
	return d, nil
}

// FindURL calls yield for every rule in force that covers the address of an image
// or a page, in any spelling: by its own key, or by its host or a prefix of it. If
// the text is not a web address, the error is an *AddressError, and no rule is
// found. FindURL does not allocate for canonical addresses.
func (v *State) FindURL(kind AddressKind, rawURL string, yield func(Hit) bool) error {
	if kind-1 >= 2 {
		return fmt.Errorf("blocklist: %v is not the kind of an address that is asked for", kind)
	}
	rest, ok := urlkey.Check(rawURL)
	if !ok {
		var err error
		if rest, err = canonicalRest(rawURL); err != nil {
			return err
		}
	}
	start := v.queries.begin(tierAddress)
	more := v.find(v.keys.address(kind, rest), yield)
	if v.contents&containsHosts != 0 && more {
		more = eachHost(rest, func(host string) bool { return v.find(v.keys.text(keyHost, host), yield) })
	}
	if v.contents&containsPrefixes != 0 && more {
		eachPrefix(rest, func(prefix string) bool { return v.find(v.keys.text(keyPrefix, prefix), yield) })
	}
	v.queries.end(tierAddress, start)
	runtime.KeepAlive(v)
	return nil
}

// FindAddress calls yield for every rule in force that has the key, in no
// particular order, until yield returns false. It reports whether it came to the
// end. It does not allocate.
func (v *State) FindAddress(d Digest, yield func(Hit) bool) bool {
	start := v.queries.begin(tierAddress)
	ok := v.find(d, yield)
	v.queries.end(tierAddress, start)
	runtime.KeepAlive(v)
	return ok
}

// FindBytes is FindAddress for the SHA-256 of a file.
func (v *State) FindBytes(sha [32]byte, yield func(Hit) bool) bool {
	start := v.queries.begin(tierBytes)
	ok := v.find(v.keys.sum(keySHA256, sha[:]), yield)
	v.queries.end(tierBytes, start)
	runtime.KeepAlive(v)
	return ok
}

// Digests are those of one file. A zero SHA1 or MD5 was not computed.
type Digests struct {
	SHA256 [32]byte
	SHA1   [20]byte
	MD5    [16]byte
}

// What a list contains that a query has to compute something for.
const (
	containsSHA1 = 1 << iota
	containsMD5
	containsHosts
	containsPrefixes

	containsKnown = containsSHA1 | containsMD5 | containsHosts | containsPrefixes
)

// NeedsDigests reports for which digests, beside SHA-256, the list has keys.
func (v *State) NeedsDigests() (sha1, md5 bool) {
	return v.contents&containsSHA1 != 0, v.contents&containsMD5 != 0
}

// FindFile is FindBytes for all digests of a file. A rule that has several of them
// is found once for each.
func (v *State) FindFile(d *Digests, yield func(Hit) bool) bool {
	start := v.queries.begin(tierBytes)
	ok := v.find(v.keys.sum(keySHA256, d.SHA256[:]), yield) &&
		(v.contents&containsSHA1 == 0 || d.SHA1 == [20]byte{} || v.find(v.keys.sum(keySHA1, d.SHA1[:]), yield)) &&
		(v.contents&containsMD5 == 0 || d.MD5 == [16]byte{} || v.find(v.keys.sum(keyMD5, d.MD5[:]), yield))
	v.queries.end(tierBytes, start)
	runtime.KeepAlive(v)
	return ok
}

func (v *State) find(d Digest, yield func(Hit) bool) bool {
	hi, lo := d.halves()
	if v.base.mayHold(hi, lo) {
		for row := v.base.find(hi, lo); row >= 0; row = v.base.findNext(row, hi, lo) {
			if !v.emit(Hit{grant: v.base.keyGrants[row]}, yield) {
				return false
			}
		}
	}
	if !v.entries.mayHold(hi, lo) {
		return true
	}
	for i, slot := v.entries.next(hi, lo, lo); i >= 0; i, slot = v.entries.next(hi, lo, slot) {
		if !v.emit(Hit{grant: v.entries.entries[i].grant}, yield) {
			return false
		}
	}
	return true
}

// FindHash calls yield for every rule in force that holds a hash within radius
// bits of h. It calls yield once for each matching hash, in no particular order,
// until yield returns false. It reports whether it came to the end. The zero Hash
// and a negative radius find nothing. It does not allocate.
func (v *State) FindHash(h phash.Hash, radius int, yield func(Hit) bool) bool {
	if h.IsZero() || radius < 0 {
		return true
	}
	start := v.queries.begin(tierHash)
	a := h.Algorithm()
	ok := true
	if b := &v.base.hashes[a]; b.segment != nil {
		ok = b.segment.Search(h, radius, func(id uint32, distance int) bool {
			return v.emitHash(b, id, distance, yield)
		})
	}
	ok = ok && v.findNewHash(h, radius, yield)
	v.queries.end(tierHash, start)
	runtime.KeepAlive(v)
	return ok
}

// emitHash yields a hit of the base.
func (v *State) emitHash(b *baseHashes, id uint32, distance int, yield func(Hit) bool) bool {
	hit := Hit{Distance: distance, Variant: b.variants[id], grant: b.grants[id]}
	if b.reach != nil {
		hit.Reach = Reach(b.reach[id])
	}
	if !hit.Reach.within(distance) {
		return true
	}
	if b.views != nil {
		hit.View = b.views[id]
	}
	return v.emit(hit, yield)
}

// findNewHash looks among the hashes that came since the base.
func (v *State) findNewHash(h phash.Hash, radius int, yield func(Hit) bool) bool {
	d := &v.hashes[h.Algorithm()]
	return len(d.grants) == 0 || d.search(h, radius, func(id uint32, distance int) bool {
		of := d.of[id]
		return !of.reach.within(distance) ||
			v.emit(Hit{Distance: distance, Variant: of.variant, Reach: of.reach, View: of.view, grant: d.grants[id]}, yield)
	})
}

// FindHashes is FindHash for several hashes of one algorithm: query is the index of
// the hash that a hit belongs to. In lists of many millions of hashes it is faster
// than one after the other.
func (v *State) FindHashes(hs []phash.Hash, radius int, yield func(query int, hit Hit) bool) bool {
	if len(hs) == 0 || hs[0].IsZero() || radius < 0 {
		return true
	}
	start := v.queries.begin(tierHash)
	defer runtime.KeepAlive(v)
	defer v.queries.end(tierHash, start)
	if b := &v.base.hashes[hs[0].Algorithm()]; b.segment != nil {
		if !b.segment.SearchAll(hs, radius, func(query int, id uint32, distance int) bool {
			return v.emitHash(b, id, distance, func(h Hit) bool { return yield(query, h) })
		}) {
			return false
		}
	}
	for i, h := range hs {
		if !v.findNewHash(h, radius, func(h Hit) bool { return yield(i, h) }) {
			return false
		}
	}
	return true
}

// emit yields a hit of which the grant is known, and how near it is, if the
// grant is in force.
func (v *State) emit(h Hit, yield func(Hit) bool) bool {
	g := h.grant
	if v.dead != nil && v.dead.Contains(g) {
		return true
	}
	var attr uint32
	if b := v.base; int(g) < b.len() {
		attr = b.attrs[g]
		h.Event, h.Rule = b.seqs[g], b.seqs[g]
		copy(h.Case[:], b.cases[16*int(g):])
		if attr&attrLearned != 0 {
			h.Rule = b.learnedFor(g)
		}
		if b.timed.Contains(g) {
			if start, end := b.times(g); !within(v.now(), start, end) {
				return true
			}
		}
	} else {
		d := &v.grants[int(g)-b.len()]
		attr = d.attr
		h.Event, h.Rule, h.Case = d.seq, d.rule, d.caseID
		if attr&attrTimed != 0 && !within(v.now(), d.start, d.end) {
			return true
		}
	}
	h.Kind, h.Scope, h.Effect, h.Purposes = uint8(attr), attrScope(attr), attrEffect(attr), attrPurposes(attr)
	if h.Purposes != 0 && h.Purposes&v.purposes == 0 {
		return true
	}
	h.Derived = attr&attrLearned != 0
	h.Worldwide = attr&attrWorldwide != 0
	return yield(h)
}

func within(now time.Time, start, end int64) bool {
	t := now.Unix()
	return t >= start && (end == 0 || t < end)
}

// InForceIn reports whether the rule of a hit of this State holds in t.
func (v *State) InForceIn(hit Hit, t Territory) bool {
	if hit.Worldwide {
		return true
	}
	if b := v.base; int(hit.grant) >= b.len() {
		return slices.Contains(v.grants[int(hit.grant)-b.len()].territories, t)
	}
	set := v.base.territories[t]
	return set != nil && set.Contains(hit.grant)
}

// exception is a picture that a rule must leave alone, by file or by hash.
type exception struct {
	event uint64
	until int64      // seconds since 1970; 0 is never
	hash  phash.Hash // zero for a file
	file  Digest
}

// HasException reports whether the rule of a hit has an exception for a picture.
// Its file (sha may be nil) is excepted, or one of its hashes is within
// ExceptionRadius of an excepted hash.
func (v *State) HasException(hit Hit, sha *[32]byte, hashes []phash.Hash) bool {
	return v.excepts(v.exceptionsOf(hit.Rule), sha, hashes)
}

// excepts reports whether one of the exceptions of a rule is for a picture.
func (v *State) excepts(list []exception, sha *[32]byte, hashes []phash.Hash) bool {
	if len(list) == 0 {
		return false
	}
	var file Digest
	if sha != nil {
		file = v.keys.sum(keySHA256, sha[:])
	}
	for i := range list {
		e := &list[i]
		match := false
		if e.hash.IsZero() {
			match = sha != nil && e.file == file
		} else {
			for _, h := range hashes {
				match = match || isExcepted(h, e.hash)
			}
		}
		if match && (e.until == 0 || v.now().Unix() < e.until) {
			return true
		}
	}
	return false
}

// AllowedDistance returns the distance in bits from a picture to the nearest one
// that is excepted from all rules (the allow list). It is 0 for an excepted file
// (sha may be nil), otherwise the distance of the nearest hash. ok is false when
// there is nothing to compare.
//
// It compares with each of them, some 5 ns for each, and does not allocate. The
// caller decides which rules a picture on the allow list is protected from.
func (v *State) AllowedDistance(sha *[32]byte, h phash.Hash) (bits int, ok bool) {
	list := v.exceptionsOf(0)
	if len(list) == 0 {
		return 0, false
	}
	var file Digest
	if sha != nil {
		file = v.keys.sum(keySHA256, sha[:])
	}
	bits = h.Algorithm().Bits() + 1
	for i := range list {
		e := &list[i]
		d, comparable := 0, sha != nil && e.file == file
		if !e.hash.IsZero() {
			d, comparable = e.hash.Distance(h)
		}
		if comparable && d < bits && (e.until == 0 || v.now().Unix() < e.until) {
			bits, ok = d, true
		}
	}
	return bits, ok
}

// IsAllowed reports whether a picture is on the allow list: its file (sha may be
// nil), or a hash within phash.Radii.Near of h, which is 10 bits of 256 and 4 bits of
// 64. Exceptions from single rules reach as far as ExceptionRadius.
func (v *State) IsAllowed(sha *[32]byte, h phash.Hash) bool {
	bits, ok := v.AllowedDistance(sha, h)
	return ok && bits <= radius.OfCommon(h)
}

func (v *State) exceptionsOf(rule uint64) []exception {
	if list, ok := v.exceptions[rule]; ok {
		return list
	}
	return v.base.exceptions[rule]
}

// RuleState reports whether a rule holds.
type RuleState uint8

const (
	RuleInForce   RuleState = iota + 1
	RuleScheduled           // its Start is to come
	RuleExpired             // its End has passed
	RuleRevoked
)

// String returns "in force", "scheduled", "expired", "revoked" or "RuleState(n)".
func (s RuleState) String() string {
	if names := [...]string{"", "in force", "scheduled", "expired", "revoked"}; s > 0 && int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("RuleState(%d)", uint8(s))
}

// Rule returns a rule and its state. The rule has no keys, which only the journal
// has. A revoked rule is removed by the next compaction or snapshot. ok is then
// false, as it is for a number that is not a rule's.
func (v *State) Rule(id uint64) (r Rule, state RuleState, ok bool) {
	defer runtime.KeepAlive(v)
	g, found := v.grantOf(id)
	if !found {
		return Rule{}, 0, false
	}
	d := v.grantAt(g)
	if d.attr&attrLearned != 0 {
		return Rule{}, 0, false
	}
	r = Rule{
		Kind: uint8(d.attr), Scope: attrScope(d.attr), Effect: attrEffect(d.attr), Case: d.caseID,
		Start: timeOf(d.start), End: timeOf(d.end), Territories: d.territories, Purposes: attrPurposes(d.attr),
	}
	now := v.now().Unix()
	switch {
	case v.isDead(g):
		state = RuleRevoked
	case now < d.start:
		state = RuleScheduled
	case d.end != 0 && now >= d.end:
		state = RuleExpired
	default:
		state = RuleInForce
	}
	return r, state, true
}

func (v *State) isDead(g uint32) bool { return v.dead != nil && v.dead.Contains(g) }

// grantOf returns the number of the grant that event seq made.
func (v *State) grantOf(seq uint64) (g uint32, ok bool) {
	defer runtime.KeepAlive(v)
	if i, ok := slices.BinarySearch(v.base.seqs, seq); ok {
		return uint32(i), true
	}
	i, ok := slices.BinarySearchFunc(v.grants, seq, func(d grant, seq uint64) int { return cmp.Compare(d.seq, seq) })
	return uint32(v.base.len() + i), ok
}

// grantAt returns a grant of the base or of what came since, with territories
// of its own.
func (v *State) grantAt(g uint32) grant {
	if i := int(g) - v.base.len(); i >= 0 {
		d := v.grants[i]
		d.territories = slices.Clone(d.territories)
		return d
	}
	return v.base.grant(g)
}

// HashCount returns the number of hashes of an algorithm that are indexed,
// those of rules that have ended since the last compaction included.
func (v *State) HashCount(alg phash.Algorithm) int {
	if !alg.IsValid() {
		return 0
	}
	n := len(v.hashes[alg].grants)
	if s := v.base.hashes[alg].segment; s != nil {
		n += s.Len()
	}
	return n
}

// SnapshotTime returns when the snapshot that the list is based on was written, to
// the second. It returns the zero Time if there is no snapshot.
func (v *State) SnapshotTime() time.Time { return v.base.header.createdAt() }

// Counts are the sizes of a list.
type Counts struct {
	Rules int // that were not revoked
	// Keys that are indexed, those of rules that have ended since the last
	// compaction included.
	Addresses int // and files
	Hashes    int
	Features  int // pictures
	Faces     int
}

// Counts returns how much there is in the list.
func (v *State) Counts() Counts {
	c := Counts{Rules: v.rules, Addresses: len(v.base.keyGrants) + len(v.entries.entries), Features: len(v.features.grants)}
	for a := range phash.Algorithms() {
		c.Hashes += v.HashCount(a)
	}
	if s := v.base.features.segment; s != nil {
		c.Features += s.Len()
	}
	for i := range v.faces {
		c.Faces += len(v.faces[i].base.rows) + len(v.faces[i].rows)
	}
	return c
}
