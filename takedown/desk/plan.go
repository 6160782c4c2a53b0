package desk

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/features"
	"github.com/staydown/staydown/internal/territory"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// A plan turns a grant into rules: one for all addresses, one for each picture and
// hash, and one for all faces.
type plan struct {
	d    *Desk
	c    *caseRecord
	g    Grant
	list *blocklist.List // of whose addresses the digests are
	mats []request.Material

	proto     blocklist.Rule // what all rules have in common
	addresses blocklist.Rule
	addressed []int // the items of the rule for addresses
	hosts     blocklist.Rule
	hosted    []int // the items of the rule for hosts
	rules     []blocklist.Rule
	covers    [][]int // the items of each rule
	faces     []int   // the items that are faces
}

// refuse returns the error of a grant that cannot be.
func (p *plan) refuse(format string, args ...any) error {
	return &GrantError{p.c.ID, fmt.Sprintf(format, args...)}
}

// plan checks a grant, writes it into the case and returns the rules that bring
// it into force, with the items that each covers. Seal adds the keys of faces.
// Digests of addresses are those of list.
func (d *Desk) plan(c *caseRecord, g Grant, list *blocklist.List) (rules []blocklist.Rule, covers [][]int, err error) {
	p := &plan{d: d, c: c, g: g, list: list}
	if err := p.terms(); err != nil {
		return nil, nil, err
	}
	if err := p.materials(); err != nil {
		return nil, nil, err
	}
	before := c.Face
	c.Granted, c.Face = 0, FaceTerms{}
	p.addresses = p.proto
	p.addresses.Scope = takedown.ScopeURL
	p.hosts = p.proto
	p.hosts.Scope = blocklist.ScopeHost
	for i := range c.Items {
		if err := p.item(i); err != nil {
			return nil, nil, err
		}
	}
	return p.finish(before)
}

// terms checks what the grant says of the whole case, and writes it there.
func (p *plan) terms() error {
	c, g := p.c, &p.g
	if err := (Actor{Reason: g.Wider}).check(); err != nil {
		return err
	}
	if g.Scope > takedown.ScopeFace || g.Scope == takedown.ScopeFace && !c.hasFaces() {
		why := ""
		if g.Scope == takedown.ScopeFace {
			why = "; it has no face, or no consent to make a template of one"
		}
		return p.refuse("%v cannot be granted; %v is the widest%s", g.Scope, takedown.ScopeDuplicate, why)
	}
	if err := p.times(); err != nil {
		return err
	}
	if err := g.Face.check(); err != nil {
		return p.refuse("%v", err)
	}
	switch g.Effect {
	case 0, blocklist.EffectBlock, blocklist.EffectReview:
	default:
		return p.refuse("%v is neither block nor review", g.Effect)
	}
	where, err := p.territories()
	if err != nil {
		return err
	}
	for i := range g.Items {
		if i < 0 || i >= len(c.Items) {
			return p.refuse("it has no item %d", i)
		}
	}
	c.Effect, c.Territories = 0, g.Territories
	p.proto = blocklist.Rule{
		Effect: cmp.Or(g.Effect, blocklist.EffectBlock), Case: c.ID, Kind: uint8(c.Kind), Territories: where, Start: c.Start, End: c.End,
		Purposes: c.Purposes,
	}
	return nil
}

// times checks the start and the end.
func (p *plan) times() error {
	if p.c.Kind == request.KindFaceOptOut && p.g.End.IsZero() && !p.g.asBefore {
		p.g.End = p.d.faceEnd(p.c)
	}
	start, ok := ruleTime(p.g.Start)
	end, okEnd := ruleTime(p.g.End)
	switch {
	case !ok || !okEnd:
		return p.refuse("the start or end of the rule is not in the years 1 to 9999, or is the first second of 1970")
	case !end.IsZero() && !end.After(start):
		return p.refuse("the end of the rule is not after its start, by a second at least")
	// Terms that are kept as they are may have run out; Expire says so.
	case !end.IsZero() && !end.After(p.d.clock()) && !p.g.asBefore:
		return p.refuse("the end of the rule, %s, is over: nothing would be enforced", end.Format(time.RFC3339))
	}
	p.c.Start, p.c.End = start, end
	return nil
}

