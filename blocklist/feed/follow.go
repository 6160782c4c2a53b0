package feed

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/fsx"
)

// Options configure Follow. Dir and TrustedKeys are required.
type Options struct {
	// Dir is a folder for the reader's own copy, which no other reader uses at the
	// same time. Follow makes it if it does not exist. Clones of a machine must not
	// share it. It also holds the newest position that was seen. If that cannot be
	// read, Follow returns ErrOwnCopy. A reader whose Dir is removed accepts any
	// position, and any list unless List names one.
	Dir string
	// TrustedKeys are the accepted signing keys of the publisher.
	TrustedKeys []ed25519.PublicKey
	// EncryptionKey, unless nil, is the key that the list is encrypted with.
	EncryptionKey *blocklist.EncryptionKey
	// List, unless zero, is the ID of the expected list. Without it a reader accepts
	// the first list that it sees, and only that list from then on.
	List [16]byte
	// Interval is how often the pointer is requested; 0 means 10 seconds. Each wait
	// differs by up to a fifth, at random. A publisher can ask for longer waits.
	Interval time.Duration
	// Timeout is how long a server may be silent; 0 means 30 seconds.
	Timeout time.Duration
	// MaxSize is the largest accepted snapshot in bytes; 0 means 16 GiB.
	MaxSize int64
	// Map is blocklist.LoadOptions.Map. Nobody may change the files in Dir then.
	Map bool
	// Client requests the files; nil is a client that follows redirects on the same
	// host only.
	Client *http.Client
	// Listeners are bells to listen to. A reader that misses all of their notes
	// learns the same by requesting the pointer.
	Listeners []Listener
	// Observer and Logger are as in blocklist.LoadOptions, and receive updates.
	Observer blocklist.Observer
	Logger   *slog.Logger
	// Now is the clock; time.Now if nil.
	Now func() time.Time

	fs fsx.FS // for tests
}

const (
	defaultInterval = 10 * time.Second
	defaultTimeout  = 30 * time.Second
	defaultMaxSize  = 16 << 30

	// After errors a reader waits for up to so many intervals, or so long,
	// whichever is less.
	slowest     = 16
	slowestWait = 5 * time.Minute
	// maxQuiet bounds what a publisher can ask for by Wait.
	maxQuiet = time.Hour
)

// Feed is a list that keeps itself up to date. Its methods are safe for concurrent
// use.
type Feed struct {
	o      Options
	source source
	own    *own
	load   blocklist.LoadOptions
	unlock func()
	cancel context.CancelFunc
	work   sync.WaitGroup
	rings  chan Note
	missed chan struct{} // a note did not fit into rings

	// Owned by the goroutine that updates.
	tag      string   // of the last pointer that was taken
	pointer  *pointer // the newest that was verified
	baseLife time.Duration

	list *blocklist.List

	mu   sync.Mutex
	info Info
}

// Info describes a Feed.
type Info struct {
	// Position is where the list stands. Published is where the publisher's list
	// stands, as far as the reader knows, and Lag the number of events between.
	Position, Published blocklist.Position
	Lag                 uint64
	// Current is when the list was last known to be complete: see Feed.Current.
	// Age is the time since.
	Current time.Time
	Age     time.Duration
	// Checked is when the source last had nothing newer, or something valid.
	Checked time.Time
	// Err is why the last attempt to update failed, and Failing since when attempts
	// fail; nil and the zero Time if the last one succeeded. The list stays what it
	// was.
	Err     error
	Failing time.Time
	// Refused is the last error that wraps blocklist.ErrRollback or
	// blocklist.ErrFork: the source offers an older list, or another history. It is
	// nil after a newer pointer was accepted. The same pointer again, or an answer
	// that nothing is new, does not change it.
	Refused error
	// OwnCopy is why the own copy is older than the list, or could not be used at the
	// start; nil if it is in order.
	OwnCopy error
	// Polls counts requests of the pointer, Unchanged those that found the same.
	// Bases, Deltas and Bytes count what was loaded, Notes what bells brought, and
	// BadNotes those that were not genuine.
	Polls, Unchanged, Bases, Deltas, Bytes, Notes, BadNotes uint64
}

