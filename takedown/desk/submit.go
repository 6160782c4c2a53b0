package desk

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/contact"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// Submit opens a case for a request. It returns the new case, or a
// [*request.ValidationError] with all problems of the request.
//
// A request with only [request.Curable] problems is accepted for processing. The
// case waits in [StateNeedsInfo], with its problems, for [Desk.Complete]. It keeps
// the time of its receipt.
//
// Papers, such as a mandate or a police report, are stored with it: see [Desk.Notes].
// For one that is not taken it fails with an [*takedown.ArgumentError].
func (d *Desk) Submit(ctx context.Context, r request.Request, papers ...request.Paper) (Case, error) {
	return d.receive(ctx, r, time.Time{}, papers)
}

// receive is Submit of a request that was received at a time; zero is now. Nobody is
// written to about one that was received before.
func (d *Desk) receive(ctx context.Context, r request.Request, received time.Time, papers []request.Paper) (Case, error) {
	if err := cmp.Or(ctx.Err(), checkPapers(papers)); err != nil {
		return Case{}, err
	}
	k := d.checkRequest(ctx, r)
	if k.Failed != nil {
		return Case{}, k.Failed
	}
	if !k.Taken() && k.Regime == "" { // there is none
		return Case{}, k.Err()
	}
	id := newCaseID()
	var files []storedFile
	if k.Taken() {
		var err error
		if files, err = d.store.putFiles(ctx, id, imagesOf(r)); err != nil {
			return Case{}, err
		}
	}
	var c Case
	err := d.report(OpSubmit, false, func() (err error) {
		if c, err = d.submit(ctx, id, r, k, files, received, papers); err != nil {
			err = errors.Join(err, d.store.dropUploads(id, files))
		}
		return err
	})
	if err == nil && d.opts.HandOver != nil && c.aboutChild() {
		d.opts.HandOver(c)
	}
	return c, err
}

// imagesOf returns the images of a request that are stored with it. Those that
// only show a face go into its templates.
func imagesOf(r request.Request) []request.File { return request.Images(withoutTemplates(value(r))) }

func (d *Desk) submit(ctx context.Context, id takedown.CaseID, r request.Request, k *request.Checked, files []storedFile, received time.Time, papers []request.Paper) (Case, error) {
	d.mu.Lock()
	defer d.flush(ctx)
	defer d.mu.Unlock()
	target, err := d.checkTarget(k, r)
	if err != nil {
		return Case{}, err
	}
	if !k.Taken() {
		return Case{}, k.Err()
	}
	now := d.clock()
	c := &caseRecord{Case: Case{ID: id, Kind: r.Kind(), Received: now, Request: value(r), About: r.About()}}
	if err := d.takeIn(c, k); err != nil {
		return Case{}, err
	}
	c.happened(MilestoneReceived, now)
	if target != nil {
		c.AboutCompletions = target.Completions
	}
	if target != nil && c.Kind == request.KindComplaint && d.complaintIsLate(target, now) {
		c.Flags = append(c.Flags, FlagLate)
	}
	msgs := d.first(c, received, now)
	others, err := d.flagSame(ctx, c, k.Material)
	if err != nil {
		return Case{}, err
	}
	c.note("", c.State, Actor{}, now)
	c.Moves = []Moved{{To: c.State, Time: now}}
	if _, err := d.store.keys.create(c.ID); err != nil {
		return Case{}, err
	}
	templates, err := d.store.giveTemplates(c, k.Templates)
	if err != nil {
		d.store.doubt(c.ID)
		return Case{}, err
	}
	extra, err := d.putPapers(c, papers, now)
	if err != nil {
		d.store.doubt(c.ID)
		return Case{}, err
	}
	// Should this fail, it is not known whether the case was stored: its key stays
	// until Open has seen that there is no case.
	if err := d.store.apply(change{cases: append([]*caseRecord{c}, others...), request: c.Request, files: files, material: k.Stored(), templates: templates, messages: msgs, extra: extra}); err != nil {
		return Case{}, err
	}
	return c.Case, nil
}

// first puts a new case into its first state, and returns what is to be written
// about it. received is when a case that is imported came in.
func (d *Desk) first(c *caseRecord, received, now time.Time) []message {
	msgs := []message{{Case: c.ID, Type: MessageReceipt, AfterConfirm: true}}
	if c.Kind == request.KindIntimateImage {
		msgs = append(msgs, message{Case: c.ID, Type: MessageSupport, AfterConfirm: true})
	}
	c.State = d.firstState(c)
	if c.State == StateNeedsInfo {
		c.Pauses = []Pause{{From: now}}
		msgs = append(msgs, message{Case: c.ID, Type: MessageNeedsInfo, AfterConfirm: true})
	}
	if d.opts.ConfirmEmail && c.Request.From().Email != "" && received.IsZero() {
		msgs = append(msgs, c.newToken(now))
	}
	if !received.IsZero() { // somebody has dealt with it before
		msgs = nil
		c.flag(FlagImported)
		c.Received, c.Times[MilestoneReceived] = received, received
		if c.State == StateUnconfirmed {
			c.State = StateInReview
		}
	}
	return msgs
}

