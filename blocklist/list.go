package blocklist

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/staydown/staydown/internal/fsx"
	"github.com/staydown/staydown/internal/listhooks"
)

// Options configure New. The zero value, and nil, are the defaults.
type Options struct {
	// List is the tenant the list is for. It is fixed when the folder is made.
	List uint32
	// Now is the clock by which rules begin and end; time.Now if nil. It is
	// called by readers, and must be safe for concurrent use.
	Now func() time.Time
	// CompactAfter is the number of grants and keys after the last compaction at
	// which the next one begins by itself. 0 means 200,000 or an eighth of the
	// list, whichever is more; a negative number means never. Unless it is
	// negative, a compaction also begins within a day after a rule with faces has
	// ended, to remove the faces from memory.
	CompactAfter int
	// SigningKey signs the snapshots of Publish; nil leaves them unsigned. New
	// returns ErrKey for a key that is not an Ed25519 private key.
	SigningKey ed25519.PrivateKey
	// EncryptionKey encrypts the journal and all snapshots, including those of
	// Publish; nil leaves them unencrypted. It is fixed when the folder is made:
	// New returns ErrKey for another key, a missing or a superfluous one. The IDs
	// and sequence numbers of events, and their references to each other, stay
	// readable in the journal.
	EncryptionKey *EncryptionKey
	// FaceKey encrypts the keys of faces in the folder instead of EncryptionKey,
	// which nodes have too. If nil, EncryptionKey encrypts them; if both are nil,
	// they are not encrypted. With a wrong FaceKey, the faces of the list cannot
	// be searched (see List.Info) and SealFaces returns ErrKey, until the list is
	// opened with the right one. Rekey changes it.
	FaceKey *EncryptionKey
	// FaceLifetime is how long nodes may use the faces of a published snapshot: 0
	// means 7 days; a minute to MaxFaceLifetime are accepted. Load, and lists that
	// have loaded the snapshot, do not open the faces after that. Publish a newer
	// snapshot, and reload it, before.
	//
	// The reader's clock is used, and nothing in the file enforces the limit. A
	// person with the file and the key can open the faces for ever, also faces
	// that were withdrawn since.
	FaceLifetime time.Duration
	// EraseAfter is how long ended rules keep their keys, so that an index that
	// was offline learns which images it may show again. 0 means 30 days, a
	// negative number for ever. Unless CompactAfter is negative, older keys are
	// erased within a day, and Transitions does not report them any more: see
	// Erase.
	EraseAfter time.Duration
	// Settled returns the time up to which the clock is certain. What ended after it
	// is not destroyed: keys of faces, and payloads. Rules still begin and end by
	// Now. If nil, every time that Now returns is certain.
	Settled func() time.Time
	// Salvage opens a journal file even if one of the two pages that mark its
	// commits is damaged. The last commit may be lost then: see List.Info. Any
	// other damage is refused. New ignores it: see boltjournal.
	Salvage bool
	// Map is as in LoadOptions, for the snapshots in the folder.
	Map bool
	// NewEpoch makes Rekey, without addresses, raise the epoch of the list. Nodes then
	// take the list, from the number of events on that they have, although it has
	// another history: it was restored from an older copy, and what came since is
	// given up. Other functions ignore it.
	NewEpoch bool
	// PublicSuffix reports whether names below a host are given to other people,
	// for example below github.io. No rule can block a public suffix. If nil, only
	// single labels and usual second levels of countries, for example co.uk, are
	// known. golang.org/x/net/publicsuffix has the whole list.
	PublicSuffix func(host string) bool
	// Observer and Logger receive the operations of the list, including failures
	// in the background. With an Observer queries are counted, and one in 1,024 is
	// timed.
	Observer Observer
	Logger   *slog.Logger

	hooks listhooks.Hooks // for tests
}

func init() { listhooks.Of = func(o any) listhooks.Hooks { return o.(*Options).hooks } }

// faceKey returns the key that encrypts the keys of faces; nil for none.
func (o *Options) faceKey() *EncryptionKey { return cmp.Or(o.FaceKey, o.EncryptionKey) }

