package takedown

import (
	"slices"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/features"
	"github.com/staydown/staydown/internal/radius"
	"github.com/staydown/staydown/phash"
)

// A hit is a key of a list that matches, with everything that its weight depends
// on.
type hit struct {
	blocklist.Hit
	why   Tier
	radii phash.Radii // of the hash that was looked up
	// holds says that the list blocks nothing by itself.
	holds bool
	at    presence
	// flat says that the registered picture was seen by a person and has too
	// little detail for local features.
	flat bool
	// unproved says that the features of the candidate and of the registered
	// picture are known, and do not confirm the hash.
	unproved bool
	band     features.Band // of a match by features
}

// presence says whether a rule applies where the answer is needed.
type presence uint8

const (
	everywhere presence = iota // it applies
	somewhere                  // it applies in some countries, and no country was named
	elsewhere                  // it does not apply in the country that was named
)

// weigh returns what a hit leads to by itself. It depends on nothing else.
func (h *hit) weigh() Verdict {
	v := Block
	if h.holds || h.Effect == blocklist.EffectReview {
		v = Review
	}
	switch h.why {
	case TierHash:
		v = min(v, h.nearness())
	case TierFeatures:
		v = min(v, h.evidence())
	case TierFace:
		if !h.AtBlock {
			v = min(v, Review)
		}
	}
	switch {
	case v <= Allow:
		return v
	case h.at == elsewhere:
		return Allow
	case h.at == somewhere:
		return Restricted
	case v == Block && h.unproved:
		return Review
	}
	return v
}

// nearness returns what the distance of a hash means under the scope of the rule.
func (h *hit) nearness() Verdict {
	r := h.radii
	if h.flat {
		r.Block = r.Flat
	}
	switch {
	case h.Scope == ScopeIdentical && h.Distance <= r.Identical:
		return Block
	// The hashes of a face are derived from pictures in which a person recognised
	// it. Their copies show it too.
	case h.Scope >= ScopeDuplicate && h.Distance <= r.Block:
		return Block
	case h.Scope >= ScopeDuplicate && h.Distance <= r.Review:
		return Review
	}
	return Allow
}

// evidence returns what a match by features means under the scope of the rule.
func (h *hit) evidence() Verdict {
	switch {
	case h.Scope != ScopeDuplicate:
		return Allow
	case h.band == features.Block:
		return Block
	}
	return Review
}

// weak reports whether the match leaves a doubt: see Decision.Weak.
func (h *hit) weak() bool {
	switch h.why {
	case TierHash:
		return h.Distance > h.radii.Near
	case TierFace:
		return !h.AtBlock
	case TierFeatures:
		return h.band != features.Block
	}
	return false
}

// weighing gathers the hits about one candidate and keeps the strongest.
type weighing struct {
	e  *Enforcer
	in where
	// far looks around hashes as far as the review radius.
	far bool
	// marks are the keys to leave out, by the names of the lists.
	marks map[string]Mark

	// The list that is being asked, and what is to be left out of it.
	index int
	src   *source
	view  *blocklist.State
	mark  Mark

	// The file of what is being looked up, to see which rules except it, and which
	// frame of an animation it is. The hashes are handed from call to call: what a
	// weighing points to would escape to the heap with its answer.
	file  [32]byte // zero for none
	frame int
	// sighted says that the features of the whole picture are known. A hash beyond
	// the identical radius then blocks only if they confirm it, as they do for the
	// rules in borne.
	sighted bool
	borne   [maxBorne]uint64
	nBorne  int

	asked   phash.Hash             // that is being looked up
	alg     phash.Algorithm        // of it
	radii   phash.Radii            // of it
	match   blocklist.FeatureMatch // that is being weighed
	face    int                    // of the frame, that is being looked up
	checked Tier
	best    Decision
	all     map[matched]Decision // the best of each rule, if all are asked for
	// facesMissed says that the candidate has faces that a list could not
	// compare, though it has some; faceGap, that one compared none of them.
	facesMissed, faceGap bool
	closed               bool // a list is closed
	fresh                bool // the radii are of another list

	// Whether a hash, or the file, is on the allow list, once that was asked.
	// An animation is not, by its file.
	seen, isAllowed bool
	seenHash        phash.Hash
	animated        bool
	partly          bool // pixels of the file were not looked at
	undecodable     bool

	// For CheckFile. early says that the hashes are not known yet; postponed, that a
	// hit waits for them, because its rule has exceptions. doubted says that a hash
	// counted less because of features, or of those that are to come; shielded, that
	// the allow list may keep the picture from a hit by its file.
	early, postponed, doubted, shielded bool

	// For the match budget: the rules that were matched weakly, and whether the
	// picture is known to be one that was asked for.
	out     [maxPending]weakMatch
	pending int
	known   bool
}

