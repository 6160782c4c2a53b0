package desk

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/radius"
	"github.com/staydown/staydown/internal/territory"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// Grant is the decision to accept a request, and how far.
type Grant struct {
	Actor
	// Scope is the granted scope. Zero grants the scope that was asked for, and
	// for each item at most its maximum. A narrower scope is always possible; a
	// wider one needs Wider. For an [request.OpenOptOut], zero and ScopeDuplicate
	// grant the pictures alone, and ScopeFace grants the pictures and the faces.
	// Items can differ from that for single items.
	Scope takedown.Scope
	// Wider is required when the grant goes beyond the request, in scope or in
	// territories. It is a reason code. Such a grant needs a second reviewer.
	Wider string
	// Items are decisions about single items, by their number in [Case].Items.
	// Items without an entry are accepted on the terms of the grant, except those
	// that were withdrawn, reversed or restored.
	Items map[int]ItemDecision
	// Face raises the thresholds of a face above those of the desk. The zero value
	// means the desk's thresholds. It must be zero if no face is granted.
	Face FaceThreshold
	// Effect is the effect of the rules. The default is EffectBlock. For items
	// that have only a hash it is EffectReview, because no reviewer can see the
	// image.
	Effect blocklist.Effect
	// Territories are where the rule applies: countries, ISO 3166-1 alpha-2, or
	// the sets "EU27" and "EEA30". Empty means everywhere, except for an
	// [request.AuthorityOrder], which then applies in its own territories.
	Territories []string
	// Start and End bound the time in which the rule applies, in whole seconds of
	// the years 1 to 9999. A zero Start means at once, a zero End means for ever.
	// End is after now.
	Start, End time.Time
	// Finding has the words of the decision.
	Finding Finding
	// ClaimantTold reports that the reviewer told the claimant of a counter-notice in
	// another way, because the data of the claimant's case is erased.
	ClaimantTold bool
	// Seen is the [Case].Version that the reviewer looked at. If the case has
	// another version now, the call fails with a [*ChangedError]. Zero does not
	// compare.
	Seen int
	// Past is when an imported case was decided, and the requester told of it, before
	// it came to the desk: see [Desk.Import]. Nobody is written to, and the clocks run
	// from that day. Zero is a decision of today.
	Past time.Time

	// asBefore keeps what is in force: the thresholds of a face, what the rule of an
	// item does, and the scopes of pictures that have come onto the allow list.
	asBefore bool
	// preview lets a grant be tried that would be refused for a picture on the
	// allow list.
	preview bool
}

// FaceThreshold are similarities as in [FaceModel]. Zero means the desk's
// threshold; values below the desk's threshold are refused.
type FaceThreshold struct{ Block, Review float64 }

// check returns what is wrong with thresholds of any model.
func (t FaceThreshold) check() error {
	for _, x := range []float64{t.Block, t.Review} {
		if !(x >= 0 && x <= 1) { // written so that NaN is refused
			return errors.New("a threshold of a face is above 0 and at most 1, or 0 for that of the desk")
		}
	}
	return nil
}

// ItemDecision is a reviewer's decision about one item.
type ItemDecision struct {
	// Outcome is OutcomeAccepted, the default, or one of the others except
	// OutcomePartly. OutcomeNotMeant is for an [request.OpenOptOut] only.
	Outcome Outcome
	// Reason is a code, as in Actor. A refused item needs a reason, as in [Refusal];
	// the default is that of the grant.
	Reason string
	Scope  takedown.Scope // zero is that of the grant
	// Address decides what an address is of which [request.Item].MaybePage is set:
	// request.ItemImageURL or request.ItemPageURL. Empty blocks it as both.
	Address request.ItemKind
	// Views, unless nil, are the views of a picture that are registered: frames of
	// an animation, readings of a transparent picture, or rectangles. They need not
	// be among those that Preview shows. Nil registers those that are the default.
	// A reviewer who names them has looked at them: the risks of the choice no
	// longer need a second reviewer.
	Views []blocklist.View
}

// GrantError reports why a case cannot be accepted on the terms of a grant.
type GrantError struct {
	ID  takedown.CaseID
	Why string // what is wrong, and what can be granted
}

func (e *GrantError) Error() string { return fmt.Sprintf("takedown: case %v: %s", e.ID, e.Why) }

// SecondReviewError reports that the approval of a risky case was recorded, and
// that a second reviewer has to grant the same.
type SecondReviewError struct {
	ID    takedown.CaseID
	Risks []request.Flag
}

func (e *SecondReviewError) Error() string {
	return fmt.Sprintf("takedown: case %v is noted as approved; a second reviewer has to grant the same, because of %v", e.ID, e.Risks)
}

// Bounds within which a picture can be registered, but where a second reviewer
// has to agree: PDQ quality below, or stability above. Of 297 photographs that
// could be registered, 5 are beyond.
const (
	quietQuality   = 75
	quietStability = 28
)