// Check looks at a request as [Desk.Submit] does, and stores nothing. It is for
// pages that show what was understood before a request is sent. It does not look
// for the case that a reply refers to.
func (d *Desk) Check(ctx context.Context, r request.Request) *request.Checked {
	return d.checkRequest(ctx, r)
}

// Offers returns addresses that seem to serve the same pictures as the addresses of a
// case, in other sizes or formats, for its reviewer: see Options.Siblings. To have one
// blocked, ask the requester with AskInfo, or grant a wider scope by the picture.
func (d *Desk) Offers(ctx context.Context, id takedown.CaseID) ([]request.Offer, error) {
	c, err := d.Case(ctx, id)
	if err != nil {
		return nil, err
	}
	if c.Request == nil {
		return nil, fmt.Errorf("takedown: case %v: %w", id, ErrErased)
	}
	return d.checkRequest(ctx, request.WithImages(c.Request, nil)).Offers, nil
}

// checkRequest looks at a request with what the desk brings to it.
func (d *Desk) checkRequest(ctx context.Context, r request.Request) *request.Checked {
	return request.Check(ctx, r, &request.CheckOptions{
		Profiles: d.opts.Profiles, Mapper: d.opts.URLMapper, Lookup: d.opts.Lookup, Siblings: d.opts.Siblings, Unwrap: d.opts.Unwrap, Hosts: d.opts.Hosts, Desk: true, Embedder: d.embedder(), FaceFloor: d.opts.FaceFloor,
		Decoders: d.opts.Decoders,
		Slots:    d.slots,
	})
}

// firstState is where a new case begins, and a completed one goes on. A requester who
// has to be asked for more is asked at once, whether the address is confirmed or not.
func (d *Desk) firstState(c *caseRecord) State {
	who := c.Request.From()
	switch {
	case len(c.Problems) > 0 && (slices.Contains(c.Flags, request.FlagChildSafety) || who.Email == "" && who.Phone == "" && who.PostalAddress == ""):
		return StateInReview // it does not wait for an answer, or nobody can be asked
	case len(c.Problems) > 0:
		return StateNeedsInfo
	case d.opts.ConfirmEmail && handlings[c.Kind].waits && who.Email != "" && c.Times[MilestoneEmailConfirmed].IsZero():
		return StateUnconfirmed
	}
	return StateInReview
}

// takeIn writes into a case what a checked request says.
func (d *Desk) takeIn(c *caseRecord, k *request.Checked) error {
	c.Regime, c.Asked, c.Items, c.Pictures, c.Problems = k.Regime, c.Request.Asks(), itemsOf(k), k.Pictures, k.Problems
	c.Flags = k.Flags
	c.Party = d.party(c.Request.From())
	c.Claim = claimOf(c.Request)
	c.Version++
	c.countable()
	mats := c.registered(k.Material)
	for i, m := range mats {
		if c.Items[i].Kind != request.ItemFace && d.isAllowed(&m) {
			c.flag(FlagAllowListed)
		}
	}
	faces := map[int]takedown.Face{}
	for i, t := range k.Templates {
		faces[i] = t.Face
	}
	if err := d.findEarlier(c, mats, faces); err != nil {
		return err
	}
	if len(d.people(faces)) > 1 {
		c.flag(FlagSeveralPeople)
	}
	return nil
}

// countable notes what reports count of a request, and what its clocks depend on.
func (c *caseRecord) countable() {
	c.AskedTerritories, c.Ground, c.Synthetic, c.Minor, c.LawCountry = nil, "", "", "", ""
	c.Country = strings.ToUpper(c.Request.From().Country)
	c.OnTerms = restsOnTerms(c.Kind)
	switch r := c.Request.(type) {
	case request.AuthorityOrder:
		c.AskedTerritories, c.Ground, c.LawCountry = r.Territories, r.Ground, strings.ToUpper(r.State)
	case request.DSANotice:
		c.Ground = r.Ground
	case request.ThaiNotice:
		c.Ground, c.LawCountry = r.Counted(), "TH"
	case request.Preference:
		c.Purposes = request.Purposes(r.Uses)
	case request.IntimateImage:
		c.Synthetic, c.Minor = r.Synthetic, r.MinorDepicted
	case request.ImageOptOut:
		c.LawCountry = strings.ToUpper(r.LawCountry)
	case request.OpenOptOut:
		c.LawCountry = strings.ToUpper(r.LawCountry)
	case request.FaceOptOut:
		c.LawCountry = strings.ToUpper(r.LawCountry)
	}
}