// maxBorne is the number of rules whose matches by hash the features of one
// picture can confirm.
const maxBorne = 4

// matched names a rule of a list.
type matched struct {
	list int
	rule uint64
}

// enter takes the next list to be asked; false if it is closed. A closed list is
// empty, so its state is taken before closed is looked at.
func (w *weighing) enter(i int) bool {
	s := &w.e.sources[i]
	w.index, w.src, w.view = i, s, s.list.State()
	w.seen, w.nBorne, w.fresh = false, 0, true
	if w.marks != nil {
		w.mark = w.marks[s.name]
	}
	if w.e.closed.Load() || s.list.Closed() {
		w.closed = true
		return false
	}
	return true
}

// decide answers about an address and hashes; what is empty is not compared.
func (e *Enforcer) decide(in where, imageURL, pageURL string, hashes []phash.Hash) Decision {
	start := e.observed.begin(queryFilter)
	w := weighing{e: e, in: in}
	for i := range e.sources {
		if w.enter(i) {
			w.address(blocklist.ImageAddress, imageURL, hashes)
			w.address(blocklist.PageAddress, pageURL, hashes)
			w.lookUp(hashes)
		}
	}
	e.count(&w, hashes)
	d := w.decision()
	e.observed.end(queryFilter, start)
	return d
}

// check answers about everything that is known of a candidate.
func (e *Enforcer) check(in where, c *Candidate) Decision {
	start := e.observed.begin(queryCheck)
	w := weighing{e: e, in: in}
	w.candidate(c)
	e.count(&w, c.Hashes)
	d := w.decision()
	e.observed.end(queryCheck, start)
	return d
}

// candidate asks all lists about a candidate.
func (w *weighing) candidate(c *Candidate) {
	w.far, w.animated, w.partly, w.undecodable, w.file = true, len(c.Frames) > 0, c.partly(), c.Undecodable, c.SHA256
	for i := range w.e.sources {
		if w.enter(i) {
			w.exact(c)
			w.near(c)
		}
	}
	// The most expensive tiers are asked last, and only where they can still change
	// something.
	for i := 0; i < len(w.e.sources) && w.open(); i++ {
		if w.enter(i) {
			w.inside(c)
		}
	}
	for i := 0; i < len(w.e.sources) && w.open(); i++ {
		if w.enter(i) {
			w.people(c)
		}
	}
}

// exact looks for the file and the addresses of a candidate.
func (w *weighing) exact(c *Candidate) {
	// An animation is left alone only frame by frame: one that a person excepted
	// must not hide another. So hashes speak for a whole file that has one.
	var hashes []phash.Hash
	if len(c.Frames) == 0 {
		hashes = c.Hashes
	}
	if c.SHA256 != [32]byte{} {
		w.checked |= TierBytes
		w.view.FindBytes(c.SHA256, func(h blocklist.Hit) bool { return w.take(TierBytes, h, hashes) })
	}
	for _, u := range c.ImageURLs {
		w.address(blocklist.ImageAddress, u, hashes)
	}
	w.pages(c.PageURLs, hashes)
}

