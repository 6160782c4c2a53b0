package takedown

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/phash"
)

// Desk takes requests in, keeps their cases, and puts what is decided into
// force. It owns a folder:
//
//	cases.db   the cases, with the personal data of requesters
//	list/      the journal of rules and the list made from it, without any
//
// A Desk is safe for concurrent use. One process at a time may have a folder
// open; other processes enforce what [Desk.Publish] writes.
type Desk struct {
	now          func() time.Time
	recheckAfter time.Duration
	store        *caseStore
	list         *blocklist.List
	enf          *Enforcer

	// mu serialises the moves of cases. Reads, and enforcement, take no lock.
	mu sync.Mutex
}

// DeskOptions are the options of [Open]. The zero value, and nil, are the
// defaults.
type DeskOptions struct {
	// Enforcer holds the options of [Desk.Enforcer]; its MaxAge has no meaning
	// there, because a desk's own list is never old.
	Enforcer EnforcerOptions
	// RecheckAfter is how long an address that was learned stays blocked until
	// somebody looks again what lies behind it; 0 means 180 days.
	RecheckAfter time.Duration
	// Now is the clock; nil is time.Now. Tests set it.
	Now func() time.Time
}

// Open opens the desk in a folder, and creates it if it is not there. Whatever
// was accepted before is enforced again when it returns, also after a crash.
//
// It fails with an error that wraps blocklist.ErrLocked when another process
// has the folder open.
func Open(dir string, opts *DeskOptions) (*Desk, error) {
	if opts == nil {
		opts = new(DeskOptions)
	}
	d := &Desk{now: opts.Now, recheckAfter: cmp.Or(opts.RecheckAfter, 180*24*time.Hour)}
	if d.now == nil {
		d.now = time.Now
	}
	enforcer, err := newEnforcer(&opts.Enforcer, d.now)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("takedown: %w", err)
	}
	if d.store, err = openStore(filepath.Join(dir, "cases.db")); err != nil {
		return nil, err
	}
	d.list, err = blocklist.Open(filepath.Join(dir, "list"), &blocklist.Options{Now: opts.Now})
	if err != nil {
		return nil, errors.Join(err, d.store.close())
	}
	enforcer.list, enforcer.ofDesk = d.list, true
	d.enf = enforcer
	if err := d.replay(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// clock returns the time in whole seconds, as it is stored.
func (d *Desk) clock() time.Time { return d.now().UTC().Truncate(time.Second) }

// replay finishes the moves that a crash, or a failed write, cut short.
func (d *Desk) replay() error {
	ids, err := d.store.unfinished()
	if err != nil {
		return err
	}
	for _, id := range ids {
		c, err := d.store.get(id)
		if err != nil {
			return err
		}
		if err := d.deliver(context.Background(), c); err != nil {
			return err
		}
	}
	return nil
}

// Close releases the folder. The Desk's Enforcer answers [Unknown] from then
// on.
func (d *Desk) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return errors.Join(d.enf.release(), d.store.close())
}

// Enforcer returns the enforcer over the desk's own list: what [Desk.Accept]
// accepted, it enforces at once.
func (d *Desk) Enforcer() *Enforcer { return d.enf }

// Publish writes a snapshot of all rules to a file that [Load] reads. An
// existing file is replaced in one step; whoever has it open keeps the old one
// until it reloads. The file holds no personal data; see SECURITY.md for what
// it does tell.
func (d *Desk) Publish(path string) error { return d.list.Publish(path) }

// Submit takes a request in. It returns the new case, which waits for a review,
// or a [*ValidationError] with every problem of the request.
func (d *Desk) Submit(ctx context.Context, r Request) (Case, error) {
	if err := ctx.Err(); err != nil {
		return Case{}, err
	}
	k := new(checker)
	r.check(k)
	if err := k.err(); err != nil {
		return Case{}, err
	}
	now := d.clock()
	c := Case{
		ID: newCaseID(), Kind: r.Kind(), State: StateInReview, Received: now, Request: r, Asked: r.asks(),
		Pictures: k.pictures, Moves: []Moved{{To: StateInReview, Time: now}},
	}
	if err := d.store.create(&c, k.hashes); err != nil {
		return Case{}, err
	}
	return c, nil
}