// LoadOptions configure Load. The zero value, and nil, are the defaults.
type LoadOptions struct {
	// Now is the clock by which rules begin and end; time.Now if nil. It is
	// called by readers, and must be safe for concurrent use.
	Now func() time.Time
	// Map uses the file in place, mapped into memory, on 64-bit Unix. The list
	// then opens faster and shares its memory with other processes and the page
	// cache. The file must never be changed or cut in place, only replaced as
	// Publish does it. Otherwise the process would answer wrongly, or end with a
	// memory fault. Without Map the file is copied into memory, and may be changed
	// freely afterwards.
	Map bool
	// TrustedKeys, if not empty, are the accepted signing keys. Load and Reload
	// refuse a snapshot that is not signed by one of them with ErrKey or
	// ErrSignature. Verifying reads the whole file.
	TrustedKeys []ed25519.PublicKey
	// EncryptionKey, unless nil, is the key the snapshot is encrypted with. Load
	// and Reload then refuse any other file with ErrKey. Map has no effect.
	EncryptionKey *EncryptionKey
	// After, unless zero, is the Position of the list that the caller had before.
	// Load refuses an older list with ErrRollback, and one with another history with
	// ErrFork, as Reload does.
	After Position
	// Observer and Logger are as in Options.
	Observer Observer
	Logger   *slog.Logger

	fs       fsx.FS    // for tests
	faceKeys *faceKeys // of a list that is open for writing; nil otherwise
}

// List is a blocklist, opened for writing by New or for reading by Load. Its
// methods are safe for concurrent use.
type List struct {
	view atomic.Pointer[State]
	now  func() time.Time
	fs   fsx.FS
	open LoadOptions // how snapshots are opened

	// For Publish.
	signingKey   ed25519.PrivateKey
	faceLifetime time.Duration
	eraseAfter   time.Duration // negative for never, as in a loaded list
	settled      func() time.Time

	path         string      // of the snapshot of a loaded list
	fold         *fold       // of a loaded list with deltas; nil without
	reload       sync.Mutex  // held by Reload, Advance and Close of a loaded list; for path and fold
	closed       atomic.Bool // set before the State of a loaded list is dropped
	publish      sync.Mutex  // held by Publish
	writer       *writer     // nil for a loaded list
	publicSuffix func(host string) bool

	observer Observer
	logger   *slog.Logger
	queries  *queries // nil without an observer

	infoMu  sync.Mutex
	info    Info         // what does not change
	failing map[Op]error // whose last run failed
}

// Info describes a list and its state.
type Info struct {
	// ID is the random number that identifies the list.
	ID [16]byte
	// Position is the position of the list: the number of its last event, and the
	// running digest.
	Position Position
	// Counts is how much there is in it.
	Counts Counts
	// Opened is the time of New, of Load, or of the last Reload that found another
	// file.
	Opened time.Time
	// SnapshotSeq is the number of the snapshot that the list is based on, or 0.
	// SnapshotTime is when it was written.
	SnapshotSeq  uint64
	SnapshotTime time.Time
	// Since is how many grants and keys came since, and how many grants ended.
	Since int
	// Fallbacks are the reasons why New passed over snapshots of the folder.
	Fallbacks []error
	// Salvaged is the damage of the journal that Options.Salvage accepted.
	Salvaged error
	// Faces is the number of registered faces that are searched, including those
	// of rules that have not begun or have ended.
	Faces int
	// FacesWithoutKey is the number of faces of rules that have not ended whose
	// key is lost, so that they cannot be searched. It is 0 unless the file of
	// keys was lost or damaged, or is older than the journal. Snapshots count them
	// too, until their rules end: State.RulesWithoutFaces.
	FacesWithoutKey int
	// FacesUntil is the time from which the faces of a loaded list must not be
	// used. The zero Time means no limit, as in a list that is open for writing.
	FacesUntil time.Time
	// Failing holds the error of each operation whose last run failed, including
	// operations in the background. It is empty without failures.
	Failing Failures
	// Queries is the number of queries of each kind, if the list has an Observer;
	// nil otherwise.
	Queries map[Op]uint64
}