// territories returns where the rules are to apply.
func (p *plan) territories() ([]blocklist.Territory, error) {
	if len(p.g.Territories) == 0 {
		p.g.Territories = p.c.AskedTerritories
	}
	where, err := territory.Parse(p.g.Territories)
	if err != nil {
		return nil, p.refuse("a territory is not an ISO 3166-1 alpha-2 code, EU27 or EEA30")
	}
	switch elsewhere, err := territory.Beyond(p.g.Territories, p.c.AskedTerritories); {
	case err != nil:
		return nil, err
	case elsewhere && p.g.Wider == "":
		return nil, p.refuse("it was asked for %v; %v is wider and needs Grant.Wider, the code of a reason", p.c.AskedTerritories, p.g.Territories)
	}
	return where, nil
}

// materials reads what the items are recognised by.
func (p *plan) materials() (err error) {
	c := p.c
	if p.mats, err = p.d.material(c); err != nil {
		return err
	}
	p.mats = slices.Clone(p.mats)
	if len(p.mats) == 0 && c.Erased() {
		return fmt.Errorf("takedown: case %v has ended: %w", c.ID, ErrErased)
	}
	if len(p.mats) != len(c.Items) {
		return fmt.Errorf("takedown: case %v: %d items, but keys of %d", c.ID, len(c.Items), len(p.mats))
	}
	return nil
}

// item plans one item.
func (p *plan) item(i int) error {
	it, dec := &p.c.Items[i], p.g.Items[i]
	if err := (Actor{Reason: dec.Reason}).check(); err != nil {
		return err
	}
	effect := p.effect(i)
	// Its rule stays until the new one is there.
	it.Outcome, it.Reason, it.Granted, it.Effect = dec.Outcome, dec.Reason, 0, 0
	if it.Ended != "" {
		if dec.Outcome == OutcomeAccepted {
			return p.refuse("item %d was %s; it can be granted when its requester has asked for it again", i, it.Ended)
		}
		it.end(it.Ended)
		return nil
	}
	switch dec.Outcome {
	case "", OutcomeAccepted:
	case OutcomeRejected, OutcomeOutOfScope, OutcomeDuplicateOf, OutcomeUnfounded:
		return nil
	default:
		if dec.Outcome == OutcomeNotMeant && p.c.Kind == request.KindOpenOptOut {
			return nil
		}
		return p.refuse("item %d: %q is no outcome of an item", i, dec.Outcome)
	}
	it.Outcome = OutcomeAccepted
	if err := p.views(i); err != nil {
		return err
	}
	scope, named, err := p.scope(i)
	if err != nil {
		return err
	}
	switch it.Kind {
	case request.ItemFace:
		err = p.face(i, scope, named)
	case request.ItemImageURL, request.ItemPageURL, request.ItemHost:
		err = p.address(i, scope, named)
	default:
		err = p.picture(i, scope, effect)
	}
	if err != nil || it.Outcome != OutcomeAccepted {
		return err
	}
	it.Effect = effect
	p.c.Granted = max(p.c.Granted, it.Granted)
	if p.c.Effect != blocklist.EffectBlock {
		p.c.Effect = effect
	}
	return nil
}

// effect returns what the rule of an item does.
func (p *plan) effect(i int) blocklist.Effect {
	switch {
	case p.g.asBefore && p.c.Items[i].Effect != 0:
		return p.c.Items[i].Effect
	case p.g.Effect == 0 && p.d.unseen(p.c, p.mats, i):
		return blocklist.EffectReview
	}
	return p.proto.Effect
}

