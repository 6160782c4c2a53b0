package takedown

import (
	"crypto/ed25519"
	"iter"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/counts"
	"github.com/staydown/staydown/internal/features"
	"github.com/staydown/staydown/internal/radius"
	"github.com/staydown/staydown/phash"
)

// EnforcerOptions are the options of an [Enforcer]. The zero value, and nil,
// are the defaults.
type EnforcerOptions struct {
	// BlockRadius is the distance in bits up to which a PDQ hash is a copy of a
	// registered picture; 0 means phash.BlockRadius. A ranker with a long list
	// may want 31: docs/benchmarks.md has what a search costs at each radius, and
	// docs/accuracy.md what it finds. At most 64.
	//
	// ReviewRadius is the distance up to which it may be one; Check, which looks
	// that far, answers [Review]. 0 means phash.ReviewRadius, and a radius not
	// above BlockRadius means that there is no such band. At most 64.
	BlockRadius, ReviewRadius int
	// MaxAge is the age from which a list is too old to say that something is
	// not blocked; 0 means that no list is. The age is counted from when the
	// snapshot was written; a Desk's own list is never old.
	MaxAge time.Duration
	// Stale is the verdict that replaces [Allow] when the list is too old, and
	// also when a candidate has faces that the list could not compare, because
	// its snapshot is older than its faces may be used (see [Enforcer.FacesUntil])
	// or their keys are missing.
	// It must be set, to StaleUnknown or one of the others, when MaxAge is. Where
	// it is not, the answer about such faces is Allow, and Decision.Checked tells.
	Stale Stale
	// Map makes Load use the file in place, mapped into memory: it opens faster
	// and shares its memory with other processes. The file must then never be
	// changed or cut in place, only replaced as Publish does it. Without Map the
	// file is copied, and may be treated in any way.
	Map bool
	// IgnoreAllowList looks also at pictures on the allow list as at any other: for
	// a preview of what the list of them hides.
	IgnoreAllowList bool
	// TrustedKeys, if there are any, are the keys of which one must have signed
	// what Load and Reload read. EncryptionKey, unless nil, is the key that it
	// is encrypted with. A desk takes its own from desk.Options.
	TrustedKeys   []ed25519.PublicKey
	EncryptionKey *blocklist.EncryptionKey
	// Now is the clock; nil is time.Now. Tests set it.
	Now func() time.Time
}

// Stale says what a list that is older than EnforcerOptions.MaxAge, or than its
// faces may be used, answers about what it does not block. What it does block
// stays blocked.
type Stale uint8

const (
	StaleUnknown Stale = 1 // Unknown: the caller decides
	StaleAllow   Stale = 2 // Allow: fail open
	StaleBlock   Stale = 3 // Block: fail closed
)

// Enforcer answers whether an image is blocked. It is safe for concurrent use;
// its queries take no lock, do no I/O and allocate nothing for canonical
// addresses, except one counting table per day.
type Enforcer struct {
	list    *blocklist.List
	now     func() time.Time
	radii   radius.Radii
	maxAge  time.Duration // 0 for a desk's own list, and for none
	stale   Stale         // 0 for none
	foreign bool          // the list is closed by whoever opened it
	bare    bool          // without the allow list
	closed  atomic.Bool
	counter counts.Counter
}

// Load opens a snapshot that desk.Desk.Publish wrote, read-only. [Enforcer.Reload]
// looks for its successors. What is refused wraps an error of package blocklist
// that says why: ErrNotSnapshot, ErrVersion, ErrTruncated, ErrChecksum, ErrKey
// and others.
func Load(path string, opts *EnforcerOptions) (*Enforcer, error) {
	if opts == nil {
		opts = new(EnforcerOptions)
	}
	e, err := newEnforcer(opts)
	if err != nil {
		return nil, err
	}
	if e.list, err = blocklist.Load(path, &blocklist.LoadOptions{
		Now: opts.Now, Map: opts.Map, TrustedKeys: opts.TrustedKeys, EncryptionKey: opts.EncryptionKey,
	}); err != nil {
		return nil, err
	}
	return e, nil
}