// Info returns a description of the list and its state.
func (l *List) Info() Info {
	l.infoMu.Lock()
	s := l.info
	s.Fallbacks = slices.Clone(s.Fallbacks)
	s.Failing = maps.Clone(l.failing)
	l.infoMu.Unlock()
	v := l.State()
	s.ID, s.Position, s.Counts = v.ID(), v.Position(), v.Counts()
	s.SnapshotSeq, s.SnapshotTime = v.base.header.seq, v.base.header.createdAt()
	s.Since = v.since()
	s.Faces, s.FacesWithoutKey, s.FacesUntil = v.liveFaces, v.lostFaces, timeOf(v.base.facesUntil)
	if l.queries != nil {
		s.Queries = map[Op]uint64{}
		for tier, op := range tierOps {
			s.Queries[op] = l.queries.counters.Sum(tier)
		}
	}
	return s
}

// Names in the folder of a list.
const (
	snapshotPrefix = "snapshot-" // and the sequence number in 20 digits
	snapshotSuffix = ".snap"
	tempSuffix     = ".tmp"
)

func snapshotName(seq uint64) string {
	return fmt.Sprintf("%s%020d%s", snapshotPrefix, seq, snapshotSuffix)
}

func isSnapshotName(name string) bool {
	return len(name) == len(snapshotName(0)) && strings.HasPrefix(name, snapshotPrefix) && strings.HasSuffix(name, snapshotSuffix)
}

// New opens a list for writing on a journal. The journal belongs to the list
// alone: the list closes it, also if New fails. An empty journal makes a new list.
// dir is the folder for snapshots and keys of faces; snapshots make opening fast.
// With an empty dir every New reads the whole journal, and the list cannot have
// faces.
//
// The list is made from the newest valid snapshot of the folder, and the events of
// the journal after it. List.Info reports when a snapshot was skipped.
func New(journal Journal, dir string, opts *Options) (*List, error) {
	l, err := openList(journal, dir, opts)
	if err != nil {
		return nil, errors.Join(err, journal.Close())
	}
	return l, nil
}

func openList(store Journal, dir string, opts *Options) (*List, error) {
	o, start := optionsOf(opts), time.Now()
	if o.Now == nil {
		o.Now = time.Now
	}
	fs := cmp.Or[fsx.FS](o.hooks.FS, fsx.OS{})
	if o.FaceLifetime == 0 {
		o.FaceLifetime = DefaultFaceLifetime
	}
	if o.FaceLifetime < minFaceLifetime || o.FaceLifetime > MaxFaceLifetime {
		return nil, fmt.Errorf("blocklist: FaceLifetime is %v; %v to %v are accepted: %w", o.FaceLifetime, minFaceLifetime, MaxFaceLifetime, ErrLimit)
	}
	if n := len(o.SigningKey); o.SigningKey != nil && n != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("blocklist: SigningKey has %d bytes, not %d: %w", n, ed25519.PrivateKeySize, ErrKey)
	}
	j, err := openLog(store, &o, nil, false)
	if err != nil {
		return nil, err
	}
	l := &List{
		now: o.Now, fs: fs, open: LoadOptions{Map: o.Map, EncryptionKey: o.EncryptionKey},
		signingKey: o.SigningKey, faceLifetime: o.FaceLifetime, eraseAfter: cmp.Or(o.EraseAfter, defaultEraseAfter), settled: o.Settled,
	}
	l.observeWith(o.Observer, o.Logger)
	l.publicSuffix = o.PublicSuffix
	if dir != "" {
		if l.open.faceKeys, err = openFaceKeys(fs, dir, o.faceKey(), j.id.ID); err != nil {
			return nil, err
		}
	}
	keys := l.open.faceKeys
	f, err := l.recover(dir, j)
	if err == nil {
		l.view.Store(f.view())
		// What a crash kept from being destroyed, and what ended meanwhile.
		err = keys.retainLive(j, l.State(), l.settledUnix())
	}
	if err != nil {
		return nil, errors.Join(err, keys.close())
	}
	if d, ok := store.(interface{ Damage() error }); ok {
		l.info.Salvaged = d.Damage()
	}
	l.opened(start)
	l.writer = startWriter(l, dir, j, f, o.CompactAfter, cmp.Or(o.hooks.Forget, forgetEvery))
	return l, nil
}

