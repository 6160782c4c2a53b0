package takedown

import (
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/features"
	"github.com/staydown/staydown/phash"
)

// weighing asks all lists about one candidate, and keeps the strongest decision. A
// query goes down to a list with all that is known (blocklist.Query), its hits come
// up complete, and weigh needs nothing else. The query is handed from call to call:
// what a weighing points to would escape to the heap with its answer.
type weighing struct {
	e *Enforcer
	// far looks around hashes as far as the review radius.
	far bool
	// marks are the keys to leave out, by the names of the lists, and faces what
	// is left of the faces of each list.
	marks map[string]Mark
	faces []sweptFaces

	// The list that is being asked.
	index int
	view  *blocklist.State
	fresh bool // the radii are of another list
	terms terms

	checked Tier
	best    Decision
	all     map[matched]Decision // the best of each rule, if all are asked for
	// facesMissed says that the candidate has faces that a list could not
	// compare, though it has some; faceGap, that one compared none of them.
	facesMissed, faceGap bool
	closed               bool // a list is closed
	partly               bool // pixels of the file were not looked at
	undecodable          bool
	unseen               bool // faces of the file are not known

	// For CheckFile. early says that the hashes are not known yet; postponed, that a
	// hit waits for them, because its rule has exceptions. doubted says that a hash
	// counted less because of features, or of those that are to come; shielded, that
	// the allow list kept the picture from a hit.
	early, postponed, doubted, shielded bool

	// For the match budget: the rules that were matched weakly, and whether the
	// picture is known to be one that was asked for.
	out     [maxPending]weakMatch
	pending int
	known   bool
}

// sweptFaces are the faces of a state of a list that a sweep has not compared yet.
type sweptFaces struct {
	state *blocklist.State
	fresh *blocklist.NewFaces
}

// matched names a rule of a list.
type matched struct {
	list int
	rule uint64
}

// begin sets what the queries of a zero weighing depend on.
func (w *weighing) begin(e *Enforcer, in where) {
	w.e, w.terms.in, w.terms.bare, w.terms.shields = e, in, e.bare, &e.radii
}

// state returns the state of a list to be asked, and whether the list is open. A
// closed list is empty, so its state is taken before closed is looked at.
func (e *Enforcer) state(i int, p Purposes) (v *blocklist.State, open bool) {
	s := &e.sources[i]
	v = s.purposes.get(s.list.State(), p)
	return v, !e.closed.Load() && !s.list.Closed()
}

// enter takes the next list to be asked; false if it is closed.
func (w *weighing) enter(i int, q *blocklist.Query) bool {
	v, open := w.e.state(i, w.terms.in.purposes)
	w.enterState(i, v, open, q)
	return open
}

// enterState takes a list to be asked with what Enforcer.state returned.
func (w *weighing) enterState(i int, v *blocklist.State, open bool, q *blocklist.Query) {
	s := &w.e.sources[i]
	w.index, w.view, w.fresh = i, v, true
	w.terms.list, w.terms.nBorne, w.terms.coarse = s, 0, !s.list.Writable()
	q.Reset(v)
	if w.marks != nil {
		q.Since, q.SinceTime = w.marks[s.name].Since, w.marks[s.name].Time
	}
	w.closed = w.closed || !open
}

// decide answers about an address and hashes; what is empty is not compared.
func (e *Enforcer) decide(in where, imageURL, pageURL string, hashes []phash.Hash) Decision {
	start := e.observed.begin(queryFilter)
	var w weighing
	w.begin(e, in)
	q := blocklist.Query{Hashes: hashes, Territory: in.territory}
	for i := range e.sources {
		if w.enter(i, &q) {
			w.address(&q, blocklist.ImageAddress, imageURL)
			w.address(&q, blocklist.PageAddress, pageURL)
			w.lookUp(&q)
		}
	}
	e.count(&w, &q.File, hashes)
	d := w.decision()
	e.observed.end(queryFilter, start)
	return d
}

// check answers about everything that is known of a candidate.
func (e *Enforcer) check(in where, c *Candidate) Decision {
	start := e.observed.begin(queryCheck)
	var w weighing
	w.begin(e, in)
	w.candidate(c)
	e.count(&w, &c.SHA256, c.Hashes)
	d := w.decision()
	e.observed.end(queryCheck, start)
	return d
}

// candidate asks all lists about a candidate.
func (w *weighing) candidate(c *Candidate) {
	w.far, w.partly, w.undecodable, w.unseen = true, c.partly(), c.Undecodable, c.facesUnseen()
	q := blocklist.Query{File: c.SHA256, SHA1: c.SHA1, MD5: c.MD5, Animated: len(c.Frames) > 0, Territory: w.terms.in.territory}
	for i := range w.e.sources {
		if w.enter(i, &q) {
			w.exact(&q, c)
			w.near(&q, c)
		}
	}
	// The most expensive tiers are asked last, and only where they can still change
	// something.
	for i := 0; i < len(w.e.sources) && w.open(); i++ {
		if w.enter(i, &q) {
			w.inside(&q, c)
		}
	}
	for i := 0; i < len(w.e.sources) && w.open(); i++ {
		if w.enter(i, &q) {
			w.people(&q, c)
		}
	}
}

