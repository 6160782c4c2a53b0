package desk

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"net/url"
	"slices"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/radius"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// Limits of what a preview lists; everything is counted.
const (
	previewFound   = 100
	previewWeak    = 100
	previewAllowed = 10
	previewCount   = 1 << 16 // hosts that are counted
	previewHosts   = 20
	previewNear    = 10
	nearMisses     = 64 // bits: half of what unlike pictures differ by
)

// Preview shows what an acceptance would do to a sample of an index, or to all of
// it. It is for the reviewer: do not pass any of it to a requester.
type Preview struct {
	Looked int // items of the sample
	// Block and Review are the numbers of items that would be blocked, in some
	// territories at least, and held for review. Already is the number of them
	// that are blocked or held today.
	Block, Review, Already int
	// Found are the first of the new matches, at most 100, with their decisions.
	Found []takedown.Found
	// Hosts are where they lie, the most frequent first, at most 20; AllHosts is
	// how many hosts there are; beyond 65,536 they are not counted.
	Hosts    []HostCount
	AllHosts int
	// Weak is the number of items, new or not, that would be blocked or held by a
	// weak match, as the match budget counts it. Far are the first of them, at
	// most 100. Wrong matches, if there are any, are among them.
	Weak      int
	WeakFound []takedown.Found
	// Near are the closest misses, at most 10. If they show the same picture, the
	// rule is too narrow. If they show others, it is nearly too wide.
	Near []NearMiss
	// NearFaces are the faces that come closest to a face of the case without
	// being held or blocked. There are at most 10, the most similar first. If they
	// show the same person, the threshold is too high. If the matched faces show
	// other people, it is too low.
	NearFaces []NearFace
	// Allowed is the number of pictures of the sample that would match if they
	// were not on the allow list. AllowedFound are the first of them, at most 10.
	// Listed are the items of the case whose own pictures are on the allow list.
	Allowed      int
	AllowedFound []takedown.Found
	Listed       []int
	// People are the faces of the case, as numbers of its items, in groups that
	// the model takes for one person. With more than one group, a reviewer has to
	// look at them. One face may be of a person who has not consented, or a
	// picture shows the person very differently.
	People [][]int
	// Strangers are how the faces of the case compare with the strangers of
	// [FaceModel].Reference.
	Strangers []Strangers
	// FaceRisks is how often the list would be wrong about the faces of strangers with
	// the faces of the grant, for each model with a reference. Status has the same
	// without them.
	FaceRisks []FaceRisk
	// Risks are the reasons why accepting the case takes two reviewers. They are
	// empty if one reviewer is enough.
	Risks []request.Flag
	// Pictures are those of the case, with the quality and stability of their
	// registration.
	Pictures []request.Picture
	// Views are the views of the pictures of the case, those that the grant
	// registers and those that it could register, with a small picture of each.
	Views []ViewPreview
	// Earlier are cases, of any requester, whose rules match a picture or face of
	// this case today.
	Earlier []takedown.CaseID
}

// HostCount is a host and how many images lie there.
type HostCount struct {
	Host  string
	Count int
}

// NearMiss is an image that a rule would leave alone, Distance bits away.
type NearMiss struct {
	Item     takedown.Item
	Distance int
}

// NearFace is an image that a rule about a face would not match. Face is the
// number of the most similar face of the candidate, in frame Frame. Similarity is
// its similarity to the nearest face of the case.
type NearFace struct {
	Item        takedown.Item
	Frame, Face int
	Similarity  float64
}