// pages looks for the pages that show a candidate. A page says nothing about an
// image as long as another page shows it too, so all of them must be blocked.
func (w *weighing) pages(urls []string, hashes []phash.Hash) {
	for _, u := range urls {
		blocked := false
		err := w.view.FindURL(blocklist.PageAddress, u, func(h blocklist.Hit) bool {
			x := w.complete(TierURL, h)
			blocked = x.weigh() > Allow
			return !blocked
		})
		if err == nil {
			w.checked |= TierURL
		}
		if !blocked {
			return
		}
	}
	for _, u := range urls {
		w.address(blocklist.PageAddress, u, hashes)
	}
}

// near looks for the hashes of all pictures of a candidate.
func (w *weighing) near(c *Candidate) {
	for i := range 1 + len(c.Frames) {
		p := c.Picture(i)
		w.frame = i
		w.nearOf(p.Hashes, p.Features.f.Detailed() && !c.Damage.Visible())
	}
}

// nearOf looks for the hashes of one picture.
func (w *weighing) nearOf(hashes []phash.Hash, sighted bool) {
	w.sighted = sighted
	w.lookUp(hashes)
	w.lookUpNegative(hashes)
}

// lookUpNegative looks for the picture of which a frame is the negative. It looks no
// farther than hashes of re-encoded pictures lie: no features can confirm it.
func (w *weighing) lookUpNegative(hashes []phash.Hash) {
	if len(hashes) == 0 || hashes[0].Algorithm() != phash.AlgPDQ {
		return
	}
	w.ask(hashes[0].Negative())
	w.view.FindHash(w.asked, w.radii.Identical, func(h blocklist.Hit) bool { return w.take(TierHash, h, hashes) })
}

// inside looks for registered pictures inside those of a candidate, and then again
// for the hashes that the features confirm.
func (w *weighing) inside(c *Candidate) {
	for i := 0; i <= len(c.Frames) && w.open(); i++ {
		w.insideOf(i, c.Picture(i))
	}
}

// insideOf looks inside one picture.
func (w *weighing) insideOf(i int, p Frame) {
	w.frame, w.nBorne = i, 0
	w.lookInside(p.Features, p.Hashes)
	if w.open() && w.nBorne > 0 {
		w.sighted = true
		w.lookUp(p.Hashes)
	}
}

// people looks for registered faces in all frames.
func (w *weighing) people(c *Candidate) {
	var seen faceCount
	for i := 0; i <= len(c.Frames) && w.open(); i++ {
		w.peopleOf(i, c.Picture(i), &seen)
	}
	w.settle(seen)
}

// faceCount says whether there are faces, and whether a list could compare one.
type faceCount struct{ faces, compared bool }

// peopleOf looks for registered faces in one frame.
func (w *weighing) peopleOf(i int, p Frame, seen *faceCount) {
	w.frame = i
	for k, f := range p.Faces {
		if f.IsZero() {
			continue
		}
		// Where some keys are lost, the other faces are looked at nevertheless.
		w.facesMissed = w.facesMissed || !w.view.SearchesFaces()
		seen.faces, seen.compared = true, seen.compared || w.view.ComparesFaces(f.v.Model())
		w.face = k
		w.view.FindFaces(f.v, func(h blocklist.Hit) bool { return w.take(TierFace, h, p.Hashes) })
	}
}

// settle notes what a list could compare of the faces.
func (w *weighing) settle(seen faceCount) {
	if seen.compared {
		w.checked |= TierFace
	}
	w.faceGap = w.faceGap || seen.faces && !seen.compared
}

// open reports whether another tier can change something: nothing is stronger than
// Block.
func (w *weighing) open() bool { return w.best.Verdict < Block || w.all != nil }