// Follow returns a list that is kept up to date with the feed at a location, until
// ctx ends or Close is called. The location is an http or https address, a file
// address, or a folder.
//
// Follow starts from the reader's own copy, if there is one, without waiting for
// the network. Without a copy it loads the list first, and returns the error if
// that fails.
func Follow(ctx context.Context, location string, opts *Options) (*Feed, error) {
	f := &Feed{rings: make(chan Note, 64), missed: make(chan struct{}, 1)}
	if opts != nil {
		f.o = *opts
	}
	o := &f.o
	switch {
	case o.Dir == "":
		return nil, errors.New("feed: Options.Dir is empty; it is where the own copy of the list lies")
	case len(o.TrustedKeys) == 0:
		return nil, fmt.Errorf("feed: Options.TrustedKeys is empty; a feed is used only if its signature fits: %w", blocklist.ErrKey)
	case o.Interval < 0 || o.Timeout < 0 || o.MaxSize < 0:
		return nil, fmt.Errorf("feed: an option is negative: %w", blocklist.ErrLimit)
	}
	o.Interval, o.Timeout, o.MaxSize = cmp.Or(o.Interval, defaultInterval), cmp.Or(o.Timeout, defaultTimeout), cmp.Or(o.MaxSize, defaultMaxSize)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.fs == nil {
		o.fs = fsx.OS{}
	}
	var err error
	if f.source, err = sourceOf(location, o.Client); err != nil {
		return nil, err
	}
	f.load = blocklist.LoadOptions{
		Now: o.Now, Map: o.Map, TrustedKeys: o.TrustedKeys, EncryptionKey: o.EncryptionKey, Observer: o.Observer, Logger: o.Logger,
	}
	f.own = &own{dir: o.Dir, fs: o.fs, keep: o.Map}
	if err := o.fs.MkdirAll(o.Dir); err != nil {
		return nil, fmt.Errorf("feed: %w", err)
	}
	waiting, done := context.WithTimeout(ctx, time.Second)
	f.unlock, err = lock(waiting, f.own.path(lockName))
	done()
	if err != nil {
		return nil, fmt.Errorf("feed: another reader uses the folder: %w", blocklist.ErrLocked)
	}
	if err := f.start(ctx); err != nil {
		if f.list != nil {
			err = errors.Join(err, f.list.Close())
		}
		f.unlock()
		return nil, err
	}
	ctx, f.cancel = context.WithCancel(ctx)
	f.work.Go(func() { f.run(ctx) })
	for _, l := range o.Listeners {
		f.work.Go(func() { f.listen(ctx, l) })
	}
	return f, nil
}

// start takes the own copy, or else loads the list.
func (f *Feed) start(ctx context.Context) error {
	err := f.restore()
	if errors.Is(err, ErrOwnCopy) {
		return fmt.Errorf("feed: %w", err)
	}
	f.setOwnCopy(err)
	if f.list != nil {
		return nil
	}
	_, err = f.poll(ctx)
	return err
}

// restore loads the own copy. Without one, f.list stays nil.
func (f *Feed) restore() error {
	p, err := f.own.read(f.o.TrustedKeys)
	if p == nil {
		return err
	}
	if f.o.List != ([16]byte{}) && p.id() != f.o.List {
		return fmt.Errorf("feed: the own copy is of another list: %w", blocklist.ErrRollback)
	}
	f.pointer = p
	if err != nil {
		return err
	}
	list, err := blocklist.Load(f.own.basePath(), &f.load)
	if err != nil {
		return fmt.Errorf("feed: own copy: %w", err)
	}
	err = f.own.replay(&f.load, func(deltas ...[]byte) error {
		_, err := list.Advance(deltas...)
		return err
	})
	f.list = list
	f.newBaseLife(p)
	if at := list.State().Position(); at == p.position() {
		f.setCurrent(p, time.Unix(f.own.state.Received, 0))
	} else {
		// The log ends earlier than the pointer. The list is as old as its base.
		f.mu.Lock()
		f.info.Current = list.State().SnapshotTime()
		f.mu.Unlock()
		err = errors.Join(err, fmt.Errorf("feed: own copy: it ends at %d and was at %d: %w", at.Seq, p.Seq, blocklist.ErrTruncated))
	}
	return errors.Join(err, f.own.clean())
}

// newBaseLife draws how old the base may become. Readers differ in it, so that not
// all of them load the next one at the same time.
func (f *Feed) newBaseLife(p *pointer) {
	retain := time.Duration(p.Retain) * time.Second
	f.baseLife = retain*3/4 + rand.N(retain/4+1)
}