// Preview shows what accepting a case would match in a sample. A nil grant means
// the terms that were asked for. A nil sample is empty. Nothing changes, with one
// exception: a case that would match very many pictures is marked as needing a
// second reviewer.
//
// It matches as the enforcer will, with a temporary list in memory.
// Derived keys (except URLs) and exceptions of the rules that the grant would
// replace are included. Faces are compared in memory, so no template is written.
// Exceptions of their rule are included, copies derived for it are not.
func (d *Desk) Preview(ctx context.Context, id takedown.CaseID, sample takedown.Items, at *Grant) (p Preview, err error) {
	if err := ctx.Err(); err != nil {
		return p, err
	}
	c, err := d.store.whole(id, false)
	if err != nil {
		return p, err
	}
	if request.IsReply(c.Kind) {
		return p, &GrantError{id, "it blocks nothing; there is nothing to preview"}
	}
	g := c.asAsked()
	if at != nil {
		g = *at
	}
	g.preview = true
	found, err := d.withViews(ctx, id, &g)
	if err != nil {
		return p, err
	}
	if err := d.takeViews(c, found); err != nil {
		return p, err
	}
	would, done, err := d.trial(ctx, c, g)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, done()) }()
	mats, err := d.material(c)
	if err != nil {
		return p, err
	}
	if err := p.show(ctx, d, c, mats); err != nil {
		return p, err
	}
	mats = c.registered(mats)
	if err := p.ofCase(d, c, mats); err != nil {
		return p, err
	}
	if f := &would.faces; len(f.faces) > 0 {
		if p.FaceRisks, err = d.risksWith(ctx, f.faces, f.terms, f.effect); err != nil {
			return p, err
		}
	}
	hosts := map[string]int{}
	if sample == nil {
		sample = func(context.Context, string) iter.Seq2[takedown.Item, error] {
			return func(func(takedown.Item, error) bool) {}
		}
	}
	for it, err := range sample(ctx, "") {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return p, err
		}
		if p.look(d, would, it, mats) {
			if host := hostOf(it.Candidate); hosts[host] > 0 || len(hosts) < previewCount {
				hosts[host]++
			}
		}
	}
	p.rank(hosts)
	if p.crowded(d, c.Kind) && (c.Crowded == 0 || c.Granted < c.Crowded) {
		c.Crowded = c.Granted
		if err := d.step(ctx, id, func(now *caseRecord, t time.Time) (change, error) {
			now.Crowded = c.Crowded
			now.note(now.State, now.State, Actor{Reason: string(FlagCrowded)}, t)
			return change{}, nil
		}); err != nil {
			return p, err
		}
	}
	p.Risks, err = d.risks(c)
	return p, err
}

// asAsked returns a grant of what was asked for.
func (c *Case) asAsked() Grant {
	g := Grant{Items: map[int]ItemDecision{}}
	for i, it := range c.Items {
		scope := min(c.Asked, it.MaxScope)
		if c.Kind == request.KindOpenOptOut && it.Kind == request.ItemFace {
			scope = 0 // as if nothing had been said: the picture alone
		}
		g.Items[i] = ItemDecision{Scope: scope}
	}
	return g
}

// ofCase notes what the preview shows of the case itself.
func (p *Preview) ofCase(d *Desk, c *caseRecord, mats []request.Material) error {
	p.Pictures = c.Pictures
	for i := range min(len(mats), len(c.Items)) {
		if d.widest(c.Kind, c.Items[i], &mats[i]) < c.Items[i].MaxScope {
			p.Listed = append(p.Listed, i)
		}
	}
	registered, err := d.facesOf(c, func(*CaseItem) bool { return true })
	if err != nil {
		return err
	}
	p.People, p.Strangers = d.people(registered), d.strangers(registered)
	p.Earlier = d.earlier(c, mats, registered)
	return nil
}

// look notes what would be decided about an item of the sample, and reports
// whether it would be blocked or held.
func (p *Preview) look(d *Desk, would *trial, it takedown.Item, mats []request.Material) bool {
	p.Looked++
	dec := would.check(&it.Candidate)
	switch dec.Verdict {
	case takedown.Block, takedown.Restricted:
		p.Block++
	case takedown.Review:
		p.Review++
	default:
		if bare := would.hidden(&it.Candidate); bare.Verdict > takedown.Allow {
			p.Allowed++
			if len(p.AllowedFound) < previewAllowed {
				p.AllowedFound = append(p.AllowedFound, takedown.Found{Item: it, Decision: bare})
			}
			return false
		}
		p.miss(it, mats)
		p.missFace(it, &would.faces)
		return false
	}
	if dec.Weak {
		if p.Weak++; len(p.WeakFound) < previewWeak {
			p.WeakFound = append(p.WeakFound, takedown.Found{Item: it, Decision: dec})
		}
	}
	if d.quiet.Check(it.Candidate).Verdict >= dec.Verdict {
		p.Already++
	} else if len(p.Found) < previewFound {
		p.Found = append(p.Found, takedown.Found{Item: it, Decision: dec})
	}
	return true
}

// rank lists the hosts with the most hits.
func (p *Preview) rank(hosts map[string]int) {
	for h, n := range hosts {
		p.Hosts = append(p.Hosts, HostCount{h, n})
	}
	p.AllHosts = len(p.Hosts)
	slices.SortFunc(p.Hosts, func(a, b HostCount) int { return cmp.Or(b.Count-a.Count, cmp.Compare(a.Host, b.Host)) })
	p.Hosts = p.Hosts[:min(len(p.Hosts), previewHosts)]
}