func (w *weighing) address(kind blocklist.AddressKind, u string, hashes []phash.Hash) {
	if u == "" {
		return
	}
	if err := w.view.FindURL(kind, u, func(h blocklist.Hit) bool { return w.take(TierURL, h, hashes) }); err != nil {
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
		w.ask(h)
		w.view.FindHash(h, w.radii.Reach(w.far), func(h blocklist.Hit) bool { return w.take(TierHash, h, hashes) })
	}
}

// lookInside looks for registered pictures inside the candidate.
func (w *weighing) lookInside(f Features, hashes []phash.Hash) {
	if f.f.Len() == 0 {
		return // nothing to compare
	}
	w.checked |= TierFeatures
	x := searchers.Get().(*blocklist.FeatureSearcher)
	defer searchers.Put(x)
	// Rules by which nothing would follow must not take the place of others.
	worth := func(h blocklist.Hit) bool {
		w.match.Band = features.Block
		x := w.complete(TierFeatures, h)
		return !w.isOld(&x) && x.weigh() > Allow && !w.excepted(h, hashes) && !w.allowed(&x, hashes)
	}
	w.view.FindFeatures(x, f.f, worth, func(h blocklist.Hit, m blocklist.FeatureMatch) bool {
		w.match = m
		w.take(TierFeatures, h, hashes)
		if m.Corroborates() && w.nBorne < maxBorne {
			w.borne[w.nBorne] = h.Rule
			w.nBorne++
		}
		return w.open()
	})
}

// decision returns what it comes to.
func (w *weighing) decision() Decision {
	d := w.best
	d.Checked = w.checked
	if w.faceGap {
		d.Checked &^= TierFace
	}
	if d.Verdict > Allow {
		return d
	}
	d.Verdict = Allow
	if w.partly {
		d.Checked &^= TierHash | TierFeatures | TierFace
	}
	switch e := w.e; {
	case w.closed, len(w.e.sources) == 0: // the zero Enforcer has no list
		d.Verdict = Unknown
	case w.facesMissed && e.stale != 0, e.maxAge != 0 && e.tooOld():
		d.Verdict = e.stale.verdict()
	}
	if w.undecodable && d.Verdict == Allow {
		d.Verdict = w.e.undecodable
	}
	return d
}

// tooOld reports whether a list is older than MaxAge.
func (e *Enforcer) tooOld() bool {
	now := e.now()
	for i := range e.sources {
		if e.sources[i].age(now) > e.maxAge {
			return true
		}
	}
	return false
}