// scope returns the scope of an item, and whether the grant names it.
func (p *plan) scope(i int) (scope takedown.Scope, named bool, err error) {
	dec := p.g.Items[i]
	named = p.g.Scope != 0 || dec.Scope != 0
	scope = cmp.Or(dec.Scope, p.g.Scope, p.c.Asked)
	if scope > p.c.Asked && p.g.Wider == "" {
		return 0, false, p.refuse("%v was asked for; %v is wider and needs Grant.Wider, the code of a reason", p.c.Asked, scope)
	}
	if p.c.Items[i].Kind == request.ItemFace {
		return scope, named, nil
	}
	if dec.Scope > takedown.ScopeDuplicate {
		return 0, false, p.refuse("%v cannot be granted for item %d; %v is the widest", dec.Scope, i, takedown.ScopeDuplicate)
	}
	return min(scope, takedown.ScopeDuplicate), named, nil // the faces of an open opt-out can have more
}

// face plans a face. The one of an open opt-out is meant only if the grant says so.
func (p *plan) face(i int, scope takedown.Scope, named bool) error {
	it := &p.c.Items[i]
	if p.c.Kind == request.KindOpenOptOut && !(named && scope == takedown.ScopeFace) {
		it.Outcome = OutcomeNotMeant
		return nil
	}
	if scope != takedown.ScopeFace {
		return p.refuse("item %d is a face; grant %v, or reject it", i, takedown.ScopeFace)
	}
	it.Granted = takedown.ScopeFace
	p.faces = append(p.faces, i)
	return nil
}

// address plans an address of a picture or of a page.
func (p *plan) address(i int, scope takedown.Scope, named bool) error {
	if named && scope > p.c.Asked {
		return p.refuse("item %d is an address; there is no picture to recognise copies by", i)
	}
	it := &p.c.Items[i]
	it.Granted = takedown.ScopeURL
	it.As = cmp.Or(p.g.Items[i].Address, it.As)
	if it.As != "" && (!it.MaybePage || it.As != request.ItemImageURL && it.As != request.ItemPageURL) {
		return p.refuse("item %d: its address cannot be decided to be that of a %q", i, it.As)
	}
	var keys []blocklist.Address
	for _, kind := range it.addressKinds() {
		digest, err := p.list.Digest(kind, p.mats[i].Address)
		if errors.Is(err, blocklist.ErrShared) {
			return p.refuse("item %d is a host that many people share; it cannot be granted as a whole", i)
		}
		if err != nil {
			return fmt.Errorf("takedown: case %v: %w", p.c.ID, err)
		}
		keys = append(keys, blocklist.Address{Kind: kind, Digest: digest})
	}
	if it.Kind == request.ItemHost {
		p.hosts.Keys.Addresses = append(p.hosts.Keys.Addresses, keys...)
		p.hosted = append(p.hosted, i)
		return nil
	}
	p.addresses.Keys.Addresses = append(p.addresses.Keys.Addresses, keys...)
	p.addressed = append(p.addressed, i)
	return nil
}

// addressKinds returns the lists on which the address of an item stands: as a picture,
// as a page, or as both.
func (it *CaseItem) addressKinds() (kinds []blocklist.AddressKind) {
	if it.Kind == request.ItemHost {
		return []blocklist.AddressKind{blocklist.HostAddress}
	}
	both, as := it.MaybePage && it.As == "", cmp.Or(it.As, it.Kind)
	if as == request.ItemImageURL || both {
		kinds = append(kinds, blocklist.ImageAddress)
	}
	if as == request.ItemPageURL || both {
		kinds = append(kinds, blocklist.PageAddress)
	}
	return kinds
}