// NewEnforcer returns an enforcer over a list that the caller has opened, as one
// that follows a journal. The options about files have no meaning. Whoever opened the list closes it; queries then answer
// [Unknown].
func NewEnforcer(list *blocklist.List, opts *EnforcerOptions) (*Enforcer, error) {
	if list == nil {
		return nil, badArgument("NewEnforcer, list", "it is nil")
	}
	e, err := newEnforcer(opts)
	if err != nil {
		return nil, err
	}
	e.list, e.foreign = list, true
	return e, nil
}

// Check returns what is wrong with the options, an [*ArgumentError], or nil.
func (o *EnforcerOptions) Check() error {
	for _, r := range []struct {
		name   string
		radius int
	}{{"BlockRadius", o.BlockRadius}, {"ReviewRadius", o.ReviewRadius}} {
		if r.radius < 0 || r.radius > radius.Max {
			return badArgument("EnforcerOptions."+r.name, "1 to %d bits, or 0 for the default, not %d", radius.Max, r.radius)
		}
	}
	if o.MaxAge < 0 {
		return badArgument("EnforcerOptions.MaxAge", "%v is negative; 0 is the default", o.MaxAge)
	}
	switch o.Stale {
	case StaleUnknown, StaleAllow, StaleBlock:
	case 0:
		if o.MaxAge != 0 {
			return badArgument("EnforcerOptions.Stale", "MaxAge needs it: what to answer when the list is too old")
		}
	default:
		return badArgument("EnforcerOptions.Stale", "it is none of StaleUnknown, StaleAllow and StaleBlock")
	}
	return nil
}

// newEnforcer checks the options and makes an enforcer that still needs its
// list.
func newEnforcer(opts *EnforcerOptions) (*Enforcer, error) {
	if opts == nil {
		opts = new(EnforcerOptions)
	}
	if err := opts.Check(); err != nil {
		return nil, err
	}
	e := &Enforcer{
		now: opts.Now, radii: radius.PDQ(opts.BlockRadius, opts.ReviewRadius),
		maxAge: opts.MaxAge, stale: opts.Stale, bare: opts.IgnoreAllowList,
	}
	if e.now == nil {
		e.now = time.Now
	}
	return e, nil
}

// Close releases the list that [Load] opened. Queries answer [Unknown] from
// then on; one that is running ends undisturbed. The list of [NewEnforcer], and of
// the enforcer of a desk.Desk, is closed by whoever opened it, and only so.
func (e *Enforcer) Close() error {
	if e.foreign {
		return nil
	}
	e.closed.Store(true)
	return e.list.Close()
}

// view returns the list as it is now; ok is false after Close. A closed list is
// empty, so it is taken before closed is looked at.
func (e *Enforcer) view() (v *blocklist.State, ok bool) {
	v = e.list.View()
	return v, !e.isClosed()
}

func (e *Enforcer) isClosed() bool { return e.closed.Load() || e.list.Closed() }

// Reload looks whether the file that [Load] opened was replaced, and uses the
// new one if so. If it cannot be used, the old list stays in force and the
// error says why. An enforcer of a desk, or of [NewEnforcer], has nothing to
// reload, and says so by false and no error.
func (e *Enforcer) Reload() (changed bool, err error) {
	switch {
	case e.isClosed():
		return false, ErrClosed
	case e.foreign:
		return false, nil
	}
	return e.list.Reload()
}

// FacesUntil returns until when the faces of the list can be used; the zero Time
// says for ever, or that there are none. After it no face is found until a
// [Enforcer.Reload] brings a snapshot that is newer: an alarm some days before it
// belongs into every operator's monitoring.
func (e *Enforcer) FacesUntil() time.Time { return e.list.Info().FacesUntil }

// FilterURL answers what is known of the address of an image alone. A crawler
// asks before it fetches. A text that is no address (empty, relative, of another
// scheme than http and https) was compared with nothing: the verdict is Allow,
// and Decision.Checked has no TierURL.
func (e *Enforcer) FilterURL(imageURL string) Decision { return e.decide(where{}, imageURL, "", nil) }

// FilterPage answers what is known of the address of a page that shows images.
// An address that was blocked as a page says nothing of an image there, and
// the other way round.
func (e *Enforcer) FilterPage(pageURL string) Decision { return e.decide(where{}, "", pageURL, nil) }