// crowded reports whether so much is hit that a second reviewer has to agree.
func (p *Preview) crowded(d *Desk, k takedown.Kind) bool {
	n := p.Block + p.Review
	return n > cmp.Or(d.opts.ManyMatches, 1000) || p.Looked >= 1000 && 100*n > p.Looked ||
		d.budget >= 0 && p.Weak > d.budget && radius.Budgeted(uint8(k))
}

// trial is what a grant would be: a list that has nothing but its rules and the
// allow list, and its faces.
type trial struct {
	list      *blocklist.List
	enf, bare *takedown.Enforcer // with the allow list and without
	faces     trialFaces
}

// check answers about a candidate.
func (t *trial) check(c *takedown.Candidate) takedown.Decision {
	return t.faces.strengthen(t.enf.Check(*c), c, t.list.State())
}

// hidden answers, about a candidate that is on the allow list, as if it were
// not; about others it returns the zero Decision.
func (t *trial) hidden(c *takedown.Candidate) takedown.Decision {
	view := t.list.State()
	listed := view.IsAllowed(&c.SHA256, phash.Hash{})
	for i := range 1 + len(c.Frames) {
		for _, h := range c.Picture(i).Hashes {
			listed = listed || view.IsAllowed(nil, h)
		}
	}
	if !listed {
		return takedown.Decision{}
	}
	return t.faces.strengthen(t.bare.Check(*c), c, nil)
}

// trialFaces are the faces of a grant, which are compared one by one.
type trialFaces struct {
	id          takedown.CaseID
	kind        takedown.Kind
	terms       FaceTerms
	effect      blocklist.Effect
	territories bool // the rule has some
	faces       []takedown.Face
	today       *blocklist.State // of the desk
	replaced    []uint64         // the rules of today in whose place the grant would come
}

// nearest returns the face of a candidate that is most similar to one of the
// grant, of those frames that it has to look at; a similarity of −2 says that
// there is none.
func (t *trialFaces) nearest(c *takedown.Candidate, looks func(frame int) bool) (best takedown.Decision) {
	best.Similarity = -2
	for frame := range 1 + len(c.Frames) {
		if !looks(frame) {
			continue
		}
		for i, f := range c.Picture(frame).Faces {
			for _, g := range t.faces {
				if s, ok := f.Similarity(g); ok && s > best.Similarity {
					best.Similarity, best.Face, best.Frame = s, i, frame
				}
			}
		}
	}
	return best
}

func everyFrame(int) bool { return true }

// strengthen returns the decision about a candidate with what its faces add. common
// has the allow list, and nil passes over it.
func (t *trialFaces) strengthen(d takedown.Decision, c *takedown.Candidate, common *blocklist.State) takedown.Decision {
	if len(t.faces) == 0 {
		return d
	}
	f := t.nearest(c, func(frame int) bool { return !t.leavesAlone(c, frame, common) })
	if t.nearest(c, everyFrame).Similarity >= -1 {
		d.Checked |= takedown.TierFace
	}
	switch {
	case f.Similarity < t.terms.Review:
		return d
	case f.Similarity < t.terms.Block, t.effect == blocklist.EffectReview:
		f.Verdict = takedown.Review
	default:
		f.Verdict = takedown.Block
	}
	if t.territories {
		f.Verdict = takedown.Restricted
	}
	f.Weak = f.Similarity < t.terms.Block
	f.Checked, f.Why, f.Case, f.Kind, f.Scope = d.Checked, takedown.TierFace, t.id, t.kind, takedown.ScopeFace
	if f.Stronger(d) {
		return f
	}
	return d
}

// leavesAlone reports whether a frame of a candidate is on the allow list, or
// excepted from a rule in whose place the grant would come: its exceptions go over.
func (t *trialFaces) leavesAlone(c *takedown.Candidate, frame int, common *blocklist.State) bool {
	hashes := c.Picture(frame).Hashes
	var file *[32]byte
	if c.SHA256 != [32]byte{} {
		file = &c.SHA256
	}
	if common != nil && t.kind != request.KindAuthorityOrder {
		own, of := phash.Hash{}, file
		if len(hashes) > 0 {
			own = hashes[0]
		}
		if len(c.Frames) > 0 { // an animation is not listed by its file
			of = nil
		}
		if common.IsAllowed(of, own) {
			return true
		}
	}
	return slices.ContainsFunc(t.replaced, func(rule uint64) bool {
		return t.today.HasException(blocklist.Hit{Rule: rule}, file, hashes)
	})
}