// itemsOf returns the items of a request that nobody has decided about.
func itemsOf(k *request.Checked) (items []CaseItem) {
	for _, it := range k.Items {
		items = append(items, CaseItem{Item: it})
	}
	return items
}

// party returns a keyed digest of how a requester is reached.
func (d *Desk) party(who request.Requester) []byte { return partyOf(who, d.store.operator) }

func partyOf(who request.Requester, operator [operatorKeySize]byte) []byte {
	reached := contact.Email(who.Email)
	if reached == "" {
		reached, _ = contact.Phone(who.Phone, who.Country)
	}
	if reached == "" {
		return nil
	}
	mac := hmac.New(sha256.New, operator[:])
	mac.Write([]byte("party:" + strings.ToLower(reached)))
	return mac.Sum(nil)[:16]
}

// value returns the request itself where a pointer was given.
func value(r request.Request) request.Request {
	return reflect.Indirect(reflect.ValueOf(r)).Interface().(request.Request)
}

func claimOf(r request.Request) request.Claim {
	switch r := r.(type) {
	case request.ImageOptOut:
		return r.Claim
	case request.OpenOptOut:
		return r.Claim
	case request.HashEntry:
		return r.Claim
	case request.Preference:
		return r.Claim
	case request.FaceOptOut:
		return request.ClaimDepicted
	}
	return ""
}

// earlier returns the cases, of any requester, whose rules match a picture or a face
// of a case today.
func (d *Desk) earlier(c *caseRecord, mats []request.Material, faces map[int]takedown.Face) (ids []takedown.CaseID) {
	for i, m := range mats {
		var known takedown.Candidate
		if m.Bytes != nil { // a flat picture has nothing else
			known.SHA256 = *m.Bytes
		}
		for i, k := range m.Hashes {
			switch own := []phash.Hash{k.Hash}; {
			case i == 0:
				known.Hashes = own
			case k.View != m.Hashes[i-1].View: // the own hash of the next view
				known.Frames = append(known.Frames, takedown.Frame{Index: i, Hashes: own})
			}
		}
		if f, ok := faces[i]; ok {
			known.Faces = []takedown.Face{f}
		}
		for _, m := range d.matching(known) {
			if m.Case != c.ID && !slices.Contains(ids, m.Case) {
				ids = append(ids, m.Case)
			}
		}
	}
	return ids
}

// findEarlier flags a case when a picture, or a face, is blocked already for
// somebody else, whatever the same requester has in force too. A requester who
// cannot be told, as after an erasure, is somebody else.
func (d *Desk) findEarlier(c *caseRecord, mats []request.Material, faces map[int]takedown.Face) error {
	for _, id := range d.earlier(c, mats, faces) {
		other, err := d.store.get(id)
		if errors.Is(err, ErrNoCase) {
			continue
		}
		if err != nil {
			return err
		}
		switch {
		case len(other.Party) > 0 && bytes.Equal(other.Party, c.Party):
		case other.Claim == request.ClaimOwner && c.Claim == request.ClaimOwner:
			c.flag(FlagContradiction)
		default:
			c.flag(FlagEarlierClaim)
		}
	}
	return nil
}

// Complete replaces the request of a case in [StateNeedsInfo] with a completed one
// of the same kind. The case keeps its number and the time of its receipt. It
// continues to the review unless something is still missing, which the
// [*request.ValidationError] then lists.
//
// Any earlier approval is discarded, because the reviewer has not seen this
// request. A new email address has to be confirmed as in a new case. Items that
// were on hold and are in this request too stay on hold. New items are not on hold
// until a reviewer has looked at them and calls [Desk.Hold] again.
//
// It fails with a [*MoveError] when the case is in another state.
//
// Papers are added to those that are there.
func (d *Desk) Complete(ctx context.Context, id takedown.CaseID, r request.Request, papers ...request.Paper) (Case, error) {
	k := d.checkRequest(ctx, r)
	if err := cmp.Or(checkPapers(papers), k.Failed, k.Err()); err != nil {
		return Case{}, err
	}
	files, err := d.store.putFiles(ctx, id, imagesOf(r))
	if err != nil {
		return Case{}, err
	}
	done, err := d.complete(ctx, id, r, k, files, papers)
	if err != nil {
		return Case{}, errors.Join(err, d.store.dropUploads(id, files))
	}
	return done.Case, nil
}