// List returns the list. Close closes it.
func (f *Feed) List() *blocklist.List { return f.list }

// Current returns when the list was last known to be complete: when the publisher
// signed the pointer of this state, or when that pointer came if the clock of the
// publisher is ahead. It is for takedown.ListSource.
func (f *Feed) Current() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.info.Current
}

// Info describes the feed.
func (f *Feed) Info() Info {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.info
	i.Position = f.list.State().Position()
	if i.Published.Epoch == i.Position.Epoch && i.Published.Seq > i.Position.Seq {
		i.Lag = i.Published.Seq - i.Position.Seq
	}
	i.Age = f.o.Now().Sub(i.Current)
	return i
}

// Ready returns nil if the list can be relied on: it is open, at most maxAge old,
// and the source does not offer another history. It is for a readiness probe.
func (f *Feed) Ready(maxAge time.Duration) error {
	i := f.Info()
	switch {
	case f.list.Closed():
		return fmt.Errorf("feed: %w", blocklist.ErrClosed)
	case i.Refused != nil:
		return i.Refused
	case i.Age > maxAge:
		return fmt.Errorf("feed: the list is %v old, at most %v are accepted: %w", i.Age.Round(time.Second), maxAge, ErrStale)
	}
	return nil
}

// ErrStale: the list is older than accepted.
var ErrStale = errors.New("list is too old")

// Close ends the updates and closes the list.
func (f *Feed) Close() error {
	f.cancel()
	f.work.Wait()
	defer f.unlock()
	return f.list.Close()
}

// run requests the pointer again and again.
func (f *Feed) run(ctx context.Context) {
	// The own copy may be old.
	due, failures := time.Now().Add(rand.N(f.o.Interval/5+1)), 0
	var asked time.Time
	for ctx.Err() == nil {
		if wait := time.Until(due); wait > 0 {
			if rung := f.listenFor(ctx, wait); rung != noteNone {
				due = f.dueAfter(rung, due, asked, failures)
				continue
			}
		}
		least, err := f.poll(ctx)
		failures++
		if err == nil {
			failures = 0
		}
		asked = time.Now()
		due = asked.Add(f.pause(failures, least))
	}
}

// listenFor takes the note that a bell brings within a time. It is noteNone if there
// is none, or ctx ends.
func (f *Feed) listenFor(ctx context.Context, wait time.Duration) noteResult {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case n := <-f.rings:
		return f.note(ctx, n)
	case <-f.missed:
		return noteIncomplete
	case <-ctx.Done():
	case <-timer.C:
	}
	return noteNone
}

const (
	// spread is the time over which readers spread the requests that a bell causes.
	spread = 200 * time.Millisecond
	// leastPause is the least time from a request to one that a bell causes. Strangers
	// may ring it.
	leastPause = time.Second / 2
)

