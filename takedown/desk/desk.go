package desk

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/internal/embedding"
	"github.com/staydown/staydown/internal/radius"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// Desk receives requests, keeps their cases, and enforces the decisions. It owns a
// folder:
//
//	cases.db      the cases; personal data is sealed, each case under its own key
//	keys          those keys, sealed under the operator's key
//	operator.key  the operator's key, unless Options has one
//	list/         the journal of rules and the list made from it
//
// The folder list/ has no names, texts or plain addresses. Templates of faces are
// sealed in it, each rule's under its own key. These keys are stored beside it,
// sealed under the operator's key.
//
// A Desk is safe for concurrent use. One process at a time may have a folder open;
// other processes enforce the files of [Desk.Publish].
type Desk struct {
	dir          string
	opts         Options
	now          func() time.Time
	recheckAfter time.Duration
	store        *caseStore
	list         *blocklist.List
	joint        JointJournal // that of the list, if it is in one database with the store; or nil
	enf          *takedown.Enforcer
	// near looks no further than the block radius, and quiet as far as enf: the
	// desk's own questions are nobody's matches.
	near, quiet *takedown.Enforcer
	radii       radius.Radii
	closed      atomic.Bool
	slots       chan struct{} // see Options.Slots
	watching    clockWatch
	publication publications
	risk        faceRisks

	deadlines []Deadline
	calendars map[string]Calendar
	budget    int         // negative for no alarms
	tallies   tallies     // guarded by mu
	publishes atomic.Bool // the list, without a ListKey

	// mu serialises the moves of cases. Reads, and enforcement, take no lock.
	mu     sync.Mutex
	sender sender
	// publishing serialises what is done about published files with faces.
	publishing sync.Mutex
}