func (d *Desk) complete(ctx context.Context, id takedown.CaseID, r request.Request, k *request.Checked, files []storedFile, papers []request.Paper) (done *caseRecord, err error) {
	err = d.step(ctx, id, func(c *caseRecord, now time.Time) (change, error) {
		if c.Kind != r.Kind() || c.About != r.About() {
			return change{}, fmt.Errorf("takedown: case %v is a %v about case %v; a completed request is of the same kind and about the same", id, c.Kind, c.About)
		}
		if c.State != StateNeedsInfo {
			return change{}, &MoveError{id, c.State, "completed"}
		}
		// Of a reply: whether its items are there, and who sends it now.
		target, err := d.checkTarget(k, r)
		if err != nil {
			return change{}, err
		}
		if err := k.Err(); err != nil {
			return change{}, err
		}
		c.First, c.Crowded = nil, 0
		var msgs []message
		if email := contact.Email(r.From().Email); d.opts.ConfirmEmail && (c.Request == nil || email != contact.Email(c.Request.From().Email)) {
			delete(c.Times, MilestoneEmailConfirmed)
			if c.Token = nil; email != "" {
				msgs = append(msgs, c.newToken(now))
			}
		}
		c.Request = value(r)
		flags := c.Flags
		items := c.Items
		c.gone = append(c.gone, templatesOf(c)...)
		if err := d.takeIn(c, k); err != nil {
			return change{}, err
		}
		for _, f := range flags {
			switch f {
			case FlagSeveralPeople, FlagFlaggerConfirmed, FlagAuthorityConfirmed: // of the faces, and the sender, that were replaced
			default:
				c.flag(f)
			}
		}
		c.happened(MilestoneCompleted, now)
		c.Completions++
		if target != nil {
			c.AboutCompletions = target.Completions
		}
		var rules []blocklist.Rule
		var covers [][]int
		if len(c.Rules) > 0 {
			if err := d.sameItems(c, items, k.Material); err != nil {
				return change{}, err
			}
			c.material = k.Material
			var err error
			if rules, covers, err = d.holding(c, true); err != nil {
				return change{}, err
			}
		}
		ch, err := d.replace(c, rules, covers, d.firstState(c), Actor{}, now)
		if err != nil {
			return change{}, err
		}
		ch.request, ch.files, ch.material, ch.messages = c.Request, files, k.Stored(), msgs
		if ch.templates, err = d.store.giveTemplates(c, k.Templates); err != nil {
			return change{}, err
		}
		if ch.extra, err = d.putPapers(c, papers, now); err != nil {
			return change{}, err
		}
		done = c
		return ch, nil
	})
	return done, err
}

// sameItems gives the items of a completed request on hold the rules of those
// before that are the same, so that what was learned for them, and excepted from
// them, goes over to the rules that take their place. The others have none, and
// are not on hold.
func (d *Desk) sameItems(c *caseRecord, before []CaseItem, mats []request.Material) error {
	old, err := d.store.material(c.ID)
	if err != nil {
		return err
	}
	for i := range c.Items {
		for j := range min(len(before), len(old)) {
			if it := &before[j]; it.Kind == c.Items[i].Kind && it.Kind != request.ItemFace && it.Ended == "" && mats[i].Same(&old[j]) {
				c.Items[i].Rule = it.Rule
			}
		}
	}
	return nil
}

// ConfirmFlagger records that the sender of a notice is in the published list of
// trusted flaggers, under [request.Requester].FlaggerID. a.By is required. Without
// it, a statement of reasons does not name a trusted flagger as the source of the
// notice. It fails with a [*MoveError] for a case that was not sent by a flagger.
func (d *Desk) ConfirmFlagger(ctx context.Context, id takedown.CaseID, a Actor) error {
	return d.confirmSender(ctx, id, a, request.FlagTrustedFlagger, FlagFlaggerConfirmed)
}

// ConfirmAuthority records that a person verified that an order comes from the
// authority that it names, in a way that the order itself does not tell. a.By is
// required. It fails with a [*MoveError] for a case that is no order.
func (d *Desk) ConfirmAuthority(ctx context.Context, id takedown.CaseID, a Actor) error {
	return d.confirmSender(ctx, id, a, request.FlagAuthority, FlagAuthorityConfirmed)
}