func (l *List) observeWith(o Observer, logger *slog.Logger) {
	l.observer, l.logger = o, logger
	if o != nil {
		l.queries = &queries{observer: o}
	}
}

// opened notes that the list is what it is since now, and what is not in order.
func (l *List) opened(start time.Time) {
	l.infoMu.Lock()
	l.info.Opened = l.now()
	all := errors.Join(errors.Join(l.info.Fallbacks...), l.info.Salvaged)
	l.infoMu.Unlock()
	if v := l.State(); v.lostFaces > 0 {
		all = errors.Join(all, fmt.Errorf("blocklist: %d faces cannot be searched: their keys are gone", v.lostFaces))
	}
	l.report(start, Observation{Op: OpOpen, Count: l.State().rules, Background: all != nil, Err: all})
}

// recover folds the newest snapshot in order and the events after it.
func (l *List) recover(dir string, j *log) (*fold, error) {
	b := emptyBase(j.id)
	if dir != "" {
		var err error
		if b, err = l.newestSnapshot(dir, j); err != nil {
			return nil, err
		}
	}
	f := l.newFold(b)
	f.faceKeys = l.open.faceKeys
	err := j.readLinked(f.seq, f.digest, func(e *committed) bool { f.apply(e); return true })
	if err = errors.Join(err, f.keyError); err != nil {
		return nil, err
	}
	f.ended = nil
	f.mergeAll()
	if f.seq != j.last || f.digest != j.digest {
		return nil, fmt.Errorf("blocklist: journal ends at event %d, not %d: %w", f.seq, j.last, ErrJournal)
	}
	return f, nil
}

// newFold begins with a base.
func (l *List) newFold(b *base) *fold {
	f := newFold(b, newDigestKeys(b.header.Secret), l.now)
	f.queries, f.suffix = l.queries, l.publicSuffix
	return f
}

// newestSnapshot returns the newest snapshot in a folder that is in order; an
// empty one if there is none. It removes those that were not finished.
func (l *List) newestSnapshot(dir string, j *log) (*base, error) {
	names, err := l.fs.List(dir)
	if err != nil {
		return nil, fmt.Errorf("blocklist: %w", err)
	}
	slices.Sort(names)
	slices.Reverse(names)
	var found *base
	for _, name := range names {
		left := l.isLeftBehind(dir, name)
		if left {
			if err := l.destroy(filepath.Join(dir, name)); err != nil {
				return nil, fmt.Errorf("blocklist: %w", err)
			}
		}
		if left || !isSnapshotName(name) || found != nil {
			continue
		}
		b, err := l.openSnapshot(filepath.Join(dir, name))
		if err == nil {
			err = matches(b, j, j.last)
		}
		if err != nil {
			l.info.Fallbacks = append(l.info.Fallbacks, err)
			continue
		}
		found = b
	}
	if found == nil {
		found = emptyBase(j.id)
	}
	return found, nil
}

// isLeftBehind reports whether a crash left a file of a folder behind: a snapshot
// that was not finished, or one that was being destroyed.
func (l *List) isLeftBehind(dir, name string) bool {
	if strings.HasPrefix(name, snapshotPrefix) && strings.HasSuffix(name, tempSuffix) {
		return true
	}
	if !isSnapshotName(name) {
		return false
	}
	f, err := l.fs.Open(filepath.Join(dir, name))
	if err != nil {
		return false // who needs it will say so
	}
	defer f.Close()
	head := make([]byte, sealedHeader)
	n, err := f.ReadAt(head, 0)
	return n == len(head) && err == nil && isWiped(head)
}