// Case returns a case, or an error that wraps [ErrNoCase].
func (d *Desk) Case(ctx context.Context, id CaseID) (Case, error) {
	if err := ctx.Err(); err != nil {
		return Case{}, err
	}
	c, err := d.store.get(id)
	if err != nil {
		return Case{}, err
	}
	return *c, d.store.getRequest(c)
}

// Cases calls yield with every case until it returns false. The cases come
// without their requests, in no particular order; yield must not call the
// desk's methods that change cases.
func (d *Desk) Cases(ctx context.Context, yield func(Case) bool) error {
	err := d.store.each(func(c *Case) bool { return ctx.Err() == nil && yield(*c) })
	return errors.Join(err, ctx.Err())
}

// Accept grants a request as the grant says. When it returns nil, the rules
// are durable and enforced. After an error the case is as it was, or, if only
// the last step failed, Accept can be called again to finish it; Open does so
// too.
//
// It fails with a [*MoveError] when the case is not waiting for a decision and
// with a [*GrantError] when it grants what cannot be granted.
func (d *Desk) Accept(ctx context.Context, id CaseID, g Grant) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, finished, err := d.load(ctx, id)
	if err != nil || finished && c.State == StateInForce {
		return err
	}
	events, err := d.events(c, g)
	if err != nil {
		return err
	}
	if err := c.move(StateEnforcing, g.Act, d.clock()); err != nil {
		return err
	}
	if err := d.store.put(c, events); err != nil {
		return err
	}
	return d.deliver(ctx, c)
}

// Reject closes a case without any effect.
func (d *Desk) Reject(ctx context.Context, id CaseID, a Act) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, _, err := d.load(ctx, id)
	if err != nil {
		return err
	}
	if err := c.move(StateRejected, a, d.clock()); err != nil {
		return err
	}
	return d.store.put(c, nil)
}

// Withdraw takes a case back: its rules stop to apply, and what no other rule
// covers may be shown again. A case that waits for its review is closed. When
// it returns nil, that is durable and in effect.
func (d *Desk) Withdraw(ctx context.Context, id CaseID, a Act) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, finished, err := d.load(ctx, id)
	if err != nil || finished && c.State == StateWithdrawn {
		return err
	}
	now := d.clock()
	if c.State == StateInReview {
		if err := c.move(StateWithdrawn, a, now); err != nil {
			return err
		}
		return d.store.put(c, nil)
	}
	if err := c.move(StateRevoking, a, now); err != nil {
		return err
	}
	events := make([]blocklist.Event, len(c.Rules))
	for i, rule := range c.Rules {
		events[i] = blocklist.Event{ID: newEventID(), Type: blocklist.EventRevoked, Time: now, Target: rule}
	}
	if err := d.store.put(c, events); err != nil {
		return err
	}
	return d.deliver(ctx, c)
}

// load reads a case. If an earlier move of it failed half way, load finishes
// that move first and says so.
func (d *Desk) load(ctx context.Context, id CaseID) (c *Case, finished bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	if c, err = d.store.get(id); err != nil {
		return nil, false, err
	}
	if c.State == StateEnforcing || c.State == StateRevoking {
		return c, true, d.deliver(ctx, c)
	}
	return c, false, nil
}

// deliver appends the events of a case that is on its way to the journal and
// finishes the move. Events that are there already are not added again.
func (d *Desk) deliver(ctx context.Context, c *Case) error {
	events, err := d.store.pending(c.ID)
	if err != nil {
		return err
	}
	seqs, err := d.list.Append(ctx, events...)
	if err != nil {
		return fmt.Errorf("takedown: case %v: %w", c.ID, err)
	}
	switch c.State {
	case StateEnforcing:
		c.Rules = seqs
		err = c.move(StateInForce, Act{}, d.clock())
	case StateRevoking:
		err = c.move(StateWithdrawn, Act{}, d.clock())
	default:
		err = fmt.Errorf("takedown: case %v has events in the outbox but is %s", c.ID, c.State)
	}
	if err != nil {
		return err
	}
	return d.store.finish(c)
}