func (d *Desk) confirmSender(ctx context.Context, id takedown.CaseID, a Actor, said, confirmed request.Flag) error {
	if err := a.decider(); err != nil {
		return err
	}
	return d.step(ctx, id, func(c *caseRecord, now time.Time) (change, error) {
		if err := d.may(&c.Case, a, DutyDecide); err != nil {
			return change{}, err
		}
		if !slices.Contains(c.Flags, said) || c.Erased() {
			return change{}, &MoveError{id, c.State, State(confirmed)}
		}
		c.flag(confirmed)
		c.note(c.State, State(confirmed), a, now)
		return change{}, nil
	})
}

// confirmFor is how long the token that confirms an email address is valid.
const confirmFor = 48 * time.Hour

// TokenError reports that a token does not confirm the email address of a case.
// It is not the token of the case, was used already, or is too old.
type TokenError struct{ ID takedown.CaseID }

func (e *TokenError) Error() string {
	return fmt.Sprintf("takedown: case %v: the token is not valid, or not any more; ask for a new one with Resend", e.ID)
}

// Confirm confirms the email address of a requester by the token that was sent
// to it. A token works once, for 48 hours. A withdrawal by the requester of its case
// is carried out at once.
func (d *Desk) Confirm(ctx context.Context, id takedown.CaseID, token string) error {
	err := d.step(ctx, id, func(c *caseRecord, now time.Time) (change, error) {
		sum := sha256.Sum256([]byte(plainToken(token)))
		if len(c.Token) == 0 || subtle.ConstantTimeCompare(sum[:], c.Token) != 1 || now.After(c.TokenSent.Add(confirmFor)) {
			return change{}, &TokenError{id}
		}
		c.Token = nil
		c.happened(MilestoneEmailConfirmed, now)
		ch := change{confirmed: true}
		if c.State == StateUnconfirmed {
			return ch, c.move(StateInReview, Actor{}, now)
		}
		c.note(c.State, State(MilestoneEmailConfirmed), Actor{}, now)
		return ch, nil
	})
	if err == nil {
		d.carryOut(ctx, id)
	}
	return err
}

// carryOut does at once what a withdrawal asks for, if its address is confirmed and
// is that of the requester: nobody has to agree to it. If it cannot be done, it waits
// for a reviewer as any other.
func (d *Desk) carryOut(ctx context.Context, id takedown.CaseID) {
	if c, err := d.store.get(id); err != nil || c.Kind != request.KindWithdrawal {
		return
	}
	_ = d.step(ctx, id, func(c *caseRecord, now time.Time) (change, error) {
		if c.Kind != request.KindWithdrawal || c.State != StateInReview || slices.Contains(c.Flags, FlagOtherParty) {
			return change{}, &MoveError{id, c.State, StateClosed}
		}
		var second error
		return d.acceptReply(ctx, c, Grant{Actor: Actor{Reason: "confirmed"}}, now, &second)
	})
}

// Resend sends a new token for a case whose email address is not confirmed. The
// previous token is invalidated. It fails with a
// [*TokenError] for a case that has ended.
func (d *Desk) Resend(ctx context.Context, id takedown.CaseID) error {
	return d.step(ctx, id, func(c *caseRecord, now time.Time) (change, error) {
		if !d.opts.ConfirmEmail || c.Request == nil || c.Request.From().Email == "" || !c.Times[MilestoneEmailConfirmed].IsZero() || c.ended() {
			return change{}, &TokenError{id}
		}
		return change{messages: []message{c.newToken(now)}}, nil
	})
}

// plainToken is a token without what people add or mistake when they type it.
func plainToken(s string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case 'o', 'O':
			return '0'
		case 'i', 'I', 'l', 'L':
			return '1'
		case 'u', 'U':
			return 'v'
		case '-', ' ', '\t', '\n', '\r':
			return -1
		}
		return unicode.ToLower(r)
	}, s)
}

// newToken gives a case a new token for the confirmation of its email address,
// and returns the message that has it. The previous token is invalidated.
func (c *caseRecord) newToken(now time.Time) message {
	// 50 bits: too many to guess in the time that it is valid, and few enough to
	// type. Letters that look like digits are left out.
	const letters = "abcdefghjkmnpqrstvwxyz0123456789"
	b := make([]byte, 10)
	rand.Read(b)
	for i := range b {
		b[i] = letters[b[i]%byte(len(letters))]
	}
	token := string(b[:5]) + "-" + string(b[5:])
	sum := sha256.Sum256([]byte(plainToken(token)))
	c.Token, c.TokenSent = sum[:], now
	return message{Case: c.ID, Type: MessageConfirmEmail, Token: token, Until: now.Add(confirmFor)}
}