// Options are the options of [Open]. The zero value, and nil, are the
// defaults.
type Options struct {
	// Enforcer holds the options of [Desk.Enforcer]. Its MaxAge has no effect,
	// because a desk's own list is never too old.
	Enforcer takedown.EnforcerOptions
	// RecheckAfter is how long a derived address stays blocked until its image has
	// to be checked again; 0 means 180 days.
	RecheckAfter time.Duration
	// SigningKey signs the snapshots of Publish; nil leaves them unsigned. ListKey
	// encrypts the journal and all snapshots, including those of Publish. Other
	// machines load these with the same key. A list with faces is published only
	// with a ListKey. The first Open with a ListKey encrypts an unencrypted
	// folder; from then on the key is fixed.
	SigningKey ed25519.PrivateKey
	ListKey    *blocklist.EncryptionKey
	// Now is the clock; nil is time.Now. Tests set it.
	Now func() time.Time
	// Profiles are requirements of the operator in addition to those of the
	// request types.
	Profiles []request.Profile
	// URLMapper turns addresses of the operator's own service into those of
	// the sources; nil leaves addresses as they are.
	URLMapper request.URLMapper
	// Notifier receives the messages to people; nil sends no messages.
	Notifier Notifier
	// MessagesPerDay is how many messages an address gets in a day (UTC); the others
	// wait for the next one. 0 means DefaultMessagesPerDay, and a negative number
	// means no limit. UnconfirmedPerDay is the same for an address that waits for
	// its confirmation (see ConfirmEmail) and was not confirmed in another case; 0
	// means DefaultUnconfirmedPerDay.
	MessagesPerDay, UnconfirmedPerDay int
	// Observer, unless nil, receives the events of the desk, its list and its
	// enforcer. Logger logs them. Both also receive failures in the background,
	// for example messages that the Notifier did not take, and published files
	// that could not be rewritten. Neither receives names, texts or addresses.
	Observer blocklist.Observer
	Logger   *slog.Logger
	// Decoders decode pictures of requests and of matches in formats that package
	// phash does not decode, for example AVIF: see [phash.DecodeOptions].
	Decoders map[phash.Format]phash.Decoder
	// Slots limits the number of pictures that are decoded at a time to its
	// capacity, as [takedown.InspectOptions].Slots does; both can be the same
	// channel. Calls wait for each other, or for the end of their contexts. Nil
	// means one slot for each processor.
	Slots chan struct{}
	// FaceEmbedder makes vectors of the pictures of a face opt-out when the
	// request is received; nil accepts vectors only. If it finds no face in a picture,
	// it is asked again as [takedown.FaceSearch] does. Submit and Complete return its
	// errors as [*takedown.EmbedderError].
	FaceEmbedder takedown.FaceEmbedder
	// FaceFloor is the least that a face in a picture of a request must have, in size,
	// quality and sharpness. docs/faces.md has values.
	FaceFloor takedown.FaceFloor
	// FaceModels are the models whose faces can be granted, each with its
	// thresholds. Without FaceModels no face can be granted. There is at most one
	// for each name and number of dimensions.
	FaceModels []FaceModel
	// TrustFaceVectors takes a vector that came without a picture for as good as one
	// that the desk's FaceEmbedder made. It is for hosts that make all vectors by
	// themselves. Without it such a vector only holds for review, and two reviewers
	// can grant more: anybody can send a vector that resembles very many people.
	TrustFaceVectors bool
	// FaceTerm is how long a face opt-out is in force if the grant names no end, from
	// the receipt of the request, by the country of the requester (ISO 3166-1 alpha-2,
	// upper case); "" is for all others. It is counted from the last time that the
	// person was in contact, because some laws end the storage of a template then. A
	// missing entry means DefaultFaceTerm, a negative one no end. A renewal is an
	// [Desk.Amend] with a later end, after the person has agreed again.
	FaceTerm map[string]time.Duration
	// FaceLifetime is how long other machines may use the faces of a published
	// snapshot, by their own clocks: see blocklist.Options. A list with faces is
	// published only with a ListKey.
	FaceLifetime time.Duration
	// ConfirmEmail asks requesters who give an email address to confirm it: see
	// [Desk.Confirm]. It needs a Notifier. Until then the address gets the message
	// with the token, and what a reviewer decides, without the name of its owner.
	// The other messages wait.
	ConfirmEmail bool
	// Parts also registers hashes of parts of pictures, at most 24 for a picture. By
	// these, services that keep takedown.Candidate.Parts find crops and covered
	// copies. Pictures that look like a template have none. The list grows by the
	// figures in docs/decisions/parts-for-rankers.md.
	Parts bool
	// MatchBudget is the number of different pictures that a rule may match weakly
	// in one day, on all nodes together, before [Desk.AddMatchCounts] raises an
	// alarm. 0 means DefaultMatchBudget, the maximum is 170, and a negative number
	// means no alarms. docs/decisions/match-budget.md relates it to the number of
	// pictures that a service looks at.
	MatchBudget int
	// FaceBudget is the number of different pictures that a rule about a face may block
	// or hold in one day, on all nodes together, before an alarm. 0, the maximum and a
	// negative number are as for MatchBudget. A person who is in more new pictures a
	// day raises alarms although all matches are right.
	FaceBudget int
	// ManyMatches is the number of pictures of a sample that an acceptance may
	// match before it needs a second reviewer; 0 means 1,000. A second reviewer is
	// also needed for matches with more than one in a hundred of a sample of 1,000
	// or more. The same applies to more weak matches than MatchBudget.
	ManyMatches int
	// OneReviewer lets one reviewer decide risky cases alone.
	OneReviewer bool
	// KeepPictures keeps granted pictures after the erasure of personal data,
	// sealed under the operator's key. They can then be registered again when the
	// algorithms improve. Pictures that were sent for a face, and pictures with
	// only the face granted, are not kept.
	KeepPictures bool
	// May reports whether somebody may do a part of the work with a case; nil allows
	// everything to everybody. It is asked where an Actor has a name, and must not
	// call the desk. [Desk.View] then returns a case without its request and pictures.
	May func(by string, do Duty, c *Case) bool
	// ChildSafety reports whether a reviewer is responsible for child safety. Nobody
	// else can decide such cases, or see their pictures with [Desk.View]; nil lets
	// all reviewers.
	ChildSafety func(by string) bool
	// HandOver is called with each new case about a child, after it is stored, so
	// that the operator can report it where the law demands that. It must not block
	// for long. The library reports nothing by itself.
	HandOver func(c Case)
	// Reasons are codes of reasons for a refusal in addition to those of [Reasons].
	// Give their words to package texts, in Catalogue.Reasons.
	Reasons []string
	// FullStatements refuses to grant what rests on a law, without Finding.Law and
	// Finding.Explanation: its statement of reasons would lack point (d) of Article
	// 17(3) DSA.
	FullStatements bool
	// Lookup returns what the operator's index has at a canonical address. It is
	// called for each address of a request, without a lock, and must not block for
	// long; nil leaves open whether an address is that of a picture or of a page.
	Lookup func(address string) request.Found
	// Siblings returns the addresses of the operator's index that have a key of
	// [request.PictureKey]: the same picture in other sizes, probably. They are offered
	// to the sender ([Desk.Check]) and to the reviewer ([Desk.Offers]), and never
	// blocked by themselves; nil offers the picture in its own size only.
	Siblings func(key string) []string
	// Unwrap are rules that find addresses inside those of other services, before the
	// rules of the library.
	Unwrap []request.UnwrapRule
	// Hosts reports that the addresses of a host are taken although its name is one
	// of a private network, for example in a company; nil refuses them all.
	Hosts func(host string) bool
	// Retention is how long cases are kept that nobody works on.
	Retention Retention
	// Policy is the version of the operator's policy, which is written into each
	// entry of the log. It is a code, as in [Actor].
	Policy string
	// Deadlines are rows in addition to [Deadlines]. A row with the regime and
	// name of a row there replaces it. Calendars are the calendars that rows name.
	Deadlines []Deadline
	// UnverifiedDeadlines turns on the rows of [Deadlines] that were not compared
	// with the text of the law.
	UnverifiedDeadlines bool
	Calendars           map[string]Calendar
	// Store keeps the cases; nil is a file in the folder. The Desk closes it.
	Store Store
	// Journal keeps the events of the list; nil is a file in the folder. The Desk
	// closes it. If it is a [JointJournal] of Store, a case and its events are
	// written in one transaction. If the list has to be made anew, for other rules of addresses or for
	// a first ListKey, Open returns blocklist.ErrRules or blocklist.ErrKey:
	// blocklist.Rekey does it.
	Journal blocklist.Journal
	// Salvage opens the desk even if faces in force are lost. Without it, Open
	// returns [ErrFacesLost]. Until the cases of the lost faces are withdrawn, the
	// other faces are searched, and no Decision.Checked has TierFace.
	Salvage bool
	// OperatorKey encrypts the keys of cases and of faces (also in the list), and
	// data that is kept after an erasure. It has 32 bytes. Do not back it up
	// together with the folder. If nil, a key is generated and stored in the
	// folder.
	OperatorKey []byte
}