// matches returns an error if a snapshot is not one of the journal, which ends at
// last.
func matches(b *base, j *log, last uint64) error {
	if b.header.identity != j.id {
		return fmt.Errorf("blocklist: snapshot %d is of another list than the journal: %w", b.header.seq, ErrKey)
	}
	if b.header.seq > last {
		return fmt.Errorf("blocklist: snapshot %d is newer than the journal, which ends at %d: %w", b.header.seq, last, ErrJournal)
	}
	digest, err := j.digestAt(b.header.seq)
	if err == nil && digest != b.header.digest {
		err = fmt.Errorf("blocklist: snapshot %d has other events than the journal: %w", b.header.seq, ErrFork)
	}
	return err
}

// openSnapshot reads a snapshot file.
func (l *List) openSnapshot(path string) (*base, error) {
	b, err := l.readSnapshotFile(path)
	if err != nil && l.path != "" && l.open.EncryptionKey != nil && !errors.Is(err, iofs.ErrNotExist) {
		// Publish makes unreadable what it has replaced; that may just have been this
		// file, and another one is in its place.
		b, err = l.readSnapshotFile(path)
	}
	return b, err
}

func (l *List) readSnapshotFile(path string) (*base, error) {
	return readSnapshotAt(l.fs, path, &l.open)
}

func readSnapshotAt(fs fsx.FS, path string, o *LoadOptions) (*base, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, fmt.Errorf("blocklist: %w", err)
	}
	defer f.Close()
	b, err := readSnapshot(f, o)
	if err != nil {
		return nil, fmt.Errorf("%w (in %s)", err, path)
	}
	return b, nil
}