// dueAfter returns when to request the pointer after a note. A bell neither ends a
// wait after an error, or one that the server asked for, nor one that the publisher
// asks for.
func (f *Feed) dueAfter(rung noteResult, due, asked time.Time, failures int) time.Time {
	switch {
	case rung == noteTaken:
		return latest(due, time.Now().Add(f.pause(0, 0)))
	case rung == noteIncomplete && failures == 0:
		soon := latest(time.Now(), asked.Add(max(leastPause, f.leastWait()))).Add(rand.N(spread))
		if soon.Before(due) {
			return soon
		}
	}
	return due
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// leastWait returns how long the publisher asks to wait.
func (f *Feed) leastWait() time.Duration {
	if f.pointer == nil {
		return 0
	}
	return min(time.Duration(f.pointer.Wait)*time.Second, maxQuiet)
}

// pause returns how long to wait after a number of failures, at least so long.
func (f *Feed) pause(failures int, least time.Duration) time.Duration {
	least = max(least, f.leastWait())
	wait := max(f.o.Interval, f.leastWait())
	most := max(wait, min(slowest*wait, slowestWait))
	for range min(failures-1, 16) {
		wait = min(2*wait, most)
	}
	wait += rand.N(wait*2/5+1) - wait/5
	return max(wait, least+rand.N(least/5+1))
}

// poll requests the pointer and takes what is new. least is how long the source
// asks to wait.
func (f *Feed) poll(ctx context.Context) (least time.Duration, err error) {
	start := time.Now()
	limited, cancel := context.WithTimeout(ctx, f.o.Timeout)
	text, tag, same, err := f.source.latest(limited, f.tag)
	cancel()
	if err != nil {
		err = fmt.Errorf("feed: pointer: %w", err)
	} else if !same {
		var p *pointer
		if p, err = parsePointer(text, f.o.TrustedKeys); err == nil {
			err = f.take(ctx, p, text, nil)
		}
		if err == nil {
			f.tag = tag
		}
	}
	if retry := (*retryError)(nil); errors.As(err, &retry) {
		least = retry.wait
	}
	if ctx.Err() != nil {
		return 0, cmp.Or(err, ctx.Err())
	}
	f.mu.Lock()
	f.info.Polls++
	if same {
		f.info.Unchanged++
	}
	f.mu.Unlock()
	f.done(start, err)
	return least, err
}

// done notes the result of an attempt.
func (f *Feed) done(start time.Time, err error) {
	now := f.o.Now()
	f.mu.Lock()
	before := f.info.Err
	f.info.Err = err
	switch {
	case err == nil:
		f.info.Checked, f.info.Failing = now, time.Time{}
	case f.info.Failing.IsZero():
		f.info.Failing = now
	}
	if errors.Is(err, blocklist.ErrFork) || errors.Is(err, blocklist.ErrRollback) {
		f.info.Refused = err
	}
	f.mu.Unlock()
	// The same failure again is not told again.
	if err != nil && (before == nil || before.Error() != err.Error()) {
		o := blocklist.Observation{Op: OpUpdate, Took: time.Since(start), Background: true, Err: err}
		if f.list != nil {
			o.Seq = f.list.State().Seq()
		}
		o.Report(f.o.Observer, f.o.Logger)
	}
}

func (f *Feed) setOwnCopy(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.info.OwnCopy = err
}

// setCurrent notes that the list is what the publisher had at a pointer.
func (f *Feed) setCurrent(p *pointer, received time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.info.Published = p.position()
	f.info.Current = p.writtenAt()
	if received.Before(f.info.Current) {
		f.info.Current = received
	}
}

// listen passes on the notes of a bell.
func (f *Feed) listen(ctx context.Context, l Listener) {
	wait := time.Second
	for ctx.Err() == nil {
		start := time.Now()
		err := l.Listen(ctx, func(n Note) {
			select {
			case f.rings <- n:
			case <-ctx.Done():
			default:
				select {
				case f.missed <- struct{}{}:
				default:
				}
			}
		})
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			o := blocklist.Observation{Op: OpRing, Took: time.Since(start), Background: true, Err: err}
			o.Report(f.o.Observer, f.o.Logger)
		}
		if time.Since(start) > time.Minute {
			wait = time.Second
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait + rand.N(wait)):
		}
		wait = min(2*wait, time.Minute)
	}
}

// What became of a note.
type noteResult int

const (
	noteNone       noteResult = iota // no bell rang
	noteIgnored                      // it is old, or not genuine
	noteTaken                        // the list is where the note says
	noteIncomplete                   // the files have to be requested
)

// note takes what a bell brought.
func (f *Feed) note(ctx context.Context, n Note) noteResult {
	p, err := parsePointer(n.Pointer, f.o.TrustedKeys)
	genuine := err == nil && p.id() == f.list.State().ID()
	f.mu.Lock()
	f.info.Notes++
	if !genuine {
		f.info.BadNotes++
	}
	f.mu.Unlock()
	if !genuine || f.isOld(p) {
		return noteIgnored // bells repeat and reorder
	}
	// An error of a note is not one of the source: what cannot be taken is
	// requested.
	start := time.Now()
	if err := f.take(ctx, p, n.Pointer, n.Delta); err != nil {
		return noteIncomplete
	}
	f.done(start, nil)
	return noteTaken
}

// isOld reports whether a pointer has nothing that is not known.
func (f *Feed) isOld(p *pointer) bool {
	now := f.list.State().Position()
	return p.Epoch < now.Epoch || p.Epoch == now.Epoch &&
		(p.Seq < now.Seq || p.position() == now && f.pointer != nil && p.Written <= f.pointer.Written)
}