// Open opens the desk in a folder, and creates the folder if it does not exist.
// When it returns, all accepted cases are enforced, also after a crash.
//
// It fails with an [*takedown.ArgumentError] when an option is invalid, before it
// creates anything. The error wraps blocklist.ErrLocked when another process has
// the folder open, and [ErrListLost] when the list is older than the cases. It
// fails with a [*FacesLostError] when faces in force are lost.
//
// If only the list has lost the keys of faces, Open makes their rules anew. It
// updates published files as [Desk.Expire] does, if it can.
func Open(dir string, opts *Options) (*Desk, error) {
	d, err := newDesk(dir, opts)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("takedown: %w", err)
	}
	if err := d.openFiles(); err != nil {
		return nil, err
	}
	if err := d.compareFolder(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	if err := d.comparePublished(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	if err := d.finishOpening(context.Background()); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	d.startSender()
	return d, nil
}

// newDesk checks the options, and opens nothing.
func newDesk(dir string, opts *Options) (*Desk, error) {
	if opts == nil {
		opts = new(Options)
	}
	if err := opts.check(); err != nil {
		return nil, err
	}
	d := &Desk{
		dir: dir, opts: *opts, now: opts.Now, recheckAfter: cmp.Or(opts.RecheckAfter, 180*24*time.Hour),
		calendars: opts.Calendars, deadlines: slices.Clone(opts.Deadlines),
		slots:  opts.Slots,
		budget: cmp.Or(opts.MatchBudget, DefaultMatchBudget), tallies: tallies{},
	}
	if d.slots == nil {
		d.slots = make(chan struct{}, runtime.GOMAXPROCS(0))
	}
	if d.now == nil {
		d.now = time.Now
	}
	if err := opts.Enforcer.Check(); err != nil {
		return nil, err
	}
	for _, row := range Deadlines {
		if row.Verified == "" && row.Regime != request.RegimeOperator && !opts.UnverifiedDeadlines {
			continue
		}
		at := slices.IndexFunc(opts.Deadlines, func(o Deadline) bool { return o.Regime == row.Regime && o.Name == row.Name })
		if at < 0 {
			d.deadlines = append(d.deadlines, row)
		} else if o := opts.Deadlines[at]; !slices.Equal(o.Kinds, row.Kinds) {
			return nil, fmt.Errorf("takedown: Deadlines: %s of %s is for the kinds %v; a row in its place has these Kinds, not %v", row.Name, row.Regime, row.Kinds, o.Kinds)
		}
	}
	return d, nil
}

// openFiles opens the case store, the keys and the list. A new folder is begun.
func (d *Desk) openFiles() (err error) {
	defer func() {
		if j := d.opts.Journal; err != nil && d.list == nil && j != nil {
			err = errors.Join(err, j.Close())
		}
	}()
	if d.store, err = openCases(d.dir, &d.opts, indexTerms{d.deadlines, d.calendars, d.opts.Retention.withDefaults()}); err != nil {
		return err
	}
	d.store.now, d.store.moves = d.clock, &d.mu
	d.store.stamp.clock = &d.watching
	if err := d.checkClock(); err != nil {
		return errors.Join(err, d.store.close())
	}
	if d.list, err = d.openList(); err != nil {
		return errors.Join(err, d.store.close())
	}
	if err := d.enforce(); err != nil {
		return errors.Join(err, d.Close())
	}
	return nil
}

// finishOpening changes what is certain, when the files are compared: it finishes what
// a crash cut short.
func (d *Desk) finishOpening(ctx context.Context) error {
	published, err := d.store.published()
	if err != nil {
		return err
	}
	d.publishes.Store(published)
	for _, step := range []func() error{
		d.bind, d.store.settleKeys, d.store.buildIndex,
		d.store.dropLeftUploads,
		func() error { return d.settleAllowed(ctx) },
		d.replay,
		func() error { return d.expireFaces(ctx) },
		func() error { return d.restoreFaces(ctx) },
		func() error { return d.begin(ctx) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	// A published file out of reach does not keep the desk shut: Expire says so.
	_ = d.report(OpRefresh, true, func() error { return d.refreshPublished(ctx) })
	return nil
}

// enforce makes the enforcers over the desk's list.
func (d *Desk) enforce() (err error) {
	d.radii = radius.PDQ(d.opts.Enforcer.BlockRadius, d.opts.Enforcer.ReviewRadius)
	if d.opts.Enforcer.Now == nil {
		d.opts.Enforcer.Now = d.now
	}
	if d.opts.Enforcer.Observer == nil {
		d.opts.Enforcer.Observer = d.opts.Observer
	}
	near := d.opts.Enforcer
	near.ReviewRadius = 1 // no such band
	for _, e := range []struct {
		to   **takedown.Enforcer
		opts takedown.EnforcerOptions
	}{{&d.enf, d.opts.Enforcer}, {&d.quiet, d.opts.Enforcer}, {&d.near, near}} {
		if *e.to, err = takedown.NewEnforcer([]takedown.ListSource{{List: d.list}}, &e.opts); err != nil {
			return err
		}
	}
	return nil
}

// openList opens the list of the desk. A list that follows older rules for
// addresses is made anew. An unencrypted list is encrypted now if ListKey is set.
func (d *Desk) openList() (*blocklist.List, error) {
	dir, o := filepath.Join(d.dir, "list"), d.listOptions()
	if err := d.expectList(); err != nil {
		return nil, err
	}
	if err := d.changeList(); err != nil {
		return nil, fmt.Errorf("takedown: the keys of faces could not be sealed anew: %w", err)
	}
	if d.opts.Journal != nil {
		return d.openJournal(dir, &o)
	}
	list, err := boltjournal.Open(dir, &o)
	if errors.Is(err, blocklist.ErrJournal) {
		err = &MismatchError{Part: PartList, Fault: FaultDamaged, Err: err}
	}
	if errors.Is(err, blocklist.ErrRules) {
		if err = d.rekeyAddresses(dir, &o); err != nil {
			return nil, err
		}
		list, err = boltjournal.Open(dir, &o)
	}
	if o.EncryptionKey == nil || !errors.Is(err, blocklist.ErrKey) {
		return list, err
	}
	plain := o
	plain.EncryptionKey = nil
	if failed := boltjournal.Rekey(context.Background(), dir, &plain, &o, nil); errors.Is(failed, blocklist.ErrKey) {
		return nil, err // it is encrypted, with another key
	} else if failed != nil {
		return nil, fmt.Errorf("takedown: the list could not be encrypted: %w", failed)
	}
	return boltjournal.Open(dir, &o)
}

func (d *Desk) listOptions() blocklist.Options {
	faceKey := d.store.listFaceKey()
	return blocklist.Options{
		Now: d.opts.Now, Settled: d.settled, SigningKey: d.opts.SigningKey, EncryptionKey: d.opts.ListKey,
		FaceKey: &faceKey, FaceLifetime: d.opts.FaceLifetime, Observer: d.opts.Observer, Logger: d.opts.Logger,
	}
}

// ErrListLost is wrapped by the [*MismatchError] for a list that lacks events that
// the cases depend on. The list was lost, or is an older copy than the case store.
var ErrListLost = errors.New("takedown: the list is older than the cases")

// openJournal opens the list on a journal of the caller. Its snapshots and keys of
// faces are in the folder.
func (d *Desk) openJournal(dir string, o *blocklist.Options) (*blocklist.List, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("takedown: %w", errors.Join(err, d.opts.Journal.Close()))
	}
	if j, ok := d.opts.Journal.(JointJournal); ok && d.opts.Store != nil && j.With(d.opts.Store) {
		d.joint = j
	}
	list, err := blocklist.New(d.opts.Journal, dir, o)
	if errors.Is(err, blocklist.ErrJournal) {
		err = &MismatchError{Part: PartList, Fault: FaultDamaged, Err: err}
	}
	return list, err
}

func openCases(dir string, opts *Options, terms indexTerms) (_ *caseStore, err error) {
	// The store is opened first: its lock keeps a second process away from the
	// keys.
	db := opts.Store
	if db == nil {
		if err := survey(dir); err != nil {
			return nil, err
		}
		db, err = OpenStore(filepath.Join(dir, "cases.db"))
		if errors.Is(err, ErrStore) {
			err = &MismatchError{Part: PartCases, Fault: FaultDamaged, Err: err}
		}
		if err != nil {
			return nil, err
		}
	}
	s := &caseStore{policy: opts.Policy, notify: opts.Notifier != nil, terms: terms}
	s.stamp = &stamping{Store: db, s: s}
	s.db = &closing{Store: s.stamp, bell: &s.bell}
	if err := s.openParts(dir, opts); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
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
		switch {
		case errors.Is(err, ErrNoCase):
			_, err = d.deliverSaid(context.Background(), id)
		case err == nil:
			err = d.deliver(context.Background(), c)
		}
		if err != nil {
			return err
		}
	}
	// Nothing waits to be delivered any more: what was sealed for an event that
	// is not in the journal is of a move that was never made.
	return d.list.DropFaces(nil)
}

// Close releases the folder. The desk's Enforcer then answers [takedown.Unknown],
// and methods of the Desk fail with [takedown.ErrClosed]. Closing a Desk again
// returns nil. Close ends the context of a running call of the Notifier, and waits
// up to 5 seconds for it to return.
func (d *Desk) Close() error {
	d.stopSender()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed.Swap(true) {
		return nil
	}
	return errors.Join(d.list.Close(), d.store.close())
}

// Enforcer returns the enforcer over the desk's own list. It enforces a granted
// request as soon as [Desk.Accept] returns.
func (d *Desk) Enforcer() *takedown.Enforcer { return d.enf }

// Publish writes a snapshot of all rules to a file that [takedown.Load] reads. An
// existing file is replaced in one step; a process that has it open keeps the old
// file until it reloads. The snapshot has no names, texts or plain addresses.
// SECURITY.md lists what else it reveals.
//
// A snapshot with faces contains their templates and the keys of these, and is
// encrypted with Options.ListKey. A person with both the file and ListKey has the
// faces. Without [Options].ListKey a list with faces is not published, and the
// error wraps blocklist.ErrFacesUnencrypted. A desk that has published without
// ListKey grants no faces before it has one.
//
// Cases whose faces were granted for a time that is over are moved to expired
// first, as by [Desk.Expire].
//
// If the replaced file has faces, it is made unreadable: see blocklist.List. The
// desk remembers the paths of encrypted files, up to 100, so that Expire can
// rewrite them. It forgets a path when the file is removed or has no faces. Beyond
// 100 the error wraps [ErrTooManyPublished].
//
// Publish does not replace a file that is newer than the list, or of another
// history: the folder was restored from a copy, and nodes would refuse the new file,
// or forget rules. The error is a [*MismatchError].
func (d *Desk) Publish(ctx context.Context, path string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return d.published(path, func() error { return d.publish(path) })
}

func (d *Desk) publish(path string) error {
	if done, err := d.prepare(path); done || err != nil {
		return err
	}
	if d.opts.ListKey == nil {
		return closedError(d.list.Publish(path)) // without faces, or not at all
	}
	return closedError(d.publishEncrypted(path))
}

// closedError says in the words of the desk that its list is closed.
func closedError(err error) error {
	if errors.Is(err, blocklist.ErrClosed) {
		return takedown.ErrClosed
	}
	return err
}

// prepare does what has to be done before the list is published, while no face
// is granted. The first time without a ListKey that is the publishing itself.
func (d *Desk) prepare(path string) (done bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.expireFaces(context.Background()); err != nil || d.opts.ListKey != nil || d.publishes.Load() {
		return false, err
	}
	return true, closedError(d.publishFirst(path))
}

// publishFirst publishes the list without a ListKey, and notes it.
func (d *Desk) publishFirst(path string) error {
	err := d.list.Publish(path)
	if errors.Is(err, blocklist.ErrFacesUnencrypted) {
		return fmt.Errorf("takedown: set desk.Options.ListKey, with which Open encrypts the list that is there: %w", err)
	}
	if err == nil {
		err = d.store.notePublished()
		d.publishes.Store(err == nil)
	}
	return err
}

// Case returns a case, or an error that wraps [ErrNoCase]. Its Request is nil if
// the personal data was erased.
func (d *Desk) Case(ctx context.Context, id takedown.CaseID) (Case, error) {
	if err := ctx.Err(); err != nil {
		return Case{}, err
	}
	c, err := d.store.whole(id, true)
	if err != nil {
		return Case{}, err
	}
	return c.Case, nil
}

// Cases returns every case, in no particular order, without its request and
// pictures. The sequence ends with an error if one occurs. The loop must not call
// methods of the desk that change cases.
func (d *Desk) Cases(ctx context.Context) iter.Seq2[Case, error] {
	return func(yield func(Case, error) bool) {
		stopped := false
		if err := d.eachCase(ctx, func(c Case) bool {
			stopped = !yield(c, nil)
			return !stopped
		}); err != nil && !stopped {
			yield(Case{}, err)
		}
	}
}

// eachCase is Cases for the desk itself.
func (d *Desk) eachCase(ctx context.Context, yield func(Case) bool) error {
	err := d.store.each(func(c *caseRecord) bool { return ctx.Err() == nil && yield(c.Case) })
	return errors.Join(err, ctx.Err())
}

// step reads a case with its request, lets f change it, and writes what f
// changed in one transaction, with the case that a reply is about if f changed
// that one too. Events that f causes are delivered before step returns. A move that a crash cut short is finished first.
func (d *Desk) step(ctx context.Context, id takedown.CaseID, f func(c *caseRecord, now time.Time) (change, error)) error {
	return d.stepEnding(ctx, id, func(c *caseRecord, now time.Time) (change, error) {
		if c.unreadable != nil {
			return change{}, c.unreadable
		}
		return f(c, now)
	})
}

// stepEnding is step for what ends a case, or does not look at its request. It needs no
// key: a case whose personal data cannot be read has no Request then.
func (d *Desk) stepEnding(ctx context.Context, id takedown.CaseID, f func(c *caseRecord, now time.Time) (change, error)) error {
	d.mu.Lock()
	defer d.flush(ctx)
	defer d.mu.Unlock()
	return d.report(OpMove, false, func() error { return d.locked(ctx, id, f) })
}

func (d *Desk) locked(ctx context.Context, id takedown.CaseID, f func(c *caseRecord, now time.Time) (change, error)) error {
	c, err := d.load(ctx, id)
	if err != nil {
		return err
	}
	ch, err := f(c, d.clockFor(c))
	if err != nil {
		return err
	}
	ch.cases = []*caseRecord{c}
	if ch.target != nil {
		ch.cases = []*caseRecord{ch.target, c}
	}
	return d.enact(ctx, ch)
}

// load reads a case. If an earlier move of it failed half way, load finishes
// that move first; of a reply that of the case that it is about, too, which it
// may have caused.
func (d *Desk) load(ctx context.Context, id takedown.CaseID) (*caseRecord, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c, err := d.store.get(id)
	if err != nil {
		return nil, err
	}
	if err := d.finish(ctx, c); err != nil {
		return nil, err
	}
	if c.About != (takedown.CaseID{}) {
		target, err := d.store.get(c.About)
		if err != nil {
			return nil, err
		}
		if err := d.finish(ctx, target); err != nil {
			return nil, err
		}
	}
	return d.store.forMove(id)
}

// finish finishes a move of a case that failed half way, if there is one.
func (d *Desk) finish(ctx context.Context, c *caseRecord) error {
	if c.State != StateEnforcing && c.State != StateRevoking {
		return nil
	}
	return d.deliver(ctx, c)
}

// replace moves a case to another state by way of the list: its rules end and
// the given ones take their place, in one step. covers are the items of each
// new rule.
func (d *Desk) replace(c *caseRecord, rules []blocklist.Rule, covers [][]int, after State, a Actor, now time.Time) (change, error) {
	return d.exchange(c, c.Rules, rules, covers, after, a, now)
}

// exchange is replace for some of the rules of a case. The others stay, with
// what was learned for them and excepted from them; what was so for those that
// end goes over to those that take their place, as far as they reach.
func (d *Desk) exchange(c *caseRecord, ending []uint64, rules []blocklist.Rule, covers [][]int, after State, a Actor, now time.Time) (change, error) {
	var events []blocklist.Event
	for _, rule := range ending {
		events = append(events, blocklist.Event{ID: newEventID(), Type: blocklist.EventRevoked, Time: now, Target: rule})
	}
	for i := range rules {
		events = append(events, blocklist.Event{ID: newEventID(), Type: blocklist.EventAdded, Time: now, Rule: &rules[i]})
	}
	if len(events) == 0 { // nothing was in force
		return change{}, c.move(after, a, now)
	}
	carried, err := d.carry(c, ending, rules, covers, now)
	if err != nil {
		return change{}, err
	}
	events = append(events, carried...)
	by := StateEnforcing
	if len(rules) == 0 && slices.Contains(c.moves()[StateRevoking], after) {
		by = StateRevoking
	}
	if err := c.move(by, a, now); err != nil {
		return change{}, err
	}
	c.After, c.Incoming = after, covers
	// Last: the list keeps a key for each rule whose faces are sealed.
	for i := range rules {
		if rules[i].Scope == takedown.ScopeFace {
			if err := d.sealFaces(c, covers[i], &events[len(ending)+i]); err != nil {
				return change{}, err
			}
		}
	}
	return change{events: events}, nil
}

// sealFaces puts the faces of some items into the event that adds their rule,
// sealed under a key that the list keeps for it.
func (d *Desk) sealFaces(c *caseRecord, items []int, e *blocklist.Event) error {
	vectors := make([]blocklist.FaceVector, len(items))
	for i, item := range items {
		t, err := d.store.template(c, item)
		if err != nil {
			return err
		}
		if vectors[i], err = vectorOf(t.Face); err != nil {
			return err
		}
	}
	faces, err := d.list.SealFaces(e.ID, blocklist.FaceLimits{Block: c.Face.Block, Review: c.Face.Review}, vectors...)
	if err != nil {
		return fmt.Errorf("takedown: case %v: %w", c.ID, err)
	}
	e.Rule.Keys.Faces = faces
	return nil
}

// vectorOf returns the vector of a face, as the list takes it.
func vectorOf(f takedown.Face) (blocklist.FaceVector, error) {
	b, err := f.MarshalBinary()
	if err != nil {
		return blocklist.FaceVector{}, err
	}
	return embedding.DecodeVector(b)
}

// deliver appends the events of a case that is on its way to the journal and
// finishes the move. Events that are there already are not added again.
func (d *Desk) deliver(ctx context.Context, c *caseRecord) error {
	events, seqs, err := d.bring(ctx, c.ID)
	if err != nil {
		return fmt.Errorf("takedown: case %v: %w", c.ID, err)
	}
	ch, err := d.delivery(c, events, seqs, d.here())
	if err != nil {
		return err
	}
	return d.store.apply(ch)
}

// delivery is the change that finishes a move whose events are in the list, which is
// then at a Position.
func (d *Desk) delivery(c *caseRecord, events []blocklist.Event, seqs []uint64, at reached) (change, error) {
	if len(events) == 0 || c.After == "" {
		return change{}, fmt.Errorf("takedown: case %v is %s, with %d events to deliver", c.ID, c.State, len(events))
	}
	c.delivered(events, seqs)
	msgs, err := d.arrive(c)
	ch := change{cases: []*caseRecord{c}, finished: true, delivered: at, messages: msgs}
	// Once nothing of an erased case is in force, what its rules were made of
	// goes too.
	ch.forget = c.Erased() && len(c.Rules) == 0
	return ch, err
}

// delivered notes the rules that events have ended and added.
func (c *caseRecord) delivered(events []blocklist.Event, seqs []uint64) {
	added := 0
	for i, e := range events {
		switch e.Type {
		case blocklist.EventRevoked:
			c.Rules = slices.DeleteFunc(c.Rules, func(rule uint64) bool { return rule == e.Target })
			c.endAlarms(e.Target)
			c.Past = append(c.Past, e.Target)
			for k := range c.Items {
				if c.Items[k].Rule == e.Target {
					c.Items[k].Rule = 0
				}
			}
		case blocklist.EventAdded:
			for _, item := range c.Incoming[added] {
				c.Items[item].Rule = seqs[i]
			}
			c.Rules = append(c.Rules, seqs[i])
			added++
		}
	}
}

// arrive moves a case whose events are in the list to where it was going, and
// returns what is to be told of that.
func (d *Desk) arrive(c *caseRecord) (msgs []message, err error) {
	now := d.clockFor(c)
	if err := c.move(c.After, Actor{}, now); err != nil {
		return nil, err
	}
	silent := c.Silent
	if silent && c.Begins && c.State == StateInForce && !now.Before(c.Start) {
		// What begin does: the case does not wait for it any more.
		c.happened(MilestoneEnforced, c.Start)
		c.note(c.State, State(MilestoneEnforced), Actor{}, now)
		if !c.over(now) && !c.Erased() {
			msgs = c.inForce()
		}
	}
	c.After, c.Incoming, c.Silent = "", nil, false
	c.Begins = c.State == StateInForce && now.Before(c.Start) && (c.Begins || !silent)
	switch {
	case c.Begins:
		if c.wasHeld() { // the hold ended with the decision
			delete(c.Times, MilestoneEnforced)
		}
	case len(c.Rules) > 0:
		c.happened(MilestoneEnforced, now)
	case c.undecided(): // a hold was lifted
		delete(c.Times, MilestoneEnforced)
	case c.ended():
		c.happened(MilestoneEnded, now)
	}
	if silent || c.Erased() {
		return msgs, nil
	}
	if c.State == StateInForce {
		return c.granted(), nil
	}
	if t, ok := arrivals[c.State]; ok {
		msgs = []message{{Case: c.ID, Type: t}}
	}
	return msgs, nil
}

// carryTarget marks the target of an event that goes over to a new rule, of
// which only the number among those of its change is known before it is added.
const carryTarget = 1 << 63

// aim gives the events of a change, which come right after event last, the
// targets that were not known when they were stored. The desk appends nothing
// else meanwhile. If they are in the list already, Append looks at their IDs
// only.
func aim(events []blocklist.Event, last uint64) {
	var added []uint64
	for i := range events {
		if events[i].Type == blocklist.EventAdded {
			added = append(added, last+1+uint64(i))
		}
	}
	for i := range events {
		if n := events[i].Target &^ carryTarget; n != events[i].Target && n < uint64(len(added)) {
			events[i].Target = added[n]
		}
	}
}

// arrivals are the messages about states that are reached by way of the list.
var arrivals = map[State]MessageType{
	StateWithdrawn: MessageWithdrawn,
	StateReversed:  MessageReversed,
	StateRestored:  MessageRestored,
	StateExpired:   MessageExpired,
}

// addressKeys returns the keys of addresses of pictures and of pages.
func addressKeys(list *blocklist.List, images, pages []string) (keys []blocklist.Address, err error) {
	add := func(kind blocklist.AddressKind, urls []string) {
		for _, u := range urls {
			digest, e := list.Digest(kind, u)
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

func newEventID() (id [16]byte) {
	rand.Read(id[:])
	return id
}