// Load opens a snapshot file of Publish for reading. For an invalid file, the
// error wraps ErrNotSnapshot, ErrVersion, ErrTruncated, ErrChecksum, ErrFormat,
// ErrLimit, ErrKey, ErrSignature or ErrRules. It wraps ErrRollback or ErrFork when
// the file does not continue LoadOptions.After.
func Load(path string, opts *LoadOptions) (*List, error) {
	var o LoadOptions
	if opts != nil {
		o = *opts
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.fs == nil {
		o.fs = fsx.OS{}
	}
	start := time.Now()
	l := &List{now: o.Now, fs: o.fs, open: o, path: path, eraseAfter: -1}
	l.observeWith(o.Observer, o.Logger)
	b, err := l.openSnapshot(path)
	if err == nil && o.After != (Position{}) {
		err = succeeds(b.header.position(), b.history, o.After)
	}
	if err != nil {
		return nil, err
	}
	l.view.Store(l.newFold(b).view())
	l.opened(start)
	return l, nil
}

// Reload opens the snapshot file of a loaded list again and reports whether it is
// another file. It returns ErrRollback for a file that is older or of another
// list. It returns ErrFork for a file with other events up to those in use. A file
// that Rekey made of this list is accepted as a successor.
//
// After an error the list is unchanged, except that it drops faces that are too
// old to be used.
func (l *List) Reload() (changed bool, err error) {
	if l.writer != nil {
		return false, fmt.Errorf("blocklist: the list was opened for writing: %w", errors.ErrUnsupported)
	}
	l.reload.Lock()
	defer l.reload.Unlock()
	if l.closed.Load() {
		return false, fmt.Errorf("blocklist: %w", ErrClosed)
	}
	start := time.Now()
	changed, err = l.reloadNow()
	if changed || err != nil {
		l.report(start, Observation{Op: OpReload, Count: l.State().rules, Err: err})
	} else {
		l.setFailing(OpReload, nil)
	}
	return changed, err
}

// reloadNow is Reload. The lock for it is held.
func (l *List) reloadNow() (changed bool, err error) {
	l.forgetFaces()
	now := l.State().base.header
	b, err := l.openSnapshot(l.path)
	if err != nil {
		return false, err
	}
	h := b.header
	if h.identity == now.identity && h.position() == now.position() && h.created == now.created {
		return false, nil
	}
	if err := sameList(&h, &now); err != nil {
		return false, err
	}
	if err := succeeds(h.position(), b.history, l.State().Position()); err != nil {
		return false, err
	}
	l.fold = nil
	l.view.Store(l.newFold(b).view())
	l.infoMu.Lock()
	l.info.Opened = l.now()
	l.infoMu.Unlock()
	return true, nil
}

// forgetFaces forgets the vectors of a loaded list if they must not be used any
// more. Reload holds its lock.
func (l *List) forgetFaces() {
	v := l.State()
	if len(v.faces) == 0 || v.mayUseFaces() {
		return
	}
	old := *v.base
	old.faces, old.facesShut = nil, true
	if l.fold == nil {
		l.view.Store(l.newFold(&old).view())
		return
	}
	l.fold.base, l.fold.faces = &old, nil
	l.view.Store(l.fold.view())
}

// State returns the current state of the list. For a list opened for writing it
// includes every event whose Append has returned. It takes no lock and does not
// allocate. After Close it returns the last State of a list that was open for
// writing, and an empty one of a loaded list.
func (l *List) State() *State { return l.view.Load() }

// Digest is State().Digest. The keys of digests change only when Reload loads a
// list that was made anew: take the Digest from the State that is queried.
func (l *List) Digest(kind AddressKind, rawURL string) (Digest, error) {
	return l.State().Digest(kind, rawURL)
}

// Append adds events to the journal. When it returns without an error they are
// durable, and shown by every State taken from then on. It returns the sequence
// number of each event. An event whose ID is in the journal already keeps its
// number, and is not added again. Append adds all events of a call or no event.
// Concurrent calls share one commit.
//
// The error is an *EventError when an event is not acceptable. It is ctx.Err()
// when ctx ended first; the events may still be added, so append them again to
// find out. It wraps ErrNotWritten when writing failed and no event is in the
// journal. It wraps ErrBroken when the state of the disk is unknown: close the
// list and open it again. If the journal could only not be asked, for example while a
// database restarts, a later Append asks again and goes on.
func (l *List) Append(ctx context.Context, events ...Event) ([]uint64, error) {
	return l.appendWith(ctx, nil, events)
}

// AppendWith is Append with a transaction of the caller, which stores the events
// together with other data of the same database. The list calls store with the entries
// in place of Journal.Append. What Append of a [Journal] must do, store must do: the
// entries are in the journal, durably, when it returns nil, and they never are when it
// returns an error and Last is as before. If it returns an error although the entries
// are in the journal, for example because the connection was lost after the commit,
// they are taken as stored, and AppendWith returns no error.
//
// store runs on a goroutine of the list, and must not call the List, except for State.
// It is not called when all events are in the journal already. If ctx ends first, it
// may still be called after AppendWith has returned.
func (l *List) AppendWith(ctx context.Context, store func([]Entry) error, events ...Event) ([]uint64, error) {
	return l.appendWith(ctx, store, events)
}

func (l *List) appendWith(ctx context.Context, store func([]Entry) error, events []Event) ([]uint64, error) {
	if _, err := l.journal(); err != nil {
		return nil, err
	}
	events = slices.Clone(events)
	list := l.State().base.header.List
	faces := map[*Rule][]FaceVector{}
	for i := range events {
		e := &events[i]
		if e.Time.IsZero() {
			e.Time = l.now().Truncate(time.Second)
		}
		err := e.check(list)
		if err == nil && e.IsErased() {
			err = &EventError{Field: "Erased", Why: "is set; an event without its payload cannot be appended"}
		}
		if err != nil {
			err.Index = i
			return nil, err
		}
		if err := l.writer.openFaces(e, faces); err != nil {
			if why := (*EventError)(nil); errors.As(err, &why) {
				why.Index = i
			}
			return nil, err
		}
	}
	if len(events) == 0 {
		return nil, nil
	}
	return l.writer.append(ctx, &request{events: events, store: store, faces: faces, done: make(chan struct{})})
}

// Events calls yield for the events of the journal from number from on, in order,
// until yield returns false or the journal ends. Events are read in groups. The
// caller may keep an Event and its referenced values.
func (l *List) Events(from uint64, yield func(Event) bool) error {
	j, err := l.journal()
	if err != nil {
		return err
	}
	return j.read(from, func(e *Event) bool { return yield(*e) })
}

// journal returns the journal of a list that is open for writing.
func (l *List) journal() (*log, error) {
	if l.writer == nil {
		return nil, fmt.Errorf("blocklist: a loaded list has no journal: %w", ErrReadOnly)
	}
	if l.writer.ctx.Err() != nil {
		return nil, fmt.Errorf("blocklist: %w", ErrClosed)
	}
	return l.writer.journal, nil
}

// Publish writes the list to a snapshot file for Load. It replaces an existing
// file atomically: readers of path see the old file or the new one. A process that
// has the old file open or mapped keeps it. Publish returns when the file is
// durable. After Close the error wraps ErrClosed.
//
// A replaced file with faces is overwritten in place. Open handles and hard links
// can no longer read it; a Load in progress completes. A Load or Reload that
// starts at that moment tries again. Copies are out of reach. Until it is
// replaced, a file has the keys of faces that were withdrawn since: see Refresh.
//
// The snapshot of a list with faces has their keys, so it must be encrypted.
// Without Options.EncryptionKey the error wraps ErrFacesUnencrypted. A loaded list
// with faces cannot be published, because it has no keys (ErrReadOnly); copy its
// file instead.
func (l *List) Publish(path string) error {
	_, err := l.Snapshot(path)
	return err
}

// SnapshotInfo describes a snapshot that was published.
type SnapshotInfo struct {
	Position Position
	// FacesUntil is the time from which its faces must not be used. The zero Time
	// means that it has none.
	FacesUntil time.Time
}

// Snapshot is Publish, and describes the snapshot.
func (l *List) Snapshot(path string) (SnapshotInfo, error) {
	l.publish.Lock()
	defer l.publish.Unlock()
	start := time.Now()
	info, err := l.publishTo(path)
	l.report(start, Observation{Op: OpPublish, Count: l.State().rules, Err: err})
	return info, err
}

// publishTo is Snapshot. The lock for it is held.
func (l *List) publishTo(path string) (info SnapshotInfo, err error) {
	if l.writer != nil {
		j, err := l.journal()
		if err == nil {
			err = l.writer.faceKeys.retainLive(j, l.State(), l.settledUnix())
		}
		if err != nil {
			return info, err
		}
	}
	m, err := l.moment()
	if err != nil {
		return info, err
	}
	defer m.forget()
	if l.closed.Load() { // the State may be the empty one
		return info, fmt.Errorf("blocklist: %w", ErrClosed)
	}
	if l.open.EncryptionKey != nil {
		if err := l.finishReplacing(path); err != nil {
			return info, fmt.Errorf("blocklist: %w", err)
		}
	}
	info.Position = m.view.Position()
	if len(m.keys) > 0 {
		info.FacesUntil = m.at.Truncate(time.Second).Add(l.faceLifetime)
	}
	return info, l.writeSnapshotFile(path, &m, writeOptions{
		publish: true, signingKey: l.signingKey, faceLifetime: l.faceLifetime, endedBefore: l.endedBefore(),
	})
}

// writeSnapshotFile writes a snapshot beside its place and moves it there.
func (l *List) writeSnapshotFile(path string, m *moment, o writeOptions) (err error) {
	o.created, o.encryption, o.faceKeys, o.settled = m.at, l.open.EncryptionKey, m.keys, l.settledUnix()
	fs := l.fs
	defer func() {
		if err != nil && !strings.HasPrefix(err.Error(), "blocklist: ") {
			err = fmt.Errorf("blocklist: %w", err)
		}
	}()
	temp := path + tempSuffix
	f, err := fs.Create(temp)
	if errors.Is(err, errExist) {
		// Left behind by a crash: only one process writes a snapshot.
		if err = fs.Remove(temp); err == nil {
			f, err = fs.Create(temp)
		}
	}
	if err != nil {
		return err
	}
	if o.publish && o.encryption != nil {
		// Its name is durable before there are keys behind it, so that after a crash
		// finishReplacing finds it.
		err = fs.SyncDir(filepath.Dir(path))
	}
	if err == nil {
		err = writeSnapshot(f, m.view, &o)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil && o.publish {
		// What readers have now stays until its successor is one that they can read.
		_, err = l.readSnapshotFile(temp)
	}
	if err == nil && o.publish {
		err = l.replace(temp, path)
	} else if err == nil {
		if err = fs.Rename(temp, path); err == nil {
			err = fs.SyncDir(filepath.Dir(path))
		}
	}
	if err != nil {
		err = errors.Join(err, l.discard(temp))
	}
	return err
}

// Compact writes a snapshot into the folder of the list and continues from it.
// Revoked and undone keys are removed, and newer keys become part of the big
// tables. Keys that ended by the clock stay for Options.EraseAfter, so that
// Transitions can report them. Readers and writers continue meanwhile.
func (l *List) Compact(ctx context.Context) error {
	if l.writer == nil {
		return fmt.Errorf("blocklist: %w", ErrReadOnly)
	}
	return l.writer.compact(ctx, false)
}

// Verify reads the whole list again and returns all errors found. It checks every
// event of the journal with its look-up data, and every snapshot in the folder, or
// the file of a loaded list. Opening a list reads only the newest snapshot and the
// events after it.
func (l *List) Verify(ctx context.Context) error {
	start := time.Now()
	err := l.verify(ctx)
	l.report(start, Observation{Op: OpVerify, Err: err})
	return err
}

func (l *List) verify(ctx context.Context) error {
	if l.closed.Load() {
		return fmt.Errorf("blocklist: %w", ErrClosed)
	}
	if l.writer == nil {
		l.reload.Lock()
		defer l.reload.Unlock()
		_, err := l.openSnapshot(l.path)
		return err
	}
	w := l.writer
	// No compaction removes what is being read.
	w.compacting.Lock()
	defer w.compacting.Unlock()
	if w.ctx.Err() != nil {
		return fmt.Errorf("blocklist: %w", ErrClosed)
	}
	all := w.journal.verify(ctx)
	if w.dir == "" {
		return all
	}
	names, err := l.fs.List(w.dir)
	all = errors.Join(all, err)
	for _, name := range names {
		if !isSnapshotName(name) {
			continue
		}
		b, err := l.openSnapshot(filepath.Join(w.dir, name))
		if err == nil {
			err = matches(b, w.journal, l.State().seq)
		}
		all = errors.Join(all, err, ctx.Err())
	}
	return all
}

// Close closes a list. It waits for running Append calls. States that were taken
// stay usable: the memory of a loaded list, or its mapping, is released with the
// last of them.
func (l *List) Close() error {
	if l.writer != nil {
		l.closed.Store(true)
		return l.writer.close()
	}
	l.reload.Lock()
	defer l.reload.Unlock()
	l.closed.Store(true)
	v := l.State()
	none := emptyBase(v.base.header.identity)
	none.header = v.base.header
	l.fold = nil
	l.view.Store(l.newFold(none).view())
	return nil
}

// Writable reports whether the list has a journal: it was opened for writing.
func (l *List) Writable() bool { return l.writer != nil }

// Closed reports whether Close was called. It is set before the State of a loaded
// list is replaced by an empty one.
func (l *List) Closed() bool { return l.closed.Load() }

// since is how much lies beside the base: grants, keys, exceptions, and grants
// that ended.
func (v *State) since() int {
	n := len(v.grants) + len(v.entries.entries) + len(v.exceptions)
	for i := range v.hashes {
		n += len(v.hashes[i].grants)
	}
	n += len(v.features.grants)
	for i := range v.faces {
		n += len(v.faces[i].rows)
	}
	if v.dead != nil {
		n += int(v.dead.GetCardinality())
	}
	return n
}