// exact looks for the file and the addresses of a candidate.
func (w *weighing) exact(q *blocklist.Query, c *Candidate) {
	// An animation is left alone only frame by frame: one that a person excepted
	// must not hide another. So hashes count for a whole file that has one.
	q.Hashes = nil
	if !q.Animated {
		q.Hashes = c.Hashes
	}
	if q.File != [32]byte{} || q.SHA1 != [20]byte{} || q.MD5 != [16]byte{} {
		w.look(TierBytes)
		q.FindBytes(func(h blocklist.Hit) bool { return w.take(&h) })
	}
	for _, u := range c.ImageURLs {
		w.address(q, blocklist.ImageAddress, u)
	}
	w.pages(q, c.PageURLs)
}

// pages looks for the pages that show a candidate. A page says nothing about an
// image as long as another page shows it too, so all of them must be blocked.
func (w *weighing) pages(q *blocklist.Query, urls []string) {
	w.terms.why = TierURL
	for _, u := range urls {
		blocked := false
		err := q.FindURL(blocklist.PageAddress, u, func(h blocklist.Hit) bool {
			blocked = weight(&h, &w.terms) > Allow
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
		w.address(q, blocklist.PageAddress, u)
	}
}

// near looks for the hashes of all pictures of a candidate.
func (w *weighing) near(q *blocklist.Query, c *Candidate) {
	for i := range 1 + len(c.Frames) {
		p := c.Picture(i)
		w.terms.frame = i
		w.nearOf(q, p.Hashes, p.Features.f.Detailed() && !c.Damage.Visible())
	}
}

// nearOf looks for the hashes of one picture.
func (w *weighing) nearOf(q *blocklist.Query, hashes []phash.Hash, sighted bool) {
	q.Hashes, w.terms.sighted = hashes, sighted
	w.lookUp(q)
	w.lookUpNegative(q)
}

// lookUpNegative looks for the picture of which a frame is the negative. It looks no
// farther than hashes of re-encoded pictures lie: no features can confirm it.
func (w *weighing) lookUpNegative(q *blocklist.Query) {
	if len(q.Hashes) == 0 || q.Hashes[0].Algorithm() != phash.AlgPDQ {
		return
	}
	negative := q.Hashes[0].Negative()
	w.ask(phash.AlgPDQ)
	q.FindHash(&negative, w.terms.radii.Identical, func(h blocklist.Hit) bool { return w.take(&h) })
}

// inside looks for registered pictures inside those of a candidate, and then again
// for the hashes that the features confirm.
func (w *weighing) inside(q *blocklist.Query, c *Candidate) {
	for i := 0; i <= len(c.Frames) && w.open(); i++ {
		w.insideOf(q, i, c.Picture(i))
	}
}

// insideOf looks inside one picture.
func (w *weighing) insideOf(q *blocklist.Query, i int, p Frame) {
	q.Hashes = p.Hashes
	w.terms.frame, w.terms.nBorne = i, 0
	w.lookInside(q, p.Features)
	if w.open() && w.terms.nBorne > 0 {
		w.terms.sighted = true
		w.lookUp(q)
	}
}

// people looks for registered faces in all frames.
func (w *weighing) people(q *blocklist.Query, c *Candidate) {
	var seen faceCount
	for i := 0; i <= len(c.Frames) && w.open(); i++ {
		w.peopleOf(q, i, c.Picture(i), &seen)
	}
	w.settle(seen)
}

// faceCount says whether there are faces, and whether a list could compare one.
type faceCount struct{ faces, compared bool }

// peopleOf looks for registered faces in one frame.
func (w *weighing) peopleOf(q *blocklist.Query, i int, p Frame, seen *faceCount) {
	if w.marks != nil {
		mark := w.marks[w.terms.list.name]
		q.Since, q.SinceTime = mark.FacesSince, mark.FacesTime
	}
	q.Hashes = p.Hashes
	w.terms.why, w.terms.frame = TierFace, i
	for k, f := range p.Faces {
		if f.IsZero() {
			continue
		}
		// Where some keys are lost, the other faces are looked at nevertheless.
		w.facesMissed = w.facesMissed || !w.view.SearchesFaces()
		seen.faces, seen.compared = true, seen.compared || w.view.ComparesFaces(f.v.Model())
		w.terms.face = k
		if n := w.newFaces(q); n != nil {
			q.FindNewFaces(n, f.v, func(h blocklist.Hit) bool { return w.take(&h) })
			continue
		}
		q.FindFaces(f.v, func(h blocklist.Hit) bool { return w.take(&h) })
	}
}

// newFaces returns the faces that a sweep has not compared yet, or nil to compare all.
func (w *weighing) newFaces(q *blocklist.Query) *blocklist.NewFaces {
	if w.faces == nil {
		return nil
	}
	f := &w.faces[w.index]
	if f.state != w.view {
		f.state, f.fresh = w.view, w.view.NewFaces(q.Since, q.SinceTime)
	}
	return f.fresh
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

// look takes a tier to be looked up.
func (w *weighing) look(why Tier) {
	w.terms.why = why
	w.checked |= why
}

func (w *weighing) address(q *blocklist.Query, kind blocklist.AddressKind, u string) {
	if u == "" {
		return
	}
	w.terms.why = TierURL
	if err := q.FindURL(kind, u, func(h blocklist.Hit) bool { return w.take(&h) }); err != nil {
		return // not an address: nothing to compare, and Checked shows that
	}
	w.checked |= TierURL
}

func (w *weighing) lookUp(q *blocklist.Query) {
	for i := range q.Hashes {
		h := &q.Hashes[i]
		if h.IsZero() {
			continue
		}
		w.checked |= TierHash
		w.ask(h.Algorithm())
		q.FindHash(h, w.terms.radii.Reach(w.far), func(h blocklist.Hit) bool { return w.take(&h) })
	}
}

// lookInside looks for registered pictures inside the candidate.
func (w *weighing) lookInside(q *blocklist.Query, f Features) {
	if f.f.Len() == 0 {
		return // nothing to compare
	}
	w.look(TierFeatures)
	x := searchers.Get().(*blocklist.FeatureSearcher)
	defer searchers.Put(x)
	// Rules by which nothing would follow must not take the place of others.
	worth := func(h blocklist.Hit) bool {
		w.shielded = w.shielded || h.Allowed
		w.terms.proof.band = features.Block
		return weigh(&h, &w.terms).Verdict > Allow
	}
	q.FindFeatures(x, f.f, worth, func(h blocklist.Hit, m blocklist.FeatureMatch) bool {
		t := &w.terms
		t.proof = proof{m.Band, m.Inliers, m.Coverage, m.Mirrored}
		w.take(&h)
		if m.Corroborates() && t.nBorne < maxBorne {
			t.borne[t.nBorne] = h.Rule
			t.nBorne++
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
	unseen := w.unseen && w.e.looksForFaces()
	if unseen {
		d.Checked &^= TierFace
	}
	if (w.undecodable || unseen) && d.Verdict == Allow {
		d.Verdict = w.e.undecodable
	}
	return d
}

// looksForFaces reports whether a list has faces, or lacks those that it should
// have.
func (e *Enforcer) looksForFaces() bool {
	for i := range e.sources {
		if v := e.sources[i].list.State(); !v.SearchesFaces() || v.HasFaces() {
			return true
		}
	}
	return false
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

// ask takes a hash of an algorithm to be looked up. The radii of hashes of 64 bits shrink as the list
// grows: see phash.Radii.
func (w *weighing) ask(alg phash.Algorithm) {
	t := &w.terms
	t.why = TierHash
	if alg == t.alg && !w.fresh {
		return
	}
	n := 0
	if alg != phash.AlgPDQ { // whose radii do not depend on n
		n = w.view.HashCount(alg)
	}
	t.alg, t.radii, w.fresh = alg, t.shields.Of(alg, n), false
}

// take takes a hit into account. It always returns true: all hits count.
func (w *weighing) take(h *blocklist.Hit) bool {
	t := &w.terms
	w.doubted = w.doubted || t.sighted && t.why == TierHash && isUnproved(h, t)
	w.shielded = w.shielded || h.Allowed
	if w.early && h.HasExceptions {
		w.postponed = w.postponed || !h.Old && weight(h, t) > Allow
		return true
	}
	d := weigh(h, t)
	if d.Verdict <= Allow {
		return true
	}
	// The view describes the match, and has no part in its weight.
	if h.View != 0 {
		d.View, _ = w.view.ViewOf(*h)
	}
	// Every match by a face counts: the more people a wrong face blocks, the more it
	// must be noticed.
	w.note(d.Weak || t.why == TierFace, h)
	w.keep(h.Rule, &d)
	return true
}

// keep keeps a decision if it is the strongest, and for each rule the strongest if all
// rules are asked for.
func (w *weighing) keep(rule uint64, d *Decision) {
	if d.compare(&w.best) > 0 {
		w.best = *d
	}
	if w.all == nil {
		return
	}
	k := matched{w.index, rule}
	if best, ok := w.all[k]; !ok || d.compare(&best) > 0 {
		w.all[k] = *d
	}
}