// trial makes a list of nothing but the rules of a grant. done removes it.
func (d *Desk) trial(ctx context.Context, c *caseRecord, g Grant) (t *trial, done func() error, err error) {
	// In memory: nothing of a case that is not decided reaches the disk, and no write
	// is waited for.
	list, err := blocklist.New(blocklist.NewMemoryJournal(), "", &blocklist.Options{Now: d.opts.Now})
	if err != nil {
		return nil, nil, err
	}
	made := false
	defer func() { // also when something panics
		if !made {
			err = errors.Join(err, list.Close())
		}
	}()
	rules, covers, err := d.plan(c, g, list)
	if err != nil {
		return nil, nil, err
	}
	now := d.clock()
	faces := trialFaces{id: c.ID, kind: c.Kind, terms: c.Face, today: d.list.State()}
	var events []blocklist.Event
	for i := range rules { // that of the faces is the last
		if rules[i].Scope == takedown.ScopeFace {
			faces.effect, faces.territories = rules[i].Effect, len(rules[i].Territories) > 0
			for _, item := range covers[i] {
				kept, err := d.store.template(c, item)
				if err != nil {
					return nil, nil, err
				}
				faces.faces = append(faces.faces, kept.Face)
				if rule := c.Items[item].Rule; rule != 0 && !slices.Contains(faces.replaced, rule) {
					faces.replaced = append(faces.replaced, rule)
				}
			}
			continue
		}
		// As if it had begun: a preview is of what the rules reach.
		rules[i].Start, rules[i].End = time.Time{}, time.Time{}
		events = append(events, blocklist.Event{ID: newEventID(), Type: blocklist.EventAdded, Time: now, Rule: &rules[i]})
	}
	carried, err := d.carry(c, c.Rules, rules[:len(events)], covers, now)
	if err != nil {
		return nil, nil, err
	}
	common, err := d.allowEvents()
	if err != nil {
		return nil, nil, err
	}
	if events = slices.Concat(events, carried, common); len(events) > 0 {
		aim(events, list.State().Seq())
		if _, err := list.Append(ctx, events...); err != nil {
			return nil, nil, err
		}
	}
	t = &trial{list: list, faces: faces}
	opts := d.opts.Enforcer
	if t.enf, err = takedown.NewEnforcer([]takedown.ListSource{{List: list}}, &opts); err != nil {
		return nil, nil, err
	}
	opts.IgnoreAllowList = true
	if t.bare, err = takedown.NewEnforcer([]takedown.ListSource{{List: list}}, &opts); err != nil {
		return nil, nil, err
	}
	made = true
	return t, list.Close, nil
}

// miss notes how far an image is that would be left alone.
func (p *Preview) miss(it takedown.Item, mats []request.Material) {
	nearest := nearMisses + 1
	for _, m := range mats {
		for _, k := range m.Hashes {
			for _, h := range it.Candidate.Hashes {
				if n, comparable := k.Hash.Distance(h); comparable && h.Algorithm().Bits() == 256 {
					nearest = min(nearest, n)
				}
			}
		}
	}
	if nearest > nearMisses || len(p.Near) == previewNear && nearest >= p.Near[previewNear-1].Distance {
		return
	}
	at, _ := slices.BinarySearchFunc(p.Near, nearest, func(n NearMiss, d int) int { return cmp.Or(cmp.Compare(n.Distance, d), -1) })
	p.Near = slices.Insert(p.Near, at, NearMiss{it, nearest})
	p.Near = p.Near[:min(len(p.Near), previewNear)]
}

// missFace notes how similar the faces are of an image that would be left alone.
func (p *Preview) missFace(it takedown.Item, faces *trialFaces) {
	f := faces.nearest(&it.Candidate, everyFrame)
	if f.Similarity < -1 || len(p.NearFaces) == previewNear && f.Similarity <= p.NearFaces[previewNear-1].Similarity {
		return
	}
	at, _ := slices.BinarySearchFunc(p.NearFaces, f.Similarity, func(n NearFace, s float64) int { return cmp.Or(cmp.Compare(s, n.Similarity), -1) })
	p.NearFaces = slices.Insert(p.NearFaces, at, NearFace{it, f.Frame, f.Face, f.Similarity})
	p.NearFaces = p.NearFaces[:min(len(p.NearFaces), previewNear)]
}

func hostOf(c takedown.Candidate) string {
	for _, u := range append(slices.Clone(c.ImageURLs), c.PageURLs...) {
		canonical, err := blocklist.Canonical(u)
		if err != nil {
			continue
		}
		if parsed, err := url.Parse(canonical); err == nil {
			return parsed.Host
		}
	}
	return ""
}