// events checks a grant and returns the events that bring it into
// force: one rule for the addresses of the request, one for each picture.
func (d *Desk) events(c *Case, g Grant) ([]blocklist.Event, error) {
	c.Granted = g.Width
	if c.Granted == 0 {
		c.Granted = c.Asked
	}
	if c.Granted > c.Asked {
		return nil, &GrantError{c.ID, fmt.Sprintf("%v was asked for; %v is wider and cannot be granted", c.Asked, c.Granted)}
	}
	proto := blocklist.Rule{
		Width: c.Granted, Effect: blocklist.EffectBlock, Case: c.ID, Kind: uint8(c.Kind), Start: g.Start.Truncate(time.Second), End: g.End.Truncate(time.Second),
	}
	if !g.End.IsZero() && !g.End.After(g.Start) {
		return nil, &GrantError{c.ID, "the end of the rule is not after its start"}
	}
	for _, s := range g.Territories {
		t, err := blocklist.ParseTerritory(s)
		if err != nil {
			return nil, &GrantError{c.ID, fmt.Sprintf("territory %q is not an ISO 3166-1 alpha-2 code", s)}
		}
		proto.Territories = append(proto.Territories, t)
	}
	rules, err := d.rules(c, proto)
	if err != nil {
		return nil, err
	}
	now := d.clock()
	events := make([]blocklist.Event, len(rules))
	for i := range rules {
		events[i] = blocklist.Event{ID: newEventID(), Type: blocklist.EventAdded, Time: now, Rule: &rules[i]}
	}
	return events, nil
}

// rules makes the rules of a case, each with the terms of proto and keys of its
// own.
func (d *Desk) rules(c *Case, proto blocklist.Rule) ([]blocklist.Rule, error) {
	if err := d.store.getRequest(c); err != nil {
		return nil, err
	}
	var rules []blocklist.Rule
	images, pages := c.Request.addresses()
	if len(images)+len(pages) > 0 {
		rule := proto
		var err error
		if rule.Keys.Addresses, err = d.addressKeys(images, pages); err != nil {
			return nil, fmt.Errorf("takedown: case %v: %w", c.ID, err)
		}
		rules = append(rules, rule)
	}
	if len(c.Pictures) == 0 {
		return rules, nil
	}
	hashes, err := d.store.getHashes(c.ID)
	if err != nil {
		return nil, err
	}
	for i, p := range c.Pictures {
		if proto.Width > p.Widest {
			return nil, &GrantError{c.ID, fmt.Sprintf("picture %d: %s; grant %v instead of %v, or reject", i, p.Refused, p.Widest, proto.Width)}
		}
		rule := proto
		rule.Keys.Bytes = [][32]byte{p.SHA256}
		switch proto.Width {
		case WidthIdentical:
			rule.Keys.Hashes = asItIs(hashes[i])
		case WidthDuplicate:
			rule.Keys.Hashes = hashes[i]
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

// addressKeys returns the keys of addresses of pictures and of pages.
func (d *Desk) addressKeys(images, pages []string) (keys []blocklist.Address, err error) {
	add := func(kind blocklist.AddressKind, urls []string) {
		for _, u := range urls {
			digest, e := d.list.Digest(kind, u)
			if e != nil {
				err = e
				return
			}
			keys = append(keys, blocklist.Address{Kind: kind, Digest: digest})
		}
	}
	add(blocklist.ImageAddress, images)
	add(blocklist.PageAddress, pages)
	return keys, err
}

// asItIs returns the hashes of the picture as it was sent, without those of its
// other orientations and crops.
func asItIs(keys []blocklist.HashKey) (own []blocklist.HashKey) {
	for _, k := range keys {
		kind := phash.Kind(k.Variant)
		if kind.Orientation() == phash.Upright && (kind.View() == phash.Whole || kind.View() == phash.OverWhite) {
			own = append(own, k)
		}
	}
	return own
}

func newEventID() (id [16]byte) {
	rand.Read(id[:])
	return id
}