// Filter answers whether an image is blocked, by its address and its hashes:
// one hash, several (of different algorithms, or those that phash.HashesToAsk gives
// for one picture), or none. All that matches is weighed and the strongest
// verdict wins. An empty address and the zero Hash are not compared, nor is
// what is no address; Decision.Checked says so.
//
// Filter looks for hashes within the block radius, and answers [Review] only for
// rules that ask for it, and for flat pictures, whose hashes beyond 31 bits say too
// little to block; [Enforcer.Check] looks further. It takes no lock and, when
// imageURL is canonical, allocates nothing, except one counting table per day.
func (e *Enforcer) Filter(imageURL string, hashes ...phash.Hash) Decision {
	return e.decide(where{}, imageURL, "", hashes)
}

// Check answers about a candidate by everything that is known of it: all its
// addresses, the pages that show it, its file, its hashes, and its features and
// faces where nothing else blocks it. It compares hashes up to ReviewRadius (Filter
// stops at BlockRadius), so it is slower: it is meant for where pixels were
// decoded anyway.
func (e *Enforcer) Check(c Candidate) Decision { return e.check(where{}, &c) }

// In returns the view of somebody in a country, ISO 3166-1 alpha-2: rules for
// other territories do not count, and rules for this one block. With
// an invalid or empty code, every rule applies (fail closed).
func (e *Enforcer) In(country string) Region {
	t, err := blocklist.ParseTerritory(country)
	return Region{e, where{set: true, all: err != nil, territory: t}}
}

// Region is an [Enforcer] as seen from one country: see [Enforcer.In]. It is a
// small value.
type Region struct {
	e  *Enforcer
	in where
}

// FilterURL is [Enforcer.FilterURL] in the region.
func (r Region) FilterURL(imageURL string) Decision { return r.e.decide(r.in, imageURL, "", nil) }

// FilterPage is [Enforcer.FilterPage] in the region.
func (r Region) FilterPage(pageURL string) Decision { return r.e.decide(r.in, "", pageURL, nil) }

// Filter is [Enforcer.Filter] in the region.
func (r Region) Filter(imageURL string, hashes ...phash.Hash) Decision {
	return r.e.decide(r.in, imageURL, "", hashes)
}

// Check is [Enforcer.Check] in the region.
func (r Region) Check(c Candidate) Decision { return r.e.check(r.in, &c) }

// scope says for which territory a query is made. The zero scope is none.
type where struct {
	set       bool
	all       bool // every territory counts as this one
	territory blocklist.Territory
}

// weighing gathers the hits about one candidate and keeps the strongest.
type weighing struct {
	e    *Enforcer
	view *blocklist.State
	in   where
	// The file and hashes of what is being looked up, to see which rules except
	// it, and which frame of an animation it is.
	file   [32]byte // zero for none
	hashes []phash.Hash
	// far looks around hashes as far as the review radius.
	far   bool
	frame int
	// since leaves out keys that came with or before this event, unless their
	// rule began after sinceTime.
	since     uint64
	sinceTime time.Time
	// facesSince and facesTime are the same for faces.
	facesSince uint64
	facesTime  time.Time

	// sighted says that the features of the whole picture are known. Then a hash beyond
	// the identical radius blocks only if they bear it out: as they do for the
	// rules in borne.
	sighted bool
	borne   [maxBorne]uint64
	nBorne  int

	asked   phash.Hash             // that is being looked up
	alg     phash.Algorithm        // of it
	match   blocklist.FeatureMatch // that is being weighed
	face    int                    // of the frame, that is being looked up
	checked Tier
	best    Decision
	all     map[uint64]Decision // the best of each rule, if all are asked for
	// facesMissed says that the candidate has faces that the list could not
	// compare, though it has some.
	facesMissed bool

	// Whether a hash, or the file, is on the allow list, once that was asked.
	// An animation is not, by its file.
	seen, isCommon bool
	seenHash       phash.Hash
	animated       bool
	truncated      bool // part of the picture is noise

	// For the match budget: the rules that were hit weakly, and whether the
	// picture is known to be one that was asked for.
	out     [maxPending]uint64
	pending int
	known   bool
}