// risks returns why a grant needs a second reviewer. It looks for earlier cases
// again: another may have come into force, or have lost its requester, since
// this one was taken in.
func (d *Desk) risks(c *caseRecord) (flags []request.Flag, err error) {
	mats, err := d.material(c)
	if err != nil {
		return nil, err
	}
	mats = c.registered(mats)
	faces, err := d.facesOf(c, func(it *CaseItem) bool { return it.Granted == takedown.ScopeFace })
	if err != nil {
		return nil, err
	}
	if err := d.findEarlier(c, mats, faces); err != nil {
		return nil, err
	}
	for _, f := range []request.Flag{FlagContradiction, FlagOtherParty} {
		if slices.Contains(c.Flags, f) {
			flags = append(flags, f)
		}
	}
	elsewhere, err := territory.Beyond(c.Territories, c.AskedTerritories)
	if err != nil {
		return nil, err
	}
	if c.Granted > c.Asked || elsewhere {
		flags = append(flags, FlagWider)
	}
	if c.Granted == takedown.ScopeFace {
		flags = append(flags, FlagFace)
		if len(d.people(faces)) > 1 {
			flags = append(flags, FlagSeveralPeople)
		}
		if slices.ContainsFunc(d.strangers(faces), Strangers.universal) {
			flags = append(flags, FlagUniversalFace)
		}
	}
	if c.Crowded != 0 && c.Granted >= c.Crowded {
		flags = append(flags, FlagCrowded)
	}
	add := func(f request.Flag, ok bool) {
		if ok && !slices.Contains(flags, f) {
			flags = append(flags, f)
		}
	}
	for i := range min(len(mats), len(c.Items)) {
		m, scope := &mats[i], c.Items[i].Granted
		add(FlagUnseen, scope == takedown.ScopeFace && c.Items[i].Effect == blocklist.EffectBlock && d.unseen(c, mats, i))
		if scope < takedown.ScopeIdentical || c.Items[i].Kind != request.ItemPicture && c.Items[i].Kind != request.ItemHash {
			continue
		}
		add(FlagUnseen, c.Items[i].Effect == blocklist.EffectBlock && d.unseen(c, mats, i))
		add(FlagAllowListed, d.nearAllowed(m, scope))
		for _, f := range m.Risks {
			add(f, c.Items[i].Views == nil || f != request.FlagSeveralFrames && f != request.FlagReadingsDiffer)
		}
		for _, v := range m.Views {
			add(FlagFlat, v.Quality < quietQuality || v.Stability > quietStability)
			for _, f := range v.Risks {
				add(f, true)
			}
		}
	}
	return flags, nil
}

// unseen reports whether an item is a hash of which the request has no picture, or
// the vector of a face that came without one: nobody can look at what it would
// block. A vector can be made so that it resembles very many people.
func (d *Desk) unseen(c *caseRecord, mats []request.Material, item int) bool {
	switch c.Items[item].Kind {
	case request.ItemHash:
	case request.ItemFace:
		return !d.opts.TrustFaceVectors && strings.HasPrefix(c.Items[item].Field, "faces[")
	default:
		return false
	}
	for i := range c.Items {
		if c.Items[i].Kind != request.ItemPicture {
			continue
		}
		for _, own := range asItIs(mats[item].Hashes) {
			if slices.ContainsFunc(asItIs(mats[i].Hashes), func(k blocklist.HashKey) bool {
				n, ok := k.Hash.Distance(own.Hash)
				return ok && d.radii.IsIdentical(own.Hash.Algorithm(), n)
			}) {
				return false
			}
		}
	}
	return true
}

// approved returns a digest of what a reviewer approves with a grant that is
// planned, so that two can be seen to have approved the same: the grant to the
// letter, the terms that it comes to, and what is blocked by them, face by face.
// Of a reply, which blocks nothing, it has the request.
func (d *Desk) approved(c *caseRecord, g Grant) ([]byte, error) {
	g.Actor, g.Finding, g.Seen = Actor{}, Finding{}, 0 // each reviewer has words of their own
	mats, err := d.material(c)
	if err != nil {
		return nil, err
	}
	var reply request.Request
	if request.IsReply(c.Kind) {
		reply = c.Request
	}
	items := slices.Clone(c.Items)
	for i := range items {
		items[i].Rule = 0 // of a hold, which may begin or end between the two
	}
	// A template is never changed: the id in its item says which it is.
	b, err := json.Marshal(struct {
		Grant       Grant
		Effect      blocklist.Effect
		Territories []string
		Start, End  time.Time
		Face        FaceTerms
		Items       []CaseItem
		Material    []request.Material
		About       takedown.CaseID
		Reply       request.Request
	}{g, c.Effect, c.Territories, c.Start, c.End, c.Face, items, mats, c.About, reply})
	if err != nil {
		return nil, &GrantError{c.ID, fmt.Sprintf("its terms cannot be noted: %v", err)}
	}
	// Keyed: it stays in the case when what it is about is erased.
	mac := hmac.New(sha256.New, d.store.operator[:])
	mac.Write([]byte("approval:"))
	mac.Write(b)
	return mac.Sum(nil), nil
}