// age returns how old a list is; 0 for one that is never old.
func (s *source) age(now time.Time) time.Duration {
	switch {
	case s.current != nil:
		return now.Sub(s.current())
	case s.list.Writable():
		return 0
	}
	return now.Sub(s.list.State().SnapshotTime())
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

// ask takes a hash to be looked up. The radii of hashes of 64 bits shrink as the list
// grows: see phash.Radii.
func (w *weighing) ask(h phash.Hash) {
	if alg := h.Algorithm(); alg != w.alg || w.fresh {
		w.alg, w.radii, w.fresh = alg, w.e.radii.Of(alg, w.view.HashCount(alg)), false
	}
	w.asked = h
}

// complete gathers all that the weight of a hit depends on.
func (w *weighing) complete(why Tier, h blocklist.Hit) hit {
	x := hit{Hit: h, why: why, holds: w.src.holds, at: w.presence(h)}
	switch why {
	case TierHash:
		x.radii = w.radii
		seen := !h.Derived && (h.Kind == radius.KindImageOptOut || h.Kind == radius.KindOpenOptOut)
		// A hash of bounded reach is that of a template: others are near it, however
		// near it is.
		doubtful := w.sighted && (h.Distance > x.radii.Identical || h.Reach != 0)
		if seen || doubtful {
			has := w.view.HasFeatures(h)
			x.flat = seen && !has
			x.unproved = doubtful && has && !slices.Contains(w.borne[:w.nBorne], h.Rule)
			w.doubted = w.doubted || x.unproved
		}
	case TierFeatures:
		x.band = w.match.Band
	}
	return x
}

// presence returns whether the rule of a hit, and the list, apply.
func (w *weighing) presence(h blocklist.Hit) presence {
	switch {
	case w.in.all, h.Worldwide && w.src.within == nil:
		return everywhere
	case !w.in.set:
		return somewhere
	case w.src.within != nil && !slices.Contains(w.src.within, w.in.territory),
		!h.Worldwide && !w.view.InForceIn(h, w.in.territory):
		return elsewhere
	}
	return everywhere
}

// take takes a hit into account. It always returns true: all hits count.
func (w *weighing) take(why Tier, h blocklist.Hit, hashes []phash.Hash) bool {
	x := w.complete(why, h)
	if w.isOld(&x) {
		return true
	}
	v := x.weigh()
	if w.early && v > Allow && w.view.HasExceptions(h) {
		w.postponed = true
		return true
	}
	if v <= Allow || w.excepted(h, hashes) || w.allowed(&x, hashes) {
		return true
	}
	d := Decision{
		Verdict: v, Why: why, List: w.src.name, Rule: h.Rule, Case: h.Case, Kind: Kind(h.Kind), Scope: h.Scope,
		Derived: h.Derived, Weak: x.weak(),
	}
	if h.View != 0 {
		d.View, _ = w.view.ViewOf(h)
	}
	w.note(d.Weak, &h)
	switch why {
	case TierHash:
		d.Distance, d.Transform, d.Frame = h.Distance, phash.Transform(h.Variant), w.frame
	case TierFeatures:
		d.Inliers, d.Coverage, d.Mirrored, d.Frame = w.match.Inliers, w.match.Coverage, w.match.Mirrored, w.frame
	case TierFace:
		d.Similarity, d.Face, d.Frame = h.Similarity, w.face, w.frame
	}
	if d.Stronger(w.best) {
		w.best = d
	}
	if w.all != nil {
		k := matched{w.index, h.Rule}
		if best, ok := w.all[k]; !ok || d.Stronger(best) {
			w.all[k] = d
		}
	}
	return true
}

// excepted reports whether the rule of a hit must leave the candidate alone.
func (w *weighing) excepted(h blocklist.Hit, hashes []phash.Hash) bool {
	var file *[32]byte
	if w.file != [32]byte{} {
		file = &w.file
	}
	return w.view.HasException(h, file, hashes)
}

// isOld reports whether an earlier sweep has seen a hit: its key came then or
// before, and its rule had begun.
func (w *weighing) isOld(h *hit) bool {
	since, sinceTime := w.mark.Since, w.mark.Time
	if h.why == TierFace {
		since, sinceTime = w.mark.FacesSince, w.mark.FacesTime
	}
	if h.Event > since {
		return false
	}
	r, _, ok := w.view.Rule(h.Rule)
	return !ok || !r.Start.After(sinceTime)
}

// allowed reports whether the allow list keeps the picture that is being looked up
// from a hit: by its file, or by the hash that was hit; where features or a face
// were hit, by the picture's own hash.
func (w *weighing) allowed(h *hit, hashes []phash.Hash) bool {
	if w.e.bare || h.why == TierURL || h.why == TierBytes ||
		!w.e.radii.Shields(h.Kind, h.why == TierHash, w.alg, h.Variant, h.Distance) {
		return false
	}
	hash := w.asked
	if h.why != TierHash {
		hash = phash.Hash{}
		if len(hashes) > 0 {
			hash = hashes[0]
		}
	}
	if !w.seen || hash != w.seenHash {
		var file *[32]byte
		if w.file != [32]byte{} && !w.animated {
			file = &w.file
		}
		bits, ok := w.view.AllowedDistance(file, hash)
		w.seen, w.seenHash, w.isAllowed = true, hash, ok && bits <= radius.OfCommon(hash)
		w.shielded = w.shielded || w.isAllowed && file != nil
	}
	return w.isAllowed
}