// maxBorne is the number of rules whose matches by hash the features of one
// picture can bear out.
const maxBorne = 4

// decide answers about an address and hashes; what is empty is not compared.
func (e *Enforcer) decide(in where, imageURL, pageURL string, hashes []phash.Hash) Decision {
	view, ok := e.view()
	if !ok {
		return Decision{}
	}
	w := weighing{e: e, view: view, in: in, hashes: hashes}
	w.address(blocklist.ImageAddress, imageURL)
	w.address(blocklist.PageAddress, pageURL)
	w.lookUp(hashes)
	e.count(&w, hashes)
	return w.decision()
}

// check answers about everything that is known of a candidate.
func (e *Enforcer) check(in where, c *Candidate) Decision {
	view, ok := e.view()
	if !ok {
		return Decision{}
	}
	w := weighing{e: e, view: view, in: in}
	d := w.candidate(c)
	e.count(&w, c.Hashes)
	return d
}

// Matches gives what [Enforcer.Check] would decide by each rule alone that the
// candidate matches, the strongest first. It goes on where Check has its answer,
// so it is slower, and it counts nothing: support and reviewers ask it.
// Decision.Checked is that of the whole question. It gives nothing of a closed
// list.
func (e *Enforcer) Matches(c Candidate) iter.Seq[Decision] {
	return func(yield func(Decision) bool) {
		view, ok := e.view()
		if !ok {
			return
		}
		w := weighing{e: e, view: view, all: map[uint64]Decision{}}
		w.candidate(&c)
		for _, d := range slices.SortedFunc(maps.Values(w.all), func(a, b Decision) int { return -a.compare(b) }) {
			d.Checked = w.checked
			if !yield(d) {
				return
			}
		}
	}
}

func (w *weighing) candidate(c *Candidate) Decision {
	w.far, w.animated, w.truncated = true, len(c.Frames) > 0, c.Truncated
	// An animation is left alone only frame by frame: one that a person excepted
	// must not hide another. So hashes speak for a whole file that has one.
	if len(c.Frames) == 0 {
		w.hashes = c.Hashes
	}
	if c.SHA256 != [32]byte{} {
		w.file = c.SHA256
		w.checked |= TierBytes
		w.view.FindBytes(c.SHA256, func(h blocklist.Hit) bool { return w.weigh(TierBytes, h) })
	}
	for _, u := range c.ImageURLs {
		w.address(blocklist.ImageAddress, u)
	}
	for _, u := range c.PageURLs {
		w.address(blocklist.PageAddress, u)
	}
	for i := range 1 + len(c.Frames) {
		w.frame, w.hashes = i, c.frame(i)
		w.sighted = i == 0 && c.Features.f.Len() > 0 && !c.Truncated
		w.lookUp(w.hashes)
	}
	w.frame, w.hashes = 0, c.Hashes
	// The most expensive tier is asked last, and only where it can still change
	// something.
	if w.open() {
		w.lookInside(c.Features)
	}
	if w.open() && w.nBorne > 0 {
		w.sighted = true
		w.lookUp(w.hashes)
	}
	for i := 0; i <= max(len(c.Frames), len(c.FrameFaces)) && w.open(); i++ {
		w.frame, w.hashes = i, c.frame(i)
		w.recognise(c.faces(i))
	}
	return w.decision()
}

// open reports whether another tier can change something: nothing is stronger than
// Block.
func (w *weighing) open() bool { return w.best.Verdict < Block || w.all != nil }

// recognise looks for registered faces among those of the candidate.
func (w *weighing) recognise(faces []Face) {
	for i, f := range faces {
		if f.IsZero() {
			continue
		}
		// Where some keys are lost, the other faces are looked at nevertheless.
		w.facesMissed = w.facesMissed || !w.view.SearchesFaces()
		if w.view.ComparesFaces(f.v.Model()) {
			w.checked |= TierFace
		}
		w.face = i
		w.view.FindFaces(f.v, func(h blocklist.Hit) bool { return w.weigh(TierFace, h) })
	}
}

func (w *weighing) address(kind blocklist.AddressKind, u string) {
	if u == "" {
		return
	}
	if err := w.view.FindURL(kind, u, func(h blocklist.Hit) bool { return w.weigh(TierURL, h) }); err != nil {
		return // no address: nothing to compare, and Checked says so
	}
	w.checked |= TierURL
}