// material returns what the items of a case are recognised by, also while its
// request is replaced.
func (d *Desk) material(c *caseRecord) ([]request.Material, error) {
	if c.material != nil {
		return c.material, nil
	}
	return d.store.material(c.ID)
}

// ruleTime returns a time as a rule has it: in whole seconds, and UTC. The zero
// Time stays what it is. ok is false for a time that a rule cannot have.
func ruleTime(t time.Time) (whole time.Time, ok bool) {
	if t.IsZero() {
		return time.Time{}, true
	}
	whole = t.UTC().Truncate(time.Second)
	// A rule counts seconds from 1970, and 0 is no time.
	return whole, !whole.IsZero() && whole.Unix() != 0 && whole.Year() >= 1 && whole.Year() <= 9999
}

// asItIs returns the hashes of the picture as it was sent, without those of its
// other orientations and crops.
func asItIs(keys []blocklist.HashKey) (own []blocklist.HashKey) {
	for _, k := range keys {
		if radius.AsSent(k.Variant) {
			own = append(own, k)
		}
	}
	return own
}

// hasFaces reports whether a case has an item that is a face.
func (c *Case) hasFaces() bool {
	return slices.ContainsFunc(c.Items, func(it CaseItem) bool { return it.Kind == request.ItemFace })
}

// facesOf returns the faces of those items of a case that are wanted and whose
// templates are there.
func (d *Desk) facesOf(c *caseRecord, want func(*CaseItem) bool) (faces map[int]takedown.Face, err error) {
	faces = map[int]takedown.Face{}
	for i := range c.Items {
		if it := &c.Items[i]; it.Template == nil || !want(it) {
			continue
		}
		t, err := d.store.template(c, i)
		if err != nil {
			return nil, err
		}
		faces[i] = t.Face
	}
	return faces, nil
}

// people puts the faces of one request, by the numbers of their items, together
// that may be of one person: each resembles all others of its group as the Review
// threshold of its model demands. A chain is not enough, because a child resembles
// one picture of its mother and not the next. Each group is ascending, and so are
// the groups. Without a threshold of the model all are one.
func (d *Desk) people(faces map[int]takedown.Face) (groups [][]int) {
	same := func(f, g takedown.Face) bool {
		m := d.faceModel(f)
		similarity, ok := f.Similarity(g)
		return m == nil || ok && similarity >= m.Review
	}
	for _, i := range slices.Sorted(maps.Keys(faces)) {
		at := slices.IndexFunc(groups, func(group []int) bool {
			return !slices.ContainsFunc(group, func(k int) bool { return !same(faces[k], faces[i]) })
		})
		if at < 0 {
			groups = append(groups, []int{i})
			continue
		}
		groups[at] = append(groups[at], i)
	}
	return groups
}

// faceTerms returns on which terms the faces of some items are granted: those of
// the desk's model, or higher thresholds. before are those in force.
func (d *Desk) faceTerms(c *caseRecord, g Grant, items []int, before FaceTerms) (t FaceTerms, err error) {
	refuse := func(format string, args ...any) error { return &GrantError{c.ID, fmt.Sprintf(format, args...)} }
	for _, i := range items {
		template, err := d.store.template(c, i)
		if err != nil {
			return t, err
		}
		t.Model, t.Dimensions = template.Face.Model(), template.Face.Dimensions()
	}
	if g.asBefore && t.Model == before.Model && t.Dimensions == before.Dimensions {
		return before, nil
	}
	if len(d.opts.FaceModels) == 0 {
		return t, refuse("a face cannot be granted: desk.Options.FaceModels does not say from which similarity on two faces are one person's, and there is no default")
	}
	if d.opts.ListKey == nil && d.publishes.Load() {
		// No rule at all could be published any more.
		return t, refuse("a face cannot be granted: this desk publishes its list, and one with faces is published encrypted or not at all; set desk.Options.ListKey, with which Open encrypts the list that is there, and give it to the machines that load what Publish writes")
	}
	at := slices.IndexFunc(d.opts.FaceModels, func(m FaceModel) bool { return m.Name == t.Model && m.Dimensions == t.Dimensions })
	if at < 0 {
		// The sender chose the model's name: it is not repeated.
		return t, refuse("its faces, of %d dimensions, are of a model that is not among desk.Options.FaceModels: %v", t.Dimensions, d.opts.FaceModels)
	}
	m := d.opts.FaceModels[at]
	t.Block, t.Review = cmp.Or(g.Face.Block, m.Block), cmp.Or(g.Face.Review, m.Review)
	// Written so that NaN is refused.
	if !(t.Block >= m.Block && t.Block <= 1) || !(t.Review >= m.Review && t.Review <= t.Block) {
		return t, refuse("the thresholds of a face can be raised, not lowered: Block is %v to 1, Review %v to Block", m.Block, m.Review)
	}
	return t, nil
}