// picture plans a picture, or a hash alone.
func (p *plan) picture(i int, scope takedown.Scope, effect blocklist.Effect) error {
	it, m := &p.c.Items[i], &p.mats[i]
	reach := reaches(*it, m)
	if widest := p.d.widest(p.c.Kind, reach, m); scope > widest && !p.g.asBefore && !p.g.preview {
		if widest < reach.MaxScope {
			return p.refuse("item %d: the picture is on the allow list; grant %v instead of %v, reject it, or take the picture off the list", i, widest, scope)
		}
		return p.refuse("item %d: the picture's hash would hit other pictures; grant %v instead of %v, or reject it", i, reach.MaxScope, scope)
	}
	if scope < takedown.ScopeBytes {
		return p.refuse("item %d is a picture; it can be granted from %v on", i, takedown.ScopeBytes)
	}
	it.Granted = scope
	keys, err := keysOf(m, scope, p.d.opts.Parts)
	if err != nil {
		return fmt.Errorf("takedown: case %v: item %d: %w", p.c.ID, i, err)
	}
	if keys.Len() == 0 {
		return p.refuse("item %d is a hash; it can be granted from %v on", i, takedown.ScopeIdentical)
	}
	rule := p.proto
	rule.Scope, rule.Effect, rule.Keys = scope, effect, keys
	p.rules, p.covers = append(p.rules, rule), append(p.covers, []int{i})
	return nil
}

// keysOf returns the keys of a picture for a scope; with parts set, also the hashes of
// its parts.
func keysOf(m *request.Material, scope takedown.Scope, parts bool) (keys blocklist.Keys, err error) {
	if m.Bytes != nil {
		keys.Bytes = [][32]byte{*m.Bytes}
	}
	switch scope {
	case takedown.ScopeIdentical:
		keys.Hashes = asItIs(m.Hashes)
	case takedown.ScopeDuplicate:
		for _, k := range m.Hashes {
			if parts || k.Hash.Algorithm() != phash.AlgPart {
				keys.Hashes = append(keys.Hashes, k)
			}
		}
		for i, v := range m.Views {
			if len(v.Features) == 0 {
				continue
			}
			f, err := features.Open(bytes.Clone(v.Features))
			if err != nil {
				return keys, err
			}
			keys.Features, keys.FeatureViews = append(keys.Features, f), append(keys.FeatureViews, uint8(i+1))
		}
	}
	for _, v := range m.Views {
		keys.Views = append(keys.Views, v.View)
	}
	// All of a still picture is not named: most pictures are registered so.
	if scope < takedown.ScopeIdentical || len(keys.Views) == 1 && keys.Views[0] == (blocklist.View{}) {
		keys.Views, keys.FeatureViews = nil, nil
		for i := range keys.Hashes {
			keys.Hashes[i].View = 0
		}
	}
	return keys, nil
}

// finish puts the rules in order, that of the addresses first and that of the faces
// last, and says what the case comes to.
func (p *plan) finish(before FaceTerms) (rules []blocklist.Rule, covers [][]int, err error) {
	if len(p.addressed) > 0 {
		rules, covers = append(rules, p.addresses), append(covers, p.addressed)
	}
	if len(p.hosted) > 0 {
		rules, covers = append(rules, p.hosts), append(covers, p.hosted)
	}
	rules, covers = append(rules, p.rules...), append(covers, p.covers...)
	c := p.c
	switch {
	case len(p.faces) > 0:
		if c.Face, err = p.d.faceTerms(c, p.g, p.faces, before); err != nil {
			return nil, nil, err
		}
		rule := p.proto
		rule.Scope = takedown.ScopeFace
		// They are one rule: where one of them only holds, all do.
		if slices.ContainsFunc(p.faces, func(i int) bool { return c.Items[i].Effect == blocklist.EffectReview }) {
			rule.Effect = blocklist.EffectReview
		}
		for _, i := range p.faces {
			c.Items[i].Effect = rule.Effect
		}
		rules, covers = append(rules, rule), append(covers, p.faces)
	case p.g.Face != (FaceThreshold{}):
		return nil, nil, p.refuse("Grant.Face has thresholds of a face, but no face is granted")
	}
	if len(rules) == 0 {
		return nil, nil, p.refuse("no item is accepted; reject the case instead")
	}
	c.Outcome = OutcomeAccepted
	for _, it := range c.Items {
		if it.Outcome != OutcomeAccepted && it.Outcome != OutcomeNotMeant {
			c.Outcome = OutcomePartly
		}
	}
	return rules, covers, nil
}