func (w *weighing) lookUp(hashes []phash.Hash) {
	for _, h := range hashes {
		if h.IsZero() {
			continue
		}
		w.checked |= TierHash
		w.asked, w.alg = h, h.Algorithm()
		w.view.FindHash(h, w.reach(), func(h blocklist.Hit) bool { return w.weigh(TierHash, h) })
	}
}

// lookInside looks for registered pictures inside the candidate.
func (w *weighing) lookInside(f Features) {
	if f.f.Len() == 0 {
		return // nothing to compare
	}
	w.checked |= TierFeatures
	x := searchers.Get().(*blocklist.FeatureSearcher)
	defer searchers.Put(x)
	// Rules by which nothing would follow must not take the place of others.
	worth := func(h blocklist.Hit) bool {
		w.match.Band = features.Block
		return !w.swept(TierFeatures, &h) && w.verdict(TierFeatures, h) > Allow && !w.excepted(h) && !w.common(TierFeatures, &h)
	}
	w.view.FindFeatures(x, f.f, worth, func(h blocklist.Hit, m blocklist.FeatureMatch) bool {
		w.match = m
		w.weigh(TierFeatures, h)
		if m.Corroborates() && w.nBorne < maxBorne {
			w.borne[w.nBorne] = h.Rule
			w.nBorne++
		}
		return w.open()
	})
}

// searchers keeps the memory of searches by features.
var searchers = sync.Pool{New: func() any { return new(blocklist.FeatureSearcher) }}

// decision returns what it comes to.
func (w *weighing) decision() Decision {
	d := w.best
	d.Checked = w.checked
	if d.Verdict > Allow {
		return d
	}
	d.Verdict = Allow
	if w.truncated {
		d.Checked &^= TierHash | TierFeatures | TierFace
	}
	e := w.e
	if w.facesMissed && e.stale != 0 || e.maxAge != 0 && e.now().Sub(w.view.SnapshotTime()) > e.maxAge {
		d.Verdict = e.stale.verdict()
	}
	return d
}

func (s Stale) verdict() Verdict {
	switch s {
	case StaleAllow:
		return Allow
	case StaleBlock:
		return Block
	}
	return Unknown
}

// reach is how far around the hash that is being looked up to look.
func (w *weighing) reach() int {
	return w.radii().Reach(w.far)
}

// radii returns those for the hash that is being looked up. Those of hashes of
// 64 bits shrink as the list grows: see phash.Radii.
func (w *weighing) radii() phash.Radii { return w.e.radii.Of(w.alg, w.view.HashCount(w.alg)) }

// weigh takes a hit into account. It always returns true: all hits count.
func (w *weighing) weigh(why Tier, h blocklist.Hit) bool {
	if w.swept(why, &h) {
		return true
	}
	v := w.verdict(why, h)
	if v == Block && why == TierHash && w.doubts(h) {
		v = Review
	}
	if v <= Allow || w.excepted(h) || w.common(why, &h) {
		return true
	}
	far := w.farOut(why, &h)
	w.note(far, &h)
	d := Decision{
		Verdict: v, Why: why, Rule: h.Rule, Case: h.Case, Kind: Kind(h.Kind), Scope: h.Scope, Derived: h.Derived,
		Weak: far,
	}
	switch why {
	case TierHash:
		d.Distance, d.Transform, d.Frame = h.Distance, phash.Transform(h.Variant), w.frame
	case TierFeatures:
		d.Inliers, d.Coverage, d.Mirrored = w.match.Inliers, w.match.Coverage, w.match.Mirrored
	case TierFace:
		d.Similarity, d.Face, d.Frame = h.Similarity, w.face, w.frame
	}
	if d.Stronger(w.best) {
		w.best = d
	}
	if w.all != nil {
		if best, ok := w.all[h.Rule]; !ok || d.Stronger(best) {
			w.all[h.Rule] = d
		}
	}
	return true
}

// excepted reports whether the rule of a hit must leave the candidate alone.
func (w *weighing) excepted(h blocklist.Hit) bool {
	var file *[32]byte
	if w.file != [32]byte{} {
		file = &w.file
	}
	return w.view.HasException(h, file, w.hashes)
}

// swept reports whether an earlier sweep has seen a hit: its key came then or
// before, and its rule had begun.
func (w *weighing) swept(why Tier, h *blocklist.Hit) bool {
	since, sinceTime := w.since, w.sinceTime
	if why == TierFace {
		since, sinceTime = w.facesSince, w.facesTime
	}
	if h.Event > since {
		return false
	}
	r, _, ok := w.view.Rule(h.Rule)
	return !ok || !r.Start.After(sinceTime)
}

// verdict returns what a hit by itself would lead to.
func (w *weighing) verdict(why Tier, h blocklist.Hit) Verdict {
	v := Block
	if h.Effect == blocklist.EffectReview {
		v = Review
	}
	switch why {
	case TierHash:
		v = min(v, w.nearness(h))
	case TierFeatures:
		v = min(v, w.evidence(h))
	case TierFace:
		if !h.AtBlock {
			v = min(v, Review)
		}
	}
	switch {
	case v <= Allow, h.Worldwide, w.in.all:
		return v
	case w.in.set && w.view.InForceIn(h, w.in.territory):
		return v
	case w.in.set:
		return Allow
	}
	return Restricted
}

// nearness returns what the distance of a hash means under the scope of the
// rule that was hit.
func (w *weighing) nearness(h blocklist.Hit) Verdict {
	r := w.radii()
	if w.flat(h) {
		r.Block = r.Flat
	}
	switch {
	case h.Scope == ScopeIdentical && h.Distance <= r.Identical:
		return Block
	// The hashes of a face were learned, of pictures in which somebody recognised
	// it: their copies show it as well.
	case h.Scope >= ScopeDuplicate && h.Distance <= r.Block:
		return Block
	case h.Scope >= ScopeDuplicate && h.Distance <= r.Review:
		return Review
	}
	return Allow
}

// flat reports whether a hit is with a picture that somebody has looked at and that
// has too little to see for features.
func (w *weighing) flat(h blocklist.Hit) bool {
	return !h.Derived && (h.Kind == radius.KindImageOptOut || h.Kind == radius.KindOpenOptOut) && !w.view.HasFeatures(h)
}

// doubts reports whether a hash that is near enough to block is in need of the
// features, and they do not bear it out. A hash of bounded reach is that of a
// template: others are near it, however near it is.
func (w *weighing) doubts(h blocklist.Hit) bool {
	return w.sighted && (h.Distance > w.radii().Identical || h.Reach != 0) && w.view.HasFeatures(h) &&
		!slices.Contains(w.borne[:w.nBorne], h.Rule)
}

// evidence returns what a match by features means under the scope of the rule.
func (w *weighing) evidence(h blocklist.Hit) Verdict {
	switch {
	case h.Scope != ScopeDuplicate:
		return Allow
	case w.match.Band == features.Block:
		return Block
	}
	return Review
}

// shields reports whether the allow list keeps a picture on the allow list from a hit.
func (e *Enforcer) shields(why Tier, alg phash.Algorithm, h *blocklist.Hit) bool {
	if why == TierURL || why == TierBytes {
		return false
	}
	return e.radii.Shields(h.Kind, why == TierHash, alg, h.Variant, h.Distance)
}

// common reports whether the picture that is being looked up is on the
// allow list: by its file, or by the hash that was hit; where features or
// a face were hit, by the picture's own hash.
func (w *weighing) common(why Tier, h *blocklist.Hit) bool {
	if w.e.bare || !w.e.shields(why, w.alg, h) {
		return false
	}
	hash := w.asked
	if why != TierHash {
		hash = phash.Hash{}
		if len(w.hashes) > 0 {
			hash = w.hashes[0]
		}
	}
	if !w.seen || hash != w.seenHash {
		var file *[32]byte
		if w.file != [32]byte{} && !w.animated {
			file = &w.file
		}
		bits, ok := w.view.AllowedDistance(file, hash)
		w.seen, w.seenHash, w.isCommon = true, hash, ok && bits <= radius.OfCommon(hash)
	}
	return w.isCommon
}
